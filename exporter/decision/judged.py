"""What a rig earns at an operating point, in the book of the one who decides on it."""

from collections.abc import Mapping
from typing import NamedTuple

from exporter.economics.hosting import ContractSettings
from exporter.economics.values import RigEconomics
from exporter.model.units import HASHES_PER_PETAHASH, HOURS_PER_DAY, kilowatts


class Terms(NamedTuple):
    """The worth of running in one book, in USD per day: ``value`` x H/s - ``price`` x kWh - ``fixed``."""

    value: float  # USD per H/s and day
    price: float  # USD per kWh at the billing meter; below 0 where more energy earns more
    fixed: float = 0.0  # USD per day, as long as the rig hashes at any point
    share: float = 1.0  # of the mined coins

    def margin(self, hashrate: float, kwh: float) -> float:
        """Return the margin in USD per day at ``hashrate`` (H/s) and ``kwh`` per day."""
        return self.value * hashrate - self.price * kwh - self.fixed


def terms(
    rig: RigEconomics, payout: float | None, contracts: Mapping[str, ContractSettings], *, stopping: bool
) -> Terms | None:
    """Return the terms of the one who decides; None if an input is missing.

    A customer decides at which point his rig runs. Whether it runs, the host decides if the contract says so. On all
    other rigs their owner decides.

    Args:
        rig: the rig, priced.
        payout: USD per PH/s and day that the site's pool pays before fees.
        contracts: hosting contracts by name.
        stopping: whether it is about running at all, or about less power that somebody else demands.
    """
    if rig.paid_share is None or payout is None or rig.marginal_price is None:
        return None
    value = rig.paid_share * payout / HASHES_PER_PETAHASH
    books = rig.books
    if books is None or not books.contract:
        return Terms(value, rig.marginal_price)
    charge, factor = books.energy_charge_per_kwh, books.work_factor
    if charge is None or factor is None or rig.judged_price is None or rig.potential_power is None:
        return None
    contract = contracts[books.contract]
    flat = contract.energy == "nameplate"
    paid = charge * kilowatts(rig.potential_power) * HOURS_PER_DAY if flat else 0.0
    charge = 0.0 if flat else charge
    if stopping and contract.host_may_curtail:
        share = contract.revenue_share
        return Terms(value * factor * share, rig.judged_price - charge, -paid, share)
    share = 1 - contract.revenue_share
    return Terms(value * factor * share, charge, paid, share)
