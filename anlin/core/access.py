"""Whether a door opens: one pure function, one reason.

`decide` runs its checks in one order; the first that speaks ends it. `core.explanation` has the
same order as a table and says what each check saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from anlin.core.entities import (
    AccessPoint,
    AccessRule,
    AntiPassback,
    Credential,
    Direction,
    Holder,
    HolderKind,
    Membership,
    Method,
    Outsiders,
    Status,
)
from anlin.core.plate import is_emergency
from anlin.core.policy import Policy
from anlin.core.qr import Freshness, Pass
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
    EMERGENCY_VEHICLE = "emergency_vehicle"
    TEMPORARY_VEHICLE = "temporary_vehicle"

    UNKNOWN_ACCESS_POINT = "unknown_access_point"
    ACCESS_POINT_DISABLED = "access_point_disabled"
    STALE_PRESENTATION = "stale_presentation"
    LOCKDOWN = "lockdown"
    METHOD_NOT_ACCEPTED = "method_not_accepted"
    PIN_LOCKED = "pin_locked"
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
    PASS_STALE = "pass_stale"
    PASS_SHOWN = "pass_shown"
    PASS_UNPROVEN = "pass_unproven"
    INVALID_PIN = "invalid_pin"
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
    OFF_VISITOR_PATH = "off_visitor_path"
    UNAUTHORIZED = "unauthorized"
    NOT_PERMITTED_AT_THIS_TIME = "not_permitted_at_this_time"
    PARKING_NEXT_DOOR = "parking_next_door"
    HOUSEHOLD_FULL = "household_full"
    ANTI_PASSBACK = "anti_passback"
    VEHICLE_ALREADY_INSIDE = "vehicle_already_inside"
    AREA_FULL = "area_full"
    INTERLOCKED = "interlocked"
    SECOND_FACTOR_REQUIRED = "second_factor_required"
    ESCORT_REQUIRED = "escort_required"
    SECOND_PERSON_REQUIRED = "second_person_required"
    RECORDS_UNAVAILABLE = "records_unavailable"
    INTERNAL_ERROR = "internal_error"


GRANTS = frozenset(
    {
        Reason.GRANTED,
        Reason.FREE_EGRESS,
        Reason.FIRE_RELEASE,
        Reason.EMERGENCY_VEHICLE,
        Reason.TEMPORARY_VEHICLE,
    }
)

ENTRIES = frozenset({Reason.GRANTED, Reason.EMERGENCY_VEHICLE, Reason.TEMPORARY_VEHICLE})
"""Grants of a way in: they wait for their record, and broken records stop them."""


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

    `value` is the card number, canonical plate, QR text, keyed digest of a PIN or matched face
    credential; empty when a face or plate was seen and not recognised. `forced_from` is the
    digest of the PIN of which the digits would be the duress code. `leave` is the QR's pass once
    its signature held, `fault` why it did not. `age_s` is how long the device kept it.
    """

    point: str
    method: Method
    value: str
    at: datetime
    evidence: Evidence = field(default_factory=Evidence)
    leave: Pass | None = None
    fault: str | None = None
    age_s: float = 0.0
    forced_from: str | None = None


@dataclass(frozen=True, slots=True)
class FirstFactor:
    """A credential already accepted at a point that wants a second one."""

    holder: str
    method: Method
    level: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Companion:
    """Who was just accepted at this point, or waits there for somebody to come along."""

    holder: str
    at: datetime
    can_escort: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """The area where somebody, or a car, was last known to enter, and when."""

    area: str
    since: datetime


