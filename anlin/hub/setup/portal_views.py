"""What opens, and its access points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.entities import Direction
from anlin.hub.access import services
from anlin.hub.access.models import AccessPoint, Portal, Schedule
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import bound, page
from anlin.hub.devices.models import Device
from anlin.hub.permissions import StaffRequest
from anlin.hub.setup.forms import (
    PointForm,
    PortalForm,
    kind_initial,
    new_point_initial,
    point_initial,
    portal_initial,
)
from anlin.hub.setup.kinds import KINDS, kind_of, like
from anlin.hub.setup.pages import SETUP, edit, removed


@require_GET
@page(*SETUP)
def portals(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    found = (
        community.portals.select_related("node", "building", "schedule")
        .prefetch_related("points__area_from", "points__area_to")
        .order_by("name", "id")
    )
    return render(request, "setup/portals.html", {"portals": found, "kinds": KINDS})


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def portal(request: StaffRequest, portal_id: str = "") -> HttpResponse:
    community, by = request.staff.community, Actor.of(request)
    one = _portal(request, portal_id) if portal_id else None
    if one is None and not community.nodes.exists():
        messages.info(request, _("Add the edge first that will drive it."))
        return redirect("devices:create")
    kind = like(one.kind, one.interlock) if one else kind_of(request.GET.get("template", "")[:12])
    initial = portal_initial(one) if one else kind_initial(kind, community)
    form = PortalForm(community, bound(request), initial=initial)

    def save() -> str:
        settings: Any = form.settings
        if one is None:
            saved = services.add_portal(community, settings.pop("name"), by, **settings)
        else:
            saved = one
            services.change_portal(one, by, **settings)
        return reverse("setup:portal", args=[saved.pk])

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add a door, gate or barrier"),
        back=(reverse("setup:portals"), _("What opens")),
        done=_("Saved. Its edge follows in a few seconds."),
        remove=reverse("setup:remove_portal", args=[one.pk]) if one else "",
        hints=kind.hints,
        template="setup/portal.html",
        portal=one,
        kinds=[] if one else KINDS,
        kind=kind,
        points=one.points.order_by("direction", "name") if one else [],
        devices=_serving(one) if one else [],
    )


def _serving(one: Portal) -> list[Device]:
    """List the devices whose settings name a portal or one of its access points."""
    ids = {one.pk, *one.points.values_list("pk", flat=True)}
    found = Device.objects.filter(node=one.node_id) if one.node_id else Device.objects.none()
    return [device for device in found.order_by("name") if ids & _texts(device.settings)]


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, Mapping):
        parts = [*value.keys(), *value.values()]
    else:
        parts = list(value) if isinstance(value, list) else []
    return {text for part in parts for text in _texts(part)}


@require_POST
@page(*SETUP)
def remove_portal(request: StaffRequest, portal_id: str) -> HttpResponse:
    one = _portal(request, portal_id)
    return removed(request, lambda by: services.remove_portal(one, by), "setup:portals")


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def new_point(request: StaffRequest, portal_id: str) -> HttpResponse:
    owner = _portal(request, portal_id)
    is_exit = request.GET.get("direction") == Direction.EXIT
    direction = Direction.EXIT if is_exit else Direction.ENTRY
    initial = new_point_initial(owner, like(owner.kind, owner.interlock), direction)
    form = PointForm(owner, bound(request), initial=initial)

    def save() -> str:
        given: Any = form.settings
        name, way, methods = given.pop("name"), given.pop("direction"), given.pop("methods")
        services.add_point(owner, name, way, methods, Actor.of(request), **given)
        return reverse("setup:portal", args=[owner.pk])

    return _point_page(request, form, owner, save, _("Add an access point"), "")


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def point(request: StaffRequest, point_id: str) -> HttpResponse:
    one = _point(request, point_id)
    owner = one.portal
    form = PointForm(owner, bound(request), initial=point_initial(one))

    def save() -> str:
        given: Any = form.settings
        # The form shows one raised level; a plan may have set more, and they stay.
        later = {raised["schedule"]: raised["level"] for raised in one.raised[1:]}
        rest = Schedule.objects.filter(pk__in=later, community=owner.community_id)
        given["raised"] += [(schedule, later[schedule.pk]) for schedule in rest]
        services.change_point(one, Actor.of(request), **given)
        return reverse("setup:portal", args=[owner.pk])

    remove = reverse("setup:remove_point", args=[one.pk])
    return _point_page(request, form, owner, save, one.name, remove)


def _point_page(
    request: StaffRequest,
    form: PointForm,
    owner: Portal,
    save: Callable[[], str],
    title: str,
    remove: str,
) -> HttpResponse:
    return edit(
        request,
        form,
        save,
        title=title,
        back=(reverse("setup:portal", args=[owner.pk]), owner.name),
        done=_("Saved. Its edge follows in a few seconds."),
        remove=remove,
        hints=[_("Whom a way in admits is said by rules; without one it refuses everybody.")],
    )


@require_POST
@page(*SETUP)
def remove_point(request: StaffRequest, point_id: str) -> HttpResponse:
    one = _point(request, point_id)
    return removed(
        request, lambda by: services.remove_point(one, by), "setup:portal", one.portal_id
    )


def _portal(request: StaffRequest, portal_id: str) -> Portal:
    return get_object_or_404(
        Portal.objects.select_related("community", "node"),
        pk=portal_id,
        community=request.staff.community,
    )


def _point(request: StaffRequest, point_id: str) -> AccessPoint:
    return get_object_or_404(
        AccessPoint.objects.select_related("portal__community"),
        pk=point_id,
        portal__community=request.staff.community,
    )
