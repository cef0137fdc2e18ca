"""The best course over known prices, against trying every course."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decision.course import OFF, Option, Planner, condensed
from exporter.decision.curtailment import Slot

PRICES = st.lists(st.tuples(st.sampled_from((0.25, 0.5, 1.0, 2.0)), st.floats(-0.1, 0.4)), min_size=1, max_size=5)
OPTIONS = st.lists(
    st.builds(Option, st.floats(0, 20), st.floats(0.1, 300), st.floats(0, 5), st.floats(0, 9)), min_size=1, max_size=2
)


def worth(options: Sequence[Option], path: Sequence[int], current: int, slots: Sequence[Slot]) -> float:
    """What a course earns, booked slot by slot."""
    total = 0.0
    for index, slot in zip(path, slots, strict=True):
        option, before = options[index], options[current]
        if index != current:
            total -= option.cost if before.kwh else option.cold_cost
        total += (option.revenue - option.kwh * slot.price) * slot.hours
        current = index
    return total


def is_legal(path: Sequence[int], current: int, slots: Sequence[Slot], dwell: float) -> bool:
    """Whether each change is followed by the dwell, or by the end."""
    for start, index in enumerate(path):
        if index == (path[start - 1] if start else current):
            continue
        spent = 0.0
        for later in range(start, len(path)):
            if path[later] != index:
                return False
            spent += slots[later].hours
            if spent >= dwell - 1e-9:
                break
    return True


@given(OPTIONS, PRICES, st.sampled_from((0.0, 0.5, 1.5)), st.data())
def test_no_course_that_could_be_tried_earns_more(
    options: list[Option], prices: list[tuple[float, float]], dwell: float, data: st.DataObject
) -> None:
    options = [*options, OFF]
    slots = [Slot(*price) for price in prices]
    current = data.draw(st.integers(0, len(options) - 1))
    planner = Planner(options, slots, dwell)
    path = planner.course(current)
    assert is_legal(path, current, slots, dwell)
    assert worth(options, path, current, slots) == pytest.approx(planner.value(current), abs=1e-9)
    tried = [
        worth(options, each, current, slots)
        for each in product(range(len(options)), repeat=len(slots))
        if is_legal(each, current, slots, dwell)
    ]
    assert planner.value(current) == pytest.approx(max(tried), abs=1e-9)


A = (Option(8.0 * 40 / 24, 190.0, 0.0, 0.0), Option(10.4 * 40 / 24, 307.0, 0.0, 0.0), OFF)
B = (Option(14.0 * 40 / 24, 210.0, 0.0, 0.0), Option(20.0 * 40 / 24, 350.0, 0.0, 0.0), OFF)
DAY = [Slot(1.0, price) for price in (0.030, 0.060, 0.080, 0.250, 0.065, 0.040)]


def test_without_costs_two_blocks_run_at_the_best_point_of_each_hour() -> None:
    first, second = Planner(A, DAY), Planner(B, DAY)
    assert first.value(1) + second.value(1) == pytest.approx(88.390, abs=5e-4)
    assert first.course(1) == (1, 0, 2, 2, 0, 0)
    assert second.course(1) == (1, 1, 0, 2, 1, 1)


def test_a_change_is_kept_for_the_dwell_and_what_runs_already_may_change_at_any_time() -> None:
    options = (Option(10.0, 100.0, 0.0, 0.0), OFF)
    cheap, dear = Slot(1.0, 0.05), Slot(1.0, 0.5)
    stopping = Planner(options, [cheap, dear, dear], 2.0)
    assert (stopping.course(0), stopping.value(0)) == ((0, 1, 1), 5.0)
    starting = Planner(options, [dear, cheap, cheap], 2.0)
    assert (starting.course(0), starting.value(0)) == ((1, 1, 0), 5.0)
    assert Planner(options, [Slot(0.5, 0.5), Slot(0.5, 0.05)]).course(0) == (1, 0)  # nothing must last


def test_what_may_not_stand_still_loses_in_the_slots_in_which_it_loses() -> None:
    assert Planner((Option(10.0, 100.0, 0.0, 0.0),), [Slot(1.0, 0.5), Slot(1.0, 0.05)]).value(0) == -35.0


def test_a_tie_changes_nothing() -> None:
    same = (Option(1.0, 10.0, 0.0, 0.0), Option(1.0, 10.0, 0.0, 0.0))
    assert Planner(same, [Slot(1.0, 0.05)]).course(1) == (1,)


def test_slots_of_one_price_are_joined_and_later_ones_are_averaged() -> None:
    quarters = [Slot(0.25, 0.05)] * 8 + [Slot(0.25, 0.06), Slot(0.25, 0.08)] * 6
    joined = condensed(quarters, ((2.5, 0.0), (4.0, 1.0)))
    assert [slot.hours for slot in joined] == [2.0, 0.25, 1.0, 0.75]
    assert sum(slot.hours * slot.price for slot in joined) == pytest.approx(2 * 0.05 + 2 * 0.07)
    assert condensed([Slot(3.0, 0.1), Slot(3.0, 0.2)], ((4.0, 0.0),)) == [Slot(3.0, 0.1), Slot(1.0, 0.2)]
    assert condensed([], ((24.0, 0.0),)) == []
