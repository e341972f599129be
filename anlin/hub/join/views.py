"""The form on a phone, the page that follows it, the owner's answer and the office's."""

from __future__ import annotations

import secrets
from datetime import timedelta

import segno
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub import vault
from anlin.hub.accounts.limits import Limit, address_is_spent, take_of_address
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.console.pages import MANAGE, attempt, blame, bound, page, paged, submit
from anlin.hub.errors import RuleError
from anlin.hub.join import services
from anlin.hub.join.forms import ApproveForm, JoinForm, RefuseForm
from anlin.hub.join.models import Application, Stage
from anlin.hub.people.models import Community, Proof
from anlin.hub.permissions import StaffRequest, public

SENT = Limit("join", 10, timedelta(hours=1))
"""Forms that one address may send: a family of eight, and two typing errors."""
PAGE_SIZE = 30


@never_cache
@require_http_methods(["GET", "POST"])
@public("whoever moves in has no log-in yet; rate limited, and it only asks")
def join(request: HttpRequest, community_id: str) -> HttpResponse:
    community = get_object_or_404(Community, pk=community_id)
    first = {"posted": secrets.token_urlsafe(16)}
    form = JoinForm(community, bound(request), request.FILES or None, initial=first)
    with timezone.override(community.zone):
        if request.method == "POST" and address_is_spent(SENT, request):
            form.add_error(None, _("Too many requests from here; try again in an hour."))
        elif form.is_valid():
            try:
                application, secret = services.apply(form.cleaned_data["unit"], _asked(form))
            except RuleError as error:
                blame(form, error)
            else:
                take_of_address(SENT, request)
                return redirect("join:followed", secret) if secret else _sent(request, application)
    page_data = {"form": form, "community": community}
    return render(request, "join/join.html", page_data, status=422 if form.errors else 200)


@never_cache
@require_GET
@public("the link is the proof: 192 random bits, kept as a keyed fingerprint")
def followed(request: HttpRequest, secret: str) -> HttpResponse:
    application = _by_secret(secret)
    with timezone.override(application.community.zone):
        data = {"application": application, "community": application.community, "secret": secret}
        return render(request, "join/followed.html", data)


@require_POST
@public("the link is the proof: 192 random bits, kept as a keyed fingerprint")
def withdraw(request: HttpRequest, secret: str) -> HttpResponse:
    application = _by_secret(secret)
    attempt(request, lambda: services.withdraw(application), _("Your request is taken back."))
    return redirect("join:followed", secret)


@require_GET
@page(*MANAGE)
def requests(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    waits = _of(community).filter(stage=Stage.OFFICE).order_by("made_at")
    owners = _of(community).filter(stage=Stage.OWNER).order_by("made_at")
    closed = _of(community).exclude(stage__in=[Stage.OFFICE, Stage.OWNER])
    shown = paged(request, closed.order_by("-answered_at"), PAGE_SIZE)
    data = {"waits": waits, "owners": owners, "page": shown, "address": _address(community)}
    return render(request, "join/requests.html", data)


@require_GET
@page(*MANAGE)
def request_page(request: StaffRequest, application_id: str) -> HttpResponse:
    application = _application(request, application_id)
    viewed(Actor.of(request), application.community, "application", [application.pk])
    return _request_page(request, application)


@require_POST
@page(*MANAGE)
def approve(request: StaffRequest, application_id: str) -> HttpResponse:
    application = _application(request, application_id)
    form = ApproveForm(request.POST)

    def save() -> str:
        holder = services.approve(
            application,
            Actor.of(request),
            proof=Proof(form.cleaned_data["proof"]),
            proof_number=form.cleaned_data["proof_number"],
        )
        if application.photo_fault:
            messages.warning(request, _("The photograph gave no face; take another one."))
        return reverse("people:holder", args=[holder.pk])

    saved = submit(request, form, save, _("Registered. Now give a card, or hand out a PIN."))
    return saved or _request_page(request, application, approve_form=form)


@require_POST
@page(*MANAGE)
def refuse(request: StaffRequest, application_id: str) -> HttpResponse:
    application = _application(request, application_id)
    form = RefuseForm(request.POST)

    def save() -> str:
        services.refuse(application, Actor.of(request), form.cleaned_data["reason"])
        return reverse("join:requests")

    saved = submit(request, form, save, _("Refused. The person reads why."))
    return saved or _request_page(request, application, refuse_form=form)


@require_GET
@page(*MANAGE)
def photo(request: StaffRequest, application_id: str) -> HttpResponse:
    application = _application(request, application_id)
    if application.closed_photo is None:
        raise Http404
    viewed(Actor.of(request), application.community, "application photo", [application.pk])
    body = vault.reveal(bytes(application.closed_photo), f"application {application.pk}")
    answer = HttpResponse(body, content_type="image/jpeg")
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


@require_GET
@page(*MANAGE)
def poster(request: StaffRequest) -> HttpResponse:
    community = request.staff.community
    address = _address(community)
    code = segno.make(address, error="q").svg_inline(scale=8, dark="#10231f")
    return render(request, "join/poster.html", {"address": address, "code": code})


def _asked(form: JoinForm) -> services.Asked:
    given = form.cleaned_data
    return services.Asked(
        name=given["name"],
        phone=given["phone"],
        kind=form.kind,
        posted=given["posted"],
        document=given["document"],
        number=given["number"],
        born_on=given["born_on"],
        ends_on=given["ends_on"],
        wants_face=given["wants_face"],
        guardian=given["guardian"],
        relation=given["relation"],
        photo=given["photo"],
    )


def _sent(request: HttpRequest, application: Application) -> HttpResponse:
    """Answer a form that came twice: the link was shown the first time."""
    data = {"application": application, "community": application.community, "secret": ""}
    return render(request, "join/followed.html", data)


def _request_page(
    request: StaffRequest,
    application: Application,
    approve_form: ApproveForm | None = None,
    refuse_form: RefuseForm | None = None,
) -> HttpResponse:
    suggested = Proof.LEASE if application.kind == "tenant" else Proof.HOUSEHOLD
    data = {
        "application": application,
        "same": services.same_person(application),
        "owners": services.owners_of(application.unit, timezone.now()),
        "approve_form": approve_form or ApproveForm(initial={"proof": suggested}),
        "refuse_form": refuse_form or RefuseForm(),
    }
    is_wrong = any(form and form.errors for form in (approve_form, refuse_form))
    return render(request, "join/request.html", data, status=422 if is_wrong else 200)


def _of(community: Community) -> QuerySet[Application]:
    found = Application.objects.filter(community=community)
    return found.select_related("unit__building", "owner", "asked_by", "holder")


def _application(request: StaffRequest, application_id: str) -> Application:
    return get_object_or_404(_of(request.staff.community), pk=application_id)


def _by_secret(secret: str) -> Application:
    found = services.by_secret(secret[:64])
    if found is None:
        raise Http404
    return found


def _address(community: Community) -> str:
    return f"{settings.HUB_URL}{reverse('join:join', args=[community.pk])}"
