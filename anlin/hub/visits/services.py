"""What is done about visits: each in a transaction, with a line in the change log.

`visits_of` and `of_home` are the one place that says which visits are a resident's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core import visit as core
from anlin.core.entities import Direction, Method
from anlin.hub.access.faults import named
from anlin.hub.access.models import AccessPoint
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing, created, noted
from anlin.hub.errors import RuleError
from anlin.hub.ids import random_text
from anlin.hub.notices import events as told
from anlin.hub.people.models import Community, Holder, HolderStatus, Residency, Unit
from anlin.hub.people.models import in_force as lived_in
from anlin.hub.people.services import phone_index
from anlin.hub.visits import bars, links, way_in
from anlin.hub.visits.models import (
    Answered,
    Kind,
    State,
    Visit,
    VisitRules,
    open_visits,
)

VISITOR = Actor.command("visitor's own page")
CLOCK = Actor.command("clock")
PASSAGE = Actor.command("passage")

PHONE = re.compile(r"\+?[0-9]{5,15}")
MOST_OPEN = 30
"""Visits of one home that wait or are agreed to: more is a mistake, or a business."""

EARLIEST = timedelta(minutes=10)
"""A form takes a while to fill in: so long ago a visit may have begun."""

FARTHEST = timedelta(days=60)
COURIER_WINDOW = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. `days` makes it a helper's, who comes again and again.

    `points` are the only access points that open; none is the way to the home. `uses` counts
    entries; 0 is without limit in the window.
    """

    name: str
    starts_at: datetime
    ends_at: datetime
    kind: Kind = Kind.GUEST
    phone: str = ""
    plate: str = ""
    people: int = 1
    reason: str = ""
    company: str = ""
    days: tuple[int, ...] = ()
    start_min: int = 0
    end_min: int = 0
    uses: int = 0
    points: Sequence[AccessPoint] = ()
    needs_escort: bool = False
    health: dict[str, str] | None = None


# What is whose


def homes_of(holder: Holder) -> QuerySet[Unit]:
    """Give the homes that a resident lives in now."""
    now = timezone.now()
    if holder.status != HolderStatus.ACTIVE:
        return Unit.objects.none()
    mine = Residency.objects.filter(lived_in(now), holder=holder)
    return Unit.objects.filter(pk__in=mine.values("unit"))


def visits_of(holder: Holder) -> QuerySet[Visit]:
    """Give the visits to the homes of a resident, the newest first; nobody else's."""
    rows = Visit.objects.filter(unit__in=homes_of(holder)).select_related("unit", "community")
    return rows.order_by("-starts_at", "pk")


def of_home(holder: Holder, visit_id: str) -> Visit:
    """Give one visit of a resident's own homes.

    Raises:
        Visit.DoesNotExist: there is none, or it is another home's; the two look alike.
    """
    return visits_of(holder).get(pk=visit_id)


def today(holder: Holder) -> QuerySet[Visit]:
    """Give who was, is or may yet be at a resident's homes today, by the community's clock."""
    return of_day(visits_of(holder), holder.community, timezone.now())


def of_day(rows: QuerySet[Visit], community: Community, at: datetime) -> QuerySet[Visit]:
    """Keep the visits whose window or whose coming touches the day of a time."""
    start, end = day_of(community, at)
    came = Q(arrived_at__gte=start, arrived_at__lt=end)
    left = Q(departed_at__gte=start, departed_at__lt=end)
    present = Q(state__in=[State.INSIDE, State.OVERSTAYED])
    return rows.filter(came | left | present | Q(starts_at__lt=end, ends_at__gt=start)).order_by(
        "starts_at", "pk"
    )


def day_of(community: Community, at: datetime) -> tuple[datetime, datetime]:
    """Give the start and the end of a community's day."""
    with timezone.override(community.zone):
        start = timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)
    return start, start + timedelta(days=1)


def rules_of(community: Community) -> VisitRules:
    """Give how a community receives visitors; as usual where nobody has said."""
    found = VisitRules.objects.filter(pk=community.pk).first()
    return found or VisitRules(community=community)


