"""A cap, a reduction, a floor or a level that a broker or a site controller writes to Prometheus."""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext
from exporter.sources.http import HttpSource
from exporter.sources.obligations import Meaning, Obligations, ObligationSettings, obliging
from exporter.sources.prometheus import PrometheusSettings, ask_by_label, ask_one


class Settings(ObligationSettings, PrometheusSettings):
    """A query that returns kW or a level: one value for the site, or one series per block with `block_label`.

    0 means that there is none, but for a cap: there a negative value does. Without a result the query has failed.
    """

    kind: Literal["prometheus"] = "prometheus"
    obligation: ObligationKind = Field(
        default=ObligationKind.CALL,
        description="What it is: `call`, `cap`, `award`, `peak`, `schedule` or `maintenance`.",
    )
    meaning: Meaning = Field(
        default=Meaning.CAP,
        description="What the value means: `cap` (most that may be drawn), `reduction` (below the baseline), `floor` "
        "(least that must run), in kW, or `level` (0-3, see `levels`).",
    )
    block_label: str | None = Field(default=None, description="Label with the name of the block, if it is per block.")

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._last: dict[str, Obligation] = {}  # by block, "" for the site or the blocks of the settings

    async def fetch(self) -> Reading[Obligations]:
        """Evaluate the query. An obligation begins when its value is first seen, and its event is named after that."""
        settings = self._settings
        if settings.block_label is None:
            series = await ask_one(self._endpoint, settings.query)
            values, time = {"": series.value}, series.time
        else:
            values, time = await ask_by_label(self._endpoint, settings.query, settings.block_label, self._discards)
        now = min(time, self._clock())
        try:
            self._last = {
                block: self._continued(block, obliging(settings.obligation, settings.meaning, value, now))
                for block, value in values.items()
                if not self._none(value)
            }
        except ValueError as error:
            raise Failure(Reason.IMPLAUSIBLE, str(error)) from None
        return Reading(tuple(self._last.values()), now)

    def _none(self, value: float) -> bool:
        return value < 0 if self._settings.meaning is Meaning.CAP else value == 0

    def _continued(self, block: str, obligation: Obligation) -> Obligation:
        """Keep the start and the event of an obligation whose value has not changed."""
        last = self._last.get(block)
        start = obligation.start if last is None else last.start
        event = f"{start:.0f}" if last is None else last.event
        found = replace(obligation, start=start, event=event, blocks=(block,) if block else ())
        return found if last is None or found == last else replace(found, start=obligation.start)
