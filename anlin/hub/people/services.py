"""What is done about people and homes: each in a transaction, with a line in the change log."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.core import identity
from anlin.core.entities import HolderKind, Method
from anlin.hub import vault
from anlin.hub.access.credentials import forget_faces, revoke_all, revoke_credential
from anlin.hub.access.faults import named, refuse_zone
from anlin.hub.access.models import Photo
from anlin.hub.access.parking import cars_of
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, changing, created, deleted
from anlin.hub.errors import RuleError
from anlin.hub.people.models import (
    ApiToken,
    Building,
    Community,
    Consent,
    Holder,
    HolderStatus,
    Identity,
    Proof,
    Purpose,
    Residency,
    ResidencyKind,
    Role,
    StaffProfile,
    Unit,
    in_force,
)
from anlin.hub.vehicles import services as vehicles
from anlin.wire import keys

GUARDIAN_AGE = 18


def create_community(name: str, by: Actor, *, zone: str = "Asia/Shanghai") -> Community:
    """Found a community, with the key that signs its passes.

    Raises:
        RuleError: nobody knows the time zone.
    """
    refuse_zone(zone)
    with transaction.atomic():
        community = Community.objects.create(
            name=name, zone=zone, issuer_key=keys.new_signing_key()
        )
        created(by, community, community)
        publish(community, community=[community.pk], issuer=[community.pk])
    return community


def add_building(community: Community, name: str, by: Actor) -> Building:
    """Add a building; one of that name is given back as it is."""
    with transaction.atomic():
        building, is_new = Building.objects.get_or_create(community=community, name=name)
        if is_new:
            created(by, community, building)
    return building


def add_unit(building: Building, code: str, by: Actor, *, floor: int | None = None) -> Unit:
    """Add a home; one of that code is given back as it is."""
    with transaction.atomic():
        unit, is_new = Unit.objects.get_or_create(
            building=building, code=code, defaults={"floor": floor}
        )
        if is_new:
            created(by, building.community, unit)
    return unit


def register_holder(
    community: Community,
    name: str,
    by: Actor,
    *,
    kind: HolderKind = HolderKind.RESIDENT,
    unit: Unit | None = None,
    residency: ResidencyKind = ResidencyKind.OWNER,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    phone: str = "",
    greeting: str = "",
    note: str = "",
    host: Unit | None = None,
) -> Holder:
    """Register a person, with a residency where a unit is named, a visitor with the host's.

    Raises:
        RuleError: no name, or a residency that ends before it starts.
    """
    holder = _new_holder(
        community,
        name,
        kind=kind,
        valid_from=valid_from,
        valid_until=valid_until,
        phone=phone,
        greeting=greeting,
        note=note,
    )
    holder.host = host
    with transaction.atomic():
        holder.save(force_insert=True)
        created(by, community, holder, action="register")
        if unit is not None:
            add_residency(holder, unit, residency, by, starts_at=starts_at, ends_at=ends_at)
        publish(community, holder=[holder.pk])
    return holder


def change_holder(
    holder: Holder,
    by: Actor,
    *,
    name: str | None = None,
    greeting: str | None = None,
    phone: str | None = None,
    note: str | None = None,
    needs_time: bool | None = None,
    needs_escort: bool | None = None,
    can_escort: bool | None = None,
) -> None:
    """Change what is written about a person.

    Raises:
        RuleError: no name, or one who needs an escort is to be one.
    """
    with transaction.atomic():
        with changing(by, holder.community, holder, "change"):
            if name is not None:
                holder.name = named(name)
            if greeting is not None:
                holder.greeting = greeting.strip()
            if phone is not None:
                set_phone(holder, phone)
            if note is not None:
                holder.note = note.strip()
            if needs_time is not None:
                holder.needs_time = needs_time
            if needs_escort is not None:
                holder.needs_escort = needs_escort
            if can_escort is not None:
                holder.can_escort = can_escort
            if holder.needs_escort and holder.can_escort:
                raise RuleError(
                    _("Who needs an escort can't be the escort of others."), "can_escort"
                )
        publish(holder.community, holder=[holder.pk])


def suspend_holder(holder: Holder, by: Actor) -> None:
    """Refuse everything a holder presents until `resume_holder`."""
    _set_status(holder, HolderStatus.SUSPENDED, by, "suspend")


def resume_holder(holder: Holder, by: Actor) -> None:
    """Let a suspended holder, or one who came back, in again."""
    _set_status(holder, HolderStatus.ACTIVE, by, "resume")


def move_out(holder: Holder, by: Actor, *, at: datetime | None = None) -> None:
    """End every residency and take back every credential; faces are deleted.

    A lease that would have run for longer ends as well: whoever comes back later gets nothing
    by it. One that has not begun is taken out of the records.
    """
    ends_at = at or timezone.now()
    with transaction.atomic():
        for residency in holder.residencies.exclude(ends_at__lte=ends_at):
            if residency.starts_at is not None and residency.starts_at >= ends_at:
                deleted(by, holder.community, residency, action="move out")
                residency.delete()
            else:
                end_residency(residency, by, ends_at=ends_at)
        vehicles.end_all(holder, by)
        revoke_all(holder, by)
        _set_status(holder, HolderStatus.LEFT, by, "move out")


def add_residency(
    holder: Holder,
    unit: Unit,
    kind: ResidencyKind,
    by: Actor,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    proof: Proof = Proof.NONE,
    proof_number: str = "",
) -> Residency:
    """Let a holder live in a unit for a time; a lease takes its access with it at `ends_at`.

    The same said twice is written once, and the residency that stands is given back.

    Raises:
        RuleError: it ends before it starts, the home is of another community, or somebody who
            has moved out is not let in again yet.
    """
    refuse_backwards(starts_at, ends_at)
    if unit.building.community_id != holder.community_id:
        raise RuleError(_("This home is in another community."), "unit")
    if holder.status == HolderStatus.LEFT:
        raise RuleError(
            _("%(name)s has moved out; let them in again first.") % {"name": holder.name}, "unit"
        )
    with transaction.atomic():
        Holder.objects.select_for_update().get(pk=holder.pk)
        standing = holder.residencies.filter(
            in_force(timezone.now()), unit=unit, kind=kind, ends_at=ends_at
        ).first()
        if standing is not None:
            return standing
        residency = Residency(
            holder=holder, unit=unit, kind=kind, starts_at=starts_at, ends_at=ends_at
        )
        if proof:
            residency.proof, residency.proof_number = proof, proof_number.strip()
            residency.proven_by, residency.proven_at = by.name, timezone.now()
        residency.save(force_insert=True)
        created(by, holder.community, residency)
        publish(holder.community, holder=[holder.pk], credential=cars_of(pk=holder.pk))
    return residency


def end_residency(residency: Residency, by: Actor, *, ends_at: datetime | None = None) -> None:
    """End a residency at a time, now by default."""
    holder = residency.holder
    with transaction.atomic():
        with changing(by, holder.community, residency, "end residency"):
            residency.ends_at = ends_at or timezone.now()
            refuse_backwards(residency.starts_at, residency.ends_at)
        publish(holder.community, holder=[holder.pk], credential=cars_of(pk=holder.pk))


def give_consent(
    holder: Holder,
    purpose: Purpose,
    by: Actor,
    *,
    given_by: str = "",
    guardian: Holder | None = None,
    relation: str = "",
    is_child: bool = False,
) -> Consent:
    """Write down that somebody agreed; for a child under 14 a guardian does, by name and relation.

    `is_child` is what the person at the desk says; where the day of birth is known, that counts
    as well.

    Raises:
        RuleError: a child without guardian, or a guardian who can't be one.
    """
    if guardian is not None:
        _refuse_guardian(holder, guardian)
    who = guardian.name if guardian is not None else given_by.strip()
    if is_child or is_under_14(holder):
        if not who or (guardian is None and who == holder.name):
            raise RuleError(
                _("%(name)s is under 14: a parent or guardian agrees. Say who.")
                % {"name": holder.name},
                "given_by",
            )
        if not relation.strip():
            raise RuleError(_("Say what the guardian is to the child."), "relation")
    with transaction.atomic():
        standing = holder.consents.filter(purpose=purpose, withdrawn_at=None).first()
        if standing is not None:
            return standing
        consent = Consent.objects.create(
            holder=holder,
            purpose=purpose,
            text_version=holder.community.face_notice_version,
            given_by=who or holder.name,
            guardian=guardian,
            relation=relation.strip(),
            given_at=timezone.now(),
            recorded_by=by.name,
        )
        created(by, holder.community, consent, action="give consent")
    return consent


def is_under_14(holder: Holder) -> bool:
    """Say whether a holder is known to be a child whose guardian has to agree."""
    found = Identity.objects.filter(holder=holder).only("born_on").first()
    if found is None or found.born_on is None:
        return False
    return identity.is_child(found.born_on, timezone.localdate())


def withdraw_consent(
    holder: Holder, purpose: Purpose, by: Actor, *, withdrawn_by: str = ""
) -> None:
    """Withdraw a consent: what rested on it is deleted here and at every edge."""
    with transaction.atomic():
        for consent in holder.consents.filter(purpose=purpose, withdrawn_at=None):
            with changing(by, holder.community, consent, "withdraw consent"):
                consent.withdrawn_at = timezone.now()
                consent.withdrawn_by = withdrawn_by or holder.name
        if purpose == Purpose.PHOTO:
            kept = Photo.objects.filter(credential__holder=holder)
            pictures = list(kept.values_list("pk", flat=True))
            kept.delete()
            # Terminals that were given it are told to forget it.
            publish(holder.community, template=pictures)
            return
        faces = holder.credentials.filter(method=Method.FACE.value).exclude(status="revoked")
        forget_faces(holder, faces, by)
        for face in faces:
            revoke_credential(face, by)


@dataclass(frozen=True, slots=True)
class HomeRow:
    """One person in one home, as a property company's list has it."""

    building: str
    unit: str
    name: str
    kind: ResidencyKind = ResidencyKind.OWNER
    floor: int | None = None
    phone: str = ""
    greeting: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def import_homes(community: Community, rows: Sequence[HomeRow], by: Actor) -> list[Holder]:
    """Take over a whole list of homes and people at once; give the holders in its order.

    Raises:
        RuleError: a row breaks a rule, named with its number; nothing is taken over.
    """
    holders: list[Holder] = []
    for number, row in enumerate(rows, start=1):
        try:
            refuse_backwards(row.starts_at, row.ends_at)
            holders.append(_new_holder(community, row.name, phone=row.phone, greeting=row.greeting))
        except RuleError as error:
            raise RuleError(
                _("Row %(number)d: %(rule)s") % {"number": number, "rule": error}
            ) from error
    with transaction.atomic():
        units = _import_units(community, rows, by)
        Holder.objects.bulk_create(holders)
        residencies = Residency.objects.bulk_create(
            Residency(
                holder=holder,
                unit=units[row.building, row.unit],
                kind=row.kind,
                starts_at=row.starts_at,
                ends_at=row.ends_at,
            )
            for row, holder in zip(rows, holders, strict=True)
        )
        created(by, community, *holders, action="import")
        created(by, community, *residencies, action="import")
        publish(community, holder=[holder.pk for holder in holders])
    return holders


