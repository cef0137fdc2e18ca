"""The efficiency curve of each model and firmware: the points that its rigs have in common, at their medians."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from exporter.decision.setpoints import SiteSetpoints
from exporter.economics.points import Candidate, Curve, lower_hull
from exporter.economics.values import PowerSource
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import HASHES_PER_TERAHASH

_KEPT_SECONDS: Final = 60.0
_MOST_MODELS: Final = 50
_MOST_POINTS: Final = 20
"""Of models, and of points of one model: those that most rigs have."""


class Product(NamedTuple):
    """What rigs have in common that share a curve."""

    model: str
    firmware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPoint:
    """One point of a model's curve: medians over the rigs at which it can be judged."""

    name: str
    rigs: int
    hashrate: float  # H/s
    power: float  # W at the rig
    marginal: float | None  # J/TH of the step to it; None if it is above the lower convex hull


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCurve:
    """The curve of one model and firmware, by rising power.

    ``breakeven`` is the J/TH at the rig at which power costs what the hashes earn: the median over the rigs, at their
    own marginal prices. None if no price is above 0.
    """

    product: Product
    points: tuple[ModelPoint, ...]
    breakeven: float | None


class ModelCurves:
    """Makes the curves. The points are kept for a minute, as they change slowly; prices are not."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._points: dict[Product, tuple[ModelPoint, ...]] = {}

    def curves(self, snapshot: SiteSnapshot, setpoints: SiteSetpoints) -> tuple[ModelCurve, ...]:
        """Return the curve of each model and firmware that has points. None without setpoints."""
        if not setpoints.rigs:
            self._at = None
            return ()
        if self._at is None or not self._points or not 0 <= snapshot.taken_at - self._at < _KEPT_SECONDS:
            self._at, self._points = snapshot.taken_at, dict(_points(snapshot, setpoints.curves))
        breakevens = _breakevens(snapshot, setpoints)
        return tuple(
            ModelCurve(product=product, points=points, breakeven=breakevens.get(product))
            for product, points in self._points.items()
        )


def _products(snapshot: SiteSnapshot) -> Iterator[Product | None]:
    for rig in snapshot.rigs:
        yield None if rig.identity is None else Product(rig.identity.model, rig.identity.firmware)


def _points(snapshot: SiteSnapshot, curves: Sequence[Curve]) -> Iterator[tuple[Product, tuple[ModelPoint, ...]]]:
    members: dict[Product, list[Curve]] = defaultdict(list)
    for product, curve in zip(_products(snapshot), curves, strict=True):
        if product is not None and curve.trusted:
            members[product].append(curve)
    largest = sorted(members, key=lambda product: (-len(members[product]), product))[:_MOST_MODELS]
    for product in sorted(largest):
        if points := _curve(members[product]):
            yield product, points


def _curve(curves: Sequence[Curve]) -> tuple[ModelPoint, ...]:
    found: dict[str, list[Candidate]] = defaultdict(list)
    for curve in curves:
        for each in curve.candidates:
            if each.checked and each.allowed:
                found[each.name].append(each)
    counts = Counter({name: len(each) for name, each in found.items()})
    common = [name for name, _ in counts.most_common(_MOST_POINTS)]
    medians = sorted((_median(found[name]) for name in common), key=lambda each: (each.kwh, -each.hashrate))
    hull, slopes = lower_hull(medians)
    marginal = {point.name: slope * HASHES_PER_TERAHASH for point, slope in zip(hull, slopes, strict=True)}
    return tuple(
        ModelPoint(
            name=each.name,
            rigs=counts[each.name],
            hashrate=each.hashrate,
            power=each.power,
            marginal=marginal.get(each.name),
        )
        for each in medians
    )


def _median(same: Sequence[Candidate]) -> Candidate:
    """Return a point of many rigs as one whose energy is its power at the rig, in W. Meters count before rigs."""
    same = [each for each in same if each.source is PowerSource.METERED] or same
    power = median(each.power for each in same)
    first = same[0]
    return Candidate(
        name=first.name,
        hashrate=median(each.hashrate for each in same),
        power=power,
        source=first.source,
        kwh=power,
        trust=first.trust,
        error=first.error,
    )


def _breakevens(snapshot: SiteSnapshot, setpoints: SiteSetpoints) -> dict[Product, float]:
    found: dict[Product, list[float]] = defaultdict(list)
    for product, setpoint, curve in zip(_products(snapshot), setpoints.rigs, setpoints.curves, strict=True):
        if product is None or setpoint is None or setpoint.price <= 0:
            continue
        point = setpoint.in_force or curve.candidates[0]
        watts = setpoint.value / setpoint.price * point.power / point.kwh  # at the rig, that one H/s pays for
        found[product].append(watts * HASHES_PER_TERAHASH)
    return {product: median(each) for product, each in found.items()}
