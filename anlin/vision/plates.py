"""Number plates in a picture: where they are, what they say, which colour they have.

Tier 2 finds plates with a detector that gives four corners; tier 1 finds any text and keeps what
has the shape of a plate. Both read with the same recogniser and the same grammar beam.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from anlin.core.detection import PlateColour
from anlin.vision import plate_beam
from anlin.vision.log import log
from anlin.vision.models import ModelError, session
from anlin.vision.plate_beam import Reading

Image = NDArray[np.uint8]
Quad = NDArray[np.float32]
"""(4, 2) float32: top left, top right, bottom right, bottom left; pixels of the source frame."""

READ_HEIGHT = 48
# Narrower and the strokes of an eight-character plate touch; wider gained nothing.
READ_WIDTH_MIN, READ_WIDTH_MAX = 168, 240
# The detector cuts close to the characters; a little more ground reads better.
EXPAND = 0.03
# Below this confidence the plate is read again from other cuts of it.
DOUBTFUL = 0.90
# A plate this sure of itself needs no second search at the finer size.
FOUND_SCORE = 0.6
# A text below this confidence is guessed from noise.
READ_MIN = 0.4
MAX_PLATES = 12


@dataclass(frozen=True, slots=True)
class Located:
    """Where a plate is: corners, how sure the locator is (0..1), whether it has two rows."""

    quad: Quad
    score: float
    two_rows: bool = False


@dataclass(frozen=True, slots=True)
class PlateFound:
    """One plate in one picture; `reading` is None where the grammar allowed nothing."""

    quad: Quad
    score: float
    reading: Reading | None
    colour: PlateColour

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Upright box around the corners: x, y, width, height in pixels."""
        x, y = self.quad.min(axis=0)
        right, bottom = self.quad.max(axis=0)
        return float(x), float(y), float(right - x), float(bottom - y)


class Locator(Protocol):
    """Finds plates in a picture."""

    model: str

    def locate(self, image: Image) -> list[Located]:
        """Return plates, best first. image: (H, W, 3) uint8 BGR."""


class CornerDetector:
    """Plates with their four corners from a square single-shot detector (tier 2)."""

    def __init__(self, model: str, side: int) -> None:
        self.model = model
        self._side = side
        self._session = session(model)

    def locate(self, image: Image) -> list[Located]:
        """Return plates, best first."""
        side = self._side
        height, width = image.shape[:2]
        scale = min(side / width, side / height)
        small_w, small_h = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (side - small_w) // 2, (side - small_h) // 2
        canvas = np.zeros((side, side, 3), np.uint8)
        canvas[top : top + small_h, left : left + small_w] = cv2.resize(image, (small_w, small_h))
        blob = cv2.dnn.blobFromImage(canvas, 1 / 255, swapRB=True)
        rows = self._session.run(None, {"input": blob})[0][0]
        rows = rows[rows[:, 4] > _OBJECT_MIN]
        if not len(rows):
            return []
        scores = rows[:, 4] * rows[:, 13:15].max(axis=1)
        boxes = np.column_stack([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]])
        keep = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), _OBJECT_MIN, 0.5)
        found = []
        for index in np.asarray(keep, np.int64).ravel()[:MAX_PLATES]:
            points = (rows[index, 5:13].reshape(4, 2) - (left, top)) / scale
            two_rows = bool(rows[index, 14] > rows[index, 13])
            found.append(Located(_ordered(points), float(scores[index]), two_rows))
        return found


_OBJECT_MIN = 0.3


