"""Reads one rig once and shows everything: identity, reading, each question, its answer and its duration."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final

from exporter.model.failures import RIG_ADVICE, Failure
from exporter.model.fleet import Rig
from exporter.model.points import Point, PointList
from exporter.model.readings import Board, Pool, PowerSupply, RigIdentity, RigReading
from exporter.model.units import HASHES_PER_TERAHASH, HERTZ_PER_MEGAHERTZ, joules_per_terahash
from exporter.polling.guard import Guard
from exporter.polling.settings import IDENTIFY_SECONDS
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.transport import Exchanged, listener
from exporter.tools import tables
from exporter.tools.redact import redacted_answer

_SPOKEN: Final = (
    (r"hashrate$", HASHES_PER_TERAHASH, "TH/s"),
    (r"temperature|thermal", 1.0, "C"),
    (r"frequency$", HERTZ_PER_MEGAHERTZ, "MHz"),
    (r"power", 1.0, "W"),
    (r"voltage$", 1.0, "V"),
    (r"current$", 1.0, "A"),
    (r"rpm$", 1.0, "rpm"),
    (r"uptime$|window$", 1.0, "s"),
)
"""By the end of a field's name: how many of its unit make one of the unit that people use."""


@dataclass(slots=True)
class Probed:
    """One read of one rig, as far as it came."""

    target: Target
    identity: RigIdentity | None = None
    reading: RigReading | None = None
    points: PointList | None = None
    failure: Failure | None = None
    identify_seconds: float | None = None
    read_seconds: float | None = None
    exchanges: list[Exchanged] = field(default_factory=list)


async def probe(target: Target, deadline: float) -> Probed:
    """Ask who is there, then read it; a failure ends it and is part of the result."""
    probed, guard = Probed(target), Guard()
    token = listener.set(probed.exchanges.append)
    try:
        async with Miners(deadline=deadline) as miners:
            started = time.monotonic()
            probed.identity = await guard.ask(miners.identify(target), IDENTIFY_SECONDS)
            probed.identify_seconds = time.monotonic() - started
            started = time.monotonic()
            probed.reading = await guard.ask(miners.read(target, probed.identity), deadline)
            probed.read_seconds = time.monotonic() - started
            with suppress(Failure):  # what a read can do without; the question is shown with its failure
                probed.points = await guard.ask(miners.points(target, probed.identity), deadline)
    except Failure as failure:
        probed.failure = failure
    finally:
        listener.reset(token)
    return probed


def stranger(probed: Probed, listed: Rig) -> str:
    """Return the MAC address or serial number that answers, if the inventory has another one; else an empty text."""
    who = probed.identity
    keys = () if who is None else ((listed.mac, who.mac), (listed.serial, who.serial))
    return next((found for listed, found in keys if listed and found and listed != found), "")


def as_record(probed: Probed, *, raw: bool) -> dict[str, Any]:
    """Return the result for scripts, without unknown values."""
    failure = probed.failure
    return {
        "address": probed.target.address,
        "identity": probed.identity and asdict(probed.identity),
        "reading": probed.reading and asdict(probed.reading),
        "points": probed.points and asdict(probed.points),
        "failure": failure and _failure(failure),
        "identify_seconds": probed.identify_seconds,
        "read_seconds": probed.read_seconds,
        "questions": [_question(one, probed.target.address, raw=raw) for one in probed.exchanges],
    }


def _failure(failure: Failure) -> dict[str, str]:
    return {"reason": failure.reason, "detail": failure.detail, "advice": failure.advised(RIG_ADVICE)}


def as_text(probed: Probed, *, raw: bool) -> str:
    """The result for people."""
    return "\n".join(_lines(probed, raw=raw))


def _lines(probed: Probed, *, raw: bool) -> Iterator[str]:
    who = probed.identity
    if who is not None and probed.identify_seconds is not None:
        yield f"{probed.target.address}  {who.make} {who.model}, identified in {probed.identify_seconds:.2f} s"
        yield from _facts({name: value for name, value in _shown(who).items() if name not in ("make", "model")})
    if probed.reading is not None and probed.read_seconds is not None:
        yield f"\nread in {probed.read_seconds:.2f} s"
        yield from _reading(probed.reading)
    if probed.points is not None and probed.reading is not None:
        yield from _points(probed.points, probed.reading.point)
    if probed.failure is not None:
        yield f"\nfailed: {probed.failure.reason}: {probed.failure.detail}"
        yield f"what to do: {probed.failure.advised(RIG_ADVICE)}"
    yield "\nquestions, in order" if probed.exchanges else "\nno question was asked by a native reader"
    for one in probed.exchanges:
        asked = _question(one, probed.target.address, raw=raw)
        yield f"  {asked['seconds']:6.3f} s  port {asked['port']:<5} {asked['request']}  ->  {asked['result']}"
        if raw and "answer" in asked:
            yield tables.as_json(asked["answer"])


