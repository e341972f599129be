"""Card frames as readers pass them on: Wiegand bits in, one key for a card out.

The layouts are those in general use: 26 bits (H10301), 34 bits, 37 bits (H10304, and H10302,
which parts the same 35 bits otherwise). The outer bits are parities, the inner ones are the
card. A card's key is its inner bits in hex, without parity, so that a 34-bit reader and one that
reports the bare four bytes of the chip say the same: "0A1B2C3D".
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_BITS = 120
"""Fifteen bytes: a ten-byte chip number fits, and so does its key in the hub's 32 characters."""

MIN_BITS = 16
"""Shorter frames are noise on the data lines; the hub takes keys of four characters and up."""

CHIP_BITS = frozenset({32, 56, 80})
"""The single, double and triple length chip numbers of ISO/IEC 14443-3."""

FORMATS = ("auto", "wiegand26", "wiegand34", "wiegand37", "raw")


class FrameError(ValueError):
    """A frame that is no card; the text is the rule, and never holds the bits."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parities of a frame are: even over the first half, odd over the second.

    `first` and `second` are the bits each parity covers with itself, from the left, end exclusive.
    """

    bits: int
    first: tuple[int, int]
    second: tuple[int, int]


LAYOUTS = {
    "wiegand26": Layout(26, (0, 13), (13, 26)),
    "wiegand34": Layout(34, (0, 17), (17, 34)),
    # The middle bit of the 35 counts in both halves.
    "wiegand37": Layout(37, (0, 19), (18, 37)),
}
_BY_BITS = {layout.bits: name for name, layout in LAYOUTS.items()}


@dataclass(frozen=True, slots=True)
class Card:
    """A card that was read: its key, and the frame it came in."""

    key: str
    format: str
    bits: int


def read(
    data: bytes,
    bits: int,
    card_format: str = "auto",
    *,
    reversed_bytes: bool = False,
    right_aligned: bool = False,
    is_wiegand: bool = True,
) -> Card:
    """Read one frame of `bits` bits, the first bit first.

    `right_aligned` frames leave the first bits of the first byte unused, others the last bits
    of the last. `reversed_bytes` turns the card's bytes round, for readers that send a chip's
    last byte first. "auto" goes by the length; bare chip numbers only where the reader does not
    call the frame Wiegand, as 32 bits that say so have lost their parities. "raw" checks nothing.

    Raises:
        FrameError: not of this format, or a parity is wrong.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise FrameError(f"length: {bits} bits; a card has {MIN_BITS} to {MAX_BITS}")
    if len(data) != (bits + 7) // 8:
        raise FrameError(f"length: {bits} bits do not fill {len(data)} bytes")
    unused = len(data) * 8 - bits
    number = int.from_bytes(data)
    if right_aligned:
        if number >> bits:
            raise FrameError("alignment: unused bits are set; is the reader right-aligned?")
    else:
        if number & ((1 << unused) - 1):
            raise FrameError("alignment: unused bits are set; is the reader left-aligned?")
        number >>= unused
    if card_format == "auto":
        is_chip = not is_wiegand and bits in CHIP_BITS
        card_format = "raw" if is_chip else _BY_BITS.get(bits, "")
    if card_format == "raw":
        return Card(_raw_key(number, bits, reversed_bytes), "raw", bits)
    layout = LAYOUTS.get(card_format)
    if layout is None:
        raise FrameError(f"format: {bits} bits are none of the known formats; set card_format")
    if layout.bits != bits:
        raise FrameError(f"format: {bits} bits where {card_format} is set")
    return Card(_checked_key(number, layout, reversed_bytes), card_format, bits)


def frame(key: str, card_format: str) -> tuple[bytes, int]:
    """Write a card's key as a left-aligned frame with good parities: (bytes, bits).

    Raises:
        FrameError: the key does not fit the format, or the format is not a layout.
    """
    layout = LAYOUTS.get(card_format)
    if layout is None:
        raise FrameError(f"format: {card_format} has no parities")
    inner = int(key, 16)
    if inner >> (layout.bits - 2):
        raise FrameError(f"format: the key has more bits than {card_format}")
    number = inner << 1
    if _ones(number, layout.bits, layout.first) % 2:
        number |= 1 << (layout.bits - 1)
    if _ones(number, layout.bits, layout.second) % 2 == 0:
        number |= 1
    unused = -layout.bits % 8
    return (number << unused).to_bytes((layout.bits + 7) // 8), layout.bits


def _checked_key(number: int, layout: Layout, reversed_bytes: bool) -> str:
    first = _ones(number, layout.bits, layout.first)
    second = _ones(number, layout.bits, layout.second)
    if first % 2 or second % 2 == 0:
        raise FrameError("parity")
    bits = layout.bits - 2
    inner = (number >> 1) & ((1 << bits) - 1)
    if reversed_bytes and bits % 8 == 0:
        inner = _turned(inner, bits)
    return f"{inner:0{(bits + 3) // 4}X}"


def _raw_key(number: int, bits: int, reversed_bytes: bool) -> str:
    if bits % 8 == 0:
        return f"{_turned(number, bits) if reversed_bytes else number:0{bits // 4}X}"
    # Frames of 33 and of 36 bits may hold the same number; they are different cards.
    return f"{bits:02X}{number:0{(bits + 3) // 4}X}"


def _turned(number: int, bits: int) -> int:
    return int.from_bytes(number.to_bytes(bits // 8), "little")


def _ones(number: int, bits: int, covered: tuple[int, int]) -> int:
    start, end = covered
    return ((number >> (bits - end)) & ((1 << (end - start)) - 1)).bit_count()
