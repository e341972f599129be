"""How rows become cards, and how a table is kept: values in, values out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anlin.core.board import Row, Table, digest
from anlin.core.device import TableState
from anlin.core.entities import Method
from anlin.core.schedule import Period, Schedule, SpecialDay
from anlin.drivers import _table
from anlin.drivers._table import TableKeeper
from anlin.drivers._uhppote_cards import (
    ALWAYS,
    FIRST_DAY,
    LAST_DAY,
    NEVER,
    Card,
    Times,
    card_number,
    cards_for,
    days,
    times_from,
    times_text,
    weekly_times,
)
from anlin.drivers.base import LinkError

ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
"""The beginning of 21 November in Shanghai."""

HOUR = timedelta(hours=1)


# Days


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "first", "last"),
    [
        (None, None, FIRST_DAY, LAST_DAY),
        # Until midnight: the day before is whole.
        (None, MIDNIGHT, FIRST_DAY, date(2026, 11, 20)),
        # Until two in the afternoon of the 21st: the 21st is not whole.
        (None, MIDNIGHT + 14 * HOUR, FIRST_DAY, date(2026, 11, 20)),
        (MIDNIGHT, MIDNIGHT + 24 * HOUR, date(2026, 11, 21), date(2026, 11, 21)),
        (MIDNIGHT + 9 * HOUR, MIDNIGHT + 72 * HOUR, date(2026, 11, 21), date(2026, 11, 23)),
        (datetime(1999, 1, 1, tzinfo=UTC), None, FIRST_DAY, LAST_DAY),
        (None, datetime(2150, 1, 1, tzinfo=UTC), FIRST_DAY, LAST_DAY),
    ],
)
def test_days_are_whole_and_never_last_longer(
    valid_from: datetime | None, valid_until: datetime | None, first: date, last: date
) -> None:
    assert days(valid_from, valid_until, ZONE) == (first, last)


def test_who_may_come_for_some_hours_of_one_day_gets_no_card_at_all() -> None:
    with pytest.raises(ValueError, match="whole days"):
        days(MIDNIGHT + 9 * HOUR, MIDNIGHT + 18 * HOUR, ZONE)


@given(st.datetimes(datetime(2021, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001
def test_the_last_day_is_over_when_the_window_is(naive: datetime) -> None:
    until = naive.replace(tzinfo=UTC)
    _, last = days(None, until, ZONE)
    end_of_last = datetime.combine(last + timedelta(days=1), datetime.min.time(), ZONE)
    assert end_of_last <= until
    assert until - end_of_last < timedelta(days=1)


# Numbers


@pytest.mark.parametrize(
    ("key", "base", "number"),
    [("1", 10, 1), ("4294967294", 10, 0xFFFFFFFE), ("0010058399", 10, 10058399), ("ff", 16, 255)],
)
def test_card_numbers_are_read(key: str, base: int, number: int) -> None:
    assert card_number(key, base) == number


@pytest.mark.parametrize(
    ("key", "base"),
    [
        ("", 10),
        ("0", 10),
        ("4294967295", 10),
        ("99999999999", 10),
        ("04A1B2C3", 10),
        ("-5", 10),
        ("1_0", 10),
        ("١٢", 10),
        ("FFFFFFFF", 16),
        ("100000000", 16),
        ("0x10", 16),
    ],
)
def test_what_is_no_card_number_is_refused(key: str, base: int) -> None:
    with pytest.raises(ValueError, match="card number"):
        card_number(key, base)


# Times


def schedule(*periods: Period, zone: str = "Asia/Shanghai", special: bool = False) -> Schedule:
    holidays = (SpecialDay(date(2026, 10, 1)),) if special else ()
    return Schedule("s1", "白天", zone, periods, holidays)


@pytest.mark.parametrize(
    ("periods", "text"),
    [
        ([Period(7 * 60, 22 * 60)], "1234567 0700-2159"),
        ([Period(0, 1440)], "1234567 0000-2359"),
        ([Period(480, 1020, (1, 2, 3, 4, 5))], "12345 0800-1659"),
        ([Period(22 * 60, 6 * 60)], "1234567 0000-0559,2200-2359"),
        ([Period(22 * 60, 6 * 60, (7,))], "1 0000-0559 | 7 2200-2359"),
        ([Period(60, 120), Period(120, 180)], "1234567 0100-0259"),
        (
            [Period(hour * 60, hour * 60 + 30, (1,)) for hour in (6, 8, 10, 12)],
            "1 0600-0629,0800-0829,1000-1029 | 1 1200-1229",
        ),
        ([Period(0, 1)], ""),
        ([], ""),
    ],
)
def test_schedules_become_chains_of_profiles(periods: list[Period], text: str) -> None:
    chain = weekly_times([schedule(*periods)], ZONE)
    assert times_text(chain) == text
    if chain:
        assert tuple(times_from(text)) == chain


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.builds(
            Period,
            st.integers(0, 1439),
            st.integers(1, 1440),
            st.sets(st.integers(1, 7)).map(lambda on: tuple(sorted(on))),
        ),
        max_size=4,
    )
)
def test_profiles_hold_in_no_minute_in_which_the_schedule_does_not(periods: list[Period]) -> None:
    given_ = schedule(*periods)
    chain = weekly_times([given_], ZONE)
    missed = 0
    for minute in range(0, 7 * 1440, 7):
        at = MIDNIGHT + timedelta(minutes=minute)
        local = at.astimezone(ZONE)
        on_board = any(holds(times, local) for times in chain)
        missed += given_.is_active(at) and not on_board
        assert not on_board or given_.is_active(at)
    # Only the first minute of a day that stands alone can't be said.
    assert missed <= 7


def holds(times: Times, local: datetime) -> bool:
    now = f"{local:%H%M}"
    return local.isoweekday() in times.days and any(
        start <= now <= end for start, end in (text.split("-") for text in times.segments)
    )


# Rows


def row(number: int, access: Mapping[str, tuple[str, ...]] | None = None, **more: object) -> Row:
    values = {"gate-in": ()} if access is None else access
    made = Row(f"c{number}", f"h{number}", "", Method.CARD, str(number), values)
    return replace(made, **more)  # type: ignore[arg-type]


def written(*rows: Row, schedules: Mapping[str, Schedule] | None = None) -> list[Card | str]:
    table = Table(1, rows, schedules or {})
    entries = {1: "gate-in", 3: "door-1-in"}
    return [card for _, card in cards_for(table, entries, ZONE, 10)]


def test_a_door_opens_by_its_own_point_only() -> None:
    (card,) = written(
        row(5, {"gate-in": (), "door-1-in": ("s1",)}), schedules={"s1": schedule(Period(60, 120))}
    )
    assert isinstance(card, Card)
    assert card.doors == (ALWAYS, NEVER, "1234567 0100-0159", NEVER)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (row(1, key="A1"), "not a decimal card number"),
        (row(1, method=Method.FACE), "a board reads cards, not face"),
        (row(1, {"lane-in": ()}), "opens no door of this board at any time"),
        (row(1, {"gate-in": ("never",)}), "opens no door of this board at any time"),
        (row(1, {"gate-in": ("holidays",)}), "schedule s1 has special days; a board knows"),
        (row(1, {"gate-in": ("abroad",)}), "schedule s1 is in Europe/Rome; the board's clock"),
        (row(1, valid_from=MIDNIGHT + HOUR, valid_until=MIDNIGHT + 9 * HOUR), "whole days"),
        (row(1, not_alone=("gate-in",)), "door 1 asks for more than a card"),
    ],
)
def test_what_a_board_has_no_words_for_is_refused_by_rule(wrong: Row, rule: str) -> None:
    schedules = {
        "never": schedule(),
        "holidays": schedule(Period(60, 120), special=True),
        "abroad": schedule(Period(60, 120), zone="Europe/Rome"),
    }
    (said,) = written(wrong, schedules=schedules)
    assert isinstance(said, str)
    assert rule in said


def test_the_second_credential_with_one_number_is_refused() -> None:
    card, rule = written(row(5), row(6, key="005"))
    assert isinstance(card, Card)
    assert rule == "another credential has the same card number"


def test_one_card_known_as_a_plain_and_as_a_secure_one_is_written_once() -> None:
    plain, secure = row(5), row(6, key="5", holder="h5", method=Method.SECURE_CARD)
    assert written(plain, secure) == written(plain)
    (card, rule) = written(plain, replace(secure, access={"door-1-in": ()}))
    assert isinstance(card, Card)
    assert rule == "another credential has the same card number"


def test_a_door_that_asks_for_more_is_left_out_and_named() -> None:
    card, rule = written(row(5, {"gate-in": (), "door-1-in": ()}, not_alone=("door-1-in",)))
    assert isinstance(card, Card)
    assert card.doors == (ALWAYS, NEVER, NEVER, NEVER)
    assert rule == "door 3 asks for more than a card"


# Keeping a table


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a device that holds a name and a grade."""

    key: str
    grade: int = 0


