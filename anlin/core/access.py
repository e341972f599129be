"""Whether a door opens: one pure function, one reason, every check able to explain itself.

`decide` runs an ordered table of checks. The first one that speaks ends it. `explain` runs the
same table and says what each check saw, so an explanation can never disagree with a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from anlin.core.policy import (
    AccessPoint,
    AccessRule,
    Credential,
    Direction,
    Holder,
    Membership,
    Method,
    Policy,
    Status,
)
from anlin.core.qr import Pass

PASS_SKEW = timedelta(seconds=60)
"""How far a gate's clock may be off when it judges a pass's window; stated in docs/ref/qr.md."""

SECOND_FACTOR_WAIT = timedelta(seconds=15)
"""How long a first credential waits for the second: time to take a card out of a pocket."""

STALE_AFTER = timedelta(seconds=10)
"""A read that waited longer in a device's queue is recorded and never opens: its person left."""


class Liveness(StrEnum):
    """What is known about a face being a living one. Absence of a test is never a pass."""

    LIVE = "live"
    SPOOF = "spoof"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


class Reason(StrEnum):
    """Why a decision fell. ONVIF's names where it has one."""

    GRANTED = "granted"
    FREE_EGRESS = "free_egress"
    FIRE_RELEASE = "fire_release"

    UNKNOWN_ACCESS_POINT = "unknown_access_point"
    ACCESS_POINT_DISABLED = "access_point_disabled"
    STALE_PRESENTATION = "stale_presentation"
    LOCKDOWN = "lockdown"
    METHOD_NOT_ACCEPTED = "method_not_accepted"
    MASK_WORN = "mask_worn"
    LIVENESS_FAILED = "liveness_failed"
    FACE_NOT_RECOGNISED = "face_not_recognised"
    PLATE_NOT_READ = "plate_not_read"
    VEHICLE_NOT_PRESENT = "vehicle_not_present"
    PASS_INVALID = "pass_invalid"
    PASS_REVOKED = "pass_revoked"
    PASS_OTHER_COMMUNITY = "pass_other_community"
    PASS_NOT_ACTIVE = "pass_not_active"
    PASS_EXPIRED = "pass_expired"
    PASS_WRONG_POINT = "pass_wrong_point"
    PASS_USED = "pass_used"
    CREDENTIAL_UNKNOWN = "credential_unknown"
    CREDENTIAL_NOT_ENABLED = "credential_not_enabled"
    CREDENTIAL_LOST = "credential_lost"
    CREDENTIAL_REVOKED = "credential_revoked"
    CREDENTIAL_NOT_ACTIVE = "credential_not_active"
    CREDENTIAL_EXPIRED = "credential_expired"
    HOLDER_UNKNOWN = "holder_unknown"
    HOLDER_NOT_ENABLED = "holder_not_enabled"
    HOLDER_NOT_ACTIVE = "holder_not_active"
    HOLDER_EXPIRED = "holder_expired"
    RESIDENCY_NOT_ACTIVE = "residency_not_active"
    RESIDENCY_ENDED = "residency_ended"
    UNAUTHORIZED = "unauthorized"
    NOT_PERMITTED_AT_THIS_TIME = "not_permitted_at_this_time"
    SECOND_FACTOR_REQUIRED = "second_factor_required"
    RECORDS_UNAVAILABLE = "records_unavailable"
    INTERNAL_ERROR = "internal_error"


GRANTS = frozenset({Reason.GRANTED, Reason.FREE_EGRESS, Reason.FIRE_RELEASE})


