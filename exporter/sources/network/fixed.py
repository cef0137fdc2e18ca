"""A network state that the operator types in: for tests, planning and sites without a node."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from exporter.model.readings import NetworkState, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.network import NetworkSettings


class Settings(NetworkSettings):
    """Difficulty and height as given; the rest is absent where it is not given."""

    kind: Literal["fixed"] = "fixed"
    difficulty: float = Field(gt=0, allow_inf_nan=False, description="Network difficulty.")
    height: int = Field(ge=0, description="Height of the last block: it decides the subsidy.")
    block_fees: float | None = Field(default=None, ge=0, description="Mean fees per block, in bitcoins.")

    def connect(self, context: SourceContext) -> "_Fixed":
        """Make the source."""
        return _Fixed(self, context)


@dataclass(frozen=True, slots=True)
class _Fixed:
    settings: Settings
    context: SourceContext

    async def fetch(self) -> Reading[NetworkState]:
        """Answer at once."""
        settings = self.settings
        state = NetworkState(height=settings.height, difficulty=settings.difficulty, block_fees=settings.block_fees)
        return Reading(state, self.context.clock())
