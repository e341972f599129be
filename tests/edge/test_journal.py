"""The journal: what was acknowledged is there for ever, once, in order, never altered unseen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anlin.core.event import Draft, EventKind
from anlin.edge.journal import Appended, Journal, JournalDamaged, JournalError, Place
from anlin.edge.salvage import open_journal
from anlin.testing.clock import MORNING

NODE = "node-1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, NODE)
    yield journal
    journal.close()


def draft(number: int, origin: str | None = None, **data: object) -> Draft:
    return Draft(EventKind.TAMPER, f"gate-{number}", MORNING, {"n": number, **data}, 7, origin)


def add(journal: Journal, *drafts: Draft) -> Appended:
    return journal.submit(drafts).result(10)


def is_sound(journal: Journal) -> bool:
    seqs = [event.seq for event in journal.read(0, 1_000_000)]
    return list(journal.verify()) == [] and seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_events_come_back_as_they_were_written(journal: Journal) -> None:
    written = add(journal, draft(1, label="林先生"), draft(2)).events
    assert tuple(journal.read(0, 10)) == written
    assert [event.seq for event in journal.read(1, 10)] == [2]
    assert journal.seq == 2
    assert journal.head == written[1].hash
    assert is_sound(journal)


def test_a_group_is_written_whole_or_not_at_all(journal: Journal) -> None:
    with pytest.raises(JournalError, match="tamper can't be written down"):
        add(journal, draft(1), draft(2, score=float("nan")))
    assert journal.seq == 0
    assert add(journal, draft(3)).events[0].seq == 1


@pytest.mark.parametrize(
    "bad",
    [
        draft(1, rate=float("inf")),
        draft(1, thing=object()),
        draft(1, origin="half \ud83d"),
        Draft(EventKind.TAMPER, "half \ud83d", MORNING),
    ],
)
def test_what_can_not_be_written_does_not_take_others_with_it(journal: Journal, bad: Draft) -> None:
    futures = [journal.submit([draft(1)]), journal.submit([bad]), journal.submit([draft(2)])]
    assert isinstance(futures[1].exception(10), JournalError)
    assert [futures[n].result(10).events[0].seq for n in (0, 2)] == [1, 2]
    assert is_sound(journal)


async def test_a_caller_who_gives_up_does_not_stop_the_writer(journal: Journal) -> None:
    tasks = [asyncio.create_task(journal.append(draft(n))) for n in range(200)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await journal.append(draft(201))).events[0].seq == journal.seq
    assert is_sound(journal)


def test_many_at_once_share_commits_and_keep_their_order(journal: Journal) -> None:
    futures = [journal.submit([draft(n)]) for n in range(3000)]
    assert [future.result(10).events[0].seq for future in futures] == list(range(1, 3001))
    assert is_sound(journal)


# Once


def test_an_origin_is_taken_once_in_one_batch(journal: Journal) -> None:
    # Queued together, so that they meet in one commit.
    futures = [journal.submit([draft(n, "gate-1/boot-7")]) for n in range(50)]
    results = [future.result(10) for future in futures]
    assert [result.was_known for result in results] == [False] + [True] * 49
    assert {result.known_seq for result in results[1:]} == {1}
    assert journal.seq == 1


def test_an_origin_is_taken_once_over_batches_and_restarts(path: Path) -> None:
    for _ in range(3):
        journal = Journal(path, NODE)
        first, repeated, other = (
            journal.submit([draft(1, f"gate-1/new-{journal.boot}")]),
            journal.submit([draft(2, "gate-1/old")]),
            journal.submit([draft(3)]),
        )
        assert not first.result(10).was_known
        assert repeated.result(10).was_known == (journal.boot > 1)
        assert not other.result(10).was_known
        found = journal.find_origin("gate-1/old")
        assert found is not None
        assert (found.boot, found.data) == (1, {"n": 2})
        assert is_sound(journal)
        journal.close()


def test_an_origin_that_no_file_can_hold_is_not_known(journal: Journal) -> None:
    assert journal.find_origin("half \ud83d") is None
    assert not journal.is_damaged


def test_uses_of_a_pass_are_counted_after_a_restart(path: Path) -> None:
    def granted(leave: str | None) -> Draft:
        data = {} if leave is None else {"pass": leave}
        return Draft(EventKind.ACCESS_GRANTED, "gate-in", MORNING, data)

    journal = Journal(path, NODE)
    add(journal, granted("p1"), granted("p1"), granted(None), granted("p2"))
    add(journal, Draft(EventKind.ACCESS_DENIED, "gate-in", MORNING, {"pass": "p2"}))
    journal.close()
    journal = Journal(path, NODE)
    assert journal.pass_uses() == {"p1": 2, "p2": 1}
    journal.close()


# The hub's position


def test_position_is_kept_over_a_restart(path: Path) -> None:
    journal = Journal(path, NODE)
    add(journal, draft(1), draft(2))
    journal.acknowledge(1)
    journal.close()
    journal = Journal(path, NODE)
    assert (journal.acked, journal.boot) == (1, 2)
    journal.close()


def test_position_stays_within_the_journal(journal: Journal) -> None:
    add(journal, draft(1), draft(2), draft(3))
    journal.acknowledge(2)
    for wrong in (1, 4):
        with pytest.raises(ValueError, match="acknowledged"):
            journal.acknowledge(wrong)
    journal.rewind(0)
    assert journal.acked == 0
    with pytest.raises(ValueError, match="go back"):
        journal.rewind(1)


# kill -9

_WRITER = """
import sys
from pathlib import Path
from anlin.core.event import Draft, EventKind
from anlin.edge.journal import Journal
from anlin.testing.clock import MORNING

