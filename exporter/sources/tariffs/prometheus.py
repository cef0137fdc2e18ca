"""A power price from a Prometheus."""

from typing import Literal

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.model.units import per_kilowatt_hour
from exporter.sources.contract import SourceContext
from exporter.sources.http import HttpSource
from exporter.sources.prometheus import PrometheusSettings, ask_one
from exporter.sources.tariffs import Slots, TariffSettings


class Settings(PrometheusSettings, TariffSettings):
    """A query that returns the price in force now."""

    kind: Literal["prometheus"] = "prometheus"
    interval: Duration = Field(default=60.0, description="How often the value is requested.")
    duration: Duration = Field(default=300.0, description="How long a price is in force.")
    unit: Literal["Wh", "kWh", "MWh", "GWh"] = Field(default="kWh", description="Unit of energy of the price.")

    def energy(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[Slots]:
        """Evaluate the query."""
        series = await ask_one(self._endpoint, self._settings.query)
        price = per_kilowatt_hour(series.value, self._settings.unit)
        start = min(series.time, self._clock())
        return Reading((PriceSlot(start, start + self._settings.duration, price),), start)
