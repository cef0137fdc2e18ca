"""Economics of market, rigs, blocks and GPUs. US dollars; a value is None if an input of it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from exporter.model.quickly_made import quickly_made
from exporter.model.readings import Commitment

_PLAUSIBLE_OVERHEAD: Final = (0.7, 3.0)  # outside, the meter measures something else or in another unit


class PowerSource(StrEnum):
    """Where a rig's watts come from, best first. The order is the rank."""

    METERED = "metered"
    REPORTED = "reported"
    NAMEPLATE = "nameplate"


class PricingFeed(NamedTuple):
    """The feed whose price the AI value is made of. ``model`` is empty if the feed has only one."""

    feed: str
    model: str
    commitment: Commitment


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEconomics:
    """The market at the evaluation. Hashprices per PH/s and day, AI values per kWh or per kW and year."""

    subsidy: float | None = None  # bitcoins per block
    hashprice_usd: float | None = None
    hashprice_btc: float | None = None
    forward_hashprice_usd: float | None = None
    network_hashrate: float | None = None  # H/s
    next_difficulty: float | None = None
    retarget_blocks_remaining: int | None = None
    retarget_time: float | None = None  # unix seconds, estimated
    retarget_confident: bool | None = None  # at least 500 blocks into the epoch, or reported by the node
    halving_time: float | None = None  # unix seconds, estimated
    subsidy_share: float | None = None  # 0-1, of the block reward
    payout_usd: float | None = None  # what the pool pays for, before its fee: the hashprice, or its subsidy's part
    payout_btc: float | None = None
    forward_payout_usd: float | None = None
    halved_payout_usd: float | None = None  # with half of today's subsidy
    ai_value_per_kwh: tuple[tuple[str, float], ...] = ()  # (scenario, USD per kWh): low, base, high
    ai_value_per_kilowatt_year: float | None = None  # base scenario
    ai_noi_per_kilowatt_year: float | None = None  # first year's net operating income, per utility kW
    ai_capex_per_kilowatt: float | None = None  # per utility kW
    ai_recovery: float | None = None  # capital recovery factor of the base scenario
    ai_building_months: float = 0.0  # of the base scenario
    ai_breakeven_rent: float | None = None  # USD per IT kW and month at which the AI value is zero
    ai_pricing: PricingFeed | None = None


class Judged(NamedTuple):
    """A hosted rig in the book that decides whether it runs, if it ran. USD per day."""

    margin: float
    doubt: float  # by how much the margin may be wrong, either way
    revenue: float
    price: float  # USD per billed kWh; revenue less energy at this price is the margin


class Deciding(NamedTuple):
    """A rig, or the rigs of a block, in the books that decide whether they run. USD per day; None if not known."""

    margin: float | None = None  # as they run, without the monthly fee
    cost: float | None = None  # of the energy, in the same book
    forward_margin: float | None = None  # the margin after the next retarget
    allin_margin: float | None = None  # after the monthly fee and, in the host's book, his monthly costs


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The books of the host and of his customer for one rig. USD per day; None if an input is missing.

    The fields after the first two are those of a rig with a hosting contract.
    """

    customer_margin: float | None = None  # None for the site's own rigs
    host_margin: float | None = None  # None for a customer's rig without a contract
    contract: str = ""
    space_fee: float | None = None
    host_may_curtail: bool = False
    judged: Judged | None = None
    deciding: Deciding | None = None
    host_best: float | None = None  # the host's margin if the customer does what pays him best
    work_factor: float | None = None  # the customer's pool payout per payout of the site's pool
    customer_revenue: float | None = None  # by his own pool fee and scheme, before the host's share
    customer_potential: float | None = None  # the customer's margin if the rig ran
    curtailment_income: float | None = None  # the host's, from the energy that the rig could use and does not
    energy_charge_per_kwh: float | None = None  # USD that the customer pays per billed kWh, without his monthly fee
    host_price: float | None = None  # USD per kWh on the host's bill

    @property
    def host_potential(self) -> float | None:
        """The host's best margin with the monthly fee."""
        return None if self.host_best is None or self.space_fee is None else self.host_best + self.space_fee


