"""What other rooms may ask of this one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from anlin.hub.audit.models import View
from anlin.hub.audit.services import looks_at
from anlin.hub.people.models import Holder, StaffProfile
from anlin.hub.privacy.export import make_zip
from anlin.hub.privacy.ledger import (
    give,
    ledger_of,
    notice_in_force,
    notice_of,
    publish_notice,
    text_of,
    withdraw,
)
from anlin.hub.privacy.receipts import receipts_of, refresh
from anlin.hub.privacy.requests import ask, cancel, finish, refuse, requests_of, take

__all__ = [
    "Look",
    "ask",
    "cancel",
    "finish",
    "give",
    "ledger_of",
    "looks_for",
    "make_zip",
    "notice_in_force",
    "notice_of",
    "publish_notice",
    "receipts_of",
    "refresh",
    "refuse",
    "requests_of",
    "take",
    "text_of",
    "withdraw",
]

MOST_LOOKS = 200


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a person: when, who, in which office, at what and for which purpose."""

    at: datetime
    who: str
    role: str
    what: str
    purpose: str


def looks_for(holder: Holder, most: int = MOST_LOOKS) -> list[Look]:
    """List who looked at a person's data, the newest first, by the names that staff go by.

    What a resident sees of themselves is not told, nor is that somebody is sought.
    """
    found = list(
        looks_at(holder).exclude(who__endswith=f"({holder.pk})")[: max(1, min(most, MOST_LOOKS))]
    )
    staff = {
        profile.user.get_username(): profile
        for profile in StaffProfile.objects.filter(
            community=holder.community_id, user__username__in={one.who for one in found}
        ).select_related("user")
    }
    return [_look(one, staff.get(one.who)) for one in found]


def _look(view: View, staff: StaffProfile | None) -> Look:
    name = (staff.user.get_full_name() if staff is not None else "") or view.who
    role = str(staff.get_role_display()) if staff is not None else ""
    return Look(view.at, name, role, view.what, view.purpose)
