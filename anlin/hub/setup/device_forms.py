"""Forms made from `drivers`: fields and rows to settings and back, with secrets kept hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.hub.access.models import AccessPoint
from anlin.hub.people.models import Community
from anlin.hub.setup.drivers import DRIVERS, Ask, Rows, Shape
from anlin.hub.setup.forms import name_field

MAX_SETTINGS = 50_000
MAX_ROWS = 64
MAX_TEXT = 300
HIDDEN = "••••••"
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)
_SECRET_NAME = re.compile(r"password|passwd|secret|token|key$", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=//)([^/@\s:]*):([^/@\s]+)@")


def hidden(value: Any, name: str = "") -> Any:
    """Give settings with passwords and the like left out, to be shown."""
    if isinstance(value, Mapping):
        return {key: hidden(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item, name) for item in value]
    if not isinstance(value, str):
        return value
    if value and _SECRET_NAME.search(name) and name != "tls_key":
        return HIDDEN
    return _USER_INFO.sub(rf"\1:{HIDDEN}@", value)


def restored(value: Any, old: Any) -> Any:
    """Give settings with what `hidden` left out put back from the old ones."""
    if isinstance(value, Mapping):
        before = old if isinstance(old, Mapping) else {}
        return {key: restored(item, before.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        before_list = old if isinstance(old, list) else []
        return [
            restored(item, before_list[n] if n < len(before_list) else None)
            for n, item in enumerate(value)
        ]
    if not isinstance(value, str) or HIDDEN not in value or not isinstance(old, str):
        return value
    if value == HIDDEN:
        return old
    secret = _USER_INFO.search(old)
    return value.replace(HIDDEN, secret[2]) if secret else value


class Places:
    """What a device's wires may lead to, for the choices of a form."""

    def __init__(self, community: Community) -> None:
        points = AccessPoint.objects.filter(portal__community=community).order_by("name")
        self.points = [("", "—"), *points.values_list("pk", "name")]
        portals = community.portals.order_by("name")
        self.portals = [("", "—"), *portals.values_list("pk", "name")]

    def field(self, ask: Ask, *, required: bool | None = None) -> forms.Field:
        """Make the field that asks for a setting."""
        needed = ask.needed if required is None else required
        common: dict[str, Any] = {"label": ask.word, "help_text": ask.help, "required": needed}
        match ask.shape:
            case Shape.NUMBER:
                return forms.IntegerField(**common)
            case Shape.NUMBERS:
                return NumbersField(**common, max_length=MAX_TEXT, widget=_plain_input())
            case Shape.DECIMAL:
                return forms.FloatField(**common, widget=forms.NumberInput(attrs={"step": "any"}))
            case Shape.FLAG:
                return forms.BooleanField(**{**common, "required": False}, initial=ask.default)
            case Shape.CHOICE:
                blank = () if needed else (("", "—"),)
                return forms.ChoiceField(**common, choices=(*blank, *ask.choices))
            case Shape.PORTAL:
                return forms.ChoiceField(**common, choices=self.portals)
            case Shape.POINT:
                return forms.ChoiceField(**common, choices=self.points)
            case Shape.TEXT | Shape.SECRET:
                return forms.CharField(**common, max_length=MAX_TEXT, widget=_plain_input())


