from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from anlin.vision import enrol as module
from anlin.vision.enrol import EnrolError, decode, enrol
from anlin.vision.faces import THRESHOLDS, Face
from anlin.vision.quality import ENROL, QualityFault, faults, measure

POINTS = np.array([[40, 40], [80, 40], [60, 60], [45, 85], [75, 85]], np.float32)


def drawn_face(level: int = 150, blur: float = 0.0) -> np.ndarray:
    """Something with the strokes of a face: enough for sharpness and light."""
    shade = np.linspace(level * 0.6, level, 120)  # light from one side, as at any gate
    image = np.repeat(np.tile(shade, (120, 1))[..., None], 3, axis=2).astype(np.uint8)
    for x in (40, 80):
        cv2.circle(image, (x, 40), 9, (level // 3,) * 3, 2)
    for y in range(20, 110, 6):
        cv2.line(image, (20, y), (100, y), (int(level * 0.9),) * 3, 1)
    cv2.ellipse(image, (60, 85), (16, 6), 0, 0, 180, (level // 3,) * 3, 2)
    return cv2.GaussianBlur(image, (0, 0), blur) if blur else image


def looked_at(image: np.ndarray, points: np.ndarray = POINTS, scale: float = 1.0) -> list:
    face = Face((10, 10, 100 * scale, 100 * scale), points, 0.9)
    return faults(measure(image, face), ENROL)


def test_a_good_face_has_no_fault():
    assert looked_at(drawn_face()) == []


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (drawn_face(blur=5), QualityFault.BLURRED),
        (drawn_face(level=30), QualityFault.TOO_DARK),
        (np.clip(drawn_face().astype(int) + 110, 0, 255).astype(np.uint8), QualityFault.TOO_BRIGHT),
    ],
)
def test_a_bad_picture_of_a_face_is_named(image, fault):
    assert looked_at(image)[0] is fault


def test_a_small_face_is_named():
    assert looked_at(drawn_face(), scale=0.5)[0] is QualityFault.TOO_SMALL


@pytest.mark.parametrize(
    "points",
    [
        POINTS + np.array([[0, 0], [0, 0], [20, 0], [0, 0], [0, 0]], np.float32),
        POINTS @ np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32),
        np.zeros((5, 2), np.float32),
    ],
)
def test_a_face_turned_away_or_tilted_is_named(points):
    assert QualityFault.TURNED_AWAY in looked_at(drawn_face(), points)


def test_a_face_outside_the_picture_is_blurred_not_a_crash():
    quality = measure(drawn_face(), Face((500, 500, 100, 100), POINTS, 0.9))
    assert QualityFault.BLURRED in faults(quality, ENROL)


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def huge_png(width: int, height: int) -> bytes:
    """The header of a PNG, and no pixels at all."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", QualityFault.NOT_A_PICTURE),
        (b"Dear guard, this is Zhao.\n" * 50, QualityFault.NOT_A_PICTURE),
        (jpeg(drawn_face())[:900], QualityFault.NOT_A_PICTURE),
        (b"GIF89a" + bytes(100), QualityFault.NOT_A_PICTURE),
        (huge_png(120, 120), QualityFault.NOT_A_PICTURE),
        (huge_png(10_000, 10_000), QualityFault.TOO_LARGE_PICTURE),
        (huge_png(60_000, 60_000), QualityFault.TOO_LARGE_PICTURE),
        (bytes(module.MAX_BYTES + 1), QualityFault.TOO_LARGE_PICTURE),
    ],
)
def test_what_is_no_photograph_is_refused_before_it_is_unpacked(content, fault):
    with pytest.raises(EnrolError) as refused:
        decode(content)
    assert refused.value.fault is fault


def test_a_photograph_held_upright_is_read_upright():
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 0, 0), (0, 0, 20, 20))
    exif = picture.getexif()
    exif[0x0112] = 6  # turn right by 90 degrees to see it
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    upright = decode(out.getvalue())
    assert upright.shape[:2] == (40, 20)
    assert upright[5, 10, 2] > 200  # red is on top now
    assert upright[35, 10, 2] < 60


def test_a_large_photograph_is_brought_down():
    assert max(decode(jpeg(np.zeros((3000, 4000, 3), np.uint8))).shape) <= module.WORK_SIDE


@pytest.fixture(params=["tier1", "tier2"])
def any_tier(request):
    request.getfixturevalue(request.param)
    module._kit.cache_clear()
    yield request.param
    module._kit.cache_clear()


def score(one: bytes, other: bytes, model: str) -> float:
    a, b = (np.frombuffer(v, "<f2").astype(np.float32) for v in (one, other))
    return THRESHOLDS[model].score(float(a @ b))


def test_one_person_enrolled_twice_is_alike_and_another_is_not(any_tier, portrait, other_portrait):
    first = enrol(portrait)
    image = decode(portrait)
    again = enrol(jpeg(np.ascontiguousarray(image[:400, 60:])))
    stranger = enrol(other_portrait)
    threshold = THRESHOLDS[first.model].identify
    assert first.model == again.model == stranger.model
    assert score(first.vector, again.vector, first.model) > threshold
    assert score(first.vector, stranger.vector, first.model) < threshold
    crop = cv2.imdecode(np.frombuffer(first.crop_jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert max(crop.shape) <= module.CROP_PX


def test_photographs_of_nobody_two_or_a_bad_face_are_told_apart(any_tier, portrait):
    image = decode(portrait)
    cases = {
        QualityFault.NO_FACE: np.full((300, 300, 3), 128, np.uint8),
        QualityFault.SEVERAL_FACES: np.hstack([image, image]),
        QualityFault.TOO_DARK: (image * 0.2).astype(np.uint8),
        QualityFault.BLURRED: cv2.GaussianBlur(image, (0, 0), 2.5),
    }
    got = {}
    for fault, bad in cases.items():
        with pytest.raises(EnrolError) as refused:
            enrol(jpeg(bad))
        got[fault] = refused.value.fault
    assert got == {fault: fault for fault in cases}


def test_importing_enrolment_loads_no_model_library():
    code = (
        "import sys, anlin.vision.enrol;"
        "print([m for m in ('cv2','dlib','onnxruntime','PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
