"""What is held about a person where no key leads to them.

The event log and what is folded from it, the logs of changes and looks, the policy's history.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connections, models

from anlin.core.entities import Method
from anlin.hub.access.models import PolicyChange
from anlin.hub.audit.models import Change, View
from anlin.hub.databases import DEFAULT, EVENTS
from anlin.hub.events.models import Event, Quarantine
from anlin.hub.people.models import Holder
from anlin.hub.privacy.subjects import holdings
from anlin.hub.state.models import Presence

_WINDOW = 20_000
"""Positions read at a time: a scan of a long log never holds its reader for long."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """By what a person is found in texts: ids and keys that nobody else has."""

    holder: str
    ids: frozenset[str]
    """Of the holder and of every record that is about nobody else."""
    keys: frozenset[str]
    """Card numbers and plates."""

    @property
    def all(self) -> frozenset[str]:
        return self.ids | self.keys | {f"plate:{key}" for key in self.keys}


def tokens_of(holder: Holder) -> Tokens:
    """Collect the ids and keys of a person; call it while the records still stand."""
    ids = {holder.pk}
    for one in holdings():
        table = one.table()
        if one.end != "delete" or table is None or table._meta.pk is None:
            continue
        if isinstance(table._meta.pk, models.CharField):
            ids.update(str(pk) for pk in one.rows(holder).values_list("pk", flat=True))
    secret = (Method.PIN.value, Method.FACE.value, Method.PHONE.value)
    keys = set(holder.credentials.exclude(method__in=secret).values_list("key", flat=True))
    return Tokens(holder.pk, frozenset(ids), frozenset(key for key in keys if len(key) >= 4))


def events_naming(holder: Holder, tokens: Tokens) -> Iterator[list[Event]]:
    """Read the events of a community that name a person, a bounded list at a time."""
    ends = Event.objects.filter(community=holder.community_id).aggregate(
        first=models.Min("pk"), last=models.Max("pk")
    )
    if ends["first"] is None:
        return
    after = ends["first"] - 1
    while after < ends["last"]:
        window = (after, min(after + _WINDOW, ends["last"]))
        after = window[1]
        ids = _matching(
            EVENTS,
            Event._meta.db_table,
            ("data", "subject"),
            tokens.all,
            "community = %s AND id > %s AND id <= %s",
            (holder.community_id, *window),
        )
        if ids:
            yield list(Event.objects.filter(pk__in=ids).order_by("pk"))


def is_about(event: Event, tokens: Tokens) -> bool:
    """Say whether an event is about this person, and not about another whom it goes with."""
    data = event.data if isinstance(event.data, dict) else {}
    whose = data.get("holder")
    if isinstance(whose, str) and whose and whose != tokens.holder:
        return False
    named = (
        event.subject,
        *(data.get(name) for name in ("holder", "credential", "pass", "value", "subject", "plate")),
    )
    return any(isinstance(name, str) and name in tokens.all for name in named)


def quarantined(holder: Holder, tokens: Tokens) -> models.QuerySet[Quarantine]:
    """Select records set aside that name a person."""
    ids = _matching(
        EVENTS,
        Quarantine._meta.db_table,
        ("raw", "rule"),
        tokens.all,
        "community = %s",
        (holder.community_id,),
    )
    return Quarantine.objects.filter(pk__in=ids)


def presences(holder: Holder, tokens: Tokens) -> models.QuerySet[Presence]:
    """Select where a person and their cars were last seen."""
    subjects = {holder.pk, *(f"plate:{key}" for key in tokens.keys)}
    return Presence.objects.filter(community=holder.community_id).filter(
        models.Q(subject__in=subjects) | models.Q(holder=holder.pk)
    )


def changes_of(holder: Holder, tokens: Tokens) -> models.QuerySet[Change]:
    """Select lines of the change log about the person's own records."""
    return Change.objects.filter(community=holder.community_id, object_id__in=tokens.ids)


def changes_naming(holder: Holder, tokens: Tokens) -> models.QuerySet[Change]:
    """Select lines about other records that name the person."""
    ids = _matching(
        DEFAULT,
        Change._meta.db_table,
        ("before", "after"),
        tokens.all,
        "community_id = %s",
        (holder.community_id,),
    )
    return Change.objects.filter(pk__in=ids).exclude(object_id__in=tokens.ids)


def looks_at(holder: Holder, tokens: Tokens) -> models.QuerySet[View]:
    """Select every look at a person and at what is theirs alone."""
    return View.objects.filter(community=holder.community_id, object_id__in=tokens.ids)


def history_of(holder: Holder, tokens: Tokens) -> models.QuerySet[PolicyChange]:
    """Select what the policy has said of a person; what stands now is not history."""
    return PolicyChange.objects.filter(
        community=holder.community_id, entity__in=tokens.ids, replaced_by__isnull=False
    )


def _matching(
    database: str,
    table: str,
    columns: tuple[str, ...],
    tokens: frozenset[str],
    where: str,
    arguments: tuple[Any, ...],
) -> list[int]:
    """Give the ids of rows whose text holds one of the tokens, as JSON writes them or plainly."""
    texts = sorted(tokens | {json.dumps(token)[1:-1] for token in tokens})
    connection = connections[database]
    found: set[int] = set()
    # SQLite takes an expression of at most a thousand levels.
    for start in range(0, len(texts), 50):
        some = texts[start : start + 50]
        tests = " OR ".join(
            f"instr(coalesce({connection.ops.quote_name(column)}, ''), %s) > 0"
            for column in columns
            for _ in some
        )
        values = [text for _ in columns for text in some]
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id FROM {table} WHERE {where} AND ({tests})",  # noqa: S608  no outside text
                [*arguments, *values],
            )
            found.update(row[0] for row in cursor.fetchall())
    return sorted(found)
