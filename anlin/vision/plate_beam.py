"""Read a plate from a recogniser's output: CTC prefix beam search that only walks real plates.

A greedy reading may be no plate at all; here each prefix must still be able to become one
(`anlin.core.plate`), so a doubtful stroke is decided by what can stand in its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from anlin.core.detection import PlateColour
from anlin.core.plate import DIGITS, ENERGY_LETTERS, LETTERS, PROVINCES, SERIAL

BEAM_WIDTH = 16
# A character below this share of one time step is not tried; the recogniser's floor is 1e-5.
MIN_STEP = 1e-4

_P, _L, _S, _D, _E = PROVINCES, LETTERS, SERIAL, DIGITS, ENERGY_LETTERS
_LO = LETTERS + "O"

_BLUE, _YELLOW, _GREEN = PlateColour.BLUE, PlateColour.YELLOW, PlateColour.GREEN
_WHITE, _BLACK = PlateColour.WHITE, PlateColour.BLACK


@dataclass(frozen=True, slots=True)
class Form:
    """One way of writing in core.plate.PATTERNS, position by position.

    Attributes:
        rarity: log of how much rarer it is than a common plate at a community's gate. A judgement,
            not a count: without it a misread province turns a car into an army lorry.
        colours: grounds it is issued on.
    """

    rarity: float
    colours: frozenset[PlateColour]
    places: tuple[str, ...]


def _form(rarity: float, colours: tuple[PlateColour, ...], *places: str) -> Form:
    return Form(rarity, frozenset(colours), places)


FORMS: tuple[Form, ...] = (
    _form(0.0, (_BLUE, _YELLOW, _BLACK), _P, _L, _S, _S, _S, _S, _S),
    _form(0.0, (_GREEN,), _P, _L, _E, _S, _D, _D, _D, _D),
    _form(-1.0, (_GREEN, _YELLOW), _P, _L, _D, _D, _D, _D, _D, _E),
    _form(-1.0, (_WHITE,), _P, _LO, _S, _S, _S, _S, "警"),
    _form(-1.0, (_YELLOW,), _P, _L, _S, _S, _S, _S, "挂学"),
    _form(-1.0, (_BLACK,), "粤", "Z", _S, _S, _S, _S, "港澳"),
    _form(-2.0, (_BLACK,), _P, _D, _D, _D, _D, _D, "领"),
    _form(-2.0, (_BLACK,), _P, _L, _D, _D, _D, _D, "领"),
    _form(-2.0, (_BLACK,), _D, _D, _D, _D, _D, _D, "使"),
    _form(-2.0, (_BLACK,), "使", _D, _D, _D, _D, _D, _D),
    _form(-3.0, (_WHITE,), "W", "J", _D, _D, _D, _D, _D + "TDSHBXJ"),
    _form(-3.0, (_WHITE,), "W", "J", _P, _D, _D, _D, _D, _D + "TDSHBXJ"),
    _form(-5.0, (_WHITE,), _L, _L, _D, _D, _D, _D, _D),
    _form(-5.0, (_GREEN,), "民", "航", _S, _S, _S, _S, _S),
)

# A ground the form is not issued on: a green plate with seven characters has most likely lost one,
# a new-energy reading of a blue one has one too many.
_CONTRADICTION = -3.0

# What a recogniser trained on all text writes for a digit that can't be a letter on a plate.
_FOLDED = {"O": "0", "o": "0", "I": "1", "l": "1"}

State = tuple[tuple[int, int], ...]
START: State = tuple((form, 0) for form in range(len(FORMS)))


@dataclass(frozen=True, slots=True)
class Reading:
    """One plate as read from one picture.

    Attributes:
        log_probability: of the whole text under the recogniser, rarity of its form included.
        confidence: geometric mean of `characters`, 0..1.
        characters: 0..1, the recogniser's peak for each character.
    """

    text: str
    log_probability: float
    confidence: float
    characters: tuple[float, ...]


@cache
def advance(state: State, character: str) -> State:
    """Return where the forms stand after one more character; empty when none goes on."""
    return tuple(
        (form, place + 1)
        for form, place in state
        if place < len(FORMS[form].places) and character in FORMS[form].places[place]
    )


@cache
def prior(state: State, colour: PlateColour = PlateColour.UNKNOWN) -> float | None:
    """Return the log rarity of a complete plate on this ground, or None while not complete."""
    done = [
        FORMS[form].rarity
        + (0.0 if colour in (PlateColour.UNKNOWN, *FORMS[form].colours) else _CONTRADICTION)
        for form, place in state
        if place == len(FORMS[form].places)
    ]
    return max(done) if done else None


class Alphabet:
    """The columns of a recogniser that can stand on a plate."""

    def __init__(self, charset: Sequence[str], blank: int) -> None:
        """Pick the columns of `charset` (one entry for each column of the output)."""
        wanted = sorted({c for form in FORMS for place in form.places for c in place})
        columns = {character: [charset.index(character)] for character in wanted}
        for character, digit in _FOLDED.items():
            if character in charset:
                columns[digit].append(charset.index(character))
        self.characters = wanted
        # The dot after the office letter, and a screw beside it, part characters as a blank does.
        self._blanks = [blank, *(i for i, c in enumerate(charset) if c and c in "·•.- ")]
        self._first = np.array([columns[c][0] for c in wanted])
        self._more = [(i, columns[c][1:]) for i, c in enumerate(wanted) if columns[c][1:]]

    def pick(self, output: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Split (T, C) probabilities into blank (T,) and plate characters (T, len(characters))."""
        chosen = output[:, self._first].astype(np.float64)
        for place, columns in self._more:
            chosen[:, place] += output[:, columns].sum(axis=1)
        return output[:, self._blanks].sum(axis=1).astype(np.float64), chosen


