"""`python -m anlin.sim`: the community's devices and cameras, and the morning at its gate."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from pathlib import Path

import structlog
from rich.console import Console

from anlin.sim import faces, hands, plates, prepare, town
from anlin.sim.camera import GATE_SIZE, LANE_SIZE, Camera
from anlin.sim.cut import HOST, Cable
from anlin.sim.gate import Gate
from anlin.sim.rtsp import RtspServer
from anlin.sim.story import Site, Story, quiet_life
from anlin.sim.town import FACES, LANE_CAMERA, Town
from anlin.sim.watcher import Watcher

STARTED = "ANLIN_STARTED_AT"
"""When a person started the demo, in seconds since 1970."""

START_S = 90.0
CAMERA_S = 60.0
"""Models of tier 1 take long to load on a small board, three workers at once longer."""

GALLERY_S = 3.0
"""From an enrolment to every camera knowing the face; a revocation has 5 s at most."""


def main() -> None:
    """Run until told to stop; with --once until the story is over, with its result as exit code."""
    parser = argparse.ArgumentParser(prog="python -m anlin.sim", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--mqtt", type=int, required=True, help="port of the broker")
    parser.add_argument("--rtsp", type=int, required=True, help="port to serve cameras at")
    parser.add_argument("--cable", action="append", default=[], metavar="PORT:TO")
    parser.add_argument("--once", action="store_true", help="end after the story")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    prepare.setup(given.home)
    try:
        sys.exit(asyncio.run(_run(given)))
    except KeyboardInterrupt:
        sys.exit(0)


async def _run(given: argparse.Namespace) -> int:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    made = town.load(given.home)
    if made is None:
        raise SystemExit("sim: there is no community; prepare it first")
    site = _site(given, made)
    console = Console()
    streams = {path: camera.draw for path, camera in site.cameras.items()}
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            jobs = [
                group.create_task(RtspServer(streams).run(given.rtsp)),
                group.create_task(site.watcher.run()),
                group.create_task(hands.serve(site)),
                *(group.create_task(cable.run()) for cable in site.cables),
                *(group.create_task(gate.run()) for gate in site.gates.values()),
            ]
            failures = await _morning(site, console)
            if not given.once:
                console.print("Your turn: [bold]anlin show card[/] NUMBER, or face, plate, qr.")
                console.print("[dim]The day goes on quietly. Ctrl-C ends it.[/]")
                await quiet_life(site, console)
            for job in jobs:
                job.cancel()
            return 1 if failures else 0
    return 0


def _site(given: argparse.Namespace, made: Town) -> Site:
    from anlin.sim import community

    gates = {
        name: Gate(device.id, device.password, HOST, given.mqtt, is_lane=name == "lane")
        for name, device in made.controllers.items()
    }
    cameras = {path: Camera(GATE_SIZE) for path in FACES.values()}
    cameras[LANE_CAMERA] = Camera(LANE_SIZE)
    cables = [Cable(*(int(end) for end in cable.split(":"))) for cable in given.cable]
    return Site(
        home=given.home,
        town=made,
        gates=gates,
        cameras=cameras,
        cables=cables,
        watcher=Watcher(),
        cars=plates.load(),
        visitor_pass=lambda: community.visitor_pass(made),
    )


async def _morning(site: Site, console: Console) -> list[str]:
    """Wait until everything is there, then tell the story; give what was not as it must be."""
    with console.status("Waiting until the gates are heard"):
        for gate in site.gates.values():
            await asyncio.wait_for(gate.connected.wait(), START_S)
            if not await gate.acknowledged(START_S):
                return [f"gate {gate.id}: the edge does not answer"]
    story = Story(site, console)
    await story.begin()
    if STARTED in os.environ:
        took = time.time() - float(os.environ[STARTED])
        console.print(f"    [dim]the first gate opened {took:.0f} s after the start[/]")
    await _faces_and_cameras(site, console)
    await story.go_on()
    return story.failures


def _invite(site: Site) -> None:
    """Bring who was enrolled, and the stranger, to the site."""
    chosen = town.load_faces(site.home)
    found: dict[str, faces.Person] = {}
    for person in faces.people():
        if len(found) == len(chosen):
            break
        if person.name in chosen.values():
            found[person.name] = person
    site.residents = [found[name] for holder, name in chosen.items() if holder and name in found]
    site.stranger = found.get(chosen.get("", ""))


async def _faces_and_cameras(site: Site, console: Console) -> None:
    """Enrol faces in a process of its own, while the cameras' workers load their models."""
    with console.status("Enrolling faces, and waiting for the cameras"):
        enrolling = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "anlin.sim.prepare", "faces", "--home", str(site.home)),
            env={**os.environ},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await enrolling.communicate()
        if enrolling.returncode:
            console.print(f"[red]faces:[/] {said.decode(errors='replace')[-400:]}", markup=False)
        wanted = {camera: path for path, camera in site.town.cameras.items()}
        _invite(site)
        missing = set(wanted) - await site.watcher.cameras_online(set(wanted), CAMERA_S)
        for camera in sorted(missing):
            console.print(f"[yellow]![/] camera {wanted[camera]} is not online yet")
        await asyncio.sleep(GALLERY_S)


if __name__ == "__main__":
    main()
