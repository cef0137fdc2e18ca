"""Reads inventory files: CSV with a header line and one rig per line, as spreadsheets in any locale write it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from exporter.file_stamp import why_unreadable
from exporter.inventory.accepted import content
from exporter.inventory.listed import InventoryError, Listed, duplicates, identity, parse_row
from exporter.inventory.model import DIGITS_AND_DOTS, RigRow
from exporter.inventory.numbers import AmbiguousNumbersError, plain, separator_of
from exporter.model.configuration_errors import ErrorAt, nearest, unknown

NUMBERS: Final = ("rated_terahash", "rated_watts")
"""The columns whose cells are numbers."""
MODEL: Final = "#model"
"""The column of `hashmargin scan` with the model. A rating is compared with the nameplate of this model."""
NO_COLUMNS: Final[Mapping[str, str]] = MappingProxyType({})
_MOST_LINES_NAMED: Final = 3
_RESEMBLES: Final = 0.8


class CsvFile(NamedTuple):
    """One inventory file. ``columns`` are our names, or the file's own for those that are ignored."""

    delimiter: str
    line_end: str
    columns: tuple[str, ...]
    rows: tuple[RigRow, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """The content of a file without Excel's ``sep=`` line, the number of lines before it, and its delimiter."""

    content: str
    skipped: int
    delimiter: str

    @property
    def line_end(self) -> str:
        first, _, _ = self.content.partition("\n")
        return "\r\n" if first.endswith("\r") else "\n"


def csv_file(path: Path, columns: Mapping[str, str] = NO_COLUMNS) -> CsvFile:
    """Read one inventory file. ``columns`` maps our names to the file's headers. Raises InventoryError."""
    errors: list[ErrorAt] = []
    listed = list(csv_rows(path, columns, errors))
    errors += duplicates(listed)
    if errors:
        raise InventoryError(errors)
    text = _read(path)
    header = next(cells for _, cells in _lines(path, text, errors) if _has_content(cells))
    rows = tuple(each.row for each in listed if isinstance(each.row, RigRow))
    return CsvFile(text.delimiter, text.line_end, tuple(_our_names(header, columns)), rows)


def csv_rows(path: Path, columns: Mapping[str, str], errors: list[ErrorAt]) -> Iterator[Listed]:
    """Yield the rigs of one file. Every error is added to ``errors`` with its line."""
    try:
        text = content(str(path), lambda: _read(path))
    except (OSError, UnicodeDecodeError) as error:
        errors.append(ErrorAt(str(path), why_unreadable(error)))
        return
    lines = [(where, cells) for where, cells in _lines(path, text, errors) if _has_content(cells)]
    if not lines:
        errors.append(ErrorAt(str(path), "has no header line: begin it with name,address,block"))
        return
    (where, header), *lines = lines
    names = list(_our_names(header, columns))
    header_errors = [ErrorAt(where, message) for message in _header_errors(names, columns)]
    if header_errors:
        errors += header_errors
        return
    yield from _rows(path, names, lines, columns, errors)


def headers(path: Path) -> set[str]:
    """Return the headers of a file in lower case. Empty if the file cannot be read."""
    try:
        text = content(str(path), lambda: _read(path))
    except (OSError, UnicodeDecodeError):
        return set()
    return next(
        ({_folded(cell) for cell in cells} for _, cells in _lines(path, text, []) if _has_content(cells)), set()
    )


def _rows(
    path: Path,
    names: Sequence[str],
    lines: Sequence[tuple[str, list[str]]],
    columns: Mapping[str, str],
    errors: list[ErrorAt],
) -> Iterator[Listed]:
    too_long = [(where, cells) for where, cells in lines if any(cells[len(names) :])]
    skipped = {where for where, _ in too_long}
    rows = [(where, dict(zip(names, cells, strict=False))) for where, cells in lines if where not in skipped]
    try:
        separator = separator_of(cells.get(name, "") for _, cells in rows for name in NUMBERS)
    except AmbiguousNumbersError as error:
        errors.append(ErrorAt(str(path), str(error)))
        return
    for where, cells in rows:
        numbers = {name: plain(cells[name], separator) for name in NUMBERS if name in cells}
        known = {name: cell for name, cell in cells.items() if name in RigRow.model_fields}
        row = parse_row(where, known | numbers, errors, columns)
        if row is not None:
            yield Listed(
                row, row.address, identity(row), where, listed_in=str(path), model=cells.get(MODEL, "").strip()
            )
    errors += _too_long(len(names), too_long)


def _too_long(columns: int, lines: Sequence[tuple[str, list[str]]]) -> Iterator[ErrorAt]:
    if len(lines) <= _MOST_LINES_NAMED:
        yield from (ErrorAt(where, f"has {len(cells)} values for {columns} columns") for where, cells in lines)
        return
    where, cells = lines[0]
    yield ErrorAt(
        where,
        f"has {len(cells)} values for {columns} columns, as have {len(lines) - 1:,} more lines: if numbers have "
        "decimal commas, save the file with semicolons between the cells, or write 100.0",
    )


def _read(path: Path) -> _Text:
    with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
        text = file.read()
    first, end, rest = text.partition("\n")
    if first.strip().casefold().startswith("sep="):  # Excel's own line: sep=;
        named = first.strip()[len("sep=") :] or "\t"
        return _Text(rest if end else "", 1, named[0])
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return _Text(text, 0, max(",;\t", key=header.count))


def _lines(path: Path, text: _Text, errors: list[ErrorAt]) -> Iterator[tuple[str, list[str]]]:
    """Yield the lines of one file with their locations. A quotation mark that is not closed is an error."""
    lines = csv.reader(io.StringIO(text.content, newline=""), delimiter=text.delimiter, skipinitialspace=True)
    read = 0
    try:
        for cells in lines:
            read = lines.line_num
            yield f"{path}:{read + text.skipped}", cells
    except csv.Error:
        errors.append(ErrorAt(f"{path}:{read + text.skipped + 1}", "has a quotation mark that is not closed"))


def _has_content(cells: list[str]) -> bool:
    """Return whether a line is neither empty nor a comment."""
    return any(map(str.strip, cells)) and not cells[0].startswith("#")


def _folded(cell: str) -> str:
    return cell.strip().casefold()


def _our_names(header: Sequence[str], columns: Mapping[str, str]) -> Iterator[str]:
    """Translate the headers of a file into our names. A header that ``columns`` does not map stays as it is."""
    ours = {_folded(theirs): name for name, theirs in columns.items()}
    for cell in map(_folded, header):
        yield ours.get(cell, f"#{cell}" if cell in columns else cell)  # a column that another one replaces is ignored


def _header_errors(names: list[str], columns: Mapping[str, str]) -> Iterator[str]:
    if any(DIGITS_AND_DOTS.fullmatch(name) for name in names):
        yield "is no header line: begin the file with one, such as name,address,block"
        return
    for name in names:
        # With names of its own, a file has other columns too. One that resembles ours is a typing error.
        ours = name in RigRow.model_fields or name[:1] in ("#", "")  # a note, or a column without a header
        if not ours and (not columns or nearest(name, RigRow.model_fields, closeness=_RESEMBLES) is not None):
            yield unknown("column", name, RigRow.model_fields)
    for name in sorted({name for name in names if names.count(name) > 1 and name in RigRow.model_fields}):
        yield f"the column {columns.get(name, name)!r} stands twice"
    if "address" not in names:
        yield f"the column {columns.get('address', 'address')!r} is missing"
