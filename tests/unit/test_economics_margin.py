"""The margin of one rig: known answers, where its power comes from, what it would earn, and its breakevens."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operating_points import candidate
from pydantic import ValidationError
from sites import AIR_COOLED, HASHPRICE, NOW, flat_market, price, rig, site

from exporter.economics.lines import cost_lines
from exporter.economics.margin import RigPricer
from exporter.economics.points import Curve
from exporter.economics.power import billed_per_watt
from exporter.economics.settings import (
    Basis,
    EconomicsSettings,
    MeteringPoint,
    OtherCost,
    PlausibleSettings,
    PowerSettings,
    SiteSettings,
    TariffOverrides,
)
from exporter.economics.site import per_kilowatt_year, price_site
from exporter.economics.values import MarketEconomics, PowerSource, RigEconomics
from exporter.model.readings import Reading, RigIdentity, RigReading
from exporter.model.snapshot import LastGood, RigSnapshot, TariffPrice

RATED = {"rated_hashrate": 200e12, "rated_power": 3_600.0}


def test_a_modern_rig_earns() -> None:
    priced = price(rig())
    assert priced.revenue == pytest.approx(6.58021320, rel=1e-9)
    assert priced.power_cost == pytest.approx(4.326, rel=1e-12)
    assert priced.margin == pytest.approx(2.25421320, rel=1e-8)
    assert priced.billed_power == pytest.approx(3_605)
    assert priced.efficiency == 17.5
    assert priced.breakeven_power_price == pytest.approx(0.0760542441, rel=1e-9)
    assert priced.breakeven_hashprice == pytest.approx(21.8922693873, rel=1e-11)
    assert per_kilowatt_year(priced.margin, priced.billed_power) == pytest.approx(228.235178, rel=1e-8)
    assert priced.margin_per_kwh == pytest.approx(228.235178 / 8_760, rel=1e-8)


def test_of_a_rig_of_the_sites_own_the_books_are_the_rigs_own_figures() -> None:
    """0.2 PH/s at $33.30, 84 kWh at $0.05, and a bitcoin at $70,370."""
    bare = price(rig(reject_ratio=0.0), economics=EconomicsSettings(), power=PowerSettings())
    assert (bare.paid_share, bare.potential_work) == pytest.approx((1.0, 0.2))
    assert (bare.judged_revenue, bare.judged_price) == pytest.approx((6.66, 0.05))
    assert bare.cost_per_bitcoin == pytest.approx(84 * 0.05 / 6.66 * 70_370)
    assert price(rig(reject_ratio=0.25), economics=EconomicsSettings(pool_fee=0.02)).paid_share == pytest.approx(0.735)


CURVES = {"a-01": Curve.of([candidate("eco", 150, 2_250, error=0.0), candidate("full", 210, 3_900, error=0.0)])}


def at_best_point(snapshot: RigSnapshot, power_price: float = 0.09) -> RigEconomics:
    settings = SiteSettings(tariff="ppa")
    return RigPricer(flat_market(), {"ppa": TariffPrice(power_price)}, settings, curves=CURVES).price(snapshot)


def test_a_rig_is_judged_at_the_best_point_that_it_was_measured_at() -> None:
    """At $0.09 it loses $0.90 a day as it runs, and at 150 TH/s it would earn 4.995 - 4.86."""
    saving = at_best_point(rig(reject_ratio=0.0))
    assert saving.potential_margin == pytest.approx(0.135)
    assert saving.margin == pytest.approx(-0.9)
    assert (saving.potential_work, saving.potential_power) == pytest.approx((0.15, 2_250.0))
    assert saving.potential_breakeven_power_price == pytest.approx(4.995 / 54)
    assert saving.opportunity_margin == pytest.approx(0.135)
    own = at_best_point(rig(reject_ratio=0.0), power_price=0.05)  # 2.46, more than 2.295 and 2.313
    assert own.potential_margin == pytest.approx(2.46)
    assert own.potential_breakeven_power_price == pytest.approx(4.995 / 54)
    half = at_best_point(rig(reject_ratio=0.5))
    assert half.potential_margin == pytest.approx(4.995 / 2 - 4.86)


def test_a_rig_that_runs_at_its_best_point_is_judged_as_it_runs() -> None:
    running = replace(
        rig(reject_ratio=0.0), reading=Reading(RigReading(hashrate=1.4e14, power=2_250.0, point="eco"), NOW)
    )
    assert at_best_point(running).potential_margin == pytest.approx(1.4 / 1.5 * 4.995 - 4.86)


def test_the_strike_of_a_rig_is_the_highest_breakeven_of_its_points_and_its_own() -> None:
    """Its points earn nothing at 4.995 / 54 and 6.993 / 93.6 a kWh, and at 160 TH/s and 2,250 W it at 5.328 / 54."""
    for hashrate, watts, strike in ((140e12, 2_250.0, 4.995 / 54), (160e12, 2_250.0, 5.328 / 54)):
        eco = Reading(RigReading(hashrate=hashrate, power=watts, point="eco"), NOW)
        running = at_best_point(replace(rig(reject_ratio=0.0), reading=eco))
        assert running.potential_breakeven_power_price == pytest.approx(strike)
        assert running.potential_work == pytest.approx(hashrate / 1e15)
    frugal = at_best_point(rig(reject_ratio=0.0, power=2_200.0), power_price=0.05)
    assert (frugal.potential_power, frugal.potential_breakeven_power_price) == pytest.approx((2_200, 6.66 / 52.8))
    unmetered = replace(rig(reject_ratio=0.0), reading=Reading(RigReading(hashrate=140e12, point="eco"), NOW))
    assert at_best_point(unmetered).potential_breakeven_power_price == pytest.approx(4.995 / 54)


def test_a_rig_whose_power_is_unknown_is_judged_at_the_best_point() -> None:
    assert at_best_point(rig(reject_ratio=0.0, power=None)).potential_margin == pytest.approx(0.135)


def test_a_rig_whose_shares_are_all_rejected_is_judged_where_it_loses_least() -> None:
    assert at_best_point(rig(reject_ratio=1.0), power_price=0.03).potential_power == pytest.approx(2_250)
    frugal = at_best_point(rig(reject_ratio=1.0, power=2_000.0), power_price=0.03)
    assert (frugal.potential_power, frugal.potential_breakeven_power_price) == pytest.approx((2_000, 0.0))


def test_without_a_price_or_a_hashprice_there_is_no_best_point() -> None:
    settings = SiteSettings(tariff="ppa")
    no_price = RigPricer(flat_market(), {}, settings, curves=CURVES).price(rig())
    no_hashprice = RigPricer(MarketEconomics(), {"ppa": TariffPrice(0.09)}, settings, curves=CURVES).price(rig())
    for unpriced in (no_price, no_hashprice):
        assert (unpriced.potential_power, unpriced.potential_margin) == (3_500, None)


def test_what_a_rig_loses_is_avoidable_where_it_would_lose_at_its_best_point_too() -> None:
    """At $0.12 it loses 10.08 - 6.66 as it runs, and at 150 TH/s it would lose 6.48 - 4.995."""
    assert at_best_point(rig(reject_ratio=0.0), power_price=0.12).avoidable_loss == pytest.approx(3.42)
    heating = at_best_point(rig(reject_ratio=0.0, hashrate=0.0, power=2_000.0), power_price=0.12)
    assert heating.avoidable_loss == pytest.approx(1.485)
    assert at_best_point(rig(reject_ratio=0.0)).avoidable_loss == 0.0  # it would earn $0.135


def test_what_does_not_stop_is_due_for_the_power_that_a_running_rig_draws() -> None:
    """At $7.30 a kW and month 84 kWh cost $0.84 more, also where the rig would better draw 54 kWh."""
    economics = EconomicsSettings(hosting_usd_per_kilowatt_month=7.3)
    settings = SiteSettings(tariff="ppa", economics=economics)
    pricer = RigPricer(flat_market(), {"ppa": TariffPrice(0.09)}, settings, curves=CURVES)
    assert pricer.price(rig(reject_ratio=0.0)).allin_margin == pytest.approx(-0.9 - 0.84)


def test_a_rig_of_another_name_or_algorithm_has_no_best_point() -> None:
    assert at_best_point(rig(reject_ratio=0.0, name="b")).potential_margin == pytest.approx(-0.9)
    scrypt = RigIdentity(reader="pyasic", make="AntMiner", model="L7", algorithm="Scrypt")
    for rated in ({}, {"rated_hashrate": 9.5e9, "rated_power": 3_425.0}):
        other = at_best_point(rig(identity=scrypt, facts={"algorithm": ""} | rated))
        assert (other.potential_margin, other.potential_revenue, other.potential_power) == (None, None, None)
        assert (other.potential_work, other.potential_breakeven_power_price) == (None, None)
    snapshot = site(rig(reject_ratio=0.0), tariffs={"ppa": TariffPrice(0.09)})
    best = price_site(snapshot, SiteSettings(tariff="ppa"), CURVES).rigs[0]
    assert best.potential_work == pytest.approx(0.15)


def test_a_cost_of_capacity_is_shared_by_the_running_kilowatts_of_a_block() -> None:
    """$7.30 a kW and month is 1 cent per kWh; of twice the capacity it is 2."""
    cost = OtherCost(name="space", usd_per_kilowatt_month=7.3, basis=Basis.CAPACITY)
    settings = SiteSettings(tariff="ppa", economics=EconomicsSettings(other_costs=(cost,)))
    pricer = RigPricer(flat_market(), {"ppa": TariffPrice(0.05)}, settings, capacity_ratio={"south": 2.0})
    north, south = (pricer.price(rig(block=block)).allin_cost for block in ("north", "south"))
    assert (north, south) == pytest.approx((84 * 0.06, 84 * 0.07))


def test_a_hashrate_below_0_is_unknown() -> None:
    assert price(rig(hashrate=-1.0)).revenue is None


def test_a_rig_that_never_hashed_well_would_run_by_its_nameplate() -> None:
    silent = rig(hashrate=None, last_good=LastGood(hashrate=0.0, power=50.0, observed_at=NOW), facts=RATED)
    assert price(silent).potential_power == pytest.approx(3_600 * 1.03)


def test_a_rig_that_earns_nothing_is_the_last_to_have_power_of_the_block() -> None:
    """The block has room for one of two rigs. All shares of the first are rejected."""
    own = {"ppa": TariffOverrides(block_tariff="block", block_kilowatts=3.5)}
    tariffs = {"ppa": TariffPrice(0.10), "block": TariffPrice(0.03)}
    pricer = RigPricer(flat_market(), tariffs, SiteSettings(tariff="ppa", tariffs=own))
    rigs = [rig(name="a", reject_ratio=1.0), rig(name="b")]
    assert dict(pricer.block_shares(rigs, [pricer.price(each) for each in rigs])) == {1: 1.0, 0: 0.0}


def test_a_negative_power_price_pays_twice() -> None:
    priced = price(rig(), power_price=-0.02)
    assert priced.power_cost == pytest.approx(-1.73040)
    assert priced.margin == pytest.approx(8.31061320)
    assert priced.breakeven_power_price == pytest.approx(0.0760542441)
    assert priced.margin_low is not None
    assert priced.margin is not None
    assert priced.margin_low < priced.margin  # less power than shown earns less


def test_a_rig_that_hashes_nothing_loses_its_power_and_has_no_efficiency() -> None:
    priced = price(rig(hashrate=0.0))
    assert priced.margin == pytest.approx(-4.32600)
    assert priced.efficiency is None
    assert priced.breakeven_power_price is None
    assert priced.breakeven_hashprice is None
    assert priced.breakeven_bitcoin_price is None


@pytest.mark.parametrize(("efficiency", "expected"), [(17.0, 276.97), (21.5, 127.33), (29.5, -25.98)])
def test_dollars_per_kilowatt_year_at_the_wall(efficiency: float, expected: float) -> None:
    bare = price(
        rig(hashrate=100e12, power=efficiency * 100, reject_ratio=0.0),
        economics=EconomicsSettings(),
        power=PowerSettings(),
    )
    assert per_kilowatt_year(bare.margin, bare.billed_power) == pytest.approx(expected, abs=0.005)


def test_hashcost_of_17_5_joules_is_21_dollars() -> None:
    bare = price(rig(reject_ratio=0.0), economics=EconomicsSettings(), power=PowerSettings())
    assert bare.breakeven_hashprice == pytest.approx(21.00)


def test_a_rigs_own_rejects_beat_the_assumed_ones() -> None:
    settings = EconomicsSettings(reject_ratio=0.01)
    assert price(rig(reject_ratio=None), economics=settings).revenue == pytest.approx(6.66 * 0.99)
    assert price(rig(reject_ratio=0.002), economics=settings).revenue == pytest.approx(6.66 * 0.998)
    assert price(rig(reject_ratio=7.0), economics=settings).revenue == pytest.approx(6.66 * 0.99)
    assert price(rig(reject_ratio=1.5), economics=settings).revenue == pytest.approx(6.66 * 0.99)
    assert price(rig(reject_ratio=0.0), economics=settings).revenue == pytest.approx(6.66)


def test_what_a_firmware_hashes_for_its_maker_is_not_paid() -> None:
    settings = EconomicsSettings(pool_fee=0.01, firmware_fees={"LuxOS": 0.028})
    luxos = rig(
        identity=RigIdentity(reader="luxos", make="AntMiner", model="S21", firmware="LuxOS", algorithm="SHA256")
    )
    reporting = replace(luxos, reading=Reading(RigReading(hashrate=200e12, power=3_500.0, firmware_fee=0.05), NOW))
    whole = price(rig(), economics=settings)
    assert whole.revenue is not None
    assert whole.breakeven_hashprice is not None
    for charged, kept in ((price(luxos, economics=settings), 0.972), (price(reporting, economics=settings), 0.95)):
        assert charged.revenue == pytest.approx(whole.revenue * kept)
        assert charged.breakeven_hashprice == pytest.approx(whole.breakeven_hashprice / kept)
    free = rig(identity=RigIdentity(reader="luxos", make="AntMiner", model="S21", firmware="Stock", algorithm="SHA256"))
    assert price(free, economics=settings).revenue == pytest.approx(whole.revenue)


# --- power ----------------------------------------------------------------------------------------------------------


def test_a_meter_beats_the_rig_and_the_rig_beats_the_nameplate() -> None:
    known = price(rig(metered_power=3_400.0, facts=RATED))
    assert (known.power, known.power_source) == (3_400.0, PowerSource.METERED)
    reported = price(rig(facts=RATED))
    assert (reported.power, reported.power_source) == (3_500.0, PowerSource.REPORTED)
    guessed = price(rig(power=None, hashrate=100e12, facts=RATED))
    assert (guessed.power, guessed.power_source) == (1_800.0, PowerSource.NAMEPLATE)
    unknown = price(rig(power=None))
    assert (unknown.power, unknown.power_source, unknown.margin) == (None, None, None)
    assert unknown.revenue is not None


def test_zero_watts_while_hashing_are_no_figure() -> None:
    assert price(rig(metered_power=0.0)).power_source is PowerSource.REPORTED
    assert price(rig(power=0.0)).power_source is None
    assert price(rig(hashrate=0.0, power=0.0)).power == 0.0


def test_the_nameplate_says_nothing_of_a_rig_at_rest() -> None:
    assert price(rig(hashrate=0.0, power=None, facts=RATED)).power is None


def test_a_meter_knows_the_cost_of_a_rig_that_does_not_answer() -> None:
    silent = price(rig(hashrate=None, metered_power=3_500.0))
    assert silent.power_cost is not None
    assert (silent.revenue, silent.margin) == (None, None)


@pytest.mark.parametrize(
    ("point", "factor"),
    [
        (MeteringPoint.RIG, 1.04 * 1.05 / 0.98),
        (MeteringPoint.PDU, 1.05 / 0.98),
        (MeteringPoint.FEEDER, 1 / 0.98),
        (MeteringPoint.UTILITY, 1.0),
    ],
)
def test_only_what_lies_downstream_of_the_meter_is_added(point: MeteringPoint, factor: float) -> None:
    settings = PowerSettings(metered_at=point, calibration=1.04, overhead=1.05, transformer_loss=0.02)
    assert billed_per_watt(PowerSource.METERED, settings) == pytest.approx(factor)
    assert billed_per_watt(PowerSource.REPORTED, settings) == pytest.approx(1.04 * 1.05 / 0.98)
    assert billed_per_watt(PowerSource.NAMEPLATE, settings) == pytest.approx(1.05 / 0.98)


def test_the_band_is_as_wide_as_the_power_source_is_uncertain() -> None:
    settings = PowerSettings(metered_error=0.01, reported_error=0.1, nameplate_error=0.2)
    metered = price(rig(metered_power=3_500.0), power=settings)
    reported = price(rig(), power=settings)
    assert metered.margin is not None
    assert metered.margin_low == pytest.approx(metered.margin - 0.042)
    assert reported.margin is not None
    assert reported.margin_low == pytest.approx(reported.margin - 0.42)
    assert reported.margin_high == pytest.approx(reported.margin + 0.42)


def test_a_demand_charge_spread_over_the_month() -> None:
    (line,) = cost_lines(EconomicsSettings(), PowerSettings(demand_charge_usd_per_kilowatt_month=12, load_factor=0.95))
    assert line.per_kilowatt_hour == pytest.approx(0.01730353, rel=1e-6)


# --- all-in ---------------------------------------------------------------------------------------------------------


def test_no_fixed_costs_no_allin_margin() -> None:
    assert price(rig()).allin_margin is None


def test_the_allin_margin_takes_off_what_does_not_stop() -> None:
    economics = EconomicsSettings(
        pool_fee=0.01,
        hosting_usd_per_kilowatt_month=7.3,
        opex_usd_per_kilowatt_month=3.65,
        credits_usd_per_kilowatt_month=1.46,
        rig_price_usd_per_terahash=14.6,
        rig_life_years=4,
    )
    power = PowerSettings(overhead=1.03, demand_charge_usd_per_kilowatt_month=12, load_factor=0.95)
    priced = price(rig(), economics=economics, power=power)
    assert priced.margin == pytest.approx(2.25421320)
    kwh = 24 * 3.605
    fixed = kwh * (0.01730353 + 0.01 + 0.005 - 0.002) + 200 * 14.6 / (4 * 365)
    assert priced.allin_margin == pytest.approx(2.25421320 - fixed, rel=1e-6)


def test_curtailing_saves_no_demand_charge() -> None:
    power = PowerSettings(demand_charge_usd_per_kilowatt_month=7.3)
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    resting = price(rig(hashrate=0.0, power=20.0, last_good=good), power=power)
    assert resting.allin_margin == pytest.approx(-0.02 * 24 * 0.05 - 3.5 * 24 * 0.01)
    assert price(rig(hashrate=0.0, power=20.0), power=power).allin_margin is None  # its running power is not known


def test_depreciation_alone_makes_an_allin_margin_and_needs_the_rigs_size() -> None:
    economics = EconomicsSettings(pool_fee=0.01, rig_price_usd_per_terahash=14.6, rig_life_years=4)
    priced = price(rig(), economics=economics)
    assert priced.allin_margin == pytest.approx(2.25421320 - 200 * 14.6 / (4 * 365))
    assert price(rig(hashrate=0.0, power=20.0), economics=economics).allin_margin is None  # its size is unknown


def test_all_costs_of_a_day_are_the_bill_the_monthly_costs_and_the_depreciation() -> None:
    """$4.20 for power, $0.84 for hosting, and $2 of depreciation."""
    economics = EconomicsSettings(hosting_usd_per_kilowatt_month=7.3, rig_price_usd_per_terahash=14.6, rig_life_years=4)
    assert price(rig(), economics=economics, power=PowerSettings()).allin_cost == pytest.approx(7.04)
    assert price(rig(), economics=economics, power_price=None).allin_cost is None


def test_a_peak_that_a_tag_stands_for_costs_the_tag_and_not_the_surcharge() -> None:
    """2 cents a kWh for the peak stop with the rig. All costs have the tag instead: $5 a kW and month."""
    tag = OtherCost(name="4CP tag", usd_per_kilowatt_month=5.0, peak_tag=True)
    settings = SiteSettings(tariff="ppa", economics=EconomicsSettings(other_costs=(tag,)))
    pricer = RigPricer(flat_market(), {"ppa": TariffPrice(0.05)}, settings, surcharges={"ppa": 0.02})
    running = pricer.price(rig(reject_ratio=0.0))
    assert (running.margin, running.best_margin) == pytest.approx((0.78, 2.46))
    assert running.allin_margin == pytest.approx(2.46 - 84 * 5 / 730)
    assert running.allin_cost == pytest.approx(4.2 + 84 * 5 / 730)
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    unplugged = pricer.price(rig(hashrate=0.0, power=0.0, last_good=good))
    assert unplugged.allin_margin == pytest.approx(-84 * 5 / 730)


# --- potential ------------------------------------------------------------------------------------------------------

GOOD = LastGood(hashrate=210e12, power=3_600.0, observed_at=NOW - 86_400)


def test_a_rig_that_runs_is_judged_by_what_it_does() -> None:
    priced = price(rig(last_good=GOOD))
    assert priced.potential_margin == priced.margin
    assert priced.potential_power == priced.billed_power
    assert priced.potential_breakeven_power_price == priced.breakeven_power_price


@pytest.mark.parametrize("hashrate", [0.0, None])
def test_a_rig_at_rest_is_judged_by_what_it_did(hashrate: float | None) -> None:
    priced = price(rig(hashrate=hashrate, power=20.0, last_good=GOOD))
    assert priced.potential_margin == price(rig(hashrate=210e12, power=3_600.0)).margin
    assert priced.potential_power == pytest.approx(3_600 * 1.03)


def test_a_rig_that_warms_up_is_judged_by_what_it_does_where_its_rating_has_no_power() -> None:
    priced = price(rig(hashrate=50e12, power=2_000.0, uptime=10, facts={"rated_hashrate": 200e12}))
    assert priced.potential_margin == priced.margin is not None


def test_a_rig_that_warms_up_is_judged_by_what_it_did() -> None:
    good = price(rig(hashrate=210e12, power=3_600.0)).margin
    assert price(rig(hashrate=20e12, uptime=60.0, last_good=GOOD)).potential_margin == good
    assert price(rig(hashrate=20e12, uptime=1_800.0, last_good=GOOD)).potential_margin != good


def test_a_rig_never_seen_is_judged_by_its_nameplate() -> None:
    priced = price(rig(hashrate=None, facts=RATED))
    assert priced.potential_power == pytest.approx(3_600 * 1.03)
    assert priced.potential_power_source is PowerSource.NAMEPLATE
    assert priced.potential_work == pytest.approx(0.2 * 0.998 * 0.99)
    assert price(rig(hashrate=None)).potential_margin is None


def test_the_last_good_power_is_ranked_like_any_other() -> None:
    metered = LastGood(hashrate=210e12, power=3_600.0, observed_at=NOW, metered_power=3_700.0)
    assert price(rig(hashrate=0.0, last_good=metered)).potential_power_source is PowerSource.METERED
    silent = LastGood(hashrate=210e12, power=None, observed_at=NOW)
    named = price(rig(hashrate=0.0, last_good=silent, facts=RATED))
    assert named.potential_power == pytest.approx(3_780 * 1.03)
    assert price(rig(hashrate=0.0, last_good=silent)).potential_margin is None


def test_avoidable_loss_is_a_losing_rig_that_draws_power() -> None:
    losing = LastGood(hashrate=100e12, power=3_250.0, observed_at=NOW)
    running = price(rig(hashrate=100e12, power=3_250.0, last_good=losing))
    assert running.margin is not None
    assert running.avoidable_loss == pytest.approx(-running.margin)
    asleep = price(rig(hashrate=0.0, power=25.0, last_good=losing))
    assert asleep.potential_margin == running.margin
    assert asleep.avoidable_loss == 0.0
    heating = price(rig(hashrate=0.0, power=2_000.0, last_good=losing))
    assert heating.avoidable_loss == running.avoidable_loss
    assert price(rig()).avoidable_loss == 0.0
    assert price(rig(power=None)).avoidable_loss is None


def test_the_loss_of_a_rig_that_does_not_answer_is_unknown_and_not_zero() -> None:
    losing = LastGood(hashrate=100e12, power=3_250.0, observed_at=NOW)
    silent = replace(rig(last_good=losing), reading=None)
    loss = price(rig(hashrate=100e12, power=3_250.0)).avoidable_loss
    assert loss
    assert price(silent).avoidable_loss is None
    assert price(replace(silent, metered_power=3_250.0)).avoidable_loss == pytest.approx(loss, rel=0.1)
    assert price(replace(silent, metered_power=0.0)).avoidable_loss == 0.0
    assert price(replace(silent, expected_mining=False)).avoidable_loss == 0.0
    assert price(rig(hashrate=0.0, power=None, last_good=losing)).avoidable_loss is None


def test_the_resale_price_counts_where_it_is_higher() -> None:
    settings = PowerSettings(resale_tariff="grid")
    assert price(rig(), power=settings, grid=0.09).marginal_price == 0.09
    assert price(rig(), power=settings, grid=0.01).marginal_price == 0.05
    assert price(rig(), power=settings).marginal_price is None
    assert price(rig()).marginal_price == 0.05


def test_only_a_margin_by_the_nameplate_is_in_doubt() -> None:
    """A rating of 3,600 W for 86.4 kWh at $0.05, of which a tenth is in doubt."""
    settings = PowerSettings(nameplate_error=0.1)
    rated = price(rig(power=None, facts=RATED, reject_ratio=0.0), economics=EconomicsSettings(), power=settings)
    assert (rated.opportunity_margin, rated.nameplate_doubt) == pytest.approx((6.66 - 4.32, 0.432))
    assert price(rig(facts=RATED), power=settings).nameplate_doubt == 0.0
    assert price(rig(power=None), power=settings).nameplate_doubt is None


def test_what_pays_best_is_chosen_for_each_share_of_a_rigs_energy() -> None:
    """A quarter at $0.03 earns (6.66 - 2.52) / 4; the rest at $0.10 would lose and is not used."""
    own = {"ppa": TariffOverrides(block_tariff="block", block_kilowatts=1_000)}
    tariffs = {"ppa": TariffPrice(0.10), "block": TariffPrice(0.03)}
    pricer = RigPricer(flat_market(), tariffs, SiteSettings(tariff="ppa", tariffs=own))
    assert pricer.price(rig(reject_ratio=0.0), block_share=0.25).best_margin == pytest.approx(1.035)


def test_the_energy_that_a_rig_does_not_use_brings_what_its_sale_gains() -> None:
    """At rest it leaves 84 - 0.48 kWh, which are bought at $0.05."""
    settings = PowerSettings(resale_tariff="grid")
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    resting = rig(hashrate=0.0, power=20.0, last_good=good)
    assert price(resting, power=settings, grid=0.09).sale_income == pytest.approx(83.52 * 0.04)
    assert price(resting, power=settings, grid=0.01).sale_income == 0.0
    assert price(replace(resting, reading=None), power=settings, grid=0.09).sale_income is None


# --- properties -----------------------------------------------------------------------------------------------------

hashrates = st.floats(1e12, 1e15)
watts = st.floats(10, 20_000)
prices = st.floats(-0.5, 1)
hashprices = st.floats(1, 500)


@given(hashrates, watts, prices, prices)
def test_margin_falls_as_the_power_price_rises(hashrate: float, power: float, one: float, other: float) -> None:
    cheap, dear = (price(rig(hashrate=hashrate, power=power), power_price=p).margin for p in sorted((one, other)))
    assert cheap is not None
    assert dear is not None
    assert cheap >= dear


@given(hashrates, watts, prices, hashprices)
def test_margin_is_revenue_less_power_cost(hashrate: float, power: float, at: float, hashprice: float) -> None:
    priced = price(rig(hashrate=hashrate, power=power), power_price=at, at=flat_market(hashprice))
    assert priced.revenue is not None
    assert priced.power_cost is not None
    assert priced.margin == priced.revenue - priced.power_cost
    assert priced.margin_low is not None
    assert priced.margin_high is not None
    assert priced.margin_low <= priced.margin <= priced.margin_high


@given(hashrates, watts, st.floats(0.001, 1))
def test_at_each_breakeven_the_margin_is_zero(hashrate: float, power: float, at: float) -> None:
    snapshot = rig(hashrate=hashrate, power=power)
    priced = price(snapshot, power_price=at)
    scale = pytest.approx(0.0, abs=1e-9 * (priced.revenue or 0) + 1e-9 * (priced.power_cost or 0))
    assert price(snapshot, power_price=priced.breakeven_power_price).margin == scale
    assert priced.breakeven_hashprice is not None
    assert price(snapshot, power_price=at, at=flat_market(priced.breakeven_hashprice)).margin == scale
    assert priced.breakeven_bitcoin_price is not None
    per_bitcoin = HASHPRICE / 70_370
    assert price(snapshot, power_price=at, at=flat_market(per_bitcoin * priced.breakeven_bitcoin_price)).margin == scale


@given(st.sampled_from(["hashrate", "power", "power_price", "hashprice"]))
def test_a_missing_input_gives_no_margin(missing: str) -> None:
    priced = price(
        rig(hashrate=None if missing == "hashrate" else 200e12, power=None if missing == "power" else 3_500.0),
        power_price=None if missing == "power_price" else 0.05,
        at=MarketEconomics() if missing == "hashprice" else flat_market(),
        power=AIR_COOLED,
    )
    assert priced.margin is None
    assert priced.margin_low is None
    assert priced.margin_per_kwh is None
    assert priced.forward_margin is None


# --- terms of one tariff -------------------------------------------------------------------------------------------


SITE_POWER = PowerSettings(overhead=1.03, demand_charge_usd_per_kilowatt_month=12, load_factor=0.95)
SITE_COSTS = EconomicsSettings(pool_fee=0.01, hosting_usd_per_kilowatt_month=20, credits_usd_per_kilowatt_month=3)


def test_a_tariff_has_its_own_charges_and_the_rest_from_the_site() -> None:
    own = TariffOverrides(demand_charge_usd_per_kilowatt_month=4, hosting_usd_per_kilowatt_month=0)
    priced = price(rig(), economics=SITE_COSTS, power=SITE_POWER, own=own)
    assert priced.margin is not None
    kwh = 24 * 3.5 * 1.03
    fixed = kwh * (4 / (730 * 0.95) + (0 - 3) / 730)
    assert priced.allin_margin == pytest.approx(priced.margin - fixed)
    assert priced.margin == price(rig(), economics=SITE_COSTS, power=SITE_POWER).margin


def test_rigs_on_two_feeders_are_billed_as_each_is_metered() -> None:
    own = TariffOverrides(metered_at=MeteringPoint.FEEDER, transformer_loss=0.02, overhead=1.1)
    metered = rig(metered_power=3_600.0)
    assert price(metered, power=SITE_POWER).billed_power == pytest.approx(3_600 * 1.03)
    assert price(metered, power=SITE_POWER, own=own).billed_power == pytest.approx(3_600 / 0.98)
    assert price(rig(), power=SITE_POWER, own=own).billed_power == pytest.approx(3_500 * 1.1 / 0.98)


def test_power_of_one_tariff_can_be_sold_and_that_of_another_not() -> None:
    can = TariffOverrides(resale_tariff="grid")
    assert price(rig(), own=can, grid=0.09).marginal_price == 0.09
    assert price(rig(), own=can).marginal_price is None  # not known, so no verdict comes of it
    sold = PowerSettings(resale_tariff="grid")
    assert price(rig(), power=sold, own=TariffOverrides(resale_tariff="ppa"), grid=0.09).marginal_price == 0.05


@given(st.sampled_from(sorted(TariffOverrides.model_fields)))
def test_what_a_tariff_leaves_out_is_the_sites(said: str) -> None:
    site = SiteSettings(
        economics=SITE_COSTS, power=SITE_POWER, tariffs={"own": TariffOverrides(), "other": TariffOverrides()}
    )
    assert site.at("own") == site.at("none such") == (SITE_COSTS, SITE_POWER)
    homes = [settings for settings in (EconomicsSettings, PowerSettings) if said in settings.model_fields]
    assert homes
    for settings in homes:
        assert TariffOverrides.model_fields[said].metadata == settings.model_fields[said].metadata


@pytest.mark.parametrize(
    ("settings", "said", "message"),
    [
        (TariffOverrides, {"overhead": 0.95}, "1 to 2"),
        (EconomicsSettings, {"pool_fee": 1}, "0 to 0.08"),  # one per cent is 0.01
        (EconomicsSettings, {"pool_fee": 2, "accept_implausible": True}, "cannot be"),
        (PowerSettings, {"overhead": 0.95}, "1 to 2"),
        (PowerSettings, {"transformer_loss": 2}, "cannot be"),
        (PowerSettings, {"demand_charge_usd_per_kilowatt_month": 1_200}, "0 to 50 USD per kW and month"),
    ],
)
def test_implausible_terms_are_refused(settings: type[PlausibleSettings], said: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**said)
