"""Driver and link against a module that serves Modbus TCP for real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from anlin.core.device import (
    AskLevels,
    Contact,
    ContactLevel,
    Loop,
    LoopPlace,
    Online,
    Read,
    Release,
    Report,
    Secure,
)
from anlin.core.entities import Device, Method
from anlin.drivers.base import LinkError
from anlin.drivers.modbus import Modbus
from anlin.edge.links import modbus as module
from anlin.edge.links.modbus import ModbusLink
from anlin.sim.modbus_board import FLASH_AT, Board

CONTACT, BUTTON, UNDER, DOWN = 0, 1, 2, 3
LOCK, RAISE, LOWER, MAGNET = 0, 1, 2, 3
INPUTS = {
    "0": {"kind": "contact", "portal": "gate"},
    "1": {"kind": "exit_button", "point": "gate-out"},
    "2": {"kind": "under_loop", "portal": "barrier"},
    "3": {"kind": "arm_down", "portal": "barrier"},
}
OUTPUTS = {
    "gate": {"coil": LOCK},
    "barrier": {"coil": RAISE, "lower_coil": LOWER, "pulse_ms": 100},
    "hall": {"coil": MAGNET, "is_fail_safe": True},
}
WAIT_S = 8.0


class Kit:
    """A module, its link and its driver."""

    def __init__(self, board: Board, port: int, **settings: Any) -> None:
        given = {"address": f"127.0.0.1:{port}", "poll_ms": 20, "media": "m"}
        given |= {"inputs": INPUTS, "outputs": OUTPUTS, **settings}
        self.board, self.port = board, port
        self.driver = Modbus(Device("gate-5", "东门", "node-1", "modbus", given))
        self.link = ModbusLink("gate-5", given)
        self.reports: list[Report] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> Kit:
        await self.link.open()
        self._task = asyncio.create_task(self.driver.run(self.link, self.reports.append))
        return self

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.link.close()

    async def until(self, is_so: Callable[[], object], wait_s: float = WAIT_S) -> None:
        async with asyncio.timeout(wait_s):
            while not is_so():  # noqa: ASYNC110  the board and the link have tasks of their own
                await asyncio.sleep(0.005)

    async def online(self) -> None:
        await self.until(lambda: Online("gate-5", True, "answers") in self.reports)

    async def polls(self, count: int) -> None:
        after = self.board.reads + count
        await self.until(lambda: self.board.reads >= after)

    @property
    def presses(self) -> list[Report]:
        return [report for report in self.reports if isinstance(report, Read)]


Make = Callable[..., Any]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    kits: list[Kit] = []

    async def build(board: Board | None = None, **settings: Any) -> Kit:
        board = board or Board()
        kit = Kit(board, await board.start(), **settings)
        kits.append(kit)
        return await kit.start()

    yield build
    for kit in kits:
        await kit.stop()
        await kit.board.stop()


@pytest_asyncio.fixture
async def kit(make: Make) -> Kit:
    kit: Kit = await make()
    await kit.online()
    return kit


# Inputs


async def test_levels_come_at_connect_on_change_and_when_asked(kit: Kit) -> None:
    is_open = Contact("gate", ContactLevel.OPEN)
    await kit.until(lambda: kit.reports.count(is_open) == 1)
    kit.board.inputs[CONTACT] = True
    await kit.until(lambda: Contact("gate", ContactLevel.CLOSED) in kit.reports)
    await kit.polls(5)
    assert kit.reports.count(Contact("gate", ContactLevel.CLOSED)) == 1
    await kit.driver.send(kit.link, AskLevels("gate-5"))
    await kit.until(lambda: kit.reports.count(Contact("gate", ContactLevel.CLOSED)) == 2)


async def test_levels_come_again_by_themselves(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEVELS_EVERY_S", 0.1)
    kit: Kit = await make()
    await kit.until(lambda: kit.reports.count(Loop("barrier", False, place=LoopPlace.UNDER)) >= 3)


async def test_a_button_is_one_press_however_long_it_is_held(kit: Kit) -> None:
    kit.board.inputs[BUTTON] = True
    await kit.until(lambda: kit.presses)
    await kit.polls(5)
    kit.board.inputs[BUTTON] = False
    await kit.polls(2)
    kit.board.inputs[BUTTON] = True
    await kit.until(lambda: len(kit.presses) == 2)
    assert kit.presses[0] == Read("gate-out", Method.EXIT_BUTTON, "1")


async def test_a_button_that_is_stuck_when_we_connect_is_no_press(make: Make) -> None:
    board = Board()
    board.inputs[BUTTON] = True
    kit: Kit = await make(board)
    await kit.online()
    await kit.polls(5)
    assert kit.presses == []


# Coils


async def test_a_release_is_a_pulse_and_its_id_is_obeyed_once(kit: Kit) -> None:
    release = Release("gate", "r1", 0.2, "decision")
    await kit.driver.send(kit.link, release)
    await kit.driver.send(kit.link, release)
    assert kit.board.coils[LOCK]
    await kit.until(lambda: not kit.board.coils[LOCK])
    (on, _, _), (off, _, _) = [move for move in kit.board.moves if move[1] == LOCK]
    assert 0.15 < off - on < 0.8


async def test_a_later_release_goes_on_where_the_first_would_end(kit: Kit) -> None:
    await kit.driver.send(kit.link, Release("gate", "r1", 0.2, "decision"))
    await kit.driver.send(kit.link, Release("gate", "r2", 0.5, "decision"))
    await kit.until(lambda: not kit.board.coils[LOCK])
    (on, _, _), (off, _, _) = [move for move in kit.board.moves if move[1] == LOCK]
    assert off - on > 0.45


async def test_a_module_with_a_pulse_register_counts_the_time_itself(make: Make) -> None:
    outputs = {"gate": {"coil": LOCK, "pulse_register": FLASH_AT + LOCK}}
    kit: Kit = await make(outputs=outputs)
    await kit.online()
    await kit.driver.send(kit.link, Release("gate", "r1", 0.3, "decision"))
    assert kit.board.coils[LOCK]
    await kit.stop()
    await kit.until(lambda: not kit.board.coils[LOCK])


async def test_held_until_secured(kit: Kit) -> None:
    await kit.driver.send(kit.link, Release("gate", "r1", None, "fire"))
    await kit.polls(10)
    assert kit.board.coils[LOCK]
    await kit.driver.send(kit.link, Secure("gate"))
    assert not kit.board.coils[LOCK]


async def test_a_release_does_not_end_what_holds_the_door(kit: Kit) -> None:
    await kit.driver.send(kit.link, Release("gate", "r1", None, "fire"))
    await kit.driver.send(kit.link, Release("gate", "r2", 0.05, "decision"))
    await kit.polls(10)
    assert kit.board.coils[LOCK]


async def test_a_relay_that_confirms_and_does_not_move_is_told(kit: Kit) -> None:
    kit.board.stuck.add(LOCK)
    with pytest.raises(LinkError, match="coil 0 was written and did not move"):
        await kit.driver.send(kit.link, Release("gate", "r1", 1.0, "decision"))


async def test_an_order_to_a_coil_that_the_module_has_not_is_told(make: Make) -> None:
    kit: Kit = await make(outputs={"gate": {"coil": 99}})
    await kit.online()
    with pytest.raises(LinkError, match="exception code 2"):
        await kit.driver.send(kit.link, Release("gate", "r1", 1.0, "decision"))


# Barriers


async def test_an_arm_is_raised_and_lowered_by_different_coils(kit: Kit) -> None:
    await kit.driver.send(kit.link, Release("barrier", "r1", 5.0, "decision"))
    await kit.until(lambda: [m[1:] for m in kit.board.moves] == [(RAISE, True), (RAISE, False)])
    await kit.driver.send(kit.link, Secure("barrier"))
    await kit.until(lambda: [m[1:] for m in kit.board.moves[2:]] == [(LOWER, True), (LOWER, False)])


async def test_an_arm_does_not_come_down_onto_a_car(kit: Kit) -> None:
    kit.board.inputs[UNDER] = True
    with pytest.raises(LinkError, match="a vehicle is under the arm"):
        await kit.driver.send(kit.link, Secure("barrier"))
    assert not any(coil == LOWER for _, coil, _ in kit.board.moves)


async def test_an_arm_that_is_down_is_left_alone(kit: Kit) -> None:
    kit.board.inputs[DOWN] = True
    await kit.driver.send(kit.link, Secure("barrier"))
    await kit.polls(5)
    assert not any(coil == LOWER for _, coil, _ in kit.board.moves)


# What a crash or a cable leaves behind


async def test_what_an_earlier_life_left_on_is_shut(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.05)
    board = Board()
    board.coils[LOCK] = board.coils[LOWER] = True
    kit: Kit = await make(board)
    await kit.until(lambda: board.coils[:4] == [False, False, False, True])
    assert kit.board.coils[MAGNET], "a fail-safe lock is shut while its coil is on"


async def test_a_door_that_fire_holds_does_not_blink_shut_when_the_edge_starts(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    board = Board()
    board.coils[LOCK] = True
    kit: Kit = await make(board)
    await kit.online()
    await kit.driver.send(kit.link, Release("gate", "r1", None, "fire"))
    await kit.until(lambda: board.coils[MAGNET])
    assert not any(coil == LOCK for _, coil, _ in board.moves)


async def test_an_orderly_end_leaves_no_pulse_behind(kit: Kit) -> None:
    await kit.driver.send(kit.link, Release("gate", "r1", 60.0, "decision"))
    await kit.stop()
    assert not kit.board.coils[LOCK]


async def test_a_lost_connection_is_told_within_a_second_and_comes_back(kit: Kit) -> None:
    await kit.driver.send(kit.link, Release("gate", "r1", None, "fire"))
    began = time.monotonic()
    await kit.board.stop()
    await kit.until(lambda: not _states(kit)[-1].is_online, 1.0)
    assert time.monotonic() - began < 1.0
    with pytest.raises(LinkError, match="not connected"):
        await kit.driver.send(kit.link, Release("hall", "r2", 1.0, "decision"))
    kit.board.coils[LOCK] = False  # its power was off, too
    await kit.board.start(port=kit.port)
    await kit.until(lambda: _states(kit)[-1].is_online)
    await kit.until(lambda: kit.board.coils[LOCK])


async def test_a_module_that_stops_answering_is_told_within_a_second(kit: Kit) -> None:
    kit.board.answer_after_s = 30
    await kit.until(lambda: not _states(kit)[-1].is_online, 1.2)
    kit.board.answer_after_s = 0
    await kit.until(lambda: _states(kit)[-1].is_online)


async def test_a_pulse_that_outlives_the_connection_is_ended_by_the_next(kit: Kit) -> None:
    await kit.driver.send(kit.link, Release("gate", "r1", 0.3, "decision"))
    await kit.board.stop()
    await asyncio.sleep(0.4)  # the time of the pulse itself
    assert kit.board.coils[LOCK]
    await kit.board.start(port=kit.port)
    await kit.until(lambda: not kit.board.coils[LOCK])


async def test_a_module_that_was_never_there_is_said_to_be_offline(make: Make) -> None:
    board = Board()
    port = await board.start()
    await board.stop()
    kit = await Kit(board, port).start()
    try:
        await kit.until(lambda: _states(kit))
        assert not _states(kit)[0].is_online
        assert f"127.0.0.1:{port}" in _states(kit)[0].detail
    finally:
        await kit.stop()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 300,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x01\x00\x00\x00\x04\x01\x02\x01\x00",  # an answer to another question
        b"\x00\x01\x00\x00\x00\x03\x01\x02\x00",  # no bits at all
        b"\x00\x01\x00\x00\xff\xff\x01\x02\x01\x00",  # longer than it says it is
        b"",
    ],
)
async def test_garbage_is_silence_and_never_a_level(garbage: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(300):
            writer.write(garbage)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    inputs = {str(n): {"kind": "contact", "portal": f"gate-{n}"} for n in (0, 40)}
    kit = await Kit(Board(), port, inputs=inputs, outputs={}).start()
    try:
        await kit.until(lambda: _states(kit), 3)
        assert kit.reports == [_states(kit)[0]]
        assert not _states(kit)[0].is_online
    finally:
        await kit.stop()
        server.close()


def _states(kit: Kit) -> list[Online]:
    return [report for report in kit.reports if isinstance(report, Online)]
