"""What the API takes and gives of the set-up and of watch entries, field by field."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from ninja import Field, Schema

from anlin.core.entities import (
    AntiPassback,
    Direction,
    ExitButton,
    Method,
    OnPowerLoss,
    PortalKind,
)

Minute = Annotated[int, Field(ge=0, le=1440)]
Day = Annotated[int, Field(ge=1, le=7)]
MOST_IDS = 500
Ids = Annotated[list[str], Field(max_length=MOST_IDS)]


class PortalIn(Schema):
    """A thing that opens; what is left out stays, or is as in the form of the pages."""

    name: str | None = None
    kind: PortalKind | None = None
    node: str | None = None
    building: str | None = None
    schedule: str | None = None
    grant_s: float | None = None
    entry_s: float | None = None
    held_open_s: float | None = None
    prealarm_s: float | None = None
    debounce_s: float | None = None
    extended_grant_s: float | None = None
    extended_held_open_s: float | None = None
    relock_on_open_s: float | None = None
    on_power_loss: OnPowerLoss | None = None
    is_escape_route: bool | None = None
    has_mechanical_exit: bool | None = None
    exit_button: ExitButton | None = None
    exit_ignore_s: float | None = None
    needs_first_person: bool | None = None
    interlock: str | None = None


class PortalOut(Schema):
    id: str
    name: str
    kind: PortalKind
    node: str | None = Field(None, alias="node_id")
    building: str | None = Field(None, alias="building_id")
    schedule: str | None = Field(None, alias="schedule_id")
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


class Raised(Schema):
    schedule: str
    level: int


class PointChange(Schema):
    """An access point; what is left out stays. `null` takes an area away."""

    name: str | None = None
    direction: Direction | None = None
    methods: list[Method] | None = None
    level: int | None = None
    is_enabled: bool | None = None
    persons: int | None = None
    area_from: str | None = None
    area_to: str | None = None
    raised: Annotated[list[Raised], Field(max_length=40)] | None = None


class PointIn(PointChange):
    portal: str


class PointSetUp(Schema):
    id: str
    name: str
    portal: str = Field(alias="portal_id")
    direction: Direction
    methods: list[Method]
    level: int
    is_enabled: bool
    persons: int
    area_from: str | None = Field(None, alias="area_from_id")
    area_to: str | None = Field(None, alias="area_to_id")
    raised: list[Raised]


class AreaIn(Schema):
    name: str | None = None
    anti_passback: AntiPassback | None = None
    anti_passback_s: float | None = None
    capacity: int | None = None


class AreaOut(Schema):
    id: str
    name: str
    anti_passback: AntiPassback
    anti_passback_s: float
    capacity: int


class RuleIn(Schema):
    """Who may pass where and when; `schedule` null is at all times."""

    name: str | None = None
    groups: Annotated[list[str], Field(max_length=MOST_IDS)] | None = None
    points: Ids | None = None
    schedule: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


class RuleOut(Schema):
    id: str
    name: str
    groups: list[str]
    points: list[str]
    schedule: str | None = Field(None, alias="schedule_id")
    valid_from: datetime | None
    valid_until: datetime | None

    @staticmethod
    def resolve_points(rule: Any) -> list[str]:
        return sorted(point.pk for point in rule.points.all())


class Span(Schema):
    start_min: Minute
    end_min: Minute


class Period(Span):
    days: Annotated[list[Day], Field(min_length=1, max_length=7)]


class SpecialDay(Schema):
    on: date
    periods: Annotated[list[Span], Field(max_length=40)] = []


class ScheduleIn(Schema):
    """A schedule as a whole: a change replaces it."""

    name: str
    weekly: Annotated[list[Period], Field(max_length=100)] = []
    special: Annotated[list[SpecialDay], Field(max_length=1000)] = []
    holidays: str | None = None
    holiday_periods: Annotated[list[Span], Field(max_length=40)] = []


class ScheduleOut(Schema):
    id: str
    name: str
    zone: str
    weekly: list[Period]
    special: list[SpecialDay]
    holidays: str | None = Field(None, alias="holidays_id")
    holiday_periods: list[Span]


class PinIn(Schema):
    digits: str = Field("", max_length=40)
    """Empty: a PIN is drawn."""


class PinOut(Schema):
    digits: str
    """Given once where it was drawn, and empty where it was chosen."""


class WatchIn(Schema):
    label: str = Field(max_length=60)
    source: str = Field(max_length=100)
    legal_basis: str = Field(max_length=200)
    valid_until: datetime
    method: Method | None = None
    key: str = Field("", max_length=40)
    credential: str = ""
    roles: Annotated[list[str], Field(max_length=8)] = []


class WatchOut(Schema):
    id: str
    label: str
    method: Method
    key: str
    source: str
    legal_basis: str
    roles: list[str]
    valid_until: datetime
    state: str
    proposed_at: datetime
    approved_at: datetime | None
    ended_at: datetime | None


class WatchEnd(Schema):
    reason: str = Field(max_length=200)
