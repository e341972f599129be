"""A site plan becomes a whole community, or nothing."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from anlin.hub.access.models import AccessPoint
from anlin.hub.audit.log import Actor
from anlin.hub.devices.models import Device
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community
from anlin.hub.plan import found, read_plan

BY = Actor.command("test")
GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "first-gate.md"


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
