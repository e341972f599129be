"""A node as it runs: real processes for broker and edge, real MQTT, kill -9, and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import pytest_asyncio

from anlin.core import sync
from anlin.core.entities import Bike
from anlin.core.event import Draft, Event, EventKind
from anlin.core.policy import Delta
from anlin.edge.identity import IdentityError, enrol_node, load
from anlin.edge.journal import Journal
from anlin.edge.node import Node
from anlin.edge.pulse import STOOD_STILL_S
from anlin.edge.replica import Replica
from anlin.sim.gate import Gate
from anlin.testing import cast
from anlin.testing.broker import free_port
from anlin.testing.hub import TOKEN, Answer, FakeHub, running_hub
from anlin.wire.keys import new_sealing_key
from anlin.wire.mqtt_users import Role, new_password, new_user, to_json

START_S = 30.0
"""For a start of Python on a machine that does a dozen things at once."""

pytestmark = pytest.mark.e2e


@dataclass
class Process:
    """A process of ours and what it printed."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    _reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, *arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-u",
            "-m",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self = cls(process)
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode())

    async def printed(self, text: str) -> None:
        async with asyncio.timeout(START_S):
            while not any(text in line for line in self.lines):
                assert self.process.returncode is None, "".join(self.lines)
                await asyncio.sleep(0.02)

    async def end(self, number: signal.Signals) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(15):
            status = await self.process.wait()
            if self._reading is not None:
                await self._reading
        return status


@dataclass
class Site:
    """A home folder, a broker that runs, and a gate that signs in."""

    home: Path
    port: int = 0
    password: str = ""
    running: list[Process] = field(default_factory=list)

    async def edge(self, hub: str = "http://127.0.0.1:1") -> Process:
        edge = await Process.start("anlin.edge", "--home", str(self.home), "--hub", hub)
        self.running.append(edge)
        await edge.printed("event=ready")
        return edge

    def gate(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            username="gate-1",
            password=self.password,
            identifier="gate-1",
            timeout=5,
        )

    def events(self, *kinds: EventKind) -> list[Event]:
        """What the journal holds, read without disturbing who writes it."""
        path = self.home / "journal.sqlite3"
        copy = self.home / "copy" / str(time.monotonic_ns()) / path.name
        copy.parent.mkdir(parents=True)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("VACUUM INTO ?", (str(copy),))
        journal = Journal(copy, "node-1", ballast=0)
        assert list(journal.verify()) == []
        events = journal.read(0, 100_000)
        journal.close()
        return [event for event in events if not kinds or event.kind in kinds]

    async def happened(self, kind: EventKind, count: int = 1) -> list[Event]:
        async with asyncio.timeout(START_S):
            while len(found := self.events(kind)) < count:  # noqa: ASYNC110  another process
                await asyncio.sleep(0.05)
        return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a node that is enrolled and holds the cast's policy; its broker is not there."""
    home = tmp_path / "edge"
    replica = Replica(home / "replica.sqlite3")
    replica.apply(cast.snapshot())
    replica.close()
    write(home / "mqtt.json", {"host": "127.0.0.1", "port": 1, "user": "edge-1", "password": "p"})
    identity = {"node": "node-1", "name": "东门", "community": "oasis", "token": TOKEN}
    write(home / "node.json", {**identity, "sealing_key": new_sealing_key()})
    return home


@pytest_asyncio.fixture
async def site(home: Path, tmp_path: Path) -> AsyncIterator[Site]:
    port = free_port()
    passwords = {"gate-1": new_password(), "edge-1": new_password()}
    folder = tmp_path / "state" / "broker"
    folder.mkdir(parents=True)
    for file, name, role in (
        ("devices", "gate-1", Role.DEVICE),
        ("edges", "edge-1", Role.EDGE),
    ):
        users = {name: new_user(name, passwords[name], role)}
        (folder / f"{file}.json").write_bytes(to_json(users))
    broker_ = {"host": "127.0.0.1", "port": port, "user": "edge-1"}
    write(home / "mqtt.json", {**broker_, "password": passwords["edge-1"]})
    broker = await Process.start(
        "anlin.edge.broker", "--home", str(tmp_path / "state"), "--port", str(port)
    )
    site = Site(home, port, passwords["gate-1"], [broker])
    await broker.printed("broker_ready")
    yield site
    for process in reversed(site.running):
        if process.process.returncode is None:
            await process.end(signal.SIGKILL)


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data))


