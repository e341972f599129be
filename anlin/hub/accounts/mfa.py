"""Second factors and passkeys: allauth's models and checks behind pages of our own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code
from allauth.mfa.webauthn.internal import auth as webauthn
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub import vault
from anlin.hub.accounts import limits
from anlin.hub.accounts.limits import Limit
from anlin.hub.accounts.models import FactorDue, FactorRule, How
from anlin.hub.errors import RuleError
from anlin.hub.people.models import ResidentProfile, StaffProfile

ISSUER = "Anlin"
MOST_PASSKEYS = 10
NAME_CHARS = 40
CREDENTIAL_BYTES = 32 * 1024
"""What a browser gives for one passkey is some 2 KB; an attestation adds a few."""

TRIES = Limit("second factor", 5, timedelta(minutes=5))
ONCE = Limit("totp once", 1, timedelta(minutes=3))
"""A code that was taken is not taken again while it could still fit."""


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]
    """What allauth asks of us: secrets closed at rest, and names that people know."""

    def encrypt(self, text: str) -> str:
        return vault.close(text.encode(), "second factor").hex()

    def decrypt(self, encrypted_text: str) -> str:
        return vault.reveal(bytes.fromhex(encrypted_text), "second factor").decode()

    def get_totp_label(self, user: User) -> str:
        return user.get_username()

    def get_totp_issuer(self) -> str:
        return ISSUER

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": ISSUER}

    def get_public_key_credential_user_entity(self, user: User) -> dict[str, Any]:
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        return entity | {"name": name_of(user), "display_name": name_of(user)}


def name_of(user: User) -> str:
    """Give the name under which a telephone keeps a passkey."""
    profile = ResidentProfile.objects.select_related("holder").filter(user=user).first()
    return user.get_username() if profile is None else profile.holder.name


@dataclass(frozen=True, slots=True)
class Factors:
    """What somebody can prove with, beside the password."""

    totp: Authenticator | None
    passkeys: list[Authenticator]
    recovery_left: int

    @property
    def any(self) -> bool:
        return self.totp is not None or bool(self.passkeys)


def factors(user: User) -> Factors:
    """Give the second factors of somebody."""
    rows = list(Authenticator.objects.filter(user=user).order_by("created_at", "pk"))
    codes = next((row for row in rows if row.type == Authenticator.Type.RECOVERY_CODES), None)
    return Factors(
        next((row for row in rows if row.type == Authenticator.Type.TOTP), None),
        [row for row in rows if row.type == Authenticator.Type.WEBAUTHN],
        0 if codes is None else len(RecoveryCodes(codes).get_unused_codes()),
    )


def rule_of(staff: StaffProfile) -> FactorRule:
    """Give the community's rule on second factors; the default where it has made none."""
    rule = FactorRule.objects.filter(community=staff.community_id).first()
    return rule or FactorRule(community=staff.community)


def due_of(staff: StaffProfile) -> datetime | None:
    """Give by when a member of staff must have a second factor; None: need not, or has one.

    The time runs from the first log-in under the rule, not from when the log-in was made.
    """
    rule = rule_of(staff)
    if staff.role not in rule.roles or factors(staff.user).any:
        return None
    due, _is_new = FactorDue.objects.get_or_create(
        user=staff.user, defaults={"due_at": timezone.now() + timedelta(days=rule.days)}
    )
    return due.due_at


def new_secret() -> str:
    """Make the secret that an authenticator app and the hub will share."""
    return str(generate_totp_secret())


def totp_url(user: User, secret: str) -> str:
    """Give what an authenticator app reads from the picture."""
    return str(Adapter().build_totp_url(user, secret))


def add_totp(user: User, secret: str, code: str) -> None:
    """Take an authenticator app up after it has shown that it works.

    Raises:
        RuleError: the code does not fit, or was tried too often.
    """
    _count(user)
    if not _is_code(code) or not validate_totp_code(secret, code):
        raise RuleError(_("This code does not fit. Type the one that the app shows now."), "code")
    with transaction.atomic():
        Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).delete()
        TOTP.activate(user, secret)
        FactorDue.objects.filter(user=user).delete()
    limits.take(ONCE, f"{user.pk} {code}")
    limits.forget(TRIES, str(user.pk))


