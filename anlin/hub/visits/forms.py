"""What visitors, guards and the office fill in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import Direction, Method
from anlin.hub.access.models import AccessPoint
from anlin.hub.ids import random_text
from anlin.hub.people.models import Community, Unit
from anlin.hub.visits.models import Kind, VisitRules
from anlin.hub.visits.services import Wish

if TYPE_CHECKING:
    _RulesForm = forms.ModelForm[VisitRules]
else:
    _RulesForm = forms.ModelForm

_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"]
_TEMPERATURE = (34.0, 43.0)
"""Of a living person, in degrees Celsius; anything else is a slip of the finger."""


def moment_field(label: Any, **more: Any) -> forms.DateTimeField:
    """Give a field for a time, in the community's own zone."""
    return forms.DateTimeField(
        label=label,
        input_formats=_FORMATS,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_FORMATS[0]),
        error_messages={
            "invalid": gettext_lazy("This is not a time. Write it as 2027-06-30 18:00."),
            "required": gettext_lazy("Choose day and time."),
        },
        **more,
    )


class _Visitor(forms.Form):
    """Who comes, with what, why."""

    sent_id = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    name = forms.CharField(
        label=gettext_lazy("Visitor's name"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": gettext_lazy("Type the visitor's name.")},
    )
    phone = forms.CharField(
        label=gettext_lazy("Visitor's telephone"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
    )
    people = forms.IntegerField(
        label=gettext_lazy("How many people"),
        min_value=1,
        max_value=30,
        initial=1,
        error_messages={"invalid": gettext_lazy("Write a number, such as 2.")},
    )
    plate = forms.CharField(
        label=gettext_lazy("Number plate"),
        required=False,
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
        help_text=gettext_lazy("Only if they come by car."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sent_id"].initial = random_text(24)

    def wish(self) -> Wish:
        raise NotImplementedError

    @property
    def sent(self) -> str:
        """Name the form, so that sending it twice is sending it once."""
        return str(self.cleaned_data.get("sent_id") or "")


class AskForm(_Visitor):
    """A visitor's own question to come, from the community's public page."""

    home = forms.CharField(
        label=gettext_lazy("Which home"),
        max_length=30,
        help_text=gettext_lazy("As it stands on the door, such as 1-101."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Type the number of the home.")},
    )
    surname = forms.CharField(
        label=gettext_lazy("Surname of who lives there"),
        max_length=30,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Type the surname of the person you visit.")},
    )
    starts_at = moment_field(gettext_lazy("You come at"))
    ends_at = moment_field(gettext_lazy("You leave at"))
    temperature = forms.FloatField(
        label=gettext_lazy("Your temperature, in degrees Celsius"),
        min_value=_TEMPERATURE[0],
        max_value=_TEMPERATURE[1],
    )
    symptoms = forms.ChoiceField(
        label=gettext_lazy("Fever or cough in the last days"),
        choices=[("no", gettext_lazy("No")), ("yes", gettext_lazy("Yes"))],
        widget=forms.RadioSelect,
    )

    field_order = ("home", "surname", "name", "phone", "starts_at", "ends_at", "people", "plate")

    def __init__(self, rules: VisitRules, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not rules.asks_health:
            del self.fields["temperature"]
            del self.fields["symptoms"]
        self.fields["name"].label = gettext_lazy("Your name")
        self.fields["phone"].label = gettext_lazy("Your telephone")
        self.fields["phone"].required = rules.asks_phone
        self.fields["phone"].error_messages["required"] = gettext_lazy(
            "Type your telephone number, so that the home knows who asks."
        )
        soon = timezone.localtime() + timedelta(minutes=15)
        soon -= timedelta(minutes=soon.minute % 15)
        self.fields["starts_at"].initial = soon
        self.fields["ends_at"].initial = soon + timedelta(hours=3)

    def wish(self) -> Wish:
        given = self.cleaned_data
        health = None
        if "temperature" in given:
            health = {"temperature": f"{given['temperature']:.1f}", "symptoms": given["symptoms"]}
        return Wish(
            name=given["name"],
            phone=given["phone"],
            plate=given["plate"],
            people=given["people"],
            reason=given["reason"],
            starts_at=given["starts_at"].astimezone(UTC),
            ends_at=given["ends_at"].astimezone(UTC),
            health=health,
        )


class WalkInForm(_Visitor):
    """Somebody at the gate, whom the guard asks the home about by telephone."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Who comes"),
        choices=[(kind.value, kind.label) for kind in Kind if kind is not Kind.HELPER],
        initial=Kind.GUEST.value,
        widget=forms.RadioSelect,
    )
    home = forms.CharField(
        label=gettext_lazy("Comes to the home"),
        max_length=30,
        widget=forms.TextInput(attrs={"list": "units", "autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Type the number of the home.")},
    )
    hours = forms.TypedChoiceField(
        label=gettext_lazy("For"),
        coerce=int,
        initial=4,
        choices=[
            (1, gettext_lazy("1 hour")),
            (4, gettext_lazy("4 hours")),
            (12, gettext_lazy("12 hours")),
        ],
        widget=forms.RadioSelect,
    )
    call = forms.CharField(
        label=gettext_lazy("Number that you called"),
        max_length=30,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Which number did you call?")},
    )
    agreed_by = forms.CharField(
        label=gettext_lazy("Who at home said yes"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Who at home said yes?")},
    )
    needs_escort = forms.BooleanField(
        label=gettext_lazy("Goes in only together with somebody who may lead"), required=False
    )

    field_order = (
        "kind",
        "home",
        "call",
        "agreed_by",
        "name",
        "phone",
        "people",
        "plate",
        "reason",
        "hours",
        "needs_escort",
    )

    def __init__(self, homes: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.homes = homes

    def clean_home(self) -> Unit:
        code = str(self.cleaned_data["home"]).strip()
        found = list(self.homes.filter(code__iexact=code)[:2])
        if len(found) != 1:
            text = (
                _("Several buildings have a home %(code)s; ask the installer to rename one.")
                if found
                else _("There is no home %(code)s in this community.")
            )
            raise forms.ValidationError(text, params={"code": code})
        unit: Unit = found[0]
        return unit

    def wish(self) -> Wish:
        given, now = self.cleaned_data, timezone.now()
        kind = Kind(given["kind"])
        is_courier = kind is Kind.COURIER
        lasts = timedelta(hours=1 if is_courier else given["hours"])
        return Wish(
            name=given["name"],
            phone=given["phone"],
            plate=given["plate"],
            people=1 if is_courier else given["people"],
            reason=given["reason"],
            kind=kind,
            starts_at=now,
            ends_at=now + lasts,
            uses=1 if is_courier else 0,
            needs_escort=given["needs_escort"],
        )


class AgreedForm(forms.Form):
    """A home's yes by telephone to a visit that was asked for."""

    call = forms.CharField(
        label=gettext_lazy("Number that you called"),
        max_length=30,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    agreed_by = forms.CharField(label=gettext_lazy("Who at home said yes"), max_length=60)


class BarForm(forms.Form):
    """Somebody who is let in only with the office's yes."""

    name = forms.CharField(label=gettext_lazy("Name"), required=False, max_length=60)
    phone = forms.CharField(label=gettext_lazy("Telephone"), required=False, max_length=20)
    plate = forms.CharField(label=gettext_lazy("Number plate"), required=False, max_length=12)
    home = forms.CharField(
        label=gettext_lazy("Only for the home"),
        required=False,
        max_length=30,
        help_text=gettext_lazy("Empty: for every home. A name alone needs a home."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        help_text=gettext_lazy("With the date or number of the paper behind it."),
        error_messages={
            "required": gettext_lazy("Say why, with the date or number of the paper behind it.")
        },
    )
    until = forms.DateField(
        label=gettext_lazy("Until"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("At most a year; then it is looked at again."),
        error_messages={"invalid": gettext_lazy("This is not a day. Write it as 2027-06-30.")},
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.community = community

    def clean_home(self) -> Unit | None:
        code = str(self.cleaned_data["home"]).strip()
        if not code:
            return None
        unit = Unit.objects.filter(building__community=self.community, code__iexact=code).first()
        if unit is None:
            raise forms.ValidationError(
                _("There is no home %(code)s in this community."), params={"code": code}
            )
        return unit

    @property
    def end(self) -> datetime:
        """Give the end of the last day."""
        day = self.cleaned_data["until"] + timedelta(days=1)
        return timezone.make_aware(datetime.combine(day, datetime.min.time())).astimezone(UTC)


class RulesForm(_RulesForm):
    """How a community receives its visitors."""

    class Meta:
        model = VisitRules
        fields = (
            "is_form_open",
            "asks_phone",
            "takes_faces",
            "asks_health",
            "kept_days",
            "parcel_points",
        )
        labels = {
            "is_form_open": gettext_lazy("Visitors may ask on the community's public page"),
            "asks_phone": gettext_lazy("They have to give a telephone number"),
            "takes_faces": gettext_lazy("A visitor may add their own face for the visit"),
            "asks_health": gettext_lazy("Ask for temperature and symptoms"),
            "kept_days": gettext_lazy("Days that names, telephones and plates are kept"),
            "parcel_points": gettext_lazy("The way to the parcel room"),
        }
        help_texts = {
            "asks_health": gettext_lazy(
                "Only where an authority orders it. The answers are deleted with the visit."
            ),
            "takes_faces": gettext_lazy("It is deleted when the visit is over."),
        }
        widgets = {"parcel_points": forms.CheckboxSelectMultiple}

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        entries = AccessPoint.objects.filter(
            portal__community=community, direction=Direction.ENTRY.value, is_enabled=True
        ).order_by("name")
        able = [point.pk for point in entries if Method.QR.value in point.methods]
        points = self.fields["parcel_points"]
        points.queryset = entries.filter(pk__in=able)  # type: ignore[attr-defined]
        points.required = False

    def clean_kept_days(self) -> int:
        days: int = self.cleaned_data["kept_days"]
        if not 1 <= days <= 180:
            raise forms.ValidationError(_("Between 1 and 180 days."))
        return days
