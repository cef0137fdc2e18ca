"""Edits a maintenance file: adds entries, ends them, and lists them. Comments, column order and line ends are kept."""

import csv
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

from exporter.model.failures import Failure
from exporter.sources.expected_off.maintenance import Outage, outages
from exporter.sources.tables import delimiter_of
from exporter.tools import tables

COLUMNS: Final = ("rig", "block", "from", "until", "reason")
_BOM: Final = b"\xef\xbb\xbf"


class MaintenanceError(Exception):
    """The file cannot be read or edited. The message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the file, and whether it is ``planned``, ``in force`` or ``over``."""

    outage: Outage
    state: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The entries of the file, and the errors of those that are left out."""

    entries: Sequence[Entry]
    errors: Sequence[str]


def entries(path: Path, timezone: ZoneInfo, now: datetime) -> Listing:
    """Read the file. A missing file has no entries. Raises MaintenanceError."""
    errors: list[str] = []
    found = _all(path, _read(path)[0], timezone, errors)
    return Listing([Entry(one, _state(one, timezone, now)) for one in found if one is not None], errors)


def add(path: Path, added: Collection[Outage], timezone: ZoneInfo) -> None:
    """Append entries. Raises MaintenanceError, and then leaves the file as it was."""
    rows = [_row(outage, timezone) for outage in added]
    _edit(path, timezone, lambda text: _with_yaml(path, text, rows) if _is_yaml(path) else _with_csv(path, text, rows))


def end(path: Path, rigs: Collection[str], blocks: Collection[str], timezone: ZoneInfo, now: datetime) -> int:
    """End the entries of these rigs and blocks that are in force at ``now``, and return their number.

    Raises MaintenanceError, and then leaves the file as it was.
    """
    until = _local(now + timedelta(seconds=1), timezone)  # after the beginning of an entry of this second
    count = 0

    def ends(outage: Outage | None) -> bool:
        named = outage is not None and (outage.rig in rigs or outage.block in blocks)
        return named and outage is not None and outage.holds(now.timestamp(), timezone)

    def ended(text: str) -> str:
        nonlocal count
        chosen = {index for index, outage in enumerate(_all(path, text, timezone)) if ends(outage)}
        count = len(chosen)
        if not chosen:
            return text
        return _end_yaml(text, chosen, until) if _is_yaml(path) else _end_csv(path, text, chosen, until)

    _edit(path, timezone, ended)
    return count


def as_text(listing: Listing, timezone: ZoneInfo) -> str:
    """Format the entries as a table for a terminal."""
    rows = [(one.state, *(_row(one.outage, timezone)[column] for column in COLUMNS)) for one in listing.entries]
    return tables.as_text(("state", *COLUMNS), rows) if rows else "no entries"


def as_records(listing: Listing, timezone: ZoneInfo) -> list[dict[str, str | None]]:
    """Return the entries as records for JSON. A time that is not given is null."""
    return [
        {"state": one.state, **{key: value or None for key, value in _row(one.outage, timezone).items()}}
        for one in listing.entries
    ]


def _state(outage: Outage, timezone: ZoneInfo, now: datetime) -> str:
    if outage.holds(now.timestamp(), timezone):
        return "in force"
    return "planned" if outage.begins_after(now.timestamp(), timezone) else "over"


def _row(outage: Outage, timezone: ZoneInfo) -> dict[str, str]:
    return {
        "rig": outage.rig,
        "block": outage.block,
        "from": _local(outage.begin, timezone),
        "until": _local(outage.until, timezone),
        "reason": outage.reason,
    }


def _local(time: datetime | None, timezone: ZoneInfo) -> str:
    """Write a time with its offset, so that it is unambiguous in the hour that occurs twice."""
    if time is None:
        return ""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=timezone)
    return aware.astimezone(UTC).astimezone(timezone).isoformat(timespec="seconds")


# --- the file ------------------------------------------------------------------------------------------------


def _is_yaml(path: Path) -> bool:
    return path.suffix in (".yml", ".yaml")


def _read(path: Path) -> tuple[str, str, bool]:
    """Return the text with line feeds as line ends, its own line end, and whether it begins with a byte order mark."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        return "", "\n", False
    except (OSError, UnicodeDecodeError) as error:
        raise MaintenanceError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
        ) from None
    return text.replace("\r\n", "\n"), "\r\n" if "\r\n" in text else "\n", content.startswith(_BOM)


def _all(path: Path, text: str, timezone: ZoneInfo, errors: list[str] | None = None) -> list[Outage | None]:
    """Return every entry in the order of the file, None for one with an error. Raises MaintenanceError."""
    try:
        return list(outages(path, text, timezone, [] if errors is None else errors))
    except Failure as failure:
        raise MaintenanceError(f"{path}: {failure.detail}") from None


