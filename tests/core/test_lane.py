from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from anlin.core.device import ArmPosition, LoopPlace
from anlin.core.entities import Portal, PortalKind
from anlin.core.event import EventKind
from anlin.core.hold import Cause, Maintenance, Override
from anlin.core.lane import (
    GONE_AFTER,
    MAX_QUEUE,
    SHORT_CROSSING,
    STUCK_AFTER,
    WAITING_AFTER,
    ArmRead,
    Input,
    Looked,
    LoopRead,
    Status,
    StruckRead,
    Waiting,
    next_deadline,
    step,
)
from anlin.core.portal import (
    Effect,
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

K = EventKind
S = PortalState
LANE = Portal("lane", "车行道", PortalKind.BARRIER, grant_s=15.0, is_escape_route=False)
COMES, GOES = LoopRead(LoopPlace.APPROACH, True), LoopRead(LoopPlace.APPROACH, False)
UNDER, CLEAR = LoopRead(LoopPlace.UNDER, True), LoopRead(LoopPlace.UNDER, False)
DOWN, MOVING = ArmRead(ArmPosition.DOWN), ArmRead(ArmPosition.MOVING)
UP, OFF = ArmRead(ArmPosition.UP), ArmRead(ArmPosition.OFF)
STRUCK, LOOKED, TICK = StruckRead(), Looked(), Tick()
LIN, WANG, THIRD, FOURTH = Granted("lin"), Granted("wang"), Granted("third"), Granted("fourth")
LEAVES = Granted("out", Cause.EXIT)
BY_GUARD = Granted("guard", Cause.OPERATOR)
FIRE, NO_FIRE, RESTORE = FireRead(True), FireRead(False), FireRestore("guo")
LOCKDOWN, LOCKDOWN_OVER = Lockdown(is_active=True, by="guo"), Lockdown(is_active=False, by="guo")
SCHEDULE_ON, SCHEDULE_OFF = ScheduleRead(True), ScheduleRead(False)
BACK, MENDED = Override(None, "guo"), Maintenance(None, "meng")


def until(seconds: float, *, is_locked: bool = False) -> Override:
    return Override(MORNING + timedelta(seconds=seconds), "guo", is_locked)


def maintenance(seconds: float) -> Maintenance:
    return Maintenance(MORNING + timedelta(seconds=seconds), "meng")


class Lane:
    """One lane and its story: inputs at seconds after `MORNING`."""

    def __init__(self, *first: Input, portal: Portal = LANE) -> None:
        self.portal = portal
        self.status = Status()
        for given in first:
            self.at(-60, given)

    def at(self, seconds: float, given: Input) -> tuple[Effect, ...]:
        moment = MORNING + timedelta(seconds=seconds)
        self.status, effects = step(self.portal, self.status, given, moment)
        return effects

    @property
    def state(self) -> PortalState:
        return self.status.state

    @property
    def due(self) -> datetime | None:
        return next_deadline(self.status)


def two_loops(portal: Portal = LANE) -> Lane:
    """The usual lane: a loop before the arm, one under it, and its arm's position."""
    return Lane(GOES, CLEAR, DOWN, portal=portal)


def one_loop(portal: Portal = LANE) -> Lane:
    """A lane without a loop under the arm."""
    return Lane(GOES, DOWN, portal=portal)


def told(lane: Lane, steps: Situation) -> Lane:
    """Let a situation happen; where it says nothing of the arm, its position is not known."""
    if not any(isinstance(given, ArmRead) for _, given, _, _ in steps):
        lane.status = replace(lane.status, arm=None)
    for seconds, given, moves, events in steps:
        effects = lane.at(seconds, given)
        assert (locks(effects), kinds(effects)) == (moves, events), (seconds, given)
    return lane


def no_loops(portal: Portal = LANE) -> Lane:
    return Lane(DOWN, portal=portal)


def kinds(effects: tuple[Effect, ...]) -> list[EventKind]:
    return [effect.kind for effect in effects if isinstance(effect, Happened)]


def locks(effects: tuple[Effect, ...]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, Unlock | Lock)]


RAISED_FOR_LIN = [Unlock(None, Cause.DECISION, "lin")]

# What is told of each situation. A step is (seconds, input, moves of the arm, events).

Moves = list[Effect]
Situation = list[tuple[float, Input, Moves, list[EventKind]]]

