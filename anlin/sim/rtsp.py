"""A small RTSP server: cameras of the simulator as any client sees cameras.

RTSP 1.0 (RFC 2326) with interleaved TCP only; H.264 in RTP (RFC 6184: single NAL units and
FU-A). A path is encoded only while somebody watches, and whoever joins gets a key frame at once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import structlog
from av.video.frame import PictureType
from numpy.typing import NDArray

log = structlog.get_logger(__name__)

Picture = NDArray[np.uint8]
Draw = Callable[[], Picture]
"""Gives the camera's view now: (H, W, 3) uint8 RGB, always of one size."""

HOST = "127.0.0.1"
FPS = 8
KEY_FRAME_EVERY_S = 2
BIT_RATE = 1_500_000
MAX_RTP_BYTES = 1400
MAX_REQUEST_BYTES = 8192
IDLE_S = 65.0
"""RFC 2326 12.37 gives a session 60 s; ours says so in its Session header."""

MAX_UNSENT_BYTES = 2_000_000
"""A viewer that is so far behind loses frames until the next key frame, as with a real camera."""

_CLOCK_HZ = 90_000
_PAYLOAD_TYPE = 96
_FU_A = 28
_IDR, _SPS, _PPS = 5, 7, 8
_PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"


class RtspServer:
    """Serves each path of `cameras` to any number of viewers."""

    def __init__(self, cameras: Mapping[str, Draw], fps: int = FPS) -> None:
        self._streams = {path.strip("/"): _Stream(draw, fps) for path, draw in cameras.items()}
        self._server: asyncio.Server | None = None

    async def run(self, port: int, host: str = HOST) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._serve, host, port, limit=MAX_REQUEST_BYTES)
        try:
            async with asyncio.TaskGroup() as group:
                for stream in self._streams.values():
                    group.create_task(stream.run())
        finally:
            server.close()

    def viewers(self, path: str) -> int:
        """Say how many watch a path."""
        return len(self._streams[path.strip("/")].viewers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self._streams, reader, writer)
        try:
            await session.run()
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            log.debug("rtsp_gone", error=str(error))
        finally:
            session.leave()
            writer.transport.abort()


@dataclass(slots=True, eq=False)
class _Viewer:
    """Somebody who watches: where packets go, and how they are numbered."""

    writer: asyncio.StreamWriter
    channel: int
    ssrc: bytes = field(default_factory=lambda: secrets.token_bytes(4))
    sequence: int = field(default_factory=lambda: secrets.randbelow(1 << 15))
    wants_key_frame: bool = True

    def send(self, units: list[bytes], is_key: bool, timestamp: int) -> None:
        """Send one picture, or skip it until a key frame if this viewer is behind."""
        if self.writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.wants_key_frame = True
        if self.wants_key_frame and not is_key:
            return
        self.wants_key_frame = False
        for number, unit in enumerate(units, start=1):
            self._send_unit(unit, timestamp, is_last=number == len(units))

    def _send_unit(self, unit: bytes, timestamp: int, is_last: bool) -> None:
        parts = fragments(unit)
        for number, part in enumerate(parts, start=1):
            marker = 0x80 if is_last and number == len(parts) else 0
            header = (
                bytes([0x80, marker | _PAYLOAD_TYPE])
                + (self.sequence & 0xFFFF).to_bytes(2, "big")
                + (timestamp & 0xFFFFFFFF).to_bytes(4, "big")
                + self.ssrc
            )
            self.sequence += 1
            packet = header + part
            self.writer.write(b"$" + bytes([self.channel]) + len(packet).to_bytes(2, "big"))
            self.writer.write(packet)


