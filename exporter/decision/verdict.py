"""The verdict on one rig and on one block, with the clocks that make it last."""

from dataclasses import replace

from exporter.decision.conversion import (
    BARRIERS,
    LARGE_FEEDER,
    BlockCase,
    Turn,
    appraise,
    highest_metered,
    judge,
    sale_of_rig,
)
from exporter.decision.curtailment import Course, Load, follow, mean_ahead, motion_of, restart_cost
from exporter.decision.latch import OFF, Latch, step
from exporter.decision.values import BlockDecision, Clock, Hindrance, RigDecision, Verdict
from exporter.economics.margin import IDLE_SHARE
from exporter.economics.site import per_kilowatt_year
from exporter.economics.values import RigEconomics
from exporter.model.snapshot import RigSnapshot
from exporter.model.units import HOURS_PER_DAY, kilowatts

# --- one rig --------------------------------------------------------------------------------------------------------


def decide_rig(
    clock: Clock, rig: RigSnapshot, economics: RigEconomics, turn: Turn, *, block_reassigned: bool
) -> tuple[RigDecision, Clock]:
    """Move one rig's clock on and return the verdict in force.

    ``repair`` needs no price. ``reassign`` follows the block's, and ends at once when hashrate or power is unknown.
    """
    hashes = None if rig.reading is None else rig.reading.value.hashrate > 0
    margin, doubt = economics.opportunity_margin, economics.nameplate_doubt or 0.0
    mining = per_kilowatt_year(economics.best_margin, economics.potential_power)
    value = turn.market.ai_value_per_kilowatt_year
    sale = sale_of_rig(rig, economics.potential_power, turn.settings, turn.market)
    score = turn.score(mining, value, sale)
    calm = margin is not None and (margin - doubt <= 0 if clock.curtail.on else margin + doubt >= 0)
    if calm and turn.free_starts and clock.curtail.evidence is None:
        course = Course(clock.curtail, 0.0, economics.judged_price)  # as follow() would return for most rigs
    else:
        before = Course(clock.curtail, clock.regret, clock.price, clock.spare)
        course = follow(before, _load_of_rig(rig, economics, turn), turn.settings, turn.elapsed)
    curtail = course.latch
    still = _stands_still(rig, economics, hashes)
    repair = _repair(clock.repair, still, turn)
    reassign = OFF
    if block_reassigned and hashes and economics.power is not None:
        best = _best_case(mining, doubt, economics.potential_power)
        reassign = _follow(clock.reassign, turn.score(best, value, sale), turn)
    held = False
    if repair.on and not curtail.on:
        verdict, stale_since = Verdict.REPAIR, None
    elif margin is not None and (hashes is not None or rig.expected_mining is False or (still and curtail.on)):
        verdict, stale_since = _economic(reassign, curtail), None
    else:
        verdict, stale_since = _held(clock, turn, (Verdict.MINE, Verdict.CURTAIL))
        held = verdict is not Verdict.UNKNOWN
    moved = clock
    if not (
        verdict is clock.verdict
        and course.latch is clock.curtail
        and repair is clock.repair
        and reassign is clock.reassign
        and stale_since == clock.stale_since
        and (course.regret, course.price, course.spare) == (clock.regret, clock.price, clock.spare)
        and clock.since is not None
        and clock.since <= turn.now
    ):  # most clocks do not move, and ten thousand new ones cost as much as judging them
        moved = Clock(
            verdict=verdict,
            since=_since(clock, verdict, turn.now),
            stale_since=stale_since,
            curtail=curtail,
            repair=repair,
            reassign=reassign,
            regret=course.regret,
            price=course.price,
            spare=course.spare,
        )
    return RigDecision(score, verdict, moved.since, held), moved


def _load_of_rig(rig: RigSnapshot, economics: RigEconomics, turn: Turn) -> Load:
    revenue, tariff = economics.judged_revenue or 0.0, turn.hosting.price_tariff(rig.rig)
    return Load(
        margin=economics.opportunity_margin,
        doubt=economics.nameplate_doubt or 0.0,
        revenue=revenue,
        kwh=HOURS_PER_DAY * kilowatts(economics.potential_power or 0.0),
        price=economics.judged_price,
        restart=restart_cost(turn.settings, revenue, rig.rig.count),
        ahead=turn.ahead.get(tariff, ()),
        swing=turn.swings.get(tariff),
    )


def _stands_still(rig: RigSnapshot, economics: RigEconomics, hashes: bool | None) -> bool | None:
    """Return whether a rig that should hash does not; None if that is not known."""
    if not rig.expected_mining:
        return rig.expected_mining
    if hashes is not None:
        return not hashes
    drawn, running = economics.billed_power, economics.potential_power  # without a reading, only a meter shows it
    if drawn is None or running is None or drawn >= IDLE_SHARE * running:
        return None
    return True


def _repair(latch: Latch, stands_still: bool | None, turn: Turn) -> Latch:
    if stands_still is None or (stands_still is latch.on and latch.evidence is None):
        return latch
    dwell = turn.settings.recover_after if latch.on else turn.settings.repair_after
    return step(latch, calls=stands_still is not latch.on, dwell=dwell, elapsed=turn.elapsed)


# --- one block ------------------------------------------------------------------------------------------------------


