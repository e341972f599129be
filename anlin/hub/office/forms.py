"""What the office is asked: a file, a purpose, a choice of people."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.hub.office.bulk import Action, Holds, Lease
from anlin.hub.office.exporting import REASON_CHARS, Format, Purpose
from anlin.hub.office.sheets import MAX_BYTES
from anlin.hub.people.models import HolderStatus, StaffProfile
from anlin.hub.permissions import buildings_in_scope

ACCEPTED = ".xlsx,.csv"
DAYS = [
    (1, gettext_lazy("1 day")),
    (3, gettext_lazy("3 days")),
    (7, gettext_lazy("7 days")),
    (30, gettext_lazy("30 days")),
]


class FileForm(forms.Form):
    """One list."""

    file = forms.FileField(
        label=gettext_lazy("List"),
        widget=forms.ClearableFileInput(attrs={"accept": ACCEPTED}),
        help_text=gettext_lazy(
            "Excel (.xlsx) or CSV. First it is only checked; nothing is written before your yes."
        ),
        error_messages={
            "required": gettext_lazy("Choose the file with the list."),
            "empty": gettext_lazy("This file is empty."),
            "max_length": gettext_lazy("The file's name is too long."),
        },
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise forms.ValidationError(
                _("The file has %(size)d MB; at most %(most)d MB are taken."),
                params={"size": file.size // 2**20, "most": MAX_BYTES // 2**20},
            )
        return file


class _InBuildings(forms.Form):
    building = forms.ChoiceField(label=gettext_lazy("Building"), required=False)

    def __init__(self, staff: StaffProfile, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = buildings_in_scope(staff).order_by("name").values_list("pk", "name")
        cast(forms.ChoiceField, self.fields["building"]).choices = [("", _("All")), *rows]


class ExportForm(_InBuildings):
    """What for, and what of."""

    purpose = forms.ChoiceField(
        label=gettext_lazy("What for"),
        choices=Purpose.choices,
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose what the list is for.")},
        help_text=gettext_lazy(
            "Telephones are readable only for calling residents, for an authority and for moving."
        ),
    )
    reason = forms.CharField(
        label=gettext_lazy("In words"),
        max_length=REASON_CHARS,
        min_length=2,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy(
            "Who asked, and for what; with the number of the letter where it is an authority."
        ),
        error_messages={
            "required": gettext_lazy("Say what for: it is written into the list and into the log.")
        },
    )
    format = forms.ChoiceField(
        label=gettext_lazy("As"),
        choices=Format.choices,
        initial=Format.XLSX,
        widget=forms.RadioSelect,
    )
    field_order = ("purpose", "reason", "building", "format")


class BulkForm(_InBuildings):
    """Whom, what, why."""

    action = forms.ChoiceField(
        label=gettext_lazy("What to do"),
        choices=Action.choices,
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose what to do.")},
    )
    lease = forms.ChoiceField(label=gettext_lazy("Lease"), choices=Lease.choices, required=False)
    holds = forms.ChoiceField(
        label=gettext_lazy("Opens with"), choices=Holds.choices, required=False
    )
    status = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[
            ("", gettext_lazy("Any")),
            (HolderStatus.ACTIVE.value, HolderStatus.ACTIVE.label),
            (HolderStatus.SUSPENDED.value, HolderStatus.SUSPENDED.label),
        ],
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Passes hold for"),
        choices=DAYS,
        coerce=int,
        initial=7,
        required=False,
    )
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=REASON_CHARS,
        min_length=2,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Say why: it is written into the log.")},
    )
    field_order = ("action", "building", "lease", "holds", "status", "days", "reason")
