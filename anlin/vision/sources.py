"""Frames from whatever a site has: RTSP, MJPEG over HTTP, a video file, pictures, a USB camera.

A live source is decoded in a thread of its own that keeps the newest frame and drops the rest: a
worker that lags looks at now, never at a queue. A file or folder is played at its own pace, with
the time each frame is due as its capture time, so that it behaves as a camera does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

OPEN_TIMEOUT_S = 8.0
"""Cameras on a busy switch answer a DESCRIBE within five seconds, or not at all."""
STALL_S = 5.0
"""Slow cameras send a frame every two seconds by night; five without one is a dead stream."""
MAX_FRAME_PIXELS = 4096 * 2304
"""A 4K camera fits; anything larger is refused before it is unpacked."""
MAX_JPEG_BYTES = 8 << 20
MAX_HEADER_BYTES = 16 << 10
BAD_FRAMES_MAX = 25
"""Damaged pictures in a row, about a second of them, before the stream is called bad."""
DEFAULT_FPS = 8.0

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class SourceFault(StrEnum):
    """What can be wrong with a source, as the names in a `CameraState`."""

    UNREACHABLE = "unreachable"
    STALLED = "stalled"
    BAD_FRAMES = "bad_frames"
    ENDED = "ended"


class SourceError(Exception):
    """A source gives no more frames; `fault` says why in one word, the text names the source."""

    def __init__(self, fault: SourceFault, source: str, rule: str) -> None:
        super().__init__(f"source {redact(source)}: {rule}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        at: when it was captured; for a live stream when it arrived.
        index: number in the stream; gaps are frames that were dropped.
    """

    image: Image
    at: datetime
    index: int


def redact(source: str) -> str:
    """Return a source as it may stand in a log: without name, password and query."""
    if "://" not in source:
        return source.partition("?")[0]
    try:
        parts = urlsplit(source)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(not an address)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def frames(source: str, stop: threading.Event | None = None) -> Iterator[Frame]:
    """Yield the frames of a source until it fails or `stop` is set.

    Args:
        source: rtsp://…, http://… (MJPEG), `usb:0`, a video file, or a folder of pictures. A file
            or folder takes `?once` (it is looped otherwise) and, for a folder, `?fps=4`.
        stop: set it from another thread to end.

    Raises:
        SourceError: the source can't be opened, stalls, sends rubbish, or has ended.
    """
    stop = stop or threading.Event()
    scheme = source.partition(":")[0].lower()
    if scheme in ("rtsp", "rtsps"):
        return _newest(source, _rtsp, stop)
    if scheme in ("http", "https"):
        return _newest(source, _mjpeg, stop)
    if scheme == "usb":
        return _newest(source, _usb, stop)
    name, _, query = source.partition("?")
    options = parse_qs(query, keep_blank_values=True)
    path = Path(name)
    if path.is_dir():
        return _folder(source, path, _fps(source, options), "once" not in options, stop)
    if path.is_file():
        return _video(source, path, "once" not in options, stop)
    raise SourceError(SourceFault.UNREACHABLE, source, "no such file or folder")


def _fps(source: str, options: dict[str, list[str]]) -> float:
    text = options.get("fps", [str(DEFAULT_FPS)])[0]
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 0.01 <= fps <= 100.0:
        raise SourceError(SourceFault.UNREACHABLE, source, f"fps {text!r} is not within 0.01..100")
    return fps


def _check_size(source: str, width: int, height: int) -> None:
    if width * height > MAX_FRAME_PIXELS or min(width, height) < 16:
        raise SourceError(
            SourceFault.BAD_FRAMES,
            source,
            f"frames of {width} x {height}; from 16 a side to {MAX_FRAME_PIXELS} pixels are taken",
        )


# --- Live sources: a reader thread and one slot ---------------------------------------------------

Unpack = Callable[[], Image]
"""Turns what the reader kept into a picture; run by the consumer, for the newest only."""
Put = Callable[[Unpack], None]
Reader = Callable[[str, Put, threading.Event], None]


class _Slot:
    """The newest frame of a live source, handed from its reader to its consumer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: tuple[Unpack, datetime, int] | None = None
        self._count = 0
        self._error: SourceError | None = None

    def put(self, unpack: Unpack) -> None:
        with self._changed:
            self._newest = (unpack, datetime.now(UTC), self._count)
            self._count += 1
            self._changed.notify()

    def fail(self, error: SourceError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[Unpack, datetime, int] | None:
        """Return the newest frame, or None when none came in time.

        Raises:
            SourceError: the reader gave up and nothing is left to look at.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._error, timeout_s)
            newest, self._newest = self._newest, None
            if newest is None and self._error:
                raise self._error
            return newest