def add_staff(
    community: Community, username: str, role: Role, by: Actor, *, name: str = ""
) -> tuple[StaffProfile, str]:
    """Give a member of staff a log-in; its password is made here and shown once.

    Raises:
        RuleError: the user name is taken.
    """
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        if User.objects.filter(username=username).exists():
            raise RuleError(_("The user name %(name)s is taken.") % {"name": username}, "username")
        user = User.objects.create_user(username, password=password, last_name=name)
        staff = StaffProfile.objects.create(user=user, community=community, role=role)
        created(by, community, staff, action="add staff")
    return staff, password


def new_password(staff: StaffProfile, by: Actor) -> str:
    """Give a member of staff a new password; the old one and every session end."""
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        staff.user.set_password(password)
        staff.user.save(update_fields=["password"])
        created(by, staff.community, staff, action="new password")
    return password


def add_api_token(staff: StaffProfile, name: str, by: Actor) -> tuple[ApiToken, str]:
    """Let a program act as a member of staff; the token is made here and shown once."""
    text = secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(staff=staff, name=name, token_hash=token_hash(text))
        created(by, staff.community, token, action="add token")
    return token, text


def revoke_api_token(token: ApiToken, by: Actor) -> None:
    """End a program's log-in."""
    with transaction.atomic(), changing(by, token.staff.community, token, "revoke token"):
        token.revoked_at = timezone.now()


