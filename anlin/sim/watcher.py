"""What the system really decided: the hub's event log, followed by position."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Row = Mapping[str, Any]
T = TypeVar("T")

POLL_S = 0.1
KEPT_ROWS = 5000


class Watcher:
    """Rows of the event log as they come, each as the console shows it.

    `django.setup()` comes first. Everything that touches the database runs in one thread.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._position = 0
        self._thread = ThreadPoolExecutor(1, "hub")
        self._more = asyncio.Event()

    async def call(self, function: Callable[..., T], *given: Any) -> T:
        """Run something that uses the hub's records."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *given)

    async def run(self) -> None:
        """Follow the log until cancelled; what was there before is passed over."""
        self._position = await self.call(_newest)
        while True:
            found = await self.call(_after, self._position)
            if found:
                self._position = found[-1]["position"]
                self.rows = [*self.rows, *found][-KEPT_ROWS:]
                self._more.set()
                self._more = asyncio.Event()
            await asyncio.sleep(POLL_S)

    @property
    def mark(self) -> int:
        """The newest position seen; give it to `wait` before something is done."""
        return self._position

    def since(self, mark: int, is_it: Callable[[Row], bool]) -> list[Row]:
        """List the rows after a mark that fit."""
        return [row for row in self.rows if row["position"] > mark and is_it(row)]

    async def wait(
        self, mark: int, is_it: Callable[[Row], bool], wait_s: float, count: int = 1
    ) -> list[Row]:
        """Wait for `count` rows after a mark that fit; fewer where they did not come in time."""
        deadline = time.monotonic() + wait_s
        while len(found := self.since(mark, is_it)) < count:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._more.wait()
            except TimeoutError:
                return self.since(mark, is_it)
        return found

    async def cameras_online(self, cameras: set[str], wait_s: float) -> set[str]:
        """Wait until all of these cameras are online; give those that are."""
        deadline = time.monotonic() + wait_s
        while True:
            online = await self.call(_cameras_online, cameras)
            if online == cameras or time.monotonic() > deadline:
                return online
            await asyncio.sleep(POLL_S)

    async def holes(self) -> list[str]:
        """Say where a node's numbers are missing or doubled in the log; empty is as it must be."""
        return await self.call(_holes)


def _newest() -> int:
    from anlin.hub.events.models import Event

    return Event.objects.order_by("-id").values_list("id", flat=True).first() or 0


def _after(position: int) -> list[Row]:
    from django.utils import translation

    from anlin.hub.events.models import Event
    from anlin.hub.events.rows import rows

    found = list(Event.objects.filter(id__gt=position).order_by("id")[:500])
    with translation.override("zh-hans"):
        return [
            {**row, "data": event.data, "reason_text": str(row["reason_text"])}
            for row, event in zip(rows(found), found, strict=True)
        ]


def _cameras_online(cameras: set[str]) -> set[str]:
    """List cameras whose newest state is "online", as told since the edge last started."""
    from anlin.hub.events.models import Event

    started = Event.objects.filter(kind="node_started").order_by("-id").first()
    states: dict[str, object] = {}
    told = Event.objects.filter(kind="camera_state", subject__in=cameras).order_by("id")
    for event in told.filter(id__gt=started.id if started is not None else 0):
        if "state" in event.data:
            states[event.subject] = event.data["state"]
    return {camera for camera, state in states.items() if state == "online"}


def _holes() -> list[str]:
    from django.db.models import Count, Max, Min

    from anlin.hub.events.models import Event, Quarantine

    told = []
    nodes = Event.objects.values("node").annotate(
        count=Count("seq"), distinct=Count("seq", distinct=True), first=Min("seq"), last=Max("seq")
    )
    for node in nodes:
        quarantined = Quarantine.objects.filter(node=node["node"]).count()
        expected = node["last"] - node["first"] + 1
        if node["distinct"] + quarantined < expected:
            told.append(f"{node['node']}: {expected - node['distinct']} events are missing")
        if node["count"] != node["distinct"]:
            told.append(f"{node['node']}: {node['count'] - node['distinct']} events are doubled")
    return told
