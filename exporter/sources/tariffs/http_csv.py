"""Any power price that is served as CSV, also zipped: like ``http_json``, with columns looked up by name."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.sources.http import MAX_BYTES, Answer
from exporter.sources.jmespaths import Expression
from exporter.sources.stated import reason_from, stated_reason
from exporter.sources.tables import read_table
from exporter.sources.tariffs import http_json

_ZIP: Final = b"PK\x03\x04"


class Settings(http_json.Settings):
    """Where the prices are. A column name that is not a plain word is written in quotes: '"LBMP ($/MWHr)"'."""

    kind: Literal["http_csv"] = "http_csv"  # type: ignore[assignment]
    slots: Expression | None = Field(default="@", description="JMESPath to the wanted rows.")

    def parse(self, answer: Answer) -> Any:
        """Read the rows, each an object with the names of the header."""
        return read_csv(answer, self.columns_wanted)


class Rows(list[dict[str, str]]):
    """The rows of a CSV, with the line of each by its ``id``."""

    def __init__(self, rows: list[dict[str, str]], lines: list[int], delimiter: str) -> None:
        super().__init__(rows)
        self.lines = {id(row): line for row, line in zip(rows, lines, strict=True)}
        self.delimiter = delimiter


def read_csv(answer: Answer, wanted: Collection[str]) -> Rows:
    """Read the rows of a CSV with the ``wanted`` columns, or of the first file in a zip. Raises Failure otherwise."""
    if answer.body.startswith(_ZIP):
        answer = replace(answer, body=_unzip(answer))
    text = answer.text(otherwise="cp1252")  # as Windows saves tables: its numbers are the same
    if text.lstrip().startswith(("<", "{")):
        words = answer.quote(stated_reason(answer.body))
        raise Failure(reason_from(words), f"{answer.host} answered no CSV: {words}")
    try:
        table = read_table(text, wanted)
    except ValueError as error:
        raise Failure(
            Reason.GARBLED,
            f"{answer.host} answered no such CSV: {answer.quote(str(error))}",
            advice="correct start, end and price to its columns, or url to the right table",
        ) from None
    if not table.rows:
        raise Failure(Reason.NOT_READY, f"{answer.host} answered a CSV without rows")
    return Rows(table.rows, table.lines, table.delimiter)


def _unzip(answer: Answer) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            first = archive.infolist()[0]
            if first.file_size > MAX_BYTES:
                raise Failure(Reason.TOO_LARGE, f"{answer.host} zipped more than {MAX_BYTES} bytes")
            return archive.read(first)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, IndexError, ValueError, RuntimeError, EOFError, OSError):
        advice = "download url once more by hand: if that zip is broken too, ask its publisher"
        raise Failure(Reason.GARBLED, f"{answer.host} answered a broken zip", advice=advice) from None
