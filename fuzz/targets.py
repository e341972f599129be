"""The targets: functions of bytes that may refuse them by the declared error, and no other way.

A target that returns has held. What it raises is a finding: an exception nobody declared, an
answer that can't be written down, or a call that took too long (`run_one`).
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from anlin.core import plate, qr
from anlin.core.codec import DataError, canonical_json, from_data, to_data
from anlin.core.detection import from_line, to_line
from anlin.core.device import Refused
from anlin.core.entities import KINDS, Device
from anlin.core.event import Event
from anlin.core.policy import Delta, Policy, PolicyError
from anlin.core.sync import Batch, Committed, Enrol, Enrolled, from_down
from anlin.drivers.base import LinkError, drivers
from anlin.testing import cast
from anlin.testing.link import FakeLink
from anlin.testing.transcripts import read as read_transcript
from anlin.wire import keypad, keys, wiegand
from anlin.wire.mqtt_users import User
from anlin.wire.osdp_frames import MAX_BYTES, Senders

MAX_CPU_S = 0.5
"""Of one call on a slow machine with tracing on; a door may not wait longer for rubbish."""

TRANSCRIPTS = Path(__file__).parents[1] / "tests" / "transcripts"
MAX_REFUSAL_CHARS = 400

Function = Callable[[bytes], None]


class TooSlow(AssertionError):
    """A call that took longer than anybody should wait for rubbish."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is tried: its name, the largest input that makes sense, and seeds to begin with."""

    name: str
    function: Function
    max_bytes: int
    seeds: Callable[[], Iterator[bytes]]
    about: str


TARGETS: dict[str, Target] = {}


def target(
    seeds: Callable[[], Iterator[bytes]], max_bytes: int = 8192
) -> Callable[[Function], Function]:
    """Register a function of bytes under its name."""

    def register(function: Function) -> Function:
        name = function.__name__
        about = (function.__doc__ or "").splitlines()[0]
        TARGETS[name] = Target(name, function, max_bytes, seeds, about)
        return function

    return register


def run_one(which: Target, data: bytes) -> None:
    """Try one input.

    Raises:
        TooSlow: it took too long.
        Exception: whatever the target was not allowed to raise.
    """
    # Twice, because the first call of a process imports, connects and compiles.
    if _took(which, data) > MAX_CPU_S and (took := _took(which, data)) > MAX_CPU_S:
        raise TooSlow(f"{which.name}: {took:.2f} s for {len(data)} bytes")


def _took(which: Target, data: bytes) -> float:
    began = time.process_time()
    which.function(data)
    return time.process_time() - began


# Drivers: each message is an address, a space and a payload, as in a transcript


def _driver_seeds(name: str) -> Callable[[], Iterator[bytes]]:
    def seeds() -> Iterator[bytes]:
        for path in sorted((TRANSCRIPTS / name).glob("*.txt")):
            lines = [text for _, mark, text in read_transcript(path).lines if mark == "<"]
            yield "\n".join(lines).encode()
            yield from (line.encode() for line in lines)

    return seeds


@cache
def _record(name: str) -> Device:
    path = sorted((TRANSCRIPTS / name).glob("*.txt"))[-1]
    recorded = read_transcript(path)
    return Device(recorded.device, "东门", "node-1", name, {**recorded.settings, "media": "m"})


@cache
def _class(name: str) -> type[Any]:
    return drivers()[name]


def _new(name: str) -> Any:
    return _class(name)(_record(name))


def _decode(name: str, data: bytes) -> None:
    """Let a fresh driver decode messages one after the other; each becomes a report."""
    driver = _new(name)
    for line in data.split(b"\n"):
        address, _, payload = line.partition(b" ")
        _fits(driver.decode(address.decode("latin-1"), payload))


def _fits(report: Any) -> None:
    """Whatever was let through can be written down; a refusal is short and says its rule."""
    canonical_json(to_data(report))
    repr(report).encode()
    if isinstance(report, Refused):
        assert 0 < len(report.rule) <= MAX_REFUSAL_CHARS, report.rule
        assert len(report.value) <= MAX_REFUSAL_CHARS


@target(_driver_seeds("mqtt_gate"))
def mqtt_gate(data: bytes) -> None:
    """Messages of a gate controller over MQTT."""
    _decode("mqtt_gate", data)


