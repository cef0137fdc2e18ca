"""What a plan is asked: the rigs, hours and limits of an evaluation, and when the plan in force goes on."""

import random
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from operating_points import curve
from sites import NOW, SITE, decided, rig, site
from test_economics_books import contract

from exporter.decision.dayplan.answer import answer
from exporter.decision.dayplan.points import planned_points
from exporter.decision.dayplan.problem import OFF, OperatingPoint
from exporter.decision.dayplan.question import (
    GroupKey,
    Question,
    Rigs,
    Setting,
    Standing,
    point_now,
    question,
    standings,
)
from exporter.decision.dayplan.settings import DayPlanSettings
from exporter.decision.setpoints import NO_SETPOINTS, Setpoint, SiteSetpoints
from exporter.decision.settings import DecisionSettings, RestartSettings
from exporter.decision.values import Verdict
from exporter.economics.points import Curve
from exporter.economics.site import price_site
from exporter.model.fleet import Block
from exporter.model.obligations import Obligation, ObligationKind, SiteObligations
from exporter.model.readings import PriceSlot, RigIdentity
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice

HOUR = 3_600.0
HOUR_BEGAN = NOW - NOW % HOUR
BILLED = 3.5 * 1.03  # kW of a rig at the billing meter
SETTING = Setting(site_settings=SITE, decision=DecisionSettings(), plan=DayPlanSettings())


def day_ahead(*prices: float) -> TariffPrice:
    slots = tuple(
        PriceSlot(HOUR_BEGAN + number * HOUR, HOUR_BEGAN + (number + 1) * HOUR, price)
        for number, price in enumerate(prices)
    )
    return TariffPrice(prices[0], prices[1], ahead=slots)


def hours(*rigs: RigSnapshot, prices: tuple[float, ...] = (0.03, 0.03, 0.30, 0.03), **changes: Any) -> SiteSnapshot:
    return site(*rigs, **({"tariffs": {"ppa": day_ahead(*prices)}} | changes))


def asked(snapshot: SiteSnapshot, setting: Setting = SETTING, verdict: Verdict | None = None) -> Question | None:
    economics = price_site(snapshot, setting.site_settings)
    decision = decided(snapshot, economics)
    if verdict is not None:
        decision = replace(decision, rigs=tuple(each._replace(verdict=verdict) for each in decision.rigs))
    return question(snapshot, economics, decision, setting)


def found(snapshot: SiteSnapshot, setting: Setting = SETTING) -> Question:
    question = asked(snapshot, setting)
    assert question is not None
    return question


def test_rigs_of_a_model_are_one_group_and_the_hours_end_with_the_known_prices() -> None:
    model = RigIdentity(reader="antminer", make="Bitmain", model="Antminer S21", firmware="stock", algorithm="SHA256")
    asked = found(hours(rig(identity=model), rig(name="a-02", identity=model), rig(name="a-03")))
    problem = asked.problem
    assert (problem.asked_at, asked.hold_back_share) == (NOW, DayPlanSettings().hold_back_share)
    assert [(group.block, group.name) for group in problem.groups] == [
        ("north", "Antminer S21 / ppa / on"),
        ("north", "18 J/TH / ppa / on"),
    ]
    pair = problem.groups[0]
    assert [point.name for point in pair.points] == [OFF, "on"]
    assert pair.points[1].kilowatts == pytest.approx(2 * BILLED)
    assert pair.points[1].work == pytest.approx(0.4 * 0.99 * 0.998)
    assert (pair.now, pair.since, pair.min_on, pair.min_off) == (1, inf, HOUR, HOUR / 2)
    assert problem.slots[0].start == NOW
    assert problem.slots[-1].end == HOUR_BEGAN + 4 * HOUR
    assert [slot.start for slot in problem.slots[1:]] == [HOUR_BEGAN + number * HOUR for number in (1, 2, 3)]
    assert problem.groups[0].prices == (0.03, 0.03, 0.30, 0.03)
    assert problem.energy is None
    assert problem.limits == ()