def _newest(source: str, reader: Reader, stop: threading.Event) -> Iterator[Frame]:
    slot = _Slot()
    leave = threading.Event()

    def read() -> None:
        try:
            reader(source, slot.put, leave)
            slot.fail(SourceError(SourceFault.ENDED, source, "the stream ended"))
        except SourceError as error:
            slot.fail(error)

    thread = threading.Thread(target=read, name="frames", daemon=True)
    thread.start()
    patience_s = OPEN_TIMEOUT_S + 1.0  # the reader's own timeout speaks first
    waited_s, bad = 0.0, 0
    try:
        while not stop.is_set():
            taken = slot.take(_TICK_S)
            if taken is None:
                waited_s += _TICK_S
                if waited_s >= patience_s:
                    raise SourceError(SourceFault.STALLED, source, f"no frame for {waited_s:.0f} s")
                continue
            unpack, at, index = taken
            waited_s, patience_s = 0.0, STALL_S
            try:
                image = unpack()
            except ValueError as error:
                bad += 1
                if bad >= BAD_FRAMES_MAX:
                    raise SourceError(SourceFault.BAD_FRAMES, source, str(error)) from error
                continue
            bad = 0
            _check_size(source, image.shape[1], image.shape[0])
            yield Frame(image, at, index)
    finally:
        leave.set()


# How soon a stop is noticed while no frame comes.
_TICK_S = 0.25


def _rtsp(source: str, put: Put, leave: threading.Event) -> None:
    import av

    options = {
        "rtsp_transport": "tcp",  # UDP loses the middle of pictures on the first busy switch
        "fflags": "nobuffer",
        "flags": "low_delay",
        # The answer to DESCRIBE says what comes; waiting for five seconds of it opens late.
        "analyzeduration": "500000",
        "fpsprobesize": "0",
        "timeout": str(int(STALL_S * 1_000_000)),
    }
    try:
        container = av.open(source, options=options, timeout=(OPEN_TIMEOUT_S, STALL_S))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            SourceFault.UNREACHABLE, source, f"can't be opened: {_short(error)}"
        ) from error
    with container:
        if not container.streams.video:
            raise SourceError(SourceFault.BAD_FRAMES, source, "has no video")
        stream = container.streams.video[0]
        stream.thread_count = 1
        _check_size(source, stream.width or 16, stream.height or 16)
        bad = 0
        try:
            for packet in container.demux(stream):
                if leave.is_set():
                    return
                try:
                    decoded = packet.decode()
                except av.InvalidDataError as error:
                    bad += 1
                    if bad >= BAD_FRAMES_MAX:
                        raise SourceError(
                            SourceFault.BAD_FRAMES, source, "sends pictures that can't be decoded"
                        ) from error
                    continue
                for frame in decoded:
                    bad = 0
                    _check_size(source, frame.width, frame.height)
                    put(_lazily(frame))
        except (av.FFmpegError, OSError) as error:
            raise SourceError(
                SourceFault.STALLED, source, f"the stream broke: {_short(error)}"
            ) from error


def _lazily(frame: Any) -> Unpack:
    return lambda: np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _short(error: Exception) -> str:
    """Return an error's kind and system text, without the address (it may hold a password)."""
    return f"{type(error).__name__} {getattr(error, 'strerror', None) or ''}".strip()


def _mjpeg(source: str, put: Put, leave: threading.Event) -> None:
    import httpx

    timeout = httpx.Timeout(STALL_S, connect=OPEN_TIMEOUT_S)
    try:
        with httpx.stream("GET", source, timeout=timeout, follow_redirects=False) as reply:
            if reply.status_code != 200:
                raise SourceError(
                    SourceFault.UNREACHABLE, source, f"answers HTTP {reply.status_code}"
                )
            splitter = JpegSplitter()
            for chunk in reply.iter_raw():  # a chunk size would hold pictures back to fill it
                if leave.is_set():
                    return
                try:
                    pictures = splitter.feed(chunk)
                except ValueError as error:
                    raise SourceError(SourceFault.BAD_FRAMES, source, str(error)) from error
                for jpeg in pictures:
                    put(_jpeg(jpeg))
    except (httpx.TimeoutException, httpx.ReadError, httpx.RemoteProtocolError) as error:
        connecting = isinstance(error, httpx.ConnectTimeout)
        fault = SourceFault.UNREACHABLE if connecting else SourceFault.STALLED
        raise SourceError(fault, source, f"the stream broke: {type(error).__name__}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(
            SourceFault.UNREACHABLE, source, f"can't be opened: {type(error).__name__}"
        ) from error


class JpegSplitter:
    """Cuts an MJPEG stream into its pictures, whatever boundary and headers stand between."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take bytes, return the pictures now complete.

        Raises:
            ValueError: a picture longer than MAX_JPEG_BYTES, or no picture in sight.
        """
        self._kept += chunk
        found: list[bytes] = []
        while True:
            start = self._kept.find(b"\xff\xd8\xff")
            if start < 0:
                if len(self._kept) > MAX_HEADER_BYTES:
                    raise ValueError(f"no JPEG in {len(self._kept)} bytes")
                return found
            end = self._kept.find(b"\xff\xd9", start + 2)
            # A thumbnail inside a picture ends as the picture does; the next thing after a whole
            # picture is a boundary, a header, another picture, or nothing yet.
            while end >= 0 and not self._is_end(end + 2):
                end = self._kept.find(b"\xff\xd9", end + 2)
            if end < 0:
                self._kept = self._kept[start:]
                if len(self._kept) > MAX_JPEG_BYTES:
                    raise ValueError(f"a picture of more than {MAX_JPEG_BYTES} bytes")
                return found
            found.append(self._kept[start : end + 2])
            self._kept = self._kept[end + 2 :]

    def _is_end(self, place: int) -> bool:
        after = self._kept[place : place + 2]
        return not after or after[:1] in (b"\r", b"\n", b"-") or after == b"\xff\xd8"


