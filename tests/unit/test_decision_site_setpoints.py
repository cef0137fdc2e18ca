"""Setpoints of a whole site: verdict, price, meters and learned points together."""

from dataclasses import replace
from typing import Any

import pytest
from operating_points import S19K_PRO
from sites import NOW, SITE, flat_market, rig, site

from exporter.decision.curtailment import Slot
from exporter.decision.setpoints import Choices, SiteSetpoints, prospects, site_setpoints
from exporter.decision.values import RigDecision, SiteDecision, Verdict
from exporter.economics.curves import CurveBook
from exporter.economics.points import Curve, Trust
from exporter.economics.settings import EconomicsSettings, PointsSettings, PowerSettings, SiteSettings, TariffOverrides
from exporter.economics.site import price_on
from exporter.economics.values import RigEconomics, SiteEconomics
from exporter.model.fleet import Rig
from exporter.model.points import LearnedPoint, Point, PointList, RigPoints
from exporter.model.readings import PriceSlot, Reading, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice

PLAIN = replace(
    SITE, economics=EconomicsSettings(), power=PowerSettings(overhead=1.0), points=PointsSettings(), ai=None
)
IDENTITY = RigIdentity(reader="luxos", make="AntMiner", model="Antminer S19k Pro", firmware="LuxOS", algorithm="sha256")


def learned(name: str, **fields: Any) -> LearnedPoint:
    _, terahash, watts = next(point for point in S19K_PRO if point[0] == name)
    base = LearnedPoint(
        name=name, hashrate=terahash * 1e12, power=watts, metered=False, seconds=7_200.0, observed_at=NOW
    )
    return replace(base, **fields)


ALL = RigPoints(learned=tuple(learned(point[0]) for point in S19K_PRO))


def miner(point: str = "default", points: RigPoints | None = ALL, name: str = "a-01", **fields: Any) -> RigSnapshot:
    _, terahash, watts = next((each for each in S19K_PRO if each[0] == point), ("", 121.8, 2_794.0))
    made = rig(hashrate=terahash * 1e12, power=watts, name=name, reject_ratio=0.0)
    reading = None if made.reading is None else Reading(replace(made.reading.value, point=point), NOW)
    return replace(made, identity=IDENTITY, points=points, reading=reading, **fields)


class Outcome:
    """A site priced at a flat hashprice of $33.30, with one verdict for all rigs."""

    def __init__(
        self,
        *rigs: RigSnapshot,
        price: float = 0.06,
        verdict: Verdict = Verdict.MINE,
        settings: SiteSettings = PLAIN,
        **facts: Any,
    ) -> None:
        facts = {"tariffs": {"ppa": TariffPrice(price)}} | facts
        self.snapshot = site(*rigs, **facts)
        self.curves = CurveBook().curves(self.snapshot, settings)
        self.economics = price_on(flat_market(), self.snapshot, settings, self.curves)
        decision = SiteDecision(rigs=tuple(RigDecision(verdict=verdict) for _ in rigs))
        self.setpoints = site_setpoints(self.snapshot, self.economics, decision, self.curves, settings)

    @property
    def rig(self) -> Any:
        (setpoint,) = self.setpoints.rigs
        return setpoint

    @property
    def priced(self) -> RigEconomics:
        return self.economics.rigs[0]


def test_a_rig_at_its_stock_point_gains_what_the_best_point_earns_more() -> None:
    long = (PriceSlot(NOW - 60, NOW + 43_200, 0.06), PriceSlot(NOW + 43_200, NOW + 86_400, 0.0601))
    setpoint = Outcome(miner(), tariffs={"ppa": TariffPrice(0.06, ahead=long)}).rig
    assert setpoint.name == "390MHz"
    assert setpoint.best_power == 1_657.0
    assert setpoint.best_margin == pytest.approx(0.2946, abs=5e-5)
    assert setpoint.gain == pytest.approx(0.2946 - 0.0326, abs=1e-4)
    assert setpoint.gain_low == pytest.approx(setpoint.gain - 0.06 * (2_794 - 1_657) * 0.024 * 0.01, abs=1e-6)
    spread = 0.06 * 1_657 * 0.024 * 0.01
    assert setpoint.best_margin_low == pytest.approx(setpoint.best_margin - spread, abs=1e-6)
    assert setpoint.best_margin_high == pytest.approx(setpoint.best_margin + spread, abs=1e-6)
    assert setpoint.valid_until == NOW + 300


