"""Resident memory of each process of the running demo, and of all together.

Beside the sum of resident sets, which counts shared pages once for each process, stands the
proportional one, which counts them once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import psutil

from bench.report import Figure, say
from bench.rig.processes import Started, folder

SETTLE_S = 60.0
"""The workers load their models, and the morning at the gate begins."""

MIB = 2**20
TARGET_MIB = 1536.0


def run() -> Iterator[Figure]:
    """Run the demo for a while and weigh it."""
    with folder("memory") as home:
        say("  starting the demo")
        command = [sys.executable, "-m", "anlin.cli", "demo", "--home", str(home / "var")]
        demo = Started(command, "Open http", home / "demo.log", {"NO_COLOR": "1"})
        try:
            say(f"  waiting {SETTLE_S:.0f} s")
            time.sleep(SETTLE_S)
            yield from _weigh(psutil.Process(demo.pid))
        finally:
            os.kill(demo.pid, signal.SIGINT)
            demo.stop()


def _weigh(top: psutil.Process) -> Iterator[Figure]:
    resident: Counter[str] = Counter()
    shared_once = 0.0
    count: Counter[str] = Counter()
    for process in [top, *top.children(recursive=True)]:
        try:
            told = process.memory_full_info()
            name = _name(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        resident[name] += told.rss
        shared_once += getattr(told, "pss", told.rss)
        count[name] += 1
    for name, size in resident.most_common():
        yield Figure(f"memory.{name}", size / MIB, "MiB", count[name])
    total = sum(resident.values()) / MIB
    yield Figure(
        "memory.total",
        total,
        "MiB",
        sum(count.values()),
        TARGET_MIB,
        "the same, shared pages once",
        shared_once / MIB,
    )


def _name(command: list[str]) -> str:
    """Give the module that a process runs."""
    if "-m" in command:
        module = command[command.index("-m") + 1]
        return "anlin" if module == "anlin.cli" else module.removeprefix("anlin.")
    return next((word for word in command if not word.startswith("-")), "?").rsplit("/", 1)[-1]
