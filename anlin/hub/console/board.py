"""What stands beside the feed: what needs a person now, every portal's state, the sketch plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import PortalKind
from anlin.core.portal import PortalState
from anlin.hub.access.models import Portal
from anlin.hub.console.words import UNKNOWN_STATE, StateWord, Tone, state_word
from anlin.hub.devices.models import DeviceState, Node
from anlin.hub.people.models import Community


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
        .select_related("status", "node")
        .prefetch_related("points")
        .order_by("name", "id")
    )
    return [_portal_view(portal, community, now) for portal in portals]


def board(community: Community, now: datetime) -> Board:
    """Read the whole board."""
    portals = portal_views(community, now)
    nodes = [node for node in community.nodes.order_by("name") if node.enrolled_at is not None]
    silent = [node for node in nodes if not node.is_online(now)]
    states = DeviceState.objects.filter(
        device__node__community=community, is_online=False
    ).select_related("device")
    concerns = [
        *_from_portals(portals),
        *_from_nodes(silent),
        *_from_devices(states),
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
    return PortalView(portal, word, is_heard, since, is_current)


def _from_portals(views: Iterable[PortalView]) -> Iterable[Concern]:
    for view in views:
        if view.word.tone in (Tone.ALARM, Tone.WARNING):
            yield Concern(
                view.word.tone.value,
                view.word.icon,
                view.word.word,
                view.portal.name,
                view.since,
                view.word.advice,
                f"/points#{view.portal.pk}",
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
        yield Concern(
            Tone.WARNING.value,
            "cloud_off",
            _("Device offline"),
            state.device.name,
            state.since,
            _("Check its power and network."),
            "/points",
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