def _reading(reading: RigReading) -> Iterator[str]:
    power = reading.power
    efficiency = None if power is None else joules_per_terahash(power, reading.hashrate)
    yield from _facts(_shown(reading) | {"efficiency": "" if efficiency is None else f"{efficiency:.1f} J/TH"})
    if reading.power_supply is not None:
        yield from _facts({f"supply {name}": value for name, value in _shown(reading.power_supply).items()})
    yield from (f"  fan {fan.index}  {_known(fan.rpm, 'rpm')}" for fan in reading.fans)
    yield from (f"  board {board.index}  {_listed(board)}" for board in reading.boards)
    yield from (f"  pool {pool.index}  {_listed(pool)}" for pool in reading.pools)
    for fault in reading.faults:
        yield f"  fault  {fault.code} ({fault.severity}) {fault.component} {fault.vendor_code}".rstrip()


def _points(listed: PointList, in_force: str) -> Iterator[str]:
    yield "\noperating points, as the firmware lists them (* in force)"
    limit = "" if listed.power_limit is None else f"{listed.power_limit:,.0f} W"
    yield from _facts({"stock": listed.variant, "power limit": limit})
    for point in listed.points:
        efficiency = ""
        if point.power is not None and point.hashrate:
            efficiency = f"{joules_per_terahash(point.power, point.hashrate):.1f} J/TH"
        words = {True: "tuned", False: "not tuned", None: ""}[point.tuned], "" if point.allowed else "not allowed"
        figures = [value for name, value in _shown(point).items() if name not in {"name", "tuned", "allowed"}]
        mark = "*" if point.name == in_force else " "
        yield f"  {mark} {point.name:<16} {', '.join(filter(None, (*figures, efficiency, *words)))}"


def _listed(part: Board | Pool) -> str:
    return ", ".join(f"{name} {value}" for name, value in _shown(part).items() if value and name != "index")


def _shown(part: RigIdentity | RigReading | PowerSupply | Board | Pool | Point) -> dict[str, str]:
    """Return the known values by the field's name, in everyday units. Parts have lines of their own."""
    values = {one.name: getattr(part, one.name) for one in fields(part)}
    return {name.replace("_", " "): _spoken(name, value) for name, value in values.items() if not _is_parts(value)}


def _is_parts(value: object) -> bool:
    return is_dataclass(value) or (isinstance(value, tuple) and bool(value) and is_dataclass(value[0]))


def _spoken(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(" ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
    if isinstance(value, str | bool):
        return _known(value)
    if name.endswith("_at"):
        return datetime.fromtimestamp(value, UTC).isoformat(" ", "seconds")
    scale, unit = next(((scale, unit) for pattern, scale, unit in _SPOKEN if re.search(pattern, name)), (1.0, ""))
    number = value / scale
    text = f"{number:.4g}" if abs(number) < 1 else f"{number:,.3f}".rstrip("0").rstrip(".")
    return f"{text} {unit}".rstrip()


def _facts(facts: dict[str, str]) -> Iterator[str]:
    return (f"  {name:<20} {value}" for name, value in facts.items() if value)


def _known(value: float | str | bool | None, unit: str = "") -> str:
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.4g} {unit}".rstrip()


def _question(one: Exchanged, address: str, *, raw: bool) -> dict[str, Any]:
    answer = one.answer
    record: dict[str, Any] = {
        "port": one.port,
        "request": spoken_request(one.request),
        "seconds": round(one.seconds, 4),
    }
    if isinstance(answer, Failure):
        return record | {"result": f"{answer.reason}: {answer.detail}"}
    record["result"] = f"{len(answer):,} bytes"
    return record | {"answer": redacted_answer(answer, address)} if raw else record


def spoken_request(request: bytes) -> str:
    """The request's JSON, or its first line: a login that it carries is not part of that."""
    line = request.partition(b"\r\n")[0]
    json_at = -1 if line.endswith(b"HTTP/1.1") else line.find(b"{")  # behind a length, where the protocol has one
    return line[max(json_at, 0) :].decode("latin-1")
