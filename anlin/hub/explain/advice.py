"""What would have to change for a refusal to become a grant, and how near it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.access import GRANTS, Reason, level_wanted, memberships_of
from anlin.core.entities import AccessRule, AntiPassback, Membership, Method
from anlin.core.schedule import Schedule
from anlin.hub.explain.saw import Case, group_name, method_name, moment

LOOK_AHEAD = timedelta(days=8)
"""A weekly schedule that does not hold within a week and a day does not hold at all."""

_STEP = timedelta(minutes=5)
_MINUTE = timedelta(minutes=1)


def advice(case: Case) -> str:
    """Say what would have to change; nothing for a grant."""
    reason = case.decision.reason
    if reason in GRANTS:
        return ""
    told = _TOLD.get(reason)
    return told(case) if told is not None else str(PLAIN[reason])


def nearest(case: Case) -> list[str]:
    """List for somebody whom no rule admits what rules there are, and what each one lacks."""
    if case.decision.reason not in _BY_RULE or case.point is None:
        return []
    memberships = memberships_of(case.holder, case.presentation.leave)
    lines = [
        text
        for membership in memberships
        for rule in case.policy.rules_at(case.point.id, membership.group)
        for text in (_lacks(rule, membership, case),)
    ]
    if lines:
        return lines
    admitted = sorted(
        {
            group_name(group, case)
            for rule in case.policy.rules.values()
            if case.point.id in rule.points
            for group in rule.groups
        }
    )
    if not admitted:
        return [_("No rule admits anybody here.")]
    return [_("Admitted here: %(groups)s.") % {"groups": ", ".join(admitted)}]


def next_active(schedule: Schedule, at: datetime) -> datetime | None:
    """Find the minute in which a schedule next holds, within `LOOK_AHEAD`."""
    probe = at
    while probe <= at + LOOK_AHEAD:
        if schedule.is_active(probe):
            while probe - _MINUTE > at and schedule.is_active(probe - _MINUTE):
                probe -= _MINUTE
            return probe.replace(second=0, microsecond=0)
        probe += _STEP
    return None


def _lacks(rule: AccessRule, membership: Membership, case: Case) -> str:
    """Say of a rule for one of the holder's groups why it does not admit."""
    at, values = case.at, {"rule": rule.name, "group": group_name(membership.group, case)}
    if membership.valid_from is not None and at < membership.valid_from:
        return _("“%(rule)s” admits %(group)s; that begins %(time)s.") % {
            **values,
            "time": moment(membership.valid_from),
        }
    if membership.valid_until is not None and at >= membership.valid_until:
        return _("“%(rule)s” admits %(group)s; that ended %(time)s.") % {
            **values,
            "time": moment(membership.valid_until),
        }
    if rule.valid_from is not None and at < rule.valid_from:
        return _("“%(rule)s” begins %(time)s.") % {**values, "time": moment(rule.valid_from)}
    if rule.valid_until is not None and at >= rule.valid_until:
        return _("“%(rule)s” ended %(time)s.") % {**values, "time": moment(rule.valid_until)}
    schedule = case.policy.schedules.get(rule.schedule or "")
    if schedule is None:
        return _("“%(rule)s” names a schedule that does not exist.") % values
    opens = next_active(schedule, at)
    values["schedule"] = schedule.name
    if opens is None:
        return _("“%(rule)s” holds by “%(schedule)s”, which does not hold this week.") % values
    return _("“%(rule)s” holds by “%(schedule)s”, next from %(time)s.") % {
        **values,
        "time": moment(opens),
    }


_BY_RULE = frozenset(
    {
        Reason.UNAUTHORIZED,
        Reason.RESIDENCY_NOT_ACTIVE,
        Reason.RESIDENCY_ENDED,
        Reason.NOT_PERMITTED_AT_THIS_TIME,
    }
)