class TextDetector:
    """Anything that has the shape of a plate among the text of a picture (tier 1)."""

    model = "ppocrv4_det"

    def __init__(self, net: onnxruntime.InferenceSession, side: int) -> None:
        """Search in a picture of at most `side` pixels; one net serves several sides."""
        self._session = net
        self._side = side

    def locate(self, image: Image) -> list[Located]:
        """Return plate-shaped text, best first."""
        height, width = image.shape[:2]
        scale = min(1.0, self._side / max(height, width))
        small_w = max(32, round(width * scale / 32) * 32)
        small_h = max(32, round(height * scale / 32) * 32)
        blob = (cv2.resize(image, (small_w, small_h)).astype(np.float32) / 255 - _MEAN) / _STD
        blob = np.ascontiguousarray(blob.transpose(2, 0, 1)[None], np.float32)
        heat = self._session.run(None, {"x": blob})[0][0, 0]
        mask = (heat > _TEXT_MIN).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        found = []
        for contour in contours:
            centre, size, angle = cv2.minAreaRect(contour)
            if min(size) < 3:
                continue
            # The net marks a shrunken core of the text; this undoes the shrinking (DB, eq. 10).
            grow = 2 * _UNCLIP * size[0] * size[1] / (2 * (size[0] + size[1]))
            score = _mean_inside(heat, cv2.boxPoints((centre, size, angle)))
            full = (size[0] + grow, size[1] + grow)
            points = cv2.boxPoints((centre, full, angle)) * (width / small_w, height / small_h)
            quad = _ordered(points)
            across, down = _sides(quad)
            if score > _TEXT_SCORE and across > _PLATE_MIN_PX and 1.8 < across / down < 7.5:
                found.append(Located(quad, score))
        found.sort(key=lambda located: -located.score)
        return found[:_TEXTS_MAX]


# Half of the work finds the car at the barrier; the finer search is for those further off.
_TEXT_SIDES = (640, 960)
_TEXT_MIN, _TEXT_SCORE, _UNCLIP = 0.3, 0.5, 1.6
_TEXTS_MAX = 12
_PLATE_MIN_PX = 24
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


class Recogniser:
    """Reads one flattened plate."""

    model = "ppocrv4_rec"

    def __init__(self) -> None:
        self._session = session(self.model)
        names = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._alphabet = plate_beam.Alphabet(["", *names, " "], blank=0)

    def read(self, strip: Image, colour: PlateColour = PlateColour.UNKNOWN) -> list[Reading]:
        """Return the likeliest plates, best first. strip: (h, w, 3) uint8 BGR, one row of text."""
        height, width = strip.shape[:2]
        wide = math.ceil(READ_HEIGHT * width / height)
        wide = min(max(wide, READ_WIDTH_MIN), READ_WIDTH_MAX)
        blob = np.zeros((1, 3, READ_HEIGHT, READ_WIDTH_MAX), np.float32)
        resized = cv2.resize(strip, (wide, READ_HEIGHT)).astype(np.float32)
        blob[0, :, :, :wide] = (resized / 127.5 - 1.0).transpose(2, 0, 1)
        output = self._session.run(None, {"x": blob})[0][0]
        return plate_beam.read(output, self._alphabet, colour)


class ColourNet:
    """Blue, green or yellow by a small classifier (tier 2)."""

    model = "litemodel_cls"
    _COLOURS = (PlateColour.BLUE, PlateColour.GREEN, PlateColour.YELLOW)

    def __init__(self) -> None:
        self._session = session(self.model)

    def colour(self, plate: Image) -> PlateColour:
        """Return the ground colour of a flattened plate."""
        blob = cv2.dnn.blobFromImage(plate, 1 / 255, (96, 96))
        return self._COLOURS[int(np.argmax(self._session.run(None, {"data": blob})[0][0]))]


