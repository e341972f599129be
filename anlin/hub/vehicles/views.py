"""Cars and e-bikes: the office's queue, its list, and a page of each."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import (
    DESK,
    MANAGE,
    attempt,
    bound,
    page,
    paged,
    query_of,
    submit,
)
from anlin.hub.people.models import Holder, HolderStatus
from anlin.hub.permissions import StaffRequest, holders_in_scope
from anlin.hub.vehicles import services
from anlin.hub.vehicles.forms import EBikeForm, PlateForm, RefuseForm, VehicleForm
from anlin.hub.vehicles.models import EBike, Vehicle, VehicleState

PAGE_SIZE = 30
TABS = ("waiting", "cars", "ebikes")


@require_GET
@page(*DESK)
def vehicles(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    query = query_of(request)
    waiting = _vehicles(request).filter(state=VehicleState.REQUESTED)
    n_waiting = waiting.count()
    tab = request.GET.get("tab", "")
    if tab not in TABS:
        tab = "waiting" if n_waiting and not query else "cars"
    rows: QuerySet[Any]
    if tab == "ebikes":
        rows = _ebikes(request).filter(ended_at=None).order_by("plate", "tag", "id")
        if query:
            rows = rows.filter(_named(query, "plate", "tag", "battery"))
    else:
        rows = (
            waiting if tab == "waiting" else _vehicles(request).filter(state=VehicleState.APPROVED)
        )
        rows = rows.order_by("plate", "id")
        if query:
            rows = rows.filter(_named(query, "plate") | Q(unit__code__istartswith=query))
    shown = paged(request, rows, PAGE_SIZE)
    viewed(Actor.of(request), community, "vehicle list", [query or tab])
    context = {
        "page": shown,
        "q": query,
        "tab": tab,
        "n_waiting": n_waiting,
        "needs_approval": services.needs_approval(community),
        "may_manage": request.staff.role in MANAGE,
        "refuse_form": RefuseForm(auto_id=False),
    }
    return render(request, "vehicles/vehicles.html", context)


@require_GET
@page(*DESK)
def vehicle(request: StaffRequest, vehicle_id: str) -> HttpResponse:
    return _vehicle_page(request, _vehicle(request, vehicle_id))


@require_POST
@page(*MANAGE)
def change_vehicle(request: StaffRequest, vehicle_id: str) -> HttpResponse:
    car = _vehicle(request, vehicle_id)
    form = VehicleForm(car, request.POST)

    def save() -> str:
        services.change_vehicle(car, Actor.of(request), **form.cleaned_data)
        return reverse("vehicles:vehicle", args=[car.pk])

    return submit(request, form, save, _("Saved.")) or _vehicle_page(request, car, form)


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def add_vehicle(request: StaffRequest, holder_id: str) -> HttpResponse:
    owner = _holder(request, holder_id)
    form = PlateForm(bound(request))

    def save() -> str:
        car = services.add_vehicle(owner, by=Actor.of(request), **form.cleaned_data)
        return reverse("vehicles:vehicle", args=[car.pk])

    done = _("The barrier opens for this car of %(name)s in a few seconds.") % {"name": owner.name}
    home = services.home_of(owner)
    return submit(request, form, save, done) or render(
        request,
        "vehicles/add.html",
        {
            "form": form,
            "holder": owner,
            "home": home,
            "quota": services.quota(home) if home is not None else None,
        },
        status=422 if form.errors else 200,
    )


@require_POST
@page(*MANAGE)
def decide(request: StaffRequest, vehicle_id: str, action: str) -> HttpResponse:
    """Approve, turn down or take out one car."""
    car = _vehicle(request, vehicle_id)
    by = Actor.of(request)
    reason = request.POST.get("reason", "")[:200]
    match action:
        case "approve":
            done = _("%(plate)s is let in from now on.") % {"plate": car.plate}
            attempt(request, lambda: services.approve_vehicle(car, by), done)
        case "refuse":
            done = _("%(plate)s is turned down; its owner reads why.") % {"plate": car.plate}
            attempt(request, lambda: services.refuse_vehicle(car, reason, by), done)
        case _:
            done = _("%(plate)s is taken out: the barrier does not know it any more.") % {
                "plate": car.plate
            }
            attempt(request, lambda: services.end_vehicle(car, by), done)
    if request.POST.get("back") == "queue":
        return redirect(reverse("vehicles:vehicles") + "?tab=waiting")
    return redirect("vehicles:vehicle", car.pk)


@require_POST
@page(*MANAGE)
def give_to(request: StaffRequest, vehicle_id: str, holder_id: str) -> HttpResponse:
    """Make one of its drivers the owner of a car."""
    car = _vehicle(request, vehicle_id)
    owner = _holder(request, holder_id)
    done = _("The car is %(name)s's from now on.") % {"name": owner.name}
    attempt(request, lambda: services.change_owner(car, owner, Actor.of(request)), done)
    return redirect("vehicles:vehicle", car.pk)


@require_POST
@page(*MANAGE)
def rule(request: StaffRequest) -> HttpResponse:
    """Say whether residents' cars wait for the office."""
    waits = request.POST.get("needs_approval") == "yes"
    done = (
        _("Cars that residents add wait for the office from now on.")
        if waits
        else _("Cars that residents add are let in at once from now on.")
    )
    community = request.staff.community
    attempt(request, lambda: services.set_needs_approval(community, waits, Actor.of(request)), done)
    return redirect("vehicles:vehicles")


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def add_ebike(request: StaffRequest, holder_id: str) -> HttpResponse:
    owner = _holder(request, holder_id)
    form = EBikeForm(bound(request))

    def save() -> str:
        services.add_ebike(owner, Actor.of(request), **form.cleaned_data)
        return reverse("people:holder", args=[owner.pk])

    return submit(request, form, save, _("The e-bike is registered.")) or render(
        request,
        "vehicles/ebike.html",
        {"form": form, "holder": owner},
        status=422 if form.errors else 200,
    )


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def ebike(request: StaffRequest, ebike_id: str) -> HttpResponse:
    bike = _ebike(request, ebike_id)
    form = EBikeForm(bound(request), initial=EBikeForm.first(bike))
    viewed(Actor.of(request), bike.community, "holder", [bike.owner_id], purpose="e-bike")

    def save() -> str:
        services.change_ebike(bike, Actor.of(request), **form.cleaned_data)
        return reverse("people:holder", args=[bike.owner_id])

    return submit(request, form, save, _("Saved.")) or render(
        request,
        "vehicles/ebike.html",
        {"form": form, "holder": bike.owner, "ebike": bike},
        status=422 if form.errors else 200,
    )


