"""What stands beside the feed: what needs a person now, every portal's state, the sketch plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import PortalKind
from anlin.core.event import EventKind
from anlin.core.portal import PortalState
from anlin.hub.access.models import AccessPoint, Area, Portal
from anlin.hub.console.words import UNKNOWN_STATE, StateWord, Tone, state_word
from anlin.hub.devices.models import DeviceState, Node
from anlin.hub.people.models import Community
from anlin.hub.reasons import kind_text
from anlin.hub.state.attention import waiting
from anlin.hub.state.models import DeviceTable, Override, PortalHold, Presence

TABLE_GRACE = timedelta(minutes=2)
"""A table is written row by row; only one that stays behind for longer needs a person."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One line that a guard must not miss: what, where, since when, what to do."""

    tone: str
    icon: str
    what: Promise | str
    where: str
    since: datetime | None
    advice: Promise | str | None
    url: str


@dataclass(frozen=True, slots=True)
class PortalView:
    """A portal with how its state is shown."""

    portal: Portal
    word: StateWord
    is_heard: bool
    """Whether its node was heard lately; if not, the state is only the last one known."""
    since: datetime | None
    is_current: bool
    """Whether its node decides by the newest rules."""
    holds: tuple[str, ...] = ()
    """By whom it is held or worked on, and until when."""

    @property
    def tone(self) -> str:
        """How loudly it is shown: calm turns grey while nobody hears the node, alarms stay."""
        if self.is_heard or self.word.tone in (Tone.ALARM, Tone.WARNING):
            return self.word.tone.value
        return Tone.INFO.value


@dataclass(frozen=True, slots=True)
class Board:
    """Everything beside the feed at one moment."""

    concerns: list[Concern]
    portals: list[PortalView]
    nodes: list[Node]
    behind: list[Node]
    silent: list[Node]


def portal_views(community: Community, now: datetime) -> list[PortalView]:
    """Give every portal of a community as it stands."""
    portals = (
        Portal.objects.filter(community=community)
        .select_related("status", "hold", "node")
        .prefetch_related("points")
        .order_by("name", "id")
    )
    return [_portal_view(portal, community, now) for portal in portals]


def board(community: Community, now: datetime) -> Board:
    """Read the whole board."""
    portals = portal_views(community, now)
    nodes = [node for node in community.nodes.order_by("name") if node.enrolled_at is not None]
    silent = [node for node in nodes if not node.is_online(now)]
    states = (
        DeviceState.objects.filter(device__node__community=community)
        .filter(Q(is_online=False) | Q(state__in=("fault", "tamper")))
        .select_related("device")
    )
    concerns = [
        *_from_events(community, now),
        *_from_portals(portals),
        *_from_lanes(portals),
        *_from_cars(community),
        *_from_nodes(silent),
        *_from_devices(states),
        *_from_tables(community, now),
    ]
    concerns.sort(key=lambda concern: concern.tone != Tone.ALARM)
    behind = [
        node
        for node in nodes
        if node not in silent and node.rules_as_of < community.policy_revision
    ]
    return Board(concerns, portals, nodes, behind, silent)


def _portal_view(portal: Portal, community: Community, now: datetime) -> PortalView:
    status = getattr(portal, "status", None)
    word = state_word(status.state) if status is not None else UNKNOWN_STATE
    node = portal.node
    is_heard = node is not None and node.is_online(now)
    is_current = node is not None and node.rules_as_of >= community.policy_revision
    since = status.since if status is not None else None
    hold = getattr(portal, "hold", None)
    if hold is not None and hold.arm in _ARM and word.word == state_word(PortalState.FAULT).word:
        # A barrier has no leaf with a contact: what is wrong is its arm.
        tone, what, advice = _ARM[hold.arm]
        word = StateWord(what, "barrier", tone, advice)
    holds = _holds(hold, now)
    return PortalView(portal, word, is_heard, since, is_current, holds)


def _holds(hold: PortalHold | None, now: datetime) -> tuple[str, ...]:
    found = []
    if hold is not None and hold.in_maintenance(now):
        found.append(
            gettext("Maintenance by %(name)s until %(time)s")
            % {"name": hold.maintenance_by, "time": _clock(hold.maintenance_until)}
        )
    if hold is not None and hold.overridden(now):
        text = (
            gettext("Kept locked by %(name)s until %(time)s")
            if hold.override == Override.LOCKED
            else gettext("Kept unlocked by %(name)s until %(time)s")
        )
        found.append(text % {"name": hold.override_by, "time": _clock(hold.override_until)})
    return tuple(found)


