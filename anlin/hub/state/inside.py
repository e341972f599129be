"""Who and which car is inside now, as the last passages say, with names and homes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from anlin.core.entities import HolderKind, Method
from anlin.hub.access.models import Area, Credential, Parking, Portal
from anlin.hub.people.models import Community, Holder, Residency
from anlin.hub.state.models import Presence


@dataclass(frozen=True, slots=True)
class Seen:
    """One person who was last seen to walk in."""

    holder: str
    name: str
    unit: str
    is_visitor: bool
    phone: str
    portal: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Everybody who was last seen to walk into one area, building, or through one gate."""

    key: str
    name: str
    is_area: bool
    persons: tuple[Seen, ...]


def roll_call(community: Community) -> list[Group]:
    """List who was last seen to walk in, by area; by building or gate where no area is set up."""
    rows = list(
        Presence.objects.filter(community=community, is_inside=True, plate="").order_by("since")
    )
    people = Holder.objects.filter(community=community).in_bulk({row.holder for row in rows})
    units = _units(community, people)
    portals = {
        portal.pk: portal
        for portal in Portal.objects.filter(community=community).select_related("building")
    }
    areas = dict(Area.objects.filter(community=community).values_list("pk", "name"))
    groups: dict[tuple[str, str, bool], list[Seen]] = {}
    for row in rows:
        portal = portals.get(row.portal)
        where = portal.name if portal is not None else row.portal
        if row.area in areas:
            key = (row.area, areas[row.area], True)
        elif portal is not None and portal.building is not None:
            key = (portal.building.pk, portal.building.name, False)
        else:
            key = (row.portal, where, False)
        who = people.get(row.holder)
        groups.setdefault(key, []).append(
            Seen(
                row.holder if who is not None else "",
                who.name if who is not None else row.subject,
                units.get(row.holder, ""),
                who is not None and who.kind == HolderKind.VISITOR,
                who.phone if who is not None else "",
                where,
                row.since,
            )
        )
    return [
        Group(key, name, is_area, tuple(sorted(found, key=lambda one: (one.unit, one.name))))
        for (key, name, is_area), found in sorted(groups.items(), key=lambda item: item[0][1])
    ]


@dataclass(frozen=True, slots=True)
class Car:
    """One car that was last seen to drive in."""

    subject: str
    plate: str
    area: str
    household: str
    holder: str
    name: str
    since: datetime
    until: datetime | None
    is_over: bool


def cars(community: Community, now: datetime) -> list[Car]:
    """List the cars inside, those whose time is up first, then the one that came first."""
    rows = list(Presence.objects.filter(community=community, is_inside=True).exclude(plate=""))
    people = Holder.objects.filter(community=community).in_bulk({row.holder for row in rows})
    units = _units(community, people)
    areas = dict(Area.objects.filter(community=community).values_list("pk", "name"))
    stays = dict(Parking.objects.filter(area__community=community).values_list("area_id", "stay_s"))
    ends = dict(
        Credential.objects.filter(
            community=community, method=Method.PLATE.value, key__in=[row.plate for row in rows]
        ).values_list("key", "valid_until")
    )
    found = []
    for row in rows:
        who = people.get(row.holder)
        stay = stays.get(row.area)
        limits = (
            row.until,
            ends.get(row.plate),
            who.valid_until if who is not None else None,
            row.since + timedelta(seconds=stay) if stay is not None else None,
        )
        until = min((limit for limit in limits if limit is not None), default=None)
        found.append(
            Car(
                row.subject,
                row.plate,
                areas.get(row.area, ""),
                units.get(row.holder, ""),
                row.holder if who is not None else "",
                who.name if who is not None else "",
                row.since,
                until,
                row.is_overstay or (until is not None and until <= now),
            )
        )
    return sorted(found, key=lambda car: (not car.is_over, car.since))


def _units(community: Community, holders: Sequence[str] | dict[str, Holder]) -> dict[str, str]:
    """Name the home of each; of several the one that lasts longest."""
    homes = Residency.objects.filter(
        holder__in=list(holders), holder__community=community
    ).order_by(F("ends_at").asc(nulls_last=True))
    return dict(homes.values_list("holder_id", "unit__code"))
