"""Which blocks to convert to free so much power: exact, against every possible choice."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.tools.allocation import MiningRig, Offer, allocate

SITE = (
    Offer(block="A", kilowatts=1_000, margin_lost=120),
    Offer(block="B", kilowatts=800, margin_lost=40),
    Offer(block="C", kilowatts=600, margin_lost=90),
    Offer(block="D", kilowatts=500, margin_lost=-10),
)


def cheapest(offers: list[Offer], need: float) -> float | None:
    """Try every choice."""
    covers = [
        choice
        for size in range(len(offers) + 1)
        for choice in combinations(offers, size)
        if sum(offer.kilowatts for offer in choice) >= need
    ]
    return min((sum(offer.margin_lost for offer in choice) for choice in covers), default=None)


def test_the_cheapest_blocks_that_free_1500_kilowatts_are_chosen() -> None:
    plan = allocate(SITE, 1_500)
    assert plan.blocks == ("A", "D")
    assert plan.margin_lost == 110
    assert plan.kilowatts == 1_500
    assert plan.greedy_margin_lost == 150
    assert plan.feasible


def test_an_infeasible_target_gets_the_most_that_is_possible() -> None:
    plan = allocate(SITE, 3_000)
    assert not plan.feasible
    assert plan.blocks == ("A", "B", "C", "D")
    assert plan.kilowatts == 2_900
    assert plan.greedy_margin_lost is None


def test_no_blocks_free_nothing() -> None:
    assert not allocate((), 100).feasible
    assert allocate((), 0).feasible


def test_rounding_never_frees_too_little() -> None:
    offers = [Offer(block=str(n), kilowatts=333.3337, margin_lost=n) for n in range(1, 4)]
    assert allocate(offers, 1_000).feasible
    assert len(allocate(offers, 1_000).blocks) == 3
    assert allocate(offers, 666.6).blocks == ("1", "2")


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-50, 200)), max_size=9),
    st.integers(0, 300),
)
def test_no_choice_is_cheaper(blocks: list[tuple[int, int]], need: int) -> None:
    offers = [
        Offer(block=str(n), kilowatts=10.0 * size, margin_lost=float(lost)) for n, (size, lost) in enumerate(blocks)
    ]
    plan = allocate(offers, 10.0 * need)
    usable = [offer for offer in offers if offer.kilowatts > 0]
    best = cheapest(usable, 10.0 * need)
    assert plan.feasible is (best is not None)
    if best is not None:
        assert plan.margin_lost == best
        assert plan.kilowatts >= 10 * need
        assert plan.greedy_margin_lost is not None
        assert plan.greedy_margin_lost >= plan.margin_lost


@given(
    st.lists(st.tuples(st.floats(0.5, 3_000), st.floats(-50, 200)), min_size=1, max_size=8),
    st.floats(0, 5_000),
)
def test_uneven_blocks_free_enough_and_lose_almost_the_least(blocks: list[tuple[float, float]], need: float) -> None:
    offers = [Offer(block=str(n), kilowatts=size, margin_lost=lost) for n, (size, lost) in enumerate(blocks)]
    plan = allocate(offers, need)
    if plan.feasible:
        assert plan.kilowatts >= need - 1e-6
        slack = 0.02 * len(offers)  # kW: the bins are this fine for so few blocks
        best = cheapest(offers, need)
        harder = cheapest(offers, need + slack)
        assert best is not None
        assert best - 1e-6 <= plan.margin_lost
        assert harder is None or plan.margin_lost <= harder + 1e-6


def fleet() -> list[MiningRig]:
    good = [MiningRig(rig=f"good-{n}", block="A", kilowatts=3.5, margin=2.0, moving_cost=60) for n in range(10)]
    bad = [MiningRig(rig=f"bad-{n}", block="B", kilowatts=3.5, margin=-1.0) for n in range(20)]
    return [*good, *bad]


def test_a_swap_retires_the_worst_and_moves_the_good() -> None:
    plan = allocate([Offer(block="A", kilowatts=35, margin_lost=20.0)], 35, fleet())
    assert plan.margin_lost == 20
    assert plan.swap is not None
    assert len(plan.swap.retired) == len(plan.swap.moved) == 10
    assert plan.swap.margin_lost == -10
    assert plan.swap.moving_cost == 600


def test_a_block_of_the_worst_rigs_needs_no_moves() -> None:
    plan = allocate([Offer(block="B", kilowatts=70, margin_lost=-20.0)], 70, fleet())
    assert plan.swap is not None
    assert plan.swap.moved == ()
    assert plan.swap.margin_lost == pytest.approx(plan.margin_lost)


def test_moved_rigs_get_power_and_slots() -> None:
    small = [MiningRig(rig=f"small-{n}", block="B", kilowatts=1.0, margin=-1.0) for n in range(100)]
    plan = allocate([Offer(block="A", kilowatts=35, margin_lost=20.0)], 35, [*fleet()[:10], *small])
    assert plan.swap is not None
    assert len(plan.swap.retired) == 35
    large = [MiningRig(rig=f"large-{n}", block="B", kilowatts=35.0, margin=-1.0) for n in range(20)]
    plan = allocate([Offer(block="A", kilowatts=35, margin_lost=20.0)], 35, [*fleet()[:10], *large])
    assert plan.swap is not None
    assert len(plan.swap.retired) == 10
