"""When a session was last used: shown in the list of one's devices."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponseBase

from anlin.hub.accounts import sessions

EVERY_S = 300
"""One write in five minutes for each session: a page costs no write to say that it was opened."""


def last_seen(get_response: Callable[[HttpRequest], HttpResponseBase]) -> object:
    """Keep the time at which each session was last used."""

    def called(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if settings.SESSION_COOKIE_NAME in request.COOKIES and hasattr(request, "session"):
            key = request.session.session_key
            if key and cache.add(f"seen:{key}", 1, timeout=EVERY_S):
                sessions.seen(key)
        return response

    return called
