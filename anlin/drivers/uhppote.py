"""UHPPOTE door boards of one to four doors, which decide by their own cards (docs/protocols).

The link speaks the packets (`anlin.edge.links.uhppote`); here is what they mean. The board's
event index is the truth about what happened, and what it reads back is the truth about whom it
admits. Kinds and reasons of events are numbers on the wire; the package names none of them, so
a number that is not in `_REASONS` is carried as it is.
"""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anlin.core.board import Row, Table
from anlin.core.device import (
    Acknowledge,
    AskLevels,
    Command,
    Contact,
    ContactLevel,
    Decided,
    Fault,
    FireInput,
    HoldTable,
    Online,
    Refused,
    Release,
    Report,
    Secure,
    TableState,
)
from anlin.core.entities import Device, Method
from anlin.core.schedule import Schedule
from anlin.drivers._table import YIELD_ROWS, TableKeeper
from anlin.drivers._uhppote_cards import (
    ALWAYS,
    FIRST_DAY,
    LAST_DAY,
    NEVER,
    Card,
    Times,
    cards_for,
    times_from,
    times_text,
)
from anlin.drivers.base import AskingLink, Emit, LinkError, driver

DOORS = range(1, 5)
MAX_PAYLOAD_BYTES = 4096
MAX_INDEX = 0xFFFFFFFF

DRIFT_S = 2.0
"""A board tells whole seconds; more than this is a clock that needs setting."""

LOST_CLOCK_S = 3600.0
"""A quartz is off by seconds a day. An hour is a board that has lost its memory."""

WINDOW = 256
"""Events read ahead of their acknowledgement; the rest waits on the board, where it is safe."""

RESAY_S = 30.0
"""An event that is not durable by then is said again, as any device of ours does."""

LEVELS_EVERY = 15
"""Polls from one telling of unchanged contacts to the next: half a minute."""

CHECK_EVERY = 5
"""Polls from one look at the number of cards and the doors' control to the next: ten seconds."""

REMOTE_S = 30.0
"""A remote opening that the board records so soon after one of ours is ours."""

PROFILES = range(2, 255)
"""The numbers of a board's time profiles; 0 is never and 1 is always."""

EMPTY_SLOT, DELETED_SLOT = 0, 0xFFFFFFFF
NORMALLY_OPEN, CONTROLLED = 1, 3
NO_EVENT, SWIPE, DOOR, ALARM, OVERWRITTEN = 0, 1, 2, 3, 0xFF

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
_STARTED = frozenset({28, 29})

_SETTINGS = {
    "serial",
    "address",
    "bind",
    "listen",
    "protocol",
    "doors",
    "capacity",
    "zone",
    "numbers",
    "media",
}
_DOOR_SETTINGS = {"portal", "entry", "exit", "seconds"}


class _Wrong(LinkError):
    """A message or answer that makes no sense, as good as none; the text is the rule."""


@dataclass(frozen=True, slots=True)
class _Wiring:
    """One door of the board in our words; `seconds` is for how long its own cards open it."""

    portal: str
    entry: str
    exit: str
    seconds: int


@dataclass(frozen=True, slots=True)
class _Status:
    index: int
    at: datetime | None
    is_open: tuple[bool, ...]
    is_fire: bool
    error: int
    drift_s: float | None


@dataclass(frozen=True, slots=True)
class _Happened:
    """One event of the board's memory."""

    index: int
    kind: int
    is_granted: bool
    door: int
    direction: int
    card: int
    at: datetime | None
    reason: int


@dataclass(slots=True)
class _Outstanding:
    """An event that the engine has yet to make durable."""

    report: Report | None
    said_at: float
    is_durable: bool


