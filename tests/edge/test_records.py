"""A journal must be provable and its decisions repeatable, by somebody who only has the files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anlin.core.access import Evidence, Liveness, Reason
from anlin.core.device import Loop, Read, Tampered
from anlin.core.entities import Method, Status
from anlin.core.event import Event
from anlin.core.event import EventKind as Kind
from anlin.core.sync import CommandKind
from anlin.edge.cli import app
from anlin.edge.records import Break, Records, RecordsError
from anlin.testing import cast
from anlin.testing.site import Site

Make = Callable[..., Site]
runner = CliRunner()


def copy(site: Site, name: str, sql: str) -> Records:
    """Take a copy of a node's files away and tamper with one of them."""
    taken = site.home / "copy"
    taken.mkdir()
    for file in ("journal.sqlite3", "replica.sqlite3"):
        with (
            sqlite3.connect(site.home / file) as source,
            sqlite3.connect(taken / file) as target,
        ):
            source.backup(target)
    with sqlite3.connect(taken / name) as db:
        db.execute(sql)
    return Records(taken / "journal.sqlite3")


@pytest.fixture
def site(make_site: Make) -> Site:
    return make_site(replace(cast.GATE_IN, methods=(*cast.GATE_IN.methods, Method.PIN)))


async def busy(site: Site) -> None:
    """Let every method be shown, granted and refused, while the rules change."""
    await site.take(site.card(), site.card("DEADBEEF"), site.exit_button())
    await site.take(Loop("lane", True, site.origin()))
    for text, at in (("沪A12345", "lane-in"), ("沪B88888", "lane-in"), ("", "lane-in")):
        await site.take(Read(at, Method.PLATE, text, site.origin()))
    face = Evidence(score=0.7, threshold=0.4, liveness=Liveness.UNKNOWN)
    await site.take(Read("gate-in", Method.FACE, cast.LIN_FACE.key, site.origin(), evidence=face))
    await site.take(Read("gate-in", Method.FACE, "", site.origin()))
    masked = replace(face, masked=True)
    await site.take(Read("gate-in", Method.FACE, "", site.origin(), evidence=masked))
    await site.take(Read("gate-in", Method.PIN, "135790", site.origin()))
    await site.take(Read("gate-in", Method.QR, "ANLIN1.x.y", site.origin()))
    await site.take(Read("gate-in", Method.QR, cast.qr_text(cast.zhao_pass()), site.origin()))
    await site.take(Read("gate-in", Method.QR, cast.qr_text(cast.zhao_pass()), site.origin()))
    await site.take(site.card(age_s=30.0), site.card(point="nowhere"))
    site.change(replace(cast.LIN_CARD, status=Status.LOST))
    await site.take(site.card())
    site.change(gone=(cast.LIN_CARD,))
    await site.take(site.card())
    site.change(cast.LIN_CARD)
    await site.take(site.card())


async def test_every_decision_of_a_journal_falls_again_as_it_was_recorded(site: Site) -> None:
    await busy(site)
    records = Records(site.home / "journal.sqlite3")
    found = list(records.differences())
    assert [item for item in found if not isinstance(item, Event)] == []
    reasons = {item.data["reason"] for item in found if isinstance(item, Event)}
    assert {"granted", "credential_lost", "credential_unknown", "invalid_pin"} <= reasons
    assert {"pass_used", "mask_worn", "face_not_recognised", "free_egress"} <= reasons
    records.close()


async def test_a_record_that_was_edited_is_found_and_so_is_the_changed_decision(
    site: Site,
) -> None:
    await busy(site)
    edit = "UPDATE event SET data = replace(data, 'credential_unknown', 'granted') WHERE seq = 2"
    records = copy(site, "journal.sqlite3", edit)
    assert [item.seq for item in records.breaks() if isinstance(item, Break)] == [2]
    (odd,) = (item for item in records.differences() if not isinstance(item, Event))
    assert odd.is_defect
    assert odd.rule == "reason: recorded granted, decided again credential_unknown"
    records.close()


async def test_missing_and_cut_off_events_are_found(site: Site) -> None:
    await busy(site)
    records = copy(site, "journal.sqlite3", "DELETE FROM event WHERE seq = 3")
    faults = [item for item in records.breaks() if isinstance(item, Break)]
    assert (faults[0].seq, faults[0].rule) == (4, "follows 2: events are missing")
    records.close()


