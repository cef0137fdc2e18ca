"""The operating points of a rig's page: a table, and the efficiency curve as a picture."""

from dataclasses import dataclass
from typing import Final

from exporter.economics.points import Candidate, steps
from exporter.exposition.views import RigView
from exporter.model.units import HASHES_PER_TERAHASH, HOURS_PER_DAY, WATTS_PER_KILOWATT, joules_per_terahash

WIDTH: Final = 480
HEIGHT: Final = 240
_MARGIN: Final = 36  # for the labels of the axes
_ROOM: Final = 1.08  # above the largest figure


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRow:
    """One point of the table and of the picture. ``x`` and ``y`` are pixels."""

    name: str
    trust: str
    terahash: float
    watts: float
    efficiency: float  # J/TH
    margin: float  # USD per day now
    average: float | None  # USD per kWh at which it breaks even; None if it is not on the hull
    marginal: float | None  # USD per kWh at which the step to it breaks even
    allowed: bool
    in_force: bool
    best: bool
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsView:
    """The points of one rig. ``line`` is where a rig breaks even at the price now, from the origin; pixels."""

    rows: tuple[PointRow, ...]
    hull: str  # the points of the picture's curve, as the data of a path
    line: tuple[float, float]
    most_terahash: float
    most_watts: float
    gain: float | None  # USD per day
    valid_until: float  # unix seconds


def points_of(rig: RigView) -> PointsView | None:
    """Return the points of a rig; None if none can be judged."""
    setpoint, curve = rig.setpoint, rig.curve
    if setpoint is None or curve is None or not curve.candidates:
        return None
    most_watts = max(each.power for each in curve.candidates) * _ROOM
    most_hashes = max(each.hashrate for each in curve.candidates) * _ROOM

    def place(hashrate: float, watts: float) -> tuple[float, float]:
        across = _MARGIN + (WIDTH - _MARGIN) * watts / most_watts
        return round(across, 1), round((HEIGHT - _MARGIN) * (1 - hashrate / most_hashes), 1)

    breakevens = {step.point: step for step in steps(curve, setpoint.value)}
    rows = []
    for each in curve.candidates:
        step = breakevens.get(each)
        x, y = place(each.hashrate, each.power)
        rows.append(
            PointRow(
                name=each.name,
                trust=each.trust,
                terahash=round(each.hashrate / HASHES_PER_TERAHASH, 1),
                watts=round(each.power),
                efficiency=round(joules_per_terahash(each.power, each.hashrate) or 0.0, 1),
                margin=each.margin(setpoint.value, setpoint.price) - setpoint.fixed,
                average=None if step is None else step.average,
                marginal=None if step is None else step.marginal,
                allowed=each.allowed,
                in_force=each is setpoint.in_force,
                best=each is setpoint.best,
                x=x,
                y=y,
            )
        )
    hull = [place(0.0, 0.0), *(place(each.hashrate, each.power) for each in curve.hull)]
    return PointsView(
        rows=tuple(rows),
        hull="L".join(f"{x} {y}" for x, y in hull),
        line=place(*_breakeven(rig, curve.candidates[-1], most_hashes, most_watts)),
        most_terahash=round(most_hashes / HASHES_PER_TERAHASH),
        most_watts=round(most_watts),
        gain=setpoint.gain,
        valid_until=setpoint.valid_until,
    )


def _breakeven(rig: RigView, point: Candidate, most_hashes: float, most_watts: float) -> tuple[float, float]:
    """Return the hashrate and watts, at the edge of the picture, at which power costs what the hashes earn."""
    setpoint = rig.setpoint
    if setpoint is None or setpoint.value <= 0 or setpoint.price <= 0:
        return 0.0, most_watts
    kwh_per_watt = point.kwh / point.power if point.power else HOURS_PER_DAY / WATTS_PER_KILOWATT
    per_watt = setpoint.price * kwh_per_watt / setpoint.value  # H/s that pay for a watt
    return min(per_watt * most_watts, most_hashes), min(most_watts, most_hashes / per_watt)
