"""Consent, its text, its withdrawal, and the proof that a face is gone everywhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from anlin.core.entities import Direction, Method
from anlin.core.event import EventKind
from anlin.hub.access.credentials import revoke_credential
from anlin.hub.access.models import AccessPoint, Credential, FaceTemplate
from anlin.hub.access.policy import publish
from anlin.hub.console.tests.world import BY, World
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Device, DeviceState, Node
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Purpose
from anlin.hub.privacy import ledger, receipts
from anlin.hub.privacy.models import Notice, Receipt
from anlin.hub.privacy.points import check, check_points
from anlin.hub.state.models import DeviceTable

pytestmark = pytest.mark.django_db(databases=["default", "events"])

ZH = dict.fromkeys(Notice.SECTIONS, "说明")
EN = dict.fromkeys(Notice.SECTIONS, "Said.")


def publish_text(world: World, version: str, *, breaking: bool) -> Notice:
    return ledger.publish_notice(world.community, version, ZH, EN, BY, needs_new_consent=breaking)


def face_of(world: World, name: str) -> Credential:
    """Give somebody a face as enrolment leaves it: a template for each node, in the policy."""
    face = Credential.objects.create(
        community=world.community, holder=world.people[name], method="face", key=name
    )
    for node in world.community.nodes.exclude(public_key=""):
        FaceTemplate.objects.create(credential=face, node=node, model="m", sealed="closed")
    publish(world.community, credential=[face.pk], template=[face.pk])
    return face


def test_a_consent_is_shown_with_the_text_it_was_given_under(world: World) -> None:
    lin = world.people["lin"]
    ledger.give(lin, Purpose.FACE, BY)
    publish_text(world, "2027-01", breaking=False)
    lin.refresh_from_db()
    [line] = ledger.ledger_of(lin)
    assert line.consent.text_version == "1"
    assert line.notice.text_zh == dict(ledger.FIRST_ZH)
    assert not line.is_outdated


def test_a_changed_purpose_lists_the_old_consents_for_renewal(world: World) -> None:
    lin, wang = world.people["lin"], world.people["wang"]
    ledger.give(lin, Purpose.FACE, BY)
    publish_text(world, "2", breaking=True)
    for person in (lin, wang):
        person.refresh_from_db()
    ledger.give(wang, Purpose.FACE, BY)
    publish_text(world, "3", breaking=False)
    assert [one.holder_id for one in ledger.outdated(world.community)] == [lin.pk]
    lin.refresh_from_db()
    ledger.give(lin, Purpose.FACE, BY)
    assert not ledger.outdated(world.community).exists()
    assert [one.consent.text_version for one in ledger.ledger_of(lin)] == ["3", "1"]


def test_renewing_a_consent_deletes_no_face(world: World) -> None:
    lin = world.people["lin"]
    ledger.give(lin, Purpose.FACE, BY)
    face = face_of(world, "lin")
    publish_text(world, "2", breaking=True)
    lin.refresh_from_db()
    ledger.give(lin, Purpose.FACE, BY)
    assert FaceTemplate.objects.filter(credential=face).exists()
    assert not Receipt.objects.exists()


@pytest.mark.parametrize(
    ("version", "zh", "field"),
    [
        ("", ZH, "version"),
        ("x" * 21, ZH, "version"),
        ("1", ZH, "version"),
        ("2", {**ZH, "rights": " "}, "zh_rights"),
        ("2", {**ZH, "rights": "长" * 2001}, "zh_rights"),
    ],
)
def test_a_notice_that_lacks_what_the_law_asks_is_refused(
    world: World, version: str, zh: dict[str, str], field: str
) -> None:
    with pytest.raises(RuleError) as refusal:
        ledger.publish_notice(world.community, version, zh, EN, BY, needs_new_consent=False)
    assert refusal.value.field == field
    assert world.community.face_notice_version == "1"


def test_a_withdrawal_is_complete_only_when_every_edge_and_terminal_has_shown_it(
    world: World,
) -> None:
    lin = world.people["lin"]
    far, _code = devices.create_node(world.community, "西门机房", BY)
    Node.objects.filter(pk=far.pk).update(public_key=world.node.public_key)
    terminal = Device.objects.create(node=world.node, name="东门人脸机", driver="face_terminal")
    DeviceState.objects.create(device=terminal, is_online=True)
    ledger.give(lin, Purpose.FACE, BY)
    face = face_of(world, "lin")
    ledger.withdraw(lin, Purpose.FACE, BY)

    receipt = Receipt.objects.get(credential=face.pk)
    assert receipt.because == "withdrawn"
    receipts.refresh(receipt)
    assert {one.name for one in receipts.outstanding(receipt)} == {
        "东门机房",
        "西门机房",
        "东门人脸机",
    }
    revisions = [one.revision for one in receipt.confirmations.all()]
    revision = max(revisions)

    # The near edge takes up the new rules; its terminal still holds the old table.
    Node.objects.filter(pk=world.node.pk).update(rules_as_of=revision)
    DeviceTable.objects.create(
        device=terminal,
        kind=EventKind.TABLE_HELD.value,
        revision=min(revisions) - 1,
        wanted="old",
        held="old",
        since=timezone.now() - timedelta(days=1),
    )
    receipts.refresh(receipt)
    assert {one.name for one in receipts.outstanding(receipt)} == {"西门机房", "东门人脸机"}

    # It reads back a table in which a row too many is left: that is no proof.
    DeviceTable.objects.update(revision=revision, wanted="new", held="new", surplus=1)
    receipts.refresh(receipt)
    assert {one.name for one in receipts.outstanding(receipt)} == {"西门机房", "东门人脸机"}
    DeviceTable.objects.update(surplus=0)
    receipts.refresh(receipt)
    assert [one.name for one in receipts.outstanding(receipt)] == ["西门机房"]
    assert receipt.completed_at is None

    # The far edge was cut off; it confirms when it is back, and then all is done.
    Node.objects.filter(pk=far.pk).update(rules_as_of=revision + 5)
    receipts.refresh(receipt)
    assert receipt.completed_at is not None
    assert receipts.refresh_open(world.community) == 0


def test_a_terminal_whose_table_never_changed_confirms_by_its_silence_only_when_it_is_heard(
    world: World,
) -> None:
    terminal = Device.objects.create(node=world.node, name="机", driver="face_terminal")
    state = DeviceState.objects.create(device=terminal, is_online=False)
    DeviceTable.objects.create(
        device=terminal,
        kind=EventKind.TABLE_HELD.value,
        revision=1,
        wanted="x",
        held="x",
        since=timezone.now(),
    )
    face = face_of(world, "lin")
    revoke_credential(face, BY)
    receipt = Receipt.objects.get()
    Node.objects.update(rules_as_of=world.community.policy_revision + 50)
    receipts.refresh(receipt)
    receipt.confirmations.filter(device="").update(
        confirmed_at=timezone.now() - timedelta(minutes=5)
    )
    receipts.refresh(receipt)
    assert [one.name for one in receipts.outstanding(receipt)] == ["机"]
    state.is_online = True
    state.save()
    assert receipts.refresh(receipt).completed_at is not None


def test_moving_out_opens_a_receipt_too(world: World) -> None:
    face_of(world, "lin")
    people.move_out(world.people["lin"], BY)
    assert Receipt.objects.get().because == "taken back"


def point_with(world: World, direction: Direction, *methods: Method) -> AccessPoint:
    """Give a point as an older version left it: today the set-up refuses the worst of them."""
    return AccessPoint.objects.create(
        portal=world.portals["door1"],
        name="x",
        direction=direction.value,
        methods=[method.value for method in methods],
    )


CASES = [
    ((Method.FACE,), Direction.ENTRY, True, False),
    ((Method.FACE, Method.TERMINAL_FACE), Direction.ENTRY, True, False),
    ((Method.FACE, Method.CARD), Direction.ENTRY, False, True),
    ((Method.FACE, Method.QR), Direction.ENTRY, False, False),
    ((Method.FACE, Method.PHONE), Direction.ENTRY, False, False),
    ((Method.CARD,), Direction.ENTRY, False, False),
    ((Method.CARD, Method.PIN), Direction.ENTRY, False, True),
    ((Method.EXIT_BUTTON,), Direction.EXIT, False, True),
    ((Method.FACE,), Direction.EXIT, True, False),
    ((Method.PLATE, Method.CARD), Direction.ENTRY, False, True),
]


@pytest.mark.parametrize(("methods", "direction", "is_alone", "is_equal"), CASES)
def test_who_has_neither_face_nor_phone_gets_everywhere_or_it_is_shown(
    world: World,
    methods: tuple[Method, ...],
    direction: Direction,
    is_alone: bool,
    is_equal: bool,
) -> None:
    point = point_with(world, direction, *methods)
    found = check(point)
    assert (found.is_face_alone, found.is_equal) == (is_alone, is_equal)


def test_the_worst_door_stands_on_top(world: World) -> None:
    point_with(world, Direction.ENTRY, Method.FACE)
    assert check_points(world.community)[0].is_face_alone
