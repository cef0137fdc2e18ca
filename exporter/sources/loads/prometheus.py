"""Load of a grid that another exporter writes to Prometheus, in MW."""

from typing import Final, Literal

from exporter.model.readings import LoadPoint, Reading, SystemLoad
from exporter.sources.contract import SourceContext
from exporter.sources.http import HttpSource
from exporter.sources.loads import LoadSettings, megawatts
from exporter.sources.prometheus import PrometheusSettings, ask_range

_STEP: Final = 300.0
_DAY: Final = 86_400.0


class Settings(LoadSettings, PrometheusSettings):
    """A query that returns the grid's load in MW as one series. Its last day is read. There is no forecast in it."""

    kind: Literal["prometheus"] = "prometheus"

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[SystemLoad]:
        """Evaluate the query over the last day, every five minutes."""
        now = self._clock()
        end = now // _STEP * _STEP
        series = await ask_range(self._endpoint, self._settings.query, end - _DAY, end, _STEP)
        points: list[LoadPoint] = [megawatts(at - _STEP, at, value) for at, value in series[0][1].items()]
        return Reading(SystemLoad(measured=tuple(sorted(points))), now)
