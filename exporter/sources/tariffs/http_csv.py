"""Any power price that is served as CSV, also zipped: like ``http_json``, looked up in rows by column name."""

import csv
import io
import zipfile
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.sources.http import MAX_BYTES, Answer
from exporter.sources.tariffs import http_json

_ZIP: Final = b"PK\x03\x04"


class Settings(http_json.Settings):
    """Where the prices are; a column whose name is no plain word is written in quotes: '"LBMP ($/MWHr)"'."""

    kind: Literal["http_csv"] = "http_csv"  # type: ignore[assignment]
    slots: http_json.Expression | None = Field(default="@", description="JMESPath to the wanted rows.")

    def parse(self, answer: Answer) -> Any:
        """Read the rows, each an object with the header's names."""
        return read_csv(answer)


def read_csv(answer: Answer) -> list[dict[str, str]]:
    """Read the rows of a CSV, or of the first file in a zip. Raises a Failure for what is neither."""
    if answer.body.startswith(_ZIP):
        answer = Answer(answer.host, answer.status, answer.headers, _unzip(answer))
    rows = csv.DictReader(io.StringIO(answer.text(), newline=""), strict=True)
    try:
        found = [{str(name).strip(): str(value).strip() for name, value in row.items()} for row in rows]
    except csv.Error as error:
        raise Failure(Reason.GARBLED, f"{answer.host} answered no CSV: {error}") from None
    if not found:
        raise Failure(Reason.GARBLED, f"{answer.host} answered no rows")
    return found


def _unzip(answer: Answer) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            first = archive.infolist()[0]
            if first.file_size > MAX_BYTES:
                raise Failure(Reason.TOO_LARGE, f"{answer.host} zipped more than {MAX_BYTES} bytes")
            return archive.read(first)
    except (zipfile.BadZipFile, IndexError, RuntimeError, NotImplementedError, EOFError, OSError):
        raise Failure(Reason.GARBLED, f"{answer.host} answered a broken zip") from None
