"""E-bikes before antennas, and who passed near them in time.

What waits for its answer is not acknowledged: the device says it again after a restart, so no
question is lost with the process. What was asked stands in the journal, so none is asked twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anlin.core import bike, device
from anlin.core.bike import Passage, Question, Sighting
from anlin.core.codec import to_data
from anlin.core.entities import Direction
from anlin.core.event import Draft, Event, EventKind
from anlin.core.policy import Policy

KEPT = timedelta(minutes=3)
"""How long a passage is remembered: a sighting may last a minute, and be told late by the time
that an edge needs for its start."""

MOST_PASSAGES = 1000
"""Of all portals together; several a second for those minutes."""

MOST_WAITING = 500
"""Bikes before antennas at once. One more is not taken: its device says it again."""

MOST_STRANGERS = 1000
"""Tags of nobody's that are remembered, so that each is recorded once in a while."""

STRANGERS_PER_MINUTE = 20
"""An antenna that reads the tags of a clothes shop is no reason to fill a disk."""

_MOST_PICTURES = 200


@dataclass(frozen=True, slots=True)
class Settled:
    """A sighting that is over: what to ask, if anything, and the message that may go."""

    question: Question | None
    origin: str | None


@dataclass(slots=True)
class _Waiting:
    sighting: Sighting
    origin: str | None


