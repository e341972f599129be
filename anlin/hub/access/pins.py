"""PINs: chosen or drawn, shown once, kept as a keyed digest that every edge can compare with.

The secret behind the digests belongs to the community. It stands closed at the hub and goes to
each edge sealed to that edge's key, as faces do.
"""

from __future__ import annotations

import secrets

from django.db import transaction
from django.utils.translation import gettext as _

from anlin.core import pin
from anlin.core.entities import Method, Status
from anlin.hub.access.credentials import add_pin_key, revoke_credential
from anlin.hub.access.models import Credential, NodeKey
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, created
from anlin.hub.devices.models import Node
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Holder
from anlin.wire import keys

PIN_KEY = "pin"
"""What the secret is called at an edge, and the context that it is sealed in."""

_SECRET_BYTES = 32
_DRAWS = 100
"""A draw that fails so often means that nearly every PIN of its length is taken."""


def set_pin(holder: Holder, by: Actor, digits: str = "") -> str:
    """Give a holder a PIN, drawn here where none is chosen; give it back to be shown once.

    It replaces the one that the holder had. Whose PIN or duress code another one is stays
    untold: that would be half of a stranger's way in.

    Raises:
        RuleError: too short, too easy to guess, or too near to somebody else's.
    """
    community = holder.community
    with transaction.atomic():
        # Two people choosing at once must not get PINs that are each other's duress code.
        locked = Community.objects.select_for_update().get(pk=community.pk)
        secret = pin_secret(locked)
        for old in holder.credentials.filter(method=Method.PIN.value).exclude(
            status=Status.REVOKED.value
        ):
            revoke_credential(old, by)
        chosen = digits or _drawn(locked, secret)
        _refuse_pin(locked, secret, chosen)
        for node in locked.nodes.exclude(public_key=""):
            share_pin_key(node, by)
        add_pin_key(holder, pin.key_of(secret, chosen), by)
    return chosen


def pin_secret(community: Community) -> bytes:
    """Give the community's secret for PINs; it is made when first asked for."""
    if not community.pin_secret:
        community.pin_secret = secrets.token_hex(_SECRET_BYTES)
        community.save(update_fields=["pin_secret"])
    return bytes.fromhex(community.pin_secret)


def share_pin_key(node: Node, by: Actor) -> None:
    """Seal the secret to a node that has not got it yet."""
    with transaction.atomic():
        if NodeKey.objects.filter(node=node, use=PIN_KEY).exists():
            return
        community = Community.objects.select_for_update().get(pk=node.community_id)
        sealed = keys.seal(node.public_key, pin_secret(community), PIN_KEY)
        key = NodeKey.objects.create(node=node, use=PIN_KEY, sealed=sealed)
        created(by, community, key, action="seal key")
        publish(community, sealed_key=[PIN_KEY])


def _drawn(community: Community, secret: bytes) -> str:
    for _attempt in range(_DRAWS):
        digits = "".join(secrets.choice("0123456789") for _place in range(pin.MIN_DIGITS))
        if pin.fault(digits) is None and not _is_taken(community, secret, digits):
            return digits
    raise RuleError(_("No free PIN was found; choose a longer one by hand."), "digits")


def _refuse_pin(community: Community, secret: bytes, digits: str) -> None:
    fault = pin.fault(digits)
    if fault is not None:
        if "to" in fault.split() and not pin.is_digits(digits):
            text = _("A PIN has %(least)d to %(most)d digits.") % {
                "least": pin.MIN_DIGITS,
                "most": pin.MAX_DIGITS,
            }
        elif "three" in fault:
            text = _("A PIN needs at least three different digits.")
        elif "run" in fault:
            text = _("A PIN is not a run of digits in order.")
        else:
            text = fault
        raise RuleError(text, "digits")
    if _is_taken(community, secret, digits):
        raise RuleError(_("This PIN can't be given. Choose another."), "digits")


def _is_taken(community: Community, secret: bytes, digits: str) -> bool:
    near = pin.conflicts(secret, digits)
    taken = Credential.objects.filter(community=community, method=Method.PIN.value, key__in=near)
    return taken.exclude(status=Status.REVOKED.value).exists()
