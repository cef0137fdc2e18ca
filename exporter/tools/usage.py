"""Reads what a customer's rigs did in a period from Prometheus, window by window, and gives each window its class."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from operator import and_
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.economics.hosting import WINDOW_SECONDS, Class, RigUse
from exporter.model.configuration_errors import unknown
from exporter.model.failures import Failure, Reason
from exporter.model.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, kilowatts
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import ask_range, quoted
from exporter.tools.spans import Span

_DEGRADED: Final = 0.9
"""Share of the contracted hashrate below which a rig that hashes is degraded."""
_TOGETHER: Final = 2
_HALF: Final = 0.5
"""At least two rigs, and half of a block's, that stop in one window are the host's fault: power or network."""
_MAINTENANCE: Final = "maintenance"
_WINDOW: Final = f"{WINDOW_SECONDS:.0f}s"
_PIECE: Final = SECONDS_PER_DAY / 2
"""Seconds of a period that are read at once, which keeps the memory small."""


_STOPPED: Final = frozenset(
    {Class.CURTAILED, Class.MAINTENANCE, Class.HOST_FAULT, Class.RIG_FAULT, Class.CUSTOMER, Class.UNEXPLAINED}
)
_GAP: Final = 1.5
"""Windows further apart than this many lengths belong to two incidents."""


class NoteError(Exception):
    """The file of notes is invalid. The message is one sentence with the line."""


class Note(NamedTuple):
    """An operator's word on windows that are unexplained: from, until (unix seconds), rig, class, and why."""

    start: float
    end: float
    rig: str
    found: Class
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A time in which rigs of a block did not hash for one reason."""

    start: float
    end: float
    found: Class
    rigs: int
    block: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the rigs of a customer did in a period."""

    rigs: tuple[RigUse, ...]
    incidents: tuple[Incident, ...]
    moved: int  # windows that notes moved to another class
    queries: Mapping[str, str]  # what was asked, by what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose rigs are read. ``site`` is a target label, ``host_tariff`` prices their power for the host."""

    customer: str
    site: str | None = None
    host_tariff: str = ""  # read only if it is named
    revenue: bool = False  # whether the mined coins are read
    others: frozenset[str] = frozenset()  # rigs of the customer under another contract, which are left out
    notes: Sequence[Note] = ()


def read_notes(path: Path, zone: ZoneInfo) -> list[Note]:
    """Read notes from a CSV file with the columns from, to, rig, class and note, in local time. Raises NoteError."""
    try:
        lines = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise NoteError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8 text')}") from None
    columns = {"from", "to", "rig", "class", "note"}
    try:
        if set(lines.fieldnames or ()) != columns:
            raise NoteError(f"{path} needs the columns from, to, rig, class and note")
        return [_note(row, zone) for row in lines]
    except (ValueError, csv.Error) as error:
        raise NoteError(f"{path}, line {lines.line_num}: {error}") from None


def _note(row: Mapping[str, str], zone: ZoneInfo) -> Note:
    moments = (datetime.fromisoformat((row[name] or "").strip()) for name in ("from", "to"))
    start, end = ((each if each.tzinfo else each.replace(tzinfo=zone)).timestamp() for each in moments)
    found, text = (row["class"] or "").strip(), (row["note"] or "").strip()
    classes = [each.value for each in Class]
    if found not in classes:
        raise ValueError(str(unknown("class", found, classes)))
    if not text:
        raise ValueError("a note must say why")
    if end <= start:
        raise ValueError("to must be after from")
    return Note(start, end, (row["rig"] or "").strip(), Class(found), text)


