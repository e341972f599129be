"""The embedded MQTT broker: amqtt in its own process, behind a guard of ours.

    python -m anlin.edge.broker --home DIR --port N

amqtt buffers a packet of any size, waits for ever on a silent socket, deletes a session before it
asks for the password, and never notices that a device died. So each connection meets `Guard`
first, which reads whole packets up to a cap, checks who connects, and keeps the time. What a
device publishes is acknowledged by the edge with `down/ack`, never by the broker alone: a broker
that is killed forgets what it queued.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from pathlib import Path

import structlog
from amqtt.adapters import (
    BufferReader,
    ReaderAdapter,
    StreamWriterAdapter,
)
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError
from amqtt.mqtt.connack import NOT_AUTHORIZED, UNACCEPTABLE_PROTOCOL_VERSION, ConnackPacket
from amqtt.mqtt.connect import ConnectPacket
from amqtt.session import Session

from anlin.edge.broker_access import Users, may
from anlin.wire.mqtt_users import Role

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
MAX_PACKET_BYTES = 8 * 1024
"""The profile's messages hold 4096 bytes; topic, header and a last will fit in the rest."""

CONNECT_WAIT_S = 10.0
"""A device that has not said who it is by then is a scanner or a broken cable."""

MAX_CONNECTIONS = 2000
MAX_STRANGERS = 100
"""Sockets that have not signed in; a site's devices all come back at once after a power cut."""

MAX_KEEP_ALIVE_S = 300
"""A device that asks for more, or for none, would be missed only after it was needed."""

WRITE_WAIT_S = 10.0
"""A peer that does not read for so long is dropped: what waits for it would fill the memory."""

MAX_QUEUED = 2000
"""Messages on their way through the broker. Above it nobody's next packet is read, so that a
flood waits in its sender's socket and not here."""

STOP_WAIT_S = 2.0
BRIEF_WAIT_S = 0.005
QUIET_S = 1.0
COLLECT_EVERY_S = 60.0
USERS_EVERY_S = 1.0

_CONNECT = 1
_PUBLISH = 3


class GuardError(Exception):
    """A peer that broke a rule of the guard; the text says which."""


