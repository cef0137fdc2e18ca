"""Explains the verdict of a rig, from a running exporter: inputs, computation, comparison per kWh, and thresholds."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from exporter.model.configuration_errors import unknown
from exporter.model.fields import format_duration
from exporter.sources.contract import translating
from exporter.sources.http import Answer, Endpoint
from exporter.tools import fleet, tables
from exporter.tools.tables import significant


class NoSuchRigError(Exception):
    """No rig, or several, have this name or address. The message is one sentence with the nearest name."""


async def query(endpoint: Endpoint, rig: str) -> dict[str, Any]:
    """Request the explanation of the rig with this name or address. Raises Failure and NoSuchRigError."""
    answer = await _ask(endpoint, rig)
    if answer.status == HTTPStatus.NOT_FOUND:
        answer = await _ask(endpoint, await _at_address(endpoint, rig))
    body = answer.check().json()
    with translating():
        return {"evaluated_at": body["evaluated_at_timestamp_seconds"]} | {
            key: body[key] for key in ("rig", "explanation")
        }


async def _ask(endpoint: Endpoint, rig: str) -> Answer:
    return await endpoint.ask("GET", f"/api/v1/rigs/{quote(rig, safe='')}")


async def _at_address(endpoint: Endpoint, address: str) -> str:
    """Return the name of the only rig at an address. Raises NoSuchRigError."""
    known = await fleet.rigs(endpoint, {"fields": "rig,address"})
    with translating():
        found = [rig["rig"] for rig in known.rigs if rig["address"] == address]
        if not found:
            raise NoSuchRigError(unknown("rig", address, [rig["rig"] for rig in known.rigs]))
    if len(found) > 1:
        raise NoSuchRigError(f"{len(found)} rigs have the address {address!r}: give a name, such as {found[0]!r}")
    return str(found[0])


def as_text(result: Mapping[str, Any]) -> str:
    """Format the explanation for a terminal. Raises Failure if it has an unexpected shape."""
    with translating():
        return "\n".join(_lines(result["rig"], result["explanation"], result["evaluated_at"]))


def verdict(result: Mapping[str, Any]) -> str:
    """Return the verdict in one line."""
    rig = result["rig"]
    since = rig["verdict_since_timestamp_seconds"]
    words = rig["verdict"] or "no verdict"
    if words == "mine" and rig.get("best_point"):
        words += f" at {rig['best_point']}"
    if since is not None:
        words += f" since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return words + ("; kept because its inputs are stale" if rig["verdict_held"] else "")


def _lines(rig: Mapping[str, Any], explanation: Mapping[str, Any], now: float) -> Iterator[str]:
    who = f"{rig['make']} {rig['model']}".strip() or "not identified"
    yield f"{who} in {rig['block']}, {rig['status'].replace('_', ' ')}"
    if rig["failure_reason"] is not None:
        yield f"last poll failed: {rig['failure_reason']}: {rig['failure_detail']}"
    if explanation["unpriced"]:
        yield explanation["unpriced"]
    inputs = [_input(row, now) for row in explanation["inputs"]]
    yield f"\nInputs\n{_indented(tables.as_text(('', 'value', 'unit', 'source', 'age'), inputs, right=(1, 4)))}"
    lines = [(line["name"], significant(line["value"]), line["unit"]) for line in explanation["lines"]]
    yield f"\nCalculation\n{_indented(tables.as_text(('', 'value', 'unit'), lines, right=(1,)))}"
    yield f"\nComparison, USD per kWh\n  {_axis(explanation)}"
    yield "\nWhat would change the verdict, with all other inputs unchanged"
    flips = [
        (flip["change"], flip["name"], significant(flip["now"]), significant(flip["at"]), flip["unit"])
        for flip in explanation["flips"]
    ]
    header = ("change", "", "now", "changes at", "unit")
    yield _indented(tables.as_text(header, flips, right=(2, 3)) if flips else "unknown, because the margin is unknown")


def _axis(explanation: Mapping[str, Any]) -> str:
    return " | ".join(f"{line['name']} {tables.figure(line['value'], 4)}" for line in explanation["axis"])


def _input(row: Mapping[str, Any], now: float) -> tuple[str, str, str, str, str]:
    observed_at = row["observed_at"]
    age = "" if observed_at is None else format_duration(float(round(max(now - observed_at, 0.0))))
    return row["name"], significant(row["value"]), row["unit"], row["source"], age


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