@target(_driver_seeds("osdp"))
def osdp(data: bytes) -> None:
    """What the OSDP link tells its driver: cards, keys, inputs."""
    _decode("osdp", data)


@target(_driver_seeds("modbus"))
def modbus(data: bytes) -> None:
    """What the Modbus link tells its driver: bits, and who can be heard."""
    _decode("modbus", data)


@target(_driver_seeds("face_terminal"), 16_384)
def face_terminal(data: bytes) -> None:
    """Records of a face terminal."""
    _decode("face_terminal", data)


@target(_driver_seeds("camera"), 16_384)
def camera(data: bytes) -> None:
    """Lines of a camera's worker, and the protocol both ways."""
    driver = _new("camera")
    for line in data.split(b"\n"):
        line = line.removeprefix(b"line ")
        _fits(driver.decode(line))
        try:
            message = from_line(line)
        except DataError:
            continue
        # As it is written: half of a surrogate pair is replaced on the way, once.
        written = to_line(message)
        assert to_line(from_line(written)) == written


@target(_driver_seeds("uhppote"))
def uhppote(data: bytes) -> None:
    """What a UHPPOTE board answers to its driver, poll by poll."""
    _run(_hear_board(data))


TURNS = 40
"""Turns of the loop in which the driver asks and hears; a status leads to a dozen questions."""


async def _hear_board(data: bytes) -> None:
    driver, link = _new("uhppote"), FakeLink()
    running = asyncio.create_task(driver.run(link, _fits))
    for line in data.split(b"\n")[:50]:
        address, _, payload = line.partition(b" ")
        link.say(address.decode("latin-1"), payload)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    link.hang_up()
    try:
        await running
    except LinkError:
        return
    raise AssertionError("a driver ended without its link")


@cache
def _board_link() -> Any:
    from anlin.edge.links.uhppote import UhppoteLink

    class Fed(UhppoteLink):
        """A link whose board says what it is fed."""

        fed = b""

        async def _by_udp(self, packet: bytes) -> bytes:
            return self.fed

    return Fed("gate-1", _record("uhppote").settings)


_ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("get-status", {}),
    ("get-event", {"index": 1}),
    ("get-event-index", {}),
    ("get-cards", {}),
    ("get-card", {"card": 10058399}),
    ("get-card-by-index", {"index": 1}),
    ("get-door-control", {"door": 1}),
    ("get-time-profile", {"id": 2}),
    ("open-door", {"door": 1}),
    ("delete-card", {"card": 10058399}),
    ("set-event-index", {"index": 7}),
    ("record-special-events", {"enable": True}),
)


def _packets() -> Iterator[bytes]:
    serial = _record("uhppote").settings["serial"]
    for number, code in enumerate((0x20, 0xB0, 0xB4, 0x58, 0x5A, 0x5C, 0x82, 0x98, 0x40, 0x52)):
        packet = bytearray(64)
        packet[0], packet[1] = 0x17, code
        packet[4:8] = int(serial).to_bytes(4, "little")
        yield bytes([number]) + bytes(packet)


@target(_packets, 65)
def uhppote_packet(data: bytes) -> None:
    """64-byte packets of a board, as answers to each of our questions."""
    if not data:
        return
    link = _board_link()
    name, asked = _ASKED[data[0] % len(_ASKED)]
    link.fed = data[1:65].ljust(64, b"\0")
    try:
        answer = _run(link._ask(name, asked, attempts=1))
    except LinkError:
        return
    json.dumps(answer, allow_nan=False)


# HTTP: requests of a face terminal


_KEY = b"k" * 32


@cache
def _terminal() -> tuple[Any, Any]:
    from anlin.edge.links.http import HttpLink, Listener

    folder = tempfile.mkdtemp(prefix="anlin-fuzz-")
    settings = {**_record("face_terminal").settings, "media": f"{folder}/media"}
    link = HttpLink(_record("face_terminal").id, settings)
    link._key, link._is_listening = _KEY, True
    listener = Listener("127.0.0.1", 0, None)
    listener.links[link.device] = link
    link._listener = listener
    return listener, link


_STATUSES = {200, 400, 401, 404, 408, 413, 429, 503}