TOP = "anlin/v1/gate-1"
LIN_BIKE = Bike("lin-bike", "E20047", "lin")


async def say(gate: aiomqtt.Client, topic: str, data: Any, *, retain: bool = False) -> None:
    payload = data if isinstance(data, bytes) else json.dumps(data).encode()
    await gate.publish(f"{TOP}/up/{topic}", payload, qos=1, retain=retain)


async def hear(gate: aiomqtt.Client, topic: str, wait_s: float = 15.0) -> dict[str, Any]:
    """Wait for the next message of one topic."""
    async with asyncio.timeout(wait_s):
        async for message in gate.messages:
            if str(message.topic) == f"{TOP}/down/{topic}":
                assert isinstance(message.payload, bytes)
                data: dict[str, Any] = json.loads(message.payload)
                return data
    raise AssertionError("the broker ended the connection")


async def meet(gate: aiomqtt.Client) -> None:
    """Connect as a gate does, and wait until the edge has noticed."""
    await gate.subscribe(f"{TOP}/down/#", qos=1)
    await say(gate, "state", {"online": True, "firmware": "t", "boot": 1}, retain=True)
    await hear(gate, "levels")


def card(number: int, value: str = "04A1B2C3", age_ms: int = 0) -> dict[str, Any]:
    return {
        "id": f"1-{number}",
        "age_ms": age_ms,
        "reader": "in",
        "method": "card",
        "value": value,
    }


async def test_a_card_opens_with_the_hub_away_and_a_stop_leaves_nothing_behind(
    site: Site,
) -> None:
    edge = await site.edge()
    async with site.gate() as gate:
        await meet(gate)
        await say(gate, "read", card(1))
        relay = await hear(gate, "relay")
        screen = await hear(gate, "screen")
        assert (relay["output"], relay["action"], relay["ms"]) == ("door", "release", 5000)
        assert screen["text"] == "林先生,请进"
        await say(gate, "read", card(2, "FFFF"))
        assert (await hear(gate, "screen"))["code"] == "credential_unknown"
        assert (await hear(gate, "ack"))["id"] == "1-2"
    assert await edge.end(signal.SIGTERM) == 0
    (granted,) = site.events(EventKind.ACCESS_GRANTED)
    assert granted.data["release"] == relay["id"]
    assert granted.data["offline"] is True
    assert site.events()[0].kind is EventKind.NODE_STARTED
    assert site.events()[-1].kind is EventKind.NODE_STOPPED
    assert not any("04A1B2C3" in line or TOKEN in line for line in edge.lines)
    assert not any("never retrieved" in line or "Traceback" in line for line in edge.lines)


