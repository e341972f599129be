"""The residents' pages on a phone, in a real browser against a real hub.

Needs Chromium; where there is none these tests are skipped by name.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from anlin.hub.conftest import Hub, run_manage

sync_api = pytest.importorskip("playwright.sync_api")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 20_000

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

_SEED = """
import json
from datetime import timedelta
from importlib import import_module
from uuid import uuid4
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.utils import timezone
from anlin.core.entities import Direction, Method
from anlin.hub.access import services as access
from anlin.hub.access.policy import community_group
from anlin.hub.accounts.services import resident_login
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.people import services as people
by = Actor.command("test")
community = people.create_community(f"{uuid4()}", by)
node, _code = devices.create_node(community, "east", by)
portal = access.add_portal(community, "东门", by, node=node)
ways = (Method.CARD, Method.QR, Method.PHONE, Method.PIN)
point = access.add_point(portal, "东门入口", Direction.ENTRY, ways, by)
access.add_rule(community, "居民", [community_group(community.pk)], [point], by)
unit = people.add_unit(people.add_building(community, "1 号楼", by), "1-101", by)
lin = people.register_holder(community, "林安", by, unit=unit)
card = access.add_card(lin, "04A1B2C3D4", by)
# An edge that is heard for the length of the test, and never answers.
Node.objects.filter(pk=node.pk).update(last_seen_at=timezone.now() + timedelta(hours=1))
user = resident_login(lin, by).user
store = import_module(settings.SESSION_ENGINE).SessionStore()
store[SESSION_KEY] = str(user.pk)
store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
store[HASH_SESSION_KEY] = user.get_session_auth_hash()
store.create()
print(json.dumps({"session": store.session_key, "unit": unit.pk, "card": card.pk,
                  "point": point.pk, "holder": lin.pk}))
"""


@pytest.fixture
def lin(hub: Hub) -> dict[str, str]:
    """Sign Lin in at a hub that runs; give her session and what is hers."""
    said = run_manage(hub.home, "shell", "-v", "0", "-c", _SEED).splitlines()[-1]
    made: dict[str, str] = json.loads(said)
    return {"web": hub.web, **made}


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def phone(browser: Any, lin: dict[str, str], **more: Any) -> Any:
    context = browser.new_context(
        **{"locale": "en-US", "viewport": {"width": 375, "height": 740}, **more}
    )
    context.set_default_timeout(WAIT_MS)
    cookie = {"name": "anlin_session", "value": lin["session"], "url": lin["web"]}
    context.add_cookies([cookie])
    return context.new_page()


def pages(lin: dict[str, str]) -> tuple[str, ...]:
    return (
        "/home/",
        f"/home/doors/{lin['point']}",
        "/home/qr",
        "/home/more",
        "/home/today",
        "/home/help",
        f"/home/contacts/{lin['unit']}/add",
        "/home/family",
        f"/home/family/{lin['unit']}/add",
        "/home/keys",
        "/home/keys/pin",
        "/home/keys/face",
        f"/home/keys/{lin['card']}/lost",
        "/home/looks",
        "/home/visitors",
        f"/home/visitors/{lin['unit']}/invite",
        f"/home/visitors/{lin['unit']}/invite?kind=helper",
        "/home/cars",
        "/home/cars/add",
        "/home/offline",
    )


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize(("locale", "language"), [("zh-CN", "zh-hans"), ("en-US", "en")])
def test_no_page_has_a_serious_barrier_or_scrolls_sideways(
    browser: Any, lin: dict[str, str], locale: str, language: str, is_large: bool
) -> None:
    page = phone(
        browser,
        lin,
        locale=locale,
        viewport={"width": 320, "height": 640},
        bypass_csp=True,
        service_workers="block",
    )
    if is_large:
        page.goto(f"{lin['web']}/home/")
        page.locator("form.view button[name=size]").click()
        page.wait_for_selector("html.large")
    axe = axe_api.Axe()
    for url in pages(lin):
        page.goto(lin["web"] + url)
        assert page.locator("html").get_attribute("lang") == language
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, (url, width)
        found = axe.run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, (url, serious)


def test_a_door_is_opened_in_two_steps_without_script(browser: Any, lin: dict[str, str]) -> None:
    page = phone(browser, lin, java_script_enabled=False)
    page.goto(f"{lin['web']}/home/")
    page.get_by_role("link", name="东门入口").click()
    page.get_by_role("button", name="Open now").click()
    assert "is being asked" in page.locator("#came").inner_text()
    # The page asks again by itself; nobody answers, and that is told.
    page.locator(".came.unreachable").wait_for(timeout=30_000)
    assert "will not open later" in page.locator("#came").inner_text()


def test_ten_seconds_run_out_on_the_button(browser: Any, lin: dict[str, str]) -> None:
    page = phone(browser, lin)
    page.clock.install()
    page.goto(f"{lin['web']}/home/doors/{lin['point']}")
    page.clock.run_for(3_000)
    assert "(7)" in page.locator("button[data-seconds]").inner_text()
    page.clock.run_for(8_000)
    assert page.locator("button[data-seconds]").is_disabled()


def test_without_a_network_the_phone_says_so_and_shows_the_last_qr(
    browser: Any, lin: dict[str, str]
) -> None:
    page = phone(browser, lin)
    page.goto(f"{lin['web']}/home/")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    page.goto(f"{lin['web']}/home/qr")
    code = page.locator(".qr").inner_html()

    page.context.set_offline(True)
    page.goto(f"{lin['web']}/home/")
    assert "No network" in page.locator("h1").inner_text()
    page.get_by_role("link", name="Show my last QR").click()
    page.locator(".qr").wait_for()
    assert page.locator(".qr").inner_html() == code

    # Signed out, the code is gone from the phone.
    page.context.set_offline(False)
    page.context.clear_cookies()
    page.goto(f"{lin['web']}/home/")
    page.wait_for_url(re.compile("/home/login"))
    page.context.set_offline(True)
    page.goto(f"{lin['web']}/home/qr")
    assert "No network" in page.locator("h1").inner_text()


def test_the_pages_can_be_installed(browser: Any, lin: dict[str, str]) -> None:
    page = phone(browser, lin)
    page.goto(f"{lin['web']}/home/")
    link = page.locator("link[rel=manifest]").get_attribute("href")
    answer = page.request.get(lin["web"] + str(link))
    manifest = answer.json()
    assert manifest["start_url"] == manifest["scope"] == "/home/"
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        assert page.request.get(lin["web"] + icon["src"]).ok