def _jpeg(content: bytes) -> Unpack:
    def unpack() -> Image:
        width, height = _jpeg_size(content)
        if width * height > MAX_FRAME_PIXELS:
            raise ValueError(f"a picture of {width} x {height} pixels")
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError("pictures that can't be decoded")
        return np.asarray(image, np.uint8)

    return unpack


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Return (width, height) from a JPEG's frame header.

    Raises:
        ValueError: there is none.
    """
    place = 2
    while place + 9 < len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(content[place + 5 : place + 7])
            return int.from_bytes(content[place + 7 : place + 9]), height
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    raise ValueError("pictures without a JPEG header")


def _usb(source: str, put: Put, leave: threading.Event) -> None:
    number = source.partition(":")[2]
    if not number.isdecimal():
        raise SourceError(SourceFault.UNREACHABLE, source, "a USB camera is written usb:0")
    capture = cv2.VideoCapture(int(number))
    try:
        if not capture.isOpened():
            raise SourceError(SourceFault.UNREACHABLE, source, "no such camera")
        while not leave.is_set():
            good, image = capture.read()
            if not good:
                raise SourceError(SourceFault.STALLED, source, "the camera gives no frame")
            put(_same(np.asarray(image, np.uint8)))
    finally:
        capture.release()


def _same(image: Image) -> Unpack:
    return lambda: image


# --- Files: played at their own pace --------------------------------------------------------------


class _Pace:
    """Keeps a file at camera speed; frames that are already late are dropped."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._start: float | None = None

    def due(self, offset_s: float) -> bool:
        """Wait until a frame is due; False when it is too late to show it."""
        now = time.monotonic()
        if self._start is None:
            self._start = now - offset_s
        wait_s = self._start + offset_s - now
        if wait_s > 0:
            self._stop.wait(wait_s)
        return wait_s > -_LATE_S


_LATE_S = 0.5


def _folder(
    source: str, folder: Path, fps: float, loop: bool, stop: threading.Event
) -> Iterator[Frame]:
    pace, index, bad = _Pace(stop), 0, 0
    while True:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
        if not paths:
            raise SourceError(SourceFault.UNREACHABLE, source, "holds no pictures")
        for path in paths:
            if stop.is_set():
                return
            index += 1
            try:
                image = _picture(path)
            except ValueError as error:
                bad += 1
                if bad >= min(BAD_FRAMES_MAX, len(paths)):
                    raise SourceError(
                        SourceFault.BAD_FRAMES, source, f"{path.name}: {error}"
                    ) from error
                continue
            bad = 0
            # Every picture of a folder is shown, late or not: each may be another person.
            pace.due((index - 1) / fps)
            if not stop.is_set():
                yield Frame(image, datetime.now(UTC), index - 1)
        if not loop:
            raise SourceError(SourceFault.ENDED, source, "all pictures were shown")


def _picture(path: Path) -> Image:
    """Return one picture file.

    Raises:
        ValueError: not a picture, or too large; the size is read before pixels are unpacked.
    """
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as header:
            width, height = header.size
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise ValueError("is no picture") from error
    if width * height > MAX_FRAME_PIXELS or min(width, height) < 16:
        raise ValueError(f"{width} x {height} pixels; at most {MAX_FRAME_PIXELS} are taken")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("can't be decoded")
    return np.asarray(image, np.uint8)


def _video(source: str, path: Path, loop: bool, stop: threading.Event) -> Iterator[Frame]:
    import av

    pace, index, shown_s = _Pace(stop), 0, 0.0
    while True:
        got = 0
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise SourceError(SourceFault.BAD_FRAMES, source, "has no video")
                stream = container.streams.video[0]
                stream.thread_count = 1
                rate = float(stream.average_rate or 25)
                started_s = shown_s
                for frame in container.decode(stream):
                    if stop.is_set():
                        return
                    _check_size(source, frame.width, frame.height)
                    at_s = frame.time if frame.time is not None else got / rate
                    got, index = got + 1, index + 1
                    shown_s = max(shown_s, started_s + at_s + 1 / rate)
                    if pace.due(started_s + at_s) and not stop.is_set():
                        image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                        yield Frame(image, datetime.now(UTC), index - 1)
        except (av.FFmpegError, OSError) as error:
            raise SourceError(
                SourceFault.BAD_FRAMES, source, f"can't be played: {_short(error)}"
            ) from error
        if not got:
            raise SourceError(SourceFault.BAD_FRAMES, source, "holds no frame")
        if not loop:
            with suppress(RuntimeError):
                pace.due(shown_s)
            raise SourceError(SourceFault.ENDED, source, "the video has been shown")
