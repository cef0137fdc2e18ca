"""Hashprice, subsidy, difficulty and retarget against published figures and Bitcoin Core's own tests."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import LEASE, NOW, market, network

from exporter.economics.ai import value_ai
from exporter.economics.hashprice import (
    bits_from_target,
    difficulty_from_bits,
    hashprice,
    network_hashrate,
    subsidy_satoshis,
    target_from_bits,
)
from exporter.economics.market import price_market
from exporter.economics.retarget import expect_retarget, next_bits, next_difficulty
from exporter.economics.settings import Band, PayoutScheme
from exporter.model.readings import Reading
from exporter.model.units import per_kilowatt_hour


def test_hashprice_of_march_2026() -> None:
    bitcoins = hashprice(133.79e12, 3.1472)
    assert bitcoins == pytest.approx(0.000473210715207, rel=1e-12)
    assert bitcoins * 70_370 == pytest.approx(33.2998380291, rel=1e-11)


def test_hashprice_of_a_hundred_blocks() -> None:
    reward = 63_811_748_254 / 1e8 / 100
    assert hashprice(31_251_101_365_711.12, reward) == pytest.approx(0.00410760994677, rel=1e-11)


def test_hashprice_in_round_numbers() -> None:
    assert hashprice(1e14, 3.125 * 100_000) == pytest.approx(62.8642737865, rel=1e-11)


@pytest.mark.parametrize(
    ("height", "satoshis"),
    [
        (0, 5_000_000_000),
        (209_999, 5_000_000_000),
        (210_000, 2_500_000_000),
        (1_049_999, 312_500_000),
        (1_050_000, 156_250_000),
        (210_000 * 32, 1),
        (210_000 * 33, 0),
        (210_000 * 64, 0),
    ],
)
def test_subsidy_halves_every_210000_blocks(height: int, satoshis: int) -> None:
    assert subsidy_satoshis(height) == satoshis


def test_difficulty_of_compact_bits() -> None:
    assert difficulty_from_bits(0x1701FCA1) == pytest.approx(141_668_107_417_558.24, rel=1e-15)
    assert difficulty_from_bits(0x1D00FFFF) == 1.0
    assert difficulty_from_bits(0x1D00D86A) == pytest.approx(1.18289953431, rel=1e-11)


@pytest.mark.parametrize(
    ("bits", "first", "last", "expected"),
    [  # Bitcoin Core, src/test/pow_tests.cpp
        (0x1D00FFFF, 1_261_130_161, 1_262_152_739, 0x1D00D86A),
        (0x1D00FFFF, 1_231_006_505, 1_233_061_996, 0x1D00FFFF),  # never easier than the limit
        (0x1C05A3F4, 1_279_008_237, 1_279_297_671, 0x1C0168FD),  # at most four times harder
        (0x1C387F6F, 1_263_163_443, 1_269_211_443, 0x1D00E1FD),  # at most four times easier
    ],
)
def test_next_bits_are_bitcoin_cores(bits: int, first: int, last: int, expected: int) -> None:
    assert next_bits(bits, first, last) == expected


@given(st.integers(3, 32), st.integers(0x008000, 0x7FFFFF))
def test_compact_bits_survive_unpacking(exponent: int, mantissa: int) -> None:
    bits = exponent << 24 | mantissa
    assert bits_from_target(target_from_bits(bits)) == bits


@pytest.mark.parametrize(("target", "bits"), [(0x12, 0x01120000), (0x80, 0x02008000), (0x1234, 0x02123400)])
def test_small_targets_pack_as_in_core(target: int, bits: int) -> None:
    assert bits_from_target(target) == bits
    assert target_from_bits(bits) == target


def test_a_retarget_of_minus_7_76_percent_means_blocks_of_650_seconds() -> None:
    assert next_difficulty(145.045e12, 650.47 * 2_016) == pytest.approx(133.79e12, rel=1e-4)


def test_the_window_spans_2015_intervals() -> None:
    on_time = expect_retarget(network(height=2_015, epoch_start_time=NOW - 2_015 * 600.0))
    assert on_time.difficulty == pytest.approx(133.79e12 * 2_016 / 2_015)
    assert on_time.blocks_remaining == 1


def test_an_estimate_at_half_pace_halves_difficulty() -> None:
    slow = expect_retarget(network(epoch_start_time=NOW - 1_000 * 1_200.0))
    assert slow.difficulty == pytest.approx(133.79e12 / 2 * 2_016 / 2_015)
    assert slow.time == pytest.approx(NOW + 1_016 * 1_200)


@pytest.mark.parametrize(("pace", "factor"), [(1.0, 4.0), (-5.0, 4.0), (0.0, 4.0), (60_000.0, 0.25)])
def test_an_estimate_is_clamped_to_a_factor_of_four(pace: float, factor: float) -> None:
    assert expect_retarget(network(epoch_start_time=NOW - 1_000 * pace)).difficulty == 133.79e12 * factor


def test_an_estimate_is_confident_from_500_blocks() -> None:
    assert not expect_retarget(network(height=2_016 + 499)).confident
    assert expect_retarget(network(height=2_016 + 500)).confident


def test_the_first_block_of_an_epoch_tells_nothing() -> None:
    first = expect_retarget(network(height=2_016, epoch_start_time=NOW))
    assert (first.difficulty, first.confident, first.blocks_remaining) == (None, False, 2_016)


def test_a_known_next_difficulty_beats_the_estimate() -> None:
    found = expect_retarget(network(height=2_016 + 3, next_difficulty=1.5e14))
    assert (found.difficulty, found.confident) == (1.5e14, True)


def test_young_epochs_are_paced_by_the_last_144_blocks() -> None:
    young = expect_retarget(network(height=2_016 + 10, epoch_start_time=NOW - 10.0, block_interval=700.0))
    assert young.time == NOW + 2_006 * 700


@pytest.mark.parametrize(("elapsed", "mean"), [(-5_000.0, None), (0.0, None), (1.0, 0.001), (600_000.0, 600.0)])
def test_only_time_that_has_passed_is_a_pace(elapsed: float, mean: float | None) -> None:
    found = expect_retarget(network(epoch_start_time=NOW - elapsed))
    assert found.mean_interval == mean
    assert found.time == NOW + 1_016 * (mean or 600)


def test_a_young_epoch_has_no_mean_interval_and_a_tip_without_a_time_no_retarget() -> None:
    assert expect_retarget(network(height=2_016 + 499)).mean_interval is None
    assert expect_retarget(network(tip_time=None)).time is None


def test_forward_hashprice_follows_difficulty() -> None:
    now = market(epoch_start_time=NOW - 1_000 * 1_200.0)
    assert now.hashprice_usd is not None
    assert now.forward_hashprice_usd == pytest.approx(now.hashprice_usd * 2 * 2_015 / 2_016)


def test_the_halving_is_paid_by_the_block_after_the_tip() -> None:
    assert market(height=1_049_998).subsidy == 3.125
    assert market(height=1_049_999).subsidy == 1.5625


def test_fees_stay_in_bitcoins_across_a_halving() -> None:
    early = market(height=1_046_304 + 1_000, next_difficulty=133.79e12)
    assert early.forward_hashprice_usd == early.hashprice_usd
    halving = market(height=1_048_320 + 1_000, next_difficulty=133.79e12)  # the halving falls before the next retarget
    assert halving.hashprice_usd is not None
    assert halving.forward_hashprice_usd == pytest.approx(halving.hashprice_usd * (1.5625 + 0.0222) / (3.125 + 0.0222))


def test_each_figure_of_the_market_is_that_of_its_facts() -> None:
    found = market()
    assert found.subsidy_share == pytest.approx(3.125 / 3.1472)
    assert found.hashprice_btc == found.payout_btc == pytest.approx(0.000473210715207)
    assert found.halved_payout_usd == pytest.approx(hashprice(133.79e12, (3.125 / 2 + 0.0222) * 70_370))
    assert found.next_difficulty == pytest.approx(133.79e12 * 2_016 / 2_015)
    assert (found.retarget_blocks_remaining, found.retarget_time) == (1_016, NOW + 1_016 * 600)


def test_the_market_of_a_site_without_a_node_has_the_ai_value_with_its_terms() -> None:
    ai = value_ai(LEASE.model_copy(update={"months_until_power_earns": Band(low=12, base=12, high=12)}))
    assert ai is not None
    found = price_market(None, None, PayoutScheme.FPPS, ai)
    assert found.ai_building_months == ai.building_months == 12
    assert found.ai_breakeven_rent == ai.breakeven_rent is not None


@pytest.mark.parametrize(
    ("height", "subsidy"), [(-1, None), (0, 50.0), (210_000 * 33, 0.0), (2**31 - 2, 0.0), (2**31 - 1, None)]
)
def test_a_height_is_what_core_can_count(height: int, subsidy: float | None) -> None:
    assert market(height=height).subsidy == subsidy


@pytest.mark.parametrize(("difficulty", "known"), [(-1.0, False), (0.0, False), (1.0, True)])
def test_a_difficulty_is_above_0(difficulty: float, *, known: bool) -> None:
    assert (market(difficulty=difficulty).subsidy is not None) is known
    assert (market(next_difficulty=difficulty).forward_hashprice_usd is not None) is known


@pytest.mark.parametrize(
    ("fees", "height", "share"),
    [(-0.1, 900_000, None), (0.0, 900_000, 1.0), (4.0, 900_000, 3.125 / 7.125), (0.5, 7e6, 0.0), (0.0, 7e6, None)],
)
def test_the_share_of_the_subsidy_is_of_what_a_block_pays(fees: float, height: float, share: float | None) -> None:
    found = market(block_fees=fees, height=int(height))
    assert found.subsidy_share == share
    assert (found.hashprice_btc is None) is (fees < 0)


@pytest.mark.parametrize(("price", "known"), [(-1.0, False), (0.0, True), (0.5, True)])
def test_a_bitcoin_may_be_worth_nothing_but_not_less(price: float, *, known: bool) -> None:
    found = price_market(Reading(network(), NOW), Reading(price, NOW), PayoutScheme.FPPS, None)
    assert (found.hashprice_usd is not None) is known


def test_halving_time_counts_ten_minutes_a_block_after_the_retarget() -> None:
    assert market().halving_time == pytest.approx(NOW + (1_050_000 - 942_472) * 600)


def test_network_hashrate_comes_from_the_source_else_from_the_pace() -> None:
    assert market(hashrate=9.6e20).network_hashrate == 9.6e20
    assert market(block_interval=650.0).network_hashrate == network_hashrate(133.79e12, 650)
    assert network_hashrate(133.79e12, 600) == pytest.approx(9.57705e20, rel=1e-5)  # 2^32 hashes per difficulty
    assert market(block_interval=1.0).network_hashrate == network_hashrate(133.79e12, 1)
    assert market(epoch_start_time=None).network_hashrate is None


def test_pps_pays_for_the_subsidy_alone() -> None:
    facts = (Reading(network(), NOW), Reading(70_370.0, NOW))
    pps = price_market(*facts, PayoutScheme.PPS, None)
    fpps = price_market(*facts, PayoutScheme.FPPS, None)
    assert pps.hashprice_usd == fpps.hashprice_usd == fpps.payout_usd
    assert pps.payout_usd == pytest.approx(hashprice(133.79e12, 3.125 * 70_370))


def test_missing_inputs_leave_what_depends_on_them_out() -> None:
    nothing = price_market(None, Reading(70_370.0, NOW), PayoutScheme.FPPS, None)
    assert (nothing.hashprice_usd, nothing.subsidy, nothing.halving_time) == (None, None, None)
    unpriced = price_market(Reading(network(), NOW), None, PayoutScheme.FPPS, None)
    assert unpriced.hashprice_usd is None
    assert unpriced.hashprice_btc is not None
    feeless = Reading(replace(network(), block_fees=None), NOW)
    assert price_market(feeless, Reading(1.0, NOW), PayoutScheme.FPPS, None).payout_usd is None
    assert price_market(feeless, Reading(1.0, NOW), PayoutScheme.PPS, None).payout_usd is not None
    assert market(difficulty=0.0).hashprice_usd is None
    assert market(height=-1).subsidy is None


def test_foreign_power_prices() -> None:
    assert per_kilowatt_hour(-50, "MWh") * 1.08 == pytest.approx(-0.054)
    assert per_kilowatt_hour(0.1743, "kWh") * 1.27 == pytest.approx(0.221361)
