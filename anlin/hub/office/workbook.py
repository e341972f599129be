"""Workbooks and CSV files that go out: the template, lists, and lists of faults."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from anlin.hub.office.rows import COLUMNS, TITLES, Table

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_HEAD = Font(bold=True)
_NEEDED = PatternFill("solid", fgColor="FDF0D3")


def harmless(value: Any) -> Any:
    """Give a cell that no program takes for a formula: an apostrophe goes in front.

    A number stays one; text such as -101 or +86 13... is what this is about.
    """
    if isinstance(value, str) and value.startswith(_STARTS_A_FORMULA):
        return f"'{value}"
    return value


def template() -> bytes:
    """Give the workbook to fill in: one sheet for each list, and one that explains."""
    book = Workbook(write_only=True)
    for table in (Table.PEOPLE, Table.HOMES, Table.VEHICLES):
        columns = COLUMNS[table]
        sheet = book.create_sheet(TITLES[table])
        sheet.freeze_panes = "A2"
        for at in range(1, len(columns) + 1):
            sheet.column_dimensions[get_column_letter(at)].width = 18
            # As text from the first letter on: or Excel makes a date of 1-101.
            sheet.column_dimensions[get_column_letter(at)].number_format = "@"
        head = []
        for column in columns:
            cell = WriteOnlyCell(sheet, column.heading)
            cell.font = _HEAD
            if column.is_needed:
                cell.fill = _NEEDED
            head.append(cell)
        sheet.append(head)
    _explanation(book)
    return _saved(book)


def _explanation(book: Workbook) -> None:
    sheet = book.create_sheet("说明 Notes")
    for at, width in enumerate((18, 24, 10, 14, 60, 60), start=1):
        sheet.column_dimensions[get_column_letter(at)].width = width
    for row in _explanation_rows():
        cells = []
        for text in row:
            cell = WriteOnlyCell(sheet, text)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            cells.append(cell)
        sheet.append(cells)


def _explanation_rows() -> Iterable[Sequence[str]]:
    for sentence in (_FILL, _KNOWN, _WHOLE):
        yield (_said(sentence, "zh-hans"), _said(sentence, "en"))
    yield ()
    yield ("表 List", "列 Column", "必填 Needed", "例 Example", "说明", "Explanation")
    for table in (Table.PEOPLE, Table.HOMES, Table.VEHICLES):
        for column in COLUMNS[table]:
            yield (
                TITLES[table],
                column.heading,
                "是 yes" if column.is_needed else "",
                column.example,
                _said(column.about, "zh-hans"),
                _said(column.about, "en"),
            )


def _said(sentence: Any, language: str) -> str:
    with translation.override(language):
        return str(sentence)


_FILL = translation.gettext_lazy(
    "One person in one home is one row. Yellow headings must be filled in. Other columns, other "
    "sheets and lines above the headings do no harm."
)
_KNOWN = translation.gettext_lazy(
    "Who is known by home, name and telephone is left as they are, or changed where the row says "
    "something new. An empty cell takes nothing away."
)
_WHOLE = translation.gettext_lazy(
    "Before anything is written you are shown every bad row, and what is new, the same or changed. "
    "Then all of it is taken over, or nothing."
)


def book_of(sheets: Iterable[tuple[str, Iterable[Sequence[Any]]]]) -> bytes:
    """Give a workbook of sheets of plain cells, none of which is a formula."""
    book = Workbook(write_only=True)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append([harmless(cell) for cell in row])
    return _saved(book)


def csv_of(rows: Iterable[Sequence[Any]]) -> bytes:
    """Give a CSV file that Excel opens with its letters right (UTF-8 with the mark)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in rows:
        writer.writerow(["" if cell is None else harmless(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def fault_rows(faults: Iterable[Any]) -> Iterable[Sequence[Any]]:
    """Give the list of bad rows, in the reader's language."""
    yield (_("Sheet"), _("Row"), _("Column"), _("Value"), _("What is wrong"))
    for fault in faults:
        yield (fault.sheet, fault.row or "", fault.column, fault.value, fault.rule())


def _saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
