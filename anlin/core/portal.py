"""The portal state machine: contacts, releases, modes and timers in; effects out.

States and timers follow DOMAIN 4.1. Levels, never edges: a contact that is read twice changes
nothing, and one missed reading can't turn a door inside out. Priority is fire, lockdown,
operator, schedule, credential. Nothing here ever opens for any other cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from anlin.core.device import ContactLevel
from anlin.core.entities import ExitButton, Portal
from anlin.core.event import EventKind
from anlin.core.hold import (
    Cause,
    Hold,
    Maintenance,
    Override,
    greeted,
    overridden,
    scheduled,
)
from anlin.core.words import Word


class PortalState(Word):
    """What a portal is doing, in one word."""

    SECURED = "secured"
    RELEASED = "released"
    OPEN = "open"
    PREALARM = "prealarm"
    HELD = "held"
    FORCED = "forced"
    UNLOCKED = "unlocked"
    LOCKDOWN = "lockdown"
    MAINTENANCE = "maintenance"
    FIRE_RELEASE = "fire_release"
    FAULT = "fault"


# Inputs


@dataclass(frozen=True, slots=True)
class Granted:
    """A decision, or an operator's single release, named by `id`.

    `persons` may pass on it. `needs_time` asks for the portal's longer times. `is_released`
    says that the device has opened by itself already: there is nothing to unlock.
    """

    id: str
    cause: Cause = Cause.DECISION
    data: Mapping[str, Any] = field(default_factory=dict)
    persons: int = 1
    needs_time: bool = False
    is_released: bool = False


@dataclass(frozen=True, slots=True)
class ContactRead:
    """The contact's level, as read now."""

    level: ContactLevel


@dataclass(frozen=True, slots=True)
class Passed:
    """Persons seen walking in, or out, by light beams, radar or a camera."""

    persons: int = 1
    is_out: bool = False


@dataclass(frozen=True, slots=True)
class FireRead:
    """The fire input's level, as read now."""

    is_active: bool


@dataclass(frozen=True, slots=True)
class FireRestore:
    """A named person says that the fire is over; refused while the input is active."""

    by: str


@dataclass(frozen=True, slots=True)
class Lockdown:
    """A named person starts or ends a lockdown."""

    is_active: bool
    by: str


@dataclass(frozen=True, slots=True)
class ScheduleRead:
    """Whether the portal's own schedule holds it unlocked now."""

    is_active: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


Input = (
    Granted
    | ContactRead
    | Passed
    | FireRead
    | FireRestore
    | Lockdown
    | Override
    | Maintenance
    | ScheduleRead
    | Tick
)

# Effects


@dataclass(frozen=True, slots=True)
class Unlock:
    """Unlock for `seconds` (None: until `Lock`), and why."""

    seconds: float | None
    cause: Cause
    id: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """Lock again."""


@dataclass(frozen=True, slots=True)
class Beep:
    """Sound the pre-alarm at the door."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event to record."""

    kind: EventKind
    data: Mapping[str, Any] = field(default_factory=dict)


Effect = Unlock | Lock | Beep | Happened


