"""Watts of rigs that a Prometheus already has, such as from the PDUs' SNMP exporter."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from exporter.failures import Failure, Reason
from exporter.readings import Reading
from exporter.sources.contract import SourceContext
from exporter.sources.http import HttpSource
from exporter.sources.meters import MeterSettings
from exporter.sources.prometheus import PrometheusSettings, ask_prometheus


class Settings(PrometheusSettings, MeterSettings):
    """A query that gives watts, one series for each rig."""

    kind: Literal["prometheus"] = "prometheus"
    rig_label: str = Field(default="rig", description="The label that holds the rig's name in the inventory.")

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Make the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[Mapping[str, float]]:
        """Ask for the watts of all rigs; series without the label are left aside."""
        series = await ask_prometheus(self._endpoint, self._settings.query)
        label = self._settings.rig_label
        watts = {each.labels[label]: each.value for each in series if label in each.labels}
        if len(watts) < sum(label in each.labels for each in series):
            raise Failure(Reason.IMPLAUSIBLE, f"the query gives two series for one {label}: sum them by ({label})")
        if not watts:
            raise Failure(Reason.GARBLED, f"no series has the label {label}")
        return Reading(watts, min(series[0].time, self._clock()))