def test_a_setpoint_ends_with_the_price_that_it_was_chosen_at() -> None:
    ahead = (PriceSlot(NOW - 60, NOW + 100, 0.06), PriceSlot(NOW + 100, NOW + 3_700, 0.02))
    setpoint = Outcome(miner(), tariffs={"ppa": TariffPrice(0.06, ahead=ahead)}).rig
    assert setpoint.valid_until == NOW + 100
    assert setpoint.name == "default"  # the price falls in 100 s: not worth two changes


@pytest.mark.parametrize(
    ("price", "hours", "expected"),
    [
        (0.06, None, "290MHz"),  # for an hour: the smaller ramp counts
        (0.06, 2, "290MHz"),
        (0.06, 12, "390MHz"),
        (0.05, None, "default"),
        (0.05, 12, "default"),  # a gain of $0.033 a day is below 2 % of the revenue of $4.06
    ],
)
def test_a_price_is_expected_to_last_to_its_known_end(price: float, hours: float | None, expected: str) -> None:
    ahead = () if hours is None else (PriceSlot(NOW - 60, NOW + hours * 3_600, price),)
    assert Outcome(miner(), tariffs={"ppa": TariffPrice(price, ahead=ahead)}).rig.name == expected


def test_a_price_whose_end_is_not_known_lasts_for_the_configured_time() -> None:
    short = replace(PLAIN, points=PointsSettings(persistence=600.0))
    assert [Outcome(miner(), price=0.056, settings=each).rig.name for each in (PLAIN, short)] == ["390MHz", "default"]


@pytest.mark.parametrize("later", [0.05, 0.0501], ids=["the same price", "another price"])
def test_a_small_gain_counts_at_prices_that_are_known_ahead(later: float) -> None:
    ahead = (PriceSlot(NOW - 60, NOW + 43_200, 0.05), PriceSlot(NOW + 43_200, NOW + 86_400, later))
    assert Outcome(miner(), tariffs={"ppa": TariffPrice(0.05, ahead=ahead)}).rig.name == "490MHz"


@pytest.mark.parametrize(("end", "expected"), [(100, 100), (0, 300), (-60, 300), (1_000, 300)])
def test_a_setpoint_is_valid_to_the_end_of_its_only_known_price(end: float, expected: float) -> None:
    """A price whose end is over is one that nothing is known to follow."""
    ahead = (PriceSlot(NOW - 3_600, NOW + end, 0.06),)
    assert Outcome(miner(), tariffs={"ppa": TariffPrice(0.06, ahead=ahead)}).rig.valid_until == NOW + expected


def test_a_rigs_own_ramp_counts() -> None:
    slow = miner()
    assert slow.reading is not None
    slow = replace(slow, reading=replace(slow.reading, value=replace(slow.reading.value, ramp=3_600.0)))
    assert Outcome(miner(), price=0.06).rig.name == "290MHz"
    assert Outcome(slow, price=0.06).rig.name == "default"  # half an hour of hashes for an hour's gain of 1 cent


def test_a_rig_that_is_curtailed_is_to_be_off_and_one_without_a_verdict_has_no_setpoint() -> None:
    setpoint = Outcome(miner(), price=0.08, verdict=Verdict.CURTAIL).rig
    assert (setpoint.name, setpoint.best_power, setpoint.best_margin) == ("off", 0.0, 0.0)
    assert (setpoint.best_margin_low, setpoint.best_margin_high) == (0.0, 0.0)
    assert setpoint.gain == pytest.approx(0.08 * 67.056 - 4.0559, abs=1e-3)
    assert setpoint.gain_low == pytest.approx(setpoint.gain - 0.08 * 67.056 * 0.01, abs=1e-6)
    assert Outcome(miner(), verdict=Verdict.UNKNOWN).rig is None
    assert Outcome(miner(), verdict=Verdict.REPAIR).rig is None


