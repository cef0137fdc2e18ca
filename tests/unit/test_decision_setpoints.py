"""Setpoints: the point to run at now, with what a change costs, against exact plans and fixed rules."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, NamedTuple

import pytest
from operating_points import S19_XP, S19K_PRO, VALUE, candidate, curve

from exporter.decision.course import condensed
from exporter.decision.curtailment import Slot
from exporter.decision.setpoints import STEPS, Prospect, Situation, choose
from exporter.economics.points import Candidate, Curve
from exporter.economics.settings import PointsSettings

SETTINGS = PointsSettings()
CURVES = {"S19k Pro": S19K_PRO, "S19 XP": S19_XP}


def costs(point: Candidate, settings: PointsSettings = SETTINGS) -> tuple[float, float]:
    """What a change to a tuned point costs, from running and from off, USD."""
    hourly = VALUE * point.hashrate / 24
    ramp = 0.0 if point.tuned is not False else settings.untuned_ramp
    return hourly * max(ramp, settings.ramp) / 7_200, hourly * max(ramp, settings.cold_ramp) / 7_200


class Booked(NamedTuple):
    value: float
    changes: int


def book(path: Sequence[Candidate | None], start: Candidate | None, prices: Sequence[float], hours: float) -> Booked:
    """What a course earned, changes included."""
    value, changes, before = 0.0, 0, start
    for point, price in zip(path, prices, strict=True):
        if point is not before:
            changes += 1
            if point is not None:
                value -= costs(point)[0 if before is not None else 1]
        if point is not None:
            value += point.margin(VALUE, price) * hours / 24
        before = point
    return Booked(value, changes)


def follow(
    known: Curve,
    start: Candidate,
    prices: Sequence[float],
    hours: float,
    ahead: int,
    settings: PointsSettings = SETTINGS,
) -> Booked:
    """Run by the setpoints, with so many prices known ahead (0: none), and the dwell after each change."""
    path: list[Candidate | None] = []
    current: Candidate | None = start
    since = -1e9
    for index, price in enumerate(prices):
        now = index * hours * 3_600
        if ahead:
            slots = [Slot(hours, each) for each in prices[index : index + ahead]]
            missing = settings.persistence / 3_600 - hours * len(slots)
            slots += [Slot(missing, slots[-1].price)] if missing > 0 and index + ahead < len(prices) else []
            prospect = Prospect(condensed(slots, STEPS), known=True, next_change=None)
        else:
            prospect = Prospect([Slot(settings.persistence / 3_600, price)], known=False, next_change=None)
        situation = Situation(
            curve=known, in_force=current, value=VALUE, prospect=prospect, held=now - since < settings.dwell
        )
        chosen = choose(situation, settings)
        if chosen is not current:
            since = now
        path.append(chosen)
        current = chosen
    return book(path, start, prices, hours)


def optimum(
    points: Sequence[Candidate], start: Candidate, prices: Sequence[float], hours: float, dwell: float
) -> float:
    """The most that any course could earn: dynamic programming forwards over (option, hours since its change)."""
    options: list[Candidate | None] = [*points, None]
    wait = max(1, round(dwell / hours + 0.499)) if dwell else 1
    best: dict[tuple[int, int], float] = {(options.index(start), wait): 0.0}
    for price in prices:
        after: dict[tuple[int, int], float] = {}
        for (here, held), value in best.items():
            for there, option in enumerate(options):
                if there != here and held < wait:
                    continue
                earned = value + (0.0 if option is None else option.margin(VALUE, price) * hours / 24)
                if there != here and option is not None:
                    earned -= costs(option)[0 if options[here] is not None else 1]
                state = there, 1 if there != here else min(held + 1, wait)
                after[state] = max(after.get(state, -1e18), earned)
        best = after
    return max(best.values())


def day_ahead(seed: int, days: int, step: float = 1.0) -> list[float]:
    """Prices of a day-ahead market: two peaks a day, weather over days, and noise."""
    rng = random.Random(seed)
    prices, weather = [], 0.0
    for index in range(int(days * 24 / step)):
        hour = index * step % 24
        weather = 0.98**step * weather + rng.gauss(0, 0.004 * step)
        shape = 0.012 * ((7 <= hour < 10) + 1.6 * (17 <= hour < 21)) - 0.010 * (11 <= hour < 15)
        prices.append(max(0.052 + shape + weather + rng.gauss(0, 0.004), -0.02))
    return prices


# --- prices that are known -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("seed", range(4))
def test_known_prices_are_followed_within_one_per_cent_of_the_optimum(name: str, seed: int) -> None:
    known = curve(CURVES[name])
    start = known.hull[-2]
    prices = day_ahead(seed, 7)
    best = optimum(known.candidates, start, prices, 1.0, dwell=0.5)
    stock_only = optimum([start], start, prices, 1.0, dwell=0.5)
    whole_known = follow(known, start, prices, 1.0, ahead=len(prices)).value
    day_known = follow(known, start, prices, 1.0, ahead=24).value
    assert best > stock_only > 0
    assert whole_known >= stock_only
    assert whole_known >= 0.99 * best
    assert day_known >= 0.99 * best
    assert day_known >= stock_only


@pytest.mark.parametrize("seed", range(3))
def test_quarter_hours_are_followed_within_one_per_cent_although_the_dwell_is_longer(seed: int) -> None:
    known = curve()
    start = known.hull[3]
    prices = day_ahead(seed + 50, 2, step=0.25)
    best = optimum(known.candidates, start, prices, 0.25, dwell=0.5)
    followed = follow(known, start, prices, 0.25, ahead=96).value
    assert followed >= 0.99 * best
    assert followed >= optimum([start], start, prices, 0.25, dwell=0.5)


# --- prices that surprise --------------------------------------------------------------------------------------------


def by_threshold(known: Curve, start: Candidate, prices: Sequence[float], hours: float, least: float) -> Booked:
    """Run at the best point as soon as its gain is a share of the revenue; nothing else is looked at."""
    path: list[Candidate | None] = []
    current: Candidate | None = start
    since = -1e9
    for index, price in enumerate(prices):
        now = index * hours * 3_600
        best = known.best(VALUE, price)
        gain = margin(best, price) - margin(current, price)
        scale = VALUE * (best or known.hull[0]).hashrate
        if best is not current and now - since >= SETTINGS.dwell and gain > least * scale:
            current, since = best, now
        path.append(current)
    return book(path, start, prices, hours)


def margin(point: Candidate | None, price: float) -> float:
    return 0.0 if point is None else point.margin(VALUE, price)


def wandering(seed: int) -> list[float]:
    """Real-time prices by the quarter of an hour for ten days, that wander about the breakevens."""
    rng = random.Random(seed)
    prices, level = [], 0.052
    for _ in range(10 * 96):
        level += 0.03 * (0.052 - level) + rng.gauss(0, 0.0035)
        prices.append(level + rng.gauss(0, 0.002))
    return prices


TRAINING, JUDGED = range(100, 112), range(200, 216)
THRESHOLDS = (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08)


@pytest.mark.exhaustive
def test_surprising_prices_cost_at_most_one_per_cent_more_than_the_best_fixed_threshold() -> None:
    known = curve()
    start = known.hull[3]

    def total(seeds: Sequence[int], rule: Callable[[list[float]], Booked]) -> float:
        return mean(rule(wandering(seed)).value for seed in seeds)

    def threshold(least: float) -> Callable[[list[float]], Booked]:
        return lambda prices: by_threshold(known, start, prices, 0.25, least)

    best = max(THRESHOLDS, key=lambda least: total(TRAINING, threshold(least)))
    stock = Curve.of([start])
    on_off = max(
        total(JUDGED, lambda prices, least=least: by_threshold(stock, start, prices, 0.25, least))  # type: ignore[misc]
        for least in THRESHOLDS
    )
    followed = total(JUDGED, lambda prices: follow(known, start, prices, 0.25, ahead=0))
    assert followed >= 0.99 * total(JUDGED, threshold(best))
    assert followed >= on_off


# --- one rig at one moment -------------------------------------------------------------------------------------------


def choice(price: float, in_force: Candidate | None, known: Curve | None = None, **fields: Any) -> str:
    situation = Situation(
        curve=known or curve(),
        in_force=in_force,
        value=VALUE,
        prospect=Prospect([Slot(1.0, price)], known=False, next_change=None),
    )
    chosen = choose(replace(situation, **fields), SETTINGS)
    return "off" if chosen is None else chosen.name


def point(name: str) -> Candidate:
    found = curve().by_name.get(name)
    assert found is not None
    return found


def test_a_gain_below_the_cost_of_the_change_is_none() -> None:
    assert choice(0.047, point("default")) == "default"
    assert choice(0.0475, point("490MHz")) == "490MHz"  # 690MHz and default earn hardly more
    assert choice(0.066, point("default")) == "290MHz"


def test_a_gain_below_the_least_share_of_the_revenue_is_none() -> None:
    """At $0.05 the gain of $0.033 a day is less than 2 per cent of $4.06, but more than the ramp of a long price."""
    long = Prospect([Slot(48.0, 0.05)], known=False, next_change=None)
    assert choice(0.05, point("default"), prospect=long) == "default"
    assert choice(0.05, point("default"), prospect=long._replace(known=True)) == "490MHz"


def test_a_point_that_must_be_tuned_first_needs_a_higher_gain() -> None:
    tuned = curve()
    untuned = Curve.of(replace(each, tuned=False) if each.name == "390MHz" else each for each in tuned.candidates)
    short = Prospect([Slot(4.0, 0.06)], known=True, next_change=None)
    default = point("default")
    assert choice(0.06, default, tuned, prospect=short) == "390MHz"
    assert choice(0.06, default, untuned, prospect=short) != "390MHz"


def two(**fields: Any) -> Curve:
    """The stock point, and 290MHz, which earns $0.01997 an hour more at $0.066 a kWh and $0.00456 more than off."""
    stock, low = point("default"), point("290MHz")
    return Curve.of([stock, replace(low, **fields)])


@pytest.mark.parametrize(
    ("hours", "usd", "tuned", "running", "expected"),
    [
        (1.0, 0.0165, None, True, "290MHz"),  # half of five minutes' $0.08297 an hour is $0.00346
        (1.0, 0.0166, None, True, "default"),
        (2.0, 0.0, False, True, "default"),  # half an hour to tune it costs $0.04149
        (2.1, 0.0, False, True, "290MHz"),
        (2.2, 0.0, None, False, "off"),  # half of a quarter of an hour costs $0.01037
        (2.3, 0.0, None, False, "290MHz"),
        (3.0, 0.0033, None, False, "290MHz"),
        (3.0, 0.0034, None, False, "off"),
    ],
)
def test_a_change_is_worth_its_ramp_and_its_wear(
    hours: float, usd: float, tuned: bool | None, running: bool, expected: str
) -> None:
    known = two(tuned=tuned)
    situation = Situation(
        curve=known,
        in_force=known.by_name["default"] if running else None,
        value=VALUE,
        prospect=Prospect([Slot(hours, 0.066)], known=True, next_change=None),
        may_stop=not running,
    )
    chosen = choose(situation, PointsSettings(change_usd=usd))
    assert (chosen.name if chosen else "off") == expected


def test_a_change_that_must_outlast_its_price_by_the_dwell_is_not_made() -> None:
    """For a quarter of an hour 290MHz loses $0.0146 less; both changes cost $0.0105, and the next quarter $0.0095."""
    known = two()
    spike = Prospect([Slot(0.25, 0.09), Slot(5.0, 0.03)], known=True, next_change=None)
    assert choice(0.09, known.by_name["default"], known, prospect=spike, may_stop=False) == "default"
    longer = spike._replace(slots=[Slot(0.5, 0.09), Slot(5.0, 0.03)])
    assert choice(0.09, known.by_name["default"], known, prospect=longer, may_stop=False) == "290MHz"


def test_a_rig_that_is_to_mine_is_not_started_for_an_hour_before_it_stops_again() -> None:
    """For one hour 290MHz would do with the smaller ramp; but it is to run on, and the stock point earns more now."""
    ahead = Prospect([Slot(1.0, 0.05), Slot(10.0, 0.2)], known=True, next_change=None)
    assert choice(0.05, None, two(), prospect=ahead, may_stop=False) == "default"
    assert choice(0.05, None, two(), prospect=ahead) == "290MHz"


def test_a_rig_that_changed_lately_stays_and_one_beyond_its_limit_does_not() -> None:
    assert choice(0.09, point("default"), held=True) == "default"
    fast = candidate("fast", 180.0, 5_000.0, allowed=False)
    known = Curve.of([*curve().candidates, fast])
    assert choice(0.01, fast, known) == "790MHz"
    assert choice(0.09, fast, known) == "off"


def test_a_rig_that_may_not_stop_runs_at_the_point_that_loses_least() -> None:
    assert choice(0.08, point("default"), may_stop=False) == "290MHz"
    assert choice(0.08, None, may_stop=False) == "190MHz"
    less = (candidate("forbidden", 10.0, 200.0, allowed=False), candidate("claimed", 10.0, 200.0, checked=False))
    assert choice(0.08, None, Curve.of([*curve().candidates, *less]), may_stop=False) == "190MHz"
    assert choice(0.08, None) == "off"
    assert choice(0.05, None) == "490MHz"


def test_paid_energy_is_used_at_the_highest_allowed_point() -> None:
    assert choice(-0.05, point("default")) == "790MHz"


def test_without_points_a_rig_stays_off() -> None:
    assert choice(0.05, None, Curve.of([])) == "off"
    assert choice(0.05, None, Curve.of([]), may_stop=False) == "off"


def test_a_rig_that_may_run_again_at_known_prices_starts_where_it_earns() -> None:
    ahead = Prospect([Slot(6.0, 0.05), Slot(6.0, 0.2)], known=True, next_change=None)
    assert choice(0.05, None, prospect=ahead) == "490MHz"
