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
from anlin.hub.notices import events as told
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
    key = parse_plate(text).text
    return _add(holder, Method.PLATE, key, by, valid_until)


def parse_plate(text: str) -> plate.Plate:
    """Read a plate as a person typed it.

    Raises:
        RuleError: what `core.plate` says against it, translated.
    """
    try:
        return plate.parse(text)
    except plate.PlateError as error:
        raise RuleError(_plate_rule(error), "plate") from None


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
    with transaction.atomic():
        _set_status(credential, Status.LOST, by, "mark lost")
        told.credential_lost(credential)


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


def replace_card(
    old: Credential, number: str, by: Actor, *, method: Method = Method.CARD
) -> Credential:
    """Give a new card for one that was lost or broken, which is taken back for ever.

    Done twice with the same number it is done once.

    Raises:
        RuleError: what is replaced is no card, or `add_card` refuses the new one.
    """
    if old.method not in (Method.CARD, Method.SECURE_CARD):
        raise RuleError(_("Only a card is replaced by a card."), "number")
    with transaction.atomic():
        new = add_card(old.holder, number, by, method=method, valid_until=old.valid_until)
        if new.pk == old.pk:
            raise RuleError(
                _("This is the card that is to be replaced. Hold another one to the reader."),
                "number",
            )
        old.refresh_from_db()
        if old.status != Status.REVOKED.value:
            revoke_credential(old, by)
    return new


def _plate_rule(error: plate.PlateError) -> str:
    """Say in the reader's language which rule of the grammar a plate breaks."""
    rule = error.rule
    if rule == "is empty":
        return _("Type the plate, beginning with its province.")
    if "I and O" in rule:
        hint = rule.partition("did you mean ")[2].rstrip("?")
        if hint:
            return _("The letters I and O are not issued; did you mean %(plate)s?") % {
                "plate": hint
            }
        return _("The letters I and O are not issued; look for 1 and 0.")
    if "province" in rule:
        return _("A plate begins with the character of its province, such as 京.")
    if "plates have 7" in rule:
        return _("A plate has 7 characters, one of a new-energy car 8; count again.")
    if "too long" in rule:
        return _("This is too long for a plate.")
    return _("No kind of plate is written so; compare it with the car.")


def _add(
    holder: Holder, method: Method, key: str, by: Actor, valid_until: datetime | None
) -> Credential:
    community = holder.community
    same = Credential.objects.filter(community=community, method=method.value, key=key)
    with transaction.atomic():
        taken = same.exclude(status=Status.REVOKED.value).select_related("holder").first()
        if taken is not None:
            if taken.holder_id == holder.pk and taken.status == Status.ACTIVE.value:
                # A form posted twice; what was asked for is so already.
                return taken
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
