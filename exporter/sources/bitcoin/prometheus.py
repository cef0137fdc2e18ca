"""A bitcoin price from a Prometheus."""

from typing import Literal

from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext
from exporter.sources.http import HttpSource
from exporter.sources.prometheus import PrometheusSettings, ask_one


class Settings(PrometheusSettings, BitcoinSettings):
    """A query that returns US dollars per bitcoin."""

    kind: Literal["prometheus"] = "prometheus"

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[float]:
        """Evaluate the query."""
        series = await ask_one(self._endpoint, self._settings.query)
        return Reading(series.value, min(series.time, self._clock()))
