"""The operations. Each names its roles, parses, calls a service and gives a schema."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Field, File, NinjaAPI, Query, Status
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.files import UploadedFile

from anlin import __version__
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint, Credential, Portal, VisitorPass
from anlin.hub.api import schemas as s
from anlin.hub.api.auth import RoleError, actor, roles
from anlin.hub.api.texts import TextParser, is_text
from anlin.hub.audit.log import viewed
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Command, Node
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event
from anlin.hub.events.rows import rows
from anlin.hub.events.secrecy import told_to
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Holder, Purpose, Role
from anlin.hub.permissions import staff_in
from anlin.hub.vehicles import services as vehicles
from anlin.vision.enrol import MAX_BYTES, EnrolError

DESK = roles(Role.MANAGER)
READERS = roles(Role.GUARD, Role.MANAGER, Role.AUDITOR)
GATE = roles(Role.GUARD, Role.MANAGER)
MACHINES = roles(Role.GUARD, Role.MANAGER, Role.INSTALLER, Role.AUDITOR)

PAGE = 100
MAX_PAGE = 500
_REFUSED = dict.fromkeys((400, 401, 403, 404, 422), s.ErrorOut)

api = NinjaAPI(
    title="Anlin", version=__version__, urls_namespace="api", docs_url=None, parser=TextParser()
)
M = TypeVar("M", bound=Model)
_Limit = Annotated[int, Field(ge=1, le=MAX_PAGE)]
_Position = Annotated[int, Field(ge=0, lt=2**63)]


@api.get("/holders", auth=READERS, response={200: s.HolderPage, **_REFUSED})
def list_holders(
    request: HttpRequest,
    query: str = "",
    after: str = "",
    limit: _Limit = PAGE,
) -> dict[str, Any]:
    """List holders by id, those whose name, unit or phone matches a query."""
    found = _community(request).holders.filter(pk__gt=after)
    if query:
        phone = people.phone_index(query)
        found = found.filter(
            Q(name__icontains=query)
            | Q(residencies__unit__code=query)
            | (Q(phone_index=phone) if phone else Q())
        ).distinct()
    holders = list(found.order_by("pk")[: limit + 1])
    _look(request, "holder list", [query] if query else ["all"])
    return {
        "holders": holders[:limit],
        "next": holders[limit - 1].pk if len(holders) > limit else None,
    }


@api.post("/holders", auth=DESK, response={201: s.HolderDetail, **_REFUSED})
def register_holder(request: HttpRequest, body: s.HolderIn) -> Status[Holder]:
    """Register a person; with a residency where building and unit are given."""
    community, by = _community(request), actor(request)
    unit = None
    if body.unit:
        building = people.add_building(community, body.building or body.unit.split("-")[0], by)
        unit = people.add_unit(building, body.unit, by)
    return Status(
        201,
        people.register_holder(
            community,
            body.name,
            by,
            kind=body.kind,
            unit=unit,
            residency=body.residency,
            starts_at=body.starts_at,
            ends_at=body.ends_at,
            phone=body.phone,
            greeting=body.greeting,
            note=body.note,
        ),
    )


@api.get("/holders/{holder_id}", auth=READERS, response={200: s.HolderDetail, **_REFUSED})
def show_holder(request: HttpRequest, holder_id: str) -> Holder:
    """Show a person with homes, credentials and consents in force."""
    holder = _one(_community(request).holders.all(), holder_id)
    _look(request, "holder", [holder.pk])
    return holder


@api.post("/holders/{holder_id}/suspend", auth=DESK, response={200: s.HolderOut, **_REFUSED})
def suspend_holder(request: HttpRequest, holder_id: str) -> Holder:
    """Refuse everything that a person presents, until resumed."""
    holder = _one(_community(request).holders.all(), holder_id)
    people.suspend_holder(holder, actor(request))
    return holder


@api.post("/holders/{holder_id}/resume", auth=DESK, response={200: s.HolderOut, **_REFUSED})
def resume_holder(request: HttpRequest, holder_id: str) -> Holder:
    """Let a suspended person in again."""
    holder = _one(_community(request).holders.all(), holder_id)
    people.resume_holder(holder, actor(request))
    return holder


@api.post("/holders/{holder_id}/move-out", auth=DESK, response={200: s.HolderOut, **_REFUSED})
def move_out(request: HttpRequest, holder_id: str) -> Holder:
    """End every residency and take back every credential of a person."""
    holder = _one(_community(request).holders.all(), holder_id)
    people.move_out(holder, actor(request))
    return holder


@api.post("/holders/{holder_id}/consents", auth=DESK, response={204: None, **_REFUSED})
def give_consent(request: HttpRequest, holder_id: str, body: s.ConsentIn) -> Status[None]:
    """Write down a consent; by a guardian for a child under 14."""
    holder = _one(_community(request).holders.all(), holder_id)
    guardian = None
    if body.guardian:
        guardian = _community(request).holders.filter(pk=body.guardian).first()
        if guardian is None:
            rule = f"guardian: {body.guardian[:24]!r} is not in this community"
            raise RuleError(rule, "guardian")
    people.give_consent(
        holder,
        body.purpose,
        actor(request),
        given_by=body.given_by,
        guardian=guardian,
        relation=body.relation,
    )
    return Status(204, None)


@api.delete("/holders/{holder_id}/consents/{purpose}", auth=DESK, response={204: None, **_REFUSED})
def withdraw_consent(request: HttpRequest, holder_id: str, purpose: Purpose) -> Status[None]:
    """Withdraw a consent; what rested on it is deleted everywhere."""
    holder = _one(_community(request).holders.all(), holder_id)
    people.withdraw_consent(holder, purpose, actor(request))
    return Status(204, None)


@api.post(
    "/holders/{holder_id}/credentials", auth=DESK, response={201: s.CredentialOut, **_REFUSED}
)
def add_credential(
    request: HttpRequest, holder_id: str, body: s.CredentialIn
) -> Status[Credential]:
    """Give a person a card by its number, or let a car in by its plate."""
    holder, by = _one(_community(request).holders.all(), holder_id), actor(request)
    if body.method == "plate":
        add = vehicles.add_vehicle
        added = add(holder, body.value, by, valid_until=body.valid_until).credential
        if added is None:
            raise RuleError(f"value: the car of {body.value[:16]!r} has no credential", "value")
        return Status(201, added)
    method = Method(body.method)
    return Status(
        201, access.add_card(holder, body.value, by, method=method, valid_until=body.valid_until)
    )


@api.post("/holders/{holder_id}/face", auth=DESK, response={201: s.CredentialOut, **_REFUSED})
def enrol_face(
    request: HttpRequest,
    holder_id: str,
    photo: File[UploadedFile],
) -> Status[Credential]:
    """Let a person in by face, from one photograph (JPEG, PNG, WebP, BMP)."""
    holder = _one(_community(request).holders.all(), holder_id)
    if (photo.size or 0) > MAX_BYTES:
        raise HttpError(422, f"photo: {photo.size} bytes, at most {MAX_BYTES}")
    return Status(201, access.enrol_face(holder, photo.read(), actor(request)))


@api.post(
    "/credentials/{credential_id}/revoke", auth=DESK, response={200: s.CredentialOut, **_REFUSED}
)
def revoke_credential(request: HttpRequest, credential_id: str) -> Credential:
    """Take a credential back for ever."""
    credential = _one(Credential.objects.filter(community=_community(request)), credential_id)
    access.revoke_credential(credential, actor(request))
    return credential


@api.post(
    "/credentials/{credential_id}/lost", auth=GATE, response={200: s.CredentialOut, **_REFUSED}
)
def mark_lost(request: HttpRequest, credential_id: str) -> Credential:
    """Refuse a lost credential from now on."""
    credential = _one(Credential.objects.filter(community=_community(request)), credential_id)
    access.mark_lost(credential, actor(request))
    return credential


@api.post("/passes", auth=GATE, response={201: s.PassOut, **_REFUSED})
def issue_pass(request: HttpRequest, body: s.PassIn) -> Status[dict[str, str]]:
    """Issue a QR pass to a visitor by name, or to a holder."""
    community = _community(request)
    holder = _one(community.holders.all(), body.holder) if body.holder else None
    points = list(AccessPoint.objects.filter(portal__community=community, pk__in=body.points))
    unknown = set(body.points) - {point.pk for point in points}
    if unknown:
        raise HttpError(422, f"points: {min(unknown)[:40]!r} is no access point")
    leave, text = access.issue_pass(
        community,
        holder if holder is not None else body.visitor,
        actor(request),
        not_before=body.not_before,
        not_after=body.not_after,
        points=points,
        uses=body.uses,
    )
    return Status(201, {"id": leave.pk, "holder": leave.holder_id, "text": text})


@api.post("/passes/{pass_id}/revoke", auth=GATE, response={204: None, **_REFUSED})
def revoke_pass(request: HttpRequest, pass_id: str) -> Status[None]:
    """Take a pass back."""
    leave = _one(VisitorPass.objects.filter(community=_community(request)), pass_id)
    access.revoke_pass(leave, actor(request))
    return Status(204, None)


@api.get("/points", auth=MACHINES, response={200: list[s.PointOut], **_REFUSED})
def list_points(request: HttpRequest) -> list[dict[str, Any]]:
    """List access points with the state of their portal and the rules they decide by."""
    community, now = _community(request), timezone.now()
    points = AccessPoint.objects.filter(portal__community=community).select_related(
        "portal__node", "portal__status"
    )
    return [_point(point, community, now) for point in points.order_by("portal__name", "name")]


@api.post("/portals/{portal_id}/release", auth=GATE, response={202: s.CommandOut, **_REFUSED})
def release(request: HttpRequest, portal_id: str, body: s.ReleaseIn) -> Status[dict[str, Any]]:
    """Ask for one release; the answer says that it was asked for, not that it happened."""
    portal = _one(Portal.objects.filter(community=_community(request)), portal_id)
    command = devices.request_release(portal, body.reason, actor(request), point=body.point)
    return Status(202, _command(command))


@api.post("/holders/{holder_id}/phone", auth=DESK, response={201: s.CredentialOut, **_REFUSED})
def add_phone(request: HttpRequest, holder_id: str) -> Status[Credential]:
    """Let a person open by telephone, through a service that knows who is calling."""
    holder = _one(_community(request).holders.all(), holder_id)
    return Status(201, access.add_phone(holder, actor(request)))


@api.post("/points/{point_id}/phone", auth=DESK, response={202: s.CommandOut, **_REFUSED})
def open_by_phone(request: HttpRequest, point_id: str, body: s.PhoneIn) -> Status[dict[str, Any]]:
    """Present a person's telephone at an access point; the edge decides whether it opens."""
    community = _community(request)
    points = AccessPoint.objects.filter(portal__community=community).select_related("portal__node")
    credential = _one(Credential.objects.filter(community=community), body.credential)
    command = devices.open_by_phone(credential, _one(points, point_id), actor(request))
    return Status(202, _command(command))


