"""What a terminal's records mean, and how its table is written and read back."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from anlin.core.board import Row, Table
from anlin.core.device import HoldTable, Online, Photo, PhotoWanted, Read, Refused, TableState
from anlin.core.entities import Device, Method
from anlin.core.schedule import Period, Schedule
from anlin.drivers import _table
from anlin.drivers.base import LinkError
from anlin.drivers.face_terminal import MAX_AGE_MS, WAITING, FaceTerminal
from anlin.testing.link import FakeLink

SETTINGS = {"point": "gate-in", "portal": "gate", "listen": "127.0.0.1:8090", "media": "m"}
FACE = {"store": "a1", "seq": 1, "kind": "face", "person": "lin-face", "offline": False}


def terminal(**settings: Any) -> FaceTerminal:
    return FaceTerminal(Device("gate-8", "东门", "node-1", "face_terminal", SETTINGS | settings))


def record(**fields: Any) -> bytes:
    return json.dumps(FACE | {"age_ms": 0} | fields).encode()


def face(name: str, **more: Any) -> Row:
    id_ = f"{name}-face"
    return Row(id_, name, f"{name}**", Method.FACE, id_, {"gate-in": ()}, **more)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"age_ms": -1}, "age_ms"),
        ({"age_ms": MAX_AGE_MS + 1}, "age_ms"),
        ({"score": 91}, "score"),
        ({"score": float("nan")}, "score"),
        ({"score": True}, "score"),
        ({"liveness": "maybe"}, "liveness"),
        ({"liveness": ["live"]}, "liveness"),
        ({"offline": None}, "offline"),
        ({"offline": True}, "opened"),
        ({"offline": True, "opened": True}, "code"),
        ({"person": "x" * 65}, "person"),
        ({"person": "a\u0000"}, "person"),
        ({"kind": "dream"}, "kind"),
        ({"kind": ["face"]}, "kind"),
        ({"kind": "button"}, "button_point"),
    ],
)
def test_a_record_that_breaks_the_profile_is_refused_under_its_number(
    fields: dict[str, Any], rule: str
) -> None:
    refused = terminal().decode("record", record(**fields))
    assert isinstance(refused, Refused)
    assert rule in refused.rule
    assert refused.origin == "gate-8/a1-1"


@pytest.mark.parametrize(
    ("now_ms", "at_ms", "age_s"), [(9_000, 8_500, 0.5), (0, 0, 0.0), (8_500, 9_000, None)]
)
def test_without_a_counter_two_readings_of_its_clock_give_the_age(
    now_ms: int, at_ms: int, age_s: float | None
) -> None:
    told = json.dumps(FACE | {"now_ms": now_ms, "at_ms": at_ms}).encode()
    report = terminal().decode("record", told)
    if age_s is None:
        assert isinstance(report, Refused)
    else:
        assert isinstance(report, Read)
        assert report.age_s == age_s


# The table


class Memory(FakeLink):
    """A terminal's memory behind the link: answers as the profile says, or as a test makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.persons: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.keeps_deleted = False
        self.spoil: Callable[[str, Any], Any] = lambda _, answer: answer

    async def ask(self, address: str, payload: bytes) -> bytes:
        if not self.is_up:
            raise LinkError("fake link is down")
        task = json.loads(payload)
        self.asked.append(address)
        answer: dict[str, Any]
        match address:
            case "persons":
                keys = sorted(key for key in self.persons if key > task["after"])
                answer = {"persons": [self.persons[key] for key in keys[: task["limit"]]]}
            case "person":
                answer = {"person": self.persons.get(task["key"])}
            case "add":
                person = {k: v for k, v in task["person"].items() if k != "photo"}
                self.persons[person["key"]] = person
                answer = {"accepted": True}
            case _:
                if not self.keeps_deleted:
                    self.persons.pop(task["key"], None)
                answer = {"accepted": True}
        return json.dumps(self.spoil(address, answer)).encode()


class Kit:
    def __init__(self) -> None:
        self.driver, self.memory = terminal(), Memory()
        self.reports: list[Any] = []
        self.photos: dict[str, bytes] = {}
        self.late: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.running = asyncio.create_task(self.driver.run(self.memory, self.take))

    def take(self, report: Any) -> None:
        self.reports.append(report)
        if isinstance(report, PhotoWanted) and report.credential not in self.late:
            photo = Photo("gate-8", report.credential, self.photos.get(report.credential))
            task = asyncio.create_task(self.driver.send(self.memory, photo))
            self._tasks.add(task)

    async def hold(self, *rows: Row, **more: Any) -> None:
        await self.driver.send(self.memory, HoldTable("gate-8", Table(1, rows, **more)))

    @property
    def states(self) -> list[TableState]:
        return [report for report in self.reports if isinstance(report, TableState)]

    @property
    def is_proven(self) -> bool:
        return bool(self.states) and self.states[-1].wanted == self.states[-1].held

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not is_so():  # noqa: ASYNC110  the keeper has a task of its own
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


@pytest.fixture
async def kit(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_table, "FIRST_RETRY_S", 0.01)
    kit = Kit()
    kit.photos = {f"{name}-face": name.encode() for name in ("lin", "wang")}
    yield kit
    await kit.stop()


