"""What an hour of a block costs: the price of power with the expected cost of a peak, or a peak tag, never both.

Of hosted rigs it has two prices, the host's and the customer's.
"""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sites import NOW, SITE, flat_market, replace_tariff, rig, site
from test_economics_books import contract, hosted

from exporter.decision.latch import Latch
from exporter.decision.settings import DecisionSettings
from exporter.decision.survey import Survey, Surveyor
from exporter.decision.values import Clock, DecisionState
from exporter.economics.settings import (
    EconomicsSettings,
    OtherCost,
    PowerSettings,
    SiteSettings,
    StopsWith,
    TariffOverrides,
)
from exporter.economics.site import price_on
from exporter.model.readings import PriceSlot
from exporter.model.snapshot import LastGood, RigSnapshot, TariffPrice

BARE = SiteSettings(tariff="ppa")
PEAK = PriceSlot(NOW - 60, NOW + 840, 1.75)
TAG = OtherCost(name="4CP tag", usd_per_kilowatt_month=5.0, stops_with=StopsWith.PERIOD, peak_tag=True)
SALE = {"metered_at": "utility", "resale_tariff": "sale"}


def price(settings: SiteSettings = SITE, peak: PriceSlot = PEAK) -> float:
    """What an hour's kWh is booked at."""
    tariffs = {"ppa": TariffPrice(0.05), "sale": TariffPrice(0.02)}
    snapshot = site(rig(), tariffs=tariffs, surcharges={"ppa": (peak,)})
    economics = price_on(flat_market(), snapshot, settings)
    surveyor = Surveyor(snapshot, economics, DecisionState(), settings, DecisionSettings())
    moment = surveyor.survey([0]).moment
    assert moment is not None
    return moment.prices["ppa"][0]


def power(**fields: Any) -> SiteSettings:
    return replace(SITE, power=PowerSettings(**fields))


def test_an_hour_in_which_a_peak_may_be_set_has_its_expected_cost() -> None:
    assert price() == pytest.approx(1.80)
    assert price(peak=PriceSlot(NOW + 840, NOW + 1_740, 1.75)) == 0.05  # of a later hour


def test_where_a_peak_tag_is_a_cost_the_expected_cost_is_none() -> None:
    assert price(replace(SITE, economics=EconomicsSettings(other_costs=[TAG]))) == 0.05


def test_energy_that_can_be_sold_counts_no_expected_cost() -> None:
    assert price(power(**SALE)) == 0.05


def test_the_expected_cost_of_a_peak_counts_by_the_terms_of_its_tariff() -> None:
    owed = TariffOverrides(take_or_pay=True, take_or_pay_until=date(2026, 3, 21))  # the day of NOW
    for own, expected in (
        (TariffOverrides(resale_tariff="sale"), 0.05),
        (owed, 0.05),
        (owed.model_copy(update={"take_or_pay_until": date(2026, 3, 20)}), 1.80),
    ):
        assert price(replace(SITE, tariffs={"ppa": own})) == pytest.approx(expected)


def test_a_tariff_is_not_sold_at_itself() -> None:
    settings = power(metered_at="utility", resale_tariff="ppa")
    assert price(settings) == pytest.approx(1.80)
    snapshot = site(rig(), tariffs={"ppa": TariffPrice(0.05)})
    surveyor = Surveyor(
        snapshot, price_on(flat_market(), snapshot, settings), DecisionState(), settings, DecisionSettings()
    )
    moment = surveyor.survey([0]).moment
    assert moment is not None
    assert moment.prices == {"ppa": (0.05, None)}


# --- what counts as observed ----------------------------------------------------------------------------------------


def observed(silent: RigSnapshot, *, curtailed: bool = False, **decision: float) -> bool:
    """Whether a rig without a reading counts as observed, and so does its block."""
    snapshot = site(silent)
    economics = price_on(flat_market(), snapshot, SITE)
    clocks = {silent.rig.name: Clock(curtail=Latch(on=True))} if curtailed else {}
    settings = DecisionSettings.model_validate(decision)
    survey = Surveyor(snapshot, economics, DecisionState(rigs=clocks), SITE, settings).survey([0])
    assert survey.sight == float(survey.observed)
    return survey.observed


