from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from anlin.core.access import (
    ENTRIES,
    GRANTS,
    NORMAL,
    STALE_AFTER,
    Evidence,
    FirstFactor,
    Liveness,
    Mode,
    Presentation,
    Reason,
    State,
    assurance,
    decide,
    point_fault,
)
from anlin.core.entities import AccessPoint, AccessRule, Direction, Membership, Method, Status
from anlin.core.explanation import CHECKS, explain, passed
from anlin.testing.cast import (
    GATE_IN,
    GATE_OUT,
    GUO,
    GUO_CARD,
    LANE_IN,
    LEASE_END,
    LIN,
    LIN_CARD,
    LIN_FACE,
    LIN_PLATE,
    QIAN_CARD,
    QIAN_FACE,
    RESIDENTS,
    RULES,
    UNIT_IN,
    WANG_CARD,
    make_policy,
    present,
    zhao_pass,
)
from anlin.testing.clock import MORNING

POLICY = make_policy()
SECOND = timedelta(seconds=1)
R = Reason


def reason(shown: Presentation, *instead, state: State = NORMAL, at: datetime = MORNING) -> Reason:
    return decide(make_policy(*instead) if instead else POLICY, shown, state, at).reason


def unknown(
    method: Method, value: str = "", point: AccessPoint = GATE_IN, **evidence
) -> Presentation:
    return Presentation(point.id, method, value, MORNING, Evidence(**evidence))


CARD = present(LIN_CARD)
FACE = present(LIN_FACE, liveness=Liveness.LIVE)
PLATE = present(LIN_PLATE, LANE_IN, vehicle_present=True)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (CARD, R.GRANTED),
        (FACE, R.GRANTED),
        (PLATE, R.GRANTED),
        (present(GUO_CARD), R.GRANTED),
        (present(GUO_CARD, UNIT_IN), R.GRANTED),
        (present(LIN_CARD, GATE_OUT), R.FREE_EGRESS),
        (unknown(Method.EXIT_BUTTON, point=GATE_OUT), R.FREE_EGRESS),
        (replace(CARD, point="nowhere"), R.UNKNOWN_ACCESS_POINT),
        (replace(CARD, age_s=10.0), R.GRANTED),
        (replace(CARD, age_s=10.001), R.STALE_PRESENTATION),
        (unknown(Method.PIN, "1234"), R.METHOD_NOT_ACCEPTED),
        (replace(CARD, point="lane-in", method=Method.FACE), R.METHOD_NOT_ACCEPTED),
        (present(LIN_FACE, masked=True), R.MASK_WORN),
        (present(LIN_FACE, masked=False), R.GRANTED),
        (present(LIN_FACE, liveness=Liveness.SPOOF), R.LIVENESS_FAILED),
        (unknown(Method.FACE), R.FACE_NOT_RECOGNISED),
        (unknown(Method.FACE, masked=True), R.MASK_WORN),
        (unknown(Method.PLATE, point=LANE_IN), R.PLATE_NOT_READ),
        (present(LIN_PLATE, LANE_IN, vehicle_present=False), R.VEHICLE_NOT_PRESENT),
        (present(LIN_PLATE, LANE_IN), R.SECOND_FACTOR_REQUIRED),
        (unknown(Method.CARD, "DEADBEEF"), R.CREDENTIAL_UNKNOWN),
        (unknown(Method.PLATE, "沪B99999", LANE_IN, vehicle_present=True), R.CREDENTIAL_UNKNOWN),
        (unknown(Method.CARD, LIN_CARD.id), R.CREDENTIAL_UNKNOWN),
        (unknown(Method.SECURE_CARD, LIN_CARD.key), R.CREDENTIAL_UNKNOWN),
        (replace(CARD, leave=zhao_pass()), R.CREDENTIAL_UNKNOWN),  # a pass is a QR or nothing
        (present(QIAN_CARD), R.RESIDENCY_ENDED),
        (present(QIAN_FACE), R.RESIDENCY_ENDED),
        (present(LIN_CARD, UNIT_IN), R.SECOND_FACTOR_REQUIRED),
    ],
)
def test_each_way_of_coming_gets_its_reason(shown, expected):
    assert reason(shown) is expected


