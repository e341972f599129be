"""The desk of decisions: what is remembered between one presentation and the next.

First factors, companions, wrong PINs, uses of passes, plates that wait for their car, and who
is where. It gathers what `core.access.decide` asks for, and takes note of what came out.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from anlin.core import device, pin, qr
from anlin.core.access import (
    ENTRIES,
    NORMAL,
    SECOND_FACTOR_WAIT,
    STALE_AFTER,
    Companion,
    Decision,
    FirstFactor,
    Mode,
    Presentation,
    Reason,
    State,
    decide,
    subject_of,
)
from anlin.core.codec import from_data, to_data
from anlin.core.entities import AccessPoint, Credential, Direction, Holder, Method
from anlin.core.explanation import Checked, explain
from anlin.core.policy import Policy
from anlin.core.qr import PassError
from anlin.core.qr import read as read_pass
from anlin.edge.portals import Portals
from anlin.edge.whereabouts import Stay, Whereabouts
from anlin.wire.keys import verify

PLATE_WAIT = timedelta(seconds=5)
"""A camera reads a plate before the car is on the loop; that long the reading waits for it."""

TOLD_AT_ONCE_S = 2.0
"""A card takes milliseconds from the reader to here, a face or plate some hundred of them."""

DENIALS = 5
"""Refusals in a row at one point that somebody should look at (GB 50396-2007 5.1.5)."""

DENIALS_WITHIN = timedelta(minutes=5)

LOCKOUT = "lockout/"
"""Before the point's id, in the names of the replica's facts."""

PIN_KEY = "pin"

_SHOWABLE = frozenset({Method.CARD, Method.SECURE_CARD})
"""Methods whose unknown value is worth keeping: a clerk registers the card just shown."""

_NOT_A_TRY = frozenset(
    {
        Reason.SECOND_FACTOR_REQUIRED,
        Reason.SECOND_PERSON_REQUIRED,
        Reason.ESCORT_REQUIRED,
        Reason.VEHICLE_NOT_PRESENT,
        Reason.STALE_PRESENTATION,
        Reason.RECORDS_UNAVAILABLE,
        Reason.LOCKDOWN,
        Reason.FACE_NOT_RECOGNISED,
        Reason.PLATE_NOT_READ,
        Reason.INTERLOCKED,
        Reason.PIN_LOCKED,
    }
)
"""Refusals that do not look like somebody trying keys: a camera sees every passer-by."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One presentation with all that was looked at."""

    decision: Decision
    presentation: Presentation
    state: State
    point: AccessPoint | None
    holder: Holder | None
    subject: str | None


@dataclass(frozen=True, slots=True)
class Pending:
    """A grant on which nobody has passed yet: who may, and where that leads."""

    subject: str | None
    holder: str | None
    point: str
    area: str | None
    is_exit: bool
    method: Method
    household: str | None = None
    until: datetime | None = None
    stay_s: float | None = None

    def stay(self, now: datetime) -> Stay | None:
        """Give the stay that begins when somebody passes; None where the area is not known."""
        if self.area is None:
            return None
        ends = [self.until] if self.until is not None else []
        if self.stay_s is not None:
            ends.append(now + timedelta(seconds=self.stay_s))
        return Stay(self.area, now, self.household, min(ends, default=None))


