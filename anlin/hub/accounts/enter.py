"""The way in for staff: password, then the second factor; or a passkey, which is both."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import segno
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from anlin.hub.accounts import limits, mfa, services, sessions
from anlin.hub.accounts.forms import CodeForm
from anlin.hub.accounts.limits import Limit
from anlin.hub.accounts.models import How
from anlin.hub.audit.log import Actor, Via
from anlin.hub.console.login import LoginForm
from anlin.hub.console.pages import blame
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Community
from anlin.hub.permissions import may_sign_in, public, resident_of, staff_of

PENDING, SECRET, CODES = "anlin_pending", "anlin_totp_secret", "anlin_recovery_codes"

BETWEEN = timedelta(minutes=10)
"""How long a password that was right waits for its second factor."""

OF_ADDRESS = Limit("passkey address", 60, timedelta(minutes=5))


@public("the log-in itself")
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    onward = _onward(request)
    if request.method == "GET" and staff_of(request.user) is not None:
        return redirect(onward)
    if request.method == "GET" and not Community.objects.exists():
        return redirect("setup:first")
    form = LoginForm(request, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and form.user is not None:
        return _known(request, form.user, onward)
    status = 200 if not form.is_bound else 422
    return render(request, "console/login.html", {"form": form, "next": onward}, status=status)


@public("proves itself by the password that was right a moment ago")
@never_cache
@require_http_methods(["GET", "POST"])
def second(request: HttpRequest) -> HttpResponse:
    """Ask for the second factor."""
    user = _pending(request)
    if user is None:
        return redirect("console:login")
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            how = mfa.check(user, form.cleaned_data["code"])
        except RuleError as error:
            blame(form, error)
        else:
            if how is How.RECOVERY:
                left = mfa.factors(user).recovery_left
                messages.warning(
                    request, _("A recovery code was used; %(left)d are left.") % {"left": left}
                )
            return _let_in(request, user, how)
    context = {"form": form, "factors": mfa.factors(user)}
    return render(request, "accounts/second.html", context, status=422 if form.is_bound else 200)


@public("proves itself by the password that was right a moment ago")
@never_cache
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """Have the second factor set up that is overdue; nothing else opens before."""
    user = _pending(request)
    if user is None:
        return redirect("console:login")
    if mfa.factors(user).any:
        return redirect("accounts:second")
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            mfa.add_totp(user, secret_of(request), form.cleaned_data["code"])
        except RuleError as error:
            blame(form, error)
        else:
            return _enrolled(request, user, "add authenticator", How.TOTP)
    context = {"form": form, **picture_of(request, user)}
    return render(request, "accounts/enrol.html", context, status=422 if form.is_bound else 200)


def _as_json(view: Callable[[HttpRequest, Any], dict[str, Any]]) -> Callable[..., HttpResponse]:
    """Answer a page's own script: JSON in, JSON out, a broken rule as one sentence."""

    @wraps(view)
    def called(request: HttpRequest) -> HttpResponse:
        try:
            return JsonResponse(view(request, body_of(request)))
        except RuleError as error:
            return JsonResponse({"error": str(error)}, status=422)

    return never_cache(require_POST(called))


@public("proves itself by the password that was right a moment ago")
@_as_json
def enrol_begin(request: HttpRequest, _body: Any) -> dict[str, Any]:
    return mfa.begin_passkey(_must_be_pending(request))


@public("proves itself by the password that was right a moment ago")
@_as_json
def enrol_finish(request: HttpRequest, body: Any) -> dict[str, Any]:
    user = _must_be_pending(request)
    if mfa.factors(user).any:
        raise RuleError(_("A second factor is set up already. Log in with it."))
    mfa.add_passkey(user, sessions.device_of(request.headers.get("User-Agent", "")[:400]), body)
    return {"next": _enrolled(request, user, "add passkey", How.PASSKEY)["Location"]}


@public("the log-in itself")
@_as_json
def passkey_begin(request: HttpRequest, _body: Any) -> dict[str, Any]:
    if not limits.take_of_address(OF_ADDRESS, request):
        raise RuleError(_("Too many tries. Wait five minutes, then try again."))
    return mfa.begin_check(_pending(request))


