"""The median of several bitcoin prices. A price far from it is left out and counted."""

from collections.abc import Mapping
from statistics import median
from typing import Annotated, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.group import SourceGroup, named
from exporter.sources.registry import OneOf


class Settings(BitcoinSettings):
    """The markets to request. Those that fail are left out."""

    kind: Literal["median"] = "median"
    sources: tuple[Annotated[SourceSettings, OneOf("bitcoin", besides="median")], ...] = Field(
        min_length=1, description="Price sources."
    )
    tolerance: float = Field(
        default=0.05, gt=0, le=1, description="A price further than this from the median is left out: 0.05 is 5 %."
    )

    def connect(self, context: SourceContext) -> "_Median":
        """Create the source."""
        return _Median(self, context)


class _Median:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._group = SourceGroup(named("bitcoin", settings.sources), context)
        self._tolerance = settings.tolerance
        self._max_age = settings.max_age
        self._clock = context.clock
        self._last: Reading[float] | None = None
        self.seconded = False

    async def fetch(self) -> Reading[float]:
        """Return the median of the prices near it, with the time of the oldest of them.

        A price older than ``max_age`` of the median is left out if there is a younger one.
        """
        answers = await self._group.ask()
        now = self._clock()
        readings = [one for one in answers if now - one[1].observed_at <= self._max_age] or answers
        by_name = {name: reading.value for name, reading in readings}
        middle = median(by_name.values())
        self._group.export_disagreement("bitcoin_price", middle, tuple(by_name.values()))
        far = [name for name, price in by_name.items() if abs(price - middle) > self._tolerance * middle]
        self._group.export_deviations(by_name, far, middle)
        near = [reading for name, reading in readings if name not in far]
        if not near:
            raise Failure(Reason.IMPLAUSIBLE, self._disagreement(by_name, now))
        self.seconded = len(near) > 1 or any(self._group.weighed(name) for name in by_name if name not in far)
        self._last = Reading(median(reading.value for reading in near), min(reading.observed_at for reading in near))
        return self._last

    def _disagreement(self, prices: Mapping[str, float], now: float) -> str:
        """Describe prices that are all far from their median, and name those that left the last median."""
        listed = ", ".join(f"{name} {price:,.0f}" for name, price in prices.items())
        last = self._last
        if last is None or now - last.observed_at > self._max_age:
            return f"the prices disagree: {listed}"
        strayed = [name for name, price in prices.items() if abs(price - last.value) > self._tolerance * last.value]
        return f"the prices disagree: {listed}; far from the last price {last.value:,.0f}: {', '.join(strayed)}"