def test_a_fixed_price_is_planned_up_to_the_horizon() -> None:
    fixed = TariffPrice(0.05, ahead=(PriceSlot(NOW - HOUR, NOW + 47 * HOUR, 0.05),))
    problem = found(hours(rig(), tariffs={"ppa": fixed})).problem
    assert problem.slots[-1].end == NOW + 36 * HOUR
    assert max(slot.hours for slot in problem.slots) <= 1
    later = found(
        hours(rig(), tariffs={"ppa": fixed}), replace(SETTING, plan=DayPlanSettings(horizon="48h", interval="5m"))
    ).problem
    assert later.slots[-1].end == NOW + 47 * HOUR


def test_prices_that_are_known_for_two_hours_are_enough() -> None:
    assert found(hours(rig(), prices=(0.03, 0.03), taken_at=HOUR_BEGAN)).problem.slots[-1].end == HOUR_BEGAN + 2 * HOUR


@pytest.mark.parametrize(
    "snapshot",
    [
        hours(rig(), network=None),
        hours(rig(), tariffs={"ppa": TariffPrice(0.05)}),
        hours(rig(), tariffs={"ppa": day_ahead(0.03, 0.03)}),
        hours(rig(hashrate=None)),
        hours(rig(), tariffs={}),
        hours(rig(), obligations=SiteObligations(unknown=(("north",),))),
    ],
    ids=[
        "no hashprice",
        "no price ahead",
        "less than two hours ahead",
        "nothing known of the rig",
        "no price",
        "obligations",
    ],
)
def test_nothing_is_asked_while_what_it_needs_is_unknown(snapshot: SiteSnapshot) -> None:
    assert asked(snapshot) is None


def test_what_needs_a_repair_is_not_planned() -> None:
    assert asked(hours(rig()), verdict=Verdict.REPAIR) is None


def test_what_is_left_out_is_counted_and_its_power_takes_room() -> None:
    others = [replace(each, rig=replace(each.rig, tariff="spot")) for each in (rig(name="b-01"), rig(name="b-02"))]
    snapshot = hours(
        rig(),
        *others,
        rig(name="b-03", power=None),
        tariffs={"ppa": day_ahead(0.03, 0.03, 0.3, 0.03), "spot": TariffPrice(0.05)},
        blocks=(Block(name="north", capacity_watts=10_000.0),),
    )
    cap = Obligation(kind=ObligationKind.CAP, start=NOW, end=NOW + HOUR, cap=9_000.0)
    award = Obligation(kind=ObligationKind.AWARD, start=NOW, end=NOW + HOUR, floor=8_000.0)
    asked = found(snapshot, replace(SETTING, obligations=(cap, award)))
    assert asked.left_out == 3
    capacity, site_cap, floor = asked.problem.limits
    assert (capacity.reason, capacity.groups) == ("capacity of north", (0,))
    assert capacity.caps == pytest.approx([10.0 - 2 * BILLED] * 5)
    assert site_cap.reason == "cap"
    assert site_cap.caps[0] == pytest.approx(9.0 - 2 * BILLED)
    assert site_cap.caps[-1] == inf
    assert floor.floors == pytest.approx((8.0 - 2 * BILLED, 8.0 - 2 * BILLED, 0, 0, 0))


def test_a_capacity_limits_the_blocks_that_could_exceed_it() -> None:
    blocks = (
        Block(name="empty", capacity_watts=1.0),
        Block(name="roomy", capacity_watts=BILLED * 1_000 + 500),
        Block(name="south", capacity_watts=5_000.0),
    )
    rigs = (rig(block="roomy"), rig(name="b-01", block="south"), rig(name="b-02", block="south"))
    (limit,) = found(hours(*rigs, blocks=blocks)).problem.limits
    assert (limit.reason, limit.groups, set(limit.caps)) == ("capacity of south", (1,), {5.0})


def test_obligations_are_limits_of_their_blocks_and_hours() -> None:
    snapshot = hours(rig(), rig(name="b-01", block="south"))
    award = Obligation(kind=ObligationKind.AWARD, start=HOUR_BEGAN + HOUR, end=HOUR_BEGAN + 2 * HOUR, floor=3_000.0)
    obligations = (
        Obligation(kind=ObligationKind.CALL, start=NOW, level=2),
        Obligation(kind=ObligationKind.CAP, start=NOW, cap=1.0, blocks=("elsewhere",)),
        Obligation(kind=ObligationKind.CAP, start=NOW + 90 * HOUR, cap=1.0),
        Obligation(kind=ObligationKind.CALL, start=NOW, cap=0.0, blocks=("south",), reason="event 7"),
        award,
    )
    call, floor = found(snapshot, replace(SETTING, obligations=obligations)).problem.limits
    assert (call.reason, call.groups, set(call.caps)) == ("event 7", (1,), {0.0})
    assert (floor.reason, floor.groups) == ("award", (0, 1))
    assert floor.floors == (0.0, 3.0, 0.0, 0.0)


