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
_NO_POINTS: Final[Mapping[str, LearnedPoint]] = {}


class _Made(NamedTuple):
    """A curve and what it was made of."""

    points: RigPoints | None
    rated_power: float | None
    pooled: Mapping[str, LearnedPoint]
    kwh_per_watt: Mapping[PowerSource, float]
    at: float
    curve: Curve


class CurveBook:
    """Keeps the curves between evaluations. The same inputs give the same curves, whatever was kept."""

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
        if self._pooled_at is None or not 0 <= now - self._pooled_at < _POOL_SECONDS:
            self._pool(snapshot, points)
        self._factors = {tariff: self._factor(tariff, settings) for tariff in {rig.rig.tariff for rig in snapshot.rigs}}
        made = {rig.rig.name: self._make(rig, points, now) for rig in snapshot.rigs}
        self._made = made
        return {name: each.curve for name, each in made.items()}

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

    def _make(self, rig: RigSnapshot, settings: PointsSettings, now: float) -> _Made:
        key = pool_key(rig)
        pooled = _NO_POINTS if key is None else self._pools.get(key, _NO_POINTS)
        factors, rated = self._factors[rig.rig.tariff], rig.rig.rated_power
        made = self._made.get(rig.rig.name)
        if (
            made is not None
            and made.points is rig.points
            and made.pooled is pooled
            and made.kwh_per_watt is factors
            and made.rated_power == rated
            and 0 <= now - made.at < _AGE_SECONDS
        ):
            return made
        return _Made(rig.points, rated, pooled, factors, now, curve_of(rig, pooled, factors, settings, now))
