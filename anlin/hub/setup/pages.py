"""What every page of the set-up does alike: show a form, save it, say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import render

from anlin.hub.console.pages import Text, submit
from anlin.hub.people.models import Role
from anlin.hub.permissions import StaffRequest

SETUP = (Role.MANAGER, Role.INSTALLER)
READ = (Role.MANAGER, Role.INSTALLER, Role.COMMITTEE, Role.AUDITOR)


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
