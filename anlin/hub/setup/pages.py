"""What every page of the set-up does alike: show a form, save it, say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from anlin.hub.access.models import AccessRule, Area, HolidayTable, Schedule
from anlin.hub.audit.log import Actor
from anlin.hub.console.pages import Text, attempt, submit
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest

SETUP = (Role.MANAGER, Role.INSTALLER)
READ = (Role.MANAGER, Role.INSTALLER, Role.COMMITTEE, Role.AUDITOR)

Row = TypeVar("Row", Area, Schedule, HolidayTable, AccessRule)


def edit(
    request: StaffRequest,
    form: Form,
    save: Callable[[], str],
    *,
    title: Text,
    back: tuple[str, Text],
    done: Text,
    remove: str = "",
    hints: Iterable[Text] = (),
    template: str = "setup/edit.html",
    **context: Any,
) -> HttpResponse:
    """Show a form or save it; `save` gives the address that follows.

    `remove` is where a press on "Remove" goes; `back` is an address with its words.
    """
    if all(part.is_valid() for part in _parts(context)):
        saved = submit(request, form, save, done)
        if saved is not None:
            return saved
    status = 422 if form.is_bound else 200
    shown = {
        "form": form,
        "title": title,
        "back": back,
        "remove": remove,
        "hints": list(hints),
        **context,
    }
    return render(request, template, shown, status=status)


def _parts(context: dict[str, Any]) -> list[Any]:
    return [context["periods"]] if "periods" in context else []


def removed(
    request: StaffRequest, do: Callable[[Actor], None], to: str, *arguments: str
) -> HttpResponse:
    """Remove something and go to the page `to`, which says what came of it."""
    attempt(request, lambda: do(Actor.of(request)), _("Removed. Every edge follows in seconds."))
    return redirect(to, *arguments)


def own(request: StaffRequest, kind: type[Row], id_: str) -> Row:
    """Find something of this community; another's is not there."""
    return get_object_or_404(kind, pk=id_, community=request.staff.community)
