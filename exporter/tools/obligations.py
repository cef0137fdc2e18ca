"""Lists what a running exporter's site owes, and reports how one event was kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from exporter.exposition.spreadsheets import as_csv as write_csv
from exporter.exposition.spreadsheets import no_formula
from exporter.model.configuration_errors import unknown
from exporter.model.units import SECONDS_PER_HOUR, WATTS_PER_KILOWATT
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.tools import tables
from exporter.tools.tables import figure

_MAX_BYTES: Final = 64 * 1024 * 1024
_HEADER: Final = ("source", "kind", "event", "from", "until", "cap kW", "floor kW", "reason")
_REPORT: Final = (
    "start",
    "end",
    "cap_kilowatts",
    "floor_kilowatts",
    "baseline_kilowatts",
    "delivered_kilowatts",
    "measured_per_cent",
    "power_source",
    "outcome",
)
_NUMBERS: Final = (2, 3, 4, 5, 6)


class NoEventError(Exception):
    """There is no such event. The message is one sentence."""


async def query(endpoint: Endpoint) -> dict[str, Any]:
    """Read obligations and deliveries of a running exporter. Raises Failure."""
    answer: dict[str, Any] = await endpoint.get_json("/api/v1/obligations", max_bytes=_MAX_BYTES)
    return answer


def as_text(found: Mapping[str, Any], timezone: ZoneInfo) -> str:
    """Format what is owed now and later, and the events that can be reported on."""
    with translating():
        unknown_sources = [name for name, known in found["known"].items() if not known]
        rows = [
            (
                each["source"],
                each["kind"],
                each["event"],
                _time(each["start_timestamp_seconds"], timezone),
                _time(each["end_timestamp_seconds"], timezone),
                _kilowatts(each["cap_watts"]),
                _kilowatts(each["floor_watts"]),
                each["unclear"] or each["reason"],
            )
            for each in found["obligations"]
        ]
        outcomes = Counter((each["source"], each["event"], each["outcome"]) for each in found["deliveries"])
    lines = [tables.as_text(_HEADER, rows, right=(5, 6))] if rows else ["nothing is owed"]
    if not found["known"]:
        lines = ["no source of obligations is configured"]
    lines += [f"unknown: the obligations of {name}" for name in unknown_sources]
    if outcomes:
        past = [(*key, str(count)) for key, count in outcomes.items()]
        lines += ["", tables.as_text(("source", "event", "outcome", "intervals"), past, right=(3,))]
    return "\n".join(lines)


def deliveries(found: Mapping[str, Any], event: str) -> list[dict[str, Any]]:
    """Pick the intervals of one event. Raises NoEventError with the nearest name."""
    with translating():
        chosen = [each for each in found["deliveries"] if each["event"] == event]
        known = sorted({each["event"] for each in found["deliveries"]})
    if not chosen:
        if not known:
            raise NoEventError("no interval of any event has ended yet")
        raise NoEventError(unknown("event", event, known))
    return chosen


def as_csv(intervals: Sequence[Mapping[str, Any]], timezone: ZoneInfo) -> str:
    """Format the intervals of an event as comma-separated values, one line per interval."""
    with translating():
        labels = ("source", "program", "event", "kind")
        rows = [(*(no_formula(each[name]) for name in labels), *_row(each, timezone)) for each in intervals]
    return write_csv((*labels, *_REPORT), rows)


def as_markdown(site: str, intervals: Sequence[Mapping[str, Any]], timezone: ZoneInfo) -> str:
    """Format the report of an event: a summary, and a table of its intervals."""
    with translating():
        first, last = intervals[0], intervals[-1]
        outcomes = Counter(each["outcome"] for each in intervals)
        summary = [
            ("Site", site),
            ("Event", first["event"]),
            ("Program", first["program"] or first["source"]),
            ("Kind", first["kind"]),
            ("Blocks", ", ".join(first["blocks"]) or "whole site"),
            ("From", _time(first["start_timestamp_seconds"], timezone)),
            ("Until", _time(last["end_timestamp_seconds"], timezone)),
            ("Intervals kept", f"{outcomes['kept']} of {len(intervals)}"),
            ("Intervals failed", str(outcomes["failed"])),
            ("Intervals not measured", str(outcomes["not_measured"])),
            ("Energy used", _energy(intervals, "delivered_watts")),
        ]
        if all(each["baseline_watts"] is not None for each in intervals):
            summary.append(("Energy of the baseline", _energy(intervals, "baseline_watts")))
        if all(each["price_usd_per_kilowatt_hour"] is not None for each in intervals):
            summary.append(("Payment for capacity", tables.usd(sum(map(_payment, intervals)))))
        rows = [tuple("" if cell is None else str(cell) for cell in _row(each, timezone)) for each in intervals]
    return "\n".join(
        [
            f"# Event {first['event']}",
            "",
            tables.as_markdown(("", ""), summary),
            "",
            tables.as_markdown([name.replace("_", " ") for name in _REPORT], rows, right=_NUMBERS),
        ]
    )


def _row(each: Mapping[str, Any], timezone: ZoneInfo) -> tuple[object, ...]:
    """Return one interval as the cells of a report."""
    powers = (each[f"{name}_watts"] for name in ("cap", "floor", "baseline", "delivered"))
    return (
        _time(each["start_timestamp_seconds"], timezone),
        _time(each["end_timestamp_seconds"], timezone),
        *(None if watts is None else round(watts / WATTS_PER_KILOWATT, 3) for watts in powers),
        round(100 * each["measured_ratio"], 1),
        each["power_source"],
        each["outcome"],
    )


def _hours(each: Mapping[str, Any]) -> float:
    seconds: float = each["end_timestamp_seconds"] - each["start_timestamp_seconds"]
    return seconds / SECONDS_PER_HOUR


def _energy(intervals: Sequence[Mapping[str, Any]], name: str) -> str:
    """Add up the energy of the intervals, in MWh; unknown if one of them was not measured."""
    if any(each[name] is None or each["outcome"] == "not_measured" for each in intervals):
        return "unknown"
    return f"{figure(sum(each[name] * _hours(each) for each in intervals) / 1e6, 3)} MWh"


def _payment(each: Mapping[str, Any]) -> float:
    watts = each["floor_watts"] or 0.0
    return float(watts) / WATTS_PER_KILOWATT * _hours(each) * float(each["price_usd_per_kilowatt_hour"])


def _kilowatts(watts: float | None) -> str:
    return "" if watts is None else figure(watts / WATTS_PER_KILOWATT, 0)


def _time(at: float | None, timezone: ZoneInfo) -> str:
    return "" if at is None else datetime.fromtimestamp(at, timezone).isoformat(timespec="seconds")
