"""What libosdp stands on: the bytes of a line, and the thread that works on them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import osdp
import serial

from anlin.wire.osdp_frames import Senders

REFRESH_S = 0.005
"""A reader answers within a few milliseconds; what comes is heard one turn later."""

UNSENT_MS = 5000

READ_BYTES = 1024

Got = TypeVar("Got")


class Transport(Protocol):
    """Where the bytes of a line go. Nothing in it waits."""

    def read(self, limit: int) -> bytes: ...

    def write(self, data: bytes) -> int: ...

    def close(self) -> None: ...


class TcpPort:
    """A serial server's port."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_MS)

    def read(self, limit: int) -> bytes:
        try:
            data = self._socket.recv(limit)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionResetError("the serial server hung up")
        return data

    def write(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        self._socket.close()


class SerialPort:
    """A serial port."""

    def __init__(self, path: str, baud: int) -> None:
        self._port = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)

    def read(self, limit: int) -> bytes:
        return bytes(self._port.read(limit))

    def write(self, data: bytes) -> int:
        return int(self._port.write(data) or 0)

    def close(self) -> None:
        self._port.close()


class Wire(osdp.Channel):  # type: ignore[misc]  # the package has no types
    """The line as libosdp's thread sees it; where there is none, what is written is lost."""

    def __init__(self, on_broken: Callable[[str], None]) -> None:
        super().__init__()
        self._on_broken = on_broken
        self._transport: Transport | None = None
        self._senders = Senders()
        self.heard: dict[int, float] = {}
        """When a reader last said something, by its address."""
        self.muted: set[int] = set()
        """Addresses to which nothing is sent: the library repeats an order for eight seconds, and
        a lock must not open so late."""
        self.heard_at = 0.0

    def attach(self, transport: Transport) -> None:
        self.heard_at = time.monotonic()
        self._transport = transport

    def detach(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def read(self, max_bytes: int) -> bytes:
        data = self._try(lambda transport: transport.read(min(max_bytes, READ_BYTES)), b"")
        if data:
            self.heard_at = time.monotonic()
            for address in self._senders.feed(data):
                self.heard[address] = self.heard_at
        return data

    def write(self, buf: bytes) -> int:
        start = buf.find(0x53, 0, 2)
        if self.muted and start >= 0 and buf[start + 1] in self.muted:
            return len(buf)
        return self._try(lambda transport: transport.write(bytes(buf)), len(buf))

    def flush(self) -> None:
        """Leave what came in: an answer that is late is known by its sequence number."""

    def _try(self, work: Callable[[Transport], Got], otherwise: Got) -> Got:
        transport = self._transport
        if transport is None:
            return otherwise
        try:
            return work(transport)
        except (OSError, ValueError, TypeError) as error:
            # pyserial raises the last two on a port that was closed meanwhile.
            self._transport = None
            with contextlib.suppress(OSError):
                transport.close()
            self._on_broken(str(error) or type(error).__name__)
            return otherwise


class Panel(osdp.ControlPanel):  # type: ignore[misc]  # the package has no types
    """libosdp's control panel; events go on at once instead of into its queue without end."""

    @staticmethod
    def refresh(event: threading.Event, lock: threading.Lock, ctx: Any) -> None:
        while not event.wait(REFRESH_S):
            with lock:
                ctx.refresh()

    def _internal_event_handler(self, pd: int, event: dict[str, Any]) -> int:
        self.user_event_handler(self.pd_addr[pd], event)
        return 0

    def is_alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()
