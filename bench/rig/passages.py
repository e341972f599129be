"""People and cars before real cameras: RTSP to a real worker, its edge, and a gate that opens.

One lane for each tier of models. The scene is drawn and encoded here, on the first core; edge
and worker have the last core for themselves. A passage is timed from the moment its first
picture is handed to the camera's encoder until the gate controller hears the release.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from anlin.core.codec import to_data
from anlin.core.detection import Task
from anlin.core.entities import (
    AccessPoint,
    AccessRule,
    Community,
    Credential,
    Device,
    Direction,
    Entity,
    Holder,
    HolderKind,
    Membership,
    Method,
    Portal,
    PortalKind,
    Template,
)
from anlin.core.policy import Change, Delta
from anlin.sim.camera import Camera, Picture
from anlin.sim.rtsp import RtspServer
from anlin.testing import shared_folder
from bench.report import Figure, quantile, say
from bench.rig.processes import HOST, NO_DELAY, Site, Started, edge, edge_home, free_port, gate

ENROLLED = 1000
FPS = 15
"""Frames a second of the camera; the worker looks at 8, and at 16 while somebody waits."""

PATIENCE_S = 3.0
"""Who is not let in by then takes out a card: counted as not recognised."""

EMPTY_S = 1.6
"""Between two passages; a track is over after one second."""

READY_TIMEOUT_S = 90.0
POINT, PORTAL, GATE = "a-lane", "p-lane", "gate-0"


def cores() -> tuple[int, int]:
    """Give the first core, for the load, and the last, for edge and worker."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def models_folder() -> Path | None:
    """Find the models of tier 2."""
    given = os.environ.get("ANLIN_MODELS")
    shared = shared_folder()
    folder = Path(given) if given else (shared / "models" if shared else Path("var/models"))
    return folder if folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class Passer:
    """Who or what passes: the holder that should be let in, and the picture of them."""

    holder: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Opening:
    """What a lane is to be: its models, its camera's task and size, and who is enrolled."""

    tier: int
    task: Task
    size: tuple[int, int]
    credentials: Sequence[Credential]
    templates: Sequence[Template] = ()
    sealing_key: str | None = None


@dataclass(slots=True)
class Lane:
    """One tier: its edge, its camera, and what its passages took."""

    tier: int
    site: Site
    edge: Started
    home: Path
    camera: NotingCamera
    took_ms: list[float] = field(default_factory=list)
    told_ms: list[float] = field(default_factory=list)
    """The product's own figure for the same passages, out of its journal."""

    missed: int = 0
    wrong: int = 0


class NotingCamera(Camera):
    """Notes when a new scene is first drawn."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.first_drawn: float | None = None

    def show(self, picture: Picture, seconds: float) -> None:
        super().show(picture, seconds)
        self.first_drawn = None

    def draw(self) -> Picture:
        if self.first_drawn is None and not self.is_empty:
            self.first_drawn = time.perf_counter()
        return super().draw()


def _community(opening: Opening, camera: Device) -> Delta:
    """Make a community of one lane that everybody enrolled may pass."""
    credentials, templates = opening.credentials, opening.templates
    method = Method.FACE if opening.task is Task.FACES else Method.PLATE
    holders = sorted({credential.holder for credential in credentials})
    everybody = (Membership("everybody"),)
    kinds: list[tuple[str, Entity]] = [
        ("community", Community("c1", "Tianbao")),
        ("portal", Portal(PORTAL, "lane", PortalKind.BARRIER)),
        (
            "access_point",
            AccessPoint(POINT, "lane", PORTAL, Direction.ENTRY, (Method.CARD, method)),
        ),
        ("access_rule", AccessRule("r1", "everybody", ("everybody",), (POINT,))),
        ("device", gate(0, POINT, PORTAL)),
        ("device", camera),
        *(("holder", Holder(id_, "Lin", HolderKind.RESIDENT, everybody)) for id_ in holders),
        *(("credential", credential) for credential in credentials),
        *(("template", template) for template in templates),
    ]
    return Delta(0, 1, tuple(Change(1, kind, thing.id, to_data(thing)) for kind, thing in kinds))


def camera_device(task: Task, rtsp_port: int) -> Device:
    """Describe the lane's camera."""
    source = f"rtsp://{HOST}:{rtsp_port}/lane"
    # What stands before it are photographs, and a test for life says so: it would open to none.
    settings = {"point": POINT, "source": source, "task": task.value, "liveness": False}
    return Device("camera-1", "camera", "n1", "camera", settings)


@asynccontextmanager
async def _lane(home: Path, opening: Opening) -> AsyncIterator[Lane]:
    """Open a lane: broker, camera, edge and worker, until the worker has seen the empty scene."""
    tier, home = opening.tier, home / f"tier-{opening.tier}"
    port = free_port()
    camera = NotingCamera(opening.size)
    server = asyncio.create_task(RtspServer({"lane": camera.draw}, FPS).run(port))
    site = Site(home / "site", [GATE])
    env = {"ANLIN_HOME": str(home), "ANLIN_MODELS": str(models_folder()) if tier == 2 else ""}
    device = camera_device(opening.task, port)
    delta = _community(opening, device)
    process = None
    try:
        path = edge_home(home / "edge", site, delta, opening.sealing_key)
        process = await asyncio.to_thread(edge, path, env, cores()[1])
        await _until_watching(process.log, path, tier)
        yield Lane(tier, site, process, path, camera)
    finally:
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server
        if process is not None:
            await asyncio.to_thread(process.stop)
        site.broker.stop()


