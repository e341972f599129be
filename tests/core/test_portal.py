from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from anlin.core.device import ContactLevel
from anlin.core.entities import ExitButton, OnPowerLoss, Portal, PortalKind, portal_fault
from anlin.core.event import EventKind
from anlin.core.hold import Cause, Maintenance, Override
from anlin.core.portal import (
    Beep,
    ContactRead,
    Effect,
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

K = EventKind
S = PortalState
DOOR = Portal("gate", "东门", grant_s=5.0, held_open_s=30.0, prealarm_s=10.0, debounce_s=0.1)
OPEN, CLOSED = ContactRead(ContactLevel.OPEN), ContactRead(ContactLevel.CLOSED)
SHORT, CUT = ContactRead(ContactLevel.SHORT), ContactRead(ContactLevel.CUT)
LIN_ENTERS, WANG_ENTERS = Granted("lin-1"), Granted("wang-1")
TICK = Tick()
FIRE, NO_FIRE = FireRead(is_active=True), FireRead(is_active=False)
RESTORE = FireRestore("guo")
LOCKDOWN, LOCKDOWN_OVER = Lockdown(is_active=True, by="guo"), Lockdown(is_active=False, by="guo")
SCHEDULE_ON, SCHEDULE_OFF = ScheduleRead(is_active=True), ScheduleRead(is_active=False)
BACK = Override(None, "guo")
PRESSED = Granted("exit-1", Cause.EXIT)
MENDED = Maintenance(None, "meng")


def until(seconds: float) -> Override:
    return Override(MORNING + timedelta(seconds=seconds), "guo")


def locked_until(seconds: float) -> Override:
    return Override(MORNING + timedelta(seconds=seconds), "guo", is_locked=True)


def maintenance(seconds: float) -> Maintenance:
    return Maintenance(MORNING + timedelta(seconds=seconds), "meng")


class Door:
    """One door and its story: inputs at seconds after `MORNING`."""

    def __init__(self, portal: Portal = DOOR, *, closed: bool = True) -> None:
        self.portal = portal
        self.status = Status()
        if closed:
            self.at(-60, CLOSED)

    def at(self, seconds: float, given: Input) -> tuple[Effect, ...]:
        moment = MORNING + timedelta(seconds=seconds)
        self.status, effects = step(self.portal, self.status, given, moment)
        return effects

    @property
    def state(self) -> PortalState:
        return self.status.state

    @property
    def due(self) -> datetime | None:
        return next_deadline(self.portal, self.status)


def kinds(effects: tuple[Effect, ...]) -> list[EventKind]:
    return [effect.kind for effect in effects if isinstance(effect, Happened)]


def locks(effects: tuple[Effect, ...]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, Unlock | Lock)]


# One passage


def test_a_passage_from_release_to_lock():
    door = Door()
    assert door.state is S.SECURED
    assert door.at(0, LIN_ENTERS) == (Unlock(5.0, Cause.DECISION, "lin-1"),)
    assert door.state is S.RELEASED
    assert door.at(2, OPEN) == (Happened(K.ACCESS_TAKEN, {"release": "lin-1"}),)
    assert door.state is S.OPEN
    assert door.at(4, CLOSED) == (Happened(K.DOOR_CLOSED), Lock())
    assert door.state is S.SECURED
    assert door.due is None


def test_a_release_that_nobody_takes_locks_again_at_its_end_and_not_before():
    door = Door()
    door.at(0, LIN_ENTERS)
    assert door.due == MORNING + timedelta(seconds=5)
    assert door.at(4.999999, TICK) == ()
    assert door.at(5, TICK) == (Happened(K.ACCESS_NOT_TAKEN, {"release": "lin-1"}), Lock())
    assert door.state is S.SECURED


def test_whoever_opens_at_the_very_end_of_the_release_is_too_late():
    door = Door()
    door.at(0, LIN_ENTERS)
    assert kinds(door.at(5, OPEN)) == [K.ACCESS_NOT_TAKEN]
    assert kinds(door.at(5.1, TICK)) == [K.DOOR_FORCED]


def test_the_next_person_through_an_open_door_is_taken_to_have_passed():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert door.at(20, WANG_ENTERS) == (
        Unlock(5.0, Cause.DECISION, "wang-1"),
        Happened(K.ACCESS_TAKEN, {"release": "wang-1", "door_was_open": True}),
    )
    assert door.at(39, TICK) == ()  # the time to be held counts from the last person
    assert kinds(door.at(50, TICK)) == [K.DOOR_PREALARM, K.DOOR_HELD]


def test_an_operators_release_is_a_release():
    door = Door()
    assert door.at(0, Granted("c-1", Cause.OPERATOR)) == (Unlock(5.0, Cause.OPERATOR, "c-1"),)


# Held open


def test_a_door_is_held_open_at_exactly_its_limit():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert door.due == MORNING + timedelta(seconds=21)
    assert door.at(20.999999, TICK) == ()
    assert door.at(21, TICK) == (Beep(), Happened(K.DOOR_PREALARM))
    assert door.state is S.PREALARM
    assert door.due == MORNING + timedelta(seconds=31)
    assert door.at(30.999999, TICK) == ()
    assert door.at(31, TICK) == (Happened(K.DOOR_HELD, {"limit_s": 30.0}),)
    assert door.state is S.HELD
    assert door.due is None
    assert door.at(500, TICK) == ()
    assert door.at(501, CLOSED) == (
        Happened(K.DOOR_HELD_CLEARED),
        Happened(K.DOOR_CLOSED),
        Lock(),
    )
    assert door.state is S.SECURED


def test_closing_in_the_last_moment_is_in_time_and_at_the_limit_too_late():
    for closes_at, held in ((30.999999, False), (31, True)):
        door = Door()
        door.at(0, LIN_ENTERS)
        door.at(1, OPEN)
        assert (K.DOOR_HELD in kinds(door.at(closes_at, CLOSED))) is held


@pytest.mark.parametrize("prealarm_s", [30.0, 45.0])
def test_a_prealarm_longer_than_the_limit_sounds_at_once(prealarm_s):
    door = Door(Portal("gate", "东门", prealarm_s=prealarm_s))
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert door.due == MORNING + timedelta(seconds=1)
    assert kinds(door.at(1, TICK)) == [K.DOOR_PREALARM]


def test_without_a_prealarm_there_is_still_the_alarm():
    door = Door(Portal("gate", "东门", prealarm_s=0.0))
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert kinds(door.at(31, TICK)) == [K.DOOR_PREALARM, K.DOOR_HELD]


# Forced