@api.get("/commands/{command_id}", auth=GATE, response={200: s.CommandOut, **_REFUSED})
def show_command(request: HttpRequest, command_id: str) -> dict[str, Any]:
    """Say what came of a command."""
    commands = Command.objects.filter(node__community=_community(request))
    return _command(_one(commands, command_id))


@api.get("/events", auth=READERS, response={200: s.EventPage, **_REFUSED})
def list_events(
    request: HttpRequest,
    after: _Position = 0,
    limit: _Limit = PAGE,
    kind: Query[list[EventKind]] = [],  # noqa: B006  ninja makes a new one each time
) -> dict[str, Any]:
    """List events after a position, in the order of the log."""
    found = Event.objects.filter(community=_community(request).pk, pk__gt=after)
    found = told_to(found, staff_in(request).role)
    if kind:
        found = found.filter(kind__in=[one.value for one in kind])
    events = list(found.order_by("pk")[:limit])
    _look(request, "event list", [f"{after}-{events[-1].pk}"] if events else [])
    return {
        "events": [
            {**row, "received_at": event.received_at, "hash": event.hash}
            for row, event in zip(rows(events), events, strict=True)
        ],
        "position": events[-1].pk if events else after,
    }


@api.get("/nodes", auth=MACHINES, response={200: list[s.NodeOut], **_REFUSED})
def list_nodes(request: HttpRequest) -> list[dict[str, Any]]:
    """List edge nodes: heard of when, and which rules they decide by."""
    community, now = _community(request), timezone.now()
    return [_node(node, community, now) for node in community.nodes.order_by("name")]


