"""What people ask about their own data, and what is answered: in time, by a named person."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Holder
from anlin.hub.privacy import erase
from anlin.hub.privacy.faces import working_days_after
from anlin.hub.privacy.models import Ask, Request, RequestState
from anlin.hub.privacy.retention import settings_of

TEXT_CHARS = 1000
MOST_OPEN = 10
"""Of one person at a time; who has ten open has asked already."""


def ask(holder: Holder, kind: Ask | str, text: str, by: Actor) -> Request:
    """Write down a request of a person; one of that kind that is open is given back as it is.

    Raises:
        RuleError: no such kind, a correction that does not say what, or too long.
    """
    if kind not in Ask.values:
        raise RuleError(
            _("There is no request of the kind %(kind)s.") % {"kind": str(kind)[:20]}, "kind"
        )
    text = text.strip()
    if len(text) > TEXT_CHARS:
        raise RuleError(_("At most %(n)d characters.") % {"n": TEXT_CHARS}, "text")
    if kind == Ask.CORRECT and not text:
        raise RuleError(_("Say what is wrong and how it should read."), "text")
    now = timezone.now()
    with transaction.atomic():
        # Whoever asks twice at once finds the other's line.
        Holder.objects.select_for_update().get(pk=holder.pk)
        open_ones = Request.objects.filter(holder=holder, state__in=Request.OPEN)
        same = next((one for one in open_ones.filter(kind=kind) if one.text == text), None)
        if same is not None:
            return same
        if open_ones.count() >= MOST_OPEN:
            raise RuleError(_("There are %(n)d open requests already.") % {"n": MOST_OPEN})
        request = Request.objects.create(
            community=holder.community,
            holder=holder,
            kind=kind,
            text=text,
            asked_by=by.name,
            asked_at=now,
            due_on=due_on(holder.community, now),
        )
        created(by, holder.community, request, action="ask")
    return request


def due_on(community: Community, at: datetime) -> date:
    """Give the last day for an answer: so many working days after the day it was asked.

    Weekends do not count, nor do the days in the community's own tables of holidays.
    """
    return working_days_after(community, at, settings_of(community).answer_days)


def requests_of(holder: Holder) -> QuerySet[Request]:
    """List a person's own requests, the newest first."""
    return Request.objects.filter(holder=holder).order_by("-asked_at")


def open_requests(community: Community) -> QuerySet[Request]:
    """List what waits for an answer, the one due first on top."""
    return (
        Request.objects.filter(community=community, state__in=Request.OPEN)
        .select_related("holder")
        .order_by("due_on", "asked_at")
    )


def overdue(community: Community, today: date) -> QuerySet[Request]:
    """List requests whose last day is over."""
    return open_requests(community).filter(due_on__lt=today)


def take(request: Request, by: Actor) -> None:
    """Take a request: from now on everybody sees who handles it.

    Raises:
        RuleError: somebody else has, or it is answered.
    """
    with transaction.atomic():
        taken = Request.objects.filter(pk=request.pk, state=RequestState.NEW).update(
            state=RequestState.TAKEN, handled_by=by.name, taken_at=timezone.now()
        )
        request.refresh_from_db()
        if not taken and request.handled_by != by.name:
            raise RuleError(_("%(who)s handles it already.") % {"who": request.handled_by or "–"})
        if taken:
            created(by, request.community, request, action="take request")


def finish(request: Request, answer: str, by: Actor) -> None:
    """Answer a request. A deletion deletes the person, and is done only once that is.

    Raises:
        RuleError: it is answered already, or the person can't be deleted yet.
    """
    _refuse_ended(request)
    holder = request.holder
    if request.kind == Ask.DELETE:
        if holder is not None:
            reason = erase.why_not(holder)
            if reason:
                raise RuleError(reason)
            counts = erase.erase(holder, by, request.pk)
            request.refresh_from_db()
            request.outcome = counts
            request.save(update_fields=["outcome"])
        # The answer would name the person again.
        answer = ""
    elif not answer.strip() and request.kind in (Ask.CORRECT, Ask.EXPLAIN):
        raise RuleError(_("Say what was done; the person reads it."), "answer")
    _end(request, RequestState.DONE, answer, by)


def refuse(request: Request, reason: str, by: Actor) -> None:
    """Refuse a request, with the reason that the law asks for.

    Raises:
        RuleError: no reason, or it is answered already.
    """
    _refuse_ended(request)
    if len(reason.strip()) < 5:
        raise RuleError(_("A refusal needs its reason; the person reads it."), "answer")
    _end(request, RequestState.REFUSED, reason, by)


def cancel(request: Request, by: Actor) -> None:
    """Take a request back, by the person who asked.

    Raises:
        RuleError: it is answered already.
    """
    _refuse_ended(request)
    _end(request, RequestState.CANCELLED, "", by)


def note_given(request: Request, counts: dict[str, int], by: Actor) -> None:
    """Write down that a copy was made and given out."""
    Request.objects.filter(pk=request.pk).update(outcome=counts)


def _refuse_ended(request: Request) -> None:
    request.refresh_from_db()
    if request.state not in Request.OPEN:
        raise RuleError(
            _("This request is answered: %(state)s.") % {"state": request.get_state_display()}
        )


def _end(request: Request, state: RequestState, answer: str, by: Actor) -> None:
    if len(answer) > TEXT_CHARS:
        raise RuleError(_("At most %(n)d characters.") % {"n": TEXT_CHARS}, "answer")
    with (
        transaction.atomic(),
        changing(by, request.community, request, f"request {state.value}"),
    ):
        request.state = state
        request.handled_by = by.name
        request.taken_at = request.taken_at or timezone.now()
        request.ended_at = timezone.now()
        request.answer = answer.strip()
