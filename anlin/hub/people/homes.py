"""Homes: what is written about them, who lives there by which proof, and what looks wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.words import Word
from anlin.hub.access.parking import cars_of
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing
from anlin.hub.errors import RuleError
from anlin.hub.people.models import (
    Building,
    Community,
    HolderStatus,
    Proof,
    Residency,
    ResidencyKind,
    Unit,
    UnitUse,
    in_force,
)
from anlin.hub.people.services import refuse_backwards

AREA_M2 = (Decimal(1), Decimal(5000))
FLOORS = (-9, 150)


class Flag(Word):
    """Something about a home that a person should look into. It opens and refuses nothing."""

    TWO_OWNERS = "two_owners"
    OWNER_AND_TENANT = "owner_and_tenant"
    IN_TWO_HOMES = "in_two_homes"
    CROWDED = "crowded"
    NOT_VACANT = "not_vacant"
    UNPROVEN = "unproven"


FLAGS: Mapping[Flag, tuple[Promise, Promise]] = {
    Flag.TWO_OWNERS: (
        gettext_lazy("Two owners, without one certificate between them"),
        gettext_lazy(
            "Who owns a home together has one certificate: write its number at each of them. "
            "If it was sold, end the home of the one who left."
        ),
    ),
    Flag.OWNER_AND_TENANT: (
        gettext_lazy("Owner and tenant both live here"),
        gettext_lazy(
            "If the owner lives elsewhere, say that the home is let, and take back what opens "
            "for the owner. If both live here, nothing is to be done."
        ),
    ),
    Flag.IN_TWO_HOMES: (
        gettext_lazy("Somebody here lives in another home too"),
        gettext_lazy("Nobody sleeps in two homes: end the one that was left."),
    ),
    Flag.CROWDED: (
        gettext_lazy("Too many people for its area"),
        gettext_lazy("Look whether all of them still live here, and tell the owner the rule."),
    ),
    Flag.NOT_VACANT: (
        gettext_lazy("Vacant by the records, but somebody lives here"),
        gettext_lazy("Correct how the home is used, or end what is over."),
    ),
    Flag.UNPROVEN: (
        gettext_lazy("Somebody lives here without proof"),
        gettext_lazy("Ask for the certificate, the lease or the owner's word."),
    ),
}
"""Each flag, and what is to be done about it."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """A flag with whom it is about, and the figures that raised it."""

    flag: Flag
    residencies: tuple[Residency, ...] = ()
    detail: str = ""

    @property
    def word(self) -> Promise:
        return FLAGS[self.flag][0]

    @property
    def advice(self) -> Promise:
        return FLAGS[self.flag][1]


@dataclass(frozen=True, slots=True)
class Household:
    """A home as it is lived in at a time."""

    unit: Unit
    now: tuple[Residency, ...] = ()
    before: tuple[Residency, ...] = ()
    to_come: tuple[Residency, ...] = ()
    flags: tuple[Flagged, ...] = field(default=())


def prove_residency(residency: Residency, proof: Proof, number: str, by: Actor) -> None:
    """Write down what shows that somebody may live in a home, and who has seen it.

    Raises:
        RuleError: nothing was shown, or a certificate or contract without its number.
    """
    if not proof:
        raise RuleError(_("Choose what was shown."), "proof")
    said = " ".join(number.split())
    if proof in (Proof.DEED, Proof.CONTRACT) and not said:
        raise RuleError(
            _("Type the number on it: owners in common are known by it."), "proof_number"
        )
    with (
        transaction.atomic(),
        changing(by, residency.holder.community, residency, "prove residency"),
    ):
        residency.proof = proof
        residency.proof_number = said
        residency.proven_by, residency.proven_at = by.name, timezone.now()


def set_lease_end(residency: Residency, ends_at: datetime, by: Actor) -> None:
    """Let a lease run until another moment; every right that rests on it ends then.

    Raises:
        RuleError: it is over, or would end before it starts or before now.
    """
    now = timezone.now()
    with transaction.atomic():
        fresh = Residency.objects.select_for_update().get(pk=residency.pk)
        if fresh.ends_at is not None and fresh.ends_at <= now:
            raise RuleError(_("It has ended; add the home anew."), "ends_on")
        if ends_at <= now:
            raise RuleError(_("This day is over already."), "ends_on")
        refuse_backwards(fresh.starts_at, ends_at)
        with changing(by, residency.holder.community, fresh, "lease end"):
            fresh.ends_at = ends_at
        holder = residency.holder
        publish(holder.community, holder=[holder.pk], credential=cars_of(pk=holder.pk))
    residency.ends_at = ends_at


def change_unit(
    unit: Unit,
    by: Actor,
    *,
    entrance: str,
    floor: int | None,
    area_m2: Decimal | None,
    use: UnitUse,
    external_code: str,
) -> None:
    """Correct what is written about a home. Its name on the door stays: rules and pages quote it.

    Raises:
        RuleError: a floor or an area that no home has.
    """
    if floor is not None and not FLOORS[0] <= floor <= FLOORS[1]:
        raise RuleError(_("There is no such floor."), "floor")
    if area_m2 is not None and not AREA_M2[0] <= area_m2 <= AREA_M2[1]:
        raise RuleError(
            _("A home has %(low)s to %(high)s m².") % {"low": AREA_M2[0], "high": AREA_M2[1]},
            "area_m2",
        )
    with transaction.atomic(), changing(by, unit.building.community, unit, "change"):
        unit.entrance = entrance.strip()
        unit.floor = floor
        unit.area_m2 = area_m2
        unit.use = use
        unit.external_code = external_code.strip()


def place_building(building: Building, x: float | None, y: float | None, by: Actor) -> None:
    """Say where a building stands on the community's plan: 0 to 1 from its upper left corner.

    Raises:
        RuleError: outside the plan, or only one of the two.
    """
    if (x is None) != (y is None):
        raise RuleError(_("Say both how far right and how far down."), "map_x")
    for name, value in (("map_x", x), ("map_y", y)):
        if value is not None and not 0 <= value <= 1:
            raise RuleError(_("That is outside the plan."), name)
    with transaction.atomic(), changing(by, building.community, building, "change"):
        building.map_x, building.map_y = x, y


def household(unit: Unit, at: datetime) -> Household:
    """Give who lives in a home, who did, who will, and what looks wrong about it."""
    rows = list(
        unit.residencies.select_related("holder", "unit").order_by("kind", "holder__name", "id")
    )
    now = tuple(row for row in rows if _holds(row, at))
    before = tuple(
        sorted(
            (row for row in rows if row.ends_at is not None and row.ends_at <= at),
            key=lambda row: str(row.ends_at),
            reverse=True,
        )
    )
    to_come = tuple(row for row in rows if row not in now and row not in before)
    return Household(unit, now, before, to_come, flags_of(unit, at))


def flags_of(unit: Unit, at: datetime) -> tuple[Flagged, ...]:
    """Give what looks wrong about one home."""
    community = unit.building.community
    return flags(community, at, [unit.pk]).get(unit.pk, ())


def flags(
    community: Community, at: datetime, units: Sequence[str] | None = None
) -> dict[str, tuple[Flagged, ...]]:
    """Give what looks wrong about homes, by home; those with nothing are left out.

    Asks two or three queries, however many homes there are.
    """
    living = _living(community, at).select_related("holder", "unit")
    chosen = living if units is None else living.filter(unit__in=units)
    by_unit: dict[str, list[Residency]] = defaultdict(list)
    for row in chosen.order_by("unit_id", "kind", "holder__name", "id"):
        by_unit[row.unit_id].append(row)
    elsewhere = _elsewhere(living, units)
    found = {
        unit: tuple(_flags(rows, community.least_area_m2, elsewhere))
        for unit, rows in by_unit.items()
    }
    return {unit: flagged for unit, flagged in found.items() if flagged}


def homes_of(community: Community, at: datetime, holder_ids: Iterable[str]) -> dict[str, list[str]]:
    """Give the homes that holders live in at a time, by holder: more than one is flagged."""
    rows = _living(community, at).filter(holder__in=list(holder_ids))
    homes: dict[str, list[str]] = defaultdict(list)
    for holder, code in rows.order_by("unit__code").values_list("holder_id", "unit__code"):
        if code not in homes[holder]:
            homes[holder].append(code)
    return dict(homes)


def _living(community: Community, at: datetime) -> QuerySet[Residency]:
    return Residency.objects.filter(
        in_force(at), holder__community=community, holder__status=HolderStatus.ACTIVE
    )


def _elsewhere(living: QuerySet[Residency], units: Sequence[str] | None) -> dict[str, list[str]]:
    """Give the codes of all homes of those who live in more than one, by holder."""
    asked = (
        living
        if units is None
        else living.filter(holder__in=living.filter(unit__in=units).values("holder"))
    )
    several = asked.values("holder").annotate(n=Count("unit", distinct=True)).filter(n__gt=1)
    rows = living.filter(holder__in=several.values("holder"))
    homes: dict[str, list[str]] = defaultdict(list)
    pairs = rows.order_by("unit__code").values_list("holder_id", "unit__code").distinct()
    for holder, code in pairs:
        homes[holder].append(code)
    return dict(homes)


def _flags(
    rows: list[Residency], least_m2: Decimal, elsewhere: Mapping[str, list[str]]
) -> Iterable[Flagged]:
    unit = rows[0].unit
    people = {row.holder_id: row for row in rows}
    owners = {row.holder_id: row for row in rows if row.kind == ResidencyKind.OWNER}
    tenants = {row.holder_id: row for row in rows if row.kind == ResidencyKind.TENANT}
    if len(owners) > 1 and not _is_common({row.proof_number for row in owners.values()}):
        yield Flagged(Flag.TWO_OWNERS, tuple(owners.values()))
    if owners and tenants and unit.use != UnitUse.LET:
        yield Flagged(Flag.OWNER_AND_TENANT, (*owners.values(), *tenants.values()))
    doubled = tuple(row for holder, row in people.items() if holder in elsewhere)
    if doubled:
        names = (f"{row.holder.name}: {', '.join(elsewhere[row.holder_id])}" for row in doubled)
        yield Flagged(Flag.IN_TWO_HOMES, doubled, "; ".join(names))
    if unit.area_m2 is not None and len(people) * least_m2 > unit.area_m2:
        detail = _("%(people)d people in %(area)s m², with at least %(least)s m² for each") % {
            "people": len(people),
            "area": f"{unit.area_m2:f}",
            "least": f"{least_m2:f}",
        }
        yield Flagged(Flag.CROWDED, tuple(people.values()), detail)
    if unit.use == UnitUse.VACANT:
        yield Flagged(Flag.NOT_VACANT, tuple(people.values()))
    unproven = tuple(row for row in rows if not row.proof)
    if unproven:
        yield Flagged(Flag.UNPROVEN, unproven)


def _is_common(numbers: set[str]) -> bool:
    return len(numbers) == 1 and "" not in numbers


def _holds(row: Residency, at: datetime) -> bool:
    begun = row.starts_at is None or row.starts_at <= at
    return begun and (row.ends_at is None or row.ends_at > at)
