"""OSDP readers behind a serial server: real peripheral devices of libosdp on a TCP port.

What a serial server writes to its RS-485 line every reader hears; what a reader writes goes to
the connection. `Reader` has what people do to a reader: show a card, type, open the housing.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import osdp
import osdp_sys

from anlin.wire.wiegand import frame

REFRESH_S = 0.005
KEPT_ORDERS = 200
LINE_BYTES = 4096
JOIN_S = 5.0

FULL = (
    (osdp.Capability.ContactStatusMonitoring, 1, 4),
    (osdp.Capability.OutputControl, 1, 2),
    (osdp.Capability.CardDataFormat, 1, 1),
    (osdp.Capability.LEDControl, 1, 1),
    (osdp.Capability.AudibleControl, 1, 1),
    (osdp.Capability.CommunicationSecurity, 1, 1),
    (osdp.Capability.ReceiveBufferSize, 0, 1),
    (osdp.Capability.Readers, 1, 1),
)
"""What a usual reader with keypad, lamp, buzzer and a few terminals says it can do."""


class _Wire(osdp.Channel):  # type: ignore[misc]  # the package has no types
    """One reader's ends of the line."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = bytearray()
        self.said = bytearray()

    def read(self, max_bytes: int) -> bytes:
        taken = bytes(self.heard[:max_bytes])
        del self.heard[:max_bytes]
        return taken

    def write(self, buf: bytes) -> int:
        self.said += buf
        return len(buf)

    def flush(self) -> None:
        self.heard.clear()


class Reader:
    """One reader: what is done to it, and what it was told to do (`orders`).

    Without a key it takes the default key, as it does when it comes out of its box. A key that
    is set over the line is in `key` afterwards. It tells its inputs and its housing when it is
    connected to and when they change; the library's side for readers can't be asked for them
    (3.2.9 declines), so a line to it sets `answers_status` to false.
    """

    def __init__(
        self,
        address: int,
        key: bytes | None = None,
        *,
        is_secure: bool = True,
        capabilities: tuple[tuple[int, int, int], ...] = FULL,
    ) -> None:
        self.address = address
        self.key = key
        self.orders: deque[dict[str, Any]] = deque(maxlen=KEPT_ORDERS)
        self.inputs = bytearray(4)
        self.is_tampered = False
        self.has_power_fault = False
        self._is_secure = is_secure
        self._capabilities = capabilities
        self._lock = threading.RLock()
        self._wire = _Wire()
        self._is_connected = False
        self._device: Any = None
        self.restart()

    def restart(self) -> None:
        """Switch it off and on: it forgets everything but its key."""
        with self._lock:
            self._wire = _Wire()
            flags = [osdp.LibFlag.EnforceSecure] if self.key and self._is_secure else []
            if self.key is None and self._is_secure:
                flags = [osdp.LibFlag.InstallMode]
            info = osdp.PDInfo(self.address, self._wire, scbk=self.key, flags=flags)
            osdp_sys.set_loglevel(osdp.LogLevel.Emergency)
            capabilities = osdp.PDCapabilities(list(self._capabilities)).get()
            self._device = osdp_sys.PeripheralDevice(info.get(), capabilities=capabilities)
            self._device.set_command_callback(self._obey)

    def card(self, key: str, card_format: str = "wiegand34") -> None:
        """Show a card; "chip" sends its bytes as they are, any other format with parities."""
        if card_format == "chip":
            self.frame(bytes.fromhex(key), len(key) * 4, is_wiegand=False)
        else:
            self.frame(*frame(key, card_format))

    def frame(self, data: bytes, bits: int, *, is_wiegand: bool = True) -> None:
        """Pass a frame on as it is."""
        formats = osdp.CardFormat
        self._tell(
            event=osdp.Event.CardRead,
            reader_no=0,
            format=formats.Wiegand if is_wiegand else formats.Unspecified,
            direction=0,
            length=bits,
            data=data,
        )

    def press(self, keys: str) -> None:
        """Press keys, such as "1234#"."""
        self._tell(event=osdp.Event.KeyPress, reader_no=0, data=keys.encode())

    def set_input(self, number: int, is_active: bool) -> None:
        """Close or open the loop of an input."""
        self.inputs[number] = is_active
        self._tell_inputs()

    def set_tamper(self, is_active: bool) -> None:
        """Open or close the housing."""
        self.is_tampered = is_active
        self._tell_local()

    def set_power_fault(self, is_active: bool) -> None:
        """Let its supply fail, or come back."""
        self.has_power_fault = is_active
        self._tell_local()

    def is_secured(self) -> bool:
        """Whether it talks over a secure channel now."""
        with self._lock:
            return bool(self._device.is_sc_active())

    def exchange(self, heard: bytes) -> bytes:
        """Hear what is on the line, and give what it answers."""
        with self._lock:
            self._wire.heard += heard
            self._device.refresh()
            was_connected, self._is_connected = self._is_connected, self._device.is_online()
            if self._is_connected and not was_connected:
                self._tell_inputs()
                self._tell_local()
            said = bytes(self._wire.said)
            self._wire.said.clear()
            return said

    def _tell(self, **event: Any) -> None:
        with self._lock:
            self._device.submit_event(event)

    def _tell_inputs(self) -> None:
        report, kinds = bytes(self.inputs), osdp.StatusReportType
        self._tell(event=osdp.Event.Status, type=kinds.Input, report=report)

    def _tell_local(self) -> None:
        report, kinds = bytes([self.is_tampered, self.has_power_fault]), osdp.StatusReportType
        self._tell(event=osdp.Event.Status, type=kinds.Local, report=report)

    def _obey(self, command: dict[str, Any]) -> tuple[int, None]:
        self.orders.append(command)
        if command["command"] == osdp.Command.Keyset:
            self.key = bytes(command["data"])
        return 0, None


class SerialServer:
    """A serial server on a free port of this machine, with readers on its line."""

    def __init__(self, *readers: Reader, port: int = 0) -> None:
        self.readers = {reader.address: reader for reader in readers}
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        """How often somebody connected."""
        self._client: socket.socket | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="osdp serial server", daemon=True)

    @property
    def line(self) -> str:
        """What a device record calls this line."""
        return f"tcp://127.0.0.1:{self.port}"

    def __enter__(self) -> SerialServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close every socket."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        """Break the connection, as a network does; a new one is taken."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def unplug(self, address: int) -> Reader:
        """Take a reader off the line."""
        return self.readers.pop(address)

    def plug(self, reader: Reader) -> None:
        """Put a reader on the line."""
        self.readers[reader.address] = reader

    def _run(self) -> None:
        while not self._stop.is_set():
            client = self._client
            waiting = [self._listener] if client is None else [self._listener, client]
            with contextlib.suppress(OSError, ValueError):
                select.select(waiting, [], [], REFRESH_S)
            self._accept()
            heard = self._receive()
            for reader in list(self.readers.values()):
                said = reader.exchange(heard)
                if said:
                    self._send(said)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            self.cut()
            self._client = client
            self.connections += 1

    def _receive(self) -> bytes:
        return self._with_client(lambda client: client.recv(LINE_BYTES) or None) or b""

    def _send(self, said: bytes) -> None:
        self._with_client(lambda client: client.send(said).to_bytes(4))

    def _with_client(self, work: Callable[[socket.socket], bytes | None]) -> bytes | None:
        client = self._client
        if client is None:
            return b""
        try:
            done = work(client)
        except BlockingIOError:
            return b""
        except OSError:
            done = None
        if done is None:
            self.cut()
        return done
