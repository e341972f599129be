"""Which photographs leave the hub, for whom, and what is written down about it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image

from anlin.core.sync import Enrol
from anlin.hub.access import services as access
from anlin.hub.access.models import Credential, FaceTemplate, Photo
from anlin.hub.audit.models import View
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Device, Node
from anlin.hub.people import services as people
from anlin.hub.people.models import Purpose
from anlin.vision.enrol import Enrolled
from anlin.vision.quality import Quality
from anlin.wire import keys

pytestmark = pytest.mark.django_db(databases=["default", "events"])


def photograph() -> bytes:
    """A photograph as a phone makes it: large, lying on its side, with a place in it."""
    image = Image.new("RGB", (1600, 1200), (120, 90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right
    exif[0x010F] = "maker of the phone"
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


@dataclass
class World:
    """A node with a terminal, and Lin's face with all consents."""

    cast: Cast
    client: Client
    node: Node
    key: str
    token: str
    face: Credential

    def ask(self, credential: str = "", token: str = "") -> Any:
        return self.client.get(
            f"/sync/v1/photos/{credential or self.face.pk}",
            headers={"Authorization": f"Bearer {token or self.token}"},
        )


@pytest.fixture
def world(cast: Cast, client: Client) -> World:
    node, code = devices.create_node(cast.community, "西门", BY)
    key = keys.new_sealing_key()
    token = devices.enrol_node(Enrol(code, keys.public_sealing_key(key), (1,), "t")).token
    node.refresh_from_db()
    Device.objects.create(node=node, name="西门人脸机", driver="face_terminal")
    for purpose in (Purpose.FACE, Purpose.PHOTO):
        people.give_consent(cast.lin, purpose, BY)
    made = Enrolled(bytes(256), "reid_0095", Quality(200.0, 0.06, 120.0, 0.0, 0.0), b"")
    face = access.keep_face(cast.lin, made, photograph(), BY)
    return World(cast, client, node, key, token, face)


def test_a_photograph_is_sealed_to_the_node_upright_small_and_bare(world: World) -> None:
    answer = world.ask()
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    jpeg = keys.unseal(world.key, answer.json()["sealed"], f"photo {world.face.pk}")
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.size == (600, 800)
        assert not image.getexif()
    assert len(jpeg) < 300_000
    with pytest.raises(keys.SealError):
        keys.unseal(world.cast.node_key, answer.json()["sealed"], f"photo {world.face.pk}")


def test_every_time_is_written_down_as_a_look_at_the_person(world: World) -> None:
    world.ask()
    world.ask()
    looks = View.objects.filter(who="node 西门", what="photo", object_id=world.cast.lin.pk)
    assert [look.purpose for look in looks] == ["for a face terminal"] * 2


def _expire(world: World) -> None:
    Credential.objects.update(valid_until=timezone.now() - timedelta(minutes=1))


def _suspend(world: World) -> None:
    Credential.objects.update(status="suspended")


def _withdraw_photo(world: World) -> None:
    people.withdraw_consent(world.cast.lin, Purpose.PHOTO, BY)


def _withdraw_face(world: World) -> None:
    people.withdraw_consent(world.cast.lin, Purpose.FACE, BY)


def _no_template(world: World) -> None:
    FaceTemplate.objects.filter(node=world.node).delete()


def _not_kept(world: World) -> None:
    Photo.objects.all().delete()


@pytest.mark.parametrize(
    "change", [_expire, _suspend, _withdraw_photo, _withdraw_face, _no_template, _not_kept]
)
def test_none_is_given(world: World, change: Any) -> None:
    change(world)
    answer = world.ask()
    assert answer.status_code == 404
    assert not View.objects.filter(what="photo").exists()


def test_a_node_without_a_face_terminal_gets_none(world: World) -> None:
    Device.objects.update(driver="mqtt_gate")
    assert world.ask().status_code == 403


def test_a_stranger_and_another_community_get_none(world: World) -> None:
    assert world.ask(token="wrong").status_code == 401
    other = people.create_community("另一个小区", BY)
    node, code = devices.create_node(other, "东门", BY)
    key = keys.public_sealing_key(keys.new_sealing_key())
    token = devices.enrol_node(Enrol(code, key, (1,), "t")).token
    Device.objects.create(node=node, name="人脸机", driver="face_terminal")
    assert world.ask(token=token).status_code == 404
    assert world.ask("cr_nobody").status_code == 404
