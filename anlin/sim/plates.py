"""Which cars come to the lane: labelled scenes where there are some, otherwise drawn ones.

A drawn plate follows GA 36-2018: 440 x 140 mm, white on blue, or 480 x 140 mm, black on green. The
province is drawn with strokes of our own, because no font that is always there has it.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from anlin.core.plate import PlateError, parse
from anlin.sim.camera import Picture
from anlin.testing import shared_folder

MIN_PLATE_PX = 150
MAX_PLATE_PX = 280
MAX_TURN_DEG = 4.0

_DRAWN_SIZE = (960, 720)
_BLUE, _GREEN, _WHITE, _BLACK = (20, 60, 170), (120, 200, 110), (245, 245, 245), (15, 15, 15)
_STROKES: dict[str, list[list[tuple[float, float]]]] = {
    # On a grid of 10 x 20, the shape of a plate's character.
    "川": [[(2, 2), (2, 12), (0, 19)], [(5, 4), (5, 16)], [(8.5, 2), (8.5, 19)]],
    "京": [
        [(5, 0), (5, 3.5)],
        [(0, 4), (10, 4)],
        [(2, 7), (8, 7), (8, 11.5), (2, 11.5), (2, 7)],
        [(5, 11.5), (5, 19), (3.6, 18)],
        [(2.6, 13.5), (0.4, 18)],
        [(7.4, 13.5), (9.6, 18)],
    ],
}


@dataclass(frozen=True, slots=True)
class Car:
    """A car before the lane's camera: its plate in canonical form, and the picture."""

    plate: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Cars:
    """One car of a resident, and one that nobody here knows."""

    resident: Car
    foreign: Car


def load() -> Cars:
    """Find two cars: photographed if the shared folder is there, drawn otherwise."""
    folder = shared_folder()
    if folder is not None and (folder / "data/plates/easypr/labels.csv").is_file():
        found = _photographed(folder / "data/plates/easypr")
        if len(found) > 1:
            return Cars(found[0], found[1])
    return Cars(Car("川A8L2K6", drawn_car("川A8L2K6")), Car("京N7P3T5", drawn_car("京N7P3T5")))


def drawn_car(text: str) -> Picture:
    """Draw the front of a car with a plate, (H, W, 3) uint8 RGB."""
    width, height = _DRAWN_SIZE
    image = Image.new("RGB", _DRAWN_SIZE, (128, 130, 132))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.78, width, height), fill=(88, 88, 90))
    body = (158, 40, 42)
    left, right = width * 0.2, width * 0.8
    draw.polygon(
        [(width * 0.3, 150), (width * 0.7, 150), (width * 0.76, 320), (width * 0.24, 320)],
        fill=(52, 62, 72),
    )
    draw.rounded_rectangle((left, 310, right, 600), 40, fill=body)
    draw.rounded_rectangle((width * 0.38, 370, width * 0.62, 430), 10, fill=(36, 36, 38))
    for x in (left + 20, right - 110):
        draw.ellipse((x, 355, x + 90, 420), fill=(236, 236, 214))
    for x in (left + 20, right - 100):
        draw.rounded_rectangle((x, 590, x + 80, 650), 12, fill=(22, 22, 24))
    plate = drawn_plate(text).resize((220, 70) if len(text) == 7 else (240, 70))
    image.paste(plate, ((width - plate.width) // 2, 490))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.6)), np.uint8)


def drawn_plate(text: str) -> Image.Image:
    """Draw a plate of 7 characters (blue) or 8 (green, new energy), four pixels to 4 mm."""
    is_green = len(text) == 8
    width = 480 if is_green else 440
    ground, ink = (_GREEN, _BLACK) if is_green else (_BLUE, _WHITE)
    image = Image.new("RGB", (width, 140), ground)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((4, 4, width - 5, 135), 12, outline=ink, width=4)
    pitch = (width - 32 - 22) / len(text)
    for number, letter in enumerate(text):
        x = 18 + pitch * number + (22 if number > 1 else 0)
        _letter(image, letter, (round(x), 25), (round(pitch) - 10, 90), ink)
    dot = 18 + pitch * 2 + 5
    draw.ellipse((dot, 63, dot + 12, 75), fill=ink)
    return image


def _letter(
    image: Image.Image,
    letter: str,
    at: tuple[int, int],
    size: tuple[int, int],
    ink: tuple[int, int, int],
) -> None:
    if letter in _STROKES:
        draw = ImageDraw.Draw(image)
        for stroke in _STROKES[letter]:
            points = [(at[0] + x / 10 * size[0], at[1] + y / 19 * size[1]) for x, y in stroke]
            draw.line(points, fill=ink, width=8, joint="curve")
        return
    font = ImageFont.load_default(120)
    box = ImageDraw.Draw(image).textbbox((0, 0), letter, font=font, stroke_width=2)
    left, top, right, bottom = (round(edge) for edge in box)
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), letter, fill=255, font=font, stroke_width=2)
    image.paste(ink, at, mask.resize(size))


def _photographed(folder: Path) -> list[Car]:
    """List scenes with one plate, large and level."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    plates = Counter(row["file"] for row in rows)
    cars = []
    for row in rows:
        is_clear = (
            plates[row["file"]] == 1
            and MIN_PLATE_PX <= float(row["w"]) <= MAX_PLATE_PX
            and abs(float(row["rotation_deg"])) <= MAX_TURN_DEG
        )
        if not is_clear:
            continue
        try:
            text = parse(row["plate_text"]).text
        except PlateError:
            continue
        picture = Image.open(folder / row["file"]).convert("RGB")
        cars.append(Car(text, np.asarray(picture, np.uint8)))
    return cars
