"""What a visitor presents: made when the home agrees, taken back when the visit is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from anlin.core import visit as core
from anlin.core.access import PASS_SKEW
from anlin.core.entities import HolderKind, Method, Status
from anlin.hub.access.credentials import add_plate, revoke_all, revoke_credential
from anlin.hub.access.models import AccessPoint, Credential
from anlin.hub.access.passes import MAX_POINTS, issue_pass, revoke_pass
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing, deleted
from anlin.hub.errors import RuleError
from anlin.hub.people import services as people
from anlin.hub.people.models import HolderStatus
from anlin.hub.visits.models import Visit, VisitWindow

AHEAD = timedelta(days=14)
"""So far ahead a helper's hours stand at the gates: longer than a hub is ever away."""

REFILL = timedelta(days=7)

EARLY = timedelta(minutes=20)
"""Whoever comes a little before the hour agreed on is not sent away from the gate."""


def open_way(visit: Visit, by: Actor) -> None:
    """Give the visitor of an agreed visit what opens: a pass that rotates, the plate, the hours."""
    begins, ends = visit.starts_at - EARLY - PASS_SKEW, visit.ends_at + PASS_SKEW
    holder = people.register_holder(
        visit.community,
        visit.name,
        by,
        kind=HolderKind.VISITOR,
        host=visit.unit,
        valid_from=begins,
        valid_until=ends,
    )
    visit.holder = holder
    if visit.needs_escort:
        with changing(by, visit.community, holder, "escort"):
            holder.needs_escort = True
    fill_windows(visit, timezone.now())
    visit.leave, _text = issue_pass(
        visit.community,
        holder,
        by,
        not_before=visit.starts_at - EARLY,
        not_after=visit.ends_at,
        points=_points(visit),
        uses=visit.uses,
        rotates=True,
    )
    if visit.plate:
        _let_car_in(visit, by)
    publish(visit.community, holder=[holder.pk])


def change_way(visit: Visit, by: Actor) -> None:
    """Bring what opens to what was agreed anew: the old pass ends, another begins."""
    holder = visit.holder
    if holder is None:
        open_way(visit, by)
        return
    with changing(by, visit.community, holder, "change visit"):
        holder.name = visit.name or holder.name
        holder.host, holder.needs_escort = visit.unit, visit.needs_escort
        holder.valid_from = visit.starts_at - EARLY - PASS_SKEW
        holder.valid_until = visit.ends_at + PASS_SKEW
    holder.visit_windows.all().delete()
    fill_windows(visit, timezone.now())
    if visit.leave is not None:
        revoke_pass(visit.leave, by)
    visit.leave, _text = issue_pass(
        visit.community,
        holder,
        by,
        not_before=visit.starts_at - EARLY,
        not_after=visit.ends_at,
        points=_points(visit),
        uses=visit.uses,
        rotates=True,
    )
    for plate in holder.credentials.filter(method=Method.PLATE.value).exclude(
        status=Status.REVOKED.value
    ):
        revoke_credential(plate, by)
    if visit.plate:
        _let_car_in(visit, by)
    publish(visit.community, holder=[holder.pk])


def close_way(visit: Visit, by: Actor) -> None:
    """Take everything back: pass, plate, face, hours. The gates know within seconds."""
    if visit.leave is not None:
        revoke_pass(visit.leave, by)
    holder = visit.holder
    if holder is not None:
        revoke_all(holder, by)
        for consent in holder.consents.filter(withdrawn_at=None):
            with changing(by, visit.community, consent, "end consent"):
                consent.withdrawn_at, consent.withdrawn_by = timezone.now(), by.name
        holder.visit_windows.all().delete()
        with changing(by, visit.community, holder, "visit over"):
            holder.status = HolderStatus.LEFT
        publish(visit.community, holder=[holder.pk])
    visit.health = None
    visit.over_at = timezone.now()


def forget(visit: Visit, by: Actor) -> None:
    """Delete who it was: name, telephone, plate and all that hung on them."""
    holder = visit.holder
    if holder is not None:
        ids = list(holder.credentials.values_list("pk", flat=True))
        passes = list(holder.passes.values_list("pk", flat=True))
        deleted(by, visit.community, holder, action="forget visitor")
        visit.holder = visit.leave = None
        visit.save(update_fields=["holder", "leave"])
        gone = holder.pk
        holder.delete()
        publish(visit.community, holder=[gone], credential=ids, revoked_pass=passes)
    visit.name = visit.phone = visit.phone_index = visit.phone_tail = visit.plate = ""
    visit.company = visit.call = visit.reason = visit.agreed_by = ""
    visit.cleared_at = timezone.now()
    visit.save()


def fill_windows(visit: Visit, now: datetime) -> bool:
    """Write a helper's next hours for the gates; say whether that changed anything.

    A gate that hears nothing for two weeks still knows when to open, and no longer.
    """
    holder = visit.holder
    if holder is None or not visit.days:
        return False
    known = set(holder.visit_windows.values_list("starts_at", flat=True))
    fresh = [
        VisitWindow(holder=holder, starts_at=one.starts_at - PASS_SKEW, ends_at=one.ends_at)
        for one in core.windows(visit.plan, now - timedelta(days=1), now + AHEAD)
        if one.starts_at - PASS_SKEW not in known
    ]
    old = holder.visit_windows.filter(ends_at__lt=now - timedelta(days=2))
    is_new = bool(fresh) or old.exists()
    old.delete()
    VisitWindow.objects.bulk_create(fresh)
    if not known and not fresh:
        # Nobody is a visitor at all times because there is no day in the plan yet.
        VisitWindow.objects.create(
            holder=holder, starts_at=visit.starts_at, ends_at=visit.starts_at
        )
        is_new = True
    return is_new


def needs_windows(visit: Visit, now: datetime) -> bool:
    """Whether a helper's hours at the gates come to an end within the week."""
    if not visit.days or visit.holder_id is None:
        return False
    wanted = list(core.windows(visit.plan, now, now + REFILL))
    if not wanted:
        return False
    last = wanted[-1].starts_at - PASS_SKEW
    return not VisitWindow.objects.filter(holder=visit.holder_id, starts_at=last).exists()


def _points(visit: Visit) -> list[AccessPoint]:
    found = AccessPoint.objects.filter(pk__in=visit.points, portal__community=visit.community_id)
    return list(found.order_by("pk")[:MAX_POINTS])


def _let_car_in(visit: Visit, by: Actor) -> Credential | None:
    """Let the car in by its plate; one that is registered already comes in by that."""
    assert visit.holder is not None  # noqa: S101  open_way has made it
    try:
        with transaction.atomic():
            return add_plate(visit.holder, visit.plate, by, valid_until=visit.ends_at)
    except RuleError:
        return None