journal = Journal(Path(sys.argv[1]), "node-1", ballast=0)
start = journal.seq
for number in range(1, 100_000):
    drafts = [Draft(EventKind.TAMPER, "gate-1", MORNING, {"job": number, "n": n}, 1,
              f"{start}/{number}/{n}") for n in range(number % 3 + 1)]
    journal.submit(drafts).add_done_callback(
        lambda done: print(done.result().events[-1].seq, flush=True))
    if number % 50 == 0:
        journal.submit(drafts).result()
"""


def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    promised = 0
    for round_ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(40 + 25 * round_)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.read().splitlines(keepends=True)
        writer.wait()
        writer.stdout.close()
        seqs = [int(line) for line in lines if line.endswith("\n")]
        assert len(seqs) >= 40
        assert max(seqs) > promised
        promised = max(seqs)
        journal = Journal(path, NODE, ballast=0)
        assert journal.seq >= promised
        journal.close()
    journal = Journal(path, NODE, ballast=0)
    assert is_sound(journal)
    places = {(event.boot, event.data["job"], event.data["n"]) for event in journal.read(0, 10**6)}
    assert len(places) == journal.seq
    journal.close()


# A full disk


def test_room_is_made_once(path: Path) -> None:
    journal = Journal(path, NODE, ballast=4096)
    ballast = path.with_suffix(".ballast")
    assert ballast.stat().st_size == 4096
    assert not journal.is_low
    assert journal.make_room()
    assert not ballast.exists()
    assert journal.is_low
    assert not journal.make_room()
    assert journal.refill()
    assert ballast.exists()
    journal.close()


def test_without_ballast_a_full_disk_refuses_and_keeps_what_there_is(path: Path) -> None:
    journal = Journal(path, NODE, ballast=0)
    journal._writer.execute("PRAGMA max_page_count=40")
    with pytest.raises(JournalError, match="full"):  # noqa: PT012
        for number in range(0, 1000, 2):
            add(journal, draft(number, blob="x" * 2000), draft(number + 1, blob="y" * 2000))
    assert 0 < journal.seq == number
    for _ in range(3):
        with pytest.raises(JournalError):
            add(journal, draft(number, blob="x" * 20_000))
    assert is_sound(journal)
    journal.close()
    journal = Journal(path, NODE, ballast=0)
    assert add(journal, draft(number, blob="x" * 20_000)).events[0].seq == number + 1
    assert is_sound(journal)
    journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB; only root can make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("needs root and a mount of its own to fill a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_really_full_disk_is_survived_and_left_behind(small_disk: Path) -> None:
    path = small_disk / "journal.sqlite3"
    other = small_disk / "other"
    journal = Journal(path, NODE, ballast=4 * 1024 * 1024)
    add(journal, draft(0))
    with other.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):  # noqa: PT012
        for _ in range(10_000):
            file.write(b"\0" * 4096)
    with pytest.raises(JournalError):  # noqa: PT012
        while True:
            add(journal, *(draft(n, blob="x" * 200) for n in range(200)))
    count = journal.seq
    assert count > 2000, "the ballast bought room for thousands of events"
    assert journal.is_low
    assert not journal.refill()
    other.unlink()
    assert add(journal, draft(count)).events[0].seq == count + 1
    assert journal.refill()
    assert path.with_suffix(".ballast").exists()
    assert is_sound(journal)
    assert not journal.is_damaged
    journal.close()


def test_a_disk_full_from_the_start_is_said(small_disk: Path) -> None:
    journal = Journal(small_disk / "journal.sqlite3", NODE, ballast=64 * 1024 * 1024)
    assert journal.is_low
    assert add(journal, draft(1)).events[0].seq == 1
    journal.close()


# Damage


def filled(path: Path, count: int, acked: int = 0) -> Journal:
    journal = Journal(path, NODE, ballast=0)
    for start in range(0, count, 100):
        add(journal, *(draft(n, f"gate-1/{n}", blob="x" * 300) for n in range(start, start + 100)))
    if acked:
        journal.acknowledge(acked)
    return journal


def leaf_pages(path: Path) -> list[tuple[int, int]]:
    """(last seq, page number) of the pages that hold events, in order."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        try:
            pages = db.execute(
                "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY path"
            ).fetchall()
        except sqlite3.OperationalError:
            pytest.skip("this SQLite was built without dbstat")
        cells = db.execute(
            "SELECT ncell FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY path"
        ).fetchall()
    db.close()
    total, found = 0, []
    for (page,), (count,) in zip(pages, cells, strict=True):
        total += count
        found.append((total, page))
    return found


