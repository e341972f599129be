"""A cable that can be cut."""

from __future__ import annotations

import asyncio
import contextlib

from anlin.sim.cut import Cable
from anlin.testing.broker import free_port


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_it_carries_until_it_is_cut_and_again_when_mended() -> None:
    far, near = free_port(), free_port()
    server = await asyncio.start_server(echo, "127.0.0.1", far)
    cable = Cable(near, far)
    running = asyncio.create_task(cable.run())
    await asyncio.sleep(0.05)

    async def says(text: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", near)
        writer.write(text)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(3):
                return await reader.read()
        return b""

    assert await says(b"one") == b"one"
    reader, writer = await asyncio.open_connection("127.0.0.1", near)
    writer.write(b"two")
    assert await reader.read(100) == b"two"
    cable.cut()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(3):
            assert await reader.read() == b""
    assert await says(b"three") == b""
    cable.mend()
    assert await says(b"four") == b"four"
    running.cancel()
    server.close()
    await asyncio.gather(running, return_exceptions=True)
