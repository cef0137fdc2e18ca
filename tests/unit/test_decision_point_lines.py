"""How an explanation names a rig's points, and how its page draws them."""

from dataclasses import replace

import pytest
from operating_points import S19K_PRO
from test_decision_site_setpoints import NOW, Outcome, learned, miner

from exporter.decision.point_lines import point_lines
from exporter.decision.values import Verdict
from exporter.exposition.views import RigView
from exporter.model.points import Point, PointList, RigPoints
from exporter.server.pages.points import points_of

STOCK = PointList(points=tuple(Point(name=name, hashrate=t * 1e12, power=w) for name, t, w in S19K_PRO))


def view(outcome: Outcome) -> RigView:
    return RigView(
        outcome.snapshot.rigs[0],
        outcome.economics.rigs[0],
        None,  # type: ignore[arg-type]
        outcome.setpoints.rigs[0],
        outcome.setpoints.curves[0],
    )


def lines(outcome: Outcome) -> dict[str, float | None]:
    (setpoint,), (curve,) = outcome.setpoints.rigs, outcome.setpoints.curves
    assert setpoint is not None
    return {line.name: line.value for line in point_lines(setpoint, curve)}


def test_the_points_are_named_with_what_they_earn_and_where_they_break_even() -> None:
    named = lines(Outcome(miner(), price=0.066))
    assert named["point in force: default (measured on the rig), against the opportunity"] == pytest.approx(
        -0.3698, abs=1e-3
    )
    assert named["best point: 290MHz (measured on the rig)"] == pytest.approx(0.1095, abs=1e-3)
    assert named["gain of the best point"] == pytest.approx(0.4793, abs=1e-3)
    assert named["default breaks even, on average"] == pytest.approx(0.060487, abs=2e-6)
    assert named["step to default breaks even"] == pytest.approx(0.047710, abs=1e-6)


def test_every_line_of_two_points_of_which_one_is_an_estimate() -> None:
    """The stock point draws a twentieth more than listed, so 290MHz is taken to draw 1,247.4 W, give or take 5 %."""
    two = PointList(points=tuple(point for point in STOCK.points if point.name in ("290MHz", "default")))
    outcome = Outcome(miner(points=RigPoints(listed=two, learned=(learned("default", power=2_933.7),))), price=0.066)
    (setpoint,), (curve,) = outcome.setpoints.rigs, outcome.setpoints.curves
    assert setpoint is not None
    assert [(line.name, line.value, line.unit) for line in point_lines(setpoint, curve)] == [
        (name, pytest.approx(value, abs=1e-5), unit)
        for name, value, unit in (
            ("point in force: default (measured on the rig), against the opportunity", -0.59104, "USD/day"),
            ("best point: 290MHz (estimate of its firmware, corrected)", 0.01546, "USD/day"),
            ("best point, low end", 0.01546 - 0.09879, "USD/day"),
            ("best point, high end", 0.01546 + 0.09879, "USD/day"),
            ("gain of the best point", 0.60650, "USD/day"),
            ("gain of the best point, low end", 0.60650 - 0.13356, "USD/day"),
            ("power against the firmware's list", 5.0, "%"),
            ("290MHz breaks even, on average", 0.066516, "USD/kWh"),
            ("step to 290MHz breaks even", 0.066516, "USD/kWh"),
            ("default breaks even, on average", 0.057606, "USD/kWh"),
            ("step to default breaks even", 0.051014, "USD/kWh"),
        )
    ]


def test_a_curtailed_rig_is_explained_with_off_as_its_best_point() -> None:
    named = lines(Outcome(miner(), price=0.09, verdict=Verdict.CURTAIL))
    assert named["best point: off"] == 0.0


def test_an_estimate_is_called_one_and_a_refuted_list_is_named() -> None:
    corrected = RigPoints(listed=STOCK, learned=(learned("default", power=2_900.0),))
    named = lines(Outcome(miner(points=corrected), price=0.066))
    assert any(name.startswith("best point: 290MHz (estimate of its firmware") for name in named)
    assert named["power against the firmware's list"] == pytest.approx(3.79, abs=0.01)
    refuted = replace(corrected, learned=(learned("default", power=4_000.0),))
    named = lines(Outcome(miner(points=refuted), price=0.03))
    assert named["power against the firmware's list: too far off to be used"] == pytest.approx(43.2, abs=0.1)
    assert "gain of the best point" not in named


def test_a_rig_that_stands_still_has_no_point_in_force() -> None:
    outcome = Outcome(replace(miner(), reading=None), price=0.05)
    assert not any(name.startswith("point in force") for name in lines(outcome))


# --- its page --------------------------------------------------------------------------------------------------------


def test_the_picture_has_the_points_and_the_line_of_the_price() -> None:
    shown = points_of(view(Outcome(miner(), price=0.066)))
    assert shown is not None
    assert [row.name for row in shown.rows if row.in_force] == ["default"]
    assert [row.name for row in shown.rows if row.best] == ["290MHz"]
    assert all(0 <= row.x <= 480 and 0 <= row.y <= 240 for row in shown.rows)
    assert shown.hull.startswith("36.0 204.0L")
    above = {row.name: row.margin > 0 for row in shown.rows}
    x, y = shown.line
    slope = (204 - y) / (x - 36)
    assert {row.name: (204 - row.y) / (row.x - 36) > slope for row in shown.rows} == above
    assert shown.valid_until == NOW + 300


def test_a_line_outside_of_the_picture_ends_at_its_edge() -> None:
    free = points_of(view(Outcome(miner(), price=-0.01)))
    cheap = points_of(view(Outcome(miner(), price=0.001)))
    dear = points_of(view(Outcome(miner(), price=1.0)))
    assert free is not None
    assert cheap is not None
    assert dear is not None
    assert free.line == (480.0, 204.0)
    assert cheap.line[0] == 480.0
    assert dear.line[1] == 0.0


def test_a_rig_whose_points_cannot_be_judged_has_no_picture() -> None:
    assert points_of(view(Outcome(miner(points=RigPoints())))) is None
