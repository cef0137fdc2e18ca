"""Several network sources in order: the first that answers is used, the others check it."""

from typing import Annotated, Literal

from pydantic import Field

from exporter.model.readings import NetworkState, Reading
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.group import SourceGroup, named
from exporter.sources.network import NetworkSettings
from exporter.sources.registry import OneOf


class Settings(NetworkSettings):
    """The sources in order of preference, such as your own node, then mempool."""

    kind: Literal["failover"] = "failover"
    sources: tuple[Annotated[SourceSettings, OneOf("network", besides="failover")], ...] = Field(
        min_length=1, description="Network sources, the preferred one first."
    )

    def connect(self, context: SourceContext) -> "_Failover":
        """Create the source."""
        return _Failover(self, SourceGroup(named("network", self.sources), context))


class _Failover:
    def __init__(self, settings: Settings, group: SourceGroup) -> None:
        self._settings = settings
        self._group = group
        self.seconded = False

    async def fetch(self) -> Reading[NetworkState]:
        """Return the state of the first that answers. Export how far the others differ."""
        answers = await self._group.ask()
        readings: list[Reading[NetworkState]] = [reading for _, reading in answers]
        taken = readings[0]
        states = [reading.value for reading in readings]
        agreed = any(self._settings.agree(taken.value, other) for other in states[1:])
        self.seconded = agreed or self._group.weighed(answers[0][0])
        self._group.export_disagreement(
            "network_difficulty", taken.value.difficulty, [state.difficulty for state in states]
        )
        fees = [state.block_fees for state in states if state.block_fees is not None]
        self._group.export_disagreement("network_block_fees", taken.value.block_fees or 0.0, fees)
        return taken
