"""What waits for the office: every app puts its queues here, one line each.

    register(Queue("approvals", _("Requests to join"), "person", look, url="join:waiting"))

in the app's module `queues`, which is imported at the start. `look` counts what a member of staff
may see; with `rows` the queue has a page of its own, without it `url` names the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.utils.functional import Promise

from anlin.hub.people.models import Role, StaffProfile

MOST_ROWS = 200
"""Nobody works through more in a day; the count says how many there are."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits, and since when (or, for what is to come, when the first is due)."""

    count: int
    oldest: datetime | date | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a queue's page."""

    title: str
    detail: str
    url: str
    when: datetime | date | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue: its name, who sees it, how it is counted, where it is worked off."""

    key: str
    title: Promise
    icon: str
    look: Callable[[StaffProfile, datetime], Waiting]
    url: str = ""
    rows: Callable[[StaffProfile, datetime], Sequence[Item]] | None = None
    roles: frozenset[str] = frozenset({Role.MANAGER})
    help: Promise | None = None
    is_due: bool = False
    """Whether `oldest` is when the first is due, not since when it waits."""


_QUEUES: dict[str, Queue] = {}


def register(queue: Queue) -> None:
    """Put a queue on the page.

    Raises:
        ValueError: it leads nowhere, or another app has that key.
    """
    if queue.key in _QUEUES and _QUEUES[queue.key].look is not queue.look:
        raise ValueError(f"queue {queue.key}: another app has that key")
    if not queue.url and queue.rows is None:
        raise ValueError(f"queue {queue.key}: it needs a page (url) or lines of its own (rows)")
    _QUEUES[queue.key] = queue


def queues_for(role: str) -> list[Queue]:
    """Give the queues of a role, in the order in which the apps came."""
    return [queue for queue in _QUEUES.values() if role in queue.roles]


def queue(key: str, role: str) -> Queue | None:
    """Give one queue that a role may see."""
    found = _QUEUES.get(key)
    return found if found is not None and role in found.roles else None
