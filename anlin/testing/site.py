"""A node without its sockets: real journal and replica, a clock a test moves, ears at the door."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from anlin.core import device, sync
from anlin.core.entities import Entity, Method
from anlin.core.event import Event, EventKind
from anlin.core.policy import Delta
from anlin.edge.engine import Engine
from anlin.edge.journal import Journal
from anlin.edge.replica import Replica
from anlin.testing import cast
from anlin.testing.clock import FakeClock

C = TypeVar("C")


class Site:
    """One node without its sockets: what devices say goes in, what they are told is in `sent`."""

    def __init__(self, home: Path, *instead: Entity) -> None:
        """Set a node up in a folder, with the cast's policy or records `instead` of some."""
        self.home = home
        self.clock = FakeClock()
        self.sent: list[device.Command] = []
        self._ids = itertools.count(1)
        by_key = {(type(entity), entity.id): entity for entity in (*cast.RECORDS, *instead)}
        replica = Replica(home / "replica.sqlite3")
        if replica.policy.revision == 0:
            replica.apply(cast.snapshot(by_key.values()))
        replica.close()
        self.start()

    def start(self, **journal: Any) -> None:
        """Begin a life of the node."""
        self.replica = Replica(self.home / "replica.sqlite3")
        options = {"ballast": 0, **journal}
        self.journal = Journal(self.home / "journal.sqlite3", "node-1", **options)
        self.engine = Engine(self.replica, self.journal, self.clock, self.sent.append)

    async def stop(self) -> None:
        """End this life in order."""
        await self.engine.settle()
        self.journal.close()
        self.replica.close()

    async def restart(self) -> None:
        """End this life and begin the next; what was told in this one is forgotten here."""
        await self.stop()
        self.sent.clear()
        self.start()

    async def die_before_the_release(self, report: device.Report) -> None:
        """Die when a report's events are durable and nobody has been told."""
        self.engine.take(report)
        # The journal's thread writes while this thread, and so the event loop, stands still.
        self.journal.submit([]).result(10)
        for task in self.engine._tasks:
            task.cancel()
        await asyncio.gather(*self.engine._tasks, return_exceptions=True)
        self.journal.close()
        self.replica.close()
        if self.sent:
            raise AssertionError(f"told before the death: {self.sent}")
        self.start()

    async def take(self, *reports: device.Report) -> list[device.Command]:
        """Let devices report; give what they were told then."""
        before = len(self.sent)
        for report in reports:
            self.engine.take(report)
        await self.engine.settle()
        return self.sent[before:]

    async def tick(self, seconds: float = 0.0) -> list[device.Command]:
        """Let time pass and the timers run."""
        before = len(self.sent)
        self.clock.advance(seconds)
        self.engine.tick()
        await self.engine.settle()
        return self.sent[before:]

    async def obey(
        self, kind: sync.CommandKind, target: str, **changed: Any
    ) -> list[device.Command]:
        """Let Guo give a command."""
        before = len(self.sent)
        self.engine.obey(self.command(kind, target, **changed))
        await self.engine.settle()
        return self.sent[before:]

    def command(self, kind: sync.CommandKind, target: str, **changed: Any) -> sync.Command:
        """Write a command by Guo, fresh and with the next number."""
        number, now = next(self._ids), self.clock.now()
        command = sync.Command(
            number, f"c{number}", kind, target, "guo", now, now + sync.COMMAND_LIFE
        )
        return replace(command, **changed)

    def card(self, key: str = "04A1B2C3", point: str = "gate-in", **changed: Any) -> device.Read:
        """Show a card, Lin's by default."""
        read = device.Read(point, Method.CARD, key, self.origin())
        return replace(read, **changed)

    def exit_button(self, **changed: Any) -> device.Read:
        """Press the exit button of the gate."""
        read = device.Read("gate-out", Method.EXIT_BUTTON, "exit", self.origin())
        return replace(read, **changed)

    def contact(self, level: str, portal: str = "gate") -> device.Contact:
        """Read a door's contact."""
        return device.Contact(portal, device.ContactLevel(level), self.origin())

    def origin(self) -> str:
        """Give a message id that was not used yet."""
        return f"gate-1/1-{next(self._ids)}"

    def events(self, *kinds: EventKind) -> list[Event]:
        """List what the journal holds, of some kinds or of all."""
        events = self.journal.read(0, 100_000)
        return [event for event in events if not kinds or event.kind in kinds]

    def kinds(self) -> list[EventKind]:
        """List what happened, in order."""
        return [event.kind for event in self.events()]

    def change(self, *entities: Entity, gone: tuple[Entity, ...] = ()) -> None:
        """Let the hub change the policy."""
        revision = self.replica.policy.revision + 1
        changes = [cast.change(entity, revision) for entity in entities]
        changes += [cast.tombstone(entity, revision) for entity in gone]
        self.replica.apply(Delta(revision - 1, revision, tuple(changes)))

    def ago(self, seconds: float) -> datetime:
        """Give the time some seconds before now."""
        return self.clock.now() - timedelta(seconds=seconds)


def only(kind: type[C], commands: list[device.Command]) -> list[C]:
    """The commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]
