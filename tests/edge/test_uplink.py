"""Outbox and down-stream against a hub on a real socket that refuses, forgets or stalls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from anlin.core import sync
from anlin.core.event import Draft, EventKind
from anlin.core.policy import Delta
from anlin.edge import uplink
from anlin.edge.journal import Journal
from anlin.edge.uplink import Downstream, HubError, Outbox, enrol
from anlin.testing.broker import free_port
from anlin.testing.clock import MORNING
from anlin.testing.hub import TOKEN, Answer, FakeHub, running_hub


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with running_hub() as hub:
        yield hub


@dataclass
class Edge:
    journal: Journal
    outbox: Outbox
    media: Path

    def add(self, count: int) -> None:
        for _ in range(count):
            self.journal.submit([Draft(EventKind.TAMPER, "gate-1", MORNING)]).result(5)


def make(home: Path, address: str, token: str = TOKEN) -> Edge:
    media = home / "media"
    media.mkdir(exist_ok=True)
    journal = Journal(home / "journal.sqlite3", "node-1", ballast=0)
    return Edge(journal, Outbox(address, token, journal, media, lambda: 7), media)


@pytest_asyncio.fixture
async def edge(hub: FakeHub, tmp_path: Path) -> AsyncIterator[Edge]:
    edge = make(tmp_path, hub.address)
    yield edge
    await edge.outbox.close()
    edge.journal.close()


async def test_events_arrive_in_order_and_once(
    hub: FakeHub, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "MAX_BATCH_EVENTS", 10)
    edge.add(25)
    while await edge.outbox.step():
        pass
    assert hub.batches == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]
    assert edge.journal.acked == 25
    assert not await edge.outbox.step()
    sent = [event.hash for event in edge.journal.read(0, 100)]
    assert [event["hash"] for event in hub.events.values()] == sent


async def test_it_resumes_after_a_restart(hub: FakeHub, tmp_path: Path) -> None:
    first = make(tmp_path, hub.address)
    first.add(3)
    await first.outbox.step()
    first.add(2)
    await first.outbox.close()
    first.journal.close()
    second = make(tmp_path, hub.address)
    await second.outbox.step()
    assert hub.batches == [[1, 2, 3], [4, 5]]
    await second.outbox.close()
    second.journal.close()


async def test_what_was_committed_and_not_answered_is_sent_again(hub: FakeHub, edge: Edge) -> None:
    edge.add(2)
    hub.instead = [Answer(503, b"")]
    with pytest.raises(HubError, match="hub refused events from 1: 503"):
        await edge.outbox.step()
    assert edge.journal.acked == 0
    assert await edge.outbox.step()
    assert (edge.journal.acked, hub.seq) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (Answer(401, {"error": "token: unknown"}), "401 token: unknown"),
        (Answer(400, {"error": "Batch.node: wrong"}), "400 Batch.node: wrong"),
        (Answer(500, b"<html>oops</html>"), "500 <html>oops"),
        (Answer(302, b""), "302"),
        (Answer(409, {"error": "gap"}), "409 gap"),
        (Answer(409, {"error": "gap", "expected": "soon"}), "409 gap"),
        (Answer(409, {"error": "gap", "expected": 1}), "409 gap"),
        (Answer(409, {"error": "gap", "expected": -4}), "409 gap"),
        (Answer(409, [1]), "409"),
        (Answer(200, b""), "strangely"),
        (Answer(200, b"{}"), "strangely: Committed.seq: missing"),
        (Answer(200, {"seq": "five"}), "strangely: Committed.seq: expected int"),
        (Answer(200, {"seq": True}), "strangely"),
        (Answer(200, [1, 2]), "strangely"),
        (Answer(200, b"\xff\xfe"), "strangely"),
        (Answer(200, {"seq": 0}), "committed nothing after 0"),
        (Answer(200, {"seq": -5}), "committed nothing after 0"),
    ],
)
async def test_a_hub_that_refuses_or_rambles_moves_nothing(
    hub: FakeHub, edge: Edge, answer: Answer, rule: str
) -> None:
    edge.add(2)
    hub.instead = [answer]
    with pytest.raises(HubError, match=rule.replace("[", r"\[")) as caught:
        await edge.outbox.step()
    assert len(str(caught.value)) < 400
    assert TOKEN not in str(caught.value)
    assert edge.journal.acked == 0
    assert await edge.outbox.step()
    assert edge.journal.acked == 2


async def test_a_hub_that_claims_more_than_was_sent_is_not_believed(
    hub: FakeHub, edge: Edge
) -> None:
    edge.add(2)
    hub.instead = [Answer(200, {"seq": 99, "refused": [{"seq": 1, "rule": "too long"}]})]
    assert await edge.outbox.step()
    assert edge.journal.acked == 2


async def test_a_hub_restored_from_a_backup_is_sent_what_it_lost(hub: FakeHub, edge: Edge) -> None:
    edge.add(6)
    await edge.outbox.step()
    for seq in (4, 5, 6):
        del hub.events[seq]
    edge.add(1)
    while await edge.outbox.step():
        pass
    assert hub.batches == [[1, 2, 3, 4, 5, 6], [7], [4, 5, 6, 7]]
    assert edge.journal.acked == 7


async def test_a_slow_hub_is_waited_for_so_long_and_no_longer(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "REQUEST_TIMEOUT_S", 0.3)
    edge = make(tmp_path, hub.address)
    edge.add(1)
    hub.instead = [Answer(200, {"seq": 1}, delay_s=0.1), Answer(200, {"seq": 1}, delay_s=30)]
    assert await edge.outbox.step()
    edge.add(1)
    with pytest.raises(httpx.TimeoutException):
        await edge.outbox.step()
    assert edge.journal.acked == 1
    await edge.outbox.close()
    edge.journal.close()


async def test_nobody_there_is_an_error_to_try_again_after(tmp_path: Path) -> None:
    port = free_port()
    edge = make(tmp_path, f"http://127.0.0.1:{port}")
    edge.add(1)
    with pytest.raises(httpx.ConnectError):
        await edge.outbox.step()
    with running_hub(port) as hub:
        assert await edge.outbox.step()
        assert hub.seq == 1
    await edge.outbox.close()
    edge.journal.close()


async def test_a_wrong_token_is_said(hub: FakeHub, tmp_path: Path) -> None:
    edge = make(tmp_path, hub.address, "another")
    edge.add(1)
    with pytest.raises(HubError, match="401 token: not of an enrolled node"):
        await edge.outbox.step()
    await edge.outbox.close()
    edge.journal.close()


# Pictures


async def test_pictures_follow_and_are_let_go_when_they_are_kept(hub: FakeHub, edge: Edge) -> None:
    for number in range(3):
        (edge.media / f"{number}.jpg").write_bytes(b"jpeg %d" % number)
    (edge.media / "half-written.part").write_bytes(b"")
    assert await edge.outbox.step()
    assert hub.pictures == {f"{number}.jpg": b"jpeg %d" % number for number in range(3)}
    assert [path.name for path in edge.media.iterdir()] == ["half-written.part"]


async def test_a_picture_that_the_hub_will_never_take_is_let_go(hub: FakeHub, edge: Edge) -> None:
    (edge.media / "a.jpg").write_bytes(b"not a picture")
    hub.instead = [Answer(422, {"error": "picture a: not a JPEG"})]
    await edge.outbox.step()
    assert list(edge.media.iterdir()) == []
    assert hub.pictures == {}


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_picture_that_can_not_be_taken_now_is_kept_and_holds_no_event_up(
    hub: FakeHub, edge: Edge, status: int
) -> None:
    (edge.media / "a.jpg").write_bytes(b"jpeg")
    edge.add(1)
    hub.instead = [Answer(200, {"seq": 1}), Answer(status, {"error": "later"})]
    with pytest.raises(HubError, match=f"hub refused a picture: {status} later"):
        await edge.outbox.step()
    assert edge.journal.acked == 1
    assert await edge.outbox.step()
    assert "a.jpg" in hub.pictures


# The down-stream

BEAT = sync.Beat(MORNING, 7)
DELTA = Delta(7, 8)
COMMAND = sync.Command(
    1, "c1", sync.CommandKind.RELEASE, "gate", "guo", MORNING, MORNING + timedelta(seconds=10)
)


async def test_messages_come_in_order_until_the_stream_ends(hub: FakeHub) -> None:
    heard: list[sync.Down] = []
    down = Downstream(hub.address, TOKEN)
    hub.send_line(b"\n")
    hub.send_down(BEAT, DELTA, COMMAND)
    hub.end_down()
    await down.follow(7, 3, heard.append)
    assert heard == [BEAT, DELTA, COMMAND]
    assert hub.asked == ["/sync/v1/down?after=7&command=3"]
    await down.close()


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish\n",
        b"[1]\n",
        b'{"type":"dragon"}\n',
        b'{"type":"beat"}\n',
        b'{"type":"beat","at":"yesterday","revision":1}\n',
        b'{"type":{"a":1}}\n',
        b"\xff\xfe\n",
        json.dumps({"type": "delta", "after": 1, "upto": "2"}).encode() + b"\n",
    ],
)
async def test_a_message_that_makes_no_sense_ends_the_stream_by_name(
    hub: FakeHub, line: bytes
) -> None:
    heard: list[sync.Down] = []
    down = Downstream(hub.address, TOKEN)
    hub.send_down(BEAT)
    hub.send_line(line)
    hub.end_down()
    with pytest.raises(HubError, match="down-stream: "):
        await down.follow(0, 0, heard.append)
    assert heard == [BEAT]
    await down.close()


async def test_a_refused_stream_says_why(hub: FakeHub) -> None:
    down = Downstream(hub.address, "another")
    with pytest.raises(HubError, match="hub refused the down-stream: 401 token"):
        await down.follow(0, 0, lambda _: None)
    await down.close()


async def test_a_stream_without_beats_is_dead(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "BEAT_S", 0.05)
    down = Downstream(hub.address, TOKEN)
    hub.send_down(BEAT)
    with pytest.raises(httpx.ReadTimeout):
        await asyncio.wait_for(down.follow(0, 0, lambda _: None), 5)
    await down.close()


# Enrolment


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (Answer(403, {"error": "code: used before"}), "refused to enrol this node: 403 code: used"),
        (Answer(200, {"node": "n"}), "strangely: Enrolled"),
        (Answer(200, b"<html>"), "strangely"),
    ],
)
async def test_a_refused_enrolment_says_why(hub: FakeHub, answer: Answer, rule: str) -> None:
    hub.instead = [answer]
    with pytest.raises(HubError, match=rule):
        await enrol(hub.address, sync.Enrol("CODE", "key", (1,), "0"))


async def test_an_enrolment(hub: FakeHub) -> None:
    body: dict[str, Any] = {
        "node": "n",
        "name": "东门",
        "community": "c",
        "token": "t",
        "version": 1,
    }
    hub.instead = [Answer(200, body)]
    assert await enrol(hub.address, sync.Enrol("CODE", "key", (1,), "0")) == sync.Enrolled(**body)
