"""The base of every enum of ours: words that are strings and hash like strings."""

from __future__ import annotations

from enum import StrEnum


class Word(StrEnum):
    """A string enum whose members are dictionary keys at the speed of strings.

    `Enum.__hash__` is a Python function; a decision looks up several words, and it must answer
    in microseconds. Equality is already that of strings, so hash and equality agree.
    """

    __hash__ = str.__hash__
