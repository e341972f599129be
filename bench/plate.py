"""A number plate before a camera until the barrier is released: 1,000 enrolled, one core.

Cars come from the labelled photographs where there are any, else they are drawn. Single frames
are read beside RapidOCR's own pipeline on the same pictures, with one thread each.
"""

from __future__ import annotations

import asyncio
import csv
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from anlin.core.detection import Task
from anlin.core.entities import Credential, Method
from anlin.core.plate import LETTERS, PlateError, parse
from anlin.sim.camera import LANE_SIZE, Camera, Picture
from anlin.sim.plates import Car, drawn_car
from anlin.testing import shared_folder
from anlin.vision.plates import load_plates
from bench.report import Figure, quantile, say
from bench.rig.passages import ENROLLED, Opening, Passer, cores, figures, measure, models_folder
from bench.rig.processes import folder

PASSAGES, FRAMES = 40, 60
TARGET_MS = 500.0
DRAWN = ("川A8L2K6", "京N7P3T5", "沪B12345", "粤BD12345", "苏E8K9M2", "浙A6T7R8")


def run() -> Iterator[Figure]:
    """Read single frames, then let the same cars pass both lanes in turn."""
    first, _ = cores()
    os.sched_setaffinity(0, {first})
    cv2.setNumThreads(1)
    cars = _cars()
    say(f"  {len(cars)} cars")
    os.environ["ANLIN_MODELS"] = str(models_folder() or "")
    tiers = [2, 1] if models_folder() is not None else [1]
    yield from _single_frames(cars[:FRAMES], tiers[0])
    credentials = _enrol(cars)
    openings = [Opening(tier, Task.PLATES, LANE_SIZE, credentials) for tier in tiers]
    passers = itertools.cycle(Passer(f"h-{car.plate}", car.picture) for car in cars)
    with folder("plate") as home:
        lanes = asyncio.run(measure(home, openings, itertools.islice(passers, PASSAGES)))
    yield from figures("plate", lanes, TARGET_MS)


def _cars() -> list[Car]:
    shared = shared_folder()
    labels = shared / "data/plates/easypr/labels.csv" if shared else Path("none")
    if not labels.is_file():
        return [Car(text, drawn_car(text)) for text in DRAWN]
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    plates = Counter(row["file"] for row in rows)
    cars = {}
    for row in rows:
        if plates[row["file"]] == 1:
            try:
                text = parse(row["plate_text"]).text
            except PlateError:
                continue
            picture = Image.open(labels.parent / row["file"]).convert("RGB")
            cars[text] = Car(text, np.asarray(picture, np.uint8))
    return list(cars.values())


def _enrol(cars: list[Car]) -> list[Credential]:
    """Enrol every car, and plates of nobody's car up to a thousand."""
    texts = {car.plate for car in cars}
    dice = random.Random(1)
    while len(texts) < ENROLLED:
        texts.add(f"京{dice.choice(LETTERS)}{dice.randrange(100_000):05}")
    return [
        Credential(f"plate-{number}", f"h-{text}", Method.PLATE, text)
        for number, text in enumerate(sorted(texts))
    ]


def _single_frames(cars: list[Car], tier: int) -> Iterator[Figure]:
    """Read one frame of each car: ours of the best tier, ours of tier 1, and RapidOCR's."""
    readers: dict[str, Callable[[Picture], set[str]]] = {f"tier {tier}": _ours()}
    if tier == 2:
        readers["tier 1"] = _tier_1()
    readers |= _rapidocr()
    spent_ms: dict[str, list[float]] = {name: [] for name in readers}
    right: Counter[str] = Counter()
    camera = Camera(LANE_SIZE)
    for car in cars:
        camera.show(car.picture, 60.0)
        image = np.ascontiguousarray(camera.draw()[:, :, ::-1])
        for name, read in readers.items():
            began = time.perf_counter()
            texts = read(image)
            spent_ms[name].append((time.perf_counter() - began) * 1000)
            right[name] += car.plate in texts
    best, *others = readers
    for peer in others or [None]:
        for label, share in (("p50", 0.5), ("p95", 0.95)):
            value, beside = (
                None if name is None else quantile(spent_ms[name], share) for name in (best, peer)
            )
            assert value is not None
            yield Figure(f"plate.frame.{label}", value, "ms", len(cars), None, peer, beside)
        beside = None if peer is None else 100 * right[peer] / len(cars)
        value = 100 * right[best] / len(cars)
        yield Figure("plate.frame.read", value, "% right", len(cars), None, peer, beside)


def _ours() -> Callable[[Picture], set[str]]:
    reader = load_plates()
    return lambda image: {
        plate.reading.text for plate in reader.read(image) if plate.reading is not None
    }


def _tier_1() -> Callable[[Picture], set[str]]:
    given = os.environ["ANLIN_MODELS"]
    os.environ["ANLIN_MODELS"] = ""
    try:
        return _ours()
    finally:
        os.environ["ANLIN_MODELS"] = given


def _rapidocr() -> dict[str, Callable[[Picture], set[str]]]:
    """Give RapidOCR's pipeline on one thread; a line counts as read when it is a plate."""
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        say(f"  without RapidOCR: {error}")
        return {}
    threads = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    engine: Any = RapidOCR(
        params={f"EngineConfig.onnxruntime.{key}": value for key, value in threads.items()}
        | {"Global.log_level": "error"}
    )

    def read(image: Picture) -> set[str]:
        texts = set()
        for line in engine(image).txts or ():
            try:
                texts.add(parse(line).text)
            except PlateError:
                continue
        return texts

    return {"RapidOCR": read}
