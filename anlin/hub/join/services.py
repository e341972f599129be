"""Who asks to be registered, and what owner and office answer. Nobody is let in by asking."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from PIL import Image

from anlin.core import identity as numbers
from anlin.hub import vault
from anlin.hub.access.faces import enrol_face
from anlin.hub.access.faults import named
from anlin.hub.audit.log import Actor, Via, changing, created
from anlin.hub.errors import RuleError
from anlin.hub.join.models import OPEN, Application, Stage
from anlin.hub.notices import events as told
from anlin.hub.people import services as people
from anlin.hub.people.identity import FAULTS, number_index, record_identity
from anlin.hub.people.models import (
    Document,
    Holder,
    HolderStatus,
    Proof,
    Purpose,
    Residency,
    ResidencyKind,
    Unit,
    in_force,
)
from anlin.vision.enrol import EnrolError, decode
from anlin.vision.models import ModelError

LONGEST_LEASE = timedelta(days=20 * 366)
"""No lease runs longer than twenty years (Civil Code art. 705)."""
SHOWN_AFTER = timedelta(days=30)
"""How long a home reads that a request was refused, and why."""
MAX_OPEN = 20
"""Requests that may wait for one home at a time; a crowd of strangers can't bury its owner."""
PHOTO_QUALITY = 92
NO_MODEL = "no_model"
"""Noted where this machine has no model for faces."""
FORM = Actor("registration form", Via.PAGE)
"""Who acts where somebody without a log-in has filled in the form."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody filled in. `posted` was drawn with the form; `photo` is JPEG, PNG or WebP."""

    name: str
    phone: str
    kind: ResidencyKind
    posted: str
    document: str = ""
    number: str = ""
    born_on: date | None = None
    ends_on: date | None = None
    wants_face: bool = False
    guardian: str = ""
    relation: str = ""
    photo: bytes = b""


def apply(
    unit: Unit, asked: Asked, by: Actor = FORM, *, asked_by: Holder | None = None
) -> tuple[Application, str]:
    """Take a request; give it and the secret of the link by which its sender follows it.

    The same form sent twice is one request; the secret is given the first time only. A request
    for family or a tenant waits for an owner of the home first, if one is registered; an owner
    who asks has answered with that.

    Raises:
        RuleError: a name, telephone, document or date that can't be; a child without guardian.
    """
    community = unit.building.community
    known = Application.objects.filter(community=community, posted=asked.posted).first()
    if known is not None:
        return known, ""
    now = timezone.now()
    application = _checked(unit, asked, now)
    application.asked_by = asked_by
    if asked_by is not None and asked_by in owners_of(unit, now):
        application.owner, application.owner_at = asked_by, now
        application.stage = Stage.OFFICE
    secret = secrets.token_urlsafe(24)
    application.secret = _fingerprint(secret)
    if asked.wants_face and asked.photo:
        application.closed_photo = vault.close(_clean(asked.photo), _photo_use(application))
    try:
        with transaction.atomic():
            application.save(force_insert=True)
            created(by, community, application, action="ask to join")
            if application.stage == Stage.OWNER:
                told.owner_waits(application)
    except IntegrityError:
        same = Application.objects.filter(community=community, posted=asked.posted).first()
        if same is not None:
            return same, ""
        raise RuleError(
            _("Somebody of this name and telephone is waiting for this home already."), "phone"
        ) from None
    return application, secret


def by_secret(secret: str) -> Application | None:
    """Find a request by the secret of its sender's link."""
    found = Application.objects.select_related("unit__building", "community")
    return found.filter(secret=_fingerprint(secret)).first()


def owners_of(unit: Unit, at: datetime) -> QuerySet[Holder]:
    """List the owners of a home who may speak for it now."""
    return Holder.objects.filter(
        pk__in=Residency.objects.filter(
            in_force(at), unit=unit, kind=ResidencyKind.OWNER.value
        ).values("holder"),
        status=HolderStatus.ACTIVE,
    )


def waiting_for_owner(holder: Holder) -> QuerySet[Application]:
    """List the requests that an owner has to answer, oldest first."""
    homes = Residency.objects.filter(
        in_force(timezone.now()), holder=holder, kind=ResidencyKind.OWNER.value
    )
    return (
        Application.objects.filter(stage=Stage.OWNER, unit__in=homes.values("unit"))
        .select_related("unit__building")
        .order_by("made_at")
    )


def of_homes(holder: Holder, owned: Iterable[Unit], at: datetime) -> QuerySet[Application]:
    """List what waits, or was lately refused, of homes owned and of what a resident asked."""
    seen = Q(stage__in=OPEN) | Q(stage=Stage.REFUSED, answered_at__gte=at - SHOWN_AFTER)
    mine = Q(asked_by=holder) | Q(unit__in=[unit.pk for unit in owned])
    return Application.objects.filter(seen, mine).select_related("unit").order_by("-made_at")


