"""The decision for a whole site."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.decision.conversion import BlockCase, Turn, contracts_ended
from exporter.decision.curtailment import MIXED, marginal_price, slots_ahead
from exporter.decision.history import BlockHistory, MarginHistory, Rules, book, watched, window_of
from exporter.decision.price_motion import PriceMotion
from exporter.decision.settings import DecisionSettings
from exporter.decision.survey import Survey, Surveyor
from exporter.decision.values import (
    BlockDecision,
    BlockOutlook,
    Clock,
    DecisionState,
    RigDecision,
    SiteDecision,
    Verdict,
)
from exporter.decision.verdict import decide_block, decide_rig
from exporter.economics.books import Hosting
from exporter.economics.settings import SiteSettings
from exporter.economics.site import rigs_by_block
from exporter.economics.values import Overhead, PowerSource, RigEconomics, SiteEconomics
from exporter.model.snapshot import SiteSnapshot

_NEW = Clock()


def decide(
    previous: DecisionState,
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    history: MarginHistory,
    settings: SiteSettings,
    decision: DecisionSettings,
    outlooks: Mapping[str, BlockOutlook] | None = None,
) -> tuple[SiteDecision, DecisionState, MarginHistory]:
    """Return the verdict on every rig and block, the state for the next evaluation, and the history with this one.

    Args:
        previous: the state that the last evaluation returned; a new one at the first start.
        snapshot: the site.
        economics: the same snapshot, priced.
        history: hourly margins of the blocks, without this evaluation's.
        settings: contracts and AI business.
        decision: thresholds and dwell times.
        outlooks: by block, where an outlook is set and known.
    """
    now, hosting = snapshot.taken_at, Hosting(settings, snapshot.taken_at)
    elapsed = watched(previous.evaluated_at, now, decision.longest_gap)
    members = rigs_by_block(snapshot)
    powers = {block.name: _by_tariff(snapshot, economics, indices, hosting) for block, indices in members.items()}
    mixed = {each.name: each.marginal_price for each in economics.blocks if len(powers[each.name]) > 1}
    motions = _observed(previous.motions, snapshot, settings, decision, mixed)
    turn = Turn(
        settings=decision,
        market=economics.market,
        now=now,
        elapsed=elapsed,
        ai=settings.ai,
        hosting=hosting,
        ended_by=contracts_ended(previous, hosting, snapshot),
        outlooks=outlooks or {},
        ahead={tariff: slots_ahead(tariff, snapshot, settings) for tariff in snapshot.tariffs},
        swings={name: swing for name, motion in motions.items() if (swing := motion.swing) is not None},
        free_starts=not decision.restart.costs,
    )
    surveyor = Surveyor(snapshot, economics, previous, settings, decision)
    rules, hosted_rules = Rules(settings, now), Rules(settings, now, only_hosted=True)
    blocks: list[BlockDecision] = []
    rigs: dict[int, RigDecision] = {}
    block_clocks: dict[str, Clock] = {}
    rig_clocks: dict[str, Clock] = {}
    pasts: dict[str, BlockHistory] = {}
    booked = watched(history.observed_at, now, decision.longest_gap)
    feeders = _feeders(snapshot, economics.overheads)
    for (block, indices), summed in zip(members.items(), economics.blocks, strict=True):
        survey = surveyor.survey(indices)
        past = history.blocks.get(block.name, BlockHistory())
        past = pasts[block.name] = _booked(past, survey, now, booked, decision)
        block_rigs = [snapshot.rigs[index] for index in indices]
        own = hosted_rules if hosting.any_contract(rig.rig for rig in block_rigs) else rules
        feeder = feeders.get(block.name)
        case = BlockCase(
            block=block,
            economics=summed,
            rigs=block_rigs,
            survey=survey,
            window=window_of(past, own, now, decision.history),
            rules=own,
            tariffs=powers[block.name],
            metered=max((each for each in (feeder, summed.metered_power) if each is not None), default=None),
            metered_whole=feeder is not None or _all_metered(economics.rigs[index] for index in indices),
        )
        decided, clock = decide_block(previous.blocks.get(block.name, _NEW), case, turn)
        blocks.append(replace(decided, former=history.former.get(block.name)))
        block_clocks[block.name] = clock
        reassigned = decided.verdict is Verdict.REASSIGN
        for index in indices:
            rig = snapshot.rigs[index]
            name = rig.rig.name
            before = previous.rigs.get(name, _NEW)
            rigs[index], rig_clocks[name] = decide_rig(
                before, rig, economics.rigs[index], turn, block_reassigned=reassigned
            )
    return (
        SiteDecision(rigs=tuple(rigs[index] for index in range(len(snapshot.rigs))), blocks=tuple(blocks)),
        DecisionState(evaluated_at=now, rigs=rig_clocks, blocks=block_clocks, motions=motions),
        MarginHistory(observed_at=now, blocks=pasts, former=history.former),
    )


def _by_tariff(
    snapshot: SiteSnapshot, economics: SiteEconomics, indices: Iterable[int], hosting: Hosting
) -> dict[str, float]:
    """Return the watts of the rigs whose margin is known, if they ran, by the tariff whose prices stop them."""
    watts: dict[str, float] = {}
    for index in indices:
        priced = economics.rigs[index]
        if priced.opportunity_margin is not None:
            tariff = hosting.price_tariff(snapshot.rigs[index].rig)
            watts[tariff] = watts.get(tariff, 0.0) + (priced.potential_power or 0.0)
    return watts


def _feeders(snapshot: SiteSnapshot, overheads: Iterable[Overhead]) -> dict[str, float]:
    """Return the watts of the meters of whole blocks, those left out that cannot measure their rigs."""
    measured = {
        name: watts for meter in snapshot.meters for name, watts in (*meter.feeders.items(), *meter.utilities.items())
    }
    sound = {each.block for each in overheads if each.plausible}
    return {name: watts for name, watts in measured.items() if name in sound}


def _all_metered(rigs: Iterable[RigEconomics]) -> bool:
    return all(rig.power_source is PowerSource.METERED for rig in rigs)


def _observed(
    motions: Mapping[str, PriceMotion],
    snapshot: SiteSnapshot,
    settings: SiteSettings,
    decision: DecisionSettings,
    mixed: Mapping[str, float | None],
) -> dict[str, PriceMotion]:
    """Observe the marginal price of every tariff, and of the blocks with several, if starts cost anything."""
    if not decision.restart.costs:
        return {}
    prices = {tariff: marginal_price(tariff, snapshot, settings) for tariff in snapshot.tariffs}
    prices |= {MIXED + block: price for block, price in mixed.items()}
    observed = {
        tariff: motions.get(tariff, PriceMotion()).observed(price, snapshot.taken_at)
        for tariff, price in prices.items()
        if price is not None
    }
    return {**motions, **observed}


def _booked(past: BlockHistory, survey: Survey, now: float, elapsed: float, decision: DecisionSettings) -> BlockHistory:
    """Book the time since the last evaluation, if enough of the block is known."""
    moment = survey.moment if survey.coverage >= decision.coverage else None
    return book(past, moment, now, elapsed, decision.history)
