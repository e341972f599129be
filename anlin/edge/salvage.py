"""Opening a journal that a broken disk has damaged, without losing the node's place.

The damaged file is kept beside the new one under a name that says so. Events that can still be
read, follow on and are intact are carried over; the rest is told, never glossed over.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import structlog

from anlin.edge.journal import Journal, JournalDamaged

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of a damaged journal."""

    damaged: str
    carried_over: int
    rule: str


def open_journal(path: Path, node: str, base: tuple[int, str]) -> tuple[Journal, Salvaged | None]:
    """Open a journal; where it is damaged, set it aside and go on from what is left.

    `base` is (seq, hash) of the last event that the hub is known to hold: a fresh journal
    continues there, so that the hub sees no hole.
    """
    try:
        return Journal(path, node, base=base), None
    except JournalDamaged as error:
        rule = str(error)
    log.error("journal_damaged", path=str(path), rule=rule)
    number = 1
    while path.with_suffix(f".damaged-{number}").exists():
        number += 1
    damaged = path.with_suffix(f".damaged-{number}")
    path.replace(damaged)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{damaged}{suffix}")
    journal = Journal(path, node, base=base)
    count = journal.carry_over(_rows(damaged, base[0]))
    return journal, Salvaged(damaged.name, count, rule)


def _rows(path: Path, after: int) -> list[tuple[object, ...]]:
    """Read what can be read after a seq, up to the first row that can't."""
    rows: list[tuple[object, ...]] = []
    with contextlib.suppress(sqlite3.DatabaseError):
        connection = sqlite3.connect(path)
        try:
            rows.extend(
                connection.execute(
                    "SELECT seq, boot, at, kind, subject, data, revision, hash, origin FROM event"
                    " WHERE seq > ? ORDER BY seq",
                    (after,),
                )
            )
        finally:
            connection.close()
    return rows
