"""The settings of each driver in an installer's words: which fields there are, and of what kind.

Whether settings are right is decided by the driver itself when it is made of them; here is only
how they are asked for. A driver without an entry is set up as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from anlin.core.words import Word
from anlin.wire.wiegand import FORMATS


class Shape(Word):
    """What a field is filled with."""

    TEXT = "text"
    NUMBER = "number"
    NUMBERS = "numbers"
    DECIMAL = "decimal"
    FLAG = "flag"
    CHOICE = "choice"
    SECRET = "secret"  # noqa: S105  a kind of field
    PORTAL = "portal"
    POINT = "point"


@dataclass(frozen=True, slots=True)
class Ask:
    """One field; `default` True is a flag that holds where the setting is missing.

    One that `is_advanced` is folded away: most sites never need it.
    """

    setting: str
    word: Promise
    shape: Shape = Shape.TEXT
    help: Promise | str = ""
    needed: bool = False
    choices: tuple[tuple[str, Promise | str], ...] = ()
    default: bool = False
    is_advanced: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """A setting that maps names to values: one row each; `key` asks for the name.

    With one column without a setting the name maps straight to its value.
    """

    setting: str
    word: Promise
    key: Ask
    columns: tuple[Ask, ...]
    help: Promise | str = ""


@dataclass(frozen=True, slots=True)
class DriverForm:
    """How one driver is set up."""

    word: Promise
    help: Promise
    fields: tuple[Ask, ...] = ()
    rows: tuple[Rows, ...] = ()
    uses_mqtt: bool = False


def _wire(setting: str, word: Promise, key: Promise, to: Shape, help_: Promise) -> Rows:
    place = _("Gate or door") if to is Shape.PORTAL else _("Access point")
    return Rows(setting, word, Ask("", key), (Ask("", place, to),), help_)


_FORMAT: Mapping[str, Promise] = {
    "auto": _("what the reader sends: told by its length"),
    "wiegand26": _("26 bits"),
    "wiegand34": _("34 bits"),
    "wiegand37": _("37 bits"),
    "raw": _("raw"),
}

_ADDRESS = _("Address in the local network, such as 192.168.1.20:502.")

DRIVERS: Mapping[str, DriverForm] = {
    "mqtt_gate": DriverForm(
        _("Gate controller (MQTT)"),
        _("A controller that speaks Anlin's own MQTT profile; it gets a name and a password."),
        rows=(
            _wire(
                "readers",
                _("Readers"),
                _("Name at the controller"),
                Shape.POINT,
                _("Which access point each reader is at."),
            ),
            _wire(
                "antennas",
                _("Antennas for e-bike tags"),
                _("Name at the controller"),
                Shape.POINT,
                _("Which way out each antenna watches. It never opens or holds anything."),
            ),
            _wire(
                "inputs",
                _("Contacts, loops and fire inputs"),
                _("Name at the controller"),
                Shape.PORTAL,
                _("What each input belongs to."),
            ),
            _wire(
                "outputs",
                _("Relays"),
                _("Name at the controller"),
                Shape.PORTAL,
                _("What each relay opens."),
            ),
            _wire(
                "buttons",
                _("Exit buttons"),
                _("Name at the controller"),
                Shape.POINT,
                _("Which way out each button belongs to."),
            ),
        ),
        uses_mqtt=True,
    ),
    "camera": DriverForm(
        _("Camera"),
        _("Reads faces or plates before one access point; pictures never leave the edge whole."),
        fields=(
            Ask(
                "source",
                _("Where its picture comes from"),
                Shape.SECRET,
                _("Such as rtsp://192.168.1.30/stream1. A password in it stays hidden."),
                needed=True,
            ),
            Ask(
                "task",
                _("Looks for"),
                Shape.CHOICE,
                needed=True,
                choices=(("faces", _("faces")), ("plates", _("number plates"))),
            ),
            Ask("point", _("Access point that it watches"), Shape.POINT, needed=True),
            Ask("fps", _("Pictures a second looked at"), Shape.DECIMAL, _("Empty: 8.")),
            Ask("votes", _("Pictures that must agree"), Shape.NUMBER, _("Empty: 3.")),
            Ask(
                "liveness",
                _("Test faces for being living ones"),
                Shape.FLAG,
                default=True,
            ),
            Ask(
                "threshold",
                _("Score from which a face is known"),
                Shape.DECIMAL,
                _(
                    "0 to 1; higher lets in fewer strangers and refuses more residents. Empty: as "
                    "the model was tested."
                ),
                is_advanced=True,
            ),
            Ask(
                "threshold_model",
                _("Model that this score is for"),
                help=_(
                    "Needed with a score. The edge refuses the score for another model, whose "
                    "scores mean something else."
                ),
                is_advanced=True,
            ),
            Ask(
                "margin",
                _("Lead over the second most alike"),
                Shape.DECIMAL,
                _("Where twins or siblings are taken for each other, raise it. Empty: 0.05."),
                is_advanced=True,
            ),
        ),
    ),
    "osdp": DriverForm(
        _("Readers on an OSDP line (RS-485)"),
        _("Up to 16 readers on one pair of wires, each with its own key."),
        fields=(
            Ask(
                "line",
                _("Line"),
                help=_("/dev/ttyUSB0, or tcp://192.168.1.21:4001 for a serial server."),
                needed=True,
            ),
            Ask("baud", _("Speed in baud"), Shape.NUMBER, _("Empty: 9600.")),
        ),
        rows=(
            Rows(
                "readers",
                _("Readers"),
                Ask("", _("Address"), Shape.NUMBER, _("0 to 126, as set at the reader.")),
                (
                    Ask("point", _("Access point"), Shape.POINT),
                    Ask("portal", _("Gate or door that it drives"), Shape.PORTAL),
                    Ask("output", _("Output of the lock"), Shape.NUMBER),
                    Ask("contact_input", _("Input of the door contact"), Shape.NUMBER),
                    Ask("fire_input", _("Input of the fire alarm"), Shape.NUMBER),
                    Ask("exit_input", _("Input of the exit button"), Shape.NUMBER),
                    Ask("exit_point", _("Way out of that button"), Shape.POINT),
                    Ask("is_secure_card", _("Its cards are hard to forge"), Shape.FLAG),
                    Ask("secure", _("Encrypted (secure channel)"), Shape.FLAG, default=True),
                    Ask(
                        "card_format",
                        _("Cards come as"),
                        Shape.CHOICE,
                        _(
                            "Leave it alone unless the log says “format” or “parity”. Raw takes "
                            "any card unchecked."
                        ),
                        choices=tuple((name, _FORMAT.get(name, name)) for name in FORMATS),
                        is_advanced=True,
                    ),
                    Ask(
                        "inverted_inputs",
                        _("Inputs that are normally closed"),
                        Shape.NUMBERS,
                        _(
                            "Their numbers, such as 0, 2: current flows while nothing is the "
                            "matter, as in most fire alarm loops."
                        ),
                        is_advanced=True,
                    ),
                    Ask(
                        "reversed",
                        _("Sends the card number backwards"),
                        Shape.FLAG,
                        _(
                            "Tick it where the number in the log is the printed one with its pairs "
                            "of digits in reverse order."
                        ),
                        is_advanced=True,
                    ),
                    Ask(
                        "right_aligned",
                        _("Pads card numbers on the left"),
                        Shape.FLAG,
                        _(
                            "Tick it where every card is refused with “parity” and the cable is "
                            "good."
                        ),
                        is_advanced=True,
                    ),
                    Ask(
                        "answers_status",
                        _("May be asked how its inputs stand"),
                        Shape.FLAG,
                        _(
                            "Untick it for a reader that goes offline for two seconds after each "
                            "start."
                        ),
                        default=True,
                        is_advanced=True,
                    ),
                    Ask(
                        "key_name",
                        _("Name of its key file"),
                        help=_(
                            "Only where a key was brought from another edge. Empty: made of the "
                            "device and the address."
                        ),
                        is_advanced=True,
                    ),
                ),
            ),
        ),
    ),
    "uhppote": DriverForm(
        _("Door board (UHPPOTE)"),
        _("A board of one to four doors that decides by its own cards when it is cut off."),
        fields=(
            Ask("serial", _("Serial number"), Shape.NUMBER, needed=True),
            Ask("address", _("Address"), help=_("Such as 192.168.1.22."), needed=True),
            Ask(
                "listen",
                _("The edge listens for its events at"),
                help=_("Address and port of the edge, such as 192.168.1.2:60001. Empty: asks."),
            ),
            Ask(
                "protocol",
                _("Protocol"),
                Shape.CHOICE,
                choices=(("udp", "UDP"), ("tcp", "TCP")),
            ),
            Ask("capacity", _("Cards it can hold"), Shape.NUMBER, _("Empty: 40000.")),
            Ask(
                "numbers",
                _("Card numbers are written"),
                Shape.CHOICE,
                choices=(("decimal", _("decimal")), ("hex", _("hexadecimal"))),
            ),
            Ask("zone", _("Time zone of its clock"), help=_("Empty: Asia/Shanghai.")),
            Ask(
                "bind",
                _("The edge speaks to it from"),
                help=_(
                    "Needed where the edge has two network cards: its own address on the "
                    "boards' network, without a port, such as 192.168.1.2."
                ),
                is_advanced=True,
            ),
        ),
        rows=(
            Rows(
                "doors",
                _("Doors of the board"),
                Ask("", _("Number at the board"), Shape.TEXT, "1 – 4"),
                (
                    Ask("portal", _("Gate or door"), Shape.PORTAL),
                    Ask("entry", _("Way in"), Shape.POINT),
                    Ask("exit", _("Way out"), Shape.POINT),
                    Ask("seconds", _("Unlocks for, in seconds"), Shape.NUMBER),
                ),
            ),
        ),
    ),
    "modbus": DriverForm(
        _("Relay and input module (Modbus TCP)"),
        _("Contacts, buttons, loops and relays of barriers, turnstiles and doors."),
        fields=(
            Ask("address", _("Address"), help=_ADDRESS, needed=True),
            Ask("unit", _("Unit number"), Shape.NUMBER, _("Empty: 1.")),
            Ask("poll_ms", _("Asked each so many milliseconds"), Shape.NUMBER, _("Empty: 100.")),
        ),
        rows=(
            Rows(
                "inputs",
                _("Inputs"),
                Ask("", _("Number"), Shape.TEXT),
                (
                    Ask(
                        "kind",
                        _("What is wired to it"),
                        Shape.CHOICE,
                        choices=(
                            ("contact", _("door contact")),
                            ("exit_button", _("exit button")),
                            ("fire", _("fire alarm")),
                            ("loop", _("loop before the barrier")),
                            ("under_loop", _("loop under the arm")),
                            ("arm_down", _("arm is down")),
                            ("arm_up", _("arm is up")),
                            ("tamper", _("cover of the box")),
                            ("mains", _("mains power")),
                        ),
                    ),
                    Ask("portal", _("Gate or door"), Shape.PORTAL),
                    Ask("point", _("Way out, for a button"), Shape.POINT),
                    Ask("inverted", _("Inverted"), Shape.FLAG),
                ),
            ),
            Rows(
                "outputs",
                _("Relays"),
                Ask("", _("Gate or door"), Shape.PORTAL),
                (
                    Ask("coil", _("Relay that opens"), Shape.NUMBER),
                    Ask("lower_coil", _("Relay that lowers the arm"), Shape.NUMBER),
                    Ask("is_fail_safe", _("Locked while it is on (magnet)"), Shape.FLAG),
                    Ask(
                        "pulse_register",
                        _("Register of its own pulse"),
                        Shape.NUMBER,
                        _(
                            "“Flash on” in the module's manual: it then switches off by itself "
                            "even when the network dies."
                        ),
                        is_advanced=True,
                    ),
                    Ask(
                        "pulse_unit_ms",
                        _("Unit of that register in milliseconds"),
                        Shape.NUMBER,
                        _("By the module's manual. Empty: 100."),
                        is_advanced=True,
                    ),
                    Ask("pulse_ms", _("Pulse in milliseconds"), Shape.NUMBER),
                ),
                _("A relay that lowers needs a loop under the arm: it never comes down blind."),
            ),
        ),
    ),
    "face_terminal": DriverForm(
        _("Face terminal (HTTP)"),
        _("A terminal that calls the edge; it gets only the people whom its own point admits."),
        fields=(
            Ask("point", _("Access point"), Shape.POINT, needed=True),
            Ask("portal", _("Gate or door with its contact"), Shape.PORTAL),
            Ask("drives_lock", _("Its own relay drives the lock"), Shape.FLAG),
            Ask("button_point", _("Way out of the button wired to it"), Shape.POINT),
            Ask(
                "listen",
                _("The edge listens for it at"),
                help=_("Address and port of the edge, such as 0.0.0.0:8090."),
                needed=True,
            ),
            Ask("capacity", _("People it can hold"), Shape.NUMBER, _("Empty: 10000.")),
            Ask("tls_cert", _("Certificate file at the edge")),
            Ask("tls_key", _("Key file at the edge")),
        ),
    ),
}


def family(driver: str) -> Promise | str:
    """Give what a driver's devices are called; its own name where no form knows it."""
    return DRIVERS[driver].word if driver in DRIVERS else driver
