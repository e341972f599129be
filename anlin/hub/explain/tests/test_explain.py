"""A decision explained is a decision made again, by the rules of then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone, translation
from pytest_django import DjangoAssertNumQueries

from anlin.core.access import (
    GRANTS,
    Companion,
    Evidence,
    FirstFactor,
    Liveness,
    Mode,
    Place,
    Reason,
    State,
)
from anlin.core.entities import AntiPassback, Method, Outsiders
from anlin.core.explanation import CHECKS
from anlin.core.qr import Pass
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessRule, Parking
from anlin.hub.access.policy import publish
from anlin.hub.audit.models import View
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, SignIn, World, make_world
from anlin.hub.explain import saw
from anlin.hub.explain.advice import PLAIN
from anlin.hub.explain.services import Asked, Explained, explained, what_if
from anlin.hub.explain.tests.decided import decided
from anlin.hub.people import services as people

pytestmark = pytest.mark.django_db(databases=["default", "events"])
__all__ = ["_catalogues", "sign_in", "world"]

LIN_CARD, QIAN_CARD = "04A1B2C3D4", "0499887766"


def why(world: World, *args: object, **kwargs: object) -> Explained:
    found = explained(decided(world, *args, **kwargs), world.community)  # type: ignore[arg-type]
    assert found is not None
    return found


def outcomes(told: Explained) -> dict[str, str]:
    return {line.name: line.outcome for line in told.lines}


def test_every_check_says_what_it_saw_and_every_refusal_what_would_change_it() -> None:
    assert set(saw.SAW) == {check.name for check in CHECKS}
    assert set(PLAIN) == set(Reason) - GRANTS
    for table, words in (
        (saw.LIVENESS, Liveness),
        (saw.MODE, Mode),
        (saw.ANTI_PASSBACK, AntiPassback),
        (saw.OUTSIDERS, Outsiders),
    ):
        assert set(table) == set(words)


def test_a_grant_names_its_rule_and_a_card_passes_no_camera(world: World) -> None:
    told = why(world, "east", Method.CARD, LIN_CARD)
    assert (told.is_granted, told.defect, told.rule) == (True, "", "住户全天通行")
    marks = outcomes(told)
    assert {name for name, mark in marks.items() if mark == "not_applicable"} == {
        "lockout",
        "evidence",
        "pass",
        "path",
        "parking",
        "area",
        "interlock",
        "persons",
    }
    assert set(marks.values()) == {"passed", "not_applicable"}
    seen = {line.name: line.saw for line in told.lines}
    assert seen["rule"] == "“住户全天通行”"
    assert "林安" in seen["holder"]


def test_a_lease_that_ended_is_told_with_its_day(world: World) -> None:
    told = why(world, "west", Method.CARD, QIAN_CARD)
    assert not told.is_granted
    assert outcomes(told)["rule"] == "fell"
    assert outcomes(told)["assurance"] == "not_reached"
    ended = world.people["qian"].residencies.get().ends_at
    assert ended is not None
    assert any(saw.moment(ended) in line for line in told.nearest)
    assert told.advice


def test_a_decision_is_made_again_by_the_rules_of_then(world: World) -> None:
    before = decided(world, "east", Method.CARD, LIN_CARD)
    card = world.people["lin"].credentials.get(method="card")
    access.mark_lost(card, BY)
    people.move_out(world.people["lin"], BY)
    after = decided(world, "east", Method.CARD, LIN_CARD)
    then, now = explained(before, world.community), explained(after, world.community)
    assert then is not None
    assert now is not None
    assert (then.is_granted, then.defect) == (True, "")
    assert (now.is_granted, now.defect) == (False, "")
    assert outcomes(now)["credential"] == "fell"


def test_a_recorded_answer_that_the_rules_do_not_give_is_a_defect(
    world: World, sign_in: SignIn
) -> None:
    event = decided(world, "west", Method.CARD, QIAN_CARD, reason="unauthorized")
    told = explained(event, world.community)
    assert told is not None
    assert "recorded unauthorized, decided again residency_ended" in told.defect
    page = sign_in("guo").get(reverse("console:event", args=[event.pk])).content.decode()
    assert "DEFECT" in page
    fine = decided(world, "west", Method.CARD, QIAN_CARD)
    page = sign_in("guo").get(reverse("console:event", args=[fine.pk])).content.decode()
    assert "the same answer" in page
    assert "DEFECT" not in page
    chinese = sign_in("guo", "zh-hans").get(reverse("console:event", args=[fine.pk]))
    assert "结果一致" in chinese.content.decode()


def test_a_grant_by_another_rule_is_a_defect_too(world: World) -> None:
    told = why(world, "east", Method.CARD, LIN_CARD, rule="ru_other")
    assert "rule" in told.defect


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ({"fault": "x", "reason": "smell"}, "can't be decided again"),
        ({"state": {"inside": "many"}}, "can't be decided again"),
        ({"decided_by": "device", "ours": "granted"}, "decided by itself"),
    ],
)
def test_what_cannot_be_decided_again_says_why(
    world: World, data: dict[str, object], note: str
) -> None:
    with translation.override("en"):
        told = why(world, "east", Method.CARD, LIN_CARD, **data)
    assert note in told.note
    assert not told.defect


def test_rules_that_the_hub_does_not_have_are_not_guessed(world: World) -> None:
    event = decided(world, "east", Method.CARD, LIN_CARD)
    event.revision = world.community.policy_revision + 5
    with translation.override("en"):
        told = explained(event, world.community)
    assert told is not None
    assert "no rules numbered" in told.note
    event.revision = 0
    assert explained(event, world.community) is not None


CASES = {
    "face that scored": ("east", Method.FACE, "", {"evidence": Evidence(0.31, 0.2, 0.4)}),
    "mask": ("east", Method.FACE, "x", {"evidence": Evidence(masked=True)}),
    "plate of nobody": (
        "lane",
        Method.PLATE,
        "京B99999",
        {"evidence": Evidence(vehicle_present=True)},
    ),
    "plate without a car": (
        "lane",
        Method.PLATE,
        "京A12345",
        {"evidence": Evidence(vehicle_present=False)},
    ),
    "plate": ("lane", Method.PLATE, "京A12345", {"evidence": Evidence(vehicle_present=True)}),
    "lockdown": ("east", Method.CARD, LIN_CARD, {"state": State(mode=Mode.LOCKDOWN)}),
    "fire": ("east", Method.CARD, LIN_CARD, {"state": State(mode=Mode.FIRE)}),
    "records": ("east", Method.CARD, LIN_CARD, {"state": State(records=False)}),
    "method": ("lane", Method.FACE, "", {}),
    "way out": ("east_out", Method.EXIT_BUTTON, "", {}),
    "unknown card": ("east", Method.CARD, "FFFFFFFF", {}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_kind_of_showing_falls_again_as_it_fell(
    world: World, name: str, language: str
) -> None:
    world.portals["east_out"] = world.portals["east"]
    point, method, value, more = CASES[name]
    with translation.override(language):
        told = why(world, point, method, value, **more)  # type: ignore[arg-type]
    assert told.defect == ""
    assert told.note == ""
    assert all(line.saw for line in told.lines if line.outcome in ("passed", "fell"))


def test_what_stands_in_the_state_is_told_in_words(world: World) -> None:
    now = timezone.now()
    court = access.add_area(world.community, "庭院", BY)
    access.change_area(court, BY, anti_passback=AntiPassback.HARD)
    east = world.points["east"]
    east.area_to, east.persons, east.level = court, 2, 2
    east.save()
    publish(world.community, access_point=[east.pk])
    lin, wang = world.people["lin"].pk, world.people["wang"].pk
    with translation.override("en"):
        twice = why(
            world,
            "east",
            Method.CARD,
            LIN_CARD,
            state=State(place=Place(court.pk, now - timedelta(minutes=5)), inside=4),
        )
        alone = why(
            world,
            "east",
            Method.CARD,
            LIN_CARD,
            state=State(
                first_factor=FirstFactor(lin, Method.PHONE, 2, now),
                companion=None,
            ),
            at=now,
        )
        both = why(
            world,
            "east",
            Method.CARD,
            LIN_CARD,
            state=State(
                first_factor=FirstFactor(lin, Method.PHONE, 2, now), companion=Companion(wang, now)
            ),
            at=now,
        )
    assert {line.name: line.saw for line in twice.lines}["area"].startswith("into 庭院: in 庭院")
    assert "mark the person as left" in twice.advice
    assert outcomes(alone)["persons"] == "fell"
    assert both.is_granted
    assert "with 王宁" in {line.name: line.saw for line in both.lines}["persons"]


def test_a_pass_is_explained_by_its_window_and_uses(world: World) -> None:
    now = timezone.now()
    leave, _text = access.issue_pass(
        world.community, "赵访", BY, not_before=now, not_after=now + timedelta(hours=2), uses=1
    )
    body = Pass(
        leave.pk,
        world.community.pk,
        world.community.pk,
        leave.holder_id,
        leave.not_before,
        leave.not_after,
        (),
        1,
        "visitors",
        leave.holder.label,
    )
    used = why(world, "east", Method.QR, "", leave=body, state=State(pass_used=1))
    assert outcomes(used)["pass"] == "fell"
    fresh = why(world, "east", Method.QR, "", leave=body)
    assert (fresh.is_granted, fresh.defect) == (True, "")
    assert outcomes(fresh)["credential"] == "not_applicable"
    access.revoke_pass(leave, BY)
    revoked = why(world, "east", Method.QR, "", leave=body)
    assert outcomes(revoked)["pass"] == "fell"
    assert revoked.defect == ""


def test_a_parking_rule_and_a_household_are_told(world: World) -> None:
    yard = access.add_area(world.community, "车场", BY)
    Parking.objects.create(area=yard, residents_enter=False)
    lane = world.points["lane"]
    lane.area_to = yard
    lane.save()
    publish(world.community, access_point=[lane.pk], parking=[yard.pk])
    with translation.override("en"):
        told = why(world, "lane", Method.PLATE, "京A12345", evidence=Evidence(vehicle_present=True))
    assert outcomes(told)["parking"] == "fell"
    assert told.defect == ""
    assert "residents park next door" in {line.name: line.saw for line in told.lines}["parking"]


def test_the_next_time_a_rule_holds_is_named(world: World) -> None:
    days = access.add_schedule(world.community, "白天", BY)
    days.weekly = [{"start_min": 480, "end_min": 1200, "days": [1, 2, 3, 4, 5, 6, 7]}]
    days.save()
    rule = AccessRule.objects.get(name="住户全天通行")
    rule.schedule = days
    rule.save()
    publish(world.community, schedule=[days.pk], access_rule=[rule.pk])
    night = timezone.now().replace(hour=20, minute=30)  # 04:30 in Shanghai
    with translation.override("en"), timezone.override("Asia/Shanghai"):
        told = why(world, "east", Method.CARD, LIN_CARD, at=night)
    assert outcomes(told)["rule"] == "fell"
    assert "08:00:00" in told.nearest[0]


def test_an_explanation_reads_little_however_many_people_live_there(
    world: World, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    first = decided(world, "east", Method.CARD, LIN_CARD)
    second = decided(world, "west", Method.CARD, LIN_CARD)
    assert explained(first, world.community) is not None
    with django_assert_max_num_queries(6):
        assert explained(second, world.community) is not None


# What if


def test_what_if_answers_as_the_gate_would_and_opens_nothing(world: World, sign_in: SignIn) -> None:
    lin, qian = world.people["lin"], world.people["qian"]
    card = lin.credentials.get(method="card")
    client = sign_in("guo")
    url = reverse("explain:ask")
    assert "钱远" in client.get(url, {"q": "钱"}).content.decode()
    page = client.get(
        url, {"holder": lin.pk, "means": card.pk, "point": world.points["east"].pk, "at": ""}
    ).content.decode()
    assert "Would be let in" in page
    assert "住户全天通行" in page
    theirs = qian.credentials.get()
    page = client.get(
        url,
        {"holder": qian.pk, "means": theirs.pk, "point": world.points["east"].pk, "at": ""},
    ).content.decode()
    assert "Would be refused" in page
    assert "Extend the lease" in page
    assert not world.node.commands.exists()
    look = View.objects.filter(object_id=qian.pk).latest("pk")
    assert (look.who, look.purpose) == ("guo", f"what if at {world.points['east'].pk}")


def test_what_if_at_another_time_and_with_a_strange_card(world: World) -> None:
    lin, east = world.people["lin"], world.points["east"]
    card = lin.credentials.get(method="card")
    now = timezone.now()
    told = what_if(world.community, lin, Asked(Method.CARD), east, now)
    assert outcomes(told)["credential"] == "fell"
    home = lin.residencies.get()
    home.ends_at = now + timedelta(days=1)
    home.save()
    publish(world.community, holder=[lin.pk])
    with_card = Asked(Method.CARD, card)
    assert what_if(world.community, lin, with_card, east, now).is_granted
    later = what_if(world.community, lin, with_card, east, now + timedelta(days=2))
    assert not later.is_granted


@pytest.mark.parametrize("method", ["plate", "qr"])
def test_what_if_takes_a_good_picture_and_a_pass_for_granted(world: World, method: str) -> None:
    lin, now = world.people["lin"], timezone.now()
    if method == "plate":
        asked = Asked(Method.PLATE, lin.credentials.get(method="plate"))
        told = what_if(world.community, lin, asked, world.points["lane"], now)
    else:
        leave, _text = access.issue_pass(
            world.community, lin, BY, not_before=now, not_after=now + timedelta(hours=2)
        )
        told = what_if(
            world.community, lin, Asked(Method.QR, leave=leave), world.points["east"], now
        )
    assert told.is_granted


@pytest.mark.parametrize(
    "query",
    [
        {"means": "x", "point": "y"},
        {"means": "none", "point": "ap_none"},
        {"means": "none", "point": "", "at": "soon"},
    ],
)
def test_a_bad_question_is_told_what_is_wrong(
    world: World, sign_in: SignIn, query: dict[str, str]
) -> None:
    given = {"holder": world.people["lin"].pk, **query}
    assert sign_in("guo").get(reverse("explain:ask"), given).status_code == 422


def test_nobody_of_another_community_can_be_asked_about(world: World, sign_in: SignIn) -> None:
    other = make_world("邻村")
    stranger = {"holder": other.people["lin"].pk}
    assert sign_in("guo").get(reverse("explain:ask"), stranger).status_code == 404
    mine = world.people["lin"]
    there = {"holder": mine.pk, "means": "none", "point": other.points["east"].pk}
    assert sign_in("guo").get(reverse("explain:ask"), there).status_code == 422
