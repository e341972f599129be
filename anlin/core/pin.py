"""PINs: what may be one, how it is kept, and the code that says "I am forced to".

A PIN is never kept: only a keyed digest of it, under a secret of the community that the hub
seals to each edge. The duress code of a PIN is the PIN with its last digit raised by one, 9
becoming 0: nothing new to remember under a knife. It opens as the PIN does and raises a silent
alarm; so nobody's PIN may be somebody else's duress code.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

MIN_DIGITS = 6
"""Four digits would let one stranger in ten into a community of a thousand homes."""

MAX_DIGITS = 8

MAX_WRONG = 5
"""Wrong PINs in a row before the keypad is closed (GB 50396-2007 5.1.5: at most five)."""

LOCKED_FOR = timedelta(minutes=5)

FORGET_AFTER = timedelta(minutes=5)
"""Wrong PINs longer apart than this are not one attempt at guessing."""

_RUNS = "01234567890123456", "65432109876543210"


def key_of(secret: bytes, digits: str) -> str:
    """Give the key under which a PIN is found: HMAC-SHA256, 128 bits, in hex."""
    return hmac.new(secret, b"anlin pin " + digits.encode(), hashlib.sha256).hexdigest()[:32]


def duress_of(digits: str) -> str:
    """Give the code that opens and calls for help."""
    return digits[:-1] + str((int(digits[-1]) + 1) % 10)


def forced_from(digits: str) -> str:
    """Give the PIN of which these digits are the duress code."""
    return digits[:-1] + str((int(digits[-1]) - 1) % 10)


def conflicts(secret: bytes, digits: str) -> tuple[str, ...]:
    """List the keys that nobody else may hold: the PIN's, its duress code's, and the reverse."""
    return tuple(key_of(secret, text) for text in (digits, duress_of(digits), forced_from(digits)))


def is_digits(text: str) -> bool:
    """Whether a text can be keyed in at all: ASCII digits of a length that some PIN has."""
    return text.isascii() and text.isdigit() and MIN_DIGITS <= len(text) <= MAX_DIGITS


def fault(digits: str) -> str | None:
    """Say why a PIN is refused, or None."""
    if not is_digits(digits):
        return f"a PIN has {MIN_DIGITS} to {MAX_DIGITS} digits"
    if len(set(digits)) < 3:
        return "a PIN needs at least three different digits"
    if any(digits in run for run in _RUNS):
        return "a PIN is not a run of digits in order"
    return None


@dataclass(frozen=True, slots=True)
class Lockout:
    """What one keypad remembers about wrong PINs."""

    wrong: int = 0
    last_at: datetime | None = None
    locked_until: datetime | None = None

    def is_locked(self, at: datetime) -> bool:
        """Whether the keypad is closed."""
        return self.locked_until is not None and at < self.locked_until


OPEN = Lockout()


def after_wrong(lockout: Lockout, at: datetime) -> Lockout:
    """Count a wrong PIN; the last of `MAX_WRONG` closes the keypad."""
    is_fresh = lockout.last_at is not None and at - lockout.last_at <= FORGET_AFTER
    wrong = (lockout.wrong if is_fresh else 0) + 1
    if wrong >= MAX_WRONG:
        return Lockout(0, at, at + LOCKED_FOR)
    return replace(lockout, wrong=wrong, last_at=at)