@dataclass(slots=True)
class _Prefix:
    state: State
    blank: float
    character: float
    peaks: tuple[float, ...]


def read(
    output: NDArray[np.float32],
    alphabet: Alphabet,
    colour: PlateColour = PlateColour.UNKNOWN,
    width: int = BEAM_WIDTH,
) -> list[Reading]:
    """Return the likeliest plates, best first; empty when nothing on it can be one.

    Args:
        output: (T, C) float32 probabilities, one row for each step along the plate.
        alphabet: which columns of C mean what.
        colour: ground of the plate, as seen.
        width: prefixes kept at each step.
    """
    blanks, steps = alphabet.pick(output)
    beam = {"": _Prefix(START, 1.0, 0.0, ())}
    scale = 0.0
    for blank, step in zip(blanks, steps, strict=True):
        tried = [(alphabet.characters[i], float(step[i])) for i in np.flatnonzero(step > MIN_STEP)]
        following: dict[str, _Prefix] = {}
        for text, prefix in beam.items():
            total = prefix.blank + prefix.character
            same = following.get(text)
            if same is None:
                same = following[text] = _Prefix(prefix.state, 0.0, 0.0, prefix.peaks)
            same.blank += total * float(blank)
            for character, share in tried:
                if text and text[-1] == character:
                    same.character += prefix.character * share
                    same.peaks = (*same.peaks[:-1], max(same.peaks[-1], share))
                    gain = prefix.blank * share
                else:
                    gain = total * share
                if gain <= 0.0 or not (state := advance(prefix.state, character)):
                    continue
                longer = following.get(text + character)
                if longer is None:
                    longer = following[text + character] = _Prefix(
                        state, 0.0, 0.0, (*prefix.peaks, share)
                    )
                longer.character += gain
        kept = sorted(following.items(), key=lambda item: -(item[1].blank + item[1].character))
        beam = dict(kept[:width])
        mass = sum(prefix.blank + prefix.character for prefix in beam.values())
        if mass <= 0.0:
            return []
        scale += math.log(mass)
        for prefix in beam.values():
            prefix.blank /= mass
            prefix.character /= mass
    readings = [
        Reading(
            text,
            scale + rarity + math.log(prefix.blank + prefix.character),
            math.exp(sum(math.log(peak) for peak in prefix.peaks) / len(prefix.peaks)),
            tuple(round(peak, 4) for peak in prefix.peaks),
        )
        for text, prefix in beam.items()
        if (rarity := prior(prefix.state, colour)) is not None
        and prefix.blank + prefix.character > 0.0
    ]
    return sorted(readings, key=lambda reading: -reading.log_probability)