def test_the_time_is_divided_where_a_limit_a_surcharge_or_the_hashprice_changes() -> None:
    peak = PriceSlot(HOUR_BEGAN + 1.5 * HOUR, HOUR_BEGAN + 1.75 * HOUR, 2.0)
    problem = found(hours(rig(), surcharges={"ppa": (peak,)})).problem
    prices = dict(zip([slot.start for slot in problem.slots], problem.groups[0].prices, strict=True))
    assert prices[peak.start] == pytest.approx(2.03)
    assert prices[peak.end] == pytest.approx(0.03)


def test_the_hashprice_after_a_known_retarget_is_used_from_then_on() -> None:
    snapshot = hours(rig())
    economics = price_site(snapshot, SITE)
    decision = decided(snapshot, economics)
    market = replace(economics.market, retarget_time=HOUR_BEGAN + 1.5 * HOUR, forward_payout_usd=20.0)
    soon = question(snapshot, replace(economics, market=market), decision, SETTING)
    assert soon is not None
    assert len(set(soon.problem.hashprices)) == 2
    assert soon.problem.hashprices[-1] == 20.0
    assert [slot.start for slot in soon.problem.slots[1:]] == [HOUR_BEGAN + each * HOUR for each in (1, 1.5, 2, 3)]
    unsure = replace(market, retarget_confident=False)
    later = question(snapshot, replace(economics, market=unsure), decision, SETTING)
    assert later is not None
    assert set(later.problem.hashprices) == {market.payout_usd}
    assert len(later.problem.slots) == 4


@pytest.mark.parametrize(("retarget", "goes_on"), [(4.0, False), (4.5, True)])
def test_what_is_earned_after_the_last_hour_decides_whether_rigs_should_run_then(
    retarget: float, *, goes_on: bool
) -> None:
    snapshot = hours(rig(), prices=(0.03,) * 4)
    economics = price_site(snapshot, SITE)
    market = replace(economics.market, retarget_time=HOUR_BEGAN + retarget * HOUR, forward_payout_usd=1.0)
    asked = question(snapshot, replace(economics, market=market), decided(snapshot, economics), SETTING)
    assert asked is not None
    assert set(asked.problem.hashprices) == {market.payout_usd}
    assert asked.problem.groups[0].on_afterwards is goes_on


def test_starts_changes_and_the_energy_of_a_day_come_from_the_settings() -> None:
    setting = Setting(
        site_settings=SITE,
        decision=DecisionSettings(restart=RestartSettings(usd=2.0, minutes=30.0)),
        plan=DayPlanSettings(change_usd_per_rig=0.5, energy_kilowatt_hours_per_day=48.0),
    )
    problem = found(hours(rig(), rig(name="a-02")), setting).problem
    lost = 2 * 0.2 * 0.99 * 0.998 * problem.hashprices[0] / 48  # half an hour of both
    assert (problem.groups[0].start_cost, problem.groups[0].change_cost) == (pytest.approx(4.0 + lost), 1.0)
    assert problem.energy == pytest.approx(2.0 * sum(slot.hours for slot in problem.slots))


def test_rigs_with_operating_points_are_planned_at_the_one_that_they_draw() -> None:
    points = (
        OperatingPoint(name="low", work=0.15, kilowatts=2.5),
        OperatingPoint(name="full", work=0.2, kilowatts=3.6),
    )
    setting = replace(SETTING, points={"a-01": points})
    group = found(hours(rig()), setting).problem.groups[0]
    assert [point.name for point in group.points] == [OFF, "low", "full"]
    assert group.name == "18 J/TH / ppa / low, full"
    assert group.now == 2
    assert found(hours(rig(power=2_400.0)), setting).problem.groups[0].now == 1
    asleep = rig(hashrate=0.0, power=20.0, facts={"rated_hashrate": 200e12, "rated_power": 3_500.0})
    assert found(hours(asleep), setting).problem.groups[0].now == 0
    single = found(hours(rig()), replace(SETTING, points={"a-01": points[:1]})).problem.groups[0]
    assert [point.name for point in single.points] == [OFF, "on"]


