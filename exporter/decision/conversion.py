"""The conversion of a block to AI: its mining margin, its score, and whether `reassign` is called for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from exporter.decision.curtailment import Slot
from exporter.decision.history import Curve, Rules, Window
from exporter.decision.latch import OFF, Latch, step
from exporter.decision.price_motion import Swing
from exporter.decision.score import advantage, payback_years, reassign_score
from exporter.decision.settings import DecisionSettings
from exporter.decision.survey import Survey
from exporter.decision.values import BlockDecision, BlockOutlook, Clock, DecisionState, Hindrance, Verdict
from exporter.economics.books import ContractKey, Hosting
from exporter.economics.settings import AiSettings, SiteSettings
from exporter.economics.values import BlockEconomics, MarketEconomics
from exporter.model.fleet import UNASSIGNED, Block
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import (
    DAYS_PER_YEAR,
    HASHES_PER_TERAHASH,
    MONTHS_PER_YEAR,
    SECONDS_PER_HOUR,
    SECONDS_PER_YEAR,
    finite,
    kilowatts,
)

_MONTHS_AFTER_BUILDING: Final = 6.0
_PAUSING: Final = frozenset({Hindrance.NOT_OBSERVED, Hindrance.SCORE_UNKNOWN})
"""While one of these lasts, the clock neither counts nor starts anew."""
_PAUSING_FIRST: Final = frozenset({Hindrance.NEXT_EPOCH_UNKNOWN, Hindrance.OUTLOOK_UNKNOWN})
"""The same, until the block is `reassign`: it can be taken back without these."""
BARRIERS: Final = frozenset(
    {
        Hindrance.NO_AI_VALUE,
        Hindrance.UNASSIGNED,
        Hindrance.NOT_CONVERTIBLE,
        Hindrance.CUSTOMER_WITHOUT_CONTRACT,
        Hindrance.BELOW_LEAST_SIZE,
        Hindrance.CAPACITY_EXCEEDED,
    }
)
"""Those that no market can change: the block is not `reassign` whatever it earns."""
LARGE_FEEDER: Final = 1.5
"""A capacity above so many times what the rigs draw is warned about."""
_LONGEST_PAUSE: Final = 86_400.0
"""Seconds without coverage after which the clock of `reassign` starts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What all verdicts of one evaluation share."""

    settings: DecisionSettings
    market: MarketEconomics
    now: float  # unix seconds
    elapsed: float  # watched seconds since the last evaluation
    ai: AiSettings | None = None
    outlooks: Mapping[str, BlockOutlook] = field(default_factory=dict)
    ahead: Mapping[str, Sequence[Slot]] = field(default_factory=dict)  # by tariff: known prices; see curtailment
    swings: Mapping[str, Swing] = field(default_factory=dict)  # by tariff: how its marginal price moves, if known
    hosting: Hosting = field(default_factory=lambda: Hosting(SiteSettings(), 0.0))
    free_starts: bool = False  # whether a start costs nothing: a rig that earns then needs no look at its prices
    ended_by: Mapping[ContractKey, str] = field(default_factory=dict)  # contract: the block whose conversion ends it

    def score(self, margin: float | None, ai_value: float | None, sale_value: float) -> float | None:
        """Score a mining margin against an AI value, all in USD per kW and year."""
        decay = self.settings.resale_decay_usd_per_kilowatt_year
        return reassign_score(ai_value, margin, sale_value=sale_value, resale_decay=decay)

    def low_score(self, margin: float | None, low_value: float | None, sale_value: float) -> float | None:
        """Score a mining margin against AI's low scenario, which may be below zero."""
        decay = self.settings.resale_decay_usd_per_kilowatt_year
        return advantage(low_value, margin, sale_value=sale_value, resale_decay=decay)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCase:
    """What is known of one block at one evaluation. ``window`` holds the hours of its history."""

    block: Block
    economics: BlockEconomics
    rigs: Sequence[RigSnapshot]
    survey: Survey
    window: Window
    rules: Rules
    tariffs: Mapping[str, float] = field(default_factory=dict)  # W of its rigs if they ran, by price_tariff
    metered: float | None = None  # W that its meters show now, at least
    metered_whole: bool = False  # whether they measure the whole block


