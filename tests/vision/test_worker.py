from __future__ import annotations

import base64
import hashlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from anlin.core.access import Liveness
from anlin.core.detection import (
    CameraState,
    Configure,
    FaceSeen,
    GalleryAdd,
    GalleryRemove,
    GalleryTemplate,
    PlateSeen,
    Task,
    WorkerReady,
    WorkerState,
    from_line,
    to_line,
)
from anlin.vision import enrol as enrolment
from anlin.vision.enrol import Enrolled, enrol
from anlin.vision.sources import Frame
from anlin.vision.watch import MotionGate
from anlin.vision.worker import Worker

PATIENCE_S = 60.0
"""A loaded machine with two cores loads models in seconds; a hang is a failure all the same."""


class Process:
    """A worker as the edge runs it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "anlin.vision.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.heard: queue.Queue = queue.Queue()
        self.log = b""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._read_log, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.heard.put(from_line(line))

    def _read_log(self) -> None:
        for line in self.process.stderr:
            self.log += line

    def say(self, *messages) -> None:
        for message in messages:
            line = message if isinstance(message, bytes) else to_line(message)
            self.process.stdin.write(line)
        self.process.stdin.flush()

    def expect(self, kind, **fields):
        """Return the next message of a kind with these values."""
        end = time.monotonic() + PATIENCE_S
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.heard.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(message, kind) and all(
                getattr(message, name) == value for name, value in fields.items()
            ):
                return message
        raise AssertionError(f"no {kind.__name__} with {fields}; log: {self.log.decode()}")

    def close(self) -> int:
        self.process.stdin.close()
        return self.process.wait(10)


@pytest.fixture
def worker() -> Iterator[Process]:
    process = Process()
    yield process
    if process.process.poll() is None:
        process.process.kill()
    process.process.wait(5)
    for pipe in (process.process.stdin, process.process.stdout, process.process.stderr):
        pipe.close()


@pytest.fixture(params=["tier1", "tier2"])
def any_tier(request):
    request.getfixturevalue(request.param)
    enrolment._kit.cache_clear()
    yield request.param
    enrolment._kit.cache_clear()


def template(credential: str, holder: str, enrolled: Enrolled) -> GalleryTemplate:
    return GalleryTemplate(credential, holder, base64.b64encode(enrolled.vector).decode())


def gate(tmp_path: Path, *shown: tuple[bytes, int]) -> str:
    """A camera before which pictures stand for some frames each, five a second."""
    folder = tmp_path / "gate"
    folder.mkdir()
    number = 0
    for content, count in shown:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        for _ in range(count):
            cv2.imwrite(str(folder / f"{number:03}.png"), image)
            number += 1
    return f"{folder}?once&fps=5"


def test_a_resident_is_known_a_stranger_is_not_and_each_is_told_once(
    any_tier, worker, portrait, other_portrait, tmp_path
):
    lin = enrol(portrait)
    nobody = cv2.imencode(".png", np.full((300, 300, 3), 90, np.uint8))[1].tobytes()
    source = gate(tmp_path, (portrait, 7), (nobody, 8), (other_portrait, 12))
    worker.say(Configure(source, Task.FACES, "cam-1", str(tmp_path / "media"), fps=8.0))
    worker.say(GalleryAdd(lin.model, (template("c-lin", "lin", lin),)))
    started = datetime.now(UTC)
    ready = worker.expect(WorkerReady)
    assert ready.tier == (1 if any_tier == "tier1" else 2)
    assert ready.models["face_embed"] == lin.model
    known = worker.expect(FaceSeen)
    assert (known.credential, known.holder) == ("c-lin", "lin")
    assert known.score > known.threshold == ready.threshold
    assert known.votes >= 3
    assert started - timedelta(seconds=1) < known.first_at < known.at < datetime.now(UTC)
    assert known.faces_in_view == 1
    stranger = worker.expect(FaceSeen)
    assert (stranger.credential, stranger.holder) == ("", "")
    assert stranger.track != known.track
    worker.expect(WorkerState, state=CameraState.STALLED)  # all shown; nothing else was said
    assert worker.heard.empty()
    for seen in (known, stranger):
        path = tmp_path / "media" / seen.picture
        assert path.stat().st_mode & 0o777 == 0o600
        assert hashlib.sha256(path.read_bytes()).hexdigest() + ".jpg" == seen.picture
        assert max(cv2.imread(str(path)).shape) <= 480
        if any_tier == "tier1":
            assert (seen.masked, seen.liveness) == (None, Liveness.UNAVAILABLE)
        else:
            assert seen.masked is False
            assert seen.liveness_score is not None
    assert worker.close() == 0
    assert b"lin" not in worker.log.replace(b"anlin", b"")


def test_a_template_of_another_model_is_counted_and_a_removed_one_is_forgotten(
    tier1, worker, portrait, tmp_path
):
    enrolment._kit.cache_clear()
    lin = enrol(portrait)
    source = gate(tmp_path, (portrait, 40)).replace("?once&", "?")
    worker.say(
        b'{"type":"open_gate"}\n',
        GalleryRemove(("c0",)),
        Configure(source, Task.FACES, "cam-1", str(tmp_path / "media")),
        b"not json\n",
        GalleryAdd("another_model", (template("c1", "h1", lin), template("c2", "h2", lin))),
        GalleryAdd(lin.model, (GalleryTemplate("c3", "h3", "!!"), template("c4", "h4", lin))),
        GalleryRemove(("c4", "c-unknown")),
    )
    seen = worker.expect(FaceSeen)
    assert seen.holder == ""
    worker.expect(WorkerState, state=CameraState.ONLINE, gallery=0, ignored_templates=3)
    assert worker.close() == 0


def test_a_threshold_of_another_model_is_refused_for_the_models_own(tier1, worker, tmp_path):
    worker.say(
        Configure("rtsp://127.0.0.1:9/x", Task.FACES, "cam-1", str(tmp_path), 8.0, 0.2, "sface")
    )
    assert worker.expect(WorkerReady).threshold == 0.67
    assert worker.close() == 0
    assert b"set for sface" in worker.log


def test_a_dead_camera_is_said_and_the_worker_lives_until_its_input_closes(tier1, worker, tmp_path):
    worker.say(
        Configure("rtsp://admin:secret@127.0.0.1:9/live", Task.PLATES, "lane-1", str(tmp_path))
    )
    state = worker.expect(WorkerState)
    assert state.state is CameraState.UNREACHABLE
    assert "127.0.0.1:9" in state.detail
    assert "secret" not in state.detail
    time.sleep(1.5)
    assert worker.process.poll() is None
    assert worker.close() == 0
    assert b"secret" not in worker.log


def test_a_worker_without_a_command_ends_with_its_input(worker):
    assert worker.close() == 0


def drawn_plate() -> np.ndarray:
    """A white plate of letters that need no Chinese font, on a grey car."""
    car = np.full((360, 640, 3), 110, np.uint8)
    cv2.rectangle(car, (210, 180), (430, 240), (235, 235, 235), -1)
    cv2.rectangle(car, (210, 180), (430, 240), (40, 40, 40), 2)
    cv2.putText(car, "VA12345", (226, 224), cv2.FONT_HERSHEY_SIMPLEX, 1.35, (20, 20, 20), 4)
    return car


def test_a_drawn_plate_is_read_and_told_once(tier1, worker, tmp_path):
    content = cv2.imencode(".png", drawn_plate())[1].tobytes()
    worker.say(Configure(gate(tmp_path, (content, 10)), Task.PLATES, "lane-1", str(tmp_path / "m")))
    seen = worker.expect(PlateSeen)
    assert (seen.text, seen.kind) == ("VA12345", "military")
    assert seen.votes >= 3
    assert len(seen.characters) == 7
    assert seen.vehicle is None
    assert (tmp_path / "m" / seen.picture).is_file()
    worker.expect(WorkerState, state=CameraState.STALLED)
    assert worker.heard.empty()


AT = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)


class Looker:
    """A watch that counts."""

    tier, models, threshold = 1, {}, 0.0

    def __init__(self) -> None:
        self.looks = self.holds = 0
        self.waiting = False

    def look(self, frame: Frame) -> list:
        self.looks += 1
        return []

    def hold(self, at: datetime) -> None:
        self.holds += 1

    def undecided(self, at: datetime) -> bool:
        return self.waiting


def watch(images, every_s: float = 0.125, looker: Looker | None = None):
    looker, said = looker or Looker(), []
    configure = Configure("x", Task.FACES, "cam-1", "m", fps=8.0)
    worker = Worker(configure, looker, None, said.append)
    for i, image in enumerate(images):
        worker.step(Frame(image, AT + timedelta(seconds=i * every_s), i))
    return looker, said


NOISE = np.random.default_rng(3)
YARD = NOISE.integers(60, 200, (480, 640, 3), dtype=np.uint8)
YARD = cv2.resize(cv2.resize(YARD, (20, 15)), (640, 480))


def noisy(image: np.ndarray) -> np.ndarray:
    grain = NOISE.normal(0, 6, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def test_a_still_scene_is_left_alone_after_a_moment():
    looker, _ = watch([noisy(YARD) for _ in range(80)])
    assert looker.looks <= 13
    assert looker.holds >= 65


def test_someone_who_stands_still_is_looked_at_until_decided():
    looker = Looker()
    looker.waiting = True
    watch([YARD] * 80, looker=looker)
    assert looker.looks == 80


def test_someone_who_comes_wakes_the_worker():
    walker = YARD.copy()
    cv2.rectangle(walker, (300, 200), (380, 320), (0, 0, 0), -1)
    still, _ = watch([YARD] * 40)
    woken, _ = watch([YARD] * 40 + [walker] * 5)
    assert woken.looks == still.looks + 5


def test_dusk_is_no_motion():
    gate = MotionGate()
    assert gate.moved(YARD)
    for i in range(200):
        assert not gate.moved((YARD * (1 - i / 1000)).astype(np.uint8))


def test_frames_beyond_the_asked_rate_are_not_looked_at():
    looker, _ = watch([noisy(YARD) for _ in range(50)], every_s=0.02)
    assert looker.looks <= 10


def test_a_covered_camera_is_said_and_comes_back():
    black = np.zeros((480, 640, 3), np.uint8)
    _, said = watch([YARD] * 4 + [black] * 40 + [YARD] * 4)
    assert [m.state for m in said] == [
        CameraState.ONLINE,
        CameraState.COVERED,
        CameraState.ONLINE,
    ]


def test_a_sign_of_life_comes_every_ten_seconds():
    _, said = watch([YARD] * 200)
    assert [m.state for m in said] == [CameraState.ONLINE] * 3
    assert said[1].fps == pytest.approx(8.0, abs=0.3)