def silent(seconds: float = 60.0, **facts: Any) -> RigSnapshot:
    """A rig that hashed so many seconds ago, at 1 kW."""
    return rig(hashrate=None, last_good=LastGood(hashrate=50e12, power=1_000.0, observed_at=NOW - seconds), **facts)


@pytest.mark.parametrize(("age", "counts"), [(0.0, True), (3_600.0, True), (3_601.0, False), (-1.0, False)])
def test_a_rig_that_answered_within_the_hold_limit_is_observed(age: float, *, counts: bool) -> None:
    assert observed(silent(last_success=NOW - age)) is counts


def test_a_rig_that_is_off_on_purpose_is_observed_if_it_hashed_within_the_window() -> None:
    assert not observed(silent())
    assert observed(silent(expected_mining=False))
    assert not observed(rig(hashrate=None, expected_mining=False))
    assert observed(silent(7_200.0, expected_mining=False), history=7_200)
    assert not observed(silent(7_201.0, expected_mining=False), history=7_200)


@pytest.mark.parametrize(
    ("curtailed", "metered", "counts"),
    [(True, 99.0, True), (True, 100.0, False), (True, None, False), (False, 99.0, False)],
)
def test_a_rig_that_was_to_be_curtailed_is_observed_if_its_meter_shows_that_it_is_off(
    *, curtailed: bool, metered: float | None, counts: bool
) -> None:
    """It is off if it draws less than a tenth of what it drew."""
    assert observed(silent(metered_power=metered), curtailed=curtailed) is counts


def test_a_rig_of_unknown_power_is_not_off_for_that_its_meter_shows_little() -> None:
    unknown = rig(
        hashrate=None, metered_power=1.0, last_good=LastGood(hashrate=50e12, power=None, observed_at=NOW - 60)
    )
    assert not observed(unknown, curtailed=True)


# --- the sums of a block --------------------------------------------------------------------------------------------


def surveyed(
    *rigs: RigSnapshot, site_settings: SiteSettings = BARE, repairs: tuple[str, ...] = (), **decision: float
) -> Survey:
    """A block of rigs at $0.05 a kWh, and $0.03 within a block of power."""
    snapshot = site(*rigs, tariffs={"ppa": TariffPrice(0.05), "base": TariffPrice(0.03)})
    economics = price_on(flat_market(), snapshot, site_settings)
    state = DecisionState(rigs={name: Clock(repair=Latch(on=True)) for name in repairs})
    settings = DecisionSettings.model_validate(decision)
    return Surveyor(snapshot, economics, state, site_settings, settings).survey(range(len(rigs)))


def kilowatts_of(found: Survey) -> dict[tuple[str, int], float]:
    assert found.moment is not None
    return {key: power for key, (_, power) in found.moment.groups.items()}


def kilowatt(name: str, tariff: str = "ppa", kilowatts: float = 1.0) -> RigSnapshot:
    """A rig of 1 kW and 20 J/TH."""
    one = rig(hashrate=50e12 * kilowatts, power=1_000.0 * kilowatts, reject_ratio=0.0, name=name)
    return replace_tariff(one, tariff)


def test_rigs_without_a_price_count_as_the_best_ones_of_the_block() -> None:
    for rigs in ((kilowatt("a"), kilowatt("b", "spot")), (kilowatt("b", "spot"), kilowatt("a"))):
        found = surveyed(*rigs)
        assert (found.coverage, found.sight) == (0.5, 1.0)
        assert kilowatts_of(found) == {("ppa", 200): 2.0}
    assert kilowatts_of(surveyed(kilowatt("a"), kilowatt("b", "spot"), kilowatt("c", "spot"))) == {("ppa", 200): 3.0}
    worse = rig(hashrate=400e12, power=10_000.0, reject_ratio=0.0, name="c")  # it earns more, and less per kW
    for rigs in ((kilowatt("a"), worse), (worse, kilowatt("a"))):
        assert kilowatts_of(surveyed(*rigs, kilowatt("b", "spot"))) == {("ppa", 200): 2.0, ("ppa", 250): 10.0}
    in_block = replace(BARE, tariffs={"ppa": TariffOverrides(block_tariff="base", block_kilowatts=1.0)})
    found = surveyed(kilowatt("a", kilowatts=4.0), kilowatt("b", "spot", 4.0), site_settings=in_block)
    assert kilowatts_of(found) == {("base", 200): 2.0, ("ppa", 200): 6.0}
    assert kilowatts_of(surveyed(kilowatt("a"), site_settings=in_block)) == {("base", 200): 1.0}


