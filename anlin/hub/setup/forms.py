"""What an installer types: each field with its unit and its bounds, each fault beside its field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.db.models import Model, QuerySet
from django.forms import BoundField
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anlin.core.entities import (
    PORTAL_TIMERS,
    AntiPassback,
    Direction,
    ExitButton,
    Method,
    OnPowerLoss,
    Outsiders,
    PortalKind,
)
from anlin.hub.access.faults import NAME_CHARS, PORTAL_FIELDS
from anlin.hub.access.models import AccessPoint, AccessRule, Area, HolidayTable, Portal, Schedule
from anlin.hub.access.parking import MAX_CARS
from anlin.hub.access.setup import MAX_CAPACITY, MAX_LEVEL, MAX_PERSONS, group_names
from anlin.hub.console.words import DIRECTION, METHOD, PORTAL_KIND
from anlin.hub.devices.models import Node
from anlin.hub.people.models import Building, Community
from anlin.hub.setup import week
from anlin.hub.setup.kinds import Kind, methods_for

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_M = TypeVar("_M", bound=Model)
_Times = TypeVar("_Times")
Section = tuple[Promise, tuple[str, ...]]


class SetupForm(forms.Form):
    """A form whose fields stand in named groups."""

    SECTIONS: tuple[Section, ...] = ()

    def sections(self) -> Iterator[tuple[Promise | str, list[BoundField]]]:
        """Give each group with its fields; what is in none comes first, without a heading."""
        grouped = {name for _title, names in self.SECTIONS for name in names}
        rest = [self[name] for name in self.fields if name not in grouped]
        if rest:
            yield "", rest
        for title, names in self.SECTIONS:
            yield title, [self[name] for name in names if name in self.fields]


def name_field(example: _StrPromise) -> forms.CharField:
    """Make the field for a name."""
    return forms.CharField(
        label=gettext_lazy("Name of it"),
        max_length=NAME_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=example,
        error_messages={"required": gettext_lazy("Give it a name by which people know it.")},
    )


def _seconds(name: str, *, required: bool = True, help_text: _StrPromise | str = "") -> forms.Field:
    low, high = PORTAL_TIMERS[name]
    return forms.FloatField(
        label=PORTAL_FIELDS[name],
        required=required,
        help_text=help_text or f"{low:g} – {high:g}",
        widget=forms.NumberInput(attrs={"step": "any", "min": low, "max": high}),
        error_messages={"invalid": gettext_lazy("Type a number of seconds.")},
    )


def _chosen(queryset: QuerySet[_M], label: _StrPromise, none: _StrPromise, **more: Any) -> Any:
    return forms.ModelChoiceField(
        queryset=queryset, label=label, empty_label=none, required=False, **more
    )


class PortalForm(SetupForm):
    """A thing that opens."""

    SECTIONS = (
        (gettext_lazy("What it is"), ("name", "kind", "node", "building")),
        (
            gettext_lazy("How long"),
            ("grant_s", "entry_s", "held_open_s", "prealarm_s", "relock_on_open_s", "debounce_s"),
        ),
        (
            gettext_lazy("For people who need time"),
            ("extended_grant_s", "extended_held_open_s"),
        ),
        (
            gettext_lazy("Way out and power"),
            (
                "is_escape_route",
                "on_power_loss",
                "has_mechanical_exit",
                "exit_button",
                "exit_ignore_s",
            ),
        ),
        (gettext_lazy("Rules"), ("schedule", "needs_first_person", "interlock")),
    )

    name = name_field(gettext_lazy("Such as “East gate”; guards read it at night."))
    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[(kind.value, PORTAL_KIND[kind]) for kind in PortalKind],
        widget=forms.RadioSelect,
    )
    node = forms.ModelChoiceField(
        label=gettext_lazy("Driven by the edge"),
        queryset=Node.objects.none(),
        empty_label=None,
        error_messages={"required": gettext_lazy("Choose the edge that is wired to it.")},
    )
    building = _chosen(
        Building.objects.none(),
        gettext_lazy("Leads into the building"),
        gettext_lazy("none: it is the whole community's"),
        help_text=gettext_lazy("Visitors find only their host's building open."),
    )
    grant_s = _seconds("grant_s")
    entry_s = _seconds(
        "entry_s",
        help_text=gettext_lazy("For doors that are pushed a moment late; 0 counts none."),
    )
    held_open_s = _seconds("held_open_s")
    prealarm_s = _seconds("prealarm_s", help_text=gettext_lazy("A beep before it is an alarm."))
    debounce_s = _seconds("debounce_s")
    relock_on_open_s = _seconds(
        "relock_on_open_s",
        required=False,
        help_text=gettext_lazy("Empty: it locks when it closes, never into an open leaf."),
    )
    extended_grant_s = _seconds("extended_grant_s")
    extended_held_open_s = _seconds("extended_held_open_s")
    is_escape_route = forms.BooleanField(
        label=gettext_lazy("It is on an escape route"), required=False
    )
    on_power_loss = forms.ChoiceField(
        label=gettext_lazy("Without power the lock"),
        choices=[
            (OnPowerLoss.FAIL_SAFE.value, gettext_lazy("opens (magnet)")),
            (OnPowerLoss.FAIL_SECURE.value, gettext_lazy("stays shut (bolt)")),
        ],
        widget=forms.RadioSelect,
        help_text=gettext_lazy("What the lock is, not what is wished for. Try it: pull the plug."),
    )
    has_mechanical_exit = forms.BooleanField(
        label=gettext_lazy("A handle opens it from inside without power"), required=False
    )
    exit_button = forms.ChoiceField(
        label=gettext_lazy("The exit button"),
        choices=[
            (ExitButton.RELEASE.value, gettext_lazy("unlocks")),
            (
                ExitButton.SHUNT.value,
                gettext_lazy("only says that the opening is lawful; the handle unlocks"),
            ),
        ],
        widget=forms.RadioSelect,
    )
    exit_ignore_s = _seconds("exit_ignore_s")
    schedule = _chosen(
        Schedule.objects.none(),
        gettext_lazy("Stands unlocked during"),
        gettext_lazy("never"),
    )
    needs_first_person = forms.BooleanField(
        label=gettext_lazy("Only after a first person has come in by right"),
        required=False,
        help_text=gettext_lazy("So that a shop does not open by itself on a snow day."),
    )
    interlock = forms.CharField(
        label=gettext_lazy("Airlock"),
        required=False,
        max_length=24,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy(
            "Of the doors with one name here only one is open at a time. Empty: free."
        ),
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self, "node", community.nodes.order_by("name"))
        _offer(self, "building", community.buildings.order_by("name"))
        _offer(self, "schedule", community.schedules.order_by("name"))

    @property
    def settings(self) -> dict[str, Any]:
        """Give what the services take."""
        given = dict(self.cleaned_data)
        given["kind"] = PortalKind(given["kind"])
        given["on_power_loss"] = OnPowerLoss(given["on_power_loss"])
        given["exit_button"] = ExitButton(given["exit_button"])
        given["interlock"] = given["interlock"].strip()
        return given


PORTAL_NAMES = tuple(PortalForm.base_fields)


def portal_initial(portal: Portal) -> dict[str, Any]:
    """Give a portal as its form shows it."""
    return {name: getattr(portal, name) for name in PORTAL_NAMES}


def kind_initial(kind: Kind, community: Community) -> dict[str, Any]:
    """Give a new portal of a kind as its form shows it."""
    fields = {field.name: field for field in Portal._meta.concrete_fields}
    plain = {
        name: fields[name].get_default()
        for name in PORTAL_NAMES
        if name not in ("node", "building", "schedule", "name")
    }
    return {**plain, **kind.settings, "node": community.nodes.order_by("name").first()}


_LEVEL_HELP = gettext_lazy(
    "1: one ordinary means. 2: one that is hard to forge (secure card, QR, face terminal), or two. "
    "3 and 4: two means, such as a secure card and a PIN."
)


class PointForm(SetupForm):
    """A portal in one direction."""

    SECTIONS = (
        (gettext_lazy("What it is"), ("name", "direction", "is_enabled")),
        (gettext_lazy("What it accepts"), ("methods", "level", "persons")),
        (gettext_lazy("More at certain times"), ("raised_schedule", "raised_level")),
        (gettext_lazy("Areas"), ("area_from", "area_to")),
    )

    name = name_field(gettext_lazy("Such as “East gate in”."))
    direction = forms.ChoiceField(
        label=gettext_lazy("Leads"),
        choices=[(direction.value, DIRECTION[direction]) for direction in Direction],
        widget=forms.RadioSelect,
        help_text=gettext_lazy("A way out asks nobody for anything: it always opens."),
    )
    is_enabled = forms.BooleanField(label=gettext_lazy("In use"), required=False)
    methods = forms.MultipleChoiceField(
        label=gettext_lazy("Means"),
        choices=[(method.value, METHOD[method]) for method in Method],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=gettext_lazy(
            "A way in accepts two at least, one of them neither face nor phone: nobody is made "
            "to show the face, and old people come without a phone."
        ),
    )
    level = forms.TypedChoiceField(
        label=gettext_lazy("How sure it must be"),
        coerce=int,
        choices=[(level, str(level)) for level in range(1, MAX_LEVEL + 1)],
        help_text=_LEVEL_HELP,
    )
    persons = forms.IntegerField(
        label=gettext_lazy("How many different people must show themselves"),
        min_value=1,
        max_value=MAX_PERSONS,
        help_text=gettext_lazy("2 for a machine room: nobody enters it alone."),
    )
    raised_schedule = _chosen(
        Schedule.objects.none(), gettext_lazy("During"), gettext_lazy("at no time")
    )
    raised_level = forms.TypedChoiceField(
        label=gettext_lazy("it must be as sure as"),
        coerce=int,
        required=False,
        empty_value="2",
        choices=[(level, str(level)) for level in range(2, MAX_LEVEL + 1)],
    )
    area_from = _chosen(
        Area.objects.none(), gettext_lazy("Leads out of"), gettext_lazy("not counted")
    )
    area_to = _chosen(Area.objects.none(), gettext_lazy("Leads into"), gettext_lazy("not counted"))

    def __init__(self, portal: Portal, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self, "raised_schedule", portal.community.schedules.order_by("name"))
        for name in ("area_from", "area_to"):
            _offer(self, name, portal.community.areas.order_by("name"))

    @property
    def settings(self) -> dict[str, Any]:
        """Give what the services take, name, direction and methods among them."""
        given = self.cleaned_data
        schedule = given["raised_schedule"]
        return {
            "name": given["name"],
            "direction": Direction(given["direction"]),
            "methods": [Method(method) for method in given["methods"]],
            "is_enabled": given["is_enabled"],
            "level": given["level"],
            "persons": given["persons"],
            "area_from": given["area_from"],
            "area_to": given["area_to"],
            "raised": [(schedule, int(given["raised_level"]))] if schedule else [],
        }


def point_initial(point: AccessPoint) -> dict[str, Any]:
    """Give an access point as its form shows it."""
    raised = point.raised[0] if point.raised else {}
    names = (
        "name",
        "direction",
        "is_enabled",
        "methods",
        "level",
        "persons",
        "area_from",
        "area_to",
    )
    return {
        **{name: getattr(point, name) for name in names},
        "raised_schedule": raised.get("schedule"),
        "raised_level": raised.get("level", 2),
    }


def new_point_initial(portal: Portal, kind: Kind, direction: Direction) -> dict[str, Any]:
    """Give a new access point as its form shows it."""
    word = _("in") if direction is Direction.ENTRY else _("out")
    return {
        "name": f"{portal.name} {word}"[:NAME_CHARS],
        "direction": direction.value,
        "is_enabled": True,
        "methods": [method.value for method in methods_for(kind, direction)],
        "level": 1,
        "persons": 1,
        "raised_level": 2,
    }


class AreaForm(SetupForm):
    """A space bounded by portals; with its rule for cars where it is a car park."""

    SECTIONS = (
        (gettext_lazy("What it is"), ("name", "capacity")),
        (gettext_lazy("Entering twice without leaving"), ("anti_passback", "anti_passback_m")),
        (
            gettext_lazy("Cars"),
            ("is_parking", "outsiders", "residents_enter", "stay_h", "emergency_enters"),
        ),
    )

    name = name_field(gettext_lazy("Such as “Court” or “Car park”."))
    capacity = forms.IntegerField(
        label=gettext_lazy("Room for"),
        min_value=0,
        max_value=MAX_CAPACITY,
        initial=0,
        help_text=gettext_lazy("Persons or cars that may be inside at once; 0 is without limit."),
    )
    anti_passback = forms.ChoiceField(
        label=gettext_lazy("What becomes of it"),
        choices=[
            (AntiPassback.OFF.value, gettext_lazy("nothing")),
            (AntiPassback.SOFT.value, gettext_lazy("it is noted, and the door opens")),
            (AntiPassback.HARD.value, gettext_lazy("refused until they have left")),
            (AntiPassback.TIMED.value, gettext_lazy("refused for a time")),
        ],
        initial=AntiPassback.OFF.value,
        widget=forms.RadioSelect,
        help_text=gettext_lazy("The way out opens all the same."),
    )
    anti_passback_m = forms.FloatField(
        label=gettext_lazy("Refused for, in minutes"),
        initial=15,
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    is_parking = forms.BooleanField(label=gettext_lazy("It is a car park"), required=False)
    outsiders = forms.ChoiceField(
        label=gettext_lazy("Cars that nobody has registered"),
        choices=[
            (Outsiders.REFUSE.value, gettext_lazy("are refused")),
            (Outsiders.ADMIT.value, gettext_lazy("may enter")),
        ],
        initial=Outsiders.REFUSE.value,
        widget=forms.RadioSelect,
    )
    residents_enter = forms.BooleanField(
        label=gettext_lazy("Residents' cars may enter"), required=False, initial=True
    )
    stay_h = forms.FloatField(
        label=gettext_lazy("Any car may stay for, in hours"),
        required=False,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=gettext_lazy("Empty: as long as it likes. Overstaying is told, never refused."),
    )
    emergency_enters = forms.BooleanField(
        label=gettext_lazy("Fire, ambulance and police enter by their plates"),
        required=False,
        initial=True,
    )


class RuleForm(SetupForm):
    """Who may pass where, and when."""

    name = name_field(gettext_lazy("Such as “Residents of house 1”."))
    groups = forms.MultipleChoiceField(
        label=gettext_lazy("Who"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose who may pass.")},
    )
    points = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Where"),
        queryset=AccessPoint.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose where they may pass.")},
        help_text=gettext_lazy("Ways out need no rule: they open for everybody."),
    )
    schedule = _chosen(Schedule.objects.none(), gettext_lazy("When"), gettext_lazy("at all times"))

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["groups"].choices = list(group_names(community).items())  # type: ignore[attr-defined]
        points = AccessPoint.objects.filter(
            portal__community=community, direction=Direction.ENTRY.value
        )
        _offer(self, "points", points.order_by("name"))
        _offer(self, "schedule", community.schedules.order_by("name"))


def rule_initial(rule: AccessRule) -> dict[str, Any]:
    """Give a rule as its form shows it."""
    return {
        "name": rule.name,
        "groups": rule.groups,
        "points": rule.points.all(),
        "schedule": rule.schedule,
    }


class PeriodForm(forms.Form):
    """One weekly period; a row left empty is none."""

    start = forms.CharField(
        label=gettext_lazy("From"),
        required=False,
        max_length=5,
        widget=forms.TextInput(attrs={"placeholder": "08:00", "inputmode": "numeric"}),
    )
    end = forms.CharField(
        label=gettext_lazy("Until"),
        required=False,
        max_length=5,
        widget=forms.TextInput(attrs={"placeholder": "18:00", "inputmode": "numeric"}),
    )
    days = forms.TypedMultipleChoiceField(
        label=gettext_lazy("On"),
        required=False,
        coerce=int,
        choices=week.DAYS,
        widget=forms.CheckboxSelectMultiple,
    )

    def clean(self) -> dict[str, Any] | None:
        given = super().clean()
        if given is None or self.errors:
            return given
        if not given["start"] and not given["end"]:
            return given
        if not given["days"]:
            self.add_error("days", _("Choose the days."))
            return given
        try:
            given["period"] = week.period(given["start"], given["end"], given["days"])
        except week.TimesError as error:
            self.add_error("start", str(error))
        return given


class PeriodSet(forms.BaseFormSet):  # type: ignore[type-arg]  # the stubs alone make it generic
    """The weekly periods of a schedule."""

    @property
    def weekly(self) -> list[dict[str, Any]]:
        """Give the periods that were filled in."""
        return [form.cleaned_data["period"] for form in self if "period" in form.cleaned_data]


Periods = forms.formset_factory(PeriodForm, formset=PeriodSet, extra=2, max_num=40)


def periods_initial(weekly: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give weekly periods as their rows show them."""
    return [
        {
            "start": week.clock(one["start_min"]),
            "end": week.clock(one["end_min"]),
            "days": list(one["days"]),
        }
        for one in weekly
    ]


