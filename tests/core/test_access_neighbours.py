"""For every reason a case that is let in, and beside it one that is not: one field apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from anlin.core.access import (
    GRANTS,
    NORMAL,
    SECOND_FACTOR_WAIT,
    Companion,
    FirstFactor,
    Liveness,
    Mode,
    Place,
    Presentation,
    Reason,
    State,
    decide,
    memberships_of,
    subject_of,
)
from anlin.core.entities import (
    AccessPoint,
    AntiPassback,
    Area,
    Credential,
    Direction,
    Entity,
    Household,
    Membership,
    Method,
    Outsiders,
    Parking,
    Portal,
    RaisedLevel,
    RevokedPass,
    Status,
)
from anlin.core.explanation import explain
from anlin.core.qr import Freshness
from anlin.testing.cast import (
    COURTYARD,
    DAYTIME,
    GATE,
    GATE_IN,
    GATE_OUT,
    GUO_CARD,
    LANE,
    LANE_IN,
    LEASE_END,
    LIN,
    LIN_CARD,
    LIN_FACE,
    LIN_PLATE,
    RESIDENTS,
    RULES,
    UNIT_DOOR,
    UNIT_IN,
    WANG,
    WANG_CARD,
    make_policy,
    present,
    zhao_pass,
)
from anlin.testing.clock import MORNING

R = Reason
SECOND = timedelta(seconds=1)
JUST = timedelta(microseconds=1)


@dataclass(frozen=True)
class Case:
    """Somebody who shows something, in a community with a few records of its own."""

    shown: Presentation
    state: State = NORMAL
    records: tuple[Entity, ...] = ()

    def decide(self) -> Reason:
        return decide(make_policy(*self.records), self.shown, self.state, MORNING).reason

    def but(self, target: Any, field: str, value: Any) -> Case:
        """Give the neighbour in which one field of one thing is another."""
        changed = {field: value}
        match target:
            case "shown":
                return replace(self, shown=replace(self.shown, **changed))
            case "evidence":
                evidence = replace(self.shown.evidence, **changed)
                return replace(self, shown=replace(self.shown, evidence=evidence))
            case "pass":
                leave = self.shown.leave
                assert leave is not None
                return replace(self, shown=replace(self.shown, leave=replace(leave, **changed)))
            case "state":
                return replace(self, state=replace(self.state, **changed))
        kept = tuple(record for record in self.records if record is not target)
        return replace(self, records=(*kept, replace(target, **changed)))


PIN_GATE = replace(GATE_IN, methods=(*GATE_IN.methods, Method.PIN))
LIN_PIN = Credential("lin-pin", "lin", Method.PIN, "digest-of-lins-pin")
PARK = Area("park", "地库")
PARK_IN = replace(LANE_IN, area_to="park")
PARKING = Parking("park", Outsiders.ADMIT)
HARD_COURT = replace(COURTYARD, anti_passback=AntiPassback.HARD)
HARD_PARK = replace(PARK, anti_passback=AntiPassback.HARD)
OURS = Household("1-101", 1)
LIN_CAR = replace(LIN_PLATE, household="1-101")
OTHERS_PASS = RevokedPass("pass-2", MORNING)
IN_COURT, IN_PARK = Place("court", MORNING), Place("park", MORNING)

CARD = Case(present(LIN_CARD))
UNIT_CARD = Case(present(GUO_CARD, UNIT_IN))
PIN = Case(Presentation("gate-in", Method.PIN, LIN_PIN.key, MORNING), records=(PIN_GATE, LIN_PIN))
FACE = Case(present(LIN_FACE, liveness=Liveness.LIVE))
QR = Case(Presentation("gate-in", Method.QR, "text", MORNING, leave=zhao_pass()))
PLATE = Case(present(LIN_PLATE, LANE_IN, vehicle_present=True))
LIN_PARKS = Case(PLATE.shown, records=(PARK, PARK_IN, PARKING, LIN_CAR, OURS, LANE))
STRANGER = LIN_PARKS.but("shown", "value", "沪B99999")
POLICE = LIN_PARKS.but("shown", "value", "京A1234警")
LEAVING = Case(present(LIN_CARD, GATE_OUT), State(Mode.LOCKDOWN))
BURNING = Case(replace(CARD.shown, value="DEADBEEF"), State(Mode.FIRE))
ROTATING = Case(
    Presentation("gate-in", Method.QR, "text", MORNING, leave=zhao_pass(rotates=True)),
    State(pass_code=Freshness.FRESH),
)
TWO_EDGES = Case(
    replace(QR.shown, leave=zhao_pass(points=("door-1-in", "gate-in"))),
    records=(replace(UNIT_DOOR, node="node-2"), replace(GATE, node="node-1")),
)

NEIGHBOURS: list[tuple[Case, Reason, Any, str, Any, Reason]] = [
    (CARD, R.GRANTED, "shown", "point", "nowhere", R.UNKNOWN_ACCESS_POINT),
    (CARD, R.GRANTED, GATE_IN, "is_enabled", False, R.ACCESS_POINT_DISABLED),
    (CARD, R.GRANTED, "shown", "age_s", 10.001, R.STALE_PRESENTATION),
    (CARD, R.GRANTED, "state", "mode", Mode.LOCKDOWN, R.LOCKDOWN),
    (CARD, R.GRANTED, "state", "records", False, R.RECORDS_UNAVAILABLE),
    (CARD, R.GRANTED, GATE_IN, "methods", (Method.QR, Method.FACE), R.METHOD_NOT_ACCEPTED),
    (PIN, R.GRANTED, "state", "pin_locked_until", MORNING + JUST, R.PIN_LOCKED),
    (FACE, R.GRANTED, "evidence", "masked", True, R.MASK_WORN),
    (FACE, R.GRANTED, "evidence", "liveness", Liveness.SPOOF, R.LIVENESS_FAILED),
    (FACE, R.GRANTED, "shown", "value", "", R.FACE_NOT_RECOGNISED),
    (PLATE, R.GRANTED, "shown", "value", "", R.PLATE_NOT_READ),
    (PLATE, R.GRANTED, "evidence", "vehicle_present", False, R.VEHICLE_NOT_PRESENT),
    (QR, R.GRANTED, "shown", "fault", "cut short", R.PASS_INVALID),
    (QR, R.GRANTED, "shown", "leave", None, R.PASS_INVALID),
    (QR, R.GRANTED, "pass", "community", "elsewhere", R.PASS_OTHER_COMMUNITY),
    (replace(QR, records=(OTHERS_PASS,)), R.GRANTED, OTHERS_PASS, "id", "pass-1", R.PASS_REVOKED),
    (QR, R.GRANTED, "pass", "not_before", MORNING + 60 * SECOND + JUST, R.PASS_NOT_ACTIVE),
    (QR, R.GRANTED, "pass", "not_after", MORNING - 60 * SECOND, R.PASS_EXPIRED),
    (QR, R.GRANTED, "pass", "points", ("lane-in",), R.PASS_WRONG_POINT),
    (QR, R.GRANTED, "state", "pass_used", 1, R.PASS_USED),
    (ROTATING, R.GRANTED, "state", "pass_code", Freshness.STALE, R.PASS_STALE),
    (ROTATING, R.GRANTED, "state", "pass_code", Freshness.MISSING, R.PASS_STALE),
    (ROTATING, R.GRANTED, "state", "pass_code", None, R.PASS_STALE),
    (ROTATING, R.GRANTED, "state", "pass_code", Freshness.SHOWN, R.PASS_SHOWN),
    (ROTATING, R.GRANTED, "state", "pass_code", Freshness.UNKNOWN, R.PASS_UNPROVEN),
    (QR, R.GRANTED, "pass", "rotates", True, R.PASS_STALE),
    (TWO_EDGES, R.GRANTED, "state", "is_online", False, R.PASS_UNPROVEN),
    (PIN, R.GRANTED, "shown", "value", "digest-of-another", R.INVALID_PIN),
    (CARD, R.GRANTED, "shown", "value", "DEADBEEF", R.CREDENTIAL_UNKNOWN),
    (CARD, R.GRANTED, LIN_CARD, "status", Status.SUSPENDED, R.CREDENTIAL_NOT_ENABLED),
    (CARD, R.GRANTED, LIN_CARD, "status", Status.LOST, R.CREDENTIAL_LOST),
    (CARD, R.GRANTED, LIN_CARD, "status", Status.REVOKED, R.CREDENTIAL_REVOKED),
    (CARD, R.GRANTED, LIN_CARD, "valid_from", MORNING + JUST, R.CREDENTIAL_NOT_ACTIVE),
    (CARD, R.GRANTED, LIN_CARD, "valid_until", MORNING, R.CREDENTIAL_EXPIRED),
    (CARD, R.GRANTED, LIN_CARD, "holder", "nobody", R.HOLDER_UNKNOWN),
    (CARD, R.GRANTED, LIN, "status", Status.SUSPENDED, R.HOLDER_NOT_ENABLED),
    (CARD, R.GRANTED, LIN, "valid_from", MORNING + JUST, R.HOLDER_NOT_ACTIVE),
    (CARD, R.GRANTED, LIN, "valid_until", MORNING, R.HOLDER_EXPIRED),
    (CARD, R.GRANTED, LIN, "points", ("door-1-in",), R.OFF_VISITOR_PATH),
    (
        CARD,
        R.GRANTED,
        LIN,
        "memberships",
        (Membership(RESIDENTS, MORNING + JUST),),
        R.RESIDENCY_NOT_ACTIVE,
    ),
    (
        CARD,
        R.GRANTED,
        LIN,
        "memberships",
        (Membership(RESIDENTS, None, LEASE_END),),
        R.RESIDENCY_ENDED,
    ),
    (CARD, R.GRANTED, RULES[0], "points", ("lane-in",), R.UNAUTHORIZED),
    (CARD, R.GRANTED, RULES[0], "schedule", "no-such", R.NOT_PERMITTED_AT_THIS_TIME),
    (LIN_PARKS, R.GRANTED, PARKING, "residents_enter", False, R.PARKING_NEXT_DOOR),
    (LIN_PARKS, R.GRANTED, "state", "cars_inside", 1, R.HOUSEHOLD_FULL),
    (replace(CARD, records=(HARD_COURT,)), R.GRANTED, "state", "place", IN_COURT, R.ANTI_PASSBACK),
    (
        replace(LIN_PARKS, records=(HARD_PARK, *LIN_PARKS.records[1:])),
        R.GRANTED,
        "state",
        "place",
        IN_PARK,
        R.VEHICLE_ALREADY_INSIDE,
    ),
    (
        replace(CARD, records=(replace(COURTYARD, capacity=2),)),
        R.GRANTED,
        "state",
        "inside",
        2,
        R.AREA_FULL,
    ),
    (CARD, R.GRANTED, "state", "blocked_by", "door-1", R.INTERLOCKED),
    (CARD, R.GRANTED, GATE_IN, "level", 2, R.SECOND_FACTOR_REQUIRED),
    (CARD, R.GRANTED, LIN, "needs_escort", True, R.ESCORT_REQUIRED),
    (CARD, R.GRANTED, GATE_IN, "persons", 2, R.SECOND_PERSON_REQUIRED),
    (QR, R.GRANTED, "state", "pass_used", None, R.INTERNAL_ERROR),
    (LEAVING, R.FREE_EGRESS, GATE_OUT, "direction", Direction.ENTRY, R.LOCKDOWN),
    (BURNING, R.FIRE_RELEASE, "state", "mode", Mode.NORMAL, R.CREDENTIAL_UNKNOWN),
    (POLICE, R.EMERGENCY_VEHICLE, "evidence", "vehicle_present", None, R.CREDENTIAL_UNKNOWN),
    (STRANGER, R.TEMPORARY_VEHICLE, PARKING, "outsiders", Outsiders.REFUSE, R.CREDENTIAL_UNKNOWN),
]


@pytest.mark.parametrize(
    ("case", "lets_in", "target", "field", "value", "keeps_out"),
    NEIGHBOURS,
    ids=[f"{row[5]}-by-{row[3]}" for row in NEIGHBOURS],
)
def test_one_field_stands_between_a_grant_and_its_denial(
    case, lets_in, target, field, value, keeps_out
):
    assert case.decide() is lets_in
    assert case.but(target, field, value).decide() is keeps_out


def test_every_reason_has_its_neighbours():
    assert {row[1] for row in NEIGHBOURS} == GRANTS
    assert {row[5] for row in NEIGHBOURS} == set(Reason) - GRANTS


# PINs


def test_a_closed_keypad_opens_again_at_the_minute():
    assert PIN.but("state", "pin_locked_until", MORNING).decide() is R.GRANTED


def test_a_closed_keypad_says_nothing_of_whether_a_pin_was_right():
    locked = PIN.but("state", "pin_locked_until", MORNING + SECOND)
    assert locked.but("shown", "value", "digest-of-another").decide() is R.PIN_LOCKED


def test_a_card_is_heard_beside_a_closed_keypad():
    assert CARD.but("state", "pin_locked_until", MORNING + SECOND).decide() is R.GRANTED


def test_under_duress_the_same_door_opens_for_the_same_person():
    forced = PIN.but("shown", "value", "digest-of-his-pin-plus-one")
    forced = forced.but("shown", "forced_from", LIN_PIN.key)
    policy = make_policy(*PIN.records)
    plain = decide(policy, PIN.shown, State(), MORNING)
    under = decide(policy, forced.shown, State(), MORNING)
    assert under.is_duress
    assert not plain.is_duress
    assert under._replace(is_duress=False) == plain


def test_under_duress_a_denial_calls_for_help_as_well():
    forced = PIN.but("shown", "value", "x").but("shown", "forced_from", LIN_PIN.key)
    policy = make_policy(*PIN.records, replace(PIN_GATE, level=2))
    found = decide(policy, forced.shown, State(), MORNING)
    assert found.reason is R.SECOND_FACTOR_REQUIRED
    assert found.is_duress


def test_a_pin_that_is_right_is_no_duress_whoever_stands_before_it():
    other = Credential("wang-pin", "wang", Method.PIN, "digest-of-wangs-pin")
    shown = replace(PIN.shown, forced_from=other.key)
    found = decide(make_policy(*PIN.records, other), shown, State(), MORNING)
    assert (found.holder, found.is_duress) == ("lin", False)


# Passes


@pytest.mark.parametrize(
    ("leave", "point", "expected"),
    [
        (zhao_pass(points=("gate-in", "door-1-in")), "gate-in", R.GRANTED),
        (zhao_pass(points=("door-1-in", "gate-in")), "gate-in", R.PASS_UNPROVEN),
        (zhao_pass(points=("door-1-in", "gate-in"), uses=0), "gate-in", R.GRANTED),
        (zhao_pass(points=("gate-in",)), "gate-in", R.GRANTED),
        (zhao_pass(points=()), "gate-in", R.PASS_UNPROVEN),  # its home is the first by name
        (zhao_pass(points=("gone", "gate-in")), "gate-in", R.PASS_UNPROVEN),
    ],
)
def test_cut_off_from_the_hub_only_a_passs_home_counts_its_uses(leave, point, expected):
    shown = Presentation(point, Method.QR, "text", MORNING, leave=leave)
    policy = make_policy(*TWO_EDGES.records)
    assert decide(policy, shown, State(is_online=False), MORNING).reason is expected


def test_a_visitors_path_ends_at_the_hosts_door():
    path = replace(LIN, points=("gate-in", "door-1-in"))
    assert replace(CARD, records=(path,)).decide() is R.GRANTED


# Parking


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ((), R.TEMPORARY_VEHICLE),
        (("state", "place", IN_COURT), R.TEMPORARY_VEHICLE),
        (("state", "place", IN_PARK), R.VEHICLE_ALREADY_INSIDE),
        (("state", "blocked_by", "door-1"), R.INTERLOCKED),
        ((PARK, "capacity", 1), R.TEMPORARY_VEHICLE),
        ((PARK_IN, "level", 2), R.CREDENTIAL_UNKNOWN),
        ((PARK_IN, "persons", 2), R.CREDENTIAL_UNKNOWN),
        ((PARK_IN, "area_to", None), R.CREDENTIAL_UNKNOWN),
        ((PARK_IN, "raised", (RaisedLevel("daytime", 2),)), R.CREDENTIAL_UNKNOWN),
        ((PARK_IN, "raised", (RaisedLevel("no-such", 2),)), R.CREDENTIAL_UNKNOWN),
        ((PARK_IN, "raised", (RaisedLevel("no-such", 1),)), R.TEMPORARY_VEHICLE),
        (("evidence", "vehicle_present", None), R.CREDENTIAL_UNKNOWN),
        (("evidence", "vehicle_present", False), R.VEHICLE_NOT_PRESENT),
    ],
)
def test_a_car_that_nobody_registered_comes_in_by_the_parking_rule_alone(changed, expected):
    case = STRANGER.but(*changed) if changed else STRANGER
    assert case.decide() is expected


@pytest.mark.parametrize(
    ("inside", "place", "expected"),
    [(1, None, R.TEMPORARY_VEHICLE), (2, None, R.AREA_FULL), (3, None, R.AREA_FULL)],
)
def test_a_full_car_park_takes_no_stranger(inside, place, expected):
    case = STRANGER.but(PARK, "capacity", 2)
    assert case.but("state", "inside", inside).decide() is expected


SECOND_LANE = Portal("lane-2", "西门车道", node="node-2")
LANE_2_OUT = AccessPoint(
    "lane-2-out", "西门出", "lane-2", Direction.EXIT, (), area_from="park", area_to="street"
)


def test_a_stranger_who_left_by_another_edges_lane_may_come_again():
    case = STRANGER.but("state", "place", IN_PARK)
    shared = replace(case, records=(*case.records, SECOND_LANE, LANE_2_OUT))
    assert shared.decide() is R.TEMPORARY_VEHICLE
    full = shared.but(PARK, "capacity", 1).but("state", "inside", 1)
    assert full.decide() is R.TEMPORARY_VEHICLE  # it is among those counted inside


@pytest.mark.parametrize(
    ("plate", "expected"),
    [
        ("京A1234警", R.EMERGENCY_VEHICLE),
        ("京A1234应急", R.EMERGENCY_VEHICLE),
        ("WJ京12345", R.EMERGENCY_VEHICLE),
        ("京A1234学", R.CREDENTIAL_UNKNOWN),
    ],
)
def test_fire_engines_and_police_stop_at_no_barrier(plate, expected):
    case = STRANGER.but(PARKING, "outsiders", Outsiders.REFUSE)
    crowded = case.but("state", "place", IN_PARK).but("state", "blocked_by", "door-1")
    assert crowded.but("shown", "value", plate).decide() is expected


def test_an_emergency_plate_is_a_strangers_where_the_rule_says_so():
    case = POLICE.but(PARKING, "emergency_enters", False)
    assert case.decide() is R.TEMPORARY_VEHICLE


def test_a_lockdown_stops_a_strange_emergency_plate_too():
    assert POLICE.but("state", "mode", Mode.LOCKDOWN).decide() is R.LOCKDOWN


@pytest.mark.parametrize(
    ("household", "cars_inside", "place", "expected"),
    [
        (OURS, 0, None, R.GRANTED),
        (OURS, 1, None, R.HOUSEHOLD_FULL),
        (OURS, 1, IN_PARK, R.GRANTED),  # it is the one counted
        (OURS, 2, IN_PARK, R.HOUSEHOLD_FULL),
        (OURS, 1, IN_COURT, R.HOUSEHOLD_FULL),
        (replace(OURS, cars=2), 1, None, R.GRANTED),
        (replace(OURS, cars=0), 0, None, R.HOUSEHOLD_FULL),
        (replace(OURS, cars=None), 9, None, R.GRANTED),
        (replace(OURS, id="1-102"), 9, None, R.GRANTED),
    ],
)
def test_a_household_has_as_many_cars_inside_as_spaces(household, cars_inside, place, expected):
    records = (*(r for r in LIN_PARKS.records if r is not OURS), household)
    case = replace(LIN_PARKS, records=records, state=State(cars_inside=cars_inside, place=place))
    assert case.decide() is expected


def test_staff_park_where_residents_are_sent_next_door():
    case = LIN_PARKS.but(PARKING, "residents_enter", False)
    guard = replace(LIN, kind="staff")
    assert replace(case, records=(*case.records, guard)).decide() is R.GRANTED


# Areas


def timed(seconds: float) -> Place:
    return Place("court", MORNING - timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("rule", "place", "expected", "noted"),
    [
        (AntiPassback.OFF, IN_COURT, R.GRANTED, False),
        (AntiPassback.SOFT, IN_COURT, R.GRANTED, True),
        (AntiPassback.HARD, IN_COURT, R.ANTI_PASSBACK, True),
        (AntiPassback.TIMED, timed(899), R.ANTI_PASSBACK, True),
        (AntiPassback.TIMED, timed(900), R.GRANTED, False),
        (AntiPassback.HARD, timed(10**6), R.ANTI_PASSBACK, True),
        (AntiPassback.HARD, None, R.GRANTED, False),  # whoever is nowhere is forgiven
        (AntiPassback.HARD, Place("street", MORNING), R.GRANTED, False),
    ],
)
@pytest.mark.parametrize("is_shared", [False, True])
def test_who_is_inside_already_comes_in_twice_only_as_the_area_says(
    rule, place, expected, noted, is_shared
):
    area = replace(COURTYARD, anti_passback=rule)
    other = replace(UNIT_DOOR, node="node-2" if is_shared else None)
    found = decide(make_policy(area, other), CARD.shown, State(place=place), MORNING)
    # What another edge has seen this one has not: it notes, and admits.
    assert found.reason is (R.GRANTED if is_shared else expected)
    assert found.is_passback is noted


def test_a_car_inside_a_car_park_is_noted_even_without_anti_passback():
    state = State(place=IN_PARK)
    found = decide(make_policy(*LIN_PARKS.records), LIN_PARKS.shown, state, MORNING)
    assert (found.reason, found.is_passback) == (R.GRANTED, True)
    records = [record for record in LIN_PARKS.records if record is not PARKING]
    found = decide(make_policy(*records), LIN_PARKS.shown, state, MORNING)
    assert (found.reason, found.is_passback) == (R.GRANTED, False)


@pytest.mark.parametrize(
    ("capacity", "inside", "place", "expected"),
    [
        (0, 99, None, R.GRANTED),
        (2, 1, None, R.GRANTED),
        (2, 2, None, R.AREA_FULL),
        (2, 3, None, R.AREA_FULL),
        (2, 2, IN_COURT, R.GRANTED),
        (2, 2, IN_PARK, R.AREA_FULL),
    ],
)
def test_an_area_takes_as_many_as_it_holds(capacity, inside, place, expected):
    case = Case(CARD.shown, State(inside=inside, place=place))
    assert replace(case, records=(replace(COURTYARD, capacity=capacity),)).decide() is expected


def test_nobody_is_kept_in_by_an_area_or_an_interlock():
    state = State(place=Place("street", MORNING), inside=99, blocked_by="door-1")
    street = Area("street", "街道", AntiPassback.HARD, capacity=1)
    found = decide(make_policy(street), present(LIN_CARD, GATE_OUT), state, MORNING)
    assert found.reason is R.FREE_EGRESS


# How sure, and how many


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ((), R.GRANTED),
        ((RaisedLevel("daytime", 2),), R.SECOND_FACTOR_REQUIRED),
        ((RaisedLevel("night", 2),), R.GRANTED),
        ((RaisedLevel("missing", 2),), R.SECOND_FACTOR_REQUIRED),
        ((RaisedLevel("daytime", 1), RaisedLevel("night", 3)), R.GRANTED),
        ((RaisedLevel("night", 3), RaisedLevel("daytime", 2)), R.SECOND_FACTOR_REQUIRED),
    ],
)
def test_a_schedule_may_ask_for_more_and_never_for_less(raised, expected):
    night = replace(DAYTIME, id="night", weekly=())
    assert replace(CARD, records=(night, replace(GATE_IN, raised=raised))).decide() is expected


def test_the_highest_level_that_holds_is_the_one_asked_for():
    raised = (RaisedLevel("daytime", 3), RaisedLevel("daytime", 2))
    first = State(first_factor=FirstFactor("lin", Method.FACE, 1, MORNING))
    case = Case(CARD.shown, first, (replace(GATE_IN, raised=raised),))
    assert case.decide() is R.SECOND_FACTOR_REQUIRED
    sure = replace(first, first_factor=FirstFactor("lin", Method.FACE, 2, MORNING))
    assert replace(case, state=sure).decide() is R.GRANTED


def companion(holder: str = "wang", wait: timedelta = timedelta(0), *, can_escort=False) -> State:
    return State(companion=Companion(holder, MORNING - wait, can_escort))


LED = replace(LIN, needs_escort=True)
GUIDE = replace(LIN, can_escort=True)
LED_WANG = replace(WANG, needs_escort=True)


@pytest.mark.parametrize(
    ("holder", "persons", "state", "expected"),
    [
        (LIN, 2, State(), R.SECOND_PERSON_REQUIRED),
        (LIN, 2, companion(), R.GRANTED),
        (LIN, 2, companion("lin"), R.SECOND_PERSON_REQUIRED),  # alone, twice
        (LIN, 2, companion(wait=SECOND_FACTOR_WAIT), R.GRANTED),
        (LIN, 2, companion(wait=SECOND_FACTOR_WAIT + JUST), R.SECOND_PERSON_REQUIRED),
        (LIN, 2, companion(wait=-JUST), R.SECOND_PERSON_REQUIRED),  # the clock went back
        (LIN, 1, companion("lin"), R.GRANTED),
        (LED, 1, State(), R.ESCORT_REQUIRED),
        (LED, 1, companion(), R.ESCORT_REQUIRED),
        (LED, 1, companion(can_escort=True), R.GRANTED),
        (LED, 1, companion("lin", can_escort=True), R.ESCORT_REQUIRED),
        (LED, 1, companion(wait=16 * SECOND, can_escort=True), R.ESCORT_REQUIRED),
        (LED, 2, companion(can_escort=True), R.GRANTED),
        (LED, 2, companion(), R.ESCORT_REQUIRED),
    ],
)
def test_who_may_not_come_alone_comes_with_the_right_one(holder, persons, state, expected):
    records = (holder, replace(GATE_IN, persons=persons))
    assert Case(CARD.shown, state, records).decide() is expected


@pytest.mark.parametrize(
    ("holder", "expected"), [(LIN, R.ESCORT_REQUIRED), (LED, R.ESCORT_REQUIRED), (GUIDE, R.GRANTED)]
)
def test_nobody_who_needs_an_escort_comes_in_as_a_second_person(holder, expected):
    records = (holder, LED_WANG, replace(GATE_IN, persons=2))
    assert Case(CARD.shown, companion("wang"), records).decide() is expected


def test_a_second_person_must_be_known_by_name():
    """A pass of somebody this edge has not heard of opens for one, never for half of two."""
    shown = replace(QR.shown, leave=zhao_pass(holder="new"))
    assert Case(shown).decide() is R.GRANTED
    case = Case(shown, companion(), (replace(GATE_IN, persons=2),))
    assert case.decide() is R.SECOND_PERSON_REQUIRED


def test_the_first_persons_second_factor_is_no_second_person():
    state = State(first_factor=FirstFactor("wang", Method.FACE, 1, MORNING))
    case = Case(present(WANG_CARD), state, (replace(GATE_IN, persons=2, level=2),))
    assert case.decide() is R.SECOND_PERSON_REQUIRED


# What an explanation says of all this


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (PIN, ["open"]),
        (CARD, ["no PIN", "anywhere", "no vehicle", "free", "1 wanted; with nobody"]),
        (PIN.but("state", "pin_locked_until", MORNING + SECOND), ["closed until 2026-11-20T23:30"]),
        (CARD.but(LIN, "points", ("gate-in", "x")), ["gate-in, x"]),
        (PLATE, ["no parking rule", "no area"]),
        (
            LIN_PARKS,
            ["residents may enter, others: admit, household has 0 inside of 1"],
        ),
        (LIN_PARKS.but(OURS, "cars", None), ["inside of any number"]),
        (
            LIN_PARKS.but(PARKING, "residents_enter", False),
            ["residents park next door, others: admit"],
        ),
        (
            CARD.but("state", "place", IN_COURT).but(COURTYARD, "capacity", 5),
            ["into 小区: last known in court since 2026-11-20T23:30", "0 inside of 5"],
        ),
        (
            replace(CARD, records=(replace(UNIT_DOOR, node="node-2"),)),
            ["last known unknown; anti-passback off, shared by several nodes; 0 inside of any"],
        ),
        (CARD.but("state", "blocked_by", "door-1"), ["door-1 is open"]),
        (
            CARD.but(LIN, "needs_escort", True).but("state", "companion", Companion("x", MORNING)),
            ["1 wanted, needs an escort; with x"],
        ),
        (POLICE, ["京A1234警 is not registered; judged by the parking rule"]),
        (
            STRANGER.but("state", "blocked_by", "door-1"),
            ["nobody whom we know", "the parking rule", "household has 0 inside of any number"],
        ),
        (STRANGER.but(PARKING, "outsiders", Outsiders.REFUSE), ["this plate is not registered"]),
    ],
)
def test_an_explanation_says_what_each_later_check_saw(case, words):
    _, rows = explain(make_policy(*case.records), case.shown, case.state, MORNING)
    said = "\n".join(row.saw for row in rows)
    for word in words:
        assert word in said


def test_a_car_is_known_by_its_plate_and_a_person_by_name():
    assert subject_of(Method.PLATE, "京A12345", "lin") == "plate:京A12345"
    assert subject_of(Method.PLATE, "", "lin") == "lin"
    assert subject_of(Method.CARD, "04A1", "lin") == "lin"
    assert subject_of(Method.CARD, "04A1", None) is None


def test_somebody_unknown_comes_as_the_group_of_their_pass_or_as_nobody():
    assert memberships_of(None, None) == ()
    assert memberships_of(None, zhao_pass(group=None)) == ()
    assert memberships_of(None, zhao_pass(group="g")) == (Membership("g"),)
    assert memberships_of(LIN, zhao_pass(group="g")) == LIN.memberships
