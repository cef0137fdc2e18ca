"""Compares the measured overhead with the configured one, exports both and warns if they disagree for long."""

from collections import Counter
from collections.abc import Collection
from typing import Final

import structlog

from exporter.economics.values import Overhead
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_TOLERANCE: Final = 0.03
_EVALUATIONS_UNTIL_LOGGED: Final = 20  # evaluations in a row: fans and pumps take turns


class OverheadCheck:
    """Exports the overheads of each evaluation. A disagreement is logged once, until it has ended."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._disagreeing: Counter[str] = Counter()  # evaluations in a row, by block
        self._known: frozenset[str] = frozenset()

    def export(self, overheads: Collection[Overhead]) -> None:
        """Export the overheads of one evaluation. Those of blocks that have none any more become absent."""
        blocks = frozenset(each.block for each in overheads)
        for gone in self._known - blocks:
            self._telemetry.measured_overhead.remove(gone)
            self._telemetry.configured_overhead.remove(gone)
        self._known = blocks
        for each in overheads:
            self._telemetry.measured_overhead.labels(each.block).set(each.measured)
            self._telemetry.configured_overhead.labels(each.block).set(each.configured)
            self._compare(each)

    def _compare(self, overhead: Overhead) -> None:
        block = overhead.block
        if abs(overhead.measured - overhead.configured) <= _TOLERANCE * overhead.configured:
            if self._disagreeing[block] >= _EVALUATIONS_UNTIL_LOGGED:
                _log.info("the measured overhead agrees with the configured one again", block=block)
            del self._disagreeing[block]
            return
        self._disagreeing[block] += 1
        if self._disagreeing[block] == _EVALUATIONS_UNTIL_LOGGED:
            _log.warning(
                "the measured overhead disagrees with the configured one",
                block=block or "the whole site",
                measured=round(overhead.measured, 3),
                configured=round(overhead.configured, 3),
                advice="correct overhead, calibration or transformer_loss in power, or look for a load that is no rig",
            )