@dataclass(frozen=True, slots=True)
class Status(Hold):
    """Everything a portal remembers. Start from `Status()`: nothing known, nothing released.

    `allowed` persons may pass in this opening, or without a leaf until `allowed_until`. Until
    `crossed_until` the leaf may open for somebody whom a beam has seen before its contact.
    """

    contact: ContactLevel | None = None
    grant: Granted | None = None
    grant_until: datetime | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    relock_at: datetime | None = None
    allowed: int = 0
    allowed_until: datetime | None = None
    crossed_until: datetime | None = None
    passed: int = 0
    is_extended: bool = False
    suspect_at: datetime | None = None
    is_authorised: bool = False
    is_forced: bool = False
    is_prealarm: bool = False
    is_held: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the contact says that the leaf is open."""
        return self.contact is ContactLevel.OPEN

    @property
    def may_lock(self) -> bool:
        """Whether no bolt would be fired into an open leaf, and nobody is on the way through."""
        return self.grant is None and not self.is_open

    @property
    def has_contact_fault(self) -> bool:
        """Whether the contact's wiring is shorted or cut."""
        return self.contact in (ContactLevel.SHORT, ContactLevel.CUT)

    @property
    def is_timed(self) -> bool:
        """Whether an open leaf is on its way to being held open."""
        is_alarmed = self.is_held or self.is_forced or self.suspect_at is not None
        return self.holds_unlocked is None and not is_alarmed and not self.is_in_maintenance

    @property
    def state(self) -> PortalState:
        """The one word for it, the most urgent first."""
        if self.fire_latched:
            return PortalState.FIRE_RELEASE
        if self.is_in_maintenance:
            return PortalState.MAINTENANCE
        if self.is_forced:
            return PortalState.FORCED
        if self.is_held:
            return PortalState.HELD
        if self.has_contact_fault:
            return PortalState.FAULT
        if self.is_open and self.holds_unlocked is None:
            return PortalState.PREALARM if self.is_prealarm else PortalState.OPEN
        if self.lockdown and self.grant is None:
            return PortalState.LOCKDOWN
        if self.holds_unlocked is not None:
            return PortalState.UNLOCKED
        return PortalState.RELEASED if self.grant is not None else PortalState.SECURED


Step = tuple[Status, tuple[Effect, ...]]


def step(portal: Portal, status: Status, given: Input, at: datetime) -> Step:
    """Take one input at one time; give the new status and what to do, in order."""
    due, late = _timers(portal, status, at)
    match given:
        case Granted():
            after, effects = _granted(portal, due, given, at)
        case ContactRead():
            after, effects = _contact(portal, due, given.level, at)
        case Passed():
            after, effects = _passed(due, given, at)
        case FireRead():
            after, effects = _fire(due, given.is_active)
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


def next_deadline(portal: Portal, status: Status) -> datetime | None:
    """Say when a timer is next due, so that nobody has to poll."""
    times = [
        status.grant_until,
        status.override_until,
        status.maintenance_until,
        status.relock_at,
        status.allowed_until,
        status.crossed_until,
    ]
    if status.suspect_at is not None:
        times.append(status.suspect_at + timedelta(seconds=portal.debounce_s))
    if status.opened_at is not None and status.is_timed:
        if not status.is_prealarm:
            times.append(_prealarm_at(portal, status))
        times.append(_held_at(portal, status))
    return min((moment for moment in times if moment is not None), default=None)


def _timers(portal: Portal, status: Status, at: datetime) -> Step:
    """Run every timer that has come due."""
    effects: list[Effect] = []
    if status.override_until is not None and at >= status.override_until:
        ended = replace(status, override_until=None, override_by="", override_locked=False)
        status, done = _hold(status, ended, at, by="expiry")
        effects += done
    if status.maintenance_until is not None and at >= status.maintenance_until:
        status, done = _end_maintenance(status, at, by="expiry")
        effects += done
    if status.relock_at is not None and at >= status.relock_at:
        status = replace(status, relock_at=None)
        if status.holds_unlocked is None and status.grant is None:
            effects.append(Lock())
    if status.grant is not None and status.grant_until is not None and at >= status.grant_until:
        effects.append(Happened(EventKind.ACCESS_NOT_TAKEN, {"release": status.grant.id}))
        status = replace(status, grant=None, grant_until=None)
        if status.holds_unlocked is None and not status.is_open:
            effects.append(Lock())
    if status.allowed_until is not None and at >= status.allowed_until:
        status = replace(status, allowed=0, allowed_until=None)
    if status.crossed_until is not None and at >= status.crossed_until:
        status = replace(status, crossed_until=None)
    if status.suspect_at is not None and at >= status.suspect_at + timedelta(
        seconds=portal.debounce_s
    ):
        status = replace(status, suspect_at=None, is_forced=True)
        effects.append(Happened(EventKind.DOOR_FORCED))
    if status.opened_at is not None and status.is_timed:
        if not status.is_prealarm and at >= _prealarm_at(portal, status):
            status = replace(status, is_prealarm=True)
            effects += [Beep(), Happened(EventKind.DOOR_PREALARM)]
        if at >= _held_at(portal, status):
            status = replace(status, is_held=True)
            limit_s = _held_s(portal, status)
            effects.append(Happened(EventKind.DOOR_HELD, {"limit_s": limit_s}))
    return status, tuple(effects)