async def _request(path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    """Ask the listener as its server does, and acknowledge what it passes on."""
    listener, link = _terminal()
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    link._said = asyncio.Queue(1000)
    acking = asyncio.create_task(_acknowledge(link))
    try:
        await listener(scope, receive, send)
    finally:
        acking.cancel()
    json.loads(sent[1]["body"])
    assert sent[0]["status"] in _STATUSES, sent[0]
    return int(sent[0]["status"])


async def _acknowledge(link: Any) -> None:
    driver = _new("face_terminal")
    while True:
        address, payload = await link._said.get()
        report = driver.decode(address, payload)
        _fits(report)
        origin = getattr(report, "origin", None)
        if origin is not None:
            id_ = origin.removeprefix(f"{link.device}/")
            await link.send("ack", json.dumps({"id": id_}).encode())


def _bodies() -> Iterator[bytes]:
    face = {"kind": "face", "person": "lin-face", "score": 0.9, "liveness": "live", "age_ms": 5}
    event = {**face, "seq": 7, "offline": False}
    yield b"verify " + json.dumps({**event, "store": "a1", "photo": "/9j/4AAQ"}).encode()
    yield b"events " + json.dumps({"store": "a1", "now_ms": 5, "events": [event]}).encode()
    yield b'heartbeat {"store":"a1","persons":2,"capacity":1000,"version":"2.1"}'
    yield b'results {"results":[{"id":"t1","accepted":true}]}'


@target(_bodies, 16_384)
def http_body(data: bytes) -> None:
    """Signed requests of a face terminal: what a terminal with the right key can say."""
    from anlin.edge.links.http import PREFIX, request_text, sign

    what, _, body = data.partition(b" ")
    name = what.decode("latin-1")
    if name not in {"verify", "events", "heartbeat", "results"}:
        name, body = "events", data
    _, link = _terminal()
    path, at, nonce = f"{PREFIX}{link.device}/{name}", f"{time.time():.3f}", _nonce()
    signature = sign(_KEY, request_text("POST", path, at, nonce, body))
    headers = [
        (b"content-length", str(len(body)).encode()),
        (b"x-anlin-time", at.encode()),
        (b"x-anlin-nonce", nonce.encode()),
        (b"x-anlin-signature", signature.encode()),
    ]
    link._nonces.clear()
    status = _run(_request(path, headers, body))
    assert status not in (401, 408), "a signed request was not taken for one"


@cache
def _nonces() -> Iterator[int]:
    return iter(range(10**15, 10**16))


def _nonce() -> str:
    return str(next(_nonces()))


def _heads() -> Iterator[bytes]:
    path = f"/terminal/v1/{_record('face_terminal').id}/events"
    signed = f"x-anlin-time:1795234879.5\nx-anlin-nonce:{'n' * 16}\n"
    yield f"{path}\ncontent-length:2\n{signed}".encode()
    yield f"{path}\nx-anlin-time:1e5\nx-anlin-signature:{'0' * 64}\n\n{{}}".encode()
    yield b"/terminal/v1/nobody/verify\ncontent-length:999999999999\n"


@target(_heads)
def http_head(data: bytes) -> None:
    """Request lines and headers of anybody who can reach the terminals' port."""
    head, _, body = data.partition(b"\n\n")
    path, *lines = head.split(b"\n")
    headers = [(n.lower(), v) for n, _, v in (line.partition(b":") for line in lines)]
    status = _run(_request(path.decode("latin-1"), headers, body))
    assert status != 200, "an unsigned request was answered"


# MQTT: the guard before the embedded broker, and the broker behind it


_USER = "gate-1"
_PASSWORD = "fuzz-password"


@cache
def _broker() -> tuple[Any, Any]:
    """Start the broker in this process, with one device that may sign in."""
    import logging

    from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

    from anlin.edge.broker import AnlinBroker, Guard
    from anlin.edge.broker_access import Users
    from anlin.wire.mqtt_users import new_user, to_json

    logging.disable(logging.CRITICAL)
    home = Path(tempfile.mkdtemp(prefix="anlin-fuzz-"))
    (home / "broker").mkdir()
    user = new_user(_USER, _PASSWORD)
    (home / "broker" / "devices.json").write_bytes(to_json({user.name: user}))
    listener = ListenerConfig(type=ListenerType.EXTERNAL, bind="127.0.0.1:0")
    plugins = {"anlin.edge.broker_access.Access": {"home": str(home)}}

    async def start() -> tuple[Any, Any]:
        broker = AnlinBroker(BrokerConfig(listeners={"default": listener}, plugins=plugins))
        await broker.start()
        return broker, Guard(broker, Users(home))

    made: tuple[Any, Any] = _run(start())
    return made


class _Deaf(asyncio.Transport):
    """A socket whose other end hears nothing and says no more."""

    def __init__(self) -> None:
        super().__init__()
        self.is_gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Lose it."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nobody is there."""

    def is_closing(self) -> bool:
        return self.is_gone

    def close(self) -> None:
        self.is_gone = True

    def abort(self) -> None:
        self.is_gone = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5) if name == "peername" else default


