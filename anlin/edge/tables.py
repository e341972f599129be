"""Tells the devices that decide by themselves what they should hold, whenever that changes.

A policy of 50,000 holders takes a second to go through. It is done a slice at a time, so that
no door waits, and begun anew when the policy changes meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from anlin.core.board import Row, Table, row_for
from anlin.core.device import HoldTable
from anlin.core.entities import Method
from anlin.core.policy import Policy
from anlin.core.schedule import Schedule
from anlin.drivers.base import Driver
from anlin.edge.clock import Clock
from anlin.edge.devices import Devices

log = structlog.get_logger(__name__)

SLICE = 200
"""Credentials gone through between two breaths of the event loop: about 4 ms."""

AGAIN_S = 30.0
"""Leases begin and end with the clock, not only with a change of the policy."""


class Tables:
    """The tables of one node's devices."""

    def __init__(self, policy: Callable[[], Policy], devices: Devices, clock: Clock) -> None:
        self._policy = policy
        self._devices = devices
        self._clock = clock
        self._sent: dict[str, tuple[Driver, Table]] = {}
        """By device; a driver that was started anew knows nothing of what the last one was told."""
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Say that the policy or the devices are not what they were."""
        self._changed.set()

    async def run(self) -> None:
        """Keep every device told until cancelled."""
        while True:
            self._changed.clear()
            for device, holding in self._devices.tables().items():
                table = await self._table(holding.methods, sorted(holding.points))
                await self._tell(device, holding.driver, table)
            try:
                async with asyncio.timeout(AGAIN_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _tell(self, device: str, driver: Driver, table: Table) -> None:
        told, before = self._sent.get(device, (None, None))
        is_same = before is not None and replace(before, revision=table.revision) == table
        if told is driver and is_same:
            return
        await self._devices.send_to(device, HoldTable(device, table))
        self._sent[device] = (driver, table)

    async def _table(self, methods: frozenset[Method], points: list[str]) -> Table:
        while True:
            policy, at = self._policy(), self._clock.now()
            revision = policy.revision
            table = await self._gather(policy, methods, points, at)
            if table is not None and self._policy() is policy and policy.revision == revision:
                return table

    async def _gather(
        self, policy: Policy, methods: frozenset[Method], points: list[str], at: datetime
    ) -> Table | None:
        """Go through the credentials; None where the policy changed under way."""
        revision = policy.revision
        rows: list[Row] = []
        schedules: dict[str, Schedule] = {}
        for number, id_ in enumerate(sorted(policy.credentials)):
            if number % SLICE == 0:
                await asyncio.sleep(0)
                if policy.revision != revision:
                    return None
            credential = policy.credentials[id_]
            if credential.method not in methods:
                continue
            row = row_for(policy, credential, points, at)
            if row is None:
                continue
            rows.append(row)
            for names in row.access.values():
                schedules.update((name, policy.schedules[name]) for name in names)
        return Table(revision, tuple(rows), schedules)
