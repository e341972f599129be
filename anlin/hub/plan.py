"""A site plan: what an installer writes down once, turned into records.

The file is TOML. Portals, access points and devices have keys of the plan's own, by which they
name each other; `docs/guide/first-gate.md` has a whole one. Import this after `django.setup()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import transaction

from anlin.core.codec import DataError, from_data
from anlin.core.entities import Direction, Method, PortalKind
from anlin.hub.access import setup
from anlin.hub.access.models import AccessPoint, Portal
from anlin.hub.access.policy import STAFF, VISITORS, community_group
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Role

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PortalPlan:
    """A thing that opens; times in seconds, the rest by the models' defaults."""

    key: str
    name: str
    kind: PortalKind = PortalKind.DOOR
    grant_s: float = 5.0
    held_open_s: float = 30.0
    prealarm_s: float = 10.0


@dataclass(frozen=True, slots=True)
class PointPlan:
    """A portal in one direction, and what it accepts."""

    key: str
    name: str
    portal: str
    direction: Direction
    methods: tuple[Method, ...]
    level: int = 1


@dataclass(frozen=True, slots=True)
class RulePlan:
    """Who may pass where: `residents`, `staff` or `visitors` at these points."""

    name: str
    groups: tuple[str, ...]
    points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A device; texts in its settings that are keys of the plan become the records' ids."""

    name: str
    driver: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SitePlan:
    """A community with one edge."""

    name: str
    manager: str
    zone: str = "Asia/Shanghai"
    node: str = "edge-1"
    portals: tuple[PortalPlan, ...] = ()
    points: tuple[PointPlan, ...] = ()
    rules: tuple[RulePlan, ...] = ()
    devices: tuple[DevicePlan, ...] = ()


@dataclass(frozen=True, slots=True)
class Founded:
    """The secrets of a new site, shown once: log-in, node code, device id to MQTT password."""

    manager: str
    password: str
    node_code: str
    devices: dict[str, tuple[str, str]]


def read_plan(data: Mapping[str, Any]) -> SitePlan:
    """Read a plan.

    Raises:
        RuleError: a field is missing, unknown or of the wrong kind; the text names it.
    """
    try:
        return from_data(SitePlan, dict(data))
    except DataError as error:
        raise RuleError(str(error)) from error


def found(plan: SitePlan, by: Actor) -> Founded:
    """Make everything in a plan, or nothing.

    Raises:
        RuleError: a key that no record has, an unfair access point, a name that is taken.
    """
    with transaction.atomic():
        community = people.create_community(plan.name, by, zone=plan.zone)
        _, password = people.add_staff(community, plan.manager, Role.MANAGER, by)
        node, code = devices.create_node(community, plan.node, by)
        portals = {item.key: _portal(item, community, node, by) for item in plan.portals}
        points = {item.key: _point(item, portals, by) for item in plan.points}
        for rule in plan.rules:
            groups = [_group(name, community, rule) for name in rule.groups]
            at = [_named(points, key, f"rule {rule.name}") for key in rule.points]
            setup.add_rule(community, rule.name, groups, at, by)
        ids = {key: row.pk for key, row in [*portals.items(), *points.items()]}
        made = {item.name: _device(item, node, ids, by) for item in plan.devices}
    return Founded(plan.manager, password, code, made)


def _portal(plan: PortalPlan, community: Community, node: Node, by: Actor) -> Portal:
    return setup.add_portal(
        community,
        plan.name,
        by,
        node=node,
        kind=plan.kind,
        grant_s=plan.grant_s,
        held_open_s=plan.held_open_s,
        prealarm_s=plan.prealarm_s,
    )


def _point(plan: PointPlan, portals: Mapping[str, Portal], by: Actor) -> AccessPoint:
    portal = _named(portals, plan.portal, f"access point {plan.key}")
    return setup.add_point(portal, plan.name, plan.direction, plan.methods, by, level=plan.level)


def _device(plan: DevicePlan, node: Node, ids: Mapping[str, str], by: Actor) -> tuple[str, str]:
    settings = _with_ids(plan.settings, ids)
    device, password = devices.add_device(
        node, plan.name, plan.driver, settings, by, uses_mqtt=plan.driver == "mqtt_gate"
    )
    return device.pk, password


def _with_ids(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_ids(item, ids) for name, item in value.items()}
    return ids.get(value, value) if isinstance(value, str) else value


def _group(name: str, community: Community, rule: RulePlan) -> str:
    groups = {
        "residents": community_group(community.pk),
        "staff": STAFF,
        "visitors": VISITORS,
    }
    return _named(groups, name, f"rule {rule.name}")


def _named(records: Mapping[str, T], key: str, where: str) -> T:
    if key not in records:
        known = ", ".join(sorted(records)) or "none"
        raise RuleError(f"{where}: {key!r} is not in the plan (known: {known})")
    return records[key]