async def test_a_neighbour_who_leaves_with_a_bike_is_let_out_and_the_guard_is_asked_after_a_kill(
    site: Site,
) -> None:
    settings = {**cast.GATE_CONTROLLER.settings, "antennas": {"out": "gate-out"}}
    settings["readers"] = {"in": "gate-in", "out": "gate-out"}
    controller = replace(cast.GATE_CONTROLLER, settings=settings)
    replica = Replica(site.home / "replica.sqlite3")
    after = replica.policy.revision
    changes = [cast.change(entity, after + 1) for entity in (controller, LIN_BIKE)]
    replica.apply(Delta(after, after + 1, tuple(changes)))
    replica.close()
    edge = await site.edge()
    gate = Gate("gate-1", site.password, "127.0.0.1", site.port)
    running = asyncio.create_task(gate.run())
    try:
        await asyncio.wait_for(gate.connected.wait(), START_S)
        gate.read("out", "card", cast.WANG_CARD.key)
        assert await gate.released(0, START_S), "the way out is free"
        (taken,) = await site.happened(EventKind.ACCESS_TAKEN)
        assert taken.data["holder"] == "wang"
        gate.tag(LIN_BIKE.tag)
        gate.tag("E2FF")
        await site.happened(EventKind.TAG_SEEN)
        await edge.end(signal.SIGKILL)
        assert gate.kept >= 1, "the bike's tag waits for its answer"
        edge = await site.edge()
        (asked,) = await site.happened(EventKind.BIKE_QUESTION)
        assert await gate.acknowledged(START_S)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (asked.subject, asked.data["bike"]) == ("gate-out", "lin-bike")
    assert (asked.data["owner"], asked.data["holder"]) == ("lin", "wang")
    await edge.end(signal.SIGTERM)
    (stranger,) = site.events(EventKind.TAG_SEEN)
    assert stranger.data["value"] == "E2FF"
    assert len(site.events(EventKind.BIKE_QUESTION)) == 1
    assert not any(LIN_BIKE.tag in line for line in edge.lines)


async def test_an_edge_that_was_frozen_opens_for_nobody_who_showed_a_card_meanwhile(
    site: Site,
) -> None:
    edge = await site.edge()
    async with site.gate() as gate:
        await meet(gate)
        await say(gate, "read", card(1, age_ms=7000))
        assert (await hear(gate, "relay"))["action"] == "release", "seven seconds are not too old"
        edge.process.send_signal(signal.SIGSTOP)
        await say(gate, "read", card(2, age_ms=7000))
        await asyncio.sleep(STOOD_STILL_S + 0.5)  # it is the time itself that is tried here
        edge.process.send_signal(signal.SIGCONT)
        assert (await hear(gate, "screen"))["granted"] is True  # of the first
        shown = await hear(gate, "screen")
        assert (shown["code"], shown["granted"]) == ("stale_presentation", False)
        await say(gate, "button", {"id": "1-3", "age_ms": 0, "button": "exit"})
        assert (await hear(gate, "relay"))["action"] == "release", "the way out does not ask"
    await edge.end(signal.SIGTERM)
    (told,) = site.events(EventKind.NODE_STOOD_STILL)
    assert STOOD_STILL_S < told.data["seconds"] < 60
    assert len(site.events(EventKind.ACCESS_DENIED)) == 1


async def test_killed_in_the_middle_of_a_passage_it_goes_on_and_doubles_nothing(
    site: Site,
) -> None:
    edge = await site.edge()
    releases: list[str] = []
    async with site.gate() as gate:
        await meet(gate)
        # Pressed on while it is killed, over and over: some die before the event is durable,
        # some between event and release.
        for number in range(1, 3):
            shown = time.monotonic()
            await say(gate, "read", card(number))
            if number > 1:
                await asyncio.sleep(0.008)
            else:
                releases.append((await hear(gate, "relay"))["id"])
            await edge.end(signal.SIGKILL)
            edge = await site.edge()
            acknowledged = False
            while not acknowledged:
                age_ms = int((time.monotonic() - shown) * 1000)
                await say(gate, "read", card(number, age_ms=age_ms))
                with contextlib.suppress(TimeoutError):
                    acknowledged = (await hear(gate, "ack", 2.0))["id"] == f"1-{number}"
    await edge.end(signal.SIGTERM)
    decisions = site.events(EventKind.ACCESS_GRANTED, EventKind.ACCESS_DENIED)
    assert len(decisions) == 2, "one event for each read, whenever it was killed"
    assert len({event.seq for event in site.events()}) == site.events()[-1].seq
    assert len(site.events(EventKind.NODE_STARTED)) == 3
    granted = {event.data.get("release") for event in decisions}
    assert set(releases) <= granted


