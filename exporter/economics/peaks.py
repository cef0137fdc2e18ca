"""Coincident peaks: how likely an interval sets one, what running through it costs, and what past ones cost or saved.

A program bills a site by its own load in the grid's highest intervals: one per month (ERCOT's 4CP), or the highest days
of a season (PJM's 5CP, Ontario's ICI). Which they were is known only when the month or season is over.
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from math import ceil, comb, erf, exp, sqrt
from statistics import fmean, pstdev
from typing import Annotated, Any, Final, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from exporter.model.fields import Duration, SettingsGroup
from exporter.model.readings import LoadPoint, PriceSlot, SystemLoad
from exporter.model.units import SECONDS_PER_HOUR, WATTS_PER_KILOWATT, midnight

_SHAPE_ERROR: Final = 0.005  # by how much a forecast errs from one interval to the next, as a share of load
_LEAST_SPREAD: Final = 0.005  # of the peaks of days, as a share of their mean
_FEW_DAYS: Final = 3
_RECENT_DAYS: Final = 30
_COVERED: Final = 0.65
"""Share of an interval that measured load must cover: a five-minute feed may lack one of three points."""
_STEPS: Final = 41  # of an integration over +-4 standard deviations
_WIDTH: Final = 4.0
_KEPT_DAYS: Final = 800
_OWN_SECONDS: Final = 2 * 86_400.0


class Program(StrEnum):
    """A usual program, whose settings need not be written."""

    ERCOT_4CP = "ercot_4cp"
    ERCOT_12CP = "ercot_12cp"
    PJM_5CP = "pjm_5cp"
    ONTARIO_ICI = "ontario_ici"
    CUSTOM = "custom"


_YEAR: Final = tuple(range(1, 13))
_SUMMER: Final = (6, 7, 8, 9)
_PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ercot_4cp": {"months": _SUMMER, "monthly": True, "count": 1, "interval": 900.0, "timezone": "America/Chicago"},
    "ercot_12cp": {"months": _YEAR, "monthly": True, "count": 1, "interval": 1800.0, "timezone": "America/Chicago"},
    "pjm_5cp": {"months": _SUMMER, "monthly": False, "count": 5, "interval": 3600.0, "timezone": "America/New_York"},
    "ontario_ici": {
        "months": _YEAR,
        "monthly": False,
        "count": 5,
        "interval": 3600.0,
        "timezone": "Etc/GMT+5",
        "season_begins": 5,
    },
}


class PeakSettings(SettingsGroup):
    """One program. `program` fills in what is not set."""

    program: Program = Field(
        default=Program.CUSTOM, description="`ercot_4cp`, `ercot_12cp`, `pjm_5cp`, `ontario_ici` or `custom`."
    )
    load: str = Field(description="The source in `system_loads` with the grid's load.")
    rate_usd_per_kilowatt_year: Annotated[float | None, Field(gt=0, le=2_000, allow_inf_nan=False)] = Field(
        default=None, description="What a kW in every peak costs in the year that is billed by them."
    )
    shared_cost_usd_per_year: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = Field(
        default=None, description="Instead of a rate: the cost that is shared out by load in the peaks (Ontario)."
    )
    peaks_megawatts: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = Field(
        default=None, description="The grid's load in all peaks together, by which it is shared out."
    )
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = Field(
        default=_YEAR, min_length=1, description="Months in which peaks count."
    )
    monthly: bool = Field(
        default=True, description="Whether each month has its own peak; else the season's highest days count."
    )
    count: Annotated[int, Field(ge=1, le=20)] = Field(
        default=1, description="Number of peaks that count, each on another day: per month, or in the season."
    )
    season_begins: Annotated[int, Field(ge=1, le=12)] = Field(
        default=1, description="First month of the season, where the highest days of a season count."
    )
    interval: Annotated[Duration, Field(ge=300, le=3600)] = Field(
        default=3600.0, description="Length of an interval whose mean load counts."
    )
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of its days and months.")
    forecast_error: Annotated[float, Field(gt=0, le=0.2)] = Field(
        default=0.02, description="Standard deviation of a day's forecast peak, as a share (0.02 is two per cent)."
    )
    peak_hours: tuple[Annotated[int, Field(ge=0, le=24)], Annotated[int, Field(ge=0, le=24)]] = Field(
        default=(14, 19), description="Local hours in which peaks fall, where the grid publishes no forecast."
    )
    tariffs: tuple[str, ...] = Field(default=(), description="Tariffs whose rigs it bills. By default all.")
    known_peaks_megawatts: dict[date, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default={},
        description="Peaks of earlier days, in MW, that hashmargin has not seen, such as `{2026-06-12: 81200}`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        return {**_PRESETS.get(str(value.get("program")), {}), **value} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        shared = (self.shared_cost_usd_per_year, self.peaks_megawatts)
        if (None in shared) is not (shared == (None, None)):
            raise ValueError("shared_cost_usd_per_year and peaks_megawatts: set both or neither")
        if (self.rate_usd_per_kilowatt_year is None) is (self.shared_cost_usd_per_year is None):
            raise ValueError("give rate_usd_per_kilowatt_year, or shared_cost_usd_per_year with peaks_megawatts")
        if not self.peak_hours[0] < self.peak_hours[1]:
            raise ValueError("peak_hours: write the first hour before the last")
        return self

    @property
    def usd_per_kilowatt(self) -> float:
        """What one kW in one peak costs, USD."""
        if self.rate_usd_per_kilowatt_year is None:
            return shared_cost_per_kilowatt(self.shared_cost_usd_per_year or 0.0, self.peaks_megawatts or 1.0)
        return cost_per_kilowatt(
            self.rate_usd_per_kilowatt_year, self.count * (len(self.months) if self.monthly else 1)
        )

    def period(self, day: date) -> tuple[date, date] | None:
        """Return the first and the last day of the month or season of ``day``; None if it has no peaks."""
        if day.month not in self.months:
            return None
        if self.monthly:
            return day.replace(day=1), _month_end(day)
        first = date(day.year - (day.month < self.season_begins), self.season_begins, 1)
        last = max(self.months, key=lambda month: (month < self.season_begins, month))
        return first, _month_end(first.replace(year=first.year + (last < self.season_begins), month=last))


def _month_end(day: date) -> date:
    _, last = monthrange(day.year, day.month)
    return day.replace(day=last)


def cost_per_kilowatt(rate: float, peaks: int) -> float:
    """Return what one kW in one of several peaks costs, USD: R / n. R in USD per kW and year."""
    return rate / peaks


def shared_cost_per_kilowatt(shared: float, megawatts: float) -> float:
    """Return what one kW in one peak costs, USD: the shared cost over the grid's load in all peaks together."""
    return shared / (megawatts * WATTS_PER_KILOWATT)