def test_a_door_opened_without_a_release_is_forced_after_the_debounce_and_not_before():
    door = Door()
    assert door.at(0, OPEN) == ()
    assert door.due == MORNING + timedelta(seconds=0.1)
    assert door.at(0.099999, TICK) == ()
    assert door.at(0.1, TICK) == (Happened(K.DOOR_FORCED),)
    assert door.state is S.FORCED
    assert door.due is None  # nothing is due while it stands forced
    assert door.at(3600, TICK) == ()
    assert door.at(3601, CLOSED) == (
        Happened(K.DOOR_FORCED_CLEARED),
        Happened(K.DOOR_CLOSED),
        Lock(),
    )


def test_a_contact_that_bounces_is_no_forced_door_and_is_locked_in_any_case():
    door = Door()
    door.at(0, OPEN)
    assert door.at(0.05, CLOSED) == (Lock(),)
    assert door.at(10, TICK) == ()
    assert door.state is S.SECURED


def test_a_force_that_nobody_ticked_for_is_still_told():
    door = Door()
    door.at(0, OPEN)
    assert kinds(door.at(60, CLOSED)) == [K.DOOR_FORCED, K.DOOR_FORCED_CLEARED, K.DOOR_CLOSED]


def test_a_release_just_after_its_contact_is_no_forced_door():
    door = Door()
    door.at(0, OPEN)  # the button's message was slower than the contact's
    assert kinds(door.at(0.05, LIN_ENTERS)) == [K.ACCESS_TAKEN]
    assert door.at(1, TICK) == ()
    assert door.state is S.OPEN


def test_a_release_at_a_forced_door_does_not_calm_the_alarm():
    door = Door()
    door.at(0, OPEN)
    door.at(1, TICK)
    assert locks(door.at(2, LIN_ENTERS)) == [Unlock(5.0, Cause.DECISION, "lin-1")]
    assert door.state is S.FORCED
    # The bolt is not fired into the open leaf.
    assert door.at(7, TICK) == (Happened(K.ACCESS_NOT_TAKEN, {"release": "lin-1"}),)
    assert Lock() in door.at(8, CLOSED)


def test_a_forced_door_closed_within_a_release_locks_at_its_end():
    door = Door()
    door.at(0, OPEN)
    door.at(1, TICK)
    door.at(2, LIN_ENTERS)
    assert locks(door.at(3, CLOSED)) == []
    assert locks(door.at(7, TICK)) == [Lock()]


def test_a_door_that_was_open_before_we_looked_is_found_open_not_forced():
    door = Door(closed=False)
    assert kinds(door.at(0, OPEN)) == [K.DOOR_FOUND_OPEN]
    assert door.at(1, TICK) == ()
    assert kinds(door.at(30, TICK)) == [K.DOOR_PREALARM, K.DOOR_HELD]


def test_the_first_reading_of_a_closed_door_locks_what_the_last_life_may_have_left_open():
    door = Door(closed=False)
    assert door.at(0, CLOSED) == (Lock(),)


def test_the_first_reading_leaves_a_release_that_is_under_way():
    door = Door(closed=False)
    door.at(0, LIN_ENTERS)
    assert door.at(1, CLOSED) == ()


def test_what_held_the_portal_before_a_restart_holds_it_again():
    door = Door(closed=False)
    door.status = Status(fire_latched=True)
    assert door.at(0, CLOSED) == (Unlock(None, Cause.FIRE),)


def test_a_lockdown_takes_back_a_release_that_nobody_has_used_yet():
    door = Door()
    door.at(0, LIN_ENTERS)
    effects = door.at(1, LOCKDOWN)
    assert effects[0] == Lock()
    assert kinds(effects) == [K.ACCESS_NOT_TAKEN, K.LOCKDOWN_STARTED]
    assert door.state is S.LOCKDOWN


def test_a_second_release_settles_the_first_as_not_taken():
    door = Door()
    door.at(0, LIN_ENTERS)
    effects = door.at(1, WANG_ENTERS)
    assert effects[0] == Happened(K.ACCESS_NOT_TAKEN, {"release": "lin-1"})
    assert door.at(2, OPEN) == (Happened(K.ACCESS_TAKEN, {"release": "wang-1"}),)


# The contact's wire


@pytest.mark.parametrize("broken", [SHORT, CUT])
def test_a_broken_wire_is_told_and_its_mending_too(broken):
    door = Door()
    effects = door.at(0, broken)
    assert effects == (Happened(K.CONTACT_FAULT, {"level": broken.level.value}),)
    assert door.state is S.FAULT
    assert kinds(door.at(5, CLOSED)) == [K.CONTACT_FAULT_CLEARED]
    assert door.state is S.SECURED


def test_from_one_fault_to_another_both_are_told():
    door = Door()
    door.at(0, SHORT)
    assert kinds(door.at(1, CUT)) == [K.CONTACT_FAULT_CLEARED, K.CONTACT_FAULT]


def test_a_wire_cut_while_forcing_the_door_hides_nothing():
    door = Door()
    door.at(0, OPEN)
    door.at(0.05, CUT)
    assert door.at(1, TICK) == ()
    door.at(2, OPEN)
    assert kinds(door.at(2.1, TICK)) == [K.DOOR_FORCED]


def test_an_opening_with_leave_is_not_forced_when_its_wire_comes_back():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(2, CUT)
    assert kinds(door.at(3, OPEN)) == [K.CONTACT_FAULT_CLEARED]
    assert door.at(4, TICK) == ()
    assert kinds(door.at(31, TICK)) == [K.DOOR_PREALARM, K.DOOR_HELD]


def test_a_forced_door_is_forced_once_whatever_its_wire_does():
    door = Door()
    door.at(0, OPEN)
    door.at(1, TICK)
    door.at(2, CUT)
    door.at(3, OPEN)
    assert door.at(4, TICK) == ()
    assert door.state is S.FORCED


# What holds it unlocked


def test_an_override_unlocks_until_its_end_and_says_by_whom():
    door = Door()
    assert door.at(0, until(60)) == (
        Unlock(None, Cause.OPERATOR),
        Happened(K.PORTAL_UNLOCKED, {"cause": "operator", "by": "guo"}),
    )
    assert door.state is S.UNLOCKED
    assert door.due == MORNING + timedelta(seconds=60)
    assert door.at(59.999999, TICK) == ()
    assert door.at(60, TICK) == (Lock(), Happened(K.PORTAL_LOCKED, {"by": "expiry"}))
    assert door.state is S.SECURED


def test_an_override_may_be_prolonged_and_taken_back():
    door = Door()
    door.at(0, until(60))
    assert door.at(30, until(90)) == ()
    assert door.at(60, TICK) == ()
    assert locks(door.at(70, BACK)) == [Lock()]
    assert door.at(71, BACK) == ()


def test_an_override_into_the_past_opens_nothing():
    door = Door()
    assert door.at(10, until(10)) == ()
    assert door.at(10, until(-10)) == ()
    assert door.state is S.SECURED


def test_an_ended_override_gives_back_to_the_schedule():
    door = Door()
    door.at(0, until(60))
    assert door.at(10, SCHEDULE_ON) == ()
    assert locks(door.at(60, TICK)) == [Unlock(None, Cause.SCHEDULE)]
    assert locks(door.at(99, SCHEDULE_OFF)) == [Lock()]


