"""PINs: nobody's is known to the hub's records, and nobody's is another's call for help."""

from __future__ import annotations

import json

import pytest

from anlin.core import pin
from anlin.core.access import Reason
from anlin.core.entities import Method
from anlin.core.sync import Enrol
from anlin.hub.access import services as access
from anlin.hub.access.models import Credential, NodeKey
from anlin.hub.access.pins import PIN_KEY, pin_secret
from anlin.hub.access.policy import compile_changes
from anlin.hub.access.tests.test_policy import replica, shown
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Community
from anlin.wire import keys

pytestmark = pytest.mark.django_db


def secret_at(node: Node, private: str) -> bytes:
    sealed = replica(node).sealed_keys[PIN_KEY].sealed
    return keys.unseal(private, sealed, PIN_KEY)


def test_an_edge_finds_the_holder_by_the_digits_alone(cast: Cast) -> None:
    access.change_point(cast.point, BY, methods=[Method.CARD, Method.PIN])
    digits = access.set_pin(cast.lin, BY, "240817")
    secret = secret_at(cast.node, cast.node_key)
    assert digits == "240817"
    assert shown(cast, Method.PIN, pin.key_of(secret, "240817")) is Reason.GRANTED
    assert secret == pin_secret(Community.objects.get(pk=cast.community.pk))


def test_a_drawn_pin_is_a_good_one_and_replaces_the_one_before(cast: Cast) -> None:
    first = access.set_pin(cast.lin, BY)
    second = access.set_pin(cast.lin, BY)
    assert pin.fault(first) is None
    assert pin.fault(second) is None
    standing = Credential.objects.filter(method="pin").exclude(status="revoked")
    assert standing.get().key == pin.key_of(secret_at(cast.node, cast.node_key), second)


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("12345", "6 to 8 digits"),
        ("123456789", "6 to 8 digits"),
        ("２４０８１７", "6 to 8 digits"),
        ("112211", "three different"),
        ("345678", "run of digits"),
        ("240817", "Choose another"),
        ("240818", "Choose another"),
        ("240816", "Choose another"),
    ],
)
def test_a_pin_that_is_bad_taken_or_near_anothers_is_refused(
    cast: Cast, digits: str, said: str
) -> None:
    access.set_pin(cast.wang, BY, "240817")
    before = access.set_pin(cast.lin, BY, "905813")
    with pytest.raises(RuleError, match=said) as refused:
        access.set_pin(cast.lin, BY, digits)
    assert refused.value.field == "digits"
    assert "王" not in str(refused.value)
    secret = secret_at(cast.node, cast.node_key)
    standing = cast.lin.credentials.exclude(status="revoked").get()
    assert standing.key == pin.key_of(secret, before)


def test_a_pin_taken_back_never_stands_in_the_way_of_anothers_duress_code(cast: Cast) -> None:
    access.change_point(cast.point, BY, methods=[Method.CARD, Method.PIN])
    access.set_pin(cast.wang, BY, "240818")
    access.revoke_all(cast.wang, BY)
    access.set_pin(cast.lin, BY, "240817")
    duress = pin.key_of(secret_at(cast.node, cast.node_key), "240818")
    assert replica(cast.node).credential_for(Method.PIN, duress) is None
    assert compile_changes(cast.community) == 0


def test_no_digit_and_no_digest_is_written_in_the_change_log(cast: Cast) -> None:
    access.set_pin(cast.lin, BY, "240817")
    secret = pin_secret(Community.objects.get(pk=cast.community.pk))
    written = json.dumps(
        [[change.before, change.after] for change in Change.objects.all()], default=str
    )
    assert "240817" not in written
    assert pin.key_of(secret, "240817") not in written
    assert secret.hex() not in written
    assert NodeKey.objects.get(use="pin").sealed not in written


def test_a_node_that_joins_later_gets_the_same_secret(cast: Cast) -> None:
    access.set_pin(cast.lin, BY)
    other, code = devices.create_node(cast.community, "西门", BY)
    private = keys.new_sealing_key()
    devices.enrol_node(Enrol(code, keys.public_sealing_key(private), (1,), "test"))
    other.refresh_from_db()
    assert secret_at(other, private) == secret_at(cast.node, cast.node_key)
    with pytest.raises(keys.SealError):
        secret_at(other, cast.node_key)


def test_moving_out_takes_the_pin_with_it(cast: Cast) -> None:
    access.change_point(cast.point, BY, methods=[Method.CARD, Method.PIN])
    access.set_pin(cast.lin, BY, "240817")
    key = pin.key_of(secret_at(cast.node, cast.node_key), "240817")
    people.move_out(cast.lin, BY)
    assert shown(cast, Method.PIN, key) is Reason.INVALID_PIN
