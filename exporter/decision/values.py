"""What the decision room says per rig and per block, and what it must remember to say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.decision.latch import OFF, Latch


class Verdict(StrEnum):
    """What should be done with a rig or block."""

    MINE = "mine"
    CURTAIL = "curtail"
    REASSIGN = "reassign"
    REPAIR = "repair"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RigDecision:
    """One rig: its reassign score (USD per kW and year; None without an AI value or a potential margin)."""

    reassign_score: float | None = None
    verdict: Verdict | None = None
    verdict_since: float | None = None  # unix seconds
    held: bool = False  # its inputs are stale, so the verdict stands as it was


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDecision:
    """One block, with what its conversion would free, cost and pay back."""

    name: str
    reassign_score: float | None = None
    payback_years: float | None = None
    verdict: Verdict | None = None
    verdict_since: float | None = None  # unix seconds
    held: bool = False
    mining_margin: float | None = None  # USD per kW and year, 0 or more: what the score sets against the AI value
    margin_lost: float | None = None  # USD per day, of the whole block
    power_freed: float | None = None  # W: what the feeder carries, else what the rigs would draw
    watched: float = 0.0  # s of history behind the score


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
    curtail: Latch = OFF
    repair: Latch = OFF
    reassign: Latch = OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionState:
    """All that the next evaluation must know of this one. Plain data: it is kept across restarts as JSON."""

    evaluated_at: float | None = None  # unix seconds
    rigs: Mapping[str, Clock] = field(default_factory=dict)
    blocks: Mapping[str, Clock] = field(default_factory=dict)
