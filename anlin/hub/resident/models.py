"""What residents do on their phones that no other room keeps."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from anlin.hub.access.models import AccessPoint
from anlin.hub.devices.models import Command
from anlin.hub.ids import IdField
from anlin.hub.people.models import Community, Holder, ResidencyKind, Unit
from anlin.hub.vault import ClosedTextField


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


class AskState(models.TextChoices):
    WAITING = "waiting", _("Waits for the property office")
    ACCEPTED = "accepted", _("Done")
    REFUSED = "refused", _("Refused")
    CANCELLED = "cancelled", _("Taken back")


class HouseholdAsk(models.Model):
    """A home's word that somebody no longer lives there, and the property office's answer."""

    id = IdField("ha")
    community = models.ForeignKey(Community, models.CASCADE, related_name="household_asks")
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="household_asks")
    asked_by = models.ForeignKey(Holder, models.CASCADE, related_name="household_asks")
    asked_at = models.DateTimeField()
    said = models.CharField(max_length=200, blank=True)
    sent_id = models.CharField(max_length=32, unique=True)
    """Of the form that made it: a form posted twice asks once."""

    name = models.CharField(max_length=60, blank=True)
    residency = models.CharField(max_length=10, choices=ResidencyKind.choices, blank=True)
    holder = models.ForeignKey(
        Holder, models.SET_NULL, null=True, blank=True, related_name="household_asks_about"
    )
    """Who no longer lives there."""
    state = models.CharField(max_length=10, choices=AskState.choices, default=AskState.WAITING)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=200, blank=True)

    NOT_AUDITED = frozenset({"sent_id"})

    class Meta:
        indexes = [
            models.Index(fields=["unit", "-asked_at"], name="household_ask_by_home"),
            models.Index(
                fields=["community", "asked_at"],
                condition=models.Q(state="waiting"),
                name="household_ask_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class CareContact(models.Model):
    """Whom to call when something happens in a home and nobody there answers."""

    id = IdField("cc")
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="care_contacts")
    name = models.CharField(max_length=60)
    relation = models.CharField(max_length=30, blank=True)
    phone = ClosedTextField()
    added_by = models.ForeignKey(Holder, models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField()
    sent_id = models.CharField(max_length=32, unique=True)

    NOT_AUDITED = frozenset({"phone", "sent_id"})

    def __str__(self) -> str:
        return self.id


class HelpLine(models.Model):
    """A number that residents may call: the gate, the property office, the repair service."""

    id = IdField("hl")
    community = models.ForeignKey(Community, models.CASCADE, related_name="help_lines")
    name = models.CharField(max_length=60)
    phone = models.CharField(max_length=30)
    hours = models.CharField(max_length=60, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "name"], name="one_help_line_by_name")
        ]

    def __str__(self) -> str:
        return self.name