class NumbersField(forms.CharField):
    """Numbers typed one after the other; nothing typed is None, so that the setting stays out."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        parts = re.split(r"[\s,，、;；]+", str(super().to_python(value) or "").strip())
        wrong = next((part for part in parts if part and not _NUMBER.fullmatch(part)), None)
        if wrong is not None:
            raise forms.ValidationError(
                _("%(text)s is not a number. Write them as 0, 2."), params={"text": wrong[:20]}
            )
        return [int(part) for part in parts if part] or None

    def validate(self, value: Any) -> None:
        forms.Field.validate(self, value)

    def run_validators(self, value: Any) -> None:
        """Leave the bounds to the driver, whose numbers they are."""


def _plain_input() -> forms.TextInput:
    return forms.TextInput(attrs={"autocomplete": "off"})


class _Foldable(forms.Form):
    """A form some of whose fields are folded away."""

    advanced_names: frozenset[str] = frozenset()

    def usual(self) -> list[BoundField]:
        """Give the fields that stand open."""
        return [field for field in self if field.name not in self.advanced_names]

    def advanced(self) -> list[BoundField]:
        """Give those that few sites need."""
        return [field for field in self if field.name in self.advanced_names]

    def is_advanced_used(self) -> bool:
        """Say whether the fold stands open: something in it is set to what is unusual, or wrong."""
        return any(
            field.errors or (field.value() or "") != (field.field.initial or "")
            for field in self.advanced()
        )


class DeviceForm(_Foldable):
    """A device's name and edge, and the settings of its driver that are no rows."""

    name = name_field(gettext_lazy("Such as “East gate controller”."))

    def __init__(self, community: Community, driver: str, *args: Any, **kwargs: Any) -> None:
        settings: Mapping[str, Any] = kwargs.pop("settings", None) or {}
        places = Places(community)
        self.driver = driver
        self.asked = DRIVERS[driver].fields if driver in DRIVERS else ()
        shown = hidden(settings)
        initial = {ask.setting: shown[ask.setting] for ask in self.asked if ask.setting in shown}
        kwargs["initial"] = {**initial, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.fields["node"] = forms.ModelChoiceField(
            queryset=community.nodes.order_by("name"),
            label=_("Driven by the edge"),
            empty_label=None,
        )
        for ask in self.asked:
            self.fields[ask.setting] = places.field(ask)
        self.advanced_names = _advanced(self.asked)

    def settings(self) -> dict[str, Any]:
        """Give what was typed; what was left empty stays out, so that the driver's own holds."""
        return _given(self.asked, self.cleaned_data)


class JsonForm(forms.Form):
    """The same as one JSON object, for what no form asks for."""

    name = name_field(gettext_lazy("Such as “East gate controller”."))
    json = forms.CharField(
        label=gettext_lazy("Settings (JSON)"),
        max_length=MAX_SETTINGS,
        widget=forms.Textarea(attrs={"rows": 16, "class": "mono", "spellcheck": "false"}),
        help_text=gettext_lazy("Passwords are shown as dots; left as they are, they stay."),
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        settings: Mapping[str, Any] = kwargs.pop("settings", None) or {}
        text = json.dumps(hidden(settings), ensure_ascii=False, indent=2)
        kwargs["initial"] = {"json": text, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.fields["node"] = forms.ModelChoiceField(
            queryset=community.nodes.order_by("name"),
            label=_("Driven by the edge"),
            empty_label=None,
        )
        self.order_fields(["name", "node", "json"])

    def clean_json(self) -> dict[str, Any]:
        try:
            settings = json.loads(self.cleaned_data["json"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(
                _("This is not JSON: %(why)s"), params={"why": str(error)[:200]}
            ) from error
        if not isinstance(settings, dict):
            raise forms.ValidationError(_("This is not a JSON object: it begins with {."))
        return settings

    def settings(self) -> dict[str, Any]:
        """Give what was typed."""
        return dict(self.cleaned_data["json"])


def row_sets(
    community: Community, driver: str, data: Any, settings: Mapping[str, Any]
) -> list[tuple[Rows, Any]]:
    """Make a set of rows for each setting of a driver that maps names to values."""
    if driver not in DRIVERS:
        return []
    places = Places(community)
    return [
        (rows, _row_set(rows, places, data, settings.get(rows.setting)))
        for rows in DRIVERS[driver].rows
    ]


def rows_settings(sets: list[tuple[Rows, Any]], old: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings that rows make; a row without a name or a place is none.

    What a row's form does not ask for stays as it was under that name.
    """
    found: dict[str, Any] = {}
    for rows, made in sets:
        before = old.get(rows.setting)
        before = before if isinstance(before, Mapping) else {}
        values: dict[str, Any] = {}
        for form in made:
            given = form.cleaned_data
            key = str(given.get("key") if given.get("key") is not None else "").strip()
            if not key:
                continue
            if _is_plain(rows):
                values[key] = given["value"]
                continue
            asked = {ask.setting for ask in rows.columns}
            kept = before.get(key)
            kept = kept if isinstance(kept, Mapping) else {}
            rest = {name: item for name, item in kept.items() if name not in asked}
            values[key] = {**rest, **_given(rows.columns, given)}
        if values:
            found[rows.setting] = values
    return found


def _row_set(rows: Rows, places: Places, data: Any, value: Any) -> Any:
    plain = _is_plain(rows)
    fields: dict[str, Any] = {"key": places.field(rows.key, required=False)}
    for ask in rows.columns:
        fields["value" if plain else ask.setting] = places.field(ask, required=False)
    own = {"is_plain": plain, "advanced_names": _advanced(rows.columns)}
    form = type("RowForm", (_RowForm,), {**fields, **own})
    made: Any = forms.formset_factory(form, extra=2, max_num=MAX_ROWS)
    return made(data, prefix=rows.setting, initial=_rows_initial(rows, value))


class _RowForm(_Foldable):
    is_plain = False

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given is None or self.errors:
            return given
        key = given.get("key")
        filled = {name for name, value in given.items() if name != "key" and value}
        if key in (None, "") and filled & set(self.changed_data):
            self.add_error("key", _("Say which one."))
        if self.is_plain and key not in (None, "") and not given["value"]:
            self.add_error("value", _("Choose what it belongs to, or leave the row empty."))
        return given


def _rows_initial(rows: Rows, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, Mapping):
        return []
    if _is_plain(rows):
        return [{"key": key, "value": item} for key, item in value.items()]
    return [
        {"key": key, **(hidden(item) if isinstance(item, Mapping) else {})}
        for key, item in value.items()
    ]


def _advanced(asked: tuple[Ask, ...]) -> frozenset[str]:
    return frozenset(ask.setting for ask in asked if ask.is_advanced)


def _is_plain(rows: Rows) -> bool:
    return len(rows.columns) == 1 and not rows.columns[0].setting


def _given(asked: tuple[Ask, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for ask in asked:
        value = given.get(ask.setting)
        if ask.shape is Shape.FLAG:
            if bool(value) is not ask.default:
                found[ask.setting] = bool(value)
        elif value not in (None, ""):
            found[ask.setting] = value
    return found
