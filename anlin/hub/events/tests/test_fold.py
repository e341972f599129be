from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from anlin.core.event import EventKind as K
from anlin.hub.access import services as access
from anlin.hub.access.models import PortalStatus, VisitorPass
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Command, DeviceState, Outcome
from anlin.hub.events import fold as folding
from anlin.hub.events.fold import fold
from anlin.hub.events.models import Event
from anlin.hub.events.rows import rows
from anlin.hub.events.store import commit
from anlin.hub.events.tests.helpers import Journal

pytestmark = pytest.mark.django_db(databases=["default", "events"])
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def happened(cast: Cast, *events: tuple[K, str, dict[str, object]]) -> None:
    journal = Journal(cast.node.pk)
    for event in Event.objects.order_by("seq"):
        journal.seq, journal.hash = event.seq, event.hash
    commit(cast.node, [journal.add(kind, subject, data) for kind, subject, data in events], NOW)
    fold()


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([K.ACCESS_TAKEN], "open"),
        ([K.ACCESS_TAKEN, K.DOOR_CLOSED], "secured"),
        ([K.ACCESS_TAKEN, K.DOOR_HELD], "held"),
        ([K.ACCESS_TAKEN, K.DOOR_HELD, K.DOOR_HELD_CLEARED, K.DOOR_CLOSED], "secured"),
        ([K.DOOR_FORCED], "forced"),
        ([K.DOOR_FORCED, K.FIRE_RELEASED], "fire_release"),
        ([K.DOOR_FORCED, K.FIRE_RELEASED, K.DOOR_FORCED_CLEARED, K.FIRE_RESTORED], "secured"),
        ([K.LOCKDOWN_STARTED], "lockdown"),
        ([K.LOCKDOWN_STARTED, K.LOCKDOWN_ENDED], "secured"),
        ([K.PORTAL_UNLOCKED], "unlocked"),
        ([K.PORTAL_UNLOCKED, K.PORTAL_LOCKED], "secured"),
        ([K.CONTACT_FAULT], "fault"),
        ([K.PORTAL_FOUND], "secured"),
    ],
)
def test_a_portals_state_follows_its_events(cast: Cast, kinds: list[K], state: str) -> None:
    happened(cast, *[(kind, cast.portal.pk, {}) for kind in kinds])
    assert PortalStatus.objects.get(portal=cast.portal).state == state


def test_the_first_look_after_a_start_says_how_a_portal_stands(cast: Cast) -> None:
    portal = cast.portal.pk
    happened(cast, (K.PORTAL_FOUND, portal, {"contact": "open", "state": "unlocked"}))
    status = PortalStatus.objects.get(portal=cast.portal)
    assert (status.state, status.contact) == ("unlocked", "open")
    happened(
        cast,
        (K.DOOR_HELD, portal, {"state": "held"}),
        (K.PORTAL_FOUND, portal, {"contact": "closed", "state": "lockdown"}),
    )
    status.refresh_from_db()
    assert (status.state, status.contact, status.is_held) == ("lockdown", "closed", False)


def test_a_command_is_sent_accepted_and_acted_on_or_refused(cast: Cast) -> None:
    first = devices.request_release(cast.portal, "快递", BY)
    second = devices.lockdown(cast.portal, True, "演练", BY)
    third = devices.request_release(cast.portal, "快递", BY)
    happened(
        cast,
        (K.COMMAND_DONE, cast.portal.pk, {"command": first.pk}),
        (K.ACCESS_TAKEN, cast.portal.pk, {"release": first.pk}),
        (K.LOCKDOWN_STARTED, cast.portal.pk, {"by": "test"}),
        (K.COMMAND_DONE, cast.portal.pk, {"command": second.pk}),
        (K.COMMAND_REFUSED, cast.portal.pk, {"command": third.pk, "rule": "locked down"}),
    )
    found = {command.pk: command for command in Command.objects.all()}
    assert found[first.pk].outcome == Outcome.DONE
    assert found[first.pk].acted_at is not None
    assert found[second.pk].acted_at is not None
    assert found[third.pk].outcome == Outcome.REFUSED
    assert found[third.pk].outcome_detail == "locked down"
    assert found[third.pk].acted_at is None


