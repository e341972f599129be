"""What a camera worker is told and what it reports: one message a line, never a picture in it.

The edge writes `Configure`, `GalleryAdd` and `GalleryRemove` to a worker's standard input; the
worker writes `WorkerReady`, `WorkerState`, `FaceSeen` and `PlateSeen` to its standard output.
`to_line` and `from_line` turn each into one line of JSON with a `type` tag and back. Times are
aware UTC: when the frame was captured, never when it was looked at.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from anlin.core.access import Liveness
from anlin.core.codec import DataError, canonical_json, from_data, to_data

MAX_LINE_BYTES = 8 << 20
"""Longest line of the protocol: a chunk of some thousand templates fits, a flood does not."""


class Task(StrEnum):
    """What a camera worker looks for."""

    FACES = "faces"
    PLATES = "plates"


class CameraState(StrEnum):
    """How the stream of one camera is."""

    ONLINE = "online"
    STALLED = "stalled"  # connected, but no new frame
    UNREACHABLE = "unreachable"
    COVERED = "covered"  # frames come, but they show nothing: lens covered, or night without light
    BAD_FRAMES = "bad_frames"  # connected, but what comes is no picture


class PlateColour(StrEnum):
    """Ground colour of a number plate; GREEN also stands for the yellow-green of large vehicles."""

    BLUE = "blue"
    YELLOW = "yellow"
    GREEN = "green"
    WHITE = "white"
    BLACK = "black"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Configure:
    """Start watching `source`; the first message a worker gets, once.

    Attributes:
        source: rtsp://, http:// (MJPEG), a video file, a folder of pictures or `usb:0`.
        camera: name of the camera in every report.
        media: folder for the pictures of deciding frames.
        fps: frames a second that are looked at, at most.
        threshold: score from which a face is the enrolled holder's; None takes the model's own.
        threshold_model: the model `threshold` was set for; the worker refuses it for another.
        margin: least lead in score over the second best holder.
        votes: frames that must agree before anything is reported.
        liveness: whether faces are tested for being living ones, where there is a model for it;
            without, a decision hears "unavailable".
    """

    source: str
    task: Task
    camera: str
    media: str
    fps: float = 8.0
    threshold: float | None = None
    threshold_model: str = ""
    margin: float = 0.05
    votes: int = 3
    liveness: bool = True


@dataclass(frozen=True, slots=True)
class GalleryTemplate:
    """One enrolled face: whose it is, and its vector (base64 of little-endian float16)."""

    credential: str
    holder: str
    vector: str


@dataclass(frozen=True, slots=True)
class GalleryAdd:
    """Templates to know from now on; those made by another model are counted and ignored."""

    model: str
    templates: tuple[GalleryTemplate, ...]


@dataclass(frozen=True, slots=True)
class GalleryRemove:
    """Credentials to forget at once."""

    credentials: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The models are loaded and frames are being looked at.

    Attributes:
        tier: 2 with the models of a pull or a folder, 1 with what the packages carry.
        models: purpose -> model, e.g. {"face_embed": "reid_0095"}.
        threshold: the score in force; 0 where the task has none.
    """

    camera: str
    tier: int
    models: dict[str, str]
    threshold: float


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The camera's state changed, or a regular sign of life.

    Attributes:
        detail: what went wrong, for a person; empty while online.
        fps: frames a second looked at or passed over as still, since the last report.
        gallery: templates that can be recognised.
        ignored_templates: templates refused since the start (another model, or not a vector).
    """

    camera: str
    state: CameraState
    detail: str = ""
    fps: float = 0.0
    gallery: int = 0
    ignored_templates: int = 0


@dataclass(frozen=True, slots=True)
class FaceSeen:
    """One person's face, judged over several frames: once per track, and again if it becomes known.

    Attributes:
        track: number of the track in this worker's life.
        at: when the deciding frame was captured.
        first_at: when the first frame of the track was captured.
        credential: the template that matched; empty for an unknown face.
        holder: whose it is; empty for an unknown face.
        score: likeness to the best holder, 0..1, higher is more alike; 0 with an empty gallery.
        runner_up: likeness to the second best holder.
        threshold: score that had to be reached.
        frames: frames of this track with a face good enough to be compared.
        votes: those that agreed.
        masked: whether a mask covers the face; None where no model can tell.
        liveness_score: 0..1, higher is more alive; None where no model can tell.
        picture: file name in the media folder; empty where none could be written.
        faces_in_view: faces in the deciding frame.
        model: the model that compared.
    """

    camera: str
    track: int
    at: datetime
    first_at: datetime
    credential: str
    holder: str
    score: float
    runner_up: float
    threshold: float
    frames: int
    votes: int
    masked: bool | None = None
    liveness: Liveness = Liveness.UNAVAILABLE
    liveness_score: float | None = None
    picture: str = ""
    faces_in_view: int = 1
    model: str = ""


@dataclass(frozen=True, slots=True)
class PlateSeen:
    """One number plate, read over several frames; once per track.

    Attributes:
        text: the plate in canonical form; empty when it could not be read.
        kind: kind of plate by its pattern, e.g. "standard"; empty with an empty text.
        confidence: 0..1, of the whole text over the frames that agreed.
        characters: 0..1 for each character of `text`.
        vehicle: whether it sits on a vehicle; None where nothing but the plate was looked at.
    """

    camera: str
    track: int
    at: datetime
    first_at: datetime
    text: str
    kind: str
    colour: PlateColour
    confidence: float
    frames: int
    votes: int
    vehicle: bool | None = None
    picture: str = ""
    model: str = ""
    characters: tuple[float, ...] = ()


ToWorker = Configure | GalleryAdd | GalleryRemove
FromWorker = WorkerReady | WorkerState | FaceSeen | PlateSeen
Message = ToWorker | FromWorker

_TYPES: dict[str, type[Message]] = {
    re.sub(r"(?<=.)(?=[A-Z])", "_", kind.__name__).lower(): kind
    for kind in (
        Configure,
        GalleryAdd,
        GalleryRemove,
        WorkerReady,
        WorkerState,
        FaceSeen,
        PlateSeen,
    )
}
_TAGS = {kind: tag for tag, kind in _TYPES.items()}


def to_line(message: Message) -> bytes:
    """Write a message as one line of JSON, newline included."""
    return canonical_json({"type": _TAGS[type(message)], **to_data(message)}) + b"\n"


def from_line(line: bytes) -> Message:
    """Read one line of the protocol.

    Raises:
        DataError: too long, no JSON object, an unknown type, or fields that do not fit it.
    """
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"worker message: {len(line)} bytes, more than {MAX_LINE_BYTES}")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"worker message: {len(line)} bytes that are not JSON") from None
    if not isinstance(data, dict):
        raise DataError(f"worker message: {len(line)} bytes that are not a JSON object")
    kind = _TYPES.get(str(data.pop("type", "")))
    if kind is None:
        raise DataError(f"worker message: its type is none of {', '.join(_TYPES)}")
    return from_data(kind, data)
