"""Devices: chosen by their kind, wired by names, checked by the driver that will speak to them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from anlin.drivers.base import drivers
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import attempt, blame, bound, page
from anlin.hub.devices import services
from anlin.hub.devices.models import Device
from anlin.hub.errors import RuleError
from anlin.hub.permissions import StaffRequest
from anlin.hub.setup.device_forms import DeviceForm, JsonForm, restored, row_sets, rows_settings
from anlin.hub.setup.drivers import DRIVERS
from anlin.hub.setup.next_steps import next_steps
from anlin.hub.setup.pages import SETUP


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def new_device(request: StaffRequest) -> HttpResponse:
    """Ask first what kind of device it is, then for its settings."""
    community = request.staff.community
    driver = request.GET.get("driver", "")[:40]
    if not community.nodes.exists():
        messages.info(request, _("Add the edge first that will drive it."))
        return redirect("devices:create")
    if driver not in drivers():
        kinds = [{"name": name, "form": DRIVERS.get(name)} for name in drivers()]
        return render(request, "setup/choose_device.html", {"kinds": kinds})
    return _edit(request, None, driver)


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def device(request: StaffRequest, device_id: str) -> HttpResponse:
    one = _device(request, device_id)
    return _edit(request, one, one.driver)


@require_POST
@page(*SETUP)
def password(request: StaffRequest, device_id: str) -> HttpResponse:
    """Give a new password for the broker; it is in this answer only."""
    one = _device(request, device_id)
    if not one.password_digest:
        messages.error(request, _("This device does not use MQTT; it has no password here."))
        return redirect("setup:device", one.pk)
    return _password_page(request, one, services.new_device_password(one, Actor.of(request)))


@require_POST
@page(*SETUP)
def remove(request: StaffRequest, device_id: str) -> HttpResponse:
    one = _device(request, device_id)
    attempt(
        request,
        lambda: services.remove_device(one, Actor.of(request)),
        _("Removed. Every edge follows in seconds."),
    )
    return redirect("devices:nodes")


def _edit(request: StaffRequest, one: Device | None, driver: str) -> HttpResponse:
    community, by = request.staff.community, Actor.of(request)
    old: dict[str, Any] = dict(one.settings) if one else {}
    as_json = driver not in DRIVERS or bool(request.GET.get("json"))
    initial = {
        "name": one.name if one else "",
        "node": one.node if one else community.nodes.order_by("name").first(),
    }
    form: DeviceForm | JsonForm
    if as_json:
        form = JsonForm(community, bound(request), settings=old, initial=initial)
    else:
        form = DeviceForm(community, driver, bound(request), settings=old, initial=initial)
    sets = [] if as_json else row_sets(community, driver, bound(request), old)
    if form.is_bound and all([form.is_valid(), *(made.is_valid() for _rows, made in sets)]):
        given = form.cleaned_data
        settings = restored({**form.settings(), **rows_settings(sets, old)}, old)
        if not as_json:
            asked = {ask.setting for ask in DRIVERS[driver].fields}
            asked |= {rows.setting for rows in DRIVERS[driver].rows}
            settings = {**{k: v for k, v in old.items() if k not in asked}, **settings}
        try:
            services.refuse_device(given["node"], driver, settings, one)
            if one is None:
                uses_mqtt = driver in DRIVERS and DRIVERS[driver].uses_mqtt
                made, secret = services.add_device(
                    given["node"], given["name"], driver, settings, by, uses_mqtt=uses_mqtt
                )
                if secret:
                    return _password_page(request, made, secret)
            else:
                made = one
                services.change_device(
                    one, by, name=given["name"], settings=settings, node=given["node"]
                )
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, _("Saved. Its edge follows in a few seconds."))
            return redirect("setup:device", made.pk)
    context = {
        "form": form,
        "sets": sets,
        "device": one,
        "driver": driver,
        "kind": DRIVERS.get(driver),
        "as_json": as_json,
        "may_form": driver in DRIVERS,
        "steps": next_steps(one) if one else [],
        "back": reverse("devices:nodes"),
    }
    status = 422 if form.is_bound else 200
    return render(request, "setup/device.html", context, status=status)


def _password_page(request: StaffRequest, one: Device, secret: str) -> HttpResponse:
    """Show a password once. It is in this answer only: not in an address, not in a message."""
    answer = render(
        request,
        "setup/password.html",
        {"device": one, "secret": secret, "steps": next_steps(one)[1:]},
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _device(request: StaffRequest, device_id: str) -> Device:
    return get_object_or_404(
        Device.objects.select_related("node__community"),
        pk=device_id,
        node__community=request.staff.community,
    )