@pytest.mark.parametrize(("drawn", "point"), [(1.0, 0), (1.25, 1), (3.0, 1), (3.1, 2)])
def test_a_group_runs_from_half_of_its_least_power_on(drawn: float, point: int) -> None:
    points = tuple(OperatingPoint(name=f"{each}", work=0.1, kilowatts=each) for each in (2.5, 3.6))
    rigs = Rigs((0,), "ppa", points, drawn=drawn, running=3.6, work=0.2, number=1, charge=0.0)
    assert point_now(rigs) == point


def test_rigs_of_one_model_do_not_share_their_sets_of_points_with_another() -> None:
    models = {name: RigIdentity(reader="x", make="y", model=name, algorithm="SHA256") for name in ("A", "B")}
    rigs = [rig(name=f"{model} {number}", identity=models[model]) for model in models for number in range(2)]
    points = {
        each.rig.name: tuple(OperatingPoint(name=f"{each.rig.name} {n}", work=0.1, kilowatts=n) for n in (1, 2))
        for each in rigs
    }
    groups = found(hours(*rigs), replace(SETTING, points=points)).problem.groups
    assert [len(group.points) for group in groups] == [3] * 4


def test_rigs_whose_points_are_named_like_no_others_are_planned_as_on_or_off() -> None:
    def own(name: str) -> tuple[OperatingPoint, ...]:
        return tuple(OperatingPoint(name=f"{name} {step}", work=0.1 * step, kilowatts=1.5 * step) for step in (1, 2))

    rigs = [rig(name=f"r{number}") for number in range(12)]
    points = {f"r{number}": own("common" if 4 < number < 9 else f"{number}") for number in range(12)}
    points["r11"] = own("11")[:1]  # a single point is no choice
    groups = found(hours(*rigs), replace(SETTING, points=points)).problem.groups
    assert len(groups) == 4
    assert [len(group.points) for group in groups] == [3, 3, 2, 3]
    assert groups[2].points[1].kilowatts == pytest.approx(6 * BILLED)
    assert groups[3].points[1].kilowatts == pytest.approx(4 * 1.5)


def test_the_points_of_a_rig_are_those_on_the_hull_of_its_curve() -> None:
    known = curve((("low", 100.0, 2_000.0), ("wasteful", 120.0, 2_700.0), ("full", 140.0, 3_300.0)))
    setpoint = Setpoint(value=30.0 / 1e15)
    snapshot = hours(rig(), rig(name="a-02"), rig(name="a-03"))
    setpoints = SiteSetpoints(curves=(known, known, Curve()), rigs=(setpoint, None, setpoint))
    found = planned_points(snapshot, setpoints, 40.0)
    assert list(found) == ["a-01"]
    assert [point.name for point in found["a-01"]] == [each.name for each in known.hull]
    assert found["a-01"][0].work == pytest.approx(0.1 * 30 / 40)
    assert found["a-01"][0].kilowatts == pytest.approx(known.hull[0].kwh / 24)
    assert planned_points(snapshot, setpoints, 0.5)["a-01"][0].work == pytest.approx(0.1 * 30 / 0.5)
    assert planned_points(snapshot, NO_SETPOINTS, 40.0) == planned_points(snapshot, setpoints, 0.0) == {}


def test_of_many_points_a_few_are_planned() -> None:
    known = curve([(str(each), 100.0 + 10 * each, 2_000.0 + 250 * each + 10 * each**2) for each in range(12)])
    found = planned_points(hours(rig()), SiteSetpoints(curves=(known,), rigs=(Setpoint(value=1e-13),)), 40.0)["a-01"]
    names = [each.name for each in known.hull]
    assert [point.name for point in found] == [
        names[round(share * (len(names) - 1))] for share in (0, 0.25, 0.5, 0.75, 1)
    ]


