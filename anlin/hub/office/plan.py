"""What taking a list over would do: every row compared with the registry, nothing written.

The same plan is what a dry run shows and what is written afterwards, whole or not at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.utils import timezone

from anlin.core.entities import HolderKind, Method
from anlin.hub.access.models import Credential
from anlin.hub.access.parking import cars_of
from anlin.hub.access.policy import publish
from anlin.hub.audit.log import Actor, all_changed, created, state_of
from anlin.hub.office import rows as lists
from anlin.hub.office.rows import Fault, Head, Line, Table
from anlin.hub.office.sheets import SheetError, read
from anlin.hub.people.models import (
    Building,
    Community,
    Holder,
    HolderStatus,
    Residency,
    ResidencyKind,
    Unit,
    UnitUse,
)
from anlin.hub.people.services import phone_index, set_phone

Tell = Callable[[str, int, int], None]
"""Told how far it is: the step, how many are done, of how many."""

MAX_FAULTS = 2_000
"""Who has more has mistaken a column; the count goes on."""
MAX_SHOWN_CHANGES = 500
_BATCH = 400
_EACH = 500
"""Rows between two words about how far it is."""


@dataclass(slots=True)
class Read:
    """A file, read: its lines by list, and what is wrong with it."""

    lines: dict[Table, list[Line]]
    faults: list[Fault] = field(default_factory=list)
    faults_count: int = 0
    rows: int = 0
    unknown: list[str] = field(default_factory=list)
    """Headings that nothing is read from."""

    def blame(self, *faults: Fault) -> None:
        """Keep faults, as many as anybody reads."""
        self.faults_count += len(faults)
        self.faults.extend(faults[: max(0, MAX_FAULTS - len(self.faults))])


def read_file(content: bytes, tell: Tell) -> Read:
    """Read every list of a file; what can't be read at all is its one fault."""
    found = Read({table: [] for table in Table})
    sheet_name = ""
    is_any = False
    try:
        for sheet in read(content):
            sheet_name = sheet.name
            head: Head | None = None
            for row in sheet.rows:
                if head is None:
                    if row[0] > lists.HEADINGS_WITHIN:
                        break
                    seen = lists.head_of(row, sheet.name)
                    if isinstance(seen, Fault):
                        found.blame(seen)
                        is_any = True
                        break
                    if seen is not None:
                        head, is_any = seen, True
                        found.unknown.extend(f"{sheet.name} {name}" for name in seen.unknown)
                    continue
                line, faults = lists.line_of(head, row, sheet.name)
                found.blame(*faults)
                if line is not None:
                    found.rows += 1
                    if not faults:
                        found.lines[head.table].append(line)
                    if found.rows % _EACH == 0:
                        tell("reading", found.rows, 0)
    except SheetError as error:
        found.blame(Fault(error.code, sheet_name, params=error.params))
        return found
    if not is_any:
        found.blame(Fault("no_table"))
    elif not found.rows and not found.faults:
        found.blame(Fault("empty"))
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that the registry knows, and what would become of it."""

    sheet: str
    row: int
    who: str
    home: str
    what: tuple[tuple[str, str, str], ...]
    """(field, before, after)."""


@dataclass(slots=True)
class Plan:
    """What would be written."""

    community: Community
    zone: Any
    now: datetime
    scope: frozenset[str] | None
    """Ids of the buildings that the person who asked works for; None is all."""
    faults: list[Fault] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {table.value: Counter() for table in Table}
    )
    new: dict[Any, list[Any]] = field(
        default_factory=lambda: {
            kind: [] for kind in (Building, Unit, Holder, Residency, Credential)
        }
    )
    before: dict[Any, dict[str, tuple[Any, dict[str, Any]]]] = field(
        default_factory=lambda: {kind: {} for kind in (Unit, Holder, Residency)}
    )
    """Records that change, each with its state as it was. Like `new` by model, in the order in
    which one needs the other."""
    moved: set[str] = field(default_factory=set)
    """Known holders whose homes change: the household of their cars may."""

    _buildings: dict[str, Building] = field(default_factory=dict)
    _units: dict[tuple[str, str], Unit] = field(default_factory=dict)
    _in_home: dict[tuple[str, str], list[Residency]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _by_phone: dict[tuple[str, str], Holder] = field(default_factory=dict)
    _plates: dict[str, str] = field(default_factory=dict)
    _seen: dict[tuple[str, ...], int] = field(default_factory=dict)

    def load(self) -> None:
        """Read what the registry knows; four queries, whatever the list's length."""
        self._buildings = {building.name: building for building in self.community.buildings.all()}
        units = Unit.objects.filter(building__community=self.community)
        by_id = {building.pk: building for building in self._buildings.values()}
        known: dict[str, Unit] = {}
        for unit in units:
            unit.building = by_id[unit.building_id]
            known[unit.pk] = unit
            self._units[unit.building_id, unit.code.upper()] = unit
        people = {
            holder.pk: holder
            for holder in Holder.objects.filter(community=self.community).exclude(
                Q(status=HolderStatus.LEFT) | Q(kind=HolderKind.VISITOR.value)
            )
        }
        for holder in people.values():
            holder.community = self.community
            if holder.phone_index:
                self._by_phone[holder.name, holder.phone_index] = holder
        lasting = Q(ends_at=None) | Q(ends_at__gt=self.now)
        for residency in Residency.objects.filter(lasting, holder__community=self.community):
            person = people.get(residency.holder_id)
            if person is not None:
                residency.holder, residency.unit = person, known[residency.unit_id]
                self._in_home[residency.unit_id, person.name].append(residency)
        plates = Credential.objects.filter(community=self.community, method=Method.PLATE.value)
        self._plates = dict(plates.exclude(status="revoked").values_list("key", "holder_id"))

    def take(self, line: Line) -> None:
        """Compare one line with the registry and with the lines before it."""
        {Table.HOMES: self._home, Table.PEOPLE: self._person, Table.VEHICLES: self._vehicle}[
            line.table
        ](line)

    def _home(self, line: Line) -> None:
        unit = self._unit_of(line)
        if unit is None or not self._once(line, "home", unit.pk):
            return
        wanted = {
            "floor": int(line["floor"]) if line["floor"] != "" else None,
            "area_m2": line["area"] or None,
            "use": line["use"] or None,
            "external_code": line["external"] or None,
            "entrance": line["entrance"] or None,
        }
        self._settle(line, unit, wanted, "", unit.code, is_new=self._is_new(unit))

    def _person(self, line: Line) -> None:
        zone, name, kind = self.zone, line["name"], line["kind"]
        starts = lists.first_moment(line["starts"], zone) if line["starts"] else None
        ends = lists.last_moment(line["ends"], zone) if line["ends"] else None
        if kind is ResidencyKind.TENANT and ends is None:
            self._blame(line, "lease", "ends")
            return
        if ends is not None and ends <= self.now:
            self._blame(line, "over", "ends")
            return
        if starts is not None and ends is not None and ends <= starts:
            self._blame(line, "backwards", "ends")
            return
        unit = self._unit_of(line)
        if unit is None:
            return
        index = phone_index(line["phone"])
        if not self._once(line, "person", unit.pk, name, index):
            return
        living = self._in_home[unit.pk, name]
        match = self._meant(living, index)
        if match is None and living and not (index and all(o.holder.phone_index for o in living)):
            self._blame(line, "namesakes", "name", home=unit.code)
            return
        if match is not None:
            self._seen["meant", match.pk] = line.row
            holder_wanted = {"greeting": line["greeting"] or None, "note": line["note"] or None}
            if index and index != match.holder.phone_index:
                holder_wanted["phone"] = line["phone"]
            wanted = {"kind": kind, "starts_at": starts, "ends_at": ends}
            what = self._change(match.holder, holder_wanted) + self._change(match, wanted)
            self._count(line, what, name, unit.code)
            return
        known = self._by_phone.get((name, index)) if index else None
        holder = known or self._new_holder(line, name)
        if index:
            self._by_phone[name, index] = holder
        residency = Residency(holder=holder, unit=unit, kind=kind, starts_at=starts, ends_at=ends)
        self.new[Residency].append(residency)
        self._seen["meant", residency.pk] = line.row
        living.append(residency)
        if known is None or self._is_new(known):
            self.counts["people"]["new"] += 1
        else:
            self.moved.add(known.pk)
            self._count(line, [("unit", "", unit.code)], name, unit.code)

    def _vehicle(self, line: Line) -> None:
        unit = self._unit_of(line, must_be_known=True)
        if unit is None or not self._once(line, "plate", line["plate"]):
            return
        living = self._in_home[unit.pk, line["name"]]
        if not living:
            self._blame(line, "owner_unknown", "name", home=unit.code)
            return
        match = _by_phone(living, phone_index(line["phone"]))
        if match is None and len(living) == 1:
            match = living[0]
        if match is None:
            self._blame(line, "namesakes", "name", home=unit.code)
            return
        owner = self._plates.get(line["plate"])
        if owner == match.holder.pk:
            self.counts["vehicles"]["same"] += 1
        elif owner is not None:
            self._blame(line, "plate_taken", "plate")
        else:
            self._plates[line["plate"]] = match.holder.pk
            self.new[Credential].append(
                Credential(
                    community=self.community,
                    holder=match.holder,
                    method=Method.PLATE.value,
                    key=line["plate"],
                )
            )
            self.counts["vehicles"]["new"] += 1

    def _unit_of(self, line: Line, *, must_be_known: bool = False) -> Unit | None:
        """Find a row's home, or make it; None where the row was blamed."""
        name, entrance, typed = line["building"], line["entrance"], line["code"]
        building = self._buildings.get(name)
        code = lists.home_code(name, entrance, typed)
        unit = None
        if building is not None:
            # Without the entrance's number a home that was set up by hand is found as well.
            codes = (code, lists.home_code(name, "", typed), typed)
            unit = next(
                (
                    found
                    for one in codes
                    if (found := self._units.get((building.pk, one.upper()))) is not None
                    and (not entrance or found.entrance in ("", entrance))
                ),
                None,
            )
        if self.scope is not None and (building is None or building.pk not in self.scope):
            self._blame(line, "out_of_scope", "building")
            return None
        if unit is not None:
            return unit
        if must_be_known:
            self._blame(line, "home_unknown", "code")
            return None
        if building is not None and (taken := self._units.get((building.pk, code.upper()))):
            self._blame(line, "entrance", "code", code=taken.code, entrance=taken.entrance)
            return None
        if building is None:
            building = Building(community=self.community, name=name)
            self._buildings[name] = building
            self.new[Building].append(building)
        unit = Unit(building=building, code=code, entrance=entrance)
        self._units[building.pk, code.upper()] = unit
        self.new[Unit].append(unit)
        if line.table is not Table.HOMES:
            self.counts["homes"]["new"] += 1
        return unit

    def _new_holder(self, line: Line, name: str) -> Holder:
        holder = Holder(
            community=self.community, name=name, greeting=line["greeting"], note=line["note"]
        )
        set_phone(holder, line["phone"])
        self.new[Holder].append(holder)
        return holder

    def _meant(self, living: Sequence[Residency], index: str) -> Residency | None:
        """Tell which of those of one name in one home a row means.

        One alone is meant whatever the telephone: that changes more often than a family has two
        of one name. But two rows of one file are two people.
        """
        exact = _by_phone(living, index)
        if exact is not None:
            return exact
        free = [one for one in living if ("meant", one.pk) not in self._seen]
        return free[0] if len(free) == len(living) == 1 else None

    def _settle(
        self,
        line: Line,
        unit: Unit,
        wanted: dict[str, Any],
        who: str,
        home: str,
        *,
        is_new: bool,
    ) -> None:
        if is_new:
            for name, value in wanted.items():
                if value is not None:
                    setattr(unit, name, value)
            if ("counted", unit.pk) not in self._seen:
                self._seen["counted", unit.pk] = line.row
                self.counts["homes"]["new"] += 1
            return
        self._count(line, self._change(unit, wanted), who, home)

    def _change(self, obj: Any, wanted: dict[str, Any]) -> list[tuple[str, str, str]]:
        """Put what a row says on a record; empty cells take nothing away."""
        differs = {
            name: value
            for name, value in wanted.items()
            if value is not None and getattr(obj, name) != value
        }
        if not differs:
            return []
        kind = type(obj)
        if not self._is_new(obj) and obj.pk not in self.before[kind]:
            self.before[kind][obj.pk] = (obj, state_of(obj))
        what = []
        for name, value in differs.items():
            what.append((name, self._said(name, getattr(obj, name)), self._said(name, value)))
            if name == "phone":
                set_phone(obj, value)
            else:
                setattr(obj, name, value)
        if kind is Residency:
            self.moved.add(obj.holder_id)
        return what

    def _said(self, name: str, value: Any) -> str:
        if value is None:
            return ""
        if name == "phone":
            return masked_phone(str(value))
        if name == "ends_at":
            return str(last_day(value, self.zone))
        if isinstance(value, datetime):
            return str(value.astimezone(self.zone).date())
        if name == "kind":
            return lists.KIND_WORDS[ResidencyKind(value)]
        if name == "use":
            return lists.USE_WORDS[UnitUse(value)]
        return str(value)[:80]

    def _count(self, line: Line, what: Iterable[tuple[str, str, str]], who: str, home: str) -> None:
        changes = tuple(what)
        self.counts[line.table.value]["changed" if changes else "same"] += 1
        if changes and len(self.differences) < MAX_SHOWN_CHANGES:
            self.differences.append(Difference(line.sheet, line.row, who, home, changes))

    def _once(self, line: Line, *key: str) -> bool:
        known = self._seen.setdefault((line.table.value, *key), line.row)
        if known != line.row:
            self._blame(line, "double", COLUMN_OF[line.table], row=known)
            return False
        return True

    def _is_new(self, obj: Any) -> bool:
        return bool(obj._state.adding)

    def _blame(self, line: Line, rule: str, key: str, **params: object) -> None:
        column = next(column for column in lists.COLUMNS[line.table] if column.key == key)
        value = lists.plain(_typed(line.values.get(key)))
        self.faults.append(
            Fault(rule, line.sheet, line.row, column.heading, value[:80], dict(params))
        )

    def write(self, by: Actor) -> None:
        """Write all of it; call it in a transaction."""
        for kind, fresh in self.new.items():
            kind.objects.bulk_create(fresh, batch_size=_BATCH)
            created(by, self.community, *fresh, action="import")
        for kind, fields in _WRITTEN.items():
            pairs = list(self.before[kind].values())
            if pairs:
                objects = [obj for obj, _state in pairs]
                kind.objects.bulk_update(objects, fields, batch_size=_BATCH)
                all_changed(by, self.community, pairs, "import")
        holders = {holder.pk for holder in self.new[Holder]} | set(self.before[Holder])
        cars = [car.pk for car in self.new[Credential]]
        for some in _chunks(sorted(self.moved)):
            cars += cars_of(pk__in=some)  # type: ignore[arg-type]
        publish(self.community, holder=holders | self.moved, credential=cars)


