"""What a driver is, and how the edge finds it.

    @driver("mqtt_gate")
    class MqttGate: ...

A module in this package registers itself by being imported; nobody edits a list. A module whose
name begins with "_" is shared by drivers and is none itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol, TypeVar

from anlin.core.device import Command, Report
from anlin.core.entities import Device, Method

Emit = Callable[[Report], None]


class LinkError(Exception):
    """The way to the device broke; the supervisor tries again."""


class Link(Protocol):
    """A way to a device that carries addressed messages."""

    def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (address, payload) as the device speaks; raise LinkError when it can't."""
        ...

    async def send(self, address: str, payload: bytes) -> None:
        """Send a payload, or raise LinkError."""
        ...


class AskingLink(Link, Protocol):
    """A link on which a question has an answer."""

    async def ask(self, address: str, payload: bytes) -> bytes:
        """Send a question and give its answer; raise LinkError where none comes in time."""
        ...


class Driver(Protocol):
    """One device."""

    LINK: str
    """Which kind of link it speaks over: a name of `anlin.edge.links`."""

    TABLE: frozenset[Method]
    """What a device reads that decides by itself and holds its own table; else empty."""

    def __init__(self, device: Device) -> None:
        """Take the device's settings; raise ValueError naming the setting that is wrong."""
        ...

    async def run(self, link: Link, emit: Emit) -> None:
        """Report what the device says until cancelled or the link breaks."""
        ...

    async def send(self, link: Link, command: Command) -> bool:
        """Carry out a command; False where this device has nothing to do with it."""
        ...

    def serves(self) -> Mapping[str, frozenset[str]]:
        """Say what it serves: {"portals": ids, "points": ids}."""
        ...


DriverClass = TypeVar("DriverClass", bound=type[Any])
_registry: dict[str, type[Any]] = {}


def driver(name: str) -> Callable[[DriverClass], DriverClass]:
    """Register a driver class under the name that device records use."""

    def register(cls: DriverClass) -> DriverClass:
        if not hasattr(cls, "TABLE"):
            cls.TABLE = frozenset()
        if name in _registry and _registry[name].__qualname__ != cls.__qualname__:
            raise ValueError(f"driver {name}: registered twice")
        _registry[name] = cls
        return cls

    return register


def drivers() -> Mapping[str, type[Any]]:
    """Find every driver in this package, by name."""
    package = importlib.import_module("anlin.drivers")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "base" and not module.name.startswith("_"):
            importlib.import_module(f"anlin.drivers.{module.name}")
    return dict(sorted(_registry.items()))
