"""The GPUs of all exporters that a Prometheus scrapes."""

import asyncio
from typing import Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext
from exporter.sources.gpus import FAMILIES, MAX_BYTES, Gpus, GpuSettings, read_gpus
from exporter.sources.http import HttpSource
from exporter.sources.metrics_text import Sample
from exporter.sources.prometheus import PrometheusSettings, Series, ask_prometheus

_QUERY: Final = f'{{__name__=~"{"|".join(FAMILIES)}"}}'


class Settings(PrometheusSettings, GpuSettings):
    """A query that returns the series of dcgm-exporter or device-metrics-exporter with their names and labels."""

    kind: Literal["prometheus"] = "prometheus"
    query: str = Field(
        default=_QUERY, description='The PromQL query. Add label matchers like {__name__=~"DCGM_.*",job="x"}.'
    )
    tenant_label: str = Field(
        default="exported_pod",
        description="Label with the tenant of a GPU. Use pod if Prometheus scrapes with honor_labels.",
    )

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[Gpus]:
        """Evaluate the query. Series of other families are left out."""
        series = await ask_prometheus(self._endpoint, self._settings.query, max_bytes=MAX_BYTES)
        gpus = await asyncio.to_thread(_read, series, self._settings)
        if not gpus:
            detail = "the query returns no series of a GPU with a UUID or serial_number"
            advice = "let the query return the exporter's series with their names and labels, without sum or rate"
            raise Failure(Reason.GARBLED, detail, advice=advice)
        return Reading(gpus, min(series[0].time, self._clock()))


def _read(series: list[Series], settings: Settings) -> Gpus:
    samples = (Sample(labels.get("__name__", ""), labels, value) for labels, value, _ in series)
    return read_gpus((sample for sample in samples if sample.family in FAMILIES), settings)
