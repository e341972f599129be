"""What each check of a decision looked at, in the words of whoever reads it.

The checks, their order and which one spoke are the core's (`core.explanation`); here is only how
the values are worded, and which checks do not apply to what was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.access import (
    SEEN_BY_CAMERA,
    STALE_AFTER_S,
    Decision,
    Liveness,
    Mode,
    Presentation,
    Reason,
    State,
    level_wanted,
    memberships_of,
)
from anlin.core.entities import (
    AccessPoint,
    AntiPassback,
    Area,
    Credential,
    Holder,
    Membership,
    Method,
    Outsiders,
    Parking,
)
from anlin.core.policy import Policy
from anlin.hub.access.policy import STAFF, VISITORS
from anlin.hub.console.words import CREDENTIAL_STATUS, DIRECTION, METHOD


@dataclass(frozen=True, slots=True)
class Case:
    """One decision with everything that it looked at. `names` are what ids are called now."""

    policy: Policy
    presentation: Presentation
    state: State
    decision: Decision
    at: datetime
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def point(self) -> AccessPoint | None:
        return self.policy.points.get(self.presentation.point)

    @property
    def credential(self) -> Credential | None:
        return self.policy.credentials.get(self.decision.credential or "")

    @property
    def holder(self) -> Holder | None:
        return self.policy.holders.get(self.decision.holder or "")

    @property
    def area(self) -> Area | None:
        point = self.point
        return self.policy.areas.get(point.area_to or "") if point is not None else None

    @property
    def parking(self) -> Parking | None:
        point = self.point
        return self.policy.parking.get(point.area_to or "") if point is not None else None

    @property
    def method(self) -> Method:
        return self.presentation.method

    def name(self, id_: str) -> str:
        """Give what an id is called; one that nobody knows stands as it is."""
        return self.names.get(id_, id_)


LIVENESS: Mapping[str, Promise] = {
    Liveness.LIVE: gettext_lazy("a living face"),
    Liveness.SPOOF: gettext_lazy("a picture of a face"),
    Liveness.UNKNOWN: gettext_lazy("not sure whether it lives"),
    Liveness.UNAVAILABLE: gettext_lazy("this camera can't tell whether it lives"),
}

MODE: Mapping[str, Promise] = {
    Mode.NORMAL: gettext_lazy("normal"),
    Mode.LOCKDOWN: gettext_lazy("lockdown"),
    Mode.FIRE: gettext_lazy("released by fire"),
}

ANTI_PASSBACK: Mapping[str, Promise] = {
    AntiPassback.OFF: gettext_lazy("entering twice is not looked at"),
    AntiPassback.SOFT: gettext_lazy("entering twice is only noted"),
    AntiPassback.HARD: gettext_lazy("entering twice is refused"),
    AntiPassback.TIMED: gettext_lazy("entering twice is refused for a while"),
}

OUTSIDERS: Mapping[str, Promise] = {
    Outsiders.REFUSE: gettext_lazy("others are refused"),
    Outsiders.ADMIT: gettext_lazy("others are let in"),
}


def applies(check: str, case: Case) -> bool:
    """Say whether a check has anything to look at: a card passes no camera and no QR code."""
    is_asked = _APPLIES.get(check)
    return is_asked is None or is_asked(case)


def saw(check: str, case: Case) -> str:
    """Say what a check saw."""
    return SAW[check](case)


def moment(at: datetime) -> str:
    """Give a time as the explanation writes it: whole, for it may be of last year."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


def span(dated: Credential | Holder | Membership) -> str:
    """Say from when until when something is valid."""
    match dated.valid_from, dated.valid_until:
        case None, None:
            return _("valid without limit")
        case None, datetime() as end:
            return _("valid until %(end)s") % {"end": moment(end)}
        case datetime() as start, None:
            return _("valid from %(start)s") % {"start": moment(start)}
        case start, end:
            return _("valid from %(start)s until %(end)s") % {
                "start": moment(start) if start else "",
                "end": moment(end) if end else "",
            }


def group_name(group: str, case: Case) -> str:
    """Name a group of an access rule."""
    if group == STAFF:
        return _("staff")
    if group == VISITORS:
        return _("visitors")
    kind, _colon, id_ = group.partition(":")
    if kind == "community":
        return _("everybody who lives here")
    return _("who lives in %(building)s") % {"building": case.name(id_)}