def set_rules(community: Community, by: Actor, **values: object) -> VisitRules:
    """Change how a community receives visitors."""
    points = values.pop("parcel_points", None)
    with transaction.atomic():
        rules, is_new = VisitRules.objects.get_or_create(community=community)
        if is_new:
            created(by, community, rules)
        with changing(by, community, rules, "change rules of visits"):
            for name, value in values.items():
                setattr(rules, name, value)
        if points is not None:
            rules.parcel_points.set(points)  # type: ignore[arg-type]
            noted(by, community, rules, "set parcel room", points=[p.pk for p in points])  # type: ignore[attr-defined]
    return rules


# Asking


def invite(unit: Unit, host: Holder, wish: Wish, by: Actor, *, sent_id: str = "") -> Visit:
    """Invite somebody to one's own home: agreed at once, unless the office must approve.

    Raises:
        RuleError: not the host's home, or a field that breaks a rule.
    """
    if not homes_of(host).filter(pk=unit.pk).exists():
        raise RuleError(_("Only who lives in a home invites to it."))

    def answer(visit: Visit) -> None:
        if visit.needs_office:
            visit.host_agreed_at = timezone.now()
        else:
            _agree(visit, by, Answered.APPOINTED)

    return _make(unit.building.community, unit, host, wish, by, sent_id, answer)


def ask(community: Community, home: str, surname: str, wish: Wish, *, sent_id: str = "") -> Visit:
    """Ask, as the visitor, to come to a home that is named by its number and a surname.

    Whether there is such a home and such a person, the visitor can't tell from what comes back:
    a request that names nobody waits like any other, and ends unanswered.

    Raises:
        RuleError: a field that breaks a rule, or visitors can't ask here.
    """
    if not rules_of(community).is_form_open:
        raise RuleError(_("Visitors can't ask on this page here; ask the person you visit."))
    unit, host = find_home(community, home, surname)

    def note(visit: Visit) -> None:
        visit.answer_nonce = random_text(16)
        if unit is None:
            visit.said = f"{home.strip()[:30]} {surname.strip()[:20]}"
        told.visit_asked(visit)

    return _make(community, unit, host, wish, VISITOR, sent_id, note)


def walk_in(
    unit: Unit,
    wish: Wish,
    by: Actor,
    *,
    agreed_by: str,
    call: str,
    host: Holder | None = None,
    sent_id: str = "",
) -> Visit:
    """Admit somebody who stands at the gate, after a call to the home.

    Raises:
        RuleError: nobody is named who agreed, or the number that was called is missing; or the
            office must approve.
    """
    if not agreed_by.strip():
        raise RuleError(_("Who at home said yes?"), "agreed_by")
    if not call.strip():
        raise RuleError(_("Which number did you call?"), "call")

    def answer(visit: Visit) -> None:
        visit.is_walk_in = True
        visit.agreed_by, visit.call = agreed_by.strip()[:60], call.strip()[:30]
        if visit.needs_office:
            visit.host_agreed_at = timezone.now()
        else:
            _agree(visit, by, Answered.CALL)

    return _make(unit.building.community, unit, host, wish, by, sent_id, answer)


def call_courier(
    unit: Unit, host: Holder, by: Actor, *, to_door: bool, name: str = "", sent_id: str = ""
) -> Visit:
    """Let a courier in once, within half an hour: to the parcel room, or to the door.

    Raises:
        RuleError: there is no parcel room, or it is not the host's home.
    """
    points: list[AccessPoint] = []
    if not to_door:
        points = list(rules_of(unit.building.community).parcel_points.all())
        if not points:
            raise RuleError(_("No parcel room is set up; let the courier come to the door."))
    now = timezone.now()
    wish = Wish(
        name=name.strip() or _("Courier"),
        starts_at=now,
        ends_at=now + COURIER_WINDOW,
        kind=Kind.COURIER,
        uses=1,
        points=points,
    )
    return invite(unit, host, wish, by, sent_id=sent_id)


def find_home(community: Community, home: str, surname: str) -> tuple[Unit | None, Holder | None]:
    """Find a home by its number and the surname of somebody who lives there, or nothing."""
    code = _plain(home)
    family = surname.strip().casefold()
    if not code or not family:
        return None, None
    units = Unit.objects.filter(building__community=community).select_related("building")
    close = [
        unit
        for unit in units.filter(code__iendswith=code[-2:])
        if code in (_plain(unit.code), _plain(f"{unit.building.name}{unit.code}"))
    ]
    living = Residency.objects.filter(
        lived_in(timezone.now()), unit__in=close, holder__status=HolderStatus.ACTIVE
    ).select_related("holder", "unit__building")
    for one in living.order_by("pk"):
        if one.holder.name.casefold().startswith(family):
            return one.unit, one.holder
    return None, None


