"""What breaks, at random moments, and how long each process takes to come back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from anlin.sim.chaos.lossy import Badness, LossyCable
from anlin.sim.chaos.witness import Peek
from anlin.sim.cut import HOST, Cable
from anlin.up import NODE_FOLDER

BACK_S = 90.0
"""A process that keeps dying is started again after 30 s at the latest, and takes some to work."""

POLL_S = 0.05
FILL_EVERY_S = 0.01
CHUNK = b"\0" * (256 * 1024)
BAD_LINE = Badness(lost=0.05, doubled=0.25, late=0.25)
USUAL_LINE = Badness(lost=0.002, doubled=0.02, late=0.02)
LEAST_PAUSE_S, MOST_PAUSE_S = 1.5, 8.0
"""From the beginning of one fault to that of the next, on average."""


@dataclass(slots=True)
class Scene:
    """What faults can touch."""

    home: Path
    hub_port: int
    live_port: int
    cables: list[Cable]
    line: LossyCable
    peek: Peek
    is_own_disk: bool
    """Whether the edge's folder is a small disk of its own, which can be filled."""
    newest_acked: float = 0.0
    """When the newest message that was acknowledged had been said."""
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def acked(self, said_at: float) -> None:
        """Take note of an acknowledgement that a controller heard."""
        self.newest_acked = max(self.newest_acked, said_at)

    def pid(self, name: str) -> int:
        """Give the process that is kept alive under a name; 0 while there is none."""
        try:
            return int((self.home / "run" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return 0


class Faults:
    """Breaks things until told to end, then heals them."""

    def __init__(self, scene: Scene, dice: random.Random, console: Console) -> None:
        self.counts: Counter[str] = Counter()
        self.back_s: dict[str, list[float]] = {}
        self.failures: list[str] = []
        self._scene = scene
        self._dice = dice
        self._console = console
        self._began = time.monotonic()
        self._healed_at = 0.0
        self._filling: asyncio.Task[None] | None = None
        self._busy: set[str] = set()
        self._waiting: set[asyncio.Task[None]] = set()

    def kinds(self) -> dict[str, tuple[frozenset[str], Callable[[], Awaitable[None]]]]:
        """Give everything that can be broken here, with what each of them takes hold of."""
        kinds: dict[str, tuple[frozenset[str], Callable[[], Awaitable[None]]]] = {
            "edge killed": (_of("edge"), lambda: self._kill("edge")),
            "hub web killed": (_of("web"), lambda: self._kill("web")),
            "hub live killed": (_of("live"), lambda: self._kill("live")),
            "broker killed": (_of("broker"), lambda: self._kill("broker")),
            "edge and broker killed together": (_of("edge", "broker"), self._power_cut),
            "vision worker killed": (_of("worker", "edge"), self._kill_worker),
            "network between edge and hub cut": (_of("uplink"), self._cut_uplink),
            "hub hangs (stopped, not dead)": (_of("web", "live"), self._hang_hub),
            "controllers cut off the broker": (_of("line"), self._cut_line),
            "bad MQTT line": (_of("line"), self._bad_line),
        }
        if self._scene.is_own_disk:
            kinds["edge's disk full"] = (_of("disk"), self._fill_disk)
            both = _of("disk", "edge")
            kinds["edge killed on a full disk"] = (both, self._kill_on_full_disk)
        return kinds

    async def run(self, seconds: float) -> None:
        """Break one thing after another, all of them as often, for some seconds; then heal.

        Faults overlap, but nothing is broken twice at a time: a process that is not back yet, or
        a cable that is cut, has its turn later.
        """
        kinds = self.kinds()
        pause_s = min(MOST_PAUSE_S, max(LEAST_PAUSE_S, seconds / (3 * len(kinds))))
        until = time.monotonic() + seconds
        self._scene.line.badness = USUAL_LINE
        left: list[str] = []
        while time.monotonic() < until:
            if not left:
                left = self._dice.sample(sorted(kinds), len(kinds))
            free = [name for name in left if not kinds[name][0] & self._busy]
            if not free:
                await asyncio.sleep(POLL_S)
                continue
            left.remove(free[0])
            self._begin(free[0], *kinds[free[0]])
            await asyncio.sleep(self._dice.uniform(0.5, 1.5) * pause_s)
        await self.heal()

    def _begin(
        self, name: str, targets: frozenset[str], work: Callable[[], Awaitable[None]]
    ) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/]  {name}")
        self.counts[name] += 1
        self._busy |= targets

        async def done() -> None:
            try:
                await work()
            finally:
                self._busy -= targets

        task = asyncio.create_task(done())
        self._waiting.add(task)
        task.add_done_callback(self._ended)

    async def heal(self) -> None:
        """End every fault and wait until everything that was killed is back."""
        scene = self._scene
        if self._waiting:
            # Each fault ends by itself, and each killed process is waited for.
            await asyncio.wait(self._waiting, timeout=2 * BACK_S)
        self._signal(("web", "live"), signal.SIGCONT)
        await self._empty_disk()
        scene.line.mend()
        for cable in scene.cables:
            cable.mend()

    # Killing

    async def _kill(self, name: str) -> None:
        pid, killed_at = self._scene.pid(name), time.monotonic()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self._await_back(name, killed_at, lambda: self._is_back(name, pid, killed_at))

    async def _power_cut(self) -> None:
        await asyncio.gather(self._kill("edge"), self._kill("broker"))

    async def _kill_on_full_disk(self) -> None:
        filling = asyncio.create_task(self._fill_disk())
        await asyncio.sleep(1.0)
        await self._kill("edge")
        await filling

    async def _is_back(self, name: str, pid: int, killed_at: float) -> bool:
        """Whether it works again: not that it runs, but that its work is done for somebody."""
        scene = self._scene
        if scene.pid(name) in (0, pid):
            return False
        match name:
            case "web":
                return await _answers(scene.hub_port, "/login")
            case "live":
                return await _answers(scene.live_port, "/")
            case _:
                # From a controller to the journal and back: what was said since is acknowledged.
                return scene.newest_acked > killed_at

    async def _kill_worker(self) -> None:
        workers = _workers(self._scene.pid("edge"))
        mark, killed_at = self._scene.peek.seq(), time.monotonic()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        async def is_back() -> bool:
            return self._scene.peek.has("camera_state", mark, '"state":"online"')

        await self._await_back("vision worker", killed_at, is_back)

    async def _await_back(
        self, name: str, killed_at: float, is_back: Callable[[], Awaitable[bool]]
    ) -> None:
        """Wait until it is back; what no process can outrun, a full disk, does not count."""
        while not await is_back():
            since = max(killed_at, self._healed_at)
            if self._filling is None and time.monotonic() - since > BACK_S:
                self.failures.append(f"{name} was not back {BACK_S:.0f} s after it was killed")
                return
            await asyncio.sleep(POLL_S)
        since = max(killed_at, self._healed_at)
        self.back_s.setdefault(name, []).append(max(0.0, time.monotonic() - since))

    # Cutting

    async def _cut_uplink(self) -> None:
        for cable in self._scene.cables:
            cable.cut()
        await asyncio.sleep(self._dice.uniform(3.0, 15.0))
        for cable in self._scene.cables:
            cable.mend()

    async def _cut_line(self) -> None:
        self._scene.line.cut()
        await asyncio.sleep(self._dice.uniform(0.5, 6.0))
        self._scene.line.is_cut = False

    async def _bad_line(self) -> None:
        self._scene.line.badness = BAD_LINE
        await asyncio.sleep(self._dice.uniform(5.0, 15.0))
        self._scene.line.badness = USUAL_LINE

    async def _hang_hub(self) -> None:
        self._signal(("web", "live"), signal.SIGSTOP)
        try:
            await asyncio.sleep(self._dice.uniform(3.0, 14.0))
        finally:
            self._signal(("web", "live"), signal.SIGCONT)

    def _signal(self, names: tuple[str, ...], number: signal.Signals) -> None:
        for name in names:
            pid = self._scene.pid(name)
            if pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, number)

    # The disk

    async def _fill_disk(self) -> None:
        self._filling = asyncio.create_task(self._fill())
        await asyncio.sleep(self._dice.uniform(4.0, 9.0))
        await self._empty_disk()

    async def _fill(self) -> None:
        """Take all room, and every bit that somebody gives up meanwhile."""
        with self._filler.open("ab", buffering=0) as file:
            while True:
                size = len(CHUNK)
                while size >= 512:
                    try:
                        file.write(CHUNK[:size])
                    except OSError:
                        size //= 2
                await asyncio.sleep(FILL_EVERY_S)

    async def _empty_disk(self) -> None:
        filling, self._filling = self._filling, None
        if filling is not None:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            self._healed_at = time.monotonic()
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self._scene.home / NODE_FOLDER / "filler"

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.failures.append(f"a fault could not be injected: {task.exception()!r}")


def _of(*targets: str) -> frozenset[str]:
    return frozenset(targets)


async def _answers(port: int, path: str) -> bool:
    """Whether a server answers a request, whatever it says."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                return (await reader.read(5)) == b"HTTP/"
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False


def _workers(edge: int) -> list[int]:
    """List the camera workers of an edge."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes()
            if edge and parent == edge and b"anlin.vision.worker" in words:
                found.append(int(entry.name))
    return found
