"""Your own hands at the simulated gates: show a card, a pass, a face or a car while it runs.

    anlin show card 04A1B2C3 --at south
    anlin show face me.jpg

The running simulation listens on a socket file in its state folder that only its user can reach:
one JSON line in, one JSON line with what the screen said out.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from anlin.sim.camera import Camera, Picture
from anlin.sim.gate import Gate
from anlin.sim.story import Site
from anlin.sim.town import FACES, LANE_CAMERA

METHODS = ("card", "qr", "face", "plate")
ANSWER_S = 10.0
MAX_LINE = 8192
MAX_PIXELS = 40_000_000
LOOK_S = 6.0
CROSSING_S = 1.5
"""A car takes as long under the arm; an e-bike less than half of it."""


class HandsError(ValueError):
    """What was asked can't be done; says why."""


def ask(home: Path, method: str, value: str, at: str) -> str:
    """Show something at a gate of the simulation that runs on this state folder.

    Raises:
        HandsError: nothing runs there, or it refused; the text says which.
    """
    request = json.dumps({"method": method, "value": value, "at": at}) + "\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S + 5)
            connection.connect(str(_path(home)))
            connection.sendall(request.encode())
            answer = json.loads(connection.makefile().readline())
    except (OSError, ValueError) as error:
        raise HandsError(f"no simulation answers in {home}: start `anlin demo` first") from error
    if "error" in answer:
        raise HandsError(answer["error"])
    return str(answer["screen"])


async def serve(site: Site) -> None:
    """Do what `ask` asks until cancelled."""
    path = _path(site.home)
    path.unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            reply = {"screen": await _do(site, request)}
        except (HandsError, ValueError, KeyError, TypeError) as error:
            reply = {"error": str(error)}
        with suppress(ConnectionError):
            writer.write(json.dumps(reply, ensure_ascii=False).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, path, limit=MAX_LINE)
    path.chmod(0o600)
    try:
        await server.serve_forever()
    finally:
        path.unlink(missing_ok=True)


async def _do(site: Site, request: Mapping[str, Any]) -> str:
    method, value, at = request["method"], str(request["value"]), request["at"]
    if method == "plate":
        at = "lane"
    gate = site.gates.get(at)
    if gate is None:
        raise HandsError(f"there is no gate {at!r}; there are {', '.join(site.gates)}")
    if method in ("card", "qr"):
        since = time.monotonic()
        gate.read("in", method, value)
        return await _screen(gate, since)
    if method not in METHODS:
        raise HandsError(f"{method!r} is not one of {', '.join(METHODS)}")
    camera = site.cameras.get(LANE_CAMERA if method == "plate" else FACES.get(at, ""))
    if camera is None:
        raise HandsError(f"gate {at} has no camera for faces; {', '.join(FACES)} have")
    picture = await asyncio.to_thread(_picture, Path(value))
    return await _look(gate, camera, picture, is_car=method == "plate")


async def _look(gate: Gate, camera: Camera, picture: Picture, *, is_car: bool) -> str:
    since = time.monotonic()
    if is_car:
        gate.loop(is_occupied=True)
    camera.show(picture, LOOK_S)
    try:
        return await _screen(gate, since)
    finally:
        camera.clear()
        if is_car:
            is_let_in = gate.arm == "up"
            if is_let_in:
                gate.under(is_occupied=True)
            gate.loop(is_occupied=False)
            await asyncio.sleep(CROSSING_S)
            if is_let_in:
                gate.under(is_occupied=False)


async def _screen(gate: Gate, since: float) -> str:
    """Wait for what the screen says next."""
    before = len(gate.shown), gate.shown[-1] if gate.shown else None
    while time.monotonic() - since < ANSWER_S:
        now = len(gate.shown), gate.shown[-1] if gate.shown else None
        if now != before and gate.shown:
            return f"{gate.shown[-1].text} ({gate.shown[-1].code})"
        await asyncio.sleep(0.02)
    raise HandsError(f"the screen said nothing in {ANSWER_S:.0f} s: nobody was seen there")


def _picture(path: Path) -> Picture:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise HandsError(f"{path}: {image.width}x{image.height} is more than 40 megapixels")
            image.thumbnail((1600, 1600))
            return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise HandsError(f"{path}: not a picture that can be read") from error


def _path(home: Path) -> Path:
    return home / "sim" / "hands.sock"
