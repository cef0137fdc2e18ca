"""When to stop what loses and to resume what earns, given that each start costs something.

Prices that are known ahead are acted on at their boundary: a stop is called for if the losses that it avoids are worth
a start. Prices that are not are followed with a delay: until the losses, less the gains between, have reached the cost
of a start, and back likewise. Without a cost of a start, such a price must last for the configured intervals instead.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from exporter.decision.latch import Latch, step
from exporter.decision.settings import DecisionSettings
from exporter.economics.contract import contract_of, sold_at
from exporter.economics.lines import cost_lines
from exporter.economics.settings import SiteSettings, StopsWith
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_HOUR

_MINUTES_PER_HOUR: Final = 60.0


class Slot(NamedTuple):
    """A stretch of time ahead with one marginal price."""

    hours: float
    price: float  # USD per kWh


class Load(NamedTuple):
    """What is judged: a rig or a block, if it ran. Money in USD per day."""

    margin: float | None  # at the marginal price; None if unknown
    doubt: float  # by how much that may be wrong either way
    revenue: float
    kwh: float  # per day
    price: float | None  # marginal, USD per kWh
    restart: float  # USD per start
    ahead: Sequence[Slot] = ()  # from now on; none if prices are not known ahead


class Course(NamedTuple):
    """The state of a stop: the latch, the regret so far (USD), and the price at the last evaluation."""

    latch: Latch
    regret: float
    price: float | None


def restart_cost(settings: DecisionSettings, revenue: float, rigs: float = 1.0) -> float:
    """Return what a start costs, USD: wear, and what is lost of ``revenue`` (USD per day, of all rigs) meanwhile."""
    restart = settings.restart
    if not restart.usd and not restart.minutes:
        return 0.0
    return restart.usd * rigs + max(revenue, 0.0) / HOURS_PER_DAY * restart.minutes / _MINUTES_PER_HOUR


def slots_ahead(tariff: str, snapshot: SiteSnapshot, settings: SiteSettings) -> tuple[Slot, ...]:
    """Return the marginal prices of a tariff from now on; none if only the price in force is known."""
    price = snapshot.tariffs.get(tariff)
    if price is None or len(price.ahead) < 2:  # noqa: PLR2004 -- the slot in force, and one that follows
        return ()
    return known_ahead(tariff, snapshot, settings)


def known_ahead(tariff: str, snapshot: SiteSnapshot, settings: SiteSettings) -> tuple[Slot, ...]:
    """Return the marginal prices of a tariff from now on, as far as they are known without a gap.

    There are none if its energy can be sold at prices that are not known ahead, or if it has a block of power.
    """
    price = snapshot.tariffs.get(tariff)
    if price is None:
        return ()
    economics, power = settings.at(tariff)
    if power.block_tariff is not None:
        return ()
    with_rig = sum(line.per_kilowatt_hour for line in cost_lines(economics, power) if line.stops_with is StopsWith.RIG)
    sale = sold_at(tariff, power)
    sold = () if sale is None or sale not in snapshot.tariffs else snapshot.tariffs[sale].ahead
    now = snapshot.taken_at
    slots: list[Slot] = []
    for slot in price.ahead:
        edges = {max(slot.start, now), slot.end, *(each.start for each in sold if slot.start < each.start < slot.end)}
        times = sorted(edge for edge in edges if edge >= now)
        for start, end in pairwise(times):
            selling = [(sale or "", each.price) for each in sold if each.start <= start < each.end]
            prices = dict([(tariff, slot.price), *selling])
            contract = contract_of(tariff, power, prices, start)
            if contract is None:
                return tuple(slots)
            slots.append(Slot((end - start) / SECONDS_PER_HOUR, contract.marginal_price + with_rig))
    return tuple(slots)


def avoided(load: Load) -> float:
    """Return the most that a stop now would avoid within the known prices, losses less gains forgone, USD.

    It looks no further than where the gains forgone since then are worth a start of their own.
    """
    most = saved = 0.0
    for hours, price in load.ahead:
        saved += (price * load.kwh - load.revenue) / HOURS_PER_DAY * hours
        most = max(most, saved)
        if most > saved and most - saved >= load.restart:
            break
    return most


def follow(before: Course, load: Load, settings: DecisionSettings, elapsed: float) -> Course:
    """Move a stop on by ``elapsed`` watched seconds. Without a margin it does not move."""
    latch = before.latch
    if load.margin is None:
        return before
    loses, earns = load.margin + load.doubt < 0, load.margin - load.doubt > 0
    calls = earns if latch.on else loses
    regret = 0.0
    if load.restart > 0 and load.ahead:
        saved = avoided(load)
        latch = Latch(saved > 0 or not earns) if latch.on else Latch(loses and saved >= load.restart)
    elif load.restart > 0:
        worth = load.margin - load.doubt if latch.on else -load.margin - load.doubt
        regret = max(before.regret + worth * elapsed / SECONDS_PER_DAY, 0.0)
        if regret >= load.restart and calls:
            latch, regret = Latch(not latch.on), 0.0
    else:
        intervals = settings.resume_intervals if latch.on else settings.stop_intervals
        dwell = 0.0 if _at_boundary(before, load, calls=calls) else intervals * settings.curtail_interval
        latch = step(latch, calls=calls, dwell=dwell, elapsed=elapsed)
    strike = settings.immediate_stop_usd_per_kilowatt_hour
    if strike is not None and load.price is not None and load.price >= strike and loses:
        latch, regret = Latch(on=True), 0.0
    return Course(latch, regret, load.price)


def _at_boundary(before: Course, load: Load, *, calls: bool) -> bool:
    """Tell whether a price that was known ahead has just changed, and at the one before nothing was called for."""
    if not calls or not load.ahead or before.price is None or load.price is None or before.price == load.price:
        return False
    former = load.revenue - before.price * load.kwh
    return former <= 0 if before.latch.on else former >= 0
