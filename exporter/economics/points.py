"""Operating points as choices: which of them, or standing still, earns most at a price of power.

The rule is to maximise ``value x hashrate - price x energy`` over all points and off. A step from one point to the next
pays while the price is below the value of its hashes over its energy: its marginal efficiency decides, not its average.
Both agree on the lower convex hull of the points and off only, so points above the hull are dropped first.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf, isfinite
from statistics import median
from typing import Final, NamedTuple, Self

from exporter.economics.settings import PointsSettings
from exporter.economics.values import PowerSource
from exporter.model.points import LearnedPoint, PointList
from exporter.model.snapshot import RigSnapshot

_OLD: Final = 5.0
"""How many times a point's error has grown when it is about to be forgotten."""
_LEAST_POOL: Final = 3
_EFFICIENCY_RANGE: Final = 2.0
"""How far the efficiency of a rig's points may be apart: profiles of one rig differ by a third at most."""
_MOST_HASHES: Final = 2.0
"""Of what was measured, or of the rating: no estimate beyond it is believed."""


class Trust(StrEnum):
    """Where the figures of a point come from, best first."""

    MEASURED = "measured"  # on this rig
    POOLED = "pooled"  # on other rigs of its model and firmware
    ESTIMATE = "estimate"  # the firmware's


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A point that can be judged, equal only to itself.

    ``checked`` is False for an estimate that no measurement on the rig has corrected.
    """

    name: str
    hashrate: float  # H/s
    power: float  # W at the rig, or at its meter; see `source`
    source: PowerSource
    kwh: float  # billed per day
    trust: Trust
    error: float  # 0-1, by which the energy may be off
    tuned: bool | None = None
    allowed: bool = True
    checked: bool = True

    def margin(self, value: float, price: float) -> float:
        """Return the margin in USD per day at ``value`` (USD per H/s and day) and ``price`` (USD per kWh)."""
        return value * self.hashrate - price * self.kwh


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of one rig.

    Attributes:
        candidates: All that can be judged, by rising energy.
        hull: Those allowed and checked that are on the lower convex hull of the points and off, by rising energy.
        slopes: kWh per day per H/s of the step to each point of ``hull``; they rise.
        estimate_error: How far the firmware's watts are off at the point that was measured last: 0.1 if the rig draws a
            tenth more. None if no listed point was measured.
        refuted: Whether the firmware's list is too far off to be used.
        proven: The allowed points that were measured on this rig.
        trusted: How many points are measured, pooled, or estimates that measurements have corrected.
        by_name: The candidates by name.
    """

    candidates: tuple[Candidate, ...] = ()
    hull: tuple[Candidate, ...] = ()
    slopes: tuple[float, ...] = ()
    estimate_error: float | None = None
    refuted: bool = False
    proven: tuple[Candidate, ...] = ()
    trusted: int = 0
    by_name: Mapping[str, Candidate] = field(default_factory=dict)

    @classmethod
    def of(cls, candidates: Iterable[Candidate], estimate_error: float | None = None, *, refuted: bool = False) -> Self:
        """Make the curve of these candidates."""
        known = sorted(candidates, key=lambda each: (each.kwh, -each.hashrate))
        hull, slopes = lower_hull([each for each in known if each.allowed and each.checked])
        return cls(
            candidates=tuple(known),
            hull=hull,
            slopes=slopes,
            estimate_error=estimate_error,
            refuted=refuted,
            proven=tuple(each for each in known if each.trust is Trust.MEASURED and each.allowed),
            trusted=sum(each.checked for each in known),
            by_name={each.name: each for each in known},
        )

    def best(self, value: float, price: float) -> Candidate | None:
        """Return the point that earns most; None if standing still does.

        Args:
            value: USD per H/s and day.
            price: USD per kWh, of energy that is not used. Where it is not above 0, more energy is never a cost.
        """
        if price <= 0:
            able = [each for each in self.candidates if each.allowed and each.checked]
            return max(able, key=lambda each: each.margin(value, price), default=None)
        steps = bisect_left(self.slopes, value / price)
        return self.hull[steps - 1] if steps else None


