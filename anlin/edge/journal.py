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
import contextlib
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from anlin.core.codec import maker
from anlin.core.event import GENESIS, Draft, Event, EventKind, is_intact, place

log = structlog.get_logger(__name__)

BALLAST_BYTES = 16 * 1024 * 1024
"""About 29,000 events with the log before them: a busy community's days on a full disk."""

MAX_COMMIT_EVENTS = 2000
"""A commit larger than this makes its first event wait longer than the batch saves."""

_SELECT = "SELECT seq, boot, at, kind, subject, data, revision, hash FROM event"

_FAULTS = "kind IN ('tamper', 'tamper_cleared', 'device_fault', 'device_fault_cleared')"

_SCHEMA = f"""
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
-- what is tampered with or faulty goes on being so after a restart: Journal.faults
CREATE INDEX IF NOT EXISTS event_fault ON event (seq) WHERE {_FAULTS};
-- a question asked before a restart is not asked again: Journal.bike_questions
CREATE INDEX IF NOT EXISTS event_bike ON event (seq) WHERE kind = 'bike_question';
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a journal stands: what another one must know to go on in its stead.

    `acked` and `digest` are seq and hash of the last event that the hub holds, `seq` is the last
    of all, `boot` the life that wrote it.
    """

    acked: int = 0
    digest: str = GENESIS
    seq: int = 0
    boot: int = 0


NOWHERE = Place()

