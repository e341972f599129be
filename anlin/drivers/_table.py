"""Keeps a device's own table of people equal to what it should be, and proves it.

Boards and terminals that decide by themselves hold a copy of who may pass. A driver says how
one row is read, put and deleted (`Store`); the keeper finds the differences, takes rights away
before it gives any, reads back what it did and says how far the table stands (`TableState`).

    keeper = TableKeeper("board-1", store)
    keeper.want(table.revision, rows, refused)   whenever a `HoldTable` comes
    keeper.forget()                              the device may have lost its memory
    await keeper.run(emit)                       for as long as the link holds

Nothing is believed because it was sent: `TableState.held` is a digest over rows as the device
read them back, each at its first reading or after its last change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from anlin.core.board import digest_of_lines, line
from anlin.core.device import TableState
from anlin.drivers.base import LinkError

BULK_ROWS = 64
"""From so many rows on, one reading of everything costs no more than reading each of them."""

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
"""A device that does not answer, or does not keep what it is given, is tried ever more patiently.
A deletion must not wait longer than this for a device that is back."""

AUDIT_S = 6 * 3600.0
"""A proven table is read again so often: somebody with the maker's own program may change it."""

YIELD_ROWS = 500
"""So many rows are compared before others may run: an edge has doors to open meanwhile."""

MAX_REFUSED = 500
"""Refused rows named in one state; the count of what is missing stays exact."""


class Keyed(Protocol):
    """A row as the device holds it: a frozen dataclass of what can be read back, and its key."""

    @property
    def key(self) -> str:
        """What names the row at the device: a card number, a person's id."""
        ...


R = TypeVar("R", bound=Keyed)


class Store(Protocol[R]):
    """A device's table, row by row. Each method raises LinkError where no answer comes."""

    @property
    def capacity(self) -> int:
        """How many rows the device can hold."""
        ...

    @property
    def reads_one(self) -> bool:
        """Whether `read` can be asked; otherwise everything is read after each round."""
        ...

    async def read_all(self) -> Mapping[str, R]:
        """Read every row that the device holds, by key; never from memory."""
        ...

    async def read(self, key: str) -> R | None:
        """Read one row; None where the device has none."""
        ...

    async def put(self, row: R) -> str:
        """Add or replace a row; give the device's rule where it will not take it, else ""."""
        ...

    async def delete(self, key: str) -> None:
        """Delete a row; one that is not there is no error."""
        ...


