"""A city of a community to decide about: 50,000 holders, 200 access points, 40 buildings.

Four roles, each with a weekly schedule and special days, one of which passes midnight. Most
holders have one home, some two roles in two buildings; leases end, cards are lost, people are
suspended. The same seed gives the same community.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from anlin.core.codec import to_data
from anlin.core.entities import (
    AccessPoint,
    AccessRule,
    Community,
    Credential,
    Device,
    Direction,
    Holder,
    HolderKind,
    Membership,
    Method,
    Portal,
    PortalKind,
    RevokedPass,
    Status,
    Template,
)
from anlin.core.policy import Change, Delta, Policy
from anlin.core.schedule import Period, Schedule, SpecialDay

ZONE = "Asia/Shanghai"
HOLDERS, BUILDINGS, POINTS = 50_000, 40, 5
YEAR = datetime(2026, 1, 1, tzinfo=UTC)

_HOLIDAYS = [date(2026, 10, day) for day in range(1, 8)]
_FESTIVAL = [date(2026, 2, day) for day in range(16, 20)]
_WORKDAYS, _EVERY_DAY = (1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7)

SCHEDULES: dict[str, Schedule] = {
    role: Schedule(f"s_{role}", role, ZONE, tuple(weekly), tuple(special))
    for role, weekly, special in (
        ("owner", [Period(0, 1440, _EVERY_DAY)], []),
        (
            "tenant",
            [Period(5 * 60, 60, _EVERY_DAY)],
            [SpecialDay(day, (Period(0, 1440),)) for day in _FESTIVAL],
        ),
        (
            "staff",
            [Period(6 * 60, 22 * 60, _WORKDAYS), Period(9 * 60, 12 * 60, (7,))],
            [SpecialDay(day, (Period(8 * 60, 12 * 60),)) for day in _HOLIDAYS],
        ),
        (
            "visitor",
            [Period(8 * 60, 20 * 60, _EVERY_DAY)],
            [SpecialDay(day) for day in _FESTIVAL],
        ),
    )
}
"""The schedule of each role; the same hours are written for the peers in `bench.decide`."""

ROLES = tuple(SCHEDULES)
_SHARES = (40, 40, 8, 12)


@dataclass(frozen=True, slots=True)
class City:
    """Everything of the community by kind, before it becomes a policy."""

    community: Community
    holders: tuple[Holder, ...]
    credentials: tuple[Credential, ...]
    portals: tuple[Portal, ...]
    points: tuple[AccessPoint, ...]
    rules: tuple[AccessRule, ...]
    revoked: tuple[RevokedPass, ...]

    def delta(self, *others: tuple[str, Device | Template | Credential]) -> Delta:
        """Give the whole community, and further entities by kind, as one delta from nothing."""
        kinds: list[tuple[str, Any]] = [("community", self.community), *others]
        kinds += [("holder", holder) for holder in self.holders]
        kinds += [("credential", credential) for credential in self.credentials]
        kinds += [("portal", portal) for portal in self.portals]
        kinds += [("access_point", point) for point in self.points]
        kinds += [("schedule", schedule) for schedule in SCHEDULES.values()]
        kinds += [("access_rule", rule) for rule in self.rules]
        kinds += [("revoked_pass", leave) for leave in self.revoked]
        changes = tuple(Change(1, kind, entity.id, to_data(entity)) for kind, entity in kinds)
        return Delta(0, 1, changes)

    def policy(self) -> Policy:
        """Give the community as an edge would hold it."""
        policy = Policy()
        policy.apply(self.delta())
        return policy


def city(holders: int = HOLDERS, seed: int = 2026) -> City:
    """Make the community."""
    dice = random.Random(seed)
    people = [_holder(dice, number) for number in range(holders)]
    return City(
        Community("c1", "Tianbao", ZONE),
        tuple(people),
        tuple(credential for person in people for credential in _credentials(dice, person.id)),
        tuple(
            Portal(f"p{building:02}-{number}", f"{building}-{number}", PortalKind.DOOR)
            for building in range(BUILDINGS)
            for number in range(POINTS)
        ),
        tuple(
            _point(building, number) for building in range(BUILDINGS) for number in range(POINTS)
        ),
        tuple(_rule(building, role) for building in range(BUILDINGS) for role in ROLES),
        tuple(RevokedPass(f"v{n}", YEAR + timedelta(days=400)) for n in range(200)),
    )


def group(building: int, role: str) -> str:
    """Name the group of one role in one building."""
    return f"b{building:02}.{role}"


def _holder(dice: random.Random, number: int) -> Holder:
    roles = [dice.choices(ROLES, _SHARES)[0]]
    if dice.random() < 0.1:
        roles.append(dice.choice([role for role in ROLES if role not in roles]))
    return Holder(
        f"h{number}",
        f"Lin {number}",
        HolderKind.STAFF if roles[0] == "staff" else HolderKind.RESIDENT,
        tuple(_membership(dice, group(dice.randrange(BUILDINGS), role)) for role in roles),
        Status.SUSPENDED if dice.random() < 0.02 else Status.ACTIVE,
        _day(dice, 0.05, -300, 100),
        _day(dice, 0.05, 250, 700),
    )


def _membership(dice: random.Random, name: str) -> Membership:
    is_lease = name.endswith((".tenant", ".visitor"))
    if not is_lease:
        return Membership(name)
    return Membership(name, _day(dice, 1.0, -500, 60), _day(dice, 1.0, 200, 900))


def _credentials(dice: random.Random, holder: str) -> list[Credential]:
    methods = [dice.choices((Method.CARD, Method.SECURE_CARD), (60, 40))[0]]
    methods += [Method.FACE] if dice.random() < 0.3 else []
    methods += [Method.PLATE] if dice.random() < 0.2 else []
    statuses = (Status.ACTIVE, Status.SUSPENDED, Status.LOST, Status.REVOKED)
    return [
        Credential(
            f"{holder}-{method}",
            holder,
            method,
            f"{holder}-{method}",
            dice.choices(statuses, (94, 2, 2, 2))[0],
            _day(dice, 0.05, -300, 100),
            _day(dice, 0.1, 200, 700),
        )
        for method in methods
    ]


def _point(building: int, number: int) -> AccessPoint:
    methods = (Method.CARD, Method.SECURE_CARD, Method.QR)
    if number != 1:
        methods += (Method.FACE, Method.PLATE)
    return AccessPoint(
        f"a{building:02}-{number}",
        f"{building}-{number}",
        f"p{building:02}-{number}",
        Direction.EXIT if number == POINTS - 1 else Direction.ENTRY,
        methods,
        level=2 if number == 2 else 1,
        is_enabled=(building, number) != (7, 3),
    )


def _rule(building: int, role: str) -> AccessRule:
    return AccessRule(
        f"r{building:02}.{role}",
        f"{role} of {building}",
        (group(building, role),),
        tuple(f"a{building:02}-{number}" for number in range(POINTS)),
        SCHEDULES[role].id,
        valid_until=YEAR + timedelta(days=300) if role == "visitor" else None,
    )


def _day(dice: random.Random, share: float, first: int, last: int) -> datetime | None:
    """Give a day of or around the year to a share of the callers."""
    if dice.random() >= share:
        return None
    return YEAR + timedelta(days=dice.randrange(first, last))
