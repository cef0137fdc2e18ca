"""Rigs, blocks or a site that a PromQL value says are meant to be off, such as while a demand response event lasts."""

from typing import Literal, Self

from pydantic import Field, model_validator

from exporter.model.readings import ExpectedOff, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.expected_off import ExpectedOffSettings
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import PrometheusSettings, ask_by_label, ask_one


class Settings(ExpectedOffSettings, PrometheusSettings):
    """A query that gives 1 for what is meant to be off and 0 for what is not; one that gives nothing has failed.

    Without a label it gives one value, for the whole site.
    """

    kind: Literal["prometheus"] = "prometheus"
    rig_label: str | None = Field(default=None, description="The label that holds the rig's name, if it is of rigs.")
    block_label: str | None = Field(
        default=None, description="The label that holds the block's name, if it is of blocks."
    )

    @model_validator(mode="after")
    def _one_label(self) -> Self:
        if self.rig_label is not None and self.block_label is not None:
            raise ValueError("give rig_label or block_label, not both")
        return self

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Make the source."""
        return _Prometheus(self, context)


class _Prometheus:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings, context.session)
        self._clock = context.clock

    async def fetch(self) -> Reading[ExpectedOff]:
        """Ask what is meant to be off."""
        settings, label = self._settings, self._settings.rig_label or self._settings.block_label
        if label is None:
            series = await ask_one(self._endpoint, settings.query)
            return Reading(ExpectedOff(site=series.value != 0), min(series.time, self._clock()))
        values, time = await ask_by_label(self._endpoint, settings.query, label)
        off = tuple(sorted(name for name, value in values.items() if value != 0))
        meant = ExpectedOff(rigs=off) if settings.rig_label is not None else ExpectedOff(blocks=off)
        return Reading(meant, min(time, self._clock()))
