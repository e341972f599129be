"""What drivers check of messages and of settings, each rule in one place and one wording.

A check gives the value, typed, or raises: `Wrong` for a message, `ValueError` for a setting. The
text is the rule that was broken; it never repeats a message's value, which may be a PIN or a name.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeGuard

from anlin.drivers.base import LinkError


class Wrong(LinkError):
    """A message or answer that makes no sense, as good as none; the text is the rule."""


# Messages


def json_object(payload: bytes, most: int) -> Mapping[str, Any]:
    """Read a JSON object of at most `most` bytes."""
    if len(payload) > most:
        raise Wrong(f"{len(payload)} bytes; at most {most}")
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise Wrong("not JSON") from None
    if not isinstance(data, dict):
        raise Wrong("not a JSON object")
    return data


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """Write a JSON object; half a surrogate pair in a name is no reason to send nothing."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def text(data: Mapping[str, Any], name: str, most: int) -> str:
    """Read a text of 1 to `most` printable characters."""
    value = data.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        # Half a surrogate pair is a text to JSON and to no file; nobody types a NUL.
        raise Wrong(f"{name} must be a text of 1 to {most} printable characters")
    return value


def text_or_empty(data: Mapping[str, Any], name: str, most: int) -> str:
    """Read a text that may be empty or missing, of at most `most` printable characters."""
    return text(data, name, most) if data.get(name) not in (None, "") else ""


def flag(data: Mapping[str, Any], name: str) -> bool:
    """Read true or false."""
    value = data.get(name)
    if not isinstance(value, bool):
        raise Wrong(f"{name} must be true or false")
    return value


def whole(data: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """Read a whole number from `low` to `high`."""
    value = data.get(name)
    if not _is_whole(value, low, high):
        raise Wrong(f"{name} must be a whole number from {low} to {high}")
    return value


def one_of(data: Mapping[str, Any], name: str, words: Iterable[str]) -> str:
    """Read one of `words`."""
    value = data.get(name)
    known = [str(word) for word in words]
    if not isinstance(value, str) or value not in known:
        raise Wrong(f"{name} is not one of {', '.join(known)}")
    return value


def _is_whole(value: object, low: int, high: int) -> TypeGuard[int]:
    # To Python, true is the number 1.
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


# Settings


def only_known(device: str, given: Iterable[str], known: Collection[str], where: str = "") -> None:
    """Refuse settings by other names than `known`: a typing error must not pass for a default."""
    unknown = set(given) - set(known)
    if unknown:
        raise ValueError(f"device {device}: setting {where}{min(unknown)!r} is not known")


def flag_setting(device: str, given: object, name: str) -> bool:
    """Check a setting that is true or false."""
    if not isinstance(given, bool):
        raise ValueError(f"device {device}: setting {name} must be true or false")
    return given


def whole_setting(device: str, given: object, name: str, low: int, high: int) -> int:
    """Check a setting that is a whole number from `low` to `high`."""
    if not _is_whole(given, low, high):
        raise ValueError(
            f"device {device}: setting {name} must be a whole number from {low} to {high}"
        )
    return given


def host_and_port(device: str, given: object, name: str, least_port: int = 1) -> tuple[str, int]:
    """Read "host:port", where an IPv6 host stands in brackets."""
    host, _, port = given.rpartition(":") if isinstance(given, str) else ("", "", "")
    # No int of a long text: Python refuses above 4300 digits by a ValueError of its own.
    is_port = port.isascii() and port.isdigit() and least_port <= int(port[:6]) < 65536
    if not host or not is_port:
        raise ValueError(f"device {device}: setting {name!r} must be host:port")
    return host.strip("[]"), int(port)
