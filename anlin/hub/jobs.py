"""Work that comes round by the clock: visits that end, what is no longer kept.

An app puts its jobs into its own `jobs.py`:

    @job(every_s=60)
    def end_visits() -> None: ...

`worker` runs what is due. When a job ran last is stored; it is claimed by one conditional update,
so that of several runners one gets it, and one that was killed loses it when its claim ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from anlin.hub.visits.models import JobRun

log = logging.getLogger(__name__)

LONGEST_RUN_S = 600
"""A job that has not come back by then was killed with its runner; another may take it."""

FAILED_AGAIN_S = 60
"""A job that failed is tried again so soon, where it would else wait for hours."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to do, how often; `longest_s` is how long it may take."""

    name: str
    every_s: float
    run: Callable[[], object]
    longest_s: float


_JOBS: dict[str, Job] = {}


def job(
    *, every_s: float, longest_s: float = LONGEST_RUN_S
) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register a function that the worker calls every so many seconds.

    It may be cut off at any point and called again: it has to find for itself what is left.
    """

    def register(do: Callable[[], object]) -> Callable[[], object]:
        name = f"{do.__module__.removeprefix('anlin.hub.')}.{do.__name__}"[:60]
        _JOBS[name] = Job(name, every_s, do, longest_s)
        return do

    return register


def jobs() -> dict[str, Job]:
    """Give every job of every app by its name."""
    autodiscover_modules("jobs")
    return dict(_JOBS)


def run_due(now: datetime | None = None) -> bool:
    """Run what is due; say whether anything was."""
    did = False
    for one in jobs().values():
        did = run_once(one, now) or did
    return did


def run_once(one: Job, now: datetime | None = None) -> bool:
    """Run one job if it is due and nobody else runs it; say whether it ran.

    What it raises is written down, for the office to read, and ends nothing else.
    """
    at = now or timezone.now()
    JobRun.objects.get_or_create(name=one.name)
    due = Q(started_at=None) | Q(started_at__lte=at - timedelta(seconds=one.every_s))
    again = Q(failures__gt=0, started_at__lte=at - timedelta(seconds=FAILED_AGAIN_S))
    free = Q(claimed_until=None) | Q(claimed_until__lte=at)
    claimed = JobRun.objects.filter(free, due | again, name=one.name).update(
        started_at=at, claimed_until=at + timedelta(seconds=one.longest_s)
    )
    if not claimed:
        return False
    mine = JobRun.objects.filter(name=one.name, started_at=at)
    try:
        one.run()
    except Exception as error:
        log.exception("job %s failed", one.name)
        failures = mine.values_list("failures", flat=True).first() or 0
        mine.update(
            claimed_until=None,
            finished_at=timezone.now(),
            fault=f"{type(error).__name__}: {error}"[:200],
            failures=failures + 1,
        )
    else:
        mine.update(claimed_until=None, finished_at=timezone.now(), fault="", failures=0)
    finally:
        close_old_connections()
    return True
