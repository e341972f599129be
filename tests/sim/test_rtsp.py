"""The simulator's cameras, watched by a real RTSP client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import av
import numpy as np
import pytest
import pytest_asyncio

from anlin.sim.rtsp import RtspServer, fragments, nal_units, ready
from anlin.testing.broker import free_port

RED, GREEN = (200, 30, 30), (30, 200, 30)


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((480, 640, 3), colour, np.uint8)


def noisy() -> np.ndarray:
    return np.random.default_rng().integers(0, 255, (480, 640, 3), np.uint8)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    port = free_port()
    cameras = {"red": lambda: flat(RED), "green": lambda: flat(GREEN), "noise": noisy}
    server = asyncio.create_task(RtspServer(cameras).run(port))
    await ready(port)
    yield port
    server.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await server


def watch(url: str, count: int) -> tuple[list[np.ndarray], float]:
    """Read frames as the camera worker does; give them and the seconds to the first."""
    started = time.monotonic()
    with av.open(url, options={"rtsp_transport": "tcp", "fflags": "nobuffer"}) as container:
        frames = []
        first_s = 0.0
        for frame in container.decode(video=0):
            first_s = first_s or time.monotonic() - started
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                break
    return frames, first_s


async def test_each_path_is_a_camera_of_its_own(port: int) -> None:
    for path, colour in (("red", RED), ("green", GREEN)):
        frames, _ = await asyncio.to_thread(watch, f"rtsp://127.0.0.1:{port}/{path}", 5)
        assert frames[-1].shape == (480, 640, 3)
        assert np.abs(frames[-1].mean(axis=(0, 1)) - colour).max() < 12


async def test_large_pictures_come_whole_in_fragments(port: int) -> None:
    frames, _ = await asyncio.to_thread(watch, f"rtsp://127.0.0.1:{port}/noise", 12)
    assert all(frame.std() > 20 for frame in frames)


async def test_who_joins_later_sees_a_key_frame_at_once(port: int) -> None:
    url = f"rtsp://127.0.0.1:{port}/red"
    first = asyncio.create_task(asyncio.to_thread(watch, url, 20))
    await asyncio.sleep(0.7)
    frames, _ = await asyncio.to_thread(watch, url, 3)
    assert len(frames) == 3
    assert len((await first)[0]) == 20


async def request(port: int, text: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    try:
        async with asyncio.timeout(3):
            return (await reader.read(4096)).decode()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("OPTIONS rtsp://h/red RTSP/1.0\r\nCSeq: 7\r\n\r\n", "RTSP/1.0 200 OK\r\nCSeq: 7"),
        ("DESCRIBE rtsp://h/none RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 404"),
        ("PLAY rtsp://h/red RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 455"),
        ("RECORD rtsp://h/red RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 405"),
        (
            "SETUP rtsp://h/red RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;client_port=5-6\r\n\r\n",
            "RTSP/1.0 461",
        ),
        ("GET / HTTP/1.1\r\n\r\n", ""),
        ("x" * 20_000, ""),
        ("OPTIONS rtsp://h/red RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n", ""),
    ],
)
async def test_it_answers_by_the_book_and_leaves_rubbish_alone(
    port: int, text: str, answer: str
) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert (await request(port, text)).startswith(answer)
    assert "200 OK" in await request(port, "OPTIONS rtsp://h/red RTSP/1.0\r\nCSeq: 1\r\n\r\n")


def test_fragments_join_to_the_unit_again() -> None:
    unit = bytes([0x65]) + bytes(range(256)) * 20
    parts = fragments(unit)
    assert all(len(part) <= 1400 for part in parts)
    assert (
        bytes([parts[0][0] & 0xE0 | parts[0][1] & 0x1F]) + b"".join(part[2:] for part in parts)
        == unit
    )
    assert [part[1] & 0xC0 for part in parts] == [0x80, 0, 0, 0x40]


def test_units_are_split_at_both_kinds_of_start_code() -> None:
    assert nal_units(b"\0\0\0\1\x67a\0\0\1\x68b\0\0\0\1\x65c") == [b"\x67a", b"\x68b", b"\x65c"]
