"""What must hold for every policy, presentation and state, not only for those thought of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import pytest
from slow_reference import judge

from anlin.core.access import (
    NORMAL,
    Companion,
    Decision,
    Evidence,
    FirstFactor,
    Liveness,
    Mode,
    Place,
    Presentation,
    Reason,
    State,
    decide,
)
from anlin.core.entities import (
    AccessPoint,
    AccessRule,
    AntiPassback,
    Area,
    Community,
    Credential,
    Direction,
    Holder,
    HolderKind,
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
from anlin.core.explanation import CHECKS, explain, passed
from anlin.core.policy import Policy
from anlin.core.qr import Freshness, Pass
from anlin.core.schedule import Period, Schedule
from anlin.testing.cast import (
    GATE_IN,
    GATE_OUT,
    LIN_CARD,
    LIN_FACE,
    make_policy,
    present,
    zhao_pass,
)
from anlin.testing.clock import MORNING

AT = MORNING
WORLDS = 500
CASES_PER_WORLD = 16
METHODS = [Method.CARD, Method.SECURE_CARD, Method.PIN, Method.FACE, Method.PLATE, Method.QR]
OFFSETS_S = [-7200, -61, -60, -1, 0, 1, 59, 60, 61, 7200]
STRANGE_PLATES = ["京A1234警", "WJ京12345", "京A1234应急", "沪B99999"]


@dataclass(frozen=True)
class World:
    community: Community
    points: tuple[AccessPoint, ...]
    portals: tuple[Portal, ...]
    areas: tuple[Area, ...]
    parking: tuple[Parking, ...]
    households: tuple[Household, ...]
    holders: tuple[Holder, ...]
    credentials: tuple[Credential, ...]
    rules: tuple[AccessRule, ...]
    schedules: tuple[Schedule, ...]
    revoked: tuple[RevokedPass, ...]

    def policy(self) -> Policy:
        people = (self.community, *self.points, *self.holders, *self.credentials)
        places = (*self.portals, *self.areas, *self.parking, *self.households)
        return make_policy(records=(*people, *places, *self.rules, *self.schedules, *self.revoked))


class Dice(Random):
    """Chance with a taste: each fault is rare, so that a good part of all cases is granted."""

    def mostly(self, usual: Any, *others: Any) -> Any:
        return usual if self.random() < 0.95 else self.choice(others)

    def often(self, usual: Any, *others: Any) -> Any:
        return usual if self.random() < 0.8 else self.choice(others)

    def moment(self) -> datetime:
        return AT + timedelta(seconds=self.choice(OFFSETS_S))

    def bound(self) -> datetime | None:
        return None if self.random() < 0.93 else self.moment()

    def some(self, of: list[Any], least: int = 1) -> tuple[Any, ...]:
        return tuple(self.sample(of, self.randint(least, len(of))))


def build_world(dice: Dice) -> World:
    """Make a small community in which nearly everything is in order."""
    mostly, often, some, bound, pick = (
        dice.mostly,
        dice.often,
        dice.some,
        dice.bound,
        dice.choice,
    )

    def status() -> Status:
        return mostly(Status.ACTIVE, Status.SUSPENDED, Status.LOST, Status.REVOKED)

    methods = tuple(METHODS)
    points = tuple(
        AccessPoint(
            id_,
            id_,
            f"portal-{id_}",
            Direction.EXIT if id_ == "out" else Direction.ENTRY,
            mostly(methods, (Method.CARD, Method.QR), ()),
            pick([0, 1, 1, 1, 1, 2]),
            mostly(True, False),
            "a0" if id_ == "out" else None,
            pick(["a0", "a0", "a1", "gone", None]),
            often((), (RaisedLevel(pick(["s0", "missing"]), pick([1, 2, 3])),)),
            mostly(1, 2),
        )
        for id_ in ("in-1", "in-2", "out")
    )
    portals = tuple(
        Portal(f"portal-{id_}", id_, node=often("n0", "n1", None))
        for id_ in ("in-1", "in-2", "out")
        if mostly(True, False)
    )
    areas = tuple(
        Area(id_, id_, pick(list(AntiPassback)), 60.0, often(0, 1, 2)) for id_ in ("a0", "a1")
    )
    parking = tuple(
        Parking(id_, pick(list(Outsiders)), mostly(True, False), None, mostly(True, False))
        for id_ in ("a0", "gone")
        if dice.random() < 0.8
    )
    households = (Household("f0", 1), Household("f1", None), Household("f2", 0))
    holders = tuple(
        Holder(
            id_,
            id_,
            pick([HolderKind.RESIDENT, HolderKind.STAFF]),
            tuple(
                Membership(group, bound(), bound()) for group in often(("g0", "g1"), ("g0",), ())
            ),
            status(),
            bound(),
            bound(),
            needs_escort=mostly(False, True),
            can_escort=pick([False, True]),
            points=often((), ("in-1",), ("in-2", "out")),
        )
        for id_ in ("h0", "h1")
    )
    credentials = tuple(
        Credential(
            f"{method}-{key}",
            mostly(pick(["h0", "h1"]), "gone"),
            method,
            key,
            status(),
            bound(),
            bound(),
            pick([None, "f0", "f1", "f2", "gone"]) if method is Method.PLATE else None,
        )
        for method in METHODS
        for key in ("k0", "k1")
        if dice.random() < 0.9
    )
    rules = tuple(
        AccessRule(
            f"r{number}",
            "rule",
            some(["g0", "g1", "g2"]),
            some(["in-1", "in-2", "out"]),
            mostly(pick([None, None, "s0", "s1"]), "missing"),
            bound(),
            bound(),
        )
        for number in range(dice.randint(1, 3))
    )
    schedules = tuple(
        Schedule(
            id_,
            id_,
            "Asia/Shanghai",
            tuple(
                Period(dice.randint(430, 460), pick([440, 450, 451, 1440]), some([5, 6, 7]))
                for _ in range(dice.randint(0, 2))
            ),
        )
        for id_ in ("s0", "s1")
    )
    revoked = (RevokedPass(mostly("p1", "p0"), AT),)
    return World(
        Community("here", "here"),
        points,
        portals,
        areas,
        parking,
        households,
        holders,
        credentials,
        rules,
        schedules,
        revoked,
    )


def build_shown(dice: Dice) -> Presentation:
    """Make somebody who shows something."""
    mostly, often, pick = dice.mostly, dice.often, dice.choice
    usual = [*METHODS, Method.QR, Method.QR, Method.PLATE]
    method = mostly(pick(usual), Method.EXIT_BUTTON, Method.PHONE)
    leave = None
    if method is Method.QR and mostly(True, False):
        leave = Pass(
            "p0",
            mostly("here", "elsewhere"),
            "issuer",
            pick(["h0", "h1", "new"]),
            mostly(AT - timedelta(hours=1), dice.moment()),
            mostly(AT + timedelta(hours=1), dice.moment()),
            pick([(), (), ("in-1",), ("in-1", "in-2")]),
            dice.randint(0, 2),
            pick([None, "g0", "g1"]),
            rotates=often(False, True),
        )
    value = mostly(pick(["k0", "k1"]), "")
    if method is Method.PLATE:
        value = often(value, *STRANGE_PLATES)
    if method is Method.PIN:
        value = often(value, "zz")
    # A PIN is never its own duress code, so no keyed digest is both.
    others = [None, *({"k0", "k1"} - {value})]
    return Presentation(
        mostly(pick(["in-1", "in-2"]), "out", "nowhere"),
        method,
        value,
        AT,
        Evidence(
            masked=mostly(pick([None, False]), True),
            liveness=mostly(pick([Liveness.LIVE, Liveness.UNKNOWN]), Liveness.SPOOF),
            vehicle_present=mostly(True, False, None),
        ),
        leave,
        mostly(None, "cut short") if method is Method.QR else None,
        mostly(0.0, 10.0, 10.5),
        pick(sorted(others, key=str)) if method is Method.PIN else None,
    )


def build_state(dice: Dice) -> State:
    """Make what stands above somebody, and what is remembered of them."""
    mostly, often, pick = dice.mostly, dice.often, dice.choice
    first = FirstFactor(
        pick(["h0", "h1"]),
        pick(METHODS),
        dice.randint(0, 2),
        AT + timedelta(seconds=pick([-16, -15, 0, 1])),
    )
    companion = Companion(
        pick(["h0", "h1", "new"]),
        AT + timedelta(seconds=pick([-16, -15, 0, 1])),
        pick([False, True]),
    )
    place = Place(pick(["a0", "a1"]), AT + timedelta(seconds=pick([-61, -60, -59, 0])))
    return State(
        mostly(Mode.NORMAL, Mode.LOCKDOWN, Mode.FIRE),
        mostly(0, 1, 2),
        pick([None, first]),
        mostly(True, False),
        often(True, False),
        often(None, dice.moment()),
        often(None, place),
        dice.randint(0, 2),
        dice.randint(0, 2),
        mostly(None, "portal-in-2"),
        pick([None, companion]),
        mostly(Freshness.FRESH, None, *Freshness),
    )


@cache
def cases() -> list[tuple[World, Policy, Presentation, State]]:
    """Make the same cases every time, some for each world."""
    dice = Dice(20261121)
    made = []
    for _ in range(WORLDS):
        world = build_world(dice)
        policy = world.policy()
        made += [
            (world, policy, build_shown(dice), build_state(dice)) for _ in range(CASES_PER_WORLD)
        ]
    return made


def is_way_out(world: World, shown: Presentation) -> bool:
    directions = {point.id: point.direction for point in world.points}
    return shown.method is Method.EXIT_BUTTON or directions.get(shown.point) is Direction.EXIT


PLACE_OF = {reason: index for index, check in enumerate(CHECKS) for reason in check.reasons}


def agrees(world: World, shown: Presentation, state: State, decision: Decision) -> bool:
    """Say whether a decision on an entry is what all the rules together lead to."""
    verdict = judge(world, shown, state, AT)
    if decision.is_duress is not verdict.is_duress:
        return False
    if not verdict.objections:
        if verdict.instead is not None:
            return decision.reason is verdict.instead and decision.rule is None
        is_same = decision.reason is Reason.GRANTED and decision.rule in verdict.rules
        return is_same and decision.is_passback is verdict.is_passback
    # Of all that speaks against it, what stands first in the order of the checks is told.
    first = min(PLACE_OF[reason] for reason in verdict.objections)
    is_told = decision.reason in verdict.objections and PLACE_OF[decision.reason] == first
    return is_told and not decision.is_granted


def test_every_decision_is_what_all_the_rules_together_lead_to():
    seen: Counter[Reason] = Counter()
    flags: Counter[str] = Counter()
    for world, policy, shown, state in cases():
        decision = decide(policy, shown, state, AT)
        seen[decision.reason] += 1
        flags["duress"] += decision.is_duress and decision.reason is Reason.GRANTED
        flags["passback"] += decision.is_passback and decision.is_granted
        if shown.point == "nowhere" and shown.method is not Method.EXIT_BUTTON:
            holds = decision.reason is Reason.UNKNOWN_ACCESS_POINT
        elif state.mode is Mode.FIRE:
            holds = decision.reason is Reason.FIRE_RELEASE
        elif is_way_out(world, shown):
            holds = decision.reason is Reason.FREE_EGRESS
        else:
            holds = agrees(world, shown, state, decision)
        assert holds, (world, shown, state, decision)
        assert decision.error is None, (world, shown, state, decision)
    # The cases are worth something only while all this happens in them.
    assert set(Reason) - set(seen) == {Reason.INTERNAL_ERROR}
    assert seen[Reason.GRANTED] > seen.total() / 12
    assert min(flags["duress"], flags["passback"]) > 12, flags


def test_a_decision_claims_no_more_than_it_has_weighed():
    places = {check.name: index for index, check in enumerate(CHECKS)}
    for _, policy, shown, state in cases()[::3]:
        decision = decide(policy, shown, state, AT)
        place = PLACE_OF.get(decision.reason, len(CHECKS))
        if place < places["assurance"]:
            assert decision.level == 0
        if place < places["area"]:
            assert not decision.is_passback
        if place <= places["rule"]:
            assert decision.rule is None
        assert (decision.point, decision.method) == (shown.point, shown.method)
        assert decision.revision == policy.revision


def test_what_a_camera_or_a_stranger_says_never_widens_what_a_card_may():
    """Only its own state speaks for a presentation: a loose guess beside it changes nothing."""
    for _, policy, shown, state in cases()[::5]:
        plain = decide(policy, shown, state, AT)
        if not plain.is_granted and shown.method is Method.CARD:
            loud = Evidence(score=1.0, threshold=0.0, liveness=Liveness.LIVE, vehicle_present=True)
            assert not decide(policy, replace(shown, evidence=loud), state, AT).is_granted


def test_every_explanation_agrees_with_its_decision():
    for _, policy, shown, state in cases()[::4]:
        decision, rows = explain(policy, shown, state, AT)
        assert decision == decide(policy, shown, state, AT)
        spoke = [index for index, check in enumerate(CHECKS) if decision.reason in check.reasons]
        place = spoke[0] if spoke else len(CHECKS)
        expected = ["passed"] * place + [decision.reason.value] * len(spoke)
        expected += ["not_reached"] * (len(CHECKS) - len(expected))
        assert (not spoke) is (decision.reason is Reason.GRANTED)
        assert [row.outcome for row in rows] == expected
        assert [row.name for row in rows][:place] == list(passed(decision.reason))


class Broken(Mapping[Any, Any]):
    """A table that fails at every touch."""

    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("table is broken")

    get = __contains__ = __getitem__  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("table is broken")

    def __len__(self) -> int:
        return 1


class Rubbish(dict[Any, Any]):
    """A table that answers everything with something else."""

    def get(self, key: Any, default: Any = None) -> Any:
        return object()

    def __contains__(self, key: Any) -> bool:
        return True


TABLES = ["holders", "credentials", "schedules", "rules", "revoked_passes", "_by_key", "_by_point"]
SHOWN = {
    "card": present(LIN_CARD),
    "face": present(LIN_FACE),
    "pass": Presentation(GATE_IN.id, Method.QR, "text", AT, leave=zhao_pass()),
}
TOUCHED = {
    "card": {"holders", "_by_key", "_by_point"},
    "face": {"holders", "_by_key", "_by_point"},
    "pass": {"holders", "revoked_passes", "_by_point", "schedules"},
}


@pytest.mark.parametrize("how", [Broken, Rubbish])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("what", SHOWN)
def test_a_broken_table_refuses_entry_and_never_the_way_out(what, table, how):
    policy = make_policy()
    setattr(policy, table, how())
    entry = decide(policy, SHOWN[what], NORMAL, AT)
    if table not in TOUCHED[what]:
        assert entry.reason is Reason.GRANTED
    elif how is Broken:
        assert entry.reason is Reason.INTERNAL_ERROR
        assert entry.error == "RuntimeError: table is broken"
    else:
        assert not entry.is_granted
    for mode in Mode:
        leaving = decide(policy, replace(SHOWN[what], point=GATE_OUT.id), State(mode), AT)
        assert leaving.is_granted
        assert leaving.reason in (Reason.FREE_EGRESS, Reason.FIRE_RELEASE)
    assert decide(policy, SHOWN[what], State(Mode.FIRE), AT).reason is Reason.FIRE_RELEASE


def test_without_the_table_of_points_the_exit_button_still_lets_out():
    policy = make_policy()
    policy.points = Broken()
    assert decide(policy, SHOWN["card"], NORMAL, AT).reason is Reason.INTERNAL_ERROR
    pressed = Presentation(GATE_OUT.id, Method.EXIT_BUTTON, "", AT)
    assert decide(policy, pressed, NORMAL, AT).reason is Reason.FREE_EGRESS


BROKEN_STATES = [None, State(pass_used=None), State(first_factor=object())]  # type: ignore[arg-type]


@pytest.mark.parametrize("state", BROKEN_STATES)
def test_a_broken_state_refuses_entry_and_never_the_way_out(state):
    shown = SHOWN["pass"]
    assert decide(make_policy(), shown, state, AT).reason is Reason.INTERNAL_ERROR
    leaving = replace(shown, point=GATE_OUT.id)
    assert decide(make_policy(), leaving, state, AT).reason is Reason.FREE_EGRESS


@pytest.mark.parametrize(
    "broken", [{"leave": object()}, {"evidence": None}, {"age_s": None}, {"value": []}]
)
def test_a_broken_presentation_refuses_entry_and_never_the_way_out(broken):
    entry = decide(make_policy(), replace(SHOWN["face"], **broken), NORMAL, AT)
    assert not entry.is_granted
    leaving = replace(SHOWN["face"], point=GATE_OUT.id, **broken)
    assert decide(make_policy(), leaving, NORMAL, AT).reason is Reason.FREE_EGRESS


def test_an_explanation_of_a_failure_reached_no_check():
    policy = make_policy()
    policy.holders = Broken()
    decision, rows = explain(policy, SHOWN["card"], NORMAL, AT)
    assert decision.reason is Reason.INTERNAL_ERROR
    assert {row.outcome for row in rows} == {"not_reached"}
