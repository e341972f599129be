"""Cars and e-bikes: asked for, admitted, changed and taken out; with what opens for them.

Residents' pages call `ask_for_vehicle`, `withdraw_vehicle`, `add_ebike` and `end_ebike`; that these
are the caller's own is checked by `own_vehicle` and `own_ebike`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Model, Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core.entities import Status
from anlin.core.event import EventKind
from anlin.core.plate import Plate
from anlin.hub.access.credentials import add_plate, parse_plate, revoke_credential
from anlin.hub.access.models import Household
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing, created, noted
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event
from anlin.hub.people.models import Community, Holder, HolderStatus, Unit, in_force
from anlin.hub.vehicles.models import EBike, Vehicle, VehicleRule, VehicleState

_M = TypeVar("_M", bound=Model)

MAX_REQUESTS = 3
"""Of one person that wait for the office: a household with more cars than that comes by."""

MAX_DRIVERS = 8
MAX_EBIKES = 6
"""Of one person. More is a shop, or somebody typing at random."""

_TAG = re.compile(r"[0-9A-F]{4,40}")
_PLATE = re.compile(r"[\w]{2,20}")
_BATTERY = re.compile(r"[A-Z0-9]{4,40}")
_GAPS = str.maketrans("", "", " ·.•-‧・:\u3000")


@dataclass(frozen=True, slots=True)
class TakenBike:
    """An e-bike that somebody left with, and whom to ask about it."""

    ebike: EBike
    owner: Holder
    unit: Unit | None

    @property
    def looks(self) -> str:
        """Give brand and colour, as far as they are written down."""
        return " · ".join(filter(None, (self.ebike.brand, self.ebike.colour)))


@dataclass(frozen=True, slots=True)
class Quota:
    """How many cars a home has, and how many of them may be inside at once (None: any number)."""

    has: int
    waiting: int
    inside: int | None

    @property
    def is_over(self) -> bool:
        """Say whether not all of its cars can be inside at once."""
        return self.inside is not None and self.has > self.inside


def add_vehicle(
    owner: Holder,
    plate: str,
    by: Actor,
    *,
    unit: Unit | None = None,
    brand: str = "",
    colour: str = "",
    space: str = "",
    valid_until: datetime | None = None,
) -> Vehicle:
    """Register a car and let it in; one of that owner and plate is given back as it is.

    `valid_until` is for a plate that ends by itself, such as a temporary one.

    Raises:
        RuleError: no plate is written so, it is somebody else's, or the owner has no right here.
    """
    read = parse_plate(plate)
    with transaction.atomic():
        _refuse_stranger(owner)
        standing = owner.vehicles.filter(plate=read.text, state=VehicleState.APPROVED).first()
        if standing is not None:
            return standing
        asked = owner.vehicles.filter(plate=read.text, state=VehicleState.REQUESTED).first()
        vehicle = asked or _new(owner, read, unit, brand, colour, space, by)
        _admit(vehicle, by, "add vehicle", is_new=asked is None, valid_until=valid_until)
    return vehicle


def ask_for_vehicle(
    owner: Holder,
    plate: str,
    by: Actor,
    *,
    brand: str = "",
    colour: str = "",
    space: str = "",
) -> Vehicle:
    """Let a resident add a car of their own; it waits for the office where the community wants.

    Asked twice it is one request.

    Raises:
        RuleError: no plate is written so, it is registered already, or too many wait.
    """
    read = parse_plate(plate)
    community = owner.community
    with transaction.atomic():
        _refuse_stranger(owner)
        own = owner.vehicles.filter(
            plate=read.text, state__in=(VehicleState.REQUESTED, VehicleState.APPROVED)
        ).first()
        if own is not None:
            return own
        if community.credentials.filter(key=read.text).exclude(status=Status.REVOKED).exists():
            # Whose it is, is no business of who asks.
            raise RuleError(
                _("This plate is registered already. If the car is yours, ask the office."), "plate"
            )
        if owner.vehicles.filter(state=VehicleState.REQUESTED).count() >= MAX_REQUESTS:
            raise RuleError(
                _("%(most)d of your cars wait for the office already.") % {"most": MAX_REQUESTS},
                "plate",
            )
        vehicle = _new(owner, read, home_of(owner), brand, colour, space, by)
        if needs_approval(community):
            vehicle.save(force_insert=True)
            created(by, community, vehicle, action="ask for vehicle")
        else:
            _admit(vehicle, by, "add vehicle", is_new=True)
    return vehicle


def approve_vehicle(vehicle: Vehicle, by: Actor) -> Vehicle:
    """Let in a car that was asked for; approved twice it is done once.

    Raises:
        RuleError: it was turned down or taken out, or somebody else has that plate.
    """
    with transaction.atomic():
        fresh = _locked(vehicle)
        if fresh.state == VehicleState.APPROVED:
            return fresh
        if fresh.state != VehicleState.REQUESTED:
            raise RuleError(_("It does not wait any more: %(state)s.") % _state(fresh))
        _refuse_stranger(fresh.owner)
        _admit(fresh, by, "approve vehicle", is_new=False)
    return fresh


def refuse_vehicle(vehicle: Vehicle, reason: str, by: Actor) -> Vehicle:
    """Turn down a car that was asked for, with a reason that its owner reads.

    Raises:
        RuleError: no reason, or it does not wait any more.
    """
    said = " ".join(reason.split())
    if len(said) < 2:
        raise RuleError(_("Say in a few words why."), "reason")
    with transaction.atomic():
        fresh = _locked(vehicle)
        if fresh.state == VehicleState.REFUSED:
            return fresh
        if fresh.state != VehicleState.REQUESTED:
            raise RuleError(_("It does not wait any more: %(state)s.") % _state(fresh))
        with changing(by, fresh.community, fresh, "refuse vehicle"):
            fresh.state = VehicleState.REFUSED
            fresh.refusal = said[:200]
            fresh.decided_by, fresh.decided_at = by.name, timezone.now()
    return fresh


def end_vehicle(vehicle: Vehicle, by: Actor) -> None:
    """Take a car out: the barrier does not know its plate any more. Done twice it is done once."""
    with transaction.atomic():
        fresh = _locked(vehicle)
        if fresh.state not in (VehicleState.REQUESTED, VehicleState.APPROVED):
            return
        credential = fresh.credential
        if credential is not None and credential.status != Status.REVOKED.value:
            revoke_credential(credential, by)
        with changing(by, fresh.community, fresh, "end vehicle"):
            fresh.state = VehicleState.ENDED
            fresh.decided_by, fresh.decided_at = by.name, timezone.now()


def withdraw_vehicle(vehicle: Vehicle, by: Actor) -> None:
    """Let a resident take out their own car, or take back what they asked for."""
    end_vehicle(vehicle, by)


def change_vehicle(
    vehicle: Vehicle,
    by: Actor,
    *,
    unit: Unit | None,
    brand: str,
    colour: str,
    space: str,
    drivers: Iterable[Holder],
) -> None:
    """Correct what is written about a car. Its plate stays: another plate is another car.

    Raises:
        RuleError: a driver or home of another community, or too many drivers.
    """
    community = vehicle.community
    chosen = {one.pk: one for one in drivers if one.pk != vehicle.owner_id}
    if len(chosen) > MAX_DRIVERS:
        raise RuleError(_("At most %(most)d drivers.") % {"most": MAX_DRIVERS}, "drivers")
    for one in chosen.values():
        if one.community_id != community.pk or one.status == HolderStatus.LEFT:
            raise RuleError(
                _("%(name)s does not live here any more.") % {"name": one.name}, "drivers"
            )
    if unit is not None and unit.building.community_id != community.pk:
        raise RuleError(_("This home is in another community."), "unit")
    with transaction.atomic():
        fresh = _locked(vehicle)
        with changing(by, community, fresh, "change vehicle"):
            fresh.unit = unit
            fresh.brand, fresh.colour = brand.strip(), colour.strip()
            fresh.space = space.strip()
        before = set(fresh.drivers.values_list("pk", flat=True))
        if before != set(chosen):
            fresh.drivers.set(chosen.values())
            noted(by, community, fresh, "set drivers", drivers=sorted(chosen))


def change_owner(vehicle: Vehicle, owner: Holder, by: Actor) -> Vehicle:
    """Give a car to another holder: what opens for its plate is theirs from now on.

    Raises:
        RuleError: the car is not admitted, or they have no right here.
    """
    with transaction.atomic():
        fresh = _locked(vehicle)
        if fresh.owner_id == owner.pk:
            return fresh
        if fresh.state != VehicleState.APPROVED or owner.community_id != fresh.community_id:
            raise RuleError(_("Only a car that is admitted can be given to somebody else."))
        _refuse_stranger(owner)
        if fresh.credential is not None and fresh.credential.status != Status.REVOKED.value:
            revoke_credential(fresh.credential, by)
        with changing(by, fresh.community, fresh, "change owner"):
            fresh.owner = owner
            fresh.unit = home_of(owner)
            fresh.credential = add_plate(owner, fresh.plate, by)
        fresh.drivers.remove(owner)
    return fresh


def end_all(holder: Holder, by: Actor) -> None:
    """Take out everything that a holder drives: who moves out takes their cars along."""
    waiting = (VehicleState.REQUESTED, VehicleState.APPROVED)
    for vehicle in holder.vehicles.filter(state__in=waiting):
        end_vehicle(vehicle, by)
    for vehicle in holder.drives.all():
        vehicle.drivers.remove(holder)
        noted(by, holder.community, vehicle, "driver left", driver=holder.pk)
    for ebike in holder.ebikes.filter(ended_at=None):
        end_ebike(ebike, by)


def add_ebike(
    owner: Holder,
    by: Actor,
    *,
    plate: str = "",
    tag: str = "",
    battery: str = "",
    brand: str = "",
    colour: str = "",
) -> EBike:
    """Register an e-bike; the same one said twice is written once.

    Raises:
        RuleError: nothing to know it by, a number that can't be one, or somebody else has it.
    """
    numbers = _ebike_numbers(plate, tag, battery)
    community = owner.community
    with transaction.atomic():
        _refuse_stranger(owner)
        own = owner.ebikes.filter(ended_at=None)
        standing = own.filter(**numbers).first()
        if standing is not None:
            return standing
        if own.count() >= MAX_EBIKES:
            raise RuleError(_("At most %(most)d e-bikes.") % {"most": MAX_EBIKES}, "plate")
        _refuse_taken_ebike(community, numbers, except_id="")
        ebike = EBike(
            community=community,
            owner=owner,
            brand=brand.strip(),
            colour=colour.strip(),
            recorded_by=by.name,
            **numbers,
        )
        ebike.save(force_insert=True)
        created(by, community, ebike, action="add e-bike")
        publish(community, bike=[ebike.pk])
    return ebike


def change_ebike(
    ebike: EBike,
    by: Actor,
    *,
    plate: str = "",
    tag: str = "",
    battery: str = "",
    brand: str = "",
    colour: str = "",
) -> None:
    """Correct what is written about an e-bike, such as a new battery.

    Raises:
        RuleError: as `add_ebike`, or it was taken out.
    """
    numbers = _ebike_numbers(plate, tag, battery)
    with transaction.atomic():
        fresh = EBike.objects.select_for_update().get(pk=ebike.pk)
        if fresh.ended_at is not None:
            raise RuleError(_("It was taken out; register it anew."))
        _refuse_taken_ebike(fresh.community, numbers, except_id=fresh.pk)
        with changing(by, fresh.community, fresh, "change e-bike"):
            fresh.plate, fresh.tag = numbers["plate"], numbers["tag"]
            fresh.battery = numbers["battery"]
            fresh.brand, fresh.colour = brand.strip(), colour.strip()
        publish(fresh.community, bike=[fresh.pk])


def end_ebike(ebike: EBike, by: Actor) -> None:
    """Take an e-bike out; done twice it is done once."""
    with transaction.atomic():
        fresh = EBike.objects.select_for_update().get(pk=ebike.pk)
        if fresh.ended_at is None:
            with changing(by, fresh.community, fresh, "end e-bike"):
                fresh.ended_at = timezone.now()
            publish(fresh.community, bike=[fresh.pk])


def ebike_by_tag(community: Community, tag: str) -> EBike | None:
    """Find the e-bike of a tag that a reader reports."""
    text = _clean(tag)
    if not _TAG.fullmatch(text):
        return None
    return community.ebikes.filter(tag=text, ended_at=None).select_related("owner").first()


def taken_bike(event: Event) -> TakenBike | None:
    """Give the e-bike that an event asks about; None where it asks about none that is registered.

    An event names only what belongs to its own community.
    """
    id_ = event.data.get("bike") if event.kind == EventKind.BIKE_QUESTION else None
    if not isinstance(id_, str):
        return None
    rows = EBike.objects.filter(pk=id_[:24], community=event.community, ended_at=None)
    found = rows.select_related("owner").first()
    return TakenBike(found, found.owner, home_of(found.owner)) if found is not None else None


def set_needs_approval(community: Community, needs_approval: bool, by: Actor) -> None:
    """Say whether cars that residents add wait for the office."""
    with transaction.atomic():
        rule, is_new = VehicleRule.objects.get_or_create(community=community)
        if is_new:
            created(by, community, rule)
        if rule.needs_approval != needs_approval:
            with changing(by, community, rule, "change"):
                rule.needs_approval = needs_approval


def needs_approval(community: Community) -> bool:
    """Say whether cars that residents add wait for the office; they do unless told otherwise."""
    rule = VehicleRule.objects.filter(community=community).first()
    return rule is None or rule.needs_approval


def vehicles_of(holder: Holder) -> QuerySet[Vehicle]:
    """List the cars that a holder owns or drives, those taken out last."""
    mine = Vehicle.objects.filter(Q(owner=holder) | Q(drivers=holder)).distinct()
    return mine.select_related("owner", "unit", "credential").order_by("state", "plate", "id")


def vehicles_at(unit: Unit) -> QuerySet[Vehicle]:
    """List the cars of a home that are admitted or asked for."""
    found = unit.vehicles.filter(state__in=(VehicleState.APPROVED, VehicleState.REQUESTED))
    return found.select_related("owner", "credential").order_by("state", "plate")


def quota(unit: Unit) -> Quota:
    """Give how many cars a home has and may have inside at once."""
    household = Household.objects.filter(unit=unit).first()
    states = list(vehicles_at(unit).values_list("state", flat=True))
    return Quota(
        states.count(VehicleState.APPROVED),
        states.count(VehicleState.REQUESTED),
        household.cars if household is not None else None,
    )


def own_vehicle(holder: Holder, vehicle_id: str) -> Vehicle:
    """Give a car that a resident owns.

    Raises:
        Http404: there is none of that id, or it is somebody else's: which one, nobody learns.
    """
    return _own(holder.vehicles.all(), vehicle_id)


def own_ebike(holder: Holder, ebike_id: str) -> EBike:
    """Give an e-bike that a resident owns.

    Raises:
        Http404: there is none of that id, or it is somebody else's.
    """
    return _own(holder.ebikes.all(), ebike_id)


def home_of(holder: Holder) -> Unit | None:
    """Give the home that a holder lives in now; of several the first by its name."""
    living = holder.residencies.filter(in_force(timezone.now())).select_related("unit__building")
    first = living.order_by("unit__code", "id").first()
    return first.unit if first is not None else None


def _own(rows: QuerySet[_M], id_: str) -> _M:
    found = rows.filter(pk=id_).first()
    if found is None:
        raise Http404
    return found


def _new(
    owner: Holder, plate: Plate, unit: Unit | None, brand: str, colour: str, space: str, by: Actor
) -> Vehicle:
    if unit is not None and unit.building.community_id != owner.community_id:
        raise RuleError(_("This home is in another community."), "unit")
    return Vehicle(
        community=owner.community,
        owner=owner,
        unit=unit if unit is not None else home_of(owner),
        plate=plate.text,
        kind=plate.kind.value,
        brand=brand.strip(),
        colour=colour.strip(),
        space=space.strip(),
        asked_by=by.name,
        asked_at=timezone.now(),
    )


def _admit(
    vehicle: Vehicle,
    by: Actor,
    action: str,
    *,
    is_new: bool,
    valid_until: datetime | None = None,
) -> None:
    """Give the plate to its owner as a credential, and write the car down as admitted."""
    owner = vehicle.owner
    standing = owner.credentials.filter(method="plate", key=vehicle.plate).exclude(
        status=Status.REVOKED.value
    )
    credential = standing.first() or add_plate(owner, vehicle.plate, by, valid_until=valid_until)
    if is_new:
        vehicle.state, vehicle.credential = VehicleState.APPROVED, credential
        vehicle.decided_by, vehicle.decided_at = by.name, timezone.now()
        try:
            vehicle.save(force_insert=True)
        except IntegrityError as error:
            raise RuleError(_("This plate was registered just now."), "plate") from error
        created(by, vehicle.community, vehicle, action=action)
        return
    with changing(by, vehicle.community, vehicle, action):
        vehicle.state, vehicle.credential = VehicleState.APPROVED, credential
        vehicle.decided_by, vehicle.decided_at = by.name, timezone.now()


def _refuse_stranger(owner: Holder) -> None:
    if owner.status == HolderStatus.LEFT:
        raise RuleError(_("%(name)s has moved out.") % {"name": owner.name})


def _locked(vehicle: Vehicle) -> Vehicle:
    # Of the row alone: PostgreSQL can't lock the empty side of an outer join.
    rows = Vehicle.objects.select_for_update(of=("self",))
    return rows.select_related("owner__community", "credential", "community").get(pk=vehicle.pk)


def _state(vehicle: Vehicle) -> dict[str, str]:
    return {"state": vehicle.get_state_display()}


def _ebike_numbers(plate: str, tag: str, battery: str) -> dict[str, str]:
    numbers = {"plate": _clean(plate), "tag": _clean(tag), "battery": _clean(battery)}
    if not any(numbers.values()):
        raise RuleError(
            _("Give at least one number that it is known by: plate, tag or battery."), "plate"
        )
    faults = {
        "plate": _("An e-bike's plate has 2 to 20 letters and digits."),
        "tag": _("A tag has 4 to 40 digits or letters A to F."),
        "battery": _("A battery's number has 4 to 40 digits and letters A to Z."),
    }
    for name, pattern in (("plate", _PLATE), ("tag", _TAG), ("battery", _BATTERY)):
        if numbers[name] and not pattern.fullmatch(numbers[name]):
            raise RuleError(faults[name], name)
    return numbers


def _refuse_taken_ebike(community: Community, numbers: dict[str, str], *, except_id: str) -> None:
    for name, number in numbers.items():
        if not number:
            continue
        same = community.ebikes.filter(ended_at=None, **{name: number}).exclude(pk=except_id)
        if same.exists():
            raise RuleError(_("An e-bike with this number is registered already."), name)


def _clean(text: str) -> str:
    return unicodedata.normalize("NFKC", text[:200]).upper().translate(_GAPS)
