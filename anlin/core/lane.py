"""The vehicle lane: loops, an arm and grants in; raising, lowering and events out.

One grant is one vehicle. A car drives over the approach loop, its grant raises the arm, it
crosses the loop under the arm and is gone; then the arm comes down, and never while anything
stands under it. A car that comes through on the grant of the one before it is followed in, not
denied: a barrier is no wall, and an arm on a bonnet is worse than a missing record.

A lane whose loop under the arm is not wired (it has never been read) leaves the lowering to its
own machine: nobody here could know what stands below. A passage is then what the approach loop,
or failing that the arm, lets us infer.

The arm is driven by levels that are read, not by counting pulses. Priority is fire, lockdown,
operator, schedule, credential, as in `core.portal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from anlin.core.device import ArmPosition, LoopPlace
from anlin.core.entities import Portal
from anlin.core.event import EventKind
from anlin.core.hold import Cause, Hold, Maintenance, Override, greeted, overridden, scheduled
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

MAX_QUEUE = 3
"""Grants that wait for their cars at one arm: more than three cars do not fit before it."""

WAITING_AFTER = timedelta(seconds=8)
"""A car that stands on the loop so long without a decision needs somebody to speak to it."""

STUCK_AFTER = timedelta(seconds=12)
"""An arm takes 1.5 to 6 s to move; one that has not arrived by then is stuck or has no power."""

GONE_AFTER = timedelta(seconds=3)
"""Between the two loops a short car is on neither; only then has it backed away for certain."""

SHORT_CROSSING = timedelta(milliseconds=700)
"""A car of 4 m at 20 km/h stands on a loop for longer; an e-bike or a trolley does not."""


# Inputs beside those of `core.portal`


@dataclass(frozen=True, slots=True)
class LoopRead:
    """The level of a loop or radar, as read now."""

    place: LoopPlace
    is_occupied: bool


@dataclass(frozen=True, slots=True)
class ArmRead:
    """Where the arm is, as read now."""

    position: ArmPosition


@dataclass(frozen=True, slots=True)
class StruckRead:
    """The arm met something and went up again by itself."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A decision fell on the car that stands on the approach loop, whatever it was."""