SITUATIONS: dict[str, Situation] = {
    "a granted car passes and the arm comes down behind it": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, UP, [], []),
        (4, UNDER, [], []),
        (5, GOES, [], [K.VEHICLE_LEFT]),
        (6, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
        (8, DOWN, [], []),
        (99, TICK, [], []),
    ],
    "a short car is on neither loop for a moment": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, GOES, [], [K.VEHICLE_LEFT]),
        (5.9, UNDER, [], []),
        (7, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "a car whose time ends between the loops is not forgotten": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (15, GOES, [], [K.VEHICLE_LEFT]),
        (16, TICK, [], []),
        (17.9, UNDER, [], []),
        (20, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "a granted car backs away": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, GOES, [], [K.VEHICLE_LEFT]),
        (5.999999, TICK, [], []),
        (6, TICK, [Lock()], [K.ACCESS_NOT_TAKEN]),
    ],
    "a granted car never comes": [
        (0, LIN, RAISED_FOR_LIN, []),
        (14.999999, TICK, [], []),
        (15, TICK, [Lock()], [K.ACCESS_NOT_TAKEN]),
    ],
    "the car behind is not the heir of the one that backed away": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, GOES, [], [K.VEHICLE_LEFT]),
        (7, COMES, [Lock()], [K.ACCESS_NOT_TAKEN, K.VEHICLE_ARRIVED]),
        (9, UNDER, [], []),
        (11, CLEAR, [Lock()], [K.LANE_BYPASSED]),
    ],
    "a loop that flickers is no car that backed away": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, GOES, [], [K.VEHICLE_LEFT]),
        (3.2, COMES, [], [K.VEHICLE_ARRIVED]),
        (6, TICK, [], []),
        (8, UNDER, [], []),
        (9, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "nose to tail: the second is followed in, not denied, and no arm falls on it": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, UP, [], []),
        (4, UNDER, [], []),
        (5, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
        (5.1, UNDER, [], []),
        (7, CLEAR, [Lock()], [K.VEHICLE_FOLLOWED]),
    ],
    "two granted cars queue, and the arm stays up between them": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (2, WANG, [Unlock(None, Cause.DECISION, "wang")], []),
        (4, UNDER, [], []),
        (5, CLEAR, [], [K.ACCESS_TAKEN]),
        (6, UNDER, [], []),
        (7, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "an e-bike slips in before the granted car, whose grant waits on": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, UNDER, [], []),
        (3.699999, CLEAR, [], [K.LANE_BYPASSED]),
        (6, UNDER, [], []),
        (8, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "what stands under the arm for as long as a car is one": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, UNDER, [], []),
        (3.7, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "a quick car that has left the approach has passed": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, UNDER, [], []),
        (3.1, GOES, [], [K.VEHICLE_LEFT]),
        (3.6, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "an e-bike rides around the arm": [
        (0, UNDER, [], []),
        (0.3, CLEAR, [Lock()], [K.LANE_BYPASSED]),
    ],
    "a car from inside reverses out": [
        (0, UNDER, [], []),
        (1, COMES, [], [K.VEHICLE_ARRIVED]),
        (2, CLEAR, [Lock()], [K.VEHICLE_REVERSED]),
        (4, GOES, [], [K.VEHICLE_LEFT]),
    ],
    "a car from inside takes no grant of one that waits outside": [
        (0, LIN, RAISED_FOR_LIN, []),
        (1, UP, [], []),
        (2, UNDER, [], []),
        (4, CLEAR, [], [K.VEHICLE_FOLLOWED]),
        (5, COMES, [], [K.VEHICLE_ARRIVED]),
        (6, UNDER, [], []),
        (8, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "a car that comes while the arm is up by hand is followed, not a bypass": [
        (0, UP, [], [K.ARM_RAISED]),
        (1, UNDER, [], []),
        (3, CLEAR, [Lock()], [K.VEHICLE_FOLLOWED]),
        (4, UNDER, [], []),
        (4.5, CLEAR, [Lock()], [K.LANE_BYPASSED]),
        (9, DOWN, [], [K.ARM_RESTORED]),
    ],
    "a car waits and nobody decides on it": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (7.999999, TICK, [], []),
        (8, TICK, [], [K.VEHICLE_WAITING]),
        (60, TICK, [], []),
        (61, GOES, [], [K.VEHICLE_LEFT]),
        (62, COMES, [], [K.VEHICLE_ARRIVED]),
        (70, TICK, [], [K.VEHICLE_WAITING]),
    ],
    "a car that was denied is looked at": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (5, LOOKED, [], []),
        (60, TICK, [], []),
    ],
    "a car that the arm is up for waits for nobody": [
        (0, LIN, RAISED_FOR_LIN, []),
        (1, COMES, [], [K.VEHICLE_ARRIVED]),
        (14, TICK, [], []),
        (15, TICK, [Lock()], [K.ACCESS_NOT_TAKEN, K.VEHICLE_WAITING]),
    ],
    "the arm is knocked off and put back": [
        (0, OFF, [], [K.ARM_OFF]),
        (1, OFF, [], []),
        (99, DOWN, [], [K.ARM_RESTORED]),
    ],
    "the arm strikes something and goes up by itself": [
        (0, STRUCK, [], [K.ARM_STRUCK]),
        (1, UP, [], []),
        (2.999999, TICK, [], []),
        (3, TICK, [Lock()], []),
        (4, DOWN, [], []),
    ],
    "the arm sticks on its way up": [
        (0, LIN, RAISED_FOR_LIN, []),
        (1, MOVING, [], []),
        (11.999999, TICK, [], []),
        (12, TICK, [], [K.ARM_STUCK]),
        (14, UP, [], [K.ARM_RESTORED]),
    ],
    "the arm sticks on its way down": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (3, UP, [], []),
        (4, UNDER, [], []),
        (5, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
        (16.999999, TICK, [], []),
        (17, TICK, [], [K.ARM_STUCK]),
        (18, DOWN, [], [K.ARM_RESTORED]),
    ],
    "fire raises the arm until a named person restores it": [
        (0, FIRE, [Unlock(None, Cause.FIRE)], [K.FIRE_RELEASED]),
        (1, FIRE, [], []),
        (2, RESTORE, [], []),
        (3, UNDER, [], []),
        (4, CLEAR, [], [K.VEHICLE_PASSED]),
        (5, NO_FIRE, [], [K.FIRE_CLEARED]),
        (6, RESTORE, [Lock()], [K.PORTAL_LOCKED, K.FIRE_RESTORED]),
        (7, RESTORE, [], []),
    ],
    "in a fire a grant is taken as ever": [
        (0, FIRE, [Unlock(None, Cause.FIRE)], [K.FIRE_RELEASED]),
        (1, LOCKDOWN, [], [K.LOCKDOWN_STARTED]),
        (2, COMES, [], [K.VEHICLE_ARRIVED]),
        (3, BY_GUARD, [Unlock(None, Cause.OPERATOR, "guard")], []),
        (4, UNDER, [], []),
        (6, CLEAR, [], [K.ACCESS_TAKEN]),
        (60, TICK, [], []),
    ],
    "a lockdown takes back what waits and lowers the arm": [
        (0, LIN, RAISED_FOR_LIN, []),
        (1, WANG, [Unlock(None, Cause.DECISION, "wang")], []),
        (2, LOCKDOWN, [Lock()], [K.ACCESS_NOT_TAKEN, K.ACCESS_NOT_TAKEN, K.LOCKDOWN_STARTED]),
        (3, LOCKDOWN, [], []),
        (4, BY_GUARD, [], []),
        (5, until(900), [], []),
        (6, LOCKDOWN_OVER, [Unlock(None, Cause.OPERATOR)], [K.PORTAL_UNLOCKED, K.LOCKDOWN_ENDED]),
    ],
    "a lockdown lets out whoever has leave to drive out": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LEAVES, [Unlock(None, Cause.EXIT, "out")], []),
        (2, LIN, RAISED_FOR_LIN, []),
        (3, LOCKDOWN, [], [K.ACCESS_NOT_TAKEN, K.LOCKDOWN_STARTED]),
        (4, UNDER, [], []),
        (6, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "a lockdown drops no arm on the car below": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (2, UNDER, [], []),
        (3, LOCKDOWN, [], [K.LOCKDOWN_STARTED]),
        (4, GOES, [], [K.VEHICLE_LEFT]),
        (5, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "a lockdown during an e-bike's slip takes the car's grant back": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (2, UNDER, [], []),
        (2.2, LOCKDOWN, [], [K.LOCKDOWN_STARTED]),
        (2.4, CLEAR, [Lock()], [K.LANE_BYPASSED, K.ACCESS_NOT_TAKEN]),
    ],
    "an override holds the arm up and gives it back": [
        (0, until(60), [Unlock(None, Cause.OPERATOR)], [K.PORTAL_UNLOCKED]),
        (1, until(90), [], []),
        (2, UNDER, [], []),
        (4, CLEAR, [], [K.VEHICLE_PASSED]),
        (89.999999, TICK, [], []),
        (90, TICK, [Lock()], [K.PORTAL_LOCKED]),
    ],
    "an override that ends lowers nothing onto a car": [
        (0, until(60), [Unlock(None, Cause.OPERATOR)], [K.PORTAL_UNLOCKED]),
        (59, UNDER, [], []),
        (60, TICK, [], [K.PORTAL_LOCKED]),
        (61, CLEAR, [Lock()], [K.VEHICLE_PASSED]),
        (70, UNDER, [], []),
        (72, CLEAR, [Lock()], [K.LANE_BYPASSED]),
    ],
    "who began to cross in maintenance may end it afterwards": [
        (0, maintenance(60), [], [K.MAINTENANCE_STARTED]),
        (59, UNDER, [], []),
        (60, TICK, [], [K.MAINTENANCE_ENDED]),
        (61, CLEAR, [Lock()], [K.VEHICLE_PASSED]),
    ],
    "who is under the arm when it is freed has passed": [
        (0, UNDER, [], []),
        (1, SCHEDULE_ON, [Unlock(None, Cause.SCHEDULE)], [K.PORTAL_UNLOCKED]),
        (2, CLEAR, [], [K.VEHICLE_PASSED]),
    ],
    "an override may be taken back, and one into the past raises nothing": [
        (0, until(60), [Unlock(None, Cause.OPERATOR)], [K.PORTAL_UNLOCKED]),
        (1, BACK, [Lock()], [K.PORTAL_LOCKED]),
        (2, BACK, [], []),
        (3, until(3), [], []),
    ],
    "the schedule holds the arm up, and a guard may hold it locked": [
        (0, SCHEDULE_ON, [Unlock(None, Cause.SCHEDULE)], [K.PORTAL_UNLOCKED]),
        (1, SCHEDULE_ON, [], []),
        (2, until(60, is_locked=True), [Lock()], [K.PORTAL_LOCKED]),
        (60, TICK, [Unlock(None, Cause.SCHEDULE)], [K.PORTAL_UNLOCKED]),
        (61, COMES, [], [K.VEHICLE_ARRIVED]),
        (80, TICK, [], []),
        (81, SCHEDULE_OFF, [Lock()], [K.PORTAL_LOCKED]),
    ],
    "in maintenance no arm is raised by hand or stuck": [
        (0, maintenance(60), [], [K.MAINTENANCE_STARTED]),
        (1, UP, [], []),
        (2, UNDER, [], []),
        (4, CLEAR, [Lock()], [K.VEHICLE_PASSED]),
        (5, COMES, [], [K.VEHICLE_ARRIVED]),
        (59.999999, TICK, [], []),
        (60, TICK, [], [K.MAINTENANCE_ENDED, K.VEHICLE_WAITING]),
        (71.999999, TICK, [], []),
        (72, TICK, [], [K.ARM_STUCK]),
        (73, DOWN, [], [K.ARM_RESTORED]),
    ],
    "maintenance ends when somebody says so, once, and the arm has its time": [
        (0, maintenance(600), [], [K.MAINTENANCE_STARTED]),
        (1, UP, [], []),
        (30, MENDED, [], [K.MAINTENANCE_ENDED]),
        (31, MENDED, [], []),
        (32, maintenance(32), [], []),
        (41.999999, TICK, [], []),
        (42, TICK, [], [K.ARM_STUCK]),
    ],
    "maintenance takes back what was wrong": [
        (0, UP, [], [K.ARM_RAISED]),
        (1, maintenance(600), [], [K.MAINTENANCE_STARTED]),
        (2, DOWN, [], []),
    ],
    "a release said again raises again and counts once": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (2, LIN, RAISED_FOR_LIN, []),
        (4, UNDER, [], []),
        (5, CLEAR, [Lock()], [K.ACCESS_TAKEN]),
    ],
    "a fourth grant does not fit": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, RAISED_FOR_LIN, []),
        (2, WANG, [Unlock(None, Cause.DECISION, "wang")], []),
        (3, THIRD, [Unlock(None, Cause.DECISION, "third")], []),
        (4, FOURTH, [], [K.ACCESS_NOT_TAKEN]),
        (16, TICK, [], [K.ACCESS_NOT_TAKEN]),
        (17, TICK, [], [K.ACCESS_NOT_TAKEN]),
        (18, TICK, [Lock()], [K.ACCESS_NOT_TAKEN]),
    ],
    "a level read again is no news": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, COMES, [], []),
        (2, UNDER, [], []),
        (3, UNDER, [], []),
        (4, DOWN, [], []),
    ],
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_moves_the_arm_and_is_told_as_it_is(name):
    told(two_loops(), SITUATIONS[name])