def take_back(application: Application, holder: Holder, by: Actor) -> None:
    """Let a resident take back what they asked for somebody else.

    Raises:
        RuleError: somebody else asked, or somebody has answered already.
    """
    if application.asked_by_id != holder.pk:
        raise RuleError(_("This request is not yours."))
    withdraw(application, by)


def is_asked(application: Application, holder: Holder) -> bool:
    """Say whether a resident owns the home that a request is about, answered or not."""
    return owners_of(application.unit, timezone.now()).filter(pk=holder.pk).exists()


def owner_answers(
    application: Application, owner: Holder, by: Actor, *, is_agreed: bool, reason: str = ""
) -> None:
    """Let an owner of the home say whether this person belongs there.

    Raises:
        RuleError: not an owner of that home, or somebody has answered already.
    """
    now = timezone.now()
    if owner not in owners_of(application.unit, now):
        raise RuleError(_("Only the owner of the home may do this."))
    with transaction.atomic():
        fresh = _locked(application, (Stage.OWNER,))
        with changing(by, fresh.community, fresh, "owner answers"):
            fresh.owner, fresh.owner_at = owner, now
            fresh.stage = Stage.OFFICE if is_agreed else Stage.REFUSED
            if not is_agreed:
                _close(fresh, by, now, reason or _("The owner of the home does not agree."))
                told.application_answered(fresh, is_agreed=False)
    application.refresh_from_db()


def approve(application: Application, by: Actor, *, proof: Proof, proof_number: str = "") -> Holder:
    """Let the office register the person: home, identity, consent and face, as far as asked for.

    Who is here already (the same document, or the same name and telephone) gets the home and
    stays one person. A photograph that will not do is noted; everything else stands.

    Raises:
        RuleError: somebody has answered already, the owner has not, or no proof is named.
    """
    if proof is Proof.NONE:
        raise RuleError(_("Say what shows that this person may live there."), "proof")
    now = timezone.now()
    with transaction.atomic():
        fresh = _locked(application, (Stage.OFFICE,))
        photo = _photo_of(fresh)
        holder = _person(fresh, by)
        _give_home(fresh, holder, by, proof, proof_number)
        if fresh.wants_face:
            people.give_consent(
                holder,
                Purpose.FACE,
                by,
                given_by=fresh.guardian or fresh.name,
                relation=fresh.relation,
            )
        with changing(by, fresh.community, fresh, "approve"):
            fresh.holder = holder
            fresh.stage = Stage.APPROVED
            _close(fresh, by, now, "")
        told.application_answered(fresh, is_agreed=True)
    if photo:
        _enrol(fresh, holder, photo, by)
    application.refresh_from_db()
    return holder


def refuse(application: Application, by: Actor, reason: str) -> None:
    """Let the office refuse; the sender reads the reason.

    Raises:
        RuleError: no reason, or somebody has answered already.
    """
    if not reason.strip():
        raise RuleError(_("Say why: the person reads it."), "reason")
    _end(application, by, Stage.REFUSED, "refuse", reason.strip())


def withdraw(application: Application, by: Actor = FORM) -> None:
    """Let the sender take a request back.

    Raises:
        RuleError: somebody has answered already.
    """
    _end(application, by, Stage.WITHDRAWN, "withdraw", "")


def expire(now: datetime) -> int:
    """End what nobody has answered for so long, and delete what was typed: how many."""
    late = Application.objects.filter(stage__in=OPEN, made_at__lt=now - Application.LIFE)
    done = 0
    for application in late:
        _end(application, Actor.command("expiry"), Stage.EXPIRED, "expire", "")
        done += 1
    return done


def same_person(application: Application) -> QuerySet[Holder]:
    """List who is registered already and may be the one who asks."""
    same = Q(phone_index=application.phone_index, name=application.name)
    if application.number:
        index = number_index(Document(application.document), application.number)
        same |= Q(identity__number_index=index)
    return Holder.objects.filter(same, community=application.community).distinct()


def _checked(unit: Unit, asked: Asked, now: datetime) -> Application:
    community = unit.building.community
    if not 7 <= len(re.sub(r"\D", "", asked.phone)) <= 15:
        raise RuleError(_("A telephone number has 7 to 15 digits."), "phone")
    today = timezone.localdate(now, ZoneInfo(community.zone))
    number, born_on = _document(asked, today)
    is_tenant = asked.kind is ResidencyKind.TENANT
    if is_tenant and asked.ends_on is None:
        raise RuleError(_("A lease has an end: type its last day."), "ends_on")
    if is_tenant and asked.ends_on is not None and asked.ends_on < today:
        raise RuleError(_("This day is over already."), "ends_on")
    if is_tenant and asked.ends_on is not None and asked.ends_on > today + LONGEST_LEASE:
        raise RuleError(_("No lease runs for more than twenty years."), "ends_on")
    is_child = born_on is not None and numbers.is_child(born_on, today)
    if asked.wants_face and is_child and not (asked.guardian.strip() and asked.relation.strip()):
        raise RuleError(
            _("For a child under 14 a guardian agrees to face recognition: name and relation."),
            "guardian",
        )
    if Application.objects.filter(unit=unit, stage__in=OPEN).count() >= MAX_OPEN:
        raise RuleError(_("Too many requests wait for this home; ask the property office."))
    asks_owner = asked.kind is not ResidencyKind.OWNER and owners_of(unit, now).exists()
    return Application(
        community=community,
        unit=unit,
        kind=asked.kind.value,
        name=named(asked.name),
        phone=asked.phone.strip(),
        phone_index=people.phone_index(asked.phone),
        document=asked.document if number else "",
        number=number,
        born_on=born_on,
        ends_on=asked.ends_on if is_tenant else None,
        wants_face=asked.wants_face,
        notice_version=community.face_notice_version if asked.wants_face else "",
        guardian=asked.guardian.strip(),
        relation=asked.relation.strip(),
        stage=Stage.OWNER if asks_owner else Stage.OFFICE,
        posted=asked.posted,
    )


