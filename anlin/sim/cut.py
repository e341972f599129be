"""A cable that can be cut: a TCP relay between edge and hub."""

from __future__ import annotations

import asyncio
import contextlib

HOST = "127.0.0.1"
CHUNK_BYTES = 65536
CONNECT_WAIT_S = 5.0


class Cable:
    """Carries connections from `port` to `target_port` until it is cut."""

    def __init__(self, port: int, target_port: int) -> None:
        self._port = port
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_cut = False

    async def run(self) -> None:
        """Carry until cancelled."""
        server = await asyncio.start_server(self._carry, HOST, self._port)
        try:
            await server.serve_forever()
        finally:
            server.close()
            self._drop()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self.is_cut = True
        self._drop()

    def mend(self) -> None:
        """Carry again."""
        self.is_cut = False

    def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far_writer: asyncio.StreamWriter | None = None
        try:
            if self.is_cut:
                return
            async with asyncio.timeout(CONNECT_WAIT_S):
                far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
            self._writers.add(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far_writer))
                group.create_task(_pump(far_reader, writer))
        except (OSError, TimeoutError):
            pass
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction to its end, and pass the end on."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
