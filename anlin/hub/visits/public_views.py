"""Pages without a log-in: a visitor asks, shows the pass, calls it off; a host answers once."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import segno
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.core import qr
from anlin.core import visit as core
from anlin.hub.access.passes import pass_secret
from anlin.hub.audit.log import Actor, Via
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community
from anlin.hub.permissions import public
from anlin.hub.visits import bars, faces, limits, links, services
from anlin.hub.visits.forms import AskForm
from anlin.hub.visits.models import Answered, State, Visit
from anlin.hub.visits.rotating import picture

View = Callable[..., HttpResponse]

APPEAL_CHARS = 500


def private(view: View) -> View:
    """Keep a page whose address is its key out of caches, search machines and referrers."""

    @wraps(view)
    def called(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        # Not "no-referrer": with it a browser posts from nowhere, and its form would be refused.
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return called


# Asking


@require_http_methods(["GET", "POST"])
@public("a visitor has no log-in; the answer is the same for every home and name")
def ask(request: HttpRequest, community_id: str) -> HttpResponse:
    community = get_object_or_404(Community, pk=community_id)
    with timezone.override(community.zone):
        rules = services.rules_of(community)
        form = AskForm(rules, request.POST if request.method == "POST" else None)
        context = {"form": form, "community": community, "rules": rules}
        if not rules.is_form_open:
            return render(request, "visits/ask.html", context, status=403)
        if form.is_bound and form.is_valid():
            if not limits.may_ask(request, community.pk):
                form.add_error(None, _("Too many requests just now. Please ask the guard."))
                return render(request, "visits/ask.html", context, status=429)
            given = form.cleaned_data
            try:
                visit = services.ask(
                    community, given["home"], given["surname"], form.wish(), sent_id=form.sent
                )
            except RuleError as error:
                form.add_error(error.field if error.field in form.fields else None, str(error))
            else:
                return redirect(links.page_path(visit))
        status = 422 if form.is_bound else 200
        return render(request, "visits/ask.html", context, status=status)


# The visitor's own page


@require_GET
@public("its address is known to the visitor and the host only")
@private
def visitor_pass(request: HttpRequest, token: str) -> HttpResponse:
    visit = _visit(token)
    with timezone.override(visit.community.zone):
        now = timezone.now()
        shown = links.shown_now(visit)
        context: dict[str, Any] = {
            "visit": visit,
            "token": token,
            "now": now,
            "is_waiting": visit.state == State.ASKED,
            "takes_face": faces.may_add(visit),
            "has_face": faces.has_face(visit),
            "refresh_s": qr.STEP_S,
        }
        leave = visit.leave
        if shown is not None and leave is not None:
            drawn = picture(shown)
            context["qr"] = _svg(drawn.side, drawn.dark)
            context["turning"] = {
                **drawn.data(),
                "secret": base64.b64encode(pass_secret(leave)).decode(),
                "step_s": qr.STEP_S,
                "now_ms": int(now.timestamp() * 1000),
            }
        return render(request, "visits/pass.html", context)


@require_POST
@public("its address is known to the visitor and the host only")
@private
def call_off(request: HttpRequest, token: str) -> HttpResponse:
    visit = _visit(token)
    try:
        services.cancel(visit, services.VISITOR, why=core.Why.BY_VISITOR)
    except RuleError as error:
        messages.error(request, str(error))
    return redirect("visits:pass", token)


@require_POST
@public("its address is known to the visitor and the host only")
@private
def appeal(request: HttpRequest, token: str) -> HttpResponse:
    visit = _visit(token)
    text = request.POST.get("text", "").replace("\x00", "").strip()[:APPEAL_CHARS]
    if text:
        bars.appeal(visit, text, services.VISITOR)
        messages.success(request, _("The property office will read it."))
    else:
        messages.error(request, _("Write a few words."))
    return redirect("visits:pass", token)


@require_http_methods(["POST"])
@public("its address is known to the visitor and the host only")
@private
def face(request: HttpRequest, token: str) -> HttpResponse:
    visit = _visit(token)
    try:
        if request.POST.get("remove"):
            faces.remove(visit)
        else:
            image = request.FILES.get("image")
            faces.add(
                visit,
                b"" if image is None else image.read(faces.MAX_BYTES + 1),
                agrees=request.POST.get("agrees") == "yes",
            )
    except RuleError as error:
        messages.error(request, str(error))
    return redirect("visits:pass", token)


@require_GET
@public("tells the time and nothing else: a visitor's page turns its code by it")
def clock(request: HttpRequest) -> HttpResponse:
    response = JsonResponse({"now_ms": int(timezone.now().timestamp() * 1000)})
    response.headers["Cache-Control"] = "no-store"
    return response


@require_GET
@public("a script that keeps a visitor's page on the visitor's own phone; the same for everybody")
def keeper(request: HttpRequest) -> HttpResponse:
    response = render(request, "visits/keeper.js", content_type="text/javascript")
    response.headers["Cache-Control"] = "max-age=300"
    return response


# The host's answer


@require_http_methods(["GET", "POST"])
@public("the link is signed, names one visit, and holds for one answer")
@private
def answer(request: HttpRequest, signed: str) -> HttpResponse:
    visit = links.visit_to_answer(signed)
    if visit is None:
        return render(request, "visits/answered.html", {"visit": None}, status=410)
    with timezone.override(visit.community.zone):
        if request.method == "POST":
            who = visit.host.name if visit.host is not None else _("The home")
            by = Actor(f"{who} ({_('by link')})", Via.PAGE)
            try:
                if request.POST.get("answer") == "yes":
                    visit = services.approve(visit, by, how=Answered.LINK)
                else:
                    visit = services.refuse(visit, by, how=Answered.LINK)
            except RuleError as error:
                messages.error(request, str(error))
            return render(request, "visits/answered.html", {"visit": visit})
        return render(request, "visits/answer.html", {"visit": visit, "signed": signed})


def ask_qr(address: str) -> SafeString:
    """Draw the address of the public page as a QR code, to print and hang at the gate."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise ValueError(f"{address[:60]}: not an address of a page")
    code = segno.make(address, error="m", micro=False)
    drawn = code.svg_inline(border=2, dark="#000", light="#fff", omitsize=True, svgclass=None)
    return mark_safe(drawn)  # noqa: S308  drawn here, from an address that we made


def _visit(token: str) -> Visit:
    visit = links.visit_of(token)
    if visit is None:
        raise Http404
    return visit


def _svg(side: int, dark: str) -> SafeString:
    """Draw modules as one path, with the quiet zone that readers need."""
    border = 4
    path = "".join(
        f"M{border + n % side} {border + n // side}h1v1h-1z"
        for n, module in enumerate(dark)
        if module == "1"
    )
    whole = side + 2 * border
    drawn = (
        f'<svg viewBox="0 0 {whole} {whole}" shape-rendering="crispEdges" aria-hidden="true">'
        f'<path fill="#fff" d="M0 0h{whole}v{whole}H0z"/><path id="modules" fill="#000" '
        f'data-border="{border}" d="{path}"/></svg>'
    )
    return mark_safe(drawn)  # noqa: S308  drawn here, from numbers
