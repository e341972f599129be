"""Lists taken over in a real browser by a real worker process, which may be killed.

Needs Chromium; where there is none these tests are skipped by name.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anlin.hub.conftest import _env, free_port, run_manage, wait_for
from anlin.hub.office.tests.conftest import book, people_sheet

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 60_000
PICTURES = os.environ.get("ANLIN_PICTURES", "")
"""Where pictures of the pages are wanted, for a person to look at."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

_SIGN_IN = """
import json
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from anlin.hub.audit.log import Actor
from anlin.hub.people import services
from anlin.hub.people.models import ResidencyKind, Role
by = Actor.command("test")
community = services.create_community("天宝绿洲", by)
staff, _ = services.add_staff(community, "meng", Role.MANAGER, by, name="孟")
unit = services.add_unit(services.add_building(community, "1栋", by), "1-101", by)
services.register_holder(community, "林安", by, unit=unit, phone="13800000001")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY] = str(staff.user.pk)
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = staff.user.get_session_auth_hash()
session.create()
print(json.dumps({"cookie": session.session_key}))
"""


@dataclass(frozen=True)
class Desk:
    """A hub that runs, and the cookie of its manager."""

    home: Path
    web: str
    cookie: str


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("office")
    run_manage(home, "prepare")
    said = run_manage(home, "shell", "-v", "0", "-c", _SIGN_IN).splitlines()[-1]
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"),
        *("--port", str(port), "--workers", "1", "--no-access-log"),
        "anlin.hub.wsgi:application",
    ]
    web = subprocess.Popen(command, env=_env(home, port), start_new_session=True)
    try:
        wait_for(port)
        yield Desk(home, f"http://127.0.0.1:{port}", json.loads(said)["cookie"])
    finally:
        os.killpg(web.pid, signal.SIGTERM)
        web.wait(timeout=20)


def opened(playwright: Any, desk: Desk, width: int = 1280, language: str = "en-US") -> Any:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    context = browser.new_context(locale=language, viewport={"width": width, "height": 850})
    context.set_default_timeout(WAIT_MS)
    context.add_cookies([{"name": "anlin_session", "value": desk.cookie, "url": desk.web}])
    return context.new_page()


def send(page: Any, desk: Desk, content: bytes, name: str = "list.xlsx") -> None:
    page.goto(f"{desk.web}/office/lists")
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.set_input_files("#id_file", file)
    page.click("form[action='/office/lists/post'] button.main")


def rows(first: int, count: int) -> bytes:
    return book(
        people_sheet(
            *(
                ["3栋", "", f"{number}01", f"住户{number}", f"139{number:08}", "业主"]
                for number in range(first, first + count)
            )
        )
    )


def count_of(desk: Desk, name: str) -> int:
    with sqlite3.connect(desk.home / "hub" / "hub.sqlite3") as db:
        found = db.execute("SELECT count(*) FROM people_holder WHERE name LIKE ?", [name])
        return int(found.fetchone()[0])


def test_a_list_is_checked_and_taken_over_while_the_page_shows_how_far_it_is(desk: Desk) -> None:
    with sync_api.sync_playwright() as playwright:
        page = opened(playwright, desk)
        send(page, desk, rows(100, 40))
        page.locator("progress").wait_for()
        page.get_by_role("button", name="Take all of it over").click()
        page.locator(".tag.good", has_text="Done").wait_for()
    assert count_of(desk, "住户1%") == 40


def test_a_worker_that_is_killed_leaves_nothing_and_the_page_says_so(desk: Desk) -> None:
    with sync_api.sync_playwright() as playwright:
        page = opened(playwright, desk)
        send(page, desk, rows(20_000, 9_000))
        folder = desk.home / "hub" / "office"
        until = time.monotonic() + 60
        lock: Path | None = None
        while lock is None and time.monotonic() < until:
            lock = next(iter(folder.glob("jb_*.lock")), None)
        assert lock is not None
        job, _, attempt = lock.stem.rpartition("-")
        os.kill(worker_of(job, attempt), signal.SIGKILL)
        page.locator(".tag.denied", has_text="Interrupted").wait_for()
        assert "Nothing of it was taken over" in page.inner_text("#job")
        assert count_of(desk, "住户2%") == 0
        page.get_by_role("button", name="Check again").click()
        page.get_by_role("button", name="Take all of it over").wait_for()


def worker_of(job: str, attempt: str) -> int:
    """Find the one process that works on a job."""
    wanted = f"office_work\0{job}\0{attempt}\0".encode()
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in command.read_bytes():
                return int(command.parent.name)
        except OSError:
            continue
    raise AssertionError(f"nobody works on {job}")


def test_the_search_shows_people_while_somebody_types(desk: Desk) -> None:
    with sync_api.sync_playwright() as playwright:
        page = opened(playwright, desk)
        page.goto(f"{desk.web}/office/search")
        page.locator("#q").press_sequentially("林安")
        page.locator("#found strong", has_text="林安").wait_for()
        assert page.url.endswith("/office/search")


PAGES = ("queues", "search?q=林", "lists", "bulk", "queues/identities")


@pytest.mark.parametrize(("width", "language"), [(375, "zh-CN"), (1280, "en-US")])
def test_pages_fit_and_pass_the_checks_of_accessibility(
    desk: Desk, width: int, language: str
) -> None:
    with sync_api.sync_playwright() as playwright:
        page = opened(playwright, desk, width, language)
        send(page, desk, "楼栋,房号,姓名,手机,身份\n1栋,101,林安,电话,业主\n".encode(), "a.csv")
        page.locator(".tag.denied").wait_for()
        looked_at(page, f"refused-{width}-{language}", width)
        for address in PAGES:
            page.goto(f"{desk.web}/office/{address}")
            looked_at(page, f"{address.split('?')[0].replace('/', '-')}-{width}-{language}", width)
        page.goto(f"{desk.web}/office/bulk")
        page.check("input[name=action][value=passes]")
        page.fill("#id_reason", "换卡")
        page.locator("form.form button.main").click()
        page.locator("table").wait_for()
        looked_at(page, f"preview-{width}-{language}", width)
        if width == 1280:
            page.locator("button.danger").click()
            page.locator("a[href$='/passes']").click()
            page.locator(".pass-card").first.wait_for()
            looked_at(page, f"passes-{width}-{language}", width)
            if PICTURES:
                page.pdf(path=f"{PICTURES}/passes-{language}.pdf", prefer_css_page_size=True)


def looked_at(page: Any, name: str, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    found = axe.Axe().run(page).response["violations"]
    bad = [
        (one["id"], one["nodes"][0]["html"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not bad, (name, bad)
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)
