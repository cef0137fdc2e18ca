"""Octopus Agile (Great Britain): half-hourly prices in pence, newest first, at about 16:00 for the next day."""

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


class Settings(HttpSettings, TariffSettings):
    """One product in one region; VAT belongs into ``taxes``, where it is not reclaimed."""

    kind: Literal["octopus_agile"] = "octopus_agile"
    url: str = Field(default="https://api.octopus.energy", description="Where it is asked.")
    interval: Duration = Field(default=900.0, description="How often it is asked.")
    currency: Currency = Field(default="GBP", description="Currency of the prices; not USD needs `fx`.")
    product: str = Field(pattern=r"^[A-Z0-9-]+$", description="The product's code, such as AGILE-24-10-01.")
    region: str = Field(pattern=r"^[A-P]$", description="The grid region's letter, such as C for London.")

    def energy(self, context: SourceContext) -> "_OctopusAgile":
        """Make the source."""
        return _OctopusAgile(self, context)


class _OctopusAgile(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        code = f"E-1R-{settings.product}-{settings.region}"
        self._path = f"/v1/products/{settings.product}/electricity-tariffs/{code}/standard-unit-rates/"

    async def fetch(self) -> Reading[Slots]:
        """Ask page by page until there is no next one."""
        now = self._clock()
        asked = {"period_from": _iso(now - _BEFORE), "period_to": _iso(now + HORIZON)}
        slots: list[PriceSlot] = []
        for page in range(1, _PAGES + 1):
            answer = await self._endpoint.get_json(self._path, asked | {"page": str(page)})
            with translating():
                slots += [_slot(rate, now) for rate in answer["results"] if _is_wanted(rate)]
                if answer["next"] is None:
                    break
        return Reading(tuple(slots), now)


def _slot(rate: dict[str, Any], now: float) -> PriceSlot:
    """Read one rate, without VAT; one without an end holds until further notice."""
    end = rate["valid_to"]
    return PriceSlot(
        datetime.fromisoformat(rate["valid_from"]).timestamp(),
        datetime.fromisoformat(end).timestamp() if end is not None else now + HORIZON,
        number(rate["value_exc_vat"]) * _PENCE,
    )


def _is_wanted(rate: dict[str, Any]) -> bool:
    """Some products have a second, dearer rate for those who do not pay by direct debit."""
    return rate.get("payment_method") != "NON_DIRECT_DEBIT"


def _iso(instant: float) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%MZ}"
