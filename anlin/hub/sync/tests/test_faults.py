from __future__ import annotations

from typing import Any, NoReturn

import pytest
from django.db import OperationalError
from django.test import Client

from anlin.core.sync import Enrol
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.events import fold as folding
from anlin.hub.events.models import Event
from anlin.hub.events.tests.helpers import Journal
from anlin.hub.sync import views
from anlin.wire import keys

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def disk_full(*_: Any) -> NoReturn:
    raise OperationalError("database or disk is full")


@pytest.fixture
def post(cast: Cast, client: Client) -> Any:
    node, code = devices.create_node(cast.community, "西门", BY)
    key = keys.public_sealing_key(keys.new_sealing_key())
    token = devices.enrol_node(Enrol(code, key, (1,), "t")).token
    events = Journal(node.pk).many(3)

    def send() -> Any:
        return client.post(
            "/sync/v1/events",
            {"node": node.pk, "events": events},
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

    return send


def test_a_full_disk_is_said_and_nothing_counts_as_committed(
    post: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Event, "append", disk_full)
        answer = post()
        assert answer.status_code == 503
        assert "storage failed" in answer.json()["error"]
        assert not Event.objects.exists()
    assert post().json() == {"seq": 3, "refused": []}


def test_events_that_are_durable_are_acknowledged_even_where_folding_fails(
    post: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(views, "fold", disk_full)
        assert post().json()["seq"] == 3
    assert folding.fold() == 3