def check(user: User, code: str) -> How:
    """Check a code of the app, or a recovery code; each is good for once.

    Raises:
        RuleError: it does not fit, or too many did not.
    """
    _count(user)
    given = "".join(code.split()).replace("-", "")
    if _is_code(given):
        row = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
        if row is not None:
            secret = Adapter().decrypt(row.data["secret"])
            if validate_totp_code(secret, given) and limits.take(ONCE, f"{user.pk} {given}"):
                row.record_usage()
                limits.forget(TRIES, str(user.pk))
                return How.TOTP
    elif given.isascii() and given.isdigit() and len(given) == 8:
        row = Authenticator.objects.filter(
            user=user, type=Authenticator.Type.RECOVERY_CODES
        ).first()
        if row is not None and RecoveryCodes(row).validate_code(given):
            limits.forget(TRIES, str(user.pk))
            return How.RECOVERY
    raise RuleError(_("This code does not fit. Type the one that the app shows now."), "code")


def new_recovery_codes(user: User) -> list[str]:
    """Make ten codes for the day on which the phone is gone; those before are good no more."""
    with transaction.atomic():
        Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).delete()
        return list(RecoveryCodes.activate(user).generate_codes())


def begin_passkey(user: User) -> dict[str, Any]:
    """Give what a browser needs to make a passkey.

    Raises:
        RuleError: there are as many as one may have.
    """
    if len(factors(user).passkeys) >= MOST_PASSKEYS:
        raise RuleError(_("There are ten passkeys already. Remove one first."))
    return _plain(webauthn.begin_registration(user, passwordless=True))


def add_passkey(user: User, name: str, credential: object) -> Authenticator:
    """Take up the passkey that a browser made.

    Raises:
        RuleError: it does not answer what was asked.
    """
    if not isinstance(credential, dict):
        raise RuleError(_("The browser gave no passkey. Try again."))
    try:
        webauthn.parse_registration_response(credential)
        webauthn.complete_registration(credential)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise RuleError(_("The passkey does not fit this page. Try again.")) from error
    with transaction.atomic():
        row: Authenticator = webauthn.WebAuthn.add(
            user, name.strip()[:NAME_CHARS], credential
        ).instance
        FactorDue.objects.filter(user=user).delete()
    return row


def begin_check(user: User | None = None) -> dict[str, Any]:
    """Give what a browser needs to prove a passkey: somebody's, or whoever's it has."""
    return _plain(webauthn.begin_authentication(user))


def check_passkey(credential: object, user: User | None = None) -> User:
    """Give whose passkey this is.

    Raises:
        RuleError: it is nobody's, or answers something else than what was asked.
    """
    fault = RuleError(_("This passkey is not known here. Log in another way."))
    if not isinstance(credential, dict):
        raise fault
    try:
        found = user or webauthn.extract_user_from_response(credential)
        webauthn.parse_authentication_response(credential)
        row = webauthn.complete_authentication(found, credential)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise fault from error
    row.record_usage()
    if not found.is_active:
        raise fault
    return found


def remove(user: User, pk: int) -> str:
    """Remove one passkey or the app; give its name. The recovery codes go with the last of them.

    Raises:
        RuleError: there is none of that number.
    """
    row = (
        Authenticator.objects.filter(user=user, pk=pk)
        .exclude(type=Authenticator.Type.RECOVERY_CODES)
        .first()
    )
    if row is None:
        raise RuleError(_("It was removed already."))
    name = str(row.wrap().name) if row.type == Authenticator.Type.WEBAUTHN else "totp"
    with transaction.atomic():
        row.delete()
        if not factors(user).any:
            Authenticator.objects.filter(user=user).delete()
    return name


def remove_all(user: User) -> None:
    """Take every factor away; where one is required, the time to set it up begins anew."""
    with transaction.atomic():
        Authenticator.objects.filter(user=user).delete()
        FactorDue.objects.filter(user=user).delete()


def _count(user: User) -> None:
    if not limits.take(TRIES, str(user.pk)):
        raise RuleError(_("Too many wrong codes. Wait five minutes, then try again."), "code")


def _is_code(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) == 6


def _plain(options: Any) -> dict[str, Any]:
    """Give options as plain JSON data; the library gives mappings that know how to be that."""
    plain: dict[str, Any] = json.loads(json.dumps(_mapped(options)))
    return plain


def _mapped(value: Any) -> Any:
    if hasattr(value, "items"):
        return {key: _mapped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item) for item in value]
    return value
