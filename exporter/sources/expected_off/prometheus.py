"""Rigs, blocks or a site that should be off by the value of a PromQL query, such as a demand response event."""

from typing import Literal, Self

from pydantic import Field, model_validator

from exporter.model.readings import ExpectedOff, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.expected_off import ExpectedOffSettings
from exporter.sources.http import HttpSource
from exporter.sources.prometheus import PrometheusSettings, ask_by_label, ask_one


class Settings(ExpectedOffSettings, PrometheusSettings):
    """A query that returns 1 for what should be off and 0 for what should not. Without a result it has failed.

    Without a label it returns one value, for the whole site.
    """

    kind: Literal["prometheus"] = "prometheus"
    rig_label: str | None = Field(
        default=None, description="Label with the name of the rig, if the series are of rigs."
    )
    block_label: str | None = Field(
        default=None, description="Label with the name of the block, if the series are of blocks."
    )

    @model_validator(mode="after")
    def _one_label(self) -> Self:
        if self.rig_label is not None and self.block_label is not None:
            raise ValueError("give rig_label or block_label, not both")
        return self

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[ExpectedOff]:
        """Evaluate the query."""
        settings, label = self._settings, self._settings.rig_label or self._settings.block_label
        if label is None:
            series = await ask_one(self._endpoint, settings.query)
            return Reading(
                ExpectedOff(site=series.value != 0, kind=settings.off_because), min(series.time, self._clock())
            )
        values, time = await ask_by_label(self._endpoint, settings.query, label, self._discards)
        off = tuple(sorted(name for name, value in values.items() if value != 0))
        kind = settings.off_because
        value = (
            ExpectedOff(rigs=off, kind=kind) if settings.rig_label is not None else ExpectedOff(blocks=off, kind=kind)
        )
        return Reading(value, min(time, self._clock()))
