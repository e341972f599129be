"""Who is let in only with the office's own yes: barred for a reason and a time, with an appeal.

Looked at when a visit is asked for. Residents learn no more than that the office must approve;
the person barred may write to the office from their own page.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core import plate as core_plate
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Unit
from anlin.hub.people.services import phone_index
from anlin.hub.visits.models import Appeal, Bar, Visit, in_force

LONGEST = timedelta(days=366)
"""A bar is looked at again within a year; nobody is kept out by a line that was forgotten."""


def bar(
    community: Community,
    by: Actor,
    *,
    reason: str,
    until: datetime,
    name: str = "",
    phone: str = "",
    plate: str = "",
    unit: Unit | None = None,
) -> Bar:
    """Bar somebody by telephone, by plate, or by name from one home.

    Raises:
        RuleError: nothing to know the person by, no reason, or an end that is past or too far.
    """
    now = timezone.now()
    if not reason.strip():
        raise RuleError(_("Say why, with the date or number of the paper behind it."), "reason")
    if not now < until <= now + LONGEST:
        raise RuleError(
            _("It ends after today and within %(days)d days.") % {"days": LONGEST.days}, "until"
        )
    digits = "".join(one for one in phone if one.isdigit())
    if not digits and not plate.strip() and not (name.strip() and unit is not None):
        raise RuleError(
            _(
                "Give a telephone number, a plate, or a name together with a home: a name alone "
                "would keep out everybody who is called so."
            ),
            "phone",
        )
    row = Bar(
        community=community,
        name=name.strip()[:60],
        phone_index=phone_index(phone),
        phone_tail=digits[-4:],
        plate=canonical(plate),
        unit=unit,
        reason=reason.strip()[:200],
        until=until,
        barred_by=by.name,
        barred_at=now,
    )
    with transaction.atomic():
        row.save(force_insert=True)
        created(by, community, row, action="bar")
    return row


def lift(row: Bar, by: Actor) -> None:
    """End a bar before its time."""
    with transaction.atomic():
        row.refresh_from_db()
        if row.ended_at is None:
            with changing(by, row.community, row, "lift bar"):
                row.ended_at, row.ended_by = timezone.now(), by.name


def appeal(visit: Visit, text: str, by: Actor) -> bool:
    """Take what a visitor writes against being kept waiting; say whether there was a bar.

    The page says the same either way: who is not barred learns nothing, and neither does a guess.
    """
    now = timezone.now()
    with transaction.atomic():
        rows = [row for row in matching(visit, now) if row.appeal != Appeal.OPEN]
        for row in rows:
            with changing(by, row.community, row, "appeal"):
                row.appeal, row.appealed_at = Appeal.OPEN, now
                row.appeal_text = text.strip()[:500]
                row.answer, row.answered_by, row.answered_at = "", "", None
    return bool(rows)


def answer(row: Bar, by: Actor, *, is_lifted: bool, text: str) -> None:
    """Answer an appeal, with reasons; a bar that is lifted ends now.

    Raises:
        RuleError: nobody has appealed, or no reason is given.
    """
    if not text.strip():
        raise RuleError(_("Say why; the person will read it."), "text")
    with transaction.atomic():
        row.refresh_from_db()
        if row.appeal != Appeal.OPEN:
            raise RuleError(_("There is no appeal that waits for an answer."))
        with changing(by, row.community, row, "answer appeal"):
            row.appeal = Appeal.GRANTED if is_lifted else Appeal.UPHELD
            row.answer, row.answered_by = text.strip()[:500], by.name
            row.answered_at = timezone.now()
            if is_lifted:
                row.ended_at, row.ended_by = row.answered_at, by.name


def matching(visit: Visit, at: datetime) -> QuerySet[Bar]:
    """Give the bars in force that a visit falls under."""
    by_key = Q()
    if visit.phone_index:
        by_key |= Q(phone_index=visit.phone_index)
    if visit.plate:
        by_key |= Q(plate=visit.plate)
    found = Q(pk=None)
    if by_key:
        found |= by_key & (Q(unit=None) | Q(unit=visit.unit_id))
    if visit.name and visit.unit_id:
        found |= Q(name__iexact=visit.name, unit=visit.unit_id)
    return Bar.objects.filter(in_force(at), found, community=visit.community_id)


def canonical(plate: str) -> str:
    """Give a plate as the gates know it, or "" for none.

    Raises:
        RuleError: no plate is written so.
    """
    if not plate.strip():
        return ""
    try:
        return core_plate.parse(plate).text
    except core_plate.PlateError as error:
        raise RuleError(
            _("%(plate)s is no number plate; leave it empty if they come on foot.")
            % {"plate": plate[:12]},
            "plate",
        ) from error