def _held_s(portal: Portal, status: Status) -> float:
    if status.is_extended:
        return max(portal.held_open_s, portal.extended_held_open_s)
    return portal.held_open_s


def _held_at(portal: Portal, status: Status) -> datetime:
    opened_at = status.opened_at
    assert opened_at is not None  # noqa: S101  asked only of an open leaf
    return opened_at + timedelta(seconds=_held_s(portal, status))


def _prealarm_at(portal: Portal, status: Status) -> datetime:
    warning_s = min(portal.prealarm_s, _held_s(portal, status))
    return _held_at(portal, status) - timedelta(seconds=warning_s)


def _granted(portal: Portal, status: Status, grant: Granted, at: datetime) -> Step:
    if status.lockdown and not status.fire_latched and grant.cause is Cause.OPERATOR:
        return status, ()
    is_exit = grant.cause is Cause.EXIT
    if is_exit and not grant.is_released and _is_echo(portal, status, at):
        ignored = {"release": grant.id, "exit_ignored_s": portal.exit_ignore_s}
        return status, (Happened(EventKind.ACCESS_NOT_TAKEN, ignored),)
    grant_s = portal.grant_s
    if grant.needs_time:
        grant_s = max(grant_s, portal.extended_grant_s)
    unlock: tuple[Effect, ...] = ()
    if not grant.is_released and not (is_exit and portal.exit_button is ExitButton.SHUNT):
        # A timed release would end what holds the portal unlocked, in a device that counts itself.
        seconds = grant_s if status.holds_unlocked is None else None
        unlock = (Unlock(seconds, grant.cause, grant.id),)
    if grant.is_released and status.is_forced:
        # News of a board's decision that came after the opening it explains.
        status = replace(status, is_forced=False)
        unlock = (Happened(EventKind.DOOR_FORCED_CLEARED, {"release": grant.id}),)
    if status.is_open and not status.is_forced:
        # The next person walks through the door that is still open: their passage is inferred.
        taken = Happened(EventKind.ACCESS_TAKEN, {"release": grant.id, "door_was_open": True})
        opened = replace(
            status,
            opened_at=at,
            suspect_at=None,
            is_prealarm=False,
            is_authorised=True,
            is_extended=status.is_extended or grant.needs_time,
            allowed=status.allowed + (0 if is_exit else grant.persons),
        )
        after, unlocked = _person_came(opened, grant, at)
        return after, (*unlock, taken, *unlocked)
    until = at + timedelta(seconds=grant_s + portal.entry_s)
    after = replace(status, grant=grant, grant_until=until, relock_at=None)
    is_again = status.grant is not None and status.grant.id == grant.id
    overtaken = () if is_again else _unsettled(status)
    return after, (*overtaken, *unlock)


def _is_echo(portal: Portal, status: Status, at: datetime) -> bool:
    """Whether a request to exit comes from somebody who has only just come in by this door."""
    closed_at = status.closed_at
    return (
        portal.exit_ignore_s > 0
        and closed_at is not None
        and closed_at <= at < closed_at + timedelta(seconds=portal.exit_ignore_s)
    )


def _person_came(status: Status, grant: Granted, at: datetime) -> Step:
    return _hold(status, greeted(status, grant.cause), at, by="schedule")


def _unsettled(status: Status) -> tuple[Effect, ...]:
    """Settle a grant that something else overtakes: nobody was seen walking through."""
    if status.grant is None:
        return ()
    return (Happened(EventKind.ACCESS_NOT_TAKEN, {"release": status.grant.id}),)


def _overtaken(status: Status) -> Step:
    """Take back a grant that was waiting, but none of the way out: nobody is shut in."""
    if status.grant is None or status.grant.cause is Cause.EXIT:
        return status, ()
    return replace(status, grant=None, grant_until=None), _unsettled(status)


