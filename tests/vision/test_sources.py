from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.vision import sources
from anlin.vision.sources import JpegSplitter, SourceError, SourceFault, frames, redact


def picture(level: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.full((size[1], size[0], 3), level, np.uint8)


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", picture(level))[1].tobytes()


def take(source: str, count: int) -> list:
    stop, found = threading.Event(), []
    for frame in frames(source, stop):
        found.append(frame)
        if len(found) == count:
            stop.set()
    return found


def levels(found) -> list[int]:
    return [round(frame.image.mean() / 10) for frame in found]


@pytest.fixture
def folder(tmp_path) -> Path:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture(10 * i))
    return tmp_path


def test_a_folder_is_played_in_order_once(folder):
    stop, seen = threading.Event(), []
    with pytest.raises(SourceError) as ended:
        seen.extend(iter_into(seen, frames(f"{folder}?once&fps=100", stop)))
    assert ended.value.fault is SourceFault.ENDED
    assert levels(seen) == [0, 1, 2]
    assert [frame.index for frame in seen] == [0, 1, 2]
    assert all(frame.at.tzinfo is UTC for frame in seen)


def iter_into(seen: list, source) -> list:
    for frame in source:
        seen.append(frame)
    return []


def test_a_folder_is_looped_at_its_pace(folder):
    found = take(f"{folder}?fps=20", 7)
    assert levels(found) == [0, 1, 2, 0, 1, 2, 0]
    assert (found[6].at - found[0].at).total_seconds() == pytest.approx(0.3, abs=0.15)


def test_bad_pictures_in_a_folder_are_passed_over(folder):
    (folder / "0b.jpg").write_text("not a picture")
    (folder / "0c.jpg").write_bytes(jpeg(90)[:300])
    assert levels(take(f"{folder}?fps=100", 4))[:1] == [0]
    assert [v for v in levels(take(f"{folder}?fps=100", 5)) if v != 0][:2] == [1, 2]


def test_a_folder_of_rubbish_is_bad_frames(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_text("not a picture")
    with pytest.raises(SourceError, match=r"0\.jpg|1\.jpg|2\.jpg") as failed:
        take(str(tmp_path), 1)
    assert failed.value.fault is SourceFault.BAD_FRAMES


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("/nowhere", "no such file or folder"),
        ("{folder}?fps=0", "fps"),
        ("{folder}?fps=fast", "fps"),
        ("{folder}/empty", "holds no pictures"),
        ("usb:front", "usb:0"),
        ("usb:63", "no such camera"),
    ],
)
def test_a_source_that_cannot_be_is_unreachable_with_its_rule(folder, source, rule):
    (folder / "empty").mkdir()
    with pytest.raises(SourceError, match=rule) as failed:
        take(source.format(folder=folder), 1)
    assert failed.value.fault is SourceFault.UNREACHABLE


def write_video(path: Path, count: int = 12, rate: int = 25) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(20 * i), format="bgr24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_a_video_is_played_and_looped(tmp_path):
    path = tmp_path / "gate.mp4"
    write_video(path)
    found = take(str(path), 14)
    assert levels(found)[0] == levels(found)[12] == 0
    assert levels(found)[11] == 22
    assert (found[11].at - found[0].at).total_seconds() == pytest.approx(11 / 25, abs=0.2)


def test_a_video_shown_once_ends(tmp_path):
    write_video(tmp_path / "gate.mp4", count=3)
    with pytest.raises(SourceError) as ended:
        take(f"{tmp_path / 'gate.mp4'}?once", 10)
    assert ended.value.fault is SourceFault.ENDED


def test_a_video_cut_in_the_middle_of_its_header_is_bad_frames(tmp_path):
    path = tmp_path / "gate.mp4"
    write_video(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SourceError) as failed:
        take(str(path), 1)
    assert failed.value.fault is SourceFault.BAD_FRAMES


