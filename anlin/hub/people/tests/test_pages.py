"""The pages of people and homes: what each role sees, and what a wrong field is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.hub.access import services as access
from anlin.hub.access.credentials import replace_card
from anlin.hub.audit.models import Change, View
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.devices.models import Device, DeviceState, Node
from anlin.hub.errors import RuleError
from anlin.hub.people import identity as identities
from anlin.hub.people import services as people
from anlin.hub.people.leaving import Told, deletion
from anlin.hub.people.models import Document, Holder, Identity, Proven, Purpose
from anlin.hub.people.opens import Answer, opens

pytestmark = pytest.mark.django_db(databases=["default", "events"])

LINS = "190101199003071238"


def test_the_number_is_covered_until_a_purpose_is_stated(world: World, sign_in: SignIn) -> None:
    lin, meng = world.people["lin"], sign_in("meng")
    url = reverse("people:identity", args=[lin.pk])
    given = {"document": "id_card", "number": LINS, "category": "registered"}
    assert meng.post(url, given).status_code == 302
    page = meng.get(url).content.decode()
    assert "1901**********1238" in page
    assert LINS not in page
    assert LINS not in meng.get(reverse("people:holder", args=[lin.pk])).content.decode()
    number = reverse("people:id_number", args=[lin.pk])
    refused = meng.post(number, {"purpose": "other"})
    assert refused.status_code == 422
    assert LINS not in refused.content.decode()
    shown = meng.post(number, {"purpose": "police", "words": "A 17"})
    assert LINS in shown.content.decode()
    assert shown["Cache-Control"] == "no-store"
    assert View.objects.get(what=identities.NUMBER_VIEW).purpose == "police · A 17"


def test_the_guard_sees_no_identity(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    identities.record_identity(lin, Document.ID_CARD, LINS, BY)
    page = sign_in("guo").get(reverse("people:holder", args=[lin.pk])).content.decode()
    assert "1901" not in page
    assert "What opens now, and why" in page


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"document": "id_card", "number": LINS[:-1] + "7"}, "A digit is wrong"),
        ({"document": "id_card", "number": ""}, "Type the number on the document."),
        ({"document": "nothing", "number": LINS}, "nothing"),
        ({"document": "passport", "number": "E1", "born_on": ""}, "wrong length"),
        ({"document": "passport", "number": "E1234567", "born_on": "31.2."}, "not a date"),
        ({"document": "passport", "number": "E" * 41}, "so long a number"),
    ],
)
def test_a_wrong_field_is_told_in_a_sentence(
    world: World, sign_in: SignIn, given: dict[str, str], says: str
) -> None:
    url = reverse("people:identity", args=[world.people["lin"].pk])
    answer = sign_in("meng").post(url, given)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Identity.objects.exists()


def test_a_clerk_and_a_reader_prove_and_the_outside_is_not_asked(
    world: World, sign_in: SignIn
) -> None:
    lin, meng = world.people["lin"], sign_in("meng")
    prove = {
        how: reverse("people:prove_identity", args=[lin.pk, how])
        for how in ("clerk", "reader", "outside")
    }
    meng.post(prove["clerk"])
    assert not Identity.objects.exists()
    meng.post(prove["reader"], {"line": f"{lin.name}|女|{LINS}"})
    assert Identity.objects.get().proven == Proven.READER
    meng.post(prove["clerk"])
    found = Identity.objects.get()
    assert (found.proven, found.proven_by) == (Proven.CLERK, "meng")
    meng.post(prove["outside"], {"agreed": "on"})
    assert not Change.objects.filter(action="ask outside").exists()
    bad = meng.post(prove["reader"], {"line": "nonsense"})
    assert bad.status_code == 422
    assert "No document was read" in bad.content.decode()


def test_what_opens_is_what_a_gate_would_say(world: World) -> None:
    lin, qian = world.people["lin"], world.people["qian"]
    now = timezone.now()
    answers = {row.point.name: row for row in opens(lin, now)}
    assert answers["东门入口"].answer is Answer.OPENS
    assert "card" in answers["东门入口"].methods
    assert answers["东门入口"].rule
    assert {row.answer for row in opens(qian, now)} <= {Answer.REFUSED, Answer.FREE}
    people.suspend_holder(lin, BY)
    assert Answer.OPENS not in {row.answer for row in opens(lin, now)}


def test_who_has_nothing_to_show_is_told_apart_from_who_may_not_pass(world: World) -> None:
    unit = world.people["lin"].residencies.get().unit
    bare = people.register_holder(world.community, "林新", BY, unit=unit)
    stranger = people.register_holder(world.community, "赵无", BY)
    now = timezone.now()
    east = {row.point.name: row for row in opens(bare, now)}["东门入口"]
    assert east.answer is Answer.NOTHING_TO_SHOW
    assert {row.answer for row in opens(stranger, now)} <= {Answer.REFUSED, Answer.FREE}
    access.mark_lost(access.add_card(bare, "AABBCCDD", BY), BY)
    lost = {row.point.name: row for row in opens(bare, now)}["东门入口"]
    assert lost.answer is Answer.REFUSED


def test_a_lost_card_is_replaced_in_two_clicks(world: World, sign_in: SignIn) -> None:
    lin, meng = world.people["lin"], sign_in("meng")
    old = lin.credentials.filter(method="card").get()
    point = world.points["east"]
    first = meng.post(reverse("people:replace_card", args=[lin.pk, old.pk]), {"point": point.pk})
    old.refresh_from_db()
    assert old.status == "lost"
    assert f"instead={old.pk}" in first["Location"]
    # The first look marks where in the log the waiting began.
    again = meng.get(first["Location"]).content.decode()
    world.refused("", "east", Method.CARD, Reason.CREDENTIAL_UNKNOWN, value="0F0E0D0C")
    assert "Hold the card now" in again
    give = {"number": "0F0E0D0C", "instead": old.pk}
    for _ in range(2):
        assert meng.post(reverse("people:add_card", args=[lin.pk]), give).status_code == 302
    old.refresh_from_db()
    assert old.status == "revoked"
    assert lin.credentials.filter(method="card", status="active").get().key == "0F0E0D0C"


def test_a_card_does_not_replace_itself(world: World) -> None:
    lin = world.people["lin"]
    card = lin.credentials.filter(method="card").get()
    with pytest.raises(RuleError):
        replace_card(card, card.key, BY)
    card.refresh_from_db()
    assert card.status == "active"


def test_moving_out_is_proven_by_each_node_and_device(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    before = world.community.policy_revision
    board = Device.objects.create(node=world.node, name="门禁板", driver="uhppote")
    DeviceState.objects.create(device=board, is_online=True)
    world.happened(EventKind.TABLE_HELD, board.pk, table(before))
    people.move_out(lin, BY)
    world.community.refresh_from_db()
    lin.refresh_from_db()
    now = timezone.now()
    Node.objects.filter(pk=world.node.pk).update(rules_as_of=before, last_seen_at=now)
    found = deletion(lin, now)
    assert found is not None
    assert [row.told for row in found.rows] == [Told.WAITING, Told.WAITING]
    page = sign_in("meng").get(reverse("people:holder", args=[lin.pk])).content.decode()
    assert "门禁板" in page
    assert "Not confirmed yet" in page
    Node.objects.filter(pk=world.node.pk).update(rules_as_of=found.revision)
    assert told(lin, now) == [Told.CONFIRMED, Told.WAITING]
    # The device, still listening, was told of no other table: nothing of Lin was in it.
    assert told(lin, now + timedelta(minutes=2)) == [Told.CONFIRMED, Told.WAITING]
    Node.objects.filter(pk=world.node.pk).update(last_seen_at=now + timedelta(minutes=2))
    assert told(lin, now + timedelta(minutes=2)) == [Told.CONFIRMED, Told.UNTOUCHED]
    world.happened(EventKind.TABLE_BEHIND, board.pk, table(found.revision, held="b", surplus=1))
    assert told(lin, now + timedelta(minutes=2)) == [Told.CONFIRMED, Told.WAITING]
    world.happened(EventKind.TABLE_HELD, board.pk, table(found.revision, wanted="c", held="c"))
    assert told(lin, now + timedelta(minutes=2)) == [Told.CONFIRMED, Told.CONFIRMED]


def told(holder: Holder, at: datetime) -> list[Told]:
    found = deletion(holder, at)
    assert found is not None
    return [row.told for row in found.rows]


def table(revision: int, wanted: str = "a", held: str = "a", surplus: int = 0) -> dict[str, object]:
    return {
        "revision": revision,
        "wanted": wanted,
        "held": held,
        "rows": 1,
        "missing": 0,
        "surplus": surplus,
        "capacity": 100,
        "refused": [],
        "rule": "",
    }


def test_a_child_needs_a_guardian_with_name_and_relation(world: World) -> None:
    unit = world.people["lin"].residencies.get().unit
    child = people.register_holder(world.community, "林小", BY, unit=unit)
    born = timezone.localdate() - timedelta(days=365 * 8)
    identities.record_identity(child, Document.PASSPORT, "E1234567", BY, born_on=born)
    lin = world.people["lin"]
    too_little: tuple[dict[str, Any], ...] = (
        {},
        {"given_by": "林小"},
        {"given_by": "林安"},
        {"guardian": lin},
        {"guardian": child, "relation": "母亲"},
        {"relation": "母亲"},
    )
    for given in too_little:
        with pytest.raises(RuleError):
            people.give_consent(child, Purpose.FACE, BY, **given)
    assert not child.consents.exists()
    consent = people.give_consent(child, Purpose.FACE, BY, guardian=lin, relation="母亲")
    assert (consent.guardian, consent.given_by, consent.relation) == (lin, lin.name, "母亲")


def test_what_the_desk_says_of_an_age_counts_where_none_is_known(world: World) -> None:
    lin = world.people["lin"]
    with pytest.raises(RuleError):
        people.give_consent(lin, Purpose.FACE, BY, is_child=True)


def test_a_child_is_not_enrolled_on_a_consent_of_its_own(world: World) -> None:
    lin = world.people["lin"]
    people.withdraw_consent(lin, Purpose.FACE, BY)
    people.give_consent(lin, Purpose.FACE, BY)
    born = timezone.localdate() - timedelta(days=365 * 8)
    identities.record_identity(lin, Document.PASSPORT, "E1234567", BY, born_on=born)
    with pytest.raises(RuleError, match="14"):
        access.enrol_face(lin, b"not looked at", BY)


def test_attention_is_seen_by_its_roles_alone(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    url = reverse("people:attend", args=[lin.pk])
    until = (timezone.localdate() + timedelta(days=30)).isoformat()
    given = {
        "group": "lone_elder",
        "legal_basis": "本人书面同意",
        "source": "本人",
        "valid_until": until,
    }
    committee = sign_in("committee")
    for _ in range(2):
        assert committee.post(url, given).status_code == 302
    assert lin.attentions.count() == 1
    assert "本人书面同意" in sign_in("liaison").get(reverse("people:attention")).content.decode()
    for member in ("meng", "guo", "auditor"):
        assert sign_in(member).get(url).status_code == 403
    page = sign_in("meng").get(reverse("people:holder", args=[lin.pk])).content.decode()
    assert "本人书面同意" not in page
    changes = sign_in("meng").get(reverse("audit:changes")).content.decode()
    assert "本人书面同意" not in changes
    one = lin.attentions.get()
    committee.post(reverse("people:end_attention", args=[one.pk]))
    assert "本人书面同意" not in committee.get(reverse("people:attention")).content.decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("legal_basis", ""),
        ("legal_basis", "法"),
        ("source", ""),
        ("valid_until", "2020-01-01"),
        ("valid_until", "2099-01-01"),
        ("valid_until", "soon"),
        ("group", "criminal"),
    ],
)
def test_attention_without_basis_or_for_long_is_refused(
    world: World, sign_in: SignIn, name: str, value: str
) -> None:
    lin = world.people["lin"]
    given = {
        "group": "lone_elder",
        "legal_basis": "本人书面同意",
        "source": "本人",
        "valid_until": (timezone.localdate() + timedelta(days=30)).isoformat(),
        name: value,
    }
    answer = sign_in("committee").post(reverse("people:attend", args=[lin.pk]), given)
    assert answer.status_code == 422
    assert not lin.attentions.exists()


def test_a_home_is_corrected_and_its_building_placed_by_a_touch(
    world: World, sign_in: SignIn
) -> None:
    meng = sign_in("meng")
    unit = world.people["lin"].residencies.get().unit
    given = {"entrance": "2", "floor": "3", "area_m2": "89.5", "use": "let", "external_code": ""}
    assert meng.post(reverse("people:edit_home", args=[unit.pk]), given).status_code == 302
    unit.refresh_from_db()
    assert (unit.entrance, unit.floor, unit.use) == ("2", 3, "let")
    bad = meng.post(reverse("people:edit_home", args=[unit.pk]), given | {"area_m2": "0"})
    assert bad.status_code == 422
    place = reverse("people:place", args=[unit.building_id])
    assert meng.post(place, {"plan.x": "75", "plan.y": "300"}).status_code == 302
    unit.building.refresh_from_db()
    assert (unit.building.map_x, unit.building.map_y) == (0.25, 1.0)
    assert meng.post(place, {"right": "", "down": "12"}).status_code == 422
    page = meng.get(reverse("people:home", args=[unit.pk])).content.decode()
    assert "林" in page


def test_proof_and_lease_are_taken_up_on_the_page(world: World, sign_in: SignIn) -> None:
    meng = sign_in("meng")
    row = world.people["lin"].residencies.get()
    proof = reverse("people:prove_residency", args=[row.pk])
    meng.post(proof, {"proof": "deed", "proof_number": ""})
    row.refresh_from_db()
    assert row.proof == ""
    meng.post(proof, {"proof": "deed", "proof_number": "D-1"})
    row.refresh_from_db()
    assert (row.proof, row.proof_number, row.proven_by) == ("deed", "D-1", "meng")
    lease = reverse("people:lease_end", args=[row.pk])
    meng.post(lease, {"ends_on": "2020-01-01"})
    row.refresh_from_db()
    assert row.ends_at is None
    day = timezone.localdate() + timedelta(days=90)
    meng.post(lease, {"ends_on": day.isoformat()})
    row.refresh_from_db()
    assert row.ends_at is not None


def test_staff_of_another_building_see_none_of_it(world: World, sign_in: SignIn) -> None:
    lin = world.people["lin"]
    unit = lin.residencies.get().unit
    elsewhere = people.add_building(world.community, "9栋", BY)
    world.staff["meng"].buildings.add(elsewhere)
    meng = sign_in("meng")
    for name, key in (
        ("people:holder", lin.pk),
        ("people:identity", lin.pk),
        ("people:home", unit.pk),
        ("people:edit_home", unit.pk),
        ("people:place", unit.building_id),
        ("vehicles:add_vehicle", lin.pk),
        ("vehicles:add_ebike", lin.pk),
    ):
        assert meng.get(reverse(name, args=[key])).status_code == 404, name