def test_a_rig_that_is_to_mine_never_gets_the_setpoint_off() -> None:
    assert Outcome(miner(), price=0.08, verdict=Verdict.MINE).rig.name != "off"


@pytest.mark.parametrize(
    ("points", "in_force"),
    [
        (None, "default"),
        (RigPoints(), "default"),
        (ALL, "unheard of"),
        (RigPoints(listed=PointList(points=(Point(name="default", hashrate=121.8e12, power=2_794.0),))), "default"),
    ],
    ids=["not read", "nothing known", "another point in force", "only unchecked estimates"],
)
def test_without_a_point_that_can_be_judged_there_is_no_setpoint(points: RigPoints | None, in_force: str) -> None:
    assert Outcome(miner(in_force, points)).rig is None


def test_one_trusted_point_gives_no_gain() -> None:
    setpoint = Outcome(miner(points=RigPoints(learned=(learned("default"),)))).rig
    assert (setpoint.name, setpoint.gain, setpoint.gain_low) == ("default", None, None)


def test_two_trusted_points_give_a_gain_and_the_best_one_is_not_in_doubt_against_itself() -> None:
    two = RigPoints(learned=(learned("default"), learned("290MHz")))
    assert Outcome(miner(points=two), price=0.066).rig.gain == pytest.approx(0.4793, abs=1e-3)
    best = Outcome(miner("290MHz", two), price=0.066).rig
    assert (best.gain, best.gain_low) == (0.0, 0.0)


def test_estimates_corrected_by_a_measured_point_are_trusted() -> None:
    stock = PointList(points=tuple(Point(name=name, hashrate=t * 1e12, power=w) for name, t, w in S19K_PRO))
    setpoint = Outcome(
        miner(points=RigPoints(listed=stock, learned=(learned("default", power=2_514.6),))), price=0.074
    ).rig
    assert setpoint.in_force.trust is Trust.MEASURED
    assert setpoint.best.trust is Trust.ESTIMATE
    assert setpoint.best.power < 2_514.6
    assert setpoint.gain > setpoint.gain_low


def test_a_rig_that_stands_still_and_is_to_mine_has_a_point_and_no_gain() -> None:
    off = replace(miner(), reading=Reading(RigReading(hashrate=0.0, power=20.0, point="default"), NOW))
    setpoint = Outcome(off, price=0.05).rig
    assert setpoint.best is not None
    assert (setpoint.in_force, setpoint.gain) == (None, None)


def test_a_rig_that_does_not_answer_keeps_the_choice_without_a_gain() -> None:
    setpoint = Outcome(replace(miner(), reading=None), price=0.05).rig
    assert (setpoint.in_force, setpoint.gain) == (None, None)


def test_an_unknown_price_gives_no_setpoint() -> None:
    assert Outcome(miner(), tariffs={}).rig is None


@pytest.mark.parametrize(
    ("since", "changes", "expected"),
    [(60.0, 1, "default"), (60.0, 0, "290MHz"), (1_800.0, 1, "290MHz"), (90_000.0, 8, "default")],
    ids=["just changed", "just found there", "dwell is over", "too often"],
)
def test_changes_keep_their_distance_and_their_number(since: float, changes: int, expected: str) -> None:
    points = replace(ALL, since=NOW - since, changes=changes)
    assert Outcome(miner(points=points), price=0.066).rig.name == expected


def test_without_the_section_nothing_is_judged() -> None:
    outcome = Outcome(miner(), settings=replace(PLAIN, points=None))
    assert outcome.setpoints == SiteSetpoints()
    assert outcome.curves == {}


def test_a_rig_whose_curve_is_not_made_yet_has_no_setpoint() -> None:
    found = Outcome(miner())
    decision = SiteDecision(rigs=(RigDecision(verdict=Verdict.MINE),))
    assert site_setpoints(found.snapshot, found.economics, decision, {}, PLAIN).rigs == (None,)


