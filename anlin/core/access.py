"""Whether a door opens: one pure function, one reason, every check able to explain itself.

`decide` runs an ordered table of checks. The first one that speaks ends it. `explain` runs the
same table and says what each check saw, so an explanation can never disagree with a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from anlin.core.entities import (
    AccessPoint,
    AccessRule,
    Credential,
    Direction,
    Holder,
    Membership,
    Method,
    Status,
)
from anlin.core.policy import Policy
from anlin.core.qr import Pass
from anlin.core.words import Word

PASS_SKEW = timedelta(seconds=60)
"""How far a gate's clock may be off when it judges a pass's window; stated in docs/ref/qr.md."""

SECOND_FACTOR_WAIT = timedelta(seconds=15)
"""How long a first credential waits for the second: time to take a card out of a pocket."""

STALE_AFTER = timedelta(seconds=10)
"""A read that waited longer in a device's queue is recorded and never opens: its person left."""


class Liveness(Word):
    """What is known about a face being a living one. Absence of a test is never a pass."""

    LIVE = "live"
    SPOOF = "spoof"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


class Reason(Word):
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


class Mode(Word):
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


class Decision(NamedTuple):
    """What was decided, about whom, by which rule, on which revision of the policy.

    A tuple, because one is made for every presentation and a frozen dataclass costs five times
    as much to make.
    """

    reason: Reason
    point: str
    method: Method
    revision: int
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

    @property
    def passed(self) -> tuple[str, ...]:
        """The checks that let it through before one spoke, by name and in order."""
        return tuple(check.name for check in CHECKS[: _spoke(self.reason)])


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
    try:
        reason, credential, holder, rule, level = _judge(policy, presentation, state, at)
        leave = presentation.leave
        who: str | None = None
        label = ""
        if holder is not None:
            who, label = holder.id, holder.label
        elif leave is not None:
            who, label = leave.holder, leave.label
        return Decision(
            reason,
            presentation.point,
            presentation.method,
            policy.revision,
            who,
            label,
            credential.id if credential is not None else None,
            rule.id if rule is not None else None,
            level,
        )
    except Exception as error:  # noqa: BLE001  the one place where a door must still answer
        return Decision(
            _reason_in_spite(policy, presentation, state),
            presentation.point,
            presentation.method,
            policy.revision,
            error=f"{type(error).__name__}: {error}",
        )


_Judged = tuple[Reason, Credential | None, Holder | None, AccessRule | None, int]


def _judge(policy: Policy, presentation: Presentation, state: State, at: datetime) -> _Judged:
    """Run the checks in the order of `CHECKS`; the first that speaks ends it.

    One straight function: this order is the product's most important rule, and it is read more
    often than it is changed. It is also the fastest form Python has.
    """
    method = presentation.method
    point = policy.points.get(presentation.point)
    if point is None and method is not _EXIT_BUTTON:
        return Reason.UNKNOWN_ACCESS_POINT, None, None, None, 0
    credential, holder = _identify(policy, presentation)
    if state.mode is _FIRE:
        return Reason.FIRE_RELEASE, credential, holder, None, 0
    if point is None or method is _EXIT_BUTTON or point.direction is _EXIT:
        return Reason.FREE_EGRESS, credential, holder, None, 0

    reason: Reason | None = None
    if not state.records:
        reason = Reason.RECORDS_UNAVAILABLE
    elif presentation.age_s > _STALE_AFTER_S:
        reason = Reason.STALE_PRESENTATION
    elif state.mode is _LOCKDOWN:
        reason = Reason.LOCKDOWN
    elif not point.is_enabled:
        reason = Reason.ACCESS_POINT_DISABLED
    elif method not in point.methods:
        reason = Reason.METHOD_NOT_ACCEPTED
    elif method in _SEEN_BY_CAMERA:
        reason = _evidence_fault(presentation)
    elif method is _QR:
        reason = _pass_fault(policy, presentation, state, at)
    if reason is None:
        reason = _credential_fault(credential, method, at) or _holder_fault(
            holder, presentation.leave, at
        )
    if reason is not None:
        return reason, credential, holder, None, 0

    rule, miss = _find_rule(policy, point.id, _memberships(holder, presentation.leave), at)
    if rule is None:
        return miss, credential, holder, None, 0
    level = _level(presentation, state, holder, at)
    if level < point.level:
        return Reason.SECOND_FACTOR_REQUIRED, credential, holder, rule, level
    return _GRANTED, credential, holder, rule, level