def test_a_group_is_as_it_is_since_it_was_first_seen_so() -> None:
    group = found(hours(rig())).problem.groups[0]
    key = GroupKey(group.block, group.name)
    first = standings({}, [group], NOW)
    assert first == {key: Standing(True, -inf)}
    assert standings(first, [group], NOW + 60) == first
    stopped = standings(first, [replace(group, now=0)], NOW + 60)
    assert stopped == {key: Standing(False, NOW + 60)}
    running = {key: Standing(True, NOW - 600)}
    assert found(hours(rig()), replace(SETTING, standings=running)).problem.groups[0].since == 600
    assert found(hours(rig()), replace(SETTING, standings=stopped)).problem.groups[0].since == inf
    asleep = rig(hashrate=0.0, power=20.0, facts={"rated_hashrate": 200e12, "rated_power": 3_500.0})
    off = {key: Standing(False, NOW - 600)}
    assert found(hours(asleep), replace(SETTING, standings=off)).problem.groups[0].since == 600


def test_the_end_of_the_known_prices_is_no_reason_to_stop() -> None:
    assert found(hours(rig(), prices=(0.03, 0.03, 0.1))).problem.groups[0].on_afterwards
    assert not found(hours(rig(), prices=(0.3, 0.3, 0.3))).problem.groups[0].on_afterwards
    day = found(hours(rig(), prices=(100, 100, *[0.03] * 24))).problem  # the last 24 hours count
    assert day.groups[0].on_afterwards


# --- the plan in force ----------------------------------------------------------------------------------------------


def test_a_plan_stops_in_the_dear_hour() -> None:
    plan = answer(found(hours(rig())))
    assert plan.choices == ((1, 1, 0, 1),)
    assert plan.value == plan.bound


def test_the_plan_in_force_goes_on_while_a_new_one_is_hardly_better() -> None:
    before = answer(found(hours(rig(), prices=(0.03, 0.03, 0.09, 0.03))))
    assert before.choices == ((1, 1, 0, 1),)
    nearly = found(hours(rig(), prices=(0.03, 0.03, 0.0719, 0.03, 0.03)))
    fresh = answer(nearly)
    assert fresh.choices == ((1, 1, 1, 1, 1),)
    held = answer(replace(nearly, before=before, hold_back_share=0.05))
    assert held.choices == ((1, 1, 0, 1, 1),)  # prolonged to the new end
    assert held.value < fresh.value <= held.bound
    assert answer(replace(nearly, before=before, hold_back_share=0.0)).choices == fresh.choices


def test_of_two_plans_that_earn_the_same_the_one_in_force_goes_on() -> None:
    """A cap leaves power for one of two rigs that are alike."""
    cap = Obligation(kind=ObligationKind.CAP, start=NOW, cap=4_000.0)
    rigs = (rig(), rig(name="b-01", block="south"))
    asked = found(hours(*rigs, prices=(0.03,) * 3), replace(SETTING, obligations=(cap,)))
    fresh = answer(asked)
    assert sorted(fresh.choices) == [(0, 0, 0), (1, 1, 1)]
    swapped = replace(fresh, choices=fresh.choices[::-1])
    assert answer(replace(asked, before=swapped, hold_back_share=0.0)).choices == swapped.choices


def test_a_storm_of_price_updates_does_not_flap_the_plan() -> None:
    """Prices tremble by two per cent, in two hours about the breakeven: planned anew 40 times."""
    rng, share = random.Random(18), DayPlanSettings().hold_back_share
    (breakeven,) = [each.potential_breakeven_power_price for each in price_site(hours(rig()), SITE).rigs]
    assert breakeven is not None
    day = [0.03] * 8 + [breakeven, 0.30, breakeven] + [0.03] * 8
    storm = [tuple(price * rng.uniform(0.98, 1.02) for price in day) for _ in range(40)]
    updates = [found(hours(rig(), prices=prices)) for prices in storm]
    assert len({answer(each).choices for each in updates}) > 1
    before, followed = answer(updates[0]), set()
    for each in updates:
        before = answer(replace(each, before=before, hold_back_share=share))
        followed.add(before.choices)
    assert len(followed) == 1
    dear = found(hours(rig(), prices=(*day[:4], *[0.30] * 4, *day[8:])))
    real = answer(replace(dear, before=before, hold_back_share=share))
    assert real.choices[0][3:9] == (1, 0, 0, 0, 0, 0)  # a real change counts at once


