"""Pages of the guard and the office: who is expected, who is inside, who stays too long."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core import visit as core
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import DESK, MANAGE, attempt, bound, page, paged, query_of, submit
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest, buildings_of, units_in_scope
from anlin.hub.visits import bars, links, services
from anlin.hub.visits.forms import AgreedForm, BarForm, RulesForm, WalkInForm
from anlin.hub.visits.models import Answered, Appeal, Bar, State, Visit
from anlin.hub.visits.public_views import ask_qr

PAGE_SIZE = 50


@require_GET
@page(*DESK)
def today(request: StaffRequest) -> HttpResponse:
    community, now = request.staff.community, timezone.now()
    rows = list(
        services.of_day(_visits(request), community, now).exclude(
            state__in=[State.REFUSED, State.CANCELLED, State.NO_SHOW]
        )[:500]
    )
    groups = [
        (_("Time is up"), "warning", [v for v in rows if v.state == State.OVERSTAYED]),
        (_("Waits for an answer"), "info", [v for v in rows if v.state == State.ASKED]),
        (_("Inside"), "good", [v for v in rows if v.state == State.INSIDE]),
        (
            _("Expected today"),
            "info",
            [v for v in rows if v.state in (State.APPROVED, State.EXPECTED)],
        ),
        (_("Left today"), "", [v for v in rows if v.state in (State.DEPARTED, State.ENDED)]),
    ]
    viewed(Actor.of(request), community, "visits", ["today"])
    context = {
        "groups": groups,
        "has_any": bool(rows),
        "now": now,
        "appeals": Bar.objects.filter(community=community, appeal=Appeal.OPEN).count()
        if request.staff.role == Role.MANAGER
        else 0,
    }
    return render(request, "visits/today.html", context)


@require_GET
@page(*DESK)
def past(request: StaffRequest) -> HttpResponse:
    query = query_of(request)
    rows = _visits(request).order_by("-starts_at", "pk")
    if query:
        rows = rows.filter(name__icontains=query) | rows.filter(unit__code__iexact=query)
    shown = paged(request, rows, PAGE_SIZE)
    viewed(Actor.of(request), request.staff.community, "visits", [query or "all"])
    return render(request, "visits/past.html", {"page": shown, "q": query})


@require_http_methods(["GET", "POST"])
@page(*DESK)
def walk_in(request: StaffRequest) -> HttpResponse:
    homes = units_in_scope(request.staff).select_related("building__community")
    form = WalkInForm(homes, bound(request))

    def save() -> str:
        given = form.cleaned_data
        visit = services.walk_in(
            given["home"],
            form.wish(),
            Actor.of(request),
            agreed_by=given["agreed_by"],
            call=given["call"],
            sent_id=form.sent,
        )
        return reverse("visits:visit", args=[visit.pk])

    done = submit(request, form, save, _("Written down. The code below opens the way to the home."))
    if done is not None:
        return done
    status = 422 if form.is_bound else 200
    context = {"form": form, "units": homes.order_by("code").values_list("code", flat=True)}
    return render(request, "visits/walk_in.html", context, status=status)


@require_GET
@page(*DESK)
def visit(request: StaffRequest, visit_id: str) -> HttpResponse:
    found = _visit(request, visit_id)
    viewed(Actor.of(request), found.community, "visit", [found.pk])
    shown = settings.HUB_URL + links.page_path(found) if not found.cleared_at else ""
    is_manager = request.staff.role == Role.MANAGER
    context = {
        "visit": found,
        "now": timezone.now(),
        "link": shown,
        "qr": ask_qr(shown) if shown and found.is_agreed else None,
        "agreed_form": AgreedForm(),
        "bars": bars.matching(found, timezone.now()) if is_manager else (),
        "is_manager": is_manager,
    }
    return render(request, "visits/visit.html", context)


@require_POST
@page(*DESK)
def act(request: StaffRequest, visit_id: str, action: str) -> HttpResponse:
    found, by, now = _visit(request, visit_id), Actor.of(request), timezone.now()
    said = request.POST.get("said", "")[:200]
    doing = {
        "agreed": (lambda: _agreed(request, found, by), _("Agreed. The gates know in seconds.")),
        "refuse": (
            lambda: services.refuse(found, by, how=Answered.CALL, said=said),
            _("Refused."),
        ),
        "arrived": (lambda: services.arrive(found, now, by), _("Noted as inside.")),
        "left": (lambda: services.depart(found, now, by), _("Noted as gone.")),
        "cancel": (
            lambda: services.cancel(found, by, why=core.Why.BY_OFFICE, said=said),
            _("Called off; the gates refuse it in a few seconds."),
        ),
    }
    do, done = doing[action]
    attempt(request, do, done)
    return redirect("visits:visit", found.pk)


@require_POST
@page(*MANAGE)
def office(request: StaffRequest, visit_id: str, action: str) -> HttpResponse:
    found, by = _visit(request, visit_id), Actor.of(request)
    if action == "approve":
        done = _("Agreed. The gates know in seconds.")
        attempt(request, lambda: services.approve(found, by, how=Answered.OFFICE), done)
    else:
        attempt(request, lambda: services.refuse(found, by, how=Answered.OFFICE), _("Refused."))
    return redirect("visits:visit", found.pk)


def _agreed(request: StaffRequest, found: Visit, by: Actor) -> Visit:
    form = AgreedForm(request.POST)
    form.is_valid()
    return services.approve(
        found,
        by,
        how=Answered.CALL,
        agreed_by=form.cleaned_data.get("agreed_by", ""),
        call=form.cleaned_data.get("call", ""),
    )


# The office


@require_GET
@page(*MANAGE)
def barred(request: StaffRequest) -> HttpResponse:
    rows = Bar.objects.filter(community=request.staff.community).select_related("unit")
    shown = paged(request, rows.order_by("ended_at", "-barred_at", "pk"), PAGE_SIZE)
    viewed(Actor.of(request), request.staff.community, "bars", [row.pk for row in shown])
    return render(request, "visits/barred.html", {"page": shown, "now": timezone.now()})


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def new_bar(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    form = BarForm(community, bound(request))

    def save() -> str:
        given = form.cleaned_data
        row = bars.bar(
            community,
            Actor.of(request),
            reason=given["reason"],
            until=form.end,
            name=given["name"],
            phone=given["phone"],
            plate=given["plate"],
            unit=given["home"],
        )
        return reverse("visits:bar", args=[row.pk])

    done = submit(request, form, save, _("From now on the office has to approve."))
    if done is not None:
        return done
    return render(
        request, "visits/new_bar.html", {"form": form}, status=422 if form.is_bound else 200
    )


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def bar(request: StaffRequest, bar_id: str) -> HttpResponse:
    row = get_object_or_404(Bar, pk=bar_id, community=request.staff.community)
    by = Actor.of(request)
    if request.method == "POST":
        text = request.POST.get("text", "")[:500]
        match request.POST.get("action"):
            case "lift":
                attempt(request, lambda: bars.lift(row, by), _("Lifted."))
            case "grant":
                attempt(
                    request,
                    lambda: bars.answer(row, by, is_lifted=True, text=text),
                    _("Answered, and lifted."),
                )
            case "uphold":
                attempt(
                    request,
                    lambda: bars.answer(row, by, is_lifted=False, text=text),
                    _("Answered; it stays."),
                )
            case _other:
                messages.error(request, _("Choose what to do."))
        return redirect("visits:bar", row.pk)
    viewed(by, row.community, "bar", [row.pk])
    return render(request, "visits/bar.html", {"bar": row, "now": timezone.now()})


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def rules(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    now = services.rules_of(community)
    form = RulesForm(community, bound(request), instance=now)
    if form.is_bound and form.is_valid():
        services.set_rules(community, Actor.of(request), **form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("visits:rules")
    address = settings.HUB_URL + reverse("visits:ask", args=[community.pk])
    context = {"form": form, "address": address, "qr": ask_qr(address)}
    return render(request, "visits/rules.html", context, status=422 if form.is_bound else 200)


def _visits(request: StaffRequest) -> QuerySet[Visit]:
    rows = Visit.objects.filter(community=request.staff.community)
    bound_to = buildings_of(request.staff)
    if bound_to is not None:
        rows = rows.filter(unit__building__in=bound_to)
    return rows.select_related("unit", "host", "community")


def _visit(request: StaffRequest, visit_id: str) -> Visit:
    rows = _visits(request).select_related("unit__building", "host", "community", "leave", "holder")
    return get_object_or_404(rows, pk=visit_id)
