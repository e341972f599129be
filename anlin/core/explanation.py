"""Why a decision fell: the checks of `core.access.decide` in their order, and what each saw.

`explain` decides again by the very function that decided, so an explanation can never disagree
with a decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from anlin.core.access import (
    SEEN_BY_CAMERA,
    STALE_AFTER_S,
    Decision,
    Presentation,
    Reason,
    State,
    decide,
    level_wanted,
    memberships_of,
)
from anlin.core.entities import AccessPoint, Credential, Holder, Membership, Method
from anlin.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Checked:
    """One check as it ran: whether it let through, and the value it saw."""

    name: str
    outcome: str
    saw: str


def explain(
    policy: Policy, presentation: Presentation, state: State, at: datetime
) -> tuple[Decision, tuple[Checked, ...]]:
    """Decide again and say what each check saw, in the order in which they stand."""
    decision = decide(policy, presentation, state, at)
    case = _Case(policy, presentation, state, decision, at)
    spoke = _spoke(decision.reason)
    rows = []
    for index, check in enumerate(CHECKS):
        if index > spoke or decision.error is not None:
            rows.append(Checked(check.name, "not_reached", ""))
        else:
            outcome = decision.reason.value if index == spoke else "passed"
            rows.append(Checked(check.name, outcome, check.saw(case)))
    return decision, tuple(rows)


def passed(reason: Reason) -> tuple[str, ...]:
    """Name the checks that let a decision through before one spoke, in order."""
    return tuple(check.name for check in CHECKS[: _spoke(reason)])


@dataclass(frozen=True, slots=True)
class _Case:
    """What an explanation looks at."""

    policy: Policy
    presentation: Presentation
    state: State
    decision: Decision
    at: datetime

    @property
    def point(self) -> AccessPoint | None:
        return self.policy.points.get(self.presentation.point)

    @property
    def is_outsider(self) -> bool:
        """Whether the parking rule for unregistered cars spoke, in place of an access rule."""
        reason, is_plate = self.decision.reason, self.presentation.method is Method.PLATE
        return is_plate and self.decision.credential is None and reason in _OF_OUTSIDERS


_OF_OUTSIDERS = frozenset(
    {
        Reason.EMERGENCY_VEHICLE,
        Reason.TEMPORARY_VEHICLE,
        Reason.VEHICLE_ALREADY_INSIDE,
        Reason.AREA_FULL,
        Reason.INTERLOCKED,
    }
)


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
    if presentation.method not in SEEN_BY_CAMERA:
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
    used = case.state.pass_used
    window = f"{leave.not_before.isoformat()} to {leave.not_after.isoformat()}"
    seen = f"pass {leave.id}, {window}, used {used} of {leave.uses or 'any number'}"
    return f"{seen}, code {case.state.pass_code or 'missing'}" if leave.rotates else seen


def _saw_credential(case: _Case) -> str:
    if case.presentation.method is Method.QR:
        return "the pass itself"
    if case.is_outsider:
        return f"{case.presentation.value} is not registered; judged by the parking rule"
    credential = case.policy.credentials.get(case.decision.credential or "")
    if credential is None:
        return f"this {case.presentation.method} is not registered"
    return f"{credential.id}, {credential.status}, {_span(credential)}"


def _saw_holder(case: _Case) -> str:
    if case.is_outsider:
        return "nobody whom we know"
    holder = case.policy.holders.get(case.decision.holder or "")
    if holder is not None:
        return f"{holder.id}, {holder.status}, {_span(holder)}"
    leave = case.presentation.leave
    return f"as {leave.group}" if leave is not None and leave.group else "unknown"


def _saw_rule(case: _Case) -> str:
    if case.is_outsider:
        return "the parking rule"
    rule = case.policy.rules.get(case.decision.rule or "")
    if rule is not None:
        return rule.name
    holder = case.policy.holders.get(case.decision.holder or "")
    groups = [f"{m.group} ({_span(m)})" for m in memberships_of(holder, case.presentation.leave)]
    return f"no rule admits {', '.join(groups) or 'without a group'} here now"


def _saw_lockout(case: _Case) -> str:
    if case.presentation.method is not Method.PIN:
        return "no PIN"
    until = case.state.pin_locked_until
    return "open" if until is None else f"closed until {until.isoformat()}"


def _saw_path(case: _Case) -> str:
    holder = case.policy.holders.get(case.decision.holder or "")
    return ", ".join(holder.points) if holder is not None and holder.points else "anywhere"


def _saw_parking(case: _Case) -> str:
    if case.presentation.method is not Method.PLATE:
        return "no vehicle"
    parking = case.policy.parking.get(case.point.area_to or "") if case.point else None
    if parking is None:
        return "no parking rule"
    credential = case.policy.credentials.get(case.decision.credential or "")
    name = credential.household if credential is not None else None
    household = case.policy.households.get(name or "")
    spaces = "any number" if household is None or household.cars is None else str(household.cars)
    residents = "may enter" if parking.residents_enter else "park next door"
    return (
        f"residents {residents}, others: {parking.outsiders}, "
        f"household has {case.state.cars_inside} inside of {spaces}"
    )


def _saw_area(case: _Case) -> str:
    area = case.policy.areas.get(case.point.area_to or "") if case.point is not None else None
    if area is None:
        return "no area"
    place = case.state.place
    where = "unknown" if place is None else f"in {place.area} since {place.since.isoformat()}"
    shared = ", shared by several nodes" if case.policy.is_shared(area.id) else ""
    return (
        f"into {area.name}: last known {where}; anti-passback {area.anti_passback}{shared}; "
        f"{case.state.inside} inside of {area.capacity or 'any number'}"
    )


def _saw_persons(case: _Case) -> str:
    companion = case.state.companion
    holder = case.policy.holders.get(case.decision.holder or "")
    wants = case.point.persons if case.point is not None else 1
    escort = ", needs an escort" if holder is not None and holder.needs_escort else ""
    return f"{wants} wanted{escort}; with {companion.holder if companion else 'nobody'}"


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
        lambda case: f"{case.presentation.age_s:.1f} s old, limit {STALE_AFTER_S:.0f} s",
    ),
    Check("lockdown", frozenset({Reason.LOCKDOWN}), lambda case: str(case.state.mode)),
    Check(
        "method",
        frozenset({Reason.ACCESS_POINT_DISABLED, Reason.METHOD_NOT_ACCEPTED}),
        _saw_methods,
    ),
    Check("lockout", frozenset({Reason.PIN_LOCKED}), _saw_lockout),
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
                Reason.PASS_STALE,
                Reason.PASS_SHOWN,
                Reason.PASS_UNPROVEN,
            }
        ),
        _saw_pass,
    ),
    Check(
        "credential",
        frozenset(
            {
                Reason.EMERGENCY_VEHICLE,
                Reason.TEMPORARY_VEHICLE,
                Reason.INVALID_PIN,
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
    Check("path", frozenset({Reason.OFF_VISITOR_PATH}), _saw_path),
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
        "parking",
        frozenset({Reason.PARKING_NEXT_DOOR, Reason.HOUSEHOLD_FULL}),
        _saw_parking,
    ),
    Check(
        "area",
        frozenset({Reason.ANTI_PASSBACK, Reason.VEHICLE_ALREADY_INSIDE, Reason.AREA_FULL}),
        _saw_area,
    ),
    Check(
        "interlock",
        frozenset({Reason.INTERLOCKED}),
        lambda case: f"{case.state.blocked_by} is open" if case.state.blocked_by else "free",
    ),
    Check(
        "assurance",
        frozenset({Reason.SECOND_FACTOR_REQUIRED}),
        lambda case: (
            f"level {case.decision.level} of "
            f"{level_wanted(case.policy, case.point, case.at) if case.point is not None else 0}"
        ),
    ),
    Check(
        "persons",
        frozenset({Reason.ESCORT_REQUIRED, Reason.SECOND_PERSON_REQUIRED}),
        _saw_persons,
    ),
)
"""Every check in the order of a decision (DOMAIN 4.2); each reason belongs to one."""

_SPOKE = {reason: index for index, check in enumerate(CHECKS) for reason in check.reasons}


def _spoke(reason: Reason) -> int:
    """Give the place of the check that gave a reason; beyond the last where none objected."""
    return _SPOKE.get(reason, len(CHECKS))
