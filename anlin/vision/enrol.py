"""A template from a photograph, or what is wrong with the photograph.

Importing this module is cheap; models load with the first picture and stay.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from anlin.vision.quality import ENROL, Quality, QualityFault, faults, measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from anlin.vision.faces import Face, FaceKit

MAX_PIXELS = 40_000_000
"""A good telephone takes 12 to 50 million; decoded, 40 million are 120 MB."""
MAX_BYTES = 30 << 20
# Faces are searched at 640 pixels a side, and at twice that when none was found: someone who had
# the picture taken from three steps away. More than 2000 adds nothing to a template.
FINE_SIDE = 1280
WORK_SIDE = 2000
CROP_PX = 320


class EnrolError(ValueError):
    """A photograph that gives no template; `fault` for the sentence, `detail` for the log."""

    def __init__(self, fault: QualityFault, detail: str) -> None:
        super().__init__(f"photograph: {detail}")
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A template ready to be stored.

    Attributes:
        vector: little-endian float16.
        model: the embedder that made it; it matches only with templates of the same.
        crop_jpeg: the face cut out, for the person who checks it.
    """

    vector: bytes
    model: str
    quality: Quality
    crop_jpeg: bytes


def enrol(image_bytes: bytes) -> Enrolled:
    """Return the template of the one face in a photograph (JPEG, PNG, WebP, BMP).

    Raises:
        EnrolError: no picture, too large, no face or several, or a face not good enough.
        anlin.vision.models.ModelError: not even the packages' models are installed.
    """
    image = decode(image_bytes)
    kit = _kit()
    face = _only_face(kit, image)
    quality = measure(image, face)
    for fault in faults(quality, ENROL):
        raise EnrolError(fault, _detail(fault, quality))
    if kit.mask and kit.mask.masked(image, face):
        raise EnrolError(QualityFault.MASKED, "a mask covers the face")
    vector = kit.embedder.embed(image, face)
    return Enrolled(vector.astype("<f2").tobytes(), kit.embedder.model, quality, _crop(image, face))


def decode(image_bytes: bytes) -> NDArray[np.uint8]:
    """Return a photograph's pixels, (H, W, 3) uint8 BGR, upright, at most 2000 a side.

    Raises:
        EnrolError: not a picture, cut short, or larger than 40 megapixels; the size is read from
            the header, before any pixel is unpacked.
    """
    import cv2
    import numpy as np
    from PIL import Image, ImageOps

    if len(image_bytes) > MAX_BYTES:
        raise EnrolError(
            QualityFault.TOO_LARGE_PICTURE, f"{len(image_bytes)} bytes, at most {MAX_BYTES}"
        )
    try:
        with Image.open(io.BytesIO(image_bytes), formats=("JPEG", "PNG", "WEBP", "BMP")) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise EnrolError(
                    QualityFault.TOO_LARGE_PICTURE,
                    f"{width} x {height} pixels, at most {MAX_PIXELS // 1_000_000} megapixels",
                )
            picture.draft("RGB", (WORK_SIDE, WORK_SIDE))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except Image.DecompressionBombError as error:
        raise EnrolError(QualityFault.TOO_LARGE_PICTURE, "more pixels than memory") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, EnrolError):
            raise
        raise EnrolError(
            QualityFault.NOT_A_PICTURE, "not a whole JPEG, PNG, WebP or BMP"
        ) from error
    upright.thumbnail((WORK_SIDE, WORK_SIDE))
    return np.asarray(cv2.cvtColor(np.asarray(upright), cv2.COLOR_RGB2BGR), np.uint8)


@cache
def _kit() -> FaceKit:
    import cv2

    from anlin.vision.faces import load_faces

    cv2.setNumThreads(1)
    return load_faces(with_liveness=False)


def _only_face(kit: FaceKit, image: NDArray[np.uint8]) -> Face:
    found = kit.detector.detect(image) or kit.detector.detect(image, FINE_SIDE)
    if not found:
        raise EnrolError(QualityFault.NO_FACE, "no face found")
    # People in the background don't matter; two of a size do.
    area = found[0].box[2] * found[0].box[3]
    rivals = [face for face in found[1:] if face.box[2] * face.box[3] > area * _RIVAL_SHARE]
    if rivals:
        raise EnrolError(QualityFault.SEVERAL_FACES, f"{1 + len(rivals)} faces of like size")
    return found[0]


_RIVAL_SHARE = 0.25


def _detail(fault: QualityFault, quality: Quality) -> str:
    values = {
        QualityFault.TOO_SMALL: f"the face is {quality.size_px:.0f} pixels wide, "
        f"at least {ENROL.size_px:.0f}",
        QualityFault.BLURRED: f"sharpness {quality.sharpness:.3f}, at least {ENROL.sharpness}",
        QualityFault.TOO_DARK: f"brightness {quality.brightness:.0f}, at least {ENROL.dark:.0f}",
        QualityFault.TOO_BRIGHT: f"brightness {quality.brightness:.0f}, at most {ENROL.bright:.0f}",
        QualityFault.TURNED_AWAY: f"turned by {quality.turn:.2f} eye distances, "
        f"tilted by {quality.tilt_deg:.0f} degrees",
    }
    return values[fault]


def _crop(image: NDArray[np.uint8], face: Face) -> bytes:
    import cv2

    x, y, width, height = face.box
    side = 1.6 * max(width, height)
    left, top = max(0, int(x + width / 2 - side / 2)), max(0, int(y + height / 2 - side / 2))
    crop = image[top : top + int(side), left : left + int(side)]
    scale = min(1.0, CROP_PX / max(crop.shape[:2]))
    small = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise EnrolError(QualityFault.NOT_A_PICTURE, "the cut-out face can't be written as JPEG")
    return bytes(jpeg)