def contracts_ended(previous: DecisionState, hosting: Hosting, snapshot: SiteSnapshot) -> dict[ContractKey, str]:
    """Return which block's conversion ends a contract: of those that are `reassign`, the first that was.

    That block bears what it costs to leave. The contract's other blocks bear nothing, so that it counts once.
    """
    flagged = {name: clock.since or 0.0 for name, clock in previous.blocks.items() if clock.verdict is Verdict.REASSIGN}
    if not hosting.any:
        return {}
    ended: dict[ContractKey, str] = {}
    for name in sorted(flagged, key=lambda name: (flagged[name], name)):
        for key in hosting.hosted(rig.rig for rig in snapshot.rigs if rig.rig.block == name):
            ended.setdefault(key, name)
    return ended


def net_sale(rigs: Iterable[RigSnapshot], settings: DecisionSettings) -> float:
    """Return what rigs are sold for at a conversion, less their removal, USD. A rig of unknown size sells for 0.

    Rigs with a hosting contract belong to the customer, who removes them.
    """
    price = settings.rigs_sale_usd_per_terahash
    if price is None:
        return 0.0
    return sum(
        price * (_sold_hashrate(rig) or 0.0) / HASHES_PER_TERAHASH - settings.rigs_removal_usd_per_rig * rig.rig.count
        for rig in rigs
        if not rig.rig.contract
    )


def sale_of_rig(rig: RigSnapshot, watts: float | None, settings: DecisionSettings, market: MarketEconomics) -> float:
    """Return what :func:`net_sale` of a rig of so many W adds to its score, USD per kW and year."""
    if settings.rigs_sale_usd_per_terahash is None:
        return 0.0
    return per_kilowatt(net_sale((rig,), settings), watts) * (market.ai_recovery or 0.0)


def _sold_hashrate(rig: RigSnapshot) -> float | None:
    if rig.rig.rated_hashrate is not None:
        return rig.rig.rated_hashrate
    if rig.last_good is not None:
        return rig.last_good.hashrate
    return rig.reading.value.hashrate if rig.reading is not None else None


def per_kilowatt(usd: float, watts: float | None) -> float:
    """Return a sum of money per kW; 0 without watts."""
    return _per(usd, watts) or 0.0


class Looks(NamedTuple):
    """Mining margins of a block, USD per utility kW and year, less the costs that a conversion ends."""

    window: float | None
    ahead: float | None

    @property
    def higher(self) -> float | None:
        """M: a conversion cannot be undone, so it must beat both."""
        return max((look for look in self if look is not None), default=None)


def looks_of(case: BlockCase, turn: Turn) -> Looks:
    """Return the two looks at a block: its window's mean, and the same hours at the hashprice to come.

    The second look is None while it is not known: in the first blocks of an epoch. If a halving lies within AI's
    building months, it is the lower of the margins after the retarget and after the halving.
    """
    market, watts, ending = turn.market, case.economics.conversion_power, case.economics.ending_cost
    hours = _hours_of(case, turn)
    if watts is None or ending is None:
        return Looks(None, None)

    def per_kilowatt(usd_per_year: float | None) -> float | None:
        return None if usd_per_year is None else _per(usd_per_year - ending * DAYS_PER_YEAR, watts)

    window = per_kilowatt(hours.margin_per_year())
    if not market.retarget_confident or market.forward_payout_usd is None:
        return Looks(window, None)
    ahead = per_kilowatt(hours.margin_per_year(market.forward_payout_usd))
    if ahead is not None and case.block.name not in turn.outlooks and _halves_while_building(turn):
        halved = per_kilowatt(hours.margin_per_year(market.halved_payout_usd))
        ahead = ahead if halved is None else min(ahead, halved)
    return Looks(window, ahead)