def test_while_it_is_held_unlocked_people_come_and_go_and_nothing_is_forced_or_held():
    door = Door()
    door.at(0, SCHEDULE_ON)
    assert door.at(1, OPEN) == ()
    assert door.state is S.UNLOCKED
    assert door.due is None
    assert door.at(500, TICK) == ()
    assert door.at(501, CLOSED) == (Happened(K.DOOR_CLOSED),)


def test_a_release_while_it_is_held_unlocked_does_not_end_the_hold():
    for hold in (SCHEDULE_ON, until(3600), FIRE):
        door = Door()
        door.at(0, hold)
        assert locks(door.at(1, LIN_ENTERS)) == [Unlock(None, Cause.DECISION, "lin-1")]
        assert door.at(6, TICK) == (Happened(K.ACCESS_NOT_TAKEN, {"release": "lin-1"}),)
        door.at(7, WANG_ENTERS)
        assert kinds(door.at(8, OPEN)) == [K.ACCESS_TAKEN]
        assert locks(door.at(9, LIN_ENTERS)) == [Unlock(None, Cause.DECISION, "lin-1")]
        assert locks(door.at(10, CLOSED)) == []


def test_a_release_that_a_lock_overtakes_was_not_taken():
    door = Door()
    door.at(0, SCHEDULE_ON)
    door.at(1, LIN_ENTERS)
    effects = door.at(2, SCHEDULE_OFF)
    assert locks(effects) == [Lock()]
    assert kinds(effects) == [K.PORTAL_LOCKED, K.ACCESS_NOT_TAKEN]
    assert door.at(9, TICK) == ()


def test_the_bolt_is_not_fired_into_an_open_leaf():
    door = Door()
    door.at(0, SCHEDULE_ON)
    door.at(1, OPEN)
    assert door.at(100, SCHEDULE_OFF) == (Happened(K.PORTAL_LOCKED, {"by": "schedule"}),)
    assert door.state is S.OPEN
    assert door.due == MORNING + timedelta(seconds=120)  # and its time counts from now
    assert kinds(door.at(130, TICK)) == [K.DOOR_PREALARM, K.DOOR_HELD]
    assert Lock() in door.at(140, CLOSED)


def test_a_closing_in_the_debounce_locks_what_an_ended_hold_left_unlocked():
    door = Door(closed=False)
    door.at(0, OPEN)
    door.at(1, SCHEDULE_ON)
    door.at(2, SCHEDULE_OFF)
    door.at(3, CUT)
    door.at(4, OPEN)
    assert locks(door.at(4.05, CLOSED)) == [Lock()]


def test_a_door_opened_before_an_override_is_no_longer_suspect():
    door = Door()
    door.at(0, OPEN)
    door.at(0.05, until(60))
    assert door.at(1, TICK) == ()


# Lockdown


def test_lockdown_beats_override_and_schedule_and_gives_back_to_them():
    for hold, cause in ((until(900), Cause.OPERATOR), (SCHEDULE_ON, Cause.SCHEDULE)):
        door = Door()
        door.at(0, hold)
        assert door.at(1, LOCKDOWN) == (
            Lock(),
            Happened(K.PORTAL_LOCKED, {"by": "guo"}),
            Happened(K.LOCKDOWN_STARTED, {"by": "guo"}),
        )
        assert door.state is S.LOCKDOWN
        assert locks(door.at(2, LOCKDOWN_OVER)) == [Unlock(None, cause)]


def test_in_a_lockdown_no_override_schedule_or_operator_unlocks():
    door = Door()
    door.at(0, LOCKDOWN)
    for given in (until(900), SCHEDULE_ON, Granted("c-1", Cause.OPERATOR)):
        assert door.at(1, given) == ()
    assert door.state is S.LOCKDOWN


def test_in_a_lockdown_the_way_out_still_opens():
    door = Door()
    door.at(0, LOCKDOWN)
    assert door.at(1, LIN_ENTERS) == (Unlock(5.0, Cause.DECISION, "lin-1"),)
    assert door.state is S.RELEASED
    door.at(2, OPEN)
    assert door.state is S.OPEN
    assert Lock() in door.at(3, CLOSED)
    assert door.state is S.LOCKDOWN


def test_an_override_that_ends_in_a_lockdown_is_gone_after_it():
    door = Door()
    door.at(0, until(60))
    door.at(1, LOCKDOWN)
    assert door.at(61, TICK) == ()
    assert locks(door.at(62, LOCKDOWN_OVER)) == []
    assert door.state is S.SECURED


# Fire


def test_fire_releases_and_only_a_named_person_restores():
    door = Door()
    assert door.at(0, FIRE) == (Unlock(None, Cause.FIRE), Happened(K.FIRE_RELEASED))
    assert door.state is S.FIRE_RELEASE
    assert door.at(1, RESTORE) == ()  # not while the input is active
    assert door.at(60, NO_FIRE) == (Happened(K.FIRE_CLEARED),)
    assert door.state is S.FIRE_RELEASE
    assert door.at(61, RESTORE) == (
        Lock(),
        Happened(K.PORTAL_LOCKED, {"by": "guo"}),
        Happened(K.FIRE_RESTORED, {"by": "guo"}),
    )
    assert door.state is S.SECURED
    assert door.at(62, RESTORE) == ()


def test_fire_beats_lockdown_and_gives_back_to_it():
    door = Door()
    door.at(0, LOCKDOWN)
    assert locks(door.at(1, FIRE)) == [Unlock(None, Cause.FIRE)]
    assert door.state is S.FIRE_RELEASE
    door.at(2, NO_FIRE)
    assert locks(door.at(3, RESTORE)) == [Lock()]
    assert door.state is S.LOCKDOWN


def test_a_lockdown_during_a_fire_waits_for_its_end():
    door = Door()
    door.at(0, FIRE)
    assert door.at(1, LOCKDOWN) == (Happened(K.LOCKDOWN_STARTED, {"by": "guo"}),)
    assert door.state is S.FIRE_RELEASE
    door.at(2, NO_FIRE)
    assert locks(door.at(3, RESTORE)) == [Lock()]


def test_after_a_fire_an_override_still_holds():
    door = Door()
    door.at(0, until(900))
    assert locks(door.at(1, FIRE)) == [Unlock(None, Cause.FIRE)]
    door.at(2, NO_FIRE)
    assert locks(door.at(3, RESTORE)) == [Unlock(None, Cause.OPERATOR)]


def test_a_second_alarm_before_the_restore_releases_again():
    door = Door()
    door.at(0, FIRE)
    door.at(1, NO_FIRE)
    assert locks(door.at(2, FIRE)) == [Unlock(None, Cause.FIRE)]
    assert door.at(3, RESTORE) == ()


