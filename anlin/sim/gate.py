"""A gate controller that speaks the MQTT profile for real (docs/ref/mqtt_gate.md).

It has readers, a door contact, an exit button, a fire input, a loop, a relay, a screen. It keeps
what the edge has not acknowledged and obeys each release once. Somebody walks through a door that
was released, so the contact follows the relay as it does at a real gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import structlog

log = structlog.get_logger(__name__)

FIRMWARE = "anlin-sim"
RESEND_S = 2.0
"""The profile's: long enough for an edge that restarts, short enough for a person who waits."""

REREAD_S = 30.0
RECONNECT_S = 1.0
KEEP_ALIVE_S = 15
_NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
MAX_KEPT = 1000
"""What the flash of a small controller holds; beyond it the oldest is lost, and it says so."""

REMEMBERED_RELEASES = 256
ARM_S = 0.8
"""A quick arm; the slowest take six seconds."""

REACH_S = 0.3
"""From the click of the lock to the door moving."""


@dataclass(slots=True)
class _Kept:
    """A message that the edge has not acknowledged yet."""

    topic: str
    data: dict[str, Any]
    happened_at: float
    sent_at: float = float("-inf")


@dataclass(slots=True)
class Habits:
    """How people use this gate; the story changes them for one passage at a time."""

    open_s: float = 1.0
    """How long the next person keeps the door open."""
    walks_through: bool = True


@dataclass(frozen=True, slots=True)
class Obeyed:
    """A relay order that was carried out."""

    id: str
    action: str
    at: float


@dataclass(frozen=True, slots=True)
class Shown:
    """What the screen showed, at which reader."""

    reader: str
    code: str
    text: str
    is_granted: bool


