"""A journal read for proof: its chain, its decisions, and the policies they fell on.

Everything here opens files for reading only, so it may look at a journal that an edge is
writing at this moment, or at a copy on another desk.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from anlin.core import replay
from anlin.core.codec import DataError, from_data
from anlin.core.event import GENESIS, Event, EventKind, is_intact
from anlin.core.policy import Change, Delta, Policy, PolicyError
from anlin.edge.journal import Place

REPLICA = "replica.sqlite3"
"""Lies beside a node's journal."""


_BEFORE = """
    SELECT seq, boot, at, kind, subject, data, revision, hash FROM event
    WHERE seq < ? AND kind IN (SELECT value FROM json_each(?)) AND (subject = ? OR kind = ?)
    ORDER BY seq DESC
"""
_AFTER = _BEFORE.replace("seq < ?", "seq > ?").replace("DESC", "ASC")


class RecordsError(OSError):
    """A file that can't be read as what it should be; names it and the rule."""


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the chain does not hold."""

    seq: int
    rule: str


@dataclass(frozen=True, slots=True)
class Different:
    """A decision that falls differently, or can't be made again, and why."""

    event: Event
    rule: str
    is_defect: bool


class Records:
    """One node's journal and the policy changes beside it."""

    def __init__(self, journal: Path, replica: Path | None = None, node: str = "") -> None:
        """Open a journal, and the replica beside it where there is one.

        Raises:
            RecordsError: no such file, not a journal, or the node's name is not to be found.
        """
        self.path = journal
        self._db = _open(journal)
        beside = replica or journal.with_name(REPLICA)
        self.has_policy = beside.exists()
        if replica is not None and not self.has_policy:
            raise RecordsError(f"{replica}: there is no such file")
        self._replica = _open(beside) if self.has_policy else None
        try:
            base = self._fact("base") or f"0/{GENESIS}"
            seq, _, digest = base.partition("/")
            self._base = (int(seq), digest)
            self.count = int(self._db.execute("SELECT count(*) FROM event").fetchone()[0])
        except (sqlite3.DatabaseError, ValueError) as error:
            raise RecordsError(f"{journal}: is no journal of an edge: {error}") from error
        self.node = node or self._fact("node") or _node_beside(journal)
        self._policy = Policy()

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        if self._replica is not None:
            self._replica.close()

    def events(self, after: int = 0) -> Iterator[Event]:
        """Give the events in order, from the one after a seq."""
        previous = self._hash_of(after)
        rows = self._db.execute(
            "SELECT seq, boot, at, kind, subject, data, revision, hash FROM event"
            " WHERE seq > ? ORDER BY seq",
            (after,),
        )
        for row in rows:
            event = self._event(row, previous)
            previous = event.hash
            yield event

    def event(self, seq: int) -> Event:
        """Give one event.

        Raises:
            RecordsError: the journal has none of that number.
        """
        for event in self.events(seq - 1):
            if event.seq == seq:
                return event
            break
        raise RecordsError(f"{self.path}: has no event {seq}")

    def near(
        self, event: Event, kinds: Collection[EventKind], *, is_before: bool
    ) -> Iterator[Event]:
        """Give the events of some kinds with an event's subject, from the nearest on.

        A start of the node is its own subject, and belongs to whatever comes after it.
        """
        wanted = json.dumps([kind.value for kind in kinds])
        rows = self._db.execute(
            _BEFORE if is_before else _AFTER,
            (event.seq, wanted, event.subject, EventKind.NODE_STARTED.value),
        )
        for row in rows:
            yield self._event(row, "")

    def breaks(self) -> Iterator[Break | Event]:
        """Walk the whole chain: each event that holds, and each place where it does not.

        Raises:
            RecordsError: a page of the file is broken; says after which event.
        """
        expected, previous = self._base[0] + 1, self._base[1]
        rows = self._db.execute(
            "SELECT seq, boot, at, kind, subject, data, revision, hash FROM event ORDER BY seq"
        )
        try:
            for row in rows:
                seq = int(row[0])
                if seq != expected:
                    yield Break(seq, f"follows {expected - 1}: events are missing")
                try:
                    event = self._event(row, previous)
                    held = is_intact(event)
                except (ValueError, TypeError, RecordsError):
                    held = False
                if held:
                    yield event
                else:
                    rule = "its hash does not cover its content and the event before it"
                    yield Break(seq, rule)
                expected, previous = seq + 1, str(row[7])
        except sqlite3.DatabaseError as error:
            raise RecordsError(f"{self.path}: after event {expected - 1}: {error}") from error
        yield from self._cut_off(expected - 1)

    def differences(self) -> Iterator[Different | Event]:
        """Decide every recorded decision again: each that agrees, and each that does not."""
        for event in self.events():
            if not replay.is_decision(event):
                continue
            try:
                policy = self.policy_at(event.revision)
                fault = replay.fault(event, policy)
            except (replay.NoDecision, RecordsError) as error:
                yield Different(event, str(error), is_defect=False)
                continue
            yield Different(event, fault, is_defect=True) if fault else event

    def again(self, event: Event) -> replay.Again:
        """Decide one event again and say what each check saw.

        Raises:
            replay.NoDecision: it records none.
            RecordsError: the policy of its revision is not here.
        """
        return replay.again(event, self.policy_at(event.revision))

    def policy_at(self, revision: int) -> Policy:
        """Give the policy as of a revision; quick where revisions are asked for in order.

        Raises:
            RecordsError: no replica is here, or it does not reach back so far.
        """
        if self._replica is None:
            raise RecordsError(f"{self.path}: no {REPLICA} lies beside it")
        if revision == self._policy.revision:
            return self._policy
        first = self._replica.execute("SELECT min(upto) FROM delta").fetchone()[0]
        if revision and (first is None or revision < int(first)):
            raise RecordsError(
                f"the policy of revision {revision} is gone: this replica begins at {first}"
            )
        if revision < self._policy.revision:
            self._policy = Policy()
        after = self._policy.revision
        rows = self._replica.execute(
            "SELECT revision, kind, id, data FROM change WHERE revision > ? AND revision <= ?"
            " ORDER BY revision",
            (after, revision),
        )
        changes = tuple(
            Change(number, kind, id_, None if data is None else json.loads(data))
            for number, kind, id_, data in rows
        )
        try:
            self._policy.apply(Delta(after, revision, changes))
        except PolicyError as error:
            raise RecordsError(f"the policy of revision {revision}: {error}") from error
        return self._policy

    def _cut_off(self, last: int) -> Iterator[Break]:
        """Compare with how far the journal is known to have come: a cut end breaks no chain."""
        place = self._known_place()
        if place is None:
            return
        if last < place.seq:
            yield Break(last + 1, f"ends at {last}, but it had reached {place.seq}")
        kept = self._hash_of(place.acked)
        if place.acked > self._base[0] and kept and kept != place.digest:
            yield Break(place.acked, "is not the event that the hub acknowledged")

    def _known_place(self) -> Place | None:
        if self._replica is None:
            return None
        row = self._replica.execute("SELECT value FROM fact WHERE name = 'journal'").fetchone()
        try:
            return None if row is None else from_data(Place, json.loads(row[0]))
        except (DataError, ValueError):
            return None

    def _event(self, row: tuple[object, ...], previous: str) -> Event:
        seq, boot, at, kind, subject, data, revision, digest = row
        try:
            return Event(
                self.node,
                int(str(boot)),
                int(str(seq)),
                datetime.fromisoformat(str(at)),
                EventKind(str(kind)),
                str(subject),
                json.loads(str(data)),
                int(str(revision)),
                previous,
                str(digest),
            )
        except ValueError as error:
            raise RecordsError(f"{self.path}: event {seq}: {error}") from error

    def _hash_of(self, seq: int) -> str:
        if seq <= self._base[0]:
            return self._base[1]
        row = self._db.execute("SELECT hash FROM event WHERE seq = ?", (seq,)).fetchone()
        return "" if row is None else str(row[0])

    def _fact(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise RecordsError(f"{path}: there is no such file")
    # Not immutable: an edge may be writing. Read only: nothing here may change a proof.
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        with closing(db.execute("SELECT name FROM sqlite_master")) as names:
            names.fetchall()
    except sqlite3.DatabaseError as error:
        db.close()
        raise RecordsError(f"{path}: {error}") from error
    return db


def _node_beside(journal: Path) -> str:
    try:
        return str(json.loads(journal.with_name("node.json").read_text())["node"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RecordsError(
            f"{journal}: does not say whose it is, and no node.json lies beside it; "
            "give --node, which the hub's page of edges shows"
        ) from None