def tag(own: Sequence[float]) -> float:
    """Return the peak tag: the mean of the own load in the peaks, in its unit."""
    return fmean(own)


class DayPeak(NamedTuple):
    """The grid's highest interval of a day, and what the site drew in it. Watts; None if it was not measured."""

    start: float
    grid: float
    own: float | None = None
    running: float | None = None  # if all rigs had run


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakMemory:
    """What a program needs from one evaluation to the next."""

    days: Mapping[date, DayPeak] = field(default_factory=dict)
    own: tuple[
        tuple[float, float, float, float], ...
    ] = ()  # begin of interval, seconds, joules drawn, joules if running
    observed_at: float | None = None


class PeakInterval(NamedTuple):
    """One interval from now on: how likely it is one of the peaks, 0-1."""

    start: float
    end: float
    probability: float


class PastPeak(NamedTuple):
    """One of the peaks so far: USD that it costs, and that was saved by what stood still. None if not measured."""

    rank: int
    peak: DayPeak
    cost: float | None
    saved: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakEconomics:
    """One program now. ``probability`` and costs are None if too little is known."""

    name: str
    probability: float | None = None  # of the interval in force
    expected_cost: float | None = None  # USD per kW that runs through it
    usd_per_kilowatt: float = 0.0  # of one peak
    grid: float | None = None  # W, the last measured load
    threshold: float | None = None  # W, the lowest of the peaks so far
    past: tuple[PastPeak, ...] = ()
    surcharges: tuple[PriceSlot, ...] = ()  # USD per kWh, from now on


