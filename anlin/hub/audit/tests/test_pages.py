"""The logs on their pages: in words, found by what one knows, taken out with a name on it."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client
from django.utils import timezone, translation

from anlin.core.entities import Method
from anlin.hub.access import services as access
from anlin.hub.audit import words
from anlin.hub.audit.models import View
from anlin.hub.console.tests.conftest import _catalogues, sign_in, world
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.people import services as people

__all__ = ["_catalogues", "sign_in", "world"]

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def page(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_before_and_after_are_said_in_words(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    people.suspend_holder(lin, BY)
    found = page(sign_in("auditor"), "/changes", q=lin.pk)
    for said in ("suspended", "Person", "林安", "<del>Active</del>", "<ins>Suspended</ins>"):
        assert said in found, said
    chinese = page(sign_in("auditor", "zh-hans"), "/changes", q=lin.pk)
    for said in ("停用", "人员", "<ins>"):
        assert said in chinese, said
    assert "people.holder" not in chinese


@pytest.mark.parametrize(
    ("label", "name", "value", "said"),
    [
        ("people.holder", "needs_time", True, "yes"),
        ("people.staffprofile", "role", "guard", "Guard"),
        ("accounts.factorrule", "roles", ["guard", "manager"], "Guard、Property manager"),
        ("access.credential", "method", "card", "Card"),
        ("people.residency", "ends_at", "2026-11-21T16:00:00Z", "2026-11-21 16:00"),
        ("people.residency", "unit_id", "u_gone", "u_gone"),
        ("people.holder", "note", "x" * 200, "x" * 120 + "…"),
        ("no.model", "no_field", {"a": 1}, "{'a': 1}"),
        ("people.holder", "note", None, ""),
    ],
)
def test_a_value_has_the_word_of_its_field(
    db: None, label: str, name: str, value: object, said: str
) -> None:
    with translation.override("en"), timezone.override("UTC"):
        assert words.value_word(label, name, value) == said


def test_a_home_is_named_by_what_stands_on_its_door(world: World) -> None:
    unit = world.people["lin"].residencies.get().unit
    assert words.value_word("people.residency", "unit_id", unit.pk) == "1-101"
    assert words.field_word("no.model", "no_field") == "no field"
    assert words.model_word("no.model") == "no.model"


def test_the_log_is_found_by_name_word_who_and_day(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    sign_in("meng").post(f"/holders/{lin.pk}/edit", {"name": "林安", "note": "喜欢猫"})
    auditor = sign_in("auditor")
    today = timezone.localdate().isoformat()
    for query in ({"q": "林安"}, {"who": "meng"}, {"q": "chang"}, {"who": "meng", "since": today}):
        assert "喜欢猫" in page(auditor, "/changes", **query), query
    for query in (
        {"who": "guo"},
        {"q": "王宁"},
        {"until": "2020-01-01"},
        {"since": "2199-01-01"},
    ):
        assert "喜欢猫" not in page(auditor, "/changes", **query), query


@pytest.mark.parametrize("junk", ["2026-99-99", "x", "\x00", "٣", "0" * 500])
def test_junk_in_a_filter_is_no_fault(world: World, sign_in: SignIn, junk: str) -> None:
    for name in ("q", "who", "since", "until", "page"):
        page(sign_in("auditor"), "/changes", **{name: junk})
        page(sign_in("auditor"), "/changes/looks", **{name: junk})


def test_a_log_is_taken_out_with_the_name_of_who_did_and_that_is_logged(
    world: World, sign_in: SignIn
) -> None:
    lin = world.people["lin"]
    people.change_holder(lin, BY, note="=HYPERLINK(1)")
    answer = sign_in("auditor").post("/changes/export", {"q": lin.pk})
    rows = list(csv.reader(io.StringIO(answer.content.decode().lstrip("\ufeff"))))
    assert rows[0][0].startswith("auditor · 20")
    assert all(row[5] == lin.pk for row in rows[2:])
    assert not any(cell.startswith("=") for row in rows[2:] for cell in row)
    assert View.objects.filter(what="change log", who="auditor").exists()
    looks = sign_in("meng").post("/changes/looks/export").content.decode()
    assert "change log" in looks or "an export of the change log" in looks
    assert sign_in("committee").post("/changes/export").status_code == 403
    assert sign_in("guo").post("/changes/looks/export").status_code == 403


def test_that_somebody_is_sought_is_in_no_export_of_the_manager(
    world: World, sign_in: SignIn
) -> None:
    View.objects.create(
        community=world.community, who="liaison", what="watch entry", object_id="w_1"
    )
    assert "w_1" not in sign_in("meng").post("/changes/looks/export").content.decode()
    assert "w_1" in sign_in("auditor").post("/changes/looks/export").content.decode()


def test_a_picture_that_leaves_carries_who_took_it(world: World, sign_in: SignIn) -> None:
    name = world.picture(1)
    event = world.passed("lin", "east", Method.FACE, picture=name)
    guo = sign_in("guo")
    plain = guo.get(f"/media/{name}").getvalue()
    taken = guo.get(f"/media/{name}", {"take": f"event {event.pk}"})
    assert taken["Content-Disposition"].startswith("attachment")
    assert taken.content != plain
    assert taken.content.startswith(b"\xff\xd8")
    assert View.objects.filter(who="guo", purpose=f"taken out event {event.pk}").exists()
    assert "?take=event" in page(guo, f"/events/{event.pk}")


def test_every_act_of_the_demo_world_has_a_word(world: World) -> None:
    access.add_card(world.people["wang"], "0411223344", BY)
    from anlin.hub.audit.models import Change

    acts = set(Change.objects.values_list("action", flat=True))
    bare = {act for act in acts if act not in words.ACTIONS and words.action_word(act) == act}
    assert bare == set()
    labels = set(Change.objects.values_list("model", flat=True))
    assert labels - set(words.MODELS) == set()