class Shelf:
    """A device that keeps entries, and can be made to forget, refuse, lie and be away."""

    def __init__(self, capacity: int = 100, *, reads_one: bool = True) -> None:
        self.capacity = capacity
        self.reads_one = reads_one
        self.held: dict[str, Entry] = {}
        self.refuses: set[str] = set()
        self.keeps: set[str] = set()
        self.is_away = False
        self.did: list[str] = []

    async def _answer(self, what: str) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise LinkError("away")
        self.did.append(what)

    async def read_all(self) -> Mapping[str, Entry]:
        await self._answer("read all")
        return dict(self.held)

    async def read(self, key: str) -> Entry | None:
        await self._answer(f"read {key}")
        return self.held.get(key)

    async def put(self, row: Entry) -> str:
        await self._answer(f"put {row.key}")
        if row.key in self.refuses:
            return "not this one"
        self.held[row.key] = row
        return ""

    async def delete(self, key: str) -> None:
        await self._answer(f"delete {key}")
        if key not in self.keeps:
            self.held.pop(key, None)


def entries(text: str, grade: int = 0) -> list[Entry]:
    return [Entry(key, grade) for key in text]


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def step(keeper: TableKeeper[Entry]) -> TableState:
    said: list[TableState] = []
    await keeper.step(said.append)
    return said[-1]