# Answers


def approve(
    visit: Visit,
    by: Actor,
    *,
    how: Answered = Answered.PAGE,
    host: Holder | None = None,
    agreed_by: str = "",
    call: str = "",
) -> Visit:
    """Say yes for the home: everything that opens is made. Give the visit as it stands then.

    Where the office must approve too, the home's yes is kept and waits for it.

    Raises:
        RuleError: answered already, over, or the office must approve.
    """

    def answer(row: Visit) -> None:
        if how is Answered.CALL:
            if not agreed_by.strip() or not call.strip():
                raise RuleError(_("Who at home said yes, and at which number?"), "agreed_by")
            row.agreed_by, row.call = agreed_by.strip()[:60], call.strip()[:30]
        row.host = host or row.host
        if row.unit_id is None and how is not Answered.OFFICE:
            raise RuleError(_("This request names no home here; only the office can answer it."))
        if row.needs_office and how is not Answered.OFFICE:
            if row.state != State.ASKED:
                raise RuleError(_("It was answered already."))
            row.host_agreed_at = row.host_agreed_at or timezone.now()
            row.answer_nonce = ""
            return
        if how is Answered.OFFICE and row.needs_office and row.unit_id and not row.host_agreed_at:
            raise RuleError(_("Nobody at home has agreed yet."))
        _agree(row, by, how)
        if how is Answered.OFFICE:
            told.visit_answered(row, is_agreed=True)

    return _change(visit, by, "approve visit", answer)


def refuse(visit: Visit, by: Actor, *, how: Answered = Answered.PAGE, said: str = "") -> Visit:
    """Say no; the visitor reads that the visit was not agreed to, and no more.

    Raises:
        RuleError: answered already.
    """

    def answer(row: Visit) -> None:
        why = core.Why.BY_OFFICE if how is Answered.OFFICE else core.Why.BY_HOST
        _take(row, _step(lambda: core.refuse(row.as_core, why)))
        row.answered_at, row.answered_by, row.answered_how = timezone.now(), by.name, how
        row.said = said.strip()[:200] or row.said
        row.answer_nonce = ""
        if how is Answered.OFFICE:
            told.visit_answered(row, is_agreed=False)

    return _change(visit, by, "refuse visit", answer)


def cancel(visit: Visit, by: Actor, *, why: core.Why = core.Why.BY_HOST, said: str = "") -> Visit:
    """Call a visit off; what opens is taken back at once.

    Raises:
        RuleError: it is over already.
    """

    def answer(row: Visit) -> None:
        _take(row, _step(lambda: core.cancel(row.as_core, why)))
        row.said = said.strip()[:200] or row.said
        row.answer_nonce = ""

    return _change(visit, by, "call off visit", answer)


def change(visit: Visit, wish: Wish, by: Actor) -> Visit:
    """Agree on another time, plate or number of people; the pass changes with it.

    Raises:
        RuleError: it is over, or a field breaks a rule.
    """
    now = timezone.now()

    def answer(row: Visit) -> None:
        _wish(row, wish, now, is_new=False)
        _take(row, _step(lambda: core.change(row.as_core, row.plan, now)))
        if row.is_agreed and not row.needs_office:
            row.needs_office = _is_barred(row, now)
            if row.needs_office:
                _undo(row, by)
                return
            way_in.change_way(row, by)

    return _change(visit, by, "change visit", answer)


def arrive(visit: Visit, at: datetime, by: Actor = PASSAGE) -> Visit:
    """Note that the visitor came in: seen by a passage, or by the guard.

    Raises:
        RuleError: nobody agreed to the visit, or it is over.
    """

    def come(row: Visit) -> None:
        before = row.arrivals
        _take(row, _step(lambda: core.arrive(row.as_core, at)))
        if row.arrivals > before:
            told.visit_arrived(row)

    return _change(visit, by, "visitor came", come)