class _Stream:
    """One camera: draws, encodes while watched, and sends to each viewer."""

    def __init__(self, draw: Draw, fps: int) -> None:
        self.viewers: set[_Viewer] = set()
        self._draw = draw
        self._fps = fps
        self._watched = asyncio.Event()
        self._encoder = _Encoder(fps)
        self._described: dict[int, bytes] | None = None

    async def describe(self) -> str:
        """Write the SDP (RFC 4566); needs one encoded picture for the parameter sets."""
        if self._described is None:
            picture = self._draw()
            units, _ = await asyncio.to_thread(_Encoder(self._fps).encode, picture, True)
            self._described = {unit[0] & 0x1F: unit for unit in units}
        sps, pps = self._described[_SPS], self._described[_PPS]
        sets = ",".join(base64.b64encode(unit).decode() for unit in (sps, pps))
        return "\r\n".join(
            (
                "v=0",
                f"o=- 0 0 IN IP4 {HOST}",
                "s=anlin sim",
                f"c=IN IP4 {HOST}",
                "t=0 0",
                "a=control:*",
                f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}",
                f"a=rtpmap:{_PAYLOAD_TYPE} H264/{_CLOCK_HZ}",
                f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1;"
                f"profile-level-id={sps[1:4].hex().upper()};sprop-parameter-sets={sets}",
                f"a=framerate:{self._fps}",
                "a=control:video",
                "",
            )
        )

    def join(self, viewer: _Viewer) -> None:
        self.viewers.add(viewer)
        self._watched.set()

    def leave(self, viewer: _Viewer) -> None:
        self.viewers.discard(viewer)
        if not self.viewers:
            self._watched.clear()

    async def run(self) -> None:
        """Encode at the stream's pace while there is a viewer."""
        due = time.monotonic()
        while True:
            await self._watched.wait()
            due = max(due + 1 / self._fps, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            wants_key = any(viewer.wants_key_frame for viewer in self.viewers)
            timestamp = int(time.monotonic() * _CLOCK_HZ)
            units, is_key = await asyncio.to_thread(self._next, wants_key)
            for viewer in list(self.viewers):
                viewer.send(units, is_key, timestamp)

    def _next(self, wants_key: bool) -> tuple[list[bytes], bool]:
        """Draw and encode, away from the loop that carries everybody's packets."""
        return self._encoder.encode(self._draw(), wants_key)


class _Encoder:
    """x264 at its quickest; opened with the first picture, whose size it keeps."""

    def __init__(self, fps: int) -> None:
        self._fps = fps
        self._codec: av.VideoCodecContext | None = None
        self._count = 0

    def encode(self, picture: Picture, wants_key: bool) -> tuple[list[bytes], bool]:
        """Encode one picture; give its NAL units and whether it is a key frame."""
        if self._codec is None:
            self._codec = self._open(picture.shape[1], picture.shape[0])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = self._count
        self._count += 1
        frame.pict_type = PictureType.I if wants_key else PictureType.NONE
        data = b"".join(bytes(packet) for packet in self._codec.encode(frame))
        units = nal_units(data)
        return units, any(unit[0] & 0x1F == _IDR for unit in units)

    def _open(self, width: int, height: int) -> av.VideoCodecContext:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, av.VideoCodecContext)  # noqa: S101  what libx264 always is
        codec.width, codec.height = width, height
        codec.pix_fmt = "yuv420p"
        codec.framerate = Fraction(self._fps)
        codec.time_base = Fraction(1, self._fps)
        codec.bit_rate = BIT_RATE
        codec.gop_size = self._fps * KEY_FRAME_EVERY_S
        codec.thread_count = 1
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
        }
        return codec


