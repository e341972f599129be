"""What the log says now beyond a portal's and a device's own state; folded, and made anew from it.

Who and which car is inside, by whom a portal is held and until when, how far devices' own tables
stand. And two things that people write: that they have taken note of an event, and which screens
may show what happens at a gate.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from anlin.hub.access.models import AccessPoint, Portal
from anlin.hub.devices.models import Device
from anlin.hub.people.models import Community


class Presence(models.Model):
    """Where somebody, or a car, was last seen to pass, and whether that led in."""

    community = models.ForeignKey(Community, models.CASCADE, related_name="presences")
    subject = models.CharField(max_length=64)
    """A holder's id, or "plate:" and the plate (`core.access.subject_of`)."""
    node = models.CharField(max_length=24)
    """Whose word it is."""
    holder = models.CharField(max_length=24, blank=True)
    plate = models.CharField(max_length=20, blank=True)
    portal = models.CharField(max_length=24)
    area = models.CharField(max_length=24, blank=True)
    """The area that the passage led into; empty where the point names none."""
    is_inside = models.BooleanField()
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    """When its time was up, once the edge has told that it stayed too long."""
    is_overstay = models.BooleanField(default=False)
    position = models.PositiveBigIntegerField()
    """Of the passage in the log."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "subject"], name="one_presence_by_subject")
        ]
        indexes = [
            # What the roll call and the list of cars read.
            models.Index(
                fields=["community", "area"],
                condition=Q(is_inside=True),
                name="presence_inside",
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.area}"


class Override(models.TextChoices):
    """What a person holds a portal to."""

    NONE = ""
    UNLOCKED = "unlocked"
    LOCKED = "locked"


class PortalHold(models.Model):
    """Who holds a portal, or works on it, and until when; and what its lane says of itself."""

    portal = models.OneToOneField(Portal, models.CASCADE, related_name="hold", primary_key=True)
    override = models.CharField(max_length=8, choices=Override.choices, blank=True)
    override_by = models.CharField(max_length=150, blank=True)
    override_until = models.DateTimeField(null=True, blank=True)
    maintenance_by = models.CharField(max_length=150, blank=True)
    maintenance_until = models.DateTimeField(null=True, blank=True)
    is_fire_input = models.BooleanField(default=False)
    """Whether the fire panel still asks for release; nothing is locked again before it stops."""
    is_prealarm = models.BooleanField(default=False)
    arm = models.CharField(max_length=8, blank=True)
    """What is wrong with a barrier's arm: "off", "stuck", "raised", or nothing."""
    arm_since = models.DateTimeField(null=True, blank=True)
    waiting_since = models.DateTimeField(null=True, blank=True)
    """Since when a vehicle stands there that nobody has answered."""

    def __str__(self) -> str:
        return f"{self.portal_id} {self.override}"

    def overridden(self, at: datetime) -> bool:
        """Say whether somebody holds it now; a hold ends by itself, told or not."""
        return bool(self.override) and self.override_until is not None and at < self.override_until

    def in_maintenance(self, at: datetime) -> bool:
        """Say whether somebody works on it now."""
        return self.maintenance_until is not None and at < self.maintenance_until


class DeviceTable(models.Model):
    """How far a device's own table of people stands from the one it should hold."""

    device = models.OneToOneField(Device, models.CASCADE, related_name="table", primary_key=True)
    kind = models.CharField(max_length=16)
    """The newest of the kinds table_held, table_behind, table_refused."""
    revision = models.PositiveBigIntegerField(default=0)
    wanted = models.CharField(max_length=64, blank=True)
    held = models.CharField(max_length=64, blank=True)
    rows = models.PositiveIntegerField(default=0)
    missing = models.PositiveIntegerField(default=0)
    surplus = models.PositiveIntegerField(default=0)
    capacity = models.PositiveIntegerField(default=0)
    refused = models.JSONField(default=list)
    """List of [credential, the device's word for why]."""
    rule = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField()
    """When it was last not proven; for one that is, when it was proven."""
    position = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.device_id} {self.kind}"


class BikeAnswer(models.TextChoices):
    """What became of a question about an e-bike that somebody left with."""

    AGREED = "agreed", _("The owner agreed")
    STOPPED = "stopped", _("Stopped")
    UNKNOWN = "unknown", _("Not known")


class Noticed(models.Model):
    """A named person has seen what an event says, and it may leave the list of what needs one."""

    position = models.PositiveBigIntegerField(primary_key=True)
    community = models.ForeignKey(Community, models.CASCADE, related_name="noticed")
    by = models.CharField(max_length=150)
    at = models.DateTimeField()
    answer = models.CharField(max_length=10, choices=BikeAnswer.choices, blank=True)
    """To a question that the event asks; empty where it asks none."""

    def __str__(self) -> str:
        return f"{self.position} {self.by}"


class ScreenKey(models.Model):
    """Lets a screen at a gate show what happens at one access point, with nobody signed in."""

    point = models.OneToOneField(
        AccessPoint, models.CASCADE, related_name="screen_key", primary_key=True
    )
    key_hash = models.CharField(max_length=64, unique=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    NOT_AUDITED = frozenset({"key_hash"})

    def __str__(self) -> str:
        return self.point_id
