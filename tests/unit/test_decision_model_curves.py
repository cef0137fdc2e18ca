"""The curve of a model: medians of what its rigs have in common, the marginal energy of each step, and the price."""

from dataclasses import replace

import pytest
from operating_points import S19K_PRO, VALUE, candidate, curve
from sites import NOW, rig, site

from exporter.decision.model_curves import ModelCurve, ModelCurves
from exporter.decision.setpoints import Setpoint, SiteSetpoints
from exporter.economics.points import Curve
from exporter.economics.values import PowerSource
from exporter.model.readings import RigIdentity
from exporter.model.snapshot import SiteSnapshot

IDENTITY = RigIdentity(reader="luxos", make="Antminer", model="S19k Pro", firmware="LuxOS", algorithm="sha256")


def of(*curves: Curve, model: str = "S19k Pro", prices: tuple[float, ...] = ()) -> tuple[SiteSnapshot, SiteSetpoints]:
    rigs = [
        replace(rig(name=f"{model} {number}"), identity=replace(IDENTITY, model=model)) for number in range(len(curves))
    ]
    known = [Setpoint(value=VALUE, price=price) for price in prices] + [None] * (len(curves) - len(prices))
    return site(*rigs), SiteSetpoints(curves=curves, rigs=tuple(known))


def curves(*all_curves: Curve, prices: tuple[float, ...] = ()) -> tuple[ModelCurve, ...]:
    return ModelCurves().curves(*of(*all_curves, prices=prices))


def test_the_curve_of_the_facts_page_with_the_marginal_energy_of_each_step() -> None:
    (found,) = curves(curve(), prices=(0.05,))
    assert found.product == ("S19k Pro", "LuxOS")
    assert [point.name for point in found.points] == [name for name, _, _ in S19K_PRO]
    assert [(point.rigs, point.hashrate / 1e12, point.power) for point in found.points] == [
        (1, pytest.approx(rate), watts) for _, rate, watts in S19K_PRO
    ]
    marginal = {point.name: point.marginal for point in found.points}
    assert marginal["190MHz"] is None  # above the hull: 290MHz uses less energy per hash
    assert marginal["290MHz"] == pytest.approx(19.866, abs=5e-4)
    assert marginal["default"] == pytest.approx(29.082, abs=5e-4)
    assert marginal["790MHz"] == pytest.approx(35.459, abs=5e-4)
    assert found.breakeven == pytest.approx(33.30 / 24 / 0.05)  # 27.75 J/TH: the step to default does not pay


def test_points_are_medians_over_the_rigs_and_meters_count_before_what_rigs_report() -> None:
    def one(watts: float, source: PowerSource = PowerSource.REPORTED) -> Curve:
        return Curve.of([candidate("eco", 100.0, watts, source=source)])

    (found,) = curves(one(2_000.0), one(2_100.0), one(2_500.0))
    assert [(point.rigs, point.power) for point in found.points] == [(3, 2_100.0)]
    (metered,) = curves(one(2_000.0), one(2_100.0), one(2_300.0, PowerSource.METERED))
    assert [(point.rigs, point.power) for point in metered.points] == [(3, 2_300.0)]


def test_a_point_that_nobody_may_use_or_has_checked_is_in_no_curve() -> None:
    forbidden = candidate("fast", 300.0, 9_000.0, allowed=False)
    claimed = candidate("claimed", 200.0, 2_000.0, checked=False)
    (found,) = curves(Curve.of([forbidden, claimed, candidate("eco", 100.0, 2_000.0)]))
    assert [point.name for point in found.points] == ["eco"]
    assert curves(Curve.of([forbidden])) == ()
    assert curves(Curve()) == ()


def test_the_breakeven_is_the_median_over_the_rigs_whose_price_is_above_zero() -> None:
    (found,) = curves(curve(), curve(), curve(), curve(), prices=(-0.02, 0.04, 0.05, 0.10))
    assert found.breakeven == pytest.approx(33.30 / 24 / 0.05)
    (free,) = curves(curve(), prices=(0.0,))
    assert free.breakeven is None
    dear = Curve.of([candidate("eco", 100.0, 2_000.0, kwh=2_000.0 * 0.024 * 1.25)])
    (with_losses,) = curves(dear, prices=(0.05,))
    assert with_losses.breakeven == pytest.approx(33.30 / 24 / 0.05 / 1.25)  # at the rig: losses are paid too


def test_points_and_models_are_as_many_as_a_panel_can_show() -> None:
    (found,) = curves(Curve.of([candidate(f"p{number}", 50.0 + number, 2_000.0 + number) for number in range(30)]))
    assert len(found.points) == 20
    rigs = [
        replace(rig(name=f"r{number}"), identity=replace(IDENTITY, model=f"model {59 - number % 60:02}"))
        for number in range(60 + 30)
    ]
    setpoints = SiteSetpoints(curves=(curve(),) * len(rigs), rigs=(None,) * len(rigs))
    many = ModelCurves().curves(site(*rigs), setpoints)
    most = [*range(20), *range(30, 60)]  # two rigs each have the models from 30 on
    assert [each.product.model for each in many] == [f"model {number:02}" for number in most]


def test_of_two_points_with_one_power_the_better_one_comes_first() -> None:
    (found,) = curves(Curve.of([candidate("weak", 100.0, 2_000.0), candidate("strong", 125.0, 2_000.0)]))
    assert [(point.name, point.marginal) for point in found.points] == [("strong", pytest.approx(16.0)), ("weak", None)]


def test_points_are_kept_for_a_minute_and_prices_are_not() -> None:
    book = ModelCurves()
    snapshot, cheap = of(curve(), prices=(0.05,))
    (first,) = book.curves(snapshot, cheap)
    _, dear = of(Curve.of([candidate("eco", 100.0, 2_000.0)]), prices=(0.10,))
    for seconds in (0.0, 0.5, 15.0):
        (second,) = book.curves(replace(snapshot, taken_at=NOW + seconds), dear)
        assert second.points is first.points
        assert second.breakeven == pytest.approx(33.30 / 24 / 0.10)
    (third,) = book.curves(replace(snapshot, taken_at=NOW + 60), dear)
    assert [point.name for point in third.points] == ["eco"]


def test_without_settings_or_an_identity_there_is_no_curve() -> None:
    snapshot, setpoints = of(curve(), prices=(0.05,))
    book = ModelCurves()
    assert book.curves(snapshot, SiteSetpoints()) == ()
    nobody = replace(snapshot, rigs=tuple(replace(each, identity=None) for each in snapshot.rigs))
    assert book.curves(nobody, setpoints) == ()
    (found,) = book.curves(snapshot, setpoints)  # as soon as there are points
    assert book.curves(snapshot, SiteSetpoints()) == ()
    assert book.curves(snapshot, setpoints) == (found,)
