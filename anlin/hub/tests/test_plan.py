"""A site plan becomes a whole community, or nothing."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from anlin.core.entities import OnPowerLoss
from anlin.core.policy import Delta, Policy
from anlin.hub.access.models import AccessPoint
from anlin.hub.access.policy import compile_changes, delta_for
from anlin.hub.audit.log import Actor
from anlin.hub.devices.models import Device
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community
from anlin.hub.plan import found, read_plan

BY = Actor.command("test")
GUIDES = Path(__file__).parents[3] / "docs" / "guide"
GUIDE = GUIDES / "first-gate.md"


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


def plan_of_the_guide() -> dict[str, Any]:
    indented = [line[4:] for line in GUIDE.read_text().splitlines() if line.startswith("    ")]
    toml = "\n".join(indented[: indented.index("anlin found east.toml")])
    return tomllib.loads(toml)


@pytest.mark.django_db(databases=["default", "events"])
def test_the_plan_of_the_guide_makes_its_gate() -> None:
    made = found(read_plan(plan_of_the_guide()), BY)

    entry = AccessPoint.objects.get(name="东门进")
    controller = Device.objects.get(name="东门控制器")
    assert controller.settings["readers"]["in"] == entry.pk
    assert controller.settings["outputs"]["door"] == entry.portal_id
    assert Device.objects.get(name="东门摄像机").settings["point"] == entry.pk
    assert made.devices["东门控制器"][1]
    assert made.devices["东门摄像机"][1] == ""
    assert made.node_code


@pytest.mark.django_db(databases=["default", "events"])
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda plan: plan["points"][0].update(methods=["face"]), "at least two"),
        (lambda plan: plan["points"][0].update(portal="west"), "'west' is not in the plan"),
        (lambda plan: plan["rules"][0].update(groups=["everybody"]), "'everybody' is not in"),
        (lambda plan: plan["portals"][0].update(colour="red"), "unknown fields"),
        (lambda plan: plan.pop("manager"), "SitePlan.manager: missing"),
    ],
)
def test_a_plan_that_breaks_a_rule_makes_nothing(change: Any, rule: str) -> None:
    plan = copy.deepcopy(plan_of_the_guide())
    change(plan)
    with pytest.raises(RuleError, match=rule):
        found(read_plan(plan), BY)
    assert not Community.objects.exists()


def plan_of_the_doors(guide: str = "doors.md") -> dict[str, Any]:
    text = (GUIDES / guide).read_text()
    return tomllib.loads("\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)))


def test_both_languages_of_the_guide_have_the_same_plan() -> None:
    assert plan_of_the_doors() == plan_of_the_doors("doors.zh-CN.md")


@pytest.mark.django_db(databases=["default", "events"])
def test_the_plan_of_the_doors_makes_a_door_a_turnstile_a_lobby_and_a_lane() -> None:
    made = found(read_plan(plan_of_the_doors()), BY)
    community = Community.objects.get()
    node = community.nodes.get()
    policy = Policy()
    delta = delta_for(node, 0)
    assert isinstance(delta, Delta)
    policy.apply(delta)
    portals = {portal.name: portal for portal in policy.portals.values()}
    points = {point.name: point for point in policy.points.values()}
    assert portals["1栋单元门"].on_power_loss is OnPowerLoss.FAIL_SECURE
    assert portals["1栋单元门"].has_mechanical_exit
    outer, inner = portals["电梯厅外门"], portals["电梯厅内门"]
    assert policy.interlocked_with(outer.id) == (inner.id,)
    night = points["1栋单元门进"].raised[0]
    assert policy.schedules[night.schedule].name == "夜间"
    car_park = next(area for area in policy.areas.values() if area.name == "停车场")
    assert policy.parking[car_park.id].stay_s == 259200
    assert points["车道进"].area_to == points["车道出"].area_from == car_park.id
    assert {household.cars for household in policy.households.values()} == {1}
    lane = Device.objects.get(name="道闸模块").settings
    assert lane["outputs"].keys() == {portals["车道"].id}
    assert lane["inputs"]["1"] == {"kind": "under_loop", "portal": portals["车道"].id}
    assert made.devices["闸机控制器"][1]
    assert compile_changes(community) == 0


@pytest.mark.django_db(databases=["default", "events"])
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (
            lambda plan: plan["portals"][0].update(has_mechanical_exit=False),
            "portal house1: It is on an escape route",
        ),
        (lambda plan: plan["portals"][0].update(grant_s=0.0), "portal house1: .*1 to 120"),
        (lambda plan: plan["portals"][0].update(building="9栋"), "portal house1: '9栋'"),
        (lambda plan: plan["portals"][0].update(schedule="noon"), "'noon' is not in the plan"),
        (lambda plan: plan["points"][0].update(area_to="moon"), "'moon' is not in the plan"),
        (lambda plan: plan["points"][0].update(persons=9), "1 to 2"),
        (lambda plan: plan["points"][0].update(key="house1"), "'house1' is in the plan twice"),
        (lambda plan: plan["schedules"][0]["weekly"][0].update(times="8"), "schedule night: 8"),
        (lambda plan: plan["schedules"][0]["weekly"][0].update(days=[8]), "schedule night"),
        (lambda plan: plan["holidays"][0].update(dates=["1.1."]), "holidays public: 1.1."),
        (lambda plan: plan.update(zone="Mars"), "no time zone Mars"),
        (
            lambda plan: plan["devices"][0]["settings"].update(line="COM1"),
            "device 单元门读头: The driver refuses this",
        ),
        (
            lambda plan: plan["areas"][0]["parking"].update(
                outsiders="refuse", residents_enter=False
            ),
            "area car-park: Neither",
        ),
    ],
)
def test_a_plan_of_doors_that_breaks_a_rule_says_which_part_and_makes_nothing(
    change: Any, rule: str
) -> None:
    plan = plan_of_the_doors()
    change(plan)
    with pytest.raises(RuleError, match=rule):
        found(read_plan(plan), BY)
    assert not Community.objects.exists()