def explain(
    policy: Policy, presentation: Presentation, state: State, at: datetime
) -> tuple[Decision, tuple[Checked, ...]]:
    """Decide again and say what each check saw, in the order in which they stand."""
    decision = decide(policy, presentation, state, at)
    case = _Case(policy, presentation, state, decision)
    spoke = _spoke(decision.reason)
    rows = []
    for index, check in enumerate(CHECKS):
        if index > spoke or decision.error is not None:
            rows.append(Checked(check.name, "not_reached", ""))
        else:
            outcome = decision.reason.value if index == spoke else "passed"
            rows.append(Checked(check.name, outcome, check.saw(case)))
    return decision, tuple(rows)


def assurance(method: Method, evidence: Evidence) -> int:
    """Say how sure a method makes us: 0 proves nothing, 1 ordinary, 2 hard to forge."""
    if method is _PLATE:
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

_SEEN_BY_CAMERA = frozenset({Method.FACE, Method.TERMINAL_FACE, Method.PLATE})
_STALE_AFTER_S = STALE_AFTER.total_seconds()

# Python 3.11 takes 0.3 us to look a member up in its enum; a decision asks for a dozen.
_FIRE, _LOCKDOWN = Mode.FIRE, Mode.LOCKDOWN
_EXIT, _EXIT_BUTTON, _QR, _PLATE = Direction.EXIT, Method.EXIT_BUTTON, Method.QR, Method.PLATE
_ACTIVE = Status.ACTIVE
_GRANTED, _UNAUTHORIZED = Reason.GRANTED, Reason.UNAUTHORIZED
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


def _reason_in_spite(policy: Policy, presentation: Presentation, state: State) -> Reason:
    """Decide where something broke: the way out and fire stand above what could break."""
    if _leads_out(policy, presentation):
        return Reason.FREE_EGRESS
    is_fire = getattr(state, "mode", None) is _FIRE
    return Reason.FIRE_RELEASE if is_fire else Reason.INTERNAL_ERROR


def _leads_out(policy: Policy, presentation: Presentation) -> bool:
    if presentation.method is _EXIT_BUTTON:
        return True
    try:
        return policy.points[presentation.point].direction is _EXIT
    except Exception:  # noqa: BLE001  asked only after something already broke
        return False


def _identify(
    policy: Policy, presentation: Presentation
) -> tuple[Credential | None, Holder | None]:
    """Name credential and holder as far as they are known; refuse nothing."""
    if presentation.leave is not None:
        return None, policy.holders.get(presentation.leave.holder)
    credential = policy.credential_for(presentation.method, presentation.value)
    return credential, policy.holders.get(credential.holder) if credential is not None else None


def _evidence_fault(presentation: Presentation) -> Reason | None:
    """Judge what a camera saw before asking who it was."""
    evidence = presentation.evidence
    if presentation.method is Method.PLATE:
        if not presentation.value:
            return Reason.PLATE_NOT_READ
        return Reason.VEHICLE_NOT_PRESENT if evidence.vehicle_present is False else None
    if evidence.masked:
        return Reason.MASK_WORN
    if evidence.liveness is Liveness.SPOOF:
        return Reason.LIVENESS_FAILED
    return None if presentation.value else Reason.FACE_NOT_RECOGNISED


def _pass_fault(
    policy: Policy, presentation: Presentation, state: State, at: datetime
) -> Reason | None:
    """Judge a QR pass: whose, when, where, how often."""
    leave = presentation.leave
    if leave is None or presentation.fault is not None:
        return Reason.PASS_INVALID
    community = policy.community
    if community is None or leave.community != community.id:
        return Reason.PASS_OTHER_COMMUNITY
    if leave.id in policy.revoked_passes:
        return Reason.PASS_REVOKED
    # The skew is added to `at`: a pass may end on the last day that a calendar has.
    if at + PASS_SKEW < leave.not_before:
        return Reason.PASS_NOT_ACTIVE
    if at - PASS_SKEW >= leave.not_after:
        return Reason.PASS_EXPIRED
    if leave.points and presentation.point not in leave.points:
        return Reason.PASS_WRONG_POINT
    if leave.uses and state.pass_uses.get(leave.id, 0) >= leave.uses:
        return Reason.PASS_USED
    return None


def _credential_fault(credential: Credential | None, method: Method, at: datetime) -> Reason | None:
    if credential is None:
        # A pass stands for itself: its signature was its proof.
        return None if method is _QR else Reason.CREDENTIAL_UNKNOWN
    if credential.status is not _ACTIVE:
        return _NOT_ACTIVE[credential.status]
    if credential.valid_from is not None and at < credential.valid_from:
        return Reason.CREDENTIAL_NOT_ACTIVE
    if credential.valid_until is not None and at >= credential.valid_until:
        return Reason.CREDENTIAL_EXPIRED
    return None


