"""What each block would have earned, hour by hour: the past that a conversion is judged on.

A block's hour keeps sums over groups of rigs with the same tariff and efficiency: the paid work, the energy, and the
prices. From these the margin of the hour can be worked out at any hashprice, with the floor before the sum.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import islice
from math import inf
from typing import Final, NamedTuple, Self

from exporter.economics.books import Hosting
from exporter.economics.contract import Contract, is_owed, sold_at
from exporter.economics.lines import cost_lines, with_rig
from exporter.economics.settings import SiteSettings
from exporter.model.units import HOURS_PER_YEAR, SECONDS_PER_DAY, SECONDS_PER_HOUR

_ROWS_PER_DAY: Final = 24
"""Also of a window shorter than a day, whose rows are then shorter than an hour."""
STEPS_PER_JOULE: Final = 10
"""Rigs are grouped by efficiency in steps of 0.1 J/TH: billed joules per terahash that is paid for."""


HOSTED: Final = "contract\t"
"""Begins the key under which rigs with a hosting contract are booked. No tariff's name has a tab."""


class Hosted(NamedTuple):
    """What a hosting contract sets for the host's hours."""

    share: float = 0.0  # of the revenue, that the host takes
    may_stop: bool = False  # whether the host may stop the rigs

    def kinks(self, charge: float, cost: float, work: float) -> tuple[tuple[float, float], ...]:
        """Return the host's margin of some hours as changes of its slope, (payout, PH/s times days), in order.

        The customer mines above the payout at which his own share of the revenue pays the charge. There the host's
        margin jumps, which is a steep ramp here. Below it, and where the host may stop the rig and would lose, it is 0.

        Args:
            charge: USD that the customer pays for energy.
            cost: USD that the host pays for it.
            work: PH/s times days that are paid for.
        """
        own = (1 - self.share) * work
        if work <= 0 or (own <= 0 < charge):
            return ()
        begin = charge / own if own > 0 else 0.0
        if begin == inf:
            return ()
        slope, gain = self.share * work, charge - cost
        if self.may_stop and gain + slope * begin < 0:
            if slope <= 0:
                return ()
            return ((-gain / slope, slope),)
        ramp = _RAMP * max(begin, 1.0)
        jump = (gain + slope * begin) / ramp
        return ((begin, jump + slope), (begin + ramp, -jump))


_RAMP: Final = 1e-6
"""Length of the ramp that a jump is taken for, as a share of the payout at which it is."""


class Rule(NamedTuple):
    """How the energy of one tariff is contracted, as the settings are now."""

    owed: bool = False
    sellable: bool = False
    with_rig: float = 0.0  # USD per kWh of monthly costs that stop with the rig
    hosted: Hosted | None = None  # of a hosting contract; the sale price is then what the customer is charged
    known: bool = True  # False for a hosting contract that is no longer in force


class Rules:
    """The rule of every tariff as the settings are at ``now`` (unix seconds). Two with the same rules are equal.

    ``only_hosted`` leaves out hours in which no rig was booked by a contract: those before a block had contracts.
    """

    def __init__(self, settings: SiteSettings, now: float, *, only_hosted: bool = False) -> None:
        named = {"", *settings.tariffs, settings.power.resale_tariff or ""}
        self._rules = {name: _rule(settings, name, now) for name in sorted(named)}
        for name, contract in Hosting(settings, now).in_force.items():
            self._rules[HOSTED + name] = _rule(settings, contract.host_tariff or settings.tariff, now)._replace(
                sellable=False, hosted=Hosted(contract.revenue_share, contract.host_may_curtail)
            )
        self.only_hosted = only_hosted
        self.key = _shared((*self._rules.items(), ("only hosted", Rule(known=only_hosted))))

    def __getitem__(self, tariff: str) -> Rule:
        """Return the rule of a tariff; one without settings of its own has the site's."""
        rule = self._rules.get(tariff)
        if rule is None:
            return _UNKNOWN if tariff.startswith(HOSTED) else self._rules[""]
        return rule

    def leave_out(self, hour: "BlockHour") -> bool:
        """Return whether an hour was booked before the block had hosting contracts, or elsewhere."""
        hosted = not hour.recorded and any(each.tariff.startswith(HOSTED) for each in hour.tariffs)
        return self.only_hosted and not hosted


_UNKNOWN: Final = Rule(known=False)
_Key = tuple[tuple[str, Rule], ...]


