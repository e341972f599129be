"""A resident's own QR, who came, whom to call, and everything without a button of its own."""

from __future__ import annotations

import segno
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.console.pages import blame, bound
from anlin.hub.errors import RuleError
from anlin.hub.reasons import reason_text
from anlin.hub.resident import care
from anlin.hub.resident.doors import doors_of
from anlin.hub.resident.forms import ContactForm
from anlin.hub.resident.own_qr import own_pass
from anlin.hub.resident.pages import HomeRequest, actor, attempt, page
from anlin.hub.resident.today import came_today


@require_GET
@page
def own_qr(request: HomeRequest) -> HttpResponse:
    readers = [door.name for door in doors_of(request.home) if door.takes_qr]
    if not readers:
        raise Http404("qr")
    made = own_pass(request.holder, request.home.at)
    context = {"qr": drawn(made.text), "until": made.until, "readers": readers}
    return render(request, "resident/qr.html", context)


@require_GET
@page
def more(request: HomeRequest) -> HttpResponse:
    has_qr = any(door.takes_qr for door in doors_of(request.home))
    return render(request, "resident/more.html", {"has_qr": has_qr})


@require_GET
@page
def today(request: HomeRequest) -> HttpResponse:
    rows = [
        {"row": came, "why": "" if came.is_granted else reason_text(came.reason)}
        for came in came_today(request.home)
    ]
    return render(request, "resident/today.html", {"rows": rows})


@require_GET
@page
def help_page(request: HomeRequest) -> HttpResponse:
    context = {
        "lines": care.lines_of(request.holder.community),
        "contacts": care.contacts_of(request.home),
    }
    return render(request, "resident/help.html", context)


@require_http_methods(["GET", "POST"])
@page
def add_contact(request: HomeRequest, unit_id: str) -> HttpResponse:
    unit = request.home.unit(unit_id)
    form = ContactForm(bound(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            care.add_contact(
                request.home,
                unit,
                actor(request),
                name=given["name"],
                phone=given["phone"],
                relation=given["relation"],
                sent_id=given["sent"],
            )
        except RuleError as error:
            blame(form, error)
        else:
            return redirect("resident:help")
    status = 422 if form.is_bound else 200
    context = {"form": form, "unit": unit}
    return render(request, "resident/contact.html", context, status=status)


@require_POST
@page
def remove_contact(request: HomeRequest, contact_id: str) -> HttpResponse:
    attempt(
        request,
        lambda: care.remove_contact(request.home, contact_id, actor(request)),
        _("The contact was removed."),
    )
    return redirect("resident:help")


def drawn(text: str) -> SafeString:
    """Draw a QR code as an inline picture; dark on white in every colour scheme.

    With the least correction: a screen has no dirt, and larger squares read from farther away.
    With a fixed mask: signed base64 looks like noise under each of the eight, and trying them all
    takes four times as long as the rest of the page.
    """
    code = segno.make(text, error="l", micro=False, boost_error=False, mask=3)
    picture = code.svg_inline(border=2, dark="#000", light="#fff", omitsize=True, svgclass=None)
    return mark_safe(picture)  # noqa: S308  drawn here, from base64 text
