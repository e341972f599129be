"""What a screen at a gate may show of the last thing that happened there, and which screens may.

A screen hangs where neighbours stand: it says what to do next, in the words of the gate itself
(`core.tell`). No name beyond the greeting, no home, no picture, and never a silent alarm.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from anlin.core.access import Decision, Reason
from anlin.core.entities import Method
from anlin.core.event import EventKind
from anlin.core.tell import tell
from anlin.hub import vault
from anlin.hub.access.models import AccessPoint
from anlin.hub.audit.log import Actor, created, deleted
from anlin.hub.events.models import Event
from anlin.hub.state.models import ScreenKey

COOKIE = "anlin_screen"

FRESH = timedelta(seconds=15)
"""Who stood there has gone on: an older word would greet the next person."""

_KEY_BYTES = 24

_WORDS: dict[str, tuple[str, str, str]] = {
    EventKind.DOOR_PREALARM: ("warning", "请关门", "Please close the door"),
    EventKind.DOOR_HELD: ("warning", "请关门", "Please close the door"),
    EventKind.DOOR_CLOSED: ("calm", "", ""),
    EventKind.FIRE_RELEASED: ("alarm", "火警，请立即撤离", "Fire. Leave now"),
    EventKind.FIRE_RESTORED: ("calm", "", ""),
    EventKind.LOCKDOWN_STARTED: (
        "warning",
        "暂停通行，请听从保安指挥",
        "Closed. Please follow the guard",
    ),
    EventKind.LOCKDOWN_ENDED: ("calm", "", ""),
    EventKind.MAINTENANCE_STARTED: ("warning", "检修中", "Being repaired"),
    EventKind.MAINTENANCE_ENDED: ("calm", "", ""),
    EventKind.ARM_STUCK: ("warning", "道闸故障，请联系保安", "Out of order. Please ask the guard"),
}
"""Tone, Chinese, English; kinds that are not here are nobody's business at the gate."""

DECISIONS = (EventKind.ACCESS_GRANTED.value, EventKind.ACCESS_DENIED.value)
KINDS = (*DECISIONS, *(EventKind(kind).value for kind in _WORDS))

STAY = frozenset(
    {EventKind.FIRE_RELEASED, EventKind.LOCKDOWN_STARTED, EventKind.MAINTENANCE_STARTED}
)
"""What holds until something else is said."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Words in their tone, and for how long; None holds until the next."""

    position: int
    tone: str
    text: str
    seconds: float | None


def shown(event: Event, language: str) -> Shown | None:
    """Give what a screen says of an event, or None where it says nothing."""
    if event.kind in DECISIONS:
        return _decision(event, language)
    words = _WORDS.get(event.kind)
    if words is None:
        return None
    tone, chinese, english = words
    text = chinese if language.startswith("zh") else english
    is_long = event.kind in STAY
    return Shown(event.pk, tone, text, None if is_long else FRESH.total_seconds())


def _decision(event: Event, language: str) -> Shown | None:
    data = event.data if isinstance(event.data, dict) else {}
    try:
        reason, method = Reason(str(data.get("reason"))), Method(str(data.get("method")))
    except ValueError:
        # A device decided in words of its own.
        is_granted = event.kind == EventKind.ACCESS_GRANTED
        reason, method = Reason.GRANTED if is_granted else Reason.UNAUTHORIZED, Method.CARD
    label = str(data.get("label") or "")[:30]
    decision = Decision(reason, event.subject, method, event.revision, None, label)
    tone = "granted" if decision.is_granted else "denied"
    text = tell(decision, language)
    if language.startswith("zh"):
        # What the gate's own display says keeps to ASCII, which each of their fonts has.
        text = text.replace(",", "，")
    return Shown(event.pk, tone, text, FRESH.total_seconds())


def events_at(point: AccessPoint, after: int) -> list[Event]:
    """Give what happened at an access point and its portal after a position, in order."""
    return list(
        Event.objects.filter(
            community=point.portal.community_id,
            subject__in=(point.pk, point.portal_id),
            kind__in=KINDS,
            pk__gt=after,
        ).order_by("pk")[:_MOST]
    )


_MOST = 50


def last(point: AccessPoint, now: datetime, language: str) -> Shown | None:
    """Give what the screen shows as it is switched on."""
    found = (
        Event.objects.filter(
            community=point.portal.community_id,
            subject__in=(point.pk, point.portal_id),
            kind__in=KINDS,
        )
        .order_by("-pk")
        .first()
    )
    if found is None or (found.kind not in STAY and now - found.at > FRESH):
        return None
    return shown(found, language)


def make_key(point: AccessPoint, by: Actor) -> str:
    """Make the one key that opens a point's screen; an older one ends. It is shown once."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    with transaction.atomic():
        ScreenKey.objects.filter(point=point).delete()
        row = ScreenKey.objects.create(
            point=point, key_hash=_hash(key), made_by=by.name, made_at=timezone.now()
        )
        created(by, point.portal.community, row, action="new screen key")
    return key


def end_key(point: AccessPoint, by: Actor) -> None:
    """End a point's screen key; screens that show it go dark within a minute."""
    with transaction.atomic():
        for row in ScreenKey.objects.filter(point=point):
            deleted(by, point.portal.community, row, action="end screen key")
            row.delete()


def point_of(key: str) -> AccessPoint | None:
    """Find the access point whose screen a key opens."""
    if not key:
        return None
    row = (
        ScreenKey.objects.select_related("point__portal__community")
        .filter(key_hash=_hash(key))
        .first()
    )
    return row.point if row is not None else None


def _hash(key: str) -> str:
    return vault.fingerprint(key, "screen key")
