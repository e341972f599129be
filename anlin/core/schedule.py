"""Schedules: weekly periods and special days, in local time, with the end exclusive.

A period belongs to the day on which it starts. One that ends at or before its start runs past
midnight into the next day, and a special day does not cut short what began the evening before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
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


class _Calendar(NamedTuple):
    """A schedule worked out: for each minute of a day one byte, 1 where it holds.

    `special` has the days, by ordinal, that may differ from their weekday: the special days and
    each day after one.
    """

    zone: ZoneInfo
    weekly: tuple[bytes, ...]
    special: Mapping[int, bytes]


class _WorkedOut:
    """Room beside the fields of a schedule: its calendar never travels and never compares."""

    __slots__ = ("_calendar",)
    _calendar: _Calendar


@dataclass(frozen=True, slots=True)
class Schedule(_WorkedOut):
    """When something holds, in the wall-clock time of `zone` (an IANA name)."""

    id: str
    name: str
    zone: str
    weekly: tuple[Period, ...] = ()
    special: tuple[SpecialDay, ...] = ()

    def is_active(self, at: datetime) -> bool:
        """Say whether the schedule holds at an aware time."""
        try:
            zone, weekly, special = self._calendar
        except AttributeError:
            calendar = _work_out(self)
            object.__setattr__(self, "_calendar", calendar)
            zone, weekly, special = calendar
        local = at.astimezone(zone)
        minutes = special.get(local.toordinal()) or weekly[local.weekday()]
        return minutes[local.hour * 60 + local.minute] == 1


def _work_out(schedule: Schedule) -> _Calendar:
    """Lay a schedule out minute by minute, so that a decision only has to look."""
    # Of two entries for one date the first counts.
    special = {day.on.toordinal(): day.periods for day in reversed(schedule.special)}
    weekly = [
        tuple(period for period in schedule.weekly if weekday in period.days)
        for weekday in range(1, 8)
    ]

    def starting_on(ordinal: int) -> tuple[Period, ...]:
        # Ordinal 1 was a Monday.
        return special.get(ordinal, weekly[(ordinal - 1) % 7])

    return _Calendar(
        ZoneInfo(schedule.zone),
        tuple(_minutes(weekly[day], weekly[day - 1]) for day in range(7)),
        {
            ordinal: _minutes(starting_on(ordinal), starting_on(ordinal - 1))
            for ordinal in special.keys() | {ordinal + 1 for ordinal in special}
        },
    )


def _minutes(today: Iterable[Period], yesterday: Iterable[Period]) -> bytes:
    """Mark the minutes of a day that its own periods cover, and those from the evening before."""
    day = bytearray(DAY_MINUTES)
    for period in today:
        end = period.end_min if period.end_min > period.start_min else DAY_MINUTES
        day[period.start_min : end] = b"\1" * (end - period.start_min)
    for period in yesterday:
        if period.end_min <= period.start_min:
            day[: period.end_min] = b"\1" * period.end_min
    return bytes(day)
