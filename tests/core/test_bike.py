"""Who takes out an e-bike, and when the guard is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.bike import LONGEST, QUIET, WINDOW, Passage, Question, Sighting, joined, question
from anlin.core.entities import Bike, Housemate
from anlin.core.policy import Policy
from anlin.testing.cast import make_policy
from anlin.testing.clock import MORNING

BIKE = Bike("bike-1", "E20047", "lin", (Housemate("meng"),))
POLICY = make_policy(BIKE)
SEEN = Sighting("bike-1", "gate-out", "gate", MORNING, MORNING)
OUT, IN, UNTOLD = True, False, None


def at(seconds: float) -> datetime:
    return MORNING + timedelta(seconds=seconds)


def passed(
    holder: str | None, way: bool | None = OUT, seconds: float = 2, portal: str = "gate"
) -> Passage:
    return Passage(portal, at(seconds), way, holder)


def asked(
    *passages: Passage,
    sighting: Sighting = SEEN,
    before: datetime | None = None,
    policy: Policy = POLICY,
) -> Question | None:
    return question(policy, sighting, passages, before)


CASES = [
    ("the owner leaves", [passed("lin")], None),
    ("somebody of the same home leaves", [passed("meng")], None),
    ("the neighbour leaves", [passed("wang")], "wang"),
    ("a visitor leaves", [passed("zhao")], "zhao"),
    ("by exit button nobody is known", [passed(None)], ""),
    ("a leaf opened on nobody's grant", [passed(None, UNTOLD)], ""),
    ("nobody passed at all", [], None),
    ("too long before", [passed("wang", seconds=-10.1)], None),
    ("just in time before", [passed("wang", seconds=-10)], "wang"),
    ("just in time after", [passed("wang", seconds=10)], "wang"),
    ("too long after", [passed("wang", seconds=10.1)], None),
    ("at another gate", [passed("wang", portal="door-1")], None),
    ("it came in with somebody", [passed("wang", IN)], None),
    ("it came in, and the leaf opened again", [passed("wang", IN), passed(None, UNTOLD)], None),
    ("one comes in, another leaves", [passed("zhao", IN), passed("wang")], "wang"),
    ("the owner comes in with it, a neighbour leaves", [passed("lin", IN), passed("wang")], None),
    ("the owner is among those who leave", [passed("wang"), passed("lin", seconds=9)], None),
    ("one of two: nobody is named", [passed("wang"), passed("zhao")], ""),
    ("one known and one not: nobody is named", [passed("wang"), passed(None)], ""),
    ("the same person, told twice", [passed("wang"), passed("wang", seconds=3)], "wang"),
]


@pytest.mark.parametrize(
    ("passages", "who"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_whether_the_guard_is_asked(passages: list[Passage], who: str | None) -> None:
    found = asked(*passages)
    if who is None:
        assert found is None
    else:
        assert found is not None
        assert (found.bike, found.owner, found.point) == ("bike-1", "lin", "gate-out")
        assert found.holder == (who or None)


def test_a_gate_that_stands_open_asks_unless_somebody_came_in() -> None:
    opened = replace(SEEN, stood_open=True)
    found = asked(sighting=opened)
    assert found is not None
    assert found.holder is None
    assert asked(passed("wang", IN), sighting=opened) is None
    assert asked(passed("lin"), sighting=opened) is None


def test_a_lease_that_has_ended_makes_a_housemate_a_stranger() -> None:
    until = replace(BIKE, household=(Housemate("wang", None, at(2)),))
    assert asked(passed("wang", seconds=1), policy=make_policy(until)) is None
    assert asked(passed("wang", seconds=2), policy=make_policy(until)) is not None
    since = replace(BIKE, household=(Housemate("wang", at(2)),))
    assert asked(passed("wang", seconds=1), policy=make_policy(since)) is not None
    assert asked(passed("wang", seconds=2), policy=make_policy(since)) is None


def test_one_question_in_ten_minutes_however_late_it_is_told() -> None:
    for apart, is_asked in ((timedelta(), 0), (QUIET - timedelta(seconds=1), 0), (QUIET, 1)):
        for before in (MORNING - apart, MORNING + apart):
            assert bool(asked(passed("wang"), before=before)) == bool(is_asked)


def test_a_bike_that_is_not_registered_any_more_asks_nothing() -> None:
    assert asked(passed("wang"), policy=make_policy()) is None


def test_the_picture_nearest_in_time_goes_with_the_question() -> None:
    near = replace(passed("wang", seconds=1), picture="near.jpg")
    far = replace(passed("wang", seconds=9), picture="far.jpg")
    found = asked(far, near, passed("wang", seconds=0))
    assert found is not None
    assert found.picture == "near.jpg"


def test_readings_in_a_row_are_one_sighting_and_a_parked_bike_does_not_wait_for_ever() -> None:
    more = joined(SEEN, at(9), is_open=True)
    assert more == replace(SEEN, last_at=at(9), stood_open=True)
    assert joined(SEEN, at(-4), is_open=False) == replace(SEEN, first_at=at(-4))
    assert joined(SEEN, at(10.5), is_open=False) is None
    assert joined(SEEN, at(-10.5), is_open=False) is None
    long = replace(SEEN, last_at=MORNING + LONGEST - timedelta(seconds=1))
    assert joined(long, MORNING + LONGEST, is_open=False) is not None
    assert joined(long, MORNING + LONGEST + timedelta(seconds=1), is_open=False) is None
    assert more.due_at == at(9) + WINDOW


holders = st.none() | st.sampled_from(["lin", "meng", "wang", "zhao"])
passages = st.lists(
    st.builds(
        passed,
        holders,
        st.sampled_from([OUT, IN, UNTOLD]),
        st.integers(-15, 15),
        st.sampled_from(["gate", "door-1"]),
    ),
    max_size=6,
)


@given(passages, st.booleans(), st.randoms())
def test_the_answer_does_not_hang_on_the_order_and_never_accuses_the_household(
    found: list[Passage], is_open: bool, chance
) -> None:
    sighting = replace(SEEN, stood_open=is_open)
    one = question(POLICY, sighting, found, None)
    chance.shuffle(found)
    assert question(POLICY, sighting, found, None) == one
    near = [p for p in found if p.portal == "gate" and abs(p.at - MORNING) <= WINDOW]
    if any(p.holder in ("lin", "meng") for p in near):
        assert one is None
    if one is not None and one.holder is not None:
        assert {p.holder for p in near if p.is_out is not IN} >= {one.holder}
    known_out = [p for p in near if p.is_out and p.holder in ("wang", "zhao")]
    if known_out and not any(p.holder in ("lin", "meng") for p in near):
        assert one is not None, "another holder's passage out always asks"
