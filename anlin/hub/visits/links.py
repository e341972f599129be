"""Addresses that are their own proof: the visitor's page, and the host's one answer."""

from __future__ import annotations

import secrets

from django.core import signing
from django.urls import reverse
from django.utils import timezone

from anlin.core import qr
from anlin.hub import vault
from anlin.hub.access.passes import pass_secret, pass_text
from anlin.hub.visits.models import Visit

_SALT = "anlin visit answer"
TOKEN_BYTES = 18
"""144 random bits: nobody guesses another visitor's page."""


def new_token() -> tuple[str, str]:
    """Draw a token for a visitor's page; give it and what it is found by."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return token, token_index(token)


def token_index(token: str) -> str:
    """Give what a visitor's page is found by."""
    return vault.fingerprint(token, "visit token")


def visit_of(token: str) -> Visit | None:
    """Find the visit that a visitor's page belongs to."""
    rows = Visit.objects.select_related(
        "community", "unit__building", "holder", "leave__holder", "leave__community"
    )
    return rows.filter(token_index=token_index(token[:64])).first()


def page_path(visit: Visit) -> str:
    """Give the address of the visitor's own page, without the host's name."""
    return reverse("visits:pass", args=[visit.token])


def answer_path(visit: Visit) -> str:
    """Give the address where the host answers with one tap; it holds for one answer."""
    signed = signing.dumps([visit.pk, visit.answer_nonce], salt=_SALT, compress=False)
    return reverse("visits:answer", args=[signed])


def visit_to_answer(signed: str) -> Visit | None:
    """Find the visit that a link may still answer, or None: forged, used, or out of time."""
    try:
        pk, nonce = signing.loads(signed[:300], salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if not nonce:
        return None
    rows = Visit.objects.select_related("community", "unit__building", "host")
    return rows.filter(pk=pk, answer_nonce=nonce, ends_at__gt=timezone.now()).first()


def shown_now(visit: Visit) -> str | None:
    """Give what the visitor's QR code says this half minute, or None where nothing opens."""
    leave = visit.leave
    if leave is None or not visit.is_agreed or leave.revoked_at is not None:
        return None
    text = pass_text(leave)
    return qr.shown(text, pass_secret(leave), timezone.now()) if leave.rotates else text
