"""One rig: revenue, power cost and margin, what it would earn if it ran, and the prices at which it breaks even."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from exporter.economics.power import billed_per_watt, demand_charge_per_kilowatt_hour, power_now, power_of_nameplate
from exporter.economics.settings import EconomicsSettings, PowerSettings, SiteSettings
from exporter.economics.values import MarketEconomics, PowerSource, RigEconomics
from exporter.model.snapshot import RigSnapshot, TariffPrice
from exporter.model.units import (
    DAYS_PER_YEAR,
    HASHES_PER_TERAHASH,
    HOURS_PER_DAY,
    HOURS_PER_MONTH,
    WATTS_PER_KILOWATT,
    finite,
    joules_per_terahash,
    kilowatts,
    petahashes,
)

WARM_UP: Final = 1_800.0
"""Seconds in which a started rig's mean hashrate still climbs and does not tell what it earns."""

IDLE_SHARE: Final = 0.1
"""A rig that hashes nothing and draws less than this share of its running power is off: only its controller is on."""

_NO_POWER: Final = (None, None)


class Operation(NamedTuple):
    """A rig at some hashrate and power: what it does, or would do. Money per day; None where an input is missing."""

    hashrate: float | None  # H/s
    power: float | None  # W at the rig
    source: PowerSource | None
    kwh: float | None  # billed per day
    revenue: float | None
    cost: float | None
    margin: float | None


class Supply(NamedTuple):
    """What power is to the rigs on one tariff. Prices in USD per kWh; None where an input is missing."""

    price: float | None
    opportunity_price: float | None  # the higher of what power costs and what it could be sold for
    kwh_per_watt: Mapping[PowerSource, float]  # billed per day
    fixed_per_kwh: float | None  # USD that do not stop with the rig


def firmware_fee(rig: RigSnapshot, fees: Mapping[str, float]) -> float:
    """Return the share of its work that a rig does for its firmware's maker: its own word, else the settings'."""
    told = rig.reading.value.firmware_fee if rig.reading is not None else None
    if told is not None:
        return told
    return fees.get(rig.identity.firmware, 0.0) if rig.identity is not None else 0.0


