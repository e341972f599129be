"""What is there, what comes next, and what would be refused."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from anlin.core.entities import Direction, HolderKind
from anlin.hub.access.models import AccessPoint, AccessRule, Credential
from anlin.hub.console.pages import page
from anlin.hub.devices.models import Device
from anlin.hub.people.models import Community, Holder, Unit
from anlin.hub.permissions import StaffRequest
from anlin.hub.setup.pages import SETUP


@require_GET
@page(*SETUP)
def home(request: StaffRequest) -> HttpResponse:
    """Say what is there and what comes next."""
    community = request.staff.community
    enrolled = community.nodes.exclude(enrolled_at=None)
    points = AccessPoint.objects.filter(portal__community=community)
    ways_in = points.filter(direction=Direction.ENTRY.value)
    ruled = AccessRule.objects.filter(community=community, points__in=ways_in)
    steps = [
        _step(_("Add an edge and type its code at its box"), "devices:create", enrolled.count()),
        _step(
            _("Name the buildings and homes"),
            "setup:homes",
            Unit.objects.filter(building__community=community).count(),
        ),
        _step(_("Set up what opens"), "setup:new_portal", community.portals.count()),
        _step(_("Give it a way in and a way out"), "setup:portals", ways_in.count()),
        _step(
            _("Wire its controller, reader or camera"),
            "setup:new_device",
            Device.objects.filter(node__community=community).count(),
        ),
        _step(_("Say who may pass where"), "setup:new_rule", ruled.distinct().count()),
        _step(
            _("Register the first person"),
            "people:register",
            Holder.objects.filter(community=community)
            .exclude(kind=HolderKind.VISITOR.value)
            .count(),
        ),
        _step(
            _("Give a card, and walk in"),
            "people:holders",
            Credential.objects.filter(community=community).count(),
        ),
    ]
    ready = all(step["count"] for step in steps)
    following = next((step for step in steps if not step["count"]), None)
    context = {
        "steps": steps,
        "following": following,
        "is_ready": ready,
        "counts": {
            "areas": community.areas.count(),
            "times": community.schedules.count(),
            "portals": community.portals.count(),
            "rules": community.rules.count(),
        },
        "concerns": _concerns(community),
    }
    return render(request, "setup/home.html", context)


def _step(word: str, url: str, count: int) -> dict[str, Any]:
    return {"word": word, "url": reverse(url), "count": count}


def _concerns(community: Community) -> list[dict[str, str]]:
    """List what would be refused, and why, before somebody stands before a closed door."""
    found = []
    for portal in community.portals.prefetch_related("points__rules").order_by("name"):
        to = reverse("setup:portal", args=[portal.pk])
        points = list(portal.points.all())
        ways_in = [point for point in points if point.direction == Direction.ENTRY]
        if not points:
            found.append(
                {"where": portal.name, "to": to, "why": _("It has no access point: nothing opens.")}
            )
        for point in ways_in:
            if point.is_enabled and not point.rules.all():
                why = _("No rule leads here: everybody is refused.")
                found.append({"where": point.name, "to": reverse("setup:new_rule"), "why": why})
            if not point.is_enabled:
                to_point = reverse("setup:point", args=[point.pk])
                why = _("It is switched off: everybody is refused.")
                found.append({"where": point.name, "to": to_point, "why": why})
        if portal.node_id is None:
            found.append({"where": portal.name, "to": to, "why": _("No edge drives it.")})
        if portal.needs_first_person and portal.schedule_id is None:
            why = _("It waits for a first person, but no schedule ever unlocks it.")
            found.append({"where": portal.name, "to": to, "why": why})
    return found
