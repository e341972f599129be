"""The live feed: which events a person sees, how loudly, and from which position on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from anlin.core.event import EventKind
from anlin.hub.access.models import AccessPoint
from anlin.hub.console.words import Tone
from anlin.hub.events.models import Event
from anlin.hub.events.rows import rows
from anlin.hub.events.secrecy import UNTOLD, hidden_from
from anlin.hub.people.models import Community

PAGE_ROWS = 40
CATCH_UP_ROWS = 100
"""What one answer carries after an outage; the page asks again until it is level."""

ALARMS = frozenset(
    {EventKind.DOOR_FORCED, EventKind.TAMPER, EventKind.FIRE_RELEASED, EventKind.ARM_OFF}
)
WARNINGS = frozenset(
    {
        # A warning and no alarm on purpose: whoever forces somebody may see this screen.
        EventKind.DURESS,
        EventKind.REPEATED_DENIALS,
        EventKind.BOARD_DISAGREES,
        EventKind.TAILGATING,
        EventKind.BIKE_QUESTION,
        EventKind.ANTI_PASSBACK_NOTED,
        EventKind.DOOR_HELD,
        EventKind.DOOR_PREALARM,
        EventKind.MAINTENANCE_STARTED,
        EventKind.VEHICLE_WAITING,
        EventKind.VEHICLE_REVERSED,
        EventKind.VEHICLE_FOLLOWED,
        EventKind.VEHICLE_OVERSTAYED,
        EventKind.LANE_BYPASSED,
        EventKind.ARM_RAISED,
        EventKind.ARM_STRUCK,
        EventKind.ARM_STUCK,
        EventKind.TABLE_BEHIND,
        EventKind.TABLE_REFUSED,
        EventKind.DOOR_FOUND_OPEN,
        EventKind.LOCKDOWN_STARTED,
        EventKind.CONTACT_FAULT,
        EventKind.DEVICE_OFFLINE,
        EventKind.DEVICE_FAULT,
        EventKind.MESSAGE_REFUSED,
        EventKind.CLOCK_JUMPED,
        EventKind.POLICY_REFUSED,
        EventKind.COMMAND_REFUSED,
        EventKind.EVENT_QUARANTINED,
        EventKind.STORAGE_LOW,
        EventKind.UPLINK_LOST,
    }
)
PASSAGES = frozenset({EventKind.ACCESS_GRANTED, EventKind.ACCESS_DENIED})
ROUTINE = frozenset(
    {
        EventKind.ACCESS_TAKEN,
        EventKind.TAG_SEEN,
        EventKind.DOOR_CLOSED,
        EventKind.DOOR_PREALARM,
        EventKind.PORTAL_LOCKED,
        EventKind.VEHICLE_ARRIVED,
        EventKind.VEHICLE_LEFT,
        EventKind.VEHICLE_PASSED,
        EventKind.POLICY_APPLIED,
        EventKind.TABLE_BEHIND,
        EventKind.TABLE_HELD,
    }
)
"""Said on request only: each follows from a line that is on the screen already."""

SHOWN: Mapping[str, frozenset[EventKind]] = {
    "": frozenset(EventKind) - ROUTINE,
    "people": PASSAGES,
    "alarms": (ALARMS | WARNINGS | {EventKind.ACCESS_DENIED}) - ROUTINE,
    "all": frozenset(EventKind),
}

_ICONS: Mapping[str, str] = {
    EventKind.ACCESS_TAKEN: "exit_button",
    EventKind.ACCESS_NOT_TAKEN: "exit_button",
    EventKind.DURESS: "shield",
    EventKind.REPEATED_DENIALS: "cross",
    EventKind.TAILGATING: "people",
    EventKind.BIKE_QUESTION: "bike",
    EventKind.TAG_SEEN: "bike",
    EventKind.ANTI_PASSBACK_NOTED: "exit_button",
    EventKind.MAINTENANCE_STARTED: "setup",
    EventKind.MAINTENANCE_ENDED: "setup",
    EventKind.DOOR_HELD: "clock",
    EventKind.DOOR_PREALARM: "clock",
    EventKind.DOOR_FORCED: "alarm",
    EventKind.TAMPER: "alarm",
    EventKind.FIRE_RELEASED: "fire",
    EventKind.FIRE_CLEARED: "fire",
    EventKind.FIRE_RESTORED: "fire",
    EventKind.PORTAL_UNLOCKED: "unlock",
    EventKind.PORTAL_LOCKED: "lock",
    EventKind.LOCKDOWN_STARTED: "shield",
    EventKind.LOCKDOWN_ENDED: "shield",
    EventKind.DOOR_CLOSED: "lock",
    EventKind.DOOR_FOUND_OPEN: "open",
    EventKind.VEHICLE_ARRIVED: "plate",
    EventKind.VEHICLE_LEFT: "plate",
    EventKind.VEHICLE_WAITING: "clock",
    EventKind.VEHICLE_PASSED: "plate",
    EventKind.VEHICLE_REVERSED: "plate",
    EventKind.VEHICLE_FOLLOWED: "plate",
    EventKind.VEHICLE_OVERSTAYED: "clock",
    EventKind.LANE_BYPASSED: "barrier",
    EventKind.ARM_RAISED: "barrier",
    EventKind.ARM_OFF: "barrier",
    EventKind.ARM_RESTORED: "barrier",
    EventKind.ARM_STRUCK: "barrier",
    EventKind.ARM_STUCK: "barrier",
    EventKind.TABLE_HELD: "check",
    EventKind.TABLE_BEHIND: "people",
    EventKind.TABLE_REFUSED: "people",
    EventKind.CAMERA_STATE: "camera",
    EventKind.DEVICE_OFFLINE: "cloud_off",
    EventKind.UPLINK_LOST: "cloud_off",
    EventKind.NODE_STARTED: "nodes",
    EventKind.NODE_STOPPED: "nodes",
    EventKind.COMMAND_DONE: "check",
    EventKind.COMMAND_REFUSED: "cross",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person at the console asked to see."""

    community: Community
    show: str = ""
    portal: str = ""

    def events(self) -> QuerySet[Event]:
        """Select the events of this wish; order and bounds are the caller's."""
        kinds = SHOWN.get(self.show, SHOWN[""])
        found = Event.objects.filter(community=self.community.pk).exclude(kind__in=UNTOLD)
        if kinds != SHOWN["all"]:
            found = found.filter(kind__in=[kind.value for kind in kinds])
        if self.portal:
            points = AccessPoint.objects.filter(
                portal_id=self.portal, portal__community=self.community
            ).values_list("id", flat=True)
            found = found.filter(subject__in=[self.portal, *points])
        return found


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows, newest first, and the position up to which nothing of the wish is missing."""

    rows: list[dict[str, Any]]
    position: int
    has_more: bool


def head(community: Community) -> int:
    """Give the position of the newest event."""
    found = Event.objects.filter(community=community.pk).aggregate(last=Max("id"))
    return int(found["last"] or 0)


def latest(wanted: Wanted, before: int | None = None) -> Stretch:
    """Give the newest rows, or those before a position."""
    # The head is read first: what arrives meanwhile is then newer than it, and comes by stream.
    position = head(wanted.community)
    found = wanted.events().filter(id__lte=position)
    if before is not None:
        found = found.filter(id__lt=before)
    events = list(found.order_by("-id")[: PAGE_ROWS + 1])
    return Stretch(shown(events[:PAGE_ROWS]), position, len(events) > PAGE_ROWS)


def after(wanted: Wanted, position: int) -> Stretch:
    """Give the rows after a position; no more than one answer should carry, the oldest first."""
    newest = head(wanted.community)
    found = wanted.events().filter(id__gt=position, id__lte=newest)
    events = list(found.order_by("id")[: CATCH_UP_ROWS + 1])
    has_more = len(events) > CATCH_UP_ROWS
    events = events[:CATCH_UP_ROWS]
    upto = events[-1].pk if has_more else max(newest, position)
    return Stretch(shown(reversed(events)), upto, has_more)


def shown(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Give events as the feed's rows."""
    return [dressed(row) for row in rows(list(events))]


