from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.plate import (
    PATTERNS,
    PROVINCES,
    PlateError,
    PlateKind,
    canonical,
    is_emergency,
    parse,
)

K = PlateKind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("浙A12345", K.STANDARD),
        ("浙AD1234", K.STANDARD),  # seven characters: the D is a letter of the serial
        ("浙AD12345", K.NEW_ENERGY_SMALL),
        ("浙AFA1234", K.NEW_ENERGY_SMALL),
        ("浙AG12345", K.NEW_ENERGY_SMALL),
        ("浙AGB1234", K.NEW_ENERGY_SMALL),
        ("浙A12345D", K.NEW_ENERGY_LARGE),
        ("浙ABCDEF", K.STANDARD),
        ("粤ZA123港", K.HONG_KONG_MACAU),
        ("粤Z1234澳", K.HONG_KONG_MACAU),
        ("WJ京1234X", K.ARMED_POLICE),
        ("WJ12345", K.ARMED_POLICE),
        ("AB12345", K.MILITARY),
        ("浙A1234警", K.POLICE),
        ("京O1234警", K.POLICE),
        ("浙A123A挂", K.TRAILER),
        ("浙A1234学", K.LEARNER),
        ("224001使", K.EMBASSY),
        ("使224001", K.EMBASSY),
        ("沪22401领", K.CONSULATE),
        ("浙A1234领", K.CONSULATE),
        ("民航A1234", K.AVIATION),
    ],
)
def test_each_kind_of_plate_is_known_by_its_text(text, kind):
    plate = parse(text)
    assert (plate.text, plate.kind) == (text, kind)
    assert canonical(text) == text


@pytest.mark.parametrize(
    "text", ["浙AI2345", "浙AO1234", "浙IA1234", "浙AL12345", "浙A12345L", "无车牌"]
)
def test_what_stands_on_no_plate_is_refused(text):
    with pytest.raises(PlateError):
        parse(text)


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("京a12345", "京A12345"),
        ("京A·12345", "京A12345"),
        ("京A-12 345", "京A12345"),
        (" 京A.12345 ", "京A12345"),
        ("京Ａ１２３４５", "京A12345"),
        ("京A•12345", "京A12345"),
        ("京A・12345", "京A12345"),
        ("京A\u300012345", "京A12345"),
        ("wj京1234x", "WJ京1234X"),
    ],
)
def test_width_case_and_separators_do_not_matter(typed, clean):
    assert parse(typed).text == clean
    assert canonical(typed) == clean


@pytest.mark.parametrize(
    ("typed", "rule"),
    [
        ("", "plate '': is empty"),
        (" · - ", "is empty"),
        ("京A1234I", "the letters I and O are not issued; did you mean 京A·12341?"),
        ("浙AO1234", "the letters I and O are not issued; did you mean 浙A·01234?"),
        ("京O12345", "the letters I and O are not issued"),
        ("京I", "the letters I and O are not issued"),
        ("京A123", "has 5 characters; plates have 7, new-energy plates 8"),
        ("京A12345678", "has 10 characters"),
        ("京112345", "is no known kind of plate"),
        ("12345", "is no known kind of plate"),
        ("WJ1", "is no known kind of plate"),
        ("C1", "does not begin with a province character such as 京"),
        ("无车牌", "does not begin with a province character such as 京"),
        ("京A12345" * 3, "is too long for a plate"),
        ("京A12345" + " " * 300 + "6", "is too long for a plate"),
        (" " * 100_000, "is empty"),
    ],
)
def test_an_error_names_the_value_and_the_rule(typed, rule):
    with pytest.raises(PlateError, match=re.escape(rule)) as caught:
        parse(typed)
    assert len(str(caught.value)) < 200
    assert caught.value.text[:16] == typed[:16]


def test_without_a_plate_to_suggest_none_is_suggested():
    with pytest.raises(PlateError) as caught:
        parse("京O12345")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("reading", "plate"),
    [
        ("京AI2345", "京A12345"),
        ("京AO234I", "京A02341"),
        ("京O1234警", "京O1234警"),  # the office letter O exists
        ("京O12345", ""),
        ("AI12345", ""),
        ("", ""),
        ("京", ""),
        ("使22400I", ""),
        ("京A12345" + " " * 300, ""),
    ],
)
def test_a_camera_that_reads_i_and_o_saw_one_and_nought(reading, plate):
    assert canonical(reading) == plate


plateish = st.text(st.sampled_from(PROVINCES[:4] + "ABDIOWJZ0189警挂学港使领民航· -a"), max_size=12)
plates = st.one_of([st.from_regex(pattern, fullmatch=True) for _, pattern in PATTERNS])


@given(st.one_of(st.text(max_size=300), plateish, plates))
def test_no_text_raises_anything_but_a_plate_error(text):
    try:
        plate = parse(text)
    except PlateError as error:
        suggestion = re.search("did you mean (.+)[?]", str(error))
        if suggestion is not None:
            parse(suggestion[1])
    else:
        assert canonical(text) == plate.text


@given(st.one_of(st.text(max_size=300), plateish, plates))
def test_a_canonical_reading_is_a_plate_and_stays_as_it_is(text):
    reading = canonical(text)
    if reading:
        assert parse(reading).text == reading
        assert canonical(reading) == reading


@given(plates)
def test_every_text_of_a_pattern_is_a_plate(text):
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "kind", "stops_nowhere"),
    [
        ("京X1234应急", K.EMERGENCY, True),
        ("京S0001应急", K.EMERGENCY, True),
        ("京A1234警", K.POLICE, True),
        ("京O1234警", K.POLICE, True),
        ("WJ京1234X", K.ARMED_POLICE, True),
        ("WJ12345", K.ARMED_POLICE, True),
        ("AB12345", K.MILITARY, False),
        ("京A12345", K.STANDARD, False),
        ("京A1234学", K.LEARNER, False),
        ("224001使", K.EMBASSY, False),
    ],
)
def test_fire_brigades_and_police_are_known_by_their_plates(text, kind, stops_nowhere):
    assert parse(text).kind is kind
    assert is_emergency(text) is stops_nowhere


@pytest.mark.parametrize(
    "text",
    ["", "应急", "警", "京A123应急", "京A12345应急", "京A1234急", "应急京A1234", "x京A1234警"],
)
def test_a_mark_alone_makes_no_emergency_plate(text):
    assert not is_emergency(text)


def test_a_camera_that_sees_round_numbers_on_a_fire_engine_means_digits():
    assert canonical("京X·1O3I应急") == "京X1031应急"