def decide_block(clock: Clock, case: BlockCase, turn: Turn) -> tuple[BlockDecision, Clock]:
    """Move one block's clock on and return the verdict in force."""
    settings, economics, survey = turn.settings, case.economics, case.survey
    highest, highest_at = highest_metered(clock, case, turn)
    appraisal = appraise(case, turn, highest)
    known = economics.opportunity_margin is not None and economics.judged >= settings.coverage * economics.rigs
    course = Course(clock.curtail, clock.regret, clock.price, clock.spare)
    if known:
        course = follow(course, _load_of_block(case, turn), turn.settings, turn.elapsed)
    curtail = course.latch
    covered_at = turn.now if survey.coverage >= settings.coverage and known else clock.covered_at
    hindrance, reassign = judge(clock, appraisal, case, turn, covered=covered_at == turn.now)
    uncovered = 0.0 if covered_at is None else turn.now - covered_at
    blind, lost = _blind(clock, case, turn)
    if lost and reassign.on:  # it comes back on new evidence only
        reassign = OFF
    shown = OFF if not survey.observed or uncovered > settings.hold_limit else reassign
    if known:
        verdict, stale_since = _economic(shown, curtail), None
    else:
        verdict, stale_since = _held(clock, turn, (Verdict.MINE, Verdict.CURTAIL, Verdict.REASSIGN))
        if verdict is Verdict.REASSIGN and not shown.on:
            verdict = Verdict.UNKNOWN
    moved = Clock(
        verdict=verdict,
        since=_since(clock, verdict, turn.now),
        stale_since=stale_since,
        covered_at=covered_at,
        blind=blind,
        highest=highest,
        highest_at=highest_at,
        curtail=curtail,
        reassign=reassign,
        regret=course.regret,
        price=course.price,
        spare=course.spare,
    )
    held = verdict is not Verdict.UNKNOWN and (not known or (verdict is Verdict.REASSIGN and covered_at != turn.now))
    decision = replace(
        appraisal,
        verdict=verdict,
        verdict_since=moved.since,
        held=held,
        dwell=_dwell(reassign, hindrance, turn),
        large_feeder=_is_large(appraisal, case),
        hindrance=None if verdict is Verdict.REASSIGN else hindrance or Hindrance.DWELL,
    )
    return decision, moved


def _blind(clock: Clock, case: BlockCase, turn: Turn) -> tuple[float, bool]:
    """Return for how long (s, watched) too little of a block's rigs is observed, and whether its flag is lost by that.

    Rigs that answer and have no price are observed: the evidence stays while a price is missing. Nor does the time
    count in which the exporter was not running: its first round of polls may take as long as the longest gap.
    """
    settings, survey = turn.settings, case.survey
    if survey.observed and survey.sight >= settings.coverage:
        return 0.0, False
    blind = clock.blind + turn.elapsed if turn.elapsed else 0.0
    return blind, blind > (settings.hold_limit if survey.observed else settings.longest_gap)


def _is_large(appraisal: BlockDecision, case: BlockCase) -> bool:
    """Return whether the capacity is far above what the whole block drew, once the history is long enough."""
    capacity, highest = case.economics.capacity, appraisal.highest_metered
    if capacity is None or highest is None or not case.metered_whole or appraisal.evidence < 1:
        return False
    return capacity > LARGE_FEEDER * highest


def _dwell(latch: Latch, hindrance: Hindrance | None, turn: Turn) -> float | None:
    """Return the share of its dwell time for which `reassign` has been called for; None if it cannot be."""
    if latch.on:
        return 1.0
    return None if hindrance in BARRIERS else min((latch.evidence or 0.0) / turn.settings.reassign_after, 1.0)


def _load_of_block(case: BlockCase, turn: Turn) -> Load:
    """Return the sums of a block, and its mean price ahead if that of each of its tariffs is known."""
    economics = case.economics
    count = sum(rig.rig.count for rig in case.rigs) / len(case.rigs)
    revenue = economics.judged_revenue or 0.0
    return Load(
        margin=economics.opportunity_margin,
        doubt=economics.nameplate_doubt or 0.0,
        revenue=revenue,
        kwh=HOURS_PER_DAY * kilowatts(economics.judged_power or 0.0),
        price=economics.marginal_price,
        restart=restart_cost(turn.settings, revenue, economics.judged * count),
        ahead=mean_ahead([(watts, turn.ahead.get(tariff, ())) for tariff, watts in case.tariffs.items()]),
        swing=turn.swings.get(motion_of(case.block.name, case.tariffs)),
    )


# --- both -----------------------------------------------------------------------------------------------------------


def _follow(latch: Latch, score: float | None, turn: Turn) -> Latch:
    """Let a rig follow its block above the threshold, and leave it below zero. No score, no movement."""
    if score is None:
        return latch
    if latch.on:
        return step(latch, calls=score < 0, dwell=turn.settings.reassign_clear_after, elapsed=turn.elapsed)
    threshold = turn.settings.threshold(turn.market.ai_value_per_kilowatt_year or 0.0)
    return step(latch, calls=score > threshold, dwell=turn.settings.recover_after, elapsed=turn.elapsed)


def _best_case(mining: float | None, doubt: float, power: float | None) -> float | None:
    """Return the mining margin (USD per kW and year) if the nameplate overstates the power: AI must beat that too."""
    return None if mining is None else mining + (per_kilowatt_year(doubt, power) or 0.0)


def _economic(reassign: Latch, curtail: Latch) -> Verdict:
    return Verdict.REASSIGN if reassign.on else Verdict.CURTAIL if curtail.on else Verdict.MINE


def _held(clock: Clock, turn: Turn, holdable: tuple[Verdict, ...]) -> tuple[Verdict, float]:
    """Hold a verdict whose inputs are stale, for a while; return it and since when they are."""
    stale_since = min(clock.stale_since if clock.stale_since is not None else turn.now, turn.now)
    hold = clock.verdict in holdable and turn.now - stale_since <= turn.settings.hold_limit
    return clock.verdict if hold else Verdict.UNKNOWN, stale_since


def _since(clock: Clock, verdict: Verdict, now: float) -> float:
    return min(clock.since, now) if verdict is clock.verdict and clock.since is not None else now