def _edit(path: Path, timezone: ZoneInfo, change: Callable[[str], str]) -> None:
    """Replace the file in one step, so that the exporter never reads half. Other edits wait."""
    try:
        directory = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise MaintenanceError(f"{path.parent} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        text, line_end, marked = _read(path)
        changed = change(text)
        before, after = (_all(path, each, timezone) for each in (text, changed))
        if after.count(None) != before.count(None) or len(after) < len(before):
            raise MaintenanceError(f"{path} cannot be edited without losing entries: edit it by hand")
        if changed != text:
            _replace(path, (_BOM if marked else b"") + changed.replace("\n", line_end).encode())
    finally:
        os.close(directory)


def _replace(path: Path, content: bytes) -> None:
    target = path.resolve()  # of a symbolic link, the file
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise MaintenanceError(f"{path} cannot be written: {error.strerror}") from None


def _ended_line(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


# --- CSV -----------------------------------------------------------------------------------------------------


def _csv_lines(text: str) -> tuple[str, Iterator[tuple[slice, list[str]]]]:
    """Return the delimiter, and each line that is not empty or a comment, with its place among the lines of text."""
    delimiter, body = delimiter_of(text)

    def lines() -> Iterator[tuple[slice, list[str]]]:
        reader = csv.reader((f"{line}\n" for line in body.split("\n")), skipinitialspace=True, delimiter=delimiter)
        start = 0
        try:
            for cells in reader:
                if any(cells) and not cells[0].startswith("#"):
                    yield slice(start, reader.line_num), cells
                start = reader.line_num
        except csv.Error as error:
            raise MaintenanceError(f"line {start + 1} is not CSV: {error}") from None

    return delimiter, lines()


def _header(path: Path, cells: Sequence[str], wanted: Collection[str]) -> list[str]:
    names = [name.strip().lower() for name in cells]
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise MaintenanceError(f"{path} has no column {missing[0]!r}: add it to the header line")
    return names


def _with_csv(path: Path, text: str, rows: Sequence[dict[str, str]]) -> str:
    delimiter, lines = _csv_lines(text)
    first = next(lines, None)
    wanted = {name for row in rows for name, value in row.items() if value}
    header = list(COLUMNS) if first is None else _header(path, first[1], wanted)
    written = [] if first is not None else [header]
    written += [[row.get(name, "") for name in header] for row in rows]
    return _ended_line(text) + "".join(f"{_csv_line(cells, delimiter)}\n" for cells in written)


def _end_csv(path: Path, text: str, chosen: Collection[int], until: str) -> str:
    delimiter, lines = _csv_lines(text)
    _, cells = next(lines)
    column = _header(path, cells, ["until"]).index("until")
    result, shift = text.split("\n"), 0
    for index, (place, row) in enumerate(lines):
        if index in chosen:
            filled = row + [""] * (column + 1 - len(row))
            filled[column] = until
            result[place.start - shift : place.stop - shift] = [_csv_line(filled, delimiter)]
            shift += place.stop - place.start - 1
    return "\n".join(result)


def _csv_line(cells: Sequence[str], delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="\n").writerow(cells)
    return line.getvalue().removesuffix("\n")


# --- YAML ----------------------------------------------------------------------------------------------------


def _with_yaml(path: Path, text: str, rows: Sequence[dict[str, str]]) -> str:
    entries_ = [{key: value for key, value in row.items() if value} for row in rows]
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(node, yaml.SequenceNode) and node.flow_style:
        raise MaintenanceError(
            f"{path} is a list in square brackets: write each entry on a line that begins with a dash"
        )
    indent = node.start_mark.column if isinstance(node, yaml.SequenceNode) else 0
    added = "".join(
        " " * indent
        + "- "
        + yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
        for entry in entries_
    )
    return _ended_line(text) + added


def _end_yaml(text: str, chosen: Collection[int], until: str) -> str:
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    quoted = f'"{until}"'
    edits: list[tuple[int, int, str]] = []
    for index in chosen:
        node = root.value[index]
        values = {key.value: value for key, value in node.value}
        last = node.value[-1][1].end_mark.index
        if "until" in values:
            place = values["until"]
            edits.append((place.start_mark.index, place.end_mark.index, quoted))
        elif node.flow_style:
            edits.append((last, last, f", until: {quoted}"))
        else:
            edits.append((last, last, f"\n{' ' * node.start_mark.column}until: {quoted}"))
    for start, stop, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[stop:]
    return text
