"""One's own log-in: second factor, passkeys, recovery codes, password, sessions.

Staff and residents have the same, under their own addresses and in their own frame.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from anlin.hub.accounts import mfa, services, sessions
from anlin.hub.accounts.enter import CODES, SECRET, body_of, picture_of, secret_of
from anlin.hub.accounts.forms import CodeForm, PasswordForm
from anlin.hub.accounts.models import SignIn
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import attempt, blame, bound, page
from anlin.hub.errors import RuleError
from anlin.hub.permissions import EVERYONE, StaffRequest
from anlin.hub.resident.pages import HomeRequest
from anlin.hub.resident.pages import actor as resident_actor
from anlin.hub.resident.pages import page as home_page


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _overview(request: HttpRequest) -> dict[str, Any]:
    user = _user(request)
    return {
        "factors": mfa.factors(user),
        "sessions": sessions.open_of(user),
        "here": request.session.session_key,
        "is_fresh": sessions.is_fresh(request),
    }


def _refuse_stale(request: HttpRequest) -> None:
    if not sessions.is_fresh(request):
        raise RuleError(_stale_text())


def _begin(request: HttpRequest) -> HttpResponse:
    try:
        _refuse_stale(request)
        return JsonResponse(mfa.begin_passkey(_user(request)))
    except RuleError as error:
        return JsonResponse({"error": str(error)}, status=422)


def _finish(request: HttpRequest, by: Actor, back: str) -> HttpResponse:
    user = _user(request)
    try:
        _refuse_stale(request)
        name = sessions.device_of(request.headers.get("User-Agent", "")[:400])
        mfa.add_passkey(user, name, body_of(request))
    except RuleError as error:
        return JsonResponse({"error": str(error)}, status=422)
    services.noted_about(user, by, "add passkey", name=name)
    messages.success(request, _("The passkey is set up."))
    return JsonResponse({"next": back})


def _remove(request: HttpRequest, by: Actor, pk: int) -> None:
    user = _user(request)

    def do() -> None:
        _refuse_stale(request)
        name = mfa.remove(user, pk)
        services.noted_about(user, by, "remove second factor", name=name)

    attempt(request, do, _("It is removed."))


def _end(request: HttpRequest, by: Actor, pk: str) -> None:
    row = SignIn.objects.filter(pk=pk, user=_user(request), ended_at=None).first()
    if row is None:
        raise Http404(_("There is no such session."))
    sessions.end(row, by.name)
    messages.success(request, _("The session has ended."))


def _end_others(request: HttpRequest, by: Actor) -> None:
    count = sessions.end_all(_user(request), by.name, but=request.session.session_key)
    services.noted_about(_user(request), by, "end sessions", count=count)
    messages.success(request, _("All other sessions have ended."))


# Staff


@never_cache
@require_GET
@page(*EVERYONE)
def mine(request: StaffRequest) -> HttpResponse:
    context = _overview(request) | {"due": mfa.due_of(request.staff)}
    return render(request, "accounts/mine.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@page(*EVERYONE)
def authenticator(request: StaffRequest) -> HttpResponse:
    """Set up an authenticator app; a new one takes the place of the one before."""
    user = _user(request)
    if not sessions.is_fresh(request):
        messages.error(request, _stale_text())
        return redirect("accounts:mine")
    form = CodeForm(bound(request))
    if form.is_bound and form.is_valid():
        try:
            mfa.add_totp(user, secret_of(request), form.cleaned_data["code"])
        except RuleError as error:
            blame(form, error)
        else:
            request.session.pop(SECRET, None)
            services.noted_about(user, Actor.of(request), "add authenticator")
            messages.success(request, _("The authenticator app is set up."))
            return _codes_after(request)
    context = {"form": form, **picture_of(request, user)}
    status = 422 if form.is_bound else 200
    return render(request, "accounts/authenticator.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
@page(*EVERYONE)
def codes(request: StaffRequest) -> HttpResponse:
    """Make recovery codes, and show them this once."""
    user = _user(request)
    if request.method == "POST":

        def do() -> None:
            _refuse_stale(request)
            if not mfa.factors(user).any:
                raise RuleError(_("Set up an authenticator app or a passkey first."))
            request.session[CODES] = mfa.new_recovery_codes(user)
            services.noted_about(user, Actor.of(request), "new recovery codes")

        done = attempt(request, do, _("The codes before are good no more."))
        return redirect("accounts:codes" if done else "accounts:mine")
    shown = request.session.pop(CODES, None)
    if not shown:
        return redirect("accounts:mine")
    return render(request, "accounts/codes.html", {"codes": shown})


@require_POST
@page(*EVERYONE)
def passkey_begin(request: StaffRequest) -> HttpResponse:
    return _begin(request)


@require_POST
@page(*EVERYONE)
def passkey_finish(request: StaffRequest) -> HttpResponse:
    answer = _finish(request, Actor.of(request), "/account")
    user = _user(request)
    if answer.status_code == 200 and not mfa.factors(user).recovery_left:
        request.session[CODES] = mfa.new_recovery_codes(user)
        return JsonResponse({"next": "/account/codes"})
    return answer


@require_POST
@page(*EVERYONE)
def remove(request: StaffRequest, pk: int) -> HttpResponse:
    _remove(request, Actor.of(request), pk)
    return redirect("accounts:mine")


@require_POST
@page(*EVERYONE)
def end_session(request: StaffRequest, pk: str) -> HttpResponse:
    _end(request, Actor.of(request), pk)
    return redirect("accounts:mine")


@require_POST
@page(*EVERYONE)
def end_others(request: StaffRequest) -> HttpResponse:
    _end_others(request, Actor.of(request))
    return redirect("accounts:mine")


@never_cache
@sensitive_post_parameters("old", "new", "again")
@require_http_methods(["GET", "POST"])
@page(*EVERYONE)
def password(request: StaffRequest) -> HttpResponse:
    form = PasswordForm(bound(request))
    if form.is_bound and form.is_valid():
        given, by, user = form.cleaned_data, Actor.of(request), _user(request)
        try:
            services.change_password(request.staff, given["old"], given["new"], by)
        except RuleError as error:
            blame(form, error)
        else:
            before = request.session.session_key or ""
            update_session_auth_hash(request, request.staff.user)
            sessions.moved(request, before)
            sessions.end_all(user, by.name, but=request.session.session_key)
            messages.success(request, _("The password is changed; all other sessions have ended."))
            return redirect("accounts:mine")
    status = 422 if form.is_bound else 200
    return render(request, "accounts/password.html", {"form": form}, status=status)


def _codes_after(request: StaffRequest) -> HttpResponse:
    if mfa.factors(_user(request)).recovery_left:
        return redirect("accounts:mine")
    request.session[CODES] = mfa.new_recovery_codes(_user(request))
    return redirect("accounts:codes")


def _stale_text() -> str:
    return _("You logged in a while ago. Log out and in again, then change this within minutes.")


# Residents


@never_cache
@require_GET
@home_page
def home_mine(request: HomeRequest) -> HttpResponse:
    return render(request, "accounts/home_mine.html", _overview(request))


@require_POST
@home_page
def home_passkey_begin(request: HomeRequest) -> HttpResponse:
    return _begin(request)


@require_POST
@home_page
def home_passkey_finish(request: HomeRequest) -> HttpResponse:
    return _finish(request, resident_actor(request), "/home/login/mine")


@require_POST
@home_page
def home_remove(request: HomeRequest, pk: int) -> HttpResponse:
    _remove(request, resident_actor(request), pk)
    return redirect("accounts:home_mine")


@require_POST
@home_page
def home_end_session(request: HomeRequest, pk: str) -> HttpResponse:
    _end(request, resident_actor(request), pk)
    return redirect("accounts:home_mine")


@require_POST
@home_page
def home_end_others(request: HomeRequest) -> HttpResponse:
    _end_others(request, resident_actor(request))
    return redirect("accounts:home_mine")