class Desk:
    """What one node remembers from presentation to presentation."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        portals: Portals,
        whereabouts: Whereabouts,
        pass_uses: Mapping[str, int],
        lockouts: Mapping[str, str],
        node: str,
        pass_steps: Mapping[str, int] | None = None,
    ) -> None:
        self._policy = policy
        self._portals = portals
        self._node = node
        self.whereabouts = whereabouts
        self.pass_uses = Counter(pass_uses)
        """Grants by pass at this node, the waiting ones included."""
        self.records = True
        self.is_online = False
        self.pin_secret: bytes | None = None
        self.pass_secret: bytes | None = None
        self._pass_steps = dict(pass_steps or {})
        """By pass, the half minute of the last code that somebody was let in on."""
        self.unsaved: dict[str, str] = {}
        self._first_factors: dict[str, FirstFactor] = {}
        self._companions: dict[str, Companion] = {}
        self._lockouts = {
            name.removeprefix(LOCKOUT): from_data(pin.Lockout, json.loads(value))
            for name, value in lockouts.items()
        }
        self._denials: dict[str, tuple[int, datetime]] = {}
        self._loops: dict[str, bool] = {}
        self._left_at: dict[str, datetime] = {}
        self._waiting_plates: dict[tuple[str, str], tuple[device.Read, datetime]] = {}
        """By access point and plate, the first in line first."""
        self._pending: dict[str, Pending] = {}

    # Judging

    def judge(self, report: device.Read, now: datetime) -> Judged:
        """Decide on what was presented."""
        policy = self._policy()
        presentation = self._presentation(report, now)
        point = policy.points.get(report.point)
        state, subject = self._state(presentation, point, now)
        decision = decide(policy, presentation, state, now)
        holder = policy.holders.get(decision.holder or "")
        return Judged(decision, presentation, state, point, holder, subject)

    def explain(self, judged: Judged, now: datetime) -> tuple[Checked, ...]:
        """Say what each check saw."""
        _, checks = explain(self._policy(), judged.presentation, judged.state, now)
        return checks

    def opinion(self, report: device.Decided, now: datetime) -> Decision:
        """Say what this edge would have decided on what a device has decided already."""
        read = device.Read(
            report.point, report.method, report.value, None, 0.0, report.evidence, report.detail
        )
        policy = self._policy()
        return decide(policy, self._presentation(read, now), NORMAL, now)

    def note(self, judged: Judged, report: device.Read, release: str, now: datetime) -> None:
        """Remember what a decision means for the next ones."""
        decision, presentation = judged.decision, judged.presentation
        if decision.is_granted:
            self._first_factors.pop(decision.point, None)
            self._waiting_plates.pop((decision.point, presentation.value), None)
            self._denials.pop(decision.point, None)
            if decision.reason is Reason.GRANTED and presentation.leave is not None:
                self.pass_uses[presentation.leave.id] += 1
                step = self._step_of(presentation, now)
                if step is not None:
                    self._pass_steps[presentation.leave.id] = step
            if release:
                self._pending[release] = self._pending_of(judged)
            if decision.reason in ENTRIES:
                self._remember_companion(decision, now)
                if judged.point is not None and judged.point.persons > 1:
                    # The pair has passed: a third person needs a companion of their own.
                    self._companions.pop(decision.point, None)
                if decision.method is Method.PIN:
                    self._set_lockout(decision.point, None)
            return
        if decision.reason is Reason.SECOND_FACTOR_REQUIRED and decision.holder is not None:
            first = FirstFactor(decision.holder, decision.method, decision.level, now)
            self._first_factors[decision.point] = first
        elif decision.reason in (Reason.SECOND_PERSON_REQUIRED, Reason.ESCORT_REQUIRED):
            self._remember_companion(decision, now)
            self._first_factors.pop(decision.point, None)
        elif decision.reason is Reason.VEHICLE_NOT_PRESENT and not self.has_left(report, now):
            key = (decision.point, presentation.value)
            self._waiting_plates[key] = (replace(report, origin=None), now)
        elif decision.reason is Reason.INVALID_PIN:
            before = self._lockouts.get(decision.point, pin.OPEN)
            self._set_lockout(decision.point, pin.after_wrong(before, now))

    def is_trying_keys(self, decision: Decision, now: datetime) -> bool:
        """Count a refusal; say, once for each row of them, that somebody should look."""
        if decision.reason in _NOT_A_TRY or not decision.point:
            return False
        count, last = self._denials.get(decision.point, (0, now))
        count = count + 1 if now - last <= DENIALS_WITHIN else 1
        self._denials[decision.point] = (count, now)
        return count == DENIALS

    def lockout(self, point: str) -> pin.Lockout:
        """Give what a point's keypad remembers."""
        return self._lockouts.get(point, pin.OPEN)

    def data(self, judged: Judged, report: device.Read) -> dict[str, Any]:
        """Give everything that an explanation or a replay of the decision needs, and no secret."""
        decision, presentation = judged.decision, judged.presentation
        # What a device kept and told late says how long it was kept, not how long this took.
        latency: float | None = None
        if presentation.age_s <= TOLD_AT_ONCE_S:
            latency = presentation.age_s * 1000 + float(report.detail.get("seen_ms", 0))
        data: dict[str, Any] = {
            "reason": decision.reason,
            "method": decision.method,
            "point": decision.point,
            "portal": judged.point.portal if judged.point is not None else None,
            "holder": decision.holder,
            "label": decision.label,
            "credential": decision.credential,
            "rule": decision.rule,
            "level": decision.level,
            "latency_ms": None if latency is None else round(latency, 1),
            "age_s": presentation.age_s or None,
            "offline": not self.is_online,
            "passback": True if decision.is_passback else None,
            **_told(presentation.evidence, device.NO_EVIDENCE),
            **{key: value for key, value in report.detail.items() if key != "seen_ms"},
        }
        data["state"] = _told(judged.state, NORMAL)
        if decision.is_granted and timedelta(seconds=presentation.age_s) <= STALE_AFTER:
            # Who pressed the exit button long ago has pressed it again, or has left.
            data["release"] = secrets.token_hex(8)
        if presentation.leave is not None:
            data["pass"] = presentation.leave.id
            data["leave"] = to_data(presentation.leave)
            # The number of a half minute, which is no secret: after a restart it still tells
            # that the code was used.
            data["pass_step"] = self._step_of(presentation, presentation.at)
        if presentation.fault is not None:
            data["fault"] = presentation.fault
        if decision.method is Method.PLATE or (
            decision.credential is None and decision.method in _SHOWABLE
        ):
            data["value"] = presentation.value
        return {key: value for key, value in data.items() if value not in (None, "", {})}

    # Passages

    def who_passes(self, release: str) -> tuple[bool | None, str | None]:
        """Say whether a grant leads out (None: not known), and for which holder it is."""
        pending = self._pending.get(release)
        return (pending.is_exit, pending.holder) if pending is not None else (None, None)

    def taken(self, release: str, now: datetime) -> Pending | None:
        """Note that somebody passed on a grant; say who it was and where that led."""
        pending = self._pending.pop(release, None)
        if pending is None or pending.subject is None:
            return pending
        stay = pending.stay(now)
        point = self._policy().points.get(pending.point)
        if stay is not None or (point is not None and point.area_from is not None):
            # A portal that bounds no area moves nobody.
            self.whereabouts.move(pending.subject, stay)
        return pending

    def note_decided(self, report: device.Decided, ours: Decision, release: str) -> None:
        """Remember a grant that a device gave by itself, so that its passage moves somebody."""
        policy = self._policy()
        subject = subject_of(report.method, report.value, ours.holder)
        self._pending[release] = _pending(
            policy,
            policy.points.get(report.point),
            report.point,
            subject,
            report.method,
            policy.holders.get(ours.holder or ""),
            policy.credentials.get(ours.credential or ""),
        )

    def not_taken(self, release: str) -> None:
        """Forget a grant that nobody used. The use of a pass stays counted: it did open."""
        self._pending.pop(release, None)

    def take_back(self, release: str, leave: str | None) -> None:
        """Undo a grant that opened nothing."""
        self._pending.pop(release, None)
        if leave is not None:
            self.pass_uses[leave] -= 1

    def restore(self, release: str, point: str, data: Mapping[str, Any]) -> None:
        """Take up a grant of the last life, on which somebody may pass yet."""
        policy = self._policy()
        place = policy.points.get(point)
        holder = policy.holders.get(str(data.get("holder") or ""))
        credential = policy.credentials.get(str(data.get("credential") or ""))
        method = Method(data["method"])
        subject = subject_of(method, str(data.get("value", "")), holder.id if holder else None)
        self._pending[release] = _pending(policy, place, point, subject, method, holder, credential)

    # Plates and loops

    def loop(self, portal_id: str, is_occupied: bool, now: datetime) -> bool:
        """Note the approach loop's level; say whether it is news."""
        if self._loops.get(portal_id) == is_occupied:
            return False
        self._loops[portal_id] = is_occupied
        if not is_occupied:
            self._left_at[portal_id] = now
        return True

    def first_waiting(self, portal_id: str, now: datetime) -> device.Read | None:
        """Give the plate that has waited longest for a car to drive up; it is the car's."""
        self.forget_plates(now)
        for key, (report, read_at) in self._waiting_plates.items():
            point = self._policy().points.get(key[0])
            if point is not None and point.portal == portal_id:
                del self._waiting_plates[key]
                age_s = report.age_s + (now - read_at).total_seconds()
                return replace(report, age_s=age_s)
        return None

    def has_left(self, report: device.Read, now: datetime) -> bool:
        """Whether a car has left since this plate was seen; the plate may have gone with it."""
        point = self._policy().points.get(report.point)
        left_at = self._left_at.get(point.portal) if point is not None else None
        return left_at is not None and now - timedelta(seconds=report.age_s) < left_at

    def forget_plates(self, now: datetime) -> None:
        """Drop the plates whose car has not come."""
        for key, (_, read_at) in list(self._waiting_plates.items()):
            if now - read_at > PLATE_WAIT:
                del self._waiting_plates[key]

    def overstayed(self, now: datetime) -> Iterator[tuple[str, Stay]]:
        """Give each car whose time is up, once."""
        for subject, stay in self.whereabouts.overstayed(now):
            if subject.startswith("plate:"):
                yield subject.removeprefix("plate:"), stay

    # What a decision asks for

    def _presentation(self, report: device.Read, now: datetime) -> Presentation:
        policy = self._policy()
        evidence, leave, fault = report.evidence, None, None
        value, forced_from = report.value, None
        point = policy.points.get(report.point)
        if report.method is Method.PLATE and point is not None and point.portal in self._loops:
            is_there = (
                self._loops[point.portal]
                and evidence.vehicle_present is not False
                and not self.has_left(report, now)
            )
            evidence = replace(evidence, vehicle_present=is_there)
        if report.method is Method.QR:
            keys = {issuer.id: issuer.public_key for issuer in policy.issuers.values()}
            try:
                leave = read_pass(report.value, keys, verify)
            except PassError as error:
                fault = str(error)
        if report.method is Method.PIN:
            value = ""
            if self.pin_secret is None:
                fault = "this edge does not have the community's PIN secret yet"
            elif pin.is_digits(report.value):
                value = pin.key_of(self.pin_secret, report.value)
                forced_from = pin.key_of(self.pin_secret, pin.forced_from(report.value))
        return Presentation(
            report.point,
            report.method,
            value,
            now,
            evidence,
            leave,
            fault,
            report.age_s,
            forced_from,
        )

    def _state(
        self, presentation: Presentation, point: AccessPoint | None, now: datetime
    ) -> tuple[State, str | None]:
        if point is None:
            return State(records=self.records), None
        policy = self._policy()
        status = self._portals.status(point.portal)
        mode = Mode.NORMAL
        if status.fire_latched:
            mode = Mode.FIRE
        elif status.lockdown:
            mode = Mode.LOCKDOWN
        credential, holder_id = self._who(presentation)
        subject = subject_of(presentation.method, presentation.value, holder_id)
        lockout = self._lockouts.get(point.id)
        household = credential.household if credential is not None else None
        state = State(
            mode=mode,
            pass_used=self._pass_used(presentation),
            first_factor=self._first_factors.get(point.id),
            records=self.records,
            is_online=self.is_online,
            pin_locked_until=lockout.locked_until if lockout is not None else None,
            place=self.whereabouts.place(subject),
            inside=self.whereabouts.inside(point.area_to),
            cars_inside=self.whereabouts.cars_inside(point.area_to, household),
            blocked_by=self._blocked_by(policy, point),
            companion=self._companion(point.id, now),
            pass_code=self._freshness(presentation, now),
        )
        return state, subject

    def _who(self, presentation: Presentation) -> tuple[Credential | None, str | None]:
        if presentation.leave is not None:
            return None, presentation.leave.holder
        policy = self._policy()
        credential = policy.credential_for(presentation.method, presentation.value)
        if credential is None and presentation.forced_from is not None:
            credential = policy.credential_for(presentation.method, presentation.forced_from)
        return credential, credential.holder if credential is not None else None

    def _pass_used(self, presentation: Presentation) -> int:
        if presentation.leave is None:
            return 0
        heard = self._policy().pass_uses.get(presentation.leave.id)
        elsewhere = (
            sum(count for node, count in heard.by_node.items() if node != self._node)
            if heard is not None
            else 0
        )
        return self.pass_uses[presentation.leave.id] + elsewhere

    def _freshness(self, presentation: Presentation, now: datetime) -> qr.Freshness | None:
        """Judge the code beside a pass that rotates; None where the pass has none."""
        leave = presentation.leave
        if leave is None or not leave.rotates:
            return None
        if self.pass_secret is None:
            return qr.Freshness.UNKNOWN
        if not qr.code_of(presentation.value):
            return qr.Freshness.MISSING
        step = self._step_of(presentation, now)
        if step is None:
            return qr.Freshness.STALE
        is_shown = step <= self._pass_steps.get(leave.id, -1)
        return qr.Freshness.SHOWN if is_shown else qr.Freshness.FRESH

    def _step_of(self, presentation: Presentation, now: datetime) -> int | None:
        leave = presentation.leave
        if leave is None or not leave.rotates or self.pass_secret is None:
            return None
        secret = qr.pass_secret(self.pass_secret, leave.id)
        shown_at = now - timedelta(seconds=presentation.age_s)
        return qr.step_shown(presentation.value, secret, shown_at)

    def _blocked_by(self, policy: Policy, point: AccessPoint) -> str | None:
        for other in policy.interlocked_with(point.portal):
            status = self._portals.status(other)
            if status.is_open or status.grant is not None or status.holds_unlocked is not None:
                return other
        return None

    def _companion(self, point: str, now: datetime) -> Companion | None:
        companion = self._companions.get(point)
        if companion is not None and now - companion.at > SECOND_FACTOR_WAIT:
            del self._companions[point]
            return None
        return companion

    def _remember_companion(self, decision: Decision, now: datetime) -> None:
        if decision.holder is None:
            return
        holder = self._policy().holders.get(decision.holder)
        can_escort = holder is not None and holder.can_escort
        self._companions[decision.point] = Companion(decision.holder, now, can_escort)

    def _set_lockout(self, point: str, lockout: pin.Lockout | None) -> None:
        if lockout is None and point not in self._lockouts:
            return
        self._lockouts[point] = lockout or pin.OPEN
        self.unsaved[LOCKOUT + point] = json.dumps(to_data(self._lockouts[point]))

    def _pending_of(self, judged: Judged) -> Pending:
        policy = self._policy()
        credential = policy.credentials.get(judged.decision.credential or "")
        return _pending(
            policy,
            judged.point,
            judged.decision.point,
            judged.subject,
            judged.decision.method,
            judged.holder,
            credential,
        )


def _told(value: Any, usual: Any) -> dict[str, Any]:
    """Give as JSON data the fields of a dataclass that are not as usual."""
    if value is usual:
        return {}
    pairs = ((name, getattr(value, name)) for name in value.__slots__)
    return {name: to_data(item) for name, item in pairs if item != getattr(usual, name)}


def _pending(
    policy: Policy,
    point: AccessPoint | None,
    point_id: str,
    subject: str | None,
    method: Method,
    holder: Holder | None,
    credential: Credential | None,
) -> Pending:
    area = point.area_to if point is not None else None
    is_car = method is Method.PLATE
    parking = policy.parking.get(area or "") if is_car else None
    ends = [dated.valid_until for dated in (holder, credential) if dated is not None]
    return Pending(
        subject,
        holder.id if holder is not None else None,
        point_id,
        area,
        point is not None and point.direction is Direction.EXIT,
        method,
        credential.household if credential is not None else None,
        min((end for end in ends if end is not None), default=None) if is_car else None,
        parking.stay_s if parking is not None else None,
    )
