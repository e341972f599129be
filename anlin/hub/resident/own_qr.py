"""A resident's own QR: a short signed pass, checked at the gate without a network."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from anlin.core import qr
from anlin.hub.people.models import Holder
from anlin.wire import keys

LIFE = timedelta(minutes=30)
"""Long enough for a lift and a cellar without a network, too short to be worth passing on."""
BEFORE = timedelta(minutes=1)
"""A reader's clock may be behind."""


@dataclass(frozen=True, slots=True)
class OwnPass:
    """The text to show as a QR code, and until when it opens."""

    text: str
    until: datetime


def own_pass(holder: Holder, at: datetime) -> OwnPass:
    """Sign a pass that stands for a resident: the gate judges their rights as for a card.

    It is kept nowhere. Suspending the holder or ending the residency ends it at the gate, within
    seconds where the edge is connected, and by itself after `LIFE`.
    """
    at = at.replace(microsecond=0)
    community = holder.community
    leave = qr.Pass(
        id=f"own_{secrets.token_hex(6)}",
        community=community.pk,
        issuer=community.pk,
        holder=holder.pk,
        not_before=at - BEFORE,
        not_after=at + LIFE,
        uses=0,
        label=holder.label,
    )
    text = qr.issue(leave, lambda message: keys.sign(community.issuer_key, message))
    return OwnPass(text, leave.not_after)
