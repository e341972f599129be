"""Work that takes longer than a page may, and the index that the search reads."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from anlin.hub.ids import IdField
from anlin.hub.people.models import Community, Holder, StaffProfile
from anlin.hub.vault import ClosedTextField


class JobKind(models.TextChoices):
    IMPORT = "import", _("Taking over a list")
    EXPORT = "export", _("Giving out a list")
    BULK = "bulk", _("Acting on many")


class JobState(models.TextChoices):
    CHECKING = "checking", _("Being checked")
    CHECKED = "checked", _("Waits for your yes")
    REFUSED = "refused", _("Has faults, nothing is taken over")
    WORKING = "working", _("At work")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed, nothing is changed")
    INTERRUPTED = "interrupted", _("Interrupted, nothing is changed")


AT_WORK = (JobState.CHECKING, JobState.WORKING)
"""States in which a worker must be alive; without one the job counts as interrupted."""


class Job(models.Model):
    """One piece of work that a worker process does while a page shows how far it is.

    All of it is taken over in one transaction, together with the state "done": what is shown as
    interrupted has changed nothing.
    """

    id = IdField("jb")
    community = models.ForeignKey(Community, models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=8, choices=JobKind.choices)
    staff = models.ForeignKey(StaffProfile, models.SET_NULL, null=True, related_name="jobs")
    """Who asked; the work is bound to this person's scope."""
    by = models.CharField(max_length=150)
    state = models.CharField(max_length=12, choices=JobState.choices)
    attempt = models.PositiveSmallIntegerField(default=1)
    """A worker of an older attempt that is still alive finds that it may not write any more."""
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    step = models.CharField(max_length=12, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    file_name = models.CharField(max_length=120, blank=True)
    file_hash = models.CharField(max_length=64, blank=True)
    """SHA-256 of what was posted: the same file again is the same job."""
    given = models.BinaryField(null=True, blank=True)
    """The file that was posted, closed; gone once it is taken over, or after `jobs.KEPT`."""
    made = models.BinaryField(null=True, blank=True)
    """The file that was made, closed; gone after `jobs.KEPT`."""
    params = models.JSONField(default=dict, blank=True)
    counts = models.JSONField(default=dict, blank=True)
    findings = ClosedTextField(blank=True, default="")
    """Bad rows and changes as JSON; they hold names and numbers, so they stand closed."""

    NOT_AUDITED = frozenset({"given", "made", "findings", "step", "done", "total", "params"})

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["community", "kind", "file_hash"],
                condition=~Q(file_hash=""),
                name="one_job_by_file",
            )
        ]
        indexes = [models.Index(fields=["community", "-asked_at"], name="job_by_age")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class TermKind(models.TextChoices):
    NAME = "name", _("Name")
    ROOM = "room", _("Home")
    PLATE = "plate", _("Number plate")
    CARD = "card", _("Card")


class SearchTerm(models.Model):
    """One thing by which a person is found: a piece of a name, a home, a plate, a card."""

    community = models.ForeignKey(Community, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=5, choices=TermKind.choices)
    term = models.CharField(max_length=40)
    rank = models.PositiveSmallIntegerField(default=0)
    """0 where the term stands at the beginning: shown first."""
    holder = models.ForeignKey(Holder, models.CASCADE, related_name="search_terms")

    class Meta:
        indexes = [
            # Holds every column of the query, so that the table itself is never read.
            models.Index(
                fields=["community", "term", "kind", "rank", "holder"], name="search_by_term"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.holder_id}"


class IndexState(models.Model):
    """How far the index has read the change log; one row."""

    position = models.PositiveBigIntegerField(default=0)
    """The newest line of the change log that is in the index."""
    gaps = models.JSONField(default=dict, blank=True)
    """Numbers below it that were not visible yet, with when that was noticed (seconds)."""
    built_to = models.CharField(max_length=24, blank=True)
    """While the whole is built: the last holder that is in; "" before, "~" when complete."""

    def __str__(self) -> str:
        return f"{self.position}"
