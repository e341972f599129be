"""The replica: what was applied is there after a kill, whole, and every revision comes back."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anlin.core.entities import Status
from anlin.core.policy import Change, Delta, PolicyError, RevisionGap
from anlin.edge.replica import Replica, ReplicaError
from anlin.edge.salvage import open_replica
from anlin.testing import cast

SNAPSHOT = cast.snapshot()
UPTO = SNAPSHOT.upto


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replica.sqlite3"


@pytest.fixture
def replica(path: Path) -> Iterator[Replica]:
    replica = Replica(path)
    replica.apply(SNAPSHOT)
    yield replica
    replica.close()


def after(upto: int, *changes: Change) -> Delta:
    return Delta(upto - 1, upto, changes)


def reopened(path: Path) -> bytes:
    replica = Replica(path)
    data = replica.policy.to_bytes()
    replica.close()
    return data


def test_begins_with_nothing(path: Path) -> None:
    replica = Replica(path)
    assert replica.policy.revision == 0
    assert replica.fact("command") is None
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    replica.close()


def test_a_snapshot_and_deltas_are_durable_and_equal_what_is_in_memory(
    replica: Replica, path: Path
) -> None:
    assert reopened(path) == replica.policy.to_bytes()
    lost = replace(cast.LIN_CARD, status=Status.LOST)
    replica.apply(after(UPTO + 1, cast.change(lost, UPTO + 1)))
    replica.apply(after(UPTO + 2, cast.tombstone(cast.QIAN_CARD, UPTO + 2)))
    assert reopened(path) == replica.policy.to_bytes()
    assert "qian-card" not in replica.policy.credentials
    assert replica.policy.revision == UPTO + 2


def test_every_revision_equals_history(replica: Replica) -> None:
    history = {UPTO: replica.policy.to_bytes()}
    for number in range(1, 20):
        card = replace(cast.LIN_CARD, key=f"{number:08X}", status=Status.ACTIVE)
        change = cast.tombstone(card, UPTO + number)
        if number % 3:
            change = cast.change(card, UPTO + number)
        replica.apply(after(UPTO + number, change))
        history[UPTO + number] = replica.policy.to_bytes()
    for revision, data in history.items():
        assert replica.load(revision).to_bytes() == data
    assert replica.load(10**6).revision == UPTO + 19


def test_many_changes_of_one_entity_in_one_delta_leave_the_last(
    replica: Replica, path: Path
) -> None:
    changes = tuple(
        cast.change(replace(cast.LIN_CARD, key=f"{n:08X}"), UPTO + n) for n in range(1, 10)
    )
    replica.apply(Delta(UPTO, UPTO + 9, changes))
    assert replica.policy.credentials["lin-card"].key == "00000009"
    assert reopened(path) == replica.policy.to_bytes()


@pytest.mark.parametrize(
    ("delta", "error", "rule"),
    [
        (Delta(UPTO + 1, UPTO + 2), RevisionGap, f"begins after revision {UPTO + 1}"),
        (Delta(UPTO - 1, UPTO + 1), RevisionGap, "begins after revision"),
        (Delta(UPTO, UPTO - 1), PolicyError, "before its start"),
        (after(UPTO + 1, Change(UPTO + 1, "dragon", "d1", {})), PolicyError, "unknown kind"),
        (after(UPTO + 1, Change(UPTO + 5, "holder", "lin")), PolicyError, "out of order"),
        (after(UPTO + 1, Change(UPTO + 1, "holder", "h", {"id": "h"})), PolicyError, "missing"),
        (
            after(UPTO + 1, cast.change(replace(cast.WANG_CARD, key="04A1B2C3"), UPTO + 1)),
            PolicyError,
            "already held by lin-card",
        ),
        (Delta(0, 1, (Change(1, "dragon", "d1", {}),)), PolicyError, "unknown kind"),
    ],
)
def test_a_delta_that_does_not_fit_changes_nothing(
    replica: Replica, path: Path, delta: Delta, error: type[Exception], rule: str
) -> None:
    before = replica.policy.to_bytes()
    with pytest.raises(error, match=rule):
        replica.apply(delta)
    assert replica.policy.to_bytes() == before == reopened(path)
    replica.apply(after(UPTO + 1, cast.tombstone(cast.QIAN_CARD, UPTO + 1)))
    assert reopened(path) == replica.policy.to_bytes()


def test_a_revision_that_no_file_can_hold_changes_nothing(replica: Replica, path: Path) -> None:
    before = replica.policy.to_bytes()
    with pytest.raises(ReplicaError, match=r"replica .*replica\.sqlite3"):
        replica.apply(Delta(UPTO, 10**30, (cast.tombstone(cast.QIAN_CARD, 10**30),)))
    assert replica.policy.to_bytes() == before == reopened(path)
    replica.apply(after(UPTO + 1, cast.tombstone(cast.QIAN_CARD, UPTO + 1)))


def test_a_full_disk_changes_nothing_and_passes(replica: Replica, path: Path) -> None:
    before = replica.policy.to_bytes()
    many = tuple(
        cast.change(replace(cast.LIN, id=f"h{n}", label="林" * 50), UPTO + 1) for n in range(2000)
    )
    pages = replica._db.execute("PRAGMA page_count").fetchone()[0]
    replica._db.execute(f"PRAGMA max_page_count={pages + 4}")
    with pytest.raises(ReplicaError, match="full"):
        replica.apply(Delta(UPTO, UPTO + 1, many))
    assert replica.policy.to_bytes() == before == reopened(path)
    with pytest.raises(ReplicaError, match="full"):
        replica.set_facts({"blob": "x" * 100_000})
    assert replica.fact("blob") is None
    replica._db.execute("PRAGMA max_page_count=4294967294")
    replica.apply(Delta(UPTO, UPTO + 1, many))
    assert reopened(path) == replica.policy.to_bytes()


def test_a_snapshot_replaces_everything(replica: Replica, path: Path) -> None:
    records = [record for record in cast.RECORDS if record is not cast.QIAN_CARD]
    replica.apply(cast.snapshot(records))
    assert "qian-card" not in replica.policy.credentials
    assert replica.policy.revision == len(records)
    assert reopened(path) == replica.policy.to_bytes()


@pytest.mark.parametrize("is_durable", [True, False])
def test_facts_outlive_the_process(replica: Replica, path: Path, is_durable: bool) -> None:
    replica.set_facts({"a": "1", "b": "2"})
    replica.set_facts({"b": "3"}, is_durable=is_durable)
    assert replica._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL again"
    other = Replica(path)
    assert (other.fact("a"), other.fact("b"), other.fact("c")) == ("1", "3", None)
    other.close()


_APPLIER = """
import sys
from dataclasses import replace
from pathlib import Path
from anlin.core.policy import Delta
from anlin.edge.replica import Replica
from anlin.testing import cast

