"""Ways to a device, by the name that a driver gives in `LINK`.

"mqtt" is one connection that all devices share (`mqtt.MqttBus`). Every other kind is opened for
one device and closed with it: what makes it of (device id, settings, the edge's clock) stands in
`LINKS`. A device that is told the time is told the edge's, by which its own times are judged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from anlin.edge.clock import Clock
from anlin.edge.links.http import HttpLink
from anlin.edge.links.modbus import ModbusLink
from anlin.edge.links.osdp import OsdpLink
from anlin.edge.links.uhppote import UhppoteLink
from anlin.edge.links.worker import WorkerLink


class OwnLink(Protocol):
    """A link that belongs to one device and lives from `open` to `close`."""

    async def open(self) -> None:
        """Connect, or raise LinkError; the supervisor tries again."""
        ...

    async def close(self) -> None:
        """Disconnect, and leave nothing running."""
        ...

    def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield (address, payload) as the device speaks; raise LinkError when it can't."""
        ...

    async def send(self, address: str, payload: bytes) -> None:
        """Send a payload, or raise LinkError."""
        ...


LINKS: Mapping[str, Callable[[str, Mapping[str, Any], Clock], OwnLink]] = {
    "http": HttpLink,
    "modbus": lambda device, settings, _: ModbusLink(device, settings),
    "uhppote": UhppoteLink,
    "osdp": lambda device, settings, _: OsdpLink(device, settings),
    "worker": lambda device, settings, _: WorkerLink(device, settings),
}
