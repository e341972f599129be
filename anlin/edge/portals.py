"""The state machines of a node's portals: doors and turnstiles, and lanes with an arm.

One way in for both kinds, so that the engine need not ask which it speaks to; what must outlive
the process is kept here as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from anlin.core import lane, portal
from anlin.core.codec import from_data, to_data
from anlin.core.device import ArmPosition, ContactLevel
from anlin.core.entities import Portal, PortalKind
from anlin.core.event import EventKind
from anlin.core.hold import Hold
from anlin.core.policy import Policy

Status = portal.Status | lane.Status

PREFIX = "portal/"
"""Before the portal's id, in the names of the replica's facts."""


NOTHING = Hold()

_ARM = {ContactLevel.CLOSED: ArmPosition.DOWN, ContactLevel.OPEN: ArmPosition.UP}


class Portals:
    """What is known of each portal. `unsaved` collects what has to be written down."""

    def __init__(self, policy: Callable[[], Policy]) -> None:
        self._policy = policy
        self._statuses: dict[str, Status] = {}
        self._faulty_contacts: dict[str, ContactLevel] = {}
        self.unsaved: dict[str, str] = {}

    def record(self, id_: str) -> Portal:
        """Give a portal's settings; a plain door's where the policy does not know it."""
        return self._policy().portals.get(id_) or Portal(id_, id_)

    def is_lane(self, id_: str) -> bool:
        """Whether a portal is a lane with an arm."""
        return self.record(id_).kind is PortalKind.BARRIER

    def status(self, id_: str) -> Status:
        """Give what is known of a portal."""
        status = self._statuses.get(id_)
        is_lane = self.is_lane(id_)
        if status is None or isinstance(status, lane.Status) is not is_lane:
            return lane.Status() if is_lane else portal.Status()
        return status

    def known(self) -> Mapping[str, Status]:
        """Give every portal that anything is known of."""
        return self._statuses

    def step(
        self, id_: str, given: portal.Input | lane.Input, at: datetime
    ) -> tuple[Status, tuple[portal.Effect, ...]]:
        """Take one input; give the new status and what to do.

        An input that only the other kind of portal knows changes nothing.
        """
        record, before = self.record(id_), self.status(id_)
        after: Status
        effects: tuple[portal.Effect, ...] = ()
        if isinstance(before, lane.Status):
            if isinstance(given, portal.ContactRead):
                return self._contact_of_arm(id_, given.level, at)
            if isinstance(given, portal.Passed):
                return before, ()
            after, effects = lane.step(record, before, given, at)
        else:
            if isinstance(given, lane.LoopRead | lane.ArmRead | lane.StruckRead | lane.Looked):
                return before, ()
            after, effects = portal.step(record, before, given, at)
        self._statuses[id_] = after
        if held(before) != held(after):
            self.unsaved[PREFIX + id_] = json.dumps(to_data(held(after)))
        return after, effects

    def due(self, at: datetime) -> Iterator[str]:
        """Name the portals of which a timer has come due."""
        for id_, status in list(self._statuses.items()):
            if isinstance(status, lane.Status):
                when = lane.next_deadline(status)
            else:
                when = portal.next_deadline(self.record(id_), status)
            if when is not None and at >= when:
                yield id_

    def restore(self, id_: str, fact: str) -> None:
        """Take up what held a portal in the last life."""
        kept = _read(fact)
        if kept != NOTHING:
            held_by = {name: getattr(kept, name) for name in _KEPT}
            self._statuses[id_] = replace(self.status(id_), **held_by)

    def restore_grant(self, id_: str, grant: portal.Granted, until: datetime) -> None:
        """Take up a grant of the last life; its timer runs on."""
        status = self.status(id_)
        if isinstance(status, lane.Status):
            queue = (*status.queue, lane.Waiting(grant, until))
            self._statuses[id_] = replace(status, queue=queue)
        else:
            self._statuses[id_] = replace(status, grant=grant, grant_until=until)

    def take_back(self, release: str) -> None:
        """Forget a grant that opened nothing."""
        for id_, status in self._statuses.items():
            if isinstance(status, lane.Status):
                kept = tuple(item for item in status.queue if item.grant.id != release)
                if kept != status.queue:
                    self._statuses[id_] = replace(status, queue=kept)
            elif status.grant is not None and status.grant.id == release:
                self._statuses[id_] = replace(status, grant=None, grant_until=None)

    def _contact_of_arm(
        self, id_: str, level: ContactLevel, at: datetime
    ) -> tuple[Status, tuple[portal.Effect, ...]]:
        """Read a lane's plain contact as its arm's position: closed is down."""
        before = self._faulty_contacts.pop(id_, None)
        effects: tuple[portal.Effect, ...] = ()
        if level not in _ARM:
            self._faulty_contacts[id_] = level
            if before is not level:
                effects = (portal.Happened(EventKind.CONTACT_FAULT, {"level": level.value}),)
            return self.status(id_), effects
        if before is not None:
            effects = (portal.Happened(EventKind.CONTACT_FAULT_CLEARED),)
        after, done = self.step(id_, lane.ArmRead(_ARM[level]), at)
        return after, effects + done


_KEPT = (
    "fire_latched",
    "lockdown",
    "override_until",
    "override_by",
    "override_locked",
    "maintenance_until",
    "maintenance_by",
)
"""What holds a portal through a restart: a lockdown or a fire release must not end with it.

The fire input is read anew, and the schedule worked out.
"""


def held(status: Status) -> Hold:
    """Give what of a status must outlive the process."""
    return Hold(**{name: getattr(status, name) for name in _KEPT})


def seen(status: Status) -> ContactLevel | None:
    """Give what a leaf or arm was last seen to be in this life; None where nobody looked yet.

    An arm on its way, or off its bracket, lets vehicles through as an open leaf does people.
    """
    if isinstance(status, lane.Status):
        if status.arm is None:
            return None
        return ContactLevel.CLOSED if status.arm is ArmPosition.DOWN else ContactLevel.OPEN
    return status.contact


def _read(fact: str) -> Hold:
    if fact[:1] in ("0", "1"):
        # As version 0.1 kept it: two flags and the end of an override.
        until = datetime.fromisoformat(fact[2:]) if fact[2:] else None
        return Hold(fire_latched=fact[0] == "1", lockdown=fact[1] == "1", override_until=until)
    return from_data(Hold, json.loads(fact))