def _clock(at: datetime | None) -> str:
    return timezone.localtime(at).strftime("%H:%M") if at is not None else ""


def _from_events(community: Community, now: datetime) -> Iterable[Concern]:
    """Tell what happened once and nobody has taken note of yet; a silent call for help first.

    It is told like any warning: whoever forces somebody may stand before this screen.
    """
    found = waiting(community, now)
    subjects = [one.subject for one in found]
    points = AccessPoint.objects.filter(pk__in=subjects, portal__community=community)
    portals = Portal.objects.filter(pk__in=subjects, community=community)
    names = dict(portals.values_list("pk", "name")) | dict(points.values_list("pk", "name"))
    for one in sorted(found, key=lambda one: one.kind != EventKind.DURESS):
        times = f" ×{one.count}" if one.count > 1 else ""
        yield Concern(
            Tone.WARNING.value,
            _ONCE_ICON.get(one.kind, "warning"),
            f"{kind_text(one.kind)}{times}",
            names.get(one.subject, one.subject),
            one.at,
            _ONCE_ADVICE.get(one.kind),
            reverse("console:event", args=[one.position]),
        )


_ONCE_ICON: dict[str, str] = {
    EventKind.DURESS: "shield",
    EventKind.TAILGATING: "people",
    EventKind.BIKE_QUESTION: "bike",
    EventKind.REPEATED_DENIALS: "cross",
    EventKind.LANE_BYPASSED: "barrier",
    EventKind.VEHICLE_REVERSED: "plate",
    EventKind.ARM_STRUCK: "barrier",
}

_ONCE_ADVICE: dict[str, Promise] = {
    EventKind.DURESS: _("Don't call out to them. Look at the camera and call the police."),
    EventKind.TAILGATING: _("Look at the camera who came in behind, and speak to them."),
    EventKind.REPEATED_DENIALS: _("Look at the camera: somebody may be trying cards or PINs."),
    EventKind.BOARD_DISAGREES: _("Its own table of cards may be out of date; see the tables."),
    EventKind.BIKE_QUESTION: _("Call the owner, and write down what they say. Hold nobody up."),
    EventKind.LANE_BYPASSED: _("Look at the camera what went around the arm."),
    EventKind.VEHICLE_REVERSED: _("Look at the camera which vehicle it was."),
    EventKind.ARM_STRUCK: _("See whether a vehicle or the arm is damaged."),
}


def _from_lanes(views: Iterable[PortalView]) -> Iterable[Concern]:
    for view in views:
        hold = getattr(view.portal, "hold", None)
        if hold is None:
            continue
        if hold.arm:
            tone, what, advice = _ARM[hold.arm]
            url = f"/points#{view.portal.pk}"
            name = view.portal.name
            yield Concern(tone.value, "barrier", what, name, hold.arm_since, advice, url)
        if hold.waiting_since is not None:
            yield Concern(
                Tone.WARNING.value,
                "plate",
                _("A vehicle waits and nobody has answered"),
                view.portal.name,
                hold.waiting_since,
                _("Speak to the driver; open by hand if they may come in."),
                reverse("access:command", args=[view.portal.pk]),
            )


_ARM = {
    "off": (
        Tone.ALARM,
        _("The arm was knocked off"),
        _("Anybody can drive in. Send somebody to the lane now."),
    ),
    "stuck": (
        Tone.WARNING,
        _("The arm is stuck"),
        _("Send somebody to the lane; move it by hand if a vehicle stands there."),
    ),
    "raised": (
        Tone.WARNING,
        _("The arm was raised by hand"),
        _("Lower it when the way is clear."),
    ),
}


def _from_cars(community: Community) -> Iterable[Concern]:
    cars = Presence.objects.filter(community=community, is_inside=True, is_overstay=True)
    late = list(cars.order_by("until")[:_MOST_CARS])
    names = dict(Area.objects.filter(community=community).values_list("pk", "name"))
    for car in late:
        yield Concern(
            Tone.WARNING.value,
            "clock",
            _("A vehicle has stayed too long"),
            f"{car.plate} · {names.get(car.area, '')}".removesuffix(" · "),
            car.until,
            _("Ask its household; mark it as left if it is gone."),
            reverse("state:cars"),
        )


_MOST_CARS = 5
"""More lines would push alarms off the screen; the list of cars has them all."""


