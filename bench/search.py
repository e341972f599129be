"""The search box of the desk among 50,000 people: from the query to the rows with their homes.

Beside it the same question put to the tables themselves: a scan of names, homes and keys.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bench.report import Figure, quantile, say
from bench.rig.processes import folder

if TYPE_CHECKING:
    from anlin.hub.people.models import Community, StaffProfile

PEOPLE, HOMES, BUILDINGS = 50_000, 20_000, 40
ROUNDS, SCANS = 60, 5
TARGET_MS = 100.0
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN = "安宁远青红明华强伟芳娜秀英敏静丽军磊洋艳勇杰娟涛超霞平刚桂文辉玲建国海燕鹏飞雪梅"


def run() -> Iterator[Figure]:
    """Fill a hub's tables, then ask."""
    with folder("search") as home:
        os.environ.update(ANLIN_HOME=str(home), DJANGO_SETTINGS_MODULE="anlin.hub.settings")
        import django

        django.setup()
        yield from _measure()


def _measure() -> Iterator[Figure]:
    from django.core.management import call_command
    from django.utils import timezone

    from anlin.hub.audit.log import Actor
    from anlin.hub.office import index
    from anlin.hub.office.search import search
    from anlin.hub.people import services as people
    from anlin.hub.people.models import Role

    call_command("prepare")
    by = Actor.command("bench")
    community = people.create_community("Tianbao", by)
    staff, _password = people.add_staff(community, "guo", Role.GUARD, by)
    say(f"  making {PEOPLE:,} people")
    queries = _fill(community)
    say("  making the index")
    began = time.perf_counter()
    index.rebuild()
    built = time.perf_counter() - began

    def ours(query: str) -> None:
        index.catch_up()
        search(staff, query, timezone.now())

    peer = "a scan of the tables"
    for name, asked in queries.items():
        spent = _timed(ours, asked[:ROUNDS])
        scanned = _timed(lambda query: _scan(staff, query), asked[:SCANS])
        n, target, beside = len(spent), TARGET_MS, quantile(scanned, 0.5)
        yield Figure(f"search.{name}.p50", quantile(spent, 0.5), "ms", n, target, peer, beside)
        yield Figure(f"search.{name}.p99", quantile(spent, 0.99), "ms", n, target)
    yield Figure("search.index", built, "s", PEOPLE)


def _fill(community: Community) -> dict[str, list[str]]:
    """Make homes, people, cards and plates; give what to ask by kind."""
    from anlin.hub.access.models import Credential
    from anlin.hub.people.models import Building, Holder, Residency, ResidencyKind, Unit
    from anlin.hub.people.services import set_phone

    dice = random.Random(4)
    buildings = [Building(community=community, name=f"{n + 1}栋") for n in range(BUILDINGS)]
    Building.objects.bulk_create(buildings)
    units = []
    for number in range(HOMES):
        place, home = number % BUILDINGS, number // BUILDINGS
        code = f"{place + 1}-{home // 4 + 1}{home % 4 + 1:02}"
        units.append(Unit(building=buildings[place], code=code))
    Unit.objects.bulk_create(units)
    holders, homes, held = [], [], []
    for number in range(PEOPLE):
        given = "".join(dice.choices(_GIVEN, k=dice.choice((1, 2, 2))))
        holder = Holder(community=community, name=dice.choice(_SURNAMES) + given)
        set_phone(holder, f"13{number:09}")
        holders.append(holder)
        unit = units[number % HOMES]
        homes.append(Residency(holder=holder, unit=unit, kind=ResidencyKind.OWNER))
        card = Credential(community=community, holder=holder, method="card", key=f"04{number:08X}")
        held.append(card)
        if number % 3 == 0:
            key = f"京A{number:05}"
            car = Credential(community=community, holder=holder, method="plate", key=key)
            held.append(car)
    Holder.objects.bulk_create(holders)
    Residency.objects.bulk_create(homes)
    Credential.objects.bulk_create(held)
    some = dice.sample(range(PEOPLE), ROUNDS)
    return {
        "name": [holders[n].name for n in some],
        "piece": [holders[n].name[-1] for n in some],
        "home": [units[n % HOMES].code for n in some],
        "tail": [f"{n % 10_000:04}" for n in some],
        "phone": [f"13{n:09}" for n in some],
        "plate": [f"京A{n - n % 3:05}" for n in some],
        "card": [f"04{n:08X}" for n in some],
    }


def _scan(staff: StaffProfile, query: str) -> None:
    from django.db.models import Q

    from anlin.hub.people.models import Holder

    found = Holder.objects.filter(community=staff.community).filter(
        Q(name__icontains=query)
        | Q(phone_tail=query[-4:])
        | Q(residencies__unit__code__icontains=query)
        | Q(credentials__key__icontains=query)
    )
    list(found.distinct().order_by("name").prefetch_related("residencies__unit")[:30])


def _timed(ask: Callable[[str], None], queries: list[str]) -> list[float]:
    """Give milliseconds for each query, the first asked once before."""
    ask(queries[0])
    spent = []
    for query in queries:
        began = time.perf_counter()
        ask(query)
        spent.append((time.perf_counter() - began) * 1000)
    return spent
