"""Edges and their devices: heard or not, by which rules they decide, which models see."""

from __future__ import annotations

from django import forms
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import blame, bound, page
from anlin.hub.devices import services
from anlin.hub.devices.models import Device, Node
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest

BUILD = (Role.MANAGER, Role.INSTALLER)


class NodeForm(forms.Form):
    """A new edge, before its box is plugged in."""

    name = forms.CharField(
        label=_("Name of the edge"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
        help_text=_("Where it stands, such as “East gate”."),
        error_messages={"required": _("Type a name, such as where it stands.")},
    )


@require_GET
@page(Role.MANAGER, Role.INSTALLER, Role.COMMITTEE, Role.AUDITOR)
def nodes(request: StaffRequest) -> HttpResponse:
    now = timezone.now()
    community = request.staff.community
    found = community.nodes.order_by("name").prefetch_related(
        Prefetch("devices", Device.objects.select_related("state").order_by("name"))
    )
    rows = [
        {
            "node": node,
            "is_online": node.is_online(now),
            "is_current": node.rules_as_of >= community.policy_revision,
            "devices": [
                {"row": device, "state": getattr(device, "state", None)}
                for device in node.devices.all()
            ],
        }
        for node in found
    ]
    context = {
        "rows": rows,
        "revision": community.policy_revision,
        "may_build": request.staff.role in BUILD,
    }
    return render(request, "devices/nodes.html", context)


@require_http_methods(["GET", "POST"])
@page(*BUILD)
def create(request: StaffRequest) -> HttpResponse:
    form = NodeForm(bound(request))
    if form.is_valid():
        try:
            node, code = services.create_node(
                request.staff.community, form.cleaned_data["name"].strip(), Actor.of(request)
            )
        except RuleError as error:
            blame(form, error)
        else:
            return _code_page(request, node, code)
    status = 422 if form.is_bound else 200
    return render(request, "devices/create.html", {"form": form}, status=status)


@require_POST
@page(*BUILD)
def renew(request: StaffRequest, node_id: str) -> HttpResponse:
    node = get_object_or_404(Node, pk=node_id, community=request.staff.community)
    try:
        code = services.new_code(node, Actor.of(request))
    except RuleError as error:
        form = NodeForm({"name": node.name})
        form.is_valid()
        blame(form, error)
        return render(request, "devices/create.html", {"form": form}, status=422)
    return _code_page(request, node, code)


def _code_page(request: StaffRequest, node: Node, code: str) -> HttpResponse:
    """Show a code once. It is in this answer only: not in an address, not in a message."""
    node.refresh_from_db()
    answer = render(request, "devices/code.html", {"node": node, "code": code})
    answer.headers["Cache-Control"] = "no-store"
    return answer
