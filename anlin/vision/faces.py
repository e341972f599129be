"""Faces in a picture: where they are, and a vector by which a person can be found again.

Tier 1 (dlib, in the packages) and tier 2 (YuNet and reid-0095, pulled) have one interface. Vectors
of all models have length 1; likeness is a score 0..1, higher is more alike, but a score means
nothing without the model: thresholds come from `THRESHOLDS` and are refused for another model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from anlin.core.access import Liveness
from anlin.vision.log import log
from anlin.vision.models import ModelError, resolve, session

Image = NDArray[np.uint8]
Vector = NDArray[np.float32]
"""(D,) float32 of length 1."""

# Faces are looked for in a picture of at most this many pixels a side: at a gate a face that is
# smaller than the net can find there is too small to be compared as well.
DETECT_SIDE = 640
MAX_FACES = 32

Net = TypeVar("Net")


@dataclass(frozen=True, slots=True)
class Face:
    """One face in a picture.

    Attributes:
        box: x, y, width, height in pixels of the source frame; may reach outside it.
        points: (n, 2) float32 pixels: the eye left in the picture, the right one, the nose, and
            with n = 5 the corners of the mouth, left and right in the picture.
        score: 0..1, how sure the detector is.
    """

    box: tuple[float, float, float, float]
    points: NDArray[np.float32]
    score: float


class Detector(Protocol):
    """Finds faces."""

    model: str

    def detect(self, image: Image, side: int = DETECT_SIDE) -> list[Face]:
        """Return faces, largest first, found in a picture of at most `side` pixels.

        image: (H, W, 3) uint8 BGR.
        """


class Embedder(Protocol):
    """Turns a face into a vector of `size` numbers."""

    model: str
    size: int

    def embed(self, image: Image, face: Face) -> Vector:
        """Return the vector of a face that the detector of the same tier found."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where an embedder's scores separate people.

    Attributes:
        identify: score from which the best of a gallery is taken for the person. Measured at 1 %
            of strangers let through by one picture (docs/ref/models.md); votes make it rarer.
        other: score below which two faces are surely two people: 1 % of strangers reach it.
        floor: cosine that is score 0; a cosine of 1 is score 1.
    """

    identify: float
    other: float
    floor: float

    def score(self, cosine: float) -> float:
        """Return the likeness 0..1 of two vectors with this cosine."""
        return min(1.0, max(0.0, (cosine - self.floor) / (1.0 - self.floor)))


# reid-0095 spreads strangers around a cosine of 0. dlib was trained on distance and its vectors all
# point roughly the same way: strangers have a median cosine of 0.84, so its scale starts there. On
# vectors of length 1 the distance is sqrt(2 - 2 cos): the score falls as the distance grows. Length
# 1 also serves dlib better than raw distance (docs/ref/models.md). Its 0.67 is a cosine of 0.947.
THRESHOLDS: dict[str, Threshold] = {
    "reid_0095": Threshold(identify=0.52, other=0.25, floor=0.0),
    "dlib_resnet": Threshold(identify=0.67, other=0.44, floor=0.84),
}


class ThresholdError(ValueError):
    """A threshold that was set for another model."""


def threshold_for(model: str, given: float | None = None, given_model: str = "") -> float:
    """Return the score from which a match counts: the site's own, or the model's.

    Raises:
        ThresholdError: the site's was set for another model, or is not within 0..1.
    """
    if given is None:
        return THRESHOLDS[model].identify
    if given_model and given_model != model:
        raise ThresholdError(f"threshold {given} was set for {given_model}, but {model} compares")
    if not 0.0 < given <= 1.0:
        raise ThresholdError(f"threshold {given}: scores lie between 0 and 1")
    return given


class YuNet:
    """Faces with five points (tier 2)."""

    model = "yunet_n"
    _STRIDES = (8, 16, 32)

    def __init__(self, score_min: float = 0.6) -> None:
        self._session = session(self.model)
        self._score_min = score_min

    def detect(self, image: Image, side: int = DETECT_SIDE) -> list[Face]:
        """Return faces, largest first."""
        scale = min(1.0, side / max(image.shape[:2]))
        small = image if scale == 1.0 else cv2.resize(image, None, fx=scale, fy=scale)
        height, width = small.shape[:2]
        padded = cv2.copyMakeBorder(
            small, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT, value=(0, 0, 0)
        )
        outputs = self._session.run(None, {"input": cv2.dnn.blobFromImage(padded)})
        boxes, points, scores = [], [], []
        for level, stride in enumerate(self._STRIDES):
            cls, obj, bbox, kps = (outputs[level + 3 * kind][0] for kind in range(4))
            score = np.sqrt(cls[:, 0] * obj[:, 0])
            hit = np.flatnonzero(score > self._score_min)
            columns = padded.shape[1] // stride
            cell = np.column_stack([hit % columns, hit // columns]).astype(np.float32)
            size = np.exp(bbox[hit, 2:]) * stride
            boxes.append(np.hstack([(cell + bbox[hit, :2]) * stride - size / 2, size]))
            points.append((kps[hit].reshape(-1, 5, 2) + cell[:, None]) * stride)
            scores.append(score[hit])
        return _faces(np.vstack(boxes), np.concatenate(points), np.concatenate(scores), scale)


def _faces(
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    scale: float,
) -> list[Face]:
    keep = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, 0.3) if len(boxes) else ()
    found = []
    for index in np.asarray(keep, np.int64).ravel()[:MAX_FACES]:
        x, y, width, height = (float(v) for v in boxes[index] / scale)
        spots = (points[index] / scale).astype(np.float32)
        found.append(Face((x, y, width, height), spots, float(scores[index])))
    return sorted(found, key=lambda face: -face.box[2] * face.box[3])


class Reid0095:
    """256 numbers a face, by Intel's face-reidentification-retail-0095 (tier 2)."""

    model = "reid_0095"
    size = 256
    # Where eyes, nose and mouth corners stood in the pictures the net learned from.
    _TEMPLATE = 128 * (
        np.array(
            [
                [30.2946, 51.6963],
                [65.5318, 51.5014],
                [48.0252, 71.7366],
                [33.5493, 92.3655],
                [62.7299, 92.2041],
            ]
        )
        / (96, 112)
    )

    def __init__(self) -> None:
        self._session = session(self.model)

    def embed(self, image: Image, face: Face) -> Vector:
        """Return the vector of a face with five points."""
        matrix = similarity(face.points, self._TEMPLATE)
        chip = cv2.warpAffine(image, matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE)
        output = self._session.run(None, {"0": cv2.dnn.blobFromImage(chip)})[0]
        return unit(output.ravel())