def _hours_of(case: BlockCase, turn: Turn) -> Window:
    """Return the hours of a block's history; without a past, this moment stands for it."""
    if case.window.seconds <= 0 and case.survey.moment is not None:
        return Window((Curve.of([case.survey.moment.hour(turn.now, SECONDS_PER_HOUR)], case.rules),))
    return case.window


_ROUNDING: Final = 1e-9  # USD per kW and year
REVENUE: Final = "revenue"
POWER: Final = "power"
STOPPING: Final = "stopping or selling"
RETARGET: Final = "next retarget"


def _margin_lines(case: BlockCase, turn: Turn, looks: Looks) -> dict[str, float]:
    """Return what a block's conversion margin is made of, USD per utility kW and year; their sum is the margin.

    Revenue and power are those of rigs that always mine; the best use of each hour adds what stopping and selling gain.
    """
    hours, watts = _hours_of(case, turn), case.economics.conversion_power
    margin, revenue, cost = hours.margin_per_year(), hours.revenue_per_year, hours.cost_per_year
    if looks.window is None or looks.higher is None or margin is None or revenue is None or cost is None:
        return {}
    parts = [
        (REVENUE, revenue),
        (POWER, -cost),
        (STOPPING, margin - (revenue - cost)),
        *((name, -usd * DAYS_PER_YEAR) for name, usd in case.economics.ending_costs.items()),
    ]
    lines: dict[str, float] = {}
    for name, usd in parts:
        value = _per(usd, watts)
        if value is None:
            return {}
        lines[name] = lines.get(name, 0.0) + value
    lines[RETARGET] = lines.get(RETARGET, 0.0) + looks.higher - looks.window
    return {name: value if abs(value) > _ROUNDING else 0.0 for name, value in lines.items()}


def _halves_while_building(turn: Turn) -> bool:
    market = turn.market
    if market.halving_time is None or market.halved_payout_usd is None:
        return False
    return market.halving_time <= turn.now + market.ai_building_months / MONTHS_PER_YEAR * SECONDS_PER_YEAR


def appraise(case: BlockCase, turn: Turn, highest_metered: float | None) -> BlockDecision:
    """Score a block's conversion, and work out what it would free, cost and pay back. No verdict yet.

    Args:
        case: the block.
        turn: this evaluation.
        highest_metered: see highest_metered().
    """
    market, economics, settings = turn.market, case.economics, turn.settings
    looks = looks_of(case, turn)
    margin, watts = looks.higher, economics.conversion_power
    ended = {hosted for hosted, block in turn.ended_by.items() if block != case.block.name}
    leaving = turn.hosting.leaving_cost((rig.rig for rig in case.rigs), ended)
    sale = per_kilowatt(net_sale(case.rigs, settings) - leaving, watts)
    sale_value = sale * (market.ai_recovery or 0.0)
    share = case.block.convertible_share
    covered = case.survey.coverage >= settings.coverage
    known = min(case.window.seconds, settings.history)  # a clock that is set back lives hours twice
    unused = (
        None
        if economics.capacity is None or economics.running_power is None
        else economics.capacity - economics.running_power
    )
    return BlockDecision(
        name=economics.name,
        reassign_score=turn.score(margin, economics.ai_value_per_kilowatt_year, sale_value),
        payback_years=payback_years(market.ai_capex_per_kilowatt, market.ai_noi_per_kilowatt_year, margin, sale),
        conversion_margin=margin,
        window_margin=looks.window,
        ahead_margin=looks.ahead,
        margin_lines=_margin_lines(case, turn, looks),
        low_score=turn.low_score(margin, economics.ai_low_per_kilowatt_year, sale_value),
        sale_value=sale_value if leaving or settings.rigs_sale_usd_per_terahash is not None else None,
        margin_lost=_per_day(margin, None if watts is None else watts * share) if covered else None,
        power_freed=None if watts is None else watts * share,
        unused_power=finite(unused),
        highest_metered=highest_metered,
        coverage=case.survey.coverage,
        watched=known,
        needed=settings.needed,
        evidence=min(known / settings.needed, 1.0),
        outlook=turn.outlooks.get(economics.name),
    )


