"""Chinese vehicle plates: the grammar of what can stand on one (GA 36-2018 practice).

Colours come from a camera or a clerk, never from the text: blue and yellow plates read alike.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from anlin.core.words import Word

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Capitals without I and O, which look like 1 and 0 and are not issued."""
DIGITS = "0123456789"
SERIAL = LETTERS + DIGITS
ENERGY_LETTERS = "ABCDEFGHJK"
"""New-energy vehicles: A-E pure electric, F-K (no I) others."""

_MAX_TYPED_CHARS = 16
_MAX_SEEN_CHARS = 200
"""More than this, separators included, nobody typed and no camera read."""
_IGNORED = str.maketrans("", "", " ·.•-‧・\u3000")


class PlateKind(Word):
    """What a plate belongs to, as far as its text tells."""

    STANDARD = "standard"
    NEW_ENERGY_SMALL = "new_energy_small"
    NEW_ENERGY_LARGE = "new_energy_large"
    POLICE = "police"
    EMERGENCY = "emergency"
    TRAILER = "trailer"
    LEARNER = "learner"
    HONG_KONG_MACAU = "hong_kong_macau"
    EMBASSY = "embassy"
    CONSULATE = "consulate"
    ARMED_POLICE = "armed_police"
    MILITARY = "military"
    AVIATION = "aviation"


EMERGENCY_KINDS = frozenset({PlateKind.EMERGENCY, PlateKind.POLICE, PlateKind.ARMED_POLICE})
"""Plates that stop at no gate. An ambulance carries an ordinary one: the guard opens."""


class PlateError(ValueError):
    """A text that can't be a plate; says which value broke which rule."""

    def __init__(self, text: str, rule: str) -> None:
        self.text = text if len(text) <= _MAX_TYPED_CHARS else text[:_MAX_TYPED_CHARS] + "…"
        super().__init__(f"plate {self.text!r}: {rule}")
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate that obeys the grammar, in the one form used for comparison."""

    text: str
    kind: PlateKind


_P, _L, _S, _E = f"[{PROVINCES}]", f"[{LETTERS}]", f"[{SERIAL}]", f"[{ENERGY_LETTERS}]"
_O = f"[{LETTERS}O]"  # the office letter O is still seen on old government and police plates

PATTERNS: tuple[tuple[PlateKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.ASCII))
    for kind, pattern in (
        (PlateKind.NEW_ENERGY_SMALL, rf"{_P}{_L}{_E}{_S}[0-9]{{4}}"),
        (PlateKind.NEW_ENERGY_LARGE, rf"{_P}{_L}[0-9]{{5}}{_E}"),
        (PlateKind.ARMED_POLICE, rf"WJ{_P}?[0-9]{{4}}[0-9TDSHBXJ]"),
        (PlateKind.MILITARY, rf"{_L}{{2}}[0-9]{{5}}"),
        # State Council notice of December 2018: fire (X) and forest fire (S) brigades.
        (PlateKind.EMERGENCY, rf"{_P}{_L}{_S}{{4}}应急"),
        (PlateKind.POLICE, rf"{_P}{_O}{_S}{{4}}警"),
        (PlateKind.TRAILER, rf"{_P}{_L}{_S}{{4}}挂"),
        (PlateKind.LEARNER, rf"{_P}{_L}{_S}{{4}}学"),
        (PlateKind.HONG_KONG_MACAU, rf"粤Z{_S}{{4}}[港澳]"),
        (PlateKind.EMBASSY, r"[0-9]{6}使|使[0-9]{6}"),
        (PlateKind.CONSULATE, rf"{_P}[0-9]{{5}}领|{_P}{_L}[0-9]{{4}}领"),
        (PlateKind.AVIATION, rf"民航{_S}{{5}}"),
        (PlateKind.STANDARD, rf"{_P}{_L}{_S}{{5}}"),
    )
)
"""Tried in this order; the first that fits the whole text names the kind."""


def parse(text: str) -> Plate:
    """Read a plate as a person typed it: any width, case and separators.

    Raises:
        PlateError: empty, too long, or no kind of plate is written so. A letter that is never
            issued is named, because I for 1 and O for 0 are the commonest slips.
    """
    clean = _clean(text)
    if not clean:
        raise PlateError(text, "is empty")
    if len(clean) > _MAX_TYPED_CHARS or len(text) > _MAX_SEEN_CHARS:
        raise PlateError(text, "is too long for a plate")
    for kind, pattern in PATTERNS:
        if pattern.fullmatch(clean):
            return Plate(clean, kind)
    if clean[0] in PROVINCES and any(letter in clean[1:] for letter in "IO"):
        likely = canonical(clean)
        hint = f"; did you mean {_as_shown(likely)}?" if likely else ""
        raise PlateError(text, f"the letters I and O are not issued{hint}")
    if clean[0] not in PROVINCES + "WJ使民" and not clean[:1].isdigit():
        raise PlateError(text, f"does not begin with a province character such as {PROVINCES[0]}")
    if clean[0] in PROVINCES and len(clean) not in (7, 8):
        raise PlateError(text, f"has {len(clean)} characters; plates have 7, new-energy plates 8")
    raise PlateError(text, "is no known kind of plate")


def is_emergency(text: str) -> bool:
    """Whether a canonical plate belongs to fire brigade or police."""
    return any(
        kind in EMERGENCY_KINDS and pattern.fullmatch(text) is not None
        for kind, pattern in PATTERNS
    )


def canonical(reading: str) -> str:
    """Bring a camera's reading to the form used for comparison, or '' if it can't be a plate.

    I and O can't stand in a serial, so a reader that reports them saw 1 and 0.
    """
    clean = _clean(reading)
    if clean[:1] in PROVINCES and len(clean) in (7, 8):
        clean = clean[:2] + clean[2:].replace("I", "1").replace("O", "0")
    if len(reading) <= _MAX_SEEN_CHARS and any(p.fullmatch(clean) for _, p in PATTERNS):
        return clean
    return ""


def _clean(text: str) -> str:
    return unicodedata.normalize("NFKC", text[:_MAX_SEEN_CHARS]).upper().translate(_IGNORED)


def _as_shown(text: str) -> str:
    return f"{text[:2]}·{text[2:]}"
