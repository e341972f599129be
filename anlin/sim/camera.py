"""What stands before a camera: nothing, a person for some seconds, or a car."""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]

GATE_SIZE = (640, 480)
LANE_SIZE = (640, 480)

_NOISE = 4
_SWAY_PX = 3.0
_SWAY_PERIOD_S = 2.3


class Camera:
    """A view that `draw` gives at any moment; `show` puts a picture before it for a while."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._empty = _background(size)
        self._scene = self._empty
        self._until = 0.0
        rng = np.random.default_rng(7)
        self._noise = [
            rng.integers(-_NOISE, _NOISE + 1, self._empty.shape, np.int16) for _ in range(4)
        ]
        self._nobody = [_with_noise(self._empty, noise) for noise in self._noise]
        self._count = 0

    def show(self, picture: Picture, seconds: float) -> None:
        """Put a picture, (H, W, 3) uint8 RGB, before the camera; it fills the height."""
        self._scene = compose(self._empty, picture)
        self._until = time.monotonic() + seconds

    def clear(self) -> None:
        """Whoever stood there has gone."""
        self._until = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nobody stands there now."""
        return time.monotonic() >= self._until

    def draw(self) -> Picture:
        """Give the view now: nobody stands quite still, and no sensor is without noise."""
        now = time.monotonic()
        self._count += 1
        turn = self._count % len(self._noise)
        if now >= self._until:
            return self._nobody[turn]
        angle = 2 * math.pi * now / _SWAY_PERIOD_S
        sway = (round(_SWAY_PX * math.sin(angle / 2)), round(_SWAY_PX * math.sin(angle)))
        return _with_noise(np.roll(self._scene, sway, axis=(0, 1)), self._noise[turn])


def compose(empty: Picture, picture: Picture) -> Picture:
    """Put a picture into the middle of a view, as large as it fits."""
    height, width = empty.shape[:2]
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    fitted = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    scene = empty.copy()
    scene[top : top + size[1], left : left + size[0]] = fitted
    return scene


def _with_noise(scene: Picture, noise: NDArray[np.int16]) -> Picture:
    return np.asarray(np.clip(scene + noise, 0, 255), np.uint8)


def _background(size: tuple[int, int]) -> Picture:
    """Draw an entrance with nobody in it: a wall in morning light and a paved floor."""
    width, height = size
    rows = np.linspace(0.0, 1.0, height)[:, None]
    columns = np.linspace(-1.0, 1.0, width)[None, :]
    wall = 150 - 30 * rows + 20 * np.cos(columns * 2)
    floor = 95 + 25 * rows + 6 * np.sin(columns * 40)
    grey = np.where(rows < 0.72, wall, floor)
    tint = np.array([1.0, 0.98, 0.92])
    return np.asarray(np.clip(grey[:, :, None] * tint, 0, 255), np.uint8)
