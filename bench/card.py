"""A card at a gate: read published on MQTT until the release is received on MQTT.

Real processes all the way: broker, edge with 50,000 holders and the durable journal, and this
process as fifty gate controllers. The same with mosquitto where it is installed. The floor is a
bare echo over the same broker: what is above it is the edge's own share.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import aiomqtt

from anlin.core.entities import Credential, Method, Status
from bench.report import Figure, quantile, say
from bench.rig.community import City, city
from bench.rig.processes import (
    ECHO_USER,
    HOST,
    NO_DELAY,
    Site,
    Started,
    edge,
    edge_home,
    folder,
    gate,
    mosquitto,
)

GATES = 50
SLOW_ROUNDS = 100
"""Seconds with one read at each of the sides in turn: the 1 a second."""

FAST_A_SECOND, FAST_S, FAST_ROUNDS = 50, 5.0, 4
ANSWER_TIMEOUT_S = 2.0
TARGET_MS = 10.0


class Side:
    """One way to a release: through an edge, or by an echo. Keeps what each read took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clients: list[aiomqtt.Client] = []
        self.heard: list[asyncio.Queue[float]] = []
        self.slow_ms: list[float] = []
        self.fast_ms: list[float] = []
        self.lost = 0
        self._ids = itertools.count(1)

    def question(self, number: int) -> tuple[str, bytes]:
        """Give topic and payload of one read at a gate."""
        raise NotImplementedError

    async def read(self, number: int) -> float | None:
        """Show one card and wait for the release; milliseconds, or None where none came."""
        heard = self.heard[number]
        while not heard.empty():
            heard.get_nowait()
        topic, payload = self.question(number)
        began = time.perf_counter()
        await self.clients[number].publish(topic, payload, qos=1)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return (await heard.get() - began) * 1000
        except TimeoutError:
            self.lost += 1
            return None

    async def listen(self, number: int) -> None:
        """Note the moment of each release at a gate."""
        async for _ in self.clients[number].messages:
            self.heard[number].put_nowait(time.perf_counter())


class EdgeSide(Side):
    """Reads of cards that may pass, each at a gate of their building."""

    def __init__(self, name: str, cards: list[str]) -> None:
        super().__init__(name)
        self._cards = cards

    def question(self, number: int) -> tuple[str, bytes]:
        read = {
            "id": f"1-{next(self._ids)}",
            "age_ms": 0,
            "reader": "in",
            "method": "card",
            "value": self._cards[number],
        }
        return f"anlin/v1/gate-{number}/up/read", json.dumps(read).encode()


class EchoSide(Side):
    """Questions of the same size."""

    def question(self, number: int) -> tuple[str, bytes]:
        text = json.dumps({"id": f"1-{next(self._ids)}", "filler": "x" * 70})
        return f"anlin/v1/echo-{number}/down/ask", text.encode()


def run() -> Iterator[Figure]:
    """Read cards at every side in turn, slowly and then fast."""
    say("  making the community")
    place = city()
    kinds = ["anlin"] + (["mosquitto"] if mosquitto() else [])
    with folder("card") as home, ExitStack() as stack:
        sides: list[tuple[Site, Side]] = []
        for kind in kinds:
            sides += _start(stack, home / kind, kind, place)
        asyncio.run(_measure(sides))
        by_name = {side.name: side for _, side in sides}
        yield from _figures(by_name, "1_a_second", "slow_ms")
        yield from _figures(by_name, f"{FAST_A_SECOND}_a_second", "fast_ms")
        lost = sum(side.lost for side in by_name.values() if isinstance(side, EdgeSide))
        reads = sum(
            len(side.slow_ms) + len(side.fast_ms)
            for side in by_name.values()
            if isinstance(side, EdgeSide)
        )
        yield Figure("card.without_release", lost, "reads", reads + lost, 0)


def _start(stack: ExitStack, home: Path, kind: str, place: City) -> list[tuple[Site, Side]]:
    say(f"  starting a site on {kind}: broker, edge, echo")
    cards, extra = _cards(place)
    site = Site(home / "site", [f"gate-{number}" for number in range(GATES)], kind)
    stack.callback(site.broker.stop)
    delta = place.delta(*extra, *(("device", gate(*_wiring(n))) for n in range(GATES)))
    process = edge(edge_home(home / "edge", site, delta))
    stack.callback(process.stop)
    arguments = [str(site.port), ECHO_USER, site.passwords[ECHO_USER]]
    echo = Started(
        [sys.executable, "-m", "bench.rig.echo", *arguments], "echo_ready", home / "echo.log"
    )
    stack.callback(echo.stop)
    return [(site, EdgeSide(f"edge on {kind}", cards)), (site, EchoSide(f"echo on {kind}"))]


