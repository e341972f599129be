"""The simulated controller over a real broker, held to the written profile."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from anlin.core.device import Acknowledge, AskLevels, Refused, Release, Secure, Show
from anlin.core.entities import Device
from anlin.drivers.mqtt_gate import MqttGate
from anlin.sim import gate as module
from anlin.sim.gate import Gate, Habits
from anlin.testing.broker import BrokerSite, running_broker
from anlin.wire.mqtt_users import Role

PROFILE = Path(__file__).parents[2] / "docs/ref/mqtt_gate"
SETTINGS = {
    "readers": {"in": "p-in"},
    "antennas": {"out": "p-out"},
    "inputs": {"door": "d-1", "fire": "d-1", "loop": "d-1", "under": "d-1", "arm": "d-1"},
    "outputs": {"door": "d-1"},
    "buttons": {"exit": "p-out"},
}
DRIVER = MqttGate(Device("gate-1", "North gate", "n-1", "mqtt_gate", SETTINGS))


def check(topic: str, data: dict[str, Any]) -> None:
    schema = json.loads((PROFILE / f"{topic.replace('/', '_')}.json").read_text())
    Draft202012Validator(schema).validate(data)


class Edge:
    """What the edge does on the wire: hears, answers, commands."""

    def __init__(self, client: aiomqtt.Client, acknowledges: bool = True) -> None:
        self.client = client
        self.acknowledges = acknowledges
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.more = asyncio.Event()

    async def run(self) -> None:
        async for message in self.client.messages:
            address = str(message.topic).split("/", 3)[3]
            data = json.loads(message.payload)  # type: ignore[arg-type]
            self.heard.append((address, data))
            if self.acknowledges and "id" in data:
                await self.send("down/ack", {"id": data["id"]})
            self.more.set()

    async def send(self, address: str, data: dict[str, Any]) -> None:
        await self.client.publish(f"anlin/v1/gate-1/{address}", json.dumps(data).encode(), qos=1)

    async def wait(self, address: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(8):
            while len(found := [data for name, data in self.heard if name == address]) < count:
                self.more.clear()
                await self.more.wait()
        return found


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[BrokerSite]:
    users = {"gate-1": Role.DEVICE, "edge-1": Role.EDGE}
    async with running_broker(tmp_path, users) as site:
        yield site


@contextlib.asynccontextmanager
async def playing(site: BrokerSite, acknowledges: bool = True) -> AsyncIterator[tuple[Gate, Edge]]:
    gate = Gate("gate-1", site.passwords["gate-1"], "127.0.0.1", site.port)
    async with site.client("edge-1") as client:
        await client.subscribe("anlin/v1/+/up/#", qos=1)
        edge = Edge(client, acknowledges)
        tasks = [asyncio.create_task(edge.run()), asyncio.create_task(gate.run())]
        await asyncio.wait_for(gate.connected.wait(), 5)
        try:
            yield gate, edge
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_it_says_fits_the_profile_and_the_driver(site: BrokerSite) -> None:
    async with playing(site) as (gate, edge):
        gate.read("in", "card", "04A1B2C3")
        gate.read("in", "qr", "ANLIN1.abc.def")
        gate.tag("E20047")
        gate.press()
        gate.tamper(True)
        gate.fire(True)
        gate.loop(True)
        gate.under(True)
        gate.swing("up")
        gate.strike()
        gate.cross("entry", 2)
        gate.fail("mains_lost", True)
        gate.move("cut")
        assert await gate.acknowledged(5)
    assert {topic for topic, _ in edge.heard} == {
        f"up/{path.stem.removeprefix('up_')}" for path in PROFILE.glob("up_*.json")
    }
    for topic, data in edge.heard:
        check(topic, data)
        assert not isinstance(DRIVER.decode(topic, json.dumps(data).encode()), Refused)


async def test_the_last_will_fits_too(site: BrokerSite) -> None:
    async with playing(site) as (_, edge):
        await edge.wait("up/state")
        # A second connection under its name is how a controller that was reset comes back.
        async with site.client("gate-1"):
            states = await edge.wait("up/state", 2)
    check("up/state", states[1])
    assert states[1] == {"online": False}


@pytest.mark.parametrize(
    "command",
    [
        Release("d-1", "r-1", 5.0, "decision"),
        Release("d-1", "r-2", None, "fire"),
        Secure("d-1"),
        Show("p-in", "granted", "林先生,请进", "请进", True),
        Show("p-in", "credential_unknown", "未获授权"),
        Acknowledge("gate-1", "gate-1/7-1"),
        AskLevels("gate-1"),
    ],
)
def test_what_the_driver_commands_fits_the_profile(command: Any) -> None:
    messages = DRIVER.encode(command)
    assert messages
    for address, payload in messages:
        check(address, json.loads(payload))


def test_every_schema_is_sound_and_named_in_the_page() -> None:
    page = PROFILE.with_suffix(".md").read_text()
    for path in PROFILE.glob("*.json"):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        assert f"`{path.stem.split('_', 1)[1]}`" in page


async def test_it_sends_again_until_the_edge_answers(
    site: BrokerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESEND_S", 0.2)
    async with playing(site, acknowledges=False) as (gate, edge):
        id_ = gate.read("in", "card", "04A1B2C3")
        reads = await edge.wait("up/read", 3)
        assert {read["id"] for read in reads} == {id_}
        assert reads[2]["age_ms"] > reads[0]["age_ms"]
        edge.acknowledges = True
        assert await gate.acknowledged(5)


async def test_what_happened_while_the_broker_was_away_comes_later(tmp_path: Path) -> None:
    users = {"gate-1": Role.DEVICE, "edge-1": Role.EDGE}
    async with running_broker(tmp_path, users) as site:
        gate = Gate("gate-1", site.passwords["gate-1"], "127.0.0.1", site.port)
        running = asyncio.create_task(gate.run())
        await asyncio.wait_for(gate.connected.wait(), 5)
    gate.read("in", "card", "04A1B2C3")
    from anlin.edge import broker

    again = asyncio.create_task(broker.run(tmp_path, site.port))
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(aiomqtt.MqttError):
                    async with site.client("edge-1") as client:
                        await client.subscribe("anlin/v1/+/up/#", qos=1)
                        edge = Edge(client)
                        hearing = asyncio.create_task(edge.run())
                        reads = await edge.wait("up/read")
                        hearing.cancel()
                        break
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        again.cancel()
        await asyncio.gather(running, again, return_exceptions=True)
    assert reads[0]["value"] == "04A1B2C3"


def relay(id_: str, action: str = "release", expires_ms: int = 3000) -> dict[str, Any]:
    return {"id": id_, "output": "door", "action": action, "ms": 5000, "expires_ms": expires_ms}


async def test_it_obeys_each_release_once_and_somebody_walks_through(site: BrokerSite) -> None:
    async with playing(site) as (gate, edge):
        await edge.wait("up/contact")
        gate.habits = Habits(open_s=0.2)
        await edge.send("down/relay", relay("r-1"))
        await edge.send("down/relay", relay("r-1"))
        levels = [contact["level"] for contact in await edge.wait("up/contact", 3)]
        assert levels == ["closed", "open", "closed"]
        assert [order.id for order in gate.obeyed] == ["r-1"]


async def test_an_order_that_waited_too_long_in_the_device_is_dropped(site: BrokerSite) -> None:
    async with playing(site) as (gate, edge):
        gate.is_asleep = True
        await edge.send("down/relay", relay("r-1", expires_ms=50))
        await edge.send("down/screen", DRIVER_SCREEN)
        await asyncio.sleep(0.3)
        assert gate.shown[0].text == "请进"
        gate.wake()
        await edge.send("down/relay", relay("r-2"))
        obeyed = await gate.released(0, 5)
        assert obeyed is not None
        assert obeyed.id == "r-2"


DRIVER_SCREEN = {"code": "granted", "text": "请进", "granted": True, "ms": 4000, "reader": "in"}
