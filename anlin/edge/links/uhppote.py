"""One UHPPOTE board: 64-byte packets over UDP or TCP, with the `uhppoted` package's codec.

Every question goes out from a socket of its own. A board's answer to a put or a read by index
does not say which question it answers, so the port is what tells an answer from the late or
doubled answer to an earlier question. Questions to one board stand in line: it does one thing at
a time.

The link polls the status, and sooner when the board's event listener packet hints at news. That
packet could come from anybody on the network and is only ever a hint.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from uhppoted import decode, encode

from anlin.drivers.base import LinkError
from anlin.edge.clock import Clock, SteadyClock

POLL_S = 2.0
MISSED_POLLS = 3
"""So many polls in a row without any answer, and the board is offline: six seconds."""

ATTEMPT_S = 0.5
"""A board on its own network answers within some 20 ms; what takes longer was lost."""

ATTEMPTS = 4
"""Together below the 3 s that a command may take: a release must not come later."""

PACKET_BYTES = 64
FIRST_LISTEN_BYTES = (0x17, 0x19)
"""How a listener packet begins; boards of firmware 6.62 say 0x19."""

DEFAULT_PORT = 60000


@dataclass(frozen=True, slots=True)
class _Question:
    """How one question is written and its answer read, by the package's codec."""

    encode: Callable[[int, Mapping[str, Any]], bytes]
    decode: Callable[[bytes], Any]
    tell: Callable[[Any], dict[str, Any]]


