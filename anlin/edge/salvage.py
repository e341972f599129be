"""Opening files that a broken disk has damaged, without losing the node's place.

The damaged file is kept beside the new one under a name that says so. Events that can still be
read, follow on and are intact are carried over; the rest is told, never glossed over.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from anlin.edge.journal import Journal, JournalDamaged, Place
from anlin.edge.replica import Replica, ReplicaError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of a damaged journal; `damaged` names its file, empty where it is gone."""

    damaged: str
    carried_over: int
    rule: str


def open_journal(path: Path, node: str, place: Place) -> tuple[Journal, Salvaged | None]:
    """Open a journal; where it is damaged, set it aside and go on from what is left.

    `place` is where the journal was known to stand: a fresh one goes on after what the hub
    holds, so that the hub sees no hole.
    """
    mark = path.with_suffix(".broken")
    if place.seq and not (path.exists() and path.stat().st_size):
        mark.unlink(missing_ok=True)
        rule = f"journal {path}: it is gone, it reached seq {place.seq} before"
        log.error("journal_damaged", path=str(path), rule=rule)
        return Journal(path, node, place=place), Salvaged("", 0, rule)
    try:
        return Journal(path, node, place=place), None
    except JournalDamaged as error:
        rule = str(error)
    log.error("journal_damaged", path=str(path), rule=rule)
    damaged = _set_aside(path)
    mark.unlink(missing_ok=True)
    journal = Journal(path, node, place=place)
    count = journal.carry_over(_rows(damaged, place.acked))
    return journal, Salvaged(damaged.name, count, rule)


def open_replica(path: Path) -> tuple[Replica, str]:
    """Open the replica; where it is damaged, set it aside and begin anew from the hub.

    Gives what was wrong beside it, or "". Without a policy nothing opens but the way out.
    """
    try:
        return Replica(path), ""
    except ReplicaError as error:
        rule = str(error)
    log.error("replica_damaged", path=str(path), rule=rule)
    _set_aside(path)
    return Replica(path), rule


def _set_aside(path: Path) -> Path:
    number = 1
    while path.with_suffix(f".damaged-{number}").exists():
        number += 1
    damaged = path.with_suffix(f".damaged-{number}")
    path.replace(damaged)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{damaged}{suffix}")
    return damaged


def _rows(path: Path, after: int) -> Iterator[tuple[Any, ...]]:
    """Read what can be read after a seq, up to the first row that can't."""
    with (
        contextlib.closing(sqlite3.connect(path)) as connection,
        contextlib.suppress(sqlite3.DatabaseError),
    ):
        # One at a time: a cursor over them all reads ahead, and fails before the last good one.
        for seq in itertools.count(after + 1):
            row = connection.execute(
                "SELECT seq, boot, at, kind, subject, data, revision, hash, origin FROM event"
                " WHERE seq = ?",
                (seq,),
            ).fetchone()
            if row is None:
                return
            yield row
