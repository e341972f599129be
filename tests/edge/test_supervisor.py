"""The supervisor: what fails comes back, ever more patiently, and stops when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from anlin.edge import supervisor as module
from anlin.edge.supervisor import NEAR_WAIT_S, Supervisor


class Naps:
    """Sleep that takes no time and remembers how long it should have been."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await real_sleep(0)

    def monotonic(self) -> float:
        return self.now


real_sleep = asyncio.sleep


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    naps = Naps()
    monkeypatch.setattr(module.asyncio, "sleep", naps.sleep)
    monkeypatch.setattr(module, "time", naps)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: 1.0)
    return naps


@pytest_asyncio.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop()


async def until(condition: object) -> None:
    async with asyncio.timeout(5):
        while not condition():  # type: ignore[operator]
            await real_sleep(0)


async def test_what_fails_comes_back_ever_more_patiently(
    supervisor: Supervisor, naps: Naps
) -> None:
    async def fail() -> None:
        raise OSError("hub unreachable")

    with capture_logs() as logs:
        supervisor.keep("outbox", fail)
        await until(lambda: len(naps.waits) >= 9)
    assert naps.waits[:9] == [0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 30.0, 30.0]
    assert logs[0] == {
        "event": "task_failed",
        "log_level": "warning",
        "task": "outbox",
        "error": "OSError: hub unreachable",
    }


async def test_what_a_door_needs_is_never_left_for_long(supervisor: Supervisor, naps: Naps) -> None:
    async def fail() -> None:
        raise OSError("the board does not answer")

    supervisor.keep("board-1", fail, NEAR_WAIT_S)
    await until(lambda: len(naps.waits) >= 7)
    assert naps.waits[:7] == [0.3, 0.6, 1.2, 2.4, 4.8, 5.0, 5.0]


async def test_a_task_that_was_healthy_begins_again_with_the_first_wait(
    supervisor: Supervisor, naps: Naps
) -> None:
    lives = iter([1, 1, 1, 61, 1])

    async def live() -> None:
        naps.now += next(lives, 1)
        raise OSError("gone")

    supervisor.keep("down-stream", live)
    await until(lambda: len(naps.waits) >= 5)
    assert naps.waits[:5] == [0.3, 0.6, 1.2, 0.3, 0.6]


async def test_what_returns_comes_back_too(supervisor: Supervisor, naps: Naps) -> None:
    runs = []

    async def end() -> None:
        runs.append(1)

    supervisor.keep("mqtt", end)
    await until(lambda: len(runs) >= 3)


async def test_work_until_done_is_done_once_it_does_not_fail(
    supervisor: Supervisor, naps: Naps
) -> None:
    outcomes = [OSError("not yet"), OSError("not yet"), None]
    runs = []

    async def work() -> None:
        runs.append(1)
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    supervisor.until_done("gallery", work)
    await until(lambda: not outcomes)
    for _ in range(20):
        await real_sleep(0)
    assert len(runs) == 3


async def test_one_that_fails_disturbs_no_other(supervisor: Supervisor) -> None:
    beats = []

    async def fail() -> None:
        raise RuntimeError("broken driver")

    async def beat() -> None:
        while True:
            beats.append(1)
            await real_sleep(0)

    supervisor.keep("bad", fail)
    supervisor.keep("good", beat)
    await until(lambda: len(beats) > 20)


async def test_dropped_and_replaced_tasks_stop(supervisor: Supervisor) -> None:
    alive: set[str] = set()

    def work(name: str) -> object:
        async def run() -> None:
            alive.add(name)
            try:
                await real_sleep(60)
            finally:
                alive.discard(name)

        return run

    supervisor.keep("gate-1", work("first"))  # type: ignore[arg-type]
    await until(lambda: alive == {"first"})
    supervisor.keep("gate-1", work("second"))  # type: ignore[arg-type]
    await until(lambda: alive == {"second"})
    supervisor.drop("gate-1")
    supervisor.drop("never-there")
    await until(lambda: not alive)


async def test_stop_waits_until_everything_has_ended() -> None:
    supervisor = Supervisor()
    ended = []

    async def slow_to_end() -> None:
        try:
            await real_sleep(60)
        finally:
            await real_sleep(0.01)
            ended.append(1)

    for number in range(5):
        supervisor.keep(str(number), slow_to_end)
    await real_sleep(0)
    await supervisor.stop()
    assert len(ended) == 5


async def test_a_cancellation_that_got_lost_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANCEL_AGAIN_S", 0.02)
    cancelled = []

    async def deaf() -> None:
        while True:
            try:
                await real_sleep(60)
            except asyncio.CancelledError:
                cancelled.append(1)
                if len(cancelled) == 3:
                    raise

    supervisor = Supervisor()
    supervisor.keep("mqtt", deaf)
    await real_sleep(0)
    await asyncio.wait_for(supervisor.stop(), 5)
    assert len(cancelled) == 3