ONE_LOOP: dict[str, Situation] = {
    "a grant is taken when its car leaves the approach, and the machine lowers": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, [Unlock(15.0, Cause.DECISION, "lin")], []),
        (3, UP, [], []),
        (5, GOES, [], [K.VEHICLE_LEFT, K.ACCESS_TAKEN]),
        (18, TICK, [], []),
        (19, DOWN, [], []),
        (60, TICK, [], []),
    ],
    "a grant that nobody takes ends with its time": [
        (0, LIN, [Unlock(15.0, Cause.DECISION, "lin")], []),
        (15, TICK, [], [K.ACCESS_NOT_TAKEN]),
        (99, TICK, [], []),
    ],
    "what was raised for good is lowered when its hold ends": [
        (0, until(60), [Unlock(None, Cause.OPERATOR)], [K.PORTAL_UNLOCKED]),
        (60, TICK, [Lock()], [K.PORTAL_LOCKED]),
    ],
    "what was raised for good is lowered after the last grant of its time": [
        (0, until(60), [Unlock(None, Cause.OPERATOR)], [K.PORTAL_UNLOCKED]),
        (50, COMES, [], [K.VEHICLE_ARRIVED]),
        (55, LIN, [Unlock(None, Cause.DECISION, "lin")], []),
        (60, TICK, [], [K.PORTAL_LOCKED]),
        (62, GOES, [Lock()], [K.VEHICLE_LEFT, K.ACCESS_TAKEN]),
        (70, COMES, [], [K.VEHICLE_ARRIVED]),
        (71, WANG, [Unlock(15.0, Cause.DECISION, "wang")], []),
        (73, GOES, [], [K.VEHICLE_LEFT, K.ACCESS_TAKEN]),
    ],
    "a car that leaves without a grant is just gone": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (5, GOES, [], [K.VEHICLE_LEFT]),
    ],
    "two cars go one by one": [
        (0, COMES, [], [K.VEHICLE_ARRIVED]),
        (1, LIN, [Unlock(15.0, Cause.DECISION, "lin")], []),
        (2, WANG, [Unlock(15.0, Cause.DECISION, "wang")], []),
        (3, GOES, [], [K.VEHICLE_LEFT, K.ACCESS_TAKEN]),
        (4, COMES, [], [K.VEHICLE_ARRIVED]),
        (5, GOES, [], [K.VEHICLE_LEFT, K.ACCESS_TAKEN]),
    ],
}

