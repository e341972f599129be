"""The wall clock is set about: what the edge's own clock makes of it, and the decisions on it.

In this process, on the edge's real clock, engine and journal: a process can't be given a wall
clock of its own without a library that is not everywhere, and this machine's is not ours to set.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self
from unittest.mock import patch

from anlin.core import device
from anlin.core.entities import Method
from anlin.edge.clock import JUMP, SteadyClock
from anlin.edge.engine import Engine
from anlin.edge.journal import Journal
from anlin.edge.replica import Replica
from anlin.sim.chaos.proof import Check, check
from anlin.testing import cast

JUMPS = 2000
MAX_JUMP_S = 10 * 365 * 86400
_LEFT = timedelta(minutes=30)


class Wall:
    """A wall clock that somebody sets."""

    offset = timedelta(0)


@contextmanager
def wall() -> Iterator[Wall]:
    """Let the edge's clock read a wall clock that can be set, for as long as this lasts."""
    set_by = Wall()

    class Set(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp((datetime.now(UTC) + set_by.offset).timestamp(), tz)

    with patch("anlin.edge.clock.datetime", Set):
        yield set_by


async def prove(home: Path, seed: int) -> list[Check]:
    """Set the wall clock back, forward, and thousands of times at random."""
    with wall() as set_by:
        return [
            await _decisions(home, set_by),
            _random_jumps(set_by, random.Random(seed)),  # noqa: S311
        ]


async def _decisions(home: Path, wall: Wall) -> Check:
    """Try the card of somebody whose lease ends in half an hour, around every kind of jump."""
    now = datetime.now(UTC)
    lin = replace(cast.LIN, valid_until=now + _LEFT)
    replica = Replica(home / "replica.sqlite3")
    records = [lin if record == cast.LIN else record for record in cast.RECORDS]
    replica.apply(cast.snapshot(records))
    wrong = []

    async def opens(clock: SteadyClock) -> bool:
        sent: list[device.Command] = []
        journal = Journal(home / "journal.sqlite3", "node-1", ballast=0)
        engine = Engine(replica, journal, clock, sent.append)
        engine.take(device.Read("gate-in", Method.CARD, "04A1B2C3"))
        await engine.settle()
        journal.close()
        return any(isinstance(command, device.Release) for command in sent)

    async def expect(name: str, clock: SteadyClock, is_open: bool) -> None:
        if await opens(clock) is not is_open:
            wrong.append(f"{name}: it {'stayed shut' if is_open else 'opened'}")

    wall.offset = timedelta(0)
    clock = SteadyClock()
    await expect("before any jump", clock, True)
    wall.offset = timedelta(days=1)
    jump = clock.check()
    if jump is None or jump.is_followed or abs(jump.by_s - 86400) > 1:
        wrong.append(f"a day forward was told as {jump}")
    await expect("set a day forward, not followed", clock, True)
    if clock.agree(datetime.now(UTC) + timedelta(days=1)) is None:
        wrong.append("the hub's time was not followed")
    await expect("the hub agrees: the lease is over", clock, False)
    wall.offset = timedelta(hours=-2)
    jump = clock.check()
    if jump is None or jump.by_s > -86400:
        wrong.append(f"set back behind the start was told as {jump}")
    await expect("set back: the lease stays over", clock, False)
    journal = Journal(home / "journal.sqlite3", "node-1", ballast=0)
    last = journal.last_at()
    journal.close()
    wall.offset = timedelta(days=-365)
    again = SteadyClock(last)
    if not again.started_behind:
        wrong.append("a start a year behind the last event was not told")
    await expect("started a year back: the lease stays over", again, False)
    replica.close()
    return check(
        "A wall clock that is set about neither revives nor ends a lease by itself",
        wrong,
        "forward, back, followed with the hub, and a start with a dead battery",
    )


def _random_jumps(wall: Wall, dice: random.Random) -> Check:
    """Set the wall clock at random: ours never runs backwards, and tells each jump once."""
    wall.offset = timedelta(0)
    clock = SteadyClock()
    wrong, last, told = [], clock.now(), 0
    for _ in range(JUMPS):
        before = wall.offset
        wall.offset = timedelta(seconds=dice.uniform(-MAX_JUMP_S, MAX_JUMP_S))
        jump, now = clock.check(), clock.now()
        if now < last:
            wrong.append(f"ran back by {last - now}")
        if abs(wall.offset - before) > JUMP * 2:
            told += jump is not None
            if jump is None:
                wrong.append(f"did not tell {wall.offset - before}")
        if clock.check() is not None:
            wrong.append("told a jump twice")
        last = now
    return check("The edge's clock never runs backwards", wrong, f"{JUMPS} jumps, {told} told")
