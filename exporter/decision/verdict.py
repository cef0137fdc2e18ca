"""The verdict on one rig and on one block: what latches over time, and which of it is in force."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from exporter.decision.history import HourlyMargin, mean_margin
from exporter.decision.latch import OFF, Latch, step
from exporter.decision.score import payback_years, reassign_score
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import BlockDecision, Clock, RigDecision, Verdict
from exporter.economics.margin import IDLE_SHARE
from exporter.economics.site import per_kilowatt_year
from exporter.economics.values import BlockEconomics, MarketEconomics, RigEconomics
from exporter.model.fleet import UNASSIGNED, Block
from exporter.model.snapshot import RigSnapshot
from exporter.model.units import DAYS_PER_YEAR, HOURS_PER_DAY, finite, kilowatts


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What all verdicts of one evaluation share."""

    terms: DecisionSettings
    market: MarketEconomics
    now: float  # unix seconds
    elapsed: float  # watched seconds since the last evaluation

    def score(self, mining_margin: float | None) -> float | None:
        """Score a mining margin (USD per kW and year) against the AI value."""
        return reassign_score(
            self.market.ai_value_per_kilowatt_year, mining_margin, self.terms.resale_decay_usd_per_kilowatt_year
        )


# --- one rig --------------------------------------------------------------------------------------------------------


def decide_rig(
    clock: Clock, rig: RigSnapshot, economics: RigEconomics, turn: Turn, *, block_reassigned: bool
) -> tuple[RigDecision, Clock]:
    """Move one rig's clock on and say the verdict in force.

    ``repair`` needs no price. ``reassign`` follows the block's and is left at once when hashrate or watts are gone.
    """
    hashes = None if rig.reading is None else rig.reading.value.hashrate > 0
    margin, doubt = economics.opportunity_margin, economics.nameplate_doubt or 0.0
    mining = per_kilowatt_year(economics.potential_margin, economics.potential_power)
    score = turn.score(mining)
    curtail = _curtail(clock.curtail, margin, doubt, economics.marginal_price, turn)
    repair = _repair(clock.repair, _stands_still(rig, economics, hashes), turn)
    reassign = OFF
    if block_reassigned and hashes and economics.power is not None:
        best = _best_case(mining, doubt, economics.potential_power)
        reassign = _reassign(clock.reassign, turn.score(best), turn, dwell=turn.terms.recover_after)
    held = False
    if repair.on and not curtail.on:
        verdict, stale_since = Verdict.REPAIR, None
    elif margin is not None and (hashes is not None or not rig.expected_mining):
        verdict, stale_since = _economic(reassign, curtail), None
    else:
        verdict, stale_since = _held(clock, turn, (Verdict.MINE, Verdict.CURTAIL))
        held = verdict is not Verdict.UNKNOWN
    moved = Clock(
        verdict=verdict,
        since=_since(clock, verdict, turn.now),
        stale_since=stale_since,
        curtail=curtail,
        repair=repair,
        reassign=reassign,
    )
    return RigDecision(reassign_score=score, verdict=verdict, verdict_since=moved.since, held=held), moved


def _stands_still(rig: RigSnapshot, economics: RigEconomics, hashes: bool | None) -> bool | None:
    """Tell whether a rig that should hash does not; None where that is not known."""
    if not rig.expected_mining:
        return False
    if hashes is not None:
        return not hashes
    drawn, running = economics.billed_power, economics.potential_power  # without a reading only a meter tells
    if drawn is None or running is None or drawn >= IDLE_SHARE * running:
        return None
    return True


def _repair(latch: Latch, stands_still: bool | None, turn: Turn) -> Latch:
    if stands_still is None:
        return latch
    dwell = turn.terms.recover_after if latch.on else turn.terms.repair_after
    return step(latch, calls=stands_still is not latch.on, dwell=dwell, elapsed=turn.elapsed)


# --- one block ------------------------------------------------------------------------------------------------------


def appraise(economics: BlockEconomics, hours: Sequence[HourlyMargin], turn: Turn) -> BlockDecision:
    """Score a block's conversion, and say what it would free, cost and pay back. No verdict yet."""
    market = turn.market
    mining = _mining_margin(economics, hours, market)
    return BlockDecision(
        name=economics.name,
        reassign_score=turn.score(mining),
        payback_years=payback_years(market.ai_capex_per_kilowatt, market.ai_noi_per_kilowatt_year, mining),
        mining_margin=mining,
        margin_lost=_per_day(mining, economics.potential_power),
        power_freed=economics.capacity if economics.capacity is not None else economics.potential_power,
        watched=min(sum(hour.seconds for hour in hours), turn.terms.history),  # a clock set back lives hours twice
    )


