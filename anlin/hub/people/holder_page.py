"""One page with everything lawful about a person; what it shows depends on who looks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from anlin.core.entities import Method, Status
from anlin.core.identity import age_on, masked
from anlin.hub.access import services as access
from anlin.hub.access.models import AccessPoint
from anlin.hub.console.pages import MANAGE
from anlin.hub.people import homes, services
from anlin.hub.people import identity as identities
from anlin.hub.people.forms import CardForm, PinForm, PlateForm, ResidencyForm
from anlin.hub.people.home_forms import LeaseForm, ProofForm
from anlin.hub.people.leaving import deletion
from anlin.hub.people.models import Community, Holder, HolderStatus, Identity, Residency, Unit
from anlin.hub.people.opens import counted, opens
from anlin.hub.permissions import StaffRequest
from anlin.hub.vehicles.services import vehicles_of

CARDS = (Method.CARD, Method.SECURE_CARD)
_PASSES_SHOWN = 5


def holder_page(
    request: StaffRequest,
    person: Holder,
    *,
    card_form: CardForm | None = None,
    plate_form: PlateForm | None = None,
    pin_form: PinForm | None = None,
    residency_form: ResidencyForm | None = None,
) -> HttpResponse:
    """Show a person, with the forms that were filled in wrongly."""
    now = timezone.now()
    community = person.community
    may_manage = request.staff.role in MANAGE
    credentials = list(person.credentials.order_by("method", "-created_at"))
    face = next(
        (c for c in credentials if c.method == Method.FACE and c.status != Status.REVOKED), None
    )
    openings = opens(person, now) if person.status != HolderStatus.LEFT else []
    context = {
        "holder": person,
        "residencies": _homes(person, now),
        "flags": _flags(person, now),
        "credentials": [c for c in credentials if c.status != Status.REVOKED],
        "revoked": [c for c in credentials if c.status == Status.REVOKED],
        "face": face,
        "face_missing_at": list(access.nodes_without(face)) if face else [],
        "consents": person.consents.select_related("guardian").order_by("-given_at"),
        "openings": openings,
        "counts": counted(openings),
        "deletion": deletion(person, now),
        "vehicles": vehicles_of(person),
        "ebikes": person.ebikes.filter(ended_at=None).order_by("recorded_at"),
        "passes": person.passes.order_by("-issued_at")[:_PASSES_SHOWN],
        "readers": _card_readers(community),
        "instead": _lost_card(request, person),
        "card_form": card_form or CardForm(),
        "plate_form": plate_form or PlateForm(),
        "pin_form": pin_form or PinForm(),
        "has_pin": any(c.method == Method.PIN and c.status != Status.REVOKED for c in credentials),
        "residency_form": residency_form or ResidencyForm(community),
        "proof_form": ProofForm(auto_id=False),
        "lease_form": LeaseForm(auto_id=False),
        "units": unit_codes(community),
        "may_manage": may_manage,
        "is_child": services.is_under_14(person),
        **(_identity(person) if may_manage else {}),
        "now": now,
    }
    is_fault = any(form is not None for form in (card_form, plate_form, pin_form, residency_form))
    return render(request, "people/holder.html", context, status=422 if is_fault else 200)


def unit_codes(community: Community) -> Any:
    """List the homes of a community for a field that offers them."""
    return (
        Unit.objects.filter(building__community=community)
        .order_by("code")
        .values_list("code", flat=True)
    )


def _homes(person: Holder, at: datetime) -> list[dict[str, object]]:
    rows = person.residencies.select_related("unit__building").order_by("unit__code", "id")
    return [{"row": row, "holds": _holds(row, at)} for row in rows]


def _holds(row: Residency, at: datetime) -> bool:
    begun = row.starts_at is None or row.starts_at <= at
    return begun and (row.ends_at is None or row.ends_at > at)


def _flags(person: Holder, at: datetime) -> list[dict[str, object]]:
    """List what looks wrong at the homes of a person and is about this person."""
    units = list(person.residencies.values_list("unit", flat=True).distinct())
    found = homes.flags(person.community, at, units) if units else {}
    codes = dict(Unit.objects.filter(pk__in=list(found)).values_list("pk", "code"))
    return [
        {"unit": unit, "code": codes[unit], "flag": flag}
        for unit, flags in found.items()
        for flag in flags
        if any(row.holder_id == person.pk for row in flag.residencies)
    ]


def _identity(person: Holder) -> dict[str, object]:
    found = Identity.objects.filter(holder=person).select_related("holder").first()
    if found is None:
        return {"identity": None}
    today = timezone.localdate()
    return {
        "identity": found,
        "id_number": masked(found.number),
        "age": age_on(found.born_on, today) if found.born_on is not None else None,
        "same": identities.same_person(found),
    }


def _card_readers(community: Community) -> list[AccessPoint]:
    points = AccessPoint.objects.filter(portal__community=community).select_related("portal")
    return [point for point in points.order_by("name") if set(point.methods) & set(CARDS)]


def _lost_card(request: StaffRequest, person: Holder) -> str:
    """Give the id of the lost card that the next card added on this page takes the place of."""
    asked = request.GET.get("instead", "")[:24] or request.POST.get("instead", "")[:24]
    lost = person.credentials.filter(pk=asked, method__in=CARDS)
    return asked if asked and lost.exists() else ""