def highest_metered(clock: Clock, case: BlockCase, turn: Turn) -> tuple[float | None, float | None]:
    """Return the most that the block's meters showed within the history's window (W), and when (unix seconds)."""
    highest, seen_at = clock.highest, clock.highest_at
    if seen_at is None or turn.now - seen_at > turn.settings.history:
        highest = seen_at = None
    if case.metered is not None and (highest is None or case.metered >= highest):
        return case.metered, turn.now
    return highest, seen_at


def judge(
    clock: Clock, appraisal: BlockDecision, case: BlockCase, turn: Turn, *, covered: bool
) -> tuple[Hindrance | None, Latch]:
    """Move the latch of `reassign` on. Returns why it is not called for, if it is not, and the latch.

    Args:
        clock: the block's, before this evaluation.
        appraisal: the block's score and margins.
        case: the block.
        turn: this evaluation.
        covered: whether enough of the block is observed and priced.
    """
    barrier = _barrier(appraisal, case, turn)
    if barrier is not None:
        return barrier, OFF
    latch = _rested(clock, turn)
    scores = _Scores.of(appraisal, case, turn)
    hindrance = _hindrance(scores, appraisal, turn, covered=covered and case.survey.observed)
    if hindrance in _PAUSING:
        return hindrance, latch
    if latch.on:
        if appraisal.evidence < 1:  # of a former version, or of longer windows: held until the new evidence decides
            return hindrance, latch
        lost = any(score is not None and score < 0 for score in (scores.window, scores.ahead))
        return hindrance, step(latch, calls=lost, dwell=turn.settings.reassign_clear_after, elapsed=turn.elapsed)
    if hindrance in _PAUSING_FIRST:
        return hindrance, latch
    return hindrance, step(latch, calls=hindrance is None, dwell=turn.settings.reassign_after, elapsed=turn.elapsed)


class _Scores(NamedTuple):
    """Scores of a block with its power at the end of its band at which mining earns more, USD per kW and year."""

    window: float | None
    ahead: float | None
    low: float | None  # of AI's low scenario, against the higher margin
    threshold: float

    @classmethod
    def of(cls, appraisal: BlockDecision, case: BlockCase, turn: Turn) -> "_Scores":
        value, low = case.economics.ai_value_per_kilowatt_year, case.economics.ai_low_per_kilowatt_year
        sale = appraisal.sale_value or 0.0
        doubt = per_kilowatt((case.economics.nameplate_doubt or 0.0) * DAYS_PER_YEAR, case.economics.conversion_power)
        looks = Looks(
            *(None if look is None else look + doubt for look in (appraisal.window_margin, appraisal.ahead_margin))
        )
        return cls(
            window=turn.score(looks.window, value, sale),
            ahead=turn.score(looks.ahead, value, sale),
            low=turn.low_score(looks.higher, low, sale),
            threshold=turn.settings.threshold(value or 0.0),
        )


