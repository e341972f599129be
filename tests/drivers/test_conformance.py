"""What every driver must stand, whoever wrote it: found by being there, tried without mercy."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from anlin.core.detection import GalleryAdd, GalleryTemplate
from anlin.core.device import (
    Acknowledge,
    AskLevels,
    Command,
    Refused,
    Release,
    Report,
    Secure,
    Show,
)
from anlin.core.entities import Device
from anlin.drivers.base import Driver, LinkError, drivers
from anlin.testing.link import FakeLink
from anlin.testing.transcripts import TranscriptError, play, read

FOLDER = Path(__file__).parents[1] / "transcripts"
TRANSCRIPTS = sorted(FOLDER.glob("*/*.txt"))
SECRET = "135790246"

DRIVERS = sorted(drivers())
each_driver = pytest.mark.parametrize("name", DRIVERS)

COMMANDS: list[Command] = [
    Release("gate", "r1", 5.0, "decision"),
    Release("gate", "r2", None, "fire"),
    Secure("gate"),
    Show("gate-in", "granted", "请进", "请进", is_granted=True),
    Acknowledge("gate-1", "gate-1/7-1"),
    AskLevels("gate-1"),
    GalleryAdd("m", (GalleryTemplate("lin-face", "lin", ""),)),
]


def make(name: str, path: Path | None = None, **settings: Any) -> Driver:
    """A device of this kind, set up as a transcript says, the first by default."""
    recorded = read(path or next(path for path in TRANSCRIPTS if path.parent.name == name))
    record = Device(
        recorded.device, "东门", "node-1", name, {**recorded.settings, "media": "m", **settings}
    )
    driver: Driver = drivers()[name](record)
    return driver


def recorded_messages(name: str) -> list[tuple[str, bytes]]:
    """Everything that devices of this kind were recorded to say."""
    found = []
    for path in TRANSCRIPTS:
        if path.parent.name == name:
            for _, mark, text in read(path).lines:
                address, _, payload = text.partition(" ")
                # An answer comes only to a question, and a question can't be told to come.
                if mark == "<" and not address.startswith("answer/"):
                    found.append((address, payload.encode()))
    return found


@dataclass
class Running:
    """A driver at work on a fake link."""

    driver: Driver
    link: FakeLink = field(default_factory=FakeLink)
    reports: list[Report] = field(default_factory=list)

    async def hear(self, messages: list[tuple[str, bytes]]) -> list[Report]:
        """Say all of it, then hang up; give what the driver made of it."""
        for address, payload in messages:
            self.link.say(address, payload)
        self.link.hang_up()
        with pytest.raises(LinkError):
            await self.driver.run(self.link, self.reports.append)
        return self.reports


def test_there_are_drivers() -> None:
    assert {"mqtt_gate", "camera"} <= set(DRIVERS)


@each_driver
def test_has_transcripts(name: str) -> None:
    assert any(path.parent.name == name for path in TRANSCRIPTS), f"record one in {FOLDER / name}"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_keeps_to_its_transcripts(path: Path) -> None:
    await play(read(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("value='04A1B2C3'", "value='04A1B2C4'"),
        lambda text: text.replace('"ms":5000', '"ms":9000'),
        lambda text: text + "= Tampered(device='gate-1', is_active=True)\n",
        lambda text: text.replace('> down/voice {"text":"林先生,请进","reader":"in"}\n', ""),
        lambda text: text + "< up/tamper {}\n",
    ],
)
async def test_a_transcript_that_is_not_kept_fails(
    tmp_path: Path, change: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anlin.testing.transcripts.SETTLE_S", 0.1)
    text = (FOLDER / "mqtt_gate/passage_by_card.txt").read_text()
    assert change(text) != text
    path = tmp_path / "mqtt_gate" / "changed.txt"
    path.parent.mkdir()
    path.write_text(change(text))
    with pytest.raises(TranscriptError, match=r"changed\.txt"):
        await play(read(path))


# Bad input


@each_driver
async def test_every_truncation_is_survived(name: str) -> None:
    messages = [
        (address, payload[:end])
        for address, payload in recorded_messages(name)
        for end in range(0, len(payload), 1 + len(payload) // 60)
    ]
    reports = await Running(make(name)).hear(messages)
    assert len(reports) == len(messages)
    refused = [report for report in reports if isinstance(report, Refused)]
    assert len(refused) > len(messages) * 0.9
    assert all(report.device and report.rule for report in refused)


@each_driver
async def test_rubbish_is_survived(name: str) -> None:
    random_ = random.Random(7)
    recorded = recorded_messages(name)
    messages = []
    for _ in range(400):
        address, payload = random_.choice(recorded)
        changed = bytearray(payload)
        for _ in range(random_.randint(1, 8)):
            changed[random_.randrange(len(changed))] = random_.randrange(256)
        messages.append((address, bytes(changed)))
        messages.append((address, random_.randbytes(random_.randint(0, 300))))
        messages.append((bytes(random_.randbytes(12)).decode("latin-1"), payload))
    reports = await Running(make(name)).hear(messages)
    assert len(reports) == len(messages)
    for report in reports:
        # Whatever was let through can be written down.
        repr(report).encode()


HOSTILE = [
    b"",
    b"\0" * 64,
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"1e999",
    b"[" * 2000,
    b'{"id":' * 600,
    b'{"id":"7-1","age_ms":1e999,"type":"face_seen"}',
    b'{"id":"7-1","age_ms":' + b"9" * 3000 + b"}",
    b'{"id":"\\ud800","age_ms":0,"active":true}',
    b'{"id":"\\u0000","age_ms":0,"active":true}',
    b'{"id":"7-1","id":"7-2","age_ms":NaN}',
    "﻿{}".encode(),
    "{}".encode("utf-16"),
]


@each_driver
async def test_hostile_json_is_refused_by_name_and_rule(name: str) -> None:
    driver = make(name)
    addresses = sorted({address for address, _ in recorded_messages(name)})
    for address in addresses:
        for payload in HOSTILE:
            (report,) = await Running(driver).hear([(address, payload)])
            assert isinstance(report, Refused), (address, payload[:40], report)
            assert report.device == driver.id  # type: ignore[attr-defined]
            assert 0 < len(report.rule) < 400
            assert len(report.value) < 400
            repr(report).encode()


@each_driver
async def test_oversized_input_is_refused_briefly(name: str) -> None:
    messages = [
        (address, payload[:-1] + b" " * 9_000_000 + payload[-1:])
        for address, payload in recorded_messages(name)[:3]
    ]
    reports = await Running(make(name)).hear(messages)
    assert all(isinstance(report, Refused) for report in reports)
    assert all(len(repr(report)) < 1000 for report in reports)


@each_driver
async def test_a_secret_is_never_repeated(name: str) -> None:
    told = f'"value":"{SECRET}","text":"{SECRET}","credential":"{SECRET}"'
    spoilt = [
        f"{{{told}",
        f"{{{told}}}",
        f'{{"id":"7-1",{told}}}',
        f'{{"id":"7-1","age_ms":0,"reader":"in","method":"pin",{told},"x":',
        f'{{"id":"7-1","age_ms":-5,"reader":"in","method":"pin",{told}}}',
        f'{{"id":"7-1","age_ms":0,"reader":"nowhere","method":"pin",{told}}}',
        f'{{"type":"face_seen",{told}}}',
        f'["{SECRET}"]',
        f'"{SECRET}"',
    ]
    addresses = sorted({address for address, _ in recorded_messages(name)})
    messages = [(address, text.encode()) for address in addresses for text in spoilt]
    reports = await Running(make(name)).hear(messages)
    assert all(isinstance(report, Refused) for report in reports)
    assert SECRET not in repr(reports)


# Life


@each_driver
async def test_comes_back_after_a_broken_link(name: str) -> None:
    driver = make(name)
    messages = recorded_messages(name)
    first = await Running(driver).hear(messages)
    for _ in range(3):
        again = await Running(driver).hear(messages)
        assert len(again) == len(first)


@each_driver
async def test_a_link_that_is_down_is_said_when_sending(name: str) -> None:
    link, outcomes = FakeLink(), []
    link.is_up = False
    for path in TRANSCRIPTS:
        for command in COMMANDS if path.parent.name == name else []:
            try:
                outcomes.append(await make(name, path).send(link, command))
            except LinkError:
                outcomes.append(None)
    assert None in outcomes
    assert True not in outcomes, "nothing is claimed as done on a dead link"


@each_driver
async def test_stops_when_cancelled(name: str) -> None:
    running = Running(make(name))
    task = asyncio.create_task(running.driver.run(running.link, running.reports.append))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    assert task in done
    assert task.cancelled()


@each_driver
async def test_takes_every_command_and_says_whether_it_was_for_it(name: str) -> None:
    driver = make(name)
    for command in COMMANDS:
        link = FakeLink()
        assert await driver.send(link, command) == bool(link.sent), command


@each_driver
def test_says_what_it_serves(name: str) -> None:
    serves = make(name).serves()
    assert set(serves) == {"portals", "points"}
    assert serves["points"]


# Settings

WRONG: dict[str, list[tuple[dict[str, Any], str]]] = {
    "uhppote": [
        ({"serial": 0}, "serial"),
        ({"serial": "425000001"}, "serial"),
        ({"address": "board.example"}, "address"),
        ({"address": "192.168.1.300"}, "address"),
        ({"bind": "192.168.1.2:5"}, "bind"),
        ({"listen": "192.168.1.2"}, "listen"),
        ({"protocol": "serial"}, "protocol"),
        ({"numbers": "octal"}, "numbers"),
        ({"zone": "Mars/North"}, "zone"),
        ({"capacity": 0}, "capacity"),
        ({"doors": {}}, "doors"),
        ({"doors": {"5": {"portal": "gate", "entry": "gate-in"}}}, "doors"),
        ({"doors": {"1": {"portal": "gate"}}}, "doors"),
        ({"doors": {"1": {"portal": "gate", "entry": "in", "seconds": 0}}}, "seconds"),
        ({"seriall": 5}, "seriall"),
    ],
    "mqtt_gate": [
        ({"readers": []}, "readers"),
        ({"inputs": {"door": 5}}, "inputs"),
        ({"outputs": "door"}, "outputs"),
        ({"buttons": None}, "buttons"),
        ({"reeders": {}}, "reeders"),
    ],
    "camera": [
        ({"source": 5}, "source"),
        ({"source": None}, "source"),
        ({"task": "dreams"}, "task"),
        ({"fps": "fast"}, "fps"),
        ({"fps": 0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"votes": 0}, "votes"),
        ({"point": ""}, "point"),
        ({"point": ["gate-in"]}, "point"),
        ({"poiint": "gate-in"}, "poiint"),
    ],
    "face_terminal": [
        ({"point": ""}, "point"),
        ({"point": 5}, "point"),
        ({"listen": "8090"}, "listen"),
        ({"listen": "127.0.0.1:99999"}, "listen"),
        ({"drives_lock": "yes"}, "drives_lock"),
        ({"drives_lock": True, "portal": ""}, "drives_lock"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": True}, "capacity"),
        ({"tls_cert": "terminal.pem"}, "tls_key"),
        ({"password": "x"}, "password"),
    ],
    "osdp": [
        ({"line": "COM3"}, "line"),
        ({"line": None}, "line"),
        ({"baud": 1200}, "baud"),
        ({"readers": {}}, "readers"),
        ({"readers": {"200": {"point": "gate-in"}}}, "readers"),
        ({"readers": {"1": {"point": "gate-in", "key": "00"}}}, "readers.1.key"),
        ({"reeders": {}}, "reeders"),
    ],
    "modbus": [
        ({"address": "192.0.2.5"}, "address"),
        ({"address": None}, "address"),
        ({"unit": 256}, "unit"),
        ({"poll_ms": 1}, "poll_ms"),
        ({"inputs": []}, "inputs"),
        ({"inputs": {"x": {"kind": "tamper"}}}, "inputs 'x'"),
        ({"inputs": {"0": {"kind": "dream"}}}, "kind"),
        ({"inputs": {"0": {"kind": "contact", "point": "gate"}}}, "needs 'portal'"),
        ({"inputs": {"0": {"kind": "tamper", "inverted": 1}}}, "inverted"),
        ({"outputs": {"gate": {"coil": -1}}}, "coil"),
        ({"outputs": {"gate": {"coil": 1, "colour": 1}}}, "colour"),
        ({"outputs": {"gate": {"coil": 1}, "door": {"coil": 1}}}, "a coil twice"),
        ({"outputs": {"gate": {"coil": 1, "lower_coil": 2}}}, "under_loop"),
        ({"outputts": {}}, "outputts"),
    ],
}


@each_driver
def test_wrong_settings_are_refused_by_device_and_name(name: str) -> None:
    assert WRONG.get(name), f"list wrong settings of {name} here"
    for settings, culprit in WRONG[name]:
        with pytest.raises(ValueError, match=rf"device (gate|cam)-\d.*{culprit}"):
            make(name, **settings)


# Words

WITHOUT_WORDS = {"osdp"}
"""A lamp and a buzzer, and no screen."""


@pytest.mark.parametrize(("text", "language"), [("请进,林先生", "zh"), ("Please come in", "en")])
@each_driver
async def test_speaks_both_languages_where_it_speaks(name: str, text: str, language: str) -> None:
    driver, link = make(name), FakeLink()
    point = sorted(driver.serves()["points"])[0]
    if name in WITHOUT_WORDS:
        assert await driver.send(link, Show(point, "granted", text, text, is_granted=True))
        assert not any(text in payload.decode() for _, payload in link.sent)
    elif await driver.send(link, Show(point, "granted", text, text, is_granted=True)):
        assert len(link.sent) == 2, "on the screen and by voice"
        assert all(text in payload.decode() for _, payload in link.sent)
    else:
        assert link.sent == []
