"""UHPPOTE door boards of one to four doors, which decide by their own cards (docs/protocols).

The link speaks the packets (`anlin.edge.links.uhppote`); here is what they mean. The board's
event index is the truth about what happened, and what it reads back is the truth about whom it
admits. Here all of it is tended, poll by poll; events (`_uhppote_events`), doors
(`_uhppote_doors`) and cards (`_uhppote_store`) each know how.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from anlin.core.board import Row, Table
from anlin.core.device import (
    Acknowledge,
    AskLevels,
    Command,
    Contact,
    ContactLevel,
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
from anlin.drivers._checks import Wrong, whole
from anlin.drivers._table import YIELD_ROWS, TableKeeper
from anlin.drivers._uhppote_cards import Card, cards_for
from anlin.drivers._uhppote_doors import Doors
from anlin.drivers._uhppote_events import STARTED, Events, emit_event
from anlin.drivers._uhppote_messages import (
    MAX_INDEX,
    Happened,
    Status,
    ask,
    read_status,
    said,
)
from anlin.drivers._uhppote_settings import board_settings
from anlin.drivers._uhppote_store import CardStore
from anlin.drivers.base import AskingLink, Emit, LinkError, driver

DRIFT_S = 2.0
"""A board tells whole seconds; more than this is a clock that needs setting."""

LOST_CLOCK_S = 3600.0
"""A quartz is off by seconds a day. An hour is a board that has lost its memory."""

LEVELS_EVERY = 15
"""Polls from one telling of unchanged contacts to the next: half a minute."""

CHECK_EVERY = 5
"""Polls from one look at the number of cards and the doors' control to the next: ten seconds."""


