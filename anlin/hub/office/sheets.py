"""Lists as clerks have them: rows of cells out of an Excel workbook or a CSV file.

A workbook is read as a stream and never trusted: how far it unpacks, how many sheets, rows and
columns it has are capped before and while it is read.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from openpyxl import load_workbook
from openpyxl.utils.cell import range_boundaries
from openpyxl.utils.exceptions import InvalidFileException

MAX_BYTES = 16 * 2**20
"""Fifty thousand people make about 5 MB."""
MAX_UNPACKED = 160 * 2**20
"""Excel packs its XML to about a tenth; what unpacks to more than this is a bomb or a mistake."""
MAX_PARTS = 500
MAX_SHEETS = 20
MAX_ROWS = 60_000
MAX_COLUMNS = 40
MAX_CELL_CHARS = 500
MAX_MERGES = 20_000

_OLE = b"\xd0\xcf\x11\xe0"
"""An .xls of before 2007, or an .xlsx that is locked with a password."""
_MERGE = re.compile(rb'<mergeCell\s+ref="([A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}[0-9]{1,7})"')
_CHUNK = 2**20

Row = tuple[int, list[Any]]
"""The row's number as Excel shows it, and its cells."""


class SheetError(ValueError):
    """A file that can't be read; `code` names the rule (`rows.RULES`)."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a file, whose rows come as they are read."""

    name: str
    rows: Iterator[Row]


def read(content: bytes) -> Iterator[Sheet]:
    """Give the sheets of a workbook, or the one table of a CSV file, by what the bytes are.

    Raises:
        SheetError: neither, or beyond a cap; also while rows are read.
    """
    if len(content) > MAX_BYTES:
        raise SheetError("file_large", most=MAX_BYTES // 2**20)
    if content[:4] == _OLE:
        raise SheetError("old_excel")
    if content[:2] == b"PK":
        return _workbook(content)
    return iter([Sheet("", _table(_text(content)))])


def _workbook(content: bytes) -> Iterator[Sheet]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            parts = packed.infolist()
            # A part never unpacks to more than its header says: zipfile stops there.
            if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
                raise SheetError("bomb", most=MAX_UNPACKED // 2**20)
            merges = _merges(packed)
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except SheetError:
        raise
    except (
        *(zipfile.BadZipFile, InvalidFileException, ElementTree.ParseError, NotImplementedError),
        *(KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError, EOFError),
    ) as error:
        raise SheetError("not_a_workbook") from error
    if len(book.sheetnames) > MAX_SHEETS:
        raise SheetError("many_sheets", most=MAX_SHEETS)
    for sheet in book.worksheets:
        yield Sheet(sheet.title, _filled(_rows_of(sheet), merges.get(sheet.title, [])))
    book.close()


def _rows_of(sheet: Any) -> Iterator[Row]:
    # What a sheet says of its own size may be wrong in both directions.
    sheet.reset_dimensions()
    try:
        for number, cells in enumerate(
            sheet.iter_rows(max_col=MAX_COLUMNS, max_row=MAX_ROWS + 1, values_only=True), start=1
        ):
            if number > MAX_ROWS:
                raise SheetError("many_rows", most=MAX_ROWS)
            yield number, list(cells)
    except SheetError:
        raise
    except (
        *(zipfile.BadZipFile, ElementTree.ParseError, KeyError, ValueError, TypeError),
        *(AttributeError, IndexError, OverflowError, EOFError, OSError),
    ) as error:
        raise SheetError("not_a_workbook") from error


_Merge = tuple[int, int, int, int]


def _merges(packed: zipfile.ZipFile) -> dict[str, list[_Merge]]:
    """Find which cells are merged: the streaming reader does not say."""
    spaces = {
        "m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    }
    # Python's expat refuses entities that blow up.
    book = ElementTree.fromstring(packed.read("xl/workbook.xml"))  # noqa: S314
    links = ElementTree.fromstring(packed.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    targets = {link.get("Id"): str(link.get("Target")) for link in links}
    found = {}
    for sheet in book.iterfind("m:sheets/m:sheet", spaces):
        target = targets.get(sheet.get(f"{{{spaces['r']}}}id"), "")
        path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        if path in packed.NameToInfo:
            found[str(sheet.get("name"))] = _merges_of(packed, path)
    return found


def _merges_of(packed: zipfile.ZipFile, path: str) -> list[_Merge]:
    found: list[_Merge] = []
    kept = b""
    with packed.open(path) as part:
        while chunk := part.read(_CHUNK):
            text = kept + chunk
            last = 0
            for match in _MERGE.finditer(text):
                last = match.end()
                low_column, low_row, high_column, high_row = range_boundaries(match[1].decode())
                if None not in (low_column, low_row, high_column, high_row):
                    found.append((low_row, high_row, low_column, high_column))
                if len(found) > MAX_MERGES:
                    raise SheetError("bomb", most=MAX_UNPACKED // 2**20)
            # The tail may hold the first half of the next one.
            kept = text[max(last, len(text) - 80) :]
    return sorted(found)


def _filled(rows: Iterator[Row], waiting: list[_Merge]) -> Iterator[Row]:
    """Give every cell of a merged block the value that stands in its first."""
    open_: list[tuple[_Merge, Any]] = []
    at = 0
    for number, cells in rows:
        while at < len(waiting) and waiting[at][0] <= number:
            block = waiting[at]
            at += 1
            first = block[2] - 1
            open_.append((block, cells[first] if first < len(cells) else None))
        if open_:
            open_ = [one for one in open_ if one[0][1] >= number]
            for (_, _, low, high), value in open_:
                for column in range(low - 1, min(high, MAX_COLUMNS)):
                    while len(cells) <= column:
                        cells.append(None)
                    if cells[column] is None:
                        cells[column] = value
        yield number, cells


def _text(content: bytes) -> str:
    """Decode a CSV file: UTF-8 or UTF-16 with their mark, UTF-8 without, GB18030."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise SheetError("encoding") from error
    for encoding in ("utf-8", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SheetError("encoding")


def _table(text: str) -> Iterator[Row]:
    if "\x00" in text:
        raise SheetError("encoding")
    head = text[:4000].splitlines()[:5]
    delimiter = max(",;\t", key=lambda mark: max((line.count(mark) for line in head), default=0))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        for cells in reader:
            number = reader.line_num
            if number > MAX_ROWS:
                raise SheetError("many_rows", most=MAX_ROWS)
            yield number, list(cells[:MAX_COLUMNS])
    except csv.Error as error:
        raise SheetError("csv") from error
