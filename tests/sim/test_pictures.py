"""What the simulator shows to cameras is read by the models that every install has."""

from __future__ import annotations

import numpy as np
import pytest

from anlin.sim import camera, faces, plates
from anlin.sim.camera import GATE_SIZE, LANE_SIZE, Camera


def seen(view: Camera, picture: camera.Picture) -> np.ndarray:
    """Give a frame as a worker has it: BGR."""
    view.show(picture, 60)
    return np.ascontiguousarray(view.draw()[:, :, ::-1])


def test_nobody_stands_there_until_somebody_is_shown_and_after() -> None:
    view = Camera(GATE_SIZE)
    empty = view.draw()
    assert empty.shape == (480, 640, 3)
    portrait = np.full((100, 100, 3), 250, np.uint8)
    view.show(portrait, 60)
    assert not view.is_empty
    assert view.draw()[240, 320].min() > 230
    view.clear()
    assert np.abs(view.draw().astype(int) - empty).max() <= 8


@pytest.mark.parametrize("text", ["川A8L2K6", "京N7P3T5", "川AD12345"])
def test_a_drawn_plate_is_read(text: str) -> None:
    from anlin.vision.plates import load_plates

    found = load_plates().read(seen(Camera(LANE_SIZE), plates.drawn_car(text)))
    assert [plate.reading.text for plate in found] == [text]


def test_two_carried_portraits_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from anlin.vision.enrol import enrol

    monkeypatch.setenv("ANLIN_SHARED", "/nowhere")
    people = list(faces.people())
    if not people:
        pytest.skip("the demo extra, which carries the portraits, is not installed")
    enrolled = [np.frombuffer(enrol(person.enrolled).vector, "<f2") for person in people]
    again = [np.frombuffer(enrol(person.seen_file).vector, "<f2") for person in people]
    for number, vector in enumerate(again):
        scores = [float(vector @ known) for known in enrolled]
        assert int(np.argmax(scores)) == number
        assert sorted(scores)[-1] - sorted(scores)[-2] > 0.05