async def test_rubbish_of_every_kind_is_survived(site: Site) -> None:
    edge = await site.edge()
    async with site.gate() as gate:
        await meet(gate)
        for payload in (b"", b"\xff\xfe\x00", b"{" * 500, b"[]", b'{"id":"\\ud800","age_ms":0}'):
            for topic in ("read", "contact", "button", "tamper", "fire", "loop", "state"):
                await say(gate, topic, payload)
        await say(gate, "read", {**card(1), "value": "x" * 3000})
        assert (await hear(gate, "ack"))["id"] == "1-1"
        await say(gate, "read", card(2))
        assert (await hear(gate, "relay"))["action"] == "release"
    with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
        async with site.gate() as gate, asyncio.timeout(1):
            await say(gate, "read", b"x" * 1_000_000)
    async with site.gate() as gate:
        await meet(gate)
        await say(gate, "read", card(3))
        await hear(gate, "relay")
    await edge.end(signal.SIGTERM)
    refused = site.events(EventKind.MESSAGE_REFUSED)
    assert 1 <= len(refused) <= 12
    assert all(event.subject == "gate-1" and event.data["rule"] for event in refused)


async def test_a_device_that_nobody_knows_disturbs_nobody(site: Site) -> None:
    edge = await site.edge()
    replica_password = json.loads((site.home / "mqtt.json").read_text())["password"]
    async with (
        site.gate() as gate,
        aiomqtt.Client(
            "127.0.0.1",
            site.port,
            username="edge-1",
            password=replica_password,
            identifier="edge-1/other",
        ) as other,
    ):
        await meet(gate)
        for device in ("gate-9", "", "#x", "gate-1/deeper"):
            topic = f"anlin/v1/{device}/up/read"
            with contextlib.suppress(ValueError, aiomqtt.MqttError):
                await other.publish(topic, json.dumps(card(1)).encode(), qos=1)
        await say(gate, "read", card(1))
        await hear(gate, "relay")
    await edge.end(signal.SIGTERM)
    assert len(site.events(EventKind.ACCESS_GRANTED)) == 1


async def test_the_broker_may_go_and_come(site: Site, tmp_path: Path) -> None:
    edge = await site.edge()
    await site.happened(EventKind.DEVICE_ONLINE)
    await site.running[0].end(signal.SIGKILL)
    await site.happened(EventKind.DEVICE_OFFLINE)
    broker = await Process.start(
        "anlin.edge.broker", "--home", str(tmp_path / "state"), "--port", str(site.port)
    )
    site.running.append(broker)
    await broker.printed("broker_ready")
    await site.happened(EventKind.DEVICE_ONLINE, 2)
    async with site.gate() as gate:
        await meet(gate)
        await say(gate, "read", card(1))
        await hear(gate, "relay")
    assert await edge.end(signal.SIGTERM) == 0


async def test_a_device_added_later_is_known_to_be_there(site: Site) -> None:
    with running_hub() as hub:
        edge = await site.edge(hub.address)
        revision = cast.snapshot().upto
        async with site.gate() as gate:
            await meet(gate)
            gone = cast.tombstone(cast.GATE_CONTROLLER, revision + 1)
            back = cast.change(cast.GATE_CONTROLLER, revision + 2)
            hub.send_down(Delta(revision, revision + 1, (gone,)))
            await site.happened(EventKind.POLICY_APPLIED)
            hub.send_down(Delta(revision + 1, revision + 2, (back,)))
            await hear(gate, "levels")
            await say(gate, "read", card(1))
            await hear(gate, "relay")
        await edge.end(signal.SIGTERM)