class Mode(StrEnum):
    """What stands above credentials at an access point's portal."""

    NORMAL = "normal"
    LOCKDOWN = "lockdown"
    FIRE = "fire"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a camera or terminal knows beside the identity; None is "not known"."""

    score: float | None = None
    runner_up: float | None = None
    threshold: float | None = None
    frames: int | None = None
    model: str | None = None
    masked: bool | None = None
    liveness: Liveness = Liveness.UNAVAILABLE
    vehicle_present: bool | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Presentation:
    """A credential shown at an access point.

    `value` is the card number, canonical plate, QR text or matched face credential; empty when
    a face or plate was seen and not recognised. `leave` is the QR's pass once its signature
    held, `fault` why it did not. `age_s` is how long the device kept it before we heard.
    """

    point: str
    method: Method
    value: str
    at: datetime
    evidence: Evidence = field(default_factory=Evidence)
    leave: Pass | None = None
    fault: str | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FirstFactor:
    """A credential already accepted at a point that wants a second one."""

    holder: str
    method: Method
    level: int
    at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """What a decision knows beside policy and presentation."""

    mode: Mode = Mode.NORMAL
    pass_uses: Mapping[str, int] = field(default_factory=dict)
    first_factor: FirstFactor | None = None
    records: bool = True


NORMAL = State()


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, by which rule, on which revision of the policy.

    `passed` counts the checks of `CHECKS` that let it through before `reason` fell.
    """

    reason: Reason
    point: str
    method: Method
    revision: int
    passed: int
    holder: str | None = None
    label: str = ""
    credential: str | None = None
    rule: str | None = None
    level: int = 0
    error: str | None = None

    @property
    def is_granted(self) -> bool:
        """Whether the portal may open."""
        return self.reason in GRANTS


@dataclass(frozen=True, slots=True)
class Checked:
    """One check as it ran: whether it let through, and the value it saw."""

    name: str
    outcome: str
    saw: str


def decide(policy: Policy, presentation: Presentation, state: State, at: datetime) -> Decision:
    """Decide one presentation at one time.

    Never raises: an error inside refuses entry and never refuses the way out (OWASP ASVS
    16.5.3; GB 55024-2022: leaving must not need a credential).
    """
    case = _Case(policy, presentation, state, at)
    passed = 0
    try:
        for check in _RUN:
            reason = check(case)
            if reason is not None:
                return case.decision(reason, passed)
            passed += 1
        return case.decision(Reason.GRANTED, passed)
    except Exception as error:  # noqa: BLE001  the one place where a door must still answer
        return case.decision(
            Reason.FREE_EGRESS if case.leads_out else Reason.INTERNAL_ERROR, passed, error
        )


def explain(
    policy: Policy, presentation: Presentation, state: State, at: datetime
) -> tuple[Decision, tuple[Checked, ...]]:
    """Decide again and say what each check saw, in the order in which they ran."""
    decision = decide(policy, presentation, state, at)
    case = _Case(policy, presentation, state, at)
    rows: list[Checked] = []
    for index, (name, check, saw) in enumerate(CHECKS):
        if index > decision.passed or decision.error is not None:
            rows.append(Checked(name, "not_reached", ""))
            continue
        reason = check(case)
        outcome = "passed" if reason is None else str(reason)
        rows.append(Checked(name, outcome, saw(case)))
    return decision, tuple(rows)


def assurance(method: Method, evidence: Evidence) -> int:
    """Say how sure a method makes us: 0 proves nothing, 1 ordinary, 2 hard to forge."""
    if method is Method.PLATE:
        return 1 if evidence.vehicle_present else 0
    return _LEVEL[method]


_LEVEL: dict[Method, int] = {
    Method.CARD: 1,
    Method.SECURE_CARD: 2,
    Method.PIN: 1,
    Method.QR: 2,
    Method.FACE: 1,
    Method.TERMINAL_FACE: 2,
    Method.PLATE: 1,
    Method.PHONE: 2,
    Method.EXIT_BUTTON: 0,
}

_HIGHEST_LEVEL = 3

_NEVER_ALONE = frozenset({Method.FACE, Method.TERMINAL_FACE, Method.PHONE})


def point_fault(point: AccessPoint) -> str | None:
    """Say why a set of accepted methods is unlawful or unfair, or None.

    Face must never be the only way (Measures on face recognition 2025, article 10), and old
    people come without a phone: two methods at least, one neither face nor phone.
    """
    methods = set(point.methods) - {Method.EXIT_BUTTON}
    if point.direction is Direction.EXIT:
        return None
    if len(methods) < 2:
        return f"access point {point.id}: accepts {len(methods)} method; at least two are required"
    if not methods - _NEVER_ALONE:
        return f"access point {point.id}: needs a method that is neither face nor phone"
    return None


