"""Gives each five-minute window of each hosted rig its class, and adds up what a customer's rigs did in a period. Pure.

A column has a value for each window of a piece of the period; None where nothing was recorded.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final, NamedTuple, TypeAlias

from exporter.economics.hosting import WINDOW_SECONDS, Class, RigUse
from exporter.model.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, kilowatts
from exporter.tools.spans import Span

Column: TypeAlias = list[float | None]

MAINTENANCE: Final = "maintenance"
_DEGRADED: Final = 0.9
"""Share of the contracted hashrate below which a rig that hashes is degraded."""
TOGETHER: Final = 2
HALF: Final = 0.5
"""At least two rigs, and half of a block's, that stop in one window are the host's fault: power or network."""
_SHOWN: Final = frozenset(
    {
        Class.UNMONITORED,
        Class.CURTAILED,
        Class.MAINTENANCE,
        Class.HOST_FAULT,
        Class.RIG_FAULT,
        Class.CUSTOMER,
        Class.UNEXPLAINED,
    }
)
"""Classes that are listed as incidents."""
_GAP: Final = 1.5
"""Windows further apart than this many lengths belong to two incidents."""
_DAYS: Final = WINDOW_SECONDS / SECONDS_PER_DAY
_HOURS: Final = WINDOW_SECONDS / SECONDS_PER_HOUR


class Note(NamedTuple):
    """An operator's word on windows that are unexplained: from, until (unix seconds), rig, class, and why."""

    start: float
    end: float
    rig: str
    found: Class
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A time in which rigs of a block did not hash for one reason, or were not recorded."""

    start: float
    end: float
    found: Class
    rigs: int
    block: str


class Production(NamedTuple):
    """Coins of a UTC day, BTC; None where they are not known."""

    day: str
    earned: float | None  # by hashrate, at the hashprice of its time, after the customer's pool fee
    paid: float | None  # by the customer's accounts at the pools


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the rigs of a customer did in a period."""

    rigs: tuple[RigUse, ...]
    incidents: tuple[Incident, ...]
    moved: int  # windows that notes moved to another class
    queries: Mapping[str, str]  # what was asked, by what it is
    production: tuple[Production, ...] = ()


@dataclass(slots=True, kw_only=True)
class RigColumns:
    """What was recorded of one rig in a piece.

    Attributes:
        block: The block that it was last listed in.
        exporter: The exporter that listed it.
        mine: The windows in which it was listed, for this customer and contract.
        listed: The windows in which it was listed at all.
        kinds: Why it was planned to be off, by window.
        power: Watts, by source.
        reported: Energy by its own reports, kWh.
        revenue: The customer's revenue, USD, and the number of windows with one.
        reasons: The class of windows in which it answered and did not hash, where it is no fault of the rig.
        income: Earned by standing still, USD per day, by window.
        credited: Mean hashrates that pools credited and those that it reported over the same windows, H/s.
    """

    block: str
    exporter: str
    mine: list[bool]
    listed: list[bool]
    hashrate: Column
    kinds: Mapping[int, str] = field(default_factory=dict)
    power: Sequence[tuple[str, Column]] = ()
    watts: float | None = None
    rated: float | None = None
    reported: float = 0.0
    revenue: tuple[float, int] = (0.0, 0)
    reasons: Mapping[int, Class] = field(default_factory=dict)
    income: Mapping[int, float] = field(default_factory=dict)
    credited: Sequence[tuple[float, float]] = ()

    def stopped(self) -> list[int]:
        """Return the windows in which it answered and did not hash, unplanned."""
        if all(self.hashrate):
            return []
        return [
            index
            for index, hashrate in enumerate(self.hashrate)
            if hashrate == 0 and self.mine[index] and index not in self.kinds
        ]

    def silent(self) -> list[int]:
        """Return the windows in which it did not answer, unplanned."""
        if None not in self.hashrate:
            return []
        return [
            index
            for index, hashrate in enumerate(self.hashrate)
            if hashrate is None and self.mine[index] and index not in self.kinds
        ]


