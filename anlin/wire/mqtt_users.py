"""Who may speak to the MQTT broker: a file of users, each with a salted digest.

Passwords are 256 random bits made here and shown once, so a plain HMAC is enough: there is
nothing to guess, and a thousand devices that reconnect at once cost milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from anlin.core.codec import DataError, canonical_json, from_data, to_data

MAX_USER_CHARS = 64
VERSION = 1


class Role(StrEnum):
    """What a user may do: a device speaks for itself, an edge hears and commands them all."""

    DEVICE = "device"
    EDGE = "edge"


@dataclass(frozen=True, slots=True)
class User:
    """One user: role, salt and HMAC-SHA256 digest of name and password, both in hex."""

    name: str
    role: Role
    salt: str
    digest: str


def new_password() -> str:
    """Make a password of 256 random bits."""
    return secrets.token_urlsafe(32)


def new_user(name: str, password: str, role: Role = Role.DEVICE) -> User:
    """Make the entry for a user.

    Raises:
        ValueError: a name that could be read as a topic filter, or is empty or too long.
    """
    if not is_name(name):
        raise ValueError(
            f"MQTT user {name[:MAX_USER_CHARS]!r}: 1 to {MAX_USER_CHARS} letters, digits, - _ or ."
        )
    salt = secrets.token_hex(16)
    return User(name, role, salt, _digest(name, password, salt))


def is_name(name: str) -> bool:
    """Say whether a name can be one level of a topic and nothing more."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    return 0 < len(name) <= MAX_USER_CHARS and plain.isascii() and plain.isalnum()


def is_password(user: User, password: str) -> bool:
    """Say whether this is the user's password, in constant time."""
    return hmac.compare_digest(user.digest, _digest(user.name, password, user.salt))


def to_json(users: Mapping[str, User]) -> bytes:
    """Write the file of users; equal users give equal bytes. Keep it readable to one account."""
    return canonical_json(
        {"version": VERSION, "users": [to_data(users[name]) for name in sorted(users)]}
    )


def from_json(data: bytes) -> dict[str, User]:
    """Read the file of users.

    Raises:
        DataError: not JSON, another version, or an entry that does not fit.
    """
    try:
        body = json.loads(data)
    except ValueError as error:
        raise DataError(f"MQTT users: not JSON ({error})") from error
    if not isinstance(body, dict) or body.get("version") != VERSION:
        raise DataError(f"MQTT users: not a file of version {VERSION}")
    entries = body.get("users")
    if not isinstance(entries, list):
        raise DataError("MQTT users: 'users' is not a list")
    users: list[User] = [from_data(User, entry) for entry in entries]
    return {user.name: user for user in users}


def _digest(name: str, password: str, salt: str) -> str:
    message = f"{name}\0{password}".encode()
    return hmac.new(bytes.fromhex(salt), message, hashlib.sha256).hexdigest()
