"""Charts of the last six hours, as lines of an SVG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from aiohttp import web

from exporter.server.pages.template import hashrate, usd
from exporter.server.rings import POINTS, Course, Rings

WIDTH: Final = POINTS
HEIGHT: Final = 60
_LEAST_RANGE: Final = 0.02  # of the largest value: a change of less is no mountain

RINGS: Final = web.AppKey("rings", Rings)

_TITLES: Final[Mapping[str, tuple[str, Callable[[float], str]]]] = {
    "margin": ("Margin per day", usd),
    "price": ("Price of power at the margin, per kWh", lambda price: usd(price, 4)),
    "hashrate": ("Hashrate", hashrate),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One line. ``path`` is the data of an SVG path; ``zero`` is the height of zero, None if it is outside."""

    title: str
    least: str
    most: str
    now: str | None  # None if it is unknown now
    path: str
    zero: float | None
    end: float  # unix seconds


def charts(courses: Sequence[Course]) -> list[Chart]:
    """Draw each course. A gap is a gap in the line."""
    return [_chart(course) for course in courses]


def _chart(course: Course) -> Chart:
    title, write = _TITLES[course.name]
    low, high = min(course.known), max(course.known)
    least = _LEAST_RANGE * max(abs(low), abs(high))
    room = max(high - low, least)
    low -= max(0.0, least - (high - low)) / 2

    def height(value: float) -> float:
        return round(HEIGHT * (0.95 - 0.9 * (value - low) / room if room else 0.5), 1)

    parts = []
    for (_, before), (minute, value) in pairwise([(-1, None), *enumerate(course.values)]):
        if value is not None:
            parts.append(f"{'M' if before is None else 'L'}{minute} {height(value)}")
            if before is None:
                parts.append("h.5")  # a point on its own
    now = course.values[-1]
    return Chart(
        title=title,
        least=write(min(course.known)),
        most=write(high),
        now=None if now is None else write(now),
        path="".join(parts),
        zero=height(0.0) if low < 0 < high else None,
        end=course.end,
    )
