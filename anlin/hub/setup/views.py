"""Set-up: from nothing to a working door, and to who may pass where, without reading code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.entities import AntiPassback, Direction, HolderKind, Outsiders
from anlin.hub.access import services
from anlin.hub.access.models import (
    AccessPoint,
    AccessRule,
    Area,
    Credential,
    HolidayTable,
    Parking,
    Portal,
    Schedule,
)
from anlin.hub.access.setup import group_names
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import attempt, bound, page, paged, query_of
from anlin.hub.devices.models import Device
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Holder, Unit
from anlin.hub.permissions import StaffRequest
from anlin.hub.setup.forms import (
    AreaForm,
    CarsForm,
    HolidayForm,
    HomesForm,
    Periods,
    PointForm,
    PortalForm,
    RuleForm,
    ScheduleForm,
    kind_initial,
    new_point_initial,
    periods_initial,
    point_initial,
    portal_initial,
    rule_initial,
)
from anlin.hub.setup.kinds import KINDS, kind_of, like
from anlin.hub.setup.pages import READ, SETUP, edit
from anlin.hub.setup.week import spans_text, special_text, week

Row = TypeVar("Row", Area, Schedule, HolidayTable, AccessRule)

HOMES_PAGE = 60


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
    one = _own(request, Area, area_id) if area_id else None
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
    one = _own(request, Area, area_id)
    return _removed(request, lambda by: services.remove_area(one, by), "setup:areas")


@require_GET
@page(*SETUP)
def times(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    rows = [
        {
            "schedule": one,
            "week": week(one.weekly, one.holiday_periods if one.holidays else None),
            "special": special_text(one.special).splitlines()[:6],
        }
        for one in community.schedules.select_related("holidays").order_by("name")
    ]
    tables = community.holiday_tables.prefetch_related("schedules").order_by("name")
    return render(request, "setup/times.html", {"rows": rows, "tables": tables})


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def schedule(request: StaffRequest, schedule_id: str = "") -> HttpResponse:
    """Edit a schedule; asked as a part with `preview`, only draw the week that was typed."""
    community, by = request.staff.community, Actor.of(request)
    one = _own(request, Schedule, schedule_id) if schedule_id else None
    initial: dict[str, Any] = {}
    if one is not None:
        initial = {
            "name": one.name,
            "special": special_text(one.special),
            "holidays": one.holidays,
            "holiday_periods": spans_text(one.holiday_periods),
        }
    form = ScheduleForm(community, bound(request), initial=initial)
    periods: Any = Periods(bound(request), initial=periods_initial(one.weekly) if one else [])
    if request.method == "POST" and request.GET.get("preview"):
        return render(request, "setup/_preview.html", {"week": _typed_week(form, periods)})

    def save() -> str:
        given = form.cleaned_data
        what = {
            "weekly": periods.weekly,
            "special": given["special"],
            "holidays": given["holidays"],
            "holiday_periods": given["holiday_periods"],
        }
        if one is None:
            services.add_schedule(community, given["name"], by, **what)
        else:
            services.change_schedule(one, by, name=given["name"], **what)
        return reverse("setup:times")

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add a schedule"),
        back=(reverse("setup:times"), _("Times")),
        done=_("Saved. Every edge follows in a few seconds."),
        remove=reverse("setup:remove_schedule", args=[one.pk]) if one else "",
        hints=[
            _("A period that ends before it begins runs past midnight."),
            _(
                "Outside these times a rule that follows the schedule refuses; the way out stays "
                "free."
            ),
        ],
        template="setup/schedule.html",
        periods=periods,
        week=_typed_week(form, periods)
        if form.is_bound
        else week(one.weekly if one else [], one.holiday_periods if one and one.holidays else None),
    )


def _typed_week(form: ScheduleForm, periods: Any) -> Any:
    """Draw what was typed so far; a row that is not right yet is left out."""
    form.is_valid()
    periods.is_valid()
    given = form.cleaned_data
    holidays = given.get("holiday_periods", []) if given.get("holidays") else None
    return week(periods.weekly, holidays)


@require_POST
@page(*SETUP)
def remove_schedule(request: StaffRequest, schedule_id: str) -> HttpResponse:
    one = _own(request, Schedule, schedule_id)
    return _removed(request, lambda by: services.remove_schedule(one, by), "setup:times")


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def holidays(request: StaffRequest, table_id: str = "") -> HttpResponse:
    community, by = request.staff.community, Actor.of(request)
    one = _own(request, HolidayTable, table_id) if table_id else None
    initial = {"name": one.name, "dates": "\n".join(one.dates)} if one else {}
    form = HolidayForm(bound(request), initial=initial)

    def save() -> str:
        given = form.cleaned_data
        if one is None:
            services.add_holidays(community, given["name"], given["dates"], by)
        else:
            services.change_holidays(one, by, name=given["name"], dates=given["dates"])
        return reverse("setup:times")

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add a holiday table"),
        back=(reverse("setup:times"), _("Times")),
        done=_("Saved. Every schedule that follows it changes in a few seconds."),
        remove=reverse("setup:remove_holidays", args=[one.pk]) if one else "",
        hints=[_("The State Council announces the days of the next year in autumn.")],
    )


@require_POST
@page(*SETUP)
def remove_holidays(request: StaffRequest, table_id: str) -> HttpResponse:
    one = _own(request, HolidayTable, table_id)
    return _removed(request, lambda by: services.remove_holidays(one, by), "setup:times")


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
    return _removed(request, lambda by: services.remove_portal(one, by), "setup:portals")


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
    return _removed(
        request, lambda by: services.remove_point(one, by), "setup:portal", one.portal_id
    )


@require_GET
@page(*SETUP)
def rules(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    names = group_names(community)
    found = (
        community.rules.select_related("schedule").prefetch_related("points").order_by("name", "id")
    )
    rows = [{"rule": one, "sentence": rule_sentence(one, names)} for one in found]
    unruled = AccessPoint.objects.filter(
        portal__community=community, direction=Direction.ENTRY.value, rules=None
    ).order_by("name")
    return render(request, "setup/rules.html", {"rows": rows, "unruled": unruled})


def rule_sentence(one: AccessRule, names: Mapping[str, str]) -> str:
    """Say a rule as one would say it aloud."""
    comma = _(", ")
    who = comma.join(names.get(group, group) for group in one.groups) or _("nobody")
    where = comma.join(sorted(point.name for point in one.points.all())) or _("nowhere")
    if one.schedule is None:
        text = _("%(who)s may pass %(where)s at all times.")
        return text % {"who": who, "where": where}
    text = _("%(who)s may pass %(where)s during “%(when)s”, and are refused at other times.")
    return text % {"who": who, "where": where, "when": one.schedule.name}


@require_http_methods(["GET", "POST"])
@page(*SETUP)
def rule(request: StaffRequest, rule_id: str = "") -> HttpResponse:
    community, by = request.staff.community, Actor.of(request)
    one = _own(request, AccessRule, rule_id) if rule_id else None
    form = RuleForm(community, bound(request), initial=rule_initial(one) if one else {})

    def save() -> str:
        given = form.cleaned_data
        if one is None:
            services.add_rule(
                community,
                given["name"],
                given["groups"],
                given["points"],
                by,
                schedule=given["schedule"],
            )
        else:
            services.change_rule(
                one,
                by,
                name=given["name"],
                groups=given["groups"],
                points=given["points"],
                schedule=given["schedule"],
            )
        return reverse("setup:rules")

    return edit(
        request,
        form,
        save,
        title=one.name if one else _("Add a rule"),
        back=(reverse("setup:rules"), _("Rules")),
        done=_("Saved. Every edge follows in a few seconds."),
        remove=reverse("setup:remove_rule", args=[one.pk]) if one else "",
        hints=[
            _("Rules only ever let in; whom no rule names is refused."),
            rule_sentence(one, group_names(community)) if one else "",
        ],
    )


@require_POST
@page(*SETUP)
def remove_rule(request: StaffRequest, rule_id: str) -> HttpResponse:
    one = _own(request, AccessRule, rule_id)
    return _removed(request, lambda by: services.remove_rule(one, by), "setup:rules")


@require_GET
@page(*READ)
def matrix(request: StaffRequest) -> HttpResponse:
    """Show who may pass where: each way in with each group."""
    community = request.staff.community
    names = group_names(community)
    points = (
        AccessPoint.objects.filter(portal__community=community, direction=Direction.ENTRY.value)
        .select_related("portal")
        .prefetch_related("rules__schedule")
        .order_by("portal__name", "name")
    )
    rows = [
        {"point": one, "cells": [_cell(one, group, name) for group, name in names.items()]}
        for one in points
    ]
    return render(request, "setup/matrix.html", {"rows": rows, "groups": list(names.values())})


def _cell(one: AccessPoint, group: str, name: str) -> dict[str, Any]:
    admitting = [rule for rule in one.rules.all() if group in rule.groups]
    return {
        "group": name,
        "is_always": any(rule.schedule is None for rule in admitting),
        "schedules": sorted({rule.schedule.name for rule in admitting if rule.schedule}),
        "is_off": not one.is_enabled,
    }


def _removed(
    request: StaffRequest, do: Callable[[Actor], None], to: str, *arguments: str
) -> HttpResponse:
    attempt(request, lambda: do(Actor.of(request)), _("Removed. Every edge follows in seconds."))
    return redirect(to, *arguments)


def _own(request: StaffRequest, kind: type[Row], id_: str) -> Row:
    """Find something of this community; another's is not there."""
    return get_object_or_404(kind, pk=id_, community=request.staff.community)


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