@dataclass(slots=True)
class Gate:
    """One controller. `run` keeps it connected; the other methods are what people do to it."""

    id: str
    password: str
    host: str
    port: int
    door: str = "door"
    is_lane: bool = False
    """A barrier: an arm and two loops in the place of a leaf and its contact."""
    habits: Habits = field(default_factory=Habits)
    boot: int = field(default_factory=lambda: int(time.time()))
    obeyed: list[Obeyed] = field(default_factory=list)
    shown: deque[Shown] = field(default_factory=lambda: deque(maxlen=100))
    said: deque[str] = field(default_factory=lambda: deque(maxlen=100))
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    level: str = "closed"
    is_asleep: bool = False
    _count: int = 0
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _orders: asyncio.Queue[tuple[float, dict[str, Any]]] = field(default_factory=asyncio.Queue)
    _known: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED_RELEASES))
    _walk: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _fire: bool = False
    _loop: bool | None = None
    _under: bool | None = None
    arm: str = "down"

    async def run(self) -> None:
        """Stay connected, send, re-send and obey until cancelled."""
        obeying = asyncio.create_task(self._obey_orders())
        try:
            while True:
                try:
                    await self._connection()
                except* aiomqtt.MqttError as errors:
                    log.info("gate_offline", device=self.id, error=str(errors.exceptions[0]))
                finally:
                    self.connected.clear()
                await asyncio.sleep(RECONNECT_S)
        finally:
            obeying.cancel()
            if self._walk is not None:
                self._walk.cancel()

    # What people do

    def read(self, reader: str, method: str, value: str) -> str:
        """Show a credential at a reader; give the id of the message."""
        return self._report("read", reader=reader, method=method, value=value)

    def tag(self, tag: str, antenna: str = "out") -> str:
        """Push an e-bike with a radio tag past an antenna."""
        return self._report("tag", antenna=antenna, tag=tag)

    def press(self, button: str = "exit") -> str:
        """Press an exit button."""
        return self._report("button", button=button)

    def tamper(self, is_active: bool) -> str:
        """Open or close the enclosure."""
        return self._report("tamper", active=is_active)

    def fire(self, is_active: bool) -> str:
        """Trip or clear the hard-wired fire input: release first, report then."""
        self._fire = is_active
        return self._report("fire", input="fire", active=is_active)

    def loop(self, is_occupied: bool) -> str:
        """Drive onto the loop, or off it."""
        self._loop = is_occupied
        return self._report("loop", input="loop", occupied=is_occupied, place="approach")

    def under(self, is_occupied: bool) -> str:
        """Drive under the arm, or out from below it."""
        self._under = is_occupied
        return self._report("loop", input="under", occupied=is_occupied, place="under")

    def swing(self, position: str) -> str:
        """Move the arm: by its drive, by hand, or off its bracket."""
        self.arm = position
        return self._report("arm", input="arm", position=position)

    def strike(self) -> str:
        """Let the arm meet something on its way down; it goes up again."""
        id_ = self._report("struck", input="arm")
        self.swing("up")
        return id_

    def fail(self, fault: str, is_active: bool) -> str:
        """Be unwell, or well again."""
        return self._report("fault", fault=fault, active=is_active)

    def cross(self, direction: str, persons: int = 1) -> str:
        """Let persons walk through the light beams of a turnstile."""
        return self._report("crossed", input=self.door, direction=direction, persons=persons)

    def move(self, level: str) -> str:
        """Move the door, or break its contact's wire."""
        self.level = level
        return self._report("contact", input=self.door, level=level)

    @property
    def kept(self) -> int:
        """How many messages wait for an acknowledgement."""
        return len(self._kept)

    @property
    def is_released(self) -> bool:
        """Whether the last order, or fire, leaves the lock open."""
        return self._fire or bool(self.obeyed and self.obeyed[-1].action == "hold")

    async def acknowledged(self, wait_s: float) -> bool:
        """Wait until the edge has everything; say whether it came to that."""
        try:
            async with asyncio.timeout(wait_s):
                while self._kept:
                    await self._next_change()
        except TimeoutError:
            return False
        return True

    @property
    def releases(self) -> list[Obeyed]:
        """The orders that opened the lock, in order."""
        return [order for order in self.obeyed if order.action != "secure"]

    async def released(self, after: int, wait_s: float) -> Obeyed | None:
        """Wait for a release beyond the first `after` of `releases`."""
        try:
            async with asyncio.timeout(wait_s):
                while len(self.releases) <= after:
                    await self._next_change()
        except TimeoutError:
            return None
        return self.releases[after]

    # The wire

    async def _connection(self) -> None:
        top = f"anlin/v1/{self.id}"
        will = aiomqtt.Will(f"{top}/up/state", _json({"online": False}), qos=1, retain=True)
        async with aiomqtt.Client(
            self.host,
            self.port,
            username=self.id,
            password=self.password,
            identifier=self.id,
            will=will,
            keepalive=KEEP_ALIVE_S,
            socket_options=_NO_DELAY,
            timeout=5,
        ) as client:
            await client.subscribe(f"{top}/down/#", qos=1)
            state = {"online": True, "firmware": FIRMWARE, "boot": self.boot}
            await client.publish(f"{top}/up/state", _json(state), qos=1, retain=True)
            self.connected.set()
            for kept in self._kept.values():
                kept.sent_at = float("-inf")
            self._reread()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send(client, top))
                group.create_task(self._reread_now_and_then())
                group.create_task(self._listen(client))

    async def _send(self, client: aiomqtt.Client, top: str) -> None:
        while True:
            now = time.monotonic()
            for id_, kept in list(self._kept.items()):
                if now - kept.sent_at < RESEND_S or id_ not in self._kept:
                    continue
                kept.sent_at = time.monotonic()
                age_ms = int((kept.sent_at - kept.happened_at) * 1000)
                await client.publish(
                    f"{top}/up/{kept.topic}", _json({**kept.data, "age_ms": age_ms}), qos=1
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._next_change()

    def _pause_s(self) -> float:
        """Until the next message has to be sent again."""
        now = time.monotonic()
        waits = [kept.sent_at + RESEND_S - now for kept in self._kept.values()]
        return max(0.0, min(waits, default=RESEND_S))

    async def _reread_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(REREAD_S)
            self._reread()

    def _reread(self) -> None:
        waiting = {kept.topic for kept in self._kept.values()}
        if not self.is_lane and "contact" not in waiting:
            self._report("contact", input=self.door, level=self.level)
        if self.is_lane and "arm" not in waiting:
            self.swing(self.arm)
        if self.is_lane and "loop" not in waiting:
            self.loop(bool(self._loop))
            self.under(bool(self._under))
        elif self._loop is not None and "loop" not in waiting:
            self.loop(self._loop)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if not isinstance(message.payload, bytes):
                continue
            topic = str(message.topic).rpartition("/")[2]
            self._hear(topic, json.loads(message.payload))
        raise aiomqtt.MqttError("the broker closed the connection")

    def _hear(self, topic: str, data: dict[str, Any]) -> None:
        match topic:
            case "ack":
                self._kept.pop(data["id"], None)
            case "relay":
                self._orders.put_nowait((time.monotonic(), data))
            case "levels":
                self._reread()
            case "screen":
                words = Shown(data["reader"], data["code"], data["text"], data["granted"])
                self.shown.append(words)
            case "voice":
                self.said.append(data["text"])
        self._tell()

    # The lock

    async def _obey_orders(self) -> None:
        while True:
            arrived_at, order = await self._orders.get()
            while self.is_asleep:
                await self._next_change()
            late = time.monotonic() - arrived_at > order.get("expires_ms", 3000) / 1000
            if order["action"] != "secure":
                if order["id"] in self._known:
                    continue
                self._known.append(order["id"])
                if late:
                    log.info("release_expired", device=self.id, release=order["id"])
                    continue
            self.obeyed.append(Obeyed(order["id"], order["action"], time.monotonic()))
            self._tell()
            if self.is_lane:
                self._drive_arm(order["action"])
            elif order["action"] == "release" and self.habits.walks_through:
                if self._walk is not None:
                    self._walk.cancel()
                self._walk = asyncio.create_task(self._somebody_walks_through())

    def _drive_arm(self, action: str) -> None:
        """Move the arm as told; but never down while something stands below it."""
        position = "down" if action == "secure" else "up"
        if position == "down" and (self._under or self._fire):
            return
        if self._walk is not None:
            self._walk.cancel()
        if self.arm != position:
            self._walk = asyncio.create_task(self._move_arm(position))

    async def _move_arm(self, position: str) -> None:
        self.swing("moving")
        await asyncio.sleep(ARM_S)
        if position == "down" and self._under:
            # Something drove in below it: up again, by itself.
            self.strike()
        else:
            self.swing(position)

    async def _somebody_walks_through(self) -> None:
        habits, self.habits = self.habits, Habits()
        await asyncio.sleep(REACH_S)
        self.move("open")
        await asyncio.sleep(habits.open_s)
        self.move("closed")

    def wake(self) -> None:
        """Work again after `is_asleep`; orders that expired meanwhile are dropped."""
        self.is_asleep = False
        self._tell()

    # Bookkeeping

    def _report(self, topic: str, **data: Any) -> str:
        self._count += 1
        id_ = f"{self.boot}-{self._count}"
        if len(self._kept) >= MAX_KEPT:
            oldest = next(iter(self._kept))
            log.warning("gate_memory_full", device=self.id, lost=oldest)
            del self._kept[oldest]
        self._kept[id_] = _Kept(topic, {"id": id_, **data}, time.monotonic())
        self._tell()
        return id_

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _next_change(self) -> None:
        await self._changed.wait()


async def run_all(gates: Iterable[Gate]) -> None:
    """Run controllers together until cancelled."""
    async with asyncio.TaskGroup() as group:
        for gate in gates:
            group.create_task(gate.run())


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
