"""What flows: rows to a console, policy and commands to an edge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone, translation

from anlin.core.codec import canonical_json
from anlin.core.sync import BEAT_S, Beat, Command, Down, Snapshot, to_down
from anlin.hub.access.policy import delta_for
from anlin.hub.devices import services as devices
from anlin.hub.devices.models import Node
from anlin.hub.events.models import Event
from anlin.hub.events.rows import rows
from anlin.hub.events.secrecy import told_to
from anlin.hub.live.pulse import Heads, Pulse, in_database

ROWS_AT_ONCE = 200
QUIET_S = 15.0
"""How long a console hears nothing before a comment shows it, and any proxy, that we live."""


async def console_rows(
    pulse: Pulse,
    community: str,
    role: str,
    after: int | None,
    kinds: Sequence[str],
    language: str,
) -> AsyncGenerator[bytes, None]:
    """Yield events after a position as server-sent events, for ever; None: from now on.

    Only what the role is told of.

    An empty comment is yielded each `QUIET_S` without news.
    """
    async with pulse.listening():
        position = pulse.heads.event if after is None else after
        # At once, so that the browser knows that it is connected, and where.
        yield f"retry: 2000\nid: {position}\n\n".encode()
        while True:
            # Before the query: what is committed after it is then news.
            seen = pulse.heads.event
            found = await in_database(_rows_after, community, role, position, kinds, language)
            for row_position, text in found:
                position = row_position
                yield text
            if len(found) == ROWS_AT_ONCE:
                continue

            def is_news(heads: Heads, seen: int = seen) -> bool:
                return heads.event > seen

            if not await pulse.news(is_news, QUIET_S):
                yield b":\n\n"


def _rows_after(
    community: str, role: str, position: int, kinds: Sequence[str], language: str
) -> list[tuple[int, bytes]]:
    events = Event.objects.filter(community=community, pk__gt=position).order_by("pk")
    events = told_to(events, role)
    if kinds:
        events = events.filter(kind__in=kinds)
    with translation.override(language):
        found = rows(list(events[:ROWS_AT_ONCE]))
    return [
        (
            row["position"],
            f"id: {row['position']}\nevent: {row['kind']}\n"
            f"data: {json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)}\n\n".encode(),
        )
        for row in found
    ]


async def node_messages(
    pulse: Pulse, node: Node, after: int, number: int
) -> AsyncGenerator[bytes, None]:
    """Yield the messages of the down-stream, one JSON line each, while the node is enrolled.

    It begins with what the node lacks and a beat; then changes and commands as they come, and
    a beat whenever `BEAT_S` have passed without one.
    """
    async with pulse.listening(node.pk):
        clock = asyncio.get_running_loop().time
        beat_due = clock()
        while True:
            heads = pulse.heads
            revision = heads.revisions.get(node.community_id, 0)
            if revision != after:
                line, upto = await in_database(_delta_line, node, after)
                if upto != after:
                    yield line
                if upto < after:
                    return
                after = upto
            if heads.commands.get(node.pk, 0) > number:
                for command in await in_database(_take_commands, node, number):
                    yield _line(command)
                    number = command.number
            if clock() >= beat_due:
                if await in_database(_is_gone, node):
                    return
                yield _line(Beat(timezone.now(), after))
                beat_due = clock() + BEAT_S

            def is_news(heads: Heads, after: int = after, number: int = number) -> bool:
                return (
                    heads.revisions.get(node.community_id, 0) > after
                    or heads.commands.get(node.pk, 0) > number
                )

            await pulse.news(is_news, max(0.0, beat_due - clock()))


def _delta_line(node: Node, after: int) -> tuple[bytes, int]:
    """Give the delta as a line, and the revision that it leads to; less than `after`: anew.

    Written here and not in the event loop: everything about 50,000 holders takes seconds.
    """
    delta = delta_for(node, after)
    return _line(delta), -1 if isinstance(delta, Snapshot) else delta.upto


def _line(message: Down) -> bytes:
    return canonical_json(to_down(message)) + b"\n"


def _take_commands(node: Node, number: int) -> list[Command]:
    """Give the commands that go out now, and note when they did."""
    commands = devices.commands_after(node, number)
    devices.note_sent(commands)
    return [devices.core_command(command) for command in commands]


def _is_gone(node: Node) -> bool:
    return not Node.objects.filter(pk=node.pk, token_hash=node.token_hash).exists()
