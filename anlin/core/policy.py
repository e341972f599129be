"""What an edge knows: the records that a decision may look at, by revision.

The hub compiles its registry into these and numbers every change from one counter for each
community. An edge holds a replica. Whether it got there by one snapshot or by a thousand
deltas must make no difference, down to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from anlin.core.codec import DataError, canonical_json, from_data, to_data
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
    """Whoever a credential belongs to. `label` is what a gate screen may show."""

    id: str
    label: str
    kind: HolderKind
    memberships: tuple[Membership, ...] = ()
    status: Status = Status.ACTIVE
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What is presented.

    `key` is what a reader reports: a card number, a canonical plate, or for a face the
    credential's own id, which the matcher answers with.
    """

    id: str
    holder: str
    method: Method
    key: str
    status: Status = Status.ACTIVE
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Area:
    """A space bounded by portals."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Portal:
    """The thing that opens, with its timers. `schedule` unlocks it while active."""

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


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """One portal in one direction: what it accepts, and how sure it must be."""

    id: str
    name: str
    portal: str
    direction: Direction
    methods: tuple[Method, ...]
    level: int = 1
    is_enabled: bool = True
    area_from: str | None = None
    area_to: str | None = None


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
class Template:
    """A face template sealed to one node's key; `id` is the credential's."""

    id: str
    holder: str
    model: str
    sealed: str


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
    | Area
    | Portal
    | AccessPoint
    | Schedule
    | AccessRule
    | Issuer
    | RevokedPass
    | Template
    | Device
)

KINDS: dict[str, type[Any]] = {
    "community": Community,
    "holder": Holder,
    "credential": Credential,
    "area": Area,
    "portal": Portal,
    "access_point": AccessPoint,
    "schedule": Schedule,
    "access_rule": AccessRule,
    "issuer": Issuer,
    "revoked_pass": RevokedPass,
    "template": Template,
    "device": Device,
}
"""Every kind of entity by the name it travels under."""


class PolicyError(ValueError):
    """A change that can't be applied; names kind, id, value and rule."""


class RevisionGap(PolicyError):
    """A delta that does not begin where this policy ends; ask again from `has`."""

    def __init__(self, has: int, after: int) -> None:
        super().__init__(f"delta begins after revision {after}, this policy is at {has}")
        self.has = has


@dataclass(frozen=True, slots=True)
class Change:
    """One entity as of one revision; `data` None is a tombstone."""

    revision: int
    kind: str
    id: str
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """Every change with `after` < revision <= `upto`. After 0 it is a full snapshot."""

    after: int
    upto: int
    changes: tuple[Change, ...] = ()


