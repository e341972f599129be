"""Letting go of what the event log says about people, and of the log itself, when its time is over.

Two steps (ADR 12). `forget` takes out of an event what it says about a person; the row stays in
its place with its number and hashes, so that positions, folds and the (node, seq) rule go on as if
nothing had happened. `trim` deletes whole rows from the beginning of a node's log, and writes down
in the same transaction from where the log is kept and which hash it is tied to there.

Both work in small batches, each in a transaction of its own: no writer waits for longer than one
batch takes, and whoever is cut off goes on where he stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from anlin.core.event import EventKind, is_intact
from anlin.hub.databases import EVENTS
from anlin.hub.devices.models import Folded
from anlin.hub.events.models import Event, NodeLog, Picture, Quarantine
from anlin.hub.events.pictures import path_of
from anlin.hub.explain.services import _core as core_event
from anlin.hub.people.models import Community
from anlin.hub.privacy.models import LatePicture, Request, Run

BATCH_EVENTS = 400
"""Rows written in one transaction: some 20 ms, far below the 10 s that a writer waits."""

SCAN_EVENTS = 5000
"""Rows read at a time."""

MARK = "forgotten"
"""In the data of an event: the run of the retention job, or the request, that took a person out."""

HARMLESS = frozenset(
    {
        "area",
        "decided_by",
        "exit",
        "kind",
        "latency_ms",
        "level",
        "method",
        "offline",
        "passed",
        "point",
        "portal",
        "reason",
        "state",
        MARK,
    }
)
"""What a decision may keep without saying whose it was: where, how, and with which outcome."""

PERSONAL = frozenset(
    {
        "bike",
        "by",
        "companion",
        "credential",
        "holder",
        "household",
        "label",
        "leave",
        "owner",
        "pass",
        "picture",
        "plate",
        "subject",
        "value",
    }
)
"""What tells an event that is about a person, or was caused by one."""

LAST_WORDS = frozenset(
    kind.value
    for kind in (
        EventKind.TABLE_HELD,
        EventKind.TABLE_BEHIND,
        EventKind.TABLE_REFUSED,
        EventKind.ARM_OFF,
        EventKind.ARM_STUCK,
        EventKind.ARM_RAISED,
        EventKind.ARM_RESTORED,
        EventKind.FIRE_RELEASED,
        EventKind.FIRE_CLEARED,
        EventKind.FIRE_RESTORED,
    )
)
"""Of these the newest of each subject stays for as long as it is the newest, however old: what
stands now is folded from it (`state.fold.rebuild`)."""


def data_of(event: Event) -> dict[str, Any]:
    return event.data if isinstance(event.data, dict) else {}


def is_forgotten(event: Event) -> bool:
    """Say whether a person was taken out of an event."""
    return MARK in data_of(event)


def is_personal(event: Event) -> bool:
    """Say whether an event still says something about a person."""
    data = data_of(event)
    told = any(data.get(name) not in (None, "", [], {}) for name in PERSONAL)
    return told or event.subject.startswith(_PERSONS)


_PERSONS = ("h_", "plate:")
"""How the subject of an event begins that is a person or a car (`core.access.subject_of`)."""


def upto(position: int) -> int:
    """Give how far the log may be touched: what is not folded yet has to be read first."""
    folded = Folded.objects.filter(pk=1).values_list("position", flat=True).first() or 0
    return min(position, folded)


# Taking people out


def forget(events: Sequence[Event], mark: str) -> int:
    """Take everything about people out of these events, and drop their pictures; give how many.

    Events that were done before are passed over, so that doing it again changes nothing.
    """
    count = 0
    wanted = [event for event in events if is_personal(event)]
    for start in range(0, len(wanted), BATCH_EVENTS):
        batch = wanted[start : start + BATCH_EVENTS]
        # The pictures first: were this cut off between, the event would still name them.
        drop_pictures(batch)
        with transaction.atomic(using=EVENTS):
            for event in batch:
                kept = {name: value for name, value in data_of(event).items() if name in HARMLESS}
                event.data = {**kept, MARK: mark}
                if event.subject.startswith(_PERSONS):
                    event.subject = ""
            _write(batch)
        count += len(batch)
    return count


def prune(events: Sequence[Event], tokens: frozenset[str], mark: str) -> int:
    """Take one person out of events that are about somebody else, such as an escort."""
    changed = []
    for event in events:
        left = without(data_of(event), tokens)
        if left != event.data:
            event.data = {**left, MARK: mark}
            changed.append(event)
    for start in range(0, len(changed), BATCH_EVENTS):
        with transaction.atomic(using=EVENTS):
            _write(changed[start : start + BATCH_EVENTS])
    return len(changed)


def _write(events: Sequence[Event]) -> None:
    """Write the data and subject of events, by hand as they were added (`Event.append`)."""
    connection = connections[EVENTS]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {Event._meta.db_table} SET data = %s, subject = %s WHERE id = %s",  # noqa: S608  no outside text
            [(json.dumps(event.data), event.subject, event.pk) for event in events],
        )


def without(value: Any, tokens: frozenset[str]) -> Any:
    """Give JSON data without every entry that names one of the tokens."""
    if isinstance(value, dict):
        return {
            name: without(inner, tokens)
            for name, inner in value.items()
            if name not in tokens and not names(inner, tokens)
        }
    if isinstance(value, list):
        return [without(inner, tokens) for inner in value if not names(inner, tokens)]
    return value


def names(value: Any, tokens: frozenset[str]) -> bool:
    if isinstance(value, str):
        return value in tokens or any(
            value.endswith((f":{token}", f"({token})")) for token in tokens
        )
    if isinstance(value, dict):
        # One person's whole entry goes, not only the id within it.
        return any(isinstance(inner, str) and inner in tokens for inner in value.values())
    return False


def drop_pictures(events: Iterable[Event]) -> int:
    """Delete the pictures that events name; note those that have not come yet."""
    count = 0
    for event in events:
        name = data_of(event).get("picture")
        if isinstance(name, str) and name:
            count += drop_picture(event.community, name.removesuffix(".jpg"))
    return count


def drop_picture(community: str, sha256: str) -> int:
    """Delete one picture, its file first; give 1 where there was one."""
    try:
        path = path_of(sha256)
    except ValueError:
        return 0
    rows = Picture.objects.filter(sha256=sha256, community=community)
    if not rows.exists():
        _expect_late(community, sha256)
        return 0
    if not Picture.objects.filter(sha256=sha256).exclude(community=community).exists():
        with suppress(FileNotFoundError):
            path.unlink()
    rows.delete()
    return 1


def _expect_late(community: str, sha256: str) -> None:
    LatePicture.objects.get_or_create(
        sha256=sha256, defaults={"community_id": community, "noted_at": timezone.now()}
    )


# Letting go of the log's beginning


def trim(community: Community, position: int) -> Iterator[int]:
    """Delete every node's events up to a position, batch by batch; yield how many each time.

    The newest event of a node always stays: it is what the next one is tied to. So does the
    newest of `LAST_WORDS` about each subject.
    """
    position = upto(position)
    for node in community.nodes.order_by("pk").values_list("pk", flat=True):
        while (count := _trim_batch(node, position)) is not None:
            yield count


def _trim_batch(node: str, position: int) -> int | None:
    with transaction.atomic(using=EVENTS):
        log = NodeLog.objects.select_for_update().filter(pk=node).first()
        if log is None:
            return None
        rows = list(
            Event.objects.filter(
                node=node, seq__gte=log.kept_from, seq__lt=log.seq, pk__lte=position
            )
            .order_by("seq")
            .only("seq", "hash", "kind")[:BATCH_EVENTS]
        )
        if not rows:
            return None
        log.kept_from, log.kept_hash = rows[-1].seq + 1, rows[-1].hash
        log.save(update_fields=["kept_from", "kept_hash"])
        going = [row.pk for row in rows if row.kind not in LAST_WORDS]
        Event.objects.filter(pk__in=going).delete()
        # What was set aside means nothing below the beginning, and holds what a node said.
        Quarantine.objects.filter(node=node, seq__lt=log.kept_from).delete()
        return len(going) + _drop_superseded(node, log.kept_from)


def _drop_superseded(node: str, kept_from: int) -> int:
    """Delete last words below the beginning that are not the last any more."""
    words = Event.objects.filter(node=node, seq__lt=kept_from).order_by("-seq")
    seen: set[tuple[str, str]] = set()
    old = []
    for pk, kind, subject in words.values_list("pk", "kind", "subject"):
        is_later = (kind, subject) in seen
        if not is_later:
            is_later = Event.objects.filter(
                node=node, seq__gte=kept_from, kind=kind, subject=subject
            ).exists()
        if is_later:
            old.append(pk)
        seen.add((kind, subject))
    Event.objects.filter(pk__in=old).delete()
    return len(old)


# Proof


@dataclass(frozen=True, slots=True)
class Proof:
    """What a walk over one node's log has found."""

    node: str
    kept_from: int
    events: int = 0
    forgotten: int = 0
    last_words: int = 0
    faults: tuple[str, ...] = ()


