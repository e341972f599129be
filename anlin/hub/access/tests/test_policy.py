from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from anlin.core.access import NORMAL, Presentation, Reason, decide
from anlin.core.entities import Direction, Method, Status
from anlin.core.policy import Delta, Policy
from anlin.core.sync import Snapshot
from anlin.hub.access import services as access
from anlin.hub.access.models import FaceTemplate, PolicyChange
from anlin.hub.access.policy import compile_changes, delta_for, publish
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Purpose

pytestmark = pytest.mark.django_db


def replica(node: Node, after: Policy | None = None) -> Policy:
    policy = after or Policy()
    delta = delta_for(node, policy.revision)
    assert isinstance(delta, Delta)
    policy.apply(delta)
    return policy


def shown(cast: Cast, method: Method, value: str, policy: Policy | None = None) -> Reason:
    now = datetime.now(UTC)
    presentation = Presentation(cast.point.pk, method, value, now)
    return decide(policy or replica(cast.node), presentation, NORMAL, now).reason


def test_lins_card_opens_and_qians_lease_has_ended(cast: Cast) -> None:
    access.add_card(cast.lin, "04:a1:b2:c3", BY)
    access.add_card(cast.qian, "04A1B2C4", BY)
    assert shown(cast, Method.CARD, "04A1B2C3") is Reason.GRANTED
    assert shown(cast, Method.CARD, "04A1B2C4") is Reason.RESIDENCY_ENDED
    assert shown(cast, Method.CARD, "04A1B2C5") is Reason.CREDENTIAL_UNKNOWN


def test_a_lost_and_a_suspended_card_say_so_and_a_revoked_one_for_ever(cast: Cast) -> None:
    card = access.add_card(cast.lin, "04A1B2C3", BY)
    for act, reason in (
        (access.mark_lost, Reason.CREDENTIAL_LOST),
        (access.suspend_credential, Reason.CREDENTIAL_NOT_ENABLED),
        (access.resume_credential, Reason.GRANTED),
        (access.revoke_credential, Reason.CREDENTIAL_REVOKED),
    ):
        act(card, BY)
        assert shown(cast, Method.CARD, "04A1B2C3") is reason
    with pytest.raises(RuleError):
        access.resume_credential(card, BY)


def test_a_card_passes_to_another_holder_only_after_it_was_revoked(cast: Cast) -> None:
    card = access.add_card(cast.lin, "04A1B2C3", BY)
    policy = replica(cast.node)
    with pytest.raises(RuleError, match="04A1B2C3"):
        access.add_card(cast.wang, "04A1B2C3", BY)
    access.revoke_credential(card, BY)
    again = access.add_card(cast.wang, "04A1B2C3", BY)
    found = replica(cast.node, policy).credential_for(Method.CARD, "04A1B2C3")
    assert found is not None
    assert (found.id, found.holder) == (again.pk, cast.wang.pk)


@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_equals_the_chain_of_its_deltas(cast: Cast, seed: int) -> None:
    chance = random.Random(seed)
    chain = replica(cast.node)
    cards = [access.add_card(cast.lin, f"{n:08X}", BY) for n in range(4)]
    revoked: set[str] = set()
    for step in range(25):
        card = chance.choice(cards)
        match chance.randrange(6):
            case 0 if card.pk not in revoked:
                access.mark_lost(card, BY)
            case 1 if card.pk not in revoked:
                access.revoke_credential(card, BY)
                revoked.add(card.pk)
                cards.append(access.add_card(cast.wang, card.key, BY))
            case 2:
                people.change_holder(cast.lin, BY, greeting=f"林{step % 3}")
            case 3:
                people.suspend_holder(cast.wang, BY)
            case 4:
                access.change_point(cast.point, BY, level=1 + step % 2)
            case 5:
                devices.add_device(cast.node, f"d{step}", "camera", {"n": step}, BY)
        if chance.random() < 0.5:
            replica(cast.node, chain)
    assert compile_changes(cast.community) == 0
    assert replica(cast.node, chain).to_bytes() == _with_revision(replica(cast.node), chain)


def _with_revision(policy: Policy, other: Policy) -> bytes:
    assert policy.revision == other.revision
    return policy.to_bytes()


def test_touching_one_holder_writes_one_change_and_nothing_new_writes_none(cast: Cast) -> None:
    before = PolicyChange.objects.count()
    people.change_holder(cast.lin, BY, greeting="林先生")
    assert PolicyChange.objects.count() == before + 1
    revision = publish(cast.community, holder=[cast.lin.pk, cast.wang.pk], credential=["cr_none"])
    assert PolicyChange.objects.count() == before + 1
    assert revision == PolicyChange.objects.order_by("-revision")[0].revision


