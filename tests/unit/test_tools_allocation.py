"""Which blocks to convert to free so much power: exact, against every possible choice."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.tools import allocation
from exporter.tools.allocation import MiningRig, Offer, allocate

SITE = (
    Offer(blocks=("A",), kilowatts=1_000, margin_lost=120),
    Offer(blocks=("B",), kilowatts=800, margin_lost=40),
    Offer(blocks=("C",), kilowatts=600, margin_lost=90),
    Offer(blocks=("D",), kilowatts=500, margin_lost=-10),
)


def cheapest(offers: list[Offer], need: float) -> float | None:
    """Try every choice."""
    covers = [
        choice
        for size in range(len(offers) + 1)
        for choice in combinations(offers, size)
        if sum(offer.kilowatts for offer in choice) >= need
    ]
    return min((sum(max(offer.margin_lost, 0.0) for offer in choice) for choice in covers), default=None)


def test_the_cheapest_blocks_that_free_1500_kilowatts_are_chosen() -> None:
    plan = allocate(SITE, 1_500)
    assert plan.blocks == ("A", "D")
    assert plan.margin_lost == 120  # D loses money, and counts as 0
    assert plan.kilowatts == 1_500
    assert plan.greedy_margin_lost == 160
    assert plan.feasible
    assert (plan.bound, plan.gap) == (120, 0)


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
    offers = [Offer(blocks=(str(n),), kilowatts=333.3337, margin_lost=n) for n in range(1, 4)]
    assert allocate(offers, 1_000).feasible
    assert len(allocate(offers, 1_000).blocks) == 3
    assert allocate(offers, 666.6).blocks == ("1", "2")


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-50, 200)), max_size=9),
    st.integers(0, 300),
)
def test_no_choice_is_cheaper(blocks: list[tuple[int, int]], need: int) -> None:
    offers = [
        Offer(blocks=(str(n),), kilowatts=10.0 * size, margin_lost=float(lost)) for n, (size, lost) in enumerate(blocks)
    ]
    plan = allocate(offers, 10.0 * need)
    usable = [offer for offer in offers if offer.kilowatts > 0]
    best = cheapest(usable, 10.0 * need)
    assert plan.feasible is (best is not None)
    if best is not None:
        assert plan.margin_lost == pytest.approx(best)
        assert plan.gap == 0
        assert plan.kilowatts >= 10 * need
        assert plan.greedy_margin_lost is not None
        assert plan.greedy_margin_lost >= plan.margin_lost


@given(
    st.lists(st.tuples(st.floats(0.5, 3_000), st.floats(-50, 200)), min_size=1, max_size=8),
    st.floats(0, 5_000),
)
def test_no_choice_of_uneven_blocks_is_cheaper(blocks: list[tuple[float, float]], need: float) -> None:
    offers = [Offer(blocks=(str(n),), kilowatts=size, margin_lost=lost) for n, (size, lost) in enumerate(blocks)]
    plan = allocate(offers, need)
    if plan.feasible:
        assert plan.kilowatts >= need - 1e-6
        assert plan.bound <= plan.margin_lost
        best = cheapest(offers, need)
        assert best is None or plan.margin_lost <= best + 1e-6


# --- instances of 500 blocks ----------------------------------------------------------------------------------------


def odd(random: Random) -> Iterator[tuple[float, float]]:
    """Containers of all sizes and margins."""
    for _ in range(500):
        yield random.uniform(300, 3_000), random.uniform(-200, 2_000)


def alike(random: Random) -> Iterator[tuple[float, float]]:
    """Containers of all sizes whose rigs earn about the same per kilowatt."""
    for _ in range(500):
        size = random.uniform(300, 3_000)
        yield size, 0.7 * size * random.uniform(0.95, 1.05)


def few_kinds(random: Random) -> Iterator[tuple[float, float]]:
    """Six kinds of container."""
    kinds = [(random.choice([500, 800, 1_000, 1_200.5]), random.uniform(50, 900)) for _ in range(6)]
    for _ in range(500):
        yield random.choice(kinds)


def equal(random: Random) -> Iterator[tuple[float, float]]:
    """One kind of container, with the same rigs."""
    for _ in range(500):
        yield 1_000.0, 500.0


def equal_sizes(random: Random) -> Iterator[tuple[float, float]]:
    """One kind of container, with different rigs."""
    for _ in range(500):
        yield 1_000.0, random.uniform(0, 900)


def with_a_fixed_sum(random: Random) -> Iterator[tuple[float, float]]:
    """Containers of all sizes that lose so much per kilowatt, and a fixed sum each."""
    for _ in range(500):
        size = random.uniform(300, 3_000)
        yield size, 0.3 * size + 100


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", [odd, alike, few_kinds, equal, equal_sizes, with_a_fixed_sum])
def test_of_500_blocks_the_choice_is_proven_within_a_hundredth_of_a_percent(
    kind: Callable[[Random], Iterator[tuple[float, float]]], share: float
) -> None:
    pairs = list(kind(Random(16)))
    offers = [Offer(blocks=(str(n),), kilowatts=size, margin_lost=lost) for n, (size, lost) in enumerate(pairs)]
    need = share * sum(size for size, _ in pairs) + 123.4
    plan = allocate(offers, need)
    assert plan.gap <= 1e-4
    assert plan.kilowatts >= need
    assert plan.greedy_margin_lost is not None
    assert plan.bound <= plan.margin_lost <= plan.greedy_margin_lost


def test_a_search_that_stops_at_its_limit_has_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_MOST_EXCHANGES", 0)
    monkeypatch.setattr(allocation, "_FIRST_LIMIT", 2_000)
    monkeypatch.setattr(allocation, "_SECOND_LIMIT", 2_000)
    random = Random(16)
    sizes = [random.uniform(300, 3_000) for _ in range(200)]
    offers = [Offer(blocks=(str(n),), kilowatts=size, margin_lost=0.7 * size + 100) for n, size in enumerate(sizes)]
    plan = allocate(offers, 0.5 * sum(sizes))
    assert 0 < plan.gap < 0.05
    assert plan.bound < plan.margin_lost


def test_about_equal_blocks_are_proven_by_their_number() -> None:
    random = Random(16)
    offers = [
        Offer(blocks=(str(n),), kilowatts=1_000 + random.uniform(-1, 1), margin_lost=500 + random.uniform(-1, 1))
        for n in range(40)
    ]
    assert allocate(offers, 10_100).gap == 0


def test_blocks_that_are_not_needed_stay_even_if_they_lose_money() -> None:
    offers = [Offer(blocks=(name,), kilowatts=1_000, margin_lost=-10.0) for name in "abc"]
    assert len(allocate(offers, 1_500).blocks) == 2
    assert allocate(offers, 0).blocks == ()


def fleet() -> list[MiningRig]:
    good = [MiningRig(rig=f"good-{n}", block="A", kilowatts=3.5, margin=2.0, moving_cost=60) for n in range(10)]
    bad = [MiningRig(rig=f"bad-{n}", block="B", kilowatts=3.5, margin=-1.0) for n in range(20)]
    return [*good, *bad]


def test_of_a_block_that_is_converted_in_part_only_the_worst_rigs_leave_in_a_swap() -> None:
    rigs = [
        MiningRig(rig=f"{block}{n}", block=block, kilowatts=3.0, margin=float(n)) for block in "ab" for n in range(4)
    ]
    offer = Offer(blocks=("a",), kilowatts=6.0, margin_lost=1.0)
    swap = allocate([offer], 6.0, rigs, {"a": 0.5}).swap
    assert swap is not None
    assert set(swap.retired) == {"a0", "b0"}
    assert swap.moved == ("a1",)
    whole = allocate([replace(offer, kilowatts=12.0)], 12.0, rigs).swap
    assert whole is not None
    assert len(whole.retired) == 4


def test_a_swap_retires_the_worst_and_moves_the_good() -> None:
    plan = allocate([Offer(blocks=("A",), kilowatts=35, margin_lost=20.0)], 35, fleet())
    assert plan.margin_lost == 20
    assert plan.swap is not None
    assert len(plan.swap.retired) == len(plan.swap.moved) == 10
    assert plan.swap.margin_lost == -10
    assert plan.swap.moving_cost == 600


def test_a_block_of_the_worst_rigs_needs_no_moves() -> None:
    plan = allocate([Offer(blocks=("B",), kilowatts=70, margin_lost=-20.0)], 70, fleet())
    assert plan.swap is not None
    assert plan.swap.moved == ()
    assert plan.swap.margin_lost == -20


def test_moved_rigs_get_power_and_slots() -> None:
    small = [MiningRig(rig=f"small-{n}", block="B", kilowatts=1.0, margin=-1.0) for n in range(100)]
    plan = allocate([Offer(blocks=("A",), kilowatts=35, margin_lost=20.0)], 35, [*fleet()[:10], *small])
    assert plan.swap is not None
    assert len(plan.swap.retired) == 35
    large = [MiningRig(rig=f"large-{n}", block="B", kilowatts=35.0, margin=-1.0) for n in range(20)]
    plan = allocate([Offer(blocks=("A",), kilowatts=35, margin_lost=20.0)], 35, [*fleet()[:10], *large])
    assert plan.swap is not None
    assert len(plan.swap.retired) == 10
