"""Exchange rates from the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext
from exporter.sources.fx import Currency, FxSettings


class Settings(FxSettings):
    """The configured rates."""

    kind: Literal["fixed"] = "fixed"
    usd_per: dict[Currency, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        min_length=1, description="US dollars per unit of each currency, such as {EUR: 1.08}."
    )

    def connect(self, context: SourceContext) -> "_Fixed":
        """Create the source."""
        return _Fixed(self.usd_per, context)


@dataclass(frozen=True, slots=True)
class _Fixed:
    rates: Mapping[str, float]
    context: SourceContext

    async def fetch(self) -> Reading[Mapping[str, float]]:
        """Return the configured value."""
        return Reading(self.rates, self.context.clock())
