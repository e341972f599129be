"""A small community for page tests: the cast, two gates, a lane, two doors, and their events.

Everything is made through the services and the event log's own way in, so that what a test sees
on a page is what a running system would show. Faces are drawn.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone
from PIL import Image, ImageDraw

from anlin.core.access import Reason
from anlin.core.codec import to_data
from anlin.core.entities import Direction, Method, PortalKind
from anlin.core.event import GENESIS, Draft, EventKind, chain
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint, Portal
from anlin.hub.access.policy import VISITORS, community_group
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Device, Node
from anlin.hub.events import pictures
from anlin.hub.events.fold import fold
from anlin.hub.events.models import Event
from anlin.hub.events.store import commit
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Holder, ResidencyKind, Role, StaffProfile
from anlin.wire import keys

BY = Actor.command("test")
SignIn = Callable[..., Client]
ALL_WAYS = (Method.CARD, Method.QR, Method.FACE)


@dataclass
class World:
    """The community and everybody in it, by name."""

    community: Community
    node: Node
    portals: dict[str, Portal]
    points: dict[str, AccessPoint]
    people: dict[str, Holder]
    staff: dict[str, StaffProfile]
    camera: Device
    passwords: dict[str, str] = field(default_factory=dict)
    _seq: int = 0
    _hash: str = GENESIS

    def happened(
        self,
        kind: EventKind,
        subject: str,
        data: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Event:
        """Let the edge report an event; give it as the log holds it."""
        self._seq += 1
        now = timezone.now()
        draft = Draft(kind, subject, at or now, data or {}, self.community.policy_revision)
        event = chain(draft, self.node.pk, 1, self._seq, self._hash)
        self._hash = event.hash
        committed = commit(self.node, [to_data(event)], now)
        assert not committed.refused
        Node.objects.filter(pk=self.node.pk).update(
            last_seen_at=now, rules_as_of=self.community.policy_revision
        )
        fold()
        return Event.objects.get(node=self.node.pk, seq=self._seq)

    def passed(self, name: str, point: str, method: Method, **data: Any) -> Event:
        """Let somebody be admitted at an access point."""
        return self._decided(EventKind.ACCESS_GRANTED, Reason.GRANTED, name, point, method, data)

    def refused(self, name: str, point: str, method: Method, reason: Reason, **data: Any) -> Event:
        """Let somebody, known or not, be refused at an access point."""
        return self._decided(EventKind.ACCESS_DENIED, reason, name, point, method, data)

    def picture(self, seed: int, *, masked: bool = False) -> str:
        """Keep a drawn face; give its name for an event."""
        body = drawn_face(seed, masked=masked)
        sha256 = hashlib.sha256(body).hexdigest()
        pictures.keep(self.node, sha256, body, timezone.now())
        return f"{sha256}.jpg"

    def _decided(
        self,
        kind: EventKind,
        reason: Reason,
        name: str,
        point: str,
        method: Method,
        extra: Mapping[str, Any],
    ) -> Event:
        at = self.points[point]
        holder = self.people.get(name)
        data = {
            "reason": reason.value,
            "method": method.value,
            "point": at.pk,
            "portal": at.portal_id,
            "latency_ms": 6.4,
            **({"holder": holder.pk, "label": holder.label} if holder else {}),
            **({"release": f"r{self._seq}"} if kind is EventKind.ACCESS_GRANTED else {}),
            **extra,
        }
        when = data.pop("at", None)
        return self.happened(kind, at.pk, data, when)


def make_world(name: str = "天宝绿洲") -> World:
    """Found the community."""
    community = people.create_community(name, BY)
    node, _code = devices.create_node(community, "东门机房", BY)
    node.public_key = keys.public_sealing_key(keys.new_sealing_key())
    node.enrolled_at = node.last_seen_at = timezone.now()
    node.software = "anlin 0.1.0"
    node.save()
    portals = {
        key: access.add_portal(community, title, BY, node=node, kind=kind)
        for key, title, kind in (
            ("east", "东门", PortalKind.TURNSTILE),
            ("west", "西门", PortalKind.TURNSTILE),
            ("lane", "车行道", PortalKind.BARRIER),
            ("door1", "1 号楼", PortalKind.DOOR),
            ("door2", "2 号楼", PortalKind.DOOR),
            ("door3", "3 号楼", PortalKind.DOOR),
            ("door4", "4 号楼", PortalKind.DOOR),
        )
    }
    points = {
        key: access.add_point(
            portals[key],
            f"{portal.name}入口",
            Direction.ENTRY,
            (Method.PLATE, Method.CARD) if key == "lane" else ALL_WAYS,
            BY,
        )
        for key, portal in portals.items()
    }
    points["east_out"] = access.add_point(
        portals["east"], "东门出口", Direction.EXIT, (Method.EXIT_BUTTON,), BY
    )
    entries = [point for key, point in points.items() if key != "east_out"]
    access.add_rule(community, "住户全天通行", [community_group(community.pk)], entries, BY)
    access.add_rule(
        community, "访客通行", [VISITORS], [points["east"], points["west"], points["lane"]], BY
    )
    camera, _password = devices.add_device(node, "东门摄像机", "camera", {"task": "faces"}, BY)
    building = people.add_building(community, "1 号楼", BY)
    units = {
        code: people.add_unit(building, code, BY, floor=1) for code in ("1-101", "1-102", "1-201")
    }
    now = timezone.now()
    persons = {
        "lin": people.register_holder(
            community, "林安", BY, unit=units["1-101"], greeting="林女士", phone="13800000001"
        ),
        "wang": people.register_holder(
            community, "王宁", BY, unit=units["1-102"], residency=ResidencyKind.FAMILY
        ),
        "qian": people.register_holder(
            community,
            "钱远",
            BY,
            unit=units["1-201"],
            residency=ResidencyKind.TENANT,
            starts_at=now - timedelta(days=365),
            ends_at=now - timedelta(days=1),
        ),
    }
    world = World(community, node, portals, points, persons, {}, camera)
    for user, shown, role in (
        ("guo", "郭", Role.GUARD),
        ("meng", "孟", Role.MANAGER),
        ("committee", "业委会", Role.COMMITTEE),
        ("installer", "安装", Role.INSTALLER),
        ("auditor", "审计", Role.AUDITOR),
        ("liaison", "联络", Role.LIAISON),
    ):
        username = user if name == "天宝绿洲" else f"{user}-{community.pk}"
        world.staff[user], world.passwords[user] = people.add_staff(
            community, username, role, BY, name=shown
        )
    access.add_card(persons["lin"], "04A1B2C3D4", BY)
    access.add_plate(persons["lin"], "京A12345", BY)
    access.add_card(persons["qian"], "0499887766", BY)
    community.refresh_from_db()
    Node.objects.filter(pk=node.pk).update(rules_as_of=community.policy_revision)
    node.refresh_from_db()
    return world


def drawn_face(seed: int, *, masked: bool = False) -> bytes:
    """Draw a face that belongs to nobody; give it as JPEG."""
    chance = random.Random(seed)
    side, scale = 240, 2
    image = Image.new("RGB", (side * scale, side * scale), chance.choice(_WALLS))
    draw = ImageDraw.Draw(image)
    skin, hair, coat = chance.choice(_SKINS), chance.choice(_HAIRS), chance.choice(_COATS)

    def at(*numbers: float) -> list[float]:
        return [number * scale for number in numbers]

    if chance.random() < 0.5:
        draw.rounded_rectangle(at(60, 45, 180, 190), radius=55 * scale, fill=hair)
    draw.ellipse(at(30, 185, 210, 380), fill=coat)
    draw.rounded_rectangle(at(100, 160, 140, 210), radius=16 * scale, fill=skin)
    draw.ellipse(at(68, 42, 172, 182), fill=skin)
    draw.pieslice(at(64, 28, 176, 150), 180, 360, fill=hair)
    draw.ellipse(at(78, 74, 162, 130), fill=skin)
    for x in (98, 142):
        draw.ellipse(at(x - 5, 105, x + 5, 116), fill="#22201e")
        draw.line(at(x - 11, 95, x + 11, 93), fill=hair, width=4 * scale)
    if chance.random() < 0.4 and not masked:
        for x in (98, 142):
            draw.ellipse(at(x - 17, 95, x + 17, 126), outline="#303438", width=3 * scale)
        draw.line(at(115, 108, 125, 108), fill="#303438", width=3 * scale)
    if masked:
        draw.rounded_rectangle(at(74, 124, 166, 178), radius=18 * scale, fill="#cfe6ee")
    else:
        draw.arc(at(103, 128, 137, 158), 20, 160, fill="#9a4f45", width=4 * scale)
        draw.line(at(120, 116, 116, 136), fill="#b98a72", width=3 * scale)
    out = io.BytesIO()
    image.resize((side, side), Image.Resampling.LANCZOS).save(out, "JPEG", quality=88)
    return out.getvalue()


_WALLS = ("#c9d6d3", "#d8d2c4", "#bfc9d6", "#d3c9cf", "#c7d2bd")
_SKINS = ("#f1cfb4", "#e8bd9c", "#f5d8c2", "#d9a985")
_HAIRS = ("#1d1a19", "#2e2622", "#4b4643", "#8d8a88")
_COATS = ("#365f73", "#8a4b45", "#4f6b4a", "#5a5470", "#b08a4a", "#2f3a44")
