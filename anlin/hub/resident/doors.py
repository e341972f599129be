"""A resident's doors: which there are, and opening one from a phone. The edge decides."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from django.contrib.auth.models import User
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from anlin.core.entities import Direction, Method, PortalKind, Status
from anlin.core.event import EventKind
from anlin.hub.access.credentials import add_phone
from anlin.hub.access.models import AccessPoint, AccessRule, Credential
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node, Outcome
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event
from anlin.hub.events.rows import PASSAGES
from anlin.hub.people.models import Community, Holder
from anlin.hub.reasons import reason_text
from anlin.hub.resident.homes import Home, NotYoursError, is_of_home
from anlin.hub.resident.models import Opening, RemoteLeave

CONFIRM_WITHIN = timedelta(seconds=10)
"""So long after the door was chosen a confirmation counts: a phone in a pocket opens nothing."""
ON_THE_WAY = timedelta(seconds=5)
"""For the page to come and the answer to go on a slow network, so that ten seconds stay ten."""

OPENINGS_A_MINUTE = 6
"""Nobody needs a door more often; a finger that does not stop would keep it open."""

TOKEN_CHARS = 400
"""A token of ours has 120; a longer one is not ours."""
STANDS_THERE = timedelta(minutes=2)
"""Who stood at a gate longer ago has gone in or away."""

_SHA256 = re.compile("[0-9a-f]{64}")
_REVISIONS_KEPT = 64
"""Of all communities together: a phone asks by the newest only."""
_SALT = "anlin.resident.open"
_EVENTS_LOOKED_AT = 500
"""Between an order and its decision lie milliseconds; a busy site has few events in them."""


@dataclass(frozen=True, slots=True)
class Door:
    """An access point as a resident sees it."""

    point: str
    name: str
    portal: str
    portal_name: str
    kind: PortalKind
    node: str | None
    methods: frozenset[str]
    groups: frozenset[str]
    """Whom some rule admits here, at whatever time."""

    @property
    def opens_by_phone(self) -> bool:
        return Method.PHONE.value in self.methods

    @property
    def takes_qr(self) -> bool:
        return Method.QR.value in self.methods


def doors_of(home: Home) -> tuple[Door, ...]:
    """List the ways in that some rule admits this resident to."""
    community = home.holder.community
    known = _doors(community.pk, community.policy_revision)
    return tuple(door for door in known if door.groups & home.groups)


def door_of(home: Home, point_id: str) -> Door:
    """Give one door that this resident may open from a phone.

    Raises:
        NotYoursError: no rule admits them there, or telephones are not accepted.
    """
    for door in doors_of(home):
        if door.point == point_id and door.opens_by_phone:
            return door
    raise NotYoursError(point_id)


@lru_cache(maxsize=_REVISIONS_KEPT)
def _doors(community_id: str, revision: int) -> tuple[Door, ...]:
    """Read the ways in of a community; they stay as they are while the policy's revision does."""
    admitted: dict[str, set[str]] = {}
    rules = AccessRule.objects.filter(community=community_id).prefetch_related("points")
    for rule in rules:
        for point in rule.points.all():
            admitted.setdefault(point.pk, set()).update(rule.groups)
    rows = AccessPoint.objects.filter(
        portal__community=community_id, direction=Direction.ENTRY.value, is_enabled=True
    )
    return tuple(
        Door(
            row.pk,
            row.name,
            row.portal_id,
            row.portal.name,
            PortalKind(row.portal.kind),
            row.portal.node_id,
            frozenset(row.methods),
            frozenset(admitted.get(row.pk, ())),
        )
        for row in rows.select_related("portal").order_by("portal__building", "name", "pk")
    )


def remote_fault(home: Home) -> str:
    """Say why a resident may not open doors from a phone; empty where they may."""
    if home.is_child and not RemoteLeave.objects.filter(child=home.holder).exists():
        return _("Children under 14 open doors from a phone only if the owner allows it.")
    return ""


def confirm_token(home: Home, door: Door) -> str:
    """Give what a confirmation must carry: for this resident, this door, once, for seconds."""
    nonce = secrets.token_hex(16)
    return signing.dumps([home.holder.pk, door.point, nonce], salt=_SALT, compress=True)


class TooLateError(RuleError):
    """The confirmation came after its ten seconds; the door was not asked."""


