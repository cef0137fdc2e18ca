"""Curtailment: known prices act at their boundary, a start costs, and following is never far behind hindsight."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from math import inf

import histories
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import NOW, SITE, replace_tariff, rig, site

from exporter.decision.curtailment import (
    Course,
    Load,
    Slot,
    avoided,
    follow,
    marginal_price,
    mean_ahead,
    motion_of,
    restart_cost,
    slots_ahead,
)
from exporter.decision.history import MarginHistory
from exporter.decision.latch import OFF, Latch
from exporter.decision.price_motion import PriceMotion, Swing
from exporter.decision.settings import DecisionSettings, RestartSettings
from exporter.decision.site import decide
from exporter.decision.values import DecisionState
from exporter.economics.settings import EconomicsSettings, OtherCost, SiteSettings, StopsWith, TariffOverrides
from exporter.economics.site import price_site
from exporter.model.fleet import Block
from exporter.model.readings import PriceSlot
from exporter.model.snapshot import SiteSnapshot, TariffPrice
from exporter.tools.replay import MarketPoint

HOUR = 3_600.0
REVENUE, KWH = 24.0, 24.0  # a dollar per hour at a kilowatt: breaks even at $1 per kWh


def load(price: float, ahead: Sequence[float] = (), *, restart: float = 0.0) -> Load:
    """A rig at a price, with the prices of the hours from now on, its own included."""
    slots = [Slot(1.0, each) for each in ahead]
    return Load(REVENUE - price * KWH, 0.0, REVENUE, KWH, price, restart, slots)


def at(*prices: float, start: float = NOW) -> TariffPrice:
    slots = tuple(PriceSlot(start + n * HOUR, start + (n + 1) * HOUR, price) for n, price in enumerate(prices))
    return TariffPrice(prices[0], prices[1] if len(prices) > 1 else None, ahead=slots)


# --- known ahead ----------------------------------------------------------------------------------------------------


def verdicts_of(
    prices: Sequence[float], decision: DecisionSettings | None = None, every: float = HOUR / 4
) -> list[str]:
    """The verdicts on a rig that breaks even near $0.078, of evaluations on a day-ahead tariff."""
    state, history, seen, every = DecisionState(), MarginHistory(), [], HOUR / 4
    for number in range(round((len(prices) - 1) * HOUR / every)):
        now = NOW + number * every
        slot = int(number * every // HOUR)
        known = at(*prices[slot:], start=NOW + slot * HOUR)
        snapshot = site(rig(), taken_at=now, tariffs={"ppa": known}, blocks=(Block(name="north"),))
        settings = decision or DecisionSettings(longest_gap=HOUR)
        result, state, history = decide(state, snapshot, price_site(snapshot, SITE), history, SITE, settings)
        assert result.blocks[0].verdict == result.rigs[0].verdict
        seen.append(str(result.rigs[0].verdict))
    return seen


def test_16_a_known_price_is_acted_on_at_its_boundary() -> None:
    assert verdicts_of([0.05, 0.09, 0.05, 0.05]) == ["mine"] * 4 + ["curtail"] * 4 + ["mine"] * 4


def test_a_stop_that_avoids_less_than_a_start_costs_is_not_called_for() -> None:
    costly = DecisionSettings(longest_gap=HOUR, restart=RestartSettings(usd=0.06))  # an hour at 0.09 loses 0.05
    assert set(verdicts_of([0.05, 0.09, 0.05, 0.05], costly)) == {"mine"}
    assert verdicts_of([0.05, 0.09, 0.09, 0.05, 0.05], costly)[4:12] == ["curtail"] * 8


def test_a_gap_that_earns_less_than_a_start_is_stayed_through() -> None:
    costly = DecisionSettings(longest_gap=HOUR, restart=RestartSettings(usd=0.08))
    prices = [0.05, 0.12, 0.07, 0.12, 0.05, 0.05]
    assert verdicts_of(prices, costly)[4:16] == ["curtail"] * 12


def test_the_mean_price_ahead_of_several_tariffs_changes_where_any_of_them_does() -> None:
    slow, fast = [Slot(2.0, 0.02), Slot(2.0, 0.06)], [Slot(1.0, 0.10), Slot(2.0, 0.20)]
    assert mean_ahead([(3.0, slow)]) is slow
    found = mean_ahead([(3.0, slow), (1.0, fast)])
    assert [slot.hours for slot in found] == [1.0, 1.0, 1.0]
    assert [slot.price for slot in found] == pytest.approx([0.04, 0.065, 0.095])
    hourly = [Slot(1.0, 0.10), Slot(1.0, 0.20), Slot(2.0, 0.30)]
    assert [slot.hours for slot in mean_ahead([(3.0, slow), (1.0, hourly)])] == [1.0, 1.0, 2.0]
    assert mean_ahead([(3.0, slow), (1.0, ())]) == ()  # of one of them no price is known ahead
    assert mean_ahead([]) == mean_ahead([(0.0, slow), (0.0, fast)]) == ()


def test_a_block_with_several_tariffs_acts_at_the_boundaries_of_their_known_prices() -> None:
    """Half of the block is on each tariff; it loses at more than about $0.078 on the mean."""
    costly = DecisionSettings(longest_gap=HOUR, restart=RestartSettings(usd=0.01))
    rigs = tuple(replace_tariff(rig(name=name), name) for name in ("ppa", "grid"))
    prices = {"ppa": [0.05, 0.06, 0.05, 0.05], "grid": [0.05, 0.12, 0.05, 0.05]}
    state, history, seen = DecisionState(), MarginHistory(), []
    for hour in range(3):
        now = NOW + hour * HOUR
        known = {name: at(*each[hour:], start=now) for name, each in prices.items()}
        snapshot = site(*rigs, taken_at=now, tariffs=known, blocks=(Block(name="north"),))
        result, state, history = decide(state, snapshot, price_site(snapshot, SITE), history, SITE, costly)
        seen.append(str(result.blocks[0].verdict))
    assert seen == ["mine", "curtail", "mine"]


def test_the_motion_of_the_mean_price_of_a_block_with_several_tariffs_is_learned() -> None:
    costly = DecisionSettings(longest_gap=HOUR, restart=RestartSettings(usd=0.01))
    rigs = tuple(replace_tariff(rig(name=name), name) for name in ("ppa", "grid"))
    tariffs = {"ppa": TariffPrice(0.04), "grid": TariffPrice(0.08)}
    snapshot = site(*rigs, tariffs=tariffs, blocks=(Block(name="north"),))
    _, state, _ = decide(DecisionState(), snapshot, price_site(snapshot, SITE), MarginHistory(), SITE, costly)
    assert {name: motion.price for name, motion in state.motions.items()} == pytest.approx(
        {"ppa": 0.04, "grid": 0.08, motion_of("north", tariffs): 0.06}
    )
    assert motion_of("north", ["ppa"]) == "ppa"


def test_the_cost_of_a_start_is_wear_and_lost_revenue() -> None:
    settings = DecisionSettings(restart=RestartSettings(minutes=20, usd=0.25))
    assert restart_cost(settings, 24.0) == pytest.approx(0.25 + 1 / 3)
    assert restart_cost(settings, 240.0, rigs=10) == pytest.approx(2.5 + 10 / 3)
    assert restart_cost(settings, -24.0) == 0.25
    assert restart_cost(DecisionSettings(), 24.0) == 0.0


@pytest.mark.parametrize(
    ("stopped", "former", "price", "at_once"),
    [
        (False, 1.0, 1.2, True),  # at the price before it just broke even
        (False, 1.01, 1.2, False),  # it lost already
        (True, 1.0, 0.8, True),
        (True, 0.99, 0.8, False),
        (False, 1.2, 1.2, False),  # the same price
    ],
)
def test_a_known_price_is_acted_on_at_once_where_the_one_before_called_for_nothing(
    *, stopped: bool, former: float, price: float, at_once: bool
) -> None:
    before = Course(Latch(on=stopped), 0.0, former)
    after = follow(before, load(price, ahead=[price, price]), DecisionSettings(), 15.0)
    assert (after.latch.on is not stopped) is at_once


def test_without_a_second_known_slot_a_price_is_a_surprise() -> None:
    def ahead(power: TariffOverrides, **tariffs: TariffPrice) -> tuple[Slot, ...]:
        snapshot = SiteSnapshot(taken_at=NOW + 1_800, tariffs=tariffs)
        return slots_ahead("ppa", snapshot, SiteSettings(tariffs={"ppa": power}))

    plain = TariffOverrides()
    assert ahead(plain, ppa=at(0.05)) == ()
    assert ahead(plain) == ()
    assert ahead(plain, ppa=at(0.05, 0.09)) == (Slot(0.5, 0.05), Slot(1.0, 0.09))
    selling = TariffOverrides(resale_tariff="grid")
    assert ahead(selling, ppa=at(0.05, 0.05), grid=at(0.02, 0.07)) == (Slot(0.5, 0.05), Slot(1.0, 0.07))
    assert ahead(selling, ppa=at(0.05, 0.05), grid=at(0.02)) == (Slot(0.5, 0.05),)
    assert ahead(selling, ppa=at(0.05, 0.05)) == ()
    assert ahead(TariffOverrides(block_tariff="block", block_kilowatts=1), ppa=at(0.05, 0.09)) == ()


def test_the_marginal_price_has_what_stops_with_the_rig_and_what_is_owed() -> None:
    """A fee of $7.30 a kW and month stops with the rig, $0.01 a kWh. The energy is owed until midnight, UTC."""
    midnight = datetime(2026, 3, 22, tzinfo=UTC).timestamp()
    owed = TariffOverrides(take_or_pay=True, take_or_pay_until=date(2026, 3, 21))
    fee = OtherCost(name="fee", usd_per_kilowatt_month=7.3, stops_with=StopsWith.RIG)
    settings = SiteSettings(
        economics=EconomicsSettings(other_costs=(fee,)),
        tariffs={"ppa": owed, "selling": TariffOverrides(resale_tariff="grid")},
    )
    tariffs = {"ppa": at(0.05, 0.07, start=midnight - HOUR), "selling": TariffPrice(0.03)}
    before = SiteSnapshot(taken_at=midnight - HOUR, tariffs=tariffs)
    after = replace(before, taken_at=midnight)
    ahead = slots_ahead("ppa", before, settings)
    assert [slot.hours for slot in ahead] == [1.0, 1.0]
    assert [slot.price for slot in ahead] == pytest.approx([0.01, 0.08])
    assert [marginal_price("ppa", each, settings) for each in (before, after)] == pytest.approx([0.01, 0.06])
    long = (
        PriceSlot(midnight - 2 * HOUR, midnight + HOUR, 0.05),
        PriceSlot(midnight + HOUR, midnight + 2 * HOUR, 0.07),
    )
    overnight = replace(before, tariffs={"ppa": TariffPrice(0.05, ahead=long)})
    ahead = slots_ahead("ppa", overnight, settings)  # a price that lasts beyond the end of what is owed
    assert [slot.hours for slot in ahead] == [1.0, 1.0, 1.0]
    assert [slot.price for slot in ahead] == pytest.approx([0.01, 0.06, 0.08])
    assert marginal_price("selling", before, settings) is None  # the price at which it could be sold is not known


@pytest.mark.parametrize(
    ("ahead", "restart", "expected"),
    [
        ([2.0, 2.0], 0.5, 2.0),
        ([2.0, 2.0, 2.0, 0.9, 3.0], 3.0, 4.9),  # 0.1 forgone is no reason to start in between
        ([2.0, 2.0, 0.0, 3.0], 1.5, 3.0),
        ([2.0, 2.0, 0.0, 3.0], 1.0, 2.0),  # 1 forgone is worth a start
    ],
)
def test_what_a_stop_avoids_ends_where_a_start_pays(ahead: list[float], restart: float, expected: float) -> None:
    assert avoided(load(ahead[0], ahead, restart=restart)) == pytest.approx(expected)


prices = st.lists(st.floats(-1, 4), min_size=2, max_size=24)


@settings(max_examples=3 * settings.default.max_examples)
@given(prices, st.floats(0.01, 5), st.integers(2, 12))
def test_with_known_prices_following_is_never_worse_than_never_stopping(
    series: list[float], restart: float, horizon: int
) -> None:
    course, gained = Course(OFF, 0.0, None), 0.0
    for number, price in enumerate(series):
        before = course.latch.on
        known = load(price, series[number : number + horizon], restart=restart)
        course = follow(course, known, DecisionSettings(), HOUR)
        if course.latch.on:
            gained += price - 1.0  # the loss that is avoided, or the gain forgone
            gained -= 0.0 if before else restart  # booked at the stop
    assert gained >= -1e-9


# --- surprises ------------------------------------------------------------------------------------------------------


def test_a_surprise_is_followed_once_it_has_cost_a_start() -> None:
    """What is to spare: thrice what any rule would have lost, less what was lost."""
    course, settings = Course(OFF, 0.0, None), DecisionSettings()
    for price in (2.0, 2.0, 2.0, 0.5, 2.0):  # each evaluation books the hour before it, at the price of then
        course = follow(course, load(price, restart=3.5), settings, HOUR)
    assert (course.latch.on, course.regret, course.spare) == (False, 2.5, 6.0)  # three lost hours
    course = follow(course, load(2.0, restart=3.5), settings, HOUR)
    assert (course.latch.on, course.regret, course.spare) == (True, 0.0, 4.5)  # a fourth, and a start
    course = follow(course, load(0.5, restart=3.5), settings, HOUR)
    assert (course.regret, course.spare) == (0.0, 4.5)  # the hour before still lost
    course = follow(course, load(0.5, restart=3.5), settings, 7 * HOUR)
    assert (course.latch, course.regret, course.spare) == (OFF, 0.0, 1.0)  # 3.5 were not earned


@pytest.mark.parametrize(
    ("margin", "doubt", "stopped", "changes"),
    [
        (-1.0, 0.9, False, True),
        (-1.0, 1.0, False, False),
        (1.0, 0.9, True, True),
        (0.5, 0.0, True, True),
        (1.0, 1.0, True, False),
        (0.5, 0.9, True, False),
    ],
)
def test_only_a_margin_beyond_doubt_changes_a_state(
    *, margin: float, doubt: float, stopped: bool, changes: bool
) -> None:
    at_once = DecisionSettings(stop_intervals=0, resume_intervals=0)
    before = Course(Latch(on=stopped), 2.0, 1.0, 3.0)
    after = follow(before, load(1.0)._replace(margin=margin, doubt=doubt), at_once, 15.0)
    assert (after.latch.on is not stopped) is changes
    assert (after.regret, after.spare) == (0.0, 0.0)  # starts are free


def test_a_stop_that_avoids_just_what_a_start_costs_is_called_for() -> None:
    for restart, stops in ((2.0, True), (2.01, False)):
        assert follow(Course(OFF, 0.0, 2.0), load(2.0, [2.0, 2.0], restart=restart), DecisionSettings(),
                      15.0).latch.on is stops  # fmt: skip


def test_a_price_that_stops_at_once_costs_a_start() -> None:
    settings = DecisionSettings(immediate_stop_usd_per_kilowatt_hour=2.0)
    course = follow(Course(OFF, 1.0, 2.0), load(2.0, restart=3.5), settings, 0.0)
    assert (course.latch.on, course.regret, course.spare) == (True, 2.5, -3.5)
    assert follow(course, load(2.0, restart=3.5), settings, 0.0) == course
    assert follow(Course(OFF, 0.2, 2.0), load(2.0, restart=0.5), settings, 0.0).regret == pytest.approx(0.3)


def test_the_motion_of_a_price_decides_within_the_fence() -> None:
    swing = Swing(mean=1.0, mean_error=0.0, deviation=1.0, hours=10.0)
    moved = load(2.5, restart=3.5)._replace(swing=swing)
    assert follow(Course(OFF, 0.0, 2.5), moved, DecisionSettings(), 0.0).latch.on  # worth a start at once
    slight = load(1.2, restart=3.5)._replace(swing=swing)
    assert follow(Course(OFF, 3.5, 1.2), slight, DecisionSettings(), 0.0).latch == OFF  # it will return
    assert follow(Course(OFF, 3.5, 1.2, -2.0), slight, DecisionSettings(), 0.0).latch.on  # there is nothing to spare
    assert not follow(Course(OFF, 0.0, 2.5, -4.0), moved, DecisionSettings(), 0.0).latch.on
    powerless = moved._replace(kwh=0.0)
    assert follow(Course(OFF, 0.0, 2.5), powerless, DecisionSettings(), 0.0).latch == OFF


def of_ten_kilowatts(price: float, *, doubt: float, restart: float, swing: Swing) -> Load:
    """It breaks even at $1 per kWh. ``doubt`` in USD per kWh."""
    return Load(240 - price * 240, doubt * 240, 240.0, 240.0, price, restart, swing=swing)


@pytest.mark.parametrize("doubt", [0.0, 0.05])
def test_the_cube_root_rule_decides_per_kilowatt_and_beyond_doubt(doubt: float) -> None:
    """A start costs $0.02 a kilowatt: (3/4 x 0.02 x 2/50)^(1/3) = $0.084 per kWh."""
    swing = Swing(mean=1.0, mean_error=0.2, deviation=1.0, hours=50.0)
    spare = Course(OFF, 0.0, None, 2.0)
    for price, latch in ((1.074, OFF), (1.094, Latch(on=True))):
        assert follow(spare, of_ten_kilowatts(price + doubt, doubt=doubt, restart=0.2, swing=swing),
                      DecisionSettings(), 0.0).latch == latch  # fmt: skip
    stopped = Course(Latch(on=True), 0.2, None, 2.0)
    for price, latch in ((0.926, Latch(on=True)), (0.906, OFF)):
        assert follow(stopped, of_ten_kilowatts(price - doubt, doubt=doubt, restart=0.2, swing=swing),
                      DecisionSettings(), 0.0).latch == latch  # fmt: skip


@pytest.mark.parametrize(
    ("stopped", "price", "mean", "doubt", "changes"),
    [
        (False, 1.5, 1.3, 0.05, True),
        (False, 1.5, 1.3, 0.35, False),  # it may earn at the mean price
        (False, 1.5, 0.9, 0.05, False),  # it earns at the mean price
        (True, 0.5, 0.7, 0.05, True),
        (True, 0.5, 0.7, 0.35, False),
        (True, 0.5, 1.1, 0.05, False),
    ],
)
def test_a_state_that_loses_at_the_mean_price_beyond_doubt_is_left_at_any_cost(
    *, stopped: bool, price: float, mean: float, doubt: float, changes: bool
) -> None:
    swing = Swing(mean=mean, mean_error=0.0, deviation=0.1, hours=10.0)
    costly = of_ten_kilowatts(price, doubt=doubt, restart=100.0, swing=swing)
    before = Course(Latch(on=stopped), 0.0, None, 1_000.0)
    assert (follow(before, costly, DecisionSettings(), 0.0).latch.on is not stopped) is changes


def test_by_its_motion_a_price_stops_what_draws_little_and_an_unknown_price_stops_nothing() -> None:
    swing = Swing(mean=1.0, mean_error=0.0, deviation=1.0, hours=10.0)
    little = Load(-0.75, 0.0, 0.5, 0.5, 2.5, 0.07, swing=swing)  # 21 W
    assert follow(Course(OFF, 0.0, 2.5), little, DecisionSettings(), 0.0).latch.on
    unknown = load(2.5, restart=0.5)._replace(price=None, swing=swing)
    assert not follow(Course(OFF, 0.0, 2.5), unknown, DecisionSettings(), 0.0).latch.on


def test_the_fence_lets_a_stop_pass_that_is_nearly_due() -> None:
    """It lags by 3 of 3.50 that a start costs, with 3.50 to spare after the stop."""
    swing = Swing(mean=1.0, mean_error=0.0, deviation=1.0, hours=10.0)
    moved = load(2.5, restart=3.5)._replace(swing=swing)
    assert follow(Course(OFF, 3.0, 2.5), moved, DecisionSettings(), 0.0).latch.on


def test_of_a_margin_in_doubt_what_favours_the_state_in_force_counts() -> None:
    """An hour at a margin of a dollar an hour, give or take half of it."""
    losing = load(2.0, restart=3.5)._replace(doubt=12.0)
    assert follow(Course(OFF, 0.0, 2.0), losing, DecisionSettings(), HOUR).regret == pytest.approx(0.5)
    earning = load(0.0, restart=3.5)._replace(doubt=12.0)
    assert follow(Course(Latch(on=True), 0.0, 0.0), earning, DecisionSettings(), HOUR).regret == pytest.approx(0.5)


def test_a_start_is_not_due_before_running_has_earned_all_of_it() -> None:
    stopped = Course(Latch(on=True), 2.5, 0.5)
    assert follow(stopped, load(0.5, restart=3.5), DecisionSettings(), 0.0).latch.on
    assert not follow(stopped._replace(regret=3.5), load(0.5, restart=3.5), DecisionSettings(), 0.0).latch.on


@pytest.mark.exhaustive
@pytest.mark.parametrize("restart", [0.3, 0.9, 1.7])
def test_a_wandering_price_is_followed_as_well_as_by_the_best_thresholds(restart: float) -> None:
    training = [margins_of(histories.wandering(seed, about=1.0, spread=0.2)) for seed in range(100, 108)]
    steps = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]
    _, stop, resume = max(
        (sum(by_thresholds(margins, stop, resume, restart) for margins in training), stop, resume)
        for stop in steps
        for resume in steps
    )
    judged = [margins_of(histories.wandering(seed, about=1.0, spread=0.2)) for seed in range(24)]
    best = sum(by_thresholds(margins, stop, resume, restart) for margins in judged)
    always = sum(map(sum, judged))
    followed = sum(by_following(margins, restart) for margins in judged)
    assert followed >= max(always, 0.0)
    assert followed - always >= 0.98 * (best - always) > 0


def margins_of(points: Sequence[MarketPoint]) -> list[float]:
    return [1.0 - point.power_price for point in points[:-1]]


def by_thresholds(margins: Sequence[float], stop: float, resume: float, restart: float) -> float:
    """The earnings of a rig that stops below a margin of -``stop`` and resumes above ``resume``."""
    runs, earned = True, 0.0
    for margin in margins:
        if runs and margin < -stop:
            runs, earned = False, earned - restart
        elif not runs and margin > resume:
            runs = True
        earned += margin * runs
    return earned


def by_following(margins: Sequence[float], restart: float) -> float:
    course, earned, motion, settings = Course(OFF, 0.0, None), 0.0, PriceMotion(), DecisionSettings()
    for hour, margin in enumerate(margins):
        motion = motion.observed(1.0 - margin, hour * HOUR)
        swing = motion.swing
        for _ in range(4):
            before = course.latch.on
            course = follow(course, load(1.0 - margin, restart=restart)._replace(swing=swing), settings, HOUR / 4)
            earned -= restart if course.latch.on and not before else 0.0
            earned += 0.0 if course.latch.on else margin / 4
    return earned


def test_an_unknown_margin_moves_nothing() -> None:
    before = Course(Latch(on=True), 1.0, 0.05)
    assert follow(before, load(2.0)._replace(margin=None), DecisionSettings(), HOUR) == before


swings = st.none() | st.builds(
    Swing,
    mean=st.floats(-2, 4),
    mean_error=st.floats(0, 1),
    deviation=st.floats(0.01, 2),
    hours=st.floats(0.3, 1_000),
    step=st.floats(0, 2),
)
"""How a price is believed to move, right or wrong."""


def hindsight(losses: Sequence[float], restart: float) -> float:
    """The least loss against the sum of what earns, of all ways to stop and start."""
    on, off = 0.0, inf
    for loss in losses:  # of running; below zero it earns
        on, off = min(on, off), min(off, on + restart)
        on, off = on + max(loss, 0.0), off + max(-loss, 0.0)
    return min(on, off)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=60), st.floats(0.2, 4), swings)
def test_with_surprising_prices_the_loss_is_bounded_by_that_of_hindsight(
    margins: list[float], restart: float, swing: Swing | None
) -> None:
    minutes = 20
    course, lost = Course(OFF, 0.0, None), 0.0
    slack = 0.0
    for loss in margins:
        for _ in range(minutes):
            before = course.latch.on
            surprised = load(1 + loss, restart=restart)._replace(swing=swing)
            course = follow(course, surprised, DecisionSettings(), HOUR / minutes)
            if course.latch.on != before:
                slack += 2 * abs(loss) / minutes  # an evaluation late
                lost += restart if course.latch.on else 0.0
            lost += (max(-loss, 0.0) if course.latch.on else max(loss, 0.0)) / minutes
    assert lost <= 3 * hindsight(margins, restart) + 2 * restart + slack + 1e-6


@given(prices, st.floats(0, 5))
def test_what_a_stop_avoids_is_never_negative_and_grows_with_what_is_known(series: list[float], restart: float) -> None:
    known = [avoided(load(series[0], series[:length], restart=restart)) for length in range(2, len(series) + 1)]
    assert all(later >= earlier >= 0 for earlier, later in pairwise(known))