def _wiring(number: int) -> tuple[int, str, str]:
    """Put gate after gate at the first doors of the buildings."""
    building, door = number % 40, number // 40
    return number, f"a{building:02}-{door}", f"p{building:02}-{door}"


def _cards(place: City) -> tuple[list[str], list[tuple[str, Credential]]]:
    """Give an owner of each gate's building a fresh card."""
    owners: dict[str, str] = {}
    for holder in place.holders:
        first = holder.memberships[0].group
        is_free = holder.valid_from is None and holder.valid_until is None
        if first.endswith(".owner") and is_free and holder.status is Status.ACTIVE:
            owners[first[:3]] = holder.id
    credentials = [
        Credential(f"bench-{n}", owners[f"b{n % 40:02}"], Method.CARD, f"card-{n}")
        for n in range(GATES)
    ]
    return [c.key for c in credentials], [("credential", c) for c in credentials]


async def _measure(sides: list[tuple[Site, Side]]) -> None:
    async with AsyncExitStack() as stack:
        for site, side in sides:
            await stack.enter_async_context(_connected(site, side))
        say("  warming up")
        for _, side in sides:
            for number in range(GATES):
                await side.read(number)
            side.lost = 0
        say(f"  1 a second, {SLOW_ROUNDS} s")
        await _slowly([side for _, side in sides])
        say(f"  {FAST_A_SECOND} a second, {FAST_ROUNDS} rounds of {FAST_S:.0f} s each")
        for _ in range(FAST_ROUNDS):
            for _, side in sides:
                await _fast(side)


@asynccontextmanager
async def _connected(site: Site, side: Side) -> AsyncIterator[None]:
    """Connect every gate and let it listen for releases."""
    is_edge = isinstance(side, EdgeSide)
    tasks = []
    async with AsyncExitStack() as stack:
        for number in range(GATES):
            user = f"gate-{number}" if is_edge else ECHO_USER
            client = aiomqtt.Client(
                HOST,
                site.port,
                username=user,
                password=site.passwords[user],
                identifier=user if is_edge else f"{ECHO_USER}/{number}",
                socket_options=NO_DELAY,
            )
            side.clients.append(await stack.enter_async_context(client))
            side.heard.append(asyncio.Queue())
            name = f"gate-{number}" if is_edge else f"echo-{number}"
            await client.subscribe(f"anlin/v1/{name}/down/relay", qos=1)
            tasks.append(asyncio.create_task(side.listen(number)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _slowly(sides: list[Side]) -> None:
    """Give each side one read a second, never two at a time."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for turn in range(SLOW_ROUNDS):
        for place, side in enumerate(sides):
            await asyncio.sleep(start + turn + place / len(sides) - loop.time())
            took = await side.read(turn % GATES)
            if took is not None:
                side.slow_ms.append(took)


async def _fast(side: Side) -> None:
    """Give one side many reads a second, each gate one at a time."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def one(turn: int) -> None:
        took = await side.read(turn % GATES)
        if took is not None:
            side.fast_ms.append(took)

    async with asyncio.TaskGroup() as group:
        for turn in range(int(FAST_S * FAST_A_SECOND)):
            await asyncio.sleep(start + turn / FAST_A_SECOND - loop.time())
            group.create_task(one(turn))


def _figures(sides: dict[str, Side], rate: str, kept: str) -> Iterator[Figure]:
    ours: list[float] = getattr(sides["edge on anlin"], kept)
    for share, label, target in ((0.5, "p50", None), (0.99, "p99", TARGET_MS)):
        for name, side in sides.items():
            theirs: list[float] = getattr(side, kept)
            if side is not sides["edge on anlin"] and theirs:
                yield Figure(
                    f"card.{rate}.{label}",
                    quantile(ours, share),
                    "ms",
                    len(ours),
                    target,
                    name,
                    quantile(theirs, share),
                )
