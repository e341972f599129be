"""What flows to a screen at a gate: the words of the last thing that happened there."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import asdict

from django.utils import timezone

from anlin.hub.access.models import AccessPoint
from anlin.hub.live.pulse import Heads, Pulse, in_database
from anlin.hub.live.streams import QUIET_S
from anlin.hub.state.screen import FRESH, STAY, events_at, shown


async def screen_words(
    pulse: Pulse, point: AccessPoint, after: int | None, language: str
) -> AsyncGenerator[bytes, None]:
    """Yield what a screen shows as server-sent events, for ever; None: from now on.

    What is older than `FRESH` when it comes is left out unless it still holds: the person whom
    it greeted has gone on.
    """
    async with pulse.listening():
        position = pulse.heads.event if after is None else after
        yield f"retry: 2000\nid: {position}\n\n".encode()
        while True:
            seen = pulse.heads.event
            position, lines = await in_database(_after, point, position, language)
            for line in lines:
                yield line

            def is_news(heads: Heads, seen: int = seen) -> bool:
                return heads.event > seen

            if not await pulse.news(is_news, QUIET_S):
                # A comment would not reach the page's script, which has to know that we live.
                yield b"event: beat\ndata: 1\n\n"


def _after(point: AccessPoint, position: int, language: str) -> tuple[int, list[bytes]]:
    lines = []
    now = timezone.now()
    for event in events_at(point, position):
        position = event.pk
        words = shown(event, language)
        if words is None or (event.kind not in STAY and now - event.at > FRESH):
            continue
        data = json.dumps(asdict(words), ensure_ascii=False)
        lines.append(f"id: {event.pk}\nevent: words\ndata: {data}\n\n".encode())
    return position, lines