async def test_hub_and_edge(site: Site) -> None:
    with running_hub() as hub:
        edge = await site.edge(hub.address)
        revision = cast.snapshot().upto
        async with site.gate() as gate:
            await meet(gate)
            # A remote release.
            now = await _time_of(edge, site)
            command = sync.Command(
                1, "c1", sync.CommandKind.RELEASE, "gate", "guo", now, now + sync.COMMAND_LIFE
            )
            hub.send_down(sync.Beat(now, revision), command)
            assert (await hear(gate, "relay"))["id"] == "c1"
            # A revocation is effective at once.
            hub.send_down(
                Delta(revision, revision + 1, (cast.tombstone(cast.LIN_CARD, revision + 1),))
            )
            await site.happened(EventKind.POLICY_APPLIED)
            await say(gate, "read", card(1))
            assert (await hear(gate, "screen"))["code"] == "credential_unknown"
            # A delta out of order is refused, told, and the stream is asked for again.
            hub.send_down(Delta(revision + 5, revision + 6))
            await site.happened(EventKind.POLICY_REFUSED)
            await _until(lambda: f"/sync/v1/down?after={revision + 1}&command=1" in hub.asked)
            # The hub wants it to start anew.
            hub.send_down(sync.Snapshot("restored from a backup"))
            await _until(lambda: "/sync/v1/down?after=0&command=1" in hub.asked)
            hub.send_down(cast.snapshot())
            await site.happened(EventKind.POLICY_APPLIED, 2)
            await say(gate, "read", card(2))
            assert (await hear(gate, "relay"))["action"] == "release"
        await site.happened(EventKind.UPLINK_BACK)
        await edge.end(signal.SIGTERM)
        await _outbox_ends(site, hub)


async def test_the_first_contact_and_an_ordinary_restart_are_no_coming_back(home: Path) -> None:
    site = Site(home)
    revision = cast.snapshot().upto
    with running_hub() as hub:
        for life in (1, 2):
            edge = await site.edge(hub.address)
            hub.send_down(Delta(revision + life - 1, revision + life))
            await site.happened(EventKind.POLICY_APPLIED, life)
            await edge.end(signal.SIGTERM)
            hub.end_down()
    assert site.events(EventKind.UPLINK_BACK, EventKind.UPLINK_LOST) == []


async def _time_of(edge: Process, site: Site) -> Any:
    return (await site.happened(EventKind.NODE_STARTED))[-1].at


async def _until(condition: Any) -> None:
    async with asyncio.timeout(START_S):
        while not condition():  # noqa: ASYNC110  another process
            await asyncio.sleep(0.02)


async def _outbox_ends(site: Site, hub: FakeHub) -> None:
    """Start once more: what was not sent at the end is sent now, and nothing twice over."""
    edge = await site.edge(hub.address)
    count = len(site.events())
    await _until(lambda: hub.seq >= count)
    await edge.end(signal.SIGTERM)
    sent = [event["hash"] for _, event in sorted(hub.events.items())]
    assert sent == [event.hash for event in site.events()][: len(sent)]


async def started_and_stopped(home: Path) -> Event:
    """Let the node live for a moment; give the event of its start."""
    edge = await Process.start("anlin.edge", "--home", str(home), "--hub", "http://127.0.0.1:1")
    await edge.printed("event=ready")
    assert await edge.end(signal.SIGTERM) == 0
    return Site(home).events(EventKind.NODE_STARTED)[-1]


async def test_damaged_files_are_told_at_the_start(home: Path) -> None:
    await started_and_stopped(home)
    (home / "journal.sqlite3").write_bytes(os.urandom(8192))
    started = await started_and_stopped(home)
    assert started.data["damaged_journal"] == "journal.damaged-1"
    assert "not a database" in started.data["rule"]
    assert started.boot == 2
    (home / "replica.sqlite3").write_bytes(os.urandom(8192))
    assert "not a database" in (await started_and_stopped(home)).data["damaged_replica"]