_MOST_FAULTS = 20


def verify(node: str) -> Proof:
    """Walk the chain of hashes of one node from where its log is kept.

    An event that was not touched has to be covered by its own hash. One from which a person was
    taken out can't be; its mark has to name a run or request that is written down. Every event is
    tied to the one before, and the first to the hash that was noted when the log was trimmed.
    """
    log = NodeLog.objects.filter(pk=node).first() or NodeLog(node=node)
    faults: list[str] = []
    count = forgotten = words = 0
    marks: dict[str, bool] = {}
    previous, seq = log.kept_hash, log.kept_from - 1 if log.kept_from else 0
    aside = set(Quarantine.objects.filter(node=node).values_list("seq", flat=True))
    for event in Event.objects.filter(node=node).order_by("seq").iterator(chunk_size=1000):
        count += 1
        if is_forgotten(event):
            forgotten += 1
            mark = str(data_of(event)[MARK])
            if mark not in marks:
                marks[mark] = _is_known(mark)
            if not marks[mark]:
                faults.append(f"seq {event.seq}: forgotten by {mark[:24]}, which nobody has noted")
        elif not is_intact(core_event(event)):
            faults.append(f"seq {event.seq}: its hash does not cover what it says")
        if event.seq < log.kept_from:
            words += 1
            continue
        gap = event.seq - seq - 1
        if gap > sum(seq < number < event.seq for number in aside if gap):
            faults.append(f"seq {seq + 1} to {event.seq - 1}: one or more are missing")
        elif event.seq == seq + 1 and previous and event.previous != previous:
            faults.append(f"seq {event.seq}: is not tied to the event before")
        previous, seq = event.hash, event.seq
        if len(faults) >= _MOST_FAULTS:
            break
    return Proof(node, log.kept_from, count, forgotten, words, tuple(faults))


def _is_known(mark: str) -> bool:
    if mark.startswith("dr_"):
        return Request.objects.filter(pk=mark).exists()
    return Run.objects.filter(pk=mark).exists()
