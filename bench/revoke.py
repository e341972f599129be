"""A card taken back at the hub: until every connected edge refuses it.

A hub as it runs in production (granian and the live process, SQLite), 50 enrolled edges that
follow its stream in this process and apply what they hear to policies of their own. Beside it
10 edges that ask the same hub once a second, as devices do whose platform has no stream.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx

from anlin import up
from anlin.core import sync
from anlin.core.entities import Status
from anlin.core.policy import Delta, Policy
from anlin.core.sync import VERSIONS_SPOKEN, Down, Enrol
from anlin.edge.uplink import Downstream, enrol
from anlin.wire.keys import new_sealing_key, public_sealing_key
from bench.report import Figure, quantile, say
from bench.rig.processes import HOST, Started, folder, free_port
from bench.uplink import serve

EDGES, REVOCATIONS = 50, 30
POLLERS, POLLED = 10, 8
"""Fifty that ask each second keep two cores busy with nothing else."""
TARGET_MS = 1000.0
POLL_S = 1.0
PATIENCE_S = 10.0


class _Edge:
    """One edge's stream and policy; notes when each change became effective."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address, token
        self._policy = Policy()
        self.heard: dict[str, float] = {}
        self.is_there = asyncio.Event()

    async def follow(self) -> None:
        """Follow the stream."""
        stream = Downstream(self._address, self._token)
        try:
            await stream.follow(0, 0, self._take)
        finally:
            await stream.close()

    async def poll(self, dice: random.Random) -> None:
        """Ask once a second."""
        await asyncio.sleep(dice.random() * POLL_S)
        while True:
            began = time.monotonic()
            stream = Downstream(self._address, self._token)
            try:
                await stream.follow(self._policy.revision, 0, self._take_and_go)
            except _Enough:
                pass
            finally:
                await stream.close()
            await asyncio.sleep(max(0.0, began + POLL_S - time.monotonic()))

    def _take_and_go(self, message: Down) -> None:
        self._take(message)
        raise _Enough

    def _take(self, message: Down) -> None:
        if isinstance(message, Delta):
            self._policy.apply(message)
            now = time.monotonic()
            for change in message.changes:
                known = self._policy.credentials.get(change.id)
                if change.kind == "credential" and (
                    known is None or known.status is not Status.ACTIVE
                ):
                    self.heard[change.id] = now
        if isinstance(message, Delta | sync.Beat):
            self.is_there.set()


class _Enough(Exception):
    """One answer is what a poll wants."""


class _Clerk:
    """The process that revokes."""

    def __init__(self, env: dict[str, str]) -> None:
        cards = REVOCATIONS + POLLED
        command = [sys.executable, "-m", "bench.rig.revoker", str(EDGES), str(cards)]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> dict[str, Any]:
        """Read what it says next."""
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def revoke(self) -> tuple[str, float]:
        """Let it revoke one card; give the credential and when that was committed."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        said = self.hear()
        return said["credential"], said["at"]

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def run() -> Iterator[Figure]:
    """Revoke while edges listen, then while others poll."""
    with folder("revoke") as home, ExitStack() as stack:
        say(f"  starting a hub with {EDGES} edges")
        port, live = free_port(), free_port()
        addresses = up.Addresses(hub=port, live=live)
        env = up.hub_env(home, addresses)
        clerk = _Clerk(env)
        stack.callback(clerk.stop)
        codes = clerk.hear()["codes"]
        hub = serve(stack, home / "hub.log", "anlin.hub.wsgi:application", env)
        server = [sys.executable, "-m", "anlin.hub.live", "--host", HOST, "--port", str(live)]
        command = ["sh", "-c", f"echo up; exec {' '.join(server)}"]
        stack.callback(Started(command, "up", home / "live.log", env).stop)
        pushed, polled = asyncio.run(_measure(hub, f"http://{HOST}:{live}", codes, clerk))
        n = len(pushed)
        for share, label, target in ((0.5, "p50", None), (0.99, "p99", TARGET_MS)):
            beside = quantile(polled, share)
            ours = quantile(pushed, share)
            yield Figure(f"revoke.{label}", ours, "ms", n, target, "asking each second", beside)


async def _measure(
    hub: str, live: str, codes: list[str], clerk: _Clerk
) -> tuple[list[float], list[float]]:
    await _answering(hub)
    tokens = []
    for code in codes:
        key = public_sealing_key(new_sealing_key())
        tokens.append((await enrol(hub, Enrol(code, key, VERSIONS_SPOKEN, "bench"))).token)
    await _answering(live)
    edges = [_Edge(live, token) for token in tokens]
    pushed = await _side(edges, [edge.follow() for edge in edges], clerk, REVOCATIONS)
    dice = random.Random(3)
    edges = [_Edge(live, token) for token in tokens[:POLLERS]]
    polled = await _side(edges, [edge.poll(dice) for edge in edges], clerk, POLLED)
    return pushed, polled


async def _answering(address: str) -> None:
    """Wait until a server answers; the first answer loads the whole hub."""
    until = time.monotonic() + PATIENCE_S
    async with httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(address, timeout=4 * PATIENCE_S)
                return
            except httpx.TransportError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.1)


async def _side(edges: list[_Edge], working: list[Any], clerk: _Clerk, count: int) -> list[float]:
    tasks = [asyncio.create_task(work) for work in working]
    try:
        there = asyncio.gather(*(edge.is_there.wait() for edge in edges))
        ended = asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(
            {there, asyncio.ensure_future(ended)}, return_when=asyncio.FIRST_COMPLETED
        )
        for task in tasks:
            if task.done():
                task.result()
        spent: list[float] = []
        for _ in range(count):
            credential, at = await asyncio.to_thread(clerk.revoke)
            until = time.monotonic() + PATIENCE_S
            while not all(credential in edge.heard for edge in edges):
                if time.monotonic() > until:
                    raise RuntimeError(f"an edge has not heard of {credential}")
                await asyncio.sleep(0.01)
            spent += [max(0.0, edge.heard[credential] - at) * 1000 for edge in edges]
        return spent
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
