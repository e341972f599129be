"""Link, driver and the package's own client against a board that speaks real packets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from uhppoted import uhppote_async
from uhppoted.errors import CardDeleted, CardNotFound, EventNotFound, EventOverwritten

from anlin.core.board import Row, Table
from anlin.core.device import (
    Acknowledge,
    AskLevels,
    Contact,
    ContactLevel,
    Decided,
    Fault,
    FireInput,
    HoldTable,
    Online,
    Release,
    Report,
    Secure,
    TableState,
)
from anlin.core.entities import Device, Method
from anlin.core.schedule import Period, Schedule
from anlin.drivers import _table
from anlin.drivers import _uhppote_doors as doors_module
from anlin.drivers.base import LinkError
from anlin.drivers.uhppote import UhppoteBoard
from anlin.edge.clock import Clock, SteadyClock
from anlin.edge.links import uhppote as link_module
from anlin.edge.links.uhppote import UhppoteLink
from anlin.sim.uhppote_board import Board

SERIAL = 425_000_001
DAY = Schedule("daytime", "白天", "Asia/Shanghai", (Period(7 * 60, 22 * 60),))
NIGHT = Schedule("night", "夜间", "Asia/Shanghai", (Period(22 * 60, 6 * 60),))
SCHEDULES = {"daytime": DAY, "night": NIGHT}
WAIT_S = 10.0


def quick(patch: Callable[[Any, str, float], None]) -> None:
    """Shorten what a test would otherwise wait for; no behaviour hangs on these numbers."""
    patch(link_module, "ATTEMPT_S", 0.05)
    patch(link_module, "POLL_S", 0.05)
    patch(_table, "FIRST_RETRY_S", 0.02)
    patch(_table, "LONGEST_RETRY_S", 0.1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch.setattr)


def local(hour: int, minute: int) -> datetime:
    """A time by the board's own clock, which knows no zone; the one given here is not looked at."""
    return datetime(2026, 11, 21, hour, minute, tzinfo=UTC)


def row(number: int, *schedules: str, key: str = "", until: datetime | None = None) -> Row:
    return Row(
        f"card-{number}",
        f"holder-{number}",
        "",
        Method.CARD,
        key or str(number),
        {"gate-in": schedules},
        valid_until=until,
    )


def table(revision: int, *rows: Row) -> HoldTable:
    return HoldTable("board-1", Table(revision, rows, SCHEDULES))


