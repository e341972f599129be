"""The front: TLS for the parts that speak plainly on the loopback.

    python -m anlin.edge.front --listen 192.0.2.10 --cert a.pem --key a.key 8443:8000 8883:1883

Hub, live rows and broker trust only this machine. Who comes from another one comes through here,
encrypted; what is inside the connection is for the part behind to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

INSIDE = "127.0.0.1"
CHUNK_BYTES = 65536

MAX_CONNECTIONS = 3000
"""A thousand devices, as many browsers, and room for those that come back before they have left."""

HANDSHAKE_S = 10.0
"""A controller on a weak line needs a few seconds; longer is somebody who holds a place."""

CONNECT_S = 5.0


class FrontError(Exception):
    """A certificate, key or address that can't be used; names it."""


def context(cert: Path, key: Path) -> ssl.SSLContext:
    """Read a certificate and its key; TLS 1.2 at least.

    Raises:
        FrontError: missing, unreadable, or not belonging together.
    """
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise FrontError(f"certificate {cert} with key {key}: {error}") from error
    return made


class Front:
    """Carries connections from one outer port to one inner port."""

    def __init__(self, listen: str, outer: int, inner: int, secure: ssl.SSLContext) -> None:
        self._listen, self._outer, self._inner = listen, outer, inner
        self._secure = secure
        self._open = 0

    async def start(self) -> asyncio.Server:
        """Listen.

        Raises:
            FrontError: the address is not this machine's, or the port is taken.
        """
        try:
            return await asyncio.start_server(
                self._carry,
                self._listen,
                self._outer,
                ssl=self._secure,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except OSError as error:
            raise FrontError(f"{self._listen}:{self._outer}: {error.strerror or error}") from error

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        far: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(CONNECT_S):
                far_reader, far = await asyncio.open_connection(INSIDE, self._inner)
            there = asyncio.create_task(_pump(reader, far))
            back = asyncio.create_task(_pump(far_reader, writer))
            # TLS has no half-open connection: when one side ends, both do.
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        except (OSError, TimeoutError) as error:
            log.warning("nobody_behind_the_front", port=self._inner, error=str(error))
        finally:
            self._open -= 1
            for end in (writer, far):
                if end is not None:
                    end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


async def run(listen: str, pairs: list[tuple[int, int]], secure: ssl.SSLContext) -> None:
    """Carry until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [await Front(listen, outer, inner, secure).start() for outer, inner in pairs]
    log.info("front_ready", listen=listen, ports=[outer for outer, _ in pairs])
    await stop.wait()
    for server in servers:
        server.close()


def main() -> None:
    """Parse the arguments and carry."""
    parser = argparse.ArgumentParser(description="TLS in front of hub, live rows and broker")
    parser.add_argument("--listen", required=True, help="an address of this machine")
    parser.add_argument("--cert", type=Path, required=True, help="certificate chain, PEM")
    parser.add_argument("--key", type=Path, required=True, help="its key, PEM")
    parser.add_argument("pairs", nargs="+", metavar="OUTER:INNER", help="ports")
    given = parser.parse_args()
    try:
        pairs = [(int(outer), int(inner)) for outer, inner in (p.split(":") for p in given.pairs)]
    except ValueError:
        parser.error("ports are written OUTER:INNER, such as 8443:8000")
    try:
        asyncio.run(run(given.listen, pairs, context(given.cert, given.key)))
    except FrontError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
