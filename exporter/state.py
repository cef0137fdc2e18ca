"""What survives a restart: who the rigs are, their energy, market data with its age, the decision's clocks and history.

One SQLite file, written rarely and in one transaction, so that it is whole after a kill at any instant. It is a
comfort, not a need: where it can't be read or written the exporter runs on, says so once and counts it.
"""

import asyncio
import fcntl
import json
import os
import sqlite3
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import structlog
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from exporter import __version__
from exporter.decision.history import BlockHistory, BlockHour, FormerHours, MarginHistory, TariffHour, restored
from exporter.decision.pool_work import Subject
from exporter.decision.price_motion import PriceMotion
from exporter.decision.values import Clock, DecisionState
from exporter.file_stamp import stamp
from exporter.model.fields import ConfigPath, Duration, SettingsGroup
from exporter.model.readings import Reading, RigIdentity
from exporter.model.snapshot import LastGood
from exporter.polling.learning import PointMemory
from exporter.polling.ledger import EnergyCounter, RigMemory
from exporter.steady_clock import SteadyClock, elapsed
from exporter.telemetry import Telemetry

T = TypeVar("T")

_log = structlog.get_logger(__name__)

FILE_VERSION: Final = 8
_HOURS_TABLE: Final = """
CREATE TABLE hours (
    block TEXT, hour REAL, seconds REAL NOT NULL, payout REAL NOT NULL, told INTEGER NOT NULL, tariffs TEXT NOT NULL,
    PRIMARY KEY (block, hour)
) WITHOUT ROWID;
"""
_WORK_TABLE: Final = """
CREATE TABLE work (kind TEXT, name TEXT, pool TEXT, slabs BLOB NOT NULL, PRIMARY KEY (kind, name, pool)) WITHOUT ROWID;
"""
_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE identities (
    rig TEXT PRIMARY KEY, identity TEXT, address TEXT NOT NULL, discovered INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE meters (
    rig TEXT PRIMARY KEY, last_success REAL, energy REAL, power REAL,
    good_hashrate REAL, good_power REAL, good_at REAL, good_metered REAL, faults TEXT,
    login TEXT, login_rejected REAL, points TEXT
) WITHOUT ROWID;
CREATE TABLE gone (rig TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (name TEXT PRIMARY KEY, document TEXT NOT NULL, observed_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE clocks (kind TEXT, name TEXT, clock TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE margins (
    block TEXT, hour REAL, seconds REAL NOT NULL, revenue REAL NOT NULL, cost REAL NOT NULL, kwh REAL NOT NULL,
    PRIMARY KEY (block, hour)
) WITHOUT ROWID;
{_HOURS_TABLE}
{_WORK_TABLE}
PRAGMA user_version = {FILE_VERSION};
COMMIT;
"""
_FORGET_ALGORITHMS: Final = """
UPDATE identities SET identity = json_remove(identity, '$.algorithm')
WHERE json_valid(identity) AND json_extract(identity, '$.algorithm') = 'SHA256'
    AND (json_extract(identity, '$.reader') LIKE 'pyasic:%'
        OR json_extract(identity, '$.reader') IN ('antminer', 'epic', 'vnish'));
"""
"""Up to version 3 SHA256 also stood where a rig did not report its algorithm, on firmware that runs on others too."""
_ADD_FAULTS: Final = "ALTER TABLE meters ADD COLUMN faults TEXT;"
_ADD_LOGINS: Final = "ALTER TABLE meters ADD COLUMN login TEXT; ALTER TABLE meters ADD COLUMN login_rejected REAL;"
_ADD_POINTS: Final = "ALTER TABLE meters ADD COLUMN points TEXT;"


def _upgrade(*steps: str) -> str:
    return f"BEGIN; {' '.join(steps)} PRAGMA user_version = {FILE_VERSION}; COMMIT;"


_UPGRADES: Final = {
    0: _SCHEMA,
    2: _upgrade(_ADD_FAULTS, _FORGET_ALGORITHMS, _HOURS_TABLE, _ADD_LOGINS, _ADD_POINTS, _WORK_TABLE),
    3: _upgrade(_FORGET_ALGORITHMS, _HOURS_TABLE, _ADD_LOGINS, _ADD_POINTS, _WORK_TABLE),
    4: _upgrade(_HOURS_TABLE, _ADD_LOGINS, _ADD_POINTS, _WORK_TABLE),
    5: _upgrade(_ADD_LOGINS, _ADD_POINTS, _WORK_TABLE),
    6: _upgrade(_ADD_POINTS, _WORK_TABLE),
    7: _upgrade(_WORK_TABLE),
}
"""What makes a file of an older version, or an empty one, one of this version."""
_RIGS: Final = """
SELECT rig, identity, address, discovered, faults, login, login_rejected, points, last_success, energy, power,
    good_hashrate, good_power, good_at, good_metered
FROM meters LEFT JOIN identities USING (rig)
"""
_HOURS_KEPT: Final = 28 * 24
"""Hours that are kept at least; more if the history's window is longer."""
_FORGET_HOURS: Final = """
DELETE FROM hours WHERE hour <= (SELECT DISTINCT hour FROM hours ORDER BY hour DESC LIMIT 1 OFFSET ?)
"""  # by count, not by age: a clock that jumps ahead for a moment must not wipe the history
_FORGET_FORMER: Final = "DELETE FROM margins WHERE (SELECT COUNT(DISTINCT hour) FROM hours) >= ?"
"""The hours that versions up to 3 kept, in the table ``margins``, are shown until there are enough of ours."""
_FORMER: Final = "SELECT block, COUNT(*), SUM(revenue - cost), SUM(kwh) FROM margins GROUP BY block"
_GONE_KEPT: Final = 30 * 86_400.0
"""Seconds that a rig is remembered for after it left the inventory."""
_CLOCK_SET_WITHIN: Final = 3_600.0
"""Seconds after a start before rigs are forgotten. Until then a system clock that is wrong has been set."""
_FORGET_RIG: Final = (
    "DELETE FROM identities WHERE rig = ?",
    "DELETE FROM meters WHERE rig = ?",
    "DELETE FROM clocks WHERE kind = 'rig' AND name = ?",
    "DELETE FROM work WHERE kind = 'rig' AND name = ?",
    "DELETE FROM gone WHERE rig = ?",
)
_LOCK_TIMEOUT: Final = 5.0  # s: another process that is just ending
_LOCK_RETRY: Final = 0.05  # s
_PRIVATE: Final = 0o600
_MAGIC: Final = b"SQLite format 3\0"
_HEAD: Final = 4_096  # bytes, which in a database are never all text
_OWN_TABLE: Final = "meters"  # in files of every version
_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY_CODE: Final = 0xFF  # of SQLite's extended error codes

_DECISION: Final = "decision"
"""The document with the motions of prices. Its time is that of the last decision."""
_ENERGY: Final = "energy"
"""The document with the energy counters of the latest publication. They are saved before they are served."""
_ENERGY_SECONDS: Final = 1.0
"""Seconds that a publication waits for its counters to be saved. A disk that hangs must not stop it."""
_MOST_HELD: Final = 300.0
"""Seconds for which counters stand still while they cannot be saved. A disk that fails for longer has an alert."""
WRITTEN_BY: Final = "written_by"
"""The document with the version of hashmargin that wrote the file last."""
_EMPTY: Final = 0
"""Version of a file without tables."""
_RIG: Final = "rig"
_BLOCK: Final = "block"

_IDENTITY: Final = TypeAdapter(RigIdentity)
_CLOCK: Final = TypeAdapter(Clock)
_MOTIONS: Final = TypeAdapter(dict[str, PriceMotion])
_TARIFF_HOURS: Final = TypeAdapter(list[tuple[str, float, float | None, list[int], list[float], list[float]]])
_COUNTERS: Final = TypeAdapter(dict[str, EnergyCounter], config=ConfigDict(ser_json_inf_nan="constants"))
_POINTS: Final = TypeAdapter(tuple[PointMemory, ...])
_FAULTS: Final = TypeAdapter(tuple[tuple[str, str, float], ...])

_Subject: TypeAlias = tuple[str, str]  # rig or block, and its name


@cache  # what passed is not opened again: closing it would undo SQLite's lock on the file in use
def refuse_other_files(path: Path) -> Path:
    """Return ``path``. Raises ValueError for what is plainly not a state file, not even a damaged one."""
    with suppress(OSError, sqlite3.Error):  # reported by the store, which goes on without a file
        if path.is_dir():
            raise ValueError("is a directory: name a file in it")
        what = ""
        if path.is_file():
            what = "a text that hashmargin did not write" if _is_text(path) else _other_database(path)
        if what:
            raise ValueError(f"is {what}: give it a file of its own, which is made where there is none")
    return path


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = head.decode(errors="replace")
    whole = "\ufffd" not in text[:-1] and all(character.isprintable() or character.isspace() for character in text)
    return whole and not _MAGIC.startswith(head)  # an empty file, and the first bytes of a truncated one


def _other_database(path: Path) -> str:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "another program's database" if tables and _OWN_TABLE not in tables else ""


LIST_SIZES: Final = "inventory"
"""The document with the number of rigs in each list of the inventory."""
PLAN_WORTH: Final = "plan worth"
"""The document with what following the day-ahead plan would have earned."""


def stored_list_sizes(path: Path) -> dict[str, int] | None:
    """Read the sizes of the inventory's lists from a state file that may be in use. None if it has none."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT document FROM documents WHERE name = ?", (LIST_SIZES,)).fetchone()
        return None if row is None else TypeAdapter(dict[str, int]).validate_json(row[0])
    except (sqlite3.Error, ValidationError):
        return None


def _inode(path: Path) -> int | None:
    written = stamp(path)
    return None if written is None else written[0]


def _make_private(path: Path) -> None:
    """Create the file if needed, and let only its owner read it: it names rigs, addresses and logins."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE))
    with suppress(PermissionError):  # it belongs to somebody else
        path.chmod(_PRIVATE)


class StateSettings(SettingsGroup):
    """Where what should survive a restart is kept, and how often it is written."""

    path: Annotated[ConfigPath, AfterValidator(refuse_other_files)] | None = Field(
        default=None, description="The state file; left out, a restart forgets everything."
    )
    interval: Duration = Field(
        default=60.0, description="How often what changed is written: as much is lost at most when the power fails."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is kept. ``documents`` are JSON by name, such as the last known market readings."""

    rigs: Mapping[str, RigMemory] = field(default_factory=dict)
    documents: Mapping[str, Reading[str]] = field(default_factory=dict)
    decision: DecisionState = field(default_factory=DecisionState)
    history: MarginHistory = field(default_factory=MarginHistory)
    pool_work: Mapping[Subject, "array[float]"] = field(default_factory=dict)

    def reading(self, name: str, kind: type[T]) -> Reading[T] | None:
        """Read a document as a ``kind``; None where there is none, or none that this version understands."""
        document = self.documents.get(name)
        if document is None:
            return None
        with suppress(ValidationError):
            return Reading(TypeAdapter(kind).validate_json(document.value), document.observed_at)
        _log.warning("document in the state file is not understood", document=name)
        return None


def document(reading: Reading[Any]) -> Reading[str]:
    """Write a reading as a document. Its value is JSON's own, a dataclass, or a pydantic model."""
    return Reading(to_json(reading.value).decode(), reading.observed_at)


class NewerStateError(Exception):
    """A newer version of hashmargin wrote the state file. The message includes the next step."""

    def __init__(self, path: Path, version: int, writer: str) -> None:
        """``version`` is that of the file's tables, ``writer`` the version of hashmargin, if known."""
        kept = f"{path.name}.version-{FILE_VERSION}"
        super().__init__(
            f"the state file {path} was written by hashmargin {writer or 'of a newer version'} (format {version}), but "
            f"this is hashmargin {__version__} (format {FILE_VERSION}): install that version again, restore a backup "
            f"with `hashmargin state restore` (an upgrade keeps one as {kept}), or move the file away"
        )


def writer_of(connection: sqlite3.Connection) -> str:
    """Return the version of hashmargin that wrote the file last. Empty if unknown."""
    with suppress(sqlite3.Error, ValidationError):
        row = connection.execute("SELECT document FROM documents WHERE name = ?", (WRITTEN_BY,)).fetchone()
        return "" if row is None else TypeAdapter(str).validate_json(row[0])
    return ""


class Owner:
    """Claims a state file for one process: two exporters would undo each other's work. Others may read it.

    The lock is on a file beside it, because SQLite locks the state file itself only while it reads or writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.lock")
        self._descriptor = -1

    def take(self) -> None:
        """Claim the file. Waits for 5 s for another process that is just ending, then raises OSError."""
        if self._descriptor >= 0:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        until = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(descriptor)
                    raise OSError("another exporter uses it: give each its own state file") from None
                time.sleep(_LOCK_RETRY)
            except OSError:
                os.close(descriptor)
                raise
            else:
                self._descriptor = descriptor
                return

    def release(self) -> None:
        """Let another process claim the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def copy_database(source: Path, target: Path) -> None:
    """Copy a state file to ``target`` in one instant, also while an exporter writes it.

    Raises:
        sqlite3.Error: The source cannot be read, or another process keeps it locked.
        OSError: The target cannot be written.
    """
    scratch = target.with_name(f".{target.name}.new")
    try:
        scratch.unlink(missing_ok=True)
        _make_private(scratch)
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCK_TIMEOUT)) as old,
            closing(sqlite3.connect(scratch)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = TRUNCATE")
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


class StateStore:
    """Keeps the state in a file, if ``settings`` name one. Nothing it does raises for want of a good disk."""

    def __init__(
        self,
        settings: StateSettings,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = elapsed,
        shared: bool = False,
    ) -> None:
        """``shared`` if a lease decides which of several exporters uses the file."""
        self._settings = settings
        self._telemetry = telemetry
        self._failing = False
        self._file = _StateFile(settings.path, clock, timer, shared=shared) if settings.path is not None else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")
        self._saving_energy: asyncio.Task[bool | None] | None = None
        self._timer = timer
        self._energy_saved_at = timer()

    async def load(self) -> State:
        """Read what a former process kept. Raises NewerStateError if a newer version of hashmargin wrote it."""
        if self._file is None:
            return State()
        return await self._attempt(self._file.load, refuse_newer=True) or State()

    async def save(self, state: State) -> None:
        """Write what changed since the last time, in one transaction. What ``state`` does not mention stays."""
        file = self._file
        if file is not None:
            await self._attempt(lambda: file.save(state))

    async def save_energy(self, counters: Mapping[str, EnergyCounter]) -> bool:
        """Save the energy counters of rigs by name. Return whether they may be served.

        They may be served when they are saved, so that no crash lets a served counter fall, and when nothing could be
        saved for five minutes. Returns after a second at the latest. Until a save that hangs is over, later ones are
        skipped.
        """
        file = self._file
        if file is None:
            return True
        if self._saving_energy is None or self._saving_energy.done():
            self._saving_energy = asyncio.create_task(self._attempt(lambda: file.save_energy(counters)))
            await asyncio.wait({self._saving_energy}, timeout=_ENERGY_SECONDS)
            if self._saving_energy.done() and self._saving_energy.result():
                self._energy_saved_at = self._timer()
                return True
        return self._timer() - self._energy_saved_at > _MOST_HELD

    async def run(self, collect: Callable[[], State]) -> None:
        """Save what ``collect`` gives, at intervals until cancelled."""
        while True:
            await asyncio.sleep(self._settings.interval)
            await self.save(collect())

    async def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.release)
        self._thread.shutdown()

    async def _attempt(self, work: Callable[[], T], *, refuse_newer: bool = False) -> T | None:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError, NewerStateError) as error:
            if refuse_newer and isinstance(error, NewerStateError):
                raise
            self._telemetry.state_failures.inc()
            if not self._failing:
                self._failing = True
                advice = "check the disk's space and permissions; until then a restart forgets what is new"
                _log.error("state can not be kept", path=str(self._settings.path), error=str(error), advice=advice)
            return None
        if self._failing:
            self._failing = False
            _log.info("state is kept again", path=str(self._settings.path))
        return result


class _StateFile:
    """The SQLite file, used in one thread only. Its methods raise sqlite3.Error or OSError."""

    def __init__(self, path: Path, clock: Callable[[], float], timer: Callable[[], float], *, shared: bool) -> None:
        self._path = path
        self._owner = None if shared else Owner(path)
        self._clock = SteadyClock(clock, timer)
        self._timer = timer
        self._opened_at = timer()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None  # of the file that is open
        self._rigs: dict[str, RigMemory] = {}  # as written
        self._gone: dict[str, float] = {}  # since when
        self._documents: dict[str, Reading[str]] = {}
        self._clocks: dict[_Subject, Clock] = {}
        self._history: Mapping[str, BlockHistory] = {}  # as written
        self._former: dict[str, FormerHours] = {}
        self._work: dict[Subject, array[float]] = {}  # as written

    def load(self) -> State:
        return self._with_sound_file(self._load)

    def save(self, state: State) -> None:
        self._with_sound_file(lambda connection: self._save(connection, state))

    def save_energy(self, counters: Mapping[str, EnergyCounter]) -> bool:
        self._with_sound_file(lambda connection: self._save_energy(connection, counters))
        return True

    def release(self) -> None:
        """Close the file, and let another process own it."""
        self.close()
        if self._owner is not None:
            self._owner.release()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _with_sound_file(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except sqlite3.Error as error:
            self.close()
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE not in _CORRUPT:
                raise
            self._set_aside(str(error))
        return work(self._open())

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and _inode(self._path) == self._inode:
            return self._connection
        if self._connection is not None:
            self.close()
            self._forget_written()
            _log.warning("state file was moved away or replaced: writing everything again", path=str(self._path))
        if not self._path.parent.is_dir():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _log.info("directory of the state file created", path=str(self._path.parent))
        if self._owner is not None:
            self._owner.take()
        _make_private(self._path)
        self._inode = _inode(self._path)
        self._connection = connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT)
        connection.execute("PRAGMA journal_mode = TRUNCATE")  # the file is whole by itself, also on a network disk
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict == "ok" and version > FILE_VERSION:
            writer = writer_of(connection)
            self.close()
            raise NewerStateError(self._path, version, writer)
        if version not in {FILE_VERSION, *_UPGRADES} or verdict != "ok":
            self.close()
            self._set_aside(
                verdict if verdict != "ok" else f"it has version {version}, this exporter writes {FILE_VERSION}"
            )
            return self._open()
        if version not in {FILE_VERSION, _EMPTY}:
            kept = self._path.with_name(f"{self._path.name}.version-{version}")
            copy_database(self._path, kept)
            _log.info("state file upgraded", path=str(self._path), version=FILE_VERSION, former_kept_as=str(kept))
        if version != FILE_VERSION:
            connection.executescript(_UPGRADES[version])
        if writer_of(connection) != __version__:
            with connection:
                row = (WRITTEN_BY, to_json(__version__).decode(), self._clock())
                connection.execute("REPLACE INTO documents VALUES (?, ?, ?)", row)
        return connection

    def _set_aside(self, why: str) -> None:
        aside = self._path.with_name(f"{self._path.name}.corrupt-{self._clock():.0f}")
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).replace(aside.with_name(aside.name + suffix))
        self._forget_written()
        _log.error("state file is unusable: starting anew", path=str(self._path), kept_as=str(aside), error=why)

    def _forget_written(self) -> None:
        """Write everything the next time, because the file is a new one."""
        self._rigs.clear()
        self._gone.clear()
        self._documents.clear()
        self._clocks.clear()
        self._history = {}
        self._former.clear()
        self._work.clear()

    def _load(self, connection: sqlite3.Connection) -> State:
        self._rigs = {rig: _memory(*columns) for rig, *columns in connection.execute(_RIGS)}
        self._gone = dict(connection.execute("SELECT rig, since FROM gone"))
        documents = connection.execute("SELECT name, document, observed_at FROM documents")
        self._documents = {name: Reading(text, observed_at) for name, text, observed_at in documents}
        looked = self._documents.get(_DECISION)
        served = self._documents.pop(_ENERGY, None)
        self._documents.pop(WRITTEN_BY, None)
        rigs = _with_served(self._rigs, {} if served is None else _counters(served.value), self._clock())
        looked_at = looked.observed_at if looked is not None else None
        self._clocks = dict(_clocks(connection.execute("SELECT kind, name, clock FROM clocks")))
        self._former = {
            block: FormerHours(hours=hours, margin=margin, kwh=kwh)
            for block, hours, margin, kwh in connection.execute(_FORMER)
        }
        rows = connection.execute("SELECT block, hour, seconds, payout, told, tariffs FROM hours ORDER BY block, hour")
        blocks: dict[str, list[BlockHour]] = defaultdict(list)
        for block, *row in rows:
            if (hour := _hour(*row)) is not None:
                blocks[block].append(hour)
        self._history = {name: restored(hours) for name, hours in blocks.items()}
        clocks: dict[str, dict[str, Clock]] = {_RIG: {}, _BLOCK: {}}
        for (kind, name), clock in self._clocks.items():
            clocks[kind][name] = clock
        self._work = {
            Subject(*subject): array("d", slabs)
            for *subject, slabs in connection.execute("SELECT kind, name, pool, slabs FROM work")
        }
        return State(
            rigs=rigs,
            documents={name: item for name, item in self._documents.items() if name != _DECISION},
            decision=DecisionState(
                evaluated_at=looked_at,
                rigs=clocks[_RIG],
                blocks=clocks[_BLOCK],
                motions={} if looked is None else _motions(looked.value),
            ),
            history=MarginHistory(
                observed_at=looked_at,
                blocks=self._history,
                former=dict(self._former),
            ),
            pool_work=dict(self._work),
        )

    def _follow_clock(self, connection: sqlite3.Connection) -> None:
        """Keep how long rigs have been gone when the system clock was set, unless it was wrong at the start."""
        if step := self._clock.follow():
            now = self._clock()
            step = step if self._has_run_long() else 0.0
            with connection:
                connection.execute("UPDATE gone SET since = MIN(since + ?, ?)", (step, now))
            self._gone = {rig: min(since + step, now) for rig, since in self._gone.items()}

    def _long_gone(self) -> set[str]:
        if not self._has_run_long():
            return set()
        return {rig for rig, since in self._gone.items() if self._clock() - since > _GONE_KEPT}

    def _has_run_long(self) -> bool:
        return self._timer() - self._opened_at >= _CLOCK_SET_WITHIN

    def _save(self, connection: sqlite3.Connection, state: State) -> None:
        self._follow_clock(connection)
        blank = RigMemory()
        rigs = {rig: memory for rig, memory in state.rigs.items() if memory != self._rigs.get(rig, blank)}
        current = dict(state.documents)
        if state.decision.evaluated_at is not None:
            motions = to_json(state.decision.motions).decode()
            current[_DECISION] = Reading(motions, state.decision.evaluated_at)
        documents = {name: item for name, item in current.items() if item != self._documents.get(name)}
        clocks = dict(_judged(state.decision) - self._clocks.items())
        hours = [
            (block, hour)
            for block, past in state.history.blocks.items()
            for hour in past.since(self._history.get(block, BlockHistory()))
        ]
        work = {subject: slabs for subject, slabs in state.pool_work.items() if self._work.get(subject) is not slabs}
        leaving = dict.fromkeys(self._rigs.keys() - state.rigs.keys() - self._gone.keys(), self._clock())
        back = self._gone.keys() & state.rigs.keys()
        forgotten = self._long_gone() - back
        if not (rigs or documents or clocks or hours or work or leaving or back or forgotten):
            return
        identities = [
            _identity(rig, memory)
            for rig, memory in rigs.items()
            if _identity(rig, memory) != _identity(rig, self._rigs.get(rig, blank))
        ]
        with connection:
            connection.executemany("REPLACE INTO identities VALUES (?, ?, ?, ?)", identities)
            meters = map(_meter, rigs, rigs.values())
            connection.executemany("REPLACE INTO meters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", meters)
            connection.executemany("INSERT INTO gone VALUES (?, ?)", leaving.items())
            connection.executemany("DELETE FROM gone WHERE rig = ?", [(rig,) for rig in back])
            for statement in _FORGET_RIG:
                connection.executemany(statement, [(rig,) for rig in forgotten])
            rows = [(name, item.value, item.observed_at) for name, item in documents.items()]
            connection.executemany("REPLACE INTO documents VALUES (?, ?, ?)", rows)
            verdicts = [(kind, name, to_json(clock).decode()) for (kind, name), clock in clocks.items()]
            connection.executemany("REPLACE INTO clocks VALUES (?, ?, ?)", verdicts)
            connection.executemany(
                "REPLACE INTO hours VALUES (?, ?, ?, ?, ?, ?)",
                [(block, *_row(hour)) for block, hour in hours],
            )
            booked = [(*subject, slabs.tobytes()) for subject, slabs in work.items()]
            connection.executemany("REPLACE INTO work VALUES (?, ?, ?, ?)", booked)
            if hours:
                connection.execute(_FORGET_HOURS, (max(_HOURS_KEPT, _distinct_hours(state.history)),))
                connection.execute(_FORGET_FORMER, (_HOURS_KEPT,))
        self._rigs = {rig: memory for rig, memory in (self._rigs | rigs).items() if rig not in forgotten}
        self._gone = {rig: since for rig, since in (self._gone | leaving).items() if rig not in back | forgotten}
        self._documents |= documents
        dropped = {(_RIG, rig) for rig in forgotten}
        self._clocks = {subject: clock for subject, clock in (self._clocks | clocks).items() if subject not in dropped}
        self._history = state.history.blocks
        self._work |= work

    def _save_energy(self, connection: sqlite3.Connection, counters: Mapping[str, EnergyCounter]) -> None:
        with connection:
            row = (_ENERGY, _COUNTERS.dump_json(dict(counters)).decode(), self._clock())
            connection.execute("REPLACE INTO documents VALUES (?, ?, ?)", row)


def _counters(text: str) -> dict[str, EnergyCounter]:
    with suppress(ValidationError):
        return _COUNTERS.validate_json(text)
    return {}


def _with_served(
    rigs: Mapping[str, RigMemory], served: Mapping[str, EnergyCounter], now: float
) -> dict[str, RigMemory]:
    """Return the rigs with the energy that was served last, where that is more than what was saved with the rest."""
    resumed = dict(rigs)
    for rig, counter in served.items():
        if rig not in rigs and (counter.last_success is None or now - counter.last_success > _GONE_KEPT):
            continue
        memory = rigs.get(rig, RigMemory())
        if memory.energy is None or memory.energy < counter.joules:
            joules, last_success, power = counter
            resumed[rig] = replace(memory, energy=joules, last_success=last_success, power=power)
    return resumed


def _identity(rig: str, memory: RigMemory) -> tuple[object, ...]:
    identity = to_json(memory.identity).decode() if memory.identity is not None else None
    return rig, identity, memory.address, memory.discovered


def _clocks(rows: Iterable[tuple[str, str, str]]) -> Iterable[tuple[_Subject, Clock]]:
    for kind, name, text in rows:
        with suppress(ValidationError):  # of another version: the verdict begins anew
            yield (kind, name), _CLOCK.validate_json(text)


def _motions(text: str) -> dict[str, PriceMotion]:
    with suppress(ValidationError):  # of another version: they are learned anew
        return _MOTIONS.validate_json(text)
    return {}


def _judged(decision: DecisionState) -> set[tuple[_Subject, Clock]]:
    rigs = {((_RIG, name), clock) for name, clock in decision.rigs.items()}
    return rigs | {((_BLOCK, name), clock) for name, clock in decision.blocks.items()}


def _distinct_hours(history: MarginHistory) -> int:
    begins: set[float] = set()
    for past in history.blocks.values():
        for day in past.days:
            begins.update(day.begins)
        if past.open is not None:
            begins.add(past.open.hour)
    return len(begins)


def _row(hour: BlockHour) -> tuple[object, ...]:
    tariffs = [
        (each.tariff, each.price, each.sale, list(each.steps), list(each.work), list(each.kwh)) for each in hour.tariffs
    ]
    return hour.hour, hour.seconds, hour.payout, hour.recorded, json.dumps(tariffs, separators=(",", ":"))


def _hour(hour: float, seconds: float, payout: float, recorded: int, tariffs: str) -> BlockHour | None:
    with suppress(ValidationError):  # of another version: the hour is not known
        return BlockHour(
            hour=hour,
            seconds=seconds,
            payout=payout,
            recorded=bool(recorded),
            tariffs=tuple(
                TariffHour(
                    tariff=tariff,
                    price=price,
                    sale=sale,
                    steps=array("i", steps),
                    work=array("d", work),
                    kwh=array("d", kwh),
                )
                for tariff, price, sale, steps, work, kwh in _TARIFF_HOURS.validate_json(tariffs)
            ),
        )
    return None


def _meter(rig: str, memory: RigMemory) -> tuple[object, ...]:
    good = memory.last_good
    last_good = (good.hashrate, good.power, good.observed_at, good.metered_power) if good is not None else (None,) * 4
    faults = to_json(memory.faults).decode() if memory.faults else None
    login = memory.login or None
    own = rig, memory.last_success, memory.energy, memory.power
    points = to_json(memory.points).decode() if memory.points else None
    return *own, *last_good, faults, login, memory.login_rejected_at, points


def _memory(  # noqa: PLR0913, PLR0917 -- the columns of a row
    identity: str | None,
    address: str | None,
    discovered: int | None,
    faults: str | None,
    login: str | None,
    login_rejected_at: float | None,
    points: str | None,
    last_success: float | None,
    energy: float | None,
    power: float | None,
    *last_good: float | None,
) -> RigMemory:
    who = None
    if identity is not None:
        with suppress(ValidationError):  # of another version: the rig is asked again
            who = _IDENTITY.validate_json(identity)
    known_faults: tuple[tuple[str, str, float], ...] = ()
    if faults is not None:
        with suppress(ValidationError):
            known_faults = _FAULTS.validate_json(faults)
    learned: tuple[PointMemory, ...] = ()
    if points is not None:
        with suppress(ValidationError):  # of another version: they are learned again
            learned = _POINTS.validate_json(points)
    hashrate, good_power, good_at, metered_power = last_good
    good = None
    if hashrate is not None and good_at is not None:
        good = LastGood(hashrate=hashrate, power=good_power, observed_at=good_at, metered_power=metered_power)
    return RigMemory(
        identity=who,
        last_success=last_success,
        energy=energy,
        power=power,
        last_good=good,
        address=address or "",
        discovered=bool(discovered),
        faults=known_faults,
        login=login or "",
        login_rejected_at=login_rejected_at,
        points=learned,
    )
