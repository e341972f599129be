"""A resident's visitors: invite, agree in one tap, share the pass, end."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.console.pages import blame, bound
from anlin.hub.errors import RuleError
from anlin.hub.resident import visitors
from anlin.hub.resident.forms import HelperForm, InviteForm, SentOnce, sent_id
from anlin.hub.resident.homes import private_units
from anlin.hub.resident.pages import HomeRequest, actor, attempt, page
from anlin.hub.visits import services as visits
from anlin.hub.visits.links import page_path
from anlin.hub.visits.models import State, Visit, VisitRules

SHOWN_OVER = 10
SHOWN = visits.MOST_OPEN * 2
"""All that are open, and some of those that are over."""


@require_GET
@page
def listed(request: HomeRequest) -> HttpResponse:
    shown = list(visitors.visits_of(request.home)[:SHOWN])
    units = private_units(request.home)
    context = {
        "open": sorted(
            (visit for visit in shown if not visit.is_over), key=lambda visit: visit.starts_at
        ),
        "over": [visit for visit in shown if visit.is_over][:SHOWN_OVER],
        "units": units,
        "sent": sent_id(),
        "has_parcel_room": VisitRules.objects.filter(
            pk=request.holder.community_id, parcel_points__isnull=False
        ).exists(),
    }
    return render(request, "resident/visitors.html", context)


@require_GET
@page
def one(request: HomeRequest, visit_id: str) -> HttpResponse:
    visit = visitors.visit_of(request.home, visit_id)
    has_pass = visit.is_agreed and bool(visit.token)
    context = {
        "visit": visit,
        "is_asked": visit.state == State.ASKED and visit.host_agreed_at is None,
        "link": request.build_absolute_uri(page_path(visit)) if has_pass else "",
    }
    return render(request, "resident/visit.html", context)


@require_http_methods(["GET", "POST"])
@page
def invite(request: HomeRequest, unit_id: str) -> HttpResponse:
    """Invite somebody who comes once, or with ?kind=helper again and again."""
    is_helper = request.GET.get("kind") == "helper"
    try:
        unit = visitors.unit_of(request.home, unit_id)
    except RuleError as error:
        return render(request, "resident/no.html", {"why": str(error)}, status=403)
    now = timezone.localtime(request.home.at)
    form: SentOnce
    if is_helper:
        form = HelperForm(bound(request))
    else:
        form = InviteForm(bound(request), initial={"starts_at": now.strftime("%Y-%m-%dT%H:%M")})
    if form.is_valid():
        try:
            wish = (
                visitors.helper(request.home, form)
                if isinstance(form, HelperForm)
                else visitors.guest(form)
            )
            visit = visits.invite(
                unit, request.holder, wish, actor(request), sent_id=form.cleaned_data["sent"]
            )
        except RuleError as error:
            blame(form, error)
        else:
            return redirect("resident:visit", visit.pk)
    status = 422 if form.is_bound else 200
    context = {"form": form, "unit": unit, "is_helper": is_helper}
    return render(request, "resident/invite.html", context, status=status)


@require_POST
@page
def courier(request: HomeRequest, unit_id: str) -> HttpResponse:
    """Let a courier in once, within half an hour, by one tap."""
    try:
        unit = visitors.unit_of(request.home, unit_id)
        visit = visits.call_courier(
            unit,
            request.holder,
            actor(request),
            to_door=request.POST.get("to") == "door",
            sent_id=request.POST.get("sent", "")[:32].replace("\x00", ""),
        )
    except RuleError as error:
        messages.error(request, str(error))
        return redirect("resident:visitors")
    return redirect("resident:visit", visit.pk)


@require_POST
@page
def answer(request: HomeRequest, visit_id: str) -> HttpResponse:
    """Agree, refuse or call off."""
    visit = visitors.visit_of(request.home, visit_id)
    by = actor(request)
    doing: dict[str, tuple[Callable[[], Visit], str]] = {
        "yes": (
            lambda: visits.approve(visit, by, host=request.holder),
            _("Agreed. The visitor has the pass."),
        ),
        "no": (lambda: visits.refuse(visit, by), _("Refused. The visitor reads no reason.")),
        "end": (lambda: visits.cancel(visit, by), _("Ended. The pass opens nothing any more.")),
    }
    chosen = doing.get(request.POST.get("answer", ""))
    if chosen is not None:
        attempt(request, *chosen)
    return redirect("resident:visit", visit.pk)
