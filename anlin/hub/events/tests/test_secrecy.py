"""Who is sought, and who called for help: told to those who may know, and to nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access import services as access
from anlin.hub.access.models import WatchEntry
from anlin.hub.audit.log import Actor, Via
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.events.models import Event
from anlin.hub.live import streams
from anlin.hub.people import services as people
from anlin.hub.people.models import Role

pytestmark = pytest.mark.django_db(databases=["default", "events"])
__all__ = ["_catalogues", "sign_in", "world"]

LABEL, LETTER = "被盗白色轿车", "公（刑）字 88 号"
EVERYBODY = ("guo", "meng", "committee", "installer", "auditor", "liaison")


@pytest.fixture
def entry(world: World) -> WatchEntry:
    """Let the liaison propose an entry and a second person, whom it names, approve it."""
    found = access.propose_watch(
        world.community,
        Actor.staff(world.staff["liaison"], Via.PAGE),
        label=LABEL,
        source=LETTER,
        legal_basis="刑事诉讼法第一百四十一条",
        valid_until=timezone.now() + timedelta(days=30),
        method=Method.PLATE,
        key="京A12345",
        roles=[Role.AUDITOR],
    )
    access.approve_watch(found, Actor.staff(world.staff["auditor"], Via.PAGE))
    return found


@pytest.fixture
def hit(world: World, entry: WatchEntry) -> Event:
    world.passed("lin", "lane", Method.PLATE, value="京A12345")
    data = {"entry": entry.pk, "reason": "granted"}
    return world.happened(EventKind.WATCH_HIT, world.points["lane"].pk, data)


def pages(world: World) -> Iterator[str]:
    """Give every page, part and list that shows what happens."""
    lane = world.portals["lane"].pk
    for show in ("", "people", "alarms", "all"):
        yield f"/console/rows?after=0&show={show}"
        yield f"/?show={show}"
        yield f"/console/rows?after=0&show={show}&portal={lane}"
    yield "/console/state"
    yield from (
        reverse(name)
        for name in (
            "access:points",
            "access:recent",
            "people:holders",
            "state:inside",
            "state:cars",
            "state:tables",
            "audit:changes",
            "audit:looks",
            "console:more",
        )
    )
    yield reverse("people:holder", args=[world.people["lin"].pk])
    yield reverse("audit:changes") + "?q=watch"
    yield reverse("audit:looks") + "?q=watch"
    yield reverse("people:holders") + "?q=被盗"
    yield "/api/v1/events?after=0"
    yield "/api/v1/events?after=0&kind=watch_hit"


def test_guard_manager_and_installer_see_no_hit_on_any_page(
    world: World, sign_in: SignIn, entry: WatchEntry, hit: Event
) -> None:
    # Those who may know have looked, and left their line in the logs.
    sign_in("liaison").get(reverse("watch:entry", args=[entry.pk]))
    sign_in("auditor").get(reverse("watch:entries"))
    secrets = (LABEL, LETTER, entry.pk, "watch_hit", "watch entry", "propose watch", "sought was")
    seen = 0
    for member in ("guo", "meng", "installer"):
        client = sign_in(member)
        for url in pages(world):
            answer = client.get(url)
            text = answer.content.decode()
            seen += answer.status_code == 200
            # A page lists every kind of event there is for its script to listen to.
            told = text.replace(" ".join(kind.value for kind in EventKind), "")
            for secret in secrets:
                assert secret not in told, (member, url, secret)
        for name, args in (
            ("console:event", [hit.pk]),
            ("watch:entry", [entry.pk]),
            ("watch:feedback", [entry.pk, hit.pk]),
            ("state:notice", [hit.pk]),
        ):
            for answer in (
                client.get(reverse(name, args=args)),
                client.post(reverse(name, args=args)),
            ):
                assert answer.status_code in (403, 404, 405), (member, name)
    assert seen > 40


def test_the_attention_list_and_the_counts_know_nothing_of_a_hit(
    world: World, sign_in: SignIn, hit: Event
) -> None:
    page = sign_in("meng").get("/console/state").content.decode()
    assert "All is well" in page


@pytest.mark.parametrize("member", EVERYBODY)
def test_the_program_interface_tells_nobody_of_a_hit(world: World, hit: Event, member: str) -> None:
    staff = world.staff[member]
    _token, text = people.add_api_token(staff, "test", BY)
    as_program = {"authorization": f"Bearer {text}"}
    for query in ("", "&kind=watch_hit"):
        answer = Client(headers=as_program).get(f"/api/v1/events?after=0{query}")
        assert answer.status_code in (200, 403)
        assert "watch_hit" not in answer.content.decode()


def streamed(world: World, role: Role) -> list[str]:
    found = streams._rows_after(world.community.pk, role, 0, [], "en")
    return [json.loads(text.decode().split("data: ")[1])["kind"] for _position, text in found]


@pytest.mark.parametrize("role", list(Role))
def test_no_stream_carries_a_hit(world: World, hit: Event, role: Role) -> None:
    assert streamed(world, role) == ["access_granted"]
    asked = streams._rows_after(world.community.pk, role, 0, ["watch_hit"], "en")
    assert asked == []


def test_the_liaison_sees_the_hit_and_says_what_came_of_it(
    world: World, sign_in: SignIn, entry: WatchEntry, hit: Event
) -> None:
    client = sign_in("liaison")
    page = client.get(reverse("watch:entry", args=[entry.pk])).content.decode()
    assert "车行道入口" in page
    client.post(
        reverse("watch:feedback", args=[entry.pk, hit.pk]), {"verdict": "wrong", "note": "换了牌"}
    )
    said = entry.feedback.get()
    assert (said.verdict, said.by, said.position) == ("wrong", "liaison", hit.pk)
    assert entry.approved_by != entry.proposed_by
    assert sign_in("auditor").get(reverse("watch:entry", args=[entry.pk])).status_code == 200
    assert sign_in("committee").get(reverse("watch:entry", args=[entry.pk])).status_code == 404


def test_a_call_for_help_is_told_to_who_can_help(world: World, sign_in: SignIn) -> None:
    data = {"holder": world.people["lin"].pk, "label": "林女士", "method": "pin"}
    event = world.happened(EventKind.DURESS, world.points["door1"].pk, data)
    for member in ("guo", "meng"):
        assert "Silent call for help" in sign_in(member).get("/").content.decode()
        url = reverse("console:event", args=[event.pk])
        assert sign_in(member).get(url).status_code == 200
    assert {role for role in Role if "duress" in streamed(world, role)} == {
        Role.GUARD,
        Role.MANAGER,
    }
    for member in EVERYBODY:
        answer = sign_in(member).get("/api/v1/events?after=0")
        is_told = "duress" in answer.content.decode()
        assert is_told == (member in ("guo", "meng")), member
