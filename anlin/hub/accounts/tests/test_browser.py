"""Passkeys and the log-ins in a real browser, with the virtual authenticator of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anlin.hub.conftest import _env, free_port, run_manage, wait_for
from anlin.hub.console.tests.test_browser import CHROMIUM, WAIT_MS

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

PHONE = "13800000001"

_FOUND = """
import json
from django.core.management import call_command
from anlin.hub.audit.log import Actor
from anlin.hub.people import services as people
from anlin.hub.people.models import Community
call_command("found", "天宝绿洲", manager="meng", node="east")
BY = Actor.command("test")
community = Community.objects.get()
unit = people.add_unit(people.add_building(community, "1 号楼", BY), "1-101", BY)
people.register_holder(community, "林安", BY, unit=unit, phone="13800000001")
people.register_holder(community, "林小", BY, unit=unit, phone="13800000001")
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run a hub at the name localhost: by numbers alone no browser makes a passkey."""
    home: Path = tmp_path_factory.mktemp("accounts")
    run_manage(home, "prepare")
    made = json.loads(run_manage(home, "shell", "-v", "0", "-c", _FOUND).splitlines()[-1])
    port, log = free_port(), home / "web.log"
    env = _env(home, port, free_port()) | {
        "ANLIN_SMS": "console",
        "ANLIN_HUB_URL": f"http://localhost:{port}",
    }
    command = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command, "--workers", "1", "anlin.hub.wsgi:application"],
            env=env,
            stderr=out,
            stdout=out,
            start_new_session=True,
        )
        try:
            wait_for(port)
            yield {"web": f"http://localhost:{port}", "log": log, "made": made}
        finally:
            os.killpg(process.pid, 15)
            process.wait(timeout=20)


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def new_page(browser: Any, width: int, locale: str, with_key: bool = True) -> Any:
    context = browser.new_context(locale=locale, viewport={"width": width, "height": 800})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    if with_key:
        cdp = context.new_cdp_session(page)
        cdp.send("WebAuthn.enable")
        cdp.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
    return page


def shot(page: Any, name: str) -> None:
    """Keep a picture where somebody asked for them."""
    folder = os.environ.get("ANLIN_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def fits(page: Any) -> None:
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], (page.url, width)


def no_barrier(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    grave = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    assert grave == [], page.url


def seen(page: Any, name: str) -> None:
    fits(page)
    no_barrier(page)
    shot(page, name)


def code_in(log: Path, before: int) -> str:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = re.findall(r"(?:code is|验证码[^0-9]{0,6}) ?(\d{6})", log.read_text("utf-8"))
        if len(found) > before:
            return str(found[-1])
        time.sleep(0.1)
    raise AssertionError("no code in the log")


@pytest.mark.parametrize(("width", "locale"), [(375, "zh-CN"), (1280, "en-US")])
def test_staff_make_a_passkey_and_log_in_with_it_alone(
    hub: dict[str, Any], browser: Any, width: int, locale: str
) -> None:
    page = new_page(browser, width, locale)
    tag = f"{width}-{locale}"
    page.goto(f"{hub['web']}/login")
    seen(page, f"login-{tag}")
    page.fill("#id_username", hub["made"]["manager"])
    page.fill("#id_password", hub["made"]["password"])
    page.click("button.main")
    if "/login/second" in page.url:
        pytest.fail("a second factor is set up already")
    page.goto(f"{hub['web']}/account/authenticator")
    seen(page, f"authenticator-{tag}")
    page.goto(f"{hub['web']}/account")
    seen(page, f"account-{tag}")
    page.click("button[data-make]")
    page.wait_for_url("**/account/codes")
    seen(page, f"codes-{tag}")
    page.goto(f"{hub['web']}/account")
    for path in ("/account/password", "/staff", "/staff/new", "/staff/rule", "/changes"):
        page.goto(hub["web"] + path)
        seen(page, f"{path.strip('/').replace('/', '-')}-{tag}")
    page.context.clear_cookies()
    page.goto(f"{hub['web']}/login?next=/account")
    page.click("button[data-begin]")
    page.wait_for_url("**/account")
    # With the password, the passkey is the second factor; then it goes, for the next run.
    page.context.clear_cookies()
    page.goto(f"{hub['web']}/login?next=/account")
    page.fill("#id_username", hub["made"]["manager"])
    page.fill("#id_password", hub["made"]["password"])
    page.click("button.main")
    page.wait_for_url("**/login/second")
    seen(page, f"second-{tag}")
    page.click("button[data-begin]")
    page.wait_for_url("**/account")
    page.locator("form[action*='/account/factors/'] button").first.click()
    page.wait_for_selector(".note.success")
    assert page.locator("form[action*='/account/factors/']").count() == 0


@pytest.mark.parametrize(("width", "locale"), [(375, "zh-CN"), (1280, "en-US")])
def test_a_resident_logs_in_by_code_then_by_passkey(
    hub: dict[str, Any], browser: Any, width: int, locale: str
) -> None:
    tag = f"{width}-{locale}"
    sent = len(re.findall(r"SMS to", hub["log"].read_text("utf-8")))
    if sent:
        _a_minute_passes(hub)
    page = new_page(browser, width, locale)
    page.goto(f"{hub['web']}/home/login")
    seen(page, f"home-login-{tag}")
    page.fill("#id_phone", PHONE)
    page.click("button.big >> nth=0")
    page.wait_for_url("**/home/login/code")
    seen(page, f"home-code-{tag}")
    page.fill("#id_code", code_in(hub["log"], sent))
    page.locator("form.card button.big").click()
    page.wait_for_url("**/home/login/who")
    seen(page, f"home-who-{tag}")
    page.locator("button[name=holder]").first.click()
    page.wait_for_url("**/home/")
    page.goto(f"{hub['web']}/home/login/mine")
    page.click("button[data-make]")
    page.wait_for_selector("form[action*='/passkeys/']")
    seen(page, f"home-mine-{tag}")
    page.context.clear_cookies()
    page.goto(f"{hub['web']}/home/login")
    page.click("button[data-begin]")
    page.wait_for_url("**/home/")


def test_a_browser_without_a_passkey_is_told_to_take_another_way(
    hub: dict[str, Any], browser: Any
) -> None:
    page = new_page(browser, 375, "en-US")
    page.goto(f"{hub['web']}/login")
    page.click("button[data-begin]")
    page.wait_for_selector("#passkey-fault:not([hidden])")
    assert "another way" in page.inner_text("#passkey-fault")


def _a_minute_passes(hub: dict[str, Any]) -> None:
    run_manage(
        hub["log"].parent,
        *("shell", "-v", "0", "-c"),
        "from anlin.hub.accounts.models import Tries; Tries.objects.all().delete()",
    )