def dressed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a row how it is shown: tone, icon, badge, and whether it is a line or a card."""
    kind = str(row["kind"])
    tone = tone_of(row)
    passage = kind in PASSAGES
    if passage:
        icon = str(row.get("method") or "unknown")
    else:
        icon = _ICONS.get(kind, "warning" if tone is Tone.WARNING else "info")
    badge = {Tone.GRANTED: "check", Tone.DENIED: "cross", Tone.ALARM: "alarm"}.get(tone, "warning")
    return {
        **row,
        "tone": tone.value,
        "icon": icon,
        "badge": badge,
        "is_passage": passage,
        "is_minor": tone is Tone.INFO,
    }


def tone_of(row: Mapping[str, Any]) -> Tone:
    """Say how loudly a row speaks."""
    kind = row["kind"]
    if kind == EventKind.ACCESS_GRANTED:
        return Tone.GRANTED
    if kind == EventKind.ACCESS_DENIED:
        return Tone.DENIED
    if kind in ALARMS:
        return Tone.ALARM
    if kind in WARNINGS:
        return Tone.WARNING
    if kind == EventKind.CAMERA_STATE and row.get("state") not in (None, "", "online"):
        return Tone.WARNING
    return Tone.INFO


_COUNTED = {
    "granted": Q(kind=EventKind.ACCESS_GRANTED.value),
    "denied": Q(kind=EventKind.ACCESS_DENIED.value),
    "alarms": Q(
        kind__in=[
            kind.value for kind in sorted(ALARMS | {EventKind.DOOR_HELD, EventKind.TAILGATING})
        ]
    ),
    "duress": Q(kind=EventKind.DURESS.value),
    "people": Q(kind=EventKind.ACCESS_TAKEN.value),
}


def counts_today(community: Community, now: datetime, role: str = "") -> dict[str, int]:
    """Count today's passages and alarms, by the community's own midnight.

    Whoever may be told of a silent alarm finds it among the alarms.

    Counted once and then added to: each call reads only what came since the last.
    """
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    key = f"counts:{community.pk}:{midnight.isoformat()}"
    upto, counts = cache.get(key) or (0, dict.fromkeys(_COUNTED, 0))
    newest = head(community)
    if newest > upto:
        fresh = Event.objects.filter(
            community=community.pk, id__gt=upto, id__lte=newest, at__gte=midnight
        ).aggregate(**{name: Count("id", filter=given) for name, given in _COUNTED.items()})
        counts = {name: counts[name] + fresh[name] for name in counts}
        cache.set(key, (newest, counts), timeout=26 * 3600)
    told = dict(counts)
    silent = told.pop("duress")
    if role and EventKind.DURESS.value not in hidden_from(role):
        told["alarms"] += silent
    return told
