"""Booking a block's hours: as the hours go by, the history is what it would be if it were made anew."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from exporter.decision.history import (
    HOSTED,
    BlockHistory,
    Curve,
    Day,
    Hosted,
    Moment,
    Rules,
    book,
    restored,
    step_of,
    watched,
    window_of,
    with_hours,
)
from exporter.economics.hosting import ContractSettings
from exporter.economics.settings import (
    EconomicsSettings,
    OtherCost,
    PowerSettings,
    SiteSettings,
    StopsWith,
    TariffOverrides,
)

HOUR = 3_600.0


def moment(at: int) -> Moment:
    return Moment(40.0 + at, {"ppa": (0.05, None)}, {("ppa", 175): (1.0, 17.5)})


@pytest.mark.parametrize("skipped", [0, 30])
def test_hours_that_go_by_are_kept_as_if_the_history_were_made_anew(skipped: int) -> None:
    window = 30 * HOUR
    history = BlockHistory()
    hours = [at for at in range(5, 100) if not 40 <= at < 40 + skipped]
    for at in hours:
        history = book(history, moment(at), at * HOUR + 60, 60.0, window)
        before = list(history.hours)
        anew = with_hours(BlockHistory(), before[:-1], before[-1], HOUR, 31)
        assert history == anew
        assert [hour.hour / HOUR for hour in before] == [each for each in hours if each <= at][-31:]


def test_as_many_hours_are_kept_as_are_asked_for_and_a_day_that_did_not_change_keeps_its_curve() -> None:
    hours = [moment(at).hour(at * HOUR, HOUR) for at in (22, 23, 24, 25)]
    history = with_hours(BlockHistory(), hours[:3], None, HOUR, 24)
    later = with_hours(history, hours, None, HOUR, 24)
    assert later.days[0] is history.days[0]
    assert [hour.hour / HOUR for hour in later.hours] == [22, 23, 24, 25]
    assert [hour.hour / HOUR for hour in with_hours(history, hours, None, HOUR, 2).hours] == [24, 25]
    assert [hour.hour / HOUR for hour in with_hours(history, hours[:3], hours[3], HOUR, 2).hours] == [24, 25]
    assert [hour.hour / HOUR for hour in with_hours(history, hours[:3], hours[3], HOUR, 1).hours] == [25]


def test_what_is_booked_in_one_hour_adds_up_at_mean_prices() -> None:
    """15 s of 1.5 PH/s at 32.5 kW, then 30 s of 3 PH/s at 65 kW: four fifths of the work and of the energy."""
    first = Moment(40.0, {"ppa": (0.05, 0.02)}, {("ppa", 175): (1.0, 17.5), ("ppa", 300): (0.5, 15.0)})
    second = Moment(60.0, {"ppa": (0.08, 0.04)}, {("ppa", 175): (2.0, 35.0), ("ppa", 300): (1.0, 30.0)})
    history = book(BlockHistory(), first, 5 * HOUR + 15, 15.0, 30 * HOUR)
    (hour,) = book(history, second, 5 * HOUR + 45, 30.0, 30 * HOUR).hours
    assert (hour.hour, hour.seconds, hour.recorded) == (5 * HOUR, 45.0, False)
    assert hour.payout == pytest.approx(56.0)
    (tariff,) = hour.tariffs
    assert (tariff.price, tariff.sale) == pytest.approx((0.074, 0.036))
    assert list(tariff.steps) == [175, 300]
    assert list(tariff.work) == pytest.approx([75 / 86_400, 37.5 / 86_400])
    assert list(tariff.kwh) == pytest.approx([17.5 * 75 / HOUR, 15 * 75 / HOUR])


@pytest.mark.parametrize("sales", [(0.02, None), (None, 0.02)])
def test_a_sale_price_that_was_known_for_a_part_of_an_hour_is_not_known(sales: tuple[float | None, ...]) -> None:
    history = BlockHistory()
    for sale in sales:
        once = Moment(40.0, {"ppa": (0.05, sale)}, {("ppa", 175): (1.0, 17.5)})
        history = book(history, once, 5 * HOUR + 60, 60.0, 30 * HOUR)
    (hour,) = history.hours
    assert [(each.price, each.sale) for each in hour.tariffs] == [(0.05, None)]


def test_a_tariff_that_is_no_longer_used_keeps_its_prices_of_the_hour() -> None:
    history = BlockHistory()
    for tariff, price in (("a", 0.05), ("b", 0.07)):
        once = Moment(40.0, {tariff: (price, price / 2)}, {(tariff, 175): (1.0, 17.5)})
        history = book(history, once, 5 * HOUR + 60, 60.0, 30 * HOUR)
    (hour,) = history.hours
    assert [(each.tariff, each.price, each.sale) for each in hour.tariffs] == [("a", 0.05, 0.025), ("b", 0.07, 0.035)]


def test_a_clock_that_goes_back_goes_on_with_the_hour_that_it_shows() -> None:
    window = 30 * HOUR
    history = BlockHistory()
    for at in range(5, 40):
        history = book(history, moment(at), at * HOUR + 60, 60.0, window)
    again = list(book(history, moment(38), 38 * HOUR + 120, 90.0, window).hours)
    assert [hour.hour / HOUR for hour in again] == [*range(9, 38), 39, 38]
    assert again[-1].seconds == 150.0
    forgotten = book(history, moment(2), 2 * HOUR + 60, 60.0, window)
    assert [hour.hour / HOUR for hour in forgotten.hours] == [*range(10, 40), 2]


def test_an_hour_of_a_backfill_stays_one_when_more_is_booked_in_it() -> None:
    history = restored([replace(moment(5).hour(5 * HOUR, 1_800.0), recorded=True)])
    (hour,) = book(history, moment(5), 6 * HOUR - 60, 60.0, 30 * HOUR).hours
    assert (hour.seconds, hour.recorded) == (1_860.0, True)


def test_only_the_time_between_looks_that_were_close_is_watched() -> None:
    assert watched(None, 100.0, 60.0) == 0.0
    assert watched(100.0, 100.5, 60.0) == 0.5
    assert watched(100.0, 160.0, 60.0) == 60.0
    assert watched(100.0, 160.5, 60.0) == 0.0
    assert watched(100.0, 99.0, 60.0) == 0.0


def test_packed_hours_read_back_as_they_were() -> None:
    hosted = Moment(40.0, {"a": (0.05, None), "b": (0.06, 0.02)}, {("a", 175): (1.0, 17.5), ("b", 300): (0.25, 7.5)})
    hours = [hosted.hour(0.0, 1_800.0), replace(moment(1).hour(HOUR, HOUR), recorded=True), moment(2).hour(7.0, 0.0)]
    read = Day.of(hours).hours
    assert Day.of(read) == Day.of(hours)
    assert [replace(hour, tariffs=()) for hour in read] == [replace(hour, tariffs=()) for hour in hours]
    for one, other in zip(read, hours, strict=True):
        assert [(each.tariff, each.price, each.sale, each.steps) for each in one.tariffs] == [
            (each.tariff, each.price, each.sale, each.steps) for each in other.tariffs
        ]
        for packed, whole in zip(one.tariffs, other.tariffs, strict=True):
            assert list(packed.kwh) == pytest.approx(list(whole.kwh), rel=1e-7)
            assert list(packed.work) == pytest.approx(list(whole.work), rel=1e-7)


def test_kept_hours_are_restored_in_order_by_days() -> None:
    hours = [moment(at).hour(at * HOUR, HOUR) for at in (30, 23, 5, 24)]
    history = restored(hours)
    assert [[hour.hour / HOUR for hour in day.hours] for day in history.days] == [[5, 23], [24, 30]]
    assert list(history.hours) == list(Day.of(sorted(hours, key=lambda hour: hour.hour)).hours)
    assert history.open is None


FEE = OtherCost(name="fee", usd_per_kilowatt_month=7.3, stops_with=StopsWith.RIG)
"""1 cent per kWh."""


@pytest.mark.parametrize(
    ("own", "sale", "cost", "floor", "breakeven"),
    [
        ({}, None, 0.05, 0.0, 0.05),
        ({"other_costs": (FEE,)}, None, 0.06, 0.0, 0.06),
        ({"take_or_pay": True}, None, 0.05, -0.05, 0.0),
        ({"take_or_pay": True, "other_costs": (FEE,)}, None, 0.06, -0.05, 0.01),
        ({"resale_tariff": "grid"}, 0.07, 0.05, 0.02, 0.07),
        ({"resale_tariff": "grid"}, 0.03, 0.05, 0.0, 0.05),  # it is not bought
        ({"resale_tariff": "grid", "take_or_pay": True}, 0.03, 0.05, -0.02, 0.03),
    ],
)
def test_the_curve_of_an_hour_is_by_hand(
    own: dict[str, Any], sale: float | None, cost: float, floor: float, breakeven: float
) -> None:
    """An hour of 1 PH/s at 17.5 kW, and of 7.5 kW that hashes nothing. Costs are per kWh."""
    rules = Rules(SiteSettings(tariff="ppa", tariffs={"ppa": TariffOverrides(**own)}), 0.0)
    groups = {("ppa", -1): (0.0, 7.5), ("ppa", 175): (1.0, 17.5)}
    curve = Curve.of([Moment(40.0, {"ppa": (0.05, sale)}, groups).hour(0.0, HOUR)], rules)
    assert (curve.seconds, curve.revenue, curve.cost) == pytest.approx((HOUR, 40 / 24, cost * 25))
    assert curve.floor == pytest.approx(floor * 25)
    assert list(curve.breakevens) == pytest.approx([breakeven * 17.5 * 24])
    for payout in (-1.0, breakeven * 17.5 * 24 + 1, 40.0):
        mining = max(payout / 24 - breakeven * 17.5, 0.0)
        assert curve.at(payout) == pytest.approx(floor * 25 + mining)
    assert curve.margin == pytest.approx(curve.at(40.0))


def test_an_hour_in_which_the_price_of_a_sale_was_not_known_is_left_out() -> None:
    rules = Rules(SiteSettings(tariff="ppa", tariffs={"grid": TariffOverrides(resale_tariff="spot")}), 0.0)
    prices = {"ppa": (0.05, None), "grid": (0.05, None)}
    both = Moment(40.0, prices, {("grid", 175): (1.0, 17.5), ("ppa", 175): (1.0, 17.5)})
    alone = moment(0).hour(HOUR, HOUR)
    assert Curve.of([both.hour(0.0, HOUR)], rules).seconds == 0.0
    assert Curve.of([both.hour(0.0, HOUR), alone], rules) == Curve.of([alone], rules)


@pytest.mark.parametrize("may_stop", [True, False])
def test_the_curve_of_a_hosted_hour_is_the_hosts(*, may_stop: bool) -> None:
    """The customer pays $0.08 and half of 1 PH/s, and mines above 2 x 1.40 x 24; the host pays $0.05."""
    terms = ContractSettings.model_validate(
        {"timezone": "UTC", "usd_per_kilowatt_hour": 0.08, "revenue_share": 0.5, "host_may_curtail": may_stop}
        | {"curtailment_credit_share": 0.5, "uptime": {"measure": "sla", "promised": 0.98}}
    )
    rules = Rules(SiteSettings(tariff="ppa", contracts={"c": terms}), 0.0)
    hour = Moment(80.0, {HOSTED + "c": (0.05, 0.08)}, {(HOSTED + "c", 175): (1.0, 17.5)}).hour(0.0, HOUR)
    curve = Curve.of([hour], rules)
    assert curve.revenue == pytest.approx(0.08 * 17.5 + 0.5 * 80 / 24)
    assert curve.cost == pytest.approx(0.05 * 17.5)
    assert curve.margin == pytest.approx(0.03 * 17.5 + 0.5 * 80 / 24)
    assert curve.at(67.0) == 0.0
    assert curve.at(68.0) == pytest.approx(0.03 * 17.5 + 0.5 * 68 / 24)


def test_the_rule_of_a_tariff_follows_its_settings_of_the_day() -> None:
    """What is owed ends with the day; a tariff is not sold at itself, nor is the power of a hosted rig."""
    own = TariffOverrides(take_or_pay=True, take_or_pay_until=date(1970, 1, 1), resale_tariff="grid")
    terms = ContractSettings.model_validate(
        {"timezone": "UTC", "usd_per_kilowatt_hour": 0.08, "curtailment_credit_share": 0.5}
        | {"uptime": {"measure": "sla", "promised": 0.98}}
    )
    itself = TariffOverrides(resale_tariff="grid")
    settings = SiteSettings(tariff="ppa", tariffs={"ppa": own, "grid": itself}, contracts={"c": terms})
    for now, owed in ((86_399.0, True), (86_400.0, False)):
        rules = Rules(settings, now)
        assert [rules[name].owed for name in ("ppa", "grid", HOSTED + "c")] == [owed, False, owed]
        assert [rules[name].sellable for name in ("ppa", "grid", HOSTED + "c")] == [True, False, False]


def test_in_a_hosted_hour_the_host_also_pays_for_owed_energy_and_what_stops_with_the_rig() -> None:
    """Two groups of 1 PH/s at 17.5 and 20 kW: the customer pays $0.08, the host $0.05 whatever he uses, and $0.01."""
    terms = ContractSettings.model_validate(
        {"timezone": "UTC", "usd_per_kilowatt_hour": 0.08, "revenue_share": 0.5}
        | {"curtailment_credit_share": 0.5, "uptime": {"measure": "sla", "promised": 0.98}}
    )
    settings = SiteSettings(
        tariff="ppa",
        contracts={"c": terms},
        economics=EconomicsSettings(other_costs=(FEE,)),
        power=PowerSettings(take_or_pay=True),
    )
    groups = {(HOSTED + "c", 175): (1.0, 17.5), (HOSTED + "c", 200): (1.0, 20.0)}
    hour = Moment(80.0, {HOSTED + "c": (0.05, 0.08)}, groups).hour(0.0, HOUR)
    curve = Curve.of([hour], Rules(settings, 0.0))
    assert curve.revenue == pytest.approx(0.08 * 37.5 + 80 / 24)
    assert curve.cost == pytest.approx(0.06 * 37.5)
    assert curve.floor == pytest.approx(-0.05 * 37.5)
    assert curve.margin == pytest.approx(0.02 * 37.5 + 80 / 24)
    assert curve.at(10.0) == pytest.approx(-0.05 * 37.5)
    assert curve.at(80.0) == pytest.approx(curve.margin)
    idle = Curve.of([Moment(60.0, {HOSTED + "c": (0.05, 0.08)}, groups).hour(0.0, HOUR)], Rules(settings, 0.0))
    assert idle.margin == pytest.approx(-0.05 * 37.5)  # the customer stands still


def test_own_rigs_count_beside_hosted_ones_and_hours_without_hosted_ones_can_be_left_out() -> None:
    terms = ContractSettings.model_validate(
        {"timezone": "UTC", "usd_per_kilowatt_hour": 0.08, "revenue_share": 0.5}
        | {"curtailment_credit_share": 0.5, "uptime": {"measure": "sla", "promised": 0.98}}
    )
    settings = SiteSettings(tariff="ppa", contracts={"c": terms})
    groups = {(HOSTED + "c", 175): (1.0, 17.5), ("ppa", 175): (1.0, 17.5)}
    both = Moment(80.0, {HOSTED + "c": (0.05, 0.08), "ppa": (0.05, None)}, groups).hour(HOUR, HOUR)
    own = 80 / 24 - 0.05 * 17.5
    assert Curve.of([both], Rules(settings, 0.0)).margin == pytest.approx(0.03 * 17.5 + 0.5 * 80 / 24 + own)
    hosted = Rules(settings, 0.0, only_hosted=True)
    assert Curve.of([moment(0).hour(0.0, HOUR), both], hosted) == Curve.of([both], hosted)


def test_an_hour_whose_power_costs_more_than_it_earns_has_no_margin() -> None:
    dear = Moment(10.0, {"ppa": (0.05, None)}, {("ppa", 175): (1.0, 17.5)}).hour(0.0, HOUR)
    assert Curve.of([dear], Rules(SiteSettings(tariff="ppa"), 0.0)).margin == 0.0


def test_nothing_is_booked_of_an_unknown_moment_or_without_time() -> None:
    assert book(BlockHistory(), None, 5 * HOUR, 60.0, 30 * HOUR) == BlockHistory()
    assert book(BlockHistory(), moment(5), 5 * HOUR, 0.0, 30 * HOUR) == BlockHistory()


def test_a_window_takes_the_hours_that_begin_in_it() -> None:
    rules = Rules(SiteSettings(tariff="ppa"), 0.0)
    history = BlockHistory()
    for at in range(5, 60):
        history = book(history, moment(at), at * HOUR + 60, 900.0, 72 * HOUR)
    seen = window_of(history, rules, 40 * HOUR, 3 * HOUR)
    assert seen.seconds == 4 * 900.0  # 37 to 40
    margins = [(40 + at) / 24 - 0.05 * 17.5 for at in (37, 38, 39, 40)]
    assert seen.margin_per_year() == pytest.approx(sum(margins) / 4 * 8_760)
    assert seen.margin_per_year(48.0) == pytest.approx((48 / 24 - 0.05 * 17.5) * 8_760)
    assert seen.revenue_per_year == pytest.approx(sum(40 + at for at in (37, 38, 39, 40)) / 24 / 4 * 8_760)
    assert seen.cost_per_year == pytest.approx(0.05 * 17.5 * 8_760)
    assert window_of(history, rules, 59 * HOUR, 3 * HOUR).seconds == 4 * 900.0  # with the open hour
    assert window_of(history, rules, 58.9 * HOUR, 3 * HOUR).seconds == 3 * 900.0
    nothing = window_of(history, rules, 4 * HOUR, 3 * HOUR)
    assert (nothing.margin_per_year(), nothing.revenue_per_year, nothing.cost_per_year) == (None, None, None)


@pytest.mark.parametrize(
    ("hosted", "charge", "cost", "work", "kinks"),
    [
        (Hosted(0.5), 20.0, 30.0, 10.0, ((4.0, 10 / 4e-6 + 5), (4 + 4e-6, -10 / 4e-6))),  # it jumps to 10 - 20 + 20
        (Hosted(0.5, may_stop=True), 20.0, 30.0, 10.0, ((4.0, 10 / 4e-6 + 5), (4 + 4e-6, -10 / 4e-6))),
        (Hosted(0.5, may_stop=True), 20.0, 45.0, 10.0, ((5.0, 5.0),)),  # where the customer starts, the host would lose
        (Hosted(0.05, may_stop=True), 9.5, 10.5, 10.0, ((2.0, 0.5),)),
        (Hosted(0.0, may_stop=True), 9.5, 10.0, 10.0, ()),  # the host loses at any payout
        (Hosted(1.0), 0.0, 2.0, 10.0, ((0.0, -2 / 1e-6 + 10), (1e-6, 2 / 1e-6))),  # the customer mines for nothing
        (Hosted(1.0), 1.0, 2.0, 10.0, ()),  # he never mines
        (Hosted(0.5), 0.0, 5.0, 0.0, ()),
    ],
)
def test_the_hosts_margin_begins_where_the_customer_mines(
    hosted: Hosted, charge: float, cost: float, work: float, kinks: tuple[tuple[float, float], ...]
) -> None:
    found = hosted.kinks(charge, cost, work)
    assert len(found) == len(kinks)
    for one, other in zip(found, kinks, strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def test_what_is_new_in_a_history_is_what_was_booked_since() -> None:
    window = 60 * HOUR
    history = written = BlockHistory()
    for at in range(5, 90):
        for minute in (10, 50):
            history = book(history, moment(at), at * HOUR + minute * 60, 60.0, window)
            new = [hour.hour / HOUR for hour in history.since(written)]
            assert new == ([at] if minute == 50 or at == 5 else [at - 1, at])  # the hour that is over is packed
            assert list(history.since(history)) == []
            written = history


@pytest.mark.parametrize(
    ("work", "kilowatts", "step"), [(1.0, 17.5, 175), (0.0, 17.5, -1), (1e-310, 3.5, 1_000_000), (1.0, 0.0, 0)]
)
def test_rigs_are_grouped_by_tenths_of_a_joule_per_terahash(work: float, kilowatts: float, step: int) -> None:
    assert step_of(work, kilowatts) == step
