"""Readers, keypads and door boards on an RS-485 line that speaks OSDP v2 (docs/protocols/osdp.md).

One device is one line; its parts are the readers on it, by address. The link
(`anlin.edge.links.osdp`) owns the line, the secure channel and the keys. What passes between the
two is JSON: what a reader said comes as `up/…`, an order to a reader leaves as `output`, `led`,
`buzzer` or `levels`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anlin.core.access import Reason
from anlin.core.device import (
    AskLevels,
    Command,
    Contact,
    ContactLevel,
    Fault,
    FireInput,
    Online,
    Read,
    Refused,
    Release,
    Report,
    Secure,
    Show,
    Tampered,
)
from anlin.core.entities import Device, Method
from anlin.core.event import EventKind
from anlin.drivers._checks import (
    Wrong,
    flag,
    json_bytes,
    json_object,
    only_known,
    text,
    text_or_empty,
    whole,
)
from anlin.drivers.base import Emit, Link, driver
from anlin.wire.keypad import MAX_DIGITS
from anlin.wire.wiegand import FORMATS, FrameError
from anlin.wire.wiegand import read as read_card

MAX_PAYLOAD_BYTES = 2048
MAX_TEXT_CHARS = 200
MAX_READERS = 16
"""On one line. Each is polled 20 times a second, and one that is silent takes time of all."""

MAX_ADDRESS = 126
MAX_NUMBER = 63
"""The highest input or output number; boards have four to sixteen."""

BAUDS = (9600, 19200, 38400, 57600, 115200, 230400)
MAX_TENTHS = 0xFFFF
"""A timer of OSDP counts tenths of a second in 16 bits: 109 minutes."""

OUTPUT_OFF, OUTPUT_ON, OUTPUT_PULSE = 1, 2, 5
"""Control codes of the output command. Off and on abort a pulse that is running."""

RED, GREEN, AMBER = 1, 2, 3
REMEMBERED_RELEASES = 256
"""A device obeys each release once."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_TCP = re.compile(r"tcp://(?P<host>[^\s/:@]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>\d{1,5})")
_SHOWN = ("reader", "input", "active", "online", "bits", "format")
"""What a refusal repeats of a message: never card data, never digits."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One address on the line, and what is wired to it."""

    address: int
    point: str = ""
    portal: str = ""
    output: int | None = None
    contact_input: int | None = None
    fire_input: int | None = None
    exit_input: int | None = None
    exit_point: str = ""
    inverted_inputs: frozenset[int] = frozenset()
    """Inputs that are active while nothing is the matter, such as normally closed loops."""
    card_format: str = "auto"
    reversed: bool = False
    right_aligned: bool = False
    is_secure_card: bool = False
    answers_status: bool = True
    """False for a reader that tells its inputs by itself and declines to be asked."""
    secure: bool = True
    key_name: str = ""

    @property
    def part(self) -> str:
        """What reports call it."""
        return f"reader {self.address}"

    def has_inputs(self) -> bool:
        """Whether anything is wired to its inputs."""
        return any(
            number is not None for number in (self.contact_input, self.fire_input, self.exit_input)
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one line."""

    line: str
    readers: Mapping[int, Reader]
    baud: int = 9600

    @property
    def tcp(self) -> tuple[str, int] | None:
        """Host and port of a serial server, or None where the line is a serial port."""
        match = _TCP.fullmatch(self.line)
        return (match["host"].strip("[]"), int(match["port"])) if match is not None else None


def read_settings(device: str, settings: Mapping[str, Any]) -> Settings:
    """Read a device record's settings.

    Raises:
        ValueError: names device, setting and rule.
    """

    def fail(name: str, rule: str) -> ValueError:
        return ValueError(f"device {device}: setting {name!r} {rule}")

    only_known(device, settings, ("line", "baud", "readers", "media"))
    line = settings.get("line")
    if not isinstance(line, str) or not (line.startswith("/dev/") or _is_tcp(line)):
        raise fail("line", 'must be "/dev/…" or "tcp://host:port"')
    baud = settings.get("baud", BAUDS[0])
    if baud not in BAUDS or isinstance(baud, bool):
        raise fail("baud", f"must be one of {', '.join(map(str, BAUDS))}")
    given = settings.get("readers")
    if not isinstance(given, Mapping) or not 1 <= len(given) <= MAX_READERS:
        raise fail("readers", f"must map 1 to {MAX_READERS} addresses to readers")
    readers: dict[int, Reader] = {}
    for address, wiring in given.items():
        digits = str(address)
        if not (digits.isascii() and digits.isdigit() and int(digits[:4]) <= MAX_ADDRESS):
            raise fail("readers", f"must have addresses from 0 to {MAX_ADDRESS}")
        if int(digits) in readers:
            raise fail("readers", f"has address {int(digits)} twice")
        name = f"readers.{int(digits)}"
        if not isinstance(wiring, Mapping):
            raise fail(name, "must map names to values")
        try:
            readers[int(digits)] = _reader(device, int(digits), wiring)
        except ValueError as error:
            raise ValueError(f"device {device}: setting '{name}.{error}") from None
    keys = [reader.key_name for reader in readers.values() if reader.secure]
    if len(set(keys)) != len(keys):
        raise fail("readers", "must not share a key_name: each reader has its own key")
    return Settings(line, readers, baud)


def _is_tcp(line: str) -> bool:
    match = _TCP.fullmatch(line)
    return match is not None and 1 <= int(match["port"]) <= 65535


def _reader(device: str, address: int, wiring: Mapping[str, Any]) -> Reader:
    values: dict[str, Any] = {}
    for name, value in wiring.items():
        check = _WIRING.get(name)
        if check is None:
            raise ValueError(f"{str(name)[:40]}' is not known")
        values[name] = check(name, value)
    reader = Reader(address, **values)
    if not (reader.point or reader.portal or reader.exit_point):
        raise ValueError("point' must be set, or portal, or exit_point: it serves nothing")
    for name in ("output", "contact_input", "fire_input"):
        if getattr(reader, name) is not None and not reader.portal:
            raise ValueError(f"portal' must be set where {name} is")
    if (reader.exit_input is None) != (not reader.exit_point):
        raise ValueError("exit_input' and exit_point must be set together")
    wired = [reader.contact_input, reader.fire_input, reader.exit_input]
    used = [number for number in wired if number is not None]
    if len(set(used)) != len(used):
        raise ValueError("contact_input', exit_input and fire_input must be different inputs")
    if reader.reversed and reader.card_format == "wiegand37":
        raise ValueError("reversed' is for whole bytes: wiegand37 has 35 bits")
    name = reader.key_name or f"{device}-{address}"
    if not _NAME.fullmatch(name):
        raise ValueError(
            "key_name' must be 1 to 80 letters, digits, dots, dashes or underscores"
            " (by default it is made of the device's id)"
        )
    return Reader(address, **{**values, "key_name": name})


def _a_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}' must be true or false")
    return value


def _an_id(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT_CHARS:
        raise ValueError(f"{name}' must be an id")
    return value


def _a_number(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{name}' must be a number from 0 to {MAX_NUMBER}")
    return value


def _numbers(name: str, value: Any) -> frozenset[int]:
    if not isinstance(value, list | tuple) or len(value) > MAX_NUMBER + 1:
        raise ValueError(f"{name}' must be a list of input numbers")
    return frozenset(_a_number(name, number) for number in value)


def _a_format(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in FORMATS:
        raise ValueError(f"{name}' must be one of {', '.join(FORMATS)}")
    return value


_WIRING: dict[str, Callable[[str, Any], Any]] = {
    "point": _an_id,
    "portal": _an_id,
    "output": _a_number,
    "contact_input": _a_number,
    "fire_input": _a_number,
    "exit_input": _a_number,
    "exit_point": _an_id,
    "inverted_inputs": _numbers,
    "card_format": _a_format,
    "reversed": _a_flag,
    "right_aligned": _a_flag,
    "is_secure_card": _a_flag,
    "answers_status": _a_flag,
    "secure": _a_flag,
    "key_name": _an_id,
}


@dataclass(frozen=True, slots=True)
class _Signal:
    """What lamp and buzzer do; times in tenths of a second."""

    beeps: int
    beep_on: int
    beep_off: int
    colour: int | None = None


_GRANTED = _Signal(1, 2, 1, GREEN)
_DENIED = _Signal(3, 1, 1, RED)
_ONE_MORE_STEP = _Signal(2, 1, 1, AMBER)
_CLOSE_THE_DOOR = _Signal(8, 3, 3)
_SIGNALS = {
    str(Reason.SECOND_FACTOR_REQUIRED): _ONE_MORE_STEP,
    str(EventKind.DOOR_PREALARM): _CLOSE_THE_DOOR,
}


@driver("osdp")
class OsdpLine:
    """One line of readers: cards, PINs, contacts, buttons, fire inputs, locks, lamps, buzzers."""

    LINK = "osdp"

    def __init__(self, device: Device) -> None:
        self.id = device.id
        self._settings = read_settings(device.id, device.settings)
        self._readers = self._settings.readers
        self._obeyed: deque[str] = deque(maxlen=REMEMBERED_RELEASES)

    def serves(self) -> Mapping[str, frozenset[str]]:
        readers = self._readers.values()
        points = {reader.point for reader in readers} | {reader.exit_point for reader in readers}
        return {
            "portals": frozenset(reader.portal for reader in readers if reader.portal),
            "points": frozenset(points - {""}),
        }

    async def run(self, link: Link, emit: Emit) -> None:
        async for address, payload in link:
            report = self.decode(address, payload)
            emit(report)
            if isinstance(report, Online) and report.is_online and report.part:
                await self.send(link, AskLevels(self.id))

    async def send(self, link: Link, command: Command) -> bool:
        if isinstance(command, Release) and command.id in self._obeyed:
            return False
        messages = self.encode(command)
        for address, payload in messages:
            await link.send(address, payload)
        if isinstance(command, Release) and messages:
            self._obeyed.append(command.id)
        return bool(messages)

    def decode(self, address: str, payload: bytes) -> Report:
        """Read one message; what is not as it should be comes back as `Refused`, never raises."""
        data: Mapping[str, Any] = {}
        try:
            data = json_object(payload, MAX_PAYLOAD_BYTES)
            if address == "up/line":
                detail = text_or_empty(data, "detail", MAX_TEXT_CHARS)
                return Online(self.id, flag(data, "online"), detail)
            decode = _DECODERS.get(address)
            if decode is None:
                raise Wrong("not a message of this link")
            number = whole(data, "reader", 0, MAX_ADDRESS)
            reader = self._readers.get(number)
            if reader is None:
                raise Wrong("reader is not in this device's settings")
            return decode(self, reader, data)
        except FrameError as error:
            return Refused(self.id, str(error), _shown(data, payload))
        except Wrong as error:
            return Refused(self.id, f"{address[:40]}: {error}", _shown(data, payload))

    def encode(self, command: Command) -> list[tuple[str, bytes]]:
        """Write a command as (address, payload) messages; none where it is not for us."""
        match command:
            case Release():
                order: dict[str, int] = {"code": OUTPUT_ON, "tenths": 0}
                if command.seconds is not None:
                    tenths = min(max(round(command.seconds * 10), 1), MAX_TENTHS)
                    order = {"code": OUTPUT_PULSE, "tenths": tenths}
                return self._outputs(command.portal, order)
            case Secure():
                return self._outputs(command.portal, {"code": OUTPUT_OFF, "tenths": 0})
            case Show():
                return [
                    message
                    for reader in self._readers.values()
                    if reader.point == command.point
                    for message in _signal(reader, command)
                ]
            case AskLevels() if command.device == self.id:
                return [("levels", b"{}")]
            case _:
                return []

    def _outputs(self, portal: str, order: Mapping[str, int]) -> list[tuple[str, bytes]]:
        return [
            ("output", json_bytes({"reader": reader.address, "output": reader.output, **order}))
            for reader in self._readers.values()
            if reader.portal == portal and reader.output is not None
        ]

    def _online(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        return Online(
            self.id,
            flag(data, "online"),
            text_or_empty(data, "detail", MAX_TEXT_CHARS),
            reader.part,
        )

    def _fault(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        return Fault(self.id, text(data, "rule", MAX_TEXT_CHARS), flag(data, "active"), reader.part)

    def _card(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        frame = _hex(data, "data")
        bits = whole(data, "bits", 0, len(frame) * 8)
        is_wiegand = flag(data, "wiegand")
        if flag(data, "old"):
            raise Wrong("read while the reader was away; to be shown again")
        if not reader.point:
            raise Wrong("a card at a reader without point")
        card = read_card(
            frame,
            bits,
            reader.card_format,
            reversed_bytes=reader.reversed,
            right_aligned=reader.right_aligned,
            is_wiegand=is_wiegand,
        )
        method = Method.SECURE_CARD if reader.is_secure_card else Method.CARD
        detail: dict[str, str | int | float] = {"format": card.format, "bits": card.bits}
        return Read(reader.point, method, card.key, detail=detail)

    def _pin(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        digits = data.get("digits")
        if not isinstance(digits, str) or not 0 < len(digits) <= MAX_DIGITS:
            raise Wrong(f"digits must be a text of 1 to {MAX_DIGITS} digits")
        if not (digits.isascii() and digits.isdigit()):
            raise Wrong(f"digits must be a text of 1 to {MAX_DIGITS} digits")
        if not reader.point:
            raise Wrong("a PIN at a reader without point")
        return Read(reader.point, Method.PIN, digits)

    def _refused(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        return Refused(self.id, f"{reader.part}: {text(data, 'rule', MAX_TEXT_CHARS)}")

    def _input(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        number = whole(data, "input", 0, MAX_NUMBER)
        is_on = flag(data, "active") != (number in reader.inverted_inputs)
        if number == reader.contact_input:
            level = ContactLevel.OPEN if is_on else ContactLevel.CLOSED
            return Contact(reader.portal, level)
        if number == reader.fire_input:
            return FireInput(reader.portal, is_on)
        raise Wrong("input is not wired in this device's settings")

    def _button(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        number = whole(data, "input", 0, MAX_NUMBER)
        if number != reader.exit_input:
            raise Wrong("input is not an exit button in this device's settings")
        return Read(reader.exit_point, Method.EXIT_BUTTON, str(number))

    def _tamper(self, reader: Reader, data: Mapping[str, Any]) -> Report:
        return Tampered(self.id, flag(data, "active"), part=reader.part)


_DECODERS: dict[str, Callable[[OsdpLine, Reader, Mapping[str, Any]], Report]] = {
    "up/reader": OsdpLine._online,
    "up/fault": OsdpLine._fault,
    "up/card": OsdpLine._card,
    "up/pin": OsdpLine._pin,
    "up/refused": OsdpLine._refused,
    "up/input": OsdpLine._input,
    "up/button": OsdpLine._button,
    "up/tamper": OsdpLine._tamper,
}


def _signal(reader: Reader, command: Show) -> list[tuple[str, bytes]]:
    """Say a decision with lamp and buzzer: such readers have no screen."""
    signal = _SIGNALS.get(command.code, _GRANTED if command.is_granted else _DENIED)
    messages = []
    if signal.colour is not None:
        tenths = min(max(round(command.seconds * 10), 1), MAX_TENTHS)
        lamp = {"reader": reader.address, "colour": signal.colour, "tenths": tenths}
        messages.append(("led", json_bytes(lamp)))
    buzzer = {
        "reader": reader.address,
        "on": signal.beep_on,
        "off": signal.beep_off,
        "times": signal.beeps,
    }
    return [*messages, ("buzzer", json_bytes(buzzer))]


def _shown(data: Mapping[str, Any], payload: bytes) -> str:
    """Show enough of a refused message to find it by, and no credential."""
    plain = {name: data.get(name) for name in _SHOWN if isinstance(data.get(name), int)}
    return json.dumps(plain)[:MAX_TEXT_CHARS] if plain else f"{len(payload)} bytes"


def _hex(data: Mapping[str, Any], name: str) -> bytes:
    value = data.get(name)
    try:
        return bytes.fromhex(value) if isinstance(value, str) else bytes.fromhex("-")
    except ValueError:
        raise Wrong(f"{name} must be hex") from None