@pytest.mark.parametrize(
    ("instead", "expected"),
    [
        (replace(GATE_IN, is_enabled=False), R.ACCESS_POINT_DISABLED),
        (replace(LIN_CARD, status=Status.SUSPENDED), R.CREDENTIAL_NOT_ENABLED),
        (replace(LIN_CARD, status=Status.LOST), R.CREDENTIAL_LOST),
        (replace(LIN_CARD, status=Status.REVOKED), R.CREDENTIAL_REVOKED),
        (replace(LIN_CARD, valid_from=MORNING + SECOND), R.CREDENTIAL_NOT_ACTIVE),
        (replace(LIN_CARD, valid_from=MORNING), R.GRANTED),
        (replace(LIN_CARD, valid_until=MORNING), R.CREDENTIAL_EXPIRED),
        (replace(LIN_CARD, valid_until=MORNING + SECOND), R.GRANTED),
        (replace(LIN_CARD, holder="nobody"), R.HOLDER_UNKNOWN),
        (replace(LIN, status=Status.SUSPENDED), R.HOLDER_NOT_ENABLED),
        (replace(LIN, status=Status.REVOKED), R.HOLDER_NOT_ENABLED),
        (replace(LIN, valid_from=MORNING + SECOND), R.HOLDER_NOT_ACTIVE),
        (replace(LIN, valid_from=MORNING), R.GRANTED),
        (replace(LIN, valid_until=MORNING), R.HOLDER_EXPIRED),
        (replace(LIN, valid_until=MORNING + SECOND), R.GRANTED),
        (replace(LIN, memberships=()), R.UNAUTHORIZED),
        (replace(LIN, memberships=(Membership("staff"),)), R.GRANTED),
        (replace(LIN, memberships=(Membership("cats"),)), R.UNAUTHORIZED),
        (
            replace(LIN, memberships=(Membership(RESIDENTS, MORNING + SECOND),)),
            R.RESIDENCY_NOT_ACTIVE,
        ),
        (replace(LIN, memberships=(Membership(RESIDENTS, MORNING),)), R.GRANTED),
        (replace(LIN, memberships=(Membership(RESIDENTS, None, MORNING),)), R.RESIDENCY_ENDED),
        (
            replace(LIN, memberships=(Membership(RESIDENTS, None, MORNING), Membership("staff"))),
            R.GRANTED,
        ),
        (replace(RULES[0], schedule="daytime"), R.GRANTED),
        (replace(RULES[0], schedule="no-such-schedule"), R.NOT_PERMITTED_AT_THIS_TIME),
        (replace(RULES[0], valid_from=MORNING + SECOND), R.NOT_PERMITTED_AT_THIS_TIME),
        (replace(RULES[0], valid_from=MORNING), R.GRANTED),
        (replace(RULES[0], valid_until=MORNING), R.NOT_PERMITTED_AT_THIS_TIME),
        (replace(RULES[0], valid_until=MORNING + SECOND), R.GRANTED),
        (replace(RULES[0], points=("lane-in",)), R.UNAUTHORIZED),
        (replace(GATE_IN, methods=(Method.QR,)), R.METHOD_NOT_ACCEPTED),
        (replace(GATE_IN, level=2), R.SECOND_FACTOR_REQUIRED),
        (replace(GATE_IN, level=0), R.GRANTED),
    ],
)
def test_lins_card_opens_only_while_everything_about_it_holds(instead, expected):
    assert reason(CARD, instead) is expected


def test_an_expired_card_is_denied_from_the_very_minute_of_its_end():
    midnight = datetime(2026, 11, 22, tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)
    card = replace(LIN_CARD, valid_until=midnight)
    assert reason(CARD, card, at=midnight - timedelta(microseconds=1)) is R.GRANTED
    assert reason(CARD, card, at=midnight) is R.CREDENTIAL_EXPIRED


def test_a_lease_takes_its_tenant_out_at_midnight_hub_or_no_hub():
    shown = present(QIAN_CARD)
    assert reason(shown, at=LEASE_END - SECOND) is R.GRANTED
    assert reason(shown, at=LEASE_END) is R.RESIDENCY_ENDED


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(Mode.LOCKDOWN), R.LOCKDOWN),
        (State(Mode.FIRE), R.FIRE_RELEASE),
        (State(records=False), R.RECORDS_UNAVAILABLE),
        (State(Mode.FIRE, records=False), R.FIRE_RELEASE),
        (State(Mode.LOCKDOWN, records=False), R.RECORDS_UNAVAILABLE),
    ],
)
def test_what_stands_above_credentials_decides_first(state, expected):
    assert reason(CARD, state=state) is expected


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("point", [GATE_OUT, replace(GATE_OUT, is_enabled=False)])
def test_the_way_out_is_always_granted(mode, records, method, point):
    shown = Presentation(GATE_OUT.id, method, "", MORNING, age_s=3600.0)
    found = decide(make_policy(point), shown, State(mode, records=records), MORNING)
    assert found.reason is (R.FIRE_RELEASE if mode is Mode.FIRE else R.FREE_EGRESS)
    assert found.is_granted


def test_an_exit_button_at_a_point_that_is_not_known_yet_still_lets_out():
    shown = Presentation("new-door", Method.EXIT_BUTTON, "", MORNING)
    assert reason(shown) is R.FREE_EGRESS
    assert decide(make_policy(records=()), shown, NORMAL, MORNING).reason is R.FREE_EGRESS