def connect_packet(user: str = _USER, password: str = _PASSWORD) -> bytes:
    """Write the CONNECT of a device (MQTT 3.1.1, 3.1)."""

    def text(value: str) -> bytes:
        return len(value).to_bytes(2) + value.encode()

    body = text("MQTT") + bytes([4, 0xC2, 0, 15]) + text(user) + text(user) + text(password)
    return bytes([0x10, len(body)]) + body


def _publish(topic: str, payload: bytes) -> bytes:
    body = len(topic).to_bytes(2) + topic.encode() + b"\x00\x07" + payload
    return bytes([0x32, len(body)]) + body


def _streams() -> Iterator[bytes]:
    yield b"\x00" + connect_packet()
    yield b"\x00" + connect_packet(password="wrong")
    yield b"\x01" + _publish("anlin/v1/gate-1/up/read", b'{"id":"7-1"}')
    yield b"\x01" + b"\x82\x1a\x00\x01\x00\x15anlin/v1/gate-1/down/#\x01"
    yield b"\x01" + b"\xc0\x00" + b"\xe0\x00"
    yield b"\x01" + b"\x40\x02\x00\x01"


STREAM_S = 6.0


@target(_streams, 2048)
def mqtt_stream(data: bytes) -> None:
    """A whole MQTT connection: from anybody, or behind the CONNECT of a device that may."""
    if data:
        broker, guard = _broker()
        _run(_serve(data, guard))
        assert broker.backlog < 100, "messages pile up"


async def _serve(data: bytes, guard: Any) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=8192, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = _Deaf()
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    reader.feed_data((connect_packet() if data[0] & 1 else b"") + data[1:])
    reader.feed_eof()
    async with asyncio.timeout(STREAM_S):
        await guard.serve(reader, writer)
    assert transport.is_gone, "a connection was left open behind its end"
    assert guard._strangers == 0, "somebody is still counted as a stranger"


# Texts


def _passes() -> Iterator[bytes]:
    yield cast.qr_text(cast.zhao_pass()).encode()
    yield b"ANLIN1..."
    yield b"ANLIN1.e30.AA"


@target(_passes, 2048)
def qr_text(data: bytes) -> None:
    """The text of a QR code that anybody can hold before a reader."""
    issuers = {cast.ISSUER.id: cast.ISSUER.public_key}
    try:
        leave = qr.read(data.decode("utf-8", "surrogatepass"), issuers, keys.verify)
    except (qr.PassError, UnicodeDecodeError):
        return
    assert leave == cast.zhao_pass(), "a pass that nobody issued"


def _plates() -> Iterator[bytes]:
    for text in ("京A12345", "川A8L2K6", "粤Z1234港", "WJ京1234X", "京AI2345", "ａｂ　·-"):
        yield text.encode()


@target(_plates, 1024)
def plate_text(data: bytes) -> None:
    """A plate as somebody typed it or a camera read it."""
    text = data.decode("utf-8", "replace")
    seen = plate.canonical(text)
    assert seen == "" or plate.parse(seen).text == seen
    plate.is_emergency(seen)
    try:
        typed = plate.parse(text)
    except plate.PlateError as error:
        assert len(str(error)) < MAX_REFUSAL_CHARS
        return
    assert plate.canonical(typed.text) == typed.text


# Bits of a reader


def _frames() -> Iterator[bytes]:
    for key, name in (("0A1B2C", "wiegand26"), ("0A1B2C3D", "wiegand34")):
        frame, bits = wiegand.frame(key, name)
        yield bytes([bits, 0, 0]) + frame
    yield bytes([32, 4, 7]) + bytes.fromhex("04A1B2C3")