class RigPricer:
    """Prices rigs on one market. What all rigs share is worked out here, once, and what those on one tariff share."""

    def __init__(self, market: MarketEconomics, tariffs: Mapping[str, TariffPrice], terms: SiteSettings) -> None:
        economics, power = terms.economics, terms.power
        self._payout_usd = market.payout_usd
        self._payout_btc = market.payout_btc
        self._forward_payout_usd = market.forward_payout_usd
        self._after_fee = 1 - economics.pool_fee
        self._reject_ratio = economics.reject_ratio
        self._firmware_fees = economics.firmware_fees
        self._prices = {name: tariff.price for name, tariff in tariffs.items()}
        self._terms = terms
        self._supplies: dict[str, Supply] = {}
        self._error = {source: power.error(source) for source in PowerSource}
        self._write_off_per_hash = _write_off_per_hash(economics)

    def price(self, rig: RigSnapshot) -> RigEconomics:
        """Work out everything about one rig; what depends on a missing input is None."""
        supply = self._supplies.get(rig.rig.tariff) or self._supply(rig.rig.tariff)
        paid = self._paid(rig)
        actual = self._actual(rig, paid, supply)
        potential = self._potential(rig, actual, paid, supply)
        low, high = self._band(actual)
        opportunity_margin, nameplate_doubt = self._at_opportunity(potential, supply.opportunity_price)
        mined = None if actual.hashrate is None else petahashes(actual.hashrate) * paid
        cost_per_bitcoin = _ratio(actual.cost, _product(mined, self._payout_btc))
        forward = _product(mined, self._forward_payout_usd)
        return RigEconomics(
            power=finite(actual.power),
            power_source=actual.source,
            metered_power=_billed_watts(actual.kwh),
            efficiency=_efficiency(actual),
            revenue=finite(actual.revenue),
            power_cost=finite(actual.cost),
            margin=finite(actual.margin),
            margin_low=low,
            margin_high=high,
            power_price=supply.price,
            opportunity_price=supply.opportunity_price,
            potential_revenue=finite(potential.revenue),
            potential_margin=finite(potential.margin),
            potential_power=_billed_watts(potential.kwh),
            potential_power_source=potential.source,
            potential_breakeven_power_price=_breakeven_power_price(potential),
            opportunity_margin=opportunity_margin,
            nameplate_doubt=nameplate_doubt,
            avoidable_loss=_avoidable_loss(actual, potential),
            allin_margin=self._allin_margin(rig, actual, potential, supply.fixed_per_kwh),
            forward_margin=None if forward is None or actual.cost is None else finite(forward - actual.cost),
            margin_per_kwh=_ratio(actual.margin, actual.kwh),
            breakeven_power_price=_breakeven_power_price(actual),
            breakeven_hashprice=_ratio(actual.cost, mined),
            breakeven_bitcoin_price=cost_per_bitcoin,  # the price at which a bitcoin just pays for its power
            cost_per_bitcoin=cost_per_bitcoin,
        )

    def _paid(self, rig: RigSnapshot) -> float:
        """Return the share of its work that its owner is paid for: not what is rejected, nor what fees take."""
        ratio = rig.reject_ratio
        rejected = ratio if ratio is not None and 0 <= ratio <= 1 else self._reject_ratio
        return (1 - rejected) * (1 - firmware_fee(rig, self._firmware_fees)) * self._after_fee

    def _supply(self, tariff: str) -> Supply:
        """Work out what the rigs on one tariff share, and keep it."""
        economics, power = self._terms.at(tariff)
        price, resale = self._prices.get(tariff), power.resale_tariff
        sold_at = price if resale is None else self._prices.get(resale)
        self._supplies[tariff] = supply = Supply(
            price=price,
            opportunity_price=None if price is None or sold_at is None else max(price, sold_at),
            kwh_per_watt={source: HOURS_PER_DAY * kilowatts(billed_per_watt(source, power)) for source in PowerSource},
            fixed_per_kwh=_fixed_cost_per_kwh(economics, power),
        )
        return supply

    def _operate(
        self, hashrate: float | None, drawn: tuple[float, PowerSource] | None, paid: float, supply: Supply
    ) -> Operation:
        power, source = drawn or _NO_POWER
        kwh = None if power is None or source is None else power * supply.kwh_per_watt[source]
        payout = self._payout_usd
        revenue = None if hashrate is None or payout is None else petahashes(hashrate) * paid * payout
        cost = None if kwh is None or supply.price is None else kwh * supply.price
        margin = None if revenue is None or cost is None else revenue - cost
        return Operation(hashrate, power, source, kwh, revenue, cost, margin)

    def _actual(self, rig: RigSnapshot, paid: float, supply: Supply) -> Operation:
        hashrate = rig.reading.value.hashrate if rig.reading is not None and rig.mines_bitcoin else None
        if hashrate is not None and hashrate < 0:
            hashrate = None
        return self._operate(hashrate, power_now(rig, hashrate), paid, supply)

    def _potential(self, rig: RigSnapshot, actual: Operation, paid: float, supply: Supply) -> Operation:
        """Judge a rig that runs by what it does, another by what it did when it ran well, else by its nameplate."""
        if not rig.mines_bitcoin:
            return self._operate(None, None, paid, supply)
        if actual.hashrate and rig.reading is not None:
            uptime = rig.reading.value.uptime
            if uptime is None or uptime >= WARM_UP:
                return actual
        good = rig.last_good
        if good is not None and good.hashrate > 0:
            if good.metered_power:
                drawn: tuple[float, PowerSource] | None = (good.metered_power, PowerSource.METERED)
            elif good.power:
                drawn = (good.power, PowerSource.REPORTED)
            else:
                drawn = power_of_nameplate(rig.rig, good.hashrate)
            return self._operate(good.hashrate, drawn, paid, supply)
        rated = rig.rig.rated_hashrate or None
        drawn = None if rated is None else power_of_nameplate(rig.rig, rated)
        return actual if actual.hashrate and drawn is None else self._operate(rated, drawn, paid, supply)

    def _band(self, operation: Operation) -> tuple[float | None, float | None]:
        """Return the margins at both ends of what the power may truly be, the lower first."""
        if operation.margin is None or operation.cost is None or operation.source is None:
            return _NO_POWER
        spread = abs(operation.cost) * self._error[operation.source]
        return finite(operation.margin - spread), finite(operation.margin + spread)

    def _at_opportunity(self, potential: Operation, price: float | None) -> tuple[float | None, float | None]:
        """Return the margin against what the power could earn otherwise, and how wrong a nameplate may make it."""
        if potential.revenue is None or potential.kwh is None or price is None:
            return _NO_POWER
        cost = potential.kwh * price
        doubt = abs(cost) * self._error[PowerSource.NAMEPLATE] if potential.source is PowerSource.NAMEPLATE else 0.0
        return finite(potential.revenue - cost), finite(doubt)

    def _allin_margin(
        self, rig: RigSnapshot, actual: Operation, potential: Operation, fixed_per_kwh: float | None
    ) -> float | None:
        """Take off what does not stop with the rig: that runs on at its running power, whether it hashes or not."""
        if actual.margin is None or (fixed_per_kwh is None and self._write_off_per_hash is None):
            return None
        margin = actual.margin
        if fixed_per_kwh is not None:
            kwh = actual.kwh if actual.hashrate else potential.kwh
            if kwh is None:
                return None
            margin -= fixed_per_kwh * kwh
        if self._write_off_per_hash is not None:
            bought = rig.rig.rated_hashrate or potential.hashrate
            if bought is None:
                return None
            margin -= self._write_off_per_hash * bought
        return finite(margin)


