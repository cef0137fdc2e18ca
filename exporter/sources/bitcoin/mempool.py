"""A mempool instance's price: ``{"time":1774094400,"USD":70370,"EUR":65157}``. No exchange rate is derived from it."""

from typing import Literal

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource


class Settings(HttpSettings, BitcoinSettings):
    """One instance; its prices are refreshed by the hour."""

    kind: Literal["mempool"] = "mempool"
    url: str = Field(default="https://mempool.space", description="Where the instance is, without /api.")
    interval: Duration = Field(default=300.0, description="How often it is asked.")
    max_age: Duration = Field(default=5400.0, description="Past this age its value is refused.")

    def connect(self, context: SourceContext) -> "_Mempool":
        """Make the source."""
        return _Mempool(self, context)


class _Mempool(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Ask for the price, observed when the instance says so."""
        answer = await self._endpoint.get_json("/api/v1/prices")
        with translating():
            return Reading(number(answer["USD"]), min(number(answer["time"]), self._clock()))
