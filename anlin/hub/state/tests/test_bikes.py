"""A question about an e-bike: compiled for the edges, shown to the guard, answered once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone, translation

from anlin.core.codec import canonical_json, to_data
from anlin.core.event import EventKind as K
from anlin.core.policy import Delta, Policy
from anlin.hub.access.models import PolicyChange
from anlin.hub.access.policy import compile_changes, delta_for
from anlin.hub.audit.models import Change, View
from anlin.hub.console.board import Concern, board
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.events.models import Event
from anlin.hub.people import services as people
from anlin.hub.people.models import ResidencyKind
from anlin.hub.privacy.forget import is_personal
from anlin.hub.state.models import Noticed
from anlin.hub.vehicles import services as vehicles
from anlin.hub.vehicles.models import EBike

pytestmark = pytest.mark.django_db(databases=["default", "events"])
__all__ = ["_catalogues", "sign_in", "world"]

PHONE = "13800001234"


def bike_of(world: World, **changed: str) -> EBike:
    numbers = {"tag": "E20047", "plate": "A1234", "brand": "雅迪", "colour": "白", **changed}
    return vehicles.add_ebike(world.people["lin"], BY, **numbers)


def asked(world: World, bike: EBike, who: str | None = "wang") -> Event:
    point = world.points["east"]
    data = {"bike": bike.pk, "owner": bike.owner_id, "point": point.pk, "portal": point.portal_id}
    if who is not None:
        data["holder"] = world.people[who].pk
    return world.happened(K.BIKE_QUESTION, point.pk, data)


def questions(world: World) -> list[Concern]:
    with translation.override("en"):
        found = board(world.community, timezone.now()).concerns
        return [concern for concern in found if "e-bike" in str(concern.what)]


def policy(world: World) -> Policy:
    made, delta = Policy(), delta_for(world.node, 0)
    assert isinstance(delta, Delta)
    made.apply(delta)
    return made


def test_an_e_bike_with_a_tag_reaches_the_edges_and_leaves_them(world: World) -> None:
    replica = policy(world)
    bike = bike_of(world)
    found = policy(world).bike_by_tag("E20047")
    assert found is not None
    assert (found.id, found.holder) == (bike.pk, world.people["lin"].pk)
    vehicles.change_ebike(bike, BY, tag="E2FF")
    assert policy(world).bike_by_tag("E20047") is None
    assert policy(world).bike_by_tag("E2FF") is not None
    vehicles.change_ebike(bike, BY, plate="A1234")
    assert not policy(world).bikes, "without a tag no antenna knows it"
    vehicles.change_ebike(bike, BY, tag="E20047")
    vehicles.end_ebike(bike, BY)
    assert not policy(world).bikes
    delta = delta_for(world.node, replica.revision)
    assert isinstance(delta, Delta)
    replica.apply(delta)
    assert canonical_json(to_data(replica.snapshot().changes)).count(b"bike") == 0
    assert replica.revision == policy(world).revision
    assert not replica.bikes
    assert compile_changes(world.community) == 0


def test_who_lives_with_the_owner_is_known_for_as_long_as_they_do(world: World) -> None:
    bike = bike_of(world)
    home = world.people["lin"].residencies.get().unit
    mate = people.register_holder(world.community, "林家人", BY)
    ends = timezone.now() + timedelta(days=30)
    people.add_residency(mate, home, ResidencyKind.TENANT, BY, ends_at=ends)
    (told,) = policy(world).bikes[bike.pk].household
    assert (told.holder, told.valid_until) == (mate.pk, ends)
    assert compile_changes(world.community) == 0
    kept = PolicyChange.objects.filter(kind="bike")
    assert kept.count() == 1, "who once lived together stands in no history"


def test_the_guard_sees_each_question_with_the_owners_telephone_and_that_is_written_down(
    world: World, sign_in: SignIn
) -> None:
    cache.clear()
    people.change_holder(world.people["lin"], BY, phone=PHONE)
    first, second = bike_of(world), bike_of(world, tag="E2FF", plate="B9876")
    one, other = asked(world, first), asked(world, second, None)
    mine = questions(world)
    assert len(mine) == 2, "each is about another bike"
    assert all(concern.advice for concern in mine)
    page = sign_in("guo").get(reverse("console:event", args=[one.pk])).content.decode()
    for words in ("林安", PHONE, "1-101", "A1234", "雅迪 · 白", "王宁", "The owner agreed"):
        assert words in page, words
    looked = View.objects.filter(purpose="e-bike question", who="guo")
    assert [look.object_id for look in looked] == [world.people["lin"].pk]
    page = sign_in("guo").get(reverse("console:event", args=[other.pk])).content.decode()
    assert "Somebody unknown" in page
    chinese = sign_in("guo", "zh-hans").get(reverse("console:event", args=[one.pk]))
    for words in ("车主同意", "已劝阻", "有人推走了别人的电动自行车"):
        assert words in chinese.content.decode(), words
    assert is_personal(other), "the owner is named in it, so it goes when its time is over"


def test_an_answer_is_given_once_by_name_and_the_row_leaves_the_list(
    world: World, sign_in: SignIn
) -> None:
    cache.clear()
    one, other = asked(world, bike_of(world)), asked(world, bike_of(world, tag="E2FF", plate="B1"))
    url = reverse("state:notice", args=[other.pk])
    guo, meng = sign_in("guo"), sign_in("meng")
    for junk in ({}, {"answer": "yes"}, {"answer": "agreed\x00"}):
        page = guo.post(url, junk, follow=True).content.decode()
        assert "choose one of the three" in page
    assert not Noticed.objects.exists()
    assert (
        "Noted, with your name" in guo.post(url, {"answer": "agreed"}, follow=True).content.decode()
    )
    guo.post(url, {"answer": "agreed"})
    page = meng.post(url, {"answer": "stopped"}, follow=True).content.decode()
    assert "guo answered before: The owner agreed" in page
    assert "The owner agreed: guo" in page
    row = Noticed.objects.get()
    assert (row.position, row.by, row.answer) == (other.pk, "guo", "agreed")
    line = Change.objects.get(action="answer e-bike question")
    assert line.after is not None
    assert (line.who, line.after["answer"]) == ("guo", "agreed")
    assert [concern.url for concern in questions(world)] == [
        reverse("console:event", args=[one.pk])
    ]


def test_a_bike_that_is_gone_and_one_of_another_community_show_nobody(
    world: World, sign_in: SignIn
) -> None:
    bike = bike_of(world)
    event = asked(world, bike)
    vehicles.end_ebike(bike, BY)
    page = sign_in("guo").get(reverse("console:event", args=[event.pk])).content.decode()
    assert "not registered any more" in page
    assert "林安" not in page
    for rubbish in (7, None, ["eb_x"], "x" * 500):
        odd = world.happened(K.BIKE_QUESTION, world.points["east"].pk, {"bike": rubbish})
        assert sign_in("guo").get(reverse("console:event", args=[odd.pk])).status_code == 200
