from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anlin.core.detection import PlateColour
from anlin.core.plate import PATTERNS, PlateKind, parse
from anlin.vision.plate_beam import FORMS, START, Alphabet, advance, prior, read

LETTERS = sorted({c for form in FORMS for place in form.places for c in place} | set("OoIl"))
CHARSET = ["", *LETTERS, "口"]
ALPHABET = Alphabet(CHARSET, blank=0)


def walk(text: str) -> bool:
    state = START
    for character in text:
        state = advance(state, character)
        if not state:
            return False
    return prior(state) is not None


@st.composite
def written(draw):
    form = draw(st.sampled_from(FORMS))
    return "".join(draw(st.sampled_from(place)) for place in form.places)


def printed(text: str, doubt: float = 0.02, steps_each: int = 3) -> np.ndarray:
    """What a recogniser gives for a text: a blank, then each character over some steps."""
    rows = []
    for character in text:
        blank = np.full(len(CHARSET), doubt / len(CHARSET), np.float32)
        blank[0] += 1 - doubt
        row = np.full(len(CHARSET), doubt / len(CHARSET), np.float32)
        row[CHARSET.index(character)] += 1 - doubt
        rows += [blank, *[row] * steps_each]
    return np.array(rows, np.float32)


def mix(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return (share * one + (1 - share) * other).astype(np.float32)


@given(written())
def test_every_plate_the_beam_can_write_is_a_plate(text):
    assert parse(text).text == text


READABLE = [pattern for kind, pattern in PATTERNS if kind is not PlateKind.EMERGENCY]
"""No recogniser that we may use has 应 and 急 among its characters."""


@given(st.data(), st.sampled_from(READABLE))
def test_every_plate_of_the_grammar_can_be_written_by_the_beam(data, pattern):
    text = data.draw(st.from_regex(pattern, fullmatch=True))
    assert walk(text)


@settings(max_examples=60, deadline=None)
@given(written())
def test_a_clear_print_is_read_back(text):
    best = read(printed(text), ALPHABET)[0]
    assert best.text == text
    assert len(best.characters) == len(text)
    assert best.confidence > 0.95


def test_a_doubled_character_is_not_lost():
    assert read(printed("京A11122"), ALPHABET)[0].text == "京A11122"


def test_letters_that_are_never_issued_are_read_as_digits():
    assert read(printed("京AO12I5"), ALPHABET)[0].text == "京A01215"


def test_a_province_that_looks_like_a_letter_is_put_right():
    """Greedy would say 0A12345, which is no plate; the grammar takes the weaker province."""
    output = mix(printed("京A12345"), printed("0A12345"), 0.3)
    assert read(output, ALPHABET)[0].text == "京A12345"


def test_the_ground_colour_settles_seven_or_eight_characters():
    seven = np.vstack([printed("皖DF8886"), np.tile(printed("皖")[0], (4, 1))])
    output = mix(printed("皖DF88861"), seven, 0.6)
    assert read(output, ALPHABET)[0].text == "皖DF88861"
    assert read(output, ALPHABET, PlateColour.GREEN)[0].text == "皖DF88861"
    assert read(output, ALPHABET, PlateColour.BLUE)[0].text == "皖DF8886"


@pytest.mark.parametrize(
    "output",
    [
        np.zeros((0, len(CHARSET)), np.float32),
        np.zeros((30, len(CHARSET)), np.float32),
        np.eye(len(CHARSET), dtype=np.float32)[[0] * 30],
        printed("口口口口口口口"),
        printed("京A12"),
        printed("京A1234567890"),
    ],
)
def test_what_is_no_plate_gives_nothing(output):
    assert read(output, ALPHABET) == [] or read(output, ALPHABET)[0].confidence < 0.4


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_noise_never_breaks_the_beam_or_the_grammar(seed):
    output = np.random.default_rng(seed).dirichlet([0.05] * len(CHARSET), 30).astype(np.float32)
    for reading in read(output, ALPHABET):
        assert parse(reading.text).text == reading.text
        assert 0.0 < reading.confidence <= 1.0
        assert len(reading.characters) == len(reading.text)
