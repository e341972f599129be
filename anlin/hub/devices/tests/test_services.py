from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from anlin.core.sync import Enrol
from anlin.hub.audit.log import Actor, Via
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node, Outcome
from anlin.hub.errors import RuleError
from anlin.wire import keys, mqtt_users

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "events"])


def asked(code: str, **other: object) -> Enrol:
    fields: dict[str, object] = {
        "code": code,
        "public_key": keys.public_sealing_key(keys.new_sealing_key()),
        "versions": (1,),
        "software": "test",
    }
    return Enrol(**{**fields, **other})  # type: ignore[arg-type]


def test_a_node_whose_answer_was_lost_asks_again_with_its_own_key(cast: Cast) -> None:
    node, code = devices.create_node(cast.community, "西门", BY)
    request = asked(code)
    lost = devices.enrol_node(request)
    done = devices.enrol_node(request)
    assert devices.node_of(lost.token) is None
    assert devices.node_of(done.token) == node
    Node.objects.filter(pk=node.pk).update(last_seen_at=timezone.now())
    with pytest.raises(devices.EnrolError, match="used already"):
        devices.enrol_node(request)


def test_a_code_enrols_one_node_once(cast: Cast) -> None:
    node, code = devices.create_node(cast.community, "西门", BY)
    done = devices.enrol_node(asked(code.upper()))
    assert devices.node_of(done.token) == node
    with pytest.raises(devices.EnrolError, match=f"used already, by node {node.pk}"):
        devices.enrol_node(asked(code))
    text = str(list(Change.objects.values()))
    assert code not in text
    assert done.token not in text


def test_a_code_is_refused_when_it_is_wrong_or_over_or_the_key_is_none(cast: Cast) -> None:
    node, code = devices.create_node(cast.community, "西门", BY)
    with pytest.raises(devices.EnrolError, match="not known"):
        devices.enrol_node(asked("aaaa-bbbb-cccc"))
    with pytest.raises(devices.EnrolError, match="not known"):
        devices.enrol_node(asked(""))
    with pytest.raises(devices.EnrolError, match="X25519"):
        devices.enrol_node(asked(code, public_key="AAAA"))
    with pytest.raises(devices.EnrolError, match="versions"):
        devices.enrol_node(asked(code, versions=(99,)))
    Node.objects.filter(pk=node.pk).update(code_expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(devices.EnrolError, match="expired"):
        devices.enrol_node(asked(code))
    again = devices.new_code(node, BY)
    with pytest.raises(devices.EnrolError, match="not known"):
        devices.enrol_node(asked(code))
    devices.enrol_node(asked(again))
    with pytest.raises(RuleError):
        devices.new_code(node, BY)


def test_nobody_is_a_node_without_a_token(cast: Cast) -> None:
    devices.create_node(cast.community, "西门", BY)
    assert devices.node_of("") is None
    assert devices.node_of("guessed") is None


def test_the_broker_is_told_of_devices_by_digest(cast: Cast) -> None:
    device, password = devices.add_device(cast.node, "gate", "mqtt_gate", {}, BY, uses_mqtt=True)
    devices.add_device(cast.node, "camera", "camera", {}, BY)
    path: Path = settings.BROKER_HOME / "devices.json"
    users = mqtt_users.from_json(path.read_bytes())
    assert list(users) == [device.pk]
    assert mqtt_users.is_password(users[device.pk], password)
    assert path.stat().st_mode & 0o077 == 0
    other = devices.new_device_password(device, BY)
    users = mqtt_users.from_json(path.read_bytes())
    assert not mqtt_users.is_password(users[device.pk], password)
    assert mqtt_users.is_password(users[device.pk], other)


def test_commands_are_numbered_for_their_node_and_die_unheard(cast: Cast) -> None:
    guo = Actor.staff(cast.guo, Via.PAGE)
    first = devices.request_release(cast.portal, "快递", guo, point=cast.point.pk)
    second = devices.lockdown(cast.portal, True, "演练", guo)
    assert [first.number, second.number] == [1, 2]
    assert devices.commands_after(cast.node, 1) == [second]
    assert devices.core_command(first).by == "guo"
    assert first.outcome_now(timezone.now()) == Outcome.PENDING
    later = first.expires_at + first.ANSWER_WAIT + timedelta(seconds=1)
    assert first.outcome_now(later) == Outcome.EXPIRED
    with pytest.raises(RuleError):
        devices.request_release(cast.portal, "  ", guo)
