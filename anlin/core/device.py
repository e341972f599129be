"""What passes between the engine and a driver: reports up, commands down.

A report says what a device said, in the field's words; a driver adds nothing to it. `origin` is
the device's own id of the message: the engine answers with `Acknowledge(origin)` once the
report's events are durable, and the device keeps it until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anlin.core.access import Evidence
from anlin.core.board import Table
from anlin.core.detection import GalleryAdd, GalleryRemove, WorkerReady, WorkerState
from anlin.core.entities import Direction, Method
from anlin.core.words import Word

NO_EVIDENCE = Evidence()


class ContactLevel(Word):
    """A supervised door contact, read as a level."""

    CLOSED = "closed"
    OPEN = "open"
    SHORT = "short"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Read:
    """A credential was shown at an access point.

    `age_s` is how long ago by the device's own counting; its clock is not asked. `detail` goes
    into the event as it is.
    """

    point: str
    method: Method
    value: str
    origin: str | None = None
    age_s: float = 0.0
    evidence: Evidence = NO_EVIDENCE
    detail: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """The device decided by itself (a board, or a terminal that was cut off) and acted on it.

    `code` is the device's own word for why. Recorded as it is, beside what this edge would have
    said; it never opens anything again.
    """

    point: str
    method: Method
    value: str
    is_granted: bool
    code: str
    origin: str | None = None
    age_s: float = 0.0
    evidence: Evidence = NO_EVIDENCE
    detail: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crossed:
    """Persons (or a vehicle) seen passing through, by light beams, radar or a camera."""

    portal: str
    direction: Direction
    persons: int = 1
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """The level of a portal's contact; sent on change, at connect and periodically."""

    portal: str
    level: ContactLevel
    origin: str | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FireInput:
    """The hard-wired fire input that the device observes; it has already released."""

    portal: str
    is_active: bool
    origin: str | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tampered:
    """The enclosure's tamper switch."""

    device: str
    is_active: bool
    origin: str | None = None
    part: str = ""
    age_s: float = 0.0


class LoopPlace(Word):
    """Where a loop or radar lies, as one drives in."""

    APPROACH = "approach"
    UNDER = "under"


@dataclass(frozen=True, slots=True)
class Loop:
    """A presence loop or radar: a vehicle stands before the barrier or under its arm."""

    portal: str
    is_occupied: bool
    origin: str | None = None
    place: LoopPlace = LoopPlace.APPROACH
    age_s: float = 0.0


class ArmPosition(Word):
    """Where a barrier's arm is. `OFF` is knocked off its bracket."""

    DOWN = "down"
    MOVING = "moving"
    UP = "up"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Arm:
    """The position of a barrier's arm, as read now."""

    portal: str
    position: ArmPosition
    origin: str | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Struck:
    """The arm met something on its way down and went up again (anti-smash)."""

    portal: str
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class TagSeen:
    """An e-bike's radio tag was read by an antenna at an access point. It never opens anything.

    `tag` is in hex capitals.
    """

    device: str
    point: str
    tag: str
    origin: str | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Online:
    """Whether the device, or a named part of it, can be heard; `detail` says how we know."""

    device: str
    is_online: bool
    detail: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault the device has, or had: mains lost, clock lost, secure channel refused."""

    device: str
    rule: str
    is_active: bool
    part: str = ""
    origin: str | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TableState:
    """How far a device's own table of people stands from the one it should hold.

    `wanted` and `held` are digests (`core.board`); equal means proven, row by row as the device
    reads them back. `missing` and `surplus` count rows. `refused` names rows the device would
    not take, with its word for why. `rule` is set where the table can't be held at all.
    """

    device: str
    revision: int
    wanted: str
    held: str
    rows: int
    missing: int = 0
    surplus: int = 0
    capacity: int = 0
    refused: tuple[tuple[str, str], ...] = ()
    rule: str = ""


@dataclass(frozen=True, slots=True)
class PhotoWanted:
    """A device's table needs the photograph of a credential; answered by `Photo`."""

    device: str
    credential: str


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A camera's worker is ready, or its stream changed."""

    device: str
    report: WorkerReady | WorkerState


class Refusal(Word):
    """What was refused, or failed, in one word; the hub has the sentence for it."""

    MESSAGE = "message"
    RELEASE_NOT_SENT = "release_not_sent"
    SETTINGS = "settings"
    UNKNOWN_DRIVER = "unknown_driver"


@dataclass(frozen=True, slots=True)
class Refused:
    """A message the driver could not take; names the device, the value and the rule.

    `code` says what kind of trouble it is, and `portal` which portal it concerns where that is
    known; `rule` is the driver's own word for it, for whoever looks after the device.
    """

    device: str
    rule: str
    value: str = ""
    origin: str | None = None
    code: Refusal = Refusal.MESSAGE
    portal: str = ""


Level = Contact | FireInput | Tampered | Loop | Arm | Fault
"""What stands until it changes. `age_s` is how long ago it was so: a message that was lost and
said again may come after a newer one."""

Report = (
    Read
    | Decided
    | Crossed
    | Contact
    | FireInput
    | Tampered
    | Loop
    | Arm
    | Struck
    | TagSeen
    | Online
    | Fault
    | TableState
    | PhotoWanted
    | WorkerReport
    | Refused
)


@dataclass(frozen=True, slots=True)
class Release:
    """Unlock a portal for `seconds`; None until `Secure`. A device obeys each `id` once."""

    portal: str
    id: str
    seconds: float | None
    cause: str


@dataclass(frozen=True, slots=True)
class Secure:
    """Lock a portal again."""

    portal: str


@dataclass(frozen=True, slots=True)
class Show:
    """Put words on the screen at an access point, and say them.

    `code` is the reason; `text` and `voice` are what a person reads and hears.
    """

    point: str
    code: str
    text: str
    voice: str = ""
    is_granted: bool = False
    seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The device may forget the message it sent as `origin`: it is durable."""

    device: str
    origin: str


@dataclass(frozen=True, slots=True)
class AskLevels:
    """Say every input's level now: we have just started, or just met."""

    device: str


@dataclass(frozen=True, slots=True)
class HoldTable:
    """The whole table of people that a device should hold from now on.

    The driver brings the device to it, reads it back until it is proven, and says so in
    `TableState`. A later table replaces this one.
    """

    device: str
    table: Table


@dataclass(frozen=True, slots=True)
class Photo:
    """The photograph of a credential for a device that asked; None where there is none."""

    device: str
    credential: str
    jpeg: bytes | None


Command = (
    Release
    | Secure
    | Show
    | Acknowledge
    | AskLevels
    | HoldTable
    | Photo
    | GalleryAdd
    | GalleryRemove
)
