"""Where in the event log a time stands.

The log has no index by time and needs none: positions are given in the order in which the hub
received, so a time is found by halving, some twenty-five small queries in a log of any length.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Max, Min

from anlin.hub.events.models import Event


def position_before(at: datetime) -> int:
    """Give the position of the last event that was received before a time; 0 for none."""
    ends = Event.objects.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return 0
    low, high = ends["first"] - 1, ends["last"]
    # Everything up to `low` was received before; nothing after `high` was.
    while low < high:
        middle = (low + high + 1) // 2
        found = (
            Event.objects.filter(pk__gte=middle).order_by("pk").values_list("pk", "received_at")[0]
        )
        if found[1] < at:
            low = min(found[0], high)
        else:
            high = middle - 1
    return int(low)
