"""Gate controllers that speak Anlin's own MQTT profile (docs/ref/mqtt_gate.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
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
    TagSeen,
    Tampered,
)
from anlin.core.entities import Device, Direction, Method
from anlin.drivers._checks import (
    Wrong,
    flag,
    json_bytes,
    json_object,
    one_of,
    only_known,
    text,
    whole,
)
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

MAX_TAG_CHARS = 40
"""Twenty bytes: a UHF tag's EPC has twelve, the longest in use sixteen."""

_TAG = re.compile(r"[0-9A-F]{4,40}")

_METHODS = {
    method.value: method for method in (Method.CARD, Method.SECURE_CARD, Method.PIN, Method.QR)
}


_SETTINGS = {"readers", "antennas", "inputs", "buttons", "outputs", "media"}
_SHOWN = (
    "id",
    "age_ms",
    "reader",
    "antenna",
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
"""What a refusal repeats of a message: never `value`, where the PINs are, nor whose bike it was."""


@driver("mqtt_gate")
class MqttGate:
    """One controller: readers, antennas, contacts, buttons, inputs, relays, a screen, a voice."""

    LINK = "mqtt"

    def __init__(self, device: Device) -> None:
        self.id = device.id
        only_known(device.id, device.settings, _SETTINGS)
        self._readers = _names(device, "readers")
        self._antennas = _names(device, "antennas")
        self._inputs = _names(device, "inputs")
        self._buttons = _names(device, "buttons")
        self._outputs = {portal: name for name, portal in _names(device, "outputs").items()}
        self._screens = {point: name for name, point in self._readers.items()}

    def serves(self) -> Mapping[str, frozenset[str]]:
        return {
            "portals": frozenset(self._outputs) | frozenset(self._inputs.values()),
            "points": frozenset(self._readers.values())
            | frozenset(self._antennas.values())
            | frozenset(self._buttons.values()),
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
            data = json_object(payload, MAX_PAYLOAD_BYTES)
            if address == "up/state":
                return Online(self.id, flag(data, "online"), "last will or greeting")
            origin = f"{self.id}/{text(data, 'id', MAX_ID_CHARS)}"
            decode = _DECODERS.get(address)
            if decode is None:
                raise Wrong("not a topic of the profile")
            return decode(self, data, origin)
        except Wrong as error:
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
                return [("down/relay", json_bytes(relay))]
            case Secure() if command.portal in self._outputs:
                output = self._outputs[command.portal]
                return [
                    ("down/relay", json_bytes({"id": "", "output": output, "action": "secure"}))
                ]
            case Show() if command.point in self._screens:
                reader = self._screens[command.point]
                screen = {
                    "code": command.code,
                    "text": command.text,
                    "granted": command.is_granted,
                    "ms": int(command.seconds * 1000),
                    "reader": reader,
                }
                messages = [("down/screen", json_bytes(screen))]
                if command.voice:
                    voice = {"text": command.voice, "reader": reader}
                    messages.append(("down/voice", json_bytes(voice)))
                return messages
            case Acknowledge() if command.device == self.id:
                id_ = command.origin.removeprefix(f"{self.id}/")
                return [("down/ack", json_bytes({"id": id_}))]
            case AskLevels() if command.device == self.id:
                return [("down/levels", b"{}")]
            case _:
                return []

    def _read(self, data: Mapping[str, Any], origin: str) -> Report:
        method = _METHODS[one_of(data, "method", _METHODS)]
        point = _known(self._readers, data, "reader")
        value = text(data, "value", MAX_VALUE_CHARS)
        return Read(point, method, value, origin, _age_s(data))

    def _tag(self, data: Mapping[str, Any], origin: str) -> Report:
        point = _known(self._antennas, data, "antenna")
        tag = text(data, "tag", MAX_TAG_CHARS).upper()
        if not _TAG.fullmatch(tag):
            raise Wrong(f"tag must have 4 to {MAX_TAG_CHARS} hexadecimal digits")
        return TagSeen(self.id, point, tag, origin, _age_s(data))

    def _contact(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        level = ContactLevel(one_of(data, "level", ContactLevel))
        return Contact(portal, level, origin, _age_s(data))

    def _button(self, data: Mapping[str, Any], origin: str) -> Report:
        point = _known(self._buttons, data, "button")
        return Read(point, Method.EXIT_BUTTON, data["button"], origin, _age_s(data))

    def _tamper(self, data: Mapping[str, Any], origin: str) -> Report:
        return Tampered(self.id, flag(data, "active"), origin, age_s=_age_s(data))

    def _fire(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        return FireInput(portal, flag(data, "active"), origin, _age_s(data))

    def _loop(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        place = LoopPlace(one_of(data, "place", LoopPlace)) if "place" in data else _APPROACH
        return Loop(portal, flag(data, "occupied"), origin, place, _age_s(data))

    def _arm(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        position = ArmPosition(one_of(data, "position", ArmPosition))
        return Arm(portal, position, origin, _age_s(data))

    def _struck(self, data: Mapping[str, Any], origin: str) -> Report:
        return Struck(_known(self._inputs, data, "input"), origin)

    def _crossed(self, data: Mapping[str, Any], origin: str) -> Report:
        portal = _known(self._inputs, data, "input")
        persons = data.get("persons", 1)
        if not isinstance(persons, int) or isinstance(persons, bool) or persons < 1:
            raise Wrong("persons must be a whole number from 1 on")
        direction = Direction(one_of(data, "direction", Direction))
        return Crossed(portal, direction, min(persons, MAX_PERSONS), origin)

    def _fault(self, data: Mapping[str, Any], origin: str) -> Report:
        rule = one_of(data, "fault", _FAULTS)
        return Fault(self.id, rule, flag(data, "active"), origin=origin, age_s=_age_s(data))


_APPROACH = LoopPlace.APPROACH
_FAULTS = ("mains_lost", "battery_low", "lock_fault", "drive_fault", "clock_lost")
"""What a controller can say is wrong with itself."""


_DECODERS: dict[str, Callable[[MqttGate, Mapping[str, Any], str], Report]] = {
    "up/read": MqttGate._read,
    "up/tag": MqttGate._tag,
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


def _shown(data: Mapping[str, Any], payload: bytes) -> str:
    """Show enough of a refused message to find it by, and no credential."""
    if not data:
        return f"{len(payload)} bytes"
    return json.dumps({name: data[name] for name in _SHOWN if name in data})[:MAX_SHOWN_CHARS]


def _age_s(data: Mapping[str, Any]) -> float:
    return whole(data, "age_ms", 0, MAX_AGE_MS) / 1000


def _known(names: Mapping[str, str], data: Mapping[str, Any], name: str) -> str:
    value = text(data, name, MAX_ID_CHARS)
    if value not in names:
        raise Wrong(f"{name} is not wired in this device's settings")
    return names[value]
