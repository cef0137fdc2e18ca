"""The best operating point at a price: known answers, the hull, and what is known of a rig's points."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operating_points import HASHPRICE, S19_XP, S19K_PRO, VALUE, candidate, curve

from exporter.economics.points import Candidate, Curve, Trust, counts, curve_of, pool, pool_key, steps
from exporter.economics.settings import PointsSettings
from exporter.economics.values import PowerSource
from exporter.model.fleet import Rig
from exporter.model.points import LearnedPoint, Point, PointList, RigPoints
from exporter.model.readings import RigIdentity
from exporter.model.snapshot import RigSnapshot

SETTINGS = PointsSettings()
NOW = 1_780_000_000.0
DAY = 86_400.0
KWH = {PowerSource.METERED: 0.024, PowerSource.REPORTED: 0.03, PowerSource.NAMEPLATE: 0.024}


def name(best: Candidate | None) -> str:
    return "off" if best is None else best.name


# --- known answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "best"),
    [(0.02, "790MHz"), (0.04, "690MHz"), (0.05, "490MHz"), (0.055, "390MHz"), (0.065, "290MHz"), (0.07, "off")],
)
def test_the_best_of_seven_points_at_a_price(price: float, best: str) -> None:
    assert name(curve().best(VALUE, price)) == best


def test_a_point_above_the_hull_is_no_step_so_that_the_next_one_is_found() -> None:
    """The step from off to 190MHz does not pay at $0.0695; the one to 290MHz does."""
    best = curve().best(VALUE, 0.0695)
    assert best is not None
    assert best.name == "290MHz"
    assert best.margin(VALUE, 0.0695) == pytest.approx(0.009756, abs=5e-7)
    assert [point.name for point in curve().hull][:2] == ["290MHz", "390MHz"]


@pytest.mark.parametrize(("price", "best", "default"), [(0.05, 0.7362, 0.7031), (0.06, 0.2946, 0.0326)])
def test_the_margin_of_the_best_and_of_the_stock_point(price: float, best: float, default: float) -> None:
    known = curve()
    found, stock = known.best(VALUE, price), known.by_name.get("default")
    assert found is not None
    assert stock is not None
    assert found.margin(VALUE, price) == pytest.approx(best, abs=5e-5)
    assert stock.margin(VALUE, price) == pytest.approx(default, abs=5e-5)


def test_the_breakevens_of_the_stock_point_average_and_marginal() -> None:
    (step,) = [step for step in steps(curve(), VALUE) if step.point.name == "default"]
    assert step.average == pytest.approx(0.060487, abs=1.5e-6)  # of a rounded efficiency
    assert step.marginal == pytest.approx(0.047710, abs=5e-7)


@pytest.mark.parametrize(
    ("low", "high", "joules"),
    [("490MHz", "default", 29.082), ("690MHz", "790MHz", 35.459), ("190MHz", "290MHz", 19.612)],
)
def test_the_marginal_efficiency_of_a_step(low: str, high: str, joules: float) -> None:
    watts = {name: (rate, power) for name, rate, power in S19K_PRO}
    (rate_low, power_low), (rate_high, power_high) = watts[low], watts[high]
    assert (power_high - power_low) / (rate_high - rate_low) == pytest.approx(joules, abs=5e-4)
    slopes = dict(zip((point.name for point in curve().hull), curve().slopes, strict=True))
    if low != "190MHz":  # which is above the hull
        assert slopes[high] == pytest.approx(joules * 0.024 / 1e12, rel=1e-4)


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 6_000)), min_size=1, max_size=12),
    st.floats(0.0, 0.3),
    st.floats(1.0, 100.0),
)
def test_the_hull_gives_what_trying_all_points_gives(
    points: list[tuple[int, int]], price: float, hashprice: float
) -> None:
    known = Curve.of(candidate(str(index), *point) for index, point in enumerate(points))
    value = hashprice / 1e15
    best = max(0.0, *(each.margin(value, price) for each in known.candidates))
    found = known.best(value, price)
    assert (0.0 if found is None else found.margin(value, price)) == pytest.approx(best, abs=1e-9)
    assert all(one < other for one, other in pairwise(known.slopes))


def test_paid_power_is_used_by_the_point_that_earns_most() -> None:
    """At a negative price a point above the hull may be the best: it uses more energy."""
    wasteful = candidate("wasteful", 100.0, 9_000.0)
    known = Curve.of([*(candidate(*point) for point in S19_XP), wasteful])
    assert name(known.best(VALUE, -0.10)) == "wasteful"
    assert name(known.best(VALUE, 0.0)) == "169 TH/s"
    assert name(Curve().best(VALUE, -0.1)) == "off"


def test_a_point_that_is_not_allowed_or_not_checked_is_never_the_best() -> None:
    forbidden = candidate("fast", 400.0, 4_000.0, allowed=False)
    unchecked = candidate("claimed", 400.0, 4_000.0, checked=False, trust=Trust.ESTIMATE)
    known = Curve.of([forbidden, unchecked, candidate("stock", 100.0, 2_000.0)])
    assert [point.name for point in known.hull] == ["stock"]
    assert name(known.best(VALUE, -0.1)) == "stock"
    assert [point.name for point in known.proven] == ["stock"]


# --- from a rig to its curve -----------------------------------------------------------------------------------------


def learned(name: str, terahash: float, watts: float, **fields: Any) -> LearnedPoint:
    base = LearnedPoint(
        name=name, hashrate=terahash * 1e12, power=watts, metered=True, seconds=3_600.0, observed_at=NOW - 60
    )
    return replace(base, **fields)


def listed(*points: tuple[str, float | None, float | None], **fields: Any) -> PointList:
    known = tuple(
        Point(name=name, hashrate=None if rate is None else rate * 1e12, power=watts) for name, rate, watts in points
    )
    return PointList(points=known, **fields)


def rig(points: RigPoints | None, name: str = "a", **fields: Any) -> RigSnapshot:
    who = RigIdentity(reader="luxos", make="AntMiner", model="Antminer S19k Pro", firmware="LuxOS")
    return RigSnapshot(rig=Rig(name=name, address="127.0.0.1", **fields), identity=who, points=points)


def curve_with(points: RigPoints | None, pooled: dict[str, LearnedPoint] | None = None, **settings: Any) -> Curve:
    allowed = PointsSettings(**settings)
    return curve_of(rig(points, rated_power=2_800.0), pooled or {}, KWH, allowed, NOW)


def test_a_rig_without_points_has_no_curve() -> None:
    assert curve_with(None) == Curve()
    assert curve_with(RigPoints()) == Curve()


def test_estimates_that_nothing_has_checked_are_not_chosen_from() -> None:
    known = curve_with(RigPoints(listed=listed(("a", 100, 2_000), ("b", 120, 2_600), ("c", None, 3_000))))
    assert [(point.name, point.trust, point.checked) for point in known.candidates] == [
        ("a", Trust.ESTIMATE, False),
        ("b", Trust.ESTIMATE, False),
    ]
    assert known.hull == ()
    assert known.estimate_error is None


def test_a_measured_point_replaces_its_estimate_and_corrects_the_others() -> None:
    points = RigPoints(listed=listed(("a", 100, 2_000), ("b", 120, 2_600)), learned=(learned("b", 126, 2_340),))
    known = curve_with(points)
    a, b = known.candidates
    assert (b.name, b.trust, b.power, b.source) == ("b", Trust.MEASURED, 2_340.0, PowerSource.METERED)
    assert b.error == pytest.approx(0.01, rel=1e-3)
    assert b.kwh == pytest.approx(2_340 * 0.024)
    assert (a.trust, a.checked, a.error) == (Trust.ESTIMATE, True, 0.05)
    assert a.power == pytest.approx(1_800.0)
    assert a.hashrate == pytest.approx(105e12)
    assert known.estimate_error == pytest.approx(-0.1)
    assert not known.refuted


def test_a_list_that_the_meter_refutes_is_not_used() -> None:
    """The rig claims 2,000 W where its meter shows 2,600 W."""
    points = RigPoints(listed=listed(("a", 90, 1_700), ("b", 100, 2_000)), learned=(learned("b", 100, 2_600),))
    known = curve_with(points)
    assert [point.name for point in known.candidates] == ["b"]
    assert known.refuted
    assert known.estimate_error == pytest.approx(0.3)
    assert [point.name for point in curve_with(points, refuted_above=0.4).candidates] == ["a", "b"]


def test_meters_correct_the_list_before_the_rigs_own_watts() -> None:
    points = RigPoints(
        listed=listed(("a", 100, 2_000), ("b", 120, 2_600), ("c", 140, 3_200)),
        learned=(learned("a", 100, 2_200), learned("b", 120, 2_600, metered=False)),
    )
    known = curve_with(points)
    sources = {point.name: point.source for point in known.candidates}
    assert sources == {"a": PowerSource.METERED, "b": PowerSource.REPORTED, "c": PowerSource.METERED}
    assert {point.name: round(point.power) for point in known.candidates}["c"] == 3_520


def test_a_measured_point_counts_once_it_is_stable_until_its_season_is_over() -> None:
    assert not counts(learned("a", 1, 1, seconds=1_799.0), SETTINGS, NOW)
    assert counts(learned("a", 1, 1, seconds=1_800.0), SETTINGS, NOW)
    assert counts(learned("a", 1, 1, observed_at=NOW - 90 * DAY), SETTINGS, NOW)
    assert not counts(learned("a", 1, 1, observed_at=NOW - 91 * DAY), SETTINGS, NOW)
    (old,) = curve_with(RigPoints(learned=(learned("a", 100, 2_000, observed_at=NOW - 45 * DAY),))).candidates
    assert old.error == pytest.approx(0.03)


def test_points_above_the_limits_are_not_allowed() -> None:
    three = (("a", 100, 2_000), ("b", 120, 2_600), ("c", 140, 3_200))
    points = RigPoints(listed=listed(*three, power_limit=3_000.0), learned=(learned("b", 120, 2_600),))
    assert [point.name for point in curve_with(points).hull] == ["a", "b"]
    assert [point.name for point in curve_with(points, most_of_rated_power=0.9).hull] == ["a"]
    low, *others = listed(*three).points
    exactly = replace(points, listed=listed(*three, power_limit=2_600.0))
    assert [point.name for point in curve_with(exactly).hull] == ["a", "b"]
    forbidden = PointList(points=(replace(low, allowed=False), *others), power_limit=3_000.0)
    assert [point.name for point in curve_with(replace(points, listed=forbidden)).hull] == ["b"]
    measured = replace(points, listed=forbidden, learned=(*points.learned, learned("a", 100, 2_000)))
    assert [point.name for point in curve_with(measured).hull] == ["b"]


def test_hostile_points_are_left_out() -> None:
    points = RigPoints(
        listed=listed(("zero", 0, 2_000), ("free", 500, 0), ("b", 120, 2_600)),
        learned=(learned("b", 120, 2_600), learned("none", 0, 100), learned("unmetered", 100, 0)),
    )
    assert [point.name for point in curve_with(points).candidates] == ["b"]


def test_a_rig_of_fifteen_watts_has_points_too() -> None:
    assert [point.name for point in curve_with(RigPoints(learned=(learned("525MHz", 1.2, 15.0),))).candidates] == [
        "525MHz"
    ]


@pytest.mark.parametrize(
    ("unusable", "measured"),
    [(("b", 120, None), 126), (("b", None, 2_600), 126), (("b", 120, 2_600), 0)],
    ids=["no watts in the list", "no hashrate in the list", "it did not hash"],
)
def test_a_point_without_a_figure_says_nothing_about_the_list(
    unusable: tuple[str, float | None, float | None], measured: float
) -> None:
    """The rig's own watts at "a" are all that is known, so those of "c" are corrected by them and are such watts."""
    points = RigPoints(
        listed=listed(("a", 100, 2_000), unusable, ("c", 110, 2_200)),
        learned=(learned("a", 100, 2_200, metered=False), learned("b", measured, 2_600)),
    )
    (corrected,) = [point for point in curve_with(points).candidates if point.name == "c"]
    assert (corrected.checked, corrected.source) == (True, PowerSource.REPORTED)
    assert corrected.kwh == pytest.approx(2_200 * 1.1 * 0.03)