@pytest.mark.parametrize(("available", "still"), [(0.75, True), (1.0, False)])
def test_of_rigs_under_repair_what_is_not_available_stands_still(available: float, *, still: bool) -> None:
    rigs = [kilowatt(name) for name in ("a", "b", "c")]
    found = surveyed(*rigs, kilowatt("d", "spot"), repairs=("a", "b"), mining_availability=available)
    running = 2 * available + 2
    assert kilowatts_of(found) == {("ppa", 200): running} | ({("ppa", -1): 4 - running} if still else {})
    assert found.moment is not None
    assert sum(work for work, _ in found.moment.groups.values()) == pytest.approx(running / 20)


def test_a_rig_under_repair_in_a_block_of_power_stands_still_in_it_too() -> None:
    in_block = replace(BARE, tariffs={"ppa": TariffOverrides(block_tariff="base", block_kilowatts=1.0)})
    found = surveyed(kilowatt("a"), site_settings=in_block, repairs=("a",), mining_availability=0.75)
    assert kilowatts_of(found) == {("base", 200): 0.75, ("base", -1): 0.25}


def test_a_block_of_which_no_power_is_known_is_seen_if_a_rig_answers() -> None:
    found = surveyed(kilowatt("a"), rig(name="b", power=None))
    assert (found.coverage, found.sight) == (0.5, 0.5)
    assert surveyed(rig(power=None)) == Survey(coverage=0.0, sight=1.0, observed=True, moment=None)
    assert surveyed(rig(hashrate=None)) == Survey(coverage=0.0, sight=0.0, observed=False, moment=None)


def test_a_rig_that_would_draw_nothing_has_no_margin_per_kilowatt() -> None:
    snapshot = site(kilowatt("a"))
    economics = price_on(flat_market(), snapshot, BARE)
    economics = replace(economics, rigs=(economics.rigs[0]._replace(potential_power=0.0),))
    surveyor = Surveyor(snapshot, economics, DecisionState(), BARE, DecisionSettings())
    assert surveyor.survey([0]) == Survey(coverage=0.0, sight=1.0, observed=True, moment=None)


# --- hosted rigs ----------------------------------------------------------------------------------------------------


def hosted_prices(*rigs: RigSnapshot, host: float = 0.05, **terms: Any) -> tuple[float, float]:
    """What the host and the customer pay for a kWh of the rigs under one contract."""
    settings = SiteSettings(tariff="ppa", contracts={"c": contract(**terms)})
    snapshot = site(*rigs, tariffs={"ppa": TariffPrice(host)})
    economics = price_on(flat_market(), snapshot, settings)
    moment = (
        Surveyor(snapshot, economics, DecisionState(), settings, DecisionSettings()).survey(range(len(rigs))).moment
    )
    assert moment is not None
    (found,) = moment.prices.values()
    return found


def test_prices_of_hosted_rigs_are_means_by_power() -> None:
    """By nameplate a rig at half of its rated power pays twice the rate: (3.5 x 0.08 + 1.75 x 0.16) / 5.25."""
    rigs = hosted(name="a"), hosted(name="b", power=1_750.0)
    assert hosted_prices(*rigs, energy="nameplate") == pytest.approx((0.05, 0.56 / 5.25))


def test_a_hosted_kilowatt_hour_may_cost_nothing() -> None:
    free = {"usd_per_kilowatt_hour": None, "usd_per_kilowatt_month": 12}
    assert hosted_prices(hosted(), host=0.0, **free) == (0.0, 0.0)