@driver("uhppote")
class UhppoteBoard:
    """One board."""

    LINK = "uhppote"
    TABLE = frozenset({Method.CARD, Method.SECURE_CARD})

    def __init__(self, device: Device) -> None:
        self.id = device.id
        self._settings = board_settings(device)
        self._by_portal = {wiring.portal: n for n, wiring in self._settings.doors.items()}
        self._doors = Doors(self._settings.doors)
        self._cards = CardStore(self.id, self._settings.capacity)
        self._keeper: TableKeeper[Card] = TableKeeper(self.id, self._cards)
        self._table: Table | None = None
        self._written: dict[str, tuple[Row, Card]] = {}
        self._schedules: Mapping[str, Schedule] = {}
        self._keys: dict[str, tuple[Method, str]] = {}
        """What the policy calls a card number, kept for cards that were just taken back."""
        self._credentials: dict[str, str] = {}
        self._fresh()

    def _fresh(self) -> None:
        """Begin a connection: nothing is known of the board but how its doors should stand."""
        self._status: Status | None = None
        self._is_online: bool | None = None
        self._is_armed = False
        self._seen: int | None = None
        self._events = Events(
            self.id,
            self._settings.serial,
            self._settings.doors,
            self._key,
            self._doors.was_ours,
            self._heard,
        )
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

    def serves(self) -> Mapping[str, frozenset[str]]:
        doors = self._settings.doors.values()
        points = {wiring.entry for wiring in doors} | {wiring.exit for wiring in doors}
        return {"portals": frozenset(self._by_portal), "points": frozenset(points - {""})}

    # Running

    async def run(self, link: AskingLink, emit: Emit) -> None:
        """Poll, read events, keep the table, until cancelled or the link breaks."""
        self._fresh()
        self._doors.begin()
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
                await self._doors.release(link, self._by_portal[command.portal], command.seconds)
            case Secure() if command.portal in self._by_portal:
                await self._doors.secure(link, self._by_portal[command.portal])
            case AskLevels() if command.device == self.id:
                self._asked_levels = True
                await link.send("get-status", b"{}")
            case HoldTable() if command.device == self.id:
                self._table = command.table
                still = {row.credential for row in command.table.rows}
                held = self._credentials.items()
                self._keeper.revoke(key for key, id_ in held if id_ not in still)
                self._table_came.set()
            case Acknowledge() if command.device == self.id:
                if not self._events.acknowledge(command.origin):
                    return False
                self._woken.set()
            case _:
                return False
        return True

    async def _listen(self, link: AskingLink, emit: Emit) -> None:
        async for address, payload in link:
            try:
                if address == "status":
                    self._status = read_status(said(payload))
                    self._polls += 1
                    self._be_online(link, emit, True)
                    self._woken.set()
                elif address == "silent":
                    self._missed = whole(said(payload), "polls", 0, 255)
                    self._be_online(link, emit, False)
                else:
                    raise Wrong("the link of a board says status and silent")
            except Wrong as error:
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

    async def _attend(self, link: AskingLink, emit: Emit, status: Status) -> None:
        self._look_for_loss(emit, status)
        if not self._is_armed:
            await self._arm(link, status)
        else:
            await self._set_clock(link, status)
        await self._events.read(link, emit, status)
        await self._events.advance(link)
        self._events.say_again(emit)
        if self._events.is_read_to(status.index) or self._asked_levels:
            # In the order in which it happened: a level is newer than every event before it.
            self._tell_levels(emit, status)
        if self._polls >= self._checked_at + CHECK_EVERY:
            self._checked_at = self._polls
            await self._check(link)
        await self._doors.settle(link)

    # Memory

    def _look_for_loss(self, emit: Emit, status: Status) -> None:
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
        emit_event(emit, Fault(self.id, f"the board lost its memory: {rule}", True))

    def _forget(self) -> None:
        """Begin again with this board."""
        self._is_armed = False
        self._events.forget()
        self._doors.forget()
        self._cards.forget()
        self._keeper.forget()

    async def _arm(self, link: AskingLink, status: Status) -> None:
        """Give a board that is new, was away or forgot what it needs besides its cards."""
        await self._set_clock(link, status)
        await ask(link, "record-special-events", {"enable": True})
        await ask(link, "set-listener")
        await self._doors.restore(link)
        await self._events.resume(link, status.index)
        self._is_armed = True

    async def _set_clock(self, link: AskingLink, status: Status) -> None:
        # Said before the last setting, a drift is not news.
        is_news = self._polls > self._clock_set_at + 1
        if is_news and (status.drift_s is None or abs(status.drift_s) > DRIFT_S):
            await ask(link, "set-time")
            self._clock_set_at = self._polls
            if status.drift_s is None or abs(status.drift_s) > LOST_CLOCK_S:
                # Cards may have gone with the clock since they were read.
                self._cards.forget()
                self._keeper.forget()

    async def _check(self, link: AskingLink) -> None:
        """Look for what somebody else, or a lost memory, may have changed."""
        held = self._keeper.held
        if self._keeper.is_proven and held is not None:
            answer = await ask(link, "get-cards")
            is_so = whole(answer, "cards", 0, MAX_INDEX) == len(held)
            is_so = is_so and await self._cards.are_profiles_kept()
            if self._keeper.is_proven and not is_so:
                self._cards.forget()
                self._keeper.forget()
        await self._doors.restore(link)

    # Levels

    def _tell_levels(self, emit: Emit, status: Status) -> None:
        is_due = self._asked_levels or self._polls % LEVELS_EVERY == 0
        self._asked_levels = False
        for door, wiring in self._settings.doors.items():
            is_open = status.is_open[door - 1]
            if is_due or self._levels.get(wiring.portal) != is_open:
                self._levels[wiring.portal] = is_open
                emit(Contact(wiring.portal, ContactLevel.OPEN if is_open else ContactLevel.CLOSED))
        if status.is_fire != self._is_fire:
            self._is_fire = status.is_fire
            for wiring in self._settings.doors.values():
                emit(FireInput(wiring.portal, status.is_fire))
        if status.error != self._error:
            if self._error:
                emit(Fault(self.id, f"controller error {self._error}", False))
            if status.error:
                emit(Fault(self.id, f"controller error {status.error}", True))
            self._error = status.error

    # Events

    def _heard(self, happened: Happened, report: Report | None) -> None:
        if happened.reason in STARTED:
            self._is_armed = False
            self._keeper.forget()
        if isinstance(report, Contact):
            # So that the level after it is told only where it is another.
            self._levels[report.portal] = report.level is ContactLevel.OPEN

    def _key(self, card: int) -> tuple[Method, str]:
        """Give a card's method and key as the policy has them; of a stranger's, the number."""
        known = self._keys.get(str(card))
        if known is not None:
            return known
        return Method.CARD, str(card) if self._settings.base == 10 else f"{card:08X}"

    # Cards

    async def _translate(self) -> None:
        """Write each new table as cards, a piece at a time: an edge has doors to open meanwhile."""
        while True:
            await self._table_came.wait()
            self._table_came.clear()
            table = self._table
            if table is None:
                continue
            entries = {door: wiring.entry for door, wiring in self._settings.doors.items()}
            cards: list[tuple[Row, Card]] = []
            refused: list[tuple[str, str]] = []
            known = self._written if table.schedules == self._schedules else {}
            news = cards_for(table, entries, self._settings.zone, self._settings.base, known)
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