def test_a_block_sums_the_rigs_that_have_a_gain() -> None:
    outcome = Outcome(miner(name="a"), miner("290MHz", name="b"), miner(name="c", points=None), price=0.066)
    (block,) = outcome.setpoints.blocks
    first, second, _ = outcome.setpoints.rigs
    assert (block.name, block.rigs, block.judged) == ("north", 3, 2)
    assert block.gain == pytest.approx(first.gain + second.gain)  # type: ignore[union-attr]
    assert block.gain_low == pytest.approx(first.gain_low + second.gain_low)  # type: ignore[union-attr]
    assert block.best_margin == pytest.approx(2 * (33.3 * 0.0598 - 0.066 * 1_188 * 0.024))
    assert block.best_power == pytest.approx(2 * 1_188.0)
    assert block.revenue == pytest.approx(33.3 * (0.1218 + 0.0598))


def test_a_block_of_curtailed_rigs_draws_nothing_at_its_best() -> None:
    (block,) = Outcome(miner(), price=0.08, verdict=Verdict.CURTAIL).setpoints.blocks
    assert (block.best_power, block.best_margin) == (0.0, 0.0)


# --- what a rig is judged by -----------------------------------------------------------------------------------------


def test_a_rig_that_loses_at_its_point_and_earns_at_another_is_not_to_be_curtailed() -> None:
    outcome, today = Outcome(miner(), price=0.065), Outcome(miner(points=None), price=0.065)
    assert today.priced.opportunity_margin < 0  # type: ignore[operator]
    assert outcome.priced.opportunity_margin == pytest.approx(0.138, abs=1e-3)
    assert outcome.priced.margin == today.priced.margin
    assert outcome.priced.avoidable_loss == 0.0
    assert today.priced.avoidable_loss > 0  # type: ignore[operator]
    assert outcome.priced.potential_power == pytest.approx(1_188.0)


def test_a_rig_is_curtailed_above_the_price_at_which_even_its_best_point_loses() -> None:
    outcome = Outcome(miner(), price=0.0701)
    assert outcome.priced.opportunity_margin < 0  # type: ignore[operator]
    assert outcome.priced.potential_breakeven_power_price == pytest.approx(33.3 * 0.0598 / (1_188 * 0.024))
    assert outcome.priced.avoidable_loss == pytest.approx(-(outcome.priced.margin or 0.0))


def test_a_point_of_other_rigs_or_an_estimate_has_not_proven_itself() -> None:
    stock = PointList(points=tuple(Point(name=name, hashrate=t * 1e12, power=w) for name, t, w in S19K_PRO))
    points = RigPoints(listed=stock, learned=(learned("default"),))
    assert Outcome(miner(points=points), price=0.065).priced.opportunity_margin < 0  # type: ignore[operator]


def test_a_rig_that_does_better_now_than_at_its_best_point_is_judged_by_that() -> None:
    better = replace(miner(), reading=Reading(RigReading(hashrate=200e12, power=2_794.0, point="default"), NOW))
    priced = Outcome(better, price=0.05).priced
    assert priced.potential_margin == priced.margin
    assert priced.potential_breakeven_power_price == pytest.approx(33.3 * 0.2 / 67.056)


def test_the_best_point_of_a_rig_without_any_other_figure_is_what_it_could_do() -> None:
    """It has not answered since a restart, and has no nameplate; what it learned is known."""
    silent = replace(miner(), reading=None, rig=Rig(name="a-01", address="127.0.0.1", block="north", tariff="ppa"))
    priced = Outcome(silent, price=0.05).priced
    assert priced.potential_margin == pytest.approx(0.7362, abs=5e-5)
    assert priced.avoidable_loss is None


# --- the book of curves ----------------------------------------------------------------------------------------------


def test_curves_are_made_anew_only_if_something_changed() -> None:
    book = CurveBook()
    snapshot = site(miner(), miner(name="b", points=None))

    def curve(at: float = 0.0, taken: SiteSnapshot = snapshot, settings: SiteSettings = PLAIN) -> Curve:
        return book.curves(replace(taken, taken_at=NOW + at), settings)["a-01"]

    first = curve()
    assert curve(15.0) is first
    assert curve(700.0) is first  # the pools are the same
    changed = site(miner(points=replace(ALL, changes=1)), miner(name="b", points=None))
    assert curve(30.0, changed) is not first
    dearer = replace(PLAIN, power=PowerSettings(overhead=1.1))
    assert curve(0.0, snapshot, dearer).candidates[0].kwh == pytest.approx(1.1 * first.candidates[0].kwh)
    assert book.curves(snapshot, replace(PLAIN, points=None)) == {}
    assert curve(0.0, snapshot, replace(PLAIN, points=PointsSettings(measured_error=0.02))).candidates[0].error > 0.015
    old = curve(86_400.0 * 40)
    assert old.candidates[0].error > 0.02


