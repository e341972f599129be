"""The edge's clock: real time that never runs backwards and does not jump by itself.

Time is the wall clock at the start plus what a steady clock has counted since. Somebody who
sets the wall clock back an hour does not give an expired pass its hour back; the jump is told,
and believed only when the hub's time agrees with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

JUMP = timedelta(seconds=10)
"""Ordinary drift and slewing stay far below this within one check."""


class Clock(Protocol):
    """Where the edge asks for the time."""

    def now(self) -> datetime:
        """Give the time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds of a clock that only counts up."""
        ...


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock left the steady one; `by_s` is how far (negative: set back)."""

    by_s: float
    is_followed: bool


class SteadyClock:
    """The clock of a running edge."""

    def __init__(self, not_before: datetime | None = None) -> None:
        """Start at the wall clock, or at `not_before` where the wall clock is behind it.

        `not_before` is the time of the last journalled event: a box whose clock lost its
        battery must not live through yesterday again.
        """
        wall = datetime.now(UTC)
        self.started_behind = not_before is not None and wall < not_before - JUMP
        self._base = max(wall, not_before) if not_before is not None else wall
        self._started = time.monotonic()
        self._offset = wall - self._base

    def now(self) -> datetime:
        """Give the time, aware, in UTC."""
        return self._base + timedelta(seconds=time.monotonic() - self._started)

    def monotonic(self) -> float:
        """Give seconds of a clock that only counts up."""
        return time.monotonic()

    def check(self) -> Jump | None:
        """Compare with the wall clock; tell a jump once."""
        offset = datetime.now(UTC) - self.now()
        if abs(offset - self._offset) <= JUMP:
            return None
        moved, self._offset = offset - self._offset, offset
        return Jump(moved.total_seconds(), is_followed=False)

    def agree(self, hub_now: datetime) -> Jump | None:
        """Take the hub's time when ours is further off than a jump; tell that once."""
        error = hub_now - self.now()
        if abs(error) <= JUMP:
            return None
        self._base += error
        self._offset -= error
        return Jump(error.total_seconds(), is_followed=True)