def open_door(home: Home, point_id: str, token: str, user: User) -> Opening:
    """Send one confirmed opening to the gate; the same confirmation again gives the same one.

    Nothing is sent to a gate that can't be reached: it would open later, for nobody.

    Raises:
        NotYoursError: not a door of this resident's.
        TooLateError: the ten seconds are over.
        RuleError: not confirmed on a page of ours, too often, or telephones are barred.
    """
    door = door_of(home, point_id)
    nonce = _nonce(home, door, token)
    done = Opening.objects.filter(nonce=nonce, holder=home.holder).first()
    if done is not None:
        return done
    _refuse_late(token)
    now = timezone.now()
    fault = remote_fault(home)
    if fault:
        raise RuleError(fault)
    recent = Opening.objects.filter(holder=home.holder, at__gt=now - timedelta(minutes=1))
    if recent.count() >= OPENINGS_A_MINUTE:
        raise RuleError(_("That was very often. Wait a minute, then try again."))
    by = Actor.resident(home.holder, user)
    point = AccessPoint.objects.select_related("portal__node", "portal__community").get(
        pk=door.point
    )
    try:
        with transaction.atomic():
            opening = Opening.objects.create(
                holder=home.holder, point=point, nonce=nonce, at=now, command=None
            )
            if point.portal.node is not None and point.portal.node.is_online(now):
                opening.command = devices.open_by_phone(_phone(home.holder, by), point, by)
                opening.save(update_fields=["command"])
    except IntegrityError:
        # The other of two presses was faster.
        return Opening.objects.get(nonce=nonce, holder=home.holder)
    return opening


def _nonce(home: Home, door: Door, token: str) -> str:
    try:
        holder, point, nonce = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError) as error:
        raise RuleError(_("Choose the door once more.")) from error
    if holder != home.holder.pk or point != door.point:
        raise RuleError(_("Choose the door once more."))
    return str(nonce)


def _refuse_late(token: str) -> None:
    try:
        signing.loads(token, salt=_SALT, max_age=CONFIRM_WITHIN + ON_THE_WAY)
    except signing.SignatureExpired as error:
        raise TooLateError(
            _("The ten seconds were over, so nothing was opened. Press again if you want to.")
        ) from error


def _phone(holder: Holder, by: Actor) -> Credential:
    """Give the telephone of a resident; the first opening makes it.

    One that was taken back or suspended is not replaced: the office did that for a reason.

    Raises:
        RuleError: the office has barred it.
    """
    newest = holder.credentials.filter(method=Method.PHONE.value).order_by("-created_at").first()
    if newest is None:
        return add_phone(holder, by)
    if newest.status != Status.ACTIVE.value:
        raise RuleError(_("Opening by phone is switched off for you. Ask the property office."))
    return newest


class Came(StrEnum):
    """What came of an opening, as far as it is known."""

    WAITING = "waiting"
    OPENED = "opened"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Told:
    """What came of an opening, and why not where it was refused."""

    came: Came
    why: str | Promise = ""


def told(opening: Opening, at: datetime) -> Told:
    """Say what came of an opening: what the gate itself has said, never a guess."""
    command = opening.command
    if command is None:
        return Told(Came.UNREACHABLE)
    outcome = command.outcome_now(at)
    if outcome == Outcome.REFUSED:
        return Told(Came.REFUSED, _("The gate did not take it. Press again, or use your card."))
    if outcome == Outcome.EXPIRED:
        return Told(Came.UNREACHABLE)
    decision = _decision(opening)
    if decision is None:
        return Told(Came.WAITING)
    if decision.kind == EventKind.ACCESS_GRANTED.value:
        return Told(Came.OPENED)
    return Told(Came.REFUSED, reason_text(str(decision.data.get("reason") or "")))


def _decision(opening: Opening) -> Event | None:
    """Find what the edge decided on this very order."""
    command = opening.command
    if command is None:
        return None
    kinds = (EventKind.ACCESS_GRANTED.value, EventKind.ACCESS_DENIED.value)
    newest = Event.objects.filter(community=opening.holder.community_id).order_by("-id")
    for event in newest[:_EVENTS_LOOKED_AT]:
        if event.received_at < command.issued_at:
            return None
        if event.kind in kinds and event.data.get("command") == command.pk:
            return event
    return None


def nodes_online(community: Community, at: datetime) -> frozenset[str]:
    """Name the edges that were heard lately."""
    heard = community.nodes.filter(last_seen_at__gt=at - Node.SILENT_AFTER)
    return frozenset(heard.values_list("pk", flat=True))


def reachable(doors: Iterable[Door], online: frozenset[str]) -> list[tuple[Door, bool]]:
    """Say of each door whether an order would arrive there now."""
    return [(door, door.node in online) for door in doors]


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest picture of a gate, and when it was taken."""

    sha256: str
    at: datetime


def picture_at(home: Home, door: Door) -> Seen | None:
    """Give the newest picture of a door, if who is on it may still stand there.

    Only of somebody whom the gate does not know, of a visitor to this home or of its household:
    when neighbours come home is theirs alone.
    """
    community = home.holder.community_id
    newest = Event.objects.filter(community=community).order_by("-id")[:_EVENTS_LOOKED_AT]
    for event in newest:
        if event.received_at < home.at - STANDS_THERE:
            return None
        data = event.data
        if event.kind not in PASSAGES or data.get("portal") != door.portal:
            continue
        name = str(data.get("picture") or "").removesuffix(".jpg")
        if not _SHA256.fullmatch(name) or event.at < home.at - STANDS_THERE:
            continue
        who = data.get("holder")
        if who is None or is_of_home(home, str(who)):
            return Seen(name, event.at)
        return None
    return None
