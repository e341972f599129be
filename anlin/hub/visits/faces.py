"""A visitor's own face, for the time of the visit: by the visitor's own word, deleted with it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from anlin.core.entities import Method, Status
from anlin.hub.access.credentials import revoke_credential
from anlin.hub.access.faces import enrol_face
from anlin.hub.access.models import Credential
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Purpose
from anlin.hub.people.services import give_consent, withdraw_consent
from anlin.hub.visits.models import Visit
from anlin.hub.visits.services import VISITOR, rules_of
from anlin.vision.enrol import EnrolError
from anlin.vision.models import ModelError

MAX_BYTES = 8 * 1024 * 1024
"""A photograph of today's telephones; a longer one is not read."""


def may_add(visit: Visit) -> bool:
    """Whether the community takes visitors' faces, and this visit is agreed to."""
    return visit.is_agreed and visit.holder_id is not None and rules_of(visit.community).takes_faces


def has_face(visit: Visit) -> bool:
    """Whether the gates know the visitor's face now."""
    return visit.holder_id is not None and _faces(visit).exists()


def add(visit: Visit, image: bytes, *, agrees: bool) -> None:
    """Take a face from one photograph; the photograph itself is not kept.

    Raises:
        RuleError: not agreed to, not possible for this visit, or the photograph will not do.
    """
    if not may_add(visit) or visit.holder is None:
        raise RuleError(_("Faces are not taken for this visit; the code opens."))
    if not agrees:
        raise RuleError(_("Without your agreement no face is taken; the code opens as well."))
    if not 0 < len(image) <= MAX_BYTES:
        raise RuleError(_("Choose a photograph of at most 8 MB."), "image")
    holder = visit.holder
    with transaction.atomic():
        if not holder.has_consent(Purpose.FACE):
            give_consent(holder, Purpose.FACE, VISITOR, given_by=holder.name)
    try:
        enrol_face(holder, image, VISITOR)
    except (EnrolError, ModelError) as error:
        remove(visit)
        raise RuleError(
            _(
                "No face could be read from this photograph. Look straight at the camera, in good "
                "light, without a mask."
            )
        ) from error


def remove(visit: Visit) -> None:
    """Delete the face at once, and note that the agreement ended."""
    holder = visit.holder
    if holder is None:
        return
    with transaction.atomic():
        for credential in _faces(visit):
            revoke_credential(credential, VISITOR)
        if holder.has_consent(Purpose.FACE):
            withdraw_consent(holder, Purpose.FACE, VISITOR)


def _faces(visit: Visit) -> QuerySet[Credential]:
    return Credential.objects.filter(holder=visit.holder_id, method=Method.FACE.value).exclude(
        status=Status.REVOKED.value
    )
