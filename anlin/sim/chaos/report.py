"""What the run proved, as a page that says as plainly what it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_KILLED = "counted until its work is done for somebody again: a page, or a message acknowledged"

_NOT_COVERED = (
    "Power loss of the machine: `kill -9` leaves the kernel's pages. That a commit is on the disk"
    " rests on SQLite's synchronous=FULL and on the disk's word.",
    "Damage to files; `tests/edge/test_journal.py` and `test_node.py` break pages and cut files.",
    "Other drivers than `mqtt_gate` and `camera`; their own tests break their own lines.",
    "Hostile messages: see [fuzz.md](fuzz.md). Here the line is bad, not malicious.",
    "Wall clocks of running processes: the clock is proven in one process (above).",
    "An edge that is frozen, not dead, for more than seconds: messages wait in its socket and"
    " look fresh when it thaws, because their age is written when they are sent.",
    "A hub on PostgreSQL, several nodes on one hub, and a hub that is restored from a backup.",
    "Reading what a camera's worker had seen when it was killed: such a sighting is not kept.",
)


def write(
    *,
    command: str,
    seed: int,
    seconds: int,
    week_events: int,
    machine: str,
    version: str,
    day: Mapping[str, Any] | None,
    clocks: Sequence[Mapping[str, Any]],
    week: Mapping[str, Any] | None,
) -> str:
    """Write the report."""
    parts = [
        "# Proof by faults\n",
        f"    {command}\n",
        f"Seed {seed}; version {version}; {machine}. Written by the run itself.\n",
        *(_day(day) if seconds else []),
        "## The wall clock is set about\n",
        *_checks(clocks),
        "",
        *(_week(week) if week_events else []),
        "## What this does not cover\n",
        *(f"- {line}" for line in _NOT_COVERED),
    ]
    return "\n".join(parts) + "\n"


def _day(day: Mapping[str, Any] | None) -> list[str]:
    title = "## A day on which everything breaks\n"
    if day is None:
        return [title, "**It did not come to its end; nothing is proven.**\n"]
    lines = [
        title,
        f"{day['seconds']} s. Broker, hub web, hub live, edge and a vision worker as real"
        " processes under the supervisor of `anlin up`; seven controllers and a camera over real"
        " sockets, through a line and cables that break. Residents, strangers, visitors, a car"
        " and a guard at the desk go on all the while.\n",
        "| fault | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in sorted(day["faults"].items())),
        *(
            f"| MQTT messages {name} | {day['line'].get(name, 0)} of {day['line']['messages']} |"
            for name in ("lost", "doubled", "late")
        ),
        "",
    ]
    if not day["has_own_disk"]:
        lines.append(
            "The disk was not filled: this user may not mount a small one for the edge's folder.\n"
        )
    lines += [
        f"Back after kill -9, {_KILLED}:\n",
        "| process | times | median | longest |",
        "|---|---|---|---|",
        *(
            f"| {name} | {back['count']} | {back['median']:.1f} s | {back['max']:.1f} s |"
            for name, back in day["back_s"].items()
        ),
        "",
        "A process that dies again within 30 s is started again after a pause that doubles, up"
        " to 30 s. Time on a full disk does not count.\n",
        *_checks(day["checks"]),
        "",
    ]
    return lines


def _week(week: Mapping[str, Any] | None) -> list[str]:
    title = "## A week without the hub\n"
    if week is None:
        return [title, "**It did not come to its end; nothing is proven.**\n"]
    return [
        title,
        f"{week['passages']} passages in {week['days']:g} simulated days, through the edge's"
        " engine into its journal, then to the hub over HTTP by the edge's outbox;"
        f" the hub was killed {week['hub_kills']} times while it caught up.\n",
        "| | |",
        "|---|---|",
        f"| events | {week['events']} |",
        f"| written in | {week['lived_s']:.0f} s |",
        f"| journal on the disk | {week['journal_mb']:g} MB |",
        f"| hub caught up in | {week['caught_up_s']:.0f} s |",
        f"| hub's databases on the disk | {week['hub_mb']:g} MB |",
        "",
        *_checks(week["checks"]),
        "",
    ]


def _checks(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        f"| {'yes' if item['is_ok'] else '**NO**'} | {item['name']} | {item['detail']} |"
        for item in checks
    ]
    return ["| holds | what | |", "|---|---|---|", *rows]
