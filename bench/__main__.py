"""`python -m bench [NAME ...]`: run all benchmarks, or those named.

Every module of this package is a benchmark, `report` and the folder `rig` apart: its `run()`
yields figures. Each of several benchmarks runs in a process of its own, so that one's garbage
is not another's pause. A table comes first, then one JSON object a line.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import pkgutil
import signal
import subprocess
import sys

import structlog

import bench
from bench.report import Figure, Skipped, kept, say, show, write

NO_BENCHMARKS = {"__main__", "report"}


def names() -> list[str]:
    """List the benchmarks that are there."""
    return [
        module.name
        for module in pkgutil.iter_modules(bench.__path__)
        if not module.ispkg and module.name not in NO_BENCHMARKS
    ]


def run_one(name: str) -> tuple[list[Figure], str]:
    """Run one benchmark here; give its figures, and why it was skipped where it was."""
    module = importlib.import_module(f"bench.{name}")
    say(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
    figures: list[Figure] = []
    try:
        for figure in module.run():
            say(f"  {figure}")
            figures.append(figure)
    except Skipped as reason:
        say(f"  skipped: {reason}")
        return figures, str(reason)
    finally:
        write(name, figures)
    return figures, ""


def main() -> int:
    """Run what was asked for; the exit status says whether everything could be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=", ".join(names()))
    # Told to end, it ends what it started first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    chosen = parser.parse_args().only or names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    if len(chosen) == 1:
        figures, skipped = run_one(chosen[0])
        show(figures, {chosen[0]: skipped} if skipped else {})
        return 0
    figures, missing = [], {}
    for name in chosen:
        write(name, [])
        done = subprocess.run(
            [sys.executable, "-m", "bench", name], check=False, stdout=subprocess.PIPE, text=True
        )
        figures += kept(name)
        if done.returncode:
            missing[name] = f"failed with status {done.returncode}; see above"
        elif not kept(name):
            missing[name] = "skipped; see above"
    show(figures, missing)
    return int(any("failed" in reason for reason in missing.values()))


if __name__ == "__main__":
    sys.exit(main())
