"""Bitstamp's ticker: ``{"timestamp":"1774094400","last":"70370"}``, all in text."""

from typing import Literal

from pydantic import Field

from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource


class Settings(HttpSettings, BitcoinSettings):
    """The last trade's price; no login."""

    kind: Literal["bitstamp"] = "bitstamp"
    url: str = Field(default="https://www.bitstamp.net/api/v2/ticker/btcusd/", description="Where it is asked.")

    def connect(self, context: SourceContext) -> "_Bitstamp":
        """Make the source."""
        return _Bitstamp(self, context)


class _Bitstamp(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Ask for the last trade, observed when the market says so."""
        answer = await self._endpoint.get_json()
        with translating():
            return Reading(number(answer["last"]), min(number(answer["timestamp"]), self._clock()))