@pytest.mark.parametrize("reads_one", [True, False])
async def test_a_table_is_proven_by_reading_it_back(reads_one: bool) -> None:
    shelf = Shelf(reads_one=reads_one)
    keeper = TableKeeper("d1", shelf)
    keeper.want(3, entries("abc"), [("card-9", "no number")])
    state = await step(keeper)
    assert keeper.is_proven
    assert state.held == state.wanted == digest(entries("abc"))
    assert (state.revision, state.rows, state.missing, state.surplus) == (3, 3, 0, 0)
    assert state.refused == (("card-9", "no number"),)
    assert shelf.did[-1] == ("read c" if reads_one else "read all")


async def test_rights_are_taken_before_any_are_given() -> None:
    shelf = Shelf()
    shelf.held = {"x": Entry("x"), "a": Entry("a", 1)}
    keeper = TableKeeper("d1", shelf)
    keeper.want(1, entries("ab"))
    await step(keeper)
    changes = [what for what in shelf.did if not what.startswith("read")]
    assert changes == ["delete x", "put a", "put b"]


async def test_a_deletion_that_the_device_does_not_carry_out_is_not_proven_and_tried_again() -> (
    None
):
    shelf = Shelf()
    keeper = TableKeeper("d1", shelf)
    keeper.want(1, entries("ab"))
    await step(keeper)
    shelf.keeps = {"a"}
    keeper.want(2, entries("b"))
    state = await step(keeper)
    assert not keeper.is_proven
    assert (state.surplus, state.held == state.wanted) == (1, False)
    shelf.keeps.clear()
    state = await step(keeper)
    assert keeper.is_proven
    assert set(shelf.held) == {"b"}


async def test_a_refused_row_leaves_no_older_form_behind() -> None:
    shelf = Shelf()
    keeper = TableKeeper("d1", shelf)
    keeper.want(1, entries("ab"))
    await step(keeper)
    shelf.refuses = {"a"}
    keeper.want(2, entries("ab", 1))
    state = await step(keeper)
    assert shelf.held == {"b": Entry("b", 1)}
    assert state.refused == (("a", "not this one"),)
    assert keeper.is_proven
    shelf.refuses.clear()
    keeper.want(3, entries("ab", 2))
    await step(keeper)
    assert set(shelf.held) == {"a", "b"}


async def test_a_full_device_gets_nothing_new_and_says_why() -> None:
    shelf = Shelf(capacity=2)
    keeper = TableKeeper("d1", shelf)
    keeper.want(1, entries("ab"))
    await step(keeper)
    keeper.want(2, [Entry("b", 5), *entries("cd")])
    state = await step(keeper)
    assert shelf.held == {"b": Entry("b", 5)}
    assert state.rule == "the table has 3 rows; the device has room for 2"
    assert state.missing == 2
    assert not keeper.is_proven


async def test_a_device_that_was_away_is_told_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_table, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(_table, "LONGEST_RETRY_S", 0.002)
    shelf, said = Shelf(), []
    shelf.is_away = True
    keeper = TableKeeper("d1", shelf)
    keeper.want(1, entries("ab"))
    running = asyncio.create_task(keeper.run(said.append))
    try:
        await asyncio.sleep(0.005)
        assert said == []
        shelf.is_away = False
        await until(lambda: keeper.is_proven)
        shelf.held.clear()
        keeper.forget()
        await until(lambda: len(shelf.held) == 2)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_newer_table_ends_the_work_on_an_older_one() -> None:
    shelf = Shelf()
    keeper = TableKeeper("d1", shelf)
    keeper.want(1, entries("abcdefgh"))
    working = asyncio.create_task(keeper.step(lambda _: None))
    await until(lambda: len(shelf.held) == 2)
    keeper.want(2, entries("z"))
    assert await working is False
    state = await step(keeper)
    assert set(shelf.held) == {"z"}
    assert state.revision == 2


async def test_a_row_taken_back_goes_before_the_new_table_is_written_out() -> None:
    shelf = Shelf()
    keeper = TableKeeper("d1", shelf)
    keeper.want(1, entries("abc"))
    await step(keeper)
    keeper.revoke(["a", "nobody"])
    state = await step(keeper)
    assert set(shelf.held) == {"b", "c"}
    assert state.held == state.wanted == digest(entries("bc"))
    keeper.want(2, entries("abc"))
    await step(keeper)
    assert set(shelf.held) == {"a", "b", "c"}
