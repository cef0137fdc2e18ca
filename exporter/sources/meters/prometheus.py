"""Watts of rigs or blocks from a Prometheus, such as those of PDUs from snmp_exporter."""

from dataclasses import replace
from typing import Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import MeterReading, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.http import HttpSource
from exporter.sources.meters import MeterSettings
from exporter.sources.prometheus import LabelledSettings, ask_by_label, ask_one

_MAX_RIG_WATTS: Final = 50_000.0  # a hydro rig draws 12 kW
_MAX_BLOCK_WATTS: Final = 1e9


class Settings(LabelledSettings, MeterSettings):
    """A query that returns watts, one series for each rig, or for each block with ``block_label``.

    The watts of a block are divided among its running rigs.
    """

    kind: Literal["prometheus"] = "prometheus"
    total_at: Literal["feeder", "utility"] | None = Field(
        default=None,
        description="Set it for meters of everything behind a feeder or the utility connection, cooling included: one "
        "series for the site, or one per block with `block_label`. They show the overhead and bill no rig.",
    )

    def connect(self, context: SourceContext) -> "_Prometheus":
        """Create the source."""
        return _Prometheus(self, context)


class _Prometheus(HttpSource[Settings]):
    async def fetch(self) -> Reading[MeterReading]:
        """Evaluate the query. An implausible value affects only its own rig or block."""
        if self._settings.total_at is not None:
            return await self._totals(self._settings.total_at)
        shown, time = await ask_by_label(self._endpoint, self._settings.query, self._settings.label, self._discards)
        of_rigs = self._settings.block_label is None
        most = _MAX_RIG_WATTS if of_rigs else _MAX_BLOCK_WATTS
        watts = {name: value for name, value in shown.items() if 0 <= value <= most}
        refused = tuple(sorted(shown.keys() - watts.keys()))
        if not watts:
            name = refused[0]
            raise Failure(Reason.IMPLAUSIBLE, f"watts of {name} {shown[name]:g} is outside 0 to {most:g}")
        rigs, blocks = (watts, {}) if of_rigs else ({}, watts)
        return Reading(MeterReading(rigs=rigs, blocks=blocks, refused=refused), min(time, self._clock()))

    async def _totals(self, at: str) -> Reading[MeterReading]:
        """Read meters of everything behind them, of blocks or of the whole site."""
        if self._settings.block_label is None:
            series = await ask_one(self._endpoint, self._settings.query)
            shown, time = {"": series.value}, series.time
        else:
            shown, time = await ask_by_label(
                self._endpoint, self._settings.query, self._settings.block_label, self._discards
            )
        watts = {name: value for name, value in shown.items() if 0 < value <= _MAX_BLOCK_WATTS}
        refused = tuple(sorted(shown.keys() - watts.keys()))
        if not watts:
            value = shown[refused[0]]
            detail = f"watts of {refused[0] or 'the site'} {value:g} is outside 0 to {_MAX_BLOCK_WATTS:g}"
            raise Failure(Reason.IMPLAUSIBLE, detail)
        reading = MeterReading(feeders=watts) if at == "feeder" else MeterReading(utilities=watts)
        return Reading(replace(reading, refused=refused), min(time, self._clock()))
