"""A week without the hub: the edge goes on, and then the hub catches up with all of it.

The edge's engine, journal and outbox in this process, at simulated times; the hub's web process
over HTTP, killed twice while it catches up.

    python -m anlin.sim.chaos.week --home DIR --events 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import sqlite3
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog

from anlin import up
from anlin.core import device
from anlin.core.codec import to_data
from anlin.core.entities import Method
from anlin.core.sync import VERSIONS_SPOKEN, Enrol
from anlin.edge.engine import Engine
from anlin.edge.journal import Journal
from anlin.edge.records import Break, Records
from anlin.edge.replica import Replica
from anlin.edge.uplink import HubError, Outbox
from anlin.sim import prepare
from anlin.sim.chaos.proof import Check, check
from anlin.testing import cast
from anlin.testing.clock import FakeClock
from anlin.wire import keys

WEEK = timedelta(days=7)
EVENTS_A_PASSAGE = 3
"""Granted, taken, closed."""

MOST_S = 3.0
"""To reach for the door, and to walk through it."""

PASSAGES_A_TURN = 300
KILL_AT = (0.3, 0.7)
"""Shares of the catching up at which the hub dies."""

READY_S = 60.0
STUCK_S = 120.0
SEED_OF_PEOPLE = 7


async def run(home: Path, events: int) -> dict[str, Any]:
    """Live the week and catch up; give counts, durations, sizes and checks."""
    node, token = await asyncio.to_thread(_found, home)
    folder = home / "edge-1"
    journal = Journal(folder / "journal.sqlite3", node)
    began = time.monotonic()
    passages, first, last = await _live(folder, journal, events)
    lived_s = time.monotonic() - began
    size = sum(path.stat().st_size for path in folder.glob("journal.sqlite3*"))
    print(f"{journal.seq} events written in {lived_s:.0f} s, {size / 1e6:.0f} MB", flush=True)  # noqa: T201
    began = time.monotonic()
    kills = await _catch_up(home, token, journal)
    caught_up_s = time.monotonic() - began
    print(f"the hub caught up in {caught_up_s:.0f} s", flush=True)  # noqa: T201
    seq = journal.seq
    journal.close()
    checks = await asyncio.to_thread(_prove, home, node, folder / "journal.sqlite3", passages)
    hub_size = sum(path.stat().st_size for path in (home / "hub").glob("*.sqlite3*"))
    return {
        "events": seq,
        "passages": passages,
        "days": round((last - first) / timedelta(days=1), 2),
        "lived_s": round(lived_s, 1),
        "caught_up_s": round(caught_up_s, 1),
        "hub_kills": kills,
        "journal_mb": round(size / 1e6, 1),
        "hub_mb": round(hub_size / 1e6, 1),
        "checks": [to_data(item) for item in checks],
    }


def _found(home: Path) -> tuple[str, str]:
    """Make the hub's tables, a community and an enrolled node; give its id and token."""
    from django.core.management import call_command

    from anlin.hub.audit.log import Actor
    from anlin.hub.devices import services as devices
    from anlin.hub.people import services as people

    call_command("migrate", verbosity=0, interactive=False)
    call_command("migrate", "events", database="events", verbosity=0, interactive=False)
    by = Actor.command("anlin chaos")
    community = people.create_community("天宝绿洲", by)
    node, code = devices.create_node(community, "门房 gatehouse", by)
    key = keys.public_sealing_key(keys.new_sealing_key())
    enrolled = devices.enrol_node(Enrol(code, key, VERSIONS_SPOKEN, "anlin-sim"))
    return node.pk, enrolled.token


