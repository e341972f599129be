"""Watch entries, for those who may know: proposed, approved by a second person, ended."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.entities import Method
from anlin.hub.access import services
from anlin.hub.access.models import Verdict, WatchEntry, WatchState
from anlin.hub.access.watch import hits, known_to, may_know
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import attempt, bound, page, submit
from anlin.hub.events.rows import rows
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest
from anlin.hub.watch.forms import EndForm, FeedbackForm, ProposeForm

KNOW = (Role.LIAISON, Role.COMMITTEE, Role.AUDITOR)
"""Who may open these pages at all; each entry says which of them it is shown to."""

_SHOWN_HITS = 50


@require_GET
@page(*KNOW)
def entries(request: StaffRequest) -> HttpResponse:
    found = known_to(request.staff)
    viewed(Actor.of(request), request.staff.community, "watch entry", [one.pk for one in found])
    now = timezone.now()
    context = {
        "entries": [{"row": one, "is_over": one.valid_until <= now} for one in found],
        "may_propose": request.staff.role == Role.LIAISON,
    }
    return _closed(render(request, "watch/entries.html", context))


@require_http_methods(["GET", "POST"])
@page(Role.LIAISON)
def propose(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    form = ProposeForm(community, bound(request))

    def save() -> str:
        given = form.cleaned_data
        own = given["credential"]
        made = services.propose_watch(
            community,
            Actor.of(request),
            label=given["label"],
            source=given["source"],
            legal_basis=given["legal_basis"],
            valid_until=form.until,
            method=None if own else Method(given["method"]),
            key="" if own else given["key"],
            credential=own,
            roles=[Role(role) for role in given["roles"]],
        )
        return reverse("watch:entry", args=[made.pk])

    saved = submit(request, form, save, _("Proposed. A second person has to approve it."))
    if saved is not None:
        return saved
    status = 422 if form.is_bound else 200
    return _closed(render(request, "watch/propose.html", {"form": form}, status=status))


@require_GET
@page(*KNOW)
def entry(request: StaffRequest, entry_id: str) -> HttpResponse:
    return _entry_page(request, _entry(request, entry_id))


@require_POST
@page(*KNOW)
def approve(request: StaffRequest, entry_id: str) -> HttpResponse:
    one = _entry(request, entry_id)
    attempt(
        request,
        lambda: services.approve_watch(one, Actor.of(request)),
        _("Approved. Every gate looks for it in a few seconds; nothing opens or closes by it."),
    )
    return redirect("watch:entry", one.pk)


@require_POST
@page(*KNOW)
def end(request: StaffRequest, entry_id: str) -> HttpResponse:
    one = _entry(request, entry_id)
    form = EndForm(request.POST)

    def save() -> str:
        services.end_watch(one, Actor.of(request), form.cleaned_data["reason"])
        return reverse("watch:entry", args=[one.pk])

    saved = submit(request, form, save, _("Ended. No gate looks for it any more."))
    return saved or _entry_page(request, one, end_form=form)


@require_POST
@page(*KNOW)
def feedback(request: StaffRequest, entry_id: str, position: int) -> HttpResponse:
    one = _entry(request, entry_id)
    form = FeedbackForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        attempt(
            request,
            lambda: services.note_feedback(
                one, position, Verdict(given["verdict"]), Actor.of(request), note=given["note"]
            ),
            _("Written down."),
        )
    else:
        messages.error(request, _("Say what came of it."))
    return redirect("watch:entry", one.pk)


def _entry(request: StaffRequest, entry_id: str) -> WatchEntry:
    """Find an entry; one that this person may not know of is not there."""
    one = get_object_or_404(
        WatchEntry.objects.select_related("community", "proposed_by", "approved_by"),
        pk=entry_id,
        community=request.staff.community,
    )
    if not may_know(one, request.staff):
        raise Http404
    return one


def _entry_page(
    request: StaffRequest, one: WatchEntry, *, end_form: EndForm | None = None
) -> HttpResponse:
    by = Actor.of(request)
    viewed(by, one.community, "watch entry", [one.pk])
    events = list(hits(one)[:_SHOWN_HITS])
    said = {feedback.position: feedback for feedback in one.feedback.all()}
    now = timezone.now()
    is_open = one.state != WatchState.ENDED
    context = {
        "entry": one,
        "is_over": one.valid_until <= now,
        "roles": [Role(role).label for role in one.roles],
        "may_approve": one.state == WatchState.PROPOSED
        and one.proposed_by_id != request.staff.user_id
        and one.valid_until > now,
        "is_mine": one.proposed_by_id == request.staff.user_id,
        "end_form": end_form or (EndForm() if is_open else None),
        "hits": [
            {"row": row, "said": said.get(row["position"]), "form": FeedbackForm(auto_id=False)}
            for row in rows(events)
        ],
    }
    status = 200 if end_form is None else 422
    return _closed(render(request, "watch/entry.html", context, status=status))


def _closed(answer: HttpResponse) -> HttpResponse:
    """Let no browser keep who is sought."""
    answer.headers["Cache-Control"] = "no-store"
    return answer
