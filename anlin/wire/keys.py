"""Keys: signatures on passes and sealed boxes for face templates.

Ed25519 (RFC 8032) signs; HPKE base mode with X25519, HKDF-SHA256 and ChaCha20-Poly1305
(RFC 9180) seals to one node, so that the hub stores what only that node can open.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class SealError(ValueError):
    """A sealed box that this key can't open."""


def new_signing_key() -> str:
    """Make an Ed25519 private key; base64 of its 32 raw bytes."""
    return _b64(Ed25519PrivateKey.generate().private_bytes_raw())


def public_signing_key(private_key: str) -> str:
    """Give the public half of an Ed25519 key; base64 of its 32 raw bytes."""
    return _b64(_signer(private_key).public_key().public_bytes_raw())


def sign(private_key: str, message: bytes) -> bytes:
    """Sign a message; 64 bytes."""
    return _signer(private_key).sign(message)


def verify(public_key: str, message: bytes, signature: bytes) -> bool:
    """Say whether a signature holds; a key or signature of the wrong form does not."""
    try:
        Ed25519PublicKey.from_public_bytes(_unb64(public_key)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def new_sealing_key() -> str:
    """Make an X25519 private key; base64 of its 32 raw bytes."""
    return _b64(X25519PrivateKey.generate().private_bytes_raw())


def public_sealing_key(private_key: str) -> str:
    """Give the public half of an X25519 key; base64 of its 32 raw bytes."""
    key = X25519PrivateKey.from_private_bytes(_unb64(private_key))
    return _b64(key.public_key().public_bytes_raw())


def seal(public_key: str, plain: bytes, context: str) -> str:
    """Seal bytes to the holder of a key; `context` must be the same to open. Base64."""
    key = X25519PublicKey.from_public_bytes(_unb64(public_key))
    return _b64(_SUITE.encrypt(plain, key, info=context.encode()))


def unseal(private_key: str, sealed: str, context: str) -> bytes:
    """Open what was sealed to this key.

    Raises:
        SealError: made for another key or context, cut, or changed.
    """
    try:
        key = X25519PrivateKey.from_private_bytes(_unb64(private_key))
        return _SUITE.decrypt(_unb64(sealed), key, info=context.encode())
    except (InvalidTag, ValueError) as error:
        raise SealError(f"{context}: sealed for another key, or damaged") from error


def _signer(private_key: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_unb64(private_key))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
