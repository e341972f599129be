from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from anlin.core.event import EventKind
from anlin.hub.accounts.services import resident_login
from anlin.hub.audit.log import Actor
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, World
from anlin.hub.events.models import Event
from anlin.hub.people.models import Holder, Unit
from anlin.hub.visits.models import Visit
from anlin.hub.visits.services import Wish

__all__ = ["_catalogues", "sign_in", "world"]


class Visits:
    """The community of the page tests, with words for what happens to visits."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.community = world.community
        self.lin, self.wang = world.people["lin"], world.people["wang"]
        self.home: Unit = self.lin.residencies.get().unit
        self.now = timezone.now().replace(microsecond=0)

    def by(self, holder: Holder) -> Actor:
        return Actor.resident(holder)

    def wish(self, **changed: object) -> Wish:
        given: dict[str, object] = {
            "name": "赵来",
            "starts_at": self.now,
            "ends_at": self.now + timedelta(hours=3),
            **changed,
        }
        return Wish(**given)  # type: ignore[arg-type]

    def went(
        self, visit: Visit, point: str, *, out: bool = False, at: datetime | None = None
    ) -> Event:
        """Let the log tell that the visitor of a visit went through."""
        place = self.world.points[point]
        data: dict[str, object] = {"holder": visit.holder_id, "method": "qr", "point": place.pk}
        if out:
            data["exit"] = True
        event = self.world.happened(EventKind.ACCESS_TAKEN, place.portal_id, data, at)
        visit.refresh_from_db()
        return event

    def phone(self, holder: Holder, language: str = "en") -> Client:
        client = Client(headers={"accept-language": language})
        client.force_login(resident_login(holder, BY).user)
        return client


@pytest.fixture
def visits(world: World) -> Visits:
    return Visits(world)


@pytest.fixture
def stranger(world: World) -> Client:
    return Client(headers={"accept-language": "en"})
