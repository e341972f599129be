"""Cars: the community's own rule for an area, and the spaces of each household."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from anlin.core.entities import Method, Outsiders
from anlin.hub.access.faults import within
from anlin.hub.access.models import Area, Credential, Household, Parking
from anlin.hub.access.policy import publish
from anlin.hub.access.setup import remove
from anlin.hub.audit.log import Actor, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Holder, Unit

STAY_S = (60.0, 30 * 86400.0)
MAX_CARS = 20


def set_parking(
    area: Area,
    by: Actor,
    *,
    outsiders: Outsiders,
    residents_enter: bool,
    stay_s: float | None,
    emergency_enters: bool,
) -> Parking:
    """Say what becomes of cars in an area.

    Raises:
        RuleError: a stay out of its bounds, or a rule by which nobody at all may enter.
    """
    if stay_s is not None:
        within(stay_s, *STAY_S, "stay_s")
    if outsiders is Outsiders.REFUSE and not residents_enter:
        raise RuleError(
            _("Neither residents nor others would be let in; nobody could park here."),
            "residents_enter",
        )
    parking = Parking.objects.filter(area=area).first()
    with transaction.atomic():
        if parking is None:
            parking = Parking(
                area=area,
                outsiders=outsiders.value,
                residents_enter=residents_enter,
                stay_s=stay_s,
                emergency_enters=emergency_enters,
            )
            parking.save(force_insert=True)
            created(by, area.community, parking)
        else:
            with changing(by, area.community, parking, "change"):
                parking.outsiders = outsiders.value
                parking.residents_enter = residents_enter
                parking.stay_s = stay_s
                parking.emergency_enters = emergency_enters
        publish(area.community, parking=[area.pk])
    return parking


def remove_parking(parking: Parking, by: Actor) -> None:
    """Let an area be no car park any more."""
    area = parking.area
    with transaction.atomic():
        remove(parking, area.community, by)
        publish(area.community, parking=[area.pk])


def set_household(unit: Unit, cars: int | None, by: Actor) -> Household:
    """Say how many cars of a home may be inside at once; None is any number.

    Raises:
        RuleError: more than a home can have.
    """
    if cars is not None:
        within(cars, 0, MAX_CARS, "cars")
    community = unit.building.community
    with transaction.atomic():
        household = Household.objects.filter(unit=unit).first()
        if household is None:
            household = Household.objects.create(unit=unit, cars=cars)
            created(by, community, household)
        elif household.cars != cars:
            with changing(by, community, household, "change"):
                household.cars = cars
        publish(community, household=[household.pk], credential=cars_of(residencies__unit=unit))
    return household


def cars_of(**holder: Model | str) -> list[str]:
    """List the plates of the holders that a filter selects."""
    holders = Holder.objects.filter(**holder)
    found = Credential.objects.filter(holder__in=holders, method=Method.PLATE.value)
    return list(found.values_list("pk", flat=True))
