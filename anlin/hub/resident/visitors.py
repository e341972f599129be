"""A home's visitors as its residents see them, on the services of visits."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community, Unit
from anlin.hub.resident.forms import HelperForm, InviteForm
from anlin.hub.resident.homes import Home, NotYoursError, private_units
from anlin.hub.visits import services as visits
from anlin.hub.visits.models import Kind, Visit


def visits_of(home: Home) -> QuerySet[Visit]:
    """List the visits that a resident may read, the newest first; none to a home they let."""
    units = [unit.pk for unit in private_units(home)]
    return visits.visits_of(home.holder).filter(unit__in=units)


def visit_of(home: Home, visit_id: str) -> Visit:
    """Give one visit to a resident's own home.

    Raises:
        NotYoursError: another home's, or none.
    """
    found = visits_of(home).filter(pk=visit_id).first()
    if found is None:
        raise NotYoursError(visit_id)
    return found


def unit_of(home: Home, unit_id: str) -> Unit:
    """Give the home to invite to.

    Raises:
        NotYoursError: not a home that this resident invites to.
        RuleError: a child.
    """
    if home.is_child:
        raise RuleError(_("Children under 14 ask somebody at home to invite."))
    for unit in private_units(home):
        if unit.pk == unit_id:
            return unit
    raise NotYoursError(unit_id)


def guest(form: InviteForm) -> visits.Wish:
    """Give what an invitation asks for."""
    given = form.cleaned_data
    begins: datetime = given["starts_at"]
    return visits.Wish(
        name=given["name"],
        starts_at=begins,
        ends_at=begins + timedelta(hours=given["hours"]),
        phone=given["phone"],
        plate=given["plate"],
        people=given["people"] or 1,
    )


def helper(home: Home, form: HelperForm) -> visits.Wish:
    """Give what a helper's coming again and again asks for."""
    given = form.cleaned_data
    return visits.Wish(
        name=given["name"],
        kind=Kind.HELPER,
        phone=given["phone"],
        starts_at=home.at,
        ends_at=_end_of_day(given["last_day"], home.holder.community),
        days=tuple(given["days"]),
        start_min=given["start"].hour * 60 + given["start"].minute,
        end_min=given["end"].hour * 60 + given["end"].minute,
    )


def _end_of_day(day: date, community: Community) -> datetime:
    """Give the moment at which a day is over where the community is."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(community.zone))
