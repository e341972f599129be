"""A small community whose residents have log-ins on their phones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from anlin.core.entities import HolderKind, Method
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint
from anlin.hub.access.policy import building_group
from anlin.hub.accounts.services import resident_login
from anlin.hub.audit.log import Actor
from anlin.hub.console.tests import conftest as console
from anlin.hub.console.tests.world import World
from anlin.hub.people import services as people
from anlin.hub.people.models import Document, Holder, Identity, ResidencyKind

BY = Actor.command("test")

world = console.world
_catalogues = console._catalogues

WAYS = (Method.CARD, Method.QR, Method.FACE, Method.PHONE)


@dataclass
class Street:
    """The cast with their phones: whose page is whose, and what their doors are called."""

    world: World
    users: dict[str, User] = field(default_factory=dict)

    @property
    def people(self) -> dict[str, Holder]:
        return self.world.people

    @property
    def points(self) -> dict[str, AccessPoint]:
        return self.world.points

    def phone(self, name: str, language: str = "en") -> Client:
        """Give the phone of somebody; a name without a log-in is nobody's."""
        client = Client(headers={"accept-language": language})
        if name in self.users:
            client.force_login(self.users[name])
        return client

    def moves_in(self, name: str, shown: str, **more: object) -> Holder:
        """Let somebody more live here, with a log-in."""
        holder = people.register_holder(self.world.community, shown, BY, **more)  # type: ignore[arg-type]
        self.world.people[name] = holder
        self.users[name] = resident_login(holder, BY).user
        return holder

    def born(self, name: str, years_ago: int) -> None:
        """Write down somebody's birthday: so many years ago today."""
        today = timezone.localtime(timezone.now()).date()
        day = today.replace(year=today.year - years_ago, day=min(today.day, 28))
        Identity.objects.create(holder=self.people[name], document=Document.ID_CARD, born_on=day)


@pytest.fixture
def street(world: World) -> Street:
    """Lin owns 1-101, Wang lives in 1-102, Qian has left, Zhao visits Lin; Guo and Meng work."""
    ours = Street(world)
    for name in ("east", "west", "door1"):
        access.change_point(world.points[name], BY, methods=WAYS)
    # The door of building 1 admits who lives in it; everybody of the cast does.
    home = world.people["lin"].residencies.get().unit
    access.add_rule(
        world.community, "1 号楼", [building_group(home.building_id)], [world.points["door1"]], BY
    )
    for name in ("lin", "wang", "qian"):
        ours.users[name] = resident_login(world.people[name], BY).user
    people.move_out(world.people["qian"], BY)
    zhao = people.register_holder(world.community, "赵来", BY, kind=HolderKind.VISITOR, host=home)
    world.people["zhao"] = zhao
    ours.users["zhao"] = resident_login(zhao, BY).user
    ours.users |= {name: world.staff[name].user for name in ("guo", "meng")}
    now = timezone.now()
    ours.moves_in(
        "sun",
        "孙租",
        unit=people.add_unit(home.building, "1-103", BY),
        residency=ResidencyKind.TENANT,
        starts_at=now - timedelta(days=90),
        ends_at=now - timedelta(seconds=1),
    )
    return ours


@pytest.fixture
def moment() -> datetime:
    return timezone.now()


SignedIn = Callable[[str], Client]
