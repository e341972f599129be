"""The sessions of one person: on which devices they are signed in, and ending that."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from django.contrib.auth import login as django_login
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from anlin.hub.accounts.limits import address_of
from anlin.hub.accounts.models import How, SignIn
from anlin.hub.people.models import ResidentProfile

RESIDENT_DAYS = 60
"""A phone in one's own pocket; staff sign in anew for each shift (SESSION_COOKIE_AGE)."""

KEPT = timedelta(days=180)
"""How long an ended session stays on record, for whoever has to find out what happened."""

FRESH = timedelta(minutes=15)
"""How long after the log-in one may change how one logs in."""

_HOW = "_anlin_how"
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def sign_in(request: HttpRequest, user: User, how: How) -> None:
    """Sign somebody in on this browser; the key of what was before is never used again."""
    setattr(request, _HOW, how)
    django_login(request, user, backend=_BACKEND)
    if ResidentProfile.objects.filter(user=user).exists():
        request.session.set_expiry(timedelta(days=RESIDENT_DAYS))


def open_of(user: User) -> list[SignIn]:
    """List where somebody is signed in now, the last used first."""
    rows = SignIn.objects.filter(user=user, ended_at=None).order_by("-seen_at", "-since")
    keys = [row.session_key for row in rows]
    living = set(
        Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now()).values_list(
            "session_key", flat=True
        )
    )
    return [row for row in rows if row.session_key in living]


def end(sign_in_: SignIn, by: str) -> None:
    """End one session: its next request finds nobody signed in."""
    _end_keys([sign_in_.session_key], by)


def end_all(user: User, by: str, *, but: str | None = None) -> int:
    """End all sessions of somebody, but the one that is named; give how many there were."""
    rows = SignIn.objects.filter(user=user, ended_at=None).exclude(session_key=but or "")
    keys = list(rows.values_list("session_key", flat=True))
    _end_keys(keys, by)
    return len(keys)


def is_fresh(request: HttpRequest) -> bool:
    """Say whether whoever is signed in proved it just now."""
    since = timezone.now() - FRESH
    key = request.session.session_key or ""
    return SignIn.objects.filter(session_key=key, ended_at=None, since__gt=since).exists()


def moved(request: HttpRequest, old_key: str) -> None:
    """Tell the list that a session got another key."""
    SignIn.objects.filter(session_key=old_key).update(session_key=request.session.session_key or "")


def seen(session_key: str) -> None:
    """Write down that a session is in use now."""
    SignIn.objects.filter(session_key=session_key, ended_at=None).update(seen_at=timezone.now())


def device_of(agent: str) -> str:
    """Name browser and system from what a browser says of itself; empty where it says nothing."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if re.search(mark, agent)), "")
    return " · ".join(part for part in (browser, system) if part)


def _end_keys(keys: list[str], by: str) -> None:
    Session.objects.filter(session_key__in=keys).delete()
    rows = SignIn.objects.filter(session_key__in=keys, ended_at=None)
    rows.update(ended_at=timezone.now(), ended_by=by[:150])


def _began(sender: Any, request: HttpRequest, user: User, **_more: Any) -> None:
    now = timezone.now()
    SignIn.objects.filter(ended_at__lt=now - KEPT).delete()
    SignIn.objects.update_or_create(
        session_key=request.session.session_key or "",
        defaults={
            "user": user,
            "how": getattr(request, _HOW, ""),
            "device": device_of(request.headers.get("User-Agent", "")[:400]),
            "address": address_of(request),
            "since": now,
            "seen_at": now,
            "ended_at": None,
        },
    )


def _ended(sender: Any, request: HttpRequest, user: User | None, **_more: Any) -> None:
    key = getattr(request.session, "session_key", None)
    if key and user is not None:
        rows = SignIn.objects.filter(session_key=key, ended_at=None)
        rows.update(ended_at=timezone.now(), ended_by=user.get_username()[:150])


def listen() -> None:
    """Hear of every log-in and log-out, by whichever way."""
    user_logged_in.connect(_began, dispatch_uid="anlin sign-in began")
    user_logged_out.connect(_ended, dispatch_uid="anlin sign-in ended")


_BROWSERS = (
    ("MicroMessenger", "WeChat"),
    ("Edg", "Edge"),
    ("HuaweiBrowser", "Huawei"),
    ("MiuiBrowser", "Xiaomi"),
    ("QQBrowser", "QQ"),
    ("Firefox", "Firefox"),
    ("OPR", "Opera"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
"""In this order: each of them names the later ones as well."""

_SYSTEMS = (
    (r"HarmonyOS|OpenHarmony", "HarmonyOS"),
    (r"Android", "Android"),
    (r"iPhone", "iPhone"),
    (r"iPad", "iPad"),
    (r"Windows", "Windows"),
    (r"Mac OS X", "macOS"),
    (r"Linux", "Linux"),
)