def _barrier(appraisal: BlockDecision, case: BlockCase, turn: Turn) -> Hindrance | None:
    """Return why the block cannot be `reassign` whatever it earns; None if it can."""
    value, economics = case.economics.ai_value_per_kilowatt_year, case.economics
    if value is None and turn.market.ai_value_per_kilowatt_year is not None:
        value = turn.market.ai_value_per_kilowatt_year  # the price of owed energy is not known now
    size = inf if appraisal.power_freed is None else kilowatts(appraisal.power_freed)
    capacity = inf if economics.capacity is None else economics.capacity
    checks = (
        # of a feed that has no price now the value is unknown, which pauses the clock
        (turn.market.ai_pricing is None if value is None else value <= 0, Hindrance.NO_AI_VALUE),
        (case.block.name == UNASSIGNED, Hindrance.UNASSIGNED),
        (not case.block.convertible, Hindrance.NOT_CONVERTIBLE),
        (any(turn.hosting.missing(rig.rig) for rig in case.rigs), Hindrance.CUSTOMER_WITHOUT_CONTRACT),
        (turn.ai is not None and size < turn.ai.least_kilowatts, Hindrance.BELOW_LEAST_SIZE),
        ((appraisal.highest_metered or 0.0) > capacity, Hindrance.CAPACITY_EXCEEDED),
    )
    return next((hindrance for applies, hindrance in checks if applies), None)


def _hindrance(scores: _Scores, appraisal: BlockDecision, turn: Turn, *, covered: bool) -> Hindrance | None:
    """Return why `reassign` is not called for now; None if it is.

    It needs both looks above the threshold, and AI that pays in its low scenario too or a confident outlook; or the
    outlook alone.
    """
    outlook = appraisal.outlook
    sure = outlook is not None and outlook.probability >= turn.settings.confidence
    alone = sure and outlook is not None and _best_now(outlook, turn)
    too_low = scores.window is not None and scores.window <= scores.threshold
    ahead_too_low = scores.ahead is not None and scores.ahead <= scores.threshold
    unsafe = not sure and (scores.low is None or scores.low <= 0)
    missing = outlook is None and turn.ai is not None and turn.ai.outlook is not None  # as after a start
    checks = (
        (not covered, Hindrance.NOT_OBSERVED),
        (scores.window is None, Hindrance.SCORE_UNKNOWN),
        (too_low and missing and _halves_soon(turn), Hindrance.OUTLOOK_UNKNOWN),
        (too_low and not alone, Hindrance.SCORE_TOO_LOW),
        (appraisal.evidence < 1, Hindrance.EVIDENCE),
        (scores.ahead is None and not alone, Hindrance.NEXT_EPOCH_UNKNOWN),
        (ahead_too_low and not alone, Hindrance.NEXT_EPOCH_TOO_LOW),
        (unsafe and missing, Hindrance.OUTLOOK_UNKNOWN),
        (unsafe, Hindrance.LOW_SCENARIO),
    )
    return next((hindrance for applies, hindrance in checks if applies), None)


def _best_now(outlook: BlockOutlook, turn: Turn) -> bool:
    """Return whether converting now beats every later start, with a halving within building months and half a year."""
    return _halves_soon(turn) and outlook.lead > turn.settings.waiting_gain_usd_per_kilowatt


def _halves_soon(turn: Turn) -> bool:
    market = turn.market
    months = market.ai_building_months + _MONTHS_AFTER_BUILDING
    soon = turn.now + months / MONTHS_PER_YEAR * SECONDS_PER_YEAR
    return market.halving_time is not None and market.halving_time <= soon


def _rested(clock: Clock, turn: Turn) -> Latch:
    """Return the latch of `reassign`; its evidence starts anew after a day without coverage."""
    pause = 0.0 if clock.covered_at is None else abs(turn.now - clock.covered_at)
    return Latch(clock.reassign.on) if pause > _LONGEST_PAUSE else clock.reassign


def _per_day(per_kilowatt_year: float | None, watts: float | None) -> float | None:
    if per_kilowatt_year is None or watts is None:
        return None
    return finite(per_kilowatt_year * kilowatts(watts) / DAYS_PER_YEAR)


def _per(usd: float, watts: float | None) -> float | None:
    """Return a sum of money per kW; None without power, or where the result is not finite."""
    power = kilowatts(watts or 0.0)
    return finite(usd / power) if power else None