def test_a_door_opened_in_a_fire_is_neither_forced_nor_held():
    door = Door()
    door.at(0, OPEN)
    door.at(0.05, FIRE)
    assert door.at(600, TICK) == ()
    door.at(601, CLOSED)
    assert door.at(602, OPEN) == ()
    assert door.at(1200, TICK) == ()
    assert door.due is None


# Levels, never edges


@pytest.mark.parametrize("given", [OPEN, CLOSED, SHORT, CUT, FIRE, LOCKDOWN, SCHEDULE_ON])
def test_a_level_read_again_changes_nothing(given):
    door = Door()
    door.at(0, given)
    before = door.status
    assert door.at(0.01, given) == ()
    assert door.status == before


@pytest.mark.parametrize("given", [NO_FIRE, LOCKDOWN_OVER, SCHEDULE_OFF, BACK, CLOSED])
def test_what_already_is_so_changes_nothing(given):
    door = Door()
    before = door.status
    assert door.at(0, given) == ()
    assert door.status == before


def released(effects: tuple[Effect, ...], kind: EventKind) -> list[str]:
    """Name the grants that one kind of event is about."""
    found = [e for e in effects if isinstance(e, Happened) and e.kind is kind]
    return [str(e.data.get("release")) for e in found]


# Both sides of every timer


ENTERS, SLOWLY = Granted("g"), Granted("g", needs_time=True)
T = K.ACCESS_TAKEN
N = K.ACCESS_NOT_TAKEN


@pytest.mark.parametrize(
    ("settings", "before", "at", "given", "just_before", "at_its_time"),
    [
        # grant_s, then entry_s more to walk in
        ({}, [(0, ENTERS)], 5, TICK, [], [N]),
        ({"grant_s": 8.0}, [(0, ENTERS)], 8, TICK, [], [N]),
        ({"entry_s": 3.0}, [(0, ENTERS)], 8, TICK, [], [N]),
        ({"entry_s": 3.0}, [(0, ENTERS)], 8, OPEN, [T], [N]),
        # whoever needs time has it, and never less than the rest
        ({}, [(0, SLOWLY)], 15, TICK, [], [N]),
        ({"extended_grant_s": 40.0}, [(0, SLOWLY)], 40, TICK, [], [N]),
        ({"extended_grant_s": 2.0}, [(0, SLOWLY)], 5, TICK, [], [N]),
        ({}, [(0, SLOWLY), (1, OPEN)], 51, TICK, [], [K.DOOR_PREALARM]),
        ({}, [(0, SLOWLY), (1, OPEN), (52, TICK)], 61, TICK, [], [K.DOOR_HELD]),
        (
            {"extended_held_open_s": 5.0},
            [(0, SLOWLY), (1, OPEN), (22, TICK)],
            31,
            TICK,
            [],
            [K.DOOR_HELD],
        ),
        # held_open_s and the warning before it
        ({}, [(0, ENTERS), (1, OPEN)], 21, TICK, [], [K.DOOR_PREALARM]),
        ({"prealarm_s": 4.0}, [(0, ENTERS), (1, OPEN)], 27, TICK, [], [K.DOOR_PREALARM]),
        ({}, [(0, ENTERS), (1, OPEN), (22, TICK)], 31, TICK, [], [K.DOOR_HELD]),
        ({"held_open_s": 60.0}, [(0, ENTERS), (1, OPEN), (52, TICK)], 61, TICK, [], [K.DOOR_HELD]),
        # debounce_s
        ({}, [(0, OPEN)], 0.1, TICK, [], [K.DOOR_FORCED]),
        ({"debounce_s": 0.5}, [(0, OPEN)], 0.5, TICK, [], [K.DOOR_FORCED]),
        # exit_ignore_s
        ({"exit_ignore_s": 4.0}, [(0, CLOSED)], -56, PRESSED, [N], []),
        # overrides and maintenance end
        ({}, [(0, until(60))], 60, TICK, [], [K.PORTAL_LOCKED]),
        ({}, [(0, maintenance(60))], 60, TICK, [], [K.MAINTENANCE_ENDED]),
        ({}, [(0, SCHEDULE_ON), (1, locked_until(60))], 60, TICK, [], [K.PORTAL_UNLOCKED]),
    ],
)
def test_each_timer_is_due_at_its_time_and_not_before(
    settings, before, at, given, just_before, at_its_time
):
    for moment, expected in ((at - 0.000001, just_before), (at, at_its_time)):
        door = Door(replace(DOOR, **settings))
        for seconds, earlier in before:
            door.at(seconds, earlier)
        assert kinds(door.at(moment, given)) == expected, moment


@pytest.mark.parametrize("relocks_after_s", [0.0, 2.0])
def test_a_door_may_lock_again_so_long_after_it_opened(relocks_after_s):
    door = Door(replace(DOOR, relock_on_open_s=relocks_after_s))
    door.at(0, LIN_ENTERS)
    assert door.at(1, OPEN) == (Happened(K.ACCESS_TAKEN, {"release": "lin-1"}),)
    assert door.due == MORNING + timedelta(seconds=1 + relocks_after_s)
    if relocks_after_s:
        assert door.at(1 + relocks_after_s - 0.000001, TICK) == ()
    assert door.at(1 + relocks_after_s, TICK) == (Lock(),)
    assert door.at(9, TICK) == ()
    assert locks(door.at(10, CLOSED)) == [Lock()]


def test_a_door_that_closes_before_its_relock_is_locked_once():
    door = Door(replace(DOOR, relock_on_open_s=5.0))
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert locks(door.at(2, CLOSED)) == [Lock()]
    assert door.at(6, TICK) == ()


def test_a_relock_gives_way_to_what_came_after_the_opening():
    for given in (SCHEDULE_ON, until(900), FIRE):
        door = Door(replace(DOOR, relock_on_open_s=5.0))
        door.at(0, LIN_ENTERS)
        door.at(1, OPEN)
        door.at(2, given)
        assert door.at(6, TICK) == ()
    door = Door(replace(DOOR, relock_on_open_s=5.0))
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(2, CUT)
    door.at(3, WANG_ENTERS)
    assert locks(door.at(6, TICK)) == []


def test_what_holds_a_door_unlocked_is_not_relocked_when_it_opens():
    door = Door(replace(DOOR, relock_on_open_s=5.0))
    door.at(0, SCHEDULE_ON)
    door.at(1, LIN_ENTERS)
    door.at(2, OPEN)
    assert door.due is None
    door.at(3, SCHEDULE_OFF)
    assert locks(door.at(7, TICK)) == []


def test_who_needs_time_keeps_it_when_another_follows_through_the_open_door():
    door = Door()
    assert door.at(0, SLOWLY) == (Unlock(15.0, Cause.DECISION, "g"),)
    door.at(1, OPEN)
    door.at(2, WANG_ENTERS)
    assert kinds(door.at(33, TICK)) == []
    assert kinds(door.at(52, TICK)) == [K.DOOR_PREALARM]
    door.at(53, CLOSED)
    door.at(60, LIN_ENTERS)
    door.at(61, OPEN)
    assert kinds(door.at(81, TICK)) == [K.DOOR_PREALARM]  # and the next has the usual time