def method_name(method: Method) -> str:
    return str(METHOD[method])


def _point(case: Case) -> str:
    point = case.point
    return point.name if point is not None else case.presentation.point


def _fire(case: Case) -> str:
    return str(MODE[case.state.mode])


def _egress(case: Case) -> str:
    point = case.point
    if case.method is Method.EXIT_BUTTON or point is None:
        return _("the exit button")
    return str(DIRECTION[point.direction])


def _records(case: Case) -> str:
    return _("events are written down") if case.state.records else _("events can't be written")


def _fresh(case: Case) -> str:
    return _("%(age)s s old, at most %(most)s s") % {
        "age": f"{case.presentation.age_s:.1f}",
        "most": f"{STALE_AFTER_S:.0f}",
    }


def _method(case: Case) -> str:
    point = case.point
    accepted = ", ".join(method_name(one) for one in point.methods) if point is not None else "–"
    text = _("%(shown)s; accepted here: %(accepted)s") % {
        "shown": method_name(case.method),
        "accepted": accepted,
    }
    if point is not None and not point.is_enabled:
        text += " · " + _("switched off")
    return text


def _lockout(case: Case) -> str:
    until = case.state.pin_locked_until
    if until is None:
        return _("not closed")
    return _("closed until %(time)s") % {"time": moment(until)}


def _evidence(case: Case) -> str:
    evidence = case.presentation.evidence
    if case.method is Method.PLATE:
        there = {
            True: _("a vehicle stands there"),
            False: _("no vehicle stands there"),
            None: _("whether a vehicle stands there is not known"),
        }[evidence.vehicle_present]
        return _("%(plate)s; %(there)s") % {
            "plate": case.presentation.value or _("plate not read"),
            "there": there,
        }
    parts = []
    if evidence.score is not None:
        needed = f"{evidence.threshold:.3f}" if evidence.threshold is not None else "–"
        parts.append(
            _("likeness %(score)s, needed %(needed)s")
            % {"score": f"{evidence.score:.3f}", "needed": needed}
        )
    parts.append(
        {True: _("mask worn"), False: _("no mask"), None: _("mask not looked for")}[evidence.masked]
    )
    parts.append(str(LIVENESS[evidence.liveness]))
    return ", ".join(parts)


def _pass(case: Case) -> str:
    leave = case.presentation.leave
    if leave is None:
        return _("its signature does not hold")
    uses = str(leave.uses) if leave.uses else _("any number")
    return _("%(start)s to %(end)s, used %(used)s of %(uses)s") % {
        "start": moment(leave.not_before),
        "end": moment(leave.not_after),
        "used": case.state.pass_used,
        "uses": uses,
    }


def _credential(case: Case) -> str:
    if case.decision.reason in (Reason.EMERGENCY_VEHICLE, Reason.TEMPORARY_VEHICLE):
        return _("%(plate)s is not registered; the parking rule admits it") % {
            "plate": case.presentation.value
        }
    credential = case.credential
    if credential is None:
        return _("%(method)s: nobody's here") % {"method": method_name(case.method)}
    return f"{CREDENTIAL_STATUS[credential.status]}, {span(credential)}"


def _holder(case: Case) -> str:
    holder = case.holder
    if holder is not None:
        name = case.name(holder.id)
        shown = name if name != holder.id else holder.label
        return f"{shown}: {CREDENTIAL_STATUS[holder.status]}, {span(holder)}"
    leave = case.presentation.leave
    if leave is not None and leave.group:
        return _("not known here; comes as %(group)s") % {"group": group_name(leave.group, case)}
    return _("not known")


def _path(case: Case) -> str:
    holder = case.holder
    points = case.policy.points
    names = [points[id_].name for id_ in (holder.points if holder else ()) if id_ in points]
    return _("the way to the host: %(points)s") % {"points": ", ".join(names) or "–"}


def _rule(case: Case) -> str:
    rule = case.policy.rules.get(case.decision.rule or "")
    if rule is not None:
        return _("“%(rule)s”") % {"rule": rule.name}
    groups = [
        f"{group_name(one.group, case)} ({span(one)})"
        for one in memberships_of(case.holder, case.presentation.leave)
    ]
    if not groups:
        return _("belongs to no group")
    return _("comes as: %(groups)s") % {"groups": "; ".join(groups)}