NO_LOOPS: dict[str, Situation] = {
    "a grant is taken when the arm is up": [
        (0, LIN, [Unlock(15.0, Cause.DECISION, "lin")], []),
        (1, MOVING, [], []),
        (3, UP, [], [K.ACCESS_TAKEN]),
        (17, MOVING, [], []),
        (19, DOWN, [], []),
        (99, TICK, [], []),
    ],
    "an arm that does not come up takes no grant": [
        (0, LIN, [Unlock(15.0, Cause.DECISION, "lin")], []),
        (0, DOWN, [], []),
        (12, TICK, [], [K.ARM_STUCK]),
        (15, TICK, [], [K.ACCESS_NOT_TAKEN]),
    ],
    "fire and its end": [
        (0, FIRE, [Unlock(None, Cause.FIRE)], [K.FIRE_RELEASED]),
        (3, UP, [], []),
        (5, NO_FIRE, [], [K.FIRE_CLEARED]),
        (6, RESTORE, [Lock()], [K.PORTAL_LOCKED, K.FIRE_RESTORED]),
    ],
}


@pytest.mark.parametrize(
    ("make", "steps"),
    [(one_loop, s) for s in ONE_LOOP.values()] + [(no_loops, s) for s in NO_LOOPS.values()],
    ids=[*ONE_LOOP, *NO_LOOPS],
)
def test_with_fewer_loops_a_passage_is_what_can_be_inferred(make, steps):
    told(make(), steps)


