"""Settings of the economics: pool, power, AI lease and GPUs. Implausible values are refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from exporter.economics.values import PowerSource
from exporter.model.fields import Duration, Ratio, SettingsGroup
from exporter.model.gpu_names import gpu_model
from exporter.model.readings import Commitment
from exporter.model.units import MONTHS_PER_YEAR

if TYPE_CHECKING:
    from exporter.economics.hosting import ContractSettings


class Plausible(NamedTuple):
    """``low`` to ``high`` is accepted; ``least`` to ``most`` only with ``accept_implausible``; all else is refused."""

    low: float
    high: float
    unit: str
    least: float = 0.0
    most: float = 1e9


class Band(SettingsGroup):
    """A figure with its low and high end. A bare number stands for all three."""

    model_config = ConfigDict(allow_inf_nan=False)

    low: float
    base: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.base <= self.high:
            raise ValueError(f"write low <= base <= high, not {self.low:g}, {self.base:g}, {self.high:g}")
        return self


def _widen(value: object) -> object:
    return {"low": value, "base": value, "high": value} if isinstance(value, int | float | str) else value


Banded = Annotated[Band, BeforeValidator(_widen)]
"""A number, or ``{low: 120, base: 150, high: 190}``."""


FEED: Final = "feed"
"""Tag of a price that is the name of a feed, and not a figure."""


def _is_feed(value: object) -> str:
    try:
        if isinstance(value, str):
            float(value)
    except ValueError:
        return FEED
    return "band"


BandedOrFeed = Annotated[
    Annotated[Banded, Tag("band")] | Annotated[str, Tag(FEED), Field(min_length=1)], Discriminator(_is_feed)
]
"""A number, ``{low: 1.6, base: 2, high: 2.7}``, or the name of a feed of ``ai_prices``."""


def _flat(figure: float) -> Band:
    return Band(low=figure, base=figure, high=figure)


class PlausibleSettings(SettingsGroup):
    """Base of these settings. Raises ValueError for a value outside its :class:`Plausible` range."""

    model_config = ConfigDict(allow_inf_nan=False)

    accept_implausible: bool = Field(
        default=False, description="Take figures outside their plausible range as they are written."
    )

    @model_validator(mode="after")
    def _plausible(self) -> Self:
        if errors := list(dict.fromkeys(self._implausible())):
            raise ValueError("; ".join(errors))
        return self

    def _implausible(self) -> Iterator[str]:
        """Describe each implausible value in a sentence."""
        for name, declared in type(self).model_fields.items():
            value = getattr(self, name)
            figures = (value.low, value.high) if isinstance(value, Band) else (value,)
            if value is None or isinstance(value, str):  # a text names a feed
                continue
            for mark in (mark for mark in declared.metadata if isinstance(mark, Plausible)):
                for figure in figures:
                    if not mark.least <= figure <= mark.most:
                        yield f"{name}: {figure:g} cannot be, expected {mark.low:g} to {mark.high:g} {mark.unit}"
                    elif not (self.accept_implausible or mark.low <= figure <= mark.high):
                        yield (
                            f"{name}: {figure:g} is implausible, expected {mark.low:g} to {mark.high:g} {mark.unit}, "
                            "else write accept_implausible: true beside it"
                        )


SettingsT = TypeVar("SettingsT", bound=PlausibleSettings)

_MONTHLY: Final = Plausible(0, 50, "USD per kW and month")
_HOSTING: Final = Plausible(0, 200, "USD per kW and month")
_OPEX: Final = Plausible(0, 100, "USD per kW and month")
_LOAD_FACTOR: Final = Plausible(0.3, 1, "(mean over peak load)", least=0.01, most=1)
_OVERHEAD: Final = Plausible(1, 2, "(PUE)", least=0.01)
_TRANSFORMER_LOSS: Final = Plausible(0, 0.1, "(0.02 is two per cent)", most=0.9)


class PayoutScheme(StrEnum):
    """What a pool pays for: subsidy and fees (FPPS), or the subsidy alone (PPS)."""

    FPPS = "fpps"
    PPS = "pps"


class StopsWith(StrEnum):
    """When a cost stops. A margin counts the costs that the decision in question can stop."""

    RIG = "rig"
    PERIOD = "period"
    CONVERSION = "conversion"
    NEVER = "never"


class Basis(StrEnum):
    """Which kilowatts a monthly cost is charged for: those of the running rigs, or the block's capacity."""

    RUNNING = "running"
    CAPACITY = "capacity"


