"""The worker is killed while a message is on its way; another one finishes, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from anlin.hub.conftest import _env, run_manage
from anlin.notify.webpush.standin import push_service

pytestmark = pytest.mark.e2e

_PREPARE = """
import json, sys
from anlin.hub.audit.log import Actor
from anlin.hub.notices import devices, services
from anlin.hub.people import services as people
by = Actor.command("test")
community = people.create_community("天宝绿洲", by)
home = people.add_unit(people.add_building(community, "1 号楼", by), "1-101", by)
lin = people.register_holder(community, "林安", by, unit=home, phone="13800000001")
devices.add(lin, json.loads({subscription!r}), "Chrome", by)
for number in range(3):
    services.tell(lin, "answered", f"第 {{number}} 条", "正文", "/home/", f"k{{number}}")
print(devices.browser_key())
"""
_WORK = "from anlin.hub.notices import delivery; delivery.deliver()"
WAIT_S = 60.0


def test_a_worker_killed_while_it_sends_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run_manage(home, "prepare")
    with push_service() as service:
        browser = service.browser()
        subscription = json.dumps(browser.subscription(service.base))
        os.environ["ANLIN_PUSH_LOCAL"] = "1"
        try:
            script = _PREPARE.format(subscription=subscription)
            out = run_manage(home, "shell", "-v", "0", "-c", script)
            service.vapid_key = out.split()[-1]
            service.hold = threading.Event()
            env = _env(home)
            worker = subprocess.Popen(
                [sys.executable, "-m", "anlin.hub.manage", "shell", "-v", "0", "-c", _WORK],
                env=env,
            )
            assert service.arrived.wait(WAIT_S)
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait(timeout=20)
            service.hold.set()
            _until(lambda: bool(browser.got))
            database = home / "hub" / "hub.sqlite3"
            with sqlite3.connect(database) as rows:
                stands = rows.execute("SELECT stand FROM notices_delivery").fetchall()
                assert stands == [("waiting",)] * 3
                # The claim of the killed one runs out; time does not pass in a test.
                rows.execute("UPDATE notices_delivery SET claimed_until='2020-01-01 00:00:00'")
            run_manage(home, "shell", "-v", "0", "-c", _WORK)
        finally:
            del os.environ["ANLIN_PUSH_LOCAL"]
    with sqlite3.connect(database) as rows:
        assert rows.execute("SELECT DISTINCT stand FROM notices_delivery").fetchall() == [("sent",)]
    # At least once: what was cut off came again, under the tag by which it replaces the first.
    assert len(browser.got) > 3
    assert len({message["tag"] for message in browser.got}) == 3


def _until(is_so: object) -> None:
    until = time.monotonic() + WAIT_S
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.05)
