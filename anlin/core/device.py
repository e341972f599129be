"""What passes between the engine and a driver: reports up, commands down.

A report says what a device said, in the field's words; a driver adds nothing to it. `origin` is
the device's own id of the message: the engine answers with `Acknowledge(origin)` once the
report's events are durable, and the device keeps it until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anlin.core.access import Evidence
from anlin.core.detection import GalleryAdd, GalleryRemove, WorkerReady, WorkerState
from anlin.core.policy import Method
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
class Contact:
    """The level of a portal's contact; sent on change, at connect and periodically."""

    portal: str
    level: ContactLevel
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class FireInput:
    """The hard-wired fire input that the device observes; it has already released."""

    portal: str
    is_active: bool
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Tampered:
    """The enclosure's tamper switch."""

    device: str
    is_active: bool
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """A presence loop or radar: a vehicle stands before the barrier, or has left."""

    portal: str
    is_occupied: bool
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Online:
    """Whether the device can be heard; `detail` says how that is known."""

    device: str
    is_online: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A camera's worker is ready, or its stream changed."""

    device: str
    report: WorkerReady | WorkerState


@dataclass(frozen=True, slots=True)
class Refused:
    """A message the driver could not take; names the device, the value and the rule."""

    device: str
    rule: str
    value: str = ""
    origin: str | None = None


Report = Read | Contact | FireInput | Tampered | Loop | Online | WorkerReport | Refused


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


Command = Release | Secure | Show | Acknowledge | AskLevels | GalleryAdd | GalleryRemove