def test_in_a_fire_an_unknown_point_is_still_no_door_of_ours():
    shown = replace(CARD, point="nowhere")
    assert reason(shown, state=State(Mode.FIRE)) is R.UNKNOWN_ACCESS_POINT


FIRST = FirstFactor("lin", Method.CARD, 1, MORNING)


@pytest.mark.parametrize(
    ("first", "wait", "expected"),
    [
        (None, 0, R.SECOND_FACTOR_REQUIRED),
        (FIRST, 0, R.GRANTED),
        (FIRST, 15, R.GRANTED),
        (FIRST, 15.001, R.SECOND_FACTOR_REQUIRED),
        (FIRST, -1, R.SECOND_FACTOR_REQUIRED),  # the clock went back
        (replace(FIRST, holder="wang"), 1, R.SECOND_FACTOR_REQUIRED),
        (replace(FIRST, method=Method.FACE), 1, R.SECOND_FACTOR_REQUIRED),  # twice the same
        (replace(FIRST, level=0), 1, R.SECOND_FACTOR_REQUIRED),
    ],
)
def test_card_and_face_of_one_person_within_fifteen_seconds_open_the_unit_door(
    first, wait, expected
):
    shown = present(LIN_FACE, UNIT_IN)
    at = MORNING + timedelta(seconds=wait)
    assert reason(shown, state=State(first_factor=first), at=at) is expected


@pytest.mark.parametrize(
    ("method", "evidence", "level"),
    [
        (Method.CARD, Evidence(), 1),
        (Method.SECURE_CARD, Evidence(), 2),
        (Method.PIN, Evidence(), 1),
        (Method.QR, Evidence(), 2),
        (Method.FACE, Evidence(liveness=Liveness.LIVE), 1),
        (Method.TERMINAL_FACE, Evidence(liveness=Liveness.LIVE), 2),
        (Method.PHONE, Evidence(), 2),
        (Method.EXIT_BUTTON, Evidence(), 0),
        (Method.PLATE, Evidence(vehicle_present=True), 1),
        (Method.PLATE, Evidence(vehicle_present=False), 0),
        (Method.PLATE, Evidence(), 0),
    ],
)
def test_each_method_makes_us_as_sure_as_it_can(method, evidence, level):
    assert assurance(method, evidence) == level


@pytest.mark.parametrize(
    ("direction", "methods", "fault"),
    [
        (Direction.ENTRY, (Method.CARD, Method.FACE), None),
        (Direction.ENTRY, (Method.PLATE, Method.CARD), None),
        (Direction.ENTRY, (Method.FACE,), "accepts 1 method; at least two are required"),
        (Direction.ENTRY, (), "accepts 0 method"),
        (Direction.ENTRY, (Method.CARD, Method.EXIT_BUTTON), "accepts 1 method"),
        (Direction.ENTRY, (Method.CARD, Method.CARD), "accepts 1 method"),
        (Direction.ENTRY, (Method.FACE, Method.PHONE), "neither face nor phone"),
        (Direction.ENTRY, (Method.FACE, Method.TERMINAL_FACE), "neither face nor phone"),
        (Direction.EXIT, (), None),
    ],
)
def test_an_entry_must_have_a_way_for_those_without_face_or_phone(direction, methods, fault):
    found = point_fault(AccessPoint("p", "p", "d", direction, methods))
    assert found is None if fault is None else fault in found


def test_a_decision_names_who_by_what_and_on_which_revision():
    decision = decide(POLICY, CARD, NORMAL, MORNING)
    assert decision.is_granted
    assert (decision.holder, decision.label) == ("lin", "林先生")
    assert (decision.credential, decision.rule, decision.level) == ("lin-card", "r1", 1)
    assert decision.revision == POLICY.revision
    assert decision.error is None


def test_a_denial_names_whom_it_denied_as_far_as_they_are_known():
    assert decide(POLICY, present(QIAN_CARD), NORMAL, MORNING).holder == "qian"
    assert decide(POLICY, unknown(Method.CARD, "DEADBEEF"), NORMAL, MORNING).holder is None
    guest = Presentation("gate-in", Method.QR, "", MORNING, leave=zhao_pass(holder="new", uses=1))
    assert decide(POLICY, guest, NORMAL, MORNING).holder == "new"
    assert decide(POLICY, guest, NORMAL, MORNING).label == "赵女士"


def test_every_reason_belongs_to_one_check_and_only_granted_to_none():
    counted = Counter(reason for check in CHECKS for reason in check.reasons)
    assert set(counted) == set(Reason) - {R.GRANTED}
    assert set(counted.values()) == {1}
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    entries = {R.GRANTED, R.EMERGENCY_VEHICLE, R.TEMPORARY_VEHICLE}
    assert entries == ENTRIES
    assert {R.FREE_EGRESS, R.FIRE_RELEASE} | entries == GRANTS


