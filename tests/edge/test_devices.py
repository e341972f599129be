"""Devices and links: what a policy change starts and stops, and what a lost order leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from anlin.core.detection import GalleryAdd, GalleryTemplate
from anlin.core.device import (
    Acknowledge,
    Online,
    Read,
    Refusal,
    Refused,
    Release,
    Report,
    Secure,
    Show,
)
from anlin.core.entities import Device, Template
from anlin.drivers.base import LinkError
from anlin.edge.clock import SteadyClock
from anlin.edge.devices import Devices
from anlin.edge.gallery import gallery, open_templates
from anlin.edge.links.mqtt import MAX_WAITING, Broker, MqttBus
from anlin.edge.links.worker import WorkerLink
from anlin.edge.supervisor import Supervisor
from anlin.testing import cast
from anlin.wire.keys import new_sealing_key, public_sealing_key, seal

GATE = cast.GATE_CONTROLLER
STATE = b'{"online":true,"firmware":"t","boot":1}'


class Bus(MqttBus):
    """A bus whose broker takes everything, or is gone."""

    def __init__(self) -> None:
        super().__init__(Broker("127.0.0.1", 1, "edge-1", ""), lambda *_: None)
        self.published: list[tuple[str, bytes]] = []
        self.is_up = True

    async def publish(self, topic: str, payload: bytes) -> None:
        if not self.is_up:
            raise LinkError(f"{topic}: not connected to the MQTT broker")
        self.published.append((topic, payload))


class Kit:
    def __init__(self, media: Path) -> None:
        self.bus = Bus()
        self.supervisor = Supervisor()
        self.devices = Devices("node-1", media, self.bus, self.supervisor, SteadyClock())
        self.reports: list[Report] = []
        self.devices.listen(self.reports.append)

    def follow(self, *records: Device) -> None:
        self.devices.follow({record.id: record for record in records})

    async def until(self, count: int) -> list[Report]:
        async with asyncio.timeout(5):
            while len(self.reports) < count:  # noqa: ASYNC110  reports come from a task
                await asyncio.sleep(0)
        return self.reports


@pytest_asyncio.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    kit = Kit(tmp_path)
    yield kit
    await kit.supervisor.stop()


async def test_only_this_nodes_devices_run(kit: Kit) -> None:
    kit.follow(GATE, replace(GATE, id="gate-2", node="node-2"))
    assert kit.devices.portals() == {"gate"}
    assert kit.devices.portals("gate-1") == {"gate"}
    assert kit.devices.portals("gate-2") == frozenset()
    kit.follow()
    assert kit.devices.portals() == frozenset()


@pytest.mark.parametrize(
    ("changed", "rule", "code"),
    [
        ({"driver": "dragon"}, "no driver is called 'dragon'", Refusal.UNKNOWN_DRIVER),
        (
            {"settings": {"readers": 5}},
            "device gate-1: setting 'readers' must map names to ids",
            Refusal.SETTINGS,
        ),
    ],
)
async def test_a_device_that_can_not_run_is_refused_by_name_and_stops_no_other(
    kit: Kit, changed: dict[str, Any], rule: str, code: Refusal
) -> None:
    good = replace(GATE, id="gate-3")
    kit.follow(replace(GATE, **changed), good)
    assert kit.reports == [Refused("gate-1", rule, code=code)]
    kit.bus.link("gate-3").receive("up/state", STATE)
    await kit.until(2)
    assert isinstance(kit.reports[1], Online)


async def test_orders_go_where_they_are_served(kit: Kit) -> None:
    kit.follow(GATE)
    for command in (
        Release("gate", "r1", 5.0, "decision"),
        Release("elsewhere", "r2", 5.0, "decision"),
        Secure("gate"),
        Show("gate-in", "granted", "请进"),
        Acknowledge("gate-1", "gate-1/7"),
        Acknowledge("gate-2", "gate-2/7"),
    ):
        kit.devices.dispatch(command)
    await kit.devices.settle()
    assert sorted(topic.rpartition("/")[2] for topic, _ in kit.bus.published) == [
        "ack",
        "relay",
        "relay",
        "screen",
    ]


async def test_a_release_that_could_not_be_sent_is_told(kit: Kit) -> None:
    kit.follow(GATE)
    kit.bus.is_up = False
    kit.devices.dispatch(Release("gate", "r1", 5.0, "decision"))
    kit.devices.dispatch(Show("gate-in", "granted", "请进"))
    await kit.devices.settle()
    (refused,) = kit.reports
    assert isinstance(refused, Refused)
    assert refused.device == "gate-1"
    assert (refused.code, refused.portal) == (Refusal.RELEASE_NOT_SENT, "gate")
    assert "not connected" in refused.rule


async def test_a_changed_record_is_driven_anew(kit: Kit) -> None:
    kit.follow(GATE)
    settings = {**GATE.settings, "readers": {"side": "gate-in"}}
    kit.follow(replace(GATE, settings=settings))
    kit.bus.link("gate-1").receive("up/state", STATE)
    await kit.until(1)
    read = b'{"id":"1","age_ms":0,"reader":"side","method":"card","value":"1"}'
    kit.bus.link("gate-1").receive("up/read", read)
    reports = await kit.until(2)
    assert isinstance(reports[1], Read)


# The MQTT link


async def test_what_comes_while_nobody_listens_is_not_fresh_later(kit: Kit) -> None:
    link = kit.bus.link("gate-1")
    link.receive("up/state", STATE)
    link.receive("up/read", b"shown a minute ago")
    heard = aiter(link)
    assert await anext(heard) == ("up/state", STATE), "but whether it is there is still true"
    waiting = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0)
    link.receive("up/read", b"shown now")
    assert await waiting == ("up/read", b"shown now")


async def test_a_device_that_floods_is_dropped_from_and_holds_no_memory(kit: Kit) -> None:
    link = kit.bus.link("gate-1")
    heard = aiter(link)
    waiting = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0)
    for number in range(MAX_WAITING * 2):
        link.receive("up/read", b"%d" % number)
    assert await waiting == ("up/read", b"0")
    count = 1
    while True:
        try:
            await asyncio.wait_for(anext(heard), 0.05)
        except TimeoutError:
            break
        count += 1
    assert count == MAX_WAITING


# The worker's pipes


async def test_a_worker_lives_as_long_as_its_link() -> None:
    link = WorkerLink("cam-1", {})
    with pytest.raises(LinkError, match="camera cam-1: its worker is not running"):
        await link.send("configure", b"{}\n")
    await link.open()
    process = link._process
    assert process is not None
    assert process.returncode is None
    await link.close()
    assert process.returncode is not None
    await link.close()
    with pytest.raises(LinkError):
        await anext(aiter(link))


async def test_a_worker_that_dies_breaks_its_link() -> None:
    link = WorkerLink("cam-1", {})
    await link.open()
    assert link._process is not None
    link._process.kill()
    with pytest.raises(LinkError, match="camera cam-1: its worker ended"):
        await anext(aiter(link))
    with pytest.raises(LinkError, match="camera cam-1"):  # noqa: PT012
        for _ in range(100):
            await link.send("gallery", b"x" * 100_000)
    await link.close()


# Faces for the cameras


def template(key: str, number: int, model: str = "m1") -> Template:
    name = f"c{number}"
    sealed = seal(public_sealing_key(key), b"vector %d" % number, f"{name}/{model}")
    return Template(name, f"h{number}", model, sealed)


async def test_cameras_learn_what_this_node_can_open() -> None:
    key, other = new_sealing_key(), new_sealing_key()
    templates = [
        template(key, 1),
        template(other, 2),
        template(key, 3, "m2"),
        replace(template(key, 4), id="c5"),
        replace(template(key, 6), sealed="rubbish"),
    ]
    (opened,) = open_templates(key, templates, "m1")
    assert opened == GalleryTemplate("c1", "h1", "dmVjdG9yIDE=")
    chunks = [chunk async for chunk in gallery(key, templates, "m1")]
    assert chunks == [GalleryAdd("m1", (opened,))]
    assert [chunk async for chunk in gallery(key, templates, "m9")] == []
