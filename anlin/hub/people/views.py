"""People: found, registered, given and denied what opens for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.access import Reason
from anlin.core.entities import HolderKind, Method, Status
from anlin.core.event import EventKind
from anlin.hub.access import services as access
from anlin.hub.access.credentials import replace_card as replace_by
from anlin.hub.access.models import AccessPoint, Credential
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console import feed
from anlin.hub.console.pages import (
    DESK,
    MANAGE,
    attempt,
    blame,
    bound,
    page,
    paged,
    query_of,
    submit,
)
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event
from anlin.hub.people import services
from anlin.hub.people.faults import FAULTS
from anlin.hub.people.forms import (
    CardForm,
    ConsentForm,
    FaceForm,
    HolderForm,
    PinForm,
    PlateForm,
    RegisterForm,
    ResidencyForm,
    end_of_day,
)
from anlin.hub.people.holder_page import CARDS as _CARDS
from anlin.hub.people.holder_page import holder_page, unit_codes
from anlin.hub.people.models import (
    Community,
    Holder,
    HolderStatus,
    Purpose,
    Residency,
    ResidencyKind,
)
from anlin.hub.permissions import StaffRequest, holders_in_scope
from anlin.hub.vehicles import services as vehicles
from anlin.vision.enrol import EnrolError
from anlin.vision.models import ModelError

PAGE_SIZE = 30

CARD_WAIT = timedelta(seconds=60)
"""How long a reader is listened to for a new card: time to walk to the gate and back."""


@require_GET
@page(*DESK)
def holders(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    query = query_of(request)
    found = (
        search(community, query)
        .filter(pk__in=holders_in_scope(request.staff).values("pk"))
        .prefetch_related(
            Prefetch("residencies", Residency.objects.select_related("unit")),
            Prefetch("credentials", Credential.objects.exclude(status=Status.REVOKED.value)),
        )
        .order_by("name", "id")
    )
    shown = paged(request, found, PAGE_SIZE)
    if query:
        viewed(Actor.of(request), community, "holder search", [query])
    now = timezone.now()
    rows = [
        {
            "holder": holder,
            "homes": [r for r in holder.residencies.all() if _holds(r, now)],
            "ended": [r for r in holder.residencies.all() if r.ends_at and r.ends_at <= now],
            "methods": sorted({c.method for c in holder.credentials.all()}),
        }
        for holder in shown
    ]
    return render(request, "people/holders.html", {"page": shown, "rows": rows, "q": query})


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def register(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    form = RegisterForm(community, bound(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            holder = services.register_holder(
                community,
                given["name"],
                Actor.of(request),
                kind=HolderKind(given["kind"]),
                unit=given["unit"],
                residency=ResidencyKind(given["residency"] or ResidencyKind.OWNER),
                ends_at=end_of_day(given["ends_on"]),
                phone=given["phone"],
                greeting=given["greeting"],
            )
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(
                request,
                _("%(name)s is registered. Now give a card, a plate or a face.")
                % {"name": holder.name},
            )
            return redirect("people:holder", holder.pk)
    return _form_page(request, "people/register.html", form, units=unit_codes(community))


@require_GET
@page(*DESK)
def holder(request: StaffRequest, holder_id: str) -> HttpResponse:
    person = _holder(request, holder_id)
    viewed(Actor.of(request), person.community, "holder", [person.pk])
    return holder_page(request, person)


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def edit(request: StaffRequest, holder_id: str) -> HttpResponse:
    person = _holder(request, holder_id)
    first = {name: getattr(person, name) for name in HolderForm.base_fields}
    form = HolderForm(bound(request), initial=first)

    def save() -> str:
        services.change_holder(person, Actor.of(request), **form.cleaned_data)
        return reverse("people:holder", args=[person.pk])

    saved = submit(request, form, save, _("Saved."))
    return saved or _form_page(request, "people/edit.html", form, holder=person)


@require_POST
@page(*MANAGE)
def change_status(request: StaffRequest, holder_id: str, action: str) -> HttpResponse:
    person = _holder(request, holder_id)
    by = Actor.of(request)
    doing: dict[str, tuple[Callable[[Holder, Actor], None], str]] = {
        "suspend": (services.suspend_holder, _("Nothing opens for %(name)s from now on.")),
        "resume": (services.resume_holder, _("%(name)s is let in again.")),
        "move-out": (
            services.move_out,
            _("%(name)s has moved out: every credential is taken back, the face is deleted."),
        ),
    }
    do, done = doing[action]
    attempt(request, lambda: do(person, by), done % {"name": person.name})
    return redirect("people:holder", person.pk)


@require_POST
@page(*MANAGE)
def add_residency(request: StaffRequest, holder_id: str) -> HttpResponse:
    person = _holder(request, holder_id)
    form = ResidencyForm(person.community, request.POST)

    def save() -> str:
        given = form.cleaned_data
        services.add_residency(
            person,
            given["unit"],
            ResidencyKind(given["residency"]),
            Actor.of(request),
            ends_at=end_of_day(given["ends_on"]),
        )
        return reverse("people:holder", args=[person.pk])

    saved = submit(request, form, save, _("The home is added."))
    return saved or holder_page(request, person, residency_form=form)


@require_POST
@page(*MANAGE)
def end_residency(request: StaffRequest, residency_id: str) -> HttpResponse:
    residency = get_object_or_404(
        Residency.objects.select_related("holder", "unit"),
        pk=residency_id,
        holder__in=holders_in_scope(request.staff).values("pk"),
    )
    done = _("%(unit)s does not open for %(name)s any more.") % {
        "unit": residency.unit.code,
        "name": residency.holder.name,
    }
    attempt(request, lambda: services.end_residency(residency, Actor.of(request)), done)
    return redirect("people:holder", residency.holder_id)


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def face(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Ask for consent first; then take a photograph and say what came of it."""
    person = _holder(request, holder_id)
    if not person.has_consent(Purpose.FACE):
        return _form_page(request, "people/consent.html", ConsentForm(person), holder=person)
    form = FaceForm(request.POST, request.FILES) if request.method == "POST" else FaceForm()
    fault: Any = None
    if form.is_bound and form.is_valid():
        try:
            access.enrol_face(person, form.cleaned_data["photo"].read(), Actor.of(request))
        except EnrolError as error:
            fault = FAULTS[error.fault]
        except RuleError as error:
            blame(form, error)
        except ModelError as error:
            form.add_error(None, _("This machine can't read faces: %(why)s.") % {"why": str(error)})
        else:
            messages.success(
                request,
                _("The face of %(name)s is enrolled. Every gate knows it in a few seconds.")
                % {"name": person.name},
            )
            return redirect("people:holder", person.pk)
    return _form_page(request, "people/face.html", form, holder=person, fault=fault)


