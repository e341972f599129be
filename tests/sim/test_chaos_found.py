"""What chaos found, each as small as it could be made."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anlin.core.device import Acknowledge, Fault, Release, Tampered
from anlin.core.event import EventKind as Kind
from anlin.testing.site import Site, only


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_a_grant_said_again_counts_from_when_the_card_was_shown(site: Site) -> None:
    read = replace(site.card(), age_s=8.0)
    await site.die_before_the_release(read)
    site.clock.advance(3)
    assert only(Release, await site.take(replace(read, age_s=11.0))) == []
    await site.stop()


async def test_a_tamper_that_ends_after_a_restart_is_told_as_ended(site: Site) -> None:
    await site.take(Tampered("gate-1", True, site.origin()))
    await site.take(Fault("gate-1", "mains_lost", True, "board"))
    await site.restart()
    await site.take(Tampered("gate-1", True, site.origin()))
    assert len(site.events(Kind.TAMPER)) == 1, "that it still is so is no news"
    await site.take(Tampered("gate-1", False, site.origin()))
    await site.take(Fault("gate-1", "mains_lost", False, "board"))
    assert len(site.events(Kind.TAMPER_CLEARED)) == 1
    assert len(site.events(Kind.DEVICE_FAULT_CLEARED)) == 1
    await site.stop()


async def test_what_happened_on_a_full_disk_is_written_when_there_is_room(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    opened, door = Tampered("gate-1", True, site.origin()), site.contact("open")
    with monkeypatch.context() as broken:
        broken.setattr(site.journal, "_write_rows", full)
        told = await site.take(opened, door)
        told += await site.take(opened, door)
        assert only(Acknowledge, told) == [], "nothing of it is durable"
    site.engine.check_storage()
    await site.engine.settle()
    assert {Kind.TAMPER, Kind.DOOR_FOUND_OPEN} <= set(site.kinds())
    acked = {command.origin for command in only(Acknowledge, site.sent)}
    assert {opened.origin, door.origin} <= acked
    before = len(site.events())
    await site.take(opened, door)
    assert len(site.events()) == before
    await site.stop()
