"""Notices that this process stood still: stopped, swapped out, or its machine paused.

What came meanwhile waits in sockets and looks fresh when it is read at last. Who stood at a gate
then has long gone, and somebody else may stand there now.
"""

from __future__ import annotations

from anlin.edge.clock import Clock

STOOD_STILL_S = 3.0
"""No turn of the loop takes so long by itself, not on a small board under load; and a read that
is older by less opens for nobody whom the limit of ten seconds keeps out for good reason."""

DRAIN_S = 2.0
"""After it: until then what waited in our sockets, and in the broker's, has come through."""


class Pulse:
    """The heartbeat of one process: `beat` it with every sign of life, and it tells the gaps.

    The first beat tells none: nothing could wait before anybody listened.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: float | None = None

    def beat(self) -> float:
        """Give for how many seconds the process stood still before this beat; mostly 0."""
        now = self._clock.monotonic()
        gap_s = 0.0 if self._last is None else now - self._last
        self._last = now
        return gap_s if gap_s > STOOD_STILL_S else 0.0
