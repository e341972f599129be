"""The pages in a real browser, against real processes.

Needs Chromium; where there is none these tests are skipped by name.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from anlin.core.codec import to_data
from anlin.core.event import GENESIS, Draft, EventKind, chain
from anlin.core.sync import Batch
from anlin.hub.conftest import Hub, Site, _env, free_port, run_manage, wait_for

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 20_000

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@dataclass
class Running:
    """A hub of our own, whose processes may be killed."""

    home: Path
    ports: tuple[int, int]
    site: Site | None = None
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _seq: int = 0
    _hash: str = GENESIS

    def start(self, name: str) -> None:
        web, live = self.ports
        command = {
            "web": [
                *("-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"),
                *("--port", str(web), "--workers", "1", "--no-access-log"),
                "anlin.hub.wsgi:application",
            ],
            "live": ["-m", "anlin.hub.live", "--port", str(live)],
        }[name]
        self.processes[name] = subprocess.Popen(
            [sys.executable, *command], env=_env(self.home, web, live), start_new_session=True
        )
        wait_for(web if name == "web" else live)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)

    def refuse(self, count: int) -> None:
        """Let the edge upload refused cards, numbered in their label."""
        assert self.site is not None
        events = []
        for _ in range(count):
            self._seq += 1
            data = {"reason": "credential_unknown", "method": "card", "label": f"No {self._seq}"}
            draft = Draft(EventKind.ACCESS_DENIED, "ap_gate", datetime.now(UTC), data)
            event = chain(draft, self.site.node, 1, self._seq, self._hash)
            self._hash = event.hash
            events.append(event)
        answer = httpx.post(
            f"{self.site.web}/sync/v1/events",
            json=to_data(Batch(self.site.node, tuple(events))),
            headers=self.site.as_node,
        )
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("browser")
    run_manage(home, "prepare")
    ours = Running(home, (free_port(), free_port()))
    ours.start("web")
    ours.start("live")
    ours.site = Hub(
        home, f"http://127.0.0.1:{ours.ports[0]}", f"http://127.0.0.1:{ours.ports[1]}"
    ).site()
    yield ours
    for name in list(ours.processes):
        ours.kill(name)


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Give a film for the fake camera: a portrait in the public domain, where it is installed."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    face = Image.fromarray(data.astronaut()).crop((120, 0, 376, 192)).resize((1280, 960))
    out = io.BytesIO()
    face.save(out, "JPEG", quality=95)
    film = tmp_path_factory.mktemp("camera") / "portrait.mjpeg"
    film.write_bytes(out.getvalue() * 3)
    return film


def open_page(playwright: Any, running: Running, *arguments: str) -> Any:
    """Open a browser with the fake camera and log the manager in, in English."""
    assert running.site is not None
    for name in {"web", "live"} - set(running.processes):
        running.start(name)
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            *arguments,
        ],
    )
    context = browser.new_context(locale="en-US", viewport={"width": 1360, "height": 850})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(f"{running.site.web}/login")
    page.fill("#id_username", running.site.manager)
    page.fill("#id_password", running.site.password)
    page.click("button.main")
    page.wait_for_selector(".rail")
    return page


def has_rows(page: Any, count: int) -> None:
    page.locator(".feed .row").nth(count - 1).wait_for()


def numbers(page: Any) -> list[int]:
    return [int(re.sub(r"\D", "", text)) for text in page.locator(".feed .who").all_inner_texts()]


def test_the_console_outlives_its_processes_and_misses_nothing(running: Running) -> None:
    with sync_api.sync_playwright() as playwright:
        page = open_page(playwright, running)
        state = page.locator("#link")
        page.wait_for_selector("#link[data-state=live]")
        running.refuse(3)
        has_rows(page, 3)

        running.kill("live")
        page.wait_for_selector("#link[data-state=reconnecting]")
        assert "Reconnecting" in state.inner_text()
        running.refuse(4)
        # The page asks for itself while the stream is away.
        has_rows(page, 7)

        running.start("live")
        page.wait_for_selector("#link[data-state=live]")
        running.refuse(2)
        has_rows(page, 9)

        running.kill("web")
        page.wait_for_selector("#link[data-state=lost]")
        assert "stands still" in state.inner_text()
        running.start("web")
        page.wait_for_selector("#link[data-state=live]")
        running.refuse(130)
        has_rows(page, 139)
        assert numbers(page) == list(range(139, 0, -1))


def register(page: Any, running: Running, name: str) -> None:
    assert running.site is not None
    page.goto(f"{running.site.web}/holders/new")
    page.fill("#id_name", name)
    page.check("input[name=kind][value=staff]")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("link", name="Enrol a face").click()
    page.check("input[name=age][value='14']")
    page.check("#id_was_shown")
    page.get_by_role("button", name="Agreed").click()


def take_picture(page: Any) -> None:
    page.get_by_role("button", name="Take the picture").click()
    page.get_by_role("button", name="Use this picture").click()


def test_a_camera_that_shows_no_face_is_told_so_in_words(running: Running) -> None:
    with sync_api.sync_playwright() as playwright:
        page = open_page(playwright, running)
        register(page, running, "郭守")
        take_picture(page)
        fault = page.locator("#fault")
        assert "There is no face in this picture." in fault.inner_text()
        assert "Look straight at the camera" in fault.inner_text()


def test_a_face_before_the_camera_is_enrolled(running: Running, portrait: Path) -> None:
    with sync_api.sync_playwright() as playwright:
        page = open_page(playwright, running, f"--use-file-for-fake-video-capture={portrait}")
        register(page, running, "赵来")
        take_picture(page)
        page.wait_for_selector(".note.success")
        assert "The face of 赵来 is enrolled." in page.locator(".note.success").inner_text()
        assert page.locator(".items .tag.good", has_text="In use").count() == 1


def test_a_phone_shows_every_page_without_sideways_scrolling(running: Running) -> None:
    assert running.site is not None
    with sync_api.sync_playwright() as playwright:
        page = open_page(playwright, running)
        page.set_viewport_size({"width": 390, "height": 844})
        for url in (
            "/",
            "/holders",
            "/holders/new",
            "/points",
            "/visits/new",
            "/nodes",
            "/changes",
        ):
            page.goto(f"{running.site.web}{url}")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, (url, width)
            assert page.locator(".bar").is_visible()