def test_the_plan_in_force_ends_where_a_limit_forbids_it_or_the_fleet_changes() -> None:
    before = answer(found(hours(rig())))
    cap = Obligation(kind=ObligationKind.CAP, start=HOUR_BEGAN + HOUR, end=HOUR_BEGAN + 2 * HOUR, cap=0.0)
    capped = found(hours(rig()), replace(SETTING, obligations=(cap,)))
    assert answer(replace(capped, before=before, hold_back_share=1.0)).choices == ((1, 0, 0, 1),)
    grown = found(hours(rig(), rig(name="b-01", block="south")))
    assert len(answer(replace(grown, before=before, hold_back_share=1.0)).choices) == 2


@pytest.mark.parametrize(
    "settings",
    [{"horizon": "1h"}, {"horizon": "3d"}, {"interval": "1s"}, {"interval": "2h"}, {"min_on": "-1h"}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must be from|duration"):
        DayPlanSettings.model_validate(settings)


# --- hosted rigs -----------------------------------------------------------------------------------------------------


def hosted_rig(**facts: Any) -> RigSnapshot:
    made = rig()
    facts = {"customer": "acme", "contract": "c", "rated_power": 3_500.0} | facts
    return replace(made, rig=replace(made.rig, **facts))


def under(**charges: Any) -> Setting:
    return replace(SETTING, site_settings=replace(SITE, contracts={"c": contract(**charges)}))


def test_a_customers_hours_cost_his_rate_whatever_the_hosts_power_costs() -> None:
    (group,) = found(hours(hosted_rig()), under(usd_per_kilowatt_hour=0.072, revenue_share=0.1)).problem.groups
    assert group.prices == pytest.approx([0.072 / 1.03] * len(group.prices))  # he pays for what is drawn at the rig
    assert group.points[1].kilowatts == pytest.approx(BILLED)
    assert group.points[1].work == pytest.approx(0.9 * 0.2 * 0.99 * 0.998)
    assert "/ c /" in group.name
    both = [hosted_rig(), replace(hosted_rig(), rig=replace(hosted_rig().rig, name="a-02"))]
    (pair,) = found(hours(*both), under(usd_per_kilowatt_hour=0.072, revenue_share=0.1)).problem.groups
    assert pair.prices == pytest.approx(group.prices)


def test_the_hours_of_a_rig_that_the_host_may_stop_cost_him_his_power_less_his_rate() -> None:
    charges = {"usd_per_kilowatt_hour": 0.0721, "host_may_curtail": True}
    points = tuple(OperatingPoint(name=f"{each}", work=0.1, kilowatts=each) for each in (1.5, 3.6))
    (group,) = found(hours(hosted_rig()), replace(under(**charges), points={"a-01": points})).problem.groups
    assert group.name == "18 J/TH / c / on"  # at which point it runs, the customer decides
    assert group.prices == pytest.approx([0.03 - 0.07, 0.03 - 0.07, 0.30 - 0.07, 0.03 - 0.07])
    assert group.points[1].work == 0.0  # the coins are the customer's


def test_a_price_that_is_passed_through_is_not_planned() -> None:
    asked = found(hours(hosted_rig(), rig(name="b-01")), under(usd_per_kilowatt_hour=None, pass_through=True))
    assert asked.left_out == 1
    assert all("/ ppa /" in group.name for group in asked.problem.groups)


def test_a_constant_rate_alone_is_planned_to_the_horizon() -> None:
    problem = found(hours(hosted_rig(), prices=(0.03, 0.03)), under(usd_per_kilowatt_hour=0.072)).problem
    assert problem.slots[-1].end == NOW + 36 * HOUR


def test_energy_by_the_nameplate_is_planned_as_on_or_off() -> None:
    points = {
        "a-01": (
            OperatingPoint(name="low", work=0.1, kilowatts=1.5),
            OperatingPoint(name="high", work=0.2, kilowatts=3.6),
        )
    }
    for energy, names in (("metered", [OFF, "low", "high"]), ("nameplate", [OFF, "on"])):
        setting = replace(under(usd_per_kilowatt_hour=0.072, energy=energy), points=points)
        (group,) = found(hours(hosted_rig()), setting).problem.groups
        assert [point.name for point in group.points] == names
