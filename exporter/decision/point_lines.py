"""The lines of an explanation that are about a rig's operating points."""

from collections.abc import Iterator
from typing import Final

from exporter.decision.explain import Line
from exporter.decision.setpoints import Setpoint
from exporter.economics.points import Candidate, Curve, Trust, steps

_TRUST: Final = {
    Trust.MEASURED: "measured on the rig",
    Trust.POOLED: "measured on others of its model",
    Trust.ESTIMATE: "estimate of its firmware, corrected",
}


def point_lines(setpoint: Setpoint, curve: Curve) -> Iterator[Line]:
    """Yield the point in force and the best one with what they earn, and the breakevens of each point."""
    unit = "USD/day"
    value, price = setpoint.value, setpoint.price
    if setpoint.in_force is not None:
        margin = setpoint.in_force.margin(value, price) - setpoint.fixed
        yield Line(f"point in force: {_described(setpoint.in_force)}, against the opportunity", margin, unit)
    yield Line(f"best point: {_described(setpoint.best)}", setpoint.best_margin, unit)
    yield Line("best point, low end", setpoint.best_margin_low, unit)
    yield Line("best point, high end", setpoint.best_margin_high, unit)
    if setpoint.gain is not None:
        yield Line("gain of the best point", setpoint.gain, unit)
        yield Line("gain of the best point, low end", setpoint.gain_low, unit)
    if curve.estimate_error is not None:
        note = ": too far off to be used" if curve.refuted else ""
        yield Line(f"power against the firmware's list{note}", 100 * curve.estimate_error, "%")
    for step in steps(curve, value):
        yield Line(f"{step.point.name} breaks even, on average", step.average, "USD/kWh")
        yield Line(f"step to {step.point.name} breaks even", step.marginal, "USD/kWh")


def _described(point: Candidate | None) -> str:
    return "off" if point is None else f"{point.name} ({_TRUST[point.trust]})"
