"""What the log says of who is inside, who holds what, and how far tables stand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from anlin.core.entities import Method
from anlin.core.event import EventKind as K
from anlin.hub.access import services as access
from anlin.hub.access.models import PortalStatus, VisitorPass
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, World, make_world
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import DeviceState
from anlin.hub.state.fold import LONGEST_HOLD, rebuild
from anlin.hub.state.models import DeviceTable, PortalHold, Presence

pytestmark = pytest.mark.django_db(databases=["default", "events"])
__all__ = ["_catalogues", "sign_in", "world"]


def went(world: World, who: str, portal: str, area: str = "", **data: Any) -> None:
    holder = world.people[who]
    told = {
        "holder": holder.pk,
        "subject": data.pop("subject", holder.pk),
        "point": world.points[portal].pk,
        **({"area": area} if area else {}),
        **data,
    }
    at = told.pop("at", None)
    world.happened(K.ACCESS_TAKEN, world.portals[portal].pk, told, at)


def inside(world: World) -> dict[str, str]:
    rows = Presence.objects.filter(community=world.community, is_inside=True)
    return dict(rows.values_list("subject", "area"))


def test_whoever_walks_in_is_inside_until_they_walk_out(world: World) -> None:
    lin, wang = world.people["lin"].pk, world.people["wang"].pk
    went(world, "lin", "east", "a_court")
    went(world, "wang", "door1")
    assert inside(world) == {lin: "a_court", wang: ""}
    went(world, "lin", "door1", "a_house")
    assert inside(world)[lin] == "a_house"
    went(world, "lin", "east", exit=True)
    assert inside(world) == {wang: ""}
    assert Presence.objects.get(subject=lin).portal == world.portals["east"].pk


def test_a_car_is_counted_by_its_plate_and_not_as_its_driver(world: World) -> None:
    went(world, "lin", "lane", "a_cars", subject="plate:京A12345")
    car = Presence.objects.get()
    assert (car.subject, car.plate, car.holder) == (
        "plate:京A12345",
        "京A12345",
        world.people["lin"].pk,
    )
    until = timezone.now()
    world.happened(
        K.VEHICLE_OVERSTAYED, "a_cars", {"value": "京A12345", "until": until.isoformat()}
    )
    car.refresh_from_db()
    assert (car.is_overstay, car.until) == (True, until)


def test_who_is_forgiven_is_nowhere(world: World) -> None:
    went(world, "lin", "east", "a_court")
    went(world, "lin", "lane", "a_cars", subject="plate:京A12345")
    done = {"kind": "forgive", "by": "guo", "command": "x"}
    world.happened(K.COMMAND_DONE, "plate:京A12345", done)
    assert list(inside(world)) == [world.people["lin"].pk]
    world.happened(K.COMMAND_DONE, "*", done)
    assert inside(world) == {}


def test_an_edge_that_was_cut_off_does_not_move_people_back(world: World) -> None:
    now = timezone.now()
    went(world, "lin", "east", "a_court", at=now)
    Presence.objects.update(node="n_other")
    went(world, "lin", "west", "a_old", at=now - timedelta(hours=1))
    assert inside(world) == {world.people["lin"].pk: "a_court"}
    went(world, "lin", "west", "a_new", at=now + timedelta(minutes=1))
    assert inside(world) == {world.people["lin"].pk: "a_new"}


def test_the_same_is_made_anew_from_the_log(world: World) -> None:
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    went(world, "lin", "east", "a_court")
    went(world, "wang", "east", "a_court")
    world.happened(K.COMMAND_DONE, world.people["wang"].pk, {"kind": "forgive"})
    went(world, "lin", "lane", "a_cars", subject="plate:京A12345")
    portal = world.portals["door1"].pk
    world.happened(K.MAINTENANCE_STARTED, portal, {"by": "meng", "until": until})
    held = {"kind": "hold_unlocked", "by": "guo", "until": until}
    world.happened(K.COMMAND_DONE, "*", held | {"kind": "hold_locked"})
    world.happened(K.COMMAND_DONE, world.points["east"].pk, held)
    world.happened(K.TABLE_BEHIND, world.camera.pk, {"missing": 3, "rows": 9})

    def everything() -> list[Any]:
        return [
            list(model.objects.order_by("pk").values()) for model in (PortalHold, DeviceTable)
        ] + [list(Presence.objects.order_by("subject").values("subject", "area", "since", "until"))]

    before = everything()
    assert [len(rows) for rows in before] == [7, 1, 2]
    assert rebuild(world.community) == 8
    call_command("rebuild_state", verbosity=0)
    assert everything() == before


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (K.DOOR_PREALARM, "prealarm"),
        (K.MAINTENANCE_STARTED, "maintenance"),
        (K.ARM_OFF, "fault"),
        (K.VEHICLE_PASSED, "secured"),
        (K.ACCESS_NOT_TAKEN, "secured"),
    ],
)
def test_a_portals_own_word_for_its_state_is_kept(world: World, told: K, state: str) -> None:
    lane = world.portals["lane"].pk
    world.happened(K.ACCESS_TAKEN, lane, {"state": "open"})
    assert PortalStatus.objects.get(portal=lane).state == "open"
    world.happened(told, lane, {"state": state})
    assert PortalStatus.objects.get(portal=lane).state == state


def test_a_hold_names_its_person_and_ends_within_a_day(world: World) -> None:
    portal, now = world.portals["east"], timezone.now()
    far = (now + timedelta(days=30)).isoformat()
    world.happened(
        K.COMMAND_DONE, portal.pk, {"kind": "hold_unlocked", "by": "guo", "until": far}, now
    )
    hold = PortalHold.objects.get(portal=portal)
    assert (hold.override, hold.override_by) == ("unlocked", "guo")
    assert hold.overridden(now + timedelta(hours=23))
    assert not hold.overridden(now + LONGEST_HOLD)
    world.happened(K.COMMAND_DONE, portal.pk, {"kind": "hold_normal", "by": "guo"})
    assert not PortalHold.objects.get(portal=portal).overridden(now)


def test_a_hold_of_an_area_is_a_hold_of_each_of_its_portals(world: World) -> None:
    area = access.add_area(world.community, "车库", BY)
    for name in ("lane", "door1"):
        world.points[name].area_to = area
        world.points[name].save()
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    done = {"kind": "hold_locked", "by": "guo", "until": until}
    world.happened(K.COMMAND_DONE, f"area:{area.pk}", done)
    held = set(PortalHold.objects.values_list("portal_id", flat=True))
    assert held == {world.portals["lane"].pk, world.portals["door1"].pk}


def test_a_car_waits_until_it_is_answered_passes_or_leaves(world: World) -> None:
    lane = world.portals["lane"].pk
    for answer in (K.VEHICLE_PASSED, K.VEHICLE_LEFT):
        world.happened(K.VEHICLE_WAITING, lane)
        assert PortalHold.objects.get().waiting_since is not None
        world.happened(answer, lane)
        assert PortalHold.objects.get().waiting_since is None
    world.happened(K.VEHICLE_WAITING, lane)
    granted = {"method": "plate", "portal": lane, "reason": "granted"}
    world.happened(K.ACCESS_GRANTED, world.points["lane"].pk, granted)
    assert PortalHold.objects.get().waiting_since is None


def test_a_table_is_late_since_it_was_last_proven(world: World) -> None:
    camera, now = world.camera.pk, timezone.now()
    for minutes, kind in enumerate((K.TABLE_HELD, K.TABLE_BEHIND, K.TABLE_REFUSED)):
        data = {"rows": 5, "missing": minutes, "refused": [["cr_1", "too dark"], "rubbish"]}
        world.happened(kind, camera, data, now + timedelta(minutes=minutes))
    table = DeviceTable.objects.get()
    assert (table.kind, table.missing, table.since) == (
        "table_refused",
        2,
        now + timedelta(minutes=1),
    )
    assert table.refused == [["cr_1", "too dark"]]


def test_rubbish_and_strangers_change_nothing_here(world: World) -> None:
    other = make_world("邻村")
    portal, camera = world.portals["east"].pk, world.camera.pk
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    other.happened(K.COMMAND_DONE, portal, {"kind": "hold_unlocked", "until": until})
    other.happened(K.MAINTENANCE_STARTED, portal, {"until": until})
    other.happened(K.TABLE_BEHIND, camera, {"missing": 3})
    assert not PortalHold.objects.filter(portal=portal).exists()
    assert not DeviceTable.objects.exists()
    went(world, "lin", "east", "a_court")
    other.happened(K.COMMAND_DONE, world.people["lin"].pk, {"kind": "forgive"})
    other.happened(K.COMMAND_DONE, "*", {"kind": "forgive"})
    assert len(inside(world)) == 1
    world.happened(K.ACCESS_TAKEN, portal, {"subject": 7, "holder": ["x"], "area": {}})
    world.happened(K.MAINTENANCE_STARTED, portal, {"by": 5, "until": "tomorrow"})
    world.happened(K.TABLE_BEHIND, camera, {"missing": -1, "rows": "many", "refused": 9})
    assert not PortalHold.objects.filter(portal=portal).exclude(maintenance_until=None).exists()
    assert DeviceTable.objects.get().missing == 0
    assert len(inside(world)) == 1


def test_each_use_of_a_pass_is_counted_at_its_node_and_told_to_the_edges(world: World) -> None:
    now = timezone.now()
    leave, _ = access.issue_pass(
        world.community, "赵访", BY, not_before=now, not_after=now + timedelta(hours=1), uses=3
    )
    before = world.community.policy_revision
    for _time in range(2):
        world.passed("", "east", Method.QR, **{"pass": leave.pk})
    leave = VisitorPass.objects.get()
    assert (leave.used, leave.used_by_node) == (2, {world.node.pk: 2})
    world.community.refresh_from_db()
    assert world.community.policy_revision == before + 2


def test_a_part_that_is_away_does_not_make_its_device_offline(world: World) -> None:
    camera = world.camera.pk
    world.happened(K.DEVICE_ONLINE, camera)
    world.happened(K.DEVICE_OFFLINE, camera, {"part": "reader 2", "detail": "no answer for 8 s"})
    state = DeviceState.objects.get()
    assert (state.is_online, state.detail) == (True, "reader 2: no answer for 8 s")


def test_an_order_to_many_is_seen_to_act_at_the_first_of_them(world: World) -> None:
    order = devices.lockdown_many(world.community, True, "演练", BY)[0]
    world.happened(K.LOCKDOWN_STARTED, world.portals["east"].pk, {"by": BY.name})
    order.refresh_from_db()
    assert order.acted_at is not None
