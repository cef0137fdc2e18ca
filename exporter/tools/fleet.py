"""Reads rigs and the state of a site from a running exporter, for ``status``, ``rigs``, ``top`` and ``explain``."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

from exporter.exposition import spreadsheets
from exporter.exposition.views import Status
from exporter.model.configuration_errors import unknown
from exporter.model.units import HASHES_PER_TERAHASH, WATTS_PER_KILOWATT, total
from exporter.sources.contract import translating
from exporter.sources.http import Answer, Endpoint
from exporter.tools import tables

_MAX_BYTES: Final = 256 * 1024 * 1024  # 100,000 rigs as JSON


class QueryError(Exception):
    """The exporter rejects a parameter. The message is its sentence, which lists the known values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rigs:
    """The selected rigs as records of the JSON API, and how many match in total."""

    total: int
    rigs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of a site. USD per day, H/s and watts; None if no block has the value. ``age`` is in seconds."""

    site: str
    age: float
    counts: Mapping[Status, int]
    priced: int
    margin: float | None
    avoidable_loss: float | None
    hashrate: float | None
    power: float | None

    @property
    def rigs(self) -> int:
        """Number of rigs in the inventory."""
        return sum(self.counts.values())

    @property
    def failing(self) -> int:
        """Number of rigs that should mine and do not answer or do not hash."""
        return self.counts[Status.DOWN] + self.counts[Status.STOPPED]

    @property
    def wanted(self) -> int:
        """Number of rigs that should mine and have been polled."""
        return self.counts[Status.MINING] + self.failing


async def rigs(endpoint: Endpoint, parameters: Mapping[str, str]) -> Rigs:
    """Request rigs by the parameters of ``/api/v1/rigs``. Raises Failure and QueryError."""
    given = {name: value for name, value in parameters.items() if value}
    answer = await endpoint.ask("GET", "/api/v1/rigs", params=given, max_bytes=_MAX_BYTES)
    if answer.status == HTTPStatus.BAD_REQUEST:
        raise QueryError(answer.text().strip())
    body = answer.check().json()
    with translating():
        found = Rigs(total=int(body["total"]), rigs=list(body["rigs"]))
        if "block" in given and not found.total:
            blocks = (await endpoint.ask("GET", "/api/v1/blocks", max_bytes=_MAX_BYTES)).check().json()
            known = [block["block"] for block in blocks["blocks"]]
            if given["block"] not in known:
                raise QueryError(unknown("block", given["block"], known))
    return found


async def setpoints(endpoint: Endpoint, parameters: Mapping[str, str]) -> Rigs:
    """Request setpoints by the parameters of ``/api/v1/setpoints``. Raises Failure."""
    given = {name: value for name, value in parameters.items() if value}
    body = (await endpoint.ask("GET", "/api/v1/setpoints", params=given, max_bytes=_MAX_BYTES)).check().json()
    with translating():
        return Rigs(total=int(body["total"]), rigs=list(body["setpoints"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shed:
    """How to shed power, as records of the JSON API. Powers in W."""

    shed: float
    missing: float
    loss: float  # USD per day
    valid_until: float | None  # unix seconds
    over_capacity: Sequence[str]
    cuts: Rigs


async def shed(endpoint: Endpoint, kilowatts: float) -> Shed:
    """Request how to shed so many kilowatts. Raises Failure and QueryError."""
    params = {"kilowatts": repr(kilowatts)}
    answer = await endpoint.ask("GET", "/api/v1/shed", params=params, max_bytes=_MAX_BYTES)
    if answer.status == HTTPStatus.BAD_REQUEST:
        raise QueryError(answer.text().strip())
    body = answer.check().json()
    with translating():
        found = body["shed"]
        return Shed(
            shed=float(found["shed_watts"]),
            missing=float(found["missing_watts"]),
            loss=float(found["loss_usd_per_day"]),
            valid_until=found["valid_until_timestamp_seconds"],
            over_capacity=list(found["blocks_over_capacity"]),
            cuts=Rigs(total=len(found["cuts"]), rigs=list(found["cuts"])),
        )


async def names(endpoint: Endpoint, prefix: str) -> list[str]:
    """Return the names of rigs that begin with ``prefix``. Raises Failure."""
    found = await rigs(endpoint, {"q": prefix, "fields": "rig"})
    with translating():
        return [rig["rig"] for rig in found.rigs if rig["rig"].startswith(prefix)]


async def overview(endpoint: Endpoint) -> Overview:
    """Request the state of the site. Raises Failure."""
    counts = {status: (await rigs(endpoint, {"status": status, "limit": "0"})).total for status in Status}
    answer = (await endpoint.ask("GET", "/api/v1/blocks", max_bytes=_MAX_BYTES)).check()
    body = answer.json()
    with translating():
        blocks = body["blocks"]
        return Overview(
            site=str(body["site"]),
            age=max(0.0, _time_of(answer) - body["evaluated_at_timestamp_seconds"]),
            counts=counts,
            priced=sum(block["rigs_priced"] for block in blocks),
            margin=_total(blocks, "margin_usd_per_day"),
            avoidable_loss=_total(blocks, "avoidable_loss_usd_per_day"),
            hashrate=_total(blocks, "hashrate_hashes_per_second"),
            power=_total(blocks, "power_watts"),
        )


def _time_of(answer: Answer) -> float:
    """Return the server's time, so that the age is right on a host whose clock is wrong."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()