@api.exception_handler(RuleError)
def _rule(request: HttpRequest, error: RuleError) -> HttpResponse:
    body = {"error": str(error), "field": error.field}
    return api.create_response(request, body, status=422)


@api.exception_handler(EnrolError)
def _photo(request: HttpRequest, error: EnrolError) -> HttpResponse:
    body = {"error": f"{error.fault}: {error.detail}", "field": "photo"}
    return api.create_response(request, body, status=422)


@api.exception_handler(RoleError)
def _role(request: HttpRequest, error: RoleError) -> HttpResponse:
    return api.create_response(request, {"error": str(error)}, status=403)


@api.exception_handler(AuthenticationError)
def _nobody(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    rule = f"{request.path}: sign in, or send a token"
    return api.create_response(request, {"error": rule}, status=401)


@api.exception_handler(Http404)
def _nothing(request: HttpRequest, error: Http404) -> HttpResponse:
    rule = str(error) or f"{request.path}: nothing there"
    return api.create_response(request, {"error": rule}, status=404)


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    # What the parser said of a body stands behind ninja's own words.
    said = error.__cause__ if isinstance(error.__cause__, HttpError) else error
    return api.create_response(request, {"error": str(said)}, status=said.status_code)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    rule = f"{field}: {first['msg']}"
    return api.create_response(request, {"error": rule, "field": field}, status=422)


def _community(request: HttpRequest) -> Community:
    return staff_in(request).community


def _one(found: QuerySet[M], pk: str) -> M:
    """Give the one of that id in the caller's own community."""
    one = found.filter(pk=pk).first() if is_text(pk) else None
    if one is None:
        raise Http404(f"{found.model._meta.model_name} {pk[:24]!r}: not in this community")
    return one


def _look(request: HttpRequest, what: str, objects: list[str]) -> None:
    viewed(actor(request), _community(request), what, objects)


def _point(point: AccessPoint, community: Community, now: Any) -> dict[str, Any]:
    portal = point.portal
    status, node = getattr(portal, "status", None), portal.node
    return {
        "id": point.pk,
        "name": point.name,
        "portal": portal.pk,
        "portal_name": portal.name,
        "direction": point.direction,
        "methods": point.methods,
        "level": point.level,
        "is_enabled": point.is_enabled,
        "state": status.state if status is not None else "",
        "since": status.since if status is not None else None,
        "node": node.pk if node is not None else None,
        "node_is_online": node is not None and node.is_online(now),
        "rules_as_of": node.rules_as_of if node is not None else 0,
        "newest_rules": community.policy_revision,
    }


def _node(node: Node, community: Community, now: Any) -> dict[str, Any]:
    return {
        "id": node.pk,
        "name": node.name,
        "software": node.software,
        "is_online": node.is_online(now),
        "enrolled_at": node.enrolled_at,
        "last_seen_at": node.last_seen_at,
        "rules_as_of": node.rules_as_of,
        "newest_rules": community.policy_revision,
        "acked_seq": node.acked_seq,
    }


def _command(command: Command) -> dict[str, Any]:
    return {
        "id": command.pk,
        "kind": command.kind,
        "target": command.target,
        "by": command.by,
        "issued_at": command.issued_at,
        "expires_at": command.expires_at,
        "sent_at": command.sent_at,
        "outcome": command.outcome_now(timezone.now()).value,
        "outcome_detail": command.outcome_detail,
        "acted_at": command.acted_at,
    }