LineName = Literal["demand_charge", "hosting", "opex", "credits"]


class OtherCost(PlausibleSettings):
    """A monthly cost that has no setting of its own, such as a ratchet, a peak tag, or land. A credit is negative."""

    name: str = Field(min_length=1, max_length=60, description="What it is, as `explain` shows it.")
    usd_per_kilowatt_month: Annotated[float, Plausible(-50, 200, "USD per kW and month", least=-1e6, most=1e6)] = Field(
        description="The cost, per kW and month; negative for a credit."
    )
    stops_with: StopsWith = Field(
        default=StopsWith.CONVERSION,
        description="When it stops: `rig` (when the rig stops), `period` (with the billing period), `conversion` (when "
        "the block is converted) or `never`.",
    )
    basis: Basis = Field(
        default=Basis.RUNNING, description="Per kW of `running` rigs, or per kW of the block's `capacity`."
    )
    peak_tag: bool = Field(
        default=False,
        description="Whether it is a peak tag that is already set. The all-in margin then counts it, and not the "
        "expected cost of further `peaks`.",
    )


_STOPS_WITH: Final = "When one of these costs stops, if not as by default: the demand charge with the billing period, "
_STOPS_WITH_REST: Final = "the others with the conversion. Such as `{hosting: never}`."
_BASIS: Final = "What one of these costs is charged for, if not for the kW of running rigs, such as `{opex: capacity}`."
_OTHER_COSTS: Final = "Further monthly costs: `name`, `usd_per_kilowatt_month`, `stops_with` and `basis`."


class EconomicsSettings(PlausibleSettings):
    """Pool and fixed costs. The fixed costs enter the all-in and the conversion margin; see `stops_with`."""

    scheme: PayoutScheme = Field(
        default=PayoutScheme.FPPS, description="What the pool pays for: fpps (subsidy and fees) or pps (subsidy only)."
    )
    pool_fee: Annotated[float, Plausible(0, 0.08, "(0.01 is one per cent)", most=1)] = Field(
        default=0.0, description="The pool's fee as a share of the payout, such as 0.01."
    )
    reject_ratio: Annotated[float, Plausible(0, 0.1, "(0.01 is one per cent)", most=1)] = Field(
        default=0.0, description="Rejected and stale share of the work, for rigs that do not report their own."
    )
    firmware_fees: dict[str, Annotated[float, Field(ge=0, le=0.2)]] = Field(
        default={},
        description="Share of the work that a firmware does for its maker, by its name in mining_rig_info, such as "
        "`{LuxOS: 0.028}`; for rigs that do not report their own, as VNish does.",
    )
    hosting_usd_per_kilowatt_month: Annotated[float | None, _HOSTING] = Field(
        default=None, description="Hosting fee beside the energy, per kW of running rigs."
    )
    opex_usd_per_kilowatt_month: Annotated[float | None, _OPEX] = Field(
        default=None, description="Staff, repairs, rent and insurance, per kW of running rigs."
    )
    credits_usd_per_kilowatt_month: Annotated[float | None, _MONTHLY] = Field(
        default=None, description="Demand-response and similar credits, per kW of running rigs."
    )
    stops_with: dict[LineName, StopsWith] = Field(default={}, description=_STOPS_WITH + _STOPS_WITH_REST)
    basis: dict[LineName, Basis] = Field(default={}, description=_BASIS)
    other_costs: tuple[OtherCost, ...] = Field(default=(), description=_OTHER_COSTS)
    rig_price_usd_per_terahash: Annotated[float | None, Plausible(0, 200, "USD per TH/s")] = Field(
        default=None, description="Purchase price of the rigs, written off evenly over their life."
    )
    rig_life_years: Annotated[float, Plausible(1, 10, "years", least=0.1)] = Field(
        default=4.0, description="Years over which the purchase price is written off."
    )


class MeteringPoint(StrEnum):
    """Where a meter sits, from the rig's plug to the utility's connection."""

    RIG = "rig"
    PDU = "pdu"
    FEEDER = "feeder"
    UTILITY = "utility"


def _refuse_half_a_block(tariff: str | None, kilowatts: float | None) -> None:
    """Raise ValueError if a block of power has a price without a size, or a size without a price."""
    if (tariff is None) is not (kilowatts is None):
        raise ValueError("block_tariff and block_kilowatts: set both or neither")


