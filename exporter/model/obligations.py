"""What the site owes others: how much it may or must draw, when and why. Every source of them returns these."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final


class ObligationKind(StrEnum):
    """Why power is limited, or a rig should be off.

    The order is the rank: of several reasons the first is shown. A rig under maintenance costs a call nothing.
    """

    MAINTENANCE = "maintenance"
    SCHEDULE = "schedule"  # the inventory's own hours, or a plan of the operator
    CALL = "call"  # a demand-response event or a called ancillary service
    CAP = "cap"  # a limit of the grid, the feeder or the contract
    PEAK = "peak"  # an interval that may set a peak tag
    AWARD = "award"  # capacity that was sold: it must run, so that it can be called


KIND_RANK: Final = {kind: rank for rank, kind in enumerate(ObligationKind)}


class OnStale(StrEnum):
    """What holds if a source has not answered for longer than its ``max_age``.

    mine: its last state is not used. unknown: the last state holds until its own end, at most for an hour; after that
    it is unknown. hold: the last state holds until its own end, however long.
    """

    MINE = "mine"
    UNKNOWN = "unknown"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """One interval of one event. Watts at the billing meter; times in unix seconds, the end excluded.

    Attributes:
        end: None means until further notice.
        cap: Most that may be drawn.
        reduction: How much less than the baseline must be drawn; :func:`with_baseline` makes a cap of it.
        floor: Least that must run, such as the capacity that an award has sold.
        level: 0-3 (normal, moderate, high, emergency) if the program has levels.
        blocks: The blocks that it is about, together. Empty means the whole site.
        event: Identifies the event at its source. Intervals of one event share it.
        priority: Of two that contradict each other the lower number wins. None comes last.
        price: Payment for capacity, USD per kW and hour.
        randomize: Seconds by which the true start may be later than ``start``, and the true end earlier than ``end``.
        unclear: Why its limit is not known, such as a level that the settings do not list. Empty if it is known.
    """

    kind: ObligationKind
    start: float
    end: float | None = None
    cap: float | None = None
    reduction: float | None = None
    floor: float | None = None
    level: int | None = None
    blocks: tuple[str, ...] = ()
    source: str = ""
    event: str = ""
    program: str = ""
    reason: str = ""
    priority: int | None = None
    price: float | None = None
    randomize: float = 0.0
    unclear: str = ""

    def holds(self, now: float) -> bool:
        """Whether it is in force at ``now``."""
        return self.start <= now and (self.end is None or now < self.end)

    def overlaps(self, start: float, end: float) -> bool:
        """Whether any of it lies between ``start`` and ``end``."""
        return self.start < end and (self.end is None or start < self.end)

    @property
    def limits_power(self) -> bool:
        """Whether it has a limit of power, or a least power."""
        return not (self.cap is None and self.reduction is None and self.floor is None)


def first_ahead(obligations: Iterable[Obligation], now: float) -> list[Obligation]:
    """Return the next obligation of each source and kind that has not begun at ``now``."""
    first: dict[tuple[str, ObligationKind], Obligation] = {}
    for each in sorted((each for each in obligations if each.start > now), key=lambda each: each.start):
        first.setdefault((each.source, each.kind), each)
    return list(first.values())


def with_baseline(obligation: Obligation, baseline: float) -> Obligation:
    """Turn a reduction below ``baseline`` (W) into a cap. One without a reduction stays as it is."""
    if obligation.reduction is None:
        return obligation
    cap = max(baseline - obligation.reduction, 0.0)
    return replace(obligation, cap=cap if obligation.cap is None else min(cap, obligation.cap), reduction=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteObligations:
    """What all sources of a site say together.

    Attributes:
        listed: Those that hold now or later, each with its source.
        known: Whether the state of each source is known, by its name.
        unknown: The blocks of each source whose state is not known; empty means the whole site.
    """

    listed: tuple[Obligation, ...] = ()
    known: Mapping[str, bool] = field(default_factory=dict)
    unknown: tuple[tuple[str, ...], ...] = ()

    def next_boundary(self, now: float) -> float | None:
        """Return when the next obligation begins or ends after ``now``; None if none does."""
        edges = (edge for each in self.listed for edge in (each.start, each.end) if edge is not None and edge > now)
        return min(edges, default=None)

    def unclear_blocks(self, now: float) -> frozenset[str] | None:
        """Return the blocks of which it is not known at ``now`` what may be drawn. None means the whole site."""
        scopes = [*self.unknown, *(each.blocks for each in self.listed if each.unclear and each.holds(now))]
        if () in scopes:
            return None
        return frozenset(block for scope in scopes for block in scope)
