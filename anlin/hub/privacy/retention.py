"""How long each kind of data is kept, and the job that lets it go when its time is over.

Defaults are those of the project's sheet on Chinese law and standards (docs/guide/privacy.md). A
community may set other times: below the usual minimum it is warned, above the maximum it is
refused. Every run leaves a `Run`: what, how many, by which limit, and the oldest that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Min, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import HolderKind, Method
from anlin.hub.access.models import Photo, PolicyChange
from anlin.hub.access.policy import publish
from anlin.hub.audit.guard import rewriting
from anlin.hub.audit.log import Actor, changing
from anlin.hub.audit.models import Change, View
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event, Picture
from anlin.hub.people.models import Community, Consent, Holder, HolderStatus, Purpose
from anlin.hub.privacy import forget
from anlin.hub.privacy.logtime import position_before
from anlin.hub.privacy.models import (
    Assessment,
    Cursor,
    LatePicture,
    Receipt,
    Request,
    RequestState,
    Run,
    Settings,
)
from anlin.hub.state.models import Presence

DAY_H = 24
BATCH_ROWS = 500
"""Rows deleted in one transaction."""

MOST_COUNTED = 20_000
"""A dry run stops counting here and says "more than"; it shall not take minutes to open."""

Batches = Iterator[int]


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of data: how long by default, and between which limits it may be set."""

    kind: str
    word: Promise
    basis: Promise
    default_h: int
    least_h: int
    """Less is warned of: somebody may have a right or a duty to find it."""
    most_h: int
    """More is refused."""
    run: Callable[[Community, datetime, str], Batches]
    left: Callable[[Community, datetime], Left]
    in_hours: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What is past its time now, and the oldest that there is."""

    due: int
    is_more: bool
    oldest: datetime | None


def settings_of(community: Community) -> Settings:
    """Give what a community has set; the defaults where it has set nothing."""
    return Settings.objects.filter(community=community).first() or Settings(community=community)


def limit_h(community: Community, rule: Rule) -> int:
    """Give for how many hours a kind of data is kept; never more than the maximum."""
    own = settings_of(community).retention_h.get(rule.kind, rule.default_h)
    return min(int(own), rule.most_h)


def set_limits(community: Community, hours: Mapping[str, int], by: Actor) -> list[str]:
    """Set how long kinds of data are kept; give a warning for each that is below the usual.

    Raises:
        RuleError: no such kind, less than an hour, or more than the maximum.
    """
    warnings = []
    for kind, value in hours.items():
        rule = RULES.get(kind)
        if rule is None:
            raise RuleError(_("There is no kind of data named %(kind)s.") % {"kind": kind[:20]})
        if not 1 <= value <= rule.most_h:
            raise RuleError(
                _("%(what)s may be kept for %(most)s at most.")
                % {"what": rule.word, "most": span(rule.most_h)},
                kind,
            )
        if value < rule.least_h:
            warnings.append(
                _("%(what)s: shorter than the usual minimum of %(least)s.")
                % {"what": rule.word, "least": span(rule.least_h)}
            )
    with transaction.atomic():
        row, _is_new = Settings.objects.get_or_create(community=community)
        with changing(by, community, row, "set retention"):
            row.retention_h = {**row.retention_h, **hours}
    return warnings


def span(hours: int) -> str:
    """Say how long in days, or in hours where it is less than three days."""
    if hours % DAY_H == 0 and hours >= 3 * DAY_H:
        return _("%(n)d days") % {"n": hours // DAY_H}
    return _("%(n)d hours") % {"n": hours}


def run(community: Community, kind: str, by: Actor, now: datetime | None = None) -> Run:
    """Let go of one kind of data as far as its time is over; give the evidence."""
    rule = RULES[kind]
    at = now or timezone.now()
    hours = limit_h(community, rule)
    cutoff = at - timedelta(hours=hours)
    record = Run.objects.create(
        community=community, kind=kind, limit_h=hours, started_at=timezone.now(), by=by.name
    )
    for count in rule.run(community, cutoff, record.pk):
        # After each batch, so that a run that is cut off has said how far it came.
        Run.objects.filter(pk=record.pk).update(count=F("count") + count)
    record.refresh_from_db()
    record.oldest_left = rule.left(community, cutoff).oldest
    record.ended_at = timezone.now()
    record.save(update_fields=["oldest_left", "ended_at"])
    return record


def run_all(community: Community, by: Actor, now: datetime | None = None) -> list[Run]:
    """Let go of everything whose time is over."""
    return [run(community, kind, by, now) for kind in RULES]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do now."""

    rule: Rule
    limit_h: int
    limit: str
    is_short: bool
    left: Left
    last: Run | None
    is_late: bool
    """No run has ended for two days."""


