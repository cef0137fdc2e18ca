"""What the site owes others: how much it may or must draw, when and why. Every source of them returns these."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple


class ObligationKind(StrEnum):
    """Why power is limited, or a rig should be off. The order is the rank: of several reasons the first is shown."""

    CALL = "call"  # a demand-response event or a called ancillary service
    CAP = "cap"  # a limit of the grid, the feeder or the contract
    AWARD = "award"  # capacity that was sold: it must run, so that it can be called
    PEAK = "peak"  # an interval that may set a peak tag
    MAINTENANCE = "maintenance"
    SCHEDULE = "schedule"  # the inventory's own hours, or a plan of the operator


KIND_RANK: Final = {kind: rank for rank, kind in enumerate(ObligationKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """One interval of one event. Watts at the billing meter; times in unix seconds, the end excluded.

    Attributes:
        end: None means until further notice.
        cap: Most that may be drawn.
        reduction: How much less than the baseline must be drawn; :func:`with_baseline` makes a cap of it.
        floor: Least that must run, such as the capacity that an award has sold.
        level: 0-3 (normal, moderate, high, emergency) if the programme has levels.
        blocks: The blocks that it is about, together. Empty means the whole site.
        event: Identifies the event at its source. Intervals of one event share it.
        priority: Of two that contradict each other the lower number wins. None comes last.
        price: Payment for capacity, USD per kW and hour.
        firm: False if it may be declined.
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
    programme: str = ""
    reason: str = ""
    priority: int | None = None
    price: float | None = None
    firm: bool = True

    def holds(self, now: float) -> bool:
        """Whether it is in force at ``now``."""
        return self.start <= now and (self.end is None or now < self.end)

    def overlaps(self, start: float, end: float) -> bool:
        """Whether any of it lies between ``start`` and ``end``."""
        return self.start < end and (self.end is None or start < self.end)

    @property
    def limits_power(self) -> bool:
        """Whether it says how much may or must be drawn."""
        return not (self.cap is None and self.reduction is None and self.floor is None)


class PowerLimits(NamedTuple):
    """Most that may and least that must be drawn, in watts. None means that there is no such limit."""

    cap: float | None = None
    floor: float | None = None


def power_limits(obligations: Iterable[Obligation], start: float, end: float, block: str | None = None) -> PowerLimits:
    """Return the strictest limits between ``start`` and ``end`` (unix seconds).

    Args:
        obligations: All of them; those with a ``reduction`` need :func:`with_baseline` first.
        start: Begin of the time.
        end: Its end, excluded. A moment is from ``now`` to just after it.
        block: Only the limits of this block alone. None means those of the whole site.
    """
    wanted = () if block is None else (block,)
    held = [each for each in obligations if each.blocks == wanted and each.overlaps(start, end)]
    return PowerLimits(
        cap=min((each.cap for each in held if each.cap is not None), default=None),
        floor=max((each.floor for each in held if each.floor is not None), default=None),
    )


def with_baseline(obligation: Obligation, baseline: float) -> Obligation:
    """Turn a reduction below ``baseline`` (W) into a cap. One without a reduction stays as it is."""
    if obligation.reduction is None:
        return obligation
    cap = max(baseline - obligation.reduction, 0.0)
    return replace(obligation, cap=cap if obligation.cap is None else min(cap, obligation.cap), reduction=None)
