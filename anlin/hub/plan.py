"""A site plan: what an installer writes down once, turned into records.

The file is TOML. Areas, schedules, portals, access points and devices have keys of the plan's
own, by which they name each other; `docs/guide/first-gate.md` and `docs/guide/doors.md` have
whole ones. Import this after `django.setup()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from django.db import transaction

from anlin.core.codec import DataError, from_data
from anlin.core.entities import (
    AntiPassback,
    Direction,
    ExitButton,
    Method,
    OnPowerLoss,
    Outsiders,
    PortalKind,
)
from anlin.hub.access import parking, setup, times
from anlin.hub.access.models import AccessPoint, Area, HolidayTable, Portal, Schedule
from anlin.hub.access.policy import STAFF, VISITORS, building_group, community_group
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Building, Community, Role
from anlin.hub.setup import week

T = TypeVar("T")

KEPT_GROUPS = ("residents", "staff", "visitors")
"""What rules may name beside buildings."""


@dataclass(frozen=True, slots=True)
class BuildingPlan:
    """A building and the homes in it; `cars` of each home may be inside at once."""

    name: str
    homes: tuple[str, ...] = ()
    cars: int | None = None


@dataclass(frozen=True, slots=True)
class ParkingPlan:
    """The rule for cars in an area."""

    outsiders: Outsiders = Outsiders.REFUSE
    residents_enter: bool = True
    stay_s: float | None = None
    emergency_enters: bool = True


@dataclass(frozen=True, slots=True)
class AreaPlan:
    """A space bounded by portals."""

    key: str
    name: str
    anti_passback: AntiPassback = AntiPassback.OFF
    anti_passback_s: float = 900.0
    capacity: int = 0
    parking: ParkingPlan | None = None


@dataclass(frozen=True, slots=True)
class HolidayPlan:
    """A table of dates."""

    key: str
    name: str
    dates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeriodPlan:
    """Times such as "08:00-12:00, 14:00-18:00" on ISO weekdays, Monday 1 to Sunday 7."""

    times: str
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class SpecialPlan:
    """A single date and its times; no times is closed all day."""

    on: str
    times: str = ""


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """When something holds; on the days of `holidays` only `holiday_times` do."""

    key: str
    name: str
    weekly: tuple[PeriodPlan, ...] = ()
    special: tuple[SpecialPlan, ...] = ()
    holidays: str | None = None
    holiday_times: str = ""


@dataclass(frozen=True, slots=True)
class PortalPlan:
    """A thing that opens; times in seconds, fields as in `core.entities.Portal`.

    `building` is a building's name, `interlock` one name for all portals of an airlock.
    """

    key: str
    name: str
    kind: PortalKind = PortalKind.DOOR
    building: str | None = None
    grant_s: float = 5.0
    entry_s: float = 0.0
    held_open_s: float = 30.0
    prealarm_s: float = 10.0
    debounce_s: float = 0.1
    extended_grant_s: float = 15.0
    extended_held_open_s: float = 60.0
    relock_on_open_s: float | None = None
    on_power_loss: OnPowerLoss = OnPowerLoss.FAIL_SAFE
    is_escape_route: bool = True
    has_mechanical_exit: bool = False
    exit_button: ExitButton = ExitButton.RELEASE
    exit_ignore_s: float = 0.0
    schedule: str | None = None
    needs_first_person: bool = False
    interlock: str = ""


@dataclass(frozen=True, slots=True)
class RaisedPlan:
    """A higher level while a schedule holds."""

    schedule: str
    level: int


@dataclass(frozen=True, slots=True)
class PointPlan:
    """A portal in one direction, and what it accepts."""

    key: str
    name: str
    portal: str
    direction: Direction
    methods: tuple[Method, ...]
    level: int = 1
    persons: int = 1
    raised: tuple[RaisedPlan, ...] = ()
    area_from: str | None = None
    area_to: str | None = None


@dataclass(frozen=True, slots=True)
class RulePlan:
    """Who may pass where: `residents`, `staff`, `visitors` or a building's name, at points."""

    name: str
    groups: tuple[str, ...]
    points: tuple[str, ...]
    schedule: str | None = None


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
    buildings: tuple[BuildingPlan, ...] = ()
    areas: tuple[AreaPlan, ...] = ()
    holidays: tuple[HolidayPlan, ...] = ()
    schedules: tuple[SchedulePlan, ...] = ()
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
        RuleError: a field is missing, unknown or of the wrong kind, or a key is there twice;
            the text names it.
    """
    try:
        plan = from_data(SitePlan, _plain(dict(data)))
    except DataError as error:
        raise RuleError(str(error)) from error
    keys = [area.key for area in plan.areas]
    keys += [table.key for table in plan.holidays]
    keys += [schedule.key for schedule in plan.schedules]
    keys += [portal.key for portal in plan.portals]
    keys += [point.key for point in plan.points]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise RuleError(f"key {twice[0]!r} is in the plan twice")
    return plan


def found(plan: SitePlan, by: Actor) -> Founded:
    """Make everything in a plan, or nothing.

    Raises:
        RuleError: a key that no record has, a dangerous portal, an unfair access point, settings
            that a driver refuses, a name that is taken; the text says where.
    """
    with transaction.atomic():
        community = people.create_community(plan.name, by, zone=plan.zone)
        _, password = people.add_staff(community, plan.manager, Role.MANAGER, by)
        node, code = devices.create_node(community, plan.node, by)
        made = _Made(plan, community, node, by)
        secrets = {item.name: made.device(item) for item in plan.devices}
    return Founded(plan.manager, password, code, secrets)


class _Made:
    """The records of a plan by its keys, made in the order in which they need each other."""

    def __init__(self, plan: SitePlan, community: Community, node: Node, by: Actor) -> None:
        self._community, self._node, self._by = community, node, by
        self._buildings = {item.name: self._building(item) for item in plan.buildings}
        self._areas = {item.key: self._area(item) for item in plan.areas}
        self._holidays = {item.key: self._table(item) for item in plan.holidays}
        self._schedules = {item.key: self._schedule(item) for item in plan.schedules}
        self._portals = {item.key: self._portal(item) for item in plan.portals}
        self._points = {item.key: self._point(item) for item in plan.points}
        for rule in plan.rules:
            self._rule(rule)
        places = [*self._portals.items(), *self._points.items()]
        self._ids = {key: row.pk for key, row in places}

    def device(self, plan: DevicePlan) -> tuple[str, str]:
        """Make a device; give its id and its password at the broker."""
        with _at(f"device {plan.name}"):
            settings = _with_ids(plan.settings, self._ids)
            devices.refuse_device(self._node, plan.driver, settings)
            device, password = devices.add_device(
                self._node,
                plan.name,
                plan.driver,
                settings,
                self._by,
                uses_mqtt=plan.driver == "mqtt_gate",
            )
        return device.pk, password

    def _building(self, plan: BuildingPlan) -> Building:
        with _at(f"building {plan.name}"):
            building = people.add_building(self._community, plan.name, self._by)
            for code in plan.homes:
                unit = people.add_unit(building, code, self._by)
                if plan.cars is not None:
                    parking.set_household(unit, plan.cars, self._by)
        return building

    def _area(self, plan: AreaPlan) -> Area:
        with _at(f"area {plan.key}"):
            area = setup.add_area(
                self._community,
                plan.name,
                self._by,
                anti_passback=plan.anti_passback,
                anti_passback_s=plan.anti_passback_s,
                capacity=plan.capacity,
            )
            if plan.parking is not None:
                parking.set_parking(
                    area,
                    self._by,
                    outsiders=plan.parking.outsiders,
                    residents_enter=plan.parking.residents_enter,
                    stay_s=plan.parking.stay_s,
                    emergency_enters=plan.parking.emergency_enters,
                )
        return area

    def _table(self, plan: HolidayPlan) -> HolidayTable:
        with _at(f"holidays {plan.key}"):
            dates = week.dates(" ".join(plan.dates))
            return times.add_holidays(self._community, plan.name, dates, self._by)

    def _schedule(self, plan: SchedulePlan) -> Schedule:
        where = f"schedule {plan.key}"
        with _at(where):
            return times.add_schedule(
                self._community,
                plan.name,
                self._by,
                weekly=[
                    {**span, "days": sorted(period.days)}
                    for period in plan.weekly
                    for span in week.spans(period.times)
                ],
                special=week.special_days("\n".join(f"{d.on} {d.times}" for d in plan.special)),
                holidays=_maybe(self._holidays, plan.holidays, where),
                holiday_periods=week.spans(plan.holiday_times),
            )

    def _portal(self, plan: PortalPlan) -> Portal:
        where = f"portal {plan.key}"
        with _at(where):
            return setup.add_portal(
                self._community,
                plan.name,
                self._by,
                node=self._node,
                kind=plan.kind,
                building=_maybe(self._buildings, plan.building, where),
                schedule=_maybe(self._schedules, plan.schedule, where),
                grant_s=plan.grant_s,
                entry_s=plan.entry_s,
                held_open_s=plan.held_open_s,
                prealarm_s=plan.prealarm_s,
                debounce_s=plan.debounce_s,
                extended_grant_s=plan.extended_grant_s,
                extended_held_open_s=plan.extended_held_open_s,
                relock_on_open_s=plan.relock_on_open_s,
                on_power_loss=plan.on_power_loss,
                is_escape_route=plan.is_escape_route,
                has_mechanical_exit=plan.has_mechanical_exit,
                exit_button=plan.exit_button,
                exit_ignore_s=plan.exit_ignore_s,
                needs_first_person=plan.needs_first_person,
                interlock=plan.interlock,
            )

    def _point(self, plan: PointPlan) -> AccessPoint:
        where = f"access point {plan.key}"
        with _at(where):
            return setup.add_point(
                _named(self._portals, plan.portal, where),
                plan.name,
                plan.direction,
                plan.methods,
                self._by,
                level=plan.level,
                persons=plan.persons,
                raised=[
                    (_named(self._schedules, raised.schedule, where), raised.level)
                    for raised in plan.raised
                ],
                area_from=_maybe(self._areas, plan.area_from, where),
                area_to=_maybe(self._areas, plan.area_to, where),
            )

    def _rule(self, plan: RulePlan) -> None:
        where = f"rule {plan.name}"
        known = dict(
            zip(KEPT_GROUPS, (community_group(self._community.pk), STAFF, VISITORS), strict=True)
        )
        known |= {name: building_group(row.pk) for name, row in self._buildings.items()}
        with _at(where):
            setup.add_rule(
                self._community,
                plan.name,
                [_named(known, group, where) for group in plan.groups],
                [_named(self._points, key, where) for key in plan.points],
                self._by,
                schedule=_maybe(self._schedules, plan.schedule, where),
            )


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Say in a refusal which part of the plan it is about."""
    try:
        yield
    except RuleError as error:
        if str(error).startswith(where):
            raise
        raise RuleError(f"{where}: {error}", error.field) from error
    except week.TimesError as error:
        raise RuleError(f"{where}: {error}") from error


def _plain(value: Any) -> Any:
    """Give TOML's own dates as the texts that a plan's fields are."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _with_ids(value: Any, ids: Mapping[str, str]) -> Any:
    """Put ids for keys in texts, and in names that map to a table (`outputs` of a board)."""
    if isinstance(value, Mapping):
        return {name: _names_with_ids(item, ids) for name, item in value.items()}
    return value


def _names_with_ids(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {
            ids.get(name, name) if isinstance(item, Mapping) else name: _names_with_ids(item, ids)
            for name, item in value.items()
        }
    return ids.get(value, value) if isinstance(value, str) else value


def _maybe(records: Mapping[str, T], key: str | None, where: str) -> T | None:
    return None if key is None else _named(records, key, where)


def _named(records: Mapping[str, T], key: str, where: str) -> T:
    if key not in records:
        known: Iterable[str] = sorted(records)
        raise RuleError(
            f"{where}: {key!r} is not in the plan (known: {', '.join(known) or 'none'})"
        )
    return records[key]