def test_a_word_is_the_key_that_its_text_is():
    assert {"card": 1}[Method.CARD] == 1
    assert hash(R.GRANTED) == hash("granted")


SAYS = [
    (CARD, NORMAL, ["gate-in", "normal", "entry", "durable", "0.0 s old, limit 10 s"]),
    (replace(CARD, point="nowhere"), NORMAL, ["nowhere"]),
    (Presentation("new", Method.EXIT_BUTTON, "", MORNING), NORMAL, ["no such access point"]),
    (CARD, State(records=False), ["the journal can't be written"]),
    (CARD, NORMAL, ["card; accepts card, secure_card, face, qr", "none needed", "no pass"]),
    (CARD, NORMAL, ["lin-card, active, valid from ever to no end", "住户进小区", "level 1 of 1"]),
    (unknown(Method.CARD, "DEADBEEF"), NORMAL, ["this card is not registered"]),
    (
        present(QIAN_CARD),
        NORMAL,
        ["qian, active", "no rule admits residents (valid from ever to 2026-11-20T16"],
    ),
    (
        present(LIN_FACE, score=0.71, threshold=0.52, masked=True),
        NORMAL,
        ["score 0.710, threshold 0.520, mask yes, liveness unavailable"],
    ),
    (FACE, NORMAL, ["score none, threshold none, mask not available, liveness live"]),
    (PLATE, NORMAL, ["plate 京A12345, vehicle yes"]),
    (unknown(Method.PLATE, point=LANE_IN), NORMAL, ["plate not read, vehicle not known"]),
    (
        Presentation("gate-in", Method.QR, "x", MORNING, leave=zhao_pass()),
        State(pass_used=1),
        ["pass pass-1, 2026-11-20T23:15:00+00:00 to", "used 1 of 1"],
    ),
    (
        Presentation("gate-in", Method.QR, "x", MORNING, leave=zhao_pass(uses=0)),
        NORMAL,
        ["used 0 of any number", "the pass itself", "zhao, active"],
    ),
    (Presentation("gate-in", Method.QR, "x", MORNING), NORMAL, ["unreadable"]),
    (Presentation("gate-in", Method.QR, "x", MORNING, fault="cut short"), NORMAL, ["cut short"]),
    (
        Presentation("gate-in", Method.QR, "x", MORNING, leave=zhao_pass(holder="new", group="g")),
        NORMAL,
        ["as g", "no rule admits g (valid from ever to no end) here now"],
    ),
    (
        Presentation("gate-in", Method.QR, "x", MORNING, leave=zhao_pass(holder="new", group=None)),
        NORMAL,
        ["unknown"],
    ),
    (present(LIN_CARD, UNIT_IN), NORMAL, ["level 1 of 2"]),
]


@pytest.mark.parametrize(("shown", "state", "words"), SAYS)
def test_an_explanation_says_what_each_check_saw(shown, state, words):
    _, rows = explain(POLICY, shown, state, MORNING)
    said = "\n".join(row.saw for row in rows)
    for word in words:
        assert word in said


def test_an_explanation_of_somebody_without_a_group_says_so():
    _, rows = explain(make_policy(replace(LIN, memberships=())), CARD, NORMAL, MORNING)
    assert "no rule admits without a group here now" in [row.saw for row in rows]


@pytest.mark.parametrize(("shown", "state", "_"), SAYS)
def test_an_explanation_agrees_with_its_decision(shown, state, _):
    decision, rows = explain(POLICY, shown, state, MORNING)
    assert decision == decide(POLICY, shown, state, MORNING)
    assert [row.name for row in rows] == [check.name for check in CHECKS]
    assert [row.name for row in rows if row.outcome == "passed"] == list(passed(decision.reason))


def test_the_first_objection_stops_the_rest():
    _, rows = explain(POLICY, present(LIN_FACE, masked=True), NORMAL, MORNING)
    outcomes = {row.name: row.outcome for row in rows}
    assert outcomes["evidence"] == "mask_worn"
    assert outcomes["method"] == "passed"
    assert outcomes["credential"] == "not_reached"


def test_a_stale_read_is_one_that_outlived_its_person():
    assert timedelta(seconds=10) == STALE_AFTER


def test_guards_come_by_their_own_rule():
    rule = AccessRule("r0", "夜班", ("staff",), ("gate-in",))
    assert decide(make_policy(rule), present(GUO_CARD), NORMAL, MORNING).rule == "r0"
    assert GUO.kind == "staff"


def test_next_door_is_no_other_house():
    assert reason(present(WANG_CARD)) is R.GRANTED
    other = AccessPoint("door-2-in", "2 栋进", "door-2", Direction.ENTRY, (Method.CARD, Method.QR))
    assert reason(present(WANG_CARD, other), other) is R.UNAUTHORIZED