class TableKeeper(Generic[R]):
    """Brings one device to the table it should hold, and keeps it there.

    Order: deletions, then rows that change, then new ones. A table with more rows than the
    device has room for adds nothing: what is revoked still goes and what changes still changes,
    and `TableState.rule` says why the rest waits. A row that the device refuses is named in
    `TableState.refused`; an older form of it does not stay behind.
    """

    def __init__(self, device: str, store: Store[R]) -> None:
        self._device = device
        self._store = store
        self._revision = 0
        self._wanted: dict[str, R] | None = None
        self._told: tuple[tuple[str, str], ...] = ()
        self._held: dict[str, R] | None = None
        self._refused: dict[str, tuple[R, str]] = {}
        self._lines: dict[str, tuple[R, bytes]] = {}
        self._urgent: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._version = 0
        self._epoch = 0
        self._is_proven = False

    @property
    def is_proven(self) -> bool:
        """Whether the device was last seen to hold exactly what it should."""
        return self._is_proven

    @property
    def held(self) -> Mapping[str, R] | None:
        """What the device holds as far as it was read back; None before it was."""
        return self._held

    def want(
        self, revision: int, rows: Iterable[R], refused: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Say what the device should hold from now on.

        `refused` names rows that can't be written for this device at all, as (credential, rule).
        """
        before = self._wanted or {}
        self._revision = revision
        self._wanted = {row.key: row for row in rows}
        self._told = tuple(refused)
        self._refused = {
            key: (row, rule)
            for key, (row, rule) in self._refused.items()
            if self._wanted.get(key) == row
        }
        gone = dict.fromkeys(key for key in before if key not in self._wanted)
        still = {key: None for key in self._urgent if key not in self._wanted}
        self._urgent = {**still, **gone}
        self._version += 1
        self._stir()

    def revoke(self, keys: Iterable[str]) -> None:
        """Take rows back at once: they are not in a table that is still being written out.

        To write fifteen thousand rows for each of two hundred devices takes longer than a
        revoked card may stay on any of them.
        """
        wanted = self._wanted or {}
        gone = dict.fromkeys(key for key in keys if wanted.pop(key, None) is not None)
        if gone:
            self._urgent |= gone
            self._version += 1
            self._stir()

    def forget(self) -> None:
        """Read everything again before believing anything: the device may have lost its memory."""
        self._held = None
        self._refused.clear()
        self._version += 1
        self._epoch += 1
        self._stir()

    async def run(self, emit: Callable[[TableState], None]) -> None:
        """Keep the table until cancelled; a device that does not answer is asked again."""
        wait_s = FIRST_RETRY_S
        while True:
            self._changed.clear()
            try:
                is_done = await self.step(emit)
            except LinkError:
                is_done = False
            try:
                async with asyncio.timeout(AUDIT_S if is_done else wait_s):
                    await self._changed.wait()
                wait_s = FIRST_RETRY_S
            except TimeoutError:
                if is_done:
                    self.forget()
                wait_s = FIRST_RETRY_S if is_done else min(wait_s * 2, LONGEST_RETRY_S)

    async def step(self, emit: Callable[[TableState], None]) -> bool:
        """Do one round: read if needed, change what differs, read back, say how it stands.

        Gives True where nothing is left to do until something changes: the table is proven, or
        it can't be held. Ends early, with False, when a newer table arrives.

        Raises:
            LinkError: the device did not answer; the round is to be done again.
        """
        if self._wanted is None:
            return True
        version = self._version
        await self._revoke()
        if self._held is None:
            await self._read_all()
        surplus, changed, missing = await self._differences()
        if version != self._version:
            return False
        if not (surplus or changed or missing):
            emit(self._state(0, 0))
            return True
        emit(self._state(len(missing) + len(changed), len(surplus) + len(changed)))
        is_over = len(self._wanted) - len(self._refused) > self._store.capacity
        puts = changed if is_over else [*changed, *missing]
        reads_each = self._store.reads_one and len(puts) < BULK_ROWS
        for key in surplus:
            await self._delete(key)
            if version != self._version:
                return False
        for key in puts:
            await self._put(key, reads_each)
            if version != self._version:
                return False
        if self._held is None or (puts and not reads_each):
            await self._read_all()
        surplus, changed, missing = await self._differences()
        if version != self._version:
            return False
        emit(self._state(len(missing) + len(changed), len(surplus) + len(changed)))
        return not surplus and not changed and (is_over or not missing)

    async def _revoke(self) -> None:
        """Delete what the newest table no longer has, known to be held or not."""
        while self._urgent:
            key = next(iter(self._urgent))
            await self._delete(key)
            self._urgent.pop(key, None)

    async def _read_all(self) -> None:
        """Read everything; a card that is taken back meanwhile does not wait for the end of it."""
        epoch = self._epoch
        reading = asyncio.ensure_future(self._store.read_all())
        try:
            while not reading.done():
                await self._revoke()
                self._hurry.clear()
                hurry = asyncio.ensure_future(self._hurry.wait())
                try:
                    await asyncio.wait({reading, hurry}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    hurry.cancel()
            held = dict(reading.result())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        self._held = held if epoch == self._epoch else None

    async def _delete(self, key: str) -> None:
        """Delete a row and see it gone."""
        await self._store.delete(key)
        if self._store.reads_one:
            self._believe(key, await self._store.read(key))
        else:
            self._held = None

    async def _put(self, key: str, reads_it: bool) -> None:
        """Put a row and read it back, or note why the device will not take it."""
        wanted, version = self._wanted or {}, self._version
        row = wanted[key]
        rule = await self._store.put(row)
        if not rule:
            if reads_it:
                self._believe(key, await self._store.read(key))
        elif version == self._version:
            self._refused[key] = (row, rule)
            if self._held is not None and key in self._held:
                await self._delete(key)

    def _believe(self, key: str, row: R | None) -> None:
        if self._held is None:
            return
        if row is None:
            self._held.pop(key, None)
        else:
            self._held[key] = row

    async def _differences(self) -> tuple[list[str], list[str], list[str]]:
        """List the keys that should go, that should change, and that should come."""
        wanted, held, refused = self._wanted or {}, self._held or {}, self._refused
        surplus = [key for key in held if key not in wanted or key in refused]
        changed, missing = [], []
        for number, (key, row) in enumerate(wanted.items()):
            if number % YIELD_ROWS == YIELD_ROWS - 1:
                await asyncio.sleep(0)
            if key in refused:
                continue
            has = held.get(key)
            if has is row:
                continue
            if has is None:
                missing.append(key)
            elif has != row:
                changed.append(key)
            else:
                # One object for both: the next comparison costs next to nothing.
                held[key] = row
        return surplus, changed, missing

    def _state(self, missing: int, surplus: int) -> TableState:
        wanted, held = self._wanted or {}, self._held or {}
        rows = {key: row for key, row in wanted.items() if key not in self._refused}
        capacity = self._store.capacity
        rule = ""
        if len(rows) > capacity:
            rule = f"the table has {len(rows)} rows; the device has room for {capacity}"
        should = digest_of_lines(self._line(row) for row in rows.values())
        is_equal = not missing and not surplus
        does = should if is_equal else digest_of_lines(self._line(row) for row in held.values())
        self._is_proven = should == does and not rule
        refused = [*self._told, *((key, rule) for key, (_, rule) in self._refused.items())]
        return TableState(
            self._device,
            self._revision,
            should,
            does,
            len(rows),
            missing,
            surplus,
            capacity,
            tuple(refused[:MAX_REFUSED]),
            rule,
        )

    def _line(self, row: R) -> bytes:
        """Write a row for the digest, or take what was written for the same row before."""
        known = self._lines.get(row.key)
        if known is not None and (known[0] is row or known[0] == row):
            return known[1]
        if len(self._lines) > 2 * self._store.capacity:
            self._lines.clear()
        written = line(row)
        self._lines[row.key] = (row, written)
        return written

    def _stir(self) -> None:
        self._is_proven = False
        self._changed.set()
        self._hurry.set()