class PowerSettings(PlausibleSettings):
    """From the watts of a rig to the kilowatts that are billed. A step is taken only downstream of the meter."""

    metered_at: MeteringPoint = Field(
        default=MeteringPoint.PDU,
        description="Where metered rig power is measured: rig, pdu, feeder or utility. What a rig itself reports is "
        "measured at the rig.",
    )
    calibration: Annotated[float, Plausible(0.8, 1.25, "true watts per watt shown", least=0.01)] = Field(
        default=1.0, description="True watts per watt that rigs (or meters at the rig) show."
    )
    overhead: Annotated[float, _OVERHEAD] = Field(
        default=1.0, description="Site power per rig power (PUE), cooling included: 1.02-1.10 with air."
    )
    transformer_loss: Annotated[float, _TRANSFORMER_LOSS] = Field(
        default=0.0, description="Share lost between the utility's meter and the feeder."
    )
    metered_error: Annotated[float, Plausible(0, 0.2, "(0.02 is two per cent)", most=1)] = Field(
        default=0.01, description="By how much metered power may be wrong, either way."
    )
    reported_error: Annotated[float, Plausible(0, 0.4, "(0.1 is ten per cent)", most=1)] = Field(
        default=0.1, description="By how much power that rigs report may be wrong, either way."
    )
    nameplate_error: Annotated[float, Plausible(0, 0.5, "(0.1 is ten per cent)", most=1)] = Field(
        default=0.2, description="By how much power taken from the nameplate may be wrong, either way."
    )
    demand_charge_usd_per_kilowatt_month: Annotated[float | None, _MONTHLY] = Field(
        default=None,
        description="Demand charge. Curtailing does not save it: it is part of the all-in and the conversion margin.",
    )
    load_factor: Annotated[float, _LOAD_FACTOR] = Field(
        default=1.0, description="Mean over peak load, by which the demand charge is spread."
    )
    resale_tariff: str | None = Field(
        default=None, description="The tariff at which power can be sold instead of used; its price is what is forgone."
    )
    take_or_pay: bool = Field(
        default=False,
        description="Whether energy is owed: billed whether it is used or not. Its price is then part of the bill, and "
        "curtailing gains only what the energy can be sold for.",
    )
    take_or_pay_until: date | None = Field(
        default=None, description="Last day on which energy is owed, such as 2027-12-31; left out, it never ends."
    )
    block_tariff: str | None = Field(
        default=None,
        description="The tariff of a block of power: the first `block_kilowatts` are billed at it, the rest at the "
        "tariff itself, such as an index.",
    )
    block_kilowatts: Annotated[float | None, Plausible(1, 2_000_000, "kW", most=1e7)] = Field(
        default=None, description="Size of that block, in billed kW."
    )

    @model_validator(mode="after")
    def _whole_block(self) -> Self:
        _refuse_half_a_block(self.block_tariff, self.block_kilowatts)
        return self

    def error(self, source: PowerSource) -> float:
        """Return the ratio by which power from ``source`` may be wrong."""
        return {
            PowerSource.METERED: self.metered_error,
            PowerSource.REPORTED: self.reported_error,
            PowerSource.NAMEPLATE: self.nameplate_error,
        }[source]


class TariffOverrides(PlausibleSettings):
    """Per-tariff overrides of the site's settings. What is left out is as in `economics` and `power`."""

    demand_charge_usd_per_kilowatt_month: Annotated[float | None, _MONTHLY] = Field(
        default=None, description="Its demand charge; 0 where it has none but the site has one."
    )
    load_factor: Annotated[float | None, _LOAD_FACTOR] = Field(
        default=None, description="Mean over peak load of its feeder."
    )
    hosting_usd_per_kilowatt_month: Annotated[float | None, _HOSTING] = Field(
        default=None, description="Its hosting fee beside the energy."
    )
    opex_usd_per_kilowatt_month: Annotated[float | None, _OPEX] = Field(
        default=None, description="Staff, repairs, rent and insurance there."
    )
    credits_usd_per_kilowatt_month: Annotated[float | None, _MONTHLY] = Field(
        default=None, description="Demand-response and similar credits that it pays."
    )
    metered_at: MeteringPoint | None = Field(default=None, description="Where metered rig power is measured there.")
    overhead: Annotated[float | None, _OVERHEAD] = Field(
        default=None, description="Billed power per rig power (PUE) on its feeder."
    )
    transformer_loss: Annotated[float | None, _TRANSFORMER_LOSS] = Field(
        default=None, description="Share lost between its billing meter and the feeder."
    )
    resale_tariff: str | None = Field(
        default=None, description="The tariff at which its power can be sold; its own name if it cannot be sold."
    )
    take_or_pay: bool | None = Field(default=None, description="Whether its energy is owed.")
    take_or_pay_until: date | None = Field(default=None, description="Last day on which its energy is owed.")
    block_tariff: str | None = Field(default=None, description="The tariff of its first `block_kilowatts`.")
    block_kilowatts: Annotated[float | None, Plausible(1, 2_000_000, "kW", most=1e7)] = Field(
        default=None, description="Size of that block, in billed kW."
    )
    stops_with: dict[LineName, StopsWith] | None = Field(default=None, description="When its costs stop.")
    basis: dict[LineName, Basis] | None = Field(default=None, description="What its costs are charged for.")
    other_costs: tuple[OtherCost, ...] | None = Field(default=None, description="Its further monthly costs.")

    @model_validator(mode="after")
    def _whole_block(self) -> Self:
        _refuse_half_a_block(self.block_tariff, self.block_kilowatts)
        return self

    def over(self, settings: SettingsT) -> SettingsT:
        """Return the site's settings with this tariff's own in their place."""
        own = {key: value for key in type(settings).model_fields if (value := getattr(self, key, None)) is not None}
        return settings.model_copy(update=own)  # nothing is judged anew, so that its `accept_implausible` does nothing


