"""Chooses whole blocks that free enough power and lose the least mining margin."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import ceil
from operator import add, lt
from typing import Final

BIN_KILOWATTS: Final = 10.0
_CELLS: Final = 3_000_000
"""Size of a table (blocks x bins) that is filled in about a second. Bins are as fine as this allows, at most 10 kW."""
_FINEST_KILOWATTS: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A block that can be converted."""

    block: str
    kilowatts: float  # freed by its conversion
    margin_lost: float  # USD per day; negative if its mining loses money


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningRig:
    """A rig that a swap may retire or move."""

    rig: str
    block: str
    kilowatts: float
    margin: float  # USD per day
    moving_cost: float | None = None  # USD, to another block; None if unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Frees the same power by retiring the worst rigs of the fleet and moving good rigs out of the chosen blocks."""

    retired: tuple[str, ...]
    moved: tuple[str, ...]  # from the chosen blocks into the slots of rigs retired elsewhere
    margin_lost: float  # USD per day
    moving_cost: float | None  # USD, once; None if unknown for a moved rig


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The blocks to convert. If all of them do not free enough, they are all here and ``feasible`` is False."""

    blocks: tuple[str, ...]
    kilowatts: float
    margin_lost: float  # USD per day, converted in place
    feasible: bool
    greedy_margin_lost: float | None  # of taking the cheapest kilowatts first, for comparison; None if infeasible
    swap: Swap | None = None


def allocate(offers: Sequence[Offer], kilowatts: float, rigs: Sequence[MiningRig] = ()) -> Allocation:
    """Choose whole blocks that free at least ``kilowatts`` and lose the least mining margin.

    Args:
        offers: The convertible blocks.
        kilowatts: Power to free.
        rigs: The fleet, for the swap. Empty for no swap.
    """
    usable = [offer for offer in offers if offer.kilowatts > 0]
    feasible = sum(offer.kilowatts for offer in usable) >= kilowatts
    if feasible:
        greedy = _greedy(usable, kilowatts)
        chosen = min((_exact(usable, kilowatts), greedy), key=_lost)
    else:
        greedy, chosen = usable, usable
    names = {offer.block for offer in chosen}
    return Allocation(
        blocks=tuple(offer.block for offer in usable if offer.block in names),
        kilowatts=sum(offer.kilowatts for offer in chosen),
        margin_lost=_lost(chosen),
        feasible=feasible,
        greedy_margin_lost=_lost(greedy) if feasible else None,
        swap=_swap(rigs, names) if rigs else None,
    )


def _lost(offers: Iterable[Offer]) -> float:
    return sum(offer.margin_lost for offer in offers)


def _greedy(offers: Sequence[Offer], kilowatts: float) -> list[Offer]:
    """Take the cheapest kilowatts until they suffice, and every block that loses money."""
    chosen: list[Offer] = []
    freed = 0.0
    for offer in sorted(offers, key=lambda offer: offer.margin_lost / offer.kilowatts):
        if freed >= kilowatts and offer.margin_lost >= 0:
            break
        chosen.append(offer)
        freed += offer.kilowatts
    return chosen


def _exact(offers: Sequence[Offer], kilowatts: float) -> list[Offer]:
    """Solve the knapsack cover by dynamic programming over power. Blocks that lose money are always chosen.

    The power of blocks is rounded down to bins and the target up, so that the choice always frees enough.
    """
    chosen = [offer for offer in offers if offer.margin_lost < 0]
    rest = [offer for offer in offers if offer.margin_lost >= 0]
    need = kilowatts - sum(offer.kilowatts for offer in chosen)
    if need <= 0 or not rest:
        return chosen
    width = _bin_width(rest, need)
    bins = max(ceil(need / width - 1e-9), 1)
    sizes = [min(int(offer.kilowatts / width + 1e-9), bins) for offer in rest]
    if sum(sizes) < bins:  # rounding hides the last few kilowatts: all blocks are needed
        return [*chosen, *rest]
    taken = _fill(sizes, [offer.margin_lost for offer in rest], bins)
    return [*chosen, *(rest[index] for index in taken)]


def _bin_width(offers: Sequence[Offer], need: float) -> float:
    if all(offer.kilowatts % BIN_KILOWATTS == 0 for offer in offers):
        return BIN_KILOWATTS
    return min(max(need * len(offers) / _CELLS, _FINEST_KILOWATTS), BIN_KILOWATTS)


def _fill(sizes: Sequence[int], losses: Sequence[float], bins: int) -> list[int]:
    """Return the indexes of the items that cover ``bins`` at the least loss.

    ``best[b]`` is the least loss that covers ``b`` bins with the items so far. Whole-list operations are ten times
    faster than a loop. Of each row only the improved bins are kept.
    """
    best = [0.0, *repeat(float("inf"), bins)]
    improved: list[bytes] = []
    for size, loss in zip(sizes, losses, strict=True):
        with_item = [best[0] + loss] * (size + 1) + list(map(add, best[1 : bins + 1 - size], repeat(loss)))
        improved.append(bytes(map(lt, with_item, best)))
        best = [new if new < old else old for new, old in zip(with_item, best, strict=True)]  # noqa: FURB136 -- min() takes twice as long
    taken: list[int] = []
    left = bins
    for index in range(len(sizes) - 1, -1, -1):
        if improved[index][left]:
            taken.append(index)
            left = max(left - sizes[index], 0)
    return taken


def _swap(rigs: Sequence[MiningRig], chosen: set[str]) -> Swap:
    """Retire the worst rigs until power and slots suffice for the rigs that are moved out of the chosen blocks."""
    leaving = [rig for rig in rigs if rig.block in chosen]
    power = sum(rig.kilowatts for rig in leaving)
    retired: list[MiningRig] = []
    freed = 0.0
    for rig in sorted(rigs, key=lambda rig: rig.margin / rig.kilowatts if rig.kilowatts > 0 else rig.margin):
        if freed >= power and len(retired) >= len(leaving):
            break
        retired.append(rig)
        freed += rig.kilowatts
    retired_names = {rig.rig for rig in retired}
    moved = [rig for rig in leaving if rig.rig not in retired_names]
    costs = [rig.moving_cost for rig in moved if rig.moving_cost is not None]
    return Swap(
        retired=tuple(rig.rig for rig in retired),
        moved=tuple(rig.rig for rig in moved),
        margin_lost=sum(rig.margin for rig in retired),
        moving_cost=sum(costs) if len(costs) == len(moved) else None,
    )
