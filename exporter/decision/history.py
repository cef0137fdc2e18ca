"""What each block would have earned, hour by hour: the past that a conversion is judged on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from exporter.economics.values import BlockEconomics, SiteEconomics
from exporter.model.units import HOURS_PER_YEAR, SECONDS_PER_DAY, finite, kilowatts

SECONDS_PER_HOUR: Final = 3_600.0
_FEWEST_ROWS: Final = 24
"""A window shorter than a day is kept in rows shorter than an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyMargin:
    """One hour of a block at its potential: what its rigs earned, or would have earned had they run.

    Where the history's window is shorter than a day, it is a 24th part of that window.
    """

    hour: float  # unix seconds at which it began
    seconds: float = 0.0  # watched
    revenue: float = 0.0  # USD
    cost: float = 0.0  # USD
    kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginHistory:
    """The hours of every block, oldest first; the last one is still open."""

    observed_at: float | None = None  # unix seconds
    blocks: Mapping[str, tuple[HourlyMargin, ...]] = field(default_factory=dict)


def observe(
    history: MarginHistory, economics: SiteEconomics, now: float, *, window: float, longest_gap: float
) -> MarginHistory:
    """Book the time since the last observation, at today's figures, and keep as many hours as ``window`` (s) has.

    A gap longer than ``longest_gap`` (s), or a clock that went back, books nothing.
    """
    elapsed = watched(history.observed_at, now, longest_gap)
    length = _row_length(window)
    most = int(window // length) + 1  # by count, so that a clock that jumps ahead for a moment wipes nothing
    blocks = {
        block.name: _book(block, history.blocks.get(block.name, ()), now, elapsed, length)[-most:]
        for block in economics.blocks
    }
    return MarginHistory(observed_at=now, blocks=blocks)


def watched(before: float | None, now: float, longest_gap: float) -> float:
    """Return the seconds since the last look; 0 where they were too many, or the clock went back."""
    elapsed = 0.0 if before is None else now - before
    return elapsed if 0 <= elapsed <= longest_gap else 0.0


def recent(hours: Sequence[HourlyMargin], now: float, window: float) -> list[HourlyMargin]:
    """Return those hours that lie within the last ``window`` seconds."""
    oldest = now - window - _row_length(window)
    return [hour for hour in hours if oldest < hour.hour <= now]


def _row_length(window: float) -> float:
    return min(SECONDS_PER_HOUR, window / _FEWEST_ROWS)


def mean_margin(hours: Sequence[HourlyMargin], revenue_per_kwh: float | None = None) -> float | None:
    """Return the mean mining margin over the hours, in USD per kW and year; None without any energy.

    An hour that loses counts as zero: its rigs are switched off, which is curtailment's gain and not AI's.

    Args:
        hours: the past.
        revenue_per_kwh: what mining earns per kWh (USD), in place of what it earned then: with the revenue after the
            next retarget, this is the margin to come at the past's energy-weighted power price.
    """
    kwh = sum(hour.kwh for hour in hours)
    if kwh <= 0:
        return None
    if revenue_per_kwh is None:
        margins = [hour.revenue - hour.cost for hour in hours]
    else:
        margins = [revenue_per_kwh * hour.kwh - hour.cost for hour in hours]
    return finite(HOURS_PER_YEAR * sum(max(margin, 0.0) for margin in margins) / kwh)


def _book(
    block: BlockEconomics, hours: tuple[HourlyMargin, ...], now: float, elapsed: float, length: float
) -> tuple[HourlyMargin, ...]:
    revenue, margin, power = block.potential_revenue, block.potential_margin, block.potential_power
    if not elapsed or revenue is None or margin is None or power is None:
        return hours
    begin = now - now % length
    by_hour = {hour.hour: hour for hour in hours}
    hour = by_hour.get(begin) or HourlyMargin(hour=begin)
    days = elapsed / SECONDS_PER_DAY
    by_hour[begin] = replace(
        hour,
        seconds=hour.seconds + elapsed,
        revenue=hour.revenue + revenue * days,
        cost=hour.cost + (revenue - margin) * days,
        kwh=hour.kwh + kilowatts(power) * elapsed / SECONDS_PER_HOUR,
    )
    return tuple(by_hour[at] for at in sorted(by_hour))
