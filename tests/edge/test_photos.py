"""Asking the hub for a photograph, over a real socket."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from anlin.edge.photos import fetch_photo
from anlin.edge.uplink import HubError
from anlin.wire.keys import new_sealing_key, public_sealing_key, seal

KEY = new_sealing_key()
JPEG = b"\xff\xd8\xff a photograph"


async def fetch(body: bytes, status: int = 200, credential: str = "lin-face") -> bytes | None:
    asked: list[bytes] = []

    async def hub(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hub, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            return await fetch_photo(client, KEY, credential)
    finally:
        server.close()
        await server.wait_closed()
        quoted = credential.replace("/", "%2F")
        assert asked[0].startswith(f"GET /sync/v1/photos/{quoted} ".encode())


def sealed(key: str = KEY, context: str = "photo lin-face") -> bytes:
    return f'{{"sealed":"{seal(public_sealing_key(key), JPEG, context)}"}}'.encode()


async def test_what_the_hub_sealed_is_opened() -> None:
    assert await fetch(sealed()) == JPEG


async def test_a_photograph_of_somebody_else_is_not_taken() -> None:
    with pytest.raises(HubError, match="strangely"):
        await fetch(sealed(context="photo wang-face"))
    with pytest.raises(HubError, match="strangely"):
        await fetch(sealed(key=new_sealing_key()))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sealed":5}', b'{"sealed":"AAAA"}'])
async def test_a_strange_answer_is_said_to_be_one(body: bytes) -> None:
    with pytest.raises(HubError, match="strangely"):
        await fetch(body)


@pytest.mark.parametrize("status", [404, 422])
async def test_where_there_is_none_there_is_none(status: int) -> None:
    assert await fetch(b"{}", status) is None


@pytest.mark.parametrize("status", [401, 403, 503])
async def test_a_refusal_is_an_error(status: int) -> None:
    with pytest.raises(HubError, match=str(status)):
        await fetch(b"{}", status)


async def test_a_credential_can_not_lead_elsewhere() -> None:
    assert await fetch(b"", 404, "../../admin") is None
