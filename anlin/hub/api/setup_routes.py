"""The set-up, PINs and watch entries: the same services and the same roles as on the pages."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Router, Schema, Status

from anlin.hub.access import services as access
from anlin.hub.access.models import (
    AccessPoint,
    AccessRule,
    Area,
    Credential,
    Portal,
    Schedule,
    WatchEntry,
)
from anlin.hub.access.watch import known_to, may_know
from anlin.hub.api import schemas as s
from anlin.hub.api import setup_schemas as t
from anlin.hub.api.auth import actor, roles
from anlin.hub.api.texts import is_text
from anlin.hub.audit.log import viewed
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Role
from anlin.hub.permissions import staff_in

SETUP = roles(Role.MANAGER, Role.INSTALLER)
LOOK = roles(Role.MANAGER, Role.INSTALLER, Role.COMMITTEE, Role.AUDITOR)
DESK = roles(Role.MANAGER)
LIAISON = roles(Role.LIAISON)
KNOW = roles(Role.LIAISON, Role.COMMITTEE, Role.AUDITOR)

_REFUSED = dict.fromkeys((400, 401, 403, 404, 422), s.ErrorOut)
_GONE = {204: None, **_REFUSED}
_NULLABLE = frozenset(
    {
        "building",
        "schedule",
        "relock_on_open_s",
        "area_from",
        "area_to",
        "valid_from",
        "valid_until",
    }
)
"""What null sets to nothing; of any other field null is a mistake."""

router = Router()
M = TypeVar("M", bound=Model)


@router.get("/setup/portals", auth=LOOK, response={200: list[t.PortalOut], **_REFUSED})
def list_portals(request: HttpRequest) -> list[Portal]:
    """List what opens."""
    return list(_community(request).portals.order_by("name", "pk"))


@router.post("/setup/portals", auth=SETUP, response={201: t.PortalOut, **_REFUSED})
def add_portal(request: HttpRequest, body: t.PortalIn) -> Status[Portal]:
    """Add a thing that opens, by the rules of the pages."""
    given = _portal_given(request, body)
    name = _needed(given, "name")
    node = _needed(given, "node")
    made = access.add_portal(_community(request), name, actor(request), node=node, **given)
    return Status(201, made)


@router.patch("/setup/portals/{portal_id}", auth=SETUP, response={200: t.PortalOut, **_REFUSED})
def change_portal(request: HttpRequest, portal_id: str, body: t.PortalIn) -> Portal:
    """Change a thing that opens; what is left out stays."""
    portal = _one(_community(request).portals.all(), portal_id)
    access.change_portal(portal, actor(request), **_portal_given(request, body))
    return portal


@router.delete("/setup/portals/{portal_id}", auth=SETUP, response=_GONE)
def remove_portal(request: HttpRequest, portal_id: str) -> Status[None]:
    """Remove a portal that has no access point any more."""
    access.remove_portal(_one(_community(request).portals.all(), portal_id), actor(request))
    return Status(204, None)


@router.get("/setup/points", auth=LOOK, response={200: list[t.PointSetUp], **_REFUSED})
def list_points(request: HttpRequest) -> list[AccessPoint]:
    """List access points as they are set up."""
    return list(_points(request).order_by("name", "pk"))


@router.post("/setup/points", auth=SETUP, response={201: t.PointSetUp, **_REFUSED})
def add_point(request: HttpRequest, body: t.PointIn) -> Status[AccessPoint]:
    """Add an access point to a portal."""
    given = _point_given(request, body)
    portal = _named(_community(request).portals.all(), given.pop("portal"), "portal")
    name, direction = _needed(given, "name"), _needed(given, "direction")
    methods = _needed(given, "methods")
    return Status(201, access.add_point(portal, name, direction, methods, actor(request), **given))


@router.patch("/setup/points/{point_id}", auth=SETUP, response={200: t.PointSetUp, **_REFUSED})
def change_point(request: HttpRequest, point_id: str, body: t.PointChange) -> AccessPoint:
    """Change an access point; what is left out stays."""
    point = _one(_points(request), point_id)
    access.change_point(point, actor(request), **_point_given(request, body))
    return point


@router.delete("/setup/points/{point_id}", auth=SETUP, response=_GONE)
def remove_point(request: HttpRequest, point_id: str) -> Status[None]:
    """Remove an access point; rules that named it stay for the others."""
    access.remove_point(_one(_points(request), point_id), actor(request))
    return Status(204, None)


@router.get("/setup/areas", auth=LOOK, response={200: list[t.AreaOut], **_REFUSED})
def list_areas(request: HttpRequest) -> list[Area]:
    """List spaces bounded by portals."""
    return list(_community(request).areas.order_by("name", "pk"))


@router.post("/setup/areas", auth=SETUP, response={201: t.AreaOut, **_REFUSED})
def add_area(request: HttpRequest, body: t.AreaIn) -> Status[Area]:
    """Add an area; its access points say that they lead into it."""
    given = _given(body)
    name = _needed(given, "name")
    return Status(201, access.add_area(_community(request), name, actor(request), **given))


@router.patch("/setup/areas/{area_id}", auth=SETUP, response={200: t.AreaOut, **_REFUSED})
def change_area(request: HttpRequest, area_id: str, body: t.AreaIn) -> Area:
    """Change an area; what is left out stays."""
    area = _one(_community(request).areas.all(), area_id)
    access.change_area(area, actor(request), **_given(body))
    return area


@router.delete("/setup/areas/{area_id}", auth=SETUP, response=_GONE)
def remove_area(request: HttpRequest, area_id: str) -> Status[None]:
    """Remove an area that no access point leads into or out of."""
    access.remove_area(_one(_community(request).areas.all(), area_id), actor(request))
    return Status(204, None)


@router.get("/setup/rules", auth=LOOK, response={200: list[t.RuleOut], **_REFUSED})
def list_rules(request: HttpRequest) -> list[AccessRule]:
    """List who may pass where and when."""
    return list(_community(request).rules.prefetch_related("points").order_by("name", "pk"))


@router.post("/setup/rules", auth=SETUP, response={201: t.RuleOut, **_REFUSED})
def add_rule(request: HttpRequest, body: t.RuleIn) -> Status[AccessRule]:
    """Let groups pass access points."""
    given = _rule_given(request, body)
    name, groups = _needed(given, "name"), _needed(given, "groups")
    points = _needed(given, "points")
    made = access.add_rule(_community(request), name, groups, points, actor(request), **given)
    return Status(201, made)


@router.patch("/setup/rules/{rule_id}", auth=SETUP, response={200: t.RuleOut, **_REFUSED})
def change_rule(request: HttpRequest, rule_id: str, body: t.RuleIn) -> AccessRule:
    """Change a rule; what is left out stays."""
    rule = _one(_community(request).rules.all(), rule_id)
    access.change_rule(rule, actor(request), **_rule_given(request, body))
    return rule


@router.delete("/setup/rules/{rule_id}", auth=SETUP, response=_GONE)
def remove_rule(request: HttpRequest, rule_id: str) -> Status[None]:
    """Remove a rule; whom it alone admitted is refused from now on."""
    access.remove_rule(_one(_community(request).rules.all(), rule_id), actor(request))
    return Status(204, None)


@router.get("/setup/schedules", auth=LOOK, response={200: list[t.ScheduleOut], **_REFUSED})
def list_schedules(request: HttpRequest) -> list[Schedule]:
    """List schedules."""
    return list(_community(request).schedules.order_by("name", "pk"))


@router.post("/setup/schedules", auth=SETUP, response={201: t.ScheduleOut, **_REFUSED})
def add_schedule(request: HttpRequest, body: t.ScheduleIn) -> Status[Schedule]:
    """Add a schedule in the community's own time zone."""
    given = _schedule_given(request, body)
    name = given.pop("name")
    return Status(201, access.add_schedule(_community(request), name, actor(request), **given))


