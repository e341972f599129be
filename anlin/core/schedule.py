"""Schedules: weekly periods and special days, in local time, with the end exclusive.

A period belongs to the day on which it starts. One that ends at or before its start runs past
midnight into the next day, and a special day does not cut short what began the evening before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Period:
    """One stretch of a day, in minutes after local midnight.

    `start_min` is 0 to 1439 and `end_min` 1 to 1440, exclusive. `end_min <= start_min` runs
    past midnight. `days` are ISO weekdays, Monday 1 to Sunday 7; a special day ignores them.
    """

    start_min: int
    end_min: int
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)

    def __post_init__(self) -> None:
        if not 0 <= self.start_min < DAY_MINUTES:
            raise ValueError(f"period: start {self.start_min} is not within 0 to 1439 minutes")
        if not 1 <= self.end_min <= DAY_MINUTES:
            raise ValueError(f"period: end {self.end_min} is not within 1 to 1440 minutes")
        if not set(self.days) <= set(range(1, 8)):
            raise ValueError(f"period: days {self.days} are not ISO weekdays 1 to 7")


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A date whose periods replace the weekly ones; none means closed all day."""

    on: date
    periods: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something holds, in the wall-clock time of `zone` (an IANA name)."""

    id: str
    name: str
    zone: str
    weekly: tuple[Period, ...] = ()
    special: tuple[SpecialDay, ...] = ()

    def is_active(self, at: datetime) -> bool:
        """Say whether the schedule holds at an aware time."""
        local = at.astimezone(_zone(self.zone))
        minute = local.hour * 60 + local.minute
        today = local.date()
        return any(
            period.start_min <= minute
            and (minute < period.end_min or period.end_min <= period.start_min)
            for period in self._starting_on(today)
        ) or any(
            period.end_min <= period.start_min and minute < period.end_min
            for period in self._starting_on(today - timedelta(days=1))
        )

    def _starting_on(self, day: date) -> tuple[Period, ...]:
        for special in self.special:
            if special.on == day:
                return special.periods
        weekday = day.isoweekday()
        return tuple(period for period in self.weekly if weekday in period.days)


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