@dataclass(frozen=True, slots=True)
class State:
    """What a decision knows beside policy and presentation: about this one, and this point.

    `pass_used` counts uses of this pass wherever the edge knows of them, and `is_online` says
    whether it would; `pass_code` is what the code beside one that rotates is worth. `place` is
    where the subject (`subject_of`) is; `inside` how many are in the area ahead, `cars_inside`
    how many cars of this household. `blocked_by` names a portal of the same interlock that is
    open.
    """

    mode: Mode = Mode.NORMAL
    pass_used: int = 0
    first_factor: FirstFactor | None = None
    records: bool = True
    is_online: bool = True
    pin_locked_until: datetime | None = None
    place: Place | None = None
    inside: int = 0
    cars_inside: int = 0
    blocked_by: str | None = None
    companion: Companion | None = None
    pass_code: Freshness | None = None


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
    is_duress: bool = False
    is_passback: bool = False

    @property
    def is_granted(self) -> bool:
        """Whether the portal may open."""
        return self.reason in GRANTS


def decide(policy: Policy, presentation: Presentation, state: State, at: datetime) -> Decision:
    """Decide one presentation at one time.

    Never raises: an error inside refuses entry and never refuses the way out (OWASP ASVS
    16.5.3; GB 55024-2022: leaving must not need a credential).
    """
    try:
        reason, credential, holder, rule, level, is_passback = _judge(
            policy, presentation, state, at
        )
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
            None,
            credential is not None
            and presentation.forced_from is not None
            and credential.key == presentation.forced_from,
            is_passback,
        )
    except Exception as error:  # noqa: BLE001  the one place where a door must still answer
        return Decision(
            _reason_in_spite(policy, presentation, state),
            presentation.point,
            presentation.method,
            policy.revision,
            error=f"{type(error).__name__}: {error}",
        )


_Judged = tuple[Reason, Credential | None, Holder | None, AccessRule | None, int, bool]


def _judge(policy: Policy, presentation: Presentation, state: State, at: datetime) -> _Judged:
    """Run the checks in the order of `explanation.CHECKS`; the first that speaks ends it.

    One straight function: this order is the product's most important rule, and it is read more
    often than it is changed. It is also the fastest form Python has.
    """
    method = presentation.method
    point = policy.points.get(presentation.point)
    if point is None and method is not _EXIT_BUTTON:
        return Reason.UNKNOWN_ACCESS_POINT, None, None, None, 0, False
    credential, holder = _identify(policy, presentation)
    if state.mode is _FIRE:
        return Reason.FIRE_RELEASE, credential, holder, None, 0, False
    if point is None or method is _EXIT_BUTTON or point.direction is _EXIT:
        return Reason.FREE_EGRESS, credential, holder, None, 0, False

    reason: Reason | None = None
    if not state.records:
        reason = Reason.RECORDS_UNAVAILABLE
    elif presentation.age_s > STALE_AFTER_S:
        reason = Reason.STALE_PRESENTATION
    elif state.mode is _LOCKDOWN:
        reason = Reason.LOCKDOWN
    elif not point.is_enabled:
        reason = Reason.ACCESS_POINT_DISABLED
    elif method not in point.methods:
        reason = Reason.METHOD_NOT_ACCEPTED
    elif method is _PIN:
        if state.pin_locked_until is not None and at < state.pin_locked_until:
            reason = Reason.PIN_LOCKED
    elif method in SEEN_BY_CAMERA:
        reason = _evidence_fault(presentation)
    elif method is _QR:
        reason = _pass_fault(policy, presentation, state, at)
    if reason is None and credential is None and method is _PLATE:
        reason = _outsider(policy, point, presentation, state, at)
    if reason is None:
        reason = _credential_fault(credential, method, at) or _holder_fault(
            holder, presentation.leave, at
        )
    if reason is not None:
        return reason, credential, holder, None, 0, False
    if holder is not None and holder.points and point.id not in holder.points:
        return Reason.OFF_VISITOR_PATH, credential, holder, None, 0, False

    rule, miss = _find_rule(policy, point.id, memberships_of(holder, presentation.leave), at)
    if rule is None:
        return miss, credential, holder, None, 0, False
    if method is _PLATE:
        reason = _parking_fault(policy, point, credential, holder, state)
    is_passback = False
    if reason is None and point.area_to is not None:
        is_passback = _is_passback(policy, point, method, state, at)
        reason = _area_fault(policy, point, method, state, is_passback)
    if reason is None and state.blocked_by is not None:
        reason = Reason.INTERLOCKED
    if reason is not None:
        return reason, credential, holder, rule, 0, is_passback
    level = _level(presentation, state, holder, at)
    if level < level_wanted(policy, point, at):
        return Reason.SECOND_FACTOR_REQUIRED, credential, holder, rule, level, is_passback
    if point.persons > 1 or (holder is not None and holder.needs_escort):
        alone = _alone(policy, holder, state, at)
        if alone is not None:
            return alone, credential, holder, rule, level, is_passback
    return _GRANTED, credential, holder, rule, level, is_passback


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

