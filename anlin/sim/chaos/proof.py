"""The comparison at the end: controllers, journal and hub must tell one story."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anlin.core.access import STALE_AFTER
from anlin.edge.records import Break, Different, Records
from anlin.sim.chaos.lossy import MAX_LATE_S
from anlin.sim.chaos.people import Expected
from anlin.sim.chaos.witness import Witness

ON_THE_WAY_S = 2 * MAX_LATE_S + 2.0
"""What nobody counts: a late line there and back, and two cores with everything else to do."""

PRESS_S = STALE_AFTER.total_seconds() + ON_THE_WAY_S
_PRESSES = ("read", "button")
_EXCUSES = frozenset({"records_unavailable", "stale_presentation"})
"""Why somebody who may pass is refused while things break: each says "show it again"."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was proven, or not."""

    name: str
    is_ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """What the journal holds of one event."""

    seq: int
    kind: str
    subject: str
    data: Mapping[str, Any]
    origin: str | None
    hash: str


@dataclass(slots=True)
class Ledger:
    """The journal, indexed for the comparison."""

    rows: list[Row]
    by_origin: dict[str, list[Row]] = field(default_factory=dict)
    by_release: dict[str, list[Row]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read a journal's table as it is, beside the code that wrote it."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            ledger = cls(
                [
                    Row(seq, kind, subject, json.loads(data), origin, digest)
                    for seq, kind, subject, data, origin, digest in db.execute(
                        "SELECT seq, kind, subject, data, origin, hash FROM event ORDER BY seq"
                    )
                ]
            )
        for row in ledger.rows:
            if row.origin is not None:
                ledger.by_origin.setdefault(row.origin, []).append(row)
            if row.kind == "access_granted" and "release" in row.data:
                ledger.by_release.setdefault(str(row.data["release"]), []).append(row)
            if row.kind == "command_done":
                ledger.done.add(str(row.data["command"]))
        return ledger


def check(name: str, faults: Iterable[str], told: str) -> Check:
    """Make a check of the list of what is wrong, the first few of which are told."""
    found = list(faults)
    if not found:
        return Check(name, True, told)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Check(name, False, f"{len(found)} wrong: {'; '.join(found[:_SHOWN])}{more}")


def nothing_lost(gates: Iterable[Witness], ledger: Ledger) -> list[Check]:
    """Compare what controllers were told is durable with what the journal holds."""
    counts: Counter[str] = Counter()
    wrong, waiting = [], []
    for gate in gates:
        for id_, said in gate.told.items():
            origin, is_press = f"{gate.id}/{id_}", said.topic in _PRESSES
            rows = ledger.by_origin.get(origin, [])
            counts[said.topic] += 1
            if id_ not in gate.acked:
                waiting.append(f"{origin} ({said.topic}) was never acknowledged")
            elif len(rows) > 1 or (is_press and not rows):
                wrong.append(f"{origin} ({said.topic}) stands {len(rows)} times")
    told = ", ".join(f"{count} {topic}" for topic, count in sorted(counts.items()))
    presses = sum(counts[topic] for topic in _PRESSES)
    return [
        check("Every message was acknowledged in the end", waiting, f"{counts.total()}: {told}"),
        check(
            "Every acknowledged message is in the journal exactly once",
            wrong,
            f"{presses} cards, passes and buttons once each; a level that was no news has no row",
        ),
    ]


def same_at_hub(ledger: Ledger, hub: list[tuple[int, str]], quarantined: int) -> list[Check]:
    """Compare the journal with the hub's log of this node, number by number."""
    upto = max((seq for seq, _ in hub), default=0)
    ours = {row.seq: row.hash for row in ledger.rows if row.seq <= upto}
    theirs = dict(hub)
    wrong = [f"seq {seq}" for seq in sorted(ours.keys() ^ theirs.keys())]
    both = sorted(ours.keys() & theirs.keys())
    wrong += [f"seq {seq} differs" for seq in both if ours[seq] != theirs[seq]]
    doubled = [f"seq {seq}" for seq, count in Counter(seq for seq, _ in hub).items() if count > 1]
    aside = [f"{quarantined} events were set aside"] if quarantined else []
    late = [] if len(ledger.rows) - upto < 100 else [f"the hub is at {upto}"]
    return [
        check(
            "Journal and hub hold the same events by number and hash",
            wrong + aside + late,
            f"{len(theirs)} events",
        ),
        check("No event stands at the hub twice", doubled, f"{len(hub)} rows"),
    ]


def nothing_doubled(gates: Iterable[Witness], ledger: Ledger, expected: Expected) -> list[Check]:
    """Look for a second grant, a second opening, a second use of a pass."""
    grants: Counter[str] = Counter()
    for row in ledger.rows:
        if row.kind == "access_granted" and row.origin is not None:
            grants[row.origin] += 1
    wrong = [f"{origin}: {count} grants" for origin, count in grants.items() if count > 1]
    releases = [f"{id_}: {len(rows)}" for id_, rows in ledger.by_release.items() if len(rows) > 1]
    obeyed = Counter((gate.id, order.id) for gate in gates for order in gate.releases)
    twice = [f"{id_} at {gate}: {count}" for (gate, id_), count in obeyed.items() if count > 1]
    passes = []
    for shown in expected.passes.values():
        used = sum(grants[origin] for origin in shown)
        if used > 1:
            passes.append(f"{shown[0]}: {used} entries")
    used_passes = sum(any(grants[o] for o in shown) for shown in expected.passes.values())
    return [
        check("No message led to two grants", wrong + releases, f"{grants.total()} grants"),
        check("No release was obeyed twice", twice, f"{len(obeyed)} releases obeyed"),
        check(
            "No pass for one entry admitted twice",
            passes,
            f"{len(expected.passes)} passes shown up to three times, {used_passes} used",
        ),
    ]


