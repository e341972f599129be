"""What stands on the screen for the words of the core: one catalogue, so no page says it twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import Direction, HolderKind, Method, PortalKind, Status
from anlin.core.portal import PortalState
from anlin.core.sync import CommandKind
from anlin.hub.people.models import Role


class Tone(StrEnum):
    """How loudly a thing is said. Each tone has a colour, an icon and a word, never one alone."""

    GOOD = "good"
    GRANTED = "granted"
    DENIED = "denied"
    WARNING = "warning"
    ALARM = "alarm"
    INFO = "info"


METHOD: Mapping[str, Promise] = {
    Method.CARD: _("Card"),
    Method.SECURE_CARD: _("Secure card"),
    Method.PIN: _("PIN"),
    Method.QR: _("QR code"),
    Method.FACE: _("Face"),
    Method.TERMINAL_FACE: _("Face terminal"),
    Method.PLATE: _("Number plate"),
    Method.PHONE: _("Phone"),
    Method.EXIT_BUTTON: _("Exit button"),
}

DIRECTION: Mapping[str, Promise] = {
    Direction.ENTRY: _("way in"),
    Direction.EXIT: _("way out"),
}

HOLDER_KIND: Mapping[str, Promise] = {
    HolderKind.RESIDENT: _("Resident"),
    HolderKind.STAFF: _("Staff"),
    HolderKind.VISITOR: _("Visitor"),
}

PORTAL_KIND: Mapping[str, Promise] = {
    PortalKind.DOOR: _("Door"),
    PortalKind.TURNSTILE: _("Turnstile"),
    PortalKind.BARRIER: _("Barrier"),
}

CREDENTIAL_STATUS: Mapping[str, Promise] = {
    Status.ACTIVE: _("In use"),
    Status.SUSPENDED: _("Suspended"),
    Status.LOST: _("Reported lost"),
    Status.REVOKED: _("Taken back"),
}

COMMAND: Mapping[str, Promise] = {
    CommandKind.RELEASE: _("Open once"),
    CommandKind.HOLD_UNLOCKED: _("Keep unlocked"),
    CommandKind.HOLD_NORMAL: _("Back to normal"),
    CommandKind.LOCKDOWN: _("Lockdown"),
    CommandKind.LOCKDOWN_END: _("End lockdown"),
    CommandKind.FIRE_RESTORE: _("Restore after fire"),
    CommandKind.HOLD_LOCKED: _("Keep locked"),
    CommandKind.MAINTENANCE: _("Maintenance"),
    CommandKind.MAINTENANCE_END: _("End maintenance"),
    CommandKind.FORGIVE: _("Mark as left"),
    CommandKind.PRESENT: _("Open by phone"),
}

CONTACT: Mapping[str, Promise] = {
    "open": _("leaf open"),
    "closed": _("leaf closed"),
    "short": _("contact shorted"),
    "cut": _("contact cut"),
}

CHECK: Mapping[str, Promise] = {
    "access_point": _("The access point is known"),
    "fire": _("No fire release is in force"),
    "egress": _("It is not a way out"),
    "records": _("What happens can be recorded"),
    "fresh": _("The read is fresh"),
    "lockdown": _("No lockdown is in force"),
    "method": _("This way of identifying is accepted here"),
    "lockout": _("The keypad is not closed after wrong PINs"),
    "evidence": _("What the camera saw is good enough"),
    "pass": _("The QR pass holds"),
    "credential": _("The credential is known and in use"),
    "holder": _("The holder is active"),
    "path": _("It is on the visitor's way to the host"),
    "rule": _("An access rule admits the holder now"),
    "parking": _("The parking rule lets this vehicle in"),
    "area": _("The area ahead has room, and is not entered twice"),
    "interlock": _("The other door of the interlock is closed"),
    "assurance": _("It is sure enough for this point"),
    "persons": _("Everybody who has to come along is there"),
}


@dataclass(frozen=True, slots=True)
class StateWord:
    """How one state of a portal is shown."""

    word: Promise
    icon: str
    tone: Tone
    advice: Promise | None = None


STATE: Mapping[str, StateWord] = {
    PortalState.SECURED: StateWord(_("Closed and locked"), "lock", Tone.GOOD),
    PortalState.RELEASED: StateWord(_("Released"), "open", Tone.GRANTED),
    PortalState.OPEN: StateWord(_("Standing open"), "open", Tone.GRANTED),
    PortalState.UNLOCKED: StateWord(_("Held unlocked"), "unlock", Tone.INFO),
    PortalState.PREALARM: StateWord(
        _("Open for long"),
        "clock",
        Tone.WARNING,
        _("It warns at the door and raises an alarm soon. See who keeps it open."),
    ),
    PortalState.HELD: StateWord(
        _("Open too long"),
        "clock",
        Tone.WARNING,
        _("See whether somebody props it open, and close it."),
    ),
    PortalState.FORCED: StateWord(
        _("Forced open"),
        "alarm",
        Tone.ALARM,
        _("Nobody was released. Look at the camera and send somebody now."),
    ),
    PortalState.MAINTENANCE: StateWord(
        _("In maintenance"),
        "setup",
        Tone.WARNING,
        _("Somebody works on it: it raises no alarms until the time shown, or until they end it."),
    ),
    PortalState.LOCKDOWN: StateWord(
        _("Lockdown"),
        "shield",
        Tone.WARNING,
        _("Nobody gets in; the way out stays free."),
    ),
    PortalState.FIRE_RELEASE: StateWord(
        _("Released by fire"),
        "fire",
        Tone.ALARM,
        _("Everything stays open until a person restores it after the fire."),
    ),
    PortalState.FAULT: StateWord(
        _("Contact fault"),
        "warning",
        Tone.WARNING,
        _("Whether it is open can't be told. Check the door by eye and the wiring."),
    ),
}

UNKNOWN_STATE = StateWord(_("Not known"), "unknown", Tone.INFO)


def state_word(state: str) -> StateWord:
    """Give how a portal's state is shown; what we were never told is "not known"."""
    return STATE.get(state, UNKNOWN_STATE)


