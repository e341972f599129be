"""The day on which everything breaks: the process among those that it breaks.

Started by `anlin.sim.chaos` beside broker, web, live and edge, under the supervisor of `anlin up`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import structlog
from rich.console import Console

from anlin.core.codec import to_data
from anlin.sim import plates, prepare, town
from anlin.sim.camera import LANE_SIZE, Camera
from anlin.sim.chaos import proof
from anlin.sim.chaos.faults import Faults, Scene
from anlin.sim.chaos.lossy import LossyCable
from anlin.sim.chaos.people import People
from anlin.sim.chaos.witness import Peek, Witness
from anlin.sim.cut import HOST, Cable
from anlin.sim.rtsp import RtspServer
from anlin.sim.town import LANE_CAMERA, NODE_FOLDER, Town
from anlin.up import free_port

T = TypeVar("T")

START_S = 180.0
CATCH_UP_S = 180.0
POLL_S = 0.1
SECONDS_PER_PASS = 6
RESULT = "chaos.json"


class Hub:
    """The hub's own services and tables, used from one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "hub")

    async def call(self, function: Callable[..., T], *given: Any) -> T:
        """Run something that uses the hub's tables."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *given)


async def run(given: argparse.Namespace, console: Console) -> int:
    """Live through the day, compare, and write the result down; 0 where all of it holds."""
    made = town.load(given.home)
    if made is None:
        raise SystemExit("chaos: there is no community; prepare it first")
    dice = random.Random(given.seed)  # noqa: S311  a run must be repeatable, not secret
    hub, peek = Hub(), Peek(given.home / NODE_FOLDER / "journal.sqlite3")
    camera = Camera(LANE_SIZE)
    cables = [Cable(*(int(end) for end in cable.split(":"))) for cable in given.cable]
    line = LossyCable(free_port(), given.mqtt, random.Random(given.seed + 1))  # noqa: S311
    hub_port, live_port = (int(cable.split(":")[1]) for cable in given.cable)
    scene = Scene(given.home, hub_port, live_port, cables, line, peek, given.own_disk)
    gates = {
        name: Witness(
            device.id,
            device.password,
            HOST,
            line.port,
            peek,
            scene.acked,
            is_lane=name == "lane",
        )
        for name, device in made.controllers.items()
    }
    await hub.call(_keep_one_camera, made)
    async with asyncio.TaskGroup() as group:
        jobs = [
            group.create_task(RtspServer({LANE_CAMERA: camera.draw}).run(given.rtsp)),
            group.create_task(line.run()),
            *(group.create_task(cable.run()) for cable in cables),
            *(group.create_task(gate.run()) for gate in gates.values()),
        ]
        with console.status("Waiting until the gates are heard"):
            await _all_acknowledged(gates, START_S)
        passes = await hub.call(_passes, made, max(2, given.seconds // SECONDS_PER_PASS))

        async def open_from_desk(portal: str) -> str:
            return await hub.call(_open_from_desk, portal)

        people = People(made, gates, camera, plates.load(), passes, open_from_desk, dice)
        living = group.create_task(people.live())
        faults = Faults(scene, dice, console)
        began = time.monotonic()
        await faults.run(given.seconds)
        healed = time.monotonic()
        living.cancel()
        console.print("Everything is healed; catching up")
        is_quiet = await _all_acknowledged(gates, CATCH_UP_S)
        is_level = await _hub_has_everything(hub, made.node, peek)
        caught_up_s = time.monotonic() - healed
        console.print(f"Caught up after {caught_up_s:.1f} s; comparing")
        checks = await _prove(given.home, made, gates, people, hub)
        for job in jobs:
            job.cancel()
    checks += [
        proof.check(
            "Every process that was killed works again",
            faults.failures,
            ", ".join(f"{n} {len(times)} times" for n, times in sorted(faults.back_s.items())),
        ),
        proof.check(
            f"All was quiet within {CATCH_UP_S:.0f} s of the last fault",
            [] if is_quiet and is_level else ["controllers or hub still wait"],
            f"after {caught_up_s:.1f} s",
        ),
    ]
    result = {
        "seconds": round(healed - began),
        "faults": dict(faults.counts),
        "line": dict(line.counts),
        "back_s": {
            name: {"count": len(times), "median": median(times), "max": max(times)}
            for name, times in sorted(faults.back_s.items())
        },
        "checks": [to_data(item) for item in checks],
        "has_own_disk": given.own_disk,
    }
    (given.home / RESULT).write_text(json.dumps(result, ensure_ascii=False, indent=1))
    for item in checks:
        console.print(f"{'[green]✓[/]' if item.is_ok else '[red]✗[/]'} {item.name}: ", end="")
        console.print(item.detail, markup=False, highlight=False)
    return 0 if all(item.is_ok for item in checks) else 1


async def _prove(
    home: Path, made: Town, gates: dict[str, Witness], people: People, hub: Hub
) -> list[proof.Check]:
    # The hub first: the edge may write something new, such as a sign of life, at any moment.
    stored, quarantined = await hub.call(_hub_log, made.node)
    path = home / NODE_FOLDER / "journal.sqlite3"
    ledger = await asyncio.to_thread(proof.Ledger.read, path)
    witnesses, expected = list(gates.values()), people.expected
    return [
        *proof.nothing_lost(witnesses, ledger),
        *proof.same_at_hub(ledger, stored, quarantined),
        *proof.nothing_doubled(witnesses, ledger, expected),
        proof.right_answers(ledger, expected),
        *proof.no_door_without_a_decision(witnesses, ledger, expected),
        proof.tampers_told(witnesses, ledger),
        *await asyncio.to_thread(proof.records_hold, path, made.node),
    ]


async def _all_acknowledged(gates: dict[str, Witness], wait_s: float) -> bool:
    """Wait until no controller keeps anything; say whether it came to that."""
    deadline = time.monotonic() + wait_s
    for gate in gates.values():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gate.connected.wait(), max(0.1, deadline - time.monotonic()))
        if not await gate.acknowledged(max(0.1, deadline - time.monotonic())):
            return False
    return True


async def _hub_has_everything(hub: Hub, node: str, peek: Peek) -> bool:
    deadline = time.monotonic() + CATCH_UP_S
    while await hub.call(_hub_seq, node) < peek.seq():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


# What runs on the hub's tables


def _keep_one_camera(made: Town) -> None:
    """Take the cameras for faces out: one worker that can die is enough for two cores."""
    from anlin.hub.devices.models import Device
    from anlin.hub.devices.services import remove_device
    from anlin.sim.community import BY

    others = [pk for path, pk in made.cameras.items() if path != LANE_CAMERA]
    for device in Device.objects.filter(pk__in=others):
        remove_device(device, BY)


def _passes(made: Town, count: int) -> list[str]:
    from anlin.sim import community

    return [community.visitor_pass(made) for _ in range(count)]


def _open_from_desk(portal: str) -> str:
    """Order a release; "" where the hub hangs and takes no orders, which a person sees."""
    from django.db import OperationalError

    from anlin.hub.access.models import Portal
    from anlin.hub.devices.services import request_release
    from anlin.sim.community import BY

    try:
        return str(request_release(Portal.objects.get(pk=portal), "somebody rang", BY).pk)
    except OperationalError:
        return ""


def _hub_seq(node: str) -> int:
    from anlin.hub.events.models import NodeLog

    return NodeLog.objects.filter(pk=node).values_list("seq", flat=True).first() or 0


def _hub_log(node: str) -> tuple[list[tuple[int, str]], int]:
    from anlin.hub.events.models import Event, Quarantine

    rows = Event.objects.filter(node=node).order_by("seq").values_list("seq", "hash")
    return list(rows), Quarantine.objects.filter(node=node).count()


def main() -> None:
    """Parse the arguments of the starting process, and run."""
    parser = argparse.ArgumentParser(prog="python -m anlin.sim.chaos.day")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--mqtt", type=int, required=True)
    parser.add_argument("--rtsp", type=int, required=True)
    parser.add_argument("--cable", action="append", default=[], metavar="PORT:TO")
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--own-disk", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    prepare.setup(given.home)
    sys.exit(asyncio.run(_until_told(given)))


async def _until_told(given: argparse.Namespace) -> int:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(given, Console())


if __name__ == "__main__":
    main()
