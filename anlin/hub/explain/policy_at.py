"""The policy as it stood at a revision, as much of it as one decision looks at.

A community has a few hundred gates and rules and tens of thousands of people. The former are
read once for each revision and kept; of the latter only those whom the decision is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.db.models import Q, QuerySet

from anlin.core.policy import Change, Delta, Policy
from anlin.hub.access.models import PolicyChange
from anlin.hub.people.models import Community

REVISIONS_KEPT = 16
"""Whoever looks into a morning's refusals meets few revisions; each is some 100 KiB."""

_WHOLE = ("community", "area", "parking", "portal", "access_point", "schedule", "access_rule")
_MOST_NAMED = 50


class UnknownRevision(LookupError):
    """A revision that the hub does not have: it was restored from a backup, or none was given."""


def policy_at(
    community: Community,
    revision: int,
    *,
    holders: Iterable[str] = (),
    credentials: Iterable[str] = (),
    keys: Iterable[tuple[str, str]] = (),
    passes: Iterable[str] = (),
) -> Policy:
    """Give the policy of a revision with these holders, credentials and passes in it.

    `keys` names credentials by method and key. The holders and households of credentials come
    along.

    Raises:
        UnknownRevision: the hub has no policy of that number.
    """
    if not 0 < revision <= community.policy_revision:
        raise UnknownRevision(revision)
    found = list(_named(community.pk, revision, "credential", credentials))
    for method, key in keys:
        rows = _standing(community.pk, revision).filter(
            kind="credential", data__key=key, data__method=method
        )
        found += _changes(rows[:1])
    owners = {str(change.data["holder"]) for change in found if change.data}
    homes = {change.data.get("household") for change in found if change.data}
    changes = {
        (change.kind, change.id): change
        for change in (
            *_whole(community.pk, revision),
            *found,
            *_named(community.pk, revision, "holder", {*holders, *owners}),
            *_named(community.pk, revision, "household", {str(home) for home in homes if home}),
            *_named(community.pk, revision, "revoked_pass", passes),
        )
    }
    policy = Policy()
    ordered = sorted(changes.values(), key=lambda change: change.revision)
    policy.apply(Delta(0, revision, tuple(ordered)))
    return policy


@lru_cache(maxsize=REVISIONS_KEPT)
def _whole(community_id: str, revision: int) -> tuple[Change, ...]:
    """Read the kinds of which every record counts. A revision that was given out never changes."""
    return _changes(_standing(community_id, revision).filter(kind__in=_WHOLE))


def _named(community_id: str, revision: int, kind: str, ids: Iterable[str]) -> tuple[Change, ...]:
    wanted = sorted({id_ for id_ in ids if id_})[:_MOST_NAMED]
    if not wanted:
        return ()
    return _changes(_standing(community_id, revision).filter(kind=kind, entity__in=wanted))


def _standing(community_id: str, revision: int) -> QuerySet[PolicyChange]:
    return PolicyChange.objects.filter(
        Q(replaced_by=None) | Q(replaced_by__gt=revision),
        community=community_id,
        revision__lte=revision,
        node="",
        data__isnull=False,
    )


def _changes(rows: QuerySet[PolicyChange]) -> tuple[Change, ...]:
    columns: Iterable[tuple[int, str, str, Mapping[str, Any] | None]] = rows.values_list(
        "revision", "kind", "entity", "data"
    )
    return tuple(Change(*row) for row in columns)
