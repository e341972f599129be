"""The settings of a UHPPOTE board, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anlin.core.entities import Device
from anlin.drivers._checks import only_known, whole_setting
from anlin.drivers._uhppote_messages import MAX_INDEX

DEFAULT_CAPACITY, MOST_CAPACITY = 40_000, 1_000_000
DEFAULT_SECONDS = 5

_SETTINGS = {
    "serial",
    "address",
    "bind",
    "listen",
    "protocol",
    "doors",
    "capacity",
    "zone",
    "numbers",
    "media",
}
_DOOR_SETTINGS = {"portal", "entry", "exit", "seconds"}


@dataclass(frozen=True, slots=True)
class Wiring:
    """One door of the board in our words; `seconds` is for how long its own cards open it."""

    portal: str
    entry: str
    exit: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What the driver asks of them; the link has its own use for addresses.

    `base` is 10 or 16: how the policy writes the numbers of cards.
    """

    serial: int
    base: int
    zone: ZoneInfo
    capacity: int
    doors: Mapping[int, Wiring]


def board_settings(device: Device) -> Settings:
    """Check a board's settings.

    Raises:
        ValueError: names the device and the setting that is wrong.
    """
    given = device.settings
    only_known(device.id, given, _SETTINGS)
    serial = whole_setting(device.id, given.get("serial"), "'serial'", 1, MAX_INDEX)
    _address(device, "address", is_needed=True)
    _address(device, "bind", is_needed=False)
    _address(device, "listen", is_needed=False)
    _choice(device, "protocol", "udp", ("udp", "tcp"))
    numbers = _choice(device, "numbers", "decimal", ("decimal", "hex"))
    zone = _zone(device)
    capacity = given.get("capacity", DEFAULT_CAPACITY)
    return Settings(
        serial,
        10 if numbers == "decimal" else 16,
        zone,
        whole_setting(device.id, capacity, "'capacity'", 1, MOST_CAPACITY),
        _doors(device),
    )


def _doors(device: Device) -> dict[int, Wiring]:
    value = device.settings.get("doors")
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"device {device.id}: setting 'doors' must map 1 to 4 to their wiring")
    doors: dict[int, Wiring] = {}
    for name, wiring in value.items():
        where = f"device {device.id}: setting 'doors' {name!r}"
        if name not in {"1", "2", "3", "4"}:
            raise ValueError(f"{where} is not one of 1 to 4")
        if not isinstance(wiring, Mapping) or set(wiring) - _DOOR_SETTINGS:
            raise ValueError(f"{where} takes {', '.join(sorted(_DOOR_SETTINGS))}")
        texts = [wiring.get(key) or "" for key in ("portal", "entry", "exit")]
        if not all(isinstance(text, str) for text in texts) or not texts[0] or not texts[1]:
            raise ValueError(f"{where} needs the ids of its portal and of its entry point")
        given = wiring.get("seconds", DEFAULT_SECONDS)
        seconds = whole_setting(device.id, given, f"'doors' {name!r} seconds", 1, 255)
        doors[int(name)] = Wiring(texts[0], texts[1], texts[2], seconds)
    if len({wiring.portal for wiring in doors.values()}) < len(doors):
        raise ValueError(f"device {device.id}: setting 'doors' has one portal at two doors")
    return doors


def _address(device: Device, name: str, *, is_needed: bool) -> None:
    value = device.settings.get(name)
    if value is None and not is_needed:
        return
    host, _, port = value.partition(":") if isinstance(value, str) else ("", "", "")
    parts = host.split(".")
    is_host = len(parts) == 4 and all(
        part.isascii() and part.isdigit() and int(part) < 256 for part in parts
    )
    is_port = not port or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
    if not is_host or not is_port or (name == "bind" and port) or (name == "listen" and not port):
        shape = {"bind": "IPv4 address", "listen": "IPv4 address:port"}.get(
            name, "IPv4 address, with :port unless that is 60000"
        )
        raise ValueError(f"device {device.id}: setting {name!r} must be an {shape}")


def _choice(device: Device, name: str, default: str, among: tuple[str, ...]) -> str:
    value = device.settings.get(name, default)
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"device {device.id}: setting {name!r} must be {' or '.join(among)}")
    return value


def _zone(device: Device) -> ZoneInfo:
    value = device.settings.get("zone", "Asia/Shanghai")
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(f"device {device.id}: setting 'zone' is no time zone's name") from None
