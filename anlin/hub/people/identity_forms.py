"""What a person types about who somebody is, and about whom to look after."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy

from anlin.hub.people.attention import LONGEST
from anlin.hub.people.models import AttentionGroup, Category, Document, Identity
from anlin.hub.people.readers import MAX_LINE_CHARS

_PLAIN = {"autocomplete": "off"}
_DATE_FAULTS = {"invalid": gettext_lazy("This is not a date. Write it as 2027-06-30.")}

PURPOSES = (
    ("police", gettext_lazy("The police asked, with a letter")),
    ("register", gettext_lazy("Report to the population register")),
    ("check", gettext_lazy("Compare it with the document")),
    ("other", gettext_lazy("Another purpose")),
)
"""What a full number is usually needed for."""


class IdentityForm(forms.Form):
    """One document and what stands on it."""

    document = forms.ChoiceField(
        label=gettext_lazy("Document"),
        choices=Document.choices,
        initial=Document.ID_CARD,
        widget=forms.RadioSelect,
    )
    number = forms.CharField(
        label=gettext_lazy("Number"),
        max_length=40,
        widget=forms.TextInput(attrs=_PLAIN | {"class": "mono", "spellcheck": "false"}),
        help_text=gettext_lazy("Kept closed, and shown with its middle covered."),
        error_messages={
            "required": gettext_lazy("Type the number on the document."),
            "max_length": gettext_lazy("No document has so long a number."),
        },
    )
    born_on = forms.DateField(
        label=gettext_lazy("Date of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("An identity card's number tells it; type it for other documents."),
        error_messages=_DATE_FAULTS,
    )
    category = forms.ChoiceField(
        label=gettext_lazy("In the population register"),
        choices=[("", gettext_lazy("not known")), *Category.choices],
        required=False,
    )

    @staticmethod
    def first(identity: Identity | None) -> dict[str, Any]:
        """Give what the form begins with; the number is never filled in."""
        if identity is None:
            return {}
        return {
            "document": identity.document,
            "born_on": identity.born_on,
            "category": identity.category,
        }


class ReaderForm(forms.Form):
    """What a document reader types."""

    line = forms.CharField(
        label=gettext_lazy("Lay the document on the reader"),
        max_length=MAX_LINE_CHARS,
        widget=forms.Textarea(attrs=_PLAIN | {"rows": 2, "class": "mono", "spellcheck": "false"}),
        help_text=gettext_lazy("Put the cursor here first; the reader types by itself."),
        error_messages={
            "required": gettext_lazy("Nothing was read. Lay the document on the reader."),
            "max_length": gettext_lazy("This is no reader's text."),
        },
    )


class OutsideForm(forms.Form):
    """That the person agreed to one question to an outside service."""

    agreed = forms.BooleanField(
        label=gettext_lazy("The person agreed that name and number go to this service"),
        error_messages={
            "required": gettext_lazy("Without the person's agreement nothing goes outside.")
        },
    )


class PurposeForm(forms.Form):
    """What a full number is needed for."""

    purpose = forms.ChoiceField(
        label=gettext_lazy("What is the full number needed for?"),
        choices=PURPOSES,
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Say what the number is needed for.")},
    )
    words = forms.CharField(
        label=gettext_lazy("In your own words"),
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs=_PLAIN),
        help_text=gettext_lazy("Such as the number of the letter."),
    )

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given and given.get("purpose") == "other" and not given.get("words", "").strip():
            self.add_error("words", gettext_lazy("Say in a few words what for."))
        return given

    @property
    def said(self) -> str:
        """Give the purpose as it stands in the view log."""
        words = str(self.cleaned_data["words"]).strip()
        return " · ".join(part for part in (str(self.cleaned_data["purpose"]), words) if part)


class AttentionForm(forms.Form):
    """That somebody looks after a person, and on what basis."""

    group = forms.ChoiceField(
        label=gettext_lazy("Group"), choices=AttentionGroup.choices, widget=forms.RadioSelect
    )
    legal_basis = forms.CharField(
        label=gettext_lazy("Legal basis"),
        max_length=200,
        widget=forms.TextInput(attrs=_PLAIN),
        help_text=gettext_lazy("The law with its article, or the person's own written consent."),
        error_messages={
            "required": gettext_lazy(
                "Name the law or the consent that it rests on; without one it may not be recorded."
            )
        },
    )
    source = forms.CharField(
        label=gettext_lazy("Who asked for it"),
        max_length=100,
        widget=forms.TextInput(attrs=_PLAIN),
        help_text=gettext_lazy("The person, the family, or an authority with its letter."),
        error_messages={"required": gettext_lazy("Say who asked for it.")},
    )
    valid_until = forms.DateField(
        label=gettext_lazy("Until"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("At most a year; then it ends by itself."),
        error_messages=_DATE_FAULTS | {"required": gettext_lazy("Say until which day.")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["valid_until"].widget.attrs["max"] = (
            timezone.localdate() + LONGEST
        ).isoformat()
