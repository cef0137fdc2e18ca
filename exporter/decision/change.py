"""Why a margin changed between two times: the change split into its causes, exact in sum."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from math import factorial
from typing import Final

from exporter.economics.hashprice import hashprice
from exporter.model.units import HOURS_PER_DAY


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
