"""One rig: revenue, power cost and margin, what it would earn if it ran, and the prices at which it breaks even."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf, log, log1p
from typing import Final, NamedTuple

from exporter.economics.books import Bookkeeper, Hosting, HostPower, Use, books_without_contract
from exporter.economics.contract import Contract, Share, best, contract_of, is_owed
from exporter.economics.lines import cost_lines, fixed, per_kilowatt_hour, with_rig
from exporter.economics.points import Curve
from exporter.economics.power import billed_per_watt, power_now, power_of_nameplate
from exporter.economics.settings import Basis, EconomicsSettings, PowerSettings, SiteSettings
from exporter.economics.values import Books, MarketEconomics, PowerSource, RigEconomics
from exporter.model.snapshot import RigSnapshot, TariffPrice
from exporter.model.units import (
    DAYS_PER_YEAR,
    HASHES_PER_PETAHASH,
    HASHES_PER_TERAHASH,
    HOURS_PER_DAY,
    WATTS_PER_KILOWATT,
    finite,
    joules_per_terahash,
    kilowatts,
    petahashes,
)

WARM_UP: Final = 1_800.0
"""Seconds in which a started rig's mean hashrate still climbs and is not yet what it earns."""

_SAME_BREAKEVEN: Final = 0.005

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

    price: float | None  # on the bill
    cost: float | None  # that stops with the rig
    marginal_price: float | None
    shares: tuple[Share, ...]  # none if a price is missing
    sale_gain: float | None  # USD per kWh that is sold instead of used, at least 0
    kwh_per_watt: Mapping[PowerSource, float]  # billed per day
    with_rig_per_kwh: float  # monthly costs that stop with the rig
    fixed_per_kwh: float | None  # monthly costs that do not; None if there are none and all energy is optional
    tagged_per_kwh: float  # expected cost of peaks in ``with_rig_per_kwh`` where a tag stands for it in other margins


def firmware_fee(rig: RigSnapshot, fees: Mapping[str, float]) -> float:
    """Return the share of a rig's hashrate that its firmware takes as a fee: as reported, else as set in ``fees``."""
    reported = rig.reading.value.firmware_fee if rig.reading is not None else None
    if reported is not None:
        return reported
    return fees.get(rig.identity.firmware, 0.0) if rig.identity is not None else 0.0


