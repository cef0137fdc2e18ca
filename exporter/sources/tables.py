"""Delimited text (CSV) as spreadsheets and markets write it: separator, title lines and decimal mark are found out."""

import csv
import io
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from exporter.model.configuration_errors import nearest

DecimalMark = Literal[".", ","]

UNPRICED: Final = frozenset({"", "-", "--", "\u2013", "\u2014", "n/a", "na", "n.a.", "null", "none", "nan"})
"""What tables write in place of a number that is not known, in lower case."""

_DELIMITERS: Final = ",;\t|"
_SEPARATOR_LINE: Final = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)
_NOISE: Final = re.compile(r"[\s$€£\u00a0\u202f']")
_ACCOUNTING: Final = re.compile(r"\((.+)\)")
_MOST_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by column name, each with the number of its line in the text."""

    delimiter: str
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    lines: list[int]


def read_table(text: str, wanted: Collection[str] = ()) -> Table:
    """Read the rows below the header, which is the first line with all ``wanted`` columns.

    Lines above the header, empty lines and notes (``#``) are skipped. Raises ValueError if there is no such header, or
    a quotation mark is not closed.
    """
    separator, body = _separator(text)
    best: tuple[tuple[int, int], str, list[tuple[int, list[str]]]] | None = None
    broken: ValueError | None = None
    for delimiter in separator or _DELIMITERS:
        try:
            lines = _lines(body, delimiter)
        except ValueError as error:  # with another delimiter its quotation marks may be right
            broken = broken or error
            continue
        for index, (_, cells) in enumerate(lines):
            if wanted and set(wanted) <= set(cells):
                return _table(delimiter, lines[index:])
        widths = [len(cells) for _, cells in lines]
        widest = max(widths, default=0)
        score = (widths.count(widest) if widest > 1 else 0, widest)  # the right delimiter divides most lines alike
        if best is None or score > best[0]:
            best = score, delimiter, lines
    if best is None or not best[2]:
        raise broken or ValueError("it has no rows")
    (_, widest), delimiter, lines = best
    matches = [sum(name in cells for name in wanted) for _, cells in lines]
    if any(matches):
        header = matches.index(max(matches))
    else:
        header = next(index for index, (_, cells) in enumerate(lines) if len(cells) == widest)
    if wanted:
        columns = lines[header][1]
        missing = next(name for name in wanted if name not in columns)
        columns = [name for name in columns if name]
        match = nearest(missing, columns)
        suggestion = f"did you mean {match!r}?" if match else f"it has {', '.join(columns[:_MOST_NAMED])}"
        raise ValueError(f"there is no column {missing!r}: {suggestion}")
    return _table(delimiter, lines[header:])


def delimiter_of(text: str) -> tuple[str, str]:
    """Return the delimiter of a table with a plain header, and the text from the header on."""
    separator, body = _separator(text)
    header = next((line for line in body.splitlines() if line.strip() and not line.startswith("#")), "")
    return separator or max(_DELIMITERS, key=header.count), body


def _separator(text: str) -> tuple[str, str]:
    """Return the separator that a first line ``sep=;`` names, as Excel writes it, and the text below that line."""
    first, _, rest = text.partition("\n")
    match = _SEPARATOR_LINE.fullmatch(first.rstrip("\r"))
    return (match[1], f"\n{rest}") if match is not None else ("", text)


def _lines(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        found = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None
    return [(line, cells) for line, cells in found if any(cells) and not cells[0].startswith("#")]


def _table(delimiter: str, lines: list[tuple[int, list[str]]]) -> Table:
    (_, columns), *rest = lines
    kept = [(line, cells) for line, cells in rest if cells != columns]
    width = len(columns)
    rows = [dict(zip(columns, [*cells, *[""] * width], strict=False)) for _, cells in kept]
    return Table(delimiter, tuple(columns), rows, [line for line, _ in kept])


def decimal_mark(texts: Iterable[str], delimiter: str = ",") -> DecimalMark | None:
    """Find out the decimal mark of a column of numbers. None if commas could mean either."""
    cleaned = [_NOISE.sub("", text) for text in texts]
    commas = [text for text in cleaned if "," in text]
    if not commas:
        return "."
    both = [text for text in commas if "." in text]
    if both:
        return "," if all(text.rfind(",") > text.rfind(".") for text in both) else "."
    if any(text.count(",") > 1 for text in commas):
        return "."
    if any(len(text.rpartition(",")[2].rstrip(")")) != 3 for text in commas) or delimiter == ";":  # noqa: PLR2004
        return ","
    return None


def plain_number(text: str, mark: DecimalMark | None) -> str:
    """Write a number of a table as Python reads it. Raises ValueError if ``mark`` leaves open what a comma means."""
    bare = _NOISE.sub("", text)
    negative = _ACCOUNTING.fullmatch(bare)
    if negative is not None:
        bare = f"-{negative[1]}"
    if mark is None and "," in bare:
        raise ValueError(f"{text!r} could be a fraction or thousands: set decimal to ',' or '.'")
    return bare.replace(".", "").replace(",", ".") if mark == "," else bare.replace(",", "")
