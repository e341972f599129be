"""Topics on the MQTT broker: one connection, one link for each device."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiomqtt
import structlog

from anlin.drivers.base import LinkError

log = structlog.get_logger(__name__)

TOPIC = "anlin/v1"

STATE = "up/state"

MAX_DEVICES = 2000
"""Links kept at most; the broker takes as many connections."""

MAX_WAITING = 1000
"""Messages of one device that wait for its driver. A device re-sends what is dropped here."""

PUBLISH_TIMEOUT_S = 3.0
"""A relay command that takes longer has expired at the device anyway."""

_NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""Without it a release waits up to 40 ms behind the acknowledgement of the read (Nagle)."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the MQTT broker is and who we are to it."""

    host: str
    port: int
    user: str
    password: str
    is_tls: bool = False


class MqttBus:
    """One connection to the broker, shared by all devices behind it."""

    def __init__(self, broker: Broker, on_change: Callable[[bool, str], None]) -> None:
        self._broker = broker
        self._on_change = on_change
        self._client: aiomqtt.Client | None = None
        self._links: dict[str, MqttLink] = {}

    def link(self, device: str) -> MqttLink:
        """Give the link of one device."""
        return self._links.setdefault(device, MqttLink(self, device))

    async def run(self) -> None:
        """Connect, and pass messages on until the connection breaks."""
        context = ssl.create_default_context() if self._broker.is_tls else None
        try:
            async with aiomqtt.Client(
                self._broker.host,
                self._broker.port,
                username=self._broker.user,
                password=self._broker.password,
                identifier=self._broker.user,
                tls_context=context,
                keepalive=15,
                socket_options=_NO_DELAY,
                timeout=PUBLISH_TIMEOUT_S,
            ) as client:
                await client.subscribe(f"{TOPIC}/+/up/#", qos=1)
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise asyncio.CancelledError  # swallowed on the way; see CANCEL_AGAIN_S
                self._client = client
                self._on_change(True, "")
                async for message in client.messages:
                    self._pass_on(message)
        except aiomqtt.MqttError as error:
            raise LinkError(f"MQTT broker {self._broker.host}:{self._broker.port}: {error}") from (
                error
            )
        finally:
            if self._client is not None:
                self._client = None
                self._on_change(False, "the connection to the MQTT broker broke")

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish once the broker has taken it, or raise LinkError."""
        if self._client is None:
            raise LinkError(f"{topic}: not connected to the MQTT broker")
        try:
            await self._client.publish(topic, payload, qos=1, timeout=PUBLISH_TIMEOUT_S)
        except aiomqtt.MqttError as error:
            raise LinkError(f"{topic}: {error}") from error

    def _pass_on(self, message: aiomqtt.Message) -> None:
        parts = str(message.topic).split("/", 3)
        if len(parts) != 4 or not isinstance(message.payload, bytes | bytearray):
            return
        device, address = parts[2], parts[3]
        link = self._links.get(device)
        if link is None and address == STATE and len(self._links) < MAX_DEVICES:
            # Kept by the broker and said once: a device record may come later than this.
            link = self.link(device)
        if link is None:
            log.warning("message_for_nobody", device=device[:64])
        else:
            link.receive(address, bytes(message.payload))


class MqttLink:
    """One device's topics: addresses are what follows its id, such as "up/read".

    What comes while no driver listens is dropped, but for the device's state: a read that waited
    here would look fresh. The device says it again, and says how old it is.
    """

    def __init__(self, bus: MqttBus, device: str) -> None:
        self._bus = bus
        self._device = device
        self._state: bytes | None = None
        self._waiting: asyncio.Queue[tuple[str, bytes]] | None = None

    def receive(self, address: str, payload: bytes) -> None:
        """Take a message for the driver; drop it where the driver is too far behind."""
        if address == STATE:
            self._state = payload
        if self._waiting is None:
            return
        try:
            self._waiting.put_nowait((address, payload))
        except asyncio.QueueFull:
            log.warning("device_too_fast", device=self._device)

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)
        self._waiting = waiting
        try:
            if self._state is not None:
                yield STATE, self._state
            while True:
                yield await waiting.get()
        finally:
            if self._waiting is waiting:
                self._waiting = None

    async def send(self, address: str, payload: bytes) -> None:
        await self._bus.publish(f"{TOPIC}/{self._device}/{address}", payload)
