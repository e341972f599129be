"""Pictures of events: files named by their own hash."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from datetime import datetime
from pathlib import Path

from django.conf import settings

from anlin.hub.devices.models import Node
from anlin.hub.events.models import Picture

MAX_PICTURE_BYTES = 1024 * 1024
"""An edge sends small pictures: a face or a car, 640 pixels wide, is 60 KiB."""

_JPEG = b"\xff\xd8\xff"
_HASH = re.compile(r"[0-9a-f]{64}")


class PictureError(ValueError):
    """A picture that can't be taken; the text names it and the rule."""


def keep(node: Node, sha256: str, body: bytes, at: datetime) -> None:
    """Keep a picture that a node sent; the same one again changes nothing.

    Raises:
        PictureError: too large, not a JPEG, or not what its name says.
    """
    if len(body) > MAX_PICTURE_BYTES:
        raise PictureError(f"picture {sha256[:12]}: {len(body)} bytes, at most {MAX_PICTURE_BYTES}")
    if not body.startswith(_JPEG):
        raise PictureError(f"picture {sha256[:12]}: not a JPEG")
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        raise PictureError(f"picture {sha256[:12]}: its SHA-256 is {found[:12]}…, not its name")
    path = path_of(sha256)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with aside.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    Picture.objects.get_or_create(
        sha256=sha256,
        node=node.pk,
        defaults={"community": node.community_id, "received_at": at},
    )


def path_of(sha256: str) -> Path:
    """Give where a picture lies, whether it is there or not.

    Raises:
        ValueError: not a SHA-256 in hex.
    """
    if not _HASH.fullmatch(sha256):
        raise ValueError(f"picture {sha256[:12]!r}: not a SHA-256 in hex")
    home: Path = settings.PICTURES_HOME
    return home / sha256[:2] / f"{sha256}.jpg"
