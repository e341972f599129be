from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from anlin.hub import jobs
from anlin.hub.jobs import Job, run_once
from anlin.hub.visits.models import JobRun

pytestmark = pytest.mark.django_db


def counted(every_s: float = 60, longest_s: float = 10) -> tuple[Job, list[int]]:
    runs: list[int] = []
    return Job("test.count", every_s, lambda: runs.append(1), longest_s), runs


def test_a_job_runs_when_it_is_due_and_not_before() -> None:
    one, runs = counted()
    now = timezone.now()
    assert run_once(one, now)
    assert not run_once(one, now + timedelta(seconds=59))
    assert run_once(one, now + timedelta(seconds=60))
    assert len(runs) == 2


def test_of_two_runners_one_gets_it() -> None:
    one, runs = counted()
    now = timezone.now()
    inner: list[bool] = []
    outer = Job("test.count", 0, lambda: inner.append(run_once(one, now)), 10)
    assert run_once(outer, now)
    assert inner == [False]
    assert runs == []


def test_a_runner_that_was_killed_loses_its_job_when_the_claim_ends() -> None:
    one, runs = counted(every_s=1, longest_s=10)
    now = timezone.now()
    # As kill -9 leaves it: claimed, and never given back.
    JobRun.objects.create(name=one.name, started_at=now, claimed_until=now + timedelta(seconds=10))
    assert not run_once(one, now + timedelta(seconds=9))
    assert run_once(one, now + timedelta(seconds=10))
    assert len(runs) == 1


def test_a_job_that_fails_is_told_and_tried_again_soon() -> None:
    def fail() -> None:
        raise OSError("no room left")

    one, now = Job("test.fail", 3600, fail, 10), timezone.now()
    assert run_once(one, now)
    row = JobRun.objects.get(name=one.name)
    assert (row.fault, row.failures, row.claimed_until) == ("OSError: no room left", 1, None)
    assert not run_once(one, now + timedelta(seconds=59))
    assert run_once(one, now + timedelta(seconds=61))
    assert run_once(Job("test.fail", 3600, lambda: None, 10), now + timedelta(seconds=130))
    row.refresh_from_db()
    assert (row.fault, row.failures) == ("", 0)


def test_the_visits_jobs_are_registered_and_run() -> None:
    names = set(jobs.jobs())
    assert {"visits.jobs.move_visits", "visits.jobs.forget_visitors"} <= names
    assert run_once(jobs.jobs()["visits.jobs.move_visits"])
    assert JobRun.objects.get(name="visits.jobs.move_visits").fault == ""
