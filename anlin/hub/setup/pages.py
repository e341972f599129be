"""What every page of the set-up does alike: show a form, save it, say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise

from anlin.hub.console.pages import blame
from anlin.hub.errors import RuleError
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest

SETUP = (Role.MANAGER, Role.INSTALLER)
READ = (Role.MANAGER, Role.INSTALLER, Role.COMMITTEE, Role.AUDITOR)

Text = str | Promise


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
    if form.is_bound and form.is_valid() and all(part.is_valid() for part in _parts(context)):
        try:
            address = save()
        except RuleError as error:
            blame(form, error)
        else:
            messages.success(request, str(done))
            return redirect(address)
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


def bound(request: StaffRequest) -> Any:
    """Give what was posted, or None where nothing was."""
    return request.POST if request.method == "POST" else None


def _parts(context: dict[str, Any]) -> list[Any]:
    return [context["periods"]] if "periods" in context else []
