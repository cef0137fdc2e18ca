"""Finds rigs in address ranges: knocks at the ports that rigs listen on, then identifies what opens one of them.

A busy scanner must not miss rigs: it knocks twice, slows down if it runs late itself, and reports what it is unsure of.
"""

import asyncio
import csv
import errno
import io
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

from pydantic import TypeAdapter, ValidationError

from exporter.exposition.spreadsheets import no_formula
from exporter.inventory.csv_files import CsvFile
from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import RigIdentity
from exporter.polling.guard import Guard
from exporter.polling.settings import IDENTIFY_SECONDS
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.names import is_ip
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.transport import OUT_OF_SOCKETS

PORTS: Final = (4028, 80, 4433)
"""cgminer's API and ePIC's, web interfaces, Whatsminer V3: every reader begins at one of them."""

KNOCK_SECONDS: Final = 1.5
AT_ONCE: Final = 250
"""Addresses tried together: with a socket for each port, fewer than the 1,024 files that most systems allow."""
FEWEST_AT_ONCE: Final = 8
IDENTIFYING: Final = 50
"""Addresses identified together."""
IDENTIFYING_AGAIN: Final = 10
_LATE_SECONDS: Final = 0.5
"""A timeout that ends this much later says nothing about the rig: the scanner itself was too busy."""
_OWN_LIMITS: Final = (*OUT_OF_SOCKETS, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN)
"""Errors of this host that say nothing about the rig."""
_AGAIN: Final = (Reason.TIMEOUT, Reason.INTERNAL, Reason.NOT_READY)
_IDENTITY: Final = TypeAdapter(RigIdentity)

COLUMNS: Final = ("address", "mac", "serial", "#make", "#model", "#firmware", "#version", "#hostname")


