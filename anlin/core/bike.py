"""Who takes out an e-bike: whether a passage with somebody else's raises a question to the guard.

An antenna at a way out reads the bike's tag, a door or turnstile tells who passed. The two belong
together by time alone, so an answer waits until both had their chance to come. Nothing here opens
or shuts anything: the way out is free, with whatever bike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from anlin.core.entities import Bike
from anlin.core.policy import Policy

WINDOW = timedelta(seconds=10)
"""How far apart a tag and a passage may be: whoever pushes a bike holds the gate for the rear
wheel, and an antenna reads some metres ahead."""

LONGEST = timedelta(seconds=60)
"""For so long a bike that stays before the antenna is waited for; one parked there has no end."""

QUIET = timedelta(minutes=10)
"""One question for one bike in that time: the guard has been told, and whoever goes back for a
helmet takes nothing."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody passed a portal: who, as far as it is known, and which way (None: not told)."""

    portal: str
    at: datetime
    is_out: bool | None
    holder: str | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A registered bike before the antenna of a way out, from its first reading to its last.

    `stood_open` says that at one of them the portal was open, or held unlocked.
    """

    bike: str
    point: str
    portal: str
    first_at: datetime
    last_at: datetime
    stood_open: bool = False

    @property
    def due_at(self) -> datetime:
        """When nothing that belongs to it can come any more."""
        return self.last_at + WINDOW


@dataclass(frozen=True, slots=True)
class Question:
    """What the guard is asked: did the owner agree? `holder` None is an unknown person."""

    bike: str
    owner: str
    point: str
    portal: str
    seen_at: datetime
    holder: str | None = None
    picture: str | None = None


def joined(sighting: Sighting, at: datetime, *, is_open: bool) -> Sighting | None:
    """Add one more reading of the same bike at the same point; None where a new sighting begins."""
    first, last = min(sighting.first_at, at), max(sighting.last_at, at)
    is_near = sighting.first_at - WINDOW <= at <= sighting.last_at + WINDOW
    if not is_near or last - first > LONGEST:
        return None
    is_open = sighting.stood_open or is_open
    return replace(sighting, first_at=first, last_at=last, stood_open=is_open)


def question(
    policy: Policy, sighting: Sighting, passages: Iterable[Passage], asked_at: datetime | None
) -> Question | None:
    """Say what to ask the guard about a sighting that is over, or None.

    `asked_at` is the `seen_at` of the last question about this bike. Nothing is asked where the
    owner, or somebody of the same household, passed near it in whatever direction; nor where people
    came in and nobody left: then the bike came in. Someone is named only where nobody else could
    have been it.
    """
    bike = policy.bikes.get(sighting.bike)
    if bike is None or (asked_at is not None and abs(sighting.last_at - asked_at) < QUIET):
        return None
    since, until = sighting.first_at - WINDOW, sighting.last_at + WINDOW
    near = [
        passage
        for passage in passages
        if passage.portal == sighting.portal and since <= passage.at <= until
    ]
    if any(is_of_household(bike, passage.holder, passage.at) for passage in near):
        return None
    came_in = any(passage.is_out is False for passage in near)
    outs = [passage for passage in near if passage.is_out]
    if not outs and not came_in:
        outs = [passage for passage in near if passage.is_out is None]
        if not outs and not sighting.stood_open:
            return None
    elif not outs:
        return None
    who = {passage.holder for passage in outs}
    return Question(
        bike.id,
        bike.holder,
        sighting.point,
        sighting.portal,
        sighting.last_at,
        next(iter(who)) if len(who) == 1 else None,
        _picture(outs, sighting.last_at),
    )


def is_of_household(bike: Bike, holder: str | None, at: datetime) -> bool:
    """Say whether a holder is the owner of a bike, or lived with them at that time."""
    if holder is None:
        return False
    return holder == bike.holder or any(
        mate.holder == holder
        and (mate.valid_from is None or mate.valid_from <= at)
        and (mate.valid_until is None or at < mate.valid_until)
        for mate in bike.household
    )


def _picture(passages: list[Passage], at: datetime) -> str | None:
    """Give the picture of the passage nearest in time that has one."""
    pictured = [passage for passage in passages if passage.picture is not None]
    nearest = min(pictured, key=lambda passage: (abs(passage.at - at), passage.at), default=None)
    return nearest.picture if nearest is not None else None
