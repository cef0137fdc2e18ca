"""The list of rigs and boards to be repaired, for ``hashmargin rma``: what is broken, since when, and what it loses."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from exporter.economics.repairs import Repair, repair_of
from exporter.exposition import spreadsheets
from exporter.exposition.views import Status
from exporter.model.fault_codes import FaultCode, Severity
from exporter.model.units import HASHES_PER_TERAHASH, SECONDS_PER_DAY
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.tools import tables

_MAX_BYTES: Final = 256 * 1024 * 1024
_FIELDS: Final = (
    "rig,serial,customer,block,rack,position,make,model,power_supply_serial,board_serials,status,expected_mining,"
    "last_success_timestamp_seconds,faults,margin_usd_per_day,potential_margin_usd_per_day,"
    "hosted,customer_margin_usd_per_day,customer_potential_margin_usd_per_day,customer_monthly_fee_usd_per_day,"
    "hashrate_hashes_per_second,expected_hashrate_hashes_per_second,rated_hashrate_hashes_per_second"
)
_NOT_REPAIRED: Final = frozenset(
    {
        FaultCode.POOL_DEAD,
        FaultCode.POOL_REJECTS,
        FaultCode.POOL_WRONG,
        FaultCode.WORKER_WRONG,
        FaultCode.CONFIG_INVALID,
        FaultCode.FIRMWARE,
        FaultCode.NETWORK,
        FaultCode.TIME,
        FaultCode.POWER_LIMIT,
        FaultCode.TUNING_FAILED,
        FaultCode.INLET_TEMPERATURE,
        FaultCode.COOLANT,
    }
)
"""Faults that are corrected by settings, or at the site, and not at a workbench."""
SILENT: Final = "no_answer"
STOPPED: Final = "does_not_hash"
_HEADINGS: Final = {"lost_usd_per_day": "lost, USD/day", "most_repair_usd": "repair at most, USD", "age_days": "days"}
_SHOWN: Final = ("rig", "block", "rack", "position", "model", "component", "serial", "faults", "age_days")
_NUMBERS: Final = ("age_days", "lost_usd_per_day", "most_repair_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a repair is weighed against: remaining life in days, and prices in USD per TH/s, working and as it is."""

    days: float
    sale: float
    sale_as_is: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One part of a rig to be repaired. ``component`` is empty for the rig. The money is of the whole rig.

    It stands on the rig's first line only, so that sums are right.
    """

    rig: str
    customer: str
    block: str
    rack: str
    position: str
    model: str
    status: str
    component: str
    serial: str
    faults: str
    vendor_codes: str
    since_timestamp_seconds: float | None
    age_days: float | None
    lost_usd_per_day: float | None
    most_repair_usd: float | None
    photo: str = ""


async def query(
    endpoint: Endpoint, parameters: Mapping[str, str], prices: Prices | None, customer: str = ""
) -> list[Item]:
    """Read the rigs of a running exporter and list what is to be repaired, the costliest rig first. Raises Failure."""
    params = {**{name: value for name, value in parameters.items() if value}, "fields": _FIELDS}
    body = (await endpoint.ask("GET", "/api/v1/rigs", params=params, max_bytes=_MAX_BYTES)).check().json()
    with translating():
        rigs = [rig for rig in body["rigs"] if not customer or rig["customer"] == customer]
        return items(rigs, float(body["evaluated_at_timestamp_seconds"]), prices)


def items(rigs: Sequence[Mapping[str, Any]], now: float, prices: Prices | None) -> list[Item]:
    """List what is to be repaired at ``now`` (unix seconds). Rigs whose loss is not known come last.

    Args:
        rigs: records of the JSON API.
        now: time of their evaluation.
        prices: without them it is not known what a repair may cost.
    """
    found = [(broken, list(_items(rig, broken, now, prices))) for rig in rigs for broken in [_broken(rig)] if broken]
    ordered = sorted(found, key=lambda each: -(each[1][0].lost_usd_per_day or 0.0))
    known = [each for each in ordered if each[1][0].lost_usd_per_day is not None]
    unknown = [each for each in ordered if each[1][0].lost_usd_per_day is None]
    return [item for _, listed in (*known, *unknown) for item in listed]


def _broken(rig: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the faults of a rig by component that need a repair; one of ours if it is silent or stands still."""
    by_component: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fault in rig["faults"]:
        if fault["severity"] != Severity.INFO and fault["code"] not in _NOT_REPAIRED:
            by_component[fault["component"]].append(fault)
    stopped = rig["status"] == Status.STOPPED and not rig["faults"]
    if rig["status"] == Status.DOWN or stopped:
        code = STOPPED if stopped else SILENT
        since = None if stopped else rig["last_success_timestamp_seconds"]
        by_component[""].append({"code": code, "vendor_code": "", "since_timestamp_seconds": since})
    return by_component


