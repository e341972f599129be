"""A portal beside a plain model of it: may the bolt be open now, and who has passed?

The model knows nothing of states or effects. It keeps what a person would keep on paper: what
was said, until when, and where the leaf is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anlin.core.device import ContactLevel
from anlin.core.entities import ExitButton, Portal
from anlin.core.event import EventKind
from anlin.core.hold import Cause, Maintenance, Override
from anlin.core.portal import (
    ContactRead,
    FireRead,
    FireRestore,
    Granted,
    Happened,
    Input,
    Lock,
    Lockdown,
    Passed,
    PortalState,
    ScheduleRead,
    Status,
    Tick,
    Unlock,
    next_deadline,
    step,
)
from anlin.testing.clock import MORNING

PORTALS = [
    Portal("plain", "p"),
    Portal("slow", "p", entry_s=3.0, extended_grant_s=20.0, debounce_s=0.5),
    Portal("relock", "p", relock_on_open_s=2.0, exit_ignore_s=4.0),
    Portal("shunt", "p", exit_button=ExitButton.SHUNT, has_mechanical_exit=True),
    Portal("first", "p", needs_first_person=True),
]
WAITS_S = [0.0, 0.05, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 20.0, 30.0]
LONG = timedelta(days=2)
OPEN, CLOSED = ContactLevel.OPEN, ContactLevel.CLOSED


def later(at: datetime, seconds: float) -> datetime:
    return at + timedelta(seconds=seconds)


@dataclass
class Slip:
    """One grant on paper."""

    id: str
    cause: Cause
    until: datetime


@dataclass
class Paper:
    """What somebody with pencil and paper would know of one portal."""

    portal: Portal
    leaf: ContactLevel | None = None
    was_open: bool = False
    closed_at: datetime | None = None
    fire_input: bool = False
    fire: bool = False
    lockdown: bool = False
    unlocked_until: datetime | None = None
    locked_until: datetime | None = None
    worked_on_until: datetime | None = None
    schedule: bool = False
    person_came: bool = False
    waiting: Slip | None = None
    lawful: bool = False
    seen_until: datetime | None = None
    """A beam has seen somebody whose grant was waiting: the leaf may follow until then."""
    doubt_until: datetime | None = None
    forced: bool = False
    spoken: list[Slip] = field(default_factory=list)
    settled: dict[str, bool] = field(default_factory=dict)
    told: list[tuple[str, bool]] = field(default_factory=list)

    def stands_open_by(self) -> Cause | None:
        if self.fire:
            return Cause.FIRE
        if self.lockdown or self.locked_until is not None:
            return None
        if self.unlocked_until is not None:
            return Cause.OPERATOR
        is_free = not self.portal.needs_first_person or self.person_came
        return Cause.SCHEDULE if self.schedule and is_free else None

    def settle(self, slip: Slip, *, is_taken: bool) -> None:
        assert slip.id not in self.settled
        self.settled[slip.id] = is_taken
        self.told.append((slip.id, is_taken))
        if is_taken and slip.cause is Cause.DECISION and self.schedule and not self.fire:
            before = self.stands_open_by()
            self.person_came = True
            self.changed(before)

    def take_back(self, *, exits_too: bool = False) -> None:
        if self.waiting is not None and (exits_too or self.waiting.cause is not Cause.EXIT):
            slip, self.waiting = self.waiting, None
            self.settle(slip, is_taken=False)

    def changed(self, before: Cause | None) -> None:
        """Draw the consequences where what holds the portal open has changed."""
        now = self.stands_open_by()
        if before is not now and now is not None:
            self.doubt_until = None
        if before is not None and now is None:
            self.take_back()

    def advance(self, to: datetime) -> None:
        while True:
            ends = [
                self.unlocked_until,
                self.locked_until,
                self.worked_on_until,
                self.doubt_until,
                self.waiting.until if self.waiting else None,
            ]
            due = min((end for end in ends if end is not None), default=to)
            if due > to or all(end is None for end in ends):
                return
            before = self.stands_open_by()
            if self.unlocked_until == due:
                self.unlocked_until = None
                self.changed(before)
            elif self.locked_until == due:
                self.locked_until = None
                self.changed(before)
            elif self.worked_on_until == due:
                self.worked_on_until = None
            elif self.waiting is not None and self.waiting.until == due:
                self.take_back(exits_too=True)
            else:
                self.doubt_until = None
                self.forced = True

    def grant(self, slip: Slip, at: datetime) -> None:
        if slip.cause is Cause.OPERATOR and self.lockdown and not self.fire:
            return
        quiet_s = self.portal.exit_ignore_s
        closed_at = self.closed_at
        if slip.cause is Cause.EXIT and closed_at is not None and at < later(closed_at, quiet_s):
            self.settle(slip, is_taken=False)
            return
        self.spoken.append(slip)
        if self.leaf is OPEN and not self.forced:
            self.lawful, self.doubt_until = True, None
            self.settle(slip, is_taken=True)
        else:
            self.take_back(exits_too=True)
            self.waiting = slip

    def read(self, level: ContactLevel, at: datetime) -> None:
        before, self.leaf = self.leaf, level
        if level is before:
            return
        if level is CLOSED:
            self.lawful = self.forced = self.was_open = False
            self.doubt_until, self.closed_at, self.seen_until = None, at, None
        elif level is not OPEN:
            self.doubt_until = None
        else:
            self.was_open = True
            if self.waiting is not None:
                slip, self.waiting = self.waiting, None
                self.lawful = True
                self.settle(slip, is_taken=True)
            elif self.stands_open_by() is not None or self.worked_on_until is not None:
                self.lawful = True
            elif self.lawful or self.forced:
                pass
            elif self.seen_until is not None and at < self.seen_until:
                self.lawful, self.seen_until = True, None
            elif before is not None:
                self.doubt_until = later(at, self.portal.debounce_s)

    def walk(self, *, is_out: bool) -> None:
        slip = self.waiting
        if slip is not None and self.leaf is not OPEN and (slip.cause is Cause.EXIT) is is_out:
            self.waiting, self.seen_until = None, slip.until
            self.settle(slip, is_taken=True)
        if self.leaf is not OPEN:
            self.lawful = False

    def may_be_open(self, at: datetime) -> bool:
        """Whether anything at all lets the bolt of a closed leaf be back now."""
        return self.stands_open_by() is not None or any(at < slip.until for slip in self.spoken)


class PortalBesidePaper(RuleBasedStateMachine):
    """Every input in every order; after each the portal must agree with the paper."""

    def __init__(self) -> None:
        super().__init__()
        self.at = MORNING
        self.count = 0
        self.told: list[tuple[str, bool]] = []
        self.forced = False
        self.bolt_free_until: datetime | None = None
        self.bolt_is_held_back = False

    @initialize(portal=st.sampled_from(PORTALS))
    def begin(self, portal: Portal) -> None:
        self.portal, self.paper, self.status = portal, Paper(portal), Status()

    # What carries effects out

    def give(self, given: Input) -> None:
        before = self.status
        self.status, effects = step(self.portal, before, given, self.at)
        for effect in effects:
            match effect:
                case Unlock(seconds=None):
                    self.bolt_is_held_back, self.bolt_free_until = True, None
                case Unlock(seconds=seconds):
                    assert seconds is not None
                    self.bolt_is_held_back = False
                    self.bolt_free_until = later(self.at, seconds)
                case Lock():
                    self.bolt_is_held_back, self.bolt_free_until = False, None
                    is_its_way = self.portal.relock_on_open_s is not None
                    # Closed when its timer ran, it may have opened in the same instant.
                    assert is_its_way or not before.is_open or not self.status.is_open
                case Happened(kind=EventKind.ACCESS_TAKEN):
                    self.told.append((effect.data["release"], True))
                case Happened(kind=EventKind.ACCESS_NOT_TAKEN):
                    self.told.append((effect.data["release"], False))
                case Happened(kind=EventKind.DOOR_FORCED):
                    assert not self.forced
                    self.forced = True
                case Happened(kind=EventKind.DOOR_FORCED_CLEARED):
                    assert self.forced
                    self.forced = False

    def bolt_is_free(self) -> bool:
        until = self.bolt_free_until
        return self.bolt_is_held_back or (until is not None and self.at < until)

    def wait_until(self, moment: datetime) -> None:
        while (due := next_deadline(self.portal, self.status)) is not None and due <= moment:
            self.at = max(due, self.at)
            self.give(Tick())
        self.at = moment
        self.paper.advance(moment)

    # What may happen

    @rule(seconds=st.sampled_from(WAITS_S))
    def wait(self, seconds: float) -> None:
        self.wait_until(later(self.at, seconds))

    @rule(
        cause=st.sampled_from([Cause.DECISION, Cause.DECISION, Cause.OPERATOR, Cause.EXIT]),
        persons=st.integers(1, 2),
        needs_time=st.booleans(),
    )
    def grant(self, cause: Cause, persons: int, *, needs_time: bool) -> None:
        self.count += 1
        seconds = self.portal.grant_s
        if needs_time:
            seconds = max(seconds, self.portal.extended_grant_s)
        slip = Slip(f"g{self.count}", cause, later(self.at, seconds + self.portal.entry_s))
        self.paper.grant(slip, self.at)
        self.give(Granted(slip.id, cause, {}, persons, needs_time))
        moves_bolt = cause is not Cause.EXIT or self.portal.exit_button is ExitButton.RELEASE
        is_heard = slip.id in [spoken.id for spoken in self.paper.spoken]
        if is_heard and moves_bolt:
            # In lockdown as at any time: who was granted, and who leaves, finds it open.
            assert self.bolt_is_free()

    @rule(level=st.sampled_from([OPEN, OPEN, CLOSED, CLOSED, CLOSED, *ContactLevel]))
    def contact(self, level: ContactLevel) -> None:
        self.paper.read(level, self.at)
        self.give(ContactRead(level))

    @rule(persons=st.integers(1, 3), is_out=st.booleans())
    def walk(self, persons: int, *, is_out: bool) -> None:
        self.paper.walk(is_out=is_out)
        self.give(Passed(persons, is_out))

    @rule(is_active=st.booleans())
    def fire(self, *, is_active: bool) -> None:
        if is_active and not self.paper.fire_input:
            self.paper.doubt_until = None
        self.paper.fire_input = is_active
        self.paper.fire = self.paper.fire or is_active
        self.give(FireRead(is_active))

    @precondition(lambda self: self.paper.fire)
    @rule()
    def restore(self) -> None:
        before = self.paper.stands_open_by()
        self.paper.fire = self.paper.fire_input
        self.paper.changed(before)
        self.give(FireRestore("guo"))

    @rule(is_active=st.booleans())
    def lock_down(self, *, is_active: bool) -> None:
        paper, before = self.paper, self.paper.stands_open_by()
        is_news = is_active and not paper.lockdown
        paper.lockdown = is_active
        paper.changed(before)
        if is_news and not paper.fire:
            paper.take_back()
            paper.spoken = [slip for slip in paper.spoken if slip.cause is Cause.EXIT]
        self.give(Lockdown(is_active, "guo"))

    @rule(seconds=st.sampled_from([None, -1.0, 0.0, 5.0, 30.0]), is_locked=st.booleans())
    def override(self, seconds: float | None, *, is_locked: bool) -> None:
        paper, before = self.paper, self.paper.stands_open_by()
        until = None if seconds is None else later(self.at, seconds)
        kept = until if until is not None and until > self.at else None
        paper.locked_until = kept if is_locked else None
        paper.unlocked_until = None if is_locked else kept
        paper.changed(before)
        self.give(Override(until, "guo", is_locked))

    @rule(is_active=st.booleans())
    def schedule(self, *, is_active: bool) -> None:
        paper, before = self.paper, self.paper.stands_open_by()
        if is_active is not paper.schedule:
            paper.person_came = False
        paper.schedule = is_active
        paper.changed(before)
        self.give(ScheduleRead(is_active))

    @rule(seconds=st.sampled_from([None, 0.0, 5.0, 30.0]))
    def work_on_it(self, seconds: float | None) -> None:
        until = None if seconds is None else later(self.at, seconds)
        is_work = until is not None and until > self.at
        self.paper.worked_on_until = until if is_work else None
        if is_work:
            self.paper.forced, self.paper.doubt_until = False, None
            self.paper.lawful = self.paper.lawful or self.paper.leaf is OPEN
        self.give(Maintenance(until, "meng"))

    @rule()
    def restart(self) -> None:
        """Come back with what a node keeps: nothing else, and nothing opens by it."""
        paper, old = self.paper, self.status
        self.status = Status(
            fire_latched=old.fire_latched,
            lockdown=old.lockdown,
            override_until=old.override_until,
            override_by=old.override_by,
            override_locked=old.override_locked,
            maintenance_until=old.maintenance_until,
            maintenance_by=old.maintenance_by,
            grant=old.grant,
            grant_until=old.grant_until,
        )
        paper.leaf = paper.closed_at = paper.doubt_until = paper.seen_until = None
        paper.fire_input = paper.schedule = paper.person_came = False
        paper.lawful = paper.forced = self.forced = paper.was_open = False
        was_free = self.bolt_is_free()
        self.give(Tick())
        assert was_free or not self.bolt_is_free()

    # What must hold

    @invariant()
    def grants_are_settled_as_on_paper(self) -> None:
        assert sorted(self.told) == sorted(self.paper.told)
        waiting = self.paper.waiting.id if self.paper.waiting else None
        assert (self.status.grant.id if self.status.grant else None) == waiting

    @invariant()
    def a_closed_bolt_is_back_only_for_a_cause(self) -> None:
        is_known = self.status.contact is not None and not self.paper.was_open
        if is_known and self.bolt_is_free():
            assert self.paper.may_be_open(self.at)

    @invariant()
    def what_holds_it_open_does_hold_it(self) -> None:
        cause = self.paper.stands_open_by()
        assert self.status.holds_unlocked is cause
        if cause is not None and self.status.contact is not None:
            assert self.bolt_is_held_back

    @invariant()
    def fire_has_the_last_word(self) -> None:
        if self.paper.fire:
            assert self.status.state is PortalState.FIRE_RELEASE

    @invariant()
    def it_is_forced_when_the_paper_says_so(self) -> None:
        assert self.status.is_forced is self.paper.forced is self.forced

    def teardown(self) -> None:
        """At the end of all time every grant that was heard has come to one end."""
        if not hasattr(self, "portal"):
            return
        self.wait_until(self.at + LONG)
        self.grants_are_settled_as_on_paper()
        assert {slip.id for slip in self.paper.spoken} <= set(self.paper.settled)
        assert len(self.told) == len(set(self.told)) == len(self.paper.settled)


TestPortalBesidePaper = PortalBesidePaper.TestCase
TestPortalBesidePaper.settings = settings(
    max_examples=6 * settings().max_examples, stateful_step_count=40
)