_NOT_ACTIVE = {
    Status.SUSPENDED: Reason.CREDENTIAL_NOT_ENABLED,
    Status.LOST: Reason.CREDENTIAL_LOST,
    Status.REVOKED: Reason.CREDENTIAL_REVOKED,
}


def _holder_fault(holder: Holder | None, leave: Pass | None, at: datetime) -> Reason | None:
    if holder is None:
        # A visitor of whom this edge has not heard yet comes as the group the pass was signed for.
        return None if leave is not None and leave.group else Reason.HOLDER_UNKNOWN
    if holder.status is not _ACTIVE:
        return Reason.HOLDER_NOT_ENABLED
    if holder.valid_from is not None and at < holder.valid_from:
        return Reason.HOLDER_NOT_ACTIVE
    if holder.valid_until is not None and at >= holder.valid_until:
        return Reason.HOLDER_EXPIRED
    return None


def _memberships(holder: Holder | None, leave: Pass | None) -> tuple[Membership, ...]:
    if holder is not None:
        return holder.memberships
    return (Membership(leave.group),) if leave is not None and leave.group else ()


def _find_rule(
    policy: Policy, point: str, memberships: tuple[Membership, ...], at: datetime
) -> tuple[AccessRule | None, Reason]:
    """Find the rule that admits; otherwise name the nearest thing that was missing."""
    miss = _UNAUTHORIZED
    for membership in memberships:
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
            if _holds(policy, rule, at):
                return rule, _GRANTED
            miss = Reason.NOT_PERMITTED_AT_THIS_TIME
    return None, miss


def _holds(policy: Policy, rule: AccessRule, at: datetime) -> bool:
    if rule.valid_from is not None and at < rule.valid_from:
        return False
    if rule.valid_until is not None and at >= rule.valid_until:
        return False
    if rule.schedule is None:
        return True
    schedule = policy.schedules.get(rule.schedule)
    return schedule is not None and schedule.is_active(at)


def _level(presentation: Presentation, state: State, holder: Holder | None, at: datetime) -> int:
    """Add up how sure this credential and the one just before it make us."""
    level = assurance(presentation.method, presentation.evidence)
    first = state.first_factor
    if (
        first is not None
        and holder is not None
        and first.holder == holder.id
        and first.method is not presentation.method
        and timedelta(0) <= at - first.at <= SECOND_FACTOR_WAIT
    ):
        level += first.level
    return level


