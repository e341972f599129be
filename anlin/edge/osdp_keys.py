"""The keys of OSDP readers, and the wish to give a reader a new one.

Each reader has its own random key, in a file that only this node's user can read:
`keys/osdp/NAME` below the node's home, 32 hex digits. A key never stands in a setting, an event
or a log line. Commissioning is asked for by somebody on this machine: a wish in the same folder,
good for a minute, which the link of the device takes from there.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY_BYTES = 16
DEFAULT_KEY = bytes(range(0x30, 0x40))
"""SCBK-D of the standard: everybody knows it."""

WISH_S = 60.0
"""How long a wish stands: somebody waits for it at the reader."""

MAX_FILE_BYTES = 1000


class KeyFault(Exception):
    """There is no usable key; the text is the rule, and never holds the key."""


def folder(settings: Mapping[str, Any]) -> Path:
    """Give the folder of keys that belongs to a device's settings, as the edge completed them."""
    return Path(str(settings.get("media", "media"))).parent / "keys" / "osdp"


def read_key(path: Path) -> bytes:
    """Read a reader's key.

    Raises:
        KeyFault: missing, open to others, not a key, or one that can be guessed.
    """
    try:
        is_private = path.stat().st_mode & 0o077 == 0
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        raise KeyFault("no key: commission this reader") from None
    except OSError as error:
        raise KeyFault(f"key file can't be read: {error.strerror}") from None
    if not is_private:
        raise KeyFault("key file is open to other users; it must have mode 0600")
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFault(f"key file must hold {2 * KEY_BYTES} hex digits")
    if is_weak(key):
        raise KeyFault("key can be guessed: the default key, or bytes in a row")
    return key


def is_weak(key: bytes) -> bool:
    """Say whether a key is one that is tried first: samples in manuals repeat or count."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    return key == DEFAULT_KEY or len(steps) == 1 or len(set(key)) <= KEY_BYTES // 4


def make_key(path: Path) -> bytes:
    """Make a random key and keep it in a new file that only this user can read."""
    key = secrets.token_bytes(KEY_BYTES)
    write_private(path, key.hex())
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file durably and whole, or not at all; only this user can read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the wish to commission one reader stands, and the answer to it."""

    keys: Path
    device: str
    address: int

    @property
    def _wanted(self) -> Path:
        return self.keys / f"{self.device}-{self.address}.wanted"

    @property
    def _outcome(self) -> Path:
        return self.keys / f"{self.device}-{self.address}.outcome"

    def make(self, now: float) -> None:
        """Wish for a new key, at a time of the wall clock in seconds."""
        self._outcome.unlink(missing_ok=True)
        write_private(self._wanted, json.dumps({"expires_at": now + WISH_S}))

    def take(self, now: float) -> bool:
        """Take the wish away; True where there was one and it still stands."""
        try:
            with self._wanted.open("rb") as file:
                text = file.read(MAX_FILE_BYTES)
            self._wanted.unlink()
            expires_at = float(json.loads(text)["expires_at"])
        except FileNotFoundError:
            return False
        except (OSError, ValueError, TypeError, KeyError):
            return False
        # One that stands for longer was not made here.
        return now < expires_at <= now + WISH_S

    def withdraw(self) -> None:
        """Take back a wish that nobody heard."""
        self._wanted.unlink(missing_ok=True)

    def answer(self, text: str) -> None:
        """Say what came of it; an empty text is success."""
        write_private(self._outcome, text)

    def outcome(self) -> str | None:
        """Give the answer once, None while there is none."""
        try:
            text = self._outcome.read_text()
        except FileNotFoundError:
            return None
        self._outcome.unlink(missing_ok=True)
        return text
