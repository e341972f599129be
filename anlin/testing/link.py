"""A link to a device that is not there: it can say anything, go away, and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from anlin.drivers.base import LinkError


class FakeLink:
    """The `Link` of `anlin.drivers.base` under a test's control.

    What a driver sends stands in `sent`. What the device says is queued by `say`, at an address
    `answer/ADDRESS` for what is asked there; `hang_up`
    breaks the link behind it, as a cable does. `is_up` says whether anything can be sent.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.is_up = True
        self._said: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._answers: dict[str, asyncio.Queue[bytes]] = {}

    def say(self, address: str, payload: bytes) -> None:
        """Let the device say something, or answer what it was asked at an address."""
        if address.startswith("answer/"):
            asked = address.removeprefix("answer/")
            self._answers.setdefault(asked, asyncio.Queue()).put_nowait(payload)
            return
        self._said.put_nowait((address, payload))

    def hang_up(self) -> None:
        """Break the link once what was said before is heard."""
        self._said.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            said = await self._said.get()
            if said is None:
                self.is_up = False
                raise LinkError("fake link: hung up")
            yield said

    async def send(self, address: str, payload: bytes) -> None:
        if not self.is_up:
            raise LinkError(f"{address}: fake link is down")
        self.sent.append((address, payload))

    async def ask(self, address: str, payload: bytes) -> bytes:
        """Take the next thing said at `answer/ADDRESS` for the answer to a question."""
        await self.send(address, payload)
        waiting = self._answers.setdefault(address, asyncio.Queue())
        return await waiting.get()


class Recorder:
    """A link that writes down what passes over another, as lines of a transcript."""

    def __init__(self, link: object) -> None:
        self._link = link
        self.lines: list[str] = []

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        async for address, payload in self._link:  # type: ignore[attr-defined]
            self.lines.append(f"< {address} {payload.decode().strip()}")
            yield address, payload

    async def send(self, address: str, payload: bytes) -> None:
        self.lines.append(f"> {address} {payload.decode().strip()}")
        await self._link.send(address, payload)  # type: ignore[attr-defined]
