"""A property company's workbook: 5,000 homes and 12,000 people checked, then taken over whole.

Each step runs in the worker process that a page starts, its start included. Beside it the same
people registered one by one by the service that the form uses.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.report import Figure, say
from bench.rig.processes import folder

if TYPE_CHECKING:
    from anlin.hub.office.models import Job

BUILDINGS, HOMES_EACH = 25, 200
PEOPLE_EACH = (2, 3, 2, 3, 2)
"""12,000 in 5,000 homes."""
CARS_EVERY = 3
TARGET_S = 30.0
ONE_BY_ONE = 150
POLL_S = 0.2
PATIENCE_S = 300.0


def run() -> Iterator[Figure]:
    """Check and take over; then register some one by one."""
    with folder("imports") as home:
        os.environ.update(ANLIN_HOME=str(home), DJANGO_SETTINGS_MODULE="anlin.hub.settings")
        import django

        django.setup()
        yield from _measure()


def _measure() -> Iterator[Figure]:
    from django.core.management import call_command

    from anlin.hub.audit.log import Actor
    from anlin.hub.office import importing, jobs
    from anlin.hub.office.models import JobState
    from anlin.hub.people import services as people
    from anlin.hub.people.models import Holder, Role

    call_command("prepare")
    by = Actor.command("bench")
    community = people.create_community("Tianbao", by)
    staff, _password = people.add_staff(community, "meng", Role.MANAGER, by)
    say("  writing the workbook")
    content, count = workbook()

    began = time.perf_counter()
    job, _is_new = importing.post(staff, "homes.xlsx", content, by)
    checked = _waited(job, began)
    if job.state != JobState.CHECKED:
        raise RuntimeError(f"the list was not accepted: {job.state} {job.counts}")
    began = time.perf_counter()
    jobs.ask(job, JobState.CHECKED, JobState.WORKING, by)
    taken = _waited(job, began)
    if job.state != JobState.DONE or Holder.objects.count() != count:
        raise RuntimeError(f"the list was not taken over: {job.state} {job.counts}")

    building = people.add_building(community, "one by one", by)
    unit = people.add_unit(building, "99-101", by)
    began = time.perf_counter()
    for number in range(ONE_BY_ONE):
        people.register_holder(community, f"住户{number}", by, unit=unit, phone=f"139{number:08}")
    alone = (time.perf_counter() - began) / ONE_BY_ONE * count

    yield Figure("imports.check", checked, "s", count, TARGET_S)
    yield Figure("imports.take_over", taken, "s", count, TARGET_S, "one by one", alone)


def workbook() -> tuple[bytes, int]:
    """Make the workbook; give it and how many people it has."""
    from anlin.hub.office.rows import COLUMNS, TITLES, Table
    from anlin.hub.office.workbook import book_of

    homes: list[list[object]] = []
    persons: list[list[object]] = []
    cars: list[list[object]] = []
    for number in range(BUILDINGS * HOMES_EACH):
        building = f"{number // HOMES_EACH + 1}栋"
        floor, room = number % HOMES_EACH // 8 + 1, number % 8 + 1
        code = f"{floor}{room:02}"
        homes.append([building, "", code, floor, 89.5, "自住", ""])
        for person in range(PEOPLE_EACH[number % len(PEOPLE_EACH)]):
            kind = "业主" if person == 0 else "家属"
            phone = f"138{number:05}{person:03}"
            name = f"住户{number}-{person}"
            persons.append([building, "", code, name, phone, kind, "", "", "", ""])
        if number % CARS_EVERY == 0:
            cars.append([f"京A{number:05}", building, "", code, f"住户{number}-0", ""])
    lists = ((Table.HOMES, homes), (Table.PEOPLE, persons), (Table.VEHICLES, cars))
    content = book_of(
        (TITLES[table], [[column.heading for column in COLUMNS[table]], *rows])
        for table, rows in lists
    )
    return content, len(persons)


def _waited(job: Job, began: float) -> float:
    """Wait as the page does, until the worker is done; give the seconds."""
    from anlin.hub.office.models import AT_WORK

    until = time.monotonic() + PATIENCE_S
    step = ""
    while time.monotonic() < until:
        job.refresh_from_db()
        if job.step != step:
            step = job.step
            say(f"  {time.perf_counter() - began:.1f} s: {step or 'asked'}")
        if job.state not in AT_WORK:
            return time.perf_counter() - began
        time.sleep(POLL_S)
    raise RuntimeError(f"the worker did not end in {PATIENCE_S:.0f} s")
