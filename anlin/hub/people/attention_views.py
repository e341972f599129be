"""Whom somebody looks after: for the few roles that may know, and nobody else."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import attempt, bound, page, paged, query_of, submit
from anlin.hub.people import attention as attentions
from anlin.hub.people.identity_forms import AttentionForm
from anlin.hub.people.models import (
    ATTENTION_ROLES,
    Attention,
    AttentionGroup,
    HolderStatus,
    in_force,
)
from anlin.hub.people.views import search
from anlin.hub.permissions import StaffRequest, holders_in_scope

PAGE_SIZE = 30
_SHOWN = 12


@require_GET
@page(*ATTENTION_ROLES)
def attention(request: StaffRequest) -> HttpResponse:
    """List what stands, the next to end first; find a person to record one for."""
    community = request.staff.community
    mine = holders_in_scope(request.staff)
    query = query_of(request)
    found = []
    if query:
        hits = search(community, query).filter(pk__in=mine.values("pk"))
        found = list(hits.exclude(status=HolderStatus.LEFT).order_by("name", "id")[:_SHOWN])
        viewed(Actor.of(request), community, "holder search", [query], purpose="attention")
    rows = attentions.standing(community).filter(holder__in=mine.values("pk"))
    shown = paged(request, rows, PAGE_SIZE)
    viewed(
        Actor.of(request),
        community,
        "attention",
        sorted({row.holder_id for row in shown}),
        purpose="attention list",
    )
    context = {"page": shown, "q": query, "found": found, "today": timezone.localdate()}
    return render(request, "people/attention.html", context)


@require_http_methods(["GET", "POST"])
@page(*ATTENTION_ROLES)
def attend(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Show what is recorded about one person, and record more."""
    people = holders_in_scope(request.staff).select_related("community")
    person = get_object_or_404(people, pk=holder_id)
    form = AttentionForm(bound(request))
    viewed(Actor.of(request), person.community, "attention", [person.pk])

    def save() -> str:
        given = form.cleaned_data
        attentions.record_attention(
            person,
            AttentionGroup(given["group"]),
            given["legal_basis"],
            given["source"],
            given["valid_until"],
            Actor.of(request),
        )
        return reverse("people:attend", args=[person.pk])

    now = timezone.now()
    context = {
        "holder": person,
        "homes": person.residencies.filter(in_force(now)).select_related("unit"),
        "rows": person.attentions.order_by("-recorded_at"),
        "today": timezone.localdate(),
        "form": form,
    }
    saved = submit(request, form, save, _("It is written down, and ends by itself."))
    return saved or render(
        request, "people/attend.html", context, status=422 if form.errors else 200
    )


@require_POST
@page(*ATTENTION_ROLES)
def end_attention(request: StaffRequest, attention_id: str) -> HttpResponse:
    mine = holders_in_scope(request.staff).values("pk")
    found = get_object_or_404(
        Attention.objects.select_related("holder__community"), pk=attention_id, holder__in=mine
    )
    attempt(request, lambda: attentions.end_attention(found, Actor.of(request)), _("Ended."))
    return redirect("people:attend", found.holder_id)
