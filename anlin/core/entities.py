"""The records that a decision may look at: what the hub compiles and an edge holds.

Values only. What holds them together, by revision, is `core.policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from anlin.core.schedule import Schedule
from anlin.core.words import Word


class Method(Word):
    """How a person or vehicle presents itself."""

    CARD = "card"
    SECURE_CARD = "secure_card"
    PIN = "pin"
    QR = "qr"
    FACE = "face"
    TERMINAL_FACE = "terminal_face"
    PLATE = "plate"
    PHONE = "phone"
    EXIT_BUTTON = "exit_button"


class HolderKind(Word):
    """Why a holder is here."""

    RESIDENT = "resident"
    STAFF = "staff"
    VISITOR = "visitor"


class Status(Word):
    """Whether a holder or credential may be used at all."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    LOST = "lost"
    REVOKED = "revoked"


class Direction(Word):
    """Which way an access point leads."""

    ENTRY = "entry"
    EXIT = "exit"


class PortalKind(Word):
    """What opens."""

    DOOR = "door"
    TURNSTILE = "turnstile"
    BARRIER = "barrier"


class OnPowerLoss(Word):
    """What the lock does without power; a property of the lock, not a wish."""

    FAIL_SAFE = "fail_safe"
    FAIL_SECURE = "fail_secure"


class ExitButton(Word):
    """What a request to exit does: drive the lock, or only say that the opening is lawful.

    `SHUNT` is for a door whose handle opens it mechanically from inside.
    """

    RELEASE = "release"
    SHUNT = "shunt"


class AntiPassback(Word):
    """What entering an area twice without leaving it leads to.

    `SOFT` notes it, `HARD` refuses it, `TIMED` refuses it for `Area.anti_passback_s`.
    """

    OFF = "off"
    SOFT = "soft"
    HARD = "hard"
    TIMED = "timed"


class Outsiders(Word):
    """What becomes of a car that nobody has registered."""

    REFUSE = "refuse"
    ADMIT = "admit"


@dataclass(frozen=True, slots=True)
class Community:
    """The community that the policy belongs to."""

    id: str
    name: str
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class Membership:
    """A holder's belonging to a group (a building, the staff, visitors) for a time.

    A lease that ends takes its group with it at that minute, hub or no hub.
    """

    group: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever a credential belongs to. `label` is what a gate screen may show.

    `needs_time` keeps doors open for longer (wheelchair, pram, old age). `needs_escort` admits
    only together with one who `can_escort`. `points`, where any are given, is the path of a
    visitor to the host: nothing else opens.
    """

    id: str
    label: str
    kind: HolderKind
    memberships: tuple[Membership, ...] = ()
    status: Status = Status.ACTIVE
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    needs_time: bool = False
    needs_escort: bool = False
    can_escort: bool = False
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """What is presented.

    `key` is what a reader reports: a card number, a canonical plate, a PIN's keyed digest
    (`core.pin`), or for a face the credential's own id, which the matcher answers with.
    `household` counts a plate against its household's spaces.
    """

    id: str
    holder: str
    method: Method
    key: str
    status: Status = Status.ACTIVE
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    household: str | None = None


@dataclass(frozen=True, slots=True)
class Household:
    """How many cars of a household may be inside at once; None is any number."""

    id: str
    cars: int | None = None


@dataclass(frozen=True, slots=True)
class Housemate:
    """A holder who lives with another one, for as long as both do."""

    holder: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bike:
    """An e-bike by its radio tag: whose it is, and with whom the owner lives.

    `tag` is in hex capitals. Of homes without such a bike no edge learns who lives together.
    """

    id: str
    tag: str
    holder: str
    household: tuple[Housemate, ...] = ()


@dataclass(frozen=True, slots=True)
class Area:
    """A space bounded by portals. `capacity` 0 is without limit."""

    id: str
    name: str
    anti_passback: AntiPassback = AntiPassback.OFF
    anti_passback_s: float = 900.0
    capacity: int = 0


@dataclass(frozen=True, slots=True)
class Parking:
    """The community's own rule for cars in an area, whose id it carries.

    `residents_enter` False sends residents next door. `stay_s` is how long any car may stay.
    `emergency_enters` opens for the plates of fire, ambulance and police (警, 应急).
    """

    id: str
    outsiders: Outsiders = Outsiders.REFUSE
    residents_enter: bool = True
    stay_s: float | None = None
    emergency_enters: bool = True


@dataclass(frozen=True, slots=True)
class Portal:
    """The thing that opens, with its timers, in seconds. `schedule` unlocks it while active.

    A release unlocks for `grant_s`; an opening is its passage until `entry_s` later.
    `extended_...` are for holders who need time. `relock_on_open_s` locks that long after the
    opening (None: when it closes). The exit button is not heard for `exit_ignore_s` after the
    door closed. Of the portals of one `interlock` only one is open at a time.
    """

    id: str
    name: str
    kind: PortalKind = PortalKind.DOOR
    grant_s: float = 5.0
    held_open_s: float = 30.0
    prealarm_s: float = 10.0
    debounce_s: float = 0.1
    on_power_loss: OnPowerLoss = OnPowerLoss.FAIL_SAFE
    is_escape_route: bool = True
    schedule: str | None = None
    entry_s: float = 0.0
    extended_grant_s: float = 15.0
    extended_held_open_s: float = 60.0
    relock_on_open_s: float | None = None
    exit_button: ExitButton = ExitButton.RELEASE
    exit_ignore_s: float = 0.0
    has_mechanical_exit: bool = False
    needs_first_person: bool = False
    interlock: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class RaisedLevel:
    """A higher assurance level while a schedule holds: two factors at night, one by day."""

    schedule: str
    level: int


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """One portal in one direction: what it accepts, how sure it must be, how many persons."""

    id: str
    name: str
    portal: str
    direction: Direction
    methods: tuple[Method, ...]
    level: int = 1
    is_enabled: bool = True
    area_from: str | None = None
    area_to: str | None = None
    raised: tuple[RaisedLevel, ...] = ()
    persons: int = 1


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Groups x access points x schedule; no schedule means at all times."""

    id: str
    name: str
    groups: tuple[str, ...]
    points: tuple[str, ...]
    schedule: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issuer:
    """A key that signs QR passes: Ed25519 public key, base64."""

    id: str
    public_key: str


