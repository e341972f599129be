"""Log-ins: codes that are on their way, sessions, second factors that are due, and tries."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from anlin.hub.ids import IdField
from anlin.hub.people.models import Community, Role


class Tries(models.Model):
    """How often somebody tried something in the stretch that runs; see `limits`."""

    key = models.CharField(max_length=64, primary_key=True)
    """Keyed fingerprint of what is limited and of whom: no names, numbers or addresses."""
    count = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key[:8]


class PhoneCode(models.Model):
    """One code that was asked for by a telephone number, known or not.

    The code itself is nowhere: a keyed fingerprint of it, bound to this row, is.
    """

    id = IdField("pc")
    phone_indexes = models.JSONField()
    """What the number may be registered under: with its country or without."""
    code_hash = models.CharField(max_length=64)
    expires_at = models.DateTimeField(db_index=True)
    tries = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.id


class How(models.TextChoices):
    """By what somebody proved who they are."""

    PASSWORD = "password"  # noqa: S105  a word, not one
    TOTP = "totp"
    RECOVERY = "recovery"
    PASSKEY = "passkey"
    SMS = "sms"


class SignIn(models.Model):
    """One session of one person on one device."""

    id = IdField("si")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sign_ins")
    session_key = models.CharField(max_length=40, unique=True)
    how = models.CharField(max_length=10, choices=How.choices, blank=True)
    device = models.CharField(max_length=60, blank=True)
    """Browser and system, as far as the browser tells."""
    address = models.CharField(max_length=45, blank=True)
    since = models.DateTimeField()
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=150, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "ended_at"], name="sign_in_open")]

    def __str__(self) -> str:
        return self.id


def roles_by_default() -> list[str]:
    return [Role.MANAGER.value, Role.AUDITOR.value, Role.LIAISON.value]


class FactorRule(models.Model):
    """Which roles of a community must have a second factor, and how long they have to set it up."""

    community = models.OneToOneField(
        Community, models.CASCADE, related_name="factor_rule", primary_key=True
    )
    roles = models.JSONField(default=roles_by_default)
    days = models.PositiveSmallIntegerField(default=7)

    def __str__(self) -> str:
        return self.community_id


class FactorDue(models.Model):
    """By when one member of staff must have a second factor; counted from the first log-in."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="factor_due", primary_key=True
    )
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.user_id)
