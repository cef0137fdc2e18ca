"""One screen with the state of a site: what is down, what loses most, and which alerts fire."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from exporter.exposition.views import Status
from exporter.model.failures import Failure
from exporter.model.fields import format_duration
from exporter.model.units import HASHES_PER_PETAHASH, kilowatts
from exporter.sources.alertmanager import Alert
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.tools import fleet, tables
from exporter.tools.fleet import Overview

MAX_AGE: Final = 120.0
"""Seconds after which an evaluation is too old to be shown as the present."""

_LISTED: Final = "rig,block,status,margin_usd_per_day,power_watts,failure_reason,faults"


@dataclass(frozen=True, slots=True)
class Screen:
    """What a screen shows. ``alerts`` is the failure if they are unknown, None if no Alertmanager was named."""

    overview: Overview
    worst: Sequence[Mapping[str, Any]]
    failing: Sequence[Mapping[str, Any]]
    alerts: Sequence[Alert] | Failure | None = None


async def query(endpoint: Endpoint, rows: int) -> Screen:
    """Request the state of the site, and ``rows`` rigs of each list. Raises Failure."""
    overview = await fleet.overview(endpoint)
    limit = {"limit": str(rows), "fields": _LISTED}
    worst = await fleet.rigs(endpoint, {"sort": "margin", **limit})
    failing: list[Mapping[str, Any]] = []
    for status in (Status.DOWN, Status.STOPPED):
        failing += (await fleet.rigs(endpoint, {"status": status, "sort": "age", **limit})).rigs
    with translating():
        losing = [rig for rig in worst.rigs if (rig["margin_usd_per_day"] or 0.0) < 0]
    return Screen(overview, losing, failing[:rows])


def as_text(screen: Screen, width: int, height: int) -> list[str]:
    """Write a screen of at most ``height`` lines of at most ``width`` characters."""
    lines = [_plain(line)[:width] for line in _lines(screen)]
    if len(lines) > height:
        lines = [*lines[: height - 1], f"... {len(lines) - height + 1} more lines"[:width]]
    return lines


def _lines(screen: Screen) -> Iterator[str]:
    site = screen.overview
    age = format_duration(float(round(site.age)))
    if site.age > MAX_AGE:
        yield f"{site.site}   STALE: the evaluation is {age} old, so the state of the site is not known"
        yield ""
        yield from _firing(screen.alerts)
        return
    yield f"{site.site}   evaluated {age} ago"
    yield "   ".join(f"{status.replace('_', ' ')} {count:,}" for status, count in site.counts.items())
    yield "   ".join(
        (
            f"margin {tables.usd(site.margin)}/day",
            f"avoidable loss {tables.usd(site.avoidable_loss)}/day",
            f"hashrate {tables.figure(None if site.hashrate is None else site.hashrate / HASHES_PER_PETAHASH)} PH/s",
            f"power {tables.figure(None if site.power is None else kilowatts(site.power), 0)} kW",
        )
    )
    yield ""
    yield from _firing(screen.alerts)
    yield ""
    yield f"DOWN OR STOPPED ({site.failing:,})"
    yield from _table(("rig", "block", "status", "reason"), screen.failing, _failing)
    yield ""
    yield "LOSING MOST"
    yield from _table(("rig", "block", "status", "USD/day"), screen.worst, _losing)


def _firing(found: Sequence[Alert] | Failure | None) -> Iterator[str]:
    if found is None:
        yield "FIRING: unknown, give --alertmanager"
    elif isinstance(found, Failure):
        yield f"FIRING: unknown ({found.reason}: {found.detail})"
    else:
        yield f"FIRING ({len(found):,})"
        for alert in found:
            since = datetime.fromtimestamp(alert.since, UTC)
            yield f"  {alert.severity:<8}  {since:%m-%d %H:%M}Z  {alert.name}  {alert.site}  {alert.text}"


def _table(header: Sequence[str], rigs: Sequence[Mapping[str, Any]], row: Any) -> Iterator[str]:
    if not rigs:
        yield "  none"
        return
    with translating():
        yield from (f"  {line}" for line in tables.as_text(header, [row(rig) for rig in rigs]).splitlines())


def _failing(rig: Mapping[str, Any]) -> tuple[str, ...]:
    reason = rig["failure_reason"] or ", ".join(dict.fromkeys(fault["code"] for fault in rig["faults"]))
    return rig["rig"], rig["block"], rig["status"], reason


def _losing(rig: Mapping[str, Any]) -> tuple[str, ...]:
    return rig["rig"], rig["block"], rig["status"], tables.figure(rig["margin_usd_per_day"])


def _plain(line: str) -> str:
    """Replace characters that a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in line)
