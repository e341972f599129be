"""The way into the event log: each event of each node once, in order, without a hole.

A record that can't be taken is set aside with the rule that it breaks and passed over, so that
one bad record never blocks a node. What is missing is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from anlin.core.codec import DataError, from_data
from anlin.core.event import Event as CoreEvent
from anlin.core.event import is_intact
from anlin.core.sync import MAX_BATCH_EVENTS, Committed, Refusal
from anlin.hub.databases import EVENTS
from anlin.hub.devices.models import Node
from anlin.hub.events.models import Event, NodeLog, Quarantine

MAX_DATA_BYTES = 16 * 1024
"""Of one event's own data: a decision with all its checks takes 2 KiB."""

_RAW_CHARS = 16 * 1024
_RULE_CHARS = 300
_MAX_INTEGER = 2**63 - 1


class BatchError(ValueError):
    """A batch that is none; the text names the rule."""


class GapError(BatchError):
    """A batch that begins after what the log expects next."""

    def __init__(self, node: str, seq: int, expected: int) -> None:
        super().__init__(f"node {node}: seq {seq} leaves a gap, {expected} is expected")
        self.expected = expected


def commit(node: Node, records: Sequence[Any], at: datetime) -> Committed:
    """Take a batch of raw records into the log, in one transaction; durable on return.

    Raises:
        BatchError: too many records.
        GapError: records are missing before or within it; nothing was taken.
    """
    if len(records) > MAX_BATCH_EVENTS:
        raise BatchError(
            f"node {node.pk}: {len(records)} events in a batch, at most {MAX_BATCH_EVENTS}"
        )
    with transaction.atomic(using=EVENTS):
        # Everybody takes this one row first: positions become visible in their order, so that
        # a reader that went on to position n will never find anything new before it.
        NodeLog.objects.select_for_update().get_or_create(pk="")
        log, _ = NodeLog.objects.select_for_update().get_or_create(pk=node.pk)
        intake = _Intake(node, log, at)
        intake.take(records)
        Event.append(intake.events)
        Quarantine.objects.bulk_create(intake.aside, ignore_conflicts=True)
        log.save()
    refused = tuple(Refusal(row.seq, row.rule) for row in intake.aside)
    return Committed(log.seq, refused)


class _Intake:
    """One batch on its way into the log: what is new, and what is set aside."""

    def __init__(self, node: Node, log: NodeLog, at: datetime) -> None:
        self._node = node
        self._log = log
        self._at = at
        self.events: list[tuple[Any, ...]] = []
        self.aside: list[Quarantine] = []

    def take(self, records: Sequence[Any]) -> None:
        """Sort a batch into what is known, new or bad."""
        numbered: list[tuple[int, Any]] = []
        expected: int | None = None
        for raw in records:
            seq = _seq_of(raw, expected or self._log.seq + 1)
            if seq > (expected or self._log.seq + 1):
                raise GapError(self._node.pk, seq, expected or self._log.seq + 1)
            if expected is not None and seq < expected:
                raise BatchError(f"node {self._node.pk}: seq {seq} follows {expected - 1}")
            expected = seq + 1
            numbered.append((seq, raw))
        self._compare([item for item in numbered if item[0] <= self._log.seq])
        for seq, raw in numbered:
            if seq > self._log.seq:
                self._append(seq, raw)

    def _compare(self, known: Sequence[tuple[int, Any]]) -> None:
        """Pass over what was sent before; set aside what claims the same place otherwise.

        What was let go when its time was over is passed over too: it was here, and it must not
        come back by way of what is set aside.
        """
        known = [item for item in known if item[0] >= self._log.kept_from]
        if not known:
            return
        place = {"node": self._node.pk, "seq__gte": known[0][0], "seq__lte": known[-1][0]}
        stored = dict(Event.objects.filter(**place).values_list("seq", "hash"))
        digests = set(Quarantine.objects.filter(**place).values_list("seq", "digest"))
        for seq, raw in known:
            is_same = seq in stored and _hash_of(raw) == stored[seq]
            if not is_same and (seq, _digest(raw)) not in digests:
                self._set_aside(seq, raw, "differs from what the log holds in its place")

    def _append(self, seq: int, raw: Any) -> None:
        try:
            self.events.append(self._read(raw))
        except (ValueError, OverflowError, RecursionError) as error:
            # Beside DataError: half a surrogate pair, a year before 1, arrays in arrays in arrays.
            self._set_aside(seq, raw, str(error))
        # The next record is tied to this one whether or not this one could be taken.
        self._log.seq, self._log.hash = seq, _hash_of(raw)

    def _read(self, raw: Any) -> tuple[Any, ...]:
        """Read one event that follows what the log ends with, as `Event.append` takes it.

        Raises:
            DataError: it does not fit, is another node's, or the chain of hashes is broken.
        """
        event = from_data(CoreEvent, raw)
        if event.node != self._node.pk:
            raise DataError(f"Event.node: {event.node[:40]!r} is not the node that sent it")
        if not 0 <= event.boot <= _MAX_INTEGER or not 0 <= event.revision <= _MAX_INTEGER:
            raise DataError("Event: boot and revision are whole numbers of 63 bits")
        if len(event.subject) > 64:
            raise DataError(f"Event.subject: {len(event.subject)} characters, at most 64")
        text = json.dumps(event.data, allow_nan=False)
        if len(text) > MAX_DATA_BYTES:
            raise DataError(f"Event.data: more than {MAX_DATA_BYTES} bytes")
        if "\\u0000" in text or "\0" in event.subject:
            raise DataError("Event: holds a NUL character")
        if not is_intact(event):
            raise DataError("Event.hash: does not cover what the event says; it was altered")
        if self._log.hash and event.previous != self._log.hash:
            raise DataError("Event.previous: is not the hash of the event before; chain broken")
        return (
            self._node.community_id,
            event.node,
            event.boot,
            event.seq,
            event.at,
            self._at,
            event.kind.value,
            event.subject,
            text,
            event.revision,
            event.previous,
            event.hash,
        )

    def _set_aside(self, seq: int, raw: Any, rule: str) -> None:
        self.aside.append(
            Quarantine(
                community=self._node.community_id,
                node=self._node.pk,
                seq=seq,
                rule=f"seq {seq}: {rule}"[:_RULE_CHARS],
                raw=_text(raw)[:_RAW_CHARS],
                digest=_digest(raw),
                at=self._at,
            )
        )


def _seq_of(raw: Any, otherwise: int) -> int:
    """Give the number that a record claims; one that claims none stands where it stands."""
    seq = raw.get("seq") if isinstance(raw, dict) else None
    if isinstance(seq, int) and not isinstance(seq, bool) and 1 <= seq <= _MAX_INTEGER:
        return seq
    return otherwise


def _hash_of(raw: Any) -> str:
    """Give the hash that a record claims, or "" where there is none."""
    claimed = raw.get("hash") if isinstance(raw, dict) else None
    return claimed if isinstance(claimed, str) and len(claimed) == 64 else ""


def _text(raw: Any) -> str:
    try:
        return json.dumps(raw, sort_keys=True, ensure_ascii=True)
    except RecursionError:
        return "(nested too deeply to write down)"


def _digest(raw: Any) -> str:
    return hashlib.sha256(_text(raw).encode()).hexdigest()
