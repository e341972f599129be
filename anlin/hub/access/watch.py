"""Watch entries: proposed by one person, approved by a second, ended by a date at the latest.

They belong to whoever has the legal basis, not to the property company: guards, managers and
installers never see one. An entry changes no decision; a hit is told to those who may know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core import plate
from anlin.core.entities import Method, Status
from anlin.core.event import EventKind
from anlin.hub.access.faults import refuse_window
from anlin.hub.access.models import Credential, Verdict, WatchEntry, WatchFeedback, WatchState
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event
from anlin.hub.people.models import Community, Role, StaffProfile

MAY_BE_TOLD = (Role.COMMITTEE, Role.AUDITOR)
"""Whom an entry may name beside the police liaison; never property staff."""

METHODS = (Method.PLATE, Method.CARD, Method.SECURE_CARD)
"""What can be watched for by its number; a face only as one of our own credentials."""

_CARD = re.compile(r"[0-9A-F]{4,32}")
_MIN_REASON = 4


def may_know(entry: WatchEntry, staff: StaffProfile) -> bool:
    """Say whether a member of staff may see an entry at all."""
    if staff.community_id != entry.community_id:
        return False
    return staff.role == Role.LIAISON or (staff.role in MAY_BE_TOLD and staff.role in entry.roles)


def known_to(staff: StaffProfile) -> list[WatchEntry]:
    """List the entries that a member of staff may see, the newest first."""
    found = WatchEntry.objects.filter(community=staff.community_id).select_related(
        "proposed_by", "approved_by", "community"
    )
    return [entry for entry in found.order_by("-proposed_at", "pk") if may_know(entry, staff)]


def propose_watch(
    community: Community,
    by: Actor,
    *,
    label: str,
    source: str,
    legal_basis: str,
    valid_until: datetime,
    method: Method | None = None,
    key: str = "",
    credential: Credential | None = None,
    roles: Iterable[Role] = (),
) -> WatchEntry:
    """Propose to watch for a plate or card, or for one of our own credentials.

    Nothing is watched for until somebody else approves it.

    Raises:
        RuleError: no person proposes, nothing to look for, no source or legal basis, a role of
            the property, or an end that is over or more than a year away.
    """
    now = timezone.now()
    if by.user is None:
        raise RuleError(_("A named person has to propose this."))
    told = sorted({Role(role) for role in roles})
    for role in told:
        if role not in MAY_BE_TOLD:
            raise RuleError(
                _("%(role)s may not be told: property staff never see these entries.")
                % {"role": role.label},
                "roles",
            )
    for field, text in (("label", label), ("source", source), ("legal_basis", legal_basis)):
        if len(text.strip()) < _MIN_REASON - 2 * (field == "label"):
            raise RuleError(_("Say who asks for it, by which letter and which law."), field)
    if valid_until <= now:
        raise RuleError(_("It would be over already."), "valid_until")
    refuse_window(now, valid_until, WatchEntry.LONGEST)
    found, number = _looked_for(community, method, key, credential)
    entry = WatchEntry(
        community=community,
        credential=credential,
        method=found.value,
        key=number,
        label=label.strip(),
        source=source.strip(),
        legal_basis=legal_basis.strip(),
        roles=[role.value for role in told],
        valid_until=valid_until,
        proposed_by=by.user,
        proposed_at=now,
    )
    with transaction.atomic():
        entry.save(force_insert=True)
        created(by, community, entry, action="propose watch")
    return entry


def approve_watch(entry: WatchEntry, by: Actor) -> None:
    """Put an entry in force, as the second person; edges look for it within seconds.

    Raises:
        RuleError: the proposer approves, it is no proposal any more, or it is over.
    """
    now = timezone.now()
    if by.user is None or by.user.pk == entry.proposed_by_id:
        raise RuleError(_("Who proposed it can't approve it; a second person has to."))
    if entry.valid_until <= now:
        raise RuleError(_("It would be over already."), "valid_until")
    with transaction.atomic():
        taken = WatchEntry.objects.select_for_update().filter(
            pk=entry.pk, state=WatchState.PROPOSED
        )
        fresh = taken.first()
        if fresh is None:
            raise RuleError(_("It is no proposal any more."))
        with changing(by, entry.community, fresh, "approve watch"):
            fresh.state = WatchState.ACTIVE
            fresh.approved_by = by.user
            fresh.approved_at = now
        publish(entry.community, watch_entry=[entry.pk])
    entry.refresh_from_db()


def end_watch(entry: WatchEntry, by: Actor, reason: str) -> None:
    """End an entry, or turn a proposal down; it leaves every edge and the policy's history.

    Raises:
        RuleError: no reason given, or it has ended.
    """
    if len(reason.strip()) < _MIN_REASON:
        raise RuleError(_("Say in a few words why."), "reason")
    with transaction.atomic():
        fresh = (
            WatchEntry.objects.select_for_update()
            .filter(pk=entry.pk)
            .exclude(state=WatchState.ENDED)
            .first()
        )
        if fresh is None:
            raise RuleError(_("It has ended already."))
        with changing(by, entry.community, fresh, "end watch"):
            fresh.state = WatchState.ENDED
            fresh.ended_by = by.name
            fresh.ended_at = timezone.now()
            fresh.end_reason = reason.strip()[:200]
        publish(entry.community, watch_entry=[entry.pk])
    entry.refresh_from_db()


def hits(entry: WatchEntry) -> QuerySet[Event]:
    """Select the hits of an entry, the newest first."""
    found = Event.objects.filter(
        community=entry.community_id, kind=EventKind.WATCH_HIT.value, data__entry=entry.pk
    )
    return found.order_by("-id")


def note_feedback(
    entry: WatchEntry, position: int, verdict: Verdict, by: Actor, *, note: str = ""
) -> WatchFeedback:
    """Write down what came of a hit; asked again, the newer word counts.

    Raises:
        RuleError: the event is no hit of this entry.
    """
    if not hits(entry).filter(pk=position).exists():
        raise RuleError(_("This is no hit of the entry."))
    with transaction.atomic():
        feedback, _is_new = WatchFeedback.objects.update_or_create(
            entry=entry,
            position=position,
            defaults={
                "verdict": verdict.value,
                "note": note.strip()[:200],
                "by": by.name,
                "at": timezone.now(),
            },
        )
        created(by, entry.community, feedback, action="feedback on watch")
    return feedback


def _looked_for(
    community: Community, method: Method | None, key: str, credential: Credential | None
) -> tuple[Method, str]:
    if credential is not None:
        if credential.community_id != community.pk or credential.status == Status.REVOKED.value:
            raise RuleError(_("There is no such credential in use."), "credential")
        if credential.method == Method.PIN.value:
            raise RuleError(_("A PIN can't be watched for."), "credential")
        return Method(credential.method), credential.key
    if method not in METHODS:
        raise RuleError(_("Choose what to look for: a plate or a card."), "method")
    if method is Method.PLATE:
        try:
            return Method.PLATE, plate.parse(key).text
        except plate.PlateError as error:
            raise RuleError(str(error), "key") from error
    number = re.sub(r"[\s:-]", "", key).upper()
    if not _CARD.fullmatch(number):
        raise RuleError(_("A card number is 4 to 32 digits or letters A to F."), "key")
    return Method(method), number