class _Case:
    """One decision under way: what the checks have found so far."""

    __slots__ = (
        "at",
        "credential",
        "holder",
        "label",
        "level",
        "memberships",
        "point",
        "policy",
        "presentation",
        "rule",
        "state",
    )

    def __init__(
        self, policy: Policy, presentation: Presentation, state: State, at: datetime
    ) -> None:
        self.policy = policy
        self.presentation = presentation
        self.state = state
        self.at = at
        self.point: AccessPoint | None = None
        self.credential: Credential | None = None
        self.holder: Holder | None = None
        self.memberships: tuple[Membership, ...] = ()
        self.rule: AccessRule | None = None
        self.label = ""
        self.level = 0

    @property
    def leads_out(self) -> bool:
        return self.presentation.method is Method.EXIT_BUTTON or (
            self.point is not None and self.point.direction is Direction.EXIT
        )

    def decision(self, reason: Reason, passed: int, error: Exception | None = None) -> Decision:
        holder = self.holder
        if holder is not None:
            holder_id, label = holder.id, holder.label
        else:
            leave = self.presentation.leave
            holder_id, label = (leave.holder, leave.label) if leave else (None, "")
        return Decision(
            reason,
            self.presentation.point,
            self.presentation.method,
            self.policy.revision,
            passed,
            holder_id,
            label,
            self.credential.id if self.credential is not None else None,
            self.rule.id if self.rule is not None else None,
            self.level,
            None if error is None else f"{type(error).__name__}: {error}",
        )


def _point_known(case: _Case) -> Reason | None:
    case.point = case.policy.points.get(case.presentation.point)
    if case.point is None:
        return Reason.UNKNOWN_ACCESS_POINT
    return None


def _fire(case: _Case) -> Reason | None:
    if case.state.mode is Mode.FIRE:
        _identify(case)
        return Reason.FIRE_RELEASE
    return None


def _egress(case: _Case) -> Reason | None:
    if case.leads_out:
        _identify(case)
        return Reason.FREE_EGRESS
    return None


def _records(case: _Case) -> Reason | None:
    return None if case.state.records else Reason.RECORDS_UNAVAILABLE


def _fresh(case: _Case) -> Reason | None:
    stale = case.presentation.age_s > STALE_AFTER.total_seconds()
    return Reason.STALE_PRESENTATION if stale else None


def _lockdown(case: _Case) -> Reason | None:
    return Reason.LOCKDOWN if case.state.mode is Mode.LOCKDOWN else None


def _accepted(case: _Case) -> Reason | None:
    point = case.point
    if point is None or not point.is_enabled:
        return Reason.ACCESS_POINT_DISABLED
    if case.presentation.method not in point.methods:
        return Reason.METHOD_NOT_ACCEPTED
    return None


def _seen(case: _Case) -> Reason | None:
    """Judge what a camera saw before asking who it was."""
    method, evidence = case.presentation.method, case.presentation.evidence
    if method in (Method.FACE, Method.TERMINAL_FACE):
        if evidence.masked:
            return Reason.MASK_WORN
        if evidence.liveness is Liveness.SPOOF:
            return Reason.LIVENESS_FAILED
        if not case.presentation.value:
            return Reason.FACE_NOT_RECOGNISED
    elif method is Method.PLATE:
        if not case.presentation.value:
            return Reason.PLATE_NOT_READ
        if evidence.vehicle_present is False:
            return Reason.VEHICLE_NOT_PRESENT
    return None