class RigPricer:
    """Prices rigs on one market. What all rigs share is worked out here, once, and what those on one tariff share.

    Args:
        market: hashprices and AI value.
        tariffs: power prices in force, by name.
        settings: the site's.
        now: unix seconds, for the end of contracts.
        capacity_ratio: kW of the block's capacity per kW of its running rigs, for costs that are charged for capacity.
        surcharges: USD per kWh that running may cost now because of a peak, by tariff.
        curves: operating points by rig: a rig is judged by the best that it was measured at.
    """

    def __init__(
        self,
        market: MarketEconomics,
        tariffs: Mapping[str, TariffPrice],
        settings: SiteSettings,
        *,
        now: float = 0.0,
        capacity_ratio: Mapping[str, float] | None = None,
        surcharges: Mapping[str, float] | None = None,
        curves: Mapping[str, Curve] | None = None,
    ) -> None:
        economics, power = settings.economics, settings.power
        self._payout_usd = market.payout_usd
        self._payout_btc = market.payout_btc
        self._forward_payout_usd = market.forward_payout_usd
        self._after_fee = 1 - economics.pool_fee
        self._reject_ratio = economics.reject_ratio
        self._firmware_fees = economics.firmware_fees
        self._prices = {name: tariff.price for name, tariff in tariffs.items()}
        self._settings = settings
        self._now = now
        self._capacity_ratio = capacity_ratio or {}
        self._surcharges = surcharges or {}
        self._curves = curves or {}
        self._supplies: dict[tuple[str, float | None, float | None], Supply] = {}
        self._error = {source: power.error(source) for source in PowerSource}
        self._write_off_per_hash = _write_off_per_hash(economics)
        self._hosting = Hosting(settings, now)
        self._bookkeeper = Bookkeeper(settings, market)

    def price(self, rig: RigSnapshot, block_share: float | None = None) -> RigEconomics:
        """Work out everything about one rig; what depends on a missing input is None.

        Args:
            rig: the rig.
            block_share: the share of its energy that its tariff's block of power covers; None if the tariff has none.
        """
        supply = self._supply_of(rig, rig.rig.tariff, block_share)
        paid = self._paid(rig)
        bitcoin = rig.mines_bitcoin  # asked once: it looks the model up
        actual = self._actual(rig, paid, supply, bitcoin=bitcoin)
        own = self._potential(rig, actual, paid, supply) if bitcoin else self._operate(None, None, paid, supply)
        potential, strike = self._at_best_point(rig, own, paid, supply, bitcoin=bitcoin)
        low, high = self._band(actual)
        opportunity_margin, nameplate_doubt = self._at_marginal_price(potential, supply)
        mined = None if actual.hashrate is None else petahashes(actual.hashrate) * paid
        cost_per_bitcoin = _ratio(actual.cost, _product(mined, self._payout_btc))
        forward = _product(mined, self._forward_payout_usd)
        allin_cost = self._allin_cost(rig, potential, supply)
        work = None if potential.hashrate is None else petahashes(potential.hashrate) * paid
        avoidable_loss = _avoidable_loss(rig, actual, potential, own)
        best_margin, marginal_price = _best_margin(potential, supply), supply.marginal_price
        revenue, price = finite(potential.revenue), marginal_price
        books = self._books(rig, actual, potential, block_share) if self._hosting.any else None
        if books is not None and books.contract:
            work = _product(work, books.work_factor)
            best_margin, judged = books.host_best, books.judged
            opportunity_margin = nameplate_doubt = avoidable_loss = marginal_price = revenue = price = None
            if judged is not None:
                opportunity_margin, nameplate_doubt, revenue, price = judged
                avoidable_loss = _loss(judged.margin, draws=_draws(rig, actual, potential))
                # at the site's own pool: the price at which the rig's best operating point is chosen
                scale = 1.0 if books.host_may_curtail else _ratio(potential.revenue, revenue)
                marginal_price = _product(price, scale)
        return RigEconomics(
            power=finite(actual.power),
            power_source=actual.source,
            billed_power=_billed_watts(actual.kwh),
            efficiency=_efficiency(actual),
            revenue=finite(actual.revenue),
            power_cost=finite(actual.cost),
            margin=finite(actual.margin),
            margin_low=low,
            margin_high=high,
            power_price=supply.price,
            marginal_price=marginal_price,
            block_share=block_share,
            paid_share=paid,
            potential_work=finite(work),
            potential_revenue=finite(potential.revenue),
            potential_margin=finite(potential.margin),
            potential_power=_billed_watts(potential.kwh),
            potential_power_source=potential.source,
            potential_breakeven_power_price=strike,
            judged_revenue=revenue,
            judged_price=price,
            best_margin=best_margin,
            sale_income=_sale_income(actual, potential, supply),
            opportunity_margin=opportunity_margin,
            nameplate_doubt=nameplate_doubt,
            avoidable_loss=avoidable_loss,
            books=books,
            allin_margin=self._allin_margin(rig, actual, potential, supply),
            allin_cost=allin_cost,
            allin_breakeven_hashprice=_ratio(allin_cost, work),
            allin_cost_per_bitcoin=_ratio(allin_cost, _product(work, self._payout_btc)),
            forward_margin=None if forward is None or actual.cost is None else finite(forward - actual.cost),
            margin_per_kwh=_ratio(actual.margin, actual.kwh),
            breakeven_power_price=_breakeven_power_price(actual),
            breakeven_hashprice=_ratio(actual.cost, mined),
            breakeven_bitcoin_price=cost_per_bitcoin,  # the price at which a bitcoin just pays for its power
            cost_per_bitcoin=cost_per_bitcoin,
        )

    def block_shares(self, rigs: Sequence[RigSnapshot], priced: Sequence[RigEconomics]) -> Iterator[tuple[int, float]]:
        """Yield the index of each rig on a tariff with a block of power, and the share of its energy in that block.

        The block serves the rigs with the highest breakeven power price first, so that those with the lowest are
        curtailed first. Breakevens within half a per cent of each other are ordered by name, so that the order is
        steady. Rigs that are meant to be off take no room in the block.
        """
        named = {rig.rig.tariff for rig in rigs}
        sizes = {tariff: kilowatts for tariff in named if (kilowatts := self._settings.at(tariff)[1].block_kilowatts)}
        for tariff, size in sizes.items():
            room = size * WATTS_PER_KILOWATT
            members = [index for index, rig in enumerate(rigs) if rig.rig.tariff == tariff]
            for index in sorted(members, key=lambda index: (-_rank(priced[index]), rigs[index].rig.name)):
                watts = priced[index].potential_power or priced[index].billed_power or 0.0
                yield index, min(max(room / watts, 0.0), 1.0) if watts > 0 else float(room > 0)
                room -= 0.0 if rigs[index].expected_mining is False else watts

    def _paid(self, rig: RigSnapshot) -> float:
        """Return the share of its work that its owner is paid for: not what is rejected, nor what fees take."""
        ratio = rig.reject_ratio
        rejected = ratio if ratio is not None and 0 <= ratio <= 1 else self._reject_ratio
        return (1 - rejected) * (1 - firmware_fee(rig, self._firmware_fees)) * self._after_fee

    def _supply_of(self, rig: RigSnapshot, tariff: str, block_share: float | None) -> Supply:
        key = (tariff, block_share, self._capacity_ratio.get(rig.rig.block))
        supply = self._supplies.get(key)
        if supply is None:
            supply = self._supplies[key] = self._supply(*key)
        return supply

    def _books(self, rig: RigSnapshot, actual: Operation, potential: Operation, block_share: float | None) -> Books:
        contract = self._hosting.contract(rig.rig)
        if contract is None:
            return books_without_contract(rig.rig, finite(actual.margin))
        host = self._hosting.host_tariff(rig.rig)
        share = block_share if host == rig.rig.tariff else None
        supply = self._supply_of(rig, host, share)
        if self._settings.at(host)[1].block_tariff is not None and share is None:
            # its share of the block is not known
            supply = supply._replace(price=None, cost=None, marginal_price=None, sale_gain=None)
        return self._bookkeeper.books(
            rig.rig,
            contract,
            _use(actual),
            _use(potential),
            HostPower(
                price=supply.price,
                cost=supply.cost,
                marginal_price=supply.marginal_price,
                with_rig=supply.with_rig_per_kwh,
                sale_gain=supply.sale_gain,
                fixed=supply.fixed_per_kwh or 0.0,
                tagged=supply.tagged_per_kwh,
            ),
            error=self._error[PowerSource.NAMEPLATE] if potential.source is PowerSource.NAMEPLATE else 0.0,
            draws=_draws(rig, actual, potential),
        )

    def _supply(self, tariff: str, block_share: float | None, capacity_ratio: float | None) -> Supply:
        """Work out what the rigs on one tariff share."""
        economics, power = self._settings.at(tariff)
        lines = cost_lines(economics, power)
        surcharge = self._surcharges.get(tariff, 0.0)
        stopping = with_rig(lines) + surcharge
        rest = tuple(fixed(lines))
        capacity = per_kilowatt_hour(rest, Basis.CAPACITY) * (1.0 if capacity_ratio is None else capacity_ratio)
        parts = self._parts(tariff, power, block_share)
        owed = any(is_owed(self._settings.at(name)[1], self._now) for name, _ in parts)
        cost = self._mean(parts, self._cost)
        marginal = self._mean(parts, lambda name: _marginal_price(self._contract(name)))
        shares = tuple(Share(name, share, contract) for name, share in parts if (contract := self._contract(name)))
        return Supply(
            price=self._mean(parts, self._prices.get),
            cost=None if cost is None else cost + stopping,
            marginal_price=None if marginal is None else marginal + stopping,
            shares=() if marginal is None else shares,
            sale_gain=None if marginal is None else sum(share * contract.sale_gain for _, share, contract in shares),
            kwh_per_watt={source: HOURS_PER_DAY * kilowatts(billed_per_watt(source, power)) for source in PowerSource},
            with_rig_per_kwh=stopping,
            fixed_per_kwh=per_kilowatt_hour(rest, Basis.RUNNING) + capacity if rest or owed else None,
            tagged_per_kwh=surcharge if any(line.peak_tag for line in lines) else 0.0,
        )

    @staticmethod
    def _parts(tariff: str, power: PowerSettings, block_share: float | None) -> list[tuple[str, float]]:
        """Return the tariffs that a rig's energy is billed on, with the share of each."""
        if block_share is None or power.block_tariff is None:
            return [(tariff, 1.0)]
        parts = [(power.block_tariff, block_share), (tariff, 1 - block_share)]
        return [(name, share) for name, share in parts if share > 0]

    def _contract(self, tariff: str) -> Contract | None:
        return contract_of(tariff, self._settings.at(tariff)[1], self._prices, self._now)

    def _cost(self, tariff: str) -> float | None:
        """Return what stops with the rig, per kWh. That of optional energy does not depend on its sale price."""
        if not is_owed(self._settings.at(tariff)[1], self._now):
            return self._prices.get(tariff)
        contract = self._contract(tariff)
        return None if contract is None else contract.cost

    @staticmethod
    def _mean(parts: Sequence[tuple[str, float]], price: Callable[[str], float | None]) -> float | None:
        known = [(share, value) for name, share in parts if (value := price(name)) is not None]
        return sum(share * value for share, value in known) if len(known) == len(parts) else None

    def _operate(
        self, hashrate: float | None, drawn: tuple[float, PowerSource] | None, paid: float, supply: Supply
    ) -> Operation:
        power, source = drawn or _NO_POWER
        kwh = None if power is None or source is None else power * supply.kwh_per_watt[source]
        payout = self._payout_usd
        revenue = None if hashrate is None or payout is None else petahashes(hashrate) * paid * payout
        cost = None if kwh is None or supply.cost is None else kwh * supply.cost
        margin = None if revenue is None or cost is None else revenue - cost
        return Operation(hashrate, power, source, kwh, revenue, cost, margin)

    def _actual(self, rig: RigSnapshot, paid: float, supply: Supply, *, bitcoin: bool) -> Operation:
        hashrate = rig.reading.value.hashrate if rig.reading is not None and bitcoin else None
        if hashrate is not None and hashrate < 0:
            hashrate = None
        return self._operate(hashrate, power_now(rig, hashrate), paid, supply)

    def _potential(self, rig: RigSnapshot, actual: Operation, paid: float, supply: Supply) -> Operation:
        """Judge a rig that runs by what it does, another by what it did when it ran well, else by its nameplate."""
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

    def _at_best_point(
        self, rig: RigSnapshot, own: Operation, paid: float, supply: Supply, *, bitcoin: bool
    ) -> tuple[Operation, float | None]:
        """Return the operation at the best point that the rig was measured at, else its own, and the strike.

        The strike is the power price above which no such point earns: the highest of their breakevens.
        """
        strike, price = _breakeven_power_price(own), supply.marginal_price
        if not self._curves:
            return own, strike
        curve = self._curves.get(rig.rig.name)
        proven = () if curve is None or not bitcoin else curve.proven
        if not proven or self._payout_usd is None or price is None:
            return own, strike
        value = paid * self._payout_usd / HASHES_PER_PETAHASH
        strikes = [value * each.hashrate / each.kwh for each in proven]
        best = max(proven, key=lambda each: each.margin(value, price))
        if own.hashrate and rig.reading is not None and rig.reading.value.point == best.name:
            return own, finite(max((*strikes, strike or 0.0)))
        known = own.revenue is not None and own.kwh is not None
        if known and (own.revenue or 0.0) - (own.kwh or 0.0) * price >= best.margin(value, price):
            return own, finite(max((*strikes, strike or 0.0)))
        return self._operate(best.hashrate, (best.power, best.source), paid, supply), finite(max(strikes))

    def _band(self, operation: Operation) -> tuple[float | None, float | None]:
        """Return the margins at both ends of what the power may truly be, the lower first."""
        if operation.margin is None or operation.cost is None or operation.source is None:
            return _NO_POWER
        spread = abs(operation.cost) * self._error[operation.source]
        return finite(operation.margin - spread), finite(operation.margin + spread)

    def _at_marginal_price(self, potential: Operation, supply: Supply) -> tuple[float | None, float | None]:
        """Return the margin at the marginal price, and how far off it may be if its power is the nameplate's."""
        price = supply.marginal_price
        if potential.revenue is None or potential.kwh is None or price is None:
            return _NO_POWER
        cost = potential.kwh * price
        doubt = abs(cost) * self._error[PowerSource.NAMEPLATE] if potential.source is PowerSource.NAMEPLATE else 0.0
        return finite(potential.revenue - cost), finite(doubt)

    def _allin_margin(self, rig: RigSnapshot, actual: Operation, potential: Operation, supply: Supply) -> float | None:
        """Take off what does not stop with the rig: that is due at its running power, whether it hashes or not."""
        write_off = self._write_off(rig, potential)
        if actual.margin is None or write_off is None or supply.price is None or supply.cost is None:
            return None
        margin = actual.margin - write_off
        if supply.fixed_per_kwh is not None:
            kwh = actual.kwh if actual.hashrate else potential.kwh
            if kwh is None:
                return None
            owed = supply.price + supply.with_rig_per_kwh - supply.cost  # 0 for optional energy
            margin -= (supply.fixed_per_kwh + owed) * kwh
            margin += supply.tagged_per_kwh * (actual.kwh or 0.0)
        elif self._write_off_per_hash is None:
            return None
        return finite(margin)

    def _allin_cost(self, rig: RigSnapshot, potential: Operation, supply: Supply) -> float | None:
        """Return all costs of a day at running power: the bill, the monthly costs and the depreciation."""
        if supply.fixed_per_kwh is None and self._write_off_per_hash is None:
            return None
        write_off = self._write_off(rig, potential)
        if potential.kwh is None or write_off is None or supply.price is None:
            return None
        per_kwh = supply.price + supply.with_rig_per_kwh - supply.tagged_per_kwh + (supply.fixed_per_kwh or 0.0)
        return finite(per_kwh * potential.kwh + write_off)

    def _write_off(self, rig: RigSnapshot, potential: Operation) -> float | None:
        """Return the depreciation per day: 0 without a purchase price; None if the rig's size is not known."""
        if self._write_off_per_hash is None:
            return 0.0
        bought = rig.rig.rated_hashrate or potential.hashrate
        return None if bought is None else self._write_off_per_hash * bought


def _rank(priced: RigEconomics) -> float:
    """Return the place of a rig in the order of breakevens, in steps of half a per cent; unknown ones come first."""
    breakeven = priced.potential_breakeven_power_price
    if breakeven is None:
        return inf
    return round(log(breakeven) / log1p(_SAME_BREAKEVEN)) if breakeven > 0 else -inf


def _marginal_price(contract: Contract | None) -> float | None:
    return None if contract is None else contract.marginal_price


def _best_margin(potential: Operation, supply: Supply) -> float | None:
    """Return what the rig is worth per day if it does what pays best at each share of its energy."""
    if potential.revenue is None or potential.kwh is None or not supply.shares:
        return None
    net = potential.revenue - (supply.with_rig_per_kwh - supply.tagged_per_kwh) * potential.kwh
    if len(supply.shares) == 1:
        return finite(best(net, potential.kwh, supply.shares[0].contract))
    return finite(sum(best(share * net, share * potential.kwh, contract) for _, share, contract in supply.shares))


def _sale_income(actual: Operation, potential: Operation, supply: Supply) -> float | None:
    """Return what the sale of the energy that a rig could use and does not use brings per day; never below 0."""
    if actual.kwh is None or potential.kwh is None or supply.sale_gain is None:
        return None
    return finite(max(potential.kwh - actual.kwh, 0.0) * supply.sale_gain) if supply.sale_gain else 0.0


def _write_off_per_hash(economics: EconomicsSettings) -> float | None:
    """Return the depreciation per H/s and day; None without a purchase price."""
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


def _avoidable_loss(rig: RigSnapshot, actual: Operation, potential: Operation, own: Operation) -> float | None:
    """Return what switching the rig off would save per day: its potential loss, while it draws power.

    A rig that loses as it runs, and would earn at a better point, has no such loss: it should change its point.

    None if it is not known whether it draws power. One that does not answer, and is meant to be off, draws none.
    """
    draws = _draws(rig, actual, potential)
    if potential.margin is None or draws is None:
        return None
    loss = potential.margin if own.margin is None else own.margin
    return finite(-loss) if draws and potential.margin < 0 else 0.0


def _draws(rig: RigSnapshot, actual: Operation, potential: Operation) -> bool | None:
    """Return whether a rig draws power; None if that is not known."""
    if actual.hashrate:
        return True
    if actual.kwh is not None and potential.kwh is not None:
        return actual.kwh >= IDLE_SHARE * potential.kwh
    return False if rig.reading is None and rig.expected_mining is False else None


def _loss(margin: float, *, draws: bool | None) -> float | None:
    """Return the loss of a margin while power is drawn; None if it is not known whether it is."""
    return None if draws is None else max(-margin, 0.0) if draws else 0.0


def _use(operation: Operation) -> Use:
    return Use(bool(operation.hashrate), operation.power, operation.kwh, operation.revenue)