@router.put("/setup/schedules/{schedule_id}", auth=SETUP, response={200: t.ScheduleOut, **_REFUSED})
def change_schedule(request: HttpRequest, schedule_id: str, body: t.ScheduleIn) -> Schedule:
    """Replace a schedule as a whole."""
    schedule = _one(_community(request).schedules.all(), schedule_id)
    access.change_schedule(schedule, actor(request), **_schedule_given(request, body))
    return schedule


@router.delete("/setup/schedules/{schedule_id}", auth=SETUP, response=_GONE)
def remove_schedule(request: HttpRequest, schedule_id: str) -> Status[None]:
    """Remove a schedule that nothing follows."""
    access.remove_schedule(_one(_community(request).schedules.all(), schedule_id), actor(request))
    return Status(204, None)


@router.post("/holders/{holder_id}/pin", auth=DESK, response={201: t.PinOut, **_REFUSED})
def set_pin(
    request: HttpRequest, response: HttpResponse, holder_id: str, body: t.PinIn
) -> Status[dict[str, str]]:
    """Give a person a PIN; one that was drawn is in this answer only."""
    holder = _one(_community(request).holders.all(), holder_id)
    digits = access.set_pin(holder, actor(request), body.digits)
    response["Cache-Control"] = "no-store"
    return Status(201, {"digits": "" if body.digits else digits})


@router.get("/watch", auth=KNOW, response={200: list[t.WatchOut], **_REFUSED})
def list_watch(request: HttpRequest) -> list[WatchEntry]:
    """List the watch entries that the caller may know of."""
    found = known_to(staff_in(request))
    viewed(actor(request), _community(request), "watch entry", [one.pk for one in found])
    return found


