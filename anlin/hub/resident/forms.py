"""What residents type, with a sentence for each way to get it wrong."""

from __future__ import annotations

import re
import secrets
from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator, RegexValidator
from django.utils.translation import gettext_lazy as _

from anlin.hub.people.models import ResidencyKind

PHONE = RegexValidator(
    re.compile(r"^\+?[0-9][0-9 \-]{3,18}[0-9]$"),
    _("A telephone number has 5 to 20 digits, such as 138 0000 0000."),
)


def sent_id() -> str:
    """Give what tells one sending of a form from another."""
    return secrets.token_hex(12)


class SentOnce(forms.Form):
    """A form that does one thing however often it is sent."""

    sent = forms.RegexField(r"^[0-9a-f]{24}$", widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {"sent": sent_id(), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        self.fields["sent"].error_messages["invalid"] = _("Open the form once more.")


def _text(label: Any, most: int, *, is_required: bool = True, **attrs: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=most,
        required=is_required,
        validators=[ProhibitNullCharactersValidator()],
        widget=forms.TextInput(attrs=attrs),
    )


class AddForm(SentOnce):
    """Somebody who is to live here too."""

    name = _text(_("Name"), 60, autocomplete="off")
    residency = forms.ChoiceField(
        label=_("Lives here as"),
        choices=[
            (ResidencyKind.FAMILY.value, ResidencyKind.FAMILY.label),
            (ResidencyKind.TENANT.value, ResidencyKind.TENANT.label),
        ],
        initial=ResidencyKind.FAMILY.value,
        widget=forms.RadioSelect,
    )
    phone = forms.CharField(
        label=_("Telephone"),
        max_length=20,
        validators=[PHONE],
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
        help_text=_("They sign in on their own phone with it. For a child, your own."),
    )
    ends_on = forms.DateField(
        label=_("Last day of the lease"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("For a tenant: every right ends with that day, by itself."),
    )


class ContactForm(SentOnce):
    """Whom to call when nobody at home answers."""

    name = _text(_("Name"), 60, autocomplete="off")
    relation = _text(_("Who that is to you"), 30, is_required=False, autocomplete="off")
    phone = forms.CharField(
        label=_("Telephone"),
        max_length=20,
        validators=[PHONE],
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )


_HOURS = [(2, _("2 hours")), (4, _("4 hours")), (12, _("12 hours")), (24, _("one day"))]
_DAYS = [
    (0, _("Mon")),
    (1, _("Tue")),
    (2, _("Wed")),
    (3, _("Thu")),
    (4, _("Fri")),
    (5, _("Sat")),
    (6, _("Sun")),
]


class InviteForm(SentOnce):
    """Somebody who comes once."""

    name = _text(_("Name of the visitor"), 60, autocomplete="off")
    starts_at = forms.DateTimeField(
        label=_("Comes at"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    hours = forms.TypedChoiceField(label=_("Stays for"), choices=_HOURS, coerce=int, initial=4)
    phone = forms.CharField(
        label=_("Telephone"),
        required=False,
        max_length=20,
        validators=[PHONE],
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    plate = _text(_("Number plate, if by car"), 12, is_required=False, autocomplete="off")
    people = forms.IntegerField(
        label=_("How many people"), min_value=1, max_value=20, initial=1, required=False
    )


class HelperForm(SentOnce):
    """A cleaner, carer or tutor who comes again and again."""

    name = _text(_("Name of the helper"), 60, autocomplete="off")
    phone = forms.CharField(
        label=_("Telephone"),
        required=False,
        max_length=20,
        validators=[PHONE],
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    days = forms.TypedMultipleChoiceField(
        label=_("Comes on"), choices=_DAYS, coerce=int, widget=forms.CheckboxSelectMultiple
    )
    start = forms.TimeField(
        label=_("From"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    end = forms.TimeField(
        label=_("To"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    last_day = forms.DateField(
        label=_("Last day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class CarForm(forms.Form):
    """A car of the resident's own."""

    plate = _text(_("Number plate"), 12, autocomplete="off", autocapitalize="characters")
    brand = _text(_("Make and model"), 40, is_required=False, autocomplete="off")
    colour = _text(_("Colour"), 20, is_required=False, autocomplete="off")


class BikeForm(forms.Form):
    """An e-bike of the resident's own, by any number that it has."""

    plate = _text(_("Plate of the e-bike"), 20, is_required=False, autocomplete="off")
    battery = _text(_("Number of the battery"), 40, is_required=False, autocomplete="off")
    brand = _text(_("Make and model"), 40, is_required=False, autocomplete="off")
    colour = _text(_("Colour"), 20, is_required=False, autocomplete="off")


class PinForm(forms.Form):
    """A PIN that the resident chooses; empty draws one."""

    digits = forms.RegexField(
        r"^[0-9]{4,10}$",
        label=_("New PIN"),
        strip=False,
        widget=forms.PasswordInput(
            attrs={"inputmode": "numeric", "autocomplete": "off", "maxlength": "10"}
        ),
        error_messages={"invalid": _("A PIN has digits only.")},
    )
    again = forms.CharField(
        label=_("The same once more"),
        max_length=10,
        strip=False,
        widget=forms.PasswordInput(
            attrs={"inputmode": "numeric", "autocomplete": "off", "maxlength": "10"}
        ),
    )

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given is not None and not self.errors and given["digits"] != given["again"]:
            self.add_error("again", _("The two are not the same."))
        return given


class HelpLineForm(forms.Form):
    """A number that residents may call."""

    name = _text(_("Who answers"), 60, autocomplete="off")
    phone = forms.CharField(
        label=_("Telephone"),
        max_length=20,
        validators=[PHONE],
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    hours = _text(_("When"), 60, is_required=False, autocomplete="off")
