"""The outbox to the hub: events a second out of a journal until the hub has committed them.

The outbox of an edge in this process, the hub as it runs in production: granian, one thread,
SQLite. The floor is the same outbox and server with a hub that keeps nothing.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from anlin import up
from anlin.core.sync import VERSIONS_SPOKEN, Enrol, Enrolled
from anlin.edge.journal import Journal
from anlin.edge.uplink import Outbox, enrol
from anlin.wire.keys import new_sealing_key, public_sealing_key
from bench.journal import draft
from bench.report import Figure, quantile, say
from bench.rig.processes import HOST, Started, folder, free_port

EVENTS_A_ROUND, ROUNDS = 10_000, 3
TARGET = 3000


def run() -> Iterator[Figure]:
    """Empty a journal towards the hub, and another one towards nothing, in turn."""
    with folder("uplink") as home, ExitStack() as stack:
        say("  starting the hub")
        env = up.hub_env(home, up.Addresses())
        code = _found(env)
        hub = serve(stack, home / "hub.log", "anlin.hub.wsgi:application", env)
        floor = serve(stack, home / "floor.log", "bench.rig.floor:application", {})
        node = asyncio.run(_enrol(hub, code))
        sides = {
            name: (address, Journal(home / name / "journal.sqlite3", node.node))
            for name, address in (("hub", hub), ("floor", floor))
        }
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(ROUNDS):
            for name, (address, journal) in sides.items():
                say(f"  round {number + 1} of {ROUNDS}: {name}")
                asyncio.run(_fill(journal, number * EVENTS_A_ROUND))
                rates[name].append(asyncio.run(_empty(address, node.token, journal, home)))
        for _, journal in sides.values():
            journal.close()
        ours, theirs = (quantile(rates[name], 0.5) for name in ("hub", "floor"))
        n = EVENTS_A_ROUND * ROUNDS
        yield Figure("uplink.rate", ours, "events/s", n, TARGET, "HTTP and JSON alone", theirs)


def _found(env: Mapping[str, str]) -> str:
    """Make the hub's tables and one node; give its one-time code."""
    command = [sys.executable, "-m", "bench.rig.found"]
    whole = {**os.environ, **env}
    done = subprocess.run(command, check=True, env=whole, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def serve(stack: ExitStack, log: Path, application: str, env: Mapping[str, str]) -> str:
    """Serve a WSGI application as production does until the stack ends; give its address."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HOST]
    command += ["--port", str(port), "--workers", "1", "--blocking-threads", "1", "--no-ws"]
    server = Started([*command, application], "Started worker", log, env)
    stack.callback(server.stop)
    return f"http://{HOST}:{port}"


async def _enrol(hub: str, code: str) -> Enrolled:
    key = public_sealing_key(new_sealing_key())
    return await enrol(hub, Enrol(code, key, VERSIONS_SPOKEN, "bench"))


async def _fill(journal: Journal, first: int) -> None:
    """Write a round of events."""
    await asyncio.gather(*(journal.append(draft(first + n)) for n in range(EVENTS_A_ROUND)))


async def _empty(address: str, token: str, journal: Journal, home: Path) -> float:
    """Send everything; events a second."""
    outbox = Outbox(address, token, journal, home / "media", lambda: 0)
    try:
        waiting = journal.seq - journal.acked
        began = time.perf_counter()
        while journal.acked < journal.seq:
            await outbox.step()
        return waiting / (time.perf_counter() - began)
    finally:
        await outbox.close()
