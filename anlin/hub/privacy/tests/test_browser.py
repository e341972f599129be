"""The pages of privacy in a real browser: phone and desk, both languages, without barriers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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

_FOUND = """
import json
from datetime import timedelta
from django.core.management import call_command
from django.utils import timezone
from anlin.core.entities import Direction, Method
from anlin.hub.access import services as access
from anlin.hub.access.models import Credential, FaceTemplate
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Device
from anlin.hub.people import services as people
from anlin.hub.people.models import Community, Purpose
from anlin.hub.privacy import assessment, ledger, requests
call_command("found", "天宝绿洲", manager="meng", node="东门机房")
BY = Actor.command("test")
c = Community.objects.get()
node = c.nodes.get()
home = people.add_unit(people.add_building(c, "1 号楼", BY), "1-101", BY)
lin = people.register_holder(c, "林安", BY, unit=home)
wang = people.register_holder(c, "王宁", BY, unit=home)
portal = access.add_portal(c, "东门", BY, node=node)
access.add_point(portal, "东门入口", Direction.ENTRY, [Method.CARD, Method.FACE, Method.PIN], BY)
Device.objects.create(node=node, name="东门摄像机", driver="camera", settings={"task": "faces"})
terminal = Device.objects.create(node=node, name="东门人脸机", driver="face_terminal")
ledger.give(lin, Purpose.FACE, BY)
ledger.give(wang, Purpose.FACE, BY)
face = Credential.objects.create(community=c, holder=lin, method="face", key="x")
FaceTemplate.objects.create(credential=face, node=node, model="m", sealed="x")
publish(c, credential=[face.pk], template=[face.pk])
ledger.withdraw(lin, Purpose.FACE, BY)
requests.ask(lin, "export", "", BY)
delete = requests.ask(lin, "delete", "请删除我的信息", BY)
row = assessment.make(c, "门口灯光在 2026 年更换。", BY)
print(json.dumps({"lin": lin.pk, "pia": row.pk, "delete": delete.pk, "terminal": terminal.pk,
    "receipt": lin.receipts.get().pk, "notice": ledger.notice_in_force(c).pk}))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    home: Path = tmp_path_factory.mktemp("privacy")
    run_manage(home, "prepare")
    lines = run_manage(home, "shell", "-v", "0", "-c", _FOUND).splitlines()
    made = json.loads(lines[0]) | {"ids": json.loads(lines[-1])}
    run_manage(home, "let_go")
    port = free_port()
    command = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, *command, "--workers", "1", "anlin.hub.wsgi:application"],
        env=_env(home, port, free_port()),
    )
    try:
        wait_for(port)
        yield {"web": f"http://127.0.0.1:{port}", **made}
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.parametrize(("width", "locale"), [(375, "zh-CN"), (1280, "en-US")])
def test_every_page_fits_and_has_no_barrier(hub: dict[str, Any], width: int, locale: str) -> None:
    ids = hub["ids"]
    pages = {
        "home": "",
        "ledger": "ledger",
        "person": f"people/{ids['lin']}",
        "notices": "notices",
        "notice": f"notices/{ids['notice']}",
        "new_notice": "notices/new",
        "receipts": "receipts",
        "receipt": f"receipts/{ids['receipt']}",
        "points": "points",
        "requests": "requests",
        "request": f"requests/{ids['delete']}",
        "retention": "retention",
        "filing": "filing",
        "cameras": "cameras",
        "camera": f"cameras/{ids['terminal']}",
        "assessments": "assessments",
        "assessment": f"assessments/{ids['pia']}",
    }
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    wide, grave = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(locale=locale, viewport={"width": width, "height": 800})
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.goto(f"{hub['web']}/login")
        page.fill("#id_username", hub["manager"])
        page.fill("#id_password", hub["password"])
        page.click("button.main")
        page.wait_for_selector(".shell")
        for name, path in pages.items():
            answer = page.goto(f"{hub['web']}/privacy/{path}")
            assert answer.status == 200, (name, answer.status)
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
