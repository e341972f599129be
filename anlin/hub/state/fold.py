"""Folds events into who is inside, who holds what, and how far tables stand.

Called where `events.fold` folds, in its transaction; `rebuild` makes the same anew from the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from anlin.core.event import EventKind
from anlin.core.sync import CommandKind
from anlin.hub.access.models import AccessPoint, Portal
from anlin.hub.devices.models import Device, Folded
from anlin.hub.events.models import Event
from anlin.hub.people.models import Community
from anlin.hub.state.models import DeviceTable, Override, PortalHold, Presence

LONGEST_HOLD = timedelta(days=1)
"""No edge holds a portal for longer, whatever it was asked."""

_PLATE = "plate:"
_STEP_EVENTS = 2000
_MOST = 2**31 - 1


def apply(events: Sequence[Event]) -> None:
    """Fold events, in the order of the log."""
    _fold_presences([event for event in events if event.kind in _PRESENCE_KINDS])
    _fold_holds([event for event in events if event.kind in _HOLD_KINDS])
    _fold_tables([event for event in events if event.kind in _TABLE_KINDS])


def rebuild(community: Community) -> int:
    """Make everything that is folded here anew from the log; give how many events were read."""
    with transaction.atomic():
        # Nothing may be folded meanwhile: what is new comes after what is read here.
        cursor, _ = Folded.objects.select_for_update().get_or_create(pk=1)
        Presence.objects.filter(community=community).delete()
        PortalHold.objects.filter(portal__community=community).delete()
        DeviceTable.objects.filter(device__node__community=community).delete()
        log = Event.objects.filter(
            community=community.pk, pk__lte=cursor.position, kind__in=KINDS
        ).order_by("pk")
        count, last = 0, 0
        while found := list(log.filter(pk__gt=last)[:_STEP_EVENTS]):
            apply(found)
            count, last = count + len(found), found[-1].pk
    return count


# Who is inside


def _fold_presences(events: list[Event]) -> None:
    moves = [event for event in events if event.kind == EventKind.ACCESS_TAKEN]
    subjects = {subject for event in moves if (subject := _subject(event))}
    communities = {event.community for event in events}
    found = {
        (row.community_id, row.subject): row
        for row in Presence.objects.filter(community__in=communities, subject__in=subjects)
    }
    changed: dict[tuple[str, str], Presence] = {}

    def save() -> None:
        Presence.objects.bulk_create(
            changed.values(),
            update_conflicts=True,
            unique_fields=["community", "subject"],
            update_fields=_PRESENCE_FIELDS,
        )
        changed.clear()

    for event in events:
        match event.kind:
            case EventKind.ACCESS_TAKEN:
                key = (event.community, _subject(event))
                row = _moved(event, key[1], found.get(key))
                if row is not None:
                    found[key] = changed[key] = row
            case EventKind.VEHICLE_OVERSTAYED:
                save()
                _overstayed(event)
            case _ if _text(event, "kind") == CommandKind.FORGIVE:
                save()
                found = {key: row for key, row in found.items() if not _forgives(event, row)}
                _forgive(event)
    save()


def _moved(event: Event, subject: str, known: Presence | None) -> Presence | None:
    """Give where a passage leaves its subject; None where it is nobody's, or older news.

    One node's events come in its own order. Of two nodes the later passage counts: one of them
    may have been cut off and tell it late.
    """
    if not subject:
        return None
    if known is not None and known.node != event.node and known.since > event.at:
        return None
    area = _text(event, "area")[:24]
    return Presence(
        community_id=event.community,
        subject=subject,
        node=event.node,
        holder=_text(event, "holder")[:24],
        plate=subject.removeprefix(_PLATE)[:20] if subject.startswith(_PLATE) else "",
        portal=event.subject[:24],
        area=area,
        is_inside=bool(area) or event.data.get("exit") is not True,
        since=event.at,
        position=event.pk,
    )


def _overstayed(event: Event) -> None:
    Presence.objects.filter(
        community=event.community, subject=_PLATE + _text(event, "value")[:40]
    ).update(is_overstay=True, until=_time(event, "until"))


def _forgive(event: Event) -> None:
    """Forget one subject, or everybody whom this node has seen."""
    rows = Presence.objects.filter(community=event.community, since__lte=event.at)
    whose = Q(node=event.node) if event.subject == "*" else Q(subject=event.subject)
    rows.filter(whose).delete()


def _forgives(event: Event, row: Presence) -> bool:
    if row.community_id != event.community or row.since > event.at:
        return False
    return row.node == event.node if event.subject == "*" else row.subject == event.subject


def _subject(event: Event) -> str:
    return (_text(event, "subject") or _text(event, "holder"))[:64]


# Who holds what


def _fold_holds(events: list[Event]) -> None:
    targets = [(event, _portals(event)) for event in events]
    ids = {portal for _, portals in targets for portal in portals}
    communities = dict(Portal.objects.filter(pk__in=ids).values_list("pk", "community_id"))
    found = PortalHold.objects.in_bulk(ids)
    changed = set()
    for event, portals in targets:
        change = _hold_change(event)
        for portal in portals:
            if not change or communities.get(portal) != event.community:
                continue
            hold = found.setdefault(portal, PortalHold(portal_id=portal))
            for name, value in change.items():
                if getattr(hold, name) != value:
                    setattr(hold, name, value)
                    changed.add(portal)
    for portal in changed:
        found[portal].save()


def _hold_change(event: Event) -> dict[str, Any]:
    """Say which of a portal's holds an event changes."""
    match event.kind:
        case EventKind.FIRE_RELEASED:
            return {"is_fire_input": True, "is_prealarm": False}
        case EventKind.FIRE_CLEARED | EventKind.FIRE_RESTORED:
            return {"is_fire_input": False}
        case EventKind.DOOR_PREALARM:
            return {"is_prealarm": True}
        case EventKind.MAINTENANCE_STARTED:
            return {
                "is_prealarm": False,
                "maintenance_by": _text(event, "by")[:150],
                "maintenance_until": _hold_end(event),
            }
        case EventKind.MAINTENANCE_ENDED:
            return {"is_prealarm": False, "maintenance_by": "", "maintenance_until": None}
        case EventKind.ARM_OFF | EventKind.ARM_STUCK | EventKind.ARM_RAISED:
            return {"arm": _ARM[EventKind(event.kind)], "arm_since": event.at}
        case EventKind.ARM_RESTORED:
            return {"arm": "", "arm_since": None}
        case EventKind.VEHICLE_WAITING:
            return {"waiting_since": event.at}
        case EventKind.VEHICLE_PASSED | EventKind.VEHICLE_LEFT | EventKind.ACCESS_GRANTED:
            return {"waiting_since": None}
        case EventKind.ACCESS_TAKEN:
            return {"is_prealarm": False, "waiting_since": None}
        case EventKind.COMMAND_DONE:
            return _commanded(event)
    return {"is_prealarm": False}


