"""How a price moves: the estimate finds the truth, and the rule is the best one for the model."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decision.price_motion import PriceMotion, Swing, worth_of_leaving

HOUR = 3_600.0


def ornstein(seed: int, count: int, *, mean: float, deviation: float, hours: float) -> list[float]:
    random, away, kept = Random(f"ornstein {seed}"), 0.0, math.exp(-1 / hours)
    prices = []
    for _ in range(count):
        away = kept * away + random.gauss(0, deviation * math.sqrt(1 - kept**2))
        prices.append(mean + away)
    return prices


def learned(prices: list[float], every: float = HOUR) -> PriceMotion:
    motion = PriceMotion()
    for number, price in enumerate(prices):
        motion = motion.observed(price, number * every)
    return motion


def test_the_estimate_finds_how_a_price_moves() -> None:
    swings = [learned(ornstein(seed, 3_000, mean=0.05, deviation=0.01, hours=12.0)).swing for seed in range(20)]
    found = [swing for swing in swings if swing is not None]
    assert len(found) == len(swings)
    assert sum(swing.mean for swing in found) / 20 == pytest.approx(0.05, rel=0.03)
    assert sum(swing.deviation for swing in found) / 20 == pytest.approx(0.01, rel=0.1)
    assert sum(swing.hours for swing in found) / 20 == pytest.approx(12.0, rel=0.2)
    assert all(abs(swing.mean - 0.05) < 2 * swing.mean_error for swing in found)


def test_a_price_is_known_after_a_day_in_which_it_moved() -> None:
    prices = ornstein(1, 24, mean=0.05, deviation=0.01, hours=6.0)
    assert learned(prices[:23]).swing is None
    assert learned([0.05] * 500).swing is None
    assert learned(prices * 2).swing is not None


def test_a_price_is_sampled_by_the_hour_and_a_gap_is_no_change() -> None:
    motion = PriceMotion().observed(0.05, 0.0)
    assert motion.observed(0.07, 60.0).samples == motion.samples
    assert motion.observed(0.07, HOUR).change == pytest.approx(0.02**2)
    assert motion.observed(0.07, 5 * HOUR).changes == 0
    assert motion.observed(0.07, -60.0).changes == 0  # the clock was set back
    assert motion.shifted(100.0).sampled_at == 100.0
    assert PriceMotion().shifted(100.0).sampled_at is None


def test_what_is_learned_of_a_price_fades_within_four_weeks() -> None:
    """Each hour of age takes 1/672 of a sample's weight. A gap of two hours is still a change."""
    fade = 1 - 1 / 672
    motion = PriceMotion().observed(1.0, 0.0).observed(2.0, HOUR).observed(4.0, 3 * HOUR)
    weights = {1.0: fade**2, 2.0: fade, 4.0: 1.0}
    mean = sum(weight * price for price, weight in weights.items()) / sum(weights.values())
    variance = sum(weight * (price - mean) ** 2 for price, weight in weights.items()) / sum(weights.values())
    assert motion.samples == pytest.approx(sum(weights.values()))
    assert motion.mean == pytest.approx(mean)
    assert motion.variance == pytest.approx(variance)
    assert motion.changes == pytest.approx(fade + 1)
    assert motion.change == pytest.approx((fade * 1 + 4) / (fade + 1))
    assert motion.observed(9.0, 3 * HOUR).samples == motion.samples  # within the same hour


