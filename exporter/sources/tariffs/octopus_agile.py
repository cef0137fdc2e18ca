"""Octopus Agile (Great Britain): half-hourly prices in pence, newest first, published about 16:00 for the next day."""

from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.fx import Currency
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.tariffs import HORIZON, Slots, TariffSettings

_PAGES: Final = 5  # of 100 half hours each
_BEFORE: Final = 3600.0  # s
_PENCE: Final = 0.01
_MAX_VAT: Final = 0.3


class Settings(HttpSettings, TariffSettings):
    """One product in one region. Put VAT that is not reclaimed into ``taxes``."""

    kind: Literal["octopus_agile"] = "octopus_agile"
    url: str = Field(default="https://api.octopus.energy", description="Address of the API.")
    interval: Duration = Field(default=900.0, description="How often the prices are requested.")
    currency: Currency = Field(default="GBP", description="Currency of the prices. Others than USD need `fx`.")
    product: str = Field(pattern=r"^[A-Z0-9-]+$", description="Code of the product, such as AGILE-24-10-01.")
    region: str = Field(pattern=r"^[A-P]$", description="Letter of the grid region, such as C for London.")

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a usable price."""
        known = f"{self.url}/v1/products/"
        return f"the product {self.product} was retired, or has no region {self.region}: see {known}"

    def energy(self, context: SourceContext) -> "_OctopusAgile":
        """Create the source."""
        return _OctopusAgile(self, context)


class _OctopusAgile(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        code = f"E-1R-{settings.product}-{settings.region}"
        self._path = f"/v1/products/{settings.product}/electricity-tariffs/{code}/standard-unit-rates/"

    async def fetch(self) -> Reading[Slots]:
        """Request page by page until there is no next one."""
        now = self._clock()
        asked = {"period_from": _iso(now - _BEFORE), "period_to": _iso(now + HORIZON)}
        slots: list[PriceSlot] = []
        for page in range(1, _PAGES + 1):
            answer = await self._endpoint.get_json(self._path, asked | {"page": str(page)})
            with translating():
                slots += self._slots([rate for rate in answer["results"] if _is_wanted(rate)], now)
                if answer["next"] is None:
                    break
        return Reading(tuple(slots), now)

    def _slots(self, rates: list[dict[str, Any]], now: float) -> list[PriceSlot]:
        """Read the rates of one page. Those whose prices with and without VAT contradict each other are discarded."""
        plausible = [rate for rate in rates if _vat_is_plausible(rate)]
        if len(plausible) < len(rates):
            self._discards.note("price", "value_inc_vat does not fit value_exc_vat", len(rates) - len(plausible))
        return [_slot(rate, now) for rate in plausible]


def _slot(rate: dict[str, Any], now: float) -> PriceSlot:
    """Read one rate, without VAT. One without an end holds until further notice."""
    end = rate["valid_to"]
    return PriceSlot(
        datetime.fromisoformat(rate["valid_from"]).timestamp(),
        datetime.fromisoformat(end).timestamp() if end is not None else now + HORIZON,
        number(rate["value_exc_vat"]) * _PENCE,
    )


def _is_wanted(rate: dict[str, Any]) -> bool:
    """Whether the rate is for direct debit. Some products have a second, dearer one for other payments."""
    return rate.get("payment_method") != "NON_DIRECT_DEBIT"


def _vat_is_plausible(rate: dict[str, Any]) -> bool:
    """Whether the prices with and without VAT differ by a tax, also for negative prices."""
    without, with_vat = number(rate["value_exc_vat"]), rate.get("value_inc_vat")
    if with_vat is None:
        return True
    return abs(number(with_vat) - without) <= _MAX_VAT * abs(without) + _PENCE


def _iso(instant: float) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%MZ}"
