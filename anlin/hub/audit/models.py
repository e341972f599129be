"""Who changed what, and who looked at whom. Rows are only ever added."""

from __future__ import annotations

from django.db import models

from anlin.hub.people.models import Community


class Change(models.Model):
    """One write by a person: before and after, without secrets and without faces."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    community = models.ForeignKey(Community, models.CASCADE, related_name="+")
    who = models.CharField(max_length=150)
    via = models.CharField(max_length=10)
    """An `audit.log.Via`: page, api or command."""
    action = models.CharField(max_length=40)
    model = models.CharField(max_length=40)
    object_id = models.CharField(max_length=24, db_index=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    def __str__(self) -> str:
        return f"{self.who} {self.action} {self.object_id}"


class View(models.Model):
    """One look at a person, a picture or a list of them."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    community = models.ForeignKey(Community, models.CASCADE, related_name="+")
    who = models.CharField(max_length=150)
    what = models.CharField(max_length=40)
    object_id = models.CharField(max_length=80, db_index=True)
    purpose = models.CharField(max_length=100, blank=True)

    def __str__(self) -> str:
        return f"{self.who} {self.what} {self.object_id}"


class Rewriting(models.Model):
    """That lines were taken out or blanked as the law asks, by whom and why; itself it stays.

    The database lets a line of the logs be changed only while one of these is open, and one is
    open only inside the transaction that makes it (`audit.guard.rewriting`).
    """

    at = models.DateTimeField(auto_now_add=True)
    who = models.CharField(max_length=150)
    why = models.CharField(max_length=100)
    is_open = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"{self.who} {self.why}"
