"""A plan read as a timetable: what each block draws, at which points, and when that changes next."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

from exporter.decision.dayplan.problem import OFF, Plan, Slot
from exporter.model.units import SECONDS_PER_HOUR, WATTS_PER_KILOWATT

OFFSETS: Final = range(25)
"""Hours from now for which the site's planned power is exported."""


class BlockHours(NamedTuple):
    """One block in one slot. Watts at the billing meter; points by group, off included."""

    watts: float
    points: tuple[tuple[str, str], ...]  # (group, point)


class NextChange(NamedTuple):
    """When a block's planned power changes next (unix seconds), and to how many watts."""

    at: float
    watts: float


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """A plan at ``now`` (unix seconds)."""

    plan: Plan
    now: float

    @cached_property
    def blocks(self) -> dict[str, tuple[BlockHours, ...]]:
        """Every planned block, slot by slot."""
        members: dict[str, list[int]] = defaultdict(list)
        for index, group in enumerate(self.plan.problem.groups):
            members[group.block].append(index)
        return {
            block: tuple(self._hours(groups, number) for number in range(len(self.plan.problem.slots)))
            for block, groups in members.items()
        }

    def _hours(self, groups: list[int], number: int) -> BlockHours:
        plan = self.plan
        chosen = [(plan.problem.groups[index], plan.choices[index][number]) for index in groups]
        return BlockHours(
            watts=sum(group.points[choice].kilowatts for group, choice in chosen) * WATTS_PER_KILOWATT,
            points=tuple((group.name, group.points[choice].name) for group, choice in chosen),
        )

    @property
    def slot(self) -> int | None:
        """Index of the slot that holds now; None if the plan is over."""
        return self._at(self.now)

    def _at(self, moment: float) -> int | None:
        slots = self.plan.problem.slots
        return next((number for number, slot in enumerate(slots) if slot.start <= moment < slot.end), None)

    def in_force(self, block: str) -> BlockHours | None:
        """Return what a block does now by the plan; None if the plan is over or does not have the block."""
        return None if self.slot is None or block not in self.blocks else self.blocks[block][self.slot]

    def points(self, block: str) -> Iterator[str]:
        """Yield the points that are planned in a block now, each once. Off only if all of it is off."""
        hours = self.in_force(block)
        names = [] if hours is None else list(dict.fromkeys(point for _, point in hours.points))
        running = [name for name in names if name != OFF]
        yield from running or names

    def next_change(self, block: str) -> NextChange | None:
        """Return when the planned power of a block changes next; None if it does not."""
        if self.slot is None or block not in self.blocks:
            return None
        following = list(zip(self.plan.problem.slots, self.blocks[block], strict=True))[self.slot :]
        return next(
            (
                NextChange(slot.start, hours.watts)
                for (_, before), (slot, hours) in pairwise(following)
                if before.watts != hours.watts
            ),
            None,
        )

    @cached_property
    def site_watts(self) -> dict[int, float]:
        """The planned power of all blocks, by whole hours from now, as far as the plan goes."""
        found = {offset: self._at(self.now + offset * SECONDS_PER_HOUR) for offset in OFFSETS}
        return {
            offset: sum(hours[number].watts for hours in self.blocks.values())
            for offset, number in found.items()
            if number is not None
        }

    @property
    def violation_watts(self) -> float:
        """The highest power by which a cap is exceeded or a floor is missed, in any slot."""
        return max(self.plan.violations) * WATTS_PER_KILOWATT

    @property
    def slots(self) -> Iterator[tuple[Slot, float | None, dict[str, BlockHours]]]:
        """Yield every slot that is not over, with the mean price of all planned power (USD per kWh) and its blocks."""
        problem = self.plan.problem
        for number, slot in enumerate(problem.slots):
            if slot.end > self.now:
                prices = [group.prices[number] for group in problem.groups]
                most = [max(point.kilowatts for point in group.points) for group in problem.groups]
                mean = (
                    sum(price * each for price, each in zip(prices, most, strict=True)) / sum(most)
                    if sum(most)
                    else None
                )
                yield slot, mean, {block: hours[number] for block, hours in self.blocks.items()}
