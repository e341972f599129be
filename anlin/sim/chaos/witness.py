"""Controllers that write down everything: the side of the truth that no server can change."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anlin.sim.gate import Gate

LOOK_BACK = 400
"""Events among which a release that is heard now has its cause: many times what fits in 10 s."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a controller, as it happened."""

    topic: str
    data: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Order:
    """An order to open, and what the journal held of its cause when it was heard."""

    id: str
    action: str
    at: float
    cause: str


class Peek:
    """The edge's journal, looked into from outside while the edge writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def cause(self, release: str) -> str:
        """Name the durable event behind a release: its kind, or "" where there is none yet."""
        rows = self._ask(
            "SELECT kind FROM event WHERE seq > (SELECT max(seq) FROM event) - ?"
            " AND (kind = 'access_granted' AND json_extract(data, '$.release') = ?"
            " OR kind = 'command_done' AND json_extract(data, '$.command') = ?)",
            (LOOK_BACK, release, release),
        )
        return str(rows[0][0]) if rows else ""

    def seq(self) -> int:
        """Give the number of the newest durable event."""
        rows = self._ask("SELECT max(seq) FROM event", ())
        return int(rows[0][0] or 0) if rows else 0

    def has(self, kind: str, after: int, text: str) -> bool:
        """Whether an event of a kind came after a seq, with a text in its data."""
        rows = self._ask(
            "SELECT 1 FROM event WHERE seq > ? AND kind = ? AND instr(data, ?) LIMIT 1",
            (after, kind, text),
        )
        return bool(rows)

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _ask(self, question: str, given: tuple[Any, ...]) -> list[Any]:
        try:
            if self._db is None:
                self._db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=0.2)
            return self._db.execute(question, given).fetchall()
        except sqlite3.Error:
            # Not there yet, or on a disk that is full: nothing is proven, and so nothing claimed.
            with contextlib.suppress(sqlite3.Error):
                self.close()
            return []


class Witness(Gate):
    """A gate controller with a log of its own."""

    def __init__(
        self,
        id_: str,
        password: str,
        host: str,
        port: int,
        peek: Peek,
        on_ack: Callable[[float], None],
        *,
        is_lane: bool = False,
    ) -> None:
        super().__init__(id_, password, host, port, is_lane=is_lane)
        self.told: dict[str, Said] = {}
        self.acked: dict[str, float] = {}
        self.orders: list[Order] = []
        self._peek = peek
        self._on_ack = on_ack

    def _report(self, topic: str, **data: Any) -> str:
        id_ = super()._report(topic, **data)
        self.told[id_] = Said(topic, data, time.monotonic())
        return id_

    def _hear(self, topic: str, data: dict[str, Any]) -> None:
        now = time.monotonic()
        if topic == "ack":
            said = self.told.get(data["id"])
            self.acked.setdefault(data["id"], now)
            if said is not None:
                self._on_ack(said.at)
        elif topic == "relay" and data["action"] != "secure":
            # Before it is obeyed, and before anything else may be written.
            self.orders.append(Order(data["id"], data["action"], now, self._peek.cause(data["id"])))
        super()._hear(topic, data)
