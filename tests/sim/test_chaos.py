"""The judge of chaos sees what is wrong; the bad line is as bad as told; the whole holds."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from anlin.sim.chaos import clocks, proof, report
from anlin.sim.chaos.lossy import Badness, LossyCable
from anlin.sim.chaos.people import Expected
from anlin.sim.chaos.witness import Order, Peek, Said, Witness
from anlin.sim.gate import Obeyed
from anlin.testing.broker import free_port

RUN_S = 240
"""Mostly starting and stopping everything on two loaded cores."""


@pytest.fixture
def gate(tmp_path: Path) -> Witness:
    """A controller that showed one card, got one release and obeyed it."""
    gate = Witness("gate-1", "", "127.0.0.1", 0, Peek(tmp_path / "none"), lambda _: None)
    gate.told["1-1"] = Said("read", {"method": "card"}, 100.0)
    gate.acked["1-1"] = 100.1
    gate.orders.append(Order("r1", "release", 100.2, "access_granted"))
    gate.obeyed.append(Obeyed("r1", "release", 100.2))
    return gate


def ledger(*rows: proof.Row) -> proof.Ledger:
    made = proof.Ledger(list(rows))
    for row in rows:
        if row.origin is not None:
            made.by_origin.setdefault(row.origin, []).append(row)
        if "release" in row.data:
            made.by_release.setdefault(row.data["release"], []).append(row)
    return made


def grant(seq: int = 1, origin: str = "gate-1/1-1", **data: Any) -> proof.Row:
    data = {"reason": "granted", "release": "r1", **data}
    return proof.Row(seq, "access_granted", "gate-in", data, origin, f"hash-{seq}")


def wrong(checks: list[proof.Check]) -> list[str]:
    return [item.name for item in checks if not item.is_ok]


def judged(gate: Witness, book: proof.Ledger, expected: Expected | None = None) -> list[str]:
    expected = expected or Expected(granted={"gate-1/1-1"})
    return wrong(
        [
            *proof.nothing_lost([gate], book),
            *proof.nothing_doubled([gate], book, expected),
            proof.right_answers(book, expected),
            *proof.no_door_without_a_decision([gate], book, expected),
            proof.tampers_told([gate], book),
        ]
    )


def test_one_honest_passage_holds(gate: Witness) -> None:
    assert judged(gate, ledger(grant())) == []


def test_an_acknowledged_card_without_a_record_is_seen(gate: Witness) -> None:
    assert "Every acknowledged message is in the journal exactly once" in judged(gate, ledger())


def test_an_unacknowledged_card_is_seen(gate: Witness) -> None:
    gate.acked.clear()
    assert "Every message was acknowledged in the end" in judged(gate, ledger(grant()))


def test_a_second_grant_for_one_card_is_seen(gate: Witness) -> None:
    found = judged(gate, ledger(grant(), grant(2, release="r2")))
    assert "No message led to two grants" in found


def test_a_door_that_opened_by_itself_is_seen(gate: Witness) -> None:
    gate.obeyed.append(Obeyed("r9", "release", 101.0))
    assert judged(gate, ledger(grant())) == ["No door opened without a record of why"]


def test_a_release_obeyed_twice_is_seen(gate: Witness) -> None:
    gate.obeyed.append(Obeyed("r1", "release", 101.0))
    assert "No release was obeyed twice" in judged(gate, ledger(grant()))


def test_a_release_that_came_before_its_record_is_seen(gate: Witness) -> None:
    gate.orders[0] = Order("r1", "release", 100.2, "")
    found = judged(gate, ledger(grant()))
    assert found == ["Every entry was durable before the lock heard of it"]
    assert judged(gate, ledger(grant(reason="free_egress"))) == []


def test_a_way_out_whose_press_was_recorded_again_holds(gate: Witness) -> None:
    gate.told["1-2"] = Said("button", {}, 103.0)
    gate.acked["1-2"] = 103.5
    gate.obeyed.append(Obeyed("r7", "release", 103.1))
    press = grant(2, "gate-1/1-2", reason="free_egress", release="r8")
    assert judged(gate, ledger(grant(), press)) == []
    assert "No door opened without a record of why" in judged(gate, ledger(grant()))


def test_an_open_long_after_the_card_is_seen(gate: Witness) -> None:
    gate.obeyed[0] = Obeyed("r1", "release", 115.0)
    assert len(judged(gate, ledger(grant()))) == 1


def test_somebody_who_may_not_pass_and_did_is_seen(gate: Witness) -> None:
    found = judged(gate, ledger(grant()), Expected(denied={"gate-1/1-1"}))
    assert found == ["Everybody got the answer that the policy gives"]


def test_a_pass_for_one_entry_used_twice_is_seen(gate: Witness) -> None:
    gate.told["1-2"] = gate.told["1-1"]
    gate.acked["1-2"] = 100.3
    expected = Expected(passes={"text": ["gate-1/1-1", "gate-1/1-2"]})
    found = judged(gate, ledger(grant(), grant(2, "gate-1/1-2", release="r2")), expected)
    assert found == ["No pass for one entry admitted twice"]


def test_an_enclosure_that_is_open_for_ever_is_seen(gate: Witness) -> None:
    for id_, is_active in (("1-2", True), ("1-3", False)):
        gate.told[id_] = Said("tamper", {"active": is_active}, 100.0)
        gate.acked[id_] = 100.1
    told = proof.Row(2, "tamper", "gate-1", {}, "gate-1/1-2", "")
    assert judged(gate, ledger(grant(), told)) == ["The last state of every enclosure is recorded"]


@pytest.mark.parametrize(
    "hub",
    [[], [(1, "hash-1"), (2, "x")], [(1, "other")], [(1, "hash-1"), (1, "hash-1")]],
)
def test_a_hub_that_holds_something_else_is_seen(hub: list[tuple[int, str]]) -> None:
    book = ledger(*(grant(seq) for seq in range(1, 200)))
    assert wrong(proof.same_at_hub(book, hub, 0))


def test_a_hub_that_set_something_aside_is_seen() -> None:
    book = ledger(grant())
    assert wrong(proof.same_at_hub(book, [(1, "hash-1")], 0)) == []
    assert wrong(proof.same_at_hub(book, [(1, "hash-1")], 1))


# The clock


async def test_a_wall_clock_that_is_set_about_changes_no_decision(tmp_path: Path) -> None:
    assert wrong(await clocks.prove(tmp_path, 1)) == []


# The line


@pytest.fixture
async def far() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A broker of a few lines: it confirms every message and keeps it."""
    port, heard = free_port(), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(2):
            packet = head + await reader.readexactly(head[1])
            heard.append(packet)
            writer.write(b"\x40\x02" + packet[5:7])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    yield port, heard
    server.close()