def test_a_node_is_not_told_of_another_nodes_devices(cast: Cast) -> None:
    other, _ = devices.create_node(cast.community, "西门", BY)
    device, _ = devices.add_device(other, "camera", "camera", {"url": "rtsp://secret"}, BY)
    assert device.pk not in replica(cast.node).devices
    assert device.pk in replica(other).devices
    moved = replica(other)
    devices.change_device(device, BY, node=cast.node)
    assert device.pk in replica(cast.node).devices
    assert device.pk not in replica(other, moved).devices


def test_a_node_that_is_ahead_of_the_hub_starts_anew(cast: Cast) -> None:
    cast.community.refresh_from_db()
    answer = delta_for(cast.node, cast.community.policy_revision + 1)
    assert isinstance(answer, Snapshot)
    assert cast.node.pk in answer.reason


def test_an_access_point_for_faces_only_is_refused(cast: Cast) -> None:
    with pytest.raises(RuleError, match="two"):
        access.add_point(cast.portal, "x", Direction.ENTRY, [Method.FACE], BY)
    with pytest.raises(RuleError, match="neither face nor phone"):
        access.change_point(cast.point, BY, methods=[Method.FACE, Method.PHONE])
    cast.point.refresh_from_db()
    assert Method.CARD in cast.point.methods


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("京A1234I", "did you mean 京A·12341"),
        ("京A123", "has 7 characters"),
        ("", "Type the plate"),
        ("A12345", "province"),
    ],
)
def test_a_plate_that_cannot_be_is_refused_with_its_rule(cast: Cast, text: str, rule: str) -> None:
    with pytest.raises(RuleError, match=rule):
        access.add_plate(cast.lin, text, BY)


@pytest.mark.parametrize("number", ["", "12", "no card", "0" * 33, "04A1;B2"])
def test_a_card_number_that_cannot_be_is_refused(cast: Cast, number: str) -> None:
    with pytest.raises(RuleError):
        access.add_card(cast.lin, number, BY)


def test_a_schedule_with_an_impossible_period_is_refused(cast: Cast) -> None:
    with pytest.raises(RuleError, match="1439"):
        access.add_schedule(
            cast.community, "x", BY, weekly=[{"start_min": 1500, "end_min": 10, "days": [1]}]
        )


def test_a_withdrawn_face_leaves_neither_template_nor_history(cast: Cast) -> None:
    from anlin.hub.access.tests.test_faces import enrolled

    people.give_consent(cast.lin, Purpose.FACE, BY)
    face = access.keep_face(cast.lin, enrolled(), b"jpeg", BY)
    policy = replica(cast.node)
    sealed = policy.templates[face.pk].sealed
    people.withdraw_consent(cast.lin, Purpose.FACE, BY)
    replica(cast.node, policy)
    assert face.pk not in policy.templates
    assert policy.credentials[face.pk].status is Status.REVOKED
    assert not FaceTemplate.objects.exists()
    assert not any(
        change.data and change.data.get("sealed") == sealed
        for change in PolicyChange.objects.filter(kind="template")
    )


def test_who_moved_out_is_refused_by_every_means(cast: Cast) -> None:
    access.add_card(cast.lin, "04A1B2C3", BY)
    people.move_out(cast.lin, BY)
    assert shown(cast, Method.CARD, "04A1B2C3") is Reason.CREDENTIAL_REVOKED
    assert not cast.lin.residencies.filter(ends_at=None).exists()


def test_a_lease_ends_by_itself_at_its_minute(cast: Cast) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    home = cast.building.units.get(code="1-102")
    tenant = people.register_holder(cast.community, "钱租", BY, unit=home, ends_at=end)
    access.add_card(tenant, "0000AAAA", BY)
    policy = replica(cast.node)
    for at, reason in ((end - timedelta(seconds=1), Reason.GRANTED), (end, Reason.RESIDENCY_ENDED)):
        presentation = Presentation(cast.point.pk, Method.CARD, "0000AAAA", at)
        assert decide(policy, presentation, NORMAL, at).reason is reason


def test_an_edge_is_told_that_a_photograph_is_kept_no_longer(cast: Cast) -> None:
    from anlin.hub.access.tests.test_faces import enrolled

    people.give_consent(cast.lin, Purpose.FACE, BY)
    people.give_consent(cast.lin, Purpose.PHOTO, BY)
    face = access.keep_face(cast.lin, enrolled(), b"jpeg", BY)
    policy = replica(cast.node)
    kept = policy.templates[face.pk]
    assert kept.photo
    people.withdraw_consent(cast.lin, Purpose.PHOTO, BY)
    replica(cast.node, policy)
    # Asked for again, because it is not what it was; the hub has none to give any more.
    assert policy.templates[face.pk].photo == ""
    assert policy.templates[face.pk].sealed == kept.sealed
