"""Long work: asked for on a page, done by a process of its own, shown while it goes on.

A worker holds a lock on a file for as long as it lives. The kernel lets go of it however the
worker ends, so a page tells at once whether anybody is still at work, and never guesses by time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from anlin.hub import vault
from anlin.hub.audit.log import Actor, Via, noted
from anlin.hub.errors import RuleError
from anlin.hub.office.models import AT_WORK, Job, JobKind, JobState
from anlin.hub.people.models import Community, StaffProfile
from anlin.hub.permissions import buildings_of

KEPT = timedelta(days=1)
"""So long a file with people's data waits for a yes, or to be fetched; then its content goes."""

START_WAIT = timedelta(seconds=30)
"""A busy small board takes most of this to load Django for a new process."""

TELL_EVERY_S = 0.5
MAX_AT_WORK = 2
"""More at once would take the machine from the pages; who comes third is told to wait."""


def new_job(staff: StaffProfile, kind: JobKind, state: JobState, by: Actor, **fields: Any) -> Job:
    """Write down what is asked for, and start a worker where the state wants one.

    Raises:
        RuleError: too much is being worked on already.
    """
    community = staff.community
    forget_old(community)
    with transaction.atomic():
        if state in AT_WORK:
            _refuse_crowd(community)
        job = Job.objects.create(
            community=community,
            kind=kind,
            staff=staff,
            by=by.name,
            state=state,
            asked_at=timezone.now(),
            **fields,
        )
        noted(by, community, job, f"ask for {kind.value}", **_about(job))
        if state in AT_WORK:
            transaction.on_commit(lambda: start(job))
    return job


def ask(job: Job, was: JobState, state: JobState, by: Actor) -> bool:
    """Let a worker go on with a job; False where somebody was quicker, and nothing happens."""
    with transaction.atomic():
        _refuse_crowd(job.community)
        moved = Job.objects.filter(pk=job.pk, state=was, attempt=job.attempt).update(
            state=state,
            attempt=job.attempt + 1,
            asked_at=timezone.now(),
            ended_at=None,
            step="",
            done=0,
            total=0,
        )
        if moved != 1:
            return False
        job.refresh_from_db()
        noted(by, job.community, job, f"go on with {job.kind}", **_about(job))
        transaction.on_commit(lambda: start(job))
    return True


def start(job: Job) -> None:
    """Start the worker: a process of its own, which outlives the one that shows the pages."""
    command = [sys.executable, "-m", "anlin.hub.manage", "office_work", job.pk, str(job.attempt)]
    subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=True,
    )


def looked_at(job: Job, now: datetime) -> Job:
    """Give a job as it is now: one whose worker has died is written down as interrupted."""
    if job.state not in AT_WORK or _has_worker(job, now):
        return job
    # It may have ended well between the two looks: then its row says so.
    Job.objects.filter(pk=job.pk, attempt=job.attempt, state__in=AT_WORK).update(
        state=JobState.INTERRUPTED, ended_at=now
    )
    job.refresh_from_db()
    return job


@contextlib.contextmanager
def working(job: Job) -> Iterator[None]:
    """Hold the lock that says that somebody works on this."""
    path = _lock_path(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


class Teller:
    """Writes how far a job is, now and then, where the page can see it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._last = 0.0
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step == self._step and done != total and now - self._last < TELL_EVERY_S:
            return
        self._last, self._step = now, step
        Job.objects.filter(pk=self._job.pk, attempt=self._job.attempt).update(
            step=step, done=done, total=total
        )


class Superseded(Exception):
    """Somebody has started this anew; the older worker writes nothing."""


def finish(job: Job, was: JobState, state: JobState, **fields: Any) -> None:
    """Say how a job ended; in a transaction this is part of what it did.

    Raises:
        Superseded: the job is no longer this worker's.
    """
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=was)
    if mine.update(state=state, ended_at=timezone.now(), **fields) != 1:
        raise Superseded(job.pk)


def actor_of(job: Job) -> Actor:
    """Name the person who asked, in every line that the worker writes."""
    return Actor(job.by, Via.PAGE, job.staff.user if job.staff is not None else None)


def scope_of(job: Job) -> frozenset[str] | None:
    """Give the buildings that the person who asked works for; nobody's scope is empty."""
    return frozenset() if job.staff is None else buildings_of(job.staff)


def close_file(job_use: str, content: bytes) -> bytes:
    """Close a file for the database."""
    return vault.close(content, f"office {job_use}")


def open_file(job_use: str, closed: bytes | memoryview) -> bytes:
    """Open what `close_file` closed."""
    return vault.reveal(bytes(closed), f"office {job_use}")


def findings_of(job: Job) -> dict[str, Any]:
    """Give the bad rows and the differences that a worker found."""
    found: dict[str, Any] = json.loads(job.findings) if job.findings else {}
    return found


def forget_old(community: Community) -> None:
    """Let go of files that nobody came back for."""
    old = Job.objects.filter(community=community, asked_at__lt=timezone.now() - KEPT)
    old.exclude(given=None, made=None, findings="").update(given=None, made=None, findings="")
    old.exclude(state=JobState.DONE).exclude(file_hash="").update(file_hash="")


def _refuse_crowd(community: Community) -> None:
    now = timezone.now()
    busy = Job.objects.filter(community=community, state__in=AT_WORK)
    if sum(_has_worker(job, now) for job in busy) >= MAX_AT_WORK:
        raise RuleError(
            _("%(count)d such jobs are at work already; wait until one is done.")
            % {"count": MAX_AT_WORK}
        )


def _has_worker(job: Job, now: datetime) -> bool:
    try:
        handle = os.open(_lock_path(job), os.O_RDWR)
    except FileNotFoundError:
        return now - job.asked_at < START_WAIT
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lock_path(job: Job) -> Path:
    return Path(settings.HUB_HOME) / "office" / f"{job.pk}-{job.attempt}.lock"


def _about(job: Job) -> dict[str, Any]:
    """Give what the change log says of a job: no names, but the file, the purpose and the act."""
    told = {name: getattr(job, name) for name in ("attempt", "file_hash", "file_name")}
    said = {"purpose": "purpose", "reason": "reason", "action": "act"}
    return told | {word: job.params[name] for name, word in said.items() if name in job.params}
