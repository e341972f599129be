"""What a person types where many doors are asked for at once."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from anlin.hub.access.models import Area, Portal
from anlin.hub.people.models import Community

EVERYWHERE = "all"
_REASON_CHARS = 120


class RestoreForm(forms.Form):
    """Which doors go back to normal after a fire, and why that is safe."""

    reason = forms.CharField(
        label=gettext_lazy("Who has looked there, and found what"),
        max_length=_REASON_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Say in a few words why.")},
    )
    target = forms.CharField(max_length=40, widget=forms.HiddenInput)

    def __init__(self, community: Community, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.community = community
        self.portal: Portal | None = None
        self.area: Area | None = None

    def clean_target(self) -> str:
        target = str(self.cleaned_data["target"])
        kind, _colon, id_ = target.partition(":")
        if kind == "portal":
            portals = Portal.objects.select_related("node", "community")
            self.portal = portals.filter(pk=id_, community=self.community).first()
        elif kind == "area":
            self.area = Area.objects.filter(pk=id_, community=self.community).first()
        if target != EVERYWHERE and self.portal is None and self.area is None:
            raise forms.ValidationError(gettext_lazy("Choose a gate, an area, or all."))
        return target
