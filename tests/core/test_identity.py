"""Numbers of identity documents.

The place 190101 is given to nobody, so no number here is a person's.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.identity import (
    CHECKS,
    Document,
    Fault,
    IdentityError,
    age_on,
    check_character,
    is_child,
    masked,
    read,
)

TODAY = date(2026, 11, 21)
D, F = Document, Fault


def numbered(place: str, born: str, order: str) -> str:
    first = place + born + order
    return first + check_character(first)


def test_the_worked_example_has_its_check_character() -> None:
    assert check_character("19010119900307123") == "8"
    assert check_character("19010119900307018") == "X"
    number = read(D.ID_CARD, "190101199003071238", TODAY)
    assert (number.text, number.born_on) == ("190101199003071238", date(1990, 3, 7))


@pytest.mark.parametrize(
    "typed", ["19010119900307018x", "190101 19900307 018X", "１９０１０１19900307018Ｘ"]
)
def test_a_number_is_read_in_any_case_width_and_grouping(typed: str) -> None:
    assert read(D.ID_CARD, typed, TODAY).text == "19010119900307018X"


@pytest.mark.parametrize(
    ("document", "typed", "fault"),
    [
        (D.ID_CARD, "", F.EMPTY),
        (D.ID_CARD, " - ", F.EMPTY),
        (D.ID_CARD, "19010119900307123", F.LENGTH),
        (D.ID_CARD, "1901011990030712381", F.LENGTH),
        (D.ID_CARD, "190101900307123", F.LENGTH),  # fifteen digits: not given since 1999
        (D.ID_CARD, "19010119900307123A", F.CHARACTERS),
        (D.ID_CARD, "1901011990030X1238", F.CHARACTERS),
        (D.ID_CARD, "190101199003071237", F.CHECK),
        (D.ID_CARD, "190101199003071328", F.CHECK),  # two digits changed places
        (D.ID_CARD, numbered("190101", "19900230", "123"), F.DATE),
        (D.ID_CARD, numbered("190101", "19901301", "123"), F.DATE),
        (D.ID_CARD, numbered("190101", "00000101", "123"), F.DATE),
        (D.ID_CARD, numbered("190101", "20261122", "123"), F.NOT_YET_BORN),
        (D.ID_CARD, numbered("190101", "18901120", "123"), F.TOO_OLD),
        (D.ID_CARD, numbered("810000", "19900307", "123"), F.IS_RESIDENCE),
        (D.RESIDENCE, numbered("190101", "19900307", "123"), F.NOT_RESIDENCE),
        (D.RESIDENCE, numbered("810001", "19900307", "123"), F.NOT_RESIDENCE),
        (D.FOREIGN_CARD, "190101199003071238", F.NOT_FOREIGN_CARD),
        (D.FOREIGN_CARD, "91234567890123456", F.NOT_FOREIGN_CARD),
        (D.PASSPORT, "E123", F.LENGTH),
        (D.PASSPORT, "E" * 21, F.LENGTH),
        (D.PASSPORT, "E1234.5678", F.CHARACTERS),
        (D.OTHER, "A1", F.LENGTH),
        (D.OTHER, "军字第1号", F.CHARACTERS),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_the_rule_it_breaks(
    document: Document, typed: str, fault: Fault
) -> None:
    with pytest.raises(IdentityError) as refused:
        read(document, typed, TODAY)
    assert refused.value.fault is fault
    assert refused.value.document is document
    # What was typed may be somebody's number with one digit wrong: it goes nowhere.
    assert not typed.strip(" -") or typed not in str(refused.value)


def test_it_is_said_that_an_order_has_seventeen_digits() -> None:
    with pytest.raises(ValueError, match="seventeen"):
        check_character("1901")
    with pytest.raises(ValueError, match="seventeen"):
        check_character("1901011990030712X")


@pytest.mark.parametrize("place", ["810000", "820000", "830000"])
def test_residence_permits_tell_the_day_of_birth_too(place: str) -> None:
    number = read(D.RESIDENCE, numbered(place, "19900307", "123"), TODAY)
    assert number.born_on == date(1990, 3, 7)


def test_passports_and_foreign_cards_tell_no_day_of_birth() -> None:
    assert read(D.PASSPORT, "e1234 5678", TODAY).text == "E12345678"
    assert read(D.PASSPORT, "E12345678", TODAY).born_on is None
    assert read(D.FOREIGN_CARD, "9" + "0" * 17, TODAY).born_on is None
    assert read(D.OTHER, "A12", TODAY).text == "A12"


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        (date(2012, 11, 21), TODAY, 14),
        (date(2012, 11, 22), TODAY, 13),
        (date(2012, 2, 29), date(2026, 2, 28), 13),
        (date(2012, 2, 29), date(2026, 3, 1), 14),
        (TODAY, TODAY, 0),
    ],
)
def test_age_counts_full_years(born: date, day: date, age: int) -> None:
    assert age_on(born, day) == age
    assert is_child(born, day) == (age < 14)


def test_a_mask_shows_four_characters_at_each_end_and_never_more_than_half() -> None:
    assert masked("190101199003071238") == "1901**********1238"
    assert masked("E12345678") == "E1*****78"
    assert masked("A12") == "***"
    assert masked("") == ""


days = st.dates(date(1900, 1, 1), TODAY - timedelta(days=1))


@given(days, st.integers(0, 999))
def test_every_number_made_by_the_rules_is_read_back(born: date, order: int) -> None:
    text = numbered("190101", f"{born:%Y%m%d}", f"{order:03}")
    assert read(D.ID_CARD, text, TODAY).born_on == born


@given(days, st.integers(0, 999), st.integers(0, 16), st.integers(1, 9))
def test_no_single_wrong_digit_goes_unnoticed(born: date, order: int, at: int, by: int) -> None:
    text = numbered("190101", f"{born:%Y%m%d}", f"{order:03}")
    wrong = text[:at] + str((int(text[at]) + by) % 10) + text[at + 1 :]
    with pytest.raises(IdentityError):
        read(D.ID_CARD, wrong, TODAY)


@given(days, st.integers(0, 999), st.integers(0, 15))
def test_no_two_neighbours_change_places_unnoticed(born: date, order: int, at: int) -> None:
    text = numbered("190101", f"{born:%Y%m%d}", f"{order:03}")
    wrong = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if wrong != text:
        with pytest.raises(IdentityError):
            read(D.ID_CARD, wrong, TODAY)


@given(st.text(max_size=200), st.sampled_from(list(Document)))
def test_nothing_typed_breaks_it(typed: str, document: Document) -> None:
    try:
        number = read(document, typed, TODAY)
    except IdentityError:
        return
    assert 3 <= len(number.text) <= 30
    assert number.text.isascii()
    assert read(document, number.text, TODAY) == number


@given(st.text(alphabet="0123456789X", max_size=30))
def test_a_mask_keeps_the_length_and_closes_at_least_half(number: str) -> None:
    shown = masked(number)
    assert len(shown) == len(number)
    assert shown.count("*") * 2 >= len(number)


def test_every_remainder_has_its_check_character() -> None:
    assert len(CHECKS) == 11