def observe(
    memory: PeakMemory,
    settings: PeakSettings,
    load: SystemLoad | None,
    now: float,
    own: float | None,
    running: float | None,
    longest_gap: float = 60.0,
) -> PeakMemory:
    """Note what is drawn (W, or None), and the highest interval of each day of the grid's measured load."""
    interval = settings.interval
    tallies = {start: rest for start, *rest in memory.own if now - start <= _OWN_SECONDS}
    elapsed = 0.0 if memory.observed_at is None else now - memory.observed_at
    if own is not None and 0 < elapsed <= longest_gap:
        start = (now - elapsed / 2) // interval * interval
        seconds, drawn, most = tallies.get(start, [0.0, 0.0, 0.0])
        tallies[start] = [
            seconds + elapsed,
            drawn + own * elapsed,
            most + (own if running is None else running) * elapsed,
        ]
    days = {
        date_: DayPeak(_noon(date_, settings), megawatts * 1e6)
        for date_, megawatts in settings.known_peaks_megawatts.items()
    }
    days |= memory.days
    for start, grid in measured(load, interval):
        day = datetime.fromtimestamp(start, settings.timezone).date()
        known = days.get(day)
        if known is None or grid > known.grid or start == known.start:
            seconds, drawn, most = tallies.get(start, [0.0, 0.0, 0.0])
            whole = seconds >= _COVERED * interval
            before = known if known is not None and start == known.start else None
            days[day] = DayPeak(
                start,
                grid,
                drawn / seconds if whole else None if before is None else before.own,
                most / seconds if whole else None if before is None else before.running,
            )
    kept = dict(sorted(days.items())[-_KEPT_DAYS:])
    own_loads = tuple((start, rest[0], rest[1], rest[2]) for start, rest in sorted(tallies.items()))
    return PeakMemory(days=kept, own=own_loads, observed_at=now)


def _noon(day: date, settings: PeakSettings) -> float:
    return datetime(day.year, day.month, day.day, 12, tzinfo=settings.timezone).timestamp()