def _from_tables(community: Community, now: datetime) -> Iterable[Concern]:
    late = (
        DeviceTable.objects.filter(device__node__community=community, since__lt=now - TABLE_GRACE)
        .exclude(kind=EventKind.TABLE_HELD.value)
        .select_related("device")
    )
    for table in late:
        is_refused = table.kind == EventKind.TABLE_REFUSED
        yield Concern(
            Tone.WARNING.value,
            "people",
            kind_text(table.kind),
            table.device.name,
            table.since,
            _("See whom it will not take, and take a new picture or ask the installer.")
            if is_refused
            else _("Who was taken back may still pass there. Check its power and network."),
            reverse("state:tables"),
        )


def _from_portals(views: Iterable[PortalView]) -> Iterable[Concern]:
    for view in views:
        # A barrier's fault is told by its arm, which says what is wrong.
        is_arm = bool(getattr(getattr(view.portal, "hold", None), "arm", ""))
        if view.word.tone in (Tone.ALARM, Tone.WARNING) and not is_arm:
            yield Concern(
                view.word.tone.value,
                view.word.icon,
                view.word.word,
                view.portal.name,
                view.since,
                "; ".join(view.holds) or view.word.advice,
                reverse("state:fire")
                if view.word is state_word(PortalState.FIRE_RELEASE)
                else f"/points#{view.portal.pk}",
            )


def _from_nodes(silent: Iterable[Node]) -> Iterable[Concern]:
    for node in silent:
        yield Concern(
            Tone.WARNING.value,
            "cloud_off",
            _("No word from the edge"),
            node.name,
            node.last_seen_at,
            _("Its gates decide on their own and record; this page shows them late."),
            "/points",
        )


def _from_devices(states: Iterable[DeviceState]) -> Iterable[Concern]:
    for state in states:
        if state.is_online is False:
            icon, title = "cloud_off", gettext("Device offline")
            advice = gettext("Check its power and network.")
        else:
            kind = EventKind.TAMPER if state.state == "tamper" else EventKind.DEVICE_FAULT
            icon, title = "warning", str(kind_text(kind))
            advice = state.detail
        yield Concern(
            Tone.WARNING.value,
            icon,
            title,
            state.device.name,
            state.since,
            advice,
            "/nodes",
        )


# The sketch plan: gates stand in the wall along the street, doors before their houses.

PLAN_WIDTH = 360
_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Spot:
    """One portal on the plan, at (x, y) of the drawing."""

    view: PortalView
    x: int
    y: int
    is_gate: bool
    is_lane: bool

    @property
    def tone(self) -> str:
        """How it is coloured."""
        return self.view.tone

    @property
    def icon(self) -> str:
        """What stands in it, so that colour is not the only sign."""
        word = self.view.word
        if word is state_word(PortalState.SECURED):
            return self.view.portal.kind
        return word.icon


@dataclass(frozen=True, slots=True)
class Plan:
    """The sketch: its size and its spots."""

    width: int
    height: int
    wall: int
    spots: list[Spot]

    @property
    def gates(self) -> list[Spot]:
        """The spots in the wall."""
        return [spot for spot in self.spots if spot.is_gate]

    @property
    def houses(self) -> list[Spot]:
        """The doors, each before its house."""
        return [spot for spot in self.spots if not spot.is_gate]


def plan(views: Sequence[PortalView]) -> Plan:
    """Lay the portals out; nobody has to draw a map before the first day."""
    gates = [view for view in views if view.portal.kind != PortalKind.DOOR]
    doors = [view for view in views if view.portal.kind == PortalKind.DOOR]
    spots: list[Spot] = []
    lines = _in_lines(doors)
    for line, members in enumerate(lines):
        step = PLAN_WIDTH // (len(members) + 1)
        spots += [
            Spot(view, step * (index + 1), 84 + 92 * line, False, False)
            for index, view in enumerate(members)
        ]
    wall = 92 * max(1, len(lines)) + 76
    step = PLAN_WIDTH // (len(gates) + 1)
    spots += [
        Spot(view, step * (index + 1), wall, True, view.portal.kind == PortalKind.BARRIER)
        for index, view in enumerate(gates)
    ]
    return Plan(PLAN_WIDTH, wall + 62, wall, spots)


def _in_lines(views: Sequence[Any]) -> list[Sequence[Any]]:
    return [views[start : start + _COLUMNS] for start in range(0, len(views), _COLUMNS)]