SEEN_BY_CAMERA = frozenset({Method.FACE, Method.TERMINAL_FACE, Method.PLATE})
STALE_AFTER_S = STALE_AFTER.total_seconds()

# Python 3.11 takes 0.3 us to look a member up in its enum; a decision asks for a dozen.
_FIRE, _LOCKDOWN = Mode.FIRE, Mode.LOCKDOWN
_EXIT, _EXIT_BUTTON, _QR, _PLATE = Direction.EXIT, Method.EXIT_BUTTON, Method.QR, Method.PLATE
_PIN = Method.PIN
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
    if credential is None and presentation.forced_from is not None:
        credential = policy.credential_for(presentation.method, presentation.forced_from)
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
    if leave.rotates and state.pass_code is not _FRESH:
        return _NOT_FRESH.get(state.pass_code or Freshness.MISSING, Reason.PASS_STALE)
    if leave.uses:
        if state.pass_used >= leave.uses:
            return Reason.PASS_USED
        if not state.is_online and not _is_home(policy, leave, presentation.point):
            return Reason.PASS_UNPROVEN
    return None


_FRESH = Freshness.FRESH
_NOT_FRESH = {
    Freshness.SHOWN: Reason.PASS_SHOWN,
    Freshness.UNKNOWN: Reason.PASS_UNPROVEN,
}


def _is_home(policy: Policy, leave: Pass, point: str) -> bool:
    """Whether this edge alone may count a pass while it can't hear of uses at other edges.

    Two edges that are cut off from each other would each let a copy in. One of them is the
    pass's home, and honours it: the edge of the first access point that the pass names.
    """
    named = leave.points or sorted(
        id_ for id_, place in policy.points.items() if _QR in place.methods
    )
    return _node_of(policy, named[0]) == _node_of(policy, point)


def _node_of(policy: Policy, point: str) -> str | None:
    place = policy.points.get(point)
    portal = policy.portals.get(place.portal) if place is not None else None
    return portal.node if portal is not None else None


def subject_of(method: Method, value: str, holder: str | None) -> str | None:
    """Name whose whereabouts a presentation is about: a car by its plate, a person by id."""
    return f"plate:{value}" if method is _PLATE and value else holder


def _outsider(
    policy: Policy, point: AccessPoint, presentation: Presentation, state: State, at: datetime
) -> Reason | None:
    """Judge a car that nobody has registered, by the community's own parking rule."""
    parking = policy.parking.get(point.area_to or "")
    if parking is None or presentation.evidence.vehicle_present is not True:
        return None
    if parking.emergency_enters and is_emergency(presentation.value):
        return Reason.EMERGENCY_VEHICLE
    is_one_plate_enough = point.persons <= 1 and level_wanted(policy, point, at) <= 1
    if parking.outsiders is not Outsiders.ADMIT or not is_one_plate_enough:
        return None
    is_inside = state.place is not None and state.place.area == parking.id
    # Of a shared area another edge may have let it out; this one has not seen that.
    if is_inside and not policy.is_shared(parking.id):
        return Reason.VEHICLE_ALREADY_INSIDE
    area = policy.areas.get(parking.id)
    if area is not None and 0 < area.capacity <= state.inside and not is_inside:
        return Reason.AREA_FULL
    return Reason.INTERLOCKED if state.blocked_by is not None else Reason.TEMPORARY_VEHICLE