def word(table: Mapping[str, Any], key: str) -> Any:
    """Give the word for a key, or the key itself where the catalogue has none."""
    return table.get(key, key)


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the rail: the page's name in urls, its word, icon and roles."""

    url: str
    word: Promise
    icon: str
    roles: frozenset[str]
    on_bar: bool = True


_DESK = frozenset({Role.GUARD, Role.MANAGER})
_TECH = frozenset(Role)

PLACES = (
    Place("console:live", _("Live"), "console", _DESK),
    Place("people:holders", _("People"), "people", _DESK),
    Place("access:points", _("Doors"), "points", _TECH),
    Place("visits:today", _("Visitors"), "visits", _DESK),
    Place("office:search", _("Find"), "search", _DESK),
    Place("office:home", _("Office"), "changes", frozenset({Role.MANAGER})),
    Place(
        "notices:list",
        _("Community notices"),
        "info",
        frozenset({Role.GUARD, Role.MANAGER, Role.COMMITTEE}),
        on_bar=False,
    ),
    Place("state:inside", _("Inside"), "home", _DESK),
    Place("devices:nodes", _("Devices"), "nodes", _TECH - {Role.GUARD, Role.LIAISON}),
    Place("setup:home", _("Set-up"), "setup", frozenset({Role.MANAGER, Role.INSTALLER})),
    Place(
        "people:attention",
        _("Looked after"),
        "people",
        frozenset({Role.LIAISON, Role.COMMITTEE}),
    ),
    Place(
        "watch:entries",
        _("Watch entries"),
        "eye",
        frozenset({Role.LIAISON, Role.COMMITTEE, Role.AUDITOR}),
    ),
    Place(
        "privacy:home",
        _("Privacy"),
        "shield",
        frozenset({Role.MANAGER, Role.COMMITTEE, Role.AUDITOR}),
    ),
    Place("accounts:staff", _("Staff"), "person", frozenset({Role.MANAGER})),
    Place(
        "audit:changes",
        _("Changes"),
        "changes",
        frozenset({Role.MANAGER, Role.COMMITTEE, Role.AUDITOR}),
    ),
    Place("accounts:mine", _("My log-in"), "key", _TECH, on_bar=False),
)
"""In the order of the rail; the first that a role may open is where it lands after the log-in."""


def home_of(role: str) -> str:
    """Give the page that a role begins with."""
    return next(place.url for place in PLACES if role in place.roles)
