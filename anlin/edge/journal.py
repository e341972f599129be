"""The journal: every event, durable and chained, and how far the hub has read.

One SQLite file of its own in WAL mode with synchronous=FULL, and one writer thread. While one
commit waits for the disk the next batch forms by itself, so there is no waiting window: one
event costs one fsync, a thousand cost little more. The outbox is a position in this table, not
a second copy.

A full disk must not turn into doors that open unrecorded. A ballast file is set aside at the
start; when the disk is full it is given up, which buys room for tens of thousands of events
while somebody is told. Only when that is gone too does an append fail.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from anlin.core.codec import to_data
from anlin.core.event import GENESIS, Draft, Event, EventKind, chain, is_intact

log = structlog.get_logger(__name__)

BALLAST_BYTES = 16 * 1024 * 1024
"""About 40,000 events of 400 bytes: a busy community's day on a full disk."""

MAX_COMMIT_EVENTS = 2000
"""A commit larger than this makes its first event wait longer than the batch saves."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL,
    revision INTEGER NOT NULL,
    hash TEXT NOT NULL,
    origin TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS event_origin ON event (origin) WHERE origin IS NOT NULL;
-- counts the uses of QR passes after a restart: Journal.pass_uses
CREATE INDEX IF NOT EXISTS event_pass ON event (json_extract(data, '$.pass'))
    WHERE kind = 'access_granted' AND json_extract(data, '$.pass') IS NOT NULL;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class JournalError(OSError):
    """An event could not be made durable; names the file and what SQLite said."""


class JournalDamaged(JournalError):
    """The file is no journal, or its chain is broken; says where."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a group of drafts: its events, or the seqs that stood there already."""

    events: tuple[Event, ...]
    was_known: bool = False
    known_seq: int = 0


_Job = tuple[Sequence[Draft], "Future[Appended]"]


