"""Whether a face is good enough to be compared, and if not, what a person can do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from anlin.vision.faces import Face, Image


class QualityFault(StrEnum):
    """What is wrong with a picture of a face; one sentence each in the catalogue."""

    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    TURNED_AWAY = "turned_away"
    NOT_A_PICTURE = "not_a_picture"
    TOO_LARGE_PICTURE = "too_large_picture"
    MASKED = "masked"


@dataclass(frozen=True, slots=True)
class Quality:
    """How one face looks.

    Attributes:
        size_px: shorter side of its box in the source frame.
        sharpness: variance of the Laplacian on a face of 112 pixels, in units of its own
            contrast: 0.06 for the middle one of 200 press photographs, 0.02 for the worst, 0.01
            when they are blurred by two pixels, 0.005 by four.
        brightness: mean grey of the face, 0..255.
        turn: how far the nose is from between the eyes, in eye distances; 0 is frontal.
        tilt_deg: how far the line through the eyes is from level.
    """

    size_px: float
    sharpness: float
    brightness: float
    turn: float
    tilt_deg: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What is good enough."""

    size_px: float
    sharpness: float
    dark: float
    bright: float
    turn: float
    tilt_deg: float


# A template is compared for years, a frame for a moment: enrolment asks for more.
ENROL = Limits(size_px=80, sharpness=0.012, dark=50, bright=225, turn=0.35, tilt_deg=25)
WATCH = Limits(size_px=36, sharpness=0.005, dark=25, bright=240, turn=0.45, tilt_deg=40)


def measure(image: Image, face: Face) -> Quality:
    """Return how a face looks. image: (H, W, 3) uint8 BGR, where the face was found."""
    import cv2
    import numpy as np

    x, y, width, height = face.box
    rows, columns = image.shape[:2]
    left, top = max(0, int(x)), max(0, int(y))
    right, bottom = min(columns, math.ceil(x + width)), min(rows, math.ceil(y + height))
    crop = image[top:bottom, left:right]
    turn, tilt = _pose(face.points)
    if crop.size == 0:
        return Quality(min(width, height), 0.0, 0.0, turn, tilt)
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (112, 112), interpolation=cv2.INTER_AREA).astype(np.float32)
    contrast = float(small.var())
    laplacian = float(cv2.Laplacian(small, cv2.CV_32F).var())
    sharpness = laplacian / contrast if contrast > 1.0 else 0.0
    return Quality(min(width, height), sharpness, float(grey.mean()), turn, tilt)


def faults(quality: Quality, limits: Limits) -> list[QualityFault]:
    """Return what is not good enough, the most useful to know first."""
    checks = (
        (quality.size_px < limits.size_px, QualityFault.TOO_SMALL),
        (quality.brightness < limits.dark, QualityFault.TOO_DARK),
        (quality.brightness > limits.bright, QualityFault.TOO_BRIGHT),
        (
            quality.turn > limits.turn or quality.tilt_deg > limits.tilt_deg,
            QualityFault.TURNED_AWAY,
        ),
        (quality.sharpness < limits.sharpness, QualityFault.BLURRED),
    )
    return [fault for failed, fault in checks if failed]


def _pose(points: NDArray[np.float32]) -> tuple[float, float]:
    """Return (turn, tilt in degrees) from the eyes and the nose."""
    left, right, nose = points[0], points[1], points[2]
    across = right - left
    distance = math.hypot(*across)
    if distance < 1.0:
        return math.inf, 90.0
    along = across / distance
    turn = abs(float((nose - (left + right) / 2) @ along)) / distance
    return turn, abs(math.degrees(math.atan2(float(across[1]), float(across[0]))))
