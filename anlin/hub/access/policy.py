"""The policy compiler: records into numbered changes that edges ask for.

A service says which records it touched; only those are compiled and compared with what edges
were told last. `recompile` does all of them, and must find nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from anlin.core import entities as core
from anlin.core.codec import from_data, to_data
from anlin.core.policy import Change, Delta
from anlin.core.schedule import Schedule as CoreSchedule
from anlin.core.sync import Snapshot
from anlin.hub.access.models import (
    AccessPoint,
    AccessRule,
    Area,
    Credential,
    FaceTemplate,
    Household,
    NodeKey,
    Parking,
    Photo,
    PolicyChange,
    Portal,
    Schedule,
    VisitorPass,
    WatchEntry,
    WatchState,
)
from anlin.hub.devices.models import Device, Node
from anlin.hub.people.models import Community, Holder, HolderStatus, Residency
from anlin.hub.vehicles.models import EBike
from anlin.wire import keys

STAFF = "staff"
VISITORS = "visitors"

_CHUNK = 500
"""Records compiled at a time: bounds memory, and the parameters of one query."""

_WITHOUT_HISTORY = frozenset({"template", "watch_entry", "sealed_key", "bike"})

_Key = tuple[str, str]
"""Entity id, and the one node it is for (empty: all)."""
_Compiled = dict[_Key, dict[str, Any]]
_Compile = Callable[[str, Sequence[str]], _Compiled]


def community_group(community_id: str) -> str:
    """Name the group of everybody who lives in a community."""
    return f"community:{community_id}"


def building_group(building_id: str) -> str:
    """Name the group of everybody who lives in a building."""
    return f"building:{building_id}"


def publish(community: Community, /, **touched: Iterable[str]) -> int:
    """Compile what was touched and number what changed; give the newest revision.

    `touched` maps a kind of entity (`core.entities.KINDS`) to ids. A record that is gone becomes
    a tombstone. Call it in the transaction that touched them. With a holder go the e-bikes of
    their home: an edge has to know who lives with the owner.
    """
    if "holder" in touched:
        holders = set(touched["holder"])
        bikes = {*touched.get("bike", ()), *_bikes_about(community.pk, holders)}
        touched = {**touched, "holder": holders, "bike": bikes}
    with transaction.atomic():
        # The lock makes revisions visible in their order: a node never skips one.
        locked = Community.objects.select_for_update().get(pk=community.pk)
        at = timezone.now()
        revision = locked.policy_revision
        for kind, ids in touched.items():
            unique = iter(sorted(set(ids)))
            while chunk := list(islice(unique, _CHUNK)):
                revision = _publish_chunk(locked, kind, chunk, revision, at)
        if revision != locked.policy_revision:
            locked.policy_revision = revision
            locked.save(update_fields=["policy_revision"])
    community.policy_revision = revision
    return revision


def compile_changes(community: Community) -> int:
    """Compile everything anew; give how many changes had been missed (0 when all is well)."""
    before = Community.objects.get(pk=community.pk).policy_revision
    return publish(community, **_everything(community.pk)) - before


def delta_for(node: Node, after: int) -> Delta | Snapshot:
    """Give what a node must apply to come from revision `after` to the newest.

    After 0 that is everything that stands, without tombstones. A node that is ahead of the hub
    (which was restored from a backup) has to start anew.
    """
    upto = Community.objects.values_list("policy_revision", flat=True).get(pk=node.community_id)
    if after > upto:
        return Snapshot(f"node {node.id}: is at revision {after}, the hub is at {upto}")
    # What stood at `upto`, whatever has been written since: two queries, and no lock needed.
    rows = PolicyChange.objects.filter(
        Q(replaced_by=None) | Q(replaced_by__gt=upto),
        community=node.community_id,
        revision__gt=after,
        revision__lte=upto,
        node__in=("", node.id),
    ).order_by("revision")
    if after == 0:
        rows = rows.filter(data__isnull=False)
    columns = rows.values_list("revision", "kind", "entity", "data")
    changes = tuple(Change(*row) for row in columns.iterator(chunk_size=2000))
    return Delta(after, upto, changes)


def _publish_chunk(
    community: Community, kind: str, ids: Sequence[str], revision: int, at: datetime
) -> int:
    new = _COMPILERS[kind](community.pk, ids)
    current = {
        (row.entity, row.node): row
        for row in PolicyChange.objects.filter(
            community=community, kind=kind, entity__in=ids, replaced_by=None
        )
    }
    replaced: list[PolicyChange] = []
    changes: list[PolicyChange] = []
    # What goes comes first: a card's number may pass from one credential to another.
    for key in sorted(current.keys() | new.keys(), key=lambda key: (key in new, key)):
        row, data = current.get(key), new.get(key)
        if (row.data if row is not None else None) == data:
            continue
        revision += 1
        if row is not None:
            row.replaced_by = revision
            replaced.append(row)
        entity, node = key
        changes.append(
            PolicyChange(
                community=community,
                revision=revision,
                kind=kind,
                entity=entity,
                node=node,
                data=data,
                at=at,
            )
        )
    if kind in _WITHOUT_HISTORY:
        # A face that was withdrawn, whom the police no longer seek, or who once lived together,
        # must not live on in the history of the policy. No decision rests on them.
        PolicyChange.objects.filter(pk__in=[row.pk for row in replaced]).delete()
    else:
        PolicyChange.objects.bulk_update(replaced, ["replaced_by"], batch_size=_CHUNK)
    PolicyChange.objects.bulk_create(changes)
    return revision


def _everything(community_id: str) -> Mapping[str, Iterable[str]]:
    """List every id of every kind: what there is, and what edges were told of."""
    ids: dict[str, set[str]] = {kind: set() for kind in _COMPILERS}
    ids["community"] = ids["issuer"] = {community_id}
    for kind, model in _MODELS.items():
        field = _COMMUNITY_FIELD.get(kind, "community")
        name = _ID_FIELD.get(kind, "pk")
        ids[kind] = set(model.objects.filter(**{field: community_id}).values_list(name, flat=True))
    for kind, entity in PolicyChange.objects.filter(
        community=community_id, replaced_by=None
    ).values_list("kind", "entity"):
        ids[kind].add(entity)
    return ids


def _communities(community_id: str, ids: Sequence[str]) -> _Compiled:
    return _each(
        core.Community(row.id, row.name, row.zone)
        for row in Community.objects.filter(pk=community_id, pk__in=ids)
    )


def _issuers(community_id: str, ids: Sequence[str]) -> _Compiled:
    return _each(
        core.Issuer(row.id, keys.public_signing_key(row.issuer_key))
        for row in Community.objects.filter(pk=community_id, pk__in=ids)
    )


def _holders(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = Holder.objects.filter(community=community_id, pk__in=ids).select_related("host")
    way = _Way(community_id)
    return _each(
        core.Holder(
            row.id,
            row.label,
            core.HolderKind(row.kind),
            _memberships(row),
            _HOLDER_STATUS[HolderStatus(row.status)],
            row.valid_from,
            row.valid_until,
            row.needs_time,
            row.needs_escort,
            row.can_escort,
            way.to(row),
        )
        for row in rows.prefetch_related("residencies__unit", "visit_windows")
    )


def way_to_host(holder: Holder) -> tuple[str, ...]:
    """List the only access points that a visitor finds open; none means no such limit."""
    return _Way(holder.community_id).to(holder)


class _Way:
    """The access points on a visitor's way to the host, asked of the database at most once."""

    def __init__(self, community_id: str) -> None:
        self._community = community_id
        self._known: list[tuple[str, str | None]] | None = None

    def to(self, holder: Holder) -> tuple[str, ...]:
        """Give the community's own points and those of the host's building, or none for all.

        Where no portal is said to belong to a building, nothing tells the way from elsewhere.
        """
        if holder.kind != core.HolderKind.VISITOR or holder.host is None:
            return ()
        if self._known is None:
            rows = AccessPoint.objects.filter(portal__community=self._community)
            self._known = list(rows.order_by("pk").values_list("pk", "portal__building_id"))
        if all(building is None for _, building in self._known):
            return ()
        here = (None, holder.host.building_id)
        return tuple(point for point, building in self._known if building in here)


