"""What a person types to log in, or about log-ins; every field capped."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from anlin.hub.accounts.models import FactorRule
from anlin.hub.accounts.phone import NUMBER_CHARS
from anlin.hub.accounts.services import GIVEN_BY_MANAGER, NAME_CHARS
from anlin.hub.console.login import PASSWORD_CHARS
from anlin.hub.people.models import Building, Role, StaffProfile

_CODE = {"inputmode": "numeric", "autocomplete": "one-time-code", "autofocus": True}


class PhoneForm(forms.Form):
    phone = forms.CharField(
        label=_("Your telephone number"),
        max_length=NUMBER_CHARS,
        widget=forms.TextInput(attrs={"type": "tel", "inputmode": "tel", "autocomplete": "tel"}),
        help_text=_("The one that the property office has from you."),
        error_messages={"required": _("Type your telephone number.")},
    )


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        widget=forms.TextInput(attrs=_CODE),
        error_messages={"required": _("Type the code.")},
    )


class PasswordForm(forms.Form):
    old = forms.CharField(
        label=_("Password of now"),
        max_length=PASSWORD_CHARS,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Type your password.")},
    )
    new = forms.CharField(
        label=_("New password"),
        max_length=PASSWORD_CHARS,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 12 signs. Four words that nobody would guess are good."),
        error_messages={"required": _("Type a new password.")},
    )
    again = forms.CharField(
        label=_("The new password again"),
        max_length=PASSWORD_CHARS,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": _("Type the new password again.")},
    )

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given and not self.errors and given["new"] != given["again"]:
            self.add_error("again", _("The two are not the same."))
        return given


class _Staff(forms.Form):
    """Who somebody is and what they work for."""

    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_CHARS,
        error_messages={"required": _("Type the person's name.")},
    )
    role = forms.ChoiceField(
        label=_("Role"),
        choices=[(role.value, role.label) for role in GIVEN_BY_MANAGER],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose a role.")},
    )
    buildings = forms.ModelMultipleChoiceField(
        label=_("Works for"),
        queryset=Building.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None means the whole community."),
    )

    def __init__(self, staff: StaffProfile, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast("forms.ModelMultipleChoiceField[Building]", self.fields["buildings"])
        field.queryset = staff.community.buildings.order_by("name")


class AddStaffForm(_Staff):
    username = forms.CharField(
        label=_("Log-in name"),
        max_length=30,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "autocomplete": "off"}),
        help_text=_("Small letters, digits, dots or dashes, such as guo.li."),
        error_messages={"required": _("Type a log-in name.")},
    )
    field_order = ("name", "username", "role", "buildings")


class StaffForm(_Staff):
    pass


class FactorRuleForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("A second factor is required of"),
        choices=Role.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.IntegerField(
        label=_("Days to set it up"),
        min_value=0,
        max_value=30,
        help_text=_("From the first log-in on. 0 means at the next one."),
        error_messages={"required": _("Give between 0 and 30 days.")},
    )

    @classmethod
    def of(cls, rule: FactorRule, data: Any = None) -> FactorRuleForm:
        return cls(data, initial={"roles": rule.roles, "days": rule.days})
