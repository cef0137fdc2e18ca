"""Why a margin changed between two times: the change split into its causes, exact in sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from math import factorial
from typing import Final

from exporter.economics.hashprice import hashprice
from exporter.economics.values import SiteEconomics
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_DAY, kilowatts, total

_SAMPLE_INTERVAL: Final = 900.0  # s, of the shortest settlement interval that prices have
_OLDEST: Final = SECONDS_PER_DAY + 2 * _SAMPLE_INTERVAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What the margin of a fleet is made of at one time. Each field is a cause of change."""

    bitcoin_price: float  # USD
    difficulty: float
    subsidy: float  # BTC per block
    fees: float  # BTC per block that are paid for
    power_price: float  # USD per kWh, weighted by energy
    hashrate: float  # PH/s that are paid for, while the rigs run
    efficiency: float  # billed J/TH of paid work, which is kW per PH/s
    uptime: float  # 0-1, of the hashrate

    @property
    def margin(self) -> float:
        """Cash margin, USD per day."""
        revenue = hashprice(self.difficulty, (self.subsidy + self.fees) * self.bitcoin_price)
        return self.uptime * self.hashrate * (revenue - HOURS_PER_DAY * self.efficiency * self.power_price)


CAUSES: Final = tuple(field.name for field in fields(Cause))


@dataclass(frozen=True, slots=True)
class Sample:
    """What the margin was made of at one time (unix seconds)."""

    at: float
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginChange:
    """How the margin changed since ``since`` (unix seconds). USD per day."""

    since: float
    before: float
    after: float
    causes: Mapping[str, float]  # in the order of CAUSES; their sum is the change


def cause_of(
    *,
    bitcoin: float,
    difficulty: float,
    subsidy: float,
    hashprice_btc: float,
    revenue: float,
    cost: float,
    watts: float,
    uptime: float,
) -> Cause | None:
    """Take revenue and power cost (USD per day) apart. None if no rig is mining.

    Args:
        bitcoin: USD.
        difficulty: Of the network.
        subsidy: BTC per block.
        hashprice_btc: BTC per PH/s and day.
        revenue: USD per day.
        cost: Of power, USD per day.
        watts: Billed power.
        uptime: Share of the rigs that are mining, 0-1.
    """
    if min(bitcoin, difficulty, hashprice_btc, revenue, watts, uptime) <= 0:
        return None
    work, power = revenue / (hashprice_btc * bitcoin), kilowatts(watts)
    return Cause(
        bitcoin_price=bitcoin,
        difficulty=difficulty,
        subsidy=subsidy,
        fees=hashprice_btc / hashprice(difficulty, 1.0) - subsidy,
        power_price=cost / (power * HOURS_PER_DAY),
        hashrate=work / uptime,
        efficiency=power / work,
        uptime=uptime,
    )


def cause_of_site(snapshot: SiteSnapshot, economics: SiteEconomics, uptime: float) -> Cause | None:
    """Take the margin of the priced rigs apart. None if an input of it is missing, or no rig is mining."""
    market, blocks = economics.market, economics.blocks
    revenue, cost = total(block.revenue for block in blocks), total(block.power_cost for block in blocks)
    watts = total(block.billed_power for block in blocks)
    if snapshot.bitcoin_price is None or snapshot.network is None or market.subsidy is None:
        return None
    if market.hashprice_btc is None or revenue is None or cost is None or watts is None:
        return None
    return cause_of(
        bitcoin=snapshot.bitcoin_price.value,
        difficulty=snapshot.network.value.difficulty,
        subsidy=market.subsidy,
        hashprice_btc=market.hashprice_btc,
        revenue=revenue,
        cost=cost,
        watts=watts,
        uptime=uptime,
    )


def sampled(samples: Sequence[Sample], cause: Cause | None, now: float) -> tuple[Sample, ...]:
    """Add a sample if the last one is a quarter of an hour old, and forget those that are no longer needed."""
    kept = tuple(sample for sample in samples if now - _OLDEST <= sample.at <= now)
    if cause is None or (kept and now - kept[-1].at < _SAMPLE_INTERVAL):
        return kept
    return (*kept, Sample(now, cause))


def change_since_yesterday(samples: Sequence[Sample], cause: Cause | None, now: float) -> MarginChange | None:
    """Compare with the newest sample that is 24 hours old. None if there is none within half an hour before that."""
    former = [sample for sample in samples if SECONDS_PER_DAY <= now - sample.at <= _OLDEST]
    if cause is None or not former:
        return None
    before = former[-1]
    return MarginChange(
        since=before.at, before=before.cause.margin, after=cause.margin, causes=split(before.cause, cause)
    )


def shifted(samples: Sequence[Sample], seconds: float) -> tuple[Sample, ...]:
    """Keep the age of the samples when the system clock was set by ``seconds``."""
    return tuple(replace(sample, at=sample.at + seconds) for sample in samples)


def split(before: Cause, after: Cause) -> Mapping[str, float]:
    """Split the change of the margin (USD per day) into its causes; their sum is the change.

    Each cause has its mean effect over all orders in which the causes could have changed (the Shapley value), so that
    no order is preferred.
    """
    changed = [name for name in CAUSES if getattr(before, name) != getattr(after, name)]
    values = {name: (getattr(before, name), getattr(after, name)) for name in CAUSES}
    margins: dict[frozenset[str], float] = {}
    for size in range(len(changed) + 1):
        for chosen in map(frozenset, combinations(changed, size)):
            margins[chosen] = Cause(**{name: values[name][name in chosen] for name in CAUSES}).margin
    shares = dict.fromkeys(CAUSES, 0.0)
    count = len(changed)
    for chosen, margin in margins.items():
        for name in changed:
            if name in chosen:
                continue
            weight = factorial(len(chosen)) * factorial(count - len(chosen) - 1) / factorial(count)
            shares[name] += weight * (margins[chosen | {name}] - margin)
    return shares
