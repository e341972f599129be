"""A resident's own QR, help, and everything that has no button under the thumb."""

from __future__ import annotations

import segno
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET

from anlin.hub.resident.doors import doors_of
from anlin.hub.resident.own_qr import own_pass
from anlin.hub.resident.pages import HomeRequest, page


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
    return render(request, "resident/more.html")


@require_GET
@page
def help_page(request: HomeRequest) -> HttpResponse:
    return render(request, "resident/help.html")


def drawn(text: str) -> SafeString:
    """Draw a QR code as an inline picture; dark on white in every colour scheme."""
    code = segno.make(text, error="m", micro=False)
    picture = code.svg_inline(border=2, dark="#000", light="#fff", omitsize=True, svgclass=None)
    return mark_safe(picture)  # noqa: S308  drawn here, from base64 text