@dataclass(slots=True, kw_only=True)
class Piece:
    """A piece of a period: the ends of its windows (unix seconds), and what was recorded of all rigs in it.

    Attributes:
        recorded: The windows in which each exporter was recorded.
        silent_blocks: The windows in which at least two rigs of a block and half of them are silent, whoever owns them.
        live_blocks: The windows in which a block draws power.
        prices: The host's price, USD per kWh, where it is passed through.
    """

    times: Sequence[float]
    rigs: Mapping[str, RigColumns]
    recorded: Mapping[str, Collection[int]]
    silent_blocks: Mapping[str, Collection[int]] = field(default_factory=dict)
    live_blocks: Mapping[str, Collection[int]] = field(default_factory=dict)
    prices: Column | None = None


@dataclass(slots=True)
class _Tally:
    """One rig's figures so far."""

    pending: int = 0  # windows of a gap that lasts: the record after it shows whether the rig was still under contract
    away: bool = False  # the last record did not list it for the customer
    windows: Counter[Class] = field(default_factory=Counter)
    energised: int = 0
    watts: float | None = None
    hashrate: float | None = None
    performed: float = 0.0
    hashed: float = 0.0
    kilowatt_hours: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    reported: float = 0.0
    missing: int = 0
    passed_through: float = 0.0
    unpriced: int = 0
    mined: float = 0.0
    earned: int = 0  # windows with a figure of what was mined
    saved: float = 0.0
    unsold: int = 0
    credits: list[tuple[float, float]] = field(default_factory=list)


