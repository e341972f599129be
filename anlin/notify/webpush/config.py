"""Who sends (the application server's key) and where to (a browser's subscription), checked."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

TIMEOUT_S = 10.0
"""Push services answer within a second; a slower one holds up whoever comes after."""

DAY_S = 24 * 3600
MAX_TTL_S = 28 * DAY_S
"""The large push services keep a message for four weeks at most."""

MAX_ENDPOINT_CHARS = 1000
"""The longest known is under 500; what a browser hands over is typed by anybody."""

PUBLIC_BYTES = 65
"""An uncompressed point of P-256 (RFC 8291 section 3.1)."""
AUTH_BYTES = 16
"""The authentication secret (RFC 8291 section 3.2)."""


class SubscriptionError(ValueError):
    """A subscription that can't be used; names the field and the rule."""


class Urgency(StrEnum):
    """How soon a phone that saves its battery is to be woken (RFC 8030 section 5.3)."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: `private_key` is PEM, `contact` a mailto: or https: address (RFC 8292 2.1).

    `allows_local` lets a test's own push service be reached: http, and this machine. `tls` is the
    trust of connections; none is that of the system.
    """

    private_key: str = field(repr=False)
    contact: str
    ttl_s: int = DAY_S
    urgency: Urgency = Urgency.NORMAL
    timeout_s: float = TIMEOUT_S
    allows_local: bool = False
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where one browser on one device is reached, and the keys that only it can open."""

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)

    def as_text(self) -> str:
        """Give it as the address of a message."""
        keys = {"p256dh": self.p256dh, "auth": self.auth}
        return json.dumps({"endpoint": self.endpoint, "keys": keys})


def new_private_key() -> str:
    """Make the key that a hub signs with for as long as its subscriptions live."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key(private_key: str) -> str:
    """Give what a browser needs in order to subscribe: `applicationServerKey`, base64url."""
    key = load_pem_private_key(private_key.encode(), None)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def read_subscription(data: object, *, allows_local: bool = False) -> Subscription:
    """Read what `PushSubscription.toJSON()` gives.

    Raises:
        SubscriptionError: a field is missing or breaks a rule.
    """
    if not isinstance(data, Mapping):
        raise SubscriptionError("subscription: must be an object")
    keys = data.get("keys")
    if not isinstance(keys, Mapping):
        raise SubscriptionError("keys: must be an object")
    endpoint = _text(data, "endpoint", MAX_ENDPOINT_CHARS)
    check_endpoint(endpoint, allows_local=allows_local)
    p256dh, auth = _text(keys, "p256dh", 120), _text(keys, "auth", 60)
    point = _decoded(p256dh, "p256dh")
    if len(point) != PUBLIC_BYTES:
        raise SubscriptionError(f"p256dh: must be {PUBLIC_BYTES} bytes")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise SubscriptionError("p256dh: is no point of the curve P-256") from error
    if len(_decoded(auth, "auth")) != AUTH_BYTES:
        raise SubscriptionError(f"auth: must be {AUTH_BYTES} bytes")
    return Subscription(endpoint, p256dh, auth)


def check_endpoint(endpoint: str, *, allows_local: bool = False) -> None:
    """Refuse an address that no push service has.

    A name is checked once more when it is resolved, before each message.

    Raises:
        SubscriptionError: not https, a port or a password in it, or an address that is not public.
    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SubscriptionError("endpoint: is no address") from error
    if not endpoint.isascii() or any(ord(char) <= 32 for char in endpoint):
        raise SubscriptionError("endpoint: is no address")
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise SubscriptionError("endpoint: must be https://host/path and nothing else")
    if allows_local:
        if parts.scheme not in ("http", "https"):
            raise SubscriptionError("endpoint: must begin with https://")
        return
    if parts.scheme != "https":
        raise SubscriptionError("endpoint: must begin with https://")
    if port not in (None, 443):
        raise SubscriptionError("endpoint: must be on port 443")
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        # Ten million and one ways to write 127.0.0.1 (0x7f.1, 2130706433) hold no such label.
        if "." not in host or not host.rsplit(".", 1)[1].isalpha():
            raise SubscriptionError("endpoint: its host must be a full public name") from None
        if host.endswith((".local", ".localhost", ".internal", ".lan", ".arpa")):
            raise SubscriptionError("endpoint: its host must be a full public name") from None
    else:
        if not is_public(number):
            raise SubscriptionError("endpoint: its host must be a public address")


def is_public(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Say whether an address may belong to a push service: not this machine, not a network inside.

    What carries an IPv4 address inside (mapped, 6to4, NAT64) is judged by that.
    """
    if isinstance(number, ipaddress.IPv6Address):
        inner = number.ipv4_mapped or number.sixtofour
        if inner is None and number in _NAT64:
            inner = ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return number.is_global and not number.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _text(data: Mapping[str, Any], name: str, most: int) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise SubscriptionError(f"{name}: must be a text")
    if len(value) > most:
        raise SubscriptionError(f"{name}: is longer than {most} characters")
    return value


def _decoded(text: str, name: str) -> bytes:
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise SubscriptionError(f"{name}: must be base64url") from error
