"""What holds a portal beyond one passage: fire, lockdown, an operator, its schedule.

Doors and lanes move differently and are held alike. The priority is written here and nowhere
else: fire, lockdown, operator, schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from anlin.core.entities import Portal
from anlin.core.words import Word


class Cause(Word):
    """Why a portal may be unlocked. There is no other way."""

    DECISION = "decision"
    EXIT = "exit"
    OPERATOR = "operator"
    SCHEDULE = "schedule"
    FIRE = "fire"


@dataclass(frozen=True, slots=True)
class Override:
    """A named person holds the portal until a time, or (None) takes that back.

    Unlocked; or, with `is_locked`, to credentials only while its schedule would unlock it.
    """

    until: datetime | None
    by: str
    is_locked: bool = False


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A named person works on the portal until a time: it raises no alarms; None ends it."""

    until: datetime | None
    by: str


@dataclass(frozen=True, slots=True)
class Hold:
    """What of a portal's status outlives a passage. `fire` is the input, as read now."""

    fire: bool = False
    fire_latched: bool = False
    lockdown: bool = False
    override_until: datetime | None = None
    override_by: str = ""
    override_locked: bool = False
    maintenance_until: datetime | None = None
    maintenance_by: str = ""
    scheduled: bool = False
    awaits_person: bool = False

    @property
    def holds_unlocked(self) -> Cause | None:
        """What keeps the portal unlocked beyond one passage, by priority."""
        if self.fire_latched:
            return Cause.FIRE
        if self.lockdown:
            return None
        if self.override_until is not None:
            return None if self.override_locked else Cause.OPERATOR
        return Cause.SCHEDULE if self.scheduled and not self.awaits_person else None

    @property
    def is_in_maintenance(self) -> bool:
        """Whether somebody works on it, so that it raises no alarms."""
        return self.maintenance_until is not None


S = TypeVar("S", bound=Hold)


def overridden(status: S, given: Override, at: datetime) -> S:
    """Give the status as an operator wants it from now on; an end that is past is none."""
    until = given.until if given.until is not None and given.until > at else None
    return replace(
        status,
        override_until=until,
        override_by=given.by if until is not None else "",
        override_locked=given.is_locked and until is not None,
    )


def scheduled(portal: Portal, status: S, is_active: bool) -> S:
    """Give the status as the schedule wants it; a portal may wait for its first person."""
    awaits = is_active and portal.needs_first_person
    if is_active and status.scheduled:
        awaits = awaits and status.awaits_person
    return replace(status, scheduled=is_active, awaits_person=awaits)


def greeted(status: S, cause: Cause) -> S:
    """Give the status after somebody passed: the first valid person lets the schedule unlock.

    Fire lets everybody through, so whoever came by it has proven nothing.
    """
    is_first = status.scheduled and status.awaits_person and cause is Cause.DECISION
    is_first = is_first and not status.fire_latched
    return replace(status, awaits_person=False) if is_first else status
