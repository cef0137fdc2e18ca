"""Chooses whole blocks that free enough power and lose the least mining margin."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from operator import itemgetter
from types import MappingProxyType
from typing import Final, NamedTuple

_FIRST_LIMIT: Final = 600_000
_SECOND_LIMIT: Final = 800_000
"""States that a search looks at before it stops: a second or two of work."""
_MOST_EXCHANGES: Final = 1_000
_NEAR: Final = 1e-5
"""A gap with which the search ends before its second part."""
_TINY: Final = 1e-9
_ROUNDING: Final = 1e-12
_LEAST_BOUND: Final = 1.0
"""USD per day: below that, the gap is relative to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A block that can be converted, or several that are only converted together."""

    blocks: tuple[str, ...]
    kilowatts: float  # freed by its conversion
    margin_lost: float  # USD per day; negative if its mining loses money


_NOTHING: Final = Offer(blocks=(), kilowatts=0.0, margin_lost=0.0)


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
    bound: float  # USD per day: no choice loses less
    feasible: bool
    greedy_margin_lost: float | None  # of taking the cheapest kilowatts first, for comparison; None if infeasible
    swap: Swap | None = None

    @property
    def gap(self) -> float:
        """By how much the choice may be above the optimum, as a share of the bound; 0 if it is the optimum."""
        return (self.margin_lost - self.bound) / max(self.bound, _LEAST_BOUND)


def allocate(
    offers: Sequence[Offer],
    kilowatts: float,
    rigs: Sequence[MiningRig] = (),
    shares: Mapping[str, float] = MappingProxyType({}),
) -> Allocation:
    """Choose whole blocks that free at least ``kilowatts`` and lose the least mining margin.

    Args:
        offers: The blocks that can be converted.
        kilowatts: Power to free.
        rigs: The fleet, for the swap. Empty for no swap.
        shares: By block, the share of its power that is converted; 1 if a block is not named.
    """
    usable = [offer for offer in offers if offer.kilowatts > 0]
    feasible = sum(offer.kilowatts for offer in usable) >= kilowatts - _TINY
    greedy, bound, chosen = usable, _lost(usable), usable
    if feasible:
        greedy = _greedy(usable, kilowatts)
        exact, bound = _cover(usable, kilowatts)
        chosen = min((_trimmed(choice, kilowatts) for choice in (exact, greedy)), key=_lost)
    names = {block for offer in chosen for block in offer.blocks}
    lost = _lost(chosen)
    return Allocation(
        blocks=tuple(block for offer in usable for block in offer.blocks if block in names),
        kilowatts=sum(offer.kilowatts for offer in chosen),
        margin_lost=lost,
        bound=lost if lost - bound <= _ROUNDING * lost else bound,
        feasible=feasible,
        greedy_margin_lost=_lost(greedy) if feasible else None,
        swap=_swap(rigs, names, shares) if rigs else None,
    )


def _loss(offer: Offer) -> float:
    return max(offer.margin_lost, 0.0)


def _lost(offers: Iterable[Offer]) -> float:
    return sum(map(_loss, offers))


def _greedy(offers: Sequence[Offer], kilowatts: float) -> list[Offer]:
    """Take the cheapest kilowatts first until there are enough."""
    chosen: list[Offer] = []
    freed = 0.0
    for offer in sorted(offers, key=lambda offer: _loss(offer) / offer.kilowatts):
        if freed >= kilowatts - _TINY:
            break
        chosen.append(offer)
        freed += offer.kilowatts
    return chosen


def _trimmed(chosen: Sequence[Offer], kilowatts: float) -> list[Offer]:
    """Leave out what is not needed, dearest first: also blocks that lose nothing."""
    spare = sum(offer.kilowatts for offer in chosen) - kilowatts
    kept = set(chosen)
    for offer in sorted(chosen, key=lambda offer: (_loss(offer), offer.kilowatts), reverse=True):
        if offer.kilowatts <= spare + _TINY:
            kept.remove(offer)
            spare -= offer.kilowatts
    return [offer for offer in chosen if offer in kept]


# --- the search -----------------------------------------------------------------------------------------------------


class _State(NamedTuple):
    """A choice of blocks that stay. ``moves`` are the changes to the start, newest first, as a linked list."""

    kilowatts: float
    value: float  # loss avoided, less the price on each block
    staying: int
    moves: "tuple[_State, int] | None"


def _cover(offers: Sequence[Offer], kilowatts: float) -> tuple[list[Offer], float]:
    """Solve the knapsack cover: return the blocks to convert, and a bound (USD per day) below which no choice is.

    It is solved as a knapsack of the blocks that stay: at most so many kilowatts, with the most loss avoided. If the
    first search stops at its limit, the number of blocks that stay gets a price: there can be no more than the smallest
    that fit. That bound is much tighter where all blocks are about alike, or where each loses so much per kilowatt and
    a fixed sum. Exchanges of single blocks come near it. If they do not, a second search begins with that price.
    """
    room = sum(offer.kilowatts for offer in offers) - kilowatts
    most = _most(offers, room)
    everything = _lost(offers)
    best, ceiling = _Search(offers, room, most, 0.0).run(_FIRST_LIMIT)
    if ceiling > _value(best) + _TINY:
        price = _price(offers, room, most)
        ceiling = min(ceiling, _linear(offers, room, price) + price * most)
        smallest = sorted(offers, key=lambda offer: offer.kilowatts)[:most]
        best = max((_exchanged(offers, room, staying) for staying in (best, smallest)), key=_value)
        if ceiling - _value(best) > _NEAR * (everything - ceiling):
            second, lower = _Search(offers, room, most, price).run(_SECOND_LIMIT)
            best, ceiling = max(best, second, key=_value), min(ceiling, lower)
    staying = set(best)
    return [offer for offer in offers if offer not in staying], everything - max(ceiling, _value(best))


def _value(staying: Iterable[Offer]) -> float:
    return _lost(staying)


def _exchanged(offers: Sequence[Offer], room: float, staying: Sequence[Offer]) -> list[Offer]:
    """Exchange a block that stays for one that leaves, or let one more stay, as long as that avoids more loss."""
    stay = set(staying)
    for _ in range(_MOST_EXCHANGES):
        spare = room - sum(offer.kilowatts for offer in stay)
        leaving = sorted((offer for offer in offers if offer not in stay), key=lambda offer: offer.kilowatts)
        sizes = [offer.kilowatts for offer in leaving]
        dearest = list(accumulate(leaving, _dearer))  # of those up to a size
        gain, out, into = _TINY, _NOTHING, _NOTHING
        for other in (_NOTHING, *stay):
            fitting = bisect_right(sizes, spare + other.kilowatts)
            if fitting and _loss(dearest[fitting - 1]) - _loss(other) > gain:
                gain, out, into = _loss(dearest[fitting - 1]) - _loss(other), other, dearest[fitting - 1]
        if into is _NOTHING:
            break
        stay = (stay - {out}) | {into}
    return [offer for offer in offers if offer in stay]


def _dearer(one: Offer, other: Offer) -> Offer:
    return max(one, other, key=_loss)


def _most(offers: Sequence[Offer], room: float) -> int:
    """Count how many blocks can stay at most."""
    count = 0
    for size in sorted(offer.kilowatts for offer in offers):
        room -= size
        if room < -_TINY:
            break
        count += 1
    return count


def _price(offers: Sequence[Offer], room: float, most: int) -> float:
    """Return the price on each block that stays at which the bound is lowest; the bound is convex in the price."""
    low, high = 0.0, max(map(_loss, offers))
    for _ in range(50):
        third = (high - low) / 3
        if _linear(offers, room, low + third) + most * third <= _linear(offers, room, high - third) + most * 2 * third:
            high -= third
        else:
            low += third
    return low


def _linear(offers: Sequence[Offer], room: float, price: float) -> float:
    """Solve the knapsack with parts of blocks."""
    value = 0.0
    for worth, size in sorted(
        ((_loss(offer) - price) / offer.kilowatts, offer.kilowatts) for offer in offers if _loss(offer) > price
    )[::-1]:
        value += worth * min(size, room)
        room -= min(size, room)
    return value


class _Search:
    """Branch and bound over the core: it begins with the blocks whose loss per kilowatt is near the break."""

    def __init__(self, offers: Sequence[Offer], room: float, most: int, price: float) -> None:
        self._items = sorted(
            (offer for offer in offers if _loss(offer) > price),
            key=lambda offer: (_loss(offer) - price) / offer.kilowatts,
            reverse=True,
        )
        self._sizes = [offer.kilowatts for offer in self._items]
        self._worths = [_loss(offer) - price for offer in self._items]
        self._room = room
        self._most = most
        self._price = price
        self._break = 0
        size = worth = 0.0
        while self._break < len(self._items) and size + self._sizes[self._break] <= room + _TINY:
            size += self._sizes[self._break]
            worth += self._worths[self._break]
            self._break += 1
        self._best = self._start = _State(size, worth, self._break, None)

    def run(self, limit: int) -> tuple[list[Offer], float]:
        """Return the blocks that should stay, and a ceiling of the loss that any choice avoids, USD per day."""
        states = [self._start]
        left, right, seen = self._break - 1, self._break, 0
        while states and (left >= 0 or right < len(self._items)) and seen <= limit:
            if right < len(self._items):
                moved = [
                    _State(size + self._sizes[right], worth + self._worths[right], count + 1, (state, right))
                    for state in states
                    for size, worth, count, _ in (state,)
                ]
                right += 1
                seen += 2 * len(moved)
                states = self._pruned([*states, *moved], left, right)
            if left >= 0:
                moved = [
                    _State(size - self._sizes[left], worth - self._worths[left], count - 1, (state, left))
                    for state in states
                    for size, worth, count, _ in (state,)
                ]
                left -= 1
                seen += 2 * len(moved)
                states = self._pruned([*states, *moved], left, right)
        above, below = self._slopes(left, right)
        ceiling = max((self._bound(state, above, below) for state in states), default=-inf)
        return self._blocks(self._best), max(ceiling + self._price * self._most, self._true(self._best))

    def _pruned(self, states: list[_State], left: int, right: int) -> list[_State]:
        """Keep the states that no other dominates and that may still lead to something better."""
        states.sort(key=itemgetter(0))
        for state in states:
            if state.kilowatts > self._room + _TINY:
                break
            if state.staying <= self._most and self._true(state) > self._true(self._best):
                self._best = state
        needed = self._true(self._best) + _TINY - self._price * self._most
        above, below = self._slopes(left, right)
        room, kept, highest = self._room, [], -inf
        for state in states:
            size, worth = state[0], state[1]
            if worth > highest and worth + (room - size) * (above if size <= room else below) > needed:
                highest = worth
                kept.append(state)
        return kept

    def _slopes(self, left: int, right: int) -> tuple[float, float]:
        """Return the most that a kilowatt of room can add, and the least that a kilowatt too much costs."""
        above = self._worths[right] / self._sizes[right] if right < len(self._items) else 0.0
        below = self._worths[left] / self._sizes[left] if left >= 0 else inf
        return above, below

    def _bound(self, state: _State, above: float, below: float) -> float:
        spare = self._room - state.kilowatts
        return state.value + spare * (above if spare >= 0 else below)

    def _true(self, state: _State) -> float:
        return state.value + self._price * state.staying

    def _blocks(self, state: _State) -> list[Offer]:
        staying = [True] * self._break + [False] * (len(self._items) - self._break)
        while state.moves is not None:
            state, item = state.moves
            staying[item] = not staying[item]
        return [offer for offer, stays in zip(self._items, staying, strict=True) if stays]


# --- the swap -------------------------------------------------------------------------------------------------------


def _leaving(rigs: Sequence[MiningRig], block: str, share: float) -> Iterator[MiningRig]:
    """Yield a block's rigs that leave, worst first, until the share of its power is free."""
    members = sorted((rig for rig in rigs if rig.block == block), key=_margin_per_kilowatt)
    left = share * sum(rig.kilowatts for rig in members)
    for rig in members:
        if left <= _TINY and share < 1:
            break
        left -= rig.kilowatts
        yield rig


def _margin_per_kilowatt(rig: MiningRig) -> float:
    return rig.margin / rig.kilowatts if rig.kilowatts > 0 else rig.margin


def _swap(rigs: Sequence[MiningRig], chosen: set[str], shares: Mapping[str, float]) -> Swap:
    """Retire the worst rigs until power and slots suffice for the rigs that are moved out of the chosen blocks."""
    leaving = [rig for block in sorted(chosen) for rig in _leaving(rigs, block, shares.get(block, 1.0))]
    power = sum(rig.kilowatts for rig in leaving)
    retired: list[MiningRig] = []
    freed = 0.0
    for rig in sorted(rigs, key=_margin_per_kilowatt):
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
