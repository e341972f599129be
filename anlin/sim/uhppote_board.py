"""A UHPPOTE board that is not there: real packets over real UDP and TCP, and everything it forgets.

Written from the packet layouts of the `uhppoted` package (64 bytes, 0x17, the function, the
serial number; numbers little-endian, dates in BCD); the package's own client is what it is
tested with. It decides by its own cards and time profiles, as a board does when nobody listens.

    python -m anlin.sim.uhppote_board --boards 200      prints boards_ready {serial: port}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

PACKET_BYTES = 64
MAGIC = 0x55AAAA55
"""What a board wants to see before it deletes everything or moves an index."""

DELETED = 0xFFFFFFFF
"""The card number in a slot whose card was deleted."""

FACTORY_TIME = datetime(2000, 1, 1)  # noqa: DTZ001  a board keeps local time and knows no zone
CONTROLLED = 3
SWIPE, DOOR, ALARM, OVERWRITTEN = 1, 2, 3, 0xFF

_SWIPE_OK, _NO_RIGHT, _NOT_NOW, _NOT_VALID = 1, 6, 15, 18
_BUTTON, _OPENED, _CLOSED, _POWER_ON, _REMOTE = 20, 23, 24, 28, 44


@dataclass(slots=True)
class Faults:
    """What the network does to packets, each as a share of them from 0 to 1."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


@dataclass(slots=True)
class BoardCard:
    """One card as the board keeps it."""

    number: int
    start: date
    end: date
    doors: tuple[int, ...]
    extras: bytes = bytes(4)
    """PIN and first-card rights, which nobody here uses."""


@dataclass(slots=True)
class Door:
    """One door: how it is controlled, for how long it unlocks, and how it stands."""

    mode: int = CONTROLLED
    delay_s: int = 5
    is_open: bool = False
    unlocked_until: float = 0.0
    remote_opens: int = 0


@dataclass(slots=True)
class _Memory:
    """Everything that a board forgets when its memory goes."""

    slots: list[BoardCard | None] = field(default_factory=list)
    profiles: dict[int, bytes] = field(default_factory=dict)
    events: deque[bytes] = field(default_factory=deque)
    last: int = 0
    register: int = 0
    listener: tuple[str, int] = ("0.0.0.0", 0)  # noqa: S104  how a board says "nobody"
    doors: dict[int, Door] = field(default_factory=lambda: {n: Door() for n in range(1, 5)})
    records_doors: bool = False
    clock: timedelta = timedelta()