def right_answers(ledger: Ledger, expected: Expected) -> Check:
    """Compare each decision with what the policy says of who stood there."""
    wrong, excused = [], 0
    for origin in expected.denied:
        for row in ledger.by_origin.get(origin, []):
            if row.kind != "access_denied":
                wrong.append(f"{origin} was {row.kind}")
    for origin in expected.granted:
        for row in ledger.by_origin.get(origin, []):
            if row.kind == "access_denied" and row.data.get("reason") in _EXCUSES:
                excused += 1
            elif row.kind != "access_granted":
                wrong.append(f"{origin} was {row.kind}: {row.data.get('reason')}")
    total = len(expected.denied) + len(expected.granted)
    return check(
        "Everybody got the answer that the policy gives",
        wrong,
        f"{total} presentations; {excused} were asked to show it again",
    )


def no_door_without_a_decision(
    gates: Iterable[Witness], ledger: Ledger, expected: Expected
) -> list[Check]:
    """Find for each release that a lock obeyed the record that was durable before it."""
    unrecorded, early, stale = [], [], []
    exits = entries = commands = 0
    oldest = 0.0
    for gate in gates:
        heard: dict[str, str] = {}
        for order in gate.orders:
            heard.setdefault(order.id, order.cause)
        for obeyed in gate.releases:
            name = f"{obeyed.id} at {gate.id}"
            rows = ledger.by_release.get(obeyed.id, [])
            if obeyed.id in expected.commands:
                commands += 1
                age = obeyed.at - expected.commands[obeyed.id]
                if obeyed.id not in ledger.done:
                    unrecorded.append(f"{name}: no command_done")
                elif not heard.get(obeyed.id):
                    early.append(name)
            elif rows:
                is_exit = rows[0].data.get("reason") == "free_egress"
                exits, entries = exits + is_exit, entries + (not is_exit)
                if not is_exit and not heard.get(obeyed.id):
                    early.append(name)
                said = gate.told.get((rows[0].origin or "").partition("/")[2])
                # What a camera saw has no message of this controller; the edge judged its age.
                age = obeyed.at - said.at if said is not None else 0.0
            elif _was_pressed(gate, obeyed.at, ledger):
                exits += 1
                age = 0.0
            else:
                unrecorded.append(name)
                age = 0.0
            oldest = max(oldest, age)
            if age > PRESS_S:
                stale.append(f"{name}: {age:.1f} s")
    old_rows = [
        f"seq {row.seq}: {row.data['age_s']} s"
        for rows in ledger.by_release.values()
        for row in rows
        if float(row.data.get("age_s", 0.0)) > STALE_AFTER.total_seconds()
    ]
    return [
        check(
            "No door opened without a record of why",
            unrecorded,
            f"{entries} entries, {exits} ways out, {commands} by the guard",
        ),
        check(
            "Every entry was durable before the lock heard of it",
            early,
            "looked up in the journal's file when the order came; the way out does not wait",
        ),
        check(
            f"No lock obeyed what was older than {STALE_AFTER.total_seconds():.0f} s"
            f" and {ON_THE_WAY_S:.0f} s on the way",
            stale + old_rows,
            f"the oldest was {oldest:.1f} s",
        ),
    ]


def _was_pressed(gate: Witness, at: float, ledger: Ledger) -> bool:
    """Whether an exit button was pressed before, and its press recorded in the end.

    The way out opens before the disk is asked. A process that dies in between, or finds no room,
    records the press when it comes again, under another release.
    """
    return any(
        said.topic == "button"
        and 0 <= at - said.at <= PRESS_S
        and f"{gate.id}/{id_}" in ledger.by_origin
        for id_, said in gate.told.items()
    )


def tampers_told(gates: Iterable[Witness], ledger: Ledger) -> Check:
    """Compare the last level of each enclosure with the last that was recorded."""
    wrong, count = [], 0
    for gate in gates:
        told = [said for said in gate.told.values() if said.topic == "tamper"]
        rows = [row for row in ledger.rows if row.subject == gate.id and row.kind in _TAMPERS]
        count += len(told)
        if told and told[-1].data["active"] != (bool(rows) and rows[-1].kind == "tamper"):
            wrong.append(f"{gate.id}: last said {told[-1].data['active']}")
    return check("The last state of every enclosure is recorded", wrong, f"{count} changes")


_TAMPERS = ("tamper", "tamper_cleared")


def records_hold(path: Path, node: str) -> list[Check]:
    """Walk the chain of hashes, and decide every recorded decision again."""
    records = Records(path, node=node)
    try:
        breaks = [item for item in records.breaks() if isinstance(item, Break)]
        differences: list[Different] = []
        decisions = 0
        for item in records.differences():
            decisions += 1
            if isinstance(item, Different):
                differences.append(item)
        return [
            check(
                "The chain of hashes is whole",
                [f"seq {item.seq}: {item.rule}" for item in breaks],
                f"{records.count} events",
            ),
            check(
                "Every recorded decision falls the same way again",
                [f"seq {item.event.seq}: {item.rule}" for item in differences],
                f"{decisions} decisions",
            ),
        ]
    finally:
        records.close()
