"""Finds rigs in address ranges: tries the ports that rigs listen on, and identifies only addresses that accept."""

import asyncio
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from exporter.inventory.csv_files import CsvFile
from exporter.model.failures import Failure
from exporter.model.fleet import Credentials
from exporter.model.readings import RigIdentity
from exporter.polling.guard import Guard
from exporter.polling.settings import IDENTIFY_SECONDS
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.names import is_ip
from exporter.sources.rigs.reader import Miners

PORTS: Final = (4028, 80, 4433)
"""cgminer's API and ePIC's, web interfaces, Whatsminer V3: every reader begins at one of them."""

KNOCK_SECONDS: Final = 1.5
AT_ONCE: Final = 250
"""Addresses tried together: with a socket for each port, fewer than the 1,024 files that most systems allow."""
IDENTIFYING: Final = 50
"""Addresses identified together."""

COLUMNS: Final = ("address", "mac", "serial", "#make", "#model", "#firmware", "#version", "#hostname")


@dataclass(frozen=True, slots=True)
class Found:
    """A device that accepted a connection: its identity, or the failure to identify it."""

    address: str
    who: RigIdentity | Failure


async def scan(
    addresses: Sequence[str], credentials: Credentials | None, progress: Callable[[int], None]
) -> list[Found]:
    """Return what answers, in the order of ``addresses``; ``progress`` is called for each address that is done."""
    knocking, identifying = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(IDENTIFYING)
    guard = Guard()
    async with Miners() as miners:

        async def look(address: str) -> Found | None:
            async with knocking:
                opened = await _knock(address)
            who: RigIdentity | Failure | None = None
            if opened:
                async with identifying:
                    try:
                        who = await guard.ask(miners.identify(Target(address, credentials)), IDENTIFY_SECONDS)
                    except Failure as failure:
                        who = failure
            progress(1)
            return None if who is None else Found(address, who)

        results = await asyncio.gather(*map(look, addresses))
    return [found for found in results if found is not None]


async def _knock(address: str) -> bool:
    """Return whether any of :data:`PORTS` accepts a connection."""
    return any(await asyncio.gather(*(_opens(address, port) for port in PORTS)))


async def _opens(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.transport.abort()
    return True


def as_csv(found: Sequence[Found]) -> str:
    """Return the rigs as an inventory file; columns that begin with # are for people."""
    return ",".join(COLUMNS) + "\n" + _lines(found, COLUMNS, ",")


@dataclass(frozen=True, slots=True)
class Rescan:
    """The difference between a scan and an inventory file: lines to add, and remarks that need a person."""

    lines: str
    added: int
    told: tuple[str, ...]


def rescan(known: CsvFile, found: Sequence[Found]) -> Rescan:
    """Compare with an inventory: a rig that it lists stays as it is, one that sleeps too."""
    keys = {key: row for row in known.rows for key in (row.mac, row.serial) if key}
    places = {row.address: row for row in known.rows}
    new: list[Found] = []
    told: list[str] = []
    for one in found:
        who = one.who
        if isinstance(who, Failure):
            continue
        row, here = keys.get(who.mac) or keys.get(who.serial), places.get(one.address)
        if row is not None and row.address != one.address and is_ip(row.address):
            told.append(f"{row.name or who.mac or who.serial} is listed at {row.address} and answers at {one.address}")
        elif row is None and here is None:
            new.append(one)
        elif row is None and here is not None and here.mac and who.mac:
            told.append(f"{here.name or here.mac} is listed at {one.address}, where {who.mac} answers")
    return Rescan(_lines(new, known.columns, known.delimiter), len(new), tuple(told))


def _lines(found: Sequence[Found], columns: Sequence[str], delimiter: str) -> str:
    """Write the rigs as lines; of several with one MAC address, as clones have it, only the first is known by it."""
    text, seen = io.StringIO(), set[str]()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", delimiter=delimiter, lineterminator="\n")
    for one in found:
        who = one.who
        if isinstance(who, RigIdentity):
            keys = [key if key not in seen else "" for key in (who.mac, who.serial)]
            seen.update(keys)
            told = (*keys, who.make, who.model, who.firmware, who.firmware_version, who.hostname)
            writer.writerow(dict(zip(COLUMNS, (one.address, *map(_no_formula, told)), strict=True)))
    return text.getvalue()


def _no_formula(text: str) -> str:
    """Return a text that a spreadsheet does not run as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and text else text


def as_records(found: Sequence[Found]) -> list[dict[str, str]]:
    """Everything that answered, for scripts: rigs with their identity, others with the reason."""
    return [
        {"address": one.address}
        | (
            {"reason": str(one.who.reason), "detail": one.who.detail}
            if isinstance(one.who, Failure)
            else asdict(one.who)
        )
        for one in found
    ]
