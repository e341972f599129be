"""What an installer chooses first: a door, a turnstile, a lift lobby or a vehicle lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import Direction, Method, PortalKind


@dataclass(frozen=True, slots=True)
class Kind:
    """A usual portal: its words, its icon, and the settings that go with it."""

    key: str
    word: Promise
    icon: str
    help: Promise
    settings: Mapping[str, Any]
    entry: tuple[Method, ...]
    exit: tuple[Method, ...] = (Method.EXIT_BUTTON,)
    hints: tuple[Promise, ...] = field(default=())


_WAYS = (Method.CARD, Method.FACE, Method.QR)

KINDS = (
    Kind(
        "door",
        _("Door"),
        "door",
        _("A house door with a lock, a contact and a button inside."),
        {
            "kind": PortalKind.DOOR.value,
            "grant_s": 5.0,
            "held_open_s": 30.0,
            "prealarm_s": 10.0,
            "extended_grant_s": 15.0,
            "extended_held_open_s": 60.0,
        },
        (Method.SECURE_CARD, Method.CARD, Method.FACE, Method.QR),
        hints=(
            _("Five seconds are enough to reach the handle; who needs time gets fifteen."),
            _("Give it its building, so that visitors find only the way to their host open."),
        ),
    ),
    Kind(
        "turnstile",
        _("Turnstile"),
        "turnstile",
        _("A lane for people, with light beams that count them."),
        {
            "kind": PortalKind.TURNSTILE.value,
            "grant_s": 8.0,
            "entry_s": 2.0,
            "held_open_s": 20.0,
            "prealarm_s": 5.0,
            "extended_grant_s": 20.0,
            "extended_held_open_s": 40.0,
            "relock_on_open_s": None,
        },
        _WAYS,
        hints=(
            _("A passage is counted where the beams see one; two on one release is tailgating."),
        ),
    ),
    Kind(
        "lobby",
        _("Lift lobby"),
        "door",
        _("Two doors, one behind the other, of which only one is open at a time."),
        {
            "kind": PortalKind.DOOR.value,
            "grant_s": 6.0,
            "held_open_s": 20.0,
            "prealarm_s": 8.0,
            "extended_grant_s": 20.0,
            "extended_held_open_s": 45.0,
            "exit_ignore_s": 1.0,
            "interlock": "lobby-1",
        },
        _WAYS,
        hints=(
            _("Set up both doors with the same airlock name and the same edge."),
            _("Fire releases both at once; the airlock never holds anybody in."),
        ),
    ),
    Kind(
        "lane",
        _("Vehicle lane"),
        "barrier",
        _("A barrier with a loop before it and a loop under its arm."),
        {
            "kind": PortalKind.BARRIER.value,
            "grant_s": 10.0,
            "entry_s": 5.0,
            "held_open_s": 60.0,
            "prealarm_s": 20.0,
            "extended_grant_s": 20.0,
            "extended_held_open_s": 120.0,
        },
        (Method.PLATE, Method.CARD),
        (Method.PLATE, Method.EXIT_BUTTON),
        hints=(
            _("The arm never comes down while the loop under it is occupied."),
            _("A car park has areas on both sides: set them at its access points."),
        ),
    ),
)


def kind_of(key: str) -> Kind:
    """Give a kind by its key; the door where there is none."""
    return next((kind for kind in KINDS if kind.key == key), KINDS[0])


def like(portal_kind: str, interlock: str) -> Kind:
    """Give the kind that a standing portal is most like."""
    if portal_kind == PortalKind.BARRIER:
        return kind_of("lane")
    if portal_kind == PortalKind.TURNSTILE:
        return kind_of("turnstile")
    return kind_of("lobby" if interlock else "door")


def methods_for(kind: Kind, direction: Direction) -> tuple[Method, ...]:
    """Give what an access point of this kind usually accepts."""
    return kind.entry if direction is Direction.ENTRY else kind.exit
