"""Who came to a home today: its own passages and its visitors', and nobody else's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.utils import timezone

from anlin.core.event import EventKind
from anlin.hub.access.models import AccessPoint
from anlin.hub.events.models import Event
from anlin.hub.people.models import Holder, ResidencyKind
from anlin.hub.privacy.logtime import position_before
from anlin.hub.resident.homes import Home, household, private_units

SHOWN = 100
"""A home in which more people came and went in a day has more than a phone can show."""


@dataclass(frozen=True, slots=True)
class Came:
    """One passage: when, who, where, whether the gate let them in, and by what."""

    at: datetime
    name: str
    place: str
    method: str
    is_visitor: bool
    is_granted: bool
    reason: str


def people_of(home: Home) -> dict[str, tuple[str, bool]]:
    """Name whose passages this resident may read: holder -> (name, is a visitor).

    A home that is let is its tenants': the owner reads neither their comings nor their guests',
    only their own.
    """
    found: dict[str, tuple[str, bool]] = {}
    units = private_units(home)
    lets = {row.unit_id for row in home.residencies if row.kind == ResidencyKind.TENANT}
    for row in household(units, home.at):
        # Whoever rents reads of those who rent with them, not of an owner on a visit.
        if row.unit_id not in lets or row.kind == ResidencyKind.TENANT:
            found[row.holder_id] = (row.holder.name, False)
    visitors = Holder.objects.filter(host__in=[unit.pk for unit in units])
    for visitor in visitors.exclude(valid_until__lt=_midnight(home.at)):
        found[visitor.pk] = (visitor.name, True)
    found[home.holder.pk] = (home.holder.name, False)
    return found


def came_today(home: Home) -> list[Came]:
    """List today's passages of a home, the newest first."""
    people = people_of(home)
    community = home.holder.community_id
    kinds = (EventKind.ACCESS_GRANTED.value, EventKind.ACCESS_DENIED.value)
    rows = Event.objects.filter(
        community=community,
        pk__gt=_first_of(_midnight(home.at)),
        kind__in=kinds,
        data__holder__in=list(people),
    )
    events = [event for event in rows.order_by("-pk")[:SHOWN] if event.at >= _midnight(home.at)]
    places = _places(community, events)
    return [
        Came(
            event.at,
            people[event.data["holder"]][0],
            places.get(event.subject, ""),
            str(event.data.get("method") or ""),
            people[event.data["holder"]][1],
            event.kind == EventKind.ACCESS_GRANTED.value,
            str(event.data.get("reason") or ""),
        )
        for event in sorted(events, key=lambda event: event.at, reverse=True)
    ]


def _midnight(at: datetime) -> datetime:
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


@lru_cache(maxsize=64)
def _first_of(midnight: datetime) -> int:
    """Find where a day begins in the log. It stays there: the log only grows at its end."""
    return position_before(midnight)


def _places(community_id: str, events: list[Event]) -> dict[str, str]:
    rows = AccessPoint.objects.filter(
        portal__community=community_id, pk__in={event.subject for event in events}
    )
    return dict(rows.values_list("pk", "name"))