async def _live(folder: Path, journal: Journal, events: int) -> tuple[int, datetime, datetime]:
    """Let residents pass for a week; give how many passages, and the first and last time."""
    replica = Replica(folder / "replica.sqlite3")
    replica.apply(cast.snapshot(cast.RECORDS))
    clock = FakeClock()
    engine = Engine(replica, journal, clock, lambda _: None)
    dice = random.Random(SEED_OF_PEOPLE)  # noqa: S311
    passages = max(1, events // EVENTS_A_PASSAGE)
    pause_s = WEEK.total_seconds() / passages
    first = clock.now()
    for number in range(passages):
        origin = f"gate-1/1-{number}"
        engine.take(device.Read("gate-in", Method.CARD, "04A1B2C3", f"{origin}-read"))
        reach_s, walk_s = (min(MOST_S, pause_s * dice.uniform(0.2, 0.4)) for _ in range(2))
        clock.advance(reach_s)
        engine.take(device.Contact("gate", device.ContactLevel.OPEN, f"{origin}-open"))
        clock.advance(walk_s)
        engine.take(device.Contact("gate", device.ContactLevel.CLOSED, f"{origin}-closed"))
        clock.advance(pause_s - reach_s - walk_s)
        if number % PASSAGES_A_TURN == 0:
            engine.tick()
            await engine.settle()
    await engine.settle()
    replica.close()
    return passages, first, clock.now()


async def _catch_up(home: Path, token: str, journal: Journal) -> int:
    """Send everything to a hub that dies on the way; give how often it did."""
    port = up.free_port()
    addresses = up.Addresses(hub=port)
    web = next(program for program in up.hub_programs(home, addresses) if program.name == "web")
    outbox = Outbox(addresses.hub_url, token, journal, home / "edge-1" / "media", lambda: 1)
    marks = [int(share * journal.seq) for share in KILL_AT]
    process = await _start(web)
    kills, moved_at = 0, time.monotonic()
    try:
        while journal.acked < journal.seq:
            before = journal.acked
            try:
                await outbox.step()
            except (HubError, httpx.HTTPError):
                await asyncio.sleep(0.1)
            if journal.acked > before:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > STUCK_S:
                break
            if marks and journal.acked >= marks[0]:
                marks.pop(0)
                sending = asyncio.create_task(outbox.step())
                await asyncio.sleep(0.005)
                _kill(process.pid)
                await process.wait()
                kills += 1
                with contextlib.suppress(HubError, httpx.HTTPError):
                    await sending
                process = await _start(web)
    finally:
        _kill(process.pid)
        await process.wait()
        await outbox.close()
    return kills


async def _start(web: up.Program) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *web.command, env={**os.environ, **web.env}, start_new_session=True
    )
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient() as client:
                await client.get(f"http://{up.HOST}:{web.port}/login")
                return process
        await asyncio.sleep(0.1)
    raise SystemExit("chaos: the hub did not start")


def _kill(leader: int) -> None:
    """Kill a process and what it started, which it leads as a group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, 9)


def _prove(home: Path, node: str, journal: Path, passages: int) -> list[Check]:
    from anlin.hub.events.models import Event, Quarantine

    records = Records(journal, node=node)
    breaks = [f"seq {b.seq}: {b.rule}" for b in records.breaks() if isinstance(b, Break)]
    count = records.count
    records.close()
    wrong: list[str] = []
    stored = 0
    theirs = Event.objects.filter(node=node).order_by("seq").values_list("seq", "hash").iterator()
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        grants = db.execute("SELECT count(*) FROM event WHERE kind = 'access_granted'").fetchone()
        ours = db.execute("SELECT seq, hash FROM event ORDER BY seq")
        for seq, digest in theirs:
            stored += 1
            row = ours.fetchone()
            if row is None or tuple(row) != (seq, digest):
                wrong.append(f"the hub's seq {seq} is not the journal's")
                break
    if stored != count:
        wrong.append(f"the hub holds {stored} of {count}")
    if grants[0] != passages:
        wrong.append(f"{grants[0]} grants of {passages} passages")
    aside = Quarantine.objects.filter(node=node).count()
    if aside:
        wrong.append(f"{aside} events were set aside")
    return [
        check("The chain of a week's journal is whole", breaks, f"{count} events"),
        check("The hub holds the week once, in order", wrong, f"{stored} events"),
    ]


def main() -> None:
    """Live the week in a folder and write the result beside it."""
    parser = argparse.ArgumentParser(prog="python -m anlin.sim.chaos.week")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--events", type=int, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    prepare.setup(given.home)
    result = asyncio.run(run(given.home, given.events))
    (given.home / "week.json").write_text(json.dumps(result, ensure_ascii=False, indent=1))
    sys.exit(0 if all(item["is_ok"] for item in result["checks"]) else 1)


if __name__ == "__main__":
    main()
