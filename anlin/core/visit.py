"""A visit's life: asked for, agreed to, come, gone; each step with its reason.

Pure: a visit, what happened and the time give the visit as it is then. A guest comes once in a
window; a helper comes on weekdays between two times until a day; a courier comes once, briefly;
a contractor may need an escort.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from anlin.core.words import Word

LONGEST_ONCE = timedelta(days=14)
"""Who stays for longer lives here, and is registered as living here."""

LONGEST_AGAIN = timedelta(days=366)
"""A helper's leave is looked at again once a year."""

LONGEST_COURIER = timedelta(hours=2)
"""A parcel takes minutes; a code that was passed on is dead the same morning."""

MOST_PEOPLE = 30
MINUTES = 24 * 60


class Kind(Word):
    """Why somebody comes."""

    GUEST = "guest"
    HELPER = "helper"
    COURIER = "courier"
    CONTRACTOR = "contractor"


class State(Word):
    """How far a visit is.

    `APPROVED` waits for its window, `EXPECTED` has begun and nobody came yet. `OVERSTAYED` is
    inside after the end. `DEPARTED` may come again while the window lasts.
    """

    ASKED = "asked"
    APPROVED = "approved"
    EXPECTED = "expected"
    INSIDE = "inside"
    OVERSTAYED = "overstayed"
    DEPARTED = "departed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    ENDED = "ended"


OVER = frozenset({State.REFUSED, State.CANCELLED, State.NO_SHOW, State.ENDED})
"""Nothing comes after these."""

AGREED = frozenset({State.APPROVED, State.EXPECTED, State.INSIDE, State.OVERSTAYED, State.DEPARTED})
"""Somebody at home said yes, and it is not over."""

PRESENT = frozenset({State.INSIDE, State.OVERSTAYED})


class Why(Word):
    """Why a visit came to be as it is, where no person's own words say so."""

    BY_HOST = "by_host"
    BY_VISITOR = "by_visitor"
    BY_OFFICE = "by_office"
    NOT_ANSWERED = "not_answered"
    CAME = "came"
    WENT = "went"
    TIME_UP = "time_up"
    NOBODY_CAME = "nobody_came"
    USED = "used"


class VisitError(ValueError):
    """A step that a visit can't take; `rule` names why."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Hours:
    """When a helper comes: weekdays (Monday is 0) between two minutes of the day, local time.

    `end_min` at or before `start_min` ends on the next morning: a night nurse.
    """

    days: tuple[int, ...]
    start_min: int
    end_min: int
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when; the end is exclusive."""

    starts_at: datetime
    ends_at: datetime

    def holds(self, at: datetime) -> bool:
        """Whether a time is inside."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True, slots=True)
class Plan:
    """What was agreed to: from when until when, on which hours, how many people, how often.

    `uses` counts entries in all; 0 is without limit while the window lasts.
    """

    kind: Kind
    starts_at: datetime
    ends_at: datetime
    hours: Hours | None = None
    people: int = 1
    uses: int = 0
    needs_escort: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit as it stands."""

    plan: Plan
    state: State = State.ASKED
    why: Why | None = None
    arrived_at: datetime | None = None
    departed_at: datetime | None = None
    arrivals: int = 0


def fault(plan: Plan) -> str | None:
    """Name the rule that a plan breaks, or None."""
    if plan.ends_at <= plan.starts_at:
        return "ends_before_it_starts"
    if not 1 <= plan.people <= MOST_PEOPLE:
        return "people"
    if not 0 <= plan.uses <= 1000:
        return "uses"
    length = plan.ends_at - plan.starts_at
    if plan.kind is Kind.COURIER:
        if plan.hours is not None:
            return "courier_comes_once"
        if length > LONGEST_COURIER:
            return "courier_too_long"
        return None if plan.uses == 1 else "courier_comes_once"
    if plan.hours is None:
        return "too_long" if length > LONGEST_ONCE else None
    if length > LONGEST_AGAIN:
        return "too_long"
    return _hours_fault(plan.hours)


def _hours_fault(hours: Hours) -> str | None:
    if not hours.days or not set(hours.days) <= set(range(7)):
        return "days"
    if len(set(hours.days)) != len(hours.days):
        return "days"
    if not (0 <= hours.start_min < MINUTES and 0 < hours.end_min <= MINUTES):
        return "hours"
    return "hours" if hours.start_min == hours.end_min else None


def windows(plan: Plan, since: datetime, until: datetime) -> Iterator[Window]:
    """Give each window of a plan that touches a stretch of time, the earliest first."""
    if plan.hours is None:
        whole = Window(plan.starts_at, plan.ends_at)
        if whole.starts_at < until and since < whole.ends_at:
            yield whole
        return
    hours, zone = plan.hours, ZoneInfo(plan.hours.zone)
    first = max(since, plan.starts_at).astimezone(zone).date() - timedelta(days=1)
    last = min(until, plan.ends_at).astimezone(zone).date()
    day = first
    while day <= last:
        if day.weekday() in hours.days:
            found = _window(plan, hours, zone, day)
            if found is not None and found.starts_at < until and since < found.ends_at:
                yield found
        day += timedelta(days=1)


