"""Residents' pages: notices and messages to them, and which of their devices show these."""

from __future__ import annotations

import json
from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.accounts.limits import Limit, take, take_of_address
from anlin.hub.accounts.sessions import device_of
from anlin.hub.console.pages import blame, bound, paged
from anlin.hub.errors import RuleError
from anlin.hub.notices import board, channels, devices, services, wishes
from anlin.hub.notices.forms import WishesForm
from anlin.hub.notices.models import BySms, Delivery, Kind, NoticeState
from anlin.hub.permissions import public
from anlin.hub.resident.pages import HomeRequest, actor, attempt, page

PAGE_SIZE = 20
MESSAGES = 30
BODY_BYTES = 4096
"""A subscription of any browser is under 1 KB."""
TESTS = Limit("push test", 5, timedelta(minutes=10))
RECEIPTS = Limit("push receipt", 600, timedelta(hours=1))
_YEAR_S = 365 * 24 * 3600


@require_GET
@page
def listed(request: HomeRequest) -> HttpResponse:
    now = request.home.at
    found = paged(request, board.notices_for(request.holder, now).select_related(), PAGE_SIZE)
    told = list(services.messages_of(request.holder)[:MESSAGES])
    services.saw(Delivery.objects.filter(pk__in=[one.pk for one in told]), now)
    return render(request, "notices/home_list.html", {"page": found, "messages_told": told})


@require_GET
@page
def one(request: HomeRequest, notice_id: str) -> HttpResponse:
    """Show a notice; that it was opened is its read receipt."""
    notice = board.notices_for(request.holder, request.home.at).filter(pk=notice_id).first()
    if notice is None:
        raise Http404(notice_id)
    if notice.state == NoticeState.PUBLISHED:
        board.read(notice, request.holder, request.home.at)
    return render(request, "notices/home_notice.html", {"notice": notice})


@require_GET
@page
def message(request: HomeRequest, delivery_id: str) -> HttpResponse:
    """Note that a message was opened and go on to what it is about."""
    rows = Delivery.objects.filter(pk=delivery_id, holder=request.holder)
    found = rows.first()
    if found is None:
        raise Http404(delivery_id)
    services.saw(rows, request.home.at)
    is_ours = url_has_allowed_host_and_scheme(found.link, None) and found.link.startswith("/home/")
    return redirect(found.link if is_ours else "home_notices:list")


@require_GET
@page
def push(request: HomeRequest) -> HttpResponse:
    return _push(request)


@require_POST
@page
def push_on(request: HomeRequest) -> HttpResponse:
    """Take the subscription that this browser's own script has made."""
    if len(request.body) > BODY_BYTES:
        return JsonResponse({"fault": _("Too long.")}, status=413)
    try:
        data = json.loads(request.body)
    except ValueError:
        return JsonResponse({"fault": _("Not JSON.")}, status=400)
    name = device_of(request.headers.get("User-Agent", "")[:400]) or _("Unknown browser")
    try:
        device = devices.add(request.holder, data, name, actor(request))
    except RuleError as error:
        return JsonResponse({"fault": str(error)}, status=422)
    answer = JsonResponse({"device": device.pk})
    answer.set_cookie(
        devices.COOKIE,
        devices.cookie_of(device),
        max_age=_YEAR_S,
        path="/home/",
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return answer


@require_POST
@page
def push_off(request: HomeRequest, device_id: str) -> HttpResponse:
    def do() -> None:
        if not devices.remove(request.holder, device_id, actor(request)):
            raise RuleError(_("This device gets no messages of yours."))

    attempt(request, do, _("This device gets no more messages."))
    return redirect("home_notices:push")


@require_POST
@page
def test(request: HomeRequest) -> HttpResponse:
    """Let a resident see on the devices themselves that messages arrive."""

    def do() -> None:
        if not request.holder.push_devices.exists():
            raise RuleError(_("Switch notifications on first, on the device itself."))
        if not take(TESTS, request.holder.pk):
            raise RuleError(_("Five tests in ten minutes are enough; wait a little."))
        services.tell(
            request.holder,
            Kind.TEST,
            lambda: _("It works"),
            lambda: _("This is how messages of your community arrive."),
            "/home/push",
            f"test/{timezone.now().timestamp():.3f}",
        )

    attempt(request, do, _("A test is on its way; it arrives in a few seconds."))
    return redirect("home_notices:push")


@require_POST
@page
def choose(request: HomeRequest) -> HttpResponse:
    form = WishesForm(bound(request))
    if not form.is_valid():
        return _push(request, form)
    given = form.cleaned_data
    try:
        asks = wishes.wish(request.holder, BySms(given["by_sms"]), given["mail"], actor(request))
    except RuleError as error:
        blame(form, error)
        return _push(request, form)
    done = _("Saved. Open the mail that we sent you, and confirm.") if asks else _("Saved.")
    attempt(request, lambda: None, done)
    return redirect("home_notices:push")


@require_http_methods(["GET", "POST"])
@page
def mail(request: HomeRequest, token: str) -> HttpResponse:
    """Ask once more, since programs that look at mail open every link."""
    if request.method == "GET":
        return render(request, "notices/home_mail.html", {"token": token})
    attempt(
        request,
        lambda: wishes.confirm(request.holder, token[:400], actor(request)),
        _("The address is confirmed."),
    )
    return redirect("home_notices:push")


@csrf_exempt
@require_POST
@public("a device that shows a message says so by the 119 random bits that came with it")
def receipt(request: HttpRequest, code: str) -> HttpResponse:
    if take_of_address(RECEIPTS, request):
        services.got(code, timezone.now())
    return HttpResponse(status=204)


def _push(request: HomeRequest, form: WishesForm | None = None) -> HttpResponse:
    stands = channels.wishes_of(request.holder)
    data = {
        "devices": request.holder.push_devices.order_by("added_at"),
        "here": devices.device_in(request),
        "key": devices.browser_key(),
        "stands": stands,
        "form": form or WishesForm(initial={"by_sms": stands.by_sms, "mail": stands.mail}),
        "has_phone": bool(request.holder.phone),
    }
    return render(request, "notices/home_push.html", data, status=422 if form else 200)
