"""What the law asks to be written down: notices, receipts, requests, retention, filing, assessment.

The consents themselves are `people.models.Consent`: one line for each that was given.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from anlin.hub.access.models import AccessPoint
from anlin.hub.devices.models import Device
from anlin.hub.ids import IdField
from anlin.hub.people.models import Community, Holder
from anlin.hub.vault import ClosedTextField


class Notice(models.Model):
    """What people are told before they agree; a published version is never edited."""

    id = IdField("no")
    community = models.ForeignKey(Community, models.CASCADE, related_name="notices")
    version = models.CharField(max_length=20)
    text_zh = models.JSONField(default=dict)
    """One text for each name in `SECTIONS`."""
    text_en = models.JSONField(default=dict)
    needs_new_consent = models.BooleanField(default=False)
    """Whether who agreed to an older version has to be asked again."""
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=150)

    SECTIONS = ("purpose", "contact", "method", "retention", "necessity", "effect", "rights")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "version"], name="one_notice_by_version")
        ]

    def __str__(self) -> str:
        return self.version


class Receipt(models.Model):
    """That one face is being deleted everywhere, and how far that is proven."""

    id = IdField("rc")
    community = models.ForeignKey(Community, models.CASCADE, related_name="receipts")
    holder = models.ForeignKey(
        Holder, models.SET_NULL, null=True, blank=True, related_name="receipts"
    )
    credential = models.CharField(max_length=24, unique=True)
    asked_at = models.DateTimeField()
    because = models.CharField(max_length=40)
    """"withdrawn": the consent was; "taken back": the face was for another reason."""
    completed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.id


class Confirmation(models.Model):
    """One edge or device that has to show that a face is gone from it, and when it did."""

    receipt = models.ForeignKey(Receipt, models.CASCADE, related_name="confirmations")
    node = models.CharField(max_length=24)
    device = models.CharField(max_length=24, blank=True)
    """Empty: the edge itself."""
    name = models.CharField(max_length=130)
    """As it was called when the deletion was asked for."""
    revision = models.PositiveBigIntegerField()
    """Of the policy in which the face is gone."""
    confirmed_at = models.DateTimeField(null=True, blank=True)
    proof = models.CharField(max_length=100, blank=True)
    """The revision that it decides by, or the digest of what was read back."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["receipt", "node", "device"], name="one_confirmation_by_place"
            )
        ]

    def __str__(self) -> str:
        return f"{self.receipt_id} {self.name}"


class Ask(models.TextChoices):
    """What a person may ask of whoever holds their data (PIPL articles 44 to 50)."""

    ACCESS = "access", _("See what is held")
    EXPORT = "export", _("Get a copy")
    CORRECT = "correct", _("Correct something")
    DELETE = "delete", _("Delete it")
    EXPLAIN = "explain", _("Explain how it is used")


class RequestState(models.TextChoices):
    NEW = "new", _("Waiting")
    TAKEN = "taken", _("Being handled")
    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")
    CANCELLED = "cancelled", _("Taken back by the person")


class Request(models.Model):
    """One request of a person about their own data, with its deadline and what came of it."""

    id = IdField("dr")
    community = models.ForeignKey(Community, models.CASCADE, related_name="data_requests")
    holder = models.ForeignKey(
        Holder, models.SET_NULL, null=True, blank=True, related_name="data_requests"
    )
    """None once the person was deleted."""
    kind = models.CharField(max_length=8, choices=Ask.choices)
    text = ClosedTextField(blank=True, default="")
    asked_by = models.CharField(max_length=150)
    """The person, or who wrote it down for them; the name goes with the person."""
    asked_at = models.DateTimeField()
    due_on = models.DateField()
    state = models.CharField(max_length=10, choices=RequestState.choices, default=RequestState.NEW)
    handled_by = models.CharField(max_length=150, blank=True)
    taken_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    answer = ClosedTextField(blank=True, default="")
    """What the person is told; for a refusal the reason, always."""
    outcome = models.JSONField(default=dict, blank=True)
    """What was deleted or given: counts by kind, nothing that names anybody."""

    NOT_AUDITED = frozenset({"text", "answer"})

    OPEN = (RequestState.NEW, RequestState.TAKEN)

    class Meta:
        indexes = [models.Index(fields=["community", "state", "due_on"], name="request_due")]

    def __str__(self) -> str:
        return f"{self.id} {self.kind}"


