"""A mempool instance's price: ``{"time":1774094400,"USD":70370,"EUR":65157}``. No exchange rate is derived from it."""

from typing import Literal

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource


class Settings(HttpSettings, BitcoinSettings):
    """One instance. It updates its prices every hour."""

    kind: Literal["mempool"] = "mempool"
    url: str = Field(default="https://mempool.space", description="Address of the instance, without /api.")
    interval: Duration = Field(default=300.0, description="How often the value is requested.")
    max_age: Duration = Field(default=5400.0, description="A value older than this is not used.")

    def connect(self, context: SourceContext) -> "_Mempool":
        """Create the source."""
        return _Mempool(self, context)


class _Mempool(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Request the price, with the time of the instance."""
        answer = await self._endpoint.get_json("/api/v1/prices")
        with translating():
            return Reading(number(answer["USD"]), min(number(answer["time"]), self._clock()))
