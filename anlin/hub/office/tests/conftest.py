from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from anlin.hub.audit.log import Actor
from anlin.hub.console.tests import conftest as console
from anlin.hub.console.tests.world import World
from anlin.hub.office import importing, jobs, work
from anlin.hub.office.models import Job
from anlin.hub.office.rows import COLUMNS, TITLES, Table
from anlin.hub.office.workbook import book_of
from anlin.hub.people.models import StaffProfile

_catalogues, sign_in, world = console._catalogues, console.sign_in, console.world


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.HUB_HOME = tmp_path


@pytest.fixture
def meng(world: World) -> StaffProfile:
    return world.staff["meng"]


@pytest.fixture
def by(meng: StaffProfile) -> Actor:
    return Actor.command("test")


Send = Callable[..., Job]


@pytest.fixture
def send(meng: StaffProfile, by: Actor) -> Send:
    """Post a file as the manager and let the worker check it."""

    def sent(content: bytes, staff: StaffProfile | None = None) -> Job:
        job, _is_new = importing.post(staff or meng, "list.xlsx", content, by)
        return worked(job)

    return sent


def worked(job: Job) -> Job:
    """Do what a job waits for, here instead of in a process of its own."""
    job = Job.objects.select_related("community", "staff__user").get(pk=job.pk)
    work.do(job)
    return Job.objects.get(pk=job.pk)


def taken(job: Job, by: Actor) -> Job:
    """Say yes to a checked list and let the worker take it over."""
    from anlin.hub.office.models import JobState

    assert jobs.ask(job, JobState.CHECKED, JobState.WORKING, by), job.counts
    return worked(job)


def people_sheet(*rows: Sequence[Any]) -> tuple[str, list[Sequence[Any]]]:
    """Give a sheet of people: building, entrance, home, name, telephone, kind and so on."""
    return (TITLES[Table.PEOPLE], [[c.heading for c in COLUMNS[Table.PEOPLE]], *rows])


def homes_sheet(*rows: Sequence[Any]) -> tuple[str, list[Sequence[Any]]]:
    return (TITLES[Table.HOMES], [[c.heading for c in COLUMNS[Table.HOMES]], *rows])


def vehicles_sheet(*rows: Sequence[Any]) -> tuple[str, list[Sequence[Any]]]:
    return (TITLES[Table.VEHICLES], [[c.heading for c in COLUMNS[Table.VEHICLES]], *rows])


def book(*sheets: tuple[str, list[Sequence[Any]]]) -> bytes:
    return book_of(sheets)


def faults(job: Job) -> list[tuple[int, str, str]]:
    """Give what is wrong with a file: row, column's Chinese name, code."""
    return [
        (fault["row"], fault["column"].split(" ")[0], fault["code"])
        for fault in jobs.findings_of(job)["faults"]
    ]