_HOLDER_STATUS = {
    HolderStatus.ACTIVE: core.Status.ACTIVE,
    HolderStatus.SUSPENDED: core.Status.SUSPENDED,
    HolderStatus.LEFT: core.Status.REVOKED,
}


def _memberships(holder: Holder) -> tuple[core.Membership, ...]:
    """Give the groups of a holder. One that has ended stays: it is the reason of a denial."""
    found: set[core.Membership] = set()
    if holder.kind == core.HolderKind.STAFF:
        found.add(core.Membership(STAFF))
    elif holder.kind == core.HolderKind.VISITOR:
        windows = holder.visit_windows.all()
        found |= {core.Membership(VISITORS, one.starts_at, one.ends_at) for one in windows}
        if not windows:
            found.add(core.Membership(VISITORS))
    for residency in holder.residencies.all():
        for group in (
            community_group(holder.community_id),
            building_group(residency.unit.building_id),
        ):
            found.add(core.Membership(group, residency.starts_at, residency.ends_at))
    return tuple(sorted(found, key=lambda m: (m.group, str(m.valid_from), str(m.valid_until))))


def _credentials(community_id: str, ids: Sequence[str]) -> _Compiled:
    """Compile credentials; a revoked one gives way to a newer one with the same key.

    A revoked PIN goes at once: its digits may be the duress code of somebody's new one, which
    must open.
    """
    same_key = Credential.objects.filter(
        community=OuterRef("community"), method=OuterRef("method"), key=OuterRef("key")
    ).exclude(pk=OuterRef("pk"))
    revoked = core.Status.REVOKED.value
    rows = Credential.objects.filter(community=community_id, pk__in=ids).exclude(
        Q(status=revoked)
        & (
            Q(method=core.Method.PIN.value)
            | Exists(same_key.filter(~Q(status=revoked) | Q(created_at__gt=OuterRef("created_at"))))
        )
    )
    return _each(
        core.Credential(
            row.id,
            row.holder_id,
            core.Method(row.method),
            row.key,
            core.Status(row.status),
            row.valid_from,
            row.valid_until,
            household_of(row.holder) if row.method == core.Method.PLATE else None,
        )
        for row in rows.select_related("holder").prefetch_related(
            "holder__residencies__unit__household"
        )
    )


