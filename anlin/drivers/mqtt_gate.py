"""Gate controllers that speak Anlin's own MQTT profile (docs/ref/mqtt_gate.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anlin.core.device import (
    Acknowledge,
    Arm,
    ArmPosition,
    AskLevels,
    Command,
    Contact,
    ContactLevel,
    Crossed,
    Fault,
    FireInput,
    Loop,
    LoopPlace,
    Online,
    Read,
    Refused,
    Release,
    Report,
    Secure,
    Show,
    Struck,
    Tampered,
)
from anlin.core.entities import Device, Direction, Method
from anlin.drivers.base import Emit, Link, driver

MAX_PAYLOAD_BYTES = 4096
MAX_ID_CHARS = 64
MAX_VALUE_CHARS = 1200
"""The longest credential is a QR pass; see anlin.core.qr."""

MAX_AGE_MS = 30 * 24 * 3600 * 1000
RELEASE_LIFE_MS = 3000
"""A relay command that waited longer in a broker's queue must not open anything."""

MAX_SHOWN_CHARS = 120

MAX_PERSONS = 50
"""What a counter may count at once; a crowd is several messages."""

_METHODS = {
    method.value: method for method in (Method.CARD, Method.SECURE_CARD, Method.PIN, Method.QR)
}


_SETTINGS = {"readers", "inputs", "buttons", "outputs", "media"}
_SHOWN = (
    "id",
    "age_ms",
    "reader",
    "method",
    "input",
    "level",
    "button",
    "active",
    "occupied",
    "place",
    "position",
    "direction",
    "persons",
    "fault",
)
"""What a refusal repeats of a message: never `value`, where the PINs are."""


class _Wrong(ValueError):
    """A message that breaks the profile; the text is the rule."""


