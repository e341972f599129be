"""QR passes: signed by the community, checked at the gate without a network.

The text is `ANLIN1.<payload>.<signature>`, both base64url without padding. The payload is
canonical JSON of `Pass`; the signature is Ed25519 over the text before the last dot. Signing
and verifying are handed in, because this package knows only the standard library.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from anlin.core.codec import canonical_json, from_data, to_data

PREFIX = "ANLIN1"
MAX_TEXT_CHARS = 1200
"""A QR that a phone shows and a cheap reader reads holds no more; longer is not ours."""

Sign = Callable[[bytes], bytes]
Verify = Callable[[str, bytes, bytes], bool]
"""(base64 public key, message, signature) -> whether it holds."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to pass some access points in a window of time.

    `uses` counts grants at one node; 0 is without limit. `group` is what the holder counts as
    where the edge does not know the holder. Empty `points` means wherever the rules admit.
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


class PassError(ValueError):
    """A text that is no pass of ours, or whose signature does not hold."""


def issue(leave: Pass, sign: Sign) -> str:
    """Write a pass as the text to show in a QR code."""
    body = f"{PREFIX}.{_b64(canonical_json(to_data(leave)))}"
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
    if len(parts) != 3 or parts[0] != PREFIX:
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
    return leave


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
