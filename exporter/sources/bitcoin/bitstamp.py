"""Bitstamp's ticker: ``{"timestamp":"1774094400","last":"70370"}``, all values as text."""

from typing import Literal

from pydantic import Field

from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings, contradicted
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource


class Settings(HttpSettings, BitcoinSettings):
    """The price of the last trade. No login."""

    kind: Literal["bitstamp"] = "bitstamp"
    url: str = Field(default="https://www.bitstamp.net/api/v2/ticker/btcusd/", description="Address of the API.")

    def connect(self, context: SourceContext) -> "_Bitstamp":
        """Create the source."""
        return _Bitstamp(self, context)


class _Bitstamp(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Request the last trade, with the market's time."""
        answer = await self._endpoint.get_json()
        with translating():
            price = number(answer["last"])
            contradicted(price, _optional(answer.get("bid")), _optional(answer.get("ask")))
            return Reading(price, min(number(answer["timestamp"]), self._clock()))


def _optional(value: object) -> float | None:
    return None if value is None else number(value)