def _total(blocks: Iterable[Mapping[str, Any]], field: str) -> float | None:
    return total(block[field] for block in blocks)


# --- output ------------------------------------------------------------------------------------------------

_UNITS: Final[tuple[tuple[str, str, float, int], ...]] = (
    ("_usd_per_kilowatt_hour", "USD/kWh", 1.0, 4),
    ("_usd_per_kilowatt_year", "USD/kW-year", 1.0, 2),
    ("_usd_per_day", "USD/day", 1.0, 2),
    ("_hashes_per_second", "TH/s", HASHES_PER_TERAHASH, 1),
    ("_joules_per_terahash", "J/TH", 1.0, 1),
    ("_watts", "W", 1.0, 0),
)
"""What the name of a field ends with, and the unit, its size and the decimals in a table."""


def as_text(rigs_: Rigs) -> str:
    """Format rigs as a table for a terminal, with units that people use. An unknown number is a question mark."""
    fields = list(rigs_.rigs[0]) if rigs_.rigs else []
    columns = [_column(field, [rig[field] for rig in rigs_.rigs]) for field in fields]
    right = [index for index, field in enumerate(fields) if _unit(field) is not None]
    header, *rows = zip(*columns, strict=True) if columns else [()]
    return tables.as_text(header, rows, right=right) if rows else "no rig matches"


def shed_table(found: Shed) -> str:
    """Format the cuts as a table. The columns that are the same in each row are given below it."""
    below = ("valid_until_timestamp_seconds", "missing_watts")
    rows = [{field: value for field, value in cut.items() if field not in below} for cut in found.cuts.rigs]
    return as_text(Rigs(total=found.cuts.total, rigs=rows))


def shed_summary(found: Shed, kilowatts: float) -> str:
    """Say what the cuts come to, block by block, and until when the list holds.

    Args:
        found: What the exporter answered.
        kilowatts: What was asked for.
    """
    count = "1 rig sheds" if found.cuts.total == 1 else f"{found.cuts.total:,} rigs shed"
    money = f"{'loses' if found.cuts.total == 1 else 'lose'} {tables.usd(found.loss)} a day"
    if found.loss < 0:
        money = f"{'earns' if found.cuts.total == 1 else 'earn'} {tables.usd(-found.loss)} a day more"
    lines = [f"{count} {found.shed / WATTS_PER_KILOWATT:,.1f} kW of {kilowatts:,.1f} kW wanted and {money}."]
    by_block: dict[str, list[float]] = {}
    for cut in found.cuts.rigs:
        by_block.setdefault(cut["block"], []).append(cut["shed_watts"])
    blocks = [
        (f"  {_text(block)}", f"{len(watts):,}", f"{sum(watts) / WATTS_PER_KILOWATT:,.1f}")
        for block, watts in sorted(by_block.items(), key=lambda known: -sum(known[1]))
    ]
    lines += [tables.as_text(("  block", "rigs", "shed, kW"), blocks, right=(1, 2))] if len(blocks) > 1 else []
    if found.over_capacity:
        over = ", ".join(map(_text, found.over_capacity))
        lines.append(f"Cut first, because their feeder carries more than its capacity: {over}.")
    if found.missing > 0:
        lines.append(
            f"{found.missing / WATTS_PER_KILOWATT:,.1f} kW are missing: every rig whose power and margin are known is "
            "off then."
        )
    if found.valid_until is not None:
        moment = datetime.fromtimestamp(found.valid_until, UTC).astimezone()
        lines.append(f"Act on it until {moment.isoformat(' ', 'seconds')}, then ask again.")
    lines.append("Nothing has been changed: set these points on the rigs, or let your controller do it.")
    return "\n".join(lines)


def as_csv(rigs_: Rigs) -> str:
    """Format rigs as CSV with the fields of the JSON API. Lists and objects are JSON."""
    fields = list(rigs_.rigs[0]) if rigs_.rigs else []
    return spreadsheets.as_csv(fields, [[spreadsheets.cell(value) for value in rig.values()] for rig in rigs_.rigs])


def _column(field: str, values: Iterable[Any]) -> list[str]:
    unit = _unit(field)
    if unit is None:
        return [field.replace("_", " "), *map(_text, values)]
    end, name, size, decimals = unit
    cells = [tables.figure(None if value is None else value / size, decimals) for value in values]
    return [f"{field.removesuffix(end).replace('_', ' ')}, {name}", *cells]


def _unit(field: str) -> tuple[str, str, float, int] | None:
    return next((unit for unit in _UNITS if field.endswith(unit[0])), None)


def _text(value: Any) -> str:
    """Write a value of a cell on one line. A rig may send characters that a terminal would obey."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return "".join(letter if letter.isprintable() else " " for letter in text)
