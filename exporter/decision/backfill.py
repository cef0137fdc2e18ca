"""Hours of a block's history that were recorded elsewhere, for the time before this exporter's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from exporter.decision.history import BlockHistory, BlockHour, MarginHistory, Moment, row_length, step_of, with_hours
from exporter.economics.contract import sold_at
from exporter.economics.lines import cost_lines, with_rig
from exporter.economics.settings import SiteSettings
from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_HOUR, finite

_COMPLETE: Final = 0.9 * SECONDS_PER_HOUR
"""An hour of which so much was measured is not asked for."""


class RecordedRig(NamedTuple):
    """One rig, or several alike, in one recorded hour."""

    tariff: str
    kilowatts: float  # billed, at running power
    work: float | None = None  # PH/s that are paid for
    margin: float | None = None  # USD per day at running power, of optional energy; in place of ``work``


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedHour:
    """One hour of a block as another system recorded it."""

    hour: float  # unix seconds at which it began
    seconds: float = SECONDS_PER_HOUR  # of it that were recorded
    payout: float  # USD per PH/s and day
    rigs: Sequence[RecordedRig]
    fleet: int | None = None  # rigs that the block had; None if ``rigs`` are all
    prices: Mapping[str, float] = field(default_factory=dict)  # USD per kWh, by tariff
    sales: Mapping[str, float] = field(default_factory=dict)  # USD per kWh, by the tariff whose energy is sold


def missing_hours(history: BlockHistory, now: float, window: float) -> list[float]:
    """Return the hours of the window that a history lacks in whole or in part, oldest first.

    None if its rows are not hours.
    """
    if row_length(window) < SECONDS_PER_HOUR:
        return []
    known = {hour.hour for hour in history.hours if hour.recorded or hour.seconds >= _COMPLETE}
    current = now - now % SECONDS_PER_HOUR
    hours = (current - back * SECONDS_PER_HOUR for back in range(int(window // SECONDS_PER_HOUR), 0, -1))
    return [hour for hour in hours if hour not in known]


def with_recorded(
    history: MarginHistory, recorded: Mapping[str, Iterable[BlockHour]], now: float, window: float
) -> MarginHistory:
    """Return a history with the recorded hours that it lacks, or of which it measured less. Else measured hours win."""
    blocks = dict(history.blocks)
    for block, hours in recorded.items():
        past = blocks.get(block, BlockHistory())
        wanted = set(missing_hours(past, now, window))
        measured = {hour.hour: hour for hour in past.hours}
        added = {
            hour.hour: hour
            for hour in hours
            if hour.hour in wanted and (hour.hour not in measured or hour.seconds > measured[hour.hour].seconds)
        }
        if added:
            kept, length = measured | added, row_length(window)
            still_open = past.open if past.open is not None and kept[past.open.hour] is past.open else None
            over = [hour for hour in kept.values() if hour is not still_open]
            blocks[block] = with_hours(past, over, still_open, length, int(window // length) + 1)
    return replace(history, blocks=blocks)


def recorded_hours(recorded: Iterable[RecordedHour], settings: SiteSettings, coverage: float) -> Iterator[BlockHour]:
    """Turn recorded hours into hours of the history; those of which too little is known are left out.

    Args:
        recorded: hours of one block.
        settings: the site's contracts.
        coverage: the share (0-1) of the block's rigs that must be known; the others count at the best margin per kW.
    """
    for one in recorded:
        moment = _moment(one, settings, coverage)
        if moment is not None:
            yield replace(moment.hour(one.hour, one.seconds), recorded=True)


def _moment(recorded: RecordedHour, settings: SiteSettings, coverage: float) -> Moment | None:
    payout = recorded.payout
    if payout <= 0:
        return None
    groups: dict[tuple[str, int], tuple[float, float]] = {}
    known, power, best = 0, 0.0, None
    for rig in recorded.rigs:
        work = _work(rig, recorded, settings)
        if work is None or rig.kilowatts <= 0:
            continue
        key = rig.tariff, step_of(work, rig.kilowatts)
        before = groups.get(key, (0.0, 0.0))
        groups[key] = before[0] + work, before[1] + rig.kilowatts
        known, power = known + 1, power + rig.kilowatts
        margin = payout * work / rig.kilowatts - recorded.prices[rig.tariff] * HOURS_PER_DAY
        if best is None or margin > best[0]:
            best = margin, key, work / rig.kilowatts
    fleet = len(recorded.rigs) if recorded.fleet is None else max(recorded.fleet, known)
    if best is None or known < coverage * fleet:
        return None
    _, key, work_per_kilowatt = best
    rest = power / known * (fleet - known)
    groups[key] = groups[key][0] + work_per_kilowatt * rest, groups[key][1] + rest
    if any(finite(figure) is None for pair in groups.values() for figure in pair):
        return None
    prices = {tariff: (recorded.prices[tariff], recorded.sales.get(tariff)) for tariff, _ in groups}
    return Moment(payout, prices, groups)


def _work(rig: RecordedRig, recorded: RecordedHour, settings: SiteSettings) -> float | None:
    """Return the PH/s that a rig is paid for; None if a price is missing, or the margin does not say.

    A margin is turned back into revenue with its bill price: of energy that is or was owed, or that a block of power
    covers in part, it is not known which price it was made with.
    """
    price = recorded.prices.get(rig.tariff)
    economics, power = settings.at(rig.tariff)
    if price is None or (sold_at(rig.tariff, power) is not None and rig.tariff not in recorded.sales):
        return None
    if rig.work is not None:
        return rig.work
    if rig.margin is None or power.take_or_pay or power.block_tariff is not None:
        return None
    revenue = rig.margin + (price + with_rig(cost_lines(economics, power))) * rig.kilowatts * HOURS_PER_DAY
    return max(revenue, 0.0) / recorded.payout
