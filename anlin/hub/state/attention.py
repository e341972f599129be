"""Events that need a person once: listed until somebody took note, for a shift at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from anlin.core.event import EventKind
from anlin.hub.audit.log import Actor, created
from anlin.hub.events.models import Event
from anlin.hub.people.models import Community
from anlin.hub.state.models import BikeAnswer, Noticed

SHIFT = timedelta(hours=8)
"""Whoever comes on duty later reads what happened before in the log."""

MOST_KEPT = 500
"""A board that disagrees at every passage fills no memory: the newest are kept."""

ONCE = frozenset(
    {
        EventKind.DURESS,
        EventKind.TAILGATING,
        EventKind.REPEATED_DENIALS,
        EventKind.BOARD_DISAGREES,
        EventKind.BIKE_QUESTION,
        EventKind.LANE_BYPASSED,
        EventKind.VEHICLE_REVERSED,
        EventKind.ARM_STRUCK,
    }
)
"""What no later event takes back."""


ASKING = frozenset({EventKind.BIKE_QUESTION})
"""What asks for an answer of its own: each is about another bike, and stands alone."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events of one kind at one place that nobody has taken note of; the newest stands for all."""

    kind: str
    subject: str
    at: datetime
    position: int
    count: int


_Kept = tuple[int, str, str, datetime]


def waiting(community: Community, now: datetime) -> list[Waiting]:
    """List what nobody has taken note of, the newest first; reads only what is new in the log."""
    key = f"attention:{community.pk}"
    upto, kept = cache.get(key) or (0, ())
    newest = Event.objects.filter(community=community.pk).aggregate(last=Max("pk"))["last"] or 0
    if newest > upto:
        fresh = Event.objects.filter(
            community=community.pk, pk__gt=upto, pk__lte=newest, at__gt=now - SHIFT, kind__in=ONCE
        ).order_by("pk")
        kept = (*kept, *fresh.values_list("pk", "kind", "subject", "at"))[-MOST_KEPT:]
    kept = tuple(one for one in kept if one[3] > now - SHIFT)
    cache.set(key, (newest, kept), timeout=26 * 3600)
    return _grouped(community, kept)


def answer(event: Event, community: Community, said: BikeAnswer, by: Actor) -> Noticed:
    """Write down what became of a question; whoever answered first stands, and is given."""
    with transaction.atomic():
        row, is_new = Noticed.objects.get_or_create(
            position=event.pk,
            defaults={
                "community": community,
                "by": by.name,
                "at": timezone.now(),
                "answer": said.value,
            },
        )
        if is_new:
            created(by, community, row, action="answer e-bike question")
    return row


def notice(event: Event, community: Community, by: Actor) -> int:
    """Take note of an event and of those like it before; give how many there were."""
    like = Event.objects.filter(
        community=community.pk,
        kind=event.kind,
        subject=event.subject,
        pk__lte=event.pk,
        at__gt=event.at - SHIFT,
    )
    now = timezone.now()
    made = [
        Noticed(position=position, community=community, by=by.name, at=now)
        for position in like.order_by("-pk").values_list("pk", flat=True)[:MOST_KEPT]
    ]
    # Who came first keeps the line.
    Noticed.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def _grouped(community: Community, kept: Sequence[_Kept]) -> list[Waiting]:
    positions = [position for position, *_rest in kept]
    seen = set(
        Noticed.objects.filter(community=community, position__in=positions).values_list(
            "position", flat=True
        )
    )
    groups: dict[tuple[str, str, int], Waiting] = {}
    for position, kind, subject, at in kept:
        if position in seen:
            continue
        key = (kind, subject, position if kind in ASKING else 0)
        before = groups.get(key)
        count = before.count + 1 if before is not None else 1
        groups[key] = Waiting(kind, subject, at, position, count)
    return sorted(groups.values(), key=lambda one: -one.position)
