"""Events: facts that happened, numbered by their node and chained by hash.

An event's hash covers the hash before it, so a journal that was shortened, reordered or edited
shows where. The order of events is the order of `seq`, never of time: clocks move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from anlin.core.codec import canonical_json, maker, to_data
from anlin.core.words import Word

GENESIS = "0" * 64
"""The hash before the first event of a node."""


class EventKind(Word):
    """What can have happened. Past tense, as a guard would say it."""

    ACCESS_GRANTED = "access_granted"
    ACCESS_DENIED = "access_denied"
    ACCESS_TAKEN = "access_taken"
    ACCESS_NOT_TAKEN = "access_not_taken"
    DURESS = "duress"
    WATCH_HIT = "watch_hit"
    REPEATED_DENIALS = "repeated_denials"
    BIKE_QUESTION = "bike_question"
    TAG_SEEN = "tag_seen"
    ANTI_PASSBACK_NOTED = "anti_passback_noted"
    BOARD_DISAGREES = "board_disagrees"
    TAILGATING = "tailgating"
    DOOR_CLOSED = "door_closed"
    DOOR_PREALARM = "door_prealarm"
    DOOR_HELD = "door_held"
    DOOR_HELD_CLEARED = "door_held_cleared"
    DOOR_FORCED = "door_forced"
    DOOR_FORCED_CLEARED = "door_forced_cleared"
    DOOR_FOUND_OPEN = "door_found_open"
    PORTAL_FOUND = "portal_found"
    PORTAL_UNLOCKED = "portal_unlocked"
    PORTAL_LOCKED = "portal_locked"
    MAINTENANCE_STARTED = "maintenance_started"
    MAINTENANCE_ENDED = "maintenance_ended"
    LOCKDOWN_STARTED = "lockdown_started"
    LOCKDOWN_ENDED = "lockdown_ended"
    FIRE_RELEASED = "fire_released"
    FIRE_CLEARED = "fire_cleared"
    FIRE_RESTORED = "fire_restored"
    CONTACT_FAULT = "contact_fault"
    CONTACT_FAULT_CLEARED = "contact_fault_cleared"
    TAMPER = "tamper"
    TAMPER_CLEARED = "tamper_cleared"
    VEHICLE_ARRIVED = "vehicle_arrived"
    VEHICLE_LEFT = "vehicle_left"
    VEHICLE_WAITING = "vehicle_waiting"
    VEHICLE_PASSED = "vehicle_passed"
    VEHICLE_REVERSED = "vehicle_reversed"
    VEHICLE_FOLLOWED = "vehicle_followed"
    VEHICLE_OVERSTAYED = "vehicle_overstayed"
    LANE_BYPASSED = "lane_bypassed"
    ARM_RAISED = "arm_raised"
    ARM_OFF = "arm_off"
    ARM_RESTORED = "arm_restored"
    ARM_STRUCK = "arm_struck"
    ARM_STUCK = "arm_stuck"
    DEVICE_ONLINE = "device_online"
    DEVICE_OFFLINE = "device_offline"
    DEVICE_FAULT = "device_fault"
    DEVICE_FAULT_CLEARED = "device_fault_cleared"
    TABLE_HELD = "table_held"
    TABLE_BEHIND = "table_behind"
    TABLE_REFUSED = "table_refused"
    MESSAGE_REFUSED = "message_refused"
    CAMERA_STATE = "camera_state"
    NODE_STARTED = "node_started"
    NODE_STOPPED = "node_stopped"
    NODE_STOOD_STILL = "node_stood_still"
    CLOCK_JUMPED = "clock_jumped"
    POLICY_APPLIED = "policy_applied"
    POLICY_REFUSED = "policy_refused"
    COMMAND_DONE = "command_done"
    COMMAND_REFUSED = "command_refused"
    UPLINK_LOST = "uplink_lost"
    UPLINK_BACK = "uplink_back"
    EVENT_QUARANTINED = "event_quarantined"
    STORAGE_LOW = "storage_low"
    STORAGE_RESTORED = "storage_restored"


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has its place in the journal.

    `subject` is what it happened to: a portal, access point or device id. `origin` is the
    device's own id of the message behind it; the journal takes each origin once.
    """

    kind: EventKind
    subject: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event in its place: (node, seq) names it for ever; `at` is the node's own time."""

    node: str
    boot: int
    seq: int
    at: datetime
    kind: EventKind
    subject: str
    data: Mapping[str, Any]
    revision: int
    previous: str
    hash: str


def chain(draft: Draft, node: str, boot: int, seq: int, previous: str) -> Event:
    """Give a draft its place after the event whose hash is `previous`."""
    return place(draft, node, boot, seq, previous)[0]


def place(draft: Draft, node: str, boot: int, seq: int, previous: str) -> tuple[Event, str]:
    """Give a draft its place as `chain` does, and the JSON of its data, which the hash covers."""
    data = canonical_json(to_data(draft.data))
    event = _make(
        node,
        boot,
        seq,
        draft.at,
        draft.kind,
        draft.subject,
        draft.data,
        draft.revision,
        previous,
        _hash(node, boot, seq, draft.at, draft.kind, draft.subject, data, draft.revision, previous),
    )
    return event, data.decode()


_make = maker(Event)


def is_intact(event: Event) -> bool:
    """Say whether an event's hash still covers its content and its predecessor."""
    return event.hash == _hash(
        event.node,
        event.boot,
        event.seq,
        event.at,
        event.kind,
        event.subject,
        canonical_json(to_data(event.data)),
        event.revision,
        event.previous,
    )


def _hash(
    node: str,
    boot: int,
    seq: int,
    at: datetime,
    kind: EventKind,
    subject: str,
    data: bytes,
    revision: int,
    previous: str,
) -> str:
    """Hash the previous hash and the canonical JSON of what stands before it, as a list."""
    head = canonical_json([node, boot, seq, at.astimezone(UTC).isoformat(), kind.value, subject])
    body = b"%b,%b,%d]" % (head[:-1], data, revision)
    return hashlib.sha256(previous.encode() + body).hexdigest()
