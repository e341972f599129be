"""Real photographs: what the models reach, with floors that leave room for chance."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from anlin.core.access import Liveness
from anlin.vision.faces import THRESHOLDS, Face, FaceKit, liveness, load_faces
from anlin.vision.gallery import Gallery
from anlin.vision.plates import load_plates
from anlin.vision.quality import WATCH, faults, measure

pytestmark = pytest.mark.shared


@pytest.fixture(params=["tier1", "tier2"])
def tier(request, shared) -> int:
    request.getfixturevalue(request.param)
    return 1 if request.param == "tier1" else 2


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def folded(text: str) -> str:
    return text[:1] + text[1:].replace("O", "0").replace("I", "1")


def test_thirty_plate_scenes_are_read(shared, tier):
    folder = shared / "data" / "plates" / "easypr"
    scenes = [row for row in rows(folder / "labels.csv") if row["is_primary"] == "1"][::4][:30]
    reader = load_plates()
    assert reader.tier == tier
    right = wrong = 0
    for scene in scenes:
        found = reader.read(cv2.imread(str(folder / scene["file"])))
        texts = {folded(plate.reading.text) for plate in found if plate.reading}
        labels = {
            folded(row["plate_text"])
            for row in rows(folder / "labels.csv")
            if row["file"] == scene["file"]
        }
        right += folded(scene["primary_text"]) in texts
        wrong += len(texts - labels)
    assert len(scenes) == 30
    assert right >= (27 if tier == 2 else 25)
    assert wrong <= 4


def central(kit: FaceKit, image: np.ndarray) -> Face | None:
    """The face in the middle: these pictures are cut around it."""
    found = kit.detector.detect(image)
    middle = image.shape[1] / 2
    return min(found, key=lambda f: abs(f.box[0] + f.box[2] / 2 - middle), default=None)


def test_people_are_known_by_two_photographs_each_and_strangers_are_not(shared, tier):
    count = 60 if tier == 2 else 30  # dlib takes a sixth of a second for each
    folder = shared / "data" / "faces" / "lfw"
    files = defaultdict(list)
    for row in rows(folder / "labels.csv"):
        files[row["identity"]].append(row["file"])
    people = [pictures for pictures in files.values() if len(pictures) >= 3][:count]
    strangers = [pictures[0] for pictures in files.values() if len(pictures) == 1][:count]
    kit = load_faces()
    assert kit.tier == tier
    gallery = Gallery(kit.embedder.model, kit.embedder.size)

    def vector(name: str) -> np.ndarray | None:
        image = cv2.imread(str(folder / name))
        face = central(kit, image)
        if face is None or faults(measure(image, face), WATCH):
            return None
        return kit.embedder.embed(image, face)

    for holder, pictures in enumerate(people):
        for take in (0, 1):
            known = vector(pictures[take])
            if known is not None:
                gallery.add(f"{holder}-{take}", str(holder), known.astype("<f2").tobytes())
    threshold = THRESHOLDS[kit.embedder.model].identify
    let_in = right = wrong = 0
    for holder, pictures in enumerate(people):
        shown = vector(pictures[2])
        if shown is not None:
            match = gallery.match(shown)
            accepted = match.accepted(threshold, 0.05)
            right += accepted and match.holder == str(holder)
            wrong += accepted and match.holder != str(holder)
    for picture in strangers:
        shown = vector(picture)
        let_in += shown is not None and gallery.match(shown).accepted(threshold, 0.05)
    assert len(people) == len(strangers) == count
    assert right >= (54 if tier == 2 else 21)
    assert wrong == 0
    assert let_in <= 1


def test_masks_are_seen_and_bare_faces_are_not_called_masked(shared, tier2):
    folder = shared / "data" / "faces" / "mask"
    kit = load_faces()
    verdicts = {"1": [], "0": []}
    for row in rows(folder / "labels.csv")[::5]:
        image = cv2.imread(str(folder / row["file"]))
        for face in kit.detector.detect(image)[:1]:
            verdicts[row["mask"]].append(kit.mask.masked(image, face))
    assert min(len(found) for found in verdicts.values()) >= 20
    assert np.mean(verdicts["1"]) >= 0.75
    assert np.mean(verdicts["0"]) <= 0.05


def test_a_print_held_up_is_told_from_a_living_face(shared, tier2):
    folder = shared / "data" / "liveness"
    kit = load_faces()
    for row in rows(folder / "labels.csv"):
        image = cv2.imread(str(folder / row["file"]))
        (face, *_) = kit.detector.detect(image)
        expected = Liveness.LIVE if row["live"] == "1" else Liveness.SPOOF
        assert liveness(kit.live.alive(image, face)) is expected


@pytest.mark.parametrize(
    ("name", "text", "colour"),
    [
        ("single_green.jpg", "沪AF71017", "green"),
        ("police.jpg", "鄂F8888警", "white"),
        ("shi_lin_guan.jpg", "沪A1707领", "black"),
        ("double_yellow.jpg", "京EA5331", "yellow"),
        ("hlpr_2.jpg", "藏DT5022", "blue"),
    ],
)
def test_special_plates_are_read_with_their_colour(shared, tier2, name, text, colour):
    image = cv2.imread(str(shared / "data" / "plates" / "special" / name))
    found = {p.reading.text: p.colour for p in load_plates().read(image) if p.reading}
    assert found.get(text) == colour
