"""Which browsers show a resident's messages, and the key that the hub signs for them with."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.core import signing
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub import vault
from anlin.hub.audit.log import Actor, created, deleted
from anlin.hub.errors import RuleError
from anlin.hub.notices.models import PushDevice, PushKey
from anlin.hub.people.models import Holder
from anlin.notify.webpush.config import (
    SubscriptionError,
    new_private_key,
    public_key,
    read_subscription,
)

MOST_DEVICES = 10
"""Of one resident: phones, a tablet, a computer. More is a mistake, and each costs a message."""

COOKIE = "anlin_push"
"""Names this browser's own device, so that its log-out ends its messages too."""


def key() -> str:
    """Give the hub's private key for web push; make it where there is none."""
    found, _is_new = PushKey.objects.get_or_create(
        number=1, defaults={"private": new_private_key()}
    )
    return found.private


def browser_key() -> str:
    """Give what a browser needs in order to subscribe."""
    return public_key(key())


def contact() -> str:
    """Give whom a push service writes to about our messages."""
    asked: str = settings.PUSH_CONTACT
    if asked:
        return asked
    is_public = re.fullmatch(r"https://[\w-]+(\.[\w-]+)+", settings.HUB_URL)
    return settings.HUB_URL if is_public else "mailto:anlin@localhost"


def add(holder: Holder, data: object, name: str, by: Actor) -> PushDevice:
    """Let a browser show a resident's messages, from now on nobody else's.

    Raises:
        RuleError: not a browser's subscription, or ten devices get them already.
    """
    try:
        found = read_subscription(data, allows_local=settings.PUSH_ALLOWS_LOCAL)
    except SubscriptionError as error:
        raise RuleError(
            _("This browser gave no usable address for messages: %(fault)s")
            % {"fault": str(error)[:120]}
        ) from error
    index = vault.fingerprint(found.endpoint, "push endpoint")
    with transaction.atomic():
        Holder.objects.select_for_update().get(pk=holder.pk)
        PushDevice.objects.filter(endpoint_index=index).exclude(holder=holder).delete()
        known = PushDevice.objects.filter(endpoint_index=index).first()
        if known is not None:
            known.subscription, known.name = found.as_text(), name[:60]
            known.save()
            return known
        if holder.push_devices.count() >= MOST_DEVICES:
            raise RuleError(
                _("Ten devices get your messages already; remove one that you don't use.")
            )
        device = PushDevice.objects.create(
            holder=holder,
            endpoint_index=index,
            subscription=found.as_text(),
            name=name[:60],
            added_at=timezone.now(),
        )
        created(by, holder.community, device, action="switch push on")
    return device


def remove(holder: Holder, device_id: str, by: Actor) -> bool:
    """Send no more to one device of a resident's own; say whether there was one."""
    with transaction.atomic():
        device = holder.push_devices.filter(pk=device_id).first()
        if device is None:
            return False
        deleted(by, holder.community, device, action="switch push off")
        device.delete()
    return True


def gone(device_id: str) -> None:
    """Forget a device whose browser has given the subscription up."""
    PushDevice.objects.filter(pk=device_id).delete()


def cookie_of(device: PushDevice) -> str:
    """Give what this browser keeps in order to be known as this device."""
    return signing.dumps(device.pk, salt=COOKIE)


def device_in(request: HttpRequest) -> str:
    """Give the id of the device that a browser says it is; empty where it says nothing."""
    try:
        return str(signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE))
    except signing.BadSignature:
        return ""


def _logged_out(sender: Any, request: HttpRequest | None, user: User | None, **_more: Any) -> None:
    """End the messages of a browser from which somebody logs out: the next one is not them."""
    if request is None or user is None:
        return
    device_id = device_in(request)
    if device_id:
        PushDevice.objects.filter(pk=device_id, holder__login__user=user).delete()


def listen() -> None:
    user_logged_out.connect(_logged_out, dispatch_uid="push off")
