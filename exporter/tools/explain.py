"""Why a rig has its verdict, asked of a running exporter: inputs, the sum, the one axis, and what would change it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from exporter.model.configuration_errors import unknown
from exporter.model.fields import format_duration
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.tools import tables
from exporter.tools.tables import significant


class NoSuchRigError(Exception):
    """The exporter has no rig of this name. One sentence, with the nearest name."""


async def query(endpoint: Endpoint, rig: str) -> dict[str, Any]:
    """Ask a running exporter. Raises Failure, and NoSuchRigError."""
    answer = await endpoint.ask("GET", f"/api/v1/rigs/{quote(rig, safe='')}")
    if answer.status == HTTPStatus.NOT_FOUND:
        listed = await endpoint.get_json("/api/v1/rigs", max_bytes=256 * 1024 * 1024)
        with translating():
            raise NoSuchRigError(unknown("rig", rig, [known["rig"] for known in listed["rigs"]]))
    told = answer.check().json()
    with translating():
        return {"evaluated_at": told["evaluated_at_timestamp_seconds"]} | {
            key: told[key] for key in ("rig", "explanation")
        }


def as_text(told: Mapping[str, Any]) -> str:
    """The explanation for people. Raises Failure where the answer is not one."""
    with translating():
        return "\n".join(_lines(told["rig"], told["explanation"], told["evaluated_at"]))


def verdict(told: Mapping[str, Any]) -> str:
    """The verdict in a line."""
    rig = told["rig"]
    since = rig["verdict_since_timestamp_seconds"]
    words = rig["verdict"] or "no verdict"
    if since is not None:
        words += f" since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return words + (", held while its inputs are stale" if rig["verdict_held"] else "")


def _lines(rig: Mapping[str, Any], explanation: Mapping[str, Any], now: float) -> Iterator[str]:
    who = f"{rig['make']} {rig['model']}".strip() or "not identified"
    yield f"{who} in {rig['block']}, {rig['status'].replace('_', ' ')}"
    if rig["failure_reason"] is not None:
        yield f"its last poll failed: {rig['failure_reason']}: {rig['failure_detail']}"
    if explanation["unpriced"]:
        yield explanation["unpriced"]
    inputs = [_input(row, now) for row in explanation["inputs"]]
    yield f"\nWhat goes in\n{_indented(tables.as_text(('', 'value', 'unit', 'source', 'age'), inputs, right=(1, 4)))}"
    lines = [(line["name"], significant(line["value"]), line["unit"]) for line in explanation["lines"]]
    yield f"\nWhat comes out\n{_indented(tables.as_text(('', 'value', 'unit'), lines, right=(1,)))}"
    yield f"\nOn one axis, USD per kWh\n  {_axis(explanation)}"
    yield "\nWhat would change it, all else as it is"
    flips = [
        (flip["change"], flip["name"], significant(flip["now"]), significant(flip["at"]), flip["unit"])
        for flip in explanation["flips"]
    ]
    header = ("between", "", "now", "turns at", "unit")
    yield _indented(
        tables.as_text(header, flips, right=(2, 3)) if flips else "unknown: without a margin there is nothing to weigh"
    )


def _axis(explanation: Mapping[str, Any]) -> str:
    return " | ".join(f"{line['name']} {tables.figure(line['value'], 4)}" for line in explanation["axis"])


def _input(row: Mapping[str, Any], now: float) -> tuple[str, str, str, str, str]:
    seen = row["observed_at"]
    age = "" if seen is None else format_duration(float(round(max(now - seen, 0.0))))
    return row["name"], significant(row["value"]), row["unit"], row["source"], age


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
