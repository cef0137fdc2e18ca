"""The decision for a whole site."""

from collections.abc import Mapping
from dataclasses import replace

from exporter.decision.conversion import BlockCase, Turn
from exporter.decision.curtailment import marginal_price, slots_ahead
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
from exporter.economics.values import SiteEconomics
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
    now = snapshot.taken_at
    elapsed = watched(previous.evaluated_at, now, decision.longest_gap)
    motions = _observed(previous.motions, snapshot, settings, decision)
    turn = Turn(
        settings=decision,
        market=economics.market,
        now=now,
        elapsed=elapsed,
        ai=settings.ai,
        hosting=Hosting(settings, now),
        outlooks=outlooks or {},
        ahead={tariff: slots_ahead(tariff, snapshot, settings) for tariff in snapshot.tariffs},
        swings={name: swing for name, motion in motions.items() if (swing := motion.swing) is not None},
    )
    surveyor = Surveyor(snapshot, economics, previous, settings, decision)
    rules, hosted_rules = Rules(settings, now), Rules(settings, now, only_hosted=True)
    blocks: list[BlockDecision] = []
    rigs: dict[int, RigDecision] = {}
    block_clocks: dict[str, Clock] = {}
    rig_clocks: dict[str, Clock] = {}
    pasts: dict[str, BlockHistory] = {}
    booked = watched(history.observed_at, now, decision.longest_gap)
    for (block, indices), summed in zip(rigs_by_block(snapshot).items(), economics.blocks, strict=True):
        survey = surveyor.survey(indices)
        past = history.blocks.get(block.name, BlockHistory())
        past = pasts[block.name] = _booked(past, survey, now, booked, decision)
        members = [snapshot.rigs[index] for index in indices]
        own = hosted_rules if any(turn.hosting.contract(rig.rig) for rig in members) else rules
        case = BlockCase(
            block=block,
            economics=summed,
            rigs=members,
            survey=survey,
            window=window_of(past, own, now, decision.history),
            rules=own,
        )
        decided, clock = decide_block(previous.blocks.get(block.name, _NEW), case, turn)
        former = history.former.get(block.name)
        blocks.append(decided if former is None else replace(decided, former=former))
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


def _observed(
    motions: Mapping[str, PriceMotion], snapshot: SiteSnapshot, settings: SiteSettings, decision: DecisionSettings
) -> dict[str, PriceMotion]:
    """Observe the marginal price of every tariff, if starts cost anything."""
    if not decision.restart.costs:
        return {}
    prices = {tariff: marginal_price(tariff, snapshot, settings) for tariff in snapshot.tariffs}
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
