"""Who is inside, which cars, doors after a fire, devices' tables, and screens at gates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.sync import CommandKind
from anlin.hub.access.models import AccessPoint, Area, Credential, Portal
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.board import portal_views
from anlin.hub.console.pages import DESK, attempt, blame, page
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Command, Device, Outcome
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event
from anlin.hub.events.secrecy import told_to
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest, public, staff_of
from anlin.hub.state import attention, inside
from anlin.hub.state import screen as screens_
from anlin.hub.state.forms import EVERYWHERE, RestoreForm
from anlin.hub.state.models import BikeAnswer, Presence

BUILD = (Role.MANAGER, Role.INSTALLER)
_RECENT = timedelta(minutes=10)
_SHOWN_ORDERS = 20
_YEAR_S = 365 * 24 * 3600
_LARGEST_POSITION = 2**63 - 1


@require_GET
@page(*DESK)
def roll_call(request: StaffRequest) -> HttpResponse:
    """List who is inside, to be printed and carried to the assembly point."""
    community = request.staff.community
    groups = inside.roll_call(community)
    ids = sorted({one.holder for group in groups for one in group.persons if one.holder})
    viewed(Actor.of(request), community, "holder", ids, purpose="roll call")
    context = {
        "groups": groups,
        "count": sum(len(group.persons) for group in groups),
        "visitors": sum(one.is_visitor for group in groups for one in group.persons),
        "cars": Presence.objects.filter(community=community, is_inside=True)
        .exclude(plate="")
        .count(),
        "now": timezone.now(),
    }
    return _closed(render(request, "state/inside.html", context))


@require_GET
@page(*DESK)
def cars(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    found = inside.cars(community, timezone.now())
    ids = sorted({car.holder for car in found if car.holder})
    viewed(Actor.of(request), community, "holder", ids, purpose="cars inside")
    context = {"cars": found, "over": sum(car.is_over for car in found)}
    return _closed(render(request, "state/cars.html", context))


@require_POST
@page(*DESK)
def left(request: StaffRequest) -> HttpResponse:
    """Say that somebody, or a car, has left without being seen."""
    community = request.staff.community
    subject = request.POST.get("subject", "")[:64]
    row = get_object_or_404(Presence, community=community, subject=subject)
    by, reason = Actor.of(request), "left without being seen"
    attempt(
        request,
        lambda: devices.forgive(community, row.subject, reason, by),
        _("Sent. It leaves the list when an edge has answered."),
    )
    return redirect("state:cars" if row.plate else "state:inside")


@require_http_methods(["GET", "POST"])
@page(*DESK)
def fire(request: StaffRequest) -> HttpResponse:
    """List what fire still holds open; give it back door by door, area by area, or at once."""
    community = request.staff.community
    form = RestoreForm(community, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            _restore(form, Actor.of(request))
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, _("Sent. Watch the doors."))
            return redirect("state:fire")
    now = timezone.now()
    views = [view for view in portal_views(community, now) if _is_fire(view.portal)]
    held = {view.portal.pk for view in views}
    areas = [
        {"area": area, "names": [view.portal.name for view in views if view.portal.pk in portals]}
        for area in Area.objects.filter(community=community).order_by("name")
        if (portals := held & _bounds(area))
    ]
    orders = Command.objects.filter(
        node__community=community,
        kind=CommandKind.FIRE_RESTORE.value,
        issued_at__gt=now - _RECENT,
    ).order_by("-issued_at", "-number")[:_SHOWN_ORDERS]
    context = {
        "form": form,
        "views": views,
        "areas": areas,
        "everywhere": EVERYWHERE,
        "is_burning": any(_is_burning(view.portal) for view in views),
        "orders": _answered(community.portals.all(), orders),
    }
    return render(request, "state/fire.html", context, status=422 if form.is_bound else 200)


def _restore(form: RestoreForm, by: Actor) -> None:
    reason = str(form.cleaned_data["reason"])
    if form.portal is not None:
        _refuse_while_burning([form.portal])
        devices.fire_restore(form.portal, reason, by)
        return
    portals = Portal.objects.filter(community=form.community)
    area = form.area.pk if form.area is not None else ""
    if form.area is not None:
        portals = portals.filter(pk__in=_bounds(form.area))
    _refuse_while_burning(portals)
    devices.fire_restore_many(form.community, reason, by, area=area)


def _refuse_while_burning(portals: Iterable[Portal]) -> None:
    """Refuse what the edge would refuse: no door is locked while its fire input is active."""
    for portal in portals:
        if _is_burning(portal):
            raise RuleError(
                _("The fire input of %(name)s is still active; reset the fire panel first.")
                % {"name": portal.name}
            )


def _is_fire(portal: Portal) -> bool:
    return hasattr(portal, "status") and portal.status.is_fire


def _is_burning(portal: Portal) -> bool:
    return hasattr(portal, "hold") and portal.hold.is_fire_input


def _bounds(area: Area) -> set[str]:
    portals = Portal.objects.filter(Q(points__area_from=area) | Q(points__area_to=area))
    return set(portals.values_list("pk", flat=True))


def _answered(portals: Iterable[Portal], orders: Iterable[Command]) -> list[dict[str, object]]:
    names = {portal.pk: portal.name for portal in portals}
    now = timezone.now()
    return [
        {
            "row": order,
            "place": names.get(order.target, _("several")),
            "now": order.outcome_now(now),
            "is_refused": order.outcome == Outcome.REFUSED,
        }
        for order in orders
    ]


@require_GET
@page(Role.MANAGER, Role.INSTALLER, Role.GUARD, Role.AUDITOR)
def tables(request: StaffRequest) -> HttpResponse:
    """Say of each device with a table of its own whether it is proven, and whom it refuses."""
    community = request.staff.community
    found = list(
        Device.objects.filter(node__community=community, table__isnull=False)
        .select_related("table", "node", "state")
        .order_by("name")
    )
    may_see_people = request.staff.role in DESK
    refused = {pair[0] for device in found for pair in device.table.refused}
    owners = {}
    if may_see_people:
        credentials = Credential.objects.filter(pk__in=refused, community=community)
        owners = {one.pk: one.holder for one in credentials.select_related("holder")}
        viewed(
            Actor.of(request),
            community,
            "holder",
            sorted({owner.pk for owner in owners.values()}),
            purpose="device tables",
        )
    rows = [
        {
            "device": device,
            "table": device.table,
            "refused": [
                {"credential": id_, "why": why, "holder": owners.get(id_)}
                for id_, why in device.table.refused
            ],
        }
        for device in found
    ]
    return render(request, "state/tables.html", {"rows": rows})


@require_POST
@page(*DESK)
def notice(request: StaffRequest, position: int) -> HttpResponse:
    """Take note of an event, so that it leaves the list of what needs a person."""
    community = request.staff.community
    event = (
        told_to(Event.objects.filter(community=community.pk), request.staff.role)
        .filter(pk=min(position, _LARGEST_POSITION), kind__in=attention.ONCE)
        .first()
    )
    if event is None:
        raise Http404
    by = Actor.of(request)
    if event.kind in attention.ASKING:
        said = request.POST.get("answer", "")
        if said not in BikeAnswer.values:
            messages.error(request, _("Say what became of it: choose one of the three answers."))
            return redirect("console:event", event.pk)
        row = attention.answer(event, community, BikeAnswer(said), by)
        if (row.by, row.answer) != (by.name, said):
            told = {"name": row.by, "answer": row.get_answer_display()}
            messages.warning(request, _("%(name)s answered before: %(answer)s.") % told)
            return redirect("console:event", event.pk)
    else:
        attention.notice(event, community, by)
    messages.success(request, _("Noted, with your name."))
    return redirect("console:event", event.pk)


# Screens


@require_GET
@page(*BUILD)
def screens(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    found = AccessPoint.objects.filter(portal__community=community).select_related(
        "portal", "screen_key"
    )
    return render(request, "state/screens.html", {"points": found.order_by("portal__name", "name")})


@require_POST
@page(*BUILD)
def screen_key(request: StaffRequest, point_id: str) -> HttpResponse:
    """Make or end the key of a point's screen. It is in this answer only."""
    point = get_object_or_404(
        AccessPoint.objects.select_related("portal__community"),
        pk=point_id,
        portal__community=request.staff.community,
    )
    by = Actor.of(request)
    if request.POST.get("do") == "end":
        screens_.end_key(point, by)
        messages.success(request, _("Ended. A screen with that key goes dark."))
        return redirect("state:screens")
    key = screens_.make_key(point, by)
    address = f"{settings.HUB_URL}{request.path.removesuffix('/key')}?key={key}"
    address = address.replace("/screens/", "/screen/", 1)
    return _closed(render(request, "state/screen_key.html", {"point": point, "address": address}))


