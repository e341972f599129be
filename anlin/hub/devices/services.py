"""Nodes, devices and commands."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.codec import to_data
from anlin.core.entities import Device as CoreDevice
from anlin.core.entities import Method
from anlin.core.sync import (
    COMMAND_LIFE,
    VERSIONS_SPOKEN,
    CommandKind,
    Enrol,
    Enrolled,
)
from anlin.core.sync import Command as CoreCommand
from anlin.drivers.base import drivers
from anlin.hub import vault
from anlin.hub.access.faults import named
from anlin.hub.access.models import AccessPoint, Credential, Portal
from anlin.hub.access.passes import share_pass_key
from anlin.hub.access.pins import share_pin_key
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing, created, deleted, noted
from anlin.hub.devices.models import Command, Device, Node
from anlin.hub.errors import RuleError
from anlin.hub.ids import random_text
from anlin.hub.people.models import Community
from anlin.wire import keys, mqtt_users

CODE_LIFE = timedelta(hours=24)
"""A code is carried to a box on the same day."""
_CODE_CHARS = 12
_TARGET_CHARS = 24


class EnrolError(ValueError):
    """A node that can't be enrolled; the text names the rule."""


def create_node(community: Community, name: str, by: Actor) -> tuple[Node, str]:
    """Add a node; give it and the one-time code that enrols it.

    Raises:
        RuleError: the community has a node of that name.
    """
    with transaction.atomic():
        if community.nodes.filter(name=name).exists():
            raise RuleError(_("There is a node named %(name)s already.") % {"name": name}, "name")
        node = Node.objects.create(community=community, name=name)
        created(by, community, node)
        return node, new_code(node, by)


def new_code(node: Node, by: Actor) -> str:
    """Give a node that is not enrolled yet a new one-time code; the old one is void.

    Raises:
        RuleError: it is enrolled. A box that lost its disk comes as a new node, because its
            numbers would begin again at 1 and the log holds those already.
    """
    code = random_text(_CODE_CHARS)
    with transaction.atomic():
        node.refresh_from_db()
        if node.enrolled_at is not None:
            raise RuleError(
                _("Node %(name)s is enrolled; add a new node to replace it.") % {"name": node.name}
            )
        node.code_hash = vault.fingerprint(code, "node code")
        node.code_expires_at = timezone.now() + CODE_LIFE
        node.save(update_fields=["code_hash", "code_expires_at"])
        noted(by, node.community, node, "issue code", expires_at=node.code_expires_at.isoformat())
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def enrol_node(enrol: Enrol) -> Enrolled:
    """Take a node in for its one-time code; give its name and token.

    Raises:
        EnrolError: no version in common, a bad key, or a code that is unknown, used or over.
    """
    versions = set(enrol.versions) & set(VERSIONS_SPOKEN)
    if not versions:
        raise EnrolError(
            f"versions {list(enrol.versions)[:9]}: the hub speaks {list(VERSIONS_SPOKEN)}"
        )
    try:
        keys.seal(enrol.public_key, b"", "enrolment")
    except ValueError as error:
        raise EnrolError("public_key: not an X25519 public key in base64") from error
    token = secrets.token_urlsafe(32)
    code = enrol.code.replace("-", "").strip().lower()
    now = timezone.now()
    with transaction.atomic():
        node = (
            Node.objects.select_for_update()
            .select_related("community")
            .filter(code_hash=vault.fingerprint(code, "node code"))
            .first()
        )
        if node is None:
            raise EnrolError("code: not known")
        # Its answer may have been lost: until the node has spoken with its token, the same key
        # may ask again.
        is_again = node.public_key == enrol.public_key and node.last_seen_at is None
        if node.enrolled_at is not None and not is_again:
            raise EnrolError(f"code: used already, by node {node.id}")
        if node.code_expires_at is None or now >= node.code_expires_at:
            raise EnrolError(f"code: expired after {CODE_LIFE}; ask for a new one")
        with changing(Actor.command(f"node {node.id}"), node.community, node, "enrol"):
            node.token_hash = token_hash(token)
            node.public_key = enrol.public_key
            node.software = enrol.software[:60]
            node.version = max(versions)
            node.enrolled_at = now
        share_pin_key(node, Actor.command(f"node {node.id}"))
        share_pass_key(node, Actor.command(f"node {node.id}"))
    return Enrolled(node.id, node.name, node.community_id, token, node.version)


