"""Cards and plates: given, lost, taken back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from anlin.core import plate
from anlin.core.entities import Method, Status
from anlin.hub.access.models import Credential, FaceTemplate, Photo
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing, created, deleted
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Holder

_CARD = re.compile(r"[0-9A-F]{4,32}")


def add_card(
    holder: Holder,
    number: str,
    by: Actor,
    *,
    method: Method = Method.CARD,
    valid_until: datetime | None = None,
) -> Credential:
    """Give a holder a card by the number that readers report for it.

    Raises:
        RuleError: not a card number, or somebody else holds that card.
    """
    key = re.sub(r"[\s:-]", "", number).upper()
    if not _CARD.fullmatch(key):
        raise RuleError(
            _("Card %(number)s: a card number is 4 to 32 digits or letters A to F.")
            % {"number": number[:40]},
            "number",
        )
    return _add(holder, method, key, by, valid_until)


def add_plate(
    holder: Holder, text: str, by: Actor, *, valid_until: datetime | None = None
) -> Credential:
    """Let a holder's car in by its plate.

    Raises:
        RuleError: no plate is written so (the text says which rule), or it is taken.
    """
    try:
        key = plate.parse(text).text
    except plate.PlateError as error:
        raise RuleError(str(error), "plate") from error
    return _add(holder, Method.PLATE, key, by, valid_until)


def add_phone(holder: Holder, by: Actor) -> Credential:
    """Let a holder open by telephone, through a service that knows who is calling.

    Its key is drawn here and says nothing: what opens is the hub's own order
    (`devices.services.open_by_phone`), which the edge decides on like on any credential.
    """
    return _add(holder, Method.PHONE, secrets.token_hex(16), by, None)


def add_pin_key(holder: Holder, key: str, by: Actor) -> Credential:
    """Let a holder in by a PIN of which only the keyed digest comes here (`access.pins`)."""
    return _add(holder, Method.PIN, key, by, None)


def mark_lost(credential: Credential, by: Actor) -> None:
    """Refuse a credential from now on, and say "lost" to whoever finds and shows it."""
    _set_status(credential, Status.LOST, by, "mark lost")


def suspend_credential(credential: Credential, by: Actor) -> None:
    """Refuse a credential until it is resumed."""
    _set_status(credential, Status.SUSPENDED, by, "suspend")


def resume_credential(credential: Credential, by: Actor) -> None:
    """Accept a suspended or found credential again."""
    _set_status(credential, Status.ACTIVE, by, "resume")


def revoke_credential(credential: Credential, by: Actor) -> None:
    """Take a credential back for ever; a face is deleted with its templates."""
    with transaction.atomic():
        _set_status(credential, Status.REVOKED, by, "revoke")
        forget_faces(credential.holder, [credential], by)


def revoke_all(holder: Holder, by: Actor) -> None:
    """Take back everything that a holder presents."""
    for credential in holder.credentials.exclude(status=Status.REVOKED.value):
        revoke_credential(credential, by)


def forget_faces(holder: Holder, credentials: Iterable[Credential], by: Actor) -> None:
    """Delete the templates and photographs of face credentials, here and at every edge."""
    ids = [credential.pk for credential in credentials]
    with transaction.atomic():
        templates = list(FaceTemplate.objects.filter(credential__in=ids))
        deleted(by, holder.community, *templates, action="delete face")
        FaceTemplate.objects.filter(credential__in=ids).delete()
        Photo.objects.filter(credential__in=ids).delete()
        publish(holder.community, template=ids)


def _add(
    holder: Holder, method: Method, key: str, by: Actor, valid_until: datetime | None
) -> Credential:
    community = holder.community
    same = Credential.objects.filter(community=community, method=method.value, key=key)
    with transaction.atomic():
        taken = same.exclude(status=Status.REVOKED.value).select_related("holder").first()
        if taken is not None:
            raise RuleError(
                _("%(key)s is already held by %(name)s (%(status)s); revoke it there first.")
                % {"key": key, "name": taken.holder.name, "status": taken.status},
                "number",
            )
        credential = Credential(
            community=community,
            holder=holder,
            method=method.value,
            key=key,
            valid_until=valid_until,
        )
        try:
            credential.save(force_insert=True)
        except IntegrityError as error:
            raise RuleError(_("%(key)s was given to somebody just now.") % {"key": key}) from error
        created(by, community, credential, action=f"add {method.value}")
        publish(community, credential=same.values_list("pk", flat=True))
    return credential


def _set_status(credential: Credential, status: Status, by: Actor, action: str) -> None:
    community = credential.holder.community
    with transaction.atomic():
        credential.refresh_from_db()
        if credential.status == Status.REVOKED.value:
            raise RuleError(
                _("Credential %(id)s was taken back, which is for ever; add a new one.")
                % {"id": credential.pk}
            )
        with changing(by, community, credential, action):
            credential.status = status.value
        publish(community, credential=[credential.pk])