@public("a screen shows its key; staff who are signed in need none")
@require_GET
def screen(request: HttpRequest, point_id: str) -> HttpResponse:
    """Show the last thing that happened at a gate, in words that fill the screen."""
    given = request.GET.get("key", "")[:80]
    if given:
        # Out of the address at once: it stays in no history and no log of the next request.
        answer = redirect(request.path)
        if screens_.point_of(given) is not None:
            answer.set_cookie(
                screens_.COOKIE,
                given,
                max_age=_YEAR_S,
                httponly=True,
                samesite="Lax",
                secure=settings.SESSION_COOKIE_SECURE,
            )
        return _closed(answer)
    point = _screen_point(request, point_id)
    if point is None:
        return render(request, "state/no_screen.html", status=403)
    now = timezone.now()
    language = get_language() or settings.LANGUAGE_CODE
    community = point.portal.community
    with timezone.override(community.zone):
        context = {
            "point": point,
            "community": community,
            "shown": screens_.last(point, now, language),
            "live_url": settings.LIVE_URL,
            "now": now,
        }
        return _closed(render(request, "state/screen.html", context))


def _screen_point(request: HttpRequest, point_id: str) -> AccessPoint | None:
    """Find the point if the screen's key is for it, or somebody of its community is signed in."""
    point = screens_.point_of(request.COOKIES.get(screens_.COOKIE, "")[:80])
    if point is not None and point.pk == point_id:
        return point
    staff = staff_of(request.user)
    if staff is None or staff.role not in (*DESK, Role.INSTALLER):
        return None
    return (
        AccessPoint.objects.select_related("portal__community")
        .filter(pk=point_id, portal__community=staff.community_id)
        .first()
    )


def _closed(answer: HttpResponse) -> HttpResponse:
    answer.headers["Cache-Control"] = "no-store"
    return answer
