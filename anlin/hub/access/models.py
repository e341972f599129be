"""What opens, for whom, by what; and the policy compiled from it."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import (
    AntiPassback,
    ExitButton,
    Method,
    OnPowerLoss,
    Outsiders,
    PortalKind,
    Status,
)
from anlin.hub.devices.models import Node
from anlin.hub.ids import IdField
from anlin.hub.people.models import Building, Community, Holder, Unit


class Area(models.Model):
    """A space bounded by portals."""

    id = IdField("a")
    community = models.ForeignKey(Community, models.CASCADE, related_name="areas")
    name = models.CharField(max_length=60)
    anti_passback = models.CharField(max_length=6, default=AntiPassback.OFF.value)
    """A `core.entities.AntiPassback`."""
    anti_passback_s = models.FloatField(default=900.0)
    """How long entering twice is refused where it is timed."""
    capacity = models.PositiveIntegerField(default=0)
    """How many persons or cars may be inside; 0 is without limit."""

    def __str__(self) -> str:
        return self.name


class Parking(models.Model):
    """The community's own rule for the cars in an area."""

    area = models.OneToOneField(Area, models.CASCADE, related_name="parking", primary_key=True)
    outsiders = models.CharField(max_length=6, default=Outsiders.REFUSE.value)
    """A `core.entities.Outsiders`: what becomes of a car that nobody has registered."""
    residents_enter = models.BooleanField(default=True)
    stay_s = models.FloatField(null=True, blank=True)
    """How long any car may stay."""
    emergency_enters = models.BooleanField(default=True)
    """Fire, ambulance and police are let in by their plates."""

    def __str__(self) -> str:
        return self.area_id


class Household(models.Model):
    """How many cars of one home may be inside at once."""

    id = IdField("hh")
    unit = models.OneToOneField(Unit, models.CASCADE, related_name="household")
    cars = models.PositiveSmallIntegerField(null=True, blank=True)
    """None is any number."""

    def __str__(self) -> str:
        return f"{self.unit_id} {self.cars}"


class HolidayTable(models.Model):
    """Named dates that schedules may treat unlike the weekday on which they fall."""

    id = IdField("ht")
    community = models.ForeignKey(Community, models.CASCADE, related_name="holiday_tables")
    name = models.CharField(max_length=60)
    dates = models.JSONField(default=list)
    """List of ISO dates, in order."""

    def __str__(self) -> str:
        return self.name


class Schedule(models.Model):
    """Weekly periods and special days, as `core.schedule` reads them."""

    id = IdField("s")
    community = models.ForeignKey(Community, models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=60)
    zone = models.CharField(max_length=64)
    weekly = models.JSONField(default=list, blank=True)
    """List of {"start_min", "end_min", "days"}."""
    special = models.JSONField(default=list, blank=True)
    """List of {"on": date, "periods": [...]}."""
    holidays = models.ForeignKey(
        HolidayTable, models.PROTECT, null=True, blank=True, related_name="schedules"
    )
    holiday_periods = models.JSONField(default=list, blank=True)
    """List of {"start_min", "end_min"} on the days of `holidays`; a special day of its own wins."""

    def __str__(self) -> str:
        return self.name


class Portal(models.Model):
    """The thing that opens, with its timers."""

    id = IdField("p")
    community = models.ForeignKey(Community, models.CASCADE, related_name="portals")
    node = models.ForeignKey(Node, models.SET_NULL, null=True, related_name="portals")
    """The edge that commands for this portal go to."""
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=12, default=PortalKind.DOOR.value)
    grant_s = models.FloatField(default=5.0)
    held_open_s = models.FloatField(default=30.0)
    prealarm_s = models.FloatField(default=10.0)
    debounce_s = models.FloatField(default=0.1)
    on_power_loss = models.CharField(max_length=12, default=OnPowerLoss.FAIL_SAFE.value)
    is_escape_route = models.BooleanField(default=True)
    schedule = models.ForeignKey(Schedule, models.PROTECT, null=True, blank=True)
    """Unlocks the portal while active."""
    building = models.ForeignKey(
        Building, models.SET_NULL, null=True, blank=True, related_name="portals"
    )
    """The building that it leads into; none where it is the whole community's."""
    entry_s = models.FloatField(default=0.0)
    extended_grant_s = models.FloatField(default=15.0)
    extended_held_open_s = models.FloatField(default=60.0)
    relock_on_open_s = models.FloatField(null=True, blank=True)
    """Locks so long after it was opened; None locks when it closes."""
    exit_button = models.CharField(max_length=8, default=ExitButton.RELEASE.value)
    """A `core.entities.ExitButton`."""
    exit_ignore_s = models.FloatField(default=0.0)
    has_mechanical_exit = models.BooleanField(default=False)
    needs_first_person = models.BooleanField(default=False)
    interlock = models.CharField(max_length=24, blank=True)
    """Of the portals with one name here only one is open at a time; empty: free."""

    def __str__(self) -> str:
        return self.name


