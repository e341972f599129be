"""The clock: set back or forward, it goes on steadily, tells it, and follows only the hub."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from anlin.edge import clock as module
from anlin.edge.clock import SteadyClock
from anlin.testing.clock import MORNING


class Sources:
    """The wall clock and the steady one, as the operating system gives them."""

    def __init__(self) -> None:
        self.wall = MORNING
        self.steady_s = 1000.0

    def pass_s(self, seconds: float, drift_s: float = 0.0) -> None:
        self.steady_s += seconds
        self.wall += timedelta(seconds=seconds + drift_s)

    def set(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)

    # As `datetime` and `time` are called by the clock.

    def now(self, zone: object) -> datetime:
        assert zone is UTC
        return self.wall

    def monotonic(self) -> float:
        return self.steady_s


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> Sources:
    sources = Sources()
    monkeypatch.setattr(module, "datetime", sources)
    monkeypatch.setattr(module, "time", sources)
    return sources


def test_it_keeps_time(sources: Sources) -> None:
    clock = SteadyClock()
    sources.pass_s(3600.5, drift_s=0.3)
    assert clock.now() == MORNING + timedelta(seconds=3600.5)
    assert clock.check() is None
    assert not clock.started_behind


@pytest.mark.parametrize("by_s", [-3600.0, -11.0, 11.0, 86_400.0])
def test_a_wall_clock_that_is_set_is_told_once_and_not_followed(
    sources: Sources, by_s: float
) -> None:
    clock = SteadyClock()
    sources.pass_s(60)
    before = clock.now()
    sources.set(by_s)
    assert clock.now() == before
    jump = clock.check()
    assert jump is not None
    assert (jump.by_s, jump.is_followed) == (by_s, False)
    sources.pass_s(60)
    assert clock.check() is None
    assert clock.now() == before + timedelta(seconds=60)
    sources.set(-by_s)
    back = clock.check()
    assert back is not None
    assert back.by_s == -by_s


def test_slow_drift_is_no_jump(sources: Sources) -> None:
    clock = SteadyClock()
    for _ in range(10):
        sources.pass_s(5, drift_s=0.9)
        assert clock.check() is None


def test_the_hub_is_followed_when_it_is_far_off(sources: Sources) -> None:
    clock = SteadyClock()
    assert clock.agree(MORNING + timedelta(seconds=9)) is None
    assert clock.now() == MORNING
    jump = clock.agree(MORNING + timedelta(hours=1))
    assert jump is not None
    assert (jump.by_s, jump.is_followed) == (3600.0, True)
    assert clock.now() == MORNING + timedelta(hours=1)
    assert clock.check() is None, "the wall clock did not move"
    sources.set(3600)
    told = clock.check()
    assert told is not None
    assert told.by_s == 3600.0
    assert clock.now() == MORNING + timedelta(hours=1)


def test_yesterday_is_not_lived_through_again(sources: Sources) -> None:
    last_event = MORNING + timedelta(days=1)
    clock = SteadyClock(not_before=last_event)
    assert clock.started_behind
    assert clock.now() == last_event
    sources.pass_s(30)
    assert clock.now() == last_event + timedelta(seconds=30)
    assert clock.check() is None


@pytest.mark.parametrize("ahead_s", [-3600.0, 0.0, 5.0])
def test_a_last_event_that_is_not_ahead_is_no_matter(sources: Sources, ahead_s: float) -> None:
    clock = SteadyClock(not_before=MORNING + timedelta(seconds=ahead_s))
    assert not clock.started_behind
    assert clock.now() == MORNING + timedelta(seconds=max(0.0, ahead_s))


def test_real_time_passes() -> None:
    clock = SteadyClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    assert clock.monotonic() <= clock.monotonic()
