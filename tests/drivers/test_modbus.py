"""What a relay module's bits mean, and what its settings may say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anlin.core.device import Arm, ArmPosition, Contact, ContactLevel, Fault, Refused, Release
from anlin.core.entities import Device
from anlin.drivers.modbus import Modbus, wiring


def board(**settings: Any) -> Modbus:
    given = {"address": "192.0.2.5:502", "media": "m", **settings}
    return Modbus(Device("gate-5", "东门", "node-1", "modbus", given))


def bit(is_on: bool) -> bytes:
    return json.dumps({"on": is_on}).encode()


@pytest.mark.parametrize(
    ("is_on", "inverted", "level"),
    [
        (True, False, ContactLevel.CLOSED),
        (False, False, ContactLevel.OPEN),
        (True, True, ContactLevel.OPEN),
        (False, True, ContactLevel.CLOSED),
    ],
)
def test_a_contact_that_is_cut_reads_as_open(
    is_on: bool, inverted: bool, level: ContactLevel
) -> None:
    wired = {"3": {"kind": "contact", "portal": "gate", "inverted": inverted}}
    assert board(inputs=wired).decode("input/3", bit(is_on)) == Contact("gate", level)


def test_with_one_switch_the_other_end_of_an_arm_is_never_claimed() -> None:
    driver = board(inputs={"0": {"kind": "arm_down", "portal": "barrier"}})
    assert driver.decode("input/0", bit(True)) == Arm("barrier", ArmPosition.DOWN)
    assert driver.decode("input/0", bit(False)) == Arm("barrier", ArmPosition.MOVING)


def test_lost_mains_are_a_fault_until_they_return() -> None:
    driver = board(inputs={"0": {"kind": "mains"}})
    assert driver.decode("input/0", bit(False)) == Fault("gate-5", "mains_lost", is_active=True)
    assert driver.decode("input/0", bit(True)) == Fault("gate-5", "mains_lost", is_active=False)


def test_a_button_reports_presses_and_no_levels() -> None:
    driver = board(inputs={"0": {"kind": "exit_button", "point": "gate-out"}})
    assert isinstance(driver.decode("input/0", bit(True)), Refused)
    assert isinstance(driver.decode("pressed/0", bit(False)), Refused)


@pytest.mark.parametrize("address", ["input/", "input/-1", "input/²", "input/" + "9" * 5000, "x/0"])
def test_an_input_that_is_no_number_is_refused(address: str) -> None:
    driver = board(inputs={"0": {"kind": "mains"}})
    refused = driver.decode(address, bit(True))
    assert isinstance(refused, Refused)
    assert len(refused.rule) < 200


def test_a_fail_safe_lock_is_released_by_switching_its_coil_off() -> None:
    driver = board(outputs={"gate": {"coil": 1, "is_fail_safe": True}})
    message = driver.encode(Release("gate", "r1", None, "fire"))
    assert message == ("set", b'{"coil":1,"on":false}')
    assert wiring("gate-5", {"address": "h:1", "outputs": {"gate": {"coil": 1}}}).shut == {1: False}


def test_an_ipv6_address_is_understood() -> None:
    made = wiring("gate-5", {"address": "[2001:db8::5]:502"})
    assert (made.host, made.port) == ("2001:db8::5", 502)