Input = (
    Granted
    | LoopRead
    | ArmRead
    | StruckRead
    | Looked
    | FireRead
    | FireRestore
    | Lockdown
    | Override
    | Maintenance
    | ScheduleRead
    | Tick
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A grant that waits for its car to cross, and until when."""

    grant: Granted
    until: datetime


@dataclass(frozen=True, slots=True)
class Status(Hold):
    """Everything a lane remembers. Start from `Status()`: nothing known, nothing raised.

    `approach`, `under` and `arm` are None until they have been read. `crossing` is the grant of
    the car now under the arm, if it has one; `is_free_to_pass` whether it came while the arm was
    held up or worked on, `from_inside` whether it came onto the loop there
    without the approach, `reached_approach` whether it then went on to it. `gone_at` is when a
    car that left the approach will have backed away. `is_ours_to_lower` stands while an arm
    without a loop below, raised for good, waits for its cars.
    """

    approach: bool | None = None
    under: bool | None = None
    arm: ArmPosition | None = None
    approach_since: datetime | None = None
    is_seen: bool = False
    is_waiting_told: bool = False
    queue: tuple[Waiting, ...] = ()
    is_crossing: bool = False
    crossing: Granted | None = None
    crossing_since: datetime | None = None
    is_free_to_pass: bool = False
    from_inside: bool = False
    reached_approach: bool = False
    gone_at: datetime | None = None
    commanded_up: bool = False
    is_ours_to_lower: bool = False
    moved_at: datetime | None = None
    is_off: bool = False
    is_stuck: bool = False
    is_raised_by_hand: bool = False

    @property
    def grant(self) -> Granted | None:
        """The grant whose car is next."""
        return self.queue[0].grant if self.queue else None

    @property
    def may_lock(self) -> bool:
        """Whether nothing is known to be below the arm, or on its way there."""
        is_busy = self.queue or self.is_crossing or self.under or self.gone_at is not None
        return not is_busy

    @property
    def is_open(self) -> bool:
        """Whether the arm is known not to be down."""
        return self.arm in (ArmPosition.UP, ArmPosition.MOVING)

    @property
    def state(self) -> PortalState:
        """The one word for it, the most urgent first."""
        if self.fire_latched:
            return PortalState.FIRE_RELEASE
        if self.is_in_maintenance:
            return PortalState.MAINTENANCE
        if self.is_off or self.is_stuck:
            return PortalState.FAULT
        if self.is_raised_by_hand:
            return PortalState.FORCED
        if self.is_crossing:
            return PortalState.OPEN
        if self.queue:
            return PortalState.RELEASED
        if self.lockdown:
            return PortalState.LOCKDOWN
        return PortalState.SECURED if self.holds_unlocked is None else PortalState.UNLOCKED


Step = tuple[Status, tuple[Effect, ...]]


def step(portal: Portal, status: Status, given: Input, at: datetime) -> Step:
    """Take one input at one time; give the new status and what to do, in order."""
    due, late = _timers(status, at)
    match given:
        case Granted():
            after, effects = _granted(portal, due, given, at)
        case LoopRead(place=LoopPlace.APPROACH):
            after, effects = _approach(due, given.is_occupied, at)
        case LoopRead():
            after, effects = _under(portal, due, given.is_occupied, at)
        case ArmRead():
            after, effects = _arm(due, given.position, at)
        case StruckRead():
            after, effects = _struck(due, at)
        case Looked():
            after, effects = replace(due, is_seen=True), ()
        case FireRead():
            after, effects = _fire(due, given.is_active, at)
        case FireRestore():
            after, effects = _restore(due, given.by, at)
        case Lockdown():
            after, effects = _lockdown(due, given, at)
        case Override():
            after, effects = _hold(due, overridden(due, given, at), at, by=given.by)
        case Maintenance():
            after, effects = _maintain(due, given, at)
        case ScheduleRead():
            wanted = scheduled(portal, due, given.is_active)
            after, effects = _hold(due, wanted, at, by="schedule")
        case Tick():  # pragma: no branch  (there is no other input)
            after, effects = due, ()
    return after, late + effects


def next_deadline(status: Status) -> datetime | None:
    """Say when a timer is next due, so that nobody has to poll."""
    times = [waiting.until for waiting in status.queue]
    if status.override_until is not None:
        times.append(status.override_until)
    if status.maintenance_until is not None:
        times.append(status.maintenance_until)
    if status.gone_at is not None:
        times.append(status.gone_at)
    if _is_unattended(status) and status.approach_since is not None:
        times.append(status.approach_since + WAITING_AFTER)
    if _is_moving(status) and status.moved_at is not None:
        times.append(status.moved_at + STUCK_AFTER)
    return min(times, default=None)


def _happened(kind: EventKind, **data: Any) -> Happened:
    return Happened(kind, data)


def _is_unattended(status: Status) -> bool:
    """Whether a car stands there that nobody has decided on, and the arm is not up for it."""
    is_free = status.holds_unlocked is None and not status.is_in_maintenance and not status.queue
    return bool(status.approach) and not status.is_seen and not status.is_waiting_told and is_free


def _is_moving(status: Status) -> bool:
    """Whether the arm was told to go where it has not been seen to be. No sensor, no claim."""
    if status.arm is None or status.is_stuck or status.is_off or status.is_in_maintenance:
        return False
    return status.arm is not (ArmPosition.UP if status.commanded_up else ArmPosition.DOWN)


def _timers(status: Status, at: datetime) -> Step:
    """Run every timer that has come due."""
    effects: list[Effect] = []
    if status.override_until is not None and at >= status.override_until:
        ended = replace(status, override_until=None, override_by="", override_locked=False)
        status, done = _hold(status, ended, at, by="expiry")
        effects += done
    if status.maintenance_until is not None and at >= status.maintenance_until:
        status, done = _end_maintenance(status, at, by="expiry")
        effects += done
    # A car between the loops is on its way: only once it has backed away is its grant too late.
    if status.gone_at is not None and at >= status.gone_at:
        status, done = _backed_away(replace(status, gone_at=None), at)
        effects += done
    late = [waiting for waiting in status.queue if at >= waiting.until]
    if late:
        kept = tuple(waiting for waiting in status.queue if at < waiting.until)
        status = replace(status, queue=kept)
        effects += _not_taken(late)
        status, done = _lower(status, at)
        effects += done
    since = status.approach_since
    if _is_unattended(status) and since is not None and at >= since + WAITING_AFTER:
        status = replace(status, is_waiting_told=True)
        effects.append(_happened(EventKind.VEHICLE_WAITING, since_s=(at - since).total_seconds()))
    moved_at = status.moved_at
    if _is_moving(status) and moved_at is not None and at >= moved_at + STUCK_AFTER:
        wanted = "up" if status.commanded_up else "down"
        status = replace(status, is_stuck=True)
        effects.append(_happened(EventKind.ARM_STUCK, wanted=wanted, arm=status.arm))
    return status, tuple(effects)


def _granted(portal: Portal, status: Status, grant: Granted, at: datetime) -> Step:
    if status.lockdown and not status.fire_latched and grant.cause is Cause.OPERATOR:
        return status, ()
    until = at + timedelta(seconds=portal.grant_s + portal.entry_s)
    status = replace(status, is_seen=True)
    if any(waiting.grant.id == grant.id for waiting in status.queue):
        # Said again: its release may have been lost on the way.
        return status, (_raise(portal, status, grant),)
    if len(status.queue) >= MAX_QUEUE:
        return status, (_happened(EventKind.ACCESS_NOT_TAKEN, release=grant.id, queue_full=True),)
    queue = (*status.queue, Waiting(grant, until))
    after = _commanded(replace(status, queue=queue), at, up=True)
    return after, () if grant.is_released else (_raise(portal, after, grant),)


def _raise(portal: Portal, status: Status, grant: Granted) -> Unlock:
    """Raise the arm until the loop below is clear; by the machine's own clock without one."""
    is_timed = status.under is None and status.holds_unlocked is None
    return Unlock(portal.grant_s if is_timed else None, grant.cause, grant.id)


def _commanded(status: Status, at: datetime, *, up: bool) -> Status:
    if status.commanded_up is up:
        return status
    return replace(status, commanded_up=up, moved_at=at)


def _lower(status: Status, at: datetime) -> Step:
    """Bring the arm down unless something holds it up, waits for it, or may be under it."""
    is_wanted_up = status.holds_unlocked is not None or status.queue or status.is_crossing
    if is_wanted_up or status.under or status.gone_at is not None:
        return status, ()
    if status.under is None and not status.is_ours_to_lower:
        # Without a loop below, the machine lowers what it raised for a time, in its own time.
        return replace(status, commanded_up=False, moved_at=None), ()
    return _commanded(replace(status, is_ours_to_lower=False), at, up=False), (Lock(),)


def _approach(status: Status, is_occupied: bool, at: datetime) -> Step:
    if is_occupied == status.approach:
        return status, ()
    if is_occupied:
        after = replace(
            status,
            approach=True,
            approach_since=at,
            is_seen=False,
            is_waiting_told=False,
            reached_approach=status.is_crossing and status.from_inside,
        )
        return after, (_happened(EventKind.VEHICLE_ARRIVED),)
    left = (_happened(EventKind.VEHICLE_LEFT),) if status.approach is not None else ()
    was_there = status.approach is True
    after = replace(status, approach=False, approach_since=None)
    if not (was_there and after.queue) or after.is_crossing:
        return after, left
    if after.under is None:
        # No loop below the arm: a car with a grant that leaves the approach has driven in.
        after, taken = _infer_taken(after, at, "approach")
        return after, (*left, *taken)
    gone_at = at + GONE_AFTER
    first = after.queue[0]
    first = replace(first, until=max(first.until, gone_at))
    return replace(after, gone_at=gone_at, queue=(first, *after.queue[1:])), left


def _infer_taken(status: Status, at: datetime, by: str) -> Step:
    grant = status.queue[0].grant
    taken = _happened(EventKind.ACCESS_TAKEN, release=grant.id, inferred_from=by)
    after, unlocked = _person_came(replace(status, queue=status.queue[1:]), grant, at)
    after, done = _lower(after, at)
    return after, (taken, *unlocked, *done)


def _person_came(status: Status, grant: Granted, at: datetime) -> Step:
    return _hold(status, greeted(status, grant.cause), at, by="schedule")


def _backed_away(status: Status, at: datetime) -> Step:
    """The car that was granted has turned round: the next one is not its heir."""
    if not status.queue or status.approach:
        return _lower(status, at)
    release = status.queue[0].grant.id
    after, done = _lower(replace(status, queue=status.queue[1:]), at)
    return after, (_happened(EventKind.ACCESS_NOT_TAKEN, release=release, backed_away=True), *done)


def _under(portal: Portal, status: Status, is_occupied: bool, at: datetime) -> Step:
    if is_occupied == status.under:
        return status, ()
    before = status.under
    status = replace(status, under=is_occupied)
    if is_occupied:
        return _enters(status, at), ()
    return (status, ()) if before is None else _leaves(portal, status, at)


def _enters(status: Status, at: datetime) -> Status:
    """Something has come under the arm: the next grant's car, or none of ours."""
    from_inside = status.approach is False and status.gone_at is None
    grant = status.grant if not from_inside else None
    return replace(
        status,
        queue=status.queue[1:] if grant is not None else status.queue,
        is_crossing=True,
        crossing=grant,
        crossing_since=at,
        is_free_to_pass=status.holds_unlocked is not None or status.is_in_maintenance,
        from_inside=from_inside,
        reached_approach=False,
        gone_at=None,
    )


def _leaves(portal: Portal, status: Status, at: datetime) -> Step:
    """What was under the arm is gone; say what it was, and lower the arm."""
    since = status.crossing_since or at
    seconds = round((at - since).total_seconds(), 3)
    is_short = at - since < SHORT_CROSSING
    grant = status.crossing
    queue = status.queue
    stayed = status.approach_since is not None and status.approach_since <= since
    more: tuple[Effect, ...] = ()
    came: Granted | None = None
    if grant is not None and is_short and stayed:
        # Something small slipped in before the car that the arm was raised for.
        what = _happened(EventKind.LANE_BYPASSED, seconds=seconds, is_short=True)
        until = at + timedelta(seconds=portal.grant_s + portal.entry_s)
        again: tuple[Waiting, ...] = (Waiting(grant, until),)
        if status.lockdown and not status.fire_latched and grant.cause is not Cause.EXIT:
            more, again = _not_taken(again), ()
        queue = (*again, *queue)
    elif grant is not None:
        came = grant
        what = _happened(EventKind.ACCESS_TAKEN, release=grant.id, seconds=seconds)
    elif status.is_free_to_pass or status.holds_unlocked is not None or status.is_in_maintenance:
        what = _happened(EventKind.VEHICLE_PASSED, seconds=seconds)
    elif status.reached_approach:
        what = _happened(EventKind.VEHICLE_REVERSED, seconds=seconds)
    elif (status.commanded_up or status.is_open) and not is_short:
        what = _happened(EventKind.VEHICLE_FOLLOWED, seconds=seconds)
    else:
        what = _happened(EventKind.LANE_BYPASSED, seconds=seconds, is_short=is_short)
    status = replace(
        status,
        queue=queue,
        is_crossing=False,
        crossing=None,
        # What the arm struck has driven out from below it.
        gone_at=status.gone_at if queue else None,
    )
    if came is not None:
        status, more = _person_came(status, came, at)
    after, done = _lower(status, at)
    return after, (what, *more, *done)


def _arm(status: Status, position: ArmPosition, at: datetime) -> Step:
    if position is status.arm:
        return status, ()
    before = status.arm
    effects: list[Effect] = []
    status = replace(status, arm=position)
    if position is ArmPosition.OFF:
        effects.append(_happened(EventKind.ARM_OFF))
        return replace(status, is_off=True), tuple(effects)
    if status.is_off:
        effects.append(_happened(EventKind.ARM_RESTORED))
        status = replace(status, is_off=False)
    wanted = ArmPosition.UP if status.commanded_up else ArmPosition.DOWN
    if status.is_stuck and position is wanted:
        effects.append(_happened(EventKind.ARM_RESTORED))
        status = replace(status, is_stuck=False)
    if position is ArmPosition.UP and not status.commanded_up:
        # By hand, by crank, or because a fail-safe drive lost its power.
        if status.holds_unlocked is None and not status.is_in_maintenance:
            found = {"found_at_start": True} if before is None else {}
            effects.append(_happened(EventKind.ARM_RAISED, **found))
            status = replace(status, is_raised_by_hand=True)
    elif position is ArmPosition.UP and status.under is None and status.approach is None:
        if status.queue:
            # Nothing but the arm tells of cars here.
            status, taken = _infer_taken(status, at, "arm")
            effects += taken
    elif position is ArmPosition.DOWN:
        if status.is_raised_by_hand:
            effects.append(_happened(EventKind.ARM_RESTORED))
        status = replace(status, is_raised_by_hand=False)
        if status.holds_unlocked is not None and before is None:
            # Just started: what held the arm up in the last life holds it still.
            effects.append(Unlock(None, status.holds_unlocked))
            status = _commanded(status, at, up=True)
    return status, tuple(effects)


def _struck(status: Status, at: datetime) -> Step:
    """The arm went up by itself: as wanted now as if told to; try again in a while."""
    again_at = at + GONE_AFTER if not status.queue else status.gone_at
    after = replace(_commanded(status, at, up=True), gone_at=again_at, is_raised_by_hand=False)
    return after, (_happened(EventKind.ARM_STRUCK),)


def _fire(status: Status, is_active: bool, at: datetime) -> Step:
    if is_active == status.fire:
        return status, ()
    if not is_active:
        return replace(status, fire=False), (_happened(EventKind.FIRE_CLEARED),)
    after = _commanded(replace(status, fire=True, fire_latched=True), at, up=True)
    return after, (Unlock(None, Cause.FIRE), _happened(EventKind.FIRE_RELEASED))


def _restore(status: Status, by: str, at: datetime) -> Step:
    if not status.fire_latched or status.fire:
        return status, ()
    after, effects = _hold(status, replace(status, fire_latched=False), at, by=by)
    return after, (*effects, _happened(EventKind.FIRE_RESTORED, by=by))


def _lockdown(status: Status, given: Lockdown, at: datetime) -> Step:
    if given.is_active == status.lockdown:
        return status, ()
    wanted = replace(status, lockdown=given.is_active)
    after, effects = _hold(status, wanted, at, by=given.by)
    dropped = tuple(item for item in after.queue if item.grant.cause is not Cause.EXIT)
    if given.is_active and dropped and not after.fire_latched:
        # Nobody is shut in: the grants of the way out wait on.
        kept = tuple(item for item in after.queue if item.grant.cause is Cause.EXIT)
        after, done = _lower(replace(after, queue=kept), at)
        effects = (*effects, *_not_taken(dropped), *done)
    kind = EventKind.LOCKDOWN_STARTED if given.is_active else EventKind.LOCKDOWN_ENDED
    return after, (*effects, _happened(kind, by=given.by))


def _not_taken(grants: Iterable[Waiting]) -> tuple[Effect, ...]:
    return tuple(
        _happened(EventKind.ACCESS_NOT_TAKEN, release=waiting.grant.id) for waiting in grants
    )


def _maintain(status: Status, given: Maintenance, at: datetime) -> Step:
    if given.until is None or given.until <= at:
        return _end_maintenance(status, at, by=given.by)
    after = replace(
        status,
        maintenance_until=given.until,
        maintenance_by=given.by,
        is_raised_by_hand=False,
        is_stuck=False,
    )
    data = {"by": given.by, "until": given.until.isoformat()}
    return after, (Happened(EventKind.MAINTENANCE_STARTED, data),)


def _end_maintenance(status: Status, at: datetime, *, by: str) -> Step:
    """Take up the watch again; an arm that is not where it should be has its full time."""
    if status.maintenance_until is None:
        return status, ()
    after = replace(status, maintenance_until=None, maintenance_by="", moved_at=at)
    return after, (_happened(EventKind.MAINTENANCE_ENDED, by=by),)


def _hold(before: Status, after: Status, at: datetime, *, by: str) -> Step:
    """Raise or lower as what holds the arm up changes; never onto a car."""
    was, now = before.holds_unlocked, after.holds_unlocked
    if was is now:
        return after, ()
    if now is not None:
        unlocked = _happened(EventKind.PORTAL_UNLOCKED, cause=now.value, by=by)
        return _commanded(after, at, up=True), (Unlock(None, now), unlocked)
    after, lowered = _lower(replace(after, is_ours_to_lower=True), at)
    return after, (_happened(EventKind.PORTAL_LOCKED, by=by), *lowered)
