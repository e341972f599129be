"""The cast of every test, and a small community for them to walk through.

Lin 林 lives in 1-101, Wang 王 next door in 1-102, Zhao 赵 visits, Guo 郭 guards, Meng 孟
manages, Qian 钱 had the lease of 1-201 until last midnight. There are one gate for people with
a way in and a way out, the door of building 1, and one lane for vehicles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from anlin.core.access import Evidence, Presentation
from anlin.core.codec import to_data
from anlin.core.entities import (
    KINDS,
    AccessPoint,
    AccessRule,
    Area,
    Community,
    Credential,
    Device,
    Direction,
    Entity,
    Holder,
    HolderKind,
    Issuer,
    Membership,
    Method,
    Portal,
    PortalKind,
)
from anlin.core.policy import Change, Delta, Policy
from anlin.core.qr import Pass, issue
from anlin.core.schedule import Period, Schedule
from anlin.testing.clock import MORNING
from anlin.wire import keys

COMMUNITY = Community("oasis", "天宝绿洲")
ISSUER_KEY = keys.new_signing_key()
"""Signs the passes of this run; no key that opens anything stands in a file."""
ISSUER = Issuer("oasis", keys.public_signing_key(ISSUER_KEY))

RESIDENTS, BUILDING_1, STAFF, VISITORS = "residents", "building-1", "staff", "visitors"
LEASE_END = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
"""Midnight in Shanghai, seven and a half hours before `MORNING`."""

LIN = Holder("lin", "林先生", HolderKind.RESIDENT, (Membership(RESIDENTS), Membership(BUILDING_1)))
WANG = Holder(
    "wang", "王女士", HolderKind.RESIDENT, (Membership(RESIDENTS), Membership(BUILDING_1))
)
ZHAO = Holder("zhao", "赵女士", HolderKind.VISITOR, (Membership(VISITORS),))
GUO = Holder("guo", "郭师傅", HolderKind.STAFF, (Membership(STAFF),))
MENG = Holder("meng", "孟经理", HolderKind.STAFF, (Membership(STAFF),))
QIAN = Holder(
    "qian",
    "钱先生",
    HolderKind.RESIDENT,
    (Membership(RESIDENTS, None, LEASE_END), Membership(BUILDING_1, None, LEASE_END)),
)
HOLDERS = (LIN, WANG, ZHAO, GUO, MENG, QIAN)

LIN_CARD = Credential("lin-card", "lin", Method.CARD, "04A1B2C3")
LIN_FACE = Credential("lin-face", "lin", Method.FACE, "lin-face")
LIN_PLATE = Credential("lin-plate", "lin", Method.PLATE, "京A12345")
WANG_CARD = Credential("wang-card", "wang", Method.CARD, "04D4E5F6")
WANG_PLATE = Credential("wang-plate", "wang", Method.PLATE, "京AD12345")
GUO_CARD = Credential("guo-card", "guo", Method.SECURE_CARD, "8001")
MENG_CARD = Credential("meng-card", "meng", Method.SECURE_CARD, "8002")
QIAN_CARD = Credential("qian-card", "qian", Method.CARD, "04778899")
QIAN_FACE = Credential("qian-face", "qian", Method.FACE, "qian-face")
CREDENTIALS = (
    LIN_CARD,
    LIN_FACE,
    LIN_PLATE,
    WANG_CARD,
    WANG_PLATE,
    GUO_CARD,
    MENG_CARD,
    QIAN_CARD,
    QIAN_FACE,
)

OUTSIDE, COURTYARD, INSIDE = Area("street", "街道"), Area("court", "小区"), Area("b1", "1 栋")
GATE = Portal("gate", "东门", PortalKind.TURNSTILE)
UNIT_DOOR = Portal("door-1", "1 栋单元门")
LANE = Portal("lane", "车行道", PortalKind.BARRIER, grant_s=15.0, is_escape_route=False)
PORTALS = (GATE, UNIT_DOOR, LANE)

GATE_IN = AccessPoint(
    "gate-in",
    "东门进",
    "gate",
    Direction.ENTRY,
    (Method.CARD, Method.SECURE_CARD, Method.FACE, Method.QR),
    area_from="street",
    area_to="court",
)
GATE_OUT = AccessPoint(
    "gate-out", "东门出", "gate", Direction.EXIT, (), area_from="court", area_to="street"
)
UNIT_IN = AccessPoint(
    "door-1-in",
    "1 栋进",
    "door-1",
    Direction.ENTRY,
    (Method.CARD, Method.SECURE_CARD, Method.FACE, Method.QR),
    level=2,
    area_from="court",
    area_to="b1",
)
LANE_IN = AccessPoint("lane-in", "车行入口", "lane", Direction.ENTRY, (Method.PLATE, Method.CARD))
POINTS = (GATE_IN, GATE_OUT, UNIT_IN, LANE_IN)

DAYTIME = Schedule("daytime", "白天", "Asia/Shanghai", (Period(7 * 60, 22 * 60),))
RULES = (
    AccessRule("r1", "住户进小区", (RESIDENTS,), ("gate-in", "lane-in")),
    AccessRule("r2", "住户进本栋", (BUILDING_1,), ("door-1-in",)),
    AccessRule("r3", "员工", (STAFF,), ("gate-in", "door-1-in", "lane-in")),
    AccessRule("r4", "访客白天", (VISITORS,), ("gate-in",), "daytime"),
)
GATE_CONTROLLER = Device(
    "gate-1",
    "东门控制器",
    "node-1",
    "mqtt_gate",
    {
        "readers": {"in": "gate-in"},
        "inputs": {"door": "gate", "fire": "gate"},
        "outputs": {"door": "gate"},
        "buttons": {"exit": "gate-out"},
    },
)

RECORDS: tuple[Entity, ...] = (
    COMMUNITY,
    ISSUER,
    *HOLDERS,
    *CREDENTIALS,
    OUTSIDE,
    COURTYARD,
    INSIDE,
    *PORTALS,
    *POINTS,
    DAYTIME,
    *RULES,
    GATE_CONTROLLER,
)
"""Everything that this community's policy says."""

