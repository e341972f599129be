"""Which kinds of events are told to which roles: what is silent at the gate stays so at the desk.

A hit of a watch entry is told on that entry's own page to those whom it names, and nowhere else.
A call for help under threat is told to those who can help.
"""

from __future__ import annotations

from django.db.models import QuerySet

from anlin.core.event import EventKind
from anlin.hub.events.models import Event
from anlin.hub.people.models import Role

UNTOLD = frozenset({EventKind.WATCH_HIT.value})

_HELPERS = frozenset({Role.GUARD, Role.MANAGER})


def hidden_from(role: str) -> frozenset[str]:
    """Name the kinds of events that a role is never told of."""
    return UNTOLD if role in _HELPERS else UNTOLD | {EventKind.DURESS.value}


def told_to(events: QuerySet[Event], role: str) -> QuerySet[Event]:
    """Leave out what a role is not told."""
    return events.exclude(kind__in=hidden_from(role))