def depart(visit: Visit, at: datetime, by: Actor = PASSAGE) -> Visit:
    """Note that the visitor left."""
    return _change(visit, by, "visitor left", lambda row: _take(row, core.depart(row.as_core, at)))


# The clock


def tick(now: datetime | None = None) -> int:
    """Let the clock move what is due in every community; give how many visits changed.

    Each visit in a transaction of its own: a fault with one holds up none of the others.
    """
    at = now or timezone.now()
    changed = 0
    seen: dict[str, bool] = {}
    rows = Visit.objects.filter(open_visits()).select_related("community")
    for visit in rows.order_by("pk").iterator(chunk_size=200):
        if visit.community_id not in seen:
            seen[visit.community_id] = sees_exits(visit.community)
        sees = seen[visit.community_id]
        is_due = core.tick(visit.as_core, at, sees_exits=sees) != visit.as_core
        if not is_due and not way_in.needs_windows(visit, at):
            continue

        def step(row: Visit, sees: bool = sees) -> None:
            _take(row, core.tick(row.as_core, at, sees_exits=sees))
            if row.is_agreed and way_in.fill_windows(row, at) and row.holder is not None:
                publish(row.community, holder=[row.holder.pk])

        _change(visit, CLOCK, "clock", step)
        changed += 1
    return changed


def sweep(now: datetime | None = None) -> int:
    """Forget who came, once the community no longer keeps it; give how many."""
    at = now or timezone.now()
    count = 0
    for community in Community.objects.all():
        kept = timedelta(days=rules_of(community).kept_days)
        rows = Visit.objects.filter(
            ~open_visits(), community=community, cleared_at=None, ends_at__lt=at - kept
        )
        for visit in rows.exclude(over_at__gt=at - kept).order_by("pk")[:500]:
            with transaction.atomic():
                noted(CLOCK, community, visit, "forget visit")
                way_in.forget(visit, CLOCK)
            count += 1
    return count


def sees_exits(community: Community) -> bool:
    """Whether a way out of the community tells who leaves; if not, nobody can overstay."""
    points = AccessPoint.objects.filter(
        portal__community=community,
        portal__building=None,
        direction=Direction.EXIT.value,
        is_enabled=True,
    )
    telling = {Method.QR.value, Method.PLATE.value}
    return any(telling & set(methods) for methods in points.values_list("methods", flat=True))


# Inside


def _make(
    community: Community,
    unit: Unit | None,
    host: Holder | None,
    wish: Wish,
    by: Actor,
    sent_id: str,
    then: Callable[[Visit], None],
) -> Visit:
    now = timezone.now()
    with transaction.atomic():
        # The lock lets a form that was sent twice find what it made the first time.
        Community.objects.select_for_update().get(pk=community.pk)
        if sent_id:
            known = Visit.objects.filter(community=community, sent_id=sent_id[:64]).first()
            if known is not None:
                return known
        visit = Visit(
            community=community,
            unit=unit,
            host=host,
            asked_at=now,
            asked_by=by.name,
            sent_id=sent_id[:64],
        )
        _wish(visit, wish, now, is_new=True)
        if unit is not None:
            waiting = Visit.objects.filter(open_visits(), unit=unit).count()
            if waiting >= MOST_OPEN:
                raise RuleError(
                    _("This home has %(count)d visits already; call some off first.")
                    % {"count": waiting}
                )
        visit.needs_office = _is_barred(visit, now)
        visit.token, visit.token_index = links.new_token()
        visit.save(force_insert=True)
        created(by, community, visit, action="ask for visit")
        before = visit.state
        then(visit)
        visit.save()
        if visit.state != before:
            noted(by, community, visit, "approve visit", state=visit.state)
    return visit


def _agree(visit: Visit, by: Actor, how: Answered) -> None:
    now = timezone.now()
    _take(visit, _step(lambda: core.approve(visit.as_core, now)))
    visit.answered_at, visit.answered_by, visit.answered_how = now, by.name, how
    visit.answer_nonce = ""
    way_in.open_way(visit, by)


def _undo(visit: Visit, by: Actor) -> None:
    """Let an agreed visit wait for the office, because what was changed falls under a bar."""
    way_in.close_way(visit, by)
    visit.state, visit.over_at = State.ASKED, None
    visit.holder = visit.leave = None
    visit.host_agreed_at = timezone.now()