class Board:
    """One board with four doors, listening on a port of the loopback."""

    def __init__(
        self, serial: int, *, capacity: int = 40_000, ring: int = 100_000, seed: int = 0
    ) -> None:
        self.serial = serial
        self.capacity = capacity
        self.ring = ring
        self.faults = Faults()
        self.host = "127.0.0.1"
        self.port = 0
        self.asked = 0
        self.is_fire = False
        self._dice = random.Random(seed)  # noqa: S311  for faults, not for secrets
        self._memory = _Memory()
        self._slot_of: dict[int, int] = {}
        self._deleted: list[int] = []
        self._held_back: tuple[bytes, Callable[[bytes], None]] | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self.set_clock(datetime.now())  # noqa: DTZ005  local, as a board

    # Life

    async def start(self) -> None:
        """Listen, on the same port as before where there was one."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(self.host, self.port)
        )
        self.port = self._udp.get_extra_info("sockname")[1]
        with contextlib.suppress(OSError):  # a port that is free for UDP may be taken for TCP
            self._tcp = await asyncio.start_server(self._serve_tcp, self.host, self.port)

    async def stop(self) -> None:
        """Lose power: cards and events stay, nobody answers."""
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None
        self._held_back = None

    async def __aenter__(self) -> Board:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def lose_memory(self) -> None:
        """Forget cards, profiles, events, settings and the time, and start again."""
        self._memory = _Memory()
        self._slot_of.clear()
        self._deleted.clear()
        self.set_clock(FACTORY_TIME)
        self._record(ALARM, False, 1, 1, 0, _POWER_ON)

    def set_clock(self, local: datetime) -> None:
        """Set the board's own time."""
        self._memory.clock = local - _EPOCH - timedelta(seconds=time.monotonic())

    def now(self) -> datetime:
        """Give the board's own time."""
        return _EPOCH + self._memory.clock + timedelta(seconds=time.monotonic())

    # What people do

    def present(self, number: int, door: int, *, is_exit: bool = False) -> bool:
        """Show a card to a reader; say whether the board opens."""
        reason = self._judge(number, door)
        is_granted = reason == _SWIPE_OK
        self._record(SWIPE, is_granted, door, 2 if is_exit else 1, number, reason)
        if is_granted:
            self._unlock(door)
        return is_granted

    def press(self, door: int) -> None:
        """Press a door's exit button."""
        self._unlock(door)
        if self._memory.records_doors:
            self._record(DOOR, True, door, 1, 0, _BUTTON)

    def move(self, door: int, *, is_open: bool) -> None:
        """Open or close a door by hand."""
        self.doors[door].is_open = is_open
        if self._memory.records_doors:
            self._record(DOOR, True, door, 1, 0, _OPENED if is_open else _CLOSED)

    @property
    def doors(self) -> dict[int, Door]:
        """The four doors."""
        return self._memory.doors

    @property
    def cards(self) -> dict[int, BoardCard]:
        """The cards that would open something now, by number."""
        return {card.number: card for card in self._memory.slots if card is not None}

    @property
    def register(self) -> int:
        """How far somebody said they had read the events."""
        return self._memory.register

    @property
    def last_event(self) -> int:
        """The index of the newest event."""
        return self._memory.last

    def profile(self, number: int) -> bytes | None:
        """Give a time profile's bytes 9 to 36."""
        return self._memory.profiles.get(number)

    def is_unlocked(self, door: int) -> bool:
        """Say whether a door's lock is open now."""
        state = self.doors[door]
        return state.mode == 1 or time.monotonic() < state.unlocked_until

    # Deciding

    def _judge(self, number: int, door: int) -> int:
        slot = self._slot_of.get(number)
        card = self._memory.slots[slot] if slot is not None else None
        if card is None:
            return _NOT_VALID
        now = self.now()
        if not card.start <= now.date() <= card.end:
            return _NOT_VALID
        permission = card.doors[door - 1]
        if permission <= 1:
            return _SWIPE_OK if permission else _NO_RIGHT
        return _SWIPE_OK if self.holds(permission, now) else _NOT_NOW

    def holds(self, profile: int, at: datetime) -> bool:
        """Say whether a time profile, or one linked to it, holds at a local time."""
        for _ in range(254):
            data = self._memory.profiles.get(profile)
            if data is None:
                return False
            minute = at.hour * 60 + at.minute
            if (
                _date(data, 0) <= at.date() <= _date(data, 4)
                and data[8 + at.weekday()]
                and any(
                    _minute(data, 15 + 4 * n) <= minute <= _minute(data, 17 + 4 * n)
                    for n in range(3)
                    if data[15 + 4 * n : 19 + 4 * n] != bytes(4)
                )
            ):
                return True
            profile = data[27]
        return False

    def _unlock(self, door: int) -> None:
        state = self.doors[door]
        state.unlocked_until = time.monotonic() + state.delay_s

    def _record(
        self, kind: int, granted: bool, door: int, direction: int, card: int, reason: int
    ) -> None:
        memory = self._memory
        memory.last += 1
        record = struct.pack("<IBBBBI", memory.last, kind, granted, door, direction, card)
        memory.events.append(record + _bcd_time(self.now()) + bytes([reason]))
        if len(memory.events) > self.ring:
            memory.events.popleft()
        host, port = memory.listener
        if self._udp is not None and port:
            self._udp.sendto(self._status(), (host, port))

    # Packets

    def receive(self, packet: bytes, answer: Callable[[bytes], None]) -> None:
        """Take a datagram, after the network has had its way with it."""
        faults = self.faults
        if self._dice.random() < faults.loss:
            return
        times = 2 if self._dice.random() < faults.duplicate else 1
        late, self._held_back = self._held_back, None
        if late is None and self._dice.random() < faults.reorder:
            self._held_back = (packet, answer)
            return
        for one, reply in [(packet, answer)] * times + ([late] if late is not None else []):
            said = self.handle(one)
            if said is not None and self._dice.random() >= faults.loss:
                reply(said)
                if self._dice.random() < faults.duplicate:
                    reply(said)

    def handle(self, packet: bytes) -> bytes | None:
        """Answer one request; None where a board says nothing."""
        if len(packet) != PACKET_BYTES or packet[0] != 0x17:
            return None
        function = packet[1]
        (serial,) = struct.unpack_from("<I", packet, 4)
        if serial != self.serial and not (function == 0x94 and serial == 0):
            return None
        self.asked += 1
        found = _ANSWERS.get(function)
        return found(self, packet) if found is not None else None

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            said = self.handle(await reader.readexactly(PACKET_BYTES))
            if said is not None:
                writer.write(said)
                await writer.drain()
        writer.close()

    def _reply(self, function: int, payload: bytes = b"") -> bytes:
        head = struct.pack("<BBHI", 0x17, function, 0, self.serial)
        return (head + payload).ljust(PACKET_BYTES, b"\0")

    def _controller(self, _: bytes) -> bytes:
        address = IPv4Address(self.host).packed
        mask, gateway = IPv4Address("255.0.0.0").packed, bytes(4)
        return self._reply(
            0x94, address + mask + gateway + bytes(6) + b"\x08\x92" + b"\x20\x18\x11\x05"
        )

    def _status(self, _: bytes = b"") -> bytes:
        memory, now = self._memory, self.now()
        event = memory.events[-1] if memory.events else bytes(20)
        relays = sum(1 << (n - 1) for n in memory.doors if self.is_unlocked(n))
        body = bytearray(event)
        body += bytes(memory.doors[n].is_open for n in range(1, 5)) + bytes(4)
        body += bytes([0]) + _bcd_time(now)[4:]
        body += bytes(8) + bytes([0, relays, int(self.is_fire)]) + _bcd_time(now)[1:4]
        return self._reply(0x20, bytes(body))

    def _time(self, packet: bytes) -> bytes:
        if packet[1] == 0x30:
            self.set_clock(datetime.strptime(packet[8:15].hex(), "%Y%m%d%H%M%S"))  # noqa: DTZ007
        return self._reply(packet[1], _bcd_time(self.now()))

    def _listener(self, packet: bytes) -> bytes:
        if packet[1] == 0x90:
            (port,) = struct.unpack_from("<H", packet, 12)
            self._memory.listener = (str(IPv4Address(packet[8:12])), port)
            return self._reply(0x90, b"\x01")
        host, port = self._memory.listener
        return self._reply(0x92, IPv4Address(host).packed + struct.pack("<HB", port, 0))

    def _door(self, packet: bytes) -> bytes | None:
        door = self.doors.get(packet[8])
        if door is None:
            return None
        if packet[1] == 0x80:
            door.mode, door.delay_s = packet[9], packet[10]
        return self._reply(packet[1], bytes([packet[8], door.mode, door.delay_s]))

    def _open(self, packet: bytes) -> bytes:
        door = self.doors.get(packet[8])
        if door is None:
            return self._reply(0x40, b"\0")
        door.remote_opens += 1
        self._unlock(packet[8])
        self._record(DOOR, True, packet[8], 1, 0, _REMOTE)
        return self._reply(0x40, b"\x01")

    def _count(self, _: bytes) -> bytes:
        return self._reply(0x58, struct.pack("<I", len(self._slot_of)))

    def _card(self, packet: bytes) -> bytes:
        (asked,) = struct.unpack_from("<I", packet, 8)
        slots = self._memory.slots
        if packet[1] == 0x5A:
            slot = self._slot_of.get(asked)
            return self._reply(0x5A, b"" if slot is None else _card_bytes(slots[slot]))
        if not 1 <= asked <= len(slots):
            return self._reply(0x5C)
        return self._reply(0x5C, _card_bytes(slots[asked - 1]))

    def _put(self, packet: bytes) -> bytes:
        (number,) = struct.unpack_from("<I", packet, 8)
        card = BoardCard(
            number, _date(packet, 12), _date(packet, 16), tuple(packet[20:24]), packet[24:28]
        )
        slot = self._slot_of.get(number)
        if slot is None:
            if number in (0, DELETED) or len(self._slot_of) >= self.capacity:
                return self._reply(0x50, b"\0")
            slot = self._deleted.pop() if self._deleted else len(self._memory.slots)
            if slot == len(self._memory.slots):
                self._memory.slots.append(None)
            self._slot_of[number] = slot
        self._memory.slots[slot] = card
        return self._reply(0x50, b"\x01")

    def _delete(self, packet: bytes) -> bytes:
        (number,) = struct.unpack_from("<I", packet, 8)
        slot = self._slot_of.pop(number, None)
        if slot is not None:
            self._memory.slots[slot] = None
            self._deleted.append(slot)
        return self._reply(0x52, bytes([slot is not None]))

    def _delete_all(self, packet: bytes) -> bytes:
        is_meant = struct.unpack_from("<I", packet, 8)[0] == MAGIC
        if is_meant:
            self._memory.slots.clear()
            self._slot_of.clear()
            self._deleted.clear()
        return self._reply(0x54, bytes([is_meant]))

    def _profile(self, packet: bytes) -> bytes:
        number = packet[8]
        if packet[1] == 0x98:
            data = self._memory.profiles.get(number)
            return self._reply(0x98, b"" if data is None else bytes([number]) + data)
        if packet[1] == 0x8A:
            self._memory.profiles.clear()
        elif not 2 <= number <= 254:
            return self._reply(0x88, b"\0")
        else:
            self._memory.profiles[number] = packet[9:37]
        return self._reply(packet[1], b"\x01")

    def _event(self, packet: bytes) -> bytes:
        (index,) = struct.unpack_from("<I", packet, 8)
        memory = self._memory
        first = memory.last - len(memory.events) + 1
        if not 1 <= index <= memory.last:
            return self._reply(0xB0, struct.pack("<IB", index, 0))
        if index < first:
            return self._reply(0xB0, struct.pack("<IB", index, OVERWRITTEN))
        return self._reply(0xB0, memory.events[index - first])

    def _register(self, packet: bytes) -> bytes:
        if packet[1] == 0xB4:
            return self._reply(0xB4, struct.pack("<I", self._memory.register))
        index, magic = struct.unpack_from("<II", packet, 8)
        if magic == MAGIC:
            self._memory.register = index
        return self._reply(0xB2, bytes([magic == MAGIC]))

    def _special(self, packet: bytes) -> bytes:
        self._memory.records_doors = bool(packet[8])
        return self._reply(0x8E, b"\x01")


