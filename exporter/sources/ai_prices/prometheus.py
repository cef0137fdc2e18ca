"""GPU prices in a Prometheus, such as those of vast.ai that 500farm's vastai_exporter provides."""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from exporter.model.readings import Reading
from exporter.sources.ai_prices import ForeignSettings, Prices, Quote, prices_of
from exporter.sources.ai_prices.vastai_exporter import HIGH, LOW, MEDIAN
from exporter.sources.contract import SourceContext
from exporter.sources.exchange import ExchangeRate
from exporter.sources.http import HttpSource
from exporter.sources.prometheus import PrometheusSettings, ask_by_label

_GROUP: Final = '{verified="yes",rented="any"}'


class Settings(PrometheusSettings, ForeignSettings):
    """Queries that return one series per GPU model, in ``currency`` per GPU-hour. By default, vast.ai's on-demand."""

    kind: Literal["prometheus"] = "prometheus"
    query: str = Field(default=f"{MEDIAN}{_GROUP}", min_length=1, description="The PromQL query of the price.")
    low_query: str | None = Field(
        default=f"{LOW}{_GROUP}", description="The query of the 10th percentile; null if there is none."
    )
    high_query: str | None = Field(
        default=f"{HIGH}{_GROUP}", description="The query of the 90th percentile; null if there is none."
    )
    gpu_label: str = Field(default="gpu_name", description="Label with the GPU model.")

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._rate = None if settings.fx is None else ExchangeRate(settings.currency, settings.fx, context)

    async def fetch(self) -> Reading[Prices]:
        """Evaluate the queries."""
        settings, now = self._settings, self._clock()
        rate = 1.0 if self._rate is None else await self._rate.fetch()
        prices, at = await self._ask(settings.query)
        low = {} if settings.low_query is None else (await self._ask(settings.low_query))[0]
        high = {} if settings.high_query is None else (await self._ask(settings.high_query))[0]
        quotes = [
            Quote(
                model=model,
                commitment=settings.commitment,
                price=price * rate,
                low=_times(low, model, rate),
                high=_times(high, model, rate),
                observed_at=min(at, now),
            )
            for model, price in prices.items()
        ]
        return prices_of(quotes, settings, self._discards, now)

    async def _ask(self, query: str) -> tuple[Mapping[str, float], float]:
        return await ask_by_label(self._endpoint, query, self._settings.gpu_label, self._discards)


def _times(figures: Mapping[str, float], model: str, rate: float) -> float | None:
    return None if model not in figures else figures[model] * rate
