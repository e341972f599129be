"""Taking a list over: posted, checked without writing, and after a yes written whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from anlin.hub.audit.log import Actor, noted
from anlin.hub.audit.models import Change
from anlin.hub.office import jobs
from anlin.hub.office.index import catch_up
from anlin.hub.office.models import Job, JobKind, JobState
from anlin.hub.office.plan import Plan, Read, make_plan, read_file
from anlin.hub.office.rows import Fault
from anlin.hub.people.models import Building, Community, StaffProfile

_TRIES = 3
"""So often the list is compared anew where somebody changes the registry meanwhile; after that it
is compared once more with everybody else waiting."""


def post(staff: StaffProfile, name: str, content: bytes, by: Actor) -> tuple[Job, bool]:
    """Take a file in and have it checked; the same file again is the job that it is already.

    Raises:
        RuleError: too much is being worked on already.
    """
    digest = hashlib.sha256(content).hexdigest()
    jobs.forget_old(staff.community)
    known = Job.objects.filter(
        community=staff.community, kind=JobKind.IMPORT, file_hash=digest
    ).first()
    if known is not None:
        return known, False
    try:
        with transaction.atomic():
            job = jobs.new_job(
                staff,
                JobKind.IMPORT,
                JobState.CHECKING,
                by,
                file_name=name[-120:],
                file_hash=digest,
                given=jobs.close_file("import", content),
            )
    except IntegrityError:
        # Two presses of one button, at the same moment.
        return Job.objects.get(
            community=staff.community, kind=JobKind.IMPORT, file_hash=digest
        ), False
    return job, True


def check(job: Job) -> None:
    """Read and compare a file, and say what taking it over would do; writes nothing else."""
    found, plan = _compared(job)
    faults = found.faults + plan.faults
    count = found.faults_count + len(plan.faults)
    jobs.finish(
        job,
        JobState.CHECKING,
        JobState.REFUSED if count else JobState.CHECKED,
        counts=_counts(found, plan, count),
        findings=_kept(found, plan, faults),
    )


def take_over(job: Job) -> None:
    """Write a list whole, or find that it can't be taken over any more."""
    community = job.community
    by = jobs.actor_of(job)
    for attempt in range(_TRIES + 1):
        before = _version(community)
        if attempt == _TRIES:
            with transaction.atomic():
                Community.objects.select_for_update().get(pk=community.pk)
                found, plan = _compared(job, is_told=False)
                _write(job, found, plan, by)
            break
        found, plan = _compared(job)
        jobs.Teller(job)("writing", 0, found.rows)
        with transaction.atomic():
            Community.objects.select_for_update().get(pk=community.pk)
            if _version(community) != before:
                continue
            _write(job, found, plan, by)
        break
    catch_up()


def _write(job: Job, found: Read, plan: Plan, by: Actor) -> None:
    faults = found.faults + plan.faults
    count = found.faults_count + len(plan.faults)
    counts = _counts(found, plan, count)
    if faults:
        # Somebody has changed the registry since the dry run; it has to be looked at again.
        findings = _kept(found, plan, faults)
        jobs.finish(job, JobState.WORKING, JobState.REFUSED, counts=counts, findings=findings)
        return
    jobs.finish(job, JobState.WORKING, JobState.DONE, counts=counts, given=None, findings="")
    plan.write(by)
    noted(by, job.community, job, "import", file_hash=job.file_hash, counts=counts)


def _compared(job: Job, *, is_told: bool = True) -> tuple[Read, Plan]:
    tell = jobs.Teller(job) if is_told else _silent
    content = jobs.open_file("import", job.given or b"")
    found = read_file(content, tell)
    return found, make_plan(job.community, found, jobs.scope_of(job), tell)


def _silent(step: str, done: int, total: int) -> None:
    """Tell nobody: within a transaction nobody could see it."""


def _version(community: Community) -> int:
    """Give what grows with every write by a person."""
    newest = Change.objects.filter(community=community).aggregate(newest=Max("pk"))["newest"]
    return int(newest or 0)


def _counts(found: Read, plan: Plan, faults: int) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "faults": faults,
        "buildings": len(plan.new[Building]),
        **{table: dict(count) for table, count in plan.counts.items()},
    }


def _kept(found: Read, plan: Plan, faults: list[Fault]) -> str:
    ordered = sorted(faults, key=lambda fault: (fault.sheet, fault.row, fault.column))
    kept = {
        "faults": [asdict(fault) for fault in ordered],
        "differences": [asdict(one) for one in plan.differences],
        "unknown": found.unknown[:50],
        "checked_at": timezone.now(),
    }
    return json.dumps(kept, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