LATE_AFTER = timedelta(days=2)
"""The job runs each hour; two days without is a fault that somebody should see to."""


def late(community: Community, now: datetime | None = None) -> list[Rule]:
    """List the kinds of data that no run has seen to lately."""
    since = (now or timezone.now()) - LATE_AFTER
    ran = Run.objects.filter(
        community=community, ended_at__isnull=False, started_at__gte=since
    ).values_list("kind", flat=True)
    seen = set(ran)
    return [rule for kind, rule in RULES.items() if kind not in seen]


def preview(community: Community, now: datetime | None = None) -> list[Preview]:
    """Say of every kind what a run would do now, and when one was last done; deletes nothing."""
    at = now or timezone.now()
    found = []
    for rule in RULES.values():
        hours = limit_h(community, rule)
        last = (
            Run.objects.filter(community=community, kind=rule.kind, ended_at__isnull=False)
            .order_by("-started_at")
            .first()
        )
        found.append(
            Preview(
                rule,
                hours,
                span(hours),
                hours < rule.least_h,
                rule.left(community, at - timedelta(hours=hours)),
                last,
                last is None or at - last.started_at > LATE_AFTER,
            )
        )
    return found


# Passages, visits and plates in the event log


def class_of(event: Event, visitors: frozenset[str]) -> str:
    """Say by which rule an event lets go of its person; "" where it names none."""
    if not forget.is_personal(event):
        return ""
    data = forget.data_of(event)
    if (
        data.get("method") == Method.PLATE
        or event.kind.startswith("vehicle_")
        or event.subject.startswith("plate:")
    ):
        return "plates"
    if data.get("holder") in visitors or data.get("pass") or data.get("leave"):
        return "visitors"
    named = forget.PERSONAL - {"by"}
    return "passages" if any(data.get(name) for name in named) or event.subject[:2] == "h_" else ""


def _visitors(community: Community) -> frozenset[str]:
    return frozenset(
        Holder.objects.filter(community=community, kind=HolderKind.VISITOR.value).values_list(
            "pk", flat=True
        )
    )


def _events(community: Community, after: int, position: int) -> Iterator[list[Event]]:
    """Read a community's events after a position and up to another, a bounded list at a time."""
    rows = Event.objects.filter(community=community.pk).order_by("pk").defer("hash", "previous")
    while after < position:
        found = list(rows.filter(pk__gt=after, pk__lte=position)[: forget.SCAN_EVENTS])
        if not found:
            return
        yield found
        after = found[-1].pk


def _cursor(community: Community, kind: str) -> int:
    row = Cursor.objects.filter(community=community, kind=kind).first()
    return row.position if row is not None else 0


def _advance(community: Community, kind: str, position: int) -> None:
    Cursor.objects.update_or_create(community=community, kind=kind, defaults={"position": position})


def _run_events(kind: str) -> Callable[[Community, datetime, str], Batches]:
    def run(community: Community, cutoff: datetime, mark: str) -> Batches:
        position = forget.upto(position_before(cutoff))
        visitors = _visitors(community)
        for found in _events(community, _cursor(community, kind), position):
            chosen = [event for event in found if class_of(event, visitors) == kind]
            count = forget.forget(chosen, mark)
            # Only now: cut off before, the same events are looked at again and passed over.
            _advance(community, kind, found[-1].pk)
            yield count
        yield _delete(_presences(community, kind, cutoff))

    return run


def _left_events(kind: str) -> Callable[[Community, datetime], Left]:
    def left(community: Community, cutoff: datetime) -> Left:
        position = forget.upto(position_before(cutoff))
        visitors = _visitors(community)
        start = _cursor(community, kind)
        due = _presences(community, kind, cutoff).count()
        seen = 0
        for found in _events(community, start, position):
            due += sum(class_of(event, visitors) == kind for event in found)
            seen += len(found)
            if seen >= MOST_COUNTED:
                break
        first = Event.objects.filter(community=community.pk, pk__gt=start).order_by("pk")
        return Left(due, seen >= MOST_COUNTED, first.values_list("at", flat=True).first())

    return left


def _presences(community: Community, kind: str, cutoff: datetime) -> QuerySet[Presence]:
    """Select who was last seen so long ago that the passage itself is not kept."""
    rows = Presence.objects.filter(community=community, since__lt=cutoff)
    if kind == "plates":
        return rows.exclude(plate="")
    return rows.filter(plate="") if kind == "passages" else rows.none()


