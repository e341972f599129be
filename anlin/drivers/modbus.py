"""Relay and input modules that speak Modbus TCP (docs/protocols/modbus.md).

The module knows bits by number only; the settings say what is wired to which. The link polls and
times (`anlin.edge.links.modbus`); this codec gives bits their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anlin.core.device import (
    Arm,
    ArmPosition,
    AskLevels,
    Command,
    Contact,
    ContactLevel,
    Fault,
    FireInput,
    Loop,
    LoopPlace,
    Online,
    Read,
    Refused,
    Release,
    Report,
    Secure,
    Tampered,
)
from anlin.core.entities import Device, Method
from anlin.core.words import Word
from anlin.drivers._checks import (
    Wrong,
    flag,
    flag_setting,
    host_and_port,
    json_bytes,
    json_object,
    only_known,
    text_or_empty,
    whole_setting,
)
from anlin.drivers.base import Emit, Link, driver

MAX_PAYLOAD_BYTES = 512
MAX_DETAIL_CHARS = 200
MAX_INPUT = 255
MAX_COIL = 65535
"""A module has 4 to 64 inputs; all of them are read in one request of at most 2000 bits."""

DEFAULT_POLL_MS = 100
LEAST_POLL_MS, MOST_POLL_MS = 20, 5000
BARRIER_PULSE_MS = 500
"""What the push-button inputs of barrier controllers ask for; a longer one counts as "hold"."""

REGISTER_UNIT_MS = 100
"""The unit of time that most modules' pulse ("flash") registers count in."""


class Kind(Word):
    """What is wired to an input."""

    CONTACT = "contact"
    EXIT_BUTTON = "exit_button"
    FIRE = "fire"
    LOOP = "loop"
    UNDER_LOOP = "under_loop"
    ARM_DOWN = "arm_down"
    ARM_UP = "arm_up"
    TAMPER = "tamper"
    MAINS = "mains"


_OF_THE_BOARD = frozenset({Kind.TAMPER, Kind.MAINS})


@dataclass(frozen=True, slots=True)
class Input:
    """One input. `place` is the portal's id, the access point's, or "" for the board itself."""

    number: int
    kind: Kind
    place: str
    is_inverted: bool

    def is_active(self, bit: bool) -> bool:
        """Say whether a bit means what the kind says."""
        return bit is not self.is_inverted


@dataclass(frozen=True, slots=True)
class Output:
    """One portal's coil. `is_fail_safe`: the lock is shut while the coil is on."""

    coil: int
    lower_coil: int | None
    is_fail_safe: bool
    pulse_register: int | None
    pulse_unit_ms: int
    pulse_ms: int


@dataclass(frozen=True, slots=True)
class Wiring:
    """A module's settings, checked."""

    host: str
    port: int
    unit: int
    poll_ms: int
    inputs: Mapping[int, Input] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)

    def of(self, kind: Kind, place: str) -> list[Input]:
        """List the inputs of one kind at one place."""
        return [each for each in self.inputs.values() if (each.kind, each.place) == (kind, place)]

    @property
    def shut(self) -> dict[int, bool]:
        """The state of each coil in which its portal is shut and nothing moves."""
        states: dict[int, bool] = {}
        for output in self.outputs.values():
            states[output.coil] = output.is_fail_safe
            if output.lower_coil is not None:
                states[output.lower_coil] = False
        return states