@router.post("/watch", auth=LIAISON, response={201: t.WatchOut, **_REFUSED})
def propose_watch(request: HttpRequest, body: t.WatchIn) -> Status[WatchEntry]:
    """Propose an entry; nothing is looked for until a second person approves it."""
    community = _community(request)
    given = body.dict()
    unknown = set(given["roles"]) - {role.value for role in Role}
    if unknown:
        raise RuleError(f"roles: {min(unknown)[:40]!r} is no role", "roles")
    own = given.pop("credential")
    credential = (
        _named(Credential.objects.filter(community=community), own, "credential") if own else None
    )
    given["roles"] = [Role(role) for role in given["roles"]]
    made = access.propose_watch(community, actor(request), credential=credential, **given)
    return Status(201, made)


@router.post("/watch/{entry_id}/approve", auth=KNOW, response={200: t.WatchOut, **_REFUSED})
def approve_watch(request: HttpRequest, entry_id: str) -> WatchEntry:
    """Put an entry in force, as the second person."""
    entry = _entry(request, entry_id)
    access.approve_watch(entry, actor(request))
    return entry


@router.post("/watch/{entry_id}/end", auth=KNOW, response={200: t.WatchOut, **_REFUSED})
def end_watch(request: HttpRequest, entry_id: str, body: t.WatchEnd) -> WatchEntry:
    """End an entry, or turn a proposal down."""
    entry = _entry(request, entry_id)
    access.end_watch(entry, actor(request), body.reason)
    return entry


def _portal_given(request: HttpRequest, body: t.PortalIn) -> dict[str, Any]:
    community, given = _community(request), _given(body)
    _resolve(given, "node", community.nodes.all())
    _resolve(given, "building", community.buildings.all())
    _resolve(given, "schedule", community.schedules.all())
    return given


def _point_given(request: HttpRequest, body: t.PointChange) -> dict[str, Any]:
    community, given = _community(request), _given(body)
    _resolve(given, "area_from", community.areas.all())
    _resolve(given, "area_to", community.areas.all())
    if "raised" in given:
        given["raised"] = [
            (_named(community.schedules.all(), one["schedule"], "raised"), one["level"])
            for one in given["raised"]
        ]
    return given


def _rule_given(request: HttpRequest, body: t.RuleIn) -> dict[str, Any]:
    given = _given(body)
    _resolve(given, "schedule", _community(request).schedules.all())
    if "points" in given:
        given["points"] = [_named(_points(request), id_, "points") for id_ in given["points"]]
    return given


def _schedule_given(request: HttpRequest, body: t.ScheduleIn) -> dict[str, Any]:
    given = body.dict()
    given["special"] = [{**day, "on": day["on"].isoformat()} for day in given["special"]]
    _resolve(given, "holidays", _community(request).holiday_tables.all())
    return given


def _given(body: Schema) -> dict[str, Any]:
    """Give what was sent, refusing null where it means nothing."""
    given: dict[str, Any] = body.dict(exclude_unset=True)
    empty = next((name for name in given if given[name] is None and name not in _NULLABLE), None)
    if empty is not None:
        raise RuleError(f"{empty}: null is no value; leave it out to keep it", empty)
    return given


def _needed(given: dict[str, Any], name: str) -> Any:
    if name not in given:
        raise RuleError(f"{name}: is needed", name)
    return given.pop(name)


def _resolve(given: dict[str, Any], name: str, among: QuerySet[M]) -> None:
    if given.get(name) is not None:
        given[name] = _named(among, given[name], name)


def _named(among: QuerySet[M], id_: str, field: str) -> M:
    """Find what a field names in the caller's own community."""
    found = among.filter(pk=id_).first() if is_text(id_) else None
    if found is None:
        raise RuleError(f"{field}: {id_[:24]!r} is not in this community", field)
    return found


def _one(among: QuerySet[M], id_: str) -> M:
    found = among.filter(pk=id_).first() if is_text(id_) else None
    if found is None:
        raise Http404(f"{among.model._meta.model_name} {id_[:24]!r}: not in this community")
    return found


def _entry(request: HttpRequest, entry_id: str) -> WatchEntry:
    """Find an entry; one that the caller may not know of is not there."""
    found = _one(WatchEntry.objects.filter(community=_community(request)), entry_id)
    if not may_know(found, staff_in(request)):
        raise Http404(f"watchentry {entry_id[:24]!r}: not in this community")
    return found


def _points(request: HttpRequest) -> QuerySet[AccessPoint]:
    points = AccessPoint.objects.filter(portal__community=_community(request))
    return points.select_related("portal__community")


def _community(request: HttpRequest) -> Community:
    return staff_in(request).community
