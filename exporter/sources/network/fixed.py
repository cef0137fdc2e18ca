"""A network state from the configuration: for tests, planning and sites without a node."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from exporter.model.readings import NetworkState, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.network import NetworkSettings


class Settings(NetworkSettings):
    """The configured difficulty and height. Other values are absent unless configured."""

    kind: Literal["fixed"] = "fixed"
    difficulty: float = Field(gt=0, allow_inf_nan=False, description="Network difficulty.")
    height: int = Field(ge=0, description="Height of the last block. The subsidy depends on it.")
    block_fees: float | None = Field(default=None, ge=0, description="Mean fees per block, in bitcoins.")

    def connect(self, context: SourceContext) -> "_Fixed":
        """Create the source."""
        return _Fixed(self, context)


@dataclass(frozen=True, slots=True)
class _Fixed:
    settings: Settings
    context: SourceContext

    async def fetch(self) -> Reading[NetworkState]:
        """Return the configured value."""
        settings = self.settings
        state = NetworkState(height=settings.height, difficulty=settings.difficulty, block_fees=settings.block_fees)
        return Reading(state, self.context.clock())
