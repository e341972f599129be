"""Document readers: what a reader at the desk types into the page, read as a document.

A reader on USB presents itself as a keyboard and types one text for each document laid on it. What
comes in is therefore the word of the clerk at that page as much as the reader's; both are named
where a proof is written down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from django.utils.translation import gettext as _

from anlin.core import identity
from anlin.core.identity import Document, IdentityError
from anlin.hub.errors import RuleError

MAX_LINE_CHARS = 2000
"""A card's whole record with its address is under 300; a base64 picture beside it is cut off."""


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """What a reader read. `name` is empty where it tells none in the holder's own writing."""

    document: Document
    number: str
    name: str = ""
    born_on: date | None = None


class DocumentReader(Protocol):
    """One family of readers."""

    name: str

    def read(self, line: str, today: date) -> ReadDocument | None:
        """Give the document, or None where the text is not of this family."""


class CardLine:
    """Readers of identity cards that type the record's fields with marks between them.

    Makers differ in order and marks, so the number is known by its own check character and the
    name by being the first field in Chinese writing.
    """

    name = "card reader"
    _MARKS = re.compile(r"[|,;，；\t\r\n#$]+")
    _NAME = re.compile(r"[\u3400-\u9fff·]{2,30}")

    def read(self, line: str, today: date) -> ReadDocument | None:
        fields = [field.strip() for field in self._MARKS.split(line) if field.strip()]
        for field in fields:
            for document in (Document.ID_CARD, Document.RESIDENCE):
                try:
                    number = identity.read(document, field, today)
                except IdentityError:
                    continue
                names = (one for one in fields if self._NAME.fullmatch(one))
                return ReadDocument(document, number.text, next(names, ""), number.born_on)
        return None


class PassportLines:
    """Readers of the two lines at the foot of a passport (ICAO Doc 9303 part 4, TD3).

    The name there is in Latin letters and says nothing about how it is written at home.
    """

    name = "passport reader"
    _SECOND = re.compile(
        r"(?P<number>[A-Z0-9<]{9})(?P<number_check>[0-9])[A-Z<]{3}"
        r"(?P<born>[0-9]{6})(?P<born_check>[0-9])[MFX<]"
        r"(?P<ends>[0-9]{6})(?P<ends_check>[0-9])[A-Z0-9<]{14}[0-9<][0-9]",
        re.ASCII,
    )

    def read(self, line: str, today: date) -> ReadDocument | None:
        text = "".join(line.upper().split())
        found = self._SECOND.search(text) if text.startswith("P") else None
        if found is None:
            return None
        for part in ("number", "born", "ends"):
            if _check_digit(found[part]) != found[f"{part}_check"]:
                return None
        born_on = _born(found["born"], today)
        number = found["number"].rstrip("<")
        if born_on is None or "<" in number:
            return None
        return ReadDocument(Document.PASSPORT, number, born_on=born_on)


READERS: tuple[DocumentReader, ...] = (PassportLines(), CardLine())
"""Tried in this order; the first that knows the text reads it."""


def read_line(line: str, today: date) -> tuple[str, ReadDocument]:
    """Give the reader's name and the document that it read.

    Raises:
        RuleError: no reader types such a text.
    """
    text = line[:MAX_LINE_CHARS]
    for reader in READERS:
        found = reader.read(text, today)
        if found is not None:
            return reader.name, found
    raise RuleError(
        _("No document was read. Lay it on the reader once more, with the cursor in this field."),
        "line",
    )


def _check_digit(text: str) -> str:
    """Give the check digit of a field: weights 7, 3, 1 (ICAO Doc 9303 part 3, 4.9)."""
    values = (int(c, 36) if c != "<" else 0 for c in text)
    return str(sum(value * (7, 3, 1)[n % 3] for n, value in enumerate(values)) % 10)


def _born(text: str, today: date) -> date | None:
    """Read a day of birth of two-digit years: nobody is born after today."""
    century = today.year - today.year % 100
    for year in (century + int(text[:2]), century - 100 + int(text[:2])):
        try:
            born_on = date(year, int(text[2:4]), int(text[4:6]))
        except ValueError:
            continue
        if born_on <= today:
            return born_on
    return None
