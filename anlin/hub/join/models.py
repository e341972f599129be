"""Requests to be registered, from the form on a phone until the office's answer."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from anlin.hub.ids import IdField
from anlin.hub.people.models import Community, Document, Holder, ResidencyKind, Unit
from anlin.hub.vault import ClosedTextField


class Stage(models.TextChoices):
    OWNER = "owner", _("Waits for the owner")
    OFFICE = "office", _("Waits for the property office")
    APPROVED = "approved", _("Approved")
    REFUSED = "refused", _("Refused")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    EXPIRED = "expired", _("Expired")


OPEN = (Stage.OWNER, Stage.OFFICE)


class Application(models.Model):
    """One person who asks to be registered in one home.

    What was typed is kept until the answer; number and photograph are deleted with it.
    """

    id = IdField("aq")
    community = models.ForeignKey(Community, models.CASCADE, related_name="applications")
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="applications")
    kind = models.CharField(max_length=10, choices=ResidencyKind.choices)
    name = models.CharField(max_length=60)
    phone = ClosedTextField()
    phone_index = models.CharField(max_length=64, db_index=True)
    document = models.CharField(max_length=14, choices=Document.choices, blank=True)
    number = ClosedTextField(blank=True, default="")
    born_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True)
    """Last day of a tenant's lease, in the community's own time."""
    wants_face = models.BooleanField(default=False)
    """Agreed to face recognition, separately, under `notice_version`; a card does as well."""
    notice_version = models.CharField(max_length=20, blank=True)
    guardian = models.CharField(max_length=60, blank=True)
    relation = models.CharField(max_length=20, blank=True)
    closed_photo = models.BinaryField(null=True, blank=True)
    stage = models.CharField(max_length=10, choices=Stage.choices)
    asked_by = models.ForeignKey(Holder, models.SET_NULL, null=True, blank=True, related_name="+")
    """The resident who asks for somebody of the family; none where they ask for themselves."""
    secret = models.CharField(max_length=64, unique=True)
    """Keyed fingerprint of the link that its sender follows it by."""
    posted = models.CharField(max_length=40)
    """Drawn with the empty form: one that is sent twice is one application."""
    made_at = models.DateTimeField(auto_now_add=True)
    owner = models.ForeignKey(Holder, models.SET_NULL, null=True, blank=True, related_name="+")
    """The owner who answered."""
    owner_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.CharField(max_length=150, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    """Why it was refused, in words that the sender reads."""
    holder = models.ForeignKey(
        Holder, models.SET_NULL, null=True, blank=True, related_name="applications"
    )
    """Who came of it."""
    photo_fault = models.CharField(max_length=40, blank=True)
    """Why the photograph gave no face; the person is registered all the same."""

    NOT_AUDITED = frozenset({"phone", "phone_index", "number", "closed_photo", "secret", "posted"})
    LIFE = timedelta(days=30)
    """After so long without an answer it ends, and what was typed is deleted."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "posted"], name="one_application_by_post"),
            # The same person can't be asked for twice in one home at a time.
            models.UniqueConstraint(
                fields=["unit", "phone_index", "name"],
                condition=Q(stage__in=["owner", "office"]),
                name="one_open_application",
            ),
        ]
        indexes = [models.Index(fields=["community", "stage"], name="application_by_stage")]

    def __str__(self) -> str:
        return f"{self.id} {self.stage}"

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to answer."""
        return self.stage in OPEN
