"""A program sets up what an installer sets up on pages, by the same rules and roles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from anlin.hub.access.models import AccessPoint, AccessRule, Area, Portal, Schedule, WatchEntry
from anlin.hub.access.policy import community_group
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.people import services as people
from anlin.hub.people.models import Role

pytestmark = pytest.mark.django_db(databases=["default", "events"])


class Caller:
    """A program with the token of a member of staff."""

    def __init__(self, cast: Cast, role: Role) -> None:
        staff, _password = people.add_staff(cast.community, f"{role}-api", role, BY)
        token = people.add_api_token(staff, "test", BY)[1]
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def __call__(self, verb: str, path: str, body: Any = None) -> Any:
        do = getattr(self._client, verb)
        return do(f"/api/v1{path}", body or {}, content_type="application/json")


@pytest.fixture
def installer(cast: Cast) -> Caller:
    return Caller(cast, Role.INSTALLER)


def made(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 201, answer.content.decode()
    found: dict[str, Any] = answer.json()
    return found


def test_a_program_sets_up_a_door_changes_it_and_removes_it(cast: Cast, installer: Caller) -> None:
    hours = [{"start_min": 480, "end_min": 1080, "days": [1, 2, 3, 4, 5]}]
    day = {"name": "白天", "weekly": hours, "special": [{"on": "2027-05-01", "periods": []}]}
    schedule = made(installer("post", "/setup/schedules", day))["id"]
    area = made(installer("post", "/setup/areas", {"name": "庭院", "capacity": 30}))["id"]
    portal = made(
        installer("post", "/setup/portals", {"name": "北门", "node": cast.node.pk, "grant_s": 7})
    )
    assert (portal["grant_s"], portal["node"]) == (7.0, cast.node.pk)
    entry = {
        "portal": portal["id"],
        "name": "北门进",
        "direction": "entry",
        "methods": ["card", "qr"],
        "area_to": area,
        "raised": [{"schedule": schedule, "level": 2}],
    }
    point = made(installer("post", "/setup/points", entry))["id"]
    group = community_group(cast.community.pk)
    given = {"name": "住户", "groups": [group], "points": [point], "schedule": schedule}
    rule = made(installer("post", "/setup/rules", given))["id"]
    kinds = ("portals", "points", "areas", "rules", "schedules")
    for kind, id_ in zip(kinds, (portal["id"], point, area, rule, schedule), strict=True):
        listed = installer("get", f"/setup/{kind}").json()
        assert id_ in {one["id"] for one in listed}
    assert installer("patch", f"/setup/portals/{portal['id']}", {"name": "北"}).status_code == 200
    assert installer("patch", f"/setup/points/{point}", {"area_to": None}).status_code == 200
    assert installer("patch", f"/setup/areas/{area}", {"capacity": 0}).status_code == 200
    assert installer("patch", f"/setup/rules/{rule}", {"schedule": None}).status_code == 200
    changed = installer("put", f"/setup/schedules/{schedule}", {"name": "夜"})
    assert (changed.json()["name"], changed.json()["weekly"]) == ("夜", [])
    stored = Portal.objects.get(pk=portal["id"])
    assert (stored.name, stored.grant_s) == ("北", 7.0), "what is left out stays"
    assert AccessPoint.objects.get(pk=point).area_to is None
    assert AccessRule.objects.get(pk=rule).schedule is None
    refused = installer("delete", f"/setup/portals/{portal['id']}")
    assert refused.status_code == 422
    assert installer("delete", f"/setup/schedules/{schedule}").status_code == 422
    installer("patch", f"/setup/points/{point}", {"raised": []})
    for path in (f"rules/{rule}", f"points/{point}", f"portals/{portal['id']}"):
        assert installer("delete", f"/setup/{path}").status_code == 204
    for path in (f"areas/{area}", f"schedules/{schedule}"):
        assert installer("delete", f"/setup/{path}").status_code == 204
    assert not Area.objects.exists()
    assert not Schedule.objects.exists()
    assert Change.objects.filter(via="api", action="remove").count() == 5


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("portals", {"name": "x"}, "node"),
        ("portals", {"name": "x", "node": "n_elsewhere"}, "node"),
        ("portals", {"name": "x", "node": "{node}", "grant_s": 0}, "grant_s"),
        ("portals", {"name": None, "node": "{node}"}, "name"),
        ("portals", {"name": "x", "node": "{node}", "on_power_loss": "x"}, "on_power_loss"),
        ("points", {"portal": "p_x"}, "portal"),
        (
            "points",
            {"portal": "{portal}", "name": "x", "direction": "entry", "methods": ["face"]},
            "methods",
        ),
        ("areas", {"name": "x", "capacity": -1}, "capacity"),
        ("rules", {"name": "x", "groups": ["nobody"], "points": []}, "groups"),
        ("rules", {"name": "x", "groups": [], "points": ["ap_x"]}, "points"),
        ("schedules", {"name": "x", "weekly": [{"start_min": 0, "end_min": 9999}]}, "end_min"),
        ("schedules", {"name": "x", "holidays": "ht_x"}, "holidays"),
    ],
)
def test_what_breaks_a_rule_names_its_field_and_makes_nothing(
    cast: Cast, installer: Caller, path: str, body: dict[str, Any], field: str
) -> None:
    places = {"{node}": cast.node.pk, "{portal}": cast.portal.pk}
    given = {
        name: places.get(value, value) if isinstance(value, str) else value
        for name, value in body.items()
    }
    before = Change.objects.count()
    answer = installer("post", f"/setup/{path}", given)
    assert answer.status_code == 422
    assert field in answer.json()["field"]
    assert len(answer.json()["error"]) > 10
    assert Change.objects.count() == before


@pytest.mark.parametrize("role", list(Role))
def test_the_roles_are_those_of_the_pages(cast: Cast, role: Role) -> None:
    caller = Caller(cast, role)
    may_read = role in (Role.MANAGER, Role.INSTALLER, Role.COMMITTEE, Role.AUDITOR)
    may_write = role in (Role.MANAGER, Role.INSTALLER)
    assert caller("get", "/setup/rules").status_code == (200 if may_read else 403)
    assert caller("post", "/setup/areas", {"name": "庭"}).status_code == (201 if may_write else 403)
    pin = caller("post", f"/holders/{cast.lin.pk}/pin", {"digits": "240817"}).status_code
    assert pin == (201 if role is Role.MANAGER else 403)
    knows = role in (Role.LIAISON, Role.COMMITTEE, Role.AUDITOR)
    assert caller("get", "/watch").status_code == (200 if knows else 403)
    proposed = caller("post", "/watch", {}).status_code
    assert proposed == (422 if role is Role.LIAISON else 403)


def test_another_community_is_out_of_reach(cast: Cast, installer: Caller) -> None:
    other = people.create_community("邻里", BY)
    area = Area.objects.create(community=other, name="x")
    assert installer("patch", f"/setup/areas/{area.pk}", {"name": "y"}).status_code == 404
    assert installer("delete", f"/setup/areas/{area.pk}").status_code == 404
    assert area.pk not in str(installer("get", "/setup/areas").json())


def test_a_drawn_pin_is_given_once_and_a_chosen_one_never(cast: Cast) -> None:
    manager, path = Caller(cast, Role.MANAGER), f"/holders/{cast.lin.pk}/pin"
    drawn = manager("post", path)
    assert len(made(drawn)["digits"]) == 6
    assert drawn["Cache-Control"] == "no-store"
    assert made(manager("post", path, {"digits": "240817"}))["digits"] == ""
    refused = manager("post", path, {"digits": "123456"})
    assert (refused.status_code, refused.json()["field"]) == (422, "digits")
    assert "123456" not in refused.content.decode()


def test_a_watch_entry_is_proposed_approved_by_another_and_ended(cast: Cast) -> None:
    liaison, committee = Caller(cast, Role.LIAISON), Caller(cast, Role.COMMITTEE)
    until = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    given = {
        "label": "被盗车辆",
        "source": "派出所 2027-12 号",
        "legal_basis": "治安管理处罚法",
        "valid_until": until,
        "method": "plate",
        "key": "京A12345",
        "roles": ["committee"],
    }
    entry = made(liaison("post", "/watch", given))
    assert entry["state"] == "proposed"
    own = liaison("post", f"/watch/{entry['id']}/approve")
    assert own.status_code == 422, "who proposed it can't approve it"
    assert Caller(cast, Role.AUDITOR)("post", f"/watch/{entry['id']}/approve").status_code == 404
    approved = committee("post", f"/watch/{entry['id']}/approve")
    assert approved.json()["state"] == "active"
    assert committee("post", f"/watch/{entry['id']}/end", {"reason": ""}).status_code == 422
    ended = committee("post", f"/watch/{entry['id']}/end", {"reason": "已找到车辆"})
    assert ended.json()["state"] == "ended"
    wrong = liaison("post", "/watch", given | {"roles": ["king"]})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "roles")
    told = liaison("post", "/watch", given | {"roles": ["manager"]})
    assert told.json()["field"] == "roles"
    assert WatchEntry.objects.count() == 1
