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
from anlin.core.entities import Portal
from anlin.core.event import EventKind
from anlin.core.words import Word


class PortalState(Word):
    """What a portal is doing, in one word."""

    SECURED = "secured"
    RELEASED = "released"
    OPEN = "open"
    HELD = "held"
    FORCED = "forced"
    UNLOCKED = "unlocked"
    LOCKDOWN = "lockdown"
    FIRE_RELEASE = "fire_release"
    FAULT = "fault"


class Cause(Word):
    """Why a portal may be unlocked. There is no other way."""

    DECISION = "decision"
    OPERATOR = "operator"
    SCHEDULE = "schedule"
    FIRE = "fire"


# Inputs


@dataclass(frozen=True, slots=True)
class Granted:
    """A decision, or an operator's single release, named by `id`."""

    id: str
    cause: Cause = Cause.DECISION
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContactRead:
    """The contact's level, as read now."""

    level: ContactLevel


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
class Override:
    """A named person holds the portal unlocked until a time, or (None) takes that back."""

    until: datetime | None
    by: str


@dataclass(frozen=True, slots=True)
class ScheduleRead:
    """Whether the portal's own schedule holds it unlocked now."""

    is_active: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


Input = Granted | ContactRead | FireRead | FireRestore | Lockdown | Override | ScheduleRead | Tick

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
class Status:
    """Everything a portal remembers. Start from `Status()`: nothing known, nothing released."""

    contact: ContactLevel | None = None
    fire: bool = False
    fire_latched: bool = False
    lockdown: bool = False
    override_until: datetime | None = None
    scheduled: bool = False
    grant: Granted | None = None
    grant_until: datetime | None = None
    opened_at: datetime | None = None
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
    def has_contact_fault(self) -> bool:
        """Whether the contact's wiring is shorted or cut."""
        return self.contact in (ContactLevel.SHORT, ContactLevel.CUT)

    @property
    def holds_unlocked(self) -> Cause | None:
        """What keeps the portal unlocked beyond one passage, by priority."""
        if self.fire_latched:
            return Cause.FIRE
        if self.lockdown:
            return None
        if self.override_until is not None:
            return Cause.OPERATOR
        return Cause.SCHEDULE if self.scheduled else None

    @property
    def is_timed(self) -> bool:
        """Whether an open leaf is on its way to being held open."""
        is_alarmed = self.is_held or self.is_forced or self.suspect_at is not None
        return self.holds_unlocked is None and not is_alarmed

    @property
    def state(self) -> PortalState:
        """The one word for it, the most urgent first."""
        if self.fire_latched:
            return PortalState.FIRE_RELEASE
        if self.is_forced:
            return PortalState.FORCED
        if self.is_held:
            return PortalState.HELD
        if self.has_contact_fault:
            return PortalState.FAULT
        if self.is_open and self.holds_unlocked is None:
            return PortalState.OPEN
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
        case FireRead():
            after, effects = _fire(due, given.is_active)
        case FireRestore():
            after, effects = _restore(due, given.by, at)
        case Lockdown():
            after, effects = _lockdown(due, given, at)
        case Override():
            after, effects = _override(due, given, at)
        case ScheduleRead():
            after, effects = _schedule(due, given.is_active, at)
        case Tick():  # pragma: no branch  (there is no other input)
            after, effects = due, ()
    return after, late + effects


def next_deadline(portal: Portal, status: Status) -> datetime | None:
    """Say when a timer is next due, so that nobody has to poll."""
    times = [status.grant_until, status.override_until]
    if status.suspect_at is not None:
        times.append(status.suspect_at + timedelta(seconds=portal.debounce_s))
    if status.opened_at is not None and status.is_timed:
        if not status.is_prealarm:
            times.append(_prealarm_at(portal, status.opened_at))
        times.append(status.opened_at + timedelta(seconds=portal.held_open_s))
    return min((moment for moment in times if moment is not None), default=None)


def _timers(portal: Portal, status: Status, at: datetime) -> Step:
    """Run every timer that has come due."""
    effects: list[Effect] = []
    if status.override_until is not None and at >= status.override_until:
        status, ended = _hold(status, replace(status, override_until=None), at, by="expiry")
        effects += ended
    if status.grant is not None and status.grant_until is not None and at >= status.grant_until:
        effects.append(Happened(EventKind.ACCESS_NOT_TAKEN, {"release": status.grant.id}))
        status = replace(status, grant=None, grant_until=None)
        if status.holds_unlocked is None and not status.is_open:
            effects.append(Lock())
    if status.suspect_at is not None and at >= status.suspect_at + timedelta(
        seconds=portal.debounce_s
    ):
        status = replace(status, suspect_at=None, is_forced=True)
        effects.append(Happened(EventKind.DOOR_FORCED))
    opened_at = status.opened_at
    if opened_at is not None and status.is_timed:
        if not status.is_prealarm and at >= _prealarm_at(portal, opened_at):
            status = replace(status, is_prealarm=True)
            effects += [Beep(), Happened(EventKind.DOOR_PREALARM)]
        if at >= opened_at + timedelta(seconds=portal.held_open_s):
            status = replace(status, is_held=True)
            effects.append(Happened(EventKind.DOOR_HELD, {"limit_s": portal.held_open_s}))
    return status, tuple(effects)


