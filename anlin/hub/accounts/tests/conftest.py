from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from anlin.hub.accounts import sms
from anlin.hub.accounts.services import resident_login
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, World
from anlin.notify.base import Message

__all__ = ["_catalogues", "sign_in", "world"]

Home = Callable[[str], Client]


@pytest.fixture
def home(world: World) -> Home:
    """Give a phone in which a resident is signed in, in English."""

    def signed(name: str) -> Client:
        client = Client(headers={"accept-language": "en"})
        client.force_login(resident_login(world.people[name], BY).user)
        return client

    return signed


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, settings: object) -> list[Message]:
    """Collect what would leave by SMS."""
    out: list[Message] = []
    monkeypatch.setattr(sms, "is_ready", lambda: True)

    def keep(message: Message | None) -> None:
        if message is not None:
            out.append(message)

    monkeypatch.setattr(sms, "send_later", keep)
    return out
