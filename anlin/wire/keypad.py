"""A PIN as it comes from a keypad, key by key."""

from __future__ import annotations

from enum import Enum

MAX_DIGITS = 12
KEY_GAP_S = 5.0
"""Between two keys. Whoever walks away leaves no half PIN for the next person."""

ENTRY_S = 20.0
"""For the whole of a PIN, so that slow keys can't keep an entry open for ever."""

# Carriage return and delete are what OSDP names for # and *; several readers send the characters.
_END = frozenset(b"\r#")
_CLEAR = frozenset(b"\x7f*")
_DIGITS = frozenset(b"0123456789")


class Spoilt(Enum):
    """Why an entry that was ended is not a PIN."""

    TOO_LONG = "more digits than a PIN has"


class Keypad:
    """Collects the keys of one reader. The time is passed in, in seconds of any steady clock."""

    __slots__ = ("_digits", "_is_long", "_last_at", "_started_at")

    def __init__(self) -> None:
        self._digits = ""
        self._is_long = False
        self._started_at = self._last_at = 0.0

    def __repr__(self) -> str:
        """Say nothing of the digits: a repr ends up in logs."""
        return "Keypad(…)"

    def press(self, keys: bytes, at: float) -> list[str | Spoilt]:
        """Take keys as they came, and give the PINs that they ended; ordinarily none or one.

        `#` ends an entry and `*` clears it. An end without digits is nothing. Other keys count
        as none.
        """
        ended: list[str | Spoilt] = []
        for key in keys:
            if self._is_over(at):
                self.clear()
            if key in _CLEAR:
                self.clear()
            elif key in _END:
                if self._is_long:
                    ended.append(Spoilt.TOO_LONG)
                elif self._digits:
                    ended.append(self._digits)
                self.clear()
            elif key in _DIGITS:
                self._add(chr(key), at)
        return ended

    def clear(self) -> None:
        """Forget what was typed."""
        self._digits = ""
        self._is_long = False

    def _is_over(self, at: float) -> bool:
        is_empty = not self._digits
        return not is_empty and (at - self._last_at > KEY_GAP_S or at - self._started_at > ENTRY_S)

    def _add(self, digit: str, at: float) -> None:
        if not self._digits:
            self._started_at = at
        self._last_at = at
        if len(self._digits) < MAX_DIGITS:
            self._digits += digit
        else:
            self._is_long = True
