"""Watts of rigs or blocks that a Prometheus already has, such as from the PDUs' SNMP exporter."""

from typing import Literal

from exporter.readings import MeterReading, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.http import Endpoint
from exporter.sources.meters import MeterSettings
from exporter.sources.prometheus import LabelledSettings, ask_by_label


class Settings(LabelledSettings, MeterSettings):
    """A query that gives watts, one series for each rig, or for each block with ``block_label``.

    A block's watts are shared out among its running rigs.
    """

    kind: Literal["prometheus"] = "prometheus"

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Make the source."""
        return _Prometheus(self, context)


class _Prometheus:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings, context.session)
        self._clock = context.clock

    async def fetch(self) -> Reading[MeterReading]:
        """Ask for the watts of all rigs or blocks."""
        watts, time = await ask_by_label(self._endpoint, self._settings.query, self._settings.label)
        reading = MeterReading(rigs=watts) if self._settings.block_label is None else MeterReading(blocks=watts)
        return Reading(reading, min(time, self._clock()))