def queries(question: Question) -> dict[str, str]:
    """Return the queries by what they are. Each is asked for the end of every window."""
    site = "" if question.site is None else f'site="{quoted(question.site)}"'
    owned = ",".join(filter(None, (site, f'customer="{quoted(question.customer)}"')))
    listed = f"max by (rig, block) (max_over_time(mining_rig_inventory_info{{{owned}}}[{_WINDOW}]))"
    theirs = f"on (rig) group_left () max by (rig) (max_over_time(mining_rig_inventory_info{{{owned}}}[{_WINDOW}]))"

    def of(metric: str, function: str = "max", *labels: str) -> str:
        by = ", ".join(("rig", *labels))
        return f"max by ({by}) ({function}_over_time({metric}{{{site}}}[{_WINDOW}])) * {theirs}"

    power = f"max by (rig) (avg_over_time(mining_rig_power_watts{{{site}}}[{_WINDOW}]))"
    source = f"max by (rig, source) (max_over_time(mining_rig_power_source{{{site}}}[{_WINDOW}]))"
    asked = {
        "contract": listed,
        "hashrate": of("mining_rig_hashrate_hashes_per_second", "avg"),
        "power": f"({source} * on (rig) group_left () {power}) * {theirs}",
        "planned off": of("mining_rig_expected_off_info", "max", "kind"),
    }
    if question.revenue:
        asked["revenue"] = of("mining_rig_revenue_usd_per_day", "avg")
    if question.host_tariff:
        tariff = ",".join(filter(None, (site, f'tariff="{quoted(question.host_tariff)}"')))
        asked["host's price"] = f"max(avg_over_time(mining_power_price_usd_per_kilowatt_hour{{{tariff}}}[{_WINDOW}]))"
    return asked


def ratings(question: Question) -> dict[str, str]:
    """Return the queries of what the rigs are rated at. They are asked for once per piece."""
    site = "" if question.site is None else f'site="{quoted(question.site)}"'
    return {
        "rated power": f"max by (rig) (mining_rig_rated_power_watts{{{site}}})",
        "rated hashrate": f"max by (rig) (mining_rig_rated_hashrate_hashes_per_second{{{site}}})",
    }


async def read(endpoint: Endpoint, question: Question, period: Span) -> Usage:
    """Read a period piece by piece. Raises Failure if the server does not answer, or has no rig of the customer."""
    asked, reckoning = queries(question), _Reckoning(question, period)
    start = period.start
    while start < period.end:
        end = min(start + _PIECE, period.end)
        answers = {
            name: await ask_range(endpoint, query, start + WINDOW_SECONDS, end, WINDOW_SECONDS, allow_empty=True)
            for name, query in asked.items()
        }
        rated = {
            name: await ask_range(endpoint, query, start, end, SECONDS_PER_HOUR, allow_empty=True)
            for name, query in ratings(question).items()
        }
        reckoning.add(answers, rated, [start + WINDOW_SECONDS * number for number in _windows(start, end)])
        start = end
    if not reckoning.rigs:
        raise Failure(Reason.NOT_READY, f"no rig of customer {question.customer} is recorded in {period.name}")
    return reckoning.usage(asked | ratings(question))


_Series = Sequence[tuple[dict[str, str], dict[float, float]]]
_Column = list[float | None]


@dataclass(slots=True)
class _Tally:
    """One rig's figures so far."""

    windows: Counter[Class] = field(default_factory=Counter)
    energised: int = 0
    watts: float | None = None
    hashrate: float | None = None
    performed: float = 0.0
    hashed: float = 0.0
    kilowatt_hours: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    missing: int = 0
    passed_through: float = 0.0
    mined: float = 0.0


class _Rows(NamedTuple):
    """One rig's columns in a piece: a value per window, None where there is no sample."""

    block: str
    contracted: list[bool]
    hashrate: _Column
    kind: Mapping[int, str]  # of planned downtime, by window
    power: Sequence[tuple[str, _Column]]  # by source
    revenue: _Column


