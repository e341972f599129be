"""What a police liaison types about whom or what is sought."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import Method, Status
from anlin.hub.access.models import Credential, Verdict, WatchEntry
from anlin.hub.access.watch import MAY_BE_TOLD, METHODS
from anlin.hub.console.words import METHOD
from anlin.hub.people.forms import end_of_day
from anlin.hub.people.models import Community

_PLAIN = forms.TextInput(attrs={"autocomplete": "off"})


class ProposeForm(forms.Form):
    """A proposal; nothing is looked for until a second person approves it."""

    label = forms.CharField(
        label=gettext_lazy("What it is about"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
        help_text=gettext_lazy("Such as “stolen car”. No more than the reader has to know."),
    )
    method = forms.ChoiceField(
        label=gettext_lazy("Look for"),
        choices=[(method.value, METHOD[method]) for method in METHODS],
        initial=Method.PLATE.value,
        widget=forms.RadioSelect,
    )
    key = forms.CharField(
        label=gettext_lazy("Plate or card number"), required=False, max_length=40, widget=_PLAIN
    )
    credential = forms.CharField(
        label=gettext_lazy("Or one of our own credentials"),
        required=False,
        max_length=24,
        widget=_PLAIN,
        help_text=gettext_lazy("Its id, such as cr_7k3mq2xwp9, from a passage in the log."),
    )
    source = forms.CharField(
        label=gettext_lazy("Who asks for it"),
        max_length=100,
        widget=_PLAIN,
        help_text=gettext_lazy("The authority and the number of its letter."),
        error_messages={
            "required": gettext_lazy("Say who asks for it, by which letter and which law.")
        },
    )
    legal_basis = forms.CharField(
        label=gettext_lazy("Legal basis"),
        max_length=200,
        widget=_PLAIN,
        error_messages={
            "required": gettext_lazy("Say who asks for it, by which letter and which law.")
        },
    )
    roles = forms.MultipleChoiceField(
        label=gettext_lazy("Who else may know"),
        required=False,
        choices=[(role.value, role.label) for role in MAY_BE_TOLD],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Property staff never see these entries."),
    )
    last_day = forms.DateField(
        label=gettext_lazy("Last day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Within a year; it ends by itself."),
        error_messages={
            "required": gettext_lazy("It needs an end: type its last day."),
            "invalid": gettext_lazy("This is not a date. Write it as 2027-06-30."),
        },
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.community = community

    def clean_last_day(self) -> date:
        day: date = self.cleaned_data["last_day"]
        today = timezone.localdate()
        if not today <= day <= today + WatchEntry.LONGEST:
            raise forms.ValidationError(_("The last day lies between today and a year from now."))
        return day

    def clean_credential(self) -> Credential | None:
        given = str(self.cleaned_data["credential"]).strip()
        if not given:
            return None
        found = (
            Credential.objects.filter(pk=given, community=self.community)
            .exclude(status=Status.REVOKED.value)
            .first()
        )
        if found is None:
            raise forms.ValidationError(_("There is no such credential in use."))
        return found

    @property
    def until(self) -> datetime:
        """Give the end of the last day, no later than the longest that an entry may last."""
        end = end_of_day(self.cleaned_data["last_day"])
        assert end is not None  # noqa: S101  the field is required
        return min(end, timezone.now() + WatchEntry.LONGEST)


class EndForm(forms.Form):
    """Why an entry ends."""

    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=200,
        widget=_PLAIN,
        error_messages={"required": gettext_lazy("Say in a few words why.")},
    )


class FeedbackForm(forms.Form):
    """What came of one hit."""

    verdict = forms.ChoiceField(
        label=gettext_lazy("What came of it"), choices=Verdict.choices, widget=forms.RadioSelect
    )
    note = forms.CharField(
        label=gettext_lazy("Note"), required=False, max_length=200, widget=_PLAIN
    )
