"""Converts the prices of a source to US dollars, with an exchange rate that is requested at its own interval."""

from collections.abc import Mapping

from exporter.model.configuration_errors import unknown
from exporter.model.failures import Failure, Reason
from exporter.sources.contract import Kept, SourceContext, SourceSettings
from exporter.sources.fx.fixed import Settings as FixedFx


def check_convertible(currency: str, fx: SourceSettings | None) -> None:
    """Raise ValueError if prices in ``currency`` cannot be converted with ``fx``, or need no conversion."""
    if (currency == "USD") != (fx is None):
        raise ValueError(
            f"prices in {currency} need fx, the source of the exchange rate"
            if fx is None
            else "prices in USD need no fx: set currency"
        )
    if isinstance(fx, FixedFx) and currency not in fx.usd_per:
        raise ValueError(unknown("exchange rate for", currency, fx.usd_per))


class ExchangeRate:
    """One exchange rate, requested at its own interval."""

    def __init__(self, currency: str, settings: SourceSettings, context: SourceContext) -> None:
        self._currency = currency
        self._settings = settings
        self._source = settings.build(context)
        self._context = context
        self._discards = context.discards
        self._asked_at = float("-inf")  # by the timer
        self._rates: Kept[Mapping[str, float]] | None = None

    async def fetch(self) -> float:
        """Return US dollars per unit of the currency. Raises a Failure if there is no fresh rate."""
        now = self._context.timer()
        if now - self._asked_at >= self._settings.interval:
            try:
                self._rates = Kept(await self._source.fetch(), self._context)
                self._asked_at = now
            except Failure as failure:
                if self._rates is None or self._expired(self._rates):
                    raise
                self._discards.note("exchange_rate", f"the last rates are used: {failure.detail}")
        if self._rates is None or self._expired(self._rates):
            raise Failure(Reason.STALE, f"the exchange rates are older than {self._settings.max_age:.0f} s")
        rate = self._rates.reading.value.get(self._currency)
        if rate is None:
            raise Failure(Reason.UNSUPPORTED, f"there is no exchange rate for {self._currency}")
        return rate

    def _expired(self, rates: Kept[Mapping[str, float]]) -> bool:
        return rates.age > self._settings.max_age
