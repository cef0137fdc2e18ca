"""Load of a whole grid, measured and forecast, from which its peaks follow."""

from typing import Final

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import LoadPoint, SystemLoad
from exporter.sources.contract import SourceSettings, implausible_unless

_LEAST_WATTS: Final = 1e8
_MOST_WATTS: Final = 2e12  # twice what the largest grid has ever carried
WATTS_PER_MEGAWATT: Final = 1e6


class LoadSettings(SourceSettings):
    """Settings of all these sources."""

    interval: Duration = Field(default=120.0, description="How often the load is requested.")
    max_age: Duration = Field(default=900.0, description="Load older than this is not used.")

    def check(self, value: SystemLoad, last: SystemLoad | None) -> None:  # noqa: ARG002 -- any may follow any
        """Reject loads that no grid has, such as those in a wrong unit."""
        for point in (*value.measured, *value.forecast):
            implausible_unless(_LEAST_WATTS / 1e6, point.watts / 1e6, _MOST_WATTS / 1e6, "load in MW")

    def check_usable(self, value: SystemLoad, now: float) -> None:
        """Reject an answer without measured load, or whose last is too old."""
        if not value.measured:
            raise Failure(Reason.NOT_READY, f"the answer has no measured load: {self.likely_cause}")
        if now - max(value.measured).end > self.max_age:
            raise Failure(Reason.STALE, f"its last load ended {now - max(value.measured).end:.0f} s ago")


def megawatts(start: float, end: float, load: float) -> LoadPoint:
    """Make a point of a load in MW."""
    return LoadPoint(start, end, load * WATTS_PER_MEGAWATT)
