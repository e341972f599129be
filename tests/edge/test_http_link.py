"""Terminal, link and driver over real HTTP: signatures, decisions, back-fill, table of persons."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anlin.core.access import Evidence, Liveness
from anlin.core.board import Row, Table
from anlin.core.device import (
    Acknowledge,
    Contact,
    ContactLevel,
    Decided,
    Fault,
    HoldTable,
    Online,
    Photo,
    PhotoWanted,
    Read,
    Refused,
    Release,
    Report,
    Secure,
    Show,
    TableState,
)
from anlin.core.entities import Device, Method
from anlin.drivers.base import LinkError
from anlin.drivers.face_terminal import FaceTerminal
from anlin.edge.links import http as module
from anlin.edge.links.http import HttpLink
from anlin.sim import face_terminal as sim
from anlin.sim.face_terminal import Terminal

WAIT_S = 10.0
NOW = datetime.now(UTC)


def jpeg(side: int = 160, light: int = 120) -> bytes:
    noise = np.random.default_rng(7).integers(-20, 20, (side, side))
    out = io.BytesIO()
    Image.fromarray(np.clip(light + noise, 0, 255).astype(np.uint8)).save(out, "JPEG")
    return out.getvalue()


def face(name: str, **more: Any) -> Row:
    id_ = f"{name}-face"
    return Row(id_, name, f"{name}**", Method.FACE, id_, {"gate-in": ()}, **more)


class Edge:
    """What the engine does, as far as a terminal can tell: takes each origin once, decides."""

    def __init__(self, home: Path, port: int, **settings: Any) -> None:
        self.settings = {
            "point": "gate-in",
            "portal": "gate",
            "drives_lock": True,
            "button_point": "gate-out",
            "listen": f"127.0.0.1:{port}",
            "media": str(home / "media"),
            **settings,
        }
        self.home = home
        self.reports: list[Report] = []
        self.events: dict[str, Report] = {}
        """By origin, as the journal keeps them: it outlives `restart`."""
        self.photos: dict[str, bytes] = {}
        self.wanted: list[str] = []
        self.decides = True
        self.acknowledges = True
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Edge:
        self.driver = FaceTerminal(
            Device("gate-8", "东门", "node-1", "face_terminal", self.settings)
        )
        self.link = HttpLink("gate-8", self.settings)
        await self.link.open()
        self._running = asyncio.create_task(self.driver.run(self.link, self._take))
        return self

    async def stop(self) -> None:
        for task in (self._running, *self._tasks):
            task.cancel()
        await asyncio.gather(self._running, *self._tasks, return_exceptions=True)
        await self.link.close()

    @property
    def key(self) -> str:
        return (self.home / "terminals" / "gate-8.key").read_text().strip()

    def of(self, kind: type[Any]) -> list[Any]:
        return [report for report in self.reports if isinstance(report, kind)]

    @property
    def state(self) -> TableState | None:
        states = self.of(TableState)
        return states[-1] if states else None

    @property
    def is_proven(self) -> bool:
        return self.state is not None and self.state.wanted == self.state.held

    async def hold(self, *rows: Row, revision: int = 1) -> None:
        await self.driver.send(self.link, HoldTable("gate-8", Table(revision, rows)))

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        task = asyncio.create_task(self._answer(report))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, report: Report) -> None:
        send, link = self.driver.send, self.link
        if isinstance(report, PhotoWanted):
            self.wanted.append(report.credential)
            await send(link, Photo("gate-8", report.credential, self.photos.get(report.credential)))
        origin = getattr(report, "origin", None)
        if origin is None or not self.acknowledges:
            return
        if origin not in self.events:
            self.events[origin] = report
            if isinstance(report, Read) and self.decides and report.age_s < 10:
                is_granted = report.value == "lin-face"
                if is_granted:
                    await send(link, Release("gate", f"open {origin}", 5.0, "decision"))
                text = "林先生,请进" if is_granted else "未登记"
                await send(link, Show("gate-in", "x", text, text, is_granted=is_granted))
        await send(link, Acknowledge("gate-8", origin))


async def until(is_so: Callable[[], object], wait_s: float = WAIT_S) -> None:
    async with asyncio.timeout(wait_s):
        while not is_so():  # noqa: ASYNC110  the other side has tasks of its own
            await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest_asyncio.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    edge = await Edge(tmp_path, free_port()).start()
    edge.photos = {"lin-face": jpeg(), "wang-face": jpeg(light=100)}
    yield edge
    await edge.stop()


class Plugged:
    """A terminal that runs; `kill` ends it as pulling the power does."""

    def __init__(self, edge: Edge, **habits: Any) -> None:
        url = f"http://{edge.settings['listen']}"
        memory = edge.home / "terminal.json"
        self.terminal = Terminal("gate-8", edge.key, url, memory, **habits)
        self._task = asyncio.create_task(self.terminal.run())

    async def kill(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest_asyncio.fixture
async def plug(edge: Edge) -> AsyncIterator[Callable[..., Plugged]]:
    made: list[Plugged] = []

    def make(**habits: Any) -> Plugged:
        made.append(Plugged(edge, **habits))
        return made[-1]

    yield make
    for each in made:
        await each.kill()


Plug = Callable[..., Plugged]


@pytest_asyncio.fixture
async def terminal(edge: Edge, plug: Plug) -> Terminal:
    """A terminal that knows Lin and Wang."""
    terminal = plug().terminal
    await edge.hold(face("lin"), face("wang"))
    await until(lambda: edge.is_proven and len(terminal.persons) == 2)
    return terminal


# Decisions


async def test_the_decision_comes_with_the_reply(edge: Edge, terminal: Terminal) -> None:
    record = await terminal.see("lin-face", 0.93)
    origin = f"gate-8/{terminal._state['store']}-{record['seq']}"
    read = edge.events[origin]
    assert isinstance(read, Read)
    assert (read.point, read.method, read.value) == ("gate-in", Method.TERMINAL_FACE, "lin-face")
    assert read.evidence == Evidence(score=0.93, threshold=0.6, liveness=Liveness.LIVE)
    assert read.age_s < 2
    assert terminal.opened == [f"open {origin}"]
    assert list(terminal.shown) == list(terminal.said) == ["林先生,请进"]
    assert record not in terminal.records


async def test_a_face_that_is_not_granted_opens_nothing(edge: Edge, terminal: Terminal) -> None:
    await terminal.see("stranger")
    assert edge.of(Read)[-1].value == ""
    await terminal.present("04A1B2C3")
    assert edge.of(Read)[-1].method is Method.CARD
    assert terminal.opened == []
    assert list(terminal.shown) == ["未登记", "未登记"]


async def test_a_picture_before_the_camera_is_told_as_what_it_is(
    edge: Edge, terminal: Terminal
) -> None:
    terminal.liveness = "spoof"
    await terminal.see("lin-face")
    assert edge.of(Read)[-1].evidence.liveness is Liveness.SPOOF


async def test_a_release_without_a_request_comes_by_the_open_poll(
    edge: Edge, terminal: Terminal
) -> None:
    began = time.monotonic()
    await edge.driver.send(edge.link, Release("gate", "remote", 5.0, "operator"))
    await until(lambda: terminal.opened == ["remote"])
    assert time.monotonic() - began < 1.0


async def test_a_release_is_never_stale(
    edge: Edge, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ORDER_LIFE_S", 0.2)
    terminal.is_plugged = False
    await until(lambda: terminal._client is not None)
    await asyncio.sleep(module.POLL_WAIT_S)  # until the poll that is open has ended
    await edge.driver.send(edge.link, Release("gate", "remote", 5.0, "operator"))
    await asyncio.sleep(0.3)  # the life of the order
    terminal.is_plugged = True
    await terminal.see("stranger")
    assert terminal.opened == []


async def test_a_door_that_is_held_open_is_told_in_every_reply(
    edge: Edge, terminal: Terminal
) -> None:
    await edge.driver.send(edge.link, Release("gate", "r", None, "fire"))
    await terminal.see("stranger")
    assert terminal.is_held
    await edge.driver.send(edge.link, Secure("gate"))
    await terminal.see("stranger")
    assert not terminal.is_held


async def test_a_slow_edge_is_not_waited_for(edge: Edge, terminal: Terminal) -> None:
    edge.acknowledges = False
    began = time.monotonic()
    record = await terminal.see("lin-face")
    assert time.monotonic() - began < sim.VERIFY_TIMEOUT_S
    assert terminal.opened == []
    assert record in terminal.records, "kept until the edge has named it"


async def test_inputs_of_the_terminal_are_reported(edge: Edge, terminal: Terminal) -> None:
    terminal.move("open")
    terminal.press()
    terminal.tamper(is_active=True)
    await until(lambda: not terminal.records)
    assert Contact("gate", ContactLevel.OPEN, edge.of(Contact)[-1].origin) in edge.reports
    assert edge.of(Read)[-1].point == "gate-out"


async def test_a_terminal_that_stops_calling_is_offline_and_gets_no_orders(
    edge: Edge, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OFFLINE_AFTER_S", 0.5)
    monkeypatch.setattr(module, "POLL_WAIT_S", 0.1)
    await edge.stop()
    await edge.start()
    terminal = plug().terminal
    await until(lambda: edge.of(Online))
    terminal.is_plugged = False
    await until(lambda: edge.of(Online)[-1] == Online("gate-8", False, "it stopped calling"))
    with pytest.raises(LinkError, match="is offline"):
        await edge.driver.send(edge.link, Release("gate", "late", 5.0, "operator"))
    terminal.is_plugged = True
    await until(lambda: edge.of(Online)[-1].is_online)


# Cut off, and back


async def test_cut_off_it_decides_by_its_own_table_and_tells_later(
    edge: Edge, terminal: Terminal
) -> None:
    terminal.is_plugged = False
    record = await terminal.see("lin-face")
    assert terminal.opened == [f"offline {record['seq']}"]
    await terminal.see("stranger")
    terminal.is_plugged = True
    await until(lambda: not terminal.records)
    first, second = edge.of(Decided)
    assert (first.value, first.is_granted, first.code) == ("lin-face", True, "ok")
    assert (second.value, second.is_granted, second.code) == ("", False, "unknown_person")
    assert len(terminal.opened) == 1


async def test_kill_and_restart_in_back_fill_loses_and_doubles_nothing(
    edge: Edge, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim, "BATCH", 7)
    plugged = plug()
    terminal = plugged.terminal
    await until(lambda: edge.of(Online) and not terminal.records)
    terminal.is_plugged = False
    before = len(edge.events)
    for _ in range(60):
        terminal.press()
    for round_ in range(1, 4):
        terminal.is_plugged = True
        await until(lambda n=round_: len(edge.events) > before + 15 * n)  # type: ignore[misc]
        await plugged.kill()
        await edge.stop()
        await edge.start()
        plugged = plug()
        terminal = plugged.terminal
    await until(lambda: not terminal.records)
    presses = [e for e in edge.events.values() if getattr(e, "point", "") == "gate-out"]
    assert len(presses) == 60
    seqs = [int(origin.rpartition("-")[2]) for origin in edge.events]
    assert sorted(seqs) == list(range(1, len(seqs) + 1))


async def test_a_record_that_makes_no_sense_does_not_stand_in_the_way(
    edge: Edge, terminal: Terminal
) -> None:
    terminal._record(kind="dream")
    terminal._record(kind="contact", level="ajar", words="x" * 20_000)
    terminal.press()
    await until(lambda: not terminal.records)
    assert [refused.origin is not None for refused in edge.of(Refused)] == [True, True]


async def test_cut_off_it_does_not_open_for_who_needs_a_second_factor(
    edge: Edge, plug: Plug
) -> None:
    terminal = plug().terminal
    await edge.hold(face("lin", not_alone=("gate-in",)))
    await until(lambda: edge.is_proven and terminal.persons)
    terminal.is_plugged = False
    record = await terminal.see("lin-face")
    assert (record["opened"], record["code"]) == (False, "needs_more")
    assert terminal.opened == []


async def test_records_that_a_full_memory_lost_are_told(
    edge: Edge, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim, "MAX_KEPT", 10)
    monkeypatch.setattr(sim, "LOST_AT_ONCE", 5)
    await until(lambda: not terminal.records)
    terminal.is_plugged = False
    for _ in range(14):
        terminal.press()
    terminal.is_plugged = True
    await until(lambda: not terminal.records)
    assert {(fault.rule, fault.is_active) for fault in edge.of(Fault)} == {("records_lost", True)}


# The table of persons


async def test_a_revoked_person_is_proven_gone(edge: Edge, terminal: Terminal) -> None:
    await edge.hold(face("wang"), revision=2)
    await until(lambda: edge.is_proven and edge.state is not None and edge.state.revision == 2)
    assert set(terminal.persons) == {"wang-face"}
    terminal.is_plugged = False
    await terminal.see("lin-face")
    assert terminal.opened == []


async def test_while_it_is_away_a_revoked_person_is_not_called_gone(
    edge: Edge, terminal: Terminal
) -> None:
    terminal.is_plugged = False
    states = len(edge.of(TableState))
    await edge.hold(face("wang"), revision=2)
    await asyncio.sleep(0.3)  # nothing may be claimed meanwhile
    assert not any(s.revision == 2 and s.wanted == s.held for s in edge.of(TableState)[states:])
    terminal.is_plugged = True
    await until(lambda: "lin-face" not in terminal.persons and edge.is_proven, 20)


async def test_a_terminal_that_lost_its_memory_gets_everybody_again(
    edge: Edge, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim, "HEARTBEAT_S", 0.1)
    terminal.lose_memory()
    assert terminal.persons == {}
    await until(lambda: len(terminal.persons) == 2, 20)
    await until(lambda: edge.is_proven)


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (jpeg(side=60), "photo_too_small"),
        (jpeg(light=20), "photo_too_dark"),
        (b"\xff\xd8\xff no picture", "not_a_picture"),
        (None, "no photograph may be given to it"),
        (b"\xff\xd8\xff" + b"\0" * 400_000, "the photograph has more than 300000 bytes"),
    ],
)
async def test_a_photograph_that_will_not_do_is_a_task_for_staff(
    edge: Edge, plug: Plug, photo: bytes | None, reason: str
) -> None:
    edge.photos = {"lin-face": jpeg()} | ({"wang-face": photo} if photo else {})
    terminal = plug().terminal
    await edge.hold(face("lin"), face("wang"))
    await until(lambda: edge.state and edge.state.refused == (("wang-face", reason),))
    await until(lambda: edge.is_proven and set(terminal.persons) == {"lin-face"})


async def test_a_photograph_that_may_be_given_no_more_leaves_the_terminal(
    edge: Edge, terminal: Terminal
) -> None:
    assert "photo_mark" in terminal.persons["lin-face"]
    del edge.photos["lin-face"]
    await edge.driver.send(edge.link, Photo("gate-8", "lin-face", None))
    await until(lambda: "lin-face" not in terminal.persons)
    await until(
        lambda: (
            edge.of(TableState)[-1].refused == (("lin-face", "no photograph may be given to it"),)
        )
    )


async def test_a_new_photograph_replaces_the_old_one(edge: Edge, terminal: Terminal) -> None:
    before = terminal.persons["lin-face"]["photo_mark"]
    edge.photos["lin-face"] = jpeg(light=150)
    await edge.driver.send(edge.link, Photo("gate-8", "lin-face", edge.photos["lin-face"]))
    await until(lambda: terminal.persons["lin-face"]["photo_mark"] != before)
    await until(lambda: edge.is_proven)
    assert edge.wanted.count("wang-face") == 1


async def test_more_persons_than_it_has_room_for_is_said(edge: Edge, plug: Plug) -> None:
    await edge.stop()
    edge.settings["capacity"] = 1
    await edge.start()
    plug()
    await edge.hold(face("lin"), face("wang"))
    await until(lambda: edge.state and "room for 1" in edge.state.rule)


async def test_cards_and_ends_of_leases_are_in_the_table(edge: Edge, plug: Plug) -> None:
    terminal = plug().terminal
    ended = Row(
        "wang-card",
        "wang",
        "王**",
        Method.CARD,
        "04A1B2C3",
        {"gate-in": ()},
        valid_until=NOW - timedelta(minutes=1),
    )
    pin = Row("lin-pin", "lin", "林**", Method.PIN, "x", {"gate-in": ()})
    elsewhere = Row("lin-card", "lin", "林**", Method.CARD, "0407", {"hall-in": ()})
    await edge.hold(ended, pin, elsewhere)
    await until(lambda: edge.is_proven and set(terminal.persons) == {"wang-card"})
    assert edge.state is not None
    assert edge.state.refused == (("lin-pin", "a terminal holds faces and cards, no pin"),)
    terminal.is_plugged = False
    record = await terminal.present("04A1B2C3")
    assert (record["opened"], record["code"]) == (False, "not_now")


# Who may call


class Caller:
    """Somebody with a key, right or wrong."""

    def __init__(self, edge: Edge, key: str = "") -> None:
        self.url = f"http://{edge.settings['listen']}"
        self.key = key or edge.key

    def signed(self, what: str, body: bytes, at: float | None = None) -> tuple[str, dict[str, str]]:
        path = f"/terminal/v1/gate-8/{what}"
        at = time.time() if at is None else at
        nonce = f"{time.monotonic_ns():032x}"
        return path, sim.signed(self.key, path, f"{at:.3f}", nonce, body)

    async def call(self, what: str, body: bytes, **more: Any) -> httpx.Response:
        path, headers = self.signed(what, body, **more)
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.post(path, content=body, headers=headers)


VERIFY = {"store": "a1", "seq": 1, "kind": "face", "person": "lin-face", "liveness": "live"}
VERIFY_BODY = json.dumps({**VERIFY, "offline": False, "age_ms": 0}).encode()


async def test_a_wrong_key_is_refused_told_once_and_learns_nothing(edge: Edge) -> None:
    for _ in range(3):
        answer = await Caller(edge, "00" * 32).call("verify", VERIFY_BODY)
        assert answer.status_code == 401
        assert answer.json() == {"error": "the signature does not hold"}
        assert "x-anlin-signature" not in answer.headers
    assert edge.reports == [Refused("gate-8", "somebody calls with a wrong key")]


async def test_an_unknown_terminal_is_answered_like_a_wrong_key(edge: Edge) -> None:
    async with httpx.AsyncClient(base_url=Caller(edge).url) as client:
        path, headers = Caller(edge).signed("poll", b"{}")
        answer = await client.post(path.replace("gate-8", "gate-9"), content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "the signature does not hold"})


async def test_a_replayed_request_is_refused(edge: Edge) -> None:
    path, headers = Caller(edge).signed("verify", VERIFY_BODY)
    async with httpx.AsyncClient(base_url=Caller(edge).url) as client:
        first = await client.post(path, content=VERIFY_BODY, headers=headers)
        again = await client.post(path, content=VERIFY_BODY, headers=headers)
    assert first.json()["orders"][0]["do"] == "release"
    assert (again.status_code, again.json()["error"]) == (401, "this request was sent before")


async def test_a_request_from_before_this_life_is_refused(edge: Edge) -> None:
    path, headers = Caller(edge).signed("verify", VERIFY_BODY)
    await edge.stop()
    await edge.start()
    async with httpx.AsyncClient(base_url=Caller(edge).url) as client:
        answer = await client.post(path, content=VERIFY_BODY, headers=headers)
    assert answer.status_code == 401
    assert edge.events == {}


async def test_a_body_that_was_changed_on_the_way_is_refused(edge: Edge) -> None:
    path, headers = Caller(edge).signed("verify", VERIFY_BODY)
    changed = VERIFY_BODY.replace(b"lin-face", b"wan-face")
    async with httpx.AsyncClient(base_url=Caller(edge).url) as client:
        answer = await client.post(path, content=changed, headers=headers)
    assert answer.status_code == 401


async def test_a_terminal_with_a_wrong_clock_is_put_right_by_a_signed_answer(
    edge: Edge, plug: Plug
) -> None:
    terminal = plug(clock_off_s=-86_400.0).terminal
    await until(lambda: edge.of(Online))
    assert "off" in terminal.refused[0]
    assert abs(terminal._now() - time.time()) < 5


async def test_an_answer_that_the_edge_did_not_sign_opens_nothing(tmp_path: Path) -> None:
    async def fake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        order = {"do": "release", "id": "evil", "ms": 5000, "expires_ms": 3000}
        body = json.dumps({"acked": True, "orders": [order], "time": 0}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(fake, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    terminal = Terminal("gate-8", "00" * 32, url, tmp_path / "t.json")
    running = asyncio.create_task(terminal.run())
    await until(lambda: "nobody signed the answer" in terminal.refused)
    await terminal.see("stranger")
    assert terminal.opened == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    server.close()


# Sizes and waits


@pytest.mark.parametrize("what", sorted(module.MAX_BODY_BYTES))
async def test_a_huge_body_is_refused_before_it_is_read(edge: Edge, what: str) -> None:
    host, port = edge.settings["listen"].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /terminal/v1/gate-8/{what} HTTP/1.1\r\nhost: x\r\n"
        f"content-length: {10**9}\r\n\r\n".encode()
    )
    async with asyncio.timeout(3):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_huge_body_without_a_length_is_cut(edge: Edge) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2000):
            yield b" " * 10_000

    async with httpx.AsyncClient(base_url=Caller(edge).url) as client:
        try:
            answer = await client.post("/terminal/v1/gate-8/verify", content=endless())
        except httpx.HTTPError:
            return  # cut while it was still talking
    assert answer.status_code == 413


async def test_a_slow_body_and_slow_headers_are_cut(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(module, "HEADERS_TIMEOUT_S", 0.2)
    host, port = edge.settings["listen"].split(":")
    slow_body = await asyncio.open_connection(host, int(port))
    slow_body[1].write(b"POST /terminal/v1/gate-8/poll HTTP/1.1\r\nhost: x\r\n")
    slow_body[1].write(b"content-length: 100\r\n\r\n{")
    slow_headers = await asyncio.open_connection(host, int(port))
    slow_headers[1].write(b"POST /terminal")
    async with asyncio.timeout(3):
        assert b" 408 " in await slow_body[0].readline()
        assert await slow_headers[0].read() == b""
    for _, writer in (slow_body, slow_headers):
        writer.close()


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    what=st.sampled_from(sorted(module.MAX_BODY_BYTES)),
    body=st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["store", "seq", "events", "results", "photo", "kind", "id"]),
                    inner,
                    max_size=6,
                )
            ),
            max_leaves=8,
        ).map(lambda data: json.dumps(data).encode()),
    ),
)
def test_garbage_is_answered_and_never_believed(what: str, body: bytes) -> None:
    """Against one edge for each example: no state of an earlier one may help."""

    async def try_it(home: Path) -> None:
        edge = await Edge(home, free_port()).start()
        edge.acknowledges = True
        try:
            answer = await Caller(edge).call(what, body)
            assert answer.status_code in {200, 400}
            answer.json()
            assert not [e for e in edge.reports if isinstance(e, Read | Decided | Contact)]
        finally:
            await edge.stop()

    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "POLL_WAIT_S", 0.01)
        asyncio.run(try_it(Path(home)))


# Listener and key


async def test_terminals_share_a_listener_and_the_last_one_closes_it(tmp_path: Path) -> None:
    port = free_port()
    given = {"point": "p", "listen": f"127.0.0.1:{port}", "media": str(tmp_path / "media")}
    one, other = HttpLink("gate-1", given), HttpLink("gate-2", given)
    await asyncio.gather(one.open(), other.open())
    assert one._listener is other._listener
    await one.close()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await other.close()
    with pytest.raises(OSError, match=str(port)):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        given = {"point": "p", "listen": f"127.0.0.1:{port}", "media": str(tmp_path / "media")}
        with pytest.raises(LinkError, match=rf"127\.0\.0\.1:{port}"):
            await HttpLink("gate-1", given).open()


async def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    given = {"point": "p", "listen": "127.0.0.1:0", "media": str(tmp_path / "media")}
    link = HttpLink("gate-1", given)
    await link.open()
    await link.close()
    key = tmp_path / "terminals" / "gate-1.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    with pytest.raises(LinkError, match="others can read this key"):
        await link.open()
    key.chmod(0o600)
    key.write_text("short")
    with pytest.raises(LinkError, match="no usable key"):
        await link.open()


async def test_the_picture_of_a_verification_is_kept_by_its_content(edge: Edge) -> None:
    body = {**json.loads(VERIFY_BODY), "photo": base64.b64encode(jpeg()).decode()}
    answer = await Caller(edge).call("verify", json.dumps(body).encode())
    assert answer.status_code == 200
    name = edge.of(Read)[0].evidence.picture
    assert (edge.home / "media" / name).read_bytes() == jpeg()


async def test_over_tls_it_works_alike_and_two_certificates_do_not_share_a_port(
    tmp_path: Path,
) -> None:
    _certificate(tmp_path)
    port = free_port()
    edge = await Edge(tmp_path, port, tls_cert="terminal.pem", tls_key="terminal.key").start()
    terminal = Terminal("gate-8", edge.key, f"https://127.0.0.1:{port}", tmp_path / "t.json")
    running = asyncio.create_task(terminal.run())
    try:
        await until(lambda: edge.of(Online))
        other = {"point": "p", "listen": f"127.0.0.1:{port}", "media": str(tmp_path / "media")}
        with pytest.raises(LinkError, match="other TLS files"):
            await HttpLink("gate-9", other).open()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await edge.stop()


async def test_tls_files_that_are_missing_are_said(tmp_path: Path) -> None:
    edge = Edge(tmp_path, free_port(), tls_cert="terminal.pem", tls_key="terminal.key")
    with pytest.raises(LinkError, match="No such file"):
        await HttpLink("gate-8", edge.settings).open()


def _certificate(home: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (home / "terminal.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    (home / "terminal.key").write_bytes(pem)
