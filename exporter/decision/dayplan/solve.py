"""Solves a plan. Without shared limits each group's best path is the answer, exact.

A shared limit gets a price per kW and slot (a Lagrange multiplier), and the groups plan with it on top of theirs. That
gives a bound that no plan can beat. Then the groups are placed one after another into the room that the others leave,
and each is placed again while that helps. See Fisher, "The Lagrangian Relaxation Method for Solving Integer Programming
Problems", Management Science 27 (1981), also for the size of the steps.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf, sqrt
from operator import neg
from typing import Final, NamedTuple, TypeVar

from exporter.decision.dayplan.path import Path, Paths
from exporter.decision.dayplan.problem import Plan, Problem

_ROUNDS: Final = 30
_PLACE_EVERY: Final = 3
_MOST_STALE_ROUNDS: Final = 4
"""Rounds without a better bound after which the steps become half as long."""
_BISECTIONS: Final = 12
_LEAST_PRICE: Final = 1e-4  # of energy, USD per kWh
_MOST_PRICE: Final = 1e4  # above any penalty, so that no path uses less energy than the best one
_TOLERANCE: Final = 1e-9
_NOTHING: Final = 1e-6  # kW or kWh


class _Prices(NamedTuple):
    """The price of each limit, USD per kW and slot, and that of energy, USD per kWh."""

    caps: list[list[float]]
    floors: list[list[float]]
    energy: float


class _Placed(NamedTuple):
    paths: Sequence[Path]
    score: float


def solve(problem: Problem) -> Plan:
    """Return the best plan that is found, with its bound. The same problem has the same plan."""
    return Solver(problem).solve()


class Solver:
    """Solves one problem, and judges other plans for it. ``paths`` are those of its groups."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._hours = [slot.hours for slot in problem.slots]
        self.paths = [Paths(group, problem.slots, problem.hashprices) for group in problem.groups]
        count = len(problem.slots)
        self._caps = [limit.caps or (inf,) * count for limit in problem.limits]
        self._floors = [limit.floors or (0.0,) * count for limit in problem.limits]
        hashprice = max(problem.hashprices, default=0.0)
        self._order = sorted(
            range(len(problem.groups)),
            key=lambda index: -problem.groups[index].revenue(hashprice) / max(self._most(index), _TOLERANCE),
        )

    def plan(self, paths: Sequence[Path]) -> Plan | None:
        """Return the plan with these paths, its value for its bound; None if it exceeds a limit."""
        return self._plan(_placed(paths), -inf) if self._kept(paths) else None

    def solve(self) -> Plan:
        """Return the best plan that is found, with its bound."""
        problem = self._problem
        count = len(problem.slots)
        prices = _Prices([[0.0] * count for _ in problem.limits], [[0.0] * count for _ in problem.limits], 0.0)
        best = self._place(prices)
        bound, length, stale = inf, 1.0, 0
        for each in range(_ROUNDS):
            paths = [path.best(self._surcharges(index, prices)) for index, path in enumerate(self.paths)]
            now = self._bound(paths, prices)
            stale = 0 if now < bound - _TOLERANCE else stale + 1
            bound = min(bound, now)
            if self._kept(paths):
                best = max(best, _placed(paths), key=lambda placed: placed.score)
            if each % _PLACE_EVERY == _PLACE_EVERY - 1:
                best = max(best, self._place(prices), key=lambda placed: placed.score)
            if bound - best.score <= _TOLERANCE * max(abs(bound), 1.0):
                break
            if stale >= _MOST_STALE_ROUNDS:
                length, stale = length / 2, 0
            prices = self._stepped(prices, paths, length * (now - best.score))
        return self._plan(best, bound)

    # --- prices of the limits -------------------------------------------------------------------------------------

    def _surcharges(self, index: int, prices: _Prices) -> list[float]:
        """Return what a group pays per kW and slot for the limits that it is in, USD."""
        surcharges = [prices.energy * hours for hours in self._hours]
        for limit, caps, floors in zip(self._problem.limits, prices.caps, prices.floors, strict=True):
            if index in limit.groups:
                surcharges = [sum(each) for each in zip(surcharges, caps, map(neg, floors), strict=True)]
        return surcharges

    def _bound(self, paths: Sequence[Path], prices: _Prices) -> float:
        """Return what no plan can beat: the groups' best at these prices, and what the room of the limits is worth."""
        bound = sum(path.score for path in paths)
        for over, under, caps, floors in zip(*self._misses(paths), prices.caps, prices.floors, strict=True):
            bound -= sum(price * miss for price, miss in zip(caps, over, strict=True) if price)
            bound -= sum(price * miss for price, miss in zip(floors, under, strict=True) if price)
        return bound - prices.energy * self._excess(paths) if prices.energy else bound

    def _misses(self, paths: Sequence[Path]) -> tuple[list[list[float]], list[list[float]]]:
        """Return by how many kW each limit's caps are exceeded, and its floors missed; negative where they are kept."""
        over: list[list[float]] = []
        under: list[list[float]] = []
        for limit, caps, floors in zip(self._problem.limits, self._caps, self._floors, strict=True):
            used = self._used(limit.groups, paths)
            over.append([draws - cap for draws, cap in zip(used, caps, strict=True)])
            under.append([floor - draws for draws, floor in zip(used, floors, strict=True)])
        return over, under

    def _kept(self, paths: Sequence[Path]) -> bool:
        over, under = self._misses(paths)
        return self._excess(paths) <= _TOLERANCE and all(by <= _TOLERANCE for row in (*over, *under) for by in row)

    def _excess(self, paths: Sequence[Path]) -> float:
        """Return by how many kWh the energy is exceeded; negative if there is some left."""
        energy = self._problem.energy
        return -inf if energy is None else self._energy(enumerate(paths)) - energy

    def _stepped(self, prices: _Prices, paths: Sequence[Path], distance: float) -> _Prices:
        """Return the prices after one step against what the limits are exceeded by."""
        over, under = self._misses(paths)
        caps = [_pushes(row, by) for row, by in zip(prices.caps, over, strict=True)]
        floors = [_pushes(row, by) for row, by in zip(prices.floors, under, strict=True)]
        energy = _pushes([prices.energy], [self._excess(paths)])
        norm = sum(each**2 for row in (*caps, *floors, energy) for each in row)
        step = distance / norm if norm else 0.0
        return _Prices(
            [_moved(row, pushes, step) for row, pushes in zip(prices.caps, caps, strict=True)],
            [_moved(row, pushes, step) for row, pushes in zip(prices.floors, floors, strict=True)],
            *_moved([prices.energy], energy, step),
        )

    # --- a plan that keeps the limits -----------------------------------------------------------------------------

    def _place(self, prices: _Prices) -> _Placed:
        """Place the groups one after another, then each again while that helps."""
        paths = _saving(
            lambda price: self._sequence(prices._replace(energy=price)),
            lambda paths: self._excess(paths) <= _TOLERANCE,
            prices.energy,
        )
        while self._improve(paths):
            pass  # each round is better than the one before, and there are finitely many plans
        return _placed(paths)

    def _sequence(self, prices: _Prices) -> list[Path]:
        placed: dict[int, Path] = {}
        waiting = set(self._order)
        for index in self._order:
            waiting.discard(index)
            placed[index] = self.paths[index].best(
                self._surcharges(index, prices), self._allowed(index, placed, waiting)
            )
        return [placed[index] for index in range(len(placed))]

    def _improve(self, paths: list[Path]) -> bool:
        """Place each group anew into the room that the others leave. Returns whether that helped."""
        before = _placed(paths).score
        for index, path in enumerate(paths):
            others = {other: paths[other] for other in range(len(paths)) if other != index}
            paths[index] = max(path, self._best_within(index, others), key=lambda each: each.score)
        return _placed(paths).score > before

    def _best_within(self, index: int, others: Mapping[int, Path]) -> Path:
        """Return the best path in the room that the others leave; the one of least energy if that is not enough."""
        paths, allowed = self.paths[index], self._allowed(index, others, ())
        energy = self._problem.energy
        room = inf if energy is None else energy - self._energy(others.items()) + _TOLERANCE
        return _saving(
            lambda price: paths.best([price * hours for hours in self._hours], allowed),
            lambda path: self._energy([(index, path)]) <= room,
        )

    def _allowed(self, index: int, placed: Mapping[int, Path], waiting: Collection[int]) -> list[list[bool]] | None:
        """Return which points fit into what ``placed`` leave of the limits, if ``waiting`` take what they can.

        Where none fits, the one that is nearest: a cap comes before a floor.
        """
        draws = [point.kilowatts for point in self._problem.groups[index].points]
        rooms, needs = [inf] * len(self._hours), [0.0] * len(self._hours)
        limited = False
        for limit, caps, floors in zip(self._problem.limits, self._caps, self._floors, strict=True):
            if index not in limit.groups:
                continue
            limited = True
            used = self._used([other for other in limit.groups if other in placed], placed)
            rest = sum(self._most(other) for other in limit.groups if other in waiting)
            rooms = [min(room, cap - drawn) for room, cap, drawn in zip(rooms, caps, used, strict=True)]
            needs = [max(need, floor - drawn - rest) for need, floor, drawn in zip(needs, floors, used, strict=True)]
        if not limited:
            return None
        allowed: list[list[bool]] = []
        for room, need in zip(rooms, needs, strict=True):
            most = max(room, min(draws)) + _TOLERANCE
            least = min(need, max(drawn for drawn in draws if drawn <= most)) - _TOLERANCE
            allowed.append([least <= drawn <= most for drawn in draws])
        return allowed

    # --- sums -----------------------------------------------------------------------------------------------------

    def _most(self, index: int) -> float:
        return max(point.kilowatts for point in self._problem.groups[index].points)

    def _used(self, groups: Iterable[int], paths: Mapping[int, Path] | Sequence[Path]) -> list[float]:
        """Return what some groups draw together, kW by slot."""
        used = [0.0] * len(self._hours)
        for index in groups:
            points = self._problem.groups[index].points
            used = [drawn + points[choice].kilowatts for drawn, choice in zip(used, paths[index].choices, strict=True)]
        return used

    def _energy(self, paths: Iterable[tuple[int, Path]]) -> float:
        """Return what some groups use in all slots, kWh."""
        return sum(
            self._problem.groups[index].points[choice].kilowatts * hours
            for index, path in paths
            for choice, hours in zip(path.choices, self._hours, strict=True)
        )

    def _plan(self, placed: _Placed, bound: float) -> Plan:
        over, under = self._misses(placed.paths)
        worst = [max(misses) for misses in zip(*over, *under, strict=True)] or [0.0] * len(self._hours)
        value = sum(path.value for path in placed.paths)
        return Plan(
            problem=self._problem,
            choices=tuple(path.choices for path in placed.paths),
            value=value,
            bound=max(bound, value),
            broken=sum(path.broken for path in placed.paths),
            violations=tuple(miss if miss > _NOTHING else 0.0 for miss in worst),
            excess=excess if (excess := self._excess(placed.paths)) > _NOTHING else 0.0,
        )


_Planned = TypeVar("_Planned")


def _saving(at: Callable[[float], _Planned], fits: Callable[[_Planned], bool], price: float = 0.0) -> _Planned:
    """Return what is planned at ``price`` (USD per kWh of energy) if it fits, else at the lowest price where it does.

    Where it fits at none, at the highest: it uses the least energy.
    """
    found = at(price)
    if fits(found):
        return found
    low, high, found = _LEAST_PRICE, _MOST_PRICE, at(_MOST_PRICE)
    for _ in range(_BISECTIONS):
        between = sqrt(low * high)
        tried = at(between)
        if fits(tried):
            high, found = between, tried
        else:
            low = between
    return found


def _placed(paths: Sequence[Path]) -> _Placed:
    return _Placed(paths, sum(path.score for path in paths))


def _pushes(prices: Sequence[float], over: Sequence[float]) -> list[float]:
    """Return by how much limits push their prices. One that is kept and has no price pushes nothing."""
    return [by if by > 0 or price > 0 else 0.0 for price, by in zip(prices, over, strict=True)]


def _moved(prices: Sequence[float], pushes: Sequence[float], step: float) -> list[float]:
    return [max(0.0, price + step * push) for price, push in zip(prices, pushes, strict=True)]