# What the events say


def test_events_name_the_grant_and_how_long_the_car_stood_below():
    lane = two_loops()
    lane.at(0, COMES)
    lane.at(1, LIN)
    lane.at(2, UNDER)
    assert lane.at(3.25, CLEAR)[0] == Happened(K.ACCESS_TAKEN, {"release": "lin", "seconds": 1.25})
    lane.at(10, UNDER)
    assert lane.at(10.5, CLEAR)[0] == Happened(K.LANE_BYPASSED, {"seconds": 0.5, "is_short": True})


def test_events_say_how_a_grant_ended_otherwise():
    lane = two_loops()
    lane.at(0, COMES)
    lane.at(1, LIN)
    lane.at(2, GOES)
    assert lane.at(5, TICK)[0] == Happened(
        K.ACCESS_NOT_TAKEN, {"release": "lin", "backed_away": True}
    )
    for grant in (LIN, WANG, THIRD):
        lane.at(6, grant)
    assert lane.at(7, FOURTH) == (
        Happened(K.ACCESS_NOT_TAKEN, {"release": "fourth", "queue_full": True}),
    )
    assert len(lane.status.queue) == MAX_QUEUE
    for make, by in ((one_loop, "approach"), (no_loops, "arm")):
        lane = make()
        for seconds, given in enumerate((COMES, LIN, GOES) if make is one_loop else (LIN, UP)):
            effects = lane.at(seconds, given)
        assert Happened(K.ACCESS_TAKEN, {"release": "lin", "inferred_from": by}) in effects


def test_events_say_what_is_wrong_with_the_arm():
    lane = two_loops()
    lane.at(0, LIN)
    lane.at(1, MOVING)
    assert lane.at(13, TICK) == (
        Happened(K.ARM_STUCK, {"wanted": "up", "arm": ArmPosition.MOVING}),
    )
    assert lane.state is S.FAULT
    lane = two_loops()
    lane.at(0, until(60))
    lane.at(2, UP)
    lane.at(60, TICK)
    assert lane.at(71.999999, TICK) == ()
    assert lane.at(72, TICK) == (Happened(K.ARM_STUCK, {"wanted": "down", "arm": ArmPosition.UP}),)
    lane = Lane(COMES)
    assert lane.at(-52, TICK) == (Happened(K.VEHICLE_WAITING, {"since_s": 8.0}),)


def test_events_say_who_and_why():
    lane = two_loops()
    assert lane.at(0, until(60))[1].data == {"cause": "operator", "by": "guo"}
    assert lane.status.override_by == "guo"
    assert Happened(K.PORTAL_LOCKED, {"by": "expiry"}) in lane.at(60, TICK)
    assert lane.status.override_by == ""
    end = (MORNING + timedelta(seconds=90)).isoformat()
    started = Happened(K.MAINTENANCE_STARTED, {"by": "meng", "until": end})
    assert lane.at(70, maintenance(90)) == (started,)
    assert lane.status.maintenance_by == "meng"
    assert lane.at(90, TICK) == (Happened(K.MAINTENANCE_ENDED, {"by": "expiry"}),)
    assert lane.status.maintenance_by == ""
    lane.at(91, maintenance(99))
    assert lane.at(92, MENDED) == (Happened(K.MAINTENANCE_ENDED, {"by": "meng"}),)
    assert lane.at(93, SCHEDULE_ON)[1].data == {"cause": "schedule", "by": "schedule"}
    lane.at(94, FIRE)
    lane.at(95, NO_FIRE)
    assert Happened(K.FIRE_RESTORED, {"by": "guo"}) in lane.at(96, RESTORE)
    assert Happened(K.LOCKDOWN_STARTED, {"by": "guo"}) in lane.at(97, LOCKDOWN)
    assert Happened(K.LOCKDOWN_ENDED, {"by": "guo"}) in lane.at(98, LOCKDOWN_OVER)


