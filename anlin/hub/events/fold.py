"""Folds the event log into what the records say now: portals, devices, commands, passes.

The position reached is stored in the same transaction as the records, so that a crash between
the two databases loses nothing and counts nothing twice.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max, Q

from anlin.core.event import EventKind
from anlin.core.portal import PortalState
from anlin.core.sync import CommandKind
from anlin.hub.access.models import PortalStatus
from anlin.hub.access.passes import note_pass_use
from anlin.hub.devices.models import Command, Device, DeviceState, Folded, Node, Outcome
from anlin.hub.events.models import Event
from anlin.hub.state import fold as state
from anlin.hub.visits import fold as visits

_STEP_EVENTS = 1000


def fold() -> int:
    """Fold every event that is new; give how many there were."""
    count = 0
    while taken := _step():
        count += taken
    return count


def _step() -> int:
    with transaction.atomic():
        cursor, _ = Folded.objects.select_for_update().get_or_create(pk=1)
        newest = Event.objects.aggregate(newest=Max("pk"))["newest"] or 0
        upto = min(newest, cursor.position + _STEP_EVENTS)
        if upto <= cursor.position:
            return 0
        events = list(
            Event.objects.filter(pk__gt=cursor.position, pk__lte=upto, kind__in=_FOLDED)
            .order_by("pk")
            .defer("hash", "previous")
        )
        _fold_portals([event for event in events if event.kind in _PORTAL_KINDS])
        _fold_devices([event for event in events if event.kind in _DEVICE_KINDS])
        _fold_commands([event for event in events if event.kind in _COMMAND_KINDS])
        state.apply(events)
        visits.apply(events)
        for event in events:
            _fold_rest(event)
        count, cursor.position = upto - cursor.position, upto
        cursor.save()
    return count


def _fold_portals(events: list[Event]) -> None:
    found = PortalStatus.objects.select_related("portal").in_bulk(
        {event.subject for event in events}
    )
    for event in events:
        status = found.get(event.subject)
        if status is None or status.portal.community_id != event.community:
            continue
        for name, value in _portal_change(event).items():
            setattr(status, name, value)
        # The portal's own word for it where it says one: it knows what no event told.
        told = _text(event, "state")
        state = told if told in _STATES else _state_of(status).value
        if state != status.state:
            status.state, status.since = state, event.at
        status.position = event.pk
    for status in found.values():
        status.save()


def _portal_change(event: Event) -> dict[str, Any]:
    """Say which of a portal's facts an event changes."""
    match event.kind:
        case EventKind.ACCESS_TAKEN if _text(event, "state") in _SHUT:
            # A turnstile or an arm: somebody passed, and no leaf stands open.
            return {}
        case EventKind.ACCESS_TAKEN | EventKind.DOOR_FOUND_OPEN:
            return {"contact": "open"}
        case EventKind.PORTAL_FOUND if _text(event, "contact") == "closed":
            # Whatever was told in the life before: it ended unseen.
            return {"contact": "closed", "is_held": False, "is_forced": False}
        case EventKind.PORTAL_FOUND:
            return {"contact": _text(event, "contact")[:10]}
        case EventKind.DOOR_CLOSED:
            return {"contact": "closed", "is_held": False, "is_forced": False}
        case EventKind.DOOR_HELD:
            return {"contact": "open", "is_held": True}
        case EventKind.DOOR_HELD_CLEARED:
            return {"contact": "closed", "is_held": False}
        case EventKind.DOOR_FORCED:
            return {"contact": "open", "is_forced": True}
        case EventKind.DOOR_FORCED_CLEARED:
            return {"contact": "closed", "is_forced": False}
        case EventKind.PORTAL_UNLOCKED:
            return {"unlocked_by": _text(event, "cause") or "operator"}
        case EventKind.PORTAL_LOCKED:
            return {"unlocked_by": ""}
        case EventKind.LOCKDOWN_STARTED | EventKind.LOCKDOWN_ENDED:
            return {"is_lockdown": event.kind == EventKind.LOCKDOWN_STARTED}
        case EventKind.FIRE_RELEASED | EventKind.FIRE_RESTORED:
            return {"is_fire": event.kind == EventKind.FIRE_RELEASED}
        case EventKind.MAINTENANCE_STARTED:
            return {"is_held": False, "is_forced": False}
        case EventKind.CONTACT_FAULT:
            return {"is_fault": True, "contact": _text(event, "level")[:10]}
        case EventKind.CONTACT_FAULT_CLEARED:
            return {"is_fault": False, "contact": ""}
    return {}


