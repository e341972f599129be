from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.wire.wiegand import FORMATS, LAYOUTS, MAX_BITS, Card, FrameError, frame, read

# Computed by hand from the layouts: (format, key, bytes, bits).
KNOWN = [
    # Facility 18, card 34567.
    ("wiegand26", "128707", "8943 83C0", 26),
    ("wiegand34", "12AB34CD", "8955 9A66 C0", 34),
    # Facility 4660, card 123456.
    ("wiegand37", "091A1E240", "891A 1E24 08", 37),
]


@pytest.mark.parametrize(("card_format", "key", "data", "bits"), KNOWN)
def test_each_format_is_read_with_its_parities_left_out(
    card_format: str, key: str, data: str, bits: int
) -> None:
    assert read(bytes.fromhex(data), bits, card_format) == Card(key, card_format, bits)
    assert read(bytes.fromhex(data), bits) == Card(key, card_format, bits)
    assert frame(key, card_format) == (bytes.fromhex(data), bits)


@pytest.mark.parametrize(("card_format", "key", "data", "bits"), KNOWN)
def test_any_one_wrong_bit_is_a_parity_fault(
    card_format: str, key: str, data: str, bits: int
) -> None:
    number = int.from_bytes(bytes.fromhex(data))
    unused = -bits % 8
    for place in range(bits):
        changed = (number ^ (1 << (unused + place))).to_bytes((bits + 7) // 8)
        with pytest.raises(FrameError, match=r"^parity$"):
            read(changed, bits)


def test_the_same_card_has_one_key_at_readers_of_three_kinds() -> None:
    data, bits = frame("0A1B2C3D", "wiegand34")
    by_wiegand = read(data, bits).key
    by_chip = read(bytes.fromhex("0A1B2C3D"), 32, is_wiegand=False).key
    turned, bits = frame("3D2C1B0A", "wiegand34")
    by_turned = read(turned, bits, reversed_bytes=True).key
    assert by_wiegand == by_chip == by_turned == "0A1B2C3D"


def test_leading_zeros_are_kept() -> None:
    assert read(*frame("000001", "wiegand26")).key == "000001"


def test_right_aligned_frames_are_read_where_they_are_set() -> None:
    data, bits = frame("128707", "wiegand26")
    right = (int.from_bytes(data) >> 6).to_bytes(4)
    assert read(right, bits, right_aligned=True).key == "128707"
    with pytest.raises(FrameError, match="alignment"):
        read(right, bits)
    with pytest.raises(FrameError, match="alignment"):
        read(data, bits, right_aligned=True)


def test_a_32_bit_wiegand_frame_is_not_taken_for_a_chip_number() -> None:
    with pytest.raises(FrameError, match="format"):
        read(bytes.fromhex("0A1B2C3D"), 32)
    assert read(bytes.fromhex("0A1B2C3D"), 32, "raw").key == "0A1B2C3D"


def test_a_frame_of_another_length_than_the_set_format_is_refused() -> None:
    with pytest.raises(FrameError, match="wiegand34 is set"):
        read(*frame("128707", "wiegand26"), "wiegand34")


def test_raw_frames_of_different_lengths_never_share_a_key() -> None:
    of_33 = read((1 << 7).to_bytes(5), 33, "raw").key
    of_36 = read((1 << 4).to_bytes(5), 36, "raw").key
    assert of_33 != of_36
    assert (of_33, of_36) == ("21000000001", "24000000001")


@pytest.mark.parametrize(
    ("data", "bits", "rule"),
    [
        (b"", 0, "length"),
        (b"\x89", 8, "length"),
        (b"\x89\x43\x83", 26, "length"),
        (b"\x89\x43\x83\xc0\x00", 26, "length"),
        (b"\x00" * 16, 128, "length"),
        (b"\x00" * 4, -26, "length"),
        (b"\x00" * 4, 30, "format"),
        (b"\xff" * 4, 26, "alignment"),
    ],
)
def test_what_is_no_frame_is_refused_by_rule(data: bytes, bits: int, rule: str) -> None:
    with pytest.raises(FrameError, match=rule):
        read(data, bits)


def test_a_key_that_does_not_fit_is_not_written() -> None:
    with pytest.raises(FrameError, match="more bits"):
        frame("1000000", "wiegand26")
    with pytest.raises(FrameError, match="no parities"):
        frame("1000000", "raw")


@given(st.sampled_from(sorted(LAYOUTS)), st.integers(min_value=0))
def test_what_is_written_is_read_again(card_format: str, number: int) -> None:
    bits = LAYOUTS[card_format].bits - 2
    key = f"{number % (1 << bits):0{(bits + 3) // 4}X}"
    assert read(*frame(key, card_format)) == Card(key, card_format, bits + 2)


@given(
    st.binary(max_size=20),
    st.integers(-5, MAX_BITS + 20),
    st.sampled_from(FORMATS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_bytes_are_a_card_that_the_hub_takes_or_are_refused(
    data: bytes, bits: int, card_format: str, turned: bool, right: bool, is_wiegand: bool
) -> None:
    try:
        card = read(
            data,
            bits,
            card_format,
            reversed_bytes=turned,
            right_aligned=right,
            is_wiegand=is_wiegand,
        )
    except FrameError:
        return
    assert 4 <= len(card.key) <= 32
    assert set(card.key) <= set("0123456789ABCDEF")