# States


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ([], S.SECURED),
        ([LIN], S.RELEASED),
        ([LIN, COMES, UNDER], S.OPEN),
        ([SCHEDULE_ON], S.UNLOCKED),
        ([SCHEDULE_ON, LIN], S.RELEASED),
        ([UP], S.FORCED),
        ([UP, LIN], S.FORCED),
        ([OFF], S.FAULT),
        ([OFF, maintenance(900)], S.MAINTENANCE),
        ([maintenance(900), FIRE], S.FIRE_RELEASE),
        ([LOCKDOWN], S.LOCKDOWN),
        ([SCHEDULE_ON, LOCKDOWN], S.LOCKDOWN),
        ([LOCKDOWN, LEAVES], S.RELEASED),
        ([SCHEDULE_ON, UNDER], S.OPEN),
    ],
)
def test_one_word_says_how_a_lane_stands(given, state):
    lane = two_loops()
    for each in given:
        lane.at(0, each)
    assert lane.state is state


def test_a_lane_is_open_while_its_arm_is_known_not_to_be_down():
    lane = Lane()
    assert not lane.status.is_open
    for given, is_open in ((DOWN, False), (MOVING, True), (UP, True), (OFF, False)):
        lane.at(0, given)
        assert lane.status.is_open is is_open


def test_a_lane_says_whose_car_is_next():
    lane = two_loops()
    assert lane.status.grant is None
    lane.at(0, LIN)
    lane.at(0, WANG)
    assert lane.status.grant == LIN


# Starts


def test_an_arm_found_up_at_the_start_is_told_and_not_lowered():
    """A fail-safe drive that lost its power stands open; whoever is below, we can't know."""
    lane = Lane()
    assert lane.at(0, UP) == (Happened(K.ARM_RAISED, {"found_at_start": True}),)
    assert lane.at(1, UP) == ()
    assert lane.at(99, TICK) == ()
    assert two_loops().at(0, UP) == (Happened(K.ARM_RAISED),)


@pytest.mark.parametrize("first", [GOES, CLEAR, DOWN, MOVING])
def test_the_first_reading_of_a_quiet_lane_is_no_news(first):
    assert Lane().at(0, first) == ()


@pytest.mark.parametrize(
    "kept", [Status(fire_latched=True), Status(override_until=MORNING + timedelta(hours=1))]
)
def test_what_held_the_arm_up_before_a_restart_holds_it_again(kept):
    lane = Lane()
    lane.status = kept
    assert lane.at(0, DOWN) == (Unlock(None, kept.holds_unlocked),)
    assert lane.status.commanded_up
    assert lane.at(1, MOVING) == ()
    assert lane.at(2, DOWN) == ()
    lane = Lane()
    lane.status = kept
    assert lane.at(0, UP) == ()


def test_a_start_raises_nothing():
    for first in (GOES, COMES, CLEAR, UNDER, DOWN, MOVING, UP, OFF):
        assert not [e for e in Lane().at(0, first) if isinstance(e, Unlock)]


def test_without_a_position_nothing_is_claimed_of_the_arm():
    lane = Lane(GOES, CLEAR)
    lane.at(0, LIN)
    assert lane.due == MORNING + timedelta(seconds=15)
    assert kinds(lane.at(13, TICK)) == []


def test_an_arm_that_is_off_is_not_stuck_and_a_stuck_one_is_told_once():
    lane = two_loops()
    lane.at(0, until(900))
    lane.at(1, OFF)
    assert lane.at(60, TICK) == ()
    lane.at(61, MOVING)
    assert kinds(lane.at(62, TICK)) == [K.ARM_STUCK]
    assert kinds(lane.at(99, TICK)) == []
    assert kinds(lane.at(100, DOWN)) == []  # not where it should be
    assert kinds(lane.at(101, UP)) == [K.ARM_RESTORED]


def test_a_lane_without_an_approach_loop_still_counts_one_car_for_one_grant():
    lane = Lane(CLEAR, DOWN)
    lane.at(0, LIN)
    lane.at(3, UP)
    lane.at(4, UNDER)
    assert kinds(lane.at(6, CLEAR)) == [K.ACCESS_TAKEN]
    lane.at(7, UNDER)
    assert kinds(lane.at(9, CLEAR)) == [K.VEHICLE_FOLLOWED]
    lane.at(10, LIN)
    lane.at(11, UNDER)
    assert kinds(lane.at(11.2, CLEAR)) == [K.ACCESS_TAKEN]  # what stayed before it nobody knows


# The first valid car


FIRST = replace(LANE, needs_first_person=True)


def test_the_schedule_waits_for_the_first_valid_car():
    lane = two_loops(FIRST)
    assert lane.at(0, SCHEDULE_ON) == ()
    assert lane.state is S.SECURED
    lane.at(1, COMES)
    lane.at(2, LIN)
    lane.at(3, UNDER)
    effects = lane.at(5, CLEAR)
    assert locks(effects) == [Unlock(None, Cause.SCHEDULE)]
    assert kinds(effects) == [K.ACCESS_TAKEN, K.PORTAL_UNLOCKED]
    assert lane.at(6, SCHEDULE_ON) == ()
    assert locks(lane.at(9, SCHEDULE_OFF)) == [Lock()]
    assert lane.at(10, SCHEDULE_ON) == ()