def test_who_needs_time_and_comes_second_has_it_too():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert locks(door.at(2, SLOWLY)) == [Unlock(15.0, Cause.DECISION, "g")]
    assert kinds(door.at(51.9, TICK)) == []
    assert kinds(door.at(52, TICK)) == [K.DOOR_PREALARM]


def test_a_release_said_again_has_its_full_time_and_is_settled_once():
    door = Door()
    door.at(0, LIN_ENTERS)
    assert door.at(3, LIN_ENTERS) == (Unlock(5.0, Cause.DECISION, "lin-1"),)
    assert door.at(7.9, TICK) == ()
    assert kinds(door.at(8, TICK)) == [N]


# The exit button


SHUNT = replace(DOOR, exit_button=ExitButton.SHUNT, has_mechanical_exit=True)


def test_an_exit_button_drives_the_lock():
    door = Door()
    assert door.at(0, PRESSED) == (Unlock(5.0, Cause.EXIT, "exit-1"),)
    assert kinds(door.at(1, OPEN)) == [T]


def test_an_exit_button_that_shunts_makes_an_opening_lawful_and_moves_no_bolt():
    door = Door(SHUNT)
    assert door.at(0, PRESSED) == ()
    assert door.state is S.RELEASED
    assert door.at(1, OPEN) == (Happened(T, {"release": "exit-1"}),)
    door.at(2, CLOSED)
    door.at(3, OPEN)
    assert kinds(door.at(3.1, TICK)) == [K.DOOR_FORCED]


def test_a_card_at_a_door_whose_button_shunts_drives_the_lock():
    assert Door(SHUNT).at(0, LIN_ENTERS) == (Unlock(5.0, Cause.DECISION, "lin-1"),)


def test_an_exit_button_is_not_heard_just_after_somebody_came_in():
    door = Door(replace(DOOR, exit_ignore_s=4.0))
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(2, CLOSED)
    ignored = {"release": "exit-1", "exit_ignored_s": 4.0}
    assert door.at(2, PRESSED) == (Happened(N, ignored),)
    assert door.at(5.999999, PRESSED) == (Happened(N, ignored),)
    assert door.at(6, PRESSED) == (Unlock(5.0, Cause.EXIT, "exit-1"),)
    assert locks(door.at(7, LIN_ENTERS)) == [Unlock(5.0, Cause.DECISION, "lin-1")]


def test_an_exit_button_is_heard_where_no_time_is_set_or_the_clock_went_back():
    door = Door()
    door.at(0, CLOSED)
    assert locks(door.at(0, PRESSED)) == [Unlock(5.0, Cause.EXIT, "exit-1")]
    door = Door(replace(DOOR, exit_ignore_s=4.0))
    assert locks(door.at(-61, PRESSED)) == [Unlock(5.0, Cause.EXIT, "exit-1")]


# The first person


FIRST = replace(DOOR, needs_first_person=True)


def test_the_schedule_waits_for_the_first_valid_person():
    door = Door(FIRST)
    assert door.at(0, SCHEDULE_ON) == ()
    assert door.state is S.SECURED
    door.at(10, LIN_ENTERS)
    effects = door.at(11, OPEN)
    assert locks(effects) == [Unlock(None, Cause.SCHEDULE)]
    assert kinds(effects) == [T, K.PORTAL_UNLOCKED]
    assert door.state is S.UNLOCKED
    assert door.at(12, SCHEDULE_ON) == ()
    door.at(13, CLOSED)
    assert locks(door.at(99, SCHEDULE_OFF)) == [Lock()]
    assert door.at(100, SCHEDULE_ON) == ()  # and the next day waits for its own


@pytest.mark.parametrize("grant", [Granted("x", Cause.EXIT), Granted("x", Cause.OPERATOR)])
def test_who_leaves_and_whom_a_guard_lets_in_are_no_first_person(grant):
    door = Door(FIRST)
    door.at(0, SCHEDULE_ON)
    door.at(1, grant)
    assert locks(door.at(2, OPEN)) == []


def test_a_first_person_who_does_not_walk_in_has_not_come():
    door = Door(FIRST)
    door.at(0, SCHEDULE_ON)
    door.at(1, LIN_ENTERS)
    assert locks(door.at(6, TICK)) == [Lock()]
    assert door.state is S.SECURED


def test_a_first_person_may_come_through_a_door_that_is_open():
    door = Door(FIRST)
    door.at(0, Granted("x", Cause.OPERATOR))
    door.at(1, OPEN)
    door.at(2, SCHEDULE_ON)
    effects = door.at(3, LIN_ENTERS)
    assert locks(effects)[-1] == Unlock(None, Cause.SCHEDULE)


def test_who_comes_before_the_schedule_or_by_fire_is_no_first_person():
    door = Door(FIRST)
    door.at(0, LIN_ENTERS)
    assert locks(door.at(1, OPEN)) == []
    door.at(2, CLOSED)
    door.at(3, SCHEDULE_ON)
    door.at(4, FIRE)
    door.at(5, Granted("stranger"))
    assert kinds(door.at(6, OPEN)) == [T]
    door.at(7, CLOSED)
    door.at(8, NO_FIRE)
    assert locks(door.at(9, RESTORE)) == [Lock()]


def test_without_the_rule_the_schedule_waits_for_nobody():
    door = Door()
    assert locks(door.at(0, SCHEDULE_ON)) == [Unlock(None, Cause.SCHEDULE)]


# Counting persons


LEAFLESS = replace(DOOR, kind=PortalKind.TURNSTILE)
TWO = Granted("two", persons=2)


def turnstile(settings: Portal = LEAFLESS) -> Door:
    return Door(settings, closed=False)


def tailgates(effects: tuple[Effect, ...]) -> list[tuple[int, int]]:
    found = [e for e in effects if isinstance(e, Happened) and e.kind is K.TAILGATING]
    return [(e.data["persons"], e.data["granted"]) for e in found]


def test_through_a_turnstile_a_passage_is_the_opening():
    gate = turnstile()
    gate.at(0, LIN_ENTERS)
    assert gate.at(1, Passed()) == (Happened(T, {"release": "lin-1"}),)
    assert gate.at(9, TICK) == ()
    assert gate.status == Status()


