"""Several network sources in order: the first that answers is taken, the others check it."""

from typing import Annotated, Literal

from pydantic import Field

from exporter.model.readings import NetworkState, Reading
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.group import SourceGroup, named
from exporter.sources.network import NetworkSettings
from exporter.sources.registry import OneOf


class Settings(NetworkSettings):
    """The sources in order of preference, such as the own node, then mempool."""

    kind: Literal["failover"] = "failover"
    sources: tuple[Annotated[SourceSettings, OneOf("network", besides="failover")], ...] = Field(
        min_length=1, description="Network sources, the preferred one first."
    )

    def connect(self, context: SourceContext) -> "_Failover":
        """Make the source."""
        return _Failover(SourceGroup(named("network", self.sources), context))


class _Failover:
    def __init__(self, panel: SourceGroup) -> None:
        self._panel = panel

    async def fetch(self) -> Reading[NetworkState]:
        """Take the first that answers; how far the others differ becomes a metric."""
        readings: list[Reading[NetworkState]] = [reading for _, reading in await self._panel.ask()]
        taken = readings[0]
        states = [reading.value for reading in readings]
        self._panel.tell_disagreement(
            "network_difficulty", taken.value.difficulty, [state.difficulty for state in states]
        )
        fees = [state.block_fees for state in states if state.block_fees is not None]
        self._panel.tell_disagreement("network_block_fees", taken.value.block_fees or 0.0, fees)
        return taken