class PortalStatus(models.Model):
    """What the newest events say of a portal; folded from the log, never typed."""

    portal = models.OneToOneField(Portal, models.CASCADE, related_name="status", primary_key=True)
    state = models.CharField(max_length=16, blank=True)
    """A `core.portal.PortalState`; empty while nothing is known."""
    contact = models.CharField(max_length=10, blank=True)
    is_held = models.BooleanField(default=False)
    is_forced = models.BooleanField(default=False)
    is_lockdown = models.BooleanField(default=False)
    is_fire = models.BooleanField(default=False)
    is_fault = models.BooleanField(default=False)
    unlocked_by = models.CharField(max_length=20, blank=True)
    """The cause that holds it unlocked (`core.hold.Cause`), if any."""
    since = models.DateTimeField(null=True, blank=True)
    position = models.PositiveBigIntegerField(default=0)
    """Of the newest event folded in."""

    def __str__(self) -> str:
        return f"{self.portal_id} {self.state}"


class AccessPoint(models.Model):
    """One portal in one direction: what it accepts and how sure it must be."""

    id = IdField("ap")
    portal = models.ForeignKey(Portal, models.CASCADE, related_name="points")
    name = models.CharField(max_length=60)
    direction = models.CharField(max_length=6)
    """A `core.entities.Direction`."""
    methods = models.JSONField(default=list)
    """List of `core.entities.Method`."""
    level = models.PositiveSmallIntegerField(default=1)
    is_enabled = models.BooleanField(default=True)
    area_from = models.ForeignKey(Area, models.PROTECT, null=True, blank=True, related_name="+")
    area_to = models.ForeignKey(Area, models.PROTECT, null=True, blank=True, related_name="+")
    raised = models.JSONField(default=list, blank=True)
    """List of {"schedule": id, "level": number}: a higher level while a schedule holds."""
    persons = models.PositiveSmallIntegerField(default=1)
    """How many different people must present themselves."""

    def __str__(self) -> str:
        return self.name


class AccessRule(models.Model):
    """Groups x access points x schedule; no schedule means at all times."""

    id = IdField("ru")
    community = models.ForeignKey(Community, models.CASCADE, related_name="rules")
    name = models.CharField(max_length=60)
    groups = models.JSONField(default=list)
    """Groups: "community:<id>", "building:<id>", "staff", "visitors"."""
    points = models.ManyToManyField(AccessPoint, related_name="rules")
    schedule = models.ForeignKey(Schedule, models.PROTECT, null=True, blank=True)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Credential(models.Model):
    """What is presented. For a face, `key` is the credential's own id."""

    id = IdField("cr")
    community = models.ForeignKey(Community, models.CASCADE, related_name="credentials")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="credentials")
    method = models.CharField(max_length=16)
    """A `core.entities.Method`."""
    key = models.CharField(max_length=64)
    status = models.CharField(max_length=12, default=Status.ACTIVE.value)
    """A `core.entities.Status`; revoked is for ever."""
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    @property
    def NOT_AUDITED(self) -> frozenset[str]:
        """Keep even the digest of a PIN out of the change log."""
        return frozenset({"key"} if self.method == Method.PIN else ())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["community", "method", "key"],
                condition=~Q(status=Status.REVOKED.value),
                name="one_credential_by_key",
            )
        ]
        indexes = [models.Index(fields=["community", "key"], name="credential_by_key")]

    def __str__(self) -> str:
        return f"{self.method} {self.id}"


class FaceTemplate(models.Model):
    """A face, sealed to one node: the hub keeps it and can't read it."""

    credential = models.ForeignKey(Credential, models.CASCADE, related_name="templates")
    node = models.ForeignKey(Node, models.CASCADE, related_name="templates")
    model = models.CharField(max_length=60)
    sealed = models.TextField()

    NOT_AUDITED = frozenset({"sealed"})

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["credential", "node"], name="one_template_by_node")
        ]

    def __str__(self) -> str:
        return f"{self.credential_id} {self.node_id}"


class Photo(models.Model):
    """The photograph that a face was enrolled from, closed; only with consent to keep it."""

    credential = models.OneToOneField(
        Credential, models.CASCADE, related_name="photo", primary_key=True
    )
    closed = models.BinaryField()

    NOT_AUDITED = frozenset({"closed"})

    def __str__(self) -> str:
        return self.credential_id

    @property
    def mark(self) -> str:
        """What tells this photograph from another; it says nothing of what is in it."""
        return hashlib.sha256(bytes(self.closed)).hexdigest()[:16]


