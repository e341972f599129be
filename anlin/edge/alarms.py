"""An alarm told from its records: what raised it, by which timer, since when, and what ended it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anlin.core import lane
from anlin.core.entities import Portal
from anlin.core.event import Event, EventKind
from anlin.edge.desk import DENIALS, DENIALS_WITHIN
from anlin.edge.records import Records, RecordsError

K = EventKind


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of alarm comes about and ends.

    `settings` are fields of the portal; `since` are events that began what was counted, the
    newest before the alarm; `ends` are events of the same subject that end it, none where only a
    person can say that it is over. `same` are the data that both must have in common.
    """

    text: str
    settings: tuple[str, ...] = ()
    since: frozenset[EventKind] = frozenset()
    ends: frozenset[EventKind] = frozenset()
    same: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What there is to tell of an alarm, or of any other event that is no decision."""

    rule: str
    settings: Mapping[str, object]
    missing: str
    """Why the settings of that moment can't be told; empty where they can."""
    since: datetime
    began: Event | None
    ended: Event | None
    can_end: bool


_OPENED = frozenset({K.ACCESS_TAKEN, K.DOOR_FOUND_OPEN, K.PORTAL_LOCKED, K.MAINTENANCE_ENDED})

RULES: Mapping[EventKind, Rule] = {
    K.DOOR_PREALARM: Rule(
        "the leaf stood open until prealarm_s before the end of held_open_s",
        ("held_open_s", "extended_held_open_s", "prealarm_s"),
        _OPENED,
        frozenset({K.DOOR_CLOSED, K.DOOR_HELD, K.MAINTENANCE_STARTED, K.PORTAL_UNLOCKED}),
    ),
    K.DOOR_HELD: Rule(
        "the leaf stood open for held_open_s, or extended_held_open_s for who needs more time",
        ("held_open_s", "extended_held_open_s", "prealarm_s"),
        _OPENED,
        frozenset({K.DOOR_HELD_CLEARED}),
    ),
    K.DOOR_FORCED: Rule(
        "the contact opened while nothing had released the portal, and stayed so for debounce_s",
        ("debounce_s",),
        ends=frozenset({K.DOOR_FORCED_CLEARED}),
    ),
    K.DOOR_FOUND_OPEN: Rule(
        "the first look after a start found the leaf open, and no grant of the last life was open",
        since=frozenset({K.NODE_STARTED}),
        ends=frozenset({K.DOOR_CLOSED}),
    ),
    K.CONTACT_FAULT: Rule(
        "the supervised contact's wire is shorted or cut",
        ends=frozenset({K.CONTACT_FAULT_CLEARED}),
    ),
    K.TAILGATING: Rule("more persons passed than were granted", since=frozenset({K.ACCESS_TAKEN})),
    K.FIRE_RELEASED: Rule(
        "the fire input became active; it holds until a person restores it",
        ends=frozenset({K.FIRE_RESTORED}),
    ),
    K.LOCKDOWN_STARTED: Rule("a person asked for it", ends=frozenset({K.LOCKDOWN_ENDED})),
    K.MAINTENANCE_STARTED: Rule("a person asked for it", ends=frozenset({K.MAINTENANCE_ENDED})),
    K.TAMPER: Rule(
        "the enclosure's switch opened", ends=frozenset({K.TAMPER_CLEARED}), same=("part",)
    ),
    K.DEVICE_FAULT: Rule(
        "the device, or the way to it, reported it",
        ends=frozenset({K.DEVICE_FAULT_CLEARED}),
        same=("part", "rule"),
    ),
    K.DEVICE_OFFLINE: Rule(
        "it could not be heard any more", ends=frozenset({K.DEVICE_ONLINE}), same=("part",)
    ),
    K.ARM_STUCK: Rule(
        f"the arm had not arrived {lane.STUCK_AFTER.seconds} s after it was told to move",
        ends=frozenset({K.ARM_RESTORED}),
    ),
    K.ARM_OFF: Rule(
        "the arm's bracket reads as knocked off",
        ends=frozenset({K.ARM_RESTORED}),
    ),
    K.ARM_RAISED: Rule(
        "the arm went up while nothing had raised it", ends=frozenset({K.ARM_RESTORED})
    ),
    K.VEHICLE_WAITING: Rule(
        f"a vehicle stood on the loop for {lane.WAITING_AFTER.seconds} s without a decision",
        since=frozenset({K.VEHICLE_ARRIVED}),
        ends=frozenset({K.VEHICLE_LEFT, K.VEHICLE_PASSED, K.ACCESS_TAKEN}),
    ),
    K.REPEATED_DENIALS: Rule(
        f"{DENIALS} refusals in a row at one point, no two of them more than"
        f" {DENIALS_WITHIN.seconds // 60} min apart"
    ),
    K.DURESS: Rule("the PIN was the holder's duress code: opened as usual, told in silence"),
    K.UPLINK_LOST: Rule("the stream of the hub broke", ends=frozenset({K.UPLINK_BACK})),
    K.STORAGE_LOW: Rule("the disk is full, or nearly so", ends=frozenset({K.STORAGE_RESTORED})),
}

_AT_A_START = frozenset({K.DOOR_HELD, K.DOOR_FORCED, K.DOOR_PREALARM})
"""What ends unseen where the edge starts anew and finds the leaf closed."""


def account(records: Records, event: Event) -> Account:
    """Tell of an event that is no decision; for a kind without a rule, only what it records."""
    rule = RULES.get(event.kind, Rule(""))
    settings, missing = _settings(records, event, rule)
    began = next(records.near(event, rule.since, is_before=True), None)
    since = event.at if began is None else began.at
    if event.kind is K.DOOR_FORCED and "debounce_s" in settings:
        since = event.at - timedelta(seconds=float(str(settings["debounce_s"])))
    return Account(
        rule.text, settings, missing, since, began, _end(records, event, rule), bool(rule.ends)
    )


def _settings(records: Records, event: Event, rule: Rule) -> tuple[Mapping[str, object], str]:
    if not rule.settings:
        return {}, ""
    try:
        portal = records.policy_at(event.revision).portals.get(event.subject)
    except RecordsError as error:
        return {}, str(error)
    # A portal that the rules do not name has a plain door's timers (edge/portals.py).
    portal = portal or Portal(event.subject, event.subject)
    return {name: getattr(portal, name) for name in rule.settings}, ""


def _end(records: Records, event: Event, rule: Rule) -> Event | None:
    if not rule.ends:
        return None
    ends = rule.ends | ({K.PORTAL_FOUND} if event.kind in _AT_A_START else set())
    for later in records.near(event, ends, is_before=False):
        is_same = all(_said(later, name) == _said(event, name) for name in rule.same)
        is_shut = later.kind is not K.PORTAL_FOUND or later.data.get("contact") == "closed"
        if is_same and is_shut:
            return later
    return None


def _said(event: Event, name: str) -> Any:
    return event.data.get(name)
