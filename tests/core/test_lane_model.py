"""A lane beside a plain model of it: where may a car be, and what has become of each grant?"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anlin.core.device import ArmPosition, LoopPlace
from anlin.core.entities import Portal, PortalKind
from anlin.core.event import EventKind
from anlin.core.hold import Cause, Maintenance, Override
from anlin.core.lane import (
    GONE_AFTER,
    ArmRead,
    Input,
    Looked,
    LoopRead,
    Status,
    StruckRead,
    next_deadline,
    step,
)
from anlin.core.portal import (
    FireRead,
    FireRestore,
    Granted,
    Happened,
    Lock,
    Lockdown,
    PortalState,
    ScheduleRead,
    Tick,
    Unlock,
)
from anlin.testing.clock import MORNING

LANE = Portal("lane", "车行道", PortalKind.BARRIER, grant_s=15.0, is_escape_route=False)
LANES = [LANE, replace(LANE, entry_s=5.0), replace(LANE, needs_first_person=True)]
WAITS_S = [0.0, 0.3, 0.7, 1.0, 2.9, 3.0, 5.0, 8.0, 12.0, 15.0, 30.0]
LONG = timedelta(days=2)
TAKEN, NOT_TAKEN = EventKind.ACCESS_TAKEN, EventKind.ACCESS_NOT_TAKEN
ONE_CAR = {
    TAKEN,
    EventKind.LANE_BYPASSED,
    EventKind.VEHICLE_PASSED,
    EventKind.VEHICLE_REVERSED,
    EventKind.VEHICLE_FOLLOWED,
}


class LaneBesidePaper(RuleBasedStateMachine):
    """Every input in every order; cars appear and vanish as only a hostile loop could say."""

    def __init__(self) -> None:
        super().__init__()
        self.at = MORNING
        self.count = 0
        self.given: dict[str, Granted] = {}
        self.settled: dict[str, EventKind] = {}
        self.approach: bool | None = None
        self.under: bool | None = None
        self.left_approach_at: datetime | None = None
        self.fire_input = self.fire = self.lockdown = self.scheduled = False
        self.unlocked_until: datetime | None = None
        self.locked_until: datetime | None = None
        self.awaits = False

    @initialize(
        portal=st.sampled_from(LANES),
        has_approach=st.booleans(),
        has_under=st.booleans(),
        has_arm=st.booleans(),
    )
    def begin(self, portal: Portal, *, has_approach: bool, has_under: bool, has_arm: bool) -> None:
        self.portal, self.status = portal, Status()
        self.has_approach, self.has_under, self.has_arm = has_approach, has_under, has_arm

    def held_up_by(self) -> Cause | None:
        if self.fire:
            return Cause.FIRE
        if self.lockdown or self.locked_until is not None:
            return None
        if self.unlocked_until is not None:
            return Cause.OPERATOR
        return Cause.SCHEDULE if self.scheduled and not self.awaits else None

    def give(self, given: Input) -> list[EventKind]:
        between = self.left_approach_at
        self.status, effects = step(self.portal, self.status, given, self.at)
        told: list[EventKind] = []
        for effect in effects:
            match effect:
                case Lock():
                    # Never onto a car: not under the arm, and not on its way from loop to loop.
                    assert not self.under
                    assert between is None or self.at >= between + GONE_AFTER
                    assert self.held_up_by() is None
                case Unlock():
                    self.has_a_cause(effect, given)
                case Happened():
                    told.append(effect.kind)
                    if effect.kind in (TAKEN, NOT_TAKEN):
                        self.settle(effect)
        return told

    def has_a_cause(self, unlock: Unlock, given: Input) -> None:
        if unlock.id:
            assert isinstance(given, Granted)
            assert (given.id, given.cause) == (unlock.id, unlock.cause)
            assert self.fire or not (self.lockdown and given.cause is Cause.OPERATOR)
        else:
            assert unlock.cause is self.held_up_by()
            assert unlock.seconds is None

    def settle(self, happened: Happened) -> None:
        id_ = happened.data["release"]
        assert id_ in self.given
        assert id_ not in self.settled
        self.settled[id_] = happened.kind
        is_first = self.scheduled and self.given[id_].cause is Cause.DECISION and not self.fire
        if happened.kind is TAKEN and is_first:
            self.awaits = False

    def wait_until(self, moment: datetime) -> None:
        while (due := next_deadline(self.status)) is not None and due <= moment:
            self.at = max(due, self.at)
            self.expire()
            self.give(Tick())
        self.at = moment
        self.expire()

    def expire(self) -> None:
        if self.unlocked_until is not None and self.at >= self.unlocked_until:
            self.unlocked_until = None
        if self.locked_until is not None and self.at >= self.locked_until:
            self.locked_until = None

    # What may happen

    @rule(seconds=st.sampled_from(WAITS_S))
    def wait(self, seconds: float) -> None:
        self.wait_until(self.at + timedelta(seconds=seconds))

    @rule(cause=st.sampled_from([Cause.DECISION, Cause.DECISION, Cause.OPERATOR, Cause.EXIT]))
    def grant(self, cause: Cause) -> None:
        self.count += 1
        grant = Granted(f"g{self.count}", cause)
        if self.fire or not self.lockdown or cause is not Cause.OPERATOR:
            self.given[grant.id] = grant
        self.give(grant)

    @precondition(lambda self: self.has_approach)
    @rule(is_occupied=st.booleans())
    def approach_loop(self, *, is_occupied: bool) -> None:
        if self.approach and not is_occupied:
            is_on_its_way = bool(self.status.queue) and self.under is False
            self.left_approach_at = self.at if is_on_its_way else None
        elif is_occupied:
            self.left_approach_at = None
        self.approach = is_occupied
        self.give(LoopRead(LoopPlace.APPROACH, is_occupied))

    @precondition(lambda self: self.has_under)
    @rule(is_occupied=st.booleans())
    def loop_below(self, *, is_occupied: bool) -> None:
        before, self.under = self.under, is_occupied
        if is_occupied:
            self.left_approach_at = None
        told = self.give(LoopRead(LoopPlace.UNDER, is_occupied))
        cars = [kind for kind in told if kind in ONE_CAR]
        # One crossing is one car, and one car has at most one grant.
        assert len(cars) == (1 if before and not is_occupied else 0)

    @precondition(lambda self: self.has_arm)
    @rule(position=st.sampled_from(list(ArmPosition)))
    def arm(self, position: ArmPosition) -> None:
        self.give(ArmRead(position))

    @rule(given=st.sampled_from([StruckRead(), Looked()]))
    def something_else(self, given: Input) -> None:
        self.give(given)

    @rule(is_active=st.booleans())
    def fire_input_reads(self, *, is_active: bool) -> None:
        self.fire_input = is_active
        self.fire = self.fire or is_active
        self.give(FireRead(is_active))

    @precondition(lambda self: self.fire)
    @rule()
    def restore(self) -> None:
        self.fire = self.fire_input
        self.give(FireRestore("guo"))

    @rule(is_active=st.booleans())
    def lock_down(self, *, is_active: bool) -> None:
        leaving = [w.grant.id for w in self.status.queue if w.grant.cause is Cause.EXIT]
        self.lockdown = is_active
        self.give(Lockdown(is_active, "guo"))
        assert [w.grant.id for w in self.status.queue if w.grant.cause is Cause.EXIT] == leaving

    @rule(seconds=st.sampled_from([None, -1.0, 5.0, 30.0]), is_locked=st.booleans())
    def override(self, seconds: float | None, *, is_locked: bool) -> None:
        until = None if seconds is None else self.at + timedelta(seconds=seconds)
        kept = until if until is not None and until > self.at else None
        self.locked_until = kept if is_locked else None
        self.unlocked_until = None if is_locked else kept
        self.give(Override(until, "guo", is_locked))

    @rule(is_active=st.booleans())
    def schedule(self, *, is_active: bool) -> None:
        if is_active is not self.scheduled:
            self.awaits = is_active and self.portal.needs_first_person
        self.scheduled = is_active
        self.give(ScheduleRead(is_active))

    @rule(seconds=st.sampled_from([None, -1.0, 5.0, 30.0]))
    def work_on_it(self, seconds: float | None) -> None:
        until = None if seconds is None else self.at + timedelta(seconds=seconds)
        self.give(Maintenance(until, "meng"))

    # What must hold

    @invariant()
    def each_grant_waits_crosses_or_is_settled(self) -> None:
        waiting = [waiting.grant.id for waiting in self.status.queue]
        crossing = [self.status.crossing.id] if self.status.crossing is not None else []
        alive = [*waiting, *crossing, *self.settled]
        assert sorted(alive) == sorted(self.given)

    @invariant()
    def what_holds_the_arm_up_is_what_the_paper_says(self) -> None:
        assert self.status.holds_unlocked is self.held_up_by()

    @invariant()
    def fire_has_the_last_word(self) -> None:
        if self.fire:
            assert self.status.state is PortalState.FIRE_RELEASE
            assert self.status.commanded_up

    @invariant()
    def an_arm_that_is_wanted_up_was_told_so(self) -> None:
        if self.status.queue:
            assert self.status.commanded_up

    @invariant()
    def a_tick_before_the_next_deadline_changes_nothing(self) -> None:
        if not hasattr(self, "portal"):
            return
        due = next_deadline(self.status)
        early = self.at if due is not None else self.at + LONG
        if due is None or due > self.at:
            assert step(self.portal, self.status, Tick(), early) == (self.status, ())

    def teardown(self) -> None:
        """Once the last car is off and all time has passed, every grant has come to one end."""
        if not hasattr(self, "portal"):
            return
        if self.under:
            self.loop_below(is_occupied=False)
        self.wait_until(self.at + LONG)
        assert set(self.settled) == set(self.given)


TestLaneBesidePaper = LaneBesidePaper.TestCase
TestLaneBesidePaper.settings = settings(
    max_examples=6 * settings().max_examples, stateful_step_count=40
)
