"""What a person types about people; every field capped, every fault one clear sentence."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import HolderKind, Method
from anlin.core.identity import is_child
from anlin.hub.people.models import (
    Community,
    Holder,
    HolderStatus,
    Identity,
    Residency,
    ResidencyKind,
    Unit,
    in_force,
)
from anlin.vision.enrol import MAX_BYTES

NAME_CHARS = 60
CODE_CHARS = 30
_LAST_YEAR = 2200


def end_of_day(day: date | None) -> datetime | None:
    """Give the end of a local day, exclusive, in UTC: a lease holds through its last day."""
    if day is None:
        return None
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time())
    return timezone.make_aware(midnight).astimezone(UTC)


class HomeForm(forms.Form):
    """A home and how somebody lives in it."""

    unit = forms.CharField(
        label=gettext_lazy("Home"),
        max_length=CODE_CHARS,
        widget=forms.TextInput(attrs={"list": "units", "autocomplete": "off"}),
        help_text=gettext_lazy("As it stands on the door, such as 1-101."),
        error_messages={"required": gettext_lazy("Type the home, such as 1-101.")},
    )
    residency = forms.ChoiceField(
        label=gettext_lazy("Lives there as"),
        choices=ResidencyKind.choices,
        initial=ResidencyKind.OWNER,
        widget=forms.RadioSelect,
    )
    ends_on = forms.DateField(
        label=gettext_lazy("Last day of the lease"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Access ends by itself at the end of that day, network or not."),
        error_messages={"invalid": gettext_lazy("This is not a date. Write it as 2027-06-30.")},
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.community = community

    def clean_unit(self) -> Unit | None:
        code = str(self.cleaned_data["unit"]).strip()
        if not code:
            return None
        found = list(Unit.objects.filter(building__community=self.community, code__iexact=code)[:2])
        if not found:
            raise forms.ValidationError(
                _("There is no home %(code)s in this community."), params={"code": code}
            )
        if len(found) > 1:
            raise forms.ValidationError(
                _("Several buildings have a home %(code)s; ask the installer to rename one."),
                params={"code": code},
            )
        return found[0]

    def clean_ends_on(self) -> date | None:
        day: date | None = self.cleaned_data["ends_on"]
        if day is not None and not timezone.localdate().year - 1 <= day.year <= _LAST_YEAR:
            raise forms.ValidationError(_("This year can't be right."))
        if day is not None and day < timezone.localdate():
            raise forms.ValidationError(_("This day is over already."))
        return day

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given is None or self.errors:
            return given
        if given["residency"] == ResidencyKind.TENANT and not given["ends_on"] and given["unit"]:
            self.add_error("ends_on", _("A lease has an end: type its last day."))
        return given


class ResidencyForm(HomeForm):
    """One more home for somebody who is known."""


class RegisterForm(HomeForm):
    """A new person, with a home or as staff."""

    field_order = ("name", "kind", "unit", "residency", "ends_on", "phone", "greeting")

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
        error_messages={
            "required": gettext_lazy("Type the person's name."),
            "max_length": gettext_lazy("A name has 1 to 60 characters."),
        },
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Is here as"),
        choices=[
            (HolderKind.RESIDENT.value, gettext_lazy("Resident")),
            (HolderKind.STAFF.value, gettext_lazy("Staff")),
        ],
        initial=HolderKind.RESIDENT.value,
        widget=forms.RadioSelect,
    )
    phone = forms.CharField(
        label=gettext_lazy("Telephone"),
        required=False,
        max_length=30,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
        help_text=gettext_lazy("Kept closed; only the desk can read it."),
    )
    greeting = forms.CharField(
        label=gettext_lazy("Shown on gate screens"),
        required=False,
        max_length=30,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Such as “Ms Lin”. Empty shows only the first character."),
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(community, *args, **kwargs)
        self.fields["unit"].required = False
        self.fields["residency"].required = False

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given is None or self.errors:
            return given
        if given["kind"] == HolderKind.RESIDENT and not given["unit"]:
            self.add_error("unit", _("Type the home, such as 1-101."))
        return given


class HolderForm(forms.Form):
    """What may be corrected about a person."""

    name = RegisterForm.base_fields["name"]
    phone = RegisterForm.base_fields["phone"]
    greeting = RegisterForm.base_fields["greeting"]
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    needs_time = forms.BooleanField(
        label=gettext_lazy("Needs time: wheelchair, pram, old age"),
        required=False,
        help_text=gettext_lazy("Doors stay unlocked and may stand open for longer."),
    )
    needs_escort = forms.BooleanField(
        label=gettext_lazy("Is let in only together with an escort"),
        required=False,
        help_text=gettext_lazy("The escort shows a card or face first, then this person."),
    )
    can_escort = forms.BooleanField(label=gettext_lazy("May escort others"), required=False)


class ConsentForm(forms.Form):
    """Somebody agreed, in person, to a text that was shown to them."""

    OF_AGE, CHILD = "14", "child"

    age = forms.ChoiceField(
        label=gettext_lazy("Who agrees"),
        choices=[
            (OF_AGE, gettext_lazy("The person, who is 14 or older")),
            (CHILD, gettext_lazy("A parent or guardian: the person is under 14")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Say whether the person is 14 or older.")},
    )
    guardian = forms.ModelChoiceField(
        label=gettext_lazy("Guardian who lives with the child"),
        queryset=Holder.objects.none(),
        required=False,
        empty_label=gettext_lazy("somebody else, named below"),
    )
    given_by = forms.CharField(
        label=gettext_lazy("Name of the guardian"),
        required=False,
        max_length=NAME_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Only where the guardian is not in the list."),
    )
    relation = forms.CharField(
        label=gettext_lazy("Is to the child"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "relations"}),
        help_text=gettext_lazy("Such as mother or father."),
    )
    photo = forms.BooleanField(
        label=gettext_lazy(
            "Also agreed that the photograph is kept, closed, so that a replaced gate "
            "needs no new picture"
        ),
        required=False,
    )
    was_shown = forms.BooleanField(
        label=gettext_lazy("The notice was shown, and the person agreed of their own will"),
        error_messages={
            "required": gettext_lazy("Without consent no face is enrolled. Nobody is worse off.")
        },
    )

    def __init__(self, holder: Holder, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = timezone.now()
        homes = holder.residencies.filter(in_force(now)).values("unit")
        family = Residency.objects.filter(in_force(now), unit__in=homes).values("holder")
        people = Holder.objects.filter(pk__in=family, status=HolderStatus.ACTIVE)
        self.fields["guardian"].queryset = people.exclude(pk=holder.pk).order_by("name")  # type: ignore[attr-defined]
        born_on = Identity.objects.filter(holder=holder).values_list("born_on", flat=True).first()
        if born_on is not None:
            self.initial["age"] = (
                self.CHILD if is_child(born_on, timezone.localdate()) else self.OF_AGE
            )


class FaceForm(forms.Form):
    """One photograph."""

    photo = forms.FileField(
        label=gettext_lazy("Photograph"),
        widget=forms.ClearableFileInput(attrs={"accept": "image/jpeg,image/png,image/webp"}),
        error_messages={
            "required": gettext_lazy("Choose a photograph, or take one with the camera."),
            "empty": gettext_lazy("This file is empty. Choose a photograph."),
        },
    )

    def clean_photo(self) -> Any:
        photo = self.cleaned_data["photo"]
        if photo.size > MAX_BYTES:
            raise forms.ValidationError(
                _("The file has %(size)d MB; at most %(most)d MB are taken."),
                params={"size": photo.size // 2**20, "most": MAX_BYTES // 2**20},
            )
        return photo


class CardForm(forms.Form):
    """A card by the number that readers report."""

    number = forms.CharField(
        label=gettext_lazy("Card number"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "mono"}),
        error_messages={
            "required": gettext_lazy("Type the card's number, or hold it to a reader."),
            "max_length": gettext_lazy("A card number is 4 to 32 digits or letters A to F."),
        },
    )
    is_secure = forms.BooleanField(
        label=gettext_lazy("Hard to forge: its reader checks the card's own cryptography"),
        required=False,
    )

    @property
    def method(self) -> Method:
        """What a reader says when this card is shown: a card is looked up by that as well."""
        return Method.SECURE_CARD if self.cleaned_data["is_secure"] else Method.CARD


class PinForm(forms.Form):
    """A PIN, chosen or drawn."""

    digits = forms.CharField(
        label=gettext_lazy("PIN of the person's own choice"),
        required=False,
        max_length=12,
        # As a password, so that no browser keeps it and nobody reads along.
        widget=forms.PasswordInput(
            attrs={"autocomplete": "new-password", "inputmode": "numeric", "class": "mono"}
        ),
        help_text=gettext_lazy("6 to 8 digits. Empty: one is drawn and shown once."),
        error_messages={"max_length": gettext_lazy("A PIN has 6 to 8 digits.")},
    )


class PlateForm(forms.Form):
    """A vehicle by its plate."""

    plate = forms.CharField(
        label=gettext_lazy("Number plate"),
        max_length=16,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "京A·12345"}),
        error_messages={
            "required": gettext_lazy("Type the plate, beginning with its province."),
            "max_length": gettext_lazy("This is too long for a plate."),
        },
    )
