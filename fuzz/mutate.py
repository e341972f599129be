"""Changes that keep messages messages: a value of the JSON in one line, not a byte of it.

Without this nearly every input stops at the JSON reader, and what stands behind is never tried.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 255, 256, 65535, 2**31, 2**53, 2**63, 2**64, 10**400, -(2**63)),
    *(
        0.5,
        -0.0,
        1e308,
        1e-308,
        "",
        " ",
        "0",
        "-1",
        "\0",
        "\ud800",
        "\u202e",
        "null",
        "../..",
        "a/b",
    ),
    *(
        "x" * 65,
        "x" * 5000,
        "9" * 5000,
        "京A12345",
        "2026-02-30T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ),
    *("0001-01-01T00:00:00+14:00", "2026-11-21", [], {}, [[]], [None], {"": None}, [0] * 300),
)
STRUCTURED = 0.7
"""Share of changes made to a value; the others are libFuzzer's own, to any byte."""


def mutate(data: bytes, most: int, seed: int, bytewise: Callable[[bytes, int], bytes]) -> bytes:
    """Change an input a little, by value where it holds JSON."""
    dice = random.Random(seed)
    if dice.random() > STRUCTURED:
        return bytewise(data, most)
    lines = data.split(b"\n")
    at = dice.randrange(len(lines))
    head, brace, rest = lines[at].partition(b"{")
    try:
        value = json.loads(brace + rest)
    except (ValueError, RecursionError):
        return bytewise(data, most)
    for _ in range(dice.randint(1, 3)):
        _change(value, dice)
    try:
        lines[at] = head + json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return bytewise(data, most)
    if dice.random() < 0.2:
        lines.insert(dice.randrange(len(lines) + 1), dice.choice(lines))
    changed = b"\n".join(lines)
    return changed if len(changed) <= most else bytewise(data, most)


def _change(value: Any, dice: random.Random) -> None:
    """Change one place somewhere within an object or a list."""
    while True:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not places:
            if isinstance(value, dict):
                value[dice.choice(("id", "seq", "x"))] = dice.choice(HOSTILE)
            return
        place = dice.choice(places)
        if isinstance(value[place], dict | list) and dice.random() < 0.7:
            value = value[place]
            continue
        match dice.randrange(5):
            case 0:
                del value[place]
            case 1:
                value[place] = value[dice.choice(places)]
            case 2 if isinstance(value, dict):
                value[f"{place}{dice.randrange(9)}"] = value[place]
            case 3 if isinstance(value[place], int):
                value[place] += dice.choice((-1, 1, 2**16))
            case _:
                value[place] = dice.choice(HOSTILE)
        return
