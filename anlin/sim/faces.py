"""Whose faces come to the gate: one picture to enrol, others to be seen.

Labelled photographs are read from the shared folder where there is one and never copied. Without
it two portraits in the public domain do, which the packages of the demo extra carry: Grace Hopper
(US Navy, in matplotlib) and Eileen Collins (NASA, in scikit-image). Another picture of the same
person is then the same photograph in another light, another frame, from the other side.
"""

from __future__ import annotations

import csv
import importlib.resources
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from anlin.sim.camera import Picture
from anlin.testing import shared_folder

MIN_FACE_PX = 95
"""Enrolment asks for a face of a good size; smaller ones of the folder are passed over."""


@dataclass(frozen=True, slots=True)
class Person:
    """Pictures of one person: `enrolled` is a file's bytes, the others are for cameras."""

    name: str
    enrolled: bytes
    seen: Picture
    masked: Picture | None = None

    @property
    def seen_file(self) -> bytes:
        """The picture for cameras as a file, to judge it as a photograph is judged."""
        return _jpeg(Image.fromarray(self.seen))


def people() -> Iterator[Person]:
    """Yield people of whom there are pictures, those with a mask first; maybe nobody."""
    folder = shared_folder()
    if folder is not None and (folder / "data/faces/lfw/labels.csv").is_file():
        yield from _labelled(folder / "data/faces")
    else:
        yield from _public_domain()


def _labelled(folder: Path) -> Iterator[Person]:
    """Yield people with three pictures in which the face is large; first those with a mask."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "lfw/labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["identity"]].append(row)
    with (folder / "masked_lfw/labels.csv").open(newline="") as file:
        masks = {row["identity"]: row["file"] for row in csv.DictReader(file)}
    able = [
        (identity, pictures)
        for identity, pictures in rows.items()
        if len(pictures) >= 3 and all(float(p["yunet_w"]) >= MIN_FACE_PX for p in pictures[:3])
    ]
    able.sort(key=lambda pair: pair[0] not in masks)
    for identity, pictures in able:
        first, _, third = (folder / "lfw" / picture["file"] for picture in pictures[:3])
        mask = masks.get(identity)
        yield Person(
            identity,
            first.read_bytes(),
            _rgb(Image.open(third)),
            None if mask is None else _rgb(Image.open(folder / "masked_lfw" / mask)),
        )


def _public_domain() -> Iterator[Person]:
    collins = _carried("skimage", "data/astronaut.png")
    hopper = _carried("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")
    if collins is None or hopper is None:
        return
    # Where the face is in each photograph: left, top, right, bottom.
    yield _person("Eileen Collins", collins.crop((60, 0, 400, 300)), (112, 40, 218, 196))
    yield _person("Grace Hopper", hopper.crop((60, 0, 460, 400)), (124, 60, 276, 300))


def _person(name: str, portrait: Image.Image, face: tuple[int, int, int, int]) -> Person:
    other = portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    width, height = other.size
    other = other.crop((width // 20, 0, width, height - height // 20))
    other = ImageEnhance.Brightness(other).enhance(1.15)
    other = ImageEnhance.Contrast(other).enhance(0.9)
    return Person(name, _jpeg(portrait), _rgb(other), _rgb(_with_mask(portrait, face)))


def _with_mask(portrait: Image.Image, face: tuple[int, int, int, int]) -> Image.Image:
    """Draw a paper mask over the lower half of a face."""
    left, top, right, bottom = face
    middle = top + (bottom - top) * 0.56
    masked = portrait.copy()
    draw = ImageDraw.Draw(masked)
    chin = (left + right) / 2
    inset = (right - left) * 0.12
    shape = [
        (left + inset / 2, middle),
        (chin, middle - (bottom - top) * 0.06),
        (right - inset / 2, middle),
        (right - inset, bottom - (bottom - top) * 0.12),
        (chin, bottom + (bottom - top) * 0.03),
        (left + inset, bottom - (bottom - top) * 0.12),
    ]
    draw.polygon(shape, fill=(206, 226, 236))
    for fold in (0.3, 0.5, 0.7):
        y = middle + (bottom - middle) * fold
        draw.line([(left + inset, y), (right - inset, y)], fill=(170, 195, 208), width=2)
    for x, out in ((left + inset / 2, -0.12), (right - inset / 2, 0.12)):
        ear = x + (right - left) * out
        draw.line(
            [(x, middle), (ear, middle - (bottom - top) * 0.1)], fill=(225, 232, 236), width=3
        )
    return masked


def _carried(package: str, path: str) -> Image.Image | None:
    """Open a picture that an installed package carries."""
    try:
        data = (importlib.resources.files(package) / path).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        return None
    return Image.open(io.BytesIO(data)).convert("RGB")


def _jpeg(image: Image.Image) -> bytes:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=92)
    return stored.getvalue()


def _rgb(image: Image.Image) -> Picture:
    return np.asarray(image.convert("RGB"), np.uint8)
