"""Settings of polling."""

from typing import Final, Self

from pydantic import Field, model_validator

from exporter.model.fields import Duration, SettingsGroup

IDENTIFY_SECONDS: Final = 20.0
_STALE_INTERVALS: Final = 2.5  # one lost poll must not dent a sum, two must show


class PollingSettings(SettingsGroup):
    """How often, how patiently and how many at once."""

    interval: Duration = Field(default=30.0, description="How often each rig is read.")
    deadline: Duration = Field(default=5.0, description="How long one read of a rig may take in all.")
    max_in_flight: int = Field(
        default=200,
        ge=1,
        description="How many healthy rigs are read at once, beside up to four times as many that begin to hang.",
    )
    max_backoff: Duration = Field(default=300.0, description="The longest pause between two attempts at a failing rig.")
    max_identifying: int = Field(
        default=50,
        ge=1,
        description="New and failing rigs that are identified at once, beside half as many addresses of ranges.",
    )
    identify_deadline: Duration = Field(
        default=IDENTIFY_SECONDS, description="How long one identification of a rig may take."
    )
    identify_every: Duration = Field(
        default=86_400.0,
        description="How often a rig is identified again, in case it was replaced; sooner after a start.",
    )
    identify_after_failures: int = Field(
        default=3, ge=1, description="Failed reads in a row after which a rig is identified again."
    )
    search_interval: Duration = Field(
        default=900.0,
        description="The longest pause between attempts at an address of a range where nothing answers.",
    )
    work_window: Duration = Field(
        default=600.0, description="The shortest time over which a hashrate is calculated from accepted work."
    )

    @model_validator(mode="after")
    def _deadline_within_interval(self) -> Self:
        if self.deadline > self.interval:
            raise ValueError("the deadline must not be longer than the interval")
        return self

    @property
    def stale_after(self) -> float:
        """Seconds after which a rig's reading vanishes."""
        return _STALE_INTERVALS * self.interval
