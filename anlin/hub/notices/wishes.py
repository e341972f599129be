"""How a resident wants to be reached, and the proof that a mail address is theirs."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub import vault
from anlin.hub.accounts import limits
from anlin.hub.accounts.limits import Limit
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.notices import channels
from anlin.hub.notices.models import BySms, Wishes
from anlin.hub.notices.services import spoken_to
from anlin.hub.people.models import Holder
from anlin.notify.base import ChannelError, Message
from anlin.notify.mail import transport

log = logging.getLogger(__name__)

GOOD_FOR = timedelta(days=2)
OF_ONE = Limit("mail confirm", 5, timedelta(days=1))
"""Mails of ours that one resident can have sent to an address that is not proven to be theirs."""

_SALT = "anlin mail address"


def wish(holder: Holder, by_sms: BySms, mail: str, by: Actor) -> bool:
    """Keep how a resident wants to be reached; say whether a mail asks about a new address.

    Raises:
        RuleError: no mail can be sent, or five new addresses were tried today.
    """
    is_new = bool(mail) and mail != channels.wishes_of(holder).mail
    if is_new and channels.mail_server() is None:
        raise RuleError(_("This hub sends no mail; the office can set that up."), "mail")
    if is_new and not limits.take(OF_ONE, holder.pk):
        raise RuleError(_("Too many addresses today; try again tomorrow."), "mail")
    with transaction.atomic():
        wishes, is_first = Wishes.objects.get_or_create(holder=holder)
        if is_first:
            created(by, holder.community, wishes)
        with changing(by, holder.community, wishes, "choose how to be reached"):
            wishes.by_sms = by_sms
            if mail != wishes.mail:
                wishes.mail, wishes.mail_confirmed_at = mail, None
    if is_new:
        _ask(holder, mail)
    return is_new


def confirm(holder: Holder, token: str, by: Actor) -> None:
    """Take an address as proven by the link that was sent to it.

    Raises:
        RuleError: too old, somebody else's, or another address stands here now.
    """
    fault = RuleError(_("This link is good no more. Save the address once more."))
    try:
        whose, index = signing.loads(token, salt=_SALT, max_age=GOOD_FOR)
    except (signing.BadSignature, ValueError) as error:
        raise fault from error
    with transaction.atomic():
        wishes = Wishes.objects.select_for_update().filter(pk=holder.pk).first()
        if wishes is None or whose != holder.pk or index != _index(wishes.mail):
            raise fault
        with changing(by, holder.community, wishes, "confirm mail address"):
            wishes.mail_confirmed_at = wishes.mail_confirmed_at or timezone.now()


def token_of(holder: Holder, mail: str) -> str:
    """Give what proves, with the log-in, that a resident reads an address."""
    return signing.dumps([holder.pk, _index(mail)], salt=_SALT)


def _ask(holder: Holder, mail: str) -> None:
    server = channels.mail_server()
    if server is None:
        return
    token = token_of(holder, mail)
    with spoken_to(holder):
        message = Message(
            to=mail,
            kind="mail_confirm",
            title=_("Is this your address?"),
            text=_("Open this on the phone on which you are signed in, and confirm."),
            url=f"{settings.HUB_URL}/home/push/mail/{token}",
            key=token,
        )
    try:
        transport.send(message, server)
    except ChannelError as error:
        log.error("mail to confirm an address not sent: %s", error)
        raise RuleError(_("The mail could not be sent. Try again later."), "mail") from error


def _index(mail: str) -> str:
    return vault.fingerprint(mail, "mail address") if mail else ""