@require_POST
@page(*MANAGE)
def give_consent(request: StaffRequest, holder_id: str) -> HttpResponse:
    person = _holder(request, holder_id)
    form = ConsentForm(person, request.POST)
    if not form.is_valid():
        return _form_page(request, "people/consent.html", form, holder=person)
    by, given = Actor.of(request), form.cleaned_data
    purposes = (Purpose.FACE, Purpose.PHOTO) if given["photo"] else (Purpose.FACE,)
    try:
        with transaction.atomic():
            for purpose in purposes:
                services.give_consent(
                    person,
                    purpose,
                    by,
                    given_by=given["given_by"],
                    guardian=given["guardian"],
                    relation=given["relation"],
                    is_child=given["age"] == ConsentForm.CHILD,
                )
    except RuleError as error:
        blame(form, error)
        return _form_page(request, "people/consent.html", form, holder=person)
    messages.success(request, _("The consent is written down."))
    return redirect("people:face", person.pk)


@require_POST
@page(*MANAGE)
def withdraw_consent(request: StaffRequest, holder_id: str, purpose: str) -> HttpResponse:
    person = _holder(request, holder_id)
    chosen = Purpose(purpose)
    done = (
        _("The consent is withdrawn: the face is deleted here and at every gate.")
        if chosen == Purpose.FACE
        else _("The consent is withdrawn: the photograph is deleted.")
    )
    attempt(request, lambda: services.withdraw_consent(person, chosen, Actor.of(request)), done)
    return redirect("people:holder", person.pk)


