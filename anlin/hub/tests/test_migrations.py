"""An upgrade of a hub that has been running: a million events, and people of the first release."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

EVENTS = 1_000_000
WAIT_S = 300

FIRST = {
    "people": "0001",
    "devices": "0001",
    "access": "0001",
    "audit": "0001",
    "events": "0001",
}
"""Where each app of the first release stood."""

FOUND = """
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
for app, name in FIRST.items():
    for database in ("default", "events"):
        call_command("migrate", app, name, database=database, verbosity=0)
state = [("people", "0001_initial"), ("access", "0001_initial"), ("devices", "0001_initial")]
apps = MigrationExecutor(connection).loader.project_state(state).apps
Community = apps.get_model("people", "Community")
Holder = apps.get_model("people", "Holder")
community = Community.objects.create(id="c_test", name="天宝绿洲", issuer_key="k")
Holder.objects.bulk_create(
    Holder(id=f"h_{n}", community=community, name=f"住户{n}", phone=f"138 0000 {n:04}")
    for n in range(2500)
)
"""

UPGRADE = """
import json
from django.core.management import call_command
for _again in range(2):  # done once more it does nothing
    for database in ("default", "events"):
        call_command("migrate", database=database, verbosity=0)
from anlin.hub.events.models import Event
from anlin.hub.people.models import Holder
last = Event.objects.order_by("-id")[0]
after = list(Event.objects.filter(community="c_test", id__gt=last.id - 3).order_by("id"))
holder = Holder.objects.get(pk="h_1234")
print(json.dumps({
    "last": last.seq,
    "after": [event.seq for event in after],
    "data": after[0].data,
    "phone": holder.phone,
    "tail": holder.phone_tail,
    "by_tail": Holder.objects.filter(phone_tail="1234").count(),
    "without": Holder.objects.filter(phone_tail="").count(),
}))
"""

FILL = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
INSERT INTO events_event
    (community, node, boot, seq, at, received_at, kind, subject, data, revision, previous, hash)
SELECT 'c_test', 'n_test', 1, n, '2026-01-01 00:00:00', '2026-01-01 00:00:01', 'access_granted',
    'ap_' || (n % 200), '{"holder": "h_' || (n % 2500) || '", "reason": "granted"}', n / 100,
    printf('%064x', n - 1), printf('%064x', n)
FROM number
"""


def run(home: Path, script: str) -> str:
    """Run a script in a process of its own, with Django set up for a home."""
    setup = f"import django\ndjango.setup()\nFIRST = {FIRST!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + script],
        env={
            **os.environ,
            "ANLIN_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "anlin.hub.settings",
        },
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def told(log: Path) -> tuple[int, ...]:
    """Sum up a log: how many events, and what their ids, numbers and texts come to."""
    with closing(sqlite3.connect(log)) as database:
        row = database.execute(
            "SELECT count(*), min(id), max(id), sum(seq), sum(length(data)), sum(length(hash)) "
            "FROM events_event"
        ).fetchone()
    return tuple(row)


@pytest.mark.xdist_group("migrations")
def test_a_hub_with_a_million_events_is_upgraded_and_loses_none(tmp_path: Path) -> None:
    run(tmp_path, FOUND)
    new = tmp_path / "new"
    run(new, "from django.core.management import call_command\ncall_command('prepare')")
    log = tmp_path / "hub" / "events.sqlite3"
    with closing(sqlite3.connect(log)) as database:
        database.execute(FILL, [EVENTS])
        database.commit()
    before = told(log)
    assert before[0] == EVENTS
    seen = json.loads(run(tmp_path, UPGRADE))
    assert told(log) == before
    assert seen == {
        "last": EVENTS,
        "after": [EVENTS - 2, EVENTS - 1, EVENTS],
        "data": {"holder": f"h_{(EVENTS - 2) % 2500}", "reason": "granted"},
        "phone": "138 0000 1234",
        "tail": "1234",
        "by_tail": 1,
        "without": 0,
    }
    for name in ("hub.sqlite3", "events.sqlite3"):
        assert schema(tmp_path / "hub" / name) == schema(new / "hub" / name)


def schema(path: Path) -> dict[str, set[str]]:
    """Give what a database is made of: each table's columns and rules, in no order, and the rest.

    A column that came later stands last in its table, which nobody can tell by name.
    """
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT type, name, sql FROM sqlite_master WHERE sql != ''")
        return {f"{kind} {name}": parts(sql) for kind, name, sql in rows}


def parts(sql: str) -> set[str]:
    """Split the outermost list of a statement at its commas."""
    found, depth, start = set(), 0, 0
    for at, character in enumerate(sql):
        depth += (character == "(") - (character == ")")
        if character == "(" and depth == 1:
            found.add(sql[:at].strip())
            start = at + 1
        elif (character == "," and depth == 1) or (character == ")" and depth == 0):
            found.add(" ".join(sql[start:at].split()))
            start = at + 1
    return found | {sql[start:].strip()}