async def test_two_edges_in_one_home_are_one_too_many(home: Path) -> None:
    arguments = ("anlin.edge", "--home", str(home), "--hub", "http://127.0.0.1:1")
    first = await Process.start(*arguments)
    await first.printed("event=ready")
    second = await Process.start(*arguments)
    async with asyncio.timeout(START_S):
        assert await second.process.wait() == 1
    await second.end(signal.SIGTERM)
    assert "an edge is running here already" in second.lines[-1]
    assert await first.end(signal.SIGTERM) == 0


async def test_a_page_found_broken_ends_the_process_and_the_next_goes_on(home: Path) -> None:
    path = home / "journal.sqlite3"
    journal = Journal(path, "node-1", ballast=0)
    for _ in range(20):
        drafts = [Draft(EventKind.TAMPER, "gate-1", datetime.now(UTC), {"n": "x" * 200})] * 100
        journal.submit(drafts).result(5)
    journal.close()
    with path.open("r+b") as file:
        # Far from the end, which is proven at each start; the outbox comes to it.
        file.seek(path.stat().st_size // 3 // 4096 * 4096)
        file.write(os.urandom(4096))
    with running_hub() as hub:
        edge = await Process.start("anlin.edge", "--home", str(home), "--hub", hub.address)
        async with asyncio.timeout(START_S):
            assert await edge.process.wait() == 1
        await edge.end(signal.SIGTERM)
        assert "a page is broken; start again" in edge.lines[-1]
        started = await started_and_stopped(home)
        assert "malformed" in started.data["rule"]
        sent = hub.seq
    assert started.seq == sent + started.data["carried_over"] + 1
    assert started.data["carried_over"] > 0


async def test_a_clock_that_lost_its_battery_does_not_live_through_yesterday_again(
    home: Path,
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    journal = Journal(home / "journal.sqlite3", "node-1", ballast=0)
    journal.submit([Draft(EventKind.TAMPER, "gate-1", tomorrow)]).result(5)
    journal.close()
    started = await started_and_stopped(home)
    assert tomorrow <= started.at < tomorrow + timedelta(minutes=1)
    (jumped,) = Site(home).events(EventKind.CLOCK_JUMPED)
    assert "behind the last recorded event" in jumped.data["rule"]


async def test_a_home_that_is_not_ready_says_what_to_do(home: Path) -> None:
    (home / "mqtt.json").unlink()
    edge = await Process.start("anlin.edge", "--home", str(home), "--hub", "http://127.0.0.1:1")
    async with asyncio.timeout(START_S):
        assert await edge.process.wait() == 1
    await edge.end(signal.SIGTERM)
    (line,) = edge.lines
    assert line.startswith(f"{home / 'mqtt.json'} is missing: it names the MQTT broker")


@pytest.mark.parametrize(
    ("content", "rule"),
    [("{", "Expecting property name"), ('{"host":5}', "Broker.host: expected str, got 5")],
)
def test_a_broker_that_is_misspelt_is_said(home: Path, content: str, rule: str) -> None:
    (home / "mqtt.json").write_text(content)
    identity = load(home / "node.json")
    assert identity is not None
    with pytest.raises(SystemExit, match=rule) as caught:
        Node(home, identity, "http://127.0.0.1:1", "http://127.0.0.1:1")
    assert str(home / "mqtt.json") in str(caught.value)


def test_who_this_node_is(home: Path) -> None:
    path = home / "node.json"
    identity = load(path)
    assert identity is not None
    assert (identity.node, identity.token) == ("node-1", TOKEN)
    path.write_text('{"node":"n"}')
    with pytest.raises(IdentityError, match=r"node\.json: .*missing; enrol this node again"):
        load(path)
    path.unlink()
    assert load(path) is None


async def test_a_node_enrols_once_and_keeps_its_keys_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "new" / "node.json"
    enrolled = {"node": "n7", "name": "东门", "community": "oasis", "token": "t", "version": 1}
    with running_hub() as hub:
        hub.instead = [Answer(200, enrolled)]
        identity = await enrol_node(path, hub.address, "CODE")
    assert load(path) == identity
    assert identity.node == "n7"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["node.json"]
