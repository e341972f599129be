"""What every page of residents shares: whose home, local time, language, print, small answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone, translation
from django.views.decorators.gzip import gzip_page

from anlin.hub.audit.log import Actor
from anlin.hub.errors import RuleError
from anlin.hub.permissions import ResidentRequest, resident
from anlin.hub.resident.homes import Home, NotYoursError, home_of

View = Callable[..., HttpResponseBase]
Answer = TypeVar("Answer", bound=HttpResponseBase)

PRINT_COOKIE = "anlin_print"
LARGE = "large"


class HomeRequest(ResidentRequest):
    """A request of somebody who lives here now: `home` is what is theirs."""

    home: Home


def page(view: View) -> View:
    """Declare a page of residents who live here now; what is not theirs is not there (404)."""

    @wraps(view)
    def own(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        ours = cast(HomeRequest, request)
        code = ours.resident.language or translation.get_language() or ""
        with timezone.override(ours.holder.community.zone), translation.override(code):
            request.LANGUAGE_CODE = code
            ours.home = home_of(ours.holder)
            if not ours.home.residencies:
                return quiet(render(request, "resident/ended.html", status=403))
            try:
                return quiet(view(ours, *args, **kwargs))
            except NotYoursError as error:
                raise Http404(str(error)) from error

    return cast(View, resident(gzip_page(own)))


def quiet(answer: Answer) -> Answer:
    """Keep a page out of every cache but our own worker's: it is about one home."""
    answer.headers.setdefault("Cache-Control", "private, no-store")
    return answer


def actor(request: HomeRequest) -> Actor:
    """Name the resident who acts."""
    return Actor.resident(request.holder, request.resident.user)


def attempt(request: HttpRequest, do: Callable[[], object], done: str) -> bool:
    """Do what a resident asked and say on the next page what came of it."""
    try:
        do()
    except RuleError as error:
        messages.error(request, str(error))
        return False
    messages.success(request, done)
    return True


def is_large(request: HttpRequest) -> bool:
    """Say whether large print is asked for: by the account, before a log-in by the cookie."""
    profile = getattr(request, "resident", None)
    if profile is not None:
        return bool(profile.large_print)
    return request.COOKIES.get(PRINT_COOKIE) == LARGE
