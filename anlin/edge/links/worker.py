"""The pipes of a camera worker."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from anlin.core.detection import MAX_LINE_BYTES
from anlin.drivers.base import LinkError

STOP_TIMEOUT_S = 3.0
"""A worker ends when its input closes; one that hangs in a decoder is killed."""


class WorkerLink:
    """The pipes of one vision worker, which lives exactly as long as the link is open."""

    def __init__(self, device: str, settings: Mapping[str, Any]) -> None:
        self._device = device
        self._process: asyncio.subprocess.Process | None = None
        self._sending = asyncio.Lock()

    async def open(self) -> None:
        """Start the worker."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "anlin.vision.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
        )

    async def close(self) -> None:
        """Close its input and see it end."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        process = self._process
        if process is None or process.stdout is None:
            raise LinkError(f"camera {self._device}: its worker is not running")
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError as error:
                raise LinkError(f"camera {self._device}: {error}") from error
            if not line:
                raise LinkError(f"camera {self._device}: its worker ended")
            yield "line", line

    async def send(self, address: str, payload: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise LinkError(f"camera {self._device}: its worker is not running")
        async with self._sending:
            try:
                process.stdin.write(payload)
                await process.stdin.drain()
            except (ConnectionError, RuntimeError) as error:
                raise LinkError(f"camera {self._device}: {error}") from error
