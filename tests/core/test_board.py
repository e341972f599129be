"""What a device that decides by itself may hold: never more than the decision would admit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.access import NORMAL, Presentation, Reason, decide
from anlin.core.board import Row, Table, digest, digest_of_lines, line, table_for
from anlin.core.entities import (
    AccessPoint,
    AccessRule,
    Credential,
    Direction,
    Holder,
    HolderKind,
    Membership,
    Method,
    RaisedLevel,
    Status,
)
from anlin.core.policy import Policy
from anlin.core.schedule import Period, Schedule, SpecialDay
from anlin.testing.cast import (
    GATE_IN,
    LEASE_END,
    LIN,
    LIN_CARD,
    QIAN_CARD,
    UNIT_IN,
    make_policy,
)
from anlin.testing.clock import MORNING

CARDS = frozenset({Method.CARD, Method.SECURE_CARD})
POINTS = ("gate-in", "gate-out", "door-1-in", "lane-in")
ZONE = "Asia/Shanghai"

# Times lie around the moment at which the table is made, so that windows begin and end in it.
times = st.integers(-72, 72).map(lambda hours: MORNING + timedelta(hours=hours))
ends = st.none() | times


@st.composite
def schedules(draw: st.DrawFn, name: str) -> Schedule:
    periods = st.builds(
        Period,
        st.integers(0, 23).map(lambda hour: hour * 60),
        st.integers(1, 24).map(lambda hour: hour * 60),
        st.sets(st.integers(1, 7)).map(lambda days: tuple(sorted(days))),
    )
    special = st.builds(
        SpecialDay,
        st.integers(-3, 3).map(lambda days: date(2026, 11, 21) + timedelta(days=days)),
        st.lists(periods, max_size=2).map(tuple),
    )
    weekly = draw(st.lists(periods, max_size=3))
    return Schedule(name, name, ZONE, tuple(weekly), tuple(draw(st.lists(special, max_size=2))))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A community in which everything that can end, be missing or want more does so somewhere."""
    groups = st.sampled_from(["g1", "g2", "g3"])
    memberships = st.lists(st.builds(Membership, groups, ends, ends), max_size=3).map(tuple)
    states = st.sampled_from([Status.ACTIVE] * 4 + [Status.SUSPENDED, Status.LOST])
    records: list[object] = []
    for number in range(draw(st.integers(1, 4))):
        records.append(
            Holder(
                f"h{number}",
                "林先生",
                HolderKind.RESIDENT,
                draw(memberships),
                draw(states),
                draw(ends),
                draw(ends),
                needs_escort=draw(st.booleans()) and draw(st.booleans()),
                points=draw(st.sampled_from([(), (), ("gate-in",)])),
            )
        )
        for nth in range(2):
            records.append(
                Credential(
                    f"c{number}-{nth}",
                    draw(st.sampled_from([f"h{number}", f"h{number}", "nobody"])),
                    draw(st.sampled_from([Method.CARD, Method.SECURE_CARD, Method.FACE])),
                    f"{number}{nth}",
                    draw(states),
                    draw(ends),
                    draw(ends),
                )
            )
    for number in range(3):
        records.append(
            AccessRule(
                f"rule-{number}",
                "",
                tuple(draw(st.sets(groups, min_size=1))),
                tuple(draw(st.sets(st.sampled_from(POINTS), min_size=1))),
                draw(st.sampled_from([None, "s1", "s2", "missing"])),
                draw(ends),
                draw(ends),
            )
        )
    for name in POINTS:
        records.append(
            AccessPoint(
                name,
                name,
                "gate",
                Direction.EXIT if name == "gate-out" else Direction.ENTRY,
                (Method.CARD, Method.SECURE_CARD) if draw(st.booleans()) else (Method.CARD,),
                draw(st.sampled_from([1, 1, 2])),
                draw(st.sampled_from([True, True, False])),
                raised=draw(st.sampled_from([(), (), (RaisedLevel("s1", 2),)])),
                persons=draw(st.sampled_from([1, 1, 1, 2])),
            )
        )
    records += [draw(schedules("s1")), draw(schedules("s2"))]
    policy: Policy = make_policy(*records, records=())  # type: ignore[arg-type]
    return policy


def admits(table: Table, row: Row, point: str, at: datetime) -> bool:
    """What a device makes of a row that it holds, when nobody can be asked."""
    if point not in row.access or point in row.not_alone:
        return False
    if row.valid_from is not None and at < row.valid_from:
        return False
    if row.valid_until is not None and at >= row.valid_until:
        return False
    names = row.access[point]
    return not names or any(table.schedules[name].is_active(at) for name in names)


