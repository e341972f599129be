from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core import visit as core
from anlin.core.visit import Hours, Kind, Plan, State, Visit, VisitError, Why, Window
from anlin.testing.clock import MORNING

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")
GUEST = Plan(Kind.GUEST, MORNING, MORNING + 3 * HOUR)
COURIER = Plan(Kind.COURIER, MORNING, MORNING + 30 * MINUTE, uses=1)
MONDAY = datetime(2027, 3, 1, tzinfo=SHANGHAI)
CLEANER = Plan(
    Kind.HELPER, MONDAY, MONDAY + 60 * DAY, Hours((0, 2, 4), 9 * 60, 12 * 60)
)  # fmt: skip
NIGHT = Plan(Kind.HELPER, MONDAY, MONDAY + 14 * DAY, Hours((4,), 22 * 60, 6 * 60))


def agreed(plan: Plan, at: datetime | None = None) -> Visit:
    return core.approve(Visit(plan), at or plan.starts_at - HOUR)


# A life


def test_a_guest_is_agreed_to_expected_comes_and_goes():
    visit = agreed(GUEST)
    assert visit.state is State.APPROVED
    visit = core.tick(visit, MORNING)
    assert visit.state is State.EXPECTED
    visit = core.arrive(visit, MORNING + HOUR)
    assert (visit.state, visit.arrived_at) == (State.INSIDE, MORNING + HOUR)
    visit = core.depart(visit, MORNING + 2 * HOUR)
    assert (visit.state, visit.departed_at) == (State.DEPARTED, MORNING + 2 * HOUR)
    assert core.arrive(visit, MORNING + 2.5 * HOUR).arrivals == 2, "the window lasts"
    ended = core.tick(visit, MORNING + 3 * HOUR)
    assert (ended.state, ended.why) == (State.ENDED, Why.TIME_UP)


def test_who_stays_after_the_end_overstays_and_may_still_leave():
    inside = core.arrive(agreed(GUEST), MORNING)
    late = core.tick(inside, MORNING + 3 * HOUR)
    assert (late.state, late.why) == (State.OVERSTAYED, Why.TIME_UP)
    assert core.depart(late, MORNING + 4 * HOUR).state is State.ENDED


def test_where_no_way_out_tells_who_leaves_nobody_overstays():
    inside = core.arrive(agreed(GUEST), MORNING)
    assert core.tick(inside, MORNING + 3 * HOUR, sees_exits=False).state is State.ENDED


def test_who_does_not_come_is_a_no_show_and_who_is_not_answered_is_refused():
    assert core.tick(agreed(GUEST), GUEST.ends_at).state is State.NO_SHOW
    unanswered = core.tick(Visit(GUEST), GUEST.ends_at)
    assert (unanswered.state, unanswered.why) == (State.REFUSED, Why.NOT_ANSWERED)


def test_a_courier_comes_once():
    gone = core.depart(core.arrive(agreed(COURIER, MORNING), MORNING), MORNING + 5 * MINUTE)
    assert (gone.state, gone.why) == (State.ENDED, Why.USED)


def test_a_helper_comes_again_on_each_day_of_theirs():
    visit = agreed(CLEANER)
    for day in (0, 2, 4):
        nine = MONDAY + day * DAY + 9 * HOUR
        visit = core.tick(visit, nine)
        assert visit.state is State.EXPECTED
        visit = core.depart(core.arrive(visit, nine), nine + HOUR)
        visit = core.tick(visit, nine + 3 * HOUR)
        assert visit.state is State.APPROVED, "until the next time"
    assert visit.arrivals == 3
    assert core.tick(visit, CLEANER.ends_at).state is State.ENDED


def test_a_helper_who_stays_after_the_hours_overstays():
    nine = MONDAY + 9 * HOUR
    inside = core.arrive(agreed(CLEANER), nine)
    assert core.tick(inside, nine + 3 * HOUR).state is State.OVERSTAYED


def test_a_later_end_takes_back_that_somebody_overstays():
    late = core.tick(core.arrive(agreed(GUEST), MORNING), MORNING + 3 * HOUR)
    longer = replace(GUEST, ends_at=MORNING + 5 * HOUR)
    assert core.change(late, longer, MORNING + 3 * HOUR).state is State.INSIDE


# Hours


def test_hours_are_local_and_end_exclusive():
    days = list(core.windows(CLEANER, MONDAY, MONDAY + 7 * DAY))
    assert [one.starts_at for one in days] == [MONDAY + day * DAY + 9 * HOUR for day in (0, 2, 4)]
    assert core.window_now(CLEANER, MONDAY + 9 * HOUR) == days[0]
    assert core.window_now(CLEANER, MONDAY + 12 * HOUR) is None
    assert core.window_now(CLEANER, MONDAY + 9 * HOUR - MINUTE) is None


def test_a_night_ends_on_the_next_morning():
    (night,) = core.windows(NIGHT, MONDAY, MONDAY + 7 * DAY)
    assert night == Window(
        (MONDAY + 4 * DAY + 22 * HOUR).astimezone(UTC),
        (MONDAY + 5 * DAY + 6 * HOUR).astimezone(UTC),
    )
    assert core.window_now(NIGHT, MONDAY + 5 * DAY + 5 * HOUR) == night


def test_hours_until_midnight_end_at_midnight():
    plan = replace(CLEANER, hours=Hours((0,), 20 * 60, 24 * 60))
    assert core.window_now(plan, MONDAY + DAY - MINUTE) is not None
    assert core.window_now(plan, MONDAY + DAY) is None


# Rules


