"""What every page shares: its roles, the community's local time, messages and numbered lists."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.functional import Promise

from anlin.hub.errors import RuleError
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest, allowed

View = Callable[..., HttpResponse]
Text = str | Promise
_Row = TypeVar("_Row")

MANAGE = (Role.MANAGER,)
DESK = (Role.GUARD, Role.MANAGER)

QUERY_CHARS = 60
"""A search longer than any name, plate or card number is not one."""


def page(*roles: Role) -> Callable[[Callable[..., HttpResponse]], View]:
    """Declare a page: who may open it; inside, times are the community's own."""

    def decorate(view: Callable[..., HttpResponse]) -> View:
        @wraps(view)
        def in_zone(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            with timezone.override(cast(StaffRequest, request).staff.community.zone):
                return view(request, *args, **kwargs)

        return allowed(*roles)(in_zone)

    return decorate


def paged(request: HttpRequest, rows: QuerySet[Any] | list[Any], size: int) -> Page[Any]:
    """Give the page of a list that the address asks for; the nearest one where there is none."""
    return Paginator(rows, size).get_page(request.GET.get("page", "1")[:6])


def query_of(request: HttpRequest) -> str:
    """Give what was typed into the search field, trimmed and capped."""
    return request.GET.get("q", "").replace("\x00", "").strip()[:QUERY_CHARS]


def attempt(request: HttpRequest, do: Callable[[], object], done: str) -> bool:
    """Do what a person asked and say on the next page what came of it."""
    try:
        do()
    except RuleError as error:
        messages.error(request, str(error))
        return False
    messages.success(request, done)
    return True


def bound(request: HttpRequest) -> QueryDict | None:
    """Give what was posted, or None where nothing was."""
    return request.POST if request.method == "POST" else None


def submit(
    request: HttpRequest, form: Form, save: Callable[[], str], done: Text
) -> HttpResponse | None:
    """Save a form and go to the address that `save` gives; None where it is to be shown again."""
    if not form.is_valid():
        return None
    try:
        address = save()
    except RuleError as error:
        blame(form, error)
        return None
    messages.success(request, str(done))
    return redirect(address)


def blame(form: Form, error: RuleError) -> None:
    """Put a broken rule beside the field it names, or above the form."""
    form.add_error(error.field if error.field in form.fields else None, str(error))
