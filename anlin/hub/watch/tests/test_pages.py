"""The pages of watch entries: two persons, the named roles, and nobody of the property."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access.models import WatchEntry
from anlin.hub.access.tests.test_policy import replica
from anlin.hub.audit.models import View
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.people import services as people
from anlin.hub.people.models import Role

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def proposal(**given: Any) -> dict[str, Any]:
    return {
        "label": "被盗车辆",
        "method": "plate",
        "key": "京B66666",
        "source": "派出所 2026-114 号函",
        "legal_basis": "反有组织犯罪法第四十条",
        "roles": ["auditor"],
        "last_day": str(timezone.localdate() + timedelta(days=60)),
        **given,
    }


def proposed(sign_in: SignIn) -> WatchEntry:
    answer = sign_in("liaison").post(reverse("watch:propose"), proposal())
    assert answer.status_code == 302
    return WatchEntry.objects.get()


def test_two_persons_put_an_entry_in_force_and_one_ends_it(world: World, sign_in: SignIn) -> None:
    entry = proposed(sign_in)
    url = reverse("watch:entry", args=[entry.pk])
    liaison, auditor = sign_in("liaison"), sign_in("auditor")
    assert "a second person has to approve it" in liaison.get(url).content.decode()
    refused = liaison.post(reverse("watch:approve", args=[entry.pk]), follow=True)
    assert "second person" in refused.content.decode()
    assert replica(world.node).watched(Method.PLATE, "京B66666") == ()
    auditor.post(reverse("watch:approve", args=[entry.pk]))
    assert replica(world.node).watched(Method.PLATE, "京B66666") != ()
    assert auditor.post(reverse("watch:end", args=[entry.pk]), {"reason": ""}).status_code == 422
    auditor.post(reverse("watch:end", args=[entry.pk]), {"reason": "车已找到"})
    assert replica(world.node).watched(Method.PLATE, "京B66666") == ()


def test_an_entry_that_is_not_named_to_a_role_is_not_there_for_it(
    world: World, sign_in: SignIn
) -> None:
    entry = proposed(sign_in)
    committee = sign_in("committee")
    assert "被盗车辆" not in committee.get(reverse("watch:entries")).content.decode()
    assert "被盗车辆" in sign_in("auditor").get(reverse("watch:entries")).content.decode()
    for name in ("watch:entry", "watch:approve", "watch:end"):
        url = reverse(name, args=[entry.pk])
        ask = committee.get if name == "watch:entry" else committee.post
        assert ask(url).status_code == 404
    for member in ("guo", "meng", "installer"):
        client = sign_in(member)
        assert client.get(reverse("watch:entry", args=[entry.pk])).status_code == 403
        assert client.post(reverse("watch:approve", args=[entry.pk])).status_code == 403
        assert client.post(reverse("watch:end", args=[entry.pk])).status_code == 403


def test_the_property_learns_of_a_hit_nowhere_and_the_liaison_does(
    world: World, sign_in: SignIn
) -> None:
    entry = proposed(sign_in)
    hit = world.happened(
        EventKind.WATCH_HIT,
        world.points["lane"].pk,
        {"entry": entry.pk, "point": world.points["lane"].pk, "method": "plate"},
    )
    for show in ("", "people", "alarms", "all"):
        rows = sign_in("guo").get(f"/console/rows?after=0&show={show}").content.decode()
        assert "watch" not in rows
    changes = sign_in("meng").get(reverse("audit:changes")).content.decode()
    assert "watch" not in changes
    assert (
        "proposed a watch entry"
        in sign_in("auditor").get(reverse("audit:changes")).content.decode()
    )
    liaison = sign_in("liaison")
    page = liaison.get(reverse("watch:entry", args=[entry.pk])).content.decode()
    assert "车行道入口" in page
    url = reverse("watch:feedback", args=[entry.pk, hit.pk])
    liaison.post(url, {"verdict": "wrong", "note": "车牌被误读"})
    liaison.post(url, {"verdict": "wrong", "note": "颜色不符"})
    said = entry.feedback.get()
    assert (said.verdict, said.note, said.by) == ("wrong", "颜色不符", "liaison")
    assert (
        "It was somebody else"
        in liaison.get(reverse("watch:entry", args=[entry.pk])).content.decode()
    )


def test_every_look_is_written_down_and_no_browser_keeps_it(world: World, sign_in: SignIn) -> None:
    entry = proposed(sign_in)
    answer = sign_in("auditor").get(reverse("watch:entry", args=[entry.pk]))
    assert answer["Cache-Control"] == "no-store"
    assert View.objects.filter(what="watch entry", object_id=entry.pk, who="auditor").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": ""}, "by which letter"),
        ({"legal_basis": ""}, "by which letter"),
        ({"last_day": ""}, "It needs an end"),
        ({"last_day": "2020-01-01"}, "between today and a year"),
        ({"last_day": "2999-01-01"}, "between today and a year"),
        ({"key": "66666"}, "66666"),
        ({"credential": "cr_unknown"}, "no such credential"),
        ({"roles": ["manager"]}, "manager is not one of the available choices"),
    ],
)
def test_a_proposal_without_basis_or_end_is_told_what_is_missing(
    world: World, sign_in: SignIn, given: dict[str, Any], said: str
) -> None:
    answer = sign_in("liaison").post(reverse("watch:propose"), proposal(**given))
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not WatchEntry.objects.exists()


def test_one_of_our_own_credentials_can_be_watched_for(world: World, sign_in: SignIn) -> None:
    card = world.people["qian"].credentials.get()
    given = proposal(credential=card.pk, key="")
    assert sign_in("liaison").post(reverse("watch:propose"), given).status_code == 302
    assert WatchEntry.objects.get().key == card.key


def test_a_liaison_of_another_community_finds_nothing(world: World, sign_in: SignIn) -> None:
    entry = proposed(sign_in)
    other = people.create_community("邻村", BY)
    staff, _ = people.add_staff(other, "liaison-other", Role.LIAISON, BY)
    client = sign_in("liaison")
    client.force_login(staff.user)
    assert client.get(reverse("watch:entry", args=[entry.pk])).status_code == 404
