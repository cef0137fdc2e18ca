"""What AI is worth per kilowatt: the capital recovery factor, leases, GPU rental and mining over the same years."""

from dataclasses import replace
from typing import Any

import calculator
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.economics.ai import MiningHorizon, capital_recovery_factor, value_ai
from exporter.economics.settings import AiSettings, Band, GpuRentalSettings


def lease(**changes: object) -> AiSettings:
    return AiSettings.model_validate({"rent_usd_per_kilowatt_month": 150, "capex_usd_per_kilowatt": 10_000} | changes)


def value(**changes: object) -> float:
    ai = value_ai(lease(**changes))
    assert ai is not None
    return ai.per_kilowatt_year


def test_the_proposed_lease() -> None:
    ai = value_ai(lease())
    assert ai is not None
    assert ai.per_kilowatt_year == pytest.approx(153.758737, rel=1e-8)
    assert ai.per_kilowatt_year / 8_760 == pytest.approx(0.0175524, rel=1e-5)
    assert ai.capex_per_kilowatt / ai.noi_per_kilowatt_year == pytest.approx(6.54, abs=0.005)
    assert ai.lease is not None


def test_the_value_crosses_zero_at_a_capex_of_11637() -> None:
    assert value(capex_usd_per_kilowatt=11_637) == pytest.approx(0.0, abs=0.1)
    assert value(capex_usd_per_kilowatt=11_600) > 0 > value(capex_usd_per_kilowatt=11_700)


def test_no_section_no_value() -> None:
    assert value_ai(None) is None


def test_a_lease_without_rent_has_no_value_even_if_no_settings_refused_it() -> None:
    with pytest.raises(ValueError, match="rent and capex"):
        value_ai(AiSettings.model_construct())


def test_recovery_of_ten_percent_over_fifteen_years() -> None:
    assert capital_recovery_factor(0.10, 15) == pytest.approx(0.131473776887, rel=1e-11)
    assert capital_recovery_factor(0.0, 15) == 1 / 15


@given(st.floats(0, 1), st.integers(1, 60))
def test_the_payments_are_worth_the_capex(rate: float, years: int) -> None:
    payment = capital_recovery_factor(rate, years)
    assert sum(payment / (1 + rate) ** year for year in range(1, years + 1)) == pytest.approx(1.0, rel=1e-9)


@given(
    rate=st.floats(0, 0.25),
    years=st.integers(5, 30),
    escalator=st.floats(-0.05, 0.06),
    months=st.integers(0, 60),
)
def test_a_lease_is_levelised_as_its_cash_flow_says(rate: float, years: int, escalator: float, months: int) -> None:
    settings = {
        "discount_rate": rate,
        "term_years": years,
        "escalator": escalator,
        "months_until_power_earns": months,
        "accept_implausible": True,
    }
    noi = 12 * 150 * 0.85
    cash = [noi * (1 + escalator) ** year / (1 + rate) ** (months / 12 + year + 1) for year in range(years)]
    capex = [10_000 / months / (1 + rate) ** ((month + 0.5) / 12) for month in range(months)] or [10_000]
    expected = (sum(cash) - sum(capex)) * capital_recovery_factor(rate, years) / 1.4
    assert value(**settings) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_capex_is_counted_when_it_is_paid_and_not_all_in_the_first_month() -> None:
    assert value(months_until_power_earns=15, capex_dates="at_start") == pytest.approx(31.0151, abs=5e-5)
    assert value(months_until_power_earns=15) == pytest.approx(84.8015, abs=5e-5)
    assert value(capex_dates="at_start") == value()


def test_rent_that_is_credited_back_for_downtime_is_not_earned() -> None:
    assert value(uptime=0.9) == pytest.approx(value(rent_usd_per_kilowatt_month=135))


