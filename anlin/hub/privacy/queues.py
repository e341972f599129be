"""What waits for the office about privacy."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min
from django.utils.translation import gettext_lazy as _

from anlin.hub.office.queues import Queue, Waiting, register
from anlin.hub.people.models import StaffProfile
from anlin.hub.permissions import holders_in_scope
from anlin.hub.privacy.ledger import outdated
from anlin.hub.privacy.models import Receipt
from anlin.hub.privacy.requests import open_requests


def _requests(staff: StaffProfile, now: datetime) -> Waiting:
    found = open_requests(staff.community).filter(holder__in=holders_in_scope(staff))
    return Waiting(found.count(), found.aggregate(first=Min("due_on"))["first"])


def _deletions(staff: StaffProfile, now: datetime) -> Waiting:
    found = Receipt.objects.filter(
        community=staff.community_id, completed_at=None, holder__in=holders_in_scope(staff)
    )
    return Waiting(found.count(), found.aggregate(first=Min("asked_at"))["first"])


def _renewals(staff: StaffProfile, now: datetime) -> Waiting:
    found = outdated(staff.community).filter(holder__in=holders_in_scope(staff))
    return Waiting(found.count(), found.aggregate(first=Min("given_at"))["first"])


register(
    Queue(
        "data_requests",
        _("Requests about personal data"),
        "info",
        _requests,
        url="privacy:requests",
        help=_("Each has its last day by law."),
        is_due=True,
    )
)
register(
    Queue(
        "deletions",
        _("Faces that are not proven to be gone"),
        "face",
        _deletions,
        url="privacy:receipts",
        help=_("An edge or terminal has not answered yet; see whether it is cut off."),
    )
)
register(
    Queue(
        "renewals",
        _("Consents to be asked for again"),
        "changes",
        _renewals,
        url="privacy:ledger",
        help=_("The notice has changed since they were given."),
    )
)
