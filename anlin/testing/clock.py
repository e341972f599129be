"""A clock that moves only when a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MORNING = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
"""Half past seven on a Saturday morning in Shanghai."""


class FakeClock:
    """The `Clock` of `anlin.edge.clock` under a test's control."""

    def __init__(self, start: datetime = MORNING) -> None:
        self._now = start
        self._counted_s = 0.0

    def now(self) -> datetime:
        """Give the time, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Give seconds of a clock that only counts up."""
        return self._counted_s

    def advance(self, seconds: float) -> datetime:
        """Let time pass; give the time it is then.

        Raises:
            ValueError: time does not run backwards; a clock that is set back uses `jump`.
        """
        if seconds < 0:
            raise ValueError(f"clock: can't advance by {seconds} s")
        self._counted_s += seconds
        self._now += timedelta(seconds=seconds)
        return self._now

    def jump(self, seconds: float) -> datetime:
        """Set the time forward or back without any passing; give the time it is then."""
        self._now += timedelta(seconds=seconds)
        return self._now