class CapexDates(StrEnum):
    """When the cost of building is paid."""

    INSTALMENTS = "instalments"
    AT_START = "at_start"


GpuModel = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(gpu_model)]
"""A GPU model in any spelling."""

_FEE: Final = Plausible(0, 0.5, "(0.25 is 25 per cent)", most=1)
_IDLE: Final = Plausible(0.1, 1, "(share of the power under load)", most=1)
_FAILURES: Final = Plausible(0, 0.3, "per GPU and year", most=10)


class GpuRentalSettings(PlausibleSettings):
    """The site owns GPUs and rents them out by the hour. Replaces the colocation lease; the two never mix."""

    price_usd_per_gpu_hour: Annotated[BandedOrFeed, Plausible(0.3, 15, "USD per GPU-hour")] = Field(
        description="What a rented GPU-hour earns: a number, a band, or the name of a feed of `ai_prices`, whose "
        "median, 10th and 90th percentile are then base, low and high. Without a fresh price there is no AI value."
    )
    gpu_model: GpuModel | None = Field(
        default=None, description="The GPU model whose price is taken from a feed; not needed if the feed has only one."
    )
    commitment: Commitment = Field(
        default=Commitment.FIRM,
        description="Which price of a feed is taken: firm, or interruptible for power that must stay curtailable.",
    )
    platform_fee: Annotated[float, _FEE] = Field(default=0.0, description="Share of the price that the platform keeps.")
    idle_power_ratio: Annotated[float, _IDLE] = Field(
        default=1.0, description="Power of a GPU that is not rented, as a share of its power under load; about 0.35."
    )
    failures_per_year: Annotated[float, _FAILURES] = Field(
        default=0.0, description="Share of the GPUs that fail each year and are replaced; 0.03 to 0.09 is usual."
    )
    utilization: Annotated[Banded, Plausible(0.2, 1, "(share of hours rented)", most=1)] = Field(
        description="Share of all hours that are rented."
    )
    power_usd_per_kilowatt_hour: Annotated[float, Plausible(-0.05, 0.4, "USD per kWh", least=-10, most=10)] = Field(
        description="Power price over the years of the business (not the spot price of the minute)."
    )
    kilowatts_per_gpu: Annotated[float, Plausible(0.3, 3, "IT kW per GPU", least=0.01)] = Field(
        description="IT power per GPU with its share of the node: DGX H100 1.275, B200 1.79, NVL72 1.67-1.83."
    )
    pue: Annotated[float, Plausible(1, 2, "(PUE)", least=1)] = Field(
        default=1.3, description="Utility power per IT power."
    )
    gpu_capex_usd: Annotated[Banded, Plausible(3_000, 120_000, "USD per GPU")] = Field(
        description="Price of a GPU with its share of node and network."
    )
    gpu_life_years: Annotated[float, Plausible(2, 8, "years", least=1, most=100)] = Field(
        default=5.0, description="Years over which the GPUs are written off."
    )
    capex_usd_per_kilowatt: Annotated[Banded, Plausible(0, 40_000, "USD per IT kW")] = Field(
        description="Price of the data centre around them."
    )
    term_years: Annotated[float, Plausible(5, 30, "years", least=1, most=100)] = Field(
        default=15.0, description="Years over which the data centre is written off."
    )
    discount_rate: Annotated[float, Plausible(0.03, 0.25, "(0.1 is ten per cent)", most=1)] = Field(
        default=0.10, description="Yearly cost of capital."
    )
    opex_usd_per_gpu_year: Annotated[float, Plausible(0, 20_000, "USD per GPU and year")] = Field(
        description="Staff, software, network and spares per GPU."
    )