@pytest.mark.parametrize(
    ("grant", "passages", "expected"),
    [
        (LIN_ENTERS, [1], []),
        (LIN_ENTERS, [2], [(2, 1)]),
        (LIN_ENTERS, [1, 1], [(1, 0)]),
        (TWO, [1, 1], []),
        (TWO, [2], []),
        (TWO, [3], [(3, 2)]),
        (TWO, [1, 1, 1], [(1, 0)]),
        (TWO, [1, 2], [(2, 1)]),
        (None, [1], [(1, 0)]),
        (LIN_ENTERS, [0, 1], []),
        (LIN_ENTERS, [-1, 1], []),
    ],
)
def test_at_a_turnstile_each_passage_needs_its_grant(grant, passages, expected):
    gate = turnstile()
    if grant is not None:
        gate.at(0, grant)
    told = []
    for number, persons in enumerate(passages, start=1):
        told += tailgates(gate.at(number, Passed(persons)))
    assert told == expected


@pytest.mark.parametrize(("moment", "expected"), [(4.999999, []), (5, [(1, 0)])])
def test_what_is_left_of_a_grant_for_two_lapses_with_its_time(moment, expected):
    gate = turnstile()
    gate.at(0, TWO)
    gate.at(1, Passed())
    assert gate.due == MORNING + timedelta(seconds=5)
    assert tailgates(gate.at(moment, Passed())) == expected


@pytest.mark.parametrize(
    ("grant", "passages", "expected"),
    [
        (LIN_ENTERS, [1], []),
        (LIN_ENTERS, [1, 1], [(2, 1)]),
        (LIN_ENTERS, [3, 1], [(3, 1), (4, 1)]),
        (TWO, [1, 1], []),
        (TWO, [2, 1], [(3, 2)]),
        (PRESSED, [1], [(1, 0)]),
    ],
)
def test_through_one_opening_of_a_door_as_many_pass_as_were_granted(grant, passages, expected):
    door = Door()
    door.at(0, grant)
    door.at(1, OPEN)
    told = []
    for number, persons in enumerate(passages, start=2):
        told += tailgates(door.at(number, Passed(persons)))
    assert told == expected
    door.at(20, CLOSED)
    assert (door.status.allowed, door.status.passed) == (0, 0)


def test_who_follows_with_a_grant_of_their_own_is_no_tailgater():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(2, WANG_ENTERS)
    assert kinds(door.at(3, Passed(2))) == []
    assert tailgates(door.at(4, Passed())) == [(3, 2)]


def test_who_leaves_needs_no_grant():
    for gate in (turnstile(), Door()):
        assert gate.at(0, Passed(3, is_out=True)) == ()
        gate.at(1, LIN_ENTERS)
        gate.at(2, Passed(is_out=True))
        assert kinds(gate.at(3, Passed())) == [T]  # his grant was for coming in


def test_an_exit_grant_is_taken_by_who_walks_out():
    gate = turnstile()
    gate.at(0, PRESSED)
    assert kinds(gate.at(1, Passed())) == [K.TAILGATING]
    assert kinds(gate.at(2, Passed(is_out=True))) == [T]
    assert gate.at(9, TICK) == ()


@pytest.mark.parametrize("hold", [SCHEDULE_ON, until(900), FIRE])
def test_through_a_turnstile_that_is_held_open_a_grant_is_taken_and_nobody_counted(hold):
    gate = turnstile()
    gate.at(0, hold)
    gate.at(1, TWO)
    assert kinds(gate.at(2, Passed())) == [T]
    assert kinds(gate.at(3, Passed(5))) == []
    assert gate.status.allowed == 0


def test_in_maintenance_nobody_is_counted_but_grants_are_taken():
    gate = turnstile()
    gate.at(0, maintenance(900))
    assert gate.at(1, Passed(4)) == ()
    gate.at(2, TWO)
    assert kinds(gate.at(3, Passed(4))) == [T]
    assert gate.status.allowed == 0


def test_the_first_person_through_a_turnstile_brings_the_schedule():
    gate = turnstile(replace(LEAFLESS, needs_first_person=True))
    gate.at(0, SCHEDULE_ON)
    gate.at(1, TWO)
    effects = gate.at(2, Passed(3))
    assert kinds(effects) == [T, K.PORTAL_UNLOCKED]
    assert gate.status.allowed == 0


# Maintenance


def test_maintenance_is_told_with_its_end_and_who_works():
    door = Door()
    end = (MORNING + timedelta(seconds=60)).isoformat()
    assert door.at(0, maintenance(60)) == (
        Happened(K.MAINTENANCE_STARTED, {"by": "meng", "until": end}),
    )
    assert door.state is S.MAINTENANCE
    assert door.due == MORNING + timedelta(seconds=60)
    assert door.at(60, TICK) == (Happened(K.MAINTENANCE_ENDED, {"by": "expiry"}),)
    assert door.state is S.SECURED


@pytest.mark.parametrize("given", [MENDED, maintenance(10), maintenance(-1)])
def test_maintenance_ends_when_somebody_says_so_and_once(given):
    door = Door()
    door.at(0, maintenance(60))
    assert door.at(10, given) == (Happened(K.MAINTENANCE_ENDED, {"by": "meng"}),)
    assert door.at(11, given) == ()


def test_in_maintenance_a_door_is_neither_forced_nor_held():
    door = Door()
    door.at(0, maintenance(900))
    assert door.at(1, OPEN) == ()
    assert door.at(600, TICK) == ()
    assert kinds(door.at(601, CLOSED)) == [K.DOOR_CLOSED]
    assert kinds(door.at(602, OPEN)) == []


@pytest.mark.parametrize(
    ("before", "cleared"),
    [
        ([(0, OPEN), (1, TICK)], [K.DOOR_FORCED_CLEARED]),
        ([(0, LIN_ENTERS), (1, OPEN), (40, TICK)], [K.DOOR_HELD_CLEARED]),
        ([(40, OPEN)], []),
    ],
)
def test_maintenance_takes_an_alarm_back_and_the_same_opening_is_none_later(before, cleared):
    door = Door()
    for seconds, given in before:
        door.at(seconds, given)
    assert kinds(door.at(40.05, maintenance(100))) == [*cleared, K.MAINTENANCE_STARTED]
    assert door.at(99, TICK) == ()
    assert kinds(door.at(100, TICK)) == [K.MAINTENANCE_ENDED]
    assert door.state is S.OPEN
    assert kinds(door.at(119.9, TICK)) == []
    assert kinds(door.at(120, TICK)) == [K.DOOR_PREALARM]  # its full time counts from the end
    assert kinds(door.at(121, CUT)) == [K.CONTACT_FAULT]
    assert kinds(door.at(122, OPEN)) == [K.CONTACT_FAULT_CLEARED]
    assert K.DOOR_FORCED not in kinds(door.at(123, TICK))


def test_maintenance_opens_nothing_and_a_card_still_does():
    door = Door()
    assert locks(door.at(0, maintenance(900))) == []
    assert locks(door.at(1, LIN_ENTERS)) == [Unlock(5.0, Cause.DECISION, "lin-1")]
    assert locks(door.at(6, TICK)) == [Lock()]


