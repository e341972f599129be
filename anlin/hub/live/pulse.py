"""One look at the database for everybody who waits for news."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import DatabaseError
from django.db.models import Max
from django.utils import timezone

from anlin.core.sync import BEAT_S
from anlin.hub.devices.models import Command, Node
from anlin.hub.events.models import Event
from anlin.hub.people.models import Community

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_EVERY_S = 0.1
"""Three small queries, 2 ms together; a revocation has 5 s to reach every edge."""

_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="database")
"""All database work of this process: as many connections, however many listen."""


async def in_database(work: Callable[..., T], *args: Any) -> T:
    """Do database work off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *args)


@dataclass(frozen=True, slots=True)
class Heads:
    """The newest of everything: revision by community, command by node, event of all."""

    revisions: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, int] = field(default_factory=dict)
    event: int = 0


class Pulse:
    """Looks while anybody waits, and wakes them when something is new."""

    def __init__(self) -> None:
        self.heads = Heads()
        self._changed = asyncio.Condition()
        self._listeners = 0
        self._nodes: Counter[str] = Counter()
        self._looking: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @asynccontextmanager
    async def listening(self, node: str = "") -> AsyncIterator[None]:
        """Keep the look-out going for as long as somebody listens."""
        self._listeners += 1
        self._nodes[node] += 1
        try:
            async with self._starting:
                if self._looking is None:
                    self.heads = await in_database(_look)
                    self._looking = asyncio.create_task(self._look_out())
            yield
        finally:
            self._listeners -= 1
            self._nodes[node] -= 1
            if not self._listeners and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def news(self, is_news: Callable[[Heads], bool], wait_s: float) -> bool:
        """Wait until the heads are news to the caller; False when time ran out first."""
        async with self._changed:
            try:
                async with asyncio.timeout(wait_s):
                    return await self._changed.wait_for(lambda: is_news(self.heads))
            except TimeoutError:
                return False

    async def _look_out(self) -> None:
        seen_at = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            try:
                heads = await in_database(_look)
                if clock() - seen_at >= BEAT_S:
                    seen_at = clock()
                    await in_database(_note_seen, [node for node in +self._nodes if node])
            except DatabaseError as error:
                log.warning("look failed: %s", error)
            else:
                if heads != self.heads:
                    async with self._changed:
                        self.heads = heads
                        self._changed.notify_all()
            await asyncio.sleep(LOOK_EVERY_S)


def _look() -> Heads:
    alive = Command.objects.filter(expires_at__gt=timezone.now())
    return Heads(
        dict(Community.objects.values_list("pk", "policy_revision")),
        dict(alive.values_list("node_id").annotate(Max("number"))),
        Event.objects.aggregate(newest=Max("pk"))["newest"] or 0,
    )


def _note_seen(nodes: list[str]) -> None:
    if nodes:
        Node.objects.filter(pk__in=nodes).update(last_seen_at=timezone.now())
