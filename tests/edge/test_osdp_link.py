"""The driver, its link and libosdp at both ends of a real TCP connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import osdp
import pytest
from typer.testing import CliRunner

from anlin.core.device import (
    Contact,
    Fault,
    FireInput,
    Online,
    Read,
    Refused,
    Release,
    Report,
    Secure,
    Show,
    Tampered,
)
from anlin.core.entities import Device, Method
from anlin.drivers.base import LinkError
from anlin.drivers.osdp import OsdpLine
from anlin.edge import osdp_keys
from anlin.edge.links import osdp as line_module
from anlin.edge.links.osdp import REFUSED, CommissionError, OsdpLink
from anlin.edge.osdp_cli import app
from anlin.edge.osdp_keys import DEFAULT_KEY, KeyFault, Wish, make_key, read_key, write_private
from anlin.sim.osdp_reader import FULL, Reader, SerialServer

WIRED: dict[str, Any] = {
    "point": "gate-in",
    "portal": "gate",
    "output": 0,
    "contact_input": 0,
    "exit_input": 1,
    "exit_point": "gate-out",
    "fire_input": 2,
    "answers_status": False,
}


@dataclass
class Line:
    """A driver on its link."""

    home: Path
    server: SerialServer | None
    settings: dict[str, Any]
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = {**self.settings, "media": str(self.home / "media")}
        self.driver = OsdpLine(Device("gate-1", "东门", "node-1", "osdp", settings))
        self.link = OsdpLink("gate-1", settings)

    async def __aenter__(self) -> Line:
        await self.link.open()
        self._running = asyncio.create_task(self.driver.run(self.link, self.reports.append))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.link.close()

    async def until(self, wanted: Report | Callable[[Report], bool], within_s: float = 10) -> Any:
        """Wait for a report that was not waited for before, and give it."""
        deadline = time.monotonic() + within_s
        while True:
            for place, report in enumerate(self.reports):
                if report == wanted if not callable(wanted) else wanted(report):
                    del self.reports[: place + 1]
                    return report
            assert time.monotonic() < deadline, f"{wanted} did not come; {self.reports}"
            await asyncio.sleep(0.01)

    async def up(self, reader: int = 1, detail: str = "secure channel") -> None:
        await self.until(Online("gate-1", True, detail, f"reader {reader}"))
        await asyncio.sleep(line_module.SETTLE_S)  # what a reader kept is dropped meanwhile

    def keep_key(self, address: int, key: bytes) -> None:
        write_private(self.home / "keys/osdp" / f"gate-1-{address}", key.hex())


async def eventually(is_so: Callable[[], Any], within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "SETTLE_S", 0.3)
    monkeypatch.setattr(line_module, "ATTEMPT_S", 1.5)
    monkeypatch.setattr(line_module, "REST_S", 0.5)


@contextlib.asynccontextmanager
async def line(
    home: Path, *readers: Reader, keys: dict[int, bytes] | None = None, **wiring: Any
) -> AsyncIterator[Line]:
    """A line with these readers; keys are those of the edge, by default the readers' own."""
    if keys is None:
        keys = {reader.address: reader.key for reader in readers if reader.key is not None}
    with SerialServer(*readers) as server:
        wired = {str(reader.address): {**WIRED, **wiring} for reader in readers}
        made = Line(home, server, {"line": server.line, "readers": wired})
        for address, key in keys.items():
            made.keep_key(address, key)
        async with made:
            yield made


def a_key() -> bytes:
    return secrets.token_bytes(16)


# What readers say


