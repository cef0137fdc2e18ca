"""Metered power of rigs or of whole blocks, from PDUs and meters."""

from typing import Final

from pydantic import Field

from exporter.fields import Duration
from exporter.readings import MeterReading
from exporter.sources.contract import SourceSettings, implausible_unless

_MAX_RIG_WATTS: Final = 50_000.0  # a hydro rig draws 12 kW
_MAX_BLOCK_WATTS: Final = 1e9


class MeterSettings(SourceSettings):
    """What all meters share: plausible watts, and not those of long ago. Past that, a rig's own report counts."""

    max_age: Duration = Field(default=150.0, description="Past this age the watts are refused.")

    def check(self, value: MeterReading, last: MeterReading | None) -> None:  # noqa: ARG002 -- it may leap
        """Refuse watts that no rig or block draws: a wrong unit, or a whole PDU in place of a rig."""
        for rig, watts in value.rigs.items():
            implausible_unless(0, watts, _MAX_RIG_WATTS, f"watts of {rig}")
        for block, watts in value.blocks.items():
            implausible_unless(0, watts, _MAX_BLOCK_WATTS, f"watts of block {block}")
