"""The whole site, priced: market, rigs, blocks and GPUs of one snapshot."""

from collections.abc import Iterable

from exporter.economics.ai import MiningHorizon, value_ai
from exporter.economics.gpu import price_gpus
from exporter.economics.margin import RigPricer
from exporter.economics.market import price_market
from exporter.economics.settings import AiSettings, SiteSettings
from exporter.economics.values import BlockEconomics, MarketEconomics, RigEconomics, SiteEconomics
from exporter.model.fleet import Block
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import DAYS_PER_YEAR, HOURS_PER_DAY, SECONDS_PER_YEAR, finite, kilowatts


def price_site(snapshot: SiteSnapshot, terms: SiteSettings) -> SiteEconomics:
    """Price everything in the snapshot. Pure: the same snapshot and terms give the same money."""
    market = price_market(snapshot.network, snapshot.bitcoin_price, terms.economics.scheme, value_ai(terms.ai))
    return price_on(market, snapshot, terms)


def price_on(market: MarketEconomics, snapshot: SiteSnapshot, terms: SiteSettings) -> SiteEconomics:
    """Price everything in the snapshot on a given market."""
    pricer = RigPricer(market, snapshot.tariffs, terms)
    rigs = tuple(map(pricer.price, snapshot.rigs))
    horizon = None if terms.ai is None else _horizon(snapshot.taken_at, market, terms.ai)
    members = rigs_by_block(snapshot)
    return SiteEconomics(
        market=market,
        rigs=rigs,
        blocks=tuple(
            _sum_block(block, [(snapshot.rigs[at], rigs[at]) for at in places], market, horizon)
            for block, places in members.items()
        ),
        gpus=() if terms.gpus is None else price_gpus(snapshot.gpus, terms.gpus, snapshot.tariffs, terms.tariff),
    )


def rigs_by_block(snapshot: SiteSnapshot) -> dict[Block, list[int]]:
    """Return each block with the places of its rigs in the snapshot; blocks that only rigs name come last."""
    blocks = {block.name: block for block in snapshot.blocks}
    members: dict[Block, list[int]] = {block: [] for block in blocks.values()}
    for place, rig in enumerate(snapshot.rigs):
        name = rig.rig.block
        if name not in blocks:
            blocks[name] = Block(name=name)
            members[blocks[name]] = []
        members[blocks[name]].append(place)
    return members


def _sum_block(
    block: Block,
    members: list[tuple[RigSnapshot, RigEconomics]],
    market: MarketEconomics,
    horizon: MiningHorizon | None,
) -> BlockEconomics:
    priced = [rig for _, rig in members if rig.margin is not None]
    able = [rig for _, rig in members if rig.potential_margin is not None]
    miners = [rig for rig, _ in members if rig.mines_bitcoin]
    margin, billed_power = _sum(rig.margin for rig in priced), _sum(rig.metered_power for rig in priced)
    potential_margin, potential_power = (
        _sum(rig.potential_margin for rig in able),
        _sum(r.potential_power for r in able),
    )
    potential_revenue = _sum(rig.potential_revenue for rig in able)
    return BlockEconomics(
        name=block.name,
        rigs=len(members),
        priced=len(priced),
        capacity=block.capacity_watts,
        power=_sum(rig.power for _, rig in members),
        hashrate=_sum(rig.reading.value.hashrate for rig in miners if rig.reading is not None),
        revenue=_sum(rig.revenue for rig in priced),
        power_cost=_sum(rig.power_cost for rig in priced),
        margin=margin,
        billed_power=billed_power,
        margin_per_kwh=finite(margin / (HOURS_PER_DAY * kilowatts(billed_power)))
        if margin is not None and billed_power
        else None,
        potential_revenue=potential_revenue,
        potential_margin=potential_margin,
        potential_power=potential_power,
        judged=sum(rig.opportunity_margin is not None for _, rig in members),
        opportunity_margin=_sum(rig.opportunity_margin for _, rig in members),
        nameplate_doubt=_sum(rig.nameplate_doubt for _, rig in members),
        mining_value=_mining_value(horizon, potential_revenue, potential_margin, potential_power),
        avoidable_loss=_sum(rig.avoidable_loss for _, rig in members),
        ai_value=_ai_value(market.ai_value_per_kilowatt_year, block.capacity_watts),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    """Add up what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return finite(sum(known)) if known else None


def _ai_value(per_kilowatt_year: float | None, watts: float | None) -> float | None:
    """Return what AI is worth per day on a feeder of so many watts."""
    if per_kilowatt_year is None or watts is None:
        return None
    return finite(per_kilowatt_year * kilowatts(watts) / DAYS_PER_YEAR)


def per_kilowatt_year(usd_per_day: float | None, watts: float | None) -> float | None:
    """Return a flow per kW and year: the axis on which mining and AI compare."""
    return finite(usd_per_day * DAYS_PER_YEAR / kilowatts(watts)) if usd_per_day is not None and watts else None


def _horizon(now: float, market: MarketEconomics, terms: AiSettings) -> MiningHorizon | None:
    if terms.difficulty_growth is None or market.halving_time is None or market.subsidy_share is None:
        return None
    return MiningHorizon(
        difficulty_growth=terms.difficulty_growth,
        halving_in_years=(market.halving_time - now) / SECONDS_PER_YEAR,
        subsidy_share=market.subsidy_share,
        life_years=terms.rig_life_years,
        rate=terms.discount_rate.base,
        term_years=terms.term_years.base,
    )


def _mining_value(
    horizon: MiningHorizon | None, revenue: float | None, margin: float | None, watts: float | None
) -> float | None:
    earned, left = per_kilowatt_year(revenue, watts), per_kilowatt_year(margin, watts)
    if horizon is None or earned is None or left is None:
        return None
    return finite(horizon.per_kilowatt_year(earned, earned - left))
