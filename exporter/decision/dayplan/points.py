"""The operating points of each rig for the day-ahead plan, from the curves that are known of it."""

from collections.abc import Sequence
from typing import Final

from exporter.decision.dayplan.problem import OperatingPoint
from exporter.decision.setpoints import SiteSetpoints
from exporter.economics.points import Candidate
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import HOURS_PER_DAY

MOST_POINTS: Final = 5
"""Points of a rig that are planned: more would make a plan slower than better."""


def planned_points(
    snapshot: SiteSnapshot, setpoints: SiteSetpoints, payout: float
) -> dict[str, tuple[OperatingPoint, ...]]:
    """Return the points of each rig that has a setpoint, by name. Only those on the hull of its curve can be best.

    Args:
        snapshot: the site.
        setpoints: of the same evaluation; none without `points`.
        payout: USD per PH/s and day.
    """
    if not setpoints.rigs or payout <= 0:
        return {}
    return {
        rig.rig.name: tuple(
            OperatingPoint(
                name=point.name, work=point.hashrate * setpoint.value / payout, kilowatts=point.kwh / HOURS_PER_DAY
            )
            for point in _thinned(curve.hull)
        )
        for rig, curve, setpoint in zip(snapshot.rigs, setpoints.curves, setpoints.rigs, strict=True)
        if setpoint is not None and curve.hull
    }


def _thinned(points: Sequence[Candidate]) -> Sequence[Candidate]:
    """Keep the first, the last, and some evenly between."""
    if len(points) <= MOST_POINTS:
        return points
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(number * step)] for number in range(MOST_POINTS)]