_EPOCH = FACTORY_TIME

_ANSWERS: dict[int, Callable[[Board, bytes], bytes | None]] = {
    0x20: Board._status,
    0x30: Board._time,
    0x32: Board._time,
    0x40: Board._open,
    0x50: Board._put,
    0x52: Board._delete,
    0x54: Board._delete_all,
    0x58: Board._count,
    0x5A: Board._card,
    0x5C: Board._card,
    0x80: Board._door,
    0x82: Board._door,
    0x88: Board._profile,
    0x8A: Board._profile,
    0x8E: Board._special,
    0x90: Board._listener,
    0x92: Board._listener,
    0x94: Board._controller,
    0x98: Board._profile,
    0xB0: Board._event,
    0xB2: Board._register,
    0xB4: Board._register,
}


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, board: Board) -> None:
        self._board = board
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The event loop's own class is no subclass of the one it stands for.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        def answer(reply: bytes) -> None:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(reply, addr)

        self._board.receive(data, answer)


def _card_bytes(card: BoardCard | None) -> bytes:
    if card is None:
        return struct.pack("<I", DELETED)
    days = bytes.fromhex(f"{card.start:%Y%m%d}{card.end:%Y%m%d}")
    return struct.pack("<I", card.number) + days + bytes(card.doors) + card.extras


