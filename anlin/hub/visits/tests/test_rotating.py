from __future__ import annotations

import secrets

import pytest
import segno

from anlin.hub.visits.rotating import picture


@pytest.mark.parametrize("chars", [90, 240, 280, 460, 519, 600, 1100])
def test_a_page_draws_the_code_of_any_half_minute_as_an_encoder_would(chars: int) -> None:
    text = "ANLIN1." + secrets.token_urlsafe(chars)[:chars] + "."
    first = picture(text + secrets.token_urlsafe(8))
    for _ in range(4):
        code = secrets.token_urlsafe(8)
        dark = [one == "1" for one in first.dark]
        for place, (old, new) in enumerate(zip(first.code, code, strict=True)):
            for bit in range(7):
                if (ord(old) ^ ord(new)) >> bit & 1:
                    for module in first.turns[7 * place + bit]:
                        dark[module] = not dark[module]
        whole = segno.make(
            text + code, error="l", mode="byte", mask=2, boost_error=False, micro=False
        )
        assert dark == [bool(one) for row in whole.matrix for one in row]