def publish(number: int) -> bytes:
    return b"\x32\x06\x00\x01t" + number.to_bytes(2) + b"x"


async def send(badness: Badness, far_port: int, count: int) -> tuple[Counter[bytes], LossyCable]:
    """Send messages over a bad line; count the confirmations that come back."""
    cable = LossyCable(free_port(), far_port, random.Random(3))
    cable.badness = badness
    running = asyncio.create_task(cable.run())
    await asyncio.sleep(0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    confirmed: Counter[bytes] = Counter()
    for number in range(1, count + 1):
        writer.write(publish(number))
    async with asyncio.timeout(10):
        while confirmed.total() < count:
            confirmed[await reader.readexactly(4)] += 1
    await asyncio.sleep(1.2)  # what is late is late by a second at most
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return confirmed, cable


async def test_doubled_and_late_messages_are_confirmed_once_each(
    far: tuple[int, list[bytes]],
) -> None:
    port, heard = far
    confirmed, cable = await send(Badness(doubled=0.3, late=0.3), port, 100)
    assert set(confirmed.values()) == {1}
    numbers = [packet[5:7] for packet in heard]
    assert len(numbers) == 100 + cable.counts["doubled"] > 110
    assert len(set(numbers)) == 100
    firsts = list(dict.fromkeys(numbers))
    assert firsts != sorted(firsts), "some came after those behind them"


async def test_a_lost_message_is_confirmed_and_the_line_breaks(
    far: tuple[int, list[bytes]],
) -> None:
    port, heard = far
    confirmed, cable = await send(Badness(lost=1.0), port, 1)
    assert confirmed.total() == cable.counts["lost"] == 1
    assert heard == []


# All of it


def test_the_report_says_what_did_not_hold() -> None:
    bad = {"name": "Nothing lost", "is_ok": False, "detail": "2 wrong: a; b"}
    page = report.write(
        command="make chaos",
        seed=1,
        seconds=60,
        week_events=0,
        machine="2 cores",
        version="0",
        day=None,
        clocks=[bad],
        week=None,
    )
    assert "| **NO** | Nothing lost | 2 wrong: a; b |" in page
    assert "It did not come to its end" in page
    assert "A week without the hub" not in page


@pytest.mark.e2e
async def test_a_few_seconds_of_everything_breaking_lose_nothing(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "anlin.sim.chaos", "--home", str(tmp_path / "home")),
        *("--seconds", "6", "--week-events", "300", "--seed", "1"),
        *("--report", str(tmp_path / "chaos.md")),
        env={**os.environ, "ANLIN_SHARED": str(tmp_path / "none")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(RUN_S):
            said = (await process.communicate())[0].decode()
    except TimeoutError:
        process.send_signal(signal.SIGTERM)
        said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    page = (tmp_path / "chaos.md").read_text()
    assert "**NO**" not in page
    assert page.count("| yes |") >= 20
