"""Transcripts: recorded conversations with a device, played against its driver.

    # what happens here, for people
    @ gate-1 {"readers":{"in":"gate-in"}}        the device, and its settings as JSON
    < up/read {"id":"7-1","age_ms":0,…}          the device said this
    = Read(point='gate-in', method='card', …)    the driver reported that
    ! Release(portal='gate', id='r1', …)         the engine commanded this
    > down/relay {"id":"r1",…}                   the driver sent that

A report is written with the fields that differ from their defaults. In `=` and `>` lines "…"
stands for whatever differs from run to run. Somebody with a device that is not known yet helps
by recording one (`anlin.testing.link.Recorder`).
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from anlin.core import device as words
from anlin.core.entities import Device
from anlin.drivers.base import drivers
from anlin.testing.link import FakeLink

SETTLE_S = 2.0
"""How long a driver may take to answer a line; it takes microseconds."""


class TranscriptError(AssertionError):
    """The driver did not keep to a transcript; names file, line, and what it did instead."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """One conversation: whose, with which settings, and its (line number, mark, text)."""

    name: str
    driver: str
    device: str
    settings: Mapping[str, Any]
    lines: tuple[tuple[int, str, str], ...]


def read(path: Path) -> Transcript:
    """Read a transcript; its folder is the driver's name.

    Raises:
        TranscriptError: a line without a mark, or no device before the first of them.
    """
    device, settings, lines = "", "{}", []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        mark, _, text = line.partition(" ")
        if mark == "@":
            device, _, settings = text.partition(" ")
        elif mark in {"<", ">", "=", "!"} and device:
            lines.append((number, mark, text))
        elif line and mark != "#":
            raise TranscriptError(f"{path.name}:{number}: {line[:60]!r} has no mark or no device")
    return Transcript(path.name, path.parent.name, device, json.loads(settings), tuple(lines))


async def play(transcript: Transcript) -> None:
    """Play a transcript against its driver.

    Raises:
        TranscriptError: the driver did or reported something else.
    """
    record = Device(
        transcript.device, transcript.device, "node-1", transcript.driver, transcript.settings
    )
    driver = drivers()[transcript.driver](record)
    link, did, more = _Heard(), [], asyncio.Event()

    def tell(mark: str, text: str) -> None:
        did.append((mark, text))
        more.set()

    link.tell = tell
    running = asyncio.create_task(driver.run(link, lambda report: tell("=", shown(report))))
    try:
        for number, mark, text in transcript.lines:
            where = f"{transcript.driver}/{transcript.name}:{number}"
            if mark in {"<", "!"}:
                if did:
                    raise TranscriptError(f"{where}: before it there came {_line(did[0])}")
                if mark == "!":
                    await driver.send(link, _command(text))
                else:
                    address, _, payload = text.partition(" ")
                    link.say(address, payload.encode())
                continue
            try:
                async with asyncio.timeout(SETTLE_S):
                    while not did:
                        more.clear()
                        await more.wait()
            except TimeoutError:
                raise TranscriptError(f"{where}: {mark} {text} did not come") from None
            got = did.pop(0)
            if got[0] != mark or not _is_like(text, got[1]):
                raise TranscriptError(f"{where}: expected {mark} {text}\ngot {_line(got)}")
        await asyncio.sleep(0)
        if did:
            raise TranscriptError(f"{transcript.name}: at the end there came {_line(did[0])}")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def shown(value: Any) -> str:
    """Write a report as it stands in a transcript: fields that differ from their defaults."""
    if isinstance(value, Enum):
        return repr(value.value)
    if isinstance(value, datetime):
        return repr(value.isoformat())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ", ".join(f"{name}={shown(item)}" for name, item in _told(value))
        return f"{type(value).__name__}({fields})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {shown(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _told(value: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if item != default:
            yield field.name, item


class _Heard(FakeLink):
    """A link that tells what the driver sends in one order with what it reports."""

    tell: Any = None

    async def send(self, address: str, payload: bytes) -> None:
        await super().send(address, payload)
        self.tell(">", f"{address} {payload.decode().strip()}")


def _command(text: str) -> words.Command:
    """Build a command from a call with literal arguments; nothing is evaluated."""
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise TranscriptError(f"! {text} is not a command")
    values = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    command: words.Command = getattr(words, call.func.id)(**values)
    return command


def _is_like(expected: str, got: str) -> bool:
    return re.fullmatch(".*?".join(map(re.escape, expected.split("…"))), got) is not None


def _line(did: tuple[str, str]) -> str:
    return f"{did[0]} {did[1]}"