replica = Replica(Path(sys.argv[1]))
while True:
    upto = replica.policy.revision + 1
    cards = [replace(cast.LIN_CARD, id=f"c{n}", key=f"{upto:X}-{n}") for n in range(5)]
    replica.apply(Delta(upto - 1, upto, tuple(cast.change(card, upto) for card in cards)))
    print(upto, flush=True)
"""


def test_kill_9_loses_no_delta_and_halves_none(path: Path) -> None:
    replica = Replica(path)
    replica.apply(SNAPSHOT)
    replica.close()
    for _ in range(3):
        applier = subprocess.Popen(
            [sys.executable, "-c", _APPLIER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert applier.stdout is not None
        lines = [applier.stdout.readline() for _ in range(15)]
        os.kill(applier.pid, signal.SIGKILL)
        lines += applier.stdout.read().splitlines(keepends=True)
        applier.wait()
        applier.stdout.close()
        promised = max(int(line) for line in lines if line.endswith("\n"))
        replica = Replica(path)
        assert replica.policy.revision >= promised
        keys = {replica.policy.credentials[f"c{n}"].key.split("-")[0] for n in range(5)}
        assert keys == {f"{replica.policy.revision:X}"}
        replica.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda db: db.execute("UPDATE change SET data = '{' WHERE id = 'lin'"),
        lambda db: db.execute("UPDATE change SET data = '{}' WHERE id = 'lin'"),
        lambda db: db.execute("UPDATE change SET kind = 'dragon' WHERE id = 'lin'"),
        lambda db: db.execute("UPDATE change SET data = '1],[1' WHERE id = 'lin'"),
    ],
)
def test_a_damaged_record_is_said(path: Path, spoil: Any) -> None:
    replica = Replica(path)
    replica.apply(SNAPSHOT)
    replica.close()
    with sqlite3.connect(path) as db:
        spoil(db)
    db.close()
    with pytest.raises(ReplicaError, match=r"replica .*replica\.sqlite3: "):
        Replica(path)


@pytest.mark.parametrize("content", [b"no database at all" * 100, os.urandom(8192)])
def test_a_damaged_file_is_said_and_set_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ReplicaError, match=r"replica .*not a database"):
        Replica(path)
    replica, fault = open_replica(path)
    assert "not a database" in fault
    assert path.with_suffix(".damaged-1").read_bytes() == content
    replica.apply(SNAPSHOT)
    replica.close()
    replica, fault = open_replica(path)
    assert (replica.policy.revision, fault) == (UPTO, "")
    replica.close()
