from __future__ import annotations

import io

import pytest

from anlin.core.policy import Delta, Policy
from anlin.core.sync import Enrol
from anlin.hub.access import services as access
from anlin.hub.access.models import FaceTemplate, Photo
from anlin.hub.access.policy import delta_for
from anlin.hub.audit.models import Change
from anlin.hub.conftest import BY, Cast
from anlin.hub.devices import services as devices
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Purpose
from anlin.vision.enrol import EnrolError, Enrolled
from anlin.vision.quality import Quality
from anlin.wire import keys

pytestmark = pytest.mark.django_db

VECTOR = bytes(range(256))


def enrolled() -> Enrolled:
    """A template as the enroller gives it; these tests are about what becomes of it."""
    return Enrolled(VECTOR, "reid_0095", Quality(200.0, 0.06, 120.0, 0.0, 0.0), b"")


def test_no_consent_no_template(cast: Cast) -> None:
    with pytest.raises(RuleError, match="林安"):
        access.enrol_face(cast.lin, b"any", BY)
    assert not FaceTemplate.objects.exists()


def test_a_template_opens_only_with_the_key_of_its_node_and_for_its_use(cast: Cast) -> None:
    people.give_consent(cast.lin, Purpose.FACE, BY)
    face = access.keep_face(cast.lin, enrolled(), b"jpeg", BY)
    delta = delta_for(cast.node, 0)
    assert isinstance(delta, Delta)
    policy = Policy()
    policy.apply(delta)
    template = policy.templates[face.pk]
    assert template.holder == cast.lin.pk
    assert keys.unseal(cast.node_key, template.sealed, f"{face.pk}/reid_0095") == VECTOR
    with pytest.raises(keys.SealError):
        keys.unseal(keys.new_sealing_key(), template.sealed, f"{face.pk}/reid_0095")
    with pytest.raises(keys.SealError):
        keys.unseal(cast.node_key, template.sealed, "another/reid_0095")


def test_the_change_log_names_the_face_and_never_holds_it(cast: Cast) -> None:
    people.give_consent(cast.lin, Purpose.FACE, BY)
    people.give_consent(cast.lin, Purpose.PHOTO, BY)
    access.keep_face(cast.lin, enrolled(), b"jpeg", BY)
    sealed = FaceTemplate.objects.get().sealed
    lines = Change.objects.filter(model="access.facetemplate")
    assert lines.count() == 1
    text = str(list(Change.objects.values()))
    assert sealed not in text
    assert cast.community.issuer_key not in text


def test_the_photograph_stays_only_with_consent_and_closed(cast: Cast) -> None:
    people.give_consent(cast.lin, Purpose.FACE, BY)
    access.keep_face(cast.lin, enrolled(), b"jpeg of lin", BY)
    assert not Photo.objects.exists()
    people.give_consent(cast.lin, Purpose.PHOTO, BY)
    access.keep_face(cast.lin, enrolled(), b"jpeg of lin", BY)
    assert b"jpeg of lin" not in bytes(Photo.objects.get().closed)
    people.withdraw_consent(cast.lin, Purpose.PHOTO, BY)
    assert not Photo.objects.exists()
    assert FaceTemplate.objects.exists()


def test_a_node_that_comes_later_knows_who_has_to_come_again(cast: Cast) -> None:
    people.give_consent(cast.lin, Purpose.FACE, BY)
    face = access.keep_face(cast.lin, enrolled(), b"jpeg", BY)
    later, code = devices.create_node(cast.community, "西门", BY)
    devices.enrol_node(Enrol(code, keys.public_sealing_key(keys.new_sealing_key()), (1,), "t"))
    later.refresh_from_db()
    assert list(access.nodes_without(face)) == [later]
    assert access.reseal_faces(later, BY) == (0, [cast.lin])


def test_a_photograph_that_is_none_is_refused_with_what_is_wrong(cast: Cast) -> None:
    people.give_consent(cast.lin, Purpose.FACE, BY)
    with pytest.raises(EnrolError) as caught:
        access.enrol_face(cast.lin, b"this is no picture", BY)
    assert caught.value.fault == "not_a_picture"
    assert not cast.lin.credentials.exists()


def test_a_photograph_of_a_face_is_enrolled_and_sealed_again_from_the_kept_one(cast: Cast) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image carries the portrait")
    from PIL import Image

    photo = io.BytesIO()
    Image.fromarray(data.astronaut()).save(photo, "JPEG", quality=92)
    people.give_consent(cast.lin, Purpose.FACE, BY)
    people.give_consent(cast.lin, Purpose.PHOTO, BY)
    face = access.enrol_face(cast.lin, photo.getvalue(), BY)
    template = FaceTemplate.objects.get()
    vector = keys.unseal(cast.node_key, template.sealed, f"{face.pk}/{template.model}")
    assert len(vector) >= 256
    later, code = devices.create_node(cast.community, "西门", BY)
    later_key = keys.new_sealing_key()
    devices.enrol_node(Enrol(code, keys.public_sealing_key(later_key), (1,), "t"))
    later.refresh_from_db()
    assert access.reseal_faces(later, BY) == (1, [])
    again = FaceTemplate.objects.get(node=later)
    assert keys.unseal(later_key, again.sealed, f"{face.pk}/{again.model}") == vector