def _items(
    rig: Mapping[str, Any], broken: Mapping[str, Sequence[Mapping[str, Any]]], now: float, prices: Prices | None
) -> Iterator[Item]:
    margin, potential = _margins(rig)
    repair = repair_of(
        margin=margin,
        potential=potential,
        hashrate=rig["hashrate_hashes_per_second"],
        expected=rig["expected_hashrate_hashes_per_second"] or rig["rated_hashrate_hashes_per_second"],
    )
    for index, (component, faults) in enumerate(sorted(broken.items())):
        begun = [fault["since_timestamp_seconds"] for fault in faults if fault["since_timestamp_seconds"] is not None]
        since = min(begun, default=None)
        yield Item(
            **{name: rig[name] for name in ("rig", "customer", "block", "rack", "position", "status")},
            model=rig["model"],
            component=component,
            serial=_serial(rig, component),
            faults=" ".join(dict.fromkeys(fault["code"] for fault in faults)),
            vendor_codes=" ".join(filter(None, dict.fromkeys(fault["vendor_code"] for fault in faults))),
            since_timestamp_seconds=since,
            age_days=None if since is None else max(now - since, 0.0) / SECONDS_PER_DAY,
            lost_usd_per_day=repair.lost if index == 0 else None,
            most_repair_usd=_most(rig, repair, prices) if index == 0 else None,
        )


def _margins(rig: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the margins as it is and if it ran, in the book of its owner. A monthly fee is due in either case."""
    if not rig["hosted"]:
        return rig["margin_usd_per_day"], rig["potential_margin_usd_per_day"]
    fee = rig["customer_monthly_fee_usd_per_day"] or 0.0
    margin, potential = rig["customer_margin_usd_per_day"], rig["customer_potential_margin_usd_per_day"]
    return None if margin is None else margin + fee, None if potential is None else potential + fee


def _serial(rig: Mapping[str, Any], component: str) -> str:
    part, _, number = component.partition(" ")
    serial: str = rig["serial"]
    if part == "board":
        serial = rig["board_serials"].get(number, "")
    elif part == "psu":
        serial = rig["power_supply_serial"]
    return serial


def _most(rig: Mapping[str, Any], repair: Repair, prices: Prices | None) -> float | None:
    rated = rig["rated_hashrate_hashes_per_second"] or rig["expected_hashrate_hashes_per_second"]
    if prices is None or rated is None:
        return None
    terahash = rated / HASHES_PER_TERAHASH
    return repair.most(prices.days, sale=prices.sale * terahash, sale_as_is=prices.sale_as_is * terahash)


# --- output ---------------------------------------------------------------------------------------------------------


def as_text(found: Sequence[Item], *, priced: bool) -> str:
    """Format the list as a table for a terminal, and its sum."""
    if not found:
        return "nothing to repair"
    shown = (*_SHOWN, "lost_usd_per_day", *(["most_repair_usd"] if priced else []))
    header = [_HEADINGS.get(name, name) for name in shown]
    first: set[str] = set()
    rows: list[list[str]] = []
    for item in found:
        repeated = item.rig in first
        first.add(item.rig)
        rows.append([_cell(item, name, repeated=repeated) for name in shown])
    right = [index for index, name in enumerate(shown) if name in _NUMBERS]
    lost = sum(item.lost_usd_per_day or 0.0 for item in found)
    total = f"{len(first):,} rigs lose {tables.usd(lost)} a day, of those whose loss is known"
    return f"{tables.as_text(header, rows, right=right)}\n\n{total}"


def _cell(item: Item, name: str, *, repeated: bool) -> str:
    value = getattr(item, name)
    if name in _NUMBERS:
        money = name != "age_days"
        return "" if repeated and money else tables.figure(value, 2 if money else 1)
    return "".join(letter if letter.isprintable() else " " for letter in value)


def as_csv(found: Sequence[Item]) -> str:
    """Format the list as CSV with a line for each part. The column ``photo`` is empty, to be filled in."""
    names = [field.name for field in fields(Item)]
    rows = [[getattr(item, name) for name in names] for item in found]
    return spreadsheets.as_csv(
        names, [[spreadsheets.no_formula(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    )


def as_records(found: Sequence[Item]) -> list[dict[str, Any]]:
    """Return the list as JSON objects."""
    return [asdict(item) for item in found]
