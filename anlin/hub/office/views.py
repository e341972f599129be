"""The office's own page, its queues and the search."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import DESK, MANAGE, page, query_of
from anlin.hub.office import queues
from anlin.hub.office import search as searching
from anlin.hub.office.index import catch_up
from anlin.hub.permissions import StaffRequest


@dataclass(frozen=True, slots=True)
class _Shown:
    queue: queues.Queue
    waiting: queues.Waiting
    url: str


@require_GET
@page(*MANAGE)
def home(request: StaffRequest) -> HttpResponse:
    now = timezone.now()
    shown = [
        _Shown(
            one,
            one.look(request.staff, now),
            reverse(one.url) if one.url else reverse("office:queue", args=[one.key]),
        )
        for one in queues.queues_for(request.staff.role)
    ]
    shown.sort(key=lambda one: one.waiting.count == 0)
    return render(request, "office/home.html", {"shown": shown})


@require_GET
@page(*MANAGE)
def queue(request: StaffRequest, key: str) -> HttpResponse:
    one = queues.queue(key, request.staff.role)
    if one is None or one.rows is None:
        raise Http404
    now = timezone.now()
    items = one.rows(request.staff, now)
    viewed(Actor.of(request), request.staff.community, f"queue {key}"[:40], [key])
    context = {"queue": one, "items": items, "waiting": one.look(request.staff, now)}
    return render(request, "office/queue.html", context)


@require_GET
@page(*DESK)
def search(request: StaffRequest) -> HttpResponse:
    """Find people; without script by a button, with it while somebody types."""
    query = query_of(request)
    is_live = request.headers.get("HX-Request") == "true"
    found = None
    if query and not (is_live and len(query) < searching.FEWEST_LIVE):
        catch_up()
        found = searching.search(request.staff, query, timezone.now())
        by = Actor.of(request)
        viewed(by, request.staff.community, "search", [searching.logged(query)])
    context = {"q": query, "found": found, "words": searching.BY_WORDS}
    answer = render(request, "office/_found.html" if is_live else "office/search.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer
