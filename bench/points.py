"""One edge with 200 access points at 500 presentations a second: read to release, on one core.

The engine, replica and journal of an edge in this process, pinned to one core, with 50,000
holders: each read is decided, stepped through its portal, journalled with its hash, made
durable, and only then released. Arrivals are random (Poisson) and are not slowed down when the
engine is behind. Beside it the plain way: look the card up in a table, write one row, commit.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from anlin.core import device
from anlin.core.entities import Direction, Method, Status
from anlin.edge.clock import SteadyClock
from anlin.edge.engine import Engine
from anlin.edge.journal import Journal
from anlin.edge.replica import Replica
from bench.report import Figure, quantile, say
from bench.rig.community import City, city
from bench.rig.processes import folder

A_SECOND, SECONDS, ROUNDS = 500, 10.0, 2
TARGET_MS = 10.0
TICK_S = 0.05

Offer = Callable[[int], None]


def run() -> Iterator[Figure]:
    """Offer the same load to both sides in turn."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    say("  making the community")
    place = city()
    reads = _reads(place, int(A_SECOND * SECONDS))
    ours: list[float] = []
    theirs: list[float] = []
    busy: list[float] = []
    with folder("points") as home:
        replica = Replica(home / "replica.sqlite3")
        replica.apply(place.delta())
        for number in range(ROUNDS):
            say(f"  round {number + 1} of {ROUNDS}")
            spent, share = asyncio.run(_edge(home / f"journal-{number}.sqlite3", replica, reads))
            ours += spent
            busy.append(share)
            theirs += asyncio.run(_plain(home / f"plain-{number}.sqlite3", place, reads))
        replica.close()
    peer, n = "a table and a commit each", len(ours)
    for share, label, target in ((0.5, "p50", None), (0.99, "p99", TARGET_MS)):
        beside = quantile(theirs, share)
        yield Figure(f"points.{label}", quantile(ours, share), "ms", n, target, peer, beside)
    yield Figure("points.core", 100 * quantile(busy, 0.5), "% of one core", ROUNDS)


def _reads(place: City, count: int) -> list[tuple[str, str]]:
    """Choose (point, card): nine of ten are shown where they open."""
    dice = random.Random(11)
    cards = [c for c in place.credentials if c.method is Method.CARD and c.status is Status.ACTIVE]
    homes = {holder.id: holder.memberships[0].group[1:3] for holder in place.holders}
    entries = [point for point in place.points if point.direction is Direction.ENTRY]
    chosen = []
    for _ in range(count):
        card = dice.choice(cards)
        at_home = [point for point in entries if point.id[1:3] == homes[card.holder]]
        point = dice.choice(at_home if dice.random() < 0.9 else entries)
        chosen.append((point.id, card.key))
    return chosen


async def _edge(
    path: Path, replica: Replica, reads: list[tuple[str, str]]
) -> tuple[list[float], float]:
    """Give milliseconds from read to release or refusal, and the share of the core it took."""
    shown: dict[str, float] = {}
    spent: list[float] = []
    waiting: dict[str, list[float]] = {}

    def dispatch(command: device.Command) -> None:
        # The screen is told last: whatever the answer, the person has it now.
        if isinstance(command, device.Show) and waiting.get(command.point):
            spent.append((time.perf_counter() - waiting[command.point].pop(0)) * 1000)

    journal = Journal(path, "bench")
    engine = Engine(replica, journal, SteadyClock(None), dispatch)
    gc.collect()
    gc.freeze()

    def offer(number: int) -> None:
        point, key = reads[number]
        waiting.setdefault(point, []).append(shown[str(number)])
        engine.take(device.Read(point, Method.CARD, key, f"d/{path.stem}-{number}"))

    async def tick() -> None:
        while True:
            engine.tick()
            await asyncio.sleep(TICK_S)

    ticking = asyncio.create_task(tick())
    used = time.process_time()
    began = time.perf_counter()
    await _arrive(len(reads), offer, shown)
    await engine.settle()
    share = (time.process_time() - used) / (time.perf_counter() - began)
    ticking.cancel()
    journal.close()
    return spent, share


async def _plain(path: Path, place: City, reads: list[tuple[str, str]]) -> list[float]:
    """Give milliseconds from read to the commit of one row, on a thread of its own."""
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE card (key TEXT PRIMARY KEY, holder TEXT)")
    db.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, at TEXT, point TEXT, holder TEXT)")
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO card VALUES (?, ?)",
        ((c.key, c.holder) for c in place.credentials if c.method is Method.CARD),
    )
    db.execute("COMMIT")
    shown: dict[str, float] = {}
    spent: list[float] = []

    def work(number: int) -> None:
        point, key = reads[number]
        row = db.execute("SELECT holder FROM card WHERE key = ?", (key,)).fetchone()
        at = datetime.now(UTC).isoformat()
        db.execute(
            "INSERT INTO log (at, point, holder) VALUES (?, ?, ?)",
            (at, point, row[0] if row is not None else None),
        )
        spent.append((time.perf_counter() - shown[str(number)]) * 1000)

    with ThreadPoolExecutor(1) as pool:
        await _arrive(len(reads), lambda number: pool.submit(work, number) and None, shown)
    db.close()
    return spent


async def _arrive(count: int, offer: Offer, shown: dict[str, float]) -> None:
    """Let people come at random, and count from when they came, not from when they were heard."""
    dice = random.Random(5)
    due = time.perf_counter()
    for number in range(count):
        due += dice.expovariate(A_SECOND)
        pause = due - time.perf_counter()
        await asyncio.sleep(max(0.0, pause))
        shown[str(number)] = due
        offer(number)
