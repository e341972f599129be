"""What a resident opens with, what they agreed to, and who looked at what is kept of them."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from anlin.core.entities import Method
from anlin.hub.audit.services import looks_at
from anlin.hub.audit.words import view_word
from anlin.hub.console.pages import blame, bound
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Purpose
from anlin.hub.privacy.models import Notice
from anlin.hub.resident import mine
from anlin.hub.resident.doors import doors_of
from anlin.hub.resident.forms import PinForm
from anlin.hub.resident.pages import HomeRequest, actor, attempt, page

SHOWN_LOOKS = 50


@require_GET
@page
def keys(request: HomeRequest) -> HttpResponse:
    found = doors_of(request.home)
    context = {
        "keys": [
            {"row": row, "can_be_lost": row.method in mine.CAN_BE_LOST and row.status != "lost"}
            for row in mine.credentials_of(request.home)
        ],
        "takes_pin": any(Method.PIN.value in door.methods for door in found),
        "face": mine.consents_of(request.home).get(Purpose.FACE),
    }
    return render(request, "resident/keys.html", context)


@require_http_methods(["GET", "POST"])
@page
def lost(request: HomeRequest, credential_id: str) -> HttpResponse:
    card = mine.card_of(request.home, credential_id)
    if request.method == "POST":
        attempt(
            request,
            lambda: mine.report_lost(request.home, credential_id, actor(request)),
            _("Reported lost. It opens nothing from now on; the office gives you a new one."),
        )
        return redirect("resident:keys")
    return render(request, "resident/lost.html", {"card": card})


@sensitive_post_parameters("digits", "again")
@require_http_methods(["GET", "POST"])
@page
def pin(request: HomeRequest) -> HttpResponse:
    if not any(Method.PIN.value in door.methods for door in doors_of(request.home)):
        raise Http404("pin")
    form = PinForm(bound(request))
    if form.is_valid():
        try:
            mine.choose_pin(request.home, form.cleaned_data["digits"], actor(request))
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, _("Your new PIN is in force. Tell it to nobody."))
            return redirect("resident:keys")
    status = 422 if form.is_bound else 200
    return render(request, "resident/pin.html", {"form": form}, status=status)


@require_http_methods(["GET", "POST"])
@page
def face(request: HomeRequest) -> HttpResponse:
    """Show the notice in force, and take a yes or a no to it."""
    community = request.holder.community
    if request.method == "POST":
        _answer(request)
        return redirect("resident:face")
    notice = Notice.objects.filter(
        community=community, version=community.face_notice_version
    ).first()
    consents = mine.consents_of(request.home)
    context = {
        "version": community.face_notice_version,
        "notice": _text_of(notice),
        "face": consents.get(Purpose.FACE),
        "photo": consents.get(Purpose.PHOTO),
    }
    return render(request, "resident/face.html", context)


def _answer(request: HomeRequest) -> None:
    purpose = Purpose.PHOTO if request.POST.get("purpose") == "photo" else Purpose.FACE
    if request.POST.get("answer") == "yes":
        version = request.POST.get("version", "")[:20]
        attempt(
            request,
            lambda: mine.agree(request.home, purpose, version, actor(request)),
            _("Your agreement is written down. You can take it back here at any time."),
        )
        return
    attempt(
        request,
        lambda: mine.withdraw(request.home, purpose, actor(request)),
        _("Taken back. What rested on it is deleted here and at every gate."),
    )


def _text_of(notice: Notice | None) -> list[str]:
    if notice is None:
        return []
    text = notice.text_en if (get_language() or "").startswith("en") else notice.text_zh
    return [str(text[name]) for name in Notice.SECTIONS if text.get(name)]


@require_GET
@page
def looks(request: HomeRequest) -> HttpResponse:
    """Say who looked at what is kept of this resident."""
    rows = looks_at(request.holder)[:SHOWN_LOOKS]
    context = {"looks": [{"row": look, "what": view_word(look.what)} for look in rows]}
    return render(request, "resident/looks.html", context)