class NodeKey(models.Model):
    """A secret of the community, sealed to one node: the hub's copy of what the node got."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="sealed_keys")
    use = models.CharField(max_length=24)
    """What it is for; also its id at the node."""
    sealed = models.TextField()

    NOT_AUDITED = frozenset({"sealed"})

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "use"], name="one_key_by_use")]

    def __str__(self) -> str:
        return f"{self.node_id} {self.use}"


class VisitorPass(models.Model):
    """A signed QR pass: where, when, how often. Its text is not kept, only shown."""

    id = IdField("v")
    community = models.ForeignKey(Community, models.CASCADE, related_name="passes")
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="passes")
    label = models.CharField(max_length=60)
    points = models.JSONField(default=list)
    """Ids of access points; empty admits wherever the rules do."""
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    uses = models.PositiveSmallIntegerField(default=1)
    """0 is without limit."""
    used = models.PositiveIntegerField(default=0)
    """Grants that the log shows, at all nodes together."""
    used_by_node = models.JSONField(default=dict, blank=True)
    """The same by node; edges are told, so that a pass is not used up at each of them."""
    rotates = models.BooleanField(default=False)
    """Shown on the visitor's own page with a code that changes; a picture of it opens nothing."""
    issued_by = models.CharField(max_length=150)
    issued_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.label} {self.id}"


class WatchState(models.TextChoices):
    PROPOSED = "proposed", _("Proposed")
    ACTIVE = "active", _("In force")
    ENDED = "ended", _("Ended")


class WatchEntry(models.Model):
    """A credential that somebody with a legal basis waits for; it opens and refuses nothing.

    In force only once a second person has approved it. Property staff never see it.
    """

    id = IdField("we")
    community = models.ForeignKey(Community, models.CASCADE, related_name="watch_entries")
    credential = models.ForeignKey(
        Credential, models.SET_NULL, null=True, blank=True, related_name="watch_entries"
    )
    """Whose key it is, where it is one of ours."""
    method = models.CharField(max_length=16)
    key = models.CharField(max_length=64)
    label = models.CharField(max_length=60)
    source = models.CharField(max_length=100)
    """Who asked, with the number of the letter."""
    legal_basis = models.CharField(max_length=200)
    roles = models.JSONField(default=list)
    """Beside the police liaison, which roles may know."""
    valid_until = models.DateTimeField()
    state = models.CharField(max_length=10, choices=WatchState.choices, default=WatchState.PROPOSED)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="watch_proposed"
    )
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="watch_approved"
    )
    approved_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=200, blank=True)

    NOT_AUDITED = frozenset(
        {"key", "label", "source", "legal_basis", "credential_id", "end_reason"}
    )
    LONGEST = timedelta(days=365)

    class Meta:
        constraints = [
            # Two persons, whoever writes to the table.
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("proposed_by")),
                name="approved_by_another",
            )
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class Verdict(models.TextChoices):
    RIGHT = "right", _("It was the one sought")
    WRONG = "wrong", _("It was somebody else")
    UNKNOWN = "unknown", _("Can't be told")


class WatchFeedback(models.Model):
    """What came of one hit, by a named person."""

    entry = models.ForeignKey(WatchEntry, models.CASCADE, related_name="feedback")
    position = models.PositiveBigIntegerField()
    """Of the hit in the event log."""
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    note = models.CharField(max_length=200, blank=True)
    by = models.CharField(max_length=150)
    at = models.DateTimeField()

    NOT_AUDITED = frozenset({"note"})

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entry", "position"], name="one_feedback_by_hit")
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} {self.verdict}"


class PolicyChange(models.Model):
    """One compiled entity from one revision until it was replaced; never edited but for that.

    The policy at revision R is every row with revision <= R that was not replaced by then, so
    a decision can be replayed against the policy it was made by.
    """

    community = models.ForeignKey(Community, models.CASCADE, related_name="policy_changes")
    revision = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=16)
    entity = models.CharField(max_length=24)
    node = models.CharField(max_length=24, blank=True)
    """The one node that it is for; empty is for all."""
    data = models.JSONField(null=True)
    """None is a tombstone."""
    at = models.DateTimeField()
    replaced_by = models.PositiveBigIntegerField(null=True)
    """The revision that replaced it."""

    class Meta:
        constraints = [
            # Also what delta_for reads by.
            models.UniqueConstraint(
                fields=["community", "revision"], name="one_change_by_revision"
            ),
            # Finds the current row of an entity; also what makes two of them impossible.
            models.UniqueConstraint(
                fields=["community", "kind", "entity", "node"],
                condition=Q(replaced_by=None),
                name="one_current_change",
            ),
            models.CheckConstraint(
                condition=Q(replaced_by=None) | Q(replaced_by__gt=F("revision")),
                name="replaced_after",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.revision} {self.kind} {self.entity}"