class RigEconomics(NamedTuple):
    """One rig. Money in USD per day unless the name says otherwise; powers in watts, as metered.

    A tuple takes half the time of a dataclass to make, and one is made per rig and evaluation.
    """

    power: float | None = None  # W at the rig, from the best source
    power_source: PowerSource | None = None
    billed_power: float | None = None  # W at the point where the tariff is billed
    efficiency: float | None = None  # J/TH
    revenue: float | None = None
    power_cost: float | None = None
    margin: float | None = None
    margin_low: float | None = None
    margin_high: float | None = None
    power_price: float | None = None  # USD per kWh, as billed on the rig's tariff
    marginal_price: float | None = None  # USD per kWh: what a kWh is worth if the rig does not use it
    block_share: float | None = None  # 0-1, of its energy in its tariff's block of power; None if that has none
    paid_share: float | None = None  # 0-1, of its work that its owner is paid for, after rejects and fees
    potential_work: float | None = None  # PH/s that are paid for: after rejects and fees
    potential_revenue: float | None = None
    potential_margin: float | None = None
    judged_revenue: float | None = None  # if it ran, in the book that decides whether it runs; see books
    judged_price: float | None = None  # USD per kWh: judged revenue less energy at it is the opportunity margin
    potential_power: float | None = None  # W at the billing point if it ran
    potential_power_source: PowerSource | None = None
    potential_breakeven_power_price: float | None = None  # USD per kWh: the strike at which it is curtailed
    best_margin: float | None = None  # of mining, selling the energy or standing still, what pays best; see contract
    sale_income: float | None = None  # from energy that it could use and does not
    opportunity_margin: float | None = None  # the potential margin at the marginal price: below zero, stop
    nameplate_doubt: float | None = None  # by how much that may be wrong where its power is the nameplate's, else 0
    avoidable_loss: float | None = (
        None  # 0 or more: a negative potential margin while it draws power; None if not known
    )
    books: Books | None = None  # None if no hosting contract is configured
    allin_margin: float | None = None
    allin_cost: float | None = None  # at running power: bill, monthly costs and depreciation
    allin_breakeven_hashprice: float | None = None  # USD per PH/s and day
    allin_cost_per_bitcoin: float | None = None  # USD
    forward_margin: float | None = None
    margin_per_kwh: float | None = None
    breakeven_power_price: float | None = None  # USD per kWh
    breakeven_hashprice: float | None = None  # USD per PH/s and day
    breakeven_bitcoin_price: float | None = None  # USD
    cost_per_bitcoin: float | None = None  # USD

    @property
    def hosted(self) -> bool:
        """Whether a hosting contract is in force."""
        return self.books is not None and bool(self.books.contract)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEconomics:
    """Sums over those rigs of a block whose inputs are all known; ``priced`` is their number."""

    name: str
    rigs: int = 0
    priced: int = 0
    capacity: float | None = None  # W
    power: float | None = None  # W, of the rigs whose power is known
    hashrate: float | None = None  # H/s, of the rigs that answer
    revenue: float | None = None
    power_cost: float | None = None
    margin: float | None = None
    billed_power: float | None = None  # W at the billing point, of the rigs with a margin
    margin_per_kwh: float | None = None
    potential_revenue: float | None = None
    potential_margin: float | None = None
    potential_power: float | None = None  # W at the billing point, of the rigs with a potential margin
    running_power: float | None = None  # W at the billing point if all its rigs ran; the unknown ones at the mean
    metered_power: float | None = None  # W at the billing point, of the rigs with a meter
    sale_income: float | None = None
    allin_cost: float | None = None  # at running power, of the rigs that have it
    allin_breakeven_hashprice: float | None = None  # USD per PH/s and day
    allin_cost_per_bitcoin: float | None = None  # USD
    ending_cost: float | None = None  # of the monthly costs that end at the conversion; see lines
    ending_costs: Mapping[str, float] = field(default_factory=dict)  # the same by line
    judged: int = 0  # rigs with an opportunity margin
    judged_revenue: float | None = None  # USD per day, of the rigs that have an opportunity margin, if they ran
    judged_power: float | None = None  # W at the billing point, of the same
    marginal_price: float | None = None  # USD per kWh, of the same, weighted by energy
    opportunity_margin: float | None = None
    nameplate_doubt: float | None = None
    host_margin: float | None = None  # of the rigs that have one; see Books
    deciding: Deciding | None = None  # None without a rig under a hosting contract
    mining_value: float | None = None  # USD per kW and year: mining over the rigs' life, levelised like the AI value
    avoidable_loss: float | None = None  # USD per day, 0 or more, of the rigs that the host decides on
    ai_value: float | None = None  # USD per day, of what the feeder can carry
    ai_value_per_kilowatt_year: float | None = None  # base scenario, less what is owed for energy by a contract
    ai_low_per_kilowatt_year: float | None = None  # low scenario

    @property
    def conversion_power(self) -> float | None:
        """The utility watts that a conversion would use: the feeder's capacity, else its rigs' running power."""
        return self.running_power if self.capacity is None else self.capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuEconomics:
    """One GPU with its share of the host."""

    contracted: bool | None = None
    billed_power: float | None = None  # W at the billing point, its share of the node included
    revenue: float | None = None
    power_cost: float | None = None
    margin: float | None = None
    margin_per_kwh: float | None = None
    market_value: float | None = None  # if it were rented all day at the market's price, after the platform's fee
    market_margin: float | None = None  # at the expected utilization, less power and failures
    unrented_cost: float | None = None  # market value forgone, less the power that standing still saves; 0 if rented


