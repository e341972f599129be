"""A run of the retention job that is killed by the system is finished by the next one."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anlin.hub.conftest import _env, run_manage

pytestmark = pytest.mark.e2e

EVENTS = 6000
KILL_WAIT_S = 60

_FILL = (
    f"EVENTS = {EVENTS}\n"
    + """
from datetime import timedelta
from django.utils import timezone
from anlin.core.codec import to_data
from anlin.core.event import GENESIS, Draft, EventKind, chain
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.events.fold import fold
from anlin.hub.events.store import commit
from anlin.hub.people import services as people
by = Actor.command("test")
c = people.create_community("c", by)
node, _ = devices.create_node(c, "n", by)
lin = people.register_holder(c, "林安", by)
then = timezone.now() - timedelta(days=300)
last, batch = GENESIS, []
for seq in range(1, EVENTS + 1):
    data = {"holder": lin.pk, "label": "林", "method": "card", "reason": "granted"}
    at = then if seq <= EVENTS - 100 else timezone.now()
    event = chain(Draft(EventKind.ACCESS_GRANTED, "ap_x", at, data), node.pk, 1, seq, last)
    last = event.hash
    batch.append(to_data(event))
    if len(batch) == 100:
        commit(node, batch, at)
        batch = []
fold()
"""
)


def rows(home: Path, database: str, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(home / "hub" / database, timeout=10) as connection:
        return list(connection.execute(query))


def test_a_killed_run_loses_nothing_and_the_next_one_finishes_it(tmp_path: Path) -> None:
    run_manage(tmp_path, "prepare")
    run_manage(tmp_path, "shell", "-v", "0", "-c", _FILL)
    kills = 0
    for _attempt in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "anlin.hub.manage", "let_go"], env=_env(tmp_path)
        )
        before = _gone(tmp_path)
        until = time.monotonic() + KILL_WAIT_S
        while _gone(tmp_path) == before and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait(timeout=20)
        # Whatever it was doing, the log holds together.
        assert " 0 faults" in run_manage(tmp_path, "verify_log")
    assert kills
    run_manage(tmp_path, "let_go")
    assert " 0 faults" in run_manage(tmp_path, "verify_log")
    [(left, named)] = rows(
        tmp_path, "events.sqlite3", "SELECT count(*), sum(data LIKE '%holder%') FROM events_event"
    )
    assert (left, named) == (100, 100)
    cut_off = "SELECT count(*) FROM privacy_run WHERE ended_at IS NULL"
    assert rows(tmp_path, "hub.sqlite3", cut_off)[0][0] == kills


def _gone(home: Path) -> object:
    """Say how much of the log was let go so far."""
    query = "SELECT count(*), sum(data LIKE '%forgotten%') FROM events_event"
    return rows(home, "events.sqlite3", query)
