"""What a worker does with a job: one step, by its kind and state."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.utils import timezone

from anlin.hub.errors import RuleError
from anlin.hub.office import bulk, exporting, importing, jobs
from anlin.hub.office.models import AT_WORK, Job, JobKind, JobState

log = logging.getLogger(__name__)

_DOES: dict[tuple[str, str], Callable[[Job], None]] = {
    (JobKind.IMPORT, JobState.CHECKING): importing.check,
    (JobKind.IMPORT, JobState.WORKING): importing.take_over,
    (JobKind.EXPORT, JobState.WORKING): exporting.make,
    (JobKind.BULK, JobState.WORKING): bulk.carry_out,
}


def do(job: Job) -> bool:
    """Do what a job waits for; False where it waits for nothing.

    A rule that is broken is told on the job's page; any other error is logged and told as a
    failure. Either way nothing was changed: the work is one transaction.
    """
    step = _DOES.get((job.kind, job.state))
    if step is None:
        return False
    was = job.state
    with jobs.working(job):
        try:
            step(job)
        except jobs.Superseded:
            log.warning("job %s: started anew meanwhile, nothing is written", job.pk)
        except RuleError as error:
            _failed(job, was, str(error))
        except Exception:
            log.exception("job %s: failed", job.pk)
            _failed(job, was, "")
            raise
    return True


def _failed(job: Job, was: str, why: str) -> None:
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=was, state__in=AT_WORK)
    mine.update(state=JobState.FAILED, ended_at=timezone.now(), counts={"why": why})
