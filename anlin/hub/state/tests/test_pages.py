"""Roll call, cars, doors after a fire, tables, what needs a person, and screens at gates."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.core.event import EventKind as K
from anlin.hub.access import services as access
from anlin.hub.access.models import Parking
from anlin.hub.audit.models import View
from anlin.hub.console.board import board
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, SignIn, World, make_world
from anlin.hub.console.words import Tone
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Command
from anlin.hub.people import services as people
from anlin.hub.state import attention
from anlin.hub.state.models import Noticed, ScreenKey
from anlin.hub.state.screen import FRESH, KINDS, events_at, last, point_of, shown
from anlin.hub.state.tests.test_fold import went

pytestmark = pytest.mark.django_db(databases=["default", "events"])
__all__ = ["_catalogues", "sign_in", "world"]


def lines(world: World) -> list[tuple[str, str]]:
    found = board(world.community, timezone.now()).concerns
    return [(str(one.what), one.where) for one in found]


# Who is inside


def test_the_roll_call_names_who_walked_in_by_area_and_building(
    world: World, sign_in: SignIn
) -> None:
    court = access.add_area(world.community, "庭院", BY)
    world.portals["door1"].building = world.people["lin"].residencies.get().unit.building
    world.portals["door1"].save()
    now = timezone.now()
    leave, _ = access.issue_pass(
        world.community, "赵访", BY, not_before=now, not_after=now + timedelta(hours=1)
    )
    world.people["zhao"] = leave.holder
    went(world, "lin", "east", court.pk)
    went(world, "wang", "door1")
    went(world, "zhao", "east", court.pk)
    went(world, "qian", "west")
    went(world, "qian", "west", exit=True)
    page = sign_in("guo").get(reverse("state:inside")).content.decode()
    for words in ("庭院", "1 号楼", "林安", "王宁", "赵访", "1-101", "Visitor", "3 people"):
        assert words in page, words
    assert "钱远" not in page
    look = View.objects.filter(purpose="roll call").values_list("object_id", flat=True)
    assert set(look) == {world.people[name].pk for name in ("lin", "wang", "zhao")}
    chinese = sign_in("guo", "zh-hans").get(reverse("state:inside")).content.decode()
    assert "谁在里面" in chinese


def test_a_car_stands_on_the_list_with_its_time_until_it_is_marked_as_left(
    world: World, sign_in: SignIn
) -> None:
    yard = access.add_area(world.community, "车场", BY)
    Parking.objects.create(area=yard, stay_s=3600)
    now = timezone.now()
    went(world, "lin", "lane", yard.pk, subject="plate:京A12345", at=now - timedelta(hours=2))
    client, url = sign_in("guo"), reverse("state:cars")
    page = client.get(url).content.decode()
    for words in ("京A12345", "林安", "1-101", "Too long", "车场"):
        assert words in page, words
    assert client.post(reverse("state:left"), {"subject": "plate:nobody"}).status_code == 404
    client.post(reverse("state:left"), {"subject": "plate:京A12345"})
    order = Command.objects.get(kind="forgive")
    assert (order.target, order.by) == ("plate:京A12345", "guo")
    assert "京A12345" in client.get(url).content.decode()
    world.happened(K.COMMAND_DONE, order.target, {"kind": "forgive", "command": order.pk})
    assert "京A12345" not in client.get(url).content.decode()
    order.refresh_from_db()
    assert order.acted_at is not None


# After a fire


def test_doors_are_given_back_one_by_one_by_area_or_at_once(world: World, sign_in: SignIn) -> None:
    court = access.add_area(world.community, "庭院", BY)
    for name in ("east", "west"):
        world.points[name].area_to = court
        world.points[name].save()
    client, url = sign_in("guo"), reverse("state:fire")
    assert "No gate or door is held open by fire" in client.get(url).content.decode()
    for name in ("east", "west", "door1"):
        world.happened(K.FIRE_RELEASED, world.portals[name].pk)
        world.happened(K.FIRE_CLEARED, world.portals[name].pk)
    page = client.get(url).content.decode()
    for words in ("东门", "西门", "1 号楼", "庭院", "Area by area"):
        assert words in page, words
    assert client.post(url, {"target": "all"}).status_code == 422
    assert client.post(url, {"target": "portal:p_none", "reason": "看过了"}).status_code == 422
    for target in (f"portal:{world.portals['door1'].pk}", f"area:{court.pk}", "all"):
        assert client.post(url, {"target": target, "reason": "看过了"}).status_code == 302
    sent = Command.objects.filter(kind="fire_restore").order_by("number")
    assert [one.target for one in sent] == [world.portals["door1"].pk, f"area:{court.pk}", "*"]


def test_nothing_is_locked_while_the_fire_panel_still_asks_for_release(
    world: World, sign_in: SignIn
) -> None:
    client, url = sign_in("meng"), reverse("state:fire")
    east = world.portals["east"].pk
    world.happened(K.FIRE_RELEASED, east)
    page = client.get(url).content.decode()
    assert "A fire input is still active" in page
    for target in (f"portal:{east}", "all"):
        answer = client.post(url, {"target": target, "reason": "看过了"})
        assert answer.status_code == 422
        assert "reset the fire panel first" in answer.content.decode()
    assert not Command.objects.exists()
    order = devices.fire_restore(world.portals["east"], "看过了", BY)
    refused = {"command": order.pk, "kind": "fire_restore", "rule": "its fire input is active"}
    world.happened(K.COMMAND_REFUSED, east, refused)
    assert "its fire input is active" in client.get(url).content.decode()


# Tables


def test_a_table_says_whom_it_refuses_to_those_who_may_know(world: World, sign_in: SignIn) -> None:
    card = world.people["lin"].credentials.get(method="card")
    data = {"rows": 40, "missing": 2, "surplus": 1, "refused": [[card.pk, "picture too dark"]]}
    world.happened(K.TABLE_REFUSED, world.camera.pk, data)
    url = reverse("state:tables")
    guard = sign_in("guo").get(url).content.decode()
    for words in ("东门摄像机", "林安", "picture too dark", "Refuses part of it"):
        assert words in guard, words
    installer = sign_in("installer").get(url).content.decode()
    assert "林安" not in installer
    assert card.pk in installer


def test_a_table_needs_a_person_only_after_its_grace(world: World) -> None:
    now = timezone.now()
    world.happened(K.TABLE_BEHIND, world.camera.pk, {"missing": 2}, now)
    assert lines(world) == []
    world.happened(K.TABLE_HELD, world.camera.pk, {}, now)
    world.happened(K.TABLE_BEHIND, world.camera.pk, {"missing": 2}, now - timedelta(minutes=3))
    assert lines(world) == [("The device does not hold everybody yet", "东门摄像机")]


# What needs a person


@pytest.mark.parametrize("kind", sorted(attention.ONCE - attention.ASKING))
def test_what_happened_once_waits_until_somebody_has_taken_note(
    world: World, sign_in: SignIn, kind: K
) -> None:
    first = world.happened(kind, world.portals["east"].pk)
    second = world.happened(kind, world.portals["east"].pk)
    assert len(lines(world)) == 1
    assert "×2" in lines(world)[0][0]
    client = sign_in("guo")
    page = client.get(reverse("console:event", args=[second.pk])).content.decode()
    assert "I have seen to it" in page
    client.post(reverse("state:notice", args=[second.pk]))
    assert lines(world) == []
    assert set(Noticed.objects.values_list("position", "by")) == {
        (first.pk, "guo"),
        (second.pk, "guo"),
    }
    page = client.get(reverse("console:event", args=[first.pk])).content.decode()
    assert "guo has seen to it" in page
    world.happened(kind, world.portals["east"].pk)
    assert len(lines(world)) == 1


def test_what_nobody_saw_to_in_a_shift_leaves_the_list(world: World) -> None:
    world.happened(K.TAILGATING, world.portals["east"].pk, {}, timezone.now() - timedelta(hours=9))
    assert lines(world) == []


def test_a_silent_call_for_help_stands_first_and_looks_like_any_warning(
    world: World, sign_in: SignIn
) -> None:
    world.happened(K.TAILGATING, world.portals["west"].pk)
    world.happened(K.DURESS, world.points["door1"].pk, {"holder": world.people["lin"].pk})
    concerns = board(world.community, timezone.now()).concerns
    assert [one.where for one in concerns] == ["1 号楼入口", "西门"]
    assert concerns[0].tone == Tone.WARNING
    assert "Silent call for help" in sign_in("guo").get("/").content.decode()


@pytest.mark.parametrize(
    ("kind", "text"),
    [(K.ARM_OFF, "knocked off"), (K.ARM_STUCK, "stuck"), (K.VEHICLE_WAITING, "vehicle waits")],
)
def test_a_lane_tells_what_is_wrong_until_it_is_right(world: World, kind: K, text: str) -> None:
    lane = world.portals["lane"].pk
    state = "secured" if kind is K.VEHICLE_WAITING else "fault"
    world.happened(kind, lane, {"state": state})
    assert [(text in what, where) for what, where in lines(world)] == [(True, "车行道")]
    world.happened(
        K.VEHICLE_LEFT if kind is K.VEHICLE_WAITING else K.ARM_RESTORED, lane, {"state": "secured"}
    )
    assert lines(world) == []


def test_who_holds_a_door_and_until_when_stands_on_every_page_about_it(
    world: World, sign_in: SignIn
) -> None:
    east = world.portals["east"].pk
    until = timezone.now() + timedelta(hours=1)
    clock = timezone.localtime(until, ZoneInfo(world.community.zone)).strftime("%H:%M")
    data = {"by": "meng", "until": until.isoformat(), "state": "maintenance"}
    world.happened(K.MAINTENANCE_STARTED, east, data)
    held = {"kind": "hold_locked", "by": "guo", "until": until.isoformat()}
    world.happened(K.COMMAND_DONE, world.portals["west"].pk, held)
    client = sign_in("guo")
    for url in ("/", reverse("access:points")):
        page = client.get(url).content.decode()
        assert f"Maintenance by meng until {clock}" in page
        assert f"Kept locked by guo until {clock}" in page
    page = client.get(reverse("access:command", args=[east])).content.decode()
    assert f"Maintenance by meng until {clock}" in page
    assert "End maintenance" in page


# Orders


@pytest.mark.parametrize("kind", ["hold_locked", "maintenance", "hold_unlocked"])
def test_what_lasts_is_ordered_with_its_end(world: World, sign_in: SignIn, kind: str) -> None:
    url = reverse("access:command", args=[world.portals["east"].pk])
    given = {"kind": kind, "minutes": "60", "why": "fault", "words": ""}
    assert sign_in("guo").post(url, given).status_code == 302
    order = Command.objects.get()
    until = datetime.fromisoformat(order.data["until"])
    assert order.kind == kind
    assert timedelta(minutes=59) < until - timezone.now() <= timedelta(minutes=60)


def test_an_area_or_everything_is_locked_down_by_one_order_to_each_edge(
    world: World, sign_in: SignIn
) -> None:
    court = access.add_area(world.community, "庭院", BY)
    world.points["east"].area_to = court
    world.points["east"].save()
    empty = access.add_area(world.community, "空地", BY)
    client, url = sign_in("meng"), reverse("access:lockdown")
    for where in ("all", court.pk, empty.pk):
        answer = client.post(url, {"action": "start", "where": where, "reason": "演练"})
        assert answer.status_code == 302
    assert [one.target for one in Command.objects.order_by("number")] == ["*", f"area:{court.pk}"]
    page = client.get(reverse("access:points")).content.decode()
    assert "Everything at 东门机房" in page
    assert (
        client.post(url, {"action": "start", "where": "single", "reason": "x"}).status_code == 422
    )


def test_an_order_to_one_door_that_is_not_for_one_door_is_refused(
    world: World, sign_in: SignIn
) -> None:
    url = reverse("access:command", args=[world.portals["east"].pk])
    for kind in ("forgive", "present", "lockdown_end", "x"):
        given = {"kind": kind, "minutes": "5", "why": "fault", "words": ""}
        assert sign_in("guo").post(url, given).status_code == 422
    assert not Command.objects.exists()


# Screens


def test_a_screen_opens_with_its_key_and_no_other(world: World, sign_in: SignIn) -> None:
    east, west = world.points["east"], world.points["west"]
    url = reverse("state:screen", args=[east.pk])
    assert Client().get(url).status_code == 403
    page = sign_in("installer").post(reverse("state:screen_key", args=[east.pk]))
    key = page.content.decode().split("key=")[1].split("<")[0]
    assert page["Cache-Control"] == "no-store"
    assert ScreenKey.objects.get().key_hash != key
    kiosk = Client()
    answer = kiosk.get(url, {"key": key})
    assert answer["Location"] == url
    assert answer.cookies["anlin_screen"]["httponly"]
    assert kiosk.get(url).status_code == 200
    assert kiosk.get(reverse("state:screen", args=[west.pk])).status_code == 403
    for page_name in ("console:live", "state:inside", "state:cars"):
        assert kiosk.get(reverse(page_name)).status_code == 302
    stranger = Client()
    stranger.get(url, {"key": "guess"})
    assert stranger.get(url).status_code == 403
    sign_in("installer").post(reverse("state:screen_key", args=[east.pk]), {"do": "end"})
    assert kiosk.get(url).status_code == 403
    assert point_of(key) is None


def test_staff_look_at_a_screen_of_their_own_community(world: World, sign_in: SignIn) -> None:
    other = make_world("邻村")
    mine = reverse("state:screen", args=[world.points["east"].pk])
    theirs = reverse("state:screen", args=[other.points["east"].pk])
    for member, status in (("guo", 200), ("installer", 200), ("committee", 403), ("liaison", 403)):
        assert sign_in(member).get(mine).status_code == status
        assert sign_in(member).get(theirs).status_code == 403


def test_a_screen_greets_and_tells_no_more_than_the_gate_does(
    world: World, sign_in: SignIn
) -> None:
    url = reverse("state:screen", args=[world.points["east"].pk])
    world.passed("lin", "east", Method.CARD, picture=world.picture(3))
    page = sign_in("guo").get(url).content.decode()
    assert "Please come in, 林女士" in page
    assert "林女士，请进" in sign_in("guo", "zh-hans").get(url).content.decode()
    for secret in ("林安", "1-101", "/media/", "04A1B2C3D4", world.people["lin"].pk):
        assert secret not in page
    world.refused("qian", "east", Method.CARD, Reason.CREDENTIAL_LOST)
    page = sign_in("guo").get(url).content.decode()
    assert "Not authorised" in page
    assert "lost" not in page.lower().replace('id="lost"', "")


def test_a_screen_is_silent_on_what_is_silent(world: World) -> None:
    east = world.points["east"]
    before = world.passed("lin", "east", Method.PIN)
    for kind in (K.DURESS, K.WATCH_HIT, K.REPEATED_DENIALS, K.TAILGATING):
        world.happened(kind, east.pk, {"label": "林女士"})
    assert {K.DURESS, K.WATCH_HIT} & set(KINDS) == set()
    assert [event.pk for event in events_at(east, 0)] == [before.pk]


def test_an_old_greeting_is_gone_and_a_fire_stays(world: World) -> None:
    east, now = world.points["east"], timezone.now()
    long_ago = now - timedelta(hours=1)
    world.passed("lin", "east", Method.CARD, at=long_ago)
    assert last(east, now, "en") is None
    fire = world.happened(K.FIRE_RELEASED, world.portals["east"].pk, {}, long_ago)
    found = last(east, now, "zh-hans")
    assert found is not None
    assert (found.text, found.tone, found.seconds) == ("火警，请立即撤离", "alarm", None)
    assert shown(fire, "en") != found
    closed = world.happened(K.DOOR_CLOSED, world.portals["east"].pk)
    assert shown(closed, "en") is not None
    assert timedelta(minutes=1) > FRESH
    cache.clear()


def test_words_of_a_device_of_its_own_are_not_repeated(world: World) -> None:
    point = world.points["east"].pk
    event = world.happened(K.ACCESS_DENIED, point, {"reason": "ANTI_X", "label": "<b>x</b>"})
    words = shown(event, "en")
    assert words is not None
    assert words.text.startswith("Not authorised")
    granted = world.happened(K.ACCESS_GRANTED, point, {"reason": 7})
    words = shown(granted, "en")
    assert words is not None
    assert words.tone == "granted"


def test_people_of_another_community_are_on_no_list_here(world: World, sign_in: SignIn) -> None:
    other = make_world("邻村")
    went(other, "lin", "east")
    stranger = people.register_holder(other.community, "外人", BY)
    world.happened(
        K.ACCESS_TAKEN, world.portals["east"].pk, {"holder": stranger.pk, "subject": stranger.pk}
    )
    page = sign_in("guo").get(reverse("state:inside")).content.decode()
    assert "林安" not in page
    assert "外人" not in page