def _state_of(status: PortalStatus) -> PortalState:
    """Give the one word for it where an event names none, as `core.portal.Status.state` does."""
    facts = (
        (status.is_fire, PortalState.FIRE_RELEASE),
        (status.is_forced, PortalState.FORCED),
        (status.is_held, PortalState.HELD),
        (status.is_fault, PortalState.FAULT),
        (status.contact == "open" and not status.unlocked_by, PortalState.OPEN),
        (status.is_lockdown, PortalState.LOCKDOWN),
        (bool(status.unlocked_by), PortalState.UNLOCKED),
    )
    return next((state for holds, state in facts if holds), PortalState.SECURED)


def _fold_devices(events: list[Event]) -> None:
    subjects = {event.subject for event in events}
    nodes = dict(Device.objects.filter(pk__in=subjects).values_list("pk", "node_id"))
    found = DeviceState.objects.in_bulk(subjects)
    for event in events:
        if nodes.get(event.subject) != event.node:
            continue
        state = found.setdefault(event.subject, DeviceState(device_id=event.subject))
        before = (state.is_online, state.state)
        _fold_device(state, event)
        if (state.is_online, state.state) != before:
            state.since = event.at
        state.position = event.pk
    for state in found.values():
        state.save()


def _fold_device(state: DeviceState, event: Event) -> None:
    """Fold one event into a device's state.

    A line of sixteen readers is as well as the worst of them: what is wrong is kept by part, so
    that one reader's news never hides another's trouble.
    """
    part, detail = _text(event, "part"), _text(event, "detail")[:200]
    rule = _text(event, "rule")[:80]
    match event.kind:
        case EventKind.DEVICE_ONLINE if not part:
            state.is_online, state.detail = True, detail
        case EventKind.DEVICE_OFFLINE if not part:
            state.is_online, state.detail = False, detail
        case EventKind.DEVICE_ONLINE:
            state.troubles.pop(f"{part}/offline", None)
        case EventKind.DEVICE_OFFLINE:
            # The device itself still speaks, or it could not have said so.
            state.troubles[f"{part}/offline"] = detail or "offline"
        case EventKind.DEVICE_FAULT:
            state.troubles[f"{part}/fault/{rule}"] = rule or detail
        case EventKind.DEVICE_FAULT_CLEARED:
            state.troubles.pop(f"{part}/fault/{rule}", None)
        case EventKind.TAMPER:
            state.troubles[f"{part}/tamper"] = ""
        case EventKind.TAMPER_CLEARED:
            state.troubles.pop(f"{part}/tamper", None)
        case _:
            _fold_camera(state, event)
            return
    state.state = _worst(state)
    if state.troubles:
        shown = (_trouble(key, text) for key, text in sorted(state.troubles.items()))
        state.detail = "; ".join(shown)[:200]


def _fold_camera(state: DeviceState, event: Event) -> None:
    state.state, state.detail = _text(event, "state")[:40], _text(event, "detail")[:200]
    state.is_online = state.state == "online"
    tier, models = event.data.get("tier"), event.data.get("models")
    if tier in (1, 2):
        state.tier = tier
    if isinstance(models, dict):
        state.vision_models = models


def _worst(state: DeviceState) -> str:
    """Give the one word for a device: the most urgent of what is wrong with it."""
    if state.is_online is False:
        return "offline"
    if any(key.endswith("/tamper") for key in state.troubles):
        return "tamper"
    return "fault" if state.troubles else "online"


def _trouble(key: str, text: str) -> str:
    part, _, kind = key.partition("/")
    what = text or kind
    return f"{part}: {what}" if part else what


def _fold_commands(events: list[Event]) -> None:
    """Fold what came of commands: answered by the node, and acted on by the portal."""
    named = {_text(event, "command") or _text(event, "release") for event in events}
    commands = Command.objects.in_bulk(named - {""})
    for event in events:
        command = commands.get(_text(event, "command") or _text(event, "release"))
        if command is None or command.node_id != event.node:
            continue
        if event.kind == EventKind.ACCESS_TAKEN:
            command.acted_at = command.acted_at or event.at
        elif command.outcome == Outcome.PENDING:
            is_done = event.kind == EventKind.COMMAND_DONE
            command.outcome = Outcome.DONE if is_done else Outcome.REFUSED
            command.outcome_detail = _text(event, "rule")[:200]
            command.outcome_at = event.at
            if is_done and command.kind in _ACTED_AT_ONCE:
                command.acted_at = event.at
    for command in commands.values():
        command.save(update_fields=["outcome", "outcome_detail", "outcome_at", "acted_at"])


