"""The devices of this node: which drivers run, and which of them a command is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from anlin.core.detection import GalleryAdd, GalleryRemove
from anlin.core.device import (
    Acknowledge,
    AskLevels,
    Command,
    HoldTable,
    Photo,
    Refusal,
    Refused,
    Release,
    Report,
    Secure,
    Show,
)
from anlin.core.entities import Device, Method
from anlin.drivers.base import Driver, Link, LinkError, drivers
from anlin.edge.clock import Clock
from anlin.edge.links import LINKS, OwnLink
from anlin.edge.links.mqtt import MqttBus
from anlin.edge.supervisor import NEAR_WAIT_S, Supervisor

log = structlog.get_logger(__name__)

SEND_TIMEOUT_S = 3.0


@dataclass(slots=True)
class _Running:
    record: Device
    driver: Driver
    link: Link
    serves: Mapping[str, frozenset[str]]
    """What the driver said when it started: every command asks it of every device."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A device with a table of its own: what it reads, and at which points."""

    driver: Driver
    methods: frozenset[Method]
    points: frozenset[str]


class Devices:
    """Starts a driver for each device record, and stops those that are gone."""

    def __init__(
        self, node: str, media: Path, bus: MqttBus, supervisor: Supervisor, clock: Clock
    ) -> None:
        self._node = node
        self._clock = clock
        self._media = media
        self._bus = bus
        self._supervisor = supervisor
        self._running: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._emit: Callable[[Report], None] = lambda _: None

    def listen(self, emit: Callable[[Report], None]) -> None:
        """Say who takes the drivers' reports."""
        self._emit = emit

    def follow(self, records: Mapping[str, Device]) -> None:
        """Bring what runs in line with the device records of the policy."""
        ours = {id_: record for id_, record in records.items() if record.node == self._node}
        for id_, running in list(self._running.items()):
            if ours.get(id_) != running.record:
                self._supervisor.drop(id_)
                del self._running[id_]
        for id_, record in ours.items():
            if id_ not in self._running:
                self._start(record)

    def portals(self, device: str | None = None) -> frozenset[str]:
        """Name the portals that this node's devices serve, or one of them."""
        served = (
            running.serves["portals"]
            for id_, running in self._running.items()
            if device in (None, id_)
        )
        return frozenset().union(*served)

    def tables(self) -> Mapping[str, Holding]:
        """Name the devices that hold their own table."""
        return {
            id_: Holding(running.driver, running.driver.TABLE, running.serves["points"])
            for id_, running in self._running.items()
            if running.driver.TABLE
        }

    def dispatch(self, command: Command) -> None:
        """Send a command to the devices that serve it, without waiting."""
        for running in self._running.values():
            if _is_for(running, command):
                task = asyncio.get_running_loop().create_task(self._send(running, command))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def send_to(self, device: str, command: Command) -> None:
        """Send a command to one device and wait until it is sent."""
        running = self._running.get(device)
        if running is not None:
            await self._send(running, command)

    async def settle(self) -> None:
        """Wait until every command dispatched so far was sent or failed."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _start(self, record: Device) -> None:
        found = drivers().get(record.driver)
        if found is None:
            rule = f"no driver is called {record.driver!r}"
            self._emit(Refused(record.id, rule, code=Refusal.UNKNOWN_DRIVER))
            return
        settings = {**record.settings, "media": str(self._media)}
        try:
            driver: Driver = found(replace(record, settings=settings))
        except ValueError as error:
            self._emit(Refused(record.id, str(error), code=Refusal.SETTINGS))
            return
        if driver.LINK == "mqtt":
            shared = self._bus.link(record.id)
            running = _Running(record, driver, shared, driver.serves())
            self._supervisor.keep(record.id, lambda: driver.run(shared, self._emit), NEAR_WAIT_S)
        else:
            own = LINKS[driver.LINK](record.id, settings, self._clock)
            running = _Running(record, driver, own, driver.serves())
            self._supervisor.keep(record.id, lambda: self._run_own(running, own), NEAR_WAIT_S)
        self._running[record.id] = running

    async def _run_own(self, running: _Running, link: OwnLink) -> None:
        try:
            await link.open()
            await running.driver.run(link, self._emit)
        finally:
            await link.close()

    async def _send(self, running: _Running, command: Command) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await running.driver.send(running.link, command)
        except (LinkError, TimeoutError) as error:
            rule = str(error) or f"took longer than {SEND_TIMEOUT_S} s"
            log.error(
                "command_not_sent",
                device=running.record.id,
                command=type(command).__name__,
                error=rule,
            )
            if isinstance(command, Release):
                code, portal = Refusal.RELEASE_NOT_SENT, command.portal
                self._emit(Refused(running.record.id, rule, code=code, portal=portal))


def _is_for(running: _Running, command: Command) -> bool:
    match command:
        case Release() | Secure():
            return command.portal in running.serves["portals"]
        case Show():
            return command.point in running.serves["points"]
        case Acknowledge() | AskLevels() | HoldTable() | Photo():
            return command.device == running.record.id
        case GalleryAdd() | GalleryRemove():
            return running.driver.LINK == "worker"