def _document(asked: Asked, today: date) -> tuple[str, date | None]:
    """Give the number in its one form and the day of birth; no number is allowed."""
    if not asked.number.strip():
        return "", asked.born_on
    if asked.document not in Document.values:
        raise RuleError(_("Choose the document that the number stands on."), "document")
    kind = numbers.Document(asked.document)
    try:
        read = numbers.read(kind, asked.number, today)
    except numbers.IdentityError as error:
        raise RuleError(str(FAULTS[error.fault]), "number") from None
    return read.text, read.born_on or asked.born_on


def _person(application: Application, by: Actor) -> Holder:
    """Give the one who is here already, or register who is new."""
    known = same_person(application).exclude(status=HolderStatus.LEFT).first()
    holder = known or people.register_holder(
        application.community, application.name, by, phone=application.phone
    )
    if application.number:
        record_identity(
            holder,
            Document(application.document),
            application.number,
            by,
            born_on=application.born_on,
        )
    return holder


def _give_home(
    application: Application, holder: Holder, by: Actor, proof: Proof, number: str
) -> None:
    now = timezone.now()
    standing = holder.residencies.filter(in_force(now), unit=application.unit).first()
    residency = standing or people.add_residency(
        holder,
        application.unit,
        ResidencyKind(application.kind),
        by,
        ends_at=_lease_end(application),
    )
    with changing(by, application.community, residency, "prove"):
        residency.proof, residency.proof_number = proof, number.strip()[:60]
        residency.proven_by, residency.proven_at = by.name, now


def _lease_end(application: Application) -> datetime | None:
    """Give the end of the lease's last day, where the community is."""
    if application.ends_on is None:
        return None
    day = application.ends_on + timedelta(days=1)
    return datetime.combine(day, time.min, ZoneInfo(application.community.zone))


def _enrol(application: Application, holder: Holder, photo: bytes, by: Actor) -> None:
    """Make the face of a photograph; one that will not do is asked for again."""
    try:
        enrol_face(holder, photo, by)
    except EnrolError as error:
        fault = error.fault.value
    except ModelError:
        fault = NO_MODEL
    else:
        return
    Application.objects.filter(pk=application.pk).update(photo_fault=fault)


def _locked(application: Application, stages: Collection[Stage]) -> Application:
    """Give a request as it stands now, for one who may still answer it."""
    fresh = (
        Application.objects.select_for_update()
        .select_related("unit__building", "community")
        .get(pk=application.pk)
    )
    if fresh.stage not in stages:
        raise RuleError(
            _("This request is not waiting for you: %(stage)s.")
            % {"stage": fresh.get_stage_display()}
        )
    return fresh


def _end(application: Application, by: Actor, stage: Stage, action: str, reason: str) -> None:
    with transaction.atomic():
        fresh = _locked(application, OPEN)
        with changing(by, fresh.community, fresh, action):
            fresh.stage = stage
            _close(fresh, by, timezone.now(), reason)
        if stage is Stage.REFUSED:
            told.application_answered(fresh, is_agreed=False)
    application.refresh_from_db()


def _close(application: Application, by: Actor, now: datetime, reason: str) -> None:
    """Delete what was only needed to decide."""
    application.answered_by, application.answered_at = by.name, now
    application.reason = reason[:200]
    application.number, application.closed_photo = "", None


def _clean(photo: bytes) -> bytes:
    """Draw a photograph anew as JPEG: nothing but its pixels is kept, no place, no device.

    Raises:
        RuleError: not a picture, or too large.
    """
    try:
        pixels = decode(photo)
    except EnrolError as error:
        raise RuleError(
            _("The photograph can't be read; choose a JPEG or PNG file."), "photo"
        ) from error
    out = io.BytesIO()
    Image.fromarray(pixels[:, :, ::-1]).save(out, "JPEG", quality=PHOTO_QUALITY)
    return out.getvalue()


def _photo_of(application: Application) -> bytes:
    if application.closed_photo is None:
        return b""
    return vault.reveal(bytes(application.closed_photo), _photo_use(application))


def _photo_use(application: Application) -> str:
    return f"application {application.pk}"


def _fingerprint(secret: str) -> str:
    return vault.fingerprint(secret, "application")