@dataclass
class Site:
    """One board, its link and its driver, running."""

    board: Board
    link: UhppoteLink
    driver: UhppoteBoard
    reports: list[Report] = field(default_factory=list)

    async def send(self, command: Any) -> bool:
        return await self.driver.send(self.link, command)

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until something is so, or fail."""
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < deadline, self.reports[-12:]
            await asyncio.sleep(0.005)

    def of(self, kind: type[Any]) -> list[Any]:
        return [report for report in self.reports if isinstance(report, kind)]

    def state(self) -> TableState | None:
        states = self.of(TableState)
        return states[-1] if states else None

    def is_proven(self, revision: int) -> bool:
        state = self.state()
        return state is not None and state.revision == revision and state.held == state.wanted

    async def acknowledge(self) -> None:
        for report in list(self.reports):
            origin = getattr(report, "origin", None)
            if origin is not None:
                await self.send(Acknowledge("board-1", origin))


def wiring(board: Board, **more: Any) -> dict[str, Any]:
    return {
        "serial": SERIAL,
        "address": f"127.0.0.1:{board.port}",
        "doors": {"1": {"portal": "gate", "entry": "gate-in", "exit": "gate-out"}},
        **more,
    }


@asynccontextmanager
async def site(board: Board | None = None, **more: Any) -> AsyncIterator[Site]:
    board = board or Board(SERIAL)
    async with board, connected(board, **more) as running:
        yield running


@asynccontextmanager
async def connected(board: Board, clock: Clock | None = None, **more: Any) -> AsyncIterator[Site]:
    chosen = wiring(board, **more)
    link = UhppoteLink("board-1", chosen, clock)
    driver = UhppoteBoard(Device("board-1", "东门", "node-1", "uhppote", chosen))
    running = Site(board, link, driver)
    await link.open()
    task = asyncio.create_task(driver.run(link, running.reports.append))
    try:
        yield running
    finally:
        task.cancel()
        done = await asyncio.gather(task, return_exceptions=True)
        await link.close()
    assert isinstance(done[0], asyncio.CancelledError), done


# The simulated board, by the package's own client


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_the_packages_own_client_understands_the_simulated_board(protocol: str) -> None:
    async with Board(SERIAL, capacity=3, ring=2) as board:
        client = uhppote_async.UhppoteAsync(bind="127.0.0.1")
        there = (SERIAL, f"127.0.0.1:{board.port}", protocol)
        assert (await client.get_controller(there)).version == "v8.92"
        await client.set_time(there, local(7, 30))
        told = (await client.get_time(there)).datetime
        assert timedelta() <= told.replace(tzinfo=UTC) - local(7, 30) < timedelta(seconds=5)
        first, last = date(2026, 1, 1), date(2026, 12, 31)
        for number in (5, 6, 7):
            assert (await client.put_card(there, number, first, last, 1, 0, 2, 0, 0)).stored
        assert not (await client.put_card(there, 8, first, last, 1, 0, 0, 0, 0)).stored
        assert (await client.get_cards(there)).cards == 3
        assert (await client.get_card_record(there, 6)).permission(3) == 2
        assert (await client.delete_card(there, 6)).deleted
        with pytest.raises(CardNotFound):
            await client.get_card_record(there, 6)
        with pytest.raises(CardDeleted):
            await client.get_card_record_by_index(there, 2)
        with pytest.raises(CardNotFound):
            await client.get_card_record_by_index(there, 4)
        assert board.present(5, 1)
        assert not board.present(6, 1)
        assert not board.present(7, 2)
        with pytest.raises(EventOverwritten):
            await client.get_event_record(there, 1)
        with pytest.raises(EventNotFound):
            await client.get_event_record(there, 4)
        record = await client.get_event_record(there, 2)
        assert (record.card, record.access_granted, record.door) == (6, False, 1)
        assert (await client.set_event_index(there, 3)).updated
        assert (await client.get_event_index(there)).event_index == 3
        assert (await client.set_door_control(there, 1, 1, 7)).delay == 7
        assert (await client.open_door(there, 2)).opened
        status = await client.get_status_record(there)
        assert status.doors[1].unlocked
        assert status.event.index == 4


# What a board is told


async def test_a_table_is_on_the_board_and_proven() -> None:
    async with site() as running:
        await running.send(table(7, row(1), row(2, "daytime"), row(3, "night")))
        await running.until(lambda: running.is_proven(7))
        assert sorted(running.board.cards) == [1, 2, 3]
        assert running.board.cards[1].doors == (1, 0, 0, 0)
        profile = running.board.cards[2].doors[0]
        assert running.board.holds(profile, local(21, 59))
        assert not running.board.holds(profile, local(22, 0))
        night = running.board.cards[3].doors[0]
        assert running.board.holds(night, local(23, 0))
        assert running.board.holds(night, local(5, 59))
        assert not running.board.holds(night, local(6, 0))


async def test_only_differences_are_sent_and_a_revoked_card_is_gone_at_once() -> None:
    async with site() as running:
        everybody = [row(number) for number in range(1, 201)]
        await running.send(table(1, *everybody))
        await running.until(lambda: running.is_proven(1))
        asked = running.board.asked
        await running.send(table(2, *everybody[1:]))
        await running.until(lambda: running.is_proven(2))
        assert 1 not in running.board.cards
        assert running.board.asked - asked < 15


async def test_a_revoked_card_does_not_wait_for_the_reading_of_all_others() -> None:
    async with site() as running:
        everybody = [row(number) for number in range(1, 401)]
        await running.send(table(1, *everybody))
        await running.until(lambda: running.is_proven(1))
        running.driver._keeper.forget()
        asked = running.board.asked
        await running.until(lambda: running.board.asked > asked + 5)
        await running.send(table(2, *everybody[1:]))
        await running.until(lambda: 1 not in running.board.cards)
        assert running.board.asked - asked < 200
        await running.until(lambda: running.is_proven(2))


async def test_what_is_no_card_number_is_refused_by_name_and_the_rest_goes_on() -> None:
    async with site() as running:
        rows = (row(1), row(2, key="04A1B2C3"), row(3, key="4294967295"))
        await running.send(table(1, *rows))
        await running.until(lambda: running.is_proven(1))
        state = running.state()
        assert state is not None
        assert dict(state.refused) == {
            "card-2": "not a decimal card number",
            "card-3": "card number is not within 1 to 4294967294",
        }
        assert sorted(running.board.cards) == [1]


async def test_hexadecimal_numbers_are_read_where_the_settings_say_so() -> None:
    async with site(numbers="hex") as running:
        await running.send(table(1, row(2, key="04A1B2C3")))
        await running.until(lambda: running.is_proven(1))
        running.board.present(0x04A1B2C3, 1)
        await running.until(lambda: running.of(Decided))
        assert running.of(Decided)[0].value == "04A1B2C3"


async def test_a_table_over_capacity_adds_nobody_and_still_takes_cards_back() -> None:
    async with site(capacity=3) as running:
        await running.send(table(1, row(1), row(2)))
        await running.until(lambda: running.is_proven(1))
        await running.send(table(2, row(2, "daytime"), row(3), row(4), row(5)))
        await running.until(lambda: sorted(running.board.cards) == [2])
        await running.until(lambda: running.board.cards[2].doors[0] > 1)
        await running.until(lambda: running.state() is not None and running.state().missing == 3)
        state = running.state()
        assert state is not None
        assert state.rule == "the table has 4 rows; the device has room for 3"
        assert not running.driver._keeper.is_proven
        await running.send(table(3, row(2), row(3), row(4)))
        await running.until(lambda: running.is_proven(3))
        assert sorted(running.board.cards) == [2, 3, 4]


async def test_a_card_that_the_board_will_not_take_is_named() -> None:
    async with site(Board(SERIAL, capacity=2)) as running:
        await running.send(table(1, row(1), row(2), row(3)))
        await running.until(lambda: running.state() is not None and running.state().refused)
        state = running.state()
        assert state is not None
        assert state.refused == (("card-3", "the board would not take the card"),)


async def test_a_card_that_somebody_else_added_is_found_and_deleted() -> None:
    async with site() as running:
        await running.send(table(1, row(1)))
        await running.until(lambda: running.is_proven(1))
        client = uhppote_async.UhppoteAsync(bind="127.0.0.1")
        there = (SERIAL, f"127.0.0.1:{running.board.port}")
        await client.put_card(there, 99, date(2026, 1, 1), date(2099, 1, 1), 1, 1, 1, 1, 0)
        await running.until(lambda: 99 not in running.board.cards)


async def test_a_pin_that_somebody_else_gave_a_card_is_taken_off() -> None:
    async with site() as running:
        client = uhppote_async.UhppoteAsync(bind="127.0.0.1")
        there = (SERIAL, f"127.0.0.1:{running.board.port}")
        first, last = date(2020, 1, 1), date(2099, 12, 31)
        await client.put_card(there, 1, first, last, 1, 0, 0, 0, 1234)
        await running.send(table(1, row(1)))
        await running.until(lambda: running.is_proven(1))
        assert running.board.cards[1].extras == bytes(4)
        assert "1234" not in repr(running.reports)


async def test_times_change_without_any_card_meaning_other_times_on_the_way() -> None:
    async with site() as running:
        await running.send(table(1, row(1, "daytime"), row(2, "night")))
        await running.until(lambda: running.is_proven(1))
        day, night = (running.board.cards[n].doors[0] for n in (1, 2))
        await running.send(table(2, row(1, "night"), row(2, "daytime")))
        await running.until(lambda: running.is_proven(2))
        assert [running.board.cards[n].doors[0] for n in (1, 2)] == [night, day]


# A board that forgets


async def test_a_board_that_lost_its_memory_is_armed_again() -> None:
    async with site() as running:
        await running.send(table(1, row(1), row(2, "daytime")))
        await running.until(lambda: running.is_proven(1))
        await running.send(Release("gate", "r1", None, "schedule"))
        for _ in range(3):
            running.board.present(1, 1)
        await running.until(lambda: len(running.of(Decided)) == 3)
        before = len(running.of(TableState))
        running.board.lose_memory()
        await running.until(lambda: sorted(running.board.cards) == [1, 2])
        await running.until(
            lambda: running.is_proven(1) and len(running.of(TableState)) > before + 1
        )
        await running.until(lambda: running.board.doors[1].mode == 1)
        await running.until(lambda: abs(running.board.now() - shanghai()) < timedelta(seconds=3))
        assert running.board.doors[1].delay_s == 5
        # Boards tell whole seconds; none restarts within one.
        second = running.board.now().second
        await running.until(lambda: running.board.now().second != second)
        running.board.present(1, 1)
        await running.until(lambda: len(running.of(Decided)) == 4)
        told = [fault.rule for fault in running.of(Fault) if fault.is_active]
        assert any(rule.startswith("the board lost its memory") for rule in told)
        origins = [report.origin for report in running.of(Decided)]
        assert len(set(origins)) == 4


async def test_a_board_keeps_the_edges_time_where_the_wall_clock_is_wrong() -> None:
    # The machine's clock has lost its battery; the edge goes on from its last event.
    clock = SteadyClock(datetime.now(UTC) + timedelta(hours=1))
    async with Board(SERIAL) as board, connected(board, clock) as running:
        ahead = timedelta(hours=1)
        await running.until(lambda: abs(board.now() - shanghai() - ahead) < timedelta(seconds=3))
        status = json.loads(await running.link.ask("get-status", b"{}"))
        assert abs(status["drift_s"]) < 3


def shanghai() -> datetime:
    return (datetime.now(UTC) + timedelta(hours=8)).replace(tzinfo=None)


async def test_a_board_is_offline_after_three_polls_and_online_by_an_answer() -> None:
    async with site() as running:
        await running.until(lambda: running.of(Online))
        await running.board.stop()
        await running.until(lambda: not running.of(Online)[-1].is_online)
        await running.board.start()
        await running.until(lambda: running.of(Online)[-1].is_online)


async def test_a_deletion_is_retried_until_the_board_is_back() -> None:
    async with site() as running:
        await running.send(table(1, row(1), row(2)))
        await running.until(lambda: running.is_proven(1))
        await running.board.stop()
        await running.send(table(2, row(2)))
        await running.until(lambda: not running.of(Online)[-1].is_online)
        assert not running.is_proven(2)
        await running.board.start()
        await running.until(lambda: running.is_proven(2))
        assert sorted(running.board.cards) == [2]


# What happened


async def test_events_come_once_each_in_order_and_the_board_notes_how_far() -> None:
    async with site() as running:
        await running.send(table(1, row(1)))
        await running.until(lambda: running.is_proven(1))
        running.board.present(1, 1)
        running.board.move(1, is_open=True)
        running.board.move(1, is_open=False)
        running.board.present(2, 1, is_exit=True)
        running.board.press(1)
        await running.until(lambda: len(running.of(Decided)) == 3)
        swipe, stranger, button = running.of(Decided)
        assert (swipe.point, swipe.is_granted, swipe.value) == ("gate-in", True, "1")
        assert (stranger.point, stranger.is_granted, stranger.value) == ("gate-out", False, "2")
        assert (button.method, button.point) == (Method.EXIT_BUTTON, "gate-out")
        doors = [report.level for report in running.of(Contact) if report.origin is not None]
        assert doors == [ContactLevel.OPEN, ContactLevel.CLOSED]
        # Nothing is noted before the engine has it; a gap holds back what comes after it.
        await running.send(Acknowledge("board-1", button.origin))
        await running.until(lambda: running.board.asked)
        assert running.board.register == 0
        await running.acknowledge()
        await running.until(lambda: running.board.register == 5)


async def test_a_swipe_is_told_as_the_credential_that_the_policy_knows() -> None:
    async with site() as running:
        badge = replace(row(1, key="0008001"), method=Method.SECURE_CARD)
        await running.send(table(1, badge))
        await running.until(lambda: running.is_proven(1))
        running.board.present(8001, 1)
        await running.until(lambda: running.of(Decided))
        swipe = running.of(Decided)[0]
        assert (swipe.method, swipe.value) == (Method.SECURE_CARD, "0008001")


async def test_a_listener_packet_is_a_hint_that_makes_the_poll_come_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "POLL_S", 60.0)
    async with site() as running:
        await running.until(lambda: running.of(Contact))
        running.board.present(5, 1)
        await running.until(lambda: running.of(Decided))


async def test_events_of_an_edge_that_was_away_are_read_by_its_next_life() -> None:
    async with Board(SERIAL) as board:
        async with connected(board) as first:
            await first.until(lambda: first.of(Contact))
            board.present(5, 1)
            board.present(6, 1)
            await first.until(lambda: len(first.of(Decided)) == 2)
            await first.send(Acknowledge("board-1", first.of(Decided)[0].origin))
            await first.until(lambda: board.register == 1)
        board.present(7, 1)
        async with connected(board) as second:
            await second.until(lambda: len(second.of(Decided)) == 2)
            assert [report.value for report in second.of(Decided)] == ["6", "7"]
            # Told twice under one name, the engine takes it once.
            assert second.of(Decided)[0].origin == first.of(Decided)[1].origin


async def test_overwritten_events_are_told_as_a_lost_range() -> None:
    async with Board(SERIAL, ring=10) as board:
        for number in range(1, 41):
            board.present(number, 1)
        async with connected(board) as running:
            await running.until(lambda: len(running.of(Decided)) == 10)
            assert running.of(Decided)[0].value == "31"
            (fault,) = [fault for fault in running.of(Fault) if fault.is_active]
            assert fault.rule == "events 1 to 30 were overwritten before they were read"
            await running.acknowledge()
            await running.until(lambda: board.register == 40)


async def test_a_remote_opening_that_was_not_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors_module, "REMOTE_S", 0.0)
    async with site() as running:
        await running.until(lambda: running.of(Contact))
        client = uhppote_async.UhppoteAsync(bind="127.0.0.1")
        await client.open_door((SERIAL, f"127.0.0.1:{running.board.port}"), 1)
        await running.until(lambda: running.of(Fault))
        assert running.of(Fault)[0].rule == "opened remotely, and not by this edge"


# Doors


async def test_a_release_opens_for_its_own_seconds_and_a_hold_lasts_until_secured() -> None:
    async with site() as running:
        await running.until(lambda: running.of(Contact))
        assert await running.send(Release("gate", "r1", 15.0, "decision"))
        assert running.board.doors[1].remote_opens == 1
        assert running.board.doors[1].delay_s == 15
        assert running.board.is_unlocked(1)
        assert await running.send(Release("gate", "r2", None, "fire"))
        assert running.board.doors[1].mode == 1
        assert await running.send(Secure("gate"))
        assert (running.board.doors[1].mode, running.board.doors[1].delay_s) == (3, 5)
        assert not await running.send(Release("other", "r3", 5.0, "decision"))
        await running.until(lambda: not [f for f in running.of(Fault) if "remotely" in f.rule])


async def test_a_door_held_open_for_fire_stays_open_through_a_start_of_the_edge() -> None:
    async with Board(SERIAL) as board:
        async with connected(board) as first:
            await first.until(lambda: first.of(Contact))
            await first.send(Release("gate", "r1", None, "fire"))
        async with connected(board) as second:
            await second.until(lambda: second.of(Contact))
            assert board.doors[1].mode == 1
            await second.send(Release("gate", "r2", 15.0, "decision"))
            assert board.doors[1].mode == 1


async def test_a_door_that_somebody_else_locked_is_put_back() -> None:
    async with site() as running:
        await running.until(lambda: running.of(Contact))
        await running.send(Release("gate", "r1", None, "fire"))
        running.board.doors[1].mode = 2
        await running.until(lambda: running.board.doors[1].mode == 1)


async def test_asked_levels_and_the_fire_input_are_told() -> None:
    async with site() as running:
        await running.until(lambda: running.of(Contact))
        before = len(running.of(Contact))
        await running.send(AskLevels("board-1"))
        await running.until(lambda: len(running.of(Contact)) > before)
        running.board.is_fire = True
        await running.until(lambda: running.of(FireInput))
        assert running.of(FireInput)[0] == FireInput("gate", True)


async def test_a_release_to_a_board_that_is_away_fails_in_time() -> None:
    async with site() as running:
        await running.until(lambda: running.of(Contact))
        await running.board.stop()
        with pytest.raises(LinkError, match=r"board board-1: .*"):
            await running.send(Release("gate", "r1", 5.0, "decision"))


async def test_an_answer_of_another_board_is_no_answer() -> None:
    async with Board(SERIAL + 1) as board:
        link = UhppoteLink("board-1", wiring(board))
        with pytest.raises(LinkError):
            await link.ask("get-status", b"{}")


async def test_tcp_works_as_udp_does() -> None:
    async with site(protocol="tcp") as running:
        await running.send(table(1, row(1)))
        await running.until(lambda: running.is_proven(1))
        said = json.loads(await running.link.ask("get-cards", b"{}"))
        assert said == {"cards": 1}


# Whatever happens


NUMBERS = range(1, 9)


class Push(RuleBasedStateMachine):
    """Tables change, packets get lost, doubled and late, boards restart and forget."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.revision = 0
        self.wanted: dict[int, tuple[str, ...]] = {}
        self.wrong: list[str] = []

    @initialize()
    def begin(self) -> None:
        self.loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        self.board = Board(SERIAL, seed=1)
        await self.board.start()
        chosen = wiring(self.board)
        self.link = UhppoteLink("board-1", chosen)
        driver = UhppoteBoard(Device("board-1", "东门", "node-1", "uhppote", chosen))
        self.site = Site(self.board, self.link, driver)
        await self.link.open()
        self.task = asyncio.create_task(driver.run(self.link, self.hear))

    def hear(self, report: Report) -> None:
        self.site.reports.append(report)
        if (
            isinstance(report, TableState)
            and report.held == report.wanted
            and report.revision == self.revision
            and set(self.board.cards) - set(self.wanted)
        ):
            self.wrong.append(f"proven at {report.revision}, and {sorted(self.board.cards)} held")

    @rule(
        rights=st.dictionaries(st.sampled_from(NUMBERS), st.sampled_from(["", "daytime", "night"]))
    )
    def change(self, rights: dict[int, str]) -> None:
        self.revision += 1
        self.wanted = {number: (name,) if name else () for number, name in rights.items()}
        rows = [row(number, *names) for number, names in self.wanted.items()]
        self.loop.run_until_complete(self.site.send(table(self.revision, *rows)))
        self.run_for(0.0)

    @rule(loss=st.floats(0, 0.3), duplicate=st.floats(0, 0.5), reorder=st.floats(0, 0.3))
    def weather(self, loss: float, duplicate: float, reorder: float) -> None:
        faults = self.board.faults
        faults.loss, faults.duplicate, faults.reorder = loss, duplicate, reorder

    @rule(seconds=st.floats(0, 0.05))
    def run_for(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule()
    def forget(self) -> None:
        self.board.lose_memory()

    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self._restart())

    async def _restart(self) -> None:
        await self.board.stop()
        await asyncio.sleep(0.02)
        await self.board.start()

    @rule(number=st.sampled_from(NUMBERS))
    def show(self, number: int) -> None:
        if self.board.present(number, 1) and self.site.is_proven(self.revision):
            assert number in self.wanted

    @rule()
    def settle(self) -> None:
        self.board.faults.loss = min(self.board.faults.loss, 0.1)
        if self.revision:
            self.loop.run_until_complete(self.site.until(self._stands))
        assert self.wrong == []

    def _stands(self) -> bool:
        cards = self.board.cards
        return (
            self.site.is_proven(self.revision)
            and sorted(cards) == sorted(self.wanted)
            and all(self._means(cards[number].doors[0], self.wanted[number]) for number in cards)
        )

    def _means(self, door: int, names: tuple[str, ...]) -> bool:
        if not names:
            return door == 1
        schedule = SCHEDULES[names[0]]
        noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
        hours = [noon + timedelta(hours=n) for n in range(24)]
        local = [(at + timedelta(hours=8)).replace(tzinfo=None) for at in hours]
        return [self.board.holds(door, at) for at in local] == [
            schedule.is_active(at) for at in hours
        ]

    def teardown(self) -> None:
        if hasattr(self, "task"):
            self.settle()
            self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.link.close()
        await self.board.stop()


def test_whatever_happens_the_table_comes_to_stand_and_nobody_deleted_stays() -> None:
    run_state_machine_as_test(
        Push,
        settings=settings(
            max_examples=15,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
