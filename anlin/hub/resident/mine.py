"""A resident's own means of access and consents: a lost card, a PIN, yes and no to a face."""

from __future__ import annotations

from django.core.cache import cache
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from anlin.core.entities import Method, Status
from anlin.hub.access.credentials import mark_lost
from anlin.hub.access.models import Credential
from anlin.hub.access.pins import set_pin
from anlin.hub.audit.log import Actor
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import Consent, Purpose
from anlin.hub.resident.homes import Home, NotYoursError

CAN_BE_LOST = frozenset({Method.CARD.value, Method.SECURE_CARD.value})
PIN_TRIES = 5
PIN_TRIES_WITHIN_S = 3600
"""A PIN that is refused may be somebody's: nobody gets to try many."""


def credentials_of(home: Home) -> QuerySet[Credential]:
    """List what a resident opens with, without their cars."""
    rows = home.holder.credentials.exclude(status=Status.REVOKED.value)
    return rows.exclude(method=Method.PLATE.value).order_by("method", "created_at")


def card_of(home: Home, credential_id: str) -> Credential:
    """Give a card of a resident's own that may be reported lost.

    Raises:
        NotYoursError: somebody else's, or no card.
    """
    rows = home.holder.credentials.filter(method__in=CAN_BE_LOST).select_related(
        "holder__community"
    )
    found = rows.exclude(status=Status.REVOKED.value).filter(pk=credential_id).first()
    if found is None:
        raise NotYoursError(credential_id)
    return found


def report_lost(home: Home, credential_id: str, by: Actor) -> None:
    """Report a card lost: no gate takes it from now on. Said twice it is lost once."""
    card = card_of(home, credential_id)
    if card.status != Status.LOST.value:
        mark_lost(card, by)


def choose_pin(home: Home, digits: str, by: Actor) -> None:
    """Set a PIN of the resident's own choice.

    Raises:
        RuleError: it breaks a rule of PINs, or too many were tried.
    """
    key = f"pin:{home.holder.pk}"
    cache.add(key, 0, timeout=PIN_TRIES_WITHIN_S)
    if cache.incr(key) > PIN_TRIES:
        raise RuleError(_("Too many PINs were tried. Try again in an hour."), "digits")
    set_pin(home.holder, by, digits)


def consents_of(home: Home) -> dict[str, Consent]:
    """Give the consents in force, by purpose."""
    rows = home.holder.consents.filter(withdrawn_at=None)
    return {consent.purpose: consent for consent in rows}


def agree(home: Home, purpose: Purpose, version: str, by: Actor) -> None:
    """Agree for oneself to what the page showed.

    Raises:
        RuleError: under 14, or the text has changed since it was shown.
    """
    if home.is_child:
        raise RuleError(_("For a child under 14 a parent or guardian agrees, at the office."))
    if version != home.holder.community.face_notice_version:
        raise RuleError(_("The text has changed. Read it once more."))
    people.give_consent(home.holder, purpose, by)


def withdraw(home: Home, purpose: Purpose, by: Actor) -> None:
    """Withdraw a consent; what rested on it is deleted here and at every gate."""
    people.withdraw_consent(home.holder, purpose, by)
