"""Requests about one's own data: written down, in time, answered by a named person."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from anlin.core.entities import Method
from anlin.hub.access import services as access
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.audit.models import View
from anlin.hub.console.tests.world import BY, World
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder
from anlin.hub.privacy import faces, services
from anlin.hub.privacy import requests as asking
from anlin.hub.privacy.models import Ask, Request, RequestState, Settings, Site

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def test_asking_twice_asks_once(world: World) -> None:
    lin = world.people["lin"]
    first = services.ask(lin, Ask.ACCESS, "", Actor.resident(lin))
    assert services.ask(lin, "access", "", Actor.resident(lin)) == first
    assert services.requests_of(lin).count() == 1
    assert not services.requests_of(world.people["wang"]).exists()


@pytest.mark.parametrize(
    ("kind", "text"), [("nonsense", ""), ("correct", " "), ("access", "x" * 1001)]
)
def test_a_request_that_says_nothing_is_refused(world: World, kind: str, text: str) -> None:
    with pytest.raises(RuleError):
        services.ask(world.people["lin"], kind, text, BY)


def test_the_last_day_counts_working_days_and_the_communitys_holidays(world: World) -> None:
    # A Wednesday, at night in Shanghai already Thursday.
    at = datetime(2027, 1, 13, 17, 0, tzinfo=UTC)
    assert asking.due_on(world.community, at) == date(2027, 2, 4)
    access.add_holidays(world.community, "x", [date(2027, 1, 18), date(2027, 1, 23)], BY)
    assert asking.due_on(world.community, at) == date(2027, 2, 5)
    Settings.objects.create(community=world.community, answer_days=1)
    assert asking.due_on(world.community, at) == date(2027, 1, 15)


def test_a_request_is_overdue_the_day_after_its_last(world: World) -> None:
    made = services.ask(world.people["lin"], Ask.ACCESS, "", BY)
    assert not asking.overdue(world.community, made.due_on).exists()
    assert asking.overdue(world.community, made.due_on + timedelta(days=1)).get() == made


def test_one_person_handles_a_request_and_a_refusal_has_its_reason(world: World) -> None:
    made = services.ask(world.people["lin"], Ask.CORRECT, "名字写错了", BY)
    guo, meng = Actor.command("guo"), Actor.command("meng")
    services.take(made, meng)
    with pytest.raises(RuleError):
        services.take(made, guo)
    services.take(made, meng)
    with pytest.raises(RuleError):
        services.refuse(made, " ", meng)
    with pytest.raises(RuleError):
        services.finish(made, "", meng)
    services.finish(made, "已改为林安", meng)
    made.refresh_from_db()
    assert (made.state, made.handled_by, made.answer) == ("done", "meng", "已改为林安")
    for again in (services.refuse, services.finish):
        with pytest.raises(RuleError):
            again(made, "another word", meng)


def test_a_deletion_waits_for_the_end_of_the_home_and_then_leaves_only_numbers(
    world: World,
) -> None:
    lin = world.people["lin"]
    made = services.ask(lin, Ask.DELETE, "请删除我", Actor.resident(lin))
    with pytest.raises(RuleError):
        services.finish(made, "", BY)
    made.refresh_from_db()
    assert made.state == RequestState.NEW
    people.move_out(lin, BY, at=timezone.now() - timedelta(seconds=1))
    services.finish(made, "林安已删除", BY)
    made.refresh_from_db()
    assert made.state == RequestState.DONE
    assert made.holder is None
    assert (made.text, made.asked_by, made.answer) == ("", "", "")
    assert made.outcome["people.Holder"] == 1
    assert not Holder.objects.filter(pk=lin.pk).exists()


def test_a_copy_holds_everything_about_the_person_and_nothing_of_others(world: World) -> None:
    lin, wang = world.people["lin"], world.people["wang"]
    picture = world.picture(5)
    world.passed("lin", "east", Method.CARD, picture=picture, value="04A1B2C3D4")
    world.passed("wang", "west", Method.CARD)
    viewed(Actor.command("guo"), world.community, "holder", [lin.pk], "asked at the gate")
    body, counts = services.make_zip(lin, BY)
    with zipfile.ZipFile(io.BytesIO(body)) as file:
        data = json.loads(file.read("data.json"))
        page = file.read("index.html").decode()
        assert f"pictures/{picture}" in file.namelist()
    text = json.dumps(data, ensure_ascii=False)
    held = data["held"]
    assert held["people.Holder"][0]["phone"] == "13800000001"
    assert {row["key"] for row in held["access.Credential"]} == {"04A1B2C3D4", "京A12345"}
    assert held["events"][0]["place"] == "东门入口"
    assert held["audit.View"][0]["purpose"] == "asked at the gate"
    assert counts["events"] == 1
    assert wang.pk not in text
    assert "王宁" not in text
    assert "phone_index" not in text
    assert "林安" in page
    assert View.objects.filter(object_id=lin.pk, what="export").exists()


def test_a_resident_reads_who_looked_but_not_of_watch_entries(world: World) -> None:
    lin = world.people["lin"]
    viewed(Actor.staff(world.staff["guo"], BY.via), world.community, "holder", [lin.pk], "x")
    viewed(Actor.command("liaison"), world.community, "watch entry", [lin.pk], "secret")
    viewed(Actor.resident(lin), world.community, "holder", [lin.pk])
    [look] = services.looks_for(lin)
    assert (look.who, look.what, look.purpose) == ("郭", "holder", "x")
    assert look.role
    assert services.looks_for(world.people["wang"]) == []


def test_the_count_of_faces_warns_and_sets_the_day_to_file(world: World) -> None:
    levels = {
        0: "calm",
        79_999: "calm",
        80_000: "warning",
        94_999: "warning",
        95_000: "urgent",
        99_999: "urgent",
    }
    for persons, level in levels.items():
        assert faces.counter(world.community, persons).level == level, persons
    now = datetime(2027, 1, 13, 1, 0, tzinfo=UTC)
    reached = faces.counter(world.community, 100_000, now)
    assert (reached.level, reached.due_on) == ("due", date(2027, 2, 24))
    # The duty stays when some have left since, and is over on the day after.
    later = faces.counter(world.community, 99_000, now + timedelta(days=43))
    assert later.level == "overdue"
    Settings.objects.update(filed_on=date(2027, 2, 1))
    assert faces.counter(world.community, 100_000, now).level == "filed"


def test_one_person_in_two_communities_is_counted_once(world: World) -> None:
    from anlin.hub.access.models import Credential
    from anlin.hub.console.tests.world import make_world

    other = make_world("邻村")
    for one in (world, other):
        for name in ("lin", "wang"):
            Credential.objects.create(
                community=one.community, holder=one.people[name], method="face", key=name
            )
    # Lin is known by name and telephone; nothing tells the two Wangs for one.
    assert faces.stored_persons() == 3


def test_a_camera_with_faces_can_not_be_put_into_a_private_place(world: World) -> None:
    with pytest.raises(RuleError):
        faces.set_site(world.camera, BY, area="toilet")
    faces.set_site(world.camera, BY, area="entrance", necessity="x")
    Site.objects.update(area="changing")
    [placed] = faces.register(world.community, date(2027, 1, 1))
    assert len(placed.faults) >= 2
    assert Request.objects.count() == 0
