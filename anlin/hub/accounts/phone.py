"""The residents' log-in by telephone: a code is sent, a code is typed.

Whether a number is known here shows nowhere: not in the answer, nor in its time, nor in the limits.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Exists, F, OuterRef
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from anlin.hub import vault
from anlin.hub.accounts import limits, sms
from anlin.hub.accounts.limits import Limit
from anlin.hub.accounts.models import PhoneCode
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Holder, HolderStatus, Residency, in_force
from anlin.hub.people.services import phone_index
from anlin.notify.base import Message

GOOD_FOR = timedelta(minutes=5)
TRIES = 5
KIND = "log_in_code"
"""The name of the message for the gateway's approved template; its blanks: code, minutes."""

PAUSE = Limit("code pause", 1, timedelta(seconds=60))
OF_NUMBER = Limit("code hour", 5, timedelta(hours=1))
OF_NUMBER_DAY = Limit("code day", 10, timedelta(days=1))
OF_ADDRESS = Limit("code address", 20, timedelta(hours=1))
OF_ALL = Limit("code all", 2000, timedelta(hours=1))
"""Every message costs the community money: whoever asks for thousands reaches an end."""

NUMBER_CHARS = 20
_KEPT = timedelta(hours=1)


def digits_of(typed: str) -> str:
    """Give the digits of a telephone number as it is registered; "" where it can't be one."""
    digits = re.sub(r"[\s()+.\-]", "", typed)
    if not digits.isascii() or not digits.isdigit():
        return ""
    digits = re.sub(r"^(?:00)?86(?=1\d{10}$)", "", digits)
    return digits if 5 <= len(digits) <= 15 else ""


def ask(typed: str, address: str) -> str:
    """Send a code to a number, where it is known; give what the code has to be typed for.

    Raises:
        RuleError: not a number, or asked for too often.
    """
    number = digits_of(typed)
    if not number:
        raise RuleError(_("This is not a telephone number. Type its digits only."), "phone")
    # The pause is asked first, and takes nothing from the others: an impatient thumb costs no code.
    if not limits.take(PAUSE, number):
        raise RuleError(
            _("A code was asked for a moment ago. Wait %(seconds)d seconds, then ask again.")
            % {"seconds": limits.wait_s(PAUSE, number)},
            "phone",
        )
    asked = (
        limits.take(OF_ADDRESS if address not in limits.SHARED else _SHARED, address),
        limits.take(OF_NUMBER, number),
        limits.take(OF_NUMBER_DAY, number),
        limits.take(OF_ALL, ""),
    )
    if not all(asked):
        raise RuleError(_("Too many codes were asked for. Try again in an hour."), "phone")
    now = timezone.now()
    code = f"{secrets.randbelow(10**6):06d}"
    PhoneCode.objects.filter(expires_at__lt=now - _KEPT).delete()
    row = PhoneCode(phone_indexes=_indexes(number), expires_at=now + GOOD_FOR)
    row.code_hash = _hash(row, code)
    row.save(force_insert=True)
    message = _message(number, code, row.pk)
    sms.send_later(message if holders_of(row.phone_indexes) else None)
    return row.pk


_SHARED = Limit(OF_ADDRESS.name, OF_ADDRESS.most * limits.SHARED_FACTOR, OF_ADDRESS.within)


def check(pk: str, typed: str) -> Sequence[Holder]:
    """Give whom a code signs in: one holder, or a family that shares the telephone.

    Raises:
        RuleError: it does not fit, is too old, or was tried too often.
    """
    code = re.sub(r"\D", "", typed)[:6]
    now = timezone.now()
    row = PhoneCode.objects.filter(pk=pk)
    open_ = row.filter(used_at=None, expires_at__gt=now, tries__lt=TRIES)
    if not open_.update(tries=F("tries") + 1):
        raise RuleError(_("This code is good no more. Ask for a new one."), "code")
    found = row.get()
    if not constant_time_compare(_hash(found, code), found.code_hash):
        left = TRIES - found.tries
        if not left:
            raise RuleError(_("Five wrong codes. Ask for a new one."), "code")
        raise RuleError(_("This code does not fit. Look at the message again."), "code")
    holders = holders_of(found.phone_indexes)
    # Where nobody has the number no code ever left, so one that fits was guessed.
    if not holders or not row.filter(used_at=None).update(used_at=now):
        raise RuleError(_("This code is good no more. Ask for a new one."), "code")
    return holders


def holders_of(indexes: Sequence[str]) -> list[Holder]:
    """Give who may sign in by a number: active, and living in a home now."""
    living = Residency.objects.filter(in_force(timezone.now()), holder=OuterRef("pk"))
    found = Holder.objects.filter(
        Exists(living), phone_index__in=indexes, status=HolderStatus.ACTIVE
    ).select_related("community")
    return list(found.order_by("created_at", "pk")[:20])


def _message(number: str, code: str, key: str) -> Message:
    minutes = int(GOOD_FOR.total_seconds() // 60)
    text = _(
        "Anlin: your log-in code is %(code)s, good for %(minutes)d minutes. Give it to nobody."
    ) % {"code": code, "minutes": minutes}
    return Message(
        to=number,
        kind=KIND,
        text=text,
        values={"code": code, "minutes": str(minutes)},
        key=key,
    )


def _indexes(number: str) -> list[str]:
    return [phone_index(number), phone_index(f"86{number}")]


def _hash(row: PhoneCode, code: str) -> str:
    return vault.fingerprint(f"{row.pk} {code}", "phone code")
