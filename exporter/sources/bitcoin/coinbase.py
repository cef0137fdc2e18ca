"""Coinbase's spot price: ``{"data":{"amount":"104123.45","base":"BTC","currency":"USD"}}``."""

from typing import Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource


class Settings(HttpSettings, BitcoinSettings):
    """The public spot price. No login."""

    kind: Literal["coinbase"] = "coinbase"
    url: str = Field(default="https://api.coinbase.com/v2/prices/BTC-USD/spot", description="Address of the API.")

    def connect(self, context: SourceContext) -> "_Coinbase":
        """Create the source."""
        return _Coinbase(self, context)


class _Coinbase(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Request the spot price."""
        answer = await self._endpoint.get_json()
        with translating():
            currency = answer["data"].get("currency", "USD")
            if currency != "USD":
                raise Failure(Reason.IMPLAUSIBLE, f"a price in {currency!r:.10} where USD was expected")
            return Reading(number(answer["data"]["amount"]), self._clock())
