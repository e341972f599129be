from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from anlin.core.codec import DataError
from anlin.core.detection import (
    MAX_LINE_BYTES,
    CameraState,
    Configure,
    FaceSeen,
    GalleryAdd,
    GalleryRemove,
    GalleryTemplate,
    PlateColour,
    PlateSeen,
    Task,
    WorkerReady,
    WorkerState,
    from_line,
    to_line,
)

AT = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "message",
    [
        Configure("rtsp://camera/1", Task.PLATES, "cam-1", "/media", threshold=0.5),
        GalleryAdd("reid_0095", (GalleryTemplate("c12", "h7", "AAAA"),)),
        GalleryRemove(("c12", "c13")),
        WorkerReady("cam-1", 2, {"face_detect": "yunet_n"}, 0.52),
        WorkerState("cam-1", CameraState.STALLED, "no frame for 5 s"),
        FaceSeen("cam-1", 3, AT, AT, "c12", "h7", 0.71, 0.2, 0.52, 4, 3, masked=None),
        PlateSeen("c", 1, AT, AT, "京A12345", "standard", PlateColour.BLUE, 0.98, 3, 3),
    ],
)
def test_every_message_survives_the_pipe(message):
    line = to_line(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert from_line(line) == message


def test_the_tag_is_the_class_in_snake_case():
    assert json.loads(to_line(GalleryRemove(())))["type"] == "gallery_remove"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"type":"open_gate"}', "type is none of"),
        (b'{"type":"gallery_remove"}', "GalleryRemove.credentials: missing"),
        (b'{"type":"gallery_remove","credentials":"c1"}', "expected list"),
        (b" " * (MAX_LINE_BYTES + 1), "more than"),
    ],
)
def test_a_wrong_line_is_refused_with_its_rule(line, rule):
    with pytest.raises(DataError, match=rule):
        from_line(line)