@pytest.mark.parametrize(
    ("plan", "rule"),
    [
        (GUEST, None),
        (COURIER, None),
        (CLEANER, None),
        (NIGHT, None),
        (replace(GUEST, ends_at=GUEST.starts_at), "ends_before_it_starts"),
        (replace(GUEST, people=0), "people"),
        (replace(GUEST, people=31), "people"),
        (replace(GUEST, uses=-1), "uses"),
        (replace(GUEST, ends_at=MORNING + 14 * DAY), None),
        (replace(GUEST, ends_at=MORNING + 14 * DAY + MINUTE), "too_long"),
        (replace(COURIER, uses=2), "courier_comes_once"),
        (replace(COURIER, uses=0), "courier_comes_once"),
        (replace(COURIER, hours=NIGHT.hours), "courier_comes_once"),
        (replace(COURIER, ends_at=MORNING + 2 * HOUR + MINUTE), "courier_too_long"),
        (replace(CLEANER, ends_at=MONDAY + 367 * DAY), "too_long"),
        (replace(CLEANER, hours=Hours((), 0, 60)), "days"),
        (replace(CLEANER, hours=Hours((7,), 0, 60)), "days"),
        (replace(CLEANER, hours=Hours((1, 1), 0, 60)), "days"),
        (replace(CLEANER, hours=Hours((1,), 60, 60)), "hours"),
        (replace(CLEANER, hours=Hours((1,), 24 * 60, 60)), "hours"),
        (replace(CLEANER, hours=Hours((1,), 0, 24 * 60 + 1)), "hours"),
    ],
)
def test_a_plan_that_breaks_a_rule_is_named(plan, rule):
    assert core.fault(plan) == rule


@pytest.mark.parametrize("state", [state for state in State if state is not State.ASKED])
def test_an_answer_is_given_once(state):
    for answer in (lambda v: core.approve(v, MORNING), core.refuse):
        with pytest.raises(VisitError) as told:
            answer(Visit(GUEST, state))
        assert told.value.rule == "answered"


def test_nothing_is_agreed_to_after_its_time():
    with pytest.raises(VisitError) as told:
        core.approve(Visit(GUEST), GUEST.ends_at)
    assert told.value.rule == "past"


@pytest.mark.parametrize("state", sorted(core.OVER))
def test_what_is_over_stays_over(state):
    over = Visit(GUEST, state)
    assert core.tick(over, MORNING + 99 * DAY) == over
    assert core.depart(over, MORNING) == over
    for step in (
        lambda: core.arrive(over, MORNING),
        lambda: core.cancel(over, Why.BY_HOST),
        lambda: core.change(over, GUEST, MORNING),
    ):
        with pytest.raises(VisitError):
            step()


def test_nobody_comes_in_on_a_visit_that_nobody_agreed_to():
    with pytest.raises(VisitError) as told:
        core.arrive(Visit(GUEST), MORNING)
    assert told.value.rule == "not_agreed"


def test_a_change_is_refused_that_breaks_a_rule_or_is_past():
    with pytest.raises(VisitError, match="people"):
        core.change(agreed(GUEST), replace(GUEST, people=0), MORNING)
    with pytest.raises(VisitError, match="past"):
        core.change(agreed(GUEST), GUEST, GUEST.ends_at)


def test_a_visit_that_nobody_came_to_is_called_off_and_another_ends():
    assert core.cancel(agreed(GUEST), Why.BY_VISITOR).state is State.CANCELLED
    came = core.depart(core.arrive(agreed(GUEST), MORNING), MORNING + HOUR)
    assert core.cancel(came, Why.BY_HOST).state is State.ENDED


# Properties


plans = st.sampled_from([GUEST, COURIER, CLEANER, NIGHT])
acts = st.lists(
    st.tuples(
        st.sampled_from(["approve", "refuse", "cancel", "arrive", "depart", "tick", "blind"]),
        st.integers(0, 10 * 24 * 60),
    ),
    max_size=12,
)


@given(plans, acts)
def test_whatever_happens_in_whatever_order_a_visit_stays_sound(plan, given_acts):
    visit, at = Visit(plan), plan.starts_at - DAY
    for act, minutes in given_acts:
        at += minutes * MINUTE
        before = visit
        try:
            match act:
                case "approve":
                    visit = core.approve(visit, at)
                case "refuse":
                    visit = core.refuse(visit)
                case "cancel":
                    visit = core.cancel(visit, Why.BY_HOST)
                case "arrive":
                    visit = core.arrive(visit, at)
                case "depart":
                    visit = core.depart(visit, at)
                case "tick" | "blind":
                    visit = core.tick(visit, at, sees_exits=act == "tick")
        except VisitError:
            assert visit == before
        if before.state in core.OVER:
            assert visit == before
        assert core.tick(core.tick(visit, at), at) == core.tick(visit, at), "twice is as once"
        if visit.state in core.PRESENT:
            assert visit.arrived_at is not None
            assert visit.departed_at is None
        assert visit.arrivals >= before.arrivals
        if visit.state is not State.ASKED and visit.arrivals:
            assert visit.state is not State.NO_SHOW
    # The clock alone ends every visit of which nobody is left inside.
    end = core.tick(core.tick(visit, plan.ends_at + 99 * DAY), plan.ends_at + 99 * DAY)
    assert end.state in core.OVER | {State.OVERSTAYED}


@given(plans, st.integers(0, 60 * 24 * 60), st.integers(1, 30 * 24 * 60))
def test_windows_lie_in_order_inside_the_plan_and_agree_with_the_moment(plan, after, length):
    since = plan.starts_at + after * MINUTE
    found = list(core.windows(plan, since, since + length * MINUTE))
    for one in found:
        assert plan.starts_at <= one.starts_at < one.ends_at <= plan.ends_at
        assert core.window_now(plan, one.starts_at) == one
        assert core.window_now(plan, one.ends_at - MINUTE) == one
    assert found == sorted(found, key=lambda one: one.starts_at)
