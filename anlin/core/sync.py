"""What edge and hub say to each other. Edges call; the hub answers.

Down: one stream of `Delta`, `Command` and `Beat`, resumed by revision and command number.
Up: batches of events, answered by the contiguous seq that the hub has committed. Versions are
negotiated at enrolment: hub N speaks to edge N and N-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from anlin.core.codec import DataError, from_data, to_data
from anlin.core.event import Event
from anlin.core.policy import Delta
from anlin.core.words import Word

VERSION = 1
VERSIONS_SPOKEN = (1,)

MAX_BATCH_EVENTS = 500
"""A batch is one request and one transaction; larger ones only wait longer to fail."""

MAX_BODY_BYTES = 8 * 1024 * 1024

BEAT_S = 5.0
"""How often an idle down-stream says that it lives; three missed beats mean it does not."""

COMMAND_LIFE = timedelta(seconds=10)
"""An open command that comes later is refused: nobody stands there any more."""


class CommandKind(Word):
    """What a person at the hub may ask of an edge."""

    RELEASE = "release"
    HOLD_UNLOCKED = "hold_unlocked"
    HOLD_NORMAL = "hold_normal"
    LOCKDOWN = "lockdown"
    LOCKDOWN_END = "lockdown_end"
    FIRE_RESTORE = "fire_restore"
    HOLD_LOCKED = "hold_locked"
    MAINTENANCE = "maintenance"
    MAINTENANCE_END = "maintenance_end"
    FORGIVE = "forgive"
    PRESENT = "present"


FOR_MANY = frozenset(
    {
        CommandKind.HOLD_NORMAL,
        CommandKind.LOCKDOWN,
        CommandKind.LOCKDOWN_END,
        CommandKind.FIRE_RESTORE,
        CommandKind.MAINTENANCE_END,
        CommandKind.FORGIVE,
    }
)
"""What may be asked of an area's portals ("area:ID") or of all ("*"): never to open."""


@dataclass(frozen=True, slots=True)
class Enrol:
    """A node shows its one-time code and the public key for templates (X25519, base64)."""

    code: str
    public_key: str
    versions: tuple[int, ...]
    software: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The hub's answer: who the node is and the token it signs in with from now on."""

    node: str
    name: str
    community: str
    token: str
    version: int


@dataclass(frozen=True, slots=True)
class Command:
    """One order by a named person, numbered for its node, dead after `expires_at`."""

    number: int
    id: str
    kind: CommandKind
    target: str
    by: str
    issued_at: datetime
    expires_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Beat:
    """The stream lives; the hub's time and newest revision."""

    at: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the node holds is of no use to the hub (newer, or another community): start anew."""

    reason: str


Down = Delta | Command | Beat | Snapshot


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one node, in order, without holes."""

    node: str
    events: tuple[Event, ...]
    rules_as_of: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that the hub can't take, and the rule it breaks."""

    seq: int
    rule: str


@dataclass(frozen=True, slots=True)
class Committed:
    """Everything up to `seq` is durable at the hub; `refused` is set aside, by name."""

    seq: int
    refused: tuple[Refusal, ...] = ()


_DOWN: dict[str, type[Any]] = {
    "delta": Delta,
    "command": Command,
    "beat": Beat,
    "snapshot": Snapshot,
}
_NAMES = {cls: name for name, cls in _DOWN.items()}


def to_down(message: Down) -> dict[str, Any]:
    """Write one message of the down-stream as JSON data."""
    return {"type": _NAMES[type(message)], **to_data(message)}


def from_down(data: Any) -> Down:
    """Read one message of the down-stream.

    Raises:
        DataError: not an object, an unknown type, or a field that does not fit.
    """
    kind = _DOWN.get(str(data.get("type"))) if isinstance(data, dict) else None
    if kind is None:
        raise DataError(f"down-stream: its type is none of {', '.join(_DOWN)}")
    rest = {key: value for key, value in data.items() if key != "type"}
    message: Down = from_data(kind, rest)
    return message
