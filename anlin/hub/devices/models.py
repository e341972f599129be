"""Edge nodes and the devices they drive."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from anlin.hub.ids import IdField
from anlin.hub.people.models import Community


class Node(models.Model):
    """One edge. It signs in with a token that only it knows, got for a one-time code."""

    id = IdField("n")
    community = models.ForeignKey(Community, models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=60)
    code_hash = models.CharField(max_length=64, blank=True, db_index=True)
    code_expires_at = models.DateTimeField(null=True, blank=True)
    token_hash = models.CharField(max_length=64, blank=True, db_index=True)
    public_key = models.CharField(max_length=64, blank=True)
    """X25519, base64: face templates for this node are sealed to it."""
    software = models.CharField(max_length=60, blank=True)
    version = models.PositiveSmallIntegerField(default=0)
    """Of the sync protocol, as agreed at enrolment."""
    enrolled_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    rules_as_of = models.PositiveBigIntegerField(default=0)
    """The revision of the policy that the node says it decides by."""
    acked_seq = models.PositiveBigIntegerField(default=0)
    """The newest event of it that is durable here."""

    NOT_AUDITED = frozenset({"code_hash", "token_hash", "last_seen_at", "rules_as_of", "acked_seq"})

    SILENT_AFTER = timedelta(seconds=15)
    """Three beats of the down-stream (core.sync.BEAT_S) without a word."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "name"], name="one_node_by_name")
        ]

    def __str__(self) -> str:
        return self.name

    def is_online(self, at: datetime) -> bool:
        """Say whether the node was heard lately; without news it is not."""
        return self.last_seen_at is not None and at - self.last_seen_at < self.SILENT_AFTER


class Device(models.Model):
    """A device that one node drives. Its id is also its user name at the MQTT broker."""

    id = IdField("d")
    node = models.ForeignKey(Node, models.CASCADE, related_name="devices")
    name = models.CharField(max_length=60)
    driver = models.CharField(max_length=40)
    settings = models.JSONField(default=dict, blank=True)
    password_salt = models.CharField(max_length=32, blank=True)
    password_digest = models.CharField(max_length=64, blank=True)
    """As `anlin.wire.mqtt_users` makes them; empty where the device does not use MQTT."""

    # Settings name cameras' addresses with their passwords.
    NOT_AUDITED = frozenset({"password_salt", "password_digest", "settings"})

    def __str__(self) -> str:
        return self.name


class DeviceState(models.Model):
    """What the newest events say of a device; folded from the log, never typed."""

    device = models.OneToOneField(Device, models.CASCADE, related_name="state", primary_key=True)
    is_online = models.BooleanField(null=True)
    """None: never heard of."""
    state = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    troubles = models.JSONField(default=dict, blank=True)
    """What is wrong now, by part and kind: {"reader 1/offline": "…", "/tamper": "…"}."""
    tier = models.PositiveSmallIntegerField(null=True, blank=True)
    """Of vision in use: 1 comes with the installed packages, 2 after a pull."""
    vision_models = models.JSONField(default=dict, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    position = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.device_id} {self.state}"


class Outcome(models.TextChoices):
    PENDING = "pending", _("Sent")
    DONE = "done", _("Accepted")
    REFUSED = "refused", _("Refused")
    EXPIRED = "expired", _("Expired")


class Command(models.Model):
    """One order by a named person to one node, and honestly what came of it."""

    id = IdField("cmd")
    node = models.ForeignKey(Node, models.CASCADE, related_name="commands")
    number = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=20)
    """A `core.sync.CommandKind`."""
    target = models.CharField(max_length=24)
    by = models.CharField(max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    reason = models.CharField(max_length=200, blank=True)
    issued_at = models.DateTimeField()
    # Indexed, because the live process asks ten times a second for what is still alive.
    expires_at = models.DateTimeField(db_index=True)
    data = models.JSONField(default=dict, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    """When it was written to the node's open stream; None: the node was not listening."""
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.PENDING)
    outcome_detail = models.CharField(max_length=200, blank=True)
    outcome_at = models.DateTimeField(null=True, blank=True)
    acted_at = models.DateTimeField(null=True, blank=True)
    """When the portal itself showed the effect: opened, unlocked, locked down."""

    ANSWER_WAIT = timedelta(seconds=5)
    """How long after its end an answer may still be on its way."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "number"], name="one_command_by_number")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"

    def outcome_now(self, at: datetime) -> Outcome:
        """Give the outcome; a command that nobody answered in its life has expired."""
        if self.outcome == Outcome.PENDING and at > self.expires_at + self.ANSWER_WAIT:
            return Outcome.EXPIRED
        return Outcome(self.outcome)


class Folded(models.Model):
    """How far the event log has been folded into the records; in the same transaction as they."""

    position = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.position)
