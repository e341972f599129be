from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core import pin
from anlin.core.pin import FORGET_AFTER, LOCKED_FOR, MAX_WRONG, OPEN, Lockout, after_wrong
from anlin.testing.clock import MORNING

SECRET = b"0" * 32
DIGITS = st.text("0123456789", min_size=pin.MIN_DIGITS, max_size=pin.MAX_DIGITS)
JUST = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("digits", "duress"),
    [("204816", "204817"), ("204810", "204811"), ("204819", "204810"), ("29481899", "29481890")],
)
def test_the_duress_code_is_the_pin_with_its_last_digit_raised(digits, duress):
    assert pin.duress_of(digits) == duress
    assert pin.forced_from(duress) == digits


@given(DIGITS)
def test_a_pin_and_its_duress_code_name_each_other_and_never_themselves(digits):
    assert pin.forced_from(pin.duress_of(digits)) == digits
    assert pin.duress_of(pin.forced_from(digits)) == digits
    assert len({digits, pin.duress_of(digits), pin.forced_from(digits)}) == 3


def test_a_key_is_a_digest_under_the_communitys_secret():
    key = pin.key_of(SECRET, "204816")
    # HMAC-SHA256 of "anlin pin 204816", computed once with another tool.
    assert key == KNOWN
    assert len(key) == 32
    assert pin.key_of(b"1" * 32, "204816") != key
    assert pin.key_of(SECRET, "204817") != key


KNOWN = "e8dd6433494635da9cf0890938c4e653"


def test_nobody_may_hold_a_pin_its_duress_code_or_one_of_which_it_is_the_duress_code():
    taken = pin.conflicts(SECRET, "204816")
    assert taken == tuple(pin.key_of(SECRET, text) for text in ("204816", "204817", "204815"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20481", False),
        ("204816", True),
        ("20481632", True),
        ("204816327", False),
        ("", False),
        ("20481x", False),
        ("２０４８１６", False),  # full-width digits are digits to Python, and no keypad has them
        ("20481²", False),
        (" 204816", False),
        ("-204816", False),
    ],
)
def test_a_keypad_knows_ascii_digits_only(text, expected):
    assert pin.is_digits(text) is expected


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("204816", None),
        ("112233", None),
        ("20481", "6 to 8 digits"),
        ("204816327", "6 to 8 digits"),
        ("abcdef", "6 to 8 digits"),
        ("000000", "three different"),
        ("121212", "three different"),
        ("123456", "run of digits"),
        ("567890", "run of digits"),
        ("34567890", "run of digits"),
        ("987654", "run of digits"),
        ("098765", "run of digits"),
        ("012345", "run of digits"),
        ("890123", "run of digits"),
        ("21098765", "run of digits"),
        ("123457", None),
    ],
)
def test_a_pin_that_anybody_would_guess_is_refused(digits, words):
    found = pin.fault(digits)
    assert found is None if words is None else words in found


def tries(*seconds: float) -> Lockout:
    lockout = OPEN
    for moment in seconds:
        lockout = after_wrong(lockout, MORNING + timedelta(seconds=moment))
    return lockout


def test_the_fifth_wrong_pin_in_a_row_closes_the_keypad_for_five_minutes():
    assert not tries(0, 1, 2, 3).is_locked(MORNING + timedelta(seconds=3))
    closed = tries(0, 1, 2, 3, 4)
    opens_at = MORNING + timedelta(seconds=4) + LOCKED_FOR
    assert closed == Lockout(0, MORNING + timedelta(seconds=4), opens_at)
    assert closed.is_locked(MORNING + timedelta(seconds=4))
    assert closed.is_locked(opens_at - JUST)
    assert not closed.is_locked(opens_at)
    assert (5, timedelta(minutes=5)) == (MAX_WRONG, LOCKED_FOR)


def test_after_the_lock_five_more_may_be_tried():
    again = tries(0, 1, 2, 3, 4, 305, 306, 307, 308)
    assert again.wrong == 4
    assert not again.is_locked(MORNING + timedelta(seconds=308))
    assert tries(0, 1, 2, 3, 4, 305, 306, 307, 308, 309).is_locked(MORNING + timedelta(seconds=309))


@pytest.mark.parametrize(("pause_s", "wrong"), [(300, 4), (300.001, 1)])
def test_wrong_pins_long_apart_are_forgotten(pause_s, wrong):
    assert tries(0, 1, 2, 2 + pause_s).wrong == wrong
    assert timedelta(minutes=5) == FORGET_AFTER


def test_an_open_keypad_is_open_at_all_times():
    assert not OPEN.is_locked(MORNING)
    assert Lockout() == OPEN