PLAIN: Mapping[str, Promise] = {
    Reason.UNKNOWN_ACCESS_POINT: gettext_lazy("Set the access point up; its edge hears of it."),
    Reason.ACCESS_POINT_DISABLED: gettext_lazy("Switch the access point on in the set-up."),
    Reason.STALE_PRESENTATION: gettext_lazy(
        "Show it again. If that is often so, look at the device's network."
    ),
    Reason.LOCKDOWN: gettext_lazy("End the lockdown; until then only a person can let in."),
    Reason.METHOD_NOT_ACCEPTED: gettext_lazy(
        "Show one of the means accepted here, or accept this one in the set-up."
    ),
    Reason.PIN_LOCKED: gettext_lazy("Wait, or show a card; a right card opens meanwhile."),
    Reason.MASK_WORN: gettext_lazy("Take the mask off, or show a card."),
    Reason.LIVENESS_FAILED: gettext_lazy(
        "Look into the camera oneself, or show a card. If it was a person, tell the installer."
    ),
    Reason.FACE_NOT_RECOGNISED: gettext_lazy("Show a card, or enrol the face anew."),
    Reason.PLATE_NOT_READ: gettext_lazy("Clean the plate, drive up slowly, or show a card."),
    Reason.VEHICLE_NOT_PRESENT: gettext_lazy(
        "Drive up to the loop. If a car stood there, have the loop looked at."
    ),
    Reason.PASS_INVALID: gettext_lazy("Issue a new pass; this code is not one of ours."),
    Reason.PASS_REVOKED: gettext_lazy("Issue a new pass; this one was taken back."),
    Reason.PASS_OTHER_COMMUNITY: gettext_lazy("Ask for a pass of this community."),
    Reason.PASS_NOT_ACTIVE: gettext_lazy("Come when the pass begins, or issue an earlier one."),
    Reason.PASS_EXPIRED: gettext_lazy("Issue a new pass; this one is over."),
    Reason.PASS_WRONG_POINT: gettext_lazy("Go to an entrance that the pass names."),
    Reason.PASS_USED: gettext_lazy("Issue a new pass, or one with more uses."),
    Reason.PASS_STALE: gettext_lazy("Show the pass on its own page, where the code changes."),
    Reason.PASS_SHOWN: gettext_lazy("Wait for the next code, at most half a minute."),
    Reason.PASS_UNPROVEN: gettext_lazy(
        "Go to the first entrance that the pass names, or wait until the edge hears the hub."
    ),
    Reason.INVALID_PIN: gettext_lazy("Type the PIN again; a forgotten one is given anew."),
    Reason.CREDENTIAL_UNKNOWN: gettext_lazy("Register it to somebody who lives here."),
    Reason.CREDENTIAL_NOT_ENABLED: gettext_lazy("Resume the credential on its holder's page."),
    Reason.CREDENTIAL_LOST: gettext_lazy(
        "If it was found, take it back into use on its holder's page."
    ),
    Reason.CREDENTIAL_REVOKED: gettext_lazy("Register a new one; taken back is for ever."),
    Reason.CREDENTIAL_NOT_ACTIVE: gettext_lazy("Wait until the credential begins."),
    Reason.CREDENTIAL_EXPIRED: gettext_lazy("Register a new one, or extend it."),
    Reason.HOLDER_UNKNOWN: gettext_lazy("Register the person."),
    Reason.HOLDER_NOT_ENABLED: gettext_lazy("Let the person in again on their page."),
    Reason.HOLDER_NOT_ACTIVE: gettext_lazy("Wait until the person is admitted."),
    Reason.HOLDER_EXPIRED: gettext_lazy("Extend how long the person is admitted."),
    Reason.RESIDENCY_NOT_ACTIVE: gettext_lazy("Wait until the lease begins, or let it begin."),
    Reason.RESIDENCY_ENDED: gettext_lazy("Extend the lease, if it was."),
    Reason.OFF_VISITOR_PATH: gettext_lazy("Visitors find only the way to their host open."),
    Reason.UNAUTHORIZED: gettext_lazy("Add one of the person's groups to an access rule here."),
    Reason.NOT_PERMITTED_AT_THIS_TIME: gettext_lazy("Come at another time, or change the rule."),
    Reason.PARKING_NEXT_DOOR: gettext_lazy("Residents park next door by the parking rule."),
    Reason.HOUSEHOLD_FULL: gettext_lazy(
        "Another car of the home has to leave; mark it as left if it is gone."
    ),
    Reason.ANTI_PASSBACK: gettext_lazy(
        "Go out first, or mark the person as left, if they went out unseen."
    ),
    Reason.VEHICLE_ALREADY_INSIDE: gettext_lazy(
        "See whether the car is inside. If not, mark it as left; if it is, this plate is false."
    ),
    Reason.AREA_FULL: gettext_lazy("Somebody has to leave, or the limit is raised."),
    Reason.INTERLOCKED: gettext_lazy("Close the other door first."),
    Reason.SECOND_FACTOR_REQUIRED: gettext_lazy("Show a second means within 15 seconds."),
    Reason.ESCORT_REQUIRED: gettext_lazy("Come with somebody who may escort."),
    Reason.SECOND_PERSON_REQUIRED: gettext_lazy("A second person shows theirs within 15 seconds."),
    Reason.RECORDS_UNAVAILABLE: gettext_lazy("The edge's disk is full or broken; see to it."),
    Reason.INTERNAL_ERROR: gettext_lazy("Send the edge's log to the installer."),
}
"""For each refusal the one thing that would turn it."""


def _method(case: Case) -> str:
    point = case.point
    methods = ", ".join(method_name(one) for one in point.methods) if point is not None else ""
    return _("Show %(methods)s, or accept %(method)s here in the set-up.") % {
        "methods": methods,
        "method": method_name(case.method),
    }


def _pin_locked(case: Case) -> str:
    until = case.state.pin_locked_until
    if until is None:
        return str(PLAIN[Reason.PIN_LOCKED])
    return _("Wait until %(time)s, or show a card.") % {"time": moment(until)}


def _passback(case: Case) -> str:
    area, place = case.area, case.state.place
    if area is None or place is None or area.anti_passback is not AntiPassback.TIMED:
        return str(PLAIN[Reason.ANTI_PASSBACK])
    free_at = place.since + timedelta(seconds=area.anti_passback_s)
    return _("Go out first, or wait until %(time)s.") % {"time": moment(free_at)}


def _second_factor(case: Case) -> str:
    point = case.point
    if point is None:
        return str(PLAIN[Reason.SECOND_FACTOR_REQUIRED])
    others = ", ".join(
        method_name(one)
        for one in point.methods
        if one is not case.method and one is not Method.EXIT_BUTTON
    )
    return _("Show a second means as well (%(methods)s): level %(wanted)s is wanted here now.") % {
        "methods": others,
        "wanted": level_wanted(case.policy, point, case.at),
    }


def _wrong_point(case: Case) -> str:
    leave = case.presentation.leave
    points = case.policy.points
    names: Iterable[str] = (
        points[id_].name for id_ in (leave.points if leave is not None else ()) if id_ in points
    )
    return _("The pass is for %(points)s.") % {"points": ", ".join(names) or "–"}


_TOLD: Mapping[str, Callable[[Case], str]] = {
    Reason.METHOD_NOT_ACCEPTED: _method,
    Reason.PIN_LOCKED: _pin_locked,
    Reason.ANTI_PASSBACK: _passback,
    Reason.SECOND_FACTOR_REQUIRED: _second_factor,
    Reason.PASS_WRONG_POINT: _wrong_point,
}
"""Where the values of the case say it better."""