@pytest.mark.parametrize(("credited", "months"), [(None, 180), (12, 12)])
def test_a_prepayment_counts_when_it_is_paid_and_its_credits_when_they_are_due(
    credited: int | None, months: int
) -> None:
    terms = {"months_until_power_earns": 15, "prepayment_usd_per_kilowatt": 1_000, "prepayment_credit_months": credited}
    credits_ = sum(1_000 / months * 1.1 ** (-(15 + month + 0.5) / 12) for month in range(months))
    gain = (1_000 - credits_) * capital_recovery_factor(0.1, 15) / 1.4
    assert value(**terms) == pytest.approx(84.8015 + gain, abs=5e-5)
    found = value_ai(lease(**terms))
    assert found is not None
    assert found.lease is not None
    breakeven = found.breakeven_rent
    assert breakeven is not None
    assert replace(found.lease, rent=breakeven).per_kilowatt_year == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"prepayment_credit_months": 181}, "the lease ends after 180 months"),
        ({"prepayment_credit_months": 6}, "more than the rent of the 6 months that it is credited in"),
    ],
)
def test_a_prepayment_that_no_rent_can_be_credited_with_is_refused(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        lease(prepayment_usd_per_kilowatt=1_000, **terms)


def test_a_prepayment_may_be_the_whole_rent_of_its_months() -> None:
    whole = lease(prepayment_usd_per_kilowatt=1_800, prepayment_credit_months=12)
    assert whole.prepayment_usd_per_kilowatt.high == 12 * 150


def test_rented_gpus_have_no_prepayment() -> None:
    rental = {"price_usd_per_gpu_hour": 2, "power_usd_per_kilowatt_hour": 0.05, "kilowatts_per_gpu": 1.275}
    rental |= {"utilization": 0.7, "gpu_capex_usd": 30_000, "gpu_life_years": 4, "capex_usd_per_kilowatt": 10_000}
    rental |= {"opex_usd_per_gpu_year": 0}
    with pytest.raises(ValidationError, match="only for a colocation lease"):
        AiSettings.model_validate({"gpu_rental": rental, "prepayment_usd_per_kilowatt": 100})


def test_a_part_of_a_month_is_paid_in_its_own_middle() -> None:
    half = (1.1 ** (-0.5 / 12) + 0.5 * 1.1 ** (-1.25 / 12)) / 1.5
    lease_ = value_ai(lease(months_until_power_earns=1.5))
    assert lease_ is not None
    assert lease_.lease is not None
    assert lease_.lease.capex_factor == pytest.approx(half)


@pytest.mark.parametrize(
    ("owed", "building", "after"),
    [
        (6, range(6), range(0)),
        (18, range(12), range(12, 18)),
        (12 + 15 * 12 + 60, range(12), range(12, 12 + 15 * 12)),  # what is owed after the term does not count
    ],
)
def test_owed_energy_costs_by_the_month_until_its_contract_or_the_term_ends(
    owed: int, building: range, after: range
) -> None:
    ai = value_ai(lease(months_until_power_earns=12))
    assert ai is not None
    assert ai.lease is not None

    def levelised(months: range) -> float:
        return sum(100 / 1.1 ** ((month + 0.5) / 12) for month in months) * calculator.annuity(0.1, 15)

    assert ai.lease.levelised_building_cost(1_200, owed) == pytest.approx(levelised(building))
    whole = 1_200 / 1.1  # of the term, yearly in arrears as the tenant's payments, from the end of the building time
    share = levelised(after) / levelised(range(12, 12 + 15 * 12))
    assert ai.lease.levelised_term_cost(1_200, owed) == pytest.approx(whole * share, abs=1e-9)


def test_a_far_end_of_a_contract_costs_what_no_end_does() -> None:
    ai = value_ai(lease(months_until_power_earns=12))
    assert ai is not None
    assert ai.lease is not None
    endless, end = ai.lease.levelised_term_cost(1_200), 12 + 15 * 12
    assert ai.lease.levelised_term_cost(1_200, end) == endless
    assert ai.lease.levelised_term_cost(1_200, end - 0.01) == pytest.approx(endless, rel=1e-4)
    assert ai.lease.levelised_building_cost(1_200, end) == ai.lease.levelised_building_cost(1_200)


def test_building_time_costs_and_an_escalator_earns() -> None:
    assert value(months_until_power_earns=18) < value() < value(escalator=0.02)


@given(rent=st.floats(50, 400), capex=st.floats(0, 40_000), months=st.integers(0, 36), uptime=st.floats(0.9, 1))
def test_at_the_breakeven_rent_the_lease_is_worth_nothing(
    rent: float, capex: float, months: int, uptime: float
) -> None:
    settings = {"capex_usd_per_kilowatt": capex, "months_until_power_earns": months, "uptime": uptime}
    ai = value_ai(lease(rent_usd_per_kilowatt_month=rent, **settings))
    assert ai is not None
    breakeven = ai.breakeven_rent
    assert breakeven is not None
    assert value(rent_usd_per_kilowatt_month=breakeven, accept_implausible=True, **settings) == pytest.approx(
        0, abs=1e-6
    )


def test_each_input_is_taken_at_its_worse_end_in_the_low_scenario() -> None:
    bands = lease(
        rent_usd_per_kilowatt_month={"low": 120, "base": 150, "high": 190},
        capex_usd_per_kilowatt={"low": 8_000, "base": 10_000, "high": 15_000},
        utility_ratio={"low": 1.35, "base": 1.4, "high": 1.52},
    )
    ai = value_ai(bands)
    assert ai is not None
    scenarios = dict(ai.scenarios)
    assert scenarios["base"] == pytest.approx(153.758737)
    assert scenarios["low"] == pytest.approx(
        value(rent_usd_per_kilowatt_month=120, capex_usd_per_kilowatt=15_000, utility_ratio=1.52)
    )
    assert scenarios["high"] == pytest.approx(
        value(rent_usd_per_kilowatt_month=190, capex_usd_per_kilowatt=8_000, utility_ratio=1.35)
    )


# --- GPU rental -----------------------------------------------------------------------------------------------------

RENTAL = GpuRentalSettings(
    price_usd_per_gpu_hour=Band(low=1.8, base=2.2, high=2.6),
    utilization=Band(low=0.6, base=0.8, high=0.9),
    power_usd_per_kilowatt_hour=0.05,
    kilowatts_per_gpu=1.275,
    pue=1.3,
    gpu_capex_usd=Band(low=30_000, base=35_000, high=40_000),
    gpu_life_years=5,
    capex_usd_per_kilowatt=Band(low=8_000, base=10_000, high=12_000),
    opex_usd_per_gpu_year=1_500,
)


def test_gpu_rental_is_the_formula() -> None:
    ai = value_ai(AiSettings(gpu_rental=RENTAL))
    assert ai is not None
    energy = 1.275 * 1.3 * 8_760 * 0.05
    capital = capital_recovery_factor(0.1, 5) * 35_000 + capital_recovery_factor(0.1, 15) * 10_000 * 1.275
    expected = (8_760 * 0.8 * 2.2 - energy - capital - 1_500) / (1.275 * 1.3)
    assert ai.per_kilowatt_year == pytest.approx(expected)
    assert ai.noi_per_kilowatt_year == pytest.approx((8_760 * 0.8 * 2.2 - energy - 1_500) / (1.275 * 1.3))
    assert ai.capex_per_kilowatt == pytest.approx((35_000 + 10_000 * 1.275) / (1.275 * 1.3))
    assert ai.recovery == pytest.approx(capital_recovery_factor(0.1, 15))
    assert ai.building_months == 0  # GPUs earn at once
    assert ai.breakeven_rent is None
    low, base, high = (scenario for _, scenario in ai.scenarios)
    assert low < base < high


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rent_usd_per_kilowatt_month": 25 * 730},
            "50 to 400 USD per IT kW and month",
        ),  # $25 per kWh, as the press says
        ({"capex_usd_per_kilowatt": 10}, None),
        ({"capex_usd_per_kilowatt": 100_000}, "0 to 40000 USD per IT kW"),
        ({"discount_rate": 10}, "cannot be"),
        ({"noi_share": 85}, r"85 cannot be, expected 0\.4 to 1 \(0\.85 is 85 per cent\)"),
        ({"term_years": 180}, "cannot be"),
        ({"utility_ratio": 0.7}, "cannot be"),
        ({"rent_usd_per_kilowatt_month": {"low": 190, "base": 150, "high": 120}}, "low <= base <= high"),
        ({"rent_usd_per_kilowatt_month": {"low": 10, "base": 150, "high": 190}}, "10 is implausible"),
        ({"rent": 150}, "Extra inputs"),
        ({"rent_usd_per_kilowatt_month": None}, "neither is assumed"),
        ({"gpu_rental": RENTAL}, "never mix"),
        ({"rent_usd_per_kilowatt_month": float("nan")}, "finite"),
    ],
)
def test_implausible_terms_are_refused_with_the_plausible_range(
    changes: dict[str, object], message: str | None
) -> None:
    if message is None:
        lease(**changes)
        return
    with pytest.raises(ValidationError, match=message):
        lease(**changes)


