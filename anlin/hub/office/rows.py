"""The columns of the lists: what they are called, how a cell is read, what is said of a bad one."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from openpyxl.utils.datetime import from_excel

from anlin.core import plate
from anlin.hub.office.sheets import MAX_CELL_CHARS, Row
from anlin.hub.people.models import ResidencyKind, UnitUse

RULES: Mapping[str, Promise] = {
    "file_large": _("The file is larger than %(most)s MB. Split it by buildings."),
    "old_excel": _(
        "This is an old .xls, or it is locked with a password. Save it as .xlsx without one."
    ),
    "bomb": _("It unpacks to more than %(most)s MB. Copy the values alone into a new workbook."),
    "not_a_workbook": _(
        "This is no workbook that can be read, or it is damaged. Save it again as .xlsx."
    ),
    "many_sheets": _("It has more than %(most)s sheets."),
    "many_rows": _("It has more than %(most)s rows. Delete the empty ones below, or split it."),
    "encoding": _("The letters can't be read. Save it as CSV UTF-8, or as .xlsx."),
    "csv": _("A quotation mark in this CSV file is never closed."),
    "no_table": _(
        "No sheet has the headings of the template. Download it, and copy your columns there."
    ),
    "empty": _("There is no row below the headings."),
    "column_missing": _("The column %(column)s is missing."),
    "column_twice": _("The column %(column)s stands twice."),
    "needed": _("must not be empty"),
    "long": _("has more than %(most)s characters"),
    "unprintable": _("has something in it that can't be printed"),
    "phone": _("is no telephone number: 5 to 20 digits"),
    "date": _("is no date; write it as 2027-06-30"),
    "became_date": _("Excel has made a date of it: set the column to Text and type it again"),
    "error_cell": _("Excel shows an error here"),
    "kind": _("is none of 业主 owner, 家属 family, 租户 tenant"),
    "use": _("is none of 自住 lived in, 出租 let, 空置 vacant, 其他 other"),
    "number": _("is no number from %(low)s to %(high)s"),
    "code": _("is no home: digits, letters and hyphens, such as 101 or 1-101"),
    "lease": _("a tenant's row needs the last day of the lease"),
    "over": _("this day is over already; leave the row out"),
    "backwards": _("it ends before it begins"),
    "double": _("says the same as row %(row)s"),
    "out_of_scope": _("you do not work for this building"),
    "entrance": _("the home %(code)s stands in entrance %(entrance)s already"),
    "home_unknown": _("there is no such home, neither here nor in this file"),
    "owner_unknown": _("nobody of this name lives in %(home)s"),
    "namesakes": _("several of this name live in %(home)s: give the telephone"),
    "plate": _("no plate is written so"),
    "plate_taken": _("this plate belongs to somebody else already"),
}
"""What is said of a fault, by its code; of a cell it goes on after the column's name."""


class Table(StrEnum):
    """Which list a sheet is."""

    HOMES = "homes"
    PEOPLE = "people"
    VEHICLES = "vehicles"


class Bad(ValueError):
    """A cell that breaks a rule of `RULES`."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a file, at its row and column, for the person who sent it."""

    code: str
    sheet: str = ""
    row: int = 0
    column: str = ""
    value: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    def rule(self) -> str:
        """Give the sentence, in the reader's language."""
        return str(RULES[self.code]) % self.params


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its two names, what else people call it, and how its cells are read."""

    key: str
    zh: str
    en: str
    also: tuple[str, ...]
    reader: Callable[[Any], Any]
    about: Promise
    is_needed: bool = False
    example: str = ""

    @property
    def heading(self) -> str:
        """Give what stands over the column in a template."""
        return f"{self.zh} {self.en}"


@dataclass(frozen=True, slots=True)
class Line:
    """One row, read: values by the columns' keys; absent is empty."""

    table: Table
    sheet: str
    row: int
    values: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.values.get(key, "")


