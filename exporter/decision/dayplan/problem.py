"""What a plan is asked: slots of time with prices, groups of rigs with their operating points, and shared limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A stretch of time in which no price changes. Unix seconds."""

    start: float
    end: float

    @property
    def hours(self) -> float:
        """Its length in hours."""
        return (self.end - self.start) / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """What a whole group hashes and draws at one point."""

    name: str
    work: float  # PH/s that are paid for: after rejects, pool fee and the firmware's share
    kilowatts: float  # at the billing meter


OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rigs of one block and tariff that are planned as one: same model, same operating points.

    ``points[0]`` is off. ``since`` is for how long (s) the group has been on, or off, as it is now.
    """

    block: str
    name: str
    points: tuple[OperatingPoint, ...]
    prices: tuple[float, ...]  # USD per kWh by slot: what a kWh is worth if it is not used
    start_cost: float = 0.0  # USD
    change_cost: float = 0.0  # USD, from one point to another without a stop
    min_on: float = 0.0  # s
    min_off: float = 0.0  # s
    now: int = 0  # index of the point in force
    since: float = inf
    on_afterwards: bool = False  # mining pays after the last slot: who is off then still owes a start

    def margins(self, slots: Sequence[Slot], hashprices: Sequence[float]) -> list[list[float]]:
        """Return what each point earns in each slot, USD.

        Args:
            slots: The time ahead.
            hashprices: USD per PH/s and day, one per slot.
        """
        return [
            [slot.hours * (point.work * hashprice / HOURS_PER_DAY - point.kilowatts * price) for point in self.points]
            for slot, hashprice, price in zip(slots, hashprices, self.prices, strict=True)
        ]

    def revenue(self, hashprice: float) -> float:
        """Return the highest revenue of a point, USD per hour, at a hashprice in USD per PH/s and day."""
        return max(point.work for point in self.points) * hashprice / HOURS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What some groups may draw together, or must draw, by slot. Kilowatts at the billing meter."""

    reason: str
    groups: tuple[int, ...]
    caps: tuple[float, ...] = ()  # empty, or one per slot; inf where there is none
    floors: tuple[float, ...] = ()  # empty, or one per slot; 0 where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One question. ``energy`` is the most that all groups may use in all slots, kWh."""

    asked_at: float  # unix seconds
    slots: tuple[Slot, ...]
    hashprices: tuple[float, ...]  # USD per PH/s and day, one per slot
    groups: tuple[Group, ...]
    limits: tuple[Limit, ...] = ()
    energy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer: the index of each group's point in each slot, and what that earns in USD.

    ``bound`` is what no plan can beat. ``broken`` counts starts and stops that come earlier than the group's shortest
    times on or off allow, where a limit left no other way. ``violations`` are the kW by which a cap is exceeded or a
    floor is missed, one per slot; ``excess`` are the kWh by which the energy is exceeded.
    """

    problem: Problem
    choices: tuple[tuple[int, ...], ...]
    value: float
    bound: float
    broken: int
    violations: tuple[float, ...]
    excess: float

    @property
    def asked_at(self) -> float:
        """Unix seconds of the evaluation that it starts from."""
        return self.problem.asked_at

    @property
    def gap(self) -> float:
        """By how much a better plan could beat this one at most, as a share of the bound."""
        return (
            (self.bound - self.value) / max(abs(self.bound), abs(self.value), 1e-9) if self.bound > self.value else 0.0
        )

    def kilowatts(self, group: int, slot: int) -> float:
        """Return what a group draws in a slot."""
        return self.problem.groups[group].points[self.choices[group][slot]].kilowatts