@lru_cache(maxsize=8)
def _shared(key: _Key) -> _Key:
    """Return one and the same object for equal keys: each day of each block is asked for its curve by it."""
    return key


def _rule(settings: SiteSettings, tariff: str, now: float) -> Rule:
    economics, power = settings.at(tariff)
    return Rule(
        owed=is_owed(power, now),
        sellable=sold_at(tariff, power) is not None,
        with_rig=with_rig(cost_lines(economics, power)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffHour:
    """The groups of one tariff in one hour of a block. The three arrays run in parallel, by rising efficiency step."""

    tariff: str
    price: float  # USD per kWh, as billed, weighted by energy
    sale: float | None = None  # USD per kWh, weighted by energy; None if it could not be sold
    steps: "array[int]"  # 0.1 J/TH
    work: "array[float]"  # PH/s times days that are paid for
    kwh: "array[float]"

    def contract(self, rule: Rule) -> Contract | None:
        """Return the contract of the hour; None if its energy can be sold and the price was not known."""
        if not rule.known or ((rule.sellable or rule.hosted is not None) and self.sale is None):
            return None
        return Contract(price=self.price, owed=rule.owed, sale=self.sale if rule.sellable else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHour:
    """One hour of a block at its potential: what its rigs earned, or would have earned if they had run.

    Where the history's window is shorter than a day, it is a 24th part of that window.
    """

    hour: float  # unix seconds at which it began
    seconds: float = 0.0  # evaluated, with enough of the block known
    payout: float = 0.0  # USD per PH/s and day, weighted by work
    recorded: bool = False  # from a backfill, not from evaluations of this exporter
    tariffs: tuple[TariffHour, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Day:
    """Up to 24 hours that are over, in order. Their curve is worked out once.

    They are kept in columns, work and energy in single precision: a site of a hundred blocks has 67,200 hours.
    """

    begins: "array[float]"  # unix seconds, by hour, as the next three
    seconds: "array[float]"
    payouts: "array[float]"
    recorded: bytes
    counts: bytes  # tariffs of each hour
    tariffs: tuple[str, ...]  # by hour and tariff, as the next three
    prices: "array[float]"
    sales: "array[float]"  # infinite if it could not be sold
    sizes: "array[int]"  # groups of each
    steps: "array[int]"  # by hour, tariff and group, as the next two
    work: "array[float]"
    kwh: "array[float]"

    @classmethod
    def of(cls, hours: Iterable[BlockHour]) -> Self:
        """Pack some hours, oldest first."""
        ordered = tuple(hours)
        tariffs = [each for hour in ordered for each in hour.tariffs]
        steps, work, kwh = array("i"), array("f"), array("f")
        for each in tariffs:
            steps.extend(each.steps)
            work.extend(array("f", each.work))
            kwh.extend(array("f", each.kwh))
        return cls(
            begins=array("d", [hour.hour for hour in ordered]),
            seconds=array("d", [hour.seconds for hour in ordered]),
            payouts=array("d", [hour.payout for hour in ordered]),
            recorded=bytes(hour.recorded for hour in ordered),
            counts=bytes(len(hour.tariffs) for hour in ordered),
            tariffs=tuple(each.tariff for each in tariffs),
            prices=array("d", [each.price for each in tariffs]),
            sales=array("d", [inf if each.sale is None else each.sale for each in tariffs]),
            sizes=array("I", [len(each.steps) for each in tariffs]),
            steps=steps,
            work=work,
            kwh=kwh,
        )

    @property
    def hours(self) -> tuple[BlockHour, ...]:
        """The hours, oldest first."""
        tariffs = iter(self._tariff_hours())
        columns = zip(self.begins, self.seconds, self.payouts, self.recorded, self.counts, strict=True)
        return tuple(
            BlockHour(
                hour=begin,
                seconds=seconds,
                payout=payout,
                recorded=bool(recorded),
                tariffs=tuple(islice(tariffs, count)),
            )
            for begin, seconds, payout, recorded, count in columns
        )

    def _tariff_hours(self) -> list[TariffHour]:
        first, unpacked = 0, []
        for tariff, price, sale, size in zip(self.tariffs, self.prices, self.sales, self.sizes, strict=True):
            part = slice(first, first + size)
            first += size
            unpacked.append(
                TariffHour(
                    tariff=tariff,
                    price=price,
                    sale=None if sale == inf else sale,
                    steps=self.steps[part],
                    work=self.work[part],
                    kwh=self.kwh[part],
                )
            )
        return unpacked

    @cached_property
    def _known(self) -> "dict[tuple[int, int], tuple[_Key, Curve]]":
        return {}

    def curve(self, rules: Rules, oldest: float, newest: float) -> "Curve":
        """Return the margin by payout of the hours that begin after ``oldest``, up to ``newest``."""
        part = bisect_right(self.begins, oldest), bisect_right(self.begins, newest)
        known = self._known.get(part)
        if known is None or known[0] is not rules.key:
            self._known.clear()  # of other settings, or cut elsewhere
            known = self._known[part] = rules.key, Curve.of(self.hours[slice(*part)], rules)
        return known[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHistory:
    """One block's past: whole days of hours that are over, oldest first, and the hour that is still open."""

    days: tuple[Day, ...] = ()
    open: BlockHour | None = None

    @property
    def hours(self) -> Iterator[BlockHour]:
        """All hours, oldest first."""
        for day in self.days:
            yield from day.hours
        if self.open is not None:
            yield self.open

    def since(self, before: "BlockHistory") -> Iterator[BlockHour]:
        """Yield the hours that an earlier history lacks, or has otherwise."""
        ours, theirs = set(map(id, self.days)), set(map(id, before.days))
        old = {hour.hour: hour for day in before.days if id(day) not in ours for hour in day.hours}
        for day in self.days:
            if id(day) not in theirs:
                yield from (hour for hour in day.hours if hour != old.get(hour.hour))
        if self.open is not None and self.open is not before.open:
            yield self.open


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerHours:
    """Sums over a block's hours that an older version kept. They are shown, and count for nothing."""

    hours: int
    margin: float  # USD
    kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginHistory:
    """The past of every block."""

    observed_at: float | None = None  # unix seconds
    blocks: Mapping[str, BlockHistory] = field(default_factory=dict)
    former: Mapping[str, FormerHours] = field(default_factory=dict)


# --- the margin of hours, at any hashprice --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The margin (USD) of some hours as a function of the payout: each group mines above its breakeven payout.

    ``margin`` is at each hour's own payout. The arrays hold the breakevens in order, and up to each the sums of work
    and of work times breakeven: the margin at payout h is floor + sum of work x (h - breakeven) over those below h.
    """

    seconds: float
    revenue: float  # USD, if every rig had mined in every hour
    cost: float  # USD, of the energy for that, as billed, with the monthly costs that stop with the rig
    margin: float
    floor: float
    breakevens: "array[float]"
    work: "array[float]"
    offset: "array[float]"

    @classmethod
    def of(cls, hours: Sequence[BlockHour], rules: Rules) -> Self:
        """Work out the curve of some hours. An hour with a tariff whose sale price was not known is left out."""
        seconds = revenue = cost = margin = floor = 0.0
        kinks: list[tuple[float, float]] = []
        for hour in hours:
            if rules.leave_out(hour):
                continue
            known = [
                (each, rules[each.tariff], contract)
                for each in hour.tariffs
                if (contract := each.contract(rules[each.tariff])) is not None
            ]
            if len(known) < len(hour.tariffs):
                continue
            seconds += hour.seconds
            for each, rule, contract in known:
                stopping = rule.with_rig
                idle, needed = contract.idle_value, contract.price + stopping + contract.idle_value
                if rule.hosted is not None and each.sale is not None:
                    for work, kwh in zip(each.work, each.kwh, strict=True):
                        revenue += each.sale * kwh + rule.hosted.share * hour.payout * work
                        cost += (contract.price + stopping) * kwh
                        floor += idle * kwh
                        bends = rule.hosted.kinks(each.sale * kwh, needed * kwh, work)
                        margin += idle * kwh + sum(max(hour.payout - at, 0.0) * slope for at, slope in bends)
                        kinks += bends
                    continue
                for work, kwh in zip(each.work, each.kwh, strict=True):
                    revenue += hour.payout * work
                    cost += (contract.price + stopping) * kwh
                    floor += idle * kwh
                    breakeven = needed * kwh / work if work > 0 else inf
                    margin += idle * kwh + (max(hour.payout - breakeven, 0.0) * work if work > 0 else 0.0)
                    kinks.append((breakeven, work))
        kinks = sorted(kink for kink in kinks if kink[0] < inf)
        works, offsets = [0.0], [0.0]
        for breakeven, work in kinks:
            works.append(works[-1] + work)
            offsets.append(offsets[-1] + work * breakeven)
        return cls(
            seconds=seconds,
            revenue=revenue,
            cost=cost,
            margin=margin,
            floor=floor,
            breakevens=array("d", (breakeven for breakeven, _ in kinks)),
            work=array("d", works),
            offset=array("d", offsets),
        )

    def at(self, payout: float) -> float:
        """Return the margin at ``payout`` (USD per PH/s and day)."""
        below = bisect_left(self.breakevens, payout)
        return self.floor + payout * self.work[below] - self.offset[below]


@dataclass(frozen=True)
class Window:
    """The hours of a block that a look takes in."""

    curves: tuple[Curve, ...]

    @cached_property
    def seconds(self) -> float:
        """How much time is known, s."""
        return sum(curve.seconds for curve in self.curves)

    def margin_per_year(self, payout: float | None = None) -> float | None:
        """Return the mean margin, USD per year; None if no time is known.

        Args:
            payout: USD per PH/s and day in place of each hour's own, at the hours' power prices.
        """
        return self._per_year(sum(curve.margin if payout is None else curve.at(payout) for curve in self.curves))

    @property
    def revenue_per_year(self) -> float | None:
        """What the rigs would earn if they always mined, USD per year; None if no time is known."""
        return self._per_year(sum(curve.revenue for curve in self.curves))

    @property
    def cost_per_year(self) -> float | None:
        """What the energy for that costs, USD per year; None if no time is known."""
        return self._per_year(sum(curve.cost for curve in self.curves))

    def _per_year(self, usd: float) -> float | None:
        seconds = self.seconds
        return usd / seconds * SECONDS_PER_HOUR * HOURS_PER_YEAR if seconds > 0 else None


def window_of(history: BlockHistory, rules: Rules, now: float, window: float) -> Window:
    """Return the hours of the last ``window`` seconds. Days that begin in it and end after ``now`` are cut."""
    oldest = now - window - row_length(window)
    curves = [day.curve(rules, oldest, now) for day in history.days]
    if history.open is not None and oldest < history.open.hour <= now:
        curves.append(Curve.of([history.open], rules))
    return Window(tuple(curves))


# --- booking --------------------------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """What a block would earn at one moment. ``groups`` are by tariff and step: PH/s that are paid for, and kW."""

    payout: float  # USD per PH/s and day
    prices: Mapping[str, tuple[float, float | None]]  # by tariff: as billed, and of sale
    groups: Mapping[tuple[str, int], tuple[float, float]]

    def hour(self, hour: float, seconds: float) -> BlockHour:
        """Return so many seconds of it."""
        return _add(BlockHour(hour=hour), self, seconds)


def step_of(work: float, kilowatts: float) -> int:
    """Return the efficiency step of rigs of so many PH/s that are paid for, and so many billed kW."""
    if work <= 0:
        return -1  # energy that stands still
    return round(min(kilowatts / work * STEPS_PER_JOULE, 1_000_000))


def book(history: BlockHistory, moment: Moment | None, now: float, elapsed: float, window: float) -> BlockHistory:
    """Book ``elapsed`` seconds at the figures of ``moment``, and keep as many hours as ``window`` (s) has."""
    if moment is None or not elapsed:
        return history
    length = row_length(window)
    begin = now - now % length
    former = history.open
    if former is not None and former.hour == begin:
        return replace(history, open=_add(former, moment, elapsed))
    if former is not None and former.hour < begin and (not history.days or history.days[-1].begins[-1] < former.hour):
        return _rolled(history, former, _add(BlockHour(hour=begin), moment, elapsed), window)
    by_hour = {hour.hour: hour for hour in history.hours}
    hour = by_hour.pop(begin, None) or BlockHour(hour=begin)
    most = int(window // length) + 1  # by count, so that a clock that jumps ahead for a moment wipes nothing
    return with_hours(history, by_hour.values(), _add(hour, moment, elapsed), length, most)


def _rolled(history: BlockHistory, over: BlockHour, current: BlockHour, window: float) -> BlockHistory:
    """Return a history whose open hour is over, and that goes on with another. Most days are kept with their curves."""
    length = row_length(window)
    days, day = list(history.days), length * _ROWS_PER_DAY
    if days and days[-1].begins[0] // day == over.hour // day:
        days[-1] = Day.of((*days[-1].hours, over))
    else:
        days.append(Day.of((over,)))
    surplus = sum(len(each.begins) for each in days) - int(window // length)
    while surplus > 0 and surplus >= len(days[0].begins):
        surplus -= len(days.pop(0).begins)
    if surplus > 0:
        days[0] = Day.of(days[0].hours[surplus:])
    return BlockHistory(days=tuple(days), open=current)


def with_hours(
    history: BlockHistory, hours: Iterable[BlockHour], current: BlockHour | None, length: float, most: int
) -> BlockHistory:
    """Return a history of these hours and the open one; days that did not change are kept with their curves."""
    ordered = sorted(hours, key=lambda hour: hour.hour)
    ordered = ordered[-(most - (current is not None)) :] if most > 1 else []
    days: dict[float, list[BlockHour]] = defaultdict(list)
    for hour in ordered:
        days[hour.hour // (length * _ROWS_PER_DAY)].append(hour)
    known = {day.begins[0]: day for day in history.days}
    packed = [Day.of(group) for group in days.values()]
    kept = tuple(known[day.begins[0]] if known.get(day.begins[0]) == day else day for day in packed)
    return BlockHistory(days=kept, open=current)


def restored(hours: Iterable[BlockHour]) -> BlockHistory:
    """Return the history of hours that were kept; none of them is open."""
    ordered = sorted(hours, key=lambda hour: hour.hour)
    days: dict[float, list[BlockHour]] = defaultdict(list)
    for hour in ordered:
        days[hour.hour // SECONDS_PER_DAY].append(hour)
    return BlockHistory(days=tuple(map(Day.of, days.values())))


def row_length(window: float) -> float:
    """Return the length of a row (s): an hour, or a 24th part of a window that is shorter than a day."""
    return min(SECONDS_PER_HOUR, window / _ROWS_PER_DAY)


def watched(before: float | None, now: float, longest_gap: float) -> float:
    """Return the seconds since the last look; 0 if they were too many, or the clock went back."""
    elapsed = 0.0 if before is None else now - before
    return elapsed if 0 <= elapsed <= longest_gap else 0.0


def _add(hour: BlockHour, moment: Moment, seconds: float) -> BlockHour:
    """Add ``seconds`` of a moment to an hour."""
    days, hours = seconds / SECONDS_PER_DAY, seconds / SECONDS_PER_HOUR
    sums: dict[tuple[str, int], list[float]] = {}
    prices: dict[str, tuple[float, float | None, float]] = {}
    before = 0.0
    for each in hour.tariffs:
        prices[each.tariff] = each.price, each.sale, sum(each.kwh)
        for step, work, kwh in zip(each.steps, each.work, each.kwh, strict=True):
            sums[each.tariff, step] = [work, kwh]
            before += work
    added = 0.0
    energy: dict[str, float] = defaultdict(float)
    for key, (work, kilowatts) in moment.groups.items():
        group = sums.setdefault(key, [0.0, 0.0])
        group[0] += work * days
        group[1] += kilowatts * hours
        added += work * days
        energy[key[0]] += kilowatts * hours
    work = before + added
    mixed = {
        name: _mixed(prices.get(name), moment.prices.get(name), energy[name])
        for name in sorted({key[0] for key in sums})
    }
    return BlockHour(
        hour=hour.hour,
        seconds=hour.seconds + seconds,
        payout=(hour.payout * before + moment.payout * added) / work if work else moment.payout,
        recorded=hour.recorded,
        tariffs=tuple(_tariff_hours(sums, mixed)),
    )


def _mixed(
    before: tuple[float, float | None, float] | None, price: tuple[float, float | None] | None, kwh: float
) -> tuple[float, float | None]:
    """Return price and sale price after more energy; the sale price is unknown if it is for a part of it."""
    if price is None:
        return (before[0], before[1]) if before is not None else (0.0, None)
    if before is None or before[2] + kwh <= 0:
        return price
    share = kwh / (before[2] + kwh)
    sale = None if before[1] is None or price[1] is None else before[1] + share * (price[1] - before[1])
    return before[0] + share * (price[0] - before[0]), sale


def _tariff_hours(
    sums: Mapping[tuple[str, int], Sequence[float]], prices: Mapping[str, tuple[float, float | None]]
) -> Iterator[TariffHour]:
    for tariff, (price, sale) in prices.items():
        steps = sorted(step for name, step in sums if name == tariff)
        yield TariffHour(
            tariff=tariff,
            price=price,
            sale=sale,
            steps=array("i", steps),
            work=array("d", (sums[tariff, step][0] for step in steps)),
            kwh=array("d", (sums[tariff, step][1] for step in steps)),
        )
