"""One price for every hour: a power purchase agreement."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from exporter.model.readings import PriceSlot, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.tariffs import HORIZON, Slots, TariffSettings


class Settings(TariffSettings):
    """The configured price."""

    kind: Literal["fixed"] = "fixed"
    usd_per_kilowatt_hour: float = Field(allow_inf_nan=False, description="The price, in US dollars per kWh.")

    @model_validator(mode="after")
    def _believable(self) -> Self:
        self.believe(self.usd_per_kilowatt_hour)
        return self

    def energy(self, context: SourceContext) -> "_Fixed":
        """Create the source."""
        return _Fixed(self.usd_per_kilowatt_hour, context)


@dataclass(frozen=True, slots=True)
class _Fixed:
    price: float
    context: SourceContext

    async def fetch(self) -> Reading[Slots]:
        """Return the configured price for the next two days."""
        now = self.context.clock()
        return Reading((PriceSlot(now, now + HORIZON, self.price),), now)
