"""Times as people write them and as a week drawn on a grid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.schedule import DAY_MINUTES

DAYS: Sequence[tuple[int, Promise]] = (
    (1, gettext_lazy("Mon")),
    (2, gettext_lazy("Tue")),
    (3, gettext_lazy("Wed")),
    (4, gettext_lazy("Thu")),
    (5, gettext_lazy("Fri")),
    (6, gettext_lazy("Sat")),
    (7, gettext_lazy("Sun")),
)

MAX_TEXT = 20_000
_CLOCK = re.compile(r"(\d{1,2})[:：](\d{2})")
_SPAN = re.compile(r"\s*(\d{1,2}[:：]\d{2})\s*[-–—~至]\s*(\d{1,2}[:：]\d{2})\s*")


class TimesError(ValueError):
    """A time that is none; the text is translated and says what was meant."""


def minutes(text: str) -> int:
    """Read a time of day; 24:00 is the end of the day.

    Raises:
        TimesError: no time of day.
    """
    found = _CLOCK.fullmatch(text.strip())
    value = 60 * int(found[1]) + int(found[2]) if found else -1
    if found is None or int(found[2]) > 59 or not 0 <= value <= DAY_MINUTES:
        raise TimesError(
            _("%(text)s is not a time of day. Write it as 08:30.") % {"text": text[:20] or "''"}
        )
    return value


def clock(value: int) -> str:
    """Write a time of day."""
    return f"{value // 60:02d}:{value % 60:02d}"


def period(start: str, end: str, days: Iterable[int] | None = None) -> dict[str, Any]:
    """Give a period as `core.schedule` has it; one that ends before it starts runs past midnight.

    Raises:
        TimesError: a time that is none, or a period without length.
    """
    start_min, end_min = minutes(start), minutes(end) or DAY_MINUTES
    if start_min == DAY_MINUTES:
        start_min = 0
    if start_min == end_min:
        raise TimesError(
            _("It begins and ends at %(time)s. All day is 00:00 to 24:00.")
            % {"time": clock(start_min)}
        )
    made: dict[str, Any] = {"start_min": start_min, "end_min": end_min}
    if days is not None:
        made["days"] = sorted(days)
    return made


def spans(text: str) -> list[dict[str, Any]]:
    """Read "08:00-12:00, 14:00-18:00"; nothing is closed all day.

    Raises:
        TimesError: a part that is no span.
    """
    parts = [part for part in re.split(r"[,，、;；]", text) if part.strip()]
    found = []
    for part in parts:
        match = _SPAN.fullmatch(part)
        if match is None:
            raise TimesError(
                _("%(text)s is not a span. Write it as 08:00-12:00.") % {"text": part.strip()[:30]}
            )
        found.append(period(match[1], match[2]))
    return found


def spans_text(periods: Iterable[Mapping[str, Any]]) -> str:
    """Write what `spans` reads."""
    return ", ".join(f"{clock(p['start_min'])}-{clock(p['end_min'])}" for p in periods)


def day(text: str) -> date:
    """Read a date.

    Raises:
        TimesError: no date.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise TimesError(
            _("%(text)s is not a date. Write it as 2027-06-30.") % {"text": text.strip()[:20]}
        ) from error


def special_days(text: str) -> list[dict[str, Any]]:
    """Read one day a line: a date, then its spans; a date alone is closed all day.

    Raises:
        TimesError: a line that is none, or a day twice.
    """
    found: dict[str, dict[str, Any]] = {}
    for line in text[:MAX_TEXT].splitlines():
        if not line.strip():
            continue
        on, _space, rest = line.strip().partition(" ")
        key = day(on).isoformat()
        if key in found:
            raise TimesError(_("%(day)s is there twice.") % {"day": key})
        found[key] = {"on": key, "periods": spans(rest)}
    return [found[key] for key in sorted(found)]


