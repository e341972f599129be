"""A node's journal, as an edge writes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from anlin.core.codec import to_data
from anlin.core.event import GENESIS, Draft, EventKind, chain


class Journal:
    """Makes chained events of one node, ready to be sent."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.seq = 0
        self.hash = GENESIS

    def add(
        self,
        kind: EventKind = EventKind.ACCESS_GRANTED,
        subject: str = "ap_x",
        data: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        self.seq += 1
        draft = Draft(kind, subject, datetime.now(UTC), data or {})
        event = chain(draft, self.node, 1, self.seq, self.hash)
        self.hash = event.hash
        written: dict[str, Any] = to_data(event)
        return written

    def many(self, count: int) -> list[dict[str, Any]]:
        return [self.add() for _ in range(count)]
