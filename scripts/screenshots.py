"""Make the pictures of the README: a morning with drawn faces, photographed in a real browser.

    python scripts/screenshots.py

Fills a throw-away hub through its own services and event log, starts its two processes, and writes
docs/pictures/. Needs Chromium and a Chinese font. No photograph of a person comes near it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from playwright.sync_api import Browser, sync_playwright

from anlin import up

if TYPE_CHECKING:
    from anlin.hub.console.tests.world import World

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
DESK, PHONE = {"width": 1360, "height": 850}, {"width": 390, "height": 844}
READY_S = 60.0


def main() -> None:
    """Make every picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("screenshots: no chromium here (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        addresses = up.free_addresses(up.Addresses())
        os.environ.update(up.hub_env(home, addresses))
        world = _fill()
        processes = [_start(program) for program in up.hub_programs(home, addresses)[1:]]
        try:
            _wait(addresses.hub_url)
            _morning(world)
            PICTURES.mkdir(parents=True, exist_ok=True)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium)
                for language in ("zh", "en"):
                    _photograph(browser, addresses.hub_url, world.passwords["meng"], language)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(10)


def _fill() -> World:
    """Bring up a hub with a small community."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("migrate", "events", database="events", verbosity=0)
    from anlin.hub.console.tests.world import make_world

    return make_world()


def _morning(world: World) -> None:
    """Let people come; the milliseconds are those of a real run of `make demo`."""
    from anlin.core.access import Reason
    from anlin.core.entities import Method
    from anlin.core.event import EventKind

    lane = world.portals["lane"].pk
    for portal in world.portals.values():
        world.happened(EventKind.DOOR_CLOSED, portal.pk, {"state": "secured"})
    world.passed("wang", "east", Method.CARD, latency_ms=16)
    world.refused("qian", "west", Method.CARD, Reason.RESIDENCY_ENDED, latency_ms=8)
    world.happened(EventKind.VEHICLE_ARRIVED, lane)
    world.passed("lin", "lane", Method.PLATE, latency_ms=582, value="京A12345")
    world.refused("", "east", Method.FACE, Reason.FACE_NOT_RECOGNISED, picture=world.picture(11))
    masked = world.picture(3, masked=True)
    world.refused("lin", "east", Method.FACE, Reason.MASK_WORN, picture=masked, latency_ms=430)
    world.passed("lin", "east", Method.CARD, latency_ms=13)
    world.happened(EventKind.DOOR_HELD, world.portals["door2"].pk, {"state": "held"})
    world.passed("wang", "door1", Method.FACE, picture=world.picture(5), latency_ms=733)
    world.passed("lin", "east", Method.FACE, picture=world.picture(3), latency_ms=694)


def _start(program: up.Program) -> subprocess.Popen[bytes]:
    return subprocess.Popen(program.command, env={**os.environ, **program.env})


def _wait(url: str) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/login").is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SystemExit(f"screenshots: the hub did not answer in {READY_S:.0f} s")


def _photograph(browser: Browser, url: str, password: str, language: str) -> None:
    locale = {"zh": "zh-CN", "en": "en-GB"}[language]
    for name, size in (("console", DESK), ("phone", PHONE)):
        context = browser.new_context(viewport=size, locale=locale)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{url}/login")
        page.fill("input[name=username]", "meng")
        page.fill("input[name=password]", password)
        page.press("input[name=password]", "Enter")
        page.wait_for_url(f"{url}/")
        page.wait_for_timeout(1500)
        page.screenshot(path=PICTURES / f"{name}-{language}.png")
        context.close()


if __name__ == "__main__":
    main()
