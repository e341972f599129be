"""Who somebody is: recorded, proven, and shown in full for a stated purpose."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core.identity import masked
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import MANAGE, attempt, blame, bound, page, submit
from anlin.hub.errors import RuleError
from anlin.hub.people import identity as identities
from anlin.hub.people.identity_forms import IdentityForm, OutsideForm, PurposeForm, ReaderForm
from anlin.hub.people.models import Document, Holder, Identity
from anlin.hub.people.verifiers import Verifier, VerifierError, verifier
from anlin.hub.permissions import StaffRequest, holders_in_scope


@require_http_methods(["GET", "POST"])
@page(*MANAGE)
def identity(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Show what is known with the number covered, and take up a document by hand."""
    person = _holder(request, holder_id)
    form = IdentityForm(bound(request), initial=IdentityForm.first(_identity(person)))

    def save() -> str:
        given = form.cleaned_data
        found = identities.record_identity(
            person,
            Document(given["document"]),
            given["number"],
            Actor.of(request),
            category=given["category"],
            born_on=given["born_on"],
        )
        if identities.same_person(found):
            messages.warning(
                request, _("Somebody is registered under this number already: look below.")
            )
        return reverse("people:identity", args=[person.pk])

    saved = submit(request, form, save, _("Saved. Now say how it was proven."))
    return saved or _page(request, person, form=form)


@require_POST
@page(*MANAGE)
def prove(request: StaffRequest, holder_id: str, how: str) -> HttpResponse:
    """Prove an identity by the clerk's own eyes, a reader, or an outside service."""
    person = _holder(request, holder_id)
    by = Actor.of(request)
    found = _identity(person)
    if how == "reader":
        form = ReaderForm(request.POST)

        def save() -> str:
            identities.prove_by_reader(person, form.cleaned_data["line"], by)
            return reverse("people:identity", args=[person.pk])

        saved = submit(request, form, save, _("Read and proven."))
        return saved or _page(request, person, reader_form=form)
    if found is None:
        messages.error(request, _("Record the document first."))
    elif how == "clerk":
        attempt(
            request,
            lambda: identities.prove_by_clerk(found, by),
            _("Proven, with your name to it."),
        )
    else:
        return _ask_outside(request, person, found, by)
    return redirect("people:identity", person.pk)


@require_POST
@page(*MANAGE)
def number(request: StaffRequest, holder_id: str) -> HttpResponse:
    """Show the full number once; who looked and what for is written down first."""
    person = _holder(request, holder_id)
    found = get_object_or_404(Identity, holder=person)
    form = PurposeForm(request.POST)
    if form.is_valid():
        try:
            full = identities.reveal_number(found, form.said, Actor.of(request))
        except RuleError as error:
            blame(form, error)
        else:
            return _page(request, person, full=full)
    return _page(request, person, purpose_form=form)


@require_POST
@page(*MANAGE)
def forget(request: StaffRequest, holder_id: str) -> HttpResponse:
    person = _holder(request, holder_id)
    attempt(
        request,
        lambda: identities.forget_identity(person, Actor.of(request)),
        _("The document's number is deleted."),
    )
    return redirect("people:identity", person.pk)


@require_GET
@page(*MANAGE)
def doubles(request: StaffRequest) -> HttpResponse:
    """List who stands in the records twice under one number."""
    mine = set(holders_in_scope(request.staff).values_list("pk", flat=True))
    found = [
        one
        for one in identities.doubles(request.staff.community.pk)
        if any(holder.pk in mine for holder in one)
    ]
    viewed(
        Actor.of(request),
        request.staff.community,
        "holder",
        sorted({holder.pk for one in found for holder in one}),
        purpose="same number twice",
    )
    return render(request, "people/doubles.html", {"doubles": found})


def _ask_outside(request: StaffRequest, person: Holder, found: Identity, by: Actor) -> HttpResponse:
    form = OutsideForm(request.POST)
    service = _service()
    if service is None:
        messages.error(request, _("This hub asks no outside service."))
    elif not form.is_valid():
        return _page(request, person, outside_form=form)
    else:
        try:
            is_match = identities.prove_outside(found, service, by)
        except RuleError as error:
            messages.error(request, str(error))
        else:
            if is_match:
                messages.success(request, _("Confirmed: name and number belong together."))
            else:
                messages.warning(
                    request, _("Not confirmed: compare name and number with the document.")
                )
    return redirect("people:identity", person.pk)


def _page(
    request: StaffRequest,
    person: Holder,
    *,
    form: IdentityForm | None = None,
    reader_form: ReaderForm | None = None,
    purpose_form: PurposeForm | None = None,
    outside_form: OutsideForm | None = None,
    full: str = "",
) -> HttpResponse:
    found = _identity(person)
    viewed(Actor.of(request), person.community, "holder", [person.pk], purpose="identity")
    service = _service()
    context: dict[str, Any] = {
        "holder": person,
        "identity": found,
        "masked": masked(found.number) if found is not None else "",
        "full": full,
        "same": identities.same_person(found) if found is not None else [],
        "form": form or IdentityForm(initial=IdentityForm.first(found)),
        "reader_form": reader_form or ReaderForm(),
        "purpose_form": purpose_form or PurposeForm(),
        "outside_form": outside_form or OutsideForm(),
        "service": service.name if service is not None else "",
    }
    is_fault = any(
        one is not None and one.errors for one in (form, reader_form, purpose_form, outside_form)
    )
    answer = render(request, "people/identity.html", context, status=422 if is_fault else 200)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _service() -> Verifier | None:
    try:
        return verifier()
    except VerifierError:
        return None


def _identity(person: Holder) -> Identity | None:
    return Identity.objects.filter(holder=person).select_related("holder__community").first()


def _holder(request: StaffRequest, holder_id: str) -> Holder:
    people = holders_in_scope(request.staff).select_related("community")
    return get_object_or_404(people, pk=holder_id)
