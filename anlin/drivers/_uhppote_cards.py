"""What a UHPPOTE board can say of a person: a card number, whole days, and for each door a profile.

Everything is rounded so that the board never admits who would not be admitted here: the last day
is the last whole one, a minute that is exclusive here is the minute before there, and what a
board has no words for is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from anlin.core.board import Row, Table
from anlin.core.entities import Method
from anlin.core.schedule import DAY_MINUTES, Period, Schedule

FIRST_DAY = date(2020, 1, 1)
"""Cards without a beginning are good from here. A board whose clock fell back to its factory year
admits nobody until it has the time again, rather than those whose time was over."""

LAST_DAY = date(2099, 12, 31)
ALWAYS = "always"
NEVER = ""
MAX_CARD = 0xFFFFFFFE
"""0 is an empty slot and 0xffffffff a deleted one."""

SEGMENTS = 3
_READ_BY_CARD = frozenset({Method.CARD, Method.SECURE_CARD})


@dataclass(frozen=True, slots=True)
class Card:
    """A card as the board holds it; `doors` says for each of four when it opens.

    A door is `NEVER`, `ALWAYS` or the text of its profiles (`times_text`). `has_extras`: somebody
    else has given it a PIN or first-card rights.
    """

    key: str
    start: date
    end: date
    doors: tuple[str, str, str, str]
    has_extras: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """One time profile: weekdays (Monday 1) and up to three stretches, both ends inclusive."""

    days: tuple[int, ...]
    segments: tuple[str, ...]


def card_number(key: str, base: int) -> int:
    """Read a credential's key as the number that the board's readers give.

    Raises:
        ValueError: it is not one; the text is the rule.
    """
    word = "decimal" if base == 10 else "hexadecimal"
    digits = "0123456789" if base == 10 else "0123456789abcdefABCDEF"
    if not 0 < len(key) <= 10 or not set(key) <= set(digits):
        raise ValueError(f"not a {word} card number")
    number = int(key, base)
    if not 0 < number <= MAX_CARD:
        raise ValueError(f"card number is not within 1 to {MAX_CARD}")
    return number


def cards_for(
    table: Table,
    entries: Mapping[int, str],
    zone: ZoneInfo,
    base: int,
    known: Mapping[str, tuple[Row, Card]] | None = None,
) -> Iterator[tuple[Row, Card | str]]:
    """Write each row as a card, or say the rule by which it can't be one.

    A person's second credential that comes out as the same card is left out. A row is named a
    second time where the card leaves a door out that the row would open. `known`
    has what was written before under the same schedules, by credential.
    """
    before = known or {}
    taken: dict[int, tuple[str, Card]] = {}
    texts: dict[tuple[str, ...], str] = {}
    for row in table.rows:
        try:
            old = before.get(row.credential)
            if old is not None and old[0] == row:
                card = old[1]
            else:
                card = _card(row, table.schedules, entries, zone, base, texts)
            number = int(card.key)
            if taken.get(number) == (row.holder, card):
                # One card that is known as a plain and as a secure one: the board can't tell.
                continue
            if number in taken:
                raise ValueError("another credential has the same card number")
            taken[number] = row.holder, card
        except ValueError as error:
            yield row, str(error)
        else:
            yield row, card
            rule = _not_alone(row, entries) if row.not_alone else ""
            if rule:
                yield row, rule


def _card(
    row: Row,
    schedules: Mapping[str, Schedule],
    entries: Mapping[int, str],
    zone: ZoneInfo,
    base: int,
    texts: dict[tuple[str, ...], str],
) -> Card:
    if row.method not in _READ_BY_CARD:
        raise ValueError(f"a board reads cards, not {row.method}")
    number = card_number(row.key, base)
    start, end = days(row.valid_from, row.valid_until, zone)
    doors = [NEVER] * 4
    for door, point in entries.items():
        names = row.access.get(point)
        if names is None or point in row.not_alone:
            continue
        if names not in texts:
            texts[names] = times_text(weekly_times([schedules[name] for name in names], zone))
        # A schedule that never holds is no reason to open always.
        doors[door - 1] = (texts[names] or NEVER) if names else ALWAYS
    if not any(doors):
        raise ValueError(_not_alone(row, entries) or "opens no door of this board at any time")
    return Card(str(number), start, end, (doors[0], doors[1], doors[2], doors[3]))


def _not_alone(row: Row, entries: Mapping[int, str]) -> str:
    """Name the doors that a board must not open by a card alone; "" where there are none."""
    doors = [str(door) for door, point in entries.items() if point in row.not_alone]
    return f"door {', '.join(doors)} asks for more than a card" if doors else ""


def days(
    valid_from: datetime | None, valid_until: datetime | None, zone: ZoneInfo
) -> tuple[date, date]:
    """Round a window to whole local days, both inclusive.

    The first day begins at midnight: no table has a row before its time (`core.board`), so the
    hours before `valid_from` are over when the card arrives. The last day is the last that is
    whole: who may pass until 14:00 may not pass at 15:00, so that day is not in it.

    Raises:
        ValueError: no whole day is left.
    """
    start = FIRST_DAY if valid_from is None else max(FIRST_DAY, valid_from.astimezone(zone).date())
    end = LAST_DAY
    if valid_until is not None:
        end = min(LAST_DAY, valid_until.astimezone(zone).date() - timedelta(days=1))
    if end < start:
        raise ValueError("its time ends within its first day; a board keeps whole days")
    return start, end


def weekly_times(schedules: Iterable[Schedule], zone: ZoneInfo) -> tuple[Times, ...]:
    """Write the union of schedules as a chain of profiles; equal times give equal chains.

    Raises:
        ValueError: a special day or a foreign zone, which a board has no words for.
    """
    week = [bytearray(DAY_MINUTES) for _ in range(7)]
    for schedule in schedules:
        if schedule.special:
            raise ValueError(
                f"schedule {schedule.id} has special days; a board knows weekdays only"
            )
        if schedule.zone != zone.key:
            raise ValueError(
                f"schedule {schedule.id} is in {schedule.zone}; the board's clock is in {zone.key}"
            )
        for period in schedule.weekly:
            _mark(week, period)
    by_segments: dict[tuple[str, ...], list[int]] = {}
    for weekday, minutes in enumerate(week, start=1):
        segments = tuple(_segments(bytes(minutes)))
        if segments:
            by_segments.setdefault(segments, []).append(weekday)
    return tuple(
        Times(tuple(on), segments[first : first + SEGMENTS])
        for segments, on in by_segments.items()
        for first in range(0, len(segments), SEGMENTS)
    )


def _mark(week: list[bytearray], period: Period) -> None:
    start, end = period.start_min, period.end_min
    for day in period.days:
        if end > start:
            week[day - 1][start:end] = b"\1" * (end - start)
        else:
            # Past midnight: the rest belongs to the next weekday, Sunday's to Monday.
            week[day - 1][start:] = b"\1" * (DAY_MINUTES - start)
            week[day % 7][:end] = b"\1" * end


def _segments(minutes: bytes) -> Iterator[str]:
    """Give the stretches of a day as "0700-2159".

    The last minute is named, not the one after it: whether a board opens in the minute of the
    end, its maker does not say, so the end is one at which it may.
    """
    start = minutes.find(1)
    while start >= 0:
        end = minutes.find(0, start)
        end = DAY_MINUTES if end < 0 else end
        first, last = start, end - 1
        if last == 0:
            # 0000-0000 is how a board says "no segment": the first minute of a day alone is lost.
            start = minutes.find(1, end)
            continue
        yield f"{first // 60:02}{first % 60:02}-{last // 60:02}{last % 60:02}"
        start = minutes.find(1, end)


def times_text(chain: Iterable[Times]) -> str:
    """Write a chain of profiles so that equal chains are equal texts."""
    return " | ".join(
        "".join(map(str, times.days)) + " " + ",".join(times.segments) for times in chain
    )


def times_from(text: str) -> list[Times]:
    """Read what `times_text` has written."""
    chain = []
    for part in text.split(" | "):
        on, _, segments = part.partition(" ")
        chain.append(Times(tuple(map(int, on)), tuple(segments.split(","))))
    return chain