def _leave(case: _Case) -> Reason | None:
    """Judge a QR pass: whose, when, where, how often."""
    if case.presentation.method is not Method.QR:
        return None
    leave = case.presentation.leave
    if leave is None or case.presentation.fault is not None:
        return Reason.PASS_INVALID
    community = case.policy.community
    if community is None or leave.community != community.id:
        return Reason.PASS_OTHER_COMMUNITY
    if leave.id in case.policy.revoked_passes:
        return Reason.PASS_REVOKED
    if case.at < leave.not_before - PASS_SKEW:
        return Reason.PASS_NOT_ACTIVE
    if case.at >= leave.not_after + PASS_SKEW:
        return Reason.PASS_EXPIRED
    if leave.points and case.presentation.point not in leave.points:
        return Reason.PASS_WRONG_POINT
    if leave.uses and case.state.pass_uses.get(leave.id, 0) >= leave.uses:
        return Reason.PASS_USED
    return None


def _credential(case: _Case) -> Reason | None:
    _identify(case)
    if case.presentation.method is Method.QR:
        return None
    credential = case.credential
    if credential is None:
        return Reason.CREDENTIAL_UNKNOWN
    if credential.status is not Status.ACTIVE:
        return _CREDENTIAL_STATUS[credential.status]
    if credential.valid_from is not None and case.at < credential.valid_from:
        return Reason.CREDENTIAL_NOT_ACTIVE
    if credential.valid_until is not None and case.at >= credential.valid_until:
        return Reason.CREDENTIAL_EXPIRED
    return None


_CREDENTIAL_STATUS = {
    Status.SUSPENDED: Reason.CREDENTIAL_NOT_ENABLED,
    Status.LOST: Reason.CREDENTIAL_LOST,
    Status.REVOKED: Reason.CREDENTIAL_REVOKED,
}


def _holder(case: _Case) -> Reason | None:
    holder = case.holder
    if holder is None:
        # A visitor whom this edge has not heard of yet comes as the group the pass was signed for.
        leave = case.presentation.leave
        if leave is None or leave.group is None:
            return Reason.HOLDER_UNKNOWN
        case.memberships = (Membership(leave.group),)
        return None
    case.memberships = holder.memberships
    if holder.status is not Status.ACTIVE:
        return Reason.HOLDER_NOT_ENABLED
    if holder.valid_from is not None and case.at < holder.valid_from:
        return Reason.HOLDER_NOT_ACTIVE
    if holder.valid_until is not None and case.at >= holder.valid_until:
        return Reason.HOLDER_EXPIRED
    return None


def _rule(case: _Case) -> Reason | None:
    """Find the rule that admits; otherwise name the nearest thing that was missing."""
    miss = Reason.UNAUTHORIZED
    policy, at, point = case.policy, case.at, case.presentation.point
    for membership in case.memberships:
        rules = policy.rules_at(point, membership.group)
        if not rules:
            continue
        if membership.valid_from is not None and at < membership.valid_from:
            miss = Reason.RESIDENCY_NOT_ACTIVE
            continue
        if membership.valid_until is not None and at >= membership.valid_until:
            miss = Reason.RESIDENCY_ENDED
            continue
        for rule in rules:
            if _rule_holds(policy, rule, at):
                case.rule = rule
                return None
            miss = Reason.NOT_PERMITTED_AT_THIS_TIME
    return miss


def _rule_holds(policy: Policy, rule: AccessRule, at: datetime) -> bool:
    if rule.valid_from is not None and at < rule.valid_from:
        return False
    if rule.valid_until is not None and at >= rule.valid_until:
        return False
    if rule.schedule is None:
        return True
    schedule = policy.schedules.get(rule.schedule)
    return schedule is not None and schedule.is_active(at)


def _assured(case: _Case) -> Reason | None:
    """Ask for a second credential where one alone is not sure enough."""
    level = assurance(case.presentation.method, case.presentation.evidence)
    first = case.state.first_factor
    if (
        first is not None
        and case.holder is not None
        and first.holder == case.holder.id
        and first.method is not case.presentation.method
        and timedelta(0) <= case.at - first.at <= SECOND_FACTOR_WAIT
    ):
        level += first.level
    case.level = level
    wanted = case.point.level if case.point is not None else _HIGHEST_LEVEL
    return None if level >= wanted else Reason.SECOND_FACTOR_REQUIRED