class Policy:
    """The replica that decisions read. One writer; a batch applies whole or not at all."""

    def __init__(self) -> None:
        self.revision = 0
        self._tables: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self.holders: Mapping[str, Holder] = self._tables["holder"]
        self.credentials: Mapping[str, Credential] = self._tables["credential"]
        self.portals: Mapping[str, Portal] = self._tables["portal"]
        self.points: Mapping[str, AccessPoint] = self._tables["access_point"]
        self.schedules: Mapping[str, Schedule] = self._tables["schedule"]
        self.rules: Mapping[str, AccessRule] = self._tables["access_rule"]
        self.issuers: Mapping[str, Issuer] = self._tables["issuer"]
        self.revoked_passes: Mapping[str, RevokedPass] = self._tables["revoked_pass"]
        self.templates: Mapping[str, Template] = self._tables["template"]
        self.devices: Mapping[str, Device] = self._tables["device"]
        self.areas: Mapping[str, Area] = self._tables["area"]
        self._by_key: dict[tuple[Method, str], Credential] = {}
        self._by_point: dict[str, dict[str, tuple[AccessRule, ...]]] = {}

    @property
    def community(self) -> Community | None:
        """The community of this policy, once one is known."""
        table: dict[str, Community] = self._tables["community"]
        return table[min(table)] if table else None

    def credential_for(self, method: Method, key: str) -> Credential | None:
        """Find the credential that a reader's report names."""
        return self._by_key.get((method, key))

    def rules_at(self, point: str, group: str) -> tuple[AccessRule, ...]:
        """List the rules that admit a group at an access point, in order of id."""
        groups = self._by_point.get(point)
        return groups.get(group, ()) if groups is not None else ()

    def apply(self, delta: Delta) -> None:
        """Apply a delta whole.

        Raises:
            RevisionGap: it does not begin at this policy's revision; nothing changed.
            PolicyError: it breaks a rule; nothing changed.
        """
        if delta.after != self.revision and not (delta.after == 0 and not self.revision):
            raise RevisionGap(self.revision, delta.after)
        if delta.upto < delta.after:
            raise PolicyError(f"delta ends at {delta.upto}, before its start {delta.after}")
        staged = _last_of_each(delta)
        new = {key: _entity(change) for key, change in staged.items()}
        self._refuse_shared_keys(new)
        for (kind, id_), entity in new.items():
            self._replace(kind, id_, entity)
        if any(kind == "access_rule" for kind, _ in new):
            self._by_point = _index_rules(self.rules.values())
        self.revision = delta.upto

    def snapshot(self) -> Delta:
        """Give the whole policy as one delta from nothing."""
        return Delta(
            0,
            self.revision,
            tuple(
                Change(self.revision, kind, id_, to_data(table[id_]))
                for kind, table in self._tables.items()
                for id_ in sorted(table)
            ),
        )

    def to_bytes(self) -> bytes:
        """Give the one canonical form; equal policies give equal bytes."""
        return canonical_json(to_data(self.snapshot()))

    def _replace(self, kind: str, id_: str, entity: Any) -> None:
        table = self._tables[kind]
        if kind == "credential":
            old: Credential | None = table.get(id_)
            if old is not None:
                key = (old.method, old.key)
                if self._by_key.get(key) is old:
                    del self._by_key[key]
            if entity is not None:
                self._by_key[entity.method, entity.key] = entity
        if entity is None:
            table.pop(id_, None)
        else:
            table[id_] = entity

    def _refuse_shared_keys(self, new: Mapping[tuple[str, str], Any]) -> None:
        """Two credentials on one key would make the answer depend on their order."""
        seen: dict[tuple[Method, str], str] = {}
        for (kind, id_), entity in new.items():
            if kind != "credential" or entity is None:
                continue
            key = (entity.method, entity.key)
            other = self._by_key.get(key)
            if other is not None and ("credential", other.id) not in new and other.id != id_:
                seen[key] = other.id
            if key in seen:
                raise PolicyError(
                    f"credential {id_}: {entity.method} is already held by {seen[key]}"
                )
            seen[key] = id_


def _last_of_each(delta: Delta) -> dict[tuple[str, str], Change]:
    """Keep the last change to each entity, in order of revision."""
    staged: dict[tuple[str, str], Change] = {}
    previous = delta.after
    for change in delta.changes:
        if not previous <= change.revision <= delta.upto or change.revision <= delta.after:
            raise PolicyError(
                f"{change.kind} {change.id}: revision {change.revision} is out of order "
                f"between {previous} and {delta.upto}"
            )
        previous = change.revision
        key = (change.kind, change.id)
        staged.pop(key, None)
        staged[key] = change
    return staged


def _entity(change: Change) -> Any:
    cls = KINDS.get(change.kind)
    if cls is None:
        raise PolicyError(f"{change.kind} {change.id}: unknown kind of entity")
    if change.data is None:
        return None
    try:
        entity = from_data(cls, change.data)
    except (DataError, ValueError) as error:
        raise PolicyError(f"{change.kind} {change.id}: {error}") from error
    if entity.id != change.id:
        raise PolicyError(f"{change.kind} {change.id}: its data names {entity.id}")
    return entity


def _index_rules(rules: Iterable[AccessRule]) -> dict[str, dict[str, tuple[AccessRule, ...]]]:
    index: dict[str, dict[str, tuple[AccessRule, ...]]] = {}
    for rule in sorted(rules, key=lambda rule: rule.id):
        for point in rule.points:
            groups = index.setdefault(point, {})
            for group in rule.groups:
                groups[group] = (*groups.get(group, ()), rule)
    return index