@require_POST
@page(*MANAGE)
def end_ebike(request: StaffRequest, ebike_id: str) -> HttpResponse:
    bike = _ebike(request, ebike_id)
    attempt(
        request, lambda: services.end_ebike(bike, Actor.of(request)), _("The e-bike is taken out.")
    )
    return redirect("people:holder", bike.owner_id)


def _vehicle_page(
    request: StaffRequest, car: Vehicle, form: VehicleForm | None = None
) -> HttpResponse:
    viewed(Actor.of(request), car.community, "holder", [car.owner_id], purpose="vehicle")
    context = {
        "vehicle": car,
        "drivers": car.drivers.order_by("name"),
        "quota": services.quota(car.unit) if car.unit is not None else None,
        "form": form or VehicleForm(car),
        "refuse_form": RefuseForm(),
        "may_manage": request.staff.role in MANAGE,
        "is_standing": car.state in (VehicleState.APPROVED, VehicleState.REQUESTED),
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "vehicles/vehicle.html", context, status=status)


def _named(query: str, *fields: str) -> Q:
    key = "".join(query.upper().split()).replace("·", "").replace("-", "")
    found = Q(owner__name__icontains=query)
    for name in fields:
        found |= Q(**{f"{name}__contains": key})
    return found


def _vehicles(request: StaffRequest) -> QuerySet[Vehicle]:
    mine = holders_in_scope(request.staff).values("pk")
    found = Vehicle.objects.filter(community=request.staff.community, owner__in=mine)
    return found.select_related("owner", "unit", "credential")


def _ebikes(request: StaffRequest) -> QuerySet[EBike]:
    mine = holders_in_scope(request.staff).values("pk")
    found = EBike.objects.filter(community=request.staff.community, owner__in=mine)
    return found.select_related("owner__community", "community")


def _vehicle(request: StaffRequest, vehicle_id: str) -> Vehicle:
    return get_object_or_404(
        _vehicles(request).select_related("community", "unit__building"), pk=vehicle_id
    )


def _ebike(request: StaffRequest, ebike_id: str) -> EBike:
    return get_object_or_404(_ebikes(request), pk=ebike_id)


def _holder(request: StaffRequest, holder_id: str) -> Holder:
    people = holders_in_scope(request.staff).exclude(status=HolderStatus.LEFT)
    return get_object_or_404(people.select_related("community"), pk=holder_id)