def decide_block(
    clock: Clock, block: Block, economics: BlockEconomics, hours: Sequence[HourlyMargin], turn: Turn
) -> tuple[BlockDecision, Clock]:
    """Move one block's clock on and say the verdict in force. ``hours`` are those inside the history's window."""
    terms = turn.terms
    decision = appraise(economics, hours, turn)
    margin, doubt = economics.opportunity_margin, economics.nameplate_doubt or 0.0
    known = margin is not None and economics.judged >= terms.coverage * economics.rigs
    curtail, reassign = clock.curtail, clock.reassign
    if known:
        curtail = _curtail(curtail, margin, doubt, _mean_price(economics), turn)
    if not block.convertible or block.name == UNASSIGNED or not (turn.market.ai_value_per_kilowatt_year or 0.0) > 0:
        reassign = OFF
    elif known:
        best = _best_case(decision.mining_margin, doubt, economics.potential_power)
        dwell = terms.reassign_after if decision.watched >= terms.history_needed else inf
        reassign = _reassign(reassign, turn.score(best), turn, dwell=dwell)
    if known:
        verdict, stale_since = _economic(reassign, curtail), None
    else:
        verdict, stale_since = _held(clock, turn, (Verdict.MINE, Verdict.CURTAIL, Verdict.REASSIGN))
    moved = Clock(
        verdict=verdict,
        since=_since(clock, verdict, turn.now),
        stale_since=stale_since,
        curtail=curtail,
        reassign=reassign,
    )
    held = not known and verdict is not Verdict.UNKNOWN
    return replace(decision, verdict=verdict, verdict_since=moved.since, held=held), moved


def _mining_margin(block: BlockEconomics, hours: Sequence[HourlyMargin], market: MarketEconomics) -> float | None:
    """Return the margin that AI must beat (USD per kW and year): the past's, or the next epoch's where that is higher.

    A conversion can't be undone, so both must agree. Without a past, this moment stands for it.
    """
    revenue, margin, power = block.potential_revenue, block.potential_margin, block.potential_power
    if revenue is None or margin is None or not power:
        return None
    kwh = HOURS_PER_DAY * kilowatts(power)
    past = hours or [HourlyMargin(hour=0.0, revenue=revenue, cost=revenue - margin, kwh=kwh)]
    mean = mean_margin(past)
    now, ahead = market.payout_usd, market.forward_payout_usd
    if mean is None or not market.retarget_confident or not now or ahead is None or not kwh:
        return mean
    after_retarget = mean_margin(past, revenue / kwh * (ahead / now))
    return mean if after_retarget is None else max(mean, after_retarget)


def _mean_price(block: BlockEconomics) -> float | None:
    """Return the energy-weighted opportunity price of a block's rigs, USD per kWh."""
    revenue, margin, power = block.potential_revenue, block.opportunity_margin, block.potential_power
    if revenue is None or margin is None or not power:
        return None
    return (revenue - margin) / (HOURS_PER_DAY * kilowatts(power))


def _per_day(per_kilowatt_year: float | None, watts: float | None) -> float | None:
    if per_kilowatt_year is None or watts is None:
        return None
    return finite(per_kilowatt_year * kilowatts(watts) / DAYS_PER_YEAR)


# --- both -----------------------------------------------------------------------------------------------------------


def _curtail(latch: Latch, margin: float | None, doubt: float, price: float | None, turn: Turn) -> Latch:
    """Stop what loses and resume what earns; a margin within its doubt calls for neither. No margin, no movement."""
    if margin is None:
        return latch
    terms = turn.terms
    if latch.on:
        dwell = terms.resume_intervals * terms.curtail_interval
        return step(latch, calls=margin - doubt > 0, dwell=dwell, elapsed=turn.elapsed)
    strike = terms.immediate_stop_usd_per_kilowatt_hour
    at_once = strike is not None and price is not None and price >= strike
    dwell = 0.0 if at_once else terms.stop_intervals * terms.curtail_interval
    return step(latch, calls=margin + doubt < 0, dwell=dwell, elapsed=turn.elapsed)


def _reassign(latch: Latch, score: float | None, turn: Turn, *, dwell: float) -> Latch:
    """Set it above the threshold for ``dwell`` seconds, clear it below zero. No score, no movement."""
    if score is None:
        return latch
    if latch.on:
        return step(latch, calls=score < 0, dwell=turn.terms.reassign_clear_after, elapsed=turn.elapsed)
    threshold = turn.terms.threshold(turn.market.ai_value_per_kilowatt_year or 0.0)
    return step(latch, calls=score > threshold, dwell=dwell, elapsed=turn.elapsed)


def _best_case(mining: float | None, doubt: float, power: float | None) -> float | None:
    """Return the mining margin (USD per kW and year) if the nameplate overstates the power: AI must beat that too."""
    return mining if not doubt or mining is None else mining + (per_kilowatt_year(doubt, power) or 0.0)


def _economic(reassign: Latch, curtail: Latch) -> Verdict:
    return Verdict.REASSIGN if reassign.on else Verdict.CURTAIL if curtail.on else Verdict.MINE


def _held(clock: Clock, turn: Turn, holdable: tuple[Verdict, ...]) -> tuple[Verdict, float]:
    """Hold a verdict whose inputs are stale, for a while; return it and since when they are."""
    stale_since = min(clock.stale_since if clock.stale_since is not None else turn.now, turn.now)
    hold = clock.verdict in holdable and turn.now - stale_since <= turn.terms.hold_limit
    return clock.verdict if hold else Verdict.UNKNOWN, stale_since


def _since(clock: Clock, verdict: Verdict, now: float) -> float:
    return min(clock.since, now) if verdict is clock.verdict and clock.since is not None else now
