"""Running one node as a process: arguments, enrolment, signals."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import structlog

from anlin.edge.identity import Identity, IdentityError, enrol_node, load
from anlin.edge.journal import JournalError
from anlin.edge.node import Node
from anlin.edge.replica import ReplicaError
from anlin.edge.uplink import HubError

log = structlog.get_logger(__name__)

ENROL_WAIT_S = 1.0
"""A hub that is still starting answers soon; a person may also be typing the code."""


def main() -> None:
    """Parse the arguments, enrol where needed, and run until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m anlin.edge", description="Run one node.")
    parser.add_argument("--home", type=Path, required=True, help="folder of this node's files")
    parser.add_argument("--hub", required=True, help="address of the hub, for events")
    parser.add_argument("--down", help="address of the hub's live process; default: the hub")
    arguments = parser.parse_args()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ]
    )
    try:
        with _alone(arguments.home):
            asyncio.run(_run(arguments.home, arguments.hub, arguments.down or arguments.hub))
    except (HubError, IdentityError, JournalError, ReplicaError) as error:
        raise SystemExit(str(error)) from error


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold a home for one process: two that number events would tear the chain."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "edge.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"{home}: an edge is running here already") from None
        yield


async def _run(home: Path, hub: str, down: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    identity = load(home / "node.json")
    if identity is None:
        identity = await _enrol(home / "node.json", hub, stop)
    if identity is not None:
        await _load(home, identity, hub, down).run(stop)


def _load(home: Path, identity: Identity, hub: str, down: str) -> Node:
    """Make the node without looking for garbage meanwhile, and keep it out of every later look.

    A policy of 50,000 holders is a third of a million objects that stay. Walking over them again
    and again takes about a third of the loading; later each full walk would stop the engine for
    a tenth of a second, and a door with it.
    """
    gc.disable()
    try:
        node = Node(home, identity, hub, down)
    finally:
        gc.freeze()
        gc.enable()
    return node


async def _enrol(path: Path, hub: str, stop: asyncio.Event) -> Identity | None:
    code = os.environ.get("ANLIN_NODE_CODE", "")
    if not code:
        raise IdentityError(f"{path} is missing: set ANLIN_NODE_CODE to a one-time code of the hub")
    while not stop.is_set():
        try:
            return await enrol_node(path, hub, code)
        except httpx.HTTPError as error:
            log.warning("hub_unreachable", hub=hub, error=str(error))
            await asyncio.sleep(ENROL_WAIT_S)
    return None
