"""Akash's statistics of open bids: ``{"models":[{"model":"h100","ram":"80Gi","interface":"SXM5","price":{...}}]}``.

https://akash.network/docs. Its lowest and highest bid are no percentiles, so the price has no low and no high.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Commitment, Reading
from exporter.sources.ai_prices import AiPriceSettings, Prices, Quote, prices_of, readable
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource


class Settings(HttpSettings, AiPriceSettings):
    """One request for all models; all prices are interruptible. No login."""

    kind: Literal["akash"] = "akash"
    url: str = Field(default="https://console-api.akash.network/v1/gpu-prices", description="Address of the API.")

    @property
    def commitments(self) -> frozenset[Commitment]:
        """Which prices the feed has."""
        return frozenset({Commitment.INTERRUPTIBLE})

    def connect(self, context: SourceContext) -> "_Akash":
        """Create the source."""
        return _Akash(self, context)


class _Akash(HttpSource[Settings]):
    async def fetch(self) -> Reading[Prices]:
        """Request all models. A model without a free GPU or a bid has no price."""
        answer = await self._endpoint.get_json()
        with translating():
            quotes = readable(answer["models"], lambda model: [_quote(model)], self._discards)
        return prices_of(quotes, self._settings, self._discards, self._clock())


def _quote(model: Mapping[str, Any]) -> Quote:
    price, available = model["price"], integer(model["availability"]["available"])
    if price is not None and price["currency"] != "USD":
        raise Failure(Reason.IMPLAUSIBLE, f"prices in {price['currency']!s:.10}, not in USD")
    return Quote(
        model=" ".join(str(model[part]) for part in ("model", "interface", "ram")),
        commitment=Commitment.INTERRUPTIBLE,
        price=None if price is None or available <= 0 else number(price["med"]),
        offers=available,
    )