def _parking_fault(
    policy: Policy,
    point: AccessPoint,
    credential: Credential | None,
    holder: Holder | None,
    state: State,
) -> Reason | None:
    parking = policy.parking.get(point.area_to or "")
    if parking is None:
        return None
    if not parking.residents_enter and holder is not None and holder.kind is _RESIDENT:
        return Reason.PARKING_NEXT_DOOR
    name = credential.household if credential is not None else None
    household = policy.households.get(name) if name is not None else None
    if household is not None and household.cars is not None:
        is_inside = state.place is not None and state.place.area == point.area_to
        others = state.cars_inside - (1 if is_inside else 0)
        if others >= household.cars:
            return Reason.HOUSEHOLD_FULL
    return None


def _is_passback(
    policy: Policy, point: AccessPoint, method: Method, state: State, at: datetime
) -> bool:
    """Whether this one is known to be inside already. Whoever is nowhere is forgiven."""
    place = state.place
    area = policy.areas.get(point.area_to or "")
    if area is None or place is None or place.area != area.id:
        return False
    if area.anti_passback is AntiPassback.OFF:
        return method is _PLATE and area.id in policy.parking
    if area.anti_passback is AntiPassback.TIMED:
        return at < place.since + timedelta(seconds=area.anti_passback_s)
    return True


def _area_fault(
    policy: Policy, point: AccessPoint, method: Method, state: State, is_passback: bool
) -> Reason | None:
    area = policy.areas.get(point.area_to or "")
    if area is None:
        return None
    is_strict = area.anti_passback in _STRICT and not policy.is_shared(area.id)
    if is_passback and is_strict:
        # What happened at another edge's portals this one has not seen; it notes, and admits.
        return Reason.VEHICLE_ALREADY_INSIDE if method is _PLATE else Reason.ANTI_PASSBACK
    is_inside = state.place is not None and state.place.area == area.id
    return Reason.AREA_FULL if 0 < area.capacity <= state.inside and not is_inside else None


_STRICT = frozenset({AntiPassback.HARD, AntiPassback.TIMED})
_RESIDENT = HolderKind.RESIDENT


def level_wanted(policy: Policy, point: AccessPoint, at: datetime) -> int:
    """Give the level that a point wants now: its own, or one raised by a schedule that holds."""
    wanted = max(1, point.level)
    for raised in point.raised:
        if raised.level > wanted:
            schedule = policy.schedules.get(raised.schedule)
            # A schedule that is missing can't say when, so it is now: fail closed.
            if schedule is None or schedule.is_active(at):
                wanted = raised.level
    return wanted


def _alone(policy: Policy, holder: Holder | None, state: State, at: datetime) -> Reason | None:
    """Say who has to come along, or None where they are there."""
    companion = state.companion
    if (
        companion is None
        or holder is None
        or companion.holder == holder.id
        or not timedelta(0) <= at - companion.at <= SECOND_FACTOR_WAIT
    ):
        is_led = holder is not None and holder.needs_escort
        return Reason.ESCORT_REQUIRED if is_led else Reason.SECOND_PERSON_REQUIRED
    if holder.needs_escort:
        return None if companion.can_escort else Reason.ESCORT_REQUIRED
    other = policy.holders.get(companion.holder)
    # Whoever needs an escort must not come in as somebody else's second person.
    is_led_in = other is not None and other.needs_escort and not holder.can_escort
    return Reason.ESCORT_REQUIRED if is_led_in else None


def _credential_fault(credential: Credential | None, method: Method, at: datetime) -> Reason | None:
    if credential is None:
        # A pass stands for itself: its signature was its proof.
        if method is _QR:
            return None
        return Reason.INVALID_PIN if method is _PIN else Reason.CREDENTIAL_UNKNOWN
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


def memberships_of(holder: Holder | None, leave: Pass | None) -> tuple[Membership, ...]:
    """List the groups that somebody comes as: a holder's own, or the one on a stranger's pass."""
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
