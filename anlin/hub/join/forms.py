"""What is typed when somebody asks to be registered, and when the office answers."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from anlin.hub.people.forms import NAME_CHARS, HomeForm
from anlin.hub.people.models import Community, Document, Proof, ResidencyKind
from anlin.vision.enrol import MAX_BYTES


class JoinForm(HomeForm):
    """One person, one home. `posted` is drawn with the empty form and comes back with it."""

    field_order = (
        "name", "phone", "unit", "residency", "ends_on", "document", "number", "born_on",
        "wants_face", "photo", "guardian", "relation", "posted",
    )  # fmt: skip

    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={
            "required": _("Type the person's name."),
            "max_length": _("A name has 1 to 60 characters."),
        },
    )
    phone = forms.CharField(
        label=_("Telephone"),
        max_length=30,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
        help_text=_("You sign in with it later. Only the property office can read it."),
        error_messages={"required": _("Type a telephone number.")},
    )
    document = forms.ChoiceField(
        label=_("Document"),
        choices=[("", _("Show it at the office instead")), *Document.choices],
        required=False,
    )
    number = forms.CharField(
        label=_("Number on the document"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
        help_text=_("Kept closed, and deleted when the office does not register you."),
    )
    born_on = forms.DateField(
        label=_("Day of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": _("This is not a date. Write it as 2027-06-30.")},
    )
    wants_face = forms.BooleanField(label=_("I agree to be let in by my face"), required=False)
    photo = forms.FileField(
        label=_("Photograph of the face"),
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/*", "capture": "user"}),
        help_text=_("Only with the agreement above. You can also have it taken at the office."),
    )
    guardian = forms.CharField(
        label=_("Guardian, for a child under 14"), max_length=NAME_CHARS, required=False
    )
    relation = forms.CharField(label=_("Relation to the child"), max_length=20, required=False)
    posted = forms.CharField(max_length=40, widget=forms.HiddenInput)

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(community, *args, **kwargs)
        self.fields["unit"].widget = forms.TextInput(attrs={"autocomplete": "off"})

    def clean_photo(self) -> bytes:
        given = self.cleaned_data.get("photo")
        if given is None:
            return b""
        if given.size > MAX_BYTES:
            raise forms.ValidationError(_("The photograph is too large."))
        return bytes(given.read())

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given is None or self.errors:
            return given
        if given["photo"] and not given["wants_face"]:
            self.add_error(
                "wants_face",
                _("A photograph is only taken with this agreement. Tick it, or leave it out."),
            )
        return given

    @property
    def kind(self) -> ResidencyKind:
        return ResidencyKind(self.cleaned_data["residency"])


class ApproveForm(forms.Form):
    """What the office has seen before it registers somebody."""

    proof = forms.ChoiceField(
        label=_("What shows that they may live there"),
        choices=[choice for choice in Proof.choices if choice[0]],
        error_messages={"required": _("Say what shows that this person may live there.")},
    )
    proof_number = forms.CharField(
        label=_("Number of that document"), max_length=60, required=False
    )


class RefuseForm(forms.Form):
    """Why not; the sender reads it."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Say why: the person reads it.")},
    )
