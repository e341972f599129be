"""When something holds: schedules, and the tables of holidays that they follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from anlin.core.codec import DataError
from anlin.hub.access.faults import named, refuse_zone
from anlin.hub.access.models import AccessPoint, HolidayTable, Schedule
from anlin.hub.access.policy import core_schedule, publish
from anlin.hub.access.setup import remove
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community

MAX_PERIODS = 100
MAX_DATES = 1000
"""Ten years of public holidays, and then some."""

Periods = Sequence[Mapping[str, Any]]


def add_schedule(
    community: Community,
    name: str,
    by: Actor,
    *,
    weekly: Periods = (),
    special: Periods = (),
    zone: str | None = None,
    holidays: HolidayTable | None = None,
    holiday_periods: Periods = (),
) -> Schedule:
    """Add a schedule, by default in the community's own zone; fields are of `core.schedule`.

    On the days of `holidays` only `holiday_periods` hold; none is closed all day.

    Raises:
        RuleError: a period or day breaks a rule, or nobody knows the zone; the text names it.
    """
    schedule = Schedule(
        community=community,
        name=named(name),
        zone=community.zone if zone is None else zone,
        weekly=[dict(period) for period in weekly],
        special=[dict(day) for day in special],
        holidays=holidays,
        holiday_periods=[dict(period) for period in holiday_periods],
    )
    _refuse_impossible(schedule)
    with transaction.atomic():
        schedule.save(force_insert=True)
        created(by, community, schedule)
        publish(community, schedule=[schedule.pk])
    return schedule


def change_schedule(
    schedule: Schedule,
    by: Actor,
    *,
    name: str,
    weekly: Periods,
    special: Periods,
    holidays: HolidayTable | None,
    holiday_periods: Periods,
) -> None:
    """Change a schedule as a whole; every edge follows within seconds.

    Raises:
        RuleError: as for `add_schedule`.
    """
    with transaction.atomic():
        with changing(by, schedule.community, schedule, "change"):
            schedule.name = named(name)
            schedule.weekly = [dict(period) for period in weekly]
            schedule.special = [dict(day) for day in special]
            schedule.holidays = holidays
            schedule.holiday_periods = [dict(period) for period in holiday_periods]
            _refuse_impossible(schedule)
        publish(schedule.community, schedule=[schedule.pk])


def remove_schedule(schedule: Schedule, by: Actor) -> None:
    """Remove a schedule that nothing follows.

    Raises:
        RuleError: a portal, rule or access point does.
    """
    community, id_ = schedule.community, schedule.pk
    points = AccessPoint.objects.filter(portal__community=community).exclude(raised=[])
    for point in points:
        if any(raised["schedule"] == id_ for raised in point.raised):
            raise RuleError(
                _("%(name)s is still used by: %(used_by)s.")
                % {"name": schedule.name, "used_by": point.name}
            )
    with transaction.atomic():
        remove(schedule, community, by)
        publish(community, schedule=[id_])


def add_holidays(community: Community, name: str, dates: Iterable[date], by: Actor) -> HolidayTable:
    """Add a table of holidays.

    Raises:
        RuleError: no name, or too many days.
    """
    table = HolidayTable(community=community, name=named(name), dates=_dates(dates))
    with transaction.atomic():
        table.save(force_insert=True)
        created(by, community, table)
    return table


def change_holidays(table: HolidayTable, by: Actor, *, name: str, dates: Iterable[date]) -> None:
    """Change a table of holidays; every schedule that follows it changes with it.

    Raises:
        RuleError: as for `add_holidays`.
    """
    with transaction.atomic():
        with changing(by, table.community, table, "change"):
            table.name = named(name)
            table.dates = _dates(dates)
        following = table.schedules.values_list("pk", flat=True)
        publish(table.community, schedule=list(following))


def remove_holidays(table: HolidayTable, by: Actor) -> None:
    """Remove a table that no schedule follows.

    Raises:
        RuleError: one does.
    """
    remove(table, table.community, by)


def _dates(dates: Iterable[date]) -> list[str]:
    found = sorted({day.isoformat() for day in dates})
    if len(found) > MAX_DATES:
        raise RuleError(
            _("%(count)d days are too many for one table; at most %(most)d.")
            % {"count": len(found), "most": MAX_DATES},
            "dates",
        )
    return found


def _refuse_impossible(schedule: Schedule) -> None:
    refuse_zone(schedule.zone)
    periods = len(schedule.weekly) + len(schedule.holiday_periods)
    if periods > MAX_PERIODS or len(schedule.special) > MAX_DATES:
        raise RuleError(_("These are too many periods for one schedule."), "weekly")
    try:
        core_schedule(schedule)
    except (DataError, ValueError) as error:
        raise RuleError(str(error)) from error