@public("the log-in itself")
@_as_json
def passkey_finish(request: HttpRequest, body: Any) -> dict[str, Any]:
    """Sign in whoever the passkey is of: staff to the console, residents to their home."""
    onward = str(body.pop("next", "")) if isinstance(body, dict) else ""
    waiting = _pending(request)
    user = mfa.check_passkey(body, waiting)
    if waiting is not None:
        return {"next": _let_in(request, user, How.PASSKEY)["Location"]}
    if staff_of(user) is not None:
        sessions.sign_in(request, user, How.PASSKEY)
        return {"next": safe(request, onward, "/")}
    profile = resident_of(user)
    if profile is None or not may_sign_in(profile.holder):
        raise RuleError(_("This log-in has ended; ask the property office."))
    sessions.sign_in(request, user, How.PASSKEY)
    return {"next": safe(request, onward, "/home/", under="/home/")}


def secret_of(request: HttpRequest) -> str:
    """Give the secret that this browser is setting up; the same until it is done."""
    if SECRET not in request.session:
        request.session[SECRET] = mfa.new_secret()
    return str(request.session[SECRET])


def picture_of(request: HttpRequest, user: User) -> dict[str, object]:
    """Give what an authenticator app needs: a picture, and the same as letters."""
    secret = secret_of(request)
    code = segno.make(mfa.totp_url(user, secret), error="m", micro=False)
    drawn = code.svg_inline(scale=4, border=3, dark="#000", light="#fff")
    by_four = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    return {"picture": _svg(drawn), "secret": by_four}


def _svg(drawn: str) -> SafeString:
    return mark_safe(drawn)  # noqa: S308  drawn by segno from a secret and a capped name


def body_of(request: HttpRequest) -> Any:
    """Read what a page's script posted."""
    raw = request.body
    if len(raw) > mfa.CREDENTIAL_BYTES:
        raise RuleError(_("The browser sent more than a passkey is."))
    try:
        return json.loads(raw or b"{}")
    except ValueError as error:
        raise RuleError(_("The browser sent something that is no passkey.")) from error


def safe(request: HttpRequest, address: str, otherwise: str, *, under: str = "/") -> str:
    """Give an address of ours to go on to, or the other one."""
    is_ours = url_has_allowed_host_and_scheme(address, {request.get_host()}, request.is_secure())
    return address if is_ours and address.startswith(under) else otherwise


def _known(request: HttpRequest, user: User, onward: str) -> HttpResponse:
    """Go on after the right password: to the second factor, or in."""
    staff = staff_of(user)
    if staff is None:
        return redirect("console:login")
    if mfa.factors(user).any:
        _wait(request, user, onward)
        return redirect("accounts:second")
    due = mfa.due_of(staff)
    if due is not None and due <= timezone.now():
        _wait(request, user, onward)
        return redirect("accounts:enrol")
    sessions.sign_in(request, user, How.PASSWORD)
    if due is not None:
        with timezone.override(staff.community.zone):
            day = timezone.localtime(due).strftime("%Y-%m-%d")
        messages.warning(
            request,
            _("Your role needs a second factor. Set it up under “My log-in” by %(day)s.")
            % {"day": day},
        )
    return redirect(onward)


def _wait(request: HttpRequest, user: User, onward: str) -> None:
    # Nobody is signed in here: a session of somebody else's ends before this one begins.
    request.session.flush()
    until = (timezone.now() + BETWEEN).timestamp()
    # The hash of the password: a password changed meanwhile makes the waiting void.
    request.session[PENDING] = {
        "user": user.pk,
        "until": until,
        "next": onward,
        "hash": user.get_session_auth_hash(),
    }


def _pending(request: HttpRequest) -> User | None:
    """Give whose password was right a moment ago."""
    waiting = request.session.get(PENDING)
    if not waiting or waiting["until"] < timezone.now().timestamp():
        return None
    user = User.objects.filter(pk=waiting["user"], is_active=True).first()
    if user is None or user.get_session_auth_hash() != waiting["hash"]:
        return None
    return user if staff_of(user) is not None else None


def _must_be_pending(request: HttpRequest) -> User:
    user = _pending(request)
    if user is None:
        raise RuleError(_("This took too long. Log in again."))
    return user


def _let_in(request: HttpRequest, user: User, how: How) -> HttpResponse:
    onward = str(request.session.pop(PENDING)["next"])
    sessions.sign_in(request, user, how)
    return redirect(onward)


def _enrolled(request: HttpRequest, user: User, action: str, how: How) -> HttpResponse:
    staff = staff_of(user)
    if staff is not None:
        services.noted_about(user, Actor.staff(staff, Via.PAGE), action)
    request.session.pop(SECRET, None)
    _let_in(request, user, how)
    request.session[CODES] = mfa.new_recovery_codes(user)
    return redirect(reverse("accounts:codes"))


def _onward(request: HttpRequest) -> str:
    return safe(request, request.POST.get("next") or request.GET.get("next") or "/", "/")
