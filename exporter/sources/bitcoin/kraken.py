"""Kraken's ticker: ``{"error":[],"result":{"XXBTZUSD":{"c":["70370.10000","0.01"]}}}``.

The key of the result differs from the requested pair.
"""

from typing import Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings, contradicted
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource

_ERRORS: Final = {
    "EAPI:Rate limit exceeded": Reason.RATE_LIMITED,
    "EGeneral:Too many requests": Reason.RATE_LIMITED,
    "EService:Unavailable": Reason.NOT_READY,
    "EService:Busy": Reason.NOT_READY,
}


class Settings(HttpSettings, BitcoinSettings):
    """The price of the last trade. No login."""

    kind: Literal["kraken"] = "kraken"
    url: str = Field(default="https://api.kraken.com/0/public/Ticker?pair=XBTUSD", description="Address of the API.")

    def connect(self, context: SourceContext) -> "_Kraken":
        """Create the source."""
        return _Kraken(self, context)


class _Kraken(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Request the last trade. Kraken answers errors with status 200."""
        answer = (await self._endpoint.ask()).check().json()
        with translating():
            if answer["error"]:
                error = str(answer["error"][0])
                raise Failure(_ERRORS.get(error, Reason.GARBLED), f"Kraken answered {error:.60}")
            (pair,) = answer["result"].items()
            name, ticker = pair
            if not name.endswith("USD"):
                raise Failure(Reason.IMPLAUSIBLE, f"a price of {name!r:.20} where USD was expected")
            price = number(ticker["c"][0])
            if "a" in ticker and "b" in ticker:
                contradicted(price, number(ticker["b"][0]), number(ticker["a"][0]))
            return Reading(price, self._clock())