def token_hash(token: str) -> str:
    """Give what a node's token is found by."""
    return vault.fingerprint(token, "node token")


def node_of(token: str) -> Node | None:
    """Find the node that a token belongs to."""
    return (
        Node.objects.select_related("community")
        .filter(token_hash=token_hash(token))
        .exclude(token_hash="")
        .first()
    )


def add_device(
    node: Node,
    name: str,
    driver: str,
    settings: Mapping[str, Any],
    by: Actor,
    *,
    uses_mqtt: bool = False,
) -> tuple[Device, str]:
    """Add a device; give it and its password at the MQTT broker (empty where it uses none).

    The password is made here and shown once.
    """
    device = Device(node=node, name=name, driver=driver, settings=dict(settings))
    password = ""
    if uses_mqtt:
        password = mqtt_users.new_password()
        _set_password(device, password)
    with transaction.atomic():
        device.save(force_insert=True)
        created(by, node.community, device)
        publish(node.community, device=[device.pk])
        if uses_mqtt:
            transaction.on_commit(write_broker_users)
    return device, password


def change_device(
    device: Device,
    by: Actor,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    node: Node | None = None,
) -> None:
    """Change a device's name or settings, or let another node drive it.

    Raises:
        RuleError: no name.
    """
    community = device.node.community
    with transaction.atomic():
        with changing(by, community, device, "change"):
            if name is not None:
                device.name = named(name)
            if settings is not None:
                device.settings = dict(settings)
            if node is not None:
                device.node = node
        publish(community, device=[device.pk])


def remove_device(device: Device, by: Actor) -> None:
    """Remove a device; its edge lets go of it, and it may not sign in at the broker any more."""
    community, id_ = device.node.community, device.pk
    had_password = bool(device.password_digest)
    with transaction.atomic():
        deleted(by, community, device, action="remove")
        device.delete()
        publish(community, device=[id_])
        if had_password:
            transaction.on_commit(write_broker_users)


def refuse_device(
    node: Node, driver: str, settings: Mapping[str, Any], device: Device | None = None
) -> None:
    """Refuse settings that the driver would not take, or that name what the node does not have.

    Raises:
        RuleError: the driver's own words, or the id that is not there.
    """
    made = drivers().get(driver)
    if made is None:
        raise RuleError(_("There is no driver %(name)s.") % {"name": driver[:40]}, "driver")
    id_ = device.pk if device is not None else "d_new"
    # An edge adds where pictures go; no device record has it.
    core = CoreDevice(id_, "", node.pk, driver, {**settings, "media": "media"})
    try:
        served = made(core).serves()
    except ValueError as error:
        text = str(error).removeprefix(f"device {id_}: ")
        raise RuleError(_("The driver refuses this: %(why)s") % {"why": text}) from error
    portals = Portal.objects.filter(node=node).values_list("pk", flat=True)
    points = AccessPoint.objects.filter(portal__node=node).values_list("pk", flat=True)
    for kind, known in (("portals", set(portals)), ("points", set(points))):
        missing = sorted(set(served.get(kind, ())) - {""} - known)
        if missing:
            raise RuleError(
                _("%(what)s is not driven by the edge %(node)s; choose one that is.")
                % {"what": _place_name(missing[0], node), "node": node.name}
            )


def _place_name(id_: str, node: Node) -> str:
    portal = Portal.objects.filter(pk=id_, community=node.community_id).first()
    point = AccessPoint.objects.filter(pk=id_, portal__community=node.community_id).first()
    return str(portal or point or id_[:40])


