"""Two books of a hosted rig: its customer pays the contract's charges, and the host pays the power.

The host's book of the site's own rigs is their margin. A customer's rig without a contract has no host's book. Minimum
charges, credits and deposits are part of a statement and not of these books.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from exporter.economics.hosting import ContractSettings
from exporter.economics.settings import PayoutScheme, SiteSettings
from exporter.economics.values import Books, Deciding, Judged, MarketEconomics
from exporter.model.fleet import Rig
from exporter.model.units import HOURS_PER_DAY, HOURS_PER_MONTH, finite, kilowatts


class ContractKey(NamedTuple):
    """A customer under one of his contracts."""

    customer: str
    contract: str


class Hosting:
    """The hosting contracts that are in force at ``now`` (unix seconds)."""

    def __init__(self, settings: SiteSettings, now: float) -> None:
        self.any = bool(settings.contracts)
        self._site_tariff = settings.tariff
        self.in_force = {name: contract for name, contract in settings.contracts.items() if contract.holds(now)}

    def contract(self, rig: Rig) -> ContractSettings | None:
        """Return the contract of a customer's rig; None if it has none, or if it has ended."""
        return self.in_force.get(rig.contract) if rig.customer else None

    def any_contract(self, rigs: Iterable[Rig]) -> bool:
        """Return whether any of these rigs has a contract."""
        return bool(self.in_force) and any(map(self.contract, rigs))

    def missing(self, rig: Rig) -> bool:
        """Return whether a rig is a customer's and has no contract."""
        return bool(rig.customer) and self.contract(rig) is None

    def host_tariff(self, rig: Rig) -> str:
        """Return the tariff at which the site buys a rig's power; without a contract, the rig's own."""
        contract = self.contract(rig)
        return rig.tariff if contract is None else contract.host_tariff or self._site_tariff

    def price_tariff(self, rig: Rig) -> str:
        """Return the tariff whose prices to come decide when a rig is curtailed; empty if none does.

        A customer's rate is constant, and a price that is passed through is known for the present only.
        """
        contract = self.contract(rig)
        if contract is None:
            return rig.tariff
        return self.host_tariff(rig) if contract.host_may_curtail and not contract.pass_through else ""

    def hosted(self, rigs: Iterable[Rig]) -> dict[ContractKey, ContractSettings]:
        """Return the contracts of these rigs that are in force, by customer and name."""
        return {
            ContractKey(rig.customer, rig.contract): each for rig in rigs if (each := self.contract(rig)) is not None
        }

    def leaving_cost(self, rigs: Iterable[Rig], ended: Container[ContractKey] = ()) -> float:
        """Return what it costs to end all contracts of these rigs early, USD.

        Each customer's contract counts once, and not at all if it is ended anyway.
        """
        if not self.in_force:
            return 0.0
        return sum(contract.leave_usd for hosted, contract in self.hosted(rigs).items() if hosted not in ended)


class Use(NamedTuple):
    """A rig as it runs, or as it would run. Per day; None where an input is missing."""

    hashes: bool
    power: float | None  # W at the rig
    kwh: float | None  # at the billing point
    revenue: float | None  # USD, by the site's pool fee and scheme


class HostPower(NamedTuple):
    """The host's power, USD per kWh at the billing point; None where a price is missing."""

    price: float | None  # on the bill
    cost: float | None  # that stops with the rig, with the monthly costs that do
    marginal_price: float | None
    with_rig: float  # monthly costs that stop with the rig
    sale_gain: float | None  # USD per kWh that is sold instead of used, at least 0
    fixed: float = 0.0  # monthly costs that do not stop with the rig
    tagged: float = 0.0  # expected cost of peaks in ``with_rig`` where a tag stands for it in ``fixed``


def books_without_contract(rig: Rig, margin: float | None) -> Books:
    """Return the books of a rig without a contract: its ``margin`` (USD per day) is its owner's."""
    return Books(customer_margin=margin) if rig.customer else Books(host_margin=margin)