def _contact(portal: Portal, status: Status, level: ContactLevel, at: datetime) -> Step:
    before = status.contact
    if level is before:
        return status, ()
    effects: list[Effect] = []
    if status.has_contact_fault:
        effects.append(Happened(EventKind.CONTACT_FAULT_CLEARED))
    if before is None and status.holds_unlocked is not None:
        # Just started: what held the portal in the last life holds it still.
        effects.append(Unlock(None, status.holds_unlocked))
    status = replace(status, contact=level)
    if level in (ContactLevel.SHORT, ContactLevel.CUT):
        effects.append(Happened(EventKind.CONTACT_FAULT, {"level": level.value}))
        if before is None and status.holds_unlocked is None and status.grant is None:
            # What a schedule held open in the last life must not stay so for want of a contact.
            effects.append(Lock())
        return replace(status, suspect_at=None), tuple(effects)
    if level is ContactLevel.OPEN:
        status, opened = _opened(portal, status, before, at)
    else:
        status, opened = _closed(status, at)
    return status, (*effects, *opened)


def _opened(portal: Portal, status: Status, before: ContactLevel | None, at: datetime) -> Step:
    if status.opened_at is None:
        status = replace(status, opened_at=at)
    if status.grant is not None:
        after, effects = _taken(status, status.grant, at)
        if portal.relock_on_open_s is not None and after.holds_unlocked is None:
            relock_at = at + timedelta(seconds=portal.relock_on_open_s)
            after = replace(after, relock_at=relock_at)
        return after, effects
    if status.holds_unlocked is not None or status.is_in_maintenance:
        return replace(status, is_authorised=True), ()
    if status.is_authorised or status.is_forced:
        # The same opening, seen again after its contact's wire was broken.
        return status, ()
    if status.crossed_until is not None:
        return replace(status, is_authorised=True), ()
    if before is None:
        # The first reading after a start: it was open before we looked, by whom we can't know.
        return status, (Happened(EventKind.DOOR_FOUND_OPEN),)
    return replace(status, suspect_at=at), ()


def _taken(status: Status, grant: Granted, at: datetime) -> Step:
    """Somebody walked through on the grant that was waiting."""
    after = replace(
        status,
        grant=None,
        grant_until=None,
        is_authorised=True,
        is_extended=status.is_extended or grant.needs_time,
        allowed=status.allowed + (0 if grant.cause is Cause.EXIT else grant.persons),
    )
    after, unlocked = _person_came(after, grant, at)
    return after, (Happened(EventKind.ACCESS_TAKEN, {"release": grant.id}), *unlocked)


def _passed(status: Status, given: Passed, at: datetime) -> Step:
    """Count persons against grants. A turnstile has no leaf: there a passage is the opening.

    Who leaves needs no leave, so only those who walk in are counted, and nobody is while
    something holds the portal unlocked.
    """
    if given.persons < 1:
        return status, ()
    effects: tuple[Effect, ...] = ()
    grant, until = status.grant, status.grant_until
    if grant is not None and not status.is_open and (grant.cause is Cause.EXIT) == given.is_out:
        status, effects = _taken(status, grant, at)
        status = replace(status, allowed_until=until, crossed_until=until)
    is_counted = not (given.is_out or status.is_in_maintenance or status.holds_unlocked)
    passed = status.passed + (given.persons if is_counted else 0)
    too_many = passed - max(status.allowed, status.passed)
    if too_many > 0:
        data = {"persons": passed, "granted": status.allowed}
        effects = (*effects, Happened(EventKind.TAILGATING, data))
    after = replace(status, passed=passed)
    if not status.is_open:
        # Nothing will close behind them: what is left of the grant is for those right behind.
        rest = max(0, status.allowed - passed) if is_counted or given.is_out else 0
        after = replace(
            after,
            passed=0,
            allowed=rest,
            allowed_until=status.allowed_until if rest else None,
            is_authorised=False,
            is_extended=False,
        )
    return after, effects


