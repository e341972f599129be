"""Pictures of deciding frames: small JPEGs named by their content, for the guard to look at."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anlin.vision.log import log

PICTURE_SIDE = 480
PICTURE_QUALITY = 80


def cut_out(
    image: NDArray[np.uint8], box: tuple[float, float, float, float], around: float
) -> NDArray[np.uint8]:
    """Return a box grown by `around` times its size on each side, as far as the frame goes."""
    x, y, width, height = box
    rows, columns = image.shape[:2]
    left = min(max(int(x - around * width), 0), columns - 1)
    top = min(max(int(y - around * height), 0), rows - 1)
    right = min(max(int(x + (1 + around) * width), left + 1), columns)
    bottom = min(max(int(y + (1 + around) * height), top + 1), rows)
    return image[top:bottom, left:right]


def keep(image: NDArray[np.uint8], folder: Path) -> str:
    """Write a picture into the media folder and return its file name; empty if it can't be.

    A full disk costs the picture, never the passage.
    """
    scale = min(1.0, PICTURE_SIDE / max(image.shape[:2]))
    if scale < 1.0:
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY])
    if not done:
        return ""
    content = bytes(jpeg)
    name = f"{hashlib.sha256(content).hexdigest()}.jpg"
    path = folder / name
    try:
        if path.exists():
            return name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp gives mode 0600, which the rename keeps.
        handle, part = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(part).replace(path)
        except OSError:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.error("a picture was not kept", reason=error.strerror)
        return ""
    return name