def _fold_rest(event: Event) -> None:
    """Fold what is rare enough for a query of its own."""
    match event.kind:
        case EventKind.ACCESS_GRANTED if leave := _text(event, "pass"):
            note_pass_use(leave[:24], event.node)
        case EventKind.NODE_STARTED if software := _text(event, "software"):
            Node.objects.filter(pk=event.node).update(software=software[:60])
        case kind if kind in _ACTED:
            Command.objects.filter(
                Q(target=event.subject) | Q(target="*") | Q(target__startswith="area:"),
                node=event.node,
                kind=_ACTED[EventKind(kind)].value,
                by=_text(event, "by"),
                acted_at=None,
            ).exclude(outcome=Outcome.REFUSED).update(acted_at=event.at)


_ACTED = {
    EventKind.LOCKDOWN_STARTED: CommandKind.LOCKDOWN,
    EventKind.LOCKDOWN_ENDED: CommandKind.LOCKDOWN_END,
    EventKind.PORTAL_UNLOCKED: CommandKind.HOLD_UNLOCKED,
    EventKind.PORTAL_LOCKED: CommandKind.HOLD_NORMAL,
    EventKind.FIRE_RESTORED: CommandKind.FIRE_RESTORE,
    EventKind.MAINTENANCE_STARTED: CommandKind.MAINTENANCE,
    EventKind.MAINTENANCE_ENDED: CommandKind.MAINTENANCE_END,
}
"""What the portal itself shows when a person's command has had its effect."""

_ACTED_AT_ONCE = frozenset(
    kind.value for kind in (CommandKind.FORGIVE, CommandKind.HOLD_LOCKED, CommandKind.HOLD_NORMAL)
)
"""What the edge has done once it says so: a door that was locked shows nothing new."""

_PORTAL_KINDS = frozenset(
    kind.value
    for kind in (
        EventKind.ACCESS_TAKEN,
        EventKind.ACCESS_NOT_TAKEN,
        EventKind.DOOR_CLOSED,
        EventKind.DOOR_PREALARM,
        EventKind.DOOR_HELD,
        EventKind.DOOR_HELD_CLEARED,
        EventKind.DOOR_FORCED,
        EventKind.DOOR_FORCED_CLEARED,
        EventKind.DOOR_FOUND_OPEN,
        EventKind.PORTAL_FOUND,
        EventKind.PORTAL_UNLOCKED,
        EventKind.PORTAL_LOCKED,
        EventKind.MAINTENANCE_STARTED,
        EventKind.MAINTENANCE_ENDED,
        EventKind.LOCKDOWN_STARTED,
        EventKind.LOCKDOWN_ENDED,
        EventKind.FIRE_RELEASED,
        EventKind.FIRE_RESTORED,
        EventKind.CONTACT_FAULT,
        EventKind.CONTACT_FAULT_CLEARED,
        EventKind.TAILGATING,
        EventKind.VEHICLE_ARRIVED,
        EventKind.VEHICLE_LEFT,
        EventKind.VEHICLE_WAITING,
        EventKind.VEHICLE_PASSED,
        EventKind.VEHICLE_REVERSED,
        EventKind.VEHICLE_FOLLOWED,
        EventKind.LANE_BYPASSED,
        EventKind.ARM_RAISED,
        EventKind.ARM_OFF,
        EventKind.ARM_RESTORED,
        EventKind.ARM_STRUCK,
        EventKind.ARM_STUCK,
    )
)

_SHUT = frozenset({PortalState.SECURED.value, PortalState.RELEASED.value})

_STATES = frozenset(state.value for state in PortalState)

_DEVICE_KINDS = frozenset(
    kind.value
    for kind in (
        EventKind.DEVICE_ONLINE,
        EventKind.DEVICE_OFFLINE,
        EventKind.DEVICE_FAULT,
        EventKind.DEVICE_FAULT_CLEARED,
        EventKind.CAMERA_STATE,
        EventKind.TAMPER,
        EventKind.TAMPER_CLEARED,
    )
)

_COMMAND_KINDS = frozenset(
    kind.value
    for kind in (EventKind.ACCESS_TAKEN, EventKind.COMMAND_DONE, EventKind.COMMAND_REFUSED)
)

_FOLDED = (
    _PORTAL_KINDS
    | _DEVICE_KINDS
    | _COMMAND_KINDS
    | state.KINDS
    | {EventKind.ACCESS_GRANTED.value, EventKind.NODE_STARTED.value}
)


def _text(event: Event, name: str) -> str:
    value = event.data.get(name) if isinstance(event.data, dict) else None
    return value if isinstance(value, str) else ""