def special_text(days: Iterable[Mapping[str, Any]]) -> str:
    """Write what `special_days` reads."""
    return "\n".join(f"{day['on']} {spans_text(day['periods'])}".rstrip() for day in days)


def dates(text: str) -> list[date]:
    """Read dates, one a line or parted by commas; 2027-02-06..2027-02-12 is a stretch.

    Raises:
        TimesError: a part that is no date, or a stretch that is too long or runs backwards.
    """
    found: list[date] = []
    for part in re.split(r"[\s,，、;；]+", text[:MAX_TEXT]):
        if not part:
            continue
        first, dots, last = part.partition("..")
        begin = day(first)
        end = day(last) if dots else begin
        if not 0 <= (end - begin).days <= 60:
            raise TimesError(
                _("%(text)s is not a stretch of days within two months.") % {"text": part[:30]}
            )
        found += [date.fromordinal(n) for n in range(begin.toordinal(), end.toordinal() + 1)]
    return found


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch on the grid: row 0 is Monday; minutes after midnight."""

    row: int
    start: int
    length: int
    text: str

    @property
    def top(self) -> int:
        return self.row * ROW + 4


@dataclass(frozen=True, slots=True)
class Row:
    """One day of the grid."""

    word: Promise | str
    row: int

    @property
    def top(self) -> int:
        return self.row * ROW + 4

    @property
    def middle(self) -> int:
        return self.row * ROW + ROW // 2 + 7


ROW = 30
"""The height of a day on the grid, in the units of its drawing."""


@dataclass(frozen=True, slots=True)
class Week:
    """A week drawn: Monday to Sunday and, where there is a table of them, holidays."""

    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    sentence: str

    @property
    def height(self) -> int:
        return len(self.rows) * ROW


def week(
    weekly: Sequence[Mapping[str, Any]], holidays: Sequence[Mapping[str, Any]] | None = None
) -> Week:
    """Draw weekly periods; what runs past midnight goes on in the next row.

    Each bar is cut from the minutes of a day, so overlapping periods are drawn once.
    """
    covered = [bytearray(DAY_MINUTES) for _day in range(7)]
    for one in weekly:
        for weekday in one["days"]:
            _cover(covered[weekday - 1], covered[weekday % 7], one)
    rows = [Row(word, number - 1) for number, word in DAYS]
    if holidays is not None:
        rows.append(Row(gettext_lazy("Holidays"), 7))
        closed_evening = bytearray(DAY_MINUTES)
        covered.append(bytearray(DAY_MINUTES))
        for one in holidays:
            _cover(covered[7], closed_evening, one)
    bars = tuple(bar for row, marks in enumerate(covered) for bar in _bars(row, marks))
    return Week(tuple(rows), bars, sentence(weekly))


def sentence(weekly: Sequence[Mapping[str, Any]]) -> str:
    """Say weekly periods in words."""
    if not weekly:
        return _("never")
    words = dict(DAYS)
    said = []
    for one in weekly:
        span = f"{clock(one['start_min'])}-{clock(one['end_min'])}"
        days = list(one["days"])
        if days == [1, 2, 3, 4, 5, 6, 7]:
            which = _("every day")
        elif days == [1, 2, 3, 4, 5]:
            which = _("Monday to Friday")
        else:
            which = _(", ").join(str(words[number]) for number in days)
        said.append(f"{which} {span}")
    return _("; ").join(said)


def _cover(today: bytearray, tomorrow: bytearray, one: Mapping[str, Any]) -> None:
    start, end = int(one["start_min"]), int(one["end_min"])
    if end > start:
        today[start:end] = b"\1" * (end - start)
        return
    today[start:] = b"\1" * (DAY_MINUTES - start)
    tomorrow[:end] = b"\1" * end


def _bars(row: int, marks: bytearray) -> list[Bar]:
    found = []
    for match in re.finditer(b"\1+", bytes(marks)):
        start, end = match.span()
        found.append(Bar(row, start, end - start, f"{clock(start)}-{clock(end)}"))
    return found
