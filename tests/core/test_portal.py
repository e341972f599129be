from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from anlin.core.device import ContactLevel
from anlin.core.entities import Portal
from anlin.core.event import EventKind
from anlin.core.portal import (
    Beep,
    Cause,
    ContactRead,
    Effect,
    FireRead,
    FireRestore,
    Granted,
    Happened,
    Input,
    Lock,
    Lockdown,
    Override,
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


def until(seconds: float) -> Override:
    return Override(MORNING + timedelta(seconds=seconds), "guo")


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
