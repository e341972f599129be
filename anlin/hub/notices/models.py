"""Notices, messages to residents, and what became of each on its way."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from anlin.hub.ids import IdField
from anlin.hub.people.models import Building, Community, Holder, Unit
from anlin.hub.vault import ClosedTextField


class Audience(models.TextChoices):
    ALL = "all", _("The whole community")
    BUILDINGS = "buildings", _("Some buildings")
    HOMES = "homes", _("Some homes")


class NoticeState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    PLANNED = "planned", _("Planned")
    PUBLISHED = "published", _("Has been published")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class Notice(models.Model):
    """A notice (公告) to residents. What was published is never edited, only withdrawn."""

    id = IdField("nt")
    community = models.ForeignKey(Community, models.CASCADE, related_name="bulletins")
    title = models.CharField(max_length=60)
    text = models.TextField(max_length=2000)
    audience = models.CharField(max_length=10, choices=Audience.choices, default=Audience.ALL)
    buildings = models.ManyToManyField(Building, blank=True, related_name="+")
    units = models.ManyToManyField(Unit, blank=True, related_name="+")
    owners_only = models.BooleanField(default=False)
    is_urgent = models.BooleanField(default=False)
    publish_at = models.DateTimeField(null=True, blank=True)
    """None: as soon as somebody publishes it."""
    expires_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=NoticeState.choices, default=NoticeState.DRAFT)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()
    published_by = models.CharField(max_length=150, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    recipients = models.PositiveIntegerField(default=0)
    """How many it was sent to when it was published."""
    withdrawn_by = models.CharField(max_length=150, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    why = models.CharField(max_length=200, blank=True)
    """Why it was withdrawn; residents read it."""
    sent_id = models.CharField(max_length=32, unique=True)
    """Of the form that made it: a form posted twice makes one notice."""

    NOT_AUDITED = frozenset({"sent_id"})

    class Meta:
        indexes = [
            models.Index(fields=["community", "-made_at"], name="notice_by_community"),
            # What the clock publishes: board.publish_due.
            models.Index(
                fields=["publish_at"], condition=Q(state="planned"), name="notice_planned"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class NoticeRead(models.Model):
    """That a resident has opened a notice."""

    notice = models.ForeignKey(Notice, models.CASCADE, related_name="reads")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="notices_read")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["notice", "holder"], name="one_read_by_holder")
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} {self.holder_id}"


class BySms(models.TextChoices):
    NEVER = "never", _("Never")
    URGENT = "urgent", _("Only what is urgent")
    ALWAYS = "always", _("Everything")


class Wishes(models.Model):
    """By which ways a resident wants to be reached when the phone's own notices don't get there."""

    holder = models.OneToOneField(Holder, models.CASCADE, related_name="wishes", primary_key=True)
    by_sms = models.CharField(max_length=8, choices=BySms.choices, default=BySms.URGENT)
    mail = ClosedTextField(blank=True, default="")
    mail_confirmed_at = models.DateTimeField(null=True, blank=True)
    """None: nothing but the question whether it is theirs goes to the address."""

    NOT_AUDITED = frozenset({"mail"})

    def __str__(self) -> str:
        return self.holder_id


class PushKey(models.Model):
    """The hub's own key for web push, made at the first start; one row."""

    number = models.PositiveSmallIntegerField(primary_key=True, default=1)
    private = ClosedTextField()

    def __str__(self) -> str:
        return "web push"


class PushDevice(models.Model):
    """One browser on one device that shows messages to a resident."""

    id = IdField("pd")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="push_devices")
    endpoint_index = models.CharField(max_length=64, unique=True)
    """Keyed fingerprint of the address: one browser belongs to one resident at a time."""
    subscription = ClosedTextField()
    name = models.CharField(max_length=60, blank=True)
    added_at = models.DateTimeField()
    reached_at = models.DateTimeField(null=True, blank=True)

    NOT_AUDITED = frozenset({"endpoint_index", "subscription"})

    def __str__(self) -> str:
        return self.id


