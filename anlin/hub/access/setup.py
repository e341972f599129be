"""What opens: areas, schedules, portals, access points and rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from anlin.core.access import point_fault
from anlin.core.codec import DataError
from anlin.core.entities import Direction, Method, PortalKind
from anlin.hub.access.models import AccessPoint, AccessRule, Area, Portal, PortalStatus, Schedule
from anlin.hub.access.policy import core_point, core_schedule, publish
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community


def add_area(community: Community, name: str, by: Actor) -> Area:
    """Add a space bounded by portals."""
    with transaction.atomic():
        area = Area.objects.create(community=community, name=name)
        created(by, community, area)
        publish(community, area=[area.pk])
    return area


def add_schedule(
    community: Community,
    name: str,
    by: Actor,
    *,
    weekly: Sequence[Mapping[str, Any]] = (),
    special: Sequence[Mapping[str, Any]] = (),
) -> Schedule:
    """Add a schedule in the community's own zone; the fields are those of `core.schedule`.

    Raises:
        RuleError: a period or day breaks a rule; the text names it.
    """
    schedule = Schedule(
        community=community,
        name=name,
        zone=community.zone,
        weekly=[dict(period) for period in weekly],
        special=[dict(day) for day in special],
    )
    try:
        core_schedule(schedule)
    except (DataError, ValueError) as error:
        raise RuleError(str(error)) from error
    with transaction.atomic():
        schedule.save(force_insert=True)
        created(by, community, schedule)
        publish(community, schedule=[schedule.pk])
    return schedule


def add_portal(
    community: Community,
    name: str,
    by: Actor,
    *,
    node: Node,
    kind: PortalKind = PortalKind.DOOR,
    schedule: Schedule | None = None,
    **timers: Any,
) -> Portal:
    """Add a thing that opens; `timers` are the other fields of the model."""
    with transaction.atomic():
        portal = Portal.objects.create(
            community=community,
            node=node,
            name=name,
            kind=kind.value,
            schedule=schedule,
            **timers,
        )
        PortalStatus.objects.create(portal=portal)
        created(by, community, portal)
        publish(community, portal=[portal.pk])
    return portal


def add_point(
    portal: Portal,
    name: str,
    direction: Direction,
    methods: Iterable[Method],
    by: Actor,
    *,
    level: int = 1,
    area_from: Area | None = None,
    area_to: Area | None = None,
) -> AccessPoint:
    """Add an access point.

    Raises:
        RuleError: what it accepts would be unlawful or unfair (`core.access.point_fault`).
    """
    point = AccessPoint(
        portal=portal,
        name=name,
        direction=direction.value,
        methods=[method.value for method in methods],
        level=level,
        area_from=area_from,
        area_to=area_to,
    )
    _refuse_unfair(point)
    with transaction.atomic():
        point.save(force_insert=True)
        created(by, portal.community, point)
        publish(portal.community, access_point=[point.pk])
    return point


def change_point(
    point: AccessPoint,
    by: Actor,
    *,
    methods: Iterable[Method] | None = None,
    level: int | None = None,
    is_enabled: bool | None = None,
) -> None:
    """Change what an access point accepts.

    Raises:
        RuleError: as for `add_point`.
    """
    community = point.portal.community
    with transaction.atomic(), changing(by, community, point, "change"):
        if methods is not None:
            point.methods = [method.value for method in methods]
        if level is not None:
            point.level = level
        if is_enabled is not None:
            point.is_enabled = is_enabled
        _refuse_unfair(point)
    publish(community, access_point=[point.pk])


def add_rule(
    community: Community,
    name: str,
    groups: Iterable[str],
    points: Iterable[AccessPoint],
    by: Actor,
    *,
    schedule: Schedule | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> AccessRule:
    """Let groups (`access.policy.community_group` and its like) pass access points."""
    with transaction.atomic():
        rule = AccessRule.objects.create(
            community=community,
            name=name,
            groups=sorted(groups),
            schedule=schedule,
            valid_from=valid_from,
            valid_until=valid_until,
        )
        rule.points.set(points)
        created(by, community, rule)
        publish(community, access_rule=[rule.pk])
    return rule


def _refuse_unfair(point: AccessPoint) -> None:
    fault = point_fault(core_point(point))
    if fault is not None:
        raise RuleError(
            _("Access point %(name)s: %(fault)s.") % {"name": point.name, "fault": fault}, "methods"
        )
