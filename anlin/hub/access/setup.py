"""What opens: areas, portals, access points and rules. When it opens is in `times`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from django.db import models, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from anlin.core.access import Evidence, assurance
from anlin.core.codec import DataError
from anlin.core.entities import (
    AntiPassback,
    Direction,
    ExitButton,
    HolderKind,
    Method,
    OnPowerLoss,
    PortalKind,
)
from anlin.hub.access.faults import named, refuse_point, refuse_portal, refuse_window, within
from anlin.hub.access.models import AccessPoint, AccessRule, Area, Portal, PortalStatus, Schedule
from anlin.hub.access.policy import (
    STAFF,
    VISITORS,
    building_group,
    community_group,
    core_point,
    core_portal,
    publish,
)
from anlin.hub.audit.log import Actor, changing, created, deleted
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Building, Community, Holder

MAX_LEVEL = 4
"""Of assurance: two means that are each hard to forge, and there is nothing above."""

MAX_PERSONS = 2
"""More people could not stand before one reader in the time that the first is remembered."""

ANTI_PASSBACK_S = (10.0, 86400.0)
MAX_CAPACITY = 100_000


class AreaSettings(TypedDict, total=False):
    """What may be set of an area beside its name."""

    anti_passback: AntiPassback
    anti_passback_s: float
    capacity: int


class PortalSettings(TypedDict, total=False):
    """What may be set of a portal; fields as in `core.entities.Portal`."""

    kind: PortalKind
    schedule: Schedule | None
    building: Building | None
    grant_s: float
    entry_s: float
    held_open_s: float
    prealarm_s: float
    debounce_s: float
    extended_grant_s: float
    extended_held_open_s: float
    relock_on_open_s: float | None
    on_power_loss: OnPowerLoss
    is_escape_route: bool
    has_mechanical_exit: bool
    exit_button: ExitButton
    exit_ignore_s: float
    needs_first_person: bool
    interlock: str


class PointSettings(TypedDict, total=False):
    """What may be set of an access point; `raised` pairs a schedule with a level."""

    level: int
    is_enabled: bool
    area_from: Area | None
    area_to: Area | None
    raised: Sequence[tuple[Schedule, int]]
    persons: int


class RuleSettings(TypedDict, total=False):
    """When a rule holds."""

    schedule: Schedule | None
    valid_from: datetime | None
    valid_until: datetime | None


def add_area(community: Community, name: str, by: Actor, **settings: Unpack[AreaSettings]) -> Area:
    """Add a space bounded by portals.

    Raises:
        RuleError: no name, or a number out of its bounds.
    """
    area = Area(community=community, name=named(name))
    _set(area, settings)
    _refuse_area(area)
    with transaction.atomic():
        area.save(force_insert=True)
        created(by, community, area)
        publish(community, area=[area.pk])
    return area


def change_area(
    area: Area, by: Actor, *, name: str | None = None, **settings: Unpack[AreaSettings]
) -> None:
    """Change an area.

    Raises:
        RuleError: as for `add_area`.
    """
    with transaction.atomic():
        with changing(by, area.community, area, "change"):
            area.name = area.name if name is None else named(name)
            _set(area, settings)
            _refuse_area(area)
        publish(area.community, area=[area.pk])


def remove_area(area: Area, by: Actor) -> None:
    """Remove an area that no access point leads into or out of.

    Raises:
        RuleError: one does.
    """
    id_ = area.pk
    remove(area, area.community, by)
    publish(area.community, area=[id_], parking=[id_])


def add_portal(
    community: Community, name: str, by: Actor, *, node: Node, **settings: Unpack[PortalSettings]
) -> Portal:
    """Add a thing that opens.

    Raises:
        RuleError: its settings are dangerous or make no sense (`core.entities.portal_fault`).
    """
    portal = Portal(community=community, node=node, name=named(name))
    _set(portal, settings)
    _refuse_dangerous(portal)
    with transaction.atomic():
        portal.save(force_insert=True)
        PortalStatus.objects.create(portal=portal)
        created(by, community, portal)
        publish(community, portal=[portal.pk])
    return portal


def change_portal(
    portal: Portal,
    by: Actor,
    *,
    name: str | None = None,
    node: Node | None = None,
    **settings: Unpack[PortalSettings],
) -> None:
    """Change a thing that opens; what is not given stays.

    Raises:
        RuleError: as for `add_portal`.
    """
    community = portal.community
    before = portal.building_id
    with transaction.atomic():
        with changing(by, community, portal, "change"):
            portal.name = portal.name if name is None else named(name)
            portal.node = portal.node if node is None else node
            _set(portal, settings)
            _refuse_dangerous(portal)
        guests = visitors_with_host(community) if portal.building_id != before else ()
        publish(community, portal=[portal.pk], holder=guests)


def remove_portal(portal: Portal, by: Actor) -> None:
    """Remove a portal that has no access point any more.

    Raises:
        RuleError: it has one.
    """
    if portal.points.exists():
        raise RuleError(_("Remove the access points of %(name)s first.") % {"name": portal.name})
    id_ = portal.pk
    remove(portal, portal.community, by)
    publish(portal.community, portal=[id_])


def add_point(
    portal: Portal,
    name: str,
    direction: Direction,
    methods: Iterable[Method],
    by: Actor,
    **settings: Unpack[PointSettings],
) -> AccessPoint:
    """Add an access point.

    Raises:
        RuleError: what it accepts would be unlawful or unfair (`core.access.point_fault`), or
            a number is out of its bounds.
    """
    point = AccessPoint(
        portal=portal,
        name=named(name),
        direction=direction.value,
        methods=[method.value for method in methods],
    )
    _set_point(point, settings)
    _refuse_unfair(point)
    with transaction.atomic():
        point.save(force_insert=True)
        created(by, portal.community, point)
        publish(
            portal.community,
            access_point=[point.pk],
            holder=visitors_with_host(portal.community),
        )
    return point


def change_point(
    point: AccessPoint,
    by: Actor,
    *,
    name: str | None = None,
    direction: Direction | None = None,
    methods: Iterable[Method] | None = None,
    **settings: Unpack[PointSettings],
) -> None:
    """Change an access point; what is not given stays.

    Raises:
        RuleError: as for `add_point`.
    """
    community = point.portal.community
    with transaction.atomic():
        with changing(by, community, point, "change"):
            if name is not None:
                point.name = named(name)
            if direction is not None:
                point.direction = direction.value
            if methods is not None:
                point.methods = [method.value for method in methods]
            _set_point(point, settings)
            _refuse_unfair(point)
        publish(community, access_point=[point.pk])


def remove_point(point: AccessPoint, by: Actor) -> None:
    """Remove an access point; rules that named it stay for the others."""
    community = point.portal.community
    id_ = point.pk
    with transaction.atomic():
        rules = list(point.rules.values_list("pk", flat=True))
        remove(point, community, by)
        publish(
            community,
            access_point=[id_],
            access_rule=rules,
            holder=visitors_with_host(community),
        )


def add_rule(
    community: Community,
    name: str,
    groups: Iterable[str],
    points: Iterable[AccessPoint],
    by: Actor,
    **settings: Unpack[RuleSettings],
) -> AccessRule:
    """Let groups (`access.policy.community_group` and its like) pass access points.

    Raises:
        RuleError: a group that this community does not have, or a window that is none.
    """
    rule = AccessRule(community=community, name=named(name), groups=sorted(set(groups)))
    _set(rule, settings)
    _refuse_rule(rule)
    with transaction.atomic():
        rule.save(force_insert=True)
        rule.points.set(points)
        created(by, community, rule)
        publish(community, access_rule=[rule.pk])
    return rule


def change_rule(
    rule: AccessRule,
    by: Actor,
    *,
    name: str | None = None,
    groups: Iterable[str] | None = None,
    points: Iterable[AccessPoint] | None = None,
    **settings: Unpack[RuleSettings],
) -> None:
    """Change who may pass where and when; what is not given stays.

    Raises:
        RuleError: as for `add_rule`.
    """
    with transaction.atomic():
        with changing(by, rule.community, rule, "change"):
            rule.name = rule.name if name is None else named(name)
            rule.groups = rule.groups if groups is None else sorted(set(groups))
            _set(rule, settings)
            _refuse_rule(rule)
        if points is not None:
            rule.points.set(points)
        publish(rule.community, access_rule=[rule.pk])


def remove_rule(rule: AccessRule, by: Actor) -> None:
    """Remove a rule; whom it alone admitted is refused from now on."""
    id_ = rule.pk
    with transaction.atomic():
        remove(rule, rule.community, by)
        publish(rule.community, access_rule=[id_])


def group_names(community: Community) -> dict[str, str]:
    """Give every group that a rule may name, with how people call it."""
    buildings = community.buildings.order_by("name").values_list("pk", "name")
    return {
        community_group(community.pk): _("All residents"),
        **{
            building_group(id_): _("Residents of %(name)s") % {"name": name}
            for id_, name in buildings
        },
        STAFF: _("Staff"),
        VISITORS: _("Visitors"),
    }


def visitors_with_host(community: Community) -> list[str]:
    """List the visitors whose way to their host depends on how the portals stand."""
    found = Holder.objects.filter(
        community=community, kind=HolderKind.VISITOR.value, host__isnull=False
    )
    return list(found.values_list("pk", flat=True))


def remove(record: models.Model, community: Community, by: Actor) -> None:
    """Delete a record that nothing leans on, with a line in the change log.

    Raises:
        RuleError: something does; it is named.
    """
    with transaction.atomic():
        deleted(by, community, record, action="remove")
        try:
            record.delete()
        except ProtectedError as error:
            used_by = ", ".join(sorted({str(thing) for thing in error.protected_objects})[:5])
            raise RuleError(
                _("%(name)s is still used by: %(used_by)s.")
                % {"name": str(record), "used_by": used_by}
            ) from error


def _set(
    record: Area | Portal | AccessRule, settings: AreaSettings | PortalSettings | RuleSettings
) -> None:
    for name, value in settings.items():
        setattr(record, name, value)


def _set_point(point: AccessPoint, settings: PointSettings) -> None:
    for name, value in settings.items():
        if name != "raised":
            setattr(point, name, value)
    if "raised" in settings:
        point.raised = [
            {"schedule": schedule.pk, "level": level} for schedule, level in settings["raised"]
        ]


def _refuse_area(area: Area) -> None:
    within(area.anti_passback_s, *ANTI_PASSBACK_S, "anti_passback_s")
    within(area.capacity, 0, MAX_CAPACITY, "capacity")


def _refuse_dangerous(portal: Portal) -> None:
    refuse_portal(core_portal(portal))
    if not portal.interlock:
        return
    if len(portal.interlock) > 24:
        raise RuleError(_("A name has 1 to %(most)d characters.") % {"most": 24}, "interlock")
    others = Portal.objects.filter(community=portal.community, interlock=portal.interlock)
    other = others.exclude(pk=portal.pk).exclude(node=portal.node).first()
    if other is not None:
        raise RuleError(
            _(
                "%(name)s of the same airlock is driven by another edge, which can't wait for "
                "this one. Let one edge drive both."
            )
            % {"name": other.name},
            "interlock",
        )


def _refuse_unfair(point: AccessPoint) -> None:
    for raised in point.raised:
        within(raised["level"], 2, MAX_LEVEL, "raised")
    within(point.level, 1, MAX_LEVEL, "level")
    within(point.persons, 1, MAX_PERSONS, "persons")
    _refuse_unreachable(point)
    if point.area_to_id is not None and point.area_to_id == point.area_from_id:
        raise RuleError(_("It would lead from an area into the same area."), "area_to")
    try:
        entity = core_point(point)
    except (DataError, ValueError) as error:
        raise RuleError(str(error), "methods") from error
    refuse_point(entity)


def _refuse_unreachable(point: AccessPoint) -> None:
    """A level that two of the accepted means don't reach together would lock everybody out."""
    if point.direction == Direction.EXIT:
        return
    sure = sorted(assurance(Method(method), _AT_BEST) for method in point.methods)
    reached = sum(sure[-2:])
    for field, level in (
        ("level", point.level),
        *(("raised", raised["level"]) for raised in point.raised),
    ):
        if level > max(1, reached):
            raise RuleError(
                _(
                    "Level %(level)d can't be reached: two of the means accepted here come to "
                    "%(reached)d. Everybody would be refused."
                )
                % {"level": level, "reached": reached},
                field,
            )


_AT_BEST = Evidence(vehicle_present=True)


def _refuse_rule(rule: AccessRule) -> None:
    known = group_names(rule.community)
    unknown = [group for group in rule.groups if group not in known]
    if unknown:
        raise RuleError(
            _("There is no group %(group)s in this community.") % {"group": unknown[0][:40]},
            "groups",
        )
    refuse_window(rule.valid_from, rule.valid_until)
