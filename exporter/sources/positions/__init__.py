"""Positions in the day-ahead market that differ from date to date."""

from typing import Final

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import DatedPositions
from exporter.sources.contract import SourceSettings, implausible_unless

_MOST_KILOWATTS: Final = 1e7  # ten gigawatts, more than any site


class PositionSourceSettings(SourceSettings):
    """Settings of all these sources."""

    interval: Duration = Field(default=30.0, description="How often the positions are requested.")
    max_age: Duration = Field(
        default=120.0, description="Positions older than this are not used: the costs of the position are then absent."
    )

    def check(self, value: DatedPositions, last: DatedPositions | None) -> None:  # noqa: ARG002 -- any may follow any
        """Reject positions that no site buys, such as those in watts."""
        for slot in value.slots:
            implausible_unless(0, slot.kilowatts, _MOST_KILOWATTS, "position in kW")
