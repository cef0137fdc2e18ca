"""A bitcoin price from the configuration."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from exporter.model.readings import Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import SourceContext


class Settings(BitcoinSettings):
    """The configured price."""

    kind: Literal["fixed"] = "fixed"
    usd: float = Field(gt=0, allow_inf_nan=False, description="US dollars per bitcoin.")

    def connect(self, context: SourceContext) -> "_Fixed":
        """Create the source."""
        return _Fixed(self.usd, context)


@dataclass(frozen=True, slots=True)
class _Fixed:
    price: float
    context: SourceContext

    async def fetch(self) -> Reading[float]:
        """Return the configured value."""
        return Reading(self.price, self.context.clock())
