"""The event memory of a UHPPOTE board: read in order, told, and noted there once durable.

Kinds and reasons of events are numbers on the wire; the package names none of them, so a number
that is not in `_REASONS` is carried as it is.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from anlin.core.device import (
    Contact,
    ContactLevel,
    Decided,
    Fault,
    Refused,
    Report,
)
from anlin.core.entities import Method
from anlin.drivers._checks import whole
from anlin.drivers._uhppote_messages import (
    ALARM,
    MAX_INDEX,
    NO_EVENT,
    OVERWRITTEN,
    SWIPE,
    Happened,
    Status,
    ask,
    ask_event,
)
from anlin.drivers._uhppote_settings import Wiring
from anlin.drivers.base import AskingLink, Emit

WINDOW = 256
"""Events read ahead of their acknowledgement; the rest waits on the board, where it is safe."""

RESAY_S = 30.0
"""An event that is not durable by then is said again, as any device of ours does."""

_REASONS: Mapping[int, str] = {
    1: "swipe",
    5: "swipe denied",
    6: "no access rights",
    7: "wrong password",
    8: "anti-passback",
    9: "more cards needed",
    10: "first card needed",
    11: "door is normally closed",
    12: "interlock",
    13: "not in allowed time period",
    15: "invalid time zone",
    18: "card not valid",
    20: "exit button",
    23: "door opened",
    24: "door closed",
    28: "controller power on",
    29: "controller reset",
    37: "open too long",
    38: "forced open",
    39: "fire",
    40: "forced closed",
    41: "theft prevention",
    42: "24x7 zone",
    43: "emergency",
    44: "remote open",
}
_BUTTON, _OPENED, _CLOSED, _REMOTE = 20, 23, 24, 44
STARTED = frozenset({28, 29})
"""The board began anew. Its settings may be gone even where its events are not."""


@dataclass(slots=True)
class _Outstanding:
    """An event that the engine has yet to make durable."""

    report: Report | None
    said_at: float
    is_durable: bool


class Events:
    """One connection's reading of them.

    `key` names a card's method and key as the policy has them; `was_ours` knows who opened a
    door remotely; `heard` learns of each event before it is told.
    """

    def __init__(
        self,
        device: str,
        serial: int,
        wiring: Mapping[int, Wiring],
        key: Callable[[int], tuple[Method, str]],
        was_ours: Callable[[int], bool],
        heard: Callable[[Happened, Report | None], None],
    ) -> None:
        self._device = device
        self._serial = serial
        self._wiring = wiring
        self._key = key
        self._was_ours = was_ours
        self._heard = heard
        self._next = 1
        self._outstanding: OrderedDict[int, _Outstanding] = OrderedDict()
        self._origins: dict[str, int] = {}
        self._register = 0

    def is_read_to(self, last: int) -> bool:
        """Whether every event up to this index was read."""
        return self._next > last

    def forget(self) -> None:
        """Begin again. What was read twice has the same origin and counts once."""
        self._outstanding.clear()
        self._origins.clear()

    async def resume(self, link: AskingLink, last: int) -> None:
        """Find on the board how far its events are durable, and go on from there."""
        said = await ask(link, "get-event-index")
        register = whole(said, "index", 0, MAX_INDEX)
        if register < self._register:
            # It was away, and came back without what we had noted on it.
            self.forget()
        self._register = register
        if self._register > last:
            # The index began again and the board's note of ours did not.
            await ask(link, "set-event-index", {"index": 0})
            self._register = 0
        if not self._outstanding:
            self._next = self._register + 1

    def acknowledge(self, origin: str) -> bool:
        """Take note that an event is durable; False where it is none of these."""
        index = self._origins.pop(origin, None)
        if index is None:
            return False
        self._outstanding[index].is_durable = True
        return True

    async def read(self, link: AskingLink, emit: Emit, status: Status) -> None:
        """Read and tell what happened, as far ahead of the engine as `WINDOW` allows."""
        while self._next <= status.index and len(self._outstanding) < WINDOW:
            happened = await ask_event(link, self._next)
            if happened.kind == NO_EVENT:
                return
            if happened.kind == OVERWRITTEN:
                if not await self._skip_lost(link, emit, status.index):
                    return
                continue
            report = self._tell(happened, status)
            if report is not None:
                emit_event(emit, report)
            self._next = happened.index + 1

    async def _skip_lost(self, link: AskingLink, emit: Emit, last: int) -> bool:
        """Find the oldest event that is still there, and tell which are gone; False: none is."""
        lost, there = self._next, last
        while there - lost > 1:
            middle = (lost + there) // 2
            happened = await ask_event(link, middle)
            if happened.kind == OVERWRITTEN:
                lost = middle
            else:
                there = middle
        oldest = await ask_event(link, there)
        if oldest.kind in (NO_EVENT, OVERWRITTEN) or there == self._next:
            # It went on while we looked; the next status knows more.
            return False
        origin = f"{self._device}/{self._serial}-lost-{self._next}-{there - 1}-{_mark(oldest)}"
        rule = f"events {self._next} to {there - 1} were overwritten before they were read"
        fault = Fault(self._device, rule, True, origin=origin)
        self._await(there - 1, origin, fault)
        emit_event(emit, fault)
        self._next = there
        return True

    def _tell(self, happened: Happened, status: Status) -> Report | None:
        """Say an event in our words; its origin is unique although the index may begin again.

        The number after the index is a checksum over the whole event with its time, so that the
        same event read twice is one, and event 7 of a later memory is another.
        """
        origin = f"{self._device}/{self._serial}-{happened.index}-{_mark(happened)}"
        report = self._meaning(happened, status, origin)
        self._await(happened.index, origin, report)
        self._heard(happened, report)
        return report

    def _meaning(self, happened: Happened, status: Status, origin: str) -> Report | None:
        word = _REASONS.get(happened.reason, f"reason {happened.reason}")
        wiring = self._wiring.get(happened.door)
        age_s = _age_s(happened, status)
        detail: dict[str, str | int | float] = {"board_event": happened.index}
        if happened.at is not None:
            detail["board_time"] = happened.at.isoformat()
        if happened.reason in STARTED or (wiring is None and happened.kind == ALARM):
            return Fault(self._device, word, True, origin=origin)
        if wiring is None:
            rule = f"event {happened.index}: door {happened.door} is not in the settings"
            return Refused(self._device, rule, word, origin)
        if happened.kind == SWIPE:
            is_exit = happened.direction == 2 and wiring.exit
            point = wiring.exit if is_exit else wiring.entry
            method, key = self._key(happened.card)
            return Decided(
                point,
                method,
                key,
                happened.is_granted,
                word,
                origin,
                age_s,
                detail=detail,
            )
        if happened.reason == _BUTTON:
            point = wiring.exit or wiring.entry
            value = str(happened.door)
            return Decided(
                point, Method.EXIT_BUTTON, value, True, word, origin, age_s, detail=detail
            )
        if happened.reason in (_OPENED, _CLOSED):
            level = ContactLevel.OPEN if happened.reason == _OPENED else ContactLevel.CLOSED
            return Contact(wiring.portal, level, origin)
        if happened.reason == _REMOTE:
            if self._was_ours(happened.door):
                return None
            rule = "opened remotely, and not by this edge"
            return Fault(self._device, rule, True, f"door {happened.door}", origin)
        return Fault(self._device, word, True, f"door {happened.door}", origin)

    def _await(self, index: int, origin: str, report: Report | None) -> None:
        now = asyncio.get_running_loop().time()
        self._outstanding[index] = _Outstanding(report, now, report is None)
        if report is not None:
            self._origins[origin] = index

    def say_again(self, emit: Emit) -> None:
        """Tell once more what was told and is not durable."""
        now = asyncio.get_running_loop().time()
        for waiting in self._outstanding.values():
            if waiting.report is None or now - waiting.said_at < RESAY_S:
                break
            waiting.said_at = now
            if not waiting.is_durable:
                emit_event(emit, waiting.report)

    async def advance(self, link: AskingLink) -> None:
        """Note on the board how far its events are durable, without a gap."""
        reached = self._register
        for index, waiting in self._outstanding.items():
            if not waiting.is_durable:
                break
            reached = index
        if reached == self._register:
            return
        await ask(link, "set-event-index", {"index": reached})
        self._register = reached
        while self._outstanding and next(iter(self._outstanding)) <= reached:
            self._outstanding.popitem(last=False)


def _mark(happened: Happened) -> str:
    return f"{zlib.crc32(repr(happened).encode()):08x}"


def _age_s(happened: Happened, status: Status) -> float:
    """Say how long ago it was, both times by the board's clock."""
    if happened.at is None or status.at is None:
        return 0.0
    return max(0.0, (status.at - happened.at).total_seconds())


def emit_event(emit: Emit, report: Report) -> None:
    """Tell what happened; a fault that is an event is over when it is told."""
    emit(report)
    if isinstance(report, Fault):
        emit(replace(report, is_active=False, origin=None))
