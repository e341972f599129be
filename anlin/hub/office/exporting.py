"""Lists that go out: for a purpose, with who took them written into them and into the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from anlin.core.entities import Method
from anlin.hub.access.models import Credential
from anlin.hub.audit.log import Actor, viewed
from anlin.hub.errors import RuleError
from anlin.hub.office import jobs
from anlin.hub.office.models import Job, JobKind, JobState
from anlin.hub.office.plan import last_day, masked_phone
from anlin.hub.office.rows import COLUMNS, KIND_WORDS, TITLES, USE_WORDS, Table
from anlin.hub.office.workbook import book_of, csv_of
from anlin.hub.people.models import (
    Holder,
    HolderStatus,
    Residency,
    ResidencyKind,
    StaffProfile,
    Unit,
    UnitUse,
)
from anlin.hub.permissions import holders_in_scope, units_in_scope

REASON_CHARS = 120
_CHUNK = 2_000


class Purpose(models.TextChoices):
    """Why a list leaves the platform; some need the telephones, the others get them masked."""

    CHECK = "check", _("Checking the list of homes and people")
    FIGURES = "figures", _("Figures and planning")
    CALLING = "calling", _("Calling residents")
    AUTHORITY = "authority", _("An authority asked for it")
    MOVING = "moving", _("Keeping a copy, or moving to another system")


WITH_PHONES = frozenset({Purpose.CALLING, Purpose.AUTHORITY, Purpose.MOVING})


class Format(models.TextChoices):
    XLSX = "xlsx", _("Excel workbook: homes, people and vehicles")
    CSV = "csv", _("CSV: people only")


def ask_for(
    staff: StaffProfile, purpose: Purpose, reason: str, form: Format, building: str, by: Actor
) -> Job:
    """Have a list made; `building` is an id, or empty for all.

    Raises:
        RuleError: no reason is given, or too much is being worked on already.
    """
    reason = " ".join(reason.split())[:REASON_CHARS]
    if len(reason) < 2:
        said = _("Say what for: it is written into the list and into the log.")
        raise RuleError(str(said), "reason")
    params = {
        "purpose": purpose.value,
        "reason": reason,
        "format": form.value,
        "building": building,
        "asked": timezone.now().isoformat(timespec="seconds"),
    }
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M")
    return jobs.new_job(
        staff,
        JobKind.EXPORT,
        JobState.WORKING,
        by,
        params=params,
        file_name=f"anlin-{stamp}.{form.value}",
    )


def make(job: Job) -> None:
    """Make the list and keep it closed until it is fetched; the log tells whom it holds."""
    if job.staff is None:
        raise RuleError(str(_("Who asked for this has no log-in here any more.")))
    tell = jobs.Teller(job)
    whole = Lists(job.staff, job.params, job.by, tell)
    if job.params["format"] == Format.CSV:
        content = csv_of(whole.people())
    else:
        content = book_of(
            (
                (TITLES[Table.PEOPLE], whole.people()),
                (TITLES[Table.HOMES], whole.homes()),
                (TITLES[Table.VEHICLES], whole.vehicles()),
            )
        )
    by = jobs.actor_of(job)
    purpose = f"{Purpose(job.params['purpose']).value}: {job.params['reason']}"
    with transaction.atomic():
        jobs.finish(
            job,
            JobState.WORKING,
            JobState.DONE,
            made=jobs.close_file("export", content),
            counts={"people": len(whole.seen)},
        )
        viewed(by, job.community, "export", sorted(whole.seen), purpose)


class Lists:
    """The lists as one member of staff may have them for one purpose."""

    def __init__(
        self, staff: StaffProfile, params: dict[str, Any], by: str, tell: jobs.Teller
    ) -> None:
        self._staff = staff
        self._zone = ZoneInfo(staff.community.zone)
        self._now = timezone.now()
        self._shows_phones = Purpose(params["purpose"]) in WITH_PHONES
        self._params = params
        self._by = by
        self._tell = tell
        self.seen: set[str] = set()

    def watermark(self) -> Sequence[str]:
        """Give the line that stands above every list: who took it, when, what for."""
        local = self._now.astimezone(self._zone).strftime("%Y-%m-%d %H:%M")
        purpose = Purpose(self._params["purpose"])
        return (
            f"{self._staff.community.name} · {self._by} · {local} · {purpose.label}: "
            f"{self._params['reason']} · 仅限此用途，不得转交 For this purpose only",
        )

    def people(self) -> Iterator[Sequence[Any]]:
        """Give one row for each person in each home now or later, as the template has them."""
        yield from self._head(Table.PEOPLE)
        known = holders_in_scope(self._staff)
        rows = (
            Residency.objects.filter(holder__in=known, unit__in=self._units())
            .filter(models.Q(ends_at=None) | models.Q(ends_at__gt=self._now))
            .exclude(holder__status=HolderStatus.LEFT)
            .select_related("holder", "unit__building")
            .order_by("unit__building__name", "unit__code", "holder__name", "pk")
        )
        total = rows.count()
        for number, row in enumerate(rows.iterator(chunk_size=_CHUNK), start=1):
            holder, unit = row.holder, row.unit
            self.seen.add(holder.pk)
            yield (
                unit.building.name,
                unit.entrance,
                unit.code,
                holder.name,
                self._phone(holder),
                KIND_WORDS[ResidencyKind(row.kind)],
                self._day(row.starts_at),
                str(last_day(row.ends_at, self._zone)) if row.ends_at else "",
                holder.greeting,
                holder.note,
            )
            self._tell("people", number, total)

    def homes(self) -> Iterator[Sequence[Any]]:
        """Give one row for each home."""
        yield from self._head(Table.HOMES)
        rows = self._units().select_related("building").order_by("building__name", "code")
        total = rows.count()
        for number, unit in enumerate(rows.iterator(chunk_size=_CHUNK), start=1):
            yield (
                unit.building.name,
                unit.entrance,
                unit.code,
                "" if unit.floor is None else unit.floor,
                "" if unit.area_m2 is None else float(unit.area_m2),
                USE_WORDS[UnitUse(unit.use)],
                unit.external_code,
            )
            self._tell("homes", number, total)

    def vehicles(self) -> Iterator[Sequence[Any]]:
        """Give one row for each plate, with the first home of whose it is."""
        yield from self._head(Table.VEHICLES)
        lasting = (
            Residency.objects.filter(unit__in=self._units())
            .filter(models.Q(ends_at=None) | models.Q(ends_at__gt=self._now))
            .select_related("unit__building")
        )
        plates = (
            Credential.objects.filter(
                holder__in=holders_in_scope(self._staff), method=Method.PLATE.value
            )
            .exclude(status="revoked")
            .select_related("holder")
            .prefetch_related(models.Prefetch("holder__residencies", lasting))
            .order_by("key")
        )
        for car in plates.iterator(chunk_size=_CHUNK):
            home = next(iter(car.holder.residencies.all()), None)
            if home is None:
                continue
            self.seen.add(car.holder_id)
            yield (
                car.key,
                home.unit.building.name,
                home.unit.entrance,
                home.unit.code,
                car.holder.name,
                self._phone(car.holder),
            )

    def _units(self) -> models.QuerySet[Unit]:
        units = units_in_scope(self._staff)
        building = self._params["building"]
        return units.filter(building=building) if building else units

    def _head(self, table: Table) -> Iterable[Sequence[str]]:
        return (self.watermark(), tuple(column.heading for column in COLUMNS[table]))

    def _phone(self, holder: Holder) -> str:
        return holder.phone if self._shows_phones else masked_phone(holder.phone)

    def _day(self, at: datetime | None) -> str:
        return "" if at is None else str(at.astimezone(self._zone).date())