def test_devices_passes_and_rubbish_data(cast: Cast) -> None:
    camera, _ = devices.add_device(cast.node, "cam", "camera", {}, BY)
    now = timezone.now()
    leave, _ = access.issue_pass(
        cast.community, "赵访", BY, not_before=now, not_after=now + timedelta(hours=1)
    )
    happened(
        cast,
        (K.CAMERA_STATE, camera.pk, {"state": "online", "tier": 2, "models": {"embed": "x"}}),
        (K.ACCESS_GRANTED, cast.point.pk, {"pass": leave.pk}),
        (K.CAMERA_STATE, camera.pk, {"state": ["no"], "tier": "no", "models": 5}),
        (K.DEVICE_OFFLINE, "d_unknown", {"detail": {"a": 1}}),
        (K.COMMAND_DONE, cast.portal.pk, {"command": 7}),
    )
    state = DeviceState.objects.get(device=camera)
    assert (state.is_online, state.tier, state.vision_models) == (False, 2, {"embed": "x"})
    assert VisitorPass.objects.get().used == 1


def test_a_node_cannot_change_what_belongs_to_another_community(cast: Cast) -> None:
    from anlin.hub.people import services as people

    other = people.create_community("邻里", BY)
    node, _ = devices.create_node(other, "x", BY)
    journal = Journal(node.pk)
    commit(
        node,
        [
            journal.add(K.DOOR_FORCED, cast.portal.pk),
            journal.add(K.ACCESS_GRANTED, cast.point.pk, {"holder": cast.lin.pk}),
        ],
        NOW,
    )
    fold()
    assert PortalStatus.objects.get(portal=cast.portal).state == ""
    shown = rows(list(Event.objects.order_by("pk")))
    assert all(cast.lin.name not in str(row) for row in shown)


def test_a_crash_while_folding_loses_nothing_and_counts_nothing_twice(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    leave, _ = access.issue_pass(
        cast.community, "赵访", BY, not_before=now, not_after=now + timedelta(hours=1), uses=0
    )
    journal = Journal(cast.node.pk)
    batch = [journal.add(K.ACCESS_GRANTED, "ap", {"pass": leave.pk}) for _ in range(3)]
    commit(cast.node, batch, NOW)
    fold_rest = folding._fold_rest
    calls = 0

    def fails_at_the_third(event: Event) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise DatabaseError("disk full")
        fold_rest(event)

    monkeypatch.setattr(folding, "_fold_rest", fails_at_the_third)
    with pytest.raises(DatabaseError):
        fold()
    assert VisitorPass.objects.get().used == 0
    fold()
    fold()
    assert VisitorPass.objects.get().used == 3


def test_a_row_names_who_where_why_and_how_fast(cast: Cast) -> None:
    happened(
        cast,
        (
            K.ACCESS_DENIED,
            cast.point.pk,
            {
                "reason": "residency_ended",
                "method": "card",
                "point": cast.point.pk,
                "holder": cast.qian.pk,
                "label": "钱**",
                "latency_ms": 3.5,
                "picture": "a" * 64 + ".jpg",
            },
        ),
        (K.DOOR_HELD, cast.portal.pk, {}),
        (K.ACCESS_DENIED, "ap_gone", {"reason": ["x"], "picture": "../../secret", "holder": 1}),
    )
    first, second, third = rows(list(Event.objects.order_by("pk")))
    assert first["holder_name"] == "钱离"
    assert first["unit"] == "1-102"
    assert (first["portal"], first["point_name"]) == (cast.portal.pk, "东门进")
    assert first["latency_ms"] == 3.5
    assert first["picture"] == f"/media/{'a' * 64}.jpg"
    assert second["place"] == "东门"
    assert (third["picture"], third["holder_name"]) == ("", "")


def test_one_readers_news_never_hides_anothers_trouble(cast: Cast) -> None:
    line, _ = devices.add_device(cast.node, "line", "osdp", {}, BY)
    lost: dict[str, object] = {"part": "reader 1", "rule": "no key"}
    happened(
        cast,
        (K.DEVICE_FAULT, line.pk, lost),
        (K.DEVICE_ONLINE, line.pk, {"detail": "the line is open"}),
        (K.DEVICE_ONLINE, line.pk, {"part": "reader 2", "detail": "secure"}),
        (K.TAMPER, line.pk, {"part": "reader 2"}),
        (K.TAMPER_CLEARED, line.pk, {"part": "reader 2"}),
    )
    state = DeviceState.objects.get(device=line)
    assert (state.is_online, state.state) == (True, "fault")
    assert "reader 1: no key" in state.detail


def test_a_trouble_that_is_over_leaves_nothing_behind(cast: Cast) -> None:
    line, _ = devices.add_device(cast.node, "line", "osdp", {}, BY)
    lost: dict[str, object] = {"part": "reader 1", "rule": "no key"}
    happened(
        cast,
        (K.DEVICE_ONLINE, line.pk, {}),
        (K.DEVICE_FAULT, line.pk, lost),
        (K.DEVICE_FAULT_CLEARED, line.pk, lost),
    )
    state = DeviceState.objects.get(device=line)
    assert (state.state, state.troubles) == ("online", {})