def _window(plan: Plan, hours: Hours, zone: ZoneInfo, day: date) -> Window | None:
    ends_on = day if hours.end_min > hours.start_min else day + timedelta(days=1)
    start = max(_at(day, hours.start_min, zone), plan.starts_at)
    end = min(_at(ends_on, hours.end_min, zone), plan.ends_at)
    return Window(start, end) if start < end else None


def _at(day: date, minute: int, zone: ZoneInfo) -> datetime:
    if minute == MINUTES:
        day, minute = day + timedelta(days=1), 0
    local = datetime.combine(day, time(minute // 60, minute % 60), zone)
    return local.astimezone(ZoneInfo("UTC"))


def window_now(plan: Plan, at: datetime) -> Window | None:
    """Give the window that a time is inside, or None."""
    return next(
        (one for one in windows(plan, at, at + timedelta(minutes=1)) if one.holds(at)), None
    )


# Steps


def approve(visit: Visit, at: datetime) -> Visit:
    """Say yes.

    Raises:
        VisitError: it was answered already, or is over.
    """
    if visit.state is not State.ASKED:
        raise VisitError("answered", f"a visit that is {visit.state} can't be approved")
    if at >= visit.plan.ends_at:
        raise VisitError("past", "the time of the visit is past")
    return tick(replace(visit, state=State.APPROVED, why=Why.BY_HOST), at)


def refuse(visit: Visit, why: Why = Why.BY_HOST) -> Visit:
    """Say no.

    Raises:
        VisitError: it was answered already.
    """
    if visit.state is not State.ASKED:
        raise VisitError("answered", f"a visit that is {visit.state} can't be refused")
    return replace(visit, state=State.REFUSED, why=why)


def cancel(visit: Visit, why: Why) -> Visit:
    """Call it off. Whoever is inside has to leave first: a door must let them out as usual.

    Raises:
        VisitError: it is over already.
    """
    if visit.state in OVER:
        raise VisitError("over", f"a visit that is {visit.state} can't be called off")
    state = State.ENDED if visit.arrivals else State.CANCELLED
    return replace(visit, state=state, why=why)


def change(visit: Visit, plan: Plan, at: datetime) -> Visit:
    """Agree on something else.

    Raises:
        VisitError: it is over, or the new plan breaks a rule or is past.
    """
    if visit.state in OVER:
        raise VisitError("over", f"a visit that is {visit.state} can't be changed")
    broken = fault(plan)
    if broken is not None:
        raise VisitError(broken, f"the plan breaks the rule {broken}")
    if at >= plan.ends_at:
        raise VisitError("past", "the time of the visit is past")
    changed = replace(visit, plan=plan)
    if changed.state in (State.ASKED, State.INSIDE):
        return tick(changed, at)
    # A later end takes back what the clock had said; who is inside stays so.
    state = State.INSIDE if changed.state is State.OVERSTAYED else State.APPROVED
    return tick(replace(changed, state=state), at)


def arrive(visit: Visit, at: datetime) -> Visit:
    """Somebody came in.

    Raises:
        VisitError: nobody agreed to it, or it is over.
    """
    if visit.state not in AGREED:
        raise VisitError("not_agreed", f"a visit that is {visit.state} has nobody coming")
    if visit.state in PRESENT:
        return visit
    came = replace(
        visit,
        state=State.INSIDE,
        why=Why.CAME,
        arrived_at=at,
        departed_at=None,
        arrivals=visit.arrivals + 1,
    )
    return tick(came, at)


def depart(visit: Visit, at: datetime) -> Visit:
    """They went. A helper, and a guest in their window, may come again."""
    if visit.state not in PRESENT:
        return visit
    gone = replace(visit, state=State.DEPARTED, why=Why.WENT, departed_at=at)
    return tick(gone, at)


def tick(visit: Visit, at: datetime, *, sees_exits: bool = True) -> Visit:
    """Give what the clock alone makes of a visit; twice is as once.

    Where no way out tells who leaves (`sees_exits`), nobody can be said to overstay: the visit
    is over with its window.
    """
    plan, is_over = visit.plan, at >= visit.plan.ends_at
    match visit.state:
        case State.ASKED if is_over:
            return replace(visit, state=State.REFUSED, why=Why.NOT_ANSWERED)
        case State.INSIDE if window_now(plan, at) is None:
            if sees_exits:
                return replace(visit, state=State.OVERSTAYED, why=Why.TIME_UP)
            return _after_departure(replace(visit, state=State.DEPARTED), at)
        case State.APPROVED | State.EXPECTED if is_over:
            if visit.arrivals:
                return replace(visit, state=State.ENDED, why=Why.TIME_UP)
            return replace(visit, state=State.NO_SHOW, why=Why.NOBODY_CAME)
        case State.APPROVED if window_now(plan, at) is not None:
            return replace(visit, state=State.EXPECTED)
        case State.EXPECTED if window_now(plan, at) is None:
            return replace(visit, state=State.APPROVED)
        case State.DEPARTED:
            return _after_departure(visit, at)
    return visit


def _after_departure(visit: Visit, at: datetime) -> Visit:
    plan = visit.plan
    if at >= plan.ends_at:
        return replace(visit, state=State.ENDED, why=Why.TIME_UP)
    if plan.uses and visit.arrivals >= plan.uses:
        return replace(visit, state=State.ENDED, why=Why.USED)
    if plan.hours is not None and window_now(plan, at) is None:
        return replace(visit, state=State.APPROVED)
    return visit
