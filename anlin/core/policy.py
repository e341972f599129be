"""What an edge knows: the records that a decision may look at, by revision.

The hub compiles its registry into these and numbers every change from one counter for each
community. An edge holds a replica. Whether it got there by one snapshot or by a thousand
deltas must make no difference, down to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anlin.core.codec import DataError, canonical_json, from_data, to_data
from anlin.core.entities import (
    KINDS,
    AccessPoint,
    AccessRule,
    Area,
    Bike,
    Community,
    Credential,
    Device,
    Holder,
    Household,
    Issuer,
    Method,
    Parking,
    PassUse,
    Portal,
    RevokedPass,
    SealedKey,
    Template,
    WatchEntry,
)
from anlin.core.schedule import Schedule

_FACE, _TERMINAL_FACE = Method.FACE, Method.TERMINAL_FACE


RULE_CHARS = 300
"""How much an error says: it becomes an event, and ids and kinds come from outside."""


class PolicyError(ValueError):
    """A change that can't be applied; names kind, id, value and rule."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule if len(rule) <= RULE_CHARS else f"{rule[:RULE_CHARS]}…")


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
        self.parking: Mapping[str, Parking] = self._tables["parking"]
        self.households: Mapping[str, Household] = self._tables["household"]
        self.bikes: Mapping[str, Bike] = self._tables["bike"]
        self.pass_uses: Mapping[str, PassUse] = self._tables["pass_use"]
        self.sealed_keys: Mapping[str, SealedKey] = self._tables["sealed_key"]
        self._watch_entries: Mapping[str, WatchEntry] = self._tables["watch_entry"]
        self._by_key: dict[tuple[Method, str], Credential] = {}
        self._by_tag: Mapping[str, Bike] = {}
        self._watched: dict[tuple[Method, str], tuple[WatchEntry, ...]] = {}
        self._by_point: dict[str, dict[str, tuple[AccessRule, ...]]] = {}
        self._points_of: dict[str, tuple[AccessPoint, ...]] = {}
        self._interlocks: dict[str, tuple[str, ...]] = {}
        self._shared_areas: frozenset[str] = frozenset()

    @property
    def community(self) -> Community | None:
        """The community of this policy, once one is known."""
        table: dict[str, Community] = self._tables["community"]
        return table[min(table)] if table else None

    def credential_for(self, method: Method, key: str) -> Credential | None:
        """Find the credential that a reader's report names.

        A terminal recognises the same enrolled face that a camera does.
        """
        if method is _TERMINAL_FACE:
            method = _FACE
        return self._by_key.get((method, key))

    def bike_by_tag(self, tag: str) -> Bike | None:
        """Find the registered e-bike whose tag was seen."""
        return self._by_tag.get(tag)

    def rules_at(self, point: str, group: str) -> tuple[AccessRule, ...]:
        """List the rules that admit a group at an access point, in order of id."""
        groups = self._by_point.get(point)
        return groups.get(group, ()) if groups is not None else ()

    def points_of(self, portal: str) -> tuple[AccessPoint, ...]:
        """List the access points of a portal, in order of id."""
        return self._points_of.get(portal, ())

    def interlocked_with(self, portal: str) -> tuple[str, ...]:
        """List the other portals of which none may be open while this one opens."""
        return self._interlocks.get(portal, ())

    def portals_of_area(self, area: str) -> tuple[str, ...]:
        """List the portals that lead into or out of an area, in order of id."""
        found = {
            point.portal
            for point in self.points.values()
            if area in (point.area_from, point.area_to)
        }
        return tuple(sorted(found))

    def is_shared(self, area: str) -> bool:
        """Whether the portals of an area belong to more than one node."""
        return area in self._shared_areas

    def watched(self, method: Method, key: str) -> tuple[WatchEntry, ...]:
        """List the watch entries for what was presented, in order of id."""
        if method is _TERMINAL_FACE:
            method = _FACE
        return self._watched.get((method, key), ())

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
        kinds = {kind for kind, _ in new}
        if "access_rule" in kinds:
            self._by_point = _index_rules(self.rules.values())
        if kinds & {"portal", "access_point"}:
            self._index_portals()
        if "bike" in kinds:
            # Two on one tag are a clerk's mistake; who answers must not depend on their order.
            self._by_tag = {self.bikes[id_].tag: self.bikes[id_] for id_ in sorted(self.bikes)}
        if "watch_entry" in kinds:
            self._watched = _index_watch(self._watch_entries.values())
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

    def _index_portals(self) -> None:
        points: dict[str, list[AccessPoint]] = {}
        nodes: dict[str, set[str | None]] = {}
        for id_ in sorted(self.points):
            point = self.points[id_]
            points.setdefault(point.portal, []).append(point)
            portal = self.portals.get(point.portal)
            for area in {point.area_from, point.area_to} - {None}:
                nodes.setdefault(str(area), set()).add(portal.node if portal else None)
        locks: dict[str, list[str]] = {}
        for id_ in sorted(self.portals):
            interlock = self.portals[id_].interlock
            if interlock is not None:
                locks.setdefault(interlock, []).append(id_)
        self._points_of = {portal: tuple(found) for portal, found in points.items()}
        self._interlocks = {
            id_: tuple(other for other in group if other != id_)
            for group in locks.values()
            for id_ in group
        }
        self._shared_areas = frozenset(area for area, found in nodes.items() if len(found) > 1)

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


def _index_watch(
    entries: Iterable[WatchEntry],
) -> dict[tuple[Method, str], tuple[WatchEntry, ...]]:
    index: dict[tuple[Method, str], tuple[WatchEntry, ...]] = {}
    for entry in sorted(entries, key=lambda entry: entry.id):
        key = (entry.method, entry.key)
        index[key] = (*index.get(key, ()), entry)
    return index