def lower_hull(points: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], tuple[float, ...]]:
    """Return the points on the lower convex hull of energy over hashrate, off included, with the slope to each.

    Args:
        points: By rising energy.
    """
    hull: list[Candidate] = []
    slopes: list[float] = []
    for point in points:
        if hull and point.hashrate <= hull[-1].hashrate:
            continue
        while True:
            hashrate, kwh = (hull[-1].hashrate, hull[-1].kwh) if hull else (0.0, 0.0)
            slope = (point.kwh - kwh) / (point.hashrate - hashrate)
            if not slopes or slope > slopes[-1]:
                break
            hull.pop()
            slopes.pop()
        hull.append(point)
        slopes.append(slope)
    return tuple(hull), tuple(slopes)


class Step(NamedTuple):
    """The two prices of power (USD per kWh) at which a point of a hull breaks even."""

    point: Candidate
    average: float  # at which it earns nothing
    marginal: float  # at which the step to it from the one below earns nothing


def steps(curve: Curve, value: float) -> tuple[Step, ...]:
    """Return the breakevens of the points on the hull at ``value`` (USD per H/s and day), by rising energy."""
    return tuple(
        Step(point, value * point.hashrate / point.kwh, value / slope)
        for point, slope in zip(curve.hull, curve.slopes, strict=True)
    )


# --- from what is known of a rig to its curve ------------------------------------------------------------------------


PoolKey = tuple[str, str, str]
"""Firmware, model and variant: rigs that share them share points."""


def pool_key(rig: RigSnapshot) -> PoolKey | None:
    """Return the pool that a rig belongs to. None if it was never identified."""
    who, points = rig.identity, rig.points
    if who is None:
        return None
    variant = points.listed.variant if points is not None and points.listed is not None else ""
    return f"{who.make} {who.firmware}", who.model, variant


def pool(rigs: Iterable[RigSnapshot], settings: PointsSettings, now: float) -> dict[PoolKey, dict[str, LearnedPoint]]:
    """Return the medians of what at least three rigs of a pool were measured at, by pool and point."""
    found: dict[tuple[PoolKey, str, bool], list[LearnedPoint]] = {}
    for rig in rigs:
        key = pool_key(rig)
        if key is not None and rig.points is not None:
            for point in rig.points.learned:
                if counts(point, settings, now):
                    found.setdefault((key, point.name, point.metered), []).append(point)
    pools: dict[PoolKey, dict[str, LearnedPoint]] = {}
    for (key, name, metered), points in found.items():
        known = pools.get(key, {}).get(name)
        if len(points) >= _LEAST_POOL and (known is None or metered):
            pools.setdefault(key, {})[name] = replace(
                points[0],
                hashrate=median(point.hashrate for point in points),
                power=median(point.power for point in points),
            )
    return pools


def counts(point: LearnedPoint, settings: PointsSettings, now: float) -> bool:
    """Return whether a learned point is measured, and not too old."""
    return point.seconds >= settings.stable and now - point.observed_at <= settings.forget_after


def curve_of(
    rig: RigSnapshot,
    pooled: Mapping[str, LearnedPoint],
    kwh_per_watt: Mapping[PowerSource, float],
    settings: PointsSettings,
    now: float,
) -> Curve:
    """Return the curve of one rig: measured points first, then its pool's, then the corrected list of its firmware.

    Args:
        rig: The rig.
        pooled: Its pool's points, by name.
        kwh_per_watt: Billed energy per day, by the source of the watts.
        settings: Errors and limits.
        now: Unix seconds.
    """
    points = rig.points
    if points is None:
        return Curve()
    listed = points.listed or PointList()
    limits = _Limits(rig, listed, settings)
    tuned = {point.name: point.tuned for point in listed.points}
    measured = [point for point in points.learned if counts(point, settings, now)]
    scale = _scale(listed, measured, settings)
    known: dict[str, Candidate] = {}
    for point in measured:
        age = max(now - point.observed_at, 0.0) / settings.forget_after  # at most 1: older ones do not count
        error = settings.measured_error * (1 + (_OLD - 1) * age)
        known[point.name] = _learned(point, Trust.MEASURED, error, kwh_per_watt, limits)
    for name, point in pooled.items():
        if name not in known:
            known[name] = _learned(
                point, Trust.POOLED, settings.pooled_error, kwh_per_watt, limits, tuned=tuned.get(name)
            )
    for each in listed.points:
        if each.name in known or each.power is None or each.hashrate is None or scale.refuted:
            continue
        power = each.power * scale.power
        if not scale.believes(each.hashrate * scale.hashrate, power, rig.rig.rated_hashrate):
            continue
        known[each.name] = Candidate(
            name=each.name,
            hashrate=each.hashrate * scale.hashrate,
            power=power,
            source=scale.source,
            kwh=power * kwh_per_watt[scale.source],
            trust=Trust.ESTIMATE,
            error=settings.estimate_error,
            tuned=each.tuned,
            allowed=limits.allow(each.name, power),
            checked=scale.checked,
        )
    sound = [each for each in known.values() if each.hashrate > 0 and each.kwh > 0 and isfinite(each.kwh)]
    return Curve.of(sound, scale.estimate_error, refuted=scale.refuted)


