"""Any GPU prices that are served as JSON: a URL, and JMESPath expressions that find the prices."""

from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.ai_prices import ForeignSettings, Prices, Quote, instant, prices_of, readable
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.exchange import ExchangeRate
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.jmespaths import Expression, search

_CENTS: Final = 100.0


class Settings(HttpSettings, ForeignSettings):
    """Where the prices are, and how to read them.

    ``offers`` returns a list of objects, in each of which the other expressions are looked up. Several offers of one
    model become their median, 10th and 90th percentile.
    """

    kind: Literal["http_json"] = "http_json"
    body: dict[str, Any] | None = Field(default=None, description="JSON to POST, such as a GraphQL query; else GET.")
    offers: Expression = Field(default="@", description="JMESPath to the list of prices, or to the only one.")
    model: Expression = Field(default="gpu_name", description="JMESPath to the GPU model of a price.")
    price: Expression = Field(default="price", description="JMESPath to the price; null if there is no stock.")
    gpus: Expression | None = Field(
        default=None, description="JMESPath to the number of GPUs that the price is for; 1 without it."
    )
    low: Expression | None = Field(default=None, description="JMESPath to the 10th percentile, if it is stated.")
    high: Expression | None = Field(default=None, description="JMESPath to the 90th percentile, if it is stated.")
    count: Expression | None = Field(
        default=None, description="JMESPath to the number of offers that a price is made of, if it is stated."
    )
    time: Expression | None = Field(
        default=None, description="JMESPath to the time of a price: ISO, or unix seconds. Now without it."
    )
    minor_units: bool = Field(default=False, description="True if prices are in cents.")
    stated: Expression = Field(
        default="currency", description="JMESPath to the currency of a price, if it is stated. It must be `currency`."
    )

    def connect(self, context: SourceContext) -> "_HttpJson":
        """Create the source."""
        return _HttpJson(self, context)


class _HttpJson(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._rate = None if settings.fx is None else ExchangeRate(settings.currency, settings.fx, context)

    async def fetch(self) -> Reading[Prices]:
        """Request the prices."""
        settings = self._settings
        rate = 1.0 if self._rate is None else await self._rate.fetch()
        answer = (await self._endpoint.ask("GET" if settings.body is None else "POST", payload=settings.body)).check()
        document = answer.json()
        answer.check_stated(document)
        with translating():
            found = search(settings.offers, document)
            if found is None:
                raise ValueError(f"it has nothing at {settings.offers!r}")
            entries = found if isinstance(found, list) else [found]
            quotes = readable(entries, lambda offer: [self._quote(offer, rate)], self._discards)
        return prices_of(quotes, settings, self._discards, self._clock())

    def _quote(self, offer: Any, rate: float) -> Quote:
        settings = self._settings
        stated = search(settings.stated, offer)
        if stated is not None and str(stated).upper() != settings.currency:
            raise Failure(Reason.IMPLAUSIBLE, f"prices in {stated!s:.10}, not in {settings.currency}")
        model = search(settings.model, offer)
        if not isinstance(model, str):
            raise TypeError(f"it has no model at {settings.model!r}")
        gpus = 1.0 if settings.gpus is None else number(search(settings.gpus, offer))
        if gpus < 1:
            raise ValueError(f"a price for {gpus:g} GPUs")
        factor = rate / gpus / (_CENTS if settings.minor_units else 1.0)
        count = self._number(settings.count, offer)
        return Quote(
            model=model,
            commitment=settings.commitment,
            price=self._number(settings.price, offer, factor),
            low=self._number(settings.low, offer, factor),
            high=self._number(settings.high, offer, factor),
            offers=None if count is None else round(count),
            observed_at=self._time(offer),
        )

    def _number(self, path: str | None, offer: Any, factor: float = 1.0) -> float | None:
        value = None if path is None else search(path, offer)
        return None if value is None else number(value) * factor

    def _time(self, offer: Any) -> float | None:
        value = None if self._settings.time is None else search(self._settings.time, offer)
        if self._settings.time is not None and value is None:
            raise ValueError(f"it has no time at {self._settings.time!r}")
        return None if value is None else instant(value) if isinstance(value, str) else number(value)