_KIND_OF = {cls: kind for kind, cls in KINDS.items()}


def change(entity: Entity, revision: int) -> Change:
    """Write an entity as one change of a policy."""
    return Change(revision, _KIND_OF[type(entity)], entity.id, to_data(entity))


def tombstone(entity: Entity, revision: int) -> Change:
    """Write that an entity is gone."""
    return Change(revision, _KIND_OF[type(entity)], entity.id)


def snapshot(records: Iterable[Entity] = RECORDS) -> Delta:
    """Write records as one delta from nothing, one revision each."""
    changes = tuple(change(entity, number) for number, entity in enumerate(records, start=1))
    return Delta(0, len(changes), changes)


def make_policy(*instead: Entity, records: Iterable[Entity] = RECORDS) -> Policy:
    """Build the community's policy, with records that replace or join those of the same id."""
    by_key = {(type(entity), entity.id): entity for entity in (*records, *instead)}
    policy = Policy()
    policy.apply(snapshot(by_key.values()))
    return policy


def present(
    credential: Credential, point: AccessPoint = GATE_IN, at: datetime = MORNING, **evidence: Any
) -> Presentation:
    """Show a credential of the cast at a point."""
    return Presentation(point.id, credential.method, credential.key, at, Evidence(**evidence))


def zhao_pass(**changed: Any) -> Pass:
    """Give Zhao's pass: once through the gate, from a quarter before `MORNING` to an hour after."""
    leave = Pass(
        "pass-1",
        COMMUNITY.id,
        ISSUER.id,
        ZHAO.id,
        MORNING - timedelta(minutes=15),
        MORNING + timedelta(hours=1),
        (GATE_IN.id,),
        group=VISITORS,
        label=ZHAO.label,
    )
    return replace(leave, **changed)


def qr_text(leave: Pass) -> str:
    """Sign a pass as the community does."""
    return issue(leave, lambda message: keys.sign(ISSUER_KEY, message))