async def test_schedules_and_whole_seconds_never_admit_longer(kit: Kit) -> None:
    night = Schedule("night", "Asia/Shanghai", (Period(1320, 360),))
    row = Row(
        "lin-card",
        "lin",
        "林**",
        Method.CARD,
        "04A1",
        {"gate-in": ("night",)},
        datetime(2026, 1, 1, 0, 0, 0, 500_000, UTC),
        datetime(2026, 2, 1, 0, 0, 0, 500_000, UTC),
    )
    await kit.hold(row, schedules={"night": night})
    await kit.until(lambda: kit.is_proven)
    person = kit.memory.persons["lin-card"]
    assert person["valid_from"] == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC).timestamp()
    assert person["valid_until"] == datetime(2026, 2, 1, tzinfo=UTC).timestamp()
    assert [json.loads(text)["id"] for text in person["schedules"]] == ["night"]


async def test_somebody_the_terminal_does_not_let_go_of_stays_visible(kit: Kit) -> None:
    await kit.hold(face("lin"), face("wang"))
    await kit.until(lambda: kit.is_proven)
    kit.memory.keeps_deleted = True
    await kit.hold(face("wang"))
    await kit.until(lambda: kit.states[-1].surplus == 1)
    assert not kit.is_proven
    kit.memory.keeps_deleted = False
    await kit.until(lambda: kit.is_proven)
    assert set(kit.memory.persons) == {"wang-face"}


async def test_somebody_that_a_stranger_put_in_is_found_and_deleted(kit: Kit) -> None:
    await kit.hold(face("lin"))
    await kit.until(lambda: kit.is_proven)
    kit.memory.persons["intruder"] = {**kit.memory.persons["lin-face"], "key": "intruder"}
    heartbeat = b'{"store":"a1","persons":2}'
    kit.memory.say("heartbeat", heartbeat)
    await kit.until(lambda: "intruder" not in kit.memory.persons)
    assert Online("gate-8", True, "heartbeat") in kit.reports


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"persons": None},
        {"persons": [5]},
        {"persons": [{"key": ""}]},
        {"persons": [{"key": "a", "valid_from": -1, "valid_until": 0, "schedules": []}]},
        {
            "persons": [
                {"key": "a", "valid_from": 0, "valid_until": 0, "schedules": [5], "alone": True}
            ]
        },
        {
            "persons": [
                {"key": "a", "valid_from": 0, "valid_until": 0, "schedules": [], "alone": True}
            ]
            * 300
        },
        [],
    ],
)
async def test_a_strange_answer_proves_nothing(kit: Kit, answer: Any) -> None:
    kit.memory.spoil = lambda address, given: answer if address == "persons" else given
    await kit.hold(face("lin"))
    await kit.until(lambda: kit.memory.asked.count("persons") >= 3)
    assert not kit.is_proven
    kit.memory.spoil = lambda _, given: given
    await kit.until(lambda: kit.is_proven)


async def test_a_person_neither_taken_nor_refused_is_tried_again(kit: Kit) -> None:
    kit.memory.spoil = lambda address, given: {} if address == "add" else given
    await kit.hold(face("lin"))
    await kit.until(lambda: kit.memory.asked.count("add") >= 2)
    assert all(state.refused == () for state in kit.states)


async def test_many_persons_are_read_page_by_page(kit: Kit) -> None:
    rows = [
        Row(f"card-{n:04}", "lin", "林**", Method.CARD, f"{n:08X}", {"gate-in": ()})
        for n in range(450)
    ]
    await kit.hold(*rows)
    await kit.until(lambda: kit.is_proven)
    assert len(kit.memory.persons) == 450
    asked = kit.memory.asked.count("persons")
    kit.memory.say("heartbeat", b'{"store":"other","persons":450}')
    kit.memory.say("heartbeat", b'{"store":"new","persons":450}')
    await kit.until(lambda: kit.memory.asked.count("persons") >= asked + 3)


async def test_a_photograph_that_comes_late_holds_up_nobody_else(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anlin.drivers.face_terminal.PHOTO_WAIT_S", 0.02)
    kit.late.add("lin-face")
    await kit.hold(face("lin"), face("wang"))
    await kit.until(lambda: kit.is_proven)
    assert set(kit.memory.persons) == {"wang-face"}
    assert kit.states[-1].refused == (("lin-face", WAITING),)
    kit.late.clear()
    await kit.driver.send(kit.memory, Photo("gate-8", "lin-face", kit.photos["lin-face"]))
    await kit.until(lambda: kit.is_proven and len(kit.memory.persons) == 2)
    assert kit.states[-1].refused == ()


async def test_a_photograph_that_is_replaced_while_it_is_asked_for_is_taken_in_the_end(
    kit: Kit,
) -> None:
    await kit.hold(face("lin"))
    await kit.until(lambda: kit.is_proven)
    kit.photos["lin-face"] = b"newest"
    await kit.driver.send(kit.memory, Photo("gate-8", "lin-face", b"newer"))
    newest = hashlib.sha256(b"newest").hexdigest()[:16]
    await kit.until(
        lambda: kit.is_proven and kit.memory.persons["lin-face"]["photo_mark"] == newest
    )


async def test_a_face_whose_photograph_may_be_given_no_more_is_taken_out(kit: Kit) -> None:
    await kit.hold(face("lin"), face("wang"))
    await kit.until(lambda: kit.is_proven)
    del kit.photos["lin-face"]
    await kit.driver.send(kit.memory, Photo("gate-8", "lin-face", None))
    await kit.until(lambda: kit.is_proven and set(kit.memory.persons) == {"wang-face"})
    assert kit.states[-1].refused == (("lin-face", "no photograph may be given to it"),)
