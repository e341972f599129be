"""What every test of the hub starts from: the cast in their community, and real processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pytest_django import Settings

from anlin.core.codec import from_data, to_data
from anlin.core.entities import Direction, HolderKind, Method
from anlin.core.sync import Enrol, Enrolled
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint, Portal
from anlin.hub.access.policy import STAFF, building_group, community_group
from anlin.hub.audit.log import Actor
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.people import services as people
from anlin.hub.people.models import Building, Community, Holder, ResidencyKind, Role, StaffProfile
from anlin.wire import keys

BY = Actor.command("test")
START_WAIT_S = 60


@dataclass
class Cast:
    """Lin lives in 1-101, Wang next door, Zhao visits, Guo guards, Meng manages, Qian has left."""

    community: Community
    building: Building
    node: Node
    node_key: str
    portal: Portal
    point: AccessPoint
    lin: Holder
    wang: Holder
    qian: Holder
    guo: StaffProfile
    meng: StaffProfile
    passwords: dict[str, str]


@pytest.fixture(autouse=True)
def _own_home(settings: Settings, tmp_path: Path) -> None:
    settings.PICTURES_HOME = tmp_path / "media"
    settings.BROKER_HOME = tmp_path / "broker"
    # Argon2 is slow on purpose; that it is used is tested where passwords are made.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def cast() -> Cast:
    community = people.create_community("天宝绿洲", BY)
    building = people.add_building(community, "1栋", BY)
    node, code = devices.create_node(community, "东门", BY)
    node_key = keys.new_sealing_key()
    devices.enrol_node(Enrol(code, keys.public_sealing_key(node_key), (1,), "test"))
    node.refresh_from_db()
    portal = access.add_portal(community, "东门", BY, node=node)
    point = access.add_point(
        portal, "东门进", Direction.ENTRY, [Method.CARD, Method.FACE, Method.QR], BY
    )
    groups = [community_group(community.pk), building_group(building.pk), STAFF, "visitors"]
    access.add_rule(community, "居民", groups, [point], BY)
    home = people.add_unit(building, "1-101", BY)
    next_door = people.add_unit(building, "1-102", BY)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    lin = people.register_holder(community, "林安", BY, unit=home, phone="138 0000 1101")
    wang = people.register_holder(community, "王邻", BY, unit=next_door)
    qian = people.register_holder(
        community, "钱离", BY, unit=next_door, residency=ResidencyKind.TENANT, ends_at=yesterday
    )
    people.register_holder(community, "郭守", BY, kind=HolderKind.STAFF)
    guo, guo_password = people.add_staff(community, "guo", Role.GUARD, BY)
    meng, meng_password = people.add_staff(community, "meng", Role.MANAGER, BY)
    return Cast(
        community,
        building,
        node,
        node_key,
        portal,
        point,
        lin,
        wang,
        qian,
        guo,
        meng,
        {"guo": guo_password, "meng": meng_password},
    )


@dataclass
class Site:
    """A community of its own in a hub that runs, with one enrolled node and its manager."""

    web: str
    live: str
    community: str
    node: str
    token: str
    key: str
    manager: str
    password: str
    api_token: str

    @property
    def as_node(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def as_manager(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_token}"}


_FOUND_SOME = """
from uuid import uuid4
from django.core.management import call_command
for _ in range(20):
    call_command("found", f"community {uuid4()}", manager=f"meng-{uuid4()}", node="east")
"""


@dataclass
class Hub:
    """A hub that runs: its home and the addresses of its two processes."""

    home: Path
    web: str
    live: str
    _founded: list[dict[str, str]] = field(default_factory=list)

    def found(self) -> dict[str, str]:
        """Found a community as an installer does; give what the command prints.

        Several at a time, because each start of a command costs seconds.
        """
        if not self._founded:
            lines = run_manage(self.home, "shell", "-v", "0", "-c", _FOUND_SOME).splitlines()
            self._founded = [json.loads(line) for line in lines]
        return self._founded.pop()

    def site(self) -> Site:
        """Found a community and enrol its node over HTTP."""
        made = self.found()
        key = keys.new_sealing_key()
        asked = Enrol(made["code"], keys.public_sealing_key(key), (1,), "test")
        answer = httpx.post(f"{self.web}/sync/v1/enrol", json=to_data(asked), timeout=START_WAIT_S)
        assert answer.status_code == 200, answer.text
        enrolled = from_data(Enrolled, answer.json())
        return Site(
            self.web,
            self.live,
            enrolled.community,
            enrolled.node,
            enrolled.token,
            key,
            made["manager"],
            made["password"],
            made["token"],
        )


@pytest.fixture
def site(hub: Hub) -> Site:
    return hub.site()


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("home")
    web, live = free_port(), free_port()
    run_manage(home, "prepare")
    env = _env(home, web, live)
    python = sys.executable
    commands = (
        [
            python,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--host",
            "127.0.0.1",
            "--port",
            str(web),
            "--workers",
            "1",
            "--blocking-threads",
            "1",
            "--no-access-log",
            "anlin.hub.wsgi:application",
        ],
        [python, "-m", "anlin.hub.live", "--port", str(live)],
    )
    running = [subprocess.Popen(command, env=env) for command in commands]
    try:
        for port in (web, live):
            wait_for(port)
        yield Hub(home, f"http://127.0.0.1:{web}", f"http://127.0.0.1:{live}")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=20)


def run_manage(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "anlin.hub.manage", *arguments],
        env=_env(home),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    until = time.monotonic() + START_WAIT_S
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {START_WAIT_S} s")


def _env(home: Path, web: int = 0, live: int = 0) -> dict[str, str]:
    return os.environ | {
        "ANLIN_HOME": str(home),
        "ANLIN_HUB_URL": f"http://127.0.0.1:{web}",
        "ANLIN_LIVE_URL": f"http://127.0.0.1:{live}",
        "DJANGO_SETTINGS_MODULE": "anlin.hub.settings",
    }
