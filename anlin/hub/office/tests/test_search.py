from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from anlin.hub.access import services as access
from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import View
from anlin.hub.console.tests.world import World
from anlin.hub.office import index
from anlin.hub.office.models import SearchTerm
from anlin.hub.office.search import logged, search
from anlin.hub.people import services as people
from anlin.hub.people.models import Building, Holder, StaffProfile

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def names(staff: StaffProfile, query: str) -> list[str]:
    index.catch_up()
    return [hit.holder.name for hit in search(staff, query, timezone.now()).hits]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("林安", ["林安"]),
        ("安", ["林安"]),
        (" 林 安 ", ["林安"]),
        ("林远", []),
        ("1-101", ["林安"]),
        ("1号楼101", ["林安"]),
        ("１号楼１０１室", ["林安"]),
        ("1栋101", ["林安"]),
        ("101", ["林安"]),
        ("1-102", ["王宁"]),
        ("0001", ["林安"]),
        ("13800000001", ["林安"]),
        ("138 0000 0001", ["林安"]),
        ("13800000002", []),
        ("京A12345", ["林安"]),
        ("京a·12345", ["林安"]),
        ("12345", ["林安"]),
        ("345", ["林安"]),
        ("04A1B2C3D4", ["林安"]),
        ("04:a1:b2:c3:d4", ["林安"]),
        ("B2C3D4", ["林安"]),
        ("%", []),
        ("' OR 1=1 --", []),
        ("", []),
    ],
)
def test_people_are_found_by_whatever_is_known_of_them(
    meng: StaffProfile, query: str, found: list[str]
) -> None:
    assert names(meng, query) == found


def test_who_moved_out_is_found_last_and_marked(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    gone = people.register_holder(world.community, "林安", by)
    people.move_out(gone, by)
    index.catch_up()
    hits = search(meng, "林安", timezone.now()).hits
    assert [hit.holder.status for hit in hits] == ["active", "left"]
    (qian,) = search(meng, "钱", timezone.now()).hits
    assert qian.homes == (("1-201", False),)


def test_what_changes_is_found_at_the_next_search(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    lin = world.people["lin"]
    assert names(meng, "林") == ["林安"]
    people.change_holder(lin, by, name="林静")
    assert names(meng, "林安") == []
    assert names(meng, "静") == ["林静"]
    car = access.add_plate(lin, "沪B54321", by)
    assert names(meng, "54321") == ["林静"]
    access.revoke_credential(car, by)
    assert names(meng, "54321") == []
    people.end_residency(lin.residencies.get(), by)
    (hit,) = search(meng, "1-101", timezone.now()).hits
    assert hit.homes == (("1-101", False),)
    pk = lin.pk
    Holder.objects.filter(pk=pk).delete()
    assert not SearchTerm.objects.filter(holder=pk).exists()


def test_the_index_made_anew_is_the_one_that_was_kept(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    index.catch_up()
    people.change_holder(world.people["lin"], by, name="林静远")
    access.add_card(world.people["wang"], "0411223344", by)
    index.catch_up()

    def terms() -> list[tuple[Any, ...]]:
        return sorted(SearchTerm.objects.values_list("kind", "term", "rank", "holder"))

    kept = terms()
    assert index.rebuild() == Holder.objects.count()
    assert terms() == kept


def test_one_bound_to_buildings_finds_nobody_elsewhere(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    other = people.add_building(world.community, "2 号楼", by)
    people.register_holder(
        world.community, "林远", by, unit=people.add_unit(other, "2-101", by), phone="13700000001"
    )
    assert names(meng, "林") == ["林安", "林远"] or names(meng, "林") == ["林远", "林安"]
    meng.buildings.add(Building.objects.get(name="2 号楼"))
    bound = StaffProfile.objects.get(pk=meng.pk)
    for query in ("林", "101", "0001"):
        assert names(bound, query) == ["林远"], query
    for query in ("林安", "1-101", "13800000001", "京A12345", "04A1B2C3D4"):
        assert names(bound, query) == [], query


def test_the_community_next_door_is_not_searched(
    world: World, by: Actor, meng: StaffProfile
) -> None:
    elsewhere = people.create_community("别处", by)
    people.register_holder(elsewhere, "林安", by, phone="13800000001")
    index.catch_up()
    for query in ("林安", "13800000001", "0001"):
        (hit,) = search(meng, query, timezone.now()).hits
        assert hit.holder.community_id == world.community.pk


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("林安", "林安"),
        ("1-101", "1-101"),
        ("1号楼101", "1号楼101"),
        ("0001", "0001"),
        ("13800000001", "…0001"),
        ("138 0000 0001", "…0001"),
        ("+86-13800000001", "+…0001"),
        ("京A12345", "京…2345"),
        ("04A1B2C3D4", "…C3D4"),
        ("林安 13800000001", "林安 …0001"),
    ],
)
def test_the_log_keeps_of_a_number_only_its_end(query: str, kept: str) -> None:
    assert logged(query) == kept


def test_the_page_works_with_and_without_script_and_writes_each_search_down(
    world: World, sign_in: Any
) -> None:
    browser = sign_in("guo")
    whole = browser.get("/office/search", {"q": "13800000001"}).content.decode()
    assert "<html" in whole
    assert "林安" in whole
    assert "138****0001" in whole
    assert "13800000001" not in whole.split('id="found"')[1]
    part = browser.get("/office/search", {"q": "林安"}, headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    assert part["Cache-Control"] == "no-store"
    one_letter = browser.get("/office/search", {"q": "林"}, headers={"HX-Request": "true"})
    assert "林安" not in one_letter.content.decode()
    looks = View.objects.filter(what="search").order_by("pk").values_list("who", "object_id")
    assert list(looks) == [("guo", "…0001"), ("guo", "林安")]