def token_hash(text: str) -> str:
    """Give what a token of a program is found by."""
    return vault.fingerprint(text, "api token")


def phone_index(phone: str) -> str:
    """Give what a phone number is found by; empty for none."""
    digits = re.sub(r"\D", "", phone)
    return vault.fingerprint(digits, "phone") if digits else ""


def set_phone(holder: Holder, phone: str) -> None:
    """Put a phone number on a holder that is not saved yet, with what it is found by."""
    holder.phone = phone.strip()
    holder.phone_index = phone_index(phone)
    holder.phone_tail = re.sub(r"\D", "", phone)[-4:]


def _new_holder(
    community: Community,
    name: str,
    *,
    kind: HolderKind = HolderKind.RESIDENT,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    phone: str = "",
    greeting: str = "",
    note: str = "",
) -> Holder:
    refuse_backwards(valid_from, valid_until)
    holder = Holder(
        community=community,
        name=named(name),
        kind=kind.value,
        valid_from=valid_from,
        valid_until=valid_until,
        greeting=greeting.strip(),
        note=note.strip(),
    )
    set_phone(holder, phone)
    return holder


def _import_units(
    community: Community, rows: Iterable[HomeRow], by: Actor
) -> dict[tuple[str, str], Unit]:
    """Find or make the buildings and units that rows name."""
    buildings = {building.name: building for building in community.buildings.all()}
    new_buildings = [
        Building(community=community, name=name)
        for name in dict.fromkeys(row.building for row in rows)
        if name not in buildings
    ]
    Building.objects.bulk_create(new_buildings)
    buildings |= {building.name: building for building in new_buildings}
    found = Unit.objects.filter(building__community=community).select_related("building")
    units = {(unit.building.name, unit.code): unit for unit in found}
    floors = {(row.building, row.unit): row.floor for row in rows}
    new_units = {
        key: Unit(building=buildings[key[0]], code=key[1], floor=floor)
        for key, floor in floors.items()
        if key not in units
    }
    Unit.objects.bulk_create(new_units.values())
    created(by, community, *new_buildings, *new_units.values(), action="import")
    return units | new_units