# Pictures


def _run_strangers(community: Community, cutoff: datetime, mark: str) -> Batches:
    position = forget.upto(position_before(cutoff))
    for found in _events(community, _cursor(community, "strangers"), position):
        count = forget.drop_pictures(event for event in found if _is_stranger(event))
        _advance(community, "strangers", found[-1].pk)
        yield count
    # What came after its time was over: the edge had been cut off.
    for late in LatePicture.objects.filter(community=community):
        if Picture.objects.filter(sha256=late.sha256, community=community.pk).exists():
            yield forget.drop_picture(community.pk, late.sha256)
    LatePicture.objects.filter(community=community, noted_at__lt=cutoff - _LATE).delete()


_LATE = timedelta(days=30)
"""An edge without a network keeps its pictures for no longer than the log; by then they are gone
by their own rule."""


def _left_strangers(community: Community, cutoff: datetime) -> Left:
    position = forget.upto(position_before(cutoff))
    start = _cursor(community, "strangers")
    due = seen = 0
    for found in _events(community, start, position):
        due += sum(_is_stranger(event) for event in found)
        seen += len(found)
        if seen >= MOST_COUNTED:
            break
    first = Event.objects.filter(community=community.pk, pk__gt=start).order_by("pk")
    return Left(due, seen >= MOST_COUNTED, first.values_list("at", flat=True).first())


def _is_stranger(event: Event) -> bool:
    data = forget.data_of(event)
    return bool(data.get("picture")) and not data.get("holder")


def _run_pictures(community: Community, cutoff: datetime, mark: str) -> Batches:
    while True:
        rows = Picture.objects.filter(community=community.pk, received_at__lt=cutoff)
        names = list(rows.order_by("pk").values_list("sha256", flat=True)[:BATCH_ROWS])
        if not names:
            return
        yield sum(forget.drop_picture(community.pk, name) for name in names)


def _left_pictures(community: Community, cutoff: datetime) -> Left:
    rows = Picture.objects.filter(community=community.pk)
    return _left_rows(rows, rows.filter(received_at__lt=cutoff), "received_at")


# The log itself


def _log_cutoff(community: Community, cutoff: datetime) -> datetime:
    """Give how far whole rows go: never before what they say may go by its own rule."""
    now = cutoff + timedelta(hours=limit_h(community, RULES["log"]))
    longest = max(
        limit_h(community, RULES[kind]) for kind in ("log", "passages", "visitors", "plates")
    )
    return now - timedelta(hours=longest)


def _run_log(community: Community, cutoff: datetime, mark: str) -> Batches:
    yield from forget.trim(community, position_before(_log_cutoff(community, cutoff)))


def _left_log(community: Community, cutoff: datetime) -> Left:
    position = forget.upto(position_before(_log_cutoff(community, cutoff)))
    rows = Event.objects.filter(community=community.pk).exclude(kind__in=forget.LAST_WORDS)
    due = rows.filter(pk__lte=position).order_by("pk")[:MOST_COUNTED].count()
    oldest = rows.order_by("pk").values_list("at", flat=True).first()
    return Left(due, due >= MOST_COUNTED, oldest)


# Tables of the records


def _delete(rows: QuerySet[Any]) -> int:
    """Delete the next few hundred rows; give how many."""
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH_ROWS])
    if ids and rows.model in (Change, View):
        with rewriting("retention", "older than it may be kept"):
            rows.model._base_manager.filter(pk__in=ids).delete()
    elif ids:
        rows.model._base_manager.filter(pk__in=ids).delete()
    return len(ids)


def _delete_all(rows: QuerySet[Any]) -> Batches:
    while count := _delete(rows):
        yield count


def _left_rows(rows: QuerySet[Any], due: QuerySet[Any], field: str) -> Left:
    count = due.order_by()[:MOST_COUNTED].count()
    oldest = rows.aggregate(oldest=Min(field))["oldest"]
    return Left(count, count >= MOST_COUNTED, oldest)


def _of_log(
    table: type[Change] | type[View],
) -> tuple[Callable[[Community, datetime, str], Batches], Callable[[Community, datetime], Left]]:
    """Let go of a log to which the database only lets rows be added, unless it is written down."""

    def run(community: Community, cutoff: datetime, mark: str) -> Batches:
        due = table._base_manager.filter(community=community, at__lt=cutoff)
        while due.exists():
            with rewriting("retention", mark):
                count = _delete(due)
            yield count

    def left(community: Community, cutoff: datetime) -> Left:
        rows = table._base_manager.filter(community=community)
        return _left_rows(rows, rows.filter(at__lt=cutoff), "at")

    return run, left


