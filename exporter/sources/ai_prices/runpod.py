"""RunPod's list prices, from its GraphQL API: USD per GPU-hour by type; null is no stock, not free.

https://docs.runpod.io.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.readings import Commitment, Reading
from exporter.sources.ai_prices import AiPriceSettings, Prices, Quote, prices_of, readable
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource

_QUERY: Final = (
    "query{gpuTypes{id displayName memoryInGb securePrice communityPrice "
    "lowestPrice(input:{gpuCount:1}){minimumBidPrice uninterruptablePrice}}}"
)


class Settings(HttpSettings, AiPriceSettings):
    """One request for all types. `bearer_token` is the key."""

    kind: Literal["runpod"] = "runpod"
    url: str = Field(default="https://api.runpod.io/graphql", description="Address of the API.")
    interruptible: Literal["community", "bid"] = Field(
        default="community",
        description="The interruptible price: that of community hosts, or the lowest bid. A bid that is not "
        "below the on-demand price is no bid, and is absent.",
    )

    @property
    def commitments(self) -> frozenset[Commitment]:
        """Which prices the feed has."""
        return frozenset(Commitment)

    def connect(self, context: SourceContext) -> "_Runpod":
        """Create the source."""
        return _Runpod(self, context)


class _Runpod(HttpSource[Settings]):
    async def fetch(self) -> Reading[Prices]:
        """Request all types."""
        answer = (await self._endpoint.ask("POST", payload={"query": _QUERY})).check()
        document = answer.json()
        answer.check_stated(document)
        with translating():
            quotes = readable(document["data"]["gpuTypes"], self._quotes, self._discards)
        return prices_of(quotes, self._settings, self._discards, self._clock())

    def _quotes(self, gpu: Mapping[str, Any]) -> Iterator[Quote]:
        """Yield the firm and the interruptible price of a type. The id names form and memory more fully."""
        lowest = gpu["lowestPrice"] or {}
        prices = {Commitment.FIRM: gpu["securePrice"], Commitment.INTERRUPTIBLE: gpu["communityPrice"]}
        if self._settings.interruptible == "bid":
            prices[Commitment.INTERRUPTIBLE] = _bid(lowest.get("minimumBidPrice"), lowest.get("uninterruptablePrice"))
        for commitment, price in prices.items():
            # 0 is what a cloud answers that does not have the type
            value = None if price is None or not number(price) else number(price)
            yield Quote(model=str(gpu["id"]), commitment=commitment, price=value)


def _bid(bid: Any, on_demand: Any) -> Any:
    """Return the lowest bid; None if it is the on-demand price under another name, as it often is."""
    return None if bid is not None and on_demand is not None and number(bid) >= number(on_demand) else bid
