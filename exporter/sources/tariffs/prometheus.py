"""A power price that a Prometheus already has."""

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
    """A query that gives the price in force now."""

    kind: Literal["prometheus"] = "prometheus"
    interval: Duration = Field(default=60.0, description="How often it is asked.")
    duration: Duration = Field(default=300.0, description="For how long a price is taken to be in force.")
    unit: Literal["Wh", "kWh", "MWh", "GWh"] = Field(default="kWh", description="Energy that the price is for.")

    def energy(self, context: SourceContext) -> "_Prometheus":
        """Make the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[Slots]:
        """Ask for the price in force."""
        series = await ask_one(self._endpoint, self._settings.query)
        price = per_kilowatt_hour(series.value, self._settings.unit)
        start = min(series.time, self._clock())
        return Reading((PriceSlot(start, start + self._settings.duration, price),), start)