class Reckoning:
    """Adds up pieces of a period, which must come in order and without a gap."""

    def __init__(self, period: Span, notes: Iterable[Note] = ()) -> None:
        self._period = period
        self._notes: dict[str, list[Note]] = defaultdict(list)
        for note in notes:
            self._notes[note.rig].append(note)
        self.rigs: dict[str, _Tally] = {}
        self._leading: dict[str, int] = {}  # windows from the start until an exporter was first recorded
        self._elapsed = 0
        self._off: dict[tuple[str, Class], Counter[float]] = defaultdict(Counter)
        self._gaps: Counter[tuple[str, float, float]] = Counter()
        self._blocks: dict[str, tuple[str, str]] = {}  # block and exporter of each rig
        self._moved = 0

    def add(self, piece: Piece) -> None:
        """Add a piece."""
        count = len(piece.times)
        recorded = _recorded(piece)
        for exporter, seen in recorded.items():
            if seen:
                self._leading.setdefault(exporter, self._elapsed + min(seen))
        together, energised = _stopped_together(piece), _energised(piece)
        for rig, columns in piece.rigs.items():
            tally = self.rigs.get(rig)
            if tally is None:
                if not any(columns.mine):
                    continue
                tally = self.rigs[rig] = _Tally()
                leading = self._leading.get(columns.exporter, 0)
                tally.pending, tally.away = (self._elapsed, False) if leading >= self._elapsed else (0, True)
            self._blocks[rig] = columns.block, columns.exporter
            tally.watts = tally.watts if columns.watts is None else columns.watts
            tally.hashrate = tally.hashrate if columns.rated is None else columns.rated
            here = recorded[columns.exporter]
            present = self._present(rig, tally, columns, here, piece.times)
            self._classify(rig, tally, columns, together.get(columns.block, ()), piece.times)
            self._measure(tally, columns, piece.prices)
            lit = energised[columns.block]
            tally.energised += present if lit is None else sum(1 for index in lit if columns.mine[index])
        for rig, tally in self.rigs.items():
            if rig not in piece.rigs:
                tally.away |= bool(recorded.get(self._blocks[rig][1]))
                tally.pending = 0 if tally.away else tally.pending + count
        self._elapsed += count

    def _present(
        self, rig: str, tally: _Tally, columns: RigColumns, recorded: Collection[int], times: Sequence[float]
    ) -> int:
        """Count the windows under contract, and close gaps. Returns the number of recorded ones."""
        if all(columns.mine):
            self._close(rig, tally, times[0] - WINDOW_SECONDS)
            return len(times)
        present = 0
        for index, mine in enumerate(columns.mine):
            if mine:
                self._close(rig, tally, times[index] - WINDOW_SECONDS)
                present += 1
            elif columns.listed[index] or index in recorded:
                tally.pending, tally.away = 0, True
            elif not tally.away:
                tally.pending += 1
        return present

    def _close(self, rig: str, tally: _Tally, end: float) -> None:
        """Count a gap that ends at ``end`` as one of ours: the rig is under contract after it."""
        tally.away = False
        if tally.pending:
            tally.windows[Class.UNMONITORED] += tally.pending
            tally.missing += tally.pending
            self._gaps[self._blocks[rig][0], end - tally.pending * WINDOW_SECONDS, end] += 1
            tally.pending = 0

    def _classify(
        self, rig: str, tally: _Tally, columns: RigColumns, together: Collection[int], times: Sequence[float]
    ) -> None:
        least = 0.0 if tally.hashrate is None else _DEGRADED * tally.hashrate
        hashrates, notes = columns.hashrate, self._notes.get(rig, ())
        if not columns.kinds and all(columns.mine) and all(hashrates) and min(filter(None, hashrates)) >= least:
            tally.windows[Class.HASHING] += len(times)
            return
        for index, at in enumerate(times):
            if not columns.mine[index]:
                continue
            found = _class_of(columns, index, least, together)
            if found is Class.UNEXPLAINED:
                noted = next((note.found for note in notes if note.start < at <= note.end), None)
                self._moved += noted is not None
                found = noted or found
            if found is Class.CURTAILED:
                income = columns.income.get(index)
                tally.saved += (income or 0.0) * _DAYS
                tally.unsold += income is None
            tally.windows[found] += 1
            if found in _SHOWN:
                self._off[columns.block, found][at] += 1

    @staticmethod
    def _measure(tally: _Tally, columns: RigColumns, prices: Column | None) -> None:
        mine, whole = columns.mine, all(columns.mine)
        hashrates = [each for each, own in zip(columns.hashrate, mine, strict=True) if own and each]
        tally.hashed += sum(hashrates)
        rated = tally.hashrate
        if rated is None or (hashrates and max(hashrates) <= rated):
            tally.performed += sum(hashrates)
        else:
            tally.performed += sum(map(min, hashrates, repeat(rated)))
        usd, windows = columns.revenue
        tally.mined += usd
        tally.earned += windows
        tally.reported += columns.reported
        tally.credits += columns.credited
        known: set[int] = set()
        for source, column in columns.power:
            if whole and not known and None not in column and prices is None:
                tally.kilowatt_hours[source] += kilowatts(sum(filter(None, column))) * _HOURS
                known.update(range(len(column)))
                continue
            for index, watts in enumerate(column):
                if watts is None or index in known or not mine[index]:
                    continue
                known.add(index)
                kwh = kilowatts(watts) * _HOURS
                tally.kilowatt_hours[source] += kwh
                if prices is not None:
                    price = prices[index]
                    tally.passed_through += kwh * (price or 0.0)
                    tally.unpriced += price is None
        tally.missing += sum(mine) - len(known)

    def usage(self, asked: Mapping[str, str], production: Iterable[Production] = ()) -> Usage:
        """Return the sums."""
        every = windows_of(self._period)
        for rig, tally in self.rigs.items():
            self._close(rig, tally, self._period.end)
        return Usage(
            rigs=tuple(_use(rig, tally, every) for rig, tally in sorted(self.rigs.items())),
            incidents=tuple(sorted(self._incidents(), key=lambda each: (each.start, each.block, each.found))),
            moved=self._moved,
            queries=asked,
            production=tuple(production),
        )

    def _incidents(self) -> Iterator[Incident]:
        for (block, start, end), rigs in self._gaps.items():
            yield Incident(start=start, end=end, found=Class.UNMONITORED, rigs=rigs, block=block)
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


