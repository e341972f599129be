"""A start of the edge: from making the process until it says that it is ready to decide.

With 50,000 holders in its replica. Beside it the same program with an empty community: the
difference is what the policy costs.
"""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from bench.report import Figure, quantile, say
from bench.rig.community import city
from bench.rig.processes import Site, edge, edge_home, folder

STARTS = 7
MIB = 2**20


def run() -> Iterator[Figure]:
    """Start and stop an edge several times, full and empty in turn."""
    say("  making the community")
    full, small = city(), city(10)
    seconds: dict[str, list[float]] = {"full": [], "small": []}
    resident: dict[str, list[float]] = {"full": [], "small": []}
    with folder("start") as home:
        site = Site(home / "site", [])
        homes = {
            name: edge_home(home / name, site, place.delta())
            for name, place in (("full", full), ("small", small))
        }
        try:
            for number in range(STARTS):
                say(f"  start {number + 1} of {STARTS}")
                for name, path in homes.items():
                    process = edge(path)
                    seconds[name].append(process.start_s)
                    resident[name].append(psutil.Process(process.pid).memory_info().rss / MIB)
                    process.stop()
        finally:
            site.broker.stop()
    peer = "edge with 10 holders"
    for label, share in (("p50", 0.5), ("max", 1.0)):
        ours, theirs = (quantile(seconds[name], share) for name in ("full", "small"))
        yield Figure(f"start.{label}", ours, "s", STARTS, 2.0, peer, theirs)
    ours, theirs = (quantile(resident[name], 0.5) for name in ("full", "small"))
    yield Figure("start.resident", ours, "MiB", STARTS, None, peer, theirs)