@dataclass(frozen=True, slots=True)
class RevokedPass:
    """A pass taken back before its end; kept until it would have ended anyway."""

    id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class PassUse:
    """How often a pass was used at each node, as far as the hub has heard; kept until its end."""

    id: str
    by_node: Mapping[str, int]
    until: datetime


@dataclass(frozen=True, slots=True)
class WatchEntry:
    """A credential that somebody with a legal basis waits for. It never changes a decision.

    Who waits, why and until when the hub knows; a gate only needs to know what to look for.
    """

    id: str
    method: Method
    key: str
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A secret that one node needs, sealed to that node's key; `id` says what for."""

    id: str
    sealed: str


@dataclass(frozen=True, slots=True)
class Template:
    """A face template sealed to one node's key; `id` is the credential's.

    `photo` marks the photograph that the hub keeps of it, empty for none: another mark, or none
    any more, sends the node to ask for it again, and terminals forget what is kept no longer.
    """

    id: str
    holder: str
    model: str
    sealed: str
    photo: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that one node drives: which driver, and that driver's own settings."""

    id: str
    name: str
    node: str
    driver: str
    settings: Mapping[str, Any] = field(default_factory=dict)


Entity = (
    Community
    | Holder
    | Credential
    | Household
    | Bike
    | Area
    | Parking
    | Portal
    | AccessPoint
    | Schedule
    | AccessRule
    | Issuer
    | RevokedPass
    | PassUse
    | WatchEntry
    | SealedKey
    | Template
    | Device
)

KINDS: dict[str, type[Any]] = {
    "community": Community,
    "holder": Holder,
    "credential": Credential,
    "household": Household,
    "bike": Bike,
    "area": Area,
    "parking": Parking,
    "portal": Portal,
    "access_point": AccessPoint,
    "schedule": Schedule,
    "access_rule": AccessRule,
    "issuer": Issuer,
    "revoked_pass": RevokedPass,
    "pass_use": PassUse,
    "watch_entry": WatchEntry,
    "sealed_key": SealedKey,
    "template": Template,
    "device": Device,
}
"""Every kind of entity by the name it travels under."""


def portal_fault(portal: Portal) -> str | None:
    """Say why a portal's settings are dangerous or make no sense, or None.

    A way out must open without power, credential or tool (GB 55024-2022 5.3.6): a lock that
    stays shut without power needs a handle that opens it from inside.
    """
    if (
        portal.is_escape_route
        and portal.on_power_loss is OnPowerLoss.FAIL_SECURE
        and not portal.has_mechanical_exit
    ):
        return (
            f"portal {portal.id}: is on an escape route, stays locked without power "
            "and has no mechanical exit"
        )
    if portal.exit_button is ExitButton.SHUNT and not portal.has_mechanical_exit:
        return (
            f"portal {portal.id}: its exit button does not drive the lock, "
            "and it has no mechanical exit"
        )
    for name, (low, high) in PORTAL_TIMERS.items():
        value = getattr(portal, name)
        if value is not None and not low <= value <= high:
            return f"portal {portal.id}: {name} {value} is not within {low} to {high} s"
    if portal.prealarm_s > portal.held_open_s:
        return (
            f"portal {portal.id}: its warning of {portal.prealarm_s} s is longer than the "
            f"{portal.held_open_s} s it may be open"
        )
    return None


PORTAL_TIMERS: Mapping[str, tuple[float, float]] = {
    "grant_s": (1, 120),
    "entry_s": (0, 60),
    "held_open_s": (3, 3600),
    "prealarm_s": (0, 3600),
    "debounce_s": (0, 2),
    "extended_grant_s": (1, 240),
    "extended_held_open_s": (3, 7200),
    "relock_on_open_s": (0, 60),
    "exit_ignore_s": (0, 30),
}
"""What a portal's timers may be set to, in seconds; a forgotten zero must not open for hours."""
