"""What is typed wrong is answered in one clear sentence, and nothing is changed by it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access.models import Credential, VisitorPass
from anlin.hub.console import login
from anlin.hub.console.tests.world import BY, SignIn, World, drawn_face
from anlin.hub.devices.models import Command, Node
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder, Purpose

pytestmark = pytest.mark.django_db(databases=["default", "events"])

TODAY = timezone.now().date()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "Type the person&#x27;s name."),
        ({"name": "林" * 61}, "A name has 1 to 60 characters."),
        ({"unit": ""}, "Type the home, such as 1-101."),
        ({"unit": "9-999"}, "There is no home 9-999 in this community."),
        ({"residency": "tenant"}, "A lease has an end: type its last day."),
        ({"residency": "tenant", "ends_on": "30.6."}, "This is not a date."),
        ({"residency": "tenant", "ends_on": str(TODAY - timedelta(days=9))}, "over already"),
        ({"residency": "tenant", "ends_on": "9999-12-31"}, "This year can&#x27;t be right."),
    ],
)
def test_a_registration_that_breaks_a_rule_is_told_which(
    world: World, sign_in: SignIn, given: dict[str, Any], said: str
) -> None:
    before = Holder.objects.count()
    good = {"name": "赵来", "kind": "resident", "unit": "1-101", "residency": "owner"}
    answer = sign_in("meng").post(reverse("people:register"), good | given)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert Holder.objects.count() == before


def test_a_tenant_is_registered_until_the_end_of_the_last_day(
    world: World, sign_in: SignIn
) -> None:
    day = TODAY + timedelta(days=30)
    given = {"name": "赵来", "kind": "resident", "unit": "1-102", "residency": "tenant"}
    answer = sign_in("meng").post(reverse("people:register"), given | {"ends_on": str(day)})
    assert answer.status_code == 302
    residency = Holder.objects.get(name="赵来").residencies.get()
    # Midnight in Shanghai, which begins the next day there, is 16:00 UTC.
    assert residency.ends_at is not None
    assert residency.ends_at.isoformat() == f"{day}T16:00:00+00:00"


@pytest.mark.parametrize(
    ("url", "given", "said"),
    [
        ("people:add_card", {"number": ""}, "Type the card&#x27;s number"),
        ("people:add_card", {"number": "xyz"}, "4 to 32 digits"),
        ("people:add_card", {"number": "1" * 41}, "4 to 32 digits"),
        ("people:add_card", {"number": "0499887766"}, "钱远"),
        ("people:add_plate", {"plate": "京A1234I"}, "I and O are not issued"),
        ("people:add_plate", {"plate": "A12345"}, "province"),
        ("people:add_plate", {"plate": "京A12345"}, "林安"),
        ("people:add_plate", {"plate": "京" * 17}, "too long"),
    ],
)
def test_a_bad_card_or_plate_is_told_why(
    world: World, sign_in: SignIn, url: str, given: dict[str, Any], said: str
) -> None:
    before = Credential.objects.count()
    answer = sign_in("meng").post(reverse(url, args=[world.people["wang"].pk]), given)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert Credential.objects.count() == before


def test_a_lost_card_takes_two_presses_and_is_lost(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    card = lin.credentials.get(method="card")
    guard = sign_in("guo")
    assert "Sure?" in guard.get(reverse("people:holder", args=[lin.pk])).content.decode()
    guard.post(reverse("access:change_credential", args=[card.pk, "lost"]))
    card.refresh_from_db()
    assert card.status == "lost"


def test_the_next_unknown_card_at_a_reader_is_offered_and_no_other(
    world: World, sign_in: SignIn
) -> None:
    client, wang = sign_in("meng"), world.people["wang"]
    world.refused("", "east", Method.CARD, Reason.CREDENTIAL_UNKNOWN, value="04AAAAAAAA")
    url = reverse("people:wait_for_card", args=[wang.pk])
    page = client.get(url, {"point": world.points["east"].pk})
    again = page.context["again"]
    assert "04AAAAAAAA" not in page.content.decode()
    world.refused("", "west", Method.CARD, Reason.CREDENTIAL_UNKNOWN, value="04BBBBBBBB")
    world.refused("qian", "east", Method.CARD, Reason.RESIDENCY_ENDED, value="0499887766")
    assert client.get(url + again).context["number"] == ""
    world.refused("", "east", Method.CARD, Reason.CREDENTIAL_UNKNOWN, value="04CCCCCCCC")
    part = client.get(url + again, headers={"HX-Request": "true"})
    assert "04CCCCCCCC" in part.content.decode()
    assert "<html" not in part.content.decode()
    client.post(reverse("people:add_card", args=[wang.pk]), {"number": "04CCCCCCCC"})
    assert wang.credentials.get().key == "04CCCCCCCC"


def test_a_card_held_to_a_secure_reader_is_given_as_that_reader_reports_it(
    world: World, sign_in: SignIn
) -> None:
    client, wang = sign_in("meng"), world.people["wang"]
    url = reverse("people:wait_for_card", args=[wang.pk])
    again = client.get(url, {"point": world.points["east"].pk}).context["again"]
    unknown = Reason.CREDENTIAL_UNKNOWN
    world.refused("", "east", Method.SECURE_CARD, unknown, value="0A1B2C3D")
    page = client.get(url + again).content.decode()
    given = dict(
        re.findall(r'<input type="hidden" name="(number|is_secure)" value="([^"]*)"', page)
    )
    assert client.post(reverse("people:add_card", args=[wang.pk]), given).status_code == 302
    assert wang.credentials.get().method == Method.SECURE_CARD


def test_waiting_for_a_card_ends_after_a_minute(world: World, sign_in: SignIn) -> None:
    url = reverse("people:wait_for_card", args=[world.people["wang"].pk])
    began = int(timezone.now().timestamp()) - 61
    query: dict[str, str | int] = {"point": world.points["east"].pk, "after": 0, "began": began}
    text = sign_in("meng").get(url, query).content.decode()
    assert "No new card was read" in text
    assert "hx-trigger" not in text


def test_no_face_without_consent(world: World, sign_in: SignIn) -> None:
    client, url = sign_in("meng"), reverse("people:face", args=[world.people["wang"].pk])
    picture = SimpleUploadedFile("face.jpg", drawn_face(1), "image/jpeg")
    assert "Read this to the person" in client.post(url, {"photo": picture}).content.decode()
    consent = reverse("people:give_consent", args=[world.people["wang"].pk])
    assert client.post(consent, {}).status_code == 422
    assert not world.people["wang"].has_consent(Purpose.FACE)
    assert client.post(consent, {"was_shown": "on", "age": "14"}).status_code == 302
    assert world.people["wang"].has_consent(Purpose.FACE)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "Choose a photograph, or take one with the camera."),
        (b"", "This file is empty."),
        (b"not a picture at all", "This file is no picture that can be read."),
        (b"\xff\xd8\xff\xe0 cut", "This file is no picture that can be read."),
    ],
)
def test_a_photograph_that_is_none_is_told_so(
    world: World, sign_in: SignIn, body: bytes | None, said: str
) -> None:
    wang = world.people["wang"]
    people.give_consent(wang, Purpose.FACE, BY)
    given = {} if body is None else {"photo": SimpleUploadedFile("f.jpg", body, "image/jpeg")}
    answer = sign_in("meng").post(reverse("people:face", args=[wang.pk]), given)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not wang.credentials.exists()


def test_opening_needs_a_reason_and_is_told_honestly(world: World, sign_in: SignIn) -> None:
    client = sign_in("guo")
    url = reverse("access:command", args=[world.portals["east"].pk])
    assert client.post(url, {"kind": "release"}).status_code == 422
    other = client.post(url, {"kind": "release", "why": "other", "words": " "})
    assert "Say in a few words why." in other.content.decode()
    assert client.post(url, {"kind": "melt", "why": "visitor"}).status_code == 422
    assert not Command.objects.exists()
    answer = client.post(url, {"kind": "release", "why": "visitor", "words": "1-101"})
    command = Command.objects.get()
    assert (command.by, command.reason) == ("guo", "Visitor, announced by telephone · 1-101")
    assert "Waiting for the edge to listen" in client.get(answer["Location"]).content.decode()
    Command.objects.update(sent_at=timezone.now())
    world.happened(EventKind.COMMAND_DONE, command.pk, {"command": command.pk})
    page = client.get(answer["Location"]).content.decode()
    assert "Accepted by the edge" in page
    assert "Opened: the contact" not in page
    Command.objects.update(outcome_at=timezone.now() - timedelta(minutes=1))
    late = client.get(answer["Location"]).content.decode()
    assert "Released, but nobody opened it" in late
    assert "hx-trigger" not in late
    Command.objects.update(acted_at=timezone.now())
    assert (
        "Opened: the contact at the door says so" in client.get(answer["Location"]).content.decode()
    )


def test_an_order_that_nobody_answered_is_dead_and_says_so(world: World, sign_in: SignIn) -> None:
    client = sign_in("guo")
    url = reverse("access:command", args=[world.portals["east"].pk])
    sent = client.post(url, {"kind": "release", "why": "visitor"})["Location"]
    long_ago = timezone.now() - timedelta(minutes=5)
    Command.objects.update(issued_at=long_ago, expires_at=long_ago + timedelta(seconds=10))
    page = client.get(sent).content.decode()
    assert "Not sent: the edge was not listening" in page
    assert "This order is dead." in page


def test_a_lockdown_names_its_gates_and_its_reason(world: World, sign_in: SignIn) -> None:
    client, url = sign_in("meng"), reverse("access:lockdown")
    chosen = [world.portals["east"].pk, world.portals["west"].pk]
    assert client.post(url, {"action": "start", "reason": "x"}).status_code == 422
    nameless = {"action": "start", "where": "single", "portals": chosen, "reason": ""}
    assert client.post(url, nameless).status_code == 422
    assert client.post(url, nameless | {"reason": "演练"}).status_code == 302
    assert {c.target for c in Command.objects.filter(kind="lockdown")} == set(chosen)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "Type the visitor&#x27;s name."),
        ({"begins": "tomorrow"}, "This is not a time."),
        ({"begins": "2199-01-01T10:00"}, "A pass begins within 90 days."),
        ({"begins": "2020-01-01T10:00"}, "is over already"),
        ({"points": ["nowhere"]}, "nowhere"),
    ],
)
def test_a_pass_that_breaks_a_rule_is_told_which(
    world: World, sign_in: SignIn, given: dict[str, Any], said: str
) -> None:
    good = {"name": "赵来", "lasts": "2h", "uses": "1"}
    answer = sign_in("guo").post(reverse("access:issue"), good | given)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not VisitorPass.objects.exists()


def test_a_pass_is_shown_as_a_code_until_it_is_taken_back(world: World, sign_in: SignIn) -> None:
    client = sign_in("guo")
    given = {"name": "赵来", "lasts": "today", "uses": "2", "points": [world.points["east"].pk]}
    page = client.get(client.post(reverse("access:issue"), given)["Location"])
    text = page.content.decode()
    assert "<svg" in text.split('class="qr"')[1]
    assert "东门入口" in text
    leave = VisitorPass.objects.get()
    client.post(reverse("access:revoke_pass", args=[leave.pk]))
    assert 'class="qr"' not in client.get(reverse("access:pass", args=[leave.pk])).content.decode()


def test_a_node_code_is_shown_once_and_kept_nowhere(world: World, sign_in: SignIn) -> None:
    client = sign_in("installer")
    assert client.post(reverse("devices:create"), {"name": " "}).status_code == 422
    assert client.post(reverse("devices:create"), {"name": "东门机房"}).status_code == 422
    page = client.post(reverse("devices:create"), {"name": "西门"})
    code = page.context["code"]
    assert code in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert code not in client.get(reverse("devices:nodes")).content.decode()
    enrolled = Node.objects.get(name="东门机房")
    refused = client.post(reverse("devices:renew", args=[enrolled.pk]))
    assert refused.status_code == 422


@pytest.mark.parametrize("query", ["", "林", "1-101", "京A·12345", "138 0000 0001", "04a1b2c3d4"])
def test_lin_is_found_by_everything_that_is_hers(world: World, sign_in: SignIn, query: str) -> None:
    assert "林安" in sign_in("guo").get("/holders", {"q": query}).content.decode()


@pytest.mark.parametrize("query", ["%", "_", "'; drop", "\x00", "x" * 5000])
def test_a_strange_search_finds_nobody(world: World, sign_in: SignIn, query: str) -> None:
    answer = sign_in("guo").get("/holders", {"q": query, "page": "-7"})
    assert answer.status_code == 200
    if query.strip("\x00"):
        assert "Nobody is found" in answer.content.decode()


# The log-in


def test_the_right_password_opens_and_the_wrong_one_says_only_that(world: World) -> None:
    client = Client(headers={"accept-language": "en"})
    wrong = client.post("/login", {"username": "guo", "password": "wrong"})
    nobody = client.post("/login", {"username": "nobody", "password": "wrong"})
    assert wrong.status_code == nobody.status_code == 422
    for answer in (wrong, nobody):
        assert "The name or the password is wrong." in answer.content.decode()
    right = {"username": "guo", "password": world.passwords["guo"], "next": "/points"}
    assert client.post("/login", right)["Location"] == "/points"


def test_five_wrong_passwords_make_even_the_right_one_wait(world: World) -> None:
    client = Client(headers={"accept-language": "en"})
    for _ in range(login.TRIES):
        client.post("/login", {"username": "guo", "password": "wrong"})
    right = {"username": "guo", "password": world.passwords["guo"]}
    answer = client.post("/login", right)
    assert "Too many wrong tries. Wait 5 minutes" in answer.content.decode()
    meng = {"username": "meng", "password": world.passwords["meng"]}
    assert client.post("/login", meng).status_code == 302


@pytest.mark.parametrize(
    "onward", ["https://elsewhere.example/", "//elsewhere.example", "javascript:1"]
)
def test_the_log_in_leads_nowhere_else(world: World, onward: str) -> None:
    given = {"username": "guo", "password": world.passwords["guo"], "next": onward}
    assert Client().post("/login", given)["Location"] == "/"
    assert Client().post("/language", {"language": "en", "next": onward})["Location"] == "/"


def test_an_account_without_a_role_is_told_whom_to_ask(
    world: World, django_user_model: Any
) -> None:
    django_user_model.objects.create_user("ghost", password="a long enough one")
    given = {"username": "ghost", "password": "a long enough one"}
    client = Client(headers={"accept-language": "en"})
    assert "Ask the property manager" in client.post("/login", given).content.decode()


def test_the_language_is_chosen_and_kept(world: World, sign_in: SignIn) -> None:
    client = sign_in("guo", "zh-hans")
    assert 'lang="zh-hans"' in client.get("/").content.decode()
    client.post("/language", {"language": "en", "next": "/"})
    assert "Coming and going" in client.get("/").content.decode()
    client.post("/language", {"language": "xx", "next": "/"})
    assert "Coming and going" in client.get("/").content.decode()


def test_pages_carry_no_inline_script_or_style(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    for url in (
        "/",
        "/points",
        "/holders",
        f"/holders/{lin.pk}",
        "/visits/new",
        "/nodes",
        "/changes",
    ):
        text = sign_in("meng").get(url).content.decode()
        assert " style=" not in text, url
        assert "<style" not in text, url
        assert "<script>" not in text, url
        assert " onclick=" not in text, url
