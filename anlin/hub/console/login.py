"""The log-in: who it is for, and how often one may try."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from anlin.hub.accounts import limits
from anlin.hub.accounts.limits import Limit

TRIES = 5
"""Wrong passwords in a row before a wait (GB 50396-2007 5.1.2: alarm after at most 5)."""
WAIT = timedelta(minutes=5)
OF_NAME_HERE = Limit("log-in name here", TRIES, WAIT)
OF_NAME = Limit("log-in name", 30, timedelta(hours=1))
"""One name from many addresses: a guess of thirty an hour finds no password of twelve signs."""
OF_ADDRESS = Limit("log-in address", 50, WAIT)
"""All names together from one address: a whole guard room behind one router is fewer."""

NAME_CHARS = 150
PASSWORD_CHARS = 256
"""Hashing is dear on purpose; nobody may ask for a megabyte of it."""


class LoginForm(forms.Form):
    """Name and password. After `clean`, `user` is who they belong to."""

    username = forms.CharField(
        label=_("Name"),
        max_length=NAME_CHARS,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}
        ),
        error_messages={"required": _("Type your log-in name.")},
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=PASSWORD_CHARS,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Type your password.")},
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.user: User | None = None

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if self.errors or given is None:
            return given
        name = str(given["username"])
        here = f"{limits.address_of(self.request)} {name}"
        # Counted before it is checked: a hundred tries at once are a hundred, not one.
        allowed = (
            limits.take_of_address(OF_ADDRESS, self.request),
            limits.take(OF_NAME_HERE, here),
            limits.take(OF_NAME, name),
        )
        if not all(allowed):
            raise forms.ValidationError(
                _("Too many wrong tries. Wait %(minutes)d minutes, then try again."),
                params={"minutes": WAIT.seconds // 60},
            )
        user = authenticate(self.request, username=name, password=given["password"])
        if user is None:
            raise forms.ValidationError(_("The name or the password is wrong."))
        if not hasattr(user, "staff_profile"):
            raise forms.ValidationError(
                _("This account has no role in any community. Ask the property manager.")
            )
        limits.forget(OF_NAME_HERE, here)
        limits.forget(OF_NAME, name)
        self.user = user
        return given