def _parking(case: Case) -> str:
    parking = case.parking
    if parking is None:
        return ""
    residents = (
        _("residents may enter") if parking.residents_enter else _("residents park next door")
    )
    text = f"{residents}, {OUTSIDERS[parking.outsiders]}"
    credential = case.credential
    household = case.policy.households.get((credential.household if credential else None) or "")
    if household is not None and household.cars is not None:
        text += ", " + _("the home has %(inside)s of %(spaces)s inside") % {
            "inside": case.state.cars_inside,
            "spaces": household.cars,
        }
    return text


def _area(case: Case) -> str:
    area = case.area
    if area is None:
        return ""
    place = case.state.place
    where = (
        _("not known where before")
        if place is None
        else _("in %(area)s since %(time)s")
        % {
            "area": case.policy.areas[place.area].name
            if place.area in case.policy.areas
            else place.area,
            "time": moment(place.since),
        }
    )
    room = str(area.capacity) if area.capacity else _("any number")
    text = _("into %(area)s: %(where)s; %(rule)s; %(inside)s inside of %(room)s") % {
        "area": area.name,
        "where": where,
        "rule": ANTI_PASSBACK[area.anti_passback],
        "inside": case.state.inside,
        "room": room,
    }
    if case.policy.is_shared(area.id):
        text += "; " + _("shared by several edges, so only noted")
    return text


def _interlock(case: Case) -> str:
    other = case.state.blocked_by
    if other is None:
        return _("nothing else is open")
    portal = case.policy.portals.get(other)
    return _("%(portal)s is open") % {"portal": portal.name if portal is not None else other}


def _assurance(case: Case) -> str:
    point = case.point
    wanted = level_wanted(case.policy, point, case.at) if point is not None else 0
    text = _("sure to level %(level)s, wanted %(wanted)s") % {
        "level": case.decision.level,
        "wanted": wanted,
    }
    first = case.state.first_factor
    if first is not None and first.holder == case.decision.holder:
        text += ", " + _("with %(method)s just before") % {"method": method_name(first.method)}
    return text


def _persons(case: Case) -> str:
    point, holder, companion = case.point, case.holder, case.state.companion
    parts = []
    if point is not None and point.persons > 1:
        parts.append(_("%(n)s people wanted") % {"n": point.persons})
    if holder is not None and holder.needs_escort:
        parts.append(_("needs an escort"))
    if companion is None:
        parts.append(_("came alone"))
    elif companion.can_escort:
        parts.append(_("with %(name)s, who may escort") % {"name": case.name(companion.holder)})
    else:
        parts.append(_("with %(name)s") % {"name": case.name(companion.holder)})
    return ", ".join(parts)


SAW: Mapping[str, Callable[[Case], str]] = {
    "access_point": _point,
    "fire": _fire,
    "egress": _egress,
    "records": _records,
    "fresh": _fresh,
    "lockdown": _fire,
    "method": _method,
    "lockout": _lockout,
    "evidence": _evidence,
    "pass": _pass,
    "credential": _credential,
    "holder": _holder,
    "path": _path,
    "rule": _rule,
    "parking": _parking,
    "area": _area,
    "interlock": _interlock,
    "assurance": _assurance,
    "persons": _persons,
}
"""For each check of `core.explanation.CHECKS` what it saw."""


def _is_lane(case: Case) -> bool:
    return case.method is Method.PLATE and case.parking is not None


def _has_interlock(case: Case) -> bool:
    point = case.point
    return point is not None and bool(case.policy.interlocked_with(point.portal))


def _wants_company(case: Case) -> bool:
    point, holder = case.point, case.holder
    is_for_two = point is not None and point.persons > 1
    return is_for_two or (holder is not None and holder.needs_escort)


_APPLIES: Mapping[str, Callable[[Case], bool]] = {
    "lockout": lambda case: case.method is Method.PIN,
    "evidence": lambda case: case.method in SEEN_BY_CAMERA,
    "pass": lambda case: case.method is Method.QR,
    "credential": lambda case: case.method is not Method.QR,
    "path": lambda case: case.holder is not None and bool(case.holder.points),
    "parking": _is_lane,
    "area": lambda case: case.area is not None,
    "interlock": _has_interlock,
    "persons": _wants_company,
}
