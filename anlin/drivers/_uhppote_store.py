"""The cards and time profiles on a UHPPOTE board, as `TableKeeper` wants them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from anlin.drivers._checks import Wrong, whole
from anlin.drivers._uhppote_cards import (
    ALWAYS,
    FIRST_DAY,
    LAST_DAY,
    NEVER,
    Card,
    Times,
    times_from,
    times_text,
)
from anlin.drivers._uhppote_messages import DOORS, MAX_INDEX, ask
from anlin.drivers.base import AskingLink, LinkError

PROFILES = range(2, 255)
"""The numbers of a board's time profiles; 0 is never and 1 is always."""

EMPTY_SLOT, DELETED_SLOT = 0, 0xFFFFFFFF


class CardStore:
    """One board's cards.

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
        count = whole(await self._ask("get-cards"), "cards", 0, MAX_INDEX)
        index = 0
        while True:
            index += 1
            said = await self._ask("get-card-by-index", {"index": index})
            number = whole(said, "card", 0, MAX_INDEX)
            if number == EMPTY_SLOT:
                break
            if number == DELETED_SLOT:
                continue
            card = await self._card(said)
            held[card.key] = card
            used[card.key] = set(_door_numbers(said))
        if len(held) < count and count == whole(
            await self._ask("get-cards"), "cards", 0, MAX_INDEX
        ):
            raise LinkError(f"board {self._device}: says {count} cards and shows {len(held)}")
        self._used = used
        return held

    async def read(self, key: str) -> Card | None:
        said = await self._ask("get-card", {"card": int(key)})
        number = whole(said, "card", 0, MAX_INDEX)
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
            str(whole(said, "card", 0, MAX_INDEX)),
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
        return await ask(self.link, name, data)


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
    days = tuple(whole({"day": day}, "day", 0, 7) for day in on)
    return Times(days, kept), whole(said, "linked", 0, 255)


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
        raise Wrong("a card without four doors")
    return [whole({"door": number}, "door", 0, 255) for number in doors]


def _date(said: Mapping[str, Any], name: str) -> date:
    """Read a day; one that is none can't be ours, so it is the first there is."""
    try:
        return date.fromisoformat(str(said.get(name)))
    except ValueError:
        return date.min