def test_whether_the_firmware_has_tuned_a_point_is_known_of_those_that_it_lists() -> None:
    known = PointList(
        points=(
            Point(name="a", hashrate=100e12, power=2_000.0, tuned=False),
            Point(name="b", hashrate=120e12, power=2_600.0, tuned=True),
            Point(name="c", hashrate=140e12, power=3_200.0, tuned=False),
        )
    )
    found = curve_with(RigPoints(listed=known), {"a": learned("a", 100, 2_000), "d": learned("d", 90, 1_800)})
    assert {point.name: (point.trust, point.tuned) for point in found.candidates} == {
        "a": (Trust.POOLED, False),
        "b": (Trust.ESTIMATE, True),
        "c": (Trust.ESTIMATE, False),
        "d": (Trust.POOLED, None),
    }


def test_a_list_that_is_off_by_exactly_the_limit_is_used() -> None:
    points = RigPoints(listed=listed(("a", 100, 2_000), ("b", 120, 2_600)), learned=(learned("a", 100, 2_500),))
    assert not curve_with(points, refuted_above=0.25).refuted


def test_a_rig_takes_the_points_of_three_others_of_its_model() -> None:
    def other(name: str, *points: LearnedPoint) -> RigSnapshot:
        return rig(RigPoints(learned=points), name)

    rigs = [other(str(index), learned("a", 100 + index, 2_000 + index)) for index in range(3)]
    young = learned("a", 500, 2_000, seconds=60.0)
    pools = pool([*rigs, rig(None), rig(RigPoints(learned=(young,)), "young")], SETTINGS, NOW)
    key = pool_key(rigs[0])
    assert key == ("AntMiner LuxOS", "Antminer S19k Pro", "")
    assert key is not None
    assert (pools[key]["a"].hashrate, pools[key]["a"].power) == (101e12, 2_001.0)
    assert pool(rigs[:2], SETTINGS, NOW) == {}
    known = curve_with(RigPoints(listed=listed(("a", 90, 1_900))), pools[key])
    (point,) = known.candidates
    assert (point.trust, point.error, point.checked, point.tuned) == (Trust.POOLED, 0.05, True, None)
    own = RigPoints(learned=(learned("a", 95, 1_950),))
    assert [point.trust for point in curve_with(own, pools[key]).candidates] == [Trust.MEASURED]


