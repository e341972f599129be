"""What comes from another machine comes by TLS, or not at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from anlin.cli import app
from anlin.edge.front import Front, FrontError, context
from anlin.up import Addresses, Outside, free_addresses, free_port, hub_env, hub_programs

HOST = "127.0.0.1"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate for gate.example, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gate.example")]), False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = tmp_path / "gate.pem", tmp_path / "gate.key"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


@pytest_asyncio.fixture
async def inner() -> AsyncIterator[int]:
    """Something plain that answers in capitals."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_bytes_pass_both_ways_inside_tls(pair: tuple[Path, Path], inner: int) -> None:
    outer = free_port()
    server = await Front(HOST, outer, inner, context(*pair)).start()
    trusting = ssl.create_default_context(cafile=str(pair[0]))
    reader, writer = await asyncio.open_connection(
        HOST, outer, ssl=trusting, server_hostname="gate.example"
    )
    for _ in range(3):
        writer.write(b"open" * 20_000)
        async with asyncio.timeout(5):
            assert await reader.readexactly(80_000) == b"OPEN" * 20_000
    writer.close()
    server.close()


async def test_what_speaks_plainly_hears_nothing(pair: tuple[Path, Path], inner: int) -> None:
    outer = free_port()
    server = await Front(HOST, outer, inner, context(*pair)).start()
    reader, writer = await asyncio.open_connection(HOST, outer)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(5):
        assert b"HTTP" not in await reader.read(1000)
    writer.close()
    server.close()


async def test_a_part_that_is_down_ends_the_connection(pair: tuple[Path, Path]) -> None:
    outer = free_port()
    server = await Front(HOST, outer, free_port(), context(*pair)).start()
    trusting = ssl.create_default_context(cafile=str(pair[0]))
    reader, writer = await asyncio.open_connection(
        HOST, outer, ssl=trusting, server_hostname="gate.example"
    )
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    server.close()


async def test_a_port_that_is_taken_is_named(pair: tuple[Path, Path], inner: int) -> None:
    with pytest.raises(FrontError, match=f"{HOST}:{inner}"):
        await Front(HOST, inner, 1, context(*pair)).start()


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "gate.pem").write_text("no certificate")
    with pytest.raises(FrontError, match=r"gate\.pem"):
        context(tmp_path / "gate.pem", tmp_path / "gate.key")


def test_from_outside_everything_is_https_and_the_front_stands_before_it(tmp_path: Path) -> None:
    outside = Outside("gate.example", "192.0.2.10", tmp_path / "c", tmp_path / "k")
    addresses = free_addresses(Addresses(outside=outside))
    env = hub_env(tmp_path, addresses)
    assert env["ANLIN_HUB_URL"] == "https://gate.example:8443"
    assert env["ANLIN_LIVE_URL"] == "https://gate.example:8444"
    front = hub_programs(tmp_path, addresses)[-1]
    assert front.name == "front"
    assert f"8883:{addresses.mqtt}" in front.command
    assert [program.name for program in hub_programs(tmp_path, Addresses())][-1] == "worker"


def test_half_of_the_options_is_refused() -> None:
    result = CliRunner().invoke(app, ["up", "--listen", "192.0.2.10"])
    assert result.exit_code == 2
    assert "belong together" in result.output
