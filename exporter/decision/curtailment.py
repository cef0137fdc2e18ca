"""When to stop a rig that loses money and when to start it again, given what a start costs.

- Prices that are known ahead: a rig is stopped at the boundary of a price if the losses avoided are worth a start.
- Other prices: a rig is stopped or started if that is worth a start by the price's own motion. A fence bounds the loss
  if the price does not move as it did: see :func:`_surprised`.
- If starts are free, a price that is not known ahead must last for the configured intervals instead.
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from exporter.decision.latch import Latch, step
from exporter.decision.price_motion import Swing, worth_of_leaving
from exporter.decision.settings import DecisionSettings
from exporter.economics.contract import contract_of, owed_seconds, sold_at
from exporter.economics.lines import cost_lines, with_rig
from exporter.economics.peaks import price_at
from exporter.economics.settings import SiteSettings
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_HOUR

MIXED: Final = "block\t"
"""Begins the name of the motion of the price of a block with several tariffs. No tariff's name has a tab."""
_MINUTES_PER_HOUR: Final = 60.0
_RATIO: Final = 3.0
"""The loss is at most so many times the least possible, the best of any rule that does not know the future,"""
_STARTS: Final = 2.0
"""and so many starts."""
_MOST_SPARE: Final = 10.0
"""Starts that a good time can save for a bad one."""


class Slot(NamedTuple):
    """A stretch of time ahead with one marginal price."""

    hours: float
    price: float  # USD per kWh


class Load(NamedTuple):
    """A rig or a block as it would be if it ran. Money in USD per day."""

    margin: float | None  # at the marginal price; None if unknown
    doubt: float  # by how much that may be wrong either way
    revenue: float
    kwh: float  # per day
    price: float | None  # marginal, USD per kWh
    restart: float  # USD per start
    ahead: Sequence[Slot] = ()  # from now on; none if prices are not known ahead
    swing: Swing | None = None  # how its price moves; None if that is not known


class Course(NamedTuple):
    """The state of a stop: whether it is on, and what the fence needs."""

    latch: Latch
    regret: float  # USD: what the other state would have earned more, since the two were last level; 0 to one start
    price: float | None  # USD per kWh, marginal, at the last evaluation
    spare: float = 0.0  # USD: 3 x the least possible loss so far, less the loss so far


def restart_cost(settings: DecisionSettings, revenue: float, rigs: float = 1.0) -> float:
    """Return what a start costs, USD: wear, and what is lost of ``revenue`` (USD per day, of all rigs) meanwhile."""
    restart = settings.restart
    if not restart.costs:
        return 0.0
    return restart.usd * rigs + max(revenue, 0.0) / HOURS_PER_DAY * restart.minutes / _MINUTES_PER_HOUR


def slots_ahead(tariff: str, snapshot: SiteSnapshot, settings: SiteSettings) -> tuple[Slot, ...]:
    """Return the marginal prices of a tariff from now on; none if only the price in force is known."""
    price = snapshot.tariffs.get(tariff)
    if price is None or len(price.ahead) < 2:  # noqa: PLR2004 -- the slot in force, and one that follows
        return ()
    return known_ahead(tariff, snapshot, settings)


def known_ahead(tariff: str, snapshot: SiteSnapshot, settings: SiteSettings) -> tuple[Slot, ...]:
    """Return the marginal prices of a tariff that has a price, from now on, as far as they are known without a gap.

    There are none if its energy can be sold at prices that are not known ahead, or if it has a block of power.
    """
    economics, power = settings.at(tariff)
    if power.block_tariff is not None:
        return ()
    stopping = with_rig(cost_lines(economics, power))
    sale = sold_at(tariff, power)
    sold = () if sale is None or sale not in snapshot.tariffs else snapshot.tariffs[sale].ahead
    peaks = snapshot.surcharges.get(tariff, ())
    now = snapshot.taken_at
    changes = [each.start for each in (*sold, *peaks)] + [each.end for each in peaks]
    changes.append(now + (owed_seconds(power, now) or 0.0))
    slots: list[Slot] = []
    for slot in snapshot.tariffs[tariff].ahead:
        inside = (change for change in changes if slot.start < change < slot.end)
        edges = {max(slot.start, now), slot.end, *inside}
        times = sorted(edge for edge in edges if edge >= now)
        for start, end in pairwise(times):
            selling = [(sale or "", each.price) for each in sold if each.start <= start < each.end]
            prices = dict([(tariff, slot.price), *selling])
            contract = contract_of(tariff, power, prices, start)
            if contract is None:
                return tuple(slots)
            slots.append(
                Slot((end - start) / SECONDS_PER_HOUR, contract.marginal_price + stopping + price_at(peaks, start))
            )
    return tuple(slots)


def mean_ahead(parts: Sequence[tuple[float, Sequence[Slot]]]) -> Sequence[Slot]:
    """Return the mean marginal price ahead of rigs on several tariffs, as far as that of each tariff is known.

    Args:
        parts: the power of the rigs on each tariff, in any unit, and its prices from now on.
    """
    if len(parts) == 1:
        return parts[0][1]
    power = sum(weight for weight, _ in parts)
    if not power or not all(slots for _, slots in parts):
        return ()
    ends = [list(accumulate(slot.hours for slot in slots)) for _, slots in parts]
    last = min(each[-1] for each in ends)
    edges = sorted({0.0, *(end for each in ends for end in each if end <= last)})
    return tuple(
        Slot(
            end - start,
            sum(
                weight * slots[bisect_right(until, start)].price
                for (weight, slots), until in zip(parts, ends, strict=True)
            )
            / power,
        )
        for start, end in pairwise(edges)
    )


