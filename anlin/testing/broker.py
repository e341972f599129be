"""The embedded broker inside a test or bench, with users of known passwords."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt

from anlin.edge import broker
from anlin.wire.mqtt_users import Role, User, new_password, new_user, to_json

START_S = 5.0


@dataclass
class BrokerSite:
    """A running broker: where it is and who may sign in."""

    home: Path
    port: int
    passwords: dict[str, str]
    users: dict[str, User]

    def client(self, name: str, password: str | None = None, **options: Any) -> aiomqtt.Client:
        """Give a client that signs in as a user, with the user's own client id."""
        return aiomqtt.Client(
            broker.HOST,
            self.port,
            username=name,
            password=self.passwords[name] if password is None else password,
            **{"identifier": name, "timeout": 5, **options},
        )

    def add(self, name: str, role: Role = Role.DEVICE) -> None:
        """Let one more user sign in; call `save` afterwards."""
        self.passwords[name] = new_password()
        self.users[name] = new_user(name, self.passwords[name], role)

    def save(self) -> None:
        """Write the users' files as hub and installer do: whole, or not at all."""
        folder = self.home / "broker"
        folder.mkdir(parents=True, exist_ok=True)
        for file, role in (("devices", Role.DEVICE), ("edges", Role.EDGE)):
            users = {name: user for name, user in self.users.items() if user.role is role}
            part = folder / f"{file}.part"
            part.write_bytes(to_json(users))
            os.replace(part, folder / f"{file}.json")


@contextlib.asynccontextmanager
async def running_broker(home: Path, users: Mapping[str, Role]) -> AsyncIterator[BrokerSite]:
    """Run the broker on a free port for as long as the context lasts."""
    site = BrokerSite(home, free_port(), {}, {})
    for name, role in users.items():
        site.add(name, role)
    site.save()
    task = asyncio.create_task(broker.run(home, site.port))
    try:
        await _reachable(site.port)
        yield site
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def free_port() -> int:
    """Give a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((broker.HOST, 0))
        return int(probe.getsockname()[1])


async def _reachable(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(broker.HOST, port)
                writer.close()
                return
            await asyncio.sleep(0.02)