_run_looks, _left_looks = _of_log(View)
_run_changes, _left_changes = _of_log(Change)


def _photos_without_consent(community: Community) -> QuerySet[Photo]:
    agreed = Consent.objects.filter(purpose=Purpose.PHOTO, withdrawn_at=None)
    return Photo.objects.filter(credential__community=community).exclude(
        credential__holder__in=agreed.values("holder")
    )


def _run_photos(community: Community, cutoff: datetime, mark: str) -> Batches:
    gone = list(_photos_without_consent(community).values_list("pk", flat=True))
    yield from _delete_all(_photos_without_consent(community))
    # Terminals that were given them are told to forget them.
    publish(community, template=gone)


def _left_photos(community: Community, cutoff: datetime) -> Left:
    return Left(_photos_without_consent(community).count(), False, None)


def _superseded(community: Community, cutoff: datetime) -> QuerySet[PolicyChange]:
    """Select what the policy once said of people, where no decision that is kept rests on it."""
    stood = PolicyChange.objects.filter(community=community, at__lt=cutoff).aggregate(
        newest=Max("revision")
    )["newest"]
    return PolicyChange.objects.filter(
        community=community,
        kind__in=("holder", "credential", "revoked_pass", "pass_use"),
        replaced_by__lte=stood or 0,
    )


def _run_policy(community: Community, cutoff: datetime, mark: str) -> Batches:
    yield from _delete_all(_superseded(community, cutoff))


def _left_policy(community: Community, cutoff: datetime) -> Left:
    old = PolicyChange.objects.filter(
        community=community, replaced_by__isnull=False, kind__in=("holder", "credential")
    )
    return _left_rows(old, _superseded(community, cutoff), "at")


# People


def _gone(community: Community, kind: str, cutoff: datetime) -> QuerySet[Holder]:
    """Select people whose reason to be here ended before a time."""
    people = Holder.objects.filter(community=community, created_at__lt=cutoff)
    if kind == "guests":
        return (
            people.filter(kind=HolderKind.VISITOR.value)
            .annotate(last_pass=Max("passes__not_after"))
            .filter(Q(valid_until=None) | Q(valid_until__lt=cutoff))
            .filter(Q(last_pass=None) | Q(last_pass__lt=cutoff))
            .exclude(residencies__isnull=False)
        )
    return (
        people.filter(status=HolderStatus.LEFT)
        .exclude(kind=HolderKind.VISITOR.value)
        .annotate(last_day=Max("residencies__ends_at"))
        .filter(Q(last_day=None) | Q(last_day__lt=cutoff))
        .exclude(residencies__ends_at=None, residencies__isnull=False)
    )


def _run_people(kind: str) -> Callable[[Community, datetime, str], Batches]:
    def run(community: Community, cutoff: datetime, mark: str) -> Batches:
        from anlin.hub.privacy.erase import erase

        by = Actor.command("retention")
        # By id, because each of them is a transaction of its own.
        for pk in list(_gone(community, kind, cutoff).values_list("pk", flat=True)):
            person = Holder.objects.filter(pk=pk).first()
            if person is not None:
                erase(person, by, mark)
                yield 1

    return run


def _left_people(kind: str) -> Callable[[Community, datetime], Left]:
    def left(community: Community, cutoff: datetime) -> Left:
        kinds = Q(kind=HolderKind.VISITOR.value)
        everyone = Holder.objects.filter(community=community)
        some = (
            everyone.filter(kinds)
            if kind == "guests"
            else everyone.exclude(kinds).filter(status=HolderStatus.LEFT)
        )
        oldest = some.aggregate(oldest=Min("created_at"))["oldest"]
        return Left(_gone(community, kind, cutoff).count(), False, oldest)

    return left


# What proves that the law was kept


def _papers(community: Community, cutoff: datetime) -> list[QuerySet[Any]]:
    newest = Assessment.objects.filter(community=community).order_by("-number").first()
    ended = (RequestState.DONE, RequestState.REFUSED, RequestState.CANCELLED)
    return [
        Request.objects.filter(community=community, state__in=ended, ended_at__lt=cutoff),
        Receipt.objects.filter(community=community, completed_at__lt=cutoff),
        Assessment.objects.filter(community=community, made_at__lt=cutoff).exclude(
            pk=newest.pk if newest is not None else ""
        ),
    ]


