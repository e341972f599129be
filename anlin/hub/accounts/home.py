"""The way in for residents: a telephone number, a code, and for families whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.contrib.auth import logout as sign_out
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from anlin.hub.accounts import limits, phone, services, sessions, sms
from anlin.hub.accounts.enter import safe
from anlin.hub.accounts.forms import CodeForm, PhoneForm
from anlin.hub.accounts.limits import Limit
from anlin.hub.accounts.models import How
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import blame
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Holder, in_force
from anlin.hub.permissions import may_sign_in, public, resident_of

ASKED, PROVEN = "anlin_code", "anlin_phone"

CHOOSE_WITHIN = timedelta(minutes=10)
CODES_OF_ADDRESS = Limit("codes typed", 60, timedelta(hours=1))


@public("the residents' log-in itself")
@never_cache
@require_http_methods(["GET", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Ask for the telephone number, and send a code where it is known."""
    onward = _onward(request)
    profile = resident_of(request.user)
    if request.method == "GET" and profile is not None and may_sign_in(profile.holder):
        return redirect(onward)
    form = PhoneForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        typed = form.cleaned_data["phone"]
        try:
            if not sms.is_ready():
                raise RuleError(_("No messages can be sent here. Ask the property office."))
            asked = phone.ask(typed, limits.address_of(request))
        except RuleError as error:
            blame(form, error)
        else:
            tail = phone.digits_of(typed)[-4:]
            request.session[ASKED] = {"code": asked, "tail": tail, "next": onward}
            return redirect("accounts:home_code")
    context = {"form": form, "next": onward, "is_ready": sms.is_ready()}
    return render(request, "accounts/home_login.html", context, status=_status(form.is_bound))


@public("the residents' log-in itself")
@never_cache
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was sent, if it was."""
    asked = request.session.get(ASKED)
    if not asked:
        return redirect("accounts:home_login")
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            if not limits.take_of_address(CODES_OF_ADDRESS, request):
                raise RuleError(_("Too many codes were typed. Try again in an hour."), "code")
            holders = phone.check(asked["code"], form.cleaned_data["code"])
        except RuleError as error:
            blame(form, error)
        else:
            return _proven(request, holders, asked["next"])
    context = {"form": form, "tail": asked["tail"], "is_console": sms.is_console()}
    return render(request, "accounts/home_code.html", context, status=_status(form.is_bound))


@public("proves itself by the code that was right a moment ago")
@never_cache
@require_http_methods(["GET", "POST"])
def who(request: HttpRequest) -> HttpResponse:
    """Ask which member of a family this is."""
    proven = request.session.get(PROVEN)
    if not proven or proven["until"] < timezone.now().timestamp():
        return redirect("accounts:home_login")
    holders = {holder.pk: holder for holder in phone.holders_of(proven["indexes"])}
    chosen = holders.get(request.POST.get("holder", "")[:24])
    if request.method == "POST" and chosen is not None:
        return _let_in(request, chosen, proven["next"])
    context = {"holders": [(holder, _homes(holder)) for holder in holders.values()]}
    return render(request, "accounts/home_who.html", context)


@public("whoever is signed out already may press it again")
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    sign_out(request)
    return redirect("accounts:home_login")


def _proven(request: HttpRequest, holders: Sequence[Holder], onward: str) -> HttpResponse:
    request.session.pop(ASKED, None)
    if len(holders) == 1:
        return _let_in(request, holders[0], onward)
    until = (timezone.now() + CHOOSE_WITHIN).timestamp()
    request.session[PROVEN] = {
        "indexes": sorted({holder.phone_index for holder in holders}),
        "until": until,
        "next": onward,
    }
    return redirect("accounts:home_who")


def _let_in(request: HttpRequest, holder: Holder, onward: str) -> HttpResponse:
    request.session.pop(PROVEN, None)
    profile = services.resident_login(holder, Actor.resident(holder))
    sessions.sign_in(request, profile.user, How.SMS)
    return redirect(onward)


def _homes(holder: Holder) -> str:
    now = holder.residencies.filter(in_force(timezone.now()))
    codes = now.values_list("unit__code", flat=True)
    return "、".join(dict.fromkeys(codes))


def _onward(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return safe(request, wanted, "/home/", under="/home/")


def _status(is_bound: bool) -> int:
    return 422 if is_bound else 200
