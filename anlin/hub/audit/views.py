"""The change log, to be read: who changed what, from what to what."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from anlin.hub.audit.models import Change, View
from anlin.hub.console.pages import page, paged, query_of
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest

PAGE_SIZE = 40
_VALUE_CHARS = 120
_IN_THE_LINE_ALREADY = frozenset({"community_id", "created_at", "given_at", "issued_at"})
_NOT_OF_THE_HOUSE = ("access.watchentry", "access.watchfeedback")
"""That somebody is sought is no business of the property company."""

_LOOK_NOT_OF_THE_HOUSE = "watch entry"

READERS = (Role.MANAGER, Role.COMMITTEE, Role.AUDITOR)


@require_GET
@page(*READERS)
def changes(request: StaffRequest) -> HttpResponse:
    query = query_of(request)
    found = Change.objects.filter(community=request.staff.community)
    if request.staff.role != Role.AUDITOR:
        found = found.exclude(model__in=_NOT_OF_THE_HOUSE)
    if query:
        found = found.filter(
            Q(who__icontains=query)
            | Q(action__icontains=query)
            | Q(object_id=query)
            | Q(model__icontains=query)
        )
    shown = paged(request, found.order_by("-id"), PAGE_SIZE)
    # The committee answers for how the house is run, not for who lives in it.
    may_see_values = request.staff.role != Role.COMMITTEE
    rows = [
        {"change": change, "differs": _differs(change) if may_see_values else []}
        for change in shown
    ]
    context = {"page": shown, "rows": rows, "q": query, "tab": "changes"}
    return render(request, "audit/changes.html", context)


@require_GET
@page(Role.MANAGER, Role.AUDITOR)
def looks(request: StaffRequest) -> HttpResponse:
    query = query_of(request)
    found = View.objects.filter(community=request.staff.community)
    if request.staff.role != Role.AUDITOR:
        found = found.exclude(what=_LOOK_NOT_OF_THE_HOUSE)
    if query:
        found = found.filter(Q(who__icontains=query) | Q(object_id=query))
    shown = paged(request, found.order_by("-id"), PAGE_SIZE)
    context = {"page": shown, "q": query, "tab": "looks"}
    return render(request, "audit/looks.html", context)


def _differs(change: Change) -> list[dict[str, str]]:
    """List the fields of a change with what they were and what they became."""
    before: dict[str, Any] = change.before or {}
    after: dict[str, Any] = change.after or {}
    return [
        {"name": name, "before": _said(before.get(name)), "after": _said(after.get(name))}
        for name in sorted({*before, *after} - _IN_THE_LINE_ALREADY)
        if _said(before.get(name)) != _said(after.get(name))
    ]


def _said(value: Any) -> str:
    text = "" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= _VALUE_CHARS else text[:_VALUE_CHARS] + "…"