class Journal:
    """An append-only journal of one node.

    A group of drafts is appended whole or not at all. Where the first draft's `origin` is known
    already, nothing is written: the device said the same thing twice.
    """

    def __init__(
        self,
        path: Path,
        node: str,
        *,
        base: tuple[int, str] = (0, GENESIS),
        max_pages: int | None = None,
        ballast: int = BALLAST_BYTES,
    ) -> None:
        """Open or create the journal and prove its tail.

        `base` is (seq, hash) of the event that a new journal follows. `max_pages` limits the
        file, as a small flash card would.

        Raises:
            JournalDamaged: not a journal, or the chain of the last events does not hold.
        """
        self.path = path
        self.node = node
        self.is_low = False
        self._ballast = path.with_suffix(".ballast")
        self._lock = threading.Lock()
        """Held while the writing connection is in use: by the writer, or to note a position."""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._writer = _connect(path)
            if max_pages is not None:
                self._writer.execute(f"PRAGMA max_page_count={int(max_pages)}")
            self._writer.executescript(_SCHEMA)
            self._reader = _connect(path)
            self._base = self._keep_base(base)
            self._seq, self._hash = self._prove_tail()
            self.boot = int(self._fact("boot", "0")) + 1
            self.acked = int(self._fact("acked", str(self._base[0])))
            self._set_fact("boot", str(self.boot))
        except sqlite3.DatabaseError as error:
            raise JournalDamaged(f"journal {path}: {error}") from error
        path.chmod(0o600)
        self._fill_ballast(ballast)
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    @property
    def seq(self) -> int:
        """The number of the last durable event; 0 in an empty journal."""
        return self._seq

    @property
    def head(self) -> str:
        """The hash of the last durable event."""
        return self._hash

    def submit(self, drafts: Sequence[Draft]) -> Future[Appended]:
        """Queue drafts to be written in order; the future is done when they are durable."""
        done: Future[Appended] = Future()
        self._jobs.put((drafts, done))
        return done

    async def append(self, *drafts: Draft) -> Appended:
        """Append drafts and wait until they are durable.

        Raises:
            JournalError: they are not durable, and nothing of them was kept.
        """
        return await asyncio.wrap_future(self.submit(drafts))

    def read(self, after: int, limit: int) -> list[Event]:
        """List events with seq > `after`, in order."""
        rows = self._reader.execute(
            "SELECT seq, boot, at, kind, subject, data, revision, hash FROM event"
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        ).fetchall()
        if not rows:
            return []
        previous = self._hash_of(rows[0][0] - 1)
        events = []
        for row in rows:
            event = self._event(row, previous)
            previous = event.hash
            events.append(event)
        return events

    def verify(self) -> Iterator[tuple[int, str]]:
        """Walk the whole chain and yield (seq, what is wrong) for each break."""
        previous, expected = self._base[1], self._base[0] + 1
        cursor = self._reader.execute(
            "SELECT seq, boot, at, kind, subject, data, revision, hash FROM event ORDER BY seq"
        )
        for row in cursor:
            if row[0] != expected:
                yield row[0], f"follows {expected - 1}: events are missing"
            event = self._event(row, previous)
            if not is_intact(event):
                yield event.seq, "its hash does not cover its content and the event before it"
            previous, expected = event.hash, row[0] + 1

    def acknowledge(self, seq: int) -> None:
        """Remember that the hub holds everything up to `seq`."""
        if not self.acked <= seq <= self._seq:
            raise ValueError(f"journal {self.path}: acknowledged {seq}, has {self._seq}")
        self.acked = seq
        # Not worth an fsync of its own: what is sent twice is taken once.
        with self._lock:
            self._set_fact("acked", str(seq))

    def pass_uses(self) -> dict[str, int]:
        """Count the grants of each QR pass in this journal."""
        rows = self._reader.execute(
            "SELECT json_extract(data, '$.pass') AS pass, count(*) FROM event"
            " WHERE kind = 'access_granted' AND json_extract(data, '$.pass') IS NOT NULL"
            " GROUP BY pass"
        )
        return {str(name): int(count) for name, count in rows}

    def find_origin(self, origin: str) -> Event | None:
        """Find the event that a device's message led to."""
        row = self._reader.execute(
            "SELECT seq, boot, at, kind, subject, data, revision, hash FROM event WHERE origin = ?",
            (origin,),
        ).fetchone()
        return None if row is None else self._event(row, self._hash_of(row[0] - 1))

    def last_at(self) -> datetime | None:
        """Give the time of the last event, or None in an empty journal."""
        row = self._reader.execute("SELECT at FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return None if row is None else datetime.fromisoformat(row[0])

    def hash_at(self, seq: int) -> str:
        """Give the hash of an event, or of the base that this journal follows."""
        return self._hash_of(seq)

    def carry_over(self, rows: Sequence[tuple[object, ...]]) -> int:
        """Take rows of a damaged journal as far as they follow on and are intact."""
        count = 0
        with self._lock:
            for row in rows:
                try:
                    event = self._event(row[:8], self._hash)  # type: ignore[arg-type]
                except (TypeError, ValueError):
                    break
                if event.seq != self._seq + 1 or not is_intact(event):
                    break
                self._writer.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?)", row)
                self._seq, self._hash = event.seq, event.hash
                count += 1
        return count

    def close(self) -> None:
        """Write what is queued, then close."""
        self._jobs.put(None)
        self._thread.join()
        self._writer.close()
        self._reader.close()

    # The writer thread

    def _write(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            jobs, count, stop = [job], len(job[0]), False
            while count < MAX_COMMIT_EVENTS:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    stop = True
                    break
                jobs.append(job)
                count += len(job[0])
            self._commit(jobs)
            if stop:
                return

    def _commit(self, jobs: Sequence[_Job]) -> None:
        for attempt in (1, 2):
            try:
                with self._lock:
                    results = self._commit_once(jobs)
            except sqlite3.Error as error:
                if attempt == 1 and _is_full(error) and self._give_up_ballast():
                    continue
                log.error("journal_refused", path=str(self.path), error=str(error))
                failure = JournalError(f"journal {self.path}: {error}")
                for _, done in jobs:
                    done.set_exception(failure)
                return
            for (_, done), result in zip(jobs, results, strict=True):
                done.set_result(result)
            return

    def _commit_once(self, jobs: Sequence[_Job]) -> list[Appended]:
        seq, previous = self._seq, self._hash
        results: list[Appended] = []
        rows: list[tuple[object, ...]] = []
        origins: dict[str, int] = {}
        for drafts, _ in jobs:
            origin = drafts[0].origin if drafts else None
            known = self._known(origin, origins) if origin is not None else None
            if known is not None:
                results.append(Appended((), was_known=True, known_seq=known))
                continue
            events = []
            for draft in drafts:
                seq += 1
                event = chain(draft, self.node, self.boot, seq, previous)
                previous = event.hash
                events.append(event)
                rows.append(_row(event, draft.origin))
                if draft.origin is not None:
                    origins[draft.origin] = seq
            results.append(Appended(tuple(events)))
        if rows:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                self._writer.executemany("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?)", rows)
        self._seq, self._hash = seq, previous
        return results

    def _known(self, origin: str, batch: Mapping[str, int]) -> int | None:
        if origin in batch:
            return batch[origin]
        row = self._writer.execute("SELECT seq FROM event WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else int(row[0])

    # Storage

    def _fill_ballast(self, size: int) -> None:
        """Set room aside; on a disk that is full already, say so and go on without."""
        try:
            if size and (not self._ballast.exists() or self._ballast.stat().st_size != size):
                with self._ballast.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            self.is_low = True
            log.error("journal_has_no_ballast", path=str(self._ballast), error=str(error))

    def _give_up_ballast(self) -> bool:
        self.is_low = True
        try:
            self._ballast.unlink()
        except FileNotFoundError:
            return False
        self._writer.execute("PRAGMA max_page_count=4294967294")
        log.error("journal_gives_up_ballast", path=str(self.path))
        return True

    def _prove_tail(self, length: int = 1000) -> tuple[int, str]:
        """Prove the chain of the last events; what a torn page breaks is at the end."""
        row = self._reader.execute("SELECT max(seq) FROM event").fetchone()
        last = int(row[0] or self._base[0])
        start = max(self._base[0], last - length)
        previous = self._hash_of(start)
        for event in self.read(start, length):
            if not is_intact(event):
                raise JournalDamaged(f"journal {self.path}: the chain breaks at seq {event.seq}")
            previous = event.hash
        return last, previous

    def _hash_of(self, seq: int) -> str:
        if seq <= self._base[0]:
            return self._base[1]
        row = self._reader.execute("SELECT hash FROM event WHERE seq = ?", (seq,)).fetchone()
        return "" if row is None else str(row[0])

    def _event(self, row: tuple[int, int, str, str, str, str, int, str], previous: str) -> Event:
        seq, boot, at, kind, subject, data, revision, digest = row
        return Event(
            self.node,
            boot,
            seq,
            datetime.fromisoformat(at),
            EventKind(kind),
            subject,
            json.loads(data),
            revision,
            previous,
            digest,
        )

    def _keep_base(self, base: tuple[int, str]) -> tuple[int, str]:
        known = self._fact("base", "")
        if known:
            seq, _, digest = known.partition("/")
            return int(seq), digest
        is_new = self._writer.execute("SELECT count(*) FROM event").fetchone()[0] == 0
        kept = base if is_new else (0, GENESIS)
        self._set_fact("base", f"{kept[0]}/{kept[1]}")
        return kept

    def _fact(self, name: str, default: str) -> str:
        row = self._writer.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def _set_fact(self, name: str, value: str) -> None:
        with self._writer:
            self._writer.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=2000")
    return connection


def _row(event: Event, origin: str | None) -> tuple[object, ...]:
    data = json.dumps(to_data(event.data), ensure_ascii=False, separators=(",", ":"))
    return (
        event.seq,
        event.boot,
        event.at.isoformat(),
        event.kind.value,
        event.subject,
        data,
        event.revision,
        event.hash,
        origin,
    )


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
