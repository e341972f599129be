"""How the doors of a UHPPOTE board are controlled, and by whom they were opened."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from anlin.drivers._checks import json_bytes, whole
from anlin.drivers._uhppote_messages import ask
from anlin.drivers._uhppote_settings import Wiring
from anlin.drivers.base import AskingLink

REMOTE_S = 30.0
"""A remote opening that the board records so soon after one of ours is ours."""

NORMALLY_OPEN, CONTROLLED = 1, 3


class Doors:
    """The doors of one board.

    A door has a mode of control and a delay, which is for how long an opening lasts. A release
    of other seconds lends it a delay; once over, the door has its own back.
    """

    def __init__(self, wiring: Mapping[int, Wiring]) -> None:
        self._wiring = wiring
        self._modes: dict[int, int] = {}
        """How doors should be controlled, as far as somebody has said so or the board had it."""
        self._found: dict[int, int] = {}
        """How the board had doors controlled when nobody had said anything yet."""
        self._delays: dict[int, int] = {}
        self._controlling = asyncio.Lock()
        self._began = -math.inf
        self._remote_at: dict[int, float] = {}
        self._opened_until: dict[int, float] = {}

    def begin(self) -> None:
        """Begin a connection: what was opened before it is not known any more."""
        self._began = asyncio.get_running_loop().time()
        self._remote_at.clear()
        self._opened_until.clear()

    def forget(self) -> None:
        """Begin again with a board that lost its memory."""
        self._delays.clear()

    async def secure(self, link: AskingLink, door: int) -> None:
        """End a hold or a release."""
        async with self._controlling:
            await self._control(link, door, CONTROLLED, self._wiring[door].seconds)
            self._opened_until.pop(door, None)

    async def release(self, link: AskingLink, door: int, seconds: float | None) -> None:
        """Open a door for some seconds, or hold it open until it is secured."""
        async with self._controlling:
            if seconds is None:
                await self._control(link, door, NORMALLY_OPEN, self._wiring[door].seconds)
                return
            delay = min(255, max(1, math.ceil(seconds)))
            mode = self._modes.get(door, self._found.get(door))
            if mode is not None and self._delays.get(door) != delay:
                await self._control(link, door, mode, delay, is_said=door in self._modes)
            now = asyncio.get_running_loop().time()
            self._remote_at[door] = now
            await link.send("open-door", json_bytes({"door": door}))
            self._opened_until[door] = now + delay

    async def _control(
        self, link: AskingLink, door: int, mode: int, delay: int, *, is_said: bool = True
    ) -> None:
        if is_said:
            # Before it is sent: what gets lost on the way is put right by the next check.
            self._modes[door] = mode
        await link.send(
            "set-door-control", json_bytes({"door": door, "mode": mode, "delay": delay})
        )
        self._delays[door] = delay

    async def settle(self, link: AskingLink) -> None:
        """Give doors back their own delay once a longer release is over."""
        now = asyncio.get_running_loop().time()
        for door in [door for door, until in self._opened_until.items() if now >= until]:
            async with self._controlling:
                if now < self._opened_until.get(door, math.inf):
                    continue
                seconds = self._wiring[door].seconds
                mode = self._modes.get(door, self._found.get(door))
                if mode is not None and self._delays.get(door) != seconds:
                    await self._control(link, door, mode, seconds, is_said=door in self._modes)
                self._opened_until.pop(door, None)

    async def restore(self, link: AskingLink) -> None:
        """Put back what somebody else, or a lost memory, may have changed."""
        for door in self._wiring:
            await self._restore_one(link, door)

    async def _restore_one(self, link: AskingLink, door: int) -> None:
        """Put a door's control back to what was last said; unsaid, an open door stays open.

        After a start of ours nobody has said yet whether fire holds it open.
        """
        async with self._controlling:
            said = await ask(link, "get-door-control", {"door": door})
            mode, delay = whole(said, "mode", 0, 255), whole(said, "delay", 0, 255)
            wanted = self._modes.get(door)
            if wanted is None:
                wanted = mode if mode == NORMALLY_OPEN else CONTROLLED
            self._found[door] = wanted
            is_opened = door in self._opened_until
            seconds = self._delays.get(door, delay) if is_opened else self._wiring[door].seconds
            self._delays[door] = delay
            if (mode, delay) != (wanted, seconds):
                await self._control(link, door, wanted, seconds, is_said=door in self._modes)

    def was_ours(self, door: int) -> bool:
        """Say whether a remote opening that the board tells of now can be one of ours."""
        now = asyncio.get_running_loop().time()
        # What the last life of this edge did, it did not write down here.
        return now - max(self._began, self._remote_at.get(door, -math.inf)) < REMOTE_S
