"""Inputs and results of an outlook: the market now, each block's mining margin at any hashprice, and its lease."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from exporter.decision.conversion import contracts_ended, net_sale, per_kilowatt
from exporter.decision.history import BlockHistory, Curve, MarginHistory, Rules, window_of
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import BlockOutlook, DecisionState
from exporter.economics.ai import Lease, building_months, present_value, value_ai
from exporter.economics.books import Hosting
from exporter.economics.settings import OutlookSettings, PayoutScheme, SiteSettings
from exporter.economics.site import rigs_by_block
from exporter.economics.values import SiteEconomics
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import DAYS_PER_YEAR, MONTHS_PER_YEAR, SECONDS_PER_YEAR, kilowatts

STARTS: Final = (0, 3, 6, 12)
"""Months from today at which a conversion may start; the end of the rigs' life is another."""
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mining:
    """The mining margin of some rigs of a block as a function of the hashprice, in USD per utility kW and month.

    At payout h (USD per PH/s and day) it is ``floor`` + the sum of ``work`` x (h - breakeven) over the breakevens below
    h, less ``fixed``. The two arrays run in parallel, in any order.
    """

    life_months: int  # after so many months the rigs mine no more
    floor: float = 0.0
    fixed: float = 0.0
    breakevens: "array[float]"
    work: "array[float]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One block. Money per utility kW."""

    block: str
    mining: tuple[Mining, ...]
    lease_value: float  # USD, at the start of one lease; see lease_value
    lease_months: float  # of building and of the lease's term
    sale: float = 0.0  # USD that its rigs bring today; it declines evenly over their life
    removal: float = 0.0  # USD

    @property
    def life_months(self) -> int:
        """The months until its last rigs end."""
        return max(each.life_months for each in self.mining)

    @property
    def starts(self) -> tuple[int, ...]:
        """The months at which its conversion may start, in order."""
        life = self.life_months
        return tuple(sorted({start for start in STARTS if start <= life} | {life}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that an outlook needs. The market is as of ``asked_at`` (unix seconds)."""

    asked_at: float
    bitcoin_price: float  # USD
    difficulty: float
    height: int
    pays_fees: bool = True  # False under PPS
    rate: float  # yearly discount rate
    settings: OutlookSettings
    mining_goes_on_months: int = 0  # while building
    prospects: tuple[Prospect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartValue:
    """What starting the conversion after so many months is worth today, USD per utility kW."""

    months: int
    mean: float
    quantiles: tuple[float, ...]  # at QUANTILES


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockForecast:
    """One block's outlook. Every start is a commitment made today: the option to decide later is not valued."""

    block: str
    starts: tuple[StartValue, ...]  # by months; the first is now
    never: float  # USD per utility kW: mining until the rigs' end, and no lease
    best_later: int  # months: the start after now with the highest mean
    probability: float  # 0-1: that starting now is worth more than starting then

    @property
    def verdict(self) -> BlockOutlook:
        """What the verdict on the block needs of it."""
        means = {start.months: start.mean for start in self.starts}
        return BlockOutlook(
            probability=self.probability,
            lead=means[0] - means[self.best_later],
            waiting={months: mean - means[0] for months, mean in means.items() if months},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """An outlook for the blocks of a site. ``hashprices`` are the quantiles of each month, USD per PH/s and day."""

    asked_at: float  # unix seconds
    blocks: tuple[BlockForecast, ...]
    hashprices: tuple[tuple[float, ...], ...]


def lease_value(lease: Lease) -> float:
    """Return what a lease is worth at its start, USD per utility kW: its income and prepayment less its capex.

    Each counts when it is due. Income is monthly, in the middle of each month of the term, which begins after the
    building months.
    """
    income = 0.0
    for middle, length in building_months(lease.years * MONTHS_PER_YEAR):
        growth = (1 + lease.escalator) ** int(middle / MONTHS_PER_YEAR)
        income += lease.noi / MONTHS_PER_YEAR * growth * length * present_value(lease.rate, lease.months + middle)
    return (income + lease.prepayment_gain - lease.capex * lease.capex_factor) / lease.utility_ratio


def repeated_value(value: float, rate: float, months: float) -> float:
    """Return what a lease of ``value`` is worth if the same follows it for ever: V = L / (1 - (1+i)^-(N/12)).

    ``months`` are N, of its building and its term.
    """
    return value / (1 - present_value(rate, months))


def mining_of(curves: Iterable[Curve], *, utility_kilowatts: float, fixed: float, life_months: int) -> Mining:
    """Join the margins of stretches of time to one, per kW and month.

    Args:
        curves: of the stretches.
        utility_kilowatts: of the block.
        fixed: costs that a conversion ends, USD per month.
        life_months: see :class:`Mining`.
    """
    seconds = floor = 0.0
    breakevens, work = array("d"), array("d")
    for curve in curves:
        seconds += curve.seconds
        floor += curve.floor
        breakevens.extend(curve.breakevens)
        work.extend(after - before for before, after in pairwise(curve.work))
    month = SECONDS_PER_YEAR / MONTHS_PER_YEAR / seconds / utility_kilowatts
    return Mining(
        life_months=life_months,
        floor=floor * month,
        fixed=fixed / utility_kilowatts,
        breakevens=breakevens,
        work=array("d", (amount * month for amount in work)),
    )


def question(
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    history: MarginHistory,
    settings: SiteSettings,
    decision: DecisionSettings,
    previous: DecisionState,
) -> Question | None:
    """Return what the outlook is asked; None without its settings, the market, or a block with a history.

    ``previous`` has the blocks that are `reassign`: see :func:`~exporter.decision.conversion.contracts_ended`.
    """
    ai, value, network, bitcoin = settings.ai, value_ai(settings.ai), snapshot.network, snapshot.bitcoin_price
    if ai is None or ai.outlook is None or value is None or value.lease is None or network is None or bitcoin is None:
        return None
    now, lease, hosting = snapshot.taken_at, value.lease, Hosting(settings, snapshot.taken_at)
    all_rules, hosted_rules = Rules(settings, now), Rules(settings, now, only_hosted=True)
    ended = contracts_ended(previous, hosting, snapshot)
    prospects: list[Prospect] = []
    for (block, indices), summed in zip(rigs_by_block(snapshot).items(), economics.blocks, strict=True):
        rigs = [snapshot.rigs[index] for index in indices]
        rules = hosted_rules if any(hosting.contract(rig.rig) for rig in rigs) else all_rules
        window = window_of(history.blocks.get(block.name, BlockHistory()), rules, now, decision.history)
        watts, ending, own = summed.conversion_power, summed.ending_cost, summed.ai_value_per_kilowatt_year
        if window.seconds <= 0 or not watts or ending is None or own is None:
            continue
        owned = sum(rig.rig.count for rig in rigs if not rig.rig.contract)
        removal = 0.0 if decision.rigs_sale_usd_per_terahash is None else decision.rigs_removal_usd_per_rig * owned
        elsewhere = {key for key, name in ended.items() if name != block.name}
        leaving = hosting.leaving_cost((rig.rig for rig in rigs), elsewhere)
        mining = mining_of(
            window.curves,
            utility_kilowatts=kilowatts(watts),
            fixed=ending * DAYS_PER_YEAR / MONTHS_PER_YEAR,
            life_months=round(ai.rig_life_years * MONTHS_PER_YEAR),
        )
        prospects.append(
            Prospect(
                block=block.name,
                mining=(mining,),
                lease_value=lease_value(lease) + (own - value.per_kilowatt_year) / value.recovery,  # less owed energy
                lease_months=lease.months + lease.years * MONTHS_PER_YEAR,
                sale=per_kilowatt(net_sale(rigs, decision) + removal, watts),
                removal=per_kilowatt(removal + leaving, watts),
            )
        )
    if not prospects:
        return None
    return Question(
        asked_at=now,
        bitcoin_price=bitcoin.value,
        difficulty=network.value.difficulty,
        height=network.value.height,
        pays_fees=settings.economics.scheme is PayoutScheme.FPPS,
        rate=lease.rate,
        settings=ai.outlook,
        mining_goes_on_months=ai.mining_goes_on_months,
        prospects=tuple(prospects),
    )
