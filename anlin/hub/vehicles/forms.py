"""What a person types about cars and e-bikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.hub.people.models import Holder, HolderStatus, Unit
from anlin.hub.vehicles.models import EBike, Vehicle
from anlin.hub.vehicles.services import MAX_DRIVERS

_PLAIN = {"autocomplete": "off"}


def _text(label: Any, most: int, help_text: Any = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        max_length=most,
        widget=forms.TextInput(attrs=_PLAIN),
        help_text=help_text,
        error_messages={"max_length": gettext_lazy("At most %(limit_value)d characters fit here.")},
    )


class PlateForm(forms.Form):
    """A car by its plate, with what helps to tell it from others."""

    plate = forms.CharField(
        label=gettext_lazy("Number plate"),
        max_length=16,
        widget=forms.TextInput(attrs=_PLAIN | {"placeholder": "京A·12345"}),
        error_messages={
            "required": gettext_lazy("Type the plate, beginning with its province."),
            "max_length": gettext_lazy("This is too long for a plate."),
        },
    )
    brand = _text(gettext_lazy("Make"), 40)
    colour = _text(gettext_lazy("Colour"), 20)
    space = _text(gettext_lazy("Parking space"), 30, gettext_lazy("As it is written on the floor."))


class VehicleForm(forms.Form):
    """What may be corrected about a car."""

    brand = _text(gettext_lazy("Make"), 40)
    colour = _text(gettext_lazy("Colour"), 20)
    space = _text(gettext_lazy("Parking space"), 30, gettext_lazy("As it is written on the floor."))
    unit = forms.ModelChoiceField(
        label=gettext_lazy("Belongs to the home"),
        queryset=Unit.objects.none(),
        required=False,
        empty_label=gettext_lazy("none"),
    )
    drivers = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Who drives it beside the owner"),
        queryset=Holder.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("People of the same homes. They are asked when it stands wrong."),
    )

    def __init__(self, vehicle: Vehicle, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(
            data,
            initial={
                "brand": vehicle.brand,
                "colour": vehicle.colour,
                "space": vehicle.space,
                "unit": vehicle.unit_id,
                "drivers": list(vehicle.drivers.values_list("pk", flat=True)),
            },
        )
        homes = Unit.objects.filter(residencies__holder=vehicle.owner) | Unit.objects.filter(
            pk=vehicle.unit_id
        )
        self.fields["unit"].queryset = homes.distinct().order_by("code")  # type: ignore[attr-defined]
        others = Holder.objects.filter(
            community=vehicle.community_id, residencies__unit__in=homes
        ) | Holder.objects.filter(drives=vehicle)
        others = others.exclude(pk=vehicle.owner_id).exclude(status=HolderStatus.LEFT)
        self.fields["drivers"].queryset = others.distinct().order_by("name")  # type: ignore[attr-defined]

    def clean_drivers(self) -> Any:
        drivers = self.cleaned_data["drivers"]
        if len(drivers) > MAX_DRIVERS:
            raise forms.ValidationError(
                _("At most %(most)d drivers."), params={"most": MAX_DRIVERS}
            )
        return drivers


class RefuseForm(forms.Form):
    """Why a car is turned down."""

    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=200,
        widget=forms.TextInput(attrs=_PLAIN),
        error_messages={
            "required": gettext_lazy("Say in a few words why."),
            "max_length": gettext_lazy("At most 200 characters fit here."),
        },
    )


class EBikeForm(forms.Form):
    """An e-bike by whatever number it has."""

    plate = _text(gettext_lazy("E-bike plate"), 30, gettext_lazy("As it is written on the bike."))
    tag = _text(
        gettext_lazy("Tag number"), 60, gettext_lazy("Of the radio tag, as a reader reports it.")
    )
    battery = _text(gettext_lazy("Battery number"), 60)
    brand = _text(gettext_lazy("Make"), 40)
    colour = _text(gettext_lazy("Colour"), 20)

    @staticmethod
    def first(ebike: EBike) -> dict[str, str]:
        """Give what the form begins with for an e-bike that is known."""
        return {name: getattr(ebike, name) for name in EBikeForm.base_fields}