async def test_a_card_a_pin_and_the_inputs_arrive_over_the_secure_channel(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        assert reader.is_secured()
        reader.card("0A1B2C3D")
        read = await it.until(lambda r: isinstance(r, Read))
        assert (read.point, read.method, read.value) == ("gate-in", Method.CARD, "0A1B2C3D")
        for keys in ("12", "3*", "13", "57#"):
            reader.press(keys)
        assert await it.until(lambda r: isinstance(r, Read)) == Read("gate-in", Method.PIN, "1357")
        reader.set_input(0, True)
        contact = await it.until(lambda r: isinstance(r, Contact))
        assert contact.level == "open"
        reader.set_input(1, True)
        assert await it.until(lambda r: isinstance(r, Read)) == Read(
            "gate-out", Method.EXIT_BUTTON, "1"
        )
        reader.set_input(2, True)
        await it.until(FireInput("gate", True))
        reader.set_tamper(True)
        await it.until(Tampered("gate-1", True, part="reader 1"))
        reader.set_tamper(False)
        await it.until(Tampered("gate-1", False, part="reader 1"))
        reader.set_power_fault(True)
        await it.until(Fault("gate-1", "power", True, "reader 1"))


@pytest.mark.parametrize(
    ("key", "card_format"),
    [
        ("128707", "wiegand26"),
        ("0A1B2C3D", "wiegand34"),
        ("091A1E240", "wiegand37"),
        ("0A1B2C3D", "chip"),
        ("04A1B2C3D4E5F6", "chip"),
    ],
)
async def test_cards_of_each_format_keep_their_key(
    tmp_path: Path, key: str, card_format: str
) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader, is_secure_card=True) as it:
        await it.up()
        reader.card(key, card_format)
        read = await it.until(lambda r: isinstance(r, Read))
        assert (read.method, read.value) == (Method.SECURE_CARD, key)


async def test_a_card_with_bad_parity_is_refused_and_not_looked_up(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        reader.frame(bytes.fromhex("094383C0"), 26)
        refused = await it.until(lambda r: isinstance(r, Refused))
        assert refused.rule == "parity"
        assert not any(isinstance(report, Read) for report in it.reports)


async def test_a_half_typed_pin_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anlin.wire.keypad.KEY_GAP_S", 0.2)
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        reader.press("99")
        await asyncio.sleep(0.5)
        reader.press("1357#")
        assert await it.until(lambda r: isinstance(r, Read)) == Read("gate-in", Method.PIN, "1357")


async def test_what_a_reader_kept_while_it_was_away_does_not_open_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "SETTLE_S", 2.0)
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await eventually(reader.is_secured)
        reader.press("1357#")
        reader.card("0A1B2C3D")
        refused = await it.until(lambda r: isinstance(r, Refused | Read))
        assert isinstance(refused, Refused)
        assert "away" in refused.rule


async def test_a_reader_that_declines_a_question_comes_back_and_is_not_asked_again(
    tmp_path: Path,
) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader, answers_status=True) as it:
        await it.until(lambda r: isinstance(r, Online) and r.part == "reader 1" and r.is_online)
        await it.until(lambda r: isinstance(r, Online) and r.part == "reader 1" and not r.is_online)
        await it.up()
        await it.link.send("levels", b"{}")
        asked = [o for o in reader.orders if o["command"] == osdp.Command.Status]
        reader.card("0A1B2C3D")
        await it.until(lambda r: isinstance(r, Read))
        assert len([o for o in asked if o["type"] == osdp.StatusReportType.Input]) == 1


# What readers are told


