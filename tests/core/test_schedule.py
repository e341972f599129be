from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_reference import schedule_holds

from anlin.core.schedule import Period, Schedule, SpecialDay

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 11, 16)


def at(day: date, text: str, zone: ZoneInfo = SHANGHAI, fold: int = 0) -> datetime:
    clock = datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007
    return datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC)


def schedule(*weekly: Period, special: tuple[SpecialDay, ...] = (), zone: str = "Asia/Shanghai"):
    return Schedule("s", "s", zone, weekly, special)


OFFICE = schedule(Period(9 * 60, 18 * 60, (1, 2, 3, 4, 5)))
NIGHT = schedule(Period(22 * 60, 6 * 60, (5,)))  # Friday night only
HOLIDAY = schedule(
    Period(9 * 60, 18 * 60),
    Period(22 * 60, 6 * 60),
    special=(
        SpecialDay(MONDAY, ()),
        SpecialDay(MONDAY + timedelta(days=2), (Period(600, 660), Period(23 * 60, 60))),
    ),
)


@pytest.mark.parametrize(
    ("which", "day", "clock", "is_active"),
    [
        (OFFICE, 0, "08:59", False),
        (OFFICE, 0, "09:00", True),
        (OFFICE, 0, "17:59", True),
        (OFFICE, 0, "18:00", False),  # the end is exclusive
        (OFFICE, 5, "12:00", False),  # Saturday
        (NIGHT, 4, "21:59", False),
        (NIGHT, 4, "22:00", True),
        (NIGHT, 5, "00:00", True),  # began on Friday, so Saturday's small hours belong to it
        (NIGHT, 5, "05:59", True),
        (NIGHT, 5, "06:00", False),
        (NIGHT, 4, "05:00", False),  # Thursday night had none
        (HOLIDAY, 0, "12:00", False),  # closed on the special day
        (HOLIDAY, 0, "05:59", True),  # but Sunday night runs to its end
        (HOLIDAY, 0, "23:00", False),
        (HOLIDAY, 1, "05:00", False),  # and Monday night never began
        (HOLIDAY, 1, "12:00", True),
        (HOLIDAY, 2, "09:30", False),
        (HOLIDAY, 2, "10:00", True),
        (HOLIDAY, 2, "11:00", False),
        (HOLIDAY, 2, "23:30", True),
        (HOLIDAY, 3, "00:59", True),
        (HOLIDAY, 3, "01:00", False),
        (schedule(Period(0, 1440)), 3, "00:00", True),
        (schedule(Period(0, 1440)), 3, "23:59", True),
        (schedule(Period(600, 600, (1,))), 0, "09:59", False),  # equal ends are a whole day
        (schedule(Period(600, 600, (1,))), 1, "09:59", True),
        (schedule(Period(600, 600, (1,))), 1, "10:00", False),
        (schedule(), 0, "12:00", False),
    ],
)
def test_a_schedule_holds_from_its_start_to_just_before_its_end(which, day, clock, is_active):
    assert which.is_active(at(MONDAY + timedelta(days=day), clock)) is is_active


def test_of_two_entries_for_one_special_day_the_first_counts():
    both = schedule(special=(SpecialDay(MONDAY, (Period(0, 60),)), SpecialDay(MONDAY, ())))
    assert both.is_active(at(MONDAY, "00:30"))


def test_a_schedule_follows_the_wall_clock_through_a_change_to_summer_time():
    berlin = ZoneInfo("Europe/Berlin")
    early = schedule(Period(2 * 60, 3 * 60), zone="Europe/Berlin")
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    # In spring two o'clock never comes; in autumn it comes twice.
    start = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    minutes = [start + timedelta(minutes=n) for n in range(180)]
    assert not any(early.is_active(minute) for minute in minutes)
    assert early.is_active(at(spring - timedelta(days=1), "02:30", berlin))
    assert early.is_active(at(autumn, "02:30", berlin, fold=0))
    assert early.is_active(at(autumn, "02:30", berlin, fold=1))
    assert at(autumn, "02:30", berlin, fold=0) != at(autumn, "02:30", berlin, fold=1)


periods = st.builds(
    Period,
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sets(st.integers(1, 7)).map(lambda days: tuple(sorted(days))),
)
days = st.integers(-2, 9).map(lambda n: MONDAY + timedelta(days=n))
schedules = st.builds(
    Schedule,
    st.just("s"),
    st.just("s"),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "UTC", "Australia/Lord_Howe"]),
    st.lists(periods, max_size=4).map(tuple),
    st.lists(st.builds(SpecialDay, days, st.lists(periods, max_size=2).map(tuple)), max_size=3).map(
        tuple
    ),
)


@given(schedules, st.integers(-3 * 1440, 10 * 1440))
def test_any_schedule_agrees_with_the_slow_reference(which, minute):
    moment = datetime(2026, 11, 15, 16, 0, tzinfo=UTC) + timedelta(minutes=minute)
    assert which.is_active(moment) == schedule_holds(which, moment)


@pytest.mark.parametrize(
    ("which", "start", "days"),
    [
        (HOLIDAY, datetime(2026, 11, 15, 16, 0, tzinfo=UTC), 7),
        (
            schedule(Period(23 * 60, 3 * 60, (6, 7)), Period(150, 200), zone="Europe/Berlin"),
            datetime(2026, 10, 23, 22, tzinfo=UTC),  # the weekend on which summer time ends
            3,
        ),
    ],
)
def test_every_minute_of_a_week_agrees_with_the_slow_reference(which, start, days):
    for minute in range(days * 1440):
        moment = start + timedelta(minutes=minute)
        assert which.is_active(moment) == schedule_holds(which, moment), moment


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ((-1, 60), "start -1 is not within 0 to 1439"),
        ((1440, 60), "start 1440 is not within 0 to 1439"),
        ((0, 0), "end 0 is not within 1 to 1440"),
        ((0, 1441), "end 1441 is not within 1 to 1440"),
        ((0, 60, (0,)), "are not ISO weekdays"),
        ((0, 60, (1, 8)), "are not ISO weekdays"),
    ],
)
def test_a_period_outside_the_day_or_week_is_refused(wrong, rule):
    with pytest.raises(ValueError, match=rule):
        Period(*wrong)
