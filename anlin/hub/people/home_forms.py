"""What a person types about homes, and about why somebody lives in one."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.hub.people.homes import AREA_M2, FLOORS
from anlin.hub.people.models import Building, Proof, Unit, UnitUse

_PLAIN = {"autocomplete": "off"}
_LAST_YEAR = 2200
_NUMBER_FAULTS = {
    "invalid": gettext_lazy("Type a number."),
    "min_value": gettext_lazy("At least %(limit_value)s."),
    "max_value": gettext_lazy("At most %(limit_value)s."),
    "max_decimal_places": gettext_lazy("Two places after the point are enough."),
}


class UnitForm(forms.Form):
    """What is written about a home."""

    entrance = forms.CharField(
        label=gettext_lazy("Entrance"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs=_PLAIN),
        help_text=gettext_lazy("The stairwell, where the building has more than one."),
    )
    floor = forms.IntegerField(
        label=gettext_lazy("Floor"),
        required=False,
        min_value=FLOORS[0],
        max_value=FLOORS[1],
        error_messages=_NUMBER_FAULTS,
    )
    area_m2 = forms.DecimalField(
        label=gettext_lazy("Area in m²"),
        required=False,
        min_value=AREA_M2[0],
        max_value=AREA_M2[1],
        max_digits=7,
        decimal_places=2,
        help_text=gettext_lazy("Too many people for it are flagged."),
        error_messages=_NUMBER_FAULTS,
    )
    use = forms.ChoiceField(
        label=gettext_lazy("Use"), choices=UnitUse.choices, widget=forms.RadioSelect
    )
    external_code = forms.CharField(
        label=gettext_lazy("Number of the authority"),
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs=_PLAIN),
    )

    @staticmethod
    def first(unit: Unit) -> dict[str, Any]:
        """Give what the form begins with."""
        return {name: getattr(unit, name) for name in UnitForm.base_fields}


class PlaceForm(forms.Form):
    """Where a building stands on the community's plan, in hundredths of its width and height."""

    right = forms.FloatField(
        label=gettext_lazy("So many per cent from the left"),
        required=False,
        min_value=0,
        max_value=100,
        error_messages=_NUMBER_FAULTS,
    )
    down = forms.FloatField(
        label=gettext_lazy("So many per cent from above"),
        required=False,
        min_value=0,
        max_value=100,
        error_messages=_NUMBER_FAULTS,
    )

    @staticmethod
    def first(building: Building) -> dict[str, float | None]:
        """Give what the form begins with."""
        return {"right": _percent(building.map_x), "down": _percent(building.map_y)}


class ProofForm(forms.Form):
    """What shows that somebody may live in a home."""

    proof = forms.ChoiceField(
        label=gettext_lazy("Shown"),
        choices=[choice for choice in Proof.choices if choice[0]],
        error_messages={"required": gettext_lazy("Choose what was shown.")},
    )
    proof_number = forms.CharField(
        label=gettext_lazy("Its number"),
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs=_PLAIN),
    )


class LeaseForm(forms.Form):
    """Until when a lease runs."""

    ends_on = forms.DateField(
        label=gettext_lazy("Last day of the lease"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={
            "required": gettext_lazy("A lease has an end: type its last day."),
            "invalid": gettext_lazy("This is not a date. Write it as 2027-06-30."),
        },
    )

    def clean_ends_on(self) -> date:
        day: date = self.cleaned_data["ends_on"]
        if day < timezone.localdate():
            raise forms.ValidationError(_("This day is over already."))
        if day.year > _LAST_YEAR:
            raise forms.ValidationError(_("This year can't be right."))
        return day


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