def motion_of(block: str, tariffs: Collection[str]) -> str:
    """Return the name under which the motion of a block's marginal price is kept: its tariff's, or its own."""
    return next(iter(tariffs)) if len(tariffs) == 1 else MIXED + block


def marginal_price(tariff: str, snapshot: SiteSnapshot, settings: SiteSettings) -> float | None:
    """Return what a kWh of a tariff is worth now if it is not used, USD; beyond its block of power if it has one."""
    economics, power = settings.at(tariff)
    prices = {name: each.price for name, each in snapshot.tariffs.items()}
    contract = contract_of(tariff, power, prices, snapshot.taken_at)
    peak = price_at(snapshot.surcharges.get(tariff, ()), snapshot.taken_at)
    return None if contract is None else contract.marginal_price + with_rig(cost_lines(economics, power)) + peak


def avoided(load: Load) -> float:
    """Return the most that a stop now would avoid within the known prices, losses less gains forgone, USD.

    It looks no further than where the gains forgone since then are worth a start of their own.
    """
    most = saved = 0.0
    for hours, price in load.ahead:
        saved += (price * load.kwh - load.revenue) / HOURS_PER_DAY * hours
        most = max(most, saved)
        if most - saved >= load.restart:
            break
    return most


def follow(before: Course, load: Load, settings: DecisionSettings, elapsed: float) -> Course:
    """Move a stop on by ``elapsed`` watched seconds. Without a margin it does not move."""
    latch = before.latch
    if load.margin is None:
        return before
    loses, earns = load.margin + load.doubt < 0, load.margin - load.doubt > 0
    calls = earns if latch.on else loses
    regret = spare = 0.0
    if load.restart > 0 and load.ahead:
        saved = avoided(load)
        latch = Latch(saved > 0 or not earns) if latch.on else Latch(loses and saved >= load.restart)
    elif load.restart > 0:
        latch, regret, spare = _surprised(before, load, elapsed, calls=calls)
    else:
        intervals = settings.resume_intervals if latch.on else settings.stop_intervals
        dwell = 0.0 if _at_boundary(before, load, calls=calls) else intervals * settings.curtail_interval
        latch = step(latch, calls=calls, dwell=dwell, elapsed=elapsed)
    strike = settings.immediate_stop_usd_per_kilowatt_hour
    if strike is not None and load.price is not None and load.price >= strike and loses and not latch.on:
        latch, regret = Latch(on=True), max(load.restart - regret, 0.0)
        spare -= load.restart
    return Course(latch, regret, load.price, spare)


def _surprised(before: Course, load: Load, elapsed: float, *, calls: bool) -> tuple[Latch, float, float]:
    """Move a stop on whose prices are not known ahead. Returns the latch, the regret and what is to spare.

    It changes where that is worth a start by the motion of the price. The fence: with w(on) and w(off) the least
    possible loss of any stops and starts so far that end running or stopped (the work function), the state that
    changes only once the other one is a whole start ahead never loses more than 3 w + one start. Any other change, or
    its omission, is allowed only while going on like that from there would keep the loss within 3 w + two starts.
    """
    stopped, restart = before.latch.on, load.restart
    lost = _lost(before, load, elapsed)  # by running
    lag = min(max(restart - before.regret if stopped else before.regret, 0.0), restart)  # of "on"
    least = min(max(lost, 0.0), restart - lag)
    spare = before.spare + _RATIO * least - max(-lost if stopped else lost, 0.0)
    lag = min(max(lag + lost, 0.0), restart)
    due = calls and (lag <= 0 if stopped else lag >= restart)
    change = due if load.swing is None else calls and _leaving(load, load.swing, stopped=stopped) >= restart
    if change is not due:
        stops, costs = stopped is not change, restart if change and not stopped else 0.0
        if spare + _STARTS * restart - costs < (lag if stops else 2 * lag):
            change = due
    if change and not stopped:
        spare -= restart
    stopped = stopped is not change
    return Latch(stopped), restart - lag if stopped else lag, min(spare, _MOST_SPARE * restart)


def _lost(before: Course, load: Load, elapsed: float) -> float:
    """Return what running lost since the last evaluation, at the price of then, USD; below 0 if it earned.

    Of a margin that is in doubt, what favours the state in force is taken.
    """
    if load.margin is None or before.price is None or load.price is None:
        return 0.0
    margin = load.margin + (load.price - before.price) * load.kwh
    return -(margin - load.doubt if before.latch.on else margin + load.doubt) * elapsed / SECONDS_PER_DAY


def _leaving(load: Load, swing: Swing, *, stopped: bool) -> float:
    """Return what it is worth to leave the state in force, USD."""
    if load.margin is None or load.price is None or load.kwh <= 0:
        return 0.0
    margin, mean = load.margin, load.margin + (load.price - swing.mean) * load.kwh
    if stopped:
        margin, mean = load.doubt - margin, load.doubt - mean
    else:
        margin, mean = margin + load.doubt, mean + load.doubt
    worth = worth_of_leaving(margin / load.kwh, mean / load.kwh, swing)
    return worth * load.kwh / HOURS_PER_DAY


def _at_boundary(before: Course, load: Load, *, calls: bool) -> bool:
    """Return whether prices are known ahead, and nothing was called for at the one before.

    At an unchanged price what is called for now was called for then.
    """
    if not calls or not load.ahead or before.price is None:
        return False
    former = load.revenue - before.price * load.kwh
    return former <= 0 if before.latch.on else former >= 0
