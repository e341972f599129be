"""Homes: who lives there and by which proof, its cars, what looks wrong, and what was."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.audit.models import Change
from anlin.hub.console.pages import DESK, MANAGE, bound, page, paged, query_of, submit
from anlin.hub.errors import RuleError
from anlin.hub.people import homes as services
from anlin.hub.people.forms import end_of_day
from anlin.hub.people.home_forms import LeaseForm, PlaceForm, ProofForm, UnitForm
from anlin.hub.people.models import (
    Holder,
    HolderStatus,
    Proof,
    Residency,
    Unit,
    UnitUse,
    in_force,
)
from anlin.hub.permissions import (
    StaffRequest,
    buildings_in_scope,
    holders_in_scope,
    units_in_scope,
)
from anlin.hub.vehicles import services as vehicles

PAGE_SIZE = 30
_CHANGES_SHOWN = 20


@require_GET
@page(*DESK)
def homes(request: StaffRequest) -> HttpResponse:
    """List homes, or only those that look wrong."""
    community, now = request.staff.community, timezone.now()
    query = query_of(request)
    only_flagged = request.GET.get("flagged") == "1"
    found = units_in_scope(request.staff).select_related("building")
    if query:
        found = found.filter(Q(code__istartswith=query) | Q(building__name__icontains=query))
    if only_flagged:
        found = found.filter(pk__in=list(services.flags(community, now)))
    shown = paged(request, found.order_by("building__name", "entrance", "code"), PAGE_SIZE)
    ids = [unit.pk for unit in shown]
    flags = services.flags(community, now, ids)
    living = dict(
        Residency.objects.filter(in_force(now), unit__in=ids, holder__status=HolderStatus.ACTIVE)
        .values("unit")
        .annotate(people=Count("holder", distinct=True))
        .values_list("unit", "people")
    )
    rows = [
        {"unit": unit, "people": living.get(unit.pk, 0), "flags": flags.get(unit.pk, ())}
        for unit in shown
    ]
    context = {"page": shown, "rows": rows, "q": query, "only_flagged": only_flagged}
    return render(request, "people/homes.html", context)


@require_GET
@page(*DESK)
def home(request: StaffRequest, unit_id: str) -> HttpResponse:
    return _home_page(request, _unit(request, unit_id))


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def edit_home(request: StaffRequest, unit_id: str) -> HttpResponse:
    unit = _unit(request, unit_id)
    form = UnitForm(bound(request), initial=UnitForm.first(unit))

    def save() -> str:
        given = form.cleaned_data
        given["use"] = UnitUse(given["use"])
        services.change_unit(unit, Actor.of(request), **given)
        return reverse("people:home", args=[unit.pk])

    return submit(request, form, save, _("Saved.")) or render(
        request,
        "people/edit_home.html",
        {"form": form, "unit": unit},
        status=422 if form.errors else 200,
    )


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def place(request: StaffRequest, building_id: str) -> HttpResponse:
    """Say where a building stands; a touch on the plan says it as well, without any script."""
    building = get_object_or_404(buildings_in_scope(request.staff), pk=building_id)
    touched = _touched(request)
    form = PlaceForm(touched or bound(request), initial=PlaceForm.first(building))

    def save() -> str:
        right, down = form.cleaned_data["right"], form.cleaned_data["down"]
        services.place_building(
            building,
            None if right is None else right / 100,
            None if down is None else down / 100,
            Actor.of(request),
        )
        return reverse("people:place", args=[building.pk])

    others = buildings_in_scope(request.staff).exclude(map_x=None)
    return submit(request, form, save, _("Saved.")) or render(
        request,
        "people/place.html",
        {"form": form, "building": building, "placed": list(others), "side": PLAN_SIDE},
        status=422 if form.errors else 200,
    )


@require_POST
@page(*MANAGE)
def prove_residency(request: StaffRequest, residency_id: str) -> HttpResponse:
    residency = _residency(request, residency_id)
    form = ProofForm(request.POST)

    def save() -> str:
        given = form.cleaned_data
        services.prove_residency(
            residency, Proof(given["proof"]), given["proof_number"], Actor.of(request)
        )
        return _back(request, residency)

    return submit(request, form, save, _("The proof is written down.")) or _told(
        request, form, residency
    )


@require_POST
@page(*MANAGE)
def set_lease_end(request: StaffRequest, residency_id: str) -> HttpResponse:
    residency = _residency(request, residency_id)
    form = LeaseForm(request.POST)

    def save() -> str:
        ends_at = end_of_day(form.cleaned_data["ends_on"])
        if ends_at is None:
            raise RuleError(_("A lease has an end: type its last day."), "ends_on")
        services.set_lease_end(residency, ends_at, Actor.of(request))
        return _back(request, residency)

    done = _("Everything that rests on this lease ends with its last day.")
    return submit(request, form, save, done) or _told(request, form, residency)


PLAN_SIDE = 300
"""Of the plan that a touch is measured on, in CSS pixels: it fits a phone, and is never scaled."""


def _touched(request: StaffRequest) -> dict[str, str] | None:
    """Read a touch on the plan: an image button sends where it was hit."""
    x, y = request.POST.get("plan.x", ""), request.POST.get("plan.y", "")
    if not (x.isascii() and x.isdigit() and y.isascii() and y.isdigit()):
        return None
    share = [min(100.0, round(100 * int(value[:5]) / PLAN_SIDE, 1)) for value in (x, y)]
    return {"right": str(share[0]), "down": str(share[1])}


def _home_page(request: StaffRequest, unit: Unit) -> HttpResponse:
    now = timezone.now()
    found = services.household(unit, now)
    people = {row.holder_id for row in (*found.now, *found.before, *found.to_come)}
    viewed(Actor.of(request), request.staff.community, "holder", sorted(people), purpose="home")
    may_manage = request.staff.role in MANAGE
    context: dict[str, Any] = {
        "unit": unit,
        "household": found,
        "vehicles": vehicles.vehicles_at(unit),
        "quota": vehicles.quota(unit),
        "changes": Change.objects.filter(
            community=request.staff.community,
            object_id__in=[unit.pk, *unit.residencies.values_list("pk", flat=True)],
        ).order_by("-id")[:_CHANGES_SHOWN]
        if may_manage
        else [],
        "proof_form": ProofForm(auto_id=False),
        "lease_form": LeaseForm(auto_id=False),
        "may_manage": may_manage,
    }
    return render(request, "people/home.html", context)


def _told(request: StaffRequest, form: ProofForm | LeaseForm, residency: Residency) -> HttpResponse:
    """Say what is wrong with a small form on the page that it came from."""
    for faults in form.errors.values():
        for fault in faults:
            messages.error(request, str(fault))
    return redirect(_back(request, residency))


def _back(request: StaffRequest, residency: Residency) -> str:
    if request.POST.get("back") == "home":
        return reverse("people:home", args=[residency.unit_id])
    return reverse("people:holder", args=[residency.holder_id])


def _unit(request: StaffRequest, unit_id: str) -> Unit:
    return get_object_or_404(
        units_in_scope(request.staff).select_related("building__community"), pk=unit_id
    )


def _residency(request: StaffRequest, residency_id: str) -> Residency:
    rows: QuerySet[Residency] = Residency.objects.select_related("holder__community", "unit")
    mine: QuerySet[Holder] = holders_in_scope(request.staff)
    return get_object_or_404(rows, pk=residency_id, holder__in=mine.values("pk"))