@contextmanager
def server(reply) -> Iterator[int]:
    """A TCP server that hands each connection to `reply`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                try:
                    link.recv(4096)
                    reply(link)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


MULTIPART = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"


def part(content: bytes) -> bytes:
    return b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + content + b"\r\n"


def test_mjpeg_gives_the_newest_picture_and_drops_the_rest():
    sent = threading.Event()

    def reply(link: socket.socket) -> None:
        link.sendall(MULTIPART + part(jpeg(10)))
        sent.wait(5)
        link.sendall(b"".join(part(jpeg(10 * i)) for i in range(2, 6)))
        threading.Event().wait(0.3)

    stop, found = threading.Event(), []
    with server(reply) as port:
        for frame in frames(f"http://127.0.0.1:{port}/cam", stop):
            found.append(frame)
            if len(found) == 1:
                sent.set()
                threading.Event().wait(0.2)  # we lag; four pictures arrive meanwhile
            else:
                stop.set()
    assert levels(found) == [1, 5]
    assert found[1].index == 4


def test_mjpeg_that_turns_to_rubbish_is_bad_frames():
    def reply(link: socket.socket) -> None:
        link.sendall(MULTIPART + b"rubbish" * 10_000)

    with server(reply) as port, pytest.raises(SourceError) as failed:
        take(f"http://127.0.0.1:{port}/cam", 1)
    assert failed.value.fault is SourceFault.BAD_FRAMES


def test_mjpeg_of_broken_pictures_is_bad_frames(monkeypatch):
    monkeypatch.setattr(sources, "BAD_FRAMES_MAX", 3)

    def reply(link: socket.socket) -> None:
        link.sendall(MULTIPART)
        for _ in range(20):
            link.sendall(part(b"\xff\xd8\xff" + b"\x00" * 200 + b"\xff\xd9"))
            threading.Event().wait(0.02)

    with server(reply) as port, pytest.raises(SourceError) as failed:
        take(f"http://127.0.0.1:{port}/cam", 1)
    assert failed.value.fault is SourceFault.BAD_FRAMES


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_dead_port_is_unreachable(scheme):
    with pytest.raises(SourceError) as failed:
        take(f"{scheme}://admin:secret@127.0.0.1:9/cam", 1)
    assert failed.value.fault is SourceFault.UNREACHABLE
    assert "secret" not in str(failed.value)
    assert "127.0.0.1:9" in str(failed.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_speaks_rubbish_gives_no_frames(scheme):
    rubbish = b"\x00\xffrubbish\r\n\r\n" * 1000
    with (
        server(lambda link: link.sendall(rubbish)) as port,
        pytest.raises(SourceError) as failed,
    ):
        take(f"{scheme}://127.0.0.1:{port}/cam", 1)
    assert failed.value.fault in (SourceFault.UNREACHABLE, SourceFault.STALLED)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_says_nothing_is_given_up(scheme, monkeypatch):
    monkeypatch.setattr(sources, "OPEN_TIMEOUT_S", 0.5)
    monkeypatch.setattr(sources, "STALL_S", 0.5)
    started = datetime.now(UTC)
    with server(lambda link: threading.Event().wait(3)) as port:
        with pytest.raises(SourceError):
            take(f"{scheme}://127.0.0.1:{port}/cam", 1)
        assert (datetime.now(UTC) - started).total_seconds() < 3


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"404 Not Found", b"302 Found"])
def test_a_refusing_camera_is_unreachable_with_its_status(status):
    def reply(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    with server(reply) as port, pytest.raises(SourceError, match=status[:3].decode()) as failed:
        take(f"http://127.0.0.1:{port}/cam", 1)
    assert failed.value.fault is SourceFault.UNREACHABLE


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(1, 400))
def test_mjpeg_is_cut_alike_however_the_network_cuts_it(shown, size):
    stream = b"".join(part(jpeg(40 * i)) for i in shown)
    splitter, found = JpegSplitter(), []
    for place in range(0, len(stream), size):
        found += splitter.feed(stream[place : place + size])
    assert found == [jpeg(40 * i) for i in shown]


@given(st.binary(max_size=4000))
def test_no_bytes_break_the_splitter(content):
    splitter = JpegSplitter()
    try:
        for jpeg_bytes in splitter.feed(content):
            sources._jpeg(jpeg_bytes)()
    except ValueError:
        pass


def test_a_picture_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(sources, "MAX_JPEG_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        JpegSplitter().feed(b"\xff\xd8\xff" + bytes(2000))


def test_a_hundred_megapixel_camera_is_refused_by_its_header():
    header = b"\xff\xd8\xff\xc0\x00\x11\x08" + (10_000).to_bytes(2) * 2 + bytes(20)
    with pytest.raises(ValueError, match="10000 x 10000"):
        sources._jpeg(header)()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://guo:secret@10.0.0.4:554/live?token=abc", "rtsp://10.0.0.4:554/live"),
        ("http://[broken", "(not an address)"),
        ("/videos/gate?once", "/videos/gate"),
        ("usb:0", "usb:0"),
    ],
)
def test_a_source_is_logged_without_its_secrets(source, shown):
    assert redact(source) == shown


def test_nothing_is_left_running_when_the_consumer_stops(folder):
    before = threading.active_count()
    shutil.copy(folder / "0.png", folder / "z.png")
    take(f"{folder}?fps=100", 2)
    assert threading.active_count() <= before + 1
