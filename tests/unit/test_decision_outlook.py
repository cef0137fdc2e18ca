"""The outlook: known answers, its properties, and that it says the same twice."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from math import log
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.decision.history import Curve
from exporter.decision.outlook import foresee
from exporter.decision.prospect import (
    QUANTILES,
    BlockForecast,
    Mining,
    Prospect,
    Question,
    lease_value,
    mining_of,
    repeated_value,
)
from exporter.economics.ai import Lease
from exporter.economics.hashprice import hashprice
from exporter.economics.settings import AiSettings, OutlookSettings

LEASE = Lease(rent=150, noi_share=0.85, capex=10_000, rate=0.1, years=15, utility_ratio=1.4, months=15)
STILL = {
    "drift": 0.0,
    "volatility": 0.0,
    "difficulty_growth": 0.0,
    "elasticity": 0.0,
    "fees_bitcoins_per_block": {"low": 0.0, "base": 0.0, "high": 0.0},
}
MOVING = {
    "drift": 0.05,
    "volatility": 0.6,
    "difficulty_growth": 0.2,
    "elasticity": 0.5,
    "fees_bitcoins_per_block": {"low": 0.02, "base": 0.04, "high": 0.1},
}
NO_MORE_SUBSIDY = 64 * 210_000
"""From this height on nothing halves: a block pays fees only."""
FEES = 33.30 / hashprice(1e14, 1e5)
"""At a difficulty of 1e14 and $100,000 they make a hashprice of $33.30."""


def rigs(joules: float = 17.5, *, life: int = 48, price: float = 0.05, fixed: float = 0.0) -> Mining:
    """Rigs that fill 1 kW, at one power price (USD per kWh)."""
    return Mining(
        life_months=life,
        fixed=fixed,
        breakevens=array("d", [joules * 24 * price]),
        work=array("d", [365 / 12 / joules]),
    )


def prospect(*mining: Mining, **changes: Any) -> Prospect:
    facts = {"block": "north", "lease_value": lease_value(LEASE), "lease_months": 195.0}
    return Prospect(mining=mining or (rigs(),), **(facts | changes))


def ask(*prospects: Prospect, outlook: dict[str, Any] = STILL, **changes: Any) -> list[BlockForecast]:
    facts = {"asked_at": 0.0, "bitcoin_price": 1e5, "difficulty": 1e14, "height": 941_472, "rate": 0.1}
    wanted = OutlookSettings.model_validate(outlook)
    return list(foresee(Question(settings=wanted, prospects=prospects or (prospect(),), **(facts | changes))).blocks)


def known_answers(joules: float) -> BlockForecast:
    outlook = STILL | {"fees_bitcoins_per_block": {"low": FEES, "base": FEES, "high": FEES}}
    return ask(prospect(rigs(joules)), outlook=outlook, height=NO_MORE_SUBSIDY)[0]


def means(forecast: BlockForecast) -> dict[int, float]:
    return {start.months: start.mean for start in forecast.starts}


# --- known answers --------------------------------------------------------------------------------------------------


def test_the_lease_and_its_repetition_have_their_known_values() -> None:
    assert round(lease_value(LEASE), 4) == 1_008.0648
    assert round(repeated_value(lease_value(LEASE), 0.1, 195), 4) == 1_280.0902


def test_a_part_of_a_month_brings_that_part_of_the_rent() -> None:
    lease = replace(LEASE, capex=0, years=1 / 24, months=0, utility_ratio=1)
    assert lease_value(lease) == pytest.approx(150 * 0.85 / 2 * 1.1 ** (-0.25 / 12))


def test_a_prepayment_is_part_of_the_value_of_a_lease() -> None:
    paid_ahead = replace(LEASE, prepayment=500.0, credit_months=10.0)
    credits_ = sum(50 * 1.1 ** (-(15 + month + 0.5) / 12) for month in range(10))
    assert lease_value(paid_ahead) - lease_value(LEASE) == pytest.approx((500 - credits_) / 1.4)


@pytest.mark.parametrize(
    ("joules", "starts"),
    [
        (17.5, (1_280.0902, 1_313.3268, 1_345.7808, 1_408.4143, 1_727.5374)),
        (21.5, (1_280.0902, 1_281.4043, 1_282.6876, 1_285.1641, 1_297.7824)),
        (29.5, (1_280.0902, 1_249.9493, 1_220.5181, 1_163.7183, 874.3188)),
    ],
)
def test_every_start_has_its_known_value(joules: float, starts: Sequence[float]) -> None:
    found = known_answers(joules)
    assert [start.months for start in found.starts] == [0, 3, 6, 12, 48]
    assert [round(start.mean, 4) for start in found.starts] == list(starts)
    assert all(start.quantiles == pytest.approx([start.mean] * 5) for start in found.starts)


def test_never_converting_has_its_known_value_and_is_never_compared_with() -> None:
    found = known_answers(17.5)
    assert round(found.never, 4) == 853.2186
    assert (found.best_later, found.probability) == (48, 0.0)
    assert found.verdict.lead == pytest.approx(1_280.0902 - 1_727.5374, abs=1e-4)
    assert found.verdict.waiting[3] == pytest.approx(33.2366, abs=1e-4)
    old = known_answers(29.5)
    assert (old.best_later, old.probability) == (3, 1.0)


def test_without_building_time_a_lease_breaks_even_with_the_mining_margin_of_the_documentation() -> None:
    lease = Lease(rent=150, noi_share=0.85, capex=10_000, rate=0.1, years=15, utility_ratio=1.4)
    value = repeated_value(lease_value(lease), 0.1, 180)
    yearly = sum(1.1 ** -((month + 0.5) / 12) for month in range(12)) / 12  # a dollar a year, paid monthly
    assert round(value * (1 - 1 / 1.1) / yearly, 2) == 197.80
    assert round(lease.per_kilowatt_year, 2) == 153.76


# --- one month, one flow --------------------------------------------------------------------------------------------


def first_month(forecast: BlockForecast) -> float:
    """What the rigs earn in the first month of a life of one, undiscounted."""
    return forecast.never * float(1.1 ** (0.5 / 12))


def test_the_first_month_times_twelve_is_the_conversion_margin() -> None:
    outlook = STILL | {"fees_bitcoins_per_block": FEES}
    block = prospect(rigs(17.5, life=1), rigs(35.0, life=1, fixed=2.0))
    found = ask(block, outlook=outlook, height=NO_MORE_SUBSIDY)[0]
    assert first_month(found) * 12 == pytest.approx(256.542857 - 24.0)
    assert [start.months for start in found.starts] == [0, 1]


def test_rigs_earn_nothing_after_their_life() -> None:
    both = known_answers(17.5).never
    outlook = STILL | {"fees_bitcoins_per_block": FEES}
    half = prospect(rigs(17.5), rigs(17.5, life=24))
    assert both < ask(half, outlook=outlook, height=NO_MORE_SUBSIDY)[0].never < 2 * both


def test_a_month_of_the_halving_has_both_subsidies() -> None:
    blocks = 210_000 - 2_190  # half a month before it, at 4,380 blocks a month
    block = prospect(rigs(1e-9, life=1, price=0.0))
    whole, half = ask(block, height=0)[0], ask(block, height=blocks)[0]
    assert half.never / whole.never == pytest.approx(0.75)


def test_each_halving_halves_what_is_mined_from_then_on() -> None:
    """The first is half a month ahead, and the second 210,000 blocks of 4,380 a month later."""
    block, first = prospect(rigs(1e-9, life=72, price=0.0)), prospect(rigs(1e-9, life=1, price=0.0))
    share = (2_190 + 210_000) / 4_380 % 1  # of the 49th month
    subsidies = [0.75] + [0.5] * 47 + [0.5 * share + 0.25 * (1 - share)] + [0.25] * 23
    expected = sum(subsidy * 1.1 ** (-month / 12) for month, subsidy in enumerate(subsidies))
    assert ask(block, height=210_000 - 2_190)[0].never / ask(first, height=0)[0].never == pytest.approx(expected)


def test_rising_difficulty_brings_the_halving_earlier() -> None:
    """While it doubles within a year, blocks come faster: 2^(1/12) a month, answered in 4,380/2,016 epochs."""
    block = prospect(rigs(1e-9, life=3, price=0.0))
    grown = STILL | {"difficulty_growth": 1.0}
    blocks = 4_380 * 2 ** (1 / 12 / (4_380 / 2_016))
    share = (11_300 - 2 * blocks) / blocks  # of the third month
    assert 0 < share < 1
    months = [1.1 ** (-(month + 0.5) / 12) / 2 ** (month / 12) for month in range(3)]
    expected = 1 - (1 - share) / 2 * months[2] / sum(months)
    found = ask(block, height=210_000 - 11_300, outlook=grown)[0].never
    assert found / ask(block, height=0, outlook=grown)[0].never == pytest.approx(expected)


def test_fees_count_unless_the_pool_keeps_them() -> None:
    fees = STILL | {"fees_bitcoins_per_block": {"low": 0.5, "base": 0.6, "high": 1.5}}  # any in the band is as likely
    block = prospect(rigs(1e-9, life=1, price=0.0))
    paid = ask(block, outlook=fees)[0].never
    kept = ask(block, outlook=fees, pays_fees=False)[0].never
    assert kept == pytest.approx(ask(block)[0].never)
    assert paid / kept == pytest.approx((3.125 + 1.0) / 3.125)


def test_difficulty_responds_to_the_price_over_its_months() -> None:
    rising = {"drift": 1.0, "elasticity": 1.0}
    block = prospect(rigs(1e-9, life=13, price=0.0))
    at_once = ask(block, outlook=STILL | rising | {"response_months": 0})[0]
    later = ask(block, outlook=STILL | rising | {"response_months": 12})[0]
    flat = ask(block)[0]
    assert at_once.never == pytest.approx(flat.never)  # hashprice stands still
    assert later.never > 1.2 * flat.never


def test_sale_of_the_rigs_declines_evenly_and_their_removal_does_not() -> None:
    sold = means(ask(prospect(sale=480.0, removal=10.0))[0])
    kept = means(ask(prospect())[0])
    assert sold[0] - kept[0] == pytest.approx(470.0)
    assert sold[12] - kept[12] == pytest.approx((360.0 - 10.0) / 1.1)
    assert sold[48] - kept[48] == pytest.approx(-10.0 / 1.1**4)


def test_mining_may_go_on_while_building() -> None:
    going_on = means(ask(mining_goes_on_months=3)[0])
    stopping = means(ask()[0])
    assert going_on[0] > stopping[0]
    assert going_on[48] == pytest.approx(stopping[48])


def test_rigs_that_are_given_together_earn_what_they_earn_apart() -> None:
    pair = Mining(
        life_months=48,
        fixed=0.0,
        breakevens=array("d", [35.0 * 24 * 0.05, 17.5 * 24 * 0.05]),
        work=array("d", [365 / 12 / 35.0, 365 / 12 / 17.5]),
    )
    together, apart = ask(prospect(pair), prospect(rigs(35.0), rigs(17.5)), outlook=MOVING)
    assert together.never == pytest.approx(apart.never)
    assert means(together) == pytest.approx(means(apart))


def test_stretches_of_time_are_joined_to_one_month() -> None:
    year = 31_536_000.0
    shape = {"revenue": 0.0, "cost": 0.0, "margin": 0.0, "offset": array("d")}
    quarters = [
        Curve(seconds=year / 4, floor=10.0, breakevens=array("d", [30.0]), work=array("d", [0.0, 2.0]), **shape),
        Curve(seconds=year / 4, floor=20.0, breakevens=array("d", [20.0, 40.0]), work=array("d", [0, 1, 4]), **shape),
    ]
    joined = mining_of(quarters, utility_kilowatts=5.0, fixed=50.0, life_months=48)
    assert joined.floor == pytest.approx(30.0 / 6 / 5)
    assert joined.fixed == 10.0
    assert list(joined.breakevens) == [30.0, 20.0, 40.0]
    assert list(joined.work) == pytest.approx([2 / 30, 1 / 30, 3 / 30])


def test_rent_grows_with_its_escalator() -> None:
    grown = Lease(rent=150, noi_share=0.85, capex=10_000, rate=0.1, years=1.5, utility_ratio=1.4, escalator=0.1)
    months = [1 + 0.1 * (month >= 12) for month in range(18)]
    income = sum(share * 127.5 * 1.1 ** -((month + 0.5) / 12) for month, share in enumerate(months))
    assert lease_value(grown) == pytest.approx((income - 10_000) / 1.4)


# --- properties -----------------------------------------------------------------------------------------------------

blocks = st.builds(
    lambda pairs: prospect(*(rigs(joules, price=price) for joules, price in pairs)),
    st.lists(st.tuples(st.floats(12, 45), st.floats(0.01, 0.12)), min_size=1, max_size=4),
)
growths = st.floats(-0.3, 0.8)


@given(blocks, growths, st.floats(0, 1.4), st.floats(0.01, 0.8))
@settings(max_examples=12, deadline=None)
def test_without_elasticity_more_volatility_lowers_no_start(
    block: Prospect, growth: float, volatility: float, more: float
) -> None:
    wanted = MOVING | {"elasticity": 0.0, "difficulty_growth": growth}
    calm = ask(block, outlook=wanted | {"volatility": volatility})[0]
    wild = ask(block, outlook=wanted | {"volatility": min(volatility + more, 1.5)})[0]
    for before, after in zip(calm.starts, wild.starts, strict=True):
        assert after.mean >= before.mean - 1e-9


@given(st.floats(12, 45), st.floats(0.01, 0.12), growths, st.floats(-0.4, 0.9), st.floats(0, 1))
@settings(max_examples=12, deadline=None)
def test_without_volatility_the_values_are_the_deterministic_sum(
    joules: float, price: float, growth: float, drift: float, elasticity: float
) -> None:
    wanted = STILL | {"difficulty_growth": growth, "drift": drift, "elasticity": elasticity, "response_months": 0}
    found = ask(prospect(rigs(joules, price=price)), outlook=wanted | {"fees_bitcoins_per_block": FEES},
                height=NO_MORE_SUBSIDY)[0]  # fmt: skip
    mined = 0.0
    expected = {}
    for month in range(49):
        expected[month] = mined + repeated_value(lease_value(LEASE), 0.1, 195) * 1.1 ** (-month / 12)
        years = month / 12
        payout = 33.30 * (1 + drift) ** (years * (1 - elasticity)) / (1 + growth) ** years
        margin = max(payout / joules - 24 * price, 0.0) * 365 / 12
        mined += margin * 1.1 ** (-(month + 0.5) / 12)
    assert means(found) == pytest.approx({start: expected[start] for start in (0, 3, 6, 12, 48)})
    assert found.probability in {0.0, 1.0}


@given(blocks, st.floats(0, 1), st.floats(2e4, 2e5), st.floats(1, 3))
@settings(max_examples=12, deadline=None)
def test_the_probability_does_not_rise_with_todays_price(
    block: Prospect, elasticity: float, price: float, times: float
) -> None:
    wanted = MOVING | {"elasticity": elasticity}
    cheap = ask(block, outlook=wanted, bitcoin_price=price)[0]
    dear = ask(block, outlook=wanted, bitcoin_price=price * times)[0]
    if cheap.best_later == dear.best_later:
        assert dear.probability <= cheap.probability


def test_noise_in_the_inputs_moves_nothing() -> None:
    quiet = ask(outlook=MOVING, bitcoin_price=70_370.0, difficulty=133.79e12)
    noisy = ask(outlook=MOVING, bitcoin_price=70_391.0, difficulty=133.81e12)
    assert quiet == noisy


def test_a_block_has_the_same_outlook_alone_and_among_others() -> None:
    alone = ask(outlook=MOVING)[0]
    longer, among = ask(prospect(rigs(life=120), block="long"), prospect(), outlook=MOVING)
    assert among == alone
    assert (longer.block, among.block) == ("long", "north")


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("volatility", 50.0, "volatility: 50 cannot be, expected 0 to 1.5"),
        ("drift", 3.0, "drift: 3 is implausible, expected -0.5 to 1 per year"),
        ("elasticity", -0.2, "elasticity: -0.2 is implausible"),
        ("response_months", 120, "less than or equal to 60"),
    ],
)
def test_figures_outside_what_is_plausible_are_refused_with_the_range(key: str, value: float, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OutlookSettings.model_validate(MOVING | {key: value})


def test_an_outlook_is_of_a_lease_only() -> None:
    rental = {
        "price_usd_per_gpu_hour": 2.0,
        "utilization": 0.8,
        "power_usd_per_kilowatt_hour": 0.05,
        "kilowatts_per_gpu": 1.3,
        "gpu_capex_usd": 40_000,
        "capex_usd_per_kilowatt": 10_000,
        "opex_usd_per_gpu_year": 1_000,
    }
    with pytest.raises(ValidationError, match="outlook: only for a colocation lease"):
        AiSettings.model_validate({"gpu_rental": rental, "outlook": MOVING})


# --- the price ------------------------------------------------------------------------------------------------------


def test_volatility_does_not_move_the_mean_price() -> None:
    """A rig with free power earns in proportion to the price, so that its mean is that of the forward price."""
    block = prospect(rigs(1e-9, price=0.0))
    calm, wild = (ask(block, outlook=STILL | {"volatility": each}, height=0)[0].never for each in (0.0, 0.6))
    assert wild == pytest.approx(calm)


def test_the_quantiles_of_the_hashprice_are_those_of_a_lognormal_price() -> None:
    """Each path has its mirror image, so that the logarithms of the quantiles lie evenly around the median's."""
    wanted = OutlookSettings.model_validate(STILL | {"volatility": 0.6})
    found = foresee(
        Question(
            asked_at=7, bitcoin_price=1e5, difficulty=1e14, height=0, rate=0.1, settings=wanted, prospects=(prospect(),)
        )
    )
    assert found.asked_at == 7
    assert len(found.hashprices) == 48
    assert len(set(found.hashprices[0])) == 1
    assert all(list(row) == sorted(row) for row in found.hashprices)
    for months in (12, 47):
        far = NormalDist(0, 0.6 * (months / 12) ** 0.5)
        median = found.hashprices[months][2]
        for share, hashprice_, mirrored in zip(
            QUANTILES, found.hashprices[months], reversed(found.hashprices[months]), strict=True
        ):
            assert log(hashprice_ / median) == pytest.approx(far.inv_cdf(share), abs=0.1 * far.stdev)
            assert hashprice_ * mirrored == pytest.approx(median**2, rel=0.005)