class Guard:
    """What stands before the broker: accepts, identifies, caps, keeps time, and hands over."""

    def __init__(self, broker: AnlinBroker, users: Users) -> None:
        self._broker = broker
        self._users = users
        self._strangers = 0
        self._links: dict[str, _Link] = {}
        self.packets = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection from its first byte to its last."""
        try:
            if self._strangers >= MAX_STRANGERS or len(self._links) >= MAX_CONNECTIONS:
                raise GuardError(f"more than {MAX_STRANGERS} unknown or {MAX_CONNECTIONS} known")
            self._strangers += 1
            try:
                async with asyncio.timeout(CONNECT_WAIT_S):
                    packet = await _read_packet(reader, _CONNECT)
                    connect = await self._identify(packet, writer)
            finally:
                self._strangers -= 1
            await self._hand_over(connect, packet, reader, writer)
        except TimeoutError:
            log.warning("mqtt_refused", rule=f"no CONNECT within {CONNECT_WAIT_S} s")
        except GuardError as error:
            log.warning("mqtt_refused", rule=str(error))
        except (OSError, EOFError):
            log.debug("mqtt_gone")
        finally:
            # Aborted, not closed: a peer that does not read must not keep its buffer here.
            writer.transport.abort()

    async def _identify(self, packet: bytes, writer: asyncio.StreamWriter) -> ConnectPacket:
        """Check user, password, client id and last will before the broker hears of any."""
        try:
            connect = await ConnectPacket.from_stream(BufferReader(packet))
        except (AMQTTError, MQTTError, CodecError, NoDataError, ValueError) as error:
            raise GuardError(f"CONNECT can't be read: {error}") from error
        name = connect.username or ""
        if connect.proto_name != "MQTT" or connect.proto_level != 4:
            await _refuse(writer, UNACCEPTABLE_PROTOCOL_VERSION)
            raise GuardError(f"protocol level {connect.proto_level}; this broker speaks MQTT 3.1.1")
        if not self._users.admits(name, connect.password, connect.client_id):
            await _refuse(writer, NOT_AUTHORIZED)
            raise GuardError(f"user {name[:64]!r}: unknown, wrong password or foreign client id")
        will = connect.will_topic if connect.will_flag else None
        if will is not None and not may(self._users.find(name), Action.PUBLISH, will):
            await _refuse(writer, NOT_AUTHORIZED)
            raise GuardError(f"user {name[:64]!r}: last will for a topic that is not its own")
        return connect

    async def _hand_over(
        self,
        connect: ConnectPacket,
        packet: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        client = str(connect.client_id)
        link = _Link(self, str(connect.username), _as_clean(packet), reader, connect.keep_alive)
        old = self._links.get(client)
        if old is not None:
            # [MQTT-3.1.4-2] The newer connection wins, and the old one's will goes out first.
            await old.stop()
        self._links[client] = link
        try:
            await self._broker.external_connected(link, _Writer(writer), "default")
        except Exception:
            # amqtt changes its tables under its own loops; the device comes back and nothing
            # is lost, because it keeps what the edge has not acknowledged.
            log.exception("mqtt_connection_failed", user=link.user)
        finally:
            if self._links.get(client) is link:
                del self._links[client]
            link.is_done.set()

    async def watch_users(self) -> None:
        """Drop the connections of users who were taken off the list or got a new password."""
        known = {link.user: self._users.find(link.user) for link in self._links.values()}
        while True:
            await asyncio.sleep(USERS_EVERY_S)
            known |= {
                link.user: self._users.find(link.user)
                for link in self._links.values()
                if link.user not in known
            }
            if self._users.refresh():
                for link in list(self._links.values()):
                    if self._users.find(link.user) != known.get(link.user):
                        log.info("mqtt_user_changed", user=link.user)
                        await link.stop()
                known.clear()

    async def close(self) -> None:
        """End every connection."""
        await asyncio.gather(*(link.stop() for link in list(self._links.values())))

    async def room(self, name: str) -> None:
        """Wait until the broker has room for one more message of a device.

        An edge never waits: its acknowledgements, behind its messages, are what makes room.
        """
        self.packets += 1
        user = self._users.find(name)
        if user is not None and user.role is Role.EDGE:
            return
        while self._broker.backlog >= MAX_QUEUED:  # noqa: ASYNC110  amqtt has nothing to wait on
            await asyncio.sleep(BRIEF_WAIT_S)


class _Link(ReaderAdapter):  # type: ignore[misc]  # amqtt has no types
    """One identified connection, read packet by packet on the broker's behalf."""

    def __init__(
        self, guard: Guard, user: str, first: bytes, reader: asyncio.StreamReader, keep_alive: int
    ) -> None:
        self.user = user
        self.is_done = asyncio.Event()
        self._guard = guard
        self._packet = first
        self._at = 0
        self._reader = reader
        self._fetching: asyncio.Task[bytes] | None = None
        self._is_over = False
        # [MQTT-3.1.2-24] one and a half times the keep alive
        self._silence_s = 1.5 * min(keep_alive or MAX_KEEP_ALIVE_S, MAX_KEEP_ALIVE_S)

    async def read(self, n: int = -1) -> bytes:
        """Give the next `n` bytes of the current packet; empty at the end of the connection."""
        if self._at >= len(self._packet):
            if self._is_over:
                return b""
            if self._fetching is None:
                self._fetching = asyncio.create_task(self._fetch())
            # Shielded, because amqtt gives up waiting now and then, and half a packet that was
            # read for nobody would put everything after it out of step.
            self._packet, self._at = await asyncio.shield(self._fetching), 0
            self._fetching = None
        if n > len(self._packet) - self._at:
            return b""
        end = len(self._packet) if n < 0 else self._at + n
        data, self._at = self._packet[self._at : end], end
        return data

    def feed_eof(self) -> None:
        """End the connection as its peer would."""
        self._is_over = True
        if self._fetching is not None:
            self._fetching.cancel()

    async def stop(self) -> None:
        """End the connection and wait until the broker has let it go."""
        self.feed_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_S):
                await self.is_done.wait()

    async def _fetch(self) -> bytes:
        """Read the next packet; b"" ends the connection, whatever the reason."""
        try:
            async with asyncio.timeout(self._silence_s):
                packet = await _read_packet(self._reader)
            if packet[0] >> 4 == _PUBLISH:
                if packet[0] & 0x04:
                    # Its hand-shake would keep each message for as long as the peer likes.
                    raise GuardError("PUBLISH with QoS 2; the profile uses QoS 1")
                await self._guard.room(self.user)
        except TimeoutError:
            log.warning("mqtt_silent", user=self.user, limit_s=self._silence_s)
        except GuardError as error:
            log.warning("mqtt_dropped", user=self.user, rule=str(error))
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        else:
            return packet
        return b""


