"""The faces a camera knows: exact open-set search over the templates of one model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anlin.vision.faces import THRESHOLDS, Vector, unit

CAPACITY = 50_000
"""Templates a gallery takes: 50 MiB and 4 ms a search at 256 numbers each."""

_FIRST_ROWS = 256


class GalleryError(ValueError):
    """A template that can't be added; says which credential and which rule."""


@dataclass(frozen=True, slots=True)
class Match:
    """The best holder of a gallery for one face, and how near the next holder comes.

    Attributes:
        score: 0..1; 0 with empty names where the gallery is empty.
        runner_up: score of the best template of any other holder; 0 where there is none.
    """

    credential: str = ""
    holder: str = ""
    score: float = 0.0
    runner_up: float = 0.0

    def accepted(self, threshold: float, margin: float) -> bool:
        """Whether the face is this holder's: alike enough, and more than anyone else's."""
        return bool(self.holder) and (
            self.score >= threshold and self.score - self.runner_up >= margin
        )


class Gallery:
    """Templates by credential; a holder may have several, each under its own credential."""

    def __init__(self, model: str, size: int) -> None:
        """Start empty.

        Args:
            model: the embedder whose vectors are compared; it sets the scale of scores.
            size: numbers in a vector.
        """
        self.model = model
        self._scale = THRESHOLDS[model]
        self._rows: NDArray[np.float32] = np.zeros((_FIRST_ROWS, size), np.float32)
        self._owners: NDArray[np.int64] = np.zeros(_FIRST_ROWS, np.int64)
        self._credentials: list[str] = []
        self._place: dict[str, int] = {}
        self._holders: dict[str, int] = {}
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self._credentials)

    def add(self, credential: str, holder: str, vector: bytes) -> None:
        """Know one more template, or another one under a known credential.

        Args:
            credential: whose template it is.
            holder: whose credential it is.
            vector: little-endian float16, any length but zero.

        Raises:
            GalleryError: not a vector of this model, or the gallery is full.
        """
        size = self._rows.shape[1]
        if len(vector) != 2 * size:
            raise GalleryError(
                f"template {credential}: {len(vector)} bytes, {self.model} has {2 * size}"
            )
        values = np.frombuffer(vector, "<f2").astype(np.float32)
        if not np.isfinite(values).all() or not values.any():
            raise GalleryError(f"template {credential}: not a direction in space")
        place = self._place.get(credential)
        if place is None:
            place = self._room(credential)
        self._rows[place] = unit(values)
        self._owners[place] = self._owner(holder)

    def remove(self, credential: str) -> bool:
        """Forget a credential's template at once; False where it was not known."""
        place = self._place.pop(credential, None)
        if place is None:
            return False
        last = len(self._credentials) - 1
        if place != last:
            moved = self._credentials[last]
            self._rows[place], self._owners[place] = self._rows[last], self._owners[last]
            self._credentials[place] = moved
            self._place[moved] = place
        self._rows[last] = 0.0
        self._credentials.pop()
        return True

    def match(self, vector: Vector) -> Match:
        """Return the likeliest holder of a face. vector: (D,) float32 of length 1."""
        count = len(self._credentials)
        if not count:
            return Match()
        cosines = self._rows[:count] @ vector
        owners = self._owners[:count]
        best = int(cosines.argmax())
        score = self._scale.score(float(cosines[best]))
        cosines[owners == owners[best]] = -np.inf
        second = float(cosines.max())
        return Match(
            self._credentials[best],
            self._names[int(owners[best])],
            score,
            self._scale.score(second) if np.isfinite(second) else 0.0,
        )

    def _room(self, credential: str) -> int:
        place = len(self._credentials)
        if place >= CAPACITY:
            raise GalleryError(f"template {credential}: the gallery is full with {CAPACITY}")
        if place == len(self._rows):
            rows = min(2 * place, CAPACITY)
            self._rows = np.vstack([self._rows, np.zeros_like(self._rows[: rows - place])])
            self._owners = np.concatenate([self._owners, np.zeros(rows - place, np.int64)])
        self._credentials.append(credential)
        self._place[credential] = place
        return place

    def _owner(self, holder: str) -> int:
        number = self._holders.get(holder)
        if number is None:
            number = self._holders[holder] = len(self._names)
            self._names.append(holder)
        return number
