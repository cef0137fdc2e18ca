"""Verdicts per rig and block, and the state that the next evaluation needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from exporter.decision.history import FormerHours
from exporter.decision.latch import OFF, Latch
from exporter.decision.price_motion import PriceMotion


class Verdict(StrEnum):
    """What should be done with a rig or block."""

    MINE = "mine"
    CURTAIL = "curtail"
    REASSIGN = "reassign"
    REPAIR = "repair"
    UNKNOWN = "unknown"


class RigDecision(NamedTuple):
    """One rig: its verdict, and its reassign score (USD per kW and year) if AI value and potential margin are known.

    A tuple takes half the time of a dataclass to make, and one is made per rig and evaluation.
    """

    reassign_score: float | None = None
    verdict: Verdict | None = None
    verdict_since: float | None = None  # unix seconds
    held: bool = False  # its inputs are stale, and the verdict is still the one before


class Hindrance(StrEnum):
    """Why a block is not `reassign`. The first that applies is given."""

    NO_AI_VALUE = "no_ai_value"
    UNASSIGNED = "unassigned"
    NOT_CONVERTIBLE = "not_convertible"
    CUSTOMER_WITHOUT_CONTRACT = "customer_without_contract"
    BELOW_LEAST_SIZE = "below_least_size"
    CAPACITY_EXCEEDED = "capacity_exceeded"
    NOT_OBSERVED = "not_observed"
    SCORE_UNKNOWN = "score_unknown"
    SCORE_TOO_LOW = "score_too_low"
    EVIDENCE = "evidence"
    NEXT_EPOCH_UNKNOWN = "next_epoch_unknown"
    NEXT_EPOCH_TOO_LOW = "next_epoch_too_low"
    OUTLOOK_UNKNOWN = "outlook_unknown"
    LOW_SCENARIO = "low_scenario"
    DWELL = "dwell"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOutlook:
    """An outlook's figures for converting a block now. Values per utility kW, in USD of today."""

    probability: float  # 0-1: that converting now is better than the best later start
    lead: float  # mean value of converting now, less that of the best later start
    waiting: Mapping[int, float] = field(default_factory=dict)  # by months: mean value of waiting, less of now


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDecision:
    """One block, with what its conversion would free, cost and pay back. Margins in USD per utility kW and year."""

    name: str
    reassign_score: float | None = None
    payback_years: float | None = None
    verdict: Verdict | None = None
    verdict_since: float | None = None  # unix seconds
    held: bool = False
    conversion_margin: float | None = None  # M: the higher of the two looks; below 0 where fixed costs exceed it
    window_margin: float | None = None  # the mean of the history's window
    margin_lines: Mapping[str, float] = field(default_factory=dict)  # what M is made of, in order; their sum is M
    ahead_margin: float | None = None  # the same hours after the next retarget; None while that is not known
    low_score: float | None = None  # of AI's low scenario
    sale_value: float | None = None  # of the rigs, less their removal, levelised over the AI term
    margin_lost: float | None = None  # USD per day, of its convertible part; None below the coverage
    power_freed: float | None = None  # W, of its convertible part
    highest_metered: float | None = None  # W: the most that its meters showed within the history's window
    large_feeder: bool = False  # its capacity is far above that
    unused_power: float | None = None  # W of capacity that its rigs would not use
    coverage: float = 0.0  # 0-1, by kW: observed, and with a known margin
    watched: float = 0.0  # s of history behind the score
    needed: float = 0.0  # s of history that a first `reassign` needs
    evidence: float = 0.0  # 0-1, of the history that is needed
    dwell: float | None = None  # 0-1, of the time that `reassign` must be called for; None if it cannot be
    hindrance: Hindrance | None = None  # None while it is `reassign`
    outlook: BlockOutlook | None = None
    former: FormerHours | None = None  # of an older version: shown, and counted nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDecision:
    """Everything of one evaluation; ``rigs`` in the snapshot's order, ``blocks`` in the economics' order."""

    rigs: tuple[RigDecision, ...] = ()
    blocks: tuple[BlockDecision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What is remembered of one rig or block between evaluations."""

    verdict: Verdict = Verdict.UNKNOWN
    since: float | None = None  # unix seconds
    stale_since: float | None = None  # unix seconds; None while the inputs are there
    covered_at: float | None = None  # unix seconds: when enough of a block was last observed
    blind: float = 0.0  # s, watched: for how long too little of a block's rigs has been observed
    highest: float | None = None  # W: the most that a block's meters showed within the history's window,
    highest_at: float | None = None  # unix seconds: and when
    curtail: Latch = OFF
    repair: Latch = OFF
    reassign: Latch = OFF
    regret: float = 0.0  # USD; see Course
    price: float | None = None  # USD per kWh, marginal, at the last evaluation
    spare: float = 0.0  # USD; see Course

    def shifted(self, seconds: float) -> "Clock":
        """Return it with all times moved by ``seconds``: the system clock was set."""
        return replace(
            self,
            since=_moved(self.since, seconds),
            stale_since=_moved(self.stale_since, seconds),
            covered_at=_moved(self.covered_at, seconds),
            highest_at=_moved(self.highest_at, seconds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionState:
    """What the next evaluation needs of this one. Plain data: it is kept across restarts as JSON."""

    evaluated_at: float | None = None  # unix seconds
    rigs: Mapping[str, Clock] = field(default_factory=dict)
    blocks: Mapping[str, Clock] = field(default_factory=dict)
    motions: Mapping[str, PriceMotion] = field(default_factory=dict)  # of marginal prices, by tariff

    def shifted(self, seconds: float) -> "DecisionState":
        """Return it with all times moved by ``seconds``: the system clock was set."""
        return DecisionState(
            evaluated_at=_moved(self.evaluated_at, seconds),
            rigs={name: clock.shifted(seconds) for name, clock in self.rigs.items()},
            blocks={name: clock.shifted(seconds) for name, clock in self.blocks.items()},
            motions={name: motion.shifted(seconds) for name, motion in self.motions.items()},
        )


def _moved(at: float | None, seconds: float) -> float | None:
    return None if at is None else at + seconds