def _use(rig: str, tally: _Tally, every: int) -> RigUse:
    contracted = tally.windows.total()
    credited = [each for each, _ in tally.credits]
    compared = [each for _, each in tally.credits]
    return RigUse(
        rig=rig,
        windows=tally.windows | {Class.NOT_CONTRACTED: every - contracted},
        energised=tally.energised,
        watts=tally.watts,
        hashrate=tally.hashrate,
        performed=tally.performed,
        mean_hashrate=tally.hashed / contracted if contracted else None,
        kilowatt_hours=dict(tally.kilowatt_hours),
        reported_kilowatt_hours=tally.reported,
        missing=tally.missing,
        passed_through=tally.passed_through,
        unpriced=tally.unpriced,
        mined=tally.mined,
        unearned=max(tally.windows[Class.HASHING] + tally.windows[Class.DEGRADED] - tally.earned, 0),
        saved=tally.saved,
        unsold=tally.unsold,
        credited_hashrate=sum(credited) / len(credited) if credited else None,
        compared_hashrate=sum(compared) / len(compared) if compared else None,
    )


def _class_of(columns: RigColumns, index: int, least: float, together: Collection[int]) -> Class:
    """Return the class of a window under contract. ``least`` is the hashrate below which a rig is degraded."""
    kind, hashrate = columns.kinds.get(index), columns.hashrate[index]
    if kind is not None:
        return Class.MAINTENANCE if kind == MAINTENANCE else Class.CURTAILED
    if hashrate:
        return Class.HASHING if hashrate >= least else Class.DEGRADED
    if hashrate is not None:
        return columns.reasons.get(index, Class.RIG_FAULT)
    return Class.HOST_FAULT if index in together else Class.UNEXPLAINED


def _recorded(piece: Piece) -> dict[str, Collection[int]]:
    """Return the windows in which each exporter was recorded: by itself, or by a rig that it lists."""
    recorded: dict[str, set[int]] = defaultdict(set)
    for exporter, windows in piece.recorded.items():
        recorded[exporter].update(windows)
    for columns in piece.rigs.values():
        seen = recorded[columns.exporter]
        if len(seen) < len(piece.times):
            seen.update(index for index, listed in enumerate(columns.listed) if listed)
    return dict(recorded)


def _energised(piece: Piece) -> dict[str, Collection[int] | None]:
    """Return the windows in which each block draws power; None if it does in all."""
    found: dict[str, set[int]] = {block: set(windows) for block, windows in piece.live_blocks.items()}
    whole: set[str] = set()
    for columns in piece.rigs.values():
        drawn = found.setdefault(columns.block, set())
        if columns.block in whole:
            continue
        for _, column in columns.power:
            drawn.update(index for index, watts in enumerate(column) if watts)
        if len(drawn) == len(piece.times):
            whole.add(columns.block)
    return {block: None if block in whole else windows for block, windows in found.items()}


def _stopped_together(piece: Piece) -> dict[str, Collection[int]]:
    """Return for each block the windows in which its power or network failed.

    At least two of the customer's rigs in it, and half of them, or as many of all its rigs, do not answer, unplanned.
    """
    silent: dict[str, Counter[int]] = defaultdict(Counter)
    for columns in piece.rigs.values():
        silent[columns.block].update(columns.silent())
    together: dict[str, Collection[int]] = {}
    for block, windows in silent.items():
        if windows:
            inside = [each for each in piece.rigs.values() if each.block == block]
            together[block] = set(piece.silent_blocks.get(block, ())) | {
                index
                for index, count in windows.items()
                if count >= TOGETHER
                and count >= HALF * sum(each.mine[index] and index not in each.kinds for each in inside)
            }
    return together