def decided(policy: Policy, row: Row, point: str, at: datetime) -> bool:
    return decide(policy, Presentation(point, row.method, row.key, at), NORMAL, at).is_granted


@given(policies(), st.integers(0, 96))
def test_a_table_never_admits_whom_the_decision_would_not(policy: Policy, hours: int) -> None:
    table = table_for(policy, POINTS, CARDS, MORNING)
    later = MORNING + timedelta(hours=hours)
    for row in table.rows:
        for point in POINTS:
            if admits(table, row, point, later):
                assert decided(policy, row, point, later), (row, point, later)


@given(policies())
def test_a_table_admits_now_whom_the_decision_would_by_one_card(policy: Policy) -> None:
    table = table_for(policy, POINTS, CARDS, MORNING)
    rows = {row.credential: row for row in table.rows}
    for credential in policy.credentials.values():
        if credential.method not in CARDS:
            continue
        for point in set(POINTS) - {"gate-out"}:
            presentation = Presentation(point, credential.method, credential.key, MORNING)
            decision = decide(policy, presentation, NORMAL, MORNING)
            is_ours = decision.reason is Reason.GRANTED and decision.credential == credential.id
            row = rows.get(credential.id)
            if is_ours and (row is None or point not in row.not_alone):
                assert row is not None
                assert admits(table, row, point, MORNING), (credential, point)


@given(policies(), st.randoms(use_true_random=False))
def test_equal_sets_of_rows_have_equal_digests_and_only_those(policy: Policy, dice: object) -> None:
    rows = list(table_for(policy, POINTS, CARDS, MORNING).rows)
    mixed = [*rows, *rows]
    dice.shuffle(mixed)  # type: ignore[attr-defined]
    assert digest(mixed) == digest(rows) == digest_of_lines(map(line, rows))
    for row in rows:
        rest = [other for other in rows if other is not row]
        changed = replace(row, key=f"{row.key}0")
        assert digest(rest) != digest(rows)
        assert digest([*rest, changed]) != digest(rows)


@given(
    st.lists(st.text('ab\n\\",{}', max_size=4), max_size=4),
    st.lists(st.text('ab\n\\",{}', max_size=4), max_size=4),
)
def test_no_text_in_a_row_makes_two_sets_look_alike(one: list[str], other: list[str]) -> None:
    assert (digest(one) == digest(other)) == (set(one) == set(other))


# Cases that a guard could read


def row_of(table: Table, credential: Credential) -> Row | None:
    return next((row for row in table.rows if row.credential == credential.id), None)


def table_at(policy: Policy, at: datetime = MORNING) -> Table:
    return table_for(policy, POINTS, CARDS, at)


def test_lin_may_pass_the_gate_and_nowhere_by_card_alone_where_two_factors_are_asked() -> None:
    row = row_of(table_at(make_policy()), LIN_CARD)
    assert row is not None
    assert row.access["gate-in"] == ()
    assert row.not_alone == ("door-1-in",)


def test_qian_whose_lease_has_ended_is_in_no_table() -> None:
    assert row_of(table_at(make_policy()), QIAN_CARD) is None


def test_qian_was_in_the_table_until_the_lease_ended_and_no_longer() -> None:
    row = row_of(table_at(make_policy(), LEASE_END - timedelta(minutes=1)), QIAN_CARD)
    assert row is not None
    assert row.valid_until == LEASE_END


@dataclass(frozen=True)
class Gone:
    why: str
    record: object


@pytest.mark.parametrize(
    "gone",
    [
        Gone("lost card", replace(LIN_CARD, status=Status.LOST)),
        Gone("suspended holder", replace(LIN, status=Status.SUSPENDED)),
        Gone("needs an escort", replace(LIN, needs_escort=True)),
        Gone("card of nobody", replace(LIN_CARD, holder="nobody")),
        Gone("not begun", replace(LIN_CARD, valid_from=MORNING + timedelta(hours=1))),
        Gone("ended", replace(LIN_CARD, valid_until=MORNING)),
    ],
    ids=lambda gone: gone.why,
)
def test_lin_is_not_in_the_table(gone: Gone) -> None:
    policy = make_policy(gone.record)  # type: ignore[arg-type]
    assert row_of(table_at(policy), LIN_CARD) is None


def test_a_level_that_is_raised_at_night_keeps_a_card_alone_out_at_all_times() -> None:
    raised = replace(GATE_IN, raised=(RaisedLevel("daytime", 2),))
    row = row_of(table_at(make_policy(raised, replace(UNIT_IN, level=1))), LIN_CARD)
    assert row is not None
    assert row.not_alone == ("gate-in",)