def household_of(holder: Holder) -> str | None:
    """Give the household whose spaces a holder's cars take, where a home has a number of them.

    Of several homes it is the one lived in for longest from now; the clock has no say, so that
    the policy changes only when a record does.
    """
    homes = [home for home in holder.residencies.all() if hasattr(home.unit, "household")]
    if not homes:
        return None
    return max(homes, key=_staying).unit.household.pk


def _staying(home: Residency) -> tuple[bool, str, bool, str, str]:
    return (
        home.ends_at is None,
        str(home.ends_at),
        home.starts_at is not None,
        str(home.starts_at),
        home.pk,
    )


def _households(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = Household.objects.filter(unit__building__community=community_id, pk__in=ids)
    return _each(core.Household(row.id, row.cars) for row in rows)


def _bikes(community_id: str, ids: Sequence[str]) -> _Compiled:
    """Compile the e-bikes that are known by a tag, with who lives with their owners."""
    rows = EBike.objects.filter(community=community_id, pk__in=ids, ended_at=None).exclude(tag="")
    homes = "owner__residencies__unit__residencies"
    return _each(
        core.Bike(row.id, row.tag, row.owner_id, _housemates(row.owner))
        for row in rows.select_related("owner").prefetch_related(homes)
    )


def _housemates(owner: Holder) -> tuple[core.Housemate, ...]:
    """Give who lives in the owner's homes, each for the time that they share one."""
    found: set[core.Housemate] = set()
    for own in owner.residencies.all():
        for other in own.unit.residencies.all():
            since = _later(own.starts_at, other.starts_at)
            until = _earlier(own.ends_at, other.ends_at)
            is_shared = since is None or until is None or since < until
            if other.holder_id != owner.pk and is_shared:
                found.add(core.Housemate(other.holder_id, since, until))
    return tuple(sorted(found, key=lambda m: (m.holder, str(m.valid_from), str(m.valid_until))))


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one is not None and other is not None else one or other


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one is not None and other is not None else one or other


def _named(bike: Mapping[str, Any]) -> Iterable[str]:
    """Name the holders of whom a compiled e-bike tells."""
    return (bike["holder"], *(mate["holder"] for mate in bike.get("household", ())))


def _bikes_about(community_id: str, holders: Set[str]) -> set[str]:
    """Name the e-bikes of some holders and of those who live with them.

    What edges were told is looked through as well: a holder who was erased has no home any more.
    """
    told = PolicyChange.objects.filter(
        community=community_id, kind="bike", replaced_by=None, data__isnull=False
    ).values_list("entity", "data")
    found = {
        entity
        for entity, data in told.iterator(chunk_size=2000)
        if data is not None and not holders.isdisjoint(_named(data))
    }
    tagged = EBike.objects.filter(community=community_id, ended_at=None).exclude(tag="")
    if not tagged.exists():
        return found
    ids = iter(sorted(holders))
    while chunk := list(islice(ids, _CHUNK)):
        homes = Residency.objects.filter(holder__in=chunk).values("unit")
        near = Residency.objects.filter(unit__in=homes).values("holder")
        whose = Q(owner__in=chunk) | Q(owner__in=near)
        found.update(tagged.filter(whose).values_list("pk", flat=True))
    return found


def _areas(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = Area.objects.filter(community=community_id, pk__in=ids)
    return _each(
        core.Area(
            row.id,
            row.name,
            core.AntiPassback(row.anti_passback),
            row.anti_passback_s,
            row.capacity,
        )
        for row in rows
    )


def _parking(community_id: str, ids: Sequence[str]) -> _Compiled:
    return _each(
        core.Parking(
            row.area_id,
            core.Outsiders(row.outsiders),
            row.residents_enter,
            row.stay_s,
            row.emergency_enters,
        )
        for row in Parking.objects.filter(area__community=community_id, pk__in=ids)
    )


def _portals(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = Portal.objects.filter(community=community_id, pk__in=ids)
    return _each(core_portal(row) for row in rows)


def core_portal(row: Portal) -> core.Portal:
    """Give a portal as its state machine sees it."""
    return core.Portal(
        row.id,
        row.name,
        core.PortalKind(row.kind),
        row.grant_s,
        row.held_open_s,
        row.prealarm_s,
        row.debounce_s,
        core.OnPowerLoss(row.on_power_loss),
        row.is_escape_route,
        row.schedule_id,
        row.entry_s,
        row.extended_grant_s,
        row.extended_held_open_s,
        row.relock_on_open_s,
        core.ExitButton(row.exit_button),
        row.exit_ignore_s,
        row.has_mechanical_exit,
        row.needs_first_person,
        row.interlock or None,
        row.node_id,
    )


def _points(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = AccessPoint.objects.filter(portal__community=community_id, pk__in=ids)
    return _each(core_point(row) for row in rows)


def core_point(row: AccessPoint) -> core.AccessPoint:
    """Give an access point as decisions see it."""
    return core.AccessPoint(
        row.id,
        row.name,
        row.portal_id,
        core.Direction(row.direction),
        tuple(core.Method(method) for method in row.methods),
        row.level,
        row.is_enabled,
        row.area_from_id,
        row.area_to_id,
        tuple(from_data(core.RaisedLevel, raised) for raised in row.raised),
        row.persons,
    )


def _schedules(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = Schedule.objects.filter(community=community_id, pk__in=ids).select_related("holidays")
    return _each(core_schedule(row) for row in rows)


def core_schedule(row: Schedule) -> CoreSchedule:
    """Give a schedule as decisions see it, its holidays written out as special days.

    Raises:
        DataError, ValueError: a period or special day that breaks a rule of `core.schedule`.
    """
    own = {str(day.get("on")) for day in row.special if isinstance(day, Mapping)}
    dates = row.holidays.dates if row.holidays is not None else ()
    holidays = [{"on": on, "periods": row.holiday_periods} for on in dates if on not in own]
    return from_data(
        CoreSchedule,
        {
            "id": row.id,
            "name": row.name,
            "zone": row.zone,
            "weekly": row.weekly,
            "special": [*row.special, *holidays],
        },
    )


def _rules(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = AccessRule.objects.filter(community=community_id, pk__in=ids)
    return _each(
        core.AccessRule(
            row.id,
            row.name,
            tuple(row.groups),
            tuple(sorted(point.pk for point in row.points.all())),
            row.schedule_id,
            row.valid_from,
            row.valid_until,
        )
        for row in rows.prefetch_related("points")
    )


def _revoked_passes(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = VisitorPass.objects.filter(community=community_id, pk__in=ids, revoked_at__isnull=False)
    return _each(core.RevokedPass(row.id, row.not_after) for row in rows)


def _pass_uses(community_id: str, ids: Sequence[str]) -> _Compiled:
    """Compile how often passes were used; one without limit needs no counting."""
    rows = VisitorPass.objects.filter(community=community_id, pk__in=ids, uses__gt=0)
    return _each(
        core.PassUse(row.id, row.used_by_node, row.not_after) for row in rows if row.used_by_node
    )


def _watch_entries(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = WatchEntry.objects.filter(
        community=community_id, pk__in=ids, state=WatchState.ACTIVE, approved_by__isnull=False
    )
    return _each(
        core.WatchEntry(row.id, core.Method(row.method), row.key, row.valid_until) for row in rows
    )


def _sealed_keys(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = NodeKey.objects.filter(node__community=community_id, use__in=ids)
    return {(row.use, row.node_id): to_data(core.SealedKey(row.use, row.sealed)) for row in rows}


def _templates(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = FaceTemplate.objects.filter(credential__community=community_id, credential__in=ids)
    kept = Photo.objects.filter(credential__community=community_id, credential__in=ids)
    marks = {row.credential_id: row.mark for row in kept}
    return {
        (row.credential_id, row.node_id): to_data(
            core.Template(
                row.credential_id,
                row.credential.holder_id,
                row.model,
                row.sealed,
                marks.get(row.credential_id, ""),
            )
        )
        for row in rows.select_related("credential")
    }


def _devices(community_id: str, ids: Sequence[str]) -> _Compiled:
    rows = Device.objects.filter(node__community=community_id, pk__in=ids)
    return {
        (row.id, row.node_id): to_data(
            core.Device(row.id, row.name, row.node_id, row.driver, row.settings)
        )
        for row in rows
    }


def _each(entities: Iterable[Any]) -> _Compiled:
    return {(entity.id, ""): to_data(entity) for entity in entities}


_COMPILERS: dict[str, _Compile] = {
    "community": _communities,
    "issuer": _issuers,
    "sealed_key": _sealed_keys,
    "area": _areas,
    "parking": _parking,
    "schedule": _schedules,
    "portal": _portals,
    "access_point": _points,
    "access_rule": _rules,
    "holder": _holders,
    "household": _households,
    "bike": _bikes,
    "credential": _credentials,
    "template": _templates,
    "revoked_pass": _revoked_passes,
    "pass_use": _pass_uses,
    "watch_entry": _watch_entries,
    "device": _devices,
}

_MODELS: dict[str, type[Any]] = {
    "sealed_key": NodeKey,
    "area": Area,
    "parking": Parking,
    "schedule": Schedule,
    "portal": Portal,
    "access_point": AccessPoint,
    "access_rule": AccessRule,
    "holder": Holder,
    "household": Household,
    "bike": EBike,
    "credential": Credential,
    "template": FaceTemplate,
    "revoked_pass": VisitorPass,
    "pass_use": VisitorPass,
    "watch_entry": WatchEntry,
    "device": Device,
}

_ID_FIELD = {"template": "credential_id", "sealed_key": "use"}

_COMMUNITY_FIELD = {
    "access_point": "portal__community",
    "sealed_key": "node__community",
    "parking": "area__community",
    "household": "unit__building__community",
    "template": "credential__community",
    "device": "node__community",
}
