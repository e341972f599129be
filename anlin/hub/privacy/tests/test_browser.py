"""The pages of privacy in a real browser: phone and desk, both languages, without barriers.

The pages are rendered first and handed to the browser one by one: what is tried here is what a
person sees, not how it travels.
"""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.urls import reverse

from anlin.hub.console.tests.test_browser import CHROMIUM, WAIT_MS
from anlin.hub.console.tests.world import BY, SignIn, World
from anlin.hub.devices.models import Device
from anlin.hub.people.models import Purpose
from anlin.hub.privacy import ledger, retention
from anlin.hub.privacy.requests import ask
from anlin.hub.privacy.tests.test_pages import PAGES, made

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.django_db(databases=["default", "events"]),
]

HOST = "http://anlin.test"


@pytest.mark.parametrize(("width", "locale"), [(375, "zh-CN"), (1280, "en-US")])
def test_every_page_fits_and_has_no_barrier(
    world: World, sign_in: SignIn, width: int, locale: str
) -> None:
    Device.objects.create(node=world.node, name="东门人脸机", driver="face_terminal")
    ledger.give(world.people["wang"], Purpose.FACE, BY)
    ids = made(world)
    ask(world.people["lin"], "delete", "请删除我的信息", BY)
    retention.run_all(world.community, BY)
    meng = sign_in("meng", "zh-hans" if locale == "zh-CN" else "en")
    urls = {
        name: reverse(f"privacy:{name}", args=ids[on])
        for name, on, _who in PAGES
        if name != "filing_data"
    }
    pages = {url: meng.get(url).content for url in urls.values()}
    wide, grave = [], []
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(locale=locale, viewport={"width": width, "height": 800})
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.route("**/*", lambda route: _answer(route, pages))
        for name, url in urls.items():
            page.goto(HOST + url)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append(name)
            grave += [
                (name, one["id"], one["nodes"][0]["html"][:120])
                for one in axe.run(page).response["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            folder = os.environ.get("ANLIN_SHOTS")
            if folder:
                page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
        browser.close()
    assert (wide, grave) == ([], [])


def _answer(route: Any, pages: dict[str, bytes]) -> None:
    path = route.request.url.removeprefix(HOST).partition("?")[0]
    if path in pages:
        route.fulfill(body=pages[path], content_type="text/html; charset=utf-8")
        return
    found = finders.find(path.removeprefix("/static/"))
    if isinstance(found, str):
        kind = mimetypes.guess_type(found)[0] or "application/octet-stream"
        route.fulfill(body=Path(found).read_bytes(), content_type=kind)
    else:
        route.fulfill(status=404, body="")
