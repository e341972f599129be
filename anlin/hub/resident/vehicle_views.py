"""A resident's own cars and e-bikes."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.console.pages import blame, bound
from anlin.hub.errors import RuleError
from anlin.hub.resident.forms import BikeForm, CarForm
from anlin.hub.resident.pages import HomeRequest, actor, attempt, page
from anlin.hub.vehicles import services as vehicles
from anlin.hub.vehicles.models import VehicleState


@require_GET
@page
def listed(request: HomeRequest) -> HttpResponse:
    holder = request.holder
    found = vehicles.vehicles_of(holder).exclude(state=VehicleState.ENDED)
    context = {
        "cars": [{"row": car, "is_mine": car.owner_id == holder.pk} for car in found],
        "bikes": holder.ebikes.filter(ended_at=None).order_by("recorded_at"),
        "quotas": [(unit, vehicles.quota(unit)) for unit in request.home.units],
    }
    return render(request, "resident/vehicles.html", context)


@require_http_methods(["GET", "POST"])
@page
def add_car(request: HomeRequest) -> HttpResponse:
    form = CarForm(bound(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            car = vehicles.ask_for_vehicle(
                request.holder,
                given["plate"],
                actor(request),
                brand=given["brand"],
                colour=given["colour"],
            )
        except RuleError as error:
            blame(form, error)
        else:
            text = _("The barrier knows it now.")
            if car.state == VehicleState.REQUESTED:
                text = _("The property office has your request.")
            messages.success(request, text)
            return redirect("resident:vehicles")
    return _form_page(request, form, _("Add a car"))


@require_http_methods(["GET", "POST"])
@page
def add_bike(request: HomeRequest) -> HttpResponse:
    form = BikeForm(bound(request))
    if form.is_valid():
        try:
            vehicles.add_ebike(request.holder, actor(request), **form.cleaned_data)
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, _("Your e-bike is registered."))
            return redirect("resident:vehicles")
    return _form_page(request, form, _("Add an e-bike"))


@require_POST
@page
def end_car(request: HomeRequest, vehicle_id: str) -> HttpResponse:
    car = vehicles.own_vehicle(request.holder, vehicle_id)
    attempt(
        request,
        lambda: vehicles.withdraw_vehicle(car, actor(request)),
        _("Taken out. The barrier does not know it any more."),
    )
    return redirect("resident:vehicles")


@require_POST
@page
def end_bike(request: HomeRequest, ebike_id: str) -> HttpResponse:
    bike = vehicles.own_ebike(request.holder, ebike_id)
    attempt(request, lambda: vehicles.end_ebike(bike, actor(request)), _("Taken out."))
    return redirect("resident:vehicles")


def _form_page(request: HomeRequest, form: CarForm | BikeForm, title: str) -> HttpResponse:
    status = 422 if form.is_bound else 200
    context = {"form": form, "title": title}
    return render(request, "resident/add_vehicle.html", context, status=status)
