"""The live page: nothing doubled, nothing missed, nothing said louder or quieter than it is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.translation import override

from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.core.explanation import CHECKS
from anlin.hub.console import feed
from anlin.hub.console.board import board, plan
from anlin.hub.console.tests.world import SignIn, World
from anlin.hub.console.words import Tone
from anlin.hub.devices.models import Node
from anlin.hub.people.models import Role

pytestmark = pytest.mark.django_db(databases=["default", "events"])

POSITION = re.compile(r'class="row[^"]*"[^>]*data-position="(\d+)"')


def positions(content: bytes) -> list[int]:
    return [int(found) for found in POSITION.findall(content.decode())]


def test_rows_after_a_position_join_without_a_gap_or_a_double(
    world: World, sign_in: SignIn
) -> None:
    client = sign_in("guo")
    for _ in range(3):
        world.passed("lin", "east", Method.CARD)
    first = client.get("/")
    seen = positions(first.content)
    position = int(first.content.decode().split('id="feed" data-position="')[1].split('"')[0])
    for _ in range(feed.CATCH_UP_ROWS + 7):
        world.passed("wang", "west", Method.CARD)
    rounds = 0
    while True:
        answer = client.get("/console/rows", {"after": position})
        seen = positions(answer.content) + seen
        assert int(answer["Anlin-Position"]) > position
        position = int(answer["Anlin-Position"])
        rounds += 1
        if answer["Anlin-More"] == "0":
            break
    assert rounds == 2
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 3 + feed.CATCH_UP_ROWS + 7
    again = client.get("/console/rows", {"after": position})
    assert positions(again.content) == []
    assert int(again["Anlin-Position"]) == position


def test_the_position_moves_past_events_that_are_not_shown(world: World, sign_in: SignIn) -> None:
    client = sign_in("guo")
    closed = world.happened(EventKind.DOOR_CLOSED, world.portals["east"].pk)
    answer = client.get("/console/rows", {"after": 0})
    assert positions(answer.content) == []
    assert int(answer["Anlin-Position"]) == closed.pk
    everything = client.get("/console/rows?after=0&show=all")
    assert positions(everything.content) == [closed.pk]


def test_one_gate_shows_its_people_and_its_alarms_only(world: World, sign_in: SignIn) -> None:
    here = world.passed("lin", "east", Method.CARD)
    alarm = world.happened(EventKind.DOOR_HELD, world.portals["east"].pk)
    world.passed("lin", "west", Method.CARD)
    answer = sign_in("guo").get(f"/console/rows?after=0&portal={world.portals['east'].pk}")
    assert positions(answer.content) == [alarm.pk, here.pk]


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "after=", "after=9" + "9" * 40, "portal=%00", "show=nothing"]
)
def test_a_bad_query_is_an_ordinary_page(world: World, sign_in: SignIn, query: str) -> None:
    assert sign_in("guo").get(f"/console/rows?{query}").status_code == 200
    assert sign_in("guo").get(f"/?{query}").status_code == 200


def test_earlier_rows_are_reached_by_position(world: World, sign_in: SignIn) -> None:
    made = [world.passed("lin", "east", Method.CARD).pk for _ in range(feed.PAGE_ROWS + 5)]
    client = sign_in("guo")
    newest = positions(client.get("/").content)
    older = positions(client.get("/", {"before": newest[-1]}).content)
    assert newest + older == made[::-1]


def test_a_row_says_who_by_what_why_and_how_fast(world: World, sign_in: SignIn) -> None:
    world.refused("qian", "west", Method.CARD, Reason.RESIDENCY_ENDED, latency_ms=5.2)
    picture = world.picture(3)
    world.refused("", "east", Method.FACE, Reason.FACE_NOT_RECOGNISED, picture=picture)
    text = sign_in("guo").get("/").content.decode()
    for words in ("钱远", "1-201", "Lease has ended", "5 ms", "西门入口", "Unknown face"):
        assert words in text, words
    assert f"/media/{picture}" in text
    chinese = sign_in("guo", "zh-hans").get("/").content.decode()
    assert "租约已到期" in chinese
    assert "不认识的面孔" in chinese


def test_a_name_with_markup_is_text(world: World, sign_in: SignIn) -> None:
    world.refused(
        "", "east", Method.CARD, Reason.CREDENTIAL_UNKNOWN, label="<script>alert(1)</script>"
    )
    text = sign_in("guo").get("/").content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_counts_are_of_today_and_grow_with_the_log(world: World) -> None:
    now = timezone.now()
    world.passed("lin", "east", Method.CARD, at=now - timedelta(days=2))
    world.passed("lin", "east", Method.CARD)
    assert feed.counts_today(world.community, timezone.now())["granted"] == 1
    world.passed("lin", "east", Method.CARD)
    world.refused("lin", "east", Method.FACE, Reason.MASK_WORN)
    world.happened(EventKind.DOOR_FORCED, world.portals["east"].pk)
    counts = feed.counts_today(world.community, timezone.now())
    assert (counts["granted"], counts["denied"], counts["alarms"]) == (2, 1, 1)


def test_every_kind_of_event_has_a_tone_and_is_shown_somewhere(world: World) -> None:
    for kind in EventKind:
        assert isinstance(feed.tone_of({"kind": kind.value}), Tone)
        assert kind in feed.SHOWN["all"]
    assert feed.tone_of({"kind": "camera_state", "state": "covered"}) is Tone.WARNING
    assert feed.tone_of({"kind": "camera_state", "state": "online"}) is Tone.INFO


def test_a_calm_night_says_so_in_one_line(world: World, sign_in: SignIn) -> None:
    assert "All is well" in sign_in("guo").get("/").content.decode()


def test_forced_stands_before_held_and_says_what_to_do(world: World) -> None:
    world.happened(EventKind.DOOR_HELD, world.portals["door1"].pk)
    world.happened(EventKind.DOOR_FORCED, world.portals["door2"].pk)
    concerns = board(world.community, timezone.now()).concerns
    assert [concern.where for concern in concerns] == ["2 号楼", "1 号楼"]
    assert all(concern.advice for concern in concerns)


def test_a_silent_edge_greys_calm_states_and_keeps_alarms_red(world: World) -> None:
    world.happened(EventKind.DOOR_FORCED, world.portals["door2"].pk)
    Node.objects.update(last_seen_at=timezone.now() - timedelta(minutes=5))
    now = board(world.community, timezone.now())
    assert [node.name for node in now.silent] == ["东门机房"]
    tones = {view.portal.name: view.tone for view in now.portals}
    assert tones["2 号楼"] == Tone.ALARM
    assert tones["东门"] == Tone.INFO


@pytest.mark.parametrize("count", [0, 1, 9])
def test_the_plan_has_a_place_for_every_portal(world: World, count: int) -> None:
    views = board(world.community, timezone.now()).portals * 2
    drawn = plan(views[:count])
    assert len({(spot.x, spot.y) for spot in drawn.spots}) == count
    assert all(0 < spot.x < drawn.width and 0 < spot.y < drawn.height for spot in drawn.spots)


def test_an_event_explains_every_check(world: World, sign_in: SignIn) -> None:
    event = world.refused("qian", "west", Method.CARD, Reason.RESIDENCY_ENDED)
    text = sign_in("guo").get(f"/events/{event.pk}").content.decode()
    rule = [check.name for check in CHECKS].index("rule")
    # A card passes no camera, no keypad, no QR code; and she is no visitor on a path.
    assert text.count('class="not_applicable"') == 4
    assert text.count('class="passed"') == rule - 4
    assert text.count('class="fell"') == 1
    assert text.count('class="not_reached"') == len(CHECKS) - rule - 1
    assert "An access rule admits the holder now" in text
    granted = world.passed("lin", "east", Method.CARD)
    text = sign_in("guo").get(f"/events/{granted.pk}").content.decode()
    shown = [text.count(f'class="{outcome}"') for outcome in ("passed", "not_applicable")]
    assert sum(shown) == len(CHECKS)
    assert sign_in("guo").get("/events/99999999999999999999").status_code == 404


def test_an_event_of_a_device_tells_which_part_and_what_it_says(
    world: World, sign_in: SignIn
) -> None:
    data = {"part": "reader 1", "detail": "does not answer any more"}
    event = world.happened(EventKind.DEVICE_OFFLINE, world.camera.pk, data)
    client = sign_in("guo")
    client.cookies["anlin_language"] = "zh-hans"
    client_of_meng = sign_in("meng")
    client_of_meng.cookies["anlin_language"] = "zh-hans"
    text = client.get(f"/events/{event.pk}").content.decode()
    assert "识读设备 1" in text
    assert "不再应答" in text
    devices = client_of_meng.get("/nodes").content.decode()
    assert "识读设备 1 · 不再应答" in devices
    world.happened(EventKind.TAMPER_CLEARED, world.camera.pk, {"part": "reader 1"})
    devices = client_of_meng.get("/nodes").content.decode()
    assert "识读设备 1 · 不再应答" in devices, "what is still wrong stays"
    refused = {
        "detail": "tcp://192.0.2.7:4001: [Errno 111] Connect call failed ('192.0.2.7', 4001)"
    }
    event = world.happened(EventKind.DEVICE_OFFLINE, world.camera.pk, refused)
    text = client.get(f"/events/{event.pk}").content.decode()
    assert "tcp://192.0.2.7:4001：那里没有应答" in text
    assert "Errno" not in text


def test_an_event_tells_how_many_went_through_and_what_was_refused(
    world: World, sign_in: SignIn
) -> None:
    client, east = sign_in("guo"), world.portals["east"].pk
    event = world.happened(EventKind.TAILGATING, east, {"granted": 1, "persons": 2})
    text = " ".join(client.get(f"/events/{event.pk}").content.decode().split())
    assert "<dt>Persons let in</dt><dd>1</dd><dt>Persons who went through</dt><dd>2</dd>" in text
    data = {"rule": "up/arm: input is not wired in this device's settings", "value": '{"input": 1}'}
    event = world.happened(EventKind.MESSAGE_REFUSED, world.camera.pk, data)
    text = client.get(f"/events/{event.pk}").content.decode()
    assert "input is not wired" in text
    assert text.count("{&quot;input&quot;: 1}") == 1


def test_an_order_that_did_not_arrive_is_not_called_a_message_of_the_device(
    world: World, sign_in: SignIn
) -> None:
    data = {"rule": "release not sent: module m1: write_coil 0: not connected", "value": ""}
    event = world.happened(EventKind.MESSAGE_REFUSED, world.camera.pk, data)
    coded = {"code": "release_not_sent", "rule": "module m1: not connected", "portal": "p"}
    later = world.happened(EventKind.MESSAGE_REFUSED, world.camera.pk, coded)
    client = sign_in("guo")
    for position in (event.pk, later.pk):
        text = client.get(f"/events/{position}").content.decode()
        assert "The order to open did not reach the device; look at it" in text
        assert "<dt>Technical detail</dt>" in text


def test_an_exit_button_is_no_stranger(world: World) -> None:
    data = {"reason": "free_egress", "method": "exit_button", "point": world.points["east"].pk}
    event = world.happened(EventKind.ACCESS_GRANTED, world.points["east"].pk, data)
    with override("en"):
        assert feed.shown([event])[0]["title"] == "Exit button"
    with override("zh-hans"):
        assert feed.shown([event])[0]["title"] == "出门按钮"


def test_an_order_for_every_portal_names_them_all(world: World, sign_in: SignIn) -> None:
    event = world.happened(EventKind.COMMAND_DONE, "*", {"command": "c1"})
    assert "<dd>All gates</dd>" in sign_in("guo").get(f"/events/{event.pk}").content.decode()


def test_what_a_board_decided_is_told_in_the_language_of_the_page(
    world: World, sign_in: SignIn
) -> None:
    point = world.points["east"].pk
    data = {"reason": "card not valid", "decided_by": "device", "ours": "credential_unknown"}
    event = world.happened(
        EventKind.ACCESS_DENIED, point, {**data, "method": "card", "point": point}
    )
    client = sign_in("guo")
    client.cookies["anlin_language"] = "zh-hans"
    text = client.get(f"/events/{event.pk}").content.decode()
    assert "控制板上没有这张卡" in text
    assert "card not valid" not in text


def test_tailgating_counts_as_an_alarm_and_duress_for_those_who_may_be_told(world: World) -> None:
    now = timezone.now()
    world.happened(EventKind.TAILGATING, world.portals["east"].pk)
    world.happened(EventKind.DURESS, world.points["east"].pk)
    counts = {role: feed.counts_today(world.community, now, role)["alarms"] for role in Role}
    told = {Role.GUARD, Role.MANAGER}
    assert counts == {role: 2 if role in told else 1 for role in Role}
    assert feed.counts_today(world.community, now)["alarms"] == 1
