"""The pages of privacy as each member of the staff, and as a stranger."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.test import Client
from django.urls import reverse

from anlin.hub.access.models import AccessPoint, Credential, FaceTemplate
from anlin.hub.access.policy import publish
from anlin.hub.audit.models import View
from anlin.hub.console.tests.world import BY, SignIn, World, make_world
from anlin.hub.people.models import Consent, Purpose
from anlin.hub.privacy import assessment, compliance, ledger, requests
from anlin.hub.privacy.models import Ask, Assessment, Notice, Receipt, Request, Run, Site

pytestmark = pytest.mark.django_db(databases=["default", "events"])

ALL = {"guo", "meng", "committee", "installer", "auditor", "liaison"}
KNOW = {"meng", "auditor"}
OVERSEE = {"meng", "committee", "auditor"}

PAGES = [
    ("home", "", OVERSEE),
    ("ledger", "", KNOW),
    ("person", "holder", KNOW),
    ("notices", "", OVERSEE),
    ("notice", "notice", OVERSEE),
    ("new_notice", "", {"meng"}),
    ("receipts", "", KNOW),
    ("receipt", "receipt", KNOW),
    ("points", "", OVERSEE | {"installer"}),
    ("requests", "", KNOW),
    ("request", "request", KNOW),
    ("retention", "", OVERSEE),
    ("filing", "", OVERSEE),
    ("filing_data", "", {"meng"}),
    ("cameras", "", OVERSEE | {"installer"}),
    ("camera", "camera", {"meng", "installer"}),
    ("assessments", "", OVERSEE),
    ("make_assessment", "", {"meng"}),
    ("assessment", "assessment", OVERSEE),
]

ACTIONS = [
    ("give", "holder"),
    ("withdraw", "withdraw"),
    ("ask", "holder"),
    ("copy", "holder"),
    ("answer", "take"),
    ("set_retention", ""),
    ("run_retention", ""),
    ("approve", "assessment"),
]


def made(world: World) -> dict[str, list[str]]:
    """Make one of everything that a page shows."""
    lin = world.people["lin"]
    if not Assessment.objects.filter(community=world.community).exists():
        ledger.give(lin, Purpose.FACE, BY)
        face = Credential.objects.create(
            community=world.community, holder=lin, method="face", key=world.community.pk
        )
        FaceTemplate.objects.create(credential=face, node=world.node, model="m", sealed="x")
        publish(world.community, credential=[face.pk], template=[face.pk])
        ledger.withdraw(lin, Purpose.FACE, BY)
        assessment.make(world.community, "", BY)
        requests.ask(lin, Ask.ACCESS, "", BY)
    return {
        "": [],
        "holder": [lin.pk],
        "withdraw": [lin.pk, "face"],
        "notice": [ledger.notice_in_force(world.community).pk],
        "receipt": [Receipt.objects.get(community=world.community).pk],
        "request": [Request.objects.filter(community=world.community)[0].pk],
        "take": [Request.objects.filter(community=world.community)[0].pk, "take"],
        "camera": [world.camera.pk],
        "assessment": [Assessment.objects.filter(community=world.community)[0].pk],
    }


@pytest.mark.parametrize(("name", "on", "who"), PAGES, ids=[one[0] for one in PAGES])
def test_a_page_opens_for_its_roles_and_nobody_else(
    world: World, sign_in: SignIn, name: str, on: str, who: set[str]
) -> None:
    url = reverse(f"privacy:{name}", args=made(world)[on])
    assert Client().get(url)["Location"].startswith("/login?next=")
    for member in ALL:
        for language in ("en", "zh-hans"):
            answer = sign_in(member, language).get(url)
            assert answer.status_code == (200 if member in who else 403), member


@pytest.mark.parametrize(("name", "on"), ACTIONS, ids=[one[0] for one in ACTIONS])
def test_an_action_is_the_managers_alone(world: World, sign_in: SignIn, name: str, on: str) -> None:
    url = reverse(f"privacy:{name}", args=made(world)[on])
    assert Client().post(url)["Location"].startswith("/login?next=")
    for member in ALL:
        answer = sign_in(member).post(url)
        assert (answer.status_code == 403) == (member != "meng"), member
        assert sign_in(member).get(url).status_code in (403, 405)


@pytest.mark.parametrize("name", ["filing", "camera", "new_notice", "make_assessment"])
def test_who_may_only_read_can_not_post(world: World, sign_in: SignIn, name: str) -> None:
    url = reverse(f"privacy:{name}", args=made(world)["camera" if name == "camera" else ""])
    for member in ALL - {"meng", "installer"}:
        assert sign_in(member).post(url, {}).status_code == 403, member


def test_nothing_of_another_community_can_be_reached(world: World, sign_in: SignIn) -> None:
    other = make_world("邻村")
    theirs = made(other)
    meng = sign_in("meng")
    for name, on in (
        ("person", "holder"),
        ("notice", "notice"),
        ("receipt", "receipt"),
        ("request", "request"),
        ("camera", "camera"),
        ("assessment", "assessment"),
    ):
        assert meng.get(reverse(f"privacy:{name}", args=theirs[on])).status_code == 404, name
    for name, on in (("give", "holder"), ("copy", "holder"), ("answer", "take")):
        assert meng.post(reverse(f"privacy:{name}", args=theirs[on])).status_code == 404, name
    assert Consent.objects.filter(holder__community=other.community).count() == 1


def test_who_is_bound_to_a_building_sees_nobody_of_another(world: World, sign_in: SignIn) -> None:
    from anlin.hub.people import services as people

    url = reverse("privacy:person", args=made(world)["holder"])
    far = people.add_building(world.community, "9 号楼", BY)
    world.staff["meng"].buildings.add(far)
    meng = sign_in("meng")
    assert meng.get(url).status_code == 404
    assert "林安" not in meng.get(reverse("privacy:ledger")).content.decode()
    assert "林安" not in meng.get(reverse("privacy:requests")).content.decode()
    assert "林安" not in meng.get(reverse("privacy:receipts")).content.decode()


def test_a_look_at_the_ledger_is_written_down(world: World, sign_in: SignIn) -> None:
    args = made(world)["holder"]
    sign_in("auditor").get(reverse("privacy:person", args=args))
    assert View.objects.filter(who="auditor", object_id=args[0], what="consents").exists()


def test_the_manager_gives_withdraws_and_reads_the_receipt(world: World, sign_in: SignIn) -> None:
    wang = world.people["wang"]
    meng = sign_in("meng")
    meng.post(reverse("privacy:give", args=[wang.pk]), {"purpose": "face"})
    assert wang.has_consent(Purpose.FACE)
    meng.post(reverse("privacy:withdraw", args=[wang.pk, "face"]))
    assert not wang.has_consent(Purpose.FACE)
    url = reverse("privacy:receipt", args=made(world)["receipt"])
    text = meng.get(url).content.decode()
    assert "东门机房" in text
    assert "has not taken up rules" in text


def test_a_new_notice_is_published_from_the_page_and_never_twice(
    world: World, sign_in: SignIn
) -> None:
    meng = sign_in("meng")
    url = reverse("privacy:new_notice")
    fields = {f"{language}_{name}": "x" for language in ("zh", "en") for name in Notice.SECTIONS}
    assert meng.post(url, {**fields, "version": "2"}).status_code == 302
    assert meng.post(url, {**fields, "version": "2"}).status_code == 422
    assert meng.post(url, {**fields, "version": "3", "zh_rights": ""}).status_code == 422
    world.community.refresh_from_db()
    assert world.community.face_notice_version == "2"


def test_times_are_set_and_a_run_is_made_from_the_page(world: World, sign_in: SignIn) -> None:
    meng = sign_in("meng")
    page = meng.get(reverse("privacy:retention"))
    values = {name: field.initial for name, field in page.context["form"].fields.items()}
    url = reverse("privacy:set_retention")
    assert meng.post(url, {**values, "passages": 30}).status_code == 302
    assert meng.post(url, {**values, "passages": 366}).status_code == 422
    assert meng.post(url, {**values, "passages": "x"}).status_code == 422
    meng.post(reverse("privacy:run_retention"))
    assert Run.objects.filter(by="meng", limit_h=30 * 24, ended_at__isnull=False).exists()


def test_a_copy_is_given_as_a_file_under_a_request(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    answer = sign_in("meng").post(reverse("privacy:copy", args=[lin.pk]))
    assert answer["Content-Type"] == "application/zip"
    assert answer["Cache-Control"] == "no-store"
    assert Request.objects.get(holder=lin).outcome["people.Holder"] == 1


def test_an_assessment_is_made_again_when_a_setting_has_changed(
    world: World, sign_in: SignIn
) -> None:
    row = assessment.make(world.community, "x", BY)
    assert assessment.changed_since(row) == []
    meng = sign_in("meng")
    Site.objects.create(device=world.camera, area="entrance")
    assert assessment.changed_since(row) == ["cameras"]
    assert "cameras" in meng.get(reverse("privacy:assessments")).content.decode()
    meng.post(reverse("privacy:make_assessment"), {"remarks": "又一版"})
    newest = assessment.newest(world.community)
    assert newest is not None
    assert (newest.number, newest.remarks) == (2, "又一版")
    assert assessment.changed_since(newest) == []
    # The older version stays as it was made.
    row.refresh_from_db()
    assert row.facts["settings"]["cameras"][0]["area"] == ""
    meng.post(reverse("privacy:approve", args=[newest.pk]))
    newest.refresh_from_db()
    assert newest.approved_by == "meng"


def test_the_checklist_says_what_is_not_in_order(world: World) -> None:
    states = {item.url: item.state for item in compliance.checklist(world.community)}
    assert states[reverse("privacy:points")] == "good"
    assert states[reverse("privacy:assessments")] == "denied"
    AccessPoint.objects.create(
        portal=world.portals["door1"], name="z", direction="entry", methods=["face"]
    )
    states = {item.url: item.state for item in compliance.checklist(world.community)}
    assert states[reverse("privacy:points")] == "denied"
    assert len(compliance.checklist(world.community)) == 14


def test_every_page_declares_its_roles() -> None:
    for pattern in import_module("anlin.hub.privacy.urls").urlpatterns:
        assert getattr(pattern.callback, "allowed_roles", None), pattern.name
