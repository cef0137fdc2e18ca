"""Shedding power at the least loss, against trying every combination."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import NOW
from test_decision_site_setpoints import ALL, PLAIN, Outcome, learned, miner

from exporter.decision.shedding import Cut, Load, Lower, loads, order, shed
from exporter.model.points import RigPoints
from exporter.model.readings import Reading, RigReading


def load(index: int, *lower: tuple[float, float], block: str = "a") -> Load:
    choices = tuple(Lower(f"p{number}", *figures) for number, figures in enumerate(lower))
    return Load(index, f"r{index}", block, lower[-1][0], "full", choices)


def test_the_rig_that_loses_least_per_kilowatt_is_turned_down_first() -> None:
    rigs = [load(0, (1.0, 5.0), (3.0, 20.0)), load(1, (1.0, 1.0), (3.0, 9.0))]
    found = shed(rigs, 1.0, {}, {})
    assert [(cut.rig, cut.point, cut.kilowatts, cut.loss) for cut in found.cuts] == [("r1", "p0", 1.0, 1.0)]
    found = shed(rigs, 3.5, {}, {})
    assert [(cut.rig, cut.point) for cut in found.cuts] == [("r1", "p1"), ("r0", "p0")]
    assert (found.kilowatts, found.loss, found.missing) == (4.0, 14.0, 0.0)


def test_the_last_step_is_the_cheapest_that_sheds_what_is_left() -> None:
    rigs = [load(0, (10.0, 10.0)), load(1, (10.0, 11.0)), load(2, (1.0, 2.0))]
    assert [cut.rig for cut in shed(rigs, 11.0, {}, {}).cuts] == ["r0", "r2"]


@pytest.mark.parametrize(
    ("last", "expected", "loss"),
    [
        (3.0, {"r0": "p0", "r1": "p0", "r2": "p0"}, 1 + 4 + 3),
        (5.5, {"r0": "p1", "r1": "p0"}, 6 + 4),
    ],
    ids=["a small rig", "a second step, which costs 5"],
)
def test_a_second_step_counts_at_what_it_costs_more_than_the_first(
    last: float, expected: dict[str, str], loss: float
) -> None:
    """2.5 kW: of what each kW costs, r0 has 1 and then 5, r1 has 4, and half a kW is left."""
    rigs = [load(0, (1.0, 1.0), (2.0, 6.0)), load(1, (1.0, 4.0)), load(2, (0.5, last))]
    found = shed(rigs, 2.5, {}, {})
    assert ({cut.rig: cut.point for cut in found.cuts}, found.loss) == (expected, loss)


def test_of_rigs_that_lose_by_running_the_one_that_loses_most_sheds_what_is_left() -> None:
    assert [cut.rig for cut in shed([load(0, (1.0, -1.0)), load(1, (10.0, -5.0))], 1.0, {}, {}).cuts] == ["r1"]


def test_a_rig_without_power_or_without_a_lower_point_sheds_nothing() -> None:
    idle = [Load(0, "r0", "a", 0.0, "", (Lower("off", 0.0, 0.0),)), Load(1, "r1", "a", 1.0, "", ())]
    assert shed(idle, 1.0, {}, {}).cuts == ()


def test_what_cannot_be_shed_is_said() -> None:
    found = shed([load(0, (2.0, 1.0))], 5.0, {}, {})
    assert (found.kilowatts, found.missing) == (2.0, 3.0)
    assert shed([], 5.0, {}, {}).missing == 5.0


def test_a_block_above_its_feeders_capacity_comes_first() -> None:
    rigs = [load(0, (5.0, 1.0), block="a"), load(1, (5.0, 50.0), block="b"), load(2, (5.0, 60.0), block="b")]
    found = shed(rigs, 6.0, {"b": 8.0, "a": 10.0}, {"a": 5.0, "b": 10.0})
    assert {cut.rig for cut in found.cuts} == {"r0", "r1"}
    assert found.over_capacity == {"b": 2.0}
    only_that = shed(rigs, 0.0, {"b": 8.0}, {"a": 5.0, "b": 10.0})
    assert [cut.rig for cut in only_that.cuts] == ["r1"]
    both = shed(rigs, 10.0, {"b": 2.0}, {"b": 10.0})
    assert [cut.rig for cut in both.cuts] == ["r1", "r2"]  # which is all that was asked for


def test_a_block_at_its_feeders_capacity_or_that_draws_nothing_is_not_above_it() -> None:
    assert shed([load(0, (5.0, 1.0))], 0.0, {"a": 5.0, "c": 0.5}, {"a": 5.0}).over_capacity == {}


def test_equal_rigs_are_turned_down_in_turn_from_the_blocks() -> None:
    rigs = [load(index, (3.0, 3.0), block="a" if index < 8 else "b") for index in range(12)]
    found = shed(rigs, 18.0, {}, {})
    assert sum(cut.block == "a" for cut in found.cuts) == 4
    assert sum(cut.block == "b" for cut in found.cuts) == 2
    rigs = [load(index, (3.0, 3.0), block="a" if index < 6 else "b") for index in range(9)]
    assert {cut.rig for cut in shed(rigs, 15.0, {}, {}).cuts} == {"r0", "r6", "r1", "r2", "r3"}


def test_a_cut_names_the_rig_its_place_and_its_points() -> None:
    first, second = load(0, (2.0, 1.0)), load(7, (1.0, 3.0), (4.0, 20.0), block="b")
    assert shed([first, second], 2.5, {}, {}).cuts == (
        Cut(slot=0, rig="r0", block="a", in_force="full", point="p0", kilowatts=2.0, loss=1.0),
        Cut(slot=7, rig="r7", block="b", in_force="full", point="p0", kilowatts=1.0, loss=3.0),
    )


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 6), st.integers(0, 20)), min_size=1, max_size=1), min_size=1, max_size=6
    ),
    st.integers(1, 20),
)
def test_what_is_asked_for_is_shed_and_no_cut_is_for_nothing(steps: list[list[tuple[int, int]]], wanted: int) -> None:
    rigs = [load(index, *((float(kw), float(loss)) for kw, loss in each)) for index, each in enumerate(steps)]
    found = shed(rigs, float(wanted), {}, {})
    possible = sum(each.kilowatts for each in rigs)
    assert found.kilowatts >= min(wanted, possible) - 1e-9
    assert found.missing == pytest.approx(max(wanted - possible, 0.0))
    assert found.loss <= best(rigs, min(wanted, possible)) + max(cut.loss for cut in found.cuts) + 1e-9


def best(rigs: Sequence[Load], wanted: float) -> float:
    """The least loss of all combinations."""
    found = []
    for chosen in product(*([None, *each.lower] for each in rigs)):
        taken = [each for each in chosen if each is not None]
        if sum(each.kilowatts for each in taken) >= wanted - 1e-9:
            found.append(sum(each.loss for each in taken))
    return min(found)


# --- from an evaluation ----------------------------------------------------------------------------------------------


def loads_of(outcome: Outcome) -> list[Load]:
    return loads(outcome.snapshot, outcome.economics, outcome.setpoints)


def test_the_steps_of_a_rig_are_those_of_its_hull_down_to_off() -> None:
    (found,) = loads_of(Outcome(miner(), price=0.05))
    assert [each.name for each in found.lower] == ["490MHz", "390MHz", "290MHz", "off"]
    assert found.lower[-1].kilowatts == found.kilowatts == pytest.approx(2.794)
    assert found.lower[-1].loss == pytest.approx(0.7031, abs=5e-5)
    assert found.lower[0].loss == pytest.approx(0.7031 - 0.7362, abs=1e-4)  # it earns more
    assert order(found) == pytest.approx((0.7031 - 0.7362) / (0.602 * 24), abs=1e-5)


def test_a_rig_whose_points_are_not_known_can_only_be_switched_off() -> None:
    (found,) = loads_of(Outcome(miner(points=None), price=0.05))
    assert [(each.name, round(each.loss, 4)) for each in found.lower] == [("off", 0.7031)]
    assert found.in_force == ""
    (plain,) = loads_of(Outcome(miner(points=None), price=0.05, settings=replace(PLAIN, points=None)))
    assert plain == found


def test_a_rig_that_draws_nothing_or_whose_figures_are_unknown_is_left_out() -> None:
    off = replace(miner(), reading=Reading(RigReading(hashrate=0.0, power=20.0), NOW))
    assert loads_of(Outcome(off)) == []
    assert loads_of(Outcome(replace(miner(), reading=None))) == []
    assert loads_of(Outcome(miner(points=None), tariffs={})) == []
    unmetered = replace(miner(points=None), reading=Reading(RigReading(hashrate=82e12), NOW))
    assert loads_of(Outcome(replace(unmetered, rig=replace(unmetered.rig, rated_power=None)))) == []


def test_rigs_that_are_left_out_do_not_hide_the_others() -> None:
    silent = replace(miner(name="silent"), reading=None)
    no_price = miner(name="no price")
    no_price = replace(no_price, rig=replace(no_price.rig, tariff="other"))
    unread = replace(miner(points=None, name="plain"), rig=replace(miner().rig, name="plain", block="south"))
    found = loads_of(Outcome(silent, no_price, miner(name="known"), unread, price=0.05))
    assert [(each.slot, each.rig, each.block, each.in_force) for each in found] == [
        (2, "known", "north", "default"),
        (3, "plain", "south", ""),
    ]
    plain = found[1]
    assert plain.kilowatts == plain.lower[0].kilowatts == pytest.approx(2.794)


def test_at_a_negative_price_shedding_costs_what_the_energy_pays() -> None:
    (found,) = loads_of(Outcome(miner("290MHz", ALL), price=-0.05))
    assert [each.name for each in found.lower] == ["off"]  # of which a kWh earns least
    assert all(each.loss > 0 for each in found.lower)


def test_a_step_that_a_cheaper_and_larger_one_makes_needless_is_left_out() -> None:
    (found,) = loads_of(Outcome(miner("790MHz"), price=0.0701))
    assert [each.name for each in found.lower] == ["690MHz", "default", "490MHz", "390MHz", "290MHz", "off"]
    few = RigPoints(learned=tuple(learned(name) for name in ("default", "290MHz", "190MHz")))
    (found,) = loads_of(Outcome(miner(points=few), price=0.05))
    assert [each.name for each in found.lower] == ["290MHz", "off"]


def test_of_two_points_with_the_same_power_the_better_one_counts() -> None:
    twin = replace(ALL.learned[1], name="twin", hashrate=50e12)
    (found,) = loads_of(Outcome(miner(points=replace(ALL, learned=(*ALL.learned, twin))), price=0.05))
    assert [each.name for each in found.lower] == ["490MHz", "390MHz", "290MHz", "off"]