def _fixed_cost_per_kwh(economics: EconomicsSettings, power: PowerSettings) -> float | None:
    """Return demand charge, hosting and opex less credits, per kWh of running rigs; None where none is said."""
    demand = power.demand_charge_usd_per_kilowatt_month
    hosting, opex = economics.hosting_usd_per_kilowatt_month, economics.opex_usd_per_kilowatt_month
    credits_ = economics.credits_usd_per_kilowatt_month
    if demand is None and hosting is None and opex is None and credits_ is None:
        return None
    monthly = (hosting or 0.0) + (opex or 0.0) - (credits_ or 0.0)
    return demand_charge_per_kilowatt_hour(demand or 0.0, power.load_factor) + monthly / HOURS_PER_MONTH


def _write_off_per_hash(economics: EconomicsSettings) -> float | None:
    """Return the depreciation per H/s and day; None where no purchase price is said."""
    price = economics.rig_price_usd_per_terahash
    return None if price is None else price / HASHES_PER_TERAHASH / (economics.rig_life_years * DAYS_PER_YEAR)


def _product(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left * right


def _ratio(part: float | None, whole: float | None) -> float | None:
    return finite(part / whole) if part is not None and whole else None


def _billed_watts(kwh_per_day: float | None) -> float | None:
    return None if kwh_per_day is None else finite(kwh_per_day / HOURS_PER_DAY * WATTS_PER_KILOWATT)


def _efficiency(operation: Operation) -> float | None:
    if operation.power is None or operation.hashrate is None:
        return None
    return finite(joules_per_terahash(operation.power, operation.hashrate))


def _breakeven_power_price(operation: Operation) -> float | None:
    """Return the power price (USD per kWh) at which the margin is zero; None for a rig that mines nothing."""
    return _ratio(operation.revenue, operation.kwh) if operation.hashrate else None


def _avoidable_loss(actual: Operation, potential: Operation) -> float | None:
    """Return what switching the rig off would save per day: its potential loss, while it draws power."""
    if potential.margin is None:
        return None
    draws = bool(actual.hashrate) or (
        actual.kwh is not None and potential.kwh is not None and actual.kwh >= IDLE_SHARE * potential.kwh
    )
    return finite(-potential.margin) if draws and potential.margin < 0 else 0.0
