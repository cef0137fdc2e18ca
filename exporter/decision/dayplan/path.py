"""The best path of one group through the slots: exact, by dynamic programming.

A state is a point and for how long the group has been on or off, capped at its shortest time. A start or stop that
comes too early is possible at a penalty, so that there is always a path.
"""

from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple

from exporter.decision.dayplan.problem import Group, Slot

_PENALTY_HOURS: Final = 10.0
"""A start or stop that comes too early is weighed like ten hours of the group's revenue."""


class Path(NamedTuple):
    """A group's point in each slot, and what it earns, USD. ``score`` is the value less the penalties."""

    choices: tuple[int, ...]
    value: float
    score: float
    broken: int


class _State(NamedTuple):
    point: int
    age: float  # s on or off at the end of the slot, at most the shortest time


class Paths:
    """All paths of a group. The graph is worked out once; the margins may differ with each question."""

    def __init__(self, group: Group, slots: Sequence[Slot], hashprices: Sequence[float]) -> None:
        self.group = group
        self.margins = group.margins(slots, hashprices)
        penalty = _PENALTY_HOURS * max((group.revenue(hashprice) for hashprice in hashprices), default=0.0)
        self._penalty = max(penalty, 1.0)
        self._seconds = [slot.end - slot.start for slot in slots]
        first = _State(group.now, min(group.since, _shortest(group, group.now)))
        self._layers: list[list[tuple[int, tuple[tuple[int, float], ...]]]] = []
        states = [first]
        for seconds in self._seconds:
            arrivals: dict[_State, list[tuple[int, float]]] = {}
            for source, state in enumerate(states):
                for point in range(len(group.points)):
                    cost, following = self._step(state, point, seconds)
                    arrivals.setdefault(following, []).append((source, cost))
            self._layers.append([(state.point, tuple(sources)) for state, sources in arrivals.items()])
            states = list(arrivals)

    def _step(self, state: _State, point: int, seconds: float) -> tuple[float, _State]:
        """Return the cost of going on at ``point``, and the state at the end of a slot of so many seconds."""
        group = self.group
        shortest = _shortest(group, point)
        if (state.point > 0) == (point > 0):
            cost = group.change_cost if point and point != state.point else 0.0
            return cost, _State(point, min(state.age + seconds, shortest))
        early = state.age < _shortest(group, state.point)
        cost = (group.start_cost if point else 0.0) + (self._penalty if early else 0.0)
        return cost, _State(point, min(seconds, shortest))

    def best(self, surcharges: Sequence[float] | None = None, allowed: Sequence[Sequence[bool]] | None = None) -> Path:
        """Return the path that earns most.

        Args:
            surcharges: USD per kW and slot, on top of the prices; none by default.
            allowed: By slot and point, whether the point may be used. At least one is in every slot; all by default.
        """
        points = self.group.points
        values = [0.0]
        history: list[list[int]] = []
        for slot, layer in enumerate(self._layers):
            margins = self.margins[slot]
            if surcharges is not None and (surcharge := surcharges[slot]):
                margins = [margin - point.kilowatts * surcharge for margin, point in zip(margins, points, strict=True)]
            if allowed is not None:
                margins = [margin if may else -inf for margin, may in zip(margins, allowed[slot], strict=True)]
            following: list[float] = []
            back: list[int] = []
            for point, sources in layer:
                top, best = -inf, 0
                for source, cost in sources:
                    if (value := values[source] - cost) > top:
                        top, best = value, source
                following.append(top + margins[point])
                back.append(best)
            values = following
            history.append(back)
        if self.group.on_afterwards:
            values = [
                value - (0.0 if point else self.group.start_cost)
                for value, (point, _) in zip(values, self._layers[-1], strict=True)
            ]
        state = max(range(len(values)), key=values.__getitem__)
        choices: list[int] = []
        for layer, back in zip(reversed(self._layers), reversed(history), strict=True):
            choices.append(layer[state][0])
            state = back[state]
        return self.judge(tuple(reversed(choices)))

    def judge(self, choices: Sequence[int]) -> Path:
        """Return what a given choice of points earns, in the prices' own money."""
        group = self.group
        value, broken = 0.0, 0
        on, since, before = group.now > 0, group.since, group.now
        for margins, point, seconds in zip(self.margins, choices, self._seconds, strict=True):
            value += margins[point]
            if (point > 0) != on:
                broken += since < (group.min_on if on else group.min_off)
                value -= group.start_cost if point else 0.0
                on, since = point > 0, 0.0
            elif point and point != before:
                value -= group.change_cost
            since += seconds
            before = point
        if group.on_afterwards and not on:
            value -= group.start_cost
        return Path(tuple(choices), value, value - broken * self._penalty, broken)


def _shortest(group: Group, point: int) -> float:
    return group.min_on if point else group.min_off
