"""The last six hours of the site and its blocks in memory, one point a minute, for the charts of the pages."""

import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

from exporter.economics.values import BlockEconomics
from exporter.exposition.views import SiteView
from exporter.model.units import total

POINTS: Final = 360
_MINUTE: Final = 60.0  # s
_MOST_BLOCKS: Final = 500
"""Blocks that are kept: with the site, 4.3 MB. Those beyond have no chart."""

SERIES: Final = ("margin", "price", "hashrate")
"""USD per day; USD per kWh, of what running costs now; H/s."""
_NOTHING: Final = array("d", [nan]) * POINTS


@dataclass(frozen=True, slots=True)
class Course:
    """The values of one series by minute, the oldest first; None where it was unknown. ``end`` is in unix seconds."""

    name: str
    values: Sequence[float | None]
    end: float

    @property
    def known(self) -> list[float]:
        """The values without the gaps."""
        return [value for value in self.values if value is not None]


class Rings:
    """The courses of margin, power price and hashrate. It holds nothing per rig, and a restart begins anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._site: tuple[array[float], ...] = ()
        self._blocks: dict[str, tuple[array[float], ...]] = {}

    def note(self, view: SiteView) -> None:
        """Keep the evaluation as that of its minute. Called in the thread that publishes."""
        blocks = view.economics.blocks
        with self._lock:
            self._turn(int(view.snapshot.taken_at // _MINUTE))
            self._site = self._site or _ring()
            self._put(self._site, _of_site(blocks))
            names = {block.name for block in blocks}
            self._blocks = {name: ring for name, ring in self._blocks.items() if name in names}
            for block in blocks:
                if block.name in self._blocks or len(self._blocks) < _MOST_BLOCKS:
                    self._put(self._blocks.setdefault(block.name, _ring()), _of_block(block))

    def site(self) -> list[Course]:
        """Return the courses of the site that have a known value."""
        with self._lock:
            return list(self._courses(self._site))

    def blocks(self) -> dict[str, list[Course]]:
        """Return the courses of every block that is kept."""
        with self._lock:
            return {name: list(self._courses(ring)) for name, ring in self._blocks.items()}

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return sum(each.itemsize * len(each) for ring in (self._site, *self._blocks.values()) for each in ring)

    def _turn(self, minute: int) -> None:
        """Go to a minute. The minutes that were left out are unknown; a clock that is set back begins anew."""
        passed = minute - self._minute
        self._minute = minute
        if not 0 <= passed < POINTS:
            self._site, self._blocks = (), {}
            return
        for ring in (self._site, *self._blocks.values()):
            for values in ring:
                for skipped in range(minute - passed + 1, minute + 1):
                    values[skipped % POINTS] = nan

    def _put(self, ring: tuple["array[float]", ...], values: Iterable[float | None]) -> None:
        for kept, value in zip(ring, values, strict=True):
            kept[self._minute % POINTS] = nan if value is None else value

    def _courses(self, ring: tuple["array[float]", ...]) -> Iterator[Course]:
        start = (self._minute + 1) % POINTS
        for name, values in zip(SERIES, ring, strict=False):
            ordered = [*values[start:], *values[:start]]
            course = Course(name, [None if isnan(value) else value for value in ordered], self._minute * _MINUTE)
            if course.known:
                yield course


def _ring() -> tuple["array[float]", ...]:
    return tuple(array("d", _NOTHING) for _ in SERIES)


def _of_site(blocks: Sequence[BlockEconomics]) -> tuple[float | None, ...]:
    priced = [
        (block.marginal_price, block.judged_power)
        for block in blocks
        if block.marginal_price is not None and block.judged_power
    ]
    power = sum(watts for _, watts in priced)
    price = sum(price * watts for price, watts in priced) / power if power else None
    return total(block.margin for block in blocks), price, total(block.hashrate for block in blocks)


def _of_block(block: BlockEconomics) -> tuple[float | None, ...]:
    return block.margin, block.marginal_price, block.hashrate