def _change(visit: Visit, by: Actor, action: str, do: Callable[[Visit], None]) -> Visit:
    with transaction.atomic():
        row = (
            Visit.objects.select_for_update(of=("self",))
            .select_related("community", "unit__building", "holder", "leave__community", "host")
            .get(pk=visit.pk)
        )
        with changing(by, row.community, row, action):
            do(row)
            if row.is_over and row.over_at is None:
                way_in.close_way(row, by)
    return row


def _take(visit: Visit, after: core.Visit) -> None:
    visit.state = State(after.state.value)
    visit.why = after.why.value if after.why is not None else ""
    visit.arrived_at, visit.departed_at = after.arrived_at, after.departed_at
    visit.arrivals = after.arrivals


def _step(do: Callable[[], core.Visit]) -> core.Visit:
    try:
        return do()
    except core.VisitError as error:
        raise RuleError(str(_BROKEN.get(error.rule, error)), _FIELD.get(error.rule, "")) from error


def _wish(visit: Visit, wish: Wish, now: datetime, *, is_new: bool) -> None:
    """Put what was asked for on a visit.

    Raises:
        RuleError: naming the field and the rule.
    """
    digits = re.sub(r"[\s()-]", "", wish.phone)
    if digits and not PHONE.fullmatch(digits):
        raise RuleError(_("A telephone number has 5 to 15 digits."), "phone")
    if is_new and wish.starts_at < now - EARLIEST:
        raise RuleError(_("The visit would begin in the past."), "starts_at")
    if wish.starts_at > now + FARTHEST:
        raise RuleError(_("At most %(days)d days ahead.") % {"days": FARTHEST.days}, "starts_at")
    visit.name = named(wish.name)
    visit.kind = wish.kind
    visit.phone, visit.phone_index, visit.phone_tail = digits, phone_index(digits), digits[-4:]
    visit.plate = bars.canonical(wish.plate)
    visit.people, visit.uses = wish.people, wish.uses
    visit.reason, visit.company = wish.reason.strip()[:100], wish.company.strip()[:60]
    visit.starts_at, visit.ends_at = (
        moment.replace(microsecond=0) for moment in (wish.starts_at, wish.ends_at)
    )
    visit.days = sorted(wish.days) or None
    visit.start_min, visit.end_min = wish.start_min, wish.end_min
    visit.points = [point.pk for point in wish.points]
    visit.needs_escort = wish.needs_escort
    visit.health = wish.health if rules_of(visit.community).asks_health else None
    broken = core.fault(visit.plan)
    if broken is not None:
        raise RuleError(str(_BROKEN[broken]), _FIELD.get(broken, ""))
    if visit.ends_at <= now:
        raise RuleError(str(_BROKEN["past"]), "ends_at")


def _is_barred(visit: Visit, now: datetime) -> bool:
    return bars.matching(visit, now).exists()


def _plain(code: str) -> str:
    """Give a home's number without what people write in between: 1栋1-101, 1 号楼 1-101."""
    return re.sub(r"[\s\-_/#.·号楼栋幢单元室房层]", "", code).casefold()


_BROKEN: dict[str, Promise] = {
    "ends_before_it_starts": gettext_lazy("It would end before it begins."),
    "people": gettext_lazy("One to thirty people come together."),
    "uses": gettext_lazy("Between 0 and 1000 entries."),
    "courier_comes_once": gettext_lazy("A courier comes once."),
    "courier_too_long": gettext_lazy("A courier has two hours at most."),
    "too_long": gettext_lazy(
        "That is too long: a visit lasts 14 days at most, a helper's leave a year. Whoever stays "
        "longer is registered as living here."
    ),
    "days": gettext_lazy("Choose the weekdays, each once."),
    "hours": gettext_lazy("From and until are two different times of the day."),
    "past": gettext_lazy("Its time is past."),
    "answered": gettext_lazy("It was answered already."),
    "over": gettext_lazy("This visit is over."),
    "not_agreed": gettext_lazy("Nobody at home has agreed to this visit."),
}

_FIELD = {
    "ends_before_it_starts": "ends_at",
    "people": "people",
    "uses": "uses",
    "courier_too_long": "ends_at",
    "too_long": "ends_at",
    "days": "days",
    "hours": "end_at",
    "past": "ends_at",
}