class _Writer(StreamWriterAdapter):  # type: ignore[misc]  # amqtt has no types
    """Writes with a limit on how long the peer may refuse to read."""

    async def drain(self) -> None:
        try:
            async with asyncio.timeout(WRITE_WAIT_S):
                await super().drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise ConnectionResetError("peer does not read") from None


class AnlinBroker(Broker):  # type: ignore[misc]  # amqtt has no types
    """amqtt with two of its habits taken away; pinned below 0.13 for these overrides."""

    @property
    def backlog(self) -> int:
        """How many messages are on their way through."""
        return int(self._broadcast_queue.qsize()) + len(self._tasks_queue)

    async def retain_message(
        self,
        source_session: Session | None,
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """Retain a device's state and nothing else: one small message for each device."""
        if topic_name is not None and topic_name.endswith("/up/state"):
            await super().retain_message(source_session, topic_name, data, qos)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Send what is retained to who asked; amqtt sends it to whoever connects."""
        holders = self._subscriptions.get(subscription[0], [])
        if any(holder is session for holder, _ in holders):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def run(home: Path, port: int, host: str = HOST) -> None:
    """Run the broker until the task is cancelled.

    Raises:
        OSError: the port is taken.
    """
    listener = ListenerConfig(type=ListenerType.EXTERNAL, bind=f"{host}:{port}")
    plugins = {"anlin.edge.broker_access.Access": {"home": str(home)}}
    broker = AnlinBroker(BrokerConfig(listeners={"default": listener}, plugins=plugins))
    guard = Guard(broker, Users(home))
    # The limit makes the transport stop reading: a megabyte stays with who sent it.
    server = await asyncio.start_server(
        guard.serve, host, port, limit=MAX_PACKET_BYTES, start_serving=False
    )
    await broker.start()
    try:
        await server.start_serving()
        log.info("broker_ready", host=host, port=port)
        async with asyncio.TaskGroup() as group:
            group.create_task(guard.watch_users())
            group.create_task(_collect(guard))
    finally:
        server.close()
        # amqtt waits for ever for a reader whose cancellation got lost; an end of file does not.
        await guard.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WAIT_S):
                await broker.shutdown()


async def _collect(guard: Guard) -> None:
    """Collect garbage in quiet seconds: a full collection in a busy one stalls every device."""
    gc.set_threshold(100_000, 50, 1000)
    seen, collected_at = guard.packets, time.monotonic()
    while True:
        await asyncio.sleep(QUIET_S)
        is_quiet, seen = guard.packets == seen, guard.packets
        if is_quiet and time.monotonic() - collected_at >= COLLECT_EVERY_S:
            gc.collect()
            collected_at = time.monotonic()


async def _read_packet(reader: asyncio.StreamReader, only: int | None = None) -> bytes:
    """Read one whole MQTT control packet (MQTT 3.1.1, 2.2), of one type if `only` says so.

    Raises:
        GuardError: it says that it is larger than the cap, or is of another type; nothing of
            its body was read.
        EOFError: the peer went away.
    """
    head = bytearray(await reader.readexactly(1))
    if only is not None and head[0] >> 4 != only:
        raise GuardError(f"first packet is of type {head[0] >> 4}, not {only}")
    length = 0
    for shift in (0, 7, 14, 21):
        byte = (await reader.readexactly(1))[0]
        head.append(byte)
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    else:
        raise GuardError("remaining length of more than four bytes")
    if length > MAX_PACKET_BYTES:
        raise GuardError(f"packet of {length} bytes; the cap is {MAX_PACKET_BYTES}")
    return bytes(head) + await reader.readexactly(length)


def _as_clean(packet: bytes) -> bytes:
    """Set "clean session": a relay order must never wait here for a device that sleeps."""
    flags_at = 1
    while packet[flags_at] & 0x80:
        flags_at += 1
    flags_at += 1 + len(b"\x00\x04MQTT\x04")
    return packet[:flags_at] + bytes([packet[flags_at] | 0x02]) + packet[flags_at + 1 :]


async def _refuse(writer: asyncio.StreamWriter, code: int) -> None:
    writer.write(ConnackPacket.build(0, code).to_bytes())
    with contextlib.suppress(OSError):
        await writer.drain()
        writer.write_eof()


def main() -> None:
    """Run the broker as a process until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Anlin's embedded MQTT broker")
    parser.add_argument("--home", type=Path, required=True, help="state folder (ANLIN_HOME)")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=1883)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_until_told(given.home, given.port, given.host))
    except* OSError as errors:
        sys.exit(f"broker: {errors.exceptions[0]}")


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _until_told(home: Path, port: int, host: str) -> None:
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await run(home, port, host)


if __name__ == "__main__":
    main()
