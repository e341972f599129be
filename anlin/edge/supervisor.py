"""Keeps tasks running: what fails is logged and started again, ever more patiently."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.3
LONGEST_WAIT_S = 30.0
"""For what is far away: a hub that is down has nothing to gain from being asked more often."""

NEAR_WAIT_S = 5.0
"""For what doors need: readers, boards, the broker, the timers. Somebody stands outside and tries
again for some seconds, not for half a minute; and these are few, near, and cheap to try."""

HEALTHY_AFTER_S = 60.0
"""A task that ran this long begins again with the first wait."""


CANCEL_AGAIN_S = 5.0
"""A cancellation can get lost: in Python 3.11 `wait_for` swallows one that comes with its result.
Longer than a camera worker has to end."""


class Supervisor:
    """A group of named tasks that come back."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def keep(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        """Run work again whenever it returns or fails, until `drop`."""
        self.drop(name)
        kept = self._keep(name, work, longest_wait_s)
        self._tasks[name] = asyncio.create_task(kept, name=name)

    def until_done(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run work until it returns once without failing."""

        async def once() -> None:
            await work()
            self.drop(name)

        self.keep(name, once)

    def drop(self, name: str) -> None:
        """Stop one task; it is cancelled, not awaited."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        tasks = set(self._tasks.values())
        self._tasks.clear()
        while tasks:
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=CANCEL_AGAIN_S)

    async def _keep(
        self, name: str, work: Callable[[], Awaitable[None]], longest_wait_s: float
    ) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            started = time.monotonic()
            try:
                await work()
                log.info("task_ended", task=name)
            except Exception as error:  # noqa: BLE001  the one place that outlives any fault
                log.warning("task_failed", task=name, error=f"{type(error).__name__}: {error}")
            if time.monotonic() - started > HEALTHY_AFTER_S:
                wait_s = FIRST_WAIT_S
            # Spread out: a hundred edges must not knock on a restarted hub in one beat.
            await asyncio.sleep(wait_s * random.uniform(0.7, 1.3))  # noqa: S311
            wait_s = min(wait_s * 2, longest_wait_s)