def test_the_time_from_one_price_to_the_next_is_learned() -> None:
    motion = PriceMotion()
    for second in range(0, 3_600, 60):
        motion = motion.observed(float(second // 300), float(second))
    assert motion.step == pytest.approx(1 / 12)
    later = motion.observed(99.0, 30 * 86_400.0)
    assert later.step == motion.step  # nobody looked
    assert later.observed(98.0, 30 * 86_400.0 + 1_800).step == pytest.approx(1 / 12 + (1 / 2 - 1 / 12) / 24)


def test_the_time_from_one_price_to_the_next_is_a_mean_of_the_last_ones() -> None:
    hourly = PriceMotion().observed(1.0, 0.0).observed(2.0, HOUR)
    assert hourly.observed(3.0, 4 * HOUR).step == pytest.approx(1 + 2 / 24)
    assert PriceMotion().observed(1.0, 0.0).observed(2.0, 24 * HOUR).step == 24  # a price per day


def test_a_price_that_moves_in_steps_is_judged_by_how_far_it_will_be_past_a_threshold() -> None:
    swing = Swing(mean=0.0, mean_error=0.0, deviation=0.1, hours=50.0)
    past = 0.5826 * 0.1 * math.sqrt(2 / 50)
    assert worth_of_leaving(-0.05, 0.0, swing._replace(step=1.0)) == worth_of_leaving(-0.05 - past, 0.0, swing)


def test_a_small_cost_gives_the_cube_root_rule() -> None:
    swing = Swing(mean=0.0, mean_error=0.0, deviation=1.0, hours=50.0)
    volatility = math.sqrt(2 / swing.hours)  # per root of an hour
    for cost in (0.02, 0.05):
        threshold = (0.75 * cost * volatility**2) ** (1 / 3)
        assert worth_of_leaving(-threshold - 0.01, 0.0, swing) > cost > worth_of_leaving(-threshold + 0.01, 0.0, swing)


@pytest.mark.parametrize(("margin", "mean"), [(-0.8, 0.3), (-0.5, -0.2), (-2.0, 1.5), (-0.9, -0.3)])
def test_the_worth_is_the_integral_of_what_the_model_expects(margin: float, mean: float) -> None:
    """Of a state that is z deviations from the mean and earns mean + z, by sums over small steps of z."""
    step = 1e-3
    below, z, worth = 0.0, margin - mean, 0.0
    losses = []
    while below <= 0:  # until it pays to come back
        losses.append((z, below))
        z += step
        below += (mean + z - step / 2) * math.exp(-((z - step / 2) ** 2) / 2) * step
    worth = sum(math.exp(z * z / 2) * -below * step for z, below in losses)
    swing = Swing(mean=0.0, mean_error=0.0, deviation=1.0, hours=10.0)
    assert worth_of_leaving(margin, mean, swing) == pytest.approx(10 * worth, rel=5e-3)


@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.5])
def test_the_rule_earns_as_much_as_the_best_thresholds(mean: float) -> None:
    """Thresholds by the rule, against a grid, on a long path."""
    cost, prices = 3.0, ornstein(3, 60_000, mean=-mean, deviation=1.0, hours=10.0)
    swing = Swing(mean=-mean, mean_error=0.0, deviation=1.0, hours=10.0, step=1.0)
    grid = [step / 100 for step in range(1, 300, 2)]
    stop = next(x for x in grid if worth_of_leaving(-x, mean, swing) >= cost)
    resume = next(x for x in grid if worth_of_leaving(-x, -mean, swing) >= cost)

    def earned(stop: float, resume: float) -> float:
        runs, sum_ = True, 0.0
        for price in prices:
            if runs and price > stop:
                runs, sum_ = False, sum_ - cost
            elif not runs and -price > resume:
                runs = True
            sum_ -= price * runs
        return sum_

    steps = [0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2]
    best = max(earned(one, other) for one in steps for other in steps)
    always = -sum(prices)
    assert earned(stop, resume) - always >= 0.98 * (best - always)


def test_a_state_that_loses_at_the_mean_price_is_left_at_any_cost() -> None:
    swing = Swing(mean=0.0, mean_error=0.0, deviation=0.01, hours=5.0)
    assert worth_of_leaving(-0.03, -0.02, swing) == math.inf
    assert worth_of_leaving(-0.03, -0.02, swing._replace(mean_error=0.02)) < 1.0  # it is not sure of the mean


@pytest.mark.parametrize("mean", [0.5, 2.5, 36.0])
def test_so_far_from_the_mean_that_it_is_sure_to_return_each_usd_of_loss_counts_in_full(mean: float) -> None:
    swing = Swing(mean=0.0, mean_error=0.0, deviation=1.0, hours=5.0)
    near, far = (worth_of_leaving(mean - away, mean, swing) for away in (40.0, 50.0))
    assert far - near == pytest.approx(10.0 * swing.hours)


@pytest.mark.parametrize("mean", [-27.9, -38.12, -127.99])
def test_a_rare_price_in_a_state_that_always_loses_is_left_at_any_cost(mean: float) -> None:
    assert worth_of_leaving(-300.0, mean, Swing(mean=0.0, mean_error=0.0, deviation=1.0, hours=5.0)) == math.inf


@given(st.floats(-300, -0.01), st.floats(-300, -0.01), st.floats(-50, 50))
def test_the_worth_is_never_negative_and_grows_with_the_loss(one: float, other: float, mean: float) -> None:
    swing = Swing(mean=0.0, mean_error=0.0, deviation=1.0, hours=5.0)
    less, more = (worth_of_leaving(margin, mean, swing) for margin in (max(one, other), min(one, other)))
    assert 0 <= less <= more + 1e-6 * abs(less if less < math.inf else 0.0)
