"""What residents do on their phones that no other room keeps."""

from __future__ import annotations

from django.db import models

from anlin.hub.access.models import AccessPoint
from anlin.hub.devices.models import Command
from anlin.hub.ids import IdField
from anlin.hub.people.models import Holder, Unit


class Opening(models.Model):
    """One confirmed press of a door's button. Its nonce opens once, however often it is sent."""

    id = IdField("op")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="openings")
    point = models.ForeignKey(AccessPoint, models.CASCADE, related_name="+")
    nonce = models.CharField(max_length=32, unique=True)
    """Of the page on which it was confirmed."""
    command = models.OneToOneField(Command, models.SET_NULL, null=True, related_name="opening")
    """None: nothing was sent, because the gate could not be reached."""
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["holder", "at"], name="opening_by_holder")]

    def __str__(self) -> str:
        return f"{self.holder_id} {self.point_id}"


class RemoteLeave(models.Model):
    """An owner's word that a child of the home may open doors from a phone."""

    id = IdField("rl")
    child = models.ForeignKey(Holder, models.CASCADE, related_name="remote_leave")
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="+")
    given_by = models.ForeignKey(Holder, models.CASCADE, related_name="+")
    given_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["child"], name="one_leave_by_child")]

    def __str__(self) -> str:
        return self.child_id
