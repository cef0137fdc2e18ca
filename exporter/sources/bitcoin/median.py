"""The median of several bitcoin prices; one far from it is left out and counted."""

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
    """The markets to ask; those that do not answer are done without."""

    kind: Literal["median"] = "median"
    sources: tuple[Annotated[SourceSettings, OneOf("bitcoin", besides="median")], ...] = Field(
        min_length=1, description="Price sources."
    )
    tolerance: float = Field(
        default=0.05, gt=0, le=1, description="A price further than this from the median is left out: 0.05 is 5 %."
    )

    def connect(self, context: SourceContext) -> "_Median":
        """Make the source."""
        return _Median(self, context)


class _Median:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._panel = SourceGroup(named("bitcoin", settings.sources), context)
        self._tolerance = settings.tolerance
        self._max_age = settings.max_age
        self._clock = context.clock

    async def fetch(self) -> Reading[float]:
        """Take the median of those near it, as old as the oldest of them.

        A price older than the median may become is done without while there is a younger one.
        """
        answers = await self._panel.ask()
        now = self._clock()
        readings = [one for one in answers if now - one[1].observed_at <= self._max_age] or answers
        by_name = {name: reading.value for name, reading in readings}
        prices = tuple(by_name.values())
        middle = median(prices)
        self._panel.tell_disagreement("bitcoin_price", middle, prices)
        far = [name for name, price in by_name.items() if abs(price - middle) > self._tolerance * middle]
        self._panel.tell_outliers(by_name, far, middle)
        near = [reading for name, reading in readings if name not in far]
        if not near:
            raise Failure(Reason.IMPLAUSIBLE, f"the prices disagree: {min(prices):g} to {max(prices):g}")
        return Reading(median(reading.value for reading in near), min(reading.observed_at for reading in near))