def new_device_password(device: Device, by: Actor) -> str:
    """Give a device a new password at the broker; the old one ends."""
    password = mqtt_users.new_password()
    with transaction.atomic():
        _set_password(device, password)
        device.save(update_fields=["password_salt", "password_digest"])
        noted(by, device.node.community, device, "new password")
        transaction.on_commit(write_broker_users)
    return password


def write_broker_users() -> None:
    """Write which devices may sign in at the broker: whole, or not at all."""
    users = {
        device.pk: mqtt_users.User(
            device.pk, mqtt_users.Role.DEVICE, device.password_salt, device.password_digest
        )
        for device in Device.objects.exclude(password_digest="")
    }
    path: Path = settings.BROKER_HOME / "devices.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(mqtt_users.to_json(users))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def request_release(portal: Portal, reason: str, by: Actor, *, point: str = "") -> Command:
    """Ask for one release of a portal, at one of its access points where one is named.

    Raises:
        RuleError: no reason given, or no node drives the portal.
    """
    if not reason.strip():
        raise RuleError(_("Say why it has to be opened."), "reason")
    return _command(portal, CommandKind.RELEASE, by, reason, {"point": point} if point else {})


def open_by_phone(credential: Credential, point: AccessPoint, by: Actor) -> Command:
    """Present a holder's telephone at an access point; the edge decides, as on any credential.

    Raises:
        RuleError: the credential is no telephone's, or no node drives the portal.
    """
    if credential.method != Method.PHONE.value:
        raise RuleError(_("This credential is not a telephone."), "credential")
    if point.portal.node is None:
        raise RuleError(_("No node drives %(name)s.") % {"name": point.portal.name})
    data = {"value": credential.key}
    return _order(point.portal.node, CommandKind.PRESENT, point.pk, by, "", data)


def hold_unlocked(portal: Portal, until_s: int, reason: str, by: Actor) -> Command:
    """Ask to hold a portal unlocked for some seconds; it goes back to normal by itself."""
    return _command(portal, CommandKind.HOLD_UNLOCKED, by, reason, _end(until_s))


def hold_locked(portal: Portal, until_s: int, reason: str, by: Actor) -> Command:
    """Ask to keep a portal locked for some seconds, whatever its schedule says; cards still open.

    Raises:
        RuleError: no node drives the portal.
    """
    return _command(portal, CommandKind.HOLD_LOCKED, by, reason, _end(until_s))


def maintenance(portal: Portal, until_s: int, reason: str, by: Actor) -> Command:
    """Ask that a portal raises no alarms for some seconds, because somebody works on it.

    Raises:
        RuleError: no reason given, or no node drives the portal.
    """
    if not reason.strip():
        raise RuleError(_("Say what is done there; its alarms are off meanwhile."), "reason")
    return _command(portal, CommandKind.MAINTENANCE, by, reason, _end(until_s))


def maintenance_end(portal: Portal, reason: str, by: Actor) -> Command:
    """Say that the work on a portal is done."""
    return _command(portal, CommandKind.MAINTENANCE_END, by, reason, {})


def hold_normal(portal: Portal, reason: str, by: Actor) -> Command:
    """Ask to end what `hold_unlocked` or `hold_locked` began."""
    return _command(portal, CommandKind.HOLD_NORMAL, by, reason, {})


def lockdown(portal: Portal, is_active: bool, reason: str, by: Actor) -> Command:
    """Ask to start or end the lockdown of a portal."""
    kind = CommandKind.LOCKDOWN if is_active else CommandKind.LOCKDOWN_END
    return _command(portal, kind, by, reason, {})


def fire_restore(portal: Portal, reason: str, by: Actor) -> Command:
    """Say that the fire is over; the edge refuses while the fire input is active."""
    return _command(portal, CommandKind.FIRE_RESTORE, by, reason, {})


def lockdown_many(
    community: Community, is_active: bool, reason: str, by: Actor, *, area: str = ""
) -> list[Command]:
    """Ask to start or end the lockdown of an area's portals, or of all: one order to each edge.

    An order that arrives does all of its edge's portals at once; those of an edge that is away
    are named as not answered.

    Raises:
        RuleError: no reason given, or no edge drives any of them.
    """
    if not reason.strip():
        raise RuleError(_("Say in a few words why."), "reason")
    kind = CommandKind.LOCKDOWN if is_active else CommandKind.LOCKDOWN_END
    return _to_many(community, kind, by, reason, area)


