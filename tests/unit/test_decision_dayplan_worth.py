"""A plan as a timetable, and what following it was worth."""

from dataclasses import replace
from typing import Any

import pytest
from day_plans import HOUR, capped, tiny
from sites import NOW, SITE, decided, rig, site
from test_decision_dayplan_question import SETTING, day_ahead, found, hosted_rig, under

from exporter.decision.dayplan.answer import answer
from exporter.decision.dayplan.problem import Plan
from exporter.decision.dayplan.question import Setting
from exporter.decision.dayplan.solve import solve
from exporter.decision.dayplan.timetable import NextChange, Timetable
from exporter.decision.dayplan.worth import Money, Worth, booked
from exporter.decision.settings import DecisionSettings, RestartSettings
from exporter.decision.values import RigDecision, Verdict
from exporter.economics.site import price_site
from exporter.model.snapshot import RigSnapshot, SiteSnapshot

BILLED = 3.5 * 1.03  # kW of a rig at the billing meter


def at(hour: float) -> Timetable:
    return Timetable(plan=solve(tiny()), now=hour * HOUR)  # A: 2 1 0 0 1 1, B: 2 2 0 0 2 2


def test_the_timetable_of_the_worked_case() -> None:
    now = at(0.5)
    assert (now.slot, now.in_force("A")) == (0, (307_000.0, (("A", "full"),)))
    assert list(now.points("A")) == ["full"]
    assert list(at(2.5).points("A")) == ["off"]
    assert now.next_change("A") == NextChange(HOUR, 190_000.0)
    assert at(1.5).next_change("B") == NextChange(2 * HOUR, 0.0)
    assert at(4.0).next_change("A") is None
    assert now.site_watts == {0: 657e3, 1: 540e3, 2: 0, 3: 0, 4: 540e3, 5: 540e3}
    slots = list(at(4.5).slots)
    assert [slot.start for slot, _, _ in slots] == [4 * HOUR, 5 * HOUR]
    assert slots[0][1] == pytest.approx(0.065)
    assert slots[0][2]["B"].watts == 350_000.0


def test_blocks_of_several_groups_show_each_point_once_and_off_only_if_all_is_off() -> None:
    problem = tiny()
    one = replace(problem, groups=tuple(replace(group, block="A") for group in problem.groups))
    plan = solve(one)
    assert Timetable(plan=plan, now=0.0).in_force("A") == (657_000.0, (("A", "full"), ("B", "full")))
    assert list(Timetable(plan=plan, now=0.0).points("A")) == ["full"]
    low = solve(replace(one, limits=(capped({0: 350.0}),)))
    assert list(Timetable(plan=low, now=0.0).points("A")) == ["full"]
    assert list(Timetable(plan=low, now=2 * HOUR).points("A")) == ["off"]


def test_a_plan_that_is_over_has_nothing_in_force() -> None:
    over = at(6.0)
    assert (over.slot, over.in_force("A"), over.next_change("A"), over.site_watts) == (None, None, None, {})
    assert (list(over.points("A")), list(over.slots)) == ([], [])
    assert (at(0.0).in_force("C"), at(0.0).next_change("C")) == (None, None)


def test_groups_that_draw_nothing_have_no_mean_price() -> None:
    problem = tiny()
    idle = tuple(replace(group, points=group.points[:1], now=0) for group in problem.groups)
    plan = solve(replace(problem, groups=idle))
    assert [mean for _, mean, _ in Timetable(plan=plan, now=0.0).slots] == [None] * 6


# --- worth ----------------------------------------------------------------------------------------------------------

STARTS = Setting(
    site_settings=SITE, decision=DecisionSettings(restart=RestartSettings(usd=0.1), longest_gap="1h"), plan=SETTING.plan
)


def hour(number: float, *rigs: RigSnapshot, price: float = 0.03) -> SiteSnapshot:
    prices = day_ahead(price, 0.03, 0.30, 0.03)
    return site(*(rigs or (rig(),)), taken_at=NOW + number * HOUR, tariffs={"ppa": replace(prices, price=price)})


