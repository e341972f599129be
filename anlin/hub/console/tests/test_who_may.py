"""Every page and action as every member of the staff, and as a stranger."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from anlin.core.event import EventKind
from anlin.hub.access import services as access
from anlin.hub.console.tests.world import BY, SignIn, World, make_world
from anlin.hub.notices import board
from anlin.hub.office.models import Job, JobKind, JobState
from anlin.hub.people.attention import record_attention
from anlin.hub.people.models import AttentionGroup
from anlin.hub.vehicles import services as vehicles

pytestmark = pytest.mark.django_db(databases=["default", "events"])

DESK = {"guo", "meng"}
ALL = {"guo", "meng", "committee", "installer", "auditor", "liaison"}
BUILD = {"meng", "installer"}
KNOW = {"committee", "auditor", "liaison"}

PAGES = [
    ("console:live", "", DESK),
    ("console:rows", "", DESK),
    ("console:state", "", DESK),
    ("console:more", "", ALL),
    ("people:holders", "", DESK),
    ("people:register", "", {"meng"}),
    ("people:holder", "holder", DESK),
    ("people:edit", "holder", {"meng"}),
    ("people:face", "holder", {"meng"}),
    ("people:identity", "holder", {"meng"}),
    ("people:doubles", "", {"meng"}),
    ("people:attention", "", {"committee", "liaison"}),
    ("people:attend", "holder", {"committee", "liaison"}),
    ("people:homes", "", DESK),
    ("people:home", "unit", DESK),
    ("people:edit_home", "unit", {"meng"}),
    ("people:place", "building", {"meng"}),
    ("vehicles:vehicles", "", DESK),
    ("vehicles:vehicle", "vehicle", DESK),
    ("vehicles:add_vehicle", "holder", {"meng"}),
    ("vehicles:add_ebike", "holder", {"meng"}),
    ("vehicles:ebike", "ebike", {"meng"}),
    ("access:points", "", ALL),
    ("access:command", "portal", DESK),
    ("access:recent", "", DESK),
    ("access:lockdown", "", DESK),
    ("access:passes", "", DESK),
    ("visits:today", "", DESK),
    ("visits:past", "", DESK),
    ("visits:walk_in", "", DESK),
    ("visits:barred", "", {"meng"}),
    ("visits:new_bar", "", {"meng"}),
    ("visits:rules", "", {"meng"}),
    ("access:issue", "", DESK),
    ("devices:nodes", "", ALL - {"guo", "liaison"}),
    ("devices:create", "", {"meng", "installer"}),
    ("setup:home", "", BUILD),
    ("setup:homes", "", BUILD),
    ("setup:areas", "", BUILD),
    ("setup:new_area", "", BUILD),
    ("setup:area", "area", BUILD),
    ("setup:times", "", BUILD),
    ("setup:new_schedule", "", BUILD),
    ("setup:schedule", "schedule", BUILD),
    ("setup:new_holidays", "", BUILD),
    ("setup:holidays", "holidays", BUILD),
    ("setup:portals", "", BUILD),
    ("setup:new_portal", "", BUILD),
    ("setup:portal", "portal", BUILD),
    ("setup:new_point", "portal", BUILD),
    ("setup:point", "point", BUILD),
    ("setup:rules", "", BUILD),
    ("setup:new_rule", "", BUILD),
    ("setup:rule", "rule", BUILD),
    ("setup:matrix", "", BUILD | {"committee", "auditor"}),
    ("setup:new_device", "", BUILD),
    ("setup:device", "device", BUILD),
    ("state:inside", "", DESK),
    ("state:cars", "", DESK),
    ("state:fire", "", DESK),
    ("state:tables", "", DESK | {"installer", "auditor"}),
    ("state:screens", "", BUILD),
    ("explain:ask", "", DESK),
    ("watch:entries", "", KNOW),
    ("watch:propose", "", {"liaison"}),
    ("accounts:mine", "", ALL),
    ("accounts:password", "", ALL),
    ("accounts:staff", "", {"meng"}),
    ("accounts:add_staff", "", {"meng"}),
    ("accounts:rule", "", {"meng"}),
    ("audit:changes", "", {"meng", "committee", "auditor"}),
    ("audit:looks", "", {"meng", "auditor"}),
    ("notices:list", "", DESK | {"committee"}),
    ("notices:new", "", {"meng", "committee"}),
    ("notices:notice", "notice", DESK | {"committee"}),
    ("notices:edit", "notice", {"meng", "committee"}),
    ("notices:missed", "notice", {"meng"}),
    ("resident_desk:asks", "", {"meng"}),
    ("resident_desk:lines", "", {"meng"}),
    ("office:home", "", {"meng"}),
    ("office:search", "", DESK),
    ("office:queue", "queue", {"meng"}),
    ("office:lists", "", {"meng"}),
    ("office:template", "", {"meng"}),
    ("office:job", "list", {"meng"}),
    ("office:faults", "list", {"meng"}),
    ("office:bulk", "", {"meng"}),
    ("office:bulk_preview", "bulk", {"meng"}),
]

ACTIONS = [
    ("people:give_consent", "holder", {"meng"}),
    ("people:add_card", "holder", {"meng"}),
    ("people:add_plate", "holder", {"meng"}),
    ("people:add_residency", "holder", {"meng"}),
    ("people:prove_residency", "residency", {"meng"}),
    ("people:lease_end", "residency", {"meng"}),
    ("people:prove_identity", "by clerk", {"meng"}),
    ("people:forget_identity", "holder", {"meng"}),
    ("people:replace_card", "replace", {"meng"}),
    ("people:end_attention", "attention", {"committee", "liaison"}),
    ("vehicles:change_vehicle", "vehicle", {"meng"}),
    ("vehicles:decide", "end", {"meng"}),
    ("vehicles:rule", "", {"meng"}),
    ("vehicles:end_ebike", "ebike", {"meng"}),
    ("access:change_credential", "lost", DESK),
    ("access:change_credential", "revoke", {"meng"}),
    ("access:change_credential", "resume", {"meng"}),
    ("devices:renew", "node", {"meng", "installer"}),
    ("people:set_pin", "holder", {"meng"}),
    ("setup:cars", "unit", BUILD),
    ("setup:remove_area", "area", BUILD),
    ("setup:remove_schedule", "schedule", BUILD),
    ("setup:remove_holidays", "holidays", BUILD),
    ("setup:remove_portal", "portal", BUILD),
    ("setup:remove_point", "point", BUILD),
    ("setup:remove_rule", "rule", BUILD),
    ("setup:device_password", "device", BUILD),
    ("setup:remove_device", "device", BUILD),
    ("notices:publish", "notice", {"meng", "committee"}),
    ("notices:withdraw", "notice", {"meng", "committee"}),
    ("state:left", "", DESK),
    ("state:notice", "event", DESK),
    ("state:screen_key", "point", BUILD),
    ("office:post", "", {"meng"}),
    ("office:export", "", {"meng"}),
    ("office:take_over", "list", {"meng"}),
    ("office:again", "list", {"meng"}),
    ("office:bulk_confirm", "bulk", {"meng"}),
]


def _made(world: World, what: str) -> str:
    """Give the id of a record that the world has none of, made once."""
    community = world.community
    match what:
        case "area":
            area = community.areas.first() or access.add_area(community, "小区", BY)
            return area.pk
        case "schedule":
            found = community.schedules.first()
            return (found or access.add_schedule(community, "夜间", BY)).pk
        case "attention":
            lin = world.people["lin"]
            until = timezone.localdate() + timedelta(days=9)
            basis = "本人书面同意"
            group = AttentionGroup.LONE_ELDER
            return record_attention(lin, group, basis, "本人", until, BY).pk
        case "vehicle":
            lin = world.people["lin"]
            made = lin.vehicles.first()
            return (made or vehicles.add_vehicle(lin, "京A54321", BY)).pk
        case "ebike":
            made_bike = world.people["lin"].ebikes.first()
            return (made_bike or vehicles.add_ebike(world.people["lin"], BY, tag="E20047")).pk
        case "event":
            return str(world.happened(EventKind.TAILGATING, world.portals["east"].pk).pk)
        case "notice":
            draft = board.Draft("停水", "今晚八点停水。")
            return board.write(world.staff["meng"], draft, BY, sent_id=f"n{community.pk}").pk
        case _:
            table = community.holiday_tables.first()
            return (table or access.add_holidays(community, "节假日", [], BY)).pk


def _job(world: World, kind: JobKind) -> str:
    job = Job.objects.create(
        community=world.community,
        staff=world.staff["meng"],
        by="meng",
        kind=kind,
        state=JobState.CHECKED,
        asked_at=timezone.now(),
        params={"action": "suspend", "targets": {}, "days": 1, "reason": "-"},
    )
    return job.pk


def address(world: World, name: str, on: str) -> str:
    lin = world.people["lin"]
    arguments = {
        "": list[str](),
        "holder": [lin.pk],
        "portal": [world.portals["east"].pk],
        "node": [world.node.pk],
        "point": [world.points["east"].pk],
        "device": [world.camera.pk],
        "rule": [world.community.rules.order_by("pk")[0].pk],
        "unit": [lin.residencies.get().unit_id],
        "area": [_made(world, "area")],
        "schedule": [_made(world, "schedule")],
        "holidays": [_made(world, "holidays")],
        "event": [_made(world, "event")],
        "notice": [_made(world, "notice")],
        "building": [lin.residencies.get().unit.building_id],
        "residency": [lin.residencies.get().pk],
        "by clerk": [lin.pk, "clerk"],
        "replace": [lin.pk, lin.credentials.filter(method="card").get().pk],
        "attention": [_made(world, "attention")],
        "vehicle": [_made(world, "vehicle")],
        "end": [_made(world, "vehicle"), "end"],
        "ebike": [_made(world, "ebike")],
        "queue": ["leases"],
        "list": [_job(world, JobKind.IMPORT)],
        "bulk": [_job(world, JobKind.BULK)],
        "lost": [lin.credentials.filter(method="card").get().pk, "lost"],
        "revoke": [lin.credentials.filter(method="card").get().pk, "revoke"],
        "resume": [lin.credentials.filter(method="card").get().pk, "resume"],
    }[on]
    return reverse(name, args=arguments)


@pytest.mark.parametrize(("name", "on", "who"), PAGES, ids=[page[0] for page in PAGES])
def test_a_page_opens_for_its_roles_and_nobody_else(
    world: World, sign_in: SignIn, name: str, on: str, who: set[str]
) -> None:
    url = address(world, name, on)
    assert Client().get(url)["Location"].startswith("/login?next=")
    for member in ALL:
        answer = sign_in(member).get(url)
        if member in who:
            assert answer.status_code == 200, member
        elif name == "console:live":
            assert answer.status_code == 302, member
            assert answer["Location"] in ("/points",)
        else:
            assert answer.status_code == 403, member


@pytest.mark.parametrize(("name", "on", "who"), ACTIONS)
def test_an_action_is_for_its_roles_and_nobody_else(
    world: World, sign_in: SignIn, name: str, on: str, who: set[str]
) -> None:
    url = address(world, name, on)
    assert Client().post(url)["Location"].startswith("/login?next=")
    for member in ALL:
        answer = sign_in(member).post(url)
        assert (answer.status_code == 403) == (member not in who), member
        assert sign_in(member).get(url).status_code in (403, 405)


def test_a_form_without_its_token_is_refused(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.staff["meng"].user)
    url = reverse("people:add_card", args=[world.people["lin"].pk])
    assert client.post(url, {"number": "01020304"}).status_code == 403


def test_nothing_of_another_community_can_be_reached(world: World, sign_in: SignIn) -> None:
    other = make_world("邻村")
    event = other.happened(EventKind.DOOR_FORCED, other.portals["east"].pk)
    meng = sign_in("meng")
    lin = other.people["lin"]
    card = lin.credentials.filter(method="card").get()
    for url in (
        reverse("people:holder", args=[lin.pk]),
        reverse("people:face", args=[lin.pk]),
        reverse("access:command", args=[other.portals["east"].pk]),
        reverse("console:event", args=[event.pk]),
    ):
        assert meng.get(url).status_code == 404, url
    assert (
        meng.post(reverse("access:change_credential", args=[card.pk, "revoke"])).status_code == 404
    )
    assert meng.post(reverse("devices:renew", args=[other.node.pk])).status_code == 404
    assert b'class="row' not in meng.get("/console/rows?after=0&show=all").content
    card.refresh_from_db()
    assert card.status == "active"


def test_the_guard_sees_no_buttons_that_are_not_for_him(world: World, sign_in: SignIn) -> None:
    page = sign_in("guo").get(reverse("people:holder", args=[world.people["lin"].pk]))
    text = page.content.decode()
    assert "Report lost" in text
    assert "Take back" not in text
    assert "Add a card" not in text


def test_a_look_at_a_person_is_written_down(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    sign_in("guo").get(reverse("people:holder", args=[lin.pk]))
    page = sign_in("auditor").get(reverse("audit:looks"), {"q": lin.pk}).content.decode()
    assert "guo" in page
    assert lin.pk in page


def test_the_committee_sees_that_something_changed_but_not_what_about_whom(
    world: World, sign_in: SignIn
) -> None:
    lin = world.people["lin"]
    sign_in("meng").post(reverse("people:edit", args=[lin.pk]), {"name": "林安", "note": "喜欢猫"})
    assert "喜欢猫" in sign_in("auditor").get(reverse("audit:changes")).content.decode()
    assert "喜欢猫" not in sign_in("committee").get(reverse("audit:changes")).content.decode()


def test_every_page_declares_its_roles_or_why_it_has_none() -> None:
    bare, count = [], 0
    for app in ("console", "people", "access", "devices", "audit", "state", "explain", "office"):
        for pattern in import_module(f"anlin.hub.{app}.urls").urlpatterns:
            count += 1
            view = pattern.callback
            if not getattr(view, "allowed_roles", None) and not getattr(
                view, "public_because", None
            ):
                bare.append(pattern.name)
    assert bare == []
    assert count > 35