def overwrite(path: Path, page: int, keep: int = 0) -> None:
    """Write rubbish over a page, or over its second half as a power cut does."""
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096 + keep)
        file.write(os.urandom(4096 - keep))


@pytest.mark.parametrize("keep", [0, 2048])
def test_a_half_written_page_is_salvaged_around(path: Path, keep: int) -> None:
    journal = filled(path, 2000, acked=900)
    place = journal.place
    journal.close()
    pages = leaf_pages(path)
    overwrite(path, pages[-3][1], keep)
    last_good = pages[-4][0]
    journal, salvaged = open_journal(path, NODE, place)
    assert salvaged is not None
    assert (path.parent / salvaged.damaged).exists()
    assert str(path) in salvaged.rule
    # Half a page may still hold rows; what follows a broken one is never taken.
    assert last_good - 900 <= salvaged.carried_over < 1100
    assert journal.read(900, 1)[0].seq == 901
    assert journal.seq == 900 + salvaged.carried_over
    assert (journal.acked, journal.boot) == (900, 2)
    assert add(journal, draft(1)).events[0].seq == journal.seq
    assert is_sound(journal)
    journal.close()
    again, nothing = open_journal(path, NODE, journal.place)
    assert nothing is None
    again.close()


def test_a_page_broken_long_ago_is_met_marked_and_left_at_the_next_start(path: Path) -> None:
    journal = filled(path, 4000, acked=3900)
    place = journal.place
    journal.close()
    pages = leaf_pages(path)
    overwrite(path, pages[10][1])
    journal, salvaged = open_journal(path, NODE, place)
    assert salvaged is None, "the tail is sound, nobody has looked further back"
    with pytest.raises(JournalError):
        journal.read(0, 4000)
    assert journal.is_damaged
    journal.close()
    journal, salvaged = open_journal(path, NODE, place)
    assert salvaged is not None
    assert salvaged.carried_over == 100
    assert not journal.is_damaged
    assert is_sound(journal)
    journal.close()


def test_a_truncated_wal_is_noticed_and_leaves_no_hole(path: Path) -> None:
    journal = filled(path, 600, acked=300)
    place = journal.place
    # Copied while it is open, as a power cut leaves it; closing would empty the log.
    copy = path.parent / "after-the-cut" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    wal = Path(f"{path}-wal").read_bytes()
    journal.close()
    Path(f"{copy}-wal").write_bytes(wal[: len(wal) * 2 // 3])
    journal, salvaged = open_journal(copy, NODE, place)
    assert salvaged is not None
    assert "it reached 600 before" in salvaged.rule
    assert journal.seq == 300 + salvaged.carried_over < 600
    assert journal.acked == 300
    assert add(journal, draft(1)).events[0].seq == journal.seq
    assert is_sound(journal)
    journal.close()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0 or so", os.urandom(8192)])
def test_a_file_that_is_no_journal_is_set_aside(path: Path, content: bytes) -> None:
    journal = filled(path, 100, acked=50)
    place = journal.place
    journal.close()
    path.write_bytes(content)
    journal, salvaged = open_journal(path, NODE, place)
    assert salvaged is not None
    assert salvaged.carried_over == 0
    event = add(journal, draft(1)).events[0]
    assert (event.seq, event.previous, event.boot) == (51, place.digest, place.boot + 1)
    assert is_sound(journal)
    journal.close()


def test_a_journal_in_use_or_without_room_is_not_taken_for_damaged(path: Path) -> None:
    filled(path, 100).close()
    content = path.read_bytes()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match="locked") as caught:
            open_journal(path, NODE, Place())
    assert not isinstance(caught.value, JournalDamaged)
    assert path.read_bytes() == content


def test_a_lost_file_is_told(path: Path) -> None:
    journal = filled(path, 100, acked=50)
    place = journal.place
    journal.close()
    path.unlink()
    journal, salvaged = open_journal(path, NODE, place)
    assert salvaged is not None
    assert "it is gone" in salvaged.rule
    assert add(journal, draft(1)).events[0].seq == 51
    journal.close()


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("UPDATE event SET data = replace(data, '\"n\":5', '\"n\":6') WHERE seq = 6", 6),
        ("UPDATE event SET subject = 'gate-9' WHERE seq = 6", 6),
        ("UPDATE event SET at = '2026-11-20T23:31:00+00:00' WHERE seq = 6", 6),
        ("UPDATE event SET data = 'rubbish' WHERE seq = 6", 6),
        ("DELETE FROM event WHERE seq = 6", 7),
    ],
)
def test_an_altered_row_is_found(path: Path, change: str, first: int) -> None:
    journal = filled(path, 100)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(change)
    assert next(iter(journal.verify()))[0] == first
    journal.close()
    with pytest.raises(JournalDamaged, match="journal "):
        Journal(path, NODE, ballast=0)
