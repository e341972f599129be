"""Doors are set up by rules that an installer can read, and every edge learns of it."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from anlin.core.access import NORMAL, Presentation, Reason, decide
from anlin.core.entities import (
    AntiPassback,
    Direction,
    ExitButton,
    Method,
    OnPowerLoss,
    Outsiders,
    PortalKind,
)
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessRule, Household, PolicyChange, Portal, VisitorPass
from anlin.hub.access.policy import VISITORS, community_group, compile_changes
from anlin.hub.access.tests.test_policy import replica
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import ResidencyKind

pytestmark = pytest.mark.django_db

NIGHT = {"start_min": 22 * 60, "end_min": 6 * 60, "days": [1, 2, 3, 4, 5, 6, 7]}


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"on_power_loss": OnPowerLoss.FAIL_SECURE}, "on_power_loss", "escape route"),
        ({"exit_button": ExitButton.SHUNT}, "exit_button", "from inside"),
        ({"grant_s": 0.0}, "grant_s", "0.0 is not within 1 to 120"),
        ({"held_open_s": 36000.0}, "held_open_s", "3600"),
        ({"relock_on_open_s": -1.0}, "relock_on_open_s", "not within"),
        ({"prealarm_s": 31.0}, "prealarm_s", "longer than"),
        ({"grant_s": float("nan")}, "grant_s", "nan"),
        ({"name": "  "}, "name", "1 to 60"),
        ({"name": "x" * 61}, "name", "1 to 60"),
    ],
)
def test_a_dangerous_portal_is_refused_at_its_field_and_nothing_changes(
    cast: Cast, given: dict[str, Any], field: str, said: str
) -> None:
    before = PolicyChange.objects.count()
    with pytest.raises(RuleError, match=said) as refused:
        access.change_portal(cast.portal, BY, **given)
    assert refused.value.field == field
    assert PolicyChange.objects.count() == before
    fresh = Portal.objects.get(pk=cast.portal.pk)
    assert (fresh.name, fresh.grant_s, fresh.prealarm_s) == ("东门", 5.0, 10.0)


def test_a_lock_that_stays_shut_is_allowed_with_a_handle_inside(cast: Cast) -> None:
    access.change_portal(
        cast.portal, BY, on_power_loss=OnPowerLoss.FAIL_SECURE, has_mechanical_exit=True
    )
    portal = replica(cast.node).portals[cast.portal.pk]
    assert portal.on_power_loss is OnPowerLoss.FAIL_SECURE
    assert portal.has_mechanical_exit
    assert portal.node == cast.node.pk
    change = Change.objects.filter(model="access.portal", action="change").latest("pk")
    assert change.before == {"on_power_loss": "fail_safe", "has_mechanical_exit": False}


def test_an_airlock_of_two_edges_is_refused(cast: Cast) -> None:
    other, _ = devices.create_node(cast.community, "西门", BY)
    access.change_portal(cast.portal, BY, interlock="大堂")
    access.add_portal(cast.community, "内门", BY, node=cast.node, interlock="大堂")
    with pytest.raises(RuleError, match="another edge") as refused:
        access.add_portal(cast.community, "外门", BY, node=other, interlock="大堂")
    assert refused.value.field == "interlock"
    inner = Portal.objects.get(name="内门")
    assert replica(cast.node).interlocked_with(inner.pk) == (cast.portal.pk,)


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"methods": [Method.CARD]}, "methods", "at least two"),
        ({"methods": [Method.FACE, Method.PHONE]}, "methods", "neither face nor phone"),
        ({"level": 9}, "level", "1 to 4"),
        ({"level": 4}, "level", "Everybody would be refused"),
        ({"persons": 0}, "persons", "1 to 2"),
    ],
)
def test_a_point_that_would_lock_people_out_is_refused(
    cast: Cast, given: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(RuleError, match=said) as refused:
        access.change_point(cast.point, BY, **given)
    assert refused.value.field == field


def test_a_raised_level_and_two_persons_reach_the_edge(cast: Cast) -> None:
    night = access.add_schedule(cast.community, "夜间", BY, weekly=[NIGHT])
    access.change_point(cast.point, BY, raised=[(night, 3)], persons=2)
    point = replica(cast.node).points[cast.point.pk]
    assert [(raised.schedule, raised.level) for raised in point.raised] == [(night.pk, 3)]
    assert point.persons == 2
    with pytest.raises(RuleError, match="东门进"):
        access.remove_schedule(night, BY)
    access.change_point(cast.point, BY, raised=[])
    access.remove_schedule(night, BY)
    assert night.pk not in replica(cast.node).schedules


def test_a_schedule_follows_its_holidays_and_its_own_special_day_wins(cast: Cast) -> None:
    new_year = access.add_holidays(
        cast.community, "法定节假日", [date(2027, 1, 1), date(2027, 2, 6)], BY
    )
    day = {"start_min": 480, "end_min": 1080, "days": [1, 2, 3, 4, 5]}
    short = {"start_min": 600, "end_min": 720}
    office = access.add_schedule(
        cast.community,
        "办公",
        BY,
        weekly=[day],
        special=[{"on": "2027-02-06", "periods": []}],
        holidays=new_year,
        holiday_periods=[short],
    )

    def active(*when: int) -> bool:
        shanghai = timedelta(hours=8)
        at = datetime(*when, tzinfo=UTC) - shanghai  # type: ignore[misc,arg-type]
        return replica(cast.node).schedules[office.pk].is_active(at)

    assert active(2026, 12, 31, 9, 0)
    assert not active(2027, 1, 1, 9, 0)
    assert active(2027, 1, 1, 11, 0)
    assert not active(2027, 2, 6, 11, 0)
    access.change_holidays(new_year, BY, name="法定节假日", dates=[date(2027, 2, 6)])
    assert active(2027, 1, 1, 9, 0)
    with pytest.raises(RuleError, match="办公"):
        access.remove_holidays(new_year, BY)
    assert compile_changes(cast.community) == 0


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Asia/Shanghai\x00"])
def test_a_zone_that_nobody_knows_is_refused(cast: Cast, zone: str) -> None:
    with pytest.raises(RuleError) as refused:
        access.add_schedule(cast.community, "x", BY, zone=zone)
    assert refused.value.field == "zone"
    with pytest.raises(RuleError):
        people.create_community("y", BY, zone=zone)


def test_a_rule_for_a_group_of_elsewhere_is_refused(cast: Cast) -> None:
    with pytest.raises(RuleError, match="community:c_other"):
        access.add_rule(cast.community, "x", ["community:c_other"], [cast.point], BY)
    rule = AccessRule.objects.get()
    now = timezone.now()
    with pytest.raises(RuleError, match="before it begins"):
        access.change_rule(rule, BY, valid_from=now, valid_until=now)
    rule.refresh_from_db()
    access.change_rule(rule, BY, groups=[VISITORS], points=[])
    assert replica(cast.node).rules[rule.pk].points == ()


def test_what_is_used_is_not_removed_and_what_is_removed_leaves_the_edge(cast: Cast) -> None:
    court = access.add_area(cast.community, "小区", BY)
    access.change_point(cast.point, BY, area_to=court)
    rule = AccessRule.objects.get()
    with pytest.raises(RuleError, match="东门进"):
        access.remove_area(court, BY)
    with pytest.raises(RuleError, match="access points"):
        access.remove_portal(cast.portal, BY)
    point = cast.point.pk
    access.remove_point(cast.point, BY)
    assert replica(cast.node).rules[rule.pk].points == ()
    access.remove_rule(rule, BY)
    access.remove_portal(cast.portal, BY)
    access.remove_area(court, BY)
    policy = replica(cast.node)
    assert not {point, cast.portal.pk, court.pk, rule.pk} & {
        *policy.points,
        *policy.portals,
        *policy.areas,
        *policy.rules,
    }
    assert compile_changes(cast.community) == 0


def test_a_plate_counts_against_the_home_of_its_holder(cast: Cast) -> None:
    car = access.add_plate(cast.lin, "京A12345", BY)
    assert replica(cast.node).credentials[car.pk].household is None
    home = cast.lin.residencies.get().unit
    household = access.set_household(home, 1, BY)
    policy = replica(cast.node)
    assert policy.credentials[car.pk].household == household.pk
    assert policy.households[household.pk].cars == 1
    people.end_residency(cast.lin.residencies.get(), BY)
    next_door = cast.wang.residencies.get().unit
    people.add_residency(cast.lin, next_door, ResidencyKind.FAMILY, BY)
    other = access.set_household(next_door, None, BY)
    assert replica(cast.node).credentials[car.pk].household == other.pk
    assert compile_changes(cast.community) == 0
    with pytest.raises(RuleError, match="0 to 20"):
        access.set_household(home, 21, BY)
    assert Household.objects.get(unit=home).cars == 1


def test_a_car_park_that_nobody_could_enter_is_refused(cast: Cast) -> None:
    court = access.add_area(
        cast.community, "车场", BY, anti_passback=AntiPassback.HARD, capacity=120
    )
    rule: dict[str, Any] = {"emergency_enters": True, "residents_enter": False}
    with pytest.raises(RuleError, match="nobody"):
        access.set_parking(court, BY, outsiders=Outsiders.REFUSE, stay_s=None, **rule)
    with pytest.raises(RuleError, match="60"):
        access.set_parking(court, BY, outsiders=Outsiders.ADMIT, stay_s=1.0, **rule)
    parking = access.set_parking(court, BY, outsiders=Outsiders.ADMIT, stay_s=7200.0, **rule)
    policy = replica(cast.node)
    assert policy.parking[court.pk].stay_s == 7200.0
    assert policy.areas[court.pk].capacity == 120
    access.remove_parking(parking, BY)
    assert court.pk not in replica(cast.node).parking


def test_a_visitor_finds_only_the_way_to_the_host(cast: Cast) -> None:
    other = people.add_building(cast.community, "2栋", BY)
    points = {}
    for name, building in (("1栋", cast.building), ("2栋", other)):
        door = access.add_portal(cast.community, name, BY, node=cast.node, building=building)
        points[name] = access.add_point(
            door, f"{name}进", Direction.ENTRY, [Method.QR, Method.CARD], BY
        )
    access.add_rule(cast.community, "访客", [VISITORS], points.values(), BY)
    now = timezone.now()
    leave, _text = access.issue_pass(
        cast.community,
        "赵来",
        BY,
        not_before=now,
        not_after=now + timedelta(hours=2),
        host=cast.lin.residencies.get().unit,
    )
    access.add_card(leave.holder, "0BADCAFE", BY)
    assert replica(cast.node).holders[leave.holder_id].points == tuple(
        sorted([cast.point.pk, points["1栋"].pk])
    )

    def shown(point: str) -> bool:
        at = datetime.now(UTC)
        asked = Presentation(point, Method.CARD, "0BADCAFE", at)
        return decide(replica(cast.node), asked, NORMAL, at).reason is Reason.GRANTED

    assert shown(points["1栋"].pk)
    assert not shown(points["2栋"].pk)
    access.change_portal(Portal.objects.get(name="2栋"), BY, building=None)
    assert shown(points["2栋"].pk)
    assert compile_changes(cast.community) == 0


def test_a_use_of_a_pass_is_told_to_every_edge(cast: Cast) -> None:
    now = timezone.now()
    leave, _ = access.issue_pass(
        cast.community, "赵来", BY, not_before=now, not_after=now + timedelta(hours=2), uses=2
    )
    other, _ = devices.create_node(cast.community, "西门", BY)
    access.note_pass_use(leave.pk, cast.node.pk)
    access.note_pass_use(leave.pk, cast.node.pk)
    access.note_pass_use(leave.pk, other.pk)
    access.note_pass_use(leave.pk, "n_unknown")
    use = replica(other).pass_uses[leave.pk]
    assert dict(use.by_node) == {cast.node.pk: 2, other.pk: 1}
    assert use.until == leave.not_after
    assert VisitorPass.objects.get(pk=leave.pk).used == 3


def test_holder_flags_reach_the_edge_and_contradict_each_other_nowhere(cast: Cast) -> None:
    people.change_holder(cast.lin, BY, needs_time=True, can_escort=True)
    holder = replica(cast.node).holders[cast.lin.pk]
    assert (holder.needs_time, holder.needs_escort, holder.can_escort) == (True, False, True)
    with pytest.raises(RuleError, match="escort"):
        people.change_holder(cast.lin, BY, needs_escort=True)


@pytest.mark.parametrize("seed", range(2))
def test_a_snapshot_equals_the_chain_of_its_deltas_with_every_kind(cast: Cast, seed: int) -> None:
    chance = random.Random(seed)
    chain = replica(cast.node)
    court = access.add_area(cast.community, "小区", BY)
    table = access.add_holidays(cast.community, "节假日", [date(2027, 1, 1)], BY)
    access.add_schedule(cast.community, "夜间", BY, weekly=[NIGHT], holidays=table)
    home = cast.lin.residencies.get().unit
    access.add_plate(cast.lin, "京A12345", BY)
    now = timezone.now()
    end = now + timedelta(hours=2)
    leave, _ = access.issue_pass(
        cast.community, "赵来", BY, host=home, uses=9, not_before=now, not_after=end
    )
    for step in range(30):
        match chance.randrange(10):
            case 0:
                access.change_area(court, BY, capacity=step, anti_passback=AntiPassback.SOFT)
            case 1:
                access.set_household(home, step % 4, BY)
            case 2:
                access.set_parking(
                    court,
                    BY,
                    outsiders=Outsiders.ADMIT,
                    residents_enter=step % 2 == 0,
                    stay_s=None,
                    emergency_enters=True,
                )
            case 3:
                access.set_pin(cast.lin if step % 2 else cast.wang, BY)
            case 4:
                access.note_pass_use(leave.pk, cast.node.pk)
            case 5:
                days = [date(2027, 1, 1 + n) for n in range(step % 5)]
                access.change_holidays(table, BY, name="节假日", dates=days)
            case 6:
                access.change_portal(
                    cast.portal,
                    BY,
                    entry_s=float(step % 9),
                    building=cast.building if step % 2 else None,
                    kind=PortalKind.TURNSTILE,
                )
            case 7:
                point = access.add_point(
                    cast.portal, f"口{step}", Direction.EXIT, [Method.EXIT_BUTTON], BY
                )
                if step % 3 == 0:
                    access.remove_point(point, BY)
            case 8:
                people.change_holder(cast.lin, BY, needs_time=step % 2 == 0)
            case 9:
                group = [community_group(cast.community.pk)]
                rule = access.add_rule(cast.community, f"规则{step}", group, [cast.point], BY)
                if step % 2:
                    access.remove_rule(rule, BY)
        if chance.random() < 0.5:
            replica(cast.node, chain)
    assert compile_changes(cast.community) == 0
    replica(cast.node, chain)
    assert chain.to_bytes() == replica(cast.node).to_bytes()