class Bikes:
    """What one node remembers of bikes and passages for some minutes."""

    def __init__(self, policy: Callable[[], Policy], asked: Mapping[str, datetime]) -> None:
        """Begin with what was asked lately: by bike, the time when it was seen."""
        self._policy = policy
        self._asked = dict(asked)
        self._passages: deque[Passage] = deque(maxlen=MOST_PASSAGES)
        self._uncounted: dict[tuple[str, bool], deque[datetime]] = {}
        """By portal and way, passages on a grant that no beam has told of yet."""
        self._beams: set[str] = set()
        self._pictures: dict[str, str] = {}
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        """By bike and point."""
        self._strangers: dict[str, datetime] = {}
        self._minute: tuple[str, int] = ("", 0)

    # Passages

    def granted(self, release: str, picture: str | None) -> None:
        """Remember the picture of whoever may pass on a release."""
        if picture is not None and release:
            self._pictures[release] = picture
            while len(self._pictures) > _MOST_PICTURES:
                del self._pictures[next(iter(self._pictures))]

    def has_beams(self, portal: str) -> bool:
        """Say whether a portal has told of persons walking through."""
        return portal in self._beams

    def taken(
        self, portal: str, at: datetime, is_out: bool | None, holder: str | None, release: str
    ) -> None:
        """Note that somebody passed on a grant."""
        self._note(Passage(portal, at, is_out, holder, self._pictures.pop(release, None)))
        if is_out is not None:
            self._uncounted.setdefault((portal, is_out), deque(maxlen=50)).append(at)

    def crossed(self, portal: str, at: datetime, *, is_out: bool, persons: int) -> None:
        """Note persons that a beam has seen; those who had a grant are noted already."""
        self._beams.add(portal)
        known = self._uncounted.get((portal, is_out), deque())
        while known and persons > 0:
            if at - known.popleft() <= bike.WINDOW:
                persons -= 1
        if persons > 0:
            self._note(Passage(portal, at, is_out))

    def opened(self, portal: str, at: datetime) -> None:
        """Note that a leaf opened on nobody's grant: it stood unlocked, or was forced."""
        self._note(Passage(portal, at, None))

    def restore(self, events: Iterable[Event]) -> None:
        """Take up the passages of the last life."""
        pictures: dict[str, Any] = {}
        for event in events:
            release = str(event.data.get("release", ""))
            if event.kind is EventKind.ACCESS_GRANTED:
                pictures[release] = event.data.get("picture")
            elif event.kind is EventKind.ACCESS_TAKEN:
                holder, picture = event.data.get("holder"), pictures.get(release)
                self._note(
                    Passage(
                        event.subject,
                        event.at,
                        _way(event.data),
                        holder if isinstance(holder, str) else None,
                        picture if isinstance(picture, str) else None,
                    )
                )

    def _note(self, passage: Passage) -> None:
        self._passages.append(passage)

    # Tags

    def seen(
        self, report: device.TagSeen, now: datetime, *, is_open: bool, revision: int
    ) -> tuple[list[Draft], str | None, bool]:
        """Take what an antenna read.

        Gives what to record, a message that may go as this one stands for it, and whether this
        one has to wait for its answer.
        """
        policy = self._policy()
        found, point = policy.bike_by_tag(report.tag), policy.points.get(report.point)
        age = timedelta(seconds=report.age_s)
        at = now - age
        if found is None:
            return self._stranger(report, now, revision), None, False
        if point is None or point.direction is not Direction.EXIT:
            return [], None, False
        if age > KEPT - bike.WINDOW:
            # Nobody knows any more who passed then. That it was seen is not lost.
            data = {"bike": found.id, "owner": found.holder, "age_s": report.age_s}
            return [Draft(EventKind.TAG_SEEN, report.point, now, data, revision)], None, False
        key = (found.id, report.point)
        waiting = self._waiting.get(key)
        if waiting is not None:
            more = bike.joined(waiting.sighting, at, is_open=is_open)
            if more is not None:
                self._waiting[key] = _Waiting(more, report.origin)
                return [], waiting.origin, True
        if len(self._waiting) >= MOST_WAITING or waiting is not None:
            # The one before is over and gets its answer with the next tick.
            return [], None, True
        sighting = Sighting(found.id, report.point, point.portal, at, at, is_open)
        self._waiting[key] = _Waiting(sighting, report.origin)
        return [], None, True

    def settled(self, now: datetime) -> Iterator[Settled]:
        """Give each sighting that is over, once."""
        while self._passages and now - self._passages[0].at > KEPT:
            self._passages.popleft()
        for key, waiting in list(self._waiting.items()):
            sighting = waiting.sighting
            if now < sighting.due_at:
                continue
            del self._waiting[key]
            asked_at = self._asked.get(sighting.bike)
            asked = bike.question(self._policy(), sighting, self._passages, asked_at)
            if asked is not None:
                self._asked[sighting.bike] = asked.seen_at
            yield Settled(asked, waiting.origin)

    def _stranger(self, report: device.TagSeen, now: datetime, revision: int) -> list[Draft]:
        """Record a tag that nobody has registered, once in a while: a clerk may register it."""
        told_at = self._strangers.get(report.tag)
        if told_at is not None and now - told_at < bike.QUIET:
            return []
        minute, count = now.strftime("%H:%M"), 0
        if self._minute[0] == minute:
            count = self._minute[1]
        self._minute = (minute, count + 1)
        if count >= STRANGERS_PER_MINUTE:
            return []
        self._strangers.pop(report.tag, None)
        self._strangers[report.tag] = now
        while len(self._strangers) > MOST_STRANGERS:
            del self._strangers[next(iter(self._strangers))]
        data = {"value": report.tag, "age_s": report.age_s or None}
        told = {name: value for name, value in data.items() if value is not None}
        return [Draft(EventKind.TAG_SEEN, report.point, now, told, revision)]


def told(question: Question) -> dict[str, Any]:
    """Give a question as the data of its event."""
    data: dict[str, Any] = to_data(question)
    return data


def asked(events: Iterable[Event]) -> dict[str, datetime]:
    """Give from the journal's questions, in order, when each bike was last seen for one."""
    found: dict[str, datetime] = {}
    for event in events:
        try:
            found[str(event.data["bike"])] = datetime.fromisoformat(str(event.data["seen_at"]))
        except (KeyError, ValueError):
            continue
    return found


def _way(data: Mapping[str, Any]) -> bool | None:
    """Say which way a passage led, as its event tells; None where it does not."""
    if data.get("exit") is True:
        return True
    return False if "point" in data else None
