"""Which rigs to move to which lower point, or off, so that the site sheds some kilowatts at the least loss."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from exporter.decision.judged import terms
from exporter.decision.setpoints import STAND_STILL, SiteSetpoints
from exporter.economics.hosting import ContractSettings
from exporter.economics.values import SiteEconomics
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import HOURS_PER_DAY, kilowatts

_DIGITS: Final = 6
"""Of USD per kWh: rigs whose losses agree in them are chosen in turn from the blocks."""


NO_CONTRACTS: Final[Mapping[str, ContractSettings]] = MappingProxyType({})


class Lower(NamedTuple):
    """A lower point of a rig, or off."""

    name: str
    kilowatts: float  # less than now, at the billing meter
    loss: float  # USD per day less than now; below 0 if it earns more


class Load(NamedTuple):
    """One rig that draws power now, and the points to which it can go, by rising kilowatts shed."""

    slot: int  # of the snapshot
    rig: str
    block: str
    kilowatts: float
    in_force: str  # empty if the point is not known
    lower: tuple[Lower, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One rig that changes its point."""

    slot: int  # of the snapshot
    rig: str
    block: str
    in_force: str
    point: str
    kilowatts: float  # shed
    loss: float  # USD per day


@dataclass(frozen=True, slots=True, kw_only=True)
class Shedding:
    """What to do, least loss first. ``missing`` kilowatts cannot be shed."""

    cuts: tuple[Cut, ...]
    kilowatts: float
    loss: float  # USD per day
    missing: float
    over_capacity: Mapping[str, float]  # kW by block, before


def loads(
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    setpoints: SiteSetpoints,
    contracts: Mapping[str, ContractSettings] = NO_CONTRACTS,
) -> list[Load]:
    """Return the rigs that hash, with what each step down costs the one who decides whether the rig runs.

    A rig whose points cannot be judged can only be switched off; one whose power or margin is unknown is left out.
    """
    found = []
    payout = economics.market.payout_usd
    known = setpoints.rigs or (None,) * len(snapshot.rigs)
    curves = setpoints.curves or (None,) * len(snapshot.rigs)
    for index, (rig, priced, setpoint, curve) in enumerate(
        zip(snapshot.rigs, economics.rigs, known, curves, strict=True)
    ):
        if rig.reading is None or rig.reading.value.hashrate <= 0 or rig.rig.count != 1:
            continue
        book = terms(priced, payout, contracts, stopping=True)
        if book is None:
            continue
        current = None if setpoint is None else setpoint.in_force
        name, block = rig.rig.name, rig.rig.block
        if current is not None and curve is not None:
            margin = book.margin(current.hashrate, current.kwh)
            drawn = current.kwh / HOURS_PER_DAY
            choices = [
                Lower(each.name, drawn - each.kwh / HOURS_PER_DAY, margin - book.margin(each.hashrate, each.kwh))
                for each in curve.candidates
                if each.allowed and each.checked and each.kwh < current.kwh
            ]
            choices.append(Lower(STAND_STILL, drawn, margin))
            found.append(Load(index, name, block, drawn, current.name, _hull(choices)))
        elif priced.billed_power and priced.revenue is not None:
            drawn = kilowatts(priced.billed_power)
            loss = book.margin(rig.reading.value.hashrate, drawn * HOURS_PER_DAY)
            found.append(Load(index, name, block, drawn, "", (Lower(STAND_STILL, drawn, loss),)))
    return found


def _hull(choices: Iterable[Lower]) -> tuple[Lower, ...]:
    """Keep the steps that lose least, so that each costs more per kilowatt than the one before."""
    kept: list[Lower] = []
    for choice in sorted(choices, key=lambda each: (each.kilowatts, each.loss)):
        if kept and choice.kilowatts <= kept[-1].kilowatts:  # as much for more money
            continue
        while kept and _rate(kept[-2] if len(kept) > 1 else None, kept[-1]) >= _rate(kept[-1], choice):
            kept.pop()
        kept.append(choice)
    return tuple(kept)


def _rate(before: Lower | None, after: Lower) -> float:
    """Return the loss of a step in USD per kWh."""
    shed = after.kilowatts - (0.0 if before is None else before.kilowatts)
    return (after.loss - (0.0 if before is None else before.loss)) / shed / HOURS_PER_DAY


def order(load: Load) -> float:
    """Return the loss of a rig's first step down in USD per kWh: those with the lowest are shed first."""
    return _rate(None, load.lower[0])