def _prealarm_at(portal: Portal, opened_at: datetime) -> datetime:
    return opened_at + timedelta(seconds=max(0.0, portal.held_open_s - portal.prealarm_s))


def _granted(portal: Portal, status: Status, grant: Granted, at: datetime) -> Step:
    if status.lockdown and grant.cause is not Cause.DECISION:
        return status, ()
    # A timed release would end what holds the portal unlocked, in a device that counts itself.
    seconds = portal.grant_s if status.holds_unlocked is None else None
    if status.is_open and not status.is_forced:
        # The next person walks through the door that is still open: their passage is inferred.
        effects: tuple[Effect, ...] = (
            Unlock(seconds, grant.cause, grant.id),
            Happened(EventKind.ACCESS_TAKEN, {"release": grant.id, "door_was_open": True}),
        )
        opened = replace(status, opened_at=at, suspect_at=None)
        return replace(opened, is_prealarm=False, is_authorised=True), effects
    until = at + timedelta(seconds=portal.grant_s)
    after = replace(status, grant=grant, grant_until=until)
    is_again = status.grant is not None and status.grant.id == grant.id
    overtaken = () if is_again else _unsettled(status)
    return after, (*overtaken, Unlock(seconds, grant.cause, grant.id))


def _unsettled(status: Status) -> tuple[Effect, ...]:
    """Settle a grant that something else overtakes: nobody was seen walking through."""
    if status.grant is None:
        return ()
    return (Happened(EventKind.ACCESS_NOT_TAKEN, {"release": status.grant.id}),)


def _contact(portal: Portal, status: Status, level: ContactLevel, at: datetime) -> Step:
    before = status.contact
    if level is before:
        return status, ()
    effects: list[Effect] = []
    if status.has_contact_fault:
        effects.append(Happened(EventKind.CONTACT_FAULT_CLEARED))
    status = replace(status, contact=level)
    if level in (ContactLevel.SHORT, ContactLevel.CUT):
        effects.append(Happened(EventKind.CONTACT_FAULT, {"level": level.value}))
        return replace(status, suspect_at=None), tuple(effects)
    if level is ContactLevel.OPEN:
        status, opened = _opened(status, before, at)
    else:
        status, opened = _closed(status, before)
    return status, (*effects, *opened)


def _opened(status: Status, before: ContactLevel | None, at: datetime) -> Step:
    if status.opened_at is None:
        status = replace(status, opened_at=at)
    if status.grant is not None:
        taken = Happened(EventKind.ACCESS_TAKEN, {"release": status.grant.id})
        return replace(status, grant=None, grant_until=None, is_authorised=True), (taken,)
    if status.holds_unlocked is not None:
        return replace(status, is_authorised=True), ()
    if status.is_authorised or status.is_forced:
        # The same opening, seen again after its contact's wire was broken.
        return status, ()
    if before is None:
        # The first reading after a start: it was open before we looked, by whom we can't know.
        return status, (Happened(EventKind.DOOR_FOUND_OPEN),)
    return replace(status, suspect_at=at), ()


def _closed(status: Status, before: ContactLevel | None) -> Step:
    effects: list[Effect] = []
    if status.is_held:
        effects.append(Happened(EventKind.DOOR_HELD_CLEARED))
    if status.is_forced:
        effects.append(Happened(EventKind.DOOR_FORCED_CLEARED))
    if status.opened_at is not None and status.suspect_at is None:
        effects.append(Happened(EventKind.DOOR_CLOSED))
    if status.holds_unlocked is not None and before is None:
        # Just started: what held the portal in the last life holds it still.
        effects.append(Unlock(None, status.holds_unlocked))
    elif status.holds_unlocked is None and status.grant is None:
        effects.append(Lock())
    return (
        replace(
            status,
            opened_at=None,
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
    if given.is_active and after.grant is not None and not after.fire_latched:
        bolt = () if after.is_open else (Lock(),)
        effects = (*bolt, *effects, *_unsettled(after))
        after = replace(after, grant=None, grant_until=None)
    kind = EventKind.LOCKDOWN_STARTED if given.is_active else EventKind.LOCKDOWN_ENDED
    return after, (*effects, Happened(kind, {"by": given.by}))


def _override(status: Status, given: Override, at: datetime) -> Step:
    until = given.until if given.until is not None and given.until > at else None
    return _hold(status, replace(status, override_until=until), at, by=given.by)


def _schedule(status: Status, is_active: bool, at: datetime) -> Step:
    return _hold(status, replace(status, scheduled=is_active), at, by="schedule")


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
    effects: list[Effect] = [Happened(EventKind.PORTAL_LOCKED, {"by": by})]
    effects += _unsettled(after)
    after = replace(after, grant=None, grant_until=None)
    if after.is_open:
        return replace(after, opened_at=at), tuple(effects)
    return after, (Lock(), *effects)
