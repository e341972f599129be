"""Numbers of identity documents: what can stand on one, and what follows from it.

The identity number has 18 characters: six of the place where it was given, eight of the date of
birth, three of an order and one that checks the others (GB 11643-1999). Residence permits for
people from Hong Kong, Macau and Taiwan are numbered alike from 810000, 820000 and 830000.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from anlin.core.words import Word

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECKS = "10X98765432"
"""The last character, by the weighted sum of the others modulo 11."""

CHILD_UNTIL_AGE = 14
"""Under this age nobody agrees for themselves to a face being processed, but a guardian."""

MAX_CHARS = 30
"""No document's number is longer; whatever is, nobody typed."""

OLDEST_AGE = 130
"""Whoever would be older than this was typed wrongly."""

_PLACES = {"81": "810000", "82": "820000", "83": "830000"}
_SHAPE = re.compile(r"[0-9]{17}[0-9X]", re.ASCII)
_FOREIGN_CARD = re.compile(r"9[0-9]{17}", re.ASCII)
_LOOSE = re.compile(r"[A-Z0-9]+", re.ASCII)
_PASSPORT_CHARS = (5, 20)
_OTHER_CHARS = (3, MAX_CHARS)
_KEPT_CHARS = 4
_IGNORED = str.maketrans("", "", " -·\u3000\t")


class Document(Word):
    """What shows who somebody is."""

    ID_CARD = "id_card"
    RESIDENCE = "residence"
    FOREIGN_CARD = "foreign_card"
    PASSPORT = "passport"
    OTHER = "other"


class Fault(Word):
    """Which rule a number breaks."""

    EMPTY = "empty"
    LENGTH = "length"
    CHARACTERS = "characters"
    CHECK = "check"
    DATE = "date"
    NOT_YET_BORN = "not_yet_born"
    TOO_OLD = "too_old"
    IS_RESIDENCE = "is_residence"
    NOT_RESIDENCE = "not_residence"
    NOT_FOREIGN_CARD = "not_foreign_card"


class IdentityError(ValueError):
    """A number that can't stand on such a document. It names the rule, never the number."""

    def __init__(self, document: Document, fault: Fault) -> None:
        super().__init__(f"{document}: {fault}")
        self.document = document
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Number:
    """A number in the one form used for comparison, with the day of birth where it tells one."""

    document: Document
    text: str
    born_on: date | None = None


def read(document: Document, typed: str, today: date) -> Number:
    """Read a number as a person typed it: any width, case and separators.

    Raises:
        IdentityError: no such document is numbered so.
    """
    text = _clean(typed)
    if not text:
        raise IdentityError(document, Fault.EMPTY)
    match document:
        case Document.ID_CARD | Document.RESIDENCE:
            return Number(document, text, _born_on(document, text, today))
        case Document.FOREIGN_CARD:
            if not _FOREIGN_CARD.fullmatch(text):
                raise IdentityError(document, Fault.NOT_FOREIGN_CARD)
        case Document.PASSPORT:
            _refuse_shape(document, text, _PASSPORT_CHARS)
        case _:
            _refuse_shape(document, text, _OTHER_CHARS)
    return Number(document, text)


def check_character(first: str) -> str:
    """Give the character that checks the first seventeen digits of an identity number."""
    if len(first) != len(WEIGHTS) or not (first.isascii() and first.isdigit()):
        raise ValueError(f"has {len(first)} characters; seventeen digits are checked")
    return CHECKS[sum(w * int(d) for w, d in zip(WEIGHTS, first, strict=True)) % 11]


def age_on(born_on: date, day: date) -> int:
    """Give somebody's age in full years; who was born on 29 February has it from 1 March on."""
    had_birthday = (day.month, day.day) >= (born_on.month, born_on.day)
    return day.year - born_on.year - (not had_birthday)


def is_child(born_on: date, day: date) -> bool:
    """Say whether a guardian has to agree in somebody's place."""
    return age_on(born_on, day) < CHILD_UNTIL_AGE


def masked(number: str) -> str:
    """Give what may stand on a screen: the first and last four characters of a long number.

    Of a shorter one fewer are shown, so that at least half of it stays closed.
    """
    kept = min(_KEPT_CHARS, len(number) // 4)
    return number[:kept] + "*" * (len(number) - 2 * kept) + number[len(number) - kept :]


def _clean(typed: str) -> str:
    text = unicodedata.normalize("NFKC", typed[: 4 * MAX_CHARS]).upper()
    return text.translate(_IGNORED).strip()


def _born_on(document: Document, text: str, today: date) -> date:
    if len(text) != len(WEIGHTS) + 1:
        raise IdentityError(document, Fault.LENGTH)
    if not _SHAPE.fullmatch(text):
        raise IdentityError(document, Fault.CHARACTERS)
    if text[-1] != check_character(text[:-1]):
        raise IdentityError(document, Fault.CHECK)
    is_residence = _PLACES.get(text[:2]) == text[:6]
    if document is Document.ID_CARD and is_residence:
        raise IdentityError(document, Fault.IS_RESIDENCE)
    if document is Document.RESIDENCE and not is_residence:
        raise IdentityError(document, Fault.NOT_RESIDENCE)
    try:
        born_on = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError as error:
        raise IdentityError(document, Fault.DATE) from error
    refuse_birth(document, born_on, today)
    return born_on


def refuse_birth(document: Document, born_on: date, today: date) -> None:
    """Refuse a day of birth that can't be one.

    Raises:
        IdentityError: it is still to come, or nobody living is so old.
    """
    if born_on > today:
        raise IdentityError(document, Fault.NOT_YET_BORN)
    if age_on(born_on, today) > OLDEST_AGE:
        raise IdentityError(document, Fault.TOO_OLD)


def _refuse_shape(document: Document, text: str, chars: tuple[int, int]) -> None:
    if not chars[0] <= len(text) <= chars[1]:
        raise IdentityError(document, Fault.LENGTH)
    if not _LOOSE.fullmatch(text):
        raise IdentityError(document, Fault.CHARACTERS)