def test_a_rig_without_points_of_its_own_takes_those_of_its_model() -> None:
    rigs = [miner(name=str(index)) for index in range(3)]
    curves = CurveBook().curves(site(*rigs, miner(name="new", points=RigPoints())), PLAIN)
    assert {point.trust for point in curves["new"].candidates} == {Trust.POOLED}
    nobody = replace(miner(name="nobody", points=RigPoints()), identity=None)
    assert CurveBook().curves(site(*rigs, nobody), PLAIN)["nobody"] == Curve()


def test_economics_without_curves_are_todays() -> None:
    snapshot = site(miner(points=None))
    plain: SiteEconomics = price_on(flat_market(), snapshot, PLAIN)
    assert price_on(flat_market(), snapshot, PLAIN, {}) == plain


def test_the_last_known_price_is_expected_to_last_for_its_time() -> None:
    """The price in force ends in a minute, and two others are known for ten minutes each."""
    ahead = (PriceSlot(NOW - 60, NOW + 60, 0.06), PriceSlot(NOW + 60, NOW + 660, 0.066))
    snapshot = site(miner(), tariffs={"ppa": TariffPrice(0.06, ahead=ahead)})
    known = (Slot(1 / 60, 0.06), Slot(1 / 6, 0.066), Slot(1 / 6, 0.08))
    slots, change = prospects(snapshot, {"ppa": known}, PointsSettings())["ppa"]
    assert [slot.hours for slot in slots] == pytest.approx([1 / 60, 1 / 6, 1 - 1 / 60 - 1 / 6])
    assert [slot.price for slot in slots] == [0.06, 0.066, 0.08]
    assert change == NOW + 60
    assert prospects(snapshot, {"ppa": known[:1]}, PointsSettings())["ppa"] == ([], NOW + 60)


# --- what is kept between evaluations --------------------------------------------------------------------------------


def test_a_choice_is_kept_while_nothing_changes_and_made_anew_with_the_price() -> None:
    outcome = Outcome(miner(), price=0.066)
    decision = SiteDecision(rigs=(RigDecision(verdict=Verdict.MINE),))
    choices = Choices()

    def name(snapshot: SiteSnapshot = outcome.snapshot, settings: SiteSettings = PLAIN) -> str:
        economics = price_on(flat_market(), snapshot, settings, outcome.curves)
        (found,) = site_setpoints(snapshot, economics, decision, outcome.curves, settings, choices).rigs
        assert found is not None
        return found.name

    assert name() == "290MHz"
    assert name(replace(outcome.snapshot, taken_at=NOW + 15)) == "290MHz"
    falling = (PriceSlot(NOW - 60, NOW + 100, 0.066), PriceSlot(NOW + 100, NOW + 3_700, 0.02))
    assert name(replace(outcome.snapshot, tariffs={"ppa": TariffPrice(0.066, ahead=falling)})) == "default"
    cheap = replace(outcome.snapshot, tariffs={"ppa": TariffPrice(0.01)})
    assert name(cheap) == "790MHz"
    lazy = replace(PLAIN, points=PointsSettings(least_gain=0.5))
    assert name(cheap, lazy) == "default"


