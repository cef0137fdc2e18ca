"""Recorded hours: the floor before the sum, what is left out, and that measured hours win."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import HASHPRICE, NOW

from exporter.decision.backfill import RecordedHour, RecordedRig, missing_hours, recorded_hours, with_recorded
from exporter.decision.history import BlockHistory, BlockHour, MarginHistory, Moment, Rules, book, window_of
from exporter.economics.settings import EconomicsSettings, PowerSettings, SiteSettings, StopsWith, TariffOverrides

HOUR = 3_600.0
DAY = 24 * HOUR
WINDOW = 28 * DAY
CURRENT = NOW - NOW % HOUR
SITE = SiteSettings(tariff="ppa")


def recorded(*rigs: RecordedRig, hour: float = CURRENT - HOUR, **changes: Any) -> RecordedHour:
    return replace(RecordedHour(hour=hour, payout=HASHPRICE, rigs=rigs, prices={"ppa": 0.05}), **changes)


def by_margin(efficiency: float, kilowatts: float = 1.0, price: float = 0.05, tariff: str = "ppa") -> RecordedRig:
    """A rig of so many J/TH, known by its power and its potential margin."""
    margin = HASHPRICE * kilowatts / efficiency - price * kilowatts * 24
    return RecordedRig(tariff, kilowatts, margin=margin)


def recovered(one: RecordedHour, site: SiteSettings = SITE, coverage: float = 0.8) -> BlockHour | None:
    return next(recorded_hours([one], site, coverage), None)


def margin_per_year(hour: BlockHour, site: SiteSettings = SITE, payout: float | None = None) -> float | None:
    history = with_recorded(MarginHistory(), {"north": [hour]}, NOW, WINDOW).blocks["north"]
    return window_of(history, Rules(site, NOW), NOW, WINDOW).margin_per_year(payout)


def test_the_floor_stands_per_rig_before_the_sum() -> None:
    hour = recovered(recorded(by_margin(17.5, 0.5), by_margin(35.0, 0.5)))
    assert hour is not None
    assert hour.recorded
    assert margin_per_year(hour) == pytest.approx(128.2714, abs=5e-5)


def test_a_recorded_margin_and_the_work_behind_it_are_the_same_hour() -> None:
    by_work = recovered(recorded(RecordedRig("ppa", 1.0, work=1 / 17.5)))
    assert by_work is not None
    derived = recovered(recorded(by_margin(17.5)))
    assert derived is not None
    for payout in (None, HASHPRICE * 1.1):
        assert margin_per_year(derived, payout=payout) == pytest.approx(margin_per_year(by_work, payout=payout))


def test_costs_that_stop_with_the_rig_are_in_a_recorded_margin() -> None:
    site = replace(
        SITE,
        economics=EconomicsSettings(opex_usd_per_kilowatt_month=7.3, stops_with={"opex": StopsWith.RIG}),
    )
    rig = by_margin(17.5, price=0.06)  # $7.30 a month are a cent per kWh
    hour = recovered(recorded(rig), site)
    assert hour is not None
    assert margin_per_year(hour, site) == pytest.approx((HASHPRICE / 17.5 - 0.06 * 24) * 365)


def test_rigs_that_were_not_recorded_count_like_the_best() -> None:
    hour = recovered(recorded(*[by_margin(17.5, 2.0)] * 7, by_margin(29.5, 2.0), fleet=10))
    assert hour is not None
    best, worse = HASHPRICE / 17.5 - 1.2, max(HASHPRICE / 29.5 - 1.2, 0.0)
    assert margin_per_year(hour) == pytest.approx((18 * best + 2 * worse) * 365)
    nothing = RecordedRig("ppa", 2.0)
    same = recovered(recorded(nothing, nothing, *[by_margin(17.5, 2.0)] * 7, by_margin(29.5, 2.0)))
    assert same == hour
    assert recovered(recorded(*[by_margin(17.5)] * 7, fleet=10)) is None
    assert recovered(recorded(fleet=10)) is None


def test_the_best_rig_is_the_one_that_earns_most_per_kilowatt_at_its_own_price() -> None:
    """At $0.08 17.5 J/TH lose money; at $0.03 25 J/TH earn $0.612 a kW and day."""
    prices = {"ppa": 0.08, "spot": 0.03}
    rigs = (by_margin(17.5, 10.0, 0.08), by_margin(25.0, 1.0, 0.03, "spot"))
    hour = recovered(recorded(*rigs, prices=prices, fleet=3), coverage=0.6)
    assert hour is not None
    assert margin_per_year(hour) == pytest.approx((1.0 + 11.0 / 2) * (HASHPRICE / 25 - 0.72) * 365)


def test_an_hour_of_a_low_hashprice_is_known() -> None:
    assert recovered(recorded(RecordedRig("ppa", 1.0, work=1 / 17.5), payout=0.5)) is not None


@pytest.mark.parametrize(
    ("one", "site"),
    [
        (recorded(by_margin(17.5), payout=0.0), SITE),
        (recorded(by_margin(17.5), prices={}), SITE),
        (recorded(RecordedRig("ppa", 0.0, margin=1.0)), SITE),
        (recorded(RecordedRig("ppa", 1.0)), SITE),
        (recorded(RecordedRig("ppa", 1e308, work=1e308), RecordedRig("ppa", 1e308, work=1e308)), SITE),
        (recorded(by_margin(17.5)), replace(SITE, power=PowerSettings(resale_tariff="grid"))),
        (recorded(by_margin(17.5)), replace(SITE, power=PowerSettings(take_or_pay=True))),
        (recorded(by_margin(17.5)), replace(SITE, power=PowerSettings(block_tariff="base", block_kilowatts=500))),
    ],
    ids=["no hashprice", "no price", "no power", "no margin", "overflow", "no sale price", "owed", "block and index"],
)
def test_an_hour_that_is_not_known_is_absent(one: RecordedHour, site: SiteSettings) -> None:
    assert recovered(one, site) is None


def test_energy_that_can_be_sold_counts_where_its_price_was_recorded() -> None:
    site = replace(SITE, power=PowerSettings(resale_tariff="grid"), tariffs={"grid": TariffOverrides()})
    hour = recovered(recorded(by_margin(17.5), sales={"ppa": 0.2}), site)
    assert hour is not None
    assert margin_per_year(hour, site) == pytest.approx(0.15 * 8_760)


def test_energy_that_is_bought_where_it_could_be_sold_is_not_sold() -> None:
    site = replace(SITE, power=PowerSettings(resale_tariff="ppa"), tariffs={"ppa": TariffOverrides()})
    assert recovered(recorded(by_margin(17.5)), site) is not None


def test_what_a_tariff_has_of_its_own_counts() -> None:
    site = replace(SITE, tariffs={"owed": TariffOverrides(take_or_pay=True)})
    prices = {"ppa": 0.05, "owed": 0.05}
    assert recovered(recorded(by_margin(17.5), prices=prices), site) is not None
    assert recovered(recorded(by_margin(17.5, tariff="owed"), prices=prices), site) is None


def test_owed_energy_counts_where_its_work_was_recorded() -> None:
    site = replace(SITE, power=PowerSettings(take_or_pay=True))
    hour = recovered(recorded(RecordedRig("ppa", 1.0, work=1 / 17.5)), site)
    assert hour is not None
    assert margin_per_year(hour, site) == pytest.approx((HASHPRICE / 17.5 - 1.2) * 365)


def measured(hour: float, seconds: float = HOUR) -> BlockHistory:
    moment = Moment(1.0, {"ppa": (0.05, None)}, {("ppa", 175): (1.0, 17.5)})
    return book(BlockHistory(), moment, hour + 1, seconds, WINDOW)


def test_measured_hours_win_and_the_open_one_stays() -> None:
    past = book(measured(CURRENT - HOUR), Moment(1.0, {}, {("ppa", 175): (1.0, 17.5)}), NOW, 15, WINDOW)
    hours = [hour for back in range(3) if (hour := recovered(recorded(by_margin(17.5), hour=CURRENT - back * HOUR)))]
    filled = with_recorded(MarginHistory(blocks={"north": past}), {"north": hours}, NOW, WINDOW).blocks["north"]
    assert [(hour.hour, hour.recorded) for hour in filled.hours] == [
        (CURRENT - 2 * HOUR, True),
        (CURRENT - HOUR, False),
        (CURRENT, False),
    ]
    assert filled.open is past.open
    again = with_recorded(MarginHistory(blocks={"north": filled}), {"north": hours}, NOW, WINDOW)
    assert again.blocks["north"] is filled


@pytest.mark.parametrize(("seconds", "replaced"), [(600.0, True), (3_240.0, False)])
def test_an_hour_that_was_measured_in_part_is_filled(seconds: float, *, replaced: bool) -> None:
    past = measured(CURRENT - HOUR, seconds)
    hour = recovered(recorded(by_margin(17.5), hour=CURRENT - HOUR))
    assert hour is not None
    shorter = replace(hour, seconds=300.0)
    as_long = replace(hour, seconds=seconds)
    for one, expected in ((hour, replaced), (shorter, False), (as_long, False)):
        filled = with_recorded(MarginHistory(blocks={"north": past}), {"north": [one]}, NOW, WINDOW).blocks["north"]
        assert [each.recorded for each in filled.hours] == [expected]


def test_hours_outside_the_window_are_neither_wanted_nor_kept() -> None:
    wanted = missing_hours(measured(CURRENT - HOUR), NOW, 2 * DAY)
    assert len(wanted) == 47
    assert (wanted[0], wanted[-1]) == (CURRENT - 2 * DAY, CURRENT - 2 * HOUR)
    assert missing_hours(BlockHistory(), NOW, HOUR) == []  # its rows are shorter than an hour
    old = recovered(recorded(by_margin(17.5), hour=CURRENT - 3 * DAY))
    assert old is not None
    assert with_recorded(MarginHistory(), {"north": [old]}, NOW, 2 * DAY).blocks == {}


def test_a_whole_window_of_recorded_hours_is_kept_beside_the_open_one() -> None:
    past = BlockHistory()
    for back in (50, 49, 0):
        past = book(past, Moment(1.0, {}, {("ppa", 175): (1.0, 17.5)}), CURRENT - back * HOUR + 1, HOUR, WINDOW)
    hours = [hour for back in range(60) if (hour := recovered(recorded(by_margin(17.5), hour=CURRENT - back * HOUR)))]
    filled = with_recorded(MarginHistory(blocks={"north": past}), {"north": hours}, NOW, 2 * DAY).blocks["north"]
    assert [(CURRENT - hour.hour) / HOUR for hour in filled.hours] == list(range(48, -1, -1))


@given(st.lists(st.tuples(st.floats(10, 60), st.floats(0.1, 10)), min_size=1, max_size=8), st.floats(0.0, 0.2))
def test_an_hour_lies_between_the_floor_of_the_sum_and_the_sum_of_floors(
    fleet: list[tuple[float, float]], price: float
) -> None:
    rigs = [by_margin(efficiency, kilowatts, price) for efficiency, kilowatts in fleet]
    hour = recovered(recorded(*rigs, prices={"ppa": price}))
    assert hour is not None
    margin = margin_per_year(hour)
    margins = [(rig.margin or 0.0) * 365 for rig in rigs]
    assert margin is not None
    rounding = 1e-6 * sum(rig.kilowatts for rig in rigs) * 8_760  # work and energy have single precision
    assert max(sum(margins), 0.0) - rounding <= margin <= sum(max(each, 0.0) for each in margins) + rounding