class _Shedder:
    """The steps down that are taken so far."""

    def __init__(self, rigs: Sequence[Load]) -> None:
        self._rigs = rigs
        self._taken = [-1] * len(rigs)  # index of the lower point of each rig
        self._whole: dict[str, float] = defaultdict(float)
        for load in rigs:
            self._whole[load.block] += load.kilowatts
        self.shed: dict[str, float] = defaultdict(float)  # kW by block

    def total(self) -> float:
        return sum(self.shed.values())

    def take(self, kw: float, blocks: set[str] | None = None) -> None:
        """Shed so many kilowatts more, of these blocks or of all. The last step may be another one that fits better."""
        able = [each for each, load in enumerate(self._rigs) if blocks is None or load.block in blocks]
        heap = [self._entry(each) for each in able if self._can_go_on(each)]
        heapq.heapify(heap)
        left = kw
        while left > 0 and heap:
            entry = heap[0]
            fresh = self._entry(entry[-1])
            if fresh[:2] > entry[:2]:  # its block has shed since
                heapq.heapreplace(heap, fresh)
                continue
            heapq.heappop(heap)
            index, chosen = entry[-1], self._taken[entry[-1]] + 1
            if self._step(index, chosen).kilowatts >= left:
                index, chosen = self._cheapest(left, [index, *(each[-1] for each in heap)])
            left -= self._step(index, chosen).kilowatts
            self._move(index, chosen)
            if self._can_go_on(index):
                heapq.heappush(heap, self._entry(index))

    def _can_go_on(self, index: int) -> bool:
        return self._taken[index] + 1 < len(self._rigs[index].lower)

    def _entry(self, index: int) -> tuple[float, float, str, int]:
        load, taken = self._rigs[index], self._taken[index]
        before = None if taken < 0 else load.lower[taken]
        rate = round(_rate(before, load.lower[taken + 1]), _DIGITS)
        return rate, self.shed[load.block] / self._whole[load.block], load.rig, index

    def _step(self, index: int, chosen: int) -> Lower:
        """Return what a rig sheds and loses by going on to a lower point."""
        load, taken = self._rigs[index], self._taken[index]
        name, shed, loss = load.lower[chosen]
        return Lower(
            name,
            shed - (load.lower[taken].kilowatts if taken >= 0 else 0.0),
            loss - (load.lower[taken].loss if taken >= 0 else 0.0),
        )

    def _cheapest(self, left: float, indexes: Iterable[int]) -> tuple[int, int]:
        """Return the rig and point that shed at least what is left at the least loss; of equals, the smallest step."""
        able = (
            (step.loss, step.kilowatts, self._rigs[index].rig, index, chosen)
            for index in set(indexes)
            for chosen in range(self._taken[index] + 1, len(self._rigs[index].lower))
            if (step := self._step(index, chosen)).kilowatts >= left
        )
        *_, index, chosen = min(able)
        return index, chosen

    def _move(self, index: int, chosen: int) -> None:
        self.shed[self._rigs[index].block] += self._step(index, chosen).kilowatts
        self._taken[index] = chosen

    def cuts(self) -> list[Cut]:
        """Return the rigs that change their point, least loss per kilowatt first."""
        found = [
            Cut(
                slot=load.slot,
                rig=load.rig,
                block=load.block,
                in_force=load.in_force,
                point=load.lower[taken].name,
                kilowatts=load.lower[taken].kilowatts,
                loss=load.lower[taken].loss,
            )
            for load, taken in zip(self._rigs, self._taken, strict=True)
            if taken >= 0
        ]
        return sorted(found, key=lambda cut: (cut.loss / cut.kilowatts, cut.rig))


def shed(rigs: Sequence[Load], wanted: float, capacities: Mapping[str, float], drawn: Mapping[str, float]) -> Shedding:
    """Return how to shed kilowatts at the least loss.

    Blocks that draw more than their feeder's capacity come first, until they are within it. Of rigs whose losses are
    equal, the block is chosen that has shed the smallest share of its power.

    Args:
        rigs: The rigs that draw power; see :func:`loads`.
        wanted: kW at the billing meter.
        capacities: kW of the feeders, by block.
        drawn: kW of all rigs of a block.
    """
    shedder = _Shedder([load for load in rigs if load.lower and load.kilowatts > 0])
    over = {block: drawn.get(block, 0.0) - most for block, most in capacities.items() if drawn.get(block, 0.0) > most}
    for block, excess in over.items():
        shedder.take(excess, {block})
    shedder.take(wanted - shedder.total())
    cuts = shedder.cuts()
    total = sum(cut.kilowatts for cut in cuts)
    return Shedding(
        cuts=tuple(cuts),
        kilowatts=total,
        loss=sum(cut.loss for cut in cuts),
        missing=max(wanted - total, 0.0),
        over_capacity=over,
    )