def test_all_implausible_values_are_reported_at_once() -> None:
    with pytest.raises(
        ValidationError, match=r"noi_share: 85 cannot be.*utility_ratio: 14 cannot be.*uptime: 0.5 is impl"
    ):
        lease(noi_share=85, utility_ratio=14, uptime=0.5)


def test_an_implausible_figure_can_be_meant() -> None:
    assert value(rent_usd_per_kilowatt_month=600, accept_implausible=True) > value()


# --- mining over the same years -------------------------------------------------------------------------------------


def horizon(**changes: float) -> MiningHorizon:
    facts = {
        "difficulty_growth": 0.0,
        "halving_in_years": 100.0,
        "subsidy_share": 1.0,
        "rate": 0.1,
        "term_years": 15.0,
    }
    return MiningHorizon(life_years=int(changes.pop("life_years", 15)), **(facts | changes))


def test_mining_that_does_not_change_is_worth_its_margin() -> None:
    assert horizon().per_kilowatt_year(700, 450) == pytest.approx(250)


def test_a_losing_year_is_switched_off() -> None:
    assert horizon().per_kilowatt_year(400, 450) == 0
    growing = horizon(difficulty_growth=0.3, life_years=4)
    by_hand = [max(700 / 1.3 ** (year + 0.5) - 450, 0) / 1.1 ** (year + 1) for year in range(4)]
    assert by_hand[-1] == 0
    assert growing.per_kilowatt_year(700, 450) == pytest.approx(sum(by_hand) * capital_recovery_factor(0.1, 15))


def test_the_halving_halves_the_subsidy_and_leaves_the_fees() -> None:
    one_year = horizon(life_years=1, term_years=1, subsidy_share=0.9)
    halved = horizon(life_years=1, term_years=1, subsidy_share=0.9, halving_in_years=0.0)
    midway = horizon(life_years=1, term_years=1, subsidy_share=0.9, halving_in_years=0.5)
    assert one_year.per_kilowatt_year(100, 0) == pytest.approx(100)
    assert halved.per_kilowatt_year(100, 0) == pytest.approx(55)
    assert midway.per_kilowatt_year(100, 0) == pytest.approx(77.5)


def test_a_second_halving_comes_four_years_later() -> None:
    late = horizon(life_years=6, term_years=6, rate=0.0, halving_in_years=1.0)
    four_years = 210_000 * 600 / 31_536_000
    expected = 1 + 0.5 * four_years + 0.25 * (5 - four_years)
    assert late.per_kilowatt_year(6, 0) == pytest.approx(expected)