class OutlookSettings(PlausibleSettings):
    """How bitcoin's price and the difficulty may move, for the outlook: `hashmargin outlook --propose` estimates it."""

    drift: Annotated[float, Plausible(-0.5, 1, "per year", least=-0.9, most=10)] = Field(
        description="Yearly growth of the mean bitcoin price, such as 0.1."
    )
    volatility: Annotated[float, Plausible(0, 1.5, "(0.5 is 50 per cent a year)", most=5)] = Field(
        description="Standard deviation of the yearly change of the bitcoin price's logarithm, such as 0.5."
    )
    difficulty_growth: Annotated[float, Plausible(-0.5, 1, "(0.3 is 30 per cent)", least=-0.9, most=10)] = Field(
        description="Yearly growth of difficulty at a constant bitcoin price."
    )
    elasticity: Annotated[float, Plausible(0, 1.5, "(0.5 is half the price's change)", least=-5, most=5)] = Field(
        description="How difficulty responds to the bitcoin price: d ln difficulty / d ln price."
    )
    response_months: int = Field(
        default=6, ge=0, le=60, description="Months over which difficulty responds to a change of the price."
    )
    fees_bitcoins_per_block: Annotated[Banded, Plausible(0, 2, "BTC per block", most=50)] = Field(
        description="Transaction fees per block: anywhere in the band, all values alike."
    )