@target(_frames, 64)
def wiegand_frame(data: bytes) -> None:
    """Card data of a reader, in every format and alignment."""
    if len(data) < 3:
        return
    bits, kind, flags = data[0], data[1] % len(wiegand.FORMATS), data[2]
    try:
        card = wiegand.read(
            data[3:],
            bits,
            wiegand.FORMATS[kind],
            reversed_bytes=bool(flags & 1),
            right_aligned=bool(flags & 2),
            is_wiegand=bool(flags & 4),
        )
    except wiegand.FrameError as error:
        assert 0 < len(str(error)) < MAX_REFUSAL_CHARS
        return
    assert 4 <= len(card.key) <= 32, card
    int(card.key, 16)


def _keys() -> Iterator[bytes]:
    yield b"123456#"
    yield b"1234567890123456#"
    yield b"12*34\r\xff5\x7f"


@target(_keys, 256)
def keypad_keys(data: bytes) -> None:
    """Keys of a keypad, at any moment; the high bit lets a second pass."""
    pad, at = keypad.Keypad(), 0.0
    for key in data:
        at += key >> 7
        for pin in pad.press(bytes([key & 0x7F]), at):
            if isinstance(pin, str):
                assert pin.isdigit()
                assert len(pin) <= keypad.MAX_DIGITS


def _line_bytes() -> Iterator[bytes]:
    for body in (b"\x53\x80\x08\x00\x04\x40", b"\x53\x81\x07\x00\x00\x40"):
        yield body + b"\x00\x00"
        yield body + bytes([-sum(body) % 256]) + body


@target(_line_bytes, 2048)
def osdp_line(data: bytes) -> None:
    """Bytes of an OSDP line, in any pieces: who is heard does not depend on the cuts."""
    whole, pieces = Senders(), Senders()
    found = whole.feed(data)
    step = 1 + (data[0] if data else 0) % 9
    again = [
        address
        for start in range(0, len(data), step)
        for address in pieces.feed(data[start : start + step])
    ]
    assert found == again
    assert all(0 <= address <= 0x7F for address in found)
    assert len(whole._rest) <= MAX_BYTES


# Records and messages of the hub and of nodes


_RECORDS: dict[str, type[Any]] = {
    **KINDS,
    "event": Event,
    "batch": Batch,
    "committed": Committed,
    "enrol": Enrol,
    "enrolled": Enrolled,
    "user": User,
}


def _records() -> Iterator[bytes]:
    names = {cls: name for name, cls in _RECORDS.items()}
    for record in cast.RECORDS:
        if type(record) in names:
            yield f"{names[type(record)]} ".encode() + canonical_json(to_data(record))
    yield b'enrol {"code":"a","public_key":"b","versions":[1],"software":"c"}'
    yield b'committed {"seq":7,"refused":[{"seq":6,"rule":"x"}]}'
    yield b'user {"name":"a","role":"device","salt":"00","digest":"00"}'


@target(_records, 16_384)
def record(data: bytes) -> None:
    """Every kind of record as JSON: taken whole and written back alike, or refused by DataError."""
    name, _, text = data.partition(b" ")
    cls = _RECORDS.get(name.decode("latin-1"))
    if cls is None:
        return
    body = _json(text)
    try:
        made = from_data(cls, body)
    except DataError as error:
        assert len(str(error)) < 2000
        return
    again = from_data(cls, json.loads(canonical_json(to_data(made))))
    assert canonical_json(to_data(again)) == canonical_json(to_data(made))


def _down() -> Iterator[bytes]:
    at = datetime(2026, 11, 21, tzinfo=UTC).isoformat()
    delta = to_data(cast.snapshot(list(cast.RECORDS)[:3]))
    yield json.dumps({"type": "delta", **delta}).encode()
    command = {"number": 1, "id": "c1", "kind": "release", "target": "gate", "by": "guo"}
    yield json.dumps({"type": "command", **command, "issued_at": at, "expires_at": at}).encode()
    yield json.dumps({"type": "beat", "at": at, "revision": 5}).encode()
    yield b'{"type":"snapshot","reason":"restored"}'


@target(_down, 16_384)
def sync_down(data: bytes) -> None:
    """Lines of the down-stream, and the policy that they would make."""
    body = _json(data)
    try:
        message = from_down(body)
    except DataError as error:
        assert len(str(error)) < 2000
        return
    if isinstance(message, Delta):
        try:
            Policy().apply(message)
        except PolicyError as error:
            assert len(str(error)) < 2000


def _json(text: bytes) -> Any:
    """Read JSON as every place that takes it does; what is none is not these targets' matter."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return _loop().run_until_complete(work)
