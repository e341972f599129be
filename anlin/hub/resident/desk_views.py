"""The property office's side: what homes ask for, and the numbers that residents may call."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import MANAGE, attempt, blame, bound, page
from anlin.hub.errors import RuleError
from anlin.hub.permissions import StaffRequest
from anlin.hub.resident import asks as household_asks
from anlin.hub.resident import care
from anlin.hub.resident.forms import HelpLineForm
from anlin.hub.resident.models import HelpLine


@require_GET
@page(*MANAGE)
def asks(request: StaffRequest) -> HttpResponse:
    waiting = list(household_asks.waiting_for(request.staff))
    viewed(
        Actor.of(request),
        request.staff.community,
        "household_ask",
        [ask.pk for ask in waiting],
        purpose="household requests",
    )
    return render(request, "resident/desk_asks.html", {"asks": waiting})


@require_POST
@page(*MANAGE)
def answer(request: StaffRequest, ask_id: str) -> HttpResponse:
    ask = get_object_or_404(household_asks.waiting_for(request.staff), pk=ask_id)
    by = Actor.of(request)
    if request.POST.get("answer") == "yes":
        attempt(request, lambda: household_asks.accept(ask, by), _("Done; the home reads it."))
    else:
        why = request.POST.get("why", "").replace("\x00", "")[:200]
        attempt(
            request, lambda: household_asks.refuse(ask, why, by), _("Refused, with your words.")
        )
    return redirect("resident_desk:asks")


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def lines(request: StaffRequest) -> HttpResponse:
    form = HelpLineForm(bound(request))
    if form.is_valid():
        try:
            care.set_line(request.staff.community, Actor.of(request), **form.cleaned_data)
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, _("Residents see it under Help."))
            return redirect("resident_desk:lines")
    status = 422 if form.is_bound else 200
    context = {"form": form, "lines": care.lines_of(request.staff.community)}
    return render(request, "resident/desk_lines.html", context, status=status)


@require_POST
@page(*MANAGE)
def remove_line(request: StaffRequest, line_id: str) -> HttpResponse:
    line = get_object_or_404(HelpLine, pk=line_id, community=request.staff.community)
    attempt(request, lambda: care.remove_line(line, Actor.of(request)), _("Taken away."))
    return redirect("resident_desk:lines")