class Settings(models.Model):
    """What a community has set about privacy; missing values are the defaults."""

    community = models.OneToOneField(
        Community, models.CASCADE, related_name="privacy", primary_key=True
    )
    processor = models.CharField(max_length=100, blank=True)
    """Who answers for the data: the name that stands in notices and filings."""
    contact = models.CharField(max_length=200, blank=True)
    credit_code = models.CharField(max_length=18, blank=True)
    """Unified social credit code (统一社会信用代码) of the processor."""
    answer_days = models.PositiveSmallIntegerField(default=15)
    """Working days to answer a request in."""
    retention_h = models.JSONField(default=dict, blank=True)
    """Hours by kind (`retention.RULES`), where they differ from the default."""
    reached_at = models.DateTimeField(null=True, blank=True)
    """Since when as many faces are stored as have to be filed."""
    filed_on = models.DateField(null=True, blank=True)
    filing_number = models.CharField(max_length=60, blank=True)
    filing_note = models.TextField(blank=True, max_length=1000)

    MOST_ANSWER_DAYS = 30

    def __str__(self) -> str:
        return self.community_id


class Run(models.Model):
    """One run of the retention job over one kind of data; the evidence that it ran."""

    id = IdField("rr")
    community = models.ForeignKey(Community, models.CASCADE, related_name="retention_runs")
    kind = models.CharField(max_length=12)
    limit_h = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    """None: it is running, or was cut off; the next run goes on where it stopped."""
    by = models.CharField(max_length=150)
    count = models.PositiveBigIntegerField(default=0)
    oldest_left = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [models.Index(fields=["community", "kind", "-started_at"], name="run_by_kind")]

    def __str__(self) -> str:
        return f"{self.id} {self.kind}"


class Cursor(models.Model):
    """How far the event log has been looked through for one kind of data."""

    community = models.ForeignKey(Community, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12)
    position = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "kind"], name="one_cursor_by_kind")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.position}"


class LatePicture(models.Model):
    """A picture whose time is over before it has come; it is dropped when it does."""

    community = models.ForeignKey(Community, models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64, unique=True)
    noted_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.sha256


class AreaType(models.TextChoices):
    """Where a camera looks; private places can't have a face function (order 19, article 13)."""

    ENTRANCE = "entrance", _("Entrance of the community")
    LOBBY = "lobby", _("Lobby or stairwell")
    LIFT = "lift", _("Lift")
    CAR_PARK = "car_park", _("Car park")
    OUTDOOR = "outdoor", _("Paths and greens")
    OFFICE = "office", _("Property office")
    TOILET = "toilet", _("Toilet or washroom")
    CHANGING = "changing", _("Changing room")
    BEDROOM = "bedroom", _("Bedroom or guest room")


PRIVATE_AREAS = frozenset({AreaType.TOILET, AreaType.CHANGING, AreaType.BEDROOM})


class Site(models.Model):
    """Where one camera or face terminal looks, which sign stands there, and its filing."""

    device = models.OneToOneField(Device, models.CASCADE, related_name="site", primary_key=True)
    area = models.CharField(max_length=10, choices=AreaType.choices)
    point = models.ForeignKey(AccessPoint, models.SET_NULL, null=True, blank=True, related_name="+")
    necessity = models.CharField(max_length=200, blank=True)
    """Why public security needs it there."""
    sign_place = models.CharField(max_length=100, blank=True)
    sign_seen_on = models.DateField(null=True, blank=True)
    sign_seen_by = models.CharField(max_length=150, blank=True)
    in_use_since = models.DateField(null=True, blank=True)
    filed_on = models.DateField(null=True, blank=True)
    """With the county police: within 30 days of commissioning (order 799)."""
    filing_number = models.CharField(max_length=60, blank=True)

    FILE_WITHIN = timedelta(days=30)

    def __str__(self) -> str:
        return self.device_id


class Assessment(models.Model):
    """One version of the impact assessment: what was in force when it was made, as a document."""

    id = IdField("pia")
    community = models.ForeignKey(Community, models.CASCADE, related_name="assessments")
    number = models.PositiveIntegerField()
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=150)
    facts = models.JSONField()
    """What the document is rendered from: settings, points, models, counts."""
    fingerprint = models.CharField(max_length=64)
    """Of the settings alone; another one now means that it has to be made again."""
    remarks = models.TextField(blank=True, max_length=4000)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=150, blank=True)

    KEEP = timedelta(days=3 * 365 + 1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["community", "number"], name="one_assessment_by_number")
        ]

    def __str__(self) -> str:
        return str(self.number)
