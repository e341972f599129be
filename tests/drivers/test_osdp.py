from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlin.core.device import Read, Refused, Release, Show
from anlin.core.entities import Device
from anlin.drivers.osdp import MAX_TENTHS, OsdpLine, read_settings

READER = {"point": "gate-in", "portal": "gate", "output": 0}


def driver(**wiring: Any) -> OsdpLine:
    settings = {"line": "/dev/ttyUSB0", "readers": {"1": {**READER, **wiring}}}
    return OsdpLine(Device("gate-1", "东门", "node-1", "osdp", settings))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({}, "'line' must be"),
        ({"line": "COM3"}, "'line' must be"),
        ({"line": "tcp://10.0.0.5"}, "'line' must be"),
        ({"line": "tcp://10.0.0.5:70000"}, "'line' must be"),
        ({"line": "tcp://u:p@10.0.0.5:4001"}, "'line' must be"),
        ({"baud": 1200}, "'baud' must be one of 9600"),
        ({"baud": True}, "'baud'"),
        ({"readers": {}}, "'readers' must map 1 to 16"),
        ({"readers": {str(n): READER for n in range(17)}}, "'readers' must map 1 to 16"),
        ({"readers": {"127": READER}}, "'readers' must have addresses from 0 to 126"),
        ({"readers": {"x": READER}}, "'readers' must have addresses"),
        ({"readers": {"9" * 5000: READER}}, "'readers' must have addresses"),
        ({"readers": {"1": READER, "01": READER}}, "'readers' has address 1 twice"),
        ({"readers": {"1": "gate-in"}}, "'readers.1' must map"),
        ({"readers": {"1": {}}}, "'readers.1.point' must be set"),
        ({"readers": {"1": {"point": "a", "scbk": "00"}}}, "'readers.1.scbk' is not known"),
        ({"readers": {"1": {"point": "a", "output": 0}}}, "'readers.1.portal' must be set where"),
        ({"readers": {"1": {**READER, "output": -1}}}, "'readers.1.output' must be a number"),
        ({"readers": {"1": {**READER, "exit_input": 1}}}, "exit_point must be set together"),
        (
            {"readers": {"1": {**READER, "contact_input": 1, "fire_input": 1}}},
            "must be different inputs",
        ),
        ({"readers": {"1": {**READER, "card_format": "w26"}}}, "card_format' must be one of auto"),
        (
            {"readers": {"1": {**READER, "card_format": "wiegand37", "reversed": True}}},
            "'readers.1.reversed' is for whole bytes",
        ),
        ({"readers": {"1": {**READER, "secure": "no"}}}, "secure' must be true or false"),
        ({"readers": {"1": {**READER, "key_name": "../../etc/x"}}}, "key_name' must be"),
        ({"readers": {"1": {**READER, "inverted_inputs": 3}}}, "inverted_inputs' must be a list"),
        (
            {"readers": {"1": {**READER, "key_name": "k"}, "2": {**READER, "key_name": "k"}}},
            "'readers' must not share a key_name",
        ),
        ({"keys": "x"}, "'keys' is not known"),
    ],
)
def test_a_wrong_setting_is_named_with_its_rule(settings: dict[str, Any], rule: str) -> None:
    whole = {"line": "/dev/ttyUSB0", "readers": {"1": READER}}
    if settings:
        whole.update(settings)
    else:
        del whole["line"]
    with pytest.raises(ValueError, match="device gate-1: setting") as refused:
        read_settings("gate-1", whole)
    assert rule in str(refused.value)
    assert len(str(refused.value)) < 300


def test_lines_are_serial_ports_or_serial_servers() -> None:
    for line, tcp in [
        ("/dev/ttyUSB0", None),
        ("tcp://192.0.2.7:4001", ("192.0.2.7", 4001)),
        ("tcp://[2001:db8::7]:4001", ("2001:db8::7", 4001)),
        ("tcp://moxa.local:4001", ("moxa.local", 4001)),
    ]:
        assert read_settings("gate-1", {"line": line, "readers": {"1": READER}}).tcp == tcp


def test_a_reader_is_secure_and_has_its_own_key_unless_said_otherwise() -> None:
    settings = read_settings("gate-1", {"line": "/dev/ttyUSB0", "readers": {"1": READER}})
    assert settings.readers[1].secure
    assert settings.readers[1].key_name == "gate-1-1"


def test_a_release_is_at_least_a_tenth_of_a_second_and_at_most_what_a_timer_holds() -> None:
    for seconds, tenths in [(0.0, 1), (0.26, 3), (5.0, 50), (1e9, MAX_TENTHS)]:
        ((_, payload),) = driver().encode(Release("gate", "r", seconds, "decision"))
        assert json.loads(payload)["tenths"] == tenths


def test_a_door_without_a_lock_of_ours_is_not_released() -> None:
    settings = {"line": "/dev/ttyUSB0", "readers": {"1": {"point": "gate-in"}}}
    line = OsdpLine(Device("gate-1", "东门", "node-1", "osdp", settings))
    assert line.encode(Release("gate", "r", 5.0, "decision")) == []
    assert line.serves() == {"portals": frozenset(), "points": frozenset({"gate-in"})}


def test_words_are_not_sent_to_a_reader_without_screen() -> None:
    for _, payload in driver().encode(Show("gate-in", "granted", "林先生,请进", is_granted=True)):
        assert "林" not in payload.decode()


@pytest.mark.parametrize("digits", ["135790246x", "1357902461357", "", None, 1357])
def test_digits_are_not_repeated_in_a_refusal(digits: Any) -> None:
    payload = json.dumps({"reader": 1, "digits": digits}).encode()
    refused = driver().decode("up/pin", payload)
    assert isinstance(refused, Refused)
    assert "1357" not in repr(refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["reader", "bits", "data", "wiegand", "old", "digits", "input", "active", "online", "rule"]
)
ADDRESSES = st.sampled_from(
    [
        *("up/line", "up/reader", "up/fault", "up/card", "up/pin", "up/refused", "up/input"),
        *("up/button", "up/tamper", "x"),
    ]
)


@given(ADDRESSES, st.dictionaries(NAMES, JSON | st.just(1) | st.just("894383c0")))
def test_any_event_is_a_report_and_never_an_error(address: str, data: dict[str, Any]) -> None:
    report = driver(exit_input=1, exit_point="gate-out", contact_input=0).decode(
        address, json.dumps(data).encode()
    )
    repr(report).encode()


@given(ADDRESSES, st.binary(max_size=300))
def test_any_bytes_are_refused_and_never_an_error(address: str, payload: bytes) -> None:
    assert isinstance(driver().decode(address, payload), Refused)


@given(st.binary(max_size=20), st.integers(-3, 200), st.booleans())
def test_any_frame_is_a_card_or_is_refused(data: bytes, bits: int, is_wiegand: bool) -> None:
    message = {"reader": 1, "wiegand": is_wiegand, "bits": bits, "data": data.hex(), "old": False}
    report = driver(card_format="raw").decode("up/card", json.dumps(message).encode())
    assert isinstance(report, Read | Refused)
