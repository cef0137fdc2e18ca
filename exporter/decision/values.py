"""What the decision room says per rig and per block."""

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDecision:
    """One block, with the years in which its conversion would pay back."""

    name: str
    reassign_score: float | None = None
    payback_years: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDecision:
    """Everything of one evaluation; ``rigs`` in the snapshot's order, ``blocks`` in the economics' order."""

    rigs: tuple[RigDecision, ...] = ()
    blocks: tuple[BlockDecision, ...] = ()
