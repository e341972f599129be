"""Visits: who comes to which home, when, who agreed, when they came and went."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext_lazy as _

from anlin.core import visit as core
from anlin.hub.access.models import AccessPoint, VisitorPass
from anlin.hub.ids import IdField
from anlin.hub.people.models import Community, Holder, Unit
from anlin.hub.vault import ClosedTextField


class Kind(models.TextChoices):
    GUEST = core.Kind.GUEST.value, _("Guest")
    HELPER = core.Kind.HELPER.value, _("Helper or carer")
    COURIER = core.Kind.COURIER.value, _("Courier")
    CONTRACTOR = core.Kind.CONTRACTOR.value, _("Contractor")


class State(models.TextChoices):
    ASKED = core.State.ASKED.value, _("Waits for an answer")
    APPROVED = core.State.APPROVED.value, _("Agreed")
    EXPECTED = core.State.EXPECTED.value, _("Expected")
    INSIDE = core.State.INSIDE.value, _("Inside")
    OVERSTAYED = core.State.OVERSTAYED.value, _("Inside, time is up")
    DEPARTED = core.State.DEPARTED.value, _("Left")
    REFUSED = core.State.REFUSED.value, _("Refused")
    CANCELLED = core.State.CANCELLED.value, _("Called off")
    NO_SHOW = core.State.NO_SHOW.value, _("Did not come")
    ENDED = core.State.ENDED.value, _("Over")


class Answered(models.TextChoices):
    """By which way somebody at home agreed or refused."""

    NOT = "", _("Not answered")
    APPOINTED = "appointed", _("Invited by the home")
    PAGE = "page", _("On the residents' page")
    LINK = "link", _("By the link in a message")
    CALL = "call", _("By telephone, to the guard")
    OFFICE = "office", _("By the property office")


class Visit(models.Model):
    """One visit, or a helper's coming again and again, with every answer and time.

    What the visitor presents hangs on `holder` and `leave`; both end with the visit.
    """

    id = IdField("vi")
    community = models.ForeignKey(Community, models.CASCADE, related_name="visits")
    unit = models.ForeignKey(Unit, models.CASCADE, null=True, related_name="visits")
    """The home; none for who comes to the community itself."""
    host = models.ForeignKey(
        Holder, models.SET_NULL, null=True, blank=True, related_name="visits_hosted"
    )
    """Who is visited (被访人), as far as that is known."""
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.GUEST)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    why = models.CharField(max_length=16, blank=True)
    """A `core.visit.Why`."""
    said = models.CharField(max_length=200, blank=True)
    """A person's own words for it, where they gave any."""

    name = models.CharField(max_length=60, blank=True)
    phone = ClosedTextField(blank=True, default="")
    phone_index = models.CharField(max_length=64, blank=True, db_index=True)
    phone_tail = models.CharField(max_length=4, blank=True)
    plate = models.CharField(max_length=12, blank=True)
    """Canonical (`core.plate`)."""
    people = models.PositiveSmallIntegerField(default=1)
    reason = models.CharField(max_length=100, blank=True)
    company = models.CharField(max_length=60, blank=True)
    """Whom a courier, helper or contractor works for."""
    health = models.JSONField(null=True, blank=True)
    """What the visitor answered, where the community asks by its policy; deleted at the end."""

    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    days = models.JSONField(null=True, blank=True)
    """Weekdays of a helper, Monday is 0; none comes once."""
    start_min = models.PositiveSmallIntegerField(default=0)
    end_min = models.PositiveSmallIntegerField(default=0)
    uses = models.PositiveSmallIntegerField(default=0)
    points = models.JSONField(default=list, blank=True)
    """Ids of the only access points that open: one door, the parcel room. Empty is the way home."""
    needs_escort = models.BooleanField(default=False)

    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=150)
    is_walk_in = models.BooleanField(default=False)
    needs_office = models.BooleanField(default=False)
    """The property office has to agree too. Nobody else is told why."""
    host_agreed_at = models.DateTimeField(null=True, blank=True)
    """When the home said yes to what still waits for the office."""
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.CharField(max_length=150, blank=True)
    answered_how = models.CharField(max_length=10, choices=Answered.choices, blank=True)
    agreed_by = models.CharField(max_length=60, blank=True)
    """Who at home said so, where a guard called."""
    call = ClosedTextField(blank=True, default="")
    """The number that the guard called."""

    arrived_at = models.DateTimeField(null=True, blank=True)
    departed_at = models.DateTimeField(null=True, blank=True)
    arrivals = models.PositiveSmallIntegerField(default=0)
    over_at = models.DateTimeField(null=True, blank=True)
    """When everything that the visitor could present was taken back."""
    cleared_at = models.DateTimeField(null=True, blank=True)
    """When name, telephone and plate were deleted."""

    holder = models.ForeignKey(
        Holder, models.SET_NULL, null=True, blank=True, related_name="visits_made"
    )
    leave = models.ForeignKey(
        VisitorPass, models.SET_NULL, null=True, blank=True, related_name="visits"
    )
    token = ClosedTextField(blank=True, default="")
    """Of the visitor's own page; the address is shown to the host and the visitor only."""
    token_index = models.CharField(max_length=64, unique=True)
    answer_nonce = models.CharField(max_length=24, blank=True)
    """Names the one answer that the host's link may give; empty once it was given."""
    sent_id = models.CharField(max_length=64, blank=True)
    """Of the form that made it: a form posted twice makes one visit."""

    NOT_AUDITED = frozenset(
        {
            "phone",
            "phone_index",
            "phone_tail",
            "plate",
            "call",
            "token",
            "token_index",
            "answer_nonce",
            "sent_id",
            "health",
        }
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["community", "sent_id"],
                condition=~Q(sent_id=""),
                name="one_visit_by_form",
            )
        ]
        indexes = [
            models.Index(fields=["unit", "-starts_at"], name="visit_by_home"),
            # What the clock may change: services.tick.
            models.Index(fields=["state", "ends_at"], name="visit_by_state"),
            models.Index(fields=["community", "starts_at"], name="visit_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"

    @property
    def plan(self) -> core.Plan:
        """Give what was agreed to, as the core sees it."""
        hours = None
        if self.days:
            hours = core.Hours(tuple(self.days), self.start_min, self.end_min, self.community.zone)
        return core.Plan(
            core.Kind(self.kind),
            self.starts_at,
            self.ends_at,
            hours,
            self.people,
            self.uses,
            self.needs_escort,
        )

    @property
    def as_core(self) -> core.Visit:
        """Give the visit as the core sees it."""
        return core.Visit(
            self.plan,
            core.State(self.state),
            core.Why(self.why) if self.why else None,
            self.arrived_at,
            self.departed_at,
            self.arrivals,
        )

    @property
    def weekdays(self) -> list[str]:
        """Name the weekdays of a helper, in the language of the page."""
        return [str(WEEKDAYS_ABBR[day]) for day in self.days or ()]

    @property
    def hours_text(self) -> str:
        """Give a helper's hours as people write them."""
        start, end = divmod(self.start_min, 60), divmod(self.end_min, 60)
        return f"{start[0]:02}:{start[1]:02} – {end[0]:02}:{end[1]:02}"

    @property
    def is_one_day(self) -> bool:
        """Whether it begins and ends on one day of the page's zone."""
        days = (timezone.localtime(moment).date() for moment in (self.starts_at, self.ends_at))
        return len(set(days)) == 1

    @property
    def is_over(self) -> bool:
        """Whether nothing comes after this."""
        return core.State(self.state) in core.OVER

    @property
    def is_agreed(self) -> bool:
        """Whether the visitor is to be let in when the time comes."""
        return core.State(self.state) in core.AGREED

    @property
    def is_inside(self) -> bool:
        """Whether the visitor is here, as far as anybody knows."""
        return core.State(self.state) in core.PRESENT


class VisitWindow(models.Model):
    """When a holder who visits may come in; edges get these as terms of their membership."""

    holder = models.ForeignKey(Holder, models.CASCADE, related_name="visit_windows")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["holder", "starts_at"], name="one_window_by_start")
        ]

    def __str__(self) -> str:
        return f"{self.holder_id} {self.starts_at}"