def test_who_drives_out_is_let_in_by_a_guard_or_comes_by_fire_is_no_first_car():
    for grant, fire in ((LEAVES, False), (BY_GUARD, False), (LIN, True)):
        lane = one_loop(FIRST)
        lane.at(0, SCHEDULE_ON)
        if fire:
            lane.at(0, FIRE)
        lane.at(1, COMES)
        lane.at(2, grant)
        assert kinds(lane.at(3, GOES)) == [K.VEHICLE_LEFT, K.ACCESS_TAKEN]
        assert lane.status.awaits_person
    lane = one_loop(FIRST)
    lane.at(0, COMES)
    lane.at(1, LIN)
    lane.at(2, GOES)
    assert lane.at(3, SCHEDULE_ON) == ()


def test_the_first_car_may_be_inferred():
    lane = one_loop(FIRST)
    lane.at(0, SCHEDULE_ON)
    lane.at(1, COMES)
    lane.at(2, LIN)
    assert locks(lane.at(3, GOES)) == [Unlock(None, Cause.SCHEDULE)]


# Timers


def test_the_next_deadline_is_the_first_of_all():
    lane = two_loops()
    assert lane.due is None
    lane.at(0, COMES)
    assert lane.due == MORNING + WAITING_AFTER
    lane.at(1, LIN)
    assert lane.due == MORNING + timedelta(seconds=1) + STUCK_AFTER
    lane.at(2, UP)
    assert lane.due == MORNING + timedelta(seconds=16)
    lane.at(3, GOES)
    assert lane.due == MORNING + timedelta(seconds=3) + GONE_AFTER
    lane.at(4, UNDER)
    assert lane.due is None
    lane.at(5, maintenance(50))
    lane.at(6, until(40))
    assert lane.due == MORNING + timedelta(seconds=40)
    lane.at(7, BACK)
    assert lane.due == MORNING + timedelta(seconds=50)


def test_a_grant_has_the_time_to_drive_in_as_well():
    lane = two_loops(replace(LANE, entry_s=5.0))
    assert locks(lane.at(0, LIN)) == RAISED_FOR_LIN
    assert lane.due == MORNING + STUCK_AFTER
    lane.at(2, UP)
    assert lane.due == MORNING + timedelta(seconds=20)
    lane = one_loop(replace(LANE, entry_s=5.0))
    assert locks(lane.at(0, LIN)) == [Unlock(15.0, Cause.DECISION, "lin")]


def test_after_an_e_bike_the_granted_car_has_its_full_time_again():
    lane = two_loops(replace(LANE, entry_s=5.0))
    lane.at(0, COMES)
    lane.at(1, LIN)
    lane.at(15, UNDER)
    lane.at(15.3, CLEAR)
    lane.at(16, UP)
    assert lane.due == MORNING + timedelta(seconds=35.3)
    assert timedelta(milliseconds=700) == SHORT_CROSSING


def test_an_arm_that_a_board_has_raised_is_not_told_to_rise():
    lane = two_loops()
    lane.at(0, COMES)
    assert lane.at(1, Granted("b-1", is_released=True)) == ()
    assert lane.state is S.RELEASED
    lane.at(3, UNDER)
    assert kinds(lane.at(5, CLEAR)) == [K.ACCESS_TAKEN]


@pytest.mark.parametrize(
    ("status", "may_lock"),
    [
        (Status(), True),
        (Status(is_crossing=True), False),
        (Status(under=True), False),
        (Status(gone_at=MORNING), False),
        (Status(queue=(Waiting(LIN, MORNING),)), False),
    ],
    ids=["nothing known", "a car on its way", "a car below", "a car just gone", "one granted"],
)
def test_no_arm_comes_down_on_what_may_be_below_it(status, may_lock):
    assert status.may_lock is may_lock


def test_an_override_of_a_lane_that_has_run_out_leaves_nothing_behind():
    lane = two_loops()
    lane.at(0, until(60, is_locked=True))
    assert lane.status.override_locked
    lane.at(60, TICK)
    assert not lane.status.override_locked


def test_an_arm_that_lowers_itself_is_missed_when_the_next_car_finds_it_stuck():
    lane = one_loop()
    lane.at(0, COMES)
    lane.at(1, LIN)
    lane.at(2, UP)
    lane.at(4, GOES)
    assert not lane.status.commanded_up
    lane.at(10, DOWN)
    lane.at(20, COMES)
    lane.at(21, WANG)
    stuck = lane.at(21 + STUCK_AFTER.total_seconds(), TICK)
    assert K.ARM_STUCK in kinds(stuck)


def test_the_next_car_that_nobody_decides_on_is_told_as_well():
    lane = two_loops()
    for start in (0, 100):
        lane.at(start, COMES)
        waited = lane.at(start + WAITING_AFTER.total_seconds(), TICK)
        assert K.VEHICLE_WAITING in kinds(waited)
        lane.at(start + 50, GOES)


def test_the_car_behind_keeps_its_grant_when_the_first_drives_on():
    lane = two_loops()
    lane.at(0, COMES)
    lane.at(1, LIN)
    lane.at(2, WANG)
    lane.at(3, GOES)
    assert [waiting.grant for waiting in lane.status.queue] == [LIN, WANG]


