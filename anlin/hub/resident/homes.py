"""Whose home it is: the one place that says what a resident may see and do there.

A home belongs to who lives in it now. Who has moved out, whose lease ended today and who lives
next door are all the same here: nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.entities import HolderKind
from anlin.hub.access.policy import building_group, community_group
from anlin.hub.errors import RuleError
from anlin.hub.people.models import (
    Holder,
    HolderStatus,
    Residency,
    ResidencyKind,
    Unit,
    in_force,
)

CHILD_YEARS = 14
"""Under this age a guardian agrees (PIPL art. 31) and a door is not opened from afar."""


class NotYoursError(LookupError):
    """What was asked for is not this resident's, or is not there: the answer is the same."""


@dataclass(frozen=True, slots=True)
class Home:
    """What a resident lives in at one moment: the residencies in force, oldest first."""

    holder: Holder
    residencies: tuple[Residency, ...]
    at: datetime
    born_on: date | None = None

    @property
    def units(self) -> tuple[Unit, ...]:
        """The homes, each once."""
        return tuple({home.unit_id: home.unit for home in self.residencies}.values())

    @property
    def is_child(self) -> bool:
        """Whether this resident is known to be under 14."""
        age = age_on(self.born_on, timezone.localtime(self.at).date())
        return age is not None and age < CHILD_YEARS

    @property
    def groups(self) -> frozenset[str]:
        """The groups that access rules admit this resident by."""
        if not self.residencies:
            return frozenset()
        buildings = {building_group(unit.building_id) for unit in self.units}
        return frozenset({community_group(self.holder.community_id), *buildings})

    def unit(self, unit_id: str) -> Unit:
        """Give a home of this resident's own.

        Raises:
            NotYoursError: it is somebody else's, or there is none.
        """
        for unit in self.units:
            if unit.pk == unit_id:
                return unit
        raise NotYoursError(unit_id)

    def owns(self, unit: Unit) -> bool:
        """Say whether this resident is an owner of a home that they live in or let."""
        return any(
            home.unit_id == unit.pk and home.kind == ResidencyKind.OWNER
            for home in self.residencies
        )


def home_of(holder: Holder, at: datetime | None = None) -> Home:
    """Give what a resident lives in now; nothing for one who is suspended or has left."""
    at = at or timezone.now()
    if holder.status != HolderStatus.ACTIVE:
        return Home(holder, (), at)
    rows = holder.residencies.filter(in_force(at)).select_related("unit__building")
    # The birthday comes along: this is asked on every page.
    found = tuple(rows.annotate(born_on=F("holder__identity__born_on")).order_by("starts_at", "pk"))
    return Home(holder, found, at, found[0].born_on if found else None)


def household(units: Iterable[Unit], at: datetime) -> QuerySet[Residency]:
    """List who lives in these homes now, owners first."""
    rows = Residency.objects.filter(in_force(at), unit__in=[unit.pk for unit in units])
    rows = rows.exclude(holder__status=HolderStatus.LEFT)
    rows = rows.filter(holder__kind=HolderKind.RESIDENT.value)
    return rows.select_related("holder__identity", "unit").order_by("unit_id", "holder__created_at")


def private_units(home: Home) -> tuple[Unit, ...]:
    """Give the homes whose comings, goings and guests this resident may read.

    A home that is let is its tenants': the owner reads neither who came there nor who visits.
    """
    tenants = household(home.units, home.at).filter(kind=ResidencyKind.TENANT)
    let = set(tenants.values_list("unit_id", flat=True))
    mine = {row.unit_id for row in home.residencies if row.kind == ResidencyKind.TENANT}
    return tuple(unit for unit in home.units if unit.pk not in let or unit.pk in mine)


def member(home: Home, holder_id: str) -> Residency:
    """Give somebody of this resident's own household.

    Raises:
        NotYoursError: they live elsewhere, or nowhere any more.
    """
    found = household(home.units, home.at).filter(holder=holder_id).first()
    if found is None:
        raise NotYoursError(holder_id)
    return found


def is_of_home(home: Home, holder_id: str) -> bool:
    """Say whether somebody lives in this resident's home, or visits it."""
    units = [unit.pk for unit in home.units]
    if Holder.objects.filter(pk=holder_id, host__in=units).exists():
        return True
    return household(home.units, home.at).filter(holder=holder_id).exists()


def refuse_unless_owner(home: Home, unit: Unit) -> None:
    """Refuse what only an owner of the home may do.

    Raises:
        RuleError: this resident is family or a tenant there.
    """
    if not home.owns(unit):
        raise RuleError(_("Only the owner of the home may do this."))


def age_on(born_on: date | None, today: date) -> int | None:
    """Give an age in whole years; None where no birthday is known."""
    if born_on is None:
        return None
    had_birthday = (today.month, today.day) >= (born_on.month, born_on.day)
    return today.year - born_on.year - (0 if had_birthday else 1)


def is_child(holder: Holder, today: date) -> bool:
    """Say whether a holder is known to be under 14."""
    identity = getattr(holder, "identity", None)
    age = age_on(identity.born_on if identity is not None else None, today)
    return age is not None and age < CHILD_YEARS