class ScheduleForm(SetupForm):
    """A schedule beside its weekly periods."""

    name = name_field(gettext_lazy("Such as “Night” or “Office hours”."))
    special = forms.CharField(
        label=gettext_lazy("Single days"),
        required=False,
        max_length=week.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "2027-05-01 10:00-12:00"}),
        help_text=gettext_lazy(
            "One a line, with its times; a date alone is closed all day. They win over holidays."
        ),
    )
    holidays = _chosen(
        HolidayTable.objects.none(), gettext_lazy("Holidays by the table"), gettext_lazy("none")
    )
    holiday_periods = forms.CharField(
        label=gettext_lazy("On those days"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "10:00-12:00, 14:00-16:00"}),
        help_text=gettext_lazy("Empty: closed all day."),
    )

    def __init__(self, community: Community, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self, "holidays", community.holiday_tables.order_by("name"))

    def clean_special(self) -> list[dict[str, Any]]:
        return _times(week.special_days, self.cleaned_data["special"])

    def clean_holiday_periods(self) -> list[dict[str, Any]]:
        return _times(week.spans, self.cleaned_data["holiday_periods"])


class HolidayForm(SetupForm):
    """A table of holidays."""

    name = name_field(gettext_lazy("Such as “Public holidays 2027”."))
    dates = forms.CharField(
        label=gettext_lazy("Days"),
        required=False,
        max_length=week.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "2027-02-06..2027-02-12"}),
        help_text=gettext_lazy("One a line; two dates with two dots between are a stretch."),
    )

    def clean_dates(self) -> list[Any]:
        return _times(week.dates, self.cleaned_data["dates"])