class _Limits:
    """What is never advised: more than the maker, the firmware or the operator allows."""

    def __init__(self, rig: RigSnapshot, listed: PointList, settings: PointsSettings) -> None:
        share, rated = settings.most_of_rated_power, rig.rig.rated_power
        own = inf if share is None or rated is None else share * rated
        self._most = min(own, listed.power_limit or inf)
        self._disallowed = {point.name for point in listed.points if not point.allowed}

    def allow(self, name: str, power: float) -> bool:
        return name not in self._disallowed and power <= self._most


def _learned(
    point: LearnedPoint,
    trust: Trust,
    error: float,
    kwh_per_watt: Mapping[PowerSource, float],
    limits: _Limits,
    *,
    tuned: bool | None = None,
) -> Candidate:
    source = PowerSource.METERED if point.metered else PowerSource.REPORTED
    return Candidate(
        name=point.name,
        hashrate=point.hashrate,
        power=point.power,
        source=source,
        kwh=point.power * kwh_per_watt[source],
        trust=trust,
        error=error,
        tuned=tuned,
        allowed=limits.allow(point.name, point.power),
    )


class _Scale(NamedTuple):
    """How the firmware's list is corrected by what was measured at points in it."""

    power: float = 1.0
    hashrate: float = 1.0
    source: PowerSource = PowerSource.REPORTED
    estimate_error: float | None = None
    refuted: bool = False
    checked: bool = False
    efficiency: float = 0.0  # W per H/s, median of what was measured
    most: float = 0.0  # H/s, that were measured

    def believes(self, hashrate: float, power: float, rated: float | None) -> bool:
        """Return whether an estimate can be true beside what was measured. Without a measurement nothing is refused."""
        if not self.checked:
            return True
        worse = power / hashrate / self.efficiency if hashrate > 0 else 0.0
        return 1 / _EFFICIENCY_RANGE <= worse <= _EFFICIENCY_RANGE and hashrate <= _MOST_HASHES * max(
            self.most, rated or 0.0
        )


def _scale(listed: PointList, measured: Sequence[LearnedPoint], settings: PointsSettings) -> _Scale:
    """Compare what was measured with the list. Meters count before the rig's own watts."""
    by_name = {point.name: point for point in listed.points}
    pairs = [(point, by_name[point.name]) for point in measured if point.name in by_name]
    pairs = [(point, each) for point, each in pairs if each.power and each.hashrate and point.hashrate > 0]
    metered = any(point.metered for point, _ in pairs)
    ratios = [
        (point.observed_at, point.power / each.power, point.hashrate / each.hashrate)
        for point, each in pairs
        if point.metered is metered and each.power and each.hashrate
    ]
    if not ratios:
        return _Scale()
    power, hashrate = median(ratio for _, ratio, _ in ratios), median(ratio for _, _, ratio in ratios)
    off = max(max(abs(watts - 1), abs(rate - 1)) for _, watts, rate in ratios)
    return _Scale(
        power=power,
        hashrate=hashrate,
        source=PowerSource.METERED if metered else PowerSource.REPORTED,
        estimate_error=max(ratios)[1] - 1,
        refuted=off > settings.refuted_above,
        checked=True,
        efficiency=median(point.power / point.hashrate for point, _ in pairs),
        most=max(point.hashrate for point, _ in pairs),
    )