def _identify(case: _Case) -> None:
    """Name credential and holder as far as they are known; refuse nothing."""
    presentation = case.presentation
    if presentation.method is Method.QR:
        if presentation.leave is not None:
            case.holder = case.policy.holders.get(presentation.leave.holder)
        return
    if presentation.value:
        case.credential = case.policy.credential_for(presentation.method, presentation.value)
        if case.credential is not None:
            case.holder = case.policy.holders.get(case.credential.holder)


_Check = Callable[[_Case], Reason | None]

CHECKS: tuple[tuple[str, _Check, Callable[[_Case], str]], ...] = (
    ("access_point", _point_known, lambda c: c.presentation.point),
    ("fire", _fire, lambda c: str(c.state.mode)),
    ("egress", _egress, lambda c: str(c.point.direction) if c.point else ""),
    ("records", _records, lambda c: "durable" if c.state.records else "journal not writable"),
    ("fresh", _fresh, lambda c: f"{c.presentation.age_s:.1f} s old"),
    ("lockdown", _lockdown, lambda c: str(c.state.mode)),
    (
        "method",
        _accepted,
        lambda c: (
            f"{c.presentation.method}; accepts {', '.join(c.point.methods) if c.point else ''}"
        ),
    ),
    ("evidence", _seen, lambda c: _saw_evidence(c.presentation)),
    ("pass", _leave, lambda c: _saw_leave(c)),
    ("credential", _credential, lambda c: _saw_credential(c)),
    ("holder", _holder, lambda c: _saw_holder(c)),
    ("rule", _rule, lambda c: c.rule.name if c.rule else _saw_memberships(c)),
    ("assurance", _assured, lambda c: f"{c.level} of {c.point.level if c.point else 0}"),
)
"""Every check in order: name, the check, and what it saw (DOMAIN: decision order)."""

_RUN: tuple[_Check, ...] = tuple(check for _, check, _ in CHECKS)


def _saw_evidence(presentation: Presentation) -> str:
    evidence = presentation.evidence
    if presentation.method in (Method.FACE, Method.TERMINAL_FACE):
        score = "none" if evidence.score is None else f"{evidence.score:.3f}"
        limit = "none" if evidence.threshold is None else f"{evidence.threshold:.3f}"
        masked = {True: "yes", False: "no", None: "not available"}[evidence.masked]
        return f"score {score}, threshold {limit}, mask {masked}, liveness {evidence.liveness}"
    if presentation.method is Method.PLATE:
        vehicle = {True: "yes", False: "no", None: "not known"}[evidence.vehicle_present]
        return f"plate {presentation.value or 'not read'}, vehicle {vehicle}"
    return "none needed"


def _saw_leave(case: _Case) -> str:
    if case.presentation.method is not Method.QR:
        return "no pass"
    leave = case.presentation.leave
    if leave is None:
        return case.presentation.fault or "unreadable"
    used = case.state.pass_uses.get(leave.id, 0)
    window = f"{leave.not_before.isoformat()} to {leave.not_after.isoformat()}"
    return f"pass {leave.id}, {window}, used {used} of {leave.uses or 'any number'}"


def _saw_credential(case: _Case) -> str:
    credential = case.credential
    if case.presentation.method is Method.QR:
        return "the pass itself"
    if credential is None:
        return f"no {case.presentation.method} of this kind is known"
    until = credential.valid_until.isoformat() if credential.valid_until else "no end"
    return f"{credential.id}, {credential.status}, until {until}"


def _saw_holder(case: _Case) -> str:
    if case.holder is None:
        leave = case.presentation.leave
        return f"as {leave.group}" if leave and leave.group else "unknown"
    until = case.holder.valid_until.isoformat() if case.holder.valid_until else "no end"
    return f"{case.holder.id}, {case.holder.status}, until {until}"


def _saw_memberships(case: _Case) -> str:
    groups = [
        f"{m.group} until {m.valid_until.isoformat()}" if m.valid_until else m.group
        for m in case.memberships
    ]
    return f"no rule here now for {', '.join(groups) or 'no group'}"
