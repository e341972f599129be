"""What is typed about privacy; every field capped, every fault one clear sentence."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from anlin.hub.people.models import Community, Purpose
from anlin.hub.privacy.assessment import REMARK_CHARS
from anlin.hub.privacy.ledger import SECTION_CHARS, notice_in_force
from anlin.hub.privacy.models import AreaType, Ask, Notice, Settings
from anlin.hub.privacy.requests import TEXT_CHARS
from anlin.hub.privacy.retention import DAY_H, RULES, limit_h, span

SECTION_WORDS = {
    "purpose": _("What it is for"),
    "contact": _("Who answers for it, and how to reach them"),
    "method": _("How it is done"),
    "retention": _("How long it is kept"),
    "necessity": _("Why it is needed, and what there is instead"),
    "effect": _("What it means for the person"),
    "rights": _("How to use one's rights"),
}


class NoticeForm(forms.Form):
    """A new version of the notice, in both languages."""

    version = forms.CharField(
        label=_("Version"),
        max_length=20,
        help_text=_("Such as 2027-01; people agree to it by this."),
    )
    needs_new_consent = forms.BooleanField(
        label=_("Everybody who agreed before is to be asked again"),
        required=False,
        help_text=_("Tick it where purpose, method or time change; not for a slip of the pen."),
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = notice_in_force(community)
        for language, text, word in (("zh", now.text_zh, "中文"), ("en", now.text_en, "English")):
            for name in Notice.SECTIONS:
                self.fields[f"{language}_{name}"] = forms.CharField(
                    label=f"{SECTION_WORDS[name]} · {word}",
                    max_length=SECTION_CHARS,
                    initial=text.get(name, ""),
                    widget=forms.Textarea(attrs={"rows": 3, "lang": language}),
                )

    def text(self, language: str) -> dict[str, str]:
        return {name: self.cleaned_data[f"{language}_{name}"] for name in Notice.SECTIONS}


class GiveForm(forms.Form):
    """A consent, as it was given at the desk."""

    purpose = forms.ChoiceField(label=_("What for"), choices=Purpose.choices)
    given_by = forms.CharField(
        label=_("Given by, where it is not the person"), max_length=60, required=False
    )


class AskForm(forms.Form):
    """A request that was made at the desk or by letter."""

    kind = forms.ChoiceField(label=_("What is asked"), choices=Ask.choices)
    text = forms.CharField(
        label=_("In the person's words"),
        max_length=TEXT_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class AnswerForm(forms.Form):
    """The answer to a request."""

    answer = forms.CharField(
        label=_("What the person reads"),
        max_length=TEXT_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class RetentionForm(forms.Form):
    """How long each kind of data is kept."""

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for rule in RULES.values():
            if rule.most_h <= 1:
                continue
            unit = 1 if rule.in_hours else DAY_H
            word = _("hours") if rule.in_hours else _("days")
            self.fields[rule.kind] = forms.IntegerField(
                label=f"{rule.word} ({word})",
                min_value=1,
                max_value=rule.most_h // unit,
                initial=limit_h(community, rule) // unit,
                help_text=f"{rule.basis} ≤ {span(rule.most_h)}",
                widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
            )

    def hours(self) -> dict[str, int]:
        return {
            kind: value * (1 if RULES[kind].in_hours else DAY_H)
            for kind, value in self.cleaned_data.items()
        }


class FilingForm(forms.Form):
    """Who answers for the data, and what was filed with the authority."""

    processor = forms.CharField(label=_("Who answers for the data"), max_length=100, required=False)
    contact = forms.CharField(label=_("How to reach them"), max_length=200, required=False)
    credit_code = forms.CharField(
        label=_("Unified social credit code"), max_length=18, required=False
    )
    answer_days = forms.IntegerField(
        label=_("Working days to answer a request in"),
        min_value=1,
        max_value=Settings.MOST_ANSWER_DAYS,
    )
    filed_on = forms.DateField(
        label=_("Faces filed on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    filing_number = forms.CharField(label=_("Number of the filing"), max_length=60, required=False)
    filing_note = forms.CharField(
        label=_("Note"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )


def _day(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class SiteForm(forms.Form):
    """Where a camera looks, its sign and its filing."""

    area = forms.ChoiceField(label=_("Where it looks"), choices=AreaType.choices)
    necessity = forms.CharField(
        label=_("Why public security needs it there"), max_length=200, required=False
    )
    sign_place = forms.CharField(label=_("Where the sign hangs"), max_length=100, required=False)
    sign_seen_on = _day(_("Sign last seen on"))
    in_use_since = _day(_("In use since"))
    filed_on = _day(_("Filed with the police on"))
    filing_number = forms.CharField(label=_("Number of the filing"), max_length=60, required=False)


class AssessmentForm(forms.Form):
    """What people add to an assessment."""

    remarks = forms.CharField(
        label=_("Remarks: risks that no setting shows, and what is done about them"),
        max_length=REMARK_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
    )
