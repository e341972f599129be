"""The replica: every policy change this node has heard of, and the policy they make.

Changes are kept, not only their result, so that a decision can be explained on the revision on
which it fell. A delta is applied in memory and on disk, or in neither.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import structlog

from anlin.core.codec import maker
from anlin.core.policy import Change, Delta, Policy, PolicyError

log = structlog.get_logger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS change (
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    data TEXT,
    PRIMARY KEY (kind, id, revision)  -- in the order in which Replica.load walks
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delta (upto INTEGER PRIMARY KEY, after INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


_make_change = maker(Change)


class ReplicaError(OSError):
    """The replica's file can't be used; names it and the reason."""


class Replica:
    """The policy of one node, durable."""

    def __init__(self, path: Path) -> None:
        """Open or create the replica and load its newest revision.

        Raises:
            ReplicaError: the file is damaged, or what it holds makes no policy.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            path.chmod(0o600)
            self.policy = self.load()
        except (sqlite3.DatabaseError, ValueError) as error:
            self._db.close()
            raise ReplicaError(f"replica {path}: {error}") from error

    def load(self, revision: int | None = None) -> Policy:
        """Build the policy as of a revision, the newest by default."""
        newest = self._db.execute("SELECT max(upto) FROM delta").fetchone()[0] or 0
        upto = newest if revision is None else min(revision, newest)
        # SQLite takes the other columns of the row that holds the max.
        rows = self._db.execute(
            "SELECT max(revision), kind, id, data FROM change WHERE revision <= ?"
            " GROUP BY kind, id",
            (upto,),
        )
        standing = sorted(row for row in rows if row[3] is not None)
        # One reading of one long text costs half of a hundred thousand short ones.
        data = json.loads(f"[{','.join([row[3] for row in standing])}]")
        changes = [
            _make_change(revision, kind, id_, item)
            for (revision, kind, id_, _), item in zip(standing, data, strict=True)
        ]
        policy = Policy()
        policy.apply(Delta(0, upto, tuple(changes)))
        return policy

    def apply(self, delta: Delta) -> None:
        """Apply a delta from the hub: durable first, then visible.

        A delta from 0 on a replica that holds something replaces it all.

        Raises:
            PolicyError: it does not follow on or breaks a rule; nothing changed.
            ReplicaError: it could not be written; nothing changed.
        """
        is_new = delta.after == 0 and self.policy.revision > 0
        if is_new:
            policy = Policy()
            policy.apply(delta)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if is_new:
                self._db.execute("DELETE FROM change")
                self._db.execute("DELETE FROM delta")
            self._db.executemany(
                "INSERT OR REPLACE INTO change VALUES (?,?,?,?)",
                (
                    (
                        change.revision,
                        change.kind,
                        change.id,
                        None if change.data is None else json.dumps(change.data),
                    )
                    for change in delta.changes
                ),
            )
            self._db.execute("INSERT OR REPLACE INTO delta VALUES (?,?)", (delta.upto, delta.after))
            if is_new:
                self.policy = policy
            else:
                self.policy.apply(delta)
            self._db.execute("COMMIT")
        except (sqlite3.Error, OverflowError) as error:
            self._db.rollback()
            self.policy = self.load()
            raise ReplicaError(f"replica {self.path}: {error}") from error
        except PolicyError:
            self._db.rollback()
            raise

    def fact(self, name: str) -> str | None:
        """Give a named value that must outlive the process, or None."""
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def facts(self, prefix: str) -> list[tuple[str, str]]:
        """List the named values whose name begins with a prefix."""
        rows = self._db.execute(
            "SELECT name, value FROM fact WHERE name >= ? AND name < ?", (prefix, prefix + "\uffff")
        )
        return [(str(name), str(value)) for name, value in rows]

    def set_facts(self, facts: Mapping[str, str], *, is_durable: bool = True) -> None:
        """Keep named values, all or none; a power cut may take back what is not durable.

        Raises:
            ReplicaError: they could not be written.
        """
        try:
            self._db.execute(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT OR REPLACE INTO fact VALUES (?,?)", facts.items())
        except sqlite3.Error as error:
            raise ReplicaError(f"replica {self.path}: {error}") from error
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the file."""
        self._db.close()
