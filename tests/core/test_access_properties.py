"""What must hold for every policy, presentation and state, not only for those thought of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from slow_reference import may_enter

from anlin.core.access import (
    NORMAL,
    Evidence,
    FirstFactor,
    Liveness,
    Mode,
    Presentation,
    Reason,
    State,
    decide,
)
from anlin.core.entities import (
    AccessPoint,
    AccessRule,
    Community,
    Credential,
    Direction,
    Holder,
    HolderKind,
    Membership,
    Method,
    RevokedPass,
    Status,
)
from anlin.core.explanation import CHECKS, explain, passed
from anlin.core.policy import Policy
from anlin.core.qr import Pass
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
CASES_PER_WORLD = 12
METHODS = [Method.CARD, Method.SECURE_CARD, Method.FACE, Method.PLATE, Method.QR]
CASES_PER_WORLD = 12
METHODS = [Method.CARD, Method.SECURE_CARD, Method.FACE, Method.PLATE, Method.QR]
CASES_PER_WORLD = 12
METHODS = [Method.CARD, Method.SECURE_CARD, Method.FACE, Method.PLATE, Method.QR]
CASES_PER_WORLD = 12
METHODS = [Method.CARD, Method.SECURE_CARD, Method.FACE, Method.PLATE, Method.QR]
CASES_PER_WORLD = 12
METHODS = [Method.CARD, Method.SECURE_CARD, Method.FACE, Method.PLATE, Method.QR]
OFFSETS_S = [-7200, -61, -60, -1, 0, 1, 59, 60, 61, 7200]


@dataclass(frozen=True)
class World:
    community: Community
    points: tuple[AccessPoint, ...]
    holders: tuple[Holder, ...]
    credentials: tuple[Credential, ...]
    rules: tuple[AccessRule, ...]
    schedules: tuple[Schedule, ...]
    revoked: tuple[RevokedPass, ...]

    def policy(self) -> Policy:
        records = (self.community, *self.points, *self.holders, *self.credentials)
        return make_policy(records=(*records, *self.rules, *self.schedules, *self.revoked))


class Dice(Random):
    """Chance with a taste: each fault is rare, so that a good part of all cases is granted."""

    def mostly(self, usual: Any, *others: Any) -> Any:
        return usual if self.random() < 0.95 else self.choice(others)

    def moment(self) -> datetime:
        return AT + timedelta(seconds=self.choice(OFFSETS_S))

    def bound(self) -> datetime | None:
        return None if self.random() < 0.93 else self.moment()

    def some(self, of: list[Any], least: int = 1) -> tuple[Any, ...]:
        return tuple(self.sample(of, self.randint(least, len(of))))


def build_world(dice: Dice) -> World:
    """Make a small community in which nearly everything is in order."""
    mostly, some, bound, pick = dice.mostly, dice.some, dice.bound, dice.choice

    def status() -> Status:
        return mostly(Status.ACTIVE, Status.SUSPENDED, Status.LOST, Status.REVOKED)

    methods = tuple(METHODS)
    points = tuple(
        AccessPoint(
            id_,
            id_,
            "portal",
            Direction.EXIT if id_ == "out" else Direction.ENTRY,
            mostly(methods, (Method.CARD, Method.QR), ()),
            pick([0, 1, 1, 1, 1, 2]),
            mostly(True, False),
        )
        for id_ in ("in-1", "in-2", "out")
    )
    holders = tuple(
        Holder(
            id_,
            id_,
            HolderKind.RESIDENT,
            tuple(Membership(group, bound(), bound()) for group in some(["g0", "g1"], 0)),
            status(),
            bound(),
            bound(),
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
    community = Community("here", "here")
    return World(community, points, holders, credentials, rules, schedules, revoked)


def build_case(dice: Dice) -> tuple[Presentation, State]:
    """Make somebody who shows something, and what stands above them."""
    mostly, pick = dice.mostly, dice.choice
    method = mostly(pick([*METHODS, Method.QR, Method.QR]), Method.EXIT_BUTTON, Method.PIN)
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
        )
    shown = Presentation(
        mostly(pick(["in-1", "in-2"]), "out", "nowhere"),
        method,
        mostly(pick(["k0", "k1"]), ""),
        AT,
        Evidence(
            masked=mostly(pick([None, False]), True),
            liveness=mostly(pick([Liveness.LIVE, Liveness.UNKNOWN]), Liveness.SPOOF),
            vehicle_present=mostly(True, False, None),
        ),
        leave,
        mostly(None, "cut short") if method is Method.QR else None,
        mostly(0.0, 10.0, 10.5),
    )
    first = FirstFactor(
        pick(["h0", "h1"]),
        pick(METHODS),
        dice.randint(0, 2),
        AT + timedelta(seconds=pick([-16, -15, 0, 1])),
    )
    state = State(
        mostly(Mode.NORMAL, Mode.LOCKDOWN, Mode.FIRE),
        mostly(0, 1, 2),
        pick([None, first]),
        mostly(True, False),
    )
    return shown, state


def cases(worlds: int) -> Iterator[tuple[World, Policy, Presentation, State]]:
    """Make the same cases every time, some for each world."""
    dice = Dice(20261121)
    for _ in range(worlds):
        world = build_world(dice)
        policy = world.policy()
        for _ in range(CASES_PER_WORLD):
            yield world, policy, *build_case(dice)


def test_nothing_is_granted_without_a_rule_that_admits_and_nothing_else_is_refused():
    seen: Counter[Reason] = Counter()
    for world, policy, shown, state in cases(300):
        decision = decide(policy, shown, state, AT)
        seen[decision.reason] += 1
        allowed = may_enter(world, shown, state, AT)
        directions = {point.id: point.direction for point in world.points}
        is_way_out = (
            shown.method is Method.EXIT_BUTTON or directions.get(shown.point) is Direction.EXIT
        )
        is_fire = state.mode is Mode.FIRE
        match decision.reason:
            case Reason.GRANTED:
                holds = decision.rule in allowed
            case Reason.FREE_EGRESS:
                holds = is_way_out and not is_fire
            case Reason.FIRE_RELEASE:
                holds = is_fire
            case _:
                holds = not (decision.is_granted or allowed or is_way_out)
                holds = holds and (not is_fire or shown.point == "nowhere")
        assert holds, (world, shown, state, decision)
        assert decision.error is None, (world, shown, state, decision)
    # The cases are worth something only while all this happens in them.
    assert set(Reason) - set(seen) == {Reason.INTERNAL_ERROR}
    assert seen[Reason.GRANTED] > seen.total() / 10


def test_every_explanation_agrees_with_its_decision():
    for _, policy, shown, state in cases(60):
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


@pytest.mark.parametrize("state", [None, State(pass_uses=Broken()), State(first_factor=object())])  # type: ignore[arg-type]
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