async def test_a_policy_that_is_gone_is_no_defect_of_the_decision(site: Site) -> None:
    await busy(site)
    newest = site.replica.policy.revision
    records = copy(site, "replica.sqlite3", f"DELETE FROM delta WHERE upto < {newest}")
    odd = [item for item in records.differences() if not isinstance(item, Event)]
    assert odd
    assert not any(item.is_defect for item in odd)
    assert f"is gone: this replica begins at {newest}" in odd[0].rule
    records.close()


async def test_an_explanation_names_each_check_and_the_nearest_miss(site: Site) -> None:
    site.change(replace(cast.LIN_CARD, status=Status.LOST))
    await site.take(site.card())
    records = Records(site.home / "journal.sqlite3")
    found = records.again(records.event(1))
    assert found.difference == ""
    assert found.decision.reason is Reason.CREDENTIAL_LOST
    (spoke,) = (row for row in found.checks if row.outcome == "credential_lost")
    assert (spoke.name, "lost" in spoke.saw) == ("credential", True)
    records.close()


@pytest.mark.parametrize("command", ["verify", "replay"])
async def test_the_commands_end_well_on_a_sound_journal(site: Site, command: str) -> None:
    await busy(site)
    result = runner.invoke(app, [command, str(site.home / "journal.sqlite3")])
    assert result.exit_code == 0, result.output
    assert ("the chain holds" in result.output) or ("agrees" in result.output)


async def test_explain_prints_the_table_of_checks(site: Site) -> None:
    await site.take(site.card("DEADBEEF"))
    path = str(site.home / "journal.sqlite3")
    result = runner.invoke(app, ["explain", "1", "--journal", path])
    assert result.exit_code == 0, result.output
    assert "credential_unknown" in result.output
    result = runner.invoke(app, ["explain", "99", "--journal", path])
    assert result.exit_code == 1
    assert "has no event 99" in result.output


def explained(site: Site, seq: int) -> str:
    path = str(site.home / "journal.sqlite3")
    result = runner.invoke(app, ["explain", str(seq), "--journal", path], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


async def test_explain_tells_of_a_door_held_open_by_which_timer_and_until_when(
    site: Site,
) -> None:
    await site.take(site.contact("closed"), site.card(), site.contact("open"))
    await site.tick(30)
    (held,) = site.events(Kind.DOOR_HELD)
    (taken,) = site.events(Kind.ACCESS_TAKEN)
    said = explained(site, held.seq)
    assert "the leaf stood open for held_open_s" in said
    assert "setting held_open_s" in said
    assert "30" in said
    assert f"event {taken.seq} access_taken" in said, "since somebody went through"
    assert "nothing yet in this journal" in said
    site.clock.advance(5)
    await site.take(site.contact("closed"))
    (cleared,) = site.events(Kind.DOOR_HELD_CLEARED)
    said = explained(site, held.seq)
    assert f"event {cleared.seq} door_held_cleared" in said
    assert "after 35.0 s" in said


async def test_explain_tells_of_a_forced_door_that_a_restart_found_closed(site: Site) -> None:
    await site.take(site.contact("closed"), site.contact("open"))
    await site.tick(0.1)
    await site.restart()
    await site.take(site.contact("closed"))
    (forced,) = site.events(Kind.DOOR_FORCED)
    said = explained(site, forced.seq)
    assert "nothing had released the portal" in said
    assert "setting debounce_s" in said
    assert f"event {site.events(Kind.PORTAL_FOUND)[-1].seq} portal_found" in said


async def test_explain_tells_two_parts_of_a_device_apart(site: Site) -> None:
    for part, is_active in (("door 1", True), ("door 2", True), ("door 2", False)):
        await site.take(Tampered("gate-1", is_active, site.origin(), part))
    first, second, cleared = site.events()
    assert "nothing yet in this journal" in explained(site, first.seq)
    assert f"event {cleared.seq} tamper_cleared" in explained(site, second.seq)


async def test_explain_tells_what_any_other_event_records(site: Site) -> None:
    await site.obey(CommandKind.RELEASE, "gate")
    said = explained(site, 1)
    assert "command_done" in said
    assert "guo" in said


@pytest.mark.parametrize("command", ["verify", "replay"])
def test_a_file_that_is_no_journal_is_named(tmp_path: Path, command: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8" * 2000)
    result = runner.invoke(app, [command, str(path)])
    assert result.exit_code == 2
    assert "photo.jpg" in result.output.replace("\n", "")
    with pytest.raises(RecordsError, match="there is no such file"):
        Records(tmp_path / "nothing.sqlite3")