@driver("modbus")
class Modbus:
    """One module: its inputs become reports, releases become coils."""

    LINK = "modbus"

    def __init__(self, device: Device) -> None:
        self.id = device.id
        self._wiring = wiring(device.id, device.settings)
        self._arms: dict[str, dict[Kind, bool]] = {}

    def serves(self) -> Mapping[str, frozenset[str]]:
        inputs = self._wiring.inputs.values()
        buttons = {each.place for each in inputs if each.kind is Kind.EXIT_BUTTON}
        wired = {each.place for each in inputs if each.kind not in _OF_THE_BOARD}
        return {
            "portals": frozenset(self._wiring.outputs) | (wired - buttons),
            "points": frozenset(buttons),
        }

    async def run(self, link: Link, emit: Emit) -> None:
        async for address, payload in link:
            emit(self.decode(address, payload))

    async def send(self, link: Link, command: Command) -> bool:
        message = self.encode(command)
        if message is None:
            return False
        await link.send(*message)
        return True

    def decode(self, address: str, payload: bytes) -> Report:
        """Read one message of the link; what makes no sense comes back as `Refused`."""
        try:
            data = json_object(payload, MAX_PAYLOAD_BYTES)
            if address == "state":
                return Online(
                    self.id, flag(data, "online"), text_or_empty(data, "detail", MAX_DETAIL_CHARS)
                )
            name, _, number = address.partition("/")
            if name not in {"input", "pressed"} or not number.isascii() or not number.isdigit():
                raise Wrong("not an address of the link")
            # No int of a long text: Python refuses above 4300 digits by a ValueError of its own.
            wired = self._wiring.inputs.get(int(number[:6]))
            if wired is None:
                raise Wrong("input is not wired in this device's settings")
            is_active = wired.is_active(flag(data, "on"))
            if name == "pressed":
                return self._pressed(wired, is_active)
            return self._level(wired, is_active)
        except Wrong as error:
            return Refused(self.id, f"{address[:40]}: {error}", f"{len(payload)} bytes")

    def encode(self, command: Command) -> tuple[str, bytes] | None:
        """Write a command as one message to the link; None where it is not for us."""
        match command:
            case Release() if command.portal in self._wiring.outputs:
                output = self._wiring.outputs[command.portal]
                is_on = not output.is_fail_safe
                if command.seconds is None:
                    return "set", json_bytes({"coil": output.coil, "on": is_on})
                is_arm = output.lower_coil is not None
                pulse = {
                    "id": command.id,
                    "coil": output.coil,
                    "on": is_on,
                    "ms": output.pulse_ms if is_arm else round(command.seconds * 1000),
                    "register": output.pulse_register,
                    "unit_ms": output.pulse_unit_ms,
                }
                return "pulse", json_bytes(pulse)
            case Secure() if command.portal in self._wiring.outputs:
                output = self._wiring.outputs[command.portal]
                if output.lower_coil is None:
                    return "set", json_bytes({"coil": output.coil, "on": output.is_fail_safe})
                return "lower", json_bytes(self._lowering(command.portal, output))
            case AskLevels() if command.device == self.id:
                return "levels", b"{}"
            case _:
                return None

    def _level(self, wired: Input, is_active: bool) -> Report:
        match wired.kind:
            case Kind.CONTACT:
                level = ContactLevel.CLOSED if is_active else ContactLevel.OPEN
                return Contact(wired.place, level)
            case Kind.FIRE:
                return FireInput(wired.place, is_active)
            case Kind.LOOP:
                return Loop(wired.place, is_active)
            case Kind.UNDER_LOOP:
                return Loop(wired.place, is_active, place=LoopPlace.UNDER)
            case Kind.ARM_DOWN | Kind.ARM_UP:
                return self._arm(wired, is_active)
            case Kind.TAMPER:
                return Tampered(self.id, is_active)
            case Kind.MAINS:
                return Fault(self.id, "mains_lost", is_active=not is_active)
            case Kind.EXIT_BUTTON:
                raise Wrong("a button has presses, no level")

    def _pressed(self, wired: Input, is_active: bool) -> Report:
        if wired.kind is not Kind.EXIT_BUTTON or not is_active:
            raise Wrong("not a press of an exit button")
        return Read(wired.place, Method.EXIT_BUTTON, str(wired.number))

    def _arm(self, wired: Input, is_active: bool) -> Report:
        ends = self._arms.setdefault(wired.place, {})
        ends[wired.kind] = is_active
        if ends.get(Kind.ARM_DOWN) and ends.get(Kind.ARM_UP):
            raise Wrong("the arm's switches say up and down at once")
        if ends.get(Kind.ARM_DOWN):
            return Arm(wired.place, ArmPosition.DOWN)
        # With one switch wired, the other end is never claimed: "moving" is all that is known.
        return Arm(wired.place, ArmPosition.UP if ends.get(Kind.ARM_UP) else ArmPosition.MOVING)

    def _lowering(self, portal: str, output: Output) -> dict[str, Any]:
        """Say how to bring an arm down: not onto a car, and not where it is down already."""
        under = self._wiring.of(Kind.UNDER_LOOP, portal)
        down = self._wiring.of(Kind.ARM_DOWN, portal)
        return {
            "portal": portal,
            "coil": output.coil,
            "lower_coil": output.lower_coil,
            "ms": output.pulse_ms,
            "unless": {str(each.number): not each.is_inverted for each in under},
            "needless": {str(each.number): not each.is_inverted for each in down},
        }


