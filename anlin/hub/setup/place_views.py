"""Buildings and their homes, areas and car parks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.entities import AntiPassback, Outsiders
from anlin.hub.access import services
from anlin.hub.access.models import AccessPoint, Area, Parking
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import attempt, bound, page, paged, query_of
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Unit
from anlin.hub.permissions import StaffRequest
from anlin.hub.setup.forms import AreaForm, CarsForm, HomesForm
from anlin.hub.setup.pages import SETUP, edit, own, removed

HOMES_PAGE = 60


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def homes(request: StaffRequest) -> HttpResponse:
    """Name buildings and homes, and how many cars each may have inside."""
    community = request.staff.community
    form = HomesForm(bound(request))
    query = query_of(request)
    found = Unit.objects.filter(building__community=community).select_related(
        "building", "household"
    )
    if query:
        found = found.filter(code__icontains=query)
    shown = paged(request, found.order_by("building__name", "code"), HOMES_PAGE)

    def save() -> str:
        by, given = Actor.of(request), form.cleaned_data
        with transaction.atomic():
            building = people.add_building(community, given["building"].strip(), by)
            for code in given["codes"]:
                unit = people.add_unit(building, code, by)
                if given["cars"] is not None:
                    services.set_household(unit, given["cars"], by)
        return reverse("setup:homes")

    return edit(
        request,
        form,
        save,
        title=_("Buildings and homes"),
        back=(reverse("setup:home"), _("Set-up")),
        done=_("Saved."),
        hints=[_("Whether a car counts is decided by the home of its holder.")],
        template="setup/homes.html",
        page=shown,
        q=query,
        buildings=community.buildings.order_by("name"),
    )


@require_POST
@page(*SETUP)
def cars(request: StaffRequest, unit_id: str) -> HttpResponse:
    unit = get_object_or_404(
        Unit.objects.select_related("building__community"),
        pk=unit_id,
        building__community=request.staff.community,
    )
    form = CarsForm(request.POST)
    if form.is_valid():
        attempt(
            request,
            lambda: services.set_household(unit, form.cleaned_data["cars"], Actor.of(request)),
            _("Saved."),
        )
    else:
        messages.error(request, _("Type how many cars, from 0 to 20; empty is any number."))
    return redirect("setup:homes")


@require_GET
@page(*SETUP)
def areas(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    found = community.areas.select_related("parking").order_by("name")
    points = AccessPoint.objects.filter(portal__community=community).exclude(
        area_from=None, area_to=None
    )
    rows = [
        {
            "area": one,
            "parking": getattr(one, "parking", None),
            "into": [point for point in points if point.area_to_id == one.pk],
            "out_of": [point for point in points if point.area_from_id == one.pk],
        }
        for one in found
    ]
    return render(request, "setup/areas.html", {"rows": rows})


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def area(request: StaffRequest, area_id: str = "") -> HttpResponse:
    community, by = request.staff.community, Actor.of(request)
    one = own(request, Area, area_id) if area_id else None
    form = AreaForm(bound(request), initial=_area_initial(one))

    def save() -> str:
        given = form.cleaned_data
        settings: Any = {
            "anti_passback": AntiPassback(given["anti_passback"]),
            "anti_passback_s": given["anti_passback_m"] * 60,
            "capacity": given["capacity"],
        }
        with transaction.atomic():
            if one is None:
                saved = services.add_area(community, given["name"], by, **settings)
            else:
                saved = one
                services.change_area(one, by, name=given["name"], **settings)
            _save_parking(saved, given, by)
        return reverse("setup:areas")

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add an area"),
        back=(reverse("setup:areas"), _("Areas")),
        done=_("Saved. Every edge follows in a few seconds."),
        remove=reverse("setup:remove_area", args=[one.pk]) if one else "",
        hints=[
            _(
                "An area is known by its doors: say at each access point what it leads out of "
                "and into."
            ),
            _("Refused is who enters twice without leaving, and who finds it full."),
        ],
    )


def _area_initial(one: Area | None) -> dict[str, Any]:
    if one is None:
        return {}
    parking = Parking.objects.filter(area=one).first()
    found: dict[str, Any] = {
        "name": one.name,
        "capacity": one.capacity,
        "anti_passback": one.anti_passback,
        "anti_passback_m": one.anti_passback_s / 60,
        "is_parking": parking is not None,
    }
    if parking is not None:
        found |= {
            "outsiders": parking.outsiders,
            "residents_enter": parking.residents_enter,
            "stay_h": None if parking.stay_s is None else parking.stay_s / 3600,
            "emergency_enters": parking.emergency_enters,
        }
    return found


def _save_parking(one: Area, given: Mapping[str, Any], by: Actor) -> None:
    if given["is_parking"]:
        stay_h = given["stay_h"]
        try:
            services.set_parking(
                one,
                by,
                outsiders=Outsiders(given["outsiders"]),
                residents_enter=given["residents_enter"],
                stay_s=None if stay_h is None else stay_h * 3600,
                emergency_enters=given["emergency_enters"],
            )
        except RuleError as error:
            field = "stay_h" if error.field == "stay_s" else error.field
            raise RuleError(str(error), field) from error
        return
    parking = Parking.objects.filter(area=one).first()
    if parking is not None:
        services.remove_parking(parking, by)


@require_POST
@page(*SETUP)
def remove_area(request: StaffRequest, area_id: str) -> HttpResponse:
    one = own(request, Area, area_id)
    return removed(request, lambda by: services.remove_area(one, by), "setup:areas")
