"""A visitor's way from the question to the gate: real hub, broker, edge and browser; then no hub.

Needs Chromium; where there is none this test is skipped by name. What the phone shows is read back
from its picture, as a reader at the gate does.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from anlin import up
from anlin.core import qr
from anlin.sim.gate import Gate

async_api = pytest.importorskip("playwright.async_api")
axe = pytest.importorskip("axe_playwright_python.async_playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START_S = 90.0
"""Five processes start at once, on a machine that may be doing a dozen other things."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

_MAKE = """
import json
from anlin.core.entities import Direction, Method
from anlin.hub.access import services as access
from anlin.hub.access.policy import VISITORS
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.accounts.services import add_staff
from anlin.hub.people import services as people
from anlin.hub.people.models import Role
by = Actor.command("test")
community = people.create_community("天宝绿洲", by)
node, code = devices.create_node(community, "东门机房", by)
portal = access.add_portal(community, "东门", by, node=node)
point = access.add_point(portal, "东门入口", Direction.ENTRY, [Method.QR, Method.CARD], by)
access.add_rule(community, "访客通行", [VISITORS], [point], by)
home = people.add_unit(people.add_building(community, "1 号楼", by), "1-101", by)
people.register_holder(community, "林安", by, unit=home)
gate, password = devices.add_device(
    node, "东门控制器", "mqtt_gate",
    {"readers": {"in": point.pk}, "inputs": {"door": portal.pk}, "outputs": {"door": portal.pk}},
    by, uses_mqtt=True,
)
_, log_in = add_staff(community, "meng", Role.MANAGER, by)
print(json.dumps({
    "community": community.pk, "code": code, "gate": gate.pk, "password": password, "meng": log_in,
}))
"""

_LINK = """
from anlin.hub.visits import links
from anlin.hub.visits.models import Visit
print(links.answer_path(Visit.objects.get()))
"""


@dataclass
class Running:
    """The processes of one machine, each of which may be ended."""

    home: Path
    addresses: up.Addresses
    made: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, program: up.Program) -> None:
        log = self.home / f"{program.name}.out"
        with log.open("ab") as out:
            self.processes[program.name] = subprocess.Popen(
                program.command,
                env={**os.environ, **program.env},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def end(self, *names: str) -> None:
        for name in names:
            process = self.processes.pop(name)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=20)

    def manage(self, script: str) -> str:
        return _manage(self.home, self.addresses, "shell", "-v", "0", "-c", script).strip()


