"""What homes ask of the property office, among the rest that waits there."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min
from django.utils.translation import gettext_lazy as _

from anlin.hub.office.queues import Queue, Waiting, register
from anlin.hub.people.models import StaffProfile
from anlin.hub.resident.asks import waiting_for


def asked(staff: StaffProfile, _now: datetime) -> Waiting:
    """Count the requests of homes that this member of staff may answer."""
    rows = waiting_for(staff)
    return Waiting(rows.count(), rows.aggregate(first=Min("asked_at"))["first"])


register(Queue("household-asks", _("Requests of homes"), "home", asked, url="resident_desk:asks"))
