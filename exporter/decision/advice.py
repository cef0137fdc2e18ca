"""Warnings about settings of the decision, such as those with which `reassign` can never come. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from exporter.decision.conversion import LARGE_FEEDER
from exporter.decision.settings import DecisionSettings
from exporter.economics.ai import value_ai
from exporter.economics.settings import Band, SiteSettings
from exporter.model.fields import format_duration
from exporter.model.fleet import Block, Rig
from exporter.model.units import DAYS_PER_YEAR, HASHES_PER_TERAHASH, SECONDS_PER_DAY, kilowatts

_BANDED: Final = ("rent_usd_per_kilowatt_month", "capex_usd_per_kilowatt")


def advise(
    settings: SiteSettings,
    decision: DecisionSettings,
    rigs: Iterable[Rig] = (),
    blocks: Iterable[Block] = (),
    index_tariffs: Iterable[str] = (),
) -> Iterator[str]:
    """Yield one sentence for each setting that keeps `reassign` from coming, or makes it less certain than it looks.

    Args:
        settings: contracts and AI business.
        decision: thresholds and evidence.
        rigs: the inventory, for what rigs would be sold for and who owns them.
        blocks: the blocks with their capacities.
        index_tariffs: the tariffs of rigs whose prices are a market's.
    """
    fleet = tuple(rigs)
    yield from _impossible(settings, decision, fleet)
    if decision.needed != decision.history_needed:
        yield (
            f"decision.history ({format_duration(decision.history)}) is shorter than decision.history_needed "
            f"({format_duration(decision.history_needed)}): {format_duration(decision.needed)} of history are needed"
        )
    if decision.resale_decay_usd_per_kilowatt_year:
        yield (
            "decision.resale_decay_usd_per_kilowatt_year keeps its former formula; set "
            "decision.rigs_sale_usd_per_terahash in its place"
        )
    for name in _BANDED if settings.ai is not None else ():
        band = getattr(settings.ai, name)
        if isinstance(band, Band) and band.low == band.high and band.base:
            yield f"ai.{name} has no band: its low scenario is its base; write {{low: , base: , high: }}"
    if settings.ai is not None:
        yield from _large_feeders(fleet, blocks)
        yield from _short_history(decision, index_tariffs)
    hosted = sum(bool(rig.customer) and not rig.contract for rig in fleet)
    if settings.ai is not None and hosted:
        yield f"{hosted:,} rigs belong to customers without a hosting contract: their blocks are never `reassign`"


def _large_feeders(rigs: tuple[Rig, ...], blocks: Iterable[Block]) -> Iterator[str]:
    """Yield blocks whose capacity is far above what their rigs are rated at, where all of them are."""
    for block in blocks:
        members = [rig for rig in rigs if rig.block == block.name]
        rated = sum((rig.rated_power or 0.0) * rig.count for rig in members)
        if block.capacity_watts is None or not members or not all(rig.rated_power for rig in members):
            continue
        if block.capacity_watts > LARGE_FEEDER * rated:
            yield (
                f"block {block.name}: its capacity is {block.capacity_watts / rated:.1f} times the rated power of its "
                "rigs, and AI hosting is valued on all of it: check that the feeder can carry that"
            )


def _short_history(decision: DecisionSettings, index_tariffs: Iterable[str]) -> Iterator[str]:
    names = ", ".join(sorted(index_tariffs))
    if names and decision.history < DAYS_PER_YEAR * SECONDS_PER_DAY:
        yield (
            f"{format_duration(decision.history)} of the market's prices ({names}) stand for a whole year in "
            "`reassign`, and a season may be missing: set decision.history longer, or read more with decision.backfill"
        )


def _impossible(settings: SiteSettings, decision: DecisionSettings, rigs: tuple[Rig, ...]) -> Iterator[str]:
    ai = value_ai(settings.ai)
    if ai is None or settings.ai is None:
        return
    sale = ai.recovery * _sale_per_kilowatt(decision, rigs)
    base, low = ai.per_kilowatt_year + sale, ai.low_per_kilowatt_year + sale
    threshold = decision.threshold(ai.per_kilowatt_year)
    if ai.per_kilowatt_year <= 0 or base <= threshold:
        yield (
            f"`reassign` can never come: the AI value with the rigs' sale price is {base:.2f} USD per kW and year, and "
            f"the threshold is {threshold:.2f}"
        )
    elif low <= 0 and settings.ai.outlook is None:
        yield (
            "`reassign` can never come without `ai.outlook`: in AI's low scenario the value with the rigs' sale price "
            f"is {low:.2f} USD per kW and year, and it must be above 0"
        )


def _sale_per_kilowatt(decision: DecisionSettings, rigs: tuple[Rig, ...]) -> float:
    """Return what the rated rigs of the inventory would be sold for, less their removal, USD per rated kW."""
    price = decision.rigs_sale_usd_per_terahash
    rated = [(rig.rated_hashrate, rig.rated_power) for rig in rigs if rig.rated_hashrate and rig.rated_power]
    power = kilowatts(sum(watts for _, watts in rated))
    if price is None or not power:
        return 0.0
    sold = price * sum(hashrate for hashrate, _ in rated) / HASHES_PER_TERAHASH
    return (sold - decision.rigs_removal_usd_per_rig * len(rated)) / power