class HomesForm(SetupForm):
    """Homes of one building, as they stand on their doors."""

    building = forms.CharField(
        label=gettext_lazy("Building"),
        max_length=50,
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "buildings"}),
        help_text=gettext_lazy("Such as “House 1”; a new name adds a building."),
        error_messages={"required": gettext_lazy("Name the building.")},
    )
    codes = forms.CharField(
        label=gettext_lazy("House numbers"),
        required=False,
        max_length=week.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "1-101 1-102 1-201 1-202"}),
        help_text=gettext_lazy("As they stand on the doors, parted by spaces or lines."),
    )
    cars = forms.IntegerField(
        label=gettext_lazy("Cars of one home that may be inside at once"),
        required=False,
        min_value=0,
        max_value=MAX_CARS,
        help_text=gettext_lazy("Empty leaves it as it is. Each home can differ below."),
    )

    def clean_codes(self) -> list[str]:
        codes = list(dict.fromkeys(self.cleaned_data["codes"].replace(",", " ").split()))
        for code in codes:
            if len(code) > 30 or not code.isprintable():
                raise forms.ValidationError(
                    _("%(code)s is too long for what stands on a door."),
                    params={"code": code[:30]},
                )
        if len(codes) > 2000:
            raise forms.ValidationError(_("At most 2000 homes at a time."))
        return codes


class CarsForm(forms.Form):
    """How many cars of one home may be inside."""

    cars = forms.IntegerField(required=False, min_value=0, max_value=MAX_CARS)


def _times(read: Callable[[str], _Times], text: str) -> _Times:
    try:
        return read(text)
    except week.TimesError as error:
        raise forms.ValidationError(str(error)) from error


def _offer(form: forms.Form, name: str, found: Any) -> None:
    form.fields[name].queryset = found  # type: ignore[attr-defined]