@driver("uhppote")
class UhppoteBoard:
    """One board."""

    LINK = "uhppote"
    TABLE = frozenset({Method.CARD, Method.SECURE_CARD})

    def __init__(self, device: Device) -> None:
        self.id = device.id
        unknown = set(device.settings) - _SETTINGS
        if unknown:
            raise ValueError(f"device {device.id}: setting {min(unknown)!r} is not known")
        self._serial = _number(device, device.settings, "serial", None, 1, MAX_INDEX)
        _address(device, "address", is_needed=True)
        _address(device, "bind", is_needed=False)
        _address(device, "listen", is_needed=False)
        _choice(device, "protocol", "udp", ("udp", "tcp"))
        numbers = _choice(device, "numbers", "decimal", ("decimal", "hex"))
        self._base = 10 if numbers == "decimal" else 16
        self._zone = _zone(device)
        capacity = _number(device, device.settings, "capacity", 40_000, 1, 1_000_000)
        self._doors = _doors(device)
        self._by_portal = {wiring.portal: n for n, wiring in self._doors.items()}
        self._cards = _Cards(self.id, capacity)
        self._keeper: TableKeeper[Card] = TableKeeper(self.id, self._cards)
        self._table: Table | None = None
        self._written: dict[str, tuple[Row, Card]] = {}
        self._schedules: Mapping[str, Schedule] = {}
        self._keys: dict[str, tuple[Method, str]] = {}
        """What the policy calls a card number, kept for cards that were just taken back."""
        self._credentials: dict[str, str] = {}
        self._modes: dict[int, int] = {}
        """How doors should be controlled, as far as somebody has said so or the board had it."""
        self._found: dict[int, int] = {}
        """How the board had doors controlled when nobody had said anything yet."""
        self._delays: dict[int, int] = {}
        self._controlling = asyncio.Lock()
        self._fresh()

    def _fresh(self) -> None:
        """Begin a connection: nothing is known of the board but how its doors should stand."""
        self._status: _Status | None = None
        self._is_online: bool | None = None
        self._is_armed = False
        self._seen: int | None = None
        self._next = 1
        self._outstanding: OrderedDict[int, _Outstanding] = OrderedDict()
        self._origins: dict[str, int] = {}
        self._register = 0
        self._levels: dict[str, bool] = {}
        self._is_fire = False
        self._error = 0
        self._polls = 0
        self._missed = 0
        self._checked_at = 0
        self._clock_set_at = -1
        self._asked_levels = False
        self._woken = asyncio.Event()
        self._table_came = asyncio.Event()
        if self._table is not None:
            self._table_came.set()
        self._remote_at: dict[int, float] = {}
        self._opened_until: dict[int, float] = {}
        self._started_at: float | None = None

    def serves(self) -> Mapping[str, frozenset[str]]:
        points = {w.entry for w in self._doors.values()} | {w.exit for w in self._doors.values()}
        return {"portals": frozenset(self._by_portal), "points": frozenset(points - {""})}

    # Running

    async def run(self, link: AskingLink, emit: Emit) -> None:
        """Poll, read events, keep the table, until cancelled or the link breaks."""
        self._fresh()
        self._started_at = asyncio.get_running_loop().time()
        self._cards.link = None
        self._cards.forget()
        self._keeper.forget()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(link, emit))
                group.create_task(self._tend(link, emit))
                group.create_task(self._translate())
                group.create_task(self._keeper.run(lambda state: emit(self._named(state))))
        except BaseExceptionGroup as broken:
            raise broken.exceptions[0] from None

    async def send(self, link: AskingLink, command: Command) -> bool:
        match command:
            case Release() if command.portal in self._by_portal:
                await self._release(link, self._by_portal[command.portal], command.seconds)
            case Secure() if command.portal in self._by_portal:
                door = self._by_portal[command.portal]
                async with self._controlling:
                    await self._control(link, door, CONTROLLED, self._doors[door].seconds)
                    self._opened_until.pop(door, None)
            case AskLevels() if command.device == self.id:
                self._asked_levels = True
                await link.send("get-status", b"{}")
            case HoldTable() if command.device == self.id:
                self._table = command.table
                still = {row.credential for row in command.table.rows}
                held = self._credentials.items()
                self._keeper.revoke(key for key, id_ in held if id_ not in still)
                self._table_came.set()
            case Acknowledge() if command.device == self.id and command.origin in self._origins:
                self._outstanding[self._origins.pop(command.origin)].is_durable = True
                self._woken.set()
            case _:
                return False
        return True

    async def _listen(self, link: AskingLink, emit: Emit) -> None:
        async for address, payload in link:
            try:
                if address == "status":
                    self._status = _status(_object(payload))
                    self._polls += 1
                    self._be_online(link, emit, True)
                    self._woken.set()
                elif address == "silent":
                    self._missed = _whole(_object(payload), "polls", 255)
                    self._be_online(link, emit, False)
                else:
                    raise _Wrong("the link of a board says status and silent")
            except _Wrong as error:
                emit(Refused(self.id, f"{address[:40]}: {error}", f"{len(payload)} bytes"))

    def _be_online(self, link: AskingLink, emit: Emit, is_online: bool) -> None:
        """Say at each poll whether the board is heard; do what a change asks for."""
        detail = "answers" if is_online else f"{self._missed} polls without an answer"
        emit(Online(self.id, is_online, detail))
        if is_online == self._is_online:
            return
        self._is_online = is_online
        # Nobody stands in line for a board that does not answer.
        self._cards.link = link if is_online else None
        if is_online:
            # Away is where memories get lost: look before believing.
            self._is_armed = False
            self._asked_levels = True
            self._keeper.forget()

    async def _tend(self, link: AskingLink, emit: Emit) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            status = self._status
            if status is None or not self._is_online:
                continue
            try:
                await self._attend(link, emit, status)
            except LinkError:
                # The next poll wakes us, or tells that the board is away.
                continue

    async def _attend(self, link: AskingLink, emit: Emit, status: _Status) -> None:
        self._look_for_loss(emit, status)
        if not self._is_armed:
            await self._arm(link, status)
        else:
            await self._set_clock(link, status)
        await self._read_events(link, emit, status)
        await self._advance(link)
        self._say_again(emit)
        if self._next > status.index or self._asked_levels:
            # In the order in which it happened: a level is newer than every event before it.
            self._tell_levels(emit, status)
        if self._polls >= self._checked_at + CHECK_EVERY:
            self._checked_at = self._polls
            await self._check(link)
        await self._settle_delays(link)

    # Memory

    def _look_for_loss(self, emit: Emit, status: _Status) -> None:
        """Tell a board that has forgotten everything from one that was only away."""
        rule = ""
        if self._seen is not None and status.index < self._seen:
            rule = f"its events went back from {self._seen} to {status.index}"
        elif (
            self._is_armed
            and self._polls > self._clock_set_at + 1
            and (status.drift_s is None or abs(status.drift_s) > LOST_CLOCK_S)
        ):
            rule = "its clock is lost"
        self._seen = status.index
        if not rule:
            return
        self._forget()
        _emit_event(emit, Fault(self.id, f"the board lost its memory: {rule}", True))

    def _forget(self) -> None:
        """Begin again with this board. What was read twice has the same origin and counts once."""
        self._is_armed = False
        self._outstanding.clear()
        self._origins.clear()
        self._delays.clear()
        self._cards.forget()
        self._keeper.forget()

    async def _arm(self, link: AskingLink, status: _Status) -> None:
        """Give a board that is new, was away or forgot what it needs besides its cards."""
        await self._set_clock(link, status)
        await _ask(link, "record-special-events", {"enable": True})
        await _ask(link, "set-listener")
        for door in self._doors:
            await self._restore(link, door)
        said = await _ask(link, "get-event-index")
        register = _whole(said, "index", MAX_INDEX)
        if register < self._register:
            # It was away, and came back without what we had noted on it.
            self._outstanding.clear()
            self._origins.clear()
        self._register = register
        if self._register > status.index:
            # The index began again and the board's note of ours did not.
            await _ask(link, "set-event-index", {"index": 0})
            self._register = 0
        if not self._outstanding:
            self._next = self._register + 1
        self._is_armed = True

    async def _set_clock(self, link: AskingLink, status: _Status) -> None:
        # Said before the last setting, a drift is not news.
        is_news = self._polls > self._clock_set_at + 1
        if is_news and (status.drift_s is None or abs(status.drift_s) > DRIFT_S):
            await _ask(link, "set-time")
            self._clock_set_at = self._polls
            if status.drift_s is None or abs(status.drift_s) > LOST_CLOCK_S:
                # Cards may have gone with the clock since they were read.
                self._cards.forget()
                self._keeper.forget()

    async def _restore(self, link: AskingLink, door: int) -> None:
        """Put a door's control back to what was last said; unsaid, an open door stays open.

        After a start of ours nobody has said yet whether fire holds it open.
        """
        async with self._controlling:
            said = await _ask(link, "get-door-control", {"door": door})
            mode, delay = _whole(said, "mode", 255), _whole(said, "delay", 255)
            wanted = self._modes.get(door)
            if wanted is None:
                wanted = mode if mode == NORMALLY_OPEN else CONTROLLED
            self._found[door] = wanted
            is_opened = door in self._opened_until
            seconds = self._delays.get(door, delay) if is_opened else self._doors[door].seconds
            self._delays[door] = delay
            if (mode, delay) != (wanted, seconds):
                await self._control(link, door, wanted, seconds, is_said=door in self._modes)

    async def _check(self, link: AskingLink) -> None:
        """Look for what somebody else, or a lost memory, may have changed."""
        held = self._keeper.held
        if self._keeper.is_proven and held is not None:
            said = await _ask(link, "get-cards")
            is_so = _whole(said, "cards", MAX_INDEX) == len(held)
            is_so = is_so and await self._cards.are_profiles_kept()
            if self._keeper.is_proven and not is_so:
                self._cards.forget()
                self._keeper.forget()
        for door in self._doors:
            await self._restore(link, door)

    # Doors

    async def _release(self, link: AskingLink, door: int, seconds: float | None) -> None:
        async with self._controlling:
            if seconds is None:
                await self._control(link, door, NORMALLY_OPEN, self._doors[door].seconds)
                return
            delay = min(255, max(1, math.ceil(seconds)))
            mode = self._modes.get(door, self._found.get(door))
            if mode is not None and self._delays.get(door) != delay:
                await self._control(link, door, mode, delay, is_said=door in self._modes)
            now = asyncio.get_running_loop().time()
            self._remote_at[door] = now
            await link.send("open-door", _json({"door": door}))
            self._opened_until[door] = now + delay

    async def _control(
        self, link: AskingLink, door: int, mode: int, delay: int, *, is_said: bool = True
    ) -> None:
        if is_said:
            # Before it is sent: what gets lost on the way is put right by the next check.
            self._modes[door] = mode
        await link.send("set-door-control", _json({"door": door, "mode": mode, "delay": delay}))
        self._delays[door] = delay

    async def _settle_delays(self, link: AskingLink) -> None:
        """Give doors back their own delay once a longer release is over."""
        now = asyncio.get_running_loop().time()
        for door in [door for door, until in self._opened_until.items() if now >= until]:
            async with self._controlling:
                if now < self._opened_until.get(door, math.inf):
                    continue
                seconds = self._doors[door].seconds
                mode = self._modes.get(door, self._found.get(door))
                if mode is not None and self._delays.get(door) != seconds:
                    await self._control(link, door, mode, seconds, is_said=door in self._modes)
                self._opened_until.pop(door, None)

    def _tell_levels(self, emit: Emit, status: _Status) -> None:
        is_due = self._asked_levels or self._polls % LEVELS_EVERY == 0
        self._asked_levels = False
        for door, wiring in self._doors.items():
            is_open = status.is_open[door - 1]
            if is_due or self._levels.get(wiring.portal) != is_open:
                self._levels[wiring.portal] = is_open
                emit(Contact(wiring.portal, _level(is_open)))
        if status.is_fire != self._is_fire:
            self._is_fire = status.is_fire
            for wiring in self._doors.values():
                emit(FireInput(wiring.portal, status.is_fire))
        if status.error != self._error:
            if self._error:
                emit(Fault(self.id, f"controller error {self._error}", False))
            if status.error:
                emit(Fault(self.id, f"controller error {status.error}", True))
            self._error = status.error

    # Events

    async def _read_events(self, link: AskingLink, emit: Emit, status: _Status) -> None:
        while self._next <= status.index and len(self._outstanding) < WINDOW:
            happened = await _event(link, self._next)
            if happened.kind == NO_EVENT:
                return
            if happened.kind == OVERWRITTEN:
                if not await self._skip_lost(link, emit, status.index):
                    return
                continue
            report = self._tell(happened, status)
            if report is not None:
                _emit_event(emit, report)
            self._next = happened.index + 1

    async def _skip_lost(self, link: AskingLink, emit: Emit, last: int) -> bool:
        """Find the oldest event that is still there, and tell which are gone; False: none is."""
        lost, there = self._next, last
        while there - lost > 1:
            middle = (lost + there) // 2
            happened = await _event(link, middle)
            if happened.kind == OVERWRITTEN:
                lost = middle
            else:
                there = middle
        oldest = await _event(link, there)
        if oldest.kind in (NO_EVENT, OVERWRITTEN) or there == self._next:
            # It went on while we looked; the next status knows more.
            return False
        origin = f"{self.id}/{self._serial}-lost-{self._next}-{there - 1}-{_mark(oldest)}"
        rule = f"events {self._next} to {there - 1} were overwritten before they were read"
        fault = Fault(self.id, rule, True, origin=origin)
        self._await(there - 1, origin, fault)
        _emit_event(emit, fault)
        self._next = there
        return True

    def _tell(self, happened: _Happened, status: _Status) -> Report | None:
        """Say an event in our words; its origin is unique although the index may begin again.

        The number after the index is a checksum over the whole event with its time, so that the
        same event read twice is one, and event 7 of a later memory is another.
        """
        origin = f"{self.id}/{self._serial}-{happened.index}-{_mark(happened)}"
        report = self._meaning(happened, status, origin)
        self._await(happened.index, origin, report)
        if happened.reason in _STARTED:
            # Its settings may be gone even where its events are not.
            self._is_armed = False
            self._keeper.forget()
        return report

    def _meaning(self, happened: _Happened, status: _Status, origin: str) -> Report | None:
        word = _REASONS.get(happened.reason, f"reason {happened.reason}")
        wiring = self._doors.get(happened.door)
        age_s = _age_s(happened, status)
        detail: dict[str, str | int | float] = {"board_event": happened.index}
        if happened.at is not None:
            detail["board_time"] = happened.at.isoformat()
        if happened.reason in _STARTED or (wiring is None and happened.kind == ALARM):
            return Fault(self.id, word, True, origin=origin)
        if wiring is None:
            rule = f"event {happened.index}: door {happened.door} is not in the settings"
            return Refused(self.id, rule, word, origin)
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
            is_open = happened.reason == _OPENED
            self._levels[wiring.portal] = is_open
            return Contact(wiring.portal, _level(is_open), origin)
        if happened.reason == _REMOTE:
            if self._was_ours(happened.door):
                return None
            rule = "opened remotely, and not by this edge"
            return Fault(self.id, rule, True, f"door {happened.door}", origin)
        return Fault(self.id, word, True, f"door {happened.door}", origin)

    def _was_ours(self, door: int) -> bool:
        now = asyncio.get_running_loop().time()
        # What the last life of this edge did, it did not write down here.
        began = self._started_at if self._started_at is not None else now
        return now - max(began, self._remote_at.get(door, -math.inf)) < REMOTE_S

    def _key(self, card: int) -> tuple[Method, str]:
        """Give a card's method and key as the policy has them; of a stranger's, the number."""
        known = self._keys.get(str(card))
        if known is not None:
            return known
        return Method.CARD, str(card) if self._base == 10 else f"{card:08X}"

    def _await(self, index: int, origin: str, report: Report | None) -> None:
        now = asyncio.get_running_loop().time()
        self._outstanding[index] = _Outstanding(report, now, report is None)
        if report is not None:
            self._origins[origin] = index

    def _say_again(self, emit: Emit) -> None:
        now = asyncio.get_running_loop().time()
        for waiting in self._outstanding.values():
            if waiting.report is None or now - waiting.said_at < RESAY_S:
                break
            waiting.said_at = now
            if not waiting.is_durable:
                _emit_event(emit, waiting.report)

    async def _advance(self, link: AskingLink) -> None:
        """Note on the board how far its events are durable, without a gap."""
        reached = self._register
        for index, waiting in self._outstanding.items():
            if not waiting.is_durable:
                break
            reached = index
        if reached == self._register:
            return
        await _ask(link, "set-event-index", {"index": reached})
        self._register = reached
        while self._outstanding and next(iter(self._outstanding)) <= reached:
            self._outstanding.popitem(last=False)

    # Cards

    async def _translate(self) -> None:
        """Write each new table as cards, a piece at a time: an edge has doors to open meanwhile."""
        while True:
            await self._table_came.wait()
            self._table_came.clear()
            table = self._table
            if table is None:
                continue
            entries = {door: wiring.entry for door, wiring in self._doors.items()}
            cards: list[tuple[Row, Card]] = []
            refused: list[tuple[str, str]] = []
            known = self._written if table.schedules == self._schedules else {}
            news = cards_for(table, entries, self._zone, self._base, known)
            for number, (row, card) in enumerate(news, start=1):
                if isinstance(card, Card):
                    cards.append((row, card))
                else:
                    refused.append((row.credential, card))
                if number % YIELD_ROWS == 0:
                    await asyncio.sleep(0)
            # What somebody else left on the board is found by number, whoever's it was.
            self._written = {row.credential: (row, card) for row, card in cards}
            self._schedules = table.schedules
            keys = {card.key: (row.method, row.key) for row, card in cards}
            self._keys.update(keys)
            for gone in self._keys.keys() - keys.keys():
                if len(self._keys) > 2 * self._cards.capacity:
                    del self._keys[gone]
            self._credentials = {card.key: row.credential for row, card in cards}
            self._keeper.want(table.revision, (card for _, card in cards), refused)

    def _named(self, state: TableState) -> TableState:
        """Name refused rows by their credentials; the keeper knows them by card number."""
        names = self._credentials
        return replace(
            state, refused=tuple((names.get(key, key), rule) for key, rule in state.refused)
        )


