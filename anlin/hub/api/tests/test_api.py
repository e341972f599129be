from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from anlin.core.event import EventKind
from anlin.hub.access import services as access
from anlin.hub.api import api
from anlin.hub.audit.models import Change, View
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices.models import Command
from anlin.hub.events.store import commit
from anlin.hub.events.tests.helpers import Journal
from anlin.hub.people import services as people
from anlin.hub.people.models import Holder, Purpose

pytestmark = pytest.mark.django_db(databases=["default", "events"])

COMMITTED = Path(__file__).parents[4] / "docs" / "ref" / "openapi.json"


class Caller:
    """A program with a token."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(f"/api/v1{path}", query)

    def post(self, path: str, body: Any = None) -> Any:
        return self._client.post(f"/api/v1{path}", body or {}, content_type="application/json")

    def upload(self, path: str, content: bytes) -> Any:
        return self._client.post(f"/api/v1{path}", {"photo": SimpleUploadedFile("x.jpg", content)})

    def delete(self, path: str) -> Any:
        return self._client.delete(f"/api/v1{path}")


@pytest.fixture
def meng(cast: Cast) -> Caller:
    return Caller(people.add_api_token(cast.meng, "test", BY)[1])


def test_the_committed_description_is_that_of_this_api() -> None:
    described = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/")))
    # The version of the package is not a change of the API.
    described["info"].pop("version")
    assert json.loads(COMMITTED.read_text()) == described, (
        "write docs/ref/openapi.json anew: python -m anlin.hub.manage describe_api"
    )


def test_a_person_is_registered_given_a_card_and_a_plate_and_found(
    cast: Cast, meng: Caller
) -> None:
    made = meng.post("/holders", {"name": "孟新", "unit": "1-103", "building": "1栋"})
    assert made.status_code == 201, made.content
    holder = made.json()["id"]
    card = meng.post(f"/holders/{holder}/credentials", {"method": "card", "value": "04 AA BB CC"})
    assert (card.status_code, card.json()["key"]) == (201, "04AABBCC")
    plate = meng.post(f"/holders/{holder}/credentials", {"method": "plate", "value": "京A·12345"})
    assert plate.json()["key"] == "京A12345"
    assert [one["id"] for one in meng.get("/holders", query="1-103").json()["holders"]] == [holder]
    shown = meng.get(f"/holders/{holder}").json()
    assert [home["unit"] for home in shown["residencies"]] == ["1-103"]
    assert View.objects.filter(who="meng", what="holder", object_id=holder).exists()
    assert Change.objects.filter(via="api", who="meng", object_id=holder).exists()


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/holders", {"name": " "}, "name"),
        ("/holders", {}, "name"),
        ("/holders/{lin}/credentials", {"method": "plate", "value": "京A1234I"}, "京A·12341"),
        ("/holders/{lin}/credentials", {"method": "face", "value": "x"}, "method"),
        ("/passes", {"not_before": "now", "not_after": "later"}, "not_before"),
        ("/portals/{portal}/release", {"reason": ""}, "reason"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_name(
    cast: Cast, meng: Caller, path: str, body: dict[str, Any], named: str
) -> None:
    answer = meng.post(path.format(lin=cast.lin.pk, portal=cast.portal.pk), body)
    assert answer.status_code == 422
    assert named in answer.json()["error"] + answer.json()["field"]


def test_a_photograph_that_is_none_is_refused_by_its_fault(cast: Cast, meng: Caller) -> None:
    assert meng.upload(f"/holders/{cast.lin.pk}/face", b"x").status_code == 422
    people.give_consent(cast.lin, Purpose.FACE, BY)
    answer = meng.upload(f"/holders/{cast.lin.pk}/face", b"no picture")
    assert answer.status_code == 422
    assert "not_a_picture" in answer.json()["error"]


def test_what_belongs_to_another_community_is_not_there(cast: Cast, meng: Caller) -> None:
    other = people.create_community("邻里", BY)
    stranger = people.register_holder(other, "赵访", BY)
    assert meng.get(f"/holders/{stranger.pk}").status_code == 404
    assert meng.post(f"/holders/{stranger.pk}/suspend").status_code == 404
    assert stranger.pk not in str(meng.get("/holders").json())


def test_a_release_is_asked_for_and_said_to_be_no_more_than_that(cast: Cast, meng: Caller) -> None:
    answer = meng.post(f"/portals/{cast.portal.pk}/release", {"reason": "快递"})
    assert answer.status_code == 202
    assert (answer.json()["outcome"], answer.json()["sent_at"]) == ("pending", None)
    assert Command.objects.get().by == "meng"
    assert meng.get(f"/commands/{answer.json()['id']}").json()["kind"] == "release"


def test_a_telephone_is_presented_and_the_edge_decides(cast: Cast, meng: Caller) -> None:
    phone = meng.post(f"/holders/{cast.lin.pk}/phone")
    assert phone.status_code == 201
    asked = meng.post(f"/points/{cast.point.pk}/phone", {"credential": phone.json()["id"]})
    assert asked.status_code == 202
    command = Command.objects.get(pk=asked.json()["id"])
    assert (command.kind, command.target) == ("present", cast.point.pk)
    assert command.data == {"value": phone.json()["key"]}
    card = access.add_card(cast.lin, "04AABBCC", BY)
    refused = meng.post(f"/points/{cast.point.pk}/phone", {"credential": card.pk})
    assert refused.status_code == 422


def test_points_and_nodes_say_which_rules_they_run(cast: Cast, meng: Caller) -> None:
    point = meng.get("/points").json()[0]
    assert point["id"] == cast.point.pk
    assert (point["state"], point["node_is_online"], point["rules_as_of"]) == ("", False, 0)
    assert point["newest_rules"] > 0
    assert meng.get("/nodes").json()[0]["name"] == "东门"


def test_events_are_listed_by_position_and_resumed(cast: Cast, meng: Caller) -> None:
    journal = Journal(cast.node.pk)
    commit(cast.node, [journal.add(EventKind.DOOR_CLOSED) for _ in range(5)], datetime.now(UTC))
    first = meng.get("/events", limit=3).json()
    rest = meng.get("/events", after=first["position"]).json()
    assert [event["seq"] for event in first["events"] + rest["events"]] == [1, 2, 3, 4, 5]
    assert meng.get("/events", kind="tamper").json()["events"] == []
    assert meng.get("/events", kind="x").status_code == 422


def test_a_pass_is_given_once_and_taken_back(cast: Cast, meng: Caller) -> None:
    now = datetime.now(UTC)
    window = {"not_before": now.isoformat(), "not_after": (now + timedelta(hours=1)).isoformat()}
    made = meng.post("/passes", {"visitor": "赵访", "points": [cast.point.pk], **window})
    assert made.json()["text"].startswith("ANLIN1.")
    assert meng.post(f"/passes/{made.json()['id']}/revoke").status_code == 204
    wrong = meng.post("/passes", {"visitor": "赵访", "points": ["ap_x"], **window})
    assert "ap_x" in wrong.json()["error"]


def test_a_token_that_was_revoked_opens_nothing(cast: Cast) -> None:
    token, text = people.add_api_token(cast.meng, "test", BY)
    assert Caller(text).get("/nodes").status_code == 200
    people.revoke_api_token(token, BY)
    assert Caller(text).get("/nodes").status_code == 401
    assert Caller("").get("/nodes").status_code == 401


def test_consent_can_be_given_and_withdrawn(cast: Cast, meng: Caller) -> None:
    path = f"/holders/{cast.lin.pk}/consents"
    assert meng.post(path, {"purpose": "face", "given_by": "林安"}).status_code == 204
    assert Holder.objects.get(pk=cast.lin.pk).has_consent(Purpose.FACE)
    assert meng.delete(f"{path}/face").status_code == 204
    assert not Holder.objects.get(pk=cast.lin.pk).has_consent(Purpose.FACE)


def test_a_consent_names_a_guardian_by_id_and_relation(cast: Cast, meng: Caller) -> None:
    path = f"/holders/{cast.qian.pk}/consents"
    stranger = meng.post(path, {"purpose": "face", "guardian": "ho_nobody", "relation": "母亲"})
    assert (stranger.status_code, stranger.json()["field"]) == (422, "guardian")
    unit = cast.lin.residencies.get().unit
    child = people.register_holder(cast.community, "林小", BY, unit=unit)
    path = f"/holders/{child.pk}/consents"
    asked = {"purpose": "face", "guardian": cast.lin.pk, "relation": "母亲"}
    assert meng.post(path, asked).status_code == 204
    given = child.consents.get()
    assert (given.guardian, given.relation) == (cast.lin, "母亲")


def test_a_plate_makes_a_car_of_its_owner(cast: Cast, meng: Caller) -> None:
    path = f"/holders/{cast.lin.pk}/credentials"
    body = {"method": "plate", "value": "京A·12345", "valid_until": "2030-01-01T00:00:00Z"}
    made = meng.post(path, body).json()
    car = cast.lin.vehicles.get()
    assert car.credential is not None
    assert car.credential.pk == made["id"]
    assert made["valid_until"].startswith("2030-01-01")


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800"])
def test_a_text_that_no_table_holds_is_named(cast: Cast, meng: Caller, text: str) -> None:
    answer = meng._client.post(
        "/api/v1/holders", f'{{"name": "孟新", "note": "{text}"}}', content_type="application/json"
    )
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("note: ")
