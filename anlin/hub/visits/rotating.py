"""A QR code whose last characters change, drawn in a page without a QR encoder.

In a QR code of fixed version and mask each module is a sum, modulo 2, of bits of the text: the
Reed-Solomon code is linear, and the mask is a constant (ISO/IEC 18004:2015, 7.5 to 7.8). So the
page gets the picture for one code and, for each bit of the code's characters, the modules that
this bit turns over. A phone that has lost its network goes on from there with a few lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import segno
from segno import consts

from anlin.core.qr import CODE_CHARS

_MASK = 2
"""Any will do, and one has to be the same for every code."""

_CHAR_BITS = 7
"""Of a base64url character; the eighth is always 0."""

_PRIMITIVE = 0x11D


@dataclass(frozen=True, slots=True)
class Picture:
    """Dark modules of a symbol, row by row, with the modules that each bit of the code turns."""

    side: int
    dark: str
    """A 1 or 0 for each module."""
    code: str
    turns: tuple[tuple[int, ...], ...]
    """Seven for each character of the code, its lowest bit first."""

    def data(self) -> dict[str, Any]:
        """Give what the page's script reads; positions as distances, which are shorter."""
        return {
            "side": self.side,
            "dark": self.dark,
            "code": self.code,
            "turns": [_distances(turned) for turned in self.turns],
        }


def picture(text: str) -> Picture:
    """Draw a text that ends in a code."""
    symbol = _symbol(text)
    side, _ = symbol.symbol_size(border=0)
    dark = "".join("1" if module else "0" for row in symbol.matrix for module in row)
    return Picture(side, dark, text[-CODE_CHARS:], turns(len(text), int(symbol.version)))


@lru_cache(maxsize=64)
def turns(length: int, version: int) -> tuple[tuple[int, ...], ...]:
    """Give the modules that each bit of the last characters of a text turns over."""
    order, streams = _modules(version), _streams(version)
    header = 4 + (8 if version < 10 else 16)
    first = length - CODE_CHARS
    found = []
    for place in range(CODE_CHARS):
        for bit in range(_CHAR_BITS):
            position = header + 8 * (first + place) + 7 - bit
            found.append(tuple(sorted(_turned(position, order, streams))))
    return tuple(found)


def _symbol(text: str) -> Any:
    return segno.make(text, error="l", mode="byte", mask=_MASK, boost_error=False, micro=False)


def _turned(position: int, order: list[int], streams: _Streams) -> list[int]:
    """Follow one bit of the data into every module that depends on it."""
    index, bit = divmod(position, 8)
    block, place = streams.block_of[index]
    value = 0x80 >> bit
    data = [0] * streams.sizes[block]
    data[place] = value
    touched = [(streams.data_at[block, place], value)]
    touched += [
        (streams.parity_at[block, number], parity)
        for number, parity in enumerate(_parity(data, streams.parity))
        if parity
    ]
    return [
        order[8 * codeword + bit]
        for codeword, byte in touched
        for bit in range(8)
        if byte & (0x80 >> bit)
    ]


@dataclass(frozen=True, slots=True)
class _Streams:
    """How the codewords of a version are cut into blocks and woven together again."""

    sizes: tuple[int, ...]
    parity: int
    block_of: dict[int, tuple[int, int]]
    data_at: dict[tuple[int, int], int]
    parity_at: dict[tuple[int, int], int]


def _streams(version: int) -> _Streams:
    table: Any = consts.ECC
    sizes, parity = [], 0
    for info in table[version][consts.ERROR_LEVEL_L]:
        sizes += [info.num_data] * info.num_blocks
        parity = info.num_total - info.num_data
    block_of: dict[int, tuple[int, int]] = {}
    for block, size in enumerate(sizes):
        for place in range(size):
            block_of[len(block_of)] = (block, place)
    woven = [
        (block, place)
        for place in range(max(sizes))
        for block, size in enumerate(sizes)
        if place < size
    ]
    data_at = {where: number for number, where in enumerate(woven)}
    parity_at = {
        (block, number): len(woven) + number * len(sizes) + block
        for block in range(len(sizes))
        for number in range(parity)
    }
    return _Streams(tuple(sizes), parity, block_of, data_at, parity_at)


@lru_cache(maxsize=8)
def _modules(version: int) -> list[int]:
    """List the modules that hold data, in the order in which they are filled."""
    symbol = segno.make("", version=version, error="l", mode="byte", mask=_MASK, micro=False)
    kinds: list[list[int]] = [list(row) for row in symbol.matrix_iter(border=0, verbose=True)]
    holds_data = {consts.TYPE_DATA_DARK, consts.TYPE_DATA_LIGHT}
    side = len(kinds)
    # segno counts one module too many as format information; the data runs through it.
    kinds[8][side - 9] = consts.TYPE_DATA_DARK
    order: list[int] = []
    columns = [*range(side - 1, 6, -2), 5, 3, 1]
    for number, right in enumerate(columns):
        rows = range(side) if number % 2 else range(side - 1, -1, -1)
        for y in rows:
            order += [y * side + x for x in (right, right - 1) if kinds[y][x] in holds_data]
    return order


def _parity(data: list[int], count: int) -> list[int]:
    generator = _generator(count)
    rest = [*data, *([0] * count)]
    for place in range(len(data)):
        factor = rest[place]
        if factor:
            for offset, term in enumerate(generator):
                rest[place + offset] ^= _times(term, factor)
    return rest[len(data) :]


@lru_cache(maxsize=8)
def _generator(count: int) -> tuple[int, ...]:
    terms, root = [1], 1
    for _ in range(count):
        terms = [a ^ _times(b, root) for a, b in zip([*terms, 0], [0, *terms], strict=True)]
        root = _times(root, 2)
    return tuple(terms)


def _times(a: int, b: int) -> int:
    """Multiply in the field of 256 elements that QR codes use."""
    return _POWERS[(_LOGS[a] + _LOGS[b]) % 255] if a and b else 0


def _powers() -> list[int]:
    found, value = [], 1
    for _ in range(255):
        found.append(value)
        value <<= 1
        if value & 0x100:
            value ^= _PRIMITIVE
    return found


_POWERS = _powers()
_LOGS = {value: power for power, value in enumerate(_POWERS)}


def _distances(positions: tuple[int, ...]) -> list[int]:
    return [here - before for before, here in zip((0, *positions), positions, strict=False)]
