"""Following faces and plates over frames, and voting: one result for each that passes.

One frame may be wrong; several that agree seldom are. A tracker ties the boxes of successive
frames together, a vote for each track says when there is enough to report.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from anlin.vision.faces import Vector, unit
from anlin.vision.gallery import Match
from anlin.vision.plate_beam import Reading

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the source frame."""

LOST_AFTER = timedelta(seconds=1.0)
"""A track not seen for this long is over: whoever comes next is someone else."""

UNKNOWN_AFTER = timedelta(seconds=1.2)
"""A face that nobody's template fits by then is a stranger's: the person waits at the gate."""
UNKNOWN_FRAMES = 8

UPGRADE_WITHIN = timedelta(seconds=10)
"""How long a stranger may still turn out to be known. Each frame more is one more chance to be
mistaken for somebody; who steps away and comes back starts afresh."""

WINDOW_FRAMES = 12
"""Frames whose votes count; older ones may show another light, another angle."""

UNREAD_AFTER = timedelta(seconds=2.0)
UNREAD_FRAMES = 8
"""A plate without agreement by then is reported with what was read best, or as unreadable."""


@dataclass(slots=True)
class _Followed:
    box: Box
    seen_at: datetime


class Tracker:
    """Gives each box of a frame the number of its track."""

    def __init__(self) -> None:
        self._tracks: dict[int, _Followed] = {}
        self._last = 0

    def update(self, boxes: Sequence[Box], at: datetime) -> list[int]:
        """Return a track number for each box; a box that continues no track starts one."""
        self._drop(at)
        pairs = sorted(
            (
                (nearness(followed.box, box), number, index)
                for number, followed in self._tracks.items()
                for index, box in enumerate(boxes)
            ),
            reverse=True,
        )
        given: dict[int, int] = {}
        for near, number, index in pairs:
            if near <= 0.0:
                break
            if index not in given and number not in given.values():
                given[index] = number
        for index, box in enumerate(boxes):
            number = given.get(index) or self._new()
            given[index] = number
            self._tracks[number] = _Followed(box, at)
        return [given[index] for index in range(len(boxes))]

    def hold(self, at: datetime) -> None:
        """Take it that nothing moved: whoever was there still is."""
        for followed in self._tracks.values():
            followed.seen_at = at

    def split(self, number: int) -> int:
        """Give the box of a track a new number: it turned out to be someone else."""
        fresh = self._new()
        self._tracks[fresh] = self._tracks.pop(number)
        return fresh

    def alive(self, at: datetime) -> set[int]:
        """Return the tracks not yet lost."""
        self._drop(at)
        return set(self._tracks)

    def _new(self) -> int:
        self._last += 1
        return self._last

    def _drop(self, at: datetime) -> None:
        lost = [n for n, followed in self._tracks.items() if at - followed.seen_at > LOST_AFTER]
        for number in lost:
            del self._tracks[number]


def nearness(one: Box, other: Box) -> float:
    """Return how likely two boxes of successive frames are one thing; 0 where they can't be.

    Above 1: they overlap. Between 0 and 1: apart, but within one size of each other, as someone
    who walks fast past a slow camera.
    """
    ax, ay, aw, ah = one
    bx, by, bw, bh = other
    across = min(ax + aw, bx + bw) - max(ax, bx)
    down = min(ay + ah, by + bh) - max(ay, by)
    if across > 0 and down > 0:
        shared = across * down
        return 1.0 + shared / (aw * ah + bw * bh - shared)
    size = (aw + ah + bw + bh) / 4
    alike = min(aw * ah, bw * bh) / max(aw * ah, bw * bh, 1e-9)
    apart = float(np.hypot(ax + aw / 2 - bx - bw / 2, ay + ah / 2 - by - bh / 2))
    return 0.0 if size <= 0 or alike < 0.5 else max(0.0, 1.0 - apart / (1.5 * size))


@dataclass(frozen=True, slots=True)
class FaceLook:
    """One frame of a track with a face good enough to be compared."""

    at: datetime
    match: Match
    vector: Vector
    masked: bool | None = None
    alive: float | None = None


@dataclass(frozen=True, slots=True)
class FaceVerdict:
    """What the frames of a track say; `match` without a holder is an unknown face."""

    match: Match
    votes: int
    frames: int
    masked: bool | None
    alive: float | None