def fire_restore_many(
    community: Community, reason: str, by: Actor, *, area: str = ""
) -> list[Command]:
    """Say that the fire is over in an area, or everywhere; refused where the input is active.

    Raises:
        RuleError: no reason given, or no edge drives any of the portals.
    """
    if not reason.strip():
        raise RuleError(_("Say in a few words why."), "reason")
    return _to_many(community, CommandKind.FIRE_RESTORE, by, reason, area)


def forgive(community: Community, subject: str, reason: str, by: Actor) -> list[Command]:
    """Ask every edge to forget where somebody, or a car ("plate:..."), was last seen.

    Raises:
        RuleError: no edge is enrolled.
    """
    orders = [
        _order(node, CommandKind.FORGIVE, subject[:_TARGET_CHARS], by, reason, {})
        for node in community.nodes.exclude(enrolled_at=None).order_by("pk")
    ]
    if not orders:
        raise RuleError(_("No edge is enrolled yet."))
    return orders


def _to_many(
    community: Community, kind: CommandKind, by: Actor, reason: str, area: str
) -> list[Command]:
    portals = Portal.objects.filter(community=community).exclude(node=None)
    if area:
        portals = portals.filter(Q(points__area_from=area) | Q(points__area_to=area))
    nodes = Node.objects.filter(pk__in=portals.values("node")).order_by("pk")
    target = f"area:{area}" if area else "*"
    orders = [_order(node, kind, target, by, reason, {}) for node in nodes]
    if not orders:
        raise RuleError(_("No edge drives a gate or door there."))
    return orders


def commands_after(node: Node, number: int) -> list[Command]:
    """List a node's commands that are newer than a number and still alive, in order."""
    return list(
        Command.objects.filter(
            node=node, number__gt=number, expires_at__gt=timezone.now()
        ).order_by("number")
    )


def note_sent(commands: Iterable[Command]) -> None:
    """Note that commands were written to the open stream of their node."""
    ids = [command.pk for command in commands]
    Command.objects.filter(pk__in=ids, sent_at=None).update(sent_at=timezone.now())


def core_command(command: Command) -> CoreCommand:
    """Give a command as it travels."""
    return CoreCommand(
        command.number,
        command.pk,
        CommandKind(command.kind),
        command.target,
        command.by,
        command.issued_at,
        command.expires_at,
        command.data,
    )


def _command(
    portal: Portal, kind: CommandKind, by: Actor, reason: str, data: dict[str, Any]
) -> Command:
    if portal.node is None:
        raise RuleError(_("No node drives %(name)s.") % {"name": portal.name})
    return _order(portal.node, kind, portal.pk, by, reason, data)


def _end(until_s: int) -> dict[str, Any]:
    """Give the end of what lasts; an edge refuses such an order without one."""
    return {"until": to_data(timezone.now() + timedelta(seconds=until_s))}


def _order(
    node: Node, kind: CommandKind, target: str, by: Actor, reason: str, data: dict[str, Any]
) -> Command:
    now = timezone.now()
    with transaction.atomic():
        # The lock gives numbers in the order in which they become visible.
        node = Node.objects.select_for_update().get(pk=node.pk)
        newest = node.commands.aggregate(newest=Max("number"))["newest"] or 0
        command = Command.objects.create(
            node=node,
            number=newest + 1,
            kind=kind.value,
            target=target,
            by=by.name,
            user=by.user,
            reason=reason.strip()[:200],
            issued_at=now,
            expires_at=now + COMMAND_LIFE,
            data=data,
        )
        created(by, node.community, command, action=f"command {kind.value}")
    return command


def _set_password(device: Device, password: str) -> None:
    user = mqtt_users.new_user(device.pk, password)
    device.password_salt, device.password_digest = user.salt, user.digest