def measured(load: SystemLoad | None, interval: float) -> Iterator[tuple[float, float]]:
    """Yield begin and mean (W) of the intervals that the measured load covers."""
    points = () if load is None else sorted(load.measured)
    for number, group in groupby(points, key=lambda point: point.start // interval):
        members = list(group)
        seconds = sum(point.end - point.start for point in members)
        if seconds >= _COVERED * interval:
            yield number * interval, sum(point.watts * (point.end - point.start) for point in members) / seconds


def price_peaks(
    name: str, memory: PeakMemory, settings: PeakSettings, load: SystemLoad | None, now: float
) -> PeakEconomics:
    """Return what the interval in force and those after it may cost, and what the peaks so far cost or saved."""
    cost = settings.usd_per_kilowatt
    ahead = intervals_ahead(memory, settings, load, now)
    first = ahead[0] if ahead else None
    hours = settings.interval / SECONDS_PER_HOUR
    peaks = peaks_so_far(memory.days, settings, datetime.fromtimestamp(now, settings.timezone).date())
    grid = None if load is None or not load.measured else max(load.measured).watts
    return PeakEconomics(
        name=name,
        probability=None if first is None else first.probability,
        expected_cost=None if first is None else first.probability * cost,
        usd_per_kilowatt=cost,
        grid=grid,
        threshold=peaks[-1].grid if len(peaks) == settings.count else None,
        past=tuple(
            PastPeak(
                rank,
                peak,
                None if peak.own is None else peak.own / WATTS_PER_KILOWATT * cost,
                None
                if peak.own is None or peak.running is None
                else max(peak.running - peak.own, 0.0) / WATTS_PER_KILOWATT * cost,
            )
            for rank, peak in enumerate(peaks, start=1)
        ),
        surcharges=tuple(
            PriceSlot(each.start, each.end, each.probability * cost / hours) for each in ahead if each.probability > 0
        ),
    )


def peaks_so_far(days: Mapping[date, DayPeak], settings: PeakSettings, today: date) -> list[DayPeak]:
    """Return the highest intervals of the month or season so far, each of another day, the highest first."""
    period = settings.period(today)
    if period is None:
        return []
    found = [peak for day, peak in days.items() if period[0] <= day <= period[1] and day.month in settings.months]
    return sorted(found, key=lambda peak: -peak.grid)[: settings.count]


def intervals_ahead(
    memory: PeakMemory, settings: PeakSettings, load: SystemLoad | None, now: float
) -> list[PeakInterval]:
    """Return the intervals from now to the end of the last day that is forecast, with their probability.

    Without a forecast only those of today. Empty if too little is known: no load, or too few days of the period.
    """
    if load is None or not load.measured:
        return []
    found: list[PeakInterval] = []
    today = datetime.fromtimestamp(now, settings.timezone).date()
    last = max((point.start for point in load.forecast), default=now)
    day = today
    while day <= max(today, datetime.fromtimestamp(last, settings.timezone).date()) and (day - today).days <= 1:
        judged = _judge_day(memory, settings, load, day, now)
        if judged is None:
            break
        found += judged
        day += timedelta(days=1)
    return found


def _judge_day(
    memory: PeakMemory, settings: PeakSettings, load: SystemLoad, day: date, now: float
) -> list[PeakInterval] | None:
    """Return the intervals of a day from now on; None if it is not known how likely they are."""
    interval = settings.interval
    begin, end = midnight(day, settings.timezone), midnight(day + timedelta(days=1), settings.timezone)
    starts = [begin + interval * number for number in range(ceil((end - begin) / interval))]
    open_ones = [start for start in starts if start + interval > now]
    period = settings.period(day)
    if period is None:
        return [PeakInterval(start, start + interval, 0.0) for start in open_ones]
    past = {start: watts for start, watts in measured(load, interval) if begin <= start < end}
    expected = _expected(load.forecast, open_ones, interval)
    if not expected:
        hours = {start: datetime.fromtimestamp(start, settings.timezone).hour for start in open_ones}
        level = max([*past.values(), max(load.measured).watts])
        first, last = settings.peak_hours
        expected = {start: level for start, hour in hours.items() if first <= hour < last}
    highest_past = max((watts for start, watts in past.items() if start not in expected), default=0.0)
    others = [peak.grid for known, peak in memory.days.items() if known != day and period[0] <= known <= period[1]]
    left = (period[1] - day).days
    spread = _spread(memory, day, others)
    if left and spread is None:
        return None
    highest = max([highest_past, *expected.values()])
    ranks = _rank_probability(highest, settings, sorted(others), left, spread or (0.0, 1.0))
    shares = dict(_highest_of_day(expected, highest_past))
    return [PeakInterval(start, start + interval, min(shares.get(start, 0.0) * ranks, 1.0)) for start in open_ones]


def _expected(forecast: Sequence[LoadPoint], starts: Sequence[float], interval: float) -> dict[float, float]:
    """Return the load that is forecast for each interval, W: a straight line between the middles of the forecast's."""
    points = sorted(forecast)
    if not points:
        return {}
    middles = [(point.start + point.end) / 2 for point in points]
    first, last = points[0].start, points[-1].end
    found: dict[float, float] = {}
    for start in starts:
        middle = start + interval / 2
        if not first <= middle <= last:
            continue
        index = min(max(bisect_left(middles, middle), 1), len(points) - 1)
        before, after = points[max(index - 1, 0)], points[index]
        width = middles[index] - middles[max(index - 1, 0)]
        share = min(max((middle - middles[max(index - 1, 0)]) / width, 0.0), 1.0) if width else 0.0
        found[start] = before.watts + (after.watts - before.watts) * share
    return found


def _spread(memory: PeakMemory, day: date, others: Sequence[float]) -> tuple[float, float] | None:
    """Return mean and standard deviation of the peaks of days, W; None if too few are known."""
    known = list(others)
    if len(known) < _FEW_DAYS:
        known = [peak.grid for each, peak in memory.days.items() if 0 < (day - each).days <= _RECENT_DAYS]
    if len(known) < _FEW_DAYS:
        return None
    mean = fmean(known)
    return mean, max(pstdev(known), _LEAST_SPREAD * mean)


def _rank_probability(
    highest: float, settings: PeakSettings, others: Sequence[float], left: int, spread: tuple[float, float]
) -> float:
    """Return how likely a day's peak is one of those that count, among known days and ``left`` days to come.

    The day's peak and those to come are normal; at most ``count`` - 1 of the others may be higher.
    """
    deviation = settings.forecast_error * highest
    total = found = 0.0
    for step in range(_STEPS):
        z = _WIDTH * (2 * step / (_STEPS - 1) - 1)
        weight, peak = exp(-z * z / 2), highest + z * deviation
        higher = len(others) - bisect_left(others, peak)
        chance = 1 - _normal((peak - spread[0]) / spread[1])
        total += weight
        found += weight * _at_most(settings.count - 1 - higher, left, chance)
    return found / total


def _at_most(most: int, trials: int, chance: float) -> float:
    """Return how likely at most so many of independent trials succeed."""
    if most < 0:
        return 0.0
    return sum(
        comb(trials, hits) * chance**hits * (1 - chance) ** (trials - hits) for hits in range(min(most, trials) + 1)
    )


def _highest_of_day(expected: Mapping[float, float], past: float) -> Iterator[tuple[float, float]]:
    """Yield each interval that may be the day's highest, and how likely it is.

    Loads are normal and independent of each other; what is past is known.
    """
    highest = max(expected.values(), default=0.0)
    deviation = _SHAPE_ERROR * highest
    near = {start: watts for start, watts in expected.items() if watts >= highest - 2 * _WIDTH * deviation}
    for start, watts in near.items():
        total = found = 0.0
        for step in range(_STEPS):
            z = _WIDTH * (2 * step / (_STEPS - 1) - 1)
            weight, load = exp(-z * z / 2), watts + z * deviation
            total += weight
            if load > past:
                chance = weight
                for other, rival in near.items():
                    if other != start:
                        chance *= _normal((load - rival) / deviation)
                found += chance
        yield start, found / total


def _normal(z: float) -> float:
    return (1 + erf(z / sqrt(2))) / 2


def surcharges_by_tariff(
    peaks: Iterable[tuple[PeakSettings, PeakEconomics]], tariffs: Iterable[str]
) -> dict[str, tuple[PriceSlot, ...]]:
    """Return the expected cost of peaks by tariff, USD per kWh. Programs that bill the same tariff add up."""
    known = list(peaks)
    found: dict[str, tuple[PriceSlot, ...]] = {}
    for tariff in tariffs:
        slots = [
            slot
            for settings, each in known
            if not settings.tariffs or tariff in settings.tariffs
            for slot in each.surcharges
        ]
        if slots:
            found[tariff] = tuple(_added(slots))
    return found


def _added(slots: Sequence[PriceSlot]) -> Iterator[PriceSlot]:
    """Add slots up where they overlap."""
    edges = sorted({edge for slot in slots for edge in (slot.start, slot.end)})
    for start, end in pairwise(edges):
        prices = [slot.price for slot in slots if slot.start <= start and end <= slot.end]
        if prices:
            yield PriceSlot(start, end, sum(prices))


def price_at(slots: Sequence[PriceSlot], now: float) -> float:
    """Return the price in force at ``now``, 0 if none is."""
    return next((slot.price for slot in slots if slot.start <= now < slot.end), 0.0)


def shifted(memory: PeakMemory, seconds: float) -> PeakMemory:
    """Return a memory after the system clock was set by ``seconds``."""
    return replace(memory, observed_at=None if memory.observed_at is None else memory.observed_at + seconds)
