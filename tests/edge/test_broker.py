"""The embedded broker against real clients: who gets in, what each may say, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest
import pytest_asyncio

from anlin.edge import broker as module
from anlin.testing.broker import BrokerSite, free_port, running_broker
from anlin.wire.mqtt_users import Role

DOOR = "anlin/v1/gate-1/"


USERS = {"gate-1": Role.DEVICE, "gate-2": Role.DEVICE, "edge-1": Role.EDGE}


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[BrokerSite]:
    async with running_broker(tmp_path, USERS) as site:
        yield site


async def heard(client: aiomqtt.Client, wait_s: float = 3.0) -> aiomqtt.Message:
    async with asyncio.timeout(wait_s):
        return await anext(aiter(client.messages))


async def nothing_heard(client: aiomqtt.Client) -> None:
    with pytest.raises(TimeoutError):
        await heard(client, 0.5)


async def test_a_read_reaches_the_edge_and_the_answer_its_device(site: BrokerSite) -> None:
    async with site.client("edge-1") as edge, site.client("gate-1") as gate:
        await edge.subscribe("anlin/v1/+/up/#", qos=1)
        await gate.subscribe(DOOR + "down/#", qos=1)
        await gate.publish(DOOR + "up/read", b"card", qos=1)
        assert (await heard(edge)).payload == b"card"
        await edge.publish(DOOR + "down/ack", b"ok", qos=1)
        assert (await heard(gate)).payload == b"ok"


@pytest.mark.parametrize(
    ("name", "password", "identifier"),
    [
        ("gate-1", "wrong", "gate-1"),
        ("gate-1", "", "gate-1"),
        ("gate-9", "anything", "gate-9"),
        ("gate-1", None, "gate-2"),
        ("gate-1", None, "edge-1"),
    ],
)
async def test_a_wrong_password_or_foreign_client_id_is_refused(
    site: BrokerSite, name: str, password: str | None, identifier: str
) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with site.client(name, password, identifier=identifier):
            pass


async def test_a_stranger_with_a_devices_client_id_does_not_disturb_it(site: BrokerSite) -> None:
    async with site.client("edge-1") as edge, site.client("gate-1") as gate:
        await gate.subscribe(DOOR + "down/#", qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with site.client("gate-1", "guess"):
                pass
        await edge.publish(DOOR + "down/relay", b"open", qos=1)
        assert (await heard(gate)).payload == b"open"


@pytest.mark.parametrize(
    "wider",
    [
        "#",
        "+/#",
        "anlin/#",
        "anlin/v1/#",
        "anlin/v1/+/down/#",
        "anlin/v1/gate-1/#",
        "anlin/v1/gate-1/+/#",
        "anlin/v1/gate-1/+",
        "anlin/v1/gate-1/up/#",
        "anlin/v1/gate-1/down/relay/#",
        "anlin/v1/gate-2/down/#",
        "anlin/v1/gate-2/down/relay",
        "$SYS/#",
        "$share/a/anlin/v1/gate-1/down/#",
        "/anlin/v1/gate-1/down/#",
    ],
)
async def test_every_filter_wider_than_its_own_is_refused(site: BrokerSite, wider: str) -> None:
    async with site.client("gate-1") as gate:
        codes = await gate.subscribe(wider, qos=1)
        assert [int(getattr(code, "value", code)) for code in codes] == [0x80]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "topic",
    [
        "anlin/v1/gate-2/up/read",
        "anlin/v1/gate-1/down/relay",
        "anlin/v1/gate-1/up/read/deeper",
        "anlin/v1/gate-1/up/invented",
        "anlin/v1/gate-1",
        "anything",
    ],
)
async def test_a_device_speaks_only_for_itself(site: BrokerSite, topic: str) -> None:
    async with site.client("edge-1") as edge, site.client("gate-1") as gate:
        await edge.subscribe("anlin/v1/#", qos=1)
        await gate.publish(topic, b"forged", qos=1)
        await nothing_heard(edge)


async def test_a_last_will_for_another_device_is_refused(site: BrokerSite) -> None:
    will = aiomqtt.Will("anlin/v1/gate-2/up/state", b"{}", qos=1, retain=True)
    with pytest.raises(aiomqtt.MqttError):
        async with site.client("gate-1", will=will):
            pass


async def test_the_last_will_of_a_vanished_device_is_kept_for_the_edge(
    site: BrokerSite,
) -> None:
    state = DOOR + "up/state"
    gate = site.client("gate-1", will=aiomqtt.Will(state, b'{"online":false}', 1, retain=True))
    await gate.__aenter__()
    gate._client._sock_close()
    await asyncio.sleep(0.3)
    async with site.client("edge-1") as edge:
        await edge.subscribe("anlin/v1/+/up/#", qos=1)
        message = await heard(edge)
    assert (message.payload, message.retain) == (b'{"online":false}', True)


async def test_a_device_never_sees_another_ones_retained_state(site: BrokerSite) -> None:
    async with site.client("edge-1") as edge, site.client("gate-2") as other:
        await edge.subscribe("anlin/v1/+/up/#", qos=1)
        await other.publish("anlin/v1/gate-2/up/state", b"{}", qos=1, retain=True)
        await heard(edge)
        async with site.client("gate-1") as gate:
            await gate.subscribe(DOOR + "down/#", qos=1)
            await nothing_heard(gate)


async def test_only_the_state_is_retained(site: BrokerSite) -> None:
    async with site.client("gate-1") as gate:
        await gate.publish(DOOR + "up/read", b"old card", qos=1, retain=True)
    async with site.client("edge-1") as edge:
        await edge.subscribe("anlin/v1/+/up/#", qos=1)
        await nothing_heard(edge)


async def test_a_relay_order_does_not_wait_for_a_device_that_is_away(site: BrokerSite) -> None:
    async with site.client("gate-1", clean_session=False) as gate:
        await gate.subscribe(DOOR + "down/#", qos=1)
    async with site.client("edge-1") as edge:
        await edge.publish(DOOR + "down/relay", b"open", qos=1)
    async with site.client("gate-1", clean_session=False) as gate:
        await gate.subscribe(DOOR + "down/#", qos=1)
        await nothing_heard(gate)


async def test_a_second_connection_replaces_the_first(site: BrokerSite) -> None:
    first = site.client("gate-1")
    await first.__aenter__()
    async with site.client("gate-1") as second, site.client("edge-1") as edge:
        await second.subscribe(DOOR + "down/#", qos=1)
        await edge.publish(DOOR + "down/ack", b"one", qos=1)
        assert (await heard(second)).payload == b"one"
        with pytest.raises(aiomqtt.MqttError):
            await first.publish(DOOR + "up/read", b"late", qos=1)


async def test_a_new_device_may_connect_and_a_removed_one_is_dropped(site: BrokerSite) -> None:
    site.add("gate-3")
    site.save()
    async with site.client("gate-3") as gate:
        del site.users["gate-3"]
        site.save()
        with pytest.raises(aiomqtt.MqttError):
            await heard(gate, 5.0)


async def test_a_megabyte_is_refused_before_it_is_read(site: BrokerSite) -> None:
    async with site.client("gate-1", timeout=1) as gate:
        with pytest.raises(aiomqtt.MqttError):
            await gate.publish(DOOR + "up/read", b"x" * 1_000_000, qos=1)
    async with site.client("gate-1") as gate:
        await gate.publish(DOOR + "up/read", b"small", qos=1)


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00" * 64,
        b"\xff" * 64,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\xff\xff\xff\x7f",
        b"\x10\xff\xff\xff\xff\xff",
        b"\x10\x02\x00\x04",
        b"\x10\x0c\x00\x04MQTT\x04\xc2\x00\x3c\x00\x00",
        b"\x30\x05\x00\x01a12",
    ],
    ids=lambda junk: junk[:6].hex(),
)
async def test_rubbish_is_cut_off_and_the_broker_lives(site: BrokerSite, junk: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(junk)
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 3)
    writer.close()
    async with site.client("gate-1") as gate:
        await gate.publish(DOOR + "up/read", b"still here", qos=1)


async def test_a_silent_socket_is_dropped(
    site: BrokerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECT_WAIT_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 3) == b""
    writer.close()


async def test_a_device_that_stops_pinging_is_missed(site: BrokerSite) -> None:
    async with site.client("edge-1") as edge:
        await edge.subscribe("anlin/v1/+/up/state", qos=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(connect_packet("gate-1", site.passwords["gate-1"], keep_alive_s=1))
        assert (await reader.readexactly(4))[3] == 0
        assert (await heard(edge, 4.0)).payload == b"gone"
        writer.close()


async def test_qos_2_is_refused(site: BrokerSite) -> None:
    async with site.client("gate-1", timeout=1) as gate:
        with pytest.raises(aiomqtt.MqttError):
            await gate.publish(DOOR + "up/read", b"x", qos=2)


async def test_a_flood_is_slowed_and_nothing_of_it_is_lost(site: BrokerSite) -> None:
    count = 3000
    async with site.client("edge-1") as edge, site.client("gate-1") as gate:
        await edge.subscribe("anlin/v1/+/up/#", qos=1)

        async def flood() -> None:
            for number in range(count):
                await gate.publish(DOOR + "up/read", str(number).encode(), qos=1)

        sending = asyncio.create_task(flood())
        seen = set()
        async with asyncio.timeout(60):
            async for message in edge.messages:
                seen.add(message.payload)
                if len(seen) == count:
                    break
        await sending


async def test_it_runs_as_a_process_and_stops_when_told(site: BrokerSite, tmp_path: Path) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "anlin.edge.broker", "--home", str(tmp_path), "--port", str(port)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stderr.readline(), 20)
    assert b"broker_ready" in line
    site.port = port
    async with site.client("gate-1") as gate:
        await gate.publish(DOOR + "up/read", b"x", qos=1)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 8) == 0


async def test_a_taken_port_is_named(site: BrokerSite, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "anlin.edge.broker", "--home", str(tmp_path), "--port", str(site.port)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert str(site.port).encode() in error
    assert b"Traceback" not in error


def connect_packet(user: str, password: str, keep_alive_s: int) -> bytes:
    def text(value: str) -> bytes:
        return len(value).to_bytes(2, "big") + value.encode()

    body = text("MQTT") + b"\x04\xce" + keep_alive_s.to_bytes(2, "big") + text(user)
    body += text(f"anlin/v1/{user}/up/state") + text("gone") + text(user) + text(password)
    return b"\x10" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body
