"""Backs up, restores and shows state files."""

import os
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from exporter.model.fields import format_duration
from exporter.state import (
    FILE_VERSION,
    WRITTEN_BY,
    NewerStateError,
    Owner,
    copy_database,
    refuse_other_files,
    writer_of,
)

_COUNTS: Final = {
    "rigs": "SELECT COUNT(*) FROM meters",
    "rigs_that_left": "SELECT COUNT(*) FROM gone",
    "rig_verdicts": "SELECT COUNT(*) FROM clocks WHERE kind = 'rig'",
    "block_verdicts": "SELECT COUNT(*) FROM clocks WHERE kind = 'block'",
    "blocks_with_history": "SELECT COUNT(DISTINCT block) FROM hours",
    "hours_of_history": "SELECT COUNT(DISTINCT hour) FROM hours",
}
_DOCUMENTS: Final = "SELECT name, observed_at FROM documents WHERE name != ? ORDER BY name"


class StateFileError(Exception):
    """A state file cannot be used. The message is one sentence for the operator and includes the next step."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a state file keeps. Times are in unix seconds."""

    path: Path
    size_bytes: int
    written_at: float
    version: int
    written_by: str
    counts: Mapping[str, int]
    documents: Mapping[str, float]
    """When each stored value was observed, by name."""


def show(path: Path) -> Contents:
    """Read what a state file keeps. It may be in use. Raises StateFileError."""
    _check(path)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            counts: dict[str, int] = {}
            for name, query in _COUNTS.items():
                with suppress(sqlite3.OperationalError):  # a table that older versions do not have
                    (counts[name],) = connection.execute(query).fetchone()
            documents = dict(connection.execute(_DOCUMENTS, (WRITTEN_BY,)).fetchall())
            writer = writer_of(connection)
        status = path.stat()
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(path, error) from None
    return Contents(path, status.st_size, status.st_mtime, version, writer, counts, documents)


def as_record(contents: Contents) -> dict[str, Any]:
    """Return the contents as a record for JSON."""
    return {
        "path": str(contents.path),
        "size_bytes": contents.size_bytes,
        "written_at": _time(contents.written_at),
        "format": contents.version,
        "written_by": contents.written_by or None,
        **contents.counts,
        "values": {name: _time(at) for name, at in contents.documents.items()},
    }


def as_text(contents: Contents, now: float) -> str:
    """Return the contents as text; ``now`` in unix seconds."""
    lines = [
        ("file", str(contents.path)),
        ("size", f"{contents.size_bytes:,} bytes"),
        ("last written", f"{_time(contents.written_at)}, {_age(now, contents.written_at)} ago"),
        ("written by", f"hashmargin {contents.written_by or 'of an older version'} (format {contents.version})"),
        *((name.replace("_", " "), f"{count:,}") for name, count in contents.counts.items()),
        *((f"value {name}", f"{_age(now, at)} old") for name, at in contents.documents.items()),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def backup(source: Path, target: Path) -> None:
    """Copy a state file, which may be in use, to ``target``. An earlier backup there is replaced at once or not at all.

    Raises:
        StateFileError: The source cannot be read, or the target cannot be written or is another file.
    """
    _check(source)
    if target.exists():
        _refuse_other(target)
    try:
        copy_database(source, target)
    except sqlite3.Error as error:
        raise _unreadable(source, error) from None
    except OSError as error:
        raise StateFileError(f"{target} cannot be written: {error.strerror or error}") from None


def restore(source: Path, target: Path, now: float) -> Path | None:
    """Replace the state file ``target`` by a backup. Returns where the former one is kept, None if there was none.

    The new file has the owner of the former one, else of its directory.

    Raises:
        StateFileError: The backup is damaged or of a newer version, an exporter uses the target, or it cannot be
            written.
    """
    _check(source)
    _check_sound(source)
    if target.exists():
        _refuse_other(target)
    owner = Owner(target)
    try:
        owner.take()
        former = target.with_name(f"{target.name}.before-restore-{now:.0f}") if target.exists() else None
        if former is not None:
            shutil.copy2(target, former)
        place = target if former is not None else target.parent
        status = place.stat()
        copy_database(source, target)
        if os.geteuid() == 0:
            for path in filter(None, (target, former, owner.path)):
                os.chown(path, status.st_uid, status.st_gid)
    except sqlite3.Error as error:
        raise _unreadable(source, error) from None
    except OSError as error:
        reason = error.strerror or "an exporter uses it: stop that first"
        raise StateFileError(f"{target} cannot be replaced: {reason}") from None
    else:
        for suffix in ("-journal", "-wal", "-shm"):  # of the former file
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        return former
    finally:
        owner.release()


def _check(path: Path) -> None:
    if not path.is_file():
        raise StateFileError(f"{path} does not exist")
    _refuse_other(path)


def _refuse_other(path: Path) -> None:
    try:
        refuse_other_files(path)
    except ValueError as error:
        raise StateFileError(f"{path} {error}") from None


def _check_sound(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            tables: Sequence[Any] = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if verdict != "ok" or not tables:
                raise StateFileError(
                    f"{path} is damaged, or no state file: {verdict if tables else 'it has no tables'}"
                )
            if version > FILE_VERSION:
                raise StateFileError(str(NewerStateError(path, version, writer_of(connection))))
    except sqlite3.Error as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> StateFileError:
    locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    advice = ": an exporter of before 0.1.0 uses it, stop that first" if locked else ""
    return StateFileError(f"{path} cannot be read: {error}{advice}")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _age(now: float, then: float) -> str:
    return format_duration(float(max(0, round(now - then))))


def now() -> float:
    """Return the time in unix seconds."""
    return time.time()