def book(before: Worth, plan: Plan | None, known: SiteSnapshot, verdict: Verdict | None = Verdict.MINE) -> Worth:
    economics = price_site(known, SITE)
    decision = decided(known, economics)
    decision = replace(decision, rigs=tuple(each._replace(verdict=verdict) for each in decision.rigs))
    return booked(before, plan, known, economics, decision, STARTS)


def test_the_plan_the_verdicts_and_what_was_done_are_booked_apart() -> None:
    plan = answer(found(hour(0), STARTS))
    (choices,) = plan.choices
    assert choices[:3] == (1, 1, 0)
    worth = book(Worth(), plan, hour(0))
    assert worth.today == Money()
    running = price_site(hour(0), SITE).rigs[0].margin
    assert running is not None
    worth = book(worth, plan, hour(1))
    assert worth.today == pytest.approx(Money(*[running / 24] * 3))
    dear = book(worth, plan, hour(2, price=0.30))
    lost = price_site(hour(2, price=0.30), SITE).rigs[0].margin
    assert lost is not None
    assert lost < 0
    assert dear.today.plan == pytest.approx(running / 24)  # off
    assert dear.today.done == pytest.approx((running + lost) / 24)
    stopped = book(worth, plan, hour(2, price=0.30), Verdict.CURTAIL)
    assert stopped.today.verdict == pytest.approx(running / 24)
    started = book(stopped, plan, hour(3))
    assert started.today.plan == pytest.approx(2 * running / 24 - 0.1)
    assert started.today.verdict == pytest.approx(2 * running / 24 - 0.1)
    assert started.today.done == pytest.approx((2 * running + lost) / 24)


def sleepy(watts: float, power: float, block: str = "north") -> RigSnapshot:
    """A rig of so many watts at 17.5 J/TH, that draws ``power``: it hashes, or sleeps at less."""
    facts = {"rated_hashrate": watts / 17.5e-12, "rated_power": watts}
    return rig(hashrate=facts["rated_hashrate"] if power == watts else 0.0, power=power, block=block, facts=facts)


def test_a_start_costs_each_policy_that_was_off_also_at_the_first_evaluation() -> None:
    """A rig of 350 W sleeps at first, while its power is dear."""
    awake, asleep = sleepy(350.0, 350.0), sleepy(350.0, 0.0)
    plan = replace(answer(found(hour(0, awake), STARTS)), choices=((1, 1, 0, 1),))
    first = book(Worth(), plan, hour(2, asleep, price=0.30), Verdict.CURTAIL)
    assert first.today == Money()
    running = price_site(hour(3, awake), SITE).rigs[0].margin
    assert running is not None
    assert book(first, plan, hour(3, awake)).today == pytest.approx(Money(*[running / 24 - 0.1] * 3))
    paused = book(book(first, None, hour(2.5, asleep)), plan, hour(3, awake))
    assert paused.today == pytest.approx(Money(*[running / 48] * 3))  # it is not known what was on meanwhile


def test_a_rig_that_sleeps_earns_and_costs_nothing() -> None:
    plan = answer(found(hour(0), STARTS))
    asleep = sleepy(3_500.0, 0.0)
    worth = book(book(Worth(), plan, hour(0, asleep)), plan, hour(1, asleep))
    assert worth.today.done == pytest.approx(0, abs=1e-12)
    assert worth.today.plan > 0


def test_an_hour_belongs_to_the_slot_that_begins_with_it() -> None:
    plan = answer(found(hour(0), STARTS))
    (dear,) = [slot.start for slot, choice in zip(plan.problem.slots, plan.choices[0], strict=True) if not choice]
    before = Worth(at=dear - 60, today=Money(1.0, 1.0, 1.0))
    worth = book(before, plan, replace(hour(2, price=0.30), taken_at=dear))
    assert worth.today.plan == 1.0  # off
    assert worth.today.done < 1.0