class AiSettings(PlausibleSettings):
    """A colocation lease: the site gives powered, cooled space, the tenant brings the GPUs. No section, no AI value."""

    rent_usd_per_kilowatt_month: Annotated[Banded | None, Plausible(50, 400, "USD per IT kW and month")] = Field(
        default=None, description="Rent per IT kW and month. Published leases: 120 to 190."
    )
    capex_usd_per_kilowatt: Annotated[Banded | None, Plausible(0, 40_000, "USD per IT kW")] = Field(
        default=None, description="Net cost of building, per IT kW: 8,000 to 15,000, or 0 where the tenant pays."
    )
    noi_share: Annotated[Banded, Plausible(0.4, 1, "(0.85 is 85 per cent)", least=0.01, most=1)] = Field(
        default=_flat(0.85), description="Share of the rent that is left after operating costs."
    )
    discount_rate: Annotated[Banded, Plausible(0.03, 0.25, "(0.1 is ten per cent)", most=1)] = Field(
        default=_flat(0.10), description="Yearly cost of capital."
    )
    term_years: Annotated[Banded, Plausible(5, 30, "years", least=1, most=100)] = Field(
        default=_flat(15), description="Years of the lease, counted from when the power earns."
    )
    utility_ratio: Annotated[Banded, Plausible(1.05, 2, "utility kW per IT kW", least=1, most=10)] = Field(
        default=_flat(1.4), description="Utility kW needed per IT kW leased."
    )
    uptime: Annotated[float, Plausible(0.9, 1, "(0.999 is three nines)", least=0.01, most=1)] = Field(
        default=1.0, description="Share of the rent that is due after service-level credits."
    )
    months_until_power_earns: Annotated[Banded, Plausible(0, 60, "months", most=600)] = Field(
        default=_flat(0), description="Months of building before the first rent; 12 to 18 is usual."
    )
    capex_dates: CapexDates = Field(
        default=CapexDates.INSTALMENTS,
        description="When the capex is paid: `instalments` (equal ones, in the middle of each building month) or "
        "`at_start` (all in month 0).",
    )
    prepayment_usd_per_kilowatt: Annotated[Banded, Plausible(0, 10_000, "USD per IT kW")] = Field(
        default=_flat(0),
        description="Rent that the tenant pays ahead, when the building starts, per IT kW.",
    )
    prepayment_credit_months: Annotated[float | None, Plausible(1, 360, "months", least=1, most=1_200)] = Field(
        default=None,
        description="Months over which the prepayment is credited against the rent, in equal parts from the first rent "
        "on; the whole term if not set.",
    )
    tenant_pays_demand: bool = Field(
        default=True,
        description="Whether the tenant pays the demand charge of the converted power. If not, it is due on both sides "
        "and does not count in the score.",
    )
    tenant_pays_energy: bool = Field(
        default=True,
        description="Whether the tenant takes and pays energy that is owed under a take-or-pay contract, after the "
        "building months.",
    )
    least_kilowatts: Annotated[float, Plausible(0, 1_000_000, "utility kW")] = Field(
        default=0.0,
        description="Smallest block that a tenant leases, in utility kW; a smaller one is never `reassign`.",
    )
    escalator: Annotated[float, Plausible(-0.05, 0.06, "(0.02 is two per cent a year)", least=-0.5, most=0.5)] = Field(
        default=0.0, description="Yearly growth of the rent."
    )
    gpu_rental: GpuRentalSettings | None = Field(
        default=None,
        description="Own GPUs and rent them out instead of leasing space; then rent and capex are not set.",
    )
    difficulty_growth: Annotated[float | None, Plausible(-0.5, 1, "(0.3 is 30 per cent)", least=-0.9, most=10)] = Field(
        default=None, description="Yearly growth of difficulty, to show mining over the rigs' life beside the lease."
    )
    rig_life_years: Annotated[int, Plausible(1, 10, "years", least=1, most=50)] = Field(
        default=4, description="Years that rigs go on mining in that comparison, and in the outlook."
    )
    mining_goes_on_months: int = Field(
        default=0,
        ge=0,
        le=60,
        description="Months that the rigs of a block still mine while it is being rebuilt, in the outlook.",
    )
    outlook: OutlookSettings | None = Field(
        default=None,
        description="Compares converting now with converting later, over many paths of price and difficulty. Needs "
        "numpy: `pip install 'hashmargin[outlook]'`.",
    )

    @model_validator(mode="after")
    def _one_business(self) -> Self:
        lease = (self.rent_usd_per_kilowatt_month, self.capex_usd_per_kilowatt)
        if self.gpu_rental is None and None in lease:
            raise ValueError(
                "a colocation lease needs rent_usd_per_kilowatt_month and capex_usd_per_kilowatt: neither is assumed"
            )
        if self.gpu_rental is not None and lease != (None, None):
            raise ValueError("either a colocation lease (rent and capex) or gpu_rental: the two never mix")
        if self.prepayment_usd_per_kilowatt.high:
            self._check_prepayment()
        if self.gpu_rental is not None and self.outlook is not None:
            raise ValueError("outlook: only for a colocation lease, not with gpu_rental")
        return self

    def _check_prepayment(self) -> None:
        rent, term = self.rent_usd_per_kilowatt_month, self.term_years.low * MONTHS_PER_YEAR
        if rent is None:
            raise ValueError("prepayment_usd_per_kilowatt: only for a colocation lease, not with gpu_rental")
        months = term if self.prepayment_credit_months is None else self.prepayment_credit_months
        if months > term:
            raise ValueError(f"prepayment_credit_months: the lease ends after {term:g} months")
        if self.prepayment_usd_per_kilowatt.high > months * rent.low:
            raise ValueError(
                f"prepayment_usd_per_kilowatt is more than the rent of the {months:g} months that it is credited in"
            )


class GpuRate(PlausibleSettings):
    """What the GPUs of one model or node earn."""

    model: str | None = Field(default=None, description="GPU model it is for, as the GPUs' exporter names it.")
    hostname: str | None = Field(default=None, description="Node it is for.")
    revenue_usd_per_hour: Annotated[float, Plausible(0, 15, "USD per GPU-hour")] = Field(
        description="Revenue per billed GPU-hour."
    )
    billing: Literal["contracted", "allocated"] = Field(
        default="contracted", description="contracted: paid by the clock; allocated: paid while a tenant holds the GPU."
    )
    host_watts: Annotated[float | None, Plausible(0, 20_000, "W per node")] = Field(
        default=None, description="Power of the node beside its GPUs, where it differs from the site's."
    )