class Bookkeeper:
    """Keeps the two books of hosted rigs at one moment."""

    def __init__(self, settings: SiteSettings, market: MarketEconomics) -> None:
        self._site_fee = settings.economics.pool_fee
        self._market = market

    def books(
        self,
        rig: Rig,
        contract: ContractSettings,
        now: Use,
        potential: Use,
        power: HostPower,
        *,
        error: float,
        draws: bool | None = None,
    ) -> Books:
        """Return the books of a rig with a contract.

        Args:
            rig: the rig.
            contract: its contract, which is in force.
            now: as it runs.
            potential: as it would run.
            power: the host's.
            error: ratio by which the power of ``potential`` may be wrong.
            draws: whether it draws power; None if that is not known.
        """
        space = _space(contract, rig)
        paid_share = self._paid_share(contract)
        flow = _flow(contract, rig, now, power, paid_share)
        full = _flow(contract, rig, potential, power, paid_share)
        customer = host = None
        if flow is not None and space is not None:
            customer = finite(flow.customer - space)
            cost = None if now.kwh is None or power.cost is None else now.kwh * power.cost
            host = None if cost is None else finite(flow.host + space - cost)
        return Books(
            customer_margin=customer,
            host_margin=host,
            contract=rig.contract,
            space_fee=space,
            host_may_curtail=contract.host_may_curtail,
            judged=None if full is None else _judged(contract, full, potential, power, error),
            deciding=None if flow is None else self._deciding(contract, flow, now, potential, power, space),
            host_best=None if full is None else _host_best(contract, full, potential, power),
            work_factor=paid_share,
            customer_revenue=None if now.revenue is None or paid_share is None else finite(now.revenue * paid_share),
            customer_potential=None if full is None or space is None else finite(full.customer - space),
            curtailment_income=_curtailment_income(now, potential, power, draws=draws),
            energy_charge_per_kwh=None if full is None or not potential.kwh else finite(full.energy / potential.kwh),
            host_price=power.price,
        )

    def _deciding(
        self, contract: ContractSettings, flow: "_Flow", now: Use, potential: Use, power: HostPower, space: float | None
    ) -> Deciding | None:
        """Return a rig as it runs in the book that decides whether it runs; None if its energy's cost is not known."""
        coins = (contract.revenue_share if contract.host_may_curtail else 1 - contract.revenue_share) * flow.revenue
        if not contract.host_may_curtail:
            charged, cost = 0.0, flow.energy
            allin = None if space is None else flow.customer - space
        elif now.kwh is None or power.cost is None or power.price is None:
            return None
        else:
            charged, cost = flow.energy, now.kwh * power.cost
            due = now.kwh if now.hashes else potential.kwh
            owed = power.price + power.with_rig - power.cost  # 0 for optional energy
            standing = None if due is None else (power.fixed + owed) * due - power.tagged * now.kwh
            allin = None if space is None or standing is None else coins + charged + space - cost - standing
        after, before = self._market.forward_payout_usd, self._market.payout_usd
        forward = None if after is None or not before else coins * after / before + charged - cost
        return Deciding(finite(coins + charged - cost), finite(cost), finite(forward), finite(allin))

    def _paid_share(self, contract: ContractSettings) -> float | None:
        """Return the customer's pool payout per payout of the site's pool; None if that is not known."""
        factor = 1.0
        if contract.pool_fee is not None:
            if self._site_fee >= 1:
                return None
            factor = (1 - contract.pool_fee) / (1 - self._site_fee)
        if contract.scheme is None:
            return factor
        market = self._market
        full, site, subsidy = market.hashprice_usd, market.payout_usd, market.subsidy_share
        if full is None or not site or subsidy is None:
            return None
        own = full if contract.scheme is PayoutScheme.FPPS else full * subsidy
        return finite(factor * own / site)


@dataclass(frozen=True, slots=True)
class _Flow:
    """Money between customer and host, USD per day, without the monthly fee."""

    revenue: float  # of the customer's pool
    energy: float  # charged for energy, with the price that is passed through
    share: float  # of the revenue that the host takes

    @property
    def customer(self) -> float:
        return (1 - self.share) * self.revenue - self.energy

    @property
    def host(self) -> float:
        return self.share * self.revenue + self.energy


def _flow(contract: ContractSettings, rig: Rig, use: Use, power: HostPower, paid_share: float | None) -> _Flow | None:
    energy = _billed_energy(contract, rig, use)
    if energy is None or use.revenue is None or paid_share is None:
        return None
    price = contract.usd_per_kilowatt_hour or 0.0
    if contract.pass_through:
        if power.price is None:
            return None
        price += power.price
    return _Flow(use.revenue * paid_share, energy * price, contract.revenue_share)


def _curtailment_income(now: Use, potential: Use, power: HostPower, *, draws: bool | None) -> float | None:
    """Return what the sale of the energy that a rig could use and does not use brings the host; never below 0."""
    used = 0.0 if now.kwh is None and draws is False else now.kwh
    if used is None or potential.kwh is None or power.sale_gain is None:
        return None
    return finite(max(potential.kwh - used, 0.0) * power.sale_gain)


def _billed_energy(contract: ContractSettings, rig: Rig, use: Use) -> float | None:
    """Return the kWh per day that the customer is billed for: at the rig, or by its rated power while it hashes."""
    watts = use.power
    if contract.energy == "nameplate":
        watts = rig.rated_power if use.hashes else 0.0
    return None if watts is None else kilowatts(watts) * HOURS_PER_DAY * contract.energy_factor


def _space(contract: ContractSettings, rig: Rig) -> float | None:
    """Return the fixed fee, USD per day; None if it depends on a rated power that is not known."""
    if contract.usd_per_kilowatt_month is None:
        return 0.0
    if rig.rated_power is None:
        return None
    return kilowatts(rig.rated_power) * contract.usd_per_kilowatt_month / HOURS_PER_MONTH * HOURS_PER_DAY


def _judged(contract: ContractSettings, full: _Flow, use: Use, power: HostPower, error: float) -> Judged | None:
    """Return the book that decides whether the rig runs: the customer's, or the host's if he may stop it."""
    if not use.kwh:
        return None
    if not contract.host_may_curtail:
        revenue, cost = (1 - full.share) * full.revenue, full.energy
        doubt = 0.0 if contract.energy == "nameplate" else abs(cost) * error
    elif power.marginal_price is None:
        return None
    else:
        revenue, cost = full.host, power.marginal_price * use.kwh
        doubt = abs(cost) * error
    margin, price = finite(revenue - cost), finite(cost / use.kwh)
    if margin is None or price is None:
        return None
    return Judged(margin=margin, doubt=doubt, revenue=revenue, price=price)


def _host_best(contract: ContractSettings, full: _Flow, use: Use, power: HostPower) -> float | None:
    """Return the host's margin per day if the customer does what pays him best, and the host stops what he may."""
    if use.kwh is None or power.price is None or power.cost is None:
        return None
    idle = (power.cost - (power.price + power.with_rig)) * use.kwh  # 0 if the host's energy is optional
    if full.customer <= 0:
        return finite(idle)
    running = full.host - (power.price + power.with_rig) * use.kwh
    return finite(max(running, idle) if contract.host_may_curtail else running)
