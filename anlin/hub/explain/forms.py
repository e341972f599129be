"""What somebody asks who wants to know what would happen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import Method
from anlin.hub.access.models import AccessPoint, Credential, VisitorPass
from anlin.hub.console.templatetags.anlin import masked_key
from anlin.hub.console.words import CREDENTIAL_STATUS, METHOD
from anlin.hub.explain.services import Asked
from anlin.hub.people.models import Holder

_STRANGE = "none"
_MOST_PASSES = 10


class WhatIfForm(forms.Form):
    """With what, where, when."""

    means = forms.ChoiceField(
        label=gettext_lazy("Shows"),
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose what would be shown.")},
    )
    point = forms.ModelChoiceField(
        label=gettext_lazy("Where"),
        queryset=AccessPoint.objects.none(),
        empty_label=None,
        error_messages={"required": gettext_lazy("Choose an access point.")},
    )
    at = forms.DateTimeField(
        label=gettext_lazy("When"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=gettext_lazy("Empty: now."),
        error_messages={
            "invalid": gettext_lazy("This is not a time. Write it as 2027-06-30 18:00.")
        },
    )

    def __init__(self, holder: Holder, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._credentials = {one.pk: one for one in holder.credentials.order_by("created_at")}
        now = timezone.now()
        passes = holder.passes.filter(not_after__gt=now).select_related("holder")
        self._passes = {one.pk: one for one in passes.order_by("-issued_at")[:_MOST_PASSES]}
        points = AccessPoint.objects.filter(portal__community=holder.community_id)
        points = points.select_related("portal")
        self.fields["point"].queryset = points.order_by("name")  # type: ignore[attr-defined]
        self.fields["means"].choices = [  # type: ignore[attr-defined]
            *((one.pk, _named(one)) for one in self._credentials.values()),
            *((one.pk, _pass_named(one)) for one in self._passes.values()),
            (_STRANGE, _("A card that is not registered")),
        ]

    def clean_at(self) -> datetime:
        at: datetime | None = self.cleaned_data["at"]
        return (at or timezone.now()).astimezone(UTC)

    @property
    def asked(self) -> Asked:
        """Give what would be shown."""
        means = str(self.cleaned_data["means"])
        if means in self._credentials:
            credential = self._credentials[means]
            return Asked(Method(credential.method), credential)
        if means in self._passes:
            return Asked(Method.QR, leave=self._passes[means])
        return Asked(Method.CARD)


def _named(credential: Credential) -> str:
    parts = [str(METHOD[credential.method]), masked_key(credential)]
    if credential.status != "active":
        parts.append(str(CREDENTIAL_STATUS[credential.status]))
    return " · ".join(part for part in parts if part)


def _pass_named(leave: VisitorPass) -> str:
    until = timezone.localtime(leave.not_after).strftime("%m-%d %H:%M")
    return _("QR pass until %(time)s") % {"time": until}
