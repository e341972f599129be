"""Short random ids, readable aloud, that name an entity at the hub and at every edge."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without i, l, o, 0 and 1: ids are read from a screen and typed into a search box."""

_ID_CHARS = 10


def new_id(prefix: str) -> str:
    """Make an id such as `h_7k3mq2xwp9`: 49 random bits after the prefix."""
    return f"{prefix}_{random_text(_ID_CHARS)}"


def random_text(chars: int) -> str:
    """Make random text of the same alphabet, 4.95 bits a character."""
    number = secrets.randbelow(len(_ALPHABET) ** chars)
    text = ""
    for _ in range(chars):
        number, digit = divmod(number, len(_ALPHABET))
        text += _ALPHABET[digit]
    return text


class IdField(_CharField):
    """A primary key made by `new_id(prefix)`."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(
            primary_key=True,
            max_length=24,
            default=partial(new_id, prefix),
            editable=False,
            **kwargs,
        )

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, _, kwargs = super().deconstruct()
        for fixed in ("primary_key", "max_length", "default", "editable"):
            kwargs.pop(fixed, None)
        return name, path, [self.prefix], kwargs
