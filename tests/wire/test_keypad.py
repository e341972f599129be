from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.wire.keypad import ENTRY_S, KEY_GAP_S, MAX_DIGITS, Keypad, Spoilt


@pytest.mark.parametrize(
    ("keys", "pins"),
    [
        (b"1234#", ["1234"]),
        (b"1234\r", ["1234"]),
        (b"99*1234#", ["1234"]),
        (b"99\x7f1234\r", ["1234"]),
        (b"#", []),
        (b"1234", []),
        (b"12#34#", ["12", "34"]),
        (b"12A3#", ["123"]),
        (b"1" * MAX_DIGITS + b"#", ["1" * MAX_DIGITS]),
        (b"1" * (MAX_DIGITS + 1) + b"#", [Spoilt.TOO_LONG]),
        (b"1" * (MAX_DIGITS + 9) + b"*12#", ["12"]),
    ],
)
def test_keys_become_pins(keys: bytes, pins: list[str | Spoilt]) -> None:
    assert Keypad().press(keys, 0.0) == pins
    one_by_one, keypad = [], Keypad()
    for key in keys:
        one_by_one += keypad.press(bytes([key]), 0.0)
    assert one_by_one == pins


def test_a_half_pin_is_forgotten_when_its_owner_walks_away() -> None:
    keypad = Keypad()
    keypad.press(b"12", 0.0)
    assert keypad.press(b"34#", KEY_GAP_S + 0.1) == ["34"]


def test_slow_keys_do_not_keep_an_entry_open_for_ever() -> None:
    keypad, at = Keypad(), 0.0
    while at <= ENTRY_S:
        keypad.press(b"7", at)
        at += KEY_GAP_S - 0.5
    assert keypad.press(b"12#", at) == ["12"]


def test_a_keypad_does_not_show_its_digits() -> None:
    keypad = Keypad()
    keypad.press(b"1357", 0.0)
    assert "1357" not in repr(keypad)


@given(st.lists(st.tuples(st.binary(max_size=20), st.floats(0, 60, allow_subnormal=False))))
def test_whatever_is_pressed_a_pin_is_a_few_digits(presses: list[tuple[bytes, float]]) -> None:
    keypad, at = Keypad(), 0.0
    for keys, later in presses:
        at += later
        for pin in keypad.press(keys, at):
            assert pin is Spoilt.TOO_LONG or (pin.isdigit() and 1 <= len(pin) <= MAX_DIGITS)