_ARM = {EventKind.ARM_OFF: "off", EventKind.ARM_STUCK: "stuck", EventKind.ARM_RAISED: "raised"}


def _commanded(event: Event) -> dict[str, Any]:
    kind = _text(event, "kind")
    if kind == CommandKind.HOLD_NORMAL:
        return {"override": Override.NONE.value, "override_by": "", "override_until": None}
    override = Override.LOCKED if kind == CommandKind.HOLD_LOCKED else Override.UNLOCKED
    return {
        "override": override.value,
        "override_by": _text(event, "by")[:150],
        "override_until": _hold_end(event),
    }


def _hold_end(event: Event) -> datetime | None:
    until = _time(event, "until")
    return min(until, event.at + LONGEST_HOLD) if until is not None else None


def _portals(event: Event) -> list[str]:
    """Name the portals that an event is about; of many, those that its own node drives."""
    if event.kind == EventKind.ACCESS_GRANTED:
        return [_text(event, "portal")] if _text(event, "method") == "plate" else []
    if event.kind != EventKind.COMMAND_DONE:
        return [event.subject]
    if _text(event, "kind") not in _HOLDS:
        return []
    mine = Portal.objects.filter(community=event.community, node=event.node)
    if event.subject == "*":
        return list(mine.values_list("pk", flat=True))
    if event.subject.startswith("area:"):
        return list(portals_of_area(mine, event.subject.removeprefix("area:")))
    point = AccessPoint.objects.filter(pk=event.subject).values_list("portal_id", flat=True)
    return [point.first() or event.subject]


