"""The fuzz targets against their seeds, damaged seeds, and every input that once broke one."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from fuzz.targets import TARGETS, run_one

MAX_PEAK_BYTES = 24 << 20
"""Of one call; the largest input has 16 KiB."""

DAMAGED = 150

_LONG_KIND = b'{"revision":1,"kind":"' + b"x" * 5000 + b'","id":"a"}'

FOUND: list[tuple[str, bytes]] = [
    # The error repeated the whole of a kind that nobody knows, and would have become an event.
    ("sync_down", b'{"type":"delta","after":0,"upto":1,"changes":[' + _LONG_KIND + b"]}"),
]
"""Target and input of everything that fuzzing found. None leaves this list."""

each_target = pytest.mark.parametrize("name", sorted(TARGETS))


@each_target
def test_every_seed_is_taken(name: str) -> None:
    seeds = list(TARGETS[name].seeds())
    assert seeds
    for seed in seeds:
        run_one(TARGETS[name], seed)


@each_target
def test_damaged_seeds_are_refused_by_the_declared_error_alone(name: str) -> None:
    dice = random.Random(7)
    seeds = [b"", *TARGETS[name].seeds()]
    for _ in range(DAMAGED):
        run_one(TARGETS[name], damaged(dice.choice(seeds), dice))


@each_target
def test_no_input_takes_much_memory(name: str) -> None:
    for seed in TARGETS[name].seeds():
        run_one(TARGETS[name], seed)
    big = max(TARGETS[name].seeds(), key=len)
    tracemalloc.start()
    try:
        for data in (big, (big * (16_384 // len(big) + 1))[:16_384], b"[" * 16_384):
            TARGETS[name].function(data)  # tracing takes time, so time is not looked at
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_PEAK_BYTES


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_once_broke_a_target_does_so_no_more(name: str, data: bytes) -> None:
    run_one(TARGETS[name], data)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Flip, cut, repeat and insert."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(changed) + 1)
        match dice.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del changed[at : at + dice.randint(1, 20)]
            case 2:
                changed[at:at] = changed[at : at + dice.randint(1, 40)]
            case 3:
                changed[at:at] = dice.choice(
                    [b"\0", b"\xff", b"null", b"1e999", b'"\\ud800"', b"["]
                )
    return bytes(changed)
