"""Kraken's ticker: ``{"error":[],"result":{"XXBTZUSD":{"c":["70370.10000","0.01"]}}}``, under a key of its own."""

from typing import Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource

_ERRORS: Final = {
    "EAPI:Rate limit exceeded": Reason.RATE_LIMITED,
    "EGeneral:Too many requests": Reason.RATE_LIMITED,
    "EService:Unavailable": Reason.NOT_READY,
    "EService:Busy": Reason.NOT_READY,
}


class Settings(HttpSettings, BitcoinSettings):
    """The last trade's price; no login."""

    kind: Literal["kraken"] = "kraken"
    url: str = Field(default="https://api.kraken.com/0/public/Ticker?pair=XBTUSD", description="Where it is asked.")

    def connect(self, context: SourceContext) -> "_Kraken":
        """Make the source."""
        return _Kraken(self, context)


class _Kraken(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Ask for the last trade. Errors come with status 200."""
        answer = await self._endpoint.get_json()
        with translating():
            if answer["error"]:
                error = str(answer["error"][0])
                raise Failure(_ERRORS.get(error, Reason.GARBLED), f"Kraken answered {error:.60}")
            (pair,) = answer["result"].items()
            name, ticker = pair
            if not name.endswith("USD"):
                raise Failure(Reason.IMPLAUSIBLE, f"a price of {name!r:.20} where USD was expected")
            return Reading(number(ticker["c"][0]), self._clock())
