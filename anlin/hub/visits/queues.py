"""What waits for the office about visits."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min, Q
from django.utils.translation import gettext_lazy as _

from anlin.hub.office.queues import Queue, Waiting, register
from anlin.hub.people.models import StaffProfile
from anlin.hub.permissions import buildings_of
from anlin.hub.visits.models import Appeal, Bar, State, Visit


def approvals(staff: StaffProfile, now: datetime) -> Waiting:
    """Count visits whose home has agreed, and which the office has to agree to."""
    rows = Visit.objects.filter(
        ~Q(host_agreed_at=None),
        community=staff.community_id,
        state=State.ASKED,
        needs_office=True,
        ends_at__gt=now,
    )
    bound_to = buildings_of(staff)
    if bound_to is not None:
        rows = rows.filter(unit__building__in=bound_to)
    return Waiting(rows.count(), rows.aggregate(first=Min("host_agreed_at"))["first"])


def appeals(staff: StaffProfile, _now: datetime) -> Waiting:
    """Count what people have written against being barred."""
    rows = Bar.objects.filter(community=staff.community_id, appeal=Appeal.OPEN)
    return Waiting(rows.count(), rows.aggregate(first=Min("appealed_at"))["first"])


register(
    Queue(
        "visit-approvals",
        _("Visits that the office must approve"),
        "visits",
        approvals,
        url="visits:today",
    )
)
register(Queue("visit-appeals", _("Appeals against a bar"), "shield", appeals, url="visits:barred"))
