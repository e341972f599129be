"""What the hub keeps closed: encryption at rest and keyed fingerprints, from the hub's secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    _TextField = models.TextField[str, str]
else:
    _TextField = models.TextField

_NONCE_BYTES = 12


class VaultError(ValueError):
    """Closed under another secret or for another use, or damaged."""


def close(plain: bytes, use: str) -> bytes:
    """Encrypt bytes for one use; only `reveal` with the same use gives them back."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + ChaCha20Poly1305(_key("encrypt")).encrypt(nonce, plain, use.encode())


def reveal(closed: bytes, use: str) -> bytes:
    """Decrypt what `close` gave.

    Raises:
        VaultError: another secret, another use, or damaged.
    """
    nonce, box = closed[:_NONCE_BYTES], closed[_NONCE_BYTES:]
    try:
        return ChaCha20Poly1305(_key("encrypt")).decrypt(nonce, box, use.encode())
    except (InvalidTag, ValueError) as error:
        raise VaultError(f"{use}: closed under another secret, or damaged") from error


def fingerprint(text: str, use: str) -> str:
    """Give a keyed hash: equal texts are found by it, and it tells nothing without the key."""
    return hmac.new(_key(use), text.encode(), hashlib.sha256).hexdigest()


@cache
def _derive(secret: str, use: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"anlin hub {use}".encode()).derive(secret.encode())


def _key(use: str) -> bytes:
    return _derive(settings.SECRET_KEY, use)


class ClosedTextField(_TextField):
    """A text that stands encrypted in the database; it can't be searched."""

    def get_prep_value(self, value: Any) -> Any:
        if not value:
            return value
        return base64.b64encode(close(str(value).encode(), self._use)).decode()

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if not value:
            return value
        return reveal(base64.b64decode(value), self._use).decode()

    @property
    def _use(self) -> str:
        return f"{self.model._meta.label_lower}.{self.attname}"
