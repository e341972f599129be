"""The journal: durable, hash-chained events, 200 producers at once and 500 a second.

Beside it SQLite with one row a commit and Django's ORM in batches of fifty, both with
synchronous=FULL in a file on the same disk, and both without a chain.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anlin.core.event import Draft, EventKind
from anlin.edge.journal import Journal
from bench.report import Figure, quantile, say
from bench.rig.processes import folder

PRODUCERS = 200
EVENTS_A_ROUND, ROUNDS = 40_000, 3
PACED_A_SECOND, PACED_S = 500, 4.0
PEER_ROWS = 3_000
BULK = 50

_TABLE = """CREATE TABLE event (seq INTEGER PRIMARY KEY, boot INTEGER, at TEXT, kind TEXT,
    subject TEXT, data TEXT, revision INTEGER, hash TEXT, origin TEXT)"""

Append = Callable[[int], Awaitable[object]]
Opened = Callable[[Path], AbstractAsyncContextManager[Append]]
"""Opens a log at a path and gives what appends the event of a number, durable on return."""


@dataclass(slots=True)
class Side:
    """One way to keep events, and what it took."""

    name: str
    opened: Opened
    events: int
    rates: list[float] = field(default_factory=list)
    full_ms: list[float] = field(default_factory=list)
    paced_ms: list[float] = field(default_factory=list)


def run() -> Iterator[Figure]:
    """Append at full speed and paced, each round beside the peers."""
    ours = Side("anlin", _journal, EVENTS_A_ROUND)
    alone = Side("sqlite3, one row a commit", _one_by_one, PEER_ROWS)
    bulk_rates: list[float] = []
    with folder("journal") as home:
        bulk = _orm(home / "orm.sqlite3")
        for number in range(ROUNDS):
            say(f"  round {number + 1} of {ROUNDS}")
            for side in (ours, alone):
                asyncio.run(_flat_out(home / f"{side.name}-{number}.sqlite3", side))
                asyncio.run(_paced(home / f"{side.name}-paced-{number}.sqlite3", side))
            bulk_rates.append(bulk())
    rate, n = quantile(ours.rates, 0.5), EVENTS_A_ROUND * ROUNDS
    for peer, rates in ((alone.name, alone.rates), (f"Django ORM, {BULK} a commit", bulk_rates)):
        yield Figure("journal.rate", rate, "events/s", n, 20_000, peer, quantile(rates, 0.5))
    for what, kept in (
        (f"{PACED_A_SECOND}_a_second", "paced_ms"),
        (f"{PRODUCERS}_producers", "full_ms"),
    ):
        mine, theirs = getattr(ours, kept), getattr(alone, kept)
        for label, share, target in (("p50", 0.5, None), ("p99", 0.99, 10.0)):
            value, beside = quantile(mine, share), quantile(theirs, share)
            name = f"journal.{what}.{label}"
            yield Figure(name, value, "ms", len(mine), target, alone.name, beside)


def draft(number: int) -> Draft:
    """Make the event of a grant, as the engine writes it."""
    data = {
        "reason": "granted",
        "method": "card",
        "point": "a07-1",
        "portal": "p07-1",
        "holder": f"h{number}",
        "label": f"Lin {number}",
        "credential": f"h{number}-card",
        "rule": "r07.owner",
        "level": 1,
        "latency_ms": 3.0,
        "offline": False,
        "liveness": "unavailable",
        "release": f"{number:016x}",
    }
    at = datetime.now(UTC)
    return Draft(EventKind.ACCESS_GRANTED, "a07-1", at, data, 41, f"gate-1/1-{number}")


@asynccontextmanager
async def _journal(path: Path) -> AsyncIterator[Append]:
    journal = Journal(path, "n1")
    try:
        yield lambda number: journal.append(draft(number))
    finally:
        journal.close()


@asynccontextmanager
async def _one_by_one(path: Path) -> AsyncIterator[Append]:
    """Write from a thread as the journal does, but each row in a commit of its own."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(_TABLE)
    loop = asyncio.get_running_loop()

    def insert(number: int) -> None:
        connection.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?)", _row(number))

    with ThreadPoolExecutor(1) as thread:
        yield lambda number: loop.run_in_executor(thread, insert, number)
    connection.close()


async def _flat_out(path: Path, side: Side) -> None:
    """Let every producer append one event after the other."""
    async with side.opened(path) as append:
        left = iter(range(side.events))

        async def produce() -> None:
            for event in left:
                began = time.perf_counter()
                await append(event)
                side.full_ms.append((time.perf_counter() - began) * 1000)

        began = time.perf_counter()
        await asyncio.gather(*(produce() for _ in range(PRODUCERS)))
        side.rates.append(side.events / (time.perf_counter() - began))


async def _paced(path: Path, side: Side) -> None:
    """Append at a steady pace, whether or not the events before are durable yet."""
    loop = asyncio.get_running_loop()
    async with side.opened(path) as append:

        async def one(event: int) -> None:
            began = time.perf_counter()
            await append(event)
            side.paced_ms.append((time.perf_counter() - began) * 1000)

        start = loop.time()
        async with asyncio.TaskGroup() as group:
            for event in range(int(PACED_A_SECOND * PACED_S)):
                await asyncio.sleep(start + event / PACED_A_SECOND - loop.time())
                group.create_task(one(event))


def _row(number: int) -> tuple[Any, ...]:
    event = draft(number)
    data = json.dumps(dict(event.data), separators=(",", ":"))
    kind = event.kind.value
    return (None, 1, event.at.isoformat(), kind, event.subject, data, 41, "0" * 64, event.origin)


def _orm(path: Path) -> Callable[[], float]:
    """Set Django up on a file of its own; give what writes a round there."""
    import django
    from django.conf import settings
    from django.db import connection, models

    options = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"}
    backend = "django.db.backends.sqlite3"
    settings.configure(
        DATABASES={"default": {"ENGINE": backend, "NAME": path, "OPTIONS": options}},
        USE_TZ=True,
    )
    django.setup()

    class Row(models.Model):
        seq = models.BigAutoField(primary_key=True)
        boot = models.IntegerField()
        at = models.TextField()
        kind = models.TextField()
        subject = models.TextField()
        data = models.TextField()
        revision = models.IntegerField()
        hash = models.TextField()
        origin = models.TextField()

        class Meta:
            app_label = "bench"

    with connection.schema_editor() as editor:
        editor.create_model(Row)
    names = ("boot", "at", "kind", "subject", "data", "revision", "hash", "origin")

    def write() -> float:
        began = time.perf_counter()
        for start in range(0, PEER_ROWS, BULK):
            rows = [_row(number)[1:] for number in range(start, start + BULK)]
            Row.objects.bulk_create(Row(**dict(zip(names, row, strict=True))) for row in rows)
        return PEER_ROWS / (time.perf_counter() - began)

    return write