def plain(value: Any) -> str:
    """Give a cell as text: numbers as they are typed, without what a program put in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d")
    text = str(value)[: MAX_CELL_CHARS + 1].replace("\u3000", " ").replace("\ufeff", "")
    text = " ".join(text.split())
    # Exports put an apostrophe before what a program would take for a formula.
    return text[1:] if len(text) > 1 and text[0] == "'" and text[1] in "=+-@" else text


def _text(most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = plain(value)
        if text.startswith("#") and text in _EXCEL_ERRORS:
            raise Bad("error_cell")
        if len(text) > most:
            raise Bad("long", most=most)
        if not text.isprintable():
            raise Bad("unprintable")
        return text

    return read


_EXCEL_ERRORS = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}
)


def _word(most: int) -> Callable[[Any], str]:
    """Read what is no name of a person: full-width letters and digits become plain ones."""
    inner = _text(most)

    def read(value: Any) -> str:
        if isinstance(value, datetime | date):
            raise Bad("became_date")
        return unicodedata.normalize("NFKC", inner(value)).strip()

    return read


_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{3,28}")


def _phone(value: Any) -> str:
    text = _word(40)(value)
    if not text or "*" in text:
        # A list that was given out with masked numbers may come back: it says nothing of them.
        return ""
    digits = re.sub(r"\D", "", text)
    if not _PHONE.fullmatch(text) or not 5 <= len(digits) <= 20:
        raise Bad("phone")
    return text


_CODE = re.compile(r"[0-9A-Za-z\u4e00-\u9fff-]{1,30}")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−/#_~", "-"))


def _code(value: Any) -> str:
    text = _word(30)(value).translate(_DASHES).replace(" ", "")
    text = re.sub(r"[室房号]$", "", text)
    if text and not _CODE.fullmatch(text):
        raise Bad("code")
    return text.upper()


_DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?: 00:00(?::00)?)?")
_FIRST_DAY, _LAST_DAY = date(1900, 1, 2), date(2200, 1, 1)
_SERIAL = (20_000, 110_000)
"""Excel's numbers for days from 1954 to 2201: a date whose cell lost its format."""


def _date(value: Any) -> date | None:
    if isinstance(value, datetime):
        found = value.date()
    elif isinstance(value, date):
        found = value
    else:
        text = unicodedata.normalize("NFKC", plain(value))
        if not text:
            return None
        found = _day_of(text)
    if not _FIRST_DAY < found < _LAST_DAY:
        raise Bad("date")
    return found


def _day_of(text: str) -> date:
    if re.fullmatch(r"\d{5,6}", text) and _SERIAL[0] < int(text) < _SERIAL[1]:
        day = from_excel(int(text))
        if isinstance(day, datetime):
            return day.date()
    match = _DAY.fullmatch(text) or re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
    if match is None:
        raise Bad("date")
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError as error:
        raise Bad("date") from error


def _number(low: int, high: int, places: int) -> Callable[[Any], Decimal | None]:
    def read(value: Any) -> Decimal | None:
        text = _word(20)(value).replace(",", "").removesuffix("m2").removesuffix("㎡").strip()
        text = text.removesuffix("层").removesuffix("楼").strip()
        if not text:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation as error:
            raise Bad("number", low=low, high=high) from error
        if not number.is_finite() or not low <= number <= high:
            raise Bad("number", low=low, high=high)
        rounded = round(number, places)
        if places == 0 and rounded != number:
            raise Bad("number", low=low, high=high)
        return rounded

    return read


