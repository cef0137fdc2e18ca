"""Problems of the day-ahead plan for tests, and the same problem as a mixed-integer program for HiGHS."""

import random
from dataclasses import replace
from math import inf
from typing import Any

import highspy

from exporter.decision.dayplan.problem import Group, Limit, OperatingPoint, Problem, Slot

HOUR = 3_600.0
TINY_PRICES = (0.030, 0.060, 0.080, 0.250, 0.065, 0.040)


def slots(count: int, seconds: float = HOUR) -> tuple[Slot, ...]:
    return tuple(Slot(start=number * seconds, end=(number + 1) * seconds) for number in range(count))


def points(work: tuple[float, ...], kilowatts: tuple[float, ...]) -> tuple[OperatingPoint, ...]:
    names = ("off", "low", "full", "over")
    return tuple(
        OperatingPoint(name=name, work=petahashes, kilowatts=draws)
        for name, petahashes, draws in zip(names, work, kilowatts, strict=False)
    )


def tiny(limits: tuple[Limit, ...] = (), energy: float | None = None) -> Problem:
    """Two groups, six hours: the worked case of the facts page."""
    common = {"prices": TINY_PRICES, "change_cost": 0.5, "min_on": 2 * HOUR, "min_off": 2 * HOUR, "now": 2}
    a = Group(block="A", name="A", points=points((0, 8.0, 10.4), (0, 190, 307)), start_cost=4, **common)
    b = Group(block="B", name="B", points=points((0, 14.0, 20.0), (0, 210, 350)), start_cost=6, **common)
    return Problem(asked_at=0, slots=slots(6), hashprices=(40.0,) * 6, groups=(a, b), limits=limits, energy=energy)


def capped(caps: dict[int, float], count: int = 6, groups: int = 2) -> Limit:
    return Limit(
        reason="cap", groups=tuple(range(groups)), caps=tuple(caps.get(number, inf) for number in range(count))
    )


def wandering(groups: int, count: int, seed: int, *, seconds: float = HOUR, energy: bool = False) -> Problem:
    """A site of many groups with random prices, and an evening cap at 40 % of its power."""
    generator = random.Random(seed)
    prices = tuple(generator.uniform(0.02, 0.12) for _ in range(count))
    made: list[Group] = []
    for number in range(groups):
        most, efficiency = generator.uniform(200, 600), generator.uniform(17, 32)
        shares = ((0.0, 1.0), (0.6, 0.9), (0.8, 0.95), (1.0, 1.0))
        made.append(
            Group(
                block=f"block {number}",
                name=f"group {number}",
                points=points(
                    tuple(most * share / (efficiency * better) for share, better in shares),
                    tuple(most * share for share, _ in shares),
                ),
                prices=prices,
                start_cost=generator.uniform(1, 8),
                change_cost=0.5,
                min_on=2 * HOUR,
                min_off=2 * HOUR,
                now=3,
            )
        )
    total = sum(group.points[-1].kilowatts for group in made)
    ahead = slots(count, seconds)
    evening = {number for number, slot in enumerate(ahead) if 17 <= slot.start / HOUR % 24 < 21}
    return Problem(
        asked_at=0,
        slots=ahead,
        hashprices=(45.0,) * count,
        groups=tuple(made),
        limits=(capped(dict.fromkeys(evening, total * 0.4), count, groups),),
        energy=total * sum(slot.hours for slot in ahead) / 2 if energy else None,
    )


def without_limits(problem: Problem) -> Problem:
    return replace(problem, limits=(), energy=None)


def highs(problem: Problem, seconds: float = 60.0) -> tuple[float, float]:
    """Solve a problem whose groups have been as they are for ever. Returns the best value, and its bound."""
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    model.setOptionValue("mip_rel_gap", 1e-7)
    model.setOptionValue("time_limit", seconds)
    count = len(problem.slots)
    terms: list[Any] = []
    draws: list[list[Any]] = []
    for group in problem.groups:
        margins = group.margins(problem.slots, problem.hashprices)
        x = [[model.addBinary() for _ in group.points] for _ in range(count)]
        up, down, change = ([model.addVariable(lb=0, ub=1) for _ in range(count)] for _ in range(3))
        for t in range(count):
            model.addConstr(sum(x[t]) == 1)
            on = sum(x[t][1:])
            before = float(group.now > 0) if t == 0 else sum(x[t - 1][1:])
            model.addConstr(on - before - up[t] + down[t] == 0)
            for index in range(1, len(group.points)):
                was = float(group.now == index) if t == 0 else x[t - 1][index]
                model.addConstr(change[t] - x[t][index] + was + up[t] >= 0)
            started = [up[s] for s in range(t + 1) if problem.slots[t].start - problem.slots[s].start < group.min_on]
            stopped = [down[s] for s in range(t + 1) if problem.slots[t].start - problem.slots[s].start < group.min_off]
            model.addConstr(sum(started) - on <= 0)
            model.addConstr(sum(stopped) + on <= 1)
            terms.append(sum(margin * x[t][index] for index, margin in enumerate(margins[t])))
            terms.append(-group.start_cost * up[t] - group.change_cost * change[t])
        draws.append([sum(point.kilowatts * x[t][i] for i, point in enumerate(group.points)) for t in range(count)])
    for limit in problem.limits:
        for t in range(count):
            used = sum(draws[index][t] for index in limit.groups)
            if limit.caps and limit.caps[t] < inf:
                model.addConstr(used <= limit.caps[t])
            if limit.floors and limit.floors[t] > 0:
                model.addConstr(used >= limit.floors[t])
    if problem.energy is not None:
        used = sum(row[t] * problem.slots[t].hours for row in draws for t in range(count))
        model.addConstr(used <= problem.energy)
    model.maximize(sum(terms))
    info = model.getInfo()
    return float(info.objective_function_value), float(info.mip_dual_bound)
