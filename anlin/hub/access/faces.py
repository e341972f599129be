"""Faces: enrolled with consent, sealed to each node, forgotten on request.

The hub sees a photograph for as long as it takes to make a template and seals that template to
every node; it can't open what it stores. The photograph itself stays only with consent, closed.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.entities import Method
from anlin.core.identity import is_child
from anlin.hub import vault
from anlin.hub.access.models import Credential, FaceTemplate, Photo
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, created
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Holder, Identity, Purpose
from anlin.vision.enrol import Enrolled, enrol
from anlin.wire import keys


def enrol_face(holder: Holder, image: bytes, by: Actor) -> Credential:
    """Let a holder in by face, from one photograph.

    Raises:
        RuleError: no consent is in force.
        anlin.vision.enrol.EnrolError: the photograph will not do; it says what is wrong.
        anlin.vision.models.ModelError: this machine has no model for faces.
    """
    _refuse_without_consent(holder)
    face = enrol(image)
    return keep_face(holder, face, image, by)


def keep_face(holder: Holder, face: Enrolled, image: bytes, by: Actor) -> Credential:
    """Seal a template to every enrolled node; replaces the face that the holder had."""
    community = holder.community
    with transaction.atomic():
        # Asked again inside: consent may have been withdrawn while the face was measured.
        _refuse_without_consent(holder)
        credential, is_new = Credential.objects.exclude(status="revoked").get_or_create(
            community=community,
            holder=holder,
            method=Method.FACE.value,
            defaults={"key": ""},
        )
        if is_new:
            credential.key = credential.pk
            credential.save(update_fields=["key"])
            created(by, community, credential, action="add face")
        _seal(credential, face, community.nodes.exclude(public_key=""), by)
        Photo.objects.filter(credential=credential).delete()
        if holder.has_consent(Purpose.PHOTO):
            Photo.objects.create(
                credential=credential, closed=vault.close(image, _photo_use(credential))
            )
        publish(community, credential=[credential.pk], template=[credential.pk])
    return credential


def reseal_faces(node: Node, by: Actor) -> tuple[int, list[Holder]]:
    """Give a newly enrolled node the faces that were enrolled before it.

    Where the photograph was kept, a template is made from it again: how many. The others have
    to come to a camera once more: who.
    """
    done = 0
    again: list[Holder] = []
    for credential in missing_faces(node):
        photo = Photo.objects.filter(credential=credential).first()
        if photo is None:
            again.append(credential.holder)
            continue
        face = enrol(vault.reveal(bytes(photo.closed), _photo_use(credential)))
        with transaction.atomic():
            _refuse_without_consent(credential.holder)
            _seal(credential, face, [node], by)
            publish(node.community, template=[credential.pk])
        done += 1
    return done, again


def missing_faces(node: Node) -> Iterable[Credential]:
    """List face credentials that a node has no template of."""
    return (
        Credential.objects.filter(community=node.community_id, method=Method.FACE.value)
        .exclude(status="revoked")
        .exclude(templates__node=node)
        .select_related("holder")
    )


def nodes_without(credential: Credential) -> Iterable[Node]:
    """List the enrolled nodes that can't know this face until it is captured again."""
    return (
        Node.objects.filter(community=credential.community_id)
        .exclude(public_key="")
        .exclude(templates__credential=credential)
    )


def _seal(credential: Credential, face: Enrolled, nodes: Iterable[Node], by: Actor) -> None:
    FaceTemplate.objects.filter(credential=credential, node__in=list(nodes)).delete()
    context = f"{credential.pk}/{face.model}"
    templates = [
        FaceTemplate(
            credential=credential,
            node=node,
            model=face.model,
            sealed=keys.seal(node.public_key, face.vector, context),
        )
        for node in nodes
    ]
    FaceTemplate.objects.bulk_create(templates)
    created(by, credential.holder.community, *templates, action="seal face")


def _refuse_without_consent(holder: Holder) -> None:
    consent = holder.consents.filter(purpose=Purpose.FACE, withdrawn_at=None).first()
    if consent is None:
        raise RuleError(
            _("%(name)s has not agreed to face recognition; record the consent first.")
            % {"name": holder.name}
        )
    identity = Identity.objects.filter(holder=holder).only("born_on").first()
    born_on = identity.born_on if identity is not None else None
    # The day of birth may have become known after somebody agreed for themselves.
    if born_on is not None and is_child(born_on, timezone.localdate()) and not consent.relation:
        raise RuleError(
            _("%(name)s is under 14: withdraw this consent and let a guardian give it.")
            % {"name": holder.name}
        )


def _photo_use(credential: Credential) -> str:
    return f"photo {credential.pk}"
