"""Curves to test with: the points that firmware lists for two rigs, as recorded and published."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporter.economics.points import Candidate, Curve, Trust
from exporter.economics.values import PowerSource

S19K_PRO = (
    ("190MHz", 39.2, 784.0),
    ("290MHz", 59.8, 1_188.0),
    ("390MHz", 80.5, 1_657.0),
    ("490MHz", 101.1, 2_192.0),
    ("default", 121.8, 2_794.0),
    ("690MHz", 142.4, 3_461.0),
    ("790MHz", 163.1, 4_195.0),
)
"""LuxOS: name, TH/s, W."""
S19_XP = (
    ("80 TH/s", 80.0, 1_700.0),
    ("100 TH/s", 100.0, 2_200.0),
    ("120 TH/s", 120.0, 2_700.0),
    ("142 TH/s", 142.0, 3_350.0),
    ("154 TH/s", 154.0, 3_850.0),
    ("169 TH/s", 169.0, 4_400.0),
)
HASHPRICE = 33.30
VALUE = HASHPRICE / 1e15
"""USD per H/s and day."""


def candidate(name: str, terahash: float, watts: float, **fields: Any) -> Candidate:
    base = Candidate(
        name=name,
        hashrate=terahash * 1e12,
        power=watts,
        source=PowerSource.REPORTED,
        kwh=watts * 0.024,
        trust=Trust.MEASURED,
        error=0.01,
    )
    return replace(base, **fields)


def curve(points: Sequence[tuple[str, float, float]] = S19K_PRO) -> Curve:
    return Curve.of(candidate(*point) for point in points)