def test_a_choice_is_kept_for_five_minutes_while_the_hashprice_hardly_moves() -> None:
    ahead = (PriceSlot(NOW - 60, NOW + 43_200, 0.06), PriceSlot(NOW + 43_200, NOW + 86_400, 0.0601))
    outcome = Outcome(miner(), tariffs={"ppa": TariffPrice(0.06, ahead=ahead)})
    decision, choices = SiteDecision(rigs=(RigDecision(verdict=Verdict.MINE),)), Choices()
    begin = (NOW // 300 + 1) * 300

    def name(seconds: float, hashprice: float) -> str:
        snapshot = replace(outcome.snapshot, taken_at=begin + seconds)
        economics = price_on(flat_market(hashprice), snapshot, PLAIN, outcome.curves)
        (found,) = site_setpoints(snapshot, economics, decision, outcome.curves, PLAIN, choices).rigs
        assert found is not None
        return found.name

    assert name(0, 37.40) == "390MHz"
    assert name(285, 37.47) == "390MHz"  # 490MHz would be slightly better
    assert name(300, 37.47) == "490MHz"
    assert name(315, 30.00) == "290MHz"


def test_a_choice_is_made_anew_when_only_the_rigs_own_price_changes() -> None:
    """Its energy is in a block of power, or a peak is likely, while its tariff's price stays."""
    blocks = replace(PLAIN, tariffs={"ppa": TariffOverrides(block_tariff="block", block_kilowatts=1_000)})
    in_block = Outcome(miner(), settings=blocks, tariffs={"block": TariffPrice(0.066)})
    peak = PriceSlot(NOW - 60, NOW + 840, 0.016)
    decision = SiteDecision(rigs=(RigDecision(verdict=Verdict.MINE),))

    def names(settings: SiteSettings, *snapshots: SiteSnapshot) -> list[str]:
        choices, found = Choices(), []
        for snapshot in snapshots:
            economics = price_on(flat_market(), snapshot, settings, in_block.curves)
            (rig,) = site_setpoints(snapshot, economics, decision, in_block.curves, settings, choices).rigs
            found.append("" if rig is None else rig.name)
        return found

    cheap = replace(in_block.snapshot, tariffs={"block": TariffPrice(0.03)})
    assert names(blocks, in_block.snapshot, cheap) == ["290MHz", "790MHz"]
    usual = replace(in_block.snapshot, tariffs={"ppa": TariffPrice(0.05)})
    assert names(PLAIN, usual, replace(usual, surcharges={"ppa": (peak,)})) == ["default", "290MHz"]


def test_the_choices_of_a_large_site_are_made_over_several_evaluations() -> None:
    one = Outcome(miner(), price=0.066)
    names = [f"r{index}" for index in range(2_500)]
    (shape,) = one.snapshot.rigs
    rigs = tuple(replace(shape, rig=replace(shape.rig, name=name)) for name in names)
    decision = SiteDecision(rigs=(RigDecision(verdict=Verdict.MINE),) * len(names))
    curves, choices = dict.fromkeys(names, one.curves["a-01"]), Choices()

    def moved(price: float) -> int:
        snapshot = replace(one.snapshot, tariffs={"ppa": TariffPrice(price)})
        economics = price_on(flat_market(), snapshot, PLAIN, one.curves)
        site_of_all = replace(snapshot, rigs=rigs)
        priced = replace(economics, rigs=economics.rigs * len(names))
        found = site_setpoints(site_of_all, priced, decision, curves, PLAIN, choices).rigs
        return sum(each is not None and each.name == "790MHz" for each in found)

    assert moved(0.066) == 0  # all of them are chosen the first time
    assert [moved(0.01), moved(0.01)] == [2_000, 2_500]


def test_the_curves_of_a_large_site_are_made_over_several_evaluations() -> None:
    rigs = [miner(name=f"r{index}") for index in range(2_500)]
    limited = replace(ALL, listed=PointList(points=(Point(name="790MHz", allowed=False),)))
    book, dearer = CurveBook(), replace(PLAIN, power=PowerSettings(overhead=1.1))

    def with_points(snapshot: SiteSnapshot, settings: SiteSettings = PLAIN) -> int:
        return sum(bool(curve.hull) for curve in book.curves(snapshot, settings).values())

    def limits() -> int:
        changed = site(*(replace(rig, points=limited) for rig in rigs))
        return sum(len(curve.hull) < len(full.hull) for curve in book.curves(changed, PLAIN).values())

    snapshot = site(*rigs)
    assert [with_points(snapshot), with_points(snapshot)] == [1_500, 2_500]  # a rig has no points until its turn
    full = book.curves(snapshot, PLAIN)["r0"]
    assert [limits(), limits()] == [1_500, 2_500]  # the others keep their former points until their turn
    assert [with_points(snapshot, dearer), with_points(snapshot, dearer)] == [1_500, 2_500]  # none at former settings