def _closed(status: Status, at: datetime) -> Step:
    effects: list[Effect] = []
    if status.is_held:
        effects.append(Happened(EventKind.DOOR_HELD_CLEARED))
    if status.is_forced:
        effects.append(Happened(EventKind.DOOR_FORCED_CLEARED))
    if status.opened_at is not None and status.suspect_at is None:
        effects.append(Happened(EventKind.DOOR_CLOSED))
    if status.holds_unlocked is None and status.grant is None:
        effects.append(Lock())
    return (
        replace(
            status,
            opened_at=None,
            closed_at=at,
            relock_at=None,
            allowed=0,
            allowed_until=None,
            crossed_until=None,
            passed=0,
            is_extended=False,
            suspect_at=None,
            is_authorised=False,
            is_forced=False,
            is_prealarm=False,
            is_held=False,
        ),
        tuple(effects),
    )


def _fire(status: Status, is_active: bool) -> Step:
    if is_active == status.fire:
        return status, ()
    if not is_active:
        return replace(status, fire=False), (Happened(EventKind.FIRE_CLEARED),)
    after = replace(status, fire=True, fire_latched=True, suspect_at=None)
    return after, (Unlock(None, Cause.FIRE), Happened(EventKind.FIRE_RELEASED))


def _restore(status: Status, by: str, at: datetime) -> Step:
    if not status.fire_latched or status.fire:
        return status, ()
    after, effects = _hold(status, replace(status, fire_latched=False), at, by=by)
    return after, (*effects, Happened(EventKind.FIRE_RESTORED, {"by": by}))


def _lockdown(status: Status, given: Lockdown, at: datetime) -> Step:
    if given.is_active == status.lockdown:
        return status, ()
    wanted = replace(status, lockdown=given.is_active)
    after, effects = _hold(status, wanted, at, by=given.by)
    if given.is_active and not after.fire_latched:
        after, overtaken = _overtaken(after)
        effects = (*effects, *overtaken)
        if not (after.is_open or after.grant is not None or Lock() in effects):
            # Whoever has just passed a portal without a leaf has left it unlocked for a while.
            effects = (Lock(), *effects)
    kind = EventKind.LOCKDOWN_STARTED if given.is_active else EventKind.LOCKDOWN_ENDED
    return after, (*effects, Happened(kind, {"by": given.by}))


def _maintain(status: Status, given: Maintenance, at: datetime) -> Step:
    if given.until is None or given.until <= at:
        return _end_maintenance(status, at, by=given.by)
    effects: list[Effect] = []
    if status.is_held:
        effects.append(Happened(EventKind.DOOR_HELD_CLEARED))
    if status.is_forced:
        effects.append(Happened(EventKind.DOOR_FORCED_CLEARED))
    data = {"by": given.by, "until": given.until.isoformat()}
    effects.append(Happened(EventKind.MAINTENANCE_STARTED, data))
    after = replace(
        status,
        maintenance_until=given.until,
        maintenance_by=given.by,
        is_held=False,
        is_forced=False,
        is_prealarm=False,
        suspect_at=None,
        is_authorised=status.is_authorised or status.is_open,
    )
    return after, tuple(effects)


def _end_maintenance(status: Status, at: datetime, *, by: str) -> Step:
    """Take up the watch again; a leaf that stands open has its full time from now."""
    if status.maintenance_until is None:
        return status, ()
    after = replace(status, maintenance_until=None, maintenance_by="")
    if after.is_open:
        after = replace(after, opened_at=at)
    return after, (Happened(EventKind.MAINTENANCE_ENDED, {"by": by}),)


def _hold(before: Status, after: Status, at: datetime, *, by: str) -> Step:
    """Unlock or lock as what holds the portal unlocked changes.

    The bolt is not fired into an open leaf: it locks when the leaf closes, and its time to be
    held open counts from now.
    """
    was, now = before.holds_unlocked, after.holds_unlocked
    if was is now:
        return after, ()
    if now is not None:
        unlocked = Happened(EventKind.PORTAL_UNLOCKED, {"cause": now.value, "by": by})
        return replace(after, suspect_at=None), (Unlock(None, now), unlocked)
    after, overtaken = _overtaken(after)
    effects = (Happened(EventKind.PORTAL_LOCKED, {"by": by}), *overtaken)
    if after.is_open:
        return replace(after, opened_at=at, is_prealarm=False), effects
    # Somebody on the way out keeps the bolt back until they are through or their time is up.
    return after, (effects if after.grant is not None else (Lock(), *effects))
