"""Why a margin changed: exact in sum, and each cause by what it alone explains."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decision.change import (
    CAUSES,
    Cause,
    Sample,
    cause_of,
    cause_of_site,
    change_since_yesterday,
    sampled,
    shifted,
    split,
)
from exporter.economics.values import BlockEconomics, MarketEconomics, SiteEconomics
from exporter.model.readings import NetworkState, Reading
from exporter.model.snapshot import SiteSnapshot

BEFORE = Cause(
    bitcoin_price=70_370.0,
    difficulty=133.79e12,
    subsidy=3.125,
    fees=0.0222,
    power_price=0.05,
    hashrate=100.0,
    efficiency=20.0,
    uptime=0.98,
)

causes = st.builds(
    Cause,
    bitcoin_price=st.floats(1e3, 1e6),
    difficulty=st.floats(1e12, 1e15),
    subsidy=st.sampled_from([3.125, 1.5625]),
    fees=st.floats(0, 2),
    power_price=st.floats(-0.1, 0.5),
    hashrate=st.floats(0, 1e4),
    efficiency=st.floats(10, 60),
    uptime=st.floats(0, 1),
)


def test_the_margin_is_that_of_the_economics() -> None:
    assert BEFORE.margin == pytest.approx(98.0 * (33.2998380291 - 24.0), rel=1e-5)


@given(causes, causes)
def test_the_causes_add_up_to_the_change(before: Cause, after: Cause) -> None:
    parts = split(before, after)
    scale = max(abs(before.margin), abs(after.margin), *map(abs, parts.values()), 1.0)
    assert sum(parts.values()) == pytest.approx(after.margin - before.margin, abs=1e-9 * scale)


@pytest.mark.parametrize("name", CAUSES)
def test_a_single_cause_explains_all(name: str) -> None:
    after = replace(BEFORE, **{name: getattr(BEFORE, name) * 0.9})
    parts = split(BEFORE, after)
    assert parts.pop(name) == pytest.approx(after.margin - BEFORE.margin)
    assert set(parts.values()) == {0.0}


@given(causes, causes)
def test_back_again_has_the_opposite_causes(before: Cause, after: Cause) -> None:
    there, back = split(before, after), split(after, before)
    scale = max(abs(part) for part in there.values()) + 1.0
    assert {name: -part for name, part in back.items()} == pytest.approx(there, abs=1e-9 * scale)


def test_two_causes_share_what_only_both_explain() -> None:
    after = replace(BEFORE, hashrate=BEFORE.hashrate * 2, uptime=BEFORE.uptime / 2)
    parts = split(BEFORE, after)
    assert parts["hashrate"] == pytest.approx(0.75 * BEFORE.margin)
    assert parts["uptime"] == pytest.approx(-0.75 * BEFORE.margin)


def test_nothing_changed() -> None:
    assert set(split(BEFORE, BEFORE).values()) == {0.0}


INPUTS = {
    "bitcoin": 77_407.0,
    "difficulty": 133.79e12,
    "subsidy": 3.125,
    "hashprice_btc": 0.000473210715207,
    "revenue": 1_100.0,
    "cost": 720.0,
    "watts": 600_000.0,
    "uptime": 0.98,
}


def test_revenue_and_cost_are_taken_apart_without_a_rest() -> None:
    cause = cause_of(**INPUTS)
    assert cause is not None
    assert cause.margin == pytest.approx(380.0)
    assert cause.fees == pytest.approx(0.0222, abs=1e-4)
    assert cause.power_price == pytest.approx(0.05)
    assert cause.hashrate * cause.uptime * cause.efficiency == pytest.approx(600.0)


@pytest.mark.parametrize("name", ["bitcoin", "difficulty", "hashprice_btc", "revenue", "watts", "uptime"])
def test_while_no_rig_mines_nothing_is_taken_apart(name: str) -> None:
    assert cause_of(**INPUTS | {name: 0.0}) is None


BLOCKS = (
    BlockEconomics(name="north", revenue=700.0, power_cost=500.0, billed_power=400_000.0),
    BlockEconomics(name="south", revenue=400.0, power_cost=220.0, billed_power=200_000.0),
    BlockEconomics(name="unknown"),
)
MARKET = MarketEconomics(subsidy=3.125, hashprice_btc=0.000473210715207)
SNAPSHOT = SiteSnapshot(
    taken_at=0.0,
    rigs=(),
    blocks=(),
    network=Reading(NetworkState(height=1, difficulty=133.79e12), 0.0),
    bitcoin_price=Reading(77_407.0, 0.0),
    tariffs={},
)


def test_a_site_is_the_sum_of_its_priced_blocks() -> None:
    assert cause_of_site(SNAPSHOT, SiteEconomics(market=MARKET, blocks=BLOCKS), 0.98) == cause_of(**INPUTS)


@pytest.mark.parametrize(
    ("snapshot", "market", "blocks"),
    [
        (replace(SNAPSHOT, bitcoin_price=None), MARKET, BLOCKS),
        (replace(SNAPSHOT, network=None), MARKET, BLOCKS),
        (SNAPSHOT, replace(MARKET, subsidy=None), BLOCKS),
        (SNAPSHOT, replace(MARKET, hashprice_btc=None), BLOCKS),
        (SNAPSHOT, MARKET, BLOCKS[2:]),
        (SNAPSHOT, MARKET, (replace(BLOCKS[0], revenue=None),)),
        (SNAPSHOT, MARKET, (replace(BLOCKS[0], power_cost=None),)),
        (SNAPSHOT, MARKET, (replace(BLOCKS[0], billed_power=None),)),
    ],
)
def test_a_site_without_an_input_is_not_taken_apart(
    snapshot: SiteSnapshot, market: MarketEconomics, blocks: tuple[BlockEconomics, ...]
) -> None:
    assert cause_of_site(snapshot, SiteEconomics(market=market, blocks=blocks), 0.98) is None


def test_a_sample_is_kept_each_quarter_of_an_hour_for_a_day() -> None:
    samples: tuple[Sample, ...] = ()
    for now in range(0, 3 * 86_400, 60):
        samples = sampled(samples, BEFORE, float(now))
    assert {after.at - before.at for before, after in pairwise(samples)} == {900.0}
    assert {sample.cause for sample in samples} == {BEFORE}
    assert 86_400 <= samples[-1].at - samples[0].at <= 86_400 + 1_800
    assert sampled(samples, None, 3 * 86_400.0) == tuple(each for each in samples if each.at >= 2 * 86_400.0 - 1_800)
    assert sampled(samples, None, 0.0) == ()
    latest = Sample(10.0, BEFORE)
    assert sampled((latest,), None, 10.0) == sampled((latest,), None, 86_400.0 + 1_810.0) == (latest,)


@given(causes, causes, st.floats(86_400, 88_200))
def test_the_change_since_yesterday_is_the_sum_of_its_causes(before: Cause, after: Cause, age: float) -> None:
    change = change_since_yesterday([Sample(0.0, before)], after, age)
    assert change is not None
    assert (change.since, change.before, change.after) == (0.0, before.margin, after.margin)
    scale = max(abs(before.margin), abs(after.margin), *map(abs, change.causes.values()), 1.0)
    assert sum(change.causes.values()) == pytest.approx(change.after - change.before, abs=1e-9 * scale)


def test_the_newest_sample_that_is_a_day_old_counts() -> None:
    samples = [Sample(at, BEFORE) for at in (0.0, 900.0, 1_800.0)]
    change = change_since_yesterday(samples, BEFORE, 86_400.0 + 1_000.0)
    assert change is not None
    assert change.since == 900.0


@pytest.mark.parametrize(
    ("samples", "cause", "now"),
    [
        ((), BEFORE, 86_400.0),
        ((Sample(0.0, BEFORE),), None, 86_400.0),
        ((Sample(0.0, BEFORE),), BEFORE, 86_399.0),
        ((Sample(0.0, BEFORE),), BEFORE, 88_201.0),
    ],
)
def test_without_a_sample_of_yesterday_no_change_is_known(
    samples: tuple[Sample, ...], cause: Cause | None, now: float
) -> None:
    assert change_since_yesterday(samples, cause, now) is None


def test_samples_keep_their_age_when_the_clock_is_set() -> None:
    assert shifted((Sample(10.0, BEFORE),), 5.0) == (Sample(15.0, BEFORE),)