def test_metered_and_reported_watts_are_never_pooled_together() -> None:
    metered = [rig(RigPoints(learned=(learned("a", 100, 2_000),)), str(index)) for index in range(3)]
    reported = [rig(RigPoints(learned=(learned("a", 100, 1_500, metered=False),)), f"r{index}") for index in range(5)]
    for rigs in ([*metered, *reported], [*reported, *metered]):
        ((found,),) = [points.values() for points in pool(rigs, SETTINGS, NOW).values()]
        assert (found.metered, found.power) == (True, 2_000.0)


def test_rigs_whose_stock_volts_differ_share_no_points() -> None:
    points = RigPoints(listed=listed(variant="490 MHz 13.3 V"))
    assert pool_key(rig(points)) == ("AntMiner LuxOS", "Antminer S19k Pro", "490 MHz 13.3 V")
    assert pool_key(replace(rig(points), identity=None)) is None


def test_hashprice_is_in_the_units_of_the_facts() -> None:
    assert candidate("one", 1_000.0, 1.0).margin(VALUE, 0.0) == pytest.approx(HASHPRICE)


def test_a_listed_point_that_no_rig_could_run_at_is_left_out() -> None:
    absurd = (("wonder", 400, 100), ("heater", 10, 2_500), ("twice", 250, 5_000), ("b", 120, 2_600), ("low", 70, 1_300))
    points = RigPoints(listed=listed(*absurd), learned=(learned("b", 120, 2_600),))
    assert {point.name for point in curve_with(points).candidates} == {"b", "low"}
    scaled = RigPoints(listed=listed(("b", 120, 2_600), ("up", 245, 5_200)), learned=(learned("b", 126, 2_600),))
    assert [point.name for point in curve_with(scaled).candidates] == ["b"]  # 257 TH/s, as the rig does 5 % more
    rated = curve_of(rig(points, rated_hashrate=130e12), {}, KWH, SETTINGS, NOW)
    assert {point.name for point in rated.candidates} == {"b", "low", "twice"}


def test_a_listed_point_with_exactly_half_or_twice_the_efficiency_or_twice_the_hashrate_is_believed() -> None:
    bounds = (("stock", 100, 2_000), ("half", 100, 1_000), ("double", 50, 2_000), ("most", 200, 4_000))
    points = RigPoints(listed=listed(*bounds), learned=(learned("stock", 100, 2_000),))
    assert {point.name for point in curve_with(points).candidates} == {name for name, _, _ in bounds}
