"""Metered power of rigs, from PDUs and meters."""

from collections.abc import Mapping
from typing import Final

from exporter.sources.contract import SourceSettings, implausible_unless

_MAX_WATTS: Final = 50_000.0  # a hydro rig draws 12 kW


class MeterSettings(SourceSettings):
    """What all meters share: plausible watts, by the rig's name."""

    def check(self, value: Mapping[str, float], last: Mapping[str, float] | None) -> None:  # noqa: ARG002 it may leap
        """Refuse watts that no rig draws: a wrong unit, or the whole PDU."""
        for rig, watts in value.items():
            implausible_unless(0, watts, _MAX_WATTS, f"watts of {rig}")