@dataclass(frozen=True, slots=True)
class _Case:
    """What an explanation looks at."""

    policy: Policy
    presentation: Presentation
    state: State
    decision: Decision

    @property
    def point(self) -> AccessPoint | None:
        return self.policy.points.get(self.presentation.point)


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a decision: its name, the reasons it can give, and what it looked at."""

    name: str
    reasons: frozenset[Reason]
    saw: Callable[[_Case], str]


def _saw_direction(case: _Case) -> str:
    return str(case.point.direction) if case.point is not None else "no such access point"


def _saw_methods(case: _Case) -> str:
    accepted = ", ".join(case.point.methods) if case.point is not None else "nothing"
    return f"{case.presentation.method}; accepts {accepted}"


def _saw_evidence(case: _Case) -> str:
    presentation = case.presentation
    evidence = presentation.evidence
    if presentation.method is Method.PLATE:
        vehicle = {True: "yes", False: "no", None: "not known"}[evidence.vehicle_present]
        return f"plate {presentation.value or 'not read'}, vehicle {vehicle}"
    if presentation.method not in _SEEN_BY_CAMERA:
        return "none needed"
    score = "none" if evidence.score is None else f"{evidence.score:.3f}"
    limit = "none" if evidence.threshold is None else f"{evidence.threshold:.3f}"
    masked = {True: "yes", False: "no", None: "not available"}[evidence.masked]
    return f"score {score}, threshold {limit}, mask {masked}, liveness {evidence.liveness}"


def _saw_pass(case: _Case) -> str:
    if case.presentation.method is not Method.QR:
        return "no pass"
    leave = case.presentation.leave
    if leave is None:
        return case.presentation.fault or "unreadable"
    used = case.state.pass_uses.get(leave.id, 0)
    window = f"{leave.not_before.isoformat()} to {leave.not_after.isoformat()}"
    return f"pass {leave.id}, {window}, used {used} of {leave.uses or 'any number'}"


def _saw_credential(case: _Case) -> str:
    if case.presentation.method is Method.QR:
        return "the pass itself"
    credential = case.policy.credentials.get(case.decision.credential or "")
    if credential is None:
        return f"this {case.presentation.method} is not registered"
    return f"{credential.id}, {credential.status}, {_span(credential)}"


def _saw_holder(case: _Case) -> str:
    holder = case.policy.holders.get(case.decision.holder or "")
    if holder is not None:
        return f"{holder.id}, {holder.status}, {_span(holder)}"
    leave = case.presentation.leave
    return f"as {leave.group}" if leave is not None and leave.group else "unknown"


def _saw_rule(case: _Case) -> str:
    rule = case.policy.rules.get(case.decision.rule or "")
    if rule is not None:
        return rule.name
    holder = case.policy.holders.get(case.decision.holder or "")
    groups = [f"{m.group} ({_span(m)})" for m in _memberships(holder, case.presentation.leave)]
    return f"no rule admits {', '.join(groups) or 'without a group'} here now"


def _span(dated: Credential | Holder | Membership) -> str:
    start = dated.valid_from.isoformat() if dated.valid_from is not None else "ever"
    end = dated.valid_until.isoformat() if dated.valid_until is not None else "no end"
    return f"valid from {start} to {end}"


CHECKS: tuple[Check, ...] = (
    Check(
        "access_point",
        frozenset({Reason.UNKNOWN_ACCESS_POINT, Reason.INTERNAL_ERROR}),
        lambda case: case.presentation.point,
    ),
    Check("fire", frozenset({Reason.FIRE_RELEASE}), lambda case: str(case.state.mode)),
    Check("egress", frozenset({Reason.FREE_EGRESS}), _saw_direction),
    Check(
        "records",
        frozenset({Reason.RECORDS_UNAVAILABLE}),
        lambda case: "durable" if case.state.records else "the journal can't be written",
    ),
    Check(
        "fresh",
        frozenset({Reason.STALE_PRESENTATION}),
        lambda case: f"{case.presentation.age_s:.1f} s old, limit {_STALE_AFTER_S:.0f} s",
    ),
    Check("lockdown", frozenset({Reason.LOCKDOWN}), lambda case: str(case.state.mode)),
    Check(
        "method",
        frozenset({Reason.ACCESS_POINT_DISABLED, Reason.METHOD_NOT_ACCEPTED}),
        _saw_methods,
    ),
    Check(
        "evidence",
        frozenset(
            {
                Reason.MASK_WORN,
                Reason.LIVENESS_FAILED,
                Reason.FACE_NOT_RECOGNISED,
                Reason.PLATE_NOT_READ,
                Reason.VEHICLE_NOT_PRESENT,
            }
        ),
        _saw_evidence,
    ),
    Check(
        "pass",
        frozenset(
            {
                Reason.PASS_INVALID,
                Reason.PASS_OTHER_COMMUNITY,
                Reason.PASS_REVOKED,
                Reason.PASS_NOT_ACTIVE,
                Reason.PASS_EXPIRED,
                Reason.PASS_WRONG_POINT,
                Reason.PASS_USED,
            }
        ),
        _saw_pass,
    ),
    Check(
        "credential",
        frozenset(
            {
                Reason.CREDENTIAL_UNKNOWN,
                Reason.CREDENTIAL_NOT_ENABLED,
                Reason.CREDENTIAL_LOST,
                Reason.CREDENTIAL_REVOKED,
                Reason.CREDENTIAL_NOT_ACTIVE,
                Reason.CREDENTIAL_EXPIRED,
            }
        ),
        _saw_credential,
    ),
    Check(
        "holder",
        frozenset(
            {
                Reason.HOLDER_UNKNOWN,
                Reason.HOLDER_NOT_ENABLED,
                Reason.HOLDER_NOT_ACTIVE,
                Reason.HOLDER_EXPIRED,
            }
        ),
        _saw_holder,
    ),
    Check(
        "rule",
        frozenset(
            {
                Reason.UNAUTHORIZED,
                Reason.RESIDENCY_NOT_ACTIVE,
                Reason.RESIDENCY_ENDED,
                Reason.NOT_PERMITTED_AT_THIS_TIME,
            }
        ),
        _saw_rule,
    ),
    Check(
        "assurance",
        frozenset({Reason.SECOND_FACTOR_REQUIRED}),
        lambda case: (
            f"level {case.decision.level} of {case.point.level if case.point is not None else 0}"
        ),
    ),
)
"""Every check in the order of a decision (DOMAIN 4.2); each reason belongs to one."""

_SPOKE = {reason: index for index, check in enumerate(CHECKS) for reason in check.reasons}


def _spoke(reason: Reason) -> int:
    """Give the place of the check that gave a reason; beyond the last where none objected."""
    return _SPOKE.get(reason, len(CHECKS))