class VisitRules(models.Model):
    """How a community receives its visitors."""

    community = models.OneToOneField(
        Community, models.CASCADE, related_name="visit_rules", primary_key=True
    )
    is_form_open = models.BooleanField(default=True)
    """Whether visitors may ask by the community's public page."""
    asks_health = models.BooleanField(default=False)
    """Whether temperature and symptoms are asked for; only where an authority orders it."""
    asks_phone = models.BooleanField(default=True)
    takes_faces = models.BooleanField(default=False)
    """Whether a visitor may add their own face for the time of the visit."""
    kept_days = models.PositiveSmallIntegerField(default=30)
    """How long the name, telephone and plate of a visit are kept after it."""
    parcel_points = models.ManyToManyField(AccessPoint, blank=True, related_name="+")
    """The way to the parcel room: what a courier's pass opens."""

    def __str__(self) -> str:
        return self.community_id


class Appeal(models.TextChoices):
    NONE = "", _("None")
    OPEN = "open", _("Waits for an answer")
    UPHELD = "upheld", _("Answered: the bar stays")
    GRANTED = "granted", _("Answered: the bar is lifted")


class Bar(models.Model):
    """Somebody who is let in only with the office's own yes, for a reason and a time.

    Residents are never told: they read that the office must approve.
    """

    id = IdField("ba")
    community = models.ForeignKey(Community, models.CASCADE, related_name="bars")
    name = models.CharField(max_length=60, blank=True)
    phone_index = models.CharField(max_length=64, blank=True, db_index=True)
    phone_tail = models.CharField(max_length=4, blank=True)
    plate = models.CharField(max_length=12, blank=True)
    unit = models.ForeignKey(Unit, models.SET_NULL, null=True, blank=True, related_name="bars")
    """The one home that the person may not come to; none bars from all."""
    reason = models.CharField(max_length=200)
    until = models.DateTimeField()
    barred_by = models.CharField(max_length=150)
    barred_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)
    appeal = models.CharField(max_length=8, choices=Appeal.choices, blank=True)
    appeal_text = models.CharField(max_length=500, blank=True)
    appealed_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=500, blank=True)
    answered_by = models.CharField(max_length=150, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    NOT_AUDITED = frozenset({"phone_index", "phone_tail", "plate", "reason", "appeal_text"})

    class Meta:
        indexes = [models.Index(fields=["community", "until"], name="bar_by_end")]

    def __str__(self) -> str:
        return f"{self.id}"


def in_force(at: datetime) -> Q:
    """Select bars that hold at a time."""
    return Q(ended_at=None, until__gt=at)


def open_visits() -> Any:
    """Select visits that are not over."""
    return Q(state__in=[state.value for state in core.State if state not in core.OVER])


class JobRun(models.Model):
    """When a periodic job of the hub ran last, and who runs it now."""

    name = models.CharField(max_length=60, primary_key=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    """Nobody else runs it before this; a runner that was killed loses it then."""
    fault = models.CharField(max_length=200, blank=True)
    """What its last run ended with, where it failed."""
    failures = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.name