@dataclass(frozen=True, slots=True, kw_only=True)
class RentingEconomics:
    """The margin of renting GPUs of a model out at one price of a feed, before capital."""

    feed: str
    model: str
    commitment: Commitment
    scenario: str
    margin_per_kwh: float | None  # USD per kWh consumed
    margin_per_kilowatt_year: float | None  # USD per reserved utility kW


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEconomics:
    """The firm or the curtailable part of a signed lease."""

    lease: str
    tenant: str
    commitment: Commitment
    start: float  # unix seconds
    power: float  # W, IT, signed
    revenue: float
    value_per_kilowatt_year: float  # USD per IT kW


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerEconomics:
    """One customer, over those rigs whose figures are known. USD per day."""

    name: str
    margin: float | None = None
    avoidable_loss: float | None = None  # 0 or more, of the rigs that he decides on


class Overhead(NamedTuple):
    """Watts at the meter per watt of the rigs behind it, as measured and as configured."""

    block: str
    """Name of the block; empty for the whole site."""
    measured: float
    configured: float

    @property
    def plausible(self) -> bool:
        """Whether the meter can measure these rigs, in watts."""
        low, high = _PLAUSIBLE_OVERHEAD
        return low <= self.measured <= high

    @property
    def contradicts_rigs(self) -> bool:
        """Whether it shows less than its rigs draw. Much more may be cooling while most rigs are off."""
        return self.measured < _PLAUSIBLE_OVERHEAD[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteEconomics:
    """Everything of one evaluation. ``rigs`` and ``gpus`` stand in the snapshot's order."""

    market: MarketEconomics
    rigs: tuple[RigEconomics, ...] = ()
    blocks: tuple[BlockEconomics, ...] = ()
    gpus: tuple[GpuEconomics, ...] = ()
    renting: tuple[RentingEconomics, ...] = ()
    leases: tuple[LeaseEconomics, ...] = ()
    customers: tuple[CustomerEconomics, ...] = ()
    overheads: tuple[Overhead, ...] = ()
