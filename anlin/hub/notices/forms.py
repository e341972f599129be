"""What is typed when a notice is written or withdrawn, and how a resident wants to be reached."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from anlin.hub.errors import RuleError
from anlin.hub.notices import board
from anlin.hub.notices.models import Audience, BySms, Notice
from anlin.hub.people.models import StaffProfile
from anlin.hub.permissions import buildings_in_scope
from anlin.notify.mail.config import ADDRESS

_MOMENT = "%Y-%m-%dT%H:%M"
_WHEN_FAULT = {"invalid": _("Write day and time as 2027-06-30 18:00.")}


class NoticeForm(forms.Form):
    """A notice. `sent` is drawn with the empty form and comes back with it."""

    title = forms.CharField(
        label=_("Title"),
        max_length=board.TITLE_CHARS,
        error_messages={
            "required": _("Type a title."),
            "max_length": _("A title has at most 60 characters."),
        },
    )
    text = forms.CharField(
        label=_("Text"),
        max_length=board.TEXT_CHARS,
        widget=forms.Textarea(attrs={"rows": 8}),
        error_messages={
            "required": _("Type the text."),
            "max_length": _("A text has at most 2000 characters."),
        },
    )
    audience = forms.ChoiceField(
        label=_("To whom"), choices=Audience.choices, widget=forms.RadioSelect, initial="all"
    )
    buildings = forms.MultipleChoiceField(
        label=_("Buildings"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": _("This is none of your buildings.")},
    )
    homes = forms.CharField(
        label=_("Homes by number"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Numbers, separated by commas: 1-101, 1-102"),
    )
    owners_only = forms.BooleanField(label=_("Only to owners"), required=False)
    is_urgent = forms.BooleanField(
        label=_("Urgent: wakes sleeping phones, and goes by text message where no phone shows it"),
        required=False,
    )
    publish_at = forms.DateTimeField(
        label=_("Publish at"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_MOMENT),
        help_text=_("Empty: at once."),
        error_messages=_WHEN_FAULT,
    )
    expires_at = forms.DateTimeField(
        label=_("Holds until"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_MOMENT),
        help_text=_("Then it disappears from the phones."),
        error_messages=_WHEN_FAULT,
    )
    sent = forms.CharField(max_length=32, widget=forms.HiddenInput)

    def __init__(self, staff: StaffProfile, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.staff = staff
        self._buildings = {one.pk: one for one in buildings_in_scope(staff).order_by("name")}
        field = self.fields["buildings"]
        field.choices = [(pk, one.name) for pk, one in self._buildings.items()]  # type: ignore[attr-defined]

    def clean_homes(self) -> list[Any]:
        try:
            return board.find_homes(self.staff, self.cleaned_data["homes"])
        except RuleError as error:
            raise forms.ValidationError(str(error)) from error

    @property
    def draft(self) -> board.Draft:
        """Give what was typed; of the audience only what belongs to the one that was chosen."""
        given = self.cleaned_data
        audience = Audience(given["audience"])
        is_buildings, is_homes = audience is Audience.BUILDINGS, audience is Audience.HOMES
        return board.Draft(
            title=given["title"],
            text=given["text"].replace("\r\n", "\n"),
            audience=audience,
            buildings=[self._buildings[pk] for pk in given["buildings"]] if is_buildings else [],
            units=given["homes"] if is_homes else [],
            owners_only=given["owners_only"],
            is_urgent=given["is_urgent"],
            publish_at=given["publish_at"],
            expires_at=given["expires_at"],
        )

    @staticmethod
    def of(notice: Notice) -> dict[str, Any]:
        """Give what to fill the form with in order to change a draft."""
        return {
            "title": notice.title,
            "text": notice.text,
            "audience": notice.audience,
            "buildings": [one.pk for one in notice.buildings.all()],
            "homes": ", ".join(
                f"{one.building.name} {one.code}" for one in notice.units.select_related("building")
            ),
            "owners_only": notice.owners_only,
            "is_urgent": notice.is_urgent,
            "publish_at": notice.publish_at,
            "expires_at": notice.expires_at,
            "sent": notice.sent_id,
        }


class WithdrawForm(forms.Form):
    why = forms.CharField(
        label=_("Why"),
        max_length=200,
        required=False,
        help_text=_("Residents read it beside the title; the text disappears."),
    )


class WishesForm(forms.Form):
    """How a resident wants to be reached where no phone shows a message."""

    by_sms = forms.ChoiceField(
        label=_("Text messages"),
        choices=BySms.choices,
        widget=forms.RadioSelect,
        help_text=_("When none of your devices shows a message in time."),
    )
    mail = forms.CharField(
        label=_("Mail address"),
        max_length=200,
        required=False,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=_("The last way. A mail asks first whether the address is yours."),
    )

    def clean_mail(self) -> str:
        mail: str = self.cleaned_data["mail"].strip()
        if mail and not ADDRESS.fullmatch(mail):
            raise forms.ValidationError(_("This is not a mail address."))
        return mail