class _Cards:
    """The cards and time profiles on the board, as `TableKeeper` wants them.

    Profiles are found by what is in them. One is written over only when no card that the board
    may hold refers to it, so that no card ever means other times than it should.
    """

    reads_one = True

    def __init__(self, device: str, capacity: int) -> None:
        self._device = device
        self._capacity = capacity
        self.link: AskingLink | None = None
        self._profiles: dict[int, tuple[Times, int] | None] = {}
        """What profiles were read back as, and which follows; None where the board has none."""
        self._used: dict[str, set[int]] = {}
        """Which profiles a card on the board may refer to, by card number."""

    @property
    def capacity(self) -> int:
        return self._capacity

    def forget(self) -> None:
        """Read profiles again before believing in them."""
        self._profiles.clear()

    async def read_all(self) -> Mapping[str, Card]:
        """Read every card by its place, over deleted ones, to the first place never used."""
        self._profiles.clear()
        used: dict[str, set[int]] = {}
        held: dict[str, Card] = {}
        count = _whole(await self._ask("get-cards"), "cards", MAX_INDEX)
        index = 0
        while True:
            index += 1
            said = await self._ask("get-card-by-index", {"index": index})
            number = _whole(said, "card", MAX_INDEX)
            if number == EMPTY_SLOT:
                break
            if number == DELETED_SLOT:
                continue
            card = await self._card(said)
            held[card.key] = card
            used[card.key] = set(_door_numbers(said))
        if len(held) < count and count == _whole(await self._ask("get-cards"), "cards", MAX_INDEX):
            raise LinkError(f"board {self._device}: says {count} cards and shows {len(held)}")
        self._used = used
        return held

    async def read(self, key: str) -> Card | None:
        said = await self._ask("get-card", {"card": int(key)})
        number = _whole(said, "card", MAX_INDEX)
        if number in (EMPTY_SLOT, DELETED_SLOT):
            self._used.pop(key, None)
            return None
        if str(number) != key:
            raise LinkError(f"board {self._device}: asked for one card, shown another")
        card = await self._card(said)
        self._used[key] = set(_door_numbers(said))
        return card

    async def put(self, row: Card) -> str:
        numbers: list[int] = []
        used = self._used.setdefault(row.key, set())
        for text in row.doors:
            number = 1 if text == ALWAYS else 0
            if text not in (ALWAYS, NEVER):
                found = await self._profile_for(text, set(numbers))
                if found is None:
                    return "the board has no time profile left for its times"
                number = found
            numbers.append(number)
            used.add(number)
        said = await self._ask(
            "put-card",
            {
                "card": int(row.key),
                "start": row.start.isoformat(),
                "end": row.end.isoformat(),
                "doors": numbers,
            },
        )
        return "" if said.get("ok") is True else "the board would not take the card"

    async def delete(self, key: str) -> None:
        await self._ask("delete-card", {"card": int(key)})

    async def are_profiles_kept(self) -> bool:
        """Read the profiles that cards refer to again; say whether they are what they were."""
        for number, before in list(self._profiles.items()):
            if before is None:
                continue
            said = await self._ask("get-time-profile", {"id": number})
            if self._profiles.get(number) == before and _profile(said, number) != before:
                return False
        return True

    async def _card(self, said: Mapping[str, Any]) -> Card:
        texts = [await self._text(number) for number in _door_numbers(said)]
        return Card(
            str(_whole(said, "card", MAX_INDEX)),
            _date(said, "start"),
            _date(said, "end"),
            (texts[0], texts[1], texts[2], texts[3]),
            said.get("extras") is True,
        )

    async def _text(self, number: int) -> str:
        """Say when a door's number lets a card in, by what its profiles hold now."""
        if number == 0:
            return NEVER
        if number == 1:
            return ALWAYS
        chain: list[Times] = []
        seen: set[int] = set()
        at = number
        while at:
            profile = await self._profile(at) if at not in seen and at in PROFILES else None
            if profile is None:
                return f"? profile {number}"
            seen.add(at)
            times, at = profile
            chain.append(times)
        return times_text(chain)

    async def _profile(self, number: int) -> tuple[Times, int] | None:
        if number not in self._profiles:
            said = await self._ask("get-time-profile", {"id": number})
            self._profiles[number] = _profile(said, number)
        return self._profiles[number]

    async def _profile_for(self, text: str, also_used: set[int]) -> int | None:
        """Give the number of a profile with these times, writing it where there is none."""
        for number in list(self._profiles):
            if await self._text(number) == text:
                return number
        busy = set(also_used)
        for first in set().union(*self._used.values()):
            busy |= await self._reached(first)
        chain = times_from(text)
        free = [number for number in PROFILES if number not in busy][: len(chain)]
        if len(free) < len(chain):
            return None
        linked = 0
        # From the last to the first: what is linked to is there before the link.
        for number, times in zip(reversed(free), reversed(chain), strict=True):
            said = await self._ask("set-time-profile", _profile_data(number, times, linked))
            self._profiles.pop(number, None)
            if said.get("ok") is not True or await self._profile(number) != (times, linked):
                self._profiles.pop(number, None)
                raise LinkError(f"board {self._device}: time profile {number} is not as written")
            linked = number
        return linked

    async def _reached(self, first: int) -> set[int]:
        """Follow a profile's links."""
        found: set[int] = set()
        at = first
        while at in PROFILES and at not in found:
            found.add(at)
            profile = await self._profile(at)
            at = profile[1] if profile is not None else 0
        return found

    async def _ask(self, name: str, data: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        if self.link is None:
            raise LinkError(f"board {self._device}: not connected")
        return await _ask(self.link, name, data)


# Messages


async def _ask(
    link: AskingLink, name: str, data: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Ask the board."""
    return _object(await link.ask(name, _json(data or {})))


async def _event(link: AskingLink, index: int) -> _Happened:
    said = await _ask(link, "get-event", {"index": index})
    happened = _Happened(
        _whole(said, "index", MAX_INDEX),
        _whole(said, "kind", 255),
        said.get("granted") is True,
        _whole(said, "door", 255),
        _whole(said, "direction", 255),
        _whole(said, "card", MAX_INDEX),
        _moment(said, "time"),
        _whole(said, "reason", 255),
    )
    if happened.kind not in (NO_EVENT, OVERWRITTEN) and happened.index != index:
        raise _Wrong(f"get-event: asked for {index}, shown {happened.index}")
    return happened


def _mark(happened: _Happened) -> str:
    return f"{zlib.crc32(repr(happened).encode()):08x}"


def _age_s(happened: _Happened, status: _Status) -> float:
    """Say how long ago it was, both times by the board's clock."""
    if happened.at is None or status.at is None:
        return 0.0
    return max(0.0, (status.at - happened.at).total_seconds())


def _emit_event(emit: Emit, report: Report) -> None:
    """Tell what happened; a fault that is an event is over when it is told."""
    emit(report)
    if isinstance(report, Fault):
        emit(replace(report, is_active=False, origin=None))


def _level(is_open: bool) -> ContactLevel:
    return ContactLevel.OPEN if is_open else ContactLevel.CLOSED


def _status(data: Mapping[str, Any]) -> _Status:
    is_open = data.get("open")
    if not isinstance(is_open, list) or [type(item) for item in is_open] != [bool] * 4:
        raise _Wrong("open must be four times true or false")
    drift = data.get("drift_s")
    if drift is not None and (isinstance(drift, bool) or not isinstance(drift, int | float)):
        raise _Wrong("drift_s must be a number or null")
    return _Status(
        _whole(data, "index", MAX_INDEX),
        _moment(data, "time"),
        tuple(is_open),
        data.get("fire") is True,
        _whole(data, "error", 255),
        drift,
    )


def _profile(said: Mapping[str, Any], number: int) -> tuple[Times, int] | None:
    """Read a profile; None where it is another's, or of days that are not ours."""
    if said.get("id") != number:
        return None
    if (said.get("start"), said.get("end")) != (FIRST_DAY.isoformat(), LAST_DAY.isoformat()):
        return None
    on, segments = said.get("days"), said.get("segments")
    if not isinstance(on, list) or not isinstance(segments, list):
        return None
    kept = tuple(str(segment) for segment in segments if segment != "0000-0000")
    days = tuple(_whole({"day": day}, "day", 7) for day in on)
    return Times(days, kept), _whole(said, "linked", 255)


def _profile_data(number: int, times: Times, linked: int) -> dict[str, Any]:
    return {
        "id": number,
        "start": FIRST_DAY.isoformat(),
        "end": LAST_DAY.isoformat(),
        "days": list(times.days),
        "segments": list(times.segments),
        "linked": linked,
    }


def _door_numbers(said: Mapping[str, Any]) -> list[int]:
    doors = said.get("doors")
    if not isinstance(doors, list) or len(doors) != len(DOORS):
        raise _Wrong("a card without four doors")
    return [_whole({"door": number}, "door", 255) for number in doors]


def _date(said: Mapping[str, Any], name: str) -> date:
    """Read a day; one that is none can't be ours, so it is the first there is."""
    try:
        return date.fromisoformat(str(said.get(name)))
    except ValueError:
        return date.min


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    value = data.get(name)
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _Wrong(f"{name} must be a time or null") from None


def _whole(data: Mapping[str, Any], name: str, limit: int) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise _Wrong(f"{name} must be a whole number from 0 to {limit}")
    return value


def _object(payload: bytes) -> Mapping[str, Any]:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _Wrong(f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise _Wrong("not JSON") from None
    if not isinstance(data, dict):
        raise _Wrong("not a JSON object")
    return data


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


# Settings


def _doors(device: Device) -> dict[int, _Wiring]:
    value = device.settings.get("doors")
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"device {device.id}: setting 'doors' must map 1 to 4 to their wiring")
    doors: dict[int, _Wiring] = {}
    for name, wiring in value.items():
        where = f"device {device.id}: setting 'doors' {name!r}"
        if name not in {"1", "2", "3", "4"}:
            raise ValueError(f"{where} is not one of 1 to 4")
        if not isinstance(wiring, Mapping) or set(wiring) - _DOOR_SETTINGS:
            raise ValueError(f"{where} takes {', '.join(sorted(_DOOR_SETTINGS))}")
        texts = [wiring.get(key) or "" for key in ("portal", "entry", "exit")]
        if not all(isinstance(text, str) for text in texts) or not texts[0] or not texts[1]:
            raise ValueError(f"{where} needs the ids of its portal and of its entry point")
        seconds = _number(device, wiring, "seconds", 5, 1, 255)
        doors[int(name)] = _Wiring(texts[0], texts[1], texts[2], seconds)
    if len({wiring.portal for wiring in doors.values()}) < len(doors):
        raise ValueError(f"device {device.id}: setting 'doors' has one portal at two doors")
    return doors


def _number(
    device: Device, settings: Mapping[str, Any], name: str, default: int | None, low: int, high: int
) -> int:
    value = settings.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(
            f"device {device.id}: setting {name!r} must be a whole number from {low} to {high}"
        )
    return value


def _address(device: Device, name: str, *, is_needed: bool) -> None:
    value = device.settings.get(name)
    if value is None and not is_needed:
        return
    host, _, port = value.partition(":") if isinstance(value, str) else ("", "", "")
    parts = host.split(".")
    is_host = len(parts) == 4 and all(
        part.isascii() and part.isdigit() and int(part) < 256 for part in parts
    )
    is_port = not port or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
    if not is_host or not is_port or (name == "bind" and port) or (name == "listen" and not port):
        shape = {"bind": "IPv4 address", "listen": "IPv4 address:port"}.get(
            name, "IPv4 address, with :port unless that is 60000"
        )
        raise ValueError(f"device {device.id}: setting {name!r} must be an {shape}")


def _choice(device: Device, name: str, default: str, among: tuple[str, ...]) -> str:
    value = device.settings.get(name, default)
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"device {device.id}: setting {name!r} must be {' or '.join(among)}")
    return value


def _zone(device: Device) -> ZoneInfo:
    value = device.settings.get("zone", "Asia/Shanghai")
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(f"device {device.id}: setting 'zone' is no time zone's name") from None
