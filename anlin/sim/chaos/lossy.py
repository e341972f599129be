"""A bad MQTT line: messages that are lost, doubled or late, each as a real line or broker does it.

MQTT on TCP loses nothing by itself. What is lost in the field was taken by a broker that died
before passing it on, or by a connection that broke with messages in flight. So a lost message is
confirmed to its sender (PUBACK proves nothing), goes nowhere, and the connection breaks soon. A
late one is confirmed at once and arrives after those behind it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from anlin.sim.cut import CONNECT_WAIT_S, HOST

MAX_LATE_S = 1.0
_PUBLISH, _PUBACK = 3, 4
_RETAIN, _DUP = 0x01, 0x08
_MAX_PACKET_BYTES = 1 << 20


@dataclass(slots=True)
class Badness:
    """Shares of messages that meet each fate."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0


class LossyCable:
    """Carries MQTT connections from `port` to `target_port`, as badly as `badness` says."""

    def __init__(self, port: int, target_port: int, dice: random.Random) -> None:
        self.badness = Badness()
        self.counts: Counter[str] = Counter()
        self.is_cut = False
        self.dice = dice
        self.port = port
        self._target_port = target_port
        self._connections: set[_Connection] = set()

    async def run(self) -> None:
        """Carry until cancelled."""
        server = await asyncio.start_server(self._carry, HOST, self.port)
        try:
            await server.serve_forever()
        finally:
            server.close()
            self.drop()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self.is_cut = True
        self.drop()

    def mend(self) -> None:
        """Carry again, and well."""
        self.is_cut = False
        self.badness = Badness()

    def drop(self) -> None:
        """Break every connection; who wants to may connect again."""
        for connection in list(self._connections):
            connection.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            async with asyncio.timeout(CONNECT_WAIT_S):
                far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        connection = _Connection(self, writer, far_writer)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.pump(reader, far_writer, writer, "up"))
                group.create_task(connection.pump(far_reader, writer, far_writer, "down"))
        except* (OSError, EOFError, ValueError):
            pass
        finally:
            self._connections.discard(connection)
            connection.abort()


class _Connection:
    """Both directions of one connection, and which confirmations are not to pass."""

    def __init__(
        self, cable: LossyCable, near: asyncio.StreamWriter, far: asyncio.StreamWriter
    ) -> None:
        self._cable = cable
        self._ends = (near, far)
        self._surplus: dict[str, Counter[bytes]] = {"up": Counter(), "down": Counter()}

    def abort(self) -> None:
        """Break it."""
        for end in self._ends:
            end.transport.abort()

    async def pump(
        self,
        reader: asyncio.StreamReader,
        out: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        way: str,
    ) -> None:
        """Carry one direction, packet by packet, until it ends."""
        other = "down" if way == "up" else "up"
        while True:
            packet = await _read_packet(reader)
            kind = packet[0] >> 4
            if kind == _PUBACK and self._surplus[way][packet[2:4]] > 0:
                # It confirms what was confirmed already, or the second of two.
                self._surplus[way][packet[2:4]] -= 1
                continue
            mid = _mid(packet) if kind == _PUBLISH else None
            if mid is None:
                out.write(packet)
            else:
                self._publish(packet, mid, out, back, other)
            await out.drain()

    def _publish(
        self,
        packet: bytes,
        mid: bytes,
        out: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        other: str,
    ) -> None:
        cable, badness = self._cable, self._cable.badness
        fate = cable.dice.random()
        cable.counts["messages"] += 1
        if fate < badness.lost:
            cable.counts["lost"] += 1
            back.write(_puback(mid))
            _later(cable.dice.uniform(0.1, 1.0), self.abort)
        elif fate < badness.lost + badness.doubled:
            cable.counts["doubled"] += 1
            self._surplus[other][mid] += 1
            out.write(packet + bytes([packet[0] | _DUP]) + packet[1:])
        elif fate < badness.lost + badness.doubled + badness.late:
            cable.counts["late"] += 1
            back.write(_puback(mid))
            self._surplus[other][mid] += 1
            _later(cable.dice.uniform(0.05, MAX_LATE_S), lambda: _write(out, packet))
        else:
            out.write(packet)


def _later(seconds: float, do: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, do)


def _write(out: asyncio.StreamWriter, packet: bytes) -> None:
    if not out.is_closing():
        out.write(packet)


def _puback(mid: bytes) -> bytes:
    return bytes([_PUBACK << 4, 2]) + mid


def _mid(packet: bytes) -> bytes | None:
    """Give the packet id of a message that may meet a fate; None for those that may not.

    Retained state is said once for each connection, which the line breaks as well where it is
    lost; QoS 0 is nobody's promise.
    """
    if packet[0] & _RETAIN or packet[0] >> 1 & 0x03 != 1:
        return None
    at = 1
    while packet[at] & 0x80:
        at += 1
    at += 1
    at += 2 + int.from_bytes(packet[at : at + 2])
    return packet[at : at + 2]


async def _read_packet(reader: asyncio.StreamReader) -> bytes:
    head = bytearray(await reader.readexactly(1))
    length = 0
    for shift in (0, 7, 14, 21):
        byte = (await reader.readexactly(1))[0]
        head.append(byte)
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    if length > _MAX_PACKET_BYTES:
        raise ValueError(f"MQTT packet of {length} bytes")
    return bytes(head) + await reader.readexactly(length)
