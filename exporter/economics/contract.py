"""What one kilowatt-hour more costs under a power contract, and the best use of an hour's energy.

A contract has two prices: the bill price, which is what each used kilowatt-hour adds to the bill, and the marginal
price, which is what a kilowatt-hour is worth if it is not used. They differ where energy is owed or can be sold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.economics.settings import PowerSettings
from exporter.model.units import SECONDS_PER_DAY, midnight


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Power in one hour. Prices in USD per kWh.

    ``owed`` energy (take-or-pay) is billed whether it is used or not. ``sale`` is the price at which energy that is not
    used can be sold; None if it cannot be sold.
    """

    price: float
    owed: bool = False
    sale: float | None = None

    @property
    def cost(self) -> float:
        """How much less is paid, or more is earned, per kWh that is not used, without the sale of optional energy.

        The bill price if the energy is optional. If it is owed, what it can be sold for, and at least 0.
        """
        if not self.owed:
            return self.price
        return 0.0 if self.sale is None else max(self.sale, 0.0)

    @property
    def marginal_price(self) -> float:
        """What a kWh is worth if it is not used. Mining is curtailed if its revenue per kWh is lower."""
        return self.cost if self.sale is None else max(self.cost, self.sale)

    @property
    def sale_gain(self) -> float:
        """What selling a kWh that is not used brings, at least 0: s - p if the energy is optional, s if it is owed."""
        if self.sale is None:
            return 0.0
        return max(self.sale if self.owed else self.sale - self.price, 0.0)

    @property
    def idle_value(self) -> float:
        """What a kWh is worth if it is not used: the gain of its sale, less the bill if it is owed."""
        if self.sale is None:
            return -self.price if self.owed else 0.0
        return self.sale_gain - self.price if self.owed else self.sale_gain


class Share(NamedTuple):
    """A share of a rig's energy that is billed under one tariff's contract."""

    tariff: str
    share: float  # 0-1
    contract: Contract


def contract_of(tariff: str, power: PowerSettings, prices: Mapping[str, float], now: float) -> Contract | None:
    """Return the contract of a tariff at ``now`` (unix seconds); None if its price or its sale price is not known."""
    price, sale = prices.get(tariff), None
    sale_tariff = sold_at(tariff, power)
    if sale_tariff is not None:
        sale = prices.get(sale_tariff)
        if sale is None:
            return None
    return None if price is None else Contract(price=price, owed=is_owed(power, now), sale=sale)


def sold_at(tariff: str, power: PowerSettings) -> str | None:
    """Return the tariff at which a tariff's energy can be sold; None if it cannot be sold."""
    return None if power.resale_tariff == tariff else power.resale_tariff


def is_owed(power: PowerSettings, now: float) -> bool:
    """Return whether energy is owed at ``now`` (unix seconds). The contract ends with its last day, UTC."""
    return owed_seconds(power, now) != 0


def owed_seconds(power: PowerSettings, now: float) -> float | None:
    """Return for how long (s) energy is still owed; None if for ever, 0 if it is not owed."""
    if not power.take_or_pay:
        return 0.0
    last = power.take_or_pay_until
    if last is None:
        return None
    return max(midnight(last) + SECONDS_PER_DAY - now, 0.0)


def best(revenue: float, kwh: float, contract: Contract) -> float:
    """Return what a rig's hour is worth if it does what pays best: mine, sell its energy, or stand still.

    Optional energy gives max(R - pE, 0), and max(R - pE, (s - p)E, 0) if it can be sold. Owed energy gives
    max(R, sE, 0) - pE. The floor stands per rig and hour, so a sum over rigs is never less than the best of the sum.

    Args:
        revenue: R, USD that the rig would earn in the hour by mining.
        kwh: E, the energy that it would use.
        contract: p and s, and whether the energy is owed.
    """
    mined, idle = revenue - contract.price * kwh, contract.idle_value * kwh
    return max(idle, mined)  # ten thousand times an evaluation: max() takes twice as long
