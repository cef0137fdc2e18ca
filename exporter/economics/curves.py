"""The curves of all rigs, made anew only where something has changed."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from exporter.economics.points import Curve, PoolKey, curve_of, pool, pool_key
from exporter.economics.power import billed_per_watt
from exporter.economics.settings import PointsSettings, SiteSettings
from exporter.economics.values import PowerSource
from exporter.model.points import LearnedPoint, RigPoints
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import HOURS_PER_DAY, kilowatts

_POOL_SECONDS: Final = 600.0
_AGE_SECONDS: Final = 86_400.0
_MOST_NEW: Final = 1_500
"""Curves that are made at one evaluation; the others follow at the next ones."""
_NO_POINTS: Final[Mapping[str, LearnedPoint]] = {}
_NO_CURVE: Final = Curve()


class _Made(NamedTuple):
    """A curve and what it was made of."""

    points: RigPoints | None
    rated_power: float | None
    pooled: Mapping[str, LearnedPoint]
    kwh_per_watt: Mapping[PowerSource, float]
    at: float
    curve: Curve


class CurveBook:
    """Keeps the curves between evaluations.

    At most 1,500 curves are made at one evaluation, the oldest first. Until its turn a rig keeps its former curve if
    only its points have changed, and has no points if it is new or its settings have changed.
    """

    def __init__(self) -> None:
        self._settings: PointsSettings | None = None
        self._made: dict[str, _Made] = {}
        self._pools: dict[PoolKey, dict[str, LearnedPoint]] = {}
        self._pooled_at: float | None = None
        self._factors: dict[str, Mapping[PowerSource, float]] = {}

    def curves(self, snapshot: SiteSnapshot, settings: SiteSettings) -> dict[str, Curve]:
        """Return the curve of each rig by its name. Empty if points are not configured."""
        points, now = settings.points, snapshot.taken_at
        if points is None:
            self._made.clear()
            return {}
        if points != self._settings:
            self._settings, self._pooled_at = points, None
            self._made.clear()
        if self._pooled_at is None or not 0 <= now - self._pooled_at < min(_POOL_SECONDS, points.stable):
            self._pool(snapshot, points)
        self._factors = {tariff: self._factor(tariff, settings) for tariff in {rig.rig.tariff for rig in snapshot.rigs}}
        former, made, due = self._made, dict[str, _Made](), list[RigSnapshot]()
        for rig in snapshot.rigs:
            name = rig.rig.name
            known = former.get(name)
            if known is not None and self._same_settings(known, rig):
                made[name] = known
                if not self._same_points(known, rig, now):
                    due.append(rig)
            else:
                due.append(rig)
        if len(due) > _MOST_NEW:
            due.sort(key=lambda rig: made[rig.rig.name].at if rig.rig.name in made else now - _AGE_SECONDS)
        for rig in due[:_MOST_NEW]:
            made[rig.rig.name] = self._make(rig, points, now)
        self._made = made
        return {rig.rig.name: made[rig.rig.name].curve if rig.rig.name in made else _NO_CURVE for rig in snapshot.rigs}

    def _pool(self, snapshot: SiteSnapshot, points: PointsSettings) -> None:
        new = pool(snapshot.rigs, points, snapshot.taken_at)
        self._pools = {key: old if (old := self._pools.get(key)) == known else known for key, known in new.items()}
        self._pooled_at = snapshot.taken_at

    def _factor(self, tariff: str, settings: SiteSettings) -> Mapping[PowerSource, float]:
        """Return the billed kWh per day and watt by source: the same object until they change."""
        power = settings.at(tariff)[1]
        new = {source: HOURS_PER_DAY * kilowatts(billed_per_watt(source, power)) for source in PowerSource}
        known = self._factors.get(tariff)
        return known if known == new else new

    def _same_settings(self, made: _Made, rig: RigSnapshot) -> bool:
        return made.kwh_per_watt is self._factors[rig.rig.tariff] and made.rated_power == rig.rig.rated_power

    def _same_points(self, made: _Made, rig: RigSnapshot, now: float) -> bool:
        return made.points is rig.points and made.pooled is self._pooled(rig) and 0 <= now - made.at < _AGE_SECONDS

    def _pooled(self, rig: RigSnapshot) -> Mapping[str, LearnedPoint]:
        key = pool_key(rig)
        return _NO_POINTS if key is None else self._pools.get(key, _NO_POINTS)

    def _make(self, rig: RigSnapshot, settings: PointsSettings, now: float) -> _Made:
        pooled, factors = self._pooled(rig), self._factors[rig.rig.tariff]
        curve = curve_of(rig, pooled, factors, settings, now)
        return _Made(rig.points, rig.rig.rated_power, pooled, factors, now, curve)