class _Reckoning:
    """Adds up pieces of a period."""

    def __init__(self, question: Question, period: Span) -> None:
        self._period = period
        self._others = question.others
        self._notes: dict[str, list[Note]] = defaultdict(list)
        for note in question.notes:
            self._notes[note.rig].append(note)
        self.rigs: dict[str, _Tally] = {}
        self._off: dict[tuple[str, Class], Counter[float]] = defaultdict(Counter)
        self._moved = 0

    def add(self, answers: Mapping[str, _Series], rated: Mapping[str, _Series], times: Sequence[float]) -> None:
        """Add the windows that end at ``times`` (unix seconds)."""
        rows = {rig: each for rig, each in _rows(answers, times).items() if rig not in self._others}
        recorded = [any(each.contracted[index] for each in rows.values()) for index in range(len(times))]
        together, energised = _stopped_together(rows.values(), len(times)), _energised(rows.values(), len(times))
        absent: _Column = [None] * len(times)
        prices = next((_column(values, times) for _, values in answers.get("host's price", ())), absent)
        for rig, each in rows.items():
            tally = self.rigs.setdefault(rig, _Tally())
            tally.watts = _latest(rated["rated power"], rig, tally.watts)
            tally.hashrate = _latest(rated["rated hashrate"], rig, tally.hashrate)
            classes = self._classes(rig, tally, each, recorded, together[each.block], times)
            tally.windows.update(classes)
            self._measure(tally, each, classes, prices)
            tally.energised += sum(map(and_, each.contracted, energised[each.block]))
            for at, found in zip(times, classes, strict=True):
                if found in _STOPPED:
                    self._off[each.block, found][at] += 1
        for rig, tally in self.rigs.items():
            if rig not in rows:
                gap = sum(not seen for seen in recorded)
                tally.windows[Class.UNMONITORED] += gap
                tally.missing += gap

    def _classes(
        self, rig: str, tally: _Tally, rows: _Rows, recorded: Sequence[bool], together: Sequence[bool],
        times: Sequence[float],
    ) -> list[Class]:  # fmt: skip
        least = 0.0 if tally.hashrate is None else _DEGRADED * tally.hashrate
        classes: list[Class] = []
        for index, hashrate in enumerate(rows.hashrate):
            if not rows.contracted[index]:
                found = Class.NOT_CONTRACTED if recorded[index] else Class.UNMONITORED
            elif index in rows.kind:
                found = Class.MAINTENANCE if rows.kind[index] == _MAINTENANCE else Class.CURTAILED
            elif hashrate:
                found = Class.HASHING if hashrate >= least else Class.DEGRADED
            elif hashrate is not None:
                found = Class.RIG_FAULT
            else:
                found = Class.HOST_FAULT if together[index] else Class.UNEXPLAINED
            classes.append(found)
        for note in self._notes.get(rig, ()):
            for index, at in enumerate(times):
                if classes[index] is Class.UNEXPLAINED and note.start < at <= note.end:
                    classes[index] = note.found
                    self._moved += 1
        return classes

    @staticmethod
    def _measure(tally: _Tally, rows: _Rows, classes: Sequence[Class], prices: _Column) -> None:
        contracted = [found is not Class.NOT_CONTRACTED for found in classes]
        rated = inf if tally.hashrate is None else tally.hashrate
        tally.hashed += sum(hashrate for hashrate in rows.hashrate if hashrate)
        tally.performed += sum(min(hashrate, rated) for hashrate in rows.hashrate if hashrate)
        tally.mined += sum(usd for usd in rows.revenue if usd) * WINDOW_SECONDS / SECONDS_PER_DAY
        known = [False] * len(classes)
        for source, column in rows.power:
            for index, watts in enumerate(column):
                if watts is None or known[index]:
                    continue
                known[index] = True
                kwh = kilowatts(watts) * WINDOW_SECONDS / SECONDS_PER_HOUR
                tally.kilowatt_hours[source] += kwh
                tally.passed_through += kwh * (prices[index] or 0.0)
        tally.missing += sum(mine and not seen for mine, seen in zip(contracted, known, strict=True))

    def usage(self, asked: Mapping[str, str]) -> Usage:
        """Return the sums."""
        every = windows_of(self._period)
        return Usage(
            rigs=tuple(
                RigUse(
                    rig=rig,
                    windows=tally.windows | {Class.NOT_CONTRACTED: every - _contracted(tally)},
                    energised=tally.energised,
                    watts=tally.watts,
                    hashrate=tally.hashrate,
                    performed=tally.performed,
                    mean_hashrate=tally.hashed / _contracted(tally) if _contracted(tally) else None,
                    kilowatt_hours=dict(tally.kilowatt_hours),
                    missing=tally.missing,
                    passed_through=tally.passed_through,
                    mined=tally.mined,
                )
                for rig, tally in sorted(self.rigs.items())
            ),
            incidents=tuple(sorted(self._incidents(), key=lambda incident: (incident.start, incident.block))),
            moved=self._moved,
            queries=asked,
        )

    def _incidents(self) -> Iterator[Incident]:
        for (block, found), windows in self._off.items():
            times = sorted(windows)
            first = 0
            for number in range(1, len(times) + 1):
                if number == len(times) or times[number] - times[number - 1] > WINDOW_SECONDS * _GAP:
                    stretch = times[first:number]
                    yield Incident(
                        start=stretch[0] - WINDOW_SECONDS,
                        end=stretch[-1],
                        found=found,
                        rigs=max(windows[at] for at in stretch),
                        block=block,
                    )
                    first = number