@require_POST
@page(*MANAGE)
def add_card(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Give a card, in place of one that was lost where `instead` names it."""
    person = _holder(request, holder_id)
    form = CardForm(request.POST)
    old = person.credentials.filter(pk=request.POST.get("instead", "")[:24]).first()

    def save() -> str:
        number, by = form.cleaned_data["number"], Actor.of(request)
        if old is not None:
            replace_by(old, number, by, method=form.method)
        else:
            access.add_card(person, number, by, method=form.method)
        return reverse("people:holder", args=[person.pk])

    done = _("The card opens for %(name)s in a few seconds.") % {"name": person.name}
    return submit(request, form, save, done) or holder_page(request, person, card_form=form)


@require_POST
@page(*MANAGE)
def replace_card(request: StaffRequest, holder_id: str, credential_id: str) -> HttpResponse:
    """Refuse a lost card from now on and listen for the one that takes its place."""
    person = _holder(request, holder_id)
    cards = person.credentials.filter(method__in=_CARDS).exclude(status=Status.REVOKED.value)
    card = get_object_or_404(cards, pk=credential_id)
    if card.status == Status.ACTIVE.value:
        access.mark_lost(card, Actor.of(request))
    messages.success(request, _("The lost card opens nothing from now on."))
    point = request.POST.get("point", "")[:24]
    if not point:
        return redirect(reverse("people:holder", args=[person.pk]) + f"?instead={card.pk}#add-card")
    address = reverse("people:wait_for_card", args=[person.pk])
    return redirect(f"{address}?{urlencode({'point': point, 'instead': card.pk})}")


@require_POST
@page(*MANAGE)
def add_plate(request: StaffRequest, holder_id: str) -> HttpResponse:
    person = _holder(request, holder_id)
    form = PlateForm(request.POST)

    def save() -> str:
        vehicles.add_vehicle(person, form.cleaned_data["plate"], Actor.of(request))
        return reverse("people:holder", args=[person.pk])

    done = _("The barrier opens for this car of %(name)s in a few seconds.") % {"name": person.name}
    return submit(request, form, save, done) or holder_page(request, person, plate_form=form)


@require_POST
@page(*MANAGE)
def set_pin(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Set a PIN; it is in this answer only: not in an address, not in a message."""
    person = _holder(request, holder_id)
    form = PinForm(request.POST)
    if form.is_valid():
        given = "".join(form.cleaned_data["digits"].split())
        try:
            digits = access.set_pin(person, Actor.of(request), given)
        except RuleError as error:
            blame(form, error)
        else:
            context = {"holder": person, "digits": digits, "is_drawn": not given}
            answer = render(request, "people/pin.html", context)
            answer.headers["Cache-Control"] = "no-store"
            return answer
    return holder_page(request, person, pin_form=form)


@require_GET
@page(*MANAGE)
def wait_for_card(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Listen at one access point for a card that nobody holds yet."""
    person = _holder(request, holder_id)
    community = person.community
    point = get_object_or_404(
        AccessPoint, pk=request.GET.get("point", "")[:24], portal__community=community
    )
    now = timezone.now()
    after = _number(request.GET.get("after"), feed.head(community))
    began = _number(request.GET.get("began"), int(now.timestamp()))
    asked = request.GET.get("instead", "")[:24]
    instead = asked if person.credentials.filter(pk=asked).exists() else ""
    left_s = int(CARD_WAIT.total_seconds()) - max(0, int(now.timestamp()) - began)
    number, method = _unknown_card(community, point, after)
    context = {
        "holder": person,
        "point": point,
        "number": number,
        "is_secure": method == Method.SECURE_CARD,
        "left_s": max(0, left_s),
        "is_over": left_s <= 0,
        "instead": instead,
        "again": f"?point={point.pk}&after={after}&began={began}&instead={instead}",
    }
    is_part = request.headers.get("HX-Request") == "true"
    answer = render(request, "people/_waiting.html" if is_part else "people/waiting.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _unknown_card(community: Community, point: AccessPoint, after: int) -> tuple[str, str]:
    """Give the newest card that a point has read and nobody holds: number and method, or ''."""
    since = Event.objects.filter(
        community=community.pk, id__gt=after, kind=EventKind.ACCESS_DENIED.value
    ).order_by("-id")[:50]
    for event in since:
        data = event.data
        is_unknown = data.get("reason") == Reason.CREDENTIAL_UNKNOWN
        if is_unknown and data.get("point") == point.pk and data.get("method") in _CARDS:
            return str(data.get("value") or "")[:40], str(data["method"])
    return "", ""


def _number(text: str | None, otherwise: int) -> int:
    if text and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return otherwise


def search(community: Community, query: str) -> Any:
    everyone = Holder.objects.filter(community=community)
    if not query:
        return everyone.exclude(status=HolderStatus.LEFT)
    key = "".join(query.upper().split()).replace("·", "").replace("-", "")
    found = (
        Q(name__icontains=query)
        | Q(residencies__unit__code__istartswith=query)
        | Q(credentials__key=key)
    )
    phone = services.phone_index(query)
    if phone:
        found |= Q(phone_index=phone)
    return everyone.filter(pk__in=everyone.filter(found).values("pk"))


def _holds(residency: Residency, at: datetime) -> bool:
    begun = residency.starts_at is None or residency.starts_at <= at
    return begun and (residency.ends_at is None or residency.ends_at > at)


def _holder(request: StaffRequest, holder_id: str) -> Holder:
    people = holders_in_scope(request.staff).select_related("community")
    return get_object_or_404(people, pk=holder_id)


def _form_page(request: HttpRequest, template: str, form: Any, **context: Any) -> HttpResponse:
    status = 422 if form.is_bound and (form.errors or context.get("fault")) else 200
    return render(request, template, {"form": form, **context}, status=status)