@dataclass(slots=True)
class FaceVote:
    """The vote over one track: known once `votes` frames agree, unknown after a while.

    Attributes:
        predecessor: holder already reported in this place; if it turns out to be the same person
            after all, there is nothing to report.
    """

    first_at: datetime
    votes: int
    threshold: float
    margin: float
    predecessor: str = ""
    frames: int = 0
    known: bool = False
    reported: bool = False
    started_at: datetime | None = None
    looks: deque[FaceLook] = field(default_factory=lambda: deque(maxlen=WINDOW_FRAMES))

    def add(self, look: FaceLook) -> FaceVerdict | None:
        """Count one frame; return a verdict when there is one to report."""
        self.frames += 1
        self.looks.append(look)
        self.started_at = self.started_at or look.at
        waited = look.at - self.started_at
        if self.known or (self.reported and waited > UPGRADE_WITHIN):
            return None
        agreed = Counter(
            past.match.holder for past in self.looks if past.match.accepted(*self._bar)
        ).most_common(2)
        if agreed and look.match.holder == agreed[0][0] and look.match.accepted(*self._bar):
            votes = agreed[0][1]
            rival = agreed[1][1] if len(agreed) > 1 else 0
            if votes >= self.votes and votes >= 2 * rival:
                self.known = self.reported = True
                if look.match.holder == self.predecessor:
                    return None
                return self._verdict(look.match, votes)
        if self.reported or self.frames < self.votes:
            return None
        stranger = Match(score=look.match.score, runner_up=look.match.runner_up)
        # A covered face is told at once, so that its owner takes out the card.
        patient = waited < UNKNOWN_AFTER and self.frames < UNKNOWN_FRAMES
        if patient and not self.masked:
            return None
        self.reported = True
        against = sum(not past.match.accepted(*self._bar) for past in self.looks)
        return self._verdict(stranger, against)

    @property
    def masked(self) -> bool | None:
        """Whether most frames show a mask; None where no model could tell."""
        seen = [look.masked for look in self.looks if look.masked is not None]
        return sum(seen) > len(seen) / 2 if seen else None

    @property
    def alive(self) -> float | None:
        """Mean liveness score; None where no model could tell."""
        seen = [look.alive for look in self.looks if look.alive is not None]
        return sum(seen) / len(seen) if seen else None

    def likeness(self, vector: Vector) -> float | None:
        """Return the cosine to the face followed so far; None before the first."""
        if not self.looks:
            return None
        return float(
            unit(sum((look.vector for look in self.looks), np.zeros_like(vector))) @ vector
        )

    @property
    def _bar(self) -> tuple[float, float]:
        return self.threshold, self.margin

    def _verdict(self, match: Match, votes: int) -> FaceVerdict:
        return FaceVerdict(match, votes, self.frames, self.masked, self.alive)


@dataclass(frozen=True, slots=True)
class PlateVerdict:
    """What the frames of a track say; an empty text is a plate that could not be read."""

    text: str
    confidence: float
    characters: tuple[float, ...]
    votes: int
    frames: int


# A reading below this counts for nothing in the vote.
VOTE_CONFIDENCE = 0.7


@dataclass(slots=True)
class PlateVote:
    """The vote over one track: read once `votes` frames agree on the whole text."""

    first_at: datetime
    votes: int
    frames: int = 0
    reported: str | None = None
    readings: deque[Reading] = field(default_factory=lambda: deque(maxlen=WINDOW_FRAMES))

    def add(self, reading: Reading | None, at: datetime) -> PlateVerdict | None:
        """Count one frame; return a verdict when there is one to report."""
        self.frames += 1
        if reading is not None and reading.confidence >= VOTE_CONFIDENCE:
            self.readings.append(reading)
        if self.reported is not None:
            return None
        # Two texts with as many frames each are told apart by how sure the frames were.
        texts = {r.text for r in self.readings}
        best = max(texts, key=lambda text: (self._count(text), self._weight(text)), default="")
        count = self._count(best)
        overdue = at - self.first_at >= UNREAD_AFTER or self.frames >= UNREAD_FRAMES
        if count < self.votes and not (overdue and self.frames >= self.votes):
            return None
        # Late and without agreement, a text needs two frames; one alone may be noise.
        self.reported = best if count >= min(2, self.votes) else ""
        return self._verdict(self.reported)

    def differs(self, reading: Reading | None) -> bool:
        """Whether a sure reading can't be of the plate that was reported: another car."""
        if not self.reported or reading is None or reading.confidence < VOTE_CONFIDENCE:
            return False
        return _unlike(self.reported, reading.text) >= _OTHER_PLATE

    def _count(self, text: str) -> int:
        return sum(reading.text == text for reading in self.readings)

    def _weight(self, text: str) -> float:
        return sum(r.log_probability for r in self.readings if r.text == text)

    def _verdict(self, text: str) -> PlateVerdict:
        agreed = [reading for reading in self.readings if reading.text == text]
        if not agreed:
            return PlateVerdict("", 0.0, (), 0, self.frames)
        best = max(agreed, key=lambda reading: reading.confidence)
        mean = sum(reading.confidence for reading in agreed) / len(agreed)
        return PlateVerdict(text, mean, best.characters, len(agreed), self.frames)


# One stroke misread is the same car; three characters are another.
_OTHER_PLATE = 3


def _unlike(one: str, other: str) -> int:
    """Return how many characters have to change, come or go (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
