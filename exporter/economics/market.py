"""The market at one moment: hashprice now and after the next retarget, and the calendar of the network."""

from dataclasses import replace
from typing import Final

from exporter.economics.ai import AiValue
from exporter.economics.hashprice import blocks_until_halving, hashprice, network_hashrate, subsidy
from exporter.economics.retarget import BLOCK_SECONDS, Retarget, expect_retarget
from exporter.economics.settings import PayoutScheme
from exporter.economics.values import MarketEconomics
from exporter.model.readings import NetworkState, Reading
from exporter.model.units import HOURS_PER_YEAR, finite

_MAX_HEIGHT: Final = 2**31 - 1  # Core counts blocks in 32 bits


def price_market(
    network: Reading[NetworkState] | None,
    bitcoin_price: Reading[float] | None,
    scheme: PayoutScheme,
    ai: AiValue | None,
) -> MarketEconomics:
    """Work out the market; what depends on a missing input is None. Bitcoin's price is held flat ahead."""
    market = ai_market(ai)
    if network is None or network.value.difficulty <= 0 or not 0 <= network.value.height < _MAX_HEIGHT:
        return market
    state = network.value
    retarget = expect_retarget(state)
    mined = subsidy(state.height + 1)  # the tip is mined already: work is paid by the block after it
    later = subsidy(state.height + retarget.blocks_remaining)
    fees = state.block_fees if state.block_fees is None or state.block_fees >= 0 else None
    price = bitcoin_price.value if bitcoin_price is not None else None
    paid_fees = fees if scheme is PayoutScheme.FPPS else 0.0
    hashprice_btc = _hashprice(state.difficulty, mined, fees, 1.0)
    payout_btc = _hashprice(state.difficulty, mined, paid_fees, 1.0)
    return replace(
        market,
        subsidy=mined,
        subsidy_share=mined / (mined + fees) if fees is not None and mined + fees > 0 else None,
        hashprice_btc=hashprice_btc,
        hashprice_usd=_hashprice(state.difficulty, mined, fees, price),
        forward_hashprice_usd=_hashprice(retarget.difficulty, later, fees, price),
        payout_btc=payout_btc,
        payout_usd=_hashprice(state.difficulty, mined, paid_fees, price),
        forward_payout_usd=_hashprice(retarget.difficulty, later, paid_fees, price),
        halved_payout_usd=_hashprice(state.difficulty, mined / 2, paid_fees, price),
        network_hashrate=_network_hashrate(state, retarget),
        next_difficulty=finite(retarget.difficulty),
        retarget_blocks_remaining=retarget.blocks_remaining,
        retarget_time=finite(retarget.time),
        retarget_confident=retarget.confident,
        halving_time=_halving_time(state, retarget),
    )


def ai_market(ai: AiValue | None) -> MarketEconomics:
    """Return a market of which only the AI value is known."""
    if ai is None:
        return MarketEconomics()
    return MarketEconomics(
        ai_value_per_kwh=tuple((scenario, value / HOURS_PER_YEAR) for scenario, value in ai.scenarios),
        ai_value_per_kilowatt_year=ai.per_kilowatt_year,
        ai_noi_per_kilowatt_year=ai.noi_per_kilowatt_year,
        ai_capex_per_kilowatt=ai.capex_per_kilowatt,
        ai_recovery=ai.recovery,
        ai_building_months=ai.building_months,
        ai_breakeven_rent=ai.breakeven_rent,
    )


def _hashprice(difficulty: float | None, subsidy: float, fees: float | None, price: float | None) -> float | None:
    if difficulty is None or difficulty <= 0 or fees is None or price is None or price < 0:
        return None
    return finite(hashprice(difficulty, (subsidy + fees) * price))


def _network_hashrate(state: NetworkState, retarget: Retarget) -> float | None:
    """Take the source's own estimate, else one from the mean block interval."""
    if state.hashrate is not None:
        return finite(state.hashrate)
    interval = state.block_interval or retarget.mean_interval
    return finite(network_hashrate(state.difficulty, interval)) if interval is not None and interval > 0 else None


def _halving_time(state: NetworkState, retarget: Retarget) -> float | None:
    """Expect ten minutes a block after the next retarget: difficulty follows."""
    if retarget.time is None:
        return None
    blocks = blocks_until_halving(state.height) - retarget.blocks_remaining
    return finite(retarget.time + blocks * BLOCK_SECONDS)