def _run_papers(community: Community, cutoff: datetime, mark: str) -> Batches:
    for rows in _papers(community, cutoff):
        yield from _delete_all(rows)


def _left_papers(community: Community, cutoff: datetime) -> Left:
    due = sum(rows.count() for rows in _papers(community, cutoff))
    oldest = Request.objects.filter(community=community).aggregate(at=Min("asked_at"))["at"]
    return Left(due, False, oldest)


RULES: Mapping[str, Rule] = {
    rule.kind: rule
    for rule in (
        Rule(
            "strangers",
            gettext_lazy("Pictures of people nobody knows"),
            gettext_lazy("Deleted within a day; no template is ever made of them."),
            24,
            0,
            72,
            _run_strangers,
            _left_strangers,
            in_hours=True,
        ),
        Rule(
            "pictures",
            gettext_lazy("Pictures taken at gates"),
            gettext_lazy("As short as the purpose allows (order 19, article 5)."),
            30 * DAY_H,
            0,
            90 * DAY_H,
            _run_pictures,
            _left_pictures,
        ),
        Rule(
            "photos",
            gettext_lazy("Enrolment photographs without consent to keep them"),
            gettext_lazy("Deleted once the template is made (GB/T 41819)."),
            1,
            0,
            1,
            _run_photos,
            _left_photos,
            in_hours=True,
        ),
        Rule(
            "plates",
            gettext_lazy("Passages of vehicles"),
            gettext_lazy("No law names a time; 90 days are enough to settle a dispute."),
            90 * DAY_H,
            30 * DAY_H,
            180 * DAY_H,
            _run_events("plates"),
            _left_events("plates"),
        ),
        Rule(
            "visitors",
            gettext_lazy("Passages of visitors"),
            gettext_lazy("Until the visit is over and 30 to 180 days more."),
            90 * DAY_H,
            30 * DAY_H,
            180 * DAY_H,
            _run_events("visitors"),
            _left_events("visitors"),
        ),
        Rule(
            "guests",
            gettext_lazy("Visitors themselves, after their last pass"),
            gettext_lazy("Until the visit is over and 30 to 180 days more."),
            90 * DAY_H,
            30 * DAY_H,
            180 * DAY_H,
            _run_people("guests"),
            _left_people("guests"),
        ),
        Rule(
            "passages",
            gettext_lazy("Passages of residents and staff"),
            gettext_lazy("180 days, as banks keep them (GA 38-2015); local rules ask for 30."),
            180 * DAY_H,
            30 * DAY_H,
            365 * DAY_H,
            _run_events("passages"),
            _left_events("passages"),
        ),
        Rule(
            "left",
            gettext_lazy("People who have moved out"),
            gettext_lazy("Deleted when the purpose is reached (PIPL article 47)."),
            180 * DAY_H,
            30 * DAY_H,
            365 * DAY_H,
            _run_people("left"),
            _left_people("left"),
        ),
        Rule(
            "policy",
            gettext_lazy("What rules said of people before"),
            gettext_lazy("For as long as passages are kept, which are explained by it."),
            180 * DAY_H,
            30 * DAY_H,
            365 * DAY_H,
            _run_policy,
            _left_policy,
        ),
        Rule(
            "log",
            gettext_lazy("The event log: alarms, devices, orders"),
            gettext_lazy("Records of alarms and operation: 30 to 180 days."),
            180 * DAY_H,
            30 * DAY_H,
            365 * DAY_H,
            _run_log,
            _left_log,
        ),
        Rule(
            "looks",
            gettext_lazy("Who looked at whom"),
            gettext_lazy("Handling records: three years (PIPL article 56)."),
            3 * 365 * DAY_H,
            180 * DAY_H,
            5 * 365 * DAY_H,
            _run_looks,
            _left_looks,
        ),
        Rule(
            "changes",
            gettext_lazy("Who changed what"),
            gettext_lazy("Handling records: three years (PIPL article 56)."),
            3 * 365 * DAY_H,
            180 * DAY_H,
            5 * 365 * DAY_H,
            _run_changes,
            _left_changes,
        ),
        Rule(
            "papers",
            gettext_lazy("Requests, receipts and assessments"),
            gettext_lazy("Three years at least (PIPL article 56)."),
            5 * 365 * DAY_H,
            3 * 365 * DAY_H + DAY_H,
            10 * 365 * DAY_H,
            _run_papers,
            _left_papers,
        ),
    )
}
"""In the order of the page and of a run."""
