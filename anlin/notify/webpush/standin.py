"""A push service and a browser on this machine, for tests: what the real ones do, on loopback.

It opens what it gets as the browser would (RFC 8291) and checks who signed it as a push service
does (RFC 8292). Nothing of the hub uses it.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import http_ece
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass
class Browser:
    """One subscription of one browser, with the keys that only it has."""

    path: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    status: int = 201
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)

    def subscription(self, base: str) -> dict[str, Any]:
        """Give what `PushSubscription.toJSON()` gives."""
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _text(point), "auth": _text(self.auth)}
        return {"endpoint": f"{base}{self.path}", "expirationTime": None, "keys": keys}


@dataclass
class PushService:
    """A push service: takes what is signed by `vapid_key`, refuses everything else with 403."""

    vapid_key: str = ""
    base: str = ""
    browsers: dict[str, Browser] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    hold: threading.Event | None = None
    """A request waits here before it is answered, to let a test pull the plug meanwhile."""
    arrived: threading.Event = field(default_factory=threading.Event)

    def browser(self) -> Browser:
        """Let a new browser subscribe."""
        made = Browser(f"/push/{secrets.token_urlsafe(12)}")
        self.browsers[made.path] = made
        return made

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Judge one message as a push service does, and open it as the browser does."""
        browser = self.browsers.get(path)
        if browser is None:
            return 404
        if browser.status != 201:
            return browser.status
        try:
            claims = checked(headers["Authorization"], self.vapid_key, self.base)
        except ValueError as error:
            self.refused.append(str(error))
            return 403
        if len(body) > 4096:
            return 413
        if not headers.get("TTL", "").isdigit():
            return 400
        plain = http_ece.decrypt(
            body, private_key=browser.key, auth_secret=browser.auth, version="aes128gcm"
        )
        browser.got.append(json.loads(plain))
        browser.headers.append(headers)
        browser.claims.append(claims)
        return 201


@contextmanager
def push_service(
    tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[PushService]:
    """Run a push service on a free port of this machine."""
    ours = PushService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            ours.arrived.set()
            if ours.hold is not None:
                ours.hold.wait(30)
            status = ours.take(self.path, dict(self.headers), body)
            try:
                self.send_response(status)
                self.send_header("Location", f"/message/{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                # Whoever asked has gone.
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    ours.base = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield ours
    finally:
        if ours.hold is not None:
            ours.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def checked(authorization: str, vapid_key: str, audience: str) -> dict[str, Any]:
    """Check the signature of an application server (RFC 8292 section 3).

    Raises:
        ValueError: not signed by this key, for another service, or not for now.
    """
    scheme, _, rest = authorization.partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    if scheme.lower() != "vapid" or fields.get("k") != vapid_key:
        raise ValueError("signed by another key")
    head, body, signature = fields["t"].split(".")
    point = _bytes(fields["k"])
    raw = _bytes(signature)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    numbers = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.verify(
            utils.encode_dss_signature(*numbers), f"{head}.{body}".encode(), ec.ECDSA(SHA256())
        )
    except Exception as error:
        raise ValueError("the signature does not hold") from error
    if json.loads(_bytes(head)).get("alg") != "ES256":
        raise ValueError("not ES256")
    claims: dict[str, Any] = json.loads(_bytes(body))
    if claims["aud"] != audience:
        raise ValueError("for another push service")
    if not time.time() < claims["exp"] <= time.time() + 24 * 3600:
        raise ValueError("not signed for now")
    return claims


def contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for a name; give the server's side and a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, private)
    client = ssl.create_default_context(cafile=str(certificate))
    return server, client


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