class _Session:
    """One RTSP connection."""

    def __init__(
        self,
        streams: Mapping[str, _Stream],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._streams = streams
        self._reader = reader
        self._writer = writer
        self._id = secrets.token_hex(4)
        self._stream: _Stream | None = None
        self._viewer: _Viewer | None = None

    async def run(self) -> None:
        """Answer requests until the client leaves or falls silent."""
        while True:
            async with asyncio.timeout(IDLE_S):
                request = await self._request()
            if request is None:
                continue
            method, url, headers = request
            sequence = headers.get("cseq", "0")
            status, more, body = await self._answer(method, _path(url), headers)
            lines = [f"RTSP/1.0 {status}", f"CSeq: {sequence}", *more]
            if body:
                lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            self._writer.write("\r\n".join((*lines, "", body)).encode())
            await self._writer.drain()
            if method == "PLAY" and self._stream is not None and self._viewer is not None:
                self._stream.join(self._viewer)
            if method == "TEARDOWN":
                return

    def leave(self) -> None:
        """Stop watching."""
        if self._stream is not None and self._viewer is not None:
            self._stream.leave(self._viewer)

    async def _request(self) -> tuple[str, str, dict[str, str]] | None:
        """Read a request; None for an interleaved packet (RTCP), which nobody needs."""
        first = await self._reader.readexactly(1)
        if first == b"$":
            head = await self._reader.readexactly(3)
            await self._reader.readexactly(int.from_bytes(head[1:], "big"))
            return None
        try:
            text = (first + await self._reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.LimitOverrunError:
            raise ValueError(f"RTSP request longer than {MAX_REQUEST_BYTES} bytes") from None
        top, *lines = text.strip().split("\r\n")
        parts = top.split()
        if len(parts) != 3 or not parts[2].startswith("RTSP/1."):
            raise ValueError(f"not an RTSP request: {top[:60]!r}")
        headers = {name.strip().lower(): value.strip() for name, _, value in map(_colon, lines)}
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= MAX_REQUEST_BYTES:
            raise ValueError(f"RTSP body of {length} bytes")
        await self._reader.readexactly(length)
        return parts[0].upper(), parts[1], headers

    async def _answer(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> tuple[str, list[str], str]:
        session = [f"Session: {self._id};timeout=60"]
        stream = self._streams.get(path.removesuffix("/video"))
        match method:
            case "OPTIONS":
                return "200 OK", [f"Public: {_PUBLIC}"], ""
            case "GET_PARAMETER" | "TEARDOWN":
                return "200 OK", session, ""
            case "PLAY":
                if self._viewer is None:
                    return "455 Method Not Valid in This State", [], ""
                return "200 OK", [*session, "Range: npt=0.000-"], ""
            case "DESCRIBE" | "SETUP" if stream is None:
                return "404 Not Found", [], ""
            case "DESCRIBE" if stream is not None:
                return "200 OK", [f"Content-Base: rtsp://{HOST}/{path}/"], await stream.describe()
            case "SETUP" if stream is not None:
                transport = headers.get("transport", "")
                if "TCP" not in transport:
                    return "461 Unsupported Transport", [], ""
                found = re.search(r"interleaved=(\d{1,3})", transport)
                channel = int(found[1]) if found else 0
                self.leave()
                self._stream, self._viewer = stream, _Viewer(self._writer, channel & 0xFE)
                used = f"RTP/AVP/TCP;unicast;interleaved={channel & 0xFE}-{(channel & 0xFE) + 1}"
                return "200 OK", [f"Transport: {used}", *session], ""
        return "405 Method Not Allowed", [f"Allow: {_PUBLIC}"], ""


def fragments(unit: bytes) -> list[bytes]:
    """Cut a NAL unit into RTP payloads: itself, or FU-A fragments (RFC 6184, 5.8)."""
    if len(unit) <= MAX_RTP_BYTES:
        return [unit]
    indicator = unit[0] & 0xE0 | _FU_A
    kind = unit[0] & 0x1F
    room = MAX_RTP_BYTES - 2
    body = unit[1:]
    starts = range(0, len(body), room)
    parts = []
    for start in starts:
        flags = (0x80 if start == 0 else 0) | (0x40 if start == starts[-1] else 0)
        parts.append(bytes([indicator, flags | kind]) + body[start : start + room])
    return parts


def nal_units(data: bytes) -> list[bytes]:
    """Split an Annex B byte stream (ITU-T H.264) at its start codes."""
    return [unit for unit in re.split(rb"\x00*\x00\x00\x01", data) if unit]


def _path(url: str) -> str:
    """Give the path of an RTSP URL, without query."""
    rest = url.partition("://")[2] if "://" in url else url
    return rest.partition("/")[2].partition("?")[0].strip("/")


def _colon(line: str) -> tuple[str, str, str]:
    return line.partition(":")


async def ready(port: int, host: str = HOST, wait_s: float = 5.0) -> None:
    """Wait until the server takes connections."""
    async with asyncio.timeout(wait_s):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                return
            await asyncio.sleep(0.02)