@driver("mqtt_gate")
class MqttGate:
    """One controller: readers, contacts, buttons, inputs, relays, a screen and a voice."""

    LINK = "mqtt"

    def __init__(self, device: Device) -> None:
        self.id = device.id
        unknown = set(device.settings) - _SETTINGS
        if unknown:
            raise ValueError(f"device {device.id}: setting {min(unknown)!r} is not known")
        self._readers = _names(device, "readers")
        self._inputs = _names(device, "inputs")
        self._buttons = _names(device, "buttons")
        self._outputs = {portal: name for name, portal in _names(device, "outputs").items()}
        self._screens = {point: name for name, point in self._readers.items()}

    def serves(self) -> Mapping[str, frozenset[str]]:
        return {
            "portals": frozenset(self._outputs) | frozenset(self._inputs.values()),
            "points": frozenset(self._readers.values()) | frozenset(self._buttons.values()),
        }

    async def run(self, link: Link, emit: Emit) -> None:
        async for address, payload in link:
            report = self.decode(address, payload)
            emit(report)
            if isinstance(report, Online) and report.is_online:
                # The broker keeps this greeting, so it comes when either of us has just started.
                await self.send(link, AskLevels(self.id))

    async def send(self, link: Link, command: Command) -> bool:
        messages = self.encode(command)
        for address, payload in messages:
            await link.send(address, payload)
        return bool(messages)

    def decode(self, address: str, payload: bytes) -> Report:
        """Read one message; what breaks the profile comes back as `Refused`, never raises."""
        origin = None
        data: Mapping[str, Any] = {}
        try:
            data = _object(payload)
            if address == "up/state":
                return Online(self.id, _flag(data, "online"), "last will or greeting")
            origin = f"{self.id}/{_text(data, 'id', MAX_ID_CHARS)}"
            decode = _DECODERS.get(address)
            if decode is None:
                raise _Wrong("not a topic of the profile")
            return decode(self, data, origin)
        except _Wrong as error:
            return Refused(self.id, f"{address[:40]}: {error}", _shown(data, payload), origin)

    def encode(self, command: Command) -> list[tuple[str, bytes]]:
        """Write a command as (address, payload) messages; none where it is not for us."""
        match command:
            case Release() if command.portal in self._outputs:
                relay: dict[str, Any] = {
                    "id": command.id,
                    "output": self._outputs[command.portal],
                    "action": "hold" if command.seconds is None else "release",
                    "expires_ms": RELEASE_LIFE_MS,
                }
                if command.seconds is not None:
                    relay["ms"] = int(command.seconds * 1000)
                return [("down/relay", _json(relay))]
            case Secure() if command.portal in self._outputs:
                output = self._outputs[command.portal]
                return [("down/relay", _json({"id": "", "output": output, "action": "secure"}))]
            case Show() if command.point in self._screens:
                reader = self._screens[command.point]
                screen = {
                    "code": command.code,
                    "text": command.text,
                    "granted": command.is_granted,
                    "ms": int(command.seconds * 1000),
                    "reader": reader,
                }
                messages = [("down/screen", _json(screen))]
                if command.voice:
                    voice = {"text": command.voice, "reader": reader}
                    messages.append(("down/voice", _json(voice)))
                return messages
            case Acknowledge() if command.device == self.id:
                id_ = command.origin.removeprefix(f"{self.id}/")
                return [("down/ack", _json({"id": id_}))]
            case AskLevels() if command.device == self.id:
                return [("down/levels", b"{}")]
            case _:
                return []

    def _read(self, data: Mapping[str, Any], origin: str) -> Report:
        method = _METHODS.get(_text(data, "method", 20))
        if method is None:
            raise _Wrong(f"method is not one of {', '.join(_METHODS)}")
        point = _known(self._readers, data, "reader")
        value = _text(data, "value", MAX_VALUE_CHARS)
        return Read(point, method, value, origin, _age_s(data))

    def _contact(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        return Contact(portal, ContactLevel(_one_of(data, "level", ContactLevel)), origin)

    def _button(self, data: Mapping[str, Any], origin: str) -> Report:
        point = _known(self._buttons, data, "button")
        return Read(point, Method.EXIT_BUTTON, data["button"], origin, _age_s(data))

    def _tamper(self, data: Mapping[str, Any], origin: str) -> Report:
        return Tampered(self.id, _flag(data, "active"), origin)

    def _fire(self, data: Mapping[str, Any], origin: str) -> Report:
        return FireInput(_known(self._inputs, data, "input"), _flag(data, "active"), origin)

    def _loop(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        place = LoopPlace(_one_of(data, "place", LoopPlace)) if "place" in data else _APPROACH
        return Loop(portal, _flag(data, "occupied"), origin, place)

    def _arm(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        return Arm(portal, ArmPosition(_one_of(data, "position", ArmPosition)), origin)

    def _struck(self, data: Mapping[str, Any], origin: str) -> Report:
        return Struck(_known(self._inputs, data, "input"), origin)

    def _crossed(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        persons = data.get("persons", 1)
        if not isinstance(persons, int) or isinstance(persons, bool) or persons < 1:
            raise _Wrong("persons must be a whole number from 1 on")
        direction = Direction(_one_of(data, "direction", Direction))
        return Crossed(portal, direction, min(persons, MAX_PERSONS), origin)

    def _fault(self, data: Mapping[str, Any], origin: str) -> Report:
        rule = _one_of(data, "fault", _FAULTS)
        return Fault(self.id, rule, _flag(data, "active"), origin=origin)


_APPROACH = LoopPlace.APPROACH
_FAULTS = ("mains_lost", "battery_low", "lock_fault", "drive_fault", "clock_lost")
"""What a controller can say is wrong with itself."""


_DECODERS: dict[str, Callable[[MqttGate, Mapping[str, Any], str], Report]] = {
    "up/read": MqttGate._read,
    "up/contact": MqttGate._contact,
    "up/button": MqttGate._button,
    "up/tamper": MqttGate._tamper,
    "up/fire": MqttGate._fire,
    "up/loop": MqttGate._loop,
    "up/arm": MqttGate._arm,
    "up/struck": MqttGate._struck,
    "up/crossed": MqttGate._crossed,
    "up/fault": MqttGate._fault,
}


def _names(device: Device, setting: str) -> dict[str, str]:
    value = device.settings.get(setting, {})
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError(f"device {device.id}: setting {setting!r} must map names to ids")
    return dict(value)


def _object(payload: bytes) -> Mapping[str, Any]:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _Wrong(f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise _Wrong("not JSON") from None
    if not isinstance(data, dict):
        raise _Wrong("not a JSON object")
    return data


def _shown(data: Mapping[str, Any], payload: bytes) -> str:
    """Show enough of a refused message to find it by, and no credential."""
    if not data:
        return f"{len(payload)} bytes"
    text = json.dumps({name: data[name] for name in _SHOWN if name in data})
    return text[:MAX_SHOWN_CHARS]


def _text(data: Mapping[str, Any], name: str, limit: int) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        # Half a surrogate pair is a text to JSON and to no file; nobody types a NUL.
        raise _Wrong(f"{name} must be a text of 1 to {limit} printable characters")
    return value


def _one_of(data: Mapping[str, Any], name: str, words: Iterable[str]) -> str:
    value = _text(data, name, MAX_ID_CHARS)
    known = [str(word) for word in words]
    if value not in known:
        raise _Wrong(f"{name} is not one of {', '.join(known)}")
    return value


def _flag(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name)
    if not isinstance(value, bool):
        raise _Wrong(f"{name} must be true or false")
    return value


def _age_s(data: Mapping[str, Any]) -> float:
    age = data.get("age_ms")
    if not isinstance(age, int) or isinstance(age, bool) or not 0 <= age <= MAX_AGE_MS:
        raise _Wrong(f"age_ms must be a whole number from 0 to {MAX_AGE_MS}")
    return age / 1000


def _known(names: Mapping[str, str], data: Mapping[str, Any], name: str) -> str:
    value = _text(data, name, MAX_ID_CHARS)
    if value not in names:
        raise _Wrong(f"{name} is not wired in this device's settings")
    return names[value]


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