_Job = tuple[Sequence[Draft], "Future[Appended] | asyncio.Future[Appended]"]
_Settled = list[tuple["asyncio.Future[Appended]", "Appended | JournalError"]]
_Row = tuple[Any, ...]
_make_event = maker(Event)


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
        place: Place = NOWHERE,
        ballast: int = BALLAST_BYTES,
    ) -> None:
        """Open or create the journal and prove its tail.

        `place` is where this journal was known to stand; a new one follows what the hub holds.

        Raises:
            JournalDamaged: not a journal, found damaged before, shorter than it was, or the
                chain of the last events does not hold.
            JournalError: the file can't be used now; nothing is known to be wrong with it.
        """
        self.path = path
        self.node = node
        self.is_low = False
        self._ballast = path.with_suffix(".ballast")
        self._mark = path.with_suffix(".broken")
        self._ballast_bytes = ballast
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            try:
                self._open(place)
            except sqlite3.OperationalError as error:
                if not (_is_full(error) and self.make_room()):
                    raise
                self._open(place)
        except (sqlite3.DatabaseError, ValueError, TypeError, JournalDamaged) as error:
            # Closed now: closed later, they would take the file in this one's stead with them.
            self._writer.close()
            self._reader.close()
            # Beside what SQLite finds: a page of rubbish can still be rows, of no event.
            kind = JournalError if _kind(error) in _PASSING else JournalDamaged
            raise kind(f"journal {path}: {error}") from error
        path.chmod(0o600)
        self.is_low = not self._fill_ballast()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def _open(self, place: Place) -> None:
        for connection in (self._writer, self._reader):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA busy_timeout=2000")
        if self._mark.exists():
            raise JournalDamaged(self._mark.read_text())
        self._writer.executescript(_SCHEMA)
        base = self._fact("base", "")
        if not base:
            base = f"{place.acked}/{place.digest}"
            self._set_fact("base", base)
            self._set_fact("boot", str(place.boot))
            place = NOWHERE
        seq, _, digest = base.partition("/")
        self._base = (int(seq), digest)
        self._seq, self._hash = self._prove_tail()
        if self._seq < place.seq:
            raise JournalDamaged(f"ends at seq {self._seq}, it reached {place.seq} before")
        self.boot = int(self._fact("boot", "0")) + 1
        self.acked = self._kept_acked = int(self._fact("acked", seq))
        self._set_fact("boot", str(self.boot))
        self._set_fact("node", self.node)

    @property
    def place(self) -> Place:
        """Where this journal stands now."""
        return Place(self.acked, self._hash_of(self.acked), self._seq, self.boot)

    @property
    def is_damaged(self) -> bool:
        """Whether a broken page was met; the next start goes on with what is left."""
        return self._mark.exists()

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

    def enqueue(self, drafts: Sequence[Draft]) -> asyncio.Future[Appended]:
        """Queue drafts as `submit` does, for a caller on an event loop.

        The loop is woken once for each commit, not once for each of a thousand groups in it.
        """
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._jobs.put((drafts, done))
        return done

    async def append(self, *drafts: Draft) -> Appended:
        """Append drafts and wait until they are durable.

        Raises:
            JournalError: they are not durable, and nothing of them was kept.
        """
        return await self.enqueue(drafts)

    def read(self, after: int, limit: int) -> list[Event]:
        """List events with seq > `after`, in order.

        Raises:
            JournalError: the journal can't be read.
        """
        try:
            return self._read(after, limit)
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._fault(error) from error

    def _read(self, after: int, limit: int) -> list[Event]:
        rows = self._reader.execute(
            _SELECT + " WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
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
        for row in self._reader.execute(_SELECT + " ORDER BY seq"):
            if row[0] != expected:
                yield row[0], f"follows {expected - 1}: events are missing"
            if not self._is_intact(row, previous):
                yield row[0], "its hash does not cover its content and the event before it"
            previous, expected = row[7], row[0] + 1

    def acknowledge(self, seq: int) -> None:
        """Remember that the hub holds everything up to `seq`."""
        if not self.acked <= seq <= self._seq:
            raise ValueError(f"journal {self.path}: acknowledged {seq}, has {self._seq}")
        # Kept with the next commit, without an fsync of its own: what is sent twice is taken once.
        self.acked = seq

    def rewind(self, seq: int) -> None:
        """Send again what follows `seq`: the hub lost it, as one restored from a backup has.

        Raises:
            ValueError: the journal does not reach back that far.
        """
        if not self._base[0] <= seq <= self.acked:
            raise ValueError(f"journal {self.path}: can't go back to {seq}, begins at {self._base}")
        self.acked = seq

    def pass_uses(self) -> dict[str, int]:
        """Count the grants of each QR pass in this journal."""
        rows = self._reader.execute(
            "SELECT json_extract(data, '$.pass') AS pass, count(*) FROM event"
            " WHERE kind = 'access_granted' AND json_extract(data, '$.pass') IS NOT NULL"
            " GROUP BY pass"
        )
        return {str(name): int(count) for name, count in rows}

    def pass_steps(self) -> dict[str, int]:
        """Give for each rotating QR pass the half minute of the last code that opened."""
        rows = self._reader.execute(
            "SELECT json_extract(data, '$.pass') AS pass, max(json_extract(data, '$.pass_step'))"
            " FROM event"
            " WHERE kind = 'access_granted' AND json_extract(data, '$.pass') IS NOT NULL"
            " GROUP BY pass"
        )
        return {str(name): int(step) for name, step in rows if step is not None}

    def faults(self) -> list[tuple[EventKind, str, Mapping[str, Any]]]:
        """List kind, subject and data of each event of a tamper or device fault, in order.

        Raises:
            JournalError: the journal can't be read.
        """
        question = f"SELECT kind, subject, data FROM event WHERE {_FAULTS} ORDER BY seq"  # noqa: S608
        try:
            rows = self._reader.execute(question).fetchall()
            return [(EventKind(kind), subject, json.loads(data)) for kind, subject, data in rows]
        except (sqlite3.Error, ValueError) as error:
            raise self._fault(error) from error

    def bike_questions(self, limit: int) -> list[Event]:
        """List the newest questions about e-bikes, in order.

        Raises:
            JournalError: the journal can't be read.
        """
        question = _SELECT + " WHERE kind = 'bike_question' ORDER BY seq DESC LIMIT ?"
        try:
            rows = self._reader.execute(question, (limit,)).fetchall()
            return [self._event(row, self._hash_of(row[0] - 1)) for row in reversed(rows)]
        except (sqlite3.Error, ValueError) as error:
            raise self._fault(error) from error

    def find_origin(self, origin: str) -> Event | None:
        """Find the event that a device's message led to.

        Raises:
            JournalError: the journal can't be read.
        """
        try:
            row = self._reader.execute(_SELECT + " WHERE origin = ?", (origin,)).fetchone()
            return None if row is None else self._event(row, self._hash_of(row[0] - 1))
        except UnicodeEncodeError:
            return None  # half a surrogate pair: no file holds it
        except (sqlite3.Error, ValueError) as error:
            raise self._fault(error) from error

    def last_at(self) -> datetime | None:
        """Give the time of the last event, or None in an empty journal."""
        row = self._reader.execute("SELECT at FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return None if row is None else datetime.fromisoformat(row[0])

    def carry_over(self, rows: Iterable[_Row]) -> int:
        """Take rows of a damaged journal as far as they follow on and are intact.

        To be called before anything is submitted. Gives how many were taken.
        """
        seq, digest, boot = self._seq, self._hash, self.boot
        try:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                for row in rows:
                    if row[0] != seq + 1 or not self._is_intact(row[:8], digest):
                        break
                    self._writer.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?)", row)
                    seq, digest, boot = row[0], row[7], max(boot, row[1] + 1)
                self._set_fact("boot", str(boot))
        except sqlite3.Error as error:
            log.error("journal_not_carried_over", path=str(self.path), error=str(error))
            return 0
        count = seq - self._seq
        self._seq, self._hash, self.boot = seq, digest, boot
        return count

    def make_room(self) -> bool:
        """Give up the room set aside, for a revocation on a full disk; False where it is gone."""
        self.is_low = True
        try:
            self._ballast.unlink()
        except FileNotFoundError:
            return False
        log.error("journal_gives_up_ballast", path=str(self.path))
        return True

    def refill(self) -> bool:
        """Set room aside again once there is plenty; False while there is not."""
        if self.is_low:
            disk = os.statvfs(self.path.parent)
            is_roomy = disk.f_bavail * disk.f_frsize > 2 * self._ballast_bytes
            self.is_low = not (is_roomy and self._fill_ballast())
        return not self.is_low

    def close(self) -> None:
        """Write what is queued, then close."""
        self._jobs.put(None)
        self._thread.join()
        if self.acked != self._kept_acked:
            with contextlib.suppress(sqlite3.Error):
                self._set_fact("acked", str(self.acked))
        self._writer.close()
        self._reader.close()

    # The writer thread

    def _write(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            # A caller that gave up by now wants nothing written; later, nothing can be taken back.
            jobs, count = self._taken(job), len(job[0])
            while count < MAX_COMMIT_EVENTS:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    self._jobs.put(None)
                    break
                jobs += self._taken(job)
                count += len(job[0])
            self._commit(jobs)

    def _taken(self, job: _Job) -> list[_Job]:
        done = job[1]
        if isinstance(done, asyncio.Future):
            return [] if done.cancelled() else [job]
        return [job] if done.set_running_or_notify_cancel() else []

    def _commit(self, jobs: Sequence[_Job]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, _Settled] = {}
        for (_, done), result in zip(jobs, self._results(jobs), strict=True):
            if isinstance(done, asyncio.Future):
                by_loop.setdefault(done.get_loop(), []).append((done, result))
            else:
                _settle([(done, result)])
        for loop, settled in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop was closed; nobody waits any more
                loop.call_soon_threadsafe(_settle, settled)

    def _results(self, jobs: Sequence[_Job]) -> Sequence[Appended | JournalError]:
        knows = False
        while True:
            try:
                batch = self._batch(jobs, knows)
                self._write_rows(batch)
            except (sqlite3.Error, OverflowError) as error:
                if isinstance(error, sqlite3.IntegrityError) and not knows:
                    knows = True  # one of the origins stands there already; too rare to ask first
                elif not (_is_full(error) and self.make_room()):
                    log.error("journal_refused", path=str(self.path), error=str(error))
                    return [self._fault(error)] * len(jobs)
            else:
                self._seq, self._hash = batch.seq, batch.hash
                return batch.results

    def _batch(self, jobs: Sequence[_Job], knows: bool) -> _Batch:
        """Give each group its place, and those that can't be written down their refusal.

        With `knows`, leave out the groups whose origin stands in the journal.
        """
        batch = _Batch(self._seq, self._hash)
        for drafts, _ in jobs:
            origin = drafts[0].origin if drafts else None
            seq = batch.origins.get(origin) if origin is not None else None
            if seq is None and knows and origin is not None:
                seq = self._seq_of(origin)
            if seq is not None:
                batch.results.append(Appended((), was_known=True, known_seq=seq))
                continue
            try:
                batch.add(drafts, self.node, self.boot)
            except (TypeError, ValueError, RecursionError) as error:
                rule = f"journal {self.path}: {drafts[0].kind} can't be written down: {error}"
                batch.results.append(JournalError(rule))
        return batch

    def _write_rows(self, batch: _Batch) -> None:
        if not batch.rows:
            return
        acked = self.acked
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?)", batch.rows)
            if acked != self._kept_acked:
                self._set_fact("acked", str(acked))
        self._kept_acked = acked

    def _seq_of(self, origin: str) -> int | None:
        row = self._writer.execute("SELECT seq FROM event WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else int(row[0])

    # Storage

    def _fault(self, error: Exception) -> JournalError:
        """Name an error; where a page is broken, mark the file for the next start."""
        is_broken = _kind(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        if is_broken or not isinstance(error, sqlite3.Error | OverflowError):
            with contextlib.suppress(OSError):
                self._mark.write_text(str(error))
        return JournalError(f"journal {self.path}: {error}")

    def _fill_ballast(self) -> bool:
        """Set room aside; on a disk that is full already, say so and go on without."""
        size = self._ballast_bytes
        try:
            if size and (not self._ballast.exists() or self._ballast.stat().st_size != size):
                with self._ballast.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            log.error("journal_has_no_ballast", path=str(self._ballast), error=str(error))
            return False
        return True

    def _prove_tail(self, length: int = 1000) -> tuple[int, str]:
        """Prove the chain of the last events; what a torn page breaks is at the end."""
        row = self._reader.execute("SELECT max(seq) FROM event").fetchone()
        last = int(row[0] or self._base[0])
        start = max(self._base[0], last - length)
        previous = self._hash_of(start)
        for event in self._read(start, length):
            if not is_intact(event):
                raise JournalDamaged(f"the chain breaks at seq {event.seq}")
            previous = event.hash
        return last, previous

    def _hash_of(self, seq: int) -> str:
        if seq <= self._base[0]:
            return self._base[1]
        row = self._reader.execute("SELECT hash FROM event WHERE seq = ?", (seq,)).fetchone()
        return "" if row is None else str(row[0])

    def _event(self, row: _Row, previous: str) -> Event:
        seq, boot, at, kind, subject, data, revision, digest = row
        return _make_event(
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

    def _is_intact(self, row: _Row, previous: str) -> bool:
        try:
            return is_intact(self._event(row, previous))
        except (TypeError, ValueError):
            return False

    def _fact(self, name: str, default: str) -> str:
        row = self._writer.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def _set_fact(self, name: str, value: str) -> None:
        self._writer.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))


def _settle(settled: Iterable[tuple[Any, Appended | JournalError]]) -> None:
    for done, result in settled:
        if done.cancelled():
            continue
        if isinstance(result, JournalError):
            done.set_exception(result)
        else:
            done.set_result(result)


class _Batch:
    """The events of one commit on their way to the disk."""

    def __init__(self, seq: int, digest: str) -> None:
        self.seq = seq
        self.hash = digest
        self.rows: list[_Row] = []
        self.origins: dict[str, int] = {}
        self.results: list[Appended | JournalError] = []

    def add(self, drafts: Sequence[Draft], node: str, boot: int) -> None:
        """Take a group whole, or raise and take nothing of it."""
        seq, previous = self.seq, self.hash
        events, rows, origins = [], [], {}
        for draft in drafts:
            seq += 1
            event, data = place(draft, node, boot, seq, previous)
            previous = event.hash
            events.append(event)
            rows.append(_row(event, data, draft.origin))
            for name in (draft.subject, draft.origin or ""):
                name.encode()  # half a surrogate pair would stop the whole commit
            if draft.origin is not None:
                origins[draft.origin] = seq
        self.seq, self.hash = seq, previous
        self.rows += rows
        self.origins |= origins
        self.results.append(Appended(tuple(events)))


def _row(event: Event, data: str, origin: str | None) -> _Row:
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


_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)
"""Kinds of error that say nothing about the file itself."""


def _is_full(error: Exception) -> bool:
    return _kind(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _kind(error: Exception) -> int:
    # The low byte is the kind of error; the rest says where SQLite met it.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
