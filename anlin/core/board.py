"""What a device that decides by itself should hold: its table of people, and the table's digest.

Boards and face terminals keep their own copy of who may pass. This module says what that copy
should be at a time; a driver brings the device to it and reads it back. A digest over what the
device says it holds, equal to the digest of what it should hold, is the proof that a revoked
card is gone from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from anlin.core.access import Evidence, assurance
from anlin.core.codec import canonical_json, to_data
from anlin.core.entities import (
    AccessPoint,
    Credential,
    Direction,
    Holder,
    Membership,
    Method,
    Status,
)
from anlin.core.policy import Policy
from anlin.core.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Row:
    """One credential in a device's table.

    `access` maps an access point to the schedules of which one must hold (empty: always). The
    row is not to be honoured before `valid_from` or from `valid_until` on. `label` is what a
    screen may show. At the points of `not_alone` the credential is not enough by itself (a second
    factor, a second person): a device that asks nobody must not open there.
    """

    credential: str
    holder: str
    label: str
    method: Method
    key: str
    access: Mapping[str, tuple[str, ...]]
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    not_alone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Every row a device should hold, in order of credential id, and the schedules they name."""

    revision: int
    rows: tuple[Row, ...] = ()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)


def digest(rows: Iterable[object]) -> str:
    """Give one hash over rows in whatever order they come; equal sets give equal digests.

    `rows` are dataclasses or JSON data, as wanted or as a device read them back.
    """
    return digest_of_lines(line(row) for row in rows)


def line(row: object) -> bytes:
    """Write one row as it enters a digest; a keeper of many rows writes each of them once."""
    return canonical_json(to_data(row))


def digest_of_lines(lines: Iterable[bytes]) -> str:
    """Give the digest of rows that `line` has written; a row that comes twice counts once."""
    # Canonical JSON has no line break in it, so lines can't run into each other.
    return hashlib.sha256(b"\n".join(sorted(set(lines)))).hexdigest()


def table_for(
    policy: Policy, points: Iterable[str], methods: frozenset[Method], at: datetime
) -> Table:
    """Say what a device that serves `points` and reads `methods` should hold at a time.

    Who is not admitted now is not in it, and no row outlives the credential, its holder or the
    membership that admits: away from the points of `Row.not_alone` a table never admits more than
    `core.access.decide` would, but for what only the edge can know (areas, lockdown).
    """
    here = sorted(set(points))
    rows = []
    schedules: dict[str, Schedule] = {}
    for id_ in sorted(policy.credentials):
        credential = policy.credentials[id_]
        if credential.method not in methods:
            continue
        row = row_for(policy, credential, here, at)
        if row is None:
            continue
        rows.append(row)
        for names in row.access.values():
            schedules.update((name, policy.schedules[name]) for name in names)
    return Table(policy.revision, tuple(rows), schedules)


def row_for(policy: Policy, credential: Credential, points: list[str], at: datetime) -> Row | None:
    """Give one credential's row in the table of a device that serves `points`, or None."""
    holder = policy.holders.get(credential.holder)
    if holder is None or not (_is_standing(credential, at) and _is_standing(holder, at)):
        return None
    if holder.needs_escort:
        return None
    # A device that decides by itself and knows faces is a terminal, whose liveness counts.
    is_face = credential.method is Method.FACE
    shown = Method.TERMINAL_FACE if is_face else credential.method
    access: dict[str, tuple[str, ...]] = {}
    ends = [credential.valid_until, holder.valid_until]
    for point_id in points:
        point = policy.points.get(point_id)
        if point is None or not point.is_enabled or shown not in point.methods:
            continue
        if holder.points and point_id not in holder.points:
            continue
        found = _schedules(policy, holder, point_id, at, ends)
        if found is not None:
            access[point_id] = found
    if not access:
        return None
    sure = assurance(shown, Evidence())
    not_alone = tuple(id_ for id_ in access if _wants_more(policy.points[id_], sure))
    starts = [t for t in (credential.valid_from, holder.valid_from) if t is not None]
    return Row(
        credential.id,
        holder.id,
        holder.label,
        credential.method,
        credential.key,
        access,
        max(starts, default=None),
        min((t for t in ends if t is not None), default=None),
        not_alone,
    )


def _wants_more(point: AccessPoint, sure: int) -> bool:
    """Say whether a point ever asks for more than one credential; the way out never does."""
    highest = max((raised.level for raised in point.raised), default=0)
    is_entry = point.direction is not Direction.EXIT
    return is_entry and (max(1, point.level, highest) > sure or point.persons > 1)


def _schedules(
    policy: Policy, holder: Holder, point: str, at: datetime, ends: list[datetime | None]
) -> tuple[str, ...] | None:
    """Name the schedules on which a holder passes a point; () is always, None is never.

    What admits only until a time adds that time to `ends`; the device is told anew before.
    """
    names: set[str] = set()
    is_always = False
    for membership in holder.memberships:
        if not _is_within(membership, at):
            continue
        for rule in policy.rules_at(point, membership.group):
            if (rule.valid_from is not None and at < rule.valid_from) or (
                rule.valid_until is not None and at >= rule.valid_until
            ):
                continue
            if rule.schedule is not None and rule.schedule not in policy.schedules:
                continue
            ends += [membership.valid_until, rule.valid_until]
            if rule.schedule is None:
                is_always = True
            else:
                names.add(rule.schedule)
    if is_always:
        return ()
    return tuple(sorted(names)) if names else None


def _is_standing(dated: Credential | Holder, at: datetime) -> bool:
    return dated.status is Status.ACTIVE and _is_within(dated, at)


def _is_within(dated: Credential | Holder | Membership, at: datetime) -> bool:
    is_early = dated.valid_from is not None and at < dated.valid_from
    return not is_early and (dated.valid_until is None or at < dated.valid_until)
