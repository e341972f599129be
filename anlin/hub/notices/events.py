"""What happens in other rooms and residents hear of: one function for each, called by that room.

Each is called in the transaction of what happened; its key names the fact, so that an act that
is done again tells nobody twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from anlin.hub.notices.models import Kind
from anlin.hub.notices.services import owners_of, tell, tell_all, who_lives
from anlin.hub.people.models import Residency, ResidencyKind

if TYPE_CHECKING:
    from anlin.hub.access.models import Credential
    from anlin.hub.join.models import Application
    from anlin.hub.resident.models import HouseholdAsk
    from anlin.hub.visits.models import Visit

FORETOLD = (timedelta(days=7), timedelta(days=30))
"""So long before its end a lease is spoken of: once to plan, once to act."""


def visit_asked(visit: Visit) -> None:
    """Tell a home that somebody asks to come."""
    if visit.unit is None:
        return
    tell_all(
        who_lives(visit.unit, visit.asked_at),
        Kind.VISIT_ASKED,
        lambda: _("%(name)s asks to visit you") % {"name": visit.name},
        lambda: (
            _("On %(day)s at %(hour)s. Say yes or no.")
            % {"day": _day(visit.starts_at), "hour": _hour(visit.starts_at)}
        ),
        f"/home/visitors/{visit.pk}",
        f"visit/{visit.pk}/asked",
    )


def visit_arrived(visit: Visit) -> None:
    """Tell a home that its visitor came in."""
    if visit.unit is None or visit.arrived_at is None:
        return
    at = visit.arrived_at
    tell_all(
        who_lives(visit.unit, at),
        Kind.VISIT_CAME,
        lambda: _("%(name)s has come in") % {"name": visit.name},
        lambda: _("At %(hour)s, to %(home)s.") % {"hour": _hour(at), "home": visit.unit},
        f"/home/visitors/{visit.pk}",
        f"visit/{visit.pk}/came/{visit.arrivals}",
    )


def visit_answered(visit: Visit, *, is_agreed: bool) -> None:
    """Tell a home what the property office answered to a visit that needs its word."""
    if visit.unit is None:
        return
    tell_all(
        who_lives(visit.unit, timezone.now()),
        Kind.ANSWERED,
        _answer("visit", is_agreed),
        lambda: _("%(name)s, on %(day)s.") % {"name": visit.name, "day": _day(visit.starts_at)},
        f"/home/visitors/{visit.pk}",
        f"visit/{visit.pk}/answered",
    )


def owner_waits(application: Application) -> None:
    """Tell the owners of a home that somebody asks to be registered there."""
    tell_all(
        owners_of(application.unit, timezone.now()),
        Kind.OWNER_ASKED,
        lambda: (
            _("%(name)s asks to be registered in %(home)s")
            % {"name": application.name, "home": application.unit.code}
        ),
        lambda: _("Does this person belong there? Say yes or no."),
        "/home/requests",
        f"join/{application.pk}/owner",
    )


def application_answered(application: Application, *, is_agreed: bool) -> None:
    """Tell who was registered, and who asked for them, what came of a request."""
    told = {application.asked_by} | ({application.holder} if is_agreed else set())
    said = ". ".join(
        part
        for part in (f"{application.name}, {application.unit.code}", application.reason)
        if part
    )
    tell_all(
        (holder for holder in told if holder is not None),
        Kind.ANSWERED,
        _answer("registration", is_agreed),
        said,
        "/home/family",
        f"join/{application.pk}/answered",
    )


def ask_answered(ask: HouseholdAsk, *, is_agreed: bool) -> None:
    """Tell who asked the office about their household what it answered."""
    tell(
        ask.asked_by,
        Kind.ANSWERED,
        _answer("household", is_agreed),
        lambda: f"{ask.name}, {ask.unit.code}{'. ' if ask.answer else ''}{ask.answer}",
        "/home/family",
        f"ask/{ask.pk}/answered",
    )


def credential_lost(credential: Credential) -> None:
    """Tell a holder that something of theirs was reported lost: it may not have been by them."""
    tell(
        credential.holder,
        Kind.KEY_LOST,
        lambda: _("A card or key of yours was reported lost"),
        lambda: _(
            "It opens nothing from now on. If you did not report this, call the property office."
        ),
        "/home/keys",
        f"lost/{credential.pk}/{timezone.now():%Y%m%d%H%M}",
    )


def foretell_leases(now: datetime) -> int:
    """Tell tenants and owners of leases that end soon: how many leases were looked at."""
    soon = Residency.objects.filter(
        kind=ResidencyKind.TENANT, ends_at__gt=now, ends_at__lte=now + max(FORETOLD)
    ).select_related("unit", "holder__community")
    for residency in soon:
        if residency.ends_at is not None:
            _foretell(residency, residency.ends_at, now)
    return len(soon)


def _foretell(residency: Residency, ends_at: datetime, now: datetime) -> None:
    days = next(ahead.days for ahead in FORETOLD if ends_at - now <= ahead)
    key = f"lease/{residency.pk}/{ends_at:%Y%m%d}/{days}"
    home, name = residency.unit.code, residency.holder.name
    # The end is exclusive: the last day of the lease is the one before.
    last = ends_at - timedelta(seconds=1)
    tell(
        residency.holder,
        Kind.LEASE_ENDS,
        lambda: _("Your lease of %(home)s ends soon") % {"home": home},
        lambda: (
            _(
                "Its last day is %(day)s; nothing of yours opens after it. If it goes on, bring"
                " the new lease to the property office."
            )
            % {"day": _day(last)}
        ),
        "/home/keys",
        key,
    )
    tell_all(
        owners_of(residency.unit, now),
        Kind.LEASE_ENDS,
        lambda: _("The lease of %(home)s ends soon") % {"home": home},
        lambda: (
            _("The last day of %(name)s is %(day)s. If it goes on, tell the property office.")
            % {"name": name, "day": _day(last)}
        ),
        "/home/family",
        key,
    )


def _answer(what: str, is_agreed: bool) -> Callable[[], str]:
    def said() -> str:
        match what, is_agreed:
            case "visit", True:
                return _("The office agreed to your visitor")
            case "visit", False:
                return _("The office did not agree to your visitor")
            case "registration", True:
                return _("The registration is done")
            case "registration", False:
                return _("The registration was refused")
            case _, True:
                return _("The office did what you asked for")
            case _:
                return _("The office refused what you asked for")

    return said


def _day(at: datetime) -> str:
    return date_format(timezone.localtime(at), "Y-m-d")


def _hour(at: datetime) -> str:
    return date_format(timezone.localtime(at), "H:i")