def windows_of(period: Span) -> int:
    """Return the number of five-minute windows of a period."""
    return round(period.seconds / WINDOW_SECONDS)


def _contracted(tally: _Tally) -> int:
    return tally.windows.total() - tally.windows[Class.NOT_CONTRACTED]


def _windows(start: float, end: float) -> range:
    return range(1, round((end - start) / WINDOW_SECONDS) + 1)


def _rows(answers: Mapping[str, _Series], times: Sequence[float]) -> dict[str, _Rows]:
    """Return the columns of every rig that is the customer's in this piece."""
    absent: _Column = [None] * len(times)
    blocks: dict[str, str] = {}
    contracted: dict[str, _Column] = {}
    for labels, values in answers["contract"]:
        rig = labels["rig"]
        blocks[rig] = labels.get("block", "")  # a rig that was moved has a series for each of its blocks
        contracted[rig] = _merged(contracted.get(rig), _column(values, times))
    hashrates, revenues = _columns(answers["hashrate"], times), _columns(answers.get("revenue", ()), times)
    power: dict[str, list[tuple[str, _Column]]] = defaultdict(list)
    for labels, values in answers["power"]:
        power[labels["rig"]].append((labels.get("source", ""), _column(values, times)))
    kinds: dict[str, dict[int, str]] = defaultdict(dict)
    for labels, values in answers["planned off"]:
        kinds[labels["rig"]] |= {index: labels.get("kind", "") for index, at in enumerate(times) if at in values}
    return {
        rig: _Rows(
            block=blocks[rig],
            contracted=[value is not None for value in column],
            hashrate=hashrates.get(rig, absent),
            kind=kinds.get(rig, {}),
            power=power.get(rig, ()),
            revenue=revenues.get(rig, absent),
        )
        for rig, column in contracted.items()
    }


def _column(values: Mapping[float, float], times: Sequence[float]) -> _Column:
    return [values.get(at) for at in times]


def _columns(series: _Series, times: Sequence[float]) -> dict[str, _Column]:
    return {labels["rig"]: _column(values, times) for labels, values in series}


def _merged(one: _Column | None, other: _Column) -> _Column:
    return other if one is None else [a if b is None else b for a, b in zip(one, other, strict=True)]


def _latest(series: _Series, rig: str, before: float | None) -> float | None:
    return next((values[max(values)] for labels, values in series if labels.get("rig") == rig), before)


def _energised(rows: Iterable[_Rows], windows: int) -> dict[str, list[bool]]:
    """Tell for each block in which windows any of the customer's rigs draws power."""
    found: dict[str, list[bool]] = {}
    for each in rows:
        drawn = found.setdefault(each.block, [False] * windows)
        for _, column in each.power:
            for index, watts in enumerate(column):
                drawn[index] |= bool(watts)
    return found


def _stopped_together(rows: Iterable[_Rows], windows: int) -> dict[str, list[bool]]:
    """Tell for each block in which windows at least two of the customer's rigs, and half, do not answer unplanned."""
    rigs: dict[str, list[int]] = {}
    silent: dict[str, list[int]] = {}
    for each in rows:
        counted = rigs.setdefault(each.block, [0] * windows)
        stopped = silent.setdefault(each.block, [0] * windows)
        for index, mine in enumerate(each.contracted):
            if mine and index not in each.kind:
                counted[index] += 1
                stopped[index] += each.hashrate[index] is None
    return {
        block: [
            count >= _TOGETHER and count >= _HALF * every
            for count, every in zip(silent[block], rigs[block], strict=True)
        ]
        for block in rigs
    }