class GpuMarketSettings(PlausibleSettings):
    """What own GPUs of one model would earn on a market."""

    feed: str = Field(min_length=1, description="The feed of `ai_prices` with their price.")
    model: GpuModel = Field(description="GPU model in the feed, in any spelling. GPUs of this model are valued.")
    gpus: tuple[GpuModel, ...] = Field(
        default=(),
        description="Models of the site's GPUs that are valued so, where the feed names them less exactly, as FLOPS "
        "does.",
    )
    commitment: Commitment = Field(
        default=Commitment.FIRM, description="Which price of the feed is taken: firm or interruptible."
    )
    utilization: Annotated[float, Plausible(0.2, 1, "(share of hours rented)", most=1)] = Field(
        description="Share of all hours that would be rented."
    )
    kilowatts_per_gpu: Annotated[float, Plausible(0.3, 3, "IT kW per GPU", least=0.01)] = Field(
        description="IT power per rented GPU with its share of the node: DGX H100 1.275, B200 1.79. Never the TDP."
    )
    platform_fee: Annotated[float, _FEE] = Field(default=0.0, description="Share of the price that the platform keeps.")
    idle_power_ratio: Annotated[float, _IDLE] = Field(
        default=1.0, description="Power of a GPU that is not rented, as a share of its power under load; about 0.35."
    )
    failures_per_year: Annotated[float, _FAILURES] = Field(
        default=0.0, description="Share of the GPUs that fail each year and are replaced; needs `gpu_usd`."
    )
    gpu_usd: Annotated[float | None, Plausible(3_000, 120_000, "USD per GPU")] = Field(
        default=None, description="Price of a replacement."
    )

    @model_validator(mode="after")
    def _replaced_at_a_price(self) -> Self:
        if self.failures_per_year and self.gpu_usd is None:
            raise ValueError("failures_per_year needs gpu_usd, the price of a replacement")
        return self


class AiLeaseSettings(PlausibleSettings):
    """A lease that is signed: space and power for a tenant's own GPUs."""

    tenant: str = Field(default="", max_length=200, description="Label of the tenant, as you choose it.")
    start: date = Field(description="First day on which rent is due (UTC), such as 2026-07-01.")
    end: date | None = Field(default=None, description="Last day on which rent is due; left out, it never ends.")
    firm_kilowatts: Annotated[float, Plausible(0, 1_000_000, "IT kW")] = Field(
        default=0.0, description="Signed IT kW that may not be curtailed."
    )
    usd_per_kilowatt_month: Annotated[float | None, Plausible(50, 400, "USD per IT kW and month")] = Field(
        default=None, description="Rent per firm IT kW and month."
    )
    curtailable_kilowatts: Annotated[float, Plausible(0, 1_000_000, "IT kW")] = Field(
        default=0.0, description="Signed IT kW that the site may curtail."
    )
    curtailable_usd_per_kilowatt_month: Annotated[float | None, Plausible(20, 400, "USD per IT kW and month")] = Field(
        default=None, description="Rent per curtailable IT kW and month."
    )
    curtailed_hours_per_year: Annotated[float, Plausible(0, 2_000, "hours", most=8_760)] = Field(
        default=0.0, description="Hours per year in which the curtailable power is cut. Their rent is not due."
    )
    throttled_power_ratio: Annotated[float, Plausible(0, 1, "(share of the power that stays)", most=1)] = Field(
        default=0.0, description="Share of the power that stays in those hours, where GPUs are throttled, not stopped."
    )
    throttled_rent_ratio: Annotated[float, Plausible(0, 1, "(share of the rent that stays due)", most=1)] = Field(
        default=0.0, description="Share of the rent that stays due in those hours: throttled GPUs still do work."
    )
    response_usd_per_kilowatt_year: Annotated[float, Plausible(0, 500, "USD per kW and year")] = Field(
        default=0.0, description="What a demand response programme pays per kW that is cut, and year."
    )

    @model_validator(mode="after")
    def _rented_power(self) -> Self:
        if not self.firm_kilowatts and not self.curtailable_kilowatts:
            raise ValueError("give firm_kilowatts, curtailable_kilowatts, or both")
        if self.firm_kilowatts and self.usd_per_kilowatt_month is None:
            raise ValueError("firm_kilowatts needs usd_per_kilowatt_month")
        if self.curtailable_kilowatts and self.curtailable_usd_per_kilowatt_month is None:
            raise ValueError("curtailable_kilowatts needs curtailable_usd_per_kilowatt_month")
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end: {self.end} is before start")
        return self


