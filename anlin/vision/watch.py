"""What is done with each frame: find, follow, judge, vote, and say one thing for each track."""

from __future__ import annotations

import base64
import binascii
import math
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from anlin.core.detection import (
    Configure,
    FaceSeen,
    GalleryAdd,
    GalleryTemplate,
    PlateColour,
    PlateSeen,
)
from anlin.core.plate import parse
from anlin.vision import media
from anlin.vision.faces import THRESHOLDS, Face, FaceKit, Image, Vector, liveness, threshold_for
from anlin.vision.gallery import Gallery, GalleryError, Match
from anlin.vision.log import log
from anlin.vision.plates import PlateFound, PlateReader
from anlin.vision.quality import WATCH, faults, measure
from anlin.vision.sources import Frame
from anlin.vision.track import FaceLook, FaceVerdict, FaceVote, PlateVerdict, PlateVote, Tracker

# Faces of one frame that are compared, largest first; a crowd must not delay the first in line.
COMPARED_MAX = 4
# Once someone is known, how often it is checked that it is still the same person.
RECHECK_AFTER = timedelta(seconds=0.4)
# A face that never gets good enough (a poster, someone far away) must not keep a worker awake.
UNDECIDED_FOR = timedelta(seconds=10)


class Watch(Protocol):
    """One task on one stream."""

    tier: int
    models: dict[str, str]
    threshold: float

    def look(self, frame: Frame) -> Sequence[FaceSeen | PlateSeen]:
        """Take in one frame; return what it settles."""

    def hold(self, at: datetime) -> None:
        """Take it that nothing moved since the last frame."""

    def undecided(self, at: datetime) -> bool:
        """Whether someone is in view about whom nothing has been said yet."""


class SharedGallery:
    """A gallery that is filled by one thread and searched by another."""

    def __init__(self, model: str, size: int) -> None:
        self.model = model
        self.ignored = 0
        self._gallery = Gallery(model, size)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._gallery)

    def add(self, message: GalleryAdd) -> None:
        """Know the templates of a message; those that can't be used are counted."""
        if message.model != self.model:
            self._ignore(len(message.templates), f"made by {message.model}, not {self.model}")
            return
        for template in message.templates:
            self._add(template)

    def remove(self, credentials: Iterable[str]) -> None:
        """Forget credentials at once."""
        with self._lock:
            for credential in credentials:
                self._gallery.remove(credential)

    def match(self, vector: Vector) -> Match:
        """Return the likeliest holder."""
        with self._lock:
            return self._gallery.match(vector)

    def _add(self, template: GalleryTemplate) -> None:
        try:
            vector = base64.b64decode(template.vector, validate=True)
            with self._lock:
                self._gallery.add(template.credential, template.holder, vector)
        except (GalleryError, binascii.Error) as error:
            self._ignore(1, str(error))

    def _ignore(self, count: int, reason: str) -> None:
        self.ignored += count
        log.warning("templates ignored", count=count, reason=reason)


