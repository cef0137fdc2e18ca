"""Files that people edit, such as lists of planned downtime: CSV or YAML, read again when they change."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar
from zoneinfo import ZoneInfo

import structlog
import yaml
from pydantic import AfterValidator, BeforeValidator, ValidationError

from exporter import yaml_nodes
from exporter.file_stamp import why_unreadable
from exporter.model.configuration_errors import sentence
from exporter.model.failures import Failure, Reason
from exporter.sources.tables import delimiter_of

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_CORRECT: Final = "correct the file"
_CORRECT_PATH: Final = "correct `path`, or the file and who may read it"
_MOST_LOGGED: Final = 20
_MOST_BYTES: Final = 8 * 1024 * 1024
_LONGEST_QUOTE: Final = 120
_UNFIT: Final = (ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError)
"""What PyYAML raises for a value that does not fit its tag, such as the date 2026-02-31."""


def _calculable(time: datetime | None) -> datetime | None:
    try:
        if time is not None and time.tzinfo is not None:
            time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time from year 1 to 9999 in UTC") from None
    return time


Time = Annotated[datetime | None, BeforeValidator(lambda value: value or None), AfterValidator(_calculable)]
"""A time in an edited file; empty is None."""

_Signature = tuple[int, int]  # of a file: when it was written (ns), and its size


class EditedFile(Generic[T]):
    """The entries of a file. An unchanged file is not read again.

    Args:
        path: The file. It is YAML if its name ends in .yml or .yaml, else CSV.
        entries: Yields each entry of a text, None for one with an error, which it appends to the list.
        what: What the file is, for the log.
    """

    def __init__(self, path: Path, entries: Callable[[str, list[str]], Iterator[T | None]], what: str = "file") -> None:
        self._path = path
        self._entries = entries
        self._what = what
        self._signature: _Signature | None = None
        self._known: tuple[T, ...] = ()

    def read(self) -> Sequence[T]:
        """Return the entries without errors. Errors are logged once per change. Raises Failure."""
        path = self._path
        try:
            status = path.stat()
            signature = (status.st_mtime_ns, status.st_size)
            if signature == self._signature:
                return self._known
            if status.st_size > _MOST_BYTES:
                raise Failure(Reason.TOO_LARGE, f"{path} has more than {_MOST_BYTES} bytes")
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(Reason.NOT_READY, f"{path} {why_unreadable(error)}", advice=_CORRECT_PATH) from None
        errors: list[str] = []
        self._known = tuple(entry for entry in self._entries(text, errors) if entry is not None)
        self._signature = signature
        if errors:
            _log.warning(
                f"lines of the {self._what} are left out",
                path=str(path),
                lines=len(errors),
                errors=errors[:_MOST_LOGGED],
            )
        return self._known


def entries_of(
    path: Path,
    text: str,
    read: Callable[[Any], T],
    complaint: Callable[[T], str],
    errors: list[str],
    *,
    advice: str = _CORRECT,
) -> Iterator[T | None]:
    """Yield each entry of ``text``, None for one with an error, which goes to ``errors`` with its place.

    Args:
        path: Name of the file, which says whether it is YAML or CSV.
        text: Its content.
        read: Makes an entry of a row; raises ValidationError.
        complaint: What is wrong with an entry as a whole; empty if nothing is.
        errors: Where errors are appended.
        advice: What the operator can do about a text without entries.

    Raises:
        Failure: The text has no entries at all.
    """
    for where, row, unreadable in (
        _yaml_rows(text, advice) if path.suffix in (".yml", ".yaml") else _csv_rows(text, advice)
    ):
        if unreadable:
            errors.append(f"{where}: {unreadable}")
            yield None
            continue
        try:
            entry = read(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = str(first["loc"][0]) if first["loc"] else ""
            errors.append(f"{where}: {key}: {sentence(first)}" if key else f"{where}: {sentence(first)}")
            yield None
        else:
            wrong = complaint(entry)
            if wrong:
                errors.append(f"{where}: {wrong}")
            yield None if wrong else entry


def _csv_rows(text: str, advice: str) -> Iterator[tuple[str, Any, str]]:
    delimiter, body = delimiter_of(text)
    lines = csv.DictReader(
        io.StringIO(body, newline=""), skipinitialspace=True, restkey="more values than columns", delimiter=delimiter
    )
    try:
        for row in lines:
            if any(row.values()) and not str(next(iter(row.values()))).startswith("#"):
                given = {key: value for key, value in row.items() if value and any(value)}  # those in excess are a list
                yield f"line {lines.line_num}", {key.strip().lower(): value for key, value in given.items()}, ""
    except csv.Error as error:
        raise Failure(Reason.GARBLED, f"not CSV after line {lines.line_num}: {error}", advice=advice) from None


def _yaml_rows(text: str, advice: str) -> Iterator[tuple[str, Any, str]]:
    try:
        loader = yaml.SafeLoader(text)
        root = yaml_nodes.compose(loader)
    except RecursionError:
        raise Failure(Reason.GARBLED, "not YAML: it is nested too deeply", advice=advice) from None
    except yaml.YAMLError as error:
        raise Failure(Reason.GARBLED, f"not YAML: {str(error).replace(chr(10), ' ')}", advice=advice) from None
    if root is None or root.tag.endswith(":null"):
        return
    if not isinstance(root, yaml.SequenceNode):
        raise Failure(Reason.GARBLED, "not a YAML list: begin each entry with a dash", advice=advice)
    for number, node in enumerate(root.value, start=1):
        try:
            row = loader.construct_object(node, deep=True)
        except (yaml.YAMLError, *_UNFIT) as error:
            yield f"entry {number}", None, f"{' '.join(str(error).split()):.{_LONGEST_QUOTE}}"
        else:
            yield f"entry {number}", dict(row) if isinstance(row, Mapping) else row, ""


def local_seconds(time: datetime, timezone: ZoneInfo, fold: int = 0) -> float:
    """Convert to unix seconds. An hour that occurs twice begins at its first and ends at its second occurrence."""
    local = time if time.tzinfo is not None else time.replace(tzinfo=timezone, fold=fold)
    return local.timestamp()