class GpuEconomicsSettings(PlausibleSettings):
    """What the GPUs at the site earn and draw. Without a rate a GPU has no revenue; without host watts, no cost."""

    revenue_usd_per_hour: Annotated[float | None, Plausible(0, 15, "USD per GPU-hour")] = Field(
        default=None, description="Revenue per billed GPU-hour, where no rate of `rates` fits."
    )
    billing: Literal["contracted", "allocated"] = Field(
        default="contracted", description="contracted: paid by the clock; allocated: paid while a tenant holds the GPU."
    )
    rates: tuple[GpuRate, ...] = Field(default=(), description="Rates by model or node; the first that fits is taken.")
    host_watts: Annotated[float | None, Plausible(0, 20_000, "W per node")] = Field(
        default=None,
        description="Power of a node beside its GPUs (CPUs, fans, network), shared by them: about 4600 with 8 H100; "
        "0 where GPU power is metered with the node.",
    )
    pue: Annotated[float, Plausible(1, 2, "(PUE)", least=1)] = Field(
        default=1.0, description="Utility power per IT power of the GPU nodes."
    )
    tariff: str = Field(default="", description="The tariff the GPU nodes pay; the site's where none is named.")
    market: tuple[GpuMarketSettings, ...] = Field(
        default=(), description="What these GPUs would earn on a market, by model; the first entry that fits is taken."
    )


class PointsSettings(PlausibleSettings):
    """The best operating point of each rig. Without this section points are neither read nor judged."""

    list_interval: Duration = Field(
        default=3_600.0, description="How often rigs are asked for the points that their firmware lists."
    )
    settle: Duration = Field(
        default=900.0, description="Time after a start or a change of the point in which nothing is learned of it."
    )
    stable: Duration = Field(
        default=1_800.0,
        description="Time that a rig must run steadily at a point before its figures count as measured.",
    )
    forget_after: Duration = Field(
        default=90 * 86_400.0,
        description="How long a measured point is used after the rig last ran at it: the season changes its power.",
    )
    measured_error: Ratio = Field(
        default=0.01, description="How far the energy of a measured point may be off. It grows to 5 times with its age."
    )
    pooled_error: Ratio = Field(
        default=0.05, description="The same for a point that other rigs of the model were measured at."
    )
    estimate_error: Ratio = Field(
        default=0.05,
        description="The same for an estimate of the firmware, after correction by the points that were measured.",
    )
    refuted_above: Ratio = Field(
        default=0.25,
        description="A list of the firmware whose watts or hashrate are further off than this is not used.",
    )
    most_of_rated_power: Annotated[float | None, Plausible(0.5, 2, "of the rated power", most=10)] = Field(
        default=None,
        description="The highest power of an advised point, as a share of the rig's rated power. Without it only the "
        "limits of the maker and the firmware hold.",
    )
    ramp: Duration = Field(
        default=300.0,
        description="Time from a change of the point to full hashrate. A rig that reports its last ramp replaces it.",
    )
    cold_ramp: Duration = Field(default=900.0, description="The same from standstill.")
    untuned_ramp: Duration = Field(default=3_600.0, description="The same for a point that must be tuned first.")
    change_usd: Annotated[float, Plausible(0, 5, "USD per change")] = Field(
        default=0.0, description="Wear of one change of the point, USD per rig."
    )
    dwell: Duration = Field(default=1_800.0, description="Shortest time at a point before another is advised.")
    most_changes_per_day: int = Field(
        default=8, ge=1, le=1_000, description="Most changes of a rig's point in 24 hours."
    )
    least_gain: Ratio = Field(
        default=0.02,
        description="A gain that is a smaller share of the revenue is none, unless prices are known ahead.",
    )
    persistence: Duration = Field(
        default=3_600.0, description="How long a price is expected to last whose end is not known."
    )
    valid_for: Duration = Field(
        default=300.0, description="How long a setpoint may be acted on, unless a price changes before."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """All settings of a site's economics. ``tariff`` is the site's own, for whatever names none.

    ``tariffs`` are the overrides of the tariffs that have any.
    """

    economics: EconomicsSettings = field(default_factory=EconomicsSettings)
    power: PowerSettings = field(default_factory=PowerSettings)
    ai: AiSettings | None = None
    gpus: GpuEconomicsSettings | None = None
    points: PointsSettings | None = None
    tariff: str = ""
    tariffs: Mapping[str, TariffOverrides] = field(default_factory=dict)
    leases: Mapping[str, AiLeaseSettings] = field(default_factory=dict)
    contracts: Mapping[str, "ContractSettings"] = field(default_factory=dict)

    def at(self, tariff: str) -> tuple[EconomicsSettings, PowerSettings]:
        """Return the settings that hold for a rig on this tariff."""
        own = self.tariffs.get(tariff)
        return (self.economics, self.power) if own is None else (own.over(self.economics), own.over(self.power))