class FaceWatch:
    """Known and unknown faces on one stream."""

    def __init__(self, configure: Configure, kit: FaceKit, gallery: SharedGallery) -> None:
        """Watch with a kit's models.

        Raises:
            ThresholdError: the threshold was set for another model.
        """
        self.tier = kit.tier
        self.models = kit.models
        self.threshold = threshold_for(
            kit.embedder.model, configure.threshold, configure.threshold_model
        )
        self._configure = configure
        self._kit = kit
        self._gallery = gallery
        self._scale = THRESHOLDS[kit.embedder.model]
        self._tracker = Tracker()
        self._votes: dict[int, FaceVote] = {}
        self._checked: dict[int, datetime] = {}

    def look(self, frame: Frame) -> list[FaceSeen]:
        """Take in one frame; return the faces it settles."""
        found = self._kit.detector.detect(frame.image)
        numbers = self._tracker.update([face.box for face in found], frame.at)
        seen = []
        for face, number in list(zip(found, numbers, strict=True))[:COMPARED_MAX]:
            number, verdict = self._judge(frame, face, number)
            if verdict:
                seen.append(self._report(frame, face, number, verdict, len(found)))
        alive = self._tracker.alive(frame.at)
        self._votes = {n: vote for n, vote in self._votes.items() if n in alive}
        self._checked = {n: at for n, at in self._checked.items() if n in alive}
        return seen

    def hold(self, at: datetime) -> None:
        """Take it that nothing moved since the last frame."""
        self._tracker.hold(at)

    def undecided(self, at: datetime) -> bool:
        """Whether a face is in view about which nothing has been said yet."""
        return any(
            not vote.reported and at - vote.first_at < UNDECIDED_FOR
            for vote in self._votes.values()
        )

    def _judge(self, frame: Frame, face: Face, number: int) -> tuple[int, FaceVerdict | None]:
        vote = self._votes.get(number) or self._start(number, frame.at)
        checked = self._checked.get(number)
        if vote.known and checked and frame.at - checked < RECHECK_AFTER:
            return number, None
        if faults(measure(frame.image, face), WATCH):
            return number, None
        vector = self._kit.embedder.embed(frame.image, face)
        likeness = vote.likeness(vector)
        if likeness is not None and self._scale.score(likeness) < self._scale.other:
            before = vote.looks[-1].match.holder if vote.known else ""
            number = self._tracker.split(number)
            vote = self._start(number, frame.at, before)
        self._checked[number] = frame.at
        masked = alive = None
        if not vote.known:
            masked = self._kit.mask.masked(frame.image, face) if self._kit.mask else None
            alive = self._kit.live.alive(frame.image, face) if self._kit.live else None
        match = self._gallery.match(vector)
        return number, vote.add(FaceLook(frame.at, match, vector, masked, alive))

    def _start(self, number: int, at: datetime, predecessor: str = "") -> FaceVote:
        configure = self._configure
        vote = FaceVote(at, configure.votes, self.threshold, configure.margin, predecessor)
        self._votes[number] = vote
        return vote

    def _report(
        self, frame: Frame, face: Face, number: int, verdict: FaceVerdict, in_view: int
    ) -> FaceSeen:
        picture = media.cut_out(frame.image, face.box, around=0.8)
        return FaceSeen(
            camera=self._configure.camera,
            track=number,
            at=frame.at,
            first_at=self._votes[number].first_at,
            credential=verdict.match.credential,
            holder=verdict.match.holder,
            score=round(verdict.match.score, 4),
            runner_up=round(verdict.match.runner_up, 4),
            threshold=self.threshold,
            frames=verdict.frames,
            votes=verdict.votes,
            masked=verdict.masked,
            liveness=liveness(verdict.alive),
            liveness_score=None if verdict.alive is None else round(verdict.alive, 4),
            picture=media.keep(picture, Path(self._configure.media)),
            faces_in_view=in_view,
            model=self._kit.embedder.model,
        )


@dataclass(slots=True)
class _PlateTrack:
    vote: PlateVote
    colours: Counter[PlateColour] = field(default_factory=Counter)


