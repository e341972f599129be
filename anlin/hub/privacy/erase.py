"""Deleting a person: everything that stands about them, in both databases, on disk, at every edge.

What stays says nothing about anybody: a decision keeps its place, time and outcome; the change log
keeps who did what to a record that no longer has a name.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.contrib.auth.models import User
from django.db import OperationalError, connections, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.entities import HolderKind
from anlin.hub.access.credentials import revoke_all
from anlin.hub.access.models import VisitorPass
from anlin.hub.access.parking import cars_of
from anlin.hub.access.policy import publish
from anlin.hub.audit.guard import rewriting
from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import Change, Rewriting
from anlin.hub.databases import DEFAULT, EVENTS
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Consent, Holder, in_force
from anlin.hub.privacy import forget, traces
from anlin.hub.privacy.subjects import End, holdings


def why_not(holder: Holder) -> str:
    """Say why a person can't be deleted yet, or ""."""
    now = timezone.now()
    if holder.residencies.filter(in_force(now)).exists():
        return _("%(name)s lives here; the home has to end first.") % {"name": holder.name}
    if holder.kind == HolderKind.STAFF.value and holder.status != "left":
        return _("%(name)s works here; record the end of that first.") % {"name": holder.name}
    valid = VisitorPass.objects.filter(holder=holder, not_after__gt=now).order_by("-not_after")
    leave = valid.first()
    if leave is not None:
        # An edge that has never heard of the visitor goes by the pass alone: were its revocation
        # deleted before the pass ends, the pass would open again.
        until = timezone.localtime(leave.not_after).strftime("%Y-%m-%d %H:%M")
        return _("A QR pass would be valid until %(until)s; delete after that.") % {"until": until}
    return ""


def erase(holder: Holder, by: Actor, mark: str) -> dict[str, int]:
    """Delete a person; give how many records of each kind.

    `mark` is the id of the request or run that this is done for; it stays where a name was. It
    may be done again after it was cut off: what is gone is passed over.

    Raises:
        RuleError: the person lives or works here, or a pass is still valid.
    """
    reason = why_not(holder)
    if reason:
        raise RuleError(reason)
    counts: Counter[str] = Counter()
    tokens = traces.tokens_of(holder)
    # The event log first: were it cut off after the records, nothing would tell whose events
    # are left.
    _erase_events(holder, tokens, mark, counts)
    with transaction.atomic(), rewriting(by.name, "a person is forgotten"):
        revoke_all(holder, by)
        _erase_traces(holder, tokens, counts)
        _erase_records(holder, tokens, counts)
    # Once more: what came in meanwhile.
    _erase_events(holder, tokens, mark, counts)
    checkpoint()
    return dict(counts)


def _erase_events(holder: Holder, tokens: traces.Tokens, mark: str, counts: Counter[str]) -> None:
    for found in traces.events_naming(holder, tokens):
        about = [event for event in found if traces.is_about(event, tokens)]
        ids = {event.pk for event in about}
        counts["events.Event"] += forget.forget(about, mark)
        others = [event for event in found if event.pk not in ids]
        counts["events.Event"] += forget.prune(others, tokens.all, mark)
    counts["events.Quarantine"] += traces.quarantined(holder, tokens).update(raw="", rule="")


def _erase_traces(holder: Holder, tokens: traces.Tokens, counts: Counter[str]) -> None:
    counts["state.Presence"] += traces.presences(holder, tokens).delete()[0]
    counts["audit.View"] += traces.looks_at(holder, tokens).delete()[0]
    gone = {"forgotten": True}
    counts["audit.Change"] += traces.changes_of(holder, tokens).update(before=None, after=gone)
    for change in traces.changes_naming(holder, tokens):
        change.before = forget.without(change.before, tokens.all)
        change.after = forget.without(change.after, tokens.all)
        change.save(update_fields=["before", "after"])
        counts["audit.Change"] += 1
    _erase_guardian(holder)
    _erase_signature(holder)


def _erase_guardian(holder: Holder) -> None:
    """Take a guardian's name out of the lines about consents that were given for a child."""
    ids = list(Consent.objects.filter(guardian=holder).values_list("pk", flat=True))
    names = frozenset({holder.name, holder.pk})
    for change in Change.objects.filter(object_id__in=ids):
        change.before = forget.without(change.before, names)
        change.after = forget.without(change.after, names)
        change.save(update_fields=["before", "after"])


def _erase_signature(holder: Holder) -> None:
    """Empty every field that a resident signed: "name (id)", as `Actor.resident` writes it."""
    signature = f"({holder.pk})"
    for table in apps.get_models():
        is_ours = table.__module__.startswith("anlin.hub.")
        if not is_ours or table is Rewriting or table._meta.app_label == "events":
            continue
        for field in table._meta.concrete_fields:
            if isinstance(field, models.CharField) and (field.max_length or 0) >= _SIGNED_CHARS:
                table._base_manager.filter(**{f"{field.attname}__endswith": signature}).update(
                    **{field.attname: ""}
                )


_SIGNED_CHARS = 60
"""No shorter field takes a name and an id."""


def _erase_records(holder: Holder, tokens: traces.Tokens, counts: Counter[str]) -> None:
    community = holder.community
    credentials = list(holder.credentials.values_list("pk", flat=True))
    passes = list(holder.passes.values_list("pk", flat=True))
    cars = list(cars_of(pk=holder.pk))
    user = User.objects.filter(resident_profile__holder=holder).first()
    for one in holdings():
        if one.end is End.BLANK:
            _blank(one.rows(holder), one.blank)
    for one in holdings():
        if one.end is End.DELETE and one.model not in _WITH_THE_HOLDER:
            rows = one.rows(holder)
            counts[one.model] += rows.count()
            rows.model._base_manager.filter(pk__in=list(rows.values_list("pk", flat=True))).delete()
    if user is not None:
        user.delete()
    pk = holder.pk
    holder.delete()
    counts["people.Holder"] += 1
    holder.pk = pk
    publish(
        community,
        holder=[pk],
        credential={*credentials, *cars},
        template=credentials,
        revoked_pass=passes,
        pass_use=passes,
    )
    counts["access.PolicyChange"] += traces.history_of(holder, tokens).delete()[0]


_WITH_THE_HOLDER = frozenset({"people.Holder", "auth.User"})


def _blank(rows: models.QuerySet[Any], values: Any) -> None:
    if values:
        rows.model._base_manager.filter(pk__in=list(rows.values_list("pk", flat=True))).update(
            **values
        )


def checkpoint() -> None:
    """Bring the write-ahead logs into the databases and empty them: old pages lie in them.

    Where somebody reads at this moment the rest stays until the next checkpoint; SQLite makes one
    of its own every thousand pages.
    """
    for name in (DEFAULT, EVENTS):
        connection = connections[name]
        if connection.vendor != "sqlite" or connection.in_atomic_block:
            continue
        with suppress(OperationalError), connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
