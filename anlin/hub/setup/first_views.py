"""The page of an installation in which no community has been founded yet."""

from __future__ import annotations

from zoneinfo import available_timezones

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from anlin.hub.access.faults import NAME_CHARS
from anlin.hub.console.login import NAME_CHARS as USER_CHARS
from anlin.hub.console.pages import blame, bound
from anlin.hub.errors import RuleError
from anlin.hub.permissions import public
from anlin.hub.setup import first

_CODE_CHARS = 40


class FirstForm(forms.Form):
    """A community's name and its first manager, with the code from the console."""

    code = forms.CharField(
        label=gettext_lazy("Code from the console"),
        max_length=_CODE_CHARS,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "autofocus": True}
        ),
        help_text=gettext_lazy(
            "`anlin up` printed it where it was started, such as k7mq-2xwp-9rtz."
        ),
        error_messages={"required": gettext_lazy("Type the code from the console.")},
    )
    name = forms.CharField(
        label=gettext_lazy("Name of the community"),
        max_length=NAME_CHARS,
        error_messages={"required": gettext_lazy("Give it a name by which people know it.")},
    )
    manager = forms.RegexField(
        r"^[\w.@+-]+$",
        label=gettext_lazy("Log-in name of its manager"),
        max_length=USER_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
        help_text=gettext_lazy("Such as meng. The password is drawn here and shown once."),
        error_messages={
            "required": gettext_lazy("Type a log-in name."),
            "invalid": gettext_lazy("Letters, digits and . @ + - _ only."),
        },
    )
    node = forms.CharField(
        label=gettext_lazy("Name of this machine's edge"),
        max_length=NAME_CHARS,
        help_text=gettext_lazy("Where the box stands, such as “East gate room”."),
        error_messages={"required": gettext_lazy("Give it a name by which people know it.")},
    )
    zone = forms.CharField(label=gettext_lazy("Time zone"), max_length=64, initial="Asia/Shanghai")

    def clean_zone(self) -> str:
        zone = str(self.cleaned_data["zone"])
        if zone not in available_timezones():
            raise forms.ValidationError(
                _("There is no time zone %(zone)s; write it as Asia/Shanghai."),
                params={"zone": zone[:40]},
            )
        return zone


@public("nobody can log in yet; the code from the console is asked for")
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def found(request: HttpRequest) -> HttpResponse:
    """Found the first community, once, for whoever reads the console of `anlin up`."""
    if not first.is_open():
        return redirect("console:login")
    form = FirstForm(bound(request))
    status = 422 if form.is_bound else 200
    if form.is_valid():
        given = form.cleaned_data
        try:
            made = first.found(
                given["code"],
                str(request.META.get("REMOTE_ADDR", "")),
                name=given["name"],
                manager=given["manager"],
                node=given["node"],
                zone=given["zone"],
            )
        except first.Closed:
            return redirect("console:login")
        except RuleError as error:
            blame(form, error)
            status = 429 if isinstance(error, first.TooMany) else 422
        else:
            return _closed(render(request, "setup/founded.html", {"made": made}))
    return _closed(render(request, "setup/first.html", {"form": form}, status=status))


def _closed(answer: HttpResponse) -> HttpResponse:
    answer.headers["Cache-Control"] = "no-store"
    return answer
