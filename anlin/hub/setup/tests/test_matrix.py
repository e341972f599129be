"""The table of who may pass where leaves no cell empty that another rule fills."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import translation

from anlin.hub.access import services as access
from anlin.hub.access.models import AccessRule
from anlin.hub.access.policy import building_group, community_group
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.people import services as people
from anlin.hub.setup.matrix import Cell, table

pytestmark = pytest.mark.django_db(databases=["default", "events"])

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def cell(world: World, point: str, group: str) -> Cell:
    with translation.override("en"):
        _groups, lines = table(world.community, NOW)
    line = next(one for one in lines if one.point.pk == world.points[point].pk)
    return next(one for one in line.cells if one.group == group)


def _refused(group: str) -> Cell:
    return Cell(group, is_off=False, is_always=False, schedules="", also=(), is_whole=False)


def test_a_building_is_told_the_rule_that_admits_all_residents(
    world: World, sign_in: SignIn
) -> None:
    house = world.community.buildings.get().name
    found = cell(world, "east", f"Residents of {house}")
    assert (found.is_always, found.is_whole) == (False, True)
    assert found.also == ("All residents pass by the rule “住户全天通行”, at all times",)
    page = sign_in("installer").get(reverse("setup:matrix")).content.decode()
    assert found.also[0] in html.unescape(page)
    chinese = sign_in("installer", "zh-hans").get(reverse("setup:matrix")).content.decode()
    assert "按规则“住户全天通行”可通行" in html.unescape(chinese)


def test_a_rule_for_one_building_is_told_at_all_residents_as_a_part_of_them(world: World) -> None:
    AccessRule.objects.filter(name="住户全天通行").delete()
    house = world.community.buildings.get()
    other = people.add_building(world.community, "2 号楼", BY)
    night = access.add_schedule(
        world.community,
        "夜间",
        BY,
        weekly=[{"start_min": 1320, "end_min": 360, "days": [1]}],
    )
    access.add_rule(
        world.community,
        "一号楼",
        [building_group(house.pk)],
        [world.points["east"]],
        BY,
        schedule=night,
    )
    assert cell(world, "east", f"Residents of {house.name}").schedules == "夜间"
    everybody = cell(world, "east", "All residents")
    assert not everybody.is_whole
    assert everybody.also == (f"Residents of {house.name} pass by the rule “一号楼”, 夜间",)
    neighbours = cell(world, "east", f"Residents of {other.name}")
    assert neighbours == _refused(neighbours.group)


def test_hours_of_a_building_that_all_residents_are_not_bound_to_are_told(world: World) -> None:
    house = world.community.buildings.get()
    night = access.add_schedule(world.community, "夜间", BY)
    points = [world.points["east"]]
    access.add_rule(world.community, "夜", [building_group(house.pk)], points, BY, schedule=night)
    found = cell(world, "east", f"Residents of {house.name}")
    assert (found.schedules, found.is_whole) == ("夜间", True)
    assert "住户全天通行" in found.also[0]


def test_visitors_gain_nothing_by_what_residents_may(world: World) -> None:
    AccessRule.objects.filter(name="访客通行").delete()
    assert cell(world, "east", "Visitors") == _refused("Visitors")


@pytest.mark.parametrize(("first", "last"), [(1, None), (None, -1), (None, 0)])
def test_a_rule_that_does_not_hold_now_admits_nobody(
    world: World, first: int | None, last: int | None
) -> None:
    AccessRule.objects.filter(name="住户全天通行").update(
        valid_from=None if first is None else NOW + timedelta(days=first),
        valid_until=None if last is None else NOW + timedelta(days=last),
    )
    assert not cell(world, "east", "All residents").is_always
    house = world.community.buildings.get().name
    assert not cell(world, "east", f"Residents of {house}").also


def test_a_group_that_has_its_own_rule_for_all_times_is_told_no_other(world: World) -> None:
    house = world.community.buildings.get()
    groups = [building_group(house.pk), community_group(world.community.pk)]
    access.add_rule(world.community, "两组", groups, [world.points["east"]], BY)
    found = cell(world, "east", f"Residents of {house.name}")
    assert found.is_always
    assert not found.also
