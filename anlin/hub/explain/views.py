"""What would happen if somebody stood at a gate now: asked by staff, opening nothing."""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import DESK, page, query_of
from anlin.hub.explain.forms import WhatIfForm
from anlin.hub.explain.readers import as_reported, doubtful, readers_at, unread
from anlin.hub.explain.services import what_if
from anlin.hub.people.models import Holder
from anlin.hub.people.views import search
from anlin.hub.permissions import StaffRequest

_SHOWN = 12


@require_GET
@page(*DESK)
def ask(request: StaffRequest) -> HttpResponse:
    """Choose a person, then what they show, where and when; give the answer and its checks."""
    community = request.staff.community
    holder_id = request.GET.get("holder", "")[:24]
    if not holder_id:
        query = query_of(request)
        found = search(community, query).order_by("name", "id")[:_SHOWN] if query else []
        if query:
            viewed(Actor.of(request), community, "holder search", [query], purpose="what if")
        return render(request, "explain/ask.html", {"q": query, "found": found})
    holder = get_object_or_404(Holder, pk=holder_id, community=community)
    form = WhatIfForm(holder, request.GET if "point" in request.GET else None)
    context = {"holder": holder, "form": form}
    purpose = "what if"
    if form.is_valid():
        point, at = form.cleaned_data["point"], form.cleaned_data["at"]
        readers = readers_at(point)
        asked = form.asked
        asked = replace(asked, method=as_reported(asked.method, readers))
        context |= {
            "why": what_if(community, holder, asked, point, at),
            "unread": unread(asked.method, point, readers),
            "doubtful": doubtful(asked.method, point, readers),
            "point": point,
            "at": at,
        }
        purpose = f"what if at {point.pk}"
    viewed(Actor.of(request), community, "holder", [holder.pk], purpose=purpose)
    answer = render(
        request, "explain/ask.html", context, status=422 if form.is_bound and form.errors else 200
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer
