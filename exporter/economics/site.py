"""The whole site, priced: market, rigs, blocks and GPUs of one snapshot."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from exporter.economics.ai import Lease, MiningHorizon, value_ai
from exporter.economics.books import Hosting
from exporter.economics.contract import Contract, contract_of, is_owed, owed_seconds
from exporter.economics.gpu import price_gpus
from exporter.economics.gpu_market import price_renting, pricing_feed, with_feed_price
from exporter.economics.leases import price_leases
from exporter.economics.lines import cost_lines, fixed
from exporter.economics.margin import RigPricer
from exporter.economics.market import price_market
from exporter.economics.overhead import overheads
from exporter.economics.peaks import price_at
from exporter.economics.points import Curve
from exporter.economics.settings import AiSettings, Basis, SiteSettings
from exporter.economics.values import (
    BlockEconomics,
    Books,
    CustomerEconomics,
    Deciding,
    MarketEconomics,
    PowerSource,
    RigEconomics,
    SiteEconomics,
)
from exporter.model.fleet import Block
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import (
    DAYS_PER_YEAR,
    HOURS_PER_DAY,
    HOURS_PER_YEAR,
    MONTHS_PER_YEAR,
    SECONDS_PER_YEAR,
    finite,
    kilowatts,
    total,
)

_NO_BOOKS = Books()


def price_site(
    snapshot: SiteSnapshot, settings: SiteSettings, curves: Mapping[str, Curve] | None = None
) -> SiteEconomics:
    """Price everything in the snapshot. Pure: the same inputs give the same values.

    Args:
        snapshot: The site.
        settings: The site's.
        curves: Operating points by rig, if they are configured.
    """
    feed, settings = pricing_feed(settings), with_feed_price(settings, snapshot.ai_prices)
    market = price_market(snapshot.network, snapshot.bitcoin_price, settings.economics.scheme, value_ai(settings.ai))
    return price_on(replace(market, ai_pricing=feed), snapshot, settings, curves)


def price_on(
    market: MarketEconomics,
    snapshot: SiteSnapshot,
    settings: SiteSettings,
    curves: Mapping[str, Curve] | None = None,
) -> SiteEconomics:
    """Price everything in the snapshot on a given market."""
    members = rigs_by_block(snapshot)
    costs = _TariffCosts(snapshot, settings)
    rigs = _price_rigs(market, snapshot, settings, curves)
    if costs.any_for_capacity:
        rigs = _price_rigs(market, snapshot, settings, curves, _capacity_ratios(members, rigs))
    horizon = None if settings.ai is None else _horizon(snapshot.taken_at, market, settings.ai)
    blocks = tuple(
        _sum_block(block, [(snapshot.rigs[index], rigs[index]) for index in indices], market, horizon, costs)
        for block, indices in members.items()
    )
    gpus = settings.gpus
    return SiteEconomics(
        market=market,
        rigs=tuple(rigs),
        blocks=blocks,
        gpus=()
        if gpus is None
        else price_gpus(snapshot.gpus, gpus, snapshot.tariffs, settings.tariff, snapshot.ai_prices),
        renting=()
        if gpus is None
        else price_renting(
            gpus.market,
            snapshot.ai_prices,
            None if (tariff := snapshot.tariffs.get(gpus.tariff or settings.tariff)) is None else tariff.price,
            gpus.pue,
        ),
        leases=price_leases(settings.leases, snapshot.taken_at),
        customers=_customers(snapshot, rigs) if settings.contracts else (),
        overheads=overheads(snapshot, settings),
    )


def _customers(snapshot: SiteSnapshot, rigs: Sequence[RigEconomics]) -> tuple[CustomerEconomics, ...]:
    named: dict[str, list[RigEconomics]] = defaultdict(list)
    for rig, priced in zip(snapshot.rigs, rigs, strict=True):
        if rig.rig.customer:
            named[rig.rig.customer].append(priced)
    return tuple(
        CustomerEconomics(
            name=name,
            margin=total(each.customer_margin for each in map(_books, members)),
            avoidable_loss=total(each.avoidable_loss for each in members if not _host_decides(each)),
        )
        for name, members in named.items()
    )


def _books(priced: RigEconomics) -> Books:
    return priced.books or _NO_BOOKS


def _host_decides(priced: RigEconomics) -> bool:
    """Return whether the host's book decides if a rig is curtailed. Without a contract, the tariff's does."""
    return priced.books is None or not priced.books.contract or priced.books.host_may_curtail


def _price_rigs(
    market: MarketEconomics,
    snapshot: SiteSnapshot,
    settings: SiteSettings,
    curves: Mapping[str, Curve] | None,
    capacity_ratio: Mapping[str, float] | None = None,
) -> list[RigEconomics]:
    pricer = RigPricer(
        market,
        snapshot.tariffs,
        settings,
        now=snapshot.taken_at,
        capacity_ratio=capacity_ratio,
        surcharges={tariff: price_at(slots, snapshot.taken_at) for tariff, slots in snapshot.surcharges.items()},
        curves=curves,
    )
    rigs = list(map(pricer.price, snapshot.rigs))
    for index, share in list(pricer.block_shares(snapshot.rigs, rigs)):
        rigs[index] = pricer.price(snapshot.rigs[index], share)
    return rigs


def _capacity_ratios(members: Mapping[Block, list[int]], rigs: Sequence[RigEconomics]) -> dict[str, float]:
    """Return how many kW of capacity a block has per kW of its running rigs, where both are known."""
    running = {block: _running_power([rigs[index] for index in indices]) for block, indices in members.items()}
    return {
        block.name: ratio
        for block, watts in running.items()
        if block.capacity_watts is not None and watts and (ratio := finite(block.capacity_watts / watts)) is not None
    }


def rigs_by_block(snapshot: SiteSnapshot) -> dict[Block, list[int]]:
    """Return each block with the indices of its rigs in the snapshot; blocks that only rigs name come last."""
    blocks = {block.name: block for block in snapshot.blocks}
    members: dict[str, list[int]] = defaultdict(list, {name: [] for name in blocks})
    for index, rig in enumerate(snapshot.rigs):
        members[rig.rig.block].append(index)
    return {blocks.get(name) or Block(name=name): indices for name, indices in members.items()}


class _TariffCosts:
    """What each tariff's kilowatts cost that end at a conversion, and what is owed for them after it."""

    def __init__(self, snapshot: SiteSnapshot, settings: SiteSettings) -> None:
        self._settings = settings
        self._now = snapshot.taken_at
        self._prices = {name: tariff.price for name, tariff in snapshot.tariffs.items()}
        self._ai = value_ai(settings.ai)
        self.hosting = Hosting(settings, snapshot.taken_at)
        named = {self.hosting.host_tariff(rig.rig) for rig in snapshot.rigs}
        self._lines = {tariff: cost_lines(*settings.at(tariff)) for tariff in named}
        self.any_for_capacity = any(line.basis is Basis.CAPACITY for lines in self._lines.values() for line in lines)
        blocks = {block for tariff in named if (block := settings.at(tariff)[1].block_tariff) is not None}
        self._owing = {name for name in named | blocks if is_owed(settings.at(name)[1], self._now)}

    def ending(self, watts: Mapping[str, float], capacity: float | None) -> dict[str, float]:
        """Return the monthly costs that end at the conversion, by name, USD per day.

        Args:
            watts: running power by tariff, at the billing point.
            capacity: W, for costs that are charged for it; None takes the running power.
        """
        running = sum(watts.values())
        scale = 1.0 if capacity is None or not running else capacity / running
        ending: dict[str, float] = defaultdict(float)
        for tariff, power in watts.items():
            for line in fixed(self._lines[tariff]):
                if line.stops_at_conversion(self._settings.ai):
                    part = scale if line.basis is Basis.CAPACITY else 1.0
                    ending[line.name] += kilowatts(power) * HOURS_PER_DAY * line.per_kilowatt_hour * part
        return dict(ending)

    def owed(self, watts: Mapping[str, float]) -> tuple[float, float] | None:
        """Return what owed energy costs after the decision to convert, levelised, in the base and the low scenario.

        While building, the site owes the bill less what the energy can be sold for; then the tenant takes and pays it,
        or the site owes the bill. USD per year; None if a price is missing.
        """
        owing = [tariff for tariff, drawn in watts.items() if drawn and tariff in self._owing]
        if self._ai is None or self._ai.lease is None or self._ai.low_lease is None or not owing:
            return 0.0, 0.0
        base = low = 0.0
        for tariff in owing:
            power = self._settings.at(tariff)[1]
            contract = contract_of(tariff, power, self._prices, self._now)
            if contract is None:
                return None
            kwh = kilowatts(watts[tariff]) * HOURS_PER_YEAR
            seconds = owed_seconds(power, self._now)
            months = None if seconds is None else seconds / SECONDS_PER_YEAR * MONTHS_PER_YEAR
            base += self._levelise(self._ai.lease, contract, kwh, months)
            low += self._levelise(self._ai.low_lease, contract, kwh, months)
        return base, low

    def _levelise(self, lease: Lease, contract: Contract, kwh: float, months: float | None) -> float:
        cost = lease.levelised_building_cost(-contract.idle_value * kwh, months)
        if self._settings.ai is not None and not self._settings.ai.tenant_pays_energy:
            cost += lease.levelised_term_cost(contract.price * kwh, months)
        return cost

    def by_energy_tariff(self, rig: RigSnapshot, priced: RigEconomics, watts: float) -> Iterator[tuple[str, float]]:
        """Split a rig's watts by the tariffs that its energy is billed on."""
        tariff = self.hosting.host_tariff(rig.rig)
        block_tariff = self._settings.at(tariff)[1].block_tariff if priced.block_share is not None else None
        if block_tariff is None or priced.block_share is None:
            yield tariff, watts
        else:
            yield block_tariff, watts * priced.block_share
            yield tariff, watts * (1 - priced.block_share)

    @property
    def any_owed(self) -> bool:
        """Whether any energy is owed."""
        return bool(self._owing)


def _running_power(rigs: Sequence[RigEconomics]) -> float | None:
    """Return the watts of all rigs at running power; those of which it is not known count at the others' mean."""
    known = [rig.potential_power for rig in rigs if rig.potential_power is not None]
    return finite(sum(known) * len(rigs) / len(known)) if known else None


def _running_by_tariff(
    members: Sequence[tuple[RigSnapshot, RigEconomics]], running: float | None, costs: _TariffCosts, *, energy: bool
) -> dict[str, float]:
    """Return the running power by tariff, W: by the tariffs whose settings hold, or by those that bill the energy."""
    watts: dict[str, float] = defaultdict(float)
    mean = 0.0 if running is None else running / len(members)
    for rig, priced in members:
        power = mean if priced.potential_power is None else priced.potential_power
        if energy:
            for tariff, part in costs.by_energy_tariff(rig, priced, power):
                watts[tariff] += part
        else:
            watts[costs.hosting.host_tariff(rig.rig)] += power
    return watts


def _sum_block(
    block: Block,
    members: list[tuple[RigSnapshot, RigEconomics]],
    market: MarketEconomics,
    horizon: MiningHorizon | None,
    costs: _TariffCosts,
) -> BlockEconomics:
    rigs = [priced for _, priced in members]
    priced = [rig for rig in rigs if rig.margin is not None]
    able = [rig for rig in rigs if rig.potential_margin is not None]
    miners = [rig for rig, _ in members if rig.mines_bitcoin]
    margin, billed_power = total(rig.margin for rig in priced), total(rig.billed_power for rig in priced)
    potential_margin = total(rig.potential_margin for rig in able)
    potential_power = total(rig.potential_power for rig in able)
    potential_revenue = total(rig.potential_revenue for rig in able)
    running = _running_power(rigs)
    judged = [rig for rig in rigs if rig.opportunity_margin is not None]
    judged_power = total(rig.potential_power for rig in judged)
    allin = [rig for rig in rigs if rig.allin_cost is not None and rig.potential_work]
    allin_cost, allin_work = total(rig.allin_cost for rig in allin), total(rig.potential_work for rig in allin)
    mined = (allin_work or 0.0) * (market.payout_btc or 0.0)  # tiny factors may come to 0
    value, low = _ai_of_block(block, members, running, market, costs)
    ending = None
    if running is not None:
        ending = costs.ending(_running_by_tariff(members, running, costs, energy=False), block.capacity_watts)
        fees = total(each.space_fee for each in map(_books, rigs))
        if fees:
            ending["customers' monthly fees"] = -fees
    return BlockEconomics(
        name=block.name,
        rigs=len(members),
        priced=len(priced),
        capacity=block.capacity_watts,
        power=total(rig.power for rig in rigs),
        hashrate=total(rig.reading.value.hashrate for rig in miners if rig.reading is not None),
        revenue=total(rig.revenue for rig in priced),
        power_cost=total(rig.power_cost for rig in priced),
        margin=margin,
        billed_power=billed_power,
        margin_per_kwh=finite(margin / (HOURS_PER_DAY * kilowatts(billed_power)))
        if margin is not None and billed_power
        else None,
        potential_revenue=potential_revenue,
        potential_margin=potential_margin,
        potential_power=potential_power,
        running_power=running,
        metered_power=total(rig.billed_power for rig in rigs if rig.power_source is PowerSource.METERED),
        sale_income=total(rig.sale_income for rig in rigs),
        allin_cost=allin_cost,
        allin_breakeven_hashprice=finite(allin_cost / allin_work) if allin_cost is not None and allin_work else None,
        allin_cost_per_bitcoin=finite(allin_cost / mined) if allin_cost is not None and mined else None,
        ending_cost=None if ending is None else finite(sum(ending.values())),
        ending_costs=ending or {},
        judged=len(judged),
        judged_revenue=total(rig.judged_revenue for rig in judged),
        judged_power=judged_power,
        marginal_price=_weighted_price(judged, judged_power),
        opportunity_margin=total(rig.opportunity_margin for rig in judged),
        nameplate_doubt=total(rig.nameplate_doubt for rig in rigs),
        mining_value=_mining_value(horizon, potential_revenue, potential_margin, potential_power),
        host_margin=total(each.host_margin for each in map(_books, rigs)),
        deciding=_deciding(rigs),
        avoidable_loss=total(rig.avoidable_loss for rig in rigs if _host_decides(rig)),
        ai_value=_ai_value(value, block.capacity_watts),
        ai_value_per_kilowatt_year=value,
        ai_low_per_kilowatt_year=low,
    )


def _deciding(rigs: Sequence[RigEconomics]) -> Deciding | None:
    """Add up the rigs in the books that decide whether they run; None if none is under a hosting contract.

    A rig without a contract counts at its tariff, and without monthly costs its margin is what is left after all.
    """
    if not any(each.contract for each in map(_books, rigs)):
        return None
    own = [rig for rig in rigs if not _books(rig).contract]
    books = [each.deciding for each in map(_books, rigs) if each.deciding is not None]
    books += [
        Deciding(
            rig.margin,
            rig.power_cost,
            rig.forward_margin,
            rig.margin if rig.allin_margin is None else rig.allin_margin,
        )
        for rig in own
    ]
    known = [each for each in books if each.margin is not None]
    return Deciding(
        margin=total(each.margin for each in known),
        cost=total(each.cost for each in known),
        forward_margin=total(each.forward_margin for each in known),
        allin_margin=total(each.allin_margin for each in known),
    )


def _ai_of_block(
    block: Block,
    members: list[tuple[RigSnapshot, RigEconomics]],
    running: float | None,
    market: MarketEconomics,
    costs: _TariffCosts,
) -> tuple[float | None, float | None]:
    """Return the AI value per utility kW and year, base and low, less what a contract still owes for energy."""
    base = market.ai_value_per_kilowatt_year
    low = dict(market.ai_value_per_kwh).get("low")
    if base is None or low is None or not costs.any_owed:
        return base, None if low is None else low * HOURS_PER_YEAR
    owed = costs.owed(_running_by_tariff(members, running, costs, energy=True))
    watts = running if block.capacity_watts is None else block.capacity_watts
    power = kilowatts(watts or 0.0)
    if owed is None or not power:
        return None, None
    per_kilowatt = [finite(cost / power) for cost in owed]
    if None in per_kilowatt:
        return None, None
    return base - (per_kilowatt[0] or 0.0), low * HOURS_PER_YEAR - (per_kilowatt[1] or 0.0)


def _weighted_price(rigs: Sequence[RigEconomics], watts: float | None) -> float | None:
    """Return the marginal price of rigs of so many watts, weighted by energy; the price itself if all have the same."""
    prices = {rig.judged_price for rig in rigs}
    if len(prices) == 1:
        return prices.pop()
    weighted = total(
        rig.potential_power * rig.judged_price
        for rig in rigs
        if rig.potential_power is not None and rig.judged_price is not None
    )
    return finite(weighted / watts) if weighted is not None and watts else None


def _ai_value(per_kilowatt_year: float | None, watts: float | None) -> float | None:
    """Return what AI is worth per day on a feeder of so many watts."""
    if per_kilowatt_year is None or watts is None:
        return None
    return finite(per_kilowatt_year * kilowatts(watts) / DAYS_PER_YEAR)


def per_kilowatt_year(usd_per_day: float | None, watts: float | None) -> float | None:
    """Return a flow per kW and year: the axis on which mining and AI compare."""
    power = kilowatts(watts or 0.0)
    return finite(usd_per_day * DAYS_PER_YEAR / power) if usd_per_day is not None and power else None


def _horizon(now: float, market: MarketEconomics, settings: AiSettings) -> MiningHorizon | None:
    if settings.difficulty_growth is None or market.halving_time is None or market.subsidy_share is None:
        return None
    return MiningHorizon(
        difficulty_growth=settings.difficulty_growth,
        halving_in_years=(market.halving_time - now) / SECONDS_PER_YEAR,
        subsidy_share=market.subsidy_share,
        life_years=settings.rig_life_years,
        rate=settings.discount_rate.base,
        term_years=settings.term_years.base,
    )


def _mining_value(
    horizon: MiningHorizon | None, revenue: float | None, margin: float | None, watts: float | None
) -> float | None:
    earned, left = per_kilowatt_year(revenue, watts), per_kilowatt_year(margin, watts)
    if horizon is None or earned is None or left is None:
        return None
    return finite(horizon.per_kilowatt_year(earned, earned - left))
