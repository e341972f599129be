"""The ways out of this hub, as they are set up: push, text messages, mail."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cache

from django.conf import settings

from anlin.hub.accounts import sms
from anlin.hub.notices import devices
from anlin.hub.notices.models import BySms, Came, Delivery, Via, Wishes
from anlin.hub.people.models import Holder
from anlin.notify.base import ChannelError, Message
from anlin.notify.mail import config as mail
from anlin.notify.mail import transport as mail_transport
from anlin.notify.webpush import transport as push_transport
from anlin.notify.webpush.config import Sender, Urgency

log = logging.getLogger(__name__)

SMS_CHARS = 300
"""Four or five parts of a long message; the rest is read behind the link."""

_MAIL_ENV = (
    "ANLIN_MAIL_HOST",
    "ANLIN_MAIL_PORT",
    "ANLIN_MAIL_FROM",
    "ANLIN_MAIL_SECURITY",
    "ANLIN_MAIL_USER",
    "ANLIN_MAIL_PASSWORD",
)


@dataclass(frozen=True, slots=True)
class Sending:
    """One hand-over that has been written down; what `hand_over` needs, and no database."""

    attempt: int
    via: Via
    message: Message
    sender: Sender | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a hand-over."""

    sending: Sending
    came: Came
    reference: str = ""
    fault: str = ""
    is_permanent: bool = False
    is_gone: bool = False


def ways_of(delivery: Delivery, wishes: Wishes) -> list[Via]:
    """Give the ways to a resident, in the order in which they are tried."""
    holder = delivery.holder
    ways = []
    if holder.push_devices.exists():
        ways.append(Via.PUSH)
    if delivery.kind == "test":
        return ways
    wants_sms = wishes.by_sms == BySms.ALWAYS or (
        wishes.by_sms == BySms.URGENT and delivery.is_urgent
    )
    if wants_sms and holder.phone and sms.is_ready():
        ways.append(Via.SMS)
    if wishes.mail and wishes.mail_confirmed_at and mail_server() is not None:
        ways.append(Via.MAIL)
    return ways


def wishes_of(holder: Holder) -> Wishes:
    """Give a resident's wishes; as usual where they have said nothing."""
    return Wishes.objects.filter(pk=holder.pk).first() or Wishes(holder=holder)


def push_sender(*, is_urgent: bool, ttl_s: int) -> Sender:
    """Give who signs a push message, and how soon a sleeping phone is woken for it."""
    return Sender(
        devices.key(),
        devices.contact(),
        ttl_s=ttl_s,
        urgency=Urgency.HIGH if is_urgent else Urgency.NORMAL,
        allows_local=settings.PUSH_ALLOWS_LOCAL,
    )


def mail_server() -> mail.Server | None:
    """Give the mail server of the environment; None where none is set up, or wrongly."""
    return _server(tuple((name, os.environ.get(name, "")) for name in _MAIL_ENV))


@cache
def _server(env: tuple[tuple[str, str], ...]) -> mail.Server | None:
    try:
        return mail.from_env(dict(env))
    except mail.ConfigError as error:
        log.error("mail server can't be used: %s", error)
        return None


def push_message(delivery: Delivery, subscription: str) -> Message:
    """Write a message for a device: it opens the page that marks it as seen."""
    return Message(
        to=subscription,
        kind=delivery.kind,
        text=delivery.text,
        title=delivery.title,
        url=f"/home/notices/m/{delivery.pk}",
        values={"receipt": delivery.receipt},
        key=delivery.pk,
    )


def sms_message(delivery: Delivery) -> Message:
    """Write a text message; gateways that fill a template of theirs get its blanks."""
    link = f"{settings.HUB_URL}/home/notices"
    text = " ".join(delivery.text.split())
    said = f"{delivery.title}: {text}"
    if len(said) > SMS_CHARS:
        said = f"{said[: SMS_CHARS - 1]}…"
    return Message(
        to="".join(delivery.holder.phone.split()).replace("-", ""),
        kind=delivery.kind,
        text=f"{said} {link}",
        title=delivery.title,
        values={"title": delivery.title[:20], "link": link},
        key=delivery.pk,
    )


def mail_message(delivery: Delivery, address: str) -> Message:
    """Write a mail."""
    return Message(
        to=address,
        kind=delivery.kind,
        text=delivery.text,
        title=delivery.title,
        url=f"{settings.HUB_URL}/home/notices",
        key=delivery.pk,
    )


def hand_over(sending: Sending) -> Result:
    """Hand one message over and say what came of it; no database, so many may run at once."""
    try:
        if sending.via is Via.SMS:
            receipt = sms.send_now(sending.message)
        elif sending.via is Via.MAIL:
            server = mail_server()
            if server is None:
                raise ChannelError("mail: no server is set up", permanent=True)
            receipt = mail_transport.send(sending.message, server)
        elif sending.sender is None:
            raise ChannelError("web push: no key", permanent=True)
        else:
            receipt = push_transport.send(sending.message, sending.sender)
    except ChannelError as error:
        return Result(
            sending,
            Came.UNKNOWN if error.maybe_taken else Came.REFUSED,
            fault=str(error)[:120],
            is_permanent=error.permanent,
            is_gone=isinstance(error, push_transport.GoneError),
        )
    return Result(sending, Came.TAKEN, receipt.reference)
