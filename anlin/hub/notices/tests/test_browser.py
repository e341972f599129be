"""Notices and messages in a real browser, phone and desk, Chinese and English, against a real hub.

Needs Chromium; where there is none these tests are skipped by name.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anlin.hub.conftest import Hub, run_manage

sync_api = pytest.importorskip("playwright.sync_api")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 20_000
SIZES = {"phone": {"width": 375, "height": 740}, "desk": {"width": 1360, "height": 850}}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

_SEED = """
import json
from importlib import import_module
from uuid import uuid4
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from anlin.hub.accounts.services import resident_login
from anlin.hub.audit.log import Actor
from anlin.hub.notices import board, devices, services
from anlin.hub.people import services as people
from anlin.hub.people.models import Role
from anlin.notify.webpush.standin import Browser
by = Actor.command("test")
community = people.create_community(f"{uuid4()}", by)
unit = people.add_unit(people.add_building(community, "1 号楼", by), "1-101", by)
lin = people.register_holder(community, "林安", by, unit=unit, phone="13800000001")
meng, _password = people.add_staff(community, f"meng-{uuid4()}", Role.MANAGER, by)
text = "今晚八点至十点停水，请提前储水。"
notices = [board.write(meng, board.Draft(title, text, is_urgent=True), by, sent_id=uuid4().hex)
           for title in ("停水通知", "电梯检修", "草稿")]
for notice in notices[:2]:
    board.publish(notice, by)
board.withdraw(notices[1], by, "已改期")
made = services.tell(lin, "answered", "物业已办理您的申请", "王宁，1-101", "/home/family", "k")
devices.add(lin, Browser("/x").subscription("https://push.example.com"), "Chrome · Android", by)
def session(user):
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return store.session_key
print(json.dumps({"lin": session(resident_login(lin, by).user), "meng": session(meng.user),
                  "notices": [one.pk for one in notices], "receipt": made.receipt,
                  "message": made.pk}))
"""


@pytest.fixture
def made(hub: Hub) -> dict[str, Any]:
    said = run_manage(hub.home, "shell", "-v", "0", "-c", _SEED).splitlines()[-1]
    found: dict[str, Any] = json.loads(said)
    return {"web": hub.web, "home": hub.home, **found}


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def opened(browser: Any, made: dict[str, Any], who: str, **more: Any) -> Any:
    context = browser.new_context(**{"locale": "en-US", "viewport": SIZES["phone"], **more})
    context.set_default_timeout(WAIT_MS)
    cookie = {"name": "anlin_session", "value": made[who], "url": made["web"]}
    context.add_cookies([cookie])
    return context.new_page()


def pages(made: dict[str, Any]) -> list[tuple[str, str]]:
    sent, withdrawn, draft = made["notices"]
    return [
        ("lin", "/home/notices"),
        ("lin", f"/home/notices/{sent}"),
        ("lin", f"/home/notices/{withdrawn}"),
        ("lin", "/home/push"),
        ("meng", "/notices"),
        ("meng", "/notices/new"),
        ("meng", f"/notices/{sent}"),
        ("meng", f"/notices/{draft}"),
        ("meng", f"/notices/{withdrawn}"),
        ("meng", f"/notices/{sent}/missed"),
    ]


@pytest.mark.parametrize(("size", "language"), [("phone", "zh-CN"), ("desk", "en-US")])
def test_every_page_fits_its_screen_and_breaks_no_rule_of_access(
    browser: Any, made: dict[str, Any], size: str, language: str
) -> None:
    axe = axe_api.Axe()
    for who, path in pages(made):
        page = opened(browser, made, who, locale=language, viewport=SIZES[size])
        answer = page.goto(f"{made['web']}{path}")
        assert answer.status == 200, path
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (path, wide)
        found = [
            (one["id"], [node["html"][:120] for node in one["nodes"]])
            for one in axe.run(page).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert not found, (path, found)
        if shown := os.environ.get("ANLIN_PICTURES"):
            name = f"notices-{who}-{path.rsplit('/', 2)[-1]}-{size}-{language}.png"
            page.screenshot(path=str(Path(shown) / name.replace("nt_", "")), full_page=True)
        page.context.close()


SHOWN_S = 20


def test_the_worker_shows_a_message_and_the_hub_hears_of_it(
    browser: Any, made: dict[str, Any]
) -> None:
    page = opened(browser, made, "lin")
    page.context.grant_permissions(["notifications"], origin=made["web"])
    page.goto(f"{made['web']}/home/notices")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    talk = page.context.new_cdp_session(page)
    registrations: list[dict[str, Any]] = []
    talk.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(event["registrations"]),
    )
    talk.send("ServiceWorker.enable")
    page.wait_for_function("() => true")
    data = {
        "title": "停水通知",
        "text": "今晚八点停水。",
        "url": f"/home/notices/m/{made['message']}",
        "tag": made["message"],
        "receipt": made["receipt"],
    }
    talk.send(
        "ServiceWorker.deliverPushMessage",
        {
            "origin": made["web"],
            "registrationId": registrations[0]["registrationId"],
            "data": json.dumps(data),
        },
    )
    shown: list[list[str]] = []
    until = time.monotonic() + SHOWN_S
    while not shown and time.monotonic() < until:
        shown = page.evaluate(
            """() => navigator.serviceWorker.ready.then((worker) => worker.getNotifications())
            .then((all) => all.map((one) => [one.title, one.body, one.tag]))"""
        )
    assert shown == [["停水通知", "今晚八点停水。", made["message"]]]
    script = (
        "import time\nfrom anlin.hub.notices.models import Delivery\n"
        "until = time.monotonic() + 20\n"
        f"rows = Delivery.objects.filter(receipt={made['receipt']!r}, stand='reached')\n"
        "while not rows.exists() and time.monotonic() < until:\n    time.sleep(0.1)\n"
        "print(rows.count())"
    )
    assert run_manage(made["home"], "shell", "-v", "0", "-c", script).split()[-1] == "1"
