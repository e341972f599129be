"""Boards that decide by themselves: 15,000 holders pushed to 200 boards, and one card taken back.

Real UDP packets on the loopback, to boards that are simulated (`anlin.sim.uhppote_board`) in a
process of their own; a real board takes some ten times as long for each answer. The driver, the
link and the keeper are the edge's own, in this process; the engine is not asked, so the time to
make the table of a policy (`core.board.table_for`) is a figure of its own.

Smaller than it is meant to be with ANLIN_BENCH_BOARDS and ANLIN_BENCH_HOLDERS.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from anlin.core.board import Row, Table, table_for
from anlin.core.device import HoldTable, Report, TableState
from anlin.core.entities import Device, Method
from anlin.drivers.uhppote import UhppoteBoard
from anlin.edge.links.uhppote import UhppoteLink
from bench.report import Figure, quantile, say
from bench.rig.community import POINTS, SCHEDULES, YEAR, ZONE, city
from bench.rig.processes import Started, folder

BOARDS = int(os.environ.get("ANLIN_BENCH_BOARDS", "200"))
HOLDERS = int(os.environ.get("ANLIN_BENCH_HOLDERS", "15000"))
PUSH_TIMEOUT_S = 3 * 3600.0
REVOKE_TARGET_S = 5.0
"""A card that is taken back online is gone within five seconds (DOMAIN 4.2)."""

ROUNDS = 5
AT = YEAR + timedelta(days=100)


class Pushed:
    """One board as the edge sees it, and when its table was last proven."""

    def __init__(self, number: int, serial: int, port: int) -> None:
        settings = {
            "serial": serial,
            "address": f"127.0.0.1:{port}",
            "zone": ZONE,
            "doors": {
                str(door): {"portal": f"p{number}-{door}", "entry": f"a00-{door - 1}"}
                for door in range(1, POINTS)
            },
        }
        self.id = f"board-{number}"
        self.link = UhppoteLink(self.id, settings)
        self.driver = UhppoteBoard(Device(self.id, self.id, "n1", "uhppote", settings))
        self.proven_at = 0.0
        self.rows = 0
        self.proven = asyncio.Event()

    def hear(self, report: Report) -> None:
        """Note when the board is proven to hold exactly so many rows as it should."""
        if (
            isinstance(report, TableState)
            and report.rows == self.rows
            and report.held == report.wanted
            and not self.proven.is_set()
        ):
            self.proven_at = time.perf_counter()
            self.proven.set()

    async def hold(self, table: Table) -> None:
        """Give the board a table."""
        self.rows = len(table.rows)
        self.proven.clear()
        await self.driver.send(self.link, HoldTable(self.id, table))


def run() -> Iterator[Figure]:
    """Push everybody, then take back one card after another."""
    table, took_s = _table()
    yield Figure("boards.table", took_s * 1000, "ms", HOLDERS)
    with folder("boards") as home, ExitStack() as stack:
        ports = home / "ports.json"
        say(f"  starting {BOARDS} boards")
        command = [sys.executable, "-m", "anlin.sim.uhppote_board"]
        arguments = ["--boards", str(BOARDS), "--ports", str(ports)]
        boards = Started([*command, *arguments], "boards_ready", home / "boards.log")
        stack.callback(boards.stop)
        yield from asyncio.run(_measure(table, _ports(ports)))


def _table() -> tuple[Table, float]:
    """Make the table of building 0, into which everybody is let, by a card with a number."""
    say("  making the community")
    policy = city(HOLDERS).policy()
    points = [f"a00-{number}" for number in range(POINTS)]
    began = time.perf_counter()
    table_for(policy, points, frozenset({Method.CARD, Method.SECURE_CARD}), AT)
    took_s = time.perf_counter() - began
    schedules = {SCHEDULES["owner"].id: SCHEDULES["owner"]}
    access = {points[0]: (SCHEDULES["owner"].id,), points[1]: (), points[3]: ()}
    rows = tuple(
        Row(f"card-{number:05}", f"h{number}", "", Method.CARD, str(10_000_000 + number), access)
        for number in range(HOLDERS)
    )
    return Table(1, rows, schedules), took_s


def _ports(file: Path) -> dict[int, int]:
    return {int(serial): port for serial, port in json.loads(file.read_text()).items()}


async def _measure(table: Table, ports: dict[int, int]) -> list[Figure]:
    boards = [Pushed(number, serial, port) for number, (serial, port) in enumerate(ports.items())]
    tasks = []
    for board in boards:
        await board.link.open()
        tasks.append(asyncio.create_task(board.driver.run(board.link, board.hear)))
    try:
        say(f"  pushing {len(table.rows):,} cards to {len(boards)} boards")
        pushed = await _push(boards, table)
        say("  taking back one card at a time")
        revoked: list[float] = []
        for turn in range(ROUNDS):
            rest = Table(2 + turn, table.rows[turn + 1 :], table.schedules)
            revoked += await _push(boards, rest)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for board in boards:
            await board.link.close()
    cards = len(table.rows) * len(boards)
    return [
        Figure("boards.push.last", max(pushed), "s", len(boards)),
        Figure("boards.push.rate", cards / max(pushed), "cards/s", cards),
        Figure("boards.revoke.p50", quantile(revoked, 0.5), "s", len(revoked)),
        Figure("boards.revoke.last", max(revoked), "s", len(revoked), REVOKE_TARGET_S),
    ]


async def _push(boards: list[Pushed], table: Table) -> list[float]:
    """Give all boards a table; seconds until each was read back as equal."""
    began = time.perf_counter()
    for board in boards:
        await board.hold(table)
    async with asyncio.timeout(PUSH_TIMEOUT_S):
        await asyncio.gather(*(board.proven.wait() for board in boards))
    return [board.proven_at - began for board in boards]
