"""What a person types about doors and visitors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import Direction, Method
from anlin.core.sync import CommandKind
from anlin.hub.access.models import AccessPoint, Area, Portal
from anlin.hub.access.passes import MAX_POINTS
from anlin.hub.console.words import COMMAND
from anlin.hub.people.models import Community, Unit

REASON_CHARS = 120
OTHER = "other"

OPEN_REASONS = (
    ("resident", gettext_lazy("Resident without a card")),
    ("visitor", gettext_lazy("Visitor, announced by telephone")),
    ("delivery", gettext_lazy("Delivery or tradespeople")),
    ("emergency", gettext_lazy("Ambulance, fire brigade or police")),
    ("fault", gettext_lazy("The gate does not work as it should")),
    (OTHER, gettext_lazy("Another reason")),
)

HOLD_MINUTES = (5, 15, 60, 240)
EVERYWHERE = "all"
SINGLE = "single"
_LASTING = frozenset({CommandKind.HOLD_UNLOCKED, CommandKind.HOLD_LOCKED, CommandKind.MAINTENANCE})


class _Reasoned(forms.Form):
    """Why a person does it; one of the usual reasons or their own words."""

    why = forms.ChoiceField(
        label=gettext_lazy("Why"),
        choices=OPEN_REASONS,
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Say why: one of these, or your own words.")},
    )
    words = forms.CharField(
        label=gettext_lazy("In your own words"),
        required=False,
        max_length=REASON_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given is None or self.errors:
            return given
        if given["why"] == OTHER and not given["words"].strip():
            self.add_error("words", _("Say in a few words why."))
        return given

    @property
    def reason(self) -> str:
        """Give the reason as it is written down."""
        words = str(self.cleaned_data["words"]).strip()
        chosen = self.cleaned_data["why"]
        text = "" if chosen == OTHER else str(dict(OPEN_REASONS)[chosen])
        return " · ".join(part for part in (text, words) if part)


class CommandForm(_Reasoned):
    """One order to one portal."""

    field_order = ("kind", "minutes", "why", "words")

    kind = forms.ChoiceField(label=gettext_lazy("What"), widget=forms.RadioSelect)
    minutes = forms.TypedChoiceField(
        label=gettext_lazy("For how long"),
        coerce=int,
        required=False,
        initial=HOLD_MINUTES[0],
    )

    def __init__(self, kinds: tuple[CommandKind, ...], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(kind.value, COMMAND[kind]) for kind in kinds]  # type: ignore[attr-defined]
        self.fields["minutes"].choices = [  # type: ignore[attr-defined]
            (minutes, _("%(n)d minutes") % {"n": minutes}) for minutes in HOLD_MINUTES
        ]
        if not _LASTING & set(kinds):
            del self.fields["minutes"]

    def clean_minutes(self) -> int:
        return int(self.cleaned_data["minutes"] or HOLD_MINUTES[0])


class LockdownForm(forms.Form):
    """Many portals at once."""

    where = forms.ChoiceField(
        label=gettext_lazy("Where"), initial=EVERYWHERE, widget=forms.RadioSelect
    )
    portals = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Which gates and doors"),
        required=False,
        queryset=Portal.objects.none(),
        widget=forms.CheckboxSelectMultiple,
    )
    action = forms.ChoiceField(
        label=gettext_lazy("What"),
        choices=[
            ("start", gettext_lazy("Lock down: nobody gets in, the way out stays free")),
            ("end", gettext_lazy("End the lockdown")),
        ],
        initial="start",
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=REASON_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Say in a few words why.")},
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["portals"]
        field.queryset = Portal.objects.filter(community=community).order_by("name")  # type: ignore[attr-defined]
        areas = Area.objects.filter(community=community).order_by("name")
        self.fields["where"].choices = [  # type: ignore[attr-defined]
            (EVERYWHERE, _("The whole community")),
            *((area.pk, _("Area %(name)s") % {"name": area.name}) for area in areas),
            (SINGLE, _("Only the gates and doors chosen below")),
        ]

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given and given.get("where") == SINGLE and not given.get("portals"):
            self.add_error("portals", _("Choose at least one gate or door."))
        return given


LASTS = (
    ("2h", gettext_lazy("2 hours")),
    ("today", gettext_lazy("Until midnight")),
    ("1d", gettext_lazy("24 hours")),
    ("7d", gettext_lazy("7 days")),
)
_SPANS = {"2h": timedelta(hours=2), "1d": timedelta(days=1), "7d": timedelta(days=7)}

_FARTHEST = timedelta(days=90)


class PassForm(forms.Form):
    """A visitor's QR pass."""

    name = forms.CharField(
        label=gettext_lazy("Visitor's name"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
        error_messages={"required": gettext_lazy("Type the visitor's name.")},
    )
    host = forms.CharField(
        label=gettext_lazy("Comes to the home"),
        required=False,
        max_length=30,
        widget=forms.TextInput(attrs={"list": "units", "autocomplete": "off"}),
        help_text=gettext_lazy("Such as 1-101: only the way there opens. Empty: no such limit."),
    )
    begins = forms.DateTimeField(
        label=gettext_lazy("From"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=gettext_lazy("Empty: from now on."),
        error_messages={
            "invalid": gettext_lazy("This is not a time. Write it as 2027-06-30 18:00.")
        },
    )
    lasts = forms.ChoiceField(
        label=gettext_lazy("For"), choices=LASTS, initial="2h", widget=forms.RadioSelect
    )
    uses = forms.TypedChoiceField(
        label=gettext_lazy("Opens"),
        coerce=int,
        initial=1,
        choices=[
            (1, gettext_lazy("once")),
            (2, gettext_lazy("twice")),
            (10, gettext_lazy("ten times")),
            (0, gettext_lazy("without limit")),
        ],
        widget=forms.RadioSelect,
    )
    points = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Where"),
        required=False,
        queryset=AccessPoint.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: wherever the access rules let visitors in."),
    )

    def __init__(self, community: Community, has_holder: bool, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if has_holder:
            del self.fields["name"]
            del self.fields["host"]
        self.community = community
        entries = AccessPoint.objects.filter(
            portal__community=community, direction=Direction.ENTRY.value, is_enabled=True
        ).order_by("name")
        able = [point.pk for point in entries if Method.QR in point.methods]
        self.fields["points"].queryset = entries.filter(pk__in=able)  # type: ignore[attr-defined]

    def clean_host(self) -> Unit | None:
        code = str(self.cleaned_data["host"]).strip()
        if not code:
            return None
        found = list(Unit.objects.filter(building__community=self.community, code__iexact=code)[:2])
        if len(found) != 1:
            text = (
                _("Several buildings have a home %(code)s; ask the installer to rename one.")
                if found
                else _("There is no home %(code)s in this community.")
            )
            raise forms.ValidationError(text, params={"code": code})
        return found[0]

    def clean_points(self) -> Any:
        points = self.cleaned_data["points"]
        if len(points) > MAX_POINTS:
            raise forms.ValidationError(
                _("At most %(most)d places fit into one QR code; choose fewer, or none for all."),
                params={"most": MAX_POINTS},
            )
        return points

    def clean_begins(self) -> datetime:
        begins: datetime | None = self.cleaned_data["begins"]
        now = timezone.now()
        if begins is None:
            return now
        if begins > now + _FARTHEST:
            raise forms.ValidationError(
                _("A pass begins within %(days)d days."), params={"days": _FARTHEST.days}
            )
        return begins.astimezone(UTC)

    @property
    def window(self) -> tuple[datetime, datetime]:
        """Give the pass's first moment and its end."""
        begins: datetime = self.cleaned_data["begins"]
        lasts = self.cleaned_data["lasts"]
        if lasts in _SPANS:
            return begins, begins + _SPANS[lasts]
        tomorrow = timezone.localtime(begins).date() + timedelta(days=1)
        midnight = timezone.make_aware(datetime.combine(tomorrow, datetime.min.time()))
        return begins, midnight.astimezone(UTC)