def test_a_door_found_open_in_maintenance_is_no_news():
    door = Door(closed=False)
    door.at(0, maintenance(900))
    assert door.at(1, OPEN) == ()


def test_fire_stands_above_maintenance():
    door = Door()
    door.at(0, maintenance(900))
    assert locks(door.at(1, FIRE)) == [Unlock(None, Cause.FIRE)]
    assert door.state is S.FIRE_RELEASE


# Held locked


def test_a_door_held_locked_opens_to_credentials_only():
    door = Door()
    door.at(0, SCHEDULE_ON)
    effects = door.at(1, locked_until(60))
    assert locks(effects) == [Lock()]
    assert door.state is S.SECURED
    assert locks(door.at(2, LIN_ENTERS)) == [Unlock(5.0, Cause.DECISION, "lin-1")]
    assert locks(door.at(60, TICK)) == [Unlock(None, Cause.SCHEDULE)]


def test_an_override_may_turn_from_unlocked_to_locked_and_back():
    door = Door()
    door.at(0, until(60))
    assert locks(door.at(1, locked_until(60))) == [Lock()]
    assert locks(door.at(2, until(60))) == [Unlock(None, Cause.OPERATOR)]
    assert locks(door.at(3, locked_until(2))) == [Lock()]  # into the past: it is taken back
    assert not door.status.override_locked
    assert door.status.override_by == ""


def test_an_override_says_whose_it_is():
    door = Door()
    door.at(0, until(60))
    assert door.status.override_by == "guo"
    door.at(60, TICK)
    assert (door.status.override_by, door.status.override_locked) == ("", False)


# Lockdown, and the way out


def test_a_lockdown_does_not_take_back_the_way_out():
    door = Door()
    door.at(0, PRESSED)
    assert door.at(1, LOCKDOWN) == (Happened(K.LOCKDOWN_STARTED, {"by": "guo"}),)
    assert door.state is S.RELEASED
    assert kinds(door.at(2, OPEN)) == [T]
    assert locks(door.at(3, CLOSED)) == [Lock()]


def test_a_lockdown_waits_for_who_is_on_the_way_out_of_an_unlocked_door_and_then_locks():
    for hold in (SCHEDULE_ON, until(900)):
        door = Door()
        door.at(0, hold)
        door.at(1, PRESSED)
        assert locks(door.at(2, LOCKDOWN)) == []
        assert locks(door.at(6, TICK)) == [Lock()]


def test_a_lockdown_locks_a_closed_portal_whatever_was_thought_of_it():
    gate = turnstile()
    gate.at(0, LIN_ENTERS)
    gate.at(1, Passed())
    assert gate.at(2, LOCKDOWN) == (Lock(), Happened(K.LOCKDOWN_STARTED, {"by": "guo"}))
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert locks(door.at(2, LOCKDOWN)) == []
    assert locks(door.at(3, CLOSED)) == [Lock()]


def test_a_lockdown_of_a_forced_door_settles_a_waiting_grant_and_fires_no_bolt():
    door = Door()
    door.at(0, OPEN)
    door.at(1, TICK)
    door.at(2, LIN_ENTERS)
    effects = door.at(3, LOCKDOWN)
    assert locks(effects) == []
    assert released(effects, N) == ["lin-1"]


def test_in_a_fire_a_lockdown_takes_nothing_back_and_an_operator_may_let_in():
    door = Door()
    door.at(0, FIRE)
    door.at(1, LIN_ENTERS)
    assert kinds(door.at(2, LOCKDOWN)) == [K.LOCKDOWN_STARTED]
    assert kinds(door.at(3, OPEN)) == [T]
    door.at(4, CLOSED)
    assert locks(door.at(5, Granted("c-1", Cause.OPERATOR))) == [
        Unlock(None, Cause.OPERATOR, "c-1")
    ]


# After a restart


@pytest.mark.parametrize("first", [OPEN, CLOSED, SHORT, CUT])
@pytest.mark.parametrize(
    ("kept", "cause"),
    [
        (Status(fire_latched=True), Cause.FIRE),
        (Status(override_until=MORNING + timedelta(hours=1)), Cause.OPERATOR),
    ],
)
def test_whatever_is_read_first_what_held_the_portal_holds_it_again(first, kept, cause):
    door = Door(closed=False)
    door.status = kept
    effects = door.at(0, first)
    assert locks(effects) == [Unlock(None, cause)]
    assert K.DOOR_FOUND_OPEN not in kinds(effects)
    assert locks(door.at(1, OPEN if first is CLOSED else CLOSED)) == []


@pytest.mark.parametrize("first", [OPEN, CLOSED, SHORT, CUT])
@pytest.mark.parametrize("kept", [Status(), Status(lockdown=True)])
def test_a_start_unlocks_nothing(first, kept):
    door = Door(closed=False)
    door.status = kept
    assert not [e for e in door.at(0, first) if isinstance(e, Unlock)]


# More of what holds it


def test_the_warning_sounds_again_after_a_hold_has_ended():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(22, TICK)
    door.at(23, until(100))
    assert door.state is S.UNLOCKED
    door.at(100, TICK)
    assert door.state is S.OPEN
    assert door.at(120, TICK) == (Beep(), Happened(K.DOOR_PREALARM))


def test_a_door_with_a_broken_wire_and_a_hold_is_a_fault_first():
    door = Door()
    door.at(0, SCHEDULE_ON)
    door.at(1, CUT)
    assert door.state is S.FAULT
    door.at(2, CLOSED)
    assert door.state is S.UNLOCKED


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"on_power_loss": OnPowerLoss.FAIL_SECURE}, "has no mechanical exit"),
        ({"exit_button": ExitButton.SHUNT}, "does not drive the lock"),
        ({"grant_s": 0.5}, "grant_s 0.5 is not within 1 to 120 s"),
        ({"prealarm_s": 31.0}, "longer than"),
    ],
)
def test_dangerous_settings_are_named(change, word):
    assert portal_fault(DOOR) is None
    fault = portal_fault(replace(DOOR, **change))
    assert fault is not None
    assert word in fault


# What a device has decided and opened by itself


BOARDS = Granted("b-1", is_released=True)


def test_what_a_board_has_opened_is_a_passage_without_an_order_to_unlock():
    door = Door()
    assert door.at(0, BOARDS) == ()
    assert door.state is S.RELEASED
    assert door.at(1, OPEN) == (Happened(T, {"release": "b-1"}),)


def test_a_boards_decision_that_comes_late_clears_the_alarm_it_explains():
    door = Door()
    door.at(0, OPEN)
    door.at(1, TICK)
    assert door.state is S.FORCED
    assert door.at(2, BOARDS) == (
        Happened(K.DOOR_FORCED_CLEARED, {"release": "b-1"}),
        Happened(T, {"release": "b-1", "door_was_open": True}),
    )
    assert door.state is S.OPEN
    assert kinds(door.at(3, CLOSED)) == [K.DOOR_CLOSED]