def _bcd_time(at: datetime) -> bytes:
    return bytes.fromhex(f"{at:%Y%m%d%H%M%S}")


def _date(data: bytes, offset: int) -> date:
    text = data[offset : offset + 4].hex()
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _minute(data: bytes, offset: int) -> int:
    text = data[offset : offset + 2].hex()
    return int(text[:2]) * 60 + int(text[2:])


async def _serve(boards: list[Board], tell: Callable[[str], None]) -> None:
    for board in boards:
        await board.start()
    tell(json.dumps({board.serial: board.port for board in boards}))
    await asyncio.Event().wait()


def main() -> None:
    """Run boards until told to end."""
    parser = argparse.ArgumentParser(prog="python -m anlin.sim.uhppote_board")
    parser.add_argument("--boards", type=int, default=1)
    parser.add_argument("--first-serial", type=int, default=425_000_001)
    parser.add_argument("--capacity", type=int, default=40_000)
    parser.add_argument("--ports", type=Path, help="a file to write {serial: port} to")
    chosen = parser.parse_args()
    boards = [
        Board(chosen.first_serial + number, capacity=chosen.capacity)
        for number in range(chosen.boards)
    ]

    def tell(ports: str) -> None:
        if chosen.ports is not None:
            chosen.ports.write_text(ports)
        sys.stdout.write(f"boards_ready {ports}\n")
        sys.stdout.flush()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(boards, tell))


if __name__ == "__main__":
    main()