@dataclass(frozen=True, slots=True)
class Found:
    """Something that opened a port: its identity, or why no reader identified it."""

    address: str
    who: RigIdentity | Failure


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of a scan.

    Attributes:
        found: What answers, in the order of the addresses.
        unsure: Addresses that may have a rig: the scanner was too busy to know.
    """

    found: list[Found]
    unsure: list[str] = field(default_factory=list)


class Journal:
    """Keeps the results of a scan in a file, so that a scan that was stopped can continue.

    A context manager. ``known`` has the results of the earlier scan by address, None if nothing answered there.
    """

    def __init__(self, path: Path) -> None:
        """Read the file if it exists. A line that is cut off is ignored. Raises OSError or UnicodeDecodeError."""
        self.known: dict[str, Found | None] = {}
        self._path = path
        self._file: TextIO | None = None
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                with suppress(ValueError, KeyError, TypeError, ValidationError):
                    entry = json.loads(line)
                    self.known[entry["address"]] = _from_entry(entry)

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def note(self, address: str, found: Found | None) -> None:
        """Write the result of one address."""
        if self._file is not None:
            self._file.write(f"{json.dumps({'address': address} | _entry(found))}\n")
            self._file.flush()

    def remove(self) -> None:
        """Remove the file after a complete scan."""
        self._path.unlink(missing_ok=True)


def _entry(found: Found | None) -> dict[str, Any]:
    if found is None:
        return {}
    if isinstance(found.who, Failure):
        return {"reason": found.who.reason, "detail": found.who.detail}
    return {"who": asdict(found.who)}


def _from_entry(entry: Mapping[str, Any]) -> Found | None:
    address = str(entry["address"])
    if "who" in entry:
        return Found(address, _IDENTITY.validate_python(entry["who"]))
    return Found(address, Failure(Reason(entry["reason"]), str(entry["detail"]))) if "reason" in entry else None


class _Knock(Enum):
    """What a knock at an address brought: ``LATE`` says nothing, because the scanner was too busy."""

    OPEN = auto()
    CLOSED = auto()
    SILENT = auto()
    LATE = auto()


class _Pace:
    """How many addresses are tried together. It only slows down, whenever the scanner runs late."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def slow_down(self) -> None:
        self.limit = max(FEWEST_AT_ONCE, self.limit * 3 // 4)


async def scan(
    addresses: Sequence[str],
    credentials: Callable[[str], Credentials | None],
    progress: Callable[[int], None],
    journal: Journal | None = None,
) -> Scan:
    """Find what answers.

    Args:
        addresses: The addresses to try.
        credentials: Returns the login for an address, or None for the factory's.
        progress: Called with 1 for each address that is done.
        journal: Results of an earlier scan that was stopped, and where to note those of this one.
    """
    known = {} if journal is None else journal.known
    results = {address: known[address] for address in addresses if address in known}
    progress(len(results))
    async with Miners() as miners:
        scanner = _Scanner(_Identifier(miners, credentials), results, progress, journal)
        await scanner.scan([address for address in addresses if address not in results])
    return Scan([found for address in addresses if (found := results.get(address)) is not None], scanner.unsure)


class _Scanner:
    """Knocks at every address, and a second time where the first knock is no proof that nothing is there."""

    def __init__(
        self,
        identify: "_Identifier",
        results: dict[str, Found | None],
        progress: Callable[[int], None],
        journal: Journal | None,
    ) -> None:
        self.unsure: list[str] = []
        self._identify = identify
        self._results = results
        self._progress = progress
        self._journal = journal
        self._pace = _Pace(AT_ONCE)
        self._again: list[str] = []

    async def scan(self, addresses: Sequence[str]) -> None:
        await _for_each(addresses, self._first_look, self._pace)
        self._identify.limit(IDENTIFYING_AGAIN)
        await _for_each(self._again, self._last_look, self._pace)

    async def _first_look(self, address: str) -> None:
        match await self._knock(address):
            case _Knock.OPEN:
                found = await self._identify(address)
                if isinstance(found.who, Failure) and found.who.reason in _AGAIN:
                    self._again.append(address)
                else:
                    self._done(address, found)
            case _Knock.CLOSED:
                self._done(address, None)
            case _:
                self._again.append(address)

    async def _last_look(self, address: str) -> None:
        match await self._knock(address):
            case _Knock.OPEN:
                self._done(address, await self._identify(address))
            case _Knock.LATE:
                self.unsure.append(address)
                self._progress(1)
            case _:
                self._done(address, None)

    async def _knock(self, address: str) -> "_Knock":
        knock = await _knock(address)
        if knock is _Knock.LATE:
            self._pace.slow_down()
        return knock

    def _done(self, address: str, found: Found | None) -> None:
        self._results[address] = found
        self._progress(1)
        if self._journal is not None:
            self._journal.note(address, found)


async def _for_each(addresses: Sequence[str], work: Callable[[str], Awaitable[None]], pace: _Pace) -> None:
    """Work on all addresses, on as many at once as ``pace`` allows at that time."""
    waiting = deque(addresses)

    async def worker(index: int) -> None:
        while waiting and index < pace.limit:
            await work(waiting.popleft())

    await asyncio.gather(*(worker(index) for index in range(min(pace.limit, len(waiting)))))


class _Identifier:
    """Identifies what opened a port, a limited number at once."""

    def __init__(self, miners: Miners, credentials: Callable[[str], Credentials | None]) -> None:
        self._miners = miners
        self._credentials = credentials
        self._guard = Guard()
        self._room = asyncio.Semaphore(IDENTIFYING)

    def limit(self, at_once: int) -> None:
        self._room = asyncio.Semaphore(at_once)

    async def __call__(self, address: str) -> Found:
        async with self._room:
            try:
                identity = self._miners.identify(Target(address, self._credentials(address)))
                return Found(address, await self._guard.ask(identity, IDENTIFY_SECONDS))
            except Failure as failure:
                return Found(address, failure)


async def _knock(address: str) -> _Knock:
    """Try all :data:`PORTS` at once."""
    knocks = await asyncio.gather(*(_try(address, port) for port in PORTS))
    return next((each for each in (_Knock.OPEN, _Knock.LATE, _Knock.SILENT) if each in knocks), _Knock.CLOSED)


async def _try(address: str, port: int) -> _Knock:
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return _Knock.LATE if loop.time() - started > KNOCK_SECONDS + _LATE_SECONDS else _Knock.SILENT
    except OSError as error:
        return _Knock.LATE if error.errno in _OWN_LIMITS else _Knock.CLOSED
    writer.transport.abort()
    return _Knock.OPEN


def as_csv(found: Sequence[Found]) -> str:
    """Return the rigs as an inventory file. Columns that begin with # are for people."""
    return ",".join(COLUMNS) + "\n" + _lines(found, COLUMNS, ",", "\n")


@dataclass(frozen=True, slots=True)
class Rescan:
    """The difference between a scan and an inventory file: lines to add, and sentences about lines to correct."""

    lines: str
    added: int
    conflicts: tuple[str, ...]


def rescan(known: CsvFile, found: Sequence[Found]) -> Rescan:
    """Compare a scan with an inventory file. Listed rigs stay as they are, also those that do not answer."""
    keys = {key: row for row in known.rows for key in (row.mac, row.serial) if key}
    by_address = {row.address: row for row in known.rows}
    new: list[Found] = []
    conflicts: list[str] = []
    for one in found:
        who = one.who
        if isinstance(who, Failure):
            continue
        row, here = keys.get(who.mac) or keys.get(who.serial), by_address.get(one.address)
        if row is not None and row.address != one.address and is_ip(row.address):
            conflicts.append(
                f"{row.name or who.mac or who.serial} is listed at {row.address} and answers at {one.address}"
            )
        elif row is None and here is None:
            new.append(one)
        elif row is None and here is not None and here.mac and who.mac:
            conflicts.append(f"{here.name or here.mac} is listed at {one.address}, where {who.mac} answers")
    return Rescan(_lines(new, known.columns, known.delimiter, known.line_end), len(new), tuple(conflicts))


def _lines(found: Sequence[Found], columns: Sequence[str], delimiter: str, line_end: str) -> str:
    """Write the rigs as lines. Of several with the same MAC address, as clones have, only the first gets it."""
    text, seen = io.StringIO(), set[str]()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", delimiter=delimiter, lineterminator=line_end)
    for one in found:
        who = one.who
        if isinstance(who, RigIdentity):
            keys = [key if key not in seen else "" for key in (who.mac, who.serial)]
            seen.update(keys)
            facts = (*keys, who.make, who.model, who.firmware, who.firmware_version, who.hostname)
            writer.writerow(dict(zip(COLUMNS, (one.address, *map(no_formula, facts)), strict=True)))
    return text.getvalue()


def as_records(found: Sequence[Found]) -> list[dict[str, str]]:
    """Return everything that answered, for scripts: rigs with their identity, others with the reason."""
    return [
        {"address": one.address}
        | (
            {"reason": str(one.who.reason), "detail": one.who.detail}
            if isinstance(one.who, Failure)
            else asdict(one.who)
        )
        for one in found
    ]