def test_a_boards_own_exit_is_never_an_echo():
    door = Door(replace(DOOR, exit_ignore_s=4.0))
    door.at(0, CLOSED)
    assert door.at(-58, Granted("b-2", Cause.EXIT, is_released=True)) == ()
    assert kinds(door.at(-57, OPEN)) == [T]


def test_an_override_that_has_ended_leaves_nothing_of_itself():
    for ended in (locked_until(60), until(60)):
        door = Door()
        before = door.status
        door.at(0, ended)
        door.at(60, TICK)
        assert door.status == before


def test_the_warning_sounds_again_for_the_next_who_keeps_the_door_open():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    assert kinds(door.at(21, TICK)) == [K.DOOR_PREALARM]
    door.at(25, WANG_ENTERS)
    assert door.state is S.OPEN
    assert door.at(45, TICK) == (Beep(), Happened(K.DOOR_PREALARM))


def test_who_is_granted_at_a_door_found_open_makes_its_opening_lawful():
    door = Door(closed=False)
    door.at(0, OPEN)
    door.at(1, LIN_ENTERS)
    door.at(2, CUT)
    door.at(3, OPEN)
    assert door.at(4, TICK) == ()


def test_a_relock_that_a_new_grant_overtakes_is_forgotten():
    door = Door(replace(DOOR, relock_on_open_s=60.0))
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(2, CUT)
    door.at(3, WANG_ENTERS)
    assert locks(door.at(8, TICK)) == [Lock()]
    assert door.due == MORNING + timedelta(seconds=21)
    assert locks(door.at(61, TICK)) == []


def test_whoever_leaves_by_an_open_door_lets_nobody_in():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(2, Granted("out", Cause.EXIT))
    assert tailgates(door.at(3, Passed(2))) == [(2, 1)]


@pytest.mark.parametrize(("seconds", "is_heard"), [(0.5, True), (1.0, False)])
def test_an_exit_button_that_is_deaf_for_a_second_or_less_is_so_for_as_long(seconds, is_heard):
    door = Door(replace(DOOR, exit_ignore_s=seconds))
    door.at(0, OPEN)
    door.at(1, CLOSED)
    told = door.at(1.7, Granted("out", Cause.EXIT))
    assert any(isinstance(effect, Unlock) for effect in told) is is_heard


@pytest.mark.parametrize("level", [ContactLevel.SHORT, ContactLevel.CUT])
def test_at_a_start_a_door_is_locked_whatever_its_contact_says(level):
    door = Door(closed=False)
    assert door.at(0, ContactRead(level))[-1] == Lock()
    kept = Door(closed=False)
    kept.at(0, LIN_ENTERS)
    assert Lock() not in kept.at(1, ContactRead(level)), "somebody is on the way through"


def test_the_schedule_that_waited_for_a_person_is_named_as_what_unlocks():
    door = Door(replace(DOOR, needs_first_person=True))
    door.at(0, ScheduleRead(is_active=True))
    door.at(1, LIN_ENTERS)
    told = door.at(2, OPEN)
    unlocked = [e for e in told if isinstance(e, Happened) and e.kind is K.PORTAL_UNLOCKED]
    assert [effect.data["by"] for effect in unlocked] == ["schedule"]


@pytest.mark.parametrize(
    ("story", "may_lock"),
    [
        ([], True),
        ([(0, LIN_ENTERS)], False),
        ([(0, LIN_ENTERS), (1, OPEN)], False),
        ([(0, LIN_ENTERS), (1, OPEN), (3, CLOSED), (60, TICK)], True),
        ([(0, OPEN), (1, TICK)], False),
    ],
    ids=["closed", "granted", "open and granted", "passed and closed", "forced open"],
)
def test_no_bolt_is_fired_into_an_open_leaf_or_before_who_was_granted(story, may_lock):
    door = Door()
    for seconds, given in story:
        door.at(seconds, given)
    assert door.status.may_lock is may_lock


def turnstile_with_a_leaf() -> Door:
    return Door(replace(DOOR, kind=PortalKind.TURNSTILE, debounce_s=0.1))


@pytest.mark.parametrize(("opens_at", "is_forced"), [(4.9, False), (5.0, True)])
def test_a_leaf_may_open_behind_the_beam_for_as_long_as_the_grant_lasts(opens_at, is_forced):
    gate = turnstile_with_a_leaf()
    gate.at(0, LIN_ENTERS)
    gate.at(1, Passed())
    gate.at(opens_at, OPEN)
    gate.at(opens_at + 1, TICK)
    assert gate.status.is_forced is is_forced


def test_a_leaf_that_opened_behind_the_beam_stays_explained_when_its_wire_breaks():
    gate = turnstile_with_a_leaf()
    gate.at(0, LIN_ENTERS)
    gate.at(1, Passed())
    gate.at(2, OPEN)
    gate.at(3, CUT)
    gate.at(6, OPEN)
    gate.at(8, TICK)
    assert not gate.status.is_forced


def test_one_crossing_explains_one_opening():
    gate = turnstile_with_a_leaf()
    gate.at(0, LIN_ENTERS)
    gate.at(1, Passed())
    gate.at(2, OPEN)
    gate.at(3, CLOSED)
    gate.at(4, OPEN)
    gate.at(4.9, TICK)
    assert gate.status.is_forced


def test_no_timer_stays_behind_a_passage():
    gate = Door(LEAFLESS, closed=False)
    gate.at(0, LIN_ENTERS)
    gate.at(1, Passed())
    gate.at(5, TICK)
    assert next_deadline(gate.portal, gate.status) is None
    two = Door(LEAFLESS, closed=False)
    two.at(0, Granted("lin-1", persons=2))
    two.at(1, Passed())
    assert two.status.allowed_until == MORNING + timedelta(seconds=5)
    two.at(2, Passed())
    assert two.status.allowed_until is None
    door = Door()
    door.at(0, Granted("lin-1", persons=2))
    door.at(1, Passed())
    door.at(2, OPEN)
    door.at(3, CLOSED)
    assert door.status.allowed_until is None


def test_who_needed_time_has_taken_it_along():
    gate = turnstile_with_a_leaf()
    gate.at(0, Granted("lin-1", needs_time=True))
    gate.at(1, Passed())
    assert not gate.status.is_extended


def test_who_works_on_a_door_is_known_while_they_do():
    door = Door()
    door.at(0, maintenance(60))
    assert door.status.maintenance_by == "meng"
    door.at(10, MENDED)
    assert door.status.maintenance_by == ""


def test_a_door_that_was_about_to_alarm_has_its_full_time_after_maintenance():
    door = Door()
    door.at(0, LIN_ENTERS)
    door.at(1, OPEN)
    door.at(26, TICK)
    assert door.state is S.PREALARM
    door.at(27, maintenance(60))
    assert not door.status.is_prealarm
    door.at(40, MENDED)
    assert door.state is S.OPEN