COLUMN_OF = {Table.HOMES: "code", Table.PEOPLE: "name", Table.VEHICLES: "plate"}
_WRITTEN: dict[Any, list[str]] = {
    Unit: ["floor", "area_m2", "use", "external_code", "entrance"],
    Holder: ["phone", "phone_index", "phone_tail", "greeting", "note"],
    Residency: ["kind", "starts_at", "ends_at"],
}


def make_plan(community: Community, found: Read, scope: frozenset[str] | None, tell: Tell) -> Plan:
    """Compare every line of a file with the registry: homes first, then people, then cars."""
    plan = Plan(community, ZoneInfo(community.zone), timezone.now(), scope)
    plan.load()
    lines = [line for table in Table for line in found.lines[table]]
    for number, line in enumerate(lines, start=1):
        plan.take(line)
        if number % _EACH == 0:
            tell("comparing", number, len(lines))
    tell("comparing", len(lines), len(lines))
    return plan


def masked_phone(phone: str) -> str:
    """Give a number of which only the beginning and the last four digits can be read."""
    if len(phone) < 8:
        return "*" * max(0, len(phone) - 2) + phone[-2:]
    return f"{phone[:3]}****{phone[-4:]}"


def last_day(ends_at: datetime, zone: Any) -> date:
    """Give the last day of a lease whose end is exclusive."""
    local = ends_at.astimezone(zone)
    day = local.date()
    midnight = local.time() == datetime.min.time()
    return date.fromordinal(day.toordinal() - 1) if midnight else day


def _by_phone(living: Sequence[Residency], index: str) -> Residency | None:
    return next((one for one in living if index and one.holder.phone_index == index), None)


def _typed(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    for at in range(0, len(ids), _BATCH):
        yield ids[at : at + _BATCH]