def _refuse_guardian(holder: Holder, guardian: Holder) -> None:
    if guardian.pk == holder.pk or guardian.community_id != holder.community_id:
        raise RuleError(_("The guardian is another person of this community."), "guardian")
    if guardian.status != HolderStatus.ACTIVE:
        raise RuleError(
            _("%(name)s does not live here any more.") % {"name": guardian.name}, "guardian"
        )
    found = Identity.objects.filter(holder=guardian).only("born_on").first()
    if found is not None and found.born_on is not None:
        age = identity.age_on(found.born_on, timezone.localdate())
        if age < GUARDIAN_AGE:
            raise RuleError(
                _("%(name)s is %(age)d; a guardian is of age.")
                % {"name": guardian.name, "age": age},
                "guardian",
            )


def _set_status(holder: Holder, status: HolderStatus, by: Actor, action: str) -> None:
    with transaction.atomic():
        with changing(by, holder.community, holder, action):
            holder.status = status
        publish(holder.community, holder=[holder.pk])


def refuse_backwards(start: datetime | None, end: datetime | None) -> None:
    """Refuse what ends before it starts.

    Raises:
        RuleError: it does.
    """
    if start is not None and end is not None and end <= start:
        raise RuleError(
            _("It would end on %(end)s, before it starts on %(start)s.")
            % {"end": end.date(), "start": start.date()},
            "ends_at",
        )