class UhppoteLink:
    """The way to one board.

    It yields ("status", what the board says now) at every poll and ("silent", {"polls": 3}) once
    the board is offline. `ask` takes the names of `_QUESTIONS`; `send` is a question whose answer
    must be yes. Times are the board's, in its zone; `drift_s` is how far its clock is from ours.
    """

    def __init__(
        self, device: str, settings: Mapping[str, Any], clock: Clock | None = None
    ) -> None:
        self._device = device
        self._clock = clock or SteadyClock()
        self._serial = int(settings["serial"])
        self._peer = _address(str(settings["address"]))
        self._bind = str(settings.get("bind", ""))
        self._listen = str(settings.get("listen", ""))
        self._is_tcp = settings.get("protocol") == "tcp"
        self._zone = ZoneInfo(str(settings.get("zone", "Asia/Shanghai")))
        self._line = asyncio.Lock()
        self._hint = asyncio.Event()
        self._answered = 0
        self._listener: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Listen for the board's hints."""
        host, port = self._bind, 0
        if self._listen:
            host, port = _address(self._listen)
        try:
            self._listener, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Hints(self), local_addr=(host or self._our_host(), port)
            )
        except OSError as error:
            raise LinkError(f"board {self._device}: can't listen at {host}:{port}: {error}") from (
                error
            )

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        loop = asyncio.get_running_loop()
        missed, answered = 0, self._answered
        while True:
            self._hint.clear()
            due = loop.time() + POLL_S
            try:
                status = await self._ask("get-status", {}, attempts=1)
            except LinkError:
                missed = 1 if self._answered != answered else missed + 1
                if missed == MISSED_POLLS:
                    yield "silent", _json({"polls": missed})
            else:
                missed = 0
                yield "status", _json(status)
            answered = self._answered
            try:
                async with asyncio.timeout_at(due):
                    await self._hint.wait()
            except TimeoutError:
                pass

    async def send(self, address: str, payload: bytes) -> None:
        """Have a board do something; "get-status" asks for the next poll at once."""
        if address == "get-status":
            self._hint.set()
            return
        said = await self._ask(address, json.loads(payload))
        if not said.get("ok", True):
            raise LinkError(f"board {self._device}: refused {address}")

    async def ask(self, address: str, payload: bytes) -> bytes:
        """Ask a board, several times where no answer comes."""
        return _json(await self._ask(address, json.loads(payload)))

    def hint(self, packet: bytes, host: str) -> None:
        """Take a listener packet for what it is: a reason to ask."""
        is_ours = (
            len(packet) == PACKET_BYTES
            and host == self._peer[0]
            and packet[0] in FIRST_LISTEN_BYTES
            and int.from_bytes(packet[4:8], "little") == self._serial
        )
        if is_ours:
            self._hint.set()

    async def _ask(
        self, name: str, data: Mapping[str, Any], attempts: int = ATTEMPTS
    ) -> dict[str, Any]:
        question = _QUESTIONS.get(name)
        if question is None:
            raise LinkError(f"board {self._device}: no question is called {name!r}")
        async with self._line:
            for _ in range(attempts):
                try:
                    return await self._once(question, name, data)
                except (OSError, TimeoutError, EOFError, ValueError) as error:
                    # A packet that is not the answer counts as none: the next try may do better.
                    why = str(error) or f"no answer within {ATTEMPT_S} s"
        raise LinkError(f"board {self._device}: {name}: {why}")

    async def _once(
        self, question: _Question, name: str, data: Mapping[str, Any]
    ) -> dict[str, Any]:
        packet = question.encode(self._serial, {**data, **self._own(name)})
        async with asyncio.timeout(ATTEMPT_S):
            answer = await (self._by_tcp(packet) if self._is_tcp else self._by_udp(packet))
        decoded = question.decode(answer)
        if decoded.controller != self._serial:
            raise ValueError(f"answer from board {decoded.controller}")
        self._answered += 1
        told = question.tell(decoded)
        if name == "get-status":
            told["drift_s"] = self._drift_s(decoded)
        return told

    def _own(self, name: str) -> dict[str, Any]:
        """Add what only the link knows: the time at this moment, and where hints should go."""
        if name == "set-time":
            return {"time": self._now()}
        if name == "set-listener" and self._listener is not None:
            host, port = self._listener.get_extra_info("sockname")
            return {"host": host, "port": port}
        return {}

    def _drift_s(self, status: Any) -> float | None:
        """Say how far the board's clock is ahead of ours; None where it has no time at all."""
        if status.system_date is None or status.system_time is None:
            return None
        board = datetime.combine(status.system_date, status.system_time, self._zone)
        return round((board - self._now()).total_seconds(), 1)

    def _now(self) -> datetime:
        """Give the edge's time, not the wall clock's: the board's times are compared with it."""
        return self._clock.now().astimezone(self._zone)

    async def _by_udp(self, packet: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.setblocking(False)
            if self._bind:
                ours.bind((self._bind, 0))
            # Connected: what comes from elsewhere never reaches us.
            ours.connect(self._peer)
            await loop.sock_sendall(ours, packet)
            while True:
                answer = await loop.sock_recv(ours, 2 * PACKET_BYTES)
                if len(answer) == PACKET_BYTES and answer[1] == packet[1]:
                    return answer

    async def _by_tcp(self, packet: bytes) -> bytes:
        ours = (self._bind, 0) if self._bind else None
        reader, writer = await asyncio.open_connection(*self._peer, local_addr=ours)
        try:
            writer.write(packet)
            return await reader.readexactly(PACKET_BYTES)
        finally:
            writer.close()

    def _our_host(self) -> str:
        """Say from which address this machine reaches the board."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.connect(self._peer)
            host: str = ours.getsockname()[0]
            return host


class _Hints(asyncio.DatagramProtocol):
    def __init__(self, link: UhppoteLink) -> None:
        self._link = link

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._link.hint(data, addr[0])


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port) if port else DEFAULT_PORT


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def _status(said: Any) -> dict[str, Any]:
    moment = None
    if said.system_date is not None and said.system_time is not None:
        moment = datetime.combine(said.system_date, said.system_time).isoformat()
    return {
        "index": said.event_index,
        "time": moment,
        "open": [said.door_1_open, said.door_2_open, said.door_3_open, said.door_4_open],
        "fire": bool(said.inputs & 0x01),
        "error": said.system_error,
    }


def _put_card(serial: int, data: Mapping[str, Any]) -> bytes:
    start, end = date.fromisoformat(data["start"]), date.fromisoformat(data["end"])
    return bytes(encode.put_card_request(serial, data["card"], start, end, *data["doors"], 0))


def _card(said: Any) -> dict[str, Any]:
    return {
        "card": said.card_number,
        "start": said.start_date.isoformat() if said.start_date is not None else None,
        "end": said.end_date.isoformat() if said.end_date is not None else None,
        "doors": [said.door_1, said.door_2, said.door_3, said.door_4],
        # A PIN is nobody's business here; that there is one makes the card another card.
        "extras": bool(said.pin) or any(said.firstcard.values()),
    }


def _set_profile(serial: int, data: Mapping[str, Any]) -> bytes:
    starts_ends = [
        datetime.strptime(text, "%H%M").time()  # noqa: DTZ007  a time of day on the board
        for segment in data["segments"]
        for text in segment.split("-")
    ]
    return bytes(
        encode.set_time_profile_request(
            serial,
            data["id"],
            date.fromisoformat(data["start"]),
            date.fromisoformat(data["end"]),
            *(day in data["days"] for day in range(1, 8)),
            *(starts_ends + [None] * 6)[:6],
            data["linked"],
        )
    )


def _profile(said: Any) -> dict[str, Any]:
    days = (
        said.monday,
        said.tuesday,
        said.wednesday,
        said.thursday,
        said.friday,
        said.saturday,
        said.sunday,
    )
    segments = (
        (said.segment_1_start, said.segment_1_end),
        (said.segment_2_start, said.segment_2_end),
        (said.segment_3_start, said.segment_3_end),
    )
    return {
        "id": said.profile_id,
        "start": said.start_date.isoformat() if said.start_date is not None else None,
        "end": said.end_date.isoformat() if said.end_date is not None else None,
        "days": [number for number, is_on in enumerate(days, start=1) if is_on],
        "segments": [f"{_hhmm(start)}-{_hhmm(end)}" for start, end in segments],
        "linked": said.linked_profile_id,
    }


def _hhmm(moment: Any) -> str:
    return "none" if moment is None else f"{moment:%H%M}"


def _event(said: Any) -> dict[str, Any]:
    return {
        "index": said.index,
        "kind": said.event_type,
        "granted": said.access_granted,
        "door": said.door,
        "direction": said.direction,
        "card": said.card,
        "time": said.timestamp.isoformat() if said.timestamp is not None else None,
        "reason": said.reason,
    }


def _set_door(serial: int, data: Mapping[str, Any]) -> bytes:
    return bytes(encode.set_door_control_request(serial, data["door"], data["mode"], data["delay"]))


def _door(said: Any) -> dict[str, Any]:
    return {"door": said.door, "mode": said.mode, "delay": said.delay}


def _with(encoder: Callable[..., Any], *names: str) -> Callable[[int, Mapping[str, Any]], bytes]:
    """Write a question that takes the serial number and some fields as they are."""
    return lambda serial, data: bytes(encoder(serial, *(data[name] for name in names)))


def _yes(field: str) -> Callable[[Any], dict[str, Any]]:
    return lambda said: {"ok": bool(getattr(said, field))}


_QUESTIONS: dict[str, _Question] = {
    "get-status": _Question(_with(encode.get_status_request), decode.get_status_response, _status),
    "set-time": _Question(
        _with(encode.set_time_request, "time"), decode.set_time_response, lambda _: {}
    ),
    "set-listener": _Question(
        lambda serial, data: bytes(
            encode.set_listener_request(serial, ipaddress.IPv4Address(data["host"]), data["port"])
        ),
        decode.set_listener_response,
        _yes("ok"),
    ),
    "record-special-events": _Question(
        _with(encode.record_special_events_request, "enable"),
        decode.record_special_events_response,
        _yes("updated"),
    ),
    "get-door-control": _Question(
        _with(encode.get_door_control_request, "door"), decode.get_door_control_response, _door
    ),
    "set-door-control": _Question(_set_door, decode.set_door_control_response, _door),
    "open-door": _Question(
        _with(encode.open_door_request, "door"), decode.open_door_response, _yes("opened")
    ),
    "get-cards": _Question(
        _with(encode.get_cards_request),
        decode.get_cards_response,
        lambda said: {"cards": said.cards},
    ),
    "get-card": _Question(_with(encode.get_card_request, "card"), decode.get_card_response, _card),
    "get-card-by-index": _Question(
        _with(encode.get_card_by_index_request, "index"), decode.get_card_by_index_response, _card
    ),
    "put-card": _Question(_put_card, decode.put_card_response, _yes("stored")),
    "delete-card": _Question(
        _with(encode.delete_card_request, "card"), decode.delete_card_response, _yes("deleted")
    ),
    "get-time-profile": _Question(
        _with(encode.get_time_profile_request, "id"), decode.get_time_profile_response, _profile
    ),
    "set-time-profile": _Question(_set_profile, decode.set_time_profile_response, _yes("stored")),
    "get-event": _Question(
        _with(encode.get_event_request, "index"), decode.get_event_response, _event
    ),
    "get-event-index": _Question(
        _with(encode.get_event_index_request),
        decode.get_event_index_response,
        lambda said: {"index": said.event_index},
    ),
    "set-event-index": _Question(
        _with(encode.set_event_index_request, "index"),
        decode.set_event_index_response,
        _yes("updated"),
    ),
}
"""Every question that the driver asks, by the name it asks it under."""