def colour_by_hue(plate: Image) -> PlateColour:
    """Return the ground colour of a flattened plate by its commonest hue; UNKNOWN when unclear."""
    height, width = plate.shape[:2]
    inner = plate[height // 8 : height - height // 8, width // 16 : width - width // 16]
    if inner.size == 0:
        return PlateColour.UNKNOWN
    hue, saturation, value = cv2.split(cv2.cvtColor(inner, cv2.COLOR_BGR2HSV))
    vivid = (saturation > 70) & (value > 40)
    if vivid.mean() > 0.30:
        hues = hue[vivid]
        shares = {
            PlateColour.YELLOW: np.mean((hues >= 14) & (hues < 35)),
            PlateColour.GREEN: np.mean((hues >= 35) & (hues < 90)),
            PlateColour.BLUE: np.mean((hues >= 90) & (hues < 135)),
        }
        best = max(shares, key=lambda colour: shares[colour])
        return best if shares[best] > 0.5 else PlateColour.UNKNOWN
    if vivid.mean() > 0.25:
        return PlateColour.UNKNOWN
    # Characters cover less than half of a plate, so the median is its ground.
    dark, ground, bright = np.percentile(value, (10, 50, 90))
    if bright - dark < 40:
        return PlateColour.UNKNOWN
    blue, _, red = np.median(inner.reshape(-1, 3), axis=0)
    if blue - red > 12:
        return PlateColour.BLUE  # pale or in shadow
    share = (ground - dark) / (bright - dark)
    if share > 0.6:
        return PlateColour.WHITE
    return PlateColour.BLACK if share < 0.35 else PlateColour.UNKNOWN


class PlateReader:
    """Plates of a picture, located, flattened, coloured and read."""

    def __init__(
        self,
        locators: Sequence[Locator],
        recogniser: Recogniser,
        colour_net: ColourNet | None,
        tier: int,
    ) -> None:
        """Locators are tried in order until one finds a sure plate that reads well."""
        self.tier = tier
        self._locators = locators
        self._recogniser = recogniser
        self._colour_net = colour_net

    @property
    def models(self) -> dict[str, str]:
        """Purpose -> model name."""
        names = {"plate_detect": self._locators[0].model, "plate_read": self._recogniser.model}
        if self._colour_net:
            names["plate_colour"] = self._colour_net.model
        return names

    def read(self, image: Image) -> list[PlateFound]:
        """Return the plates of a picture, most confident first.

        image: (H, W, 3) uint8 BGR. Places whose text can't be a plate are left out, unless the
        locator is sure that a plate is there.
        """
        best: list[PlateFound] = []
        in_colour = _in_colour(image)
        for locator in self._locators:
            found = [self._read_one(image, located, in_colour) for located in locator.locate(image)]
            best = _merged(best, [plate for plate in found if plate is not None])
            if any(p.score > FOUND_SCORE and _confidence(p) > DOUBTFUL for p in best):
                break
        return sorted(best, key=lambda plate: -_confidence(plate))

    def _read_one(self, image: Image, located: Located, in_colour: bool) -> PlateFound | None:
        across, down = _sides(located.quad)
        if across < _PLATE_MIN_PX or down < 6:
            return None
        plate = _flatten(image, located.quad, EXPAND)
        colour = self._colour(plate) if in_colour else PlateColour.UNKNOWN
        reading: Reading | None = None
        for expand in _CUTS:
            cut = plate if expand == EXPAND else _flatten(image, located.quad, expand)
            strip = _one_row(cut) if located.two_rows else cut
            for other in self._recogniser.read(strip, colour)[:1]:
                if reading is None or other.confidence > reading.confidence:
                    reading = other
            if reading and reading.confidence > DOUBTFUL:
                break
        if reading and reading.confidence < READ_MIN:
            reading = None
        if reading is None and (self.tier == 1 or located.score < FOUND_SCORE):
            return None
        return PlateFound(located.quad, located.score, reading, colour)

    def _colour(self, plate: Image) -> PlateColour:
        by_hue = colour_by_hue(plate)
        if self._colour_net is None or by_hue in (PlateColour.WHITE, PlateColour.BLACK):
            return by_hue
        return self._colour_net.colour(plate)


_CUTS = (EXPAND, 0.0, 0.08)


def load_plates() -> PlateReader:
    """Return the best reader this machine has the models for.

    Raises:
        ModelError: not even the packages' models are there.
    """
    recogniser = Recogniser()
    try:
        locators = [CornerDetector("y5fu_320", 320), CornerDetector("y5fu_640", 640)]
    except ModelError as error:
        log.warning("tier 1 reads plates", reason=str(error))
        net = session(TextDetector.model)
        texts = [TextDetector(net, side) for side in _TEXT_SIDES]
        return PlateReader(texts, recogniser, None, tier=1)
    try:
        colour_net = ColourNet()
    except ModelError as error:
        log.warning("plate colour by hue", reason=str(error))
        return PlateReader(locators, recogniser, None, tier=2)
    return PlateReader(locators, recogniser, colour_net, tier=2)


def _in_colour(image: Image) -> bool:
    """Whether the camera shows colours at all; by night most are black and white."""
    small = cv2.cvtColor(image[::8, ::8], cv2.COLOR_BGR2HSV)
    return bool(np.mean(small[:, :, 1]) > _COLOUR_MIN)


# Mean saturation; infrared pictures have none but what compression leaves.
_COLOUR_MIN = 6


def _confidence(plate: PlateFound) -> float:
    return plate.reading.confidence if plate.reading else 0.0


def _merged(first: list[PlateFound], second: list[PlateFound]) -> list[PlateFound]:
    merged = list(first)
    for plate in second:
        twin = next((i for i, other in enumerate(merged) if _overlap(plate, other) > 0.3), None)
        if twin is None:
            merged.append(plate)
        elif _confidence(plate) > _confidence(merged[twin]):
            merged[twin] = plate
    return merged


def _overlap(one: PlateFound, other: PlateFound) -> float:
    ax, ay, aw, ah = one.box
    bx, by, bw, bh = other.box
    across = min(ax + aw, bx + bw) - max(ax, bx)
    down = min(ay + ah, by + bh) - max(ay, by)
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / (aw * ah + bw * bh - across * down)


def _ordered(points: NDArray[Any]) -> Quad:
    """Return corners as top left, top right, bottom right, bottom left of the long side up."""
    points = np.asarray(points, np.float32)
    by_x = points[np.argsort(points[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    left = left[np.argsort(left[:, 1])]
    right = right[np.argsort(right[:, 1])]
    return np.array([left[0], right[0], right[1], left[1]], np.float32)


def _sides(quad: Quad) -> tuple[float, float]:
    """Return mean length of the long way and of the short way, in pixels."""
    top, bottom = quad[1] - quad[0], quad[2] - quad[3]
    left, right = quad[3] - quad[0], quad[2] - quad[1]
    across = (float(np.hypot(*top)) + float(np.hypot(*bottom))) / 2
    down = (float(np.hypot(*left)) + float(np.hypot(*right))) / 2
    return across, max(down, 1e-3)


def _mean_inside(heat: NDArray[np.float32], corners: NDArray[Any]) -> float:
    """Return the mean of a heat map inside a quadrilateral."""
    x, y, width, height = cv2.boundingRect(corners)
    x, y = max(0, x), max(0, y)
    part = heat[y : y + height, x : x + width]
    mask = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(corners - (x, y)).astype(np.int32)], 1)
    return float(cv2.mean(part, mask)[0])


def _flatten(image: Image, quad: Quad, expand: float) -> Image:
    """Return the plate cut out and made upright, grown by a share of its size on each side."""
    centre = quad.mean(axis=0)
    grown = centre + (quad - centre) * (1 + 2 * expand)
    across, down = _sides(grown)
    # A quad stretched over the whole frame would ask for no more than the frame.
    width = int(min(max(across, 16), image.shape[1]))
    height = int(min(max(down, 8), image.shape[0]))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(grown.astype(np.float32), corners)
    flat = cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(flat, np.uint8)


def _one_row(plate: Image) -> Image:
    """Return a plate of two rows laid out in one: the upper row left of the lower."""
    height, width = plate.shape[:2]
    lower = plate[height // 3 :]
    upper = cv2.resize(plate[: max(1, height * 5 // 12)], (width, lower.shape[0]))
    return np.hstack([upper, lower])