def wiring(device: str, settings: Mapping[str, Any]) -> Wiring:
    """Check a module's settings.

    Raises:
        ValueError: names the device and the setting that is wrong.
    """
    only_known(device, settings, _SETTINGS)
    host, port = host_and_port(device, settings.get("address"), "address")
    inputs = _section(device, settings, "inputs")
    outputs = _section(device, settings, "outputs")
    made = Wiring(
        host,
        port,
        whole_setting(device, settings.get("unit", 1), "unit", 0, 255),
        whole_setting(device, settings.get("poll_ms", DEFAULT_POLL_MS), "poll_ms", *_POLLS),
        {each.number: each for each in (_input(device, *item) for item in inputs.items())},
        {portal: _output(device, portal, given) for portal, given in outputs.items()},
    )
    coils = [output.coil for output in made.outputs.values()]
    coils += [o.lower_coil for o in made.outputs.values() if o.lower_coil is not None]
    if len(coils) != len(set(coils)):
        raise ValueError(f"device {device}: setting 'outputs' uses a coil twice")
    for portal, output in made.outputs.items():
        if output.lower_coil is not None and not made.of(Kind.UNDER_LOOP, portal):
            raise ValueError(
                f"device {device}: setting 'outputs': {portal}: lower_coil needs an under_loop "
                "among the inputs; an arm does not come down blind"
            )
    return made


_SETTINGS = {"address", "unit", "poll_ms", "inputs", "outputs", "media"}
_POLLS = (LEAST_POLL_MS, MOST_POLL_MS)
_INPUT_SETTINGS = {"kind", "portal", "point", "inverted"}
_OUTPUT_SETTINGS = {
    "coil",
    "lower_coil",
    "is_fail_safe",
    "pulse_register",
    "pulse_unit_ms",
    "pulse_ms",
}


def _section(device: str, settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = settings.get(name, {})
    if not isinstance(given, Mapping) or not all(isinstance(v, Mapping) for v in given.values()):
        raise ValueError(f"device {device}: setting {name!r} must map to objects")
    return given


def _input(device: str, number: str, given: Mapping[str, Any]) -> Input:
    where = f"inputs {str(number)[:20]!r}"
    if not number.isascii() or not number.isdigit() or not 0 <= int(number[:6]) <= MAX_INPUT:
        raise ValueError(f"device {device}: setting {where}: not a number from 0 to {MAX_INPUT}")
    only_known(device, given, _INPUT_SETTINGS, f"{where}: ")
    kind = given.get("kind")
    if kind not in set(Kind):
        raise ValueError(f"device {device}: setting {where}: kind is not one of {', '.join(Kind)}")
    kind = Kind(kind)
    name = "point" if kind is Kind.EXIT_BUTTON else "portal"
    place = "" if kind in _OF_THE_BOARD else given.get(name)
    if not isinstance(place, str) or (kind not in _OF_THE_BOARD and not place):
        raise ValueError(f"device {device}: setting {where}: a {kind} needs {name!r}")
    is_inverted = flag_setting(device, given.get("inverted", False), f"{where}: 'inverted'")
    return Input(int(number), kind, place, is_inverted)


def _output(device: str, portal: str, given: Mapping[str, Any]) -> Output:
    where = f"outputs {portal[:40]!r}"
    only_known(device, given, _OUTPUT_SETTINGS, f"{where}: ")
    is_fail_safe = flag_setting(
        device, given.get("is_fail_safe", False), f"{where}: 'is_fail_safe'"
    )
    lower, register = given.get("lower_coil"), given.get("pulse_register")
    if lower is not None and is_fail_safe:
        raise ValueError(
            f"device {device}: setting {where}: a barrier's coil is not 'is_fail_safe'"
        )

    def number(name: str, value: object, low: int, high: int) -> int:
        return whole_setting(device, value, f"{where} {name}", low, high)

    return Output(
        number("coil", given.get("coil"), 0, MAX_COIL),
        None if lower is None else number("lower_coil", lower, 0, MAX_COIL),
        is_fail_safe,
        None if register is None else number("pulse_register", register, 0, 65535),
        number("pulse_unit_ms", given.get("pulse_unit_ms", REGISTER_UNIT_MS), 1, 1000),
        number("pulse_ms", given.get("pulse_ms", BARRIER_PULSE_MS), 50, 5000),
    )
