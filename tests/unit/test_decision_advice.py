"""What `check-config` says of settings with which `reassign` can never come, or is less sure than it looks."""

from dataclasses import replace

import pytest
from sites import LEASE

from exporter.decision.advice import advise
from exporter.decision.settings import DecisionSettings
from exporter.economics.ai import value_ai
from exporter.economics.settings import AiSettings, Band, GpuRentalSettings, OutlookSettings, SiteSettings
from exporter.model.fleet import Block, Rig

BANDED = AiSettings(
    rent_usd_per_kilowatt_month={"low": 145, "base": 150, "high": 160},
    capex_usd_per_kilowatt={"low": 7_000, "base": 8_000, "high": 9_000},
)
SITE = SiteSettings(ai=BANDED)
RIG = Rig(name="a", address="127.0.0.1", rated_hashrate=200e12, rated_power=3_500.0)


def advised(site: SiteSettings = SITE, rigs: tuple[Rig, ...] = (), **decision: float) -> str:
    return "; ".join(advise(site, DecisionSettings(**decision), rigs))


def test_a_sound_configuration_needs_no_advice() -> None:
    assert advised() == ""
    assert advised(SiteSettings()) == ""


@pytest.mark.parametrize("capex", [11_400, 12_000])
def test_a_value_below_the_threshold_can_never_fire(capex: float) -> None:
    dear = replace(SITE, ai=BANDED.model_copy(update={"capex_usd_per_kilowatt": Band(low=1, base=capex, high=capex)}))
    assert advised(dear).startswith("`reassign` can never come: the AI value with the rigs' sale price is ")


def test_a_low_scenario_below_zero_can_never_fire_without_an_outlook() -> None:
    wide = replace(SITE, ai=BANDED.model_copy(update={"capex_usd_per_kilowatt": Band(low=1, base=8_000, high=15_000)}))
    assert advised(wide).startswith("`reassign` can never come without `ai.outlook`: ")
    assert "can never come" not in advised(wide, (RIG,), rigs_sale_usd_per_terahash=90.0)
    assert "can never come" in advised(wide, (), rigs_sale_usd_per_terahash=90.0)  # of rigs of unknown size


def capex(**band: float) -> SiteSettings:
    return replace(SITE, ai=BANDED.model_copy(update={"capex_usd_per_kilowatt": Band(**band)}))


def test_the_advice_has_the_sum_of_the_ai_value_and_of_what_the_rigs_are_sold_for() -> None:
    """18,000 USD for a rig of 3.5 kW, less 350 USD for its removal: 5,042.86 USD per kW, spread over the lease."""
    dear = capex(low=1, base=60_000, high=60_000)
    ai = value_ai(dear.ai)
    assert ai is not None
    assert f"price is {ai.per_kilowatt_year:.2f} USD per kW and year, and the threshold is 40.00" in advised(dear)
    worth = ai.per_kilowatt_year + ai.recovery * 5_042.857
    rigs = (RIG, replace(RIG, name="b"), replace(RIG, name="unrated", rated_power=None))
    assert f"price is {worth:.2f} USD per kW and year" in advised(
        dear, rigs, rigs_sale_usd_per_terahash=90.0, rigs_removal_usd_per_rig=350.0
    )


def test_half_a_dollar_above_zero_is_enough() -> None:
    """An AI value of 0.50 USD per kW and year, and a low scenario of 0.50."""
    assert advised(capex(low=1, base=11_631.98, high=11_631.98), (RIG,), rigs_sale_usd_per_terahash=90.0) == ""
    assert advised(capex(low=1, base=8_000, high=11_244.0)) == ""


def test_with_an_outlook_the_low_scenario_may_be_below_zero() -> None:
    outlook = OutlookSettings(
        drift=0.1, volatility=0.5, difficulty_growth=0.3, elasticity=0.5, fees_bitcoins_per_block=0.02
    )
    wide = capex(low=1, base=8_000, high=15_000)
    assert wide.ai is not None
    assert advised(replace(wide, ai=wide.ai.model_copy(update={"outlook": outlook}))) == ""


def test_while_the_price_of_a_rental_is_not_known_nothing_is_said_of_its_value() -> None:
    rental = GpuRentalSettings(
        price_usd_per_gpu_hour="market",
        utilization=0.8,
        power_usd_per_kilowatt_hour=0.05,
        kilowatts_per_gpu=1.3,
        pue=1.3,
        gpu_capex_usd=30_000,
        gpu_life_years=5,
        capex_usd_per_kilowatt=10_000,
        opex_usd_per_gpu_year=1_000,
    )
    assert "can never come" not in advised(SiteSettings(ai=AiSettings(gpu_rental=rental)))


def test_a_history_shorter_than_required_gives_advice_with_the_requirement() -> None:
    assert "decision.history (1w) is shorter than decision.history_needed (2w): 3d12h of history are needed" in advised(
        history=7 * 86_400.0
    )


def test_the_former_decay_and_inputs_without_a_band_give_advice() -> None:
    decaying = advised(resale_decay_usd_per_kilowatt_year=5.0)
    assert decaying.startswith("decision.resale_decay_usd_per_kilowatt_year keeps its former formula")
    assert decaying.endswith("set decision.rigs_sale_usd_per_terahash in its place")
    flat = advised(replace(SITE, ai=LEASE))
    assert "ai.rent_usd_per_kilowatt_month has no band" in flat
    assert "ai.capex_usd_per_kilowatt has no band" in flat


def test_customers_without_contracts_give_advice() -> None:
    assert "1 rigs belong to customers" in advised(rigs=(RIG, replace(RIG, name="b", customer="acme")))


def test_a_feeder_far_larger_than_its_rigs_gives_advice() -> None:
    feeders = (
        Block(name="c3"),
        Block(name="c4", capacity_watts=5_250.0),  # 1.5 times what its rig is rated at
        Block(name="c1", capacity_watts=12_000.0),
        Block(name="c2", capacity_watts=12_000.0),
    )
    rigs = (
        replace(RIG, block="c1"),
        replace(RIG, block="c2", count=3),
        *(replace(RIG, block=name) for name in ("c3", "c4")),
    )
    assert "; ".join(advise(SITE, DecisionSettings(), rigs, feeders)) == (
        "block c1: its capacity is 3.4 times the rated power of its rigs, and AI hosting is valued on all of it: check "
        "that the feeder can carry that"
    )
    unrated = (*rigs, replace(RIG, block="c1", rated_power=None))
    assert not list(advise(SITE, DecisionSettings(), unrated, feeders))
    assert not list(advise(SiteSettings(), DecisionSettings(), rigs, feeders))


def test_a_market_of_less_than_a_year_gives_advice() -> None:
    (found,) = advise(SITE, DecisionSettings(), (), (), {"spot", "grid"})
    assert found.startswith("4w of the market's prices (grid, spot) stand for a whole year in `reassign`")
    assert not list(advise(SITE, DecisionSettings(history=365 * 86_400.0), (), (), {"spot"}))