async def test_lock_lamp_and_buzzer_reach_the_reader(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        for command in (
            Release("gate", "r1", 5.0, "decision"),
            Release("gate", "r2", None, "fire"),
            Secure("gate"),
            Show("gate-in", "granted", "请进", is_granted=True),
            Show("gate-in", "unauthorized", "未获授权"),
        ):
            assert await it.driver.send(it.link, command)
        outputs = [o for o in reader.orders if o["command"] == osdp.Command.Output]
        assert [(o["control_code"], o["timer_count"]) for o in outputs] == [(5, 50), (2, 0), (1, 0)]
        lamps = [o for o in reader.orders if o["command"] == osdp.Command.LED]
        assert [o["on_color"] for o in lamps] == [2, 1]
        beeps = [o for o in reader.orders if o["command"] == osdp.Command.Buzzer]
        assert [o["rep_count"] for o in beeps] == [1, 3]


async def test_a_release_is_obeyed_once(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        assert await it.driver.send(it.link, Release("gate", "r1", 5.0, "decision"))
        assert not await it.driver.send(it.link, Release("gate", "r1", 5.0, "decision"))
        assert len([o for o in reader.orders if o["command"] == osdp.Command.Output]) == 1


async def test_a_release_that_was_not_confirmed_is_told_and_not_done_later(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        assert it.server is not None
        it.server.unplug(1)
        with pytest.raises(LinkError, match="reader 1"):
            await it.driver.send(it.link, Release("gate", "r1", 5.0, "decision"))
        await it.until(lambda r: isinstance(r, Online) and not r.is_online)
        with pytest.raises(LinkError, match="reader 1 is offline"):
            await it.driver.send(it.link, Release("gate", "r2", 5.0, "decision"))
        it.server.plug(reader)
        await it.up()
        assert not [o for o in reader.orders if o["command"] == osdp.Command.Output]


async def test_a_reader_without_lamp_is_not_asked_for_one(tmp_path: Path) -> None:
    plain = tuple(
        row
        for row in FULL
        if row[0] not in (osdp.Capability.LEDControl, osdp.Capability.AudibleControl)
    )
    reader = Reader(1, a_key(), capabilities=plain)
    async with line(tmp_path, reader) as it:
        await it.up()
        await it.driver.send(it.link, Show("gate-in", "granted", "请进", is_granted=True))
        await it.driver.send(it.link, Secure("gate"))
        assert [o["command"] for o in reader.orders] == [osdp.Command.Output]


async def test_an_output_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    async with line(tmp_path, Reader(1, a_key()), output=7) as it:
        fault = await it.until(lambda r: isinstance(r, Fault))
        assert fault == Fault("gate-1", "no output 7: the reader has 2", True, "reader 1")


# Who is there


async def test_a_reader_that_vanishes_is_told_within_eight_seconds_and_comes_back(
    tmp_path: Path,
) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        assert it.server is not None
        it.server.unplug(1)
        gone_at = time.monotonic()
        gone = await it.until(lambda r: isinstance(r, Online) and not r.is_online)
        assert gone.part == "reader 1"
        assert time.monotonic() - gone_at < 8
        reader.restart()
        it.server.plug(reader)
        back_at = time.monotonic()
        await it.up()
        assert time.monotonic() - back_at < 6, "and not after libosdp's five minutes"


async def test_two_readers_on_one_line_do_not_disturb_each_other(tmp_path: Path) -> None:
    first, second = Reader(1, a_key()), Reader(2, a_key())
    async with line(tmp_path, first, second) as it:
        await eventually(lambda: first.is_secured() and second.is_secured())
        await asyncio.sleep(2 * line_module.SETTLE_S)
        second.card("0A1B2C3D")
        await it.until(lambda r: isinstance(r, Read))
        assert it.server is not None
        it.server.unplug(1)
        await it.until(lambda r: isinstance(r, Online) and not r.is_online and r.part == "reader 1")
        for _ in range(5):
            shown_at = time.monotonic()
            second.card("0A1B2C3D")
            await it.until(lambda r: isinstance(r, Read))
            assert time.monotonic() - shown_at < 1.5
        assert second.is_secured()


async def test_a_cut_line_is_told_and_taken_up_again(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        assert it.server is not None
        it.server.cut()
        await it.until(lambda r: isinstance(r, Online) and not r.is_online and not r.part)
        await it.until(lambda r: isinstance(r, Online) and r.is_online and not r.part)
        reader.card("0A1B2C3D")
        await it.until(lambda r: isinstance(r, Read))


async def test_a_line_that_is_not_there_is_told_once_and_tried_again(tmp_path: Path) -> None:
    with SerialServer() as server:
        port = server.port
    reader = Reader(1, a_key())
    settings = {"line": f"tcp://127.0.0.1:{port}", "readers": {"1": WIRED}}
    it = Line(tmp_path, None, settings)
    it.keep_key(1, reader.key or b"")
    async with it:
        await it.until(lambda r: isinstance(r, Online) and not r.is_online and not r.part)
        await it.until(lambda r: isinstance(r, Online) and not r.is_online)
        with SerialServer(reader, port=port):
            await it.up()


async def test_a_line_on_which_nobody_was_heard_for_long_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A serial server that was switched off and on knows nothing of our connection."""
    monkeypatch.setattr(line_module, "QUIET_S", 1.0)
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        server = it.server
        assert server is not None
        server.unplug(1)
        await eventually(lambda: server.connections >= 2)
        server.plug(reader)
        await eventually(reader.is_secured, 15)
        reported = [r for r in it.reports if isinstance(r, Online) and not r.part]
        assert reported == [], "and it is not told as a cut line"


async def test_a_serial_port_that_is_not_there_is_told(tmp_path: Path) -> None:
    it = Line(tmp_path, None, {"line": "/dev/ttyNOTHING", "readers": {"1": WIRED}})
    async with it:
        gone = await it.until(lambda r: isinstance(r, Online) and not r.part)
        assert not gone.is_online
        assert "/dev/ttyNOTHING" in gone.detail


async def test_a_reader_on_a_serial_port_is_read(tmp_path: Path) -> None:
    """A pseudo terminal is as near to /dev/ttyUSB0 as a machine without one comes."""
    ours, theirs = os.openpty()
    path = os.ttyname(theirs)
    os.set_blocking(ours, False)
    reader = Reader(1, a_key())
    is_over = threading.Event()

    def carry() -> None:
        while not is_over.wait(0.003):
            heard = b""
            with contextlib.suppress(BlockingIOError):
                heard = os.read(ours, 1000)
            said = reader.exchange(heard)
            if said:
                os.write(ours, said)

    carrier = threading.Thread(target=carry)
    carrier.start()
    try:
        it = Line(tmp_path, None, {"line": path, "baud": 115200, "readers": {"1": WIRED}})
        it.keep_key(1, reader.key or b"")
        async with it:
            await it.up()
            reader.card("0A1B2C3D")
            await it.until(lambda r: isinstance(r, Read))
    finally:
        is_over.set()
        carrier.join()
        os.close(ours)
        os.close(theirs)


async def test_stopping_leaves_no_thread_and_no_connection(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        names = [thread.name for thread in threading.enumerate()]
        assert "cp" in names
        await it.link.close()
        assert "cp" not in [thread.name for thread in threading.enumerate()]
        assert [t for t in asyncio.all_tasks() if t.get_name().startswith("gate-1:")] == []


async def test_a_link_opens_again_after_it_was_closed(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        await it.__aexit__()
        async with it:
            await it.up()
            reader.card("0A1B2C3D")
            await it.until(lambda r: isinstance(r, Read))


# Who may be there: the five attacks


async def test_attack_1_a_reader_without_a_key_of_ours_stays_offline(tmp_path: Path) -> None:
    """No encryption: the line of an installer who never set keys."""
    reader = Reader(1, None)
    async with line(tmp_path, reader, keys={}) as it:
        fault = await it.until(lambda r: isinstance(r, Fault))
        assert fault == Fault("gate-1", "no key: commission this reader", True, "reader 1")
        await asyncio.sleep(2)
        assert not any(isinstance(r, Online) and r.is_online and r.part for r in it.reports)


async def test_attack_1_clear_text_is_only_by_setting_and_shows_as_a_fault(tmp_path: Path) -> None:
    reader = Reader(1, None, is_secure=False)
    async with line(tmp_path, reader, secure=False) as it:
        await it.until(Fault("gate-1", "clear text", True, "reader 1"))
        await it.up(detail="clear text")
        reader.card("0A1B2C3D")
        await it.until(lambda r: isinstance(r, Read))
        assert reader.key is None, "and it is not given a key"


async def test_attack_2_a_reader_that_says_it_knows_no_encryption_stays_offline(
    tmp_path: Path,
) -> None:
    """Downgrade: the capabilities are changed on the line, or the reader by a simpler one."""
    plain = tuple(row for row in FULL if row[0] != osdp.Capability.CommunicationSecurity)
    reader = Reader(1, None, is_secure=False, capabilities=plain)
    async with line(tmp_path, reader, keys={1: a_key()}) as it:
        await it.until(Fault("gate-1", REFUSED, True, "reader 1"))
        reader.card("0A1B2C3D")
        await asyncio.sleep(1)
        assert not any(isinstance(report, Read) for report in it.reports)


async def test_attack_2_clear_packets_in_a_secure_session_are_not_believed(tmp_path: Path) -> None:
    """Somebody on the line answers a poll in the reader's place, in clear text."""
    reader = Reader(1, a_key())
    speak = reader.exchange
    injected = []

    def lie(heard: bytes) -> bytes:
        said = speak(heard)
        is_answer = len(said) > 8 and said[0] == 0x53 and said[4] & 0x08
        if is_answer and is_lying:
            said = clear_card(said[4] & 0x03)
            injected.append(said)
        return said

    is_lying = False
    reader.exchange = lie  # type: ignore[method-assign]
    async with line(tmp_path, reader) as it:
        await it.up()
        is_lying = True
        await asyncio.sleep(2)
        assert injected
        assert not any(isinstance(report, Read) for report in it.reports)


def clear_card(sequence: int) -> bytes:
    """A card's packet as reader 1 would send it without encryption."""
    body = bytes.fromhex("50 00 01 1A 00 89 43 83 C0")
    packet = bytes([0x53, 0x81, 5 + len(body) + 2, 0, 0x04 | sequence]) + body
    crc = 0x1D0F
    for byte in packet:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return packet + crc.to_bytes(2, "little")


async def test_attack_3_a_reader_with_the_default_key_stays_offline(tmp_path: Path) -> None:
    """Install mode left on: a stranger's reader, fresh from its box, asks for our key."""
    reader = Reader(1, None)
    async with line(tmp_path, reader, keys={1: a_key()}) as it:
        await it.until(Fault("gate-1", REFUSED, True, "reader 1"))
        await asyncio.sleep(3)
        assert reader.key is None, "it was given no key"
        assert not any(isinstance(r, Online) and r.is_online and r.part for r in it.reports)


@pytest.mark.parametrize(
    "weak",
    [
        DEFAULT_KEY,
        bytes(16),
        bytes([0xFF] * 16),
        bytes(range(16)),
        bytes(range(16, 0, -1)),
        bytes([1, 2, 3, 4] * 4),
        bytes(range(0, 256, 17)),
    ],
)
def test_attack_4_a_key_that_can_be_guessed_is_not_used(tmp_path: Path, weak: bytes) -> None:
    write_private(tmp_path / "key", weak.hex())
    with pytest.raises(KeyFault, match="guessed"):
        read_key(tmp_path / "key")


def test_attack_4_made_keys_are_random_and_private(tmp_path: Path) -> None:
    keys = {make_key(tmp_path / "keys" / str(number)) for number in range(20)}
    assert len(keys) == 20
    assert not any(osdp_keys.is_weak(key) for key in keys)
    assert stat.S_IMODE((tmp_path / "keys" / "0").stat().st_mode) == 0o600


async def test_attack_5_a_reader_that_reappears_with_another_key_is_not_given_ours(
    tmp_path: Path,
) -> None:
    """Keyset capture: unplug a reader, plug in one that asks for the key, and listen."""
    reader = Reader(1, a_key())
    async with line(tmp_path, reader) as it:
        await it.up()
        assert it.server is not None
        it.server.unplug(1)
        await it.until(lambda r: isinstance(r, Online) and not r.is_online)
        for stranger in (Reader(1, a_key()), Reader(1, None)):
            it.server.plug(stranger)
            await asyncio.sleep(4)
            assert not [o for o in stranger.orders if o["command"] == osdp.Command.Keyset]
            assert not any(isinstance(r, Online) and r.is_online for r in it.reports)
        assert Fault("gate-1", REFUSED, True, "reader 1") in it.reports
        it.server.plug(reader)
        reader.restart()
        await it.until(Fault("gate-1", REFUSED, False, "reader 1"))


async def test_a_wrong_key_stays_offline(tmp_path: Path) -> None:
    async with line(tmp_path, Reader(1, a_key()), keys={1: a_key()}) as it:
        await it.until(Fault("gate-1", REFUSED, True, "reader 1"))
        offline = await it.until(lambda r: isinstance(r, Online))
        assert not offline.is_online


# Keys


@pytest.mark.parametrize(
    ("text", "rule"),
    [("", "32 hex digits"), ("xyz", "32 hex digits"), ("00" * 17, "32 hex digits")],
)
def test_a_key_file_that_holds_no_key_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    write_private(tmp_path / "key", text)
    with pytest.raises(KeyFault, match=rule):
        read_key(tmp_path / "key")


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(KeyFault, match="0600") as refused:
        read_key(tmp_path / "key")
    assert key.hex() not in str(refused.value)


def test_a_missing_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match="commission"):
        read_key(tmp_path / "key")


# Commissioning


async def test_commissioning_gives_a_new_reader_a_key_of_its_own(tmp_path: Path) -> None:
    reader = Reader(1, None)
    async with line(tmp_path, reader, keys={}) as it:
        await it.until(lambda r: isinstance(r, Fault))
        await it.link.commission(1)
        await it.up()
        key = read_key(tmp_path / "keys/osdp/gate-1-1")
        assert reader.key == key
        assert not osdp_keys.is_weak(key)
        assert [f.name for f in (tmp_path / "keys/osdp").iterdir()] == ["gate-1-1"]
        reader.card("0A1B2C3D")
        await it.until(lambda r: isinstance(r, Read))
    assert key.hex() not in repr(it.reports)


async def test_commissioning_does_not_take_over_a_reader_that_has_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "COMMISSION_S", 3.0)
    theirs = a_key()
    reader = Reader(1, theirs)
    async with line(tmp_path, reader, keys={}) as it:
        with pytest.raises(CommissionError, match="reset its key"):
            await it.link.commission(1)
        assert reader.key == theirs
        assert not (tmp_path / "keys/osdp/gate-1-1").exists()


async def test_commissioning_leaves_the_other_readers_as_they_were(tmp_path: Path) -> None:
    first, new = Reader(1, a_key()), Reader(2, None)
    async with line(tmp_path, first, new) as it:
        await it.up(1)
        await it.link.commission(2)
        await it.until(lambda r: isinstance(r, Online) and r.is_online and r.part == "reader 2")
        await eventually(first.is_secured)


async def test_a_key_set_just_before_a_power_cut_is_not_lost(tmp_path: Path) -> None:
    pending = make_key(tmp_path / "keys/osdp/gate-1-1.pending")
    reader = Reader(1, pending)
    async with line(tmp_path, reader, keys={}) as it:
        await it.link.commission(1)
        assert read_key(tmp_path / "keys/osdp/gate-1-1") == pending


async def test_a_reader_that_is_not_there_is_not_commissioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "COMMISSION_S", 2.0)
    async with line(tmp_path, Reader(1, a_key())) as it:
        assert it.server is not None
        it.server.unplug(1)
        with pytest.raises(CommissionError, match="does not answer"):
            await it.link.commission(1)
        with pytest.raises(CommissionError, match="not a secure reader"):
            await it.link.commission(9)


async def test_a_wish_of_this_machine_is_carried_out_and_answered(tmp_path: Path) -> None:
    reader = Reader(1, None)
    async with line(tmp_path, reader, keys={}) as it:
        wish = Wish(tmp_path / "keys/osdp", "gate-1", 1)
        wish.make(time.time())
        await it.up()
        assert reader.key is not None
        deadline = time.monotonic() + 5
        while (outcome := wish.outcome()) is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert outcome == ""


def test_a_wish_stands_for_a_minute_and_once(tmp_path: Path) -> None:
    wish = Wish(tmp_path, "gate-1", 1)
    assert not wish.take(1000.0)
    wish.make(1000.0)
    assert wish.take(1030.0)
    assert not wish.take(1030.0)
    wish.make(1000.0)
    assert not wish.take(1061.0)
    write_private(tmp_path / "gate-1-1.wanted", '{"expires_at": 9e99}')
    assert not wish.take(1000.0), "nobody leaves install mode on for ever"
    write_private(tmp_path / "gate-1-1.wanted", "[1]")
    assert not wish.take(1000.0)


# Rubbish


async def test_rubbish_on_the_line_disturbs_nothing_for_long(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    speak, noise = reader.exchange, random.Random(7)
    is_noisy = False

    def babble(heard: bytes) -> bytes:
        said = speak(heard)
        if not is_noisy:
            return said
        rubbish = noise.randbytes(noise.randint(0, 60))
        changed = bytearray(said)
        if changed and noise.random() < 0.3:
            changed[noise.randrange(len(changed))] ^= 1 << noise.randrange(8)
        return noise.choice((rubbish, bytes(changed), rubbish + said, said))

    reader.exchange = babble  # type: ignore[method-assign]
    async with line(tmp_path, reader) as it:
        await it.up()
        is_noisy = True
        await asyncio.sleep(3)
        assert not any(isinstance(report, Read) for report in it.reports)
        is_noisy = False
        await asyncio.sleep(1)
        await eventually(reader.is_secured, 15)
        await asyncio.sleep(1)
        reader.card("0A1B2C3D")
        await it.until(lambda r: isinstance(r, Read))


async def test_odd_events_of_the_library_never_end_the_link(tmp_path: Path) -> None:
    reader = Reader(1, a_key())
    odd = random.Random(11)
    async with line(tmp_path, reader) as it:
        await it.up()
        for _ in range(500):
            event = {
                "event": odd.randint(0, 7),
                "reader_no": odd.choice((0, 0, 1, 255)),
                "format": odd.randint(0, 4),
                "length": odd.choice((0, 26, 34, 64, 1000, -1)),
                "type": odd.randint(0, 5),
                "data": odd.randbytes(odd.randint(0, 64)),
                "report": odd.randbytes(odd.randint(0, 8)),
            }
            dropped = odd.sample(sorted(event), odd.choice((0, 0, 1, 2)))
            it.link._hear(1, {name: event[name] for name in event if name not in dropped})
        it.link._hear(9, {"event": 1})
        await asyncio.sleep(0.2)
        reader.card("0A1B2C3D")
        await it.until(lambda r: isinstance(r, Read) and r.value == "0A1B2C3D")


# The command


async def test_the_command_commissions_a_reader_of_the_running_edge(tmp_path: Path) -> None:
    reader = Reader(1, None)
    (tmp_path / "edge-1").mkdir()
    (tmp_path / "edge-1" / "node.json").write_text("{}")
    async with line(tmp_path / "edge-1", reader, keys={}) as it:
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["commission", str(tmp_path), "gate-1", "1"]
        )
        assert done.exit_code == 0, done.output
        assert "key of its own" in done.output
        await it.up()
        assert reader.key is not None
        assert reader.key.hex() not in done.output


def test_the_command_says_when_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anlin.edge.osdp_cli.ANSWER_S", 0.3)
    (tmp_path / "node.json").write_text("{}")
    done = CliRunner().invoke(app, ["commission", str(tmp_path), "gate-1", "1"])
    assert done.exit_code == 1
    assert "is the edge running" in done.output
    assert list((tmp_path / "keys/osdp").iterdir()) == [], "the wish does not stay"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [(["nowhere", "gate-1", "1"], "no edge lives here"), ([".", "../x", "1"], "not a device")],
)
def test_the_command_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "node.json").write_text("{}")
    done = CliRunner().invoke(app, ["commission", *arguments])
    assert done.exit_code == 1
    assert rule in done.output
