"""An outlook: what converting a block now, later or never is worth over many paths of price and difficulty.

This module needs numpy, an extra. Only the worker process and ``hashmargin outlook`` import it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporter.decision.prospect import (
    QUANTILES,
    BlockForecast,
    Mining,
    Outlook,
    Prospect,
    Question,
    StartValue,
    repeated_value,
)
from exporter.economics.ai import present_value
from exporter.economics.hashprice import HALVING_BLOCKS, blocks_until_halving, hashprice, subsidy
from exporter.economics.retarget import BLOCK_SECONDS, EPOCH_BLOCKS
from exporter.economics.settings import Band, OutlookSettings
from exporter.model.units import MONTHS_PER_YEAR, SECONDS_PER_YEAR

Floats = NDArray[np.float64]

_SEED: Final = 16
_PAIRS: Final = 1_000
"""Paths of the price come in antithetic pairs: a path and its mirror image."""
_FEE_LEVELS: Final = 3
"""Each path of the price is taken with so many fees, evenly spread over their band."""
_DIGITS: Final = 3
_BLOCKS_PER_MONTH: Final = SECONDS_PER_YEAR / MONTHS_PER_YEAR / BLOCK_SECONDS
_EPOCHS_PER_MONTH: Final = _BLOCKS_PER_MONTH / EPOCH_BLOCKS


def foresee(question: Question) -> Outlook:
    """Work out the outlook of every block. The same question has the same answer, to the last digit.

    Price, difficulty and the blocks until the halving are rounded to three digits first, so that noise in them moves
    nothing.
    """
    market = _Market(question, max(prospect.life_months for prospect in question.prospects))
    return Outlook(
        asked_at=question.asked_at,
        blocks=tuple(_forecast(prospect, question, market) for prospect in question.prospects),
        hashprices=tuple(tuple(map(float, row)) for row in np.quantile(market.hashprices, QUANTILES, axis=0).T),
    )


class _Market:
    """Every path of the market, month by month. Arrays are by path and month, flat where sorted.

    A month in which a subsidy halves has a second column, with the hashprice after the halving; ``shares`` are how
    much of the month each column stands for.
    """

    def __init__(self, question: Question, months: int) -> None:
        settings = question.settings
        prices = _prices(_rounded(question.bitcoin_price), settings, months)
        difficulties = _difficulties(_rounded(question.difficulty), prices, settings)
        before, after, shares = _subsidies(question.height, difficulties)
        fees = _fees(settings.fees_bitcoins_per_block) if question.pays_fees else (0.0,)
        unit = hashprice(1.0, 1.0) * prices[:, :-1] / difficulties[:, :-1]
        halving = np.flatnonzero((shares < 1).any(axis=0))
        self.month_of = np.concatenate([np.arange(months), halving])
        self.shares = np.concatenate([shares, 1 - shares[:, halving]], axis=1)
        self.shares = np.tile(self.shares, (len(fees), 1))
        whole = np.concatenate([unit * (before + fee) for fee in fees])
        rest = np.concatenate([(unit * (after + fee))[:, halving] for fee in fees])
        payouts = np.concatenate([whole, rest], axis=1)
        self.hashprices = whole
        self.shape = payouts.shape
        self.order = np.argsort(payouts, axis=None)
        self.sorted = payouts.ravel()[self.order]

    def margins(self, mining: Mining) -> Floats:
        """Return the margin of some rigs by path and column, USD per utility kW and month, while they live."""
        breakevens, work = np.asarray(mining.breakevens), np.asarray(mining.work)
        order = np.argsort(breakevens, kind="stable")
        breakevens, work = breakevens[order], work[order]
        edges = np.searchsorted(self.sorted, breakevens)
        counts = np.diff(edges, prepend=0, append=len(self.sorted))
        total = np.concatenate([[0.0], np.cumsum(work)])
        offset = np.concatenate([[0.0], np.cumsum(work * breakevens)])
        margins = np.empty(len(self.sorted))
        margins[self.order] = np.repeat(total, counts) * self.sorted - np.repeat(offset, counts)
        margins = margins.reshape(self.shape) + (mining.floor - mining.fixed)
        margins[:, self.month_of >= mining.life_months] = 0.0
        return margins


def _forecast(prospect: Prospect, question: Question, market: _Market) -> BlockForecast:
    rate, starts, life = question.rate, prospect.starts, prospect.life_months
    flows = np.zeros(market.shape)
    for mining in prospect.mining:
        flows += market.margins(mining)
    flows *= market.shares * _discount(rate, market.month_of + 0.5)
    lease = repeated_value(prospect.lease_value, rate, prospect.lease_months)
    values: dict[int, Floats] = {}
    for start in starts:
        sale = prospect.sale * (1 - start / life)
        mined = flows[:, market.month_of < start + question.mining_goes_on_months].sum(axis=1)
        values[start] = mined + (lease + sale - prospect.removal) * present_value(rate, start)
    means = {start: float(value.mean()) for start, value in values.items()}
    best_later = max(starts[1:], key=means.__getitem__)
    return BlockForecast(
        block=prospect.block,
        starts=tuple(
            StartValue(months=start, mean=means[start], quantiles=tuple(map(float, np.quantile(value, QUANTILES))))
            for start, value in values.items()
        ),
        never=float(flows.sum(axis=1).mean()),
        best_later=best_later,
        probability=float(np.mean(values[0] > values[best_later])),
    )


def _prices(price: float, settings: OutlookSettings, months: int) -> Floats:
    """Return the bitcoin price by path at the start of each month, and at the end of the last.

    A lognormal walk. The mean of each month is scaled to the forward price, which leaves no error of the sample in it.
    """
    generator = np.random.RandomState(_SEED)  # numpy promises the same numbers in every version
    half = generator.standard_normal((months, _PAIRS)).T
    steps = np.concatenate([half, -half]) * (settings.volatility / MONTHS_PER_YEAR**0.5)
    walk = np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)
    relative: Floats = np.exp(walk)
    years = np.arange(months + 1) / MONTHS_PER_YEAR
    forward: Floats = price * (1 + settings.drift) ** years
    prices: Floats = relative / relative.mean(axis=0) * forward
    return prices


def _difficulties(difficulty: float, prices: Floats, settings: OutlookSettings) -> Floats:
    """Return the difficulty by path and month: its own growth, and its response to the price so far.

    A step of the price is answered evenly over the response months.
    """
    moved = np.log(prices / prices[:, :1])
    lag = settings.response_months
    if lag:
        sums = np.concatenate([np.zeros((len(moved), lag + 1)), np.cumsum(moved, axis=1)], axis=1)
        moved = (sums[:, lag:-1] - sums[:, : -lag - 1]) / lag
    years = np.arange(prices.shape[1]) / MONTHS_PER_YEAR
    return difficulty * (1 + settings.difficulty_growth) ** years * np.exp(settings.elasticity * moved)


def _subsidies(height: int, difficulties: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the subsidy at the start of each month and at its end, and the share of the month that has the first.

    Blocks come faster while difficulty rises: an epoch takes two weeks times old over new difficulty.
    """
    pace = (difficulties[:, 1:] / difficulties[:, :-1]) ** (1 / _EPOCHS_PER_MONTH)
    blocks = _BLOCKS_PER_MONTH * pace
    ends = np.cumsum(blocks, axis=1) + (HALVING_BLOCKS - _rounded(blocks_until_halving(height)))
    begins = ends - blocks
    halved, halved_at_end = np.floor(begins / HALVING_BLOCKS), np.floor(ends / HALVING_BLOCKS)
    shares = np.where(halved_at_end > halved, (halved_at_end * HALVING_BLOCKS - begins) / blocks, 1.0)
    now = subsidy(height)
    return now * 0.5**halved, now * 0.5**halved_at_end, shares


def _fees(band: Band) -> tuple[float, ...]:
    """Return fees (BTC per block) that stand for a uniform band."""
    if band.low == band.high:
        return (band.base,)
    width = (band.high - band.low) / _FEE_LEVELS
    return tuple(band.low + width * (level + 0.5) for level in range(_FEE_LEVELS))


def _discount(rate: float, months: Floats) -> Floats:
    return np.power(1 + rate, -months / MONTHS_PER_YEAR)


def _rounded(figure: float) -> float:
    return float(f"{figure:.{_DIGITS}g}")