def _manage(home: Path, addresses: up.Addresses, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "anlin.hub.manage", *arguments],
        env={**os.environ, **up.hub_env(home, addresses)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    addresses = up.free_addresses(
        up.Addresses(hub=up.free_port(), live=up.free_port(), mqtt=up.free_port())
    )
    up.prepare_broker(tmp_path, addresses.mqtt)
    _manage(tmp_path, addresses, "migrate", "--verbosity=0")
    _manage(tmp_path, addresses, "migrate", "--verbosity=0", "events", "--database=events")
    ours = Running(tmp_path, addresses, {})
    ours.made = json.loads(ours.manage(_MAKE))
    for program in up.hub_programs(tmp_path, addresses):
        ours.start(program)
    yield ours
    ours.end(*list(ours.processes))


async def until(holds: Callable[[], Any], wait_s: float = START_S) -> Any:
    """Wait until something is there; give it."""
    async with asyncio.timeout(wait_s):
        while not (found := holds()):  # noqa: ASYNC110  another process
            await asyncio.sleep(0.1)
    return found


async def until_async(holds: Callable[[], Awaitable[bool]], wait_s: float = START_S) -> None:
    """Ask again and again until the answer is yes."""
    async with asyncio.timeout(wait_s):
        while not await holds():  # noqa: ASYNC110  another process
            await asyncio.sleep(0.5)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


async def read_code(page: Any) -> str:
    """Read the QR code from the phone's screen, as a reader at the gate does."""
    await page.locator("#qr svg").scroll_into_view_if_needed()
    # The whole screen: a code is found by the light margin around it.
    picture = await page.screenshot()
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    text = ""
    for times in (2, 3, 1):
        larger = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
        text, _, _ = cv2.QRCodeDetector().detectAndDecode(larger)
        if text:
            break
    assert text.startswith(qr.PREFIX), "no code can be read from the screen"
    return str(text)


async def is_kind(page: Any, name: str, width: int = 375) -> None:
    """Say what a page asks too much of: of who can't see well, or of a narrow screen."""
    shots = os.environ.get("ANLIN_SHOTS")
    if shots:
        await page.screenshot(path=f"{shots}/{name}.png", full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
    found = await axe.Axe().run(page)
    grave = [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert grave == [], name


async def show(gate: Gate, text: str) -> str:
    """Hold a text to the reader; give the reason that the screen shows."""
    before = len(gate.shown)
    gate.read("in", "qr", text)
    await until(lambda: len(gate.shown) > before, 20)
    return gate.shown[-1].code


async def look_in_english(browser: Any, running: Running, address: str) -> None:
    """Open the same in English, and the pages of the office on a phone and on a desk."""
    hub, made = running.addresses.hub_url, running.made
    for width in (375, 1280):
        size = {"width": width, "height": 800}
        page = await (await browser.new_context(locale="en-US", viewport=size)).new_page()
        await page.goto(f"{hub}/visit/{made['community']}")
        await page.get_by_role("button", name="Ask the home").wait_for()
        await is_kind(page, f"ask-en-{width}", width)
        await page.goto(address)
        await page.get_by_text("The code changes every half minute").wait_for()
        await is_kind(page, f"pass-en-{width}", width)
        await page.goto(f"{hub}/login")
        await page.fill("#id_username", "meng")
        await page.fill("#id_password", made["meng"])
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_selector(".rail, .bar", state="attached")
        for name in ("visitors", "visitors/new", "visitors/barred/new", "visitors/rules"):
            await page.goto(f"{hub}/{name}")
            await is_kind(page, f"{name.replace('/', '-')}-en-{width}", width)
        await page.goto(f"{hub}/visitors")
        await page.get_by_role("link", name="赵来").click()
        await page.get_by_role("heading", name="赵来").wait_for()
        await is_kind(page, f"visit-en-{width}", width)


async def test_a_visitor_asks_is_agreed_to_and_comes_in_with_and_without_the_hub(
    running: Running,
) -> None:
    addresses, made = running.addresses, running.made
    await until(lambda: answers(f"{addresses.hub_url}/login"))
    running.start(up.edge_program(running.home, addresses.hub, addresses.live, made["code"]))
    gate = Gate(made["gate"], made["password"], up.HOST, addresses.mqtt)
    at_the_gate = asyncio.create_task(gate.run())
    async with async_api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        phone = await browser.new_context(
            locale="zh-CN", viewport={"width": 375, "height": 740}, device_scale_factor=2
        )
        page = await phone.new_page()
        await page.goto(f"{addresses.hub_url}/visit/{made['community']}")
        await is_kind(page, "ask-zh")
        for name, value in (
            ("home", "1-101"), ("surname", "林"), ("name", "赵来"), ("phone", "13900000002"),
        ):  # fmt: skip
            await page.fill(f"#id_{name}", value)
        await page.get_by_role("button", name="提交预约").click()
        await page.get_by_text("等待答复").first.wait_for()
        address = page.url
        await is_kind(page, "waiting-zh")

        narrow = {"width": 375, "height": 740}
        host = await (await browser.new_context(locale="zh-CN", viewport=narrow)).new_page()
        await host.goto(addresses.hub_url + await asyncio.to_thread(running.manage, _LINK))
        await is_kind(host, "answer-zh")
        await host.get_by_role("button", name="同意来访").click()
        await host.get_by_role("heading", name="您已同意").wait_for()

        await page.goto(address)
        await page.wait_for_selector("#qr[data-code]")
        await is_kind(page, "pass-zh")
        await until(lambda: gate.connected.is_set())
        first = await read_code(page)

        answered: list[str] = []

        async def opens() -> bool:
            answered.append(await show(gate, await read_code(page)))
            return answered[-1] == "granted"

        # The edge hears of the visit, the sealed secret and the device within seconds.
        try:
            await until_async(opens)
        except TimeoutError:
            pytest.fail(f"the gate answered {answered}")
        assert gate.releases
        used = await read_code(page)
        assert await show(gate, used) in ("pass_shown", "granted")

        await look_in_english(browser, running, address)

        # Now the street is torn up: no hub for the gate, no network for the phone.
        running.end("web", "live", "worker")
        await phone.set_offline(True)
        shown_before = await page.get_attribute("#qr", "data-code")

        async def has_turned() -> bool:
            return bool(await page.get_attribute("#qr", "data-code") != shown_before)

        await until_async(has_turned, qr.STEP_S + 15)
        turned = await read_code(page)
        assert turned != used
        assert await show(gate, turned) == "granted"
        assert await show(gate, turned) == "pass_shown", "a second phone with the same picture"

        turning = json.loads(await page.locator("#turning").text_content())
        text = first.rpartition(".")[0]
        old = datetime.now(UTC) - timedelta(minutes=2)
        secret = base64.b64decode(turning["secret"])
        assert await show(gate, qr.shown(text, secret, old)) == "pass_stale"
        await browser.close()
    at_the_gate.cancel()
    await asyncio.gather(at_the_gate, return_exceptions=True)
