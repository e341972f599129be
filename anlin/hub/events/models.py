"""The event log: every event of every node, each stored once, read by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections, models

from anlin.core.event import GENESIS
from anlin.hub.databases import EVENTS


class Event(models.Model):
    """One event as its node wrote it. `id` is its position: what every reader resumes from."""

    id = models.BigAutoField(primary_key=True)
    community = models.CharField(max_length=24)
    node = models.CharField(max_length=24)
    boot = models.PositiveBigIntegerField()
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    """The node's own time."""
    received_at = models.DateTimeField()
    kind = models.CharField(max_length=24)
    """A `core.event.EventKind`."""
    subject = models.CharField(max_length=64)
    data = models.JSONField()
    revision = models.PositiveBigIntegerField()
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "seq"], name="one_event_by_node_and_seq")
        ]
        indexes = [models.Index(fields=["community", "id"], name="event_by_community")]

    def __str__(self) -> str:
        return f"{self.id} {self.kind} {self.subject}"

    @classmethod
    def append(cls, events: Sequence[tuple[Any, ...]]) -> None:
        """Add events, each a tuple in the order of the fields without `id`, its data as JSON text.

        By hand, because `bulk_create` takes four times as long as the database itself.
        """
        connection = connections[EVENTS]
        fields = [field for field in cls._meta.concrete_fields if not field.primary_key]
        times = [isinstance(field, models.DateTimeField) for field in fields]
        adapt = connection.ops.adapt_datetimefield_value
        names = ", ".join(connection.ops.quote_name(field.attname) for field in fields)
        holes = ", ".join(["%s"] * len(fields))
        insert = f"INSERT INTO {cls._meta.db_table} ({names}) VALUES ({holes})"  # noqa: S608  no outside text
        with connection.cursor() as cursor:
            cursor.executemany(
                insert,
                [
                    [
                        adapt(value) if is_time else value
                        for value, is_time in zip(event, times, strict=True)
                    ]
                    for event in events
                ],
            )


class Quarantine(models.Model):
    """A record that a node sent and the log can't take, and the rule it breaks."""

    community = models.CharField(max_length=24)
    node = models.CharField(max_length=24)
    seq = models.PositiveBigIntegerField()
    rule = models.CharField(max_length=300)
    raw = models.TextField()
    digest = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["node", "seq", "digest"], name="one_quarantine_by_content"
            )
        ]

    def __str__(self) -> str:
        return f"{self.node} {self.seq} {self.rule}"


class NodeLog(models.Model):
    """How far the log holds one node's journal without a hole, and the hash it ends with."""

    node = models.CharField(max_length=24, primary_key=True)
    seq = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True, default=GENESIS)
    """Empty where the last record had none to read: the next one can't be tied to it."""
    kept_from = models.PositiveBigIntegerField(default=0)
    """What came before was let go when its time was over (`privacy.forget.trim`, ADR 12)."""
    kept_hash = models.CharField(max_length=64, blank=True, default=GENESIS)
    """The hash that the record at `kept_from` is tied to."""

    def __str__(self) -> str:
        return f"{self.node} {self.seq}"


class Picture(models.Model):
    """A picture on disk that a node sent; named by its SHA-256."""

    sha256 = models.CharField(max_length=64)
    community = models.CharField(max_length=24)
    node = models.CharField(max_length=24)
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sha256", "node"], name="one_picture_by_node")
        ]

    def __str__(self) -> str:
        return self.sha256