class Kind(models.TextChoices):
    """What a message is about; the name of a gateway's template for it is the same."""

    NOTICE = "notice", _("Community notice")
    VISIT_ASKED = "visit_asked", _("Somebody asks to visit")
    VISIT_CAME = "visit_came", _("A visitor came")
    OWNER_ASKED = "owner_asked", _("Somebody asks to be registered")
    ANSWERED = "answered", _("Your request was answered")
    LEASE_ENDS = "lease_ends", _("A lease ends")
    KEY_LOST = "key_lost", _("A key was reported lost")
    TEST = "test", _("Test")


class Via(models.TextChoices):
    PUSH = "push", _("Phone notification")
    SMS = "sms", _("Text message")
    MAIL = "mail", _("Mail")


class Stand(models.TextChoices):
    WAITING = "waiting", _("On its way")
    SENT = "sent", _("Sent, not confirmed")
    REACHED = "reached", _("Reached")
    UNREACHED = "unreached", _("Not reached")
    WITHDRAWN = "withdrawn", _("Withdrawn")


OPEN = (Stand.WAITING, Stand.SENT)


class Delivery(models.Model):
    """One message to one resident, until it has reached them or no way is left."""

    id = IdField("dl")
    community = models.ForeignKey(Community, models.CASCADE, related_name="deliveries")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=80)
    """Names the fact that is told: told twice, it is one message."""
    kind = models.CharField(max_length=12, choices=Kind.choices)
    notice = models.ForeignKey(
        Notice, models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    title = models.CharField(max_length=120)
    text = ClosedTextField()
    link = models.CharField(max_length=120, blank=True)
    is_urgent = models.BooleanField(default=False)
    made_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    """After this nobody needs to hear of it any more."""

    stand = models.CharField(max_length=10, choices=Stand.choices, default=Stand.WAITING)
    via = models.CharField(max_length=5, choices=Via.choices, blank=True)
    """The way that is tried now, or reached them; empty: none was tried yet."""
    tries = models.PositiveSmallIntegerField(default=0)
    """On this way."""
    next_at = models.DateTimeField()
    """When the next step is due: a try, or the next way because nobody confirmed."""
    claim = models.CharField(max_length=16, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    receipt = models.CharField(max_length=24, unique=True)
    """What the device gives back to say that it has shown the message."""
    confirmed_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["holder", "key"], name="one_delivery_by_fact")
        ]
        indexes = [
            # What the worker claims: delivery.claim.
            models.Index(
                fields=["next_at"],
                condition=Q(stand__in=["waiting", "sent"]),
                name="delivery_due",
            ),
            models.Index(fields=["holder", "-made_at"], name="delivery_by_holder"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.stand}"


class Came(models.TextChoices):
    BEGUN = "begun", _("Begun")
    TAKEN = "taken", _("Taken")
    REFUSED = "refused", _("Not taken")
    UNKNOWN = "unknown", _("Perhaps taken")


class Attempt(models.Model):
    """One hand-over to a channel. It is written before the message leaves, and judged after."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts")
    via = models.CharField(max_length=5, choices=Via.choices)
    device = models.ForeignKey(PushDevice, models.SET_NULL, null=True, blank=True, related_name="+")
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    came = models.CharField(max_length=8, choices=Came.choices, default=Came.BEGUN)
    reference = models.CharField(max_length=80, blank=True)
    fault = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            # At most one text message for a fact: one that has begun, was taken, or may have been
            # taken bars every other, whichever process asks.
            models.UniqueConstraint(
                fields=["delivery"],
                condition=Q(via="sms") & ~Q(came="refused"),
                name="one_sms_by_delivery",
            )
        ]
        indexes = [models.Index(fields=["delivery", "via"], name="attempt_by_delivery")]

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.via} {self.came}"
