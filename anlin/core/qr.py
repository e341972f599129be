"""QR passes: signed by the community, checked at the gate without a network.

The text is `ANLIN1.<payload>.<signature>`, both base64url without padding. The payload is
canonical JSON of `Pass`; the signature is Ed25519 over the text before the last dot. Signing
and verifying are handed in, because this package knows only the standard library.

A pass that rotates is shown as `<text>.<code>`: the code is an HMAC of the half minute, under a
secret that only the visitor's page, the hub and the gates have. A picture of it is worthless soon.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from anlin.core.codec import canonical_json, from_data, to_data
from anlin.core.words import Word

PREFIX = "ANLIN1"
MAX_TEXT_CHARS = 1200
"""A QR that a phone shows and a cheap reader reads holds no more; longer is not ours."""

SEALED_AS = "pass"
"""What the secret of codes is called at an edge, and the context that it is sealed in."""

STEP_S = 30
"""How long one code is shown."""

STEPS_AROUND = 1
"""Beside the code of this half minute: the one before, for the walk from pocket to reader."""

CODE_SKEW = timedelta(seconds=30)
"""How far page and gate may be apart; the page goes by the hub's clock, not by the phone's."""

CODE_CHARS = 11
_CODE_BYTES = 8

Sign = Callable[[bytes], bytes]
Verify = Callable[[str, bytes, bytes], bool]
"""(base64 public key, message, signature) -> whether it holds."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to pass some access points in a window of time.

    `uses` counts grants at one node; 0 is without limit. `group` is what the holder counts as
    where the edge does not know the holder. Empty `points` means wherever the rules admit.
    `rotates` wants the code of the half minute beside it.
    """

    id: str
    community: str
    issuer: str
    holder: str
    not_before: datetime
    not_after: datetime
    points: tuple[str, ...] = ()
    uses: int = 1
    group: str | None = None
    label: str = ""
    rotates: bool = False


class Freshness(Word):
    """What the code beside a rotating pass is worth."""

    FRESH = "fresh"
    MISSING = "missing"
    STALE = "stale"
    SHOWN = "shown"
    """Somebody was let in on this code, or a later one, before."""
    UNKNOWN = "unknown"
    """This gate has not got the secret to tell."""


class PassError(ValueError):
    """A text that is no pass of ours, or whose signature does not hold."""


def issue(leave: Pass, sign: Sign) -> str:
    """Write a pass as the text to show in a QR code."""
    data = to_data(leave)
    if not leave.rotates:
        # Gates of an older version read passes that do not rotate.
        del data["rotates"]
    body = f"{PREFIX}.{_b64(canonical_json(data))}"
    return f"{body}.{_b64(sign(body.encode()))}"


def read(text: str, keys: Mapping[str, str], verify: Verify) -> Pass:
    """Read a pass and prove its signature; `keys` maps issuer to base64 public key.

    Raises:
        PassError: cut short, not a pass, of an issuer this community does not know, or signed
            by somebody else. Window, place and uses are for `core.access` to judge.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise PassError(f"QR of {len(text)} characters: longer than {MAX_TEXT_CHARS}")
    parts = text.strip().split(".")
    if len(parts) not in (3, 4) or parts[0] != PREFIX:
        raise PassError("QR is not a pass of this platform, or was cut short")
    try:
        leave = from_data(Pass, json.loads(_unb64(parts[1])))
        signature = _unb64(parts[2])
    except PassError:
        raise
    except (ValueError, RecursionError) as error:
        raise PassError(f"QR pass can't be read: {error}") from error
    key = keys.get(leave.issuer)
    if key is None:
        raise PassError(f"QR pass of an unknown issuer {leave.issuer[:40]!r}")
    if not verify(key, f"{parts[0]}.{parts[1]}".encode(), signature):
        raise PassError(f"QR pass {leave.id[:40]!r}: the signature does not hold")
    if len(parts) == 4 and not leave.rotates:
        raise PassError(f"QR pass {leave.id[:40]!r}: has a code, and does not rotate")
    return leave


def derive(secret: bytes, info: bytes) -> bytes:
    """Derive 32 bytes for one use (HKDF with SHA-256, RFC 5869, without salt, one block)."""
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def pass_secret(secret: bytes, pass_id: str) -> bytes:
    """Give the secret of one pass: who learns it can rotate this pass and no other."""
    return derive(secret, b"anlin pass " + pass_id.encode())


def step_of(at: datetime) -> int:
    """Number the half minute that a time is in."""
    return int(at.timestamp()) // STEP_S


def code(secret: bytes, step: int) -> str:
    """Give the code that one half minute shows beside a pass with this secret."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha256)
    return _b64(digest[:_CODE_BYTES])


def shown(text: str, secret: bytes, at: datetime) -> str:
    """Give what stands in the QR code of a rotating pass at a time."""
    return f"{text}.{code(secret, step_of(at))}"


def step_shown(text: str, secret: bytes, at: datetime) -> int | None:
    """Give the half minute whose code a text carries, of those that count now; None for none."""
    given = code_of(text)
    for step in _steps(at):
        if hmac.compare_digest(code(secret, step).encode(), given.encode()):
            return step
    return None


def code_of(text: str) -> str:
    """Give the code at the end of a text, or "" where there is none."""
    parts = text.strip().split(".")
    return parts[3] if len(parts) == 4 else ""


def _steps(at: datetime) -> Iterator[int]:
    first = step_of(at - CODE_SKEW) - STEPS_AROUND
    return iter(range(first, step_of(at + CODE_SKEW) + 1))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise PassError("QR pass is cut or damaged") from error
    if _b64(data) != text:
        # One pass has one text: spare bits in the last character are no place for a second.
        raise PassError("QR pass is cut or damaged")
    return data
