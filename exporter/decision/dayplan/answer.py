"""The worker's answer: a new plan, or the one in force while a new one is hardly better."""

from collections.abc import Sequence
from dataclasses import replace

from exporter.decision.dayplan.path import Path
from exporter.decision.dayplan.problem import Group, Plan, Problem
from exporter.decision.dayplan.question import Question
from exporter.decision.dayplan.solve import Solver


def answer(question: Question) -> Plan:
    """Return the plan to follow. The same question has the same answer.

    The plan in force goes on, at the new prices and prolonged to the new end, while a new one earns hardly more.
    """
    solver = Solver(question.problem)
    plan = solver.solve()
    paths = None if question.before is None else _prolonged(question.before, solver, question.problem)
    former = None if paths is None else solver.plan(paths)
    if former is None or former.broken > plan.broken:
        return plan
    hardly = plan.value - former.value <= question.hold_back_share * abs(plan.value)
    return replace(former, bound=max(plan.bound, former.value)) if hardly else plan


def _prolonged(before: Plan, solver: Solver, problem: Problem) -> list[Path] | None:
    """Return the paths of the plan in force, free after its end; None if its groups are not those of the problem."""
    known = {_name(group): number for number, group in enumerate(before.problem.groups)}
    if set(known) != {_name(group) for group in problem.groups}:
        return None
    paths: list[Path] = []
    for group, every in zip(problem.groups, solver.paths, strict=True):
        choices = before.choices[known[_name(group)]]
        paths.append(every.best(None, [_allowed(before, choices, slot.start, group) for slot in problem.slots]))
    return paths


def _allowed(before: Plan, choices: Sequence[int], at: float, group: Group) -> list[bool]:
    for slot, choice in zip(before.problem.slots, choices, strict=True):
        if slot.start <= at < slot.end:
            return [point == choice for point in range(len(group.points))]
    return [True] * len(group.points)


def _name(group: Group) -> tuple[str, str, tuple[str, ...]]:
    return group.block, group.name, tuple(point.name for point in group.points)