class PlateWatch:
    """Number plates on one stream."""

    threshold = 0.0

    def __init__(self, configure: Configure, reader: PlateReader) -> None:
        self.tier = reader.tier
        self.models = reader.models
        self._configure = configure
        self._reader = reader
        self._tracker = Tracker()
        self._tracks: dict[int, _PlateTrack] = {}
        self._looked_at: datetime | None = None

    def look(self, frame: Frame) -> list[PlateSeen]:
        """Take in one frame; return the plates it settles."""
        at = frame.at
        settled = bool(self._tracks) and not self.undecided(at)
        if settled and self._looked_at and at - self._looked_at < RECHECK_AFTER:
            return []
        self._looked_at = at
        found = self._reader.read(frame.image)
        numbers = self._tracker.update([plate.box for plate in found], at)
        seen = []
        for plate, number in zip(found, numbers, strict=True):
            track = self._tracks.get(number) or self._start(number, at)
            if track.vote.differs(plate.reading):
                number = self._tracker.split(number)
                track = self._start(number, at)
            track.colours[plate.colour] += 1
            if verdict := track.vote.add(plate.reading, at):
                seen.append(self._report(frame, plate, number, verdict))
        alive = self._tracker.alive(at)
        self._tracks = {n: track for n, track in self._tracks.items() if n in alive}
        return seen

    def hold(self, at: datetime) -> None:
        """Take it that nothing moved since the last frame."""
        self._tracker.hold(at)

    def undecided(self, at: datetime) -> bool:
        """Whether a plate is in view about which nothing has been said yet."""
        return any(
            track.vote.reported is None and at - track.vote.first_at < UNDECIDED_FOR
            for track in self._tracks.values()
        )

    def _start(self, number: int, at: datetime) -> _PlateTrack:
        track = self._tracks[number] = _PlateTrack(PlateVote(at, self._configure.votes))
        return track

    def _report(
        self, frame: Frame, plate: PlateFound, number: int, verdict: PlateVerdict
    ) -> PlateSeen:
        track = self._tracks[number]
        picture = media.cut_out(frame.image, plate.box, around=1.5)
        return PlateSeen(
            camera=self._configure.camera,
            track=number,
            at=frame.at,
            first_at=track.vote.first_at,
            text=verdict.text,
            kind=parse(verdict.text).kind if verdict.text else "",
            colour=track.colours.most_common(1)[0][0],
            confidence=round(verdict.confidence, 4),
            frames=verdict.frames,
            votes=verdict.votes,
            vehicle=None if plausible(plate, frame.image) else False,
            picture=media.keep(picture, Path(self._configure.media)),
            model=self._reader.models["plate_read"],
            characters=verdict.characters,
        )


# A plate at a barrier fills between a fiftieth and half of the picture's width. Wider is a sheet
# held in front of the lens, narrower a car in the street behind.
_WIDTH_SHARE = (0.02, 0.5)
_TILT_MAX_DEG = 35.0


def plausible(plate: PlateFound, image: Image) -> bool:
    """Whether a plate has the size and slant of one on a vehicle at this lane."""
    across = plate.quad[1] - plate.quad[0]
    share = math.hypot(*across) / image.shape[1]
    tilt = abs(math.degrees(math.atan2(float(across[1]), float(across[0]))))
    return _WIDTH_SHARE[0] <= share <= _WIDTH_SHARE[1] and tilt <= _TILT_MAX_DEG


class MotionGate:
    """Tells a still scene from one worth looking at, on 80 x 60 pixels."""

    _SIZE = (80, 60)
    # Cells that must change: an eighth of the height of a face that is large enough to compare.
    _CELLS = 8
    # Grey levels; averaging cells of hundreds of pixels leaves sensor noise far below.
    _LEVELS = 10
    # Share of each still frame that the memory takes over, so that dusk is no motion.
    _DRIFT = 0.05
    # Contrast below which a picture shows nothing: a lens covered, or night without light.
    _BLANK = 3.0

    def __init__(self) -> None:
        self._memory: NDArray[np.float32] | None = None
        self.blank = False

    def moved(self, image: Image) -> bool:
        """Take in a frame; return whether it differs from what was last looked at."""
        grey = cv2.cvtColor(
            cv2.resize(image, self._SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY
        ).astype(np.float32)
        self.blank = float(grey.std()) < self._BLANK
        if self._memory is None:
            self._memory = grey
            return True
        changed = int(np.count_nonzero(np.abs(grey - self._memory) > self._LEVELS))
        if changed >= self._CELLS:
            self._memory = grey
            return True
        self._memory += self._DRIFT * (grey - self._memory)
        return False