def portals_of_area(portals: Any, area: str) -> Iterable[str]:
    """Name those of some portals that lead into or out of an area."""
    bounds = Q(points__area_from=area) | Q(points__area_to=area)
    ids: Iterable[str] = portals.filter(bounds).distinct().values_list("pk", flat=True)
    return ids


_HOLDS = frozenset(
    kind.value
    for kind in (CommandKind.HOLD_UNLOCKED, CommandKind.HOLD_LOCKED, CommandKind.HOLD_NORMAL)
)


# How far tables stand


def _fold_tables(events: list[Event]) -> None:
    subjects = {event.subject for event in events}
    nodes = dict(Device.objects.filter(pk__in=subjects).values_list("pk", "node_id"))
    known = DeviceTable.objects.in_bulk(subjects)
    for event in events:
        if nodes.get(event.subject) != event.node:
            continue
        before = known.get(event.subject)
        is_proven = event.kind == EventKind.TABLE_HELD
        was_proven = before is not None and before.kind == EventKind.TABLE_HELD
        keeps = before is not None and is_proven == was_proven
        data = event.data if isinstance(event.data, dict) else {}
        known[event.subject] = DeviceTable(
            device_id=event.subject,
            kind=event.kind,
            revision=_count(data.get("revision"), 2**63 - 1),
            wanted=_text(event, "wanted")[:64],
            held=_text(event, "held")[:64],
            rows=_count(data.get("rows")),
            missing=_count(data.get("missing")),
            surplus=_count(data.get("surplus")),
            capacity=_count(data.get("capacity")),
            refused=_refused(data.get("refused")),
            rule=_text(event, "rule")[:200],
            since=before.since if before is not None and keeps else event.at,
            position=event.pk,
        )
    for row in known.values():
        row.save()


MOST_REFUSED = 100
"""Rows named one by one; a device that refuses more is not set up."""


def _refused(value: Any) -> list[list[str]]:
    pairs = value if isinstance(value, list) else []
    return [
        [str(pair[0])[:24], str(pair[1])[:100]]
        for pair in pairs[:MOST_REFUSED]
        if isinstance(pair, list) and len(pair) == 2
    ]


def _count(value: Any, most: int = _MOST) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return max(0, min(value, most)) if is_count else 0


def _text(event: Event, name: str) -> str:
    value = event.data.get(name) if isinstance(event.data, dict) else None
    return value if isinstance(value, str) else ""


def _time(event: Event, name: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(_text(event, name))
    except ValueError:
        return None
    return at if timezone.is_aware(at) else None


_PRESENCE_FIELDS = [
    field.attname
    for field in Presence._meta.concrete_fields
    if field.attname not in ("id", "community_id", "subject")
]

_PRESENCE_KINDS = frozenset(
    kind.value
    for kind in (EventKind.ACCESS_TAKEN, EventKind.VEHICLE_OVERSTAYED, EventKind.COMMAND_DONE)
)

_HOLD_KINDS = frozenset(
    kind.value
    for kind in (
        EventKind.FIRE_RELEASED,
        EventKind.FIRE_CLEARED,
        EventKind.FIRE_RESTORED,
        EventKind.DOOR_PREALARM,
        EventKind.DOOR_CLOSED,
        EventKind.DOOR_HELD,
        EventKind.PORTAL_LOCKED,
        EventKind.PORTAL_UNLOCKED,
        EventKind.MAINTENANCE_STARTED,
        EventKind.MAINTENANCE_ENDED,
        EventKind.ARM_OFF,
        EventKind.ARM_STUCK,
        EventKind.ARM_RAISED,
        EventKind.ARM_RESTORED,
        EventKind.VEHICLE_WAITING,
        EventKind.VEHICLE_PASSED,
        EventKind.VEHICLE_LEFT,
        EventKind.ACCESS_GRANTED,
        EventKind.ACCESS_TAKEN,
        EventKind.COMMAND_DONE,
    )
)

_TABLE_KINDS = frozenset(
    kind.value for kind in (EventKind.TABLE_HELD, EventKind.TABLE_BEHIND, EventKind.TABLE_REFUSED)
)

KINDS = _PRESENCE_KINDS | _HOLD_KINDS | _TABLE_KINDS
"""What has to be read for it."""
