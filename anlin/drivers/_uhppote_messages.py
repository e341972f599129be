"""What a UHPPOTE board says of itself, read from the link's messages and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anlin.drivers._checks import Wrong, json_bytes, json_object, whole
from anlin.drivers.base import AskingLink

DOORS = range(1, 5)
MAX_PAYLOAD_BYTES = 4096
MAX_INDEX = 0xFFFFFFFF
NO_EVENT, SWIPE, DOOR, ALARM, OVERWRITTEN = 0, 1, 2, 3, 0xFF
"""Kinds of events; the first and the last say that there is none."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a poll says."""

    index: int
    at: datetime | None
    is_open: tuple[bool, ...]
    is_fire: bool
    error: int
    drift_s: float | None


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the board's memory."""

    index: int
    kind: int
    is_granted: bool
    door: int
    direction: int
    card: int
    at: datetime | None
    reason: int


def said(payload: bytes) -> Mapping[str, Any]:
    """Read a message or an answer."""
    return json_object(payload, MAX_PAYLOAD_BYTES)


async def ask(
    link: AskingLink, name: str, data: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Ask the board."""
    return said(await link.ask(name, json_bytes(data or {})))


async def ask_event(link: AskingLink, index: int) -> Happened:
    """Ask for one event; an index that has none, or none any more, gives one of that kind."""
    data = await ask(link, "get-event", {"index": index})
    happened = Happened(
        whole(data, "index", 0, MAX_INDEX),
        whole(data, "kind", 0, 255),
        data.get("granted") is True,
        whole(data, "door", 0, 255),
        whole(data, "direction", 0, 255),
        whole(data, "card", 0, MAX_INDEX),
        _moment(data, "time"),
        whole(data, "reason", 0, 255),
    )
    if happened.kind not in (NO_EVENT, OVERWRITTEN) and happened.index != index:
        raise Wrong(f"get-event: asked for {index}, shown {happened.index}")
    return happened


def read_status(data: Mapping[str, Any]) -> Status:
    """Read what a poll says."""
    is_open = data.get("open")
    if not isinstance(is_open, list) or [type(item) for item in is_open] != [bool] * 4:
        raise Wrong("open must be four times true or false")
    drift = data.get("drift_s")
    if drift is not None and (isinstance(drift, bool) or not isinstance(drift, int | float)):
        raise Wrong("drift_s must be a number or null")
    return Status(
        whole(data, "index", 0, MAX_INDEX),
        _moment(data, "time"),
        tuple(is_open),
        data.get("fire") is True,
        whole(data, "error", 0, 255),
        drift,
    )


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    value = data.get(name)
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Wrong(f"{name} must be a time or null") from None
