"""The pulse: a gap between two signs of life is told, once, and an ordinary delay is not."""

from __future__ import annotations

from anlin.edge.pulse import STOOD_STILL_S, Pulse
from anlin.testing.clock import FakeClock


def test_a_process_that_stood_still_is_noticed_once() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    clock.advance(20)
    assert pulse.beat() == 0, "it was only starting"
    clock.advance(45)
    assert pulse.beat() == 45
    assert pulse.beat() == 0


def test_a_busy_process_did_not_stand_still() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    pulse.beat()
    for _ in range(20):
        clock.advance(STOOD_STILL_S)
        assert pulse.beat() == 0


def test_setting_the_clock_is_no_standing_still() -> None:
    clock = FakeClock()
    pulse = Pulse(clock)
    pulse.beat()
    clock.jump(3600)
    assert pulse.beat() == 0
