"""Inventory files: CSV with a header line, one rig a line."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exporter.inventory.listed import InventoryError, Listed, duplicates, identity, parse_row, why_unreadable
from exporter.inventory.model import DIGITS_AND_DOTS, RigRow
from exporter.model.configuration_errors import ErrorAt, unknown


class CsvFile(NamedTuple):
    """One inventory file: what parts its cells, its columns, and its rigs."""

    delimiter: str
    columns: tuple[str, ...]
    rows: tuple[RigRow, ...]


def csv_file(path: Path) -> CsvFile:
    """Read one inventory file by itself. Raises InventoryError with every mistake found."""
    errors: list[ErrorAt] = []
    listed = list(csv_rows(path, errors))
    errors += duplicates(listed)
    if errors:
        raise InventoryError(errors)
    text = path.read_text("utf-8-sig")
    columns = next(cells for _, cells in _csv_lines(path, text, errors) if _tells(cells))
    rows = tuple(each.row for each in listed if isinstance(each.row, RigRow))
    return CsvFile(_delimiter(text), tuple(map(_column, columns)), rows)


def _tells(cells: list[str]) -> bool:
    """Tell a header or a row from an empty line and from a note."""
    return any(map(str.strip, cells)) and not cells[0].startswith("#")


def _column(cell: str) -> str:
    return cell.strip().lower()


def csv_rows(path: Path, errors: list[ErrorAt]) -> Iterator[Listed]:
    """The rigs of one file; what is wrong with it goes to ``errors``, every bad line by its number."""
    try:
        text = path.read_text("utf-8-sig")  # spreadsheets write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        errors.append(ErrorAt(str(path), why_unreadable(error)))
        return
    columns: list[str] = []
    for where, cells in _csv_lines(path, text, errors):
        if not _tells(cells):
            continue
        if not columns:
            columns = list(map(_column, cells))
            mistakes = [ErrorAt(where, message) for message in _bad_header(columns)]
            errors += mistakes
            if mistakes:
                return
        elif len(cells) > len(columns) and any(cells[len(columns) :]):
            errors.append(ErrorAt(where, f"has {len(cells)} values for {len(columns)} columns"))
        else:
            cells_by_column = dict(zip(columns, cells, strict=False))
            row = parse_row(where, {name: cell for name, cell in cells_by_column.items() if name[:1] != "#"}, errors)
            if row is not None:
                yield Listed(row, row.address, identity(row), where)
    if not columns:
        errors.append(ErrorAt(str(path), "has no header line: begin it with name,address,block"))


def _csv_lines(path: Path, text: str, errors: list[ErrorAt]) -> Iterator[tuple[str, list[str]]]:
    """The lines of one file, each with its place; one that has no end is a problem."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), skipinitialspace=True)
    read = 0
    try:
        for cells in lines:
            read = lines.line_num
            yield f"{path}:{read}", cells
    except csv.Error:
        errors.append(ErrorAt(f"{path}:{read + 1}", "has a quotation mark that no other one closes"))


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return max(",;\t", key=header.count)


def _bad_header(columns: list[str]) -> Iterator[str]:
    if any(DIGITS_AND_DOTS.fullmatch(column) for column in columns):
        yield "is no header line: begin the file with one, such as name,address,block"
        return
    for column in columns:
        if column not in RigRow.model_fields and column[:1] != "#":  # a note for people
            yield unknown("column", column, RigRow.model_fields)
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        yield f"the column {column!r} stands twice"
    if "address" not in columns:
        yield "the column 'address' is missing"