async def measure(home: Path, lanes: Sequence[Opening], passers: Iterable[Passer]) -> list[Lane]:
    """Open the lanes, let everybody pass, close them; the first lane is the best one."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(_lane(home, opening)) for opening in lanes]
        say("  passing")
        await _pass_by(opened, passers)
    return opened


async def _pass_by(lanes: Sequence[Lane], passers: Iterable[Passer]) -> None:
    """Let everybody pass every lane, one at a time, the lanes in turn."""
    async with AsyncExitStack() as stack:
        gates = [await stack.enter_async_context(_gate(lane)) for lane in lanes]
        await asyncio.sleep(EMPTY_S)
        for number, passer in enumerate(passers):
            for lane, at_gate in zip(lanes, gates, strict=True):
                await _pass(lane, at_gate, passer, number)


@dataclass(slots=True)
class _Gate:
    """The controller of a lane: when it heard releases, and how it tells of its loop."""

    client: aiomqtt.Client
    heard: asyncio.Queue[float]

    async def loop(self, number: int, is_occupied: bool) -> None:
        message = {"id": f"{number}-{is_occupied}", "age_ms": 0, "input": "loop"}
        payload = json.dumps({**message, "occupied": is_occupied})
        await self.client.publish(f"anlin/v1/{GATE}/up/loop", payload, qos=1)


@asynccontextmanager
async def _gate(lane: Lane) -> AsyncIterator[_Gate]:
    async with aiomqtt.Client(
        HOST,
        lane.site.port,
        username=GATE,
        password=lane.site.passwords[GATE],
        identifier=GATE,
        socket_options=NO_DELAY,
    ) as client:
        await client.subscribe(f"anlin/v1/{GATE}/down/relay", qos=1)
        heard: asyncio.Queue[float] = asyncio.Queue()

        async def listen() -> None:
            async for message in client.messages:
                if json.loads(bytes(message.payload))["action"] == "release":
                    heard.put_nowait(time.perf_counter())

        task = asyncio.create_task(listen())
        try:
            yield _Gate(client, heard)
        finally:
            task.cancel()


def figures(name: str, lanes: Sequence[Lane], target_ms: float) -> Iterator[Figure]:
    """Give latencies of the best lane beside the other, and how many were let in rightly."""
    best, *others = lanes
    other = others[0] if others and others[0].took_ms else None
    n = len(best.took_ms)
    for label, share, target in (("p50", 0.5, None), ("p95", 0.95, target_ms)):
        if best.took_ms:
            value = quantile(best.took_ms, share)
            peer = (None, None)
            if other is not None:
                peer = (f"tier {other.tier}", quantile(other.took_ms, share))
            yield Figure(f"{name}.{label}", value, "ms", n, target, *peer)
    if best.told_ms:
        # The product counts from a frame's arrival at the worker; above it is the camera's part.
        yield Figure(f"{name}.told_by_the_journal.p50", quantile(best.told_ms, 0.5), "ms", n)
    for seen in lanes:
        all_ = len(seen.took_ms) + seen.missed + seen.wrong
        rate = 100 * len(seen.took_ms) / all_
        yield Figure(f"{name}.let_in.tier_{seen.tier}", rate, "% right", all_)
        yield Figure(f"{name}.taken_for_another.tier_{seen.tier}", seen.wrong, "passages", all_, 0)


async def _pass(lane: Lane, at_gate: _Gate, passer: Passer, number: int) -> None:
    while not at_gate.heard.empty():
        at_gate.heard.get_nowait()
    before = _grants(lane)
    await at_gate.loop(number, is_occupied=True)
    lane.camera.show(passer.picture, PATIENCE_S)
    try:
        async with asyncio.timeout(PATIENCE_S):
            released_at = await at_gate.heard.get()
    except TimeoutError:
        lane.missed += 1
    else:
        new = _grants(lane)[len(before) :]
        if not new or new[0][0] != passer.holder:
            lane.wrong += 1
        elif lane.camera.first_drawn is not None:
            lane.took_ms.append((released_at - lane.camera.first_drawn) * 1000)
            lane.told_ms.append(new[0][1])
    lane.camera.clear()
    await at_gate.loop(number, is_occupied=False)
    await asyncio.sleep(EMPTY_S)


def _grants(lane: Lane) -> list[tuple[str, float]]:
    """Read (holder, latency) of every grant out of the edge's journal."""
    with contextlib.closing(
        sqlite3.connect(f"file:{lane.home / 'journal.sqlite3'}?mode=ro", uri=True)
    ) as journal:
        rows = journal.execute(
            "SELECT data FROM event WHERE kind = 'access_granted' ORDER BY seq"
        ).fetchall()
    return [(data["holder"], data["latency_ms"]) for data in (json.loads(row[0]) for row in rows)]


async def _until_watching(log: Path, home: Path, tier: int) -> None:
    """Wait until the worker has its models and sees its camera."""
    say(f"  waiting for the worker of tier {tier}")
    end = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < end:
        with contextlib.closing(
            sqlite3.connect(f"file:{home / 'journal.sqlite3'}?mode=ro", uri=True)
        ) as journal:
            rows = journal.execute("SELECT data FROM event WHERE kind = 'camera_state'").fetchall()
        told = [json.loads(row[0]) for row in rows]
        if any(data.get("state") == "online" for data in told):
            tiers = [data["tier"] for data in told if "tier" in data]
            if tiers and tiers[-1] != tier:
                raise RuntimeError(f"the worker runs tier {tiers[-1]}, not {tier}")
            await asyncio.sleep(2.0)  # the gallery follows the models down the same pipe
            return
        await asyncio.sleep(0.2)
    raise RuntimeError(f"camera of tier {tier}: nothing within {READY_TIMEOUT_S} s; see {log}")
