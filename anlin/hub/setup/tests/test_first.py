"""A home without a community is founded on a page, once, by whoever reads its console."""

from __future__ import annotations

import html
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from anlin.hub.audit.models import Change
from anlin.hub.console.tests.conftest import _catalogues
from anlin.hub.console.tests.world import BY
from anlin.hub.devices.models import Node
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Role, StaffProfile
from anlin.hub.setup import first

pytestmark = pytest.mark.django_db(databases=["default", "events"])
__all__ = ["_catalogues"]

URL = "/setup/first"


@pytest.fixture(autouse=True)
def waiting(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the file in which `anlin up` looks for the code of its edge."""
    settings.HUB_HOME = tmp_path / "hub"
    path = tmp_path / "edge-1" / "code"
    monkeypatch.setenv(first.CODE_FILE_SETTING, str(path))
    cache.clear()
    yield path
    cache.clear()


@pytest.fixture
def code(capsys: pytest.CaptureFixture[str]) -> str:
    call_command("first_code")
    return capsys.readouterr().out.strip()


def typed(code: str, **given: str) -> dict[str, str]:
    plain = {
        "code": code,
        "name": "新村",
        "manager": "meng",
        "node": "东门机房",
        "zone": "Asia/Shanghai",
    }
    return plain | given


def nothing_made() -> bool:
    return not any(model.objects.exists() for model in (Community, User, Node, Change))


def test_the_log_in_of_an_empty_home_leads_to_the_first_page(client: Client) -> None:
    answer = client.get("/", follow=True)
    assert answer.redirect_chain[-1][0] == URL
    page = answer.content.decode()
    assert "控制台上的验证码" in page
    assert "anlin found PLAN" in page


def test_the_code_founds_a_community_whose_manager_logs_in_at_once(
    client: Client, code: str, waiting: Path
) -> None:
    answer = client.post(URL, typed(code))
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    shown = re.findall(r'class="code">([^<]+)<', html.unescape(answer.content.decode()))
    assert shown[0] == "meng"
    assert len(shown) == 2, "the edge's code went to the edge, not to the page"
    community = Community.objects.get()
    assert (community.name, community.zone) == ("新村", "Asia/Shanghai")
    assert StaffProfile.objects.get().role == Role.MANAGER
    assert {line.who for line in Change.objects.all()} == {"first page"}
    assert stat.S_IMODE(waiting.stat().st_mode) == 0o600
    assert re.fullmatch(r"\w{4}-\w{4}-\w{4}", waiting.read_text())
    assert client.login(username="meng", password=shown[1])


def test_where_the_edge_stands_elsewhere_its_code_is_shown(
    client: Client, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(first.CODE_FILE_SETTING)
    page = client.post(URL, typed(code.upper().replace("-", " "))).content.decode()
    shown = re.findall(r'class="code">([^<]+)<', page)
    assert re.fullmatch(r"\w{4}-\w{4}-\w{4}", shown[2])


@pytest.mark.parametrize("wrong", ["k7mq-2xwp-9rtz", "-", "x" * 40, "密码"])
def test_a_wrong_code_makes_nothing(client: Client, code: str, waiting: Path, wrong: str) -> None:
    answer = client.post(URL, typed(wrong), headers={"accept-language": "en"})
    assert answer.status_code == 422
    assert "not the code" in html.unescape(answer.content.decode())
    assert nothing_made()
    assert not waiting.exists()


def test_without_a_start_of_anlin_up_no_code_is_right(client: Client) -> None:
    assert client.post(URL, typed("")).status_code == 422
    assert client.post(URL, typed("aaaa-aaaa-aaaa")).status_code == 422
    assert nothing_made()


def test_a_new_start_makes_a_new_code_and_the_old_one_is_void(
    client: Client, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("first_code")
    newer = capsys.readouterr().out.strip()
    assert newer != code
    assert client.post(URL, typed(code)).status_code == 422
    assert client.post(URL, typed(newer)).status_code == 200


def test_after_five_wrong_codes_even_the_right_one_has_to_wait(client: Client, code: str) -> None:
    for _try in range(first.TRIES):
        assert client.post(URL, typed("wrong-code")).status_code == 422
    answer = client.post(URL, typed(code), headers={"accept-language": "en"})
    assert answer.status_code == 429
    assert "Too many wrong tries" in answer.content.decode()
    assert nothing_made()
    elsewhere = client.post(URL, typed(code), REMOTE_ADDR="192.0.2.9")
    assert elsewhere.status_code == 200


def test_many_addresses_together_are_limited_too(client: Client, code: str) -> None:
    for number in range(first.TRIES_OF_ALL):
        client.post(URL, typed("wrong-code"), REMOTE_ADDR=f"192.0.2.{number}")
    assert client.post(URL, typed(code), REMOTE_ADDR="198.51.100.1").status_code == 429
    assert nothing_made()


def test_once_a_community_exists_the_page_is_closed_whatever_the_code(
    client: Client, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    people.create_community("天宝绿洲", BY)
    assert client.get(URL)["Location"] == reverse("console:login")
    assert client.post(URL, typed(code))["Location"] == reverse("console:login")
    assert Community.objects.count() == 1
    assert not User.objects.exists()
    assert client.get(reverse("console:login")).status_code == 200
    call_command("first_code")
    assert capsys.readouterr().out == ""


def test_a_code_works_once(client: Client, code: str) -> None:
    assert client.post(URL, typed(code)).status_code == 200
    Community.objects.all().update(name="x")
    assert client.post(URL, typed(code, manager="guo", name="邻里")).status_code == 302
    assert Community.objects.count() == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"zone": "Asia/Nowhere"}, "zone"),
        ({"manager": "meng boss"}, "manager"),
        ({"name": " "}, "name"),
        ({"node": ""}, "node"),
        ({"name": "名" * 61}, "name"),
    ],
)
def test_a_field_that_can_not_be_is_told_and_the_code_stays_good(
    client: Client, code: str, given: dict[str, Any], field: str
) -> None:
    answer = client.post(URL, typed(code, **given))
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {field}
    assert nothing_made()
    assert client.post(URL, typed(code)).status_code == 200


def test_the_code_is_kept_as_a_hash_that_only_this_user_reads(code: str, tmp_path: Path) -> None:
    path = tmp_path / "hub" / "first-code"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert code not in path.read_text()
    assert code.replace("-", "") not in path.read_text()


def test_a_form_from_another_site_is_refused(code: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(URL, typed(code)).status_code == 403
    assert nothing_made()
