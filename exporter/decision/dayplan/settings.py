"""Settings of the day-ahead plan."""

from typing import Annotated

from pydantic import Field, field_validator

from exporter.economics.settings import Plausible, PlausibleSettings
from exporter.model.fields import Duration

_LEAST_HORIZON = 2 * 3_600.0
_MOST_HORIZON = 48 * 3_600.0


class DayPlanSettings(PlausibleSettings):
    """How the hours ahead are planned. What a start costs is set in `decision.restart`."""

    horizon: Duration = Field(
        default=36 * 3_600.0, description="How far ahead is planned, 2h to 48h; no further than the prices are known."
    )
    interval: Duration = Field(default=900.0, description="How often the plan is made anew, 1m to 1h.")
    min_on: Duration = Field(default=3_600.0, description="Shortest time for which rigs run.")
    min_off: Duration = Field(default=1_800.0, description="Shortest time for which rigs stand still.")
    change_usd_per_rig: Annotated[float, Plausible(0, 5, "USD per change")] = Field(
        default=0.0, description="Cost of a change of the operating point without a stop, USD per rig."
    )
    energy_kilowatt_hours_per_day: Annotated[float | None, Plausible(1, 1e8, "kWh")] = Field(
        default=None, description="Most energy that the planned rigs may use in a day, at the billing meter."
    )
    hold_back_share: Annotated[float, Plausible(0, 0.5, "of a plan's value", most=1)] = Field(
        default=0.005,
        description="A new plan replaces the one in force only if it earns more by this share of its value.",
    )

    @field_validator("horizon")
    @classmethod
    def _within_the_known_prices(cls, seconds: float) -> float:
        if not _LEAST_HORIZON <= seconds <= _MOST_HORIZON:
            raise ValueError("must be from 2h to 48h")
        return seconds

    @field_validator("interval")
    @classmethod
    def _not_too_often(cls, seconds: float) -> float:
        if not 60 <= seconds <= 3_600:  # noqa: PLR2004 -- as the description says
            raise ValueError("must be from 1m to 1h")
        return seconds