def _one_of(words: Mapping[str, Any], code: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        text = _word(40)(value).lower().replace(" ", "")
        if not text:
            return None
        if text not in words:
            raise Bad(code)
        return words[text]

    return read


_KINDS = {
    **dict.fromkeys(("业主", "产权人", "户主", "房主", "owner", "业主owner"), ResidencyKind.OWNER),
    **dict.fromkeys(
        (
            *("家属", "家庭成员", "家人", "配偶", "子女", "父母", "成员", "同住人"),
            *("family", "家属family"),
        ),
        ResidencyKind.FAMILY,
    ),
    **dict.fromkeys(
        ("租户", "租客", "承租人", "租赁", "tenant", "租户tenant"), ResidencyKind.TENANT
    ),
}
_USES = {
    **dict.fromkeys(("自住", "livedin", "自住livedin", "lived_in"), UnitUse.LIVED_IN),
    **dict.fromkeys(("出租", "let", "出租let"), UnitUse.LET),
    **dict.fromkeys(("空置", "空", "vacant", "空置vacant"), UnitUse.VACANT),
    **dict.fromkeys(("其他", "other", "其他other"), UnitUse.OTHER),
}
KIND_WORDS = {
    ResidencyKind.OWNER: "业主 owner",
    ResidencyKind.FAMILY: "家属 family",
    ResidencyKind.TENANT: "租户 tenant",
}
USE_WORDS = {
    UnitUse.LIVED_IN: "自住 lived in",
    UnitUse.LET: "出租 let",
    UnitUse.VACANT: "空置 vacant",
    UnitUse.OTHER: "其他 other",
}


def _plate(value: Any) -> str:
    text = _word(20)(value)
    if not text:
        return ""
    try:
        return plate.parse(text).text
    except plate.PlateError as error:
        raise Bad("plate") from error


_BUILDING = Column(
    "building",
    "楼栋",
    "Building",
    ("楼号", "楼", "栋", "栋号", "楼幢", "幢号", "楼座", "block"),
    _word(50),
    _("The building as people name it; one that is not here yet is made."),
    is_needed=True,
    example="1栋",
)
_ENTRANCE = Column(
    "entrance",
    "单元",
    "Entrance",
    ("单元号", "门洞", "stairwell"),
    _word(20),
    _("The stairwell, where the building has more than one."),
    example="1单元",
)
_HOME = Column(
    "code",
    "房号",
    "Home",
    ("房间号", "门牌号", "室号", "房间", "户号", "房屋", "房屋编号", "room", "unit"),
    _code,
    _(
        "As it stands on the door. A number alone gets building and entrance in front: "
        "101 in 1栋 becomes 1-101, in 1栋 1单元 it becomes 1-1-101."
    ),
    is_needed=True,
    example="101",
)
_NAME = Column(
    "name",
    "姓名",
    "Name",
    ("名字", "住户姓名", "业主姓名", "人员姓名", "车主", "车主姓名", "住户", "fullname"),
    _text(60),
    _("The person's name, 1 to 60 characters."),
    is_needed=True,
    example="林",
)
_TELEPHONE = Column(
    "phone",
    "手机",
    "Telephone",
    ("手机号", "手机号码", "电话", "联系电话", "联系方式", "电话号码", "phone", "mobile"),
    _phone,
    _("5 to 20 digits. It is kept closed. Together with home and name it tells who is who."),
    example="",
)

COLUMNS: Mapping[Table, tuple[Column, ...]] = {
    Table.HOMES: (
        _BUILDING,
        _ENTRANCE,
        _HOME,
        Column(
            "floor",
            "楼层",
            "Floor",
            ("层", "所在楼层"),
            _number(-9, 200, 0),
            _("A whole number; below ground negative."),
            example="1",
        ),
        Column(
            "area",
            "面积",
            "Area m²",
            ("建筑面积", "面积m2", "面积㎡", "建筑面积㎡", "建筑面积m2", "area", "aream2"),
            _number(1, 99_999, 2),
            _("In square metres; from it an overcrowded home is told."),
            example="89.50",
        ),
        Column(
            "use",
            "用途",
            "Use",
            ("房屋用途", "使用情况", "居住状态"),
            _one_of(_USES, "use"),
            _("自住 lived in, 出租 let, 空置 vacant or 其他 other; empty is lived in."),
            example="自住",
        ),
        Column(
            "external",
            "标准地址编码",
            "Address code",
            ("地址编码", "标准地址", "房屋编码"),
            _word(40),
            _("The authority's own number for the home, where there is one."),
        ),
    ),
    Table.PEOPLE: (
        _BUILDING,
        _ENTRANCE,
        _HOME,
        _NAME,
        _TELEPHONE,
        Column(
            "kind",
            "身份",
            "Lives there as",
            ("与房屋关系", "住户类型", "人员类型", "类型", "关系", "kind", "residency"),
            _one_of(_KINDS, "kind"),
            _("业主 owner, 家属 family or 租户 tenant."),
            is_needed=True,
            example="业主",
        ),
        Column(
            "starts",
            "开始日期",
            "From",
            ("入住日期", "起租日期", "租赁开始", "开始", "start"),
            _date,
            _("The first day, as 2026-07-01; empty is at once."),
        ),
        Column(
            "ends",
            "截止日期",
            "Last day",
            ("到期日期", "租赁到期", "租赁截止", "合同到期", "结束日期", "截止", "end", "until"),
            _date,
            _("The last day of a lease; a tenant needs one. Access ends by itself that night."),
        ),
        Column(
            "greeting",
            "屏幕称呼",
            "Shown on screens",
            ("称呼", "greeting"),
            _text(30),
            _("What a gate screen may show, such as 林女士; empty shows only the first character."),
            example="林女士",
        ),
        Column("note", "备注", "Note", ("说明", "remark"), _text(500), _("For the office alone.")),
    ),
    Table.VEHICLES: (
        Column(
            "plate",
            "车牌",
            "Number plate",
            ("车牌号", "车牌号码", "号牌", "plate"),
            _plate,
            _("With its province, such as 京A12345."),
            is_needed=True,
            example="京A12345",
        ),
        _BUILDING,
        _ENTRANCE,
        _HOME,
        _NAME,
        _TELEPHONE,
    ),
}

TITLES = {Table.HOMES: "房屋 Homes", Table.PEOPLE: "人员 People", Table.VEHICLES: "车辆 Vehicles"}

HEADINGS_WITHIN = 10
"""Clerks put a title, a date and a signature above the headings; not more than this."""


def squeezed(text: str) -> str:
    """Give a heading without what people add to it: blanks, brackets, stars, case."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"[(\[【].*?[)\]】]", "", text)
    return re.sub(r"[\s*:_·.、,-]", "", text)


def _names(column: Column) -> set[str]:
    both = {column.zh, column.en, column.heading, *column.also}
    return {squeezed(name) for name in both}


_KNOWN = {
    table: {name: column for column in columns for name in _names(column)}
    for table, columns in COLUMNS.items()
}


@dataclass(frozen=True, slots=True)
class Head:
    """The headings of a sheet: which list it is, and which cell of a row is which column."""

    table: Table
    row: int
    columns: Mapping[int, Column]
    unknown: tuple[str, ...]


def head_of(row: Row, sheet: str) -> Head | Fault | None:
    """Read headings; None where a row has none, a fault where a needed one is missing."""
    number, cells = row
    words = {
        at: squeezed(plain(cell)) for at, cell in enumerate(cells) if isinstance(cell, str) and cell
    }
    best: tuple[int, Table] | None = None
    for table in (Table.VEHICLES, Table.PEOPLE, Table.HOMES):
        hits = {_KNOWN[table][word].key for word in words.values() if word in _KNOWN[table]}
        # What tells the lists apart, beside homes: plates, or the names of people.
        is_it = {Table.VEHICLES: "plate" in hits, Table.PEOPLE: "name" in hits}.get(table, True)
        if is_it and len(hits) >= 2 and (best is None or len(hits) > best[0]):
            best = (len(hits), table)
    if best is None:
        return None
    table = best[1]
    columns = {at: _KNOWN[table][word] for at, word in words.items() if word in _KNOWN[table]}
    keys = [column.key for column in columns.values()]
    for column in COLUMNS[table]:
        if column.is_needed and column.key not in keys and column.key != "building":
            return Fault(
                "column_missing", sheet, number, column.heading, params={"column": column.heading}
            )
        if keys.count(column.key) > 1:
            return Fault(
                "column_twice", sheet, number, column.heading, params={"column": column.heading}
            )
    if "building" not in keys:
        name = _BUILDING.heading
        return Fault("column_missing", sheet, number, name, params={"column": name})
    unknown = tuple(plain(cells[at]) for at, word in words.items() if at not in columns)
    return Head(table, number, columns, unknown)


def line_of(head: Head, row: Row, sheet: str) -> tuple[Line | None, Sequence[Fault]]:
    """Read one row by its headings; None for an empty one."""
    number, cells = row
    values: dict[str, Any] = {}
    faults = []
    is_empty = True
    for at, column in head.columns.items():
        raw = cells[at] if at < len(cells) else None
        is_nothing = raw is None or raw == ""
        if is_nothing and not column.is_needed:
            continue
        shown = "" if is_nothing else plain(raw)
        is_empty = is_empty and not shown
        try:
            value = column.reader(raw)
            if column.is_needed and value in ("", None):
                raise Bad("needed")
        except Bad as bad:
            faults.append(
                Fault(bad.code, sheet, number, column.heading, shown[:80], dict(bad.params))
            )
            continue
        if value not in ("", None):
            values[column.key] = value
    if is_empty:
        return None, ()
    return Line(head.table, sheet, number, values), faults


def home_code(building: str, entrance: str, code: str) -> str:
    """Give what stands on the door: a number alone gets building and entrance in front."""
    if "-" in code or not code.isascii() or not code.isalnum():
        return code
    parts = [short(building), short(entrance), code]
    return "-".join(part for part in parts if part)[:30]


_TAIL = re.compile(r"(号楼|楼栋|单元|栋|幢|座|楼|号|区|期)$")


@lru_cache(4096)
def short(name: str) -> str:
    """Give a building or entrance without the word for it: 1 of 1栋, A of A座."""
    text = unicodedata.normalize("NFKC", name).upper().replace(" ", "")
    while len(text) > 1 and _TAIL.search(text):
        text = _TAIL.sub("", text)
    return text


def first_moment(day: date, zone: Any) -> datetime:
    """Give the beginning of a local day."""
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def last_moment(day: date, zone: Any) -> datetime:
    """Give the end of a local day, exclusive: a lease holds through its last day."""
    return first_moment(day + timedelta(days=1), zone)
