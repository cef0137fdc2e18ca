"""ERCOT (Texas): demand of today, and the forecast of the next days, as its public dashboard shows them.

https://www.ercot.com/gridmktinfo/dashboards/supplyanddemand. It needs no key, and answers only addresses in the United
States. ``epoch`` is the end of an interval, in milliseconds. It is not the settled load, but near it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.readings import LoadPoint, Reading, SystemLoad
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.loads import LoadSettings, megawatts

_FIVE_MINUTES: Final = 300.0
_HOUR: Final = 3600.0


class Settings(HttpSettings, LoadSettings):
    """Demand of the whole of ERCOT."""

    kind: Literal["ercot"] = "ercot"
    url: str = Field(
        default="https://www.ercot.com/api/1/services/read/dashboards/supply-demand.json",
        description="Address of the dashboard's data.",
    )

    def connect(self, context: SourceContext) -> "_Ercot":
        """Create the source."""
        return _Ercot(self, context)


class _Ercot(HttpSource[Settings]):
    async def fetch(self) -> Reading[SystemLoad]:
        """Request today's demand and the forecast."""
        answer = await self._endpoint.get_json()
        now = self._clock()
        with translating():
            rows = answer["data"]
            measured = tuple(_points([row for row in rows if integer(row["forecast"]) == 0], "demand", _FIVE_MINUTES))
            today = tuple(_points([row for row in rows if integer(row["forecast"]) == 1], "demand", _FIVE_MINUTES))
            later = tuple(_points(answer.get("forecast") or (), "forecastedDemand", _HOUR))
        last = max((point.end for point in today), default=now)
        ahead = tuple(point for point in later if point.start >= last)
        return Reading(SystemLoad(measured=measured, forecast=(*today, *ahead)), now)


def _points(rows: Sequence[Mapping[str, Any]], name: str, length: float) -> Iterator[LoadPoint]:
    """Read rows. One whose demand is 0 has none yet."""
    for row in rows:
        end, load = number(row["epoch"]) / 1000.0, number(row[name])
        if load > 0:
            yield megawatts(end - length, end, load)
