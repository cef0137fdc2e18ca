"""The day-ahead plan: known answers, exact paths, and bounds against enumeration and HiGHS."""

from dataclasses import replace
from itertools import pairwise, product
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.decision.dayplan.path import Paths
from exporter.decision.dayplan.problem import Group, Limit, Plan, Problem, Slot
from exporter.decision.dayplan.solve import Solver, solve
from tests.unit.day_plans import HOUR, capped, highs, points, slots, tiny, wandering, without_limits

CENT = 0.005


@pytest.mark.parametrize(
    ("problem", "value", "a", "b"),
    [
        (tiny(), 71.356667, (2, 1, 0, 0, 1, 1), (2, 2, 0, 0, 2, 2)),
        (tiny((capped({3: 200.0}),)), 71.356667, (2, 1, 0, 0, 1, 1), (2, 2, 0, 0, 2, 2)),
        (tiny((capped({1: 300.0}),)), 67.823333, (2, 0, 0, 0, 1, 1), (2, 1, 0, 0, 2, 2)),
        (tiny((capped({3: 0.0, 4: 300.0}),)), 68.973333, (2, 1, 0, 0, 0, 1), (2, 2, 0, 0, 1, 2)),
    ],
    ids=["no limit", "cap that does not bind", "cap in hour 1", "cap in hours 3 and 4"],
)
def test_the_worked_case_is_planned_to_the_cent(
    problem: Problem, value: float, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    plan = solve(problem)
    assert plan.choices == (a, b)
    assert plan.value == pytest.approx(value, abs=1e-6)
    assert plan.value <= plan.bound + CENT
    assert plan.broken == 0
    assert not any(plan.violations)
    best, _ = highs(problem)
    assert best == pytest.approx(value, abs=CENT)


def test_the_worked_case_with_an_energy_cap_is_within_its_printed_gap() -> None:
    problem = tiny(energy=1_900.0)
    plan = solve(problem)
    best, _ = highs(problem)
    assert best == pytest.approx(68.94, abs=CENT)
    assert energy(plan) <= 1_900.0
    assert plan.value <= best + CENT
    assert best <= plan.bound + CENT
    assert (best - plan.value) / best <= plan.gap <= 0.02


def test_the_worked_case_without_times_and_costs_is_its_upper_bound() -> None:
    problem = tiny()
    free = [replace(group, min_on=0.0, min_off=0.0, start_cost=0.0, change_cost=0.0) for group in problem.groups]
    plan = solve(replace(problem, groups=tuple(free)))
    assert plan.value == pytest.approx(88.390, abs=5e-4)
    assert plan.choices == ((2, 1, 0, 0, 1, 1), (2, 2, 1, 0, 2, 2))


def test_always_full_in_the_worked_case() -> None:
    problem = tiny()
    paths = [Paths(group, problem.slots, problem.hashprices) for group in problem.groups]
    assert sum(path.judge((2,) * 6).value for path in paths) == pytest.approx(-40.925, abs=5e-4)


def test_a_floor_keeps_rigs_running() -> None:
    floor = Limit(reason="award", groups=(0, 1), floors=(0, 0, 0, 400.0, 0, 0))
    plan = solve(tiny((floor,)))
    assert plan.kilowatts(0, 3) + plan.kilowatts(1, 3) >= 400.0
    best, _ = highs(tiny((floor,)))
    assert plan.value == pytest.approx(best, abs=CENT)


def test_what_no_plan_can_keep_is_reported_as_a_violation() -> None:
    floor = Limit(reason="award", groups=(0, 1), floors=(0, 0, 900.0, 0, 0, 0))
    plan = solve(tiny((floor,)))
    assert plan.violations == (0, 0, pytest.approx(900.0 - 657.0), 0, 0, 0)
    base = Limit(reason="cap", groups=(0,), caps=(inf, inf, -10.0, inf, inf, inf))
    assert solve(tiny((base,))).violations[2] == pytest.approx(10.0)


def test_energy_that_no_plan_can_save_is_reported() -> None:
    group = Group(block="A", name="A", points=points((0, 10.0), (5.0, 300.0)), prices=(0.03, 0.03))
    problem = Problem(asked_at=0, slots=slots(2), hashprices=(40.0, 40.0), groups=(group,), energy=4.0)
    plan = solve(problem)
    assert plan.choices == ((0, 0),)
    assert plan.excess == pytest.approx(6.0)


def test_a_cap_comes_before_the_shortest_times() -> None:
    problem = tiny((capped({1: 0.0}),))
    young = tuple(replace(group, since=HOUR / 2) for group in problem.groups)
    plan = solve(replace(problem, groups=young, limits=(capped({0: 0.0}),)))
    assert [choice[0] for choice in plan.choices] == [0, 0]
    assert plan.broken == 2
    assert not any(plan.violations)


def test_who_is_off_at_the_end_still_owes_a_start() -> None:
    ahead = slots(2)
    group = Group(
        block="A", name="A", points=points((0, 10.0), (0, 300.0)), prices=(0.03, 0.08), start_cost=50.0, now=1
    )
    problem = Problem(asked_at=0, slots=ahead, hashprices=(40.0, 40.0), groups=(group,))
    assert solve(problem).choices == ((1, 0),)
    goes_on = replace(problem, groups=(replace(group, on_afterwards=True),))
    assert solve(goes_on).choices == ((1, 1),)
    dear = replace(group, on_afterwards=True, prices=(0.03, 0.80))
    stopped = solve(replace(problem, groups=(dear,)))
    assert stopped.choices == ((1, 0),)
    assert stopped.value == pytest.approx(10.0 * 40 / 24 - 300 * 0.03 - 50.0)


def test_a_problem_without_groups_or_slots_has_an_empty_plan() -> None:
    empty = solve(Problem(asked_at=0, slots=(), hashprices=(), groups=()))
    assert (empty.choices, empty.value, empty.gap) == ((), 0.0, 0.0)


def energy(plan: Plan) -> float:
    return sum(
        plan.kilowatts(group, number) * slot.hours
        for group in range(len(plan.choices))
        for number, slot in enumerate(plan.problem.slots)
    )


lengths = st.sampled_from((900.0, 1_800.0, HOUR))


@st.composite
def groups_of(draw: st.DrawFn, count: int) -> Group:
    work = draw(st.lists(st.floats(1, 20), min_size=1, max_size=2))
    kilowatts = draw(st.lists(st.floats(100, 500), min_size=len(work), max_size=len(work)))
    now = draw(st.integers(0, len(work)))
    return Group(
        block="A",
        name="A",
        points=points((0.0, *work), (draw(st.sampled_from((0.0, 5.0))), *kilowatts)),
        prices=tuple(draw(st.lists(st.floats(-0.05, 0.3), min_size=count, max_size=count))),
        start_cost=draw(st.floats(0, 10)),
        change_cost=draw(st.floats(0, 2)),
        min_on=draw(st.sampled_from((0.0, 1_800.0, 2 * HOUR))),
        min_off=draw(st.sampled_from((0.0, 900.0, 2 * HOUR))),
        now=now,
        since=draw(st.sampled_from((0.0, 600.0, HOUR, inf))),
        on_afterwards=draw(st.booleans()),
    )


@st.composite
def single(draw: st.DrawFn) -> tuple[Group, tuple[Slot, ...]]:
    seconds = draw(st.lists(lengths, min_size=1, max_size=4))
    edges = [sum(seconds[:number]) for number in range(len(seconds) + 1)]
    ahead = tuple(Slot(start=start, end=end) for start, end in pairwise(edges))
    return draw(groups_of(len(ahead))), ahead


def alone(prices: tuple[float, ...], **changes: object) -> Problem:
    """One group of 300 kW that earns $16.67 an hour before power."""
    group = Group(block="A", name="A", points=points((0, 10.0), (0, 300.0)), prices=prices)
    ahead = slots(len(prices))
    return Problem(
        asked_at=0,
        slots=ahead,
        hashprices=(40.0,) * len(prices),
        groups=(replace(group, **changes),),  # type: ignore[arg-type]
    )


def test_staying_at_a_point_costs_no_change() -> None:
    assert solve(alone((0.05,) * 3, change_cost=50.0, start_cost=1.0, now=1)).choices == ((1, 1, 1),)


def test_the_shortest_time_on_is_not_the_one_off() -> None:
    assert solve(alone((0.05, 0.2, 0.2), min_on=2 * HOUR)).choices == ((0, 0, 0),)
    assert solve(alone((0.05, 0.2, 0.2), min_off=2 * HOUR)).choices == ((1, 0, 0),)


def test_the_revenue_of_a_group_is_that_of_its_most_work() -> None:
    assert alone((0.05,)).groups[0].revenue(48.0) == 20.0


@given(single())
def test_the_path_of_one_group_is_the_best_of_all(case: tuple[Group, tuple[Slot, ...]]) -> None:
    group, ahead = case
    paths = Paths(group, ahead, (40.0,) * len(ahead))
    best = paths.best()
    enumerated = max(paths.judge(choices).score for choices in product(range(len(group.points)), repeat=len(ahead)))
    assert best.score == pytest.approx(enumerated, abs=1e-6)


@given(groups_of(3), groups_of(3), st.floats(0, 900), st.floats(0, 600), st.floats(0, 3_000) | st.none())
@settings(max_examples=settings.default.max_examples * 2 // 5)
def test_a_plan_keeps_its_limits_and_its_bound(
    one: Group, other: Group, cap: float, floor: float, most: float | None
) -> None:
    limits = (capped({1: cap}, 3), Limit(reason="award", groups=(0, 1), floors=(0.0, 0.0, floor)))
    problem = Problem(
        asked_at=0, slots=slots(3), hashprices=(40.0,) * 3, groups=(one, other), limits=limits, energy=most
    )
    plan = solve(problem)
    paths = [Paths(group, problem.slots, problem.hashprices) for group in problem.groups]
    assert plan.value == pytest.approx(
        sum(path.judge(choice).value for path, choice in zip(paths, plan.choices, strict=True))
    )
    idle = one.points[0].kilowatts + other.points[0].kilowatts
    assert plan.kilowatts(0, 1) + plan.kilowatts(1, 1) <= max(cap, idle) + 1e-6
    if most is None:
        reachable = sum(max(point.kilowatts for point in group.points) for group in (one, other))
        assert plan.violations[2] == pytest.approx(max(0.0, floor - reachable), abs=1e-5)
    scores = [
        path_one.score + path_other.score
        for a in product(range(len(one.points)), repeat=3)
        for b in product(range(len(other.points)), repeat=3)
        if keeps(problem, (a, b))
        for path_one, path_other in [(paths[0].judge(a), paths[1].judge(b))]
    ]
    if scores:
        assert max(scores) <= plan.bound + 1e-6


def keeps(problem: Problem, choices: tuple[tuple[int, ...], ...]) -> bool:
    plan = Plan(problem=problem, choices=choices, value=0, bound=0, broken=0, violations=(), excess=0)
    draws = [plan.kilowatts(0, t) + plan.kilowatts(1, t) for t in range(3)]
    caps, floors = problem.limits[0].caps, problem.limits[1].floors
    return (
        all(map(float.__le__, draws, caps))
        and all(map(float.__ge__, draws, floors))
        and (problem.energy is None or energy(plan) <= problem.energy)
    )


@pytest.mark.parametrize(
    ("groups", "seed", "energy_cap"),
    [(20, 1, False), (20, 1, True), pytest.param(50, 7, True, marks=pytest.mark.exhaustive)],
)
def test_a_site_of_many_groups_is_within_one_percent_of_what_is_possible(
    groups: int, seed: int, energy_cap: bool
) -> None:
    plan = solve(wandering(groups, 24, seed=seed, energy=energy_cap))
    assert plan.gap < 0.01
    assert not any(plan.violations)
    assert plan.broken == 0


def lasting(hours: tuple[float, ...], problem: Problem) -> Problem:
    """The same problem with slots of these lengths."""
    edges = [sum(hours[:number]) * HOUR for number in range(len(hours) + 1)]
    return replace(problem, slots=tuple(Slot(start=start, end=end) for start, end in pairwise(edges)))


def awarded(floors: dict[int, float], *groups: int) -> Limit:
    return Limit(reason="award", groups=groups, floors=tuple(floors.get(number, 0.0) for number in range(6)))


UNEQUAL = (0.5, 2.0, 1.0, 0.5, 1.5, 1.0)
LOW_A = Limit(reason="cap", groups=(0,), caps=(190.0,) * 6)
OFF_B = Limit(reason="cap", groups=(1,), caps=(0.0,) * 6)


@pytest.mark.parametrize(
    ("problem", "missed", "gap"),
    [
        (tiny((capped({1: 300.0}),)), 0.0, 0.02),
        (tiny((capped({1: 250.0, 5: 250.0}),)), 0.0, 0.035),
        (tiny((OFF_B,)), 0.0, 0.0),
        (tiny((awarded({3: 400.0}, 0, 1),)), 0.0, 0.0),
        (tiny((awarded({3: 350.0}, 1),)), 0.0, 0.0),
        (tiny((capped({1: 300.0}), awarded({3: 350.0}, 0, 1))), 0.0, 0.06),
        (tiny((capped({1: 500.0, 0: 400.0}), LOW_A)), 0.014, 0.035),
        (tiny((LOW_A, capped({1: 500.0, 0: 400.0}))), 0.014, 0.035),
        (tiny((capped({1: 300.0}),), energy=1_500.0), 0.0, 0.01),
        (tiny((awarded({3: 350.0}, 0, 1),), energy=1_500.0), 0.0, 0.57),
        (tiny((awarded({0: 200.0, 2: 200.0}, 0, 1),), energy=1_950.0), 0.008, 0.021),
        (wandering(2, 6, seed=4, energy=True), 0.0, 0.001),
        (lasting(UNEQUAL, tiny(energy=650.0)), 0.0, 0.059),
        (lasting(UNEQUAL, tiny(energy=1_900.0)), 0.016, 0.032),
        (lasting(UNEQUAL, tiny((capped({1: 300.0}), awarded({3: 210.0}, 0, 1)), energy=1_700.0)), 0.0, 0.007),
    ],
)
def test_a_plan_is_near_the_best_one_and_its_bound_is_no_further_away_than_it_was(
    problem: Problem, missed: float, gap: float
) -> None:
    """The plans and the bounds are from rules of thumb: how near they come was measured, against HiGHS."""
    plan = solve(problem)
    best, _ = highs(problem)
    assert (1 - missed) * best - CENT <= plan.value <= best + CENT
    assert best - CENT <= plan.bound
    assert plan.gap <= gap + 1e-6
    assert (plan.violations, plan.excess, plan.broken) == ((0.0,) * 6, 0.0, 0)
    assert problem.energy is None or energy(plan) <= problem.energy


def test_energy_counts_by_the_length_of_the_slots() -> None:
    """Of half an hour and two hours at 100 kW, 100 kWh last for the half hour only."""
    group = Group(block="A", name="A", points=points((0, 10.0), (0, 100.0)), prices=(0.03, 0.05))
    problem = Problem(asked_at=0, slots=slots(2), hashprices=(40.0, 40.0), groups=(group,), energy=100.0)
    plan = solve(lasting((0.5, 2.0), problem))
    assert plan.choices == ((1, 0),)
    assert plan.value == pytest.approx(0.5 * (10 * 40 / 24 - 100 * 0.03))


def test_another_plan_is_judged_by_the_same_limits_and_proves_nothing() -> None:
    solver = Solver(tiny((capped({1: 300.0}),)))
    off, full = ([path.judge((index,) * 6) for path in solver.paths] for index in (0, 2))
    assert solver.plan(full) is None
    judged = solver.plan(off)
    assert judged is not None
    assert judged.value == judged.bound == 0.0


def test_a_site_without_limits_is_planned_exactly() -> None:
    plan = solve(without_limits(wandering(50, 24, seed=2)))
    assert plan.value == pytest.approx(plan.bound, rel=1e-9)


def test_the_same_problem_has_the_same_plan() -> None:
    assert solve(wandering(8, 12, seed=3)) == solve(wandering(8, 12, seed=3))
