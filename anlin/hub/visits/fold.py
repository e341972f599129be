"""Who came and went, from the passages of the event log."""

from __future__ import annotations

from collections.abc import Sequence

from anlin.core import visit as core
from anlin.core.event import EventKind
from anlin.hub.access.models import Portal
from anlin.hub.errors import RuleError
from anlin.hub.events.models import Event
from anlin.hub.visits import services
from anlin.hub.visits.models import Visit

KINDS = frozenset({EventKind.ACCESS_TAKEN.value})

_AGREED = [state.value for state in core.AGREED]


def apply(events: Sequence[Event]) -> None:
    """Fold events, in the order of the log; in the transaction of `events.fold`.

    A passage that comes to be known twice moves a visit once: who is inside comes in no second
    time.
    """
    moves = [
        event
        for event in events
        if event.kind == EventKind.ACCESS_TAKEN and isinstance(event.data, dict)
    ]
    holders = {str(event.data.get("holder") or "") for event in moves} - {""}
    visits = {
        visit.holder_id: visit
        for visit in Visit.objects.filter(holder__in=holders, state__in=_AGREED)
    }
    if not visits:
        return
    inner = set(
        Portal.objects.filter(pk__in={event.subject for event in moves})
        .exclude(building=None)
        .values_list("pk", flat=True)
    )
    for event in moves:
        visit = visits.get(str(event.data.get("holder") or ""))
        if visit is None or visit.community_id != event.community:
            continue
        goes = event.data.get("exit") is True and not event.data.get("area")
        if goes and event.subject in inner:
            # Out of a building is not out of the community.
            continue
        try:
            moved = services.depart(visit, event.at) if goes else services.arrive(visit, event.at)
        except RuleError:
            # It was called off while the passage was on its way here.
            continue
        visits[visit.holder_id] = moved