def similarity(points: NDArray[np.float32], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (2, 3) turn, scale and shift that brings points nearest to a target.

    With points as complex numbers it is w = a z + b, and least squares has a closed form.
    """
    z = points[:, 0].astype(np.float64) + 1j * points[:, 1]
    w = target[:, 0] + 1j * target[:, 1]
    spread = z - z.mean()
    a = np.vdot(spread, w - w.mean()) / max(np.vdot(spread, spread).real, 1e-9)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def unit(values: NDArray[np.float32]) -> Vector:
    """Return a vector brought to length 1."""
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-9), np.float32)


class DlibHog:
    """Frontal faces by dlib's compiled-in detector, with eyes and nose (tier 1)."""

    model = "dlib_hog"

    def __init__(self) -> None:
        import dlib

        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(resolve("dlib_5_point")))
        self._rectangle = dlib.rectangle

    def detect(self, image: Image, side: int = DETECT_SIDE) -> list[Face]:
        """Return faces, largest first."""
        scale = min(1.0, side / max(image.shape[:2]))
        small = image if scale == 1.0 else cv2.resize(image, None, fx=scale, fy=scale)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        rectangles, scores, _ = self._detector.run(grey, 0, _HOG_MIN)
        found = []
        for rect, score in list(zip(rectangles, scores, strict=True))[:MAX_FACES]:
            shape = self._predictor(grey, rect)
            corners = np.array([[p.x, p.y] for p in shape.parts()], np.float32)
            # dlib's order: the eye right in the picture (two corners), the left one, the nose.
            points = np.array([corners[2:4].mean(0), corners[0:2].mean(0), corners[4]]) / scale
            box = np.array([rect.left(), rect.top(), rect.width(), rect.height()]) / scale
            x, y, width, height = (float(v) for v in box)
            sure = 1.0 / (1.0 + float(np.exp(-4.0 * score)))
            found.append(Face((x, y, width, height), points.astype(np.float32), sure))
        return sorted(found, key=lambda face: -face.box[2] * face.box[3])


# Below it are folds of curtains; one real face in two hundred is lost with them.
_HOG_MIN = 0.25


class DlibResnet:
    """128 numbers a face, by dlib's residual net (tier 1)."""

    model = "dlib_resnet"
    size = 128

    def __init__(self) -> None:
        import dlib

        self._predictor = dlib.shape_predictor(str(resolve("dlib_5_point")))
        self._net = dlib.face_recognition_model_v1(str(resolve("dlib_resnet")))
        self._rectangle = dlib.rectangle

    def embed(self, image: Image, face: Face) -> Vector:
        """Return the vector of a face that dlib's detector found."""
        x, y, width, height = face.box
        rect = self._rectangle(round(x), round(y), round(x + width) - 1, round(y + height) - 1)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        shape = self._predictor(rgb, rect)
        return unit(np.array(self._net.compute_face_descriptor(rgb, shape), np.float32))