def test_what_one_car_reached_says_nothing_of_the_next():
    lane = two_loops()
    lane.at(0, UNDER)
    lane.at(1, COMES)
    assert kinds(lane.at(4, CLEAR)) == [K.VEHICLE_REVERSED]
    lane.at(5, GOES)
    lane.at(20, UNDER)
    assert kinds(lane.at(24, CLEAR)) == [K.LANE_BYPASSED]


def test_the_schedule_says_that_it_was_the_schedule_when_its_first_person_came():
    lane = two_loops(replace(LANE, needs_first_person=True))
    lane.at(0, SCHEDULE_ON)
    lane.at(1, COMES)
    lane.at(2, LIN)
    lane.at(3, UP)
    lane.at(4, UNDER)
    lane.at(4.5, GOES)
    effects = lane.at(8, CLEAR)
    opened = [e for e in effects if isinstance(e, Happened) and "by" in e.data]
    assert [event.data["by"] for event in opened] == ["schedule"]


def test_something_small_that_came_before_the_car_is_told_from_one_that_came_with_it():
    lane = two_loops()
    lane.at(0, COMES)
    lane.at(0, LIN)
    lane.at(0, UNDER)
    assert K.LANE_BYPASSED in kinds(lane.at(0.2, CLEAR))


def data(effects: tuple[Effect, ...], kind: EventKind) -> list[dict[str, object]]:
    return [dict(e.data) for e in effects if isinstance(e, Happened) and e.kind is kind]


@pytest.mark.parametrize(
    ("story", "kind"),
    [
        ([(0, SCHEDULE_ON), (1, UP), (2, UNDER)], K.VEHICLE_PASSED),
        ([(0, UNDER), (1, COMES)], K.VEHICLE_REVERSED),
        ([(0, COMES), (0, BY_GUARD), (1, UP), (1, UNDER), (2, CLEAR), (2, UNDER)], None),
        ([(2, UNDER)], K.LANE_BYPASSED),
    ],
    ids=["free", "backed out", "behind another", "below the arm"],
)
def test_every_crossing_says_how_long_it_took(story, kind):
    lane = two_loops()
    for seconds, given in story:
        lane.at(seconds, given)
    effects = lane.at(5.12345, CLEAR)
    told = [e for e in effects if isinstance(e, Happened) and "seconds" in e.data]
    assert len(told) == 1
    assert kind in (None, told[0].kind)
    assert told[0].data["seconds"] in (3.123, 5.123)


def test_something_small_before_the_granted_car_is_told_as_small_and_how_long_it_took():
    lane = two_loops()
    lane.at(0, COMES)
    lane.at(1, LIN)
    lane.at(2, UNDER)
    effects = lane.at(2.25, CLEAR)
    assert data(effects, K.LANE_BYPASSED) == [{"seconds": 0.25, "is_short": True}]


def test_an_arm_that_got_unstuck_is_told_again_when_it_sticks_again():
    lane = two_loops()
    lane.at(0, COMES)
    lane.at(0, LIN)
    assert K.ARM_STUCK in kinds(lane.at(12, TICK))
    assert K.ARM_RESTORED in kinds(lane.at(13, UP))
    assert not lane.status.is_stuck
    lane.at(14, UNDER)
    lane.at(15, GOES)
    lane.at(17, CLEAR)
    assert K.ARM_STUCK in kinds(lane.at(17 + STUCK_AFTER.total_seconds(), TICK))


def test_an_arm_that_came_down_again_is_no_longer_raised_by_hand():
    lane = two_loops()
    lane.at(0, UP)
    assert K.ARM_RESTORED in kinds(lane.at(5, DOWN))
    lane.at(10, COMES)
    lane.at(10, LIN)
    lane.at(11, UP)
    lane.at(12, UNDER)
    lane.at(13, GOES)
    lane.at(14, CLEAR)
    assert K.ARM_RESTORED not in kinds(lane.at(16, DOWN))


def test_an_arm_raised_by_hand_that_strikes_is_ours_from_then_on():
    lane = two_loops()
    lane.at(0, UP)
    lane.at(1, STRUCK)
    assert not lane.status.is_raised_by_hand


def test_a_lockdown_during_fire_takes_no_grant_away():
    lane = two_loops()
    lane.at(0, FIRE)
    lane.at(1, COMES)
    lane.at(1, LIN)
    assert K.ACCESS_NOT_TAKEN not in kinds(lane.at(2, LOCKDOWN))
    assert [waiting.grant for waiting in lane.status.queue] == [LIN]


def test_whoever_works_on_a_stuck_arm_starts_with_a_clean_slate():
    lane = two_loops()
    lane.at(0, COMES)
    lane.at(0, LIN)
    lane.at(12, TICK)
    assert lane.status.is_stuck
    lane.at(13, maintenance(60))
    assert not lane.status.is_stuck


def test_no_second_try_is_due_once_what_the_arm_struck_has_driven_out():
    lane = two_loops()
    lane.at(0, UNDER)
    lane.at(1, STRUCK)
    assert lane.status.gone_at is not None
    lane.at(3, CLEAR)
    assert lane.status.gone_at is None