@pytest.mark.parametrize(("stopped", "rigs", "runs"), [(1, 3, True), (1, 2, False), (2, 3, False), (0, 1, True)])
def test_a_group_runs_by_the_verdicts_if_most_of_its_rigs_do(stopped: int, rigs: int, *, runs: bool) -> None:
    known = hour(0, *[rig(name=f"r{number}") for number in range(rigs)])
    plan = answer(found(known, STARTS))
    economics = price_site(known, SITE)
    verdicts = [Verdict.CURTAIL] * stopped + [Verdict.MINE] * (rigs - stopped)
    decision = replace(decided(known, economics), rigs=tuple(RigDecision(verdict=each) for each in verdicts))
    (running,) = booked(Worth(), plan, known, economics, decision, STARTS).running.values()
    assert running.verdict is runs


def test_a_group_that_is_not_known_costs_no_other_its_booking() -> None:
    rigs = (rig(), rig(name="b-01", block="south"))
    plan = answer(found(hour(0, *rigs), STARTS))
    known = hour(1, rig(hashrate=None), rigs[1])
    worth = book(book(Worth(), plan, hour(0, *rigs)), plan, known)
    running = price_site(known, SITE).rigs[1].margin
    assert running is not None
    assert worth.today.done == pytest.approx(running / 24)


def test_a_new_day_begins_at_midnight_utc_and_a_lost_day_is_unknown() -> None:
    plan = answer(found(hour(0), STARTS))
    midnight = (NOW // 86_400 + 1) * 86_400
    evening = replace(Worth(), at=midnight - 60, today=Money(3.0, 2.0, 1.0))
    assert book(evening, plan, replace(hour(0), taken_at=midnight + 60)).yesterday == Money(3.0, 2.0, 1.0)
    assert book(evening, plan, replace(hour(0), taken_at=midnight)).today == Money()
    later = book(evening, plan, replace(hour(0), taken_at=midnight + 86_400))
    assert (later.today, later.yesterday) == (Money(), None)


def test_nothing_is_booked_without_a_plan_over_a_gap_or_for_rigs_that_are_unknown() -> None:
    plan = answer(found(hour(0), STARTS))
    first = book(Worth(), plan, hour(0))
    pause = book(first, None, hour(1))
    assert pause.today == Money()
    assert book(pause, plan, hour(2)).today.done > 0  # the hour since
    assert book(first, plan, hour(2)).today == Money()  # longer than is watched
    assert book(first, plan, hour(1, rig(hashrate=None))).today == Money()
    assert book(first, plan, replace(hour(1), network=None)).today == Money()


@pytest.mark.parametrize(
    ("charges", "kwh_price", "share"),
    [
        ({"usd_per_kilowatt_hour": 0.0515, "revenue_share": 0.1}, 0.05, 0.9),
        ({"usd_per_kilowatt_hour": 0.0515, "revenue_share": 0.1, "host_may_curtail": True}, 0.03 - 0.05, 0.1),
        ({"usd_per_kilowatt_hour": 0.0515, "pool_fee": 0.208}, 0.05, 0.8),
    ],
    ids=["the customer decides", "the host decides", "four fifths of what the site's pool pays"],
)
def test_hosted_hours_are_booked_for_the_one_who_decides(
    charges: dict[str, Any], kwh_price: float, share: float
) -> None:
    setting = replace(STARTS, site_settings=under(**charges).site_settings)
    plan = answer(found(hour(0, hosted_rig()), setting))
    worth = Worth()
    for number in (0, 1):
        known = hour(number, hosted_rig())
        economics = price_site(known, setting.site_settings)
        decision = replace(decided(known, economics), rigs=(RigDecision(verdict=Verdict.MINE),))
        worth = booked(worth, plan, known, economics, decision, setting)
    own = price_site(hour(1), SITE).rigs[0]
    assert own.revenue is not None
    expected = share * own.revenue - BILLED * 24 * kwh_price
    assert worth.today == pytest.approx(Money(*[expected / 24] * 3))
    unknown = replace(economics, rigs=(economics.rigs[0]._replace(judged_price=None),))
    assert booked(worth, plan, known, unknown, decision, setting).today == worth.today  # no rig is planned then