class MaskNet:
    """Whether a mask covers a face (tier 2, optional)."""

    model = "aizoo_mask"

    def __init__(self) -> None:
        self._session = session(self.model)

    def masked(self, image: Image, face: Face) -> bool:
        """Return whether a mask covers the face."""
        x, y, width, height = face.box
        crop = _inside(image, x - 0.35 * width, y - 0.35 * height, 1.7 * width, 1.7 * height)
        blob = cv2.dnn.blobFromImage(crop, 1 / 255, (260, 260), swapRB=True)
        (score,) = self._session.run(["score"], {self._session.get_inputs()[0].name: blob})
        mask, bare = score[0].max(axis=0)
        return bool(mask > bare)


class LivenessNet:
    """Whether a face is a print or a screen, by two nets at two distances (tier 2, optional)."""

    model = "minifasnet_v2+v1se"
    _NETS = (("minifasnet_v2", 2.7), ("minifasnet_v1se", 4.0))

    def __init__(self) -> None:
        self._sessions = [(session(name), scale) for name, scale in self._NETS]

    def alive(self, image: Image, face: Face) -> float:
        """Return 0..1, higher is more alive."""
        scores = []
        for net, scale in self._sessions:
            blob = cv2.dnn.blobFromImage(_around(image, face.box, scale), 1.0, (80, 80))
            (logits,) = net.run(None, {"input": blob})
            shares = np.exp(logits[0] - logits[0].max())
            scores.append(float(shares[1] / shares.sum()))
        return sum(scores) / len(scores)


# The net's authors take the likeliest class; between the two marks we say that we don't know.
LIVE_FROM, SPOOF_BELOW = 0.6, 0.4


def liveness(score: float | None) -> Liveness:
    """Return what a liveness score (None: no model) says."""
    if score is None:
        return Liveness.UNAVAILABLE
    if score >= LIVE_FROM:
        return Liveness.LIVE
    return Liveness.SPOOF if score < SPOOF_BELOW else Liveness.UNKNOWN


def _inside(image: Image, x: float, y: float, width: float, height: float) -> Image:
    """Return the part of a rectangle that lies in the picture; at least one pixel."""
    rows, columns = image.shape[:2]
    left, top = min(max(int(x), 0), columns - 1), min(max(int(y), 0), rows - 1)
    right, bottom = min(max(int(x + width), left + 1), columns), int(y + height)
    return image[top : min(max(bottom, top + 1), rows), left:right]


def _around(image: Image, box: tuple[float, float, float, float], scale: float) -> Image:
    """Return a face with its surroundings, moved so that it stays inside the picture."""
    x, y, width, height = box
    rows, columns = image.shape[:2]
    scale = min((rows - 1) / height, (columns - 1) / width, scale)
    wide, high = width * scale, height * scale
    left = min(max(x + width / 2 - wide / 2, 0.0), columns - 1 - wide)
    top = min(max(y + height / 2 - high / 2, 0.0), rows - 1 - high)
    return _inside(image, left, top, wide + 1, high + 1)


@dataclass(frozen=True, slots=True)
class FaceKit:
    """What a machine has for faces; `mask` and `live` are None where no model is installed."""

    tier: int
    detector: Detector
    embedder: Embedder
    mask: MaskNet | None = None
    live: LivenessNet | None = None

    @property
    def models(self) -> dict[str, str]:
        """Purpose -> model name."""
        names = {"face_detect": self.detector.model, "face_embed": self.embedder.model}
        if self.mask:
            names["face_mask"] = self.mask.model
        if self.live:
            names["face_liveness"] = self.live.model
        return names


def load_faces(with_liveness: bool = True) -> FaceKit:
    """Return the best models this machine has: tier 2 if detector and embedder are there.

    Args:
        with_liveness: also load the liveness nets; a photograph for enrolment is never alive.

    Raises:
        ModelError: not even the packages' models are there.
    """
    try:
        detector, embedder = YuNet(), Reid0095()
    except ModelError as error:
        log.warning("tier 1 compares faces", reason=str(error))
        return FaceKit(1, DlibHog(), DlibResnet())
    live = _optional(LivenessNet) if with_liveness else None
    return FaceKit(2, detector, embedder, _optional(MaskNet), live)


def _optional(load: Callable[[], Net]) -> Net | None:
    try:
        return load()
    except ModelError as error:
        log.warning("a check on faces is not available", reason=str(error))
        return None
